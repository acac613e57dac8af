"""Read what flags and observations report of suicidality and safety: https://hl7.org/fhir/R4/flag.html.

Neither is a diagnosis. What they report is never certain, and a person must look.
"""

from collections.abc import Iterator

import msgspec

from service.core.dates import PartialDate
from service.core.diagnoses import find_suicidality, place_allergy, place_sign
from service.core.elements import Bearing
from service.core.records import (
    Allergy,
    ClinicalStatus,
    Concept,
    Diagnosis,
    SuicidalityKind,
    Verification,
    VersionedReference,
)
from service.core.results import is_denied, measure_of
from service.fhir.sources import Source
from service.fhir.views import FlagView, ObservationView, ResultView
from service.read.elements import Elements, UnreadableElement, decode_view
from service.read.open_facts import OpenFacts

_FLAG = msgspec.json.Decoder(FlagView)
_STANDS = {"active": ClinicalStatus.ACTIVE, "inactive": ClinicalStatus.ENDED}


def decode_flag(source: Source) -> FlagView:
    """The view of a Flag; raises `UnreadableElement`."""
    view: FlagView = decode_view(source, _FLAG)
    return view


def read_flag(
    source: Source, view: FlagView, facts: OpenFacts, elements: Elements
) -> tuple[Diagnosis | None, tuple[Allergy, ...]]:
    """What a Flag warns of, as far as it bears on suicidality or safety. Raises `UnreadableElement`."""
    concept = elements.concept(view.code)
    if not concept.label or facts.leaves_open(Bearing.DIAGNOSIS):
        raise UnreadableElement("code")
    status = _STANDS.get(view.status or "", ClinicalStatus.UNKNOWN)
    period = elements.event_period(source, "period", view.period)
    unknown = facts.leaves_open(Bearing.PERIOD)
    sign = Diagnosis(
        label=concept.label,
        clinical_status=status,
        verification=Verification.UNPROVEN,
        evidence=(source.reference,),
        onset=None if unknown else period.start,
        abatement=None if unknown else period.end,
    )
    placed = place_sign(sign, concept, elements.knowledge)
    groups = place_allergy((concept,), elements.knowledge).groups
    allergies = tuple(
        Allergy(group, status, Verification.UNPROVEN, by_text=by_text, evidence=(source.reference,))
        for group, by_text in groups
    )
    bears = placed.suicidality is not None or placed.safety or placed.safety_in_words
    return (placed if bears else None), allergies


def read_findings(
    view: ObservationView, when: PartialDate | None, evidence: VersionedReference, elements: Elements
) -> Iterator[Diagnosis]:
    """The suicidality that an Observation reports as a finding, and not as the answer of an instrument.

    The finding is the code of the Observation or its value, as in one that is coded as an assertion. A panel
    without a value of its own reports none.
    """
    for result in (view, *view.component):
        kind = _finding(result, elements)
        panel = result is view and view.component and not _answers(result, elements)
        if kind is None or (panel and _stated(result) is None):
            continue
        yield Diagnosis(
            label=elements.concept(result.code).label,
            clinical_status=ClinicalStatus.NOT_STATED,
            verification=Verification.UNPROVEN,
            evidence=(evidence,),
            suicidality=kind,
            onset=when,
        )


def _finding(result: ResultView, elements: Elements) -> SuicidalityKind | None:
    """The suicidality that one result reports; `None` where an instrument asked, and where it is denied."""
    knowledge = elements.knowledge
    code, answers = elements.concept(result.code), _answers(result, elements)
    if measure_of(code, knowledge) is not None:
        return None
    found = next((kind for one in _named(code, answers) if (kind := find_suicidality(one, knowledge))), None)
    return None if found is None or is_denied(answers, _stated(result), knowledge) else found


def _answers(result: ResultView, elements: Elements) -> tuple[Concept, ...]:
    given = (elements.concept(result.value_codeable_concept), Concept(text=result.value_string))
    return tuple(one for one in given if one.label)


def _named(code: Concept, answers: tuple[Concept, ...]) -> Iterator[Concept]:
    """What may be a finding: the code, read together with the words of the answer; else the answer."""
    said = [phrase for answer in answers for phrase in answer.phrases]
    yield Concept(code.codings, " ".join(filter(None, (code.text, *said[:1]))) or None)
    yield from answers


def _stated(result: ResultView) -> float | None:
    """1 or 0 where a result is yes or no, or a number."""
    quantity = result.value_quantity.value if result.value_quantity else None
    given = (result.value_boolean, result.value_integer, quantity)
    return next((float(value != 0) for value in given if value is not None), None)
