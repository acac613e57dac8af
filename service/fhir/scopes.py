"""The scopes of SMART App Launch, in both of their versions: what is asked for, and what was granted.

https://hl7.org/fhir/smart-app-launch/scopes-and-launch-context.html
"""

import re
from collections.abc import Iterable, Mapping

from service.fhir.kinds import READ_KINDS, STAND_IN_KINDS, WRITTEN_KINDS
from service.fhir.target import read_target, unlisted_kinds
from service.fhir.views import CapabilityView

READ = "rs"
_CREATED = "crs"
WRITTEN = "crus"
_TO_READ, _TO_WRITE = frozenset("rs"), frozenset("cu")
_SCOPE = re.compile(r"(?:system|user)/(\*|[A-Za-z]+)\.(\*|read|write|[cruds]+)")
"""One that holds for a part of a kind alone (`?category=...`) does not fit: not all would be shown."""
_SUBSCRIPTION = "Subscription"
_LETTERS = {"*": "cruds", "read": "rs", "write": "cud"}


def needed_scopes(capability: CapabilityView | None) -> dict[str, str]:
    """The kinds that are read and written on a server, each with the letters of version 2 for what is done.

    `capability` is what the server says of itself: kinds that it does not offer are not asked for, and what
    stands in place of a CarePlan is. `None`, where that is not known, is a server that takes CarePlans.
    """
    if capability is None or not capability.resources:
        read, written = {*READ_KINDS}, dict.fromkeys(WRITTEN_KINDS, WRITTEN)
    else:
        target = read_target(capability, frozenset(unlisted_kinds(capability)))
        taken = (kind for kind in (*WRITTEN_KINDS, *STAND_IN_KINDS) if kind in target.takes)
        read = {kind for kind in READ_KINDS if kind in capability.resources}
        written = {kind: _CREATED if kind in target.only_created else WRITTEN for kind in taken}
    return {kind: READ for kind in READ_KINDS if kind in read - written.keys()} | written


def scopes_to_ask_for(
    capability: CapabilityView | None, also_read: Iterable[str] = (), *, in_letters: bool
) -> str:
    """What this service reads and writes on a server, and its Subscriptions where they are offered.

    `in_letters` as version 2 has it, else as version 1.
    """
    needed = dict.fromkeys(also_read, READ) | needed_scopes(capability)
    if capability is None or not capability.resources or _SUBSCRIPTION in capability.resources:
        needed[_SUBSCRIPTION] = WRITTEN
    if in_letters:
        return " ".join(f"system/{kind}.{letters}" for kind, letters in sorted(needed.items()))
    asked = [f"system/{kind}.read" for kind in sorted(needed)]
    asked += [f"system/{kind}.write" for kind in sorted(needed) if _TO_WRITE & {*needed[kind]}]
    return " ".join(asked)


def names_kinds(granted: str) -> bool:
    """Whether scopes say anything of kinds of resource; those of other conventions do not."""
    return any(_SCOPE.fullmatch(scope) for scope in granted.split())


def lacking_to_read(granted: str, needed: Mapping[str, str]) -> list[str]:
    """The kinds that the scopes do not let be read as a whole, of those that are needed."""
    return _lacking(granted, needed, _TO_READ)


def lacking_to_write(granted: str, needed: Mapping[str, str]) -> list[str]:
    """The kinds that the scopes do not let be created, or updated, where that is needed."""
    return _lacking(granted, needed, _TO_WRITE)


def _lacking(granted: str, needed: Mapping[str, str], of: frozenset[str]) -> list[str]:
    allowed: dict[str, set[str]] = {}
    for scope in filter(None, map(_SCOPE.fullmatch, granted.split())):
        kind, letters = scope.groups()
        allowed.setdefault(kind, set()).update(_LETTERS.get(letters, letters))
    of_all = allowed.get("*", set())
    return [
        kind
        for kind, letters in needed.items()
        if not of.intersection(letters) <= of_all | allowed.get(kind, set())
    ]
