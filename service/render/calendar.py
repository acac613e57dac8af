"""A plan for people: a calendar on the terminal, an iCalendar file, a page to print."""

import calendar
from datetime import date, datetime, timedelta
from html import escape

from icalendar import Calendar, Event
from rich.columns import Columns
from rich.console import Console
from rich.markup import escape as plain
from rich.padding import Padding
from rich.table import Table

from service.read.agenda import Agenda

_PRODUCT = "-//trd-careplan//plan of record//EN"
_EVENT_STATUS = {"active": "CONFIRMED", "completed": "CONFIRMED", "revoked": "CANCELLED"}
_DONE = {"completed": "[green]✓[/]", "cancelled": "[red]✗[/]", "stopped": "[red]✗[/]"}
_STYLE = """
@page { size: A4; margin: 14mm }
body { font: 9pt/1.25 sans-serif; color: #111; max-width: 182mm; margin: 0 auto; padding: 4mm }
h2 { font-size: 14pt; margin: 0 0 2mm } h3 { font-size: 10.5pt; margin: 2.5mm 0 .5mm }
p { margin: 1mm 0 } ul { margin: .5mm 0; padding-left: 5mm }
table { border-collapse: collapse; width: 100%; margin: 1mm 0 }
th, td { border-bottom: .2mm solid #999; padding: .4mm 2mm; text-align: left; vertical-align: top }
td:nth-child(2) { white-space: nowrap }
thead th { border-bottom: .4mm solid #111 } tr { break-inside: avoid }
.head { color: #555; font-size: 8.5pt }
"""


def print_plan(console: Console, agenda: Agenda, source: str) -> None:
    """Print the months and the dated activities of a plan. `source` states where the plan is from."""
    console.print(f"[bold]{plain(agenda.title)}[/]  [dim]{plain(source)}, {plain(agenda.status)}[/]\n")
    numbers = {day: number for number, day in enumerate(agenda.session_days, start=1)}
    days = {entry.day for entry in agenda.entries}
    months = [_month(first, numbers, days) for first in _months(days)]
    console.print(Columns(months, padding=(0, 3)))
    table = Table(box=None, padding=(0, 1), header_style="dim")
    for heading in ("", "date", "", "what"):
        table.add_column(heading, overflow="fold")
    for entry in agenda.entries:
        activity = entry.activity
        number = str(numbers[entry.day]) if activity.session else ""
        what = plain(activity.title) if activity.session else f"[bold]{plain(activity.title)}[/]"
        table.add_row(number, f"{entry.day:%a} {entry.day}", _DONE.get(activity.status, ""), what)
    console.print(table)
    for activity in agenda.undated:
        console.print(f"\n[bold]{plain(activity.title)}[/]")
        console.print(Padding(plain(activity.description), (0, 0, 0, 2)))


def _months(days: set[date]) -> list[date]:
    return sorted({day.replace(day=1) for day in days})


def _month(first: date, numbers: dict[date, int], days: set[date]) -> Table:
    """One month, with the number of a session under its day and a dot under any other date of the plan."""
    table = Table(
        *(f"[dim]{day}[/]" for day in ("Mo", "Tu", "We", "Th", "Fr", "Sa", "Su")),
        title=f"{first:%B %Y}",
        box=None,
        padding=(0, 1, 0, 0),
    )
    for week in calendar.Calendar().monthdatescalendar(first.year, first.month):
        table.add_row(*(_cell(day, first, numbers, days) for day in week))
    return table


def _cell(day: date, month: date, numbers: dict[date, int], days: set[date]) -> str:
    if day.month != month.month:
        return ""
    if day in numbers:
        return f"[bold green]{day.day}[/]\n[green]#{numbers[day]}[/]"
    return f"[bold yellow]{day.day}[/]\n[yellow]•[/]" if day in days else f"[dim]{day.day}[/]\n"


def to_ics(agenda: Agenda, now: datetime) -> bytes:
    """The dates of a plan as iCalendar (RFC 5545): whole days, tentative while the plan is a draft.

    It names the plan, never the patient. The same plan gives the same UIDs, so that a newer file
    replaces the dates of an older one.
    """
    found = Calendar()
    found.add("prodid", _PRODUCT)
    found.add("version", "2.0")
    found.add("method", "PUBLISH")
    seen: dict[str, int] = {}
    for entry in agenda.entries:
        title = entry.activity.title
        seen[title] = seen.get(title, 0) + 1
        event = Event()
        event.add("uid", f"{agenda.plan.replace('/', '-')}-{_slug(title)}-{seen[title]}@trd-careplan")
        event.add("dtstamp", now)
        event.add("dtstart", entry.day)
        event.add("dtend", entry.day + timedelta(days=1))
        event.add("summary", title)
        event.add("description", f"{entry.activity.description}\n\n{agenda.plan}, {agenda.status}")
        event.add("status", _EVENT_STATUS.get(agenda.status, "TENTATIVE"))
        found.add_component(event)
    return bytes(found.to_ical())


def _slug(title: str) -> str:
    return "-".join("".join(c if c.isalnum() else " " for c in title.lower()).split())


def to_page(agenda: Agenda, source: str) -> str:
    """The plan in its own words as a page that prints on one sheet; without a narrative, its dates."""
    body = agenda.narrative or _plain_page(agenda)
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(agenda.title)}</title>'
        f"<style>{_STYLE}</style></head><body>\n"
        f'<p class="head">{escape(source)}. Status of this plan: {escape(agenda.status)}.</p>\n'
        f"{body}\n</body></html>\n"
    )


def _plain_page(agenda: Agenda) -> str:
    rows = "".join(
        f"<tr><td>{entry.day}</td><td>{escape(entry.activity.title)}</td></tr>" for entry in agenda.entries
    )
    return f"<h2>{escape(agenda.title)}</h2><table><tbody>{rows}</tbody></table>"
