"""Adequate days against a slow, plain reference that counts day by day."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from itertools import pairwise, product

from hypothesis import given
from hypothesis import strategies as st

from service.core.courses import Episode, join_courses
from service.core.dates import Interval, PartialDate
from service.core.findings import Finding
from service.core.knowledge import Criteria, PrescribedOnly
from service.core.records import GRADES, Dose, DoseBasis, Exposure, Grade
from tests.core.builders import SEED, US, exposure, medicine, ref
from tests.examples import tries

FIRST = date(2025, 1, 1)
LAST = date(2025, 12, 31)
MINIMUM = 50.0
SERTRALINE = US.ingredients["sertraline"]
SHORT_GRACE = replace(SEED, grace_days=3)
RENEWED = replace(SHORT_GRACE, prescribed_only=PrescribedOnly.TAKEN_WHERE_RENEWED)
AS_TAKEN = replace(SHORT_GRACE, prescribed_only=PrescribedOnly.AS_TAKEN)
RULES = st.sampled_from([SHORT_GRACE, RENEWED, AS_TAKEN])


def on(number: int) -> date:
    return FIRST + timedelta(days=number)


@st.composite
def histories(draw: st.DrawFn, *, partial: bool, grades: tuple[Grade, ...] = GRADES) -> list[Exposure]:
    """A few records of sertraline within a few weeks, some of one strength, some with a range of doses."""
    found = []
    for number in range(draw(st.integers(1, 2 if partial else 5))):
        first = draw(st.integers(0, 30))
        widths = [draw(st.integers(0, 3 if partial else 0)) for _ in range(2)]
        last = first + draw(st.integers(0, 12))
        strength = draw(st.sampled_from([None, 25.0, 50.0]))
        low = draw(st.sampled_from([20.0, 25.0, 30.0, 50.0]))
        high = draw(st.sampled_from([low, low, low + 25]))
        period = Interval(
            PartialDate(on(first), on(first + widths[0])), PartialDate(on(last), on(last + widths[1]))
        )
        product_ = medicine("sertraline", strength_mg=strength, unit="tablet" if strength else None)
        found.append(
            replace(
                exposure(product_),
                period=period,
                dose=Dose(DoseBasis.DOCUMENTED, low, high),
                evidence=(ref(str(number)),),
                grade=draw(st.sampled_from(grades)),
                refills=draw(st.integers(0, 3)) == 0,
            )
        )
    return found


Reading = tuple[tuple[date, date], ...]


def readings(exposures: list[Exposure]) -> Iterator[Reading]:
    """Every way to read the dates: a first and a last day for each exposure."""
    choices = []
    for one in exposures:
        start, end = one.period.start, one.period.end
        assert start is not None
        assert end is not None
        choices.append(
            [(a, b) for a in _each(start) for b in _each(end) if a <= b],
        )
    yield from product(*choices)


def _each(of: PartialDate) -> list[date]:
    return [of.earliest + timedelta(days=n) for n in range((of.latest - of.earliest).days + 1)]


def courses_of(taken: list[date], grace: int) -> list[list[date]]:
    """Days on the medicine in runs; a longer break than the grace period starts a new one."""
    runs = [taken[:1]]
    for before, after in pairwise(taken):
        if (after - before).days - 1 > grace:
            runs.append([])
        runs[-1].append(after)
    return runs


def speaking(exposures: list[Exposure], read: Reading, day: date) -> list[Exposure]:
    """The records of a day that say how much: those of the best grade."""
    covering = [e for e, (first, last) in zip(exposures, read, strict=True) if first <= day <= last]
    best = min((GRADES.index(e.grade) for e in covering), default=None)
    return [e for e in covering if GRADES.index(e.grade) == best]


def shown_taken(exposures: list[Exposure], read: Reading, criteria: Criteria) -> list[bool]:
    """Which records show that the medicine was taken, each prescription set beside every other."""
    orders = [first for e, (first, _) in zip(exposures, read, strict=True) if e.grade is Grade.PRESCRIBED]
    grace = timedelta(days=criteria.grace_days + 1)
    renewed = [any(first < later <= last + grace for later in orders) for first, last in read]
    rule = criteria.prescribed_only
    return [
        e.grade is not Grade.PRESCRIBED
        or rule is PrescribedOnly.AS_TAKEN
        or (rule is PrescribedOnly.TAKEN_WHERE_RENEWED and (e.refills or again))
        for e, again in zip(exposures, renewed, strict=True)
    ]


def lowest(exposures: list[Exposure], read: Reading, day: date, taken: list[bool]) -> float:
    """The least taken on a day: records of one dose of one product may be the same tablets."""
    shown = [e for e, sure in zip(exposures, taken, strict=True) if sure]
    doses = {
        (one.medicine.strength_mg, one.dose): one.dose.low_mg or 0.0
        for one in speaking(exposures, read, day)
        if one in shown
    }
    return sum(doses.values())


def highest(exposures: list[Exposure], read: Reading, day: date) -> float:
    return sum(one.dose.high_mg or 0.0 for one in speaking(exposures, read, day))


def days_of(read: Reading) -> list[date]:
    return sorted({first + timedelta(days=n) for first, last in read for n in range((last - first).days + 1)})


def adequate(exposures: list[Exposure], read: Reading, start: date, criteria: Criteria) -> tuple[int, int]:
    """Adequate days of the best course, least and most, counted one by one."""
    taken = shown_taken(exposures, read, criteria)
    shown = tuple(r for sure, r in zip(taken, read, strict=True) if sure)
    least = [
        sum(day >= start and lowest(exposures, read, day, taken) >= MINIMUM for day in run)
        for run in courses_of(days_of(shown), criteria.grace_days)
    ]
    most = [
        sum(day >= start and highest(exposures, read, day) >= MINIMUM for day in run)
        for run in courses_of(days_of(read), criteria.grace_days)
    ]
    return max(least, default=0), max(most)


def episode_from(start: date) -> Episode:
    return Episode(PartialDate.on(start), LAST, assumed=False, active=Finding.MET)


@tries(200)
@given(histories(partial=False), st.integers(0, 20), RULES)
def test_exact_dates_give_exactly_the_days(exposures: list[Exposure], began: int, criteria: Criteria) -> None:
    start = on(began)
    courses = join_courses(tuple(exposures), SERTRALINE, episode_from(start), criteria)
    found = tuple(max(course.adequate_days[end] for course in courses) for end in (0, 1))
    (read,) = readings(exposures)
    assert found == adequate(exposures, read, start, criteria)


@tries(200)
@given(histories(partial=False, grades=(Grade.STATED, Grade.DISPENSED)), st.integers(0, 20))
def test_exact_dates_give_exactly_the_courses(exposures: list[Exposure], began: int) -> None:
    start = on(began)
    courses = join_courses(tuple(exposures), SERTRALINE, episode_from(start), SHORT_GRACE)
    (read,) = readings(exposures)
    runs = courses_of(days_of(read), SHORT_GRACE.grace_days)
    assert [course.days for course in courses] == [(sum(day >= start for day in run),) * 2 for run in runs]


@tries(100)
@given(histories(partial=True), st.integers(0, 12), st.integers(0, 3), RULES)
def test_every_reading_of_partial_dates_lies_between(
    exposures: list[Exposure], began: int, width: int, criteria: Criteria
) -> None:
    during = replace(episode_from(on(began)), start=PartialDate(on(began), on(began + width)))
    courses = join_courses(tuple(exposures), SERTRALINE, during, criteria)
    shortest, longest = (max(course.adequate_days[end] for course in courses) for end in (0, 1))
    for read in readings(exposures):
        for start in _each(during.start):
            least, most = adequate(exposures, read, start, criteria)
            assert shortest <= least
            assert most <= longest
