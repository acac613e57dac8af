"""What an observation measures, what its answer is worth, and which treatment a procedure is."""

import pytest

from service.core.records import Coding, Concept, Measure, ProcedureKind
from service.core.results import bears_on_assessment, has_answers, measure_of, procedure_kind, value_of
from tests.core.builders import US

PHQ_9 = Concept((Coding("loinc", "44261-6", None),))
PREGNANCY = Measure.PREGNANCY_STATUS


@pytest.mark.parametrize(
    ("concept", "measure"),
    [
        (PHQ_9, Measure.PHQ_9),
        (Concept(text=" MADRS "), Measure.MADRS),
        (Concept(text="MADRS item 3"), None),
        (Concept((Coding("loinc", "2160-0", "Creatinine"),)), None),
    ],
)
def test_an_observation_is_known_by_its_code_else_by_its_whole_name(
    concept: Concept, measure: Measure | None
) -> None:
    assert measure_of(concept, US) is measure


def test_an_observation_bears_on_the_assessment_by_any_of_its_components() -> None:
    assert bears_on_assessment([Concept(text="Screening"), PHQ_9], US)
    assert not bears_on_assessment([Concept(text="Screening")], US)


@pytest.mark.parametrize(
    ("answers", "measure", "stated", "value"),
    [
        ([Concept(text="17")], Measure.PHQ_9, None, 17),
        ([Concept(text="moderate")], Measure.PHQ_9, None, None),
        ([], Measure.PHQ_9, 1.0, None),
        ([Concept(text="Pregnant")], PREGNANCY, None, 1),
        ([], PREGNANCY, 0.0, 0),
        ([Concept(text="pregnant")], PREGNANCY, 0.0, None),
        ([Concept(text="yes"), Concept(text="no")], Measure.C_SSRS_2, None, None),
        ([Concept((Coding("loinc", "LA33-6", "No"),))], Measure.C_SSRS_2, None, None),
    ],
)
def test_an_answer_is_a_number_or_a_known_word_and_never_two(
    answers: list[Concept], measure: Measure, stated: float | None, value: float | None
) -> None:
    assert value_of(answers, measure, stated, US) == value


def test_suicidality_and_pregnancy_are_answered_in_words_a_score_is_not() -> None:
    assert has_answers(Measure.C_SSRS_1, US)
    assert has_answers(PREGNANCY, US)
    assert not has_answers(Measure.MADRS, US)


@pytest.mark.parametrize(
    ("concept", "kind"),
    [
        (Concept((Coding("cpt", "90870", None),)), ProcedureKind.ECT),
        (Concept(text="Electroconvulsive therapy"), ProcedureKind.ECT),
        (Concept(text="Appendectomy"), None),
    ],
)
def test_a_procedure_is_known_by_its_code_else_by_its_words(
    concept: Concept, kind: ProcedureKind | None
) -> None:
    assert procedure_kind(concept, US) is kind
