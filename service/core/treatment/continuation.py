"""The sessions that continue a treatment: a draft of its own, based on the last plan of the chain.

The plans that people follow stay as they are. The sessions begin after the last day that is still planned,
keep the distances of the label, and go on in number from the last session that was given or is planned.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise
from typing import NamedTuple

from service.core.knowledge import NextCode, Phase, Protocol
from service.core.records import PlanOfRecord
from service.core.schedule import Calendar, DatedDecision, Schedule, Session, Unschedulable
from service.core.treatment.course import SessionState, TreatmentCourse
from service.core.treatment.follow import Treatment
from service.core.treatment.response import ResponseFinding

_WEEK = 7
_LATEST_DAYS = 28


@dataclass(frozen=True, slots=True)
class Continuation:
    """A schedule that goes on from a plan: its sessions are numbered from `first` on.

    `replaces` is the plan to be ended when it is activated: it then holds the remaining dates of that plan.
    """

    based_on: PlanOfRecord
    first: int
    schedule: Schedule | Unschedulable
    replaces: PlanOfRecord | None = None


class _Rhythm(NamedTuple):
    """How many sessions are to come, how many days apart, and in which phase of the protocol."""

    sessions: int
    days_apart: tuple[int, ...]
    phase: Phase


def continue_treatment(
    treatment: Treatment, calendar: Calendar, kept: tuple[date, ...] = ()
) -> Continuation | None:
    """The sessions that come next in a treatment; `None` where nothing is proposed.

    `kept` are the dates of a draft of it that lie ahead and stay as they are.
    """
    course, code = treatment.course, treatment.next.code
    rhythm = _rhythm(treatment)
    if rhythm is None or rhythm.sessions <= 0:
        return None
    stepping_back = code is NextCode.STEP_BACK
    numbered = _OPEN if not stepping_back else frozenset({SessionState.GIVEN})
    last = max(
        (s.number for s in course.sessions if s.state in numbered and s.number), default=len(course.taken)
    )
    earliest = treatment.as_of + timedelta(days=calendar.lead_days)
    before = [*(() if stepping_back else course.ahead), *filter(None, (course.last_taken,))]
    schedule = _laid_out(rhythm, course.protocol, calendar, _Start(last + 1, earliest, tuple(before)), kept)
    plan = course.plans[-1]
    return Continuation(plan, last + 1, schedule, plan if stepping_back else None)


_OPEN = frozenset({SessionState.GIVEN, SessionState.PLANNED})
_TWICE_A_WEEK, _WEEKLY, _EVERY_TWO_WEEKS = (3, 4), (_WEEK,), (2 * _WEEK,)


def _rhythm(treatment: Treatment) -> _Rhythm | None:
    """What the row of docs/treatment.md that applies asks for."""
    match treatment.next.code:
        case NextCode.CONTINUE:
            protocol = treatment.course.protocol
            left = protocol.induction_sessions - _counted(treatment.course)
            return _Rhythm(left, _TWICE_A_WEEK, protocol.phases[0])
        case NextCode.MAINTAIN:
            return _maintenance(treatment)
        case NextCode.STEP_BACK:
            return _more_often(treatment.course)
        case _:
            return None


def _counted(course: TreatmentCourse) -> int:
    return len(course.taken) + len(course.ahead)


def _maintenance(treatment: Treatment) -> _Rhythm:
    """The weekly sessions that the protocol dates, then blocks by the response."""
    protocol = treatment.course.protocol
    phase, weeks = protocol.phases[-1], protocol.block_weeks
    left = protocol.dated_sessions - _counted(treatment.course)
    if left > 0:
        return _Rhythm(left, _WEEKLY, phase)
    if _every_two_weeks(treatment):
        return _Rhythm(weeks // 2, _EVERY_TWO_WEEKS, phase)
    return _Rhythm(weeks, _WEEKLY, phase)


def _more_often(course: TreatmentCourse) -> _Rhythm:
    """The more frequent schedule before: every two weeks to weekly, weekly to twice a week."""
    phase, weeks = course.protocol.phases[-1], course.protocol.block_weeks
    if _is_every_two_weeks(course):
        return _Rhythm(weeks, _WEEKLY, phase)
    return _Rhythm(2 * weeks, _TWICE_A_WEEK, phase)


def _every_two_weeks(treatment: Treatment) -> bool:
    """Whether the next block is every two weeks: in remission; unknown keeps the rhythm before."""
    finding = treatment.response.finding
    unknown = finding is ResponseFinding.UNKNOWN
    return finding is ResponseFinding.REMISSION or (unknown and _is_every_two_weeks(treatment.course))


def _is_every_two_weeks(course: TreatmentCourse) -> bool:
    """Whether the last two sessions lie further apart than a week and a half, as they were planned.

    A missed session counts: a week without it makes no schedule of every two weeks.
    """
    in_rhythm = _OPEN | {SessionState.MISSED}
    days = [session.planned or session.day for session in course.sessions if session.state in in_rhythm]
    apart = [(later - earlier).days for earlier, later in pairwise(sorted(days))]
    return bool(apart) and 2 * apart[-1] > 3 * _WEEK


class _Start(NamedTuple):
    """Where a continuation begins: its first number, its earliest day, and the days before it."""

    number: int
    earliest: date
    before: tuple[date, ...]


def _laid_out(
    rhythm: _Rhythm, protocol: Protocol, calendar: Calendar, start: _Start, kept: tuple[date, ...]
) -> Schedule | Unschedulable:
    keeps = len(kept) == rhythm.sessions and all(calendar.is_open(day) for day in kept)
    days = kept if keeps else tuple(_days(rhythm, calendar, start))
    if len(days) < rhythm.sessions:
        why = f"no open clinic days for {rhythm.sessions} sessions from {start.earliest.isoformat()} on"
        return Unschedulable(why)
    phase = rhythm.phase
    sessions = tuple(
        Session(number, phase.name, day, phase.dose_options_mg)
        for number, day in enumerate(days, start.number)
    )
    reviews = (point for point in protocol.decision_points[-1:] if phase is not protocol.phases[0])
    return Schedule(
        protocol,
        sessions,
        tuple(DatedDecision(point.code, days[-1], point.text) for point in reviews),
        protocol.then,
        (),
        protocol.visit_in(calendar.setting),
    )


def _days(rhythm: _Rhythm, calendar: Calendar, start: _Start) -> Iterator[date]:
    """A day for each session: the first open one at the distance of the rhythm from the one before."""
    last = max(start.before, default=None)
    for place in range(rhythm.sessions):
        wanted = start.earliest
        if last is not None:
            apart = rhythm.days_apart[place % len(rhythm.days_apart)]
            wanted = max(wanted, last + timedelta(days=apart))
        open_days = (wanted + timedelta(days=delay) for delay in range(_LATEST_DAYS + 1))
        day = next((day for day in open_days if calendar.is_open(day)), None)
        if day is None:
            return
        yield day
        last = day
