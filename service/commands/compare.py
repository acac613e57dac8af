"""Two versions of a plan of this service, set against each other part by part."""

from collections.abc import Iterable, Iterator
from datetime import date
from difflib import SequenceMatcher
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict
from rich.text import Text

from service.fhir.loose import Resource
from service.fhir.names import protocol_of
from service.read.agenda import Activity, Agenda, read_agenda
from service.render.terminal import Rows, Terminal

_FIELDS = ("status", "intent", "title", "description", "period", "addresses", "replaces")
"""Elements of a plan that are shown as they are; sessions, steps and notes are shown one by one."""
_COLOUR = {
    "kept": "dim",
    "moved": "yellow",
    "changed": "yellow",
    "added": "green",
    "removed": "red",
}


class Change(StrEnum):
    """How a part of the plan changes; `CHANGED` has other content on the same day."""

    KEPT = "kept"
    MOVED = "moved"
    CHANGED = "changed"
    ADDED = "added"
    REMOVED = "removed"


class PrintedPart(BaseModel):
    """A part of what a command prints as JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class FieldChange(PrintedPart):
    """An element of the plan whose content differs."""

    field: str
    before: str | None
    after: str | None


class SessionChange(PrintedPart):
    """A treatment session; `reworded` where its doses or tasks are other ones."""

    number: int
    change: Change
    before: date | None
    after: date | None
    reworded: bool


class StepChange(PrintedPart):
    """Another activity of the plan: preparation, a decision, the rule after the last session."""

    title: str
    change: Change
    before: str | None
    after: str | None


class NoteChange(PrintedPart):
    """A note of the plan."""

    change: Change
    text: str


class PlanChanges(PrintedPart):
    """Two versions of a plan, set against each other."""

    fields: list[FieldChange]
    sessions: list[SessionChange]
    steps: list[StepChange]
    notes: list[NoteChange]


def compare_plans(before: Resource | None, after: Resource) -> PlanChanges:
    """Set two CarePlans of this service against each other; without a first one, all is added."""
    before = before or {}
    old, new = read_agenda(before), read_agenda(after)
    return PlanChanges(
        fields=list(_fields(before, after)),
        sessions=list(_sessions(_sessions_of(old), _sessions_of(new))),
        steps=list(_steps(_steps_of(old), _steps_of(new))),
        notes=list(_notes(_notes_of(before), _notes_of(after))),
    )


def _fields(before: Resource, after: Resource) -> Iterator[FieldChange]:
    for name in _FIELDS:
        old, new = _said(before.get(name)), _said(after.get(name))
        if old != new:
            yield FieldChange(field=name, before=old, after=new)
    old, new = protocol_in_words(before), protocol_in_words(after)
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


def _sessions_of(agenda: Agenda) -> dict[int, Activity]:
    """The sessions by their number; without one, by their place."""
    sessions = sorted((one for one in agenda.activities if one.session), key=lambda one: one.days)
    return {one.number or place: one for place, one in enumerate(sessions, start=1)}


def _sessions(before: dict[int, Activity], after: dict[int, Activity]) -> Iterator[SessionChange]:
    for number in sorted(before.keys() | after.keys()):
        old, new = before.get(number), after.get(number)
        yield SessionChange(
            number=number,
            change=_change_of_session(old, new),
            before=_day(old),
            after=_day(new),
            reworded=old is not None and new is not None and _undated(old) != _undated(new),
        )


def _change_of_session(before: Activity | None, after: Activity | None) -> Change:
    if before is None or after is None:
        return Change.ADDED if before is None else Change.REMOVED
    if before.days != after.days:
        return Change.MOVED
    return Change.KEPT if _undated(before) == _undated(after) else Change.CHANGED


def _steps_of(agenda: Agenda) -> dict[str, str]:
    """The content of the other activities by title; activities with the same title are joined."""
    found: dict[str, list[str]] = {}
    for step in agenda.activities:
        if not step.session:
            said = " ".join(filter(None, (*map(str, step.days), step.description)))
            found.setdefault(step.title, []).append(said)
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


def _day(session: Activity | None) -> date | None:
    return session.days[0] if session is not None and session.days else None


def _undated(session: Activity) -> Resource:
    """The content of a session apart from its date and status."""
    changing = {"id", "scheduledTiming", "status"}
    return {key: value for key, value in session.detail.items() if key not in changing}


def protocol_in_words(plan: Resource) -> str | None:
    """The id and version of the protocol that a plan of ours follows."""
    found = protocol_of(plan.get("instantiatesCanonical", []))
    return " ".join(found) if found else None


# --- for a terminal -------------------------------------------------------------------------------


def print_changes(
    console: Terminal, changes: PlanChanges, headings: tuple[str, str] = ("before", "after")
) -> None:
    """Print two versions of a plan, set against each other."""
    if changes.fields:
        table = Rows("field", *headings)
        for one in changes.fields:
            table.add(one.field, *_in_words(one.before, one.after))
        console.print(table)
    if changes.sessions:
        table = Rows("session", *headings, "")
        for session in changes.sessions:
            label = f"{session.change.value}{', reworded' if session.reworded else ''}"
            days = (_long(session.before), _long(session.after))
            table.add(str(session.number), *days, label, style=_COLOUR[session.change.value])
        console.print(table)
    _print_steps(console, changes.steps, headings)
    for note in changes.notes:
        console.print(f"note {note.change.value}: {note.text}", style=_COLOUR[note.change.value])


def _print_steps(console: Terminal, steps: Iterable[StepChange], headings: tuple[str, str]) -> None:
    changed = [step for step in steps if step.change is not Change.KEPT]
    if not changed:
        return
    table = Rows("step", *headings)
    for step in changed:
        table.add(step.title, *_in_words(step.before, step.after))
    console.print(table)


def _in_words(before: str | None, after: str | None) -> tuple[Text, Text]:
    """Two texts with the words marked that are not in the other."""
    old, new = (before or "").split(), (after or "").split()
    left, right = Text(), Text()
    for what, from_, to, start, end in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        left.append("".join(f"{word} " for word in old[from_:to]), style="" if what == "equal" else "red")
        right.append("".join(f"{word} " for word in new[start:end]), style="" if what == "equal" else "green")
    return left, right


def _long(day: date | None) -> str:
    return f"{day:%a} {day.isoformat()}" if day else "-"
