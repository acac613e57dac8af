"""Care plans between R4 and R5: what was written is read back as it was, and what a person changes shows.

The specification's examples are CC0 (fixtures/spec/R5/README.md).
"""

import json
from collections.abc import Callable
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from fhir.resources.careplan import CarePlan
from fhir.resources.medicationrequest import MedicationRequest
from fhir.resources.servicerequest import ServiceRequest
from pydantic import ValidationError

from service.cause import Cause
from service.core.decision import chain_of
from service.core.plans import PlanAction
from service.core.records import PlanOfRecord
from service.fhir.names import edit_digest
from service.fhir.r5.models import validated_r5
from service.fhir.r5.plans import UNTOLD, plan_in_r4, plan_in_r5
from service.fhir.r5.records import resource_in_r4
from service.gather.files import read_bundle
from service.render.care_plan import render_revoked
from service.render.device import render_device
from service.render.guidance import render_guidance
from service.render.provenance import Occasion, render_provenance, render_withdrawal
from service.review import Review
from tests.contract_write import expected_of
from tests.support import (
    RXNORM,
    Resource,
    a_bundle,
    case_bundle,
    case_names,
    case_review,
    case_reviewer,
    resources_of,
    reviewer,
)

SPEC = Path(__file__).resolve().parents[2] / "fixtures" / "spec" / "R5"
TWO_FAILURES = "two-documented-failures-propose-treatment"
PROPOSED = [name for name in case_names() if expected_of(name)["decision"] == "propose"]
ESKETAMINE = {"coding": [{"system": RXNORM, "code": "2119365", "display": "esketamine"}]}


@cache
def _plan_of(name: str) -> Resource:
    plan = case_review(name).intent.plan
    assert plan is not None
    return plan


def plan_of(name: str = TWO_FAILURES) -> Resource:
    """The plan that a case ends in, in R4, to change at will."""
    return deepcopy(_plan_of(name))


def as_returned(plan: Resource) -> Resource:
    """The plan as a server may give it back: a version, keys in another order, ids of elements, numbers."""
    returned = json.loads(json.dumps(plan), object_hook=_as_returned)
    return {**returned, "meta": {"versionId": "1"}}


def _as_returned(value: Resource) -> Resource:
    if value.get("value") == 56:
        value |= {"value": 56.0}
    named = {} if "id" in value or "div" in value else {"id": "e1"}
    return dict(reversed([*value.items(), *named.items()]))


def on_record(name: str, plan: Resource) -> PlanOfRecord:
    """The plan of record that an R5 plan is read as."""
    resources = [*resources_of(case_bundle(name)), plan_in_r4(plan)]
    review = case_reviewer(name).review(read_bundle(json.dumps(a_bundle(resources)).encode()))
    (found,) = (known for known in review.record.plans if known.evidence.id == plan["id"])
    return found


# --- there and back -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PROPOSED)
def test_what_was_written_is_read_back_as_it_was(name: str) -> None:
    plan = plan_of(name)
    assert plan_in_r4(plan_in_r5(plan)) == plan


@pytest.mark.parametrize("name", PROPOSED)
def test_a_plan_that_a_server_put_in_its_own_words_is_not_edited(name: str) -> None:
    plan = plan_of(name)
    returned = as_returned(plan_in_r5(plan))
    assert edit_digest(plan_in_r4(returned)) == edit_digest(plan)
    in_r4, in_r5 = on_record(name, plan_in_r5(plan)), on_record(name, returned)
    assert in_r5.is_untouched_draft
    assert (in_r5.sessions, in_r5.protocol) == (in_r4.sessions, in_r4.protocol)
    assert (in_r5.identity, in_r5.content) == (in_r4.identity, in_r4.content)
    assert in_r5.sessions


@pytest.mark.parametrize("name", PROPOSED)
def test_a_revoked_plan_is_read_back_as_it_was(name: str) -> None:
    plan = render_revoked(plan_in_r4(plan_in_r5(plan_of(name))), "It no longer fits.")
    assert plan_in_r4(plan_in_r5(plan)) == plan
    revoked = on_record(name, as_returned(plan_in_r5(plan)))
    assert (revoked.status, revoked.edited) == ("revoked", False)


def test_translating_changes_nothing_that_was_given() -> None:
    plan, written = plan_of(), plan_in_r5(plan_of())
    before = deepcopy((plan, written))
    plan_in_r5(plan)
    plan_in_r4(written)
    assert (plan, written) == before


def test_a_draft_on_record_in_r5_is_not_written_again() -> None:
    resources = [*resources_of(case_bundle(TWO_FAILURES)), plan_in_r4(as_returned(plan_in_r5(plan_of())))]
    review = case_reviewer(TWO_FAILURES).review(read_bundle(json.dumps(a_bundle(resources)).encode()))
    assert review.intent.action is PlanAction.NONE


# --- its shape ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PROPOSED)
def test_every_activity_is_a_contained_draft(name: str) -> None:
    plan = plan_of(name)
    written = validated_r5(plan)
    requests = {f"#{one['id']}": one for one in written["contained"]}
    references = [a["plannedActivityReference"]["reference"] for a in written["activity"]]
    assert references == list(requests)
    assert len(references) == len(plan["activity"])
    for request, activity in zip(requests.values(), plan["activity"], strict=True):
        medicine = "productCodeableConcept" in activity["detail"]
        assert request["resourceType"] == ("MedicationRequest" if medicine else "ServiceRequest")
        assert (request["status"], request["intent"]) == ("draft", "proposal")
        assert request["subject"] == plan["subject"]
        (MedicationRequest if medicine else ServiceRequest).model_validate(request)


def test_a_session_is_a_dose_on_a_day() -> None:
    written = plan_in_r5(plan_of())
    first = next(one for one in written["contained"] if one["resourceType"] == "MedicationRequest")
    detail = next(a["detail"] for a in plan_of()["activity"] if "kind" in a["detail"])
    (dosage,) = first["dosageInstruction"]
    assert first["medication"] == {"concept": detail["productCodeableConcept"]}
    assert dosage["timing"] == {"event": ["2026-11-30"]}
    assert dosage["doseAndRate"] == [{"doseQuantity": detail["quantity"]}]
    assert dosage["text"] == detail["description"]
    titles = [a["plannedActivityReference"]["display"] for a in written["activity"]]
    assert "Esketamine session 1 of 12 (induction)" in titles


def test_a_decision_is_a_service_on_a_day() -> None:
    written = plan_in_r5(plan_of())
    review = next(
        one
        for one in written["contained"]
        if one.get("code", {}).get("concept", {}).get("text") == "Benefit review"
    )
    assert review["occurrenceDateTime"] == "2026-12-28"
    assert review["note"][0]["text"]


def test_the_rule_after_the_sessions_has_no_date() -> None:
    last = plan_in_r5(plan_of())["contained"][-1]
    assert last["dosageInstruction"][0]["timing"]["repeat"]["periodMax"] == 2
    assert "event" not in last["dosageInstruction"][0]["timing"]


def test_what_r5_calls_otherwise() -> None:
    plan, written = plan_of(), plan_in_r5(plan_of())
    assert written["custodian"] == plan["author"]
    assert written["addresses"] == [{"reference": plan["addresses"][0]}]
    assert not {"author", "detail"} & written.keys()


def occasion(review: Review) -> Occasion:
    return Occasion("2026-11-23T10:00:00Z", Cause.REST_HOOK, review.record, reviewer().calendar)


@pytest.mark.parametrize("name", case_names())
def test_what_is_written_fits_the_models_of_r5(name: str) -> None:
    review = case_review(name)
    target = review.decision.assessment.patient
    plan_id = review.intent.plan_id
    for resource in (
        *([review.intent.plan] if review.intent.plan else []),
        render_guidance(review.decision, plan_id),
        render_provenance(review.decision, [target], occasion(review)),
        render_withdrawal(target, target, "She moved away", occasion(review).recorded),
        render_device(),
    ):
        written = validated_r5(resource)
        assert resource_in_r4(written) == resource


def test_a_guidance_without_a_plan_has_no_result() -> None:
    guidance = render_guidance(case_review(TWO_FAILURES).decision, None)
    assert validated_r5(guidance) == guidance


def test_what_does_not_fit_is_not_written() -> None:
    with pytest.raises(ValidationError):
        validated_r5(plan_of() | {"nonsense": 1})
    plan = plan_of()
    session = next(activity for activity in plan["activity"] if "kind" in activity["detail"])
    session["detail"]["scheduledTiming"] = {"event": ["some day"]}
    with pytest.raises(ValidationError):
        validated_r5(plan)


# --- edits of a person ----------------------------------------------------------------------------


def first_session(plan: Resource) -> Resource:
    found: Resource = next(one for one in plan["contained"] if one["resourceType"] == "MedicationRequest")
    return found


def first_service(plan: Resource) -> Resource:
    found: Resource = next(one for one in plan["contained"] if one["resourceType"] == "ServiceRequest")
    return found


def first_dosage(plan: Resource) -> Resource:
    dosage: Resource = first_session(plan)["dosageInstruction"][0]
    return dosage


def without_first_activity(plan: Resource) -> None:
    gone = plan["activity"].pop(0)["plannedActivityReference"]["reference"]
    plan["contained"] = [one for one in plan["contained"] if f"#{one['id']}" != gone]


def add_activity(plan: Resource) -> None:
    plan["activity"].append({"plannedActivityReference": {"reference": "ServiceRequest/hers"}})


def order_the_first(plan: Resource) -> None:
    plan["activity"][0]["plannedActivityReference"] = {"reference": "MedicationRequest/ordered"}


EDITS: dict[str, Callable[[Resource], Any]] = {
    "activated": lambda plan: plan.update(status="active"),
    "noted": lambda plan: plan.update(note=[*plan.get("note", []), {"text": "She prefers mornings."}]),
    "another title": lambda plan: plan.update(title="Hers"),
    "another period": lambda plan: plan.update(period={"start": "2026-12-07"}),
    "another condition": lambda plan: plan.update(addresses=[{"reference": {"reference": "Condition/x"}}]),
    "a condition by code": lambda plan: plan["addresses"].append({"concept": {"text": "Anxiety"}}),
    "a code for the condition": lambda plan: plan["addresses"][0].update(concept={"text": "Anxiety"}),
    "a goal": lambda plan: plan.update(goal=[{"reference": "Goal/1"}]),
    "a team": lambda plan: plan.update(careTeam=[{"reference": "CareTeam/1"}]),
    "a session moved": lambda plan: first_dosage(plan).update(timing={"event": ["2026-12-01"]}),
    "a session given a time": lambda plan: first_dosage(plan).update(
        timing={"event": ["2026-11-30T10:00:00Z"]}
    ),
    "a session ticked off": lambda plan: first_session(plan).update(status="completed"),
    "a session activated": lambda plan: first_session(plan).update(status="active"),
    "a session ended": lambda plan: first_session(plan).update(status="ended"),
    "a session of a status nobody knows": lambda plan: first_session(plan).update(status="banana"),
    "a session ordered": lambda plan: first_session(plan).update(intent="order"),
    "a session noted": lambda plan: first_session(plan).update(note=[{"text": "Bring a friend."}]),
    "another dose": lambda plan: first_dosage(plan).update(doseAndRate=[{"doseQuantity": {"value": 84}}]),
    "a second dose": lambda plan: first_dosage(plan)["doseAndRate"].append({"doseQuantity": {"value": 28}}),
    "no dose": lambda plan: first_dosage(plan).pop("doseAndRate"),
    "other words": lambda plan: first_dosage(plan).update(text="As discussed"),
    "a route": lambda plan: first_dosage(plan).update(route={"text": "nose"}),
    "a second instruction": lambda plan: first_session(plan)["dosageInstruction"].append({"text": "x"}),
    "no instruction": lambda plan: first_session(plan).pop("dosageInstruction"),
    "another medicine": lambda plan: first_session(plan).update(medication={"concept": {"text": "Other"}}),
    "a medicine by reference": lambda plan: first_session(plan).update(
        medication={"reference": {"reference": "Medication/1"}}
    ),
    "another title of a session": lambda plan: plan["activity"][3]["plannedActivityReference"].update(
        display="Visit"
    ),
    "a performer": lambda plan: first_session(plan).update(performer=[{"reference": "Practitioner/1"}]),
    "a service ticked off": lambda plan: first_service(plan).update(status="completed"),
    "a service revoked": lambda plan: first_service(plan).update(status="revoked"),
    "a service dated": lambda plan: first_service(plan).update(occurrenceDateTime="2026-11-25"),
    "a service over a period": lambda plan: first_service(plan).update(
        occurrencePeriod={"start": "2026-11-25"}
    ),
    "a service by a rule": lambda plan: first_service(plan).update(
        occurrenceTiming={"repeat": {"frequency": 1}}
    ),
    "a service coded": lambda plan: first_service(plan).update(code={"concept": {"text": "Enrolment"}}),
    "a service noted": lambda plan: first_service(plan)["note"].append({"text": "Done by phone."}),
    "what was done": lambda plan: plan["activity"][0].update(
        performedActivity=[{"reference": {"reference": "Procedure/1"}}]
    ),
    "what was done, by code": lambda plan: plan["activity"][0].update(
        performedActivity=[{"concept": {"text": "Done"}}]
    ),
    "progress": lambda plan: plan["activity"][0].update(progress=[{"text": "Half way"}]),
    "an activity less": without_first_activity,
    "an activity more": add_activity,
    "an order in its place": order_the_first,
    "no request behind it": lambda plan: plan.update(contained=plan["contained"][1:]),
    "another kind behind it": lambda plan: first_session(plan).update(resourceType="Task"),
    "no activities": lambda plan: plan.pop("activity"),
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
def test_what_a_person_changes_shows(edit: Callable[[Resource], Any]) -> None:
    plan = plan_in_r5(plan_of())
    edit(plan)
    assert edit_digest(plan_in_r4(plan)) != edit_digest(plan_of())
    found = on_record(TWO_FAILURES, plan)
    assert found.edited
    assert not found.is_untouched_draft


def test_a_session_that_was_moved_is_on_its_new_day() -> None:
    plan = plan_in_r5(plan_of())
    EDITS["a session moved"](plan)
    assert on_record(TWO_FAILURES, plan).sessions[0].isoformat() == "2026-12-01"


NO_EDITS: dict[str, Callable[[Resource], Any]] = {
    "another narrative": lambda plan: plan.update(text={"status": "empty"}),
    "a profile": lambda plan: plan.update(meta={"profile": ["urn:x"]}),
    "activities in another order": lambda plan: plan["activity"].reverse(),
    "contained in another order": lambda plan: plan["contained"].reverse(),
    "empty parts": lambda plan: first_session(plan).update(note=[], extension=[]),
    "another resource inside": lambda plan: plan["contained"].append({"resourceType": "Goal", "id": "g"}),
}


@pytest.mark.parametrize("edit", NO_EDITS.values(), ids=NO_EDITS)
def test_what_a_server_changes_does_not_show(edit: Callable[[Resource], Any]) -> None:
    plan = plan_in_r5(plan_of())
    edit(plan)
    assert on_record(TWO_FAILURES, plan).is_untouched_draft


# --- plans of others ------------------------------------------------------------------------------


@pytest.mark.parametrize("path", sorted(SPEC.glob("careplan*.json")), ids=lambda path: path.stem)
def test_the_example_plans_are_read(path: Path) -> None:
    plan = json.loads(path.read_bytes())
    CarePlan.model_validate(plan)
    read = plan_in_r4(plan)
    assert "custodian" not in read
    assert len(read.get("activity", [])) == len(plan.get("activity", []))
    for condition, given in zip(read.get("addresses", []), plan.get("addresses", []), strict=True):
        assert condition == given["reference"]
    for activity in read.get("activity", []):
        assert len({"detail", "reference"} & activity.keys()) == 1
    patient = {"resourceType": "Patient", "id": plan["subject"]["reference"].partition("/")[2]}
    bundle = json.dumps(a_bundle([patient, read])).encode()
    record = case_reviewer(TWO_FAILURES).review(read_bundle(bundle)).record
    assert (record.plans, record.unreadable) == ((), ())


def test_an_operation_of_an_example_is_a_detail() -> None:
    plan = json.loads((SPEC / "careplan-example-f001-heart.json").read_bytes())
    (activity,) = plan_in_r4(plan)["activity"]
    detail = activity["detail"]
    assert detail["code"]["coding"][0]["display"] == "Operation on heart"
    assert detail["status"] == "completed"
    assert detail["scheduledTiming"] == {"event": ["2011-06-27T09:30:10+01:00"]}
    assert set(detail[UNTOLD]) == {"intent", "performer"}
    assert {one["resourceType"] for one in plan_in_r4(plan)["contained"]} == {"CareTeam", "Goal"}


def reviewed_beside(request: Resource, *inside: Resource) -> Review:
    """The review of a record with a plan of somebody else, whose one activity is a request inside it."""
    plan = {
        "resourceType": "CarePlan",
        "id": "theirs",
        "status": "active",
        "intent": "plan",
        "subject": {"reference": "Patient/propose-two"},
        "contained": [request, *inside],
        "activity": [{"plannedActivityReference": {"reference": "#r"}}],
    }
    resources = [*resources_of(case_bundle(TWO_FAILURES)), plan_in_r4(plan)]
    return case_reviewer(TWO_FAILURES).review(read_bundle(json.dumps(a_bundle(resources)).encode()))


def an_order(kind: str = "MedicationRequest", **elements: object) -> Resource:
    return {"resourceType": kind, "id": "r", "status": "active", "intent": "order", **elements}


@pytest.mark.parametrize(
    "medication",
    [{"concept": ESKETAMINE}, {"reference": {"reference": "#it"}}],
    ids=["by code", "contained"],
)
def test_an_esketamine_plan_of_somebody_else_is_known(medication: Resource) -> None:
    dosage = [{"timing": {"event": ["2026-11-20", "2026-11-24"]}}]
    product = {"resourceType": "Medication", "id": "it", "code": ESKETAMINE}
    review = reviewed_beside(an_order(medication=medication, dosageInstruction=dosage), product)
    (found,) = review.record.plans
    assert not found.ours
    assert [day.isoformat() for day in found.sessions] == ["2026-11-20", "2026-11-24"]
    assert chain_of(review.decision) == (found,)


@pytest.mark.parametrize(
    "detail",
    [
        {"status": "in-progress", "productCodeableConcept": ESKETAMINE, "scheduledPeriod": {"start": "2026"}},
        {"status": "stopped", "code": {"text": "Visit"}, "scheduledTiming": {"event": ["2026", "2027"]}},
        {"status": "scheduled", "code": {"coding": [{"code": "x"}]}, "scheduledPeriod": {"start": "2026"}},
        {"description": "Something"},
    ],
)
def test_an_activity_that_we_do_not_write_keeps_its_dates_and_words(detail: Resource) -> None:
    plan = plan_of() | {"activity": [{"detail": detail}]}
    (back,) = plan_in_r4(plan_in_r5(plan))["activity"]
    kept = {k: v for k, v in detail.items() if k != "status"}
    assert {k: v for k, v in back["detail"].items() if k != "status"} == kept


def test_an_activity_by_reference_stays_one() -> None:
    activity = {
        "reference": {"reference": "MedicationRequest/1"},
        "outcomeCodeableConcept": [{"text": "Done"}],
        "outcomeReference": [{"reference": "Procedure/1"}],
        "progress": [{"text": "Half way"}],
    }
    plan = plan_of() | {"activity": [activity]}
    assert plan_in_r4(plan_in_r5(plan)) == plan
    assert "contained" not in plan_in_r5(plan)


@pytest.mark.parametrize("activity", [["x"], "x", [{"plannedActivityReference": "x"}], [{}]])
def test_an_activity_that_is_none_is_left_to_the_reader(activity: object) -> None:
    read = plan_in_r4(plan_in_r5(plan_of()) | {"activity": activity})
    assert "detail" not in json.dumps(read["activity"])
    assert read["contained"]


def test_a_plan_without_activities_stays_one() -> None:
    plan = {k: v for k, v in plan_of().items() if k not in {"activity", "addresses"}}
    assert plan_in_r4(plan_in_r5(plan)) == plan


ORDERS = {
    "a medicine": an_order(medication={"concept": ESKETAMINE}),
    "a service": an_order("ServiceRequest", code={"concept": ESKETAMINE}),
}


@pytest.mark.parametrize("order", ORDERS)
def test_an_order_inside_that_forbids_is_no_plan(order: str) -> None:
    assert reviewed_beside(ORDERS[order]).decision.reason.value == "in-treatment"
    review = reviewed_beside(ORDERS[order] | {"doNotPerform": True})
    assert (review.record.plans, review.record.plans_in_words, review.record.unreadable) == ((), (), ())


@pytest.mark.parametrize("order", ORDERS)
def test_an_order_inside_with_a_modifier_leaves_the_plan_unclear(order: str) -> None:
    review = reviewed_beside(ORDERS[order] | {"modifierExtension": [{"url": "urn:x", "valueBoolean": True}]})
    assert [one.element for one in review.record.unreadable] == ["activity.detail.modifierExtension"]


@pytest.mark.parametrize(
    "words",
    [{"note": [{"text": "Spravato"}]}, {"reason": [{"concept": {"text": "after esketamine"}}]}],
    ids=str,
)
def test_words_of_an_order_inside_count(words: Resource) -> None:
    review = reviewed_beside(an_order(medication={"concept": {"text": "Nasal spray"}}, **words))
    assert [finding.id for finding in review.answer.safety] == ["esketamine-plan-in-words"]
