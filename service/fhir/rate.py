"""How fast a FHIR server is asked."""

import asyncio
import time
from collections.abc import Awaitable, Callable


class RequestRate:
    """Lets so many requests a second begin; each of the others waits for its turn, in the order they came."""

    def __init__(
        self,
        a_second: float | None,
        *,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._between = 0.0 if a_second is None else 1 / a_second
        self._next = 0.0
        self._now = now
        self._sleep = sleep

    async def turn(self) -> None:
        """Return when the next request may begin."""
        now = self._now()
        begins = max(now, self._next)
        self._next = begins + self._between
        if begins > now:
            await self._sleep(begins - now)
