"""The operations `$assess-treatment-resistance`, which reads, and `$propose-care-plan`, which writes."""

import time
from datetime import date
from typing import NamedTuple

from aiohttp import web

from service.cause import Cause
from service.core.decision import DecisionName, ReasonOfDecision
from service.doors.exchange import fhir_response, json_response, refuse_other_formats, wants_plain_json
from service.doors.parameters import Asked, Question, read_question, render_answer, take_asked
from service.doors.ports import CLIENT, SETTINGS, Door, Route
from service.doors.reviewing import (
    assess_patient,
    propose_for_patient,
    reviewer_asked_for,
    reviewer_of_today,
    tell,
)
from service.errors import NotFhir
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
    reviewer = reviewer_of_today(request)
    answered = await reviewer.run(len(asked.body), _answer_bundle, asked, reviewer.as_of)
    if isinstance(answered, _Answered):
        tell(request, answered.decision, answered.reason, time.monotonic() - started)
    return answered


def _answer_bundle(reviewer: Reviewer, asked: Asked, today: date) -> _Answered | Question:
    """Assess the record that was handed in, as of the day that was asked for, or today."""
    question = read_question(asked)
    if question.bundle is None:
        return question
    answer = reviewer_asked_for(reviewer, question, today).review(read_bundle(question.bundle)).answer
    return _Answered(render_answer(answer, plain=asked.plain), answer.decision, answer.reason)


async def _question_on_patient(request: web.Request) -> Question:
    """What is asked of the patient whom the address names."""
    question = await _question_without_record(request)
    if question.identifier is not None:
        raise NotFhir("identifier: not taken here; the address names the patient")
    return question


async def _question_without_record(request: web.Request) -> Question:
    asked = await take_asked(request)
    return await reviewer_of_today(request).run(len(asked.body), _read_question, asked)


def _read_question(_: Reviewer, asked: Asked) -> Question:
    question = read_question(asked)
    if question.bundle is not None:
        raise NotFhir("a record is not taken here; it is read from the FHIR server")
    return question


async def _assess(request: web.Request, question: Question, patient_id: str) -> web.Response:
    answer = await assess_patient(request, question, patient_id)
    return _response(request, render_answer(answer, plain=wants_plain_json(request)))


async def _propose(request: web.Request, question: Question, patient_id: str) -> web.Response:
    proposal = await propose_for_patient(request, question, patient_id, cause=Cause.OPERATION)
    plain = wants_plain_json(request)
    return _response(request, render_answer(proposal.answer, proposal.written, plain=plain))


def _response(request: web.Request, content: bytes) -> web.Response:
    return json_response(content) if wants_plain_json(request) else fhir_response(content)
