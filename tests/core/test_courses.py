"""Courses: joined over short gaps, days counted once, doses added where they run together."""

from dataclasses import replace
from typing import Any

import pytest

from service.core.courses import Course, Episode, join_courses
from service.core.dates import PartialDate
from service.core.knowledge import Criteria
from service.core.records import Exposure, ExposureStatus, Indication, StopReason
from tests.core.builders import (
    DOSE_MUST_BE_DOCUMENTED,
    NOT_DOCUMENTED,
    SEED,
    STRICT_DOSES,
    UNREADABLE_DOSE,
    US,
    episode,
    exposure,
    medicine,
    settled,
    some_day,
    unnamed,
)

SIX_WEEKS = "2025-02-11"  # the 42nd day from 2025-01-01


def courses(
    *exposures: Exposure, criteria: Criteria = SEED, during: Episode | None = None
) -> tuple[Course, ...]:
    ingredient = US.ingredient(exposures[0].medicine.ingredient)
    return join_courses(settled(*exposures, criteria=criteria), ingredient, during or episode(), criteria)


def days(*exposures: Exposure, criteria: Criteria = SEED, during: Episode | None = None) -> list[object]:
    """Days and adequate days of each course; one number where shortest and longest agree."""
    return [
        (_short(course.days), _short(course.adequate_days))
        for course in courses(*exposures, criteria=criteria, during=during)
    ]


def _short(of: tuple[int, int]) -> int | tuple[int, int]:
    return of[0] if of[0] == of[1] else of


def taken(start: str | None, end: str | None, mg: float = 100, **more: Any) -> Exposure:
    return exposure(start=start, end=end, mg=mg, **more)


def strength(strength_mg: float, start: str, end: str, **more: Any) -> Exposure:
    """One tablet a day of a strength."""
    product = medicine(strength_mg=strength_mg, unit="tablet")
    return exposure(product, start=start, end=end, mg=strength_mg, **more)


@pytest.mark.parametrize(
    ("exposures", "expected"),
    [
        pytest.param([taken("2025-01-01", SIX_WEEKS)], [(42, 42)], id="exactly six weeks"),
        pytest.param([taken("2025-01-01", "2025-02-10")], [(41, 41)], id="one day short"),
        pytest.param([taken("2025-01-01", "2025-01-01")], [(1, 1)], id="one day"),
        pytest.param(
            [taken("2025-01-01", "2025-01-31"), taken("2025-03-03", "2025-03-31")],
            [(60, 60)],
            id="a gap of 30 days joins, and is not counted",
        ),
        pytest.param(
            [taken("2025-01-01", "2025-01-31"), taken("2025-03-04", "2025-03-31")],
            [(31, 31), (28, 28)],
            id="a gap of 31 days parts, and the courses are not summed",
        ),
        pytest.param(
            [taken("2025-01-01", "2025-01-31"), taken("2025-02-01", "2025-02-28")],
            [(59, 59)],
            id="adjacent",
        ),
        pytest.param(
            [taken("2025-01-01", "2025-02-28"), taken("2025-02-01", "2025-03-31")],
            [(90, 90)],
            id="an overlap counts once",
        ),
        pytest.param(
            [taken("2025-01-01", "2025-03-31"), taken("2025-02-01", "2025-02-10")],
            [(90, 90)],
            id="one within the other",
        ),
        pytest.param(
            [taken("2025-06-01", "2025-06-30"), taken("2025-01-01", "2025-01-31")],
            [(31, 31), (30, 30)],
            id="in order of time",
        ),
        pytest.param(
            [
                taken("2025-01-01", "2025-01-31"),
                taken("2025-02-20", "2025-02-28"),
                taken("2025-03-20", "2025-03-31"),
            ],
            [(52, 52)],
            id="a chain of short gaps",
        ),
    ],
)
def test_joining(exposures: list[Exposure], expected: list[object]) -> None:
    assert days(*exposures) == expected
    assert days(*exposures[::-1]) == expected


@pytest.mark.parametrize(
    ("exposures", "expected"),
    [
        pytest.param([taken("2025-01-01", "2025-03-31", 50)], [(90, 90)], id="at the minimum"),
        pytest.param([taken("2025-01-01", "2025-03-31", 49.9)], [(90, 0)], id="just below the minimum"),
        pytest.param(
            [taken("2025-01-01", "2025-01-31", 25), taken("2025-02-01", "2025-03-31", 50)],
            [(90, 59)],
            id="titration: only the days at the dose",
        ),
        pytest.param(
            [
                taken("2025-01-01", "2025-01-31", 50),
                taken("2025-02-01", "2025-02-28", 25),
                taken("2025-03-01", "2025-03-31", 50),
            ],
            [(90, 62)],
            id="a lower dose in between joins, and does not count",
        ),
        pytest.param(
            [strength(25, "2025-01-01", "2025-03-31"), strength(30, "2025-01-01", "2025-03-31")],
            [(90, 90)],
            id="strengths taken together add",
        ),
        pytest.param(
            [strength(25, "2025-01-01", "2025-02-28"), strength(30, "2025-02-01", "2025-03-31")],
            [(90, 28)],
            id="strengths add only while both are taken",
        ),
        pytest.param(
            [
                strength(25, "2025-01-01", "2025-02-28", id="a"),
                strength(25, "2025-02-01", "2025-03-31", id="b"),
            ],
            [(90, (0, 28))],
            id="two records of one strength may be the same tablets",
        ),
        pytest.param(
            [
                strength(25, "2025-01-01", "2025-03-31", id="a"),
                strength(25, "2025-01-01", "2025-03-31", id="b"),
            ],
            [(90, 0)],
            id="identical twins are one record",
        ),
        pytest.param(
            [exposure(end="2025-03-31", mg=(25, 100))], [(90, (0, 90))], id="a range that spans the minimum"
        ),
        pytest.param([exposure(end="2025-03-31", mg=(50, 100))], [(90, 90)], id="a range above it"),
        pytest.param([exposure(end="2025-03-31", mg=(10, 40))], [(90, 0)], id="a range below it"),
    ],
)
def test_doses(exposures: list[Exposure], expected: list[object]) -> None:
    assert days(*exposures) == expected
    assert days(*exposures[::-1]) == expected


OPEN = (0, 90)
QUIET = exposure(end="2025-03-31", mg=NOT_DOCUMENTED)


@pytest.mark.parametrize(
    ("given", "criteria", "adequate"),
    [
        pytest.param(QUIET, SEED, 90, id="not documented: assumed"),
        pytest.param(QUIET, DOSE_MUST_BE_DOCUMENTED, OPEN, id="not documented: open under other criteria"),
        pytest.param(
            exposure(end="2025-03-31", mg=UNREADABLE_DOSE), SEED, OPEN, id="unreadable is never assumed"
        ),
        pytest.param(
            exposure(medicine(strength_mg=50.0, unit="tablet"), end="2025-03-31", mg=NOT_DOCUMENTED),
            SEED,
            90,
            id="coded strength at the minimum: assumed",
        ),
        pytest.param(
            exposure(medicine(strength_mg=25.0, unit="tablet"), end="2025-03-31", mg=NOT_DOCUMENTED),
            SEED,
            OPEN,
            id="coded strength below the minimum: never assumed",
        ),
        pytest.param(
            exposure(
                medicine("fluoxetine", strength_mg=90.0, unit="capsule", unit_days=7),
                end="2025-03-31",
                mg=NOT_DOCUMENTED,
            ),
            SEED,
            OPEN,
            id="a weekly capsule is divided by seven: 12.9 mg a day is below the minimum",
        ),
        pytest.param(
            replace(QUIET, indication=Indication.OTHER), SEED, OPEN, id="another indication: never assumed"
        ),
        pytest.param(
            replace(QUIET, indication=Indication.DEPRESSION), SEED, 90, id="for depression: assumed"
        ),
        pytest.param(
            exposure("gepirone", end="2025-03-31", mg=40), SEED, OPEN, id="no minimum dose known: open"
        ),
        pytest.param(exposure("gepirone", end="2025-03-31", mg=NOT_DOCUMENTED), SEED, OPEN, id="nor assumed"),
        pytest.param(exposure(unnamed(), end="2025-03-31"), SEED, OPEN, id="medicine not known: open"),
        pytest.param(exposure("venlafaxine", end="2025-03-31", mg=75), SEED, 90, id="lenient minimum"),
        pytest.param(exposure("venlafaxine", end="2025-03-31", mg=75), STRICT_DOSES, 0, id="strict minimum"),
        pytest.param(exposure("bupropion", end="2025-03-31", mg=150), SEED, 90, id="bupropion, lenient"),
        pytest.param(
            exposure("bupropion", end="2025-03-31", mg=150), STRICT_DOSES, 0, id="bupropion, strict"
        ),
        pytest.param(
            exposure(end="2025-03-31", mg=50), STRICT_DOSES, 90, id="strict is lenient where none is set"
        ),
    ],
)
def test_what_a_dose_may_stand_for(given: Exposure, criteria: Criteria, adequate: object) -> None:
    assert days(given, criteria=criteria) == [(90, adequate)]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param(taken("2025-01", "2025-03-31"), (60, 90), id="start known by month"),
        pytest.param(taken("2025-01-01", "2025-03"), (60, 90), id="end known by month"),
        pytest.param(taken("2025", "2025"), (0, 365), id="both by year"),
        pytest.param(taken("2025-01-01", None, status=ExposureStatus.ENDED), (1, 692), id="ended, no end"),
        pytest.param(taken("2026-11-01", None), 23, id="ongoing to the day of assessment"),
        pytest.param(taken(None, "2025-03-31"), (0, 456), id="no start: perhaps since the episode began"),
        pytest.param(taken(None, None), (0, 1058), id="no dates, active"),
        pytest.param(taken(None, None, status=ExposureStatus.ENDED), (0, 1058), id="no dates, ended"),
    ],
)
def test_partial_dates_give_shortest_and_longest(given: Exposure, expected: object) -> None:
    assert days(given) == [(expected, expected)]


@pytest.mark.parametrize(
    ("start", "given", "expected"),
    [
        pytest.param("2025-02-01", taken("2025-01-01", "2025-03-31"), 59, id="clipped to the episode"),
        pytest.param("2025-04-01", taken("2025-01-01", "2025-03-31"), 0, id="before the episode"),
        pytest.param("2025-02", taken("2025-01-01", "2025-03-31"), (32, 59), id="episode known by month"),
        pytest.param("2025-03-31", taken("2025-01-01", "2025-03-31"), 1, id="on its first day"),
        pytest.param("2025", taken("2025-01-01", "2025-03-31"), (0, 90), id="episode known by year"),
        pytest.param("2025-06-01", taken(None, "2025-03-31"), 0, id="no start, ended before the episode"),
    ],
)
def test_only_days_of_the_episode_count(start: str, given: Exposure, expected: object) -> None:
    assert days(given, during=episode(start)) == [(expected, expected)]


def test_a_gap_is_measured_before_the_episode_clips() -> None:
    exposures = (taken("2025-01-01", "2025-01-31"), taken("2025-03-04", "2025-03-31"))
    assert days(*exposures, during=episode("2025-02-15")) == [(0, 0), (28, 28)]


def test_uncertain_dates_join_only_what_they_may() -> None:
    """The first may have ended on 31 January or 28 February: one course or two, 28 days for sure."""
    exposures = (taken("2025-01-20", "2025-02"), taken("2025-03-25", "2025-04-21"))
    (joined,) = courses(*exposures)
    assert joined.days == (28, 68)


def test_two_records_without_certain_days() -> None:
    exposures = (taken("2025", "2025", id="a"), taken("2025", "2025", 50, id="b"))
    (joined,) = courses(*exposures)
    assert (joined.days, joined.adequate_days) == ((0, 365), (0, 365))


def test_the_interval_of_a_course_is_known_only_where_every_date_is() -> None:
    (known,) = courses(taken("2025-01", "2025-02-28"), taken("2025-02", "2025-03"))
    assert known.interval.start == some_day("2025-01")
    assert known.interval.end == some_day("2025-03")
    (unknown,) = courses(
        taken("2025-01-01", "2025-02-28"),
        taken(None, None, status=ExposureStatus.ENDED),
        taken("2025-03-01", None),
    )
    assert (unknown.interval.start, unknown.interval.end, unknown.interval.ongoing) == (None, None, True)


def test_a_course_names_its_records_once_and_in_order() -> None:
    (found,) = courses(
        taken("2025-02-01", "2025-03-31", id="b", stop_reasons=frozenset({StopReason.OTHER})),
        taken("2025-01-01", "2025-02-10", id="a"),
    )
    assert [str(ref) for ref in found.evidence] == [
        "MedicationStatement/a/_history/1",
        "MedicationStatement/b/_history/1",
    ]


def test_an_episode_that_starts_today() -> None:
    today = Episode(PartialDate.on(episode().as_of), episode().as_of, assumed=False, active=episode().active)
    assert today.certain == today.possible == (episode().as_of, episode().as_of)
    assert days(taken("2025-01-01", None), during=today) == [(1, 1)]
