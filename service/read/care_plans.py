"""Read CarePlans into plans of record: whose they are, where they stand, whether a person touched them."""

from collections.abc import Callable

import msgspec

from service.core.medicines import identify_medicine
from service.core.records import Concept, PlanOfRecord, PlanStatus, Role, VersionedReference
from service.fhir.loose import Resource, part, parts, text
from service.fhir.names import (
    CONTENT_DIGEST,
    PLAN_IDENTIFIER,
    WITHDRAWN,
    extension_value,
    identifiers_of,
    is_edited,
    protocol_of,
)
from service.fhir.references import read_reference
from service.fhir.sources import Source
from service.fhir.views import CarePlanView, ContainedView, ReferenceView
from service.read.agenda import read_agenda
from service.read.elements import Elements

FindMedicine = Callable[[ReferenceView, list[ContainedView]], Concept]


def read_plan(
    source: Source, view: CarePlanView, elements: Elements, find: FindMedicine
) -> PlanOfRecord | None:
    """An esketamine plan of record; `None` for a care plan about something else. `find` follows references.

    A status that FHIR does not know counts as open: somebody may be working with the plan.
    """
    ours = any(identifier.system == PLAN_IDENTIFIER for identifier in view.identifier)
    if not ours and not _gives_esketamine(view, elements, find):
        return None
    return plan_of_record(source.reference, msgspec.json.decode(source.content))


def plan_of_record(evidence: VersionedReference, content: Resource) -> PlanOfRecord:
    """A CarePlan about esketamine as the core sees it; ours where it carries an identifier of ours."""
    identity = next(iter(identifiers_of(content, PLAN_IDENTIFIER)), None)
    ours = identity is not None
    return PlanOfRecord(
        evidence=evidence,
        status=_status(text(content.get("status"))),
        ours=ours,
        edited=ours and is_edited(content),
        identity=identity,
        content=extension_value(content, CONTENT_DIGEST),
        protocol=protocol_of(map(text, parts(content.get("instantiatesCanonical")))),
        sessions=read_agenda(content).session_days,
        withdrawn=extension_value(content, WITHDRAWN),
        replaces=_replaced(content),
    )


def deleted_plan(plan_id: str) -> PlanOfRecord:
    """A plan of ours that was deleted; only its id is known."""
    evidence = VersionedReference("CarePlan", plan_id)
    return PlanOfRecord(evidence, PlanStatus.DELETED, ours=True, edited=True)


def _replaced(content: Resource) -> str | None:
    """The id of the plan that one of our plans replaces."""
    named = [read_reference(text(part(one).get("reference"))) for one in parts(content.get("replaces"))]
    return named[0].id_of("CarePlan") if named else None


def _status(status: str) -> PlanStatus:
    """The status; what FHIR has no code for is unknown, "deleted" among it."""
    known = {code.value: code for code in PlanStatus if code is not PlanStatus.DELETED}
    return known.get(status, PlanStatus.UNKNOWN)


def _gives_esketamine(view: CarePlanView, elements: Elements, find: FindMedicine) -> bool:
    """Whether a plan of somebody else is about esketamine: by the product of an activity, or by its words."""
    details = [activity.detail for activity in view.activity if activity.detail]
    said = [Concept(text=text) for text in (view.title, view.description) if text]
    said += [elements.concept(c) for d in details for c in (d.product_codeable_concept, d.code)]
    said += [find(d.product_reference, view.contained) for d in details if d.product_reference]
    return any(identify_medicine(concept, elements.knowledge).role is Role.ESKETAMINE for concept in said)
