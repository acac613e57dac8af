"""Symptom scores: what they say of the present, and what they say of a treatment.

A score speaks for the present for as long as the criteria set says. Results after the day of assessment,
without a date, preliminary or outside their scale say nothing.
"""

from datetime import date
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
    last = [s for s in recent if not any(other.when.earliest > s.when.latest for other in recent)]
    telling = [score for score in last if score.symptomatic or score.in_remission]
    certain = all(score.when.earliest >= since for score in telling)
    remitted = tuple(score for score in telling if score.in_remission)
    symptomatic = tuple(score for score in telling if score.symptomatic)
    if remitted and (symptomatic or not certain):
        return Symptoms(undecided=tuple(telling))
    return Symptoms(symptomatic if certain else (), remitted)


class Course(StrEnum):
    """What scores say of a treatment."""

    RESPONDED = "responded"
    FAILED = "failed"
    PARTIAL = "partial"


class Trajectory(NamedTuple):
    """What scores say of a treatment, in words, with the scores that it rests on."""

    course: Course
    text: str
    evidence: tuple[VersionedReference, ...]


def trajectory(interval: Interval, scores: tuple[Score, ...], criteria: Criteria) -> Trajectory | None:
    """What the scores say of a treatment: `None` where they do not tell.

    The last score of a scale, taken on the treatment and no sooner than the minimum weeks after its start,
    is set against the last one before the start. A score in remission is a response, whatever it was
    before; without one from before, a symptomatic score is a failure and any other says nothing. Scales
    that disagree say nothing.
    """
    start, end = interval.start, interval.end
    if start is None or end is None or not scores:
        return None
    window = days_before(start.earliest, criteria.score_days)
    found = []
    for scale in dict.fromkeys(score.scale for score in scores):
        on_it = [s for s in scores if s.scale is scale and s.when.latest <= end.earliest]
        on_it = [s for s in on_it if _minimum_passed(s, start, criteria)]
        before = [s for s in scores if s.scale is scale and s.when.latest <= start.earliest]
        before = [s for s in before if s.when.earliest >= window and s.value > 0]
        said = _compared(before[-1] if before else None, on_it[-1], criteria) if on_it else None
        if said is not None:
            found.append(said)
    return found[0] if len({said.course for said in found}) == 1 else None


def _compared(before: Score | None, after: Score, criteria: Criteria) -> Trajectory | None:
    """What a score on a treatment says, beside the one from before where there is one."""
    if after.in_remission:
        return Trajectory(Course.RESPONDED, f"{after} on it: remission", after.evidence)
    if before is None:
        text = f"{after} on it after the minimum time"
        return Trajectory(Course.FAILED, text, after.evidence) if after.symptomatic else None
    fall = (before.value - after.value) / before.value
    text = f"{before} before it, {after.value:g} on it"
    evidence = (*before.evidence, *after.evidence)
    if fall >= criteria.response_fall:
        return Trajectory(Course.RESPONDED, f"{text}: a response", evidence)
    if fall < criteria.failure_fall:
        return Trajectory(Course.FAILED, f"{text}: no response", evidence)
    return Trajectory(Course.PARTIAL, f"{text}: a partial response", evidence)


def _minimum_passed(score: Score, start: PartialDate, criteria: Criteria) -> bool:
    """Whether a score was certainly taken when the minimum time had passed."""
    return (score.when.earliest - start.latest).days + 1 >= criteria.minimum_days
