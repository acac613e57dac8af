"""From a notification to the CarePlan: how soon it is confirmed, and how many patients a second are done."""

import asyncio
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from statistics import median, quantiles
from typing import Any, Final

import aiohttp
import httpx
from yarl import URL

from benchmarks.figures import Figure
from service import __version__, clock
from service.fhir.client import FhirClient, ServerAnswer, open_client
from service.review import Reviewer
from service.settings import Settings
from service.telemetry.logs import Event
from tests.jobs.postgres import missing, new_database, running_postgres
from tests.running import Service, an_event, patients_to_treat, until
from tests.servers import load, running_hapi

ACKNOWLEDGED: Final = 2.0
"""Seconds that athenahealth waits for an answer before it takes a notification for not delivered."""
LIMIT: Final = 0.95

_A_SECOND: Final = 100
_SECONDS: Final = 10
_PATIENTS: Final = 100
_AT_ONCE: Final = 8
_WARM_UP: Final = 2
_ROUNDS: Final = 4
_ROUND_SECONDS: Final = 120
_HEADERS: Final = {
    "Accept": "application/fhir+json",
    "Accept-Encoding": "gzip, deflate",
    "Cache-Control": "no-cache",
    "User-Agent": f"trd-careplan/{__version__}",
}
"""What the service sends, so that the server does the same work for both."""


def measure() -> list[Figure]:
    """Both figures on each database that there is.

    Raises `MissingToolError` where there is no Java or Maven, and `ServerStartError`.
    """
    figures = []
    with running_hapi() as base:
        for name, database in _databases():
            with tempfile.TemporaryDirectory(prefix="trd-bench-") as folder, database as url:
                figures += asyncio.run(_measure_on(name, url, base, Path(folder)))
    return figures


def _databases() -> Iterator[tuple[str, Any]]:
    yield "SQLite", _sqlite()
    if missing() is None:
        yield "PostgreSQL", _postgres()


@contextmanager
def _sqlite() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="trd-bench-queue-") as folder:
        yield f"sqlite:///{folder}/queue.sqlite"


@contextmanager
def _postgres() -> Iterator[str]:
    with running_postgres() as server, new_database(server, "trd_bench") as url:
        yield url


async def _measure_on(name: str, database: str, base: str, folder: Path) -> list[Figure]:
    async with Service(folder, fhir_base_url=base, database_url=database) as service, _session() as session:
        rounds = _Rounds(base, service, session, uuid.uuid4().hex[:8])
        for _ in range(_WARM_UP):
            await rounds.ours()
            await rounds.bare()
        pairs = [await rounds.pair(number) for number in range(_ROUNDS)]
        waits = await _acknowledgements(session, service, rounds.done)
    rate, ratio = median(mine for mine, _ in pairs), median(mine / its for mine, its in pairs)
    what = f"from event to CarePlan on HAPI, queue on {name}"
    yardstick = "a bare aiohttp client sending the same requests"
    done = Figure(what, rate, "patients/s", yardstick, ratio, f"ratio {LIMIT}", ratio >= LIMIT)
    return [done, *_waits(name, waits)]


def _waits(name: str, waits: Sequence[float]) -> Iterator[Figure]:
    """Percentiles beside the wait that a sender allows; the limit is on the last."""
    cuts = quantiles(waits, n=100)
    for percent in (50, 95, 99):
        wait = cuts[percent - 1]
        what = f"event confirmed at {_A_SECOND} a second, p{percent}, queue on {name}"
        limited = percent == 99
        limit, within = ("ratio 1", wait < ACKNOWLEDGED) if limited else ("-", None)
        yield Figure(what, wait * 1000, "ms", "the 2 s a sender waits", wait / ACKNOWLEDGED, limit, within)


async def _acknowledgements(
    session: aiohttp.ClientSession, service: Service, patients: Sequence[str]
) -> list[float]:
    """Seconds from when each event was due to its confirmation, while reviews go on."""
    start = time.perf_counter()

    async def tell(number: int) -> float:
        due = start + number / _A_SECOND
        await asyncio.sleep(due - time.perf_counter())
        await _tell(session, service, patients[number % len(patients)])
        return time.perf_counter() - due

    return await asyncio.gather(*(tell(number) for number in range(_A_SECOND * _SECONDS)))


async def _tell(session: aiohttp.ClientSession, service: Service, patient: str) -> None:
    event = an_event(patient)
    async with session.put(f"{service.address}/hooks/fhir/Condition/{event['id']}", json=event) as answer:
        answer.raise_for_status()


# --- rounds ---------------------------------------------------------------------------------------


@dataclass
class _Rounds:
    """Rounds of patients that nobody has seen before, for the service and for the bare client."""

    base: str
    service: Service
    session: aiohttp.ClientSession
    tag: str
    number: int = 0
    done: list[str] = field(default_factory=list)

    async def pair(self, number: int) -> tuple[float, float]:
        """One round of each; every other pair starts with the other one."""
        if number % 2:
            its = await self.bare()
            return await self.ours(), its
        mine = await self.ours()
        return mine, await self.bare()

    async def ours(self) -> float:
        """Patients a second from the first event sent to the last review ended."""
        patients = await self._patients()
        before = self.service.reviews
        start = time.time()
        await asyncio.gather(*(_tell(self.session, self.service, patient) for patient in patients))

        async def all_reviewed() -> bool:
            return self.service.reviews >= before + len(patients)

        await until(all_reviewed, seconds=_ROUND_SECONDS, every=0.5)
        lines = [line for line in self.service.events if line["event"] == Event.REVIEWED.value][before:]
        assert {line["written"] for line in lines} <= {3, 4}, "each review writes"  # noqa: S101 - else the figure is not of writing
        end = max(datetime.fromisoformat(line["timestamp"]).timestamp() for line in lines)
        self.done = patients
        return len(patients) / (end - start)

    async def bare(self) -> float:
        """Patients a second by a client that only sends and receives."""
        patients = await self._patients()
        requests = iter(await _requests(self.base, patients))

        async def work() -> None:
            for of_one_patient in requests:
                for request in of_one_patient:
                    await _send(self.session, request)

        start = time.perf_counter()
        await asyncio.gather(*(work() for _ in range(_AT_ONCE)))
        return len(patients) / (time.perf_counter() - start)

    async def _patients(self) -> list[str]:
        self.number += 1
        records = patients_to_treat(f"bench-{self.tag}-{self.number}", _PATIENTS)
        await asyncio.to_thread(load, self.base, [r for record in records.values() for r in record])
        return list(records)


# --- the same requests ----------------------------------------------------------------------------


@dataclass(frozen=True)
class _Request:
    method: str
    url: str
    content: bytes | None


class _Recorded(Exception):
    """The last request of a patient was recorded, not sent."""


class _Recorder(FhirClient):
    """Sends what reads, and keeps every request; what writes is kept only."""

    requests: list[_Request]

    async def _send(self, sent: httpx.Request, request: str) -> ServerAnswer:
        content = sent.content or None
        self.requests.append(_Request(sent.method, str(sent.url), content))
        if content is not None:
            raise _Recorded
        return await super()._send(sent, request)


async def _requests(base: str, patients: Sequence[str]) -> list[list[_Request]]:
    """For each patient, the requests by which the service would read and write."""
    settings = Settings.model_validate({"fhir_base_url": base})
    reviewer = Reviewer.prepare(settings, clock.today(settings.timezone))
    async with open_client(settings) as client:
        recorder = _Recorder(client.base, client._http, seconds=30, attempts=1, connections=1)  # noqa: SLF001 - records what the client sends
        recorder.requests = []
        await recorder.capability()
        return [await _requests_of(recorder, reviewer, patient) for patient in patients]


async def _requests_of(recorder: _Recorder, reviewer: Reviewer, patient: str) -> list[_Request]:
    recorder.requests = []
    try:
        await reviewer.propose(recorder, patient)
    except _Recorded:
        return recorder.requests
    raise AssertionError(f"nothing would be written about {patient}")


async def _send(session: aiohttp.ClientSession, request: _Request) -> bytes:
    headers = _HEADERS if request.content is None else _HEADERS | {"Content-Type": "application/fhir+json"}
    url = URL(request.url, encoded=True)
    async with session.request(request.method, url, data=request.content, headers=headers) as response:
        if response.status not in {200, 404}:
            response.raise_for_status()
        return await response.read()


def _session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=200))
