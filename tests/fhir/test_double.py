"""The FHIR server in memory: what it has in common with a real one, and the ways in which servers differ."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.contract_server import NEVER_STORED, SYSTEM, ServerContract
from tests.contract_write import ask
from tests.fhir.double import FhirDouble
from tests.fhir.reformatting import reformatted
from tests.servers import front_at, load, running_double, serving_double
from tests.support import BASE, Resource, a_bundle, a_condition, a_patient

PLAN: Resource = {
    "resourceType": "CarePlan",
    "id": "plan",
    "status": "draft",
    "intent": "proposal",
    "subject": {"reference": "Patient/ann"},
}
SOURCE: Resource = {
    "resourceType": "Provenance",
    "id": "source",
    "target": [{"reference": "CarePlan/plan/_history/1"}],
    "agent": [{"who": {"reference": "Patient/ann"}}],
}


class TestWhatHapiDoes(ServerContract):
    """The contract that HAPI keeps, in memory."""

    @pytest.fixture(scope="class")
    @classmethod
    def server(cls) -> Iterator[str]:
        with running_double() as base:
            yield base


class TestWhatHapiDoesInOtherWords(ServerContract):
    """The same where what is sent is stored in the server's own way."""

    @pytest.fixture(scope="class")
    @classmethod
    def server(cls) -> Iterator[str]:
        with running_double(reformats=True) as base:
            yield base


def a_double(**traits: Any) -> FhirDouble:
    return FhirDouble([a_patient()], **traits)


def sent(double: FhirDouble, method: str, path: str, body: Resource, **conditions: str) -> httpx.Response:
    headers = {name.replace("_", "-"): value for name, value in conditions.items()}
    with httpx.Client(transport=httpx.MockTransport(double)) as http:
        return http.request(method, f"{BASE}/{path}".rstrip("/"), json=body, headers=headers)


def read(double: FhirDouble, path: str) -> Resource:
    with httpx.Client(transport=httpx.MockTransport(double)) as http:
        found: Resource = http.get(f"{BASE}/{path}").raise_for_status().json()
        return found


def a_transaction(*resources: Resource) -> Resource:
    bundle = a_bundle(resources, kind="transaction")
    for entry in bundle["entry"]:
        one = entry["resource"]
        entry["request"] = {"method": "PUT", "url": f"{one['resourceType']}/{one['id']}"}
    return bundle


def offered(double: FhirDouble, kind: str) -> Resource:
    (found,) = [one for one in read(double, "metadata")["rest"][0]["resource"] if one["type"] == kind]
    return {**found, "interaction": {one["code"] for one in found["interaction"]}}


# --- what it says that it can do ------------------------------------------------------------------


def test_it_says_what_it_can_do() -> None:
    double = a_double()
    assert read(double, "metadata")["rest"][0]["interaction"] == [{"code": "transaction"}]
    for kind in ("CarePlan", "GuidanceResponse", "Task", "Device", "Provenance"):
        found = offered(double, kind)
        assert {"create", "update", "read", "vread", "search-type", "history-instance"} <= found[
            "interaction"
        ]
        assert (found["versioning"], found["conditionalCreate"]) == ("versioned-update", True)
        assert "updateCreate" not in found


@pytest.mark.parametrize("kept", [True, False])
def test_it_says_whose_ids_it_keeps(kept: bool) -> None:
    assert offered(a_double(update_create=kept), "CarePlan")["updateCreate"] is kept


# --- the ways in which servers differ -------------------------------------------------------------


def test_without_transactions() -> None:
    double = a_double(transactions=False)
    assert "interaction" not in read(double, "metadata")["rest"][0]
    assert sent(double, "POST", "", a_transaction(PLAN)).status_code == 405
    assert sent(double, "PUT", "CarePlan/plan", PLAN).status_code == 201
    assert (double.posted, double.taken) == ([], ["PUT CarePlan/plan"])


def test_kinds_that_it_does_not_take() -> None:
    double = a_double(takes=["GuidanceResponse"])
    double.put(PLAN)
    assert offered(double, "CarePlan")["interaction"] == {"read", "vread", "search-type", "history-instance"}
    assert "update" in offered(double, "GuidanceResponse")["interaction"]
    for method, path in (("PUT", "CarePlan/plan"), ("POST", "CarePlan")):
        assert sent(double, method, path, PLAN).status_code == 405
    assert sent(double, "POST", "", a_transaction(PLAN)).status_code == 405
    assert len(double.versions["CarePlan/plan"]) == 1
    assert read(double, "CarePlan/plan")["status"] == "draft"


def test_ids_of_the_server() -> None:
    double = a_double(update_create=False)
    assert sent(double, "PUT", "CarePlan/plan", PLAN).status_code == 405

    created = sent(double, "POST", "CarePlan", PLAN)
    named = f"CarePlan/{created.json()['id']}"
    changed = sent(double, "PUT", named, {**created.json(), "title": "New"}, if_match='W/"1"')

    assert named == "CarePlan/1001"
    assert created.headers["Location"] == f"{BASE}/{named}/_history/1"
    assert (changed.status_code, changed.headers["ETag"]) == (200, 'W/"2"')
    assert double.taken == ["POST CarePlan", f"PUT {named}"]


def test_a_creation_that_cannot_be_guarded() -> None:
    double = a_double(guards_creation=False)
    assert sent(double, "PUT", "CarePlan/plan", PLAN, if_match=NEVER_STORED).status_code == 412
    assert sent(double, "PUT", "CarePlan/plan", PLAN).status_code == 201
    assert sent(double, "PUT", "CarePlan/plan", PLAN, if_match=NEVER_STORED).status_code == 412
    assert sent(double, "PUT", "CarePlan/plan", PLAN, if_match='W/"7"').status_code == 412
    assert double.taken == ["PUT CarePlan/plan"]


def test_what_it_stores_in_its_own_way() -> None:
    double = a_double(reformats=True)
    first, second = {"text": "first"}, {"text": "second"}
    narrative = "<div><p>One  two</p><p>three</p></div>"
    sent(double, "PUT", "CarePlan/plan", {**PLAN, "note": [first, second], "text": {"div": narrative}})
    sent(double, "PUT", "Provenance/source", SOURCE)

    plan = read(double, "CarePlan/plan")

    assert plan["note"] == [{"id": "e1", **second}, {"id": "e2", **first}]
    assert plan["text"]["div"] == "<div>\n<p>One  two</p>\n<p>three</p>\n</div>"
    assert {"versionId", "lastUpdated", "source", "tag", "profile"} == set(plan["meta"])
    assert read(double, "Provenance/source")["target"][0]["reference"] == "CarePlan/plan"
    assert reformatted(plan) == plan


def test_a_reference_that_no_search_follows_must_lead_somewhere_all_the_same() -> None:
    double = a_double()
    nowhere = {"reference": "Device/nowhere"}
    assert sent(double, "PUT", "CarePlan/plan", {**PLAN, "author": nowhere}).status_code == 400
    elsewhere = {"reference": "https://elsewhere.example/fhir/Device/1"}
    assert sent(double, "PUT", "CarePlan/plan", {**PLAN, "author": elsewhere}).status_code == 201


def test_plans_are_found_by_the_day_of_a_session() -> None:
    double = a_double()
    double.put({**PLAN, "activity": [{"detail": {"scheduledTiming": {"event": ["2026-11-30"]}}}, {}]})
    found = [
        len(read(double, f"CarePlan?activity-date={day}")["entry"]) for day in ("2026-11-30", "2026-12-01")
    ]
    assert found == [1, 0]


# --- faults ---------------------------------------------------------------------------------------


def test_a_server_that_crashes_between_two_writes() -> None:
    double = a_double()
    double.crash_after = 1
    assert sent(double, "PUT", "CarePlan/plan", PLAN).status_code == 201
    for method, path in (("PUT", "Provenance/source"), ("GET", "CarePlan/plan")):
        with pytest.raises(httpx.ConnectError):
            sent(double, method, path, SOURCE)
    assert double.taken == ["PUT CarePlan/plan"]

    double.crash_after = None
    assert sent(double, "PUT", "Provenance/source", SOURCE).status_code == 201
    assert double.taken == ["PUT CarePlan/plan", "PUT Provenance/source"]


def test_what_is_refused_is_no_write_that_was_taken() -> None:
    double = a_double()
    double.crash_after = 1
    assert sent(double, "PUT", "Provenance/source", SOURCE).status_code == 400
    assert sent(double, "POST", "", a_transaction(SOURCE, PLAN)).status_code == 200
    assert double.taken == ["POST"]
    assert double.is_cut


def test_an_answer_that_is_lost() -> None:
    double = a_double()
    double.loses_answer_to = 2
    assert sent(double, "PUT", "CarePlan/plan", PLAN).status_code == 201
    with pytest.raises(httpx.ReadError):
        sent(double, "PUT", "Provenance/source", SOURCE)
    assert read(double, "Provenance/source")["target"] == SOURCE["target"]
    assert double.taken == ["PUT CarePlan/plan", "PUT Provenance/source"]


@pytest.mark.parametrize("status", [409, 503])
def test_single_writes_are_refused_as_transactions_are(status: int) -> None:
    double = a_double()
    double.refusals = [status]
    assert sent(double, "PUT", "CarePlan/plan", PLAN).status_code == status
    assert sent(double, "PUT", "CarePlan/plan", PLAN).status_code == 201


def test_somebody_is_faster_than_a_single_write() -> None:
    double = a_double()
    double.put(PLAN)
    double.meanwhile = lambda: double.change("CarePlan/plan", status="active")
    assert sent(double, "PUT", "CarePlan/plan", PLAN, if_match='W/"1"').status_code == 409
    assert double.read("CarePlan/plan")["status"] == "active"


# --- over HTTP ------------------------------------------------------------------------------------


async def test_a_connection_that_is_cut() -> None:
    with running_double() as server:
        load(server, [a_patient()])
        front_at(server).crash_after = 0
        with pytest.raises(httpx.TransportError):
            await ask(server, "Patient/ann")
        front_at(server).crash_after = None
        front_at(server).loses_answer_to = 1
        with pytest.raises(httpx.TransportError):
            await ask(server, "CarePlan/plan", method="PUT", body=PLAN)
        assert (await ask(server, "CarePlan/plan")).status_code == 200


async def test_records_come_in_by_the_stage_door() -> None:
    double = FhirDouble([], transactions=False, update_create=False, takes=())
    named = a_condition("named", identifier=[{"system": SYSTEM, "value": "1"}])
    with serving_double(double) as server:
        load(server, a_bundle([a_patient(), named]))
        load(server, a_patient("bob"))
        load(server, iter([a_patient("eve")]))
        assert {one["id"] for one in double.of_type("Patient")} == {"ann", "bob", "eve"}
        found = await ask(server, f"Condition?identifier={SYSTEM}%7C1")
        assert found.json()["entry"][0]["fullUrl"] == f"{server}/Condition/named"
    assert double.taken == []
