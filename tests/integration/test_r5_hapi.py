"""A real HAPI FHIR server of R5: the same answers, and the contracts of writing and of the commands.

With `HAPI_R5_URL` set, that server is used; every test loads records of its own.
"""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from service.core.records import PlanStatus
from service.fhir.release import Release
from service.fhir.views import CapabilityView
from tests.contract_commands import CommandsContract
from tests.contract_write import TWO_FAILURES, WriteContract, ask, load_case, propose, versions
from tests.in_r5 import in_r5, load
from tests.selected import cases_to_read
from tests.support import (
    Resource,
    a_condition,
    a_long_record,
    a_patient,
    answer_of,
    case_answer,
    case_bundle,
    case_reviewer,
    client_at,
    patient_id_of,
    reviewed_at,
    reviewer,
)
from tests.validator import faults_of

WRITTEN = [
    TWO_FAILURES,
    "an-active-esketamine-plan-is-left-alone",
    "an-allergy-to-ketamine-excludes",
    "no-medicine-on-record-is-missing-information",
    "suicidal-thoughts-recorded-thirty-days-ago-propose-the-acute-protocol-alone",
    "an-adjustment-disorder-is-not-major-depression",
]
"""Cases of each decision, and of each pathway."""
PLANNED = [WRITTEN[0], WRITTEN[4]]
BOTH_WAYS = pytest.mark.parametrize("searches", [False, True], ids=["everything", "searches"])


@pytest.fixture
def server(shared_hapi_r5: str) -> str:
    return shared_hapi_r5


# --- reading --------------------------------------------------------------------------------------


async def test_the_server_is_one_of_r5(server: str) -> None:
    async with client_at(server) as client:
        capability: CapabilityView = await client.capability()
        assert capability.fhir_version == "5.0.0"
        assert await client.release() is Release.R5


@BOTH_WAYS
@pytest.mark.parametrize("name", cases_to_read())
async def test_the_server_gives_the_answer_of_the_file(server: str, name: str, searches: bool) -> None:
    load(server, case_bundle(name))
    patient = patient_id_of(case_bundle(name))
    review = await reviewed_at(server, patient, searches=searches, by=case_reviewer(name))
    assert review.gathered.compartment is not searches
    assert unversioned(answer_of(review)) == unversioned(case_answer(name))


def unversioned(answer: str) -> object:
    """The answer without the versions that a server that is not empty may give."""
    return json.loads(answer, object_hook=_unversioned)


def _unversioned(value: Resource) -> Resource:
    return {key: _unversioned_part(part) for key, part in value.items()}


def _unversioned_part(value: Any) -> Any:
    if isinstance(value, list):
        return [_unversioned_part(part) for part in value]
    return value.partition("/_history/")[0] if isinstance(value, str) else value


@BOTH_WAYS
async def test_a_record_of_many_pages_is_complete(server: str, searches: bool) -> None:
    load(server, a_long_record("pages", statements=220, conditions=30))
    review = await reviewed_at(server, "pages", searches=searches)
    assert len(review.record.exposures) == 220
    assert review.record.unreadable == ()


# --- writing --------------------------------------------------------------------------------------


class TestWritingOnHapiR5(WriteContract):
    """The contract over fewer cases, and the validator finds no fault in what is written, as it is stored.

    The edits that are a person's own on R5 are tested below.
    """

    async def examine(self, server: str, resources: list[Resource]) -> None:
        for reference in ("Device/trd-careplan", *(f"{r['resourceType']}/{r['id']}" for r in resources)):
            assert await faults_of(server, await stored(server, reference)) == []

    @pytest.mark.parametrize("name", WRITTEN)
    async def test_a_case_is_written_once(self, server: str, name: str) -> None:
        await super().test_a_case_is_written_once(server, name)

    @pytest.mark.parametrize("name", PLANNED)
    async def test_a_plan_read_back_is_not_taken_as_edited(self, server: str, name: str) -> None:
        await super().test_a_plan_read_back_is_not_taken_as_edited(server, name)

    @pytest.mark.parametrize("edit", ["activated"])
    async def test_an_edit_of_a_person_stands(self, server: str, edit: str) -> None:
        await super().test_an_edit_of_a_person_stands(server, edit)


class TestCommandsOnHapiR5(CommandsContract):
    """The commands over plans."""


async def stored(server: str, reference: str) -> Resource:
    """A resource as the server gives it, in R5."""
    answer = await ask(server, reference)
    assert answer.status_code == 200, answer.text
    found: Resource = answer.json()
    return found


async def test_the_validator_finds_no_fault_in_a_revoked_plan(server: str) -> None:
    patient = load_case(server, TWO_FAILURES)
    await propose(server, patient)
    code = {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "I71.40"}]}
    load(server, [a_condition(f"{patient}-aneurysm", patient, code=code)])
    revoked = await propose(server, patient)
    assert revoked.answer.care_plan.action == "revoke"
    for reference in revoked.written:
        assert await faults_of(server, await stored(server, f"{reference.type}/{reference.id}")) == []


async def test_the_validator_finds_a_fault_where_there_is_one(server: str) -> None:
    assert await faults_of(server, {"resourceType": "CarePlan", "status": "banana"})
    plan = {"resourceType": "CarePlan", "status": "draft", "intent": "proposal"}
    faults = await faults_of(server, plan | {"activity": [{"detail": {"status": "not-started"}}]})
    assert any("detail" in fault or "subject" in fault for fault in faults)


async def test_the_stored_plan_has_a_request_for_each_session(server: str) -> None:
    patient = load_case(server, TWO_FAILURES)
    done = await propose(server, patient)
    plan = await stored(server, done.answer.care_plan.reference or "")
    requests = {f"#{one['id']}": one for one in plan["contained"]}
    planned = [activity["plannedActivityReference"] for activity in plan["activity"]]
    sessions = [
        requests[one["reference"]] for one in planned if one["display"].startswith("Esketamine session")
    ]
    days = [day for one in sessions for day in one["dosageInstruction"][0]["timing"]["event"]]
    assert done.answer.schedule is not None
    assert days == [session.date.isoformat() for session in done.answer.schedule.sessions]
    assert {(one["resourceType"], one["status"], one["intent"]) for one in sessions} == {
        ("MedicationRequest", "draft", "proposal")
    }


# --- edits as a person makes them on R5 -----------------------------------------------------------


def _session(plan: Resource) -> Resource:
    found: Resource = next(one for one in plan["contained"] if one["resourceType"] == "MedicationRequest")
    return found


def _moved(plan: Resource) -> None:
    _session(plan)["dosageInstruction"][0]["timing"] = {"event": ["2026-12-01"]}


def _ticked(plan: Resource) -> None:
    _session(plan)["status"] = "completed"


def _performed(plan: Resource) -> None:
    plan["activity"][0]["performedActivity"] = [{"concept": {"text": "Done on the phone"}}]


def _noted(plan: Resource) -> None:
    _session(plan)["note"] = [{"text": "She comes with her sister."}]


EDITS: dict[str, Callable[[Resource], None]] = {
    "moved": _moved,
    "ticked": _ticked,
    "performed": _performed,
    "noted": _noted,
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
async def test_an_edit_of_a_person_stands(server: str, edit: Callable[[Resource], None]) -> None:
    patient = load_case(server, TWO_FAILURES)
    reference = (await propose(server, patient)).answer.care_plan.reference or ""
    plan = await stored(server, reference)
    edit(plan)
    answer = await ask(server, reference, method="PUT", body=plan)
    assert answer.is_success, answer.text
    edited = await stored(server, reference)

    done = await propose(server, patient)

    assert done.answer.care_plan.action == "leave"
    assert done.review.record.plans[0].edited
    assert await versions(server, reference) == ["1", "2"]
    assert await stored(server, reference) == edited


async def test_a_plan_that_is_put_again_unchanged_is_not_edited(server: str) -> None:
    patient = load_case(server, TWO_FAILURES)
    reference = (await propose(server, patient)).answer.care_plan.reference or ""
    tag = [{"system": "http://example.org/tags", "code": "imported"}]
    plan = await stored(server, reference)
    answer = await ask(server, reference, method="PUT", body=plan | {"meta": plan["meta"] | {"tag": tag}})
    assert answer.is_success, answer.text

    again = await propose(server, patient, days=2)

    assert again.written == ()
    (on_record,) = again.review.record.plans
    assert (on_record.status, on_record.edited) == (PlanStatus.DRAFT, False)


# --- what is R5's own -----------------------------------------------------------------------------


async def test_a_statement_without_adherence_is_read_by_its_period(server: str) -> None:
    patient = "without-adherence"
    statement = in_r5(
        {
            "resourceType": "MedicationStatement",
            "id": f"{patient}-s",
            "status": "completed",
            "subject": {"reference": f"Patient/{patient}"},
            "medicationCodeableConcept": {"text": "Sertraline 50 mg"},
            "effectivePeriod": {"start": "2025-07-01", "end": "2025-09-30"},
        }
    )
    assert "adherence" not in statement
    load(server, [a_patient(patient)])
    put(server, statement)
    (exposure,) = (await reviewed_at(server, patient)).record.exposures
    assert exposure.status == "ended"


async def test_a_condition_of_unknown_status_leaves_the_depression_open(server: str) -> None:
    patient = "of-unknown-status"
    system = "http://terminology.hl7.org/CodeSystem/condition-clinical"
    unknown = {"coding": [{"system": system, "code": "unknown"}]}
    load(server, [a_patient(patient), a_condition(f"{patient}-mdd", patient, clinicalStatus=unknown)])
    review = await reviewed_at(server, patient, by=reviewer())
    assert review.record.unreadable == ()
    assert review.decision.assessment.anchors == ()


def put(base: str, resource: Resource) -> None:
    url = f"{base}/{resource['resourceType']}/{resource['id']}"
    httpx.put(url, json=resource, trust_env=False, timeout=30).raise_for_status()
