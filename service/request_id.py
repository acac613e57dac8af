"""The id by which what was asked is followed: at the door or in the queue, in the log, on the FHIR server."""

import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

REQUEST_ID: Final = "X-Request-Id"

_PROPER = re.compile(r"[A-Za-z0-9._\-]{1,64}")
_current: ContextVar[str] = ContextVar("request_id", default=uuid.uuid4().hex)
"""What nobody asked for, and everything that a command does, has the id of the process."""


def current_request_id() -> str:
    """The id of what is being done."""
    return _current.get()


def request_id_of(given: str | None) -> str:
    """The id that a request came with; a new one where that is none, or not proper."""
    return given if given and _PROPER.fullmatch(given) else uuid.uuid4().hex


@contextmanager
def followed_as(request_id: str) -> Iterator[None]:
    """Have everything that is done within, also in tasks that begin there, carry this id."""
    token = _current.set(request_id)
    try:
        yield
    finally:
        _current.reset(token)
