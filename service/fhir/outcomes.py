"""What an OperationOutcome among results says of whether they are all there.

https://hl7.org/fhir/R4/codesystem-issue-type.html has the codes. The code says what happened, whatever the
severity: servers warn of results that they hold back.
"""

import re
from collections.abc import Iterable
from enum import StrEnum

import msgspec

from service.fhir.sources import UNDECODABLE, Source
from service.fhir.views import IssueView, OutcomeView
from service.knowledge.dialects import PLAIN, Dialect

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
_OTHER_CODES = frozenset(
    {
        "invalid",
        "structure",
        "required",
        "value",
        "invariant",
        "processing",
        "not-supported",
        "duplicate",
        "multiple-matches",
        "not-found",
        "deleted",
        "code-invalid",
        "extension",
        "business-rule",
        "conflict",
        "informational",
    }
)
_CODES = _WITHHOLDING | _FALLING_SHORT | _OTHER_CODES
_ERROR_NUMBER = re.compile(r"[0-9]{4,5}")
_MOST_WORDS = 4


class Completeness(StrEnum):
    """Whether results are all there; what falls short may be complete when it is asked for again."""

    COMPLETE = "complete"
    WITHHELD = "withheld"
    INCOMPLETE = "incomplete"


def read_completeness(outcome: bytes | msgspec.Raw, dialect: Dialect = PLAIN) -> Completeness:
    """What an OperationOutcome says of the results that it came with; an unreadable one may be an error."""
    try:
        issues = _OUTCOME.decode(outcome).issue
    except UNDECODABLE:
        return Completeness.INCOMPLETE
    told = {_of_issue(issue, dialect) for issue in issues}
    order = (Completeness.INCOMPLETE, Completeness.WITHHELD)
    return next((one for one in order if one in told), Completeness.COMPLETE)


def _of_issue(issue: IssueView, dialect: Dialect) -> Completeness:
    numbers = _numbers_of(issue)
    if issue.code in _WITHHOLDING or dialect.withheld.intersection(numbers):
        return Completeness.WITHHELD
    if issue.code in _FALLING_SHORT or issue.severity in _ERRORS or dialect.incomplete.intersection(numbers):
        return Completeness.INCOMPLETE
    return Completeness.COMPLETE


def read_issues(body: bytes) -> tuple[str, ...]:
    """What an OperationOutcome says went wrong: codes of FHIR, and error numbers of the vendor.

    Its texts are left out, since they may name a patient. Nothing is said by what is no OperationOutcome.
    """
    try:
        outcome = _OUTCOME.decode(body)
    except UNDECODABLE:
        return ()
    told = [word for issue in outcome.issue for word in (issue.code or "", *_numbers_of(issue))]
    return tuple(dict.fromkeys(word for word in told if word in _CODES or _is_number(word)))[:_MOST_WORDS]


def _numbers_of(issue: IssueView) -> list[str]:
    coded = issue.details.coding if issue.details else []
    return [one.code for one in coded if one.code is not None and _is_number(one.code)]


def _is_number(word: str | None) -> bool:
    return _ERROR_NUMBER.fullmatch(word or "") is not None


def is_outcome(source: Source) -> bool:
    """Whether a resource is an OperationOutcome, and no part of a record."""
    return source.head.resource_type == "OperationOutcome"


def withhold(sources: Iterable[Source], dialect: Dialect = PLAIN) -> bool:
    """Whether an outcome among resources says that some are withheld."""
    outcomes = (source.content for source in sources if is_outcome(source))
    return any(read_completeness(one, dialect) is Completeness.WITHHELD for one in outcomes)
