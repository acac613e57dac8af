"""Dates as records state them: often partial, sometimes missing, never rounded.

A date that a record gives as "2021" or "2021-07" is the interval of days it may be. Arithmetic on
such dates gives a shortest and a longest answer; a rule is settled only when both agree.
"""

import calendar
import re
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import TypeVar

Item = TypeVar("Item")

_DAY_OR_MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}(?:T|\Z)", re.ASCII)
_MOMENT = re.compile(r"T.*(?:Z|[+-]\d{2}:\d{2})\Z", re.ASCII)
_PARTIAL = re.compile(r"(\d{4})(?:-(\d{2})(?:-(\d{2})(?:T.*)?)?)?", re.DOTALL | re.ASCII)


@dataclass(frozen=True, slots=True, order=True)
class PartialDate:
    """A day known to lie between `earliest` and `latest`, both inclusive."""

    earliest: date
    latest: date

    def __post_init__(self) -> None:
        """Refuse an interval that ends before it starts."""
        if self.earliest > self.latest:
            message = "a partial date cannot end before it starts"
            raise ValueError(message)

    @property
    def is_exact(self) -> bool:
        """Whether it is known to the day."""
        return self.earliest == self.latest

    @classmethod
    def on(cls, day: date) -> "PartialDate":
        """A date known to the day."""
        return cls(day, day)

    @classmethod
    def parse(cls, text: str) -> "PartialDate":
        """Read an ISO 8601 year, month, day or time stamp, keeping its precision.

        A time stamp is the day as it is written, whatever its zone: a record's day is the day its
        author meant. Raises `ValueError` for text that is no such date.
        """
        if _DAY_OR_MOMENT.match(text):
            return _day(text[:10])
        match = _PARTIAL.fullmatch(text)
        if match is None:
            message = "not a date of the form YYYY, YYYY-MM or YYYY-MM-DD"
            raise ValueError(message)
        year, month, day = (int(part) if part else None for part in match.groups())
        assert year is not None  # noqa: S101 - the pattern requires it; narrows the type
        if month is None:
            return cls(date(year, 1, 1), date(year, 12, 31))
        if day is None:
            first = date(year, month, 1)
            return cls(first, first.replace(day=calendar.monthrange(year, month)[1]))
        return cls.on(date(year, month, day))

    def at_site(self, text: str, zone: tzinfo) -> "PartialDate":
        """The day at a site of the moment that `text` gives; the same date where it gives no moment.

        A moment has a time and a zone: "2026-11-24T00:10:00Z" is still the 23rd in New York.
        """
        day = _day_at(text, zone) if _MOMENT.search(text) else None
        return self if day is None else day

    def at_most(self, bound: date) -> "PartialDate":
        """The same date, known to be no later than `bound` (a date after it is left as it is)."""
        if bound < self.earliest or bound >= self.latest:
            return self
        return PartialDate(self.earliest, bound)


@lru_cache(maxsize=20_000)
def _day_at(text: str, zone: tzinfo) -> PartialDate | None:
    """The day of a moment in a zone; `None` for what is no moment of the calendar."""
    try:
        return PartialDate.on(datetime.fromisoformat(text).astimezone(zone).date())
    except (ValueError, OverflowError):
        return None


@lru_cache(maxsize=20_000)
def _day(text: str) -> PartialDate:
    """A day as written. Records name the same few thousand days again and again."""
    return PartialDate.on(date.fromisoformat(text))


@dataclass(frozen=True, slots=True)
class Interval:
    """A stretch of days, both ends inclusive.

    `start` and `end` are `None` where the record does not give them; `ongoing` says that the
    stretch is known not to have ended.
    """

    start: PartialDate | None = None
    end: PartialDate | None = None
    ongoing: bool = False

    @property
    def certain(self) -> "Span | None":
        """The days that belong to it on every reading of its dates."""
        if self.start is None or self.end is None or self.start.latest > self.end.earliest:
            return None
        return (self.start.latest, self.end.earliest)


Span = tuple[date, date]
"""A first and a last day, both inclusive."""

Spans = tuple[Span, ...]
"""Disjoint spans in order; no two of them touch."""

_DAY = timedelta(days=1)


def union(spans: "list[Span] | Spans") -> Spans:
    """Merge spans that overlap or touch."""
    return joined(spans, gap_days=0)


def joined(spans: "list[Span] | Spans", *, gap_days: int) -> Spans:
    """Merge spans that overlap or that are at most `gap_days` whole days apart."""
    if len(spans) < 2:  # noqa: PLR2004 - nothing to join
        return tuple(spans)
    merged: list[Span] = []
    for first, last in sorted(spans):
        if merged and (first - merged[-1][1]).days - 1 <= gap_days:
            merged[-1] = (merged[-1][0], max(merged[-1][1], last))
        else:
            merged.append((first, last))
    return tuple(merged)


def within(spans: "list[Span] | Spans", window: Span) -> Spans:
    """Keep only the part of each span that lies in the window."""
    since, until = window
    return tuple(
        [(max(first, since), min(last, until)) for first, last in spans if first <= until and last >= since]
    )


def shared_out(items: Iterable[tuple[Span, Item]], chains: Spans) -> tuple[list[Item], ...]:
    """The items of each chain, in their order: each has a span, which lies in one of the chains."""
    begin = [first for first, _ in chains]
    shares: tuple[list[Item], ...] = tuple([] for _ in chains)
    for (first, _), item in items:
        shares[bisect_right(begin, first) - 1].append(item)
    return shares


def total_days(spans: "list[Span] | Spans") -> int:
    """Count the days of disjoint spans."""
    return sum((last - first).days + 1 for first, last in spans)


def years_before(day: date, years: int) -> date:
    """The same calendar day some years earlier (29 February becomes 28 February)."""
    try:
        return day.replace(year=day.year - years)
    except ValueError:
        return day.replace(year=day.year - years, day=28)


def years_after(day: date, years: int) -> date:
    """The same calendar day some years later (29 February becomes 1 March)."""
    try:
        return day.replace(year=day.year + years)
    except ValueError:
        return date(day.year + years, 3, 1)


def days_before(day: date, days: int) -> date:
    """The day that lies some days earlier; the first day there is where that would be before it."""
    return day - min(days, day.toordinal() - 1) * _DAY


_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def say_date(when: PartialDate) -> str:
    """A date for a reader, no more exact than it is known: "6 Jan 2025", "Jan 2025", "2025"."""
    first, last = when.earliest, when.latest
    if first == last:
        return _say_day(first)
    if when == PartialDate.parse(f"{first.year:04}"):
        return f"{first.year}"
    if when == PartialDate.parse(f"{first.year:04}-{first.month:02}"):
        return f"{_MONTHS[first.month - 1]} {first.year}"
    return f"a date between {_say_day(first)} and {_say_day(last)}"


def _say_day(day: date) -> str:
    return f"{day.day} {_MONTHS[day.month - 1]} {day.year}"
