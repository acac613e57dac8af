"""A real FHIR server that seems to do less than it can: without transactions, or without some kinds."""

import json
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from http import HTTPStatus
from typing import NamedTuple

import aiohttp
from aiohttp import web
from yarl import URL

from tests.fhir.front import Front
from tests.servers.loopback import LARGEST_REQUEST, cut, has_left, on_loopback
from tests.servers.stage import Stage, load, staged

_ASKED_WITH = ("Accept", "Cache-Control", "Content-Type", "If-Match", "If-None-Exist", "Prefer")
_ANSWERED_WITH = ("Content-Type", "ETag", "Last-Modified", "Location", "Retry-After")
_PATH = "/fhir"


class Answer(NamedTuple):
    """What the real server answers."""

    status: int
    headers: dict[str, str]
    body: bytes


@contextmanager
def proxied(
    base: str,
    *,
    transactions: bool = True,
    takes: Iterable[str] | None = None,
    update_create: bool | None = None,
) -> Iterator[str]:
    """Stand before a real server; yields the base URL of what it then seems to be.

    The traits are those of `Front`. Every address in an answer leads through here; records are loaded on the
    real server.
    """
    proxy = Proxy(base, Front(transactions=transactions, takes=takes, update_create=update_create))
    app = web.Application(client_max_size=LARGEST_REQUEST)
    app.cleanup_ctx.append(proxy.connect)
    app.router.add_route("*", f"{_PATH}{{path:.*}}", proxy.answer)
    with on_loopback(app) as origin:
        proxy.address = f"{origin}{_PATH}"
        with staged(proxy.address, Stage(proxy.front, partial(load, base))) as address:
            yield address


class Proxy:
    """Passes on what the front lets in. `address` is where it is met, `base` the real server."""

    def __init__(self, base: str, front: Front) -> None:
        self.base = base
        self.front = front
        self.address = ""
        self._statement: Answer | None = None
        self._http: aiohttp.ClientSession

    async def connect(self, _: web.Application) -> AsyncIterator[None]:
        """Hold connections to the real server while the application runs."""
        async with aiohttp.ClientSession() as self._http:
            yield

    async def answer(self, request: web.Request) -> web.Response:
        """Answer one request as a server with these traits would."""
        if self.front.is_cut:
            return cut(request)
        content = await request.read()
        if await has_left(request, lambda: self.front.is_holding):
            return cut(request)
        if not await self._lets_in(request, content):
            return web.Response(status=HTTPStatus.METHOD_NOT_ALLOWED)
        if _path(request) == "metadata":
            return _response(await self._stated(request))
        answer = await self._pass_on(request, content)
        if self._is_lost(request, answer):
            return cut(request)
        return _response(answer)

    async def _stated(self, request: web.Request) -> Answer:
        """The CapabilityStatement with the traits of the front; the real server is asked for it once."""
        if self._statement is None:
            answer = await self._pass_on(request, b"")
            self._statement = answer._replace(body=self._advertised(answer.body))
        return self._statement

    async def _lets_in(self, request: web.Request, content: bytes) -> bool:
        """Whether the front and, in a transaction, every entry of it is let in."""
        asked = [(request.method, _path(request))]
        if request.method == "POST" and not _path(request):
            asked += [(one["method"], one["url"]) for one in _requests_of(content)]
        return all([self.front.lets_in(*one) and not await self._names_its_own(*one) for one in asked])

    async def _names_its_own(self, method: str, path: str) -> bool:
        """Whether it is a PUT to an id that the server has not given, where only the server gives them."""
        if method != "PUT" or self.front.update_create is not False:
            return False
        async with self._http.get(f"{self.base}/{path}") as known:
            return known.status == HTTPStatus.NOT_FOUND

    async def _pass_on(self, request: web.Request, content: bytes) -> Answer:
        url = URL(f"{self.base}{request.raw_path.removeprefix(_PATH)}", encoded=True)
        headers = _chosen(request.headers, _ASKED_WITH)
        body = content.replace(self.address.encode(), self.base.encode())
        async with self._http.request(request.method, url, headers=headers, data=body or None) as answer:
            led = {
                name: value.replace(self.base, self.address)
                for name, value in _chosen(answer.headers, _ANSWERED_WITH).items()
            }
            read = (await answer.read()).replace(self.base.encode(), self.address.encode())
            return Answer(answer.status, led, read)

    def _is_lost(self, request: web.Request, answer: Answer) -> bool:
        """Count what was taken, and say whether its answer is lost."""
        is_write = request.method != "GET" and answer.status < HTTPStatus.BAD_REQUEST
        return is_write and not self.front.take(request.method, _path(request))

    def _advertised(self, statement: bytes) -> bytes:
        return json.dumps(self.front.advertised(json.loads(statement))).encode()


def _response(answer: Answer) -> web.Response:
    return web.Response(status=answer.status, headers=answer.headers, body=answer.body)


def _path(request: web.Request) -> str:
    return request.path.removeprefix(_PATH).strip("/")


def _chosen(headers: Mapping[str, str], names: Iterable[str]) -> dict[str, str]:
    return {name: headers[name] for name in names if name in headers}


def _requests_of(content: bytes) -> list[dict[str, str]]:
    return [entry["request"] for entry in json.loads(content)["entry"]]
