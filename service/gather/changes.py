"""Find whose records changed: by a sweep, by a resource that is named, or by the history of a deleted one."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from http import HTTPStatus

from service.core.knowledge import Knowledge
from service.errors import NotFhir, NotJson, ServerMisread, ServerRefused
from service.fhir.client import FhirClient
from service.fhir.kinds import WATCHED_KINDS
from service.fhir.references import read_reference
from service.fhir.sources import UNDECODABLE, find_owner, read_notified, read_owner, take_resource
from service.fhir.views import EntryView
from service.gather.searches import PAGE_SIZE, watch_parameter

_SWEEP_MARGIN = timedelta(minutes=10)
"""How long ago a change may have been that is told now: HAPI tries for a minute, and clocks differ."""


def sweep_from(instant: datetime) -> str:
    """From when on to search for what changed by an instant: to the minute, so that many are one sweep."""
    return (instant - _SWEEP_MARGIN).replace(second=0, microsecond=0).isoformat(timespec="seconds")


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


async def find_patients_of_changed(client: FhirClient, reference: str) -> set[str]:
    """Ids of the patients that a changed resource is about; by its history where it is gone by now.

    A resource of our own, and one that names no patient, is about none.
    """
    content = await client.get_if_there(reference)
    if content is None:
        return await find_patients_of_deleted(client, reference)
    try:
        source = take_resource(content)
        owner = read_notified(source)
    except (NotFhir, NotJson, *UNDECODABLE):
        raise ServerMisread(f"GET {reference}: the answer does not show whose it is") from None
    patient_id = None if owner.is_ours else find_owner(source, owner)
    return set() if patient_id is None else {patient_id}


async def find_deleted_since(client: FhirClient, instant: str) -> set[str]:
    """What was deleted since an instant, each as `Type/id`, of the kinds whose history the server shows.

    A search never finds what is deleted, so a sweep does not.
    """
    offered = await client.offered()
    found: set[str] = set()
    for kind in WATCHED_KINDS:
        if kind not in offered or not offered[kind].shows_history:
            continue
        params = {"_since": instant, "_count": PAGE_SIZE}
        async for page in client.pages(f"{kind}/_history", params):
            found |= {name for entry in page.entry if (name := _deleted(entry, kind))}
    return found


def _deleted(entry: EntryView, kind: str) -> str | None:
    """The resource that an entry of a history says was deleted."""
    if entry.request is None or entry.request.method != "DELETE":
        return None
    named = [read_reference(address) for address in (entry.request.url, entry.full_url)]
    return next((one.name for one in named if one.kind == kind), None)


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
