"""Write a decision back: set against what is on record, in one transaction, under derived ids.

The same decision on the same record writes the same ids, so that repeating is harmless, and content that is
already there is not written again.
"""

from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import msgspec

from service.core.decision import Decision, Propose, grounds_of, wanted_plan
from service.core.plans import PlanAction, Reconciliation, reconcile
from service.core.records import PlanOfRecord, PlanStatus, VersionedReference
from service.core.schedule import Schedule
from service.core.words import summarise
from service.errors import NotFhir, NotJson, ServerMisread, ServerRefused
from service.fhir.client import FhirClient
from service.fhir.identity import (
    CONTENT_DIGEST,
    DEVICE_ID,
    content_digest,
    extension_value,
    grounds_digest,
    plan_identity,
)
from service.fhir.r4b import validated
from service.fhir.r5_records import in_r4
from service.fhir.release import Release
from service.fhir.render import (
    Occasion,
    Resource,
    guidance_id,
    render_device,
    render_guidance,
    render_plan,
    render_provenance,
    render_revoked,
    shows_depression,
)
from service.fhir.sources import UNDECODABLE, Gathered, take_resource
from service.fhir.views import TransactionResponseView

_RESPONSE = msgspec.json.Decoder(TransactionResponseView)
_OBJECT = msgspec.json.Decoder(dict[str, Any])


@dataclass(frozen=True, slots=True)
class Intent:
    """What is to be done with the care plan: the action, why, and the plan as it would stand.

    `plan` is `None` where nothing is written; `before` is the plan of record it concerns.
    """

    action: PlanAction
    why: str
    plan: Resource | None = None
    before: PlanOfRecord | None = None

    @property
    def plan_id(self) -> str | None:
        """The id of the plan that the decision ends in, if there is one that stands."""
        if self.plan is not None:
            return str(self.plan["id"])
        if self.before is None or self.before.status is PlanStatus.DELETED:
            return None
        return self.before.evidence.id


def intend(decision: Decision, plans: tuple[PlanOfRecord, ...], gathered: Gathered) -> Intent:
    """Set a decision against the plans on record."""
    found = reconcile(wanted_plan(decision), plans, grounds_digest(grounds_of(decision)))
    match found.action:
        case PlanAction.CREATE | PlanAction.UPDATE:
            return _intend_plan(decision, found, plans, gathered)
        case PlanAction.REVOKE if found.plan is not None:
            revoked = render_revoked(_content(found.plan, gathered), summarise(decision))
            return Intent(found.action, found.why, revoked, found.plan)
        case _:
            return Intent(found.action, found.why, before=found.plan)


def _intend_plan(
    decision: Decision, found: Reconciliation, plans: tuple[PlanOfRecord, ...], gathered: Gathered
) -> Intent:
    """A new plan, or our draft anew; nothing where it already says the same."""
    assert isinstance(decision, Propose)  # noqa: S101 - only a proposal wants a plan
    assert isinstance(decision.schedule, Schedule)  # noqa: S101 - and only one that could be scheduled
    assessment = decision.assessment
    before = found.plan
    generation = sum(plan.ours for plan in plans)
    anchor = assessment.anchors[0].id
    identity = plan_identity(assessment.patient.id, anchor, decision.reason.value, generation)
    if before is None:
        plan = render_plan(decision, decision.schedule, identity, found.replaces)
        return Intent(found.action, found.why, plan)
    plan = render_plan(decision, decision.schedule, before.identity or identity, found.replaces)
    plan |= {"id": before.evidence.id, "created": _content(before, gathered).get("created", plan["created"])}
    if extension_value(plan, CONTENT_DIGEST) == before.content:
        return Intent(PlanAction.NONE, "the draft on record says the same", before=before)
    return Intent(found.action, found.why, plan, before)


def _content(plan: PlanOfRecord, gathered: Gathered) -> Resource:
    source = next(s for s in gathered.sources if s.reference == plan.evidence)
    content: Resource = msgspec.json.decode(source.content)
    return content


async def find_unlisted_plan(client: FhirClient, intent: Intent, gathered: Gathered) -> Gathered | None:
    """Look by id for a plan about to be created. Searches may lag, and show nothing that was deleted.

    Returns the record with the plan found, or `None` when there is none.
    """
    if intent.action is not PlanAction.CREATE or intent.plan_id is None:
        return None
    path = f"CarePlan/{intent.plan_id}"
    try:
        source = take_resource(await client.get(path))
        return gathered.with_source(in_r4(await client.release(), source))
    except (NotJson, NotFhir):
        raise ServerMisread(f"GET {path}: the answer is not a FHIR resource") from None
    except ServerRefused as refused:
        if refused.status == HTTPStatus.NOT_FOUND:
            return None
        if refused.status == HTTPStatus.GONE:
            return gathered.with_deleted_plan(intent.plan_id)
        raise


async def write_back(
    client: FhirClient, decision: Decision, intent: Intent, occasion: Occasion
) -> tuple[VersionedReference, ...]:
    """Write what changed, in one transaction; returns the versions written, none when nothing changed.

    Raises `ServerRefused` with 409 or 412 when somebody was faster: read again and decide again.
    """
    entries: list[tuple[Resource, str | None]] = []
    if intent.plan is not None:
        entries.append((intent.plan, intent.before.evidence.version if intent.before else None))
    guidance = await _changed_guidance(client, decision, intent)
    if guidance is not None:
        entries.append(guidance)
    if not entries:
        return ()
    return await write_all(client, entries, lambda targets: render_provenance(decision, targets, occasion))


async def write_all(
    client: FhirClient,
    entries: list[tuple[Resource, str | None]],
    provenance_of: Callable[[list[VersionedReference]], Resource],
) -> tuple[VersionedReference, ...]:
    """Write resources, each over the version given, with their Provenance, in one transaction.

    Raises as `write_back` does.
    """
    targets = [_next_version(resource, version) for resource, version in entries]
    device = await _missing_device(client)
    provenance = provenance_of(targets)
    everything = [*((d, None) for d in device), *entries, (provenance, None)]
    release = await client.release()
    body = {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [_entry(_accepted(resource, release), version) for resource, version in everything],
    }
    answer = await client.post("", msgspec.json.encode(body))
    return _written(answer, [resource for resource, _ in everything])


def _accepted(resource: Resource, release: Release) -> Resource:
    """The resource in the release of the server, its structure accepted by the models of that release."""
    if release is Release.R4:
        return validated(resource)
    from service.fhir.r5 import validated_r5  # noqa: PLC0415 - for a server of R5 only

    return validated_r5(resource)


async def _changed_guidance(
    client: FhirClient, decision: Decision, intent: Intent
) -> tuple[Resource, str | None] | None:
    """The GuidanceResponse and the version it follows, unless the one on record says the same."""
    if not shows_depression(decision.assessment):
        return None
    left = intent.why if intent.action is PlanAction.LEAVE else None
    result = None if intent.action is PlanAction.REVOKE else intent.plan_id
    guidance = render_guidance(decision, result, left)
    known = await client.find(f"GuidanceResponse/{guidance_id(decision.assessment.patient.id)}")
    if known is None:
        return guidance, None
    if extension_value(known, CONTENT_DIGEST) == content_digest(guidance):
        return None
    return guidance, known.get("meta", {}).get("versionId")


async def _missing_device(client: FhirClient) -> list[Resource]:
    """Our Device, where the server does not have this version of it."""
    device = render_device()
    known = await client.find(f"Device/{DEVICE_ID}")
    return [] if known is not None and known.get("version") == device["version"] else [device]


def _next_version(resource: Resource, version: str | None) -> VersionedReference:
    """The version that writing will make; left open where the server's versions are no numbers."""
    kind, identity = resource["resourceType"], resource["id"]
    if version is None:
        return VersionedReference(kind, identity, "1")
    return VersionedReference(kind, identity, str(int(version) + 1) if version.isdecimal() else None)


def _entry(resource: Resource, version: str | None) -> dict[str, Any]:
    url = f"{resource['resourceType']}/{resource['id']}"
    request = {"method": "PUT", "url": url}
    if version is not None:
        request["ifMatch"] = f'W/"{version}"'
    return {"fullUrl": f"urn:uuid:{uuid5(NAMESPACE_URL, url)}", "resource": resource, "request": request}


def _written(answer: bytes, resources: list[Resource]) -> tuple[VersionedReference, ...]:
    """The versions that the server says it wrote, in the order they were sent."""
    try:
        entries = _RESPONSE.decode(answer).entry
    except UNDECODABLE:
        raise ServerMisread("POST transaction: the answer is not the Bundle expected") from None
    if len(entries) != len(resources):
        raise ServerMisread("POST transaction: the answer has not as many entries as were sent")
    return tuple(
        VersionedReference(resource["resourceType"], resource["id"], _version(entry.response.etag))
        for resource, entry in zip(resources, entries, strict=True)
    )


def _version(etag: str | None) -> str | None:
    return (etag or "").removeprefix("W/").strip('"') or None
