"""Rest-hook notifications, in the dialect of HAPI: the subscriber is spoken to as if it were a FHIR server.

`PUT {hook}/{Type}/{id}` carries a changed resource, `DELETE {hook}/{Type}/{id}` names a deleted one, a `POST`
without a body says only that something changed, and a Bundle holds several. What is told is a hint: whose
record to review is taken from it, and the record is read again. The answer is 200 once the event is stored;
where it cannot be stored, 503, so that the server tries again. It is an OperationOutcome, but to a
transaction a Bundle with one for each entry: HAPI 8.8 takes anything else for a failure and sends it again.
"""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import msgspec
from aiohttp import hdrs, web

from service import clock
from service.cause import Cause
from service.doors.bodies import read_body
from service.doors.exchange import fhir_response
from service.doors.outcome import to_bundle_response, to_information_outcome
from service.doors.ports import METRICS, QUEUE, REVIEWER, Door, Route
from service.doors.storing import store
from service.errors import NotFhir, NotJson
from service.fhir.kinds import NOTICED_KINDS, WRITTEN_KINDS
from service.fhir.names import BASE
from service.fhir.references import read_reference
from service.fhir.sources import UNDECODABLE, Source, find_owner, take_resource
from service.fhir.views import CodingView, IdentifierView, OwnerView, View
from service.ids import ID
from service.review import Reviewer
from service.telemetry.metrics import HookEvent

_SWEEP_MARGIN = timedelta(minutes=10)
"""How long ago a change may have been that a notification without a body speaks of: HAPI tries for a minute,
and clocks differ."""


class _Request(View):
    method: str | None = None
    url: str | None = None


class _Entry(View):
    full_url: str | None = None
    resource: msgspec.Raw = msgspec.Raw()
    request: _Request | None = None


class _Bundle(View):
    type: str | None = None
    entry: list[msgspec.Raw] = msgspec.field(default_factory=list)


class _Tags(View):
    tag: list[CodingView] = msgspec.field(default_factory=list)


class _Notified(OwnerView):
    """Whose record a resource belongs to, and whether we wrote it."""

    meta: _Tags | None = None
    identifier: list[IdentifierView] = msgspec.field(default_factory=list)

    @property
    def is_ours(self) -> bool:
        named = [*(self.meta.tag if self.meta else ()), *self.identifier]
        return any((one.system or "").startswith(f"{BASE}/") for one in named)


_ENTRY = msgspec.json.Decoder(_Entry)
_BUNDLE = msgspec.json.Decoder(_Bundle)
_OWNER = msgspec.json.Decoder(_Notified)


@dataclass(slots=True)
class Notice:
    """What a notification asks for: references only, each once, in the order they came."""

    patients: dict[str, None] = field(default_factory=dict)
    deleted: dict[str, None] = field(default_factory=dict)
    sweep: bool = False
    kinds: Counter[HookEvent] = field(default_factory=Counter)
    interaction: str | None = None
    entries: int = 0

    def to_answer(self) -> dict[str, Any]:
        """What the sender is told once all of it is stored."""
        useful = self.patients or self.deleted or self.sweep
        text = "stored for review" if useful else "nothing in it to review"
        if self.interaction is None:
            return to_information_outcome(text)
        return to_bundle_response(self.interaction, self.entries, text)

    def changed(self, patient_id: str) -> None:
        """A patient's record changed."""
        self.patients[patient_id] = None
        self.kinds[HookEvent.CHANGED] += 1

    def something_changed(self) -> None:
        """Something changed; what it was has to be searched for."""
        self.sweep = True
        self.kinds[HookEvent.SWEEP] += 1

    def deleted_one(self, kind: str, identity: str) -> None:
        """A resource was deleted; whose it was is in its history."""
        if kind in NOTICED_KINDS:
            self.deleted[f"{kind}/{identity}"] = None
            self.kinds[HookEvent.DELETED] += 1
        else:
            self.not_used(kind)

    def not_used(self, kind: str) -> None:
        """A resource that says nothing about a patient's record."""
        self.kinds[HookEvent.OWN_WRITE if kind in WRITTEN_KINDS else HookEvent.NOT_USED] += 1


def read_notification(body: bytes, path: tuple[str, str] | None = None) -> Notice:
    """Read what a PUT or POST tells. `path` is the type and id of its address, if it has them.

    Raises `NotJson` or `NotFhir` for what is no resource.
    """
    notice = Notice()
    if not body.strip():
        _take_address(path, notice)
        return notice
    source = take_resource(body)
    match source.head.resource_type:
        case None:
            raise NotFhir("expected a resource, found no resourceType")
        case "Bundle":
            _take_bundle(source, notice)
        case _:
            _take_changed(source, notice)
    return notice


def _take_bundle(source: Source, notice: Notice) -> None:
    """Take a Bundle entry by entry; one that cannot be read does not hide the others."""
    try:
        bundle = _BUNDLE.decode(source.content)
    except UNDECODABLE:
        raise NotFhir("the Bundle cannot be read") from None
    notice.entries = len(bundle.entry)
    if bundle.type in {"transaction", "batch"}:
        notice.interaction = bundle.type
    for content in bundle.entry:
        try:
            _take_entry(_ENTRY.decode(content), notice)
        except (*UNDECODABLE, NotJson, NotFhir):
            notice.kinds[HookEvent.UNREADABLE] += 1


def _take_entry(entry: _Entry, notice: Notice) -> None:
    named = entry.request.url if entry.request else None
    address = _address(named) or _address(entry.full_url)
    if entry.request is not None and entry.request.method == hdrs.METH_DELETE:
        if address is not None:
            notice.deleted_one(*address)
        else:
            notice.kinds[HookEvent.UNREADABLE] += 1
    elif bytes(entry.resource):
        _take_changed(take_resource(entry.resource), notice)
    elif address is not None:
        _take_address(address, notice)
    else:
        notice.kinds[HookEvent.NO_PATIENT] += 1


def _take_address(address: tuple[str, str] | None, notice: Notice) -> None:
    """Take a change of which only the address is known, or not even that."""
    kind, identity = address or (None, "")
    if kind == "Patient":
        notice.changed(identity)
    elif kind is None or kind in NOTICED_KINDS:
        notice.something_changed()
    else:
        notice.not_used(kind)


def _take_changed(source: Source, notice: Notice) -> None:
    """Take a changed resource: whose record it belongs to, and no more."""
    kind = source.head.resource_type
    if kind not in NOTICED_KINDS:
        notice.not_used(kind or "")
        return
    try:
        owner = _OWNER.decode(source.content)
    except UNDECODABLE:
        notice.kinds[HookEvent.UNREADABLE] += 1
        return
    if owner.is_ours:
        notice.kinds[HookEvent.OWN_WRITE] += 1
        return
    patient_id = find_owner(source, owner)
    if patient_id is not None:
        notice.changed(patient_id)
    else:
        notice.kinds[HookEvent.NO_PATIENT] += 1


def _address(text: str | None) -> tuple[str, str] | None:
    """The type and id at the end of a reference or address. Its server does not matter for a hint."""
    found = read_reference(text)
    return (found.kind, found.id) if found.kind else None


async def receive(request: web.Request) -> web.Response:
    """Take a notification of something new or changed."""
    body = await read_body(request)
    notice = await request.app[REVIEWER].run(len(body), _read, body, _address_of(request))
    return await _store(request, notice)


def _read(_: Reviewer, body: bytes, path: tuple[str, str] | None) -> Notice:
    return read_notification(body, path)


async def receive_deletion(request: web.Request) -> web.Response:
    """Take a notification of something deleted."""
    notice = Notice()
    notice.deleted_one(request.match_info["type"], request.match_info["id"])
    return await _store(request, notice)


def _address_of(request: web.Request) -> tuple[str, str] | None:
    found = request.match_info
    return (found["type"], found["id"]) if "id" in found else None


async def _store(request: web.Request, notice: Notice) -> web.Response:
    """Store what a notification asks for, then answer."""
    await store(request, _enqueue(request, notice))
    for kind, times in notice.kinds.items():
        request.app[METRICS].count_hook_event(kind, times)
    return fhir_response(notice.to_answer())


async def _enqueue(request: web.Request, notice: Notice) -> None:
    queue = request.app[QUEUE]
    if notice.patients:
        await queue.accept(tuple(notice.patients), Cause.REST_HOOK)
    for reference in notice.deleted:
        await queue.accept_task("deleted", reference)
    if notice.sweep:
        since = datetime.fromisoformat(clock.now_iso()) - _SWEEP_MARGIN
        await queue.accept_task("sweep", since.isoformat(timespec="seconds"))


_HOOK = "/hooks/fhir"
_ONE = f"{_HOOK}/{{type:[A-Z][A-Za-z]{{1,63}}}}/{{id:{ID}}}"
_VERSION = f"{_ONE}/_history/{{version:{ID}}}"
ROUTES = (
    *(Route(Door.REST_HOOK, "PUT", path, receive) for path in (_HOOK, _ONE, _VERSION)),
    *(Route(Door.REST_HOOK, "POST", path, receive) for path in (_HOOK, _ONE, _VERSION)),
    *(Route(Door.REST_HOOK, "DELETE", path, receive_deletion) for path in (_ONE, _VERSION)),
)
