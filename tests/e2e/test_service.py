"""The service as users run it, `trd-careplan serve` and the commands beside it, on sekmet-fhir."""

import re
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import httpx
import pytest

from service import clock
from service.cause import Cause
from service.demo.run import demo_patients
from service.fhir.kinds import WATCHED_KINDS
from service.queue.daily import DAILY
from service.queue.jobs import Jobs
from tests.contract_write import ask, found_by, read
from tests.running import (
    Service,
    an_event,
    assert_each_once,
    at_least,
    notifying,
    patients_to_treat,
    planned,
    reason_of,
    until,
)
from tests.servers import load, running_sekmet
from tests.support import run_command, run_program

OFFERED = tuple(kind for kind in WATCHED_KINDS if kind != "QuestionnaireResponse")
"""The kinds that sekmet-fhir knows."""
SECRET = "a-hook-secret-of-tests"  # noqa: S105 - known to the tests only
HEADER = {"X-Hook-Secret": SECRET}
pytestmark = pytest.mark.matrix
"""A service of its own takes seconds; `test_demo.py` shows one in `make test`."""


@pytest.fixture
def server() -> Iterator[str]:
    """A server of the test's own, since its Subscriptions speak to the service of this test."""
    with running_sekmet() as base:
        yield base


def loaded(server: str, tag: str, number: int) -> list[str]:
    records = patients_to_treat(tag, number)
    load(server, [resource for record in records.values() for resource in record])
    return list(records)


def failed_jobs(service: Service) -> list[tuple[str, str]]:
    """The id and the patient of every failed job, as `trd-careplan jobs` lists them."""
    listed = run_command("jobs", "--state", "failed", **service.environment, COLUMNS="300")
    assert (listed.returncode, listed.stderr) == (0, "")
    return re.findall(r"^\s*(\S+)\s+patient (\S+)\s+failed\s", listed.stdout, re.MULTILINE)


async def hook(service: Service, method: str, path: str = "", **content: object) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False, timeout=30) as http:
        return await http.request(
            method, f"{service.address}/hooks/fhir{path}", headers=HEADER, json=content or None
        )


# --- from notification to CarePlan ----------------------------------------------------------------


async def test_a_subscribed_server_brings_care_plans_about(server: str, tmp_path: Path) -> None:
    patients = demo_patients(clock.today("UTC"))
    async with Service(tmp_path, fhir_base_url=server, hook_secret=SECRET) as service:
        beside = service.environment | {"TRD_PUBLIC_URL": service.address}
        done = [run_command("subscribe", **beside) for _ in range(2)]
        assert [(one.returncode, one.stderr) for one in done] == [(0, ""), (0, "")]
        assert [line.partition(": ")[2] for line in done[0].stdout.splitlines()] == [
            "created, active" for _ in OFFERED
        ]
        assert [line.partition(": ")[2] for line in done[1].stdout.splitlines()] == [
            "unchanged, active" for _ in OFFERED
        ]
        for patient in patients:
            load(server, patient.bundle)

        async def all_right() -> bool:
            reasons = {one.patient_id: await reason_of(server, one.patient_id) for one in patients}
            return reasons == {one.patient_id: one.reason for one in patients}

        await until(all_right, seconds=60)
        await until(service.is_idle, seconds=60)
        assert await planned(server) == {p.patient_id for p in patients if p.decision == "propose"}
        assert await service.metric('trd_queue_jobs{state="failed"}') == 0


async def test_a_deleted_statement_leads_to_a_new_review(server: str, tmp_path: Path) -> None:
    """sekmet-fhir does not tell of deletions, so that the hook is told here as HAPI would."""
    (patient,) = loaded(server, "deleted", 1)
    statement = (await found_by(server, f"MedicationStatement?patient={patient}"))[0]["id"]
    async with Service(tmp_path, fhir_base_url=server, hook_secret=SECRET) as service:
        told = await hook(service, "PUT", f"/Condition/{patient}-changed", **an_event(patient))
        assert told.status_code == 200
        await until(lambda: at_least(1, server, [patient]), seconds=60)
        await until(service.is_idle, seconds=60)
        (plan,) = await found_by(server, f"CarePlan?patient={patient}")

        assert (await ask(server, f"MedicationStatement/{statement}", method="DELETE")).is_success
        assert (await hook(service, "DELETE", f"/MedicationStatement/{statement}")).status_code == 200

        async def revoked() -> bool:
            status: str = (await read(server, f"CarePlan/{plan['id']}"))["status"]
            return status == "revoked"

        await until(revoked, seconds=60)
    assert await reason_of(server, patient) == "not-indicated"
    assert len(await found_by(server, f"CarePlan?patient={patient}")) == 1


async def test_a_notification_without_a_body_has_the_changed_patients_reviewed(
    server: str, tmp_path: Path
) -> None:
    patients = loaded(server, "swept", 3)
    async with Service(tmp_path, fhir_base_url=server, hook_secret=SECRET) as service:
        assert (await hook(service, "POST")).status_code == 200
        await until(lambda: at_least(3, server, patients), seconds=60)
        await until(service.is_idle, seconds=60)
    await assert_each_once(server, patients)


async def test_the_daily_review_has_the_patients_with_a_plan_reviewed(server: str, tmp_path: Path) -> None:
    """Queued from beside, as another process of the service would at its time."""
    patient, other = loaded(server, "daily", 2)
    async with Service(tmp_path, fhir_base_url=server, hook_secret=SECRET) as service:
        await hook(service, "PUT", f"/Condition/{patient}-changed", **an_event(patient))
        await until(lambda: at_least(1, server, [patient]), seconds=60)
        await until(service.is_idle, seconds=60)
        for _ in range(20):
            async with Jobs(str(service.settings["database_url"])) as queue:
                await queue.accept_task(DAILY, "2026-11-23", Cause.DAILY)
        await until(lambda: reviewed(service, 2), seconds=60)
        await until(service.is_idle, seconds=60)
        assert await service.metric('trd_queue_jobs{state="failed"}') == 0
    await assert_each_once(server, [patient])
    assert await planned(server) == {patient}
    assert await reason_of(server, other) is None


async def test_shadow_mode_writes_nothing(server: str, tmp_path: Path) -> None:
    patients = loaded(server, "shadow", 3)
    async with Service(tmp_path, fhir_base_url=server, write="off") as service:
        async with notifying(service.address, patients, a_second=50):
            pass
        await until(lambda: reviewed(service, 3), seconds=60)
        async with httpx.AsyncClient(trust_env=False, timeout=30) as http:
            answer = await http.post(f"{service.address}/fhir/Patient/{patients[0]}/$propose-care-plan")
        assert (answer.status_code, answer.json()["resourceType"]) == (200, "Parameters")
        assert await service.stop() == 0

    assert {line["written"] for line in service.events if line["event"] == "patient-reviewed"} == {0}
    for kind in ("CarePlan", "GuidanceResponse", "Provenance", "Device"):
        assert await found_by(server, f"{kind}?_count=10") == []


async def reviewed(service: Service, number: int) -> bool:
    return service.reviews >= number


# --- the queue ------------------------------------------------------------------------------------


async def test_a_failed_job_is_listed_and_can_be_put_back(server: str, tmp_path: Path) -> None:
    async with Service(tmp_path, fhir_base_url=server) as service:
        async with notifying(service.address, ["late-000"], a_second=50):
            pass

        async def has_failed() -> bool:
            return await service.metric('trd_queue_jobs{state="failed"}') == 1

        await until(has_failed, seconds=60)
        ((job, patient),) = failed_jobs(service)
        assert patient == "late-000"

        assert loaded(server, "late", 1) == ["late-000"]
        again = run_command("jobs", "--retry", job, **service.environment)
        assert (again.returncode, again.stdout) == (0, f"{job}: the job is queued again\n")
        await until(lambda: at_least(1, server, ["late-000"]), seconds=60)
        await until(service.is_idle, seconds=60)
        assert failed_jobs(service) == []
        unknown = run_command("jobs", "--retry", job, **service.environment)
        assert unknown.returncode == 3
        assert "no failed job has this id" in unknown.stderr
    await assert_each_once(server, ["late-000"])


async def test_told_to_stop_during_reviews_it_ends_cleanly_and_goes_on_at_the_next_start(
    server: str, tmp_path: Path
) -> None:
    patients = loaded(server, "stopped", 40)
    async with Service(tmp_path, fhir_base_url=server) as service:
        async with notifying(service.address, patients, a_second=100):
            pass
        await until(lambda: at_least(5, server, patients), seconds=60, every=0.05)
        assert await service.stop() == 0
        done = len(await planned(server))
        assert done < 40, "it did not stop before the work was done"
        assert {line["level"] for line in service.events} == {"info"}
        assert "service-stopped" in {line["event"] for line in service.events}

        await service.start()
        await until(lambda: at_least(40, server, patients), seconds=60)
        await until(service.is_idle, seconds=60)
        assert await service.stop() == 0
    await assert_each_once(server, patients)


# --- trust ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ({}, "TRD_API_TOKEN, TRD_HOOK_SECRET"),
        ({"TRD_API_TOKEN": "an-api-token-of-tests"}, "TRD_HOOK_SECRET"),
        ({"TRD_HOOK_SECRET": SECRET}, "TRD_API_TOKEN"),
        ({"TRD_HOOK_SECRET": SECRET, "TRD_API_TOKEN": ""}, "TRD_API_TOKEN"),
    ],
)
def test_off_loopback_it_does_not_start_without_its_secrets(given: dict[str, str], missing: str) -> None:
    ran = run_program("serve", TRD_HOST="0.0.0.0", TRD_FHIR_BASE_URL="http://127.0.0.1:1/fhir", **given)  # noqa: S104

    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.startswith(f"trd-careplan: {missing}: not set")
    assert SECRET not in ran.stderr


def test_without_a_fhir_server_it_does_not_start() -> None:
    ran = run_program("serve")

    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.startswith("trd-careplan: TRD_FHIR_BASE_URL: not set")


async def test_the_hook_is_closed_to_those_without_the_secret(server: str, tmp_path: Path) -> None:
    (patient,) = loaded(server, "closed", 1)
    async with (
        Service(tmp_path, fhir_base_url=server, hook_secret=SECRET) as service,
        httpx.AsyncClient(trust_env=False, timeout=30) as http,
    ):
        requests = (("PUT", f"/Patient/{patient}"), ("POST", ""), ("DELETE", "/Condition/c"))
        headers: tuple[dict[str, str], ...] = ({}, {"X-Hook-Secret": ""}, {"X-Hook-Secret": "another"})
        for (method, path), header in product(requests, headers):
            body = {"resourceType": "Patient", "id": patient} if method == "PUT" else None
            address = f"{service.address}/hooks/fhir{path}"
            answer = await http.request(method, address, json=body, headers=header)
            assert (answer.status_code, answer.json()["resourceType"]) == (401, "OperationOutcome")
        assert await service.is_idle()
        assert service.reviews == 0
