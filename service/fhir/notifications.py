"""Read what a FHIR server reports of changes: Bundles of notifications, by topics or not.

A notification by a topic begins with the status of its Subscription: a `SubscriptionStatus` (R4B and R5,
https://hl7.org/fhir/R5/subscriptionstatus.html) or a Parameters (R4, by the Subscriptions backport guide 1.1,
https://hl7.org/fhir/uv/subscriptions-backport/STU1.1/). Its Bundle is a `history` (R4, R4B) or a
`subscription-notification` (R5); HAPI has sent such Bundles as a `transaction` too. Everything is read here
as one form, whatever the release.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

import msgspec

from service.errors import NotFhir, NotJson
from service.fhir.references import Reference, read_reference
from service.fhir.sources import UNDECODABLE, Source, take_resource
from service.fhir.views import ReferenceView, View

_NOTIFICATION = "subscription-notification"
_BACKPORT_STATUS = "/backport-subscription-status"
_TOLD_BY_STATUS = frozenset({"events-since-subscription-start", "notification-event", "topic"})
_STATUS_OPERATIONS = ("/$status", "/$events")
_MOST = 2**63
"""Numbers of events are 64 bits wide: https://hl7.org/fhir/R5/datatypes.html#integer64."""

Number = int | str | None


class NotifiedRequest(View):
    """What was done to the resource of an entry."""

    method: str | None = None
    url: str | None = None


class NotifiedEntry(View):
    """One entry of a Bundle that reports changes."""

    full_url: str | None = None
    resource: msgspec.Raw = msgspec.Raw()
    request: NotifiedRequest | None = None

    @property
    def has_resource(self) -> bool:
        """Whether the resource came with it."""
        return bool(bytes(self.resource))

    @property
    def method(self) -> str | None:
        """What was done, as the method of the request that did it."""
        return self.request.method if self.request else None

    @property
    def address(self) -> Reference:
        """The resource that it is about; it names none where neither address does."""
        named = read_reference(self.request.url if self.request else None)
        return named if named.kind else read_reference(self.full_url)


class NotifiedBundle(View):
    """A Bundle that reports changes; its entries are read one by one."""

    type: str | None = None
    entry: list[msgspec.Raw] = msgspec.field(default_factory=list)


class _EventView(View):
    event_number: Number = None
    focus: ReferenceView | None = None


class _StatusView(View):
    status: str | None = None
    type: str | None = None
    events_since_subscription_start: Number = None
    notification_event: list[_EventView] = msgspec.field(default_factory=list)
    subscription: ReferenceView | None = None


class _ParameterView(View):
    name: str | None = None
    value_code: str | None = None
    value_string: str | None = None
    value_unsigned_int: Number = None
    value_integer: Number = None
    value_reference: ReferenceView | None = None
    part: list["_ParameterView"] = msgspec.field(default_factory=list)

    @property
    def number(self) -> Number:
        given = (self.value_string, self.value_unsigned_int, self.value_integer)
        return next((one for one in given if one is not None), None)


class _ProfileView(View):
    profile: list[str] = msgspec.field(default_factory=list)


class _ParametersView(View):
    meta: _ProfileView | None = None
    parameter: list[_ParameterView] = msgspec.field(default_factory=list)


_ENTRY = msgspec.json.Decoder(NotifiedEntry)
_BUNDLE = msgspec.json.Decoder(NotifiedBundle)
_STATUS = msgspec.json.Decoder(_StatusView)
_PARAMETERS = msgspec.json.Decoder(_ParametersView)


class NotificationType(StrEnum):
    """Why a notification was sent: https://hl7.org/fhir/R5/valueset-subscription-notification-type.html."""

    HANDSHAKE = "handshake"
    HEARTBEAT = "heartbeat"
    EVENT = "event-notification"
    STATUS = "query-status"
    QUERIED_EVENTS = "query-event"
    NOT_STATED = "not-stated"


@dataclass(frozen=True, slots=True)
class TopicEvent:
    """One event: its number in the Subscription, and the resource that changed, where they are stated."""

    number: int | None
    focus: Reference | None


@dataclass(frozen=True, slots=True)
class TopicNotification:
    """What a notification by a topic says. `total` are the events since the Subscription started.

    `status` is that of the Subscription. `entries` are those behind the first, each still to be read.
    """

    type: NotificationType
    status: str | None
    subscription: Reference
    total: int | None
    events: tuple[TopicEvent, ...]
    entries: tuple[msgspec.Raw, ...]

    @property
    def numbers(self) -> frozenset[int]:
        """The numbers of the events in it.

        Some servers, athenahealth among them, count the events of each Bundle from 1; the total tells these.
        """
        given = frozenset(event.number for event in self.events if event.number is not None)
        beyond = (self.total or 0) - len(given)
        if given == frozenset(range(1, len(given) + 1)) and beyond > 0:
            return frozenset(number + beyond for number in given)
        return given

    @property
    def foci(self) -> tuple[Reference, ...]:
        """The resources that changed, as far as they are named."""
        return tuple(event.focus for event in self.events if event.focus is not None)

    @property
    def last_number(self) -> int | None:
        """The highest number of an event that it knows of."""
        return max(self.numbers | ({self.total} if self.total is not None else set()), default=None)


def read_notified_bundle(content: bytes | msgspec.Raw) -> NotifiedBundle:
    """Read a Bundle, its entries left as they are. Raises `NotFhir`."""
    try:
        return _BUNDLE.decode(content)
    except UNDECODABLE:
        raise NotFhir("the Bundle cannot be read") from None


def read_entries(contents: Iterable[msgspec.Raw]) -> Iterator[NotifiedEntry | None]:
    """Read entries one by one; `None` for one that cannot be read."""
    for content in contents:
        try:
            yield _ENTRY.decode(content)
        except UNDECODABLE:
            yield None


def read_topic_notification(source: Source) -> TopicNotification | None:
    """Read a Bundle as a notification by a topic; `None` where it is none, and so another kind of Bundle.

    Raises `NotFhir` where it is one, and its status cannot be read.
    """
    if source.head.resource_type != "Bundle":
        return None
    bundle = read_notified_bundle(source.content)
    if bundle.type == "message":
        return _in_message(bundle)
    first = next(read_entries(bundle.entry[:1]), None)
    if not (bundle.type == _NOTIFICATION or (first is not None and _is_status(first))):
        return None
    status = _read_status(first)
    return TopicNotification(
        _type_of(status.type),
        status.status,
        read_reference(status.subscription.reference if status.subscription else None),
        _number(status.events_since_subscription_start),
        tuple(_event(one) for one in status.notification_event),
        tuple(bundle.entry[1:]),
    )


def _in_message(bundle: NotifiedBundle) -> TopicNotification | None:
    """The notification that a message carries as a Bundle in one of its entries."""
    for entry in read_entries(bundle.entry):
        source = _source_of(entry)
        inner = read_notified_bundle(source.content) if source and _kind(source) == "Bundle" else None
        if source is not None and inner is not None and inner.type != "message":
            found = read_topic_notification(source)
            if found is not None:
                return found
    return None


def _source_of(entry: NotifiedEntry | None) -> Source | None:
    if entry is None or not entry.has_resource:
        return None
    try:
        return take_resource(entry.resource)
    except (NotJson, NotFhir):
        return None


def _kind(source: Source) -> str | None:
    return source.head.resource_type


def _is_status(first: NotifiedEntry) -> bool:
    source = _source_of(first)
    if source is None:
        return False
    if _kind(source) != "Parameters":
        return _kind(source) == "SubscriptionStatus"
    asked = (first.request.url or "").partition("?")[0] if first.request else ""
    return asked.endswith(_STATUS_OPERATIONS) or _tells_status(source)


def _tells_status(parameters: Source) -> bool:
    try:
        read = _PARAMETERS.decode(parameters.content)
    except UNDECODABLE:
        return False
    profiles = read.meta.profile if read.meta else []
    named = {one.name for one in read.parameter}
    return any(_BACKPORT_STATUS in one for one in profiles) or bool(named & _TOLD_BY_STATUS)


def _read_status(first: NotifiedEntry | None) -> _StatusView:
    source = _source_of(first)
    if source is None or _kind(source) not in {"SubscriptionStatus", "Parameters"}:
        raise NotFhir("Bundle.entry[0].resource: expected the status of the Subscription")
    try:
        if _kind(source) == "SubscriptionStatus":
            return _STATUS.decode(source.content)
        return _from_parameters(_PARAMETERS.decode(source.content).parameter)
    except UNDECODABLE:
        raise NotFhir("Bundle.entry[0].resource: the status of the Subscription cannot be read") from None


def _from_parameters(parameters: list[_ParameterView]) -> _StatusView:
    """The status that Parameters of R4 say, each parameter under its name."""
    named = {one.name: one for one in parameters}
    nothing = _ParameterView()
    events = [one.part for one in parameters if one.name == "notification-event"]
    return _StatusView(
        status=named.get("status", nothing).value_code,
        type=named.get("type", nothing).value_code,
        events_since_subscription_start=named.get("events-since-subscription-start", nothing).number,
        notification_event=[_event_from_parts(parts) for parts in events],
        subscription=named.get("subscription", nothing).value_reference,
    )


def _event_from_parts(parts: list[_ParameterView]) -> _EventView:
    named = {one.name: one for one in parts}
    number, focus = named.get("event-number"), named.get("focus")
    return _EventView(number.number if number else None, focus.value_reference if focus else None)


def _event(event: _EventView) -> TopicEvent:
    focus = read_reference(event.focus.reference if event.focus else None)
    return TopicEvent(_number(event.event_number), focus if focus.kind else None)


def _type_of(code: str | None) -> NotificationType:
    return NotificationType(code) if code in set(NotificationType) else NotificationType.NOT_STATED


def _number(given: Number) -> int | None:
    """A number of events, which JSON has as a number or a text; `None` for what cannot be one."""
    digits = str(given).strip()
    if not digits.isascii() or not digits.isdecimal() or len(digits) > len(str(_MOST)):
        return None
    number = int(digits)
    return number if number < _MOST else None


# --- what was heard of a Subscription before ------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Heard:
    """The last that was heard of a Subscription: the highest number of an event, and when, in UTC.

    `name` is `Subscription/id` on the configured server; `None` for one that cannot be asked for.
    """

    name: str | None
    number: int
    at: str


@dataclass(frozen=True, slots=True)
class Gap:
    """Events of a Subscription that were not heard: from the first number to the last, since an instant."""

    subscription: str
    first: int
    last: int
    since: str

    @property
    def text(self) -> str:
        """The gap as a reference in the queue."""
        return f"{self.subscription}/{self.first}-{self.last}/{self.since}"


def read_gap(text: str) -> Gap:
    """The gap that `Gap.text` wrote. Raises `NotFhir` for any other text."""
    subscription, _, since = text.rpartition("/")
    subscription, _, numbers = subscription.rpartition("/")
    first, _, last = numbers.partition("-")
    if not (first.isdecimal() and last.isdecimal() and read_reference(subscription).kind == "Subscription"):
        raise NotFhir("not a gap in the events of a Subscription")
    return Gap(subscription, int(first), int(last), since)


def missing_numbers(told: TopicNotification, known: int) -> tuple[int, int] | None:
    """The first and the last event between the last one known and the last one told that did not come.

    Events in between that did come may be among them: to read an event twice does no harm.
    """
    last = told.last_number
    if last is None or last <= known:
        return None
    edges = [known, *sorted(number for number in told.numbers if number > known), last + 1]
    holes = [(before + 1, after - 1) for before, after in pairwise(edges) if after - before > 1]
    return (holes[0][0], holes[-1][1]) if holes else None
