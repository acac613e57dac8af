"""One more element, validly and randomly filled, somewhere in a resource: as FHIR R4 defines the elements.

https://hl7.org/fhir/R4/datatypes.html; the definitions are the models of `fhir.resources`.
"""

import re
from collections.abc import Callable, Iterator
from copy import deepcopy
from functools import cache
from random import Random
from typing import Any, NamedTuple

from fhir.resources.R4B import get_fhir_model_class

from tests.support import Resource

_TYPE = re.compile(r"abc\.(\w+)Type\b")
_PRIMITIVE = re.compile(r", (\w+)\(")
_DEEPEST = 3
_NEVER = frozenset({"id", "fhir_comments", "contained", "resourceType"})
"""Elements that name the resource, or hold others of any kind."""

_WORDS = ("Seen in clinic", "discussed with family", "25 mg", "see chart", "Wednesday", "none", "twice")
_CODES = ("active", "completed", "24", "F41.1", "73211009", "mg", "d", "unknown", "final", "at0004")
_SYSTEMS = (
    "http://snomed.info/sct",
    "http://loinc.org",
    "http://example.org/codes",
    "http://unitsofmeasure.org",
)
_DAYS = ("2024-03-05", "2025-08-14", "2025-10", "2026", "2026-11-01")
_VALUES: dict[str, Callable[[Random], Any]] = {
    "Boolean": lambda rng: rng.random() < 0.5,
    "Base64Binary": lambda _: "aGVsbG8=",
    "EncodedBytes": lambda _: "aGVsbG8=",
    "Code": lambda rng: rng.choice(_CODES),
    "Date": lambda rng: rng.choice(_DAYS),
    "DateTime": lambda rng: rng.choice((*_DAYS, "2026-10-01T09:30:00+01:00")),
    "Instant": lambda _: "2026-10-01T09:30:00Z",
    "Time": lambda rng: rng.choice(("08:00:00", "21:30:00")),
    "Decimal": lambda rng: rng.choice((0, 0.5, 1, 2, 25, 100)),
    "Integer": lambda rng: rng.choice((0, 1, 2, 30)),
    "UnsignedInt": lambda rng: rng.choice((0, 1, 30)),
    "PositiveInt": lambda rng: rng.choice((1, 2, 30)),
    "Uri": lambda rng: rng.choice(_SYSTEMS),
    "Url": lambda rng: rng.choice(_SYSTEMS),
    "Canonical": lambda rng: rng.choice(_SYSTEMS),
    "Oid": lambda _: "urn:oid:1.2.3.4.5",
    "Uuid": lambda _: "urn:uuid:c757873d-ec9a-4326-a141-556f43239520",
    "Id": lambda _: "an-id",
}


class Field(NamedTuple):
    """An element as it is defined: its type, whether it repeats, its codes, and the choice that it is of."""

    name: str
    kind: str
    repeats: bool
    codes: tuple[str, ...]
    choice: str | None
    required: bool

    @property
    def has_parts(self) -> bool:
        """Whether it consists of other elements."""
        return self.kind not in _VALUES and self.kind not in {"String", "Markdown"}


@cache
def fields_of(model: str) -> tuple[Field, ...]:
    """The elements of a type, each as it is defined; without those that stand beside a value."""
    found = []
    for key, field in get_fhir_model_class(model).model_fields.items():
        name = field.alias or key
        annotation = str(field.annotation)
        if name.startswith("_") or name in _NEVER:
            continue
        extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
        codes = extra.get("enum_values") or ()
        choice = extra.get("one_of_many")
        found.append(
            Field(
                name,
                _kind_of(annotation),
                "List[" in annotation,
                tuple(map(str, codes)) if isinstance(codes, list | tuple) else (),
                str(choice) if choice else None,
                field.is_required() or bool(extra.get("element_required")),
            )
        )
    return tuple(found)


def _kind_of(annotation: str) -> str:
    whole = _TYPE.search(annotation)
    if whole is not None:
        return whole[1]
    value = _PRIMITIVE.search(annotation)
    return value[1] if value else "Boolean"


class Addition(NamedTuple):
    """A resource with one element more: its path without positions, and the resource."""

    path: str
    resource: Resource


def with_one_more(resource: Resource, rng: Random) -> Addition:
    """The resource with one more element, at its top or in a part that it has already.

    Where a choice of types is filled already, no second one is added: FHIR allows one.
    """
    changed = deepcopy(resource)
    path, part, model = rng.choice(list(_parts_of(changed, changed["resourceType"], "")))
    taken = {field.choice for field in fields_of(model) if field.name in part and field.choice}
    free = [
        f for f in fields_of(model) if f.name not in part and f.choice not in taken and f.kind != "Resource"
    ]
    if not free:
        return Addition("", changed)
    field = rng.choice(free)
    part[field.name] = value_of(field, rng)
    return Addition(f"{path}{field.name}", changed)


def _parts_of(part: Resource, model: str, path: str) -> Iterator[tuple[str, Resource, str]]:
    """Every part of a resource that has elements of its own, with its path and its type."""
    yield path, part, model
    for field in fields_of(model):
        if not field.has_parts or field.kind in {"Resource", "Meta", "Narrative", "Extension"}:
            continue
        value = part.get(field.name)
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, dict):
                yield from _parts_of(one, field.kind, f"{path}{field.name}.")


def value_of(field: Field, rng: Random, depth: int = 0) -> Any:
    """A valid value of an element."""
    if field.codes:
        value: Any = rng.choice(field.codes)
    elif field.kind in {"String", "Markdown"}:
        value = rng.choice(_WORDS)
    elif field.kind in _VALUES:
        value = _VALUES[field.kind](rng)
    elif field.kind == "Reference":
        value = {"reference": rng.choice(("Practitioner/p", "Encounter/e", "Observation/o", "Condition/c"))}
    elif field.kind == "Narrative":
        value = {
            "status": "additional",
            "div": f"<div xmlns='http://www.w3.org/1999/xhtml'>{rng.choice(_WORDS)}</div>",
        }
    elif field.kind == "Extension":
        value = {"url": "http://example.org/extension", "valueString": rng.choice(_WORDS)}
    else:
        value = _whole(field.kind, rng, depth)
    return [value] if field.repeats else value


def _whole(model: str, rng: Random, depth: int) -> Resource:
    """A part with some of its elements, one of each choice; one at least."""
    fields = [
        f
        for f in fields_of(model)
        if f.name not in {"extension", "modifierExtension"} and f.kind != "Resource"
    ]
    plain = [f for f in fields if not f.has_parts or depth < _DEEPEST]
    picked = [f for f in fields if f.required] + rng.sample(plain, min(len(plain), rng.randint(1, 3)))
    whole: Resource = {}
    chosen: set[str] = set()
    for field in picked:
        if field.choice in chosen:
            continue
        if field.choice:
            chosen.add(field.choice)
        whole[field.name] = value_of(field, rng, depth + 1)
    return whole
