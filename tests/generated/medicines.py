"""Medicines at random in all their forms, esketamine among them; procedures; plans with esketamine."""

from collections.abc import Callable
from random import Random
from typing import Any

from tests.generated.made import (
    ANYTHING,
    HARMLESS,
    MODIFIER,
    PAST,
    WITHHOLDS,
    Made,
    changed_to,
    concept_of,
    resource_of,
    without,
)
from tests.safety_tables import table
from tests.support import RXNORM, Resource


def statement(
    rng: Random, identity: str, concept: Resource, status: str = "active", **elements: Any
) -> Resource:
    return resource_of(
        rng, "MedicationStatement", identity, status=status, medicationCodeableConcept=concept, **elements
    )


def _request(
    rng: Random, identity: str, concept: Resource, status: str = "active", **elements: Any
) -> Resource:
    return resource_of(
        rng,
        "MedicationRequest",
        identity,
        status=status,
        intent="order",
        medicationCodeableConcept=concept,
        authoredOn=PAST[rng.randrange(900)],
        **elements,
    )


def _dispense(
    rng: Random, identity: str, concept: Resource, status: str = "completed", **elements: Any
) -> Resource:
    return resource_of(
        rng,
        "MedicationDispense",
        identity,
        status=status,
        medicationCodeableConcept=concept,
        whenHandedOver=PAST[rng.randrange(900)] + "T10:00:00Z",
        daysSupply={"value": 30, "unit": "d"},
        **elements,
    )


def _administration(
    rng: Random, identity: str, concept: Resource, status: str = "completed", **elements: Any
) -> Resource:
    return resource_of(
        rng,
        "MedicationAdministration",
        identity,
        status=status,
        medicationCodeableConcept=concept,
        effectiveDateTime=PAST[rng.randrange(900)],
        **elements,
    )


_FORMS: tuple[tuple[Callable[..., Resource], tuple[str, ...], tuple[str, ...]], ...] = (
    (
        statement,
        ("active", "completed", "stopped", "on-hold", "intended", "unknown"),
        ("not-taken", "entered-in-error"),
    ),
    (
        _request,
        ("active", "completed", "stopped", "on-hold"),
        ("cancelled", "draft", "unknown", "entered-in-error"),
    ),
    (
        _dispense,
        ("completed", "in-progress", "on-hold", "stopped"),
        ("cancelled", "declined", "preparation", "unknown", "entered-in-error"),
    ),
    (
        _administration,
        ("completed", "in-progress", "stopped", "on-hold"),
        ("not-done", "unknown", "entered-in-error"),
    ),
)
"""How a medicine is told, the statuses that say that it was taken or is meant to be, and the others."""

_PERIODS: list[Resource] = [
    {"effectivePeriod": {"start": "2025-02-03", "end": "2025-06-30"}},
    {"effectivePeriod": {"start": "2026-02"}},
    {"effectivePeriod": {"start": "1900-01-01"}},
    {"effectivePeriod": {"end": "2025"}},
    {"effectivePeriod": {"start": "2026-06-01", "end": "2025-06-01"}},
    {"effectivePeriod": {"start": "2027-01-01"}},
    {"effectiveDateTime": "2025-04"},
    {},
]
_DOSAGES: list[Resource] = [
    {"dosage": [{"text": "50 mg once daily"}]},
    {"dosage": [{"text": "as discussed"}]},
    {"dosage": [{"doseAndRate": [{"doseQuantity": {"value": 1, "unit": "tablet"}}]}]},
    {"dosage": [{"timing": {"repeat": {"frequency": 2, "period": 1, "periodUnit": "d"}}}]},
    {"dosage": []},
    {},
]
_ANTIDEPRESSANTS = [row for row in table("codes/antidepressants.csv") if row["class"] != "NMDA"]
_PRODUCTS = table("codes/antidepressant_products.csv")
_INTERACTING = table("safety/medicines.csv")
_AGENTS = table("codes/augmenting_agents.csv")
_ESKETAMINE = table("codes/esketamine.csv")
_ESKETAMINE_NAMES = [row["name"] for row in table("codes/esketamine_names.csv")]


def antidepressant(rng: Random, identity: str) -> Made:
    """Another antidepressant in any form: it may change what became of the others."""
    if rng.random() < 0.5:
        row = rng.choice(_PRODUCTS)
        concept: Resource = {"coding": [{"system": RXNORM, "code": row["rxnorm"], "display": row["display"]}]}
    else:
        names = rng.choice(_ANTIDEPRESSANTS)["names"].split(";")
        concept = {"text": f"{rng.choice(names).title()} 100 mg"}
    return Made(_in_any_form(rng, identity, concept), ANYTHING)


def _in_any_form(rng: Random, identity: str, concept: Resource) -> Resource:
    form, usual, odd = rng.choice(_FORMS)
    elements: Resource = {}
    if form is statement:
        elements = rng.choice(_PERIODS) | rng.choice(_DOSAGES)
    return form(rng, identity, concept, rng.choice(usual + odd), **elements)


def interacting_medicine(rng: Random, identity: str) -> Made:
    """A medicine that calls for caution at most, or that augments."""
    row = rng.choice(_AGENTS if rng.random() < 0.2 else _INTERACTING)
    concept = concept_of(rng, row) if row.get("code") else {"text": row["name"]}
    return Made(_in_any_form(rng, identity, concept), HARMLESS)


def esketamine(rng: Random, identity: str) -> Made:
    """Esketamine or ketamine, told in any form: never a second induction without a person."""
    row = rng.choice(_ESKETAMINE)
    if row["system"] == "hcpcs":
        return _billed_visit(rng, identity, row)
    concept = concept_of(rng, row)
    if rng.random() < 0.3:
        concept = {"text": f"{rng.choice(_ESKETAMINE_NAMES).upper()} 28 mg"}
    form, usual, odd = rng.choice(_FORMS)
    status = rng.choice(usual + usual + odd)
    resource = form(rng, identity, concept, status)
    if rng.random() < 0.2:
        resource["contained"] = [{"resourceType": "Medication", "id": "m", "code": concept}]
        resource["medicationReference"] = {"reference": "#m"}
        del resource["medicationCodeableConcept"]
    return Made(resource, WITHHOLDS if status in usual else ANYTHING)


def _billed_visit(rng: Random, identity: str, row: dict[str, str]) -> Made:
    status = rng.choice(["completed", "in-progress", "entered-in-error", "not-done"])
    when = {"performedDateTime": PAST[rng.randrange(900)]}
    resource = resource_of(rng, "Procedure", identity, status=status, code=concept_of(rng, row), **when)
    return Made(resource, WITHHOLDS if status in {"completed", "in-progress"} else ANYTHING)


_PROCEDURES = table("codes/procedures.csv")


def procedure(rng: Random, identity: str) -> Made:
    """Another treatment of depression: staged, and no reason against a plan."""
    status = rng.choice(["completed", "in-progress", "not-done", "unknown", "preparation"])
    when: Resource = rng.choice([{"performedDateTime": "2026-03"}, {"performedString": "in spring"}, {}])
    code = concept_of(rng, rng.choice(_PROCEDURES))
    return Made(resource_of(rng, "Procedure", identity, status=status, code=code, **when), HARMLESS)


_REPAIRS = table("safety/procedures.csv")


def repair(rng: Random, identity: str) -> Made:
    """A repair of an aneurysm or a malformation, of any day: a person looks, unless it was not done."""
    status = rng.choice(["completed", "in-progress", "stopped", "unknown", "entered-in-error", "not-done"])
    when: Resource = rng.choice([{"performedDateTime": "2016-03"}, {"performedString": "once"}, {}])
    code = concept_of(rng, rng.choice(_REPAIRS))
    resource = resource_of(rng, "Procedure", identity, status=status, code=code, **when)
    return Made(resource, HARMLESS if status in {"entered-in-error", "not-done"} else WITHHOLDS)


def broken_medicine(rng: Random, identity: str) -> Made:
    """A medicine that cannot be read: the failures that are known stand."""
    resource = statement(rng, identity, {"text": "something"})
    rng.choice(
        [
            changed_to(status=7),
            changed_to(effectivePeriod={"start": "once"}),
            changed_to(dosage="daily"),
            changed_to(modifierExtension=MODIFIER),
            without("medicationCodeableConcept"),
        ]
    )(resource)
    return Made(resource, HARMLESS)


def active_plan(rng: Random, identity: str) -> Made:
    """A plan with esketamine that is under way."""
    product = {"coding": [{"system": RXNORM, "code": "2119365"}]}
    detail = {"kind": "MedicationRequest", "productCodeableConcept": product, "status": "in-progress"}
    resource = resource_of(
        rng, "CarePlan", identity, status="active", intent="plan", activity=[{"detail": detail}]
    )
    return Made(resource, WITHHOLDS)


def broken_plan(rng: Random, identity: str) -> Made:
    """A plan under way that cannot be read: it may be one with esketamine."""
    resource = active_plan(rng, identity).resource
    broken: Resource = rng.choice([{"activity": "x"}, {"status": 7}, {"modifierExtension": MODIFIER}])
    return Made(resource | broken, WITHHOLDS)
