"""Courses: exposures to one ingredient joined over short gaps, and the days that they hold.

Every length is a pair of days, the shortest and the longest that the record's dates and doses allow. Days
count once when exposures overlap; days of a gap never count; only days inside the current episode do.
"""

import itertools
import math
from dataclasses import dataclass
from datetime import date

from service.core.dates import Interval, PartialDate, Span, joined, total_days, union, within
from service.core.findings import Finding
from service.core.knowledge import Criteria, Ingredient, UndocumentedDose
from service.core.records import Dose, DoseBasis, Exposure, Indication, VersionedReference


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

    @property
    def evidence(self) -> tuple[VersionedReference, ...]:
        """The records that it was joined from."""
        return tuple(sorted({ref for e in self.exposures for ref in e.evidence}, key=str))


def join_courses(
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
    doses = [_dose_range(e, ingredient, criteria) for e in exposures]
    possible = [(_possible_span(e, episode), dose) for e, dose in zip(exposures, doses, strict=True)]
    certain = [
        (span, dose, e) for e, dose in zip(exposures, doses, strict=True) if (span := e.period.certain)
    ]
    minimum = criteria.minimum_mg(ingredient) if ingredient else None
    required = minimum if minimum is not None else math.inf
    longest = total_days(within(union([span for span, _ in possible]), episode.possible))
    adequate_longest = _days_at([(span, dose[1]) for span, dose in possible], required, episode.possible)
    certain_chains = joined([span for span, _, _ in certain], gap_days=criteria.grace_days)
    single = _single_readings(certain)
    shortest = adequate_shortest = 0
    for chain in certain_chains:
        spans = union([span for span, _, _ in certain])
        inside = within(within(spans, chain), episode.certain)
        shortest = max(shortest, total_days(inside))
        lowest = [(span, dose) for span, dose in single if chain[0] <= span[0] <= chain[1]]
        adequate_shortest = max(adequate_shortest, _days_at(lowest, required, episode.certain))
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


def _dose_range(exposure: Exposure, ingredient: Ingredient | None, criteria: Criteria) -> tuple[float, float]:
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

    Never below a coded strength that is too low for the days it lasts, and never for a reason other
    than depression.
    """
    minimum = criteria.minimum_mg(ingredient)
    medicine = exposure.medicine
    strength = None if medicine.strength_mg is None else medicine.strength_mg / medicine.unit_days
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
    if len(doses) == 1:
        span, mg = doses[0]
        return total_days(within((span,), window)) if mg >= required else 0
    edges = sorted(
        {span[0].toordinal() for span, _ in doses} | {span[1].toordinal() + 1 for span, _ in doses}
    )
    adequate: list[Span] = []
    for first, after in itertools.pairwise(edges):
        total = sum(mg for (start, end), mg in doses if start.toordinal() <= first <= end.toordinal())
        if total >= required:
            adequate.append((date.fromordinal(first), date.fromordinal(after - 1)))
    return total_days(within(union(adequate), window))
