"""The database of the queue: SQLite for one working process, PostgreSQL for any number."""

import contextlib
import itertools
import logging
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, Final, Literal

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from service.errors import QueueError, SettingsError, SetupError
from service.queue.feedback import feedback_table
from service.queue.heard import heard_table
from service.queue.watermarks import watermarks_table

APPLICATION: Final = "trd-careplan"
QUEUE: Final = "reviews"
WORKFLOW: Final = "work"
"""What the application, its queue and its one workflow are called in DBOS."""

_LEAST_ROOM: Final = 16 * 1024 * 1024
"""Bytes that an SQLite queue must be able to grow by."""
_FAILED: Final = ("ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED")

_log = logging.getLogger(__name__)


class Database:
    """What differs between SQLite and PostgreSQL.

    A slot is the place of one working process. Its number names the process to DBOS, so that whoever has
    the slot next takes up what the last one left; it is held by a lock that ends with the process.
    """

    schema: ClassVar[str | None]

    def __init__(self, url: str) -> None:
        self.url = url

    @property
    def name(self) -> str:
        """Where it is, without user, password and further parameters."""
        url = sa.make_url(self.url)
        return str(sa.URL.create(url.drivername, host=url.host, port=url.port, database=url.database))

    @property
    def is_there(self) -> bool:
        """Whether it exists, as far as that is known before it is opened."""
        return True

    def prepare(self) -> None:
        """Make the database ready to be opened."""

    def engine(self, *, synchronous: Literal["FULL", "NORMAL"]) -> sa.Engine:
        """Open a pool of connections; with FULL, a commit that returned outlives a power failure."""
        raise NotImplementedError

    def create_tables(self, engine: sa.Engine) -> None:
        """Create the tables beside those of DBOS, where there are none."""
        with engine.begin() as connection:
            self.one_writer(connection)
            for table in (self._heartbeat, self.watermarks, self.feedback, heard_table(self.schema)):
                table.create(connection, checkfirst=True)

    def beat(self, engine: sa.Engine) -> None:
        """Write and commit, as an event is stored; raises `SQLAlchemyError` or `OSError` where that fails."""
        now = datetime.now(UTC).isoformat()
        with engine.begin() as connection:
            if not connection.execute(sa.update(self._heartbeat).values(at=now)).rowcount:
                connection.execute(sa.insert(self._heartbeat).values(id=1, at=now))

    @property
    def feedback(self) -> sa.Table:
        """What became of cards of CDS Hooks."""
        return feedback_table(self.schema)

    @property
    def watermarks(self) -> sa.Table:
        """How far the changes of each kind were searched for."""
        return watermarks_table(self.schema)

    @property
    def _heartbeat(self) -> sa.Table:
        columns = sa.Column("id", sa.Integer, primary_key=True), sa.Column("at", sa.Text, nullable=False)
        return sa.Table("trd_heartbeat", sa.MetaData(self.schema), *columns)

    def one_writer(self, connection: sa.Connection) -> None:
        """Keep others from adding jobs until this transaction ends, so that none adds what waits already."""
        raise NotImplementedError

    def take_slot(self) -> int:
        """Return the slot of this process: the one it holds, had, or the lowest that is free."""
        raise NotImplementedError

    def leave_slot(self) -> None:
        """Give up the slot."""
        raise NotImplementedError

    @contextlib.contextmanager
    def borrowed(self, slot: int) -> Iterator[bool]:
        """Try to hold the slot of another process; yields whether it is free, so that process is gone."""
        del slot
        yield False


class Sqlite(Database):
    """One file and one working process."""

    schema = None

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._path = Path(sa.make_url(url).database or "")
        self._lock: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None

    @property
    def is_there(self) -> bool:
        """Whether there is a file."""
        return self._path.exists()

    def prepare(self) -> None:
        """Create the file, for its owner's eyes only, with a log that readers and a writer share."""
        self._path.touch(mode=0o600)
        self._file = self._identity()
        connection = sqlite3.connect(self._path)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.close()

    def engine(self, *, synchronous: Literal["FULL", "NORMAL"]) -> sa.Engine:
        """Set what DBOS sets, and how far a commit waits for the disk."""
        engine = sa.create_engine(self.url, pool_size=10, hide_parameters=True)

        @sa.event.listens_for(engine, "connect")
        def _set_up(connection: sqlite3.Connection, _: object) -> None:
            connection.isolation_level = "IMMEDIATE"
            for pragma in ("busy_timeout=30000", "foreign_keys=ON", f"synchronous={synchronous}"):
                connection.execute(f"PRAGMA {pragma}")

        return engine

    def beat(self, engine: sa.Engine) -> None:
        """See as well whether the file is the one that was opened, has room to grow, and is whole.

        A file that was deleted takes writes until it is closed, and pages in memory hide a damaged one.
        """
        self._check_file()
        if shutil.disk_usage(self._path.parent).free < _LEAST_ROOM:
            raise OSError("the disk of the queue is full")
        with contextlib.closing(sqlite3.connect(self._path, timeout=1)) as connection:
            (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            raise OSError("the file of the queue is damaged")
        super().beat(engine)

    def _check_file(self) -> None:
        try:
            there = self._identity()
        except OSError:
            there = None
        if there != self._file:
            raise QueueError("the file of the queue is not the one that was opened")

    def _identity(self) -> tuple[int, int]:
        status = self._path.stat()
        return status.st_dev, status.st_ino

    def one_writer(self, connection: sa.Connection) -> None:
        """SQLite has one writer at a time anyway, once the transaction says that it will write.

        Raises `QueueError` where the file was deleted: what is written to it ends with this process.
        """
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        self._check_file()

    def take_slot(self) -> int:
        """Lock a file beside the database; raises `SetupError` when another process has."""
        if self._lock is None:
            lock = sqlite3.connect(f"{self._path}.lock", timeout=0, check_same_thread=False)
            try:
                lock.execute("BEGIN EXCLUSIVE")
            except sqlite3.OperationalError:
                lock.close()
                raise SetupError(
                    "another process works on this SQLite queue; several need PostgreSQL (TRD_DATABASE_URL)"
                ) from None
            self._lock = lock
        return 1

    def leave_slot(self) -> None:
        """Unlock the file."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None


class Postgres(Database):
    """One database and any number of processes, each with a session that holds its slot."""

    schema = "dbos"
    _LOCKS: Final = 0x747264  # the class of this application's advisory locks; 0 in it is the writer's

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._session: sa.Connection | None = None
        self._slot: int | None = None

    def engine(self, *, synchronous: Literal["FULL", "NORMAL"]) -> sa.Engine:
        """Commit as the server is set; `synchronous` is not weakened, as others may see the commit."""
        del synchronous
        return self._engine(pool_size=10, max_overflow=10, pool_pre_ping=True)

    def one_writer(self, connection: sa.Connection) -> None:
        """Lock until the commit, across processes."""
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(self._LOCKS, 0)))

    def take_slot(self) -> int:
        """Hold a lock for as long as the session lives; another session tries for the same slot first."""
        if self._session is not None and self._slot is not None:
            try:
                self._session.execute(sa.text("SELECT 1"))
            except SQLAlchemyError:
                self._drop_session()
            else:
                return self._slot
        self._session = self._connect()
        had = [] if self._slot is None else [self._slot]
        try:
            self._slot = next(
                number for number in itertools.chain(had, itertools.count(1)) if self._lock(number)
            )
        except SQLAlchemyError:
            self._drop_session()
            raise
        return self._slot

    def leave_slot(self) -> None:
        """End the session, and the lock with it."""
        self._drop_session()
        self._slot = None

    @contextlib.contextmanager
    def borrowed(self, slot: int) -> Iterator[bool]:
        """Hold the lock for the length of the block."""
        free = self._lock(slot)
        try:
            yield free
        finally:
            if free:
                self._scalar(sa.func.pg_advisory_unlock(self._LOCKS, slot))

    def _lock(self, number: int) -> bool:
        return bool(self._scalar(sa.func.pg_try_advisory_lock(self._LOCKS, number)))

    def _scalar(self, function: sa.Function[Any]) -> object:
        if self._session is None:
            raise SetupError("the queue's session is closed")
        return self._session.execute(sa.select(function)).scalar()

    def _connect(self) -> sa.Connection:
        """Open a session that the server ends within half a minute when this machine is gone."""
        session = self._engine(poolclass=sa.NullPool, isolation_level="AUTOCOMMIT").connect()
        for setting in (
            "tcp_keepalives_idle = 10",
            "tcp_keepalives_interval = 5",
            "tcp_keepalives_count = 3",
        ):
            session.execute(sa.text(f"SET {setting}"))
        return session

    def _drop_session(self) -> None:
        if self._session is not None:
            self._session.close()
            self._session.engine.dispose()
            self._session = None

    def _engine(self, **options: Any) -> sa.Engine:
        return sa.create_engine(
            sa.make_url(self.url).set(drivername="postgresql+psycopg"),
            hide_parameters=True,
            connect_args={
                "application_name": APPLICATION,
                "connect_timeout": 5,
                "options": "-c idle_in_transaction_session_timeout=60000",
            },
            **options,
        )


def open_database(url: str) -> Database:
    """The database at an address; raises `SettingsError` for one that is neither SQLite nor PostgreSQL."""
    try:
        backend = sa.make_url(url).get_backend_name()
    except ArgumentError:
        backend = ""
    match backend:
        case "sqlite":
            return Sqlite(url)
        case "postgresql":
            return Postgres(url)
        case _:
            raise SettingsError(
                "TRD_DATABASE_URL: not an address that starts with postgresql:// or sqlite:///"
            )


def waiting_keys(schema: str | None, keys: Sequence[str]) -> sa.CompoundSelect[Any]:
    """Select which of these keys have a job that waits.

    The statuses are written out, here and below, as DBOS's partial indexes are found only so.
    """
    jobs = _jobs_table(schema)
    ours = sa.select(jobs.c.queue_partition_key).where(
        jobs.c.queue_name == QUEUE, jobs.c.queue_partition_key.in_(keys)
    )
    enqueued = ours.where(_is(jobs, "ENQUEUED", "PENDING"), _is(jobs, "ENQUEUED"))
    return sa.union_all(enqueued, ours.where(_is(jobs, "DELAYED")))


def failed_ids(schema: str | None, key: str) -> sa.Select[Any]:
    """Select the ids of the failed jobs of one key."""
    jobs = _jobs_table(schema)
    return sa.select(jobs.c.workflow_uuid).where(
        jobs.c.name == WORKFLOW, jobs.c.queue_partition_key == key, _is(jobs, *_FAILED)
    )


def open_jobs(schema: str | None) -> sa.CompoundSelect[Any]:
    """Count the jobs that are not done, by the status DBOS gives them."""
    jobs = _jobs_table(schema)
    count = sa.select(jobs.c.status, sa.func.count()).where(jobs.c.name == WORKFLOW).group_by(jobs.c.status)
    return sa.union_all(
        count.where(jobs.c.queue_name == QUEUE, _is(jobs, "ENQUEUED", "PENDING")),
        count.where(_is(jobs, "DELAYED")),
        count.where(_is(jobs, *_FAILED)),
    )


def _jobs_table(schema: str | None) -> sa.TableClause:
    """Name the documented columns of DBOS's table of jobs that no method of its own asks for."""
    names = ("workflow_uuid", "name", "status", "queue_name", "queue_partition_key")
    return sa.table("workflow_status", *(sa.column(name, sa.Text) for name in names), schema=schema)


def _is(jobs: sa.TableClause, *statuses: str) -> sa.ColumnElement[bool]:
    written: list[sa.ColumnElement[str]] = [sa.literal_column(f"'{status}'") for status in statuses]
    return jobs.c.status == written[0] if len(written) == 1 else jobs.c.status.in_(written)
