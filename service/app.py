"""The web service: the only place where its parts are put together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from service import __version__
from service.doors import health, keys, operation, published, rest_hook
from service.doors.exchange import observe, render_errors
from service.doors.ports import CLIENT, DOORS, METRICS, PUBLISHED, QUEUE, REVIEWER, SETTINGS, Queue
from service.doors.trust import check_trust, guard
from service.fhir.client import FhirClient
from service.publish.published import publish
from service.review import Reviewer
from service.settings import Settings
from service.telemetry.logs import Event, log_info
from service.telemetry.metrics import Metrics

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
    app = web.Application(middlewares=[observe, render_errors, guard], client_max_size=LARGEST_BODY)
    app[SETTINGS] = settings
    app[REVIEWER] = reviewer
    app[CLIENT] = client
    app[PUBLISHED] = publish(reviewer.knowledge)
    app[QUEUE] = queue
    app[METRICS] = metrics or Metrics()
    app[health.PROBE] = health.ServerProbe(client)
    app[DOORS] = {
        app.router.add_route(route.method, route.path, route.handler): route.door
        for route in (*operation.ROUTES, *published.ROUTES, *rest_hook.ROUTES, *health.ROUTES, *keys.ROUTES)
    }
    app.cleanup_ctx.append(_life)
    return app


@asynccontextmanager
async def listening(app: web.Application, settings: Settings) -> AsyncIterator[str]:
    """Serve at the configured host and port; gives the address. Stops gracefully.

    aiohttp's access log stays off, since it would name patients.
    """
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS)
    await runner.setup()
    try:
        await web.TCPSite(runner, settings.host, settings.port).start()
        host, port = runner.addresses[0][:2]
        yield f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    finally:
        await runner.cleanup()


async def _life(app: web.Application) -> AsyncIterator[None]:
    """Say in the log when the service starts and stops."""
    log_info(Event.STARTED, version=__version__, knowledge=app[REVIEWER].knowledge.version)
    yield
    log_info(Event.STOPPED, version=__version__)
