"""Have an event stored before it is confirmed: what every door does that answers before the work is done."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from aiohttp import web

from service.doors.ports import METRICS
from service.telemetry.logs import Event, log_error
from service.telemetry.metrics import HookEvent

Stored = TypeVar("Stored")
STORE_SECONDS = 10.0
"""How long the queue may take to store an event."""


async def store(request: web.Request, storing: Awaitable[Stored]) -> Stored:
    """Return once an event is stored, what storing it gives.

    Raises the answer 503 where it is not stored, so that it is sent again.
    """
    try:
        async with asyncio.timeout(STORE_SECONDS):
            return await storing
    except Exception as error:  # noqa: BLE001 - whatever the database raises, the event is not stored
        log_error(Event.QUEUE_FAILED, error)
        request.app[METRICS].count_hook_event(HookEvent.NOT_STORED)
        raise web.HTTPServiceUnavailable from None
