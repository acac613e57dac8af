"""Find what a resource says beyond what is read of it: the elements that leave a fact open.

What is on record and not understood must never count as not said. The tables in `mappings/elements` say of
every element whether it is used, opens what it bears on, or is silent with a reason. They are compiled once
for a set of knowledge, since a record may have thousands of resources.
"""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias

from service.core.elements import Bearing, ElementRule, ElementUse, How
from service.core.knowledge import Knowledge
from service.ids import plain_system

Resource = dict[str, Any]
Rules: TypeAlias = Mapping[str, ElementRule]


class Opened(NamedTuple):
    """An element that leaves open what it bears on; `element` is its path without positions.

    `only_if_unsaid`: it does so only where no element that is used states the fact.
    """

    element: str
    bears_on: Bearing
    how: How
    only_if_unsaid: bool = False


def find_opened(kind: str, content: Resource, knowledge: Knowledge) -> tuple[Opened, ...]:
    """The elements of a resource that leave something open; none for a kind that is not read.

    `content` is the resource in R4, as the readers have it. An element that no release defines opens what
    the element bears on of which it is a part, and at the top the whole record. A contained resource counts
    where a reference that is used leads to it, as a part of that reference. A resource that is nested too
    deeply to be walked is open as a whole.
    """
    compiled = _compiled(knowledge)
    parts = compiled.parts_of(kind)
    if parts is None:
        return ()
    search = _Search(compiled, content)
    try:
        search.walk(parts, content, "")
    except RecursionError:
        return (Opened("", Bearing.RECORD, How.NOT_READ),)
    return tuple(dict.fromkeys(search.found)) if search.found else ()


# rules, compiled -----------------------------------------------------------------------------------


class _Parts(dict[str, "_Node | None"]):
    """What to do with each part of an element, by name; `None` where there is nothing to do."""

    def __init__(self, bears_on: Bearing) -> None:
        super().__init__()
        self.bears_on = bears_on


class _Node:
    """What to do with an element that is present."""

    __slots__ = ("bears_on", "name")

    def __init__(self, name: str, bears_on: Bearing) -> None:
        self.name = name
        self.bears_on = bears_on

    def look(self, value: Any, place: "_Place", search: "_Search") -> None:
        """Note what the value leaves open."""
        raise NotImplementedError


class _Opening(_Node):
    """An element that opens what it bears on."""

    __slots__ = ("narrative", "only_if_unsaid")

    def __init__(self, name: str, rule: ElementRule, bears_on: Bearing) -> None:
        super().__init__(name, bears_on)
        self.only_if_unsaid = rule.only_if_unsaid
        self.narrative = rule.parts == "Narrative"

    def look(self, value: Any, place: "_Place", search: "_Search") -> None:
        if value is False or _says_nothing(value) or (self.narrative and _repeats_the_elements(value)):
            return
        search.note(
            f"{place.path}{self.name}", self.bears_on, How.NOT_READ, only_if_unsaid=self.only_if_unsaid
        )


class _Whole(_Node):
    """An element that is used, with parts of its own."""

    __slots__ = ("parts",)

    def __init__(self, name: str, parts: _Parts) -> None:
        super().__init__(name, parts.bears_on)
        self.parts = parts

    def look(self, value: Any, place: "_Place", search: "_Search") -> None:
        within = f"{place.path}{self.name}."
        for one in value if isinstance(value, list) else (value,):
            if isinstance(one, dict):
                search.walk(self.parts, one, within)
                self.follow(one, within[:-1], search)
            elif one is not None:
                search.note(within[:-1], self.bears_on, How.NOT_READ)

    def follow(self, one: Resource, path: str, search: "_Search") -> None:
        """Look at what the element says or leads to beyond its parts."""


class _CodedConcept(_Whole):
    """A concept, whose coding may be the reason why there is none."""

    __slots__ = ()

    def follow(self, one: Resource, path: str, search: "_Search") -> None:
        """Note that the concept is withheld, or that nobody knows it and no other coding states it."""
        codings = list(_dicts(one.get("coding")))
        reasons = [how for coding in codings if (how := search.compiled.absence(coding)) is not None]
        stated = any(coding.get("code") and search.compiled.absence(coding) is None for coding in codings)
        if How.WITHHELD in reasons:
            search.note(path, self.bears_on, How.WITHHELD)
        elif reasons and not stated:
            search.note(path, self.bears_on, reasons[0])


class _Leading(_Whole):
    """A reference, which may lead to a resource contained in the same one."""

    __slots__ = ()

    def follow(self, one: Resource, path: str, search: "_Search") -> None:  # noqa: ARG002 - as above
        address = one.get("reference")
        if isinstance(address, str) and address.startswith("#"):
            search.walk_contained(address[1:], self.bears_on)


class _Beside(_Node):
    """The twin of a value without parts (`_birthDate`): its extensions, which may say why it is missing."""

    __slots__ = ()

    def look(self, value: Any, place: "_Place", search: "_Search") -> None:
        twins = value if isinstance(value, list) else (value,)
        given = place.whole.get(self.name)
        values = given if isinstance(given, list) else [given] * len(twins)
        for number, twin in enumerate(twins):
            if not isinstance(twin, dict) or not twin.get("extension"):
                continue
            before = len(search.found)
            search.look_at_extensions(twin["extension"], self.bears_on, f"{place.path}{self.name}.")
            missing = number >= len(values) or values[number] is None
            if missing and len(search.found) == before:
                search.note(f"{place.path}{self.name}", self.bears_on, How.NOT_READ)


class _Extensions(_Node):
    __slots__ = ()

    def look(self, value: Any, place: "_Place", search: "_Search") -> None:
        search.look_at_extensions(value, self.bears_on, place.path)


class _Labels(_Node):
    """Security labels and tags, which may say that parts were left out."""

    __slots__ = ()

    def look(self, value: Any, place: "_Place", search: "_Search") -> None:
        labels = search.compiled.tables.labels
        if any(isinstance(code := one.get("code"), str) and code in labels for one in _dicts(value)):
            search.note(f"{place.path}{self.name}", self.bears_on, How.WITHHELD)


class _Compiled:
    """The tables, ready for walking: what to do with each part, kind by kind, as the need arises."""

    def __init__(self, knowledge: Knowledge) -> None:
        tables = knowledge.elements
        self.tables = tables
        self._absence_systems = frozenset(
            plain_system(uri) for uri, system in knowledge.systems.items() if system in _ABSENCE_SYSTEMS
        )
        self._of_elements = {**tables.types["Element"], **tables.types["BackboneElement"]}
        self._of_resources = {**tables.types["Resource"], **tables.types["DomainResource"]}
        self._kinds: dict[str, _Parts] = {}
        self._repeated: dict[tuple[str, str, Bearing], _Parts] = {}

    def parts_of(self, kind: str) -> _Parts | None:
        """What to do with each element of a kind of resource; `None` for one that has no table."""
        if kind not in self._kinds and kind in self.tables.types:
            parts = _Parts(Bearing.RECORD)
            self._fill(parts, kind, {**self._of_resources, **self.tables.types[kind]})
            parts["resourceType"] = None
            self._kinds[kind] = parts
        return self._kinds.get(kind)

    def _fill(self, parts: _Parts, kind: str, rules: Rules) -> None:
        """Compile the rules of the parts of an element; `kind` is the type whose table they are from."""
        for name, rule in rules.items():
            if "." in name:
                continue
            inherited = parts.bears_on if rule.bears_on is Bearing.ELEMENT else rule.bears_on
            own = _below(name, rules)
            parts[name] = self._node(name, rule, inherited, kind, own)
            if not own and rule.parts is None:
                silent = rule.treatment is ElementUse.SILENT
                parts[f"_{name}"] = None if silent else _Beside(name, inherited)

    def _node(self, name: str, rule: ElementRule, bears_on: Bearing, kind: str, own: Rules) -> _Node | None:
        of = rule.parts
        if rule.treatment is ElementUse.OPENS:
            return _Opening(name, rule, bears_on)
        if rule.treatment is ElementUse.SILENT or of in _LOOKED_AT_ELSEWHERE or not (of or own):
            return None
        if of == "Extension":
            return _Extensions(name, bears_on)
        if (kind, of) == ("Meta", "Coding"):
            return _Labels(name, bears_on)
        if of is not None and of.startswith("#"):
            return _Whole(name, self._again(kind, of[1:], bears_on))
        parts = _Parts(bears_on)
        self._fill(parts, of or kind, {**self._of_elements, **self.tables.types.get(of or "", {}), **own})
        return _WHOLES.get(of or "", _Whole)(name, parts)

    def absence(self, coding: Resource) -> How | None:
        """Why there is no concept, where a coding is the reason for that; `None` for any other coding."""
        system, code = coding.get("system"), coding.get("code")
        if not isinstance(system, str) or not isinstance(code, str):
            return None
        if plain_system(system) not in self._absence_systems:
            return None
        return self.tables.absences.get(code, How.NOT_READ)

    def _again(self, kind: str, name: str, bears_on: Bearing) -> _Parts:
        """The parts of an element that stands within itself, such as a question among the answers to one."""
        place = (kind, name, bears_on)
        if place not in self._repeated:
            self._repeated[place] = _Parts(bears_on)
            own = _below(name, self.tables.types[kind])
            self._fill(self._repeated[place], kind, {**self._of_elements, **own})
        return self._repeated[place]


_ABSENCE_SYSTEMS = frozenset({"data-absent-reason", "null-flavor"})
"""Code systems of the reasons for missing values, as `mappings/codes/systems.csv` calls them."""
_WHOLES = {"Reference": _Leading, "CodeableConcept": _CodedConcept}
_LOOKED_AT_ELSEWHERE = frozenset({"Resource", "Narrative"})
"""Contained resources are looked at where references lead to them; the words of a plan by its reader."""


@lru_cache(maxsize=8)
def _compiled(knowledge: Knowledge) -> _Compiled:
    return _Compiled(knowledge)


def _below(name: str, rules: Rules) -> dict[str, ElementRule]:
    """The rules of the parts of an element, by their path within it."""
    return {path[len(name) + 1 :]: rule for path, rule in rules.items() if path.startswith(f"{name}.")}


# a resource, walked --------------------------------------------------------------------------------


class _Place(NamedTuple):
    """An element whose parts are looked at, and the path that leads to them."""

    path: str
    whole: Resource


class _Search:
    """One walk through a resource; what it leaves open is in `found`."""

    def __init__(self, compiled: _Compiled, content: Resource) -> None:
        self.compiled = compiled
        self.found: list[Opened] = []
        self._content = content
        self._followed: set[str] = set()

    def note(self, element: str, bears_on: Bearing, how: How, *, only_if_unsaid: bool = False) -> None:
        """Note an element that leaves open what it bears on."""
        self.found.append(Opened(element, bears_on, how, only_if_unsaid))

    def walk(self, parts: _Parts, whole: Resource, path: str) -> None:
        """Note what the parts of an element leave open."""
        place = _Place(path, whole)
        for name, value in whole.items():
            try:
                node = parts[name]
            except KeyError:
                if not _says_nothing(value):
                    self.note(f"{path}{name}", parts.bears_on, How.NOT_DEFINED)
                continue
            if node is not None:
                node.look(value, place, self)

    def walk_contained(self, identity: str, bears_on: Bearing) -> None:
        """Note what a contained resource leaves open of that to which a reference to it belongs.

        The strength that a contained medicine states bears on the dose still.
        """
        for resource in _dicts(self._content.get("contained")):
            if resource.get("id") != identity or identity in self._followed:
                continue
            self._followed.add(identity)
            parts = self.compiled.parts_of(str(resource.get("resourceType")))
            if parts is None:
                continue
            before = len(self.found)
            self.walk(parts, resource, "contained.")
            self.found[before:] = [
                one if one.bears_on is Bearing.DOSE else one._replace(bears_on=bears_on)
                for one in self.found[before:]
            ]

    def look_at_extensions(self, extensions: Any, bears_on: Bearing, path: str) -> None:
        """Note what the extensions of the element at `path` leave open; those not listed may be ignored."""
        tables = self.compiled.tables
        for extension in _dicts(extensions):
            url = extension.get("url")
            rule = tables.extensions.get(url) if isinstance(url, str) else None
            if rule is None or rule.treatment is not ElementUse.OPENS:
                continue
            bearing = bears_on if rule.bears_on is Bearing.ELEMENT else rule.bears_on
            if url in tables.absence_extensions:
                reason = extension.get("valueCode")
                how = tables.absences.get(reason, How.NOT_READ) if isinstance(reason, str) else How.NOT_READ
                self.note(path[:-1], bearing, how)
                continue
            named = f"{path}extension({str(url).rpartition('/')[2]})"
            self.note(named, bearing, How.NOT_READ, only_if_unsaid=rule.only_if_unsaid)


def _dicts(value: Any) -> Iterator[Resource]:
    """The elements of a list that have parts."""
    return (one for one in value if isinstance(one, dict)) if isinstance(value, list) else iter(())


def _says_nothing(value: Any) -> bool:
    """Whether a value is empty, which FHIR does not allow and which states nothing."""
    return value is None or (isinstance(value, str | list | dict) and not value)


def _repeats_the_elements(narrative: Any) -> bool:
    """Whether a narrative is made of the elements alone: https://hl7.org/fhir/R4/codesystem-narrative-status.html."""
    return isinstance(narrative, dict) and narrative.get("status") in ("generated", "empty")
