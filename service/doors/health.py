"""For those who run the service: is it alive, is it ready, and what has it done."""

import asyncio
import time

from aiohttp import hdrs, web
from prometheus_client import CONTENT_TYPE_LATEST

from service.core.plans import WriteTier
from service.doors.ports import METRICS, QUEUE, REVIEWER, Door, Queue, Route
from service.errors import TrdError
from service.fhir.client import FhirClient
from service.telemetry.logs import Event, log_error, log_warning

_PART_SECONDS = 5.0
"""How long one part may take to show that it is well."""
_REMEMBERED_SECONDS = 5.0
"""How long the answer of the FHIR server stands, so that probes do not burden it."""
_OK, _FAILED = "ok", "failed"


class ServerProbe:
    """Whether the FHIR server can be reached, asked at most once in a few seconds."""

    def __init__(self, client: FhirClient) -> None:
        self._client = client
        self._turn = asyncio.Lock()
        self._asked_at = float("-inf")
        self._tier: WriteTier | None = None

    async def tier(self) -> WriteTier | None:
        """How the server is written to, by what it says of itself now; `None` where it cannot be reached."""
        async with self._turn:
            if time.monotonic() - self._asked_at >= _REMEMBERED_SECONDS:
                self._tier = await self._ask()
                self._asked_at = time.monotonic()
            return self._tier

    async def _ask(self) -> WriteTier | None:
        try:
            async with asyncio.timeout(_PART_SECONDS):
                await self._client.refresh_capability()
                return (await self._client.target()).tier
        except (TrdError, TimeoutError) as error:
            log_warning(Event.FHIR_SERVER_FAILED, error=type(error).__name__)
            return None


PROBE = web.AppKey("probe", ServerProbe)


async def live(_: web.Request) -> web.Response:
    """Say that the process answers."""
    return web.json_response({"status": _OK})


async def ready(request: web.Request) -> web.Response:
    """Say whether work can be done, which part is missing if not, and how the FHIR server is written to."""
    tier, queue = await asyncio.gather(request.app[PROBE].tier(), _queue_is_healthy(request.app[QUEUE]))
    parts = {"fhir_server": tier is not None, "queue": queue, "knowledge": True}
    answer = {
        "status": _OK if all(parts.values()) else _FAILED,
        "parts": {name: _OK if well else _FAILED for name, well in parts.items()},
        "tier": tier,
        "queue_paused": request.app[QUEUE].paused,
        "knowledge_version": request.app[REVIEWER].knowledge.version,
    }
    return web.json_response(answer, status=200 if all(parts.values()) else 503)


async def metrics(request: web.Request) -> web.Response:
    """Everything counted, for Prometheus."""
    counted = request.app[METRICS]
    counted.set_paused(paused=request.app[QUEUE].paused is not None)
    try:
        async with asyncio.timeout(_PART_SECONDS):
            counted.set_queue(await request.app[QUEUE].counts())
    except Exception as error:  # noqa: BLE001 - the other metrics are wanted most when the queue is down
        log_error(Event.QUEUE_FAILED, error)
        counted.set_queue(None)
    return web.Response(body=counted.exposition(), headers={hdrs.CONTENT_TYPE: CONTENT_TYPE_LATEST})


ROUTES = (
    Route(Door.LIVE, "GET", "/health/live", live),
    Route(Door.READY, "GET", "/health/ready", ready),
    Route(Door.METRICS, "GET", "/metrics", metrics),
)


async def _queue_is_healthy(queue: Queue) -> bool:
    try:
        async with asyncio.timeout(_PART_SECONDS):
            return await queue.healthy()
    except Exception as error:  # noqa: BLE001 - whatever the database raises, it is not healthy
        log_error(Event.QUEUE_FAILED, error)
        return False
