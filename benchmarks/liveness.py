"""How long the service keeps others waiting while eight clients post large Bundles to it.

The clients and the one who is kept waiting are processes of their own, and so is the service.
"""

import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Final

import aiohttp
import orjson

from benchmarks.figures import Figure
from benchmarks.patients import AS_OF, Json, patient_with
from tests.running import Service
from tests.servers.doubles import running_double

LIMIT: Final = 50.0
"""Milliseconds in which 99 of 100 are to be answered."""
CLIENTS: Final = 8
_BYTES: Final = 5_000_000
_SECONDS: Final = 15.0
_EVERY: Final = 0.02
_SECRET: Final = "benchmark-hook-secret"  # noqa: S105 - known to the benchmark only
_ASSESS: Final = f"/fhir/$assess-treatment-resistance?asOf={AS_OF.isoformat()}"


def measure() -> list[Figure]:
    """The 99th percentiles of a probe and of a notification, each as the ratio to the limit."""
    found = asyncio.run(waits())
    return [
        Figure(
            f"{what} while {CLIENTS} clients post 5 MB, 99th percentile",
            milliseconds,
            "ms",
            f"{LIMIT:g} ms",
            milliseconds / LIMIT,
            "1",
            milliseconds <= LIMIT,
        )
        for what, milliseconds in found.items()
    ]


async def waits(seconds: float = _SECONDS) -> dict[str, float]:
    """The 99th percentiles in milliseconds, by what was asked."""
    with running_double() as server, tempfile.TemporaryDirectory() as folder:
        async with Service(Path(folder), fhir_base_url=server, hook_secret=_SECRET) as service:
            clients = await _start("load", service.address)
            try:
                await asyncio.sleep(3)
                prober = await _start("probe", service.address, str(seconds))
                told, _ = await prober.communicate()
            finally:
                clients.kill()
                await clients.wait()
    found: dict[str, float] = json.loads(told)
    return found


async def _start(*arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.liveness", *arguments, stdout=asyncio.subprocess.PIPE
    )


# --- the other processes --------------------------------------------------------------------------


async def _load(address: str) -> None:
    """Post Bundles until killed, eight at a time."""
    body = _large_bundle()
    async with aiohttp.ClientSession(address) as http:
        await asyncio.gather(*(_post_again_and_again(http, body) for _ in range(CLIENTS)))


async def _post_again_and_again(http: aiohttp.ClientSession, body: bytes) -> None:
    while True:
        async with http.post(_ASSESS, data=body) as answer:
            await answer.read()


def _large_bundle() -> bytes:
    few = orjson.dumps(patient_with(map(_condition, range(1000))))
    return orjson.dumps(patient_with(map(_condition, range(1000 * _BYTES // len(few)))))


def _condition(number: int) -> Json:
    return {"resourceType": "Condition", "code": {"text": f"Finding {number}"}, "onsetDateTime": "2001"}


async def _probe(address: str, seconds: float) -> dict[str, float]:
    headers = {"X-Hook-Secret": _SECRET}
    async with aiohttp.ClientSession(address) as http:
        live, hook = await asyncio.gather(
            _p99(lambda: _answered(http.get("/health/live")), seconds),
            _p99(lambda: _answered(http.put("/hooks/fhir/Patient/nobody", headers=headers)), seconds),
        )
    return {"/health/live": live, "a notification": hook}


async def _answered(asked: AbstractAsyncContextManager[aiohttp.ClientResponse]) -> None:
    async with asked as answer:
        await answer.read()
        answer.raise_for_status()


async def _p99(ask: Callable[[], Awaitable[None]], seconds: float) -> float:
    """The 99th percentile in milliseconds. What was to be asked while an answer was awaited counts too."""
    waited: list[float] = []
    due, end = time.monotonic(), time.monotonic() + seconds
    while due < end:
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        await ask()
        waited.append(time.monotonic() - due)
        due += _EVERY
    return 1000 * statistics.quantiles(waited, n=100)[-1]


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["load", address]:
            asyncio.run(_load(address))
        case ["probe", address, seconds]:
            print(json.dumps(asyncio.run(_probe(address, float(seconds)))))
