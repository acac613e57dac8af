"""What was heard of Subscriptions is on disk, and what did not come is made up for."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from service.fhir.kinds import WATCHED_KINDS
from service.fhir.notifications import Gap, Heard
from service.gather.changes import sweep_from
from service.queue.jobs import Job, Jobs, State
from service.queue.work import Work
from service.telemetry.metrics import Metrics
from tests.gather.test_missed import a_subscription, answering, server
from tests.notified import SUBSCRIPTION, event, notification
from tests.support import PretendServer, a_condition, client_of, reviewer

HEARD = Heard(SUBSCRIPTION, 4, "2026-11-23T10:00:00.000+00:00")
GAP = Gap(SUBSCRIPTION, 5, 6, "2026-11-23T10:00:00+00:00")


async def test_what_was_heard_outlives_the_process(database: str) -> None:
    async with Jobs(database) as queue:
        assert await queue.last_heard("key") is None
        await queue.keep_heard("key", HEARD)
        await queue.keep_heard("other", replace(HEARD, name=None, number=2**63 - 1))
    async with Jobs(database) as queue:
        assert await queue.last_heard("key") == HEARD
        assert set(await queue.all_heard()) == {"key", "other"}


async def test_a_number_never_falls_until_it_is_forgotten(database: str) -> None:
    async with Jobs(database) as queue:
        await queue.keep_heard("key", replace(HEARD, number=9))
        await asyncio.gather(*(queue.keep_heard("key", replace(HEARD, number=n)) for n in range(8)))
        assert await queue.last_heard("key") == replace(HEARD, number=9)
        await queue.forget_heard("key")
        await queue.keep_heard("key", HEARD)
        assert await queue.last_heard("key") == HEARD


def working(pretend: PretendServer, queue: Jobs) -> Work:
    return Work(reviewer(), client_of(pretend, attempts=1), Metrics(), queue)


async def queued(queue: Jobs) -> list[tuple[str, str]]:
    jobs: list[Job] = await queue.jobs(State.WAITING)
    return sorted((job.kind, job.reference) for job in jobs)


async def test_a_resource_that_was_named_is_a_review_of_its_patient(sqlite_database: str) -> None:
    async with Jobs(sqlite_database) as queue:
        await working(PretendServer([a_condition("c", "bea")]), queue).find_changed("Condition/c", "task")
        (job,) = await queue.jobs(State.WAITING)
    assert (job.kind, job.reference, job.cause) == ("patient", "bea", "topic")


async def test_a_gap_is_closed_by_its_events(sqlite_database: str) -> None:
    told = notification("R5", event(5, "Condition/a"), event(6, "Condition/b"), kind="query-event")
    pretend = server("events", **{f"{SUBSCRIPTION}/$events": answering(told)})
    async with Jobs(sqlite_database) as queue:
        await working(pretend, queue).close_gap(GAP.text, "task")
        assert await queued(queue) == [("changed", "Condition/a"), ("changed", "Condition/b")]


async def test_a_gap_is_closed_by_a_search_where_events_cannot_be_asked_for(sqlite_database: str) -> None:
    async with Jobs(sqlite_database) as queue:
        work = working(server(), queue)
        await work.close_gap(GAP.text, "task")
        await work.close_gap(replace(GAP, first=7, last=7).text, "task")
        assert await queued(queue) == [("deletions", GAP.since), ("sweep", GAP.since)]


async def test_deletions_that_were_not_told_are_traced(sqlite_database: str) -> None:
    history: dict[str, Any] = {
        f"{kind}/_history": answering({"resourceType": "Bundle"}) for kind in WATCHED_KINDS
    }
    deleted = {"request": {"method": "DELETE", "url": "Condition/gone"}}
    history["Condition/_history"] = answering({"resourceType": "Bundle", "entry": [deleted]})
    async with Jobs(sqlite_database) as queue:
        await working(server(**history), queue).find_deletions(GAP.since, "task")
        assert await queued(queue) == [("deleted", "Condition/gone")]


@pytest.mark.parametrize(
    ("subscription", "hours", "made_up"),
    [
        (a_subscription(), 100, False),
        (a_subscription(heartbeatPeriod=3600), 1, False),
        (a_subscription(heartbeatPeriod=3600), 3, True),
        (a_subscription(status="error"), 0, True),
    ],
)
async def test_the_daily_look_makes_up_for_what_a_subscription_may_have_missed(
    subscription: dict[str, Any], hours: int, made_up: bool, sqlite_database: str
) -> None:
    at = datetime.now(UTC) - timedelta(hours=hours)
    since = sweep_from(at)
    async with Jobs(sqlite_database) as queue:
        await queue.keep_heard("key", replace(HEARD, at=at.isoformat(timespec="milliseconds")))
        work = working(server(**{SUBSCRIPTION: answering(subscription)}), queue)
        await work.look_after_subscriptions()
        assert await queued(queue) == ([("deletions", since), ("sweep", since)] if made_up else [])
        heard = await queue.last_heard("key")
    assert heard is not None
    assert (datetime.fromisoformat(heard.at) > at + timedelta(minutes=1)) == (made_up and hours > 0)
    failures = (
        work.metrics.exposition().decode().count('trd_hook_events_total{kind="subscription-failed"} 1.0')
    )
    assert failures == (subscription["status"] == "error")


async def test_a_subscription_that_is_gone_is_forgotten(sqlite_database: str) -> None:
    async with Jobs(sqlite_database) as queue:
        await queue.keep_heard("key", HEARD)
        await working(server(**{SUBSCRIPTION: answering({}, 410)}), queue).look_after_subscriptions()
        assert await queue.all_heard() == {}
        assert [name for name, _ in await queued(queue)] == ["deletions", "sweep"]
