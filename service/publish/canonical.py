"""What every published definition says of itself: address, version, status, date, publisher, licences."""

import re
from collections.abc import Iterable
from html import escape
from typing import Any, NamedTuple

from service.core.knowledge import Knowledge
from service.fhir.names import BASE

PUBLISHER = "trd-careplan"

Resource = dict[str, Any]


class Edition(NamedTuple):
    """Which edition of a definition it is. `draft` is what no clinician has signed off."""

    version: str
    date: str
    status: str = "draft"


_LICENCES = {
    "rxnorm": "RxNorm: U.S. National Library of Medicine; the codes are of its free subset.",
    "snomed": "SNOMED CT: (c) International Health Terminology Standards Development Organisation; its codes "
    "need an affiliate licence outside member countries.",
    "icd-10": "ICD-10: (c) World Health Organization.",
    "icd-10-cm": "ICD-10-CM: U.S. National Center for Health Statistics, after ICD-10, (c) World Health "
    "Organization.",
    "icd-9-cm": "ICD-9-CM: U.S. National Center for Health Statistics and Centers for Medicare & Medicaid "
    "Services.",
    "icd-10-pcs": "ICD-10-PCS: U.S. Centers for Medicare & Medicaid Services.",
    "hcpcs": "HCPCS Level II: U.S. Centers for Medicare & Medicaid Services.",
    "atc": "ATC: (c) WHO Collaborating Centre for Drug Statistics Methodology, Oslo; not for commercial "
    "distribution.",
    "ndc": "NDC: U.S. Food and Drug Administration.",
    "cpt": "CPT: (c) American Medical Association; its codes need a licence.",
    "loinc": "LOINC: (c) Regenstrief Institute and the LOINC Committee; free under https://loinc.org/license.",
    "edqm": "EDQM Standard Terms: (c) European Directorate for the Quality of Medicines & HealthCare, "
    "Council of Europe.",
    "ucum": "UCUM: (c) Regenstrief Institute; free under https://ucum.org/license.",
    "gts-abbreviation": "HL7 v3 GTSAbbreviation: (c) Health Level Seven International.",
    "medication-adherence": "HL7 FHIR medication-statement-adherence: (c) Health Level Seven International.",
    "icd-certainty": "KBV_CS_SFHIR_ICD_DIAGNOSESICHERHEIT: (c) Kassenärztliche Bundesvereinigung.",
    "null-flavor": "HL7 v3 NullFlavor: (c) Health Level Seven International.",
    "data-absent-reason": "HL7 FHIR data-absent-reason: (c) Health Level Seven International.",
    "act-code": "HL7 v3 ActCode: (c) Health Level Seven International.",
    "absent-unknown": "HL7 IPS Absent and Unknown Data: (c) Health Level Seven International.",
    "observation-category": "HL7 Observation Category Codes: (c) Health Level Seven International.",
    "us-core-category": "HL7 US Core Category: (c) Health Level Seven International.",
    "list-contents": "HL7 FHIR list-example-use-codes: (c) Health Level Seven International.",
    "list-empty-reason": "HL7 FHIR list-empty-reason: (c) Health Level Seven International.",
    "yes-no": "HL7 v2 table 0136: (c) Health Level Seven International.",
}


def address_of(kind: str, identity: str) -> str:
    """The canonical address of a definition."""
    return f"{BASE}/{kind}/{identity}"


def canonical_of(resource: Resource) -> str:
    """The canonical reference to one version of a definition, `url|version`."""
    return f"{resource['url']}|{resource['version']}"


def define(kind: str, identity: str, title: str, about: str, edition: Edition) -> Resource:
    """A definition without its content."""
    return {
        "resourceType": kind,
        "id": identity,
        "language": "en",
        "text": _narrative(title, about),
        "url": address_of(kind, identity),
        "version": edition.version,
        "name": "Trd" + "".join(part.capitalize() for part in re.findall(r"[a-z0-9]+", identity.lower())),
        "title": title,
        "status": edition.status,
        "experimental": False,
        "date": edition.date,
        "publisher": PUBLISHER,
        "description": about,
    }


def uris_of(knowledge: Knowledge) -> dict[str, str]:
    """The address of each code system: the first of those that `codes/systems.csv` knows."""
    uris: dict[str, str] = {}
    for uri, system in knowledge.systems.items():
        uris.setdefault(system, uri)
    return uris


def licences_of(systems: Iterable[str]) -> str:
    """The licence notes of code systems, each once."""
    unknown = "{}: its licence is to be checked."
    return " ".join(_LICENCES.get(s, unknown.format(s.upper())) for s in dict.fromkeys(systems))


def _narrative(title: str, about: str) -> Resource:
    text = f"<p><b>{escape(title)}</b></p><p>{escape(about)}</p>"
    return {
        "status": "generated",
        "div": f'<div xmlns="http://www.w3.org/1999/xhtml" lang="en" xml:lang="en">{text}</div>',
    }
