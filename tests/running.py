"""The service as a process of its own, as it is run for users: started, watched, told to stop, or killed."""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import httpx

from service import clock
from service.demo.run import demo_patients
from service.demo.sandbox.processes import free_port
from service.render.guidance import guidance_id
from service.telemetry.logs import Event
from tests.app.engines import DOOR, ER7, SYSTEM, a_message
from tests.contract_write import ask, found_by, session_dates
from tests.notified import event, named, notification
from tests.support import Resource, a_condition, resources_of

_START_SECONDS = 120.0
_STOP_SECONDS = 60.0
_POLL_SECONDS = 0.1


class Service:
    """`python -m service serve` on a free port; `settings` by name, as `fhir_base_url`.

    It can be started again, with the same settings and the same queue. Each start has a log of its own.
    """

    def __init__(self, folder: Path, **settings: object) -> None:
        port = free_port()
        self.address = f"http://127.0.0.1:{port}"
        of_its_own = {
            "port": port,
            "database_url": f"sqlite:///{folder / 'queue.sqlite'}",
            "daily_at": "off",
            "sweep_every": "off",
        }
        self.settings = {**of_its_own, **settings}
        self._folder = folder
        self._logs: list[Path] = []
        self._process: subprocess.Popen[bytes] | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Whatever is still running ends; where something failed, the log is shown."""
        self.kill()
        if kind is not None:
            sys.stderr.write(self.log)

    @property
    def environment(self) -> dict[str, str]:
        """The settings as variables, for a command that is to work beside the service."""
        return {f"TRD_{name.upper()}": str(value) for name, value in self.settings.items()}

    @property
    def log(self) -> str:
        """Everything written to standard output and standard error, of every start."""
        return "".join(path.read_text(encoding="utf-8") for path in self._logs)

    @property
    def events(self) -> list[dict[str, Any]]:
        """Every line of the logs, all of them JSON; the last one may be cut short where it was killed."""
        lines = [line for path in self._logs for line in path.read_text(encoding="utf-8").split("\n")[:-1]]
        return [json.loads(line) for line in lines]

    @property
    def reviews(self) -> int:
        """How many reviews it has ended."""
        return sum(line["event"] == Event.REVIEWED.value for line in self.events)

    async def start(self) -> None:
        """Start it, and wait until it is ready."""
        log = self._folder / f"service-{urlsplit(self.address).port}-{len(self._logs)}.log"
        self._logs.append(log)
        with log.open("wb") as output:
            self._process = subprocess.Popen(  # noqa: ASYNC220 - it takes milliseconds
                [sys.executable, "-m", "service", "serve"],
                cwd=self._folder,
                env={**without_settings(), **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        deadline = time.monotonic() + _START_SECONDS
        while not await self._is_ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"the service did not start:\n{self.log[-4000:]}")
            await asyncio.sleep(_POLL_SECONDS)

    def kill(self) -> None:
        """End it as a power failure would: `kill -9`."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    async def stop(self) -> int:
        """Tell it to stop, and wait until it has; returns its exit code."""
        assert self._process is not None
        self._process.terminate()
        try:
            return await asyncio.to_thread(self._process.wait, _STOP_SECONDS)
        finally:
            self.kill()

    async def metric(self, name: str) -> float:
        """The value of a metric with its labels, as `trd_queue_jobs{state="failed"}`; 0 if it is not told."""
        async with httpx.AsyncClient(trust_env=False, timeout=10) as http:
            shown = (await http.get(f"{self.address}/metrics")).text
        found = [line for line in shown.splitlines() if line.startswith(f"{name} ")]
        return float(found[0].rpartition(" ")[2]) if found else 0.0

    async def is_idle(self) -> bool:
        """Whether no job waits or runs."""
        waiting = await self.metric('trd_queue_jobs{state="waiting"}')
        return waiting + await self.metric('trd_queue_jobs{state="running"}') == 0

    async def _is_ready(self) -> bool:
        async with httpx.AsyncClient(trust_env=False, timeout=10) as http:
            try:
                return (await http.get(f"{self.address}/health/ready")).status_code == httpx.codes.OK
            except httpx.TransportError:
                return False


def without_settings() -> dict[str, str]:
    """The environment of this process without the settings of the service."""
    return {name: value for name, value in os.environ.items() if not name.startswith("TRD_")}


# --- patients -------------------------------------------------------------------------------------


def patients_to_treat(tag: str, number: int) -> dict[str, list[Resource]]:
    """Patients whose two documented failures, moved to today, call for a CarePlan: their records by id.

    Each has a number at the hospital (`number_of`).
    """
    (template,) = [
        patient.bundle for patient in demo_patients(clock.today("UTC")) if patient.patient_id == "propose-two"
    ]
    patients = [f"{tag}-{n:03}" for n in range(number)]
    return {patient: [_numbered(one, patient) for one in renamed(template, patient)] for patient in patients}


def number_of(patient: str) -> str:
    """The medical record number of a patient."""
    return f"MRN-{patient}"


def _numbered(resource: Resource, patient: str) -> Resource:
    if resource["resourceType"] != "Patient":
        return resource
    return resource | {"identifier": [{"system": SYSTEM, "value": number_of(patient)}]}


def renamed(bundle: Resource, patient: str) -> list[Resource]:
    """The resources of a Bundle under other ids; the Patient gets the one given."""
    ids = {r["id"]: f"{patient}-{r['id']}" for r in resources_of(bundle)}
    ids |= {r["id"]: patient for r in resources_of(bundle) if r["resourceType"] == "Patient"}
    text = json.dumps(resources_of(bundle))
    for before, after in ids.items():
        text = text.replace(f'"id": "{before}"', f'"id": "{after}"').replace(f'/{before}"', f'/{after}"')
    resources: list[Resource] = json.loads(text)
    return resources


def an_event(patient: str) -> Resource:
    """What a FHIR server puts to the hook when a condition of a patient changes."""
    return a_condition(f"{patient}-changed", patient)


# --- notifications --------------------------------------------------------------------------------


Notify = Callable[[httpx.AsyncClient, str, str], Coroutine[Any, Any, None]]


async def notify(http: httpx.AsyncClient, address: str, patient: str) -> None:
    """Tell the service of a change, again and again until it confirms, as a FHIR server does."""
    condition = an_event(patient)
    path = f"Condition/{condition['id']}"
    await _until_confirmed(lambda: http.put(f"{address}/hooks/fhir/{path}", json=condition))


async def notify_by_topic(http: httpx.AsyncClient, address: str, patient: str) -> None:
    """The same by a notification that only names the resource that changed: the patient's condition."""
    (template,) = [one.bundle for one in demo_patients(clock.today("UTC")) if one.patient_id == "propose-two"]
    record = renamed(template, patient)
    (focus,) = [f"Condition/{r['id']}" for r in record if r["resourceType"] == "Condition"]
    told = notification("R5", event(focus=focus), entries=(named(focus),))
    await _until_confirmed(lambda: http.post(f"{address}/hooks/topics", json=told))


async def notify_by_message(http: httpx.AsyncClient, address: str, patient: str) -> None:
    """The same by an HL7 v2 message with a result, from an engine that knows the patient's number."""
    number = number_of(patient)
    message = a_message("ORU^R01^ORU_R01", f"PID|1||{number}^^^HOSP^MR", control_id=f"C-{number}").encode()
    headers = {"Content-Type": ER7}
    await _until_confirmed(lambda: http.post(f"{address}{DOOR}", content=message, headers=headers))


async def ask_to_propose(http: httpx.AsyncClient, address: str, patient: str) -> None:
    """Have the patient reviewed and the outcome written at once, by the operation."""
    operation = f"{address}/fhir/Patient/{patient}/$propose-care-plan"
    await _until_confirmed(lambda: http.post(operation))


async def ask_for_review(http: httpx.AsyncClient, address: str, patient: str) -> None:
    """The same in plain JSON, by the patient's number."""
    asked = {"identifier": f"{SYSTEM}|{number_of(patient)}", "write": True}
    await _until_confirmed(lambda: http.post(f"{address}/reviews", json=asked))


async def _until_confirmed(send: Callable[[], Awaitable[httpx.Response]]) -> None:
    while True:
        with contextlib.suppress(httpx.TransportError):
            if (await send()).status_code == httpx.codes.OK:
                return
        await asyncio.sleep(_POLL_SECONDS)


@contextlib.asynccontextmanager
async def notifying(
    address: str, patients: Iterable[str], *, a_second: float, by: Notify = notify
) -> AsyncIterator[dict[str, None]]:
    """Tell of a change of each patient, so many a second, while the block runs; gives those confirmed."""
    confirmed: dict[str, None] = {}

    async def tell(patient: str) -> None:
        await by(http, address, patient)
        confirmed[patient] = None

    async def tell_all() -> None:
        async with asyncio.TaskGroup() as tasks:
            for patient in patients:
                tasks.create_task(tell(patient))
                await asyncio.sleep(1 / a_second)

    async with httpx.AsyncClient(trust_env=False, timeout=30) as http:
        telling = asyncio.create_task(tell_all())
        try:
            yield confirmed
            await telling
        finally:
            telling.cancel()
            await asyncio.gather(telling, return_exceptions=True)


# --- what comes of it -----------------------------------------------------------------------------


async def until(holds: Callable[[], Awaitable[object]], *, seconds: float, every: float = 0.3) -> None:
    """Wait until something holds; fails with what it last gave when the time is up."""
    deadline = time.monotonic() + seconds
    while not (last := await holds()):
        assert time.monotonic() < deadline, f"after {seconds} s still {last!r}"
        await asyncio.sleep(every)


async def planned(server: str) -> set[str]:
    """The patients who have a CarePlan."""
    plans = await found_by(server, "CarePlan?_count=1000")
    return {plan["subject"]["reference"].removeprefix("Patient/") for plan in plans}


async def at_least(number: int, server: str, patients: list[str]) -> bool:
    """Whether so many of the patients have a CarePlan."""
    return len(await planned(server) & set(patients)) >= number


async def reason_of(server: str, patient: str) -> str | None:
    """The reason of the decision that stands on the server for a patient, if there is one."""
    answer = await ask(server, f"GuidanceResponse/{guidance_id(patient)}")
    if answer.status_code != httpx.codes.OK:
        return None
    (reason,) = _reasons(answer.json())
    return reason


async def assert_each_once(server: str, patients: Iterable[str]) -> None:
    """Each patient has one CarePlan of 12 sessions and one GuidanceResponse, both written once and right."""
    expected = sorted(patients)
    for kind in ("CarePlan", "GuidanceResponse"):
        found = await found_by(server, f"{kind}?_count=1000")
        ours = [r for r in found if r["subject"]["reference"].removeprefix("Patient/") in set(expected)]
        assert sorted(r["subject"]["reference"].removeprefix("Patient/") for r in ours) == expected
        assert {r["id"]: r["meta"]["versionId"] for r in ours if r["meta"]["versionId"] != "1"} == {}
        if kind == "CarePlan":
            assert {(plan["status"], len(session_dates(plan))) for plan in ours} == {("draft", 12)}
        else:
            assert {reason for guidance in ours for reason in _reasons(guidance)} == {"trd"}


def _reasons(guidance: Resource) -> list[str]:
    parameters = guidance["contained"][0]["parameter"]
    return [one["valueCode"] for one in parameters if one["name"] == "decision-reason"]


# --- a wire that can be cut -----------------------------------------------------------------------


class Wire:
    """A way to a server over TCP; cut, it breaks every connection and takes no new one."""

    def __init__(self, port: int) -> None:
        self.port = free_port()
        self._server_port = port
        self._listener: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        await self.mend()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.cut()

    async def mend(self) -> None:
        """Take connections."""
        self._listener = await asyncio.start_server(self._connect, "127.0.0.1", self.port)

    async def cut(self) -> None:
        """Break what is open, and refuse what comes."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        for writer in list(self._open):
            writer.transport.abort()
        await until(self._is_closed, seconds=10)

    async def _is_closed(self) -> bool:
        return not self._open

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._server_port)
        both = {writer, server_writer}
        self._open |= both
        await asyncio.gather(_copy(reader, server_writer), _copy(server_reader, writer))
        self._open -= both


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while content := await reader.read(65536):
            writer.write(content)
            await writer.drain()
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()
