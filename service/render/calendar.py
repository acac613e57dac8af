"""A plan for people as a calendar: on the terminal, and as an iCalendar file."""

import calendar
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from itertools import groupby

from icalendar import Calendar, Event
from rich.columns import Columns
from rich.table import Column, Table
from rich.text import Text

from service.core.treatment.course import SessionState
from service.render.course import ShownDate, ShownPlan
from service.render.progress import say_weekday
from service.render.terminal import Indented, Terminal

_CALENDAR = 120
"""Columns that months stand beside each other in."""
_PRODUCT = "-//trd-careplan//plan of record//EN"
_PLAN_STATUS = {
    "active": "CONFIRMED",
    "completed": "CONFIRMED",
    "revoked": "CANCELLED",
    "entered-in-error": "CANCELLED",
}
_EVENT_STATUS = {
    SessionState.GIVEN: "CONFIRMED",
    SessionState.UNPLANNED: "CONFIRMED",
    SessionState.CANCELLED: "CANCELLED",
    SessionState.HELD: "CANCELLED",
}
"""What a date says for itself; any other has the status of its plan."""
_MARKS = {
    SessionState.GIVEN: ("✓", "green"),
    SessionState.UNPLANNED: ("✓", "green"),
    SessionState.MISSED: ("✗", "red"),
    SessionState.CANCELLED: ("✗", "red"),
    SessionState.HELD: ("✗", "red"),
    SessionState.PLANNED: ("#", "green"),
}


def print_plan(console: Terminal, shown: ShownPlan) -> None:
    """Print where a plan stands, the treatment so far, the months, and what is on each of its dates."""
    where = f"{shown.where}, {shown.plan.status}"
    console.print(Text.assemble((shown.plan.title, "bold"), "  ", (where, "dim"), "\n"))
    for concern in shown.concerns:
        console.print(Text(concern, "bold red"))
    for heading, said in shown.progress:
        console.print(Text.assemble((heading, "bold"), f"  {said}"))
    dates = shown.dates
    on_days = {one.day: one for one in dates if one.day is not None}
    months = [_month(first, on_days) for first in _months(on_days)]
    console.print(Columns(months, padding=(0, 3)), width=min(console.width, _CALENDAR))
    table = Table(box=None, padding=(0, 1), header_style="dim")
    for heading in ("", "date", "", "what"):
        table.add_column(heading)
    for one in dates:
        number = str(one.number) if one.number is not None else ""
        became = "" if _is_planned(one) else Text.assemble(_mark(one), f" {one.said}")
        what = Text(one.title, "" if one.session else "bold")
        table.add_row(number, f"{one.day:%a} {one.day}" if one.day else "", became, what)
    console.print(table)
    for title, activities in groupby(shown.plan.undated, key=lambda activity: activity.title):
        console.print(Text(f"\n{title}", "bold"))
        for activity in activities:
            console.print(Indented(activity.description, 2))


def _months(days: Iterable[date]) -> list[date]:
    return sorted({day.replace(day=1) for day in days})


def _month(first: date, on_days: dict[date, ShownDate]) -> Table:
    """One month, with the number of a session under its day and a dot under any other date of the plan."""
    table = Table(
        *(Column(Text(day, "dim")) for day in ("Mo", "Tu", "We", "Th", "Fr", "Sa", "Su")),
        title=f"{first:%B %Y}",
        box=None,
        padding=(0, 1, 0, 0),
    )
    for week in calendar.Calendar().monthdatescalendar(first.year, first.month):
        table.add_row(*(_cell(day, on_days.get(day)) if day.month == first.month else "" for day in week))
    return table


def _cell(day: date, shown: ShownDate | None) -> Text:
    if shown is None:
        return Text(f"{day.day}\n", "dim")
    if not shown.session:
        return Text.assemble((f"{day.day}\n", "bold yellow"), ("•", "yellow"))
    number = "" if shown.number is None else str(shown.number)
    return Text.assemble((f"{day.day}\n", "bold green"), _mark(shown), number)


def _is_planned(shown: ShownDate) -> bool:
    return shown.state is SessionState.PLANNED and not shown.proposed


def _mark(shown: ShownDate) -> tuple[str, str]:
    return ("?", "yellow") if shown.proposed else _MARKS[shown.state]


def to_ics(shown: ShownPlan, now: datetime) -> bytes:
    """The dates of a plan as iCalendar (RFC 5545): whole days, tentative while the plan is a draft.

    A session that was given is on its real day, and what is not to take place is cancelled. It names the
    plans, never the patient, and no dose that was given. The same plan gives the same UIDs, so that a newer
    file replaces the dates of an older one.
    """
    found = Calendar()
    found.add("prodid", _PRODUCT)
    found.add("version", "2.0")
    found.add("method", "PUBLISH")
    for one in shown.dates:
        if one.day is not None:
            found.add_component(_event(one, one.day, now))
    return bytes(found.to_ical())


def _event(shown: ShownDate, day: date, now: datetime) -> Event:
    moved = f"Planned for {say_weekday(shown.planned)}." if shown.planned not in (None, day) else ""
    event = Event()
    event.add("uid", f"{shown.uid}@trd-careplan")
    event.add("dtstamp", now)
    event.add("dtstart", day)
    event.add("dtend", day + timedelta(days=1))
    event.add("summary", shown.title if _is_planned(shown) else f"{shown.title}: {shown.said}")
    texts = (shown.description, moved, f"{shown.plan.plan}, {shown.plan.status}")
    event.add("description", "\n\n".join(filter(None, texts)))
    event.add("status", _EVENT_STATUS.get(shown.state) or _PLAN_STATUS.get(shown.plan.status, "TENTATIVE"))
    return event
