"""The periodic sweep: no change is missed, whatever becomes of the process, the server or a clock."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.cause import Cause
from service.errors import QueueError, ServerRefused
from service.queue.jobs import Jobs, State
from service.queue.sweeps import ALL_KINDS, CHANGES, OVERLAP, Sweep, queue_sweeps, sweeping, windows
from service.queue.watermarks import Watermark
from service.telemetry.metrics import Metrics
from tests.fhir import searching
from tests.fhir.double import FhirDouble
from tests.support import BASE, Resource, a_condition, a_patient, client_of, reviewer, settings

START = datetime(2026, 11, 23, 10, tzinfo=UTC)
EVERY = timedelta(hours=1)
FOLDER = Path(__file__).parents[2]


class Site(FhirDouble):
    """A server with a clock, by which it says when a resource changed and what time it is.

    The clock that it shows is `ahead` of the one that it stores by; without `shows_time` it shows none.
    `refuses` are kinds, each with the status that a search for it is answered with.
    """

    def __init__(self, *resources: Resource) -> None:
        self.clock = START
        self.ahead = timedelta()
        self.shows_time = True
        self.refuses: dict[str, int] = {}
        self.asked: list[tuple[str, list[str]]] = []
        super().__init__(resources)

    def put(self, resource: Resource) -> Resource:
        meta = {**resource.get("meta", {}), "lastUpdated": self.clock.isoformat(timespec="milliseconds")}
        return super().put({**resource, "meta": meta})

    def __call__(self, request: httpx.Request) -> httpx.Response:
        kind = request.url.path.rpartition("/")[2]
        if "_lastUpdated" in request.url.params:
            self.asked.append((kind, request.url.params.get_list("_lastUpdated")))
        status = self.refuses.get(kind)
        answer = super().__call__(request) if status is None else httpx.Response(status)
        if self.shows_time:
            answer.headers["Date"] = format_datetime(self.clock + self.ahead, usegmt=True)
        return answer

    def windows_of(self, kind: str) -> list[list[str]]:
        return [window for asked, window in self.asked if asked == kind]


class Kept(Jobs):
    """A queue in memory. What it is to store fails while it `fails`."""

    def __init__(self) -> None:
        self.fails = False
        self.found: list[str] = []
        self.marks: dict[tuple[str, str], Watermark] = {}
        self.tasks: list[tuple[str, str, str]] = []

    async def accept(self, patient_ids: Iterable[str], cause: str) -> None:
        self._check()
        assert cause == Cause.SWEEP
        self.found += patient_ids

    async def accept_task(self, name: str, reference: str, cause: str = "task") -> None:
        self._check()
        self.tasks.append((name, reference, cause))

    async def watermark(self, server: str, kind: str) -> Watermark | None:
        return self.marks.get((server, kind))

    async def advance(self, server: str, kind: str, watermark: Watermark) -> None:
        self._check()
        self.marks[server, kind] = watermark

    def _check(self) -> None:
        if self.fails:
            raise QueueError("the queue's database failed")


class World(NamedTuple):
    """A server, a queue, and the clock of the service, which is `apart` from that of the server."""

    site: Site
    queue: Kept
    apart: list[timedelta]

    def sweep(self) -> Sweep:
        """A sweep by a process that has just started."""
        return Sweep(
            client=client_of(self.site, attempts=1),
            knowledge=reviewer().knowledge,
            metrics=Metrics(),
            every=EVERY,
            now=lambda: self.site.clock + self.apart[0],
        )

    async def found(self, *, after: timedelta = EVERY) -> list[str]:
        """Whom a sweep finds after a while."""
        self.site.clock += after
        before = len(self.queue.found)
        await self.sweep().run(self.queue)
        return sorted(set(self.queue.found[before:]))

    def change(self, patient: str, *, after: timedelta = timedelta()) -> None:
        """The record of a patient changes after a while."""
        self.site.clock += after
        self.site.put(a_condition(f"{patient}s", patient))

    def mark(self, kind: str = "Condition") -> datetime:
        return self.queue.marks[BASE, kind].reached


def a_world() -> World:
    return World(Site(a_patient("ann"), a_patient("bob")), Kept(), [timedelta()])


# --- whom it finds --------------------------------------------------------------------------------


async def test_the_first_sweep_begins_with_the_clock_of_the_server() -> None:
    world = a_world()
    world.apart[0] = timedelta(days=-400)
    assert await world.found() == []
    assert world.mark() == START + EVERY
    assert world.site.asked == []


async def test_a_change_that_nobody_told_of_is_found_once_the_overlap_is_over() -> None:
    world = a_world()
    await world.found()
    world.change("ann", after=timedelta(minutes=30))
    assert await world.found() == ["ann"]
    assert world.mark() == world.site.clock
    assert await world.found() == []


async def test_a_sweep_that_is_not_due_asks_for_nothing() -> None:
    """As when the interval of another process, or of one that was started again, ends in between."""
    world = a_world()
    await world.found()
    world.change("ann")
    assert await world.found(after=EVERY / 2) == []
    assert await world.found(after=EVERY / 2) == ["ann"]


async def test_after_three_days_away_each_day_is_swept_by_itself_and_kept() -> None:
    world = a_world()
    await world.found()
    for patient in ("ann", "bob"):
        world.change(patient, after=timedelta(days=1, hours=5))
    assert await world.found(after=timedelta(days=1)) == ["ann", "bob"]
    swept = world.site.windows_of("Condition")
    assert [len(window) for window in swept] == [2, 2, 2, 1]
    assert all(earlier[1][2:] == later[0][2:] for earlier, later in pairwise(swept))
    assert world.mark() == world.site.clock


async def test_what_was_swept_of_a_long_time_is_not_swept_again() -> None:
    world = a_world()
    await world.found()
    world.change("ann", after=timedelta(hours=3))
    world.site.clock += timedelta(days=3)
    full = world.site.__class__.__call__
    failing = client_of(_failing_after(world.site, full, windows=2), attempts=1)
    sweep = world.sweep()
    sweep.client = failing
    with pytest.raises(ServerRefused):
        await sweep.run(world.queue)
    reached = world.mark("Patient")
    assert START + EVERY < reached < world.site.clock - timedelta(days=1)
    world.site.asked.clear()
    assert await world.found(after=timedelta()) == ["ann"]
    assert world.site.windows_of("Patient")[0][0] == f"ge{(reached - OVERLAP).isoformat()}"


def _failing_after(
    site: Site, answer: Callable[[Site, httpx.Request], httpx.Response], *, windows: int
) -> Callable[[httpx.Request], httpx.Response]:
    def server(request: httpx.Request) -> httpx.Response:
        if "_lastUpdated" in request.url.params and len(site.asked) >= windows:
            return httpx.Response(500)
        return answer(site, request)

    return server


# --- what fails -----------------------------------------------------------------------------------


async def test_the_watermark_stays_where_those_found_cannot_be_stored() -> None:
    world = a_world()
    await world.found()
    before = dict(world.queue.marks)
    world.change("ann")
    world.queue.fails = True
    with pytest.raises(QueueError):
        await world.found()
    assert world.queue.marks[BASE, "Condition"] == before[BASE, "Condition"]
    world.queue.fails = False
    assert await world.found(after=timedelta()) == ["ann"]


@pytest.mark.parametrize("status", [400, 403, 404, 405, 422, 501])
async def test_a_kind_that_is_refused_stops_no_other_and_is_made_up_for(status: int) -> None:
    world = a_world()
    await world.found()
    world.change("ann")
    world.site.refuses = {"Condition": status}
    assert await world.found() == []
    assert world.mark("Condition") == START + EVERY
    assert world.mark("Observation") == world.site.clock
    world.site.refuses.clear()
    assert await world.found(after=timedelta(days=2)) == ["ann"]


@pytest.mark.parametrize("status", [401, 429, 500, 503])
async def test_what_passes_ends_the_sweep_so_that_the_queue_tries_again(status: int) -> None:
    world = a_world()
    await world.found()
    world.change("ann")
    world.site.refuses = {"Condition": status}
    with pytest.raises(ServerRefused):
        await world.found()
    world.site.refuses.clear()
    assert await world.found(after=timedelta()) == ["ann"]


async def test_a_server_that_overlooks_the_time_is_not_swept_and_its_watermark_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = a_world()
    world.change("bob")
    await world.found()
    world.change("ann")
    monkeypatch.delitem(searching._FITS, "_lastUpdated")
    assert await world.found(after=timedelta(days=5)) == []
    assert world.mark("Condition") == START + EVERY


# --- clocks ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("apart", [timedelta(days=-3), timedelta(hours=-2), timedelta(hours=2)])
async def test_our_clock_has_no_say_in_what_is_searched(apart: timedelta) -> None:
    world = a_world()
    world.apart[0] = apart
    await world.found()
    world.change("ann")
    assert await world.found() == ["ann"]


async def test_our_clock_may_be_set_back() -> None:
    world = a_world()
    await world.found()
    world.apart[0] = timedelta(days=-3)
    world.change("ann")
    assert await world.found() == ["ann"]
    assert await world.found() == []


async def test_a_server_that_shows_a_later_time_than_it_stores_by_misses_nothing() -> None:
    """A proxy may set the time, or another machine store the change."""
    world = a_world()
    world.site.ahead = OVERLAP - timedelta(seconds=1)
    await world.found()
    world.change("ann", after=timedelta(seconds=1))
    assert await world.found() == ["ann"]


async def test_a_clock_that_was_set_back_leaves_no_gap() -> None:
    world = a_world()
    world.site.clock += timedelta(hours=5)
    await world.found()
    world.change("bob", after=timedelta(minutes=1))
    world.site.clock -= timedelta(hours=5)
    world.apart[0] = timedelta(hours=5)
    world.change("ann", after=timedelta(minutes=1))
    assert await world.found() == ["ann", "bob"]
    assert world.mark() == world.site.clock


async def test_without_the_clock_of_the_server_the_last_change_is_the_watermark() -> None:
    world = a_world()
    world.site.shows_time = False
    await world.found()
    assert world.mark() == START + EVERY - timedelta(days=1)
    world.change("ann")
    stored = world.site.clock
    assert await world.found(after=timedelta(days=30)) == ["ann", "bob"]
    assert (world.mark(), world.mark("Observation")) == (stored, START + EVERY - timedelta(days=1))


@given(
    steps=st.lists(
        st.one_of(
            st.tuples(st.just("change"), st.integers(0, 5)),
            st.tuples(st.just("pass"), st.integers(1, 5000)),
            st.tuples(st.just("sweep"), st.integers(0, 40)),
        ),
        max_size=12,
    ),
    ahead=st.integers(-600, 590),
    apart=st.integers(-100_000, 100_000),
)
async def test_every_change_is_found_by_the_next_sweep_that_ends(
    steps: list[tuple[str, int]], ahead: int, apart: int
) -> None:
    """Minutes pass, records change, and sweeps break off: many histories, which take a few seconds."""
    world = a_world()
    world.site.ahead, world.apart[0] = timedelta(seconds=ahead), timedelta(seconds=apart)
    await world.found()
    changed: set[str] = set()
    for what, number in steps:
        if what == "change":
            changed.add(f"p{number}")
            world.change(f"p{number}", after=timedelta(seconds=1))
        elif what == "pass":
            world.site.clock += timedelta(minutes=number)
        else:
            sweep = world.sweep()
            sweep.client = client_of(_cut_after(world.site, number), attempts=1)
            with suppress(ServerRefused):
                await sweep.run(world.queue)
    await world.found(after=EVERY)
    assert changed <= set(world.queue.found)


def _cut_after(site: Site, requests: int) -> Callable[[httpx.Request], httpx.Response]:
    left = [requests]

    def server(request: httpx.Request) -> httpx.Response:
        left[0] -= 1
        return site(request) if left[0] >= 0 else httpx.Response(503)

    return server


@given(
    behind=st.timedeltas(timedelta(), timedelta(days=40)), back=st.timedeltas(timedelta(), timedelta(days=2))
)
def test_the_windows_join_and_the_last_one_is_open(behind: timedelta, back: timedelta) -> None:
    there = START + behind
    found = list(windows(START + back, there))
    assert found[0].since == START + back
    assert all(one.until == later.since for one, later in pairwise(found))
    assert found[-1].until is None
    assert all(one.until is not None and one.until <= there for one in found[:-1])


# --- that it is kept ------------------------------------------------------------------------------


async def test_the_watermark_outlives_a_restart_and_is_of_one_server(database: str) -> None:
    mark = Watermark(START, START + EVERY)
    async with Jobs(database) as queue:
        assert await queue.watermark(BASE, "Condition") is None
        await queue.advance(BASE, "Condition", Watermark(START - EVERY, START))
        await queue.advance(BASE, "Condition", mark)
    async with Jobs(database) as queue:
        assert await queue.watermark(BASE, "Condition") == mark
        assert await queue.watermark(BASE, "Observation") is None
        assert await queue.watermark("http://another/fhir", "Condition") is None


async def test_a_restart_sweeps_from_where_it_ended(sqlite_database: str) -> None:
    world = a_world()
    world.site.clock += EVERY
    async with Jobs(sqlite_database) as queue:
        await world.sweep().run(queue)
    world.change("ann", after=timedelta(minutes=5))
    world.site.clock += EVERY
    async with Jobs(sqlite_database) as queue:
        await world.sweep().run(queue)
        assert [(job.reference, job.cause) for job in await queue.jobs()] == [("ann", "sweep")]


@pytest.mark.parametrize("killed", [pytest.param("found", marks=pytest.mark.matrix), "stored"])
def test_a_process_killed_in_a_sweep_leaves_it_to_the_next_one(
    database: str, tmp_path: Path, killed: str
) -> None:
    """Two processes start, which takes longer than a second."""
    asyncio.run(_keep_watermarks(database))
    with _process(database, tmp_path / "asked", killed) as dying:
        assert dying.wait(120) == -signal.SIGKILL
    waiting, mark = asyncio.run(_state_of(database))
    assert (waiting, mark) == ([] if killed == "found" else ["ann"], START)

    async def again() -> None:
        from tests.jobs.sweeper import a_sweep  # noqa: PLC0415 - it imports this module

        async with Jobs(database) as queue:
            await a_sweep(tmp_path / "asked").run(queue)

    asyncio.run(again())
    waiting, mark = asyncio.run(_state_of(database))
    assert (waiting, mark) == (["ann"], START + EVERY)


@pytest.mark.matrix
def test_two_processes_sweep_once(postgres_database: str, tmp_path: Path) -> None:
    """Two processes start, which takes longer than a second."""
    asyncio.run(_keep_watermarks(postgres_database))
    asked = tmp_path / "asked"
    both = [_process(postgres_database, asked, "never") for _ in range(2)]
    try:
        for process in both:
            assert _said(process) == "ready"
        for _ in range(3):
            for process in both:
                assert process.stdin is not None
                process.stdin.write(b"sweep\n")
                process.stdin.flush()
                assert _said(process) == "asked"
        asyncio.run(_until_swept(postgres_database))
    finally:
        for process in both:
            process.communicate(timeout=60)
    kinds = asked.read_text(encoding="utf-8").split()
    assert len(kinds) == len(set(kinds)) > 1


def _process(database: str, asked: Path, mode: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", "tests.jobs.sweeper", database, str(asked), mode],
        cwd=FOLDER,
        env={**os.environ, "PYTHONPATH": str(FOLDER)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )


def _said(process: "subprocess.Popen[bytes]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().decode().strip()


async def _keep_watermarks(database: str) -> None:
    site = Site(a_patient("ann"))
    async with Jobs(database) as queue:
        await World(site, Kept(), [timedelta()]).sweep().run(queue)


async def _state_of(database: str) -> tuple[list[str], datetime]:
    async with Jobs(database) as queue:
        mark = await queue.watermark(BASE, "Condition")
        assert mark is not None
        return [job.reference for job in await queue.jobs(State.WAITING)], mark.reached


async def _until_swept(database: str) -> None:
    async with Jobs(database) as queue, asyncio.timeout(60):
        while sum((await queue.counts()).values()):  # noqa: ASYNC110 - another process ends it
            await asyncio.sleep(0.1)


# --- when -----------------------------------------------------------------------------------------


async def test_it_is_queued_at_once_and_then_at_its_interval() -> None:
    queue, naps = Kept(), list[float]()

    async def sleep(seconds: float) -> None:
        naps.append(seconds)
        queue.fails = len(naps) == 1
        if len(naps) > 3:
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await queue_sweeps(queue, EVERY, sleep=sleep)
    assert queue.tasks == [(CHANGES, ALL_KINDS, Cause.SWEEP)] * 3
    assert naps == [3600, 60, 3600, 3600], "one that cannot be stored is tried again soon"


async def test_it_is_off_where_it_is_set_off() -> None:
    queue = Kept()
    async with sweeping(queue, settings(sweep_every="off")):
        await asyncio.sleep(0)
    assert queue.tasks == []
    async with sweeping(queue, settings(sweep_every="15")):
        await asyncio.sleep(0)
    assert queue.tasks == [(CHANGES, ALL_KINDS, Cause.SWEEP)]
