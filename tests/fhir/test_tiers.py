"""Servers that take less: what is then written, in which way, and how it is told."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import structlog

from service.errors import ServerRefused
from service.fhir.kinds import WRITTEN_KINDS
from service.fhir.names import DEVICE_INSIDE
from service.queue.work import Work
from service.review import Proposal
from service.telemetry.logs import Event, configure_logs
from service.telemetry.metrics import Metrics
from tests.app.serving import fhir_of, serving, values_of
from tests.contract_interrupted import NEEDS_REVIEW, references_in
from tests.contract_write import TWO_FAILURES
from tests.fhir.double import FhirDouble
from tests.servers import serving_double
from tests.support import (
    AS_OF,
    Resource,
    a_condition,
    a_statement,
    case_bundle,
    client_of,
    patient_id_of,
    resources_of,
    reviewer,
    run_command,
)

NOT_TAKEN = "(not written: the FHIR server does not accept CarePlan resources, nor a document in their place)"
HELD = 'trd_reviews_held_total{why="care-plan-not-taken"} 1.0'
PATIENT = patient_id_of(case_bundle(TWO_FAILURES))
WAYS: dict[str, dict[str, Any]] = {
    "together": {},
    "one by one": {"transactions": False},
    "one by one under ids of the server": {"transactions": False, "update_create": False},
}


class Silent(FhirDouble):
    """A server that does not say anything of some kinds of resource, and knows none of them."""

    def __init__(self, resources: list[Resource], silent: set[str], **traits: Any) -> None:
        super().__init__(resources, takes=set(WRITTEN_KINDS) - silent, **traits)
        self.silent = silent

    def advertised(self, statement: Resource) -> Resource:
        statement = super().advertised(statement)
        for rest in statement["rest"]:
            rest["resource"] = [one for one in rest["resource"] if one["type"] not in self.silent]
        return statement

    def __call__(self, request: httpx.Request) -> httpx.Response:
        kind = request.url.path.removeprefix(httpx.URL(self.base).path).strip("/").partition("/")[0]
        return httpx.Response(404) if kind in self.silent else super().__call__(request)


class ReadOnly(FhirDouble):
    """A server that shows some kinds of resource, and lets none of them be written."""

    def __init__(self, resources: list[Resource], silent: set[str], **traits: Any) -> None:
        super().__init__(resources, takes=set(WRITTEN_KINDS) - silent, **traits)


Manner = type[Silent] | type[ReadOnly]


def a_record(name: str = TWO_FAILURES) -> list[Resource]:
    return resources_of(case_bundle(name))


async def propose(server: FhirDouble, patient: str = PATIENT) -> Proposal:
    return await reviewer().propose(client_of(server), patient)


# --- no CarePlan ----------------------------------------------------------------------------------


@pytest.fixture(params=[Silent, ReadOnly])
def without_care_plans(request: pytest.FixtureRequest) -> FhirDouble:
    manner: Manner = request.param
    return manner(a_record(), {"CarePlan"})


async def test_where_no_care_plan_is_taken_nothing_is_written(without_care_plans: FhirDouble) -> None:
    done = await propose(without_care_plans)

    plan = done.answer.care_plan
    assert (without_care_plans.taken, without_care_plans.posted, done.written) == ([], [], ())
    assert (plan.action, plan.tier, plan.why.endswith(NOT_TAKEN)) == ("create", "return-only", True)
    assert done.answer.schedule is not None
    assert len(done.answer.schedule.sessions) == 12
    assert done.log_fields == {"written": 0, "tier": "return-only", "held": "care-plan-not-taken"}


async def test_a_server_that_no_longer_takes_what_it_said_is_asked_again() -> None:
    class Locked(FhirDouble):
        """A server whose plans were locked after it said that they can be written."""

        locked = False

        def advertised(self, statement: Resource) -> Resource:
            self.takes = frozenset(WRITTEN_KINDS) - ({"CarePlan"} if self.locked else set())
            return super().advertised(statement)

        def __call__(self, request: httpx.Request) -> httpx.Response:
            written = self.locked and request.method != "GET"
            return httpx.Response(403) if written else super().__call__(request)

    server = Locked(a_record())
    client = client_of(server)
    assert (await client.target()).tier == "transaction"
    server.locked = True
    with pytest.raises(ServerRefused):
        await reviewer().propose(client, PATIENT)
    done = await reviewer().propose(client, PATIENT)
    assert done.answer.care_plan.tier == "return-only"


async def test_where_no_care_plan_is_taken_nobody_is_asked(without_care_plans: FhirDouble) -> None:
    (patient,) = [one["id"] for one in a_record(NEEDS_REVIEW) if one["resourceType"] == "Patient"]
    for resource in a_record(NEEDS_REVIEW):
        without_care_plans.put(resource)
    done = await propose(without_care_plans, patient)
    assert (without_care_plans.taken, done.written) == ([], ())
    assert done.answer.decision == "needs-review"


async def test_where_no_care_plan_is_taken_the_command_says_so(without_care_plans: FhirDouble) -> None:
    with serving_double(without_care_plans) as base:
        arguments = ("propose", f"Patient/{PATIENT}", "--as-of", AS_OF.isoformat())
        done = run_command(*arguments, TRD_FHIR_BASE_URL=base)
        as_json = run_command(*arguments, "--json", TRD_FHIR_BASE_URL=base)

    assert (done.returncode, done.stderr) == (as_json.returncode, as_json.stderr) == (0, "")
    assert NOT_TAKEN in " ".join(done.stdout.split())
    assert done.stdout.rstrip().endswith("Written: nothing")
    assert json.loads(as_json.stdout)["care_plan"]["tier"] == "return-only"
    assert without_care_plans.taken == []


# --- how it is told -------------------------------------------------------------------------------


class Lines(io.StringIO):
    """What was logged."""

    def of(self, event: Event) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in self.getvalue().splitlines()]
        return [line for line in lines if line["event"] == event.value]


@pytest.fixture
def lines() -> Iterator[Lines]:
    """The log of this process, as it would be written."""
    handlers, level = logging.root.handlers[:], logging.root.level
    stream = Lines()
    configure_logs(stream)
    yield stream
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)
    structlog.reset_defaults()


async def told_by_both_doors(server: FhirDouble, lines: Lines) -> tuple[Resource, list[Resource], list[str]]:
    """The answer to an operation; the lines of it and of a job of the queue; the metrics of each."""
    async with serving(server, by=reviewer()) as site:
        address = f"/fhir/Patient/{PATIENT}/$propose-care-plan?asOf={AS_OF}"
        answer = await fhir_of(await site.post(address))
        shown = await (await site.get("/metrics")).text()
    shared = Metrics()
    await Work(reviewer(), client_of(server), shared).review(PATIENT, "rest-hook")
    told = [lines.of(Event.REQUEST)[0], *lines.of(Event.REVIEWED)]
    return answer, told, [shown, shared.exposition().decode()]


async def test_what_is_held_back_is_told_by_both_doors(without_care_plans: FhirDouble, lines: Lines) -> None:
    answer, told, metrics = await told_by_both_doors(without_care_plans, lines)

    assessment = json.loads(values_of(answer)["assessment"])
    assert assessment["care_plan"]["tier"] == "return-only"
    assert [(line["tier"], line["held"], line["written"]) for line in told] == 2 * [
        ("return-only", "care-plan-not-taken", 0)
    ]
    for text in metrics:
        assert HELD in text.splitlines()
        assert "trd_reviews_written_total{" not in text


@pytest.mark.parametrize(("way", "tier"), [("together", "transaction"), ("one by one", "single-requests")])
async def test_the_way_of_writing_is_told_by_both_doors(way: str, tier: str, lines: Lines) -> None:
    server = FhirDouble(a_record(), **WAYS[way])

    answer, told, metrics = await told_by_both_doors(server, lines)

    assert json.loads(values_of(answer)["assessment"])["care_plan"]["tier"] == tier
    assert [line["tier"] for line in told] == [tier, tier]
    assert told[0]["written"] == 4
    assert all("held" not in line for line in told)
    for text in metrics:
        assert f'trd_reviews_written_total{{tier="{tier}"}} 1.0' in text.splitlines()
        assert "trd_reviews_held_total{" not in text


# --- some kinds are not taken ---------------------------------------------------------------------

LEFT_OUT = [{"GuidanceResponse"}, {"Device"}, {"Provenance"}, {"Task"}, set(WRITTEN_KINDS) - {"CarePlan"}]


@pytest.mark.parametrize("manner", [Silent, pytest.param(ReadOnly, marks=pytest.mark.matrix)])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("left_out", LEFT_OUT, ids=lambda one: "-".join(sorted(one)))
async def test_what_is_not_taken_is_left_out(left_out: set[str], way: str, manner: Manner) -> None:
    server = manner(a_record(), left_out, **WAYS[way])

    done = await propose(server)

    kinds = [kind for kind in WRITTEN_KINDS if kind not in {"Task", *left_out}]
    assert [one.type for one in done.written] == kinds
    assert_authored(server, inside="Device" in left_out)
    assert (await propose(server)).written == ()
    server.put(
        a_statement("mirtazapine", PATIENT, effectivePeriod={"start": "2026-02-10", "end": "2026-06-30"})
    )
    assert (await propose(server)).answer.care_plan.action == "update"
    assert (await propose(server)).written == ()
    code = {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "I71.40"}]}
    server.put(a_condition("aneurysm", PATIENT, code=code))
    assert (await propose(server)).answer.care_plan.action == "revoke"
    assert (await propose(server)).written == ()
    assert server.only("CarePlan")["status"] == "revoked"
    assert_authored(server, inside="Device" in left_out)
    assert [kind for kind in left_out if server.of_type(kind)] == []
    assert len(server.of_type("Task")) == ("Task" not in left_out)
    assert len(server.of_type("Provenance")) == (0 if "Provenance" in left_out else 3)


def assert_authored(server: FhirDouble, *, inside: bool) -> None:
    """Everything of ours refers to our Device, which is on the server or inside."""
    for kind in WRITTEN_KINDS[1:]:
        for resource in server.of_type(kind):
            devices = {
                one for one in references_in(resource) if "Device/" in one or one == f"#{DEVICE_INSIDE}"
            }
            contained = [one for one in resource.get("contained", []) if one["resourceType"] == "Device"]
            if inside:
                assert devices == {f"#{DEVICE_INSIDE}"}
                assert [one["id"] for one in contained] == [DEVICE_INSIDE]
            else:
                assert devices == {f"Device/{server.only('Device')['id']}"}
                assert contained == []


class NeverUpdatesProvenance(FhirDouble):
    """A server that lets a Provenance be created and not updated."""

    def advertised(self, statement: Resource) -> Resource:
        statement = super().advertised(statement)
        for kind in statement["rest"][0]["resource"]:
            if kind["type"] == "Provenance":
                kind["interaction"] = [one for one in kind["interaction"] if one["code"] != "update"]
        return statement

    def lets_in(self, method: str, path: str) -> bool:
        return (method, path.partition("/")[0]) != ("PUT", "Provenance") and super().lets_in(method, path)


@pytest.mark.parametrize("way", WAYS)
async def test_provenance_that_can_only_be_created_is_created(way: str) -> None:
    server = NeverUpdatesProvenance(a_record(), **WAYS[way])
    done = await propose(server)
    assert [one.type for one in done.written] == [kind for kind in WRITTEN_KINDS if kind != "Task"]
    assert len(server.of_type("Provenance")) == 1
    assert server.only("CarePlan")["status"] == "draft"
    assert (await propose(server)).written == ()
