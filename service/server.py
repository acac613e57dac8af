"""The running service: the doors, the queue behind them, and the work that the queue hands out."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus

from service import clock
from service.app import build_app, listening
from service.cause import Cause
from service.doors.trust import check_trust
from service.errors import InputError, ServerRefused
from service.fhir.changes import patients_changed_since, patients_of_deleted
from service.fhir.client import FhirClient, open_client
from service.queue.jobs import JobQueue, Jobs
from service.settings import Settings
from service.telemetry.logs import Event, configure_logs, log_info
from service.telemetry.metrics import Metrics
from service.workflow import Reviewer, check_task_owner


@dataclass(slots=True)
class Work:
    """What the queue's jobs do: review a patient, or find out which patients to review."""

    reviewer: Reviewer
    client: FhirClient
    metrics: Metrics
    queue: Jobs | None = None

    async def review(self, patient_id: str, cause: str) -> None:
        """Review a patient as of today and write the outcome back. A deleted patient needs no review."""
        started = time.monotonic()
        today = clock.today(self.reviewer.settings.timezone)
        try:
            proposal = await self.reviewer.on(today).propose(
                self.client, patient_id, cause=Cause.named(cause)
            )
        except ServerRefused as refused:
            if refused.status == HTTPStatus.GONE:
                return
            if refused.status == HTTPStatus.NOT_FOUND:
                raise InputError(str(refused)) from None
            raise
        answer = proposal.answer
        seconds = time.monotonic() - started
        self.metrics.count_decision(answer.decision.value, answer.reason.value, seconds)
        self.metrics.count_outcome(proposal.held, answer.care_plan.tier)
        log_info(
            Event.REVIEWED,
            decision=answer.decision.value,
            reason=answer.reason.value,
            care_plan=answer.care_plan.action.value,
            seconds=round(seconds, 3),
            **proposal.told,
        )

    async def sweep(self, since: str, _: str) -> None:
        """Have every patient reviewed whose record changed since an instant."""
        await self._accept(
            await patients_changed_since(self.client, since, self.reviewer.knowledge), Cause.SWEEP
        )

    async def find_deleted(self, reference: str, _: str) -> None:
        """Have the patient reviewed whom a deleted resource was about."""
        await self._accept(await patients_of_deleted(self.client, reference), Cause.DELETED)

    async def _accept(self, patient_ids: set[str], cause: Cause) -> None:
        if self.queue is not None and patient_ids:
            await self.queue.accept(sorted(patient_ids), cause)


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
        work = Work(reviewer, client, metrics)
        tasks = {"sweep": work.sweep, "deleted": work.find_deleted}
        async with JobQueue(settings.database_url, work.review, tasks=tasks) as queue:
            work.queue = queue
            app = build_app(settings, reviewer, client, queue, metrics=metrics)
            async with listening(app, settings) as address:
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
