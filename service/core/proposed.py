"""The dates of a proposal that stands in a document: they are kept while they lie ahead, as those of a draft.

The document does not hold them in a form that can be read back. They follow from the day of the proposal.
"""

from dataclasses import replace
from datetime import date, timedelta

from service.core.decision import Decision, Propose
from service.core.records import PlanOfRecord, PlanStatus, Record, VersionedReference
from service.core.schedule import Calendar, Schedule, plan_sessions

_LONGEST = timedelta(days=366)
"""How long a proposal can lie back whose first session still lies ahead."""


def dates_proposed_on(decision: Decision, calendar: Calendar, proposed_on: date) -> tuple[date, ...]:
    """The dates that the proposal of a decision had on an earlier day, on the calendar of that day.

    None where it proposes no plan, or where the first of them has passed.
    """
    as_of = decision.assessment.as_of
    if not isinstance(decision, Propose) or not as_of - _LONGEST <= proposed_on <= as_of:
        return ()
    schedule = plan_sessions(decision.protocol, calendar, proposed_on)
    dates = tuple(s.date for s in schedule.sessions) if isinstance(schedule, Schedule) else ()
    return dates if dates and dates[0] >= as_of else ()


def with_dates(record: Record, decision: Decision, dates: tuple[date, ...]) -> Record:
    """The record with these dates as a draft of the protocol that the decision proposes."""
    assert isinstance(decision, Propose)  # noqa: S101 - only a proposal has dates
    protocol = decision.protocol
    draft = PlanOfRecord(
        VersionedReference("DocumentReference", "proposed"),
        PlanStatus.DRAFT,
        ours=True,
        edited=False,
        protocol=(protocol.id, protocol.version),
        sessions=dates,
    )
    return replace(record, plans=(*record.plans, draft))
