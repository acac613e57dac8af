"""Render a decision as FHIR R4: CarePlan, GuidanceResponse (the assessment on record), Provenance, Device.

Pure: the same decision gives the same resources. Shapes: https://hl7.org/fhir/R4/careplan.html,
guidanceresponse.html, provenance.html; the schedule is one activity a session, so that a clinician can tick
off, move or miss each, and it stands in the narrative as well, which may be all that an EHR shows.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum
from html import escape
from typing import Any

from service import __version__
from service.cause import Cause
from service.core.assessment import Assessment
from service.core.dates import PartialDate
from service.core.decision import Decision, NeedsInformation, Propose, grounds_of
from service.core.findings import ReasonCode
from service.core.knowledge import Effect, Protocol
from service.core.records import Record, VersionedReference
from service.core.safety import SafetyFinding
from service.core.schedule import Calendar, DatedDecision, Schedule, Session, Unschedulable
from service.core.tasks import WantedTask
from service.core.trials import Counts, Trial
from service.core.words import headline, spoken, summarise, trial_sentence
from service.fhir.loose import part, parts
from service.fhir.names import (
    ASSESSMENT_IDENTIFIER,
    ASSESSMENT_MODULE,
    CAUSES,
    CONTENT_DIGEST,
    DEVICE_ID,
    DEVICE_IDENTIFIER,
    EDIT_DIGEST,
    MADE_WITH,
    PLAN_DEFINITION,
    PLAN_IDENTIFIER,
    VERSION_IDENTIFIER,
    WITHDRAWN,
    content_digest,
    derived_id,
    edit_digest,
    grounds_digest,
)

Resource = dict[str, Any]

_RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
_US_CORE_CATEGORY = "http://hl7.org/fhir/us/core/CodeSystem/careplan-category"
_PARTICIPANT = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"
_SYSTEMS = {"rxnorm": _RXNORM}
_NEEDED_FROM = {
    "two-adequate-trials-without-relief": "MedicationStatement",
    "adult": "Patient",
}


TASK = "task"
"""Name of the output that tells what a person was asked."""
PLAN_OF = "plan-of"
"""Name of the output that tells whose the plan is that the assessment ends in."""
MISSING_PLAN = "missing-plan"
"""Name of the output that tells of a plan that is no longer listed: it may have been deleted."""
_SHOWING_DEPRESSION = frozenset({"current-depression", "current-suicidality"})
_NO_SIGN = frozenset({ReasonCode.NO_CONDITIONS, ReasonCode.NO_MDD, ReasonCode.NO_SUICIDALITY})


class Whose(StrEnum):
    """Who made a plan."""

    OURS = "this-service"
    ANOTHERS = "another"


def render_plan(decision: Propose, schedule: Schedule, identity: str, replaces: str | None) -> Resource:
    """The CarePlan that proposes a schedule.

    `identity` is what the plan is about (`plan_identity`), `replaces` the id of the plan before it.
    """
    found = decision.assessment
    protocol = schedule.protocol
    subject = {"reference": f"Patient/{found.patient.id}"}
    plan: Resource = {
        "resourceType": "CarePlan",
        "id": derived_id("CarePlan", identity),
        "language": "en",
        "text": _narrative(decision, schedule),
        "identifier": [{"system": PLAN_IDENTIFIER, "value": identity}],
        "instantiatesCanonical": [f"{PLAN_DEFINITION}/{protocol.id}|{protocol.version}"],
        "status": "draft",
        "intent": "proposal",
        "category": [
            {"coding": [{"system": _US_CORE_CATEGORY, "code": "assess-plan"}]},
            {"text": "Mental health"},
        ],
        "title": protocol.title,
        "description": "Proposed by decision support for a clinician to decide on. " + summarise(decision),
        "subject": subject,
        "period": {
            "start": schedule.sessions[0].date.isoformat(),
            "end": max(
                (schedule.sessions[-1].date, *(point.date for point in schedule.decision_points))
            ).isoformat(),
        },
        "created": found.as_of.isoformat(),
        "author": {"reference": f"Device/{DEVICE_ID}"},
        "addresses": [{"reference": f"Condition/{ref.id}"} for ref in found.anchors[:1]],
        "supportingInfo": [{"display": _by(found, protocol)}],
        "activity": list(_activities(schedule)),
        "note": [{"text": text} for text in _cautions(found)],
    }
    if replaces is not None:
        plan["replaces"] = [{"reference": f"CarePlan/{replaces}"}]
    return _signed(plan)


def render_revoked(plan: Resource, why: str) -> Resource:
    """A plan of ours, revoked, with the assessment that no longer supports it in place of the proposal.

    The sessions stay as they were, and the narrative shows them as what was proposed.
    """
    text = f"Revoked by the service that proposed it. {why}"
    note = [*plan.get("note", []), {"text": text}]
    revoked = {**plan, "status": "revoked", "description": text, "note": note}
    div = part(plan.get("text")).get("div")
    start, end, rest = (div if isinstance(div, str) else _div("")).partition(">")
    said = f"<p><b>{escape(text)}</b></p><p>What had been proposed:</p>"
    revoked["text"] = {"status": "generated", "div": f"{start}{end}{said}{rest}"}
    return _signed(revoked)


def render_guidance(  # noqa: PLR0913 - each is said in the record of an assessment
    decision: Decision,
    plan_id: str | None,
    left: str | None = None,
    *,
    tasks: Iterable[WantedTask] = (),
    missing_plans: Iterable[str] = (),
    whose: Whose = Whose.OURS,
) -> Resource:
    """The record of the assessment: one GuidanceResponse a patient, with each criterion in its output.

    `left` is why the plan on record stays as it is, where it does; `tasks` is what a person is asked;
    `missing_plans` are ids of plans of ours that an earlier assessment ended in and that are no longer
    listed; `whose` says whose the plan is that this one ends in.
    """
    found = decision.assessment
    guidance: Resource = {
        "resourceType": "GuidanceResponse",
        "id": guidance_id(found.patient.id),
        "identifier": [{"system": ASSESSMENT_IDENTIFIER, "value": guidance_id(found.patient.id)}],
        "contained": [_output(decision, tasks, missing_plans)],
        "moduleUri": ASSESSMENT_MODULE,
        "status": "data-required" if isinstance(decision, NeedsInformation) else "success",
        "subject": {"reference": f"Patient/{found.patient.id}"},
        "occurrenceDateTime": found.as_of.isoformat(),
        "performer": {"reference": f"Device/{DEVICE_ID}"},
        "note": [{"text": _assessment_in_words(decision, left)}],
        "outputParameters": {"reference": "#output"},
    }
    if isinstance(decision, NeedsInformation):
        needed = dict.fromkeys(_NEEDED_FROM.get(m.would_decide, "Condition") for m in found.missing)
        guidance["dataRequirement"] = [{"type": kind} for kind in needed]
    if plan_id is not None:
        guidance["result"] = {"reference": f"CarePlan/{plan_id}"}
        guidance["contained"][0]["parameter"].append({"name": PLAN_OF, "valueCode": whose.value})
    return sign_guidance(guidance)


def sign_guidance(guidance: Resource) -> Resource:
    """The assessment with a digest of what it says, by which it is known when it says something new."""
    digest = {"url": CONTENT_DIGEST, "valueString": content_digest(guidance)}
    return {**guidance, "extension": [digest]}


def _assessment_in_words(decision: Decision, left: str | None) -> str:
    """The summary, without a schedule that stands in no plan: its dates would move on every day."""
    if isinstance(decision, Propose):
        if left is not None:
            why = f"the plan on record stays as it is ({left})"
            decision = replace(decision, schedule=Unschedulable(why))
        elif isinstance(decision.schedule, Unschedulable):
            why = "the clinic's calendar cannot hold the sessions of the protocol"
            decision = replace(decision, schedule=Unschedulable(why))
    return summarise(decision)


def guidance_id(patient_id: str) -> str:
    """The id of the one GuidanceResponse of a patient."""
    return derived_id("GuidanceResponse", patient_id)


_AGENT = {
    "type": {"coding": [{"system": _PARTICIPANT, "code": "assembler"}]},
    "who": {"reference": f"Device/{DEVICE_ID}"},
}


@dataclass(frozen=True, slots=True)
class Occasion:
    """When something is written, what brought it about, and what it was decided from.

    `recorded` is the instant of writing, `task_owner` whom a person's Task is for. None of it decides
    whether anything is written.
    """

    recorded: str
    cause: Cause
    record: Record
    calendar: Calendar
    task_owner: str | None = None


def render_provenance(
    decision: Decision, targets: Iterable[VersionedReference], occasion: Occasion
) -> Resource:
    """What was written from which versions, by what, when, and what brought it about.

    It answers for a version of a plan all that is needed to decide the same again.
    """
    found, record = decision.assessment, occasion.record
    written = [str(target) for target in targets]
    made_with = {
        "software": __version__,
        "knowledge": found.knowledge.version,
        "criteria": f"{found.knowledge.criteria.id}|{found.knowledge.criteria.version}",
        "region": found.knowledge.region,
        "clinic": in_words(occasion.calendar),
        "decision": decision.reason.value,
    }
    if grounds := grounds_of(decision):
        made_with["grounds"] = grounds_digest(grounds)
    parts = [*made_with.items(), *(("not-read", kind) for kind in record.not_read)]
    parts += [("refused", kind) for kind in record.refused]
    return {
        "resourceType": "Provenance",
        "id": derived_id("Provenance", *written),
        "extension": [
            {
                "url": MADE_WITH,
                "extension": [{"url": name, "valueString": value} for name, value in parts],
            }
        ],
        "target": [_versioned(reference) for reference in written],
        "occurredDateTime": found.as_of.isoformat(),
        "recorded": occasion.recorded,
        "reason": [_cause(occasion.cause)],
        "activity": {
            "text": f"Assessed by criteria {found.knowledge.criteria.id} {found.knowledge.criteria.version}, "
            f"knowledge {found.knowledge.version}"
        },
        "agent": [_AGENT],
        "entity": [{"role": "source", "what": _source(ref)} for ref in _sources(found, record)],
    }


def render_withdrawn(plan: Resource, reason: str, grounds: str) -> Resource:
    """A draft of ours, revoked by hand. `grounds` keep the same proposal from being made again."""
    mark = {"url": WITHDRAWN, "valueString": grounds}
    marked = {**plan, "extension": [*plan.get("extension", []), mark]}
    return render_revoked(marked, f"Withdrawn by hand: {reason}")


def render_withdrawal(
    plan: VersionedReference, target: VersionedReference, reason: str, recorded: str
) -> Resource:
    """The Provenance of a withdrawn plan: which version was withdrawn, when and why."""
    return {
        "resourceType": "Provenance",
        "id": derived_id("Provenance", str(target)),
        "extension": [
            {
                "url": MADE_WITH,
                "extension": [{"url": "software", "valueString": __version__}],
            }
        ],
        "target": [_versioned(str(target))],
        "recorded": recorded,
        "reason": [{**_cause(Cause.WITHDRAWAL), "text": reason}],
        "activity": {"text": "Withdrawn by hand"},
        "agent": [_AGENT],
        "entity": [{"role": "revision", "what": _source(plan)}],
    }


def in_words(calendar: Calendar) -> str:
    """All of a clinic's calendar that dates depend on, short enough to be written down with them."""
    weekdays = ",".join(_WEEKDAYS[day].lower() for day in sorted(calendar.weekdays))
    closed = derived_id(*(day.isoformat() for day in sorted(calendar.closed)))[:12]
    return f"{weekdays}; lead {calendar.lead_days} days; {calendar.setting.value}; closing days {closed}"


_CAUSES = {
    Cause.OPERATION: "An operation was asked for",
    Cause.REST_HOOK: "The FHIR server told of a change",
    Cause.SWEEP: "A sweep found a change",
    Cause.DELETED: "The FHIR server told of a deletion",
    Cause.RETRY: "A failed review was put back by hand",
    Cause.COMMAND: "A command was given",
    Cause.WITHDRAWAL: "It was withdrawn by hand",
    Cause.OTHER: "Not stated",
}


def _cause(cause: Cause) -> Resource:
    return {"coding": [{"system": CAUSES, "code": cause.value}], "text": _CAUSES[cause]}


def _source(ref: VersionedReference) -> Resource:
    """A version that a conclusion rests on, by name: a reference to it would keep HAPI from deleting it."""
    name = str(ref)
    return {"type": ref.type, "identifier": {"system": VERSION_IDENTIFIER, "value": name}, "display": name}


def _versioned(reference: str) -> Resource:
    """A reference to one version. HAPI stores references without their version, but keeps the display."""
    return {"reference": reference, "display": reference}


def render_device() -> Resource:
    """This software, as the author of what it writes."""
    return {
        "resourceType": "Device",
        "id": DEVICE_ID,
        "identifier": [{"system": DEVICE_IDENTIFIER, "value": DEVICE_ID}],
        "status": "active",
        "deviceName": [{"name": "trd-careplan", "type": "user-friendly-name"}],
        "type": {"text": "Clinical decision support software"},
        "version": [{"value": __version__}],
    }


def shows_depression(found: Assessment) -> bool:
    """Whether the record has any sign of depression; without one no assessment is recorded on the server.

    That no condition or no medicine is on record leaves criteria open, but is no sign of depression.
    """
    signs = {
        reason.code
        for pathway in found.pathways
        for criterion in pathway.criteria
        if criterion.id in _SHOWING_DEPRESSION
        for reason in criterion.answer.reasons
    }
    return bool(found.trials or found.anchors or found.alerts or signs - _NO_SIGN)


def _signed(plan: Resource) -> Resource:
    """The plan with digests of what a person could change and of all that it says.

    FHIR has no empty lists; extensions of others stay.
    """
    unsigned = {key: value for key, value in plan.items() if key != "extension" and value != []}
    digests = {EDIT_DIGEST: edit_digest(unsigned), CONTENT_DIGEST: content_digest(unsigned)}
    others = [one for one in parts(plan.get("extension")) if part(one).get("url") not in digests]
    signatures = [{"url": url, "valueString": digest} for url, digest in digests.items()]
    return {**unsigned, "extension": [*others, *signatures]}


def _sources(found: Assessment, record: Record) -> list[VersionedReference]:
    """Every version that was read, as what is not found rests on all of them, and all that is cited."""
    refs = {found.patient, *found.anchors, *record.read}
    refs.update(ref for trial in found.trials for ref in trial.evidence)
    refs.update(ref for finding in found.safety for ref in finding.evidence)
    refs.update(ref for alert in found.alerts for ref in alert.evidence)
    for pathway in found.pathways:
        for criterion in pathway.criteria:
            refs.update(ref for reason in criterion.answer.reasons for ref in reason.evidence)
    return sorted(refs, key=str)


# --- activities -----------------------------------------------------------------------------------


def _activities(schedule: Schedule) -> Iterator[Resource]:
    """What to do, in order: before the first session, the sessions, the decisions between, the rule after."""
    for text in schedule.preparation:
        yield _activity("Before the first session", f"{text}.")
    total = len(schedule.sessions)
    decisions = sorted(schedule.decision_points, key=lambda point: point.date)
    for session in schedule.sessions:
        while decisions and decisions[0].date <= session.date:
            point = decisions.pop(0)
            yield _activity(_title(point.code), point.text, event=point.date.isoformat())
        yield _session(session, total, schedule)
    for point in decisions:
        yield _activity(_title(point.code), point.text, event=point.date.isoformat())
    yield _then(schedule.protocol)


def _title(code: str) -> str:
    return code.replace("-", " ").capitalize()


def _activity(title: str, description: str, event: str | None = None) -> Resource:
    detail: Resource = {"code": {"text": title}, "status": "not-started", "description": description}
    if event is not None:
        detail["scheduledTiming"] = {"event": [event]}
    return {"detail": detail}


def _session(session: Session, total: int, schedule: Schedule) -> Resource:
    """One session; a quantity only where a single dose is fixed, never a daily amount."""
    doses = _doses(session)
    condition = _condition_of(session, schedule)
    visit = schedule.visit
    steps = (("Before", visit.before), ("During", visit.during), ("After", visit.after))
    tasks = " ".join(f"{when}: {'; '.join(texts)}." for when, texts in steps)
    detail: Resource = {
        "kind": "MedicationRequest",
        "code": {"text": f"Esketamine session {session.number} of {total} ({session.phase})"},
        "status": "not-started",
        "scheduledTiming": {"event": [session.date.isoformat()]},
        "productCodeableConcept": _product(schedule.protocol),
        "description": f"{doses}; the clinician decides the dose.{condition} {tasks}",
    }
    if len(session.dose_options_mg) == 1:
        detail["quantity"] = {
            "value": session.dose_options_mg[0],
            "unit": "mg",
            "system": "http://unitsofmeasure.org",
            "code": "mg",
        }
    return {"detail": detail}


def _doses(session: Session) -> str:
    return " or ".join(f"{dose} mg" for dose in session.dose_options_mg)


def _condition_of(session: Session, schedule: Schedule) -> str:
    """Sessions after a benefit review hang on its outcome."""
    reviewed = [point for point in schedule.decision_points if point.date <= session.date]
    return " Only if the benefit review supports it." if reviewed else ""


def _then(protocol: Protocol) -> Resource:
    detail: Resource = {
        "code": {"text": "After the last dated session"},
        "status": "not-started",
        "description": protocol.then,
    }
    repeat = protocol.then_repeat
    if repeat is not None:
        detail["productCodeableConcept"] = _product(protocol)
        detail["scheduledTiming"] = {
            "repeat": {
                "frequency": repeat.frequency,
                "period": repeat.period,
                "periodMax": repeat.period_max,
                "periodUnit": repeat.unit,
            }
        }
    return {"detail": detail}


def _product(protocol: Protocol) -> Resource:
    product = protocol.product
    coding = {
        "system": _SYSTEMS[product.system or ""],
        "code": product.code,
        "display": product.display,
    }
    return {"coding": [coding], "text": product.display}


# --- words ----------------------------------------------------------------------------------------


def _cautions(found: Assessment) -> list[str]:
    """What a clinician must know beside the schedule: alerts, cautions, and what was not looked at."""
    texts = [alert.text for alert in found.alerts]
    texts += [
        f"Caution: {finding.title} (label section {finding.section})."
        for finding in found.safety
        if finding.effect is Effect.CAUTION
    ]
    texts += [f"{warning.text}." for warning in found.warnings]
    if found.not_screened:
        texts.append(f"Not screened: {', '.join(found.not_screened)}.")
    return texts


def _narrative(decision: Propose, schedule: Schedule) -> Resource:
    """The whole plan in plain words: it may be all that a reader sees, in an EHR or on paper.

    https://hl7.org/fhir/R4/narrative.html: text, no links, no styles.
    """
    found, visit = decision.assessment, schedule.visit
    reasons = [trial_sentence(trial, found.as_of) for trial in found.trials if trial.counts is not Counts.NO]
    parts = [
        f"<h2>{escape(schedule.protocol.title)}</h2>",
        "<p><b>Draft, proposed by decision support. A clinician decides; nothing is ordered.</b></p>",
        *(f"<p><b>Alert: {escape(alert.text)}</b></p>" for alert in found.alerts),
        f"<p>{escape(_what(schedule))}</p>",
        _listed("Before the first session", schedule.preparation),
        "<h3>Sessions</h3>",
        _sessions_table(schedule),
        f"<p>{escape(schedule.then)}</p>",
        _listed("Before each visit", visit.before),
        _listed("During each visit", visit.during),
        _listed("After each visit", visit.after),
        f"<h3>Why</h3><p>{escape(headline(decision))}</p>",
        _listed("", reasons),
        _listed("To weigh", _cautions(found)[len(found.alerts) :]),
        f"<p>{escape(_by(found, schedule.protocol))}</p>",
    ]
    return {"status": "generated", "div": _div("".join(parts))}


def _div(content: str) -> str:
    return f'<div xmlns="http://www.w3.org/1999/xhtml" lang="en" xml:lang="en">{content}</div>'


def _by(found: Assessment, protocol: Protocol) -> str:
    """By what it was decided; another version of any of these makes another draft of it."""
    criteria, version = found.knowledge.criteria, found.knowledge.version
    return (
        f"Criteria {criteria.id} {criteria.version}, protocol {protocol.id} {protocol.version}, "
        f"knowledge {version}."
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
    rows = []
    decisions = sorted(schedule.decision_points, key=lambda point: point.date)
    for session in schedule.sessions:
        while decisions and decisions[0].date <= session.date:
            rows.append(_decision_row(decisions.pop(0)))
        cells = (str(session.number), _long_day(session.date), session.phase, _doses(session))
        rows.append(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}</tr>")
    rows += [_decision_row(point) for point in decisions]
    head = "".join(f"<th>{title}</th>" for title in ("Session", "Date", "Phase", "Dose"))
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _decision_row(point: DatedDecision) -> str:
    return (
        f"<tr><td></td><td>{escape(_long_day(point.date))}</td>"
        f'<td colspan="2"><b>{escape(_title(point.code))}.</b> {escape(point.text)}</td></tr>'
    )


_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def _long_day(day: date) -> str:
    return f"{_WEEKDAYS[day.weekday()]} {spoken(PartialDate.on(day))}"


def _output(decision: Decision, tasks: Iterable[WantedTask], missing_plans: Iterable[str]) -> Resource:
    found = decision.assessment
    parameters: list[Resource] = [
        {"name": "decision-reason", "valueCode": decision.reason.value},
        {"name": "criteria", "valueString": found.knowledge.criteria.id},
        {"name": "knowledge-version", "valueString": found.knowledge.version},
    ]
    parameters += [
        {
            "name": pathway.id,
            "part": [
                {"name": criterion.id, "valueCode": criterion.answer.finding.value}
                for criterion in pathway.criteria
            ],
        }
        for pathway in found.pathways
    ]
    parameters += [_trial(trial, found.as_of) for trial in found.trials]
    parameters += [_safety(finding) for finding in found.safety]
    parameters += [{"name": "alert", "valueString": alert.text} for alert in found.alerts]
    parameters += [
        {"name": "missing", "valueString": f"{missing.what} (decides {missing.would_decide})"}
        for missing in found.missing
    ]
    parameters += [_task(task) for task in tasks]
    parameters += [{"name": MISSING_PLAN, "valueString": plan_id} for plan_id in missing_plans]
    return {"resourceType": "Parameters", "id": "output", "parameter": parameters}


def _task(task: WantedTask) -> Resource:
    return {
        "name": TASK,
        "part": [
            {"name": "reason", "valueCode": task.reason.value},
            {"name": "grounds", "valueString": task.grounds},
        ],
    }


def _trial(trial: Trial, as_of: date) -> Resource:
    return {
        "name": "trial",
        "part": [
            {"name": "medicine", "valueString": trial.name},
            {"name": "adequacy", "valueCode": trial.adequacy.finding.value},
            {"name": "outcome", "valueCode": trial.outcome.finding.value},
            {"name": "counts", "valueCode": trial.counts.value},
            {"name": "in-words", "valueString": trial_sentence(trial, as_of)},
        ],
    }


def _safety(finding: SafetyFinding) -> Resource:
    return {
        "name": "safety",
        "part": [
            {"name": "id", "valueCode": finding.id},
            {"name": "effect", "valueCode": finding.effect.value},
            {"name": "finding", "valueCode": finding.finding.value},
            {"name": "label-section", "valueString": finding.section},
        ],
    }
