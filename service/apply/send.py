"""Have a server store resources: all in one transaction, or one after the other where it takes none.

One after the other, no resource comes before one that it refers to, so that whatever interrupts it leaves no
reference that leads nowhere. What is then missing is written by the next review.
"""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, TypeVar
from urllib.parse import urlencode
from uuid import NAMESPACE_URL, uuid5

import msgspec

from service.apply.standing import find_device
from service.core.plans import WriteTier
from service.core.records import VersionedReference
from service.errors import ServerMisread, ServerRefused
from service.fhir.client import FhirClient, Stored, version_of
from service.fhir.kinds import CLAIMED_KINDS
from service.fhir.loose import Resource, part
from service.fhir.names import (
    DEVICE_ID,
    DEVICE_INSIDE,
    EDIT_DIGEST,
    content_digest,
    edit_digest,
    signatures_of,
)
from service.fhir.references import read_reference
from service.fhir.sources import UNDECODABLE
from service.fhir.target import Target
from service.fhir.views import TransactionResponseView
from service.render.device import render_device, with_device_inside
from service.render.guidance import sign_guidance
from service.render.provenance import render_stored

CONFLICTS = frozenset({HTTPStatus.CONFLICT, HTTPStatus.PRECONDITION_FAILED})
"""The statuses by which a server reports a lost race: 412, or 409 on HAPI."""

_NOT_DONE_HERE = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED})
"""The statuses by which a server reports that it does not support a request."""
_NO_TRANSACTION = _NOT_DONE_HERE | {HTTPStatus.FORBIDDEN}
"""The same of a transaction; a token may allow every kind of resource, and nothing of the whole server."""
_LONGEST_NUMBER = 64
"""A version that has more digits is no number that anybody counts with."""
_NO_VERSION = "0"
"""A version that no resource has: what is to be stored only over it, is stored only where nothing is."""
_DEVICE = f"Device/{DEVICE_ID}"
_OBJECT = msgspec.json.Decoder(dict[str, Any])
_RESPONSE = msgspec.json.Decoder(TransactionResponseView)

Sent = TypeVar("Sent")
ProvenanceOf = Callable[[list[VersionedReference]], Resource]
"""Renders the Provenance of versions."""


@dataclass(frozen=True, slots=True)
class Write:
    """A resource to be stored: a new one, or one over a version of it, `None` where none is stated."""

    resource: Resource
    is_new: bool
    version: str | None = None

    @classmethod
    def new(cls, resource: Resource) -> "Write":
        """A resource that is not on the server yet."""
        return cls(resource, is_new=True)

    @classmethod
    def over(cls, version: str | None, resource: Resource) -> "Write":
        """A resource in place of the version that was read."""
        return cls(resource, is_new=False, version=version)

    @property
    def kind(self) -> str:
        """The kind of the resource."""
        return str(self.resource["resourceType"])

    @property
    def reference(self) -> str:
        """Where it is, or would be under the id that we give it."""
        return f"{self.kind}/{self.resource['id']}"

    @property
    def is_claimed(self) -> bool:
        """Whether it is a new one that must not be stored over one that is there."""
        return self.is_new and self.kind in CLAIMED_KINDS


async def store(
    client: FhirClient,
    writes: Iterable[Write],
    provenance_of: ProvenanceOf,
    *,
    recorded: str,
    stored: Iterable[tuple[Write, VersionedReference]] = (),
) -> tuple[VersionedReference, ...]:
    """Store resources and the Provenance of what was stored, in the way the server takes them.

    `stored` is what was stored before, for the same Provenance.

    They come in an order in which none refers to a later one; kinds that the server does not take are left
    out. Returns the versions written, in that order. Raises `ServerRefused` with 409 or 412 when somebody
    was faster: read again and decide again.
    """
    target = await client.target()
    stored = tuple(stored)
    before = [now for _, now in stored]
    sender = _Sender(client, target, lambda written: provenance_of([*before, *written]))
    device = await sender.settle_device()
    everything = [*device, *(write for write in writes if write.kind in target.takes)]
    written = await _store_in_a_way(sender, everything)
    noted = await sender.note_stored([*stored, *zip(everything, written, strict=False)], recorded)
    return (*before, *written, *noted)


async def _store_in_a_way(sender: "_Sender", writes: list[Write]) -> tuple[VersionedReference, ...]:
    """All at once where the server does it; else one after the other."""
    if sender.target.tier is WriteTier.TRANSACTION:
        try:
            return await sender.store_together(writes)
        except ServerRefused as refused:
            if refused.status not in _NO_TRANSACTION:
                raise
            sender.target.tier = WriteTier.SINGLE_REQUESTS
    return await sender.store_singly(writes)


@dataclass(slots=True)
class _Sender:
    """Sends one outcome.

    `moved` maps our references to those of the server where they differ, `deleted` what is written anew
    after somebody deleted it, `covered` what a new resource was stored over, with the version it has now.
    """

    client: FhirClient
    target: Target
    provenance_of: ProvenanceOf
    moved: dict[str, str] = field(default_factory=dict)
    deleted: frozenset[str] = frozenset()
    covered: dict[str, VersionedReference] = field(default_factory=dict)

    async def settle_device(self) -> list[Write]:
        """Our Device, where the server does not have this version of it."""
        if "Device" not in self.target.takes:
            self.moved[_DEVICE] = f"#{DEVICE_INSIDE}"
            return []
        device, known = render_device(), await find_device(self.client)
        if known is None:
            return [Write.new(device)]
        self.moved[_DEVICE] = f"Device/{known['id']}"
        if known.get("version") == device["version"]:
            return []
        version = known.get("meta", {}).get("versionId")
        return [Write.over(version, device | {"id": known["id"]})]

    # all at once ----------------------------------------------------------------------------------

    async def store_together(self, writes: list[Write]) -> tuple[VersionedReference, ...]:
        async def post(claimed: frozenset[str]) -> tuple[VersionedReference, ...]:
            targets = [_next_version(write, self.deleted) for write in writes]
            everything = [*writes, *self._provenance(targets)]
            entries = [self._entry(write, claimed) for write in everything]
            answer = await self.client.transact(entries)
            return self._written(answer, everything, claimed)

        return await self._claiming([write for write in writes if write.is_claimed], post)

    def _written(
        self, answer: bytes, writes: list[Write], claimed: frozenset[str]
    ) -> tuple[VersionedReference, ...]:
        """The versions that the server reports as written, in the order of sending."""
        try:
            entries = _RESPONSE.decode(answer).entry
        except UNDECODABLE:
            raise ServerMisread("POST transaction: the answer is not the Bundle expected") from None
        if len(entries) != len(writes):
            raise ServerMisread("POST transaction: the answer does not have as many entries as were sent")
        written = []
        for write, entry in zip(writes, entries, strict=True):
            status = entry.response.status or ""
            version = version_of(entry.response.etag) or read_reference(entry.response.location).version
            given = read_reference(entry.response.location)
            named = given.id_of(write.kind) if write.kind in self.target.only_created else None
            now = VersionedReference(write.kind, named or str(write.resource["id"]), version)
            self._note(write, claimed, now, created=not status.startswith("200"))
            written.append(now)
        return tuple(written)

    def _entry(self, write: Write, claimed: frozenset[str]) -> dict[str, Any]:
        if write.kind in self.target.only_created:
            resource = _without_id(self._addressed(write.resource))
            return {"resource": resource, "request": {"method": "POST", "url": write.kind}}
        request = {"method": "PUT", "url": write.reference}
        version = _NO_VERSION if write.reference in claimed else write.version
        if version is not None:
            request["ifMatch"] = f'W/"{version}"'
        full_url = f"urn:uuid:{uuid5(NAMESPACE_URL, write.reference)}"
        return {"fullUrl": full_url, "resource": self._addressed(write.resource), "request": request}

    # one after the other --------------------------------------------------------------------------

    async def store_singly(self, writes: list[Write]) -> tuple[VersionedReference, ...]:
        written = [await self._store_one(write) for write in writes]
        written += [await self._store_one(write) for write in self._provenance(written)]
        return tuple(written)

    async def _store_one(self, write: Write) -> VersionedReference:
        named = self.target.names_ids and write.kind not in self.target.only_created
        stored = await self._put(write) if named or not write.is_new else None
        if stored is None:
            stored = await self._create(write)
        identity = stored.id or str(write.resource["id"])
        self.moved[write.reference] = f"{write.kind}/{identity}"
        return VersionedReference(write.kind, identity, stored.version)

    async def _put(self, write: Write) -> Stored | None:
        """Store under an id that is known; `None` where the server lets nobody choose one for a new one."""
        resource = self._addressed(write.resource)

        async def put(claimed: frozenset[str]) -> Stored:
            over = _NO_VERSION if write.reference in claimed else write.version
            stored = await self.client.put(resource, only_over=over)
            now = VersionedReference(write.kind, str(write.resource["id"]), stored.version)
            self._note(write, claimed, now, created=stored.created)
            return stored

        try:
            return await self._claiming([write] if write.is_claimed else [], put)
        except ServerRefused as refused:
            if refused.status not in _NOT_DONE_HERE or not write.is_new:
                raise
            self.target.names_ids = False
            return None

    async def _create(self, write: Write) -> Stored:
        """Store under an id that the server gives, unless one with our identifier is there."""
        named = next(iter(write.resource.get("identifier", [])), None)
        unless = None if named is None else urlencode({"identifier": f"{named['system']}|{named['value']}"})
        stored = await self.client.create(_without_id(self._addressed(write.resource)), unless=unless)
        if write.is_claimed and not stored.created:
            raise ServerRefused(f"POST {write.kind}: one of ours is there already", HTTPStatus.CONFLICT)
        return stored

    # both -----------------------------------------------------------------------------------------

    async def _claiming(self, claims: list[Write], send: Callable[[frozenset[str]], Awaitable[Sent]]) -> Sent:
        """Send new resources so that they are not stored over others, as far as the server knows how.

        `send` is given those that are claimed. A server that does not know it refuses them although nothing
        is there: then they are sent without. So are those that somebody deleted, but for a plan.
        """
        claimed = frozenset(write.reference for write in claims)
        if not claimed:
            return await send(claimed)
        if self.target.guards_creation is False:
            if await self._deleted(claims) is None:
                raise ServerRefused("a new resource is there already", HTTPStatus.CONFLICT)
            return await self._sent_unguarded(send)
        try:
            sent = await send(claimed)
        except ServerRefused as refused:
            if refused.status not in CONFLICTS | _NOT_DONE_HERE:
                raise
            deleted = await self._deleted(claims)
            if deleted is None or not (deleted or self.target.guards_creation is None):
                raise
            self.deleted |= deleted
            if deleted:
                return await send(claimed - deleted)
            sent = await self._sent_unguarded(send)
            self.target.guards_creation = False
        else:
            self.target.guards_creation = True
        return sent

    def _note(self, write: Write, claimed: frozenset[str], now: VersionedReference, *, created: bool) -> None:
        """Note a new resource that was stored over one, where nothing kept the server from it."""
        if write.is_claimed and not created and write.reference not in claimed | self.deleted:
            self.covered[write.reference] = now

    async def _sent_unguarded(self, send: Callable[[frozenset[str]], Awaitable[Sent]]) -> Sent:
        """Send new resources to a server that keeps nobody from storing them over others.

        What turns out to have been there is put back, and it is decided again.
        """
        sent = await send(frozenset())
        back = [await self._put_back(reference, now) for reference, now in self.covered.items()]
        if any(back):
            raise ServerRefused(
                "a new resource met one that was there, which was put back", HTTPStatus.CONFLICT
            )
        return sent

    async def _put_back(self, reference: str, now: VersionedReference) -> bool:
        """Restore the version that ours overwrote, unless somebody wrote since or the content is the same."""
        try:
            contents = await self.client.last_versions(reference, 2)
        except ServerRefused as refused:
            # What was there cannot be read again, and so not be put back: it is decided on what now stands.
            raise ServerRefused(str(refused), HTTPStatus.CONFLICT) from None
        if len(contents) < 2 or now.version is None or now.type == "GuidanceResponse":  # noqa: PLR2004 - two versions
            return False
        ours, before = (_OBJECT.decode(content) for content in contents[:2])
        if content_digest(ours) == content_digest(before):
            return False
        try:
            await self.client.put_back(reference, contents[1], only_over=now.version)
        except ServerRefused as refused:
            if refused.status not in CONFLICTS:
                raise
        return True

    async def _deleted(self, claims: list[Write]) -> frozenset[str] | None:
        """Those that somebody deleted; `None` where one is there, or a plan of ours was deleted."""
        deleted = set()
        for write in claims:
            try:
                await self.client.get(write.reference)
            except ServerRefused as refused:
                if refused.status == HTTPStatus.GONE and write.kind != "CarePlan":
                    deleted.add(write.reference)
                elif refused.status != HTTPStatus.NOT_FOUND:
                    return None
            else:
                return None
        return frozenset(deleted)

    async def note_stored(
        self, writes: Iterable[tuple[Write, VersionedReference]], recorded: str
    ) -> list[VersionedReference]:
        """Note what the server made of plans and Tasks where it stored them otherwise than they were sent.

        Its own changes would look like a person's. What is noted is read back in the version that was
        written: whatever somebody made of it since is not taken for the server's doing.
        """
        if "Provenance" not in self.target.takes:
            return []
        noted = []
        for write, now in writes:
            sent = signatures_of(write.resource)
            if EDIT_DIGEST not in sent or now.version is None:
                continue
            stored = await self.client.find(f"{now.type}/{now.id}")
            if stored is None or part(stored.get("meta")).get("versionId") != now.version:
                continue
            as_stored = sent | {EDIT_DIGEST: edit_digest(stored)}
            if signatures_of(stored) != sent or as_stored != sent:
                noted.append(await self._store_one(Write.new(render_stored(now, as_stored, recorded))))
        return noted

    def _provenance(self, targets: list[VersionedReference]) -> list[Write]:
        if "Provenance" not in self.target.takes:
            return []
        return [Write.new(self.provenance_of([one for one in targets if one.type != "Device"]))]

    def _settled(self, resource: Resource) -> Resource:
        """An assessment that names a plan by the id that the server gave it is signed as it will be read."""
        given = {
            name: now for name, now in self.moved.items() if name != now and name.startswith("CarePlan/")
        }
        if not given or resource["resourceType"] != "GuidanceResponse":
            return resource
        return sign_guidance(with_addresses(resource, given))

    def _addressed(self, resource: Resource) -> Resource:
        """The resource as it is sent: its references as the server knows them, our Device where it can be."""
        addressed: Resource = with_addresses(self._settled(resource), self.moved)
        if self.moved.get(_DEVICE) == f"#{DEVICE_INSIDE}":
            return with_device_inside(addressed)
        return addressed


def _without_id(resource: Resource) -> Resource:
    """The resource as it is sent to a server that gives it an id."""
    return {key: value for key, value in resource.items() if key != "id"}


def with_addresses(value: Any, moved: dict[str, str]) -> Any:
    """A part of a resource with its references as the server knows them."""
    if isinstance(value, list):
        return [with_addresses(one, moved) for one in value]
    if not isinstance(value, dict):
        return value
    changed = {key: with_addresses(one, moved) for key, one in value.items()}
    reference = changed.get("reference")
    if isinstance(reference, str):
        address = read_reference(reference).address
        changed["reference"] = moved.get(address, address) + reference.removeprefix(address)
    return changed


def _next_version(write: Write, deleted: frozenset[str]) -> VersionedReference:
    """The version that writing will make; left open where the server's are no numbers, or it was deleted."""
    identity, version = str(write.resource["id"]), write.version
    if write.is_new:
        return VersionedReference(write.kind, identity, None if write.reference in deleted else "1")
    numbered = version is not None and version.isdecimal() and len(version) <= _LONGEST_NUMBER
    return VersionedReference(write.kind, identity, str(int(version or "") + 1) if numbered else None)
