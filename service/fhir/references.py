"""Read what FHIR refers by: references to resources, and the addresses of systems and protocols.

https://hl7.org/fhir/R4/references.html. Every reference is taken apart here and nowhere else.
"""

import re
from typing import NamedTuple

from service.ids import is_id

_KIND = re.compile(r"[A-Z][A-Za-z]{1,63}")
_NO_BASE = re.compile(r"[?#\s]")
_NO_VERSION = re.compile(r"[/?#\s]|^$")


class Reference(NamedTuple):
    """Where a reference leads.

    `address` is the reference without the version. `kind` and `id` are those of the resource it names; both
    are empty for a fragment (`#m`), a URN (`urn:uuid:...`), and what is no reference. `base` is the address
    of the server, empty for a relative reference.
    """

    address: str
    base: str = ""
    kind: str = ""
    id: str = ""
    version: str | None = None

    @property
    def name(self) -> str | None:
        """The resource as `Type/id`; `None` where the reference does not name one that way."""
        return f"{self.kind}/{self.id}" if self.kind else None

    @property
    def versioned(self) -> str | None:
        """The version as `Type/id/_history/version`; without the version where none is named."""
        return f"{self.name}/_history/{self.version}" if self.name and self.version else self.name

    @property
    def fragment(self) -> str | None:
        """The id of the contained resource that the reference leads to; `None` where it leads elsewhere."""
        return self.address[1:] if self.address.startswith("#") else None

    def is_on(self, base: str | None) -> bool:
        """Whether it names a resource on the server with this address, as every relative reference does."""
        return bool(self.kind) and self.base in {"", base}

    def id_of(self, kind: str) -> str | None:
        """The id of a resource of this kind; `None` where the reference is to something else."""
        return self.id if self.kind == kind else None


def read_reference(text: str | None) -> Reference:
    """Take a reference apart; one that is missing or malformed names nothing."""
    address, versioned, version = (text or "").partition("/_history/")
    base, kind, identity = ["", "", *address.rsplit("/", 2)][-3:]
    named = _KIND.fullmatch(kind) and is_id(identity) and not _NO_BASE.search(base)
    if not named or (versioned and _NO_VERSION.search(version)):
        return Reference(address)
    return Reference(address, base, kind, identity, version if is_id(version) else None)
