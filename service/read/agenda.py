"""A care plan as its reader needs it: what is to happen on which day, and the plan in its own words."""

import re
from dataclasses import dataclass
from datetime import date

from service.core.dates import PartialDate
from service.fhir.loose import Resource, part, parts, text

_NUMBER = re.compile(r"session (\d{1,4})\b")


@dataclass(frozen=True, slots=True)
class Activity:
    """One activity of a plan, whose `detail` is as FHIR has it.

    `days` are those stated to the day. `session` holds for a treatment session: an activity that gives a
    medicine on stated dates; `number` is the number in its title.
    """

    title: str
    description: str
    status: str
    days: tuple[date, ...]
    session: bool
    number: int | None
    detail: Resource


@dataclass(frozen=True, slots=True)
class DatedActivity:
    """An activity on one of its days."""

    day: date
    activity: Activity


@dataclass(frozen=True, slots=True)
class Agenda:
    """A plan and its activities, in the order of the plan; `narrative` is XHTML, empty without one."""

    plan: str
    title: str
    status: str
    activities: tuple[Activity, ...]
    narrative: str

    @property
    def entries(self) -> tuple[DatedActivity, ...]:
        """The activities in order of time, once per day; a session comes last on its day."""
        found = (DatedActivity(day, activity) for activity in self.activities for day in activity.days)
        return tuple(sorted(found, key=lambda entry: (entry.day, entry.activity.session)))

    @property
    def undated(self) -> tuple[Activity, ...]:
        """The activities that state no day."""
        return tuple(activity for activity in self.activities if not activity.days)

    @property
    def session_days(self) -> tuple[date, ...]:
        """The days of the treatment sessions, in order."""
        return tuple(entry.day for entry in self.entries if entry.activity.session)


def read_agenda(plan: Resource) -> Agenda:
    """Read an R4 CarePlan, whoever wrote it and however malformed it is."""
    return Agenda(
        plan=f"CarePlan/{text(plan.get('id')) or 'unidentified'}",
        title=text(plan.get("title")) or "Care plan",
        status=text(plan.get("status")) or "unknown",
        activities=tuple(
            _read_activity(part(part(one).get("detail"))) for one in parts(plan.get("activity"))
        ),
        narrative=text(part(plan.get("text")).get("div")),
    )


def _read_activity(detail: Resource) -> Activity:
    title = _title(part(detail.get("code"))) or "Activity"
    events = parts(part(detail.get("scheduledTiming")).get("event"))
    session = bool("productCodeableConcept" in detail and events)
    number = _NUMBER.search(title) if session else None
    return Activity(
        title=title,
        description=text(detail.get("description")),
        status=text(detail.get("status")) or "unknown",
        days=tuple(day for event in events if (day := read_day(event)) is not None),
        session=session,
        number=int(number[1]) if number else None,
        detail=detail,
    )


def _title(concept: Resource) -> str:
    """The words of a concept."""
    displays = (text(part(coding).get("display")) for coding in parts(concept.get("coding")))
    return text(concept.get("text")) or next(filter(None, displays), "")


def read_day(stated: object) -> date | None:
    """The day of a date; `None` where it states no day, or only a month or a year."""
    try:
        found = PartialDate.parse(text(stated))
    except ValueError:
        return None
    return found.earliest if found.is_exact else None
