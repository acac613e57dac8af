"""What the views decode is what the tables call used, and the other way round."""

from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import msgspec
import pytest

from service.core.elements import ElementUse
from service.fhir import views
from tests.lists import knowledge_of

TABLES = knowledge_of().elements
VIEWS: dict[str, tuple[type[views.View], ...]] = {
    "Meta": (views.Meta,),
    "Patient": (views.PatientView,),
    "Condition": (views.ConditionView,),
    "MedicationStatement": (views.StatementView,),
    "MedicationRequest": (views.RequestView,),
    "MedicationDispense": (views.DispenseView,),
    "MedicationAdministration": (views.AdministrationView,),
    "Medication": (views.MedicationView,),
    "AllergyIntolerance": (views.AllergyView,),
    "Observation": (views.ObservationView,),
    "Procedure": (views.ProcedureView,),
    "CarePlan": (views.CarePlanView,),
    "Dosage": (views.DosageView,),
    "Timing": (views.TimingView,),
    "Quantity": (views.QuantityView,),
    "Range": (views.RangeView,),
    "Ratio": (views.RatioView,),
    "Period": (views.PeriodView,),
    "CodeableConcept": (views.ConceptView,),
    "Coding": (views.CodingView,),
    "Reference": (views.ReferenceView,),
    "Identifier": (views.IdentifierView,),
}
NOT_BY_A_VIEW = {
    "Meta": {"security", "tag"},
    "Condition": {"category", "onsetAge.comparator", "abatementAge.comparator"},
    "Observation": {"valueQuantity.comparator", "component.valueQuantity.comparator"},
    "CarePlan": {
        "activity.detail.description",
        "activity.detail.doNotPerform",
        "activity.detail.instantiatesCanonical",
        "activity.detail.instantiatesUri",
        "activity.detail.goal",
        "activity.detail.scheduledTiming",
        "activity.detail.scheduledTiming.event",
        "activity.detail.status",
        "activity.outcomeCodeableConcept",
        "activity.outcomeReference",
        "activity.progress",
        "activity.reference",
        "goal",
        "instantiatesCanonical",
        "instantiatesUri",
        "intent",
        "note",
        "period",
        "replaces",
        "text",
    },
    "Timing": {"repeat.durationMax"},
    "Identifier": {"use"},
}
"""Used elements without a place in a view of the kind.

They are read from the whole content, by the view of a part that many kinds share, or yet to be read.
"""


def decoded(view: type[Any]) -> set[str]:
    """The path of every element that a view decodes, down to the types that have views of their own."""
    own = {one for views_of in VIEWS.values() for one in views_of}
    hints = get_type_hints(view)
    found = set()
    for field in msgspec.structs.fields(view):
        inner = next(
            (one for one in _types(hints[field.name]) if isinstance(one, type(msgspec.Struct))), None
        )
        found.add(field.encode_name)
        if inner is not None and inner not in own and inner is not views.ExtensionView:
            found |= {f"{field.encode_name}.{path}" for path in decoded(inner)}
    return {name for name in found if not name.startswith("_")}


def _types(hint: Any) -> list[Any]:
    """The types that a hint is made of."""
    if get_origin(hint) in {list, Union, UnionType}:
        return [inner for one in get_args(hint) for inner in _types(one)]
    return [hint]


@pytest.mark.parametrize("kind", VIEWS)
def test_nothing_that_a_view_decodes_is_silent(kind: str) -> None:
    """A view may have an element of its parent's that the kind itself lacks, and ones that open."""
    rules = {**TABLES.types["DomainResource"], **TABLES.types[kind]}
    known = {path: rules[path] for view in VIEWS[kind] for path in decoded(view) if path in rules}
    assert [path for path, rule in known.items() if rule.treatment is ElementUse.SILENT] == []


@pytest.mark.parametrize("kind", VIEWS)
def test_what_the_table_calls_used_is_decoded(kind: str) -> None:
    used = {path for path, rule in TABLES.types[kind].items() if rule.treatment is ElementUse.USED}
    found = {path for view in VIEWS[kind] for path in decoded(view)}
    assert used - found <= NOT_BY_A_VIEW.get(kind, set())
