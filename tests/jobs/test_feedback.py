"""What became of cards: kept once, the last word of each, and counted."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from service.feedback import Feedback
from service.queue.jobs import JobQueue, Jobs
from service.queue.tries import Pace
from tests.running import until
from tests.support import run_command

AT = datetime(2026, 11, 23, 10, tzinfo=UTC)
CARD = "4e0a3a1e-3283-4575-ab82-028d55fe2719"


def told(**values: Any) -> Feedback:
    given = {"card": CARD, "hook": "order-sign", "outcome": "overridden", "reason": "known-and-addressed"}
    return Feedback(**{**given, "at": AT, **values})


async def test_a_card_has_one_outcome_the_last_that_was_told(database: str) -> None:
    later = told(outcome="accepted", reason=None, at=AT + timedelta(minutes=1))
    other = told(card=CARD.replace("4e0a", "4e0b"))
    async with Jobs(database) as queue:
        assert await queue.keep_feedback([told(), told()]) == [told()]
        assert await queue.keep_feedback([told()]) == []
        assert await queue.keep_feedback([later, other]) == [other, later]
        assert await queue.keep_feedback([told()]) == []
        assert await queue.keep_feedback([]) == []
    async with Jobs(database) as queue:
        assert [tuple(count) for count in await queue.feedback()] == [
            ("order-sign", "accepted", None, 1),
            ("order-sign", "overridden", "known-and-addressed", 1),
        ]


async def test_what_became_of_cards_is_forgotten_after_its_time(database: str) -> None:
    now = datetime.now(UTC)
    old, recent = told(at=now - timedelta(days=3)), told(card=CARD.replace("4e0a", "4e0b"), at=now)
    pace = Pace(polling=0.05, lease=0.1, keep_feedback=timedelta(days=2))
    async with JobQueue(database, _reviews, pace=pace) as queue:
        await queue.keep_feedback([old, recent])

        async def old_is_gone() -> bool:
            return [count.cards for count in await queue.feedback()] == [1]

        await until(old_is_gone, seconds=20, every=0.05)
        assert await queue.keep_feedback([recent]) == []


async def _reviews(_: str, __: str) -> None:
    raise AssertionError


async def test_the_command_counts_them(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'queue.sqlite'}"
    async with Jobs(url) as queue:
        await queue.keep_feedback([told()])

    table = run_command("feedback", TRD_DATABASE_URL=url)
    lines = run_command("feedback", "--json", TRD_DATABASE_URL=url)

    assert "This is known and has been addressed" in table.stdout
    assert [json.loads(line) for line in lines.stdout.splitlines()] == [
        {"hook": "order-sign", "outcome": "overridden", "reason": "known-and-addressed", "cards": 1}
    ]
