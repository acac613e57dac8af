"""The cases that between them hold everything that the others hold, for servers that take seconds per case.

They are chosen anew whenever a case is added, so that what a new case brings is tested on these servers too.
All cases are tested from their files and on the servers that are quick.
"""

import tomllib
from collections.abc import Callable, Hashable, Iterator
from functools import cache
from typing import Any

from tests.support import CASES, FEW, Resource, case_bundle, cases_of_servers, resources_of

Trait = Hashable
"""Something that a case has and that may make a difference to a server."""


@cache
def cases_to_read() -> list[str]:
    """Cases with every kind of resource, every status of each kind and every element of each kind."""
    return covering(lambda name: set(_shapes(name)))


@cache
def cases_to_write() -> list[str]:
    """Cases with every reason of a decision, every criteria set, and each decision by region and alerts."""
    return covering(lambda name: set(_outcomes(name)))


@cache
def cases_that_hapi_stores() -> list[str]:
    """The cases without a reference that leads nowhere: HAPI refuses one to a resource that is not there."""
    return [name for name in cases_of_servers() if not _leads_nowhere(resources_of(case_bundle(name)))]


def _leads_nowhere(resources: list[Resource]) -> bool:
    there = {f"{resource['resourceType']}/{resource['id']}" for resource in resources}
    return any(
        reference.startswith("Patient/") and reference not in there for reference in _references(resources)
    )


def _references(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("reference"), str):
            yield value["reference"]
        for part in value.values():
            yield from _references(part)
    elif isinstance(value, list):
        for part in value:
            yield from _references(part)


def covering(traits_of: Callable[[str], set[Trait]]) -> list[str]:
    """A few cases that have every trait that any case has; the cases of `FEW` are preferred."""
    names = [*FEW, *(name for name in cases_that_hapi_stores() if name not in FEW)]
    traits = {name: traits_of(name) for name in names}
    missing = set[Trait]().union(*traits.values())
    chosen = []
    while missing:
        best = max(names, key=lambda name: len(traits[name] & missing))
        chosen.append(best)
        missing -= traits[best]
    return chosen


def _shapes(name: str) -> Iterator[Trait]:
    for resource in resources_of(case_bundle(name)):
        kind = resource["resourceType"]
        yield kind, "status", resource.get("status")
        yield from ((kind, element) for element in resource)


def _outcomes(name: str) -> Iterator[Trait]:
    expected: dict[str, Any] = tomllib.loads((CASES / name / "expected.toml").read_text(encoding="utf-8"))
    decision = expected["decision"]
    yield expected["reason"]
    yield decision, expected.get("region", "us")
    yield "criteria", expected.get("criteria_id", "seed")
    yield decision, bool(expected.get("alerts"))
