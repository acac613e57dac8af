"""`POST /reviews`: what an engine asks in plain JSON, and the assessment that it is answered."""

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.doors import reviewing
from service.review import Review, Reviewer
from tests.app.serving import CANARY, SECRET, TOKEN, Site, issue_of, on_server, serving, unreachable
from tests.contract_write import TWO_FAILURES
from tests.examples import tries
from tests.fhir.double import FhirDouble
from tests.support import (
    AS_OF,
    PretendServer,
    Resource,
    case_bundle,
    patient_id_of,
    resources_of,
    reviewer,
    settings,
)

PATH = "/reviews"
PATIENT = patient_id_of(case_bundle(TWO_FAILURES))
DAY = {"asOf": AS_OF.isoformat()}
MRN = f"http://hospital.example/mrn|{CANARY}-17"


def a_double() -> FhirDouble:
    """A server with the patient of a case, who has an identifier."""
    system, _, value = MRN.partition("|")
    known = {"identifier": [{"system": system, "value": value}]}
    record = resources_of(case_bundle(TWO_FAILURES))
    return FhirDouble([one | known if one["resourceType"] == "Patient" else one for one in record])


async def test_a_patient_is_named_by_id_or_by_identifier_and_the_answer_is_the_same() -> None:
    asked: list[Resource] = [
        {"patient": PATIENT},
        {"patient": f"Patient/{PATIENT}"},
        {"identifier": MRN},
        {"identifier": MRN, "patient": None, "criteria": "seed", "write": False},
    ]
    async with serving(a_double()) as site:
        answers = [await site.post(PATH, json=one | DAY) for one in asked]
        bodies = {await answer.text() for answer in answers}

    assert {(answer.status, answer.content_type) for answer in answers} == {(200, "application/json")}
    (body,) = bodies
    assert (json.loads(body)["decision"], json.loads(body)["patient"]) == ("propose", f"Patient/{PATIENT}")
    assert {answer.headers["Cache-Control"] for answer in answers} == {"no-store"}


async def test_nothing_is_written_unless_it_is_asked_for() -> None:
    double = a_double()
    async with serving(double) as site:
        for body in ({"patient": PATIENT}, {"patient": PATIENT, "write": False}):
            assert (await site.post(PATH, json=body)).status == 200

    assert (double.posted, double.of_type("CarePlan")) == ([], [])


async def test_what_is_asked_for_is_written_and_told() -> None:
    double = a_double()
    async with serving(double, by=reviewer()) as site:
        answer = await site.post(PATH, json={"identifier": MRN, "write": True} | DAY)
        told = (await answer.json())["care_plan"]
        metrics = await (await site.get("/metrics")).text()

    plan = double.only("CarePlan")
    assert (told["action"], told["reference"]) == ("create", f"CarePlan/{plan['id']}")
    assert 'trd_decisions_total{decision="propose",reason="trd"} 1.0' in metrics
    (reason,) = double.of_type("Provenance")[0]["reason"]
    assert reason["coding"][0]["code"] == "reviews"


async def test_shadow_mode_holds_back_what_was_asked_for() -> None:
    double = a_double()
    async with serving(double, by=replace(reviewer(), settings=settings(write="off"))) as site:
        answer = await site.post(PATH, json={"identifier": MRN, "write": True} | DAY)
        why = (await answer.json())["care_plan"]["why"]

    assert why.endswith("(not written: TRD_WRITE is off)")
    assert double.of_type("CarePlan") == []


NOT_UNDERSTOOD: dict[str, tuple[Any, str]] = {
    "an unknown field": (
        {"patient": PATIENT, CANARY: 1},
        "an unknown field; known are identifier, patient, asOf, criteria, write",
    ),
    "a misspelt day": (
        {"patient": PATIENT, "asof": "2026-11-23"},
        "an unknown field; known are identifier, patient, asOf, criteria, write",
    ),
    "nobody": ({}, "identifier, patient: one of the two has to name the patient"),
    "both": (
        {"patient": PATIENT, "identifier": MRN},
        "identifier, patient: one of the two has to name the patient",
    ),
    "a patient that is no text": ({"patient": 17}, "patient: not a text"),
    "a patient that is no id": ({"patient": f"{CANARY} Bird"}, "patient: neither Patient/<id> nor an id"),
    "another kind": ({"patient": "Condition/17"}, "patient: neither Patient/<id> nor an id"),
    "another server": ({"patient": "http://x/Patient/17"}, "patient: neither Patient/<id> nor an id"),
    "a path": ({"patient": "Patient/.."}, "patient: neither Patient/<id> nor an id"),
    "no system": ({"identifier": CANARY}, "identifier: not of the form system|value"),
    "a list": ({"identifier": [MRN]}, "identifier: not a text"),
    "no day": ({"patient": PATIENT, "asOf": "2026-11"}, "asOf: not a date of the form YYYY-MM-DD"),
    "a text for a truth": ({"patient": PATIENT, "write": "yes"}, "write: not true or false"),
    "a number for a truth": ({"patient": PATIENT, "write": 1}, "write: not true or false"),
}


@pytest.mark.parametrize(("body", "text"), NOT_UNDERSTOOD.values(), ids=NOT_UNDERSTOOD)
async def test_what_is_not_understood_is_refused_with_its_field(body: Any, text: str) -> None:
    server = PretendServer([])
    async with serving(server) as site:
        issue = await issue_of(await site.post(PATH, json=body), 400)

    assert issue == {"severity": "error", "code": "invalid", "diagnostics": text}
    assert server.asked == []


@pytest.mark.parametrize("body", [b"", b"[]", b"17", b'{"patient": "', b"\xff", b"[" * 100_000])
async def test_what_is_no_object_is_refused(body: bytes) -> None:
    async with serving() as site:
        issue = await issue_of(await site.post(PATH, data=body), 400)

    assert issue["code"] == "structure"


async def test_faults_are_those_of_the_operations() -> None:
    async with serving(a_double()) as site:
        unknown = {"patient": PATIENT, "criteria": CANARY}
        assert (
            "no such criteria set"
            in (await issue_of(await site.post(PATH, json=unknown), 400))["diagnostics"]
        )
        nobody = await issue_of(await site.post(PATH, json={"identifier": f"{MRN}-18"}), 404)
        gone = await issue_of(await site.post(PATH, json={"patient": "nobody"}), 404)
    async with serving(unreachable) as site:
        away = await issue_of(await site.post(PATH, json={"patient": PATIENT}), 504)

    assert [one["code"] for one in (nobody, gone, away)] == ["not-found", "not-found", "timeout"]
    assert CANARY not in f"{nobody} {gone} {away}"


ASKED: dict[str, tuple[str, Resource]] = {
    "an assessment": (f"/fhir/Patient/{PATIENT}/$assess-treatment-resistance", {}),
    "a proposal": (f"/fhir/Patient/{PATIENT}/$propose-care-plan", {}),
    "a review": (PATH, {"json": {"patient": PATIENT}}),
    "a review that is written": (PATH, {"json": {"patient": PATIENT, "write": True}}),
}


@pytest.mark.parametrize(("path", "body"), ASKED.values(), ids=ASKED)
async def test_an_answer_has_its_time(path: str, body: Resource, monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(*_: object) -> Review:
        await asyncio.sleep(5)
        raise AssertionError

    monkeypatch.setattr(reviewing, "ANSWER_SECONDS", 0.05)
    monkeypatch.setattr(Reviewer, "review_beside", never)
    async with serving(a_double(), by=reviewer()) as site:
        issue = await issue_of(await site.post(path, **body), 504)

    assert issue["code"] == "timeout"
    assert "within 0.05 seconds" in issue["diagnostics"]


async def test_a_review_needs_the_token_and_is_posted() -> None:
    server = on_server(case_bundle(TWO_FAILURES))
    async with serving(server, api_token=TOKEN, hook_secret=SECRET) as site:
        for headers in ({}, {"X-Hook-Secret": SECRET}, {"Authorization": f"Bearer {SECRET}"}):
            await issue_of(await site.post(PATH, json={"patient": PATIENT}, headers=headers), 401)
        assert server.asked == []
        right = {"Authorization": f"Bearer {TOKEN}"}
        assert (await site.post(PATH, json={"patient": PATIENT}, headers=right)).status == 200
        await issue_of(await site.get(PATH, headers=right), 405)


# --- whatever is sent -----------------------------------------------------------------------------

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=8)
    | st.sampled_from([PATIENT, f"Patient/{PATIENT}", MRN, "2026-11-23", "seed", "2026-02-30", "|"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=4,
)
FIELDS = st.sampled_from(["identifier", "patient", "asOf", "criteria", "write", "asof"])
QUESTIONS = st.dictionaries(FIELDS, VALUES, max_size=4)
ANSWERED = {200, 400, 404, 413, 422}
OPERATION = f"/fhir/Patient/{PATIENT}/$assess-treatment-resistance"
PARTS = st.fixed_dictionaries(
    {"name": st.sampled_from(["asOf", "criteria", "identifier", "bundle", "else"])},
    optional={
        "valueDate": VALUES,
        "valueCode": VALUES,
        "valueString": VALUES,
        "resource": VALUES | st.just(case_bundle(TWO_FAILURES)),
    },
)
PARAMETERS = st.fixed_dictionaries(
    {"resourceType": st.sampled_from(["Parameters", "Bundle", "Patient"])},
    optional={"parameter": st.lists(PARTS, max_size=3) | VALUES, "entry": VALUES},
)
BODIES: dict[str, tuple[str, st.SearchStrategy[Any]]] = {
    "reviews": (PATH, QUESTIONS | VALUES),
    "operation": (OPERATION, PARAMETERS | VALUES),
    "operation with Bundle": ("/fhir/$assess-treatment-resistance", PARAMETERS | VALUES),
}


@pytest.mark.matrix
@pytest.mark.soak
@pytest.mark.parametrize(("path", "bodies"), BODIES.values(), ids=BODIES)
def test_whatever_is_sent_gets_a_proper_answer(path: str, bodies: st.SearchStrategy[Any]) -> None:
    site: Site

    @tries(1000)
    @given(body=st.binary(max_size=100) | bodies.map(lambda value: json.dumps(value).encode()))
    def send(body: bytes) -> None:
        async def exchanged() -> None:
            answer = await site.post(path, data=body)
            assert answer.status in ANSWERED, await answer.text()
            said = await answer.json(content_type=None)
            assert answer.status == 200 or said["resourceType"] == "OperationOutcome"

        runner.run(exchanged())

    with asyncio.Runner() as runner:
        running = serving(a_double())
        site = runner.run(running.__aenter__())
        try:
            send()
        finally:
            runner.run(running.__aexit__(None, None, None))
