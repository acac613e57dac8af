"""Find what a Subscription by a topic did not tell: events that were lost, and whether it still works.

https://hl7.org/fhir/R5/subscription-operation-events.html and subscription-operation-status.html; for R4 the
same operations are those of the Subscriptions backport guide 1.1.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from service.errors import NotFhir, NotJson, ServerRefused
from service.fhir.client import FhirClient
from service.fhir.kinds import NOTICED_KINDS
from service.fhir.loose import part, parts
from service.fhir.notifications import Gap, Heard, TopicNotification, read_topic_notification
from service.fhir.sources import take_resource
from service.gather.subscriptions import FAILED_STATUSES, HEARTBEAT_EXTENSION

_BEATS = 2
"""So many heartbeats may be missing before a Subscription counts as silent."""
_GONE = "gone"


async def find_missed_events(client: FhirClient, gap: Gap) -> list[str] | None:
    """The resources that the events of a gap were about, each as `Type/id`.

    `None` where the server cannot say, or not of every event.
    """
    subscription = (await client.offered()).get("Subscription")
    if subscription is None or not subscription.has_operation("events"):
        return None
    numbers = f"eventsSinceNumber={gap.first}&eventsUntilNumber={gap.last}"
    try:
        told = _read(await client.get(f"{gap.subscription}/$events?{numbers}"))
    except ServerRefused as refused:
        if refused.passing:
            raise
        return None
    if told is None or len(told.foci) < gap.last - gap.first + 1:
        return None
    named = [focus for focus in told.foci if focus.kind in NOTICED_KINDS and focus.is_on(client.base)]
    return [f"{focus.kind}/{focus.id}" for focus in named]


def _read(content: bytes) -> TopicNotification | None:
    try:
        return read_topic_notification(take_resource(content))
    except (NotJson, NotFhir):
        return None


@dataclass(frozen=True, slots=True)
class SubscriptionCondition:
    """The status of a Subscription, and whether it is silent for longer than its heartbeat allows."""

    status: str
    silent: bool

    @property
    def gone(self) -> bool:
        """Whether the server has it no longer."""
        return self.status == _GONE

    @property
    def failed(self) -> bool:
        """Whether the server delivers nothing by it."""
        return self.gone or self.status in FAILED_STATUSES

    @property
    def may_have_missed(self) -> bool:
        """Whether events may have been lost."""
        return self.failed or self.silent


async def find_condition(client: FhirClient, heard: Heard, now: datetime) -> SubscriptionCondition:
    """How a Subscription fares; one on another server, or that cannot be read, is taken as well."""
    if heard.name is None:
        return SubscriptionCondition("unknown", silent=False)
    try:
        found = await client.find(heard.name)
    except ServerRefused as refused:
        if refused.passing:
            raise
        return SubscriptionCondition("unknown", silent=False)
    if found is None:
        return SubscriptionCondition(_GONE, silent=False)
    allowed = _heartbeat_of(found) * _BEATS
    silent = bool(allowed) and now - datetime.fromisoformat(heard.at) > allowed
    status = await _asked_status(client, heard.name) if silent else None
    return SubscriptionCondition(status or str(found.get("status", "unknown")), silent)


async def _asked_status(client: FhirClient, name: str) -> str | None:
    """What `$status` says, which may know of a fault before the resource shows it; `None` where it cannot."""
    subscription = (await client.offered()).get("Subscription")
    if subscription is None or not subscription.has_operation("status"):
        return None
    try:
        content = await client.get(f"{name}/$status")
    except ServerRefused as refused:
        if refused.passing:
            raise
        return None
    told = _read(content)
    return told.status if told else None


def _heartbeat_of(subscription: dict[str, Any]) -> timedelta:
    """How often a Subscription is to be heard, at least; nothing where no heartbeat was asked for."""
    extensions = parts(part(subscription.get("channel")).get("extension"))
    asked = [
        part(one).get("valueUnsignedInt") for one in extensions if part(one).get("url") == HEARTBEAT_EXTENSION
    ]
    period = subscription.get("heartbeatPeriod", asked[0] if asked else None)
    return timedelta(seconds=period) if isinstance(period, int) and period > 0 else timedelta()
