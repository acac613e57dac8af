"""What this service wrote where a FHIR server takes no CarePlan: its documents, as the ledger names them."""

from datetime import date

from service.apply.documents import Filing, find_document, open_filing
from service.commands.written import Listed, Written, WrittenFilter, list_written
from service.core.decision import DecisionName
from service.core.documents import EDITED, DocumentOfRecord
from service.fhir.client import FhirClient
from service.fhir.loose import Resource, text
from service.read.agenda import read_day
from service.settings import Settings


async def list_ours(client: FhirClient, settings: Settings, wanted: WrittenFilter) -> list[Listed]:
    """Everything of ours that is asked for, in whichever way the server is written to.

    Documents are those of the ledger: no search shows them without a patient.
    """
    if not (await client.target()).tier.is_below_care_plan:
        return await list_written(client, wanted, settings.timezone)
    async with open_filing(client, settings) as filing:
        patients = sorted(await filing.ledger.all())
        found = [await _listed(filing, one) for one in patients if wanted.patient in {None, one}]
    return [listed for listed in found if listed and wanted.includes(listed.written)]


async def _listed(filing: Filing, patient_id: str) -> Listed | None:
    known = await find_document(filing, patient_id)
    if known is None:
        return None
    content = await filing.client.find(known.address) or {}
    written = Written(
        resource=str(known.evidence),
        kind="document",
        patient=f"Patient/{patient_id}",
        status=text(content.get("status")) or None,
        edited=known.left == EDITED,
        day=_day(content),
        decision=DecisionName.PROPOSE if known.proposal else None,
        reason=None,
        criteria=None,
        knowledge=None,
        software=None,
        cause=None,
    )
    return Listed(written, content, None, known)


def _day(content: Resource) -> date | None:
    return read_day(text(content.get("date") or content.get("sent"))[:10])


def why_not_withdrawn(known: DocumentOfRecord) -> str | None:
    """Why the proposal of a document cannot be withdrawn; `None` where it can."""
    if known.left is not None:
        return known.left
    return None if known.proposal else "the document makes no proposal any more"
