"""What the validator of a HAPI server says of a resource."""

from collections.abc import Iterable, Iterator
from typing import Any

from tests.contract_write import ask
from tests.support import Resource


async def faults_of(server: str, resource: Resource) -> list[str]:
    """What the validator calls an error."""
    answer = await ask(server, f"{resource['resourceType']}/$validate", method="POST", body=resource)
    outcome = answer.json()
    assert outcome["resourceType"] == "OperationOutcome"
    assert outcome["issue"]
    return [
        f"{resource['resourceType']} {issue.get('location', '')}: {issue.get('diagnostics', '')}"
        for issue in outcome["issue"]
        if issue["severity"] in {"error", "fatal"}
    ]


def one_of_each_shape(resources: Iterable[Resource]) -> list[Resource]:
    """The first of all resources that have the same elements, at every depth."""
    found: dict[frozenset[str], Resource] = {}
    for resource in resources:
        found.setdefault(frozenset(_elements(resource, resource["resourceType"])), resource)
    return list(found.values())


def _elements(value: Any, path: str) -> Iterator[str]:
    """The path of every element that has a value."""
    if isinstance(value, dict):
        for name, part in value.items():
            yield from _elements(part, f"{path}.{name}")
    elif isinstance(value, list):
        for part in value:
            yield from _elements(part, path)
    else:
        yield path
