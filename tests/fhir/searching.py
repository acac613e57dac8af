"""What a search of the pretended server finds."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import httpx

from tests.support import Resource


def is_found(resource: Resource, params: httpx.QueryParams) -> bool:
    """Whether a search shows a resource; parameters that are not known here show everything."""
    return all(_FITS[name](resource, value) for name, value in params.multi_items() if name in _FITS)


def owner_of(resource: Resource) -> str | None:
    """The reference to the patient whom a resource is about; a List of R5 may be about several."""
    owner = resource.get("subject") or resource.get("patient") or resource.get("for") or {}
    first: Resource = owner[0] if isinstance(owner, list) else owner
    return first.get("reference")


def _has_id(resource: Resource, wanted: str) -> bool:
    return resource["id"] in wanted.split(",")


def _is_of(resource: Resource, wanted: str) -> bool:
    return owner_of(resource) == f"Patient/{wanted.removeprefix('Patient/')}"


def _is_identified(resource: Resource, wanted: str) -> bool:
    """By `system|value`, by `system|` or by a value alone."""
    system, bar, value = wanted.rpartition("|")
    return any(
        one.get("system", "") == (system if bar else one.get("system", ""))
        and one.get("value") in ({value} if value else {one.get("value")})
        for one in resource.get("identifier", [])
    )


def _targets(resource: Resource, wanted: str) -> bool:
    targets = {one["reference"].partition("/_history/")[0] for one in resource.get("target", [])}
    return not targets.isdisjoint(wanted.split(","))


def _is_by(resource: Resource, wanted: str) -> bool:
    return wanted in {one["who"].get("reference") for one in resource.get("agent", [])}


def _is_active_on(resource: Resource, wanted: str) -> bool:
    return wanted in set(_days(resource))


def _days(plan: Resource) -> Iterator[str]:
    for activity in plan.get("activity", []):
        yield from activity.get("detail", {}).get("scheduledTiming", {}).get("event", [])


def _is_changed(resource: Resource, wanted: str) -> bool:
    """By when it was stored; what does not say so was stored at the end of 2026."""
    stored = datetime.fromisoformat(resource.get("meta", {}).get("lastUpdated", "2026-12-31T00:00:00+00:00"))
    asked = datetime.fromisoformat(wanted[2:])
    asked = asked if asked.tzinfo else asked.replace(tzinfo=UTC)
    return stored >= asked if wanted.startswith("ge") else stored < asked


_FITS: dict[str, Callable[[Resource, str], bool]] = {
    "_id": _has_id,
    "patient": _is_of,
    "subject": _is_of,
    "identifier": _is_identified,
    "target": _targets,
    "agent": _is_by,
    "activity-date": _is_active_on,
    "_lastUpdated": _is_changed,
}
