"""Notifications by topics as the three releases write them, for tests."""

from typing import Any

from tests.support import Resource

RELEASES = ("R4", "R4B", "R5")
SUBSCRIPTION = "Subscription/trd"
_PROFILE = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/backport-subscription-status-r4"


def event(number: int | None = None, focus: str | None = None) -> Resource:
    """One event; as R5 writes it."""
    numbered = {} if number is None else {"eventNumber": str(number)}
    return numbered | ({} if focus is None else {"focus": {"reference": focus}})


def notification(  # noqa: PLR0913 - the parts of a notification
    release: str,
    *events: Resource,
    kind: str = "event-notification",
    total: int | None = None,
    status: str = "active",
    subscription: str | None = SUBSCRIPTION,
    entries: tuple[Resource, ...] = (),
) -> Resource:
    """A notification with its status and the entries behind it."""
    told: dict[str, Any] = {"status": status, "type": kind}
    if total is not None:
        told["eventsSinceSubscriptionStart"] = str(total)
    if subscription is not None:
        told["subscription"] = {"reference": subscription}
    told["notificationEvent"] = list(events)
    first = _parameters(told) if release == "R4" else {"resourceType": "SubscriptionStatus", **told}
    return {
        "resourceType": "Bundle",
        "type": "subscription-notification" if release == "R5" else "history",
        "entry": [{"fullUrl": "urn:uuid:1", "resource": first}, *entries],
    }


def _parameters(told: dict[str, Any]) -> Resource:
    parameters: list[Resource] = [
        {"name": "status", "valueCode": told["status"]},
        {"name": "type", "valueCode": told["type"]},
    ]
    if "subscription" in told:
        parameters.append({"name": "subscription", "valueReference": told["subscription"]})
    if "eventsSinceSubscriptionStart" in told:
        total = told["eventsSinceSubscriptionStart"]
        parameters.append({"name": "events-since-subscription-start", "valueString": total})
    parameters += [{"name": "notification-event", "part": _parts(one)} for one in told["notificationEvent"]]
    return {"resourceType": "Parameters", "meta": {"profile": [_PROFILE]}, "parameter": parameters}


def _parts(told: Resource) -> list[Resource]:
    number = [{"name": "event-number", "valueString": told["eventNumber"]}] if "eventNumber" in told else []
    focus = [{"name": "focus", "valueReference": told["focus"]}] if "focus" in told else []
    return [*number, *focus]


def entry(resource: Resource, method: str = "PUT") -> Resource:
    """An entry with the resource that changed."""
    return named(f"{resource['resourceType']}/{resource['id']}", method) | {"resource": resource}


def named(reference: str, method: str = "PUT") -> Resource:
    """An entry that names the resource that changed."""
    return {"fullUrl": reference, "request": {"method": method, "url": reference}}
