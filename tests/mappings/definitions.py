"""The elements that FHIR R4 and R5 define, as the models of `fhir.resources` have them."""

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from fhir.resources import get_fhir_model_class as r5_model
from fhir.resources.R4B import get_fhir_model_class as r4_model

MODELS = {"R4": r4_model, "R5": r5_model}
_A_TYPE = re.compile(r"abc\.(\w+)Type\b")
_QUANTITIES = frozenset({"Age", "Duration"})
"""Types that are Quantities, and have no table of their own."""


@cache
def elements_of(release: str, kind: str) -> dict[str, str | None]:
    """The path of every element of a type, its backbone elements included, with the type of its parts.

    It is `None` for a value without parts and for an element whose parts are beside it, and `#item` for one
    whose parts are those of the element `item` again.
    """
    return dict(_parts(release, kind, kind, "", ()))


def _parts(
    release: str, kind: str, model: str, path: str, above: tuple[str, ...]
) -> Iterator[tuple[str, str | None]]:
    for name, parts in _fields(release, model):
        if parts is None or not parts.startswith(kind):
            yield f"{path}{name}", "Quantity" if parts in _QUANTITIES else parts
        elif parts in above:
            yield f"{path}{name}", f"#{parts.removeprefix(kind).lower()}"
        else:
            yield f"{path}{name}", None
            yield from _parts(release, kind, parts, f"{path}{name}.", (*above, parts))


def _fields(release: str, model: str) -> Iterator[tuple[str, str | None]]:
    fields: Any = MODELS[release](model).model_fields
    for key, field in fields.items():
        name = field.alias or key
        found = _A_TYPE.search(str(field.annotation))
        if not name.startswith("_") and name != "fhir_comments":
            yield name, found[1] if found else None
