"""Read what the records of a patient refer to on the server, and that did not come along with them.

A Medication is nobody's, so that no search for a patient finds it. Observations are searched for by their
codes, which does not find the pain that a medicine was given for. What a plan of care leads to, such as a
request or a goal, is of a kind that is not searched for.
"""

from collections.abc import Iterable, Iterator
from http import HTTPStatus

import msgspec

from service.core.records import PlanStatus
from service.errors import RecordTooLarge, ServerRefused
from service.fhir.client import FhirClient
from service.fhir.kinds import NAME_A_MEDICINE, READ_KINDS
from service.fhir.names import PLAN_IDENTIFIER
from service.fhir.references import Reference, read_reference
from service.fhir.sources import UNDECODABLE, Source
from service.fhir.views import IdentifierView, ReferenceView, View
from service.gather.searches import side_by_side, take_answer

MOST_REFERENCES = 2000
"""The most resources that are read one by one for one patient."""
_NOT_SHOWN = frozenset(
    {
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.FORBIDDEN,
        HTTPStatus.NOT_FOUND,
        HTTPStatus.METHOD_NOT_ALLOWED,
        HTTPStatus.GONE,
        HTTPStatus.NOT_IMPLEMENTED,
    }
)
"""How a server answers who asks for a resource that it does not have, or not for us."""
_NOT_FOLLOWED = {PlanStatus.REVOKED.value, PlanStatus.ENTERED_IN_ERROR.value}
_FOUND_BY_PATIENT = frozenset(READ_KINDS) - {"Medication"}
"""Kinds of which all that is of the patient is there already."""


class _MedicineLinks(View):
    """Where a record's medicine is, if it is elsewhere, and what it was given for."""

    medication_reference: ReferenceView | None = None
    reason_reference: list[ReferenceView] = msgspec.field(default_factory=list)


class _DetailLinks(View):
    product_reference: ReferenceView | None = None
    goal: list[ReferenceView] = msgspec.field(default_factory=list)


class _ActivityLinks(View):
    reference: ReferenceView | None = None
    detail: _DetailLinks = msgspec.field(default_factory=_DetailLinks)


class _PlanLinks(View):
    """What a plan of care leads to."""

    status: str | None = None
    identifier: list[IdentifierView] = msgspec.field(default_factory=list)
    goal: list[ReferenceView] = msgspec.field(default_factory=list)
    activity: list[_ActivityLinks] = msgspec.field(default_factory=list)


_MEDICINE_LINKS = msgspec.json.Decoder(_MedicineLinks)
_PLAN_LINKS = msgspec.json.Decoder(_PlanLinks)


async def read_referred(client: FhirClient, sources: list[Source]) -> list[Source]:
    """The resources on this server that records refer to, and that are not among the sources.

    What the server no longer has, the reference does not lead to. What a plan leads to and the server does
    not show is left out as well; its reader names it. Raises `RecordTooLarge` for too many references, and
    `ServerError` for any other failure.
    """
    present = {(source.head.resource_type, source.head.id) for source in sources}
    of_medicines = {named for source in sources for named in _led_to_by_medicine(source, client)}
    medicines = {named for named in of_medicines if named[0] == "Medication"}
    others = {named for source in sources for named in _led_to_by_plan(source, client)} | of_medicines
    if len((medicines | others) - present) > MOST_REFERENCES:
        message = (
            f"the record refers to more than {MOST_REFERENCES} resources that have to be read one by one"
        )
        raise RecordTooLarge(message)
    found = await side_by_side(
        *(_read(client, *named) for named in sorted(medicines - present)),
        *(_read_if_shown(client, *named) for named in sorted(others - medicines - present)),
    )
    return [source for source in found if source is not None]


def _led_to_by_medicine(source: Source, client: FhirClient) -> Iterator[tuple[str, str]]:
    """The Medication on this server that a record refers to, and the Observations that it was given for."""
    if source.head.resource_type not in NAME_A_MEDICINE:
        return
    try:
        links = _MEDICINE_LINKS.decode(source.content)
    except UNDECODABLE:
        return
    for kind, link in (
        ("Medication", links.medication_reference),
        *(("Observation", reason) for reason in links.reason_reference),
    ):
        named = read_reference(link.reference if link else None)
        if named.kind == kind and named.is_on(client.base):
            yield named.kind, named.id


def _led_to_by_plan(source: Source, client: FhirClient) -> Iterator[tuple[str, str]]:
    """What somebody's plan leads to on this server, by kind and id; nothing of a plan that ended in error."""
    if source.head.resource_type != "CarePlan":
        return
    try:
        plan = _PLAN_LINKS.decode(source.content)
    except UNDECODABLE:
        return
    ours = any(identifier.system == PLAN_IDENTIFIER for identifier in plan.identifier)
    if ours or plan.status in _NOT_FOLLOWED:
        return
    for named in map(_named, _links_of(plan)):
        if named.is_on(client.base) and named.kind not in _FOUND_BY_PATIENT:
            yield named.kind, named.id


def _named(link: ReferenceView) -> Reference:
    return read_reference(link.reference)


def _links_of(plan: _PlanLinks) -> Iterable[ReferenceView]:
    yield from plan.goal
    for activity in plan.activity:
        yield from filter(None, (activity.reference, activity.detail.product_reference))
        yield from activity.detail.goal


async def _read(client: FhirClient, kind: str, identity: str) -> Source | None:
    """A resource; `None` where the server no longer has it, and the reference then stays unresolved."""
    path = f"{kind}/{identity}"
    body = await client.get_if_there(path)
    return None if body is None else take_answer(body, f"{client.base}/{path}", f"GET {path}")


async def _read_if_shown(client: FhirClient, kind: str, identity: str) -> Source | None:
    """A resource; `None` where the server does not show it to us."""
    try:
        return await _read(client, kind, identity)
    except ServerRefused as refused:
        if refused.status not in _NOT_SHOWN:
            raise
        return None
