"""Withdraw a proposal by hand, in turn with the reviews of its patient (docs/decisions/0018)."""

from http import HTTPStatus

from service import clock
from service.apply.documents import find_document, open_filing
from service.apply.held import check_withdrawable
from service.apply.proposals import withdraw_document
from service.apply.turns import turn_of
from service.apply.withdrawal import write_withdrawal
from service.core.documents import DocumentOfRecord
from service.errors import ServerRefused
from service.fhir.client import FhirClient
from service.fhir.loose import Resource
from service.fhir.sources import read_subject
from service.settings import Settings


async def withdraw_draft(
    client: FhirClient, settings: Settings, plan: Resource, *, reason: str, grounds: str
) -> None:
    """Revoke a draft of ours by hand, in turn with the reviews of its patient.

    `plan` is the version that was looked at, and must be one that this service may change (`why_kept`).
    Raises as `check_withdrawable` does, and `ServerRefused` with 409 or 412 when somebody changed it since.
    """
    await check_withdrawable(client, settings)
    async with turn_of(client, read_subject(plan).id):
        await write_withdrawal(client, plan, reason=reason, grounds=grounds, recorded=clock.now_iso())


async def withdraw_filed(
    client: FhirClient, settings: Settings, patient_id: str, known: DocumentOfRecord, *, reason: str
) -> None:
    """Withdraw the proposal of a document by hand, as `withdraw_draft` does that of a plan."""
    await check_withdrawable(client, settings)
    async with turn_of(client, patient_id), open_filing(client, settings) as filing:
        if await find_document(filing, patient_id) != known:
            raise ServerRefused(f"{known.evidence.type}: it was changed since", HTTPStatus.CONFLICT)
        await withdraw_document(filing, patient_id, known, reason=reason, recorded=clock.now_iso())
