"""Answers to questionnaires are the results that an Observation would give."""

import json
from typing import Any

import pytest

from service.core.records import Measure, Record
from service.gather.files import read_bundle
from tests.support import Resource, a_bundle, a_patient, reviewer

LOINC = "http://loinc.org"
OURS = {"reference": "Patient/ann"}
ITEMS = ("44250-9", "44255-8", "44259-0", "44254-1", "44251-7", "44258-2", "44252-5", "44253-3", "44260-8")
ANSWERS = ("LA6568-5", "LA6569-3", "LA6570-1", "LA6571-9")
ITEM_9 = ITEMS[-1]


def answered(link: str, *answers: Resource, **item: Any) -> Resource:
    return {"linkId": link, **({"answer": list(answers)} if answers else {}), **item}


def points(code: str, value: int) -> Resource:
    return answered(f"/44249-1/{code}", {"valueCoding": {"system": LOINC, "code": ANSWERS[value]}})


def phq_9(*values: int) -> list[Resource]:
    return [points(code, value) for code, value in zip(ITEMS, values, strict=False)]


def a_response(*items: Resource, **elements: Any) -> Resource:
    return {
        "resourceType": "QuestionnaireResponse",
        "id": "answers",
        "status": "completed",
        "subject": OURS,
        "authored": "2026-11-10T09:30:00Z",
        "item": list(items),
    } | elements


def read(*resources: Resource) -> Record:
    content = json.dumps(a_bundle([a_patient(), *resources])).encode()
    return reviewer().review(read_bundle(content)).record


def told(*items: Resource, **elements: Any) -> list[tuple[Measure, float | None]]:
    record = read(a_response(*items, **elements))
    assert record.unreadable == ()
    return sorted((o.measure, o.value) for o in record.observations)


@pytest.mark.parametrize(
    "item",
    [
        answered("/44261-6", {"valueInteger": 12}),
        answered("44261-6", {"valueDecimal": 12.0}),
        answered("/44249-1/44261-6", {"valueQuantity": {"value": 12, "unit": "{score}"}}),
        answered("7", {"valueInteger": 12}, definition="http://loinc.org/q/44261-6"),
        answered("7", {"valueInteger": 12}, definition="http://example.org/StructureDefinition/phq#44261-6"),
        answered("7", {"valueString": "12"}, text="PHQ-9 total score"),
    ],
)
def test_a_total_is_the_score(item: Resource) -> None:
    within = {
        "linkId": "group",
        "item": [{"linkId": "1", "answer": [{"valueBoolean": True, "item": [item]}]}],
    }
    assert told(item) == told(within) == [(Measure.PHQ_9, 12)]


def test_nine_answers_add_up_to_the_score_and_one_of_them_is_of_its_own() -> None:
    assert told(*phq_9(3, 2, 1, 0, 0, 1, 2, 3, 1)) == [(Measure.PHQ_9, 13), (Measure.PHQ_9_ITEM_9, 1)]
    group = {"linkId": "/44249-1", "text": "PHQ-9", "item": phq_9(0, 1, 0, 1, 0, 0, 1, 0, 0)}
    assert told(group) == [(Measure.PHQ_9, 3), (Measure.PHQ_9_ITEM_9, 0)]


def test_a_score_is_the_same_as_that_of_an_observation() -> None:
    code = {"coding": [{"system": LOINC, "code": "44261-6"}]}
    when = {"status": "final", "effectiveDateTime": "2026-11-10T09:30:00Z"}
    result = {
        "resourceType": "Observation",
        "id": "answers",
        "subject": OURS,
        "code": code,
        "valueInteger": 12,
    }
    (observed,) = read({**result, **when}).observations
    (answer,) = read(a_response(answered("/44261-6", {"valueInteger": 12}))).observations
    assert observed[:4] == answer[:4]


def test_two_questions_of_nine_are_no_phq_9() -> None:
    assert told(*phq_9(3, 3)) == []


@pytest.mark.parametrize(
    "items",
    [
        [*phq_9(3, 2, 1, 0, 0, 1, 2, 3), answered(f"/{ITEM_9}")],
        [*phq_9(3, 2, 1, 0, 0, 1, 2, 3), answered(f"/{ITEM_9}", {"valueString": "sometimes"})],
        [*phq_9(3, 2, 1, 0, 0, 1, 2, 3), answered(f"/{ITEM_9}", {"valueInteger": 4})],
        [*phq_9(3, 2, 1, 0, 0, 1, 2, 3, 1), answered("/44261-6", {"valueInteger": 4})],
        [answered("/44261-6", {"valueInteger": 4}, {"valueInteger": 14})],
        [answered("/44261-6", {"valueQuantity": {"value": 4, "comparator": "<"}})],
        [answered("/44261-6", {"valueDate": "2026-11-10"})],
    ],
)
def test_answers_that_cannot_be_added_up_give_an_unknown_score_which_is_named(items: list[Resource]) -> None:
    record = read(a_response(*items))
    assert [o.value for o in record.observations if o.measure is Measure.PHQ_9] == [None]
    assert {one.evidence.type for one in record.open_elements} == {"QuestionnaireResponse"}


def test_an_empty_place_for_the_total_leaves_it_to_the_answers() -> None:
    items = [*phq_9(0, 1, 0, 1, 0, 0, 1, 0, 0), answered("/44261-6")]
    assert (Measure.PHQ_9, 3) in told(*items)


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        ({"valueBoolean": True}, 1),
        ({"valueBoolean": False}, 0),
        ({"valueCoding": {"system": LOINC, "code": "LA33-6"}}, 1),
        ({"valueCoding": {"system": LOINC, "code": "LA32-8"}}, 0),
        ({"valueString": "No"}, 0),
        ({"valueString": "rather not say"}, None),
    ],
)
def test_the_c_ssrs_is_answered_by_yes_and_no(answer: Resource, value: float | None) -> None:
    assert told(answered("/93249-1", answer)) == [(Measure.C_SSRS_4, value)]


def test_a_question_about_suicidality_without_an_answer_is_kept_as_unknown() -> None:
    assert told(answered("/93249-1")) == [(Measure.C_SSRS_4, None)]


def test_a_question_is_known_by_the_questionnaire_that_came_along() -> None:
    asked = [{"linkId": "q1", "item": [{"linkId": "q2", "code": [{"system": LOINC, "code": "93249-1"}]}]}]
    questionnaire = {
        "resourceType": "Questionnaire",
        "id": "cssrs",
        "url": "http://x.test/cssrs",
        "item": asked,
    }
    response = a_response(answered("q2", {"valueBoolean": True}), questionnaire="http://x.test/cssrs|2")
    assert [(o.measure, o.value) for o in read(questionnaire, response).observations] == [
        (Measure.C_SSRS_4, 1)
    ]
    assert read(response).observations == ()


@pytest.mark.parametrize(
    ("status", "settled"),
    [("completed", True), ("amended", True), ("in-progress", False), ("stopped", False), (None, False)],
)
def test_a_response_that_is_not_finished_is_open(status: str | None, settled: bool) -> None:
    (found,) = read(a_response(answered("/44261-6", {"valueInteger": 12}), status=status)).observations
    assert found.settled is settled


def test_a_response_that_was_an_error_is_set_aside() -> None:
    record = read(a_response(answered("/44261-6", {"valueInteger": 12}), status="entered-in-error"))
    assert (record.observations, [e.evidence.type for e in record.excluded]) == (
        (),
        ["QuestionnaireResponse"],
    )


@pytest.mark.parametrize(
    ("elements", "element"),
    [
        ({"status": "banana"}, "status"),
        ({"modifierExtension": [{"url": "http://example.org/not"}]}, "modifierExtension"),
        ({"authored": "yesterday"}, "authored"),
        ({"subject": {}}, "subject"),
        ({"item": 7}, "item"),
    ],
)
def test_a_response_that_cannot_be_read_is_named(elements: Resource, element: str) -> None:
    record = read({**a_response(answered("/93249-1", {"valueBoolean": True})), **elements})
    assert [(u.evidence.type, u.element) for u in record.unreadable] == [("QuestionnaireResponse", element)]
    kept = [(o.measure, o.value, o.settled) for o in record.observations]
    assert kept == ([] if element in {"subject", "item"} else [(Measure.C_SSRS_4, 1, False)])


def test_answers_to_other_questions_bear_on_nothing() -> None:
    record = read(a_response(answered("/8302-2", {"valueInteger": 170}), subject={}))
    assert (record.observations, record.unreadable) == ((), ())
    assert "QuestionnaireResponse" not in {reference.type for reference in record.read}
