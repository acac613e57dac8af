"""The operations `$assess-treatment-resistance`, which reads, and `$propose-care-plan`, which writes."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from typing import NamedTuple

import msgspec
from aiohttp import web

from service import clock
from service.cause import Cause
from service.core.decision import DecisionName, ReasonOfDecision
from service.doors.exchange import fhir_response, refuse_other_formats
from service.doors.parameters import Asked, read_question, take_asked, to_parameters
from service.doors.ports import CLIENT, METRICS, REVIEWER, SETTINGS, TOLD, Door, Route
from service.errors import NotAssessable, NotFhir, NotJson
from service.gather.files import read_bundle
from service.ids import ID
from service.publish.definitions import ASSESS, PROPOSE, capability_statement, fhir_base
from service.review import Reviewer


async def assess(request: web.Request) -> web.Response:
    """Assess a patient of the FHIR server. Reads only."""
    reviewer = await _reviewer_of_patient(request)
    started = time.monotonic()
    with _record_of_server():
        review = await reviewer.review_patient(request.app[CLIENT], request.match_info["id"])
    answer = review.answer
    _tell(request, answer.decision, answer.reason, time.monotonic() - started)
    return fhir_response(to_parameters(answer))


async def assess_bundle(request: web.Request) -> web.Response:
    """Assess a record that is handed in. Nothing is asked of the FHIR server."""
    asked = await take_asked(request)
    started = time.monotonic()
    reviewer = _reviewer(request)
    answered = await reviewer.run(len(asked.body), _answer_bundle, asked, reviewer.as_of)
    _tell(request, answered.decision, answered.reason, time.monotonic() - started)
    return fhir_response(answered.content)


async def propose(request: web.Request) -> web.Response:
    """Assess a patient of the FHIR server and write the outcome back."""
    reviewer = await _reviewer_of_patient(request)
    started = time.monotonic()
    with _record_of_server():
        proposal = await reviewer.propose(
            request.app[CLIENT], request.match_info["id"], cause=Cause.OPERATION
        )
    answer = proposal.answer
    _tell(request, answer.decision, answer.reason, time.monotonic() - started)
    request[TOLD] |= proposal.log_fields
    request.app[METRICS].count_outcome(proposal.held, answer.care_plan.tier)
    return fhir_response(to_parameters(answer, proposal.written))


async def metadata(request: web.Request) -> web.Response:
    """The CapabilityStatement of this service."""
    refuse_other_formats(request)
    return fhir_response(capability_statement(fhir_base(request.app[SETTINGS])))


_PATIENT = f"/fhir/Patient/{{id:{ID}}}"
ROUTES = (
    Route(Door.ASSESS, "GET", f"{_PATIENT}/${ASSESS}", assess),
    Route(Door.ASSESS, "POST", f"{_PATIENT}/${ASSESS}", assess),
    Route(Door.ASSESS_BUNDLE, "POST", f"/fhir/Patient/${ASSESS}", assess_bundle),
    Route(Door.ASSESS_BUNDLE, "POST", f"/fhir/${ASSESS}", assess_bundle),
    Route(Door.PROPOSE, "POST", f"{_PATIENT}/${PROPOSE}", propose),
    Route(Door.METADATA, "GET", "/fhir/metadata", metadata),
)


class _Answered(NamedTuple):
    """An answer as it is sent, and what is counted of it."""

    content: bytes
    decision: DecisionName
    reason: ReasonOfDecision


def _answer_bundle(reviewer: Reviewer, asked: Asked, today: date) -> _Answered:
    """Assess the record that was handed in, as of the day that was asked for, or today."""
    question = read_question(asked)
    if question.bundle is None:
        raise NotFhir("expected a Bundle, or Parameters with one named bundle")
    answer = reviewer.on(question.as_of or today).review(read_bundle(question.bundle)).answer
    return _Answered(msgspec.json.encode(to_parameters(answer)), answer.decision, answer.reason)


async def _reviewer_of_patient(request: web.Request) -> Reviewer:
    """The reviewer of the day that is asked for."""
    asked = await take_asked(request)
    reviewer = _reviewer(request)
    as_of = await reviewer.run(len(asked.body), _day_asked_for, asked)
    return reviewer.on(as_of or reviewer.as_of)


def _day_asked_for(_: Reviewer, asked: Asked) -> date | None:
    question = read_question(asked)
    if question.bundle is not None:
        raise NotFhir("a record is not taken here; it is read from the FHIR server")
    return question.as_of


def _reviewer(request: web.Request) -> Reviewer:
    """The reviewer of today."""
    return request.app[REVIEWER].on(clock.today(request.app[SETTINGS].timezone))


@contextmanager
def _record_of_server() -> Iterator[None]:
    """A record that cannot be read is the caller's fault only where the caller sent it."""
    try:
        yield
    except (NotJson, NotFhir) as error:
        raise NotAssessable(str(error)) from None


def _tell(request: web.Request, decision: DecisionName, reason: ReasonOfDecision, seconds: float) -> None:
    request.app[METRICS].count_decision(decision.value, reason.value, seconds)
    request[TOLD] |= {"decision": decision.value, "reason": reason.value}
