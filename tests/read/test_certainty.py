"""A German diagnosis carries beside its code how certain it is; it counts like the verification status."""

import json
from typing import Any

import pytest

from service.core.records import ClinicalStatus, ExclusionReason, Record, Verification
from service.gather.files import read_bundle
from tests.support import Resource, a_bundle, a_condition, a_patient, a_statement, reviewer

GM = "http://fhir.de/CodeSystem/bfarm/icd-10-gm"
MARK = "http://fhir.de/StructureDefinition/icd-10-gm-diagnosesicherheit"
KBV = "https://fhir.kbv.de/CodeSystem/KBV_CS_SFHIR_ICD_DIAGNOSESICHERHEIT"


def marked(code: str, *marks: str, url: str = MARK, system: str = KBV) -> Resource:
    extensions = [{"url": url, "valueCoding": {"system": system, "code": mark}} for mark in marks]
    return {"coding": [{"extension": extensions, "system": GM, "code": code}]}


def said(element: str, code: str) -> Resource:
    return {
        "coding": [{"system": f"http://terminology.hl7.org/CodeSystem/condition-{element}", "code": code}]
    }


def read(mark: str, **elements: Any) -> Record:
    bundle = a_bundle([a_patient(), a_condition("one", code=marked("F33.2", mark), **elements)])
    return reviewer().review(read_bundle(json.dumps(bundle).encode())).record


@pytest.mark.parametrize(
    ("mark", "status", "expected"),
    [
        ("G", None, Verification.CONFIRMED),
        ("G", "confirmed", Verification.CONFIRMED),
        ("G", "provisional", Verification.UNPROVEN),
        ("V", None, Verification.UNPROVEN),
        ("V", "confirmed", Verification.UNPROVEN),
        ("A", "confirmed", Verification.UNPROVEN),
        ("Z", "confirmed", Verification.CONFIRMED),
        ("another", None, Verification.UNPROVEN),
    ],
)
def test_how_certain_a_marked_diagnosis_is(mark: str, status: str | None, expected: Verification) -> None:
    stated = {} if status is None else {"verificationStatus": said("ver-status", status)}

    (diagnosis,) = read(mark, clinicalStatus=None, **stated).diagnoses

    assert diagnosis.verification == expected


@pytest.mark.parametrize("status", [None, "refuted"])
def test_a_diagnosis_marked_as_excluded_is_refuted(status: str | None) -> None:
    stated = {} if status is None else {"verificationStatus": said("ver-status", status)}

    record = read("A", **stated)

    assert record.diagnoses == ()
    assert [excluded.reason for excluded in record.excluded] == [ExclusionReason.REFUTED]


def test_a_diagnosis_marked_as_past_is_over() -> None:
    (past,) = read("Z", clinicalStatus=None).diagnoses
    assert past.clinical_status == ClinicalStatus.ENDED


def test_a_diagnosis_marked_as_past_and_said_to_be_active_is_unproven() -> None:
    (past,) = read("Z", clinicalStatus=said("clinical", "active")).diagnoses
    assert (past.clinical_status, past.verification) == (ClinicalStatus.ACTIVE, Verification.UNPROVEN)


@pytest.mark.parametrize(
    ("mark", "code", "decision"),
    [
        ("G", "F33.2", "propose"),
        ("V", "F33.2", "needs-information"),
        ("Z", "F33.2", "needs-information"),
        ("G", "I67.1", "decline"),
        ("V", "I67.1", "needs-review"),
        ("A", "I67.1", "propose"),
        ("Z", "I67.1", "needs-review"),
    ],
)
def test_a_mark_decides_for_a_depression_and_for_a_contraindication(
    mark: str, code: str, decision: str
) -> None:
    failed = [
        a_statement("sertraline"),
        a_statement(
            "venlafaxine",
            medicationCodeableConcept={
                "text": "x",
                "coding": [{"system": "http://www.whocc.no/atc", "code": "N06AX16"}],
            },
            effectivePeriod={"start": "2025-10-15", "end": "2026-01-31"},
        ),
    ]
    others = [] if code == "F33.2" else [a_condition("depression")]
    bundle = a_bundle([a_patient(), a_condition("one", code=marked(code, mark)), *others, *failed])

    answer = reviewer().review(read_bundle(json.dumps(bundle).encode())).answer

    assert answer.decision.value == decision
