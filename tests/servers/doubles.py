"""The FHIR server in memory, met over HTTP or without a socket."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from itertools import count
from typing import Any, cast
from unittest.mock import patch

import httpx
from aiohttp import web
from httpx_aiohttp import HttpxAiohttpClient

from tests.fhir.double import FhirDouble
from tests.servers.loopback import LARGEST_REQUEST, cut, has_left, on_loopback
from tests.servers.stage import Records, Stage, staged
from tests.support import IN_MEMORY, InMemory, Resource, resources_of

_NUMBERS = count(1)


@contextmanager
def running_double(**traits: Any) -> Iterator[str]:
    """Run an empty `FhirDouble` with these traits; yields its base URL, `http://127.0.0.1:PORT/fhir`."""
    with serving_double(FhirDouble([], **traits)) as base:
        yield base


@contextmanager
def double_in_memory(double: FhirDouble | None = None, **traits: Any) -> Iterator[str]:
    """Have a double answer at an address without a socket, several times as fast; yields its base URL."""
    double = double or FhirDouble([], **traits)
    origin = f"http://double-{next(_NUMBERS)}.test"
    double.base = f"{origin}/fhir"
    way = InMemory(double)
    with (
        patch("service.fhir.client.HttpxAiohttpClient", partial(HttpxAiohttpClient, mounts={origin: way})),
        patch.dict(IN_MEMORY, {double.base: way}),
        staged(double.base, Stage(double, partial(_put_all, double))) as base,
    ):
        yield base


@contextmanager
def serving_double(double: FhirDouble) -> Iterator[str]:
    """Serve a `FhirDouble` that stays at hand; yields its base URL, which is its own from now on."""
    app = web.Application(client_max_size=LARGEST_REQUEST)
    app.router.add_route("*", "/{path:.*}", partial(_answer, double))
    with on_loopback(app) as origin:
        double.base = f"{origin}/fhir"
        with staged(double.base, Stage(double, partial(_put_all, double))) as base:
            yield base


async def _answer(double: FhirDouble, request: web.Request) -> web.Response:
    asked = httpx.Request(
        request.method,
        f"{request.scheme}://{request.host}{request.raw_path}",
        headers=dict(request.headers),
        content=await request.read(),
    )
    if await has_left(request, lambda: double.is_holding):
        return cut(request)
    try:
        answer = double(asked)
    except httpx.TransportError:
        return cut(request)
    return web.Response(status=answer.status_code, headers=dict(answer.headers), body=answer.content)


def _put_all(double: FhirDouble, records: Records) -> None:
    """Store the resources of a Bundle, a resource, or several."""
    for resource in _resources(records):
        double.put(resource)


def _resources(records: Records) -> list[Resource]:
    if not isinstance(records, Mapping):
        return [dict(resource) for resource in records]
    bundle = cast("Resource", records)
    return resources_of(bundle) if bundle["resourceType"] == "Bundle" else [bundle]
