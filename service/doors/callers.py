"""Who may call CDS Hooks: https://cds-hooks.hl7.org/2.0/#trusting-cds-clients.

Each call carries a token that its caller signed, whose issuer the settings list together with the address of
its public keys. Where no issuer is listed, the doors are open to this machine only, and only while the
service listens on loopback.
"""

import time
from collections.abc import Awaitable, Callable, Mapping
from enum import StrEnum
from urllib.parse import urlsplit

from aiohttp import web

from service.doors.key_sets import KeySets
from service.doors.local import check_local, is_loopback
from service.doors.tokens import CallerToken, read_token
from service.errors import SettingsError
from service.settings import Settings, is_web_address

_LEEWAY = 60.0
"""Seconds by which the clock of a caller may differ."""
_LONGEST_LIFE = 3600.0
"""Seconds that a token may be valid; five minutes are usual."""
_MOST_REMEMBERED = 100_000
"""How many tokens are remembered until they end, so that none is used twice."""


class Refusal(StrEnum):
    """Why a call is not let in, as the log names it."""

    NOT_LISTED = "no-client-is-listed"
    NO_TOKEN = "no-token"  # noqa: S105 - a word for the log
    MALFORMED = "malformed-token"
    ISSUER = "issuer-not-listed"
    KEY_ADDRESS = "other-key-address"
    KEY = "unknown-key"
    SIGNATURE = "wrong-signature"
    AUDIENCE = "other-audience"
    ENDED = "token-ended"
    NOT_BEGUN = "token-of-the-future"
    TOO_LONG = "token-valid-too-long"
    REPLAYED = "token-used-before"


def check_callers(settings: Settings) -> None:
    """Raise `SettingsError` where the listed callers could not be told from others."""
    for address in settings.cds_clients.values():
        url = urlsplit(address)
        if not is_web_address(address) or (url.scheme != "https" and not is_loopback(url.hostname or "")):
            raise SettingsError("TRD_CDS_CLIENTS: the address of the keys of an issuer is not one of https")
    if settings.cds_clients and settings.public_url is None:
        raise SettingsError(
            "TRD_PUBLIC_URL: not set; needed because of TRD_CDS_CLIENTS: tokens name the address they are for"
        )


class Callers:
    """Lets the calls of listed issuers in, each token once."""

    def __init__(
        self,
        settings: Settings,
        *,
        fetch: Callable[[str], Awaitable[bytes]] | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._listed: Mapping[str, str] = settings.cds_clients
        self._local = is_loopback(settings.host)
        self._root = str(settings.public_url or "").rstrip("/")
        self._keys = KeySets(settings, fetch=fetch, now=now)
        self._now = now
        self._used: dict[tuple[str, str], float] = {}

    @property
    def closed(self) -> bool:
        """Whether nobody can be let in, as the settings are."""
        return not self._listed and not self._local

    @property
    def open_to_pages(self) -> bool:
        """Whether pages of other sites may call, as their tokens say who they are."""
        return bool(self._listed)

    async def refusal_of(self, request: web.Request, token: str | None) -> Refusal | None:
        """Why a call may not come in; `None` where it may.

        Raises the answer 403 for what a page of another site sends where no token is asked for, and 503 where
        the keys of an issuer cannot be had.
        """
        if self.closed:
            return Refusal.NOT_LISTED
        if not self._listed:
            check_local(request)
            return None
        if token is None:
            return Refusal.NO_TOKEN
        read = read_token(token)
        return Refusal.MALFORMED if read is None else await self._judge(read, f"{self._root}{request.path}")

    async def _judge(self, token: CallerToken, address: str) -> Refusal | None:
        keys_at = self._listed.get(token.issuer)
        if keys_at is None:
            return Refusal.ISSUER
        if token.keys_at not in {None, keys_at}:
            return Refusal.KEY_ADDRESS
        if (refusal := self._judge_claims(token, address)) is not None:
            return refusal
        key = await self._keys.find(keys_at, token.key_id)
        if key is None:
            return Refusal.KEY
        if not token.is_signed_by(key):
            return Refusal.SIGNATURE
        return None if self._is_new(token) else Refusal.REPLAYED

    def _judge_claims(self, token: CallerToken, address: str) -> Refusal | None:
        now = self._now()
        if address not in token.audience:
            return Refusal.AUDIENCE
        if token.ends <= now - _LEEWAY:
            return Refusal.ENDED
        if token.issued > now + _LEEWAY:
            return Refusal.NOT_BEGUN
        return Refusal.TOO_LONG if token.ends - max(token.issued, now) > _LONGEST_LIFE else None

    def _is_new(self, token: CallerToken) -> bool:
        """Whether a token was not used before. Raises the answer 503 where no more can be remembered."""
        now = self._now()
        if len(self._used) >= _MOST_REMEMBERED:
            self._used = {one: ends for one, ends in self._used.items() if ends > now}
        if len(self._used) >= _MOST_REMEMBERED:
            raise web.HTTPServiceUnavailable
        name = (token.issuer, token.id)
        if self._used.get(name, 0.0) > now:
            return False
        self._used[name] = token.ends + _LEEWAY
        return True
