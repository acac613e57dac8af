"""One more resource in the record of a patient who would be proposed a plan: the plan must go.

Whatever makes a condition, an allergy or a patient unsafe or unknowable, however it is written down.
"""

import json
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from service.errors import NotAssessable
from service.gather.files import read_bundle
from service.render.answer import AssessmentAnswer
from service.review import Reviewer
from service.settings import load_settings

CASE = Path(__file__).parents[2] / "fixtures" / "cases" / "two-documented-failures-propose-treatment"
ICD_10_CM = "http://hl7.org/fhir/sid/icd-10-cm"
Resource = dict[str, Any]


def condition(**elements: Any) -> Resource:
    subject = {"reference": "Patient/propose-two"}
    return {"resourceType": "Condition", "id": "odd", "subject": subject} | elements


def answered(change: Callable[[Resource], None]) -> AssessmentAnswer:
    bundle = json.loads((CASE / "bundle.json").read_bytes())
    change(bundle)
    reviewer = Reviewer.prepare(load_settings(), date(2026, 11, 23))
    return reviewer.review(read_bundle(json.dumps(bundle).encode())).answer


def with_one_more(resource: Resource) -> AssessmentAnswer:
    return answered(lambda bundle: bundle["entry"].append({"resource": resource}))


TO_REVIEW = {
    "aneurysm": {"text": "Abdominal aortic aneurysm, 5.1 cm"},
    "haemorrhage": {"text": "Intracerebral hemorrhage 2024"},
    "malformation": {"text": "Arteriovenous malformation"},
    "bipolar": {"text": "Bipolar I disorder"},
    "pregnant": {"text": "Pregnant, 12 weeks"},
    "code without a system": {"coding": [{"code": "I71.4", "display": "Abdominal aortic aneurysm"}]},
    "code of an unknown system": {"coding": [{"system": "urn:x", "code": "1", "display": "Psychosis"}]},
    "ketamine": {"text": "Anaphylaxis to ketamine"},
}


@pytest.mark.parametrize("code", TO_REVIEW.values(), ids=TO_REVIEW)
def test_what_only_words_tell_is_reviewed(code: Resource) -> None:
    answer = with_one_more(condition(code=code))

    assert (answer.decision.value, answer.care_plan.action.value) == ("needs-review", "none")
    assert [(finding.effect.value, finding.finding.value) for finding in answer.safety] == [
        ("review", "indeterminate")
    ]


UNKNOWABLE = {
    "no code": condition(),
    "masked": condition(code={"extension": [{"url": "http://x", "valueCode": "masked"}]}),
    "a modifier": condition(
        code={"text": "Hypertension"}, modifierExtension=[{"url": "http://x", "valueBoolean": True}]
    ),
    "no type": {"id": "odd", "code": {"coding": [{"system": ICD_10_CM, "code": "I71.4"}]}},
    "a type that is none": condition(code={"coding": [{"system": ICD_10_CM, "code": "I71.4"}]})
    | {"resourceType": "condition"},
}


@pytest.mark.parametrize("resource", UNKNOWABLE.values(), ids=UNKNOWABLE)
def test_what_cannot_be_known_is_reviewed(resource: Resource) -> None:
    answer = with_one_more(resource)

    assert answer.decision.value == "needs-review"
    assert [finding.id for finding in answer.safety] == ["unreadable-safety-record"]
    assert [record.reason.value for record in answer.excluded_records] == ["unreadable"]


def test_suicidality_in_words_raises_the_alert_and_decides_nothing() -> None:
    answer = with_one_more(condition(code={"text": "Suicidal ideation with plan"}))

    assert [alert.code for alert in answer.alerts] == ["suicidality"]
    assert answer.summary.startswith("Alert: Suicidality is on record")
    assert answer.pathways[1].finding.value == "indeterminate"


@pytest.mark.parametrize(
    "said",
    ["not ineffective, patient wish", "no lack of effect", "Did not stop for lack of efficacy; moved house"],
)
def test_a_negated_stop_reason_is_no_failure(said: str) -> None:
    def negate(bundle: Resource) -> None:
        for entry in bundle["entry"]:
            if entry["resource"]["resourceType"] == "MedicationStatement":
                entry["resource"]["statusReason"] = [{"text": said}]

    answer = answered(negate)

    assert answer.decision.value == "needs-information"
    assert answer.failed_trials.definite == 0


def test_a_death_without_a_date_is_a_death() -> None:
    def die(bundle: Resource) -> None:
        for entry in bundle["entry"]:
            if entry["resource"]["resourceType"] == "Patient":
                entry["resource"]["_deceasedDateTime"] = {"extension": [{"url": "http://x"}]}

    assert answered(die).reason.value == "deceased"


@pytest.mark.parametrize(
    "subject",
    [{"reference": "https://elsewhere/fhir/Patient/propose-two"}, {"identifier": {"value": "unknown"}}],
    ids=["our id on another server", "an identifier that is not ours"],
)
def test_an_allergy_that_may_be_ours_stops_the_review(subject: Resource) -> None:
    allergy = {"resourceType": "AllergyIntolerance", "id": "odd", "patient": subject}
    with pytest.raises(NotAssessable):
        with_one_more(allergy | {"code": {"text": "ketamine"}})


@pytest.mark.parametrize("system", ["https://example.org/mrn", "http://example.org/mrn/"])
def test_an_identifier_is_ours_however_its_system_is_spelled(system: str) -> None:
    def identify(bundle: Resource) -> None:
        for entry in bundle["entry"]:
            if entry["resource"]["resourceType"] == "Patient":
                entry["resource"]["identifier"] = [{"system": "http://example.org/mrn", "value": "7"}]
        subject = {"identifier": {"system": system, "value": "7"}}
        allergy = {"resourceType": "AllergyIntolerance", "id": "odd", "patient": subject}
        bundle["entry"].append({"resource": allergy | {"code": {"text": "ketamine"}}})

    assert "AllergyIntolerance/odd" in {e for finding in answered(identify).safety for e in finding.evidence}
