"""Read results of instruments and measurements, and procedures: https://hl7.org/fhir/R4/observation.html."""

from collections.abc import Iterator
from datetime import date

import msgspec

from service.core.dates import Interval, PartialDate
from service.core.records import Concept, Measure, Observation, Procedure, ProcedureKind
from service.core.results import has_answers, measure_of, value_of
from service.fhir.sources import Source
from service.fhir.views import ObservationView, ProcedureView, ResultView
from service.read.elements import Elements, UnreadableElement, decode

_OBSERVATION = msgspec.json.Decoder(ObservationView)
_PROCEDURE = msgspec.json.Decoder(ProcedureView)
_INTEGERS = range(-(2**31), 2**31)
"""FHIR integers: https://hl7.org/fhir/R4/datatypes.html#integer."""

WITHDRAWN = frozenset({"entered-in-error", "cancelled", "not-done"})
"""Statuses of what did not take place, or is not so."""

_SETTLED = frozenset({"final", "amended", "corrected"})
_OPEN = frozenset({"registered", "preliminary", "unknown", None})
_DONE = frozenset({"completed", "in-progress", "stopped"})
_PERHAPS_DONE = frozenset({"preparation", "on-hold", "unknown", None})


def decode_observation(source: Source) -> ObservationView:
    """The view of an Observation; raises `UnreadableElement`."""
    view: ObservationView = decode(source, _OBSERVATION)
    return view


def decode_procedure(source: Source) -> ProcedureView:
    """The view of a Procedure; raises `UnreadableElement`."""
    view: ProcedureView = decode(source, _PROCEDURE)
    return view


def codes_of(view: ObservationView, elements: Elements) -> Iterator[Concept]:
    """What an Observation and its components measure."""
    return (elements.concept(result.code) for result in (view, *view.component))


def read_observation(source: Source, view: ObservationView, elements: Elements) -> Iterator[Observation]:
    """The results of an Observation and its components that bear on the assessment."""
    when = _when(source, view, elements)
    if view.status not in _SETTLED | _OPEN:
        raise UnreadableElement("status")
    for measure, value in _told(view, elements):
        yield Observation(measure, value, when, view.status in _SETTLED, (source.reference,))


def read_traces(source: Source, view: ObservationView, elements: Elements) -> Iterator[Observation]:
    """What an Observation says of suicidality or pregnancy where its date or status cannot be read."""
    for measure, value in _told(view, elements):
        if has_answers(measure, elements.knowledge):
            yield Observation(measure, value, None, settled=False, evidence=(source.reference,))


def _told(view: ObservationView, elements: Elements) -> Iterator[tuple[Measure, float | None]]:
    """The measures and values of an Observation and its components."""
    for result in (view, *view.component):
        measure = measure_of(elements.concept(result.code), elements.knowledge)
        if measure is not None and not (result is view and _is_panel(view, measure, elements)):
            yield measure, _value(result, measure, elements)


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
        period = elements.interval(source, "effectivePeriod", view.effective_period)
        if period.start is not None and period.end is None:
            return PartialDate(period.start.earliest, date.max)
        return period.end
    if view.effective_instant is not None:
        return elements.date(source, "effectiveInstant", view.effective_instant)
    return elements.date(source, "effectiveDateTime", view.effective_date_time)


def _value(result: ResultView, measure: Measure, elements: Elements) -> float | None:
    """The value as a number; 1 and 0 for yes and no; `None` where it cannot be told."""
    if result.value_quantity is not None:
        return result.value_quantity.value
    if result.value_integer is not None:
        return float(result.value_integer) if result.value_integer in _INTEGERS else None
    answers = (elements.concept(result.value_codeable_concept), Concept(text=result.value_string))
    stated = None if result.value_boolean is None else float(result.value_boolean)
    return value_of(answers, measure, stated, elements.knowledge)


def read_procedure(source: Source, view: ProcedureView, kind: ProcedureKind, elements: Elements) -> Procedure:
    """A treatment of depression that is no medicine."""
    if view.status not in _DONE | _PERHAPS_DONE:
        raise UnreadableElement("status")
    if view.performed_period is not None:
        period = elements.interval(source, "performedPeriod", view.performed_period)
    else:
        day = elements.date(source, "performedDateTime", view.performed_date_time)
        period = Interval(day, day)
    return Procedure(kind, period, view.status in _DONE, (source.reference,))
