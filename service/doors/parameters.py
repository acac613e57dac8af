"""The Parameters of the operations: what is asked, and the answer."""

import re
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any, NamedTuple

import msgspec
from aiohttp import web

from service.core.records import VersionedReference
from service.doors.bodies import read_body
from service.doors.exchange import refuse_other_formats, wants_plain_json
from service.errors import NotFhir
from service.fhir.sources import UNDECODABLE, take_resource
from service.fhir.views import View
from service.gather.identified import PatientIdentifier, read_identifier
from service.render.answer import AssessmentAnswer

_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_FIRST_YEAR, _LAST_YEAR = 1900, 2200
_ASKED = ("asOf", "criteria", "identifier")
"""What can be asked in the address as well as in the body."""
_QUERY = frozenset({*_ASKED, "_format", "_pretty"})


class _Parameter(View):
    name: str | None = None
    value_code: str | None = None
    value_date: str | None = None
    value_string: str | None = None
    resource: msgspec.Raw = msgspec.Raw()


class _Parameters(View):
    parameter: list[_Parameter] = msgspec.field(default_factory=list)


_PARAMETERS = msgspec.json.Decoder(_Parameters)


class Question(NamedTuple):
    """What an operation is asked: the day and the criteria set, if given, and whose record, or the record."""

    as_of: date | None
    criteria: str | None
    identifier: PatientIdentifier | None
    bundle: bytes | msgspec.Raw | None


class Asked(NamedTuple):
    """What came with a request: the parameters in its address, by name, and its body.

    `plain` is whether the answer is to be JSON that is not FHIR.
    """

    query: Mapping[str, list[str]]
    body: bytes
    plain: bool


async def take_asked(request: web.Request) -> Asked:
    """Take what an operation is asked. Nothing of the body is read yet.

    Raises `NotFhir`. A parameter that is not known is refused: to overlook a misspelt `asOf` would answer for
    another day than the one asked for.
    """
    refuse_other_formats(request)
    if set(request.query) - _QUERY:
        raise NotFhir(f"an unknown parameter in the address; known are {_listed(_ASKED)}")
    query = {name: request.query.getall(name, []) for name in _ASKED}
    return Asked(query, await read_body(request), wants_plain_json(request))


def read_question(asked: Asked) -> Question:
    """Read what an operation is asked, from the query and the body. Raises `NotJson` or `NotFhir`."""
    parameters = _read_body(asked.body)
    days = [*asked.query["asOf"], *(p.value_date for p in parameters if p.name == "asOf")]
    identifiers = [
        *asked.query["identifier"],
        *(p.value_string for p in parameters if p.name == "identifier"),
    ]
    criteria = [*asked.query["criteria"], *(p.value_code for p in parameters if p.name == "criteria")]
    bundles = [p.resource for p in parameters if p.name == "bundle"]
    if any(len(given) > 1 for given in (days, identifiers, criteria, bundles)):
        raise NotFhir("a parameter is given more than once")
    if any(not bytes(bundle) for bundle in bundles):
        raise NotFhir("Parameters.parameter: bundle has no resource")
    if bundles and identifiers:
        raise NotFhir("bundle and identifier exclude each other")
    return Question(
        read_day(days[0]) if days else None,
        (criteria[0] or "") if criteria else None,
        read_patient_identifier(identifiers[0]) if identifiers else None,
        bundles[0] if bundles else None,
    )


def read_patient_identifier(text: str | None) -> PatientIdentifier:
    """The identifier of a patient, as `system|value`. Raises `NotFhir`."""
    identifier = read_identifier(text or "")
    if identifier is None:
        raise NotFhir("identifier: not of the form system|value")
    return identifier


def _listed(names: Iterable[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}"


def _read_body(body: bytes) -> Iterable[_Parameter]:
    """The parameters of a body; a bare Bundle stands for the parameter `bundle`."""
    if not body.strip():
        return []
    match take_resource(body).head.resource_type:
        case "Bundle":
            return [_Parameter("bundle", resource=msgspec.Raw(body))]
        case "Parameters":
            return _read_parameters(body)
        case _:
            raise NotFhir("expected Parameters or a Bundle")


def _read_parameters(body: bytes) -> list[_Parameter]:
    try:
        found = _PARAMETERS.decode(body).parameter
    except UNDECODABLE:
        raise NotFhir("the Parameters cannot be read") from None
    if any(parameter.name not in {*_ASKED, "bundle"} for parameter in found):
        raise NotFhir(f"Parameters.parameter: an unknown name; known are {_listed((*_ASKED, 'bundle'))}")
    return found


def read_day(text: str | None) -> date:
    """A day as FHIR writes it. Raises `NotFhir`; a month or a year is none."""
    try:
        day = date.fromisoformat(text) if text is not None and _DAY.fullmatch(text) else None
    except ValueError:
        day = None
    if day is None or not _FIRST_YEAR <= day.year < _LAST_YEAR:
        raise NotFhir("asOf: not a date of the form YYYY-MM-DD")
    return day


def render_answer(
    answer: AssessmentAnswer, written: Iterable[VersionedReference] = (), *, plain: bool
) -> bytes:
    """The answer of an operation: as Parameters, or plain, as `--json` prints it."""
    if plain:
        return answer.model_dump_json().encode()
    return msgspec.json.encode(to_parameters(answer, written))


def to_parameters(answer: AssessmentAnswer, written: Iterable[VersionedReference] = ()) -> dict[str, Any]:
    """The answer of an operation. `assessment` is, byte for byte, what `assess --json` prints."""
    return {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "decision", "valueCode": answer.decision.value},
            {"name": "reason", "valueCode": answer.reason.value},
            {"name": "asOf", "valueDate": answer.as_of.isoformat()},
            {"name": "summary", "valueString": answer.summary},
            {"name": "assessment", "valueString": answer.model_dump_json()},
            *({"name": "written", "valueReference": {"reference": str(reference)}} for reference in written),
        ],
    }
