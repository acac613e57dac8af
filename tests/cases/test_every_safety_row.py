"""Every row of the safety tables, read from FHIR: the finding it raises, and what is decided.

The patient had two documented failures and takes escitalopram, which every protocol accepts, so a plan
would be proposed. Each row adds one resource. What it should lead to is read off `safety/groups.csv` here
and not by the service, so that a row or a group without a result fails.
"""

import json
from collections.abc import Callable, Iterable
from datetime import UTC
from functools import cache
from itertools import groupby
from operator import attrgetter
from typing import Any, NamedTuple

import pytest

from service.core.decision import Decision, decide, name_of
from service.gather.files import read_bundle
from service.knowledge import mappings_directory
from service.read.record import read_record
from tests.safety_tables import GROUPS, REGIONS, Effect, coding, effect_of, resolved_effect_of, table
from tests.support import (
    RXNORM,
    Resource,
    a_bundle,
    a_condition,
    a_patient,
    a_statement,
    an_allergy,
    reviewer,
)

pytestmark = pytest.mark.no_cover

LOINC = "http://loinc.org"
THREE_WEEKS_AGO = "2026-11-02"
DECISIONS = {
    Effect.NONE: ("propose", "trd"),
    Effect.CAUTION: ("propose", "trd"),
    Effect.REVIEW: ("needs-review", "safety-review"),
    Effect.EXCLUDES: ("decline", "contraindicated"),
}


# the patient -----------------------------------------------------------------------------------


def running(identity: str, what: Resource, start: str = "2026-10-15") -> Resource:
    return a_statement(
        identity,
        status="active",
        statusReason=[],
        medicationCodeableConcept=what,
        effectivePeriod={"start": start},
    )


def rxnorm(code: str) -> Resource:
    return {"coding": [{"system": RXNORM, "code": code}]}


VENLAFAXINE = a_statement(
    "venlafaxine",
    medicationCodeableConcept=rxnorm("39786"),
    effectivePeriod={"start": "2025-10-15", "end": "2026-01-31"},
)
PATIENT = [
    a_patient(),
    a_condition("depression"),
    a_statement("sertraline"),
    VENLAFAXINE,
    running("escitalopram", rxnorm("321988")),
]


def decided(region: str, more: Iterable[Resource], patient: Iterable[Resource] = PATIENT) -> Decision:
    """The decision alone: neither a plan nor what would settle it is of interest here."""
    by = reviewer(region=region)
    gathered = read_bundle(json.dumps(a_bundle([*patient, *more])).encode())
    record = read_record(gathered, by.knowledge, UTC)
    return decide(record, by.knowledge, by.calendar, by.as_of)


class Told(NamedTuple):
    """What a decision says, as far as it is looked at here."""

    decision: tuple[str, str]
    safety: tuple[tuple[str, str, str], ...]


def told(decision: Decision) -> Told:
    return Told(
        (name_of(decision).value, decision.reason.value),
        tuple((found.id, found.effect.value, found.finding.value) for found in decision.assessment.safety),
    )


def expected(group: str, effect: Effect, finding: str) -> Told:
    found = () if effect is Effect.NONE else ((group, effect.name.lower(), finding),)
    return Told(DECISIONS[effect], found)


@pytest.mark.parametrize("region", REGIONS)
def test_without_a_row_a_plan_is_proposed_and_nothing_found(region: str) -> None:
    assert told(decided(region, [])) == expected("none", Effect.NONE, "met")


# the rows --------------------------------------------------------------------------------------


class Row(NamedTuple):
    """A row as a resource. What only its words tell is never more than `at_most`, and stays open."""

    group: str
    name: str
    resource: Resource
    coded: bool
    at_most: Effect = Effect.EXCLUDES


def concept(row: dict[str, str]) -> Resource:
    return {"coding": [coding(row)]}


def condition(group: str, code: Resource, **elements: Any) -> Resource:
    """A condition of a safety group: three weeks old where its age matters, else undated."""
    dated = {"onsetDateTime": THREE_WEEKS_AGO} if GROUPS[group]["within_days"] else {}
    found = a_condition("row", code=code, **elements)
    del found["onsetDateTime"]
    return found | dated


def conditions() -> list[Row]:
    return [
        Row(row["group"], f"{row['system']} {row['code']}", condition(row["group"], concept(row)), coded=True)
        for row in table("safety/conditions.csv")
    ]


def condition_words() -> list[Row]:
    return [
        Row(
            row["group"],
            row["word"],
            condition(row["group"], {"text": row["word"]}),
            coded=False,
            at_most=Effect.REVIEW,
        )
        for row in table("safety/condition_words.csv")
    ]


def repaired(code: Resource) -> Resource:
    return {
        "resourceType": "Procedure",
        "id": "row",
        "status": "completed",
        "code": code,
        "subject": {"reference": "Patient/ann"},
        "performedDateTime": "2019-03-01",
    }


def procedures() -> list[Row]:
    return [
        Row(row["group"], f"{row['system']} {row['code']}", repaired(concept(row)), coded=True)
        for row in table("safety/procedures.csv")
    ]


def procedure_words() -> list[Row]:
    """A word that does not say all by itself stands beside a word of the group that it asks for."""
    return [
        Row(row["group"], text, repaired({"text": text}), coded=False)
        for row in table("safety/procedure_words.csv")
        for named in (("aneurysm", "arteriovenous malformation") if row["beside"] else ("",))
        for text in (f"{row['word']} {named}".strip(),)
    ]


def named_or_coded(row: dict[str, str]) -> Resource:
    return concept(row) if row["code"] else {"text": row["name"]}


def allergies() -> list[Row]:
    return [
        Row(
            row["group"],
            row["code"] or row["name"],
            an_allergy("row") | {"code": named_or_coded(row)},
            coded=bool(row["code"]),
            at_most=Effect.EXCLUDES if row["code"] else Effect.REVIEW,
        )
        for row in table("safety/allergies.csv")
    ]


def medicines() -> list[Row]:
    return [
        Row(
            row["group"],
            row["code"] or row["name"],
            running("row", named_or_coded(row), "2026-11-01"),
            coded=bool(row["code"]),
        )
        for row in table("safety/medicines.csv")
    ]


def esketamine_codes() -> list[Row]:
    """A billing code is of a procedure, every other one of a medicine."""
    return [
        Row(
            "prior-esketamine",
            row["code"],
            billed(row) if row["system"] == "hcpcs" else given(row),
            coded=True,
        )
        for row in table("codes/esketamine.csv")
    ]


def esketamine_names() -> list[Row]:
    return [
        Row("prior-esketamine", row["name"], running("row", {"text": row["name"]}), coded=False)
        for row in table("codes/esketamine_names.csv")
    ]


def given(row: dict[str, str]) -> Resource:
    return running("row", concept(row), "2026-03-01")


def billed(row: dict[str, str]) -> Resource:
    return repaired(concept(row)) | {"performedDateTime": "2026-03-01"}


TABLES = {
    "conditions": conditions,
    "condition_words": condition_words,
    "procedures": procedures,
    "procedure_words": procedure_words,
    "allergies": allergies,
    "medicines": medicines,
    "esketamine": esketamine_codes,
    "esketamine_names": esketamine_names,
}


@cache
def rows_of(name: str) -> dict[str, list[Row]]:
    """The rows of a table by their group."""
    rows = sorted(TABLES[name](), key=attrgetter("group"))
    return {group: list(found) for group, found in groupby(rows, key=attrgetter("group"))}


EVERY_GROUP = [(name, group) for name in TABLES for group in rows_of(name)]


IN_EVERY_RUN = 3
"""So many rows of a group in a table; `make matrix` tries all."""
one_region = pytest.mark.parametrize("region", ["us", pytest.param("eu", marks=pytest.mark.matrix)])


def due(row: Row, region: str) -> Told:
    """What a row should lead to. Words lead to a review at most, and are never certain."""
    effect = min(effect_of(row.group, region), row.at_most)
    return expected(row.group, effect, "met" if row.coded else "indeterminate")


def wrong(rows: Iterable[Row], region: str) -> dict[str, tuple[Told, Told]]:
    """The rows that do not lead to what they should."""
    found = {row.name: (told(decided(region, [row.resource])), due(row, region)) for row in rows}
    return {row: both for row, both in found.items() if both[0] != both[1]}


@one_region
@pytest.mark.parametrize(("name", "group"), EVERY_GROUP)
def test_the_first_rows_raise_what_their_group_says(name: str, group: str, region: str) -> None:
    assert wrong(rows_of(name)[group][:IN_EVERY_RUN], region) == {}


@pytest.mark.matrix
@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize(("name", "group"), EVERY_GROUP)
def test_every_row_raises_what_its_group_says(name: str, group: str, region: str) -> None:
    assert wrong(rows_of(name)[group], region) == {}


@pytest.mark.parametrize(
    ("region", "most"),
    [("us", IN_EVERY_RUN), *(pytest.param(one, None, marks=pytest.mark.matrix) for one in REGIONS)],
)
def test_a_condition_known_by_its_words_is_not_screened(region: str, most: int | None) -> None:
    words = [row for rows in rows_of("condition_words").values() for row in rows[:most]]
    screened = [row.name for row in words if not decided(region, [row.resource]).assessment.not_screened]
    assert screened == []


# statuses --------------------------------------------------------------------------------------

VERIFIED = "http://terminology.hl7.org/CodeSystem/condition-ver-status"
CLINICAL = "http://terminology.hl7.org/CodeSystem/condition-clinical"


def coded_status(system: str, code: str) -> Resource:
    return {"coding": [{"system": system, "code": code}]}


def as_said(group: str, region: str) -> Effect:
    return effect_of(group, region)


def as_resolved(group: str, region: str) -> Effect:
    """A resolved record does what the group says; an event inside its days is counted by its day."""
    if GROUPS[group]["within_days"]:
        return effect_of(group, region)
    return resolved_effect_of(group, region)


def as_unproven(group: str, region: str) -> Effect:
    return min(effect_of(group, region), Effect.REVIEW)


def as_removed(_group: str, _region: str) -> Effect:
    return Effect.NONE


STATUSES = {
    "recurrence": ({"clinicalStatus": coded_status(CLINICAL, "recurrence")}, as_said),
    "confirmed": ({"verificationStatus": coded_status(VERIFIED, "confirmed")}, as_said),
    "resolved": ({"clinicalStatus": coded_status(CLINICAL, "resolved")}, as_resolved),
    "unconfirmed": ({"verificationStatus": coded_status(VERIFIED, "unconfirmed")}, as_unproven),
    "provisional": ({"verificationStatus": coded_status(VERIFIED, "provisional")}, as_unproven),
    "differential": ({"verificationStatus": coded_status(VERIFIED, "differential")}, as_unproven),
    "refuted": ({"verificationStatus": coded_status(VERIFIED, "refuted")}, as_removed),
    "in error": ({"verificationStatus": coded_status(VERIFIED, "entered-in-error")}, as_removed),
}


@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize(("elements", "effect"), STATUSES.values(), ids=STATUSES)
def test_every_group_heeds_the_status_of_a_condition(
    elements: Resource, effect: Callable[[str, str], Effect], region: str
) -> None:
    for group, rows in rows_of("conditions").items():
        found = told(decided(region, [rows[0].resource | elements]))
        wanted = expected(group, effect(group, region), "any")
        assert found.decision == wanted.decision, group
        assert [s[:2] for s in found.safety] == [s[:2] for s in wanted.safety], group


# groups that no code raises --------------------------------------------------------------------


def pressure(systolic: int, diastolic: int) -> Resource:
    parts = {"8480-6": systolic, "8462-4": diastolic}
    return {
        "resourceType": "Observation",
        "id": "row",
        "status": "final",
        "code": coded_status(LOINC, "85354-9"),
        "subject": {"reference": "Patient/ann"},
        "effectiveDateTime": THREE_WEEKS_AGO,
        "component": [
            {
                "code": coded_status(LOINC, code),
                "valueQuantity": {
                    "value": value,
                    "unit": "mm[Hg]",
                    "system": "http://unitsofmeasure.org",
                    "code": "mm[Hg]",
                },
            }
            for code, value in parts.items()
        ],
    }


UNREADABLE = a_condition("row", clinicalStatus=coded_status(CLINICAL, "active"), onsetDateTime="last spring")
SUICIDAL = a_condition(
    "suicidal", code=coded_status("http://hl7.org/fhir/sid/icd-10-cm", "R45.851"), onsetDateTime="2026-11-20"
)
PLAN_IN_WORDS: Resource = {
    "resourceType": "CarePlan",
    "id": "row",
    "status": "active",
    "intent": "plan",
    "subject": {"reference": "Patient/ann"},
    "title": "Spravato",
}
SPECIAL = {
    "blood-pressure": (PATIENT, pressure(150, 95)),
    "no-oral-antidepressant": ([a_patient(), a_condition("depression")], SUICIDAL),
    "unreadable-safety-record": (PATIENT, UNREADABLE),
    "inactive-patient-record": ([{**PATIENT[0], "active": False}, *PATIENT[1:]], a_condition("more")),
    "esketamine-plan-in-words": (PATIENT, PLAN_IN_WORDS),
}
"""A patient and one resource each for the groups that no table row raises."""


@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize("group", SPECIAL)
def test_a_group_without_rows_is_raised_too(group: str, region: str) -> None:
    patient, resource = SPECIAL[group]
    found = told(decided(region, [resource], patient))
    effect = effect_of(group, region)
    assert [s[:2] for s in found.safety] == [(group, effect.name.lower())]
    assert found.decision[0] == DECISIONS[effect][0]


def test_every_group_is_raised_by_something_here() -> None:
    assert {group for _, group in EVERY_GROUP} | SPECIAL.keys() == GROUPS.keys()


def test_every_table_of_the_folder_is_looked_at() -> None:
    tables = {path.stem for path in (mappings_directory() / "safety").glob("*.csv")}
    assert tables == {"groups", "other_allergens", *TABLES} - {"esketamine", "esketamine_names"}
