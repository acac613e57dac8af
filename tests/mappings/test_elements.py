"""Every element that FHIR defines has a row, every row an element, and no modifier is silent."""

from collections.abc import Iterator
from pathlib import PurePath

import pytest

from service.core.elements import Bearing, ElementRule, ElementUse
from service.fhir.kinds import READ_KINDS
from tests.lists import knowledge_of
from tests.mappings.definitions import MODELS, elements_of

KNOWLEDGE = knowledge_of()
TABLES = KNOWLEDGE.elements
ROWS = {
    PurePath(name).stem: listing.rows
    for name, listing in KNOWLEDGE.catalogue.files.items()
    if name.startswith("elements/") and PurePath(name).stem in TABLES.types
}
BASES = ("Resource", "DomainResource", "Element", "BackboneElement")
OTHERS = ("Substance", "QuestionnaireResponse", "Flag", "List")
"""Kinds that have a table and are not asked for: what a medicine is made of, and those yet to be read."""
RESOURCES = (*READ_KINDS, *OTHERS)
PARTS = tuple(sorted(ROWS.keys() - {*RESOURCES, *BASES}))

MODIFIERS = {
    "Resource": {"implicitRules"},
    "DomainResource": {"modifierExtension"},
    "BackboneElement": {"modifierExtension"},
    "Patient": {"active", "deceasedBoolean", "deceasedDateTime", "link"},
    "Condition": {
        "clinicalStatus",
        "verificationStatus",
        "onsetAge.comparator",
        "abatementAge.comparator",
    },
    "MedicationStatement": {"status"},
    "MedicationRequest": {"status", "intent", "doNotPerform"},
    "MedicationDispense": {"status"},
    "MedicationAdministration": {"status"},
    "Medication": {"status"},
    "Substance": {"status", "instance"},
    "AllergyIntolerance": {"clinicalStatus", "verificationStatus"},
    "Observation": {"status", "valueQuantity.comparator", "component.valueQuantity.comparator"},
    "Procedure": {"status"},
    "CarePlan": {"status", "intent", "activity.detail.status", "activity.detail.doNotPerform"},
    "QuestionnaireResponse": {"status"},
    "Flag": {"status"},
    "List": {"status", "mode", "entry.deleted"},
    "Quantity": {"comparator"},
    "Identifier": {"use"},
}
"""Elements with `isModifier` in the StructureDefinitions of R4 (4.0.1) and R5 (5.0.0), which agree on them.

https://hl7.org/fhir/R4/conformance-rules.html#isModifier; the models of `fhir.resources` do not say. The
comparators of quantities that have rows of their own are named with their place.
"""


def rules_of(kind: str) -> dict[str, ElementRule]:
    """The rules of a type with those that it has from the types above it."""
    above = ("Resource", "DomainResource") if kind in RESOURCES else ("Element", "BackboneElement")
    return {name: rule for table in (*above, kind) for name, rule in TABLES.types[table].items()}


def is_looked_into(path: str, rules: dict[str, ElementRule]) -> bool:
    """Whether the parts of the element in which a path lies have rows."""
    wholes = [path.rpartition(".")[0]]
    while "." in wholes[-1]:
        wholes.append(wholes[-1].rpartition(".")[0])
    found = [rules.get(whole) for whole in wholes if whole]
    return all(rule is not None and rule.treatment is ElementUse.USED and not rule.parts for rule in found)


@pytest.mark.parametrize("release", MODELS)
@pytest.mark.parametrize("kind", [*RESOURCES, *PARTS])
def test_every_element_has_a_row(kind: str, release: str) -> None:
    inherited = {name for base in BASES for name in TABLES.types[base]}
    rules = rules_of(kind)

    assert [
        path
        for path in elements_of(release, kind)
        if path not in rules
        and not ("." in path and path.rpartition(".")[2] in inherited)
        and is_looked_into(path, rules)
    ] == []


@pytest.mark.parametrize("kind", ROWS)
def test_every_row_has_an_element_of_the_releases_it_names(kind: str) -> None:
    defined = {release: elements_of(release, kind) for release in MODELS}
    for row in ROWS[kind]:
        if row["element"] and row["element"].rpartition(".")[0] not in _of_a_type(kind):
            releases = " and ".join(release for release in MODELS if row["element"] in defined[release])
            assert row["source"] == f"FHIR {releases}", row
        if row["r5"]:
            assert row["r5"] in defined["R5"], row
            assert row["r5"] not in defined["R4"], row


@pytest.mark.parametrize("kind", ROWS)
def test_a_used_element_with_parts_names_their_type(kind: str) -> None:
    """The type that R4 has, where R5 has another: records of R5 are translated before they are read."""
    for row in ROWS[kind]:
        release = "R4" if "R4" in row["source"] else "R5"
        if row["treatment"] == "used" and row["element"] in elements_of(release, kind):
            assert row["parts"] == (elements_of(release, kind)[row["element"]] or ""), row


def _of_a_type(kind: str) -> set[str]:
    """The elements whose parts are of a type with a table; a row of one of them is for this place alone."""
    return {row["element"] for row in ROWS[kind] if row["parts"]}


@pytest.mark.parametrize("kind", ROWS)
def test_the_modifier_elements_are_those_of_the_specification(kind: str) -> None:
    assert {row["element"] for row in ROWS[kind] if row["modifier"] == "yes"} == MODIFIERS.get(kind, set())


def test_no_modifier_element_and_none_that_bears_on_a_fact_is_silent() -> None:
    for kind, table in TABLES.types.items():
        silent = {name: rule for name, rule in table.items() if rule.treatment is ElementUse.SILENT}
        assert {rule.bears_on for rule in silent.values()} <= {Bearing.NOTHING}, kind
        assert not silent.keys() & MODIFIERS.get(kind, set()), kind


def test_a_modifier_element_is_never_part_of_a_silent_one() -> None:
    for kind, modifiers in MODIFIERS.items():
        for path in modifiers:
            assert path in rules_of(kind), (kind, path)


def test_every_kind_of_resource_that_is_read_has_a_table() -> None:
    assert set(RESOURCES) <= TABLES.types.keys()


def test_a_part_bears_on_what_its_place_says_and_a_resource_on_facts() -> None:
    """A resource stands nowhere, so that its elements must name their fact themselves."""
    for kind in (*RESOURCES, "Resource", "DomainResource"):
        assert Bearing.ELEMENT not in {rule.bears_on for rule in TABLES.types[kind].values()}, kind


def test_what_only_r5_calls_so_opens_where_it_was_not_translated() -> None:
    request = TABLES.types["MedicationRequest"]
    assert request["medication"] == ElementRule(ElementUse.OPENS, Bearing.MEDICINE)
    assert request["medicationReference"].treatment is ElementUse.USED
    assert TABLES.types["MedicationStatement"]["encounter"].treatment is ElementUse.SILENT


def test_reasons_are_sentences() -> None:
    lists = {name: listing for name, listing in KNOWLEDGE.catalogue.files.items() if "elements/" in name}
    assert [
        row["why"] for listing in lists.values() for row in listing.rows if not _is_sentence(row["why"])
    ] == []


def _is_sentence(text: str) -> bool:
    return text.endswith(".") and len(text.split()) > 1


def _codes(name: str) -> Iterator[str]:
    return (row["code"] for row in KNOWLEDGE.catalogue.files[f"elements/{name}.csv"].rows)


def test_every_reason_for_a_missing_value_is_listed() -> None:
    """https://hl7.org/fhir/R4/codesystem-data-absent-reason.html has 15; masked ones are withheld."""
    assert len([code for code in _codes("absences") if code.islower()]) == 15
    assert {code for code, how in TABLES.absences.items() if how == "withheld"} == {
        "masked",
        "not-permitted",
        "MSK",
    }
    assert TABLES.absence_extensions <= TABLES.extensions.keys()
