"""A treatment in words: what became of its sessions, the response, what comes next, and what is due."""

from collections.abc import Iterator
from datetime import date

from service.core.dates import PartialDate, say_date
from service.core.decision import ReasonOfDecision
from service.core.knowledge import NextCode
from service.core.treatment.course import TAKEN, SessionState
from service.core.words import WEEKDAYS, say_response
from service.read.agenda import Activity
from service.render.answer import (
    AssessmentAnswer,
    NextOut,
    RuleOut,
    TreatmentOut,
    TreatmentSessionOut,
)

_STATES_IN_WORDS = {
    SessionState.GIVEN: "given",
    SessionState.UNPLANNED: "given, not planned",
    SessionState.MISSED: "missed",
    SessionState.PLANNED: "planned",
    SessionState.CANCELLED: "cancelled",
    SessionState.HELD: "on hold",
}
_STEPS_IN_WORDS = {**_STATES_IN_WORDS, SessionState.GIVEN: "done", SessionState.PLANNED: ""}
_GOES_ON = frozenset({ReasonOfDecision.IN_TREATMENT, ReasonOfDecision.CONTINUATION})
_DUE = {"rems-form": "REMS monitoring form", "score": "symptom score"}


def describe_treatment(answer: AssessmentAnswer) -> Iterator[tuple[str, str]]:
    """The course so far, what comes next and what is due, as lines with a heading each.

    Where something stands against the treatment, nothing says that it goes on.
    """
    treatment = answer.treatment
    if treatment is None:
        return
    yield "Course", f"{_say_week(treatment)}: {_count_sessions(treatment.sessions)}"
    missed = [session for session in treatment.sessions if session.state is SessionState.MISSED]
    if missed:
        yield "Missed", "; ".join(map(_name_session, missed))
    yield "Response", "; ".join(_responses(treatment))
    if answer.reason in _GOES_ON or treatment.next.code is NextCode.TREATMENT_SAFETY:
        yield "Next", f"{treatment.next.text} ({_say_source(treatment.next)})"
        if treatment.duration:
            yield "Duration", f"{treatment.duration.text} ({_say_source(treatment.duration)})"
    if treatment.due:
        yield "Due", "; ".join(_say_due(due.what.value, due.by) for due in treatment.due)


def say_session(session: TreatmentSessionOut) -> str:
    """What became of a session, with its day where it was given on another than the planned one."""
    said = _STATES_IN_WORDS[session.state]
    if session.state not in TAKEN:
        return said
    if session.given is None:
        return f"{said}, day not known"
    return said if session.given == session.planned else f"{said}, {say_weekday(session.given)}"


def say_activity(activity: Activity, state: SessionState) -> str:
    """What became of an activity by its own status; nothing, where it is a step that is still to be done."""
    return (_STATES_IN_WORDS if activity.session else _STEPS_IN_WORDS)[state]


def say_weekday(day: date) -> str:
    """A day with its weekday, such as "Mon 30 Nov 2026"."""
    return f"{WEEKDAYS[day.weekday()]} {say_date(PartialDate.on(day))}"


def _say_week(treatment: TreatmentOut) -> str:
    return f"week {treatment.week}, {treatment.phase}" if treatment.week else "before session 1"


def _count_sessions(sessions: list[TreatmentSessionOut]) -> str:
    """How many sessions were given and how many were not, such as "8 given, 1 missed, 3 planned"."""
    states = [SessionState.GIVEN if s.state in TAKEN else s.state for s in sessions]
    left = [state for state in SessionState if state in states and state not in TAKEN]
    counted = (f"{states.count(state)} {_STATES_IN_WORDS[state]}" for state in (SessionState.GIVEN, *left))
    return ", ".join(counted)


def _name_session(session: TreatmentSessionOut) -> str:
    number = f"session {session.number}" if session.number else "session"
    return f"{number}, {say_weekday(session.planned)}" if session.planned else number


def _responses(treatment: TreatmentOut) -> list[str]:
    """What each instrument says, and which decides where they disagree."""
    instruments = treatment.response.instruments
    said = [
        say_response(one.instrument, one.baseline, one.latest, one.finding)
        for one in instruments
        if one.instrument is not None
    ] or ["no symptom score is on record"]
    decisive = treatment.response.instrument
    if decisive is not None and len({one.finding for one in instruments}) > 1:
        said.append(f"{decisive.value.upper()} decides")
    return said


def _say_source(rule: NextOut | RuleOut) -> str:
    """Whether it is a rule of the label, of a trial or of this service, and where it stands."""
    basis = f"{rule.basis.value} rule"
    return rule.source if rule.source.lower().startswith(basis) else f"{basis}: {rule.source}"


def _say_due(what: str, by: date | None) -> str:
    said = _DUE.get(what, what.replace("-", " "))
    return f"{said} by {say_weekday(by)}" if by else said
