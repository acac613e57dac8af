"""What a record holds and no list knows, as the answer names it."""

import json

import pytest

from service.core.diagnoses import is_no_disorder, place_diagnosis
from service.core.records import ClinicalStatus, Coding, Concept, Diagnosis, Verification, VersionedReference
from service.gather.files import read_bundle
from service.review import Review
from tests.core.builders import US
from tests.safety_tables import coding, table
from tests.support import Resource, a_condition, case_bundle, reviewer

NO_DISORDER = table("codes/no_disorder.csv")
CODES = [row for row in NO_DISORDER if row["system"] == "snomed"]
CATEGORIES = [row for row in NO_DISORDER if row["system"] != "snomed"]
WORDS = ("safety/condition_words.csv", "codes/suicidality_words.csv", "codes/depression_words.csv")


def reviewed(*conditions: Resource) -> Review:
    """A patient for whom a plan would be proposed, with conditions more."""
    bundle = case_bundle("two-documented-failures-propose-treatment")
    bundle["entry"] += [{"resource": condition} for condition in conditions]
    return reviewer().review(read_bundle(json.dumps(bundle).encode()))


def another(number: int, **elements: object) -> Resource:
    return a_condition(f"another{number}", "propose-two", **elements)


def test_no_code_of_the_list_is_named() -> None:
    social = [
        another(n, code={"coding": [coding(row) | {"display": row["display"]}], "text": row["display"]})
        for n, row in enumerate(CODES)
    ]
    assert reviewed(*social).answer.not_screened == []


@pytest.mark.parametrize("row", CATEGORIES, ids=[row["code"] for row in CATEGORIES])
def test_a_category_of_the_list_is_heard(row: dict[str, str]) -> None:
    text = {"text": "Long way to the clinic"}
    problem = {"text": "Problem"}
    social = another(1, code=text, category=[problem, {"coding": [coding(row)]}])
    assert reviewed(social).answer.not_screened == []
    assert reviewed(another(1, code=text, category=[problem])).answer.not_screened == [text["text"]]


def test_what_words_tell_is_named_whatever_else_is_said() -> None:
    """Nothing that the lists of words find is left out, in whatever category or beside whatever code."""
    social = Concept((Coding(CATEGORIES[0]["system"], CATEGORIES[0]["code"], None),))
    left_out = []
    for row in (row for name in WORDS for row in table(name)):
        concept = Concept((Coding("snomed", CODES[0]["code"], row["word"]),))
        evidence = (VersionedReference("Condition", "it"),)
        bare = Diagnosis(concept.label, ClinicalStatus.ACTIVE, Verification.CONFIRMED, evidence)
        if is_no_disorder(place_diagnosis(bare, concept, Concept(), US), concept, (social,), US):
            left_out.append(row["word"])
    assert left_out == []


def test_ten_names_stand_in_the_plan_and_the_summary_and_all_in_the_answer() -> None:
    names = [f"Complaint {letter}" for letter in "abcdefghijkl"]
    review = reviewed(*(another(n, code={"text": name}) for n, name in enumerate(reversed(names))))
    assert review.answer.not_screened == names
    line = f"Not screened: {'; '.join(names[:10])}; and 2 more."
    assert line in review.answer.summary
    plan = review.intent.plan
    assert plan is not None
    assert line in plan["text"]["div"]
    assert "Complaint k" not in json.dumps(plan)
