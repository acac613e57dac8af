"""A web application on loopback, in a thread of its own."""

import asyncio
import ssl
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from aiohttp import web

LARGEST_REQUEST = 64 * 1024 * 1024
_SECONDS = 60.0
_LOOK_SECONDS = 0.02
Result = TypeVar("Result")


@contextmanager
def on_loopback(app: web.Application, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """Serve an application on a free port; yields its origin, `http://127.0.0.1:PORT` (https with `tls`)."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def wait_for(work: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(work, loop).result(_SECONDS)

    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    try:
        wait_for(_start(runner, tls))
        yield f"{'https' if tls else 'http'}://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        wait_for(runner.cleanup())
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _start(runner: web.AppRunner, tls: ssl.SSLContext | None) -> None:
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()


async def has_left(request: web.Request, is_holding: Callable[[], bool]) -> bool:
    """Let a request wait while it is held; whether its sender is gone then."""
    while is_holding():  # noqa: ASYNC110 - it is told by a test in another thread
        await asyncio.sleep(_LOOK_SECONDS)
    return request.transport is None or request.transport.is_closing()


def cut(request: web.Request) -> web.Response:
    """Close the connection without a word; the answer that is returned reaches nobody."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()
