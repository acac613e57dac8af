"""Courses: exposures to one ingredient joined over short gaps, and the days that they hold.

Every length is a pair of days, the shortest and the longest that the record's dates and doses allow. Days
count once when exposures overlap; days of a gap never count; only days inside the current episode do. Doses
of one day add up within one grade of evidence, never across: the best grade that says how much speaks for
the day. A prescription that nothing shows to have been taken (`core.orders`) is a possibility: only the
longest length allows for it.
"""

import itertools
import math
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from typing import NamedTuple

from service.core.dates import (
    Interval,
    PartialDate,
    Span,
    Spans,
    joined,
    shared_out,
    total_days,
    union,
    within,
)
from service.core.findings import Finding
from service.core.knowledge import Criteria, Ingredient, UndocumentedDose
from service.core.orders import as_taken, is_taken_by_premise
from service.core.records import (
    GRADES,
    Dose,
    DoseBasis,
    Exposure,
    Grade,
    VersionedReference,
)


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
    shortest and longest, and both count only days inside the current episode. `at_dose` are the days that
    are certainly, and that are possibly, at or above the minimum dose, in whichever episode.
    """

    interval: Interval
    exposures: tuple[Exposure, ...]
    days: tuple[int, int]
    adequate_days: tuple[int, int]
    at_dose: tuple[Spans, Spans]
    evidence: tuple[VersionedReference, ...] = field(init=False)
    """The records that it was joined from."""

    def __post_init__(self) -> None:
        """Put the evidence together once: many conclusions name it."""
        found = {ref for exposure in self.exposures for ref in exposure.evidence}
        evidence = tuple(sorted(found, key=str)) if len(found) > 1 else tuple(found)
        object.__setattr__(self, "evidence", evidence)

    @property
    def taken(self) -> tuple[Exposure, ...]:
        """The exposures that show what was taken; the prescriptions where there is nothing better."""
        return _taken(self.exposures)


def join_courses(
    exposures: tuple[Exposure, ...],
    ingredient: Ingredient | None,
    episode: Episode,
    criteria: Criteria,
) -> tuple[Course, ...]:
    """Join exposures into courses over gaps up to the grace period, in order of time."""
    possible = [_possible_span(exposure, episode) for exposure in exposures]
    chains = joined(possible, gap_days=criteria.grace_days)
    return tuple(
        _course(tuple(members), ingredient, episode, criteria)
        if len(members) > 1
        else _course_of_one(members[0], ingredient, episode, criteria)
        for members in shared_out(zip(possible, exposures, strict=True), chains)
    )


def _course_of_one(
    exposure: Exposure, ingredient: Ingredient | None, episode: Episode, criteria: Criteria
) -> Course:
    """The course of a single exposure: nothing to join, nothing to add up."""
    low, high = _dose_range(exposure, ingredient, criteria)
    minimum = criteria.minimum_mg(ingredient) if ingredient else None
    required = minimum if minimum is not None else math.inf
    (taken,) = as_taken((exposure,), criteria)
    certain = taken.period.certain if taken is not None else None
    shortest = total_days(within((certain,), episode.certain)) if certain else 0
    possible = _possible_span(exposure, episode)
    longest = total_days(within((possible,), episode.possible))
    adequate = (shortest if low >= required else 0, longest if high >= required else 0)
    at_dose = ((certain,) if certain and low >= required else (), (possible,) if high >= required else ())
    return Course(exposure.period, (exposure,), (shortest, longest), adequate, at_dose)


def _possible_span(exposure: Exposure, episode: Episode) -> Span:
    """The days an exposure may cover; an unknown start may be as early as the episode, or its end."""
    period = exposure.period
    last = period.end.latest if period.end else episode.as_of
    first = period.start.earliest if period.start else min(episode.start.earliest, last)
    return (min(first, last), last)


class _Piece(NamedTuple):
    """A stretch on one daily dose in mg. `rank` is 0 for the evidence that speaks first for a day."""

    span: Span
    mg: float
    rank: int


def _course(
    exposures: tuple[Exposure, ...],
    ingredient: Ingredient | None,
    episode: Episode,
    criteria: Criteria,
) -> Course:
    doses = [_dose_range(exposure, ingredient, criteria) for exposure in exposures]
    minimum = criteria.minimum_mg(ingredient) if ingredient else None
    required = minimum if minimum is not None else math.inf
    possible = [
        (_Piece(_possible_span(e, episode), dose[0], _rank(e)), dose[1])
        for e, dose in zip(exposures, doses, strict=True)
    ]
    certain = [
        (_Piece(span, dose[0], _rank(e)), e)
        for e, dose, taken in zip(exposures, doses, as_taken(exposures, criteria), strict=True)
        if taken is not None and (span := taken.period.certain)
    ]
    single = _single_readings(certain)
    spans = union([piece.span for piece, _ in certain])
    adequate = _certainly_at(single, [piece for piece, _ in possible], required)
    chains = joined(spans, gap_days=criteria.grace_days)
    longest = total_days(within(union([piece.span for piece, _ in possible]), episode.possible))
    highest = [piece._replace(mg=mg) for piece, mg in possible]
    perhaps_adequate = _possibly_at(highest, single, required)
    adequate_longest = total_days(within(perhaps_adequate, episode.possible))
    return Course(
        _course_interval(_taken(exposures)),
        exposures,
        (_longest_run(spans, chains, episode.certain), longest),
        (_longest_run(adequate, chains, episode.certain), adequate_longest),
        (adequate, perhaps_adequate),
    )


def _longest_run(spans: Spans, chains: Spans, window: Span) -> int:
    """The most days in the window that the spans of one chain hold."""
    runs = shared_out(((span, span) for span in spans), chains)
    return max((total_days(within(run, window)) for run in runs), default=0)


def _taken(exposures: tuple[Exposure, ...]) -> tuple[Exposure, ...]:
    return tuple(e for e in exposures if e.grade is not Grade.PRESCRIBED) or exposures


def _rank(exposure: Exposure) -> int:
    """Who speaks first for the dose of a day: the best grade of those that say how much.

    A dose that is stated and could not be read speaks too: what it says is open, not unsaid.
    """
    silent = exposure.dose.basis is DoseBasis.NOT_DOCUMENTED
    return GRADES.index(exposure.grade) + len(GRADES) * silent


def _single_readings(certain: list[tuple[_Piece, Exposure]]) -> list[_Piece]:
    """Lowest doses to add up. Two records of one dose of one product may be the same tablets.

    Where they overlap they are counted once; different strengths or doses add.
    """
    alike: dict[tuple[float | None, Dose, int], list[_Piece]] = {}
    for piece, exposure in certain:
        key = (exposure.medicine.strength_mg, exposure.dose, piece.rank)
        alike.setdefault(key, []).append(piece)
    lowest = [(min(piece.mg for piece in pieces), pieces) for pieces in alike.values()]
    return [
        _Piece(span, mg, pieces[0].rank)
        for mg, pieces in lowest
        for span in union([piece.span for piece in pieces])
    ]


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

    Never where a strength is stated that is too low for the days it lasts, never for a reason other than
    depression, and never beside the premise that a prescription was taken.
    """
    minimum = criteria.minimum_mg(ingredient)
    medicine = exposure.medicine
    lowest = medicine.strength_mg if medicine.lowest_mg is None else medicine.lowest_mg
    strength = None if lowest is None else lowest / medicine.unit_days
    return (
        exposure.dose.basis is DoseBasis.NOT_DOCUMENTED
        and criteria.undocumented_dose is UndocumentedDose.ASSUME
        and not exposure.indication.may_be_another
        and not is_taken_by_premise(exposure, criteria)
        and minimum is not None
        and (strength is None or strength >= minimum)
    )


def _certainly_at(certain: list[_Piece], possible: list[_Piece], required: float) -> Spans:
    """The days on which the doses certainly add up to the required amount.

    A better record that may tell of the day as well must not say less.
    """
    if len({piece.rank for piece in possible}) == 1:
        return _at(certain, required)
    adequate = []
    for span, (sure, maybe) in _told_by_day(certain, possible):
        if sure:
            best = min(sure)
            better = [min(doses) for rank, doses in maybe.items() if rank < best]
            if min([sum(sure[best]), *better]) >= required:
                adequate.append(span)
    return union(adequate)


def _possibly_at(possible: list[_Piece], certain: list[_Piece], required: float) -> Spans:
    """The days on which the doses may add up to the required amount.

    A record counts where no better one certainly tells of the day.
    """
    if len({piece.rank for piece in possible}) == 1:
        return _at(possible, required)
    adequate = []
    for span, (sure, maybe) in _told_by_day(certain, possible):
        best = min(sure, default=math.inf)
        amounts = [sum(doses) for rank, doses in maybe.items() if rank <= best]
        if max(amounts, default=0.0) >= required:
            adequate.append(span)
    return union(adequate)


def _at(pieces: list[_Piece], required: float) -> Spans:
    """The days on which the doses add up to the required amount.

    An ingredient without a known minimum requires an infinite dose, which only an unknown dose
    may reach: such a trial is never certainly adequate, and never certainly not.
    """
    if len(pieces) == 1:
        (piece,) = pieces
        return (piece.span,) if piece.mg >= required else ()
    return union(
        [
            span
            for span, (told,) in _told_by_day(pieces)
            if sum(itertools.chain.from_iterable(told.values())) >= required
        ]
    )


class _Running:
    """The doses that run at a time, in the order of their records."""

    def __init__(self) -> None:
        self._numbers: list[int] = []
        self.doses: list[float] = []

    def begin(self, number: int, mg: float) -> None:
        """Take in the dose of the record with that number."""
        place = bisect_left(self._numbers, number)
        self._numbers.insert(place, number)
        self.doses.insert(place, mg)

    def end(self, number: int) -> None:
        """Leave out the dose of the record with that number."""
        place = bisect_left(self._numbers, number)
        del self._numbers[place], self.doses[place]


def _told_by_day(*sides: list[_Piece]) -> Iterator[tuple[Span, tuple[dict[int, list[float]], ...]]]:
    """The stretches of days between any two changes, with the doses that each side tells of, by rank."""
    pieces = [(side, piece) for side, told in enumerate(sides) for piece in told]
    begin: dict[int, list[int]] = defaultdict(list)
    end: dict[int, list[int]] = defaultdict(list)
    for number, (_, piece) in enumerate(pieces):
        begin[piece.span[0].toordinal()].append(number)
        end[piece.span[1].toordinal() + 1].append(number)
    running: tuple[dict[int, _Running], ...] = tuple(defaultdict(_Running) for _ in sides)
    for first, after in itertools.pairwise(sorted({*begin, *end})):
        for number in end.get(first, ()):
            side, piece = pieces[number]
            running[side][piece.rank].end(number)
        for number in begin.get(first, ()):
            side, piece = pieces[number]
            running[side][piece.rank].begin(number, piece.mg)
        told = tuple({rank: one.doses for rank, one in ranks.items() if one.doses} for ranks in running)
        yield (date.fromordinal(first), date.fromordinal(after - 1)), told
