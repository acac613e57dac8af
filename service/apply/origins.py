"""Read the Provenance that this service wrote: from what, with what and why a version came to be.

Servers may take the version out of a reference they store; its display keeps it (docs/decisions/0013).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import msgspec

from service.apply.standing import device_id
from service.fhir.client import FhirClient
from service.fhir.names import CAUSES, DEVICE_INSIDE, MADE_WITH, VERSION_IDENTIFIER
from service.fhir.references import read_reference
from service.fhir.sources import UNDECODABLE
from service.fhir.views import ConceptView, ReferenceView, View
from service.render.provenance import read_signatures, stored_id

_PAGE_SIZE = "200"


class _Agent(View):
    who: ReferenceView | None = None


class _Entity(View):
    role: str | None = None
    what: ReferenceView | None = None


class _OriginPart(View):
    url: str | None = None
    value_string: str | None = None


class _Extension(View):
    url: str | None = None
    extension: list[_OriginPart] = msgspec.field(default_factory=list)


class _Provenance(View):
    id: str | None = None
    target: list[ReferenceView] = msgspec.field(default_factory=list)
    occurred_date_time: str | None = None
    recorded: str | None = None
    reason: list[ConceptView] = msgspec.field(default_factory=list)
    agent: list[_Agent] = msgspec.field(default_factory=list)
    entity: list[_Entity] = msgspec.field(default_factory=list)
    extension: list[_Extension] = msgspec.field(default_factory=list)


_DECODER = msgspec.json.Decoder(_Provenance)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the versions `targets` come from. What was not written down is `None`.

    `as_of` is the day decided upon, `recorded` the instant of writing, `sources` the versions read,
    `criteria` the id and version of the criteria set, `clinic` its calendar in words, `decision` the reason
    code, `grounds` the digest of what a proposal rests on. `signatures` are those of a version that the
    server stored otherwise than it was sent; such an origin says nothing else.
    """

    reference: str
    targets: tuple[str, ...]
    as_of: str | None
    recorded: str
    cause: str | None
    sources: tuple[str, ...]
    software: str | None
    knowledge: str | None
    criteria: tuple[str, str] | None
    region: str | None
    clinic: str | None
    decision: str | None
    grounds: str | None
    signatures: Mapping[str, str]
    not_read: tuple[str, ...]
    refused: tuple[str, ...]


async def origins_of(client: FhirClient, reference: str) -> list[Origin]:
    """The origins of every version of one resource that this service wrote, the earliest first."""
    return [origin for origin in await _search(client, {"target": reference}) if not origin.signatures]


async def all_origins(client: FhirClient) -> list[Origin]:
    """The origins of everything that this service wrote, the earliest first, without their sources.

    None where our Device is not on the server, as by it they are found.
    """
    device = await device_id(client)
    if device is None:
        return []
    found = await _search(client, {"agent": f"Device/{device}"})
    return [replace(origin, sources=()) for origin in found if not origin.signatures]


async def stored_signatures(client: FhirClient, name: str, version: str | None) -> Mapping[str, str]:
    """What this service signed a resource with that the server last stored otherwise than it was sent.

    None where it stored it as sent, or where nothing tells. `name` is the resource, such as `CarePlan/1`, and
    `version` the one that stands there now.
    """
    target = await client.target()
    if "Provenance" not in target.takes:
        return {}
    if target.names_ids and version is not None:
        found = await client.get_if_there(f"Provenance/{stored_id(f'{name}/_history/{version}')}")
        origin = None if found is None else _read(found, await device_id(client))
        if origin is not None:
            return origin.signatures
    origins = await _search(client, {"target": name})
    noted = [one for one in origins if one.signatures and any(_is_version_of(name, t) for t in one.targets)]
    return noted[-1].signatures if noted else {}


def _is_version_of(name: str, version: str) -> bool:
    return read_reference(version).address == name


def origin_of(origins: Iterable[Origin], version: str) -> Origin | None:
    """The origin of one version, such as `CarePlan/1/_history/2`."""
    return next((origin for origin in origins if version in origin.targets), None)


async def _search(client: FhirClient, params: dict[str, str]) -> list[Origin]:
    """Those of a search that are ours; none from a server that keeps no Provenance."""
    if "Provenance" not in {*await client.offered(), *(await client.target()).takes}:
        return []
    device = await device_id(client)
    found = [
        origin
        for page in await client.all_pages("Provenance", {**params, "_count": _PAGE_SIZE})
        for entry in page.entry
        if (origin := _read(bytes(entry.resource), device)) is not None
    ]
    return sorted({origin.reference: origin for origin in found}.values(), key=lambda origin: origin.recorded)


def _read(content: bytes, device: str | None) -> Origin | None:
    """One Provenance; `None` for what is not ours."""
    try:
        view = _DECODER.decode(content)
    except UNDECODABLE:
        return None
    if not any(_is_device(agent.who, device) for agent in view.agent):
        return None
    parts = [part for one in view.extension if one.url == MADE_WITH for part in one.extension]
    said = {part.url: part.value_string for part in parts}
    criteria, _, version = (said.get("criteria") or "").partition("|")
    return Origin(
        reference=f"Provenance/{view.id}",
        targets=tuple(filter(None, map(_target, view.target))),
        as_of=view.occurred_date_time,
        recorded=view.recorded or "",
        cause=_cause(view.reason),
        sources=tuple(filter(None, (_source(entity) for entity in view.entity))),
        software=said.get("software"),
        knowledge=said.get("knowledge"),
        criteria=(criteria, version) if version else None,
        region=said.get("region"),
        clinic=said.get("clinic"),
        decision=said.get("decision"),
        grounds=said.get("grounds"),
        signatures=read_signatures({name: value for name, value in said.items() if name and value}),
        not_read=_all(parts, "not-read"),
        refused=_all(parts, "refused"),
    )


def _is_device(who: ReferenceView | None, device: str | None) -> bool:
    """Whether an agent is our Device: on its own, or inside where the server keeps no Device."""
    agent = read_reference(who.reference if who else None)
    return agent.fragment == DEVICE_INSIDE or (device is not None and agent.id_of("Device") == device)


def _target(target: ReferenceView) -> str | None:
    """The version that a reference names: by itself, or by its display where a server stripped it."""
    reference, shown = read_reference(target.reference), read_reference(target.display)
    return reference.versioned if reference.version or not shown.kind else shown.versioned


def _cause(reasons: list[ConceptView]) -> str | None:
    codings = (coding for reason in reasons for coding in reason.coding)
    return next((coding.code for coding in codings if coding.system == CAUSES), None)


def _source(entity: _Entity) -> str | None:
    """The version that an entity names; what is no such name leads nowhere, and not to another address."""
    identifier = entity.what.identifier if entity.what else None
    if entity.role != "source" or identifier is None or identifier.system != VERSION_IDENTIFIER:
        return None
    name = identifier.value or ""
    return name if read_reference(name).versioned == name else "a source without a proper name"


def _all(parts: list[_OriginPart], name: str) -> tuple[str, ...]:
    return tuple(part.value_string for part in parts if part.url == name and part.value_string)
