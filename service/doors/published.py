"""What the service knows, to be read and searched: its definitions, which hold nothing of any patient."""

from aiohttp import web

from service.doors.exchange import fhir_response, refuse_other_formats
from service.doors.ports import PUBLISHED, SETTINGS, Door, Route
from service.errors import NotFhir
from service.fhir.kinds import PUBLISHED_KINDS
from service.ids import ID
from service.publish.definitions import SEARCHED_BY, fhir_base
from service.publish.published import searchset

_UNSEARCHED = frozenset({"_format", "_pretty"})


async def read(request: web.Request) -> web.Response:
    """One definition."""
    refuse_other_formats(request)
    found = request.app[PUBLISHED].read(request.match_info["kind"], request.match_info["id"])
    if found is None:
        raise web.HTTPNotFound
    return fhir_response(found)


async def search(request: web.Request) -> web.Response:
    """The definitions of a kind, by address and version. A parameter that is not known is refused."""
    refuse_other_formats(request)
    asked = [(name, value) for name, value in request.query.items() if name not in _UNSEARCHED]
    if any(name not in SEARCHED_BY for name, _ in asked):
        raise NotFhir(f"an unknown parameter in the address; known are {' and '.join(SEARCHED_BY)}")
    kind, base = request.match_info["kind"], fhir_base(request.app[SETTINGS])
    address = f"{base}/{kind}?{request.rel_url.raw_query_string}".rstrip("?")
    return fhir_response(searchset(base, address, request.app[PUBLISHED].search(kind, asked)))


_KIND = f"/fhir/{{kind:{'|'.join(PUBLISHED_KINDS)}}}"
ROUTES = (
    Route(Door.DEFINITION, "GET", _KIND, search),
    Route(Door.DEFINITION, "GET", f"{_KIND}/{{id:{ID}}}", read),
)
