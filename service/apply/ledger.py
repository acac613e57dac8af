"""Our own record of the documents that stand in place of CarePlans, in the database of the queue.

Not every server finds a document again by our identifier, keeps our extensions, or lets a Communication be
searched for. The record holds references and digests, and nothing of what a document says.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import date
from hashlib import sha256
from pathlib import Path
from typing import Final, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from service.errors import QueueError
from service.render.document import SUPERSEDED
from service.settings import DEFAULT_DATABASE_URL

Done = TypeVar("Done")

_SCHEMA: Final = "dbos"
"""Where the queue has its tables on PostgreSQL; SQLite has no schemas."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerEntry:
    """What was last sent about a patient.

    `reference` is the resource, `None` until the server has named it. `sent` is the digest of the proposal
    that it makes, or a word that it makes none; `over` the version that it takes the place of. `settled` is
    whether the server is known to have stored that; `stored` is then the digest of what a person could
    change, as the server has it. `proposed_on` is the day from which the dates were counted, `grounds` what
    the proposal rests on, as a digest. `untraced` is whether its Provenance is still to be written.
    """

    reference: str | None
    sent: str
    proposed_on: date | None
    grounds: str
    over: str | None = None
    stored: str | None = None
    settled: bool = False
    withdrawn: bool = False
    untraced: bool = False

    @property
    def may_propose(self) -> bool:
        """Whether a proposal stands, or the outcome of superseding it is unknown."""
        return self.sent != SUPERSEDED or not self.settled


class Ledger:
    """The record of one FHIR server and one kind of resource. Raises `QueueError` where it fails."""

    def __init__(self, engine: sa.Engine, base: str, kind: str) -> None:
        self._engine = engine
        self._key = {"server": sha256(base.encode()).hexdigest(), "kind": kind}
        self._table = _table(_SCHEMA if engine.dialect.name == "postgresql" else None)

    async def prepare(self) -> None:
        """Create the table where there is none."""
        await _asked(self._create)

    async def find(self, patient_id: str) -> LedgerEntry | None:
        """What was last sent about a patient."""
        return (await self._select(self._table.c.patient == patient_id)).get(patient_id)

    async def all(self) -> dict[str, LedgerEntry]:
        """What was last sent, by the id of the patient."""
        return await self._select(sa.true())

    async def save(self, patient_id: str, entry: LedgerEntry) -> None:
        """Keep what is sent about a patient, in place of what was sent before."""
        await _asked(lambda: self._replace(patient_id, entry))

    async def move(self, patient_id: str, to: str) -> None:
        """Keep what was sent about a patient under another id, under which nothing was kept."""
        await _asked(lambda: self._move(patient_id, to))

    def _create(self) -> None:
        with self._engine.begin() as connection:
            if self._table.schema is not None:
                connection.execute(sa.schema.CreateSchema(self._table.schema, if_not_exists=True))
            self._table.create(connection, checkfirst=True)

    async def _select(self, condition: sa.ColumnElement[bool]) -> dict[str, LedgerEntry]:
        chosen = sa.select(self._table).where(*self._ours(), condition)

        def rows() -> list[dict[str, object]]:
            with self._engine.connect() as connection:
                return [dict(row) for row in connection.execute(chosen).mappings()]

        return {str(row.pop("patient")): _entry(row) for row in await _asked(rows)}

    def _replace(self, patient_id: str, entry: LedgerEntry) -> None:
        row = {**self._key, "patient": patient_id, **asdict(entry)}
        with self._engine.begin() as connection:
            connection.execute(
                sa.delete(self._table).where(*self._ours(), self._table.c.patient == patient_id)
            )
            connection.execute(sa.insert(self._table).values(row))

    def _move(self, patient_id: str, to: str) -> None:
        with self._engine.begin() as connection:
            connection.execute(
                sa.update(self._table)
                .where(*self._ours(), self._table.c.patient == patient_id)
                .values(patient=to)
            )

    def _ours(self) -> list[sa.ColumnElement[bool]]:
        return [self._table.c[name] == value for name, value in self._key.items()]


@asynccontextmanager
async def open_ledger(database_url: str | None, base: str, kind: str) -> AsyncIterator[Ledger]:
    """The record of a FHIR server and a kind of resource; `database_url` is that of the queue."""
    engine = await _asked(lambda: _open(database_url or DEFAULT_DATABASE_URL))
    try:
        ledger = Ledger(engine, base, kind)
        await ledger.prepare()
        yield ledger
    finally:
        await asyncio.to_thread(engine.dispose)


def _open(database_url: str) -> sa.Engine:
    """An engine; a new file of SQLite is for its owner's eyes only."""
    url = sa.make_url(database_url)
    if url.get_backend_name() == "postgresql":
        return sa.create_engine(url.set(drivername="postgresql+psycopg"), hide_parameters=True)
    if url.database:
        Path(url.database).touch(mode=0o600)
    return sa.create_engine(url, hide_parameters=True)


def _table(schema: str | None) -> sa.Table:
    return sa.Table(
        "trd_documents",
        sa.MetaData(schema),
        sa.Column("server", sa.Text, primary_key=True),
        sa.Column("kind", sa.Text, primary_key=True),
        sa.Column("patient", sa.Text, primary_key=True),
        sa.Column("reference", sa.Text),
        sa.Column("sent", sa.Text, nullable=False),
        sa.Column("over", sa.Text),
        sa.Column("stored", sa.Text),
        sa.Column("settled", sa.Boolean, nullable=False),
        sa.Column("proposed_on", sa.Date),
        sa.Column("grounds", sa.Text, nullable=False),
        sa.Column("withdrawn", sa.Boolean, nullable=False),
        sa.Column("untraced", sa.Boolean, nullable=False),
    )


def _entry(row: dict[str, object]) -> LedgerEntry:
    fields = {name: value for name, value in row.items() if name not in {"server", "kind"}}
    return LedgerEntry(**fields)  # type: ignore[arg-type]  # the columns have the types of the fields


async def _asked(ask: Callable[[], Done]) -> Done:
    """Ask the database, beside the loop."""
    try:
        return await asyncio.to_thread(ask)
    except (SQLAlchemyError, OSError) as error:
        name = type(error).__name__
        raise QueueError(f"the database of the queue could not keep the documents ({name})") from None
