"""Render a proposal as a FHIR R4 CarePlan: https://hl7.org/fhir/R4/careplan.html.

Pure: the same decision gives the same plan. The schedule is one activity per session, so that a clinician
can tick off, move or miss each; it is in the narrative as well, which may be all that an EHR shows.
"""

from collections.abc import Iterator

from service.core.decision import Propose, goes_on_from
from service.core.knowledge import Protocol
from service.core.schedule import DatedDecision, Schedule, Session, order_by_date
from service.core.words import name_decision, summarise
from service.fhir.loose import Resource, part, parts
from service.fhir.names import (
    CONTENT_DIGEST,
    DEVICE_ID,
    EDIT_DIGEST,
    GROUNDS,
    PLAN_DEFINITION,
    PLAN_IDENTIFIER,
    WITHDRAWN,
    content_digest,
    derived_id,
    edit_digest,
)
from service.render.narrative import (
    list_cautions,
    name_doses,
    name_versions,
    render_narrative,
    render_revoked_narrative,
)

_RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
_US_CORE_CATEGORY = "http://hl7.org/fhir/us/core/CodeSystem/careplan-category"
_SYSTEMS = {"rxnorm": _RXNORM}


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
        "text": render_narrative(decision, schedule),
        "identifier": [{"system": PLAN_IDENTIFIER, "value": identity}],
        "instantiatesCanonical": [f"{PLAN_DEFINITION}/{protocol.id}|{protocol.version}"],
        "status": "draft",
        "intent": "proposal",
        "category": [
            {"coding": [{"system": _US_CORE_CATEGORY, "code": "assess-plan"}]},
            {"text": "Mental health"},
        ],
        "title": f"{protocol.title}: continued" if decision.continuation else protocol.title,
        "description": "Proposed by decision support. A clinician must decide whether to use it. "
        + summarise(decision),
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
        "supportingInfo": [{"display": name_versions(found, protocol)}],
        "activity": list(_activities(schedule)),
        "note": [{"text": text} for text in list_cautions(found)],
    }
    continued = decision.continuation
    if continued is not None:
        plan["extension"] = [{"url": GROUNDS, "valueString": goes_on_from(decision)}]
        plan["basedOn"] = [{"reference": f"CarePlan/{continued.based_on.evidence.id}"}]
        replaces = continued.replaces.evidence.id if continued.replaces else replaces
    if replaces is not None:
        plan["replaces"] = [{"reference": f"CarePlan/{replaces}"}]
    return _signed(plan)


def render_revoked(plan: Resource, why: str) -> Resource:
    """A plan of ours, revoked, with the assessment that no longer supports it in place of the proposal.

    The sessions stay as they were, and the narrative shows them as what was proposed.
    """
    text = f"Revoked by the service that proposed it. {why}"
    note = [*parts(plan.get("note")), {"text": text}]
    revoked = {**plan, "status": "revoked", "description": text, "note": note}
    revoked["text"] = render_revoked_narrative(plan, text)
    return _signed(revoked)


def render_withdrawn(plan: Resource, reason: str, grounds: str) -> Resource:
    """A draft of ours, revoked by hand. `grounds` keep the same proposal from being made again."""
    mark = {"url": WITHDRAWN, "valueString": grounds}
    marked = {**plan, "extension": [*parts(plan.get("extension")), mark]}
    return render_revoked(marked, f"Withdrawn by hand: {reason}")


def _signed(plan: Resource) -> Resource:
    """The plan with digests of what a person could change and of its whole content.

    FHIR has no empty lists; extensions of others stay.
    """
    unsigned = {key: value for key, value in plan.items() if key != "extension" and value != []}
    digests = {EDIT_DIGEST: edit_digest(unsigned), CONTENT_DIGEST: content_digest(unsigned)}
    others = [one for one in parts(plan.get("extension")) if part(one).get("url") not in digests]
    signatures = [{"url": url, "valueString": digest} for url, digest in digests.items()]
    return {**unsigned, "extension": [*others, *signatures]}


def _activities(schedule: Schedule) -> Iterator[Resource]:
    """What to do, in order: before the first session, the sessions, the decisions between, the rule after."""
    for text in schedule.preparation:
        yield _activity("Before the first session", f"{text}.")
    for one in order_by_date(schedule.decision_points, schedule.sessions):
        match one:
            case DatedDecision():
                yield _activity(name_decision(one.code), one.text, event=one.date.isoformat())
            case Session():
                yield _session(one, schedule)
    yield _then(schedule.protocol)


def _activity(title: str, description: str, event: str | None = None) -> Resource:
    detail: Resource = {"code": {"text": title}, "status": "not-started", "description": description}
    if event is not None:
        detail["scheduledTiming"] = {"event": [event]}
    return {"detail": detail}


def _session(session: Session, schedule: Schedule) -> Resource:
    """One session; a quantity only where a single dose is fixed, never a daily amount."""
    doses = name_doses(session)
    condition = _condition_of(session, schedule)
    visit = schedule.visit
    steps = (
        ("Before the visit", visit.before),
        ("During the visit", visit.during),
        ("After the visit", visit.after),
    )
    tasks = " ".join(f"{when}: {'; '.join(texts)}." for when, texts in steps)
    detail: Resource = {
        "kind": "MedicationRequest",
        "code": {"text": f"Esketamine session {_numbered(session, schedule)} ({session.phase})"},
        "status": "not-started",
        "scheduledTiming": {"event": [session.date.isoformat()]},
        "productCodeableConcept": _product(schedule.protocol),
        "description": f"Dose: {doses}; the clinician decides.{condition} {tasks}",
    }
    if len(session.dose_options_mg) == 1:
        detail["quantity"] = {
            "value": session.dose_options_mg[0],
            "unit": "mg",
            "system": "http://unitsofmeasure.org",
            "code": "mg",
        }
    return {"detail": detail}


def _numbered(session: Session, schedule: Schedule) -> str:
    """The number of a session; of how many only where the plan begins with the first."""
    whole = schedule.sessions[0].number == 1
    return f"{session.number} of {len(schedule.sessions)}" if whole else str(session.number)


def _condition_of(session: Session, schedule: Schedule) -> str:
    """Sessions after a benefit review hang on its outcome."""
    reviewed = [point for point in schedule.decision_points if point.date <= session.date]
    return " Only if the benefit review supports continued treatment." if reviewed else ""


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
