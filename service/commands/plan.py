"""The command `plan`: the esketamine plan of a patient as a calendar, an iCalendar file or a page."""

from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from service.core.records import OPEN_PLAN, PlanStatus
from service.read.agenda import Agenda, read_agenda
from service.render.calendar import to_ics, to_page
from service.review import Review


class ShownPlan(NamedTuple):
    """A plan to show, and where it stands: on record, or only proposed."""

    agenda: Agenda
    where: str


def choose_plan(review: Review) -> ShownPlan | None:
    """The esketamine plan on record, else the one that would be proposed; `None` where there is neither.

    An open plan comes first, then the latest that ended.
    """
    standing = [plan for plan in review.record.plans if plan.status is not PlanStatus.DELETED]
    if standing:
        chosen = max(standing, key=lambda plan: (plan.status in OPEN_PLAN, plan.sessions, plan.evidence))
        agenda = read_agenda(review.gathered.content_of(chosen.evidence))
        return ShownPlan(agenda, f"{chosen.evidence} on record")
    if review.intent.plan is not None:
        return ShownPlan(read_agenda(review.intent.plan), "not on record; it would be proposed")
    return None


def write_plan(shown: ShownPlan, *, ics: Path | None, html: Path | None, now: datetime) -> None:
    """Write the dates of a plan as iCalendar, or the plan as a page that prints, to the files given."""
    if ics is not None:
        ics.write_bytes(to_ics(shown.agenda, now))
    if html is not None:
        html.write_text(to_page(shown.agenda, shown.where), encoding="utf-8")
