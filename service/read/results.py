"""Read results of instruments and measurements, and procedures: https://hl7.org/fhir/R4/observation.html."""

from collections.abc import Iterator
from datetime import date
from typing import NamedTuple

import msgspec

from service.core.dates import Interval, PartialDate
from service.core.elements import Bearing
from service.core.phrases import fold
from service.core.records import Bound, Concept, Measure, Observation, Procedure, ProcedureKind
from service.core.results import PRESSURES, has_answers, is_assertion, measure_of, value_of
from service.fhir.sources import Source
from service.fhir.views import ObservationView, ProcedureView, QuantityView, ResultView
from service.read.elements import Elements, UnreadableElement, decode_view
from service.read.open_facts import OpenFacts
from service.read.openings import find_opened

_OBSERVATION = msgspec.json.Decoder(ObservationView)
_PROCEDURE = msgspec.json.Decoder(ProcedureView)
_YES = 1.0
_COMPONENT = "component."
_INTEGERS = range(-(2**31), 2**31)
"""FHIR integers: https://hl7.org/fhir/R4/datatypes.html#integer."""

WITHDRAWN = frozenset({"entered-in-error", "cancelled", "not-done"})
"""Statuses of what did not take place, or is not so."""

_BOUNDS = {"<": Bound.BELOW, "<=": Bound.AT_MOST, ">=": Bound.AT_LEAST, ">": Bound.ABOVE}
"""By https://hl7.org/fhir/R4/valueset-quantity-comparator.html."""

_SETTLED = frozenset({"final", "amended", "corrected"})
_OPEN = frozenset({"registered", "preliminary", "unknown", None})
_DONE = frozenset({"completed", "in-progress", "stopped"})
_PERHAPS_DONE = frozenset({"preparation", "on-hold", "unknown", None})


def decode_observation(source: Source) -> ObservationView:
    """The view of an Observation; raises `UnreadableElement`."""
    view: ObservationView = decode_view(source, _OBSERVATION)
    return view


def decode_procedure(source: Source) -> ProcedureView:
    """The view of a Procedure; raises `UnreadableElement`."""
    view: ProcedureView = decode_view(source, _PROCEDURE)
    return view


def codes_of(view: ObservationView, elements: Elements) -> Iterator[Concept]:
    """What an Observation and its components measure."""
    return (_asked(result, elements) for result in (view, *view.component))


class Results(NamedTuple):
    """The results that bear on the assessment, their day, and the elements that leave some unknown."""

    found: tuple[Observation, ...]
    when: PartialDate | None
    unread: tuple[str, ...]


def read_observation(source: Source, view: ObservationView, facts: OpenFacts, elements: Elements) -> Results:
    """The results of an Observation and its components that bear on the assessment."""
    when = None if facts.leaves_open(Bearing.PERIOD) else _when(source, view, elements)
    if view.status not in _SETTLED | _OPEN:
        raise UnreadableElement("status")
    settled = view.status in _SETTLED
    unknown = _unknown_results(source, view, facts, elements)
    told = [Told(one.measure, None) if number in unknown else one for number, one in _told(view, elements)]
    found = (Observation(t.measure, t.value, when, settled, (source.reference,), t.bound) for t in told)
    return Results(tuple(found), when, tuple(dict.fromkeys(one.unread for one in told if one.unread)))


def read_traces(source: Source, view: ObservationView, elements: Elements) -> Iterator[Observation]:
    """What an Observation says of suicidality or pregnancy where it cannot be read in full."""
    for _, one in _told(view, elements):
        if has_answers(one.measure, elements.knowledge):
            yield Observation(one.measure, one.value, None, settled=False, evidence=(source.reference,))


class Told(NamedTuple):
    """A result, and the element that leaves it unknown."""

    measure: Measure
    value: float | None
    bound: Bound | None = None
    unread: str | None = None


def _told(view: ObservationView, elements: Elements) -> Iterator[tuple[int, Told]]:
    """The results of an Observation (0) and its components (from 1 on)."""
    for number, result in enumerate((view, *view.component)):
        measure = measure_of(_asked(result, elements), elements.knowledge)
        if measure is None or (result is view and _is_panel(view, measure, elements)):
            continue
        asserted = is_assertion(elements.concept(result.code))
        told = (
            Told(measure, _YES) if asserted else tell(result, measure, elements, _COMPONENT if number else "")
        )
        yield number, told


def _asked(result: ResultView, elements: Elements) -> Concept:
    """What a result measures: its code, or the finding that it asserts."""
    code = elements.concept(result.code)
    return elements.concept(result.value_codeable_concept) if is_assertion(code) else code


def _unknown_results(
    source: Source, view: ObservationView, facts: OpenFacts, elements: Elements
) -> frozenset[int]:
    """Which results an element that is not read leaves unknown: 0 the Observation, from 1 on a component."""
    opened = [one.element for one in facts.elements if one.bears_on is Bearing.RESULT]
    if not opened:
        return frozenset()
    unknown = {0} if any(not element.startswith(_COMPONENT) for element in opened) else set()
    if any(element.startswith(_COMPONENT) for element in opened):
        content = msgspec.json.decode(source.content)
        for number in range(1, len(view.component) + 1):
            part = {"component": content["component"][number - 1 : number]}
            inside = OpenFacts(find_opened("Observation", part, elements.knowledge))
            unknown |= {number} if inside.leaves_open(Bearing.RESULT) else set()
    return frozenset(unknown)


def _is_panel(view: ObservationView, measure: Measure, elements: Elements) -> bool:
    """Whether an Observation has its values in its components only.

    An answer on suicidality that is missing is kept: that it was asked for is worth telling.
    """
    if not view.component or measure in elements.knowledge.suicidality_results:
        return False
    values = (view.value_quantity, view.value_integer, view.value_boolean, view.value_string)
    return all(value is None for value in (*values, view.value_codeable_concept))


def _when(source: Source, view: ObservationView, elements: Elements) -> PartialDate | None:
    """The day of a result: the end of its period, which is when it was complete; else some day since."""
    if view.effective_period is not None:
        period = elements.event_period(source, "effectivePeriod", view.effective_period)
        if period.start is not None and period.end is None:
            return PartialDate(period.start.earliest, date.max)
        return period.end
    if view.effective_instant is not None:
        return elements.event(source, "effectiveInstant", view.effective_instant)
    return elements.event(source, "effectiveDateTime", view.effective_date_time)


def tell(result: ResultView, measure: Measure, elements: Elements, path: str) -> Told:
    """What a result says; its value is 1 and 0 for yes and no, and `None` where it cannot be told."""
    if result.value_quantity is not None:
        return _tell_quantity(result.value_quantity, measure, elements, f"{path}valueQuantity")
    if result.value_integer is not None:
        return Told(measure, float(result.value_integer) if result.value_integer in _INTEGERS else None)
    answers = (elements.concept(result.value_codeable_concept), Concept(text=result.value_string))
    stated = None if result.value_boolean is None else float(result.value_boolean)
    return Told(measure, value_of(answers, measure, stated, elements.knowledge))


def _tell_quantity(quantity: QuantityView, measure: Measure, elements: Elements, path: str) -> Told:
    """A number, of a pressure in mm Hg. Only of a pressure a side of a number says enough to be used."""
    if measure not in PRESSURES:
        beyond = quantity.comparator is not None
        unread = f"{path}.comparator" if beyond else None
        return Told(measure, None if beyond else quantity.value, unread=unread)
    if quantity.comparator is not None and quantity.comparator not in _BOUNDS:
        return Told(measure, None, unread=f"{path}.comparator")
    units = elements.knowledge.pressure_units
    names = [fold(name) for name in (quantity.code, quantity.unit) if name]
    factor = next((units[name] for name in names if name in units), None if names else 1.0)
    if factor is None or quantity.value is None:
        return Told(measure, None, unread=None if factor else f"{path}.unit")
    bound = _BOUNDS[quantity.comparator] if quantity.comparator else None
    return Told(measure, quantity.value * factor, bound)


def is_done(view: ProcedureView) -> bool:
    """Whether a procedure has certainly taken place, or begun."""
    return view.status in _DONE


def read_procedure(
    source: Source, view: ProcedureView, kind: ProcedureKind, facts: OpenFacts, elements: Elements
) -> Procedure:
    """A treatment of depression that is no medicine."""
    if view.status not in _DONE | _PERHAPS_DONE:
        raise UnreadableElement("status")
    period = Interval() if facts.leaves_open(Bearing.PERIOD) else read_performed(source, view, elements)
    return Procedure(kind, period, is_done(view), (source.reference,))


def read_performed_or_unknown(source: Source, view: ProcedureView, elements: Elements) -> Interval:
    """When a procedure was done; unknown where its date cannot be read."""
    try:
        return read_performed(source, view, elements)
    except UnreadableElement:
        return Interval()


def read_performed(source: Source, view: ProcedureView, elements: Elements) -> Interval:
    """When a procedure was done, as far as it says."""
    if view.performed_period is not None:
        return elements.event_period(source, "performedPeriod", view.performed_period)
    day = elements.event(source, "performedDateTime", view.performed_date_time)
    return Interval(day, day)
