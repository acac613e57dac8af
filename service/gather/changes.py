"""Find the patients whose records changed: by a sweep of changes, or by the history of a deleted resource."""

from collections.abc import Iterable
from http import HTTPStatus

from service.core.knowledge import Knowledge
from service.errors import NotFhir, NotJson, ServerRefused
from service.fhir.client import FhirClient
from service.fhir.kinds import WATCHED_KINDS
from service.fhir.sources import read_owner, take_resource
from service.gather.searches import PAGE_SIZE, watch_parameter


async def find_patients_changed_since(client: FhirClient, instant: str, knowledge: Knowledge) -> set[str]:
    """Ids of the patients with a change since an instant, over every kind of resource that is watched."""
    offered = await client.offered()
    found: set[str] = set()
    for kind in WATCHED_KINDS:
        if kind not in offered:
            continue
        params = {"_lastUpdated": f"ge{instant}", "_count": PAGE_SIZE, **watch_parameter(kind, knowledge)}
        async for page in client.pages(kind, params):
            found |= _owners(bytes(entry.resource) for entry in page.entry)
    return found


async def find_patients_of_deleted(client: FhirClient, reference: str) -> set[str]:
    """Ids of the patients that a deleted resource was about, by its history; none where that is gone."""
    try:
        return {
            owner
            async for page in client.pages(f"{reference}/_history", {"_count": PAGE_SIZE})
            for owner in _owners(bytes(entry.resource) for entry in page.entry)
        }
    except ServerRefused as refused:
        if refused.status in {HTTPStatus.NOT_FOUND, HTTPStatus.GONE}:
            return set()
        raise


def _owners(contents: Iterable[bytes]) -> set[str]:
    """The patients of resources; what names none is left out."""
    owners = set()
    for content in contents:
        try:
            owners.add(read_owner(take_resource(content)))
        except (NotFhir, NotJson):
            continue
    return owners
