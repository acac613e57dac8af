"""Find, write and withdraw the document that stands in place of a CarePlan (docs/decisions/0030).

A create is sent once. What is about to be sent is kept in the ledger first, so that a review that finds an
outcome unknown looks before it sends anything again.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

import msgspec

from service.apply.ledger import Ledger, LedgerEntry, open_ledger
from service.core.documents import DELETED, EDITED, UNKNOWN, DocumentOfRecord
from service.core.plans import UNKNOWN_GROUNDS, WriteTier
from service.core.records import VersionedReference
from service.errors import ServerMisread, ServerRefused
from service.fhir.client import FhirClient, Stored
from service.fhir.loose import Resource, part, parts, text
from service.fhir.names import (
    DOCUMENT_IDENTIFIER,
    EDIT_DIGEST,
    PROPOSAL_IDENTIFIER,
    WITHDRAWN,
    edit_digest,
    extension_value,
    identifiers_of,
)
from service.fhir.references import read_reference
from service.fhir.sources import UNDECODABLE, read_subject, reports_error
from service.gather.everything import LARGEST_RECORD
from service.knowledge.dialects import DocumentTerms
from service.read.agenda import read_day
from service.render.document import (
    PLAN_OF_CARE_NOTE,
    SUPERSEDED,
    Page,
    render_communication,
    render_document,
)
from service.settings import Settings

_OBJECT = msgspec.json.Decoder(dict[str, Any])
_FIRST_VERSIONS = frozenset({None, "0", "1"})
"""The version of a resource that was created and not changed since, as far as a server counts versions."""


@dataclass(frozen=True, slots=True)
class Filing:
    """How the documents of one FHIR server are filed: the kind of resource, who writes them, and to whom."""

    client: FhirClient
    ledger: Ledger
    kind: str
    terms: DocumentTerms
    author: str | None
    recipient: str | None
    traces: bool
    """Whether the server takes a Provenance."""

    @property
    def updates(self) -> bool:
        """Whether a document is written over; else the next one refers to it."""
        return self.kind == "DocumentReference"


@asynccontextmanager
async def open_filing(client: FhirClient, settings: Settings) -> AsyncIterator[Filing]:
    """How documents are filed on a server that takes no CarePlan. Raises `QueueError` as the ledger does."""
    target = await client.target()
    kind = "DocumentReference" if target.tier is WriteTier.DOCUMENT else "Communication"
    traces = "Provenance" in target.takes
    terms = (await client.dialect()).document
    async with open_ledger(settings.database_url, client.base, kind) as ledger:
        yield Filing(client, ledger, kind, terms, settings.document_author, settings.task_owner, traces)


# --- what stands ----------------------------------------------------------------------------------


async def find_document(filing: Filing, patient_id: str) -> DocumentOfRecord | None:
    """The document of ours about a patient: by the ledger, else by a search.

    What is found without being in the ledger, or before its outcome was known, is entered there. Raises
    `ServerError` where the server fails.
    """
    entry = await filing.ledger.find(patient_id)
    if entry is not None and entry.reference is not None and (filing.updates or entry.settled):
        return await _find_entered(filing, patient_id, entry)
    try:
        found = await _search(filing, patient_id)
    except ServerRefused as refused:
        if refused.passing:
            raise
        return None if entry is None else _unknown(filing, entry)
    if found is None:
        # A search that does not show the one before shows none of ours.
        return _unknown(filing, entry) if entry is not None and entry.reference is not None else None
    return await _take_up(filing, patient_id, found, entry)


async def _find_entered(filing: Filing, patient_id: str, entry: LedgerEntry) -> DocumentOfRecord:
    """The document that the ledger names, as it stands now."""
    evidence = VersionedReference(filing.kind, _id_in(entry))
    if not filing.updates:
        return _of_entry(evidence, entry)
    resource = await filing.client.find(f"{evidence.type}/{evidence.id}")
    if resource is None:
        return replace(_of_entry(evidence, entry), left=DELETED)
    if not entry.settled and _makes(resource, entry.sent):
        return await _take_up(filing, patient_id, resource, entry)
    evidence = VersionedReference(filing.kind, evidence.id, _version_of(resource))
    untouched = edit_digest(resource) == entry.stored or _is_signed(resource)
    found = _of_entry(evidence, entry, stands=entry.settled)
    return replace(found, left=None if untouched else EDITED)


async def _take_up(
    filing: Filing, patient_id: str, resource: Resource, entry: LedgerEntry | None
) -> DocumentOfRecord:
    """Enter what was found, as far as it is what was sent last, or carries a signature that fits."""
    evidence = VersionedReference(filing.kind, resource["id"], _version_of(resource))
    sent = entry if entry is not None and _makes(resource, entry.sent) else None
    ours = not filing.updates or _is_signed(resource)
    ours = ours or (sent is not None and _may_follow(evidence.version, sent.over))
    taken = replace(
        sent or _entry_of(resource),
        reference=f"{evidence.type}/{evidence.id}",
        stored=edit_digest(resource) if filing.updates else None,
        settled=True,
    )
    if not ours:
        return replace(_of_entry(evidence, taken), left=EDITED)
    await filing.ledger.save(patient_id, taken)
    return _of_entry(evidence, taken)


async def _search(filing: Filing, patient_id: str) -> Resource | None:
    """Our document about a patient that stands, or the last Communication of ours."""
    loinc = f"{PLAN_OF_CARE_NOTE['system']}|{PLAN_OF_CARE_NOTE['code']}"
    params = {"patient": patient_id, **({"type": loinc} if filing.updates else {})}
    ours: list[Resource] = []
    client = filing.client.reading_at_most(LARGEST_RECORD)
    async for page in client.pages(filing.kind, params):
        ours += [one for entry in page.entry if (one := _ours(filing.kind, entry.resource, patient_id))]
    answered = {address for one in ours for address in _answered_by(one)}
    last = [one for one in ours if f"{filing.kind}/{one['id']}" not in answered]
    return min(last, key=lambda one: (one.get("status") != "current", one["id"]), default=None)


def _ours(kind: str, content: msgspec.Raw, patient_id: str) -> Resource | None:
    try:
        resource = _OBJECT.decode(content)
    except UNDECODABLE:
        return None
    if resource.get("resourceType") == "OperationOutcome" and reports_error(content):
        raise ServerMisread(f"GET {kind}: the answer contains an error of the server, so some may be missing")
    of_kind = resource.get("resourceType") == kind and isinstance(resource.get("id"), str)
    named = bool(identifiers_of(resource, DOCUMENT_IDENTIFIER))
    return resource if of_kind and named and read_subject(resource).id_of("Patient") == patient_id else None


def _answered_by(resource: Resource) -> list[str]:
    """What a Communication refers to as the earlier one."""
    named = (text(part(one).get("reference")) for one in parts(resource.get("inResponseTo")))
    return [read_reference(name).address for name in named]


def _unknown(filing: Filing, entry: LedgerEntry) -> DocumentOfRecord:
    """A document whose outcome is unknown, on a server that shows nobody whether it is there."""
    evidence = VersionedReference(filing.kind, _id_in(entry) if entry.reference else "unknown")
    return replace(_of_entry(evidence, entry), left=UNKNOWN)


def _of_entry(evidence: VersionedReference, entry: LedgerEntry, *, stands: bool = True) -> DocumentOfRecord:
    """The document of an entry; where what was sent last does not stand, its proposal is another one."""
    proposal = None if entry.sent == SUPERSEDED else entry.sent
    return DocumentOfRecord(
        evidence=evidence,
        proposal=proposal if stands else "",
        proposed_on=entry.proposed_on,
        grounds=entry.grounds,
        withdrawn=entry.withdrawn and stands,
    )


def _entry_of(resource: Resource) -> LedgerEntry:
    """What a document says of itself, where the ledger says nothing."""
    named = (part(one) for one in parts(resource.get("identifier")))
    ours = next(one for one in named if one.get("system") == DOCUMENT_IDENTIFIER)
    withdrawn = extension_value(resource, WITHDRAWN)
    since = read_day(part(ours.get("period")).get("start")) or read_day(text(resource.get("date"))[:10])
    return LedgerEntry(
        reference=None,
        sent=next(iter(identifiers_of(resource, PROPOSAL_IDENTIFIER)), ""),
        proposed_on=since,
        grounds=withdrawn or UNKNOWN_GROUNDS,
        withdrawn=withdrawn is not None,
    )


def _makes(resource: Resource, proposal: str) -> bool:
    """Whether a document makes a proposal, by the digest of it."""
    return proposal in identifiers_of(resource, PROPOSAL_IDENTIFIER)


def _may_follow(version: str | None, over: str | None) -> bool:
    """Whether nobody wrote between a version and the one that it was written over, as far as can be told."""
    if over is None or version is None:
        return version in _FIRST_VERSIONS
    counted = version.isdecimal() and over.isdecimal()
    return not counted or int(version) == int(over) + 1


def _is_signed(resource: Resource) -> bool:
    return extension_value(resource, EDIT_DIGEST) == edit_digest(resource)


def _version_of(resource: Resource) -> str | None:
    return text(part(resource.get("meta")).get("versionId")) or None


def _id_in(entry: LedgerEntry) -> str:
    return (entry.reference or "").partition("/")[2]


# --- what is written ------------------------------------------------------------------------------


async def file_document(  # noqa: PLR0913 - what is filed, about whom, over what, on what grounds and when
    filing: Filing,
    page: Page,
    patient_id: str,
    known: DocumentOfRecord | None,
    *,
    grounds: str,
    recorded: str,
) -> VersionedReference:
    """Write a page over the document of record, or after it; returns the version written.

    Raises `ServerRefused` with 409 or 412 when somebody was faster: read again and decide again.
    """
    before = await filing.ledger.find(patient_id)
    entry = LedgerEntry(
        reference=known.address if known else None,
        sent=page.proposal,
        proposed_on=page.proposed_on,
        grounds=grounds,
        over=known.evidence.version if known else None,
        stored=before.stored if before else None,
        withdrawn=page.withdrawn is not None,
        untraced=filing.traces and page.withdrawn is None,
    )
    await filing.ledger.save(patient_id, entry)
    stored = await _send(filing, page, patient_id, known, recorded)
    written = VersionedReference(filing.kind, await _named(filing, stored, patient_id), stored.version)
    await _settle(filing, patient_id, entry, written)
    return written


async def _send(
    filing: Filing, page: Page, patient_id: str, known: DocumentOfRecord | None, recorded: str
) -> Stored:
    author, terms = filing.author, filing.terms
    if not filing.updates:
        said = render_communication(
            page,
            patient_id,
            author=author,
            recipient=filing.recipient,
            earlier=known.address if known else None,
            recorded=recorded,
        )
        return await _create(filing.client, said)
    doc_status = terms.changed if known else terms.new
    document = render_document(page, patient_id, author=author, doc_status=doc_status, recorded=recorded)
    if known is None:
        return await _create(filing.client, document)
    return await filing.client.put(document | {"id": known.evidence.id}, only_over=known.evidence.version)


async def _create(client: FhirClient, resource: Resource) -> Stored:
    """Create a document, unless one with its identifier is there, where the server heeds that."""
    named = resource["identifier"][0]
    stored = await client.create(
        resource, unless=urlencode({"identifier": f"{named['system']}|{named['value']}"})
    )
    if not stored.created:
        kind = resource["resourceType"]
        raise ServerRefused(f"POST {kind}: one of ours is there already", HTTPStatus.CONFLICT)
    return stored


async def _named(filing: Filing, stored: Stored, patient_id: str) -> str:
    """The id of what was stored; one that the server does not name is searched for."""
    if stored.id is not None:
        return stored.id
    found = await _search(filing, patient_id)
    if found is None:
        raise ServerMisread(f"POST {filing.kind}: the server does not say what it stored, nor show it")
    return str(found["id"])


async def _settle(filing: Filing, patient_id: str, entry: LedgerEntry, written: VersionedReference) -> None:
    """Keep that it was stored, and how. A version that somebody wrote since is not taken for ours."""
    reference = f"{written.type}/{written.id}"
    resource = await filing.client.find(reference) if filing.updates else None
    ours = resource is not None and written.version in {None, _version_of(resource)}
    stored = edit_digest(resource) if ours and resource is not None else None
    await filing.ledger.save(patient_id, replace(entry, reference=reference, stored=stored, settled=True))
