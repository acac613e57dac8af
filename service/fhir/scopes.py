"""The scopes of SMART App Launch, in both of their versions: what is asked for, and what was granted.

https://hl7.org/fhir/smart-app-launch/scopes-and-launch-context.html
"""

import re
from collections.abc import Iterable

from service.fhir.kinds import READ_KINDS, WRITTEN_KINDS

READ = "rs"
WRITE = "cu"
_SCOPE = re.compile(r"(?:system|user)/(\*|[A-Za-z]+)\.(\*|read|write|[cruds]+)")
"""One that holds for a part of a kind alone (`?category=...`) does not fit: not all would be shown."""
_SUBSCRIPTION = "Subscription"
_LETTERS = {"*": "cruds", "read": "rs", "write": "cud"}


def scopes_to_ask_for(*, in_letters: bool) -> str:
    """What this service reads and writes; `in_letters` as version 2 has it, else as version 1."""
    read, written = (READ, "crus") if in_letters else ("read", "write")
    both = {*WRITTEN_KINDS, _SUBSCRIPTION}
    only_read = {*READ_KINDS} - both if in_letters else {*READ_KINDS} | both
    asked = [(kind, read) for kind in sorted(only_read)] + [(kind, written) for kind in sorted(both)]
    return " ".join(f"system/{kind}.{what}" for kind, what in asked)


def names_kinds(granted: str) -> bool:
    """Whether scopes say anything of kinds of resource; those of other conventions do not."""
    return any(_SCOPE.fullmatch(scope) for scope in granted.split())


def lacking_to_read(granted: str) -> list[str]:
    """The kinds that are read and that the scopes do not let be read as a whole."""
    return _lacking(granted, READ_KINDS, READ)


def lacking_to_write(granted: str) -> list[str]:
    """The kinds that are written and that the scopes do not let be created and updated."""
    return _lacking(granted, WRITTEN_KINDS, WRITE)


def _lacking(granted: str, kinds: Iterable[str], needed: str) -> list[str]:
    allowed: dict[str, set[str]] = {}
    for scope in filter(None, map(_SCOPE.fullmatch, granted.split())):
        kind, letters = scope.groups()
        allowed.setdefault(kind, set()).update(_LETTERS.get(letters, letters))
    of_all = allowed.get("*", set())
    return [kind for kind in kinds if not {*needed} <= of_all | allowed.get(kind, set())]
