"""Antidepressant trials: what was tried, was it adequate, what came of it, and does it count.

An *exposure* is one record of a medicine taken. A *course* (`core.courses`) is exposures to one ingredient
joined over gaps of at most the grace period. A *trial* is one ingredient with its courses. It is *adequate*
(`core.adequacy`) when one course reached the minimum dose for the minimum time, and it came to something
(`core.outcome`). It *counts* when it was adequate and failed in the current episode.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum
from typing import NamedTuple

from service.core.adequacy import judge_adequacy
from service.core.augmentation import join_agent_courses
from service.core.courses import Course, Episode, join_courses
from service.core.dates import PartialDate, years_before
from service.core.episode import DepressionSign
from service.core.exposures import trial_key
from service.core.findings import Answer, Finding, Reason, ReasonCode
from service.core.knowledge import Criteria, InferredFailure, Ingredient, Knowledge, UndocumentedDose
from service.core.orders import as_taken, is_taken_by_premise
from service.core.outcome import Outcome, OutcomeFinding, Successors, grade_outcome, switch_or_augmentation
from service.core.records import (
    GRADES,
    Exposure,
    ExposureStatus,
    Grade,
    Identified,
    Indication,
    Role,
    StopReason,
    VersionedReference,
    reference_order,
)
from service.core.scores import Scales, Score


class Counts(StrEnum):
    """Whether a trial counts towards treatment resistance."""

    YES = "yes"
    NO = "no"
    POSSIBLY = "possibly"


@dataclass(frozen=True, slots=True)
class Trial:
    """One medicine tried. `ingredient` is `None` for one that might be an antidepressant.

    `counts_reasons` say why it does not count, or only may; and what to know of one that does.
    """

    ingredient: Ingredient | None
    name: str
    courses: tuple[Course, ...]
    in_episode: bool
    adequacy: Answer
    outcome: Outcome
    counts: Counts
    counts_reasons: tuple[Reason, ...]
    needed: tuple[str, ...]
    evidence: tuple[VersionedReference, ...]

    @property
    def start(self) -> PartialDate | None:
        """When the first course started."""
        return self.courses[0].interval.start

    @property
    def end(self) -> PartialDate | None:
        """When the last course ended; the day of assessment while it goes on."""
        return self.courses[-1].interval.end

    @property
    def ongoing(self) -> bool:
        """Whether it is still taken."""
        return any(course.interval.ongoing for course in self.courses)

    @property
    def adequate_days(self) -> tuple[int, int]:
        """Adequate days of the best course, shortest and longest."""
        return (
            max(course.adequate_days[0] for course in self.courses),
            max(course.adequate_days[1] for course in self.courses),
        )

    @property
    def grade(self) -> Grade:
        """The best evidence that it was taken."""
        return min((e.grade for c in self.courses for e in c.exposures), key=GRADES.index)

    @property
    def daily_dose_mg(self) -> tuple[float, float] | None:
        """Lowest and highest documented daily dose; `None` when none is documented."""
        doses = [e.dose for course in self.courses for e in course.exposures]
        lows = [dose.low_mg for dose in doses if dose.low_mg is not None]
        highs = [dose.high_mg for dose in doses if dose.high_mg is not None]
        return (min(lows), max(highs)) if lows and highs else None


def find_trials(
    exposures: tuple[Exposure, ...], scores: tuple[Score, ...], episode: Episode, knowledge: Knowledge
) -> tuple[Trial, ...]:
    """Every trial on the record, by start. `exposures` are distinct and have settled intervals."""
    tried, others = _treatments(exposures, episode, knowledge)
    scales = Scales(scores)
    trials = [_trial(some, others, scales, episode, knowledge) for some in tried]
    return tuple(sorted(trials, key=_trial_order))


def signs_of_treatment(
    exposures: tuple[Exposure, ...], scores: tuple[Score, ...], knowledge: Knowledge, as_of: date
) -> tuple[DepressionSign, ...]:
    """The antidepressants that were stopped, replaced or augmented because they did not help, as signs.

    They show the depression whenever it was, so that the episode can be dated by them.
    """
    floor = PartialDate.on(years_before(as_of, knowledge.criteria.look_back_years))
    ever = Episode(floor, as_of, assumed=True, active=Finding.INDETERMINATE)
    tried, others = _treatments(exposures, ever, knowledge)
    courses = (course for some in tried for course in some if _is_of_depression(course))
    scales, criteria = Scales(scores), knowledge.criteria
    failed = (c for c in courses if grade_outcome(c, others, scales, ever, criteria).finding is _FAILED)
    return tuple(sign for course in failed for sign in _signs(course, others, criteria))


_FAILED = OutcomeFinding.FAILED


def _signs(course: Course, others: Successors, criteria: Criteria) -> Iterator[DepressionSign]:
    """The end of a course that is recorded as ineffective, and the start of what followed one that failed."""
    medicine, start, end = course.exposures[0].medicine, course.interval.start, course.interval.end
    name = medicine.ingredient or medicine.label
    if end is not None and any(StopReason.INEFFECTIVE in e.stop_reasons for e in course.exposures):
        text = f"{name} stopped because it did not help"
        yield DepressionSign(end, start or end, text, course.evidence)
    step = switch_or_augmentation(course, others, criteria)
    if step is not None:
        evidence = tuple(dict.fromkeys((*course.evidence, *step.reason.evidence)))
        yield DepressionSign(step.begun, start or step.begun, f"{name}: {step.reason.text}", evidence)


def _is_of_depression(course: Course) -> bool:
    """Whether a course is certainly of an antidepressant, and of no other recorded reason."""
    return all(
        e.medicine.role is Role.ANTIDEPRESSANT
        and e.medicine.not_a_trial is None
        and e.medicine.identified in {Identified.CODED, Identified.TEXT_ONLY}
        and not e.indication.may_be_another
        for e in course.exposures
    )


def _treatments(
    exposures: tuple[Exposure, ...], episode: Episode, knowledge: Knowledge
) -> tuple[list[tuple[Course, ...]], Successors]:
    """The courses of every medicine that may be a trial, and all that may have followed one of them."""
    groups: dict[tuple[str, str], list[Exposure]] = {}
    for exposure in exposures:
        if _may_be_trial(exposure) or _is_known(exposure):
            groups.setdefault(trial_key(exposure), []).append(exposure)
    courses = [_courses(tuple(group), episode, knowledge) for _, group in sorted(groups.items())]
    others = Successors(tuple(c for some in courses if _is_known(some[0].exposures[0]) for c in some))
    return [some for some in courses if _may_be_trial(some[0].exposures[0])], others


def _courses(exposures: tuple[Exposure, ...], episode: Episode, knowledge: Knowledge) -> tuple[Course, ...]:
    if exposures[0].medicine.role is Role.AUGMENTING:
        return join_agent_courses(exposures, episode, knowledge)
    ingredient = knowledge.ingredient(exposures[0].medicine.ingredient)
    return join_courses(exposures, ingredient, episode, knowledge.criteria)


def _may_be_trial(exposure: Exposure) -> bool:
    medicine = exposure.medicine
    unsure = {Identified.LOOKS_LIKE_ANTIDEPRESSANT, Identified.UNRESOLVED}
    return medicine.role is Role.ANTIDEPRESSANT or medicine.identified in unsure


def _is_known(exposure: Exposure) -> bool:
    """Whether a medicine may replace or augment another: coded, and meant for depression."""
    medicine = exposure.medicine
    known = medicine.identified is Identified.CODED and medicine.not_a_trial is None
    return known and (medicine.role is Role.ANTIDEPRESSANT or medicine.role is Role.AUGMENTING)


def _trial_order(trial: Trial) -> tuple[date, date, str, tuple[tuple[str, str, str], ...]]:
    start = trial.start
    first = start or PartialDate.on(date.min)
    return (first.earliest, first.latest, trial.name, reference_order(trial.evidence))


def _trial(
    courses: tuple[Course, ...],
    others: Successors,
    scales: Scales,
    episode: Episode,
    knowledge: Knowledge,
) -> Trial:
    criteria = knowledge.criteria
    medicine = courses[0].exposures[0].medicine
    ingredient = knowledge.ingredient(medicine.ingredient)
    judged = []
    for course in courses:
        outcome = grade_outcome(course, others, scales, episode, criteria)
        judged.append(_judge(course, ingredient, outcome, episode, criteria))
    best = _telling(judged)
    evidence = sorted({ref for c in courses for e in c.exposures for ref in e.evidence}, key=str)
    return Trial(
        ingredient,
        ingredient.name if ingredient else medicine.label,
        courses,
        any(course.days[1] > 0 for course in courses),
        best.adequate,
        best.outcome,
        best.counts,
        best.reasons,
        best.needed,
        tuple(evidence),
    )


class _Judged(NamedTuple):
    """A course with what is concluded from it."""

    course: Course
    adequate: Answer
    outcome: Outcome
    counts: Counts
    reasons: tuple[Reason, ...]
    needed: tuple[str, ...]


def _judge(
    course: Course,
    ingredient: Ingredient | None,
    outcome: Outcome,
    episode: Episode,
    criteria: Criteria,
) -> _Judged:
    adequate = judge_adequacy(course, ingredient, criteria)
    counts, reasons, needed = _count(course, adequate, outcome, criteria)
    if counts is Counts.YES and outcome.inference is not None:
        assumed = tuple(reason for reason in adequate.reasons if reason.code is ReasonCode.DOSE_ASSUMED)
        if assumed and not _is_adequate_as_documented(course, ingredient, episode, criteria):
            counts, reasons = Counts.POSSIBLY, (_two_assumptions(assumed, outcome), *reasons)
            needed = ("the daily dose, or the reason for stopping",)
    return _Judged(course, adequate, outcome, counts, reasons, needed)


def _is_adequate_as_documented(
    course: Course, ingredient: Ingredient | None, episode: Episode, criteria: Criteria
) -> bool:
    """Whether a course is adequate by its documented doses alone."""
    documented = replace(criteria, undocumented_dose=UndocumentedDose.INDETERMINATE)
    again = join_courses(course.exposures, ingredient, episode, documented)
    return any(judge_adequacy(one, ingredient, documented).finding is Finding.MET for one in again)


def _two_assumptions(assumed: tuple[Reason, ...], outcome: Outcome) -> Reason:
    """A trial rests on one assumption at most: that the dose was adequate, or that it failed."""
    evidence = dict.fromkeys(ref for reason in (*assumed, *outcome.reasons) for ref in reason.evidence)
    text = "the dose is assumed and the failure inferred: a trial may rest on one assumption only"
    return Reason(ReasonCode.TWO_ASSUMPTIONS, text, tuple(evidence))


def _telling(judged: list[_Judged]) -> _Judged:
    """The course that speaks for the trial: one that failed, whatever came of the others.

    Unless the medicine helped when it was last taken: then it is no failure.
    """
    last = max(judged, key=lambda one: _course_end(one.course))
    if last.outcome.finding is OutcomeFinding.RESPONDED:
        return last
    rank = {Counts.NO: 0, Counts.POSSIBLY: 1, Counts.YES: 2}
    return max(judged, key=lambda j: (rank[j.counts], j.course.adequate_days, _course_end(j.course)))


def _course_end(course: Course) -> date:
    end = course.interval.end
    return end.latest if end else date.min


def _count(
    course: Course, adequate: Answer, outcome: Outcome, criteria: Criteria
) -> tuple[Counts, tuple[Reason, ...], tuple[str, ...]]:
    """Say whether a trial counts as failed, why, and what would settle it where it may."""
    evidence = course.evidence
    medicine = course.exposures[0].medicine
    flags = (*_premise(course, criteria), *_flags(course))
    no = _reason_against(course, adequate, outcome)
    if no is not None:
        return (Counts.NO, (no, *flags), ())
    doubts: list[Reason] = []
    needed: list[str] = list(adequate.needed)
    if medicine.identified is not Identified.CODED:
        text, settle = _IDENTITY_DOUBTS[medicine.identified]
        doubts.append(Reason(ReasonCode(medicine.identified.value), text, evidence))
        needed.append(settle)
    indications = {exposure.indication for exposure in course.exposures}
    if Indication.OTHER in indications:
        text = "given for a reason other than depression"
        doubts.append(Reason(ReasonCode.OTHER_INDICATION, text, evidence))
        needed.append("whether it was also given for depression")
    elif Indication.UNCLEAR in indications:
        text = "the recorded reason for giving it could not be read"
        doubts.append(Reason(ReasonCode.INDICATION_UNCLEAR, text, evidence))
        needed.append("whether it was given for depression")
    if outcome.finding is not OutcomeFinding.FAILED:
        doubts.extend(outcome.reasons)
        needed.append(
            "a current symptom score (PHQ-9 or MADRS)"
            if course.interval.ongoing
            else "the reason for stopping"
        )
        if any(reason.code is ReasonCode.PERHAPS_AUGMENTED for reason in outcome.reasons):
            needed.append("the daily dose of the agent that was added")
    elif outcome.inference is not None and outcome.inference not in criteria.counted_inferences:
        text, settle = _NOT_COUNTED[outcome.inference]
        doubts.append(Reason(ReasonCode.INFERENCE_NOT_COUNTED, text, evidence))
        needed.append(settle)
    if adequate.finding is Finding.MET and not doubts:
        return (Counts.YES, flags, ())
    return (Counts.POSSIBLY, (*doubts, *flags), tuple(needed))


_NOT_COUNTED = {
    InferredFailure.ENDED_WHILE_ACTIVE: (
        "an end alone does not show that it failed",
        "the reason for stopping",
    ),
    InferredFailure.SWITCHED_OR_AUGMENTED: (
        "the criteria set requires a documented outcome",
        "a documented outcome",
    ),
}


def _premise(course: Course, criteria: Criteria) -> tuple[Reason, ...]:
    """What the criteria set takes as its premise: prescriptions that count as taken, because it says so."""
    told = tuple(
        ref
        for exposure in as_taken(course.exposures, criteria)
        if exposure is not None and is_taken_by_premise(exposure, criteria)
        for ref in exposure.evidence
    )
    text = "its prescriptions count as taken, as the criteria set specifies"
    return (Reason(ReasonCode.PRESCRIBED_TAKEN_AS_USED, text, told),) if told else ()


def _flags(course: Course) -> tuple[Reason, ...]:
    """What a reader should know of a course whether or not it counts."""
    texts = {
        ExposureStatus.ON_HOLD: (ReasonCode.ON_HOLD, "recorded as on hold"),
        ExposureStatus.UNKNOWN: (
            ReasonCode.STATUS_UNKNOWN,
            "the record states that it is unknown whether it was taken",
        ),
    }
    return tuple(
        Reason(code, text, tuple(ref for e in found for ref in e.evidence))
        for status, (code, text) in texts.items()
        if (found := [exposure for exposure in course.exposures if exposure.status is status])
    )


_IDENTITY_DOUBTS = {
    Identified.TEXT_ONLY: ("identified by name only, without a code", "a code for the medicine"),
    Identified.CONFLICT: ("the code and the text name different medicines", "which medicine it was"),
    Identified.LOOKS_LIKE_ANTIDEPRESSANT: (
        "the text resembles the name of an antidepressant",
        "which medicine it was",
    ),
    Identified.UNRESOLVED: ("the record does not say which medicine it was", "which medicine it was"),
}


def _reason_against(course: Course, adequate: Answer, outcome: Outcome) -> Reason | None:
    """Why a trial certainly does not count; `None` when it may."""
    evidence = course.evidence
    never = next((e.medicine.not_a_trial for e in course.exposures if e.medicine.not_a_trial), None)
    if never is not None:
        return Reason(ReasonCode.NEVER_A_TRIAL, f"not an antidepressant trial ({never})", evidence)
    if course.days[1] == 0:
        return Reason(ReasonCode.OUTSIDE_EPISODE, "taken before the current episode", evidence)
    if adequate.finding is Finding.NOT_MET:
        return adequate.reasons[0]
    settled = {OutcomeFinding.RESPONDED, OutcomeFinding.NOT_TOLERATED}
    other_reason = any(reason.code is ReasonCode.STOPPED_OTHER for reason in outcome.reasons)
    return outcome.reasons[0] if outcome.finding in settled or other_reason else None
