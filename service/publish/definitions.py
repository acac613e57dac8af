"""What this service says of itself in FHIR: its CapabilityStatement and its OperationDefinitions."""

from typing import Any, Literal

from service import __version__
from service.fhir.kinds import PUBLISHED_KINDS
from service.fhir.names import BASE
from service.settings import Settings

ASSESS = "assess-treatment-resistance"
PROPOSE = "propose-care-plan"

SEARCHED_BY = {"url": "uri", "version": "token"}
"""By what it can be searched, with the kinds of these parameters."""

_RELEASED = "2026-11-30"
"""Day on which these definitions last changed."""
_TITLE = "trd-careplan"
_ABOUT = (
    "Assesses treatment resistance of depression from a FHIR record and proposes an esketamine care plan. "
    "Decision support: a clinician decides."
)

Resource = dict[str, Any]
Use = Literal["in", "out"]


def fhir_base(settings: Settings) -> str:
    """The address of the FHIR doors of this service, as others reach them."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    root = str(settings.public_url or f"http://{host}:{settings.port}")
    return f"{root.rstrip('/')}/fhir"


def capability_statement(base: str) -> Resource:
    """The CapabilityStatement of this service (kind `instance`)."""
    assess = {"name": ASSESS, "definition": f"{BASE}/OperationDefinition/{ASSESS}"}
    propose = {"name": PROPOSE, "definition": f"{BASE}/OperationDefinition/{PROPOSE}"}
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": _RELEASED,
        "kind": "instance",
        "software": {"name": _TITLE, "version": __version__},
        "implementation": {"description": _ABOUT, "url": base},
        "fhirVersion": "4.0.1",
        "format": ["json", "application/fhir+json"],
        "rest": [
            {
                "mode": "server",
                "security": {"description": "Operations ask for a bearer token wherever one is set."},
                "resource": [
                    {"type": "Patient", "operation": [assess, propose]},
                    *map(_published, PUBLISHED_KINDS),
                ],
                "operation": [assess],
            }
        ],
    }


def _published(kind: str) -> Resource:
    return {
        "type": kind,
        "interaction": [{"code": "read"}, {"code": "search-type"}],
        "searchParam": [{"name": name, "type": of} for name, of in SEARCHED_BY.items()],
    }


def operation_definitions() -> dict[str, Resource]:
    """The OperationDefinitions by their id."""
    as_of = _parameter("asOf", "in", "date", "The day the answer speaks of; today at the site if not given.")
    criteria = _parameter(
        "criteria", "in", "code", "The id of the criteria set to apply; the one of the service if not given."
    )
    identifier = _parameter(
        "identifier",
        "in",
        "string",
        "One patient of the FHIR server, as `system|value`: taken at type level alone.",
    ) | {"searchType": "token"}
    record = _parameter(
        "bundle",
        "in",
        "Bundle",
        "One patient's whole record: needed at system level, and at type level where no identifier is given; "
        "not taken at instance level.",
    )
    assess = _definition(ASSESS, "AssessTreatmentResistance", "Assess treatment resistance")
    assess |= {
        "affectsState": False,
        "description": "Assesses a patient's record and says what follows. Never writes.",
        "system": True,
        "type": True,
        "instance": True,
        "parameter": [as_of, criteria, identifier, record, *_answers()],
    }
    propose = _definition(PROPOSE, "ProposeCarePlan", "Propose a care plan")
    written = _parameter(
        "written", "out", "Reference", "A resource version that was written; none where nothing changed."
    )
    propose |= {
        "affectsState": True,
        "description": "Assesses a patient's record and writes the outcome back: a draft CarePlan where one "
        "is proposed. A second call on an unchanged record writes nothing.",
        "system": False,
        "type": True,
        "instance": True,
        "parameter": [as_of, criteria, identifier, *_answers(), written | {"max": "*"}],
    }
    return {ASSESS: assess, PROPOSE: propose}


def _definition(code: str, name: str, title: str) -> Resource:
    return {
        "resourceType": "OperationDefinition",
        "id": code,
        "url": f"{BASE}/OperationDefinition/{code}",
        "version": __version__,
        "name": name,
        "title": title,
        "status": "active",
        "experimental": False,
        "publisher": _TITLE,
        "kind": "operation",
        "date": _RELEASED,
        "code": code,
        "resource": ["Patient"],
    }


def _parameter(name: str, use: Use, kind: str, about: str) -> Resource:
    return {"name": name, "use": use, "min": 0, "max": "1", "documentation": about, "type": kind}


def _answers() -> list[Resource]:
    """The parameters that every answer has."""
    answers = [
        ("decision", "code", "`propose`, `decline`, `needs-information` or `needs-review`."),
        ("reason", "code", "Which row of the decision table applied."),
        ("asOf", "date", "The day the answer speaks of."),
        ("summary", "string", "The answer in plain language."),
        ("assessment", "string", "The whole assessment, the JSON that `trd-careplan assess --json` prints."),
    ]
    return [_parameter(name, "out", kind, about) | {"min": 1} for name, kind, about in answers]
