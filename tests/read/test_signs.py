"""What flags and observations report of suicidality and safety is never passed over and never certain."""

import json
from typing import Any

import pytest

from service.gather.files import read_bundle
from service.render.answer import AssessmentAnswer
from service.review import Review
from tests.support import Resource, a_bundle, a_condition, a_patient, reviewer

SNOMED = "http://snomed.info/sct"
OURS = {"reference": "Patient/ann"}
ASSERTION = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "ASSERTION"}]}
THOUGHTS = {"coding": [{"system": SNOMED, "code": "6471006", "display": "Suicidal thoughts"}]}
HISTORY = {"coding": [{"system": SNOMED, "code": "161474000"}]}


def reviewed(*resources: Resource) -> Review:
    bundle = a_bundle([a_patient(), a_condition("depression"), *resources])
    return reviewer().review(read_bundle(json.dumps(bundle).encode()))


def answer(*resources: Resource) -> AssessmentAnswer:
    return reviewed(*resources).answer


def suicidality(found: AssessmentAnswer) -> tuple[str, list[str]]:
    (finding,) = {
        c.finding.value for p in found.pathways for c in p.criteria if c.id == "current-suicidality"
    }
    return finding, [alert.code for alert in found.alerts]


def a_flag(code: Resource, **elements: Any) -> Resource:
    return {
        "resourceType": "Flag",
        "id": "flag",
        "status": "active",
        "subject": OURS,
        "code": code,
    } | elements


def a_finding(code: Resource, **elements: Any) -> Resource:
    whole = {"resourceType": "Observation", "id": "finding", "status": "final", "subject": OURS, "code": code}
    return {**whole, "effectiveDateTime": "2026-11-18"} | elements


Told = tuple[str, list[str]]
OPEN: Told = ("indeterminate", ["suicidality"])
NONE: Told = ("not-met", [])
PAST: Told = ("not-met", ["suicidality-history"])


@pytest.mark.parametrize(
    ("code", "elements", "expected"),
    [
        ({"coding": [{"system": SNOMED, "code": "225444004"}]}, {}, OPEN),
        (THOUGHTS, {}, OPEN),
        ({"text": "Suicide risk"}, {}, OPEN),
        (THOUGHTS, {"status": "inactive"}, PAST),
        (THOUGHTS, {"status": None}, OPEN),
        (THOUGHTS, {"status": "inactive", "period": {"start": "2026-01-01", "end": "2026-02-01"}}, PAST),
        (THOUGHTS, {"period": {"start": "2026-01-01", "end": "2026-02-01"}}, OPEN),
        (THOUGHTS, {"status": "entered-in-error"}, NONE),
        (HISTORY, {}, PAST),
        ({"text": "Needs an interpreter"}, {}, NONE),
    ],
)
def test_a_flag_of_suicidality(code: Resource, elements: Resource, expected: tuple[str, list[str]]) -> None:
    assert suicidality(answer(a_flag(code, **elements))) == expected


@pytest.mark.parametrize(
    ("code", "group"),
    [
        ({"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "I71.4"}]}, "aneurysm"),
        ({"text": "Aortic aneurysm"}, "aneurysm"),
        ({"text": "Allergy to ketamine"}, "hypersensitivity"),
    ],
)
def test_a_flag_of_a_contraindication_needs_review(code: Resource, group: str) -> None:
    found = answer(a_flag(code))
    assert [(one.id, one.effect.value, one.finding.value) for one in found.safety] == [
        (group, "review", "indeterminate")
    ]


def test_a_flag_establishes_no_depression_and_stands_for_no_condition() -> None:
    depressed = a_flag({"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "F33.2"}]})
    found = reviewer().review(read_bundle(json.dumps(a_bundle([a_patient(), depressed])).encode())).answer
    assert (found.decision.value, found.not_screened) == ("needs-information", [])
    assert "no-conditions-on-record" in {
        r.code.value for p in found.pathways for c in p.criteria for r in c.reasons
    }


def test_a_flag_that_cannot_be_read_leaves_suicidality_open() -> None:
    review = reviewed(a_flag({}))
    assert [(u.evidence.type, u.element) for u in review.record.unreadable] == [("Flag", "code")]
    assert suicidality(review.answer) == ("indeterminate", [])


@pytest.mark.parametrize(
    "finding",
    [
        a_finding(THOUGHTS),
        a_finding(THOUGHTS, valueBoolean=True),
        a_finding(THOUGHTS, valueString="present"),
        a_finding(THOUGHTS, effectiveDateTime="2020-01-01"),
        a_finding(THOUGHTS, status="preliminary"),
        a_finding(ASSERTION, valueCodeableConcept=THOUGHTS),
        a_finding({"text": "Mental state"}, valueCodeableConcept=THOUGHTS),
        a_finding({"text": "Chief complaint"}, valueString="Suicidal thoughts"),
        a_finding({"text": "Suicidal ideation"}, valueBoolean=True),
        a_finding({"text": "Suicidal ideation"}, valueInteger=2),
        a_finding({"text": "Screening"}, component=[{"code": THOUGHTS, "valueBoolean": True}]),
    ],
)
def test_a_finding_of_suicidality_alerts_and_decides_nothing(finding: Resource) -> None:
    found = answer(finding)
    assert suicidality(found) == OPEN
    assert found.alerts[0].evidence == ["Observation/finding"]


@pytest.mark.parametrize(
    "finding",
    [
        a_finding(THOUGHTS, valueBoolean=False),
        a_finding(THOUGHTS, valueCodeableConcept={"coding": [{"system": SNOMED, "code": "373067005"}]}),
        a_finding(THOUGHTS, valueString="No"),
        a_finding({"text": "Suicidal ideation"}, valueInteger=0),
        a_finding({"text": "Suicidal ideation"}, valueString="none"),
        a_finding(
            {"text": "Suicide risk screening"}, component=[{"code": {"text": "Sleep"}, "valueBoolean": True}]
        ),
        a_finding({"text": "Mental state"}, valueString="No suicidal ideation"),
        a_finding(THOUGHTS, status="entered-in-error"),
    ],
)
def test_a_finding_that_is_denied_raises_no_alert(finding: Resource) -> None:
    assert suicidality(answer(finding)) == NONE


def test_a_finding_that_cannot_be_read_in_full_still_alerts() -> None:
    found = answer(a_finding(THOUGHTS, modifierExtension=[{"url": "http://example.org/not"}]))
    assert suicidality(found) == OPEN
    assert [(e.evidence, e.element) for e in found.excluded_records] == [
        ("Observation/finding", "modifierExtension")
    ]


@pytest.mark.parametrize(
    "finding",
    [
        a_finding(ASSERTION, valueCodeableConcept={"coding": [{"system": SNOMED, "code": "77386006"}]}),
        a_finding({"coding": [{"system": SNOMED, "code": "77386006"}]}, valueBoolean=True),
        a_finding({"coding": [{"system": SNOMED, "code": "77386006"}]}),
        a_finding(
            {"coding": [{"system": "http://loinc.org", "code": "11449-6"}]},
            valueCodeableConcept={"coding": [{"system": SNOMED, "code": "77386006"}]},
        ),
    ],
)
def test_a_pregnancy_is_known_by_more_than_one_code(finding: Resource) -> None:
    assert [one.id for one in answer(finding).safety] == ["pregnancy"]
    assert answer({**finding, "effectiveDateTime": "2024-01-01"}).safety == []
