"""A fault in a table of elements names the file and the line."""

from collections.abc import Iterator

import pytest

from service.core.elements import Bearing, ElementRule, ElementUse, How
from service.knowledge.elements import load_elements
from service.knowledge.rows import Faults, Row

COLUMNS = ("element", "r5", "treatment", "bears_on", "modifier", "parts", "when", "why", "source")
ID = ("id", "", "silent", "nothing", "no", "", "", "It is an anchor.", "FHIR")
CODE = ("code", "", "used", "diagnosis", "no", "", "", "It says what.", "FHIR")
EXTENSION = {
    "url": "http://example.org/odd",
    "kind": "fact",
    "treatment": "opens",
    "bears_on": "dose",
    "when": "",
    "why": "It is odd.",
    "source": "test",
}
ABSENCE = {"system": "test", "code": "masked", "how": "withheld", "why": "It is not shown.", "source": "test"}
LABEL = {"system": "test", "code": "REDACTED", "why": "Parts are gone.", "source": "test"}

Lists = dict[str, list[dict[str, str]]]


def lists(*rows: tuple[str, ...], **others: dict[str, str]) -> Lists:
    """Lists with the rows of one kind of resource, and more rows of the lists that are about no type."""
    tables: Lists = {f"elements/{base}.csv": [dict(zip(COLUMNS, ID, strict=True))] for base in BASES}
    tables["elements/Odd.csv"] = [dict(zip(COLUMNS, row, strict=True)) for row in rows]
    for name, row in (("extensions", EXTENSION), ("absences", ABSENCE), ("labels", LABEL)):
        tables[f"elements/{name}.csv"] = [row, others[name]] if name in others else [row]
    return tables


BASES = ("Resource", "DomainResource", "Element", "BackboneElement")


def faults_of(tables: Lists) -> list[str]:
    def rows(name: str) -> Iterator[Row]:
        return (Row(name, line, values) for line, values in enumerate(tables[name], start=2))

    faults = Faults()
    load_elements([*tables, "codes/other.csv"], rows, faults)
    return faults.found


def row(**changed: str) -> tuple[str, ...]:
    values = dict(zip(COLUMNS, CODE, strict=True)) | {"element": "other"} | changed
    return tuple(values[column] for column in COLUMNS)


def test_tables_without_a_fault_load() -> None:
    assert faults_of(lists(CODE, row())) == []


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        (row(element="code"), "lists 'code' twice"),
        (row(treatment="read"), "has a value that is not allowed ('read' is not a valid ElementUse)"),
        (row(bears_on="mood"), "has a value that is not allowed ('mood' is not a valid Bearing)"),
        (row(when="sometimes"), "has a value that is not allowed ('sometimes')"),
        (row(modifier="perhaps"), "has a modifier that is neither yes nor no: 'perhaps'"),
        (row(why=""), "does not say why"),
        (row(treatment="silent", bears_on="nothing", modifier="yes"), "is a modifier element and silent"),
        (row(treatment="silent"), "has the treatment 'silent' and bears on 'diagnosis'"),
        (row(bears_on="nothing"), "has the treatment 'used' and bears on 'nothing'"),
        (row(treatment="opens", bears_on="nothing"), "has the treatment 'opens' and bears on 'nothing'"),
        (row(when="unsaid"), "has the treatment 'used' and a condition; only what opens has one"),
        (row(parts="Oddity"), "has parts of a type that is not listed: 'Oddity'"),
        (row(parts="#oddity"), "has parts of a type that is not listed: '#oddity'"),
        (row(element="oddity.part"), "is a part of 'oddity', which is not used"),
        (row(element=""), "names no element"),
        (row(r5="code"), "lists 'code' twice"),
        (row(element="", r5="later", treatment="read"), "has a value that is not allowed"),
    ],
)
def test_a_faulty_row_is_named_with_its_line(changed: tuple[str, ...], what: str) -> None:
    (fault,) = faults_of(lists(CODE, changed))
    assert fault.startswith(f"elements/Odd.csv:3: {what}")


def test_a_part_of_a_silent_element_has_no_row() -> None:
    silent = row(treatment="silent", bears_on="nothing")
    assert faults_of(lists(silent, row(element="other.part"))) == [
        "elements/Odd.csv:3: is a part of 'other', which is not used"
    ]


def test_one_name_of_r5_has_one_rule() -> None:
    assert faults_of(lists(row(r5="later"), row(element="more", r5="later"))) == []
    assert faults_of(lists(row(r5="later"), row(element="more", r5="later", bears_on="dose"))) == [
        "elements/Odd.csv:3: gives 'later' a second rule"
    ]


@pytest.mark.parametrize(
    ("name", "changed", "what"),
    [
        ("extensions", EXTENSION, "lists 'http://example.org/odd' twice"),
        ("extensions", EXTENSION | {"url": "http://example.org/more", "why": ""}, "does not say why"),
        ("extensions", EXTENSION | {"url": "http://example.org/more", "kind": "x"}, "has a kind that is not"),
        ("extensions", EXTENSION | {"url": "http://example.org/more", "treatment": "x"}, "has a value that"),
        ("absences", ABSENCE, "lists 'masked' twice"),
        ("absences", ABSENCE | {"code": "gone", "how": "somehow"}, "has a value that is not allowed"),
        ("absences", ABSENCE | {"code": "gone", "why": ""}, "does not say why"),
        ("labels", LABEL, "lists 'REDACTED' twice"),
        ("labels", LABEL | {"code": "GONE", "why": ""}, "does not say why"),
    ],
)
def test_a_faulty_row_of_the_other_lists(name: str, changed: dict[str, str], what: str) -> None:
    (fault,) = faults_of(lists(CODE, **{name: changed}))
    assert fault.startswith(f"elements/{name}.csv:3: {what}")


def test_a_type_that_others_rest_on_is_missing() -> None:
    tables = lists(CODE)
    del tables["elements/Element.csv"]
    assert faults_of(tables) == ["elements/Element.csv: missing"]


def test_what_the_tables_say() -> None:
    tables = lists(row(r5="later"), row(element="", r5="latest", treatment="silent", bears_on="nothing"))

    found = load_elements(tables, lambda name: [Row(name, 2, values) for values in tables[name]], Faults())

    assert found.types["Odd"] == {
        "other": ElementRule(ElementUse.USED, Bearing.DIAGNOSIS),
        "later": ElementRule(ElementUse.OPENS, Bearing.DIAGNOSIS),
        "latest": ElementRule(ElementUse.SILENT, Bearing.NOTHING),
    }
    assert found.extensions == {EXTENSION["url"]: ElementRule(ElementUse.OPENS, Bearing.DOSE)}
    assert found.absences == {"masked": How.WITHHELD}
    assert found.labels == {"REDACTED"}
    assert found.absence_extensions == frozenset()
