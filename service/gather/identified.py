"""Find a patient of the FHIR server by an identifier, such as a medical record number.

The identifier is in the request to the FHIR server and nowhere else: no message repeats it.
"""

from typing import NamedTuple

import msgspec

from service.errors import NoSuchPatient, NotAssessable, ServerMisread
from service.fhir.client import FhirClient
from service.fhir.outcomes import Completeness, is_outcome, read_completeness
from service.fhir.sources import UNDECODABLE
from service.fhir.views import BundleView, IdentifierView, View
from service.gather.ours import standing_id
from service.gather.searches import PAGE_SIZE, side_by_side, take_answer
from service.ids import plain_system

_WHERE = "GET Patient"


class PatientIdentifier(NamedTuple):
    """What a patient is known by elsewhere."""

    system: str
    value: str


class _KnownBy(View):
    identifier: list[IdentifierView] = msgspec.field(default_factory=list)


_KNOWN_BY = msgspec.json.Decoder(_KnownBy)


def read_identifier(text: str) -> PatientIdentifier | None:
    """An identifier as a search writes it, `system|value`; `None` where either of them is missing."""
    system, _, value = (part.strip() for part in text.partition("|"))
    return PatientIdentifier(system, value) if system and value and "|" not in value else None


async def find_patient_id(client: FhirClient, identifier: PatientIdentifier) -> str:
    """The id of the one patient with an identifier; who was merged is found under the id that stands now.

    Raises `NoSuchPatient` for none, `NotAssessable` for several, and `ServerMisread` where the server shows
    other patients, or may not show all.
    """
    found: list[str] = []
    params = {"identifier": f"{identifier.system}|{identifier.value}", "_count": PAGE_SIZE}
    async for page in client.pages("Patient", params):
        found += _ids_of(page, identifier)
    standing = {one for one in await side_by_side(*(standing_id(client, one) for one in found)) if one}
    if not standing:
        raise NoSuchPatient("identifier: no patient of the FHIR server has it")
    if len(standing) > 1:
        raise NotAssessable(
            f"identifier: {len(standing)} patients of the FHIR server have it; name one by id"
        )
    return standing.pop()


def _ids_of(page: BundleView, identifier: PatientIdentifier) -> list[str]:
    """The patients of a page. All must have the identifier: a server may overlook what it cannot search."""
    found = []
    for entry in page.entry:
        source = take_answer(entry.resource, entry.full_url, _WHERE)
        if is_outcome(source):
            if read_completeness(source.content) is not Completeness.COMPLETE:
                raise ServerMisread(f"{_WHERE}: the answer may not show every patient with the identifier")
        elif source.head.resource_type != "Patient" or source.head.id is None:
            raise ServerMisread(f"{_WHERE}: an entry is not a Patient with an id")
        elif not _has(source.content, identifier):
            raise ServerMisread(f"{_WHERE}: the answer shows a patient without the identifier")
        else:
            found.append(source.head.id)
    return list(dict.fromkeys(found))


def _has(content: bytes | msgspec.Raw, identifier: PatientIdentifier) -> bool:
    try:
        carried = _KNOWN_BY.decode(content).identifier
    except UNDECODABLE:
        return False
    return any(
        plain_system(one.system or "") == plain_system(identifier.system) and one.value == identifier.value
        for one in carried
    )
