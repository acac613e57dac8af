"""The service on a real HAPI FHIR server that notifies it, in every form that HAPI has.

With `HAPI_URL` set, that server is used; every test loads records of its own.
"""

import asyncio
import sqlite3
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import httpx
import pytest

from service import clock
from service.demo.run import demo_patients
from service.fhir.kinds import WATCHED_KINDS
from service.gather.subscriptions import render_subscription
from service.render.guidance import guidance_id
from tests.contract_write import ask, found_by, read, versions
from tests.running import (
    Service,
    ask_to_propose,
    at_least,
    notify,
    patients_to_treat,
    reason_of,
    renamed,
    until,
    without_settings,
)
from tests.servers import BRIEFLY, load, running_hapi
from tests.support import Resource, a_condition, reviewer, run_command
from tests.validator import faults_of, one_of_each_shape

SECRET = "a-hook-secret-of-tests"  # noqa: S105 - known to the tests only
_SEARCH_PAYLOAD = "http://hapifhir.io/fhir/StructureDefinition/subscription-payload-search-criteria"
_LOOK_SECONDS = 6
_QUIET_SECONDS = 6
"""HAPI sends again within seconds what it takes for not delivered."""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with running_hapi(options=BRIEFLY) as base:
        yield base


@asynccontextmanager
async def serving(server: str, folder: Path) -> AsyncIterator[Service]:
    async with Service(folder, fhir_base_url=server, hook_secret=SECRET) as service:
        yield service


@asynccontextmanager
async def subscribed(server: str, *subscriptions: Resource) -> AsyncIterator[None]:
    """Subscriptions that are active while the block runs."""
    for subscription in subscriptions:
        put = await ask(server, f"Subscription/{subscription['id']}", method="PUT", body=subscription)
        assert put.is_success, put.text
    try:
        for subscription in subscriptions:
            await until(partial(is_active, server, subscription["id"]), seconds=60)
        yield
    finally:
        for subscription in subscriptions:
            await ask(server, f"Subscription/{subscription['id']}", method="DELETE")


async def is_active(server: str, identity: str) -> bool:
    status: str = (await read(server, f"Subscription/{identity}"))["status"]
    return status == "active"


def a_subscription(kind: str, service: Service) -> Resource:
    """As `trd-careplan subscribe` makes it, under an id of the test's own."""
    wanted = render_subscription(kind, f"{service.address}/hooks/fhir", SECRET, reviewer().knowledge)
    return wanted | {"id": f"test-{uuid.uuid4().hex}"}


def a_patient_to_treat() -> tuple[str, list[Resource]]:
    (found,) = patients_to_treat(uuid.uuid4().hex[:8], 1).items()
    return found


async def load_before(server: str, record: list[Resource]) -> None:
    """Load what no Subscription is to tell of: HAPI looks every five seconds for what it is to tell."""
    load(server, record)
    await asyncio.sleep(_LOOK_SECONDS)


async def requests(service: Service) -> float:
    """How many notifications it confirmed; fails if it refused one."""
    for status in (400, 401, 404, 405, 500, 503):
        assert await service.metric(f'trd_requests_total{{door="rest-hook",status="{status}"}}') == 0, status
    return await service.metric('trd_requests_total{door="rest-hook",status="200"}')


async def told(service: Service, kind: str) -> float:
    """How many notifications of a kind it received."""
    return await service.metric(f'trd_hook_events_total{{kind="{kind}"}}')


async def assert_quiet(service: Service, number: int) -> None:
    """So many notifications came, and HAPI sends none of them again."""
    await asyncio.sleep(_QUIET_SECONDS)
    assert await requests(service) == number
    await until(service.is_idle, seconds=60)


# --- from notification to CarePlan ----------------------------------------------------------------


async def test_the_demo_is_as_expected_and_leaves_nothing_behind(server: str, tmp_path: Path) -> None:
    ran = await asyncio.to_thread(run_demo_at, server, tmp_path, "--yes")
    assert ran.returncode == 0, ran.stderr
    assert "All 11 patients as expected" in ran.stdout

    for kind in ("Patient", "Condition", "CarePlan", "GuidanceResponse", "Provenance", "Subscription"):
        assert await found_by(server, f"{kind}?_count=50") == [], kind


async def test_what_is_written_for_the_patients_of_the_demo_is_valid(server: str, tmp_path: Path) -> None:
    loaded = await asyncio.to_thread(run_demo_at, server, tmp_path, "--load-only")
    assert (loaded.returncode, loaded.stdout) == (0, "11 patients loaded\n")

    left = []
    async with Service(tmp_path, fhir_base_url=server) as service, httpx.AsyncClient(timeout=60) as http:
        for patient in demo_patients(clock.today("UTC")):
            await ask_to_propose(http, service.address, patient.patient_id)
            plans = await found_by(server, f"CarePlan?patient={patient.patient_id}")
            assert len(plans) == (patient.decision == "propose")
            left += [*plans, await read(server, f"GuidanceResponse/{guidance_id(patient.patient_id)}")]
    left += [await read(server, "Device/trd-careplan"), *await found_by(server, "Provenance?_count=50")]
    for resource in one_of_each_shape(left):
        assert await faults_of(server, resource) == []


def run_demo_at(server: str, folder: Path, option: str) -> subprocess.CompletedProcess[str]:
    """Run the demo on a server that others use."""
    return subprocess.run(
        [sys.executable, "-m", "service", "demo", "--fhir", server, option],
        cwd=folder,
        env=without_settings(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


async def test_a_subscribed_server_brings_care_plans_about(server: str, tmp_path: Path) -> None:
    tag = uuid.uuid4().hex[:8]
    patients = {f"{tag}-{one.patient_id}": one for one in demo_patients(clock.today("UTC"))}
    async with serving(server, tmp_path) as service:
        done = run_command("subscribe", **service.environment, TRD_PUBLIC_URL=service.address)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.count(", active\n") == len(WATCHED_KINDS)
        for identity, patient in patients.items():
            load(server, renamed(patient.bundle, identity))

        async def all_right() -> bool:
            return all([await reason_of(server, one) == patients[one].reason for one in patients])

        await until(all_right, seconds=60, every=1)
        await until(service.is_idle, seconds=60)
        assert await requests(service) >= len(patients)
        assert await service.metric('trd_queue_jobs{state="failed"}') == 0
        for subscription in await found_by(server, "Subscription?_count=50"):
            if subscription["channel"]["endpoint"].startswith(service.address):
                await ask(server, f"Subscription/{subscription['id']}", method="DELETE")

    for identity, patient in patients.items():
        plans = await found_by(server, f"CarePlan?patient={identity}")
        assert len(plans) == (patient.decision == "propose")
        for plan in plans:
            assert await versions(server, f"CarePlan/{plan['id']}") == ["1"]


# --- each form of a notification ------------------------------------------------------------------


async def test_a_deletion_and_a_change_are_told(server: str, tmp_path: Path) -> None:
    """The deletion comes first: what a Provenance of ours names, HAPI does not let anybody delete."""
    patient, record = a_patient_to_treat()
    statement = next(r for r in record if r["resourceType"] == "MedicationStatement")
    async with serving(server, tmp_path) as service:
        await load_before(server, record)
        async with subscribed(server, a_subscription("MedicationStatement", service)):
            deleted = await ask(server, f"MedicationStatement/{statement['id']}", method="DELETE")
            assert deleted.is_success, deleted.text

            async def reviewed() -> bool:
                return await reason_of(server, patient) == "not-indicated"

            await until(reviewed, seconds=60)
            await assert_quiet(service, 1)
            assert (await told(service, "changed"), await told(service, "deleted")) == (0, 1)

            load(server, [statement])
            await until(lambda: at_least(1, server, [patient]), seconds=60)
            await assert_quiet(service, 2)
            assert (await told(service, "changed"), await told(service, "deleted")) == (1, 1)
    (plan,) = await found_by(server, f"CarePlan?patient={patient}")
    assert await versions(server, f"CarePlan/{plan['id']}") == ["1"]


async def test_a_notification_without_a_body_is_followed_by_a_search(server: str, tmp_path: Path) -> None:
    patient, record = a_patient_to_treat()
    async with serving(server, tmp_path) as service:
        subscription = a_subscription("Condition", service)
        del subscription["channel"]["payload"]
        del subscription["channel"]["extension"]
        async with subscribed(server, subscription):
            load(server, record)
            await until(lambda: at_least(1, server, [patient]), seconds=60)
            await assert_quiet(service, 1)
            assert await told(service, "sweep") == 1
    (plan,) = await found_by(server, f"CarePlan?patient={patient}")
    assert await versions(server, f"CarePlan/{plan['id']}") == ["1"]


async def test_a_notification_with_search_results_is_taken_entry_by_entry(
    server: str, tmp_path: Path
) -> None:
    """The payload is a Bundle, of type transaction, with what the stated search finds."""
    patient, record = a_patient_to_treat()
    async with serving(server, tmp_path) as service:
        subscription = a_subscription("Condition", service)
        criteria = "Condition?_id=${matched_resource_id}&_include=Condition:patient"
        subscription["extension"] = [{"url": _SEARCH_PAYLOAD, "valueString": criteria}]
        del subscription["channel"]["extension"]
        await load_before(server, record)
        async with subscribed(server, subscription):
            load(server, [a_condition(f"{patient}-cold", patient, code={"text": "A cold"})])
            await until(lambda: at_least(1, server, [patient]), seconds=60)
            await assert_quiet(service, 1)
            assert await told(service, "changed") == 2
    (plan,) = await found_by(server, f"CarePlan?patient={patient}")
    assert await versions(server, f"CarePlan/{plan['id']}") == ["1"]


async def test_what_cannot_be_stored_is_sent_again(server: str, tmp_path: Path) -> None:
    patient, record = a_patient_to_treat()
    async with serving(server, tmp_path) as service:
        await load_before(server, record)
        async with subscribed(server, a_subscription("Condition", service)):
            lock = sqlite3.connect(tmp_path / "queue.sqlite", isolation_level=None)
            lock.execute("BEGIN IMMEDIATE")
            load(server, [a_condition(f"{patient}-cold", patient, code={"text": "A cold"})])
            refused = 'trd_requests_total{door="rest-hook",status="503"}'

            async def has_refused() -> bool:
                return await service.metric(refused) > 0

            await until(has_refused, seconds=60)
            lock.rollback()
            lock.close()
            await until(lambda: at_least(1, server, [patient]), seconds=60)
            assert await told(service, "not-stored") >= 1

            async def has_come_again() -> bool:
                return await told(service, "changed") >= 1

            await until(has_come_again, seconds=60)
            await until(service.is_idle, seconds=60)
    (plan,) = await found_by(server, f"CarePlan?patient={patient}")
    assert await versions(server, f"CarePlan/{plan['id']}") == ["1"]


# --- many at once ---------------------------------------------------------------------------------


async def test_twenty_proposals_and_twenty_events_at_once_make_one_plan_of_one_version(
    server: str, tmp_path: Path
) -> None:
    patient, record = a_patient_to_treat()
    load(server, record)
    async with (
        serving(server, tmp_path) as service,
        httpx.AsyncClient(trust_env=False, timeout=60, headers={"X-Hook-Secret": SECRET}) as http,
    ):
        address = f"{service.address}/fhir/Patient/{patient}/$propose-care-plan"
        proposals = [http.post(address) for _ in range(20)]
        events = [notify(http, service.address, patient) for _ in range(20)]
        answers, _ = await asyncio.gather(asyncio.gather(*proposals), asyncio.gather(*events))
        assert [answer.status_code for answer in answers] == [200] * 20
        await until(service.is_idle, seconds=60)
        assert await service.metric('trd_queue_jobs{state="failed"}') == 0

    (plan,) = await found_by(server, f"CarePlan?patient={patient}")
    for reference in (f"CarePlan/{plan['id']}", f"GuidanceResponse/{guidance_id(patient)}"):
        assert await versions(server, reference) == ["1"]
