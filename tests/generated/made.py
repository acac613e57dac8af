"""A generated resource and what it was made to mean, and what all of them are made of."""

from collections import defaultdict
from collections.abc import Callable
from datetime import timedelta
from random import Random
from typing import Any, NamedTuple

from tests.safety_tables import REGIONS, coding, table
from tests.support import AS_OF, BASE, Resource

BOTH = frozenset(REGIONS)
NOWHERE = frozenset[str]()


class Meaning(NamedTuple):
    """What a resource must lead to, by region where they differ."""

    excludes: frozenset[str] = NOWHERE
    """Where it is a contraindication that nothing takes back."""
    withholds: frozenset[str] = NOWHERE
    """Where no plan may be proposed as long as it stands."""
    harmless: frozenset[str] = NOWHERE
    """Where it is no reason against a plan."""
    suicidal: bool = False
    """Whether an alert has to name it."""
    another: bool = False
    """Whether it is somebody else's, so that nothing may be concluded at all."""


HARMLESS = Meaning(harmless=BOTH)
WITHHOLDS = Meaning(withholds=BOTH)
ANYTHING = Meaning()


class Made(NamedTuple):
    """A resource, and what it was made to mean."""

    resource: Resource
    meaning: Meaning


# days ------------------------------------------------------------------------------------------

PAST = [(AS_OF - timedelta(days=days)).isoformat() for days in range(2500)]
"""The days up to the day of assessment, the latest first."""
RECENT = 43
"""So many days lie at most six weeks back."""
LONG_AGO = 60


class When(NamedTuple):
    """The dates of a condition; `days_ago` where its onset is a day of the past."""

    elements: Resource
    days_ago: int | None = None


def some_time(rng: Random) -> When:
    """A day of the last weeks or years, or one of the ways not to say when."""
    if rng.random() < 0.5:
        days = rng.randrange(RECENT) if rng.random() < 0.5 else rng.randrange(LONG_AGO, 2000)
        stamp = rng.choice(["", "T23:59:59+13:00", "T00:00:00Z"])
        return When({"onsetDateTime": PAST[days] + stamp}, days)
    return When(rng.choice(_ODD_DATES))


_ODD_DATES: list[Resource] = [
    {},
    {},
    {"onsetDateTime": "2026"},
    {"onsetDateTime": "2026-11"},
    {"onsetDateTime": "1900-01-01"},
    {"onsetDateTime": "2031-05-05"},
    {"onsetString": "in her thirties"},
    {"onsetAge": {"value": 31, "unit": "a", "system": "http://unitsofmeasure.org", "code": "a"}},
    {"onsetPeriod": {"start": "2020-03", "end": "2020-05"}},
    {"onsetRange": {"low": {"value": 20}, "high": {"value": 30}}},
    {"recordedDate": "2026-11-20"},
    {"_onsetDateTime": {"extension": [{"url": "http://example.org/unknown", "valueCode": "unknown"}]}},
]


# resources -------------------------------------------------------------------------------------

PATIENT_ID = "p"
_SUBJECTS: list[Resource] = [
    {"reference": f"Patient/{PATIENT_ID}"},
    {"reference": f"Patient/{PATIENT_ID}"},
    {"reference": f"Patient/{PATIENT_ID}", "display": "the patient"},
    {"reference": f"{BASE}/Patient/{PATIENT_ID}", "type": "Patient"},
]
_TERMINOLOGY = "http://terminology.hl7.org/CodeSystem"
LOINC = "http://loinc.org"
ICD_10_CM = "http://hl7.org/fhir/sid/icd-10-cm"


def resource_of(rng: Random, kind: str, identity: str, **elements: Any) -> Resource:
    """A resource of the patient."""
    owner = "patient" if kind == "AllergyIntolerance" else "subject"
    head = {"resourceType": kind, "id": identity, "meta": {"versionId": str(rng.randrange(1, 12))}}
    return {**head, owner: rng.choice(_SUBJECTS), **elements}


def status_of(name: str, code: str | None, system: str) -> Resource:
    return {} if code is None else {name: {"coding": [{"system": f"{_TERMINOLOGY}/{system}", "code": code}]}}


def loinc(code: str) -> Resource:
    return {"coding": [{"system": LOINC, "code": code}]}


def concept_of(rng: Random, row: dict[str, str]) -> Resource:
    """The code of a row, sometimes behind a local one; the words are those of the row, or none."""
    found = coding(row)
    if row.get("display") and rng.random() < 0.5:
        found["display"] = row["display"]
    codings = [found]
    if rng.random() < 0.2:
        codings.insert(0, {"system": "urn:oid:1.2.3.4", "code": "L-1"})
    return {"coding": codings}


def rows_by(name: str, key: str = "group") -> dict[str, list[dict[str, str]]]:
    """The rows of a list by one of their columns."""
    found: dict[str, list[dict[str, str]]] = defaultdict(list)
    for row in table(name):
        found[row[key]].append(row)
    return dict(found)


# a resource that has come to harm ---------------------------------------------------------------


def without(name: str) -> Callable[[Resource], None]:
    return lambda resource: resource.pop(name, None)


def changed_to(**elements: Any) -> Callable[[Resource], None]:
    return lambda resource: resource.update(elements)


MODIFIER = [{"url": "http://example.org/not", "valueBoolean": True}]
