"""How this service shows a FHIR server who it is: by a token, a password, or not at all.

A token is fetched once for all who wait for it, kept until shortly before its end, and fetched anew when the
server no longer takes it. No secret is in a message.
"""

import asyncio
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar
from urllib.parse import quote

import httpx
import msgspec

from service.errors import (
    NotAuthorized,
    ServerError,
    ServerMisread,
    ServerRefused,
    ServerUnreachable,
    SettingsError,
)
from service.fhir.scopes import scopes_to_ask_for
from service.fhir.views import CapabilityView
from service.settings import Settings

if TYPE_CHECKING:
    from service.fhir.keys import KeyRing

_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_ASSERTION_SECONDS = 240
"""Of the five minutes that SMART allows, less what two clocks may differ by."""
_SPARE_SECONDS = 30.0
"""How long before its end a token is no longer used."""
_USUAL_SECONDS = 300.0
"""How long a token of no stated life is used (SMART recommends at most five minutes)."""
_OAUTH_ERRORS = frozenset(
    {
        "invalid_request",
        "invalid_client",
        "invalid_grant",
        "unauthorized_client",
        "unsupported_grant_type",
        "invalid_scope",
    }
)
"""RFC 6749, section 5.2. Nothing else of a refusal is repeated: it may hold what was sent."""
_SMART_V2 = "permission-v2"
T = TypeVar("T")
Said = TypeVar("Said", bound=msgspec.Struct)


class Algorithm(StrEnum):
    """The two signatures that SMART App Launch asks servers to take."""

    RS384 = "RS384"
    ES384 = "ES384"


class _Configuration(msgspec.Struct):
    """What is used of a server's smart-configuration (SMART App Launch 2.2)."""

    token_endpoint: str
    capabilities: list[str] = msgspec.field(default_factory=list)
    token_endpoint_auth_methods_supported: list[str] = msgspec.field(default_factory=list)


class _Granted(msgspec.Struct):
    access_token: str
    expires_in: float | None = None
    scope: str | None = None


class _Refused(msgspec.Struct):
    error: str = ""


class _Token(NamedTuple):
    value: str
    good_until: float


class _Form(NamedTuple):
    """What is sent to a token endpoint: the fields, and who says so in the header, if anybody."""

    fields: dict[str, str]
    auth: httpx.Auth | None = None


class _Client(ABC):
    """A client as a token endpoint knows it."""

    @abstractmethod
    def prove(self, token_url: str, configuration: _Configuration) -> _Form:
        """What shows who the client is."""


@dataclass(frozen=True, slots=True)
class _Signing(_Client):
    """SMART Backend Services: a signed statement, valid once and for minutes."""

    client_id: str
    key: Path

    def prove(self, token_url: str, configuration: _Configuration) -> _Form:
        """The key is read each time, so that it can be changed while the service runs."""
        del configuration
        now = int(time.time())
        claims = {
            "iss": self.client_id,
            "sub": self.client_id,
            "aud": token_url,
            "jti": str(uuid.uuid4()),
            "iat": now,
            "exp": now + _ASSERTION_SECONDS,
        }
        signed = read_key_ring(self.key).sign(claims)
        return _Form({"client_assertion_type": _ASSERTION, "client_assertion": signed})


@dataclass(frozen=True, slots=True)
class _Knowing(_Client):
    """A shared secret, in the header unless the server says that it takes it in the form alone."""

    client_id: str
    secret: str

    def prove(self, token_url: str, configuration: _Configuration) -> _Form:
        del token_url
        methods = configuration.token_endpoint_auth_methods_supported
        if "client_secret_post" in methods and "client_secret_basic" not in methods:
            return _Form({"client_id": self.client_id, "client_secret": self.secret})
        # RFC 6749, section 2.3.1: both are encoded before they go into the header.
        return _Form({}, httpx.BasicAuth(quote(self.client_id, safe=""), quote(self.secret, safe="")))


class TokenFile(httpx.Auth):
    """A bearer token in a file that somebody else keeps fresh."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Send the token that the file holds; once more when it changed meanwhile."""
        token = self._read()
        request.headers["Authorization"] = f"Bearer {token}"
        response = yield request
        if response.status_code == HTTPStatus.UNAUTHORIZED and (fresh := self._read()) != token:
            request.headers["Authorization"] = f"Bearer {fresh}"
            yield request

    def _read(self) -> str:
        try:
            token = self._path.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError):
            raise NotAuthorized("the file with the token for the FHIR server cannot be read") from None
        if not token or not token.isprintable() or " " in token:
            raise NotAuthorized("the file with the token for the FHIR server does not hold a token")
        return token


class GrantedToken(httpx.Auth):
    """A token of the token endpoint that the settings name, or that the FHIR server does.

    `headers` go to the FHIR server only, and never to a token server that is another one. `also_read` are
    kinds that are read beside those of every review.
    """

    def __init__(  # noqa: PLR0913 - whom it asks, as whom, and for what
        self,
        base: str,
        client: _Client,
        *,
        token_url: str | None,
        scopes: str | None,
        also_read: Iterable[str] = (),
        headers: Mapping[str, str] | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.http: httpx.AsyncClient | None = None
        self._base = base.rstrip("/")
        self._client = client
        self._token_url = token_url
        self._scopes = scopes
        self._also_read = tuple(also_read)
        self._headers = dict(headers or {})
        self._now = now
        self._turn = asyncio.Lock()
        self._token: _Token | None = None
        self.granted_scopes: str | None = None

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Send the token; where the server does not take it, a new one, once."""
        token = await self._good_token(instead_of=None)
        request.headers["Authorization"] = f"Bearer {token.value}"
        response = yield request
        if response.status_code == HTTPStatus.UNAUTHORIZED:
            token = await self._good_token(instead_of=token)
            request.headers["Authorization"] = f"Bearer {token.value}"
            yield request

    async def _good_token(self, instead_of: _Token | None) -> _Token:
        async with self._turn:
            token = self._token
            if token is None or token is instead_of or self._now() >= token.good_until:
                self._token = token = await self._fetch()
            return token

    async def _fetch(self) -> _Token:
        configuration = await self._configuration()
        token_url = self._token_url or configuration.token_endpoint
        form = self._client.prove(token_url, configuration)
        asked = self._scopes or await self._scopes_of_server(configuration)
        fields = {"grant_type": "client_credentials", "scope": asked}
        answer = await self._send(
            "POST", token_url, "the token server", data=fields | form.fields, auth=form.auth
        )
        if answer.status_code != HTTPStatus.OK:
            raise _refusal(answer)
        granted = _decoded(answer, _Granted, "the token server")
        # RFC 6749, section 5.1: the scopes are left out where they are those that were asked for.
        self.granted_scopes = asked if granted.scope is None else granted.scope
        life = _USUAL_SECONDS if granted.expires_in is None else granted.expires_in
        return _Token(granted.access_token, self._now() + max(life - _SPARE_SECONDS, life / 2))

    async def _scopes_of_server(self, configuration: _Configuration) -> str:
        """The scopes of what is read and written there, by what the server says of itself to anybody."""
        capability: CapabilityView | None = None
        with suppress(ServerError):
            answer = await self._send("GET", f"{self._base}/metadata", "the FHIR server")
            if answer.status_code == HTTPStatus.OK:
                capability = _decoded(answer, CapabilityView, "GET metadata: the FHIR server")
        in_letters = _SMART_V2 in configuration.capabilities
        return scopes_to_ask_for(capability, self._also_read, in_letters=in_letters)

    async def _configuration(self) -> _Configuration:
        """What the FHIR server says of its token endpoint; not asked where the settings say all of it."""
        if self._token_url is not None and self._scopes is not None:
            return _Configuration(self._token_url)
        where = f"{self._base}/.well-known/smart-configuration"
        answer = await self._send("GET", where, "the FHIR server")
        if answer.status_code != HTTPStatus.OK:
            if self._token_url is not None:
                return _Configuration(self._token_url)
            raise ServerRefused(
                "GET .well-known/smart-configuration: the FHIR server answered "
                f"{answer.status_code}; set TRD_FHIR_TOKEN_URL where it has none",
                answer.status_code,
            )
        return _decoded(answer, _Configuration, "GET .well-known/smart-configuration: the FHIR server")

    async def _send(
        self,
        method: str,
        url: str,
        who: str,
        *,
        data: Mapping[str, str] | None = None,
        auth: httpx.Auth | None = None,
    ) -> httpx.Response:
        if self.http is None:
            raise NotAuthorized("no client to fetch a token with")
        ours = self._headers if _origin(url) == _origin(self._base) else {}
        headers = {"Accept": "application/fhir+json, application/json"} | ours
        request = self.http.build_request(method, url, data=data, headers=headers)
        try:
            return await self.http.send(request, auth=auth or httpx.Auth())
        except (httpx.TransportError, httpx.InvalidURL, httpx.DecodingError) as error:
            raise ServerUnreachable(f"{who} cannot be reached ({type(error).__name__})") from None


def _origin(address: str) -> tuple[str, str, int | None]:
    url = httpx.URL(address)
    return (url.scheme, url.host, url.port)


def _refusal(answer: httpx.Response) -> NotAuthorized | ServerRefused:
    status = answer.status_code
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.TOO_MANY_REQUESTS:
        return ServerRefused(f"the token server answered {status}", status)
    try:
        code = msgspec.json.decode(answer.content, type=_Refused).error
    except (msgspec.DecodeError, UnicodeDecodeError):
        code = ""
    said = f" {code}" if code in _OAUTH_ERRORS else ""
    return NotAuthorized(f"the token server refused this client ({status}{said})")


def _decoded(answer: httpx.Response, kind: type[Said], who: str) -> Said:
    try:
        return msgspec.json.decode(answer.content, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise ServerMisread(f"{who} did not answer as SMART App Launch says") from None


def authentication(settings: Settings) -> httpx.Auth | None:
    """What the settings ask for; `None` for none. Raises `SettingsError` where something is missing."""
    base, client_id = str(settings.fhir_base_url), settings.fhir_client_id
    token_url = str(settings.fhir_token_url) if settings.fhir_token_url else None
    match settings.fhir_auth:
        case "none":
            return None
        case "basic":
            user = _needed(settings.fhir_user, "TRD_FHIR_USER")
            password = _needed(settings.fhir_password, "TRD_FHIR_PASSWORD")
            return httpx.BasicAuth(user, password.get_secret_value())
        case "bearer":
            return TokenFile(_needed(settings.fhir_token_file, "TRD_FHIR_TOKEN_FILE"))
        case "client-secret":
            secret = _needed(settings.fhir_client_secret, "TRD_FHIR_CLIENT_SECRET").get_secret_value()
            client: _Client = _Knowing(_needed(client_id, "TRD_FHIR_CLIENT_ID"), secret)
        case "smart":
            key = _needed(settings.fhir_key, "TRD_FHIR_KEY")
            read_key_ring(key)
            client = _Signing(_needed(client_id, "TRD_FHIR_CLIENT_ID"), key)
    in_group = (settings.roster or "").startswith("Group/")
    return GrantedToken(
        base,
        client,
        token_url=token_url,
        scopes=settings.fhir_scopes,
        also_read=["Group"] if in_group else [],
        headers=settings.headers,
    )


def read_key_ring(path: Path) -> "KeyRing":
    """The keys of a file. Raises `SettingsError` as `read_keys` does."""
    from service.fhir.keys import read_keys  # noqa: PLC0415 - it takes 0.2 s, and few services sign

    return read_keys(path)


def _needed(value: T | None, variable: str) -> T:
    if value is None:
        raise SettingsError(f"{variable}: not set; needed because of TRD_FHIR_AUTH")
    return value
