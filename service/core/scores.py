"""Symptom scores: what they say of the present, and what they say of a treatment.

A score speaks for the present for as long as the criteria set says. Results after the day of assessment,
without a date, preliminary or outside their scale say nothing.
"""

import itertools
from bisect import bisect_left, bisect_right
from datetime import date, timedelta
from enum import StrEnum
from typing import NamedTuple

from service.core.dates import Interval, PartialDate, days_before
from service.core.knowledge import Criteria, Knowledge
from service.core.records import Measure, Record, VersionedReference, reference_order


class Score(NamedTuple):
    """One symptom score, and what its scale says of it: symptomatic, in remission or neither."""

    scale: Measure
    value: float
    when: PartialDate
    symptomatic: bool
    in_remission: bool
    evidence: tuple[VersionedReference, ...]

    def __str__(self) -> str:
        """The scale and the value."""
        return f"{self.scale.value.upper()} {self.value:g}"


def read_scores(record: Record, knowledge: Knowledge, as_of: date) -> tuple[Score, ...]:
    """The usable scores of a record, from the earliest."""
    found = []
    for result in record.observations:
        scale = knowledge.scales.get(result.measure)
        usable = scale is not None and result.settled and result.value is not None
        if not usable or scale is None or result.value is None or result.when is None:
            continue
        if scale.lowest <= result.value <= scale.highest and result.when.earliest <= as_of:
            found.append(
                Score(
                    result.measure,
                    result.value,
                    result.when.at_most(as_of),
                    result.value >= scale.symptomatic_from,
                    result.value <= scale.remission_up_to,
                    result.evidence,
                )
            )
    return tuple(sorted(found, key=lambda s: (s.when, s.scale, s.value, reference_order(s.evidence))))


class Symptoms(NamedTuple):
    """What the scores say of the present; `undecided` are those that contradict one another."""

    symptomatic: tuple[Score, ...] = ()
    in_remission: tuple[Score, ...] = ()
    undecided: tuple[Score, ...] = ()


def current_symptoms(scores: tuple[Score, ...], criteria: Criteria, as_of: date) -> Symptoms:
    """What the latest scores within the window say.

    A later score speaks louder. Where it is not certain which came last, or whether the last is recent
    enough, remission beside symptoms is undecided.
    """
    since = days_before(as_of, criteria.score_days)
    recent = [score for score in scores if score.when.latest >= since]
    last = _not_followed(recent, recent)
    telling = [score for score in last if score.symptomatic or score.in_remission]
    certain = all(score.when.earliest >= since for score in telling)
    remitted = tuple(score for score in telling if score.in_remission)
    symptomatic = tuple(score for score in telling if score.symptomatic)
    if remitted and (symptomatic or not certain):
        return Symptoms(undecided=tuple(telling))
    return Symptoms(symptomatic if certain else (), remitted)


class Verdict(StrEnum):
    """What scores say of a treatment; `UNDECIDED` is said by scores that contradict one another."""

    RESPONDED = "responded"
    FAILED = "failed"
    PARTIAL = "partial"
    UNDECIDED = "undecided"


class Trajectory(NamedTuple):
    """What scores say of a treatment, in words, with the scores that it rests on."""

    verdict: Verdict
    text: str
    evidence: tuple[VersionedReference, ...]


class Scales:
    """The scores of a record by scale, each from the earliest."""

    def __init__(self, scores: tuple[Score, ...]) -> None:
        self._scores: dict[Measure, list[Score]] = {}
        for score in scores:
            self._scores.setdefault(score.scale, []).append(score)
        self._earliest = {of: [s.when.earliest for s in found] for of, found in self._scores.items()}
        self._latest = {
            of: list(itertools.accumulate((s.when.latest for s in found), max))
            for of, found in self._scores.items()
        }

    def between(self, first: date, last: date) -> list[list[Score]]:
        """The scores of each scale without those that were certainly taken before or after these days."""
        return [
            found[bisect_left(self._latest[of], first) : bisect_right(self._earliest[of], last)]
            for of, found in self._scores.items()
        ]


def trajectory(interval: Interval, scales: Scales, criteria: Criteria) -> Trajectory | None:
    """What the scores say of a treatment: `None` where they do not tell.

    The last score of a scale, taken on the treatment and no sooner than the minimum weeks after its start,
    is set against the last one before the start. A score in remission is a response, whatever it was
    before; without one from before, a symptomatic score is a failure and any other says nothing. A
    treatment that goes on is judged by a recent score only, and failed only while that is symptomatic.
    Where scales disagree, or dates leave open which score was the last on it, a failure is not told, and
    one that may have been a response is undecided.
    """
    read = _readings(interval, scales, criteria)
    telling = [said for readings in read if any(readings) for said in readings]
    told = [said for said in telling if said is not None]
    verdicts = {said.verdict for said in told}
    if len(verdicts) == 1 and len(told) == len(telling):
        return told[-1]
    if verdicts <= {Verdict.FAILED}:
        return None
    text = "the symptom scores or their dates do not show the outcome"
    evidence = tuple(dict.fromkeys(ref for said in told for ref in said.evidence))
    return Trajectory(Verdict.UNDECIDED, text, evidence)


def _readings(interval: Interval, scales: Scales, criteria: Criteria) -> list[list[Trajectory | None]]:
    """What each scale says, by every reading of its dates that is possible."""
    start, end = interval.start, interval.end
    if start is None or end is None:
        return []
    minimum = timedelta(days=criteria.minimum_days - 1)
    recently = days_before(end.earliest, criteria.score_days) if interval.ongoing else date.min
    enough = PartialDate(max(start.earliest + minimum, recently), max(start.latest + minimum, recently))
    window = PartialDate(*(days_before(day, criteria.score_days) for day in (start.earliest, start.latest)))
    return [
        [
            _compared(interval, before, after, criteria) if after is not None else None
            for before in _last_between(window, start, scores)
            for after in _last_between(enough, end, scores)
        ]
        for scores in scales.between(window.earliest, max(start.latest, end.latest))
    ]


def _last_between(first: PartialDate, last: PartialDate, scores: list[Score]) -> list[Score | None]:
    """The scores that may be the last between two days; `None` where there may be none."""
    sure = [s for s in scores if s.when.earliest >= first.latest and s.when.latest <= last.earliest]
    perhaps = [s for s in scores if s.when.latest >= first.earliest and s.when.earliest <= last.latest]
    found = _not_followed(perhaps, sure)
    return [*found] if sure else [None, *found]


def _not_followed(scores: list[Score], others: list[Score]) -> list[Score]:
    """The scores after which none of the others was certainly taken."""
    last = max((other.when.earliest for other in others), default=date.min)
    return [score for score in scores if score.when.latest >= last]


def _compared(
    interval: Interval, before: Score | None, after: Score, criteria: Criteria
) -> Trajectory | None:
    """What a score on a treatment says, beside the one from before where there is one to compare with."""
    if after.in_remission:
        return Trajectory(Verdict.RESPONDED, f"{after} during treatment: remission", after.evidence)
    if before is None or before.value <= 0:
        text = f"{after} during treatment, after the minimum time"
        return Trajectory(Verdict.FAILED, text, after.evidence) if after.symptomatic else None
    fall = (before.value - after.value) / before.value
    text = f"{before} before treatment, {after.value:g} during treatment"
    evidence = (*before.evidence, *after.evidence)
    if fall >= criteria.response_fall:
        return Trajectory(Verdict.RESPONDED, f"{text}: a response", evidence)
    if fall >= criteria.failure_fall:
        return Trajectory(Verdict.PARTIAL, f"{text}: a partial response", evidence)
    if interval.ongoing and not after.symptomatic:
        return Trajectory(Verdict.PARTIAL, f"{text}: below the symptomatic range", evidence)
    return Trajectory(Verdict.FAILED, f"{text}: no response", evidence)
