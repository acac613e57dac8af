"""Read CarePlans into plans of record: whose they are, where they stand, whether a person touched them."""

from collections.abc import Callable
from datetime import date
from typing import Any

import msgspec

from service.core.dates import PartialDate
from service.core.knowledge import Knowledge
from service.core.medicines import identify_medicine
from service.core.records import Coding, Concept, PlanOfRecord, PlanStatus, Role, VersionedReference
from service.fhir.loose import part, parts, text
from service.fhir.names import (
    CONTENT_DIGEST,
    EDIT_DIGEST,
    PLAN_DEFINITION,
    PLAN_IDENTIFIER,
    WITHDRAWN,
    edit_digest,
    extension_value,
)
from service.fhir.sources import Source
from service.fhir.views import CarePlanView, ConceptView, ReferenceView

FindMedicine = Callable[[ReferenceView, list[msgspec.Raw]], Concept]


def read_plan(
    source: Source, view: CarePlanView, knowledge: Knowledge, find: FindMedicine
) -> PlanOfRecord | None:
    """An esketamine plan of record; `None` for a care plan about something else. `find` follows references.

    A status that FHIR does not know counts as open: somebody may be working with the plan.
    """
    identity = next((i.value for i in view.identifier if i.system == PLAN_IDENTIFIER), None)
    ours = identity is not None
    if not ours and not _gives_esketamine(view, knowledge, find):
        return None
    content: dict[str, Any] = msgspec.json.decode(source.content)
    written = extension_value(content, EDIT_DIGEST)
    return PlanOfRecord(
        evidence=source.reference,
        status=_status(view.status),
        ours=ours,
        edited=ours and written != edit_digest(content),
        identity=identity,
        content=extension_value(content, CONTENT_DIGEST),
        protocol=_protocol(view.instantiates_canonical),
        sessions=_sessions(view),
        withdrawn=extension_value(content, WITHDRAWN),
        replaces=_replaced(content),
    )


def deleted_plan(plan_id: str) -> PlanOfRecord:
    """A plan of ours that was deleted; only its id is known."""
    evidence = VersionedReference("CarePlan", plan_id)
    return PlanOfRecord(evidence, PlanStatus.DELETED, ours=True, edited=True)


def _replaced(content: dict[str, Any]) -> str | None:
    """The id of the plan that one of ours says it replaces."""
    named = [part(one).get("reference") for one in parts(content.get("replaces"))]
    return text(named[0]).rpartition("/")[2] or None if named else None


def _status(status: str | None) -> PlanStatus:
    """The status; what FHIR has no code for is unknown, "deleted" among it."""
    known = {code.value: code for code in PlanStatus if code is not PlanStatus.DELETED}
    return known.get(status or "", PlanStatus.UNKNOWN)


def _gives_esketamine(view: CarePlanView, knowledge: Knowledge, find: FindMedicine) -> bool:
    """Whether a plan of somebody else is about esketamine: by the product of an activity, or by its words."""
    details = [activity.detail for activity in view.activity if activity.detail]
    said = [Concept(text=text) for text in (view.title, view.description) if text]
    said += [_concept(c, knowledge) for d in details for c in (d.product_codeable_concept, d.code) if c]
    said += [find(d.product_reference, view.contained) for d in details if d.product_reference]
    return any(identify_medicine(concept, knowledge).role is Role.ESKETAMINE for concept in said)


def _concept(view: ConceptView, knowledge: Knowledge) -> Concept:
    codings = (Coding(knowledge.systems.get(c.system or ""), c.code, c.display) for c in view.coding)
    return Concept(tuple(codings), view.text)


def _protocol(canonicals: list[str]) -> tuple[str, str] | None:
    """The id and version of the protocol that one of our plans follows."""
    for canonical in canonicals:
        url, _, version = canonical.partition("|")
        if url.startswith(f"{PLAN_DEFINITION}/") and version:
            return url.rpartition("/")[2], version
    return None


def _sessions(view: CarePlanView) -> tuple[date, ...]:
    """The dates of treatment sessions, in order."""
    days = []
    for activity in view.activity:
        detail = activity.detail
        if detail is None or detail.product_codeable_concept is None or detail.scheduled_timing is None:
            continue
        for moment in detail.scheduled_timing.event:
            try:
                days.append(PartialDate.parse(moment).earliest)
            except ValueError:
                continue
    return tuple(sorted(days))
