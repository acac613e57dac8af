"""The web service: the only place where its parts are put together."""

import asyncio
import errno
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import cast

from aiohttp import web

from service import __version__
from service.doors import cds_hooks, health, hl7v2, keys, operation, published, rest_hook, reviews, topics
from service.doors.bodies import BODIES, Bodies, let_go
from service.doors.callers import Callers
from service.doors.connections import IDLE_SECONDS, DoorRunner, bounded, note_work
from service.doors.exchange import observe, render_errors
from service.doors.ports import (
    AT_WORK,
    CLIENT,
    DOORS,
    GUESSES,
    METRICS,
    PUBLISHED,
    QUEUE,
    REVIEWER,
    SETTINGS,
    Queue,
)
from service.doors.trust import CALLERS, MOST_GUESSES, check_trust, guard
from service.errors import SettingsError
from service.fhir.client import FhirClient
from service.publish.published import publish
from service.review import Reviewer
from service.settings import Settings
from service.telemetry.lag import watch_lag
from service.telemetry.limits import PerMinute
from service.telemetry.logs import Event, log_info
from service.telemetry.metrics import Metrics

_DOORS = (operation, reviews, cds_hooks, published, rest_hook, topics, hl7v2, health, keys)
LARGEST_BODY = 10 * 1024 * 1024
_SHUTDOWN_SECONDS = 30.0
"""How long requests under way may take to end when the service stops."""


def build_app(
    settings: Settings,
    reviewer: Reviewer,
    client: FhirClient,
    queue: Queue,
    metrics: Metrics | None = None,
) -> web.Application:
    """The application with every door.

    Whoever opened the client and the queue closes them. `metrics` is handed in where others count too.
    Raises `SettingsError` where the service would be open to others without its secrets.
    """
    check_trust(settings)
    middlewares = [note_work, let_go, observe, cds_hooks.allow_pages, render_errors, guard]
    app = web.Application(middlewares=middlewares, client_max_size=LARGEST_BODY)
    app[SETTINGS] = settings
    app[REVIEWER] = reviewer
    app[CLIENT] = client
    app[PUBLISHED] = publish(reviewer.knowledge)
    app[QUEUE] = queue
    app[METRICS] = metrics or Metrics()
    app[CALLERS] = Callers(settings)
    app[GUESSES] = PerMinute(MOST_GUESSES)
    app[AT_WORK] = set()
    app[BODIES] = Bodies()
    app[health.PROBE] = health.ServerProbe(client)
    app[DOORS] = {
        app.router.add_route(route.method, route.path, route.handler): route.door
        for door in _DOORS
        for route in door.ROUTES
    }
    app.cleanup_ctx.append(cds_hooks.lend_clients)
    app.cleanup_ctx.append(_life)
    return app


@asynccontextmanager
async def listening(app: web.Application, settings: Settings) -> AsyncIterator[str]:
    """Serve at the configured host and port; gives the address. Stops gracefully.

    aiohttp's access log stays off, since it would name patients. Its time for a connection to be idle is also
    the time for the head of a request, which is idle until it is there.
    """
    runner = DoorRunner(
        app, access_log=None, keepalive_timeout=IDLE_SECONDS, shutdown_timeout=_SHUTDOWN_SECONDS
    )
    await runner.setup()
    try:
        take = bounded(cast(web.Server, runner.server), app)
        listener = await _listen(take, settings)
        try:
            host, port = listener.sockets[0].getsockname()[:2]
            yield f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        finally:
            listener.close()
    finally:
        await runner.cleanup()


async def _listen(take: Callable[[], asyncio.BaseProtocol], settings: Settings) -> asyncio.Server:
    """Open the port; raises `SettingsError` where another program has it, or the system refuses it."""
    host, port = settings.host, settings.port
    try:
        return await asyncio.get_running_loop().create_server(take, host, port)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise SettingsError(
                f"TRD_PORT: another program listens on {host}:{port}; set another port"
            ) from None
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error.strerror)
        raise SettingsError(f"TRD_HOST, TRD_PORT: cannot listen on {host}:{port} ({reason})") from None


async def _life(app: web.Application) -> AsyncIterator[None]:
    """Say in the log when the service starts and stops, and watch the event loop meanwhile."""
    log_info(Event.STARTED, version=__version__, knowledge=app[REVIEWER].knowledge.version)
    if app[CALLERS].closed:
        log_info(Event.CDS_CLOSED)
    watch = asyncio.create_task(watch_lag(app[METRICS].observe_lag))
    yield
    watch.cancel()
    with suppress(asyncio.CancelledError):
        await watch
    log_info(Event.STOPPED, version=__version__)
