"""What came of a trial: what the record documents, else what follows from it."""

from bisect import bisect_right
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum
from typing import NamedTuple, assert_never

from service.core.courses import Course, Episode
from service.core.dates import PartialDate, Spans, days_before
from service.core.exposures import trial_key
from service.core.findings import Finding, Reason, ReasonCode
from service.core.knowledge import Criteria, InferredFailure
from service.core.records import (
    Exposure,
    ExposureStatus,
    Grade,
    Role,
    StopReason,
    VersionedReference,
)
from service.core.scores import Scales, Trajectory, Verdict, trajectory


class OutcomeFinding(StrEnum):
    """What a trial came to."""

    FAILED = "failed"
    RESPONDED = "responded"
    NOT_TOLERATED = "not-tolerated"
    UNKNOWN = "unknown"


class Basis(StrEnum):
    """Whether a failure was written down or follows from the record."""

    DOCUMENTED = "documented"
    INFERRED = "inferred"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a trial came to and why; `inference` names the way a failure was inferred."""

    finding: OutcomeFinding
    basis: Basis | None
    reasons: tuple[Reason, ...]
    inference: InferredFailure | None = None


class Successors:
    """The courses of every medicine that may have replaced or augmented another, by when they began."""

    def __init__(self, courses: tuple[Course, ...]) -> None:
        began = sorted(
            (start.earliest.toordinal(), place)
            for place, course in enumerate(courses)
            if (start := course.interval.start) is not None and not _for_something_else(course)
        )
        self._courses = courses
        self._began = [day for day, _ in began]
        self._places = [place for _, place in began]

    def begun(self, after: date, until: date, *, days_later: int) -> list[Course]:
        """Those that began, at the earliest, after one day and at most some days after another, in order."""
        first = bisect_right(self._began, after.toordinal())
        last = bisect_right(self._began, until.toordinal() + days_later)
        return [self._courses[place] for place in self._places[first:last]]


def grade_outcome(
    course: Course,
    others: Successors,
    scales: Scales,
    episode: Episode,
    criteria: Criteria,
) -> Outcome:
    """Say what came of a course: what the record documents, else what follows from it.

    A documented stop reason decides, then the symptom scores on it. Without either, a course that ended
    counts as an inferred failure when another antidepressant replaced it or an augmenting agent was
    added, or when it ended while the MDD stayed active and no later score shows a remission. An ongoing
    course is a failure only by its scores or when it was augmented: a refill starts nothing new.
    """
    evidence = course.evidence
    measured = trajectory(course.interval, scales, criteria)
    last = _last_exposures(course)
    documented = {
        _documented_outcome(reasons, evidence) for reasons in {e.stop_reasons for e in last} if reasons
    }
    if documented:
        return _set_against(_agreed(documented, evidence), measured)
    if measured is not None:
        return _outcome_of(measured)
    inferred = _inferred(course, others, scales, episode, criteria)
    return _or_perhaps_augmented(inferred, course, others)


def _inferred(
    course: Course, others: Successors, scales: Scales, episode: Episode, criteria: Criteria
) -> Outcome:
    """What follows for a course of which nobody wrote down what came of it."""
    evidence = course.evidence
    step = switch_or_augmentation(course, others, criteria)
    if step is not None:
        inference = InferredFailure.SWITCHED_OR_AUGMENTED
        return Outcome(OutcomeFinding.FAILED, Basis.INFERRED, (step.reason,), inference)
    end = course.interval.end
    if course.interval.ongoing:
        text = "still taken, with no current symptom score on record"
        return _unknown(Reason(ReasonCode.ONGOING, text, evidence))
    if end is None or not _surely_ended(_last_exposures(course), episode, criteria):
        return _unknown(
            Reason(
                ReasonCode.END_UNCERTAIN,
                "the record does not show for certain whether or when treatment ended",
                evidence,
            )
        )
    remitted = tuple(s for s in scales.after(end.earliest) if s.in_remission)
    if remitted:
        text = f"{remitted[0]} was in the range of remission after treatment ended"
        return _unknown(Reason(ReasonCode.SCORE_IN_REMISSION, text, remitted[0].evidence))
    if episode.active is Finding.MET and end.earliest >= episode.start.latest:
        text = "treatment ended while the depression remained active, and no other reason is recorded"
        return Outcome(
            OutcomeFinding.FAILED,
            Basis.INFERRED,
            (Reason(ReasonCode.ENDED_WHILE_ACTIVE, text, evidence),),
            InferredFailure.ENDED_WHILE_ACTIVE,
        )
    return _unknown(Reason(ReasonCode.NO_OUTCOME, "no reason for stopping is recorded", evidence))


def _outcome_of(said: Trajectory) -> Outcome:
    match said.verdict:
        case Verdict.RESPONDED:
            reasons = [Reason(ReasonCode.SCORE_SHOWS_RESPONSE, said.text, said.evidence)]
            if said.relapse is not None:
                text = f"{said.relapse} later during treatment: the symptoms came back"
                reasons.append(Reason(ReasonCode.SCORE_SHOWS_RELAPSE, text, said.relapse.evidence))
            return Outcome(OutcomeFinding.RESPONDED, Basis.DOCUMENTED, tuple(reasons))
        case Verdict.FAILED:
            reason = Reason(ReasonCode.SCORE_SHOWS_FAILURE, said.text, said.evidence)
            return Outcome(OutcomeFinding.FAILED, Basis.DOCUMENTED, (reason,))
        case Verdict.PARTIAL:
            return _unknown(Reason(ReasonCode.SCORE_SHOWS_PARTIAL_RESPONSE, said.text, said.evidence))
        case Verdict.UNDECIDED:
            return _unknown(Reason(ReasonCode.SCORE_DISAGREES, said.text, said.evidence))
        case _:
            assert_never(said.verdict)


def _set_against(documented: Outcome, said: Trajectory | None) -> Outcome:
    """A stop reason beside scores that say the opposite says nothing; the record contradicts itself."""
    measured = _outcome_of(said) if said is not None else documented
    if {documented.finding, measured.finding} != {OutcomeFinding.FAILED, OutcomeFinding.RESPONDED}:
        return documented
    text = "the reason for stopping and the symptom scores contradict each other"
    evidence = (*documented.reasons[0].evidence, *measured.reasons[0].evidence)
    return _unknown(Reason(ReasonCode.SCORE_DISAGREES, text, evidence))


def _surely_ended(last: tuple[Exposure, ...], episode: Episode, criteria: Criteria) -> bool:
    """Whether the exposures that a course may have ended with leave no doubt that it did.

    A supply that has just run out may be followed by the next.
    """
    if all(e.grade is Grade.STATED and e.status is not ExposureStatus.ACTIVE for e in last):
        return True
    awaited = 0 if all(e.grade is Grade.STATED for e in last) else criteria.grace_days
    ends = [e.period.end.latest for e in last if e.period.end is not None]
    return len(ends) == len(last) and max(ends) < days_before(episode.as_of, awaited)


def _unknown(reason: Reason) -> Outcome:
    return Outcome(OutcomeFinding.UNKNOWN, None, (reason,))


def _last_exposures(course: Course) -> tuple[Exposure, ...]:
    """The exposures that the course may have ended with."""
    if course.interval.end is None:
        return course.taken
    return tuple(
        e for e in course.taken if e.period.end is None or e.period.end.latest >= course.interval.end.earliest
    )


def _agreed(documented: set[Outcome], evidence: tuple[VersionedReference, ...]) -> Outcome:
    """What all the records say that a course may have ended with; where they differ, nothing is said."""
    if len(documented) == 1:
        return documented.pop()
    text = "the last records of this treatment give different reasons for stopping"
    return _unknown(Reason(ReasonCode.STOP_REASON_UNCLEAR, text, evidence))


def _documented_outcome(reasons: frozenset[StopReason], evidence: tuple[VersionedReference, ...]) -> Outcome:
    """The outcome that recorded stop reasons say; contradictory ones say nothing."""

    def documented(finding: OutcomeFinding, code: ReasonCode, text: str) -> Outcome:
        basis = Basis.DOCUMENTED if finding is not OutcomeFinding.UNKNOWN else None
        return Outcome(finding, basis, (Reason(code, text, evidence),))

    if reasons >= {StopReason.REMISSION, StopReason.INEFFECTIVE} or StopReason.UNCLEAR in reasons:
        text = "the recorded reason for stopping is unclear"
        return documented(OutcomeFinding.UNKNOWN, ReasonCode.STOP_REASON_UNCLEAR, text)
    if StopReason.INEFFECTIVE in reasons:
        return documented(
            OutcomeFinding.FAILED, ReasonCode.STOPPED_INEFFECTIVE, "stopped because it did not help"
        )
    if StopReason.REMISSION in reasons:
        return documented(
            OutcomeFinding.RESPONDED, ReasonCode.STOPPED_IN_REMISSION, "stopped after the depression improved"
        )
    if StopReason.INTOLERANCE in reasons:
        return documented(
            OutcomeFinding.NOT_TOLERATED,
            ReasonCode.STOPPED_INTOLERANCE,
            "stopped because it was not tolerated",
        )
    text = "stopped for a reason other than lack of effect"
    return documented(OutcomeFinding.UNKNOWN, ReasonCode.STOPPED_OTHER, text)


class NextStep(NamedTuple):
    """The medicine that replaced or augmented another, as a reason, and when it was begun."""

    reason: Reason
    begun: PartialDate


def switch_or_augmentation(course: Course, others: Successors, criteria: Criteria) -> NextStep | None:
    """The medicine that certainly replaced or augmented this one, if any.

    A replacement starts after this course did and soon after (or before) it ended, and outlasts it.
    An augmenting agent starts during the course, for no other recorded reason than depression, and reaches
    its minimum dose before the course ends.
    """
    start, end = course.interval.start, course.interval.end
    if start is None or end is None:
        return None
    own = trial_key(course.exposures[0])
    for other in others.begun(start.latest, end.earliest, days_later=criteria.switch_days):
        other_start, other_end = other.interval.start, other.interval.end
        if other_start is None:
            continue
        medicine = other.exposures[0].medicine
        if medicine.role is Role.AUGMENTING and _begins(other.at_dose[0], by=end.earliest):
            text = f"{medicine.ingredient} was added"
            return NextStep(Reason(ReasonCode.AUGMENTED, text, other.evidence), other_start)
        if (
            medicine.role is Role.ANTIDEPRESSANT
            and not course.interval.ongoing
            and trial_key(other.exposures[0]) != own
            and (other_start.latest - end.earliest).days <= criteria.switch_days
            and other_end is not None
            and other_end.earliest > end.latest
        ):
            text = f"{medicine.ingredient} replaced it"
            return NextStep(Reason(ReasonCode.SWITCHED, text, other.evidence), other_start)
    return None


def _or_perhaps_augmented(outcome: Outcome, course: Course, others: Successors) -> Outcome:
    """The outcome; an unknown one says as well which agents were added at a dose that may have augmented."""
    start, end = course.interval.start, course.interval.end
    if outcome.finding is not OutcomeFinding.UNKNOWN or start is None or end is None:
        return outcome
    reasons = tuple(
        Reason(
            ReasonCode.PERHAPS_AUGMENTED,
            f"{other.exposures[0].medicine.ingredient} was added, and the record does not show whether at a "
            "dose that augments",
            other.evidence,
        )
        for other in others.begun(start.latest, end.earliest, days_later=0)
        if other.exposures[0].medicine.role is Role.AUGMENTING
        and other.interval.start is not None
        and other.interval.start.latest <= end.earliest
        and _begins(other.at_dose[1], by=end.latest)
    )
    return replace(outcome, reasons=(*reasons, *outcome.reasons))


def _begins(spans: Spans, *, by: date) -> bool:
    return any(first <= by for first, _ in spans)


def _for_something_else(course: Course) -> bool:
    return any(exposure.indication.may_be_another for exposure in course.exposures)
