"""Random patients in FHIR, each resource with what it was made to mean.

Hostile on purpose: odd statuses and dates, codes and words, broken resources, contradictions. The meaning
comes from how a resource was made and from the tables under `mappings/`, never from the service. Where the
rules leave a reading open, a resource claims nothing.
"""

from collections.abc import Callable
from enum import Enum
from random import Random
from typing import NamedTuple

from tests.generated.conditions import (
    UNGRADED,
    any_depression,
    broken_record,
    depression,
    ketamine_allergy,
    other_allergy,
    safety_condition,
    suicidal_condition,
    unrelated_condition,
    written_condition,
)
from tests.generated.illness import Illness, random_illness
from tests.generated.made import HARMLESS, PATIENT_ID, Made, Meaning, resource_of
from tests.generated.medicines import (
    active_plan,
    antidepressant,
    broken_medicine,
    broken_plan,
    esketamine,
    interacting_medicine,
    procedure,
    repair,
    statement,
)
from tests.generated.observations import pregnancy, pressure, score, suicidal_answer
from tests.support import BASE, RXNORM, Resource


class Age(Enum):
    """Whether a birth date tells that somebody is 18."""

    ADULT = "adult"
    MINOR = "minor"
    UNKNOWN = "unknown"


class Patient(NamedTuple):
    """A patient, and what is on record."""

    person: Resource
    age: Age
    dead: bool
    resistance: tuple[Made, ...]
    """A depression that is active, and three antidepressants that failed in it; empty when not resistant."""
    made: tuple[Made, ...]
    """Whatever else is on record."""
    illness: Illness | None = None
    """A depression of which everything is known; nothing else on record bears on it then."""

    @property
    def resources(self) -> list[Resource]:
        """The record, the patient first."""
        known = self.illness.resources if self.illness else []
        return [self.person, *(made.resource for made in (*self.resistance, *self.made)), *known]


def bundle_of(resources: list[Resource]) -> Resource:
    """A Bundle of resources, some of which may have no type or no id."""
    return {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [{"fullUrl": _address(resource), "resource": resource} for resource in resources],
    }


def _address(resource: Resource) -> str:
    return f"{BASE}/{resource.get('resourceType', 'Basic')}/{resource['id']}"


def other_resource(rng: Random, identity: str) -> Made:
    """A resource that is none of this service's business."""
    kind = rng.choice(["Encounter", "QuestionnaireResponse", "Basic", "DocumentReference", "Immunization"])
    return Made(resource_of(rng, kind, identity, status="completed", code={"text": "Aneurysm"}), HARMLESS)


def of_another(rng: Random, identity: str) -> Made:
    """A resource of somebody else."""
    made = rng.choice([unrelated_condition, other_allergy, pressure])(rng, identity)
    owner = "patient" if "patient" in made.resource else "subject"
    return Made({**made.resource, owner: {"reference": "Patient/q"}}, Meaning(another=True))


_BORN = (
    *[("1981-04-12", Age.ADULT)] * 6,
    ("1950", Age.ADULT),
    ("2007", Age.ADULT),
    ("2008-10", Age.ADULT),
    ("2008-11-23", Age.ADULT),
    ("2008-11-24", Age.MINOR),
    ("2008-12", Age.MINOR),
    ("2009", Age.MINOR),
    ("2008", Age.UNKNOWN),
    ("2008-11", Age.UNKNOWN),
    ("1900-01-01", Age.UNKNOWN),
    ("2030-01-01", Age.UNKNOWN),
    (None, Age.UNKNOWN),
)
_ALIVE: tuple[Resource, ...] = ({}, {"deceasedBoolean": False}, {"deceasedDateTime": "2031-01-01"})
_DEAD: tuple[Resource, ...] = (
    {"deceasedBoolean": True},
    {"deceasedDateTime": "2020"},
    {"deceasedDateTime": "2026-11-23"},
    {"deceasedDateTime": "2026-10-30T03:00:00Z"},
    {"_deceasedDateTime": {"extension": [{"url": "http://example.org/unknown", "valueCode": "unknown"}]}},
)
_KNOWN, _HOSTILE, _RESISTANT = 0.3, 0.6, 0.8
"""The shares of patients of whose depression everything is known, and of the others: of those with something
against a plan, and of those with something for it."""

Make = Callable[[Random, str], Made]
_NOISE: tuple[Make, ...] = (
    unrelated_condition,
    other_allergy,
    other_resource,
    interacting_medicine,
    pressure,
    procedure,
    broken_medicine,
    suicidal_condition,
    suicidal_answer,
)
_APART: tuple[Make, ...] = (unrelated_condition, other_allergy, other_resource, pressure, procedure)
"""What bears neither on the depression nor on its treatment."""
_HAZARDS: tuple[Make, ...] = (
    *[safety_condition] * 6,
    *[ketamine_allergy] * 2,
    *[esketamine] * 2,
    *[suicidal_condition] * 2,
    *[suicidal_answer] * 2,
    *[antidepressant] * 2,
    written_condition,
    repair,
    any_depression,
    broken_record,
    score,
)
_RARE: tuple[Make, ...] = (active_plan, broken_plan, of_another)
_FAILED = (
    ("36437", 100, "2025-01-10", "2025-04-10"),
    ("39786", 225, "2025-04-20", "2025-08-31"),
    ("15996", 30, "2025-09-10", "2026-01-31"),
)


def _resistance(rng: Random) -> tuple[Made, ...]:
    taken = [
        statement(
            rng,
            f"failed-{rxnorm}",
            {"coding": [{"system": RXNORM, "code": rxnorm}]},
            "stopped",
            statusReason=[{"text": "Ineffective"}],
            effectivePeriod={"start": start, "end": end},
            dosage=[
                {
                    "timing": {"repeat": {"frequency": 1, "period": 1, "periodUnit": "d"}},
                    "doseAndRate": [{"doseQuantity": {"value": mg, "unit": "mg", "code": "mg"}}],
                }
            ],
        )
        for rxnorm, mg, start, end in _FAILED
    ]
    return (depression(rng, "depression"), *(Made(resource, HARMLESS) for resource in taken))


def is_graded(resistance: tuple[Made, ...]) -> bool:
    """Whether the depression of a patient who is resistant is coded with its severity."""
    conditions = (made.resource for made in resistance if made.resource["resourceType"] == "Condition")
    return all(one["code"]["coding"][0]["code"] != UNGRADED for one in conditions)


def random_patient(rng: Random) -> Patient:
    """A patient: one whose depression is told through the years, or one with a record that is hostile."""
    return _told_through_the_years(rng) if rng.random() < _KNOWN else _hostile(rng)


def _told_through_the_years(rng: Random) -> Patient:
    person = {"resourceType": "Patient", "id": PATIENT_ID, "birthDate": "1981-04-12"}
    makes = rng.choices(_APART, k=rng.randrange(2))
    made = tuple(make(rng, f"r{number}") for number, make in enumerate(makes))
    return Patient(person, Age.ADULT, dead=False, resistance=(), made=made, illness=random_illness(rng))


def _hostile(rng: Random) -> Patient:
    """Most are resistant to treatment, more than half have something against a plan."""
    hostile = rng.random() < _HOSTILE
    born, age = rng.choice(_BORN)
    dead = hostile and rng.random() < 0.05
    person: Resource = {"resourceType": "Patient", "id": PATIENT_ID, "meta": {"versionId": "1"}}
    person |= rng.choice(_DEAD if dead else _ALIVE)
    if born is not None:
        person["birthDate"] = born
    makes = rng.choices(_NOISE, k=rng.randrange(4))
    if hostile:
        makes += rng.choices(_HAZARDS, k=rng.randrange(1, 5))
        makes += rng.choices(_RARE) if rng.random() < 0.03 else []
    if rng.random() < 0.1:
        makes.append(pregnancy)
    resistance = _resistance(rng) if rng.random() < _RESISTANT else ()
    if not resistance and rng.random() < 0.7:
        makes.append(depression)
    made = tuple(make(rng, f"r{number}") for number, make in enumerate(makes))
    return Patient(person, age, dead, resistance, made)
