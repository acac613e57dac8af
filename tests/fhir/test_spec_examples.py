"""The specification's own examples: https://hl7.org/fhir/R4/, licensed CC0 (fixtures/spec/R4/README.md)."""

import json
from pathlib import Path

import pytest

from service.core.records import Excluded, ExclusionReason, Record, VersionedReference
from service.gather.files import read_bundle
from tests.support import ROOT, Resource, a_bundle, a_patient, answer_of, reviewer

EXAMPLES = sorted((ROOT / "fixtures" / "spec" / "R4").glob("*.json"))
ENTERED_IN_ERROR = "medicationstatementexample5"


def named(kind: str) -> list[Path]:
    return [path for path in EXAMPLES if path.stem.startswith(kind)]


def example(path: Path) -> Resource:
    resource: Resource = json.loads(path.read_bytes())
    return resource


def read(*resources: Resource) -> Record:
    """The record of the examples of one patient, who is made for them; it can be answered too."""
    (patient,) = {resource["subject"]["reference"].removeprefix("Patient/") for resource in resources}
    bundle = json.dumps(a_bundle([a_patient(patient), *resources])).encode()
    review = reviewer().review(read_bundle(bundle))
    assert json.loads(answer_of(review))["patient"] == f"Patient/{patient}"
    return review.record


def accounted_for(record: Record) -> list[VersionedReference]:
    """Everything that became of what was read."""
    taken = [exposure.evidence for exposure in record.exposures]
    taken += [item.evidence for item in record.diagnoses] + [item.evidence for item in record.allergies]
    set_aside = [item.evidence for item in record.excluded] + [item.evidence for item in record.unreadable]
    return [reference for evidence in taken for reference in evidence] + set_aside


@pytest.mark.parametrize(
    "path", named("condition") + named("medicationstatement"), ids=lambda path: path.stem
)
def test_every_example_is_accounted_for(path: Path) -> None:
    resource = example(path)
    record = read(resource)
    assert accounted_for(record) == [VersionedReference(resource["resourceType"], resource["id"], None)]
    assert record.unreadable == ()
    assert record.doubtful_dates == ()


def test_the_example_entered_in_error_is_set_aside() -> None:
    (path,) = named(ENTERED_IN_ERROR)
    reference = VersionedReference("MedicationStatement", "example005", None)
    assert read(example(path)).excluded == (Excluded(reference, ExclusionReason.ENTERED_IN_ERROR),)


def test_the_examples_of_one_patient_are_read_together() -> None:
    statements = [example(path) for path in named("medicationstatement")]
    record = read(*(s for s in statements if s["subject"]["reference"] == "Patient/pat1"))
    assert len(accounted_for(record)) == len(statements) == 7


def test_a_contained_medicine_is_found() -> None:
    (path,) = named("medicationstatementexample7")
    (exposure,) = read(example(path)).exposures
    assert exposure.medicine.label == "Mometasone Furoate 0.05mg/Actuat"


@pytest.mark.parametrize("path", named("medicationrequest"), ids=lambda path: path.stem)
def test_what_is_not_read_yet_is_said_to_be_unread(path: Path) -> None:
    record = read(example(path))
    assert "MedicationRequest" in record.not_read or accounted_for(record)


def test_the_examples_are_there() -> None:
    kinds = [example(path)["resourceType"] for path in EXAMPLES]
    assert {kind: kinds.count(kind) for kind in kinds} == {
        "Condition": 12,
        "MedicationRequest": 2,
        "MedicationStatement": 7,
    }
