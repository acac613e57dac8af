"""What a resource says beyond what is read of it is found and named, wherever it stands."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.elements import Bearing, ElementUse, How
from service.fhir.r5.plans import UNTOLD
from service.fhir.r5.records import resource_in_r4
from service.read.openings import Opened, find_opened
from tests.elements_met import elements_met
from tests.lists import knowledge_of
from tests.support import ROOT, Resource

KNOWLEDGE = knowledge_of()
EXAMPLES = sorted((ROOT / "fixtures" / "spec").glob("R[45]/*.json"))
CASES = sorted((ROOT / "fixtures" / "cases").glob("*/bundle.json"))
ABSENT = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"
MASKED = [{"url": ABSENT, "valueCode": "masked"}]
UNKNOWN = [{"url": ABSENT, "valueCode": "unknown"}]
LEFT_OVER = f"activity.detail.{UNTOLD}"
"""What an activity of R5 says beyond the places that R4 has; it is no element of FHIR, and opens the plan."""
MODIFIER = [{"url": "http://example.org/placebo", "valueBoolean": True}]
TABLET = {"numerator": {"value": 25, "unit": "mg"}, "denominator": {"value": 1, "unit": "tablet"}}


def opened(kind: str, **content: Any) -> list[Opened]:
    return list(find_opened(kind, {"resourceType": kind, "id": "1", **content}, KNOWLEDGE))


def statement(**content: Any) -> list[Opened]:
    return opened("MedicationStatement", status="active", subject={"reference": "Patient/1"}, **content)


def dosed(**dosage: Any) -> list[Opened]:
    return statement(dosage=[{"text": "as ordered", **dosage}])


def not_read(element: str, bears_on: Bearing, *, only_if_unsaid: bool = False) -> list[Opened]:
    return [Opened(element, bears_on, How.NOT_READ, only_if_unsaid)]


# elements --------------------------------------------------------------------------------------


def test_what_is_used_or_silent_opens_nothing() -> None:
    assert statement(category={"text": "inpatient"}, dateAsserted="2026-01-01", language="en") == []


def test_an_element_that_is_not_read_opens_what_it_bears_on() -> None:
    assert opened("Condition", onsetString="in spring") == not_read("onsetString", Bearing.PERIOD)
    assert opened("Observation", focus=[{"reference": "#fetus"}]) == not_read("focus", Bearing.SUBJECT)


@pytest.mark.parametrize("nothing", [None, [], {}, ""])
def test_what_is_empty_says_nothing(nothing: Any) -> None:
    assert opened("Condition", onsetString=nothing, nosuch=nothing) == []


def test_a_flag_that_is_false_opens_nothing() -> None:
    assert opened("MedicationAdministration", isSubPotent=False) == []
    assert opened("MedicationAdministration", isSubPotent=True) == not_read("isSubPotent", Bearing.DOSE)


def test_a_note_opens_only_what_is_unsaid() -> None:
    assert statement(note=[{"text": "25 mg"}]) == not_read("note", Bearing.DOSE, only_if_unsaid=True)


def test_a_narrative_made_of_the_elements_adds_nothing_to_them() -> None:
    def told(status: str) -> list[Opened]:
        return statement(text={"status": status, "div": "<div>25 mg</div>"})

    assert told("generated") == told("empty") == []
    assert told("additional") == told("extensions") == not_read("text", Bearing.DOSE, only_if_unsaid=True)


def test_the_parts_of_an_element_bear_on_what_its_place_does() -> None:
    over = {"value": 45, "comparator": "<", "unit": "a"}
    assert opened("Condition", abatementRange={"low": over}) == not_read(
        "abatementRange.low.comparator", Bearing.PERIOD
    )
    answered = {"linkId": "1", "answer": [{"valueQuantity": over}]}
    assert opened("QuestionnaireResponse", item=[answered]) == not_read(
        "item.answer.valueQuantity.comparator", Bearing.RESULT
    )


def test_an_element_that_is_used_in_one_place_opens_nothing_there() -> None:
    over = {"value": 45, "comparator": "<", "unit": "a"}
    assert opened("Condition", onsetAge=over) == []
    assert opened("Observation", valueQuantity=over) == []
    assert dosed(doseAndRate=[{"doseRange": {"low": over}}]) == not_read(
        "dosage.doseAndRate.doseRange.low.comparator", Bearing.DOSE
    )


def test_a_limit_of_a_timing_bears_on_the_period_and_its_rhythm_on_the_dose() -> None:
    less = {"value": 2, "unit": "wk", "comparator": "<"}
    assert dosed(timing={"repeat": {"boundsDuration": less}}) == not_read(
        "dosage.timing.repeat.boundsDuration.comparator", Bearing.PERIOD
    )
    assert dosed(timing={"modifierExtension": MODIFIER}) == not_read(
        "dosage.timing.modifierExtension", Bearing.DOSE
    )


def test_a_modifier_extension_opens_the_element_that_it_stands_in() -> None:
    assert statement(modifierExtension=MODIFIER) == not_read("modifierExtension", Bearing.RECORD)
    assert dosed(modifierExtension=MODIFIER) == not_read("dosage.modifierExtension", Bearing.DOSE)
    assert opened("AllergyIntolerance", reaction=[{"modifierExtension": MODIFIER}]) == not_read(
        "reaction.modifierExtension", Bearing.SUBSTANCE
    )
    assert statement(implicitRules="http://example.org") == not_read("implicitRules", Bearing.RECORD)


ABSENCES = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
FLAVORS = "urn:oid:2.16.840.1.113883.5.1008"


@pytest.mark.parametrize(
    ("system", "code", "how"),
    [
        (ABSENCES, "masked", How.WITHHELD),
        (ABSENCES, "not-permitted", How.WITHHELD),
        (ABSENCES, "unknown", How.NOT_KNOWN),
        (ABSENCES.replace("http:", "https:") + "/|1.0.0", "asked-declined", How.NOT_KNOWN),
        (ABSENCES, "error", How.NOT_READ),
        (ABSENCES, "no-such-reason", How.NOT_READ),
        (FLAVORS, "MSK", How.WITHHELD),
        (FLAVORS, "NI", How.NOT_KNOWN),
    ],
)
def test_a_coding_may_be_the_reason_why_there_is_no_concept(system: str, code: str, how: How) -> None:
    absent = {"coding": [{"system": system, "code": code, "display": "as written"}]}
    assert opened("Condition", code=absent) == [Opened("code", Bearing.DIAGNOSIS, how)]
    assert opened("Condition", clinicalStatus=absent) == [Opened("clinicalStatus", Bearing.STATUS, how)]
    assert opened("Observation", dataAbsentReason=absent) == [Opened("dataAbsentReason", Bearing.RESULT, how)]
    assert statement(medicationCodeableConcept=absent) == [
        Opened("medicationCodeableConcept", Bearing.MEDICINE, how)
    ]


def test_a_concept_that_another_coding_states_is_known_and_may_still_be_withheld() -> None:
    stated = {"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "F33.2"}
    unknown, masked = ({"system": ABSENCES, "code": code} for code in ("unknown", "masked"))
    assert opened("Condition", code={"coding": [stated, unknown]}) == []
    assert opened("Condition", code={"coding": [stated, masked]}) == [
        Opened("code", Bearing.DIAGNOSIS, How.WITHHELD)
    ]
    assert opened("Condition", code={"coding": [{"system": "urn:local", "code": "unknown"}]}) == []


def test_each_element_is_named_once() -> None:
    assert len(statement(dosage=[{"modifierExtension": MODIFIER}, {"modifierExtension": MODIFIER}])) == 1


def test_a_question_among_the_answers_to_another_is_looked_at_however_deep() -> None:
    dated = {"linkId": "3", "answer": [{"valueDate": "2026-01-01"}]}
    nested = {"linkId": "1", "item": [{"linkId": "2", "answer": [{"valueString": "yes", "item": [dated]}]}]}
    assert opened("QuestionnaireResponse", item=[nested]) == not_read(
        "item.item.answer.item.answer.valueDate", Bearing.RESULT
    )


def test_an_element_that_is_malformed_is_open() -> None:
    assert statement(dosage="25 mg daily") == not_read("dosage", Bearing.DOSE)
    assert statement(reasonCode=["depression"]) == not_read("reasonCode", Bearing.REASON)


# what no release defines -----------------------------------------------------------------------


def test_an_unknown_element_opens_the_element_that_it_stands_in() -> None:
    assert statement(wasNotTaken=True) == [Opened("wasNotTaken", Bearing.RECORD, How.NOT_DEFINED)]
    assert statement(wasNotTaken=False) == [Opened("wasNotTaken", Bearing.RECORD, How.NOT_DEFINED)]
    assert dosed(amount="25 mg") == [Opened("dosage.amount", Bearing.DOSE, How.NOT_DEFINED)]
    assert opened("Condition", code={"codings": [{}]}) == [
        Opened("code.codings", Bearing.DIAGNOSIS, How.NOT_DEFINED)
    ]
    assert statement(category={"odd": 1}) == [], "what is silent is not looked into"


def test_an_element_of_r5_in_a_record_of_r4_is_not_taken_as_unsaid() -> None:
    assert statement(medication={"concept": {"text": "ketamine"}}) == not_read("medication", Bearing.MEDICINE)
    assert statement(adherence={"code": {"text": "not taking"}}) == not_read("adherence", Bearing.STATUS)
    assert opened("MedicationRequest", statusChanged="2026-01-01") == not_read(
        "statusChanged", Bearing.PERIOD, only_if_unsaid=True
    )
    assert statement(encounter={"reference": "Encounter/1"}) == []


def test_a_kind_that_is_not_read_opens_nothing() -> None:
    assert opened("Immunization", modifierExtension=MODIFIER) == []


# values that are missing for a reason ----------------------------------------------------------


def test_a_missing_value_is_told_by_its_reason() -> None:
    assert opened("Condition", _recordedDate={"extension": MASKED}) == [
        Opened("recordedDate", Bearing.PERIOD, How.WITHHELD)
    ]
    assert opened("Condition", _abatementDateTime={"extension": UNKNOWN}) == [
        Opened("abatementDateTime", Bearing.PERIOD, How.NOT_KNOWN)
    ]
    assert opened("Condition", code={"extension": MASKED}) == [
        Opened("code", Bearing.DIAGNOSIS, How.WITHHELD)
    ]
    assert statement(reasonCode=[{"extension": UNKNOWN}]) == [
        Opened("reasonCode", Bearing.REASON, How.NOT_KNOWN)
    ]
    assert statement(_dateAsserted={"extension": [{"url": ABSENT, "valueCode": "lost"}]}) == not_read(
        "dateAsserted", Bearing.PERIOD
    )
    assert statement(_dateAsserted={"extension": [{"url": ABSENT}]}) == not_read(
        "dateAsserted", Bearing.PERIOD
    )


def test_the_flavours_of_null_of_version_3_are_reasons_too() -> None:
    flavour = "http://hl7.org/fhir/StructureDefinition/iso21090-nullFlavor"
    assert dosed(_patientInstruction={"extension": [{"url": flavour, "valueCode": "MSK"}]}) == [
        Opened("dosage.patientInstruction", Bearing.DOSE, How.WITHHELD)
    ]


def test_the_twin_of_a_value_that_is_there_says_nothing_more() -> None:
    other = {"extension": [{"url": "http://example.org/odd", "valueString": "odd"}]}
    assert opened("Patient", birthDate="1980-01-01", _birthDate=other) == []
    assert opened("Patient", birthDate="1980-01-01", _birthDate={"id": "a"}) == []
    assert opened("Patient", _birthDate={"id": "a"}) == []
    assert opened("Patient", _birthDate=other) == not_read("birthDate", Bearing.AGE)


def test_one_of_several_values_may_be_missing() -> None:
    def at(when: list[str | None], twins: list[Any]) -> list[Opened]:
        return dosed(timing={"repeat": {"when": when, "_when": twins}})

    missing = [Opened("dosage.timing.repeat.when", Bearing.DOSE, How.WITHHELD)]
    assert at(["MORN", None], [None, {"extension": MASKED}]) == missing
    assert at(["MORN"], [None, {"extension": MASKED}]) == missing
    assert at(["MORN", "NIGHT"], [None, None]) == []


def test_a_twin_of_what_is_silent_is_silent_and_one_of_nothing_unknown() -> None:
    assert opened("Patient", _gender={"extension": MASKED}) == []
    assert opened("Patient", _nosuch={"extension": MASKED}) == [
        Opened("_nosuch", Bearing.RECORD, How.NOT_DEFINED)
    ]


@pytest.mark.parametrize(("element", "code"), [("security", "REDACTED"), ("tag", "SUBSETTED")])
def test_a_label_says_that_parts_were_withheld(element: str, code: str) -> None:
    assert statement(meta={element: [{"code": "other"}, {"code": code}]}) == [
        Opened(f"meta.{element}", Bearing.RECORD, How.WITHHELD)
    ]
    assert statement(meta={element: [{"code": "R"}]}) == []


# extensions ------------------------------------------------------------------------------------


def test_a_listed_extension_opens_what_its_row_says() -> None:
    sent = [{"url": "http://hl7.org/fhir/StructureDefinition/originalText", "valueString": "50 mg"}]
    assert dosed(extension=sent) == not_read(
        "dosage.extension(originalText)", Bearing.DOSE, only_if_unsaid=True
    )
    days = [{"url": "http://hl7.org/fhir/StructureDefinition/timing-dayOfMonth", "valuePositiveInt": 1}]
    assert dosed(timing={"repeat": {"extension": days}}) == not_read(
        "dosage.timing.repeat.extension(timing-dayOfMonth)", Bearing.DOSE
    )


def test_other_extensions_may_be_ignored() -> None:
    used = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-medication-adherence"
    for extension in ({"url": "http://example.org/odd"}, {"url": used}, {"url": 1}, {}, "odd"):
        assert statement(extension=[extension]) == []
    assert statement(extension="odd") == []


# contained resources ---------------------------------------------------------------------------


def of_contained(medication: Resource, **content: Any) -> list[Opened]:
    contained = [{"resourceType": "Medication", "id": "m", **medication}]
    return statement(contained=contained, medicationReference={"reference": "#m"}, **content)


def test_a_contained_medicine_is_a_part_of_the_reference_to_it() -> None:
    assert of_contained({"code": {"text": "sertraline"}, "ingredient": [{"strength": TABLET}]}) == []
    assert of_contained({"modifierExtension": MODIFIER}) == not_read(
        "contained.modifierExtension", Bearing.MEDICINE
    )
    assert of_contained({"ingredient": [{"strengthQuantity": {"value": 25}}]}) == not_read(
        "contained.ingredient.strengthQuantity", Bearing.DOSE
    )


def test_a_contained_reason_bears_on_the_reason_alone() -> None:
    contained = [{"resourceType": "Condition", "id": "c", "onsetString": "in spring"}]
    assert statement(contained=contained, reasonReference=[{"reference": "#c"}]) == not_read(
        "contained.onsetString", Bearing.REASON
    )


def test_a_contained_resource_to_which_nothing_leads_means_nothing() -> None:
    contained = [{"resourceType": "Medication", "id": "m", "modifierExtension": MODIFIER}]
    assert statement(contained=contained) == []
    assert statement(contained=contained, informationSource={"reference": "#m"}) == []
    assert statement(contained=contained, medicationReference={"reference": "#other"}) == []
    assert statement(contained=contained, medicationReference={"reference": "#"}) == []


def test_an_ingredient_that_a_contained_medicine_leads_to_is_a_part_of_it() -> None:
    substance = {"resourceType": "Substance", "id": "s", "description": "an ester"}
    made_of = [{"itemReference": {"reference": "#s"}}]
    medication = {"resourceType": "Medication", "id": "m", "ingredient": made_of}
    assert statement(contained=[substance, medication], medicationReference={"reference": "#m"}) == not_read(
        "contained.description", Bearing.MEDICINE, only_if_unsaid=True
    )


def test_contained_resources_that_lead_to_each_other_are_looked_at_once() -> None:
    def made_of(identity: str, other: str) -> Resource:
        parts = [{"itemReference": {"reference": f"#{other}"}}]
        return {"resourceType": "Medication", "id": identity, "ingredient": parts, "nosuch": 1}

    found = statement(
        contained=[made_of("a", "b"), made_of("b", "a"), "odd", {"id": "a"}],
        medicationReference={"reference": "#a"},
    )
    assert found == [Opened("contained.nosuch", Bearing.MEDICINE, How.NOT_DEFINED)]


def test_a_resource_that_is_nested_too_deeply_is_open_as_a_whole() -> None:
    item: Resource = {}
    for _ in range(2000):
        item = {"item": [item]}
    assert opened("QuestionnaireResponse", item=[item]) == not_read("", Bearing.RECORD)


NAMES = sorted({name.rpartition(".")[2] for table in KNOWLEDGE.elements.types.values() for name in table})
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from(["", "#a", "a", ABSENT, "masked", "Medication"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from([*NAMES, *(f"_{name}" for name in NAMES), "url", "valueCode", "resourceType"]),
            inner,
        )
    ),
    max_leaves=20,
)


@given(
    kind=st.sampled_from(sorted(KNOWLEDGE.elements.types)),
    content=st.dictionaries(st.sampled_from(NAMES), VALUES),
)
def test_whatever_a_resource_holds_what_it_leaves_open_has_a_name(kind: str, content: Resource) -> None:
    found = find_opened(kind, content, KNOWLEDGE)
    assert all(one.element and one.bears_on not in {Bearing.ELEMENT, Bearing.NOTHING} for one in found)
    assert len(set(found)) == len(found)


# records as they are ---------------------------------------------------------------------------


def resource_of(path: Path) -> Resource:
    resource: Resource = json.loads(path.read_bytes())
    return resource_in_r4(resource) if path.parent.name == "R5" else resource


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_every_element_of_the_examples_of_the_specification_is_known(path: Path) -> None:
    resource = resource_of(path)
    found = find_opened(resource["resourceType"], resource, KNOWLEDGE)
    assert [one.element for one in found if one.how is How.NOT_DEFINED and one.element != LEFT_OVER] == []


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_what_is_named_is_what_the_tables_open(path: Path) -> None:
    """The walk is compiled for speed; the same is found by looking each element up in the tables."""
    resource = resource_of(path)
    found = {one.element for one in find_opened(resource["resourceType"], resource, KNOWLEDGE)}
    found = {element for element in found if not element.startswith("contained.")}
    met = elements_met(resource, KNOWLEDGE.elements)
    assert found == {element for element, treatment in met if treatment in {ElementUse.OPENS, None}}


def test_the_cases_leave_open_only_what_they_are_about() -> None:
    resources = (entry["resource"] for path in CASES for entry in json.loads(path.read_bytes())["entry"])
    found = {
        (resource["resourceType"], one.element)
        for resource in resources
        for one in find_opened(resource["resourceType"], resource, KNOWLEDGE)
    }
    assert found == {
        ("Condition", "code"),
        ("MedicationStatement", "contained.modifierExtension"),
        ("MedicationStatement", "dosage.modifierExtension"),
        ("MedicationStatement", "effectiveDateTime"),
        ("MedicationStatement", "medicationCodeableConcept.coding.extension(Extension-coding-sctdescid)"),
        ("MedicationStatement", "reasonCode"),
    }
