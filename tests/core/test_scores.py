"""Symptom scores: which are used, what they say of the present and of a treatment."""

from datetime import date
from itertools import permutations
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from service.core.dates import Interval, PartialDate
from service.core.knowledge import Criteria
from service.core.records import Measure, Observation
from service.core.scores import (
    Scales,
    Score,
    Symptoms,
    Trajectory,
    Verdict,
    current_symptoms,
    read_scores,
    trajectory,
)
from tests.core.builders import AS_OF, SEED, US, day, record, ref, result, some_day
from tests.lists import knowledge_of

PHQ, MADRS = Measure.PHQ_9, Measure.MADRS
PAYER = knowledge_of("payer-two-classes").criteria


def scores(*results: Observation) -> tuple[Score, ...]:
    return read_scores(record(*results), US, AS_OF)


def phq(value: float | None, when: str | None = "2026-11-10", **changes: Any) -> Observation:
    return result(PHQ, value, when, **changes)


def madrs(value: float | None, when: str | None = "2026-11-10", **changes: Any) -> Observation:
    return result(MADRS, value, when, **changes)


# which results are scores ----------------------------------------------------------------------

SYMPTOMATIC, REMISSION, BETWEEN = (True, False), (False, True), (False, False)


@pytest.mark.parametrize(
    ("measure", "value", "expected"),
    [
        (PHQ, 0, REMISSION),
        (PHQ, 4, REMISSION),
        (PHQ, 4.5, BETWEEN),
        (PHQ, 5, BETWEEN),
        (PHQ, 9, BETWEEN),
        (PHQ, 10, SYMPTOMATIC),
        (PHQ, 27, SYMPTOMATIC),
        (MADRS, 0, REMISSION),
        (MADRS, 12, REMISSION),
        (MADRS, 13, BETWEEN),
        (MADRS, 19, BETWEEN),
        (MADRS, 20, SYMPTOMATIC),
        (MADRS, 60, SYMPTOMATIC),
    ],
)
def test_a_scale_says_what_a_value_shows(measure: Measure, value: float, expected: tuple[bool, bool]) -> None:
    (score,) = scores(result(measure, value))
    assert (score.symptomatic, score.in_remission) == expected
    assert str(score) == f"{measure.value.upper()} {value:g}"


@pytest.mark.parametrize(
    "unusable",
    [
        pytest.param(phq(None), id="no value"),
        pytest.param(phq(-1), id="below the scale"),
        pytest.param(phq(28), id="above the scale"),
        pytest.param(phq(1e308), id="far above the scale"),
        pytest.param(phq(float("inf")), id="infinite"),
        pytest.param(phq(float("nan")), id="not a number"),
        pytest.param(madrs(61), id="above the other scale"),
        pytest.param(phq(15, None), id="undated"),
        pytest.param(phq(15, "2026-11-24"), id="of tomorrow"),
        pytest.param(phq(15, "2027"), id="of next year"),
        pytest.param(phq(15, settled=False), id="preliminary"),
        pytest.param(result(Measure.PHQ_9_ITEM_9, 3), id="an item is no score"),
        pytest.param(result(Measure.PHQ_9_PANEL, 15), id="a panel is no score"),
        pytest.param(result(Measure.SYSTOLIC, 20), id="no symptom scale"),
    ],
)
def test_what_is_no_usable_score_says_nothing(unusable: Observation) -> None:
    assert scores(unusable) == ()


def test_a_score_of_today_is_used() -> None:
    assert [s.when for s in scores(phq(15, "2026-11-23"))] == [some_day("2026-11-23")]


@pytest.mark.parametrize(
    ("when", "latest"), [("2026-11", AS_OF), ("2026", AS_OF), ("2026-10", date(2026, 10, 31))]
)
def test_a_score_known_by_month_or_year_is_no_later_than_the_day_of_assessment(
    when: str, latest: date
) -> None:
    (score,) = scores(phq(15, when))
    assert score.when == PartialDate(some_day(when).earliest, latest)


def test_scores_come_from_the_earliest_whatever_the_order_of_the_record() -> None:
    entries = (phq(15, "2026-10-01"), madrs(30, "2026-09-01"), phq(12, "2026-09-01"), phq(3, "2026-09-01"))
    expected = ["MADRS 30", "PHQ-9 3", "PHQ-9 12", "PHQ-9 15"]
    for turned in permutations(entries):
        assert [str(score) for score in scores(*turned)] == expected


# the present -----------------------------------------------------------------------------------


def said(symptoms: Symptoms) -> tuple[str, list[str]]:
    """Which of its parts says something, and by which scores; at most one may."""
    parts = {name: part for name, part in symptoms._asdict().items() if part}
    assert len(parts) <= 1
    name, found = next(iter(parts.items()), ("nothing", ()))
    return name, [str(score) for score in found]


def now(*results: Observation) -> tuple[str, list[str]]:
    return said(current_symptoms(scores(*results), SEED, AS_OF))


NOTHING: tuple[str, list[str]] = ("nothing", [])


@pytest.mark.parametrize(
    ("results", "expected"),
    [
        pytest.param([], NOTHING, id="no score"),
        pytest.param([phq(15)], ("symptomatic", ["PHQ-9 15"]), id="symptoms"),
        pytest.param([phq(4)], ("in_remission", ["PHQ-9 4"]), id="remission"),
        pytest.param([phq(7)], NOTHING, id="between decides nothing"),
        # the window of 60 days
        pytest.param([phq(15, "2026-09-24")], ("symptomatic", ["PHQ-9 15"]), id="symptoms 60 days ago"),
        pytest.param([phq(4, "2026-09-24")], ("in_remission", ["PHQ-9 4"]), id="remission 60 days ago"),
        pytest.param([phq(15, "2026-09-23")], NOTHING, id="symptoms 61 days ago"),
        pytest.param([phq(4, "2026-09-23")], NOTHING, id="remission 61 days ago"),
        pytest.param([phq(4, "2026-11-23")], ("in_remission", ["PHQ-9 4"]), id="remission today"),
        # the latest speaks
        pytest.param(
            [phq(4, "2026-10-01"), phq(15, "2026-11-01")],
            ("symptomatic", ["PHQ-9 15"]),
            id="symptoms after remission",
        ),
        pytest.param(
            [phq(15, "2026-10-01"), phq(4, "2026-11-01")],
            ("in_remission", ["PHQ-9 4"]),
            id="remission after symptoms",
        ),
        pytest.param(
            [madrs(30, "2026-10-01"), phq(4, "2026-11-01")],
            ("in_remission", ["PHQ-9 4"]),
            id="another scale, later",
        ),
        pytest.param(
            [phq(4, "2026-10-01"), phq(7, "2026-11-01")], NOTHING, id="a later one that decides nothing"
        ),
        pytest.param([phq(15, "2026-10-01"), phq(7, "2026-11-01")], NOTHING, id="no longer symptomatic"),
        # one day
        pytest.param([phq(15), madrs(30)], ("symptomatic", ["MADRS 30", "PHQ-9 15"]), id="scales that agree"),
        pytest.param([phq(4), madrs(30)], ("undecided", ["MADRS 30", "PHQ-9 4"]), id="scales that disagree"),
        pytest.param(
            [phq(4, id="a"), phq(15, id="b")], ("undecided", ["PHQ-9 4", "PHQ-9 15"]), id="one scale, twice"
        ),
        pytest.param([phq(7), madrs(30)], ("symptomatic", ["MADRS 30"]), id="beside one between"),
        pytest.param([phq(4), madrs(15)], ("in_remission", ["PHQ-9 4"]), id="remission beside one between"),
        # partial dates
        pytest.param([phq(15, "2026-10")], ("symptomatic", ["PHQ-9 15"]), id="symptoms last month"),
        pytest.param([phq(4, "2026-11")], ("in_remission", ["PHQ-9 4"]), id="remission this month"),
        pytest.param([phq(15, "2026-09")], NOTHING, id="symptoms, perhaps too long ago"),
        pytest.param([phq(4, "2026-09")], ("undecided", ["PHQ-9 4"]), id="remission, perhaps too long ago"),
        pytest.param([phq(4, "2026-08")], NOTHING, id="remission, certainly too long ago"),
        pytest.param(
            [phq(15, "2026-11-10"), phq(4, "2026-11")],
            ("undecided", ["PHQ-9 4", "PHQ-9 15"]),
            id="not certain which came last",
        ),
        pytest.param(
            [phq(15, "2026-11-01"), phq(4, "2026-10")],
            ("symptomatic", ["PHQ-9 15"]),
            id="the month before the last",
        ),
        pytest.param(
            [phq(4, "2026-11-10"), phq(15, "2026")],
            ("undecided", ["PHQ-9 15", "PHQ-9 4"]),
            id="symptoms some time this year",
        ),
        # what is not used
        pytest.param(
            [phq(15, "2026-11-01"), phq(4, "2026-11-24")],
            ("symptomatic", ["PHQ-9 15"]),
            id="remission of tomorrow",
        ),
        pytest.param(
            [phq(15, "2026-11-01"), phq(4, settled=False)],
            ("symptomatic", ["PHQ-9 15"]),
            id="remission, preliminary",
        ),
    ],
)
def test_what_the_latest_scores_say_of_the_present(
    results: list[Observation], expected: tuple[str, list[str]]
) -> None:
    for turned in permutations(results):
        assert now(*turned) == expected


# a treatment -----------------------------------------------------------------------------------

Told = tuple[Verdict, set[str]] | None


def course(start: str | None = "2025-01-01", end: str | None = "2025-03-31") -> Interval:
    return Interval(day(start), day(end))


def going_on(start: str = "2026-01-01") -> Interval:
    return Interval(some_day(start), PartialDate.on(AS_OF), ongoing=True)


def of(*results: Observation, during: Interval | None = None, criteria: Criteria = SEED) -> Trajectory | None:
    return trajectory(during or course(), Scales(scores(*results)), criteria)


def told(*results: Observation, during: Interval | None = None, criteria: Criteria = SEED) -> Verdict | None:
    found = of(*results, during=during, criteria=criteria)
    return found.verdict if found else None


BASE = "2024-12-20"
LATE = "2025-03-20"

RESPONDED, FAILED, PARTIAL, UNDECIDED = Verdict.RESPONDED, Verdict.FAILED, Verdict.PARTIAL, Verdict.UNDECIDED


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        pytest.param(20, 10, RESPONDED, id="half: a response"),
        pytest.param(20, 11, FAILED, id="just under half"),
        pytest.param(20, 20, FAILED, id="no change"),
        pytest.param(12, 20, FAILED, id="worse"),
        pytest.param(19, 9, RESPONDED, id="more than half"),
        pytest.param(13, 7, FAILED, id="less than half, below the symptomatic range"),
        pytest.param(6, 4, RESPONDED, id="remission, whatever it was before"),
        pytest.param(4, 4, RESPONDED, id="remission before and after"),
        pytest.param(3, 8, FAILED, id="remission before, and no longer"),
        pytest.param(None, 4, RESPONDED, id="remission, and none from before"),
        pytest.param(None, 10, FAILED, id="symptoms, and none from before"),
        pytest.param(None, 9, None, id="between, and none from before"),
        pytest.param(0, 4, RESPONDED, id="zero before, remission"),
        pytest.param(0, 10, FAILED, id="zero before is nothing to fall from: symptoms"),
        pytest.param(0, 9, None, id="zero before is nothing to fall from: between"),
        pytest.param(20, None, None, id="none on it"),
    ],
)
def test_a_score_on_a_treatment_is_set_against_the_one_from_before(
    before: float | None, after: float | None, expected: Verdict | None
) -> None:
    results = [phq(value, when) for value, when in ((before, BASE), (after, LATE)) if value is not None]
    assert told(*results) is expected


@pytest.mark.parametrize(
    ("after", "expected"),
    [(10, RESPONDED), (11, PARTIAL), (15, PARTIAL), (16, FAILED), (20, FAILED), (4, RESPONDED)],
)
def test_a_criteria_set_may_tell_a_partial_response_from_a_failure(after: float, expected: Verdict) -> None:
    assert (PAYER.response_fall, PAYER.failure_fall) == (0.5, 0.25)
    assert told(phq(20, BASE), phq(after, LATE), criteria=PAYER) is expected


@pytest.mark.parametrize(
    ("criteria", "when", "expected"),
    [
        pytest.param(SEED, "2025-02-10", None, id="41st day"),
        pytest.param(SEED, "2025-02-11", FAILED, id="42nd day"),
        pytest.param(PAYER, "2025-02-24", None, id="55th day, of 56"),
        pytest.param(PAYER, "2025-02-25", FAILED, id="56th day, of 56"),
        pytest.param(SEED, "2025-03-31", FAILED, id="last day"),
        pytest.param(SEED, "2025-04-01", None, id="the day after"),
    ],
)
def test_only_a_score_taken_on_it_after_the_minimum_time_counts(
    criteria: Criteria, when: str, expected: Verdict | None
) -> None:
    assert told(phq(15, when), criteria=criteria) is expected
    assert told(phq(20, BASE), phq(18, when), criteria=criteria) is expected


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        pytest.param("2025-01-01", RESPONDED, id="the first day"),
        pytest.param("2024-11-02", RESPONDED, id="60 days before"),
        pytest.param("2024-11-01", FAILED, id="61 days before"),
        pytest.param("2025-01-02", FAILED, id="the second day"),
    ],
)
def test_only_a_score_from_shortly_before_the_start_is_one_to_fall_from(when: str, expected: Verdict) -> None:
    """From 24 to 12 is a response; 12 by itself shows symptoms."""
    assert told(phq(24, when), phq(12, LATE)) is expected


def test_the_last_score_before_the_start_and_the_last_on_it_are_compared() -> None:
    found = of(phq(26, "2024-12-01"), phq(20, BASE), phq(11, "2025-02-20"), phq(12, LATE))
    assert found is not None
    assert (found.verdict, found.text) == (
        FAILED,
        "PHQ-9 20 before treatment, 12 during treatment: no response",
    )
    assert {r.id for r in found.evidence} == {f"phq-9-{BASE}", f"phq-9-{LATE}"}


@pytest.mark.parametrize(
    ("results", "during", "expected"),
    [
        pytest.param([phq(3, "2025-01-02")], course(), RESPONDED, id="on the second day"),
        pytest.param([phq(3, "2025-01-01")], course(), None, id="on the first day"),
        pytest.param([phq(3, "2025-03-31")], course(), RESPONDED, id="on the last day"),
        pytest.param([phq(3, "2025-02")], course(), RESPONDED, id="some day of a month on it"),
        pytest.param([phq(3, "2025-03-10")], course(end="2025-03"), UNDECIDED, id="perhaps after the end"),
        pytest.param([phq(3, "2025-01-20")], course("2025-01"), UNDECIDED, id="perhaps before the start"),
        pytest.param([phq(3, "2025-02-01")], course("2025-01"), RESPONDED, id="after any start"),
        pytest.param(
            [phq(3, "2025-02"), phq(18, "2025-02-20")], course(), UNDECIDED, id="perhaps the day of symptoms"
        ),
        pytest.param(
            [phq(3, "2025-02-20"), phq(18, "2025-02")], course(), UNDECIDED, id="symptoms perhaps that day"
        ),
        pytest.param(
            [phq(3, "2025-02"), phq(18, "2025-03-01")], course(), RESPONDED, id="symptoms after that month"
        ),
    ],
)
def test_a_remission_at_any_time_on_it_is_a_response_where_dates_show_that(
    results: list[Observation], during: Interval, expected: Verdict | None
) -> None:
    assert told(*results, during=during) is expected


@pytest.mark.parametrize(
    ("value", "text"),
    [(3, "PHQ-9 3 during treatment: remission"), (15, "PHQ-9 15 during treatment, after the minimum time")],
)
def test_without_a_score_from_before_the_one_on_it_is_the_evidence(value: float, text: str) -> None:
    found = of(phq(value, LATE))
    assert found is not None
    assert (found.text, found.evidence) == (text, (ref(f"phq-9-{LATE}", "Observation"),))


@pytest.mark.parametrize(
    ("results", "expected"),
    [
        pytest.param([phq(15, LATE), madrs(30, LATE)], FAILED, id="both symptoms"),
        pytest.param([phq(3, LATE), madrs(10, LATE)], RESPONDED, id="both remission"),
        pytest.param([phq(15, LATE), madrs(10, LATE)], UNDECIDED, id="symptoms and remission"),
        pytest.param([phq(15, LATE), madrs(10, "2025-02-20")], RESPONDED, id="a relapse by the other"),
        pytest.param([phq(15, "2025-02-20"), madrs(10, LATE)], RESPONDED, id="remission by the other"),
        pytest.param([phq(15, LATE), madrs(15, LATE)], FAILED, id="one that does not tell adds nothing"),
        pytest.param([phq(7, LATE), madrs(15, LATE)], None, id="neither tells"),
        pytest.param([phq(20, BASE), madrs(30, LATE)], FAILED, id="only one was taken on it"),
        pytest.param([madrs(40, BASE), phq(12, LATE)], FAILED, id="scales are not set against each other"),
    ],
)
def test_each_scale_speaks_and_those_that_disagree_leave_it_open(
    results: list[Observation], expected: Verdict | None
) -> None:
    for turned in permutations(results):
        assert told(*turned) is expected


@pytest.mark.parametrize(
    ("results", "expected"),
    [
        pytest.param([phq(15, LATE, id="a"), phq(3, LATE, id="b")], UNDECIDED, id="on it"),
        pytest.param([phq(15, LATE, id="a"), phq(16, LATE, id="b")], FAILED, id="on it, to one effect"),
        pytest.param([phq(15, LATE, id="a"), phq(7, LATE, id="b")], None, id="one that does not tell"),
        pytest.param([phq(24, BASE, id="a"), phq(14, BASE, id="b"), phq(12, LATE)], UNDECIDED, id="before"),
        pytest.param(
            [phq(14, BASE, id="a"), phq(16, BASE, id="b"), phq(12, LATE)], FAILED, id="before, to one effect"
        ),
    ],
)
def test_two_scores_of_one_day_must_agree(results: list[Observation], expected: Verdict | None) -> None:
    for turned in permutations(results):
        assert told(*turned) is expected


@pytest.mark.parametrize(
    "during",
    [
        pytest.param(course(start=None), id="no start"),
        pytest.param(course(end=None), id="no end"),
        pytest.param(course(start=None, end=None), id="neither"),
    ],
)
def test_without_a_start_and_an_end_nothing_was_taken_on_it(during: Interval) -> None:
    assert told(phq(15, LATE), phq(3, "2025-03-25"), during=during) is None


@pytest.mark.parametrize(
    ("during", "results", "expected"),
    [
        pytest.param(course(), [phq(15, "2025-03")], FAILED, id="within by its month"),
        pytest.param(course(), [phq(15, "2025-02")], None, id="perhaps too soon"),
        pytest.param(course(), [phq(15, "2025")], None, id="some time that year"),
        pytest.param(course(end="2025-03"), [phq(15, "2025-02-28")], FAILED, id="before the earliest end"),
        pytest.param(course(end="2025-03"), [phq(15, LATE)], None, id="perhaps after the end"),
        pytest.param(
            course(start="2025-01"), [phq(15, "2025-03-12")], None, id="41 days by the latest start"
        ),
        pytest.param(
            course(start="2025-01"), [phq(15, "2025-03-13")], FAILED, id="42 days by the latest start"
        ),
        pytest.param(
            course(end="2025-03"), [phq(15, "2025-02-28"), phq(3, LATE)], UNDECIDED, id="perhaps helped"
        ),
        pytest.param(
            course(end="2025-03"), [phq(15, "2025-02-28"), phq(16, LATE)], FAILED, id="either way a failure"
        ),
        pytest.param(course(), [phq(15, LATE), phq(3, "2025-03")], UNDECIDED, id="perhaps remission later"),
        pytest.param(course(), [phq(15, LATE), phq(3, "2025-02")], RESPONDED, id="remission before that"),
        pytest.param(course(), [phq(3, "2025-02")], RESPONDED, id="remission whenever it was on it"),
        pytest.param(course(), [phq(3, "2025-01")], UNDECIDED, id="remission, perhaps on the first day"),
        pytest.param(course(), [phq(3, "2025")], UNDECIDED, id="remission, perhaps after the last"),
        pytest.param(
            course(start="2025-01"),
            [phq(27, "2025-01-10"), phq(12, LATE)],
            UNDECIDED,
            id="perhaps one to fall from",
        ),
        pytest.param(
            course(), [phq(24, "2024-11"), phq(12, LATE)], UNDECIDED, id="perhaps too long before the start"
        ),
        pytest.param(
            course(), [phq(24, "2024-12"), phq(12, LATE)], RESPONDED, id="certainly one to fall from"
        ),
    ],
)
def test_a_date_that_leaves_it_open_never_makes_a_failure(
    during: Interval, results: list[Observation], expected: Verdict | None
) -> None:
    for turned in permutations(results):
        assert told(*turned, during=during) is expected


@pytest.mark.parametrize(
    ("results", "expected"),
    [
        pytest.param([phq(15)], FAILED, id="symptoms now"),
        pytest.param([phq(15, "2026-09-24")], FAILED, id="symptoms 60 days ago"),
        pytest.param([phq(15, "2026-09-23")], None, id="symptoms 61 days ago"),
        pytest.param([phq(15, "2026-09")], None, id="symptoms, perhaps 61 days ago"),
        pytest.param([phq(3)], RESPONDED, id="remission now"),
        pytest.param([phq(3, "2026-06-01")], RESPONDED, id="remission long ago"),
        pytest.param([phq(15, "2026-06-01"), phq(3)], RESPONDED, id="symptoms, and remission now"),
        pytest.param([phq(3, "2026-06-01"), phq(15)], RESPONDED, id="remission, and symptoms now"),
        pytest.param([phq(15, "2026-06-01"), phq(7)], None, id="neither now"),
        pytest.param(
            [phq(15, "2026-06-01"), madrs(15)], None, id="another scale of now makes an old one no newer"
        ),
        pytest.param([phq(22, "2025-12-20"), phq(18)], FAILED, id="no fall, symptoms now"),
        pytest.param([phq(13, "2025-12-20"), phq(7)], PARTIAL, id="a small fall, and no symptoms now"),
        pytest.param([phq(22, "2025-12-20"), phq(11)], RESPONDED, id="half"),
    ],
)
def test_a_treatment_that_goes_on_is_judged_by_a_recent_score(
    results: list[Observation], expected: Verdict | None
) -> None:
    assert told(*results, during=going_on()) is expected


def test_a_treatment_that_goes_on_is_not_judged_before_its_minimum_time() -> None:
    assert told(phq(15, "2026-11-22"), during=going_on("2026-10-13")) is None
    assert told(phq(15, "2026-11-23"), during=going_on("2026-10-13")) is FAILED


@pytest.mark.parametrize("start", ["0001", "0001-01-02", "0001-03"])
def test_a_start_that_nobody_can_mean_is_still_a_start(start: str) -> None:
    assert told(phq(15, LATE), during=course(start=start)) is FAILED


# what holds for every set of scores ------------------------------------------------------------


def known(on: date, width: int) -> str:
    return on.isoformat()[:width]


DAYS = st.dates(date(2024, 10, 1), date(2025, 6, 30))
WIDTHS = st.sampled_from([10, 10, 10, 7, 4])
VALUES = st.sampled_from([0, 3, 5, 7, 9, 10, 12, 15, 20, 24])
RESULTS = st.lists(
    st.builds(
        lambda measure, value, on, width, number: result(measure, value, known(on, width), id=f"{number}"),
        st.sampled_from([PHQ, PHQ, MADRS]),
        VALUES,
        DAYS,
        WIDTHS,
        st.integers(0, 99),
    ),
    min_size=1,
    max_size=5,
)
COURSES = st.builds(
    lambda start, end, one, other: Interval(some_day(known(start, one)), some_day(known(end, other))),
    st.dates(date(2024, 12, 1), date(2025, 1, 31)),
    st.dates(date(2025, 3, 1), date(2025, 4, 30)),
    WIDTHS,
    WIDTHS,
)


@given(RESULTS, COURSES, st.sampled_from([SEED, PAYER]), st.data())
def test_a_date_known_more_exactly_never_turns_a_failure_into_a_response_or_back(
    results: list[Observation], during: Interval, criteria: Criteria, data: st.DataObject
) -> None:
    vague = [r for r in results if r.when is not None and r.when.earliest < r.when.latest]
    assume(vague)
    one = data.draw(st.sampled_from(vague))
    assert one.when is not None
    first = data.draw(st.dates(one.when.earliest, one.when.latest))
    last = data.draw(st.dates(first, one.when.latest))
    exact = [r._replace(when=PartialDate(first, last)) if r is one else r for r in results]
    courses = {told(*some, during=during, criteria=criteria) for some in (results, exact)}
    assert courses != {FAILED, RESPONDED}


@given(RESULTS, COURSES, st.randoms(use_true_random=False))
def test_the_order_of_scores_never_changes_what_they_say(
    results: list[Observation], during: Interval, random: Any
) -> None:
    turned = random.sample(results, len(results))
    assert of(*turned, during=during) == of(*results, during=during)
    assert now(*turned) == now(*results)
