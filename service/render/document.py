"""A proposal as a page in the chart, where a FHIR server takes no CarePlan.

https://hl7.org/fhir/R4/documentreference.html and https://hl7.org/fhir/R4/communication.html. Both hold the
page that `trd-careplan plan --html` prints, and are known again by identifiers.
"""

from base64 import b64encode
from dataclasses import dataclass
from datetime import date
from html import escape

from service.fhir.loose import Resource
from service.fhir.names import (
    DEVICE_INSIDE,
    DOCUMENT_IDENTIFIER,
    EDIT_DIGEST,
    PROPOSAL_IDENTIFIER,
    WITHDRAWN,
    derived_id,
    edit_digest,
)
from service.read.agenda import Agenda, read_agenda
from service.read.label import PatientLabel
from service.render.course import ShownPlan
from service.render.device import with_device_inside
from service.render.page import to_page

SUPERSEDED = "superseded"
"""In place of the digest of a proposal: the document makes none any more."""

_CONTENT_TYPE = "text/html; charset=utf-8"
_LOINC = "http://loinc.org"
PLAN_OF_CARE_NOTE = {"system": _LOINC, "code": "18776-5", "display": "Plan of care note"}
"""The kind of document: https://loinc.org/18776-5."""
_CLINICAL_NOTE = {
    "system": "http://hl7.org/fhir/us/core/CodeSystem/us-core-documentreference-category",
    "code": "clinical-note",
}
"""The category of all notes: http://hl7.org/fhir/us/core/StructureDefinition/us-core-documentreference."""
_NOTIFICATION = {
    "system": "http://terminology.hl7.org/CodeSystem/communication-category",
    "code": "notification",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What a document says: its title, the page, and the same in a few words.

    `proposal` is the digest of what is proposed, or `SUPERSEDED`; `proposed_on` the day from which its dates
    were counted; `withdrawn` the grounds of a proposal that was withdrawn by hand.
    """

    title: str
    html: str
    text: str
    proposal: str
    proposed_on: date | None
    withdrawn: str | None = None

    @property
    def proposes(self) -> bool:
        """Whether the page makes a proposal."""
        return self.proposal != SUPERSEDED


def render_proposal(
    plan: Resource, label: PatientLabel | None, *, proposal: str, proposed_on: date, as_of: date
) -> Page:
    """The page of a plan that is proposed and not on record."""
    where = "Proposed by decision support; not a CarePlan of this server"
    shown = ShownPlan(read_agenda(plan), where, label=label, as_of=as_of)
    return Page(
        title=str(plan["title"]),
        html=to_page(shown),
        text=str(plan["description"]),
        proposal=proposal,
        proposed_on=proposed_on,
    )


def render_superseded(
    title: str,
    why: str,
    label: PatientLabel | None,
    *,
    proposed_on: date | None,
    withdrawn: str | None = None,
) -> Page:
    """The page in place of a proposal that no longer holds, with the reason."""
    said = f"The proposal that this document made no longer holds. {why}"
    div = f"<div><h2>{escape(title)}</h2><p><b>{escape(said)}</b></p></div>"
    agenda = Agenda(plan="", title=title, status="revoked", activities=(), narrative=div)
    return Page(
        title=title,
        html=to_page(ShownPlan(agenda, "Written by decision support", label=label)),
        text=said,
        proposal=SUPERSEDED,
        proposed_on=proposed_on,
        withdrawn=withdrawn,
    )


def document_id(patient_id: str) -> str:
    """The value of the identifier of the document about a patient."""
    return derived_id("DocumentReference", patient_id)


def render_document(
    page: Page, patient_id: str, *, author: str | None, doc_status: str, recorded: str
) -> Resource:
    """The page as a DocumentReference. Without an `author`, it is this software.

    The period is the moment of writing, with a time at its end, as some servers need it.
    """
    document: Resource = {
        "resourceType": "DocumentReference",
        "identifier": _identifiers(page, document_id(patient_id)),
        "status": "current" if page.proposes else "superseded",
        "docStatus": doc_status,
        "type": {"coding": [PLAN_OF_CARE_NOTE], "text": "Plan of care note"},
        "category": [{"coding": [_CLINICAL_NOTE]}],
        "subject": {"reference": f"Patient/{patient_id}"},
        "date": recorded,
        "author": [_by(author)],
        "description": page.title if page.proposes else page.text,
        "content": [{"attachment": _attachment(page)}],
        "context": {"period": {"start": recorded, "end": recorded}},
    }
    signatures = {EDIT_DIGEST: edit_digest(document), WITHDRAWN: page.withdrawn}
    signed = [{"url": url, "valueString": value} for url, value in signatures.items() if value is not None]
    return _with_author({**document, "extension": signed}, author)


def render_communication(  # noqa: PLR0913 - what is said, by whom, to whom and after what
    page: Page,
    patient_id: str,
    *,
    author: str | None,
    recipient: str | None,
    earlier: str | None,
    recorded: str,
) -> Resource:
    """The page as a Communication to a clinician. `earlier` is the one that it takes the place of."""
    identity = derived_id("Communication", patient_id, earlier or "", page.proposal)
    said: Resource = {
        "resourceType": "Communication",
        "identifier": _identifiers(page, identity),
        "status": "completed",
        "category": [{"coding": [_NOTIFICATION]}],
        "priority": "routine",
        "subject": {"reference": f"Patient/{patient_id}"},
        "topic": {"text": page.title},
        "sent": recorded,
        "sender": _by(author),
        "payload": [{"contentString": page.text}, {"contentAttachment": _attachment(page)}],
    }
    if earlier is not None:
        said["inResponseTo"] = [{"reference": earlier}]
    if recipient is not None:
        said["recipient"] = [{"reference": recipient}]
    return _with_author(said, author)


def _identifiers(page: Page, identity: str) -> list[Resource]:
    """Which document it is, since when its proposal stands, and which proposal it makes."""
    ours: Resource = {"system": DOCUMENT_IDENTIFIER, "value": identity}
    if page.proposed_on is not None:
        ours["period"] = {"start": page.proposed_on.isoformat()}
    return [ours, {"system": PROPOSAL_IDENTIFIER, "value": page.proposal}]


def _attachment(page: Page) -> Resource:
    data = b64encode(page.html.encode()).decode()
    return {"contentType": _CONTENT_TYPE, "language": "en", "data": data, "title": page.title}


def _by(author: str | None) -> Resource:
    return {"reference": author or f"#{DEVICE_INSIDE}"}


def _with_author(resource: Resource, author: str | None) -> Resource:
    return resource if author else with_device_inside(resource)
