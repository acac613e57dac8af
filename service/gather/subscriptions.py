"""The rest-hook Subscriptions by which a FHIR server notifies this service of changes.

https://hl7.org/fhir/R4/subscription.html, as HAPI implements it: with a payload, it calls the endpoint like a
FHIR server, `PUT {endpoint}/{Type}/{id}`.
"""

import asyncio
from typing import Any, NamedTuple

from service.core.knowledge import Knowledge
from service.errors import ServerUnsupported
from service.fhir.client import FhirClient
from service.fhir.kinds import WATCHED_KINDS
from service.fhir.release import Release
from service.gather.searches import watch_parameter

SECRET_HEADER = "X-Hook-Secret"  # noqa: S105 - the name of a header
_REPORT_DELETIONS = "http://hapifhir.io/fhir/StructureDefinition/subscription-send-delete-messages"
"""HAPI reports deletions only where the channel asks for it; other servers ignore the extension."""

NAME = "trd-careplan"
"""What the ids of the service's own Subscriptions begin with."""
_POLLS = 60
_POLL_SECONDS = 0.5


class Subscribed(NamedTuple):
    """One Subscription: its reference, what was done (created, repaired, unchanged), and its status."""

    reference: str
    done: str
    status: str


async def subscribe(
    client: FhirClient, endpoint: str, secret: str | None, knowledge: Knowledge, *, name: str = NAME
) -> list[Subscribed]:
    """Create or repair one Subscription per kind of resource, and wait until the server has activated them.

    A Subscription that differs from the one wanted, or that the server turned off, is written again. Kinds
    that the server does not offer are skipped; Observations and administrations of medicines are limited to
    the codes that `knowledge` lists. `name` is what their ids begin with.
    Raises `ServerUnsupported` for a server of R5, whose Subscriptions use topics.
    """
    if await client.release() is not Release.R4:
        raise ServerUnsupported(
            "Subscription: the server speaks R5, which notifies by topics; this service subscribes on R4 only"
        )
    offered = await client.offered()
    wanted = [
        render_subscription(kind, endpoint, secret, knowledge) | {"id": f"{name}-{kind.lower()}"}
        for kind in WATCHED_KINDS
        if kind in offered
    ]
    return [await _ensure(client, subscription) for subscription in wanted]


async def _ensure(client: FhirClient, wanted: dict[str, Any]) -> Subscribed:
    path = f"Subscription/{wanted['id']}"
    known = await client.find(path)
    if known is not None and known.get("status") == "active" and _same(known, wanted):
        return Subscribed(path, "unchanged", "active")
    await client.put(wanted)
    return Subscribed(path, "created" if known is None else "repaired", await _settled(client, path))


def render_subscription(kind: str, endpoint: str, secret: str | None, knowledge: Knowledge) -> dict[str, Any]:
    """The Subscription to changes of one kind of resource."""
    codes = "&".join(f"{name}={value}" for name, value in watch_parameter(kind, knowledge).items())
    channel: dict[str, Any] = {
        "type": "rest-hook",
        "endpoint": endpoint,
        "payload": "application/fhir+json",
        "extension": [{"url": _REPORT_DELETIONS, "valueBoolean": True}],
    }
    if secret is not None:
        channel["header"] = [f"{SECRET_HEADER}: {secret}"]
    return {
        "resourceType": "Subscription",
        "id": f"{NAME}-{kind.lower()}",
        "status": "requested",
        "reason": "Review treatment resistance when the record changes",
        "criteria": f"{kind}?{codes}",
        "channel": channel,
    }


def _same(known: dict[str, Any], wanted: dict[str, Any]) -> bool:
    return all(known.get(key) == wanted[key] for key in ("criteria", "channel"))


async def _settled(client: FhirClient, path: str) -> str:
    """The status of a Subscription once the server has processed it, after half a minute at most."""
    status = "requested"
    for _ in range(_POLLS):
        known = await client.find(path)
        status = str((known or {}).get("status", "gone"))
        if status != "requested":
            break
        await asyncio.sleep(_POLL_SECONDS)
    return status
