"""The periodic sweep: what changed on the FHIR server since the last one is queued, whoever told of it.

How far it has come is kept per kind of resource, in the database of the queue, by the clock of the server
(docs/decisions/0036-watermarks.md).
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from service import clock
from service.cause import Cause
from service.core.knowledge import Knowledge
from service.errors import ServerError, ServerRefused
from service.fhir.client import FhirClient
from service.gather.changes import Changed, SweptKinds, Window, find_changed, find_swept_kinds
from service.queue.daily import Sleep, running_beside
from service.queue.jobs import Jobs
from service.queue.watermarks import Watermark
from service.settings import Settings
from service.telemetry.logs import Event, log_error, log_info, log_warning
from service.telemetry.metrics import Metrics

CHANGES: Final = "changes"
"""The task in the queue. It has one reference, so that of all processes one sweeps at a time."""
ALL_KINDS: Final = "all"

OVERLAP: Final = timedelta(minutes=10)
"""How much is searched again: a change may be stored later than its time says, and the clock that the server
shows may be ahead of the one it stores by."""
LONGEST_WINDOW: Final = timedelta(days=1)
"""What is searched for at a time after a long absence; the watermark is advanced after each."""
_BEFORE_THE_FIRST: Final = timedelta(days=1)
"""From when on a server that does not show its clock is swept."""
_EARLY: Final = 0.9
"""The part of the interval after which a sweep counts as due: processes do not ask at the same moment."""
_AGAIN_SECONDS: Final = 60.0


@contextlib.asynccontextmanager
async def sweeping(queue: Jobs, settings: Settings) -> AsyncIterator[None]:
    """Queue the sweep at once and then at its interval, while the block runs."""
    every = settings.sweep_interval
    if every is None:
        yield
        return
    async with running_beside(queue_sweeps(queue, every)):
        yield


async def queue_sweeps(queue: Jobs, every: timedelta, *, sleep: Sleep = asyncio.sleep) -> None:
    """Queue the sweep again and again; one that cannot be stored is tried again until it is."""
    while True:
        try:
            await queue.accept_task(CHANGES, ALL_KINDS, Cause.SWEEP)
        except Exception as error:  # noqa: BLE001 - whatever the database raises, it is not stored
            log_error(Event.QUEUE_FAILED, error)
            await sleep(_AGAIN_SECONDS)
        else:
            await sleep(every.total_seconds())


@dataclass(slots=True, kw_only=True)
class Sweep:
    """Finds what changed since the last sweep, and queues whose records these are."""

    client: FhirClient
    knowledge: Knowledge
    metrics: Metrics
    every: timedelta
    now: Callable[[], datetime] = clock.now
    _said: SweptKinds | None = field(default=None, init=False)

    async def run(self, queue: Jobs) -> None:
        """Sweep each kind that was not swept lately. A kind that is refused does not stop the others.

        Raises `ServerError` where the server is away or may answer later; what was reached is kept.
        """
        kinds = await find_swept_kinds(self.client)
        self._say(kinds)
        if not kinds.swept:
            return
        await self.client.probe()
        clocks = Clocks(self.client.server_time, self.now())
        for kind in kinds.swept:
            try:
                await self._sweep_unless_recent(queue, kind, clocks)
            except ServerError as error:
                if error.passing or error.away:
                    raise
                log_warning(Event.NOT_SWEPT, kind=kind, reason=_reason(error))

    def _say(self, kinds: SweptKinds) -> None:
        """Log which kinds are swept, once, and again when the server says something else."""
        if kinds != self._said:
            self._said = kinds
            if kinds.swept:
                log_info(Event.SWEPT, kinds=", ".join(kinds.swept))
            if kinds.left_out:
                why = "the server cannot be searched for what changed"
                log_warning(Event.NOT_SWEPT, kinds=", ".join(kinds.left_out), reason=why)

    async def _sweep_unless_recent(self, queue: Jobs, kind: str, clocks: "Clocks") -> None:
        mark = await queue.watermark(self.client.base, kind)
        if mark is None:
            mark = Watermark(clocks.there or clocks.here - _BEFORE_THE_FIRST, clocks.here)
            await queue.advance(self.client.base, kind, mark)
        self.metrics.set_swept(kind, mark.reached.timestamp())
        # Where our clock was set back, the last sweep seems to lie ahead: then it is due as well.
        if not timedelta() <= clocks.here - mark.swept < self.every * _EARLY:
            await self._sweep(queue, kind, mark, clocks)

    async def _sweep(self, queue: Jobs, kind: str, mark: Watermark, clocks: "Clocks") -> None:
        """Search window by window, and advance the watermark once all that a window shows is queued."""
        for window in windows(_begin(mark, clocks), clocks.there):
            changed = await find_changed(self.client, kind, window, self.knowledge)
            if changed.patients:
                await queue.accept(sorted(changed.patients), Cause.SWEEP)
                log_info(Event.SWEPT, kind=kind, patients=len(changed.patients))
            mark = _after(window, mark, changed, clocks)
            await queue.advance(self.client.base, kind, mark)
            self.metrics.set_swept(kind, mark.reached.timestamp())


class Clocks(NamedTuple):
    """One moment by the clock of the server, `None` where it does not show it, and by ours."""

    there: datetime | None
    here: datetime


def windows(since: datetime, there: datetime | None) -> Iterator[Window]:
    """What is to be searched, the earliest first: the last window is open, the others end before `there`."""
    while there is not None and there - since > LONGEST_WINDOW + OVERLAP:
        yield Window(since, since + LONGEST_WINDOW)
        since += LONGEST_WINDOW
    yield Window(since)


def _begin(mark: Watermark, clocks: Clocks) -> datetime:
    """From when on is searched: from the watermark on, or earlier where the server's clock was set back."""
    if clocks.there is None:
        return mark.reached - OVERLAP
    passed = max(clocks.here - mark.swept, timedelta())
    return min(mark.reached, clocks.there - passed) - OVERLAP


def _after(window: Window, mark: Watermark, changed: Changed, clocks: Clocks) -> Watermark:
    """How far a window has come: to its end, else to the server's clock or the last change that it showed."""
    there, here = clocks
    if window.until is not None and there is not None:
        return Watermark(window.until, here - (there - window.until))
    return Watermark(there or max(mark.reached, changed.latest or mark.reached), here)


def _reason(error: ServerError) -> str:
    """The kind of an error, as its words name the request."""
    status = f" {error.status}" if isinstance(error, ServerRefused) else ""
    return f"{type(error).__name__}{status}"
