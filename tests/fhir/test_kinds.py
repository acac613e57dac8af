"""What is done with each kind of resource follows from its one row."""

import msgspec
import pytest

from service.core.records import MEDICINE_RECORDS
from service.errors import NotFhir
from service.fhir import kinds
from service.fhir.kinds import KINDS, Kind
from service.fhir.r5 import records, written
from service.fhir.sources import Gathered, Source, read_owner, take_resource
from service.read.record import read_record
from tests.support import a_patient, reviewer

BY_NAME = {kind.name: kind for kind in KINDS}


def a_resource(kind: str, **elements: object) -> Source:
    return take_resource(msgspec.json.encode({"resourceType": kind, "id": "odd", **elements}))


def test_every_kind_has_one_row() -> None:
    assert len(BY_NAME) == len(KINDS)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_row_makes_sense(kind: Kind) -> None:
    assert kind.read or kind.written or kind.published or kind.stands_in
    assert not (kind.watched and kind.written), "this service would answer itself"
    assert not kind.watched or kind.read
    assert not kind.claimed or kind.written
    assert not kind.listed_as or kind.written or kind.stands_in
    assert not (kind.stands_in and kind.written)
    assert not kind.by_code or kind.bears_by_code


def test_the_medicine_records_of_the_core_are_read() -> None:
    assert set(kinds.READ_KINDS) >= MEDICINE_RECORDS
    assert MEDICINE_RECORDS - {"Medication"} == kinds.NAME_A_MEDICINE


CODED = {"coding": [{"system": "http://loinc.org", "code": "44261-6"}]}
ECT = {"coding": [{"system": "http://snomed.info/sct", "code": "23835007"}]}
OF_BEARING: dict[str, dict[str, object]] = {
    "Observation": {"code": CODED},
    "Procedure": {"code": ECT},
    "QuestionnaireResponse": {"item": [{"linkId": "/44261-6"}]},
    "List": {"emptyReason": {"text": "withheld"}},
}
"""What a resource says that bears on anything, of kinds of which others are passed over."""


@pytest.mark.parametrize("kind", kinds.SEARCHED_KINDS)
def test_every_kind_that_is_searched_has_a_reader(kind: str) -> None:
    """A modifier makes a resource unreadable, which only a reader notices."""
    patient = take_resource(msgspec.json.encode(a_patient()))
    odd = a_resource(
        kind,
        **{kinds.PATIENT_ELEMENTS[kind]: {"reference": "Patient/ann"}, **OF_BEARING.get(kind, {})},
        modifierExtension=[{"url": "http://example.org/odd"}],
    )
    record = read_record(Gathered((patient, odd)), reviewer().knowledge)
    assert [(one.evidence.type, one.element) for one in record.unreadable] == [(kind, "modifierExtension")]


def test_every_kind_that_r5_spells_otherwise_is_translated() -> None:
    assert set(records._TRANSLATORS) == {kind.name for kind in KINDS if kind.differs_in_r5}
    assert set(written._IN_R5) == set(kinds.WRITTEN_KINDS)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
@pytest.mark.parametrize("element", ["subject", "patient", "for"])
def test_a_patient_is_named_by_the_element_of_the_row(kind: Kind, element: str) -> None:
    source = a_resource(kind.name, **{element: {"reference": "Patient/ann"}})
    if kind.name == "Patient":
        assert read_owner(source) == "odd"
    elif element == kind.patient or (kind.patient is None and element != "for"):
        assert read_owner(source) == "ann"
    else:
        with pytest.raises(NotFhir):
            read_owner(source)


def test_a_kind_without_a_row_may_name_its_patient_either_way() -> None:
    assert read_owner(a_resource("Encounter", subject={"reference": "Patient/ann"})) == "ann"
    assert read_owner(a_resource("Coverage", patient={"reference": "Patient/ann"})) == "ann"


def test_the_lists_that_follow() -> None:
    assert kinds.WATCHED_KINDS == (
        "Patient",
        "Condition",
        "MedicationStatement",
        "MedicationRequest",
        "MedicationDispense",
        "MedicationAdministration",
        "AllergyIntolerance",
        "Observation",
        "Procedure",
        "QuestionnaireResponse",
        "Flag",
    )
    assert set(kinds.SEARCHED_KINDS) - set(kinds.SCREENED_KINDS) == {"List"}
    assert {"CarePlan", "Observation"} - set(kinds.EVERYTHING_KINDS) == {"Observation"}
    assert {*kinds.READ_KINDS} - {"CarePlan"} == kinds.NOTICED_KINDS
    assert kinds.WRITTEN_KINDS == ("Device", "CarePlan", "Task", "GuidanceResponse", "Provenance")
    assert {"CarePlan", "Task", "GuidanceResponse"} == kinds.CLAIMED_KINDS
