"""Jobs that refer to a patient by identifiers: who is found is reviewed, and nobody reads the identifier."""

import asyncio
import json
from base64 import urlsafe_b64encode
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from service.commands.jobs import job_as_json, list_jobs
from service.errors import InputError, NoSuchPatient
from service.gather.identified import LONGEST_REFERENCE, PatientIdentifier, to_reference
from service.queue.jobs import JobQueue, Jobs, State
from service.queue.tries import Fault, Pace, Task, failed_try, next_try
from service.queue.work import Work
from service.telemetry.metrics import Metrics
from tests.fhir.double import FhirDouble
from tests.jobs.test_jobs import until, until_idle
from tests.support import Handler, a_patient, client_of, fhir_response, reviewer

CANARY = "Canarybird"
SYSTEM = "http://hospital.example/mrn"
Review = Callable[[str, str], Awaitable[None]]
FAST = Pace(polling=0.05, first_wait=0.01, longest_rest=0.01)


def known(patient: str, value: str, **others: Any) -> dict[str, Any]:
    return a_patient(patient, identifier=[{"system": SYSTEM, "value": value}], **others)


def by(*values: str) -> str:
    return to_reference(PatientIdentifier(SYSTEM, value) for value in values)


class Site:
    """A queue whose jobs find patients on a server; keeps who was reviewed."""

    def __init__(self, folder: Path, server: Handler) -> None:
        self.url = f"sqlite:///{folder / 'queue.sqlite'}"
        self.reviewed: list[tuple[str, str]] = []
        self.work = Work(reviewer(), client_of(server, attempts=1), Metrics())

    def queue(self, pace: Pace = FAST, review: Review | None = None) -> JobQueue:
        tasks = {"identified": self.work.find_identified, "merged": self.work.find_merged}
        self.work.queue = JobQueue(self.url, review or self._review, tasks=tasks, pace=pace)
        return self.work.queue

    async def _review(self, patient_id: str, cause: str) -> None:
        self.reviewed.append((patient_id, cause))


async def test_who_has_one_of_the_identifiers_is_reviewed(tmp_path: Path) -> None:
    link = [{"type": "replaced-by", "other": {"reference": "Patient/ann"}}]
    records = [known("ann", "17"), known("bea", "18"), known("former", "16", link=link)]
    site = Site(tmp_path, FhirDouble(records))
    async with site.queue() as queue:
        await queue.accept_task("identified", by("17", "unheard-of"))
        await until_idle(queue)
        assert site.reviewed == [("ann", "hl7v2")]
        await queue.accept_task("identified", by("17", "18"))
        await until_idle(queue)
        assert sorted(site.reviewed[1:]) == [("ann", "hl7v2"), ("bea", "hl7v2")]
        await queue.accept_task("merged", by("16"))
        await until_idle(queue)
        assert site.reviewed[3:] == [("ann", "hl7v2")]
        assert (await queue.counts())["failed"] == 0


async def test_who_was_merged_away_and_is_gone_needs_no_review(tmp_path: Path) -> None:
    site = Site(tmp_path, FhirDouble([known("ann", "17")]))
    async with site.queue() as queue:
        await queue.accept_task("merged", by("16"))
        await until_idle(queue)
        assert ((await queue.counts())["failed"], site.reviewed) == (0, [])


async def test_a_patient_who_comes_later_is_found(tmp_path: Path) -> None:
    """A message of a new patient may be here before the record is on the FHIR server."""
    there, away = FhirDouble([known("ann", "17")]), FhirDouble([])
    asked = 0

    def server(request: httpx.Request) -> httpx.Response:
        nonlocal asked
        asked += request.url.path.endswith("/Patient")
        return (there if asked > 2 else away)(request)

    site = Site(tmp_path, server)
    async with site.queue() as queue:
        await queue.accept_task("identified", by("17"))
        await until(lambda: bool(site.reviewed))
        await until_idle(queue)
        assert (await queue.counts())["failed"] == 0

    assert (asked, site.reviewed) == (3, [("ann", "hl7v2")])


def test_a_patient_who_is_not_known_is_asked_for_again_within_an_hour() -> None:
    failed = failed_try(NoSuchPatient("nobody"))
    assert (failed.fault, failed.told) == (Fault.UNFORESEEN, "NoSuchPatient")
    waits, task = [], Task("identified", by("17"), "task")
    while (further := next_try(task, failed, Pace(), now=0.0)) is not None:
        task, wait = further
        waits.append(wait)

    assert waits == [timedelta(minutes=15).total_seconds()] * 4


async def test_a_patient_who_never_comes_is_a_failed_job_that_a_later_message_ends(tmp_path: Path) -> None:
    records: list[dict[str, Any]] = []

    def server(request: httpx.Request) -> httpx.Response:
        return FhirDouble(records)(request)

    site = Site(tmp_path, server)
    async with site.queue() as queue:
        await queue.accept_task("identified", by("17"))
        await until_idle(queue)
        (job,) = await queue.jobs(State.FAILED)
        assert job.reason == (
            "NoSuchPatient: no patient of the FHIR server has the identifier that a message named"
        )
        assert job.attempts == Pace().attempts
        records.append(known("ann", "17"))
        await queue.accept_task("identified", by("17"))
        await until_idle(queue)
        assert ((await queue.counts())["failed"], site.reviewed) == (0, [("ann", "hl7v2")])


async def test_messages_during_a_review_ask_for_one_more(tmp_path: Path) -> None:
    """What an engine does that gets no answer in time: it sends the same message again and again."""
    site = Site(tmp_path, FhirDouble([known("ann", "17")]))
    begun, gate = [], asyncio.Event()

    async def slow(patient_id: str, _: str) -> None:
        begun.append(patient_id)
        await gate.wait()

    async with site.queue(review=slow) as queue:
        await queue.accept_task("identified", by("17"))
        await until(lambda: begun == ["ann"])
        for _ in range(20):
            await queue.accept_task("identified", by("17"))
        await asyncio.sleep(0.3)
        gate.set()
        await until_idle(queue)

    assert begun == ["ann", "ann"]


async def test_the_longest_reference_is_kept_and_no_longer_one(database: str) -> None:
    kept, too_long = f"x{'A-_z' * (LONGEST_REFERENCE // 4)}"[:LONGEST_REFERENCE], "x" * 1001
    async with Jobs(database) as queue:
        await queue.accept_task("identified", kept)
        with pytest.raises(InputError):
            await queue.accept_task("identified", too_long)
        (job,) = await queue.jobs(State.WAITING)

    assert (job.reference, job.shown) == (kept, "(by identifier)")


@pytest.mark.parametrize("status", [200, 403, 500])
async def test_an_identifier_is_in_the_request_to_the_server_and_is_shown_nowhere_else(
    status: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def server(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        outcome = {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": CANARY}]}
        searched = request.url.path.endswith("/Patient") and status != 200
        return fhir_response(outcome, status) if searched else FhirDouble([])(request)

    asked: list[str] = []
    site = Site(tmp_path, server)
    pace = Pace(polling=0.05, first_wait=0.01, longest_rest=0.01, patience=timedelta(0))
    with capture_logs() as lines:
        async with site.queue(pace) as queue:
            await queue.accept_task("identified", by(f"{CANARY}-17"))
            await until_idle(queue)
            (job,) = await queue.jobs(State.FAILED)
    (listed,) = [job_as_json(one) for one in await list_jobs(site.url, State.FAILED)]

    assert any(CANARY in url for url in asked)
    assert json.loads(listed)["reference"] == "(by identifier)"
    hidden = urlsafe_b64encode(CANARY.encode()).decode()[:10]
    for text in (listed, str(lines), caplog.text, job.id, job.reason or ""):
        assert CANARY not in text
        assert hidden not in text
