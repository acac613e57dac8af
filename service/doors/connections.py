"""Connections within bounds: so many at a time, and none for long that sends no request."""

import asyncio
from collections.abc import Callable

from aiohttp import web

from service.doors.ports import AT_WORK, Handler

IDLE_SECONDS = 20.0
"""How long a connection may take to send the whole head of its first or its next request."""
MOST_CONNECTIONS = 400
"""Far below the 1,024 files that a process usually may open: beyond those nobody is answered."""


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
