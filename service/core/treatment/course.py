"""The sessions of a treatment: planned by the plans of its chain, and given by whatever record shows it.

A patient is under treatment from the start of an active or held esketamine plan until a person ends it. What
is ordered, dispensed or given of esketamine in that time is the course; ketamine never is.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from typing import NamedTuple

from service.core.dates import PartialDate
from service.core.knowledge import Knowledge, Protocol
from service.core.records import (
    GRADES,
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


class _Given(NamedTuple):
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
    def last_taken(self) -> date | None:
        """The last day on which a session may have been given."""
        return max((s.given.latest for s in self.taken if s.given is not None), default=None)

    @property
    def held(self) -> bool:
        """Whether the last plan of the chain is on hold."""
        return self.plans[-1].status is PlanStatus.ON_HOLD


def find_course(record: Record, knowledge: Knowledge, as_of: date) -> TreatmentCourse | None:
    """The treatment that a patient is under on a day; `None` where no plan of record is under way."""
    chain = _chain(record.plans)
    if not chain:
        return None
    protocol = _protocol_of(chain, knowledge)
    planned = [session for plan in chain for session in plan.planned]
    since = min((day for plan in chain if (day := plan.begins) is not None), default=as_of)
    of_course = [e for e in record.exposures if _is_of_course(e, since)]
    given = _given_sessions(of_course, as_of)
    sessions = _matched(planned, given, protocol, as_of)
    evidence = {plan.evidence for plan in chain} | {ref for e in of_course for ref in e.evidence}
    return TreatmentCourse(chain, protocol, sessions, frozenset(evidence))


def _chain(plans: tuple[PlanOfRecord, ...]) -> tuple[PlanOfRecord, ...]:
    """The plans under way, and those that they are based on, in order of time."""
    by_id = {plan.evidence.id: plan for plan in plans}
    found = {plan.evidence.id: plan for plan in plans if plan.status in _UNDER_WAY}
    left = [plan.based_on for plan in found.values()]
    while left:
        plan = by_id.get(left.pop() or "")
        if plan is not None and plan.evidence.id not in found:
            found[plan.evidence.id] = plan
            left.append(plan.based_on)
    return tuple(sorted(found.values(), key=lambda plan: (plan.begins or date.max, plan.evidence.id)))


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
        return start is not None and start.earliest >= since
    return end is None or end.latest >= since or (start is not None and start.earliest >= since)


def _given_sessions(exposures: Iterable[Exposure], as_of: date) -> list[_Given]:
    """One session a day: the best record speaks for it, and the doses of one day add up within its grade."""
    by_day: dict[PartialDate, list[Exposure]] = {}
    for exposure in exposures:
        start = exposure.period.start
        shows = exposure.grade in _SHOWS_A_SESSION and exposure.status is ExposureStatus.ENDED
        if shows and start is not None and start.earliest <= as_of:
            by_day.setdefault(start, []).append(exposure)
    return [_given_on(day, same) for day, same in sorted(by_day.items())]


def _given_on(day: PartialDate, exposures: list[Exposure]) -> _Given:
    best = min((e.grade for e in exposures), key=GRADES.index)
    telling = [e for e in exposures if e.grade is best]
    doses = [e.dose.low_mg for e in telling if e.dose.low_mg is not None and e.dose.low_mg == e.dose.high_mg]
    evidence = tuple(ref for e in exposures for ref in e.evidence)
    return _Given(day, sum(doses) if len(doses) == len(telling) else None, evidence)


def _matched(
    planned: list[PlannedSession], given: list[_Given], protocol: Protocol, as_of: date
) -> tuple[TreatmentSession, ...]:
    """Each session that was given with the nearest planned day not yet taken; the others by their day.

    A session that the plan calls completed was given on its day, unless a record shows another.
    """
    free = [one for one in planned if one.status not in _NOT_TO_BE_GIVEN]
    found: list[TreatmentSession] = []
    for one in given:
        nearest = min(free, key=lambda p: (abs((p.day - one.when.earliest).days), p.day), default=None)
        if nearest is not None:
            free.remove(nearest)
        found.append(_session(nearest, one))
    found += [_not_matched(left, protocol, as_of) for left in free]
    found += [_not_to_be_given(one) for one in planned if one.status in _NOT_TO_BE_GIVEN]
    return tuple(sorted(found, key=lambda session: (session.day, session.number or 0)))


_NOT_TO_BE_GIVEN = {
    "cancelled": SessionState.CANCELLED,
    "stopped": SessionState.CANCELLED,
    "entered-in-error": SessionState.CANCELLED,
    "on-hold": SessionState.HELD,
}


def _not_to_be_given(planned: PlannedSession) -> TreatmentSession:
    state = _NOT_TO_BE_GIVEN[planned.status]
    return TreatmentSession(planned.number, planned.day, None, None, state, (planned.plan,))


def _session(planned: PlannedSession | None, given: _Given) -> TreatmentSession:
    if planned is None:
        return TreatmentSession(None, None, given.when, given.dose_mg, SessionState.UNPLANNED, given.evidence)
    evidence = (planned.plan, *given.evidence)
    return TreatmentSession(
        planned.number, planned.day, given.when, given.dose_mg, SessionState.GIVEN, evidence
    )


def _not_matched(planned: PlannedSession, protocol: Protocol, as_of: date) -> TreatmentSession:
    """A planned session that no record shows: completed by the plan, missed, or still planned."""
    evidence = (planned.plan,)
    if planned.status == "completed" and planned.day <= as_of:
        when = PartialDate.on(planned.day)
        return TreatmentSession(planned.number, planned.day, when, None, SessionState.GIVEN, evidence)
    missed = planned.day + timedelta(days=protocol.missed.after_days) < as_of
    state = SessionState.MISSED if missed else SessionState.PLANNED
    return TreatmentSession(planned.number, planned.day, None, None, state, evidence)
