"""Notifications by topics, of R4 (Subscriptions backport 1.1), R4B and R5, whatever they carry.

A notification without resources is a sweep since the last one, one that names resources has them read by the
queue, and one with resources names the patients itself. The numbers of its events are compared with the last
one that was heard of its Subscription: events in between that did not come are asked for. The answer is 200
once all of it is stored, and a Bundle, as HAPI 8.8 takes anything else for a failure and sends it again;
where it cannot be stored, 503. No request is made before the answer.
"""

from datetime import datetime, timedelta
from hashlib import sha256

from aiohttp import hdrs, web

from service.cause import Cause
from service.doors.bodies import read_body
from service.doors.notice import Notice, answer_once_stored, enqueue, now
from service.doors.ports import CLIENT, HOOK_KEY, QUEUE, REVIEWER, Door, Queue, Route
from service.errors import ForeignReference, NotFhir
from service.fhir.kinds import NOTICED_KINDS
from service.fhir.notifications import (
    Gap,
    Heard,
    NotificationType,
    NotifiedEntry,
    TopicNotification,
    missing_numbers,
    read_entries,
    read_topic_notification,
)
from service.fhir.references import Reference
from service.fhir.sources import take_resource
from service.gather.changes import sweep_from
from service.gather.subscriptions import FAILED_STATUSES, KEY_PATTERN
from service.review import Reviewer
from service.telemetry.logs import Event, log_warning
from service.telemetry.metrics import HookEvent

_UNKNOWN_PAST = timedelta(days=1)
"""How far back to look where events of a Subscription came before the first one that was heard."""
_MAY_BE_EMPTY = frozenset(NotificationType) - {NotificationType.EVENT, NotificationType.NOT_STATED}
_COUNTED_AS = {
    NotificationType.HANDSHAKE: HookEvent.HANDSHAKE,
    NotificationType.HEARTBEAT: HookEvent.HEARTBEAT,
    NotificationType.STATUS: HookEvent.HEARTBEAT,
}


async def receive(request: web.Request) -> web.Response:
    """Take a notification by a topic. Raises `NotJson` or `NotFhir` for anything else."""
    body = await read_body(request)
    return await take(request, await request.app[REVIEWER].run(len(body), _read, body))


def _read(_: Reviewer, body: bytes) -> TopicNotification:
    told = read_topic_notification(take_resource(body))
    if told is None:
        raise NotFhir("expected a Bundle that begins with the status of a Subscription")
    return told


async def take(request: web.Request, told: TopicNotification) -> web.Response:
    """Take a notification by a topic that was read, at whatever address it came."""
    base = request.app[CLIENT].base
    notice = to_notice(told, base)
    return await answer_once_stored(request, notice, _store(request.app[QUEUE], told, notice, base))


def to_notice(told: TopicNotification, base: str) -> Notice:
    """What a notification asks for, but for the events that did not come.

    Raises `ForeignReference` where it names a resource to be read that is not on the server at `base`.
    """
    notice = Notice(interaction="transaction", entries=len(told.entries) + 1)
    if told.type in _COUNTED_AS:
        notice.kinds[_COUNTED_AS[told.type]] += 1
    taken = _take_entries(told, base, notice)
    for focus in dict.fromkeys(told.foci):
        if focus.name not in taken:
            _take_named(focus, base, notice)
    if _is_empty(told):
        notice.something_changed()
    if told.status in FAILED_STATUSES:
        _note_failure(told, notice)
    return notice


def _take_entries(told: TopicNotification, base: str, notice: Notice) -> set[str | None]:
    """Take the entries, which gives the names of those taken. What was only read, as no focus, is context."""
    foci = {focus.name for focus in told.foci}
    taken: set[str | None] = set()
    for entry in read_entries(told.entries):
        if entry is None:
            notice.kinds[HookEvent.UNREADABLE] += 1
            notice.sweep = True
        elif not foci or entry.method != hdrs.METH_GET or entry.address.name in foci:
            _take_entry(entry, base, notice)
            taken.add(entry.address.name)
    return taken


def _is_empty(told: TopicNotification) -> bool:
    """Whether it says that something changed, and not what."""
    expected = max(len(told.events), 0 if told.type in _MAY_BE_EMPTY else 1)
    return not told.entries and len(told.foci) < expected


def _note_failure(told: TopicNotification, notice: Notice) -> None:
    """The server says that it could not deliver, or stops to: what was not told has to be searched for."""
    log_warning(Event.SUBSCRIPTION_FAILED, reason=told.status)
    notice.sweep = True
    notice.kinds[HookEvent.SUBSCRIPTION_FAILED] += 1


def _take_entry(entry: NotifiedEntry, base: str, notice: Notice) -> None:
    if entry.method == hdrs.METH_DELETE:
        notice.deleted_one(*_ours(entry.address, base))
    elif entry.has_resource:
        notice.take_changed(take_resource(entry.resource))
    else:
        _take_named(entry.address, base, notice)


def _take_named(address: Reference, base: str, notice: Notice) -> None:
    notice.named_one(*_ours(address, base))


def _ours(address: Reference, base: str) -> tuple[str, str]:
    """The type and id of a resource that is to be asked for."""
    if not address.kind:
        raise NotFhir("Bundle.entry: neither request.url nor fullUrl names a resource")
    if address.kind in NOTICED_KINDS and not address.is_on(base):
        raise ForeignReference(
            f"{address.kind}: on another server than the one that TRD_FHIR_BASE_URL names, so it is not read"
        )
    return address.kind, address.id


# --- the events that did not come -----------------------------------------------------------------


async def _store(queue: Queue, told: TopicNotification, notice: Notice, base: str) -> None:
    """Store what is asked for before the number of the last event, so that no gap is forgotten."""
    moment = now()
    if told.type is NotificationType.QUERIED_EVENTS or not told.subscription.address:
        await enqueue(queue, notice, Cause.TOPIC, moment)
        return
    name = told.subscription.name if told.subscription.is_on(base) else None
    key = sha256((name or told.subscription.address).encode()).hexdigest()
    known = await queue.last_heard(key)
    await enqueue(queue, notice, Cause.TOPIC, note_missing(told, name, known, notice, moment))
    if known is not None and counts_anew(told, known.number):
        await queue.forget_heard(key)
    await queue.keep_heard(key, Heard(name, told.last_number or 0, moment.isoformat(timespec="milliseconds")))


def counts_anew(told: TopicNotification, known: int) -> bool:
    """Whether the Subscription began to count again, as it does at a handshake and HAPI at a restart."""
    if told.type is NotificationType.HANDSHAKE:
        return True
    last = told.last_number or 0
    return 0 < last < known and told.numbers == frozenset(range(1, last + 1))


def note_missing(
    told: TopicNotification, name: str | None, known: Heard | None, notice: Notice, moment: datetime
) -> datetime:
    """Note the events that did not come. The instant is when a sweep has to begin, if there is one.

    `name` is `Subscription/id` on the configured server, `None` for one that cannot be asked.
    """
    if known is None:
        if (told.last_number or 0) <= len(told.numbers):
            return moment
        notice.something_changed()
        return moment - _UNKNOWN_PAST
    heard_at = datetime.fromisoformat(known.at)
    missing = missing_numbers(told, known.number)
    if missing is not None and name is not None:
        notice.missed(Gap(name, *missing, sweep_from(heard_at)).text)
    elif missing is not None:
        notice.something_changed()
    return heard_at


_TOPICS = "/hooks/topics"
_KEYED = f"{_TOPICS}/{{{HOOK_KEY}:{KEY_PATTERN}}}"
ROUTES = tuple(Route(Door.TOPICS, hdrs.METH_POST, path, receive) for path in (_TOPICS, _KEYED))
