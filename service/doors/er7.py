"""HL7 version 2 in its form with vertical bars (ER7): characters, header, delimiters and escapes.

Chapters are those of HL7 2.5.1, https://www.hl7.org/implement/standards/product_brief.cfm?product_id=144.
"""

import codecs
import re
import string
from dataclasses import dataclass

LONGEST_HEADER = 4096
"""How many characters MSH may have. It is mirrored in the answer; usual ones have less than 300."""

_CHARSETS = {
    "ASCII": "utf-8",
    "UNICODE": "utf-8",
    "UNICODE UTF-8": "utf-8",
    "ISO IR14": "shift_jis",
    "ISO IR87": "iso-2022-jp",
    "GB 18030-2000": "gb18030",
    "KS X 1001": "euc-kr",
    "BIG-5": "big5",
    **{f"8859/{part}": f"iso-8859-{part}" for part in (1, 2, 3, 4, 5, 6, 7, 8, 9, 15)},
}
"""Character sets of MSH-18 (HL7 table 0211) under the names that HTTP has for them. UTF-8 contains ASCII."""
_BY_CODEC = {codecs.lookup(name).name: name for name in (*_CHARSETS.values(), "windows-1252")} | {
    "ascii": "utf-8"
}
_ANY_BYTES = "iso-8859-1"
_SEGMENTS = re.compile(r"[\r\n]+")
_ESCAPES = "FSRET"
_OPTIONAL_FIELDS = 30


@dataclass(frozen=True, slots=True)
class Header:
    """MSH, or the header of a batch: its delimiters, and its fields as they were sent, with their escapes."""

    name: str = "MSH"
    separator: str = "|"
    encoding: str = "^~\\&"
    fields: tuple[str, ...] = ()

    def __getitem__(self, number: int) -> str:
        """A field by its number in the standard, from 3 on; empty where there is none."""
        return self.fields[number - 3] if number - 3 < len(self.fields) else ""

    def component(self, number: int, which: int = 1) -> str:
        """A component of a field."""
        parts = self[number].split(self.encoding[0])
        return parts[which - 1].strip() if which <= len(parts) else ""

    @property
    def delimiters(self) -> str:
        """What divides fields, components and repetitions, escapes, and divides subcomponents."""
        return self.separator + self.encoding[:4]


def read_header(line: str) -> Header | None:
    """The header that a line is; `None` where its delimiters are not fit to read by, or it is too long."""
    separator = line[3:4]
    encoding, *fields = line[4:].split(separator, _OPTIONAL_FIELDS) if separator else [""]
    delimiters = separator + encoding
    proper = len(delimiters) in {5, 6} and len(set(delimiters)) == len(delimiters)
    if not proper or set(delimiters) - set(string.punctuation) or len(line) > LONGEST_HEADER:
        return None
    return Header(line[:3], separator, encoding, tuple(fields))


def decode(content: bytes, charset: str | None) -> tuple[str, str]:
    """The text of a message and its character set.

    What the request says counts before what the message says (MSH-18): an engine that encodes anew leaves
    MSH-18 as it was. Both may be wrong, and Latin-1 reads any bytes.
    """
    said = _known(charset) or _stated(content) or "utf-8"
    try:
        return content.decode(said), said
    except UnicodeDecodeError:
        return content.decode(_ANY_BYTES), _ANY_BYTES


def _known(charset: str | None) -> str | None:
    try:
        return _BY_CODEC.get(codecs.lookup(charset or "").name)
    except (LookupError, ValueError):
        return None


def _stated(content: bytes) -> str | None:
    header = read_header(split_segments(content[: LONGEST_HEADER + 1].decode(_ANY_BYTES))[0])
    return _CHARSETS.get(header[18].split(header.encoding[1])[0].strip().upper()) if header else None


def split_segments(text: str) -> list[str]:
    """The segments of a message. The standard ends each with a carriage return; engines also send others."""
    return _SEGMENTS.split(text)


def unescape(text: str, header: Header, charset: str) -> str | None:
    """What was meant by a text (chapter 2.7), without blanks around it; `None` where that is not understood.

    Delimiters and bytes are understood. Fonts and layout have no place in what is read here.
    """
    plain, *rest = text.split(header.delimiters[3])
    if len(rest) % 2:
        return None
    for sequence, after in zip(rest[::2], rest[1::2], strict=True):
        meant = _meant(sequence, header, charset)
        if meant is None:
            return None
        plain += meant + after
    return plain.strip()


def _meant(sequence: str, header: Header, charset: str) -> str | None:
    if len(sequence) == 1 and sequence in _ESCAPES:
        return header.delimiters[_ESCAPES.index(sequence)]
    try:
        return bytes.fromhex(sequence[1:]).decode(charset) if sequence.startswith("X") else None
    except ValueError:
        return None


def escape(text: str, header: Header) -> str:
    """A text as it stands in a field."""
    mark = header.delimiters[3]
    names = {one: f"{mark}{name}{mark}" for one, name in zip(header.delimiters, _ESCAPES, strict=True)}
    return "".join(names.get(one, one) for one in text)
