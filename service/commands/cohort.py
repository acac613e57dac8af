"""The patients of an NDJSON file together: how many got which decision, and a table with a row each."""

import csv
import io
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from service.render.answer import AssessmentAnswer
from service.render.terminal import count

HEADINGS = (
    "patient",
    "decision",
    "reason",
    "failed_trials",
    "possible_trials",
    "required_trials",
    "maudsley",
    "mgh_s",
    "thase_rush",
    "missing",
)
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for a formula where a cell begins with it."""


@dataclass(slots=True)
class Cohort:
    """The answers to patients one after the other, and how many records could not be used."""

    answers: list[AssessmentAnswer] = field(default_factory=list)
    unusable: int = 0

    def summarise(self) -> Iterator[str]:
        """How many patients there are, and how many got each decision for each reason, the most first."""
        refused = f", {count(self.unusable, 'record')} that cannot be used" if self.unusable else ""
        yield f"{count(len(self.answers), 'patient')}{refused}"
        decided = Counter(f"{one.decision} ({one.reason})" for one in self.answers)
        for said, number in sorted(decided.items(), key=lambda item: (-item[1], item[0])):
            yield f"{number:6}  {said}"

    def as_csv(self) -> bytes:
        """A table with a heading and a row per patient (RFC 4180, UTF-8)."""
        out = io.StringIO()
        writer = csv.writer(out)
        writer.writerow(HEADINGS)
        writer.writerows([_guarded(cell) for cell in _row(answer)] for answer in self.answers)
        return out.getvalue().encode()


def _row(answer: AssessmentAnswer) -> Iterator[str]:
    failed, staging = answer.failed_trials, answer.staging
    yield from (answer.patient, answer.decision.value, answer.reason.value)
    yield from map(str, (failed.definite, failed.possible, failed.required))
    for score in (staging.msm, staging.mgh_s, staging.thase_rush):
        yield f"{score.min:g}" if score.min == score.max else f"{score.min:g} to {score.max:g}"
    yield "; ".join(missing.what for missing in answer.missing)


def _guarded(cell: str) -> str:
    return f"'{cell}" if cell.startswith(_FORMULA) else cell
