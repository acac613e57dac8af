"""How late the event loop is: the time for which anybody waits whom it is to answer."""

import asyncio
from collections.abc import Callable

_EVERY = 0.5


async def watch_lag(observe: Callable[[float], None], every: float = _EVERY) -> None:
    """Tell again and again by how many seconds the loop comes late; ends when it is cancelled."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + every
        await asyncio.sleep(every)
        observe(max(0.0, loop.time() - due))
