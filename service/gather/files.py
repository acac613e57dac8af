"""Records from files: one Bundle, or NDJSON of Bundles or of the resources of a bulk export."""

from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from service.errors import InputError, NotAssessable, NotFhir, NotJson
from service.fhir.kinds import SCREENED_KINDS
from service.fhir.outcomes import Completeness, is_outcome, read_completeness, withhold
from service.fhir.sources import UNDECODABLE, Gathered, Source, read_owner, take_resource, without_mark
from service.fhir.views import BundleView

_BUNDLE = msgspec.json.Decoder(BundleView)
_DEEPEST = 4
"""How deep Bundles may stand in Bundles: a batch of searches, in a document or a message, is two."""


class NamedRecord(NamedTuple):
    """A record of an NDJSON file and where in it: the record, or why it cannot be used."""

    where: str
    record: Gathered | InputError


def read_bundle(content: bytes | msgspec.Raw) -> Gathered:
    """One patient's record from a Bundle.

    Raises `NotJson`, `NotFhir` (naming the element), or `NotAssessable` for a Bundle that says that there is
    more than it holds. One that says that something is withheld does not say of which kind: of each there
    may be more.
    """
    head = take_resource(content).head
    if head.resource_type != "Bundle":
        kind = head.resource_type if (head.resource_type or "").isalpha() else "no resourceType"
        raise NotFhir(f"expected a Bundle, found {kind}")
    sources = tuple(_resources_in(content, _DEEPEST))
    outcomes = [source for source in sources if is_outcome(source)]
    if any(read_completeness(one.content) is Completeness.INCOMPLETE for one in outcomes):
        raise NotAssessable(
            "the Bundle contains an error of the server, so the record may be incomplete; fetch it again"
        )
    if withhold(outcomes):
        return Gathered(sources, not_read=SCREENED_KINDS, refused=SCREENED_KINDS)
    return Gathered(sources)


def _resources_in(content: bytes | msgspec.Raw, deepest: int) -> Iterator[Source]:
    """The resources of a Bundle and of the Bundles in it, such as the answers to the searches of a batch."""
    try:
        bundle = _BUNDLE.decode(content)
    except msgspec.ValidationError as error:
        raise NotFhir(f"the Bundle cannot be read{_element(error)}") from None
    except UNDECODABLE:
        raise NotJson("the Bundle is not proper JSON") from None
    _check_whole(bundle)
    for entry in bundle.entry:
        if entry.response is not None and bytes(entry.response.outcome):
            yield take_resource(entry.response.outcome)
        if not bytes(entry.resource):
            continue
        source = take_resource(entry.resource, entry.full_url)
        if source.head.resource_type != "Bundle":
            yield source
        elif deepest:
            yield from _resources_in(entry.resource, deepest - 1)
        else:
            raise NotAssessable("the Bundle holds Bundles within Bundles, deeper than is read here")


def _check_whole(bundle: BundleView) -> None:
    """Raise `NotAssessable` for a Bundle that is a part of a record, or more than one state of it."""
    if bundle.next is not None:
        raise NotAssessable(
            "the Bundle is one page of several (it has a next link), so the record is incomplete; "
            "put every page into one Bundle"
        )
    if bundle.type == "history" or any(e.request and e.request.method == "DELETE" for e in bundle.entry):
        raise NotAssessable(
            "the Bundle is a history, in which resources may be deleted; fetch the record as it is now"
        )
    if any(entry.response is not None and entry.response.failed for entry in bundle.entry):
        raise NotAssessable(
            "the Bundle contains a request that failed, so the record is incomplete; fetch it again"
        )


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
