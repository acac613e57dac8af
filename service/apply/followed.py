"""Whom the daily review is of: the patients whom something of ours is on record about."""

from datetime import date

from service.apply.documents import open_filing
from service.core.knowledge import Knowledge
from service.fhir.client import FhirClient
from service.gather.ours import find_patients_to_follow, find_standing_ids
from service.settings import Settings


async def find_followed(
    client: FhirClient, settings: Settings, knowledge: Knowledge, as_of: date
) -> list[str]:
    """Ids of the patients to follow: by the plans on the server, or by the ledger where it takes none.

    Of the ledger, those about whom a proposal stands, or may stand. Raises `ServerError` where the server
    fails, and `QueueError` as the ledger does.
    """
    if not (await client.target()).tier.is_below_care_plan:
        return await find_patients_to_follow(client, knowledge, as_of)
    async with open_filing(client, settings) as filing:
        entries = await filing.ledger.all()
    return await find_standing_ids(client, {one for one, entry in entries.items() if entry.may_propose})
