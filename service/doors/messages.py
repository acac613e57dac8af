"""What is read of an HL7 v2 message: whom it speaks of, and nothing else.

Only MSH, PID and MRG are read. Everything else, a document of megabytes in an OBX for example, is passed
over before the library sees the message.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import hl7  # type: ignore[import-untyped] # it has none, and one function of it is used

from service.doors.acknowledgement import MODES, VERSION, AckCode, ErrorCode, MessageFault
from service.doors.er7 import Header, decode, read_header, split_segments, unescape
from service.errors import NotHl7
from service.gather.identified import LONGEST_REFERENCE, PatientIdentifier, to_reference

MOST_CHARACTERS: Final = 64 * 1024
"""How long the segments that are read may be together. Usual ones have less than a thousand characters."""
TYPES: Final = ("ADT", "OMP", "ORM", "ORU", "PPR", "RAS", "RDE", "RDS", "RGV")
"""Types of messages (HL7 table 0076) that tell of what a review reads: administration with allergies and
diagnoses (chapter 3), orders and pharmacy (4), results (7), problems (12)."""

_NOT_A_PERSON = frozenset({"AN", "ANC", "AND", "ANT", "BA", "BC", "FI", "VN", "XX"})
"""Types of identifiers (HL7 table 0203) that name an account, a visit or an organization."""
_UNIVERSAL = {
    "ISO": (re.compile(r"[0-2](\.\d+)+"), "urn:oid:"),
    "UUID": (re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "urn:uuid:"),
}
"""Types of universal ids (HL7 table 0301) that say by themselves what FHIR calls the system."""
_FRAME = b"\x0b\x1c\r\n\t "
"""What may stand around a message: the frame of MLLP, and blanks."""
_HEADS = frozenset({"MSH", "BHS", "FHS"})
_FIELDS = {"PID": 3, "MRG": 1}
"""Where the identifiers of a patient stand, and those of one whose record was merged into another."""
_NULL = '""'
_WHY = {
    ErrorCode.DATA_TYPE: "no identifier that can be read and kept",
    ErrorCode.UNKNOWN_KEY: "no assigning authority that TRD_HL7V2_AUTHORITIES knows",
    ErrorCode.REQUIRED_MISSING: "no identifier of a patient",
}


@dataclass(frozen=True, slots=True)
class Message:
    """What was read of a message: whose records it speaks of, or why it is not taken.

    Each of `patients` and `merged` refers to one person by all the identifiers that a segment gives; `merged`
    are those whose records were merged into another.
    """

    header: Header
    charset: str
    patients: tuple[str, ...] = ()
    merged: tuple[str, ...] = ()
    fault: MessageFault | None = None


def read_message(content: bytes, charset: str | None, authorities: Mapping[str, str]) -> Message:
    """Read whom a message speaks of. `charset` is what the request says of its body.

    `authorities` are the systems of identifiers by their assigning authority, as the settings give them.
    Raises `NotHl7` for what does not begin with a header.
    """
    content = content.strip(_FRAME)
    name = content[:3].decode("latin-1")
    if name not in _HEADS:
        raise NotHl7("the body does not begin with MSH")
    text, charset = decode(content, charset)
    lines = split_segments(text)
    header = read_header(lines[0])
    if header is None:
        why = f"{name}-1, {name}-2: not five or six different delimiters, or the segment is too long"
        return Message(Header(name), charset, fault=_rejected(name, ErrorCode.DATA_TYPE, 2, why))
    read = [line for line in lines if _name_of(line, header) in {"MSH", *_FIELDS}]
    fault = _fault_of_header(header) or _fault_of_segments(lines, read, header)
    if fault is not None:
        return Message(header, charset, fault=fault)
    return _read_people(header, charset, hl7.parse("\r".join(read)), authorities)


def _name_of(line: str, header: Header) -> str:
    return line[:3] if line[3:4] in {"", header.separator} else ""


def _fault_of_header(header: Header) -> MessageFault | None:
    if header.name != "MSH":
        why = "batches are not taken; send each message by itself"
        return _rejected(header.name, ErrorCode.UNSUPPORTED_TYPE, None, why)
    missing = next((number for number in (9, 10, 11, 12) if not header.component(number)), None)
    if missing is not None:
        return _rejected("MSH", ErrorCode.REQUIRED_MISSING, missing, f"MSH-{missing}: missing")
    if header.component(9) not in TYPES:
        why = f"MSH-9: not a type that is taken; these are: {', '.join(TYPES)}"
        return _rejected("MSH", ErrorCode.UNSUPPORTED_TYPE, 9, why)
    if header.component(11) not in MODES:
        return _rejected("MSH", ErrorCode.UNSUPPORTED_MODE, 11, "MSH-11: not P, T or D")
    if not VERSION.fullmatch(header.component(12)):
        return _rejected("MSH", ErrorCode.UNSUPPORTED_VERSION, 12, "MSH-12: not a version 2 of HL7")
    return None


def _rejected(segment: str, code: ErrorCode, number: int | None, text: str) -> MessageFault:
    return MessageFault(AckCode.REJECT, code, segment, number, text)


def _fault_of_segments(lines: Iterable[str], read: list[str], header: Header) -> MessageFault | None:
    if sum(_name_of(line, header) in _HEADS for line in lines) > 1:
        why = "more than one message in a request; send each message by itself"
        return _rejected("MSH", ErrorCode.SEGMENT_SEQUENCE, None, why)
    if not any(_name_of(line, header) == "PID" for line in read):
        return MessageFault(AckCode.ERROR, ErrorCode.SEGMENT_SEQUENCE, "PID", None, "PID: missing")
    if sum(map(len, read)) > MOST_CHARACTERS:
        why = f"PID, MRG: more than {MOST_CHARACTERS} characters"
        return MessageFault(AckCode.ERROR, ErrorCode.DATA_TYPE, "PID", None, why)
    return None


def _read_people(
    header: Header, charset: str, message: hl7.Message, authorities: Mapping[str, str]
) -> Message:
    """Read who is named. Each PID and MRG must name somebody who can be searched for: none is passed over."""
    people: dict[str, dict[str, None]] = {name: {} for name in _FIELDS}
    for segment in message[1:]:
        name = str(segment[0])
        field = segment[_FIELDS[name]] if _FIELDS[name] < len(segment) else ""
        taken = [_take(_texts(one, header, charset), authorities) for one in _parts(field)]
        found = [one for one in taken if isinstance(one, PatientIdentifier)]
        reference = to_reference(found)
        if not found or len(reference) > LONGEST_REFERENCE:
            return Message(header, charset, fault=_fault_of_field(name, taken))
        people[name][reference] = None
    return Message(header, charset, tuple(people["PID"]), tuple(people["MRG"]))


def _fault_of_field(segment: str, taken: list[PatientIdentifier | ErrorCode]) -> MessageFault:
    number = _FIELDS[segment]
    unknown = [one for one in taken if isinstance(one, ErrorCode) and one is not ErrorCode.REQUIRED_MISSING]
    kept = any(isinstance(one, PatientIdentifier) for one in taken)
    code = ErrorCode.DATA_TYPE if kept else next(iter(unknown), ErrorCode.REQUIRED_MISSING)
    return MessageFault(AckCode.ERROR, code, segment, number, f"{segment}-{number}: {_WHY[code]}")


def _take(parts: list[list[str]] | None, authorities: Mapping[str, str]) -> PatientIdentifier | ErrorCode:
    """Take one identifier (data type CX, chapter 2.A.14), or say why it is none."""
    if parts is None:
        return ErrorCode.DATA_TYPE
    value, authority, kind = parts[0][0], parts[3], parts[4][0]
    if value in {"", _NULL} or kind.upper() in _NOT_A_PERSON:
        return ErrorCode.REQUIRED_MISSING
    if not value.isprintable() or "|" in value:
        return ErrorCode.DATA_TYPE
    system = _system_of(authority, authorities)
    return ErrorCode.UNKNOWN_KEY if system is None else PatientIdentifier(system, value)


def _texts(repetition: object, header: Header, charset: str) -> list[list[str]] | None:
    """The first five components of a repetition with their subcomponents; `None` where one cannot be read."""
    texts = []
    for component in [*_parts(repetition), "", "", "", ""][:5]:
        found = [unescape(str(one), header, charset) for one in _parts(component)]
        if None in found:
            return None
        texts.append([one or "" for one in found] or [""])
    return texts


def _parts(node: object) -> list[object]:
    """What a part of a message is made of: the library stops at a text where nothing divides it further."""
    return list(node) if isinstance(node, list) else [node]


def _system_of(authority: list[str], authorities: Mapping[str, str]) -> str | None:
    """What FHIR calls the system of an assigning authority (data type HD): namespace, universal id, type.

    What the site says of the namespace or of the universal id comes first. By an empty name it says what
    holds where a message names no authority.
    """
    namespace, universal, kind = [*authority, "", ""][:3]
    names = [name for name in (namespace, universal) if name] or [""]
    known = next((authorities[name] for name in names if name in authorities), None)
    if known is not None:
        return known
    shape, scheme = _UNIVERSAL.get(kind.upper(), (None, ""))
    return f"{scheme}{universal.lower()}" if shape and shape.fullmatch(universal.lower()) else None
