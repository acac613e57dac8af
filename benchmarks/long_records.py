"""What a long record costs by its length: the decision on n records beside that on a quarter of them."""

import time
from collections.abc import Callable
from datetime import date, timedelta
from typing import Final, NamedTuple

import orjson

from benchmarks.figures import Figure
from benchmarks.patients import AS_OF, Json, patient_with
from service.core.decision import decide
from service.gather.files import read_bundle
from service.read.record import read_record
from service.review import Reviewer
from service.settings import Settings

LIMIT: Final = 8.0
"""Four times the records may cost twice their share; to hold each beside each costs four times theirs."""

_ROUNDS: Final = 3
_SERTRALINE: Final = {
    "coding": [
        {
            "system": "http://www.nlm.nih.gov/research/umls/rxnorm",
            "code": "312941",
            "display": "sertraline 50 MG Oral Tablet",
        }
    ]
}
_DAILY: Final = [
    {
        "timing": {"repeat": {"frequency": 1, "period": 1, "periodUnit": "d"}},
        "doseAndRate": [{"doseQuantity": {"value": 1, "code": "{tablet}"}}],
    }
]


class _Shape(NamedTuple):
    """A kind of long record: how many resources it has, and how the one with a number looks."""

    what: str
    size: int
    resource: Callable[[int], Json]
    limit: float | None = LIMIT


def measure() -> list[Figure]:
    """Every kind of long record, each as the ratio to a quarter of itself. 4 is linear."""
    reviewer = Reviewer.prepare(Settings.model_construct(), AS_OF)
    figures = []
    for shape in _SHAPES:
        short, long = (_seconds(reviewer, shape, size) for size in (shape.size // 4, shape.size))
        ratio = long / short
        figures.append(
            Figure(
                f"decide on {shape.size:,} {shape.what}",
                long * 1000,
                "ms CPU",
                "a quarter of them",
                ratio,
                f"{shape.limit:g}" if shape.limit else "-",
                ratio <= shape.limit if shape.limit else None,
            )
        )
    return figures


def _seconds(reviewer: Reviewer, shape: _Shape, size: int) -> float:
    """Seconds of CPU from the bytes to the decision; the best of some rounds."""
    content = orjson.dumps(patient_with(map(shape.resource, range(size))))
    return min(_once(reviewer, content) for _ in range(_ROUNDS))


def _once(reviewer: Reviewer, content: bytes) -> float:
    start = time.process_time()
    record = read_record(read_bundle(content), reviewer.knowledge)
    decide(record, reviewer.knowledge, reviewer.calendar, reviewer.as_of)
    return time.process_time() - start


# --- the shapes -----------------------------------------------------------------------------------


def _prescription(number: int) -> Json:
    return {
        "resourceType": "MedicationRequest",
        "status": "completed",
        "intent": "order",
        "authoredOn": _day(number),
        "dispenseRequest": {"expectedSupplyDuration": {"value": 30, "code": "d"}},
        "dosageInstruction": _DAILY,
        "medicationCodeableConcept": _SERTRALINE,
    }


def _renewal(number: int) -> Json:
    """A prescription that renews the one before it."""
    before = [{"reference": f"MedicationRequest/long-{number - 1}"}] if number else []
    return _prescription(number) | {"basedOn": before}


def _undated(number: int) -> Json:
    """A statement, or a prescription, without dates: any of them may tell of any other."""
    stated: Json = {"resourceType": "MedicationStatement", "status": "unknown"}
    prescribed: Json = {"resourceType": "MedicationRequest", "status": "active", "intent": "order"}
    dose = [{"doseAndRate": [{"doseQuantity": {"value": 25 + number, "code": "mg"}}]} | _timing(number)]
    medicine = {"medicationCodeableConcept": _SERTRALINE}
    if number % 2:
        return stated | medicine | {"dosage": dose}
    return prescribed | medicine | {"dosageInstruction": dose}


def _timing(times: int) -> Json:
    return {"timing": {"repeat": {"frequency": 1 + times % 3, "period": 1, "periodUnit": "d"}}}


def _administration(number: int) -> Json:
    return {
        "resourceType": "MedicationAdministration",
        "status": "completed",
        "effectiveDateTime": f"{_day(number)}T08:00:00Z",
        "dosage": {"dose": {"value": 50 + number % 7, "code": "mg"}},
        "medicationCodeableConcept": _SERTRALINE,
    }


def _dispense(number: int) -> Json:
    return {
        "resourceType": "MedicationDispense",
        "status": "completed",
        "whenHandedOver": _day(3 * number),
        "daysSupply": {"value": 30, "code": "d"},
        "dosageInstruction": _DAILY,
        "medicationCodeableConcept": _SERTRALINE,
    }


def _apart(number: int) -> Json:
    """A statement so long after the last one that it begins another course."""
    day = date(1000, 1, 1) + timedelta(days=60 * number)
    return {
        "resourceType": "MedicationStatement",
        "status": "completed",
        "effectivePeriod": {"start": day.isoformat(), "end": (day + timedelta(days=20)).isoformat()},
        "medicationCodeableConcept": _SERTRALINE,
    }


def _condition(number: int) -> Json:
    """A contraindication, told again and again."""
    return {
        "resourceType": "Condition",
        "recordedDate": _day(number),
        "code": {
            "coding": [
                {"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "I71.4", "display": "Aneurysm"}
            ]
        },
    }


def _score(number: int) -> Json:
    return {
        "resourceType": "Observation",
        "status": "final",
        "effectiveDateTime": _day(number),
        "code": {"coding": [{"system": "http://loinc.org", "code": "44261-6"}]},
        "valueInteger": 10 + number % 10,
    }


def _day(number: int) -> str:
    return (AS_OF - timedelta(days=1 + number)).isoformat()


_SHAPES: Final = (
    _Shape("prescriptions", 1_047, _prescription),
    _Shape("renewals, each of the one before", 1_047, _renewal),
    # each statement rests on each prescription: the answer itself grows with their product
    _Shape("undated statements and prescriptions", 900, _undated, limit=None),
    _Shape("administrations", 5_000, _administration),
    _Shape("dispenses", 2_000, _dispense),
    _Shape("statements far apart", 3_000, _apart),
    _Shape("conditions", 3_000, _condition),
    _Shape("scores", 3_000, _score),
)
