"""Who may come in: secrets compared in constant time, and a service without them only on loopback."""

import hmac
from dataclasses import dataclass

from aiohttp import hdrs, web
from pydantic import SecretStr

from service.doors.bodies import read_raw
from service.doors.callers import Callers, check_callers
from service.doors.local import check_local, is_loopback
from service.doors.ports import GUESSES, HOOK_KEY, SETTINGS, TOLD, Door, Handler, door_of
from service.errors import SettingsError
from service.gather.subscriptions import SECRET_HEADER, hook_key
from service.settings import Settings

MOST_GUESSES = 10
"""How many wrong secrets a minute from one peer are answered with 401; more are answered with 429."""
_MINUTE = "60"
_BEARER = "bearer "
_SIGNATURE_HEADER = "X-Hub-Signature"
_LARGEST_SIGNED = 1024 * 1024
"""Bytes of a signed body: it has to be held before it is known who sent it."""
_OPERATIONS = frozenset({Door.ASSESS, Door.ASSESS_BUNDLE, Door.PROPOSE, Door.REVIEWS})
_NOTIFICATIONS = frozenset({Door.REST_HOOK, Door.TOPICS, Door.HL7V2})
_OF_CALLERS = frozenset({Door.CDS_SERVICES, Door.CDS_HOOK, Door.CDS_FEEDBACK})
"""Doors that know their callers by signed tokens."""

CALLERS = web.AppKey("callers", Callers)


def check_trust(settings: Settings) -> None:
    """Raise `SettingsError` where the service would listen to others without its secrets."""
    check_callers(settings)
    if is_loopback(settings.host):
        return
    secrets = {"TRD_API_TOKEN": settings.api_token, "TRD_HOOK_SECRET": settings.hook_secret}
    missing = [name for name, value in secrets.items() if _secret(value) is None]
    if missing:
        raise SettingsError(
            f"{', '.join(missing)}: not set; needed because TRD_HOST is not a loopback address"
        )


@web.middleware
async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let a request through its door, or answer 401, 403 or, to a peer who guesses, 429."""
    try:
        await _check(request)
    except web.HTTPUnauthorized:
        if request.app[GUESSES].allows(request.remote):
            raise
        raise web.HTTPTooManyRequests(headers={hdrs.RETRY_AFTER: _MINUTE}) from None
    return await handler(request)


async def _check(request: web.Request) -> None:
    """Raise the answer 401 or 403 where the request may not come in."""
    door = door_of(request)
    if door not in _OF_CALLERS:
        await Trust.of(request.app[SETTINGS]).check(door, request)
        return
    refusal = await request.app[CALLERS].refusal_of(request, _bearer(request))
    if refusal is not None:
        request[TOLD] |= {"refused": refusal.value}
        raise web.HTTPUnauthorized(headers={hdrs.WWW_AUTHENTICATE: "Bearer"})


@dataclass(frozen=True, slots=True)
class Trust:
    """What the doors ask for. A door without a secret of its own is open to this machine only."""

    token: bytes | None
    hook_secret: bytes | None
    loopback: bool

    @classmethod
    def of(cls, settings: Settings) -> "Trust":
        """What the settings ask for."""
        return cls(_secret(settings.api_token), _secret(settings.hook_secret), is_loopback(settings.host))

    async def check(self, door: Door, request: web.Request) -> None:
        """Raise the answer 401 or 403 where the request may not come in."""
        if door in _OPERATIONS:
            self._check_secret(self.token, request, _bearer(request))
        elif door in _NOTIFICATIONS:
            await self._check_hook(request)
        elif door is Door.METRICS:
            self._check_metrics(request)
        elif door is not Door.CDS_PREFLIGHT and self.token is None:
            check_local(request)

    async def _check_hook(self, request: web.Request) -> None:
        """The hook secret, what only who knows it can sign, or the key that an address was given."""
        secret = self.hook_secret
        if secret is not None and _same(request.match_info.get(HOOK_KEY), hook_key(secret).encode()):
            return
        signature = request.headers.get(_SIGNATURE_HEADER)
        if secret is not None and signature is not None:
            body = await read_raw(request, _LARGEST_SIGNED)
            if _same(signature.strip().lower(), f"sha256={_signed(body, secret)}".encode()):
                return
        given = (request.headers.get(SECRET_HEADER), _bearer(request))
        self._check_secret(secret, request, *given)

    def _check_secret(self, secret: bytes | None, request: web.Request, *given: str | None) -> None:
        if secret is None:
            check_local(request)
        elif not any(_same(value, secret) for value in given):
            raise web.HTTPUnauthorized(headers={hdrs.WWW_AUTHENTICATE: "Bearer"})

    def _check_metrics(self, request: web.Request) -> None:
        """Open to this machine; elsewhere the bearer token is asked for."""
        if self.token is not None and _same(_bearer(request), self.token):
            return
        if not self.loopback:
            raise web.HTTPUnauthorized(headers={hdrs.WWW_AUTHENTICATE: "Bearer"})
        check_local(request)


def _secret(value: SecretStr | None) -> bytes | None:
    """A secret as bytes; an empty one is none."""
    return value.get_secret_value().encode() or None if value is not None else None


def _bearer(request: web.Request) -> str | None:
    value = request.headers.get(hdrs.AUTHORIZATION, "")
    return value[len(_BEARER) :].strip() if value.lower().startswith(_BEARER) else None


def _signed(body: bytes, secret: bytes) -> str:
    return hmac.new(secret, body, "sha256").hexdigest()


def _same(given: str | None, secret: bytes) -> bool:
    return given is not None and hmac.compare_digest(given.encode("utf-8", "surrogateescape"), secret)
