"""The public keys of those who call, at the addresses that the settings list (RFC 7517)."""

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import msgspec
from aiohttp import web

from service.settings import Settings
from service.telemetry.logs import Event, log_warning

_AGAIN_SECONDS = 60.0
"""How long after a fetch the keys of an address are not fetched again, whatever key is asked for."""
_GOOD_SECONDS = 3600.0
"""How long keys are taken to be those of their owner."""
_FETCH_SECONDS = 5.0
_LARGEST = 256 * 1024


class _KeySet(msgspec.Struct):
    keys: list[dict[str, Any]]


@dataclass(slots=True)
class _CachedKeys:
    """The keys of one address by their id, and when they were fetched and asked for last."""

    keys: dict[str, dict[str, Any]] = field(default_factory=dict)
    fetched: float = -_GOOD_SECONDS
    asked: float = -_AGAIN_SECONDS
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


class KeySets:
    """Keys by the address where they are published, fetched when they are needed, and kept for an hour."""

    def __init__(
        self,
        settings: Settings,
        *,
        fetch: Callable[[str], Awaitable[bytes]] | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._fetch = fetch or _Fetch(settings)
        self._now = now
        self._kept: dict[str, _CachedKeys] = {
            address: _CachedKeys() for address in settings.cds_clients.values()
        }

    async def find(self, address: str, key_id: str) -> dict[str, Any] | None:
        """The key of an id at a listed address; `None` where there is none.

        Keys are fetched where this one is unknown or they are old, at most once a minute. Raises the answer
        503 where none could be fetched yet.
        """
        kept = self._kept[address]
        async with kept.turn:
            now = self._now()
            if (key_id not in kept.keys or now - kept.fetched >= _GOOD_SECONDS) and (
                now - kept.asked >= _AGAIN_SECONDS
            ):
                kept.asked = now
                await self._renew(kept, address)
        if not kept.keys:
            raise web.HTTPServiceUnavailable
        return kept.keys.get(key_id)

    async def _renew(self, kept: _CachedKeys, address: str) -> None:
        """Fetch the keys of an address; those that are there stay where that fails."""
        try:
            found = msgspec.json.decode(await self._fetch(address), type=_KeySet).keys
        except (TimeoutError, OSError, aiohttp.ClientError, ValueError, RecursionError) as error:
            log_warning(Event.KEYS_FAILED, error=type(error).__name__)
            return
        kept.keys = {key["kid"]: key for key in found if isinstance(key.get("kid"), str)}
        kept.fetched = self._now()


class _Fetch:
    """Fetches from an address of the settings: redirected nowhere, and not more than a set of keys needs."""

    def __init__(self, settings: Settings) -> None:
        self._ca = settings.fhir_ca

    async def __call__(self, address: str) -> bytes:
        trusted = ssl.create_default_context(cafile=self._ca) if self._ca else True
        limit = aiohttp.ClientTimeout(total=_FETCH_SECONDS)
        async with (
            aiohttp.ClientSession(timeout=limit, trust_env=True, raise_for_status=True) as http,
            http.get(address, allow_redirects=False, ssl=trusted) as answer,
        ):
            content = bytearray()
            async for chunk in answer.content.iter_any():
                content += chunk
                if len(content) > _LARGEST:
                    raise ValueError("too large for a set of keys")
            return bytes(content)
