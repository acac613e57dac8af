"""Rest-hook notifications, in the dialect of HAPI: the subscriber is spoken to as if it were a FHIR server.

`PUT {hook}/{Type}/{id}` carries a changed resource, `DELETE {hook}/{Type}/{id}` names a deleted one, a `POST`
without a body says only that something changed, and a Bundle holds several. What is told is a hint: whose
record to review is taken from it, and the record is read again. The answer is 200 once the event is stored;
where it cannot be stored, 503, so that the server tries again. It is an OperationOutcome, but to a
transaction a Bundle with one for each entry: HAPI 8.8 takes anything else for a failure and sends it again.
"""

from aiohttp import hdrs, web

from service.cause import Cause
from service.doors import topics
from service.doors.bodies import read_body
from service.doors.notice import Notice, answer_once_stored, enqueue, now
from service.doors.ports import QUEUE, REVIEWER, Door, Route
from service.errors import NotFhir, NotJson
from service.fhir.kinds import NOTICED_KINDS
from service.fhir.notifications import (
    NotifiedEntry,
    TopicNotification,
    read_entries,
    read_notified_bundle,
    read_topic_notification,
)
from service.fhir.references import Reference
from service.fhir.sources import Source, take_resource
from service.ids import ID
from service.review import Reviewer
from service.telemetry.metrics import HookEvent


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
            notice.take_changed(source)
    return notice


def _take_bundle(source: Source, notice: Notice) -> None:
    """Take a Bundle entry by entry; one that cannot be read does not hide the others."""
    bundle = read_notified_bundle(source.content)
    notice.entries = len(bundle.entry)
    if bundle.type in {"transaction", "batch"}:
        notice.interaction = bundle.type
    for entry in read_entries(bundle.entry):
        try:
            _take_entry(entry, notice)
        except (NotJson, NotFhir):
            notice.kinds[HookEvent.UNREADABLE] += 1


def _take_entry(entry: NotifiedEntry | None, notice: Notice) -> None:
    if entry is None:
        notice.kinds[HookEvent.UNREADABLE] += 1
    elif entry.method == hdrs.METH_DELETE:
        _take_deleted(entry.address, notice)
    elif entry.has_resource:
        notice.take_changed(take_resource(entry.resource))
    elif entry.address.kind:
        _take_address((entry.address.kind, entry.address.id), notice)
    else:
        notice.kinds[HookEvent.NO_PATIENT] += 1


def _take_deleted(address: Reference, notice: Notice) -> None:
    """Take a deletion. The server of the address does not matter for a hint."""
    if address.kind:
        notice.deleted_one(address.kind, address.id)
    else:
        notice.kinds[HookEvent.UNREADABLE] += 1


def _take_address(address: tuple[str, str] | None, notice: Notice) -> None:
    """Take a change of which only the address is known, or not even that."""
    kind, identity = address or (None, "")
    if kind == "Patient":
        notice.changed(identity)
    elif kind is None or kind in NOTICED_KINDS:
        notice.something_changed()
    else:
        notice.not_used(kind)


async def receive(request: web.Request) -> web.Response:
    """Take a notification of something new or changed; one by a topic goes to the door of those."""
    body = await read_body(request)
    told = await request.app[REVIEWER].run(len(body), _read, body, _address_of(request))
    if isinstance(told, TopicNotification):
        return await topics.take(request, told)
    return await _store(request, told)


def _read(_: Reviewer, body: bytes, path: tuple[str, str] | None) -> Notice | TopicNotification:
    told = read_topic_notification(take_resource(body)) if body.strip() else None
    return told or read_notification(body, path)


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
    return await answer_once_stored(
        request, notice, enqueue(request.app[QUEUE], notice, Cause.REST_HOOK, now())
    )


_HOOK = "/hooks/fhir"
_ONE = f"{_HOOK}/{{type:[A-Z][A-Za-z]{{1,63}}}}/{{id:{ID}}}"
_VERSION = f"{_ONE}/_history/{{version:{ID}}}"
ROUTES = (
    *(Route(Door.REST_HOOK, "PUT", path, receive) for path in (_HOOK, _ONE, _VERSION)),
    *(Route(Door.REST_HOOK, "POST", path, receive) for path in (_HOOK, _ONE, _VERSION)),
    *(Route(Door.REST_HOOK, "DELETE", path, receive_deletion) for path in (_ONE, _VERSION)),
)
