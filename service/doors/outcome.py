"""From what went wrong to what a FHIR client reads: an HTTP status and an OperationOutcome.

Codes are those of https://hl7.org/fhir/R4/valueset-issue-type.html.
"""

from enum import StrEnum
from http import HTTPStatus
from typing import Any, NamedTuple

from service.errors import (
    InputError,
    NoSuchPatient,
    NotCdsHooks,
    NotFhir,
    NotHl7,
    NotJson,
    NotSupplied,
    QueueError,
    ServerError,
    ServerRefused,
    ServerUnreachable,
    ServerUnsupported,
    TrdError,
    WorkerError,
)

FHIR_JSON = "application/fhir+json"


class IssueSeverity(StrEnum):
    """How bad an issue is (the two of the value set that are used)."""

    ERROR = "error"
    INFORMATION = "information"


class IssueType(StrEnum):
    """What kind of issue it is (those of the value set that are used)."""

    INVALID = "invalid"
    STRUCTURE = "structure"
    LOGIN = "login"
    FORBIDDEN = "forbidden"
    PROCESSING = "processing"
    NOT_SUPPORTED = "not-supported"
    NOT_FOUND = "not-found"
    DELETED = "deleted"
    TOO_LONG = "too-long"
    THROTTLED = "throttled"
    TRANSIENT = "transient"
    TIMEOUT = "timeout"
    EXCEPTION = "exception"
    INCOMPLETE = "incomplete"
    INFORMATIONAL = "informational"


class Failure(NamedTuple):
    """An error as a FHIR client is to see it."""

    status: int
    code: IssueType
    text: str


_BY_STATUS: dict[int, IssueType] = {
    HTTPStatus.UNAUTHORIZED: IssueType.LOGIN,
    HTTPStatus.FORBIDDEN: IssueType.FORBIDDEN,
    HTTPStatus.NOT_FOUND: IssueType.NOT_FOUND,
    HTTPStatus.METHOD_NOT_ALLOWED: IssueType.NOT_SUPPORTED,
    HTTPStatus.NOT_ACCEPTABLE: IssueType.NOT_SUPPORTED,
    HTTPStatus.REQUEST_TIMEOUT: IssueType.TIMEOUT,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: IssueType.TOO_LONG,
    HTTPStatus.TOO_MANY_REQUESTS: IssueType.THROTTLED,
    HTTPStatus.SERVICE_UNAVAILABLE: IssueType.TRANSIENT,
}
_GONE: dict[int, IssueType] = {
    HTTPStatus.NOT_FOUND: IssueType.NOT_FOUND,
    HTTPStatus.GONE: IssueType.DELETED,
}
_BY_KIND: tuple[tuple[type[TrdError], int, IssueType], ...] = (
    (NotJson, HTTPStatus.BAD_REQUEST, IssueType.STRUCTURE),
    (NotFhir, HTTPStatus.BAD_REQUEST, IssueType.INVALID),
    (NotCdsHooks, HTTPStatus.BAD_REQUEST, IssueType.INVALID),
    (NotSupplied, HTTPStatus.PRECONDITION_FAILED, IssueType.INCOMPLETE),
    (NotHl7, HTTPStatus.BAD_REQUEST, IssueType.STRUCTURE),
    (NoSuchPatient, HTTPStatus.NOT_FOUND, IssueType.NOT_FOUND),
    (InputError, HTTPStatus.UNPROCESSABLE_ENTITY, IssueType.PROCESSING),
    (ServerUnreachable, HTTPStatus.GATEWAY_TIMEOUT, IssueType.TIMEOUT),
    (ServerUnsupported, HTTPStatus.BAD_GATEWAY, IssueType.NOT_SUPPORTED),
    (ServerError, HTTPStatus.BAD_GATEWAY, IssueType.TRANSIENT),
    (QueueError, HTTPStatus.SERVICE_UNAVAILABLE, IssueType.TRANSIENT),
    (WorkerError, HTTPStatus.SERVICE_UNAVAILABLE, IssueType.TRANSIENT),
)
"""The first row whose kind fits; anything else is unexpected while a request is answered."""
UNEXPECTED = Failure(HTTPStatus.INTERNAL_SERVER_ERROR, IssueType.EXCEPTION, "internal error")
"""What is said of an error that nobody foresaw: nothing, as its text may carry patient data."""


def failure_of(error: TrdError) -> Failure:
    """The status and code of an error of ours. Its text names requests and elements, never content."""
    if isinstance(error, ServerRefused) and error.status in _GONE:
        return Failure(HTTPStatus.NOT_FOUND, _GONE[error.status], str(error))
    for kind, status, code in _BY_KIND:
        if isinstance(error, kind):
            return Failure(status, code, str(error))
    return UNEXPECTED


def failure_of_status(status: int) -> Failure:
    """What is said of a request that the router or the guard refused."""
    return Failure(status, _BY_STATUS.get(status, IssueType.PROCESSING), HTTPStatus(status).phrase.lower())


def to_outcome(severity: IssueSeverity, code: IssueType, text: str) -> dict[str, Any]:
    """An OperationOutcome with one issue."""
    issue = {"severity": severity.value, "code": code.value, "diagnostics": text}
    return {"resourceType": "OperationOutcome", "issue": [issue]}


def to_failure_outcome(failure: Failure) -> dict[str, Any]:
    """The OperationOutcome of an error."""
    return to_outcome(IssueSeverity.ERROR, failure.code, failure.text)


def to_bundle_response(interaction: str, entries: int, text: str) -> dict[str, Any]:
    """The answer to a `transaction` or `batch` all of whose entries went well."""
    bundle: dict[str, Any] = {"resourceType": "Bundle", "type": f"{interaction}-response"}
    if entries:
        response = {"status": "200 OK", "outcome": to_information_outcome(text)}
        bundle["entry"] = [{"response": response}] * entries
    return bundle


def to_information_outcome(text: str) -> dict[str, Any]:
    """The OperationOutcome of what went well."""
    return to_outcome(IssueSeverity.INFORMATION, IssueType.INFORMATIONAL, text)
