"""Store an outcome whose revocations may meet content that our models refuse (docs/plan-of-record.md).

Such a draft is revoked leniently: its status, a note and our signatures change, and the rest stays as the
server has it, byte for byte.
"""

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

import msgspec

from service.apply.send import CONFLICTS, ProvenanceOf, Write, store
from service.core.records import VersionedReference
from service.errors import NotRevoked, ServerMisread, ServerRefused
from service.fhir.client import FhirClient
from service.fhir.loose import Resource, part, parts
from service.fhir.names import EDIT_DIGEST, edit_digest, signatures_of, with_signatures
from service.fhir.sources import UNDECODABLE

_GONE = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.GONE})
_PASSING = CONFLICTS | {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS}
"""Statuses of the client's side that another try may overcome."""
_ELEMENTS = msgspec.json.Decoder(dict[str, msgspec.Raw])


async def store_outcome(
    client: FhirClient, writes: Iterable[Write], provenance_of: ProvenanceOf, *, recorded: str
) -> tuple[VersionedReference, ...]:
    """Store an outcome as `store` does; a revocation that our models refuse comes first, leniently.

    Raises `NotRevoked` where the server refuses that; nothing else is stored then.
    """
    writes = list(writes)
    refused = [one for one in writes if _is_revocation(one) and not await client.accepts(one.resource)]
    revoked = await _revoke_all(client, refused)
    rest = [one for one in writes if one not in refused]
    return await store(client, rest, provenance_of, recorded=recorded, stored=revoked)


def _is_revocation(write: Write) -> bool:
    return write.kind == "CarePlan" and write.resource["status"] == "revoked"


async def _revoke_all(client: FhirClient, writes: list[Write]) -> list[tuple[Write, VersionedReference]]:
    revoked, stuck = [], []
    for write in writes:
        try:
            revoked.append(await _revoke(client, write))
        except ServerRefused as refused:
            if refused.status in _GONE:
                raise ServerRefused(str(refused), HTTPStatus.CONFLICT) from None
            if refused.status in _PASSING or refused.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                raise
            stuck.append(write.reference)
    if stuck:
        raise NotRevoked(tuple(stuck))
    return revoked


async def _revoke(client: FhirClient, write: Write) -> tuple[Write, VersionedReference]:
    """Revoke a draft leniently, over the version that was read; gives what was stored, as R4 has it."""
    path = write.reference
    plan = await client.find(path) or {}
    content = await client.as_it_stands(path)
    note = write.resource["note"][-1]
    revoked = {**plan, "status": "revoked", "note": [*parts(plan.get("note")), note]}
    signatures = signatures_of(write.resource) | {EDIT_DIGEST: edit_digest(revoked)}
    try:
        body = _with_revocation(_ELEMENTS.decode(content), note, signatures)
    except UNDECODABLE:
        raise ServerMisread(f"GET {path}: the answer is not the FHIR JSON expected") from None
    stored = await client.put_back(path, body, only_over=write.version)
    now = VersionedReference(write.kind, str(write.resource["id"]), stored.version)
    return Write.over(write.version, with_signatures(revoked, signatures)), now


def _with_revocation(elements: dict[str, msgspec.Raw], note: Resource, signatures: dict[str, str]) -> bytes:
    """The draft with the status, the note and the signatures of a revocation."""
    others = [one for one in _items(elements.get("extension")) if _address(one) not in signatures]
    ours = [{"url": url, "valueString": value} for url, value in signatures.items()]
    changed: dict[str, Any] = {
        "status": "revoked",
        "note": [*_items(elements.get("note")), note],
        "extension": [*others, *ours],
    }
    return msgspec.json.encode(elements | changed)


def _items(value: msgspec.Raw | None) -> list[msgspec.Raw]:
    """The items of a list, as they came; none of what is no list."""
    listed = value is not None and bytes(value).lstrip().startswith(b"[")
    return msgspec.json.decode(value, type=list[msgspec.Raw]) if listed and value else []


def _address(extension: msgspec.Raw) -> Any:
    return part(msgspec.json.decode(extension)).get("url")
