"""The documents about patients who were merged into another one (docs/decisions/0021)."""

from collections.abc import Iterable, Mapping

from service.apply.documents import Filing, find_document
from service.core.documents import DocumentOfRecord


async def take_over(filing: Filing, patient_id: str, former_ids: Iterable[str]) -> bool:
    """Keep a document about a former patient as the one about the patient who stands, who has none.

    It is then written over, with the patient who stands as its subject. Returns whether there was one.
    Raises `ServerError` where the server fails.
    """
    if await filing.ledger.find(patient_id) is not None:
        return False
    for former_id in former_ids:
        await find_document(filing, former_id)  # enters one that the ledger does not name
        if await filing.ledger.find(former_id) is not None:
            await filing.ledger.move(former_id, to=patient_id)
            return True
    return False


async def find_former_documents(filing: Filing, former_ids: Iterable[str]) -> dict[str, DocumentOfRecord]:
    """The documents about former patients, by their ids. Raises as `take_over` does.

    A Communication is one only by the ledger: a search for those of a former patient does not show whether
    another one, about the patient who stands, took its place.
    """
    found = {}
    for former_id in former_ids:
        if filing.updates or await filing.ledger.find(former_id) is not None:
            found[former_id] = await find_document(filing, former_id)
    return {former_id: known for former_id, known in found.items() if known is not None}


def superfluous(formers: Mapping[str, DocumentOfRecord]) -> dict[str, DocumentOfRecord]:
    """Those that make a proposal beside the document about the patient who stands."""
    return {former_id: known for former_id, known in formers.items() if known.proposes}
