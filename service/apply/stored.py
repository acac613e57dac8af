"""Tell what a server made of our plans and Tasks from what a person did (docs/decisions/0024).

A server may leave out elements that it does not know, or write them in another form. The digest that a plan
is signed with then no longer fits it. Our Provenance keeps a digest of what the server stored in its place.
"""

from dataclasses import replace

import msgspec

from service.apply.origins import stored_signatures
from service.fhir.client import FhirClient
from service.fhir.loose import Resource, part, text
from service.fhir.names import (
    EDIT_DIGEST,
    PLAN_IDENTIFIER,
    edit_digest,
    identifiers_of,
    is_edited,
    with_signatures,
)
from service.fhir.sources import UNDECODABLE, Gathered, Source


async def as_signed(client: FhirClient, resource: Resource) -> Resource:
    """A plan or a Task of ours with our signatures, where it stands as the server stored it then.

    It is given back as it is where it still fits its signature, or where anybody changed it since.
    """
    if not is_edited(resource):
        return resource
    name, version = (
        f"{resource['resourceType']}/{resource.get('id')}",
        part(resource.get("meta")).get("versionId"),
    )
    signatures = await stored_signatures(client, name, text(version) or None)
    if signatures.get(EDIT_DIGEST) != edit_digest(resource):
        return resource
    return with_signatures(resource, signatures)


async def with_signed_plans(client: FhirClient, gathered: Gathered) -> Gathered:
    """A record in which plans of ours that stand as the server stored them carry our signatures."""
    sources = [await _signed(client, source) for source in gathered.sources]
    return replace(gathered, sources=tuple(sources))


async def _signed(client: FhirClient, source: Source) -> Source:
    if source.head.resource_type != "CarePlan" or source.head.id is None:
        return source
    try:
        plan = msgspec.json.decode(source.content)
        ours = identifiers_of(plan, PLAN_IDENTIFIER) and text(plan.get("status")) in _OURS_TO_CHANGE
    except UNDECODABLE:
        return source
    signed = await as_signed(client, plan) if ours else plan
    return source if signed is plan else replace(source, content=msgspec.json.encode(signed))


_OURS_TO_CHANGE = frozenset({"draft", "revoked"})
"""A plan of ours of any other status is a person's, whatever it is signed with."""
