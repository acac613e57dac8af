"""What an OperationOutcome among results says of whether they are all there.

https://hl7.org/fhir/R4/codesystem-issue-type.html has the codes. The code says what happened, whatever the
severity: servers warn of results that they hold back.
"""

from collections.abc import Iterable
from enum import StrEnum

import msgspec

from service.fhir.sources import UNDECODABLE, Source
from service.fhir.views import IssueView, OutcomeView

_OUTCOME = msgspec.json.Decoder(OutcomeView)
_WITHHOLDING = frozenset({"security", "forbidden", "suppressed"})
"""Somebody may see what was left out, and it is not us: to ask again gives the same answer."""
_FALLING_SHORT = frozenset(
    {
        "login",
        "unknown",
        "expired",
        "transient",
        "lock-error",
        "no-store",
        "exception",
        "timeout",
        "incomplete",
        "throttled",
        "too-costly",
        "too-long",
    }
)
"""The server did not come to the end, or did not know us: a later answer may be complete."""
_ERRORS = frozenset({"error", "fatal"})


class Completeness(StrEnum):
    """Whether results are all there; what falls short may be complete when it is asked for again."""

    COMPLETE = "complete"
    WITHHELD = "withheld"
    INCOMPLETE = "incomplete"


def read_completeness(outcome: bytes | msgspec.Raw) -> Completeness:
    """What an OperationOutcome says of the results that it came with; an unreadable one may be an error."""
    try:
        issues = _OUTCOME.decode(outcome).issue
    except UNDECODABLE:
        return Completeness.INCOMPLETE
    told = {_of_issue(issue) for issue in issues}
    order = (Completeness.INCOMPLETE, Completeness.WITHHELD)
    return next((one for one in order if one in told), Completeness.COMPLETE)


def _of_issue(issue: IssueView) -> Completeness:
    if issue.code in _WITHHOLDING:
        return Completeness.WITHHELD
    if issue.code in _FALLING_SHORT or issue.severity in _ERRORS:
        return Completeness.INCOMPLETE
    return Completeness.COMPLETE


def is_outcome(source: Source) -> bool:
    """Whether a resource is an OperationOutcome, and no part of a record."""
    return source.head.resource_type == "OperationOutcome"


def withhold(sources: Iterable[Source]) -> bool:
    """Whether an outcome among resources says that some are withheld."""
    return any(is_outcome(s) and read_completeness(s.content) is Completeness.WITHHELD for s in sources)
