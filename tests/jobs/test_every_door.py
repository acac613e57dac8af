"""One record through every door: the same answer byte for byte, and the same resources on the FHIR server."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

import pytest
from aiohttp.test_utils import TestClient, TestServer
from typer.testing import CliRunner

from service import cli, clock
from service.app import build_app
from service.cause import Cause
from service.doors.ports import Door
from service.queue.jobs import JobQueue
from service.queue.sweeps import ALL_KINDS, CHANGES
from service.queue.tries import Pace
from service.queue.watermarks import Watermark
from service.queue.work import ALL_MEMBERS, ROSTER, Work
from service.telemetry.metrics import Metrics
from tests.app.engines import AUTHORITIES, DOOR, ER7, MRN, SYSTEM, a_message
from tests.app.hooks import EXCLUDED, PROPOSED, a_call, an_order, call, prefetch_of
from tests.app.serving import Site, values_of
from tests.app.test_cds_hooks import recording
from tests.fhir.double import FhirDouble
from tests.jobs.test_jobs import until_idle
from tests.notified import RELEASES, event, named, notification
from tests.support import (
    AS_OF,
    Resource,
    a_bundle,
    case_bundle,
    client_of,
    patient_id_of,
    resources_of,
    reviewer,
    settings,
)

RECORDS = {name: case_bundle(name) for name in (PROPOSED, EXCLUDED)}
DAY = {"asOf": AS_OF.isoformat()}
NOW = datetime.combine(AS_OF, time(12), UTC)
FAST = Pace(polling=0.05, first_wait=0.01, longest_rest=0.01)


@dataclass(frozen=True, slots=True)
class House:
    """The whole service in this process, before a FHIR server with one patient."""

    site: Site
    queue: JobQueue
    server: FhirDouble
    record: list[Resource]
    answers: list[str]

    @property
    def patient(self) -> str:
        return next(str(one["id"]) for one in self.record if one["resourceType"] == "Patient")

    @property
    def focus(self) -> str:
        return next(f"Condition/{one['id']}" for one in self.record if one["resourceType"] == "Condition")


@pytest.fixture(autouse=True)
def _one_day(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "today", lambda _: AS_OF)
    monkeypatch.setattr(clock, "now", lambda: NOW)


def record_of(name: str) -> list[Resource]:
    """The record of a case, whose patient has a number at the hospital."""
    number = {"identifier": [{"system": SYSTEM, "value": MRN}]}
    return [one | number if one["resourceType"] == "Patient" else one for one in resources_of(RECORDS[name])]


@asynccontextmanager
async def opened(name: str, folder: Path) -> AsyncIterator[House]:
    record = record_of(name)
    server = FhirDouble(record)
    roster = folder / "roster"
    roster.write_text(f"identifier={SYSTEM}|{MRN}\n", encoding="utf-8")
    chosen = settings(hl7v2_authorities=AUTHORITIES, roster=str(roster), sweep_every="60")
    by = replace(reviewer(), settings=chosen)
    client, metrics = client_of(server, attempts=1), Metrics()
    work = Work(by, client, metrics)
    tasks = work.tasks | {CHANGES: work.sweep_changes, ROSTER: work.review_roster}
    url = f"sqlite:///{folder / 'queue.sqlite'}"
    async with JobQueue(url, work.review, tasks=tasks, pace=FAST) as queue:
        work.queue = queue
        noting = recording(by)
        async with TestClient(TestServer(build_app(chosen, noting, client, queue, metrics=metrics))) as site:
            yield House(site, queue, server, record, noting.answers)


# --- the doors that answer ------------------------------------------------------------------------


async def by_command(house: House, folder: Path) -> str:
    path = folder / "bundle.json"
    path.write_text(json.dumps(a_bundle(house.record)), encoding="utf-8")
    arguments = ["assess", str(path), "--as-of", AS_OF.isoformat(), "--json"]
    environment = {"TRD_CRITERIA": "seed", "TRD_REGION": "us", "TRD_TIMEZONE": "UTC"}
    return CliRunner().invoke(cli.app, arguments, env=environment).stdout.removesuffix("\n")


async def by_operation(house: House, _: Path) -> str:
    path = f"/fhir/Patient/{house.patient}/$assess-treatment-resistance"
    return str(values_of(await (await house.site.get(path, params=DAY)).json())["assessment"])


async def by_operation_with_bundle(house: House, _: Path) -> str:
    answer = await house.site.post(
        "/fhir/$assess-treatment-resistance", json=a_bundle(house.record), params=DAY
    )
    return str(values_of(await answer.json())["assessment"])


async def by_plain_json(house: House, _: Path) -> str:
    answer = await house.site.post("/reviews", json={"identifier": f"{SYSTEM}|{MRN}", **DAY})
    return await answer.text()


async def by_hook(house: House, _: Path) -> str:
    asked = a_call("order-sign", house.patient, prefetch_of(house.record), an_order())
    assert len((await (await call(house.site, asked)).json())["cards"]) == 1
    return house.answers[-1]


async def by_hook_without_prefetch(house: House, _: Path) -> str:
    assert (await call(house.site, a_call("patient-view", house.patient, None))).status == 200
    return house.answers[-1]


ANSWERING = (
    by_command,
    by_operation,
    by_operation_with_bundle,
    by_plain_json,
    by_hook,
    by_hook_without_prefetch,
)


@pytest.mark.parametrize("name", RECORDS)
async def test_every_door_that_answers_gives_the_same_bytes(name: str, tmp_path: Path) -> None:
    async with opened(name, tmp_path) as house:
        answers = {door.__name__: await door(house, tmp_path) for door in ANSWERING}
        assert house.server.posted == []

    assert len(answers) == len(ANSWERING)
    (answer,) = set(answers.values())
    assert json.loads(answer)["patient"] == f"Patient/{patient_id_of(RECORDS[name])}"


# --- the doors that write -------------------------------------------------------------------------


async def ask_to_propose(house: House) -> None:
    assert (await house.site.post(f"/fhir/Patient/{house.patient}/$propose-care-plan")).status == 200


async def ask_in_plain_json(house: House) -> None:
    assert (await house.site.post("/reviews", json={"patient": house.patient, "write": True})).status == 200


async def notify(house: House) -> None:
    content = house.server.read(house.focus)
    assert (await house.site.put(f"/hooks/fhir/{house.focus}", json=content)).status == 200


async def notify_without_body(house: House) -> None:
    assert (await house.site.post("/hooks/fhir")).status == 200


def notify_by_topic_of(release: str) -> Callable[[House], Awaitable[None]]:
    async def told(house: House) -> None:
        body = notification(release, event(focus=house.focus), entries=(named(house.focus),))
        assert (await house.site.post("/hooks/topics", json=body)).status == 200

    return told


async def send_message(house: House) -> None:
    answer = await house.site.post(DOOR, data=a_message().encode(), headers={"Content-Type": ER7})
    assert "\rMSA|AA|" in await answer.text()


async def sweep(house: House) -> None:
    """A sweep after the first one, which begins with the present."""
    before = NOW - timedelta(hours=2)
    await house.queue.advance(house.server.base, "Condition", Watermark(before, before))
    await house.queue.accept_task(CHANGES, ALL_KINDS, Cause.SWEEP)


async def review_roster(house: House) -> None:
    await house.queue.accept_task(ROSTER, ALL_MEMBERS, Cause.ROSTER)


WRITING: dict[str, tuple[Callable[[House], Awaitable[None]], Cause]] = {
    "operation": (ask_to_propose, Cause.OPERATION),
    "plain JSON": (ask_in_plain_json, Cause.REVIEWS),
    "rest-hook": (notify, Cause.REST_HOOK),
    "rest-hook without a body": (notify_without_body, Cause.SWEEP),
    **{f"topic of {release}": (notify_by_topic_of(release), Cause.TOPIC) for release in RELEASES},
    "HL7 v2": (send_message, Cause.HL7V2),
    "sweep": (sweep, Cause.SWEEP),
    "roster": (review_roster, Cause.ROSTER),
}


async def written_through(door: str, name: str, folder: Path) -> str:
    """What is on the FHIR server beside the record after an event came through a door."""
    start, cause = WRITING[door]
    async with opened(name, folder) as house:
        await start(house)
        await until_idle(house.queue)
        assert (await house.queue.counts())["failed"] == 0
        (told,) = house.server.of_type("Provenance")
        assert told["reason"][0]["coding"][0]["code"] == cause
        kinds = ("GuidanceResponse", "CarePlan", "Task", "Device")
        written = [one for kind in kinds for one in house.server.of_type(kind)]
    return json.dumps(written, sort_keys=True)


@pytest.mark.parametrize("name", RECORDS)
async def test_every_door_that_writes_writes_the_same(name: str, tmp_path: Path) -> None:
    folders = {door: tmp_path / door for door in WRITING}
    for folder in folders.values():
        folder.mkdir()
    written = {door: await written_through(door, name, folder) for door, folder in folders.items()}

    (content,) = set(written.values())
    kinds = [one["resourceType"] for one in json.loads(content)]
    assert kinds[: 1 + (name == PROPOSED)] == ["GuidanceResponse", "CarePlan"][: 1 + (name == PROPOSED)]


_ASKED = {Door.ASSESS, Door.ASSESS_BUNDLE, Door.PROPOSE, Door.REVIEWS, Door.CDS_HOOK}
_TOLD = {Door.REST_HOOK, Door.TOPICS, Door.HL7V2}
_UNDECIDED = {
    Door.CDS_SERVICES,
    Door.CDS_FEEDBACK,
    Door.CDS_PREFLIGHT,
    Door.METADATA,
    Door.DEFINITION,
    Door.KEYS,
    Door.LIVE,
    Door.READY,
    Door.METRICS,
    Door.UNKNOWN,
}


def test_no_door_is_left_out() -> None:
    """Whoever adds a door that leads to a decision adds it to the two lists above."""
    assert set(Door) == _ASKED | _TOLD | _UNDECIDED
