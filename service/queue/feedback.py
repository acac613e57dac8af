"""What became of cards of CDS Hooks, in the queue's database: one row per card, nothing of a patient."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import sqlalchemy as sa

from service.feedback import Feedback


class FeedbackCount(NamedTuple):
    """How many cards of a hook had an outcome, for a reason of ours or `None`."""

    hook: str
    outcome: str
    reason: str | None
    cards: int


def feedback_table(schema: str | None) -> sa.Table:
    """The table of what became of cards."""
    return sa.Table(
        "trd_card_feedback",
        sa.MetaData(schema),
        sa.Column("card", sa.Text, primary_key=True),
        sa.Column("hook", sa.Text, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("at", sa.Text, nullable=False),
    )


def store_feedback(connection: sa.Connection, table: sa.Table, told: Sequence[Feedback]) -> list[Feedback]:
    """Keep the last that was told of each card; returns what is new."""
    latest = {one.card: one for one in sorted(told, key=lambda one: one.at)}
    query = sa.select(table.c.card, table.c.at).where(table.c.card.in_(latest))
    known = {card: datetime.fromisoformat(at) for card, at in connection.execute(query)}
    new = [one for card, one in latest.items() if card not in known or known[card] < one.at]
    connection.execute(sa.delete(table).where(table.c.card.in_([one.card for one in new])))
    for one in new:
        row = {"card": one.card, "hook": one.hook, "outcome": one.outcome, "reason": one.reason}
        connection.execute(sa.insert(table).values(**row, at=one.at.astimezone(UTC).isoformat()))
    return new


def forget_feedback(connection: sa.Connection, table: sa.Table, before: datetime) -> None:
    """Delete what became of cards before an instant in UTC."""
    connection.execute(sa.delete(table).where(table.c.at < before.isoformat()))


def count_feedback(connection: sa.Connection, table: sa.Table) -> list[FeedbackCount]:
    """How many cards had which outcome."""
    columns = (table.c.hook, table.c.outcome, table.c.reason)
    query = sa.select(*columns, sa.func.count()).group_by(*columns).order_by(*columns)
    return [FeedbackCount(*row) for row in connection.execute(query)]
