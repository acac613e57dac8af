"""HL7 v2 over HTTP, as integration engines send it: one message in, its acknowledgement out.

A message is a hint: whose record to review is taken from it, and the record is read on the FHIR server. The
patient is known by an identifier, which the queue looks up there. AA is answered once the event is stored.
The status is 200 for AE and AR as well, because engines send again what is answered with 400 and above; it is
503 where sending again helps (docs/decisions/0035-hl7v2.md).
"""

from collections.abc import Mapping
from http import HTTPStatus

from aiohttp import hdrs, web

from service import clock
from service.doors.acknowledgement import AckCode, ErrorCode, MessageFault, acknowledge
from service.doors.bodies import read_body
from service.doors.exchange import RETRY_AFTER
from service.doors.messages import Message, read_message
from service.doors.ports import METRICS, QUEUE, REVIEWER, SETTINGS, TOLD, Door, Queue, Route
from service.doors.storing import store
from service.review import Reviewer
from service.telemetry.metrics import HookEvent

ER7 = "application/hl7-v2"
_UNNAMED = "application/octet-stream"
"""What a request that names no type of content counts as."""
_TYPES = frozenset({ER7, "x-application/hl7-v2+er7", "text/plain", _UNNAMED})
_NOT_STORED = MessageFault(
    AckCode.ERROR, ErrorCode.INTERNAL, "MSH", None, "the message could not be stored; send it again"
)


async def receive(request: web.Request) -> web.Response:
    """Take a message, have the reviews that it asks for stored, and acknowledge it."""
    if request.content_type not in _TYPES:
        raise web.HTTPUnsupportedMediaType
    body = await read_body(request)
    authorities = request.app[SETTINGS].hl7v2_authorities
    message = await request.app[REVIEWER].run(len(body), _read, body, request.charset, authorities)
    if message.fault is not None:
        _count(request, _kind_of(message.fault))
        return _answer(request, message, message.fault)
    try:
        await store(request, _enqueue(request.app[QUEUE], message))
    except web.HTTPServiceUnavailable:
        return _answer(request, message, _NOT_STORED, HTTPStatus.SERVICE_UNAVAILABLE)
    _count(request, HookEvent.CHANGED, len(message.patients) + len(message.merged))
    return _answer(request, message)


def _read(_: Reviewer, body: bytes, charset: str | None, authorities: Mapping[str, str]) -> Message:
    return read_message(body, charset, authorities)


async def _enqueue(queue: Queue, message: Message) -> None:
    for reference in message.patients:
        await queue.accept_task("identified", reference)
    for reference in message.merged:
        await queue.accept_task("merged", reference)


def _kind_of(fault: MessageFault) -> HookEvent:
    return HookEvent.NOT_USED if fault.code is ErrorCode.UNSUPPORTED_TYPE else HookEvent.UNREADABLE


def _count(request: web.Request, kind: HookEvent, times: int = 1) -> None:
    request.app[METRICS].count_hook_event(kind, times)


def _answer(
    request: web.Request, message: Message, fault: MessageFault | None = None, status: int = HTTPStatus.OK
) -> web.Response:
    if fault is not None:
        request[TOLD] |= {"reason": f"{fault.ack.value}-{fault.code.value}"}
    text = acknowledge(message.header, fault, f"{clock.now():%Y%m%d%H%M%S%z}")
    return web.Response(
        body=text.encode(message.charset, "replace"),
        status=status,
        content_type=ER7 if request.content_type == _UNNAMED else request.content_type,
        charset=message.charset,
        headers={hdrs.CACHE_CONTROL: "no-store"}
        | ({hdrs.RETRY_AFTER: RETRY_AFTER} if status == HTTPStatus.SERVICE_UNAVAILABLE else {}),
    )


ROUTES = (Route(Door.HL7V2, "POST", "/hl7v2", receive),)
