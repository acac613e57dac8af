"""What the id of a resource may look like, on whatever server it is."""

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
