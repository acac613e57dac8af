"""Partial dates keep their precision; intervals are settled only when every reading agrees."""

from datetime import date, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.dates import (
    Interval,
    PartialDate,
    Span,
    days_before,
    joined,
    total_days,
    union,
    within,
    years_after,
    years_before,
)
from tests.core.builders import day, some_day

EPOCH = date(2025, 1, 1)


@pytest.mark.parametrize(
    ("text", "earliest", "latest"),
    [
        pytest.param("2025", date(2025, 1, 1), date(2025, 12, 31), id="year"),
        pytest.param("2025-07", date(2025, 7, 1), date(2025, 7, 31), id="month"),
        pytest.param("2025-12", date(2025, 12, 1), date(2025, 12, 31), id="last month of a year"),
        pytest.param("2024-02", date(2024, 2, 1), date(2024, 2, 29), id="february of a leap year"),
        pytest.param("2100-02", date(2100, 2, 1), date(2100, 2, 28), id="century that is no leap year"),
        pytest.param("2025-07-04", date(2025, 7, 4), date(2025, 7, 4), id="day"),
        pytest.param("2024-02-29", date(2024, 2, 29), date(2024, 2, 29), id="leap day"),
        pytest.param("2025-07-04T23:59:59Z", date(2025, 7, 4), date(2025, 7, 4), id="UTC"),
        pytest.param("2025-07-04T00:30:00+13:00", date(2025, 7, 4), date(2025, 7, 4), id="far east"),
        pytest.param("2025-07-04T23:30:00.123-11:00", date(2025, 7, 4), date(2025, 7, 4), id="far west"),
        pytest.param("2025-07-04T24:00:00Z", date(2025, 7, 4), date(2025, 7, 4), id="end of day"),
        pytest.param("2025-07-04T23:59:60Z", date(2025, 7, 4), date(2025, 7, 4), id="leap second"),
        pytest.param("0001", date(1, 1, 1), date(1, 12, 31), id="first year"),
        pytest.param("9999", date(9999, 1, 1), date(9999, 12, 31), id="last year"),
        pytest.param("9999-12-31", date(9999, 12, 31), date(9999, 12, 31), id="last day"),
    ],
)
def test_a_date_keeps_its_precision(text: str, earliest: date, latest: date) -> None:
    assert PartialDate.parse(text) == PartialDate(earliest, latest)


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "2025-", "2025-7", "25-07-04", "2025-07-4", "2025/07/04", "20250704", "04.07.2025"),
        *("2025-13", "2025-00", "2025-07-00", "2025-06-31", "2025-02-29", "2100-02-29", "0000", "0000-01-01"),
        *("10000", "2025-07-04 12:00", "2025-W07", " 2025", "2025 ", "-2025", "unknown", "2025-07T10:00"),
        *("2025\n", "2025-07-04\n", "\uff12\uff10\uff12\uff15", "\u0662\u0660\u0662\u0665"),
    ],
)
def test_what_is_no_date_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        PartialDate.parse(text)


def test_a_partial_date_cannot_end_before_it_starts() -> None:
    with pytest.raises(ValueError, match="before it starts"):
        PartialDate(date(2025, 1, 2), date(2025, 1, 1))


@pytest.mark.parametrize(
    ("text", "bound", "expected"),
    [
        pytest.param("2025", date(2025, 6, 1), (date(2025, 1, 1), date(2025, 6, 1)), id="cut"),
        pytest.param("2025", date(2026, 6, 1), (date(2025, 1, 1), date(2025, 12, 31)), id="already within"),
        pytest.param("2025", date(2025, 1, 1), (date(2025, 1, 1), date(2025, 1, 1)), id="to its first day"),
        pytest.param("2025", date(2024, 6, 1), (date(2025, 1, 1), date(2025, 12, 31)), id="wholly after"),
    ],
)
def test_a_bound_only_narrows(text: str, bound: date, expected: Span) -> None:
    assert some_day(text).at_most(bound) == PartialDate(*expected)


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        pytest.param("2025-01", "2025-03", (date(2025, 1, 31), date(2025, 3, 1)), id="between partial ends"),
        pytest.param("2025-01", "2025-01", None, id="no day is certain"),
        pytest.param("2025-01-05", "2025-01-05", (date(2025, 1, 5), date(2025, 1, 5)), id="one day"),
        pytest.param(None, "2025-01", None, id="start unknown"),
        pytest.param("2025-01", None, None, id="end unknown"),
    ],
)
def test_certain_days_are_those_of_every_reading(
    start: str | None, end: str | None, expected: Span | None
) -> None:
    assert Interval(day(start), day(end)).certain == expected


@pytest.mark.parametrize(
    ("of", "years", "before", "after"),
    [
        pytest.param(date(2025, 7, 4), 5, date(2020, 7, 4), date(2030, 7, 4), id="same day"),
        pytest.param(date(2024, 2, 29), 1, date(2023, 2, 28), date(2025, 3, 1), id="29 February"),
        pytest.param(date(2024, 2, 29), 4, date(2020, 2, 29), date(2028, 2, 29), id="leap to leap"),
    ],
)
def test_years_keep_the_calendar_day(of: date, years: int, before: date, after: date) -> None:
    assert (years_before(of, years), years_after(of, years)) == (before, after)


def test_days_before() -> None:
    assert days_before(date(2024, 3, 1), 1) == date(2024, 2, 29)


@pytest.mark.parametrize("days", [31, 32, 100_000])
def test_nothing_is_before_the_first_day_there_is(days: int) -> None:
    assert days_before(date(1, 2, 1), days) == date.min


# spans against a set of days -------------------------------------------------------------------


def _span(of: tuple[int, int]) -> Span:
    return (EPOCH + timedelta(days=of[0]), EPOCH + timedelta(days=of[0] + of[1]))


SPANS = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 12)).map(_span), max_size=6)


def _days(spans: list[Span] | tuple[Span, ...]) -> set[date]:
    return {first + timedelta(days=n) for first, last in spans for n in range((last - first).days + 1)}


@given(SPANS)
def test_a_union_has_the_same_days_counted_once(spans: list[Span]) -> None:
    merged = union(spans)
    assert _days(merged) == _days(spans)
    assert total_days(merged) == len(_days(spans))


@given(SPANS)
def test_a_union_never_touches_itself(spans: list[Span]) -> None:
    merged = union(spans)
    assert all((later[0] - earlier[1]).days > 1 for earlier, later in pairwise(merged))


@given(SPANS, st.integers(0, 15))
def test_joining_fills_only_gaps_up_to_the_limit(spans: list[Span], gap: int) -> None:
    days = _days(spans)
    chains = joined(spans, gap_days=gap)
    filled = _days(chains) - days
    for missing in filled:
        before = max(d for d in days if d < missing)
        after = min(d for d in days if d > missing)
        assert (after - before).days - 1 <= gap
    assert all((later[0] - earlier[1]).days - 1 > gap for earlier, later in pairwise(chains))


@given(SPANS)
def test_joining_does_not_depend_on_order(spans: list[Span]) -> None:
    assert joined(spans, gap_days=3) == joined(spans[::-1], gap_days=3)


@given(SPANS, st.tuples(st.integers(0, 60), st.integers(0, 30)).map(_span))
def test_within_keeps_exactly_the_days_of_the_window(spans: list[Span], window: Span) -> None:
    assert _days(within(spans, window)) == _days(spans) & _days([window])
