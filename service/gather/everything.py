"""Gather one patient's record from a FHIR server, in as few requests as can be answered completely.

`$everything` is used where the server offers it. Otherwise the Patient is read and each kind of resource is
searched for, all at once. Both ways give the same record. A Medication that a record refers to and that is
not among the answers is read by itself.
"""

import asyncio
from collections.abc import Coroutine, Iterable
from http import HTTPStatus
from typing import Any, TypeVar

import msgspec

from service.core.knowledge import Knowledge
from service.errors import ServerRefused
from service.fhir.client import FhirClient
from service.fhir.kinds import (
    EVERYTHING_KINDS,
    NAME_A_MEDICINE,
    SCREENED_KINDS,
    SEARCHED_BY_CODE,
    SEARCHED_KINDS,
)
from service.fhir.outcomes import is_outcome, withhold
from service.fhir.references import read_reference
from service.fhir.sources import UNDECODABLE, Gathered, Source
from service.fhir.views import LinkView, ReferenceView, ResourceCapability, View
from service.gather.searches import (
    PAGE_SIZE,
    read_all_pages,
    search_parameters,
    search_unless_forbidden,
    take_answer,
)

Answer = TypeVar("Answer")


class _MedicineLink(View):
    """Where a record's medicine is, if it is elsewhere."""

    medication_reference: ReferenceView | None = None


class _MergeLinks(View):
    """Which patients were merged."""

    link: list[LinkView] = msgspec.field(default_factory=list)


_LINK = msgspec.json.Decoder(_MedicineLink)
_LINKS = msgspec.json.Decoder(_MergeLinks)


async def gather(client: FhirClient, patient_id: str, knowledge: Knowledge) -> Gathered:
    """Gather everything that is read of one patient. Raises `ServerError` where it is not complete.

    Only the Observations with a code that `knowledge` lists are searched for, since a patient may have tens
    of thousands. A kind of resource that the server does not offer, refuses to show (403) or says to withhold
    some of is recorded as not read. Records of patients that were merged into this one are included.
    """
    offered = await client.offered()
    everything = _offers_everything(offered.get("Patient"))
    sources, refused = await _record_of(client, patient_id, knowledge)
    former: list[str] = []
    while following := next(iter(_merged_into(sources, {patient_id, *former}, client.base)), None):
        try:
            more, also_refused = await _record_of(client, following, knowledge)
        except ServerRefused as gone:
            if gone.status not in {HTTPStatus.NOT_FOUND, HTTPStatus.GONE}:
                raise
            more, also_refused = [], []
        former.append(following)
        sources, refused = [*sources, *more], [*refused, *also_refused]
    sources += await _missing_medications(client, sources)
    not_offered = [kind for kind in SCREENED_KINDS if kind not in offered]
    return Gathered(
        tuple(sources),
        patient_id,
        client.base,
        compartment=everything,
        not_read=tuple(sorted({*not_offered, *refused})),
        refused=tuple(dict.fromkeys(refused)),
        former_ids=tuple(former),
    )


async def _record_of(
    client: FhirClient, patient_id: str, knowledge: Knowledge
) -> tuple[list[Source], list[str]]:
    """The resources that name a patient as theirs, and the kinds that are not shown, or not all of them."""
    offered = await client.offered()
    everything = _offers_everything(offered.get("Patient"))
    kinds = SEARCHED_BY_CODE if everything else SEARCHED_KINDS
    shown = [kind for kind in kinds if kind in offered]
    searches = {kind: search_parameters(kind, offered[kind], patient_id, knowledge) for kind in shown}
    first = _everything(client, patient_id) if everything else _patient(client, patient_id)
    found = await _side_by_side(
        first, *(search_unless_forbidden(client, kind, params) for kind, params in searches.items())
    )
    answers = dict(zip(searches, found[1:], strict=True))
    refused = [kind for kind, answer in answers.items() if answer is None or withhold(answer)]
    if withhold(found[0] or ()):  # it does not say of which kind
        refused = list(SCREENED_KINDS)
    gathered = (source for answer in found for source in answer or ())
    return [source for source in gathered if not is_outcome(source)], refused


def find_former_patients(sources: Iterable[Source], patient_id: str, base: str) -> tuple[str, ...]:
    """The ids of the patients merged into this one, and into those, as far as the record names them."""
    sources, former = list(sources), dict.fromkeys([patient_id])
    while following := _merged_into(sources, {*former}, base):
        former |= dict.fromkeys(following)
    return tuple(former)[1:]


def _merged_into(sources: Iterable[Source], known: set[str], base: str) -> list[str]:
    """The patients on this server, none of the known ones, that a known one says it replaces."""
    patients = (s for s in sources if s.head.resource_type == "Patient" and s.head.id in known)
    return [former for patient in patients for former in _replaced(patient, base) if former not in known]


def _replaced(patient: Source, base: str) -> Iterable[str]:
    try:
        links = _LINKS.decode(patient.content).link
    except UNDECODABLE:
        return
    for link in links:
        former = read_reference(link.other.reference if link.other else None)
        if link.type == "replaces" and former.kind == "Patient" and former.is_on(base):
            yield former.id


def _offers_everything(patient: ResourceCapability | None) -> bool:
    return patient is not None and any(operation.name == "everything" for operation in patient.operation)


async def _everything(client: FhirClient, patient_id: str) -> list[Source]:
    path = f"Patient/{patient_id}/$everything"
    sources = await read_all_pages(client, path, {"_type": ",".join(EVERYTHING_KINDS), "_count": PAGE_SIZE})
    if not any(s.head.resource_type == "Patient" and s.head.id == patient_id for s in sources):
        raise ServerRefused(f"GET {path}: the answer has no such Patient", HTTPStatus.NOT_FOUND)
    return sources


async def _patient(client: FhirClient, patient_id: str) -> list[Source]:
    path = f"Patient/{patient_id}"
    return [take_answer(await client.get(path), None, f"GET {path}")]


async def _side_by_side(*work: Coroutine[Any, Any, Answer]) -> list[Answer]:
    """Run everything at once. The first error cancels the rest, and is raised as itself, not in a group."""
    try:
        async with asyncio.TaskGroup() as tasks:
            started = [tasks.create_task(one) for one in work]
    except ExceptionGroup as faults:
        raise faults.exceptions[0] from None
    return [task.result() for task in started]


async def _missing_medications(client: FhirClient, sources: list[Source]) -> list[Source]:
    """Read the Medications that records refer to on this server and that are not among the sources."""
    present = {s.head.id for s in sources if s.head.resource_type == "Medication"}
    wanted = {identity for source in sources if (identity := _medicine_elsewhere(source, client.base))}
    found = await _side_by_side(*(_medication(client, identity) for identity in sorted(wanted - present)))
    return [source for source in found if source is not None]


def _medicine_elsewhere(source: Source, base: str) -> str | None:
    """The id of the Medication on this server that a record refers to."""
    if source.head.resource_type not in NAME_A_MEDICINE:
        return None
    try:
        link = _LINK.decode(source.content).medication_reference
    except UNDECODABLE:
        return None
    medicine = read_reference(link.reference if link else None)
    return medicine.id_of("Medication") if medicine.is_on(base) else None


async def _medication(client: FhirClient, identity: str) -> Source | None:
    """A Medication, or `None` where the server no longer has it; the reference then stays unresolved."""
    path = f"Medication/{identity}"
    body = await client.get_if_there(path)
    return None if body is None else take_answer(body, f"{client.base}/{path}", f"GET {path}")
