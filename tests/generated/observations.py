"""Observations at random: answers that tell of suicidality, scores, blood pressure, pregnancy."""

from random import Random
from typing import Any

from tests.generated.made import ANYTHING, HARMLESS, LOINC, PAST, WITHHOLDS, Made, loinc, resource_of
from tests.safety_tables import coding, table
from tests.support import Resource

_RESULTS = [
    row for row in table("codes/observations.csv") if row["kind"].startswith(("c-ssrs", "phq-9-item"))
]
_RESULT_WORDS = [
    row for row in table("codes/observation_words.csv") if row["kind"] in {row["kind"] for row in _RESULTS}
]
_YES: list[Resource] = [
    {"valueCodeableConcept": {"coding": [{"system": LOINC, "code": "LA33-6", "display": "Yes"}]}},
    {"valueCodeableConcept": {"text": "Yes"}},
    {"valueBoolean": True},
    {"valueString": "yes"},
]
_NO: list[Resource] = [
    {"valueCodeableConcept": {"coding": [{"system": LOINC, "code": "LA32-8", "display": "No"}]}},
    {"valueBoolean": False},
    {"valueString": "no"},
]
_OFTEN: list[Resource] = [
    {"valueCodeableConcept": {"coding": [{"system": LOINC, "code": "LA6569-3"}]}},
    {"valueCodeableConcept": {"coding": [{"system": LOINC, "code": "LA6571-9"}]}},
    {"valueInteger": 2},
    {"valueQuantity": {"value": 1}},
]
_NEVER: list[Resource] = [
    {"valueCodeableConcept": {"coding": [{"system": LOINC, "code": "LA6568-5"}]}},
    {"valueInteger": 0},
]
_RISK: list[Resource] = [{"valueCodeableConcept": {"text": text}} for text in ("High risk", "Low risk")]
_NO_RISK: list[Resource] = [{"valueCodeableConcept": {"text": "No risk"}}]
_ANSWERS = {"phq-9-item-9": (_OFTEN, _NEVER), "c-ssrs-risk": (_RISK, _NO_RISK)}


def suicidal_answer(rng: Random, identity: str) -> Made:
    """An answer of any age to the C-SSRS or to item 9 of the PHQ-9; only a positive one tells of it."""
    row = rng.choice(_RESULT_WORDS if rng.random() < 0.1 else _RESULTS)
    yes, no = _ANSWERS.get(row["kind"], (_YES, _NO))
    positive = rng.random() < 0.7
    status = rng.choice(["final", "final", "amended", "corrected", "preliminary", "entered-in-error"])
    answer = rng.choice(yes if positive else no)
    if row["kind"] == "phq-9-item-9" and rng.random() < 0.3:
        part = {"code": _measured(row), **answer}
        resource = _observation(rng, identity, loinc("44249-1"), status, component=[part])
    else:
        resource = _observation(rng, identity, _measured(row), status, **answer)
    return Made(resource, HARMLESS._replace(suicidal=positive and status != "entered-in-error"))


def _measured(row: dict[str, str]) -> Resource:
    return {"coding": [coding(row)]} if "code" in row else {"text": row["phrase"].capitalize()}


def _observation(rng: Random, identity: str, code: Resource, status: str, **value: Any) -> Resource:
    when: Resource = rng.choice(
        [
            {"effectiveDateTime": PAST[rng.randrange(45)]},
            {"effectiveDateTime": PAST[rng.randrange(45)] + "T08:30:00-05:00"},
            {"effectiveDateTime": PAST[rng.randrange(45, 2000)]},
            {"effectivePeriod": {"start": PAST[rng.randrange(45)]}},
            {"effectiveInstant": PAST[rng.randrange(45)] + "T08:30:00.123Z"},
            {"effectiveDateTime": "2026-11"},
            {"effectiveDateTime": "2025"},
            {"issued": PAST[3] + "T08:30:00Z"},
            {},
        ]
    )
    return resource_of(rng, "Observation", identity, status=status, code=code, **when, **value)


def score(rng: Random, identity: str) -> Made:
    """A PHQ-9 score: it may prove a response or a remission."""
    total = rng.choice([*range(28), 27, 99, -1, 12.5])
    value: Resource = rng.choice([{"valueInteger": total}, {"valueQuantity": {"value": total}}])
    return Made(_observation(rng, identity, loinc("44261-6"), "final", **value), ANYTHING)


def pressure(rng: Random, identity: str) -> Made:
    """A blood pressure: a caution at most."""
    parts = [
        {"code": loinc(code), "valueQuantity": {"value": value}}
        for code, value in (("8480-6", rng.randrange(90, 200)), ("8462-4", rng.randrange(50, 120)))
    ]
    return Made(_observation(rng, identity, loinc("85354-9"), "final", component=parts), HARMLESS)


def pregnancy(rng: Random, identity: str) -> Made:
    """A pregnancy status of the last months."""
    snomed = "http://snomed.info/sct"
    code = rng.choice(["77386006", "60001007"])
    answer = {"valueCodeableConcept": {"coding": [{"system": snomed, "code": code}]}}
    resource = _observation(rng, identity, loinc("82810-3"), "final", **answer)
    for name in [name for name in resource if name.startswith(("effective", "issued"))]:
        del resource[name]
    resource["effectiveDateTime"] = PAST[rng.randrange(200)]
    return Made(resource, WITHHOLDS if code == "77386006" else HARMLESS)
