"""The care plan in words for a clinician: the narrative, and the sentences that it shares with the plan.

https://hl7.org/fhir/R4/narrative.html: text, no links, no styles.
"""

from collections.abc import Iterable, Iterator
from datetime import date
from html import escape

from service.core.assessment import ACUTE, Assessment
from service.core.dates import PartialDate, say_date
from service.core.decision import Propose, ReasonOfDecision
from service.core.knowledge import Effect, NextRule, Protocol, RuleBasis, TreatmentRule
from service.core.schedule import DatedDecision, Schedule, Session, order_by_date
from service.core.trials import Counts
from service.core.words import (
    WEEKDAYS,
    describe_trial,
    list_not_screened,
    name_decision,
    name_site_lists,
    state_decision,
    state_response,
    state_treatment,
)
from service.fhir.loose import Resource, part

_DRAFT = "Draft, proposed by decision support. A clinician decides whether to use it. Nothing is ordered."
_CHOICE = "Where a session names several doses, the clinician chooses one."


def render_narrative(decision: Propose, schedule: Schedule) -> Resource:
    """The whole plan in plain words: it may be all that a reader sees, in an EHR or on paper.

    https://hl7.org/fhir/R4/narrative.html: text, no links, no styles.
    """
    found, visit = decision.assessment, schedule.visit
    parts = [
        f"<h2>{escape(schedule.protocol.title)}</h2>",
        f"<p><b>{_DRAFT}</b></p>",
        *(f"<p><b>Alert: {escape(alert.text)}</b></p>" for alert in found.alerts),
        *_course_so_far(decision),
        f"<p>{escape(_what(schedule))}</p>",
        _listed("Cautions", list_cautions(found)[len(found.alerts) :]),
        _listed("Before the first session", schedule.preparation),
        "<h3>Sessions</h3>",
        f"<p>{_CHOICE}</p>",
        _sessions_table(schedule),
        f"<p>{escape(schedule.then)}</p>",
        _listed("Before each visit", visit.before),
        _listed("During each visit", visit.during),
        _listed("After each visit", visit.after),
        f"<h3>Why this plan is proposed</h3><p>{escape(state_decision(decision))}</p>",
        _listed("", _list_reasons(decision)),
        f"<p>{escape(name_versions(found, schedule.protocol))}</p>",
    ]
    return {"status": "generated", "div": _div("".join(parts))}


def _course_so_far(decision: Propose) -> Iterator[str]:
    """What a continuation goes on from: the sessions, the response, and the rules by which it goes on."""
    treatment = decision.treatment
    if treatment is None:
        return
    said = f"{state_treatment(treatment)} {state_response(treatment.response)}"
    rules: list[NextRule | TreatmentRule] = [treatment.next]
    rules += filter(None, (treatment.frequency, treatment.duration))
    yield f"<h3>The course so far</h3><p>{escape(said)}</p>"
    yield _listed("", [f"{_BASES[rule.basis]}: {rule.text} ({rule.source})" for rule in rules])


_BASES = {RuleBasis.LABEL: "Label", RuleBasis.TRIAL: "Trial rule", RuleBasis.HOUSE: "House rule"}


def _list_reasons(decision: Propose) -> list[str]:
    """What the plan rests on: the trials that may count, and for acute suicidality the criteria."""
    found = decision.assessment
    acute = decision.reason is ReasonOfDecision.ACUTE_SUICIDALITY
    met = [reason.text for c in found.pathway(ACUTE).criteria for reason in c.answer.reasons] if acute else []
    trials = [describe_trial(trial, found.as_of) for trial in found.trials if trial.counts is not Counts.NO]
    return [*(f"{text[:1].upper()}{text[1:]}." for text in met), *trials]


def render_revoked_narrative(plan: Resource, text: str) -> Resource:
    """The narrative of a revoked plan: why it was revoked, then what had been proposed."""
    div = part(plan.get("text")).get("div")
    start, end, rest = (div if isinstance(div, str) else _div("")).partition(">")
    said = f"<p><b>{escape(text)}</b></p><p>The proposal was:</p>"
    return {"status": "generated", "div": f"{start}{end}{said}{rest}"}


def _div(content: str) -> str:
    return f'<div xmlns="http://www.w3.org/1999/xhtml" lang="en" xml:lang="en">{content}</div>'


def name_versions(found: Assessment, protocol: Protocol) -> str:
    """The versions that the plan was decided by; a new version of any of them gives a new draft."""
    criteria, version = found.knowledge.criteria, found.knowledge.version
    return (
        f"Criteria set {criteria.id} {criteria.version}, protocol {protocol.id} {protocol.version}, "
        f"knowledge version {version}."
    )


def _what(schedule: Schedule) -> str:
    sessions = schedule.sessions
    return (
        f"{len(sessions)} sessions of {schedule.protocol.product.display} nasal spray from "
        f"{_long_day(sessions[0].date)} to {_long_day(sessions[-1].date)}, given under supervision in a "
        "clinical setting, never at home."
    )


def _listed(title: str, texts: Iterable[str]) -> str:
    items = "".join(f"<li>{escape(text)}</li>" for text in texts)
    heading = f"<h3>{escape(title)}</h3>" if title else ""
    return f"{heading}<ul>{items}</ul>" if items else ""


def _sessions_table(schedule: Schedule) -> str:
    """The sessions in order of time, with the decisions between them as rows of their own."""
    dated = order_by_date(schedule.decision_points, schedule.sessions)
    rows = [_decision_row(one) if isinstance(one, DatedDecision) else _session_row(one) for one in dated]
    head = "".join(f"<th>{title}</th>" for title in ("Session", "Date", "Phase", "Dose"))
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _session_row(session: Session) -> str:
    cells = (str(session.number), _long_day(session.date), session.phase, name_doses(session))
    return f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}</tr>"


def _decision_row(point: DatedDecision) -> str:
    return (
        f"<tr><td></td><td>{escape(_long_day(point.date))}</td>"
        f'<td colspan="2"><b>{escape(name_decision(point.code))}.</b> {escape(point.text)}</td></tr>'
    )


def list_cautions(found: Assessment) -> list[str]:
    """What a clinician must know beside the schedule: alerts, cautions, and what was not looked at."""
    texts = [alert.text for alert in found.alerts]
    texts += [
        f"Caution: {finding.title} (label section {finding.section})."
        for finding in found.safety
        if finding.effect is Effect.CAUTION
    ]
    texts += [f"{warning.text}." for warning in found.warnings]
    if found.of_site:
        texts.append(name_site_lists(found))
    if found.not_screened:
        texts.append(f"Not screened: {list_not_screened(found.not_screened)}.")
    return texts


def name_doses(session: Session) -> str:
    """The doses that a clinician chooses from, such as "56 mg or 84 mg"."""
    return " or ".join(f"{dose} mg" for dose in session.dose_options_mg)


def _long_day(day: date) -> str:
    return f"{WEEKDAYS[day.weekday()]} {say_date(PartialDate.on(day))}"
