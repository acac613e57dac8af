"""The operations `$assess-treatment-resistance`, which reads, and `$propose-care-plan`, which writes."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date

from aiohttp import web

from service import clock
from service.cause import Cause
from service.doors.exchange import fhir_response, refuse_other_formats
from service.doors.parameters import Question, read_question, to_parameters
from service.doors.ports import CLIENT, METRICS, REVIEWER, SETTINGS, TOLD, Door, Route
from service.errors import NotAssessable, NotFhir, NotJson
from service.gather.files import read_bundle
from service.ids import ID
from service.publish.definitions import ASSESS, PROPOSE, capability_statement, fhir_base
from service.render.answer import AssessmentAnswer
from service.review import Reviewer


async def assess(request: web.Request) -> web.Response:
    """Assess a patient of the FHIR server. Reads only."""
    question = await _read_question_of_patient(request)
    started = time.monotonic()
    with _record_of_server():
        review = await _reviewer(request, question.as_of).review_patient(
            request.app[CLIENT], request.match_info["id"]
        )
    answer = review.answer
    _tell(request, answer, time.monotonic() - started)
    return fhir_response(to_parameters(answer))


async def assess_bundle(request: web.Request) -> web.Response:
    """Assess a record that is handed in. Nothing is asked of the FHIR server."""
    question = await read_question(request)
    if question.bundle is None:
        raise NotFhir("expected a Bundle, or Parameters with one named bundle")
    started = time.monotonic()
    review = _reviewer(request, question.as_of).review(read_bundle(question.bundle))
    answer = review.answer
    _tell(request, answer, time.monotonic() - started)
    return fhir_response(to_parameters(answer))


async def propose(request: web.Request) -> web.Response:
    """Assess a patient of the FHIR server and write the outcome back."""
    question = await _read_question_of_patient(request)
    started = time.monotonic()
    with _record_of_server():
        proposal = await _reviewer(request, question.as_of).propose(
            request.app[CLIENT], request.match_info["id"], cause=Cause.OPERATION
        )
    _tell(request, proposal.answer, time.monotonic() - started)
    request[TOLD] |= proposal.log_fields
    request.app[METRICS].count_outcome(proposal.held, proposal.answer.care_plan.tier)
    return fhir_response(to_parameters(proposal.answer, proposal.written))


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


async def _read_question_of_patient(request: web.Request) -> Question:
    question = await read_question(request)
    if question.bundle is not None:
        raise NotFhir("a record is not taken here; it is read from the FHIR server")
    return question


def _reviewer(request: web.Request, as_of: date | None) -> Reviewer:
    settings = request.app[SETTINGS]
    return request.app[REVIEWER].on(as_of or clock.today(settings.timezone))


@contextmanager
def _record_of_server() -> Iterator[None]:
    """A record that cannot be read is the caller's fault only where the caller sent it."""
    try:
        yield
    except (NotJson, NotFhir) as error:
        raise NotAssessable(str(error)) from None


def _tell(request: web.Request, answer: AssessmentAnswer, seconds: float) -> None:
    decision, reason = answer.decision.value, answer.reason.value
    request.app[METRICS].count_decision(decision, reason, seconds)
    request[TOLD] |= {"decision": decision, "reason": reason}
