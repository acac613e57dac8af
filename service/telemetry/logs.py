"""Logs: one JSON object a line on standard error, for machines to collect.

What happened is an `Event`; what is told of it is a `Field` of the short list below, and anything else is
dropped before it is written. No line names a patient. What libraries log is reduced to where it came from,
since their messages may quote a request.
"""

import logging
import sys
from collections.abc import MutableMapping
from contextlib import suppress
from enum import StrEnum
from io import TextIOBase
from pathlib import Path
from typing import Any, TextIO, cast

import structlog

from service.request_id import current_request_id
from service.telemetry.limits import PerMinute


class Event(StrEnum):
    """Everything that this service logs."""

    STARTED = "service-started"
    STOPPED = "service-stopped"
    LISTENING = "service-listening"
    CONNECTED = "service-connected"
    REVIEWED = "patient-reviewed"
    REQUEST = "request"
    UNEXPECTED = "unexpected-error"
    FHIR_SERVER_FAILED = "fhir-server-failed"
    QUEUE_FAILED = "queue-failed"
    QUEUE_PAUSED = "queue-paused"
    QUEUE_RESUMED = "queue-resumed"
    CDS_CLOSED = "cds-hooks-closed"
    KEYS_FAILED = "keys-of-a-caller-failed"
    SWEPT = "changes-swept"
    NOT_SWEPT = "changes-not-swept"
    ROSTER_READ = "roster-read"
    ROSTER_FAULT = "roster-fault"
    JOB_TRIED = "job-tried"
    JOB_FAILED = "job-failed"
    SUBSCRIPTION_FAILED = "subscription-failed"
    LIBRARY = "library-message"


class Field(StrEnum):
    """Everything that a line may say of an event. None of it comes from a record."""

    REQUEST_ID = "request_id"
    DOOR = "door"
    METHOD = "method"
    STATUS = "status"
    SECONDS = "seconds"
    DECISION = "decision"
    REASON = "reason"
    CARE_PLAN = "care_plan"
    WRITTEN = "written"
    HELD = "held"
    REFUSED = "refused"
    CARDS = "cards"
    TIER = "tier"
    JOB = "job"
    KIND = "kind"
    ATTEMPT = "attempt"
    AGAIN_IN = "again_in"
    ADDRESS = "address"
    SERVER = "server"
    QUEUE = "queue"
    MODE = "mode"
    TRIGGERS = "triggers"
    ERROR = "error"
    PLACE = "place"
    LOGGER = "logger"
    VERSION = "version"
    KNOWLEDGE = "knowledge"
    LEFT_OUT = "left_out"
    PATIENTS = "patients"
    KINDS = "kinds"
    READ = "read"
    OF = "of"
    MEMBER = "member"


MOST_LINES = 60
"""How many lines a minute tell of one kind of refusal or fault."""
_REFUSED = 400
_KIND = ("event", "door", "status", "error", "logger", "place")
_FRAME = frozenset({"event", "level", "timestamp"})
_ALLOWED = _FRAME | frozenset(Field)


def configure_logs(stream: TextIO | None = None) -> None:
    """Send every log line of this process, libraries included, to a stream (default: standard error)."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            _with_request_id,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _only_allowed,
            _Bounded(),
            structlog.processors.JSONRenderer(sort_keys=True),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(file=cast(TextIO, _Unfailing(stream or sys.stderr))),
        cache_logger_on_first_use=False,
    )
    logging.root.handlers[:] = [_FromLibraries()]
    logging.root.setLevel(logging.WARNING)


def log_info(event: Event, **fields: object) -> None:
    """Log what went as it should."""
    structlog.get_logger().info(event.value, **fields)


def log_warning(event: Event, **fields: object) -> None:
    """Log what somebody may have to look at."""
    structlog.get_logger().warning(event.value, **fields)


def log_error(event: Event, error: BaseException, **fields: object) -> None:
    """Log an error by its kind and place; its text may carry what it stumbled over."""
    structlog.get_logger().error(event.value, error=type(error).__name__, place=place_of(error), **fields)


def place_of(error: BaseException) -> str:
    """The file and line where an error arose."""
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    return f"{Path(last.tb_frame.f_code.co_filename).name}:{last.tb_lineno}" if last else "unknown"


class _Bounded:
    """Leaves out what says the same again and again; the next such line says of how many.

    What went as it should is told every time.
    """

    def __init__(self) -> None:
        self._limit = PerMinute(MOST_LINES)

    def __call__(self, _: Any, __: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        if line["level"] == "info" and line.get("status", 0) < _REFUSED:
            return line
        kind = tuple(line.get(name) for name in _KIND)
        if not self._limit.allows(kind):
            raise structlog.DropEvent
        left_out = self._limit.take_beyond(kind)
        return {**line, "left_out": left_out} if left_out else line


def _with_request_id(_: Any, __: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return {**line, "request_id": current_request_id()}


def _only_allowed(_: Any, __: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return {name: value for name, value in line.items() if name in _ALLOWED}


class _Unfailing(TextIOBase):
    """A stream that work goes on without: no job fails because the disk of the log is full."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream

    def write(self, text: str) -> int:
        """Write what can be written."""
        with suppress(OSError, ValueError):
            return self._stream.write(text)
        return 0

    def flush(self) -> None:
        """Hand on what was written."""
        with suppress(OSError, ValueError):
            self._stream.flush()


class _FromLibraries(logging.Handler):
    """Takes what libraries log: the logger, the place and the kind of error, never the message."""

    def emit(self, record: logging.LogRecord) -> None:
        fields = {"logger": record.name, "place": f"{record.filename}:{record.lineno}"}
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            fields |= {"error": type(error).__name__, "place": place_of(error)}
        structlog.get_logger().log(record.levelno, Event.LIBRARY.value, **fields)
