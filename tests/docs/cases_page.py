"""Writes `docs/cases.md`: every case of `fixtures/cases`, with what is concluded from it.

`make docs` runs it; a test compares the page with what it would write now.
"""

import sys
import tomllib
from collections.abc import Iterator
from typing import Any, NamedTuple

from service.core.decision import ReasonOfDecision
from service.core.words import describe_trial, state_settling
from service.review import Review
from tests.support import CASES, case_names, case_review

_HEADINGS = {
    ReasonOfDecision.TRD: "Proposed: treatment-resistant depression",
    ReasonOfDecision.ACUTE_SUICIDALITY: "Proposed: acute suicidality",
    ReasonOfDecision.MISSING_INFORMATION: "Needs information",
    ReasonOfDecision.SAFETY_REVIEW: "Needs review",
    ReasonOfDecision.NOT_INDICATED: "Declined: not indicated",
    ReasonOfDecision.CONTRAINDICATED: "Declined: contraindicated",
    ReasonOfDecision.IN_TREATMENT: "Declined: in treatment",
    ReasonOfDecision.MINOR: "Declined: minor",
    ReasonOfDecision.DECEASED: "Declined: deceased",
}

_HEAD = """# Cases

Each is a record in `fixtures/cases` with the answer that its author expects of it by the written rules; no
clinician has confirmed these answers yet. This page is written from them by `make docs`, and a test runs
every one. Without another word the criteria set is `seed`, the region the US and the day 23 November 2026.
How each rule works: [how it decides](how-it-decides.md).
"""


class Case(NamedTuple):
    """A case as it is on disk, and the review of its record."""

    name: str
    expected: dict[str, Any]
    review: Review


def cases_page() -> str:
    """The page, in Markdown."""
    cases = [
        Case(name, tomllib.loads((CASES / name / "expected.toml").read_text("utf-8")), case_review(name))
        for name in case_names()
    ]
    by_reason = {
        reason: [case for case in cases if case.review.decision.reason is reason] for reason in _HEADINGS
    }
    lines = [_HEAD, *(_contents(reason, found) for reason, found in by_reason.items()), ""]
    for reason, found in by_reason.items():
        lines.append(f"## {_HEADINGS[reason]}\n")
        lines.extend(line for case in found for line in _lines(case))
    return "\n".join(lines)


def _contents(reason: ReasonOfDecision, cases: list[Case]) -> str:
    links = ", ".join(f"[{_title(case.name)}](#{case.name})" for case in cases)
    return f"- **{_HEADINGS[reason]}**: {links}"


def _title(name: str) -> str:
    words = name.replace("-", " ")
    return words[:1].upper() + words[1:]


def _lines(case: Case) -> Iterator[str]:
    folder = f"../fixtures/cases/{case.name}"
    answer = case.review.answer
    yield f"### {_title(case.name)}\n"
    yield f"{case.expected['story']}\n"
    files = f"[record]({folder}/bundle.json), [expected]({folder}/expected.toml)"
    yield f"*{', '.join(_setting(case))}* {files}\n"
    failed = answer.failed_trials
    for trial in case.review.decision.assessment.trials:
        yield f"- {describe_trial(trial, answer.as_of)}"
    if answer.trials:
        yield (
            f"- Failed trials: {failed.definite} of {failed.required} required"
            f" ({failed.inferred} of them inferred), {failed.possible} more possible."
        )
    for finding in answer.safety:
        yield f"- Safety: {finding.title} ({finding.effect.value}, label section {finding.label_section})."
    for alert in answer.alerts:
        yield f"- Alert: {alert.text}"
    for missing in answer.missing:
        yield f"- Missing: {missing.what} (decides {missing.would_decide})."
    for one in answer.settles:
        yield f"- {state_settling(one.facts, one.leads_to)}"
    yield ""


def _setting(case: Case) -> Iterator[str]:
    answer, expected = case.review.answer, case.expected
    yield f"{answer.decision.value}: {answer.reason.value}"
    if answer.criteria.id != "seed":
        yield f"criteria {answer.criteria.id}"
    if expected.get("region", "us") != "us":
        yield f"region {expected['region']}"
    if "timezone" in expected:
        yield f"time zone {expected['timezone']}"


if __name__ == "__main__":
    sys.stdout.write(cases_page())
