"""Many at once on one patient of a real HAPI FHIR server: services that know of each other or not, a person.

With `HAPI_URL` set, that server is used; every test loads records of its own.
"""

import asyncio
import itertools
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any, ClassVar

import httpx
import pytest

from service.fhir.client import FhirClient
from service.fhir.names import same_content
from service.render.guidance import guidance_id
from tests.contract_interrupted import Change, a_third_failure, an_aneurysm, assert_explained
from tests.contract_late import Addresses, LateContract, open_plans, plans_of, refuted
from tests.contract_write import (
    EDITS,
    LOOPBACK,
    TWO_FAILURES,
    ask,
    found_by,
    load_case,
    read,
    versions,
)
from tests.examples import soaked
from tests.running import Service, notify, patients_to_treat, until
from tests.servers import load, proxied
from tests.support import Resource, client_at, reviewer

ROUNDS = soaked(200)
"""Times that a person and two reviewers meet over one plan: all in `make soak`, a tenth in CI."""
_HEAD_START = 0.4
"""The part of a review by which the first person is before it, on a machine however busy."""
OFTEN = 100
"""So many rounds have at least one in which a person is refused; fewer need not."""
PARALLEL = 20
_AT_ONCE = 8
"""Rounds side by side."""
_BUSY = {HTTPStatus.CONFLICT, HTTPStatus.PRECONDITION_FAILED}


@pytest.fixture(scope="module")
def server(shared_hapi: str) -> str:
    return shared_hapi


# --- services -------------------------------------------------------------------------------------


@asynccontextmanager
async def several(folder: Path, number: int, **settings: object) -> AsyncIterator[list[Service]]:
    """So many services, each with a folder of its own."""
    async with AsyncExitStack() as stack:
        services = []
        for _ in range(number):
            home = folder / uuid.uuid4().hex
            home.mkdir()
            services.append(Service(home, **settings))
            stack.push_async_exit(services[-1])
        await asyncio.gather(*(service.start() for service in services))
        yield services


def a_patient_to_treat(server: str) -> tuple[str, list[Resource]]:
    ((patient, record),) = patients_to_treat(uuid.uuid4().hex[:8], 1).items()
    load(server, record)
    return patient, record


async def proposed(http: httpx.AsyncClient, service: Service, patient: str) -> None:
    answer = await http.post(f"{service.address}/fhir/Patient/{patient}/$propose-care-plan")
    assert answer.status_code == 200, answer.text


async def is_quiet(services: list[Service]) -> bool:
    return all([await service.is_idle() for service in services])


async def assert_asked_once(server: str, patient: str) -> None:
    """At most one open Task a reason."""
    tasks = [one for one in await found_by(server, f"Task?patient={patient}") if one["status"] == "requested"]
    reasons = [one["code"]["coding"][0]["code"] for one in tasks]
    assert len(set(reasons)) == len(reasons)


async def assert_written_once(server: str, patient: str) -> None:
    """One plan and one assessment of one version each, and nobody is asked anything."""
    (plan,) = await plans_of(server, patient)
    for reference in (f"CarePlan/{plan['id']}", f"GuidanceResponse/{guidance_id(patient)}"):
        assert await versions(server, reference) == ["1"]
    assert await found_by(server, f"Task?patient={patient}") == []


async def test_four_services_on_one_queue_make_one_plan_of_one_version(
    server: str, tmp_path: Path, postgres_queue: str
) -> None:
    patient, _ = a_patient_to_treat(server)
    async with (
        several(tmp_path, 4, fhir_base_url=server, database_url=postgres_queue) as services,
        httpx.AsyncClient(trust_env=False, timeout=90, verify=LOOPBACK) as http,
    ):
        turns = [services[number % 4] for number in range(PARALLEL)]
        await asyncio.gather(
            *(proposed(http, service, patient) for service in turns),
            *(notify(http, service.address, patient) for service in turns),
        )
        await until(partial(is_quiet, services), seconds=60)
        assert await services[0].metric('trd_queue_jobs{state="failed"}') == 0
    await assert_written_once(server, patient)


@pytest.mark.soak
async def test_two_services_that_know_nothing_of_each_other_make_one_plan_of_one_version(
    server: str, tmp_path: Path
) -> None:
    async with (
        several(tmp_path, 2, fhir_base_url=server) as services,
        httpx.AsyncClient(trust_env=False, timeout=90, verify=LOOPBACK) as http,
    ):
        for _ in range(soaked(10)):
            patient, _ = a_patient_to_treat(server)
            await asyncio.gather(*(proposed(http, one, patient) for one in services for _ in range(PARALLEL)))
            await assert_written_once(server, patient)


@pytest.mark.soak
async def test_two_services_that_see_other_anchors_never_leave_two_open_plans(
    server: str, tmp_path: Path
) -> None:
    async with (
        several(tmp_path, 2, fhir_base_url=server) as services,
        httpx.AsyncClient(trust_env=False, timeout=90, verify=LOOPBACK) as http,
    ):
        for _ in range(soaked(20)):
            patient, record = a_patient_to_treat(server)
            async with alternating(server, record), sampling(server, patient) as seen:
                for _ in range(3):
                    await asyncio.gather(
                        *(proposed(http, one, patient) for one in services for _ in range(3))
                    )
            assert max(seen) == 1
            for service in services:
                await proposed(http, service, patient)
            (plan,) = await plans_of(server, patient)
            assert plan["status"] == "draft"
            before = await versions(server, f"CarePlan/{plan['id']}")
            await proposed(http, services[0], patient)
            assert await versions(server, f"CarePlan/{plan['id']}") == before


@asynccontextmanager
async def alternating(server: str, record: list[Resource]) -> AsyncIterator[None]:
    """While the block runs, the depression on record is one Condition or another, and never both."""
    (one,) = [r for r in record if r["resourceType"] == "Condition" and r["id"].endswith("-mdd")]
    other = one | {"id": f"{one['id']}-anew"}

    async def alternate() -> None:
        for there, gone in itertools.cycle([(other, one), (one, other)]):
            await asyncio.to_thread(load, server, [there, refuted(gone)])

    async with running(alternate()):
        yield


@asynccontextmanager
async def sampling(server: str, patient: str) -> AsyncIterator[list[int]]:
    """Count the open plans of a patient again and again while the block runs."""
    seen: list[int] = []

    async def sample() -> None:
        while True:
            seen.append(len(await open_plans(server, patient)))

    async with running(sample()):
        yield seen


@asynccontextmanager
async def running(work: Any) -> AsyncIterator[None]:
    """Have something done beside the block; what it fails with is raised."""
    task = asyncio.create_task(work)
    try:
        yield
        if task.done():
            task.result()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


# --- a person among reviewers ---------------------------------------------------------------------

CHANGES: list[Change] = [a_third_failure, an_aneurysm]
"""What makes a review update the draft, and what makes it revoke the draft."""
_EDITS = [EDITS[name] for name in ("noted", "ticked", "activated")]


@dataclass(slots=True)
class Tally:
    """Who came first, over all rounds."""

    person_first: int = 0
    service_first: int = 0
    person_refused: int = 0


@asynccontextmanager
async def two_clients(one: str, other: str) -> AsyncIterator[tuple[FhirClient, FhirClient]]:
    """Clients of one server by two of its addresses, so that neither waits for the other."""
    async with client_at(one, fhir_connections=8) as first, client_at(other, fhir_connections=8) as second:
        yield first, second


@pytest.mark.soak
@pytest.mark.parametrize(("conditional", "rounds"), [(True, ROUNDS), (False, ROUNDS // 2)])
async def test_an_edit_of_a_person_stands_whatever_reviewers_do_meanwhile(
    server: str, conditional: bool, rounds: int
) -> None:
    tally = Tally()
    async with two_clients(server, server.replace("127.0.0.1", "localhost")) as clients:
        # Our Device is on the server before many at once would create it, which HAPI may answer with 500.
        await reviewer().propose(clients[0], await asyncio.to_thread(load_case, server, TWO_FAILURES))
        await in_rounds(partial(meet, server, clients, tally, conditional=conditional), rounds)
    assert min(tally.person_first, tally.service_first) > 0, "one was always first"
    assert tally.person_first + tally.person_refused > rounds // 20, "nobody met"
    assert not conditional or rounds < OFTEN or tally.person_refused > 0


@pytest.mark.soak
@pytest.mark.parametrize("update_create", [None, False], ids=["ids of ours", "ids of the server"])
async def test_an_edit_of_a_person_stands_where_requests_are_sent_one_by_one(
    server: str, update_create: bool | None
) -> None:
    tally, rounds = Tally(), ROUNDS // 4
    traits: dict[str, Any] = {"transactions": False, "update_create": update_create}
    with proxied(server, **traits) as one, proxied(server, **traits) as other:
        async with two_clients(one, other) as clients:
            await in_rounds(partial(meet, server, clients, tally, conditional=True), rounds)
    assert tally.person_first + tally.service_first == rounds


async def in_rounds(one: Callable[[int], Awaitable[None]], rounds: int) -> None:
    """Do something so many times, some side by side."""
    turns = asyncio.Semaphore(_AT_ONCE)

    async def in_turn(number: int) -> None:
        async with turns:
            await one(number)

    async with asyncio.TaskGroup() as tasks:
        for number in range(rounds):
            tasks.create_task(in_turn(number))


async def meet(
    server: str, clients: tuple[FhirClient, FhirClient], tally: Tally, number: int, *, conditional: bool
) -> None:
    """A draft stands, the record changes, and a person and two reviewers are at it."""
    patient = await asyncio.to_thread(load_case, server, TWO_FAILURES)
    started = time.monotonic()
    first = await reviewer().propose(clients[number % 2], patient)
    seconds = time.monotonic() - started
    plan = first.answer.care_plan.reference
    assert plan is not None
    await asyncio.to_thread(load, server, CHANGES[number % 2](patient))
    edit = _EDITS[number // 2 % len(_EDITS)]
    after = _part(number) * seconds
    edited, _ = await asyncio.gather(
        edited_by_a_person(server, plan, edit, tally, after=max(after, 0), conditional=conditional),
        asyncio.gather(*(reviewed_after(-after, client, patient) for client in clients)),
    )
    for client in clients:
        done = await reviewer().propose(client, patient)
        assert done.answer.care_plan.action in {"leave", "none"}
    assert (await reviewer().propose(clients[0], patient)).written == ()

    history = await found_by(server, f"{plan}/_history?_count=50")
    assert history[0]["meta"]["versionId"] == edited["meta"]["versionId"]
    assert same_content(_said(history[0]), _said(edited))
    assert edit(history[1])
    assert len(history) in {2, 3}
    assert [f"CarePlan/{one['id']}" for one in await plans_of(server, patient)] == [plan]
    await assert_asked_once(server, patient)
    tally.person_first += len(history) == 2
    tally.service_first += len(history) == 3


def _part(number: int) -> float:
    """The part of a review after which a person comes: from shortly before it to after its end."""
    part = number * 37 % 100 / 100
    return part * part * 1.5 - _HEAD_START


async def reviewed_after(seconds: float, client: FhirClient, patient: str) -> None:
    await asyncio.sleep(max(seconds, 0))
    await reviewer().propose(client, patient)


def _said(plan: Resource) -> Resource:
    return {key: value for key, value in plan.items() if key != "meta"}


async def edited_by_a_person(  # noqa: PLR0913 - who does what with what, when and how
    server: str,
    plan: str,
    edit: Callable[[Resource], dict[str, Any]],
    tally: Tally,
    *,
    after: float,
    conditional: bool,
) -> Resource:
    """A person reads a plan and changes it, anew where somebody was faster; returns it as it was stored."""
    await asyncio.sleep(after)
    seen = await read(server, plan)
    while True:
        wanted = seen | edit(seen)
        condition = {"if_match": f'W/"{seen["meta"]["versionId"]}"'} if conditional else {}
        answer = await ask(server, plan, method="PUT", body=wanted, **condition)
        if answer.is_success:
            stored: Resource = answer.json()
            assert same_content(_said(stored), _said(wanted))
            return stored
        assert answer.status_code in _BUSY, answer.text
        tally.person_refused += 1
        if conditional:
            seen = await read(server, plan)


@pytest.mark.soak
@pytest.mark.parametrize("update_create", [None, False], ids=["ids of ours", "ids of the server"])
async def test_two_reviewers_make_one_plan_where_requests_are_sent_one_by_one(
    server: str, update_create: bool | None
) -> None:
    traits: dict[str, Any] = {"transactions": False, "update_create": update_create}
    with proxied(server, **traits) as one, proxied(server, **traits) as other:
        async with two_clients(one, other) as clients:
            for _ in range(soaked(20)):
                patient = load_case(server, TWO_FAILURES)
                await asyncio.gather(*(reviewer().propose(client, patient) for client in clients))
                (plan,) = await plans_of(server, patient)
                (guidance,) = await found_by(server, f"GuidanceResponse?patient={patient}")
                assert (plan["meta"]["versionId"], guidance["meta"]["versionId"]) == ("1", "1")
                await assert_explained(one, patient)
                assert (await reviewer().propose(clients[0], patient)).written == ()


# --- a reviewer who comes late --------------------------------------------------------------------


class _LateAfterOneEdit(LateContract):
    """The contract over one edit; servers in memory run every edit."""

    @pytest.mark.parametrize("knows_the_server", [False, True], ids=["a new process", "one at work"])
    @pytest.mark.parametrize("edit", ["noted"])
    async def test_it_does_not_overwrite(
        self, addresses: Addresses, edit: str, knows_the_server: bool
    ) -> None:
        await super().test_it_does_not_overwrite(addresses, edit, knows_the_server)


class TestLateOnHapi(_LateAfterOneEdit):
    """In one transaction."""

    @pytest.fixture
    def addresses(self, server: str) -> Addresses:
        return Addresses(server.replace("127.0.0.1", "localhost"), server)


class TestLateOnHapiOneByOne(_LateAfterOneEdit):
    """One by one, under ids of ours."""

    traits: ClassVar[dict[str, Any]] = {"transactions": False}

    @pytest.fixture
    def addresses(self, server: str) -> Iterator[Addresses]:
        with proxied(server, **self.traits) as ours, proxied(server, **self.traits) as theirs:
            yield Addresses(ours, theirs)


class TestLateOnHapiOneByOneUnderItsIds(TestLateOnHapiOneByOne):
    """One by one, under ids that the server gives."""

    traits: ClassVar = {"transactions": False, "update_create": False}
