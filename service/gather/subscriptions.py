"""The Subscriptions by which a FHIR server notifies this service of changes.

On R4 they are rest-hooks by criteria (https://hl7.org/fhir/R4/subscription.html), as HAPI implements them:
with a payload, it calls the endpoint like a FHIR server, `PUT {endpoint}/{Type}/{id}`. On R5, and on R4 where
topics are configured, they are by topics (`service.gather.topic_subscriptions`).
"""

import asyncio
import hmac
from typing import Any, NamedTuple

from service.core.knowledge import Knowledge
from service.fhir.client import FhirClient
from service.fhir.kinds import WATCHED_KINDS
from service.gather.searches import watch_parameter

SECRET_HEADER = "X-Hook-Secret"  # noqa: S105 - the name of a header
_REPORT_DELETIONS = "http://hapifhir.io/fhir/StructureDefinition/subscription-send-delete-messages"
"""HAPI reports deletions only where the channel asks for it; other servers ignore the extension."""

NAME = "trd-careplan"
"""What the ids of the service's own Subscriptions begin with."""
FAILED_STATUSES = frozenset({"error", "off", "entered-in-error"})
"""Statuses of a Subscription by which nothing is delivered."""
HEARTBEAT_EXTENSION = (
    "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/backport-heartbeat-period"
)
KEY_PATTERN = "[0-9a-f]{64}"
_THE_SERVERS = frozenset({"resourceType", "id", "status"})

_POLLS = 60
_POLL_SECONDS = 0.5


class Subscribed(NamedTuple):
    """One Subscription: its reference, what was done (created, repaired, unchanged), and its status."""

    reference: str
    done: str
    status: str


def hook_key(secret: bytes) -> str:
    """What stands in the address of a hook for a server that sends no header: who has it knows the secret.

    HAPI 8.8 sends none for Subscriptions of R5. It is derived, so that the address does not show the secret.
    """
    return hmac.new(secret, b"trd-careplan: the address of a hook", "sha256").hexdigest()


async def subscribe(
    client: FhirClient, endpoint: str, secret: str | None, knowledge: Knowledge, *, name: str = NAME
) -> list[Subscribed]:
    """Create or repair one Subscription by criteria per kind, and wait until the server has activated them.

    A Subscription that differs from the one wanted, or that the server turned off, is written again. Kinds
    that the server does not offer are skipped; Observations and administrations of medicines are limited to
    the codes that `knowledge` lists. `name` is what their ids begin with.
    """
    offered = await client.offered()
    wanted = [
        render_subscription(kind, endpoint, secret, knowledge) | {"id": f"{name}-{kind.lower()}"}
        for kind in WATCHED_KINDS
        if kind in offered
    ]
    return [await ensure(client, subscription) for subscription in wanted]


async def ensure(client: FhirClient, wanted: dict[str, Any]) -> Subscribed:
    """Create or repair one Subscription, and wait until the server has activated it."""
    path = f"Subscription/{wanted['id']}"
    known = await client.find(path)
    if known is not None and known.get("status") == "active" and says_the_same(known, wanted):
        return Subscribed(path, "unchanged", "active")
    await client.put(wanted)
    return Subscribed(path, "created" if known is None else "repaired", await _settled(client, path))


def says_the_same(known: dict[str, Any], wanted: dict[str, Any]) -> bool:
    """Whether a resource on the server says all that is wanted of it; its status is the server's."""
    return all(known.get(key) == value for key, value in wanted.items() if key not in _THE_SERVERS)


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
