"""Which release of FHIR a server speaks: https://hl7.org/fhir/R5/versions.html.

Everything above the client reads and writes R4. The client translates what R5 spells differently, with the
modules of `service.fhir.r5`.
"""

import re
from enum import StrEnum

from service.errors import ServerUnsupported

_A_VERSION = re.compile(r"[0-9]{1,2}(?:\.[0-9]{1,3}){0,2}")


class Release(StrEnum):
    """A release that this service speaks; 4.3 (R4B) differs from 4.0 in nothing that is used here."""

    R4 = "R4"
    R5 = "R5"


_RELEASES = {"4.0": Release.R4, "4.3": Release.R4, "5.0": Release.R5}


def release_of(fhir_version: str | None) -> Release:
    """The release by the `fhirVersion` of a CapabilityStatement; raises `ServerUnsupported` for any other."""
    version = fhir_version or ""
    release = _RELEASES.get(".".join(version.split(".")[:2]))
    if release is None:
        known = _A_VERSION.fullmatch(version) is not None
        stated = f"the server speaks FHIR {version}" if known else "the server does not say its FHIR version"
        raise ServerUnsupported(f"GET metadata: {stated}; this service speaks 4.0, 4.3 and 5.0")
    return release
