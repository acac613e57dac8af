"""A FHIR server that goes away and comes back: nothing fails, and it is asked once at a time."""

import asyncio
import time
from collections.abc import Callable
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from service.errors import NotAssessable, ServerRefused, ServerUnreachable
from service.queue.gate import Gate
from service.queue.jobs import JobQueue, Jobs, State
from service.queue.tries import Pace
from tests.jobs.test_jobs import until, until_idle

PACE = Pace(first_wait=0.1, polling=0.05)
PATIENTS = [f"p{number}" for number in range(40)]


class Clock:
    """A clock of which every second passes in a thousandth."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / 1000)
        self.now += seconds


class Server:
    """A FHIR server that is away until it is `there`; keeps what it was asked."""

    def __init__(self, there: Callable[[], bool]) -> None:
        self.there = there
        self.reviews: list[str] = []
        self.done: list[str] = []
        self.probes = 0

    async def review(self, patient_id: str, _: str) -> None:
        self.reviews.append(patient_id)
        await asyncio.sleep(0.01)
        self._answer()
        self.done.append(patient_id)

    async def probe(self) -> None:
        self.probes += 1
        self._answer()

    def _answer(self) -> None:
        if not self.there():
            raise ServerUnreachable("the server cannot be reached")


async def test_an_outage_of_ten_minutes_fails_no_job_and_burdens_no_server(database: str) -> None:
    clock = Clock()
    server = Server(lambda: clock.now >= 600)
    gate = Gate(server.probe, pace=Pace(first_wait=2), clock=clock, sleep=clock.sleep)
    async with JobQueue(database, server.review, pace=PACE, gate=gate) as queue:
        await queue.accept(PATIENTS, "test")
        await until(lambda: queue.paused is not None)
        tried_in_the_outage = set(server.reviews)
        await until(lambda: len(set(server.done)) == 40)
        await until_idle(queue)
        assert await queue.counts() == {"waiting": 0, "running": 0, "failed": 0, "done": 40}
    assert sorted(server.done) == sorted(PATIENTS)
    assert len(tried_in_the_outage) <= PACE.workers
    assert len(server.reviews) <= 40 + PACE.workers
    assert server.probes == 23, "after 2, 6, 14 and 30 seconds, then every 30"


@pytest.mark.matrix
@pytest.mark.soak
async def test_an_outage_of_75_seconds_fails_no_job(sqlite_database: str) -> None:
    back_at = time.monotonic() + 75
    server = Server(lambda: time.monotonic() >= back_at)
    async with JobQueue(sqlite_database, server.review, gate=Gate(server.probe)) as queue:
        await queue.accept(PATIENTS, "test")
        await until(lambda: len(set(server.done)) == 40, seconds=150)
        await until_idle(queue)
        assert (await queue.counts())["failed"] == 0
    assert server.probes <= 6


async def test_an_event_during_an_outage_is_one_review_after_it(sqlite_database: str) -> None:
    back = asyncio.Event()
    server = Server(back.is_set)
    async with JobQueue(
        sqlite_database, server.review, pace=PACE, gate=Gate(server.probe, pace=PACE)
    ) as queue:
        await queue.accept(["first"], "test")
        await until(lambda: queue.paused is not None)
        for _ in range(5):
            await queue.accept(["second"], "test")
            await asyncio.sleep(0.1)
        back.set()
        await until(lambda: sorted(server.done) == ["first", "second"])
        await until_idle(queue)
    assert sorted(server.done) == ["first", "second"]


async def test_the_end_does_not_wait_for_the_server(sqlite_database: str) -> None:
    server = Server(lambda: False)
    async with JobQueue(
        sqlite_database, server.review, pace=PACE, gate=Gate(server.probe, pace=PACE)
    ) as queue:
        await queue.accept(PATIENTS, "test")
        await until(lambda: queue.paused is not None)
        ending = time.monotonic()
    assert time.monotonic() - ending < 5 < PACE.grace
    async with Jobs(sqlite_database) as seen:
        assert await seen.counts() == {"waiting": 40, "running": 0, "failed": 0}


async def test_a_job_that_the_server_fails_for_too_long_is_kept_as_failed_and_logged(
    sqlite_database: str,
) -> None:
    async def review(_: str, __: str) -> None:
        raise ServerRefused("GET /fhir/Patient/17: the server answered 500", 500)

    pace = Pace(first_wait=0.1, polling=0.05, patience=timedelta(seconds=0.5))
    with capture_logs() as lines:
        async with JobQueue(sqlite_database, review, pace=pace) as queue:
            await queue.accept(["17"], "test")
            await until_idle(queue)
            (job,) = await queue.jobs(State.FAILED)
    assert job.reason == "ServerRefused: GET /fhir/Patient/17: the server answered 500"
    assert job.attempts > 1
    told = [line for line in lines if line["event"].startswith("job-")]
    assert [line["event"] for line in told] == ["job-tried"] * (job.attempts - 1) + ["job-failed"]
    assert told[-1] == {
        "event": "job-failed",
        "log_level": "warning",
        "job": job.id,
        "kind": "patient",
        "attempt": job.attempts,
        "reason": "ServerRefused 500",
    }


async def test_a_job_of_an_older_version_is_done(sqlite_database: str) -> None:
    """Versions before 0.2 stored four arguments, also of a job that had failed before."""
    server = Server(lambda: True)
    async with Jobs(sqlite_database) as queue:
        options = {
            "workflow_name": "work",
            "queue_name": "reviews",
            "queue_partition_key": "patient:1",
            "app_version": "1",
        }
        await asyncio.to_thread(queue._client.enqueue, options, "patient", "1", "rest-hook", 3)  # type: ignore[arg-type]
        (job,) = await queue.jobs()
        assert (job.reference, job.attempts) == ("1", 2)
    async with JobQueue(sqlite_database, server.review, pace=PACE) as queue:
        await until_idle(queue)
    assert server.done == ["1"]


# --- failed jobs ----------------------------------------------------------------------------------


async def failing(database: str, reasons: dict[str, str]) -> None:
    """Leave a failed job of each patient."""

    async def review(patient_id: str, _: str) -> None:
        raise NotAssessable(reasons[patient_id])

    async with JobQueue(database, review, pace=PACE) as queue:
        await queue.accept(reasons, "test")
        await until_idle(queue)


async def test_a_later_success_ends_the_failed_job_of_the_same_patient_only(database: str) -> None:
    await failing(database, {"1": "merged", "2": "merged"})
    server = Server(lambda: True)
    async with JobQueue(database, server.review, pace=PACE) as queue:
        await queue.accept(["1"], "test")
        await until_idle(queue)
        assert [job.reference for job in await queue.jobs(State.FAILED)] == ["2"]
        assert [job.reference for job in await queue.jobs(State.DONE)] == ["1"]


async def test_failed_jobs_are_put_back_together_and_by_reason(database: str) -> None:
    await failing(database, {"1": "Patient/1 is merged", "2": "no birth date", "3": "Patient/3 is MERGED"})
    async with Jobs(database) as queue:
        assert await queue.retry_all("is merged") == 2
        assert {job.reference for job in await queue.jobs(State.WAITING)} == {"1", "3"}
        assert [job.reference for job in await queue.jobs(State.FAILED)] == ["2"]
        assert await queue.retry_all() == 1
        assert await queue.counts() == {"waiting": 3, "running": 0, "failed": 0}
        assert await queue.retry_all() == 0


async def test_no_limit_hides_a_failure(sqlite_database: str) -> None:
    await failing(sqlite_database, {"1": "merged", "2": "merged"})
    async with Jobs(sqlite_database) as queue:
        await queue.accept(["3", "4", "5"], "test")
        listed = await queue.jobs(limit=1)
        assert sorted(job.state for job in listed) == [State.FAILED, State.FAILED, State.WAITING]
        assert [job.created for job in listed] == sorted((job.created for job in listed), reverse=True)
