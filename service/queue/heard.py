"""What was last heard of each Subscription, in a small table of the queue's database.

A row is a Subscription, known by a digest: the highest number of its events, and when it was last heard. Both
are needed after a restart, to find out what did not come. Nothing in it is of a record.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import sqlalchemy as sa

from service.fhir.notifications import Heard


def heard_table(schema: str | None) -> sa.Table:
    """The table; `name` is `Subscription/id` where it is on the configured server."""
    return sa.Table(
        "trd_heard",
        sa.MetaData(schema),
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("name", sa.Text),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("at", sa.Text, nullable=False),
    )


def select_heard(schema: str | None, key: str | None = None) -> sa.Select[Any]:
    """Select the row of a Subscription, or those of all."""
    table = heard_table(schema)
    rows = sa.select(table.c.key, table.c.name, table.c.number, table.c.at)
    return rows if key is None else rows.where(table.c.key == key)


def read_heard(rows: Iterable[sa.Row[Any]]) -> Iterator[tuple[str, Heard]]:
    """Read selected rows."""
    for row in rows:
        yield row.key, Heard(row.name, row.number, row.at)


def keep_heard(connection: sa.Connection, schema: str | None, key: str, heard: Heard) -> None:
    """Write a row, within a transaction that has no other writer. A number or an instant never falls."""
    table = heard_table(schema)
    row = {"name": heard.name, "number": heard.number, "at": heard.at}
    known = next((old for _, old in read_heard(connection.execute(select_heard(schema, key)))), None)
    if known is None:
        connection.execute(sa.insert(table).values(key=key, **row))
        return
    row |= {"number": max(known.number, heard.number), "at": max(known.at, heard.at)}
    connection.execute(sa.update(table).where(table.c.key == key).values(row))


def delete_heard(schema: str | None, key: str) -> sa.Delete:
    """Delete the row of a Subscription."""
    table = heard_table(schema)
    return sa.delete(table).where(table.c.key == key)
