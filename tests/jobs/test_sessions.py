"""PostgreSQL sessions that break under load: no event is lost, and no job stays where it is."""

import asyncio
import contextlib
import random
import time
from collections import defaultdict

import psycopg
import pytest

from service.errors import QueueError, ServerUnreachable
from service.queue.database import open_database
from service.queue.jobs import JobQueue, Jobs
from service.queue.tries import Pace
from tests.jobs.test_jobs import Reviews, until, until_idle

PACE = Pace(first_wait=0.1, polling=0.05, lease=0.3, workers=4)
PATIENTS = [f"p{number}" for number in range(40)]
CHANCE = random.Random(20261123)  # noqa: S311 - which patient, and when


class Events:
    """Events that are sent until they are confirmed, and the reviews that follow them."""

    def __init__(self) -> None:
        self.sent: dict[str, float] = {}
        self.confirmed = 0
        self.begun: dict[str, float] = defaultdict(float)

    async def review(self, patient_id: str, _: str) -> None:
        self.begun[patient_id] = time.monotonic()
        await asyncio.sleep(CHANCE.uniform(0, 0.05))

    async def send(self, queue: Jobs) -> None:
        while True:
            patient_id, sent = CHANCE.choice(PATIENTS), time.monotonic()
            with contextlib.suppress(QueueError):
                await queue.accept([patient_id], "test")
                self.sent[patient_id] = max(sent, self.sent.get(patient_id, 0))
                self.confirmed += 1
            await asyncio.sleep(0.005)

    @property
    def lost(self) -> list[str]:
        """The patients of whom no review began after an event was sent that was confirmed."""
        return [patient_id for patient_id, sent in self.sent.items() if self.begun[patient_id] < sent]


@pytest.mark.parametrize("times", [3, pytest.param(50, marks=[pytest.mark.matrix, pytest.mark.soak])])
async def test_sessions_that_break_under_load_lose_no_event_and_leave_no_job(
    postgres_database: str, times: int
) -> None:
    """Every other time another process is quicker to take the slot, so that this one begins anew."""
    events = Events()
    async with JobQueue(postgres_database, events.review, pace=PACE) as queue:
        sending = [asyncio.create_task(events.send(queue)) for _ in range(4)]
        for number in range(times):
            await asyncio.sleep(CHANCE.uniform(0.2, 0.6))
            end_sessions(postgres_database)
            if number % 2 == 0:
                await take_its_slot(postgres_database, queue)
        await asyncio.sleep(0.2)
        for one in sending:
            one.cancel()
        await asyncio.gather(*sending, return_exceptions=True)
        await until_idle(queue, seconds=60)
        assert events.lost == []
        assert queue._claims.take_orphans() == []
        assert await queue.healthy()
    assert events.confirmed > 10 * times, "under load"


async def take_its_slot(database: str, queue: JobQueue) -> None:
    """Take the slot of a queue whose session broke, and keep it until the queue has another."""
    lost, newcomer = queue._slot, open_database(database)
    try:
        if await asyncio.to_thread(newcomer.take_slot) == lost:
            await until(lambda: queue._slot != lost and not queue._stopping, seconds=30)
    finally:
        newcomer.leave_slot()


def end_sessions(database: str) -> None:
    """End every session with a database, as a restart of the server does."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


async def test_events_that_relied_on_a_claimed_job_outlive_a_new_beginning(postgres_database: str) -> None:
    """Another process has done the claimed job in the meantime, so that nothing is left of it to put back."""
    away, reviewed = True, []

    async def review(patient_id: str, _: str) -> None:
        if away:
            raise ServerUnreachable("no answer")
        reviewed.append(patient_id)

    async with JobQueue(postgres_database, review, pace=Pace(first_wait=60, polling=0.05, lease=1)) as queue:
        await queue.accept(["first"], "test")
        await until(lambda: queue.paused is not None)
        await queue.accept(["1"], "test")
        await until(lambda: "patient:1" in queue._claims._waiting)
        end_sessions(postgres_database)
        with psycopg.connect(postgres_database, autocommit=True) as connection:
            connection.execute(
                "UPDATE dbos.workflow_status SET status = 'SUCCESS', completed_at = 0"
                " WHERE queue_partition_key = 'patient:1'"
            )
        await queue.accept(["1"], "test")
        assert "patient:1" in queue._claims._relying
        await take_its_slot(postgres_database, queue)
        away = False
        await queue._gate.close()
        queue._gate._open.set()
        await until(lambda: reviewed == ["1"])


async def test_a_job_that_this_process_has_by_the_database_alone_is_put_back(postgres_database: str) -> None:
    reviews, pending = Reviews(), "UPDATE dbos.workflow_status SET status = 'PENDING', completed_at = NULL"
    reviews.gate.set()
    async with JobQueue(postgres_database, reviews, pace=Pace(polling=0.05, lease=0.2)) as queue:
        await queue.accept(["1"], "test")
        await until_idle(queue)
        with psycopg.connect(postgres_database, autocommit=True) as connection:
            connection.execute(pending)
        await until(lambda: reviews.done == ["1", "1"])
        await until_idle(queue)


async def test_a_job_that_runs_is_not_put_back(postgres_database: str) -> None:
    reviews = Reviews()
    async with JobQueue(postgres_database, reviews, pace=Pace(polling=0.05, lease=0.1)) as queue:
        await queue.accept(["1"], "test")
        await until(lambda: reviews.begun == ["1"])
        await asyncio.sleep(0.6)
        reviews.gate.set()
        await until_idle(queue)
    assert reviews.begun == ["1"]
