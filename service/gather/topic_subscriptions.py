"""Subscriptions by topics: those of R5, and those that R4 has from the Subscriptions backport guide 1.1.

https://hl7.org/fhir/R5/subscription.html and subscriptiontopic.html. One topic per kind of resource says
which changes are events; where the server takes topics it is one of ours, else one that the server has. The
notifications name the resources that changed (`id-only`); this service reads them under its own rights.
"""

from collections.abc import AsyncIterator

import msgspec

from service.core.knowledge import Knowledge
from service.errors import ServerUnsupported
from service.fhir.client import FhirClient
from service.fhir.kinds import WATCHED_KINDS
from service.fhir.loose import Resource, part, parts, text
from service.fhir.names import BASE
from service.gather.searches import PAGE_SIZE, watch_parameter
from service.gather.subscriptions import (
    HEARTBEAT_EXTENSION,
    SECRET_HEADER,
    Subscribed,
    ensure,
    says_the_same,
)

_HEARTBEAT_SECONDS = 3600
"""How often a Subscription without events is to be heard."""
_REASON = "Review treatment resistance when the record changes"
_CHANGES = ("create", "update", "delete")
_CHANNEL = {
    "system": "http://terminology.hl7.org/CodeSystem/subscription-channel-type",
    "code": "rest-hook",
}
_BACKPORT = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition"


async def subscribe_to_topics(
    client: FhirClient,
    endpoint: str,
    secret: str | None,
    knowledge: Knowledge,
    *,
    topics: tuple[str, ...] = (),
) -> list[Subscribed]:
    """Create or repair the Subscriptions of a server of R5, and the topics where it takes them.

    With `topics`, the Subscriptions are to those, whatever they tell of. Else there is one per kind of
    resource that the server offers; a kind that no topic tells of is `skipped`. Raises `ServerUnsupported`
    where there is no topic for any.
    """
    if topics:
        wanted = [_render(f"topic-{n}", topic, endpoint, secret) for n, topic in enumerate(topics, start=1)]
        return [await ensure(client, subscription) for subscription in wanted]
    offered = await client.offered()
    found = await _find_topics(client, [kind for kind in WATCHED_KINDS if kind in offered])
    if not any(found.values()):
        raise ServerUnsupported("SubscriptionTopic: the server takes none and has none; set TRD_TOPICS")
    done = []
    for kind, topic in found.items():
        if topic is None:
            done.append(Subscribed(f"Subscription/{_id_of(kind.lower())}", "no topic", "skipped"))
            continue
        subscription = render_topic_subscription(kind, topic, endpoint, secret, knowledge)
        done.append(await ensure(client, subscription))
    return done


def _id_of(name: str) -> str:
    return f"trd-careplan-{name}"


async def _find_topics(client: FhirClient, kinds: list[str]) -> dict[str, Resource | None]:
    """The topic of each kind: ours where the server takes it, else one that it has."""
    offered = (await client.offered()).get("SubscriptionTopic")
    if offered is not None and offered.takes("create", "update"):
        return {kind: await _ensure_topic(client, render_topic(kind)) for kind in kinds}
    there = [topic async for topic in _search_topics(client)] if offered is not None else []
    return {kind: next((topic for topic in there if _tells_of(topic, kind)), None) for kind in kinds}


async def _ensure_topic(client: FhirClient, wanted: Resource) -> Resource:
    known = await client.find(f"SubscriptionTopic/{wanted['id']}")
    if known is None or known.get("status") != "active" or not says_the_same(known, wanted):
        await client.put(wanted)
    return wanted


async def _search_topics(client: FhirClient) -> AsyncIterator[Resource]:
    """The active topics of the server; an entry that is no resource is none."""
    async for page in client.pages("SubscriptionTopic", {"status": "active", "_count": PAGE_SIZE}):
        for entry in page.entry:
            topic = part(msgspec.json.decode(entry.resource)) if bytes(entry.resource) else {}
            if topic.get("resourceType") == "SubscriptionTopic" and topic.get("status") == "active":
                yield topic


def _tells_of(topic: Resource, kind: str) -> bool:
    """Whether a topic tells of every new and changed resource of a kind."""
    return any(_triggers_on(part(trigger), kind) for trigger in parts(topic.get("resourceTrigger")))


def _triggers_on(trigger: Resource, kind: str) -> bool:
    interactions = parts(trigger.get("supportedInteraction"))
    limited = "queryCriteria" in trigger or "fhirPathCriteria" in trigger
    named = text(trigger.get("resource")).rpartition("/")[2] == kind
    return named and not limited and (not interactions or {"create", "update"} <= {*map(text, interactions)})


def render_topic(kind: str) -> Resource:
    """The topic of all changes of a kind, in R5; those of a code can be chosen from."""
    topic = {
        "resourceType": "SubscriptionTopic",
        "id": _id_of(kind.lower()),
        "url": f"{BASE}/SubscriptionTopic/{kind.lower()}",
        "title": f"Changes of {kind}",
        "status": "active",
        "resourceTrigger": [{"resource": kind, "supportedInteraction": [*_CHANGES]}],
    }
    return topic | {"canFilterBy": [{"resource": kind, "filterParameter": "code"}]}


def render_topic_subscription(
    kind: str, topic: Resource, endpoint: str, secret: str | None, knowledge: Knowledge
) -> Resource:
    """The Subscription to a topic of one kind, in R5, limited to the codes that are watched if it can be."""
    filters = [
        {"resourceType": kind, "filterParameter": name, "value": value}
        for name, value in watch_parameter(kind, knowledge).items()
        if _can_filter(topic, kind, name)
    ]
    subscription = _render(kind.lower(), text(topic.get("url")), endpoint, secret)
    return subscription | ({"filterBy": filters} if filters else {})


def _can_filter(topic: Resource, kind: str, parameter: str) -> bool:
    allowed = [part(one) for one in parts(topic.get("canFilterBy"))]
    return any(
        one.get("filterParameter") == parameter and text(one.get("resource")).rpartition("/")[2] in {"", kind}
        for one in allowed
    )


def _render(name: str, topic: str, endpoint: str, secret: str | None) -> Resource:
    header = [] if secret is None else [{"name": SECRET_HEADER, "value": secret}]
    subscription = {
        "resourceType": "Subscription",
        "id": _id_of(name),
        "status": "requested",
        "topic": topic,
        "reason": _REASON,
        "channelType": _CHANNEL,
        "endpoint": endpoint,
        "heartbeatPeriod": _HEARTBEAT_SECONDS,
        "contentType": "application/fhir+json",
        "content": "id-only",
    }
    return subscription | ({"parameter": header} if header else {})


async def subscribe_to_backported_topics(
    client: FhirClient, endpoint: str, secret: str | None, topics: tuple[str, ...]
) -> list[Subscribed]:
    """Create or repair the Subscriptions to topics of a server of R4, one per topic."""
    wanted = [
        render_backported(str(number), topic, endpoint, secret)
        for number, topic in enumerate(topics, start=1)
    ]
    return [await ensure(client, subscription) for subscription in wanted]


def render_backported(name: str, topic: str, endpoint: str, secret: str | None) -> Resource:
    """The Subscription to a topic in R4: the topic is its criteria."""
    content = {"url": f"{_BACKPORT}/backport-payload-content", "valueCode": "id-only"}
    channel = {
        "extension": [{"url": HEARTBEAT_EXTENSION, "valueUnsignedInt": _HEARTBEAT_SECONDS}],
        "type": "rest-hook",
        "endpoint": endpoint,
        "payload": "application/fhir+json",
        "_payload": {"extension": [content]},
    }
    return {
        "resourceType": "Subscription",
        "id": _id_of(f"topic-{name}"),
        "meta": {"profile": [f"{_BACKPORT}/backport-subscription"]},
        "status": "requested",
        "reason": _REASON,
        "criteria": topic,
        "channel": channel | ({} if secret is None else {"header": [f"{SECRET_HEADER}: {secret}"]}),
    }
