"""Whose record changed: by a sweep over what the server says changed, or the history of what was deleted."""

from collections.abc import Iterable
from http import HTTPStatus

from service.core.knowledge import Knowledge
from service.errors import NotFhir, NotJson, ServerRefused
from service.fhir.client import FhirClient
from service.fhir.sources import owner_of, take_resource
from service.gather.everything import observation_codes
from service.gather.subscriptions import SUBSCRIBED

_PAGE_SIZE = "200"


async def patients_changed_since(client: FhirClient, instant: str, knowledge: Knowledge) -> set[str]:
    """Ids of the patients with a change since an instant, over every kind of resource subscribed to."""
    offered = await client.offered()
    found: set[str] = set()
    for kind in SUBSCRIBED:
        if kind not in offered:
            continue
        params = {"_lastUpdated": f"ge{instant}", "_count": _PAGE_SIZE}
        if kind == "Observation":
            params["code"] = ",".join(observation_codes(knowledge))
        async for page in client.pages(kind, params):
            found |= _owners(bytes(entry.resource) for entry in page.entry)
    return found


async def patients_of_deleted(client: FhirClient, reference: str) -> set[str]:
    """Ids of the patients that a deleted resource was about, by its history; none where that is gone too."""
    try:
        return {
            owner
            async for page in client.pages(f"{reference}/_history", {"_count": _PAGE_SIZE})
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
            owners.add(owner_of(take_resource(content)))
        except (NotFhir, NotJson):
            continue
    return owners
