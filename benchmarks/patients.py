"""Synthetic patients, built in code: nobody's record."""

from collections.abc import Iterable, Iterator
from datetime import date
from typing import Any, Final, NamedTuple

import orjson

AS_OF: Final = date(2026, 3, 2)
"""The day every assessment here speaks of."""

Json = dict[str, Any]

_BASE: Final = "http://example.org/fhir"
_RXNORM: Final = "http://www.nlm.nih.gov/research/umls/rxnorm"
_SNOMED: Final = "http://snomed.info/sct"
_ICD: Final = "http://hl7.org/fhir/sid/icd-10-cm"
_UCUM: Final = "http://unitsofmeasure.org"
_TERMINOLOGY: Final = "http://terminology.hl7.org/CodeSystem"


class _Taken(NamedTuple):
    """One medicine taken. Without an end it goes on; `times` a day; `why` is the reason it was stopped."""

    rxnorm: str
    display: str
    start: str
    end: str | None
    amount: float
    unit: str = "mg"
    times: int = 1
    why: str | None = None


class _Diagnosed(NamedTuple):
    """One condition, by ICD-10-CM code. Without an end it is active."""

    code: str
    display: str
    onset: str
    end: str | None = None


_NO_EFFECT: Final = "lack of effect"
_SIDE_EFFECTS: Final = "side effects"

_DIAGNOSES: Final = (
    _Diagnosed("F33.2", "Major depressive disorder, recurrent severe without psychotic features", "2024-03"),
    _Diagnosed("F32.1", "Major depressive disorder, single episode, moderate", "2015", "2016-11"),
    _Diagnosed("I10", "Essential (primary) hypertension", "2019"),
    _Diagnosed("E78.5", "Hyperlipidemia, unspecified", "2021-05-17"),
    _Diagnosed("J06.9", "Acute upper respiratory infection, unspecified", "2025-01-20", "2025-02-03"),
)

_TAKEN: Final = (
    # the current episode
    _Taken("312941", "sertraline 50 MG Oral Tablet", "2024-03-25", "2024-04-22", 1, "{tablet}"),
    _Taken(
        "312938", "sertraline 100 MG Oral Tablet", "2024-04-23", "2024-09-12", 1, "{tablet}", why=_NO_EFFECT
    ),
    _Taken("313585", "24 HR venlafaxine 75 MG Extended Release Oral Capsule", "2024-09", "2024-10-20", 75),
    _Taken(
        "313581",
        "24 HR venlafaxine 150 MG Extended Release Oral Capsule",
        "2024-10-21",
        "2025-02",
        150,
        why=_NO_EFFECT,
    ),
    _Taken(
        "596934",
        "duloxetine 60 MG Delayed Release Oral Capsule",
        "2025-03-03",
        "2025-03-24",
        60,
        why=_SIDE_EFFECTS,
    ),
    _Taken(
        "993541",
        "24 HR bupropion hydrochloride 150 MG Extended Release Oral Tablet",
        "2025-04",
        "2025-05",
        150,
    ),
    _Taken(
        "993557",
        "24 HR bupropion hydrochloride 300 MG Extended Release Oral Tablet",
        "2025-06-02",
        "2025-10-13",
        300,
    ),
    _Taken("311725", "mirtazapine 15 MG Oral Tablet", "2025-09-15", None, 15),
    _Taken("351250", "escitalopram 20 MG Oral Tablet", "2025-10-20", None, 1, "{tablet}"),
    _Taken("89013", "aripiprazole", "2025-07-01", "2025-10-13", 5),
    _Taken("6448", "lithium", "2025-11", None, 300, times=2),
    # the earlier one
    _Taken("200371", "citalopram 20 MG Oral Tablet", "2015-02", "2015-05", 20, why=_NO_EFFECT),
    _Taken("310385", "fluoxetine 20 MG Oral Capsule", "2015-06", "2016-11", 20, why="remission"),
    # and whatever else a record holds
    _Taken("29046", "lisinopril", "2019", None, 10),
    _Taken("83367", "atorvastatin", "2021-05-17", None, 20),
    _Taken("6809", "metformin", "2022-08", "2022-11", 500, times=2),
    _Taken("7646", "omeprazole", "2023", None, 20),
    _Taken("5640", "ibuprofen", "2025-01-20", "2025-01-27", 400, times=3),
    _Taken("20610", "cetirizine", "2024-04", "2024-07", 10),
    _Taken("10582", "levothyroxine", "2020-02-11", None, 0.05),
    _Taken("2418", "cholecalciferol", "2023-10", None, 0.025),
    _Taken("723", "amoxicillin", "2025-01-22", "2025-01-29", 500, times=3),
)

_ALLERGIES: Final = (("372687004", "Amoxicillin"), ("256277009", "Grass pollen"))


def patient_of_30_records() -> bytes:
    """A Bundle: one Patient, 5 Conditions, 22 MedicationStatements and 2 AllergyIntolerances.

    Eleven antidepressant products of eight ingredients, two augmenting agents, and nine other medicines; many
    dates are known to the month or year only.
    """
    return orjson.dumps(_bundle(list(_resources("long", _DIAGNOSES, _TAKEN, _ALLERGIES))))


def patient_of_8_records(identity: str) -> list[Json]:
    """One Patient, one Condition and 6 MedicationStatements, as resources to load on a server."""
    return list(_resources(identity, _DIAGNOSES[:1], _TAKEN[:6], ()))


def patient_with(resources: Iterable[Json]) -> Json:
    """A Bundle: one Patient with an active depression, and these resources, as many as there are."""
    subject = {"reference": "Patient/long"}
    more = (
        _head(resource["resourceType"], f"long-{number}") | resource | {"subject": subject}
        for number, resource in enumerate(resources)
    )
    return _bundle([*_resources("long", _DIAGNOSES[:1], (), ()), *more])


def _resources(
    identity: str,
    diagnoses: tuple[_Diagnosed, ...],
    taken: tuple[_Taken, ...],
    allergies: tuple[tuple[str, str], ...],
) -> Iterator[Json]:
    subject = {"reference": f"Patient/{identity}"}
    yield {
        "resourceType": "Patient",
        "id": identity,
        "meta": {"versionId": "1", "lastUpdated": "2026-02-20T09:12:44.120+00:00"},
        "identifier": [{"system": "http://example.org/mrn", "value": identity}],
        "name": [{"family": "Bench", "given": ["Synthetic"]}],
        "gender": "female",
        "birthDate": "1979-08",
    }
    for number, diagnosis in enumerate(diagnoses, start=1):
        yield _head("Condition", f"{identity}-c{number}") | _condition(diagnosis) | {"subject": subject}
    for number, medicine in enumerate(taken, start=1):
        yield (
            _head("MedicationStatement", f"{identity}-m{number}")
            | _statement(medicine)
            | {"subject": subject, "dateAsserted": "2026-02-20T09:12:44+00:00"}
        )
    for number, (code, display) in enumerate(allergies, start=1):
        yield (
            _head("AllergyIntolerance", f"{identity}-a{number}")
            | _statuses("allergyintolerance", "active")
            | {"code": _concept(_SNOMED, code, display), "patient": subject, "recordedDate": "2018-04-05"}
        )


def _head(kind: str, identity: str) -> Json:
    meta = {"versionId": "2", "lastUpdated": "2026-02-20T09:12:44.120+00:00"}
    return {"resourceType": kind, "id": identity, "meta": meta}


def _condition(diagnosis: _Diagnosed) -> Json:
    resource = _statuses("condition", "resolved" if diagnosis.end else "active")
    resource["category"] = [
        _concept(f"{_TERMINOLOGY}/condition-category", "problem-list-item", "Problem List Item")
    ]
    resource["code"] = _concept(_ICD, diagnosis.code, diagnosis.display)
    resource["onsetDateTime"] = diagnosis.onset
    resource["recordedDate"] = "2026-02-20"
    if diagnosis.end:
        resource["abatementDateTime"] = diagnosis.end
    return resource


def _statement(medicine: _Taken) -> Json:
    period = {"start": medicine.start} | ({"end": medicine.end} if medicine.end else {})
    repeat = {"frequency": medicine.times, "period": 1, "periodUnit": "d"}
    dose = {
        "value": medicine.amount,
        "unit": medicine.unit.strip("{}"),
        "system": _UCUM,
        "code": medicine.unit,
    }
    dosage = {
        "text": f"{medicine.amount:g} {medicine.unit.strip('{}')}, {medicine.times} times a day",
        "timing": {"repeat": repeat},
        "doseAndRate": [{"doseQuantity": dose}],
    }
    resource: Json = {
        "status": "completed" if medicine.end else "active",
        "medicationCodeableConcept": _concept(_RXNORM, medicine.rxnorm, medicine.display),
        "effectivePeriod": period,
        "dosage": [dosage],
    }
    if medicine.why:
        resource["statusReason"] = [{"text": medicine.why}]
    return resource


def _statuses(kind: str, clinical: str) -> Json:
    verification = "condition-ver-status" if kind == "condition" else f"{kind}-verification"
    return {
        "clinicalStatus": _concept(f"{_TERMINOLOGY}/{kind}-clinical", clinical, clinical.capitalize()),
        "verificationStatus": _concept(f"{_TERMINOLOGY}/{verification}", "confirmed", "Confirmed"),
    }


def _concept(system: str, code: str, display: str) -> Json:
    return {"coding": [{"system": system, "code": code, "display": display}]}


def _bundle(resources: list[Json]) -> Json:
    entries = [{"fullUrl": f"{_BASE}/{r['resourceType']}/{r['id']}", "resource": r} for r in resources]
    return {"resourceType": "Bundle", "type": "collection", "entry": entries}
