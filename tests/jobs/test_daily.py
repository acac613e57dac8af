"""The daily review: when it is due, that it is queued, and whom it has reviewed."""

import asyncio
from collections import Counter
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from service.cause import Cause
from service.errors import QueueError
from service.queue.daily import DAILY, next_daily, queue_daily, reviewing_daily
from service.queue.jobs import JobQueue, Jobs
from service.queue.tries import Pace
from service.queue.work import Work
from service.telemetry.metrics import Metrics
from tests.fhir.double import FhirDouble
from tests.fhir.test_write import a_resistant_record
from tests.fhir.test_write import propose as propose_plan
from tests.jobs.test_jobs import until, until_idle
from tests.support import client_of, reviewer, settings

START = datetime(2026, 11, 23, 9, 59, 30, tzinfo=UTC)
FIVE = time(5)


class Days(Jobs):
    """A queue that keeps the tasks it was handed, after so many failures."""

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.tasks: list[tuple[str, str, str]] = []

    async def accept_task(self, name: str, reference: str, cause: str = "task") -> None:
        if self.failures:
            self.failures -= 1
            raise QueueError("the queue's database failed")
        self.tasks.append((name, reference, cause))


class Time:
    """A clock that goes on only while somebody sleeps; the `end` of time ends the sleeper."""

    def __init__(self, start: datetime, end: datetime) -> None:
        self.instant, self.end = start, end
        self.naps: list[float] = []

    def now(self) -> datetime:
        return self.instant

    async def sleep(self, seconds: float) -> None:
        self.naps.append(seconds)
        self.instant += timedelta(seconds=seconds)
        if self.instant > self.end:
            raise asyncio.CancelledError


async def queued(
    queue: Days, passing: Time, at: time = FIVE, timezone: str = "America/New_York"
) -> list[str]:
    with pytest.raises(asyncio.CancelledError):
        await queue_daily(queue, at, timezone, now=passing.now, sleep=passing.sleep)
    assert {(name, cause) for name, _, cause in queue.tasks} <= {(DAILY, Cause.DAILY)}
    return [day for _, day, _ in queue.tasks]


# --- when -----------------------------------------------------------------------------------------


def test_it_is_due_at_its_time_at_the_site() -> None:
    five_in_new_york = datetime(2026, 11, 23, 10, tzinfo=UTC)

    assert next_daily(START, FIVE, "America/New_York") == five_in_new_york
    assert next_daily(five_in_new_york, FIVE, "America/New_York") == five_in_new_york + timedelta(days=1)


@pytest.mark.parametrize("at", [time(0), time(0, 30), time(1, 30), time(2, 30), FIVE, time(23, 59)], ids=str)
@pytest.mark.parametrize(
    "timezone", ["UTC", "America/New_York", "Europe/Berlin", "America/Santiago", "Australia/Lord_Howe"]
)
def test_every_day_has_one_review(timezone: str, at: time) -> None:
    """A year with its changes of the clocks: hours that are skipped, and hours that come twice."""
    zone, instant = ZoneInfo(timezone), datetime(2026, 1, 1, tzinfo=UTC)
    days: Counter[date] = Counter()
    while instant.year == 2026:
        instant = next_daily(instant, at, timezone)
        days[instant.astimezone(zone).date()] += 1

    first = min(days)
    assert days == Counter(first + timedelta(days=number) for number in range(len(days)))
    assert len(days) in {365, 366}


# --- what is queued -------------------------------------------------------------------------------


async def test_each_day_is_queued_once() -> None:
    passing = Time(START, START + timedelta(days=3))

    assert await queued(Days(), passing) == ["2026-11-23", "2026-11-24", "2026-11-25"]
    assert max(passing.naps) == 60, "the clock is looked at again"


async def test_the_day_is_that_of_the_site() -> None:
    assert await queued(Days(), Time(START, START + timedelta(days=1)), FIVE, "Pacific/Auckland") == [
        "2026-11-24"
    ]


async def test_a_day_that_cannot_be_stored_is_tried_again() -> None:
    passing = Time(START, START + timedelta(hours=1))

    assert await queued(Days(failures=3), passing) == ["2026-11-23"]


async def test_after_a_long_sleep_of_the_machine_one_review_makes_up_for_all() -> None:
    passing = Time(START, START + timedelta(days=6))

    async def sleep(seconds: float) -> None:
        await passing.sleep(seconds if passing.naps else timedelta(days=5).total_seconds())

    queue = Days()
    with pytest.raises(asyncio.CancelledError):
        await queue_daily(queue, FIVE, "America/New_York", now=passing.now, sleep=sleep)
    assert [day for _, day, _ in queue.tasks] == ["2026-11-23", "2026-11-28"]


async def test_it_runs_while_the_service_does() -> None:
    times = iter([START])
    queue = Days()

    def now() -> datetime:
        return next(times, START + timedelta(minutes=1))

    async with reviewing_daily(queue, settings(timezone="America/New_York"), now=now):
        await until(lambda: bool(queue.tasks))

    assert queue.tasks == [(DAILY, "2026-11-23", Cause.DAILY)]
    assert not [task for task in asyncio.all_tasks() if "queue_daily" in repr(task)]


async def test_without_a_time_it_never_runs() -> None:
    async with reviewing_daily(
        Days(), settings(daily_at="off"), now=lambda: pytest.fail("the clock was read")
    ):
        await asyncio.sleep(0)


# --- whom it has reviewed -------------------------------------------------------------------------


def queue_of(folder: Path) -> str:
    return f"sqlite:///{folder / 'queue.sqlite'}"


async def test_the_patients_found_are_queued(tmp_path: Path) -> None:
    server = FhirDouble(a_resistant_record())
    await propose_plan(server)
    seen: list[tuple[str, str]] = []

    async def review(patient_id: str, cause: str) -> None:
        seen.append((patient_id, cause))

    work = Work(reviewer(), client_of(server), Metrics())
    tasks = {DAILY: work.review_daily}
    async with JobQueue(queue_of(tmp_path), review, tasks=tasks, pace=Pace(polling=0.05)) as queue:
        work.queue = queue
        await queue.accept_task(DAILY, "2026-11-23", Cause.DAILY)
        await until(lambda: bool(seen))

    assert seen == [("ann", "daily")]


async def test_twenty_daily_reviews_at_once_are_one(tmp_path: Path) -> None:
    """As when several processes on one queue find the day due, and each finds the same patients."""
    begun: list[str] = []
    gate = asyncio.Event()

    async def wait(reference: str, _: str) -> None:
        begun.append(reference)
        await gate.wait()

    pace = Pace(workers=1, polling=0.05)
    async with JobQueue(queue_of(tmp_path), wait, tasks={DAILY: wait}, pace=pace) as queue:

        async def ask() -> None:
            await queue.accept_task(DAILY, "2026-11-23", Cause.DAILY)
            await queue.accept(["ann"], Cause.DAILY)

        await queue.accept(["busy"], "test")
        await until(lambda: begun == ["busy"])
        await ask()
        await asyncio.sleep(0.3)  # both are claimed by now, but not begun
        await asyncio.gather(*(ask() for _ in range(19)))
        gate.set()
        await until_idle(queue)

    assert sorted(begun) == ["2026-11-23", "ann", "busy"]


async def test_reviews_day_by_day_write_nothing_where_nothing_changed() -> None:
    server = FhirDouble(a_resistant_record())
    await propose_plan(server)
    posted = len(server.posted)

    for days in range(1, 8):
        again = await propose_plan(server, days=days)
        assert (again.written, len(server.posted)) == ((), posted)
