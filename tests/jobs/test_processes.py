"""Working processes that are killed, and several on one database."""

import asyncio
import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from service.queue.jobs import Jobs

pytestmark = [pytest.mark.matrix, pytest.mark.soak]

_ROOT = Path(__file__).parents[2]
_WORKER = Path(__file__).with_name("worker.py")


def away_of(output: Path) -> Path:
    """The file that exists while the FHIR server is away."""
    return output.with_suffix(".away")


class Worker:
    """A process started from worker.py."""

    def __init__(self, url: str, output: Path, *, lease: float = 10, seconds: float = 0.02) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(_WORKER), url, str(output), str(lease), str(seconds), str(away_of(output))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(_ROOT)},
            text=True,
        )
        self.pid = self._process.pid

    def answer(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def accept(self, patient_id: str) -> str:
        """Hand over an event; returns what the process answers once it has accepted it."""
        self.send(patient_id)
        return self.answer()

    def send(self, patient_id: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{patient_id}\n")
        self._process.stdin.flush()

    def kill(self) -> None:
        self._process.kill()
        self._close()

    def stop(self) -> int:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=60)
        self._close()
        return self._process.returncode

    def _close(self) -> None:
        self._process.wait(timeout=60)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


@contextmanager
def working(*workers: Worker) -> Iterator[None]:
    """Wait until all work; whatever happens, none outlives the block."""
    try:
        for worker in workers:
            assert worker.answer() == "ready"
        yield
    finally:
        for worker in workers:
            worker.kill()


def lines(output: Path) -> list[list[str]]:
    return [line.split() for line in output.read_text().splitlines()] if output.exists() else []


def ended(output: Path) -> set[str]:
    return {patient_id for what, patient_id, *_ in lines(output) if what == "end"}


def until(true: Callable[[], bool], *, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def assert_one_at_a_time(output: Path, *, killed: int | None = None) -> None:
    """No review of a patient begins before the last one of that patient has ended, or died."""
    running: dict[str, int] = {}
    for what, patient_id, process, _ in sorted(lines(output), key=lambda line: float(line[3])):
        if what == "start":
            assert running.get(patient_id) in (None, killed), f"two reviews of {patient_id}"
            running[patient_id] = int(process)
        elif running.get(patient_id) == int(process):
            del running[patient_id]


def test_no_accepted_event_is_lost_when_the_process_is_killed(database: str, tmp_path: Path) -> None:
    output = tmp_path / "reviews"
    events = [f"p{number}" for number in range(100)]
    first = Worker(database, output, seconds=0.3)
    with working(first):
        accepted = [first.accept(event) for event in events[:60]]
        for event in events[60:70]:
            first.send(event)  # under way when the process dies: accepted or not, nobody knows
        until(lambda: len(ended(output)) > 0)
    assert accepted == events[:60]
    assert len(ended(output)) < 60, "killed in the middle"
    second = Worker(database, output)
    with working(second):
        for event in events[60:]:
            assert second.accept(event) == event
        asyncio.run(_until_idle(database))
        assert second.stop() == 0
    assert ended(output) == set(events)
    assert_one_at_a_time(output, killed=first.pid)


def test_no_event_is_lost_when_the_process_is_killed_in_an_outage(database: str, tmp_path: Path) -> None:
    output = tmp_path / "reviews"
    events = [f"p{number}" for number in range(100)]
    away_of(output).touch()
    for _ in range(2):
        worker = Worker(database, output)
        with working(worker):
            assert [worker.accept(event) for event in events] == events
            time.sleep(2)  # some are claimed by now, and wait for the server
    assert not lines(output)
    last = Worker(database, output)
    with working(last):
        time.sleep(2)
        away_of(output).unlink()
        until(lambda: ended(output) == set(events))
        asyncio.run(_until_idle(database))
        assert last.stop() == 0

    assert asyncio.run(_counts(database))["failed"] == 0


def test_two_processes_share_the_work_and_never_a_patient(postgres_database: str, tmp_path: Path) -> None:
    output = tmp_path / "reviews"
    workers = [Worker(postgres_database, output) for _ in range(2)]
    with working(*workers):
        asyncio.run(_accept(postgres_database, [f"p{number}" for number in range(200)]))
        for number in range(200):
            workers[number % 2].accept(f"p{number % 10}")
        until(lambda: len(ended(output)) == 200)
        asyncio.run(_until_idle(postgres_database))
        assert [worker.stop() for worker in workers] == [0, 0]
    assert_one_at_a_time(output)
    share: dict[str, int] = defaultdict(int)
    for what, _, process, _ in lines(output):
        share[process] += what == "end"
    assert set(share) == {str(worker.pid) for worker in workers}


def test_the_jobs_of_a_process_that_never_returns_are_taken_over(
    postgres_database: str, tmp_path: Path
) -> None:
    output = tmp_path / "reviews"
    events = {f"p{number}" for number in range(40)}
    gone = Worker(postgres_database, output, seconds=3)
    with working(gone):
        asyncio.run(_accept(postgres_database, sorted(events)))
        until(lambda: len(lines(output)) > 0)
        stays = Worker(postgres_database, output, lease=0.5)
        with working(stays):
            gone.kill()
            assert ended(output) < events
            until(lambda: ended(output) == events)
            asyncio.run(_until_idle(postgres_database))
            assert stays.stop() == 0
    assert_one_at_a_time(output, killed=gone.pid)


async def _accept(database: str, patient_ids: list[str]) -> None:
    async with Jobs(database) as queue:
        await queue.accept(patient_ids, "test")


async def _counts(database: str) -> dict[str, int]:
    async with Jobs(database) as queue:
        return await queue.counts()


async def _until_idle(database: str) -> None:
    async with Jobs(database) as queue:
        deadline = time.monotonic() + 60
        while (counts := await queue.counts())["waiting"] or counts["running"]:
            assert time.monotonic() < deadline, "waited in vain"
            await asyncio.sleep(0.1)
