"""What was gathered about one patient, before anything is read: resources as they came, entry by entry."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import msgspec

from service.core.records import VersionedReference
from service.errors import NotFhir, NotJson
from service.fhir.kinds import PATIENT_ELEMENTS
from service.fhir.loose import Resource, part, text
from service.fhir.references import Reference, read_reference
from service.fhir.views import Head, NotifiedView, OutcomeView, OwnerView
from service.ids import is_id

UNDECODABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises over content that is not the JSON it should be."""

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_OWNER = msgspec.json.Decoder(OwnerView)
_NOTIFIED = msgspec.json.Decoder(NotifiedView)
_HEAD = msgspec.json.Decoder(Head)
_OUTCOME = msgspec.json.Decoder(OutcomeView)
_LONGEST_NUMBER = 12


@dataclass(frozen=True, slots=True)
class Source:
    """One resource as it came, with what it says of itself and the address it came under."""

    head: Head
    content: bytes | msgspec.Raw
    url: str | None = None

    @property
    def reference(self) -> VersionedReference:
        """The version of the resource that conclusions rest on. Without an id there is no version to name."""
        kind, identity = self.head.resource_type or "Resource", self.head.id
        if identity is None:
            return VersionedReference(kind, "unidentified")
        return VersionedReference(kind, identity, self.head.meta.version_id)


@dataclass(frozen=True, slots=True)
class Gathered:
    """One patient's resources, and the kinds that could not be looked at.

    `patient_id` is the patient asked for, `None` for a file (then the only Patient in it). `base` is the
    server's address, for telling its absolute references from those to other servers. `compartment` marks
    the answer of `$everything`, which by its definition also holds records of others that name the patient.
    """

    sources: tuple[Source, ...]
    patient_id: str | None = None
    base: str | None = None
    compartment: bool = False
    not_read: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    """Those of the kinds not read that the server holds and does not show."""
    deleted_plans: Mapping[str, str | None] = field(default_factory=dict)
    """Care plans of ours that the server says were deleted, each with what it went on from, if known."""
    former_ids: tuple[str, ...] = ()
    """Ids of patients that were merged into this one: records under them are this one's."""
    follows_course: bool = True
    """Whether a treatment under way is followed (docs/decisions/0030)."""

    @property
    def size(self) -> int:
        """How many bytes the resources have."""
        return sum(memoryview(source.content).nbytes for source in self.sources)

    def content_of(self, reference: VersionedReference) -> dict[str, Any]:
        """The content of a resource that was gathered and read."""
        source = next(source for source in self.sources if source.reference == reference)
        content: dict[str, Any] = msgspec.json.decode(source.content)
        return content

    def with_source(self, source: Source) -> "Gathered":
        """The same record with one resource more."""
        return replace(self, sources=(*self.sources, source))

    def with_deleted_plan(self, plan_id: str, goes_on_from: str | None) -> "Gathered":
        """The same record, knowing that a care plan of ours was deleted."""
        return replace(self, deleted_plans={**self.deleted_plans, plan_id: goes_on_from})


def without_mark(content: bytes) -> bytes:
    """JSON without the byte order mark that some programs begin it with: RFC 8259, section 8.1."""
    return content.removeprefix(_BYTE_ORDER_MARK)


def take_resource(content: bytes | msgspec.Raw, url: str | None = None) -> Source:
    """Take one resource in, reading only its type, id and version.

    A resource without a readable head is kept, to be reported as unreadable. An id that no server could be
    asked for counts as missing. Raises `NotJson` for content that is not a JSON object.
    """
    try:
        head = _HEAD.decode(content)
    except msgspec.ValidationError:
        head = _readable_head(content)
    except UNDECODABLE:
        message = "not a JSON object"
        raise NotJson(message) from None
    if not is_id(head.id):
        head.id = None
    return Source(head, content, url)


def _readable_head(content: bytes | msgspec.Raw) -> Head:
    """The readable part of a broken head, so that the fault can be named."""
    try:
        values = msgspec.json.decode(content)
    except UNDECODABLE:
        values = None
    if not isinstance(values, dict):
        message = "not a JSON object"
        raise NotFhir(message)
    kind, identity = values.get("resourceType"), values.get("id")
    modifiers = [msgspec.Raw(b"{}")] if values.get("modifierExtension") else []
    return Head(
        kind if isinstance(kind, str) else None,
        identity if isinstance(identity, str) else None,
        modifier_extension=modifiers,
    )


def reports_error(outcome: bytes | msgspec.Raw) -> bool:
    """Whether an OperationOutcome among results reports an error; one that cannot be read may."""
    try:
        issues = _OUTCOME.decode(outcome).issue
    except UNDECODABLE:
        return True
    return any(issue.severity in {"error", "fatal"} for issue in issues)


class Versions(NamedTuple):
    """Resources with their duplicates separated.

    `contradictory` came twice under one id and version with different content.
    """

    latest: tuple[Source, ...]
    superseded: tuple[Source, ...]
    contradictory: tuple[Source, ...]


def separate_versions(sources: Iterable[Source]) -> Versions:
    """Keep the latest version of each resource. Resources without an id are all kept."""
    latest: dict[tuple[str, str], Source] = {}
    nameless: list[Source] = []
    superseded: list[Source] = []
    contradictory: dict[VersionedReference, Source] = {}
    for source in sources:
        kind, identity = source.head.resource_type, source.head.id
        if not kind or not identity:
            nameless.append(source)
            continue
        known = latest.setdefault((kind, identity), source)
        if known is source:
            continue
        if source.reference != known.reference:
            older, latest[kind, identity] = sorted((known, source), key=_age_of_version)
            superseded.append(older)
        elif bytes(source.content) != bytes(known.content):
            contradictory[source.reference] = source
    kept = tuple(s for s in (*latest.values(), *nameless) if s.reference not in contradictory)
    return Versions(kept, tuple(superseded), tuple(contradictory.values()))


def _age_of_version(source: Source) -> tuple[str, int, str]:
    version = source.head.meta.version_id or ""
    number = int(version) if version.isdecimal() and len(version) < _LONGEST_NUMBER else 0
    return (source.head.meta.last_updated or "", number, version)


def find_owner(source: Source, view: OwnerView) -> str | None:
    """The id of the patient that a resource is about, by a view of it; `None` where it names none."""
    kind = source.head.resource_type or ""
    if kind == "Patient":
        return source.head.id
    named = {"subject": view.subject, "patient": view.patient, "for": view.for_}
    # A kind without a row, which a file may hold, can use either element.
    reference = named[PATIENT_ELEMENTS[kind]] if kind in PATIENT_ELEMENTS else view.subject or view.patient
    return read_reference(reference.reference if reference else None).id_of("Patient")


def read_notified(source: Source) -> NotifiedView:
    """Whose record a resource belongs to, and whether we wrote it. Raises one of `UNDECODABLE`."""
    return _NOTIFIED.decode(source.content)


def read_subject(resource: Resource) -> Reference:
    """The reference by which a resource that is decoded names its patient."""
    element = PATIENT_ELEMENTS[resource["resourceType"]]
    return read_reference(text(part(resource.get(element)).get("reference")))


def read_owner(source: Source) -> str:
    """The id of the patient that a resource is about. Raises `NotFhir` where it does not say so."""
    try:
        patient_id = find_owner(source, _OWNER.decode(source.content))
    except UNDECODABLE:
        patient_id = None
    if patient_id is None:
        raise NotFhir(f"{source.reference}: does not name its patient by an id")
    return patient_id
