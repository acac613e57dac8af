"""The running service: the doors, the queue behind them, and the work that the queue hands out."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from functools import partial

from service import clock
from service.app import build_app, listening
from service.apply.held import check_task_owner
from service.doors.trust import check_trust
from service.errors import TrdError
from service.fhir.client import FhirClient, open_client
from service.queue.daily import DAILY, reviewing_daily
from service.queue.gate import Gate
from service.queue.jobs import JobQueue
from service.queue.sweeps import CHANGES, sweeping
from service.queue.work import ROSTER, Work
from service.render.terminal import count
from service.review import Reviewer
from service.settings import Settings
from service.telemetry.logs import Event, configure_logs, log_info, log_warning
from service.telemetry.metrics import Metrics
from service.workers import Pool, Workers, default_number

_MOST_PENDING = 16
"""How many large records may wait for a worker before the doors refuse another. Jobs wait their turn."""


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[str]:
    """Run the service; gives its address. Reviews under way end before it stops.

    Raises `SetupError` where the settings, the lists or the queue's database do not allow it to start.
    """
    check_trust(settings)
    reviewer = Reviewer.prepare(settings, clock.today(settings.timezone))
    metrics = Metrics()
    async with open_client(settings) as client:
        await check_task_owner(client, settings)
        async with Pool(settings.workers or default_number(), reviewer) as pool:
            work = Work(replace(reviewer, workers=Workers(pool)), client, metrics)
            at_doors = replace(reviewer, workers=Workers(pool, _MOST_PENDING))
            tasks = work.tasks | {
                DAILY: work.review_daily,
                CHANGES: work.sweep_changes,
                ROSTER: work.review_roster,
            }
            gate = Gate(client.probe)
            async with JobQueue(settings.database_url, work.review, tasks=tasks, gate=gate) as queue:
                work.queue = queue
                app = build_app(settings, at_doors, client, queue, metrics=metrics)
                connecting = partial(_log_connection, client, settings, queue)
                async with (
                    reviewing_daily(queue, settings),
                    sweeping(queue, settings),
                    listening(app, settings) as address,
                    _beside(connecting),
                ):
                    yield address


@asynccontextmanager
async def _beside(work: Callable[[], Coroutine[object, object, None]]) -> AsyncIterator[None]:
    """Have something done meanwhile; what is not done in the end is given up."""
    task = asyncio.create_task(work())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def serve_forever(settings: Settings) -> None:
    """Run the service until it is told to stop."""
    configure_logs()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for told in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(told, stop.set)
    async with serving(settings) as address:
        log_info(Event.LISTENING, address=address)
        await stop.wait()


def _describe(settings: Settings, queue: JobQueue) -> dict[str, str]:
    """What the service works with, for the log; neither the server nor the queue with credentials."""
    daily = f", daily review at {settings.daily_at} {settings.timezone}" if settings.daily_time else ""
    sweep = f", sweep every {settings.sweep_every} minutes" if settings.sweep_interval else ""
    return {
        "server": str(settings.fhir_base_url),
        "queue": queue.name,
        "mode": _mode(settings),
        "triggers": f"operations, notifications{daily}{sweep}",
    }


def _mode(settings: Settings) -> str:
    if not settings.writes:
        return "shadow"
    number = len(settings.patients_allowed)
    return f"writes for {count(number, 'patient')}" if number else "writes"


async def _log_connection(client: FhirClient, settings: Settings, queue: JobQueue) -> None:
    """Say in the log what the service works with, and how outcomes are written once the server tells."""
    described = _describe(settings, queue)
    try:
        tier = (await client.target()).tier
    except TrdError as error:
        log_warning(Event.CONNECTED, **described, tier="unknown", error=type(error).__name__)
    else:
        log_info(Event.CONNECTED, **described, tier=tier.value)
