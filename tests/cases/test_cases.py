"""Every case of `fixtures/cases`: a record, and what is expected to be concluded from it."""

import tomllib
from functools import cache
from typing import Any

import pytest

from service.render.answer import AssessmentAnswer
from tests.core.settled import assert_honest
from tests.support import CASES, case_names, case_review


@pytest.fixture(params=case_names())
def case(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@cache
def answer_of(case: str) -> AssessmentAnswer:
    return case_review(case).answer


def expected_of(case: str) -> dict[str, Any]:
    return tomllib.loads((CASES / case / "expected.toml").read_text(encoding="utf-8"))


def test_case(case: str) -> None:
    expected = expected_of(case)
    answer = answer_of(case).model_dump(mode="json")

    criteria = {c["id"]: c["finding"] for pathway in answer["pathways"] for c in pathway["criteria"]}
    assert (answer["decision"], answer["reason"]) == (expected["decision"], expected["reason"])
    assert [alert["code"] for alert in answer["alerts"]] == expected["alerts"]
    assert sorted(finding["id"] for finding in answer["safety"]) == sorted(expected["safety"])
    assert answer["not_screened"] == expected.get("not_screened", answer["not_screened"])
    if "protocol" in expected:
        assert answer["schedule"]["protocol"]["id"] == expected["protocol"]
    assert {p["id"]: p["finding"] for p in answer["pathways"]} == expected["pathways"]
    assert criteria == expected["criteria"]
    assert answer["failed_trials"] == answer["failed_trials"] | expected["failed_trials"]
    assert answer["settles"] == expected.get("settles", answer["settles"])
    for scale, score in expected.get("staging", {}).items():
        assert answer["staging"][scale] == answer["staging"][scale] | score
    if "treatment" in expected:
        assert _treatment(answer["treatment"]) == expected["treatment"]
    assert [_trial(trial) for trial in answer["trials"]] == [
        _trial(found) | wanted for found, wanted in zip(answer["trials"], _wanted(expected), strict=True)
    ]


def _trial(trial: dict[str, Any]) -> dict[str, Any]:
    return {
        "ingredient": trial["ingredient"]["name"],
        "counts": trial["counts"],
        "adequacy": trial["adequacy"]["finding"],
        "outcome": trial["outcome"]["finding"],
        "basis": trial["outcome"]["basis"],
        "in_episode": trial["in_episode"],
        "min_days": trial["adequate_days"]["min"],
        "max_days": trial["adequate_days"]["max"],
    }


def _treatment(treatment: dict[str, Any]) -> dict[str, Any]:
    """A treatment as a case states it; what is due is followed by its day, where there is one."""
    states = [session["state"] for session in treatment["sessions"]]
    return {
        "week": treatment["week"],
        "phase": treatment["phase"],
        "given": states.count("given") + states.count("unplanned"),
        "missed": states.count("missed"),
        "response": treatment["response"]["finding"],
        "next": treatment["next"]["code"],
        "due": [" ".join(filter(None, (due["what"], due["by"]))) for due in treatment["due"]],
    }


def _wanted(expected: dict[str, Any]) -> list[dict[str, Any]]:
    """The expected trials; without a basis none may be given, and days are checked where stated."""
    return [{"basis": None} | trial for trial in expected.get("trial", [])]


def test_a_missing_fact_is_always_named(case: str) -> None:
    answer = answer_of(case)

    for pathway in answer.pathways:
        for criterion in pathway.criteria:
            assert bool(criterion.needed) == (criterion.finding.value == "indeterminate")
    if answer.decision.value == "needs-information":
        assert answer.missing


def test_what_is_said_to_settle_a_decision_does_and_no_part_of_it(case: str) -> None:
    review = case_review(case)

    decision, settles = review.answer.decision.value, review.answer.settles
    assert not settles or decision in {"needs-information", "needs-review"}
    assert_honest(review.decision, review.record)


def test_every_conclusion_rests_on_versioned_records(case: str) -> None:
    answer = answer_of(case)

    cited = [ref for finding in answer.safety for ref in finding.evidence]
    cited += [ref for trial in answer.trials for ref in trial.evidence]
    cited += [ref for alert in answer.alerts for ref in alert.evidence]
    assert all("/_history/" in reference for reference in cited)
    assert all(finding.evidence for finding in answer.safety)
    assert all(trial.evidence for trial in answer.trials)


def test_the_cases_cover_every_decision_and_reason() -> None:
    expected = [expected_of(case) for case in case_names()]
    reasons = {case["reason"] for case in expected}

    assert {case["decision"] for case in expected} == {
        "propose",
        "decline",
        "needs-review",
        "needs-information",
    }
    assert reasons == {
        "deceased",
        "minor",
        "contraindicated",
        "in-treatment",
        "not-indicated",
        "safety-review",
        "missing-information",
        "trd",
        "acute-suicidality",
        "continuation",
    }
