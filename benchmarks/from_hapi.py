"""How fast patients come in from a real HAPI FHIR server, beside the barest client that could fetch them."""

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Sequence
from statistics import median
from typing import Any, Final

import aiohttp
import orjson

from benchmarks.figures import Figure
from benchmarks.patients import patient_of_8_records
from service import __version__
from service.fhir.client import open_client
from service.fhir.kinds import EVERYTHING_KINDS
from service.gather.everything import gather
from service.gather.searches import observation_codes
from service.knowledge import load_knowledge, mappings_directory
from service.settings import Settings
from tests.servers import load, running_hapi

LIMIT: Final = 0.95

_PATIENTS: Final = 200
_A_TRANSACTION: Final = 20
_AT_ONCE: Final = 8
_WARM_UP: Final = 6
_ROUNDS: Final = 30

_QUERY: Final = {"_type": ",".join(EVERYTHING_KINDS), "_count": "200"}
_HEADERS: Final = {
    "Accept": "application/fhir+json",
    "Accept-Encoding": "gzip, deflate",
    "Cache-Control": "no-cache",
    "User-Agent": f"trd-careplan/{__version__}",
}
"""What the service sends, so that the server does the same work for both."""

ReadPatient = Callable[[str], Awaitable[object]]


def measure() -> list[Figure]:
    """Patients read a second, as a ratio to the bare loader's.

    Raises `MissingToolError` where there is no Java or Maven, and `ServerStartError`.
    """
    with running_hapi() as base:
        ids = _load_patients(base)
        return [asyncio.run(_compare(base, ids))]


def _load_patients(base: str) -> list[str]:
    ids = [f"bench-{number:03}" for number in range(_PATIENTS)]
    for first in range(0, _PATIENTS, _A_TRANSACTION):
        some = ids[first : first + _A_TRANSACTION]
        load(base, itertools.chain.from_iterable(patient_of_8_records(identity) for identity in some))
    return ids


async def _compare(base: str, ids: Sequence[str]) -> Figure:
    """Both clients take turns; the ratio is the median over pairs of neighbouring rounds."""
    settings = Settings.model_validate({"fhir_base_url": base, "fhir_connections": _AT_ONCE})
    connector = aiohttp.TCPConnector(limit=_AT_ONCE)
    knowledge = load_knowledge(mappings_directory(), criteria="seed", region="us")
    codes = ",".join(observation_codes(knowledge))
    async with open_client(settings) as client, aiohttp.ClientSession(connector=connector) as session:

        async def ours(identity: str) -> None:
            await gather(client, identity, knowledge)

        async def bare(identity: str) -> None:
            observations = {"patient": identity, "_count": "200", "code": codes}
            await asyncio.gather(
                _load_bare(session, f"{base}/Patient/{identity}/$everything", _QUERY),
                _load_bare(session, f"{base}/Observation", observations),
            )

        for _ in range(_WARM_UP):
            await _patients_a_second(ours, ids)
            await _patients_a_second(bare, ids)
        pairs = [await _pair(ours, bare, ids, number) for number in range(_ROUNDS)]
    rate = median(mine for mine, _ in pairs)
    ratio = median(mine / its for mine, its in pairs)
    what = f"read from HAPI, {_AT_ONCE} patients at once"
    yardstick = "a bare aiohttp loader sending the same requests"
    return Figure(what, rate, "patients/s", yardstick, ratio, f"ratio {LIMIT}", ratio >= LIMIT)


async def _pair(ours: ReadPatient, bare: ReadPatient, ids: Sequence[str], number: int) -> tuple[float, float]:
    """One round of each; every other pair starts with the other one."""
    if number % 2:
        its = await _patients_a_second(bare, ids)
        return await _patients_a_second(ours, ids), its
    mine = await _patients_a_second(ours, ids)
    return mine, await _patients_a_second(bare, ids)


async def _patients_a_second(read: ReadPatient, ids: Sequence[str]) -> float:
    waiting = iter(ids)

    async def work() -> None:
        for identity in waiting:
            await read(identity)

    start = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for _ in range(_AT_ONCE):
            tasks.create_task(work())
    return len(ids) / (time.perf_counter() - start)


async def _load_bare(session: aiohttp.ClientSession, url: str, query: dict[str, str]) -> list[bytes]:
    """The pages of one answer, looked at only for the link to the next."""
    body = await _body(session, url, query)
    bodies = [body]
    while (following := _next(orjson.loads(body))) is not None:
        body = await _body(session, following, None)
        bodies.append(body)
    return bodies


async def _body(session: aiohttp.ClientSession, url: str, params: dict[str, str] | None) -> bytes:
    async with session.get(url, params=params, headers=_HEADERS) as response:
        response.raise_for_status()
        return await response.read()


def _next(page: dict[str, Any]) -> str | None:
    return next((link["url"] for link in page.get("link", ()) if link["relation"] == "next"), None)
