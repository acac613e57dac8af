"""`POST /reviews`: a review asked for and answered in plain JSON, for engines that know no FHIR."""

import re
from typing import Any, NamedTuple

import msgspec
from aiohttp import web

from service.cause import Cause
from service.doors.bodies import read_body
from service.doors.exchange import json_response
from service.doors.parameters import Question, read_day, read_patient_identifier, render_answer
from service.doors.ports import CLIENT, REVIEWER, Door, Route
from service.doors.reviewing import assess_patient, propose_for_patient
from service.errors import NotFhir, NotJson
from service.fhir.sources import UNDECODABLE
from service.gather.identified import PatientIdentifier, find_patient_id
from service.ids import ID
from service.review import Reviewer

_FIELDS = {"identifier": str, "patient": str, "asOf": str, "criteria": str, "write": bool}
_PATIENT = re.compile(rf"(?:Patient/)?({ID})")


class _ReviewAsked(NamedTuple):
    """What is asked, of the patient with an id or an identifier, and whether the outcome is written."""

    question: Question
    patient: str | PatientIdentifier
    write: bool


async def review(request: web.Request) -> web.Response:
    """Assess a patient, and where it is asked for write the outcome back. Answers the assessment as JSON."""
    body = await read_body(request)
    asked = await request.app[REVIEWER].run(len(body), _read, body)
    patient_id = (
        asked.patient
        if isinstance(asked.patient, str)
        else await find_patient_id(request.app[CLIENT], asked.patient)
    )
    if not asked.write:
        answer = await assess_patient(request, asked.question, patient_id)
        return json_response(render_answer(answer, plain=True))
    proposal = await propose_for_patient(request, asked.question, patient_id, cause=Cause.REVIEWS)
    return json_response(render_answer(proposal.answer, plain=True))


def _read(_: Reviewer, body: bytes) -> _ReviewAsked:
    """Read what is asked. Raises `NotJson`, or `NotFhir` with the field that is at fault.

    A field that is not known is refused: to overlook a misspelt `asOf` would answer for another day.
    """
    given = _read_object(body)
    if set(given) - set(_FIELDS):
        raise NotFhir(f"an unknown field; known are {', '.join(_FIELDS)}")
    wrong = next((name for name, value in given.items() if not isinstance(value, _FIELDS[name])), None)
    if wrong is not None:
        raise NotFhir(f"{wrong}: not {'true or false' if _FIELDS[wrong] is bool else 'a text'}")
    if ("identifier" in given) == ("patient" in given):
        raise NotFhir("identifier, patient: one of the two has to name the patient")
    as_of = read_day(given["asOf"]) if "asOf" in given else None
    question = Question(as_of, given.get("criteria"), None, None)
    return _ReviewAsked(question, _read_patient(given), given.get("write", False))


def _read_object(body: bytes) -> dict[str, Any]:
    try:
        given = msgspec.json.decode(body)
    except UNDECODABLE:
        raise NotJson("the body is not JSON") from None
    if not isinstance(given, dict):
        raise NotJson("the body is not a JSON object")
    return {name: value for name, value in given.items() if value is not None}


def _read_patient(given: dict[str, Any]) -> str | PatientIdentifier:
    if "identifier" in given:
        return read_patient_identifier(given["identifier"])
    found = _PATIENT.fullmatch(given["patient"])
    if found is None:
        raise NotFhir("patient: neither Patient/<id> nor an id")
    return found[1]


ROUTES = (Route(Door.REVIEWS, "POST", "/reviews", review),)
