"""Which elements a resource has, and what the tables say of each: looked up one by one, as a person would."""

from collections.abc import Iterator, Mapping
from typing import Any

from service.core.elements import ElementRule, ElementTables, ElementUse

Rules = Mapping[str, ElementRule]


def elements_met(resource: dict[str, Any], tables: ElementTables) -> Iterator[tuple[str, ElementUse | None]]:
    """The path of every element that is met, with its treatment; `None` for one without a rule.

    What lies in an element that is silent or opening is not looked at, nor are extensions, contained
    resources, and what stands beside a value (`_birthDate`).
    """
    kind = resource["resourceType"]
    rules = {**tables.types["Resource"], **tables.types["DomainResource"], **tables.types[kind]}
    content = {name: value for name, value in resource.items() if name != "resourceType"}
    yield from _met(content, kind, rules, "", tables)


def _met(
    whole: dict[str, Any], kind: str, rules: Rules, path: str, tables: ElementTables
) -> Iterator[tuple[str, ElementUse | None]]:
    for name, value in whole.items():
        if name.startswith("_"):
            continue
        rule = rules.get(name)
        yield f"{path}{name}", _treatment(rule, value)
        if rule is None or rule.treatment is not ElementUse.USED or rule.parts == "Resource":
            continue
        own = {rest: below for at, below in rules.items() if (rest := at.removeprefix(f"{name}.")) != at}
        of_type: Rules = tables.types.get(rule.parts or "", {})
        if rule.parts and rule.parts.startswith("#"):
            item = f"{rule.parts[1:]}."
            of_type = {
                at.removeprefix(item): r for at, r in tables.types[kind].items() if at.startswith(item)
            }
        parts = {**tables.types["Element"], **tables.types["BackboneElement"], **of_type, **own}
        if of_type or own:
            within = rule.parts if rule.parts and rule.parts in tables.types else kind
            for one in value if isinstance(value, list) else [value]:
                yield from _met(one, within, parts, f"{path}{name}.", tables)


def _treatment(rule: ElementRule | None, value: Any) -> ElementUse | None:
    """The treatment of an element; a narrative that is made of the elements adds nothing to them."""
    if rule is not None and rule.parts == "Narrative" and value.get("status") == "generated":
        return ElementUse.SILENT
    return rule.treatment if rule is not None else None
