"""Care plans on record: whose they are, where they stand, and whether a person touched them."""

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from service.core.decision import Propose
from service.core.plans import PlanAction
from service.core.records import PlanOfRecord, PlanStatus
from service.errors import NotAssessable
from service.fhir.names import CONTENT_DIGEST, EDIT_DIGEST, PLAN_IDENTIFIER, extension_value
from service.fhir.sources import Gathered
from service.gather.files import read_bundle
from service.render.care_plan import render_revoked
from service.review import Review
from tests.support import RXNORM, Resource, a_bundle, case_bundle, resources_of, reviewer

PATIENT = "propose-two"
ESKETAMINE = {"coding": [{"system": RXNORM, "code": "2119365", "display": "esketamine"}]}
INSULIN = {"coding": [{"system": RXNORM, "code": "5856", "display": "insulin"}]}


def the_record(*plans: Resource) -> Gathered:
    """A record that a plan is proposed for, with care plans."""
    record = resources_of(case_bundle("two-documented-failures-propose-treatment"))
    return read_bundle(json.dumps(a_bundle([*record, *plans])).encode())


def reviewed(*plans: Resource) -> Review:
    return reviewer().review(the_record(*plans))


def on_record(*plans: Resource) -> tuple[PlanOfRecord, ...]:
    return reviewed(*plans).record.plans


def only(*plans: Resource) -> PlanOfRecord:
    (found,) = on_record(*plans)
    return found


@pytest.fixture
def ours() -> Resource:
    """The plan that is proposed, as a server gives it back."""
    plan = reviewed().intent.plan
    assert plan is not None
    return plan | {"meta": {"versionId": "1", "lastUpdated": "2026-11-23T10:00:00Z"}}


def a_plan(**elements: object) -> Resource:
    """A care plan of somebody else, about nothing in particular."""
    return {
        "resourceType": "CarePlan",
        "id": "theirs",
        "meta": {"versionId": "4"},
        "status": "active",
        "intent": "plan",
        "subject": {"reference": f"Patient/{PATIENT}"},
        **elements,
    }


def an_activity(**detail: object) -> list[Resource]:
    return [{"detail": {"status": "in-progress", **detail}}]


# --- ours -----------------------------------------------------------------------------------------


def test_what_was_written_is_read_back(ours: Resource) -> None:
    plan = only(ours)
    proposed = reviewed().decision
    assert isinstance(proposed, Propose)
    assert str(plan.evidence) == f"CarePlan/{ours['id']}/_history/1"
    assert plan.status is PlanStatus.DRAFT
    assert (plan.ours, plan.edited, plan.is_untouched_draft) == (True, False, True)
    assert plan.identity == ours["identifier"][0]["value"]
    assert plan.content == extension_value(ours, CONTENT_DIGEST)
    assert plan.protocol == (proposed.protocol.id, proposed.protocol.version)
    assert [day.isoformat() for day in plan.sessions] == [
        activity["detail"]["scheduledTiming"]["event"][0]
        for activity in ours["activity"]
        if "kind" in activity["detail"]
    ]
    assert len(plan.sessions) == 12


def test_a_plan_that_says_the_same_is_written_no_more(ours: Resource) -> None:
    assert reviewed(ours).intent.action is PlanAction.NONE


def test_a_plan_that_we_revoked_is_known_as_such(ours: Resource) -> None:
    revoked = only(render_revoked(ours, "the record no longer supports it"))
    assert (revoked.status, revoked.edited) == (PlanStatus.REVOKED, False)


def test_a_plan_that_a_person_revoked_is_edited(ours: Resource) -> None:
    revoked = only(ours | {"status": "revoked"})
    assert (revoked.status, revoked.edited) == (PlanStatus.REVOKED, True)


@pytest.mark.parametrize("status", [s for s in PlanStatus if s not in {PlanStatus.DRAFT, PlanStatus.DELETED}])
def test_a_status_that_a_person_gave_is_an_edit(ours: Resource, status: PlanStatus) -> None:
    plan = only(ours | {"status": status.value})
    assert (plan.status, plan.edited) == (status, True)


@pytest.mark.parametrize("status", ["banana", "deleted", None])
def test_a_status_that_fhir_does_not_know_counts_as_open(ours: Resource, status: str | None) -> None:
    plan = only(ours | {"status": status})
    assert (plan.status, plan.edited) == (PlanStatus.UNKNOWN, True)
    theirs = a_plan(status=status, activity=an_activity(productCodeableConcept=ESKETAMINE))
    assert reviewed(theirs).intent.action is PlanAction.LEAVE


NO_DIGEST: dict[str, Callable[[Resource], Resource]] = {
    "no extension": lambda p: {k: v for k, v in p.items() if k != "extension"},
    "an extension of another type": lambda p: p | {"extension": [{"url": EDIT_DIGEST, "valueInteger": 1}]},
    "an extension that is none": lambda p: p | {"extension": ["x"]},
    "another digest": lambda p: p | {"extension": [{"url": EDIT_DIGEST, "valueString": "0"}]},
}


@pytest.mark.parametrize("what", NO_DIGEST)
def test_a_plan_of_ours_without_its_digest_counts_as_edited(ours: Resource, what: str) -> None:
    assert only(NO_DIGEST[what](ours)).edited


def test_a_moved_session_is_read_where_it_is(ours: Resource) -> None:
    session = next(a["detail"] for a in ours["activity"] if "kind" in a["detail"])
    session["scheduledTiming"]["event"] = ["2026-12-01T09:30:00+01:00"]
    plan = only(ours)
    assert (plan.sessions[0].isoformat(), plan.edited) == ("2026-12-01", True)


def test_a_date_that_is_none_is_no_session(ours: Resource) -> None:
    session = next(a["detail"] for a in ours["activity"] if "kind" in a["detail"])
    session["scheduledTiming"]["event"] = ["next week"]
    assert len(only(ours).sessions) == 11


@pytest.mark.parametrize(
    "canonicals",
    [
        [],
        ["http://example.org/PlanDefinition/us-trd|1.0.0"],
        ["urn:trd-careplan:fhir/PlanDefinition/us-trd"],
    ],
    ids=["none", "somebody else's", "without a version"],
)
def test_a_protocol_is_known_by_its_canonical_and_version(ours: Resource, canonicals: list[str]) -> None:
    assert only(ours | {"instantiatesCanonical": canonicals}).protocol is None


# --- somebody else's ------------------------------------------------------------------------------

ABOUT_ESKETAMINE = {
    "by the product": a_plan(activity=an_activity(productCodeableConcept=ESKETAMINE)),
    "by a brand's code": a_plan(
        activity=an_activity(
            productCodeableConcept={"coding": [{"system": RXNORM, "code": "2119370", "display": "Spravato"}]}
        )
    ),
    "by the product in words": a_plan(
        activity=an_activity(productCodeableConcept={"text": "Spravato 56 mg"})
    ),
    "by the code of an activity": a_plan(activity=an_activity(code=ESKETAMINE)),
    "by an activity in words": a_plan(activity=an_activity(code={"text": "Esketamine nasal spray"})),
    "by a later activity": a_plan(
        activity=[
            *an_activity(productCodeableConcept=INSULIN),
            {"reference": {"reference": "Task/1"}},
            *an_activity(productCodeableConcept=ESKETAMINE),
        ]
    ),
}


@pytest.mark.parametrize("how", ABOUT_ESKETAMINE)
def test_an_esketamine_plan_of_somebody_else_is_known(how: str) -> None:
    plan = only(ABOUT_ESKETAMINE[how])
    assert str(plan.evidence) == "CarePlan/theirs/_history/4"
    assert (plan.ours, plan.edited, plan.status) == (False, False, PlanStatus.ACTIVE)
    assert (plan.identity, plan.content, plan.protocol) == (None, None, None)


SPELLINGS = [
    RXNORM,
    f"{RXNORM}/",
    f"{RXNORM}|2026-01",
    f"{RXNORM}/|2026-01",
    f" {RXNORM}",
    RXNORM.replace("http://", "https://"),
    RXNORM.replace("http://", "https://") + "/|2026-01",
    RXNORM.replace("rxnorm", "RxNorm"),
    RXNORM.replace("http://www.nlm", "HTTP://WWW.NLM"),
    "urn:oid:2.16.840.1.113883.6.88",
    "URN:OID:2.16.840.1.113883.6.88",
]
CODED_IN: dict[str, Callable[[Resource], Resource]] = {
    "the product": lambda concept: a_plan(activity=an_activity(productCodeableConcept=concept)),
    "the code": lambda concept: a_plan(activity=an_activity(code=concept)),
    "a contained medication": lambda concept: a_plan(
        activity=an_activity(productReference={"reference": "#m"}),
        contained=[{"resourceType": "Medication", "id": "m", "code": concept}],
    ),
}


@pytest.mark.parametrize("where", CODED_IN)
@pytest.mark.parametrize("system", SPELLINGS)
def test_a_code_alone_is_known_however_its_system_is_spelled(where: str, system: str) -> None:
    plan = CODED_IN[where]({"coding": [{"system": system, "code": "2119365"}]})
    review = reviewed(plan)
    assert [str(one.evidence) for one in review.record.plans] == ["CarePlan/theirs/_history/4"]
    assert (review.decision.reason.value, review.intent.action) == ("in-treatment", PlanAction.LEAVE)


@pytest.mark.parametrize("system", [f"{RXNORM}-extension", "http://example.org/rxnorm", "", None])
def test_a_code_of_another_system_is_no_esketamine(system: str | None) -> None:
    assert (
        reviewed(CODED_IN["the product"]({"coding": [{"system": system, "code": "2119365"}]})).record.plans
        == ()
    )


def a_request(kind: str = "MedicationRequest", **elements: object) -> Resource:
    return {"resourceType": kind, "id": "r", "status": "active", "intent": "order", **elements}


ORDERS = {
    "a prescription": a_request(medicationCodeableConcept=ESKETAMINE),
    "a prescription in words": a_request(medicationCodeableConcept={"text": "Spravato 56 mg"}),
    "a prescription of a product": a_request(
        medicationReference={"reference": "#m"},
        contained=[{"resourceType": "Medication", "id": "m", "code": ESKETAMINE}],
    ),
    "a prescription of a medication on record": a_request(medicationReference={"reference": "Medication/m"}),
    "a service": a_request("ServiceRequest", code=ESKETAMINE),
    "a service of R5": a_request("ServiceRequest", code={"concept": ESKETAMINE}),
    "a task": a_request("Task", code=ESKETAMINE),
}
MEDICATION: Resource = {"resourceType": "Medication", "id": "m", "code": ESKETAMINE}
TO_THE_PATIENT = {"subject": {"reference": f"Patient/{PATIENT}"}}


@pytest.mark.parametrize("order", ORDERS)
def test_a_plan_is_known_by_an_order_that_it_contains(order: str) -> None:
    inside = dict(ORDERS[order])
    contained = [inside, *inside.pop("contained", [])]
    plan = a_plan(activity=[{"reference": {"reference": "#r"}}], contained=contained)
    (found,) = on_record(MEDICATION, plan)
    assert (found.evidence.id, found.ours) == ("theirs", False)


@pytest.mark.parametrize("order", ORDERS)
def test_a_plan_is_known_by_an_order_on_record(order: str) -> None:
    name = ORDERS[order]["resourceType"]
    plan = a_plan(activity=[{"reference": {"reference": f"{name}/r"}}])
    review = reviewed(MEDICATION, ORDERS[order] | TO_THE_PATIENT, plan)
    assert [one.evidence.id for one in review.record.plans] == ["theirs"]
    assert (review.decision.reason.value, review.intent.action) == ("in-treatment", PlanAction.LEAVE)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("elements", [{"doNotPerform": True}, {"status": "entered-in-error"}], ids=str)
def test_an_order_that_forbids_or_was_never_made_is_no_plan(order: str, elements: Resource) -> None:
    inside = ORDERS[order] | elements
    contained = [inside, *inside.pop("contained", [])]
    review = reviewed(a_plan(activity=[{"reference": {"reference": "#r"}}], contained=contained[:1]))
    assert (review.record.plans, review.record.plans_in_words) == ((), ())
    assert review.intent.action is PlanAction.CREATE


FORBIDDEN: dict[str, Resource] = {
    "a product": {"productCodeableConcept": ESKETAMINE},
    "a code": {"code": ESKETAMINE},
    "words": {"description": "No esketamine for this patient"},
}


@pytest.mark.parametrize("what", FORBIDDEN)
def test_an_activity_that_is_not_to_be_done_is_no_plan(what: str) -> None:
    forbidden = an_activity(doNotPerform=True, **FORBIDDEN[what])
    review = reviewed(a_plan(activity=forbidden))
    assert (review.record.plans, review.record.plans_in_words, review.record.unreadable) == ((), (), ())
    assert review.intent.action is PlanAction.CREATE
    done_as_well = [*forbidden, *an_activity(doNotPerform=False, productCodeableConcept=ESKETAMINE)]
    assert len(on_record(a_plan(activity=done_as_well))) == 1


def a_narrative(words: str, status: str = "additional") -> Resource:
    return {"status": status, "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{words}</div>'}


A_GOAL: Resource = {
    "resourceType": "Goal",
    "id": "g",
    "lifecycleStatus": "active",
    "description": {"text": "Finish the induction with esketamine"},
    **TO_THE_PATIENT,
}
IN_WORDS: dict[str, tuple[Resource, ...]] = {
    "its title": (a_plan(title="Spravato treatment"),),
    "its description": (a_plan(description="Esketamine twice a week for four weeks"),),
    "a note": (a_plan(note=[{"text": "On Spravato, session 3 of 8 today"}]),),
    "a category": (a_plan(category=[{"text": "Spravato programme"}]),),
    "a protocol": (a_plan(instantiatesUri=["http://example.org/protocols/EsketamineInduction"]),),
    "a canonical": (a_plan(instantiatesCanonical=["http://example.org/PlanDefinition/spravato-trd|2"]),),
    "a narrative": (a_plan(text=a_narrative("<p>Spravato 56 mg, week 2</p>")),),
    "a generated narrative": (a_plan(text=a_narrative("<p>Esk\u00e9tamine</p>", status="generated")),),
    "a narrative in parts": (a_plan(text=a_narrative("<b>Spra</b>vato")),),
    "a narrative with signs spelled out": (a_plan(text=a_narrative("Spr&#97;vato")),),
    "the title of a picture": (a_plan(text=a_narrative('<img alt="Spravato sessions"/>')),),
    "the words of a reference": (
        a_plan(activity=[{"reference": {"display": "Esketamine nasal spray order"}}]),
    ),
    "an outcome": (a_plan(activity=[{"outcomeCodeableConcept": [{"text": "Esketamine given"}]}]),),
    "a coded outcome": (a_plan(activity=[{"outcomeCodeableConcept": [ESKETAMINE]}]),),
    "progress": (a_plan(activity=[{"progress": [{"text": "Third Spravato session"}]}]),),
    "an activity's description": (a_plan(activity=an_activity(description="Spravato 56 mg twice weekly")),),
    "an activity's reason": (a_plan(activity=an_activity(reasonCode=[{"text": "Esketamine started"}])),),
    "an activity's time": (a_plan(activity=an_activity(scheduledString="with each Spravato session")),),
    "an activity's protocol": (a_plan(activity=an_activity(instantiatesUri=["urn:x:spravato_weekly"])),),
    "an activity's local code": (
        a_plan(activity=an_activity(code={"coding": [{"system": "urn:x", "code": "SPRAVATO-VISIT"}]})),
    ),
    "a label": (a_plan(meta={"versionId": "4", "tag": [{"system": "urn:x", "display": "Spravato REMS"}]}),),
    "an extension": (a_plan(extension=[{"url": "urn:x", "valueString": "Spravato day hospital"}]),),
    "the words of a goal": (a_plan(goal=[{"reference": "Goal/x", "display": "Tolerate esketamine"}]),),
    "a goal inside": (a_plan(goal=[{"reference": "#g"}], contained=[A_GOAL]),),
    "a goal on record": (A_GOAL, a_plan(goal=[{"reference": "Goal/g"}])),
    "a goal of an activity": (A_GOAL, a_plan(activity=an_activity(goal=[{"reference": "Goal/g"}]))),
    "a group of requests": (
        a_plan(
            activity=[{"reference": {"reference": "#r"}}],
            contained=[a_request("RequestGroup", action=[{"title": "Spravato, weeks 1 to 4"}])],
        ),
    ),
}


@pytest.mark.parametrize("where", IN_WORDS)
def test_a_plan_that_only_words_name_is_looked_at_by_a_person(where: str) -> None:
    review = reviewed(*IN_WORDS[where])
    assert review.record.plans == ()
    assert [str(one) for one in review.record.plans_in_words] == ["CarePlan/theirs/_history/4"]
    assert (review.answer.decision.value, review.intent.action) == ("needs-review", PlanAction.NONE)
    (finding,) = review.answer.safety
    assert (finding.id, finding.evidence) == ("esketamine-plan-in-words", ["CarePlan/theirs/_history/4"])


@pytest.mark.parametrize(
    "name", ["Ketamine", "KETANEST", "S-Ketamin", "\u30b1\u30bf\u30df\u30f3", "Spra\u00advato"]
)
def test_every_listed_name_counts(name: str) -> None:
    assert reviewed(a_plan(note=[{"text": f"({name})"}])).answer.decision.value == "needs-review"


@pytest.mark.parametrize("status", ["draft", "active", "on-hold", "completed", "unknown", "banana", None])
def test_words_count_whatever_the_status(status: str | None) -> None:
    review = reviewed(a_plan(status=status, title="Spravato"))
    assert "esketamine-plan-in-words" in [finding.id for finding in review.answer.safety]


@pytest.mark.parametrize("status", ["revoked", "entered-in-error"])
def test_words_of_a_plan_that_was_never_followed_do_not_count(status: str) -> None:
    assert reviewed(a_plan(status=status, title="Spravato")).intent.action is PlanAction.CREATE


def test_a_draft_of_ours_beside_a_plan_in_words_is_left(ours: Resource) -> None:
    review = reviewed(ours, a_plan(title="Spravato"))
    assert (review.answer.decision.value, review.intent.action) == ("needs-review", PlanAction.LEAVE)
    assert [task.reason.value for task in review.intent.tasks] == ["safety"]


@pytest.mark.parametrize(
    "elements",
    [
        {"addresses": [{"reference": "Condition/esketamine-abuse"}]},
        {"extension": [{"url": "http://example.org/ketamine-screening", "valueBoolean": False}]},
        {"activity": [{"outcomeReference": [{"reference": "Observation/esketamine-1"}]}]},
    ],
    ids=["an id", "the address of an extension", "an id of an outcome"],
)
def test_names_of_other_things_are_no_words_of_a_plan(elements: Resource) -> None:
    assert reviewed(a_plan(**elements)).intent.action is PlanAction.CREATE


UNRELATED = {
    "about diabetes": a_plan(title="Diabetes", activity=an_activity(productCodeableConcept=INSULIN)),
    "about psychotherapy": a_plan(
        title="Behavioural therapy for depression", activity=an_activity(code={"text": "CBT"})
    ),
    "about nothing": a_plan(),
    "by an identifier of theirs": a_plan(identifier=[{"system": "http://example.org", "value": "1"}]),
    "about insulin that is ordered": a_plan(
        activity=[{"reference": {"reference": "#r"}}],
        contained=[a_request(medicationCodeableConcept=INSULIN)],
    ),
    "at times that are not read": a_plan(
        activity=[
            *an_activity(productCodeableConcept=INSULIN, scheduledString="at noon", dailyAmount={"value": 8}),
            *an_activity(code={"text": "Walks"}, scheduledPeriod={"start": "2026-11-01"}),
        ]
    ),
}


@pytest.mark.parametrize("what", UNRELATED)
def test_a_plan_about_something_else_is_no_plan_of_record(what: str) -> None:
    review = reviewed(UNRELATED[what])
    assert review.record.plans == ()
    assert review.record.unreadable == ()
    assert review.intent.action is PlanAction.CREATE


def test_the_dates_of_somebody_elses_plan_are_read() -> None:
    activity = an_activity(
        productCodeableConcept=ESKETAMINE, scheduledTiming={"event": ["2026-11-25", "2026-11"]}
    )
    activity += an_activity(productCodeableConcept=ESKETAMINE, scheduledTiming={"repeat": {"frequency": 1}})
    activity += an_activity(productCodeableConcept=ESKETAMINE, scheduledString="weekly")
    assert [day.isoformat() for day in only(a_plan(activity=activity)).sessions] == ["2026-11-25"]


def test_an_active_plan_of_somebody_else_is_left_and_pointed_to() -> None:
    review = reviewed(ABOUT_ESKETAMINE["by the product"])
    assert (review.decision.reason.value, review.intent.action) == ("in-treatment", PlanAction.LEAVE)
    assert review.answer.care_plan.reference == "CarePlan/theirs"


def test_a_plan_that_somebody_else_entered_in_error_is_none() -> None:
    entered = ABOUT_ESKETAMINE["by the product"] | {"status": "entered-in-error"}
    assert reviewed(entered).intent.action is PlanAction.CREATE


# --- another patient's ----------------------------------------------------------------------------


def another_patients() -> Resource:
    return ABOUT_ESKETAMINE["by the product"] | {"subject": {"reference": "Patient/somebody-else"}}


def test_another_patients_plan_among_search_results_stops_the_review() -> None:
    with pytest.raises(NotAssessable, match="CarePlan/theirs"):
        reviewed(another_patients())


def test_another_patients_plan_in_the_compartment_is_left_out() -> None:
    gathered = replace(the_record(another_patients()), patient_id=PATIENT, compartment=True)
    review = reviewer().review(gathered)
    assert review.record.plans == ()
    assert review.intent.action is PlanAction.CREATE


# --- unreadable -----------------------------------------------------------------------------------

UNREADABLE = {
    "modifierExtension": a_plan(
        modifierExtension=[{"url": "http://example.org/not-done", "valueBoolean": True}]
    ),
    "activity": a_plan(activity={"detail": {}}),
    "activity[0].detail.productCodeableConcept": a_plan(
        activity=an_activity(productCodeableConcept="esketamine")
    ),
    "status": a_plan(status=["active"]),
    "title": a_plan(title={"text": "Esketamine"}),
    "activity[0].detail.doNotPerform": a_plan(activity=an_activity(doNotPerform="yes")),
    "activity[0].reference": a_plan(activity=[{"reference": "MedicationRequest/1"}]),
    "activity.reference": a_plan(activity=[{"reference": {"reference": "#gone"}}]),
    "activity.detail.productReference": a_plan(
        activity=an_activity(productReference={"reference": "Medication/gone"})
    ),
    "activity.detail.modifierExtension": a_plan(
        activity=an_activity(modifierExtension=[{"url": "urn:x", "valueBoolean": True}])
    ),
    "activity.detail.dwim": a_plan(activity=an_activity(dwim="a")),
    "activity.detail.code": a_plan(
        activity=an_activity(
            code={
                "extension": [
                    {
                        "url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason",
                        "valueCode": "masked",
                    }
                ]
            }
        )
    ),
    "contained.modifierExtension": a_plan(
        activity=[{"reference": {"reference": "#r"}}],
        contained=[a_request(modifierExtension=[{"url": "urn:x"}], medicationCodeableConcept=INSULIN)],
    ),
    "subject": a_plan(subject={"display": "Test Alpha"}),
}


@pytest.mark.parametrize("element", UNREADABLE)
def test_a_care_plan_that_cannot_be_read_is_reported_and_nothing_is_created(element: str) -> None:
    review = reviewed(UNREADABLE[element])

    (unreadable,) = review.record.unreadable
    assert str(unreadable.evidence) == "CarePlan/theirs/_history/4"
    assert unreadable.element == element
    assert review.record.plans == ()
    assert (review.intent.action, review.intent.plan) == (PlanAction.NONE, None)
    assert review.answer.decision.value == "needs-review"
    (finding,) = review.answer.safety
    assert (finding.id, finding.evidence) == ("unreadable-safety-record", ["CarePlan/theirs/_history/4"])
    assert "CarePlan/theirs/_history/4" in {record.evidence for record in review.answer.excluded_records}


def test_what_leaves_an_esketamine_plan_unclear_is_named_beside_it() -> None:
    detail = an_activity(
        productCodeableConcept=ESKETAMINE, scheduledString="weekly", dailyAmount={"value": 56}
    )
    review = reviewed(a_plan(activity=detail, status="draft"))
    assert [one.element for one in review.record.unreadable] == ["activity.detail.scheduledString"]
    assert [one.status for one in review.record.plans] == [PlanStatus.DRAFT]
    assert (review.answer.decision.value, review.intent.action) == ("needs-review", PlanAction.LEAVE)


def test_an_unreadable_plan_that_was_never_followed_stops_nothing() -> None:
    revoked = a_plan(status="revoked", activity=an_activity(dwim="a"))
    assert reviewed(revoked).intent.action is PlanAction.CREATE


@pytest.mark.parametrize("kind", ["ServiceRequest", "Task", "RequestGroup", "Appointment"])
def test_what_a_plan_leads_to_and_is_not_there_is_named(kind: str) -> None:
    review = reviewed(a_plan(activity=[{"reference": {"reference": f"{kind}/gone"}}]))
    assert review.answer.not_screened == [f"{kind}/gone"]
    assert review.intent.action is PlanAction.CREATE
    told = a_plan(activity=[{"reference": {"reference": f"{kind}/gone", "display": "Physiotherapy"}}])
    assert reviewed(told).answer.not_screened == []


def test_a_request_that_is_named_by_its_number_alone_is_named_by_its_plan() -> None:
    activity = [{"reference": {"identifier": {"value": "1"}}}]
    assert reviewed(a_plan(activity=activity)).answer.not_screened == ["CarePlan/theirs"]


def test_a_prescription_that_is_not_there_leaves_a_plan_unclear() -> None:
    review = reviewed(a_plan(activity=[{"reference": {"reference": "MedicationRequest/gone"}}]))
    assert [one.element for one in review.record.unreadable] == ["activity.reference"]


def test_an_undefined_element_of_our_draft_leaves_it_unclear(ours: Resource) -> None:
    review = reviewed(ours | {"dwim": "a"})
    assert [one.element for one in review.record.unreadable] == ["dwim"]
    assert (review.answer.decision.value, review.intent.action) == ("needs-review", PlanAction.LEAVE)


def test_our_draft_leaves_nothing_open(ours: Resource) -> None:
    assert reviewed(ours).record.unreadable == ()


def test_a_care_plan_without_a_subject_cannot_be_read() -> None:
    plan = a_plan()
    del plan["subject"]
    (unreadable,) = reviewed(plan).record.unreadable
    assert unreadable.evidence.type == "CarePlan"


def test_a_draft_of_ours_beside_an_unreadable_plan_is_not_doubled(ours: Resource) -> None:
    review = reviewed(ours, UNREADABLE["activity"])
    assert review.intent.action is PlanAction.LEAVE
    assert len(review.record.plans) == 1


@pytest.mark.parametrize("identity", [None, "a/b", "[x]"])
def test_a_draft_of_ours_without_a_proper_id_is_left(ours: Resource, identity: str | None) -> None:
    others = [one for one in ours["extension"] if one["url"] != CONTENT_DIGEST]
    older = ours | {"extension": [*others, {"url": CONTENT_DIGEST, "valueString": "older"}]}
    assert reviewed(older).intent.action is PlanAction.UPDATE
    intent = reviewed(older | {"id": identity}).intent
    assert (intent.action, intent.plans_written) == (PlanAction.LEAVE, [])


def test_an_identifier_of_ours_makes_it_ours_whatever_it_is_about() -> None:
    plan = only(a_plan(identifier=[{"system": PLAN_IDENTIFIER, "value": "1"}]))
    assert (plan.ours, plan.edited, plan.identity) == (True, True, "1")
