"""The operations: what they are asked, what they answer, and that every way gives the same bytes."""

import json
import pickle
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

import httpx
import pytest
from fhir.resources.R4B.capabilitystatement import CapabilityStatement
from fhir.resources.R4B.operationdefinition import OperationDefinition
from fhir.resources.R4B.parameters import Parameters
from typer.testing import CliRunner

from service import cli, clock
from service.fhir.names import ASSESSMENT_MODULE
from service.publish.definitions import fhir_base
from service.review import Reviewer
from service.workers import Pool, Workers
from tests.app.serving import (
    CANARY,
    WRITTEN,
    fhir_of,
    issue_of,
    on_server,
    pretending,
    serving,
    unreachable,
    values_of,
)
from tests.support import (
    AS_OF,
    CASES,
    PretendServer,
    Resource,
    a_bundle,
    a_condition,
    a_patient,
    case_bundle,
    case_bytes,
    case_reviewer,
    cases_of_servers,
    each_of,
    patient_id_of,
    resources_of,
    reviewer,
    settings,
)

Done = TypeVar("Done")
ASSESS = "$assess-treatment-resistance"
PROPOSE = "$propose-care-plan"
CASE = "two-documented-failures-propose-treatment"
PATIENT = "propose-two"
ON_PATIENT = f"/fhir/Patient/{PATIENT}/{ASSESS}"
DAY = {"asOf": AS_OF.isoformat()}


def asked(**parameters: Any) -> Resource:
    """Parameters with a date and, where given, a Bundle."""
    parts: list[Resource] = [{"name": "asOf", "valueDate": AS_OF.isoformat()}]
    parts += [{"name": name, **value} for name, value in parameters.items()]
    return {"resourceType": "Parameters", "parameter": parts}


def printed(name: str) -> str:
    """What the command prints for a case."""
    by = case_reviewer(name)
    arguments = ["assess", str(CASES / name / "bundle.json"), "--as-of", by.as_of.isoformat(), "--json"]
    settings = by.settings
    environment = {
        "TRD_CRITERIA": settings.criteria,
        "TRD_REGION": settings.region,
        "TRD_TIMEZONE": str(settings.timezone),
    }
    return CliRunner().invoke(cli.app, arguments, env=environment).stdout.removesuffix("\n")


@each_of([name for name in cases_of_servers() if b'"Task"' not in case_bytes(name)])
async def test_every_way_gives_the_bytes_that_the_command_prints(name: str) -> None:
    bundle = case_bundle(name)
    by = case_reviewer(name)
    day = {"asOf": by.as_of.isoformat()}
    dated = {"name": "asOf", "valueDate": by.as_of.isoformat()}
    whole = {"resourceType": "Parameters", "parameter": [dated, {"name": "bundle", "resource": bundle}]}
    path = f"/fhir/Patient/{patient_id_of(bundle)}/{ASSESS}"
    async with serving(on_server(bundle), by=pretending(by)) as site:
        answers = [
            await site.get(path, params=day),
            await site.post(path, params=day),
            await site.post(path, json={"resourceType": "Parameters", "parameter": [dated]}),
            await site.post(f"/fhir/{ASSESS}", json=whole),
            await site.post(f"/fhir/Patient/{ASSESS}", json=whole),
            await site.post(f"/fhir/{ASSESS}", data=case_bytes(name), params=day),
        ]
        assessments = {values_of(await fhir_of(answer))["assessment"] for answer in answers}
        plain = await site.post("/reviews", json={"patient": patient_id_of(bundle), **day})
        assessments.add(await plain.text())

    assert assessments == {printed(name)}


async def test_the_answer_is_fhir_and_says_the_same_as_the_assessment() -> None:
    async with serving(on_server(case_bundle(CASE))) as site:
        answer = await site.get(ON_PATIENT, params=DAY)
        body = await answer.read()
        values = values_of(await fhir_of(answer))

    Parameters.model_validate_json(body)
    assessment = json.loads(values.pop("assessment"))
    assert values == {
        "decision": assessment["decision"],
        "reason": assessment["reason"],
        "asOf": "2026-11-23",
        "summary": assessment["summary"],
    }
    assert assessment["decision"] == "propose"
    assert answer.headers["Cache-Control"] == "no-store"


async def test_assessing_never_writes() -> None:
    server = on_server(case_bundle(CASE))
    async with serving(server) as site:
        await fhir_of(await site.get(ON_PATIENT))
        await fhir_of(await site.post(ON_PATIENT))

    assert {request.method for request in server.asked} == {"GET"}


async def test_a_record_handed_in_asks_nothing_of_the_server() -> None:
    server = PretendServer([])
    async with serving(server) as site:
        await fhir_of(await site.post(f"/fhir/{ASSESS}", data=case_bytes(CASE)))

    assert server.asked == []


async def test_without_a_day_today_at_the_site_is_meant() -> None:
    async with serving(on_server(case_bundle(CASE)), timezone="Pacific/Kiritimati") as site:
        for answer in (await site.get(ON_PATIENT), await site.post(f"/fhir/{ASSESS}", data=case_bytes(CASE))):
            assert values_of(await fhir_of(answer))["asOf"] == clock.today("Pacific/Kiritimati").isoformat()


async def test_proposing_tells_what_was_written() -> None:
    async with serving(on_server(case_bundle(CASE))) as site:
        answer = await fhir_of(await site.post(f"/fhir/Patient/{PATIENT}/{PROPOSE}", json=asked()))

    Parameters.model_validate(answer)
    written = [one["valueReference"] for one in answer["parameter"] if one["name"] == "written"]
    assert written == [{"reference": str(version)} for version in WRITTEN]
    assert values_of(answer)["asOf"] == "2026-11-23"


async def test_the_name_of_an_operation_may_be_percent_encoded() -> None:
    async with serving(on_server(case_bundle(CASE))) as site:
        await fhir_of(await site.get(ON_PATIENT.replace("$", "%24")))


async def test_methods_that_an_operation_does_not_have() -> None:
    async with serving(on_server(case_bundle(CASE))) as site:
        for method, path, allowed in (
            ("GET", f"/fhir/Patient/{PATIENT}/{PROPOSE}", "POST"),
            ("GET", f"/fhir/{ASSESS}", "POST"),
            ("DELETE", ON_PATIENT, "GET,POST"),
            ("HEAD", ON_PATIENT, "GET,POST"),
        ):
            answer = await site.request(method, path)
            assert (answer.status, answer.headers["Allow"]) == (405, allowed)
            if method != "HEAD":
                assert (await issue_of(answer, 405))["code"] == "not-supported"


CRITERIA = "payer-three-trials"


def by_criteria(value: str = CRITERIA) -> Resource:
    return asked(criteria={"valueCode": value})


async def test_the_criteria_set_is_chosen_for_a_request() -> None:
    path = str(CASES / CASE / "bundle.json")
    command = ["assess", path, *("--as-of", AS_OF.isoformat()), "--json"]
    chosen = DAY | {"criteria": CRITERIA}
    record = {"name": "bundle", "resource": case_bundle(CASE)}
    whole = by_criteria()
    whole["parameter"].append(record)
    async with serving(on_server(case_bundle(CASE))) as site:
        answers = [
            await site.get(ON_PATIENT, params=chosen),
            await site.post(ON_PATIENT, json=by_criteria()),
            await site.post(f"/fhir/{ASSESS}", data=case_bytes(CASE), params=chosen),
            await site.post(f"/fhir/Patient/{ASSESS}", json=whole),
            await site.post(f"/fhir/Patient/{PATIENT}/{PROPOSE}", json=by_criteria()),
        ]
        assessments = {values_of(await fhir_of(answer))["assessment"] for answer in answers}
        usual = values_of(await fhir_of(await site.get(ON_PATIENT, params=DAY)))["assessment"]

    by_command = CliRunner().invoke(cli.app, [*command, "--criteria", CRITERIA]).stdout.removesuffix("\n")
    assert assessments == {by_command}
    assert (json.loads(by_command)["criteria"]["id"], json.loads(usual)["criteria"]["id"]) == (
        CRITERIA,
        "seed",
    )
    assert (json.loads(by_command)["decision"], json.loads(usual)["decision"]) == ("decline", "propose")


class CopyingPool(Pool[Reviewer]):
    """Does the work at once, with copies, as another process would."""

    def __init__(self, reviewer: Reviewer) -> None:
        super().__init__(1, reviewer)
        self.reviewer = reviewer

    async def run(self, work: Callable[..., Done], *args: object) -> Done:
        copied: Done = work(*pickle.loads(pickle.dumps((self.reviewer, *args))))  # noqa: S301 - our own
        return copied


async def test_the_criteria_set_holds_for_a_large_record_too() -> None:
    many = [a_condition(f"more-{n}", PATIENT, onsetDateTime="2001") for n in range(300)]
    bundle = a_bundle([*resources_of(case_bundle(CASE)), *many])
    by = replace(reviewer(), workers=Workers(CopyingPool(reviewer())))
    chosen = DAY | {"criteria": CRITERIA}
    async with serving(on_server(bundle), by=by) as site:
        answers = [
            await site.get(ON_PATIENT, params=chosen),
            await site.post(f"/fhir/{ASSESS}", json=bundle, params=chosen),
        ]
        found = [json.loads(values_of(await fhir_of(answer))["assessment"]) for answer in answers]
    assert [one["criteria"]["id"] for one in found] == [CRITERIA] * 2
    assert found[0]["decision"] == found[1]["decision"] == "decline"


@pytest.mark.parametrize("criteria", ["", CANARY, "../seed"])
async def test_an_unknown_criteria_set_is_refused_and_not_repeated(criteria: str) -> None:
    async with serving(on_server(case_bundle(CASE))) as site:
        for answer in (
            await site.get(ON_PATIENT, params={"criteria": criteria}),
            await site.post(ON_PATIENT, json=by_criteria(criteria)),
            await site.post(f"/fhir/{ASSESS}", data=case_bytes(CASE), params={"criteria": criteria}),
            await site.post(f"/fhir/Patient/{PATIENT}/{PROPOSE}", params={"criteria": criteria}),
        ):
            said = (await issue_of(answer, 400))["diagnostics"]
            assert "there are: ehr-orders, ema, fda" in said
            assert CANARY not in said
        twice = await site.get(f"{ON_PATIENT}?criteria=fda&criteria=ema")
        assert "more than once" in (await issue_of(twice, 400))["diagnostics"]


async def test_plain_json_is_what_the_command_prints() -> None:
    plain = {"Accept": "application/json"}
    async with serving(on_server(case_bundle(CASE))) as site:
        answers = [
            await site.get(ON_PATIENT, params=DAY, headers=plain),
            await site.post(f"/fhir/{ASSESS}", data=case_bytes(CASE), params=DAY, headers=plain),
            await site.post(f"/fhir/Patient/{PATIENT}/{PROPOSE}", json=asked(), headers=plain),
        ]
        assert {await answer.text() for answer in answers} == {printed(CASE)}
        assert {answer.content_type for answer in answers} == {"application/json"}
        assert {answer.headers["Cache-Control"] for answer in answers} == {"no-store"}
        assert (await issue_of(await site.get(ON_PATIENT, params={"asOf": ""}, headers=plain), 400))["code"]


@pytest.mark.parametrize(
    ("accept", "query", "plain"),
    [
        ("application/json", {}, True),
        ("application/json; charset=utf-8", {}, True),
        ("application/json, text/plain, */*", {}, True),
        ("APPLICATION/JSON", {}, True),
        ("application/fhir+json, application/json", {}, False),
        ("*/*", {}, False),
        ("application/json", {"_format": "json"}, False),
    ],
)
async def test_json_is_fhir_unless_plain_json_is_asked_for(
    accept: str, query: dict[str, str], plain: bool
) -> None:
    async with serving(on_server(case_bundle(CASE))) as site:
        answer = await site.get(ON_PATIENT, params=DAY | query, headers={"Accept": accept})
        assert answer.content_type == ("application/json" if plain else "application/fhir+json")


async def test_the_definitions_name_every_parameter_that_is_taken() -> None:
    async with serving() as site:
        for operation, taken in ((ASSESS, {"bundle"}), (PROPOSE, set())):
            definition = await fhir_of(await site.get(f"/fhir/OperationDefinition/{operation[1:]}"))
            OperationDefinition.model_validate(definition)
            named = {p["name"] for p in definition["parameter"] if p["use"] == "in"}
            assert named == {"asOf", "criteria", "identifier", *taken}


# --- what is refused ------------------------------------------------------------------------------

BAD_DAYS = [
    "",
    "2026",
    "2026-11",
    "20261123",
    "2026-W48-1",
    "2026-02-30",
    "today",
    "0001-01-01",
    "9999-12-31",
]


@pytest.mark.parametrize("day", BAD_DAYS)
async def test_a_day_that_is_none_is_refused_and_not_repeated(day: str) -> None:
    async with serving(on_server(case_bundle(CASE))) as site:
        for answer in (
            await site.get(ON_PATIENT, params={"asOf": day}),
            await site.post(
                ON_PATIENT,
                json={"resourceType": "Parameters", "parameter": [{"name": "asOf", "valueDate": day}]},
            ),
        ):
            issue = await issue_of(answer, 400)
            assert issue["diagnostics"] == "asOf: not a date of the form YYYY-MM-DD"


BAD_BODIES: dict[str, tuple[object, str]] = {
    "no JSON": (CANARY, "not a JSON object"),
    "a list": ([CANARY], "not a JSON object"),
    "no resource": ({"name": CANARY}, "expected Parameters or a Bundle"),
    "another resource": (a_patient(CANARY), "expected Parameters or a Bundle"),
    "broken Parameters": (
        {"resourceType": "Parameters", "parameter": CANARY},
        "the Parameters cannot be read",
    ),
    "an unknown parameter": (asked(asof={"valueDate": CANARY}), "an unknown name"),
    "a parameter without a name": (
        {"resourceType": "Parameters", "parameter": [{"valueString": CANARY}]},
        "an unknown name",
    ),
    "a date of another type": (
        {"resourceType": "Parameters", "parameter": [{"name": "asOf", "valueString": CANARY}]},
        "asOf: not a date",
    ),
    "two dates": (
        {"resourceType": "Parameters", "parameter": asked()["parameter"] * 2},
        "given more than once",
    ),
    "an empty bundle parameter": (asked(bundle={"valueString": CANARY}), "bundle has no resource"),
}


@pytest.mark.parametrize(("body", "message"), BAD_BODIES.values(), ids=BAD_BODIES)
async def test_a_bad_body_is_refused_and_not_repeated(body: object, message: str) -> None:
    async with serving(on_server(case_bundle(CASE))) as site:
        for path in (ON_PATIENT, f"/fhir/{ASSESS}", f"/fhir/Patient/{PATIENT}/{PROPOSE}"):
            text = body if isinstance(body, str) else json.dumps(body)
            issue = await issue_of(await site.post(path, data=text), 400)
            assert message in issue["diagnostics"]
            assert CANARY not in issue["diagnostics"]


async def test_a_day_in_the_address_and_in_the_body_are_one_too_many() -> None:
    async with serving(on_server(case_bundle(CASE))) as site:
        issue = await issue_of(await site.post(ON_PATIENT, params=DAY, json=asked()), 400)
        assert "more than once" in issue["diagnostics"]
        assert (await site.get(f"{ON_PATIENT}?asOf=2026-11-23&asOf=2026-11-24")).status == 400


async def test_a_misspelt_parameter_is_not_overlooked() -> None:
    async with serving(on_server(case_bundle(CASE))) as site:
        issue = await issue_of(await site.get(ON_PATIENT, params={"as_of": "2026-11-23"}), 400)
        assert "known are asOf, criteria and identifier" in issue["diagnostics"]


async def test_a_record_is_not_taken_for_a_patient_of_the_server() -> None:
    async with serving(on_server(case_bundle(CASE))) as site:
        for operation in (ASSESS, PROPOSE):
            answer = await site.post(f"/fhir/Patient/{PATIENT}/{operation}", data=case_bytes(CASE))
            assert "not taken here" in (await issue_of(answer, 400))["diagnostics"]


async def test_without_a_record_there_is_nothing_to_assess() -> None:
    async with serving() as site:
        for body in (None, asked()):
            issue = await issue_of(await site.post(f"/fhir/{ASSESS}", json=body), 400)
            assert "expected" in issue["diagnostics"]
        assert "expected a Bundle" in (await issue_of(await site.post(f"/fhir/{ASSESS}"), 400))["diagnostics"]


async def test_a_bundle_that_is_no_record_of_one_patient() -> None:
    stranger = a_bundle([a_patient(), a_condition("c", CANARY)])
    async with serving() as site:
        none = await site.post(f"/fhir/{ASSESS}", json=a_bundle([a_condition("c")]))
        assert (await issue_of(none, 422))["code"] == "processing"
        mixed = await site.post(f"/fhir/{ASSESS}", json=asked(bundle={"resource": stranger}))
        assert CANARY not in (await issue_of(mixed, 422))["diagnostics"]
        patient = await site.post(f"/fhir/{ASSESS}", json=asked(bundle={"resource": a_patient()}))
        assert "expected a Bundle" in (await issue_of(patient, 400))["diagnostics"]


@pytest.mark.parametrize(
    ("headers", "query", "status"),
    [
        ({"Accept": "application/fhir+json"}, {}, 200),
        ({"Accept": "text/html, */*;q=0.1"}, {}, 200),
        ({}, {"_format": "json"}, 200),
        ({}, {"_format": "application/fhir+json"}, 200),
        ({}, {"_format": "application/fhir json", "_pretty": "true"}, 200),
        ({"Accept": "application/fhir+xml"}, {}, 406),
        ({}, {"_format": "xml"}, 406),
    ],
)
async def test_only_json_is_spoken(headers: dict[str, str], query: dict[str, str], status: int) -> None:
    async with serving(on_server(case_bundle(CASE))) as site:
        for path in (ON_PATIENT, "/fhir/metadata", f"/fhir/OperationDefinition/{PROPOSE[1:]}"):
            assert (await site.get(path, headers=headers, params=query)).status == status


# --- when the FHIR server fails -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("upstream", "status", "code"),
    [
        (404, 404, "not-found"),
        (410, 404, "deleted"),
        (401, 502, "transient"),
        (403, 502, "transient"),
        (500, 502, "transient"),
        (503, 502, "transient"),
    ],
)
async def test_a_refusal_of_the_server_is_told_by_its_kind(upstream: int, status: int, code: str) -> None:
    def refusing(_: httpx.Request) -> httpx.Response:
        return httpx.Response(upstream, json={"text": CANARY})

    server = PretendServer([], everything=False, answers={f"Patient/{PATIENT}": refusing})
    async with serving(server) as site:
        for method, operation in (("GET", ASSESS), ("POST", PROPOSE)):
            answer = await site.request(method, f"/fhir/Patient/{PATIENT}/{operation}")
            issue = await issue_of(answer, status)
            assert issue["code"] == code
            assert CANARY not in issue["diagnostics"]


async def test_a_patient_that_is_not_there_is_not_found() -> None:
    async with serving(on_server(case_bundle(CASE))) as site:
        assert (await issue_of(await site.get(f"/fhir/Patient/nobody/{ASSESS}"), 404))["code"] == "not-found"


async def test_a_server_that_is_not_there() -> None:
    async with serving(unreachable) as site:
        assert (await issue_of(await site.get(ON_PATIENT), 504))["code"] == "timeout"


async def test_an_answer_that_is_not_fhir() -> None:
    async with serving(lambda _: httpx.Response(200, text=CANARY)) as site:
        assert (await issue_of(await site.get(ON_PATIENT), 502))["code"] == "transient"


async def test_an_unreadable_patient_of_the_server_is_not_the_callers_fault() -> None:
    server = PretendServer([a_patient(birthDate=CANARY)])
    async with serving(server) as site:
        issue = await issue_of(await site.get(f"/fhir/Patient/ann/{ASSESS}"), 422)
    assert "cannot be read at birthDate" in issue["diagnostics"]


# --- what the service says of itself --------------------------------------------------------------


async def test_the_capability_statement_is_valid_and_names_what_is_served() -> None:
    async with serving(public_url="https://trd.example/base/") as site:
        statement = await fhir_of(await site.get("/fhir/metadata"))
        CapabilityStatement.model_validate(statement)
        operations = statement["rest"][0]["resource"][0]["operation"]
        for operation in operations:
            definition = await fhir_of(await site.get(f"/fhir/OperationDefinition/{operation['name']}"))
            OperationDefinition.model_validate(definition)
            assert definition["url"] == operation["definition"]
            assert definition["code"] == operation["name"]

    assert statement["kind"] == "instance"
    assert statement["fhirVersion"] == "4.0.1"
    assert statement["implementation"]["url"] == "https://trd.example/base/fhir"
    assert {operation["name"] for operation in operations} == {ASSESS[1:], PROPOSE[1:]}
    assert ASSESSMENT_MODULE in {operation["definition"] for operation in operations}


async def test_the_definitions_say_what_writes_and_name_every_parameter_of_the_answer() -> None:
    async with serving(on_server(case_bundle(CASE))) as site:
        for operation, method, writes in ((ASSESS, "GET", False), (PROPOSE, "POST", True)):
            definition = await fhir_of(await site.get(f"/fhir/OperationDefinition/{operation[1:]}"))
            answer = await fhir_of(await site.request(method, f"/fhir/Patient/{PATIENT}/{operation}"))
            named = {p["name"] for p in definition["parameter"] if p["use"] == "out"}
            assert named == set(values_of(answer))
            assert definition["affectsState"] is writes
            assert definition["instance"] is True
            assert definition["type"] is True
            assert definition["system"] is not writes


async def test_there_is_no_other_definition() -> None:
    async with serving() as site:
        assert (await issue_of(await site.get("/fhir/OperationDefinition/else"), 404))["code"] == "not-found"


def test_the_base_is_the_address_it_listens_on_unless_another_is_public() -> None:
    assert fhir_base(settings()) == "http://127.0.0.1:8080/fhir"
    assert fhir_base(settings(host="::1", port=9)) == "http://[::1]:9/fhir"
