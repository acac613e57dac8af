"""What the id of a resource may look like, and one spelling for the address of a code system."""

import re

ID = r"(?=\.{0,255}[A-Za-z0-9_~\-])[A-Za-z0-9._~\-]{1,256}"
"""The pattern of an id, for a pattern or a route that contains one.

FHIR allows 64 letters, digits, hyphens and dots (https://hl7.org/fhir/R4/datatypes.html#id). Servers in use
give longer ids, with underscores. An id holds only characters that stand for themselves in an address, and
is not made of dots alone: `.` and `..` would climb a path.
"""

_ID = re.compile(ID)


def is_id(text: str | None) -> bool:
    """Whether a text can be the id of a resource, or of a version of one."""
    return _ID.fullmatch(text or "") is not None


def plain_system(uri: str) -> str:
    """One spelling for all spellings of the address of a code system or of a system of identifiers.

    Records write one address with `http` or `https`, with a version behind `|`, with a slash at the end, and
    in capitals. No two systems differ in these alone.
    """
    address = uri.strip().partition("|")[0].rstrip("/").lower()
    return address.replace("https://", "http://", 1) if address.startswith("https://") else address
