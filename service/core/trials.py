"""Antidepressant trials: what was tried, for how long, at what dose, and what came of it.

An *exposure* is one record of a medicine taken. A *course* is exposures to one ingredient joined over
gaps of at most the grace period. A *trial* is one ingredient with its courses. It is *adequate* when one
course reached the minimum dose for the minimum time; `adequacy` below is that rule.

Every length is a pair of days, the shortest and the longest that the record's dates and doses allow.
A rule is met when the shortest passes, not met when the longest fails, indeterminate between.
"""

import math
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum

from service.core.dates import (
    Interval,
    PartialDate,
    Span,
    Spans,
    days_before,
    joined,
    total_days,
    union,
    within,
)
from service.core.findings import Answer, Finding, Reason, ReasonCode
from service.core.knowledge import Criteria, InferredFailure, Ingredient, Knowledge, UndocumentedDose
from service.core.records import (
    Dose,
    DoseBasis,
    Exposure,
    ExposureStatus,
    Identified,
    Indication,
    Role,
    StopReason,
    VersionedReference,
    reference_order,
)


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


class Counts(StrEnum):
    """Whether a trial counts towards treatment resistance."""

    YES = "yes"
    NO = "no"
    POSSIBLY = "possibly"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a trial came to and why; `inference` names the way a failure was inferred."""

    finding: OutcomeFinding
    basis: Basis | None
    reasons: tuple[Reason, ...]
    inference: InferredFailure | None = None


@dataclass(frozen=True, slots=True)
class Course:
    """Exposures to one ingredient without a gap longer than the grace period.

    `days` are days on the medicine; `adequate_days` those at or above the minimum dose. Both are
    shortest and longest, and both count only days inside the current episode.
    """

    interval: Interval
    exposures: tuple[Exposure, ...]
    days: tuple[int, int]
    adequate_days: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Trial:
    """One medicine tried. `ingredient` is `None` for one that might be an antidepressant."""

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
    def daily_dose_mg(self) -> tuple[float, float] | None:
        """Lowest and highest documented daily dose; `None` when none is documented."""
        doses = [e.dose for course in self.courses for e in course.exposures]
        lows = [dose.low_mg for dose in doses if dose.low_mg is not None]
        highs = [dose.high_mg for dose in doses if dose.high_mg is not None]
        return (min(lows), max(highs)) if lows and highs else None


@dataclass(frozen=True, slots=True)
class Episode:
    """The current depressive episode, to the day of assessment.

    `assumed` marks a start taken from the criteria set's look-back, because no onset is on record.
    `active` says whether an MDD is active on the record (indeterminate: it may be).
    """

    start: PartialDate
    as_of: date
    assumed: bool
    active: Finding

    @property
    def certain(self) -> Span:
        """The days that certainly belong to it."""
        return (min(self.start.latest, self.as_of), self.as_of)

    @property
    def possible(self) -> Span:
        """The days that may belong to it."""
        return (min(self.start.earliest, self.as_of), self.as_of)


def settle_interval(exposure: Exposure, as_of: date, criteria: Criteria) -> Interval:
    """Settle when an exposure ended, where the record leaves it open.

    Active and without an end: ongoing, unless asserted too long ago; then it ended some time since.
    Not active and without an end: it ended between its start and the day it was asserted. An end
    after `as_of` has not happened yet.
    """
    start, end = exposure.period.start, exposure.period.end
    today = PartialDate.on(as_of)
    if start is not None:
        start = start.at_most(as_of)
    if end is not None and end.earliest > as_of:
        return Interval(start, today, ongoing=True)
    if end is not None:
        return Interval(start, end.at_most(as_of))
    asserted = exposure.asserted
    if asserted is not None and asserted.earliest > as_of:
        asserted = None
    if exposure.status is ExposureStatus.ACTIVE:
        if asserted is None or asserted.latest >= days_before(as_of, criteria.stale_days):
            return Interval(start, today, ongoing=True)
        return Interval(start, PartialDate(min(asserted.earliest, as_of), as_of))
    last = as_of if asserted is None else min(asserted.latest, as_of)
    if start is None:
        return Interval(None, None)
    return Interval(start, PartialDate(start.earliest, max(last, start.latest)))


def distinct_exposures(exposures: tuple[Exposure, ...]) -> tuple[Exposure, ...]:
    """Fold copies: the same product, dose, period and outcome is one exposure under any ids."""
    folded: dict[tuple[object, ...], Exposure] = {}
    for exposure in sorted(exposures, key=lambda e: reference_order(e.evidence)):
        key = (
            exposure.medicine.ingredient or exposure.medicine.label.lower(),
            exposure.medicine.identified,
            exposure.medicine.strength_mg,
            exposure.medicine.not_a_trial,
            exposure.period,
            exposure.dose,
            exposure.status,
            exposure.stop_reasons,
            exposure.indication,
        )
        first = folded.get(key)
        if first is None:
            folded[key] = exposure
        else:
            folded[key] = replace(
                first,
                evidence=(*first.evidence, *exposure.evidence),
                asserted=_later(first.asserted, exposure.asserted),
            )
    return tuple(folded.values())


def _later(first: PartialDate | None, second: PartialDate | None) -> PartialDate | None:
    """The later assertion; an unknown one says least."""
    return max(first, second) if first is not None and second is not None else None


def find_trials(
    exposures: tuple[Exposure, ...], episode: Episode, knowledge: Knowledge
) -> tuple[Trial, ...]:
    """Every trial on the record, by start. `exposures` are distinct and have settled intervals."""
    groups: dict[tuple[str, str], list[Exposure]] = {}
    for exposure in exposures:
        if _may_be_trial(exposure):
            groups.setdefault(_trial_key(exposure), []).append(exposure)
    trials = [
        _trial(tuple(group), exposures, episode, knowledge)
        for _, group in sorted(groups.items())
    ]
    return tuple(sorted(trials, key=_trial_order))


def _may_be_trial(exposure: Exposure) -> bool:
    medicine = exposure.medicine
    unsure = {Identified.LOOKS_LIKE_ANTIDEPRESSANT, Identified.UNRESOLVED}
    return medicine.role is Role.ANTIDEPRESSANT or medicine.identified in unsure


def _trial_key(exposure: Exposure) -> tuple[str, str]:
    """Trials are told apart by ingredient; words alone or a conflict never join a coded trial."""
    medicine = exposure.medicine
    sure = medicine.identified is Identified.CODED
    kind = "" if sure else medicine.identified.value
    return (medicine.ingredient or medicine.label.lower(), medicine.not_a_trial or kind)


def _trial_order(trial: Trial) -> tuple[date, date, str, tuple[tuple[str, str, str], ...]]:
    start = trial.start
    first = start or PartialDate.on(date.min)
    return (first.earliest, first.latest, trial.name, reference_order(trial.evidence))


def _trial(
    exposures: tuple[Exposure, ...],
    everything: tuple[Exposure, ...],
    episode: Episode,
    knowledge: Knowledge,
) -> Trial:
    criteria = knowledge.criteria
    medicine = exposures[0].medicine
    ingredient = knowledge.ingredient(medicine.ingredient)
    courses = _courses(exposures, ingredient, episode, criteria)
    in_episode = any(course.days[1] > 0 for course in courses)
    best = max(courses, key=lambda c: (c.adequate_days, _course_end(c)))
    adequate = adequacy(best, ingredient, criteria)
    outcome = grade_outcome(best, everything, episode, criteria)
    counts, reasons, needed = _count(best, in_episode, adequate, outcome, criteria)
    evidence = sorted({ref for exposure in exposures for ref in exposure.evidence}, key=str)
    return Trial(
        ingredient,
        ingredient.name if ingredient else medicine.label,
        courses,
        in_episode,
        adequate,
        outcome,
        counts,
        reasons,
        needed,
        tuple(evidence),
    )


def _course_end(course: Course) -> date:
    end = course.interval.end
    return end.latest if end else date.min


# --- courses and days -------------------------------------------------------------------------


def _courses(
    exposures: tuple[Exposure, ...],
    ingredient: Ingredient | None,
    episode: Episode,
    criteria: Criteria,
) -> tuple[Course, ...]:
    """Join exposures into courses over gaps up to the grace period, in order of time."""
    possible = [_possible_span(exposure, episode) for exposure in exposures]
    chains = joined(possible, gap_days=criteria.grace_days)
    courses = []
    for chain in chains:
        members = tuple(
            exposure
            for exposure, span in zip(exposures, possible, strict=True)
            if chain[0] <= span[0] and span[1] <= chain[1]
        )
        courses.append(_course(members, ingredient, episode, criteria))
    return tuple(courses)


def _possible_span(exposure: Exposure, episode: Episode) -> Span:
    """The days an exposure may cover; an unknown start may be as early as the episode, or its end."""
    period = exposure.period
    last = period.end.latest if period.end else episode.as_of
    first = period.start.earliest if period.start else min(episode.start.earliest, last)
    return (min(first, last), last)


def _course(
    exposures: tuple[Exposure, ...],
    ingredient: Ingredient | None,
    episode: Episode,
    criteria: Criteria,
) -> Course:
    possible = [(_possible_span(e, episode), _dose_range(e, ingredient, criteria)) for e in exposures]
    certain = [
        (span, _dose_range(e, ingredient, criteria), e) for e in exposures if (span := e.period.certain)
    ]
    minimum = criteria.minimum_mg(ingredient) if ingredient else None
    required = minimum if minimum is not None else math.inf
    longest = total_days(within(union([span for span, _ in possible]), episode.possible))
    adequate_longest = _days_at(
        [(span, dose[1]) for span, dose in possible], required, episode.possible
    )
    certain_chains = joined([span for span, _, _ in certain], gap_days=criteria.grace_days)
    single = _single_readings(certain)
    shortest = adequate_shortest = 0
    for chain in certain_chains:
        spans = union([span for span, _, _ in certain])
        inside = within(within(spans, chain), episode.certain)
        shortest = max(shortest, total_days(inside))
        doses = [(span, dose) for span, dose in single if chain[0] <= span[0] <= chain[1]]
        adequate_shortest = max(adequate_shortest, _days_at(doses, required, episode.certain))
    return Course(
        _course_interval(exposures), exposures, (shortest, longest), (adequate_shortest, adequate_longest)
    )


def _single_readings(
    certain: list[tuple[Span, tuple[float, float], Exposure]],
) -> list[tuple[Span, float]]:
    """Lowest doses to add up. Two records of one dose of one product may be the same tablets.

    Where they overlap they are counted once; different strengths or doses add.
    """
    alike: dict[tuple[float | None, Dose], list[Span]] = {}
    lowest: dict[tuple[float | None, Dose], float] = {}
    for span, dose, exposure in certain:
        key = (exposure.medicine.strength_mg, exposure.dose)
        alike.setdefault(key, []).append(span)
        lowest[key] = min(dose[0], lowest.get(key, dose[0]))
    return [(span, lowest[key]) for key, spans in alike.items() for span in union(spans)]


def _course_interval(exposures: tuple[Exposure, ...]) -> Interval:
    """The course from its first day to its last; unknown where that hangs on an unknown date."""
    starts = [exposure.period.start for exposure in exposures]
    ends = [exposure.period.end for exposure in exposures]
    known_starts = [start for start in starts if start is not None]
    known_ends = [end for end in ends if end is not None]
    start = (
        PartialDate(min(s.earliest for s in known_starts), min(s.latest for s in known_starts))
        if len(known_starts) == len(starts)
        else None
    )
    end = (
        PartialDate(max(e.earliest for e in known_ends), max(e.latest for e in known_ends))
        if len(known_ends) == len(ends)
        else None
    )
    return Interval(start, end, ongoing=any(exposure.period.ongoing for exposure in exposures))


def _dose_range(
    exposure: Exposure, ingredient: Ingredient | None, criteria: Criteria
) -> tuple[float, float]:
    """The daily dose in mg that an exposure may stand for.

    A dose nobody documented may be anything, unless the criteria set assumes it adequate. So may any
    dose of a medicine whose minimum is not known: nothing says whether it was enough.
    """
    dose = exposure.dose
    if ingredient is None or criteria.minimum_mg(ingredient) is None:
        return (0.0, math.inf)
    if dose.low_mg is not None and dose.high_mg is not None:
        return (dose.low_mg, dose.high_mg)
    if dose_is_assumed(exposure, ingredient, criteria):
        return (criteria.minimum_mg(ingredient) or 0.0, math.inf)
    return (0.0, math.inf)


def dose_is_assumed(exposure: Exposure, ingredient: Ingredient, criteria: Criteria) -> bool:
    """Whether the criteria set takes an undocumented dose as adequate.

    Never below a coded strength that is too low, and never for a reason other than depression.
    """
    minimum = criteria.minimum_mg(ingredient)
    strength = exposure.medicine.strength_mg
    return (
        exposure.dose.basis is DoseBasis.NOT_DOCUMENTED
        and criteria.undocumented_dose is UndocumentedDose.ASSUME
        and exposure.indication is not Indication.OTHER
        and minimum is not None
        and (strength is None or strength >= minimum)
    )


def _days_at(doses: list[tuple[Span, float]], required: float, window: Span) -> int:
    """Days in the window on which the doses add up to the required amount.

    An ingredient without a known minimum requires an infinite dose, which only an unknown dose
    may reach: such a trial is never certainly adequate, and never certainly not.
    """
    if not doses:
        return 0
    edges = sorted(
        {span[0].toordinal() for span, _ in doses} | {span[1].toordinal() + 1 for span, _ in doses}
    )
    adequate: list[Span] = []
    for first, after in zip(edges, edges[1:], strict=False):
        total = sum(mg for (start, end), mg in doses if start.toordinal() <= first <= end.toordinal())
        if total >= required:
            adequate.append((date.fromordinal(first), date.fromordinal(after - 1)))
    return total_days(within(union(adequate), window))


# --- adequacy -----------------------------------------------------------------------------------


def adequacy(course: Course, ingredient: Ingredient | None, criteria: Criteria) -> Answer:
    """Judge whether a course is an adequate trial: at the minimum dose for the minimum time.

    Source of both: the criteria set in use, and the minimum doses of `antidepressants.csv`.
    """
    shortest, longest = course.adequate_days
    evidence = _evidence(course)
    reasons = list(_dose_reasons(course, ingredient, criteria))
    if shortest >= criteria.minimum_days:
        text = f"{_days(course.adequate_days)} at an adequate dose (required {criteria.minimum_days})"
        return Answer(Finding.MET, (Reason(ReasonCode.ADEQUATE, text, evidence), *reasons))
    if course.days[1] < criteria.minimum_days:
        text = f"{_days(course.days)} on it in this episode (required {criteria.minimum_days})"
        return Answer(Finding.NOT_MET, (Reason(ReasonCode.TOO_SHORT, text, evidence), *reasons))
    if longest < criteria.minimum_days:
        text = f"{_days(course.adequate_days)} at or above the minimum dose (required {criteria.minimum_days})"
        return Answer(Finding.NOT_MET, (Reason(ReasonCode.DOSE_TOO_LOW, text, evidence), *reasons))
    needed = []
    if course.days[0] < criteria.minimum_days:
        text = f"between {_days(course.days)} on it: the dates leave open whether it lasted long enough"
        reasons.append(Reason(ReasonCode.DURATION_UNCERTAIN, text, evidence))
        needed.append("its exact start and end")
    if not needed or any(r.code in _DOSE_UNCERTAIN for r in reasons):
        needed.append("the daily dose and since when it was taken")
    return Answer(Finding.INDETERMINATE, tuple(reasons), tuple(needed))


_DOSE_UNCERTAIN = {ReasonCode.DOSE_NOT_DOCUMENTED, ReasonCode.DOSE_UNREADABLE, ReasonCode.NO_MINIMUM_DOSE}


def _dose_reasons(
    course: Course, ingredient: Ingredient | None, criteria: Criteria
) -> tuple[Reason, ...]:
    """Say what is assumed or unknown about the doses of a course."""
    if ingredient is None:
        return ()
    minimum = criteria.minimum_mg(ingredient)
    if minimum is None:
        text = f"no minimum effective dose is known for {ingredient.name}"
        return (Reason(ReasonCode.NO_MINIMUM_DOSE, text, _evidence(course)),)
    reasons = []
    texts = {
        ReasonCode.DOSE_ASSUMED: "dose not documented: assumed adequate, as the criteria set says",
        ReasonCode.DOSE_NOT_DOCUMENTED: f"dose not documented (minimum {minimum:g} mg a day)",
        ReasonCode.DOSE_UNREADABLE: f"dose text could not be read (minimum {minimum:g} mg a day)",
        ReasonCode.BELOW_MINIMUM: f"taken below the minimum of {minimum:g} mg a day",
    }
    found: dict[ReasonCode, list[VersionedReference]] = {}
    for exposure in course.exposures:
        code = _dose_reason(exposure, ingredient, minimum, criteria)
        if code is not None:
            found.setdefault(code, []).extend(exposure.evidence)
    for code, text in texts.items():
        if code in found:
            reasons.append(Reason(code, text, tuple(found[code])))
    return tuple(reasons)


def _dose_reason(
    exposure: Exposure, ingredient: Ingredient, minimum: float, criteria: Criteria
) -> ReasonCode | None:
    if exposure.dose.basis is DoseBasis.UNREADABLE:
        return ReasonCode.DOSE_UNREADABLE
    if exposure.dose.basis is DoseBasis.NOT_DOCUMENTED:
        assumed = dose_is_assumed(exposure, ingredient, criteria)
        return ReasonCode.DOSE_ASSUMED if assumed else ReasonCode.DOSE_NOT_DOCUMENTED
    below = exposure.dose.low_mg is not None and exposure.dose.low_mg < minimum
    return ReasonCode.BELOW_MINIMUM if below else None


def _days(days: tuple[int, int]) -> str:
    return f"{days[0]} days" if days[0] == days[1] else f"{days[0]} to {days[1]} days"


def _evidence(course: Course) -> tuple[VersionedReference, ...]:
    return tuple(sorted({ref for e in course.exposures for ref in e.evidence}, key=str))


# --- outcome ------------------------------------------------------------------------------------


def grade_outcome(
    course: Course, everything: tuple[Exposure, ...], episode: Episode, criteria: Criteria
) -> Outcome:
    """Say what came of a course: what the record documents, else what follows from it.

    A documented stop reason decides. Without one, a course that ended counts as an inferred failure
    when another antidepressant replaced it or an augmenting agent was added, or when it ended while
    the MDD stayed active. An ongoing course is a failure only when it was augmented.
    """
    evidence = _evidence(course)
    last = _last_exposures(course)
    reasons = frozenset(reason for exposure in last for reason in exposure.stop_reasons)
    if reasons:
        return _documented_outcome(reasons, evidence)
    change = _switch_or_augmentation(course, everything, criteria)
    if change is not None:
        return Outcome(
            OutcomeFinding.FAILED, Basis.INFERRED, (change,), InferredFailure.SWITCHED_OR_AUGMENTED
        )
    end = course.interval.end
    if course.interval.ongoing:
        text = "still taken, and no current symptom score on record"
        return _unknown(Reason(ReasonCode.ONGOING, text, evidence))
    surely_ended = all(e.status is not ExposureStatus.ACTIVE or e.period.end is None for e in last) or (
        end is not None and end.latest < episode.as_of
    )
    if not surely_ended or end is None:
        return _unknown(Reason(ReasonCode.END_UNCERTAIN, "whether and when it ended is not certain", evidence))
    if episode.active is Finding.MET and end.earliest >= episode.start.latest:
        text = "it ended while the depression stayed active, and no other reason is recorded"
        return Outcome(
            OutcomeFinding.FAILED,
            Basis.INFERRED,
            (Reason(ReasonCode.ENDED_WHILE_ACTIVE, text, evidence),),
            InferredFailure.ENDED_WHILE_ACTIVE,
        )
    return _unknown(Reason(ReasonCode.NO_OUTCOME, "no reason for its end is recorded", evidence))


def _unknown(reason: Reason) -> Outcome:
    return Outcome(OutcomeFinding.UNKNOWN, None, (reason,))


def _last_exposures(course: Course) -> tuple[Exposure, ...]:
    """The exposures that the course may have ended with."""
    if course.interval.end is None:
        return course.exposures
    return tuple(
        e
        for e in course.exposures
        if e.period.end is None or e.period.end.latest >= course.interval.end.earliest
    )


def _documented_outcome(
    reasons: frozenset[StopReason], evidence: tuple[VersionedReference, ...]
) -> Outcome:
    """The outcome that recorded stop reasons say; contradictory ones say nothing."""

    def documented(finding: OutcomeFinding, code: ReasonCode, text: str) -> Outcome:
        basis = Basis.DOCUMENTED if finding is not OutcomeFinding.UNKNOWN else None
        return Outcome(finding, basis, (Reason(code, text, evidence),))

    if reasons >= {StopReason.REMISSION, StopReason.INEFFECTIVE} or StopReason.UNCLEAR in reasons:
        text = "the recorded reason for stopping could not be read"
        return documented(OutcomeFinding.UNKNOWN, ReasonCode.STOP_REASON_UNCLEAR, text)
    if StopReason.INEFFECTIVE in reasons:
        return documented(
            OutcomeFinding.FAILED, ReasonCode.STOPPED_INEFFECTIVE, "stopped because it did not help"
        )
    if StopReason.REMISSION in reasons:
        return documented(
            OutcomeFinding.RESPONDED, ReasonCode.STOPPED_IN_REMISSION, "stopped after it had helped"
        )
    if StopReason.INTOLERANCE in reasons:
        return documented(
            OutcomeFinding.NOT_TOLERATED, ReasonCode.STOPPED_INTOLERANCE, "stopped because it was not tolerated"
        )
    text = "stopped for a reason other than lack of effect"
    return documented(OutcomeFinding.UNKNOWN, ReasonCode.STOPPED_OTHER, text)


def _switch_or_augmentation(
    course: Course, everything: tuple[Exposure, ...], criteria: Criteria
) -> Reason | None:
    """The medicine that certainly replaced or augmented this one, if any.

    A replacement starts after this course did and soon after (or before) it ended, and outlasts it.
    An augmenting agent starts during the course, for no other recorded reason than depression.
    """
    start, end = course.interval.start, course.interval.end
    if start is None or end is None:
        return None
    own = {_trial_key(exposure) for exposure in course.exposures}
    for other in everything:
        other_start = other.period.start
        if other_start is None or other.indication is Indication.OTHER or other_start.earliest <= start.latest:
            continue
        if other.medicine.identified is not Identified.CODED or other.medicine.not_a_trial:
            continue
        if other.medicine.role is Role.AUGMENTING and other_start.latest <= end.earliest:
            text = f"{other.medicine.ingredient} was added to it"
            return Reason(ReasonCode.AUGMENTED, text, other.evidence)
        if (
            other.medicine.role is Role.ANTIDEPRESSANT
            and not course.interval.ongoing
            and _trial_key(other) not in own
            and (other_start.latest - end.earliest).days <= criteria.switch_days
            and other.period.end is not None
            and other.period.end.earliest > end.latest
        ):
            text = f"{other.medicine.ingredient} replaced it"
            return Reason(ReasonCode.SWITCHED, text, other.evidence)
    return None


# --- counting -----------------------------------------------------------------------------------


def _count(
    course: Course, in_episode: bool, adequate: Answer, outcome: Outcome, criteria: Criteria
) -> tuple[Counts, tuple[Reason, ...], tuple[str, ...]]:
    """Say whether a trial counts as failed, why, and what would settle it where it may."""
    evidence = _evidence(course)
    medicine = course.exposures[0].medicine
    no = _reason_against(course, in_episode, adequate, outcome)
    if no is not None:
        return (Counts.NO, (no,), ())
    doubts: list[Reason] = []
    needed: list[str] = list(adequate.needed)
    if medicine.identified is not Identified.CODED:
        text, settle = _IDENTITY_DOUBTS[medicine.identified]
        doubts.append(Reason(ReasonCode(medicine.identified.value), text, evidence))
        needed.append(settle)
    if any(exposure.indication is Indication.OTHER for exposure in course.exposures):
        text = "given for a reason other than depression"
        doubts.append(Reason(ReasonCode.OTHER_INDICATION, text, evidence))
        needed.append("whether it was also meant to treat the depression")
    if outcome.finding is not OutcomeFinding.FAILED:
        doubts.extend(outcome.reasons)
        needed.append(
            "a current symptom score (PHQ-9 or MADRS)" if course.interval.ongoing else "why it was stopped"
        )
    elif outcome.inference is not None and outcome.inference not in criteria.counted_inferences:
        doubts.append(Reason(ReasonCode.INFERENCE_NOT_COUNTED, "the criteria set asks for a documented outcome", evidence))
        needed.append("a documented outcome")
    if adequate.finding is Finding.MET and not doubts:
        return (Counts.YES, (), ())
    return (Counts.POSSIBLY, tuple(doubts), tuple(needed))


_IDENTITY_DOUBTS = {
    Identified.TEXT_ONLY: ("known by its name only, not by a code", "a code for the medicine"),
    Identified.CONFLICT: ("its code and its words name different medicines", "which medicine it was"),
    Identified.LOOKS_LIKE_ANTIDEPRESSANT: ("its words look like an antidepressant", "which medicine it was"),
    Identified.UNRESOLVED: ("the record does not say which medicine it was", "which medicine it was"),
}


def _reason_against(
    course: Course, in_episode: bool, adequate: Answer, outcome: Outcome
) -> Reason | None:
    """Why a trial certainly does not count; `None` when it may."""
    evidence = _evidence(course)
    never = next((e.medicine.not_a_trial for e in course.exposures if e.medicine.not_a_trial), None)
    if never is not None:
        return Reason(ReasonCode.NEVER_A_TRIAL, f"never an antidepressant trial ({never})", evidence)
    if not in_episode:
        return Reason(ReasonCode.OUTSIDE_EPISODE, "taken before the current episode", evidence)
    if adequate.finding is Finding.NOT_MET:
        return adequate.reasons[0]
    settled = {OutcomeFinding.RESPONDED, OutcomeFinding.NOT_TOLERATED}
    other_reason = any(reason.code is ReasonCode.STOPPED_OTHER for reason in outcome.reasons)
    return outcome.reasons[0] if outcome.finding in settled or other_reason else None
