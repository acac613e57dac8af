"""The service on a real HAPI FHIR server of R5, which notifies it by topics.

With `HAPI_R5_URL` set, that server is used; it must match topics (tests/integration/hapi). Every test loads
records of its own.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from service.fhir.kinds import WATCHED_KINDS
from service.gather.subscriptions import hook_key
from service.queue.jobs import Jobs, State
from tests.contract_write import ask, found_by, read, versions
from tests.in_r5 import as_read, load
from tests.running import Service, at_least, patients_to_treat, until
from tests.servers import BRIEFLY, running_hapi
from tests.support import Resource, run_command

SECRET = "a-hook-secret-of-tests"  # noqa: S105 - known to the tests only
OURS = [f"trd-careplan-{kind.lower()}" for kind in WATCHED_KINDS]
_QUIET_SECONDS = 6
"""HAPI sends again within seconds what it takes for not delivered."""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with running_hapi(release="r5", options=BRIEFLY) as base:
        yield base


@asynccontextmanager
async def subscribed(server: str, folder: Path, **settings: object) -> AsyncIterator[Service]:
    """The service, with Subscriptions to it that end with the block."""
    async with Service(folder, fhir_base_url=server, hook_secret=SECRET, **settings) as service:
        done = run_command("subscribe", **service.environment, TRD_PUBLIC_URL=service.address)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.count(", active\n") == len(WATCHED_KINDS)
        try:
            yield service
        finally:
            for identity in OURS:
                await ask(server, f"Subscription/{identity}", method="DELETE")


def patients(number: int) -> dict[str, list[Resource]]:
    return patients_to_treat(uuid.uuid4().hex[:8], number)


async def reasons_of(server: str, patient: str) -> list[str]:
    """The reasons of the decisions that stand on the server for a patient."""
    guidances = [
        as_read(server, one) for one in await found_by(server, f"GuidanceResponse?patient={patient}")
    ]
    parameters = [one for guidance in guidances for one in guidance["contained"][0]["parameter"]]
    return [one["valueCode"] for one in parameters if one["name"] == "decision-reason"]


async def confirmed(service: Service) -> float:
    """How many notifications it confirmed; fails if it refused one."""
    for status in (400, 401, 404, 405, 422, 500, 503):
        assert await service.metric(f'trd_requests_total{{door="topics",status="{status}"}}') == 0, status
    return await service.metric('trd_requests_total{door="topics",status="200"}')


async def test_a_subscribed_server_brings_care_plans_about(server: str, tmp_path: Path) -> None:
    records = patients(3)
    async with subscribed(server, tmp_path) as service:
        for record in records.values():
            load(server, record)
        await until(lambda: at_least(3, server, list(records)), seconds=90)
        await until(service.is_idle, seconds=60)
        assert await service.metric('trd_hook_events_total{kind="named"}') > 0
        taken = await confirmed(service)
        await asyncio.sleep(_QUIET_SECONDS)
        await until(service.is_idle, seconds=60)
        assert await confirmed(service) - taken < len(records), "HAPI takes the answers for failures"
        assert await service.metric('trd_queue_jobs{state="failed"}') == 0

    for patient in records:
        (plan,) = await found_by(server, f"CarePlan?patient={patient}")
        assert await versions(server, f"CarePlan/{plan['id']}") == ["1"]


async def test_a_changed_condition_leads_to_a_review_and_a_care_plan(server: str, tmp_path: Path) -> None:
    ((patient, record),) = patients(1).items()
    (condition,) = [r for r in record if r["resourceType"] == "Condition"]
    async with subscribed(server, tmp_path) as service:
        load(server, [r for r in record if r is not condition])
        await until(lambda: reasons_of(server, patient), seconds=60)
        assert not await at_least(1, server, [patient])

        load(server, [condition])

        await until(lambda: at_least(1, server, [patient]), seconds=60)
        assert await service.metric('trd_queue_jobs{state="failed"}') == 0
    assert await reasons_of(server, patient) == ["trd"]


async def was_traced(service: Service, reference: str) -> bool:
    """Whether the history of a deleted resource was looked into."""
    async with Jobs(str(service.settings["database_url"])) as queue:
        done = await queue.jobs(State.DONE)
    return ("deleted", reference) in {(job.kind, job.reference) for job in done}


async def test_a_deletion_is_told_and_traced(server: str, tmp_path: Path) -> None:
    """Nothing is written: what a Provenance of ours names, HAPI does not let anybody delete."""
    (record,) = patients(1).values()
    (lost,) = [r for r in record if r["resourceType"] == "Condition"]
    async with subscribed(server, tmp_path, write="off") as service:
        load(server, record)
        await asyncio.sleep(_QUIET_SECONDS)
        await until(service.is_idle, seconds=90)
        deleted = await ask(server, f"Condition/{lost['id']}", method="DELETE")
        assert deleted.is_success, deleted.text

        await until(lambda: was_traced(service, f"Condition/{lost['id']}"), seconds=60, every=1)
        assert await service.metric('trd_hook_events_total{kind="deleted"}') >= 1


async def test_a_second_run_changes_nothing_and_a_change_is_repaired(server: str, tmp_path: Path) -> None:
    async with subscribed(server, tmp_path) as service:
        environment = service.environment | {"TRD_PUBLIC_URL": service.address}
        again = run_command("subscribe", **environment)
        assert again.stdout.count(": unchanged, active\n") == len(WATCHED_KINDS)

        subscription = await read(server, "Subscription/trd-careplan-condition")
        key = hook_key(SECRET.encode())
        assert subscription["endpoint"] == f"{service.address}/hooks/topics/{key}"
        changed = subscription | {"endpoint": "http://127.0.0.1:9/else"}
        put = await ask(server, "Subscription/trd-careplan-condition", method="PUT", body=changed)
        assert put.is_success, put.text
        topic = await read(server, "SubscriptionTopic/trd-careplan-condition")
        put = await ask(
            server, f"SubscriptionTopic/{topic['id']}", method="PUT", body=topic | {"status": "retired"}
        )
        assert put.is_success, put.text

        repaired = run_command("subscribe", **environment)
        assert "Subscription/trd-careplan-condition: repaired, active\n" in repaired.stdout
        assert repaired.stdout.count(": unchanged, active\n") == len(WATCHED_KINDS) - 1
        assert (await read(server, f"SubscriptionTopic/{topic['id']}"))["status"] == "active"
