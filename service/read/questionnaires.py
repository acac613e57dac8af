"""Read answers to questionnaires as results: https://hl7.org/fhir/R4/questionnaireresponse.html.

A question is known by the LOINC code in its `linkId` (`/44249-1/44260-8`) or its `definition`, by the
code that the Questionnaire gives it where that came along, or by its whole text.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import msgspec

from service.core.elements import Bearing
from service.core.records import Coding, Concept, Measure, Observation
from service.core.results import has_answers, measure_of
from service.fhir.sources import UNDECODABLE, Source
from service.fhir.views import (
    AnswerView,
    AskedView,
    ConceptView,
    QuantityView,
    QuestionnaireResponseView,
    QuestionnaireView,
    QuestionView,
    ResultView,
)
from service.read.elements import Elements, UnreadableElement, decode_view
from service.read.open_facts import OpenFacts
from service.read.results import Results, Told, tell

_RESPONSE = msgspec.json.Decoder(QuestionnaireResponseView)
_LOINC = re.compile(r"(?:.*[/#])?(\d{1,6}-\d)", re.ASCII | re.DOTALL)
_SETTLED = frozenset({"completed", "amended"})
_OPEN = frozenset({"in-progress", "stopped", None})
_ANSWER = "item.answer"


_QUESTIONNAIRE = msgspec.json.Decoder(QuestionnaireView)
Codes = Mapping[str, tuple[Coding, ...]]
"""The codes of questions, by their `linkId`."""


class AskedQuestion(NamedTuple):
    """What a question asks, and the answers that were given to it."""

    concept: Concept
    answers: tuple[AnswerView, ...]
    group: bool


def decode_response(source: Source) -> QuestionnaireResponseView:
    """The view of a QuestionnaireResponse; raises `UnreadableElement`."""
    view: QuestionnaireResponseView = decode_view(source, _RESPONSE)
    return view


def codes_by_questionnaire(sources: Iterable[Source], elements: Elements) -> dict[str, Codes]:
    """The codes of the questions of every Questionnaire that came along, by its canonical address."""
    found: dict[str, Codes] = {}
    for source in sources:
        if source.head.resource_type != "Questionnaire":
            continue
        try:
            view = _QUESTIONNAIRE.decode(source.content)
        except UNDECODABLE:
            continue
        if view.url:
            found[view.url] = dict(_codes_in(view.item, elements))
    return found


def _codes_in(asked: list[AskedView], elements: Elements) -> Iterator[tuple[str, tuple[Coding, ...]]]:
    for one in asked:
        if one.link_id:
            yield one.link_id, elements.concept(ConceptView(coding=one.code)).codings
        yield from _codes_in(one.item, elements)


def questions_of(view: QuestionnaireResponseView, codes: Mapping[str, Codes]) -> tuple[AskedQuestion, ...]:
    """The questions that were asked, those within others and within answers included."""
    known = codes.get((view.questionnaire or "").partition("|")[0], {})
    return tuple(_questions_in(view.item, known))


def _questions_in(items: list[QuestionView], codes: Codes) -> Iterator[AskedQuestion]:
    for item in items:
        inner = [*item.item, *(one for answer in item.answer for one in answer.item)]
        yield AskedQuestion(_asked(item, codes), tuple(item.answer), bool(item.item) and not item.answer)
        yield from _questions_in(inner, codes)


def _asked(item: QuestionView, codes: Codes) -> Concept:
    named = (match[1] for text in (item.link_id, item.definition) if (match := _LOINC.fullmatch(text or "")))
    loinc = tuple(Coding("loinc", code, None) for code in dict.fromkeys(named))
    return Concept((*codes.get(item.link_id or "", ()), *loinc), item.text)


def asks_what_bears(questions: Iterable[AskedQuestion], elements: Elements) -> bool:
    """Whether any question is one that the lists know."""
    knowledge = elements.knowledge
    return any(
        measure_of(one.concept, knowledge) or knowledge.score_items.first(one.concept) for one in questions
    )


def read_response(
    source: Source,
    view: QuestionnaireResponseView,
    questions: tuple[AskedQuestion, ...],
    facts: OpenFacts,
    elements: Elements,
) -> Results:
    """The results that answers give. A response that is not finished gives none that is settled."""
    if view.status not in _SETTLED | _OPEN:
        raise UnreadableElement("status")
    when = None if facts.leaves_open(Bearing.PERIOD) else elements.event(source, "authored", view.authored)
    settled = view.status in _SETTLED
    told = tell_answers(questions, elements)
    found = (Observation(t.measure, t.value, when, settled, (source.reference,), t.bound) for t in told)
    return Results(tuple(found), when, tuple(dict.fromkeys(one.unread for one in told if one.unread)))


def read_answer_traces(
    source: Source, questions: tuple[AskedQuestion, ...], elements: Elements
) -> Iterator[Observation]:
    """What answers say of suicidality or pregnancy where the response cannot be read in full."""
    for one in tell_answers(questions, elements):
        if has_answers(one.measure, elements.knowledge):
            yield Observation(one.measure, one.value, None, settled=False, evidence=(source.reference,))


def tell_answers(questions: tuple[AskedQuestion, ...], elements: Elements) -> tuple[Told, ...]:
    """What the answers to the listed questions say, and the scores that they add up to."""
    answered = tuple(
        _tell_answers(question, measure, elements)
        for question in questions
        if not question.group and (measure := measure_of(question.concept, elements.knowledge)) is not None
    )
    totals = (_total(measure, questions, answered, elements) for measure in _scored(elements))
    return (*(one for one in answered if one.measure not in _scored(elements)), *filter(None, totals))


def _scored(elements: Elements) -> tuple[Measure, ...]:
    """The scores that answers add up to."""
    return tuple(dict.fromkeys(elements.knowledge.score_items.exact.values()))


def _tell_answers(question: AskedQuestion, measure: Measure, elements: Elements) -> Told:
    """What the answers to one question say; several that differ say nothing that can be told."""
    told = [tell(_as_result(answer), measure, elements, f"{_ANSWER}.") for answer in question.answers]
    if len({(one.value, one.bound) for one in told}) == 1:
        return told[0] if told[0].value is not None else told[0]._replace(unread=told[0].unread or _ANSWER)
    return Told(measure, None, unread=_ANSWER if told else None)


def _as_result(answer: AnswerView) -> ResultView:
    """An answer as the result that an Observation would give it as."""
    number = answer.value_quantity
    if answer.value_decimal is not None:
        number = QuantityView(value=answer.value_decimal)
    return ResultView(
        value_quantity=number,
        value_integer=answer.value_integer,
        value_boolean=answer.value_boolean,
        value_string=answer.value_string,
        value_codeable_concept=ConceptView(coding=[answer.value_coding]) if answer.value_coding else None,
    )


def _total(
    measure: Measure, questions: tuple[AskedQuestion, ...], answered: tuple[Told, ...], elements: Elements
) -> Told | None:
    """A score: as it was entered, else the sum of its questions, where all of them were asked.

    `None` where it was neither entered nor asked for. An answer that cannot be told, or a sum that is not the
    score that was entered, leaves it unknown.
    """
    entered = {
        one.value for one in answered if one.measure is measure and (one.value is not None or one.unread)
    }
    for asked in _questions_of(measure, questions, elements):
        values = [_points(question, elements) for question in asked]
        added = None if None in values else sum(value for value in values if value is not None)
        entered |= {added} if added is not None or not entered else set()
    if not entered:
        return None
    value = entered.pop() if len(entered) == 1 else None
    return Told(measure, value, unread=None if value is not None else _ANSWER)


def _questions_of(
    measure: Measure, questions: tuple[AskedQuestion, ...], elements: Elements
) -> Iterator[tuple[AskedQuestion, ...]]:
    """The questions of a score, by each code system in which all of them were asked."""
    asked = {(c.system, c.code): question for question in questions for c in question.concept.codings}
    items = [key for key, of in elements.knowledge.score_items.exact.items() if of is measure]
    for system in dict.fromkeys(system for system, _ in items):
        wanted = [key for key in items if key[0] == system]
        if all(key in asked for key in wanted):
            yield tuple(asked[key] for key in wanted)


_MOST_POINTS = 3


def _points(question: AskedQuestion, elements: Elements) -> float | None:
    """The points of one answer, from 0 (not at all) to 3 (nearly every day)."""
    value = _tell_answers(question, Measure.PHQ_9_ITEM_9, elements).value
    return value if value is not None and 0 <= value <= _MOST_POINTS else None
