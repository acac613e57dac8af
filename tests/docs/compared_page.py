"""Writes `docs/criteria-compared.md`: small histories under our criteria sets and published definitions.

The core computes what our sets say. What a published definition would say is a reading by a person, and
stands in `compared.toml`. `make docs` runs it; a test compares the page with what it would write now.
"""

import re
import sys
import tomllib
from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from service.core.assessment import TRD, Assessment
from service.core.findings import Answer, Finding, ReasonCode
from service.core.records import Exposure, Grade, Measure, Record, Severity, StopReason
from service.core.trials import Counts, Trial
from tests.core.builders import (
    NOT_DOCUMENTED,
    assessed,
    depression,
    exposure,
    procedure,
    record,
    result,
)
from tests.lists import knowledge_of

COMPARED: dict[str, list[dict[str, Any]]] = tomllib.loads(
    Path(__file__).with_name("compared.toml").read_text(encoding="utf-8")
)
SETS = ("seed", "fda", "ema", "payer-two-classes", "payer-three-trials", "ehr-orders")
READINGS = {"resistant": "Resistant under", "not_resistant": "Not resistant under", "open": "Open under"}

_VERDICTS = {Finding.MET: "met", Finding.NOT_MET: "not met", Finding.INDETERMINATE: "open"}
_COLUMNS = {
    "trials": "failed trials",
    "time": "time on each",
    "dose": "dose",
    "failure": "what shows a failure",
    "episode": "episode",
    "classes": "classes",
    "also": "also asked, left aside here",
    "source": "source",
}

_HEAD = """# Criteria compared

Definitions of treatment-resistant depression differ. This page shows where: twenty small histories, what each
of our [criteria sets](how-it-decides.md#criteria-sets) says about them, and what published definitions would
say. Use it to choose a set, or to explain an answer to somebody who has another definition in mind.

- **Our sets.** The service computes their answers, for the criteria of treatment-resistant depression alone,
  without safety and acute suicidality. *Open* means that the record lacks a fact, for which the service asks.
- **Published definitions.** Their answers are ours, as we read the definitions; no author or payer has
  confirmed them. We read what a definition says about antidepressant trials and about the episode and its
  severity, and leave the rest aside. *Open* means that the history lacks a fact that the definition asks for,
  or that the definition does not settle the point.
- Where a definition states no time, or an adequate one without a number, we read six weeks or more as
  adequate, less than four as too short (EU-PEARL consensus, PMC9095475, table 1), and what lies between as
  open.

This page is written from [a table](../tests/docs/compared.toml) by `make docs`.
"""
_PATIENT = """Each patient has major depression, severe unless the history says otherwise, which began in
January 2025 and is still coded at visits. The day is 23 November 2026. Doses are at or near the maximum of
the label unless they are the point. *Without effect* is recorded as the reason for stopping. Nothing else is
on record.
"""
_IN_SHORT = {
    ReasonCode.DOSE_ASSUMED: "dose assumed",
    ReasonCode.DOSE_NOT_DOCUMENTED: "dose not documented",
    ReasonCode.TWO_ASSUMPTIONS: "dose assumed and failure inferred",
    ReasonCode.INFERENCE_NOT_COUNTED: "outcome not documented",
    ReasonCode.PRESCRIBED_ONLY: "only prescribed",
    ReasonCode.PRESCRIBED_TAKEN_AS_USED: "prescriptions taken as used",
    ReasonCode.ONGOING: "still taken, no current score",
}
_COUNTED = {ReasonCode.TOO_FEW_TRIALS, ReasonCode.TRIALS_UNDECIDED}


class Said(NamedTuple):
    """What a criteria set says of a history, and why."""

    verdict: str
    why: str


def compared_page() -> str:
    """The page, in Markdown."""
    return "\n".join(_lines())


def _lines() -> Iterator[str]:
    said = [[_say(record_of(history), name) for name in SETS] for history in COMPARED["history"]]
    compared = list(zip(COMPARED["history"], said, strict=True))
    yield _HEAD
    yield "## Published definitions\n"
    yield from _table(["definition", *_COLUMNS.values()], map(_definition, COMPARED["definition"]))
    yield "## Histories\n"
    yield _PATIENT
    sets = (f"`{name}`" for name in SETS)
    yield from _table(["history", *sets, "resistant as published"], (_overview(*one) for one in compared))
    for one in compared:
        yield from _details(*one)


def _table(head: list[str], rows: Iterable[list[str]]) -> Iterator[str]:
    for cells in (head, ["---"] * len(head), *rows):
        yield f"| {' | '.join(cells)} |"
    yield ""


def _definition(definition: dict[str, Any]) -> list[str]:
    return [f"**{definition['name']}**: {definition['title']}", *(definition[name] for name in _COLUMNS)]


def _overview(history: dict[str, Any], said: list[Said]) -> list[str]:
    title = history["title"]
    anchor = re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")
    return [
        f"[{title}](#{anchor})",
        *(one.verdict for one in said),
        ", ".join(history["resistant"]) or "none",
    ]


def _details(history: dict[str, Any], said: list[Said]) -> Iterator[str]:
    yield f"### {history['title']}\n"
    yield f"{history['story']}\n"
    answers: dict[Said, list[str]] = {}
    for name, one in zip(SETS, said, strict=True):
        answers.setdefault(one, []).append(f"`{name}`")
    yield from _table(
        ["our sets", "answer", "why"],
        ([", ".join(names), one.verdict, one.why] for one, names in answers.items()),
    )
    for key, words in READINGS.items():
        if history[key]:
            yield f"- {words}: {', '.join(history[key])}"
    yield f"\n*Why they differ.* {history['why']}\n"


# --- what our sets say ----------------------------------------------------------------------------


def _say(of: Record, criteria: str) -> Said:
    found = assessed(of, knowledge=knowledge_of(criteria))
    pathway = found.pathway(TRD)
    trials = pathway.criteria[-1].answer
    verdict = _VERDICTS[pathway.finding]
    if trials.finding is not pathway.finding:
        deciding = [c.answer for c in pathway.criteria if c.answer.finding is pathway.finding]
        return Said(verdict, "; ".join(reason.text for answer in deciding for reason in answer.reasons))
    remarks = _remarks(
        t for t in found.trials if pathway.finding is not Finding.MET or t.counts is Counts.YES
    )
    return Said(verdict, "; ".join([*_counted(found, trials), *remarks]))


def _counted(found: Assessment, trials: Answer) -> Iterator[str]:
    failed = found.failed_trials
    for reason in trials.reasons:
        counts = reason.code in _COUNTED
        yield f"{failed.definite} of {failed.required} required trials failed" if counts else reason.text


def _remarks(trials: Iterable[Trial]) -> Iterator[str]:
    """What to know of the trials, those with the same remark together."""
    remarks: dict[str, list[str]] = {}
    for trial in trials:
        if remark := ", ".join(dict.fromkeys(_remark(trial))):
            remarks.setdefault(remark, []).append(trial.name)
    return (f"{', '.join(names)}: {remark}" for remark, names in remarks.items())


def _remark(trial: Trial) -> Iterator[str]:
    """What a failure rests on, or why the trial does not count or only may."""
    reasons = list(trial.counts_reasons)
    if trial.counts is Counts.YES:
        reasons += [r for r in trial.adequacy.reasons if r.code is ReasonCode.DOSE_ASSUMED]
    elif trial.counts is Counts.POSSIBLY and trial.adequacy.finding is not Finding.MET:
        reasons = [*trial.adequacy.reasons, *reasons]
    yield from (_IN_SHORT.get(reason.code, reason.text) for reason in reasons)
    if trial.counts is Counts.YES and trial.outcome.inference:
        yield "failure inferred"


# --- the record of a history ----------------------------------------------------------------------


def record_of(history: dict[str, Any]) -> Record:
    """The record that a history stands for."""
    severity = Severity(history.get("severity", "severe"))
    onset = str(history.get("onset", "2025-01-15"))
    taken = [one for course in history["courses"] for one in _exposures(course)]
    scores = [result(Measure.PHQ_9, one["score"], str(one["on"])) for one in history.get("phq9", [])]
    treated = [procedure(start=str(history["ect"]))] if "ect" in history else []
    return record(depression(severity=severity, onset=onset, recorded=onset), *taken, *scores, *treated)


def _exposures(course: dict[str, Any]) -> Iterator[Exposure]:
    """A course as it is recorded: one statement, or prescriptions one after another."""
    prescribed = {"grade": Grade.PRESCRIBED} if "prescriptions" in course else {}
    for number in range(course.get("prescriptions", 1)):
        start: date = course["start"] + timedelta(course.get("days", 0) * number)
        end = start + timedelta(course["days"] - 1) if "days" in course else None
        yield exposure(
            course["medicine"],
            start=str(start),
            end=str(end) if end else None,
            mg=course.get("mg", NOT_DOCUMENTED),
            stop_reasons=frozenset({StopReason(course["stopped"])} if "stopped" in course else ()),
            **prescribed,
        )


if __name__ == "__main__":
    sys.stdout.write(compared_page())
