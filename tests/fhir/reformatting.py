"""A resource as a server stores it that keeps what was said and not how it was put.

Storing the outcome again changes nothing. The marks in `meta` are those that HAPI and others leave.
"""

import json
import re
from typing import Any

from tests.support import Resource

_BETWEEN_TAGS = re.compile(r">\s*<")
_VERSION = re.compile(r"/_history/[A-Za-z0-9.\-]+$")
_MARKS: Resource = {
    "lastUpdated": "2026-11-23T08:00:00.000+00:00",
    "source": "#Zk3vQ0pXyq1bT7aR",
    "profile": ["http://example.org/fhir/StructureDefinition/kept"],
    "tag": [{"system": "http://example.org/fhir/CodeSystem/tags", "code": "kept"}],
}


def reformatted(resource: Resource) -> Resource:
    """The resource with other white space, another order of parts, ids of elements, marks of the server."""
    stored: Resource = _rewritten(resource)
    return stored | {"meta": {**resource.get("meta", {}), **_MARKS}}


def _rewritten(value: Any) -> Any:
    if isinstance(value, list):
        return _reordered([_rewritten(item) for item in value])
    if isinstance(value, dict):
        return {key: _put_anew(key, _rewritten(part)) for key, part in value.items()}
    return value


def _put_anew(key: str, part: Any) -> Any:
    """A narrative with its tags apart; a reference without its version."""
    if key == "div":
        return _BETWEEN_TAGS.sub(">\n<", part)
    if key == "reference" and isinstance(part, str):
        return _VERSION.sub("", part)
    return part


def _reordered(items: list[Any]) -> list[Any]:
    """Elements in an order of the server's, each with an id; anything else as it is."""
    if not all(isinstance(item, dict) and "resourceType" not in item for item in items):
        return items
    unnamed = [{key: part for key, part in item.items() if key != "id"} for item in items]
    ordered = sorted(unnamed, key=lambda item: json.dumps(item, sort_keys=True), reverse=True)
    return [{"id": f"e{number}", **item} for number, item in enumerate(ordered, start=1)]
