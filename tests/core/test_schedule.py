"""Dated sessions: the protocol's count and rhythm, on open days, or a reason why not."""

from dataclasses import replace
from datetime import date, timedelta
from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from service.core.knowledge import CareSetting, Protocol
from service.core.schedule import (
    Calendar,
    DatedDecision,
    Schedule,
    Session,
    Unschedulable,
    order_by_date,
    plan_sessions,
)
from tests.core.builders import AS_OF, EU, US, WEEKDAYS
from tests.examples import tries

PROTOCOLS = {protocol.id: protocol for protocol in (*US.protocols, *EU.protocols)}
US_TRD = PROTOCOLS["us-trd"]
EVERY_DAY = frozenset(range(7))


def planned(protocol: Protocol = US_TRD, calendar: Calendar = WEEKDAYS, as_of: date = AS_OF) -> Schedule:
    found = plan_sessions(protocol, calendar, as_of)
    assert isinstance(found, Schedule)
    return found


def dates(plan: Schedule) -> list[str]:
    return [session.date.isoformat()[5:] for session in plan.sessions]


def required_count(protocol: Protocol) -> int:
    return sum((p.last_week - p.first_week + 1) * p.sessions_a_week for p in protocol.phases)


# the plan a clinic expects ---------------------------------------------------------------------


def test_the_us_plan_of_a_patient_assessed_on_a_monday() -> None:
    plan = planned()
    assert dates(plan) == [
        *("11-30", "12-03", "12-07", "12-10", "12-14", "12-17", "12-21", "12-24"),
        *("12-29", "01-05", "01-12", "01-19"),
    ]
    assert [(s.number, s.phase) for s in plan.sessions] == [
        *((number, "induction") for number in range(1, 9)),
        *((number, "maintenance") for number in range(9, 13)),
    ]
    assert [(point.code, point.date) for point in plan.decision_points] == [
        ("benefit-review", date(2026, 12, 28)),
        ("maintenance-review", date(2027, 1, 25)),
    ]
    assert plan.then == US_TRD.then


@pytest.mark.parametrize(
    ("protocol", "count", "first", "later"),
    [
        pytest.param("us-trd", 12, (56,), (56, 84), id="US, treatment-resistant"),
        pytest.param("us-mdsi", 8, (84,), (84, 56), id="US, acute suicidality"),
        pytest.param("eu-trd", 12, (56,), (56, 84), id="EU, treatment-resistant"),
        pytest.param("eu-trd-65plus", 12, (28,), (28, 56, 84), id="EU, 65 and over"),
        pytest.param("eu-emergency", 8, (84,), (84, 56), id="EU, emergency"),
    ],
)
def test_each_protocol(protocol: str, count: int, first: tuple[int, ...], later: tuple[int, ...]) -> None:
    plan = planned(PROTOCOLS[protocol])
    assert len(plan.sessions) == count
    assert plan.sessions[0].dose_options_mg == first
    assert {session.dose_options_mg for session in plan.sessions[1:]} == {later}


@pytest.mark.parametrize(
    ("calendar", "first"),
    [
        pytest.param(WEEKDAYS, date(2026, 11, 30), id="lead time of a week"),
        pytest.param(Calendar(frozenset(range(5)), frozenset(), 0), date(2026, 11, 23), id="no lead time"),
        pytest.param(
            Calendar(frozenset(range(5)), frozenset(), 5), date(2026, 11, 30), id="lead ends on a saturday"
        ),
        pytest.param(
            Calendar(frozenset({1, 4}), frozenset(), 7), date(2026, 12, 1), id="tuesdays and fridays"
        ),
        pytest.param(
            Calendar(frozenset(range(5)), frozenset({date(2026, 11, 30)}), 7),
            date(2026, 12, 1),
            id="closed that day",
        ),
    ],
)
def test_the_first_session(calendar: Calendar, first: date) -> None:
    assert planned(calendar=calendar).sessions[0].date == first


def test_a_dose_without_a_first_dose_is_that_of_the_phase() -> None:
    (phase, *rest) = US_TRD.phases
    protocol = replace(US_TRD, phases=(phase._replace(first_dose_mg=()), *rest))
    assert planned(protocol).sessions[0].dose_options_mg == (56, 84)


def test_a_closed_week_moves_the_start() -> None:
    week = frozenset(date(2026, 12, 21) + timedelta(days=n) for n in range(7))
    plan = planned(calendar=replace(WEEKDAYS, closed=week))
    assert plan.sessions[0].date > date(2026, 11, 30)
    assert not {session.date for session in plan.sessions} & week


@pytest.mark.parametrize(
    "calendar",
    [
        pytest.param(Calendar(frozenset(), frozenset(), 7), id="never open"),
        pytest.param(Calendar(frozenset({2}), frozenset(), 7), id="one day a week cannot hold two sessions"),
        pytest.param(Calendar(frozenset({5, 6}), frozenset(), 7), id="two days side by side"),
        pytest.param(
            Calendar(EVERY_DAY, frozenset(AS_OF + timedelta(days=n) for n in range(100) if n % 9 < 8), 7),
            id="open every ninth day",
        ),
    ],
)
def test_a_calendar_that_cannot_hold_the_protocol_says_so(calendar: Calendar) -> None:
    found = plan_sessions(US_TRD, calendar, AS_OF)
    assert isinstance(found, Unschedulable)
    assert "us-trd" in found.why
    assert "2026-11-30" in found.why


def test_a_closed_clinic_at_the_review_still_has_a_review() -> None:
    """Closed for five weeks after the last session: the day itself is named."""
    closed = frozenset(date(2027, 1, 25) + timedelta(days=n) for n in range(40))
    plan = planned(calendar=replace(WEEKDAYS, closed=closed))
    assert plan.decision_points[-1].date == date(2027, 1, 25)


def test_the_dates_of_a_draft_are_kept_as_they_are() -> None:
    before = planned(as_of=AS_OF - timedelta(days=3))
    kept = tuple(session.date for session in before.sessions)
    found = plan_sessions(US_TRD, WEEKDAYS, AS_OF, keep=kept)
    assert isinstance(found, Schedule)
    assert found == before


@pytest.mark.parametrize("kept", [(), (date(2026, 12, 1),)], ids=["no draft", "not the protocol's count"])
def test_other_dates_are_not_kept(kept: tuple[date, ...]) -> None:
    assert plan_sessions(US_TRD, WEEKDAYS, AS_OF, keep=kept) == planned()


# properties over calendars ---------------------------------------------------------------------

DAYS = st.dates(date(2025, 1, 1), date(2030, 12, 31))


@st.composite
def calendars(draw: st.DrawFn) -> tuple[Calendar, date]:
    """A clinic with some weekdays, some closing days around the plan, and a day of assessment."""
    as_of = draw(DAYS)
    weekdays = draw(st.sets(st.integers(0, 6), min_size=2))
    closed = draw(st.sets(st.integers(0, 130), max_size=25))
    lead = draw(st.integers(0, 21))
    return Calendar(frozenset(weekdays), frozenset(as_of + timedelta(days=n) for n in closed), lead), as_of


WORLD = st.tuples(st.sampled_from(sorted(PROTOCOLS)).map(PROTOCOLS.__getitem__), calendars())


@tries(150)
@given(WORLD)
def test_a_plan_keeps_every_rule_of_its_protocol(world: tuple[Protocol, tuple[Calendar, date]]) -> None:
    protocol, (calendar, as_of) = world
    plan = plan_sessions(protocol, calendar, as_of)
    if isinstance(plan, Unschedulable):
        assert plan.why
        return
    days = [session.date for session in plan.sessions]
    start = days[0]
    assert len(days) == required_count(protocol)
    assert start >= as_of + timedelta(days=calendar.lead_days)
    assert all(calendar.is_open(day) for day in days)
    phases = [
        phase for phase in protocol.phases for _ in range(required_count(replace(protocol, phases=(phase,))))
    ]
    for (before, after), phase in zip(pairwise(days), phases[1:], strict=True):
        assert (after - before).days >= phase.min_days_between
    for phase in protocol.phases:
        for week in range(phase.first_week - 1, phase.last_week):
            first = start + timedelta(days=7 * week)
            held = [day for day in days if first <= day < first + timedelta(days=7)]
            assert len(held) == phase.sessions_a_week
    for session, phase in zip(plan.sessions, phases, strict=True):
        allowed = {*phase.dose_options_mg, *(phase.first_dose_mg if session.number == 1 else ())}
        assert session.dose_options_mg
        assert set(session.dose_options_mg) <= allowed
    for point, wanted in zip(plan.decision_points, protocol.decision_points, strict=True):
        week_end = start + timedelta(days=7 * wanted.after_week)
        assert point.date >= week_end
        following = [day for day in days if day >= week_end]
        assert not following or point.date <= following[0]


def fits(protocol: Protocol, calendar: Calendar, start: date) -> bool:
    """Whether the protocol can be held from a start, by trying every choice of days."""
    slots = [
        (phase, 7 * week)
        for phase in protocol.phases
        for week in range(phase.first_week - 1, phase.last_week)
        for _ in range(phase.sessions_a_week)
    ]
    reached = {start}
    for phase, week in slots[1:]:
        options = [day for n in range(7) if calendar.is_open(day := start + timedelta(days=week + n))]
        reached = {
            day for day in options if any((day - before).days >= phase.min_days_between for before in reached)
        }
    return bool(reached)


@tries(120)
@given(WORLD)
def test_the_start_is_the_first_that_can_hold_the_protocol(
    world: tuple[Protocol, tuple[Calendar, date]],
) -> None:
    protocol, (calendar, as_of) = world
    earliest = as_of + timedelta(days=calendar.lead_days)
    starts = [day for n in range(29) if calendar.is_open(day := earliest + timedelta(days=n))]
    first = next((day for day in starts if fits(protocol, calendar, day)), None)
    plan = plan_sessions(protocol, calendar, as_of)
    assert (plan.sessions[0].date if isinstance(plan, Schedule) else None) == first


@tries(80)
@given(WORLD, st.integers(-3, 3))
def test_a_week_later_is_the_same_plan_a_week_later(
    world: tuple[Protocol, tuple[Calendar, date]], weeks: int
) -> None:
    protocol, (calendar, as_of) = world
    shift = timedelta(weeks=weeks)
    moved = replace(calendar, closed=frozenset(day + shift for day in calendar.closed))
    one, other = plan_sessions(protocol, calendar, as_of), plan_sessions(protocol, moved, as_of + shift)
    assume(isinstance(one, Schedule))
    assert isinstance(one, Schedule)
    assert isinstance(other, Schedule)
    assert [s.date + shift for s in one.sessions] == [s.date for s in other.sessions]
    assert [p.date + shift for p in one.decision_points] == [p.date for p in other.decision_points]


# the care setting ------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", ["us-trd", "us-mdsi"])
def test_the_rems_asks_other_things_of_inpatients(protocol: str) -> None:
    outpatient = planned(PROTOCOLS[protocol])
    inpatient = planned(PROTOCOLS[protocol], replace(WEEKDAYS, setting=CareSetting.INPATIENT))
    assert any("Enrol the patient" in task for task in outpatient.preparation)
    assert any("within 7 days" in task for task in outpatient.visit.after)
    assert not any("Enrol the patient" in task for task in inpatient.preparation)
    assert not any("within 7 days" in task for task in inpatient.visit.after)
    certified = [task for task in outpatient.preparation if "certified" in task]
    assert certified
    assert set(certified) <= set(inpatient.preparation)
    assert inpatient.sessions == outpatient.sessions


@pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=lambda protocol: protocol.id)
def test_every_visit_has_a_before_a_during_and_an_after(protocol: Protocol) -> None:
    visit = planned(protocol).visit
    assert any("food" in task for task in visit.before)
    assert any("observation" in task for task in visit.during)
    assert any("driving" in task for task in visit.after)


def test_a_decision_comes_before_the_session_of_its_day() -> None:
    days = [date(2026, 1, day) for day in (5, 8, 12)]
    sessions = [Session(number, "induction", day, (56,)) for number, day in enumerate(days, start=1)]
    points = [DatedDecision("late", date(2026, 1, 20), ""), DatedDecision("review", days[1], "")]

    ordered = order_by_date(points, sessions)

    assert ordered == [sessions[0], points[1], sessions[1], sessions[2], points[0]]
