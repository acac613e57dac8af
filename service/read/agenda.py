"""A care plan as its reader needs it: what is to happen on which day, and the plan in its own words."""

from dataclasses import dataclass
from datetime import date

from service.core.dates import PartialDate
from service.fhir.loose import Resource


@dataclass(frozen=True, slots=True)
class Entry:
    """One dated activity of a plan; `session` for a treatment session, `status` as FHIR has it."""

    day: date
    title: str
    description: str
    status: str
    session: bool


@dataclass(frozen=True, slots=True)
class Agenda:
    """A plan with its dated activities in order of time.

    `undated` are the others, as title and description; `narrative` is XHTML, empty where there is none.
    """

    plan: str
    title: str
    status: str
    entries: tuple[Entry, ...]
    undated: tuple[tuple[str, str], ...]
    narrative: str


def read_agenda(plan: Resource) -> Agenda:
    """Read an R4 CarePlan, whoever wrote it. Activities that cannot be read for a day are undated."""
    entries: list[Entry] = []
    undated: list[tuple[str, str]] = []
    for activity in plan.get("activity") or []:
        detail = activity.get("detail") or {}
        title = _text(detail.get("code")) or "Activity"
        description = str(detail.get("description") or "")
        session = "productCodeableConcept" in detail
        status = str(detail.get("status") or "unknown")
        days = _days(detail.get("scheduledTiming") or {})
        entries.extend(Entry(day, title, description, status, session) for day in days)
        if not days:
            undated.append((title, description))
    return Agenda(
        plan=f"CarePlan/{plan.get('id', 'unidentified')}",
        title=str(plan.get("title") or "Care plan"),
        status=str(plan.get("status") or "unknown"),
        entries=tuple(sorted(entries, key=lambda entry: (entry.day, entry.session))),
        undated=tuple(undated),
        narrative=str((plan.get("text") or {}).get("div") or ""),
    )


def _text(concept: Resource | None) -> str:
    """The words of a concept."""
    if not concept:
        return ""
    displays = (coding.get("display") for coding in concept.get("coding") or [])
    return str(concept.get("text") or next((d for d in displays if d), ""))


def _days(timing: Resource) -> list[date]:
    days = []
    for moment in timing.get("event") or []:
        try:
            found = PartialDate.parse(str(moment))
        except ValueError:
            continue
        if found.earliest == found.latest:
            days.append(found.earliest)
    return days
