"""How a server is written to, by what it says of itself."""

import httpx
import msgspec
import pytest

from service.core.plans import WriteTier
from service.errors import ServerRefused
from service.fhir.client import FhirClient
from service.fhir.kinds import WRITTEN_KINDS
from service.fhir.target import Target, read_target
from service.fhir.views import CapabilityView
from tests.support import Resource, client_of, fhir_response

ALL = frozenset(WRITTEN_KINDS)


def a_statement(
    *kinds: str,
    system: str | None = "transaction",
    does: tuple[str, ...] = ("create", "update"),
    **of_kind: object,
) -> Resource:
    """A CapabilityStatement of a server that keeps these kinds."""
    interactions = [{"code": code} for code in does]
    resources = [{"type": kind, "interaction": interactions, **of_kind} for kind in kinds]
    rest: Resource = {"mode": "server", "resource": resources}
    if system is not None:
        rest["interaction"] = [{"code": system}]
    return {"resourceType": "CapabilityStatement", "fhirVersion": "4.0.1", "rest": [rest]}


def target_of(statement: Resource) -> Target:
    return read_target(msgspec.convert(statement, CapabilityView), frozenset())


@pytest.mark.parametrize(
    ("statement", "tier", "names_ids"),
    [
        pytest.param(a_statement(*ALL), "transaction", True, id="a transaction, ids not spoken of"),
        pytest.param(a_statement(*ALL, updateCreate=True), "transaction", True, id="ids of ours"),
        pytest.param(a_statement(*ALL, updateCreate=False), "single-requests", False, id="ids of its own"),
        pytest.param(a_statement(*ALL, system=None), "single-requests", True, id="no transaction"),
        pytest.param(a_statement(*ALL, system="batch"), "single-requests", True, id="a batch is none"),
    ],
)
def test_how_it_is_written_to(statement: Resource, tier: str, names_ids: bool) -> None:
    assert target_of(statement) == Target(WriteTier(tier), ALL, names_ids)


@pytest.mark.parametrize(
    "statement",
    [
        pytest.param(a_statement("GuidanceResponse", "Task"), id="no CarePlan"),
        pytest.param(a_statement(*ALL, does=("read", "search-type")), id="reads only"),
        pytest.param(a_statement(*ALL, does=("read", "create")), id="creates, and updates nothing"),
        pytest.param(a_statement(*ALL, does=()), id="says nothing of what it does"),
        pytest.param({"resourceType": "CapabilityStatement"}, id="says nothing"),
    ],
)
def test_where_no_care_plan_can_be_written_nothing_is(statement: Resource) -> None:
    target = target_of(statement)
    assert (target.tier, target.takes) == (WriteTier.RETURN_ONLY, frozenset())


@pytest.mark.parametrize(
    ("statement", "tier", "takes"),
    [
        pytest.param(
            a_statement("DocumentReference", "Communication"), "document", {"DocumentReference"}, id="both"
        ),
        pytest.param(
            a_statement("DocumentReference", "Provenance"),
            "document",
            {"DocumentReference", "Provenance"},
            id="with Provenance",
        ),
        pytest.param(
            a_statement("DocumentReference", "Communication", does=("create",)),
            "communication",
            {"Communication"},
            id="documents that are never updated",
        ),
        pytest.param(
            a_statement("DocumentReference") | {"fhirVersion": "5.0.0"}, "return-only", set(), id="R5"
        ),
    ],
)
def test_below_care_plan_it_is_a_document_or_a_communication(
    statement: Resource, tier: str, takes: set[str]
) -> None:
    target = target_of(statement)
    assert (target.tier, {*target.takes}) == (WriteTier(tier), takes)
    assert target.only_created == takes - {"DocumentReference"}


class Server:
    """A server that keeps `known` kinds, whatever it says; `asked` are the requests that it got."""

    def __init__(self, statement: Resource, *known: str) -> None:
        self.statement, self.known = statement, known
        self.asked: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/r4/")
        self.asked.append(path)
        if path == "metadata":
            return fhir_response(self.statement)
        return fhir_response({"resourceType": "Bundle"}) if path in self.known else httpx.Response(404)


async def test_a_kind_that_a_server_knows_without_saying_so_is_written() -> None:
    server = Server(a_statement("CarePlan", "Provenance"), "GuidanceResponse", "Device")
    client: FhirClient = client_of(server)
    assert (await client.target()).takes == {"CarePlan", "Provenance", "GuidanceResponse", "Device"}
    assert await client.target() is await client.target()
    assert sorted(server.asked) == ["Device", "GuidanceResponse", "Task", "metadata"]


@pytest.mark.usefixtures("waits")
async def test_a_server_that_is_busy_has_not_said_that_it_knows_nothing() -> None:
    server = Server(a_statement("CarePlan"), *ALL)

    def busy(request: httpx.Request) -> httpx.Response:
        return httpx.Response(503) if request.url.path.endswith("/Task") else server(request)

    client: FhirClient = client_of(busy)
    with pytest.raises(ServerRefused, match="GET /r4/Task"):
        await client.target()


async def test_a_server_that_takes_no_care_plan_is_asked_for_nothing_else() -> None:
    server = Server(a_statement("Patient"), *ALL)
    assert (await client_of(server).target()).takes == frozenset()
    assert server.asked == ["metadata"]


class Clock:
    """A clock that a test sets."""

    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


async def test_what_a_server_says_of_itself_is_asked_again_after_an_hour() -> None:
    server, clock = Server(a_statement(*ALL)), Clock()
    client: FhirClient = client_of(server, now=clock)
    learnt = await client.target()
    clock.seconds = 3599
    assert await client.target() is learnt
    assert server.asked == ["metadata"]
    clock.seconds = 3600
    assert await client.target() is learnt, "what was learnt stays while the server says the same"
    assert server.asked == ["metadata"] * 2
    server.statement = a_statement(*ALL, updateCreate=False)
    clock.seconds = 2 * 3600
    assert (await client.target()).tier is WriteTier.SINGLE_REQUESTS


async def test_a_server_that_takes_no_care_plan_is_asked_again_after_a_minute() -> None:
    server, clock = Server(a_statement("Patient")), Clock()
    client: FhirClient = client_of(server, now=clock)
    assert (await client.target()).tier is WriteTier.RETURN_ONLY
    server.statement = a_statement(*ALL)
    clock.seconds = 59
    assert (await client.target()).tier is WriteTier.RETURN_ONLY
    clock.seconds = 60
    assert (await client.target()).tier is WriteTier.TRANSACTION


async def test_what_is_doubted_is_asked_again_at_the_next_need() -> None:
    server = Server(a_statement(*ALL))
    client: FhirClient = client_of(server)
    await client.target()
    client.doubt_capability()
    assert server.asked == ["metadata"]
    await client.target()
    assert server.asked == ["metadata"] * 2


@pytest.mark.parametrize(
    ("tier", "takes", "guards", "safe"),
    [
        (WriteTier.TRANSACTION, ALL, True, True),
        (WriteTier.TRANSACTION, ALL, False, False),
        (WriteTier.TRANSACTION, ALL, None, False),
        (WriteTier.TRANSACTION, ALL - {"GuidanceResponse"}, True, False),
        (WriteTier.SINGLE_REQUESTS, ALL, True, False),
    ],
)
def test_only_a_guarded_transaction_with_an_assessment_loses_no_race(
    tier: WriteTier, takes: frozenset[str], guards: bool | None, safe: bool
) -> None:
    assert Target(tier, takes, names_ids=True, guards_creation=guards).loses_no_race is safe
