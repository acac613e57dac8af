"""The gate that every job passes: open while the FHIR server is there, with one probe at a time while not."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable

from service.queue.availability import Availability
from service.queue.tries import FailedTry, Fault, Pace, failed_try
from service.telemetry.logs import Event, log_info, log_warning


async def _goes_on() -> None:
    """Without a probe, the jobs themselves find out once the wait is over."""


class Gate:
    """Holds jobs back while the FHIR server is away, asks for it by `probe`, and lets all go on at once."""

    def __init__(
        self,
        probe: Callable[[], Awaitable[None]] = _goes_on,
        *,
        pace: Pace | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._probe = probe
        self._pace = pace or Pace()
        self._clock = clock
        self._sleep = sleep
        self._seen = Availability()
        self._open = asyncio.Event()
        self._open.set()
        self._probing: asyncio.Task[None] | None = None

    @property
    def paused(self) -> str | None:
        """Why no job begins, in words that name nobody; `None` while jobs begin."""
        return self._seen.why if self._seen.away else None

    async def passed(self) -> None:
        """Return once jobs may begin."""
        await self._open.wait()

    def worked(self) -> None:
        """Note that a job was done."""
        self._seen = self._seen.worked()

    def failed(self, failed: FailedTry) -> None:
        """Note how a job failed; where the server is away, no further job begins."""
        if failed.fault is not Fault.AWAY:
            return
        self._seen = self._seen.failed(self._clock(), failed.told, failed.retry_after, self._pace)
        if self._probing is None:
            self._open.clear()
            log_warning(Event.QUEUE_PAUSED, reason=failed.told)
            self._probing = asyncio.create_task(self._probe_until_answered())

    async def close(self) -> None:
        """Stop asking. Who waits goes on waiting."""
        if self._probing is not None:
            self._probing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._probing
            self._probing = None

    async def _probe_until_answered(self) -> None:
        while self._seen.away:
            while (wait := self._seen.probe_at - self._clock()) > 0:
                await self._sleep(wait)
            failed = await self._ask()
            if failed is None:
                self._seen = self._seen.answered()
            else:
                self._seen = self._seen.probed_in_vain(
                    self._clock(), failed.told, failed.retry_after, self._pace
                )
        self._probing = None
        self._open.set()
        log_info(Event.QUEUE_RESUMED)

    async def _ask(self) -> FailedTry | None:
        """How a probe found the server away; any other fault is an answer, and the jobs will meet it."""
        try:
            await self._probe()
        except Exception as error:  # noqa: BLE001 - whatever it is, the queue must not stand still for it
            failed = failed_try(error)
            return failed if failed.fault is Fault.AWAY else None
        return None
