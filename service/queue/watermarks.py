"""How far the changes of each kind of resource were searched for: one row per FHIR server and kind."""

from datetime import datetime
from typing import NamedTuple

import sqlalchemy as sa


class Watermark(NamedTuple):
    """All changes of a kind before `reached`, by the server's clock, are queued.

    `swept` is when the clock of the server showed that, by the clock of this service.
    """

    reached: datetime
    swept: datetime


def watermarks_table(schema: str | None) -> sa.Table:
    """The table, in the schema of the queue."""
    return sa.Table(
        "trd_watermarks",
        sa.MetaData(schema),
        sa.Column("server", sa.Text, primary_key=True),
        sa.Column("kind", sa.Text, primary_key=True),
        sa.Column("reached", sa.Text, nullable=False),
        sa.Column("swept", sa.Text, nullable=False),
    )


def read_watermark(connection: sa.Connection, table: sa.Table, server: str, kind: str) -> Watermark | None:
    """The watermark of a kind on a server; `None` before the first."""
    wanted = sa.select(table.c.reached, table.c.swept).where(_is_of(table, server, kind))
    found = connection.execute(wanted).one_or_none()
    return None if found is None else Watermark(*map(datetime.fromisoformat, found))


def write_watermark(
    connection: sa.Connection, table: sa.Table, *, server: str, kind: str, watermark: Watermark
) -> None:
    """Store a watermark. The caller keeps others from writing meanwhile."""
    values = {"reached": watermark.reached.isoformat(), "swept": watermark.swept.isoformat()}
    if not connection.execute(sa.update(table).where(_is_of(table, server, kind)).values(values)).rowcount:
        connection.execute(sa.insert(table).values(server=server, kind=kind, **values))


def _is_of(table: sa.Table, server: str, kind: str) -> sa.ColumnElement[bool]:
    return sa.and_(table.c.server == server, table.c.kind == kind)
