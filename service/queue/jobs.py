"""The durable queue: what was accepted is on disk, and every accepted review is done.

A job is a kind and a reference: `patient` and a patient's id, `identified` and the identifiers of a patient,
or a task such as `deleted` and `Condition/7`. Of one reference at most one job runs, in whichever process,
and at most one waits; an event that finds one waiting needs no job of its own, because that job will read
the record after the event.

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
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, ClassVar, Final, ParamSpec, Self, TypeVar

import sqlalchemy as sa
from dbos import DBOS, DBOSClient, DBOSConfig, EnqueueOptions, WorkflowSerializationFormat, WorkflowStatus
from sqlalchemy.exc import SQLAlchemyError

from service.cause import Cause
from service.errors import InputError, QueueError, SetupError
from service.feedback import Feedback
from service.fhir.notifications import Heard
from service.ids import is_id
from service.queue.claims import Claims
from service.queue.database import (
    APPLICATION,
    QUEUE,
    WORKFLOW,
    failed_ids,
    open_database,
    open_jobs,
    waiting_keys,
)
from service.queue.feedback import FeedbackCount, count_feedback, forget_feedback, store_feedback
from service.queue.gate import Gate
from service.queue.heard import delete_heard, keep_heard, read_heard, select_heard
from service.queue.tries import FailedTry, Fault, Pace, Task, failed_try, next_try
from service.queue.watermarks import Watermark, read_watermark, write_watermark
from service.request_id import followed_as
from service.settings import DEFAULT_DATABASE_URL
from service.telemetry.logs import Event, log_info, log_warning

PATIENT: Final = "patient"
IDENTIFIED: Final = frozenset({"identified", "merged"})
"""The kinds of jobs that refer to a patient by identifiers, which are shown to nobody."""

Handler = Callable[[str, str], Awaitable[None]]
"""Does a job, given its reference and what caused it."""
P = ParamSpec("P")
T = TypeVar("T")

_VERSION: Final = "1"  # pinned: DBOS recovers only jobs of its own version, and an upgrade must recover all
_JSON: Final = WorkflowSerializationFormat.PORTABLE  # readable rows, and nothing is unpickled
_CRASHES: Final = 20  # a job during which the process ended this often is kept as failed
_AHEAD: Final = 8  # jobs claimed for each worker, so that none idles until the next poll
_BATCH: Final = 500
_ANSWER_SECONDS: Final = 2.0
_NO_HANDLER: Final = "nothing here handles this kind"
_NAME: Final = re.compile(r"[A-Za-z0-9\-.:+_~/]{1,1000}")
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

    @property
    def shown(self) -> str:
        """The reference as it may be shown; of one that holds identifiers of a patient, nothing."""
        return "(by identifier)" if self.kind in IDENTIFIED else self.reference

    def failed_with(self, text: str) -> bool:
        """Whether it failed for a reason that has this text, in whatever case."""
        return self.reason is not None and text.casefold() in self.reason.casefold()


class _JobFailed(Exception):
    """How a job ends as failed; the text is all that DBOS stores of the failure."""


class _Interrupted(BaseException):
    """The process stops in the middle of a job: DBOS records no outcome, so the job is taken up again."""


class Jobs:
    """The queue as any process sees it: accepts, lists, retries. Runs nothing."""

    def __init__(self, database_url: str | None = None) -> None:
        self._database = open_database(database_url or DEFAULT_DATABASE_URL)
        self._incoming: dict[str, Task] = {}
        self._storing: asyncio.Task[None] | None = None
        self._turn = asyncio.Lock()

    @staticmethod
    def is_there(database_url: str | None = None) -> bool:
        """Whether there is a queue that could be opened; none is made by asking."""
        return open_database(database_url or DEFAULT_DATABASE_URL).is_there

    @property
    def name(self) -> str:
        """Where the database is, without user and password."""
        return self._database.name

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

    async def jobs(self, *states: State, limit: int = 1000) -> list[Job]:
        """List jobs in these states, by default in any, the newest first: so many, and all that failed.

        Done ones are kept for a while only.
        """
        return await self._ask(self._list, frozenset(states or State), limit)

    async def retry(self, job_id: str) -> None:
        """Put a failed job back, with all its tries; raises `InputError` when no such job has failed."""
        await self._put_in_again([await self._failed(job_id)])

    async def retry_all(self, reason: str = "") -> int:
        """Put all failed jobs back whose reason has this text; returns how many there were."""
        failed = await self._failed_with(reason)
        await self._put_in_again(failed)
        return len(failed)

    async def drop(self, job_id: str) -> None:
        """Forget a failed job; raises `InputError` when no such job has failed."""
        await self._ask(self._delete, [(await self._failed(job_id)).id])

    async def drop_all(self, reason: str) -> int:
        """Forget all failed jobs whose reason has this text; returns how many there were."""
        failed = await self._failed_with(reason)
        await self._ask(self._delete, [job.id for job in failed])
        return len(failed)

    async def _failed(self, job_id: str) -> Job:
        found = await self._ask(self._find, job_id)
        if found is None or found.state is not State.FAILED:
            raise InputError("no failed job has this id")
        return found

    async def _failed_with(self, reason: str) -> list[Job]:
        return [job for job in await self.jobs(State.FAILED) if job.failed_with(reason)]

    async def last_heard(self, key: str) -> Heard | None:
        """What was last heard of a Subscription, by the digest it is known by; `None` where nothing was."""
        return await self._ask(self._heard, select_heard(self._database.schema, key))

    async def all_heard(self) -> dict[str, Heard]:
        """What was last heard of every Subscription, each by its digest."""
        return await self._ask(self._all_heard)

    async def keep_heard(self, key: str, heard: Heard) -> None:
        """Keep what was heard of a Subscription; on return it is on disk. Its number never falls."""
        await self._ask(self._keep_heard, key, heard)

    async def forget_heard(self, key: str) -> None:
        """Forget what was heard of a Subscription, as it counts anew."""
        await self._ask(self._forget_heard, key)

    async def counts(self) -> dict[str, int]:
        """Count the jobs that wait, run and have failed, for the metrics."""
        return await self._ask(self._count)

    async def keep_feedback(self, told: Sequence[Feedback]) -> list[Feedback]:
        """Keep what became of cards, on disk on return; returns what was not known before.

        Raises `QueueError` when the database fails.
        """
        return await self._ask(self._keep_feedback, told)

    async def feedback(self) -> list[FeedbackCount]:
        """How many cards were accepted and overridden."""
        return await self._ask(self._count_feedback)

    async def healthy(self) -> bool:
        """Say whether the database can be written to in time."""
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                await asyncio.to_thread(self._database.beat, self._engine)
        except (TimeoutError, SQLAlchemyError, sqlite3.Error, OSError, QueueError):
            return False
        return True

    async def watermark(self, server: str, kind: str) -> Watermark | None:
        """How far the changes of a kind on a server were searched for; `None` before the first search."""
        return await self._ask(self._read_watermark, server, kind)

    async def advance(self, server: str, kind: str, watermark: Watermark) -> None:
        """Keep how far the changes of a kind were searched for; on return it is on disk."""
        await self._ask(self._write_watermark, server, kind, watermark)

    async def _put_in_again(self, failed: Sequence[Job]) -> None:
        await self._accept([_task(job.kind, job.reference, Cause.RETRY) for job in failed])
        await self._ask(self._delete, [job.id for job in failed])

    async def _accept(self, tasks: Sequence[Task]) -> None:
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
            self._database.create_tables(self._engine)
            self._client = DBOSClient(system_database_engine=self._engine, application_name=APPLICATION)
        except (SQLAlchemyError, sqlite3.Error, OSError) as error:
            why = str(getattr(error, "orig", error)).splitlines()[:1]
            name = self._database.name
            raise SetupError(f"the queue's database ({name}) cannot be opened: {' '.join(why)}") from None

    def _close(self) -> None:
        self._client.destroy()
        self._engine.dispose()

    def _heard(self, query: sa.Select[Any]) -> Heard | None:
        with self._engine.connect() as connection:
            return next((heard for _, heard in read_heard(connection.execute(query))), None)

    def _all_heard(self) -> dict[str, Heard]:
        with self._engine.connect() as connection:
            return dict(read_heard(connection.execute(select_heard(self._database.schema))))

    def _keep_heard(self, key: str, heard: Heard) -> None:
        with self._engine.begin() as connection:
            self._database.one_writer(connection)
            keep_heard(connection, self._database.schema, key, heard)

    def _forget_heard(self, key: str) -> None:
        with self._engine.begin() as connection:
            self._database.one_writer(connection)
            connection.execute(delete_heard(self._database.schema, key))

    def _store(self, tasks: Sequence[Task], delay: float | None = None) -> None:
        """Add each task unless one of its reference waits already. Committed on return."""
        for start in range(0, len(tasks), _BATCH):
            batch = tasks[start : start + _BATCH]
            with self._engine.begin() as connection:
                self._database.one_writer(connection)
                query = waiting_keys(self._database.schema, [task.key for task in batch])
                waiting: set[str] = set(connection.scalars(query))
                for task in batch:
                    if task.key not in waiting:
                        self._client.enqueue_in_transaction(
                            connection, _options(task, delay), *task.arguments
                        )

    def _read_watermark(self, server: str, kind: str) -> Watermark | None:
        with self._engine.connect() as connection:
            return read_watermark(connection, self._database.watermarks, server, kind)

    def _write_watermark(self, server: str, kind: str, watermark: Watermark) -> None:
        with self._engine.begin() as connection:
            self._database.one_writer(connection)
            table = self._database.watermarks
            write_watermark(connection, table, server=server, kind=kind, watermark=watermark)

    def _list(self, states: frozenset[State], limit: int) -> list[Job]:
        failed = self._listed(states & {State.FAILED}, None)
        others = self._listed(states - {State.FAILED}, limit)
        return sorted(failed + others, key=lambda job: job.created, reverse=True)

    def _listed(self, states: frozenset[State], limit: int | None) -> list[Job]:
        statuses = [status for status, state in _STATES.items() if state in states]
        if not statuses:
            return []
        found = self._client.list_workflows(name=WORKFLOW, status=statuses, limit=limit, sort_desc=True)
        # A try that failed and left a new one behind ends as a success whose output says so.
        return [_job(status) for status in found if status.output is None]

    def _delete(self, job_ids: Sequence[str]) -> None:
        for start in range(0, len(job_ids), _BATCH):
            self._client.delete_workflows(list(job_ids[start : start + _BATCH]))

    def _find(self, job_id: str) -> Job | None:
        found = self._client.list_workflows(name=WORKFLOW, workflow_ids=[job_id])
        return _job(found[0]) if found else None

    def _keep_feedback(self, told: Sequence[Feedback]) -> list[Feedback]:
        with self._engine.begin() as connection:
            self._database.one_writer(connection)
            return store_feedback(connection, self._database.feedback, told)

    def _count_feedback(self) -> list[FeedbackCount]:
        with self._engine.connect() as connection:
            return count_feedback(connection, self._database.feedback)

    def _count(self) -> dict[str, int]:
        counts = dict.fromkeys((State.WAITING.value, State.RUNNING.value, State.FAILED.value), 0)
        with self._engine.connect() as connection:
            for status, number in connection.execute(open_jobs(self._database.schema)):
                counts[_STATES[status].value] += number
        return counts


class JobQueue(Jobs):
    """The queue with the workers of this process; a process has at most one.

    `review` reviews one patient by id. It and the `tasks` by name are told the cause as well; they run in
    the caller's event loop and must bear being run twice: a job interrupted by the end of a process is done
    again. While the FHIR server is away no job passes the `gate`. What may pass is tried again
    (`service.queue.tries`); what is faulty fails at once. A job that is done ends those of its reference
    that failed before.
    """

    _at_work: ClassVar["JobQueue | None"] = None

    def __init__(
        self,
        database_url: str | None,
        review: Handler,
        *,
        tasks: Mapping[str, Handler] | None = None,
        pace: Pace | None = None,
        gate: Gate | None = None,
    ) -> None:
        super().__init__(database_url)
        self._handlers = {**(tasks or {}), PATIENT: review}
        self._pace = pace or Pace()
        self._gate = gate or Gate(pace=self._pace)
        self._slots = asyncio.Semaphore(self._pace.workers)
        self._claims = Claims()
        self._attempts: set[asyncio.Task[Any]] = set()
        self._begun: set[asyncio.Task[Any]] = set()
        self._stopping = False
        self._closing = asyncio.Event()
        self._suspects: set[int] = set()
        self._stuck: set[str] = set()
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
        await self._gate.close()
        await self._keep_promises()
        await super().__aexit__()

    async def counts(self) -> dict[str, int]:
        """Count the jobs that wait, run and have failed, and those this process has done."""
        return {**await super().counts(), State.DONE.value: self._done}

    async def healthy(self) -> bool:
        """Say whether this process works and the database can be written to in time."""
        return JobQueue._at_work is self and not self._stopping and await super().healthy()

    @property
    def paused(self) -> str | None:
        """Why the queue waits for the FHIR server, in words that name nobody; `None` where it does not."""
        return self._gate.paused

    async def _accept(self, tasks: Sequence[Task]) -> None:
        """Leave out what this process has claimed but not begun: that review will see the event too."""
        await super()._accept([task for task in tasks if not self._claims.covers(task)])

    async def _keep_promises(self) -> None:
        """Store the events that were left out for jobs that never began."""
        orphans = self._claims.take_orphans()
        try:
            await super()._accept(orphans)
        except QueueError as error:
            self._claims.give_back(orphans)
            _log.warning("%d events could not be stored: %s", len(orphans), error)

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
        for waiting in self._attempts - self._begun:
            waiting.cancel()
        patience = math.ceil(grace) + 5
        ended = asyncio.create_task(asyncio.to_thread(DBOS.destroy, workflow_completion_timeout_sec=patience))
        if self._attempts:
            await asyncio.wait(self._attempts, timeout=grace)
        for attempt in self._attempts:
            attempt.cancel()
        await ended
        JobQueue._at_work = None
        await asyncio.to_thread(self._leave)

    async def _attempt(self, task: Task) -> FailedTry | None:
        """Do a job once, in the event loop, when one of the workers is free and the server is there."""
        handler = self._handlers.get(task.kind)
        if handler is None:
            return FailedTry(Fault.LASTING, _NO_HANDLER, _NO_HANDLER)
        try:
            async with self._slots:
                await self._gate.passed()
                self._begin(task)
                await handler(task.reference, task.cause)
        except Exception as error:  # noqa: BLE001 - whatever it is, DBOS must not store it
            failed = failed_try(error)
            self._gate.failed(failed)
            return failed
        self._gate.worked()
        self._done += 1
        return None

    def _begin(self, task: Task) -> None:
        """From here on an event asks for another review, and the end of work waits."""
        self._claims.begin(task.key)
        if attempt := asyncio.current_task():
            self._begun.add(attempt)

    async def _attend(self, task: Task) -> FailedTry | None:
        """Attempt a job as one that the end of work knows of."""
        if self._stopping:
            raise asyncio.CancelledError
        attempt = asyncio.create_task(self._attempt(task))
        self._attempts.add(attempt)
        attempt.add_done_callback(self._attempts.discard)
        attempt.add_done_callback(self._begun.discard)
        return await attempt

    async def _closes_within(self, seconds: float) -> bool:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._closing.wait(), seconds)
        return self._closing.is_set()

    async def _keep_house(self) -> None:
        while not await self._closes_within(self._pace.lease):
            try:
                await self._keep_slot()
                await self._keep_promises()
                await asyncio.to_thread(self._take_over)
                await asyncio.to_thread(self._put_back_stuck)
                await asyncio.to_thread(self._forget_done)
                await asyncio.to_thread(self._forget_feedback)
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

    def run(self, task: Task) -> str | None:
        """Do a job in a thread of DBOS; returns nothing when it is done, `retried` when a new try waits."""
        job_id = DBOS.workflow_id or ""
        self._claims.take(job_id, task.key)
        try:
            failed = asyncio.run_coroutine_threadsafe(self._attend(task), self._loop).result()
            if failed is None:
                self._surely(self._end_failed, task.key)
                return None
            return self._try_again(job_id, task, failed)
        except concurrent.futures.CancelledError:
            raise _Interrupted from None
        finally:
            self._claims.leave(job_id, task.key)

    def _try_again(self, job_id: str, task: Task, failed: FailedTry) -> str:
        """Have a job that failed wait for its next try; raises `_JobFailed` when it has none."""
        told = {"job": job_id, "kind": task.kind, "attempt": task.attempt, "reason": failed.told}
        further = next_try(task, failed, self._pace, time.time())
        if further is None:
            log_warning(Event.JOB_FAILED, **told)
            raise _JobFailed(failed.reason)
        again, wait = further
        self._surely(self._store, [again], wait)
        log_info(Event.JOB_TRIED, again_in=wait, **told)
        return "retried"

    def _end_failed(self, key: str) -> None:
        """Forget the failed jobs of a reference that was done since."""
        with self._engine.connect() as connection:
            ended = list(connection.scalars(failed_ids(self._database.schema, key)))
        if ended:
            self._delete(ended)

    def _surely(self, change: Callable[P, None], *args: P.args, **kwargs: P.kwargs) -> None:
        """Write to the database, as often as it takes until this process stops."""
        while True:
            try:
                return change(*args, **kwargs)
            except SQLAlchemyError:
                if self._stopping:
                    raise _Interrupted from None
                time.sleep(1)

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
        self._resume(self._taken_by(slot))

    def _put_back_stuck(self) -> None:
        """Put back the jobs that this process has by the database and, at two looks in a row, does not have.

        The session may break between the claim of a job and its start, and whoever had this slot before may
        have claimed jobs until it noticed.
        """
        stuck = {job_id for job_id in self._taken_by(self._slot) if not self._claims.holds(job_id)}
        self._resume(stuck & self._stuck)
        self._stuck = stuck - self._stuck

    def _taken_by(self, slot: int) -> set[str]:
        taken = self._client.list_workflows(
            name=WORKFLOW,
            status="PENDING",
            executor_id=_executor(slot),
            load_input=False,
            load_output=False,
        )
        return {status.workflow_id for status in taken}

    def _resume(self, job_ids: set[str]) -> None:
        if job_ids:
            self._client.resume_workflows(sorted(job_ids), queue_name=QUEUE)

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
        self._delete([one.workflow_id for one in done])

    def _forget_feedback(self) -> None:
        with self._engine.begin() as connection:
            before = datetime.now(UTC) - self._pace.keep_feedback
            forget_feedback(connection, self._database.feedback, before)


@DBOS.workflow(name=WORKFLOW, serialization_type=_JSON, max_recovery_attempts=_CRASHES)
def _work(*stored: Any) -> str | None:
    """Do a job, given `Task.arguments`, of which older versions stored the first four."""
    queue = JobQueue._at_work  # noqa: SLF001 - DBOS knows functions only, and is one a process itself
    if queue is None:
        raise _Interrupted
    with followed_as(DBOS.workflow_id or ""):
        return queue.run(Task(*stored))


_STATES: Final = {
    "ENQUEUED": State.WAITING,
    "DELAYED": State.WAITING,
    "PENDING": State.RUNNING,
    "SUCCESS": State.DONE,
    "ERROR": State.FAILED,
    "CANCELLED": State.FAILED,
    "MAX_RECOVERY_ATTEMPTS_EXCEEDED": State.FAILED,
}


def _task(kind: str, reference: str, cause: str) -> Task:
    proper = is_id(reference) if kind == PATIENT else _NAME.fullmatch(reference)
    if not (proper and _NAME.fullmatch(kind) and _NAME.fullmatch(cause)):
        raise InputError("only references and plain names can be queued")
    return Task(kind, reference, cause)


def _options(task: Task, delay: float | None) -> EnqueueOptions:
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


def _job(status: WorkflowStatus) -> Job:
    kind, reference, cause, attempt, *_ = status.input["args"] if status.input else ("", "", "", 0)
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
