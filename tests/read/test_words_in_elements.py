"""Every listed name and word of every language, in every element of a resource that may hold it."""

import json
from collections.abc import Callable

import pytest

from service.core.records import Identified, Record, Role, SuicidalityKind
from service.gather.files import read_bundle
from service.read.record import read_record
from tests.core.builders import US
from tests.safety_tables import table
from tests.support import Resource, a_bundle, a_condition, a_patient, an_allergy

KETAMINE = [row["name"] for row in table("codes/esketamine_names.csv")]
ANTIDEPRESSANTS = {row["name"]: row["ingredient"] for row in table("codes/antidepressant_names.csv")}
SUICIDALITY = [row["word"] for row in table("codes/suicidality_words.csv")]

ANN = {"reference": "Patient/ann"}

Write = Callable[[str], Resource]


def text(said: str) -> Resource:
    return {"text": said}


def display(said: str) -> Resource:
    return {"coding": [{"system": "urn:local", "code": "x", "display": said}]}


def beside_an_empty_coding(said: str) -> Resource:
    return {"coding": [{}], "text": said}


ELEMENTS = pytest.mark.parametrize("write", [text, display, beside_an_empty_coding])


def in_statement(said: Resource) -> Resource:
    return {
        "resourceType": "MedicationStatement",
        "status": "completed",
        "subject": ANN,
        "medicationCodeableConcept": said,
    }


def in_request(said: Resource) -> Resource:
    return {
        "resourceType": "MedicationRequest",
        "subject": ANN,
        "status": "active",
        "intent": "order",
        "medicationCodeableConcept": said,
    }


def in_dispense(said: Resource) -> Resource:
    return {
        "resourceType": "MedicationDispense",
        "status": "completed",
        "subject": ANN,
        "medicationCodeableConcept": said,
    }


def in_administration(said: Resource) -> Resource:
    return {
        "resourceType": "MedicationAdministration",
        "subject": ANN,
        "status": "completed",
        "medicationCodeableConcept": said,
        "effectiveDateTime": "2025-01-01",
    }


def contained(said: Resource) -> Resource:
    return {
        "resourceType": "MedicationStatement",
        "status": "completed",
        "subject": ANN,
        "contained": [{"resourceType": "Medication", "id": "m", "code": said}],
        "medicationReference": {"reference": "#m"},
    }


MEDICINES = pytest.mark.parametrize(
    "place", [in_statement, in_request, in_dispense, in_administration, contained]
)


def read(resources: list[Resource]) -> Record:
    """The record of ann with all of the resources, each with an id of its own."""
    of_ann = [{**one, "id": f"r{n}"} for n, one in enumerate(resources)]
    return read_record(read_bundle(json.dumps(a_bundle([a_patient(), *of_ann])).encode()), US)


@ELEMENTS
@MEDICINES
def test_ketamine_is_known_by_every_name(place: Callable[[Resource], Resource], write: Write) -> None:
    record = read([place(write(f"{name.title()} nasal")) for name in KETAMINE])
    assert not record.unreadable
    given = {ref.id for e in record.exposures if e.medicine.role is Role.ESKETAMINE for ref in e.evidence}
    assert given == {f"r{n}" for n in range(len(KETAMINE))}


@ELEMENTS
@MEDICINES
def test_an_antidepressant_is_known_by_every_name(
    place: Callable[[Resource], Resource], write: Write
) -> None:
    record = read([place(write(name.upper())) for name in ANTIDEPRESSANTS])
    found = {e.evidence[0].id: (e.medicine.ingredient, e.medicine.identified) for e in record.exposures}
    assert found == {
        f"r{n}": (ingredient, Identified.TEXT_ONLY) for n, ingredient in enumerate(ANTIDEPRESSANTS.values())
    }


def in_code(said: Resource) -> Resource:
    return {**an_allergy("al"), "code": said}


def in_substance(said: Resource) -> Resource:
    return {
        **an_allergy("al"),
        "code": {"text": "Drug allergy"},
        "reaction": [{"substance": said, "manifestation": [{"text": "rash"}]}],
    }


@ELEMENTS
@pytest.mark.parametrize("place", [in_code, in_substance])
def test_an_allergy_to_ketamine_is_known_by_every_name(
    place: Callable[[Resource], Resource], write: Write
) -> None:
    record = read([place(write(name.title())) for name in KETAMINE])
    assert {(allergy.group, allergy.by_text) for allergy in record.allergies} == {("hypersensitivity", True)}
    assert {allergy.evidence[0].id for allergy in record.allergies} == {f"r{n}" for n in range(len(KETAMINE))}
    assert record.unplaced == ()


@ELEMENTS
def test_suicidality_is_known_by_every_word(write: Write) -> None:
    record = read([a_condition("c", code=write(word.upper())) for word in SUICIDALITY])
    assert {d.suicidality for d in record.diagnoses} == {SuicidalityKind.IN_WORDS}


@ELEMENTS
def test_an_allergy_and_a_medicine_that_no_list_knows_are_named(write: Write) -> None:
    record = read([in_code(write("Zorbix")), in_statement(write("Zorbix"))])
    (exposure,) = record.exposures
    assert [(one.label, str(one.evidence)) for one in record.unplaced] == [
        ("Zorbix", "AllergyIntolerance/r0")
    ]
    assert exposure.medicine.identified is Identified.UNLISTED
