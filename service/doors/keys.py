"""The public keys of this service, for FHIR servers that check its signature by their address."""

from aiohttp import hdrs, web

from service.doors.ports import SETTINGS, Door, Route
from service.fhir.auth import read_key_ring

_CACHED_SECONDS = 300


async def jwks(request: web.Request) -> web.Response:
    """The public halves of the current and of the next key (RFC 7517); 404 where there is no key."""
    path = request.app[SETTINGS].fhir_key
    if path is None:
        raise web.HTTPNotFound
    answer = web.json_response(read_key_ring(path).public())
    answer.headers[hdrs.CACHE_CONTROL] = f"public, max-age={_CACHED_SECONDS}"
    return answer


ROUTES = (Route(Door.KEYS, "GET", "/.well-known/jwks.json", jwks),)
