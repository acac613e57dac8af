"""Names that this service gives on a FHIR server: identifiers, derived ids, digests of what it wrote."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

BASE = "urn:trd-careplan:fhir"
"""Base of the names that this service gives, the same in every installation (docs/decisions/0037)."""

PLAN_IDENTIFIER = f"{BASE}/identifier/care-plan"
ASSESSMENT_IDENTIFIER = f"{BASE}/identifier/assessment"
TASK_IDENTIFIER = f"{BASE}/identifier/task"
DEVICE_IDENTIFIER = f"{BASE}/identifier/device"
VERSION_IDENTIFIER = f"{BASE}/identifier/version"
DOCUMENT_IDENTIFIER = f"{BASE}/identifier/document"
"""Of what stands in place of a CarePlan: a DocumentReference or a Communication."""
PROPOSAL_IDENTIFIER = f"{BASE}/identifier/proposal"
"""Which proposal a document makes, as a digest."""
PLAN_DEFINITION = f"{BASE}/PlanDefinition"
ASSESSMENT_MODULE = f"{BASE}/OperationDefinition/assess-treatment-resistance"
EDIT_DIGEST = f"{BASE}/StructureDefinition/edit-digest"
CONTENT_DIGEST = f"{BASE}/StructureDefinition/content-digest"
MADE_WITH = f"{BASE}/StructureDefinition/made-with"
WITHDRAWN = f"{BASE}/StructureDefinition/withdrawn"
GROUNDS = f"{BASE}/StructureDefinition/grounds"
CAUSES = f"{BASE}/CodeSystem/cause"
TASK_REASONS = f"{BASE}/CodeSystem/task-reason"
DEVICE_ID = "trd-careplan"
DEVICE_INSIDE = "device"
"""Its id inside a resource, where the server keeps no Device."""

_ID_LENGTH = 40
_PERSONS_PART = {
    "CarePlan": (
        "status",
        "intent",
        "title",
        "description",
        "period",
        "addresses",
        "activity",
        "note",
        "goal",
        "careTeam",
        "category",
        "basedOn",
        "partOf",
        "encounter",
        "contributor",
        "supportingInfo",
        "instantiatesUri",
    ),
    "Task": (
        "status",
        "statusReason",
        "businessStatus",
        "intent",
        "priority",
        "code",
        "description",
        "focus",
        "reasonCode",
        "owner",
        "performerType",
        "requestedPerformer",
        "executionPeriod",
        "note",
        "restriction",
        "input",
        "output",
    ),
    "DocumentReference": (
        "status",
        "docStatus",
        "type",
        "category",
        "subject",
        "author",
        "authenticator",
        "relatesTo",
        "description",
        "securityLabel",
        "content",
    ),
}
"""What a person could change, by kind of resource. Not narrative, meta or created, which servers rewrite."""

SIGNATURES = (EDIT_DIGEST, CONTENT_DIGEST, WITHDRAWN, GROUNDS)
"""Extensions by which a care plan or a Task of ours is known, and known to be untouched."""

_EMPTY: tuple[Any, ...] = (None, {}, [])
_WRITTEN_ANEW = ("id", "meta", "text", "created", "extension", "occurrenceDateTime")
"""What differs between two writings of the same content; the narrative follows from the rest."""


def derived_id(*parts: str) -> str:
    """A FHIR id derived from parts: the same parts give the same id, and it says nothing about them."""
    return f"trd-{_sha256('|'.join(parts))[:_ID_LENGTH]}"


def plan_identity(patient_id: str, anchor_id: str, pathway: str, generation: int) -> str:
    """What one plan is about: a patient, a depression, a pathway; one after a revoked one counts up."""
    return _sha256(f"{patient_id}|{anchor_id}|{pathway}|{generation}")


def edit_digest(resource: dict[str, Any]) -> str:
    """A digest of the part of a care plan, a Task or a document that a person could change."""
    parts = _PERSONS_PART[resource["resourceType"]]
    return _sha256(_canonical({key: resource[key] for key in parts if key in resource}))


def is_edited(resource: dict[str, Any]) -> bool:
    """Whether somebody changed what is ours since it was written, as far as we can tell."""
    return extension_value(resource, EDIT_DIGEST) != edit_digest(resource)


def signatures_of(resource: dict[str, Any]) -> dict[str, str]:
    """What this service signed a care plan or a Task with, by the address of the extension."""
    found = {url: extension_value(resource, url) for url in SIGNATURES}
    return {url: value for url, value in found.items() if value is not None}


def with_signatures(resource: dict[str, Any], signatures: Mapping[str, str]) -> dict[str, Any]:
    """A resource with these signatures of ours; the extensions of others stay."""
    extensions = resource.get("extension")
    kept = extensions if isinstance(extensions, list) else []
    others = [one for one in kept if not (isinstance(one, dict) and one.get("url") in signatures)]
    ours = [{"url": url, "valueString": value} for url, value in signatures.items()]
    return {**resource, "extension": [*others, *ours]}


def grounds_digest(parts: Iterable[str]) -> str:
    """A digest of what a proposal rests on."""
    return _sha256(_canonical(list(parts)))[:_ID_LENGTH]


def content_digest(resource: dict[str, Any]) -> str:
    """A digest of all that a resource says; when and by which version it was written does not matter."""
    return _sha256(_canonical({k: v for k, v in resource.items() if k not in _WRITTEN_ANEW}))


def same_content(one: Any, other: Any) -> bool:
    """Whether two values say the same, however a server may have put them."""
    return _canonical(one) == _canonical(other)


def extension_value(resource: dict[str, Any], url: str) -> str | None:
    """The text of an extension of ours, if the resource carries it."""
    extensions = resource.get("extension")
    for extension in extensions if isinstance(extensions, list) else []:
        if isinstance(extension, dict) and extension.get("url") == url:
            value = extension.get("valueString")
            return value if isinstance(value, str) else None
    return None


def identifiers_of(resource: dict[str, Any], system: str) -> list[str]:
    """The identifiers of a system that a resource carries."""
    identifiers = resource.get("identifier")
    found = identifiers if isinstance(identifiers, list) else []
    return [str(one.get("value")) for one in found if isinstance(one, dict) and one.get("system") == system]


def protocol_of(canonicals: Iterable[str]) -> tuple[str, str] | None:
    """The id and version of the protocol that one of our plans follows, by what it instantiates."""
    for canonical in canonicals:
        url, _, version = canonical.partition("|")
        if url.startswith(f"{PLAN_DEFINITION}/") and version:
            return url.removeprefix(f"{PLAN_DEFINITION}/"), version
    return None


def _canonical(value: Any) -> str:
    return json.dumps(_normal(value), sort_keys=True, separators=(",", ":"))


def _normal(value: Any) -> Any:
    """The value as any server may return it: no element ids, no empty parts, lists of parts in one order."""
    if isinstance(value, dict):
        parts = {k: _normal(v) for k, v in value.items() if k not in {"id", "_id"}}
        return {k: v for k, v in parts.items() if v not in _EMPTY}
    if isinstance(value, list):
        items = [item for item in map(_normal, value) if item not in _EMPTY]
        return sorted(items, key=lambda item: json.dumps(item, sort_keys=True)) if len(items) > 1 else items
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
