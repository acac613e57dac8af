"""The sessions of a treatment: planned by the plans of its chain, and given by whatever record shows it.

A patient is under treatment from the start of an active or held esketamine plan until a person ends it; a
plan of ours that was completed after all its sessions goes on. What is ordered, dispensed, stated or given of
esketamine in that time is the course; ketamine never is.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from itertools import pairwise
from typing import NamedTuple

from service.core.dates import PartialDate, days_before, say_date
from service.core.findings import Reason, ReasonCode
from service.core.knowledge import Knowledge, Protocol
from service.core.records import (
    GRADES,
    BenefitReview,
    Exposure,
    ExposureStatus,
    Grade,
    PlannedSession,
    PlanOfRecord,
    PlanStatus,
    Record,
    Role,
    VersionedReference,
)

ESKETAMINE = "esketamine"
TRD = "trd"

_UNDER_WAY = frozenset({PlanStatus.ACTIVE, PlanStatus.ON_HOLD})
_SHOWS_A_SESSION = frozenset({Grade.ADMINISTERED, Grade.STATED})


class SessionState(StrEnum):
    """Where a session of a treatment stands; `UNPLANNED` is one that was given on no planned day."""

    GIVEN = "given"
    MISSED = "missed"
    PLANNED = "planned"
    CANCELLED = "cancelled"
    HELD = "held"
    UNPLANNED = "unplanned"


NOT_TO_BE_GIVEN = {
    "cancelled": SessionState.CANCELLED,
    "stopped": SessionState.CANCELLED,
    "entered-in-error": SessionState.CANCELLED,
    "on-hold": SessionState.HELD,
}
"""What activities that nobody is to do are called (https://hl7.org/fhir/R4/valueset-care-plan-activity-status)."""
TAKEN = frozenset({SessionState.GIVEN, SessionState.UNPLANNED})
"""The states of a session that took place."""


class TreatmentSession(NamedTuple):
    """One session: its number and day in the plan, the day on which it was given, and the dose in mg."""

    number: int | None
    planned: date | None
    given: PartialDate | None
    dose_mg: float | None
    state: SessionState
    evidence: tuple[VersionedReference, ...]

    @property
    def day(self) -> date:
        """The day by which it stands in order: when it was given, else when it is planned."""
        return self.given.earliest if self.given is not None else self.planned or date.max


class _GivenSession(NamedTuple):
    """A session that a record shows: its day, and the dose in mg where it is documented."""

    when: PartialDate
    dose_mg: float | None
    evidence: tuple[VersionedReference, ...]


@dataclass(frozen=True, slots=True)
class TreatmentCourse:
    """A treatment under way: the plans of its chain, the first one first, and all that belongs to it."""

    plans: tuple[PlanOfRecord, ...]
    protocol: Protocol
    sessions: tuple[TreatmentSession, ...]
    evidence: frozenset[VersionedReference]
    reviews: tuple[BenefitReview, ...] = ()

    @property
    def taken(self) -> tuple[TreatmentSession, ...]:
        """The sessions that took place, in order of time."""
        return tuple(session for session in self.sessions if session.state in TAKEN)

    @property
    def ahead(self) -> tuple[date, ...]:
        """The days of the sessions that are still planned."""
        return tuple(s.planned for s in self.sessions if s.state is SessionState.PLANNED and s.planned)

    @property
    def begun(self) -> date | None:
        """The day of session 1: the first that was given, else the first that is planned."""
        return min((session.day for session in self.taken or self.sessions), default=None)

    @property
    def is_dated(self) -> bool:
        """Whether its plans state days for sessions, so that it can be followed by them."""
        return any(session.planned is not None for session in self.sessions)

    @property
    def last_taken(self) -> date | None:
        """The last day on which a session may have been given."""
        return max((s.given.latest for s in self.taken if s.given is not None), default=None)

    @property
    def held(self) -> bool:
        """Whether the last plan of the chain is on hold."""
        return self.plans[-1].status is PlanStatus.ON_HOLD

    @property
    def reviewed(self) -> bool:
        """Whether a review of the benefit is on record: by an activity of a plan, or as one asked for."""
        return bool(self.reviews) or any(plan.benefit_reviewed for plan in self.plans)

    @property
    def induction_question(self) -> str:
        """What a review of the benefit after induction is asked for on."""
        return f"CarePlan/{self.plans[-1].evidence.id} after {self.protocol.induction_sessions} sessions"

    @property
    def maintenance_question(self) -> str:
        """What a review of the maintenance that the last plan holds is asked for on."""
        return f"CarePlan/{self.plans[-1].evidence.id} in maintenance"

    @property
    def maintenance_reviewed(self) -> bool:
        """Whether a review of the maintenance that the last plan holds is on record."""
        asked = any(review.question == self.maintenance_question for review in self.reviews)
        return asked or self.plans[-1].maintenance_reviewed

    @property
    def has_stepped_back(self) -> bool:
        """Whether the last plan answers a worsening: it replaces the one that it is based on."""
        last = self.plans[-1]
        return last.based_on is not None and last.replaces == last.based_on


def find_course(record: Record, knowledge: Knowledge, as_of: date) -> TreatmentCourse | None:
    """The treatment that a patient is under on a day; `None` where no plan of record is under way."""
    under_way = [plan for plan in record.plans if plan.status in _UNDER_WAY]
    chain = _chain(under_way or _last_completed(record.plans), record.plans)
    if not chain:
        return None
    protocol = _protocol_of(chain, knowledge)
    early_days = protocol.missed.early_days
    since = min((day for plan in chain if (day := _begins(plan, early_days)) is not None), default=as_of)
    of_course = [e for e in record.exposures if _is_of_course(e, since)]
    given = _given_sessions(of_course, since, as_of)
    sessions = _matched(chain, given, protocol, as_of)
    if not under_way and any(session.state not in TAKEN for session in sessions):
        return None
    evidence = {plan.evidence for plan in chain} | {ref for e in of_course for ref in e.evidence}
    return TreatmentCourse(chain, protocol, sessions, frozenset(evidence), _reviews(record, chain, as_of))


def _begins(plan: PlanOfRecord, early_days: int) -> date | None:
    """From when on esketamine is of the plan: its first day, or some days before it while it was there."""
    first = plan.begins
    if first is None or plan.created is None:
        return first
    return min(first, max(plan.created, days_before(first, early_days)))


def _reviews(record: Record, chain: tuple[PlanOfRecord, ...], as_of: date) -> tuple[BenefitReview, ...]:
    """The reviews of the benefit that were asked for about a plan of the chain, up to a day."""
    plan_ids = {plan.evidence.id for plan in chain}
    return tuple(
        review
        for review in record.benefit_reviews
        if review.plan in plan_ids and (review.when is None or review.when <= as_of)
    )


def flag_unusual_sessions(course: TreatmentCourse | None) -> tuple[Reason, ...]:
    """Sessions that were given closer together than the label has them, and doses that are no label dose."""
    return () if course is None else (*_too_close(course), *_not_on_label(course))


def _too_close(course: TreatmentCourse) -> Iterator[Reason]:
    least = min(phase.min_days_between for phase in course.protocol.phases)
    on_a_day = [(s.given, s) for s in course.taken if s.given is not None and s.given.is_exact]
    for (before, one), (after, other) in pairwise(on_a_day):
        if (after.earliest - before.earliest).days < least:
            days = f"{say_date(before)} and {say_date(after)}"
            text = f"sessions were given on {days}, less than {least} days apart"
            evidence = tuple(dict.fromkeys((*one.evidence, *other.evidence)))
            yield Reason(ReasonCode.SESSIONS_TOO_CLOSE, text, evidence)


def _not_on_label(course: TreatmentCourse) -> Iterator[Reason]:
    for session in course.taken:
        if session.given and session.dose_mg is not None and session.dose_mg not in course.protocol.doses_mg:
            text = f"{session.dose_mg:g} mg on {say_date(session.given)} is no dose of the label"
            yield Reason(ReasonCode.DOSE_NOT_ON_LABEL, text, session.evidence)


def _last_completed(plans: tuple[PlanOfRecord, ...]) -> list[PlanOfRecord]:
    """The last plan of ours that was completed, unless a person revoked the one that continued it."""
    completed = [plan for plan in plans if plan.ours and plan.status is PlanStatus.COMPLETED and plan.planned]
    ended = {plan.based_on for plan in plans if plan.edited and plan.status is PlanStatus.REVOKED}
    last = sorted(completed, key=lambda plan: (plan.planned[0].day, plan.evidence.id))[-1:]
    return [plan for plan in last if plan.evidence.id not in ended]


def _chain(under_way: list[PlanOfRecord], plans: tuple[PlanOfRecord, ...]) -> tuple[PlanOfRecord, ...]:
    """The plans under way, and those that they are based on, in order of time."""
    by_id = {plan.evidence.id: plan for plan in plans}
    found = {plan.evidence.id: plan for plan in under_way}
    left = [plan.based_on for plan in found.values()]
    while left:
        plan = by_id.get(left.pop() or "")
        if plan is not None and plan.evidence.id not in found:
            found[plan.evidence.id] = plan
            left.append(plan.based_on)
    return tuple(sorted(found.values(), key=lambda plan: _place(plan, found)))


def _place(plan: PlanOfRecord, chain: Mapping[str, PlanOfRecord]) -> tuple[date, int, str]:
    """Where a plan stands in the order of time: never before one that it is based on."""
    lineage = [plan]
    while (before := chain.get(lineage[-1].based_on or "")) is not None and before not in lineage:
        lineage.append(before)
    return max(one.begins or date.max for one in lineage), len(lineage), plan.evidence.id


def _protocol_of(chain: tuple[PlanOfRecord, ...], knowledge: Knowledge) -> Protocol:
    """The protocol that the last of the plans states, else the first of the region for resistance."""
    stated = {plan.protocol[0] for plan in chain[-1:] if plan.protocol}
    known = [protocol for protocol in knowledge.protocols if protocol.id in stated]
    usual = [p for p in knowledge.protocols if p.region == knowledge.region and p.pathway == TRD]
    return (known or usual)[0]


def _is_of_course(exposure: Exposure, since: date) -> bool:
    """Whether a record of esketamine belongs to the treatment: given since its start, or ordered for it."""
    medicine, start, end = exposure.medicine, exposure.period.start, exposure.period.end
    if medicine.role is not Role.ESKETAMINE or medicine.ingredient != ESKETAMINE:
        return False
    if exposure.grade in _SHOWS_A_SESSION and exposure.status is not ExposureStatus.INTENDED:
        return start is not None and start.latest >= since
    return end is None or end.latest >= since or (start is not None and start.earliest >= since)


def _given_sessions(exposures: Iterable[Exposure], since: date, as_of: date) -> list[_GivenSession]:
    """One session a day: the best record speaks for it, and the doses of one day add up within its grade.

    Of those whose day is open each is a session; they come last.
    """
    by_day: dict[PartialDate, list[Exposure]] = {}
    open_days: list[_GivenSession] = []
    for exposure in exposures:
        start = exposure.period.start
        if start is None or max(start.earliest, since) > as_of or not _shows_a_session(exposure):
            continue
        when = PartialDate(max(start.earliest, since), min(start.latest, as_of))
        if start.is_exact:
            by_day.setdefault(when, []).append(exposure)
        else:
            open_days.append(_given_on(when, [exposure]))
    exact = [_given_on(day, same) for day, same in sorted(by_day.items())]
    return exact + sorted(open_days, key=lambda one: one.when)


def _shows_a_session(exposure: Exposure) -> bool:
    """Whether a record shows one session: given on a ward or at a visit, or stated of a single day."""
    if exposure.grade not in _SHOWS_A_SESSION or exposure.status is not ExposureStatus.ENDED:
        return False
    return exposure.grade is Grade.ADMINISTERED or exposure.period.end in {None, exposure.period.start}


def _given_on(day: PartialDate, exposures: list[Exposure]) -> _GivenSession:
    best = min(map(_rank, exposures))
    telling = [e for e in exposures if _rank(e) == best]
    doses = [e.dose.low_mg for e in telling if e.dose.low_mg is not None and e.dose.low_mg == e.dose.high_mg]
    evidence = tuple(ref for e in exposures for ref in e.evidence)
    return _GivenSession(day, sum(doses) if len(doses) == len(telling) else None, evidence)


def _rank(exposure: Exposure) -> tuple[int, bool]:
    """How well a record tells of a session, the best first: what was billed says nothing of the dose."""
    return GRADES.index(exposure.grade), any(ref.type == "Procedure" for ref in exposure.evidence)


def _planned(chain: tuple[PlanOfRecord, ...]) -> Iterator[PlannedSession]:
    """The sessions that the plans state, each until the first session of a later plan.

    What an earlier plan calls completed stays.
    """
    until = date.max
    for plan in reversed(chain):
        yield from (one for one in plan.planned if one.day < until or one.status == "completed")
        until = min((until, *(one.day for one in plan.planned)))


def _matched(
    chain: tuple[PlanOfRecord, ...], given: list[_GivenSession], protocol: Protocol, as_of: date
) -> tuple[TreatmentSession, ...]:
    """Each session that was given with the nearest planned day not yet taken; the others by their day.

    A session that the plan calls completed was given on its day, unless a record shows another.
    """
    planned = list(_planned(chain))
    on_hold = {plan.evidence for plan in chain if plan.status is PlanStatus.ON_HOLD}
    free = [one for one in planned if one.status not in NOT_TO_BE_GIVEN]
    found: list[TreatmentSession] = []
    for one in given:
        nearest = min(free, key=lambda p: (_days_between(p.day, one.when), p.day), default=None)
        if nearest is not None:
            free.remove(nearest)
        found.append(_session(nearest, one))
    found += [_not_matched(left, on_hold, protocol, as_of) for left in free]
    found += [_not_to_be_given(one) for one in planned if one.status in NOT_TO_BE_GIVEN]
    return tuple(sorted(found, key=lambda session: (session.day, session.number or 0)))


def _days_between(day: date, when: PartialDate) -> int:
    return max((when.earliest - day).days, (day - when.latest).days, 0)


def _not_to_be_given(planned: PlannedSession) -> TreatmentSession:
    state = NOT_TO_BE_GIVEN[planned.status]
    return TreatmentSession(planned.number, planned.day, None, None, state, (planned.plan,))


def _session(planned: PlannedSession | None, given: _GivenSession) -> TreatmentSession:
    if planned is None:
        return TreatmentSession(None, None, given.when, given.dose_mg, SessionState.UNPLANNED, given.evidence)
    evidence = (planned.plan, *given.evidence)
    return TreatmentSession(
        planned.number, planned.day, given.when, given.dose_mg, SessionState.GIVEN, evidence
    )


def _not_matched(
    planned: PlannedSession, on_hold: set[VersionedReference], protocol: Protocol, as_of: date
) -> TreatmentSession:
    """A planned session that no record shows: completed by the plan, held with it, missed or planned."""
    evidence = (planned.plan,)
    if planned.status == "completed" and planned.day <= as_of:
        when = PartialDate.on(planned.day)
        return TreatmentSession(planned.number, planned.day, when, None, SessionState.GIVEN, evidence)
    missed = planned.day + timedelta(days=protocol.missed.after_days) < as_of
    state = SessionState.MISSED if missed else SessionState.PLANNED
    if planned.plan in on_hold:
        state = SessionState.HELD
    return TreatmentSession(planned.number, planned.day, None, None, state, evidence)
