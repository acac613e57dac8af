"""A status is what its coding in the bound code system says; the other codings translate it."""

import json
from typing import Any

import pytest

from service.core.records import ClinicalStatus, ExclusionReason, Record, Verification
from service.gather.files import read_bundle
from tests.support import Resource, a_bundle, a_condition, a_patient, reviewer

CLINICAL = "http://terminology.hl7.org/CodeSystem/condition-clinical"
VERIFIED = "http://terminology.hl7.org/CodeSystem/condition-ver-status"
SNOMED = "http://snomed.info/sct"
ABSENT = "http://terminology.hl7.org/CodeSystem/data-absent-reason"


def coded(*codings: tuple[str | None, str], **concept: Any) -> Resource:
    return {"coding": [{"system": s, "code": c} if s else {"code": c} for s, c in codings], **concept}


def read(**elements: Any) -> Record:
    bundle = a_bundle([a_patient(), a_condition("one", **elements)])
    return reviewer().review(read_bundle(json.dumps(bundle).encode())).record


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (coded((CLINICAL, "active")), ClinicalStatus.ACTIVE),
        (coded((CLINICAL, "active"), (SNOMED, "55561003")), ClinicalStatus.ACTIVE),
        (coded((SNOMED, "413322009"), (CLINICAL, "resolved")), ClinicalStatus.ENDED),
        (coded(("http://hl7.org/fhir/condition-clinical", "inactive"), (SNOMED, "1")), ClinicalStatus.ENDED),
        (coded((CLINICAL.replace("http:", "https:") + "|4.0.1", "remission")), ClinicalStatus.REMISSION),
        (coded((CLINICAL, "active"), (CLINICAL, "recurrence")), ClinicalStatus.ACTIVE),
        (coded((CLINICAL, "inactive"), (CLINICAL, "resolved")), ClinicalStatus.ENDED),
        (coded((None, "active"), (SNOMED, "55561003")), ClinicalStatus.ACTIVE),
        (coded(("urn:local", "active")), ClinicalStatus.ACTIVE),
        ({"text": " Active "}, ClinicalStatus.ACTIVE),
        ({}, ClinicalStatus.NOT_STATED),
        (coded((ABSENT, "unknown")), ClinicalStatus.UNKNOWN),
        (coded((CLINICAL, "active"), (ABSENT, "unknown")), ClinicalStatus.ACTIVE),
    ],
)
def test_the_clinical_status(status: Resource, expected: ClinicalStatus) -> None:
    record = read(clinicalStatus=status)
    assert ([d.clinical_status for d in record.diagnoses], record.unreadable) == ([expected], ())


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (coded((VERIFIED, "confirmed"), (SNOMED, "410605003")), Verification.CONFIRMED),
        (coded((VERIFIED, "provisional"), (VERIFIED, "differential")), Verification.UNPROVEN),
        (coded((ABSENT, "asked-unknown")), Verification.UNPROVEN),
        ({"text": "Confirmed"}, Verification.CONFIRMED),
        ({}, Verification.NOT_STATED),
    ],
)
def test_how_sure_it_is(status: Resource, expected: Verification) -> None:
    record = read(verificationStatus=status)
    assert ([d.verification for d in record.diagnoses], record.unreadable) == ([expected], ())


def test_a_refuted_condition_with_a_translation_is_set_aside() -> None:
    record = read(verificationStatus=coded((VERIFIED, "refuted"), (SNOMED, "723511001")))
    assert (record.diagnoses, [e.reason for e in record.excluded]) == ((), [ExclusionReason.REFUTED])


@pytest.mark.parametrize(
    ("element", "status"),
    [
        ("clinicalStatus", coded((CLINICAL, "active"), (CLINICAL, "resolved"))),
        ("clinicalStatus", coded((CLINICAL, "banana"), (SNOMED, "55561003"))),
        ("clinicalStatus", coded((SNOMED, "55561003"))),
        ("clinicalStatus", coded((ABSENT, "masked"))),
        ("clinicalStatus", coded((CLINICAL, "active"), (ABSENT, "masked"))),
        ("verificationStatus", coded((VERIFIED, "confirmed"), (VERIFIED, "refuted"))),
        ("verificationStatus", coded((ABSENT, "not-permitted"))),
        ("verificationStatus", {"text": "banana"}),
    ],
)
def test_a_status_that_contradicts_itself_or_cannot_be_told_makes_the_record_unreadable(
    element: str, status: Resource
) -> None:
    record = read(**{element: status})
    assert (record.diagnoses, [u.element for u in record.unreadable]) == ((), [element])
