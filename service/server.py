"""The running service: the doors, the queue behind them, and the work that the queue hands out."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from service import clock
from service.app import build_app, listening
from service.doors.trust import check_trust
from service.fhir.client import open_client
from service.queue.daily import DAILY, reviewing_daily
from service.queue.gate import Gate
from service.queue.jobs import JobQueue
from service.queue.sweeps import CHANGES, sweeping
from service.queue.work import ROSTER, Work
from service.review import Reviewer, check_task_owner
from service.settings import Settings
from service.telemetry.logs import Event, configure_logs, log_info
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
                async with (
                    reviewing_daily(queue, settings),
                    sweeping(queue, settings),
                    listening(app, settings) as address,
                ):
                    yield address


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
