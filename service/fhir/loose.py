"""What the translations between R4 and R5 share: JSON that may be malformed, and renamed elements."""

from typing import Any

Resource = dict[str, Any]


def part(value: Any) -> Resource:
    """The value if it is an element with parts, else an empty one."""
    return value if isinstance(value, dict) else {}


def parts(value: Any) -> list[Any]:
    """The value if it is a list, else an empty one."""
    return value if isinstance(value, list) else []


def text(value: Any) -> str:
    """The value if it is text, else an empty one."""
    return value if isinstance(value, str) else ""


def rename(resource: Resource, old: str, new: str) -> None:
    """Give an element another name."""
    if old in resource:
        resource[new] = resource.pop(old)


def split(resource: Resource, value: Any, *, concept: str, reference: str) -> None:
    """Put a CodeableReference into the two elements that R4 has for it; malformed, into the first."""
    if not isinstance(value, dict | None):
        resource[concept] = value
    for name, element in (("concept", concept), ("reference", reference)):
        if name in part(value):
            resource[element] = part(value)[name]


def split_all(resource: Resource, values: Any, *, concepts: str, references: str) -> None:
    """Put a list of CodeableReferences into the two lists that R4 has for it; malformed, into the first."""
    if not isinstance(values, list | None):
        resource[concepts] = values
    of_concepts = [
        part(one)["concept"] if isinstance(one, dict) else one
        for one in parts(values)
        if not isinstance(one, dict) or "concept" in one
    ]
    of_references = [one["reference"] for one in parts(values) if "reference" in part(one)]
    for element, found in ((concepts, of_concepts), (references, of_references)):
        if found:
            resource[element] = found
