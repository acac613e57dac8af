"""Gather one patient's record from a FHIR server, in as few requests as can be answered completely.

`$everything` is used where the server offers it. Otherwise the Patient is read and each kind of resource is
searched for, all at once. Both ways give the same record. What a record refers to and that is not among the
answers is read by itself.
"""

from collections.abc import Container, Iterable, Sequence
from dataclasses import replace
from http import HTTPStatus
from typing import NamedTuple

import msgspec

from service.core.knowledge import Knowledge
from service.errors import NotAssessable, RecordTooLarge, ServerRefused
from service.fhir.client import FhirClient
from service.fhir.kinds import (
    EVERYTHING_KINDS,
    OUTSIDE_EVERYTHING_IN_R5,
    SCREENED_KINDS,
    SEARCHED_BY_CODE,
    SEARCHED_KINDS,
)
from service.fhir.outcomes import is_outcome, withhold
from service.fhir.references import read_reference
from service.fhir.release import Release
from service.fhir.sources import UNDECODABLE, Gathered, Source
from service.fhir.views import LinkView, ResourceCapability, View
from service.gather.referred import read_referred
from service.gather.searches import (
    PAGE_SIZE,
    read_everything,
    search_kind,
    search_parameters,
    side_by_side,
    take_answer,
)
from service.gather.supplied import Supplied

LARGEST_RECORD = 64 * 1024 * 1024
"""The most bytes that are read of one patient; a record of 28,000 resources has some 10 MB."""
MOST_MERGED = 50
"""The most patients merged into one whose records are read."""
_TOO_MANY_MERGED = f"Patient.link: more than {MOST_MERGED} patients were merged into this one"


class _MergeLinks(View):
    """Which patients were merged."""

    link: list[LinkView] = msgspec.field(default_factory=list)


_LINKS = msgspec.json.Decoder(_MergeLinks)
_GONE = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.GONE})
_NOBODY = _GONE | {HTTPStatus.BAD_REQUEST}
"""How a server answers who searches for the records of a patient that it does not have."""


class _Shown(NamedTuple):
    """What the server shows of a patient, the kinds that it refuses, and those that may have more."""

    sources: list[Source]
    refused: Sequence[str] = ()
    partial: Sequence[str] = ()

    def with_more(self, other: "_Shown") -> "_Shown":
        """Both together."""
        return _Shown(
            [*self.sources, *other.sources],
            (*self.refused, *other.refused),
            (*self.partial, *other.partial),
        )

    def without(self, kinds: Iterable[str], offered: Container[str | None]) -> "_Shown":
        """The same, knowing that those of these kinds that the server does not offer are not shown."""
        return self._replace(partial=(*self.partial, *(kind for kind in kinds if kind not in offered)))


async def gather(client: FhirClient, patient_id: str, knowledge: Knowledge) -> Gathered:
    """Gather everything that is read of one patient. Raises `ServerError` where it is not complete.

    Only the Observations with a code that `knowledge` lists are searched for, since a patient may have tens
    of thousands. A kind of resource that the server does not offer, refuses to show (403, or a search that it
    does not take) or says to withhold some of is recorded as not read. Records of patients that were merged
    into this one are included, also those that stand under one who is gone. Raises `RecordTooLarge` for a
    record of more bytes, references or merged patients than are read.
    """
    offered = await client.offered()
    client = client.reading_at_most(LARGEST_RECORD)
    shown = await _record_of(client, patient_id, knowledge)
    whole = await _with_all_led_to(client, patient_id, knowledge, shown.without(SCREENED_KINDS, offered))
    return replace(whole, compartment=_offers_everything(offered.get("Patient")))


async def gather_supplied(
    client: FhirClient, supplied: Supplied, patient_id: str, knowledge: Knowledge
) -> Gathered:
    """Gather one patient's record of which a part was brought along: only the rest is read.

    Raises as `gather` does.
    """
    if supplied.lacks_all:
        return await gather(client, patient_id, knowledge)
    kinds = [kind for kind in supplied.missing if kind in SEARCHED_KINDS]
    offered = await client.offered() if kinds else {}
    client = client.reading_at_most(LARGEST_RECORD)
    shown = _Shown([*supplied.sources], supplied.withheld).without({*kinds} & {*SCREENED_KINDS}, offered)
    if "Patient" in supplied.missing:
        shown = shown.with_more(await _patient(client, patient_id))
    if kinds:
        shown = shown.with_more(await _found_by_searches(client, kinds, patient_id, knowledge))
    return await _with_all_led_to(client, patient_id, knowledge, shown)


async def _with_all_led_to(
    client: FhirClient, patient_id: str, knowledge: Knowledge, shown: _Shown
) -> Gathered:
    """The record together with those of the patients merged into this one, and with what it refers to."""
    former: list[str] = []
    while following := next(iter(_merged_into(shown.sources, {patient_id, *former}, client.base)), None):
        if len(former) == MOST_MERGED:
            raise RecordTooLarge(_TOO_MANY_MERGED)
        former.append(following)
        shown = shown.with_more(await _record_of_former(client, following, knowledge))
    sources = [*shown.sources, *await read_referred(client, shown.sources)]
    return Gathered(
        tuple(sources),
        patient_id,
        client.base,
        not_read=tuple(sorted({*shown.refused, *shown.partial})),
        refused=tuple(dict.fromkeys(shown.refused)),
        former_ids=tuple(former),
        follows_course=await _follows_course(client, sources),
    )


async def _follows_course(client: FhirClient, sources: Iterable[Source]) -> bool:
    """Whether a treatment is followed on this server; it is not asked where no plan could be followed."""
    planned = any(source.head.resource_type == "CarePlan" for source in sources)
    return not planned or not (await client.tier()).is_below_care_plan


async def _record_of_former(client: FhirClient, patient_id: str, knowledge: Knowledge) -> _Shown:
    """The record of a patient who was merged into another; where the Patient is gone, what searches find."""
    try:
        return await _record_of(client, patient_id, knowledge)
    except ServerRefused as gone:
        if gone.status not in _GONE:
            raise
    try:
        return await _found_by_searches(client, SEARCHED_KINDS, patient_id, knowledge)
    except ServerRefused as unknown:
        if unknown.status not in _NOBODY:
            raise
        return _Shown([])


async def _record_of(client: FhirClient, patient_id: str, knowledge: Knowledge) -> _Shown:
    """The resources that name a patient as theirs, and the kinds that are not shown, or not all of them."""
    everything = _offers_everything((await client.offered()).get("Patient"))
    kinds = await _beside_everything(client) if everything else SEARCHED_KINDS
    first = _everything(client, patient_id) if everything else _patient(client, patient_id)
    shown, found = await side_by_side(first, _found_by_searches(client, kinds, patient_id, knowledge))
    if not withhold(shown.sources, await client.dialect()):
        return shown.with_more(found)
    # What is withheld of the whole may be of any kind.
    told = [source for source in shown.sources if not is_outcome(source)]
    return _Shown(told, SCREENED_KINDS).with_more(found)


async def _beside_everything(client: FhirClient) -> tuple[str, ...]:
    """The kinds that are searched for although there is `$everything`."""
    in_r5 = await client.release() is Release.R5
    return (*SEARCHED_BY_CODE, *(OUTSIDE_EVERYTHING_IN_R5 if in_r5 else ()))


async def _found_by_searches(
    client: FhirClient, kinds: Iterable[str], patient_id: str, knowledge: Knowledge
) -> _Shown:
    """What searches of these kinds find of a patient, and the kinds that the server refuses to show."""
    offered = await client.offered()
    there = [kind for kind in kinds if kind in offered]
    searched = [kind for kind in there if offered[kind].can_be_searched]
    found = await side_by_side(
        *(
            search_kind(client, kind, search_parameters(kind, offered[kind], patient_id, knowledge))
            for kind in searched
        )
    )
    answers = dict(zip(searched, found, strict=True))
    return _Shown(
        [source for answer in found for source in answer.sources],
        [kind for kind, answer in answers.items() if answer.refused],
        [
            *(kind for kind in there if kind not in answers),
            *(kind for kind, answer in answers.items() if answer.partial),
        ],
    )


def find_former_patients(sources: Iterable[Source], patient_id: str, base: str) -> tuple[str, ...]:
    """The ids of the patients merged into this one, and into those, as far as the record names them."""
    sources, former = list(sources), dict.fromkeys([patient_id])
    while following := _merged_into(sources, {*former}, base):
        if len(former) > MOST_MERGED:
            raise RecordTooLarge(_TOO_MANY_MERGED)
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


async def _everything(client: FhirClient, patient_id: str) -> _Shown:
    path = f"Patient/{patient_id}/$everything"
    sources = await read_everything(client, path, {"_type": ",".join(EVERYTHING_KINDS), "_count": PAGE_SIZE})
    if not any(s.head.resource_type == "Patient" and s.head.id == patient_id for s in sources):
        raise ServerRefused(f"GET {path}: the answer has no such Patient", HTTPStatus.NOT_FOUND)
    return _Shown(sources)


async def _patient(client: FhirClient, patient_id: str) -> _Shown:
    """The Patient; raises `NotAssessable` where the server answers with another one, as after a merge."""
    path = f"Patient/{patient_id}"
    patient = take_answer(await client.get(path), None, f"GET {path}")
    if patient.head.resource_type == "Patient" and patient.head.id not in {patient_id, None}:
        raise NotAssessable(f"{path}: merged into Patient/{patient.head.id}; assess that one")
    return _Shown([patient])
