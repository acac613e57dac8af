"""Every case of `fixtures/cases`: a record, and what a clinician expects to be concluded from it."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from service.gather.files import read_bundle
from service.render.answer import AssessmentAnswer
from service.review import Reviewer
from service.settings import load_settings

CASES = sorted(path for path in (Path(__file__).parents[2] / "fixtures" / "cases").iterdir() if path.is_dir())


@pytest.fixture(params=CASES, ids=lambda path: path.name)
def case(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


def answer_of(case: Path, expected: dict[str, Any]) -> AssessmentAnswer:
    settings = load_settings(criteria=expected.get("criteria_id"), region=expected.get("region"))
    reviewer = Reviewer.prepare(settings, expected["as_of"])
    return reviewer.review(read_bundle((case / "bundle.json").read_bytes())).answer


def test_case(case: Path) -> None:
    expected = tomllib.loads((case / "expected.toml").read_text(encoding="utf-8"))
    answer = answer_of(case, expected).model_dump(mode="json")

    criteria = {c["id"]: c["finding"] for pathway in answer["pathways"] for c in pathway["criteria"]}
    assert (answer["decision"], answer["reason"]) == (expected["decision"], expected["reason"])
    assert [alert["code"] for alert in answer["alerts"]] == expected["alerts"]
    assert sorted(finding["id"] for finding in answer["safety"]) == sorted(expected["safety"])
    assert {p["id"]: p["finding"] for p in answer["pathways"]} == expected["pathways"]
    assert criteria == expected["criteria"]
    assert answer["failed_trials"] == answer["failed_trials"] | expected["failed_trials"]
    for scale, score in expected.get("staging", {}).items():
        assert answer["staging"][scale] == answer["staging"][scale] | score
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


def _wanted(expected: dict[str, Any]) -> list[dict[str, Any]]:
    """The expected trials; without a basis none may be given, and days are checked where stated."""
    return [{"basis": None} | trial for trial in expected.get("trial", [])]


def test_a_missing_fact_is_always_named(case: Path) -> None:
    expected = tomllib.loads((case / "expected.toml").read_text(encoding="utf-8"))
    answer = answer_of(case, expected)

    for pathway in answer.pathways:
        for criterion in pathway.criteria:
            assert bool(criterion.needed) == (criterion.finding.value == "indeterminate")
    if answer.decision.value == "needs-information":
        assert answer.missing


def test_every_conclusion_rests_on_versioned_records(case: Path) -> None:
    expected = tomllib.loads((case / "expected.toml").read_text(encoding="utf-8"))
    answer = answer_of(case, expected)

    cited = [ref for finding in answer.safety for ref in finding.evidence]
    cited += [ref for trial in answer.trials for ref in trial.evidence]
    cited += [ref for alert in answer.alerts for ref in alert.evidence]
    assert all("/_history/" in reference for reference in cited)
    assert all(finding.evidence for finding in answer.safety)
    assert all(trial.evidence for trial in answer.trials)


def test_the_cases_cover_every_decision_and_reason() -> None:
    expected = [tomllib.loads((case / "expected.toml").read_text(encoding="utf-8")) for case in CASES]
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
    }
