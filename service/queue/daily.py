"""Time as a trigger: once a day, at the same time of the day at the site, the daily review is queued."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from service import clock
from service.cause import Cause
from service.queue.jobs import Jobs
from service.settings import Settings
from service.telemetry.logs import Event, log_error

DAILY: Final = "daily"
"""The task in the queue; its reference is the day, so that several processes ask for the same one."""

_LONGEST_NAP: Final = 60.0
"""Seconds after which the clock is looked at again: it may be set, and a machine may have slept."""

Sleep = Callable[[float], Awaitable[object]]


def next_daily(after: datetime, at: time, timezone: str) -> datetime:
    """The first instant, in UTC, after another at which it is this time of the day at the site.

    Of an hour that comes twice when the clocks go back it is the first; a time that is skipped when they go
    forward is taken as if they had not, so that every day has exactly one.
    """
    zone = ZoneInfo(timezone)
    today = after.astimezone(zone).date()
    instants = (_instant(today + timedelta(days=days), at, zone) for days in range(-1, 3))
    return next(instant for instant in instants if instant > after)


def _instant(day: date, at: time, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, at, zone).astimezone(UTC)


@contextlib.asynccontextmanager
async def reviewing_daily(
    queue: Jobs, settings: Settings, *, now: Callable[[], datetime] = clock.now
) -> AsyncIterator[None]:
    """Queue the daily review whenever it is due, while the block runs."""
    at = settings.daily_time
    if at is None:
        yield
        return
    async with running_beside(queue_daily(queue, at, settings.timezone, now=now)):
        yield


@contextlib.asynccontextmanager
async def running_beside(endless: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """Run what does not end by itself while the block runs."""
    running = asyncio.create_task(endless)
    try:
        yield
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running


async def queue_daily(
    queue: Jobs,
    at: time,
    timezone: str,
    *,
    now: Callable[[], datetime] = clock.now,
    sleep: Sleep = asyncio.sleep,
) -> None:
    """Queue the review of every day at its time; one that cannot be stored is tried again until it is."""
    due = next_daily(now(), at, timezone)
    while True:
        while (seconds := (due - now()).total_seconds()) > 0:
            await sleep(min(seconds, _LONGEST_NAP))
        try:
            await queue.accept_task(DAILY, due.astimezone(ZoneInfo(timezone)).date().isoformat(), Cause.DAILY)
        except Exception as error:  # noqa: BLE001 - whatever the database raises, the day is not stored
            log_error(Event.QUEUE_FAILED, error)
            await sleep(_LONGEST_NAP)
        else:
            due = next_daily(max(due, now()), at, timezone)
