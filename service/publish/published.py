"""Everything that the service publishes of what it knows, as FHIR R4: built once from the reviewed lists.

It does not depend on the region or the criteria set that the service runs with: every protocol of every
region is here, and a safety group says what it does in each.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from service.core.knowledge import Knowledge
from service.fhir.kinds import PUBLISHED_KINDS
from service.publish.canonical import Resource
from service.publish.definitions import operation_definitions
from service.publish.protocols import protocol_definitions
from service.publish.terminology import code_systems, concept_maps, value_sets


@dataclass(frozen=True, slots=True, eq=False)
class Published:
    """The definitions, in an order in which none names one that comes later."""

    resources: tuple[Resource, ...]

    def read(self, kind: str, identity: str) -> Resource | None:
        """The definition of an id."""
        return next((r for r in self.of_kind(kind) if r["id"] == identity), None)

    def of_kind(self, kind: str) -> tuple[Resource, ...]:
        """Every definition of a kind."""
        return tuple(r for r in self.resources if r["resourceType"] == kind)

    def search(self, kind: str, asked: Iterable[tuple[str, str]]) -> tuple[Resource, ...]:
        """The definitions of a kind that have every value asked for; commas part alternatives."""
        wanted = [(name, value.split(",")) for name, value in asked]
        return tuple(r for r in self.of_kind(kind) if all(r[name] in values for name, values in wanted))


@lru_cache(maxsize=8)
def publish(knowledge: Knowledge) -> Published:
    """Everything that is published of the lists."""
    found = (
        *code_systems(knowledge),
        *value_sets(knowledge),
        *concept_maps(knowledge),
        *operation_definitions().values(),
        *protocol_definitions(knowledge),
    )
    return Published(tuple(sorted(found, key=lambda r: PUBLISHED_KINDS.index(r["resourceType"]))))


def searchset(base: str, asked: str, found: tuple[Resource, ...]) -> Resource:
    """The answer to a search. `asked` is its own address."""
    bundle: dict[str, Any] = {
        "resourceType": "Bundle",
        "type": "searchset",
        "total": len(found),
        "link": [{"relation": "self", "url": asked}],
    }
    if found:
        bundle["entry"] = [
            {"fullUrl": f"{base}/{_name(r)}", "resource": r, "search": {"mode": "match"}} for r in found
        ]
    return bundle


def transaction(published: Published) -> Resource:
    """All of it as one transaction that any server can take, again and again."""
    return {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [
            {"fullUrl": r["url"], "resource": r, "request": {"method": "PUT", "url": _name(r)}}
            for r in published.resources
        ],
    }


def _name(resource: Resource) -> str:
    return f"{resource['resourceType']}/{resource['id']}"
