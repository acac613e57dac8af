"""Find a patient of the FHIR server by an identifier, such as a medical record number.

The identifier is in the request to the FHIR server and nowhere else: no message repeats it.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable
from contextlib import suppress
from typing import Final, NamedTuple

import msgspec

from service.errors import NoSuchPatient, NotAssessable, ServerMisread
from service.fhir.client import FhirClient
from service.fhir.outcomes import Completeness, is_outcome, read_completeness
from service.fhir.sources import UNDECODABLE
from service.fhir.views import BundleView, IdentifierView, View
from service.gather.ours import standing_id
from service.gather.searches import PAGE_SIZE, side_by_side, take_answer
from service.ids import plain_system

LONGEST_REFERENCE: Final = 900
"""How many characters of a reference by identifiers the queue can keep, together with its kind."""

_WHERE = "GET Patient"


class PatientIdentifier(NamedTuple):
    """What a patient is known by elsewhere."""

    system: str
    value: str


PatientName = str | PatientIdentifier
"""A patient by the id on the FHIR server, or by an identifier."""


class _KnownBy(View):
    identifier: list[IdentifierView] = msgspec.field(default_factory=list)


_KNOWN_BY = msgspec.json.Decoder(_KnownBy)


def read_identifier(text: str) -> PatientIdentifier | None:
    """An identifier as a search writes it, `system|value`; `None` where either of them is missing."""
    system, _, value = (part.strip() for part in text.partition("|"))
    return PatientIdentifier(system, value) if system and value and "|" not in value else None


async def find_named(client: FhirClient, patient: PatientName) -> str:
    """The id of a patient who is named. Raises as `find_patient_id` does."""
    return patient if isinstance(patient, str) else await find_patient_id(client, patient)


def to_reference(identifiers: Iterable[PatientIdentifier]) -> str:
    """One person by identifiers, in characters that the queue keeps and in which nobody reads them."""
    named = "\n".join(sorted({f"{one.system}|{one.value}" for one in identifiers}))
    return urlsafe_b64encode(named.encode()).decode().rstrip("=")


def read_identifiers(reference: str) -> list[PatientIdentifier]:
    """The identifiers that a reference was made of."""
    padded = reference + "=" * (-len(reference) % 4)
    named = urlsafe_b64decode(padded).decode().split("\n")
    return [PatientIdentifier(*one.rsplit("|", 1)) for one in named]


async def find_identified_patients(client: FhirClient, reference: str) -> set[str]:
    """The ids of the patients whom a reference by identifiers names; those with no patient are passed over.

    Raises as `find_patient_id` does for an identifier that may name the wrong one.
    """
    found = set()
    for identifier in read_identifiers(reference):
        with suppress(NoSuchPatient):
            found.add(await find_patient_id(client, identifier))
    return found


async def find_patient_id(client: FhirClient, identifier: PatientIdentifier) -> str:
    """The id of the one patient with an identifier; who was merged is found under the id that stands now.

    Raises `NoSuchPatient` for none, `NotAssessable` for several, and `ServerMisread` where the server shows
    other patients, or may not show all.
    """
    found: list[str] = []
    params = {"identifier": f"{identifier.system}|{identifier.value}", "_count": PAGE_SIZE}
    for page in await client.all_pages("Patient", params):
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
