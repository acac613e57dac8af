"""Load what is published into a FHIR server: compare first, then write only what differs, under its own ids.

The lists are the source: what was changed on the server is written anew. What is somebody else's is left.
"""

import asyncio
from collections.abc import Iterable
from enum import StrEnum
from typing import Any, NamedTuple

import msgspec

from service.errors import ServerMisread
from service.fhir.client import FhirClient
from service.fhir.names import content_digest
from service.fhir.sources import UNDECODABLE
from service.publish.canonical import Resource

_OBJECT = msgspec.json.Decoder(dict[str, Any])


class Standing(StrEnum):
    """How a definition stands on a server."""

    MISSING = "missing"
    DIFFERENT = "different"
    SAME = "same"
    TAKEN = "taken: another definition has this id"
    NOT_OFFERED = "not offered: the server keeps none of this kind"


TO_WRITE = frozenset({Standing.MISSING, Standing.DIFFERENT})


class Compared(NamedTuple):
    """A definition, and how it stands on a server."""

    resource: Resource
    standing: Standing

    @property
    def reference(self) -> str:
        """Where it is, or would be."""
        return f"{self.resource['resourceType']}/{self.resource['id']}"


async def compare(client: FhirClient, resources: Iterable[Resource]) -> list[Compared]:
    """Set definitions against what a server holds. Reads only."""
    offered = await client.offered()
    return list(await asyncio.gather(*(_compared(client, resource, set(offered)) for resource in resources)))


async def deliver(client: FhirClient, compared: Iterable[Compared]) -> None:
    """Write what is missing or different, one after the other, so that none names what is not there yet."""
    for one in compared:
        if one.standing in TO_WRITE:
            await client.put(one.resource)


async def _compared(client: FhirClient, resource: Resource, offered: set[str | None]) -> Compared:
    if resource["resourceType"] not in offered:
        return Compared(resource, Standing.NOT_OFFERED)
    known = await _known(client, resource["resourceType"], resource["id"])
    if known is None:
        return Compared(resource, Standing.MISSING)
    if known.get("url") != resource["url"]:
        return Compared(resource, Standing.TAKEN)
    same = content_digest(known) == content_digest(resource)
    return Compared(resource, Standing.SAME if same else Standing.DIFFERENT)


async def _known(client: FhirClient, kind: str, identity: str) -> dict[str, Any] | None:
    """A definition as the server has it. HAPI reads only its own OperationDefinitions; it finds all."""
    read = await client.find(f"{kind}/{identity}")
    if read is not None:
        return read
    async for page in client.pages(kind, {"_id": identity}):
        for entry in page.entry:
            try:
                found = _OBJECT.decode(entry.resource)
            except UNDECODABLE:
                raise ServerMisread(f"GET {kind}: the answer is not the FHIR JSON expected") from None
            if (found.get("resourceType"), found.get("id")) == (kind, identity):
                return found
    return None
