"""The dated sessions of a protocol, on days when the clinic is open.

Weeks are seven days rolling from the first session. The protocol's count of sessions is kept exactly; where
the calendar does not have enough open days, the result states that instead.
"""

import typing
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from typing import TypeVar

from service.core.knowledge import CareSetting, Phase, Protocol, Visit

_WEEK = 7
_LATEST_START_DAYS = 28


@dataclass(frozen=True, slots=True)
class Calendar:
    """When and how the clinic treats: weekdays (Monday is 0), days it is closed, lead time, care setting."""

    weekdays: frozenset[int]
    closed: frozenset[date]
    lead_days: int
    setting: CareSetting = CareSetting.OUTPATIENT

    def is_open(self, day: date) -> bool:
        """Whether a session can take place on that day."""
        return day.weekday() in self.weekdays and day not in self.closed


@dataclass(frozen=True, slots=True)
class Session:
    """One treatment session under supervision; the clinician chooses among the dose options."""

    number: int
    phase: str
    date: date
    dose_options_mg: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class DatedDecision:
    """A day on which a clinician decides how treatment goes on."""

    code: str
    date: date
    text: str


class Dated(typing.Protocol):
    """Anything that takes place on a day."""

    @property
    def date(self) -> date:
        """The day."""


D = TypeVar("D", bound=Dated)
S = TypeVar("S", bound=Dated)


def order_by_date(decision_points: Iterable[D], sessions: Iterable[S]) -> list[D | S]:
    """Decision points and sessions in order of time; on the same day the decision comes first."""
    return sorted((*decision_points, *sessions), key=lambda one: one.date)


@dataclass(frozen=True, slots=True)
class Schedule:
    """A protocol laid out on the calendar. `then` is the rule after the last dated session.

    `preparation` is what must be done before the first session, `visit` what every visit takes.
    """

    protocol: Protocol
    sessions: tuple[Session, ...]
    decision_points: tuple[DatedDecision, ...]
    then: str
    preparation: tuple[str, ...]
    visit: Visit


@dataclass(frozen=True, slots=True)
class Unschedulable:
    """Why no schedule can be given."""

    why: str


@lru_cache(maxsize=64)
def plan_sessions(
    protocol: Protocol, calendar: Calendar, as_of: date, *, keep: tuple[date, ...] = ()
) -> Schedule | Unschedulable:
    """Lay out a protocol from the first open day after the lead time.

    `keep` are the dates of a draft of the same protocol that still lies ahead; they stay as they are, unless
    the clinic has come to be closed on one of them.
    """
    whole = len(keep) == sum(1 for _ in _slots(protocol.phases))
    if whole and all(calendar.is_open(day) for day in keep):
        return _schedule(protocol, calendar, keep)
    earliest = as_of + timedelta(days=calendar.lead_days)
    for delay in range(_LATEST_START_DAYS + 1):
        start = earliest + timedelta(days=delay)
        if not calendar.is_open(start):
            continue
        dates = _session_dates(protocol.phases, calendar, start)
        if dates is not None:
            return _schedule(protocol, calendar, dates)
    why = (
        f"no start within {_LATEST_START_DAYS} days of {earliest.isoformat()} leaves enough open "
        f"clinic days for the sessions of protocol {protocol.id}"
    )
    return Unschedulable(why)


def _slots(phases: tuple[Phase, ...]) -> Iterator[tuple[Phase, int, int]]:
    """Each session as its phase, first day of its week, and preferred day, counted from session 1."""
    for phase in phases:
        for week in range(phase.first_week - 1, phase.last_week):
            for index in range(phase.sessions_a_week):
                yield phase, week * _WEEK, week * _WEEK + index * _WEEK // phase.sessions_a_week


def _session_dates(phases: tuple[Phase, ...], calendar: Calendar, start: date) -> tuple[date, ...] | None:
    """Choose a day for every session, nearest to an even rhythm; `None` where the calendar is too tight.

    Working back from the last session, `reachable` keeps the days from which the rest still fits, so
    that choosing forward never has to go back.
    """
    slots = list(_slots(phases))
    weeks = {week: _open_days(calendar, start + timedelta(days=week)) for _, week, _ in slots}
    options = [weeks[week] for _, week, _ in slots]
    options[0] = [start]
    reachable = options[-1:]
    for index in range(len(slots) - 2, -1, -1):
        apart = slots[index + 1][0].min_days_between
        following = reachable[0]
        fits = [day for day in options[index] if any((f - day).days >= apart for f in following)]
        reachable.insert(0, fits)
    if not all(reachable):
        return None
    chosen = [start]
    for index in range(1, len(slots)):
        phase, _, preferred = slots[index]
        weekly = phase.sessions_a_week == 1 and slots[index - 1][0] is phase
        ideal = chosen[-1] + timedelta(days=_WEEK) if weekly else start + timedelta(days=preferred)
        allowed = [d for d in reachable[index] if (d - chosen[-1]).days >= phase.min_days_between]
        chosen.append(_nearest(allowed, ideal))
    return tuple(chosen)


def _open_days(calendar: Calendar, first: date) -> list[date]:
    """The open days of the week that begins on a day."""
    days = (first + timedelta(days=offset) for offset in range(_WEEK))
    return [day for day in days if calendar.is_open(day)]


def _nearest(days: list[date], ideal: date) -> date:
    return min(days, key=lambda day: (abs((day - ideal).days), day))


def _schedule(protocol: Protocol, calendar: Calendar, dates: tuple[date, ...]) -> Schedule:
    sessions = tuple(
        Session(number, phase.name, day, _doses(phase, number))
        for number, ((phase, _, _), day) in enumerate(
            zip(_slots(protocol.phases), dates, strict=True), start=1
        )
    )
    decisions = tuple(
        DatedDecision(point.code, _first_open(calendar, dates[0], point.after_week * _WEEK), point.text)
        for point in protocol.decision_points
    )
    return Schedule(
        protocol,
        sessions,
        decisions,
        protocol.then,
        protocol.preparation(calendar.setting),
        protocol.visit_in(calendar.setting),
    )


def _doses(phase: Phase, number: int) -> tuple[int, ...]:
    return phase.first_dose_mg if number == 1 and phase.first_dose_mg else phase.dose_options_mg


def _first_open(calendar: Calendar, start: date, offset: int) -> date:
    """The first open day from an offset on, or the day itself when none comes within four weeks."""
    wanted = start + timedelta(days=offset)
    days = (wanted + timedelta(days=delay) for delay in range(_LATEST_START_DAYS + 1))
    return next((day for day in days if calendar.is_open(day)), wanted)
