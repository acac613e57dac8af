"""The durable queue: what was accepted is on disk, and every accepted review is done.

A job is a kind and a reference: `patient` and a patient's id, or a task such as `deleted` and `Condition/7`.
Of one reference at most one job runs, in whichever process, and at most one waits; an event that finds one
waiting needs no job of its own, because that job will read the record after the event.

The queue holds references, reasons and times, never content of a record. `Jobs` sees the queue and adds to
it; `JobQueue` also does the work. Both keep it in DBOS, in an SQLite file or in PostgreSQL; what DBOS does
and what is done here is told in docs/decisions/0010-durable-queue.md.
"""

import asyncio
import concurrent.futures
import contextlib
import logging
import math
import re
import sqlite3
import time
import traceback
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar, Final, Literal, ParamSpec, Self, TypeVar

import sqlalchemy as sa
from dbos import DBOS, DBOSClient, DBOSConfig, EnqueueOptions, WorkflowSerializationFormat, WorkflowStatus
from sqlalchemy.exc import SQLAlchemyError

from service.cause import Cause
from service.errors import InputError, QueueError, ServerError, SetupError, TrdError, WorkerError
from service.ids import is_id
from service.queue.database import APPLICATION, QUEUE, WORKFLOW, open_database, open_jobs, waiting_keys

DEFAULT_URL: Final = "sqlite:///trd-careplan.sqlite"
PATIENT: Final = "patient"

Handler = Callable[[str, str], Awaitable[None]]
"""Does a job, given its reference and what caused it."""
P = ParamSpec("P")
T = TypeVar("T")

_VERSION: Final = "1"  # pinned: DBOS recovers only jobs of its own version, and an upgrade must recover all
_JSON: Final = WorkflowSerializationFormat.PORTABLE  # readable rows, and nothing is unpickled
_CRASHES: Final = 20  # a job during which the process ended this often is kept as failed
_AHEAD: Final = 8  # jobs claimed for each worker, so that none idles until the next poll
_BATCH: Final = 500
_REASON_LENGTH: Final = 300
_ANSWER_SECONDS: Final = 2.0
_NAME: Final = re.compile(r"[A-Za-z0-9\-.:+_~/]{1,400}")
"""What is queued: a kind of job, a reference or an instant, and a cause."""

_log = logging.getLogger(__name__)


class State(StrEnum):
    """Where a job stands. A job between two tries is waiting; one taken by a process is running."""

    WAITING = "waiting"
    RUNNING = "running"
    FAILED = "failed"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Job:
    """One job as `trd-careplan jobs` lists it. `attempts` are the tries begun, `reason` why it failed."""

    id: str
    kind: str
    reference: str
    cause: str
    state: State
    attempts: int
    created: datetime
    finished: datetime | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class Pace:
    """How a process works on the queue. All waits are in seconds.

    A job is tried `attempts` times while the FHIR server fails, first after `first_wait`, then `factor`
    times as long, never more than `longest_wait`. At the end of work running jobs have `grace` to finish.
    The jobs of a process that is gone are taken over after one to two `lease`. Idle, the queue is asked
    for work every `polling`. Done jobs are forgotten after `keep_done`.
    """

    workers: int = 8
    attempts: int = 5
    first_wait: float = 2.0
    factor: float = 2.0
    longest_wait: float = 60.0
    grace: float = 20.0
    lease: float = 10.0
    polling: float = 0.2
    keep_done: timedelta = timedelta(days=1)

    def wait(self, attempt: int) -> float:
        """Wait so long after this try, the first being 1."""
        return float(min(self.longest_wait, self.first_wait * self.factor ** (attempt - 1)))


@dataclass(frozen=True, slots=True)
class _Task:
    kind: str
    reference: str
    cause: str
    attempt: int = 1

    @property
    def key(self) -> str:
        return f"{self.kind}:{self.reference}"


@dataclass(frozen=True, slots=True)
class _FailedTry:
    reason: str
    passing: bool


class _JobFailed(Exception):
    """How a job ends as failed; the text is all that DBOS stores of the failure."""


class _Interrupted(BaseException):
    """The process stops in the middle of a job: DBOS records no outcome, so the job is taken up again."""


class Jobs:
    """The queue as any process sees it: accepts, lists, retries. Runs nothing."""

    def __init__(self, database_url: str | None = None) -> None:
        self._database = open_database(database_url or DEFAULT_URL)
        self._incoming: dict[str, _Task] = {}
        self._storing: asyncio.Task[None] | None = None
        self._turn = asyncio.Lock()

    async def __aenter__(self) -> Self:
        """Open the database and create or update its tables; raises `SetupError` when it cannot."""
        await asyncio.to_thread(self._open)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the connections."""
        async with self._turn:
            await asyncio.to_thread(self._close)

    async def accept(self, patient_ids: Iterable[str], cause: str) -> None:
        """Keep an event for each patient; on return all are on disk.

        `cause` names the door that asked. Raises `InputError` for what is no id, `QueueError` when the
        database fails: then the caller must not confirm the event.
        """
        await self._accept([_task(PATIENT, patient_id, cause) for patient_id in patient_ids])

    async def accept_task(self, name: str, reference: str, cause: str = "task") -> None:
        """Keep a task that is not yet a patient, for the handler registered under `name`."""
        await self._accept([_task(name, reference, cause)])

    async def jobs(self, state: State | Literal["all"] = "all", limit: int = 1000) -> list[Job]:
        """List jobs, the newest first. Done ones are kept for a while only."""
        return await self._ask(self._list, state, limit)

    async def retry(self, job_id: str) -> None:
        """Put a failed job back, with all its tries; raises `InputError` when no such job has failed."""
        found = await self._ask(self._find, job_id)
        if found is None or found.state is not State.FAILED:
            raise InputError("no failed job has this id")
        await self._accept([_task(found.kind, found.reference, Cause.RETRY)])
        await self._ask(self._client.delete_workflow, job_id)

    async def counts(self) -> dict[str, int]:
        """Count the jobs that wait, run and have failed, for the metrics."""
        return await self._ask(self._count)

    async def healthy(self) -> bool:
        """Say whether the database answers in time."""
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                await asyncio.to_thread(self._ping)
        except (TimeoutError, SQLAlchemyError):
            return False
        return True

    async def _accept(self, tasks: Sequence[_Task]) -> None:
        """Store with everything that arrives while another batch is being written: one commit for many."""
        if not tasks:
            return
        self._incoming.update((task.key, task) for task in tasks)
        if self._storing is None:
            self._storing = asyncio.create_task(self._store_incoming())
        # Shielded: a caller that goes away must not take the events of the others with it.
        await asyncio.shield(self._storing)

    async def _store_incoming(self) -> None:
        async with self._turn:
            tasks, self._incoming, self._storing = list(self._incoming.values()), {}, None
            await self._ask(self._store, tasks)

    async def _ask(self, query: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return await asyncio.to_thread(query, *args, **kwargs)
        except SQLAlchemyError as error:
            raise QueueError(f"the queue's database failed: {type(error).__name__}") from None

    # The rest of the class runs in threads.

    def _open(self) -> None:
        _quiet_dbos()
        try:
            self._database.prepare()
            DBOS.migrate(self._database.url)
            self._engine = self._database.engine(synchronous="FULL")
            self._client = DBOSClient(system_database_engine=self._engine, application_name=APPLICATION)
        except (SQLAlchemyError, sqlite3.Error, OSError) as error:
            why = str(getattr(error, "orig", error)).splitlines()[:1]
            raise SetupError(f"the queue's database cannot be opened: {' '.join(why)}") from None

    def _close(self) -> None:
        self._client.destroy()
        self._engine.dispose()

    def _store(self, tasks: Sequence[_Task], delay: float | None = None) -> None:
        """Add each task unless one of its reference waits already. Committed on return."""
        for start in range(0, len(tasks), _BATCH):
            batch = tasks[start : start + _BATCH]
            with self._engine.begin() as connection:
                self._database.one_writer(connection)
                query = waiting_keys(self._database.schema, [task.key for task in batch])
                waiting: set[str] = set(connection.scalars(query))
                for task in batch:
                    if task.key not in waiting:
                        arguments = (task.kind, task.reference, task.cause, task.attempt)
                        self._client.enqueue_in_transaction(connection, _options(task, delay), *arguments)

    def _list(self, state: State | Literal["all"], limit: int) -> list[Job]:
        statuses = [status for status, its in _STATES.items() if state == "all" or its is state]
        found = self._client.list_workflows(name=WORKFLOW, status=statuses, limit=limit, sort_desc=True)
        # A try that failed and left a new one behind ends as a success whose output says so.
        return [_job(status) for status in found if status.output is None]

    def _find(self, job_id: str) -> Job | None:
        found = self._client.list_workflows(name=WORKFLOW, workflow_ids=[job_id])
        return _job(found[0]) if found else None

    def _count(self) -> dict[str, int]:
        counts = dict.fromkeys((State.WAITING.value, State.RUNNING.value, State.FAILED.value), 0)
        with self._engine.connect() as connection:
            for status, number in connection.execute(open_jobs(self._database.schema)):
                counts[_STATES[status].value] += number
        return counts

    def _ping(self) -> None:
        with self._engine.connect() as connection:
            connection.execute(sa.text("SELECT 1"))


class JobQueue(Jobs):
    """The queue with the workers of this process; a process has at most one.

    `review` reviews one patient by id. It and the `tasks` by name are told the cause as well; they run in
    the caller's event loop and must bear being run twice: a job interrupted by the end of a process is done
    again. `ServerError`, `WorkerError` and what nobody foresaw is tried again after a while; any other
    `TrdError` fails at once.
    """

    _at_work: ClassVar["JobQueue | None"] = None

    def __init__(
        self,
        database_url: str | None,
        review: Handler,
        *,
        tasks: Mapping[str, Handler] | None = None,
        pace: Pace | None = None,
    ) -> None:
        super().__init__(database_url)
        self._handlers = {**(tasks or {}), PATIENT: review}
        self._pace = pace or Pace()
        self._slots = asyncio.Semaphore(self._pace.workers)
        self._claimed: set[str] = set()
        self._running: set[asyncio.Task[Any]] = set()
        self._stopping = False
        self._closing = asyncio.Event()
        self._suspects: set[int] = set()
        self._done = 0

    async def __aenter__(self) -> Self:
        """Open the queue and start to work. Jobs that a killed process left behind are taken up."""
        if JobQueue._at_work is not None:
            raise SetupError("this process already works on a queue")
        await super().__aenter__()
        self._loop = asyncio.get_running_loop()
        try:
            await self._begin_work()
        except BaseException:
            await super().__aexit__()
            raise
        self._keeper = asyncio.create_task(self._keep_house())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Take no more jobs, let running ones finish within the grace, put the others back."""
        self._closing.set()
        await self._keeper
        await self._end_work(self._pace.grace)
        await super().__aexit__()

    async def counts(self) -> dict[str, int]:
        """Count the jobs that wait, run and have failed, and those this process has done."""
        return {**await super().counts(), State.DONE.value: self._done}

    async def healthy(self) -> bool:
        """Say whether this process works and the database answers in time."""
        return JobQueue._at_work is self and not self._stopping and await super().healthy()

    async def _accept(self, tasks: Sequence[_Task]) -> None:
        """Leave out what this process has claimed but not begun: that review will see the event too."""
        await super()._accept([task for task in tasks if task.key not in self._claimed])

    async def _begin_work(self) -> None:
        self._stopping = False
        self._slot = await asyncio.to_thread(self._database.take_slot)
        JobQueue._at_work = self
        try:
            # In a thread without a loop: launched inside one, DBOS would take over the loop's thread pool.
            await asyncio.to_thread(self._launch)
        except BaseException:
            JobQueue._at_work = None
            await asyncio.to_thread(DBOS.destroy)
            await asyncio.to_thread(self._database.leave_slot)
            raise

    async def _end_work(self, grace: float) -> None:
        self._stopping = True
        patience = math.ceil(grace) + 5
        ended = asyncio.create_task(asyncio.to_thread(DBOS.destroy, workflow_completion_timeout_sec=patience))
        if self._running:
            await asyncio.wait(self._running, timeout=grace)
        for task in self._running:
            task.cancel()
        await ended
        JobQueue._at_work = None
        await asyncio.to_thread(self._leave)

    async def _attempt(self, task: _Task) -> _FailedTry | None:
        """Do a job once, in the event loop, when one of the workers is free."""
        handler = self._handlers.get(task.kind)
        if handler is None:
            return _FailedTry("nothing here handles this kind", passing=False)
        try:
            async with self._slots:
                self._begin(task)
                await handler(task.reference, task.cause)
        except Exception as error:  # noqa: BLE001 - whatever it is, DBOS must not store it
            return _failure(error)
        self._done += 1
        return None

    def _begin(self, task: _Task) -> None:
        """From here on an event asks for another review."""
        self._claimed.discard(task.key)
        if self._stopping:
            raise asyncio.CancelledError

    async def _attend(self, task: _Task) -> _FailedTry | None:
        """Attempt a job as one that the end of work waits for."""
        attempt = asyncio.create_task(self._attempt(task))
        self._running.add(attempt)
        attempt.add_done_callback(self._running.discard)
        return await attempt

    async def _closes_within(self, seconds: float) -> bool:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._closing.wait(), seconds)
        return self._closing.is_set()

    async def _keep_house(self) -> None:
        while not await self._closes_within(self._pace.lease):
            try:
                await self._keep_slot()
                await asyncio.to_thread(self._take_over)
                await asyncio.to_thread(self._forget_done)
            except Exception as error:  # noqa: BLE001 - the database may come back, and the keeper must see it
                _log.warning("the queue's database failed: %s", type(error).__name__)

    async def _keep_slot(self) -> None:
        """Begin anew when the session broke and another process was quicker to take the slot."""
        if await asyncio.to_thread(self._database.take_slot) == self._slot and JobQueue._at_work is self:
            return
        _log.warning("begins anew in another slot, as the session of its own broke")
        await self._end_work(0)
        await self._begin_work()

    # The rest of the class runs in threads.

    def run(self, task: _Task) -> str | None:
        """Do a job in a thread of DBOS; returns nothing when it is done, `retried` when a new try waits."""
        self._claimed.add(task.key)
        try:
            failure = asyncio.run_coroutine_threadsafe(self._attend(task), self._loop).result()
        except concurrent.futures.CancelledError:
            raise _Interrupted from None
        if failure is None:
            return None
        if failure.passing and task.attempt < self._pace.attempts:
            wait = self._pace.wait(task.attempt)
            _log.info("try %d failed: %s; again in %g s", task.attempt, failure.reason, wait)
            self._store_surely(replace(task, attempt=task.attempt + 1), wait)
            return "retried"
        _log.warning("job %s failed: %s", DBOS.workflow_id, failure.reason)
        raise _JobFailed(failure.reason)

    def _store_surely(self, task: _Task, delay: float) -> None:
        while not self._stopping:
            try:
                return self._store([task], delay)
            except SQLAlchemyError:
                time.sleep(1)
        raise _Interrupted

    def _launch(self) -> None:
        claims = self._pace.workers * _AHEAD
        self._client.register_queue(
            QUEUE,
            worker_concurrency=claims,
            partition_concurrency=1,
            polling_interval_sec=self._pace.polling,
        )
        self._work_engine = self._database.engine(synchronous="NORMAL")
        config = DBOSConfig(
            name=APPLICATION,
            system_database_engine=self._work_engine,
            application_version=_VERSION,
            executor_id=_executor(self._slot),
            max_executor_threads=claims + 4,
            log_level="WARNING",
        )
        DBOS(config=config)
        DBOS.listen_queues([QUEUE])
        DBOS.launch()

    def _leave(self) -> None:
        """Put back what is unfinished, for another process or the next start, and give up the slot.

        Whoever has the slot now, if not this process, has taken up the jobs at its start.
        """
        try:
            if self._database.take_slot() == self._slot:
                self._put_back(self._slot)
        except SQLAlchemyError as error:
            _log.warning("unfinished jobs stay with %s: %s", _executor(self._slot), type(error).__name__)
        self._work_engine.dispose()
        self._database.leave_slot()

    def _take_over(self) -> None:
        """Put back the jobs of processes that are gone.

        Gone is a slot that nobody held at two looks in a row: when PostgreSQL restarts, every process
        loses its slot at once and has taken it again before the second look.
        """
        claimed = self._client.list_workflows(
            name=WORKFLOW, status="PENDING", load_input=False, load_output=False
        )
        numbers = {number for status in claimed if (number := _slot_number(status.executor_id))}
        suspects = set()
        for number in numbers - {self._slot}:
            with self._database.borrowed(number) as free:
                if free and number in self._suspects:
                    _log.warning("taking over the jobs of %s, which is gone", _executor(number))
                    self._put_back(number)
                elif free:
                    suspects.add(number)
        self._suspects = suspects

    def _put_back(self, slot: int) -> None:
        left = self._client.list_workflows(
            name=WORKFLOW,
            status="PENDING",
            executor_id=_executor(slot),
            load_input=False,
            load_output=False,
        )
        if left:
            self._client.resume_workflows([status.workflow_id for status in left], queue_name=QUEUE)

    def _forget_done(self) -> None:
        before = (datetime.now(UTC) - self._pace.keep_done).isoformat()
        done = self._client.list_workflows(
            name=WORKFLOW,
            status="SUCCESS",
            completed_before=before,
            limit=_BATCH * 10,
            load_input=False,
            load_output=False,
        )
        for start in range(0, len(done), _BATCH):
            self._client.delete_workflows([one.workflow_id for one in done[start : start + _BATCH]])


@DBOS.workflow(name=WORKFLOW, serialization_type=_JSON, max_recovery_attempts=_CRASHES)
def _work(kind: str, reference: str, cause: str, attempt: int) -> str | None:
    queue = JobQueue._at_work  # noqa: SLF001 - DBOS knows functions only, and is one a process itself
    if queue is None:
        raise _Interrupted
    return queue.run(_Task(kind, reference, cause, attempt))


_STATES: Final = {
    "ENQUEUED": State.WAITING,
    "DELAYED": State.WAITING,
    "PENDING": State.RUNNING,
    "SUCCESS": State.DONE,
    "ERROR": State.FAILED,
    "CANCELLED": State.FAILED,
    "MAX_RECOVERY_ATTEMPTS_EXCEEDED": State.FAILED,
}


def _task(kind: str, reference: str, cause: str) -> _Task:
    proper = is_id(reference) if kind == PATIENT else _NAME.fullmatch(reference)
    if not (proper and _NAME.fullmatch(kind) and _NAME.fullmatch(cause)):
        raise InputError("only references and plain names can be queued")
    return _Task(kind, reference, cause)


def _options(task: _Task, delay: float | None) -> EnqueueOptions:
    options = EnqueueOptions(
        workflow_name=WORKFLOW,
        queue_name=QUEUE,
        queue_partition_key=task.key,
        app_version=_VERSION,
        serialization_type=_JSON,
    )
    if delay is not None:
        options["delay_seconds"] = delay
    return options


def _failure(error: Exception) -> _FailedTry:
    """Say why in words that hold no content: our own messages never do, those of others may."""
    name = type(error).__name__
    if isinstance(error, TrdError):
        reason = f"{name}: {error}"[:_REASON_LENGTH]
        return _FailedTry(reason, passing=isinstance(error, ServerError | WorkerError))
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return _FailedTry(f"{name}{where}", passing=True)


def _job(status: WorkflowStatus) -> Job:
    kind, reference, cause, attempt = status.input["args"] if status.input else ("", "", "", 0)
    state = _STATES[status.status]
    return Job(
        id=status.workflow_id,
        kind=kind,
        reference=reference,
        cause=cause,
        state=state,
        attempts=attempt - 1 if state is State.WAITING else attempt,
        created=_instant(status.created_at or 0),
        finished=_instant(status.completed_at) if status.completed_at else None,
        reason=_reason(status) if state is State.FAILED else None,
    )


def _reason(status: WorkflowStatus) -> str:
    match status.status:
        case "CANCELLED":
            return "cancelled from outside"
        case "MAX_RECOVERY_ATTEMPTS_EXCEEDED":
            return f"the process ended during each of {_CRASHES} tries"
        case _:
            return str(getattr(status.error, "message", None) or type(status.error).__name__)


def _instant(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def _executor(slot: int) -> str:
    return f"slot-{slot}"


def _slot_number(executor: str | None) -> int | None:
    found = re.fullmatch(r"slot-(\d+)", executor or "")
    return int(found[1]) if found else None


class _OncePerMinute(logging.Filter):
    """Let each place of DBOS speak once a minute: it warns at every poll while the database is away."""

    def __init__(self) -> None:
        super().__init__()
        self._spoke: dict[tuple[str, int], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Drop repetitions, and the failure of a job, which is logged here in one line."""
        if record.exc_info and isinstance(record.exc_info[1], _JobFailed):
            return False
        place, now = (record.pathname, record.lineno), time.monotonic()
        if now - self._spoke.get(place, -math.inf) < 60:  # noqa: PLR2004 - a minute
            return False
        self._spoke[place] = now
        return True


def _quiet_dbos() -> None:
    """Let DBOS log through the application's handlers, warnings only."""
    logger = logging.getLogger("dbos")
    if not any(isinstance(one, _OncePerMinute) for one in logger.filters):
        logger.addFilter(_OncePerMinute())
        logger.addHandler(logging.NullHandler())  # else DBOS adds a console handler of its own
        logger.setLevel(logging.WARNING)
