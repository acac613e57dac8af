"""What a server of R5 says of medicines and procedures, read as R4: the specification's examples, and tables.

The examples are CC0 (fixtures/spec/R5/README.md).
"""

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.findings import Finding
from service.core.records import (
    DoseBasis,
    Excluded,
    ExclusionReason,
    Exposure,
    ExposureStatus,
    Grade,
    Indication,
    Record,
    StopReason,
    Unreadable,
    VersionedReference,
)
from service.fhir.r5.records import in_r4
from service.gather.files import read_bundle
from service.review import Review
from tests.examples import tries
from tests.support import ROOT, RXNORM, Resource, a_bundle, a_condition, a_patient, answer_of, reviewer

EXAMPLES = sorted((ROOT / "fixtures" / "spec" / "R5").glob("*.json"))
ADHERENCE = "http://hl7.org/fhir/CodeSystem/medication-statement-adherence"
SERTRALINE = {"coding": [{"system": RXNORM, "code": "36437", "display": "sertraline"}]}
ESKETAMINE = {"coding": [{"system": RXNORM, "code": "2119365", "display": "esketamine"}]}
PERIOD = {"start": "2025-07-01", "end": "2025-09-30"}
CLINICAL_STATUS = "http://terminology.hl7.org/CodeSystem/condition-clinical"
STATUS_UNKNOWN = {"coding": [{"system": CLINICAL_STATUS, "code": "unknown"}]}
FIFTY_A_DAY = {
    "timing": {"repeat": {"frequency": 1, "period": 1, "periodUnit": "d"}},
    "doseAndRate": [{"doseQuantity": {"value": 50, "unit": "mg"}}],
}


def translated(resource: Resource) -> Resource:
    r4: Resource = json.loads(bytes(in_r4(json.dumps(resource).encode())))
    return r4


def review_of(*resources: Resource, patient: str = "ann") -> Review:
    """The review of what a server of R5 gives."""
    gathered = read_bundle(json.dumps(a_bundle([a_patient(patient), *resources])).encode())
    sources = (replace(source, content=in_r4(source.content)) for source in gathered.sources)
    return reviewer().review(replace(gathered, sources=tuple(sources)))


def read(*resources: Resource, patient: str = "ann") -> Record:
    review = review_of(*resources, patient=patient)
    assert json.loads(answer_of(review))["patient"] == f"Patient/{patient}"
    return review.record


def only(resource: Resource) -> Exposure:
    (exposure,) = read(resource).exposures
    return exposure


def a_record(kind: str, **elements: object) -> Resource:
    """Sertraline of Ann in R5, unless said otherwise."""
    subject = {"reference": "Patient/ann"}
    return {
        "resourceType": kind,
        "id": "it",
        "subject": subject,
        "medication": {"concept": SERTRALINE},
        **elements,
    }


def a_statement(**elements: object) -> Resource:
    return a_record("MedicationStatement", **{"status": "recorded", **elements})


def adherence(code: str, **elements: object) -> Resource:
    return {"code": {"coding": [{"system": ADHERENCE, "code": code}]}, **elements}


# --- the specification's examples -----------------------------------------------------------------


def example(path: Path) -> Resource:
    resource: Resource = json.loads(path.read_bytes())
    return resource


def read_owner(resource: Resource) -> str:
    return str(resource["subject"]["reference"]).removeprefix("Patient/")


def accounted_for(record: Record) -> list[VersionedReference]:
    """Everything that became of what was read."""
    taken: Iterable[Any] = (*record.exposures, *record.diagnoses)
    set_aside = [item.evidence for item in record.excluded] + [item.evidence for item in record.unreadable]
    return [reference for item in taken for reference in item.evidence] + set_aside


@pytest.mark.parametrize(
    "path", [p for p in EXAMPLES if not p.stem.startswith("careplan")], ids=lambda path: path.stem
)
def test_every_example_is_accounted_for(path: Path) -> None:
    resource = example(path)
    record = read(resource, patient=read_owner(resource))
    assert accounted_for(record) == [VersionedReference(resource["resourceType"], resource["id"], None)]
    assert record.unreadable == ()
    assert record.doubtful_dates == ()


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("1", ExposureStatus.UNKNOWN),
        ("2", ExclusionReason.NOT_TAKEN),
        ("3", ExposureStatus.UNKNOWN),
        ("4", ExclusionReason.NOT_TAKEN),
        ("5", ExclusionReason.ENTERED_IN_ERROR),
        ("6", ExposureStatus.UNKNOWN),
        ("7", ExposureStatus.UNKNOWN),
        ("8", ExposureStatus.UNKNOWN),
        ("9", ExposureStatus.UNKNOWN),
    ],
)
def test_what_the_example_statements_say(name: str, status: ExposureStatus | ExclusionReason) -> None:
    (path,) = (p for p in EXAMPLES if p.stem == f"medicationstatementexample{name}")
    record = read(example(path), patient="pat1")
    assert [*(e.status for e in record.exposures), *(e.reason for e in record.excluded)] == [status]


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("medicationstatementexample1", "Tylenol PM"),
        ("medicationstatementexample3", "Little Pink Pill for water retention"),
        ("medicationstatementexample7", "Mometasone Furoate 0.05mg/Actuat"),
        ("medicationrequest0308", "Vicodin 5/500 Oral Tablet"),
    ],
)
def test_the_medicine_of_an_example_is_found(name: str, label: str) -> None:
    (path,) = (p for p in EXAMPLES if p.stem == name)
    (exposure,) = read(example(path), patient="pat1").exposures
    assert label in exposure.medicine.label


def test_as_needed_is_read() -> None:
    (path,) = (p for p in EXAMPLES if p.stem == "medicationrequest0301")
    dosage = translated(example(path))["dosageInstruction"][0]
    assert dosage["asNeededCodeableConcept"]["coding"][0]["display"]
    assert "asNeededFor" not in dosage


def test_the_examples_are_there() -> None:
    kinds = [example(path)["resourceType"] for path in EXAMPLES]
    assert {kind: kinds.count(kind) for kind in kinds} == {
        "CarePlan": 11,
        "Condition": 13,
        "MedicationRequest": 8,
        "MedicationStatement": 9,
    }


# --- statements -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("taking", ExposureStatus.ACTIVE),
        ("taking-as-directed", ExposureStatus.ACTIVE),
        ("taking-not-as-directed", ExposureStatus.ACTIVE),
        ("on-hold", ExposureStatus.ON_HOLD),
        ("on-hold-as-directed", ExposureStatus.ON_HOLD),
        ("on-hold-not-as-directed", ExposureStatus.ON_HOLD),
        ("stopped", ExposureStatus.ENDED),
        ("stopped-as-directed", ExposureStatus.ENDED),
        ("stopped-not-as-directed", ExposureStatus.ENDED),
        ("unknown", ExposureStatus.UNKNOWN),
        ("three-times-out-of-four", ExposureStatus.UNKNOWN),
    ],
)
def test_adherence_says_whether_it_is_taken(code: str, status: ExposureStatus) -> None:
    assert only(a_statement(effectivePeriod=PERIOD, adherence=adherence(code))).status is status


def test_what_is_not_taken_is_set_aside() -> None:
    reference = VersionedReference("MedicationStatement", "it", None)
    record = read(a_statement(effectivePeriod=PERIOD, adherence=adherence("not-taking")))
    assert record.excluded == (Excluded(reference, ExclusionReason.NOT_TAKEN),)
    assert record.exposures == ()


@pytest.mark.parametrize(
    ("elements", "status"),
    [
        ({"effectivePeriod": PERIOD}, ExposureStatus.ENDED),
        ({"effectivePeriod": PERIOD, "dateAsserted": "2025-08-01"}, ExposureStatus.ENDED),
        ({"effectivePeriod": {"start": "2025-07-01"}}, ExposureStatus.UNKNOWN),
        ({"effectivePeriod": {"start": "2025-07-01"}, "dateAsserted": "2026-11-01"}, ExposureStatus.ACTIVE),
        ({"effectiveDateTime": "2025-07-01", "dateAsserted": "2026-11-01"}, ExposureStatus.UNKNOWN),
        ({"effectiveTiming": {"repeat": {"boundsPeriod": PERIOD}}}, ExposureStatus.ENDED),
        ({"dateAsserted": "2026-11-01"}, ExposureStatus.UNKNOWN),
        ({}, ExposureStatus.UNKNOWN),
    ],
)
def test_without_adherence_the_period_says_whether_it_is_taken(
    elements: Resource, status: ExposureStatus
) -> None:
    assert only(a_statement(**elements)).status is status


def test_an_open_statement_that_nobody_dated_never_makes_a_trial_for_certain() -> None:
    review = review_of(
        a_condition("mdd"), a_statement(effectivePeriod={"start": "2025-07-01"}, dosage=[FIFTY_A_DAY])
    )
    (trial,) = review.decision.assessment.trials
    assert trial.adequacy.finding is Finding.INDETERMINATE


def test_a_draft_proves_nothing_but_is_seen() -> None:
    esketamine = a_statement(status="draft", effectivePeriod=PERIOD, medication={"concept": ESKETAMINE})
    review = review_of(a_condition("mdd"), esketamine)
    assert review.decision.assessment.trials == ()
    assert "prior-esketamine" in {finding.id for finding in review.decision.assessment.safety}


@pytest.mark.parametrize("status", ["banana", "recorded-twice"])
def test_a_status_that_r5_does_not_know_is_unreadable(status: str) -> None:
    reference = VersionedReference("MedicationStatement", "it", None)
    assert read(a_statement(status=status)).unreadable == (Unreadable(reference, "status"),)


@pytest.mark.parametrize(
    "told",
    [
        adherence("taking-not-as-directed"),
        adherence("three-times-out-of-four"),
        {"code": {"text": "now and then"}},
        {"code": {"coding": [{"code": "taking"}, {"code": "stopped"}]}},
        {"code": {"coding": [{"code": "taking"}, {"code": "taking-not-as-directed"}]}},
        {},
        "taking",
    ],
)
def test_what_was_not_taken_as_directed_has_no_known_dose(told: object) -> None:
    exposure = only(a_statement(effectivePeriod=PERIOD, dosage=[FIFTY_A_DAY], adherence=told))
    assert exposure.dose.basis is DoseBasis.UNREADABLE


@pytest.mark.parametrize(
    "told",
    [
        adherence("taking"),
        {"code": {"text": "Taking as directed"}},
        {"code": {"coding": [{"system": "urn:local", "code": "Y"}, {"system": ADHERENCE, "code": "taking"}]}},
    ],
)
def test_what_was_taken_as_directed_has_its_dose(told: Resource) -> None:
    exposure = only(a_statement(effectivePeriod=PERIOD, dosage=[FIFTY_A_DAY], adherence=told))
    assert (exposure.status, exposure.dose.low_mg) == (ExposureStatus.ACTIVE, 50)


def test_the_reason_of_the_adherence_is_why_it_was_stopped() -> None:
    told = adherence("stopped", reason={"text": "Ineffective"})
    assert only(a_statement(effectivePeriod=PERIOD, adherence=told)).stop_reasons == {StopReason.INEFFECTIVE}


@pytest.mark.parametrize(
    ("reasons", "indication"),
    [
        ([{"concept": {"text": "Depression"}}], Indication.DEPRESSION),
        ([{"reference": {"reference": "Condition/mdd"}}], Indication.DEPRESSION),
        ([{"concept": {"text": "Migraine"}}], Indication.OTHER),
        (
            [{"concept": {"text": "Migraine"}}, {"reference": {"reference": "Condition/mdd"}}],
            Indication.DEPRESSION,
        ),
        ([{}], Indication.NOT_STATED),
        ([], Indication.NOT_STATED),
    ],
)
def test_the_reason_is_a_concept_or_a_reference(reasons: list[Resource], indication: Indication) -> None:
    record = read(a_condition("mdd"), a_statement(effectivePeriod=PERIOD, reason=reasons))
    assert [exposure.indication for exposure in record.exposures] == [indication]


@pytest.mark.parametrize(
    "reference", ["#inside", "Medication/outside"], ids=["contained", "of the same server"]
)
def test_the_medicine_is_found_by_reference(reference: str) -> None:
    contained = {"resourceType": "Medication", "id": "inside", "code": SERTRALINE}
    outside = contained | {"id": "outside"}
    medicine = {"reference": {"reference": reference}}
    record = read(outside, a_statement(effectivePeriod=PERIOD, medication=medicine, contained=[contained]))
    assert [exposure.medicine.label for exposure in record.exposures] == ["sertraline"]


# --- the other kinds ------------------------------------------------------------------------------


def test_a_request_that_ended_is_over() -> None:
    ended = only(a_record("MedicationRequest", status="ended", intent="order"))
    assert (ended.status, ended.grade) == (ExposureStatus.ENDED, Grade.PRESCRIBED)


@pytest.mark.parametrize(
    ("elements", "grade"),
    [
        ({"reported": True}, Grade.STATED),
        ({"informationSource": [{"reference": "Patient/ann"}]}, Grade.STATED),
        ({"reported": False, "informationSource": [{"reference": "Patient/ann"}]}, Grade.PRESCRIBED),
        ({"informationSource": []}, Grade.PRESCRIBED),
        ({}, Grade.PRESCRIBED),
    ],
)
def test_a_reported_request_is_stated(elements: Resource, grade: Grade) -> None:
    assert only(a_record("MedicationRequest", status="active", intent="order", **elements)).grade is grade


def test_the_period_of_a_request_goes_before_its_validity() -> None:
    validity = {"validityPeriod": {"start": "2025-01-01", "end": "2025-12-31"}, "quantity": {"value": 30}}
    request = a_record(
        "MedicationRequest",
        status="active",
        intent="order",
        effectiveDosePeriod=PERIOD,
        dispenseRequest=validity,
    )
    period = only(request).period
    assert (str(period.start and period.start.earliest), str(period.end and period.end.latest)) == (
        "2025-07-01",
        "2025-09-30",
    )
    assert translated(request)["dispenseRequest"]["quantity"] == {"value": 30}


def test_a_dispense_is_read() -> None:
    dispense = a_record(
        "MedicationDispense", status="completed", whenHandedOver="2025-07-01", daysSupply={"value": 30}
    )
    exposure = only(dispense)
    assert exposure.grade is Grade.DISPENSED
    assert str(exposure.period.end and exposure.period.end.latest) == "2025-07-30"


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ({"concept": {"text": "Too dear"}}, {"statusReasonCodeableConcept": {"text": "Too dear"}}),
        (
            {"reference": {"reference": "DetectedIssue/1"}},
            {"statusReasonReference": {"reference": "DetectedIssue/1"}},
        ),
        ("Too dear", {"statusReasonCodeableConcept": "Too dear"}),
    ],
)
def test_why_nothing_was_dispensed_is_read(reason: object, expected: Resource) -> None:
    dispense = translated(a_record("MedicationDispense", status="declined", notPerformedReason=reason))
    assert {k: v for k, v in dispense.items() if k.startswith("statusReason")} == expected


@pytest.mark.parametrize(
    ("elements", "start", "end"),
    [
        ({"occurenceDateTime": "2025-07-01"}, "2025-07-01", "2025-07-01"),
        ({"occurencePeriod": PERIOD}, "2025-07-01", "2025-09-30"),
        ({"occurenceTiming": {"repeat": {"boundsPeriod": PERIOD}}}, "2025-07-01", "2025-09-30"),
        ({"occurenceTiming": {"event": ["2025-07-01"]}}, "2025-07-01", "2025-07-01"),
        ({"occurenceTiming": {"event": ["2025-07-01", "2025-08-01"]}}, "None", "None"),
    ],
)
def test_when_a_medicine_was_given(elements: Resource, start: str, end: str) -> None:
    dosage = {"dose": {"value": 50, "unit": "mg"}}
    given = only(a_record("MedicationAdministration", status="completed", dosage=dosage, **elements))
    assert given.grade is Grade.ADMINISTERED
    period = given.period
    assert str(period.start and period.start.earliest) == start
    assert str(period.end and period.end.latest) == end


@pytest.mark.parametrize(
    "when", [{"occurrenceDateTime": "2025-07-01"}, {"occurrencePeriod": {"start": "2025-07-01"}}]
)
def test_when_a_procedure_took_place(when: Resource) -> None:
    procedure = {
        "resourceType": "Procedure",
        "id": "ect",
        "status": "completed",
        "subject": {"reference": "Patient/ann"},
        "code": {"text": "Electroconvulsive therapy"},
        **when,
    }
    (found,) = read(procedure).procedures
    assert str(found.period.start and found.period.start.earliest) == "2025-07-01"


# --- conditions -----------------------------------------------------------------------------------


def test_a_depression_of_unknown_status_leaves_it_open_whether_it_is_current() -> None:
    found = review_of(a_condition("mdd", clinicalStatus=STATUS_UNKNOWN)).decision.assessment
    current = next(c for p in found.pathways for c in p.criteria if c.id == "current-depression")
    assert current.answer.finding is Finding.INDETERMINATE
    assert [reason.code for reason in current.answer.reasons] == ["status-unknown"]
    abated = review_of(a_condition("mdd", clinicalStatus=STATUS_UNKNOWN, abatementDateTime="2025-12-01"))
    current = next(c for c in abated.decision.assessment.pathways[0].criteria if c.id == "current-depression")
    assert current.answer.finding is Finding.NOT_MET


def test_a_contraindication_of_unknown_status_excludes() -> None:
    code = {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "I71.40"}]}
    aneurysm = a_condition("aneurysm", code=code, clinicalStatus=STATUS_UNKNOWN)
    decision = review_of(a_condition("mdd"), aneurysm).decision
    assert decision.reason == "contraindicated"


# --- what is odd ----------------------------------------------------------------------------------

KINDS = (
    "MedicationStatement",
    "MedicationRequest",
    "MedicationDispense",
    "MedicationAdministration",
    "Medication",
    "Procedure",
    "CarePlan",
)


@pytest.mark.parametrize("kind", ["Patient", "Condition", "Observation", "Nonsense", None])
def test_what_the_releases_agree_on_stays_as_it_came(kind: str | None) -> None:
    content = json.dumps({"resourceType": kind, "id": "it", "status": "recorded"}).encode()
    assert in_r4(content) is content


@pytest.mark.parametrize("kind", KINDS)
def test_what_r5_spells_otherwise_is_translated(kind: str) -> None:
    content = json.dumps({"resourceType": kind, "id": "it", "status": "recorded"}).encode()
    assert in_r4(content) is not content


@pytest.mark.parametrize(
    ("elements", "element"),
    [
        ({"medication": "sertraline"}, "medicationCodeableConcept"),
        ({"medication": {"concept": "sertraline"}}, "medicationCodeableConcept"),
        ({"medication": {"reference": 7}}, "medicationReference"),
        ({"reason": "depression"}, "reasonCode"),
        ({"reason": ["depression"]}, "reasonCode[0]"),
        ({"dosage": "50 mg"}, "dosage"),
        ({"dosage": ["50 mg"]}, "dosage[0]"),
        ({"effectivePeriod": "2025"}, "effectivePeriod"),
        ({"adherence": adherence("stopped", reason="cost")}, "statusReason[0]"),
    ],
)
def test_an_element_that_cannot_be_read_is_named(elements: Resource, element: str) -> None:
    (fault,) = read(a_statement(**elements)).unreadable
    assert str(fault.evidence) == "MedicationStatement/it"
    assert fault.element.partition("[")[0] == element.partition("[")[0]


_ELEMENTS = (
    *("status", "adherence", "medication", "reason", "dosage", "dosageInstruction", "effectivePeriod"),
    *("occurenceTiming", "effectiveTiming", "dispenseRequest", "effectiveDosePeriod", "informationSource"),
    *("notPerformedReason", "contained", "activity", "addresses", "custodian", "plannedActivityReference"),
    *("code", "coding", "concept", "reference", "repeat", "event", "id", "resourceType", "note", "timing"),
)
_JUNK = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.sampled_from(["", "recorded", "#a", "a", "2025"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_ELEMENTS), inner, max_size=4)
    ),
    max_leaves=24,
)


@tries(300)
@given(kind=st.sampled_from(KINDS), elements=st.dictionaries(st.sampled_from(_ELEMENTS), _JUNK, max_size=6))
def test_nothing_is_so_odd_that_the_reading_fails(kind: str, elements: Resource) -> None:
    resource = elements | {"resourceType": kind, "id": "it", "subject": {"reference": "Patient/ann"}}
    record = read(resource)
    assert len(record.unreadable) + len(record.exposures) + len(record.excluded) <= 2


@pytest.mark.parametrize(
    "content",
    [
        b'{"resourceType": "MedicationStatement", "id": "it", "note": ' + b"[" * 5000 + b"]" * 5000 + b"}",
        b'{"resourceType": "MedicationStatement", "id": "it", "note": "\xff"}',
    ],
    ids=["too deep", "no text"],
)
def test_what_cannot_be_decoded_is_left_to_the_reader(content: bytes) -> None:
    assert in_r4(content) is content
