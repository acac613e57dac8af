"""What is written beside a code, and codes written in other ways, still count for safety."""

import json

import pytest

from service.core.decision import Decline, NeedsReview, Propose
from service.gather.files import read_bundle
from service.review import Review
from tests.support import Resource, a_condition, case_bundle, reviewer

ELIGIBLE = "two-documented-failures-propose-treatment"


def eligible_with(resource: Resource) -> Review:
    """A patient for whom a plan would be proposed, with one resource more."""
    bundle = case_bundle(ELIGIBLE)
    bundle["entry"].append({"resource": resource})
    return reviewer().review(read_bundle(json.dumps(bundle).encode()))


def coded(code: str, text: str | None = None, system: str = "http://hl7.org/fhir/sid/icd-10-cm") -> Resource:
    concept: Resource = {"coding": [{"system": system, "code": code}]}
    return a_condition("it", "propose-two", code=concept | ({"text": text} if text else {}))


@pytest.mark.parametrize(
    "text", ["MDD with suicidal ideation and plan", "recurrent depression, suicidality denied today"]
)
def test_suicidality_written_beside_a_code_is_told(text: str) -> None:
    alerts = eligible_with(coded("F33.2", text)).decision.assessment.alerts
    assert [alert.code for alert in alerts] == ["suicidality"]


def test_a_contraindication_written_beside_another_code_is_reviewed() -> None:
    decision = eligible_with(coded("R93.0", "Cerebral aneurysm 7 mm")).decision
    assert isinstance(decision, NeedsReview)
    assert [finding.id for finding in decision.assessment.safety] == ["aneurysm"]


@pytest.mark.parametrize(
    "text",
    ["Major depressive disorder, recurrent severe without psychotic features", "Not bipolar", "Hay fever"],
)
def test_other_words_beside_a_known_code_are_left_to_the_code(text: str) -> None:
    assert isinstance(eligible_with(coded("F33.2", text)).decision, Propose)


@pytest.mark.parametrize(
    ("system", "code"),
    [
        ("http://hl7.org/fhir/sid/icd-10-cm|2026", "I71.4"),
        ("https://hl7.org/fhir/sid/icd-10-cm", "I71.4"),
        ("http://hl7.org/fhir/sid/icd-10-cm/", "I71.4"),
        ("http://fhir.de/CodeSystem/bfarm/icd-10-gm", "I71.4"),
        ("http://snomed.info/sct/731000124108", "233985008"),
        ("http://snomed.info/sct/731000124108/version/20260301", "233985008"),
    ],
)
def test_a_code_system_by_another_address_is_the_same(system: str, code: str) -> None:
    assert isinstance(eligible_with(coded(code, system=system)).decision, Decline)


def test_rules_that_nobody_can_know_make_a_record_unreadable() -> None:
    odd = {**coded("J30.1"), "implicitRules": "http://example.org/negated"}
    decision = eligible_with(odd).decision
    assert isinstance(decision, NeedsReview)
    assert [u.element for u in decision.assessment.unreadable] == ["implicitRules"]
