"""Render a Provenance: from what, with what, when and why a version was written.

https://hl7.org/fhir/R4/provenance.html
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from service import __version__
from service.cause import Cause
from service.core.assessment import Assessment
from service.core.decision import Decision, grounds_of
from service.core.records import Record, VersionedReference
from service.core.schedule import Calendar
from service.core.words import WEEKDAYS
from service.fhir.loose import Resource
from service.fhir.names import (
    CAUSES,
    DEVICE_ID,
    MADE_WITH,
    SIGNATURES,
    VERSION_IDENTIFIER,
    derived_id,
    grounds_digest,
)

_PARTICIPANT = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"
_AGENT = {
    "type": {"coding": [{"system": _PARTICIPANT, "code": "assembler"}]},
    "who": {"reference": f"Device/{DEVICE_ID}"},
}
_CAUSES = {
    Cause.OPERATION: "An operation was requested",
    Cause.REVIEWS: "A review was requested",
    Cause.REST_HOOK: "The FHIR server reported a change",
    Cause.TOPIC: "The FHIR server reported an event of a topic",
    Cause.HL7V2: "An integration engine sent a message",
    Cause.SWEEP: "A sweep found a change",
    Cause.DELETED: "The FHIR server reported a deletion",
    Cause.DAILY: "A daily review was due",
    Cause.ROSTER: "A review of the roster was due",
    Cause.RETRY: "A failed review was queued again by hand",
    Cause.COMMAND: "A command was given",
    Cause.WITHDRAWAL: "The draft was withdrawn by hand",
    Cause.OTHER: "Not stated",
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
        "clinic": describe_calendar(occasion.calendar),
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
            "text": f"Assessed with criteria set {found.knowledge.criteria.id} "
            f"{found.knowledge.criteria.version}, knowledge version {found.knowledge.version}"
        },
        "agent": [_AGENT],
        "entity": [{"role": "source", "what": _source(ref)} for ref in _sources(found, record)],
    }


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


def render_unread(targets: Iterable[VersionedReference], cause: Cause, recorded: str) -> Resource:
    """The Provenance of what was written although the record could not be read."""
    written = [str(target) for target in targets]
    return {
        "resourceType": "Provenance",
        "id": derived_id("Provenance", *written),
        "extension": [
            {
                "url": MADE_WITH,
                "extension": [{"url": "software", "valueString": __version__}],
            }
        ],
        "target": [_versioned(reference) for reference in written],
        "recorded": recorded,
        "reason": [_cause(cause)],
        "activity": {"text": "Not assessed: the record is too large"},
        "agent": [_AGENT],
    }


def render_stored(target: VersionedReference, signatures: Mapping[str, str], recorded: str) -> Resource:
    """The Provenance of a version that the server stored otherwise than it was sent.

    It keeps what the version is signed with, and the digest of what a person could change as it is stored, so
    that a later change by a person shows (docs/decisions/0026).
    """
    parts = [("software", __version__), *((_signature(url), value) for url, value in signatures.items())]
    return {
        "resourceType": "Provenance",
        "id": stored_id(str(target)),
        "extension": [
            {
                "url": MADE_WITH,
                "extension": [{"url": name, "valueString": value} for name, value in parts],
            }
        ],
        "target": [_versioned(str(target))],
        "recorded": recorded,
        "activity": {"text": "Stored by the server in another form than it was sent"},
        "agent": [_AGENT],
    }


def stored_id(version: str) -> str:
    """The id of the Provenance that `render_stored` makes for a version."""
    return derived_id("Provenance", "stored", version)


def read_signatures(parts: Mapping[str, str]) -> dict[str, str]:
    """The signatures that a Provenance of `render_stored` keeps, by its parts; none of any other one."""
    return {url: parts[_signature(url)] for url in SIGNATURES if _signature(url) in parts}


def _signature(url: str) -> str:
    return f"stored-{url.rpartition('/')[2]}"


def describe_calendar(calendar: Calendar) -> str:
    """All of a clinic's calendar that dates depend on, short enough to be written down with them."""
    weekdays = ",".join(WEEKDAYS[day].lower() for day in sorted(calendar.weekdays))
    closed = derived_id(*(day.isoformat() for day in sorted(calendar.closed)))[:12]
    return f"{weekdays}; lead {calendar.lead_days} days; {calendar.setting.value}; closing days {closed}"


def _cause(cause: Cause) -> Resource:
    return {"coding": [{"system": CAUSES, "code": cause.value}], "text": _CAUSES[cause]}


def _source(ref: VersionedReference) -> Resource:
    """A version that a conclusion rests on, by name: a reference to it would keep HAPI from deleting it."""
    name = str(ref)
    return {"type": ref.type, "identifier": {"system": VERSION_IDENTIFIER, "value": name}, "display": name}


def _versioned(reference: str) -> Resource:
    """A reference to one version. HAPI stores references without their version, but keeps the display."""
    return {"reference": reference, "display": reference}


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
