"""The acknowledgement of an HL7 v2 message (chapter 2.9), in its version and with its delimiters."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from re import compile as pattern

from service.doors.er7 import Header, escape

MODES = frozenset({"P", "T", "D"})
"""For production, training and debugging (HL7 table 0103)."""
VERSION = pattern(r"2\.\d(\.\d)?")

_USUAL_VERSION = "2.5"
_EVENT = pattern(r"[A-Z]\d\d")


class AckCode(StrEnum):
    """What a sender is told (HL7 table 0008)."""

    ACCEPT = "AA"
    ERROR = "AE"
    REJECT = "AR"


class ErrorCode(StrEnum):
    """What was wrong (HL7 table 0357)."""

    SEGMENT_SEQUENCE = "100"
    REQUIRED_MISSING = "101"
    DATA_TYPE = "102"
    UNSUPPORTED_TYPE = "200"
    UNSUPPORTED_MODE = "202"
    UNSUPPORTED_VERSION = "203"
    UNKNOWN_KEY = "204"
    INTERNAL = "207"

    @property
    def meaning(self) -> str:
        """The words of the table."""
        return _MEANINGS[self]


_MEANINGS = {
    ErrorCode.SEGMENT_SEQUENCE: "Segment sequence error",
    ErrorCode.REQUIRED_MISSING: "Required field missing",
    ErrorCode.DATA_TYPE: "Data type error",
    ErrorCode.UNSUPPORTED_TYPE: "Unsupported message type",
    ErrorCode.UNSUPPORTED_MODE: "Unsupported processing id",
    ErrorCode.UNSUPPORTED_VERSION: "Unsupported version id",
    ErrorCode.UNKNOWN_KEY: "Unknown key identifier",
    ErrorCode.INTERNAL: "Application internal error",
}


@dataclass(frozen=True, slots=True)
class MessageFault:
    """Why a message is not taken, and where: a segment and the number of a field, if it is one.

    `text` names elements and never their content.
    """

    ack: AckCode
    code: ErrorCode
    segment: str
    number: int | None
    text: str


def acknowledge(header: Header, fault: MessageFault | None, moment: str) -> str:
    """The acknowledgement of the message with a header; for a fault, with the segment ERR.

    `moment` is written as YYYYMMDDHHMMSS and offset. Apart from it, the same message gets the same answer.
    """
    return "".join(f"{segment}\r" for segment in _segments(header, fault, moment))


def _segments(header: Header, fault: MessageFault | None, moment: str) -> Iterator[str]:
    version = _version(header)
    code = fault.ack if fault else AckCode.ACCEPT
    identity = sha256(repr((code, header)).encode()).hexdigest()[:20]
    swapped = [header[number] for number in (5, 6, 3, 4)]
    kind = header.encoding[0].join(_kind(header, version))
    first = f"MSH{header.separator}{header.encoding}"
    yield header.separator.join([first, *swapped, moment, "", kind, identity, _mode(header), version])
    told = [escape(fault.text, header)] if fault else []
    yield header.separator.join(["MSA", code, _control_id(header), *told])
    if fault is not None:
        yield _error(header, fault, version)


def _version(header: Header) -> str:
    stated = header.component(12)
    return stated if header.name == "MSH" and VERSION.fullmatch(stated) else _USUAL_VERSION


def _mode(header: Header) -> str:
    stated = header.component(11)
    return stated if header.name == "MSH" and stated in MODES else "P"


def _control_id(header: Header) -> str:
    """By what the sender knows the message: MSH-10, or BHS-11 and FHS-11."""
    return header[10] if header.name == "MSH" else header[11]


def _kind(header: Header, version: str) -> list[str]:
    """MSH-9: the event is repeated, and from 2.3.1 on the structure is named."""
    event = header.component(9, 2)
    if header.name != "MSH" or not _EVENT.fullmatch(event):
        return ["ACK"]
    return ["ACK", event] if version < "2.3.1" else ["ACK", event, "ACK"]


def _error(header: Header, fault: MessageFault, version: str) -> str:
    """ERR: place and code in one field before 2.5, in fields of their own from then on."""
    separator, between, within = header.separator, header.encoding[0], header.encoding[3]
    number = [] if fault.number is None else [str(fault.number)]
    code = [fault.code, fault.code.meaning, "HL70357"]
    if version < "2.5":
        return f"ERR{separator}{between.join([fault.segment, '1', *(number or ['']), within.join(code)])}"
    place = between.join([fault.segment, "1", *number])
    text = escape(fault.text, header)
    return separator.join(["ERR", "", place, between.join(code), "E", "", "", "", text])
