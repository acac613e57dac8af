"""Connections within bounds: so many at a time, and none for long that sends no request.

No answer names the library that serves it, and what is no HTTP gets a plain refusal.
"""

import asyncio
from collections.abc import Callable
from http import HTTPStatus

from aiohttp import hdrs, web

from service import __version__
from service.doors.exchange import REQUEST_ID
from service.doors.ports import AT_WORK, Handler

IDLE_SECONDS = 20.0
"""How long a connection may take to send the whole head of its first or its next request."""
MOST_CONNECTIONS = 400
"""Far below the 1,024 files that a process usually may open: beyond those nobody is answered."""

_SERVER = f"trd-careplan/{__version__}"


@web.middleware
async def note_work(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Know the connections whose requests are being answered."""
    at_work = request.app[AT_WORK]
    at_work.add(request.protocol)
    try:
        return await handler(request)
    finally:
        at_work.discard(request.protocol)


def bounded(server: web.Server, app: web.Application) -> Callable[[], asyncio.BaseProtocol]:
    """Takes connections: for one too many the oldest idle one gives way; where none is, it is closed."""

    def take() -> asyncio.BaseProtocol:
        connections = [one for one in server.connections if one.connected]
        if len(connections) < MOST_CONNECTIONS:
            return server()
        idle = next((one for one in connections if one not in app[AT_WORK]), None)
        if idle is None:
            return _Refusing()
        idle.force_close()
        return server()

    return take


class _Refusing(asyncio.Protocol):
    """Closes its connection at once."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()


class DoorRunner(web.AppRunner):
    """Serves an application over connections of ours."""

    __slots__ = ()

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        return _Server(made.request_handler, request_factory=made.request_factory, **self._kwargs)


class _Server(web.Server):
    def __call__(self) -> web.RequestHandler:
        return _Connection(self, loop=self._loop, **self._kwargs)


class _Connection(web.RequestHandler):
    """A connection; refusals of the library, which quote the request, are replaced by the status alone."""

    __slots__ = ()

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send the answer of a door, or a plain refusal of what reached none, under our name."""
        answer = resp if REQUEST_ID in resp.headers else _refusal(HTTPStatus(resp.status))
        answer.headers[hdrs.SERVER] = _SERVER
        return await super().finish_response(request, answer, start_time)


def _refusal(status: HTTPStatus) -> web.Response:
    refusal = web.Response(status=status, text=f"{status.value} {status.phrase}\n")
    refusal.force_close()
    return refusal
