"""Patients whose record holds prescriptions only, as an EHR without a pharmacy has it.

Two to four antidepressants, one after another, in a depression that is active. Most are ordered month
by month, or once with repeats, some once; most doses are stated, and few reasons for stopping.
"""

from datetime import date, timedelta
from random import Random
from typing import NamedTuple

from tests.generated.conditions import depression
from tests.generated.made import PATIENT_ID, resource_of
from tests.support import RXNORM, Resource


class _Medicine(NamedTuple):
    rxnorm: str
    mg: int
    """An adequate daily dose."""


_MEDICINES = (
    _Medicine("36437", 100),  # sertraline
    _Medicine("321988", 20),  # escitalopram
    _Medicine("39786", 150),  # venlafaxine
    _Medicine("72625", 60),  # duloxetine
    _Medicine("15996", 30),  # mirtazapine
    _Medicine("42347", 300),  # bupropion
)
_BEGAN = date(2025, 1, 6)
_MONTH = 30
_ONCE_A_DAY: Resource = {"timing": {"repeat": {"frequency": 1, "period": 1, "periodUnit": "d"}}}
_STATED, _EXPLAINED = 0.85, 0.2
"""The shares of medicines whose orders state the dose, and whose last order says why it was stopped."""


def patient_of_orders(rng: Random) -> list[Resource]:
    """The record of a patient, the patient first."""
    person = {
        "resourceType": "Patient",
        "id": PATIENT_ID,
        "meta": {"versionId": "1"},
        "birthDate": "1981-04-12",
    }
    day = _BEGAN
    orders: list[Resource] = []
    for medicine in rng.sample(_MEDICINES, rng.randint(2, 4)):
        days = _MONTH * rng.randint(2, 8)
        orders += _orders(rng, medicine, day, days)
        day += timedelta(days=days + rng.randint(0, 20))
    return [person, depression(rng, "depression").resource, *orders]


def _orders(rng: Random, medicine: _Medicine, day: date, days: int) -> list[Resource]:
    """What was ordered of one medicine. Most orders state its dose; the last may say why it was stopped."""
    match rng.choice(("monthly", "monthly", "repeats", "repeats", "once")):
        case "monthly":
            months = range(0, days, _MONTH)
            orders = [_order(rng, medicine, day + timedelta(days=month), _MONTH) for month in months]
        case "repeats":
            orders = [_order(rng, medicine, day, _MONTH, repeats=days // _MONTH - 1)]
        case _:
            orders = [_order(rng, medicine, day, days)]
    if rng.random() < _STATED:
        for order in orders:
            quantity = {"value": medicine.mg, "unit": "mg", "code": "mg"}
            order["dosageInstruction"] = [{**_ONCE_A_DAY, "doseAndRate": [{"doseQuantity": quantity}]}]
    if rng.random() < _EXPLAINED:
        orders[-1] |= {"status": "stopped", "statusReason": {"text": "Ineffective"}}
    return orders


def _order(rng: Random, medicine: _Medicine, day: date, days: int, *, repeats: int = 0) -> Resource:
    return resource_of(
        rng,
        "MedicationRequest",
        f"order-{medicine.rxnorm}-{day}",
        status=rng.choice(("active", "completed")),
        intent="order",
        medicationCodeableConcept={"coding": [{"system": RXNORM, "code": medicine.rxnorm}]},
        authoredOn=day.isoformat(),
        dispenseRequest={
            "numberOfRepeatsAllowed": repeats,
            "expectedSupplyDuration": {"value": days, "unit": "d", "code": "d"},
        },
    )
