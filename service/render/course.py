"""A plan to show, and what became of each of its dates: given, missed, cancelled or still planned."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from itertools import count
from typing import NamedTuple

from service.core.assessment import Assessment
from service.core.scores import Score
from service.core.treatment.course import NOT_TO_BE_GIVEN, TAKEN, SessionState
from service.core.treatment.follow import Treatment
from service.core.treatment.response import InstrumentResponse
from service.read.agenda import Activity, Agenda
from service.read.label import PatientLabel
from service.render.answer import TreatmentOut, TreatmentSessionOut
from service.render.progress import say_activity, say_session

_STATES = {**NOT_TO_BE_GIVEN, "completed": SessionState.GIVEN}
_OF_THE_DAY = TAKEN | {SessionState.PLANNED}


class ShownDate(NamedTuple):
    """A date of a plan, or a session that was given on none: its day, and what became of it.

    `day` is the day on which it was given, else the day for which it is planned; `None` where a session was
    given on no planned day and its own day is not known. `said` is what became of it in words. A date that is
    `proposed` counts only once a clinician activates its plan.
    """

    uid: str
    plan: Agenda
    title: str
    description: str
    session: bool
    number: int | None
    planned: date | None
    day: date | None
    state: SessionState
    dose_mg: float | None
    said: str
    proposed: bool = False


class ScoreSeries(NamedTuple):
    """The scores of one instrument from the last one before treatment on, and the range of its scale."""

    instrument: str
    highest: float
    remission_up_to: float
    scores: tuple[Score, ...]


@dataclass(frozen=True, slots=True)
class ShownPlan:
    """A plan to show, where it stands, and the treatment that it belongs to, if one is under way.

    `earlier` are the plans of the treatment before it, `proposed` is the draft that continues it. `concerns`
    are alerts, and what stands against the treatment; `progress` is the treatment in words. `label` and
    `as_of` are what a page is headed with.
    """

    plan: Agenda
    where: str
    earlier: tuple[Agenda, ...] = ()
    treatment: TreatmentOut | None = None
    concerns: tuple[str, ...] = ()
    progress: tuple[tuple[str, str], ...] = ()
    series: tuple[ScoreSeries, ...] = ()
    label: PatientLabel | None = None
    as_of: date | None = None
    proposed: Agenda | None = None

    @property
    def dates(self) -> tuple[ShownDate, ...]:
        """Every date of the plans in order of time; a session that counts comes last on its day."""
        sessions = self.treatment.sessions if self.treatment else []
        matched = {(_plan_of(s), s.number, s.planned): s for s in sessions if s.planned is not None}
        found = [
            shown
            for agenda in (*self.earlier, self.plan)
            for shown in _dates_of(agenda, matched, followed=agenda is self.plan)
        ]
        first = (*self.earlier, self.plan)[0]
        found += [_unplanned(session, first) for session in sessions if session.planned is None]
        found += _proposed_dates(self.proposed) if self.proposed else ()
        return tuple(sorted(found, key=_order))


def _order(shown: ShownDate) -> tuple[date, bool, bool]:
    counts = shown.state in _OF_THE_DAY and not shown.proposed
    return (shown.day or date.max, shown.session, counts)


def _proposed_dates(draft: Agenda) -> Iterator[ShownDate]:
    """The dates of a draft that continues a treatment; what a person cancelled in it is cancelled."""
    for shown in _dates_of(draft, {}, followed=True):
        ahead = shown.state is SessionState.PLANNED
        yield shown._replace(proposed=True, said="proposed") if ahead else shown


def _plan_of(session: TreatmentSessionOut) -> str:
    """The plan of a planned session, which is its first evidence, without the version."""
    return session.evidence[0].partition("/_history/")[0]


def _dates_of(
    agenda: Agenda,
    matched: dict[tuple[str, int | None, date], TreatmentSessionOut],
    *,
    followed: bool,
) -> Iterator[ShownDate]:
    """The dates of one plan. A session of an earlier plan that no longer counts is cancelled."""
    seen: dict[str, int] = {}
    numbers = count(1)
    for entry in agenda.entries:
        day, activity = entry.day, entry.activity
        seen[activity.title] = seen.get(activity.title, 0) + 1
        uid = f"{agenda.plan.replace('/', '-')}-{_slug(activity.title)}-{seen[activity.title]}"
        number = activity.number or next(numbers) if activity.session else None
        session = matched.get((agenda.plan, activity.number, day)) if activity.session else None
        state = state_of(activity)
        if session is not None:
            state = session.state
        elif activity.session and not followed:
            state = SessionState.CANCELLED
        yield ShownDate(
            uid=uid,
            plan=agenda,
            title=activity.title,
            description=activity.description,
            session=activity.session,
            number=number,
            planned=day,
            day=(session.given if session else None) or day,
            state=state,
            dose_mg=session.dose_mg if session else None,
            said=say_session(session) if session else say_activity(activity, state),
        )


def _unplanned(session: TreatmentSessionOut, plan: Agenda) -> ShownDate:
    day = session.given.isoformat() if session.given else "undated"
    return ShownDate(
        uid=f"{plan.plan.replace('/', '-')}-not-planned-{day}",
        plan=plan,
        title="Esketamine session",
        description="",
        session=True,
        number=None,
        planned=None,
        day=session.given,
        state=session.state,
        dose_mg=session.dose_mg,
        said=say_session(session),
    )


def _slug(title: str) -> str:
    return "-".join("".join(c if c.isalnum() else " " for c in title.lower()).split())


def state_of(activity: Activity) -> SessionState:
    """Where an activity stands by its own status."""
    return _STATES.get(activity.status, SessionState.PLANNED)


def list_score_series(found: Assessment, treatment: Treatment) -> tuple[ScoreSeries, ...]:
    """The scores under treatment with the last one before it, per instrument that has any."""
    every = (_series_of(one, found, treatment) for one in treatment.response.instruments)
    return tuple(series for series in every if series.scores)


def _series_of(one: InstrumentResponse, found: Assessment, treatment: Treatment) -> ScoreSeries:
    begun, as_of = treatment.course.begun or treatment.as_of, treatment.as_of
    of_scale = (score for score in found.scores if score.scale is one.instrument)
    under = (score for score in of_scale if score.when.earliest > begun and score.when.latest <= as_of)
    before = (one.baseline,) if one.baseline else ()
    scale = found.knowledge.scales[one.instrument]
    return ScoreSeries(one.instrument.value.upper(), scale.highest, scale.remission_up_to, (*before, *under))
