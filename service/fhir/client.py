"""The FHIR server over HTTP. The only module that knows httpx.

A request is retried while the server is unreachable or overloaded, waiting as long as `Retry-After` asks.
Any other fault is a `ServerError` that names the request. Of what the server sent it repeats only the codes
and error numbers of an OperationOutcome, never its words.
"""

import asyncio
import math
import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from copy import copy
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

import aiohttp
import httpx
import msgspec
import stamina
from httpx_aiohttp import HttpxAiohttpClient

from service import __version__
from service.core.plans import WriteTier
from service.errors import (
    NoServerThere,
    PagesExpired,
    RecordTooLarge,
    ServerMisread,
    ServerRefused,
    ServerUnreachable,
    SettingsError,
    TooManyPages,
)
from service.fhir.auth import GrantedToken, authentication
from service.fhir.kinds import DIFFER_IN_R5
from service.fhir.loose import Resource
from service.fhir.models import validated
from service.fhir.names import identifiers_of
from service.fhir.outcomes import read_issues
from service.fhir.r5.records import in_r4
from service.fhir.rate import RequestRate
from service.fhir.references import read_reference
from service.fhir.release import Release, release_of
from service.fhir.sources import UNDECODABLE, without_mark
from service.fhir.target import Target, read_target, unlisted_kinds
from service.fhir.views import BundleView, CapabilityView, Head, KindView, ResourceCapability
from service.ids import is_id
from service.knowledge import load_dialects, mappings_directory
from service.knowledge.dialects import NO_DIALECTS, Dialect, Dialects
from service.request_id import REQUEST_ID, current_request_id
from service.settings import Settings
from service.workers import LARGE

Decoded = TypeVar("Decoded")
Parameters = Mapping[str, str | Sequence[str]]
"""Of a search; several values of one name all hold."""

_HEADERS = {
    "Accept": "application/fhir+json",
    # HAPI answers a repeated search from a cache of up to 60 seconds unless asked not to.
    "Cache-Control": "no-cache",
    "User-Agent": f"trd-careplan/{__version__}",
}
_TRY_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
_DONE = {"GET": {200}, "POST": {200, 201}, "PUT": {200, 201}}
_TOO_MANY = frozenset({400, 422})
"""How a server may answer who asks for more resources to a page than it gives."""
_SMALLER_PAGES: tuple[dict[str, str], ...] = ({"_count": "50"}, {})
_NOBODY = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.GONE})
"""What a proxy answers while the server behind it is not there, or where the address is wrong."""
_NOT_KNOWN = frozenset({400, 403, 404, 405, 501})
"""How a server answers a search for a kind of resource that it does not keep, or not for us."""
_LONGEST_WAIT = 60.0
_LARGEST_ANSWER = 64 * 1024 * 1024
_LARGEST_FAULT = 64 * 1024
_FAULT_SECONDS = 5.0
"""How much is read of an answer that refuses something, and for how long."""
_MOST_REDIRECTS = 6
_THROTTLED = "throttled"
_MISSING_PARAMETER = "required"
"""The code of an issue that no smaller page mends."""
_MOST_PAGES = 1000
_STATED_SECONDS = 3600.0
"""How long a server is taken at its word about itself: it may be upgraded, or given other rights."""
_RETURN_ONLY_SECONDS = 60.0
"""The same while it takes no CarePlan, so that nothing is proposed."""
_BUNDLE = msgspec.json.Decoder(BundleView)
_CAPABILITY = msgspec.json.Decoder(CapabilityView)
_OBJECT = msgspec.json.Decoder(dict[str, Any])
_HEAD = msgspec.json.Decoder(Head)
_KIND = msgspec.json.Decoder(KindView)


class ServerAnswer(NamedTuple):
    """An answer of the server. The body may be empty where a resource was written."""

    status: int
    headers: httpx.Headers
    body: bytes


class Stored(NamedTuple):
    """What the server says of a resource that it stored; `None` for what it does not say.

    `created` is whether it was not there before.
    """

    id: str | None
    version: str | None
    created: bool


class _Overloaded(Exception):
    """The server asks to be left alone for a while; `wait` is in seconds, if it says how long.

    `words` is what it answered, which may be another status than the one that means this.
    """

    def __init__(self, status: int, wait: float | None, words: str) -> None:
        super().__init__(status)
        self.status = status
        self.wait = wait
        self.words = words


class FhirClient:
    """One FHIR server, asked a bounded number of things at a time. It hands out and takes R4 only.

    What a server of R5 says is translated before it is handed out, and what it is to store before it is
    sent. `seconds` bounds one answer from the first byte sent to the last received.
    """

    def __init__(  # noqa: PLR0913 - the limits of its work
        self,
        base: str,
        http: httpx.AsyncClient,
        *,
        seconds: float,
        attempts: int,
        connections: int,
        headers: Mapping[str, str] | None = None,
        dialects: Dialects = NO_DIALECTS,
        rate: RequestRate | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.base = base.rstrip("/")
        self._http = http
        self._seconds = seconds
        self._attempts = attempts
        self._turns = asyncio.Semaphore(connections)
        self._headers = dict(headers or {})
        self._dialects = dialects
        self._rate = rate or RequestRate(None)
        self._now = now
        self._stated: tuple[CapabilityView, Release] | None = None
        self._stale_at = math.inf
        self._target: Target | None = None
        self.server_time: datetime | None = None
        """The clock of the server at its last answer, whatever it was; `None` where it does not show it."""
        self._bytes_left: float = math.inf

    @property
    def granted_scopes(self) -> str | None:
        """The scopes of the token in use; `None` where no token was granted."""
        auth = self._http.auth
        return auth.granted_scopes if isinstance(auth, GrantedToken) else None

    def reading_at_most(self, number: int) -> "FhirClient":
        """This client, for one record of so many bytes; beyond them its reads raise `RecordTooLarge`."""
        bounded = copy(self)
        bounded._bytes_left = number  # noqa: SLF001 - of the same class
        return bounded

    def acting_with(self, token: str) -> "FhirClient":
        """This client, showing the server a token that somebody lent to it, which nothing keeps."""
        acting = copy(self)
        acting._headers = {**self._headers, "Authorization": f"Bearer {token}"}  # noqa: SLF001 - the same
        return acting

    async def get(self, path: str) -> bytes:
        """One resource as R4 JSON.

        Raises `ServerUnreachable`, `ServerRefused` (with the status) or `ServerMisread`.
        """
        return bytes(await self._in_r4(await self._get(path)))

    async def probe(self) -> None:
        """Ask once, and for little, whether the server is there. Raises as `get` does."""
        await self._metadata(attempts=1)

    async def _metadata(self, attempts: int) -> bytes:
        try:
            return (await self._retried("GET", self._address_of("metadata"), attempts=attempts)).body
        except ServerRefused as refused:
            if refused.status not in _NOBODY:
                raise
            said = f"GET metadata: no FHIR server answers at this address ({refused.status})"
            raise NoServerThere(said) from None

    async def _get(self, path: str, params: Parameters | None = None) -> bytes:
        """The body of one answer, as it came. `path` is relative to the base, or an address on its origin."""
        url = self._address_of(path)
        body = (await self._retried("GET", url, params=params, attempts=self._attempts)).body
        self._bytes_left -= len(body)
        if self._bytes_left < 0:
            raise RecordTooLarge(
                f"GET {urlsplit(url).path}: the record is larger than is read of one patient"
            )
        return body

    def _address_of(self, path: str) -> str:
        return path if path.startswith(("http://", "https://")) else f"{self.base}/{path}"

    async def _in_r4(self, content: bytes | msgspec.Raw) -> bytes | msgspec.Raw:
        """A resource as R4 has it; as it came where the releases agree, or it cannot be read."""
        if self._speaks_r4 or _kind_of(content) not in DIFFER_IN_R5:
            return content
        return content if await self.release() is Release.R4 else in_r4(content)

    @property
    def _speaks_r4(self) -> bool:
        """Whether the server has said so already."""
        return self._stated is not None and self._stated[1] is Release.R4

    async def get_if_there(self, path: str) -> bytes | None:
        """One resource as R4 JSON, or `None` where there is no such resource, or no longer."""
        try:
            return await self.get(path)
        except ServerRefused as refused:
            if refused.status in {HTTPStatus.NOT_FOUND, HTTPStatus.GONE}:
                return None
            raise

    async def find(self, path: str) -> dict[str, Any] | None:
        """A resource as R4 JSON, decoded, or `None` where there is none; for resources of our own."""
        body = await self.get_if_there(path)
        return None if body is None else _decoded(_OBJECT, body, f"GET {path}")

    async def find_by(self, kind: str, system: str, value: str) -> dict[str, Any] | None:
        """The first resource of a kind with an identifier, as R4 JSON; `None` where there is none."""
        async for page in self.pages(kind, {"identifier": f"{system}|{value}"}):
            for entry in page.entry:
                found = _decoded(_OBJECT, bytes(entry.resource), f"GET {kind}")
                # A server that does not know the parameter shows every resource of the kind.
                if found.get("resourceType") == kind and value in identifiers_of(found, system):
                    return found
        return None

    async def transact(self, entries: Iterable[Resource]) -> bytes:
        """The body of the answer to a transaction of R4 resources, each in its entry with its request.

        It is sent once: what it did is to be read, not assumed. Raises as `get` does.
        """
        sent = [entry | {"resource": await self._accepted(entry["resource"])} for entry in entries]
        body = msgspec.json.encode({"resourceType": "Bundle", "type": "transaction", "entry": sent})
        return (await self._retried("POST", self.base, content=body, attempts=1)).body

    async def create(self, resource: Resource, *, unless: str | None = None) -> Stored:
        """Have the server store a new R4 resource under an id of its own, sent once.

        Nothing is stored where a search by the parameters `unless` finds one; then the answer names that
        one. Raises as `get` does.
        """
        kind = resource["resourceType"]
        condition = {} if unless is None else {"If-None-Exist": unless}
        content = msgspec.json.encode(await self._accepted(resource))
        answer = await self._retried(
            "POST", f"{self.base}/{kind}", content=content, headers=condition, attempts=1
        )
        return _stored(answer, kind)

    async def put(self, resource: Resource, *, only_over: str | None = None) -> Stored:
        """Have the server store an R4 resource under its id, which may be sent again. Raises as `get` does.

        With `only_over`, only in place of that version; what is then refused has status 409 or 412.
        """
        content = msgspec.json.encode(await self._accepted(resource))
        kind, identity = resource["resourceType"], resource["id"]
        return _stored(await self._put(f"{kind}/{identity}", content, only_over), kind)

    async def accepts(self, resource: Resource) -> bool:
        """Whether our models accept an R4 resource, as this server would be sent it."""
        try:
            await self._accepted(resource)
        except (ValueError, LookupError, TypeError):
            # The models raise the last two for contained resources of no kind that they know.
            return False
        return True

    async def as_it_stands(self, path: str) -> bytes:
        """A resource as the server has it, in its own release: for `put_back` only. Raises as `get` does."""
        return await self._get(path)

    async def last_versions(self, path: str, number: int) -> list[bytes]:
        """The last versions of a resource, the latest first, as the server has them: for `put_back` only."""
        where = f"{path}/_history"
        page = _bundle(await self._get(where, {"_count": str(number)}), f"GET {where}")
        return [bytes(entry.resource) for entry in page.entry if bytes(entry.resource)][:number]

    async def put_back(self, path: str, content: bytes, *, only_over: str | None) -> Stored:
        """Have the server store content that it had, which no model of ours checks. Raises as `put` does."""
        return _stored(await self._put(path, content, only_over), path.partition("/")[0])

    async def _put(self, path: str, content: bytes, only_over: str | None) -> ServerAnswer:
        condition = {} if only_over is None else {"If-Match": f'W/"{only_over}"'}
        return await self._retried(
            "PUT", f"{self.base}/{path}", content=content, headers=condition, attempts=self._attempts
        )

    async def _accepted(self, resource: Resource) -> Resource:
        """An R4 resource in the release of the server, its structure accepted by the models of that."""
        if await self.release() is Release.R4:
            accept = validated
        else:
            from service.fhir.r5.models import validated_r5 as accept  # noqa: PLC0415 - for a server of R5 only
        if len(msgspec.json.encode(resource)) < LARGE:
            return accept(resource)
        return await asyncio.to_thread(accept, resource)

    async def _retried(  # noqa: PLR0913 - the parts of a request
        self,
        method: str,
        url: str,
        *,
        params: Parameters | None = None,
        content: bytes | None = None,
        headers: dict[str, str] | None = None,
        attempts: int,
    ) -> ServerAnswer:
        request = f"{method} {urlsplit(url).path}"
        sent = self._http.build_request(
            method, url, params=params, content=content, headers=self._headers | _headers(content, headers)
        )
        retries = stamina.retry_context(
            on=_how_long, attempts=attempts, timeout=None, wait_max=_LONGEST_WAIT / 12
        )
        try:
            async for attempt in retries:
                with attempt:
                    return await self._send(sent, request)
        except _Overloaded as error:
            raise ServerRefused(
                f"{request}: the server answered {error.words}", error.status, error.wait
            ) from None
        except TimeoutError:
            where = f"the server at {_host_and_port(url)}"
            said = f"{request}: {where} gave no answer within {self._seconds:g} seconds"
            raise ServerUnreachable(said) from None
        except httpx.TransportError as error:
            fault = _name(error)
            where = f"the server at {_host_and_port(url)}"
            raise ServerUnreachable(f"{request}: {where} cannot be reached ({fault})", fault) from None
        except (httpx.DecodingError, aiohttp.ClientError):
            # What the transport below httpx cannot make sense of comes through as its own error.
            raise ServerMisread(f"{request}: the answer is not proper HTTP") from None
        raise AssertionError  # pragma: no cover - stamina either returns or raises

    async def _send(self, sent: httpx.Request, request: str) -> ServerAnswer:
        """The answer to a request; a question is asked again where the server redirects it to itself."""
        for _ in range(_MOST_REDIRECTS):
            answer = await self._send_once(sent, request)
            if isinstance(answer, ServerAnswer):
                return answer
            sent = answer
        raise ServerMisread(f"{request}: its redirects do not end")

    async def _send_once(self, sent: httpx.Request, request: str) -> ServerAnswer | httpx.Request:
        """The answer, or the request that the server redirects to."""
        await self._rate.turn()
        async with self._turns, asyncio.timeout(self._seconds):
            response = await self._http.send(sent, stream=True)
            self.server_time = _moment(response.headers.get("Date", ""))
            try:
                if (following := self._redirected(response)) is not None:
                    return following
                return await self._read(response, sent.method, request)
            finally:
                await response.aclose()

    def _redirected(self, response: httpx.Response) -> httpx.Request | None:
        """The question that an answer redirects to; none on another origin, which may not learn of it."""
        following = response.next_request
        if following is None or response.request.method != "GET":
            return None
        return following if _origin(following.url) == _origin(self.base) else None

    async def _read(self, response: httpx.Response, method: str, request: str) -> ServerAnswer:
        if response.status_code in _TRY_AGAIN:
            raise _Overloaded(response.status_code, _rest(response), str(response.status_code))
        if response.status_code not in _DONE[method]:
            raise await self._refusal(response, request)
        kind = response.headers.get("Content-Type", "").partition(";")[0]
        is_json = "json" in kind or (not kind and method != "GET")
        misread = ServerMisread(f"{request}: the answer is {kind or 'of no stated type'}, not FHIR JSON")
        if method == "GET" and not is_json:
            raise misread
        body = bytearray()
        async for chunk in response.aiter_bytes():
            # A server may state the type of an empty answer to a write: Oracle Health says text/html.
            if chunk and not is_json:
                raise misread
            body += chunk
            if len(body) > _LARGEST_ANSWER:
                raise ServerMisread(f"{request}: the answer is larger than {_LARGEST_ANSWER} bytes")
        return ServerAnswer(response.status_code, response.headers, without_mark(bytes(body)))

    async def _refusal(self, response: httpx.Response, request: str) -> ServerRefused:
        """What an answer with an error status means, with the codes that it gives as reasons.

        Raises `_Overloaded` where they say so, whatever the status.
        """
        body, status = await _beginning(response), response.status_code
        issues = read_issues(body)
        if _THROTTLED in issues or self._dialects.tell_overload(status, body):
            words = f"{status} ({_THROTTLED})"
            raise _Overloaded(HTTPStatus.TOO_MANY_REQUESTS, _rest(response), words)
        reasons = f" ({', '.join(issues)})" if issues else ""
        return ServerRefused(f"{request}: the server answered {status}{reasons}", status, issues=issues)

    async def pages(self, path: str, params: Parameters) -> AsyncIterator[BundleView]:
        """Every page of a search, its resources as R4 JSON, following `next` on the same origin only.

        Raises `PagesExpired` when the server no longer has a page, and another `ServerError` when it cannot
        be read, or where the last one is as full as it may be and the total says that there are more: half a
        record is never an answer. A total that the server stated on a page with room to spare is an estimate
        (docs/decisions/0025).
        """
        where = f"GET {path}"
        body, asked = await self._first_page(path, params)
        bundle = await self._page(body, where)
        address = httpx.URL(self._address_of(path)).copy_merge_params(asked)
        sizes, total, seen = [len(bundle.entry)], bundle.total, {str(address)}
        yield bundle
        while bundle.next is not None:
            following = _joined(address, bundle.next)
            if following is None or _origin(following) != _origin(self.base):
                raise ServerMisread(f"{where}: the next page is on another server")
            if str(following) in seen:
                raise ServerMisread(f"{where}: its pages do not end")
            if len(seen) > _MOST_PAGES:
                raise TooManyPages(f"{where}: its pages do not end")
            seen.add(str(following))
            address = following
            bundle = await self._next_page(str(following), f"{where}, page {len(seen)}")
            sizes.append(len(bundle.entry))
            total = total if bundle.total is None else bundle.total
            yield bundle
        if total is not None and sum(sizes) < total and sizes[-1] >= _fullest(sizes, asked):
            raise ServerMisread(
                f"{where}: the answer has {sum(sizes)} of {total} resources, so it is incomplete"
            )

    async def all_pages(self, path: str, params: Parameters) -> list[BundleView]:
        """Every page of a search at once, as `pages` has them.

        Where the server forgets its pages before all were read, the search is begun again, once, and what was
        read before is dropped. Raises as `pages` does, and `PagesExpired` the second time.
        """
        with suppress(PagesExpired):
            return [page async for page in self.pages(path, params)]
        return [page async for page in self.pages(path, params)]

    async def _next_page(self, address: str, where: str) -> BundleView:
        """A page after the first one. Raises `PagesExpired` where the server no longer has it."""
        try:
            body = await self._get(address)
        except ServerRefused as refused:
            if not await self._has_expired(refused):
                raise
            said = ", ".join((str(refused.status), *refused.issues))
            raise PagesExpired(
                f"{where}: the server no longer has the pages of this search ({said})"
            ) from None
        return await self._page(body, where)

    async def _has_expired(self, refused: ServerRefused) -> bool:
        """Whether a page is refused because the server keeps the pages of a search for a while only."""
        if refused.status == HTTPStatus.GONE or not refused.issues:
            return refused.status == HTTPStatus.GONE
        return not (await self.dialect()).expired.isdisjoint(refused.issues)

    async def _first_page(self, path: str, params: Parameters) -> tuple[bytes, Parameters]:
        """The first page and what it was asked for with.

        Some servers refuse to be asked for more resources to a page than they give; they are asked for fewer,
        then left to choose.
        """
        try:
            return await self._get(path, params), params
        except ServerRefused as refused:
            if refused.status not in _TOO_MANY or "_count" not in params:
                raise
            if _MISSING_PARAMETER in refused.issues:
                raise
            for fewer in _SMALLER_PAGES:
                asked = {name: value for name, value in params.items() if name != "_count"} | fewer
                with suppress(ServerRefused):
                    return await self._get(path, asked), asked
            raise

    async def _page(self, body: bytes, where: str) -> BundleView:
        bundle = _bundle(body, where)
        for entry in [] if self._speaks_r4 else bundle.entry:
            entry.resource = msgspec.Raw(await self._in_r4(entry.resource))
        return bundle

    async def offered(self) -> dict[str | None, ResourceCapability]:
        """What the server says it can do, by kind of resource."""
        return (await self.capability()).resources

    async def dialect(self) -> Dialect:
        """The dialect of the server: the chosen one, else the one that its last statement shows."""
        statement = self._stated[0] if self._stated else await self.capability()
        software = statement.software.name if statement.software else None
        return self._dialects.of(software, statement.publisher)

    async def release(self) -> Release:
        """The release of FHIR that the server speaks; raises `ServerUnsupported` for one that we do not."""
        return (await self._statement())[1]

    async def target(self) -> Target:
        """How the server is written to: by its statement, and learnt from what it then does."""
        capability = await self.capability()
        if self._target is None:
            known = [kind for kind in unlisted_kinds(capability) if await self._knows(kind)]
            self._target = read_target(capability, frozenset(known))
        if self._target.tier is WriteTier.RETURN_ONLY:
            self._stale_at = min(self._stale_at, self._now() + _RETURN_ONLY_SECONDS)
        return self._target

    async def tier(self) -> WriteTier:
        """In which way the server is written to, by its statement alone. Raises as `release` does."""
        return read_target(await self.capability(), frozenset()).tier

    async def _knows(self, kind: str) -> bool:
        """Whether the server can be asked for a kind of resource."""
        try:
            await self._get(kind, {"_count": "1"})
        except ServerRefused as refused:
            if refused.status not in _NOT_KNOWN:
                raise
            return False
        return True

    async def capability(self) -> CapabilityView:
        """The server's CapabilityStatement, not older than an hour. Raises as `release` does."""
        return (await self._statement())[0]

    def doubt_capability(self) -> None:
        """Have the CapabilityStatement read again when it is next needed: it may be another by now."""
        self._stale_at = -math.inf

    async def refresh_capability(self) -> tuple[CapabilityView, Release]:
        """Read the CapabilityStatement now; where it says something new, forget what was learnt before."""
        body = await self._metadata(self._attempts)
        statement = _decoded(_CAPABILITY, body, "GET metadata")
        if statement.resource_type != "CapabilityStatement":
            raise ServerMisread("GET metadata: the answer is not a CapabilityStatement")
        stated = statement, release_of(statement.fhir_version)
        if stated != self._stated:
            self._stated, self._target = stated, None
        self._stale_at = self._now() + _STATED_SECONDS
        return stated

    async def _statement(self) -> tuple[CapabilityView, Release]:
        """The CapabilityStatement and the release that it states."""
        if self._stated is None or self._now() >= self._stale_at:
            return await self.refresh_capability()
        return self._stated


@asynccontextmanager
async def open_client(settings: Settings) -> AsyncIterator[FhirClient]:
    """A client for the configured server.

    Raises `SettingsError` when none is configured, or what it is to be shown is not there.
    """
    if settings.fhir_base_url is None:
        raise SettingsError("TRD_FHIR_BASE_URL: not set; it is needed to read from a FHIR server")
    auth = authentication(settings)
    dialects = load_dialects(settings.mappings or mappings_directory(), settings.fhir_dialect)
    async with HttpxAiohttpClient(
        limits=httpx.Limits(max_connections=settings.fhir_connections),
        timeout=settings.fhir_timeout,
        auth=auth,
        verify=_tls(settings),
    ) as http:
        if isinstance(auth, GrantedToken):
            auth.http = http
        yield FhirClient(
            str(settings.fhir_base_url),
            http,
            seconds=settings.fhir_timeout,
            attempts=settings.fhir_attempts,
            connections=settings.fhir_connections,
            headers=settings.headers,
            dialects=dialects,
            rate=RequestRate(settings.fhir_rate),
        )


@asynccontextmanager
async def open_clients_of_callers(
    settings: Settings, *, seconds: float
) -> AsyncIterator[Mapping[str, FhirClient]]:
    """A client for each server that callers may have the service read, by its address.

    It has no credentials of its own, and asks once: the caller waits. Raises `SettingsError`.
    """
    dialects = load_dialects(settings.mappings or mappings_directory(), None)
    own = () if settings.fhir_base_url is None else (str(settings.fhir_base_url).rstrip("/"),)
    async with HttpxAiohttpClient(timeout=seconds, verify=_tls(settings)) as http:
        yield {
            base: FhirClient(
                base,
                http,
                seconds=seconds,
                attempts=1,
                connections=settings.fhir_connections,
                dialects=dialects,
            )
            for base in (*own, *settings.cds_fhir_servers)
        }


def _tls(settings: Settings) -> ssl.SSLContext | bool:
    """Whom to trust, and the certificate to show; raises `SettingsError` for files that cannot be used."""
    if settings.fhir_ca is None and settings.fhir_cert is None:
        return True
    try:
        context = ssl.create_default_context(cafile=settings.fhir_ca)
    except (OSError, ssl.SSLError):
        raise SettingsError("TRD_FHIR_CA: not a file with certificates in PEM") from None
    if settings.fhir_cert is not None:
        try:
            context.load_cert_chain(settings.fhir_cert)
        except (OSError, ssl.SSLError):
            raise SettingsError("TRD_FHIR_CERT: not a file with a certificate and its key in PEM") from None
    return context


async def _beginning(response: httpx.Response) -> bytes:
    """As much of a refusing answer as arrives soon; whatever is wrong with it, the refusal stands."""
    body = bytearray()
    with suppress(httpx.HTTPError, aiohttp.ClientError, TimeoutError):
        async with asyncio.timeout(_FAULT_SECONDS):
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > _LARGEST_FAULT:
                    break
    return without_mark(bytes(body))


def _decoded(decoder: msgspec.json.Decoder[Decoded], body: bytes, where: str) -> Decoded:
    try:
        return decoder.decode(body)
    except UNDECODABLE:
        raise ServerMisread(f"{where}: the answer is not the FHIR JSON expected") from None


def _bundle(body: bytes, where: str) -> BundleView:
    bundle = _decoded(_BUNDLE, body, where)
    if bundle.resource_type != "Bundle":
        raise ServerMisread(f"{where}: the answer is not a Bundle")
    return bundle


def _kind_of(content: bytes | msgspec.Raw) -> str | None:
    try:
        return _KIND.decode(content).resource_type
    except UNDECODABLE:
        return None


def _host_and_port(url: str) -> str:
    """The server of an address, without user and password."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return f"[{parts.hostname}]:{port}" if ":" in (parts.hostname or "") else f"{parts.hostname}:{port}"


def _headers(content: bytes | None, others: dict[str, str] | None) -> dict[str, str]:
    written = {} if content is None else {"Content-Type": "application/fhir+json"}
    return _HEADERS | {REQUEST_ID: current_request_id()} | written | (others or {})


def _stored(answer: ServerAnswer, kind: str) -> Stored:
    """Id and version of what was stored: by the body where there is one, else by the headers."""
    created = answer.status == HTTPStatus.CREATED
    head = Head()
    with suppress(*UNDECODABLE):
        head = _HEAD.decode(answer.body)
    if head.resource_type == kind and is_id(head.id):
        return Stored(head.id, head.meta.version_id, created)
    where = answer.headers.get("Location", answer.headers.get("Content-Location", ""))
    stored = read_reference(urlsplit(where).path)
    version = version_of(answer.headers.get("ETag")) or stored.version
    return Stored(stored.id_of(kind), version, created)


def version_of(etag: str | None) -> str | None:
    """The version that an ETag names; servers write it with and without `W/` and quotes."""
    return (etag or "").removeprefix("W/").strip('"') or None


def _how_long(error: Exception) -> bool | float:
    """Whether to try again after an error, and after how many seconds if the server said so."""
    if isinstance(error, _Overloaded):
        if error.wait is None:
            return True
        return error.wait if error.wait <= _LONGEST_WAIT else False
    return isinstance(error, httpx.TransportError | TimeoutError)


def _rest(response: httpx.Response) -> float | None:
    """How many seconds the server asks to be left alone by `Retry-After`, a number or a date."""
    value = response.headers.get("Retry-After")
    if not value:
        return None
    if value.strip().isdecimal():
        return float(value)
    moment = _moment(value)
    return None if moment is None else max((moment - datetime.now(UTC)).total_seconds(), 0.0)


def _moment(value: str) -> datetime | None:
    """A date as HTTP writes it; without a time zone it is in UTC."""
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _fullest(sizes: list[int], asked: Parameters) -> float:
    """How many resources a page may have: as many as were asked for, or as a page before the last one had."""
    return min(float(str(asked.get("_count", math.inf))), *sizes[:-1], math.inf)


def _joined(page: httpx.URL, address: str) -> httpx.URL | None:
    """The address that a link on a page leads to, which may be relative; `None` for what is no address.

    https://hl7.org/fhir/R4/bundle-definitions.html#Bundle.link.url.
    """
    try:
        return page.join(address)
    except (httpx.InvalidURL, ValueError):
        return None


def _origin(address: httpx.URL | str) -> tuple[str, str, int | None]:
    """The server that an address is on."""
    url = httpx.URL(address)
    return (url.scheme, url.host, url.port)


def _name(error: Exception) -> str:
    """The kind of a fault; the transport's own name for it is the more exact one."""
    return type(error.__cause__ or error).__name__
