"""The command `plan`: the esketamine plan of a patient as a calendar, an iCalendar file or a page."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from service.commands.output import write_file
from service.core.decision import Decline, Propose, ReasonOfDecision, treatment_of
from service.core.plans import PlanAction
from service.core.records import OPEN_PLAN, PlanStatus, VersionedReference
from service.core.treatment.course import flag_unusual_sessions
from service.core.treatment.follow import Treatment
from service.core.words import state_decision
from service.read.agenda import Agenda, read_agenda
from service.read.label import read_label
from service.render.calendar import to_ics
from service.render.course import ShownPlan, list_score_series
from service.render.page import to_page
from service.render.progress import describe_treatment, say_weekday
from service.review import Review


def choose_plan(review: Review) -> ShownPlan | None:
    """The plan to show: the one that is followed, else one on record, else the one that would be proposed.

    On record, an open plan comes first, then the latest that ended. `None` where there is no plan.
    """
    treatment = treatment_of(review.decision)
    standing = [plan for plan in review.record.plans if plan.status is not PlanStatus.DELETED]
    if treatment is not None:
        shown = _followed(review, treatment)
    elif standing:
        chosen = max(standing, key=lambda plan: (plan.status in OPEN_PLAN, plan.sessions, plan.evidence))
        shown = ShownPlan(_agenda(review, chosen.evidence), f"{chosen.evidence} on record")
    elif review.intent.plan is not None:
        shown = ShownPlan(read_agenda(review.intent.plan), "not on record; it would be proposed")
    else:
        return None
    patient = review.gathered.content_of(review.record.person.evidence)
    return replace(shown, label=read_label(patient), as_of=review.decision.assessment.as_of)


def _followed(review: Review, treatment: Treatment) -> ShownPlan:
    """The last plan of the treatment that the patient is under, with those before it and what happened.

    A draft that continues the treatment comes after it.
    """
    *earlier, last = (plan.evidence for plan in treatment.course.plans)
    proposed = _proposed(review, last.id)
    assessment, answer = review.decision.assessment, review.answer
    alerts = [f"Alert: {alert.text}" for alert in assessment.alerts]
    return ShownPlan(
        plan=_agenda(review, last),
        where=f"{last} on record",
        earlier=tuple(_agenda(review, evidence) for evidence in earlier),
        treatment=answer.treatment,
        concerns=(*alerts, *_what_stands_against(review)),
        progress=(*_say_unusual(review), *describe_treatment(answer), *_say_proposed(review, proposed)),
        series=list_score_series(assessment, treatment),
        proposed=proposed,
    )


def _proposed(review: Review, last: str) -> Agenda | None:
    """The draft that continues the last plan: as it would be proposed, else as it is on record."""
    intent = review.intent
    if intent.action is PlanAction.REVOKE:
        return None
    if intent.plan is not None:
        return read_agenda(intent.plan)
    draft = intent.before
    if draft is None or draft.status is not PlanStatus.DRAFT or draft.based_on != last:
        return None
    return _agenda(review, draft.evidence)


def _say_unusual(review: Review) -> Iterator[tuple[str, str]]:
    """What came up under treatment: new findings, and sessions and doses that the label does not have."""
    treatment = treatment_of(review.decision)
    if treatment is None:
        return
    if treatment.new_findings:
        yield "New finding", "; ".join(finding.title for finding in treatment.new_findings)
    unusual = flag_unusual_sessions(treatment.course)
    if unusual:
        yield "Note", "; ".join(reason.text for reason in unusual)


def _say_proposed(review: Review, proposed: Agenda | None) -> Iterator[tuple[str, str]]:
    """How a treatment may go on: the days of the draft, where it stands, and the plan it is to replace."""
    if proposed is None or not proposed.session_days:
        return
    decision, days = review.decision, proposed.session_days
    continued = decision.continuation if isinstance(decision, Propose) else None
    ended = continued.replaces if continued else None
    on_record = review.intent.before is not None
    where = f"{proposed.plan} on record" if on_record else "not on record yet"
    said = f"{len(days)} sessions, {say_weekday(days[0])} to {say_weekday(days[-1])} (draft, {where})"
    instead = f", in place of the dates left in {ended.evidence.type}/{ended.evidence.id}" if ended else ""
    yield "Proposed", f"{said}{instead}; a clinician decides"


def _what_stands_against(review: Review) -> Iterator[str]:
    """Why no plan would be proposed, where that is more than that the patient is under treatment."""
    decision = review.decision
    if isinstance(decision, Decline) and decision.reason is not ReasonOfDecision.IN_TREATMENT:
        yield state_decision(replace(decision, treatment=None))


def _agenda(review: Review, plan: VersionedReference) -> Agenda:
    return read_agenda(review.gathered.content_of(plan))


def write_plan(shown: ShownPlan, *, ics: Path | None, html: Path | None, now: datetime) -> Iterator[Path]:
    """Write the dates of a plan as iCalendar, or the plan as a page that prints; gives each file written.

    Raises `OutputError` for a file that cannot be written.
    """
    if ics is not None:
        yield write_file(ics, to_ics(shown, now))
    if html is not None:
        yield write_file(html, to_page(shown).encode())
