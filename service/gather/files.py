"""Records from files: one Bundle, or NDJSON of Bundles or of the resources of a bulk export."""

from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from service.errors import InputError, NotAssessable, NotFhir, NotJson
from service.fhir.sources import (
    UNDECODABLE,
    Gathered,
    Source,
    read_owner,
    reports_error,
    take_resource,
    without_mark,
)
from service.fhir.views import BundleView

_BUNDLE = msgspec.json.Decoder(BundleView)


class NamedRecord(NamedTuple):
    """A record of an NDJSON file and where in it: the record, or why it cannot be used."""

    where: str
    record: Gathered | InputError


def read_bundle(content: bytes | msgspec.Raw) -> Gathered:
    """One patient's record from a Bundle.

    Raises `NotJson`, `NotFhir` (naming the element), or `NotAssessable` for a Bundle that is only one
    page of several.
    """
    head = take_resource(content).head
    if head.resource_type != "Bundle":
        kind = head.resource_type if (head.resource_type or "").isalpha() else "no resourceType"
        raise NotFhir(f"expected a Bundle, found {kind}")
    try:
        bundle = _BUNDLE.decode(content)
    except msgspec.ValidationError as error:
        raise NotFhir(f"the Bundle cannot be read{_element(error)}") from None
    except UNDECODABLE:
        raise NotJson("the Bundle is not proper JSON") from None
    if bundle.next is not None:
        raise NotAssessable(
            "the Bundle is one page of several (it has a next link), so the record is incomplete; "
            "put every page into one Bundle"
        )
    sources = [
        take_resource(entry.resource, entry.full_url) for entry in bundle.entry if bytes(entry.resource)
    ]
    if any(s.head.resource_type == "OperationOutcome" and reports_error(s.content) for s in sources):
        raise NotAssessable(
            "the Bundle contains an error of the server, so the record may be incomplete; fetch it again"
        )
    return Gathered(tuple(sources))


def _element(error: msgspec.ValidationError) -> str:
    _, found, path = str(error).partition("at `$")
    return f" at Bundle{path.rstrip('`')}" if found else ""


def is_ndjson(content: bytes) -> bool:
    """Whether the input is several JSON values, one a line, and not one value."""
    lines = (line for line in content.splitlines() if line.strip())
    first, second = next(lines, b""), next(lines, None)
    return second is not None and _is_json(first) and second.lstrip().startswith(b"{")


def _is_json(line: bytes) -> bool:
    try:
        msgspec.json.decode(line)
    except UNDECODABLE:
        return False
    return True


def read_ndjson(content: bytes) -> Iterator[NamedRecord]:
    """Every patient's record of an NDJSON file, in the order of first appearance.

    A line is a Bundle (one patient), or a resource that belongs to the patient it names; Medications belong
    to all. A line that cannot be used is given with the reason, and the others go on.
    """
    owned: dict[str, list[Source]] = {}
    shared: list[Source] = []
    for number, text in enumerate(content.splitlines(), start=1):
        if not text.strip():
            continue
        where, line = f"line {number}", without_mark(text)
        try:
            source = take_resource(line)
            if source.head.resource_type == "Bundle":
                yield NamedRecord(where, read_bundle(line))
            elif source.head.resource_type == "Medication":
                shared.append(source)
            else:
                owned.setdefault(read_owner(source), []).append(source)
        except InputError as error:
            yield NamedRecord(where, error)
    for patient_id, sources in owned.items():
        yield NamedRecord(f"Patient/{patient_id}", Gathered((*sources, *shared), patient_id))
