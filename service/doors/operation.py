"""The operations `$assess-treatment-resistance`, which reads, and `$propose-care-plan`, which writes."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from typing import NamedTuple

from aiohttp import web

from service import clock
from service.cause import Cause
from service.core.decision import DecisionName, ReasonOfDecision
from service.doors.exchange import fhir_response, json_response, refuse_other_formats, wants_plain_json
from service.doors.parameters import Asked, Question, read_question, render_answer, take_asked
from service.doors.ports import CLIENT, METRICS, REVIEWER, SETTINGS, TOLD, Door, Route
from service.errors import NotAssessable, NotFhir, NotJson
from service.gather.files import read_bundle
from service.gather.identified import find_patient_id
from service.ids import ID
from service.publish.definitions import ASSESS, PROPOSE, capability_statement, fhir_base
from service.review import Reviewer


async def assess(request: web.Request) -> web.Response:
    """Assess a patient of the FHIR server. Reads only."""
    return await _assess(request, await _question_on_patient(request), request.match_info["id"])


async def assess_any(request: web.Request) -> web.Response:
    """Assess a patient of the FHIR server whom an identifier names, or a record that is handed in."""
    answered = await _answered(request)
    if isinstance(answered, _Answered):
        return _response(request, answered.content)
    if answered.identifier is None:
        raise NotFhir("expected an identifier or a Bundle, or Parameters with one of them")
    return await _assess(request, answered, await find_patient_id(request.app[CLIENT], answered.identifier))


async def assess_bundle(request: web.Request) -> web.Response:
    """Assess a record that is handed in. Nothing is asked of the FHIR server."""
    answered = await _answered(request)
    if isinstance(answered, _Answered):
        return _response(request, answered.content)
    if answered.identifier is not None:
        raise NotFhir(f"identifier: taken at Patient/${ASSESS} alone")
    raise NotFhir("expected a Bundle, or Parameters with one named bundle")


async def propose(request: web.Request) -> web.Response:
    """Assess a patient of the FHIR server and write the outcome back."""
    return await _propose(request, await _question_on_patient(request), request.match_info["id"])


async def propose_identified(request: web.Request) -> web.Response:
    """The same for the patient whom an identifier names."""
    question = await _question_without_record(request)
    if question.identifier is None:
        raise NotFhir("identifier: not given; it names the patient where the address does not")
    return await _propose(request, question, await find_patient_id(request.app[CLIENT], question.identifier))


async def metadata(request: web.Request) -> web.Response:
    """The CapabilityStatement of this service."""
    refuse_other_formats(request)
    return fhir_response(capability_statement(fhir_base(request.app[SETTINGS])))


_PATIENT = f"/fhir/Patient/{{id:{ID}}}"
ROUTES = (
    Route(Door.ASSESS, "GET", f"{_PATIENT}/${ASSESS}", assess),
    Route(Door.ASSESS, "POST", f"{_PATIENT}/${ASSESS}", assess),
    Route(Door.ASSESS, "GET", f"/fhir/Patient/${ASSESS}", assess_any),
    Route(Door.ASSESS_BUNDLE, "POST", f"/fhir/Patient/${ASSESS}", assess_any),
    Route(Door.ASSESS_BUNDLE, "POST", f"/fhir/${ASSESS}", assess_bundle),
    Route(Door.PROPOSE, "POST", f"{_PATIENT}/${PROPOSE}", propose),
    Route(Door.PROPOSE, "POST", f"/fhir/Patient/${PROPOSE}", propose_identified),
    Route(Door.METADATA, "GET", "/fhir/metadata", metadata),
)


class _Answered(NamedTuple):
    """An answer as it is sent, and what is counted of it."""

    content: bytes
    decision: DecisionName
    reason: ReasonOfDecision


async def _answered(request: web.Request) -> _Answered | Question:
    """The answer to a record that is handed in, or the question where there is none."""
    asked = await take_asked(request)
    started = time.monotonic()
    reviewer = _reviewer(request)
    answered = await reviewer.run(len(asked.body), _answer_bundle, asked, reviewer.as_of)
    if isinstance(answered, _Answered):
        _tell(request, answered.decision, answered.reason, time.monotonic() - started)
    return answered


def _answer_bundle(reviewer: Reviewer, asked: Asked, today: date) -> _Answered | Question:
    """Assess the record that was handed in, as of the day that was asked for, or today."""
    question = read_question(asked)
    if question.bundle is None:
        return question
    answer = _asked_for(reviewer, question, today).review(read_bundle(question.bundle)).answer
    return _Answered(render_answer(answer, plain=asked.plain), answer.decision, answer.reason)


async def _question_on_patient(request: web.Request) -> Question:
    """What is asked of the patient whom the address names."""
    question = await _question_without_record(request)
    if question.identifier is not None:
        raise NotFhir("identifier: not taken here; the address names the patient")
    return question


async def _question_without_record(request: web.Request) -> Question:
    asked = await take_asked(request)
    return await _reviewer(request).run(len(asked.body), _read_question, asked)


def _read_question(_: Reviewer, asked: Asked) -> Question:
    question = read_question(asked)
    if question.bundle is not None:
        raise NotFhir("a record is not taken here; it is read from the FHIR server")
    return question


async def _assess(request: web.Request, question: Question, patient_id: str) -> web.Response:
    reviewer = _reviewer(request)
    reviewer = _asked_for(reviewer, question, reviewer.as_of)
    started = time.monotonic()
    with _record_of_server():
        review = await reviewer.review_patient(request.app[CLIENT], patient_id)
    answer = review.answer
    _tell(request, answer.decision, answer.reason, time.monotonic() - started)
    return _response(request, render_answer(answer, plain=wants_plain_json(request)))


async def _propose(request: web.Request, question: Question, patient_id: str) -> web.Response:
    reviewer = _reviewer(request)
    reviewer = _asked_for(reviewer, question, reviewer.as_of)
    started = time.monotonic()
    with _record_of_server():
        proposal = await reviewer.propose(request.app[CLIENT], patient_id, cause=Cause.OPERATION)
    answer = proposal.answer
    _tell(request, answer.decision, answer.reason, time.monotonic() - started)
    request[TOLD] |= proposal.log_fields
    request.app[METRICS].count_outcome(proposal.held, answer.care_plan.tier)
    plain = wants_plain_json(request)
    return _response(request, render_answer(answer, proposal.written, plain=plain))


def _asked_for(reviewer: Reviewer, question: Question, today: date) -> Reviewer:
    """The reviewer of the day and the criteria set asked for; raises `NotFhir` for an unknown set."""
    reviewer = reviewer.on(question.as_of or today)
    if question.criteria is None:
        return reviewer
    known = reviewer.knowledge.criteria_sets
    if question.criteria not in known:
        raise NotFhir(f"criteria: no such criteria set; there are: {', '.join(sorted(known))}")
    return reviewer.under(question.criteria)


def _response(request: web.Request, content: bytes) -> web.Response:
    return json_response(content) if wants_plain_json(request) else fhir_response(content)


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
