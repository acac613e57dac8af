"""The part of a record that a caller brings along: the prefetch of CDS Hooks.

https://cds-hooks.hl7.org/2.0/#prefetch-template. A caller fills in templates of searches; what it leaves out,
or could not have, is left to be read (`gather_supplied`).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import msgspec

from service.core.knowledge import Knowledge
from service.errors import NotCdsHooks, NotFhir, NotJson
from service.fhir.kinds import READ_KINDS, SEARCHED_KINDS
from service.fhir.outcomes import Completeness, is_outcome, read_completeness
from service.fhir.sources import UNDECODABLE, Source, take_resource
from service.fhir.views import BundleView
from service.gather.searches import PAGE_SIZE, code_parameter

PATIENT = "{{context.patientId}}"
"""What a caller puts the id of the patient in place of."""
SUPPLIED_KINDS = ("Patient", *SEARCHED_KINDS)
_BUNDLE = msgspec.json.Decoder(BundleView)
_NOTHING = b"null"


@dataclass(frozen=True, slots=True)
class Supplied:
    """The resources that were brought along, the kinds left to be read, and those that are withheld."""

    sources: tuple[Source, ...]
    missing: tuple[str, ...] = ()
    withheld: tuple[str, ...] = ()

    @property
    def lacks_all(self) -> bool:
        """Whether nothing was brought along."""
        return set(self.missing) == set(SUPPLIED_KINDS)


def prefetch_templates(knowledge: Knowledge) -> dict[str, str]:
    """Everything that a review reads of a patient, as templates by their key."""
    searches = {key_of(kind): _search(kind, knowledge) for kind in SEARCHED_KINDS}
    return {key_of("Patient"): f"Patient/{PATIENT}", **searches}


def key_of(kind: str) -> str:
    """The key under which a kind of resource is prefetched, such as `medicationRequest`."""
    return f"{kind[0].lower()}{kind[1:]}"


def _search(kind: str, knowledge: Knowledge) -> str:
    params = {"patient": PATIENT, **code_parameter(kind, knowledge), "_count": PAGE_SIZE}
    return f"{kind}?{'&'.join(f'{name}={value}' for name, value in params.items())}"


def read_supplied(prefetch: Mapping[str, msgspec.Raw]) -> Supplied:
    """Take in what a caller brought along. Keys that were not asked for are left alone.

    A key that is left out, a page of several, and an OperationOutcome leave the kind to be read; `null` says
    that there is nothing. Raises `NotCdsHooks` that names the key of what is no FHIR resource.
    """
    sources: list[Source] = []
    missing, withheld = [], []
    for kind in SUPPLIED_KINDS:
        part = _read_part(kind, prefetch.get(key_of(kind)))
        if part is None:
            missing.append(kind)
        elif any(map(is_outcome, part)):
            withheld.append(kind)
        sources += [source for source in part or () if not is_outcome(source)]
    return Supplied(tuple(sources), tuple(missing), tuple(withheld))


def _read_part(kind: str, content: msgspec.Raw | None) -> list[Source] | None:
    """What was brought along of one kind, with the outcomes that withhold some; `None` where that is not all.

    A Patient is always there, so that none, or one that is withheld, is a Patient left to be read.
    """
    if content is None:
        return None
    try:
        found = _whole(content)
    except (NotJson, NotFhir):
        raise NotCdsHooks(f"prefetch.{key_of(kind)}: not a FHIR resource") from None
    if kind == "Patient" and not any(source.head.resource_type == "Patient" for source in found or ()):
        return None
    return found


def _whole(content: msgspec.Raw) -> list[Source] | None:
    """The resources of a value; `None` where it says that there are more, or that it failed."""
    if bytes(content).strip() == _NOTHING:
        return []
    source = take_resource(content)
    if source.head.resource_type != "Bundle":
        return _heeded([source])
    try:
        bundle = _BUNDLE.decode(content)
    except UNDECODABLE:
        raise NotFhir("the Bundle cannot be read") from None
    if bundle.next is not None or (bundle.total or 0) > len(bundle.entry):
        return None
    return _heeded(list(_entries(bundle)))


def _entries(bundle: BundleView) -> Iterator[Source]:
    for entry in bundle.entry:
        if not bytes(entry.resource):
            raise NotFhir("an entry has no resource")
        yield take_resource(entry.resource, entry.full_url)


def _heeded(found: list[Source]) -> list[Source] | None:
    """The resources that are read, and the outcomes that withhold some; `None` for any other outcome."""
    outcomes = [source for source in found if is_outcome(source)]
    if any(read_completeness(one.content) is not Completeness.WITHHELD for one in outcomes):
        return None
    return [one for one in found if is_outcome(one) or one.head.resource_type in (None, *READ_KINDS)]
