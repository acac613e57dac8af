"""The command `feedback`: count what became of the cards of CDS Hooks."""

import json
from collections.abc import Sequence

from rich.table import Table

from service.queue.feedback import FeedbackCount
from service.queue.jobs import Jobs
from service.render.cards import OVERRIDES
from service.render.terminal import Terminal


async def count_feedback(database_url: str | None) -> list[FeedbackCount]:
    """How many cards of each hook were accepted and overridden, and for which reason; it makes no queue."""
    if not Jobs.is_there(database_url):
        return []
    async with Jobs(database_url) as queue:
        return await queue.feedback()


def count_as_json(count: FeedbackCount) -> str:
    """A count as one JSON object."""
    return json.dumps(count._asdict())


def print_feedback(console: Terminal, counts: Sequence[FeedbackCount]) -> None:
    """Print the counts as a table, or that there are none."""
    if not counts:
        console.print("No feedback on cards is on record.")
        return
    table = Table(box=None)
    for heading in ("hook", "outcome", "reason", "cards"):
        table.add_column(heading, overflow="fold")
    for count in counts:
        reason = OVERRIDES.get(count.reason or "", count.reason or "")
        table.add_row(count.hook, count.outcome, reason, str(count.cards))
    console.print(table)
