"""The bodies of requests, within their limits: of each one, and of all that are held at once."""

import asyncio
from dataclasses import dataclass

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from service.doors.ports import Handler
from service.errors import NotJson
from service.fhir.sources import without_mark

READ_SECONDS = 30.0
"""How long the whole body of a request may take."""
MOST_BYTES = 64 * 1024 * 1024
"""How much of all bodies is held at once: six of the largest. A few times that is needed to read them."""


@dataclass(slots=True)
class Bodies:
    """How many bytes of bodies are held, unpacked, from their arrival until their requests are answered."""

    held: int = 0


BODIES = web.AppKey("bodies", Bodies)
_HELD: web.RequestKey[int] = web.RequestKey("held", int)
_RAW: web.RequestKey[bytes] = web.RequestKey("raw", bytes)


@web.middleware
async def let_go(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Count the body of a request no longer once it is answered."""
    request[_HELD] = 0
    try:
        return await handler(request)
    finally:
        request.app[BODIES].held -= request[_HELD]


async def read_body(request: web.Request) -> bytes:
    """The body of a request, without the mark that some programs begin it with. Raises as `read_raw` does."""
    return without_mark(await read_raw(request, request.client_max_size))


async def read_raw(request: web.Request, most: int) -> bytes:
    """The body of a request as it was unpacked, of so many bytes at most; read once, and kept.

    Raises `NotJson` for one that cannot be unpacked, and the answers 408 and 413 for one that takes too
    long or is too large, and 503 where too much is held already.
    """
    if _RAW in request:
        return request[_RAW]
    body = bytearray()
    try:
        async with asyncio.timeout(READ_SECONDS):
            # Not by `request.read`, which has the library hold and unpack a whole body before it is counted.
            async for chunk in request.content.iter_any():
                body += chunk
                _count(request, len(chunk))
                if len(body) > most:
                    raise web.HTTPRequestEntityTooLarge(most)
                # What is unpacked comes without a wait: others are answered between its pieces.
                await asyncio.sleep(0)
    except TimeoutError:
        raise web.HTTPRequestTimeout from None
    except (web.RequestPayloadError, HttpProcessingError):
        raise NotJson("the body cannot be unpacked") from None
    request[_RAW] = bytes(body)
    return request[_RAW]


def _count(request: web.Request, size: int) -> None:
    bodies = request.app[BODIES]
    if bodies.held + size > MOST_BYTES:
        full = web.HTTPServiceUnavailable()
        full.force_close()
        raise full
    bodies.held += size
    request[_HELD] += size
