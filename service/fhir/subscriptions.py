"""The rest-hook Subscriptions by which a FHIR server tells this service of changes.

https://hl7.org/fhir/R4/subscription.html, in the dialect of HAPI: with a payload it speaks to the endpoint as
if that were a FHIR server, `PUT {endpoint}/{Type}/{id}`.
"""

import asyncio
from typing import Any, NamedTuple

import msgspec

from service.fhir.client import FhirClient

SUBSCRIBED = ("Patient", "Condition", "MedicationStatement", "AllergyIntolerance")
"""Kinds of resource whose change can change a decision and that name their patient."""

SECRET_HEADER = "X-Hook-Secret"  # noqa: S105 - the name of a header
_TELL_OF_DELETIONS = "http://hapifhir.io/fhir/StructureDefinition/subscription-send-delete-messages"
"""HAPI tells of deletions only when the channel asks for it; other servers pass over the extension."""

_POLLS = 60
_POLL_SECONDS = 0.5


class Subscribed(NamedTuple):
    """One Subscription: its reference, what was done (created, repaired, unchanged), and its status."""

    reference: str
    done: str
    status: str


async def subscribe(client: FhirClient, endpoint: str, secret: str | None) -> list[Subscribed]:
    """Create or repair one Subscription a kind of resource, and wait until the server has activated them.

    A Subscription that differs from what it should be, or that the server turned off, is written anew.
    """
    return [await _ensure(client, kind, endpoint, secret) for kind in SUBSCRIBED]


async def _ensure(client: FhirClient, kind: str, endpoint: str, secret: str | None) -> Subscribed:
    wanted = render_subscription(kind, endpoint, secret)
    path = f"Subscription/{wanted['id']}"
    known = await client.find(path)
    if known is not None and known.get("status") == "active" and _same(known, wanted):
        return Subscribed(path, "unchanged", "active")
    await client.put(path, msgspec.json.encode(wanted))
    return Subscribed(path, "created" if known is None else "repaired", await _settled(client, path))


def render_subscription(kind: str, endpoint: str, secret: str | None) -> dict[str, Any]:
    """The Subscription to changes of one kind of resource."""
    channel: dict[str, Any] = {
        "type": "rest-hook",
        "endpoint": endpoint,
        "payload": "application/fhir+json",
        "extension": [{"url": _TELL_OF_DELETIONS, "valueBoolean": True}],
    }
    if secret is not None:
        channel["header"] = [f"{SECRET_HEADER}: {secret}"]
    return {
        "resourceType": "Subscription",
        "id": f"trd-careplan-{kind.lower()}",
        "status": "requested",
        "reason": "Review treatment resistance when the record changes",
        "criteria": f"{kind}?",
        "channel": channel,
    }


def _same(known: dict[str, Any], wanted: dict[str, Any]) -> bool:
    return all(known.get(key) == wanted[key] for key in ("criteria", "channel"))


async def _settled(client: FhirClient, path: str) -> str:
    """The status of a Subscription once the server has taken it up, at most half a minute later."""
    status = "requested"
    for _ in range(_POLLS):
        known = await client.find(path)
        status = str((known or {}).get("status", "gone"))
        if status != "requested":
            break
        await asyncio.sleep(_POLL_SECONDS)
    return status
