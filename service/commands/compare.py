"""Two versions of a plan of this service, set against each other part by part."""

import re
from collections.abc import Iterable, Iterator
from datetime import date
from difflib import SequenceMatcher
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from service.fhir.identity import PLAN_DEFINITION

Resource = dict[str, Any]

_FIELDS = ("status", "intent", "title", "description", "period", "addresses", "replaces")
"""Elements of a plan that are shown as they are; sessions, steps and notes are shown one by one."""
_SESSION = re.compile(r"session (\d{1,9})\b")
_COLOUR = {
    "kept": "dim",
    "moved": "yellow",
    "changed": "yellow",
    "added": "green",
    "removed": "red",
}


class Change(StrEnum):
    """What becomes of a part of the plan; `CHANGED` says something else on the same day."""

    KEPT = "kept"
    MOVED = "moved"
    CHANGED = "changed"
    ADDED = "added"
    REMOVED = "removed"


class Part(BaseModel):
    """A part of what a command prints as JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class FieldChange(Part):
    """An element of the plan that says something else."""

    field: str
    before: str | None
    after: str | None


class SessionChange(Part):
    """A treatment session; `reworded` where its doses or tasks are other ones."""

    number: int
    change: Change
    before: date | None
    after: date | None
    reworded: bool


class StepChange(Part):
    """Another activity of the plan: preparation, a decision, the rule after the last session."""

    title: str
    change: Change
    before: str | None
    after: str | None


class NoteChange(Part):
    """A note of the plan."""

    change: Change
    text: str


class PlanChanges(Part):
    """Two versions of a plan, set against each other."""

    fields: list[FieldChange]
    sessions: list[SessionChange]
    steps: list[StepChange]
    notes: list[NoteChange]

    @property
    def none(self) -> bool:
        """Whether the versions say the same."""
        parts: list[SessionChange | StepChange | NoteChange] = [*self.sessions, *self.steps, *self.notes]
        kept = all(part.change is Change.KEPT for part in parts)
        return kept and not self.fields and not any(session.reworded for session in self.sessions)


def compare_plans(before: Resource | None, after: Resource) -> PlanChanges:
    """Set two CarePlans of this service against each other; without a first one, all is added."""
    before = before or {}
    return PlanChanges(
        fields=list(_fields(before, after)),
        sessions=list(_sessions(_sessions_of(before), _sessions_of(after))),
        steps=list(_steps(_steps_of(before), _steps_of(after))),
        notes=list(_notes(_notes_of(before), _notes_of(after))),
    )


def _fields(before: Resource, after: Resource) -> Iterator[FieldChange]:
    for name in _FIELDS:
        old, new = _said(before.get(name)), _said(after.get(name))
        if old != new:
            yield FieldChange(field=name, before=old, after=new)
    old, new = protocol_of(before), protocol_of(after)
    if old != new:
        yield FieldChange(field="protocol", before=old, after=new)


def _said(value: Any) -> str | None:
    """An element in words: references by where they lead, a period by its ends."""
    match value:
        case None:
            return None
        case str():
            return value
        case list():
            return ", ".join(filter(None, map(_said, value))) or None
        case {"reference": str(reference)}:
            return reference
        case dict():
            return " to ".join(str(value[key]) for key in ("start", "end") if key in value) or None
        case _:
            return str(value)


def _sessions_of(plan: Resource) -> dict[int, Resource]:
    """The details of the sessions by their number; without one, by their place."""
    details = [detail for detail in _details(plan) if _is_session(detail)]
    found = {}
    for place, detail in enumerate(sorted(details, key=lambda detail: _day(detail) or ""), start=1):
        number = _SESSION.search(_title(detail))
        found[int(number[1]) if number else place] = detail
    return found


def _sessions(before: dict[int, Resource], after: dict[int, Resource]) -> Iterator[SessionChange]:
    for number in sorted(before.keys() | after.keys()):
        old, new = before.get(number), after.get(number)
        yield SessionChange(
            number=number,
            change=_change_of_session(old, new),
            before=_date(old),
            after=_date(new),
            reworded=old is not None and new is not None and _undated(old) != _undated(new),
        )


def _change_of_session(before: Resource | None, after: Resource | None) -> Change:
    if before is None or after is None:
        return Change.ADDED if before is None else Change.REMOVED
    if _day(before) != _day(after):
        return Change.MOVED
    return Change.KEPT if _undated(before) == _undated(after) else Change.CHANGED


def _steps_of(plan: Resource) -> dict[str, str]:
    """The other activities: what each says, by its title; several of one title are told together."""
    found: dict[str, list[str]] = {}
    for detail in _details(plan):
        if not _is_session(detail):
            said = " ".join(filter(None, (_day(detail), detail.get("description"))))
            found.setdefault(_title(detail), []).append(said)
    return {title: " ".join(sorted(texts)) for title, texts in found.items()}


def _steps(before: dict[str, str], after: dict[str, str]) -> Iterator[StepChange]:
    for title in dict.fromkeys((*after, *before)):
        old, new = before.get(title), after.get(title)
        change = Change.CHANGED if old != new else Change.KEPT
        if old is None or new is None:
            change = Change.ADDED if old is None else Change.REMOVED
        yield StepChange(title=title, change=change, before=old, after=new)


def _notes_of(plan: Resource) -> list[str]:
    return [str(note.get("text", "")) for note in plan.get("note", [])]


def _notes(before: list[str], after: list[str]) -> Iterator[NoteChange]:
    for text in dict.fromkeys((*before, *after)):
        change = Change.KEPT if text in before and text in after else Change.ADDED
        yield NoteChange(change=change if text in after else Change.REMOVED, text=text)


def _details(plan: Resource) -> Iterator[Resource]:
    return (activity["detail"] for activity in plan.get("activity", []) if "detail" in activity)


def _is_session(detail: Resource) -> bool:
    return "productCodeableConcept" in detail and _day(detail) is not None


def _title(detail: Resource) -> str:
    return str(detail.get("code", {}).get("text", ""))


def _day(detail: Resource | None) -> str | None:
    events = (detail or {}).get("scheduledTiming", {}).get("event", [])
    return str(events[0])[:10] if events else None


def _date(detail: Resource | None) -> date | None:
    try:
        return date.fromisoformat(_day(detail) or "")
    except ValueError:
        return None


def _undated(detail: Resource) -> Resource:
    """What a session says beside its date and status."""
    return {key: value for key, value in detail.items() if key not in {"id", "scheduledTiming", "status"}}


def protocol_of(plan: Resource) -> str | None:
    """The id and version of the protocol that a plan of ours follows."""
    for canonical in plan.get("instantiatesCanonical", []):
        if canonical.startswith(f"{PLAN_DEFINITION}/"):
            return str(canonical).rpartition("/")[2].replace("|", " ")
    return None


# --- for a terminal -------------------------------------------------------------------------------


def print_changes(
    console: Console, changes: PlanChanges, headings: tuple[str, str] = ("before", "after")
) -> None:
    """Print two versions of a plan, set against each other."""
    if changes.fields:
        table = table_of("field", *headings)
        for one in changes.fields:
            table.add_row(one.field, *_in_words(one.before, one.after))
        console.print(table)
    if changes.sessions:
        table = table_of("session", *headings, "")
        for session in changes.sessions:
            told = f"{session.change.value}{', reworded' if session.reworded else ''}"
            days = (_long(session.before), _long(session.after))
            table.add_row(str(session.number), *days, told, style=_COLOUR[session.change.value])
        console.print(table)
    _print_steps(console, changes.steps, headings)
    for note in changes.notes:
        console.print(f"[{_COLOUR[note.change.value]}]note {note.change.value}: {escape(note.text)}[/]")


def _print_steps(console: Console, steps: Iterable[StepChange], headings: tuple[str, str]) -> None:
    changed = [step for step in steps if step.change is not Change.KEPT]
    if not changed:
        return
    table = table_of("step", *headings)
    for step in changed:
        table.add_row(escape(step.title), *_in_words(step.before, step.after))
    console.print(table)


def _in_words(before: str | None, after: str | None) -> tuple[Text, Text]:
    """Two texts with the words marked that are not in the other."""
    old, new = (before or "").split(), (after or "").split()
    left, right = Text(), Text()
    for what, from_, to, start, end in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        left.append("".join(f"{word} " for word in old[from_:to]), style="" if what == "equal" else "red")
        right.append("".join(f"{word} " for word in new[start:end]), style="" if what == "equal" else "green")
    return left, right


def table_of(*headings: str) -> Table:
    """A table without lines, with these columns."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for heading in headings:
        table.add_column(heading, overflow="fold")
    return table


def _long(day: date | None) -> str:
    return f"{day:%a} {day.isoformat()}" if day else "-"
