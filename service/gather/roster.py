"""A roster: patients whom somebody lists, because nothing tells of their changes. A Group, or a file.

Whatever is not understood is a fault that names the line or the member, never what it holds, and does not
stop the others.
"""

import re
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Final, NamedTuple

from service.core.dates import PartialDate
from service.errors import InputError, RosterFaulty, ServerError, ServerMisread, ServerRefused
from service.fhir.client import FhirClient
from service.fhir.loose import Resource, part, parts, text
from service.fhir.references import read_reference
from service.gather.identified import PatientIdentifier, find_patient_id, read_identifier
from service.gather.ours import standing_id
from service.gather.searches import side_by_side
from service.ids import is_id

_AT_ONCE: Final = 100
"""Members that are looked up before those found are handed on."""
_MOST_GROUPS: Final = 50
_MOST_NAMED: Final = 5
_REMARK = re.compile(r"(^|\s)#.*")
_LINE_END = re.compile(r"\r\n|\r|\n")
_BYTE_ORDER_MARKS = (b"\xff\xfe", b"\xfe\xff")
_IDENTIFIED = "identifier="


class EntryFault(NamedTuple):
    """Why a line or a member of a roster cannot be used; `place` is where it stands."""

    place: str
    why: str

    def __str__(self) -> str:
        """The fault for a reader."""
        return f"{self.place}: {self.why}"


class Member(NamedTuple):
    """A patient of a roster, by id or by identifier."""

    place: str
    patient: str | PatientIdentifier


class RosterPart(NamedTuple):
    """A part of a roster that was looked up: the patients as they stand, and what cannot be used.

    `read` of the members `of` the roster have been looked up by now.
    """

    patients: frozenset[str]
    faults: tuple[EntryFault, ...]
    read: int
    of: int


async def read_roster(client: FhirClient, roster: str, as_of: date) -> AsyncIterator[RosterPart]:
    """The patients of a roster, part by part; who was merged is found under the id that stands now.

    Raises `RosterFaulty` where the Group or the file cannot be read at all, and `ServerError` where the
    server is away or may answer later.
    """
    if roster.startswith("Group/"):
        listed = await _list_group(client, roster, as_of)
    else:
        listed = list_file(_content_of(roster))
    faults = tuple(one for one in listed if isinstance(one, EntryFault))
    members = list({one.patient: one for one in listed if isinstance(one, Member)}.values())
    yield RosterPart(frozenset(), faults, 0, len(members))
    for start in range(0, len(members), _AT_ONCE):
        batch = members[start : start + _AT_ONCE]
        found = await side_by_side(*(_look_up(client, member) for member in batch))
        patients = frozenset(one for one in found if isinstance(one, str))
        faulty = tuple(one for one in found if isinstance(one, EntryFault))
        yield RosterPart(patients, faulty, start + len(batch), len(members))


def fault_of(faults: Sequence[EntryFault]) -> RosterFaulty:
    """One error for all faults of a roster, which names the first of them."""
    named = "; ".join(map(str, faults[:_MOST_NAMED]))
    more = f"; and {len(faults) - _MOST_NAMED} more" if len(faults) > _MOST_NAMED else ""
    return RosterFaulty(f"roster: {len(faults)} entries cannot be used: {named}{more}")


async def _look_up(client: FhirClient, member: Member) -> str | EntryFault:
    try:
        if isinstance(member.patient, PatientIdentifier):
            return await find_patient_id(client, member.patient)
        standing = await standing_id(client, member.patient)
    except InputError as error:
        return EntryFault(member.place, str(error))
    except (ServerMisread, ServerRefused) as error:
        if error.passing:
            raise
        return EntryFault(member.place, "the FHIR server does not say which patient this is")
    return standing or EntryFault(member.place, "the FHIR server has no such patient")


# --- a file ---------------------------------------------------------------------------------------


def list_file(content: bytes) -> list[Member | EntryFault]:
    """The members of a file: one per line, as an id, `Patient/<id>` or `identifier=SYSTEM|VALUE`.

    `#` begins a remark, at the beginning of a line or after a space.
    """
    lines = (_REMARK.sub("", line).strip() for line in _LINE_END.split(_decoded(content)))
    return [_read_line(line, f"line {number}") for number, line in enumerate(lines, 1) if line]


def _read_line(line: str, place: str) -> Member | EntryFault:
    if line.startswith(_IDENTIFIED):
        identifier = read_identifier(line.removeprefix(_IDENTIFIED))
        return Member(place, identifier) if identifier else EntryFault(place, "not identifier=SYSTEM|VALUE")
    patient_id = line.removeprefix("Patient/")
    return Member(place, patient_id) if is_id(patient_id) else EntryFault(place, "not the id of a patient")


def _decoded(content: bytes) -> str:
    """The text of a file in UTF-8, or in UTF-16 with its mark; what is neither is no id, line by line."""
    encoding = "utf-16" if content.startswith(_BYTE_ORDER_MARKS) else "utf-8-sig"
    return content.decode(encoding, errors="replace")


def _content_of(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise RosterFaulty(f"roster: the file cannot be read ({type(error).__name__})") from None


# --- a Group --------------------------------------------------------------------------------------


async def _list_group(client: FhirClient, reference: str, as_of: date) -> list[Member | EntryFault]:
    """The members of a Group, and of the Groups in it, each of which is followed once."""
    listed: list[Member | EntryFault] = []
    waiting, passed = [reference], {reference}
    while waiting:
        name = waiting.pop(0)
        try:
            group = await _read_group(client, name)
        except RosterFaulty as error:
            if name == reference:
                raise
            listed.append(EntryFault(name, str(error)))
            continue
        for one in _list_members(group, name, client.base, as_of):
            if not isinstance(one, _Nested):
                listed.append(one)
            elif one.group not in passed and len(passed) < _MOST_GROUPS:
                passed.add(one.group)
                waiting.append(one.group)
            elif one.group not in passed:
                listed.append(EntryFault(one.place, f"a Group beyond the {_MOST_GROUPS} that are followed"))
    return listed


class _Nested(NamedTuple):
    """A member that is a Group."""

    place: str
    group: str


async def _read_group(client: FhirClient, reference: str) -> Resource:
    """A Group that lists its members (https://hl7.org/fhir/R4/group.html)."""
    try:
        group = await client.find(reference)
    except (ServerRefused, ServerMisread) as error:
        if error.passing:
            raise
        raise RosterFaulty(f"roster: {reference} cannot be read ({_said(error)})") from None
    if group is None or group.get("resourceType") != "Group":
        raise RosterFaulty(f"roster: {reference} is not on the FHIR server")
    if group.get("active") is False:
        raise RosterFaulty(f"roster: {reference} is not active")
    if group.get("actual") is False or group.get("membership") in {"definitional", "conceptual"}:
        raise RosterFaulty(f"roster: {reference} describes patients and does not list them")
    return group


def _said(error: ServerError) -> str:
    return str(error.status) if isinstance(error, ServerRefused) else type(error).__name__


def _list_members(
    group: Resource, name: str, base: str, as_of: date
) -> Iterator[Member | EntryFault | _Nested]:
    members = list(map(part, parts(group.get("member"))))
    for number, member in enumerate(members, 1):
        if _is_active(member, as_of):
            yield _read_member(member, f"{name}, member {number}", base)
    stated = group.get("quantity")
    if isinstance(stated, int) and stated > len(members):
        yield EntryFault(name, f"it shows {len(members)} of {stated} members")


def _is_active(member: Resource, as_of: date) -> bool:
    """Whether somebody is a member on a day; a period that is not understood does not end."""
    if member.get("inactive") is True:
        return False
    period = part(member.get("period"))
    begins, ends = _day(period.get("start")), _day(period.get("end"))
    return (begins is None or begins.earliest <= as_of) and (ends is None or ends.latest >= as_of)


def _day(value: object) -> PartialDate | None:
    try:
        return PartialDate.parse(text(value))
    except ValueError:
        return None


def _read_member(member: Resource, place: str, base: str) -> Member | EntryFault | _Nested:
    entity = part(member.get("entity"))
    named = read_reference(text(entity.get("reference")))
    if named.fragment is not None:
        return EntryFault(place, "contained in the Group, so it has no record on the FHIR server")
    if named.kind and not named.is_on(base):
        return EntryFault(place, "on another server")
    if named.kind == "Patient":
        return Member(place, named.id)
    if named.kind == "Group":
        return _Nested(place, f"Group/{named.id}")
    if named.kind or named.address or entity.get("type", "Patient") != "Patient":
        return EntryFault(place, "not a patient")
    identifier = part(entity.get("identifier"))
    system, value = text(identifier.get("system")), text(identifier.get("value"))
    known = read_identifier(f"{system}|{value}")
    return Member(place, known) if known else EntryFault(place, "names no patient")
