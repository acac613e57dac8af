"""Requests in, answers out: FHIR JSON, and every error as an OperationOutcome."""

import time
from http import HTTPStatus
from typing import Any

import msgspec
import structlog
from aiohttp import hdrs, web

from service.doors.outcome import (
    FHIR_JSON,
    UNEXPECTED,
    Failure,
    failure_of,
    failure_of_status,
    to_failure_outcome,
)
from service.doors.ports import METRICS, TOLD, Door, Handler, door_of
from service.errors import TrdError
from service.request_id import REQUEST_ID, followed_as, request_id_of
from service.telemetry.logs import Event, log_error, log_info, log_warning

PLAIN_JSON = "application/json"
RETRY_AFTER = "5"
"""After how many seconds a client is to try again that was told 503."""

_KEPT_HEADERS = (hdrs.ALLOW, hdrs.WWW_AUTHENTICATE, hdrs.RETRY_AFTER)
_QUIET = frozenset({Door.LIVE, Door.READY, Door.METRICS})
_FAILED = 500
_JSON_FORMATS = frozenset({"json", "text/json", PLAIN_JSON, FHIR_JSON, FHIR_JSON.replace("+", " ")})


def refuse_other_formats(request: web.Request) -> None:
    """Raise the answer 406 where a client wants anything but JSON."""
    wanted = request.query.get("_format")
    if wanted is not None and wanted.partition(";")[0].strip().lower() not in _JSON_FORMATS:
        raise web.HTTPNotAcceptable
    accepted = request.headers.get(hdrs.ACCEPT, "*/*").lower()
    if not any(kind in accepted for kind in ("*/*", "application/*", "json")):
        raise web.HTTPNotAcceptable


def wants_plain_json(request: web.Request) -> bool:
    """Whether a client asks for JSON that is not FHIR: by `Accept`, unless `_format` says otherwise."""
    kinds = request.headers.get(hdrs.ACCEPT, "").lower().split(",")
    accepted = {kind.partition(";")[0].strip() for kind in kinds}
    return "_format" not in request.query and PLAIN_JSON in accepted and FHIR_JSON not in accepted


def json_response(content: bytes) -> web.Response:
    """An answer in JSON that is not FHIR, and that no cache keeps."""
    return _response(content, HTTPStatus.OK, PLAIN_JSON)


def plain_response(content: dict[str, Any]) -> web.Response:
    """The same of content that is not encoded yet."""
    return json_response(msgspec.json.encode(content))


def fhir_response(resource: dict[str, Any] | bytes, status: int = 200) -> web.Response:
    """An answer in FHIR JSON that no cache keeps."""
    body = resource if isinstance(resource, bytes) else msgspec.json.encode(resource)
    return _response(body, status, FHIR_JSON)


def _response(body: bytes, status: int, content_type: str) -> web.Response:
    return web.Response(
        body=body,
        status=status,
        content_type=content_type,
        charset="utf-8",
        headers={hdrs.CACHE_CONTROL: "no-store"},
    )


@web.middleware
async def observe(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give every request an id, and leave one line in the log and one count in the metrics."""
    request_id = request_id_of(request.headers.get(REQUEST_ID))
    request[TOLD] = {}
    started = time.monotonic()
    door = door_of(request)
    with followed_as(request_id), structlog.contextvars.bound_contextvars(door=door.value):
        response = await handler(request)
        log = log_warning if response.status >= _FAILED else log_info
        if door not in _QUIET or response.status >= _FAILED:
            log(
                Event.REQUEST,
                method=request.method if request.method in hdrs.METH_ALL else "other",
                status=response.status,
                seconds=round(time.monotonic() - started, 4),
                **request[TOLD],
            )
    request.app[METRICS].count_request(door.value, response.status)
    response.headers[REQUEST_ID] = request_id
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


@web.middleware
async def render_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn every error into its status and an OperationOutcome."""
    try:
        return await handler(request)
    except TrdError as error:
        failure = failure_of(error)
        request[TOLD] |= {"error": type(error).__name__}
    except web.HTTPException as answer:
        return _rendered(failure_of_status(answer.status), answer)
    except Exception as error:  # noqa: BLE001 - the last resort: the text of the error could carry patient data
        log_error(Event.UNEXPECTED, error)
        failure = UNEXPECTED
    return _rendered(failure)


def _rendered(failure: Failure, answer: web.HTTPException | None = None) -> web.Response:
    response = fhir_response(to_failure_outcome(failure), failure.status)
    if failure.status == HTTPStatus.SERVICE_UNAVAILABLE:
        response.headers[hdrs.RETRY_AFTER] = RETRY_AFTER
    for name in _KEPT_HEADERS:
        if answer is not None and name in answer.headers:
            response.headers[name] = answer.headers[name]
    if answer is not None and answer.keep_alive is False:
        response.force_close()
    return response
