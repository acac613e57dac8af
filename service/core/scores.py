"""Symptom scores: what they say of the present, and what they say of a treatment.

A score speaks for the present for as long as the criteria set says. Results after the day of assessment,
without a date, preliminary or outside their scale say nothing.
"""

import itertools
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
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
    """What scores say of a treatment, in words, with the scores that it rests on.

    `relapse` is the last score with symptoms later in a treatment that had helped.
    """

    verdict: Verdict
    text: str
    evidence: tuple[VersionedReference, ...]
    relapse: Score | None = None


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

    def after(self, day: date) -> tuple[Score, ...]:
        """The scores that may have been taken after a day, from the earliest."""
        return tuple(s for found in self._scores.values() for s in found if s.when.latest > day)

    def between(self, first: date, last: date) -> list[list[Score]]:
        """The scores of each scale without those that were certainly taken before or after these days."""
        return [
            found[bisect_left(self._latest[of], first) : bisect_right(self._earliest[of], last)]
            for of, found in self._scores.items()
        ]


def trajectory(interval: Interval, scales: Scales, criteria: Criteria) -> Trajectory | None:
    """What the scores say of a treatment: `None` where they do not tell.

    A score in remission at any time on it, or one that fell by the share of a response from the last one
    before the start, is a response; a later relapse on it is no failed trial. One that may be such, or that
    another score of the same day contradicts, leaves it undecided. Without any, the last score no sooner
    than the minimum weeks is set against the one from before; where there is none, a symptomatic score is a
    failure and any other says nothing. A treatment that goes on failed only while a recent score is
    symptomatic. Where scales disagree, or dates leave open which was the last, a failure is not told.
    """
    if interval.start is None or interval.end is None:
        return None
    treated = _Treated(interval.start, interval.end, interval.ongoing)
    by_scale = treated.by_scale(scales, criteria)
    responses = [said for scores in by_scale for said in treated.responses(scores, criteria)]
    if responses:
        return _of_responses(responses, [score for scores in by_scale for score in treated.on_it(scores)])
    read = [treated.readings(scores, criteria) for scores in by_scale]
    telling = [said for readings in read if any(readings) for said in readings]
    told = [said for said in telling if said is not None]
    verdicts = {said.verdict for said in told}
    if len(verdicts) == 1 and len(told) == len(telling):
        return told[-1]
    if verdicts <= {Verdict.FAILED}:
        return None
    return _undecided(ref for said in told for ref in said.evidence)


class _ShownResponse(NamedTuple):
    """A score that shows a response; not `certain` where its date or the one from before leaves that open."""

    score: Score
    certain: bool
    said: Trajectory


def _of_responses(responses: list[_ShownResponse], on_it: list[Score]) -> Trajectory:
    """The last response that is certain and that no score of the same day contradicts."""
    helped = {one.score for one in responses}
    symptomatic = [score for score in on_it if score.symptomatic and score not in helped]
    contradicted = {score for score in helped for other in symptomatic if _may_be_one_day(score, other)}
    sure = [one for one in responses if one.certain and one.score not in contradicted]
    if not sure:
        return _undecided(ref for one in responses for ref in one.said.evidence)
    last = max(sure, key=lambda one: (one.score.when, one.score.scale, -one.score.value))
    later = [score for score in symptomatic if score.when.earliest > last.score.when.latest]
    return last.said._replace(relapse=later[-1] if later else None)


def _undecided(evidence: Iterable[VersionedReference]) -> Trajectory:
    text = "the symptom scores or their dates do not show the outcome"
    return Trajectory(Verdict.UNDECIDED, text, tuple(dict.fromkeys(evidence)))


def _may_be_one_day(one: Score, other: Score) -> bool:
    return one.when.earliest <= other.when.latest and other.when.earliest <= one.when.latest


class _Treated(NamedTuple):
    """A treatment with a first and a last day, to look for the scores before it and on it."""

    start: PartialDate
    end: PartialDate
    ongoing: bool

    def by_scale(self, scales: Scales, criteria: Criteria) -> list[list[Score]]:
        """The scores of each scale that may tell of it."""
        first = days_before(self.start.earliest, criteria.score_days)
        return scales.between(first, max(self.start.latest, self.end.latest))

    def on_it(self, scores: list[Score]) -> list[Score]:
        """The scores that may have been taken on it; one of the first day is one from before."""
        return [
            s for s in scores if s.when.latest > self.start.earliest and s.when.earliest <= self.end.latest
        ]

    def before(self, scores: list[Score], criteria: Criteria) -> list[Score | None]:
        """The scores that may be the last from shortly before it; `None` where there may be none."""
        days = (self.start.earliest, self.start.latest)
        window = PartialDate(*(days_before(day, criteria.score_days) for day in days))
        return _last_between(window, self.start, scores)

    def responses(self, scores: list[Score], criteria: Criteria) -> Iterator[_ShownResponse]:
        """The scores of one scale that show, or may show, a response at any time on it."""
        before = self.before(scores, criteria)
        for score in self.on_it(scores):
            certainly_on = score.when.earliest > self.start.latest and score.when.latest <= self.end.earliest
            if score.in_remission:
                text = f"{score} during treatment: remission"
                said = Trajectory(Verdict.RESPONDED, text, score.evidence)
                yield _ShownResponse(score, certainly_on, said)
                continue
            halved = [b for b in before if b is not None and _fall(b, score) >= criteria.response_fall]
            if halved:
                text = f"{halved[-1]} before treatment, {score.value:g} during treatment: a response"
                evidence = (*halved[-1].evidence, *score.evidence)
                certain = certainly_on and len(halved) == len(before)
                yield _ShownResponse(score, certain, Trajectory(Verdict.RESPONDED, text, evidence))

    def readings(self, scores: list[Score], criteria: Criteria) -> list[Trajectory | None]:
        """What one scale says that shows no response, by every reading of its dates that is possible."""
        minimum = timedelta(days=criteria.minimum_days - 1)
        recently = days_before(self.end.earliest, criteria.score_days) if self.ongoing else date.min
        days = (self.start.earliest, self.start.latest)
        enough = PartialDate(*(max(day + minimum, recently) for day in days))
        return [
            self._compared(before, after, criteria) if after is not None else None
            for before in self.before(scores, criteria)
            for after in _last_between(enough, self.end, scores)
        ]

    def _compared(self, before: Score | None, after: Score, criteria: Criteria) -> Trajectory | None:
        """What a score on it says, beside the one from before where there is one to compare with."""
        if before is None or before.value <= 0:
            text = f"{after} during treatment, after the minimum time"
            return Trajectory(Verdict.FAILED, text, after.evidence) if after.symptomatic else None
        text = f"{before} before treatment, {after.value:g} during treatment"
        evidence = (*before.evidence, *after.evidence)
        if _fall(before, after) >= criteria.failure_fall:
            return Trajectory(Verdict.PARTIAL, f"{text}: a partial response", evidence)
        if self.ongoing and not after.symptomatic:
            return Trajectory(Verdict.PARTIAL, f"{text}: below the symptomatic range", evidence)
        return Trajectory(Verdict.FAILED, f"{text}: no response", evidence)


def _fall(before: Score, after: Score) -> float:
    """The share by which a score fell; from zero there is nothing to fall."""
    return (before.value - after.value) / before.value if before.value > 0 else 0.0


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
