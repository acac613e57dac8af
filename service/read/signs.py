"""Read what flags, observations and procedures report of suicidality and safety: https://hl7.org/fhir/R4/flag.html.

None is a diagnosis. What flags and observations report is never certain, and a person must look.
"""

from collections.abc import Iterator

import msgspec

from service.core.dates import PartialDate
from service.core.diagnoses import (
    denies_suicidality,
    find_suicidality,
    place_allergy,
    place_procedure,
    place_sign,
)
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
from service.core.results import is_denied, measure_of_ours
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


def read_repair(
    concept: Concept, *, done: bool, evidence: VersionedReference, elements: Elements
) -> Diagnosis | None:
    """What a Procedure tells of safety, such as that an aneurysm was repaired; `None` where it is nothing."""
    sign = Diagnosis(
        label=concept.label,
        clinical_status=ClinicalStatus.NOT_STATED,
        verification=Verification.NOT_STATED if done else Verification.UNPROVEN,
        evidence=(evidence,),
    )
    placed = place_procedure(sign, concept, elements.knowledge)
    return placed if placed.safety or placed.safety_in_words else None


class FindingReader:
    """Reads the suicidality that Observations report as findings, and not as answers of an instrument.

    The finding is the code of an Observation or its value, as in one that is coded as an assertion. A record
    names the same few things again and again, so that each is looked up once.
    """

    def __init__(self, elements: Elements) -> None:
        self._elements = elements
        self._known: dict[Concept, SuicidalityKind | None] = {}

    def read(
        self, view: ObservationView, when: PartialDate | None, evidence: VersionedReference
    ) -> Iterator[Diagnosis]:
        """The findings of an Observation and its components. A panel without a value reports none."""
        for result in (view, *view.component):
            code, answers = self._elements.concept(result.code), _answers(result, self._elements)
            kind = self._finding(result, code, answers)
            panel = result is view and view.component and not answers and _stated(result) is None
            if kind is not None and not panel:
                yield Diagnosis(
                    label=code.label,
                    clinical_status=ClinicalStatus.NOT_STATED,
                    verification=Verification.UNPROVEN,
                    evidence=(evidence,),
                    suicidality=kind,
                    onset=when,
                )

    def _finding(
        self, result: ResultView, code: Concept, answers: tuple[Concept, ...]
    ) -> SuicidalityKind | None:
        """The suicidality that one result reports; `None` where an instrument asked, and if it is denied."""
        knowledge = self._elements.knowledge
        found = next((kind for one in _named(code, answers) if (kind := self._kind(one)) is not None), None)
        if found is None or measure_of_ours(code, knowledge) is not None:
            return None
        denied = is_denied(answers, _stated(result), knowledge)
        return None if denied or any(denies_suicidality(one, knowledge) for one in answers) else found

    def _kind(self, finding: Concept) -> SuicidalityKind | None:
        if finding not in self._known:
            self._known[finding] = find_suicidality(finding, self._elements.knowledge)
        return self._known[finding]


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
