"""One process and its queue, on SQLite and on PostgreSQL."""

import asyncio
import os
import resource
import shutil
import stat
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import timedelta
from functools import partial
from pathlib import Path
from unittest.mock import patch

import pytest
import sqlalchemy as sa
from dbos import DBOS
from sqlalchemy.exc import OperationalError

from service.errors import InputError, NotAssessable, QueueError, ServerMisread, SettingsError, SetupError
from service.queue.database import Postgres
from service.queue.jobs import Job, JobQueue, Jobs, State
from service.queue.tries import Pace, Task
from tests.jobs.postgres import dump_text

CANARY = "Canarybird"
FAST = Pace(first_wait=0.1, attempts=2, patience=timedelta(), polling=0.05)
"""Here an outage has no patience, and what nobody foresaw is tried twice."""


class Reviews:
    """A review that waits for its gate and keeps count."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.done: list[str] = []
        self.most_at_once = 0
        self.gate = asyncio.Event()
        self._now: list[str] = []

    async def __call__(self, patient_id: str, _: str) -> None:
        assert patient_id not in self._now, "two reviews of one patient at a time"
        self.begun.append(patient_id)
        self._now.append(patient_id)
        self.most_at_once = max(self.most_at_once, len(self._now))
        try:
            await self.gate.wait()
            self.done.append(patient_id)
        finally:
            self._now.remove(patient_id)


async def until(true: Callable[[], bool], *, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "waited in vain"
        await asyncio.sleep(0.02)


async def until_idle(queue: Jobs, *, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while (counts := await queue.counts())["waiting"] or counts["running"]:
        assert time.monotonic() < deadline, "waited in vain"
        await asyncio.sleep(0.05)


async def only_job(queue: Jobs, state: State) -> Job:
    (job,) = await queue.jobs(state)
    return job


async def test_events_of_a_waiting_patient_are_one_review(database: str) -> None:
    reviews = Reviews()
    async with JobQueue(database, reviews, pace=Pace(workers=1, polling=0.05)) as queue:
        await queue.accept(["busy"], "test")
        await until(lambda: reviews.begun == ["busy"])
        await queue.accept(["waits", "waits"], "test")
        await asyncio.sleep(0.3)  # it is claimed by now, but not begun
        for _ in range(5):
            await queue.accept(["waits"], "test")
        reviews.gate.set()
        await until_idle(queue)
    assert reviews.done == ["busy", "waits"]


async def test_twenty_events_during_a_review_are_one_further_review(database: str) -> None:
    reviews = Reviews()
    async with JobQueue(database, reviews, pace=FAST) as queue:
        await asyncio.gather(*(queue.accept(["1"], "test") for _ in range(20)))
        await until(lambda: reviews.begun == ["1"])
        await asyncio.gather(*(queue.accept(["1"], "test") for _ in range(20)))
        assert [job.state for job in await queue.jobs()] == [State.WAITING, State.RUNNING]
        await asyncio.sleep(0.3)
        assert reviews.begun == ["1"]
        reviews.gate.set()
        await until_idle(queue)
        assert await queue.counts() == {"waiting": 0, "running": 0, "failed": 0, "done": 2}
    assert reviews.done == ["1", "1"]


async def test_different_patients_run_at_once_up_to_the_workers(database: str) -> None:
    reviews = Reviews()
    async with JobQueue(database, reviews, pace=Pace(workers=3, polling=0.05)) as queue:
        await queue.accept([str(number) for number in range(10)], "test")
        await until(lambda: len(reviews.begun) == 3)
        reviews.gate.set()
        await until_idle(queue)
    assert sorted(reviews.done) == [str(number) for number in range(10)]
    assert reviews.most_at_once == 3


async def test_a_job_is_tried_again_then_kept_as_failed_then_retried(database: str) -> None:
    working = asyncio.Event()
    tries: list[float] = []

    async def review(_: str, __: str) -> None:
        tries.append(time.monotonic())
        if not working.is_set():
            raise ServerMisread("the answer is not FHIR JSON")

    async with JobQueue(database, review, pace=FAST) as queue:
        await queue.accept(["1"], "rest-hook")
        await until_idle(queue)
        job = await only_job(queue, State.FAILED)
        assert (job.kind, job.reference, job.cause) == ("patient", "1", "rest-hook")
        assert (job.attempts, job.reason) == (2, "ServerMisread: the answer is not FHIR JSON")
        assert job.finished is not None
        assert job.finished >= job.created
        assert len(tries) == 2
        assert tries[1] - tries[0] >= 0.1
        assert await queue.jobs(State.DONE) == []
        working.set()
        await queue.retry(job.id)
        await until_idle(queue)
        assert [job.state for job in await queue.jobs()] == [State.DONE]
        with pytest.raises(InputError):
            await queue.retry(job.id)


async def test_a_record_that_cannot_be_used_fails_at_once(database: str) -> None:
    async def review(_: str, __: str) -> None:
        raise NotAssessable("Patient/1 is merged into Patient/2")

    async with JobQueue(database, review, pace=FAST) as queue:
        await queue.accept(["1"], "test")
        await until_idle(queue)
        job = await only_job(queue, State.FAILED)
    assert (job.attempts, job.reason) == (1, "NotAssessable: Patient/1 is merged into Patient/2")


async def test_the_text_of_a_foreign_error_is_stored_and_logged_nowhere(
    database: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    record: dict[str, str] = {}

    async def review(_: str, __: str) -> None:
        try:
            record[CANARY]
        except KeyError as error:
            raise ValueError(f"{CANARY} has no birth date") from error

    with caplog.at_level("DEBUG"):
        async with JobQueue(database, review, pace=FAST) as queue:
            await queue.accept(["1"], "test")
            await until_idle(queue)
            assert (await only_job(queue, State.FAILED)).reason.startswith("ValueError at test_jobs.py:")  # type: ignore[union-attr]
            stored = _stored(database, tmp_path)
    assert "ValueError" in stored
    for text in (stored, _stored(database, tmp_path), caplog.text, *capfd.readouterr()):
        assert CANARY not in text


def _stored(database: str, folder: Path) -> str:
    if database.startswith("postgresql"):
        return dump_text(database)
    return "".join(path.read_bytes().decode("latin-1") for path in folder.glob("queue.sqlite*"))


@pytest.mark.parametrize("bad", ["Peter James", "1?name=x", "", "1/2", "..", "[1]", "1" * 257, "é"])
async def test_only_references_are_accepted(sqlite_database: str, bad: str) -> None:
    async with Jobs(sqlite_database) as queue:
        with pytest.raises(InputError) as refused:
            await queue.accept(["1", bad], "test")
        assert await queue.jobs() == []
    assert not bad or bad not in str(refused.value)


async def test_tasks_go_to_the_handler_of_their_name(database: str) -> None:
    seen: list[tuple[str, str, str]] = []

    def handler(name: str) -> Callable[[str, str], Awaitable[None]]:
        async def handle(reference: str, cause: str) -> None:
            seen.append((name, reference, cause))

        return handle

    tasks = {name: handler(name) for name in ("sweep", "deleted")}
    async with JobQueue(database, handler("patient"), tasks=tasks, pace=FAST) as queue:
        await queue.accept_task("sweep", "2026-11-23T10:00:00.000+13:00")
        await queue.accept_task("deleted", "Condition/7")
        await queue.accept_task("unheard-of", "7")
        await queue.accept(["7"], "test")
        await until_idle(queue)
        assert (await only_job(queue, State.FAILED)).reason == "nothing here handles this kind"
    expected = [
        ("deleted", "Condition/7", "task"),
        ("patient", "7", "test"),
        ("sweep", "2026-11-23T10:00:00.000+13:00", "task"),
    ]
    assert sorted(seen) == expected


async def test_the_end_waits_for_a_running_review_and_leaves_the_rest(database: str) -> None:
    first, second = Reviews(), Reviews()
    async with JobQueue(database, first, pace=Pace(workers=1, polling=0.05)) as queue:
        await queue.accept(["1", "2"], "test")
        await until(lambda: len(first.begun) == 1)
        asyncio.get_running_loop().call_later(0.5, first.gate.set)
    assert len(first.done) == 1
    async with Jobs(database) as queue:
        assert await queue.counts() == {"waiting": 1, "running": 0, "failed": 0}
    second.gate.set()
    async with JobQueue(database, second, pace=FAST) as queue:
        await until_idle(queue)
    assert sorted(first.done + second.done) == ["1", "2"]


async def test_a_review_longer_than_the_grace_is_done_again(database: str) -> None:
    first, second = Reviews(), Reviews()
    async with JobQueue(database, first, pace=Pace(grace=0.1, polling=0.05)) as queue:
        await queue.accept(["1"], "test")
        await until(lambda: first.begun == ["1"])
    assert first.done == []
    second.gate.set()
    async with JobQueue(database, second, pace=FAST) as queue:
        await until_idle(queue)
    assert second.done == ["1"]


async def test_the_queue_can_be_seen_and_filled_without_working(database: str) -> None:
    async with Jobs(database) as queue:
        await queue.accept(["1"], "cli")
        await queue.accept(["1", "2"], "cli")
        assert await queue.counts() == {"waiting": 2, "running": 0, "failed": 0}
        assert {job.reference for job in await queue.jobs(State.WAITING)} == {"1", "2"}
        assert all(job.attempts == 0 for job in await queue.jobs())
        assert await queue.healthy()
        with pytest.raises(InputError):
            await queue.retry("no-such-job")


@contextmanager
def _no_file_may_grow(_: Path) -> Iterator[None]:
    """Have every write to a file fail, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextmanager
def _little_room(path: Path) -> Iterator[None]:
    usage = shutil.disk_usage(path.parent)
    with patch("shutil.disk_usage", lambda _: usage._replace(free=1024)):
        yield


def _lasting(fault: Callable[[Path], object]) -> Callable[[Path], AbstractContextManager[object]]:
    return lambda path: nullcontext(fault(path))


FAULTS: dict[str, Callable[[Path], AbstractContextManager[object]]] = {
    "deleted": _lasting(Path.unlink),
    "damaged": _lasting(lambda path: path.write_bytes(b"x" * path.stat().st_size)),
    "cut off": _lasting(partial(os.truncate, length=8192)),
    "no room": _little_room,
    "no byte more": _no_file_may_grow,
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
async def test_a_queue_that_cannot_keep_an_event_is_not_well(
    sqlite_database: str, fault: Callable[[Path], AbstractContextManager[object]]
) -> None:
    async with Jobs(sqlite_database) as queue:
        await queue.accept(["1"], "test")
        assert await queue.healthy()
        with fault(Path(sqlite_database.removeprefix("sqlite:///"))):
            assert not await queue.healthy()


async def test_a_queue_on_postgresql_that_takes_no_writes_is_not_well(postgres_database: str) -> None:
    async with Jobs(postgres_database) as queue:
        assert await queue.healthy()
        with queue._engine.begin() as connection:
            connection.exec_driver_sql("DROP TABLE dbos.trd_heartbeat")
        assert not await queue.healthy()


async def test_done_jobs_are_forgotten_after_a_while(database: str) -> None:
    reviews = Reviews()
    reviews.gate.set()
    pace = Pace(polling=0.05, lease=0.2, keep_done=timedelta(seconds=1))
    async with JobQueue(database, reviews, pace=pace) as queue:
        await queue.accept(["1"], "test")
        await until(lambda: reviews.done == ["1"])
        deadline = time.monotonic() + 10
        while await queue.jobs():
            assert time.monotonic() < deadline
            await asyncio.sleep(0.1)


async def test_a_caller_that_goes_away_takes_no_event_of_others_along(sqlite_database: str) -> None:
    async with Jobs(sqlite_database) as queue:
        gone = asyncio.create_task(queue.accept(["1"], "test"))
        stays = asyncio.create_task(queue.accept(["2"], "test"))
        await asyncio.sleep(0)
        gone.cancel()
        await stays
        assert {job.reference for job in await queue.jobs()} == {"1", "2"}


async def test_a_database_that_fails_confirms_nothing(sqlite_database: str) -> None:
    async with Jobs(sqlite_database) as queue:
        with queue._engine.begin() as connection:
            connection.execute(sa.text("ALTER TABLE workflow_status RENAME TO gone"))
        with pytest.raises(QueueError, match="OperationalError") as failed:
            await queue.accept(["1"], "test")
        assert "SELECT" not in str(failed.value)


@pytest.mark.parametrize("url", ["mysql://localhost/x", "nonsense", "sqlite:////no/such/folder/queue.sqlite"])
async def test_a_database_that_cannot_be_used_stops_the_start(url: str) -> None:
    with pytest.raises((SettingsError, SetupError)):
        async with Jobs(url):
            pass


async def test_the_password_is_in_no_message() -> None:
    with pytest.raises(SetupError) as refused:
        async with Jobs("postgresql://user:hush-hush@127.0.0.1:9/x"):
            pass
    assert "hush" not in str(refused.value)


async def test_sqlite_has_one_working_process_and_a_private_file(
    sqlite_database: str, tmp_path: Path
) -> None:
    reviews = Reviews()
    async with JobQueue(sqlite_database, reviews):
        with pytest.raises(SetupError, match="another process"):
            Jobs(sqlite_database)._database.take_slot()
        with pytest.raises(SetupError, match="already"):
            async with JobQueue(sqlite_database, reviews):
                pass
    assert stat.S_IMODE((tmp_path / "queue.sqlite").stat().st_mode) == 0o600


async def test_a_start_that_fails_leaves_the_process_free_for_another(sqlite_database: str) -> None:
    reviews = Reviews()
    reviews.gate.set()
    other = Jobs(sqlite_database)._database
    other.take_slot()
    with pytest.raises(SetupError, match="another process"):
        async with JobQueue(sqlite_database, reviews):
            pass
    other.leave_slot()
    async with JobQueue(sqlite_database, reviews, pace=FAST) as queue:
        await queue.accept(["1"], "test")
        await until_idle(queue)
    assert reviews.done == ["1"]


async def test_a_launch_that_fails_can_be_repeated(
    sqlite_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    reviews = Reviews()
    reviews.gate.set()
    with monkeypatch.context() as patched:
        patched.setattr(DBOS, "launch", lambda: (_ for _ in ()).throw(OSError("no threads left")))
        with pytest.raises(OSError, match="no threads left"):
            async with JobQueue(sqlite_database, reviews):
                pass
    async with JobQueue(sqlite_database, reviews, pace=FAST) as queue:
        await queue.accept(["1"], "test")
        await until_idle(queue)
        assert await queue.healthy()
        broken = OperationalError("", None, OSError())
        monkeypatch.setattr(queue._database, "beat", lambda _: (_ for _ in ()).throw(broken))
        assert not await queue.healthy()
    assert reviews.done == ["1"]


async def test_a_new_try_is_stored_even_when_the_database_fails_once(
    sqlite_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = [OperationalError("SELECT 1", None, OSError())]
    store = Jobs._store

    def fail_once(queue: Jobs, tasks: Sequence[Task], delay: float | None = None) -> None:
        if delay is not None and failures:
            raise failures.pop()
        store(queue, tasks, delay)

    async def review(_: str, __: str) -> None:
        raise ServerMisread("the answer is not FHIR JSON")

    monkeypatch.setattr(Jobs, "_store", fail_once)
    async with JobQueue(sqlite_database, review, pace=FAST) as queue:
        await queue.accept(["1"], "test")
        await until_idle(queue)
        assert (await only_job(queue, State.FAILED)).attempts == 2
    assert not failures


async def test_keeping_house_survives_a_failure(
    sqlite_database: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    reviews = Reviews()
    reviews.gate.set()
    async with JobQueue(sqlite_database, reviews, pace=Pace(polling=0.05, lease=0.1)) as queue:
        with monkeypatch.context() as patched:
            patched.setattr(queue, "_take_over", lambda: (_ for _ in ()).throw(OSError(CANARY)))
            await asyncio.sleep(0.3)
        await queue.accept(["1"], "test")
        await until_idle(queue)
    assert "OSError" in caplog.text
    assert CANARY not in caplog.text


async def test_claimed_jobs_of_a_slot_that_nobody_holds_are_taken_over(postgres_database: str) -> None:
    reviews = Reviews()
    reviews.gate.set()
    async with Jobs(postgres_database) as queue:
        await queue.accept(["1", "2"], "test")
        held = Jobs(postgres_database)._database
        assert [held.take_slot()] == [1]
        with queue._engine.begin() as connection:
            for slot, reference in ((1, "1"), (9, "2")):
                connection.execute(
                    sa.text(
                        "UPDATE dbos.workflow_status SET status = 'PENDING', executor_id = :slot"
                        " WHERE queue_partition_key = :key"
                    ),
                    {"slot": f"slot-{slot}", "key": f"patient:{reference}"},
                )
    async with JobQueue(postgres_database, reviews, pace=Pace(polling=0.05, lease=0.3)):
        await until(lambda: reviews.done == ["2"])
        await asyncio.sleep(1)
        assert reviews.done == ["2"], "the other process still holds its slot"
        held.leave_slot()
        await until(lambda: reviews.done == ["2", "1"])


@pytest.mark.matrix
async def test_a_session_that_broke_is_replaced_and_the_slot_kept(postgres_database: str) -> None:
    reviews = Reviews()
    reviews.gate.set()
    async with JobQueue(postgres_database, reviews, pace=Pace(polling=0.05, lease=0.3)) as queue:
        _end_sessions(queue)
        await asyncio.sleep(1.5)
        await queue.accept(["1"], "test")
        await until_idle(queue)
        assert queue._slot == 1
    assert reviews.done == ["1"]


@pytest.mark.matrix
async def test_a_process_whose_slot_was_taken_goes_on_in_another(postgres_database: str) -> None:
    reviews = Reviews()
    reviews.gate.set()
    async with JobQueue(postgres_database, reviews, pace=Pace(polling=0.05, lease=2)) as queue:
        _end_sessions(queue)
        newcomer = Jobs(postgres_database)._database
        assert newcomer.take_slot() == 1
        await until(lambda: queue._slot == 2 and not queue._stopping)
        await queue.accept(["1"], "test")
        await until(lambda: reviews.done == ["1"])
        assert await queue.healthy()
        newcomer.leave_slot()


def _end_sessions(queue: Jobs) -> None:
    """End every session that holds a slot, as a restart of the server does."""
    with queue._engine.begin() as connection:
        connection.execute(
            sa.text(
                "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND objid > 0"
                " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
                " AND classid = :locks"
            ),
            {"locks": Postgres._LOCKS},
        )
