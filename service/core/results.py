"""What an observation measures, what its answer is worth, and which treatment a procedure is."""

import re
from collections.abc import Iterable

from service.core.knowledge import Knowledge
from service.core.phrases import fold
from service.core.records import Concept, Measure, ProcedureKind

_NUMBER = re.compile(r"-?\d{1,4}(?:\.\d{1,4})?", re.ASCII)


_ASSERTION = ("act-code", "ASSERTION")
"""The code of an Observation whose value is the finding: https://terminology.hl7.org/CodeSystem-v3-ActCode.html."""
PRESSURES = frozenset({Measure.SYSTOLIC, Measure.DIASTOLIC})


def measure_of(concept: Concept, knowledge: Knowledge) -> Measure | None:
    """What an observation measures, by its code, else by its whole name, else by a code of the site's own."""
    return measure_of_ours(concept, knowledge) or knowledge.observations.first(concept)


def measure_of_ours(concept: Concept, knowledge: Knowledge) -> Measure | None:
    """What an observation measures without the site's own lists."""
    named = (knowledge.observation_names.get(fold(phrase)) for phrase in concept.phrases)
    listed = knowledge.observations.first_of_ours(concept)
    return listed or next((measure for measure in named if measure), None)


def is_assertion(concept: Concept) -> bool:
    """Whether an observation asserts the finding that is its value."""
    return any((coding.system, coding.code) == _ASSERTION for coding in concept.codings)


def codes_to_ask_for(knowledge: Knowledge) -> frozenset[tuple[str, str]]:
    """The codes of the observations that bear on the assessment, as (system, code).

    Findings of suicidality are in the codes of a terminology of findings; those of classifications stand on
    conditions.
    """
    findings = (key for key in knowledge.suicidality.exact if key[0] not in knowledge.classification_systems)
    return frozenset({*knowledge.observations.exact, *findings, _ASSERTION})


def bears_on_assessment(concepts: Iterable[Concept], knowledge: Knowledge) -> bool:
    """Whether any of what an observation measures is one that the lists know."""
    return any(measure_of(concept, knowledge) for concept in concepts)


def has_answers(measure: Measure, knowledge: Knowledge) -> bool:
    """Whether a measure is answered by yes, no or a grade, and not by a number alone."""
    return measure is Measure.PREGNANCY_STATUS or measure in knowledge.suicidality_results


def value_of(
    answers: Iterable[Concept], measure: Measure, stated: float | None, knowledge: Knowledge
) -> float | None:
    """The value of a result in codes or words, 1 and 0 for yes and no; `None` where it cannot be told.

    `stated` is 1 or 0 where the record itself says yes or no. A score or a pressure is a number:
    "moderate" or "positive" is none. A code and its words that differ tell nothing.
    """
    answers = tuple(answers)
    phrases = [fold(phrase) for answer in answers for phrase in answer.phrases]
    told = {float(phrase) for phrase in phrases if _NUMBER.fullmatch(phrase)}
    if has_answers(measure, knowledge):
        coded = (knowledge.answers.meaning(c.system, c.code) for a in answers for c in a.codings)
        spoken = (knowledge.answer_words.get(phrase) for phrase in phrases)
        told |= {value for value in (stated, *coded, *spoken) if value is not None}
    return float(told.pop()) if len(told) == 1 else None


def is_denied(answers: Iterable[Concept], stated: float | None, knowledge: Knowledge) -> bool:
    """Whether a finding is recorded as not present: by no, by zero, or by a word for either."""
    answers = tuple(answers)
    coded = (knowledge.answers.meaning(c.system, c.code) for answer in answers for c in answer.codings)
    spoken = (knowledge.answer_words.get(fold(phrase)) for answer in answers for phrase in answer.phrases)
    told = {value for value in (stated, *coded, *spoken) if value is not None}
    return told == {0}


def procedure_kind(concept: Concept, knowledge: Knowledge) -> ProcedureKind | None:
    """Which treatment of depression a procedure is; `None` for any other."""
    listed = knowledge.procedures
    spoken = (kind for phrase in concept.phrases for kind in knowledge.procedure_names.all_in(phrase))
    return listed.first_of_ours(concept) or next(spoken, None) or listed.first(concept)
