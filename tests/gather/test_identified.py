"""A patient who is named by an identifier: through the commands and the operations, and never repeated."""

import json
import logging
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from service.errors import InputError, NoSuchPatient, NotAssessable, ServerMisread
from service.gather.identified import PatientIdentifier, find_patient_id, read_identifier
from tests.app.serving import CANARY, fhir_of, issue_of, serving, values_of
from tests.contract_write import TWO_FAILURES
from tests.fhir.double import FhirDouble
from tests.servers.doubles import double_in_memory
from tests.support import (
    AS_OF,
    Handler,
    Resource,
    a_bundle,
    a_patient,
    case_bundle,
    case_bytes,
    client_of,
    fhir_response,
    patient_id_of,
    resources_of,
    run_command,
)

SYSTEM, VALUE = "http://hospital.example/mrn", f"{CANARY}-17"
NAMED = f"{SYSTEM}|{VALUE}"
MRN = {"identifier": [{"system": SYSTEM, "value": VALUE}]}
PATIENT = patient_id_of(case_bundle(TWO_FAILURES))
ASSESS = "/fhir/Patient/$assess-treatment-resistance"
PROPOSE = "/fhir/Patient/$propose-care-plan"
DAY = {"asOf": AS_OF.isoformat()}
WRONG = ["", "17", f"|{VALUE}", f"{SYSTEM}|", " | ", f"{SYSTEM}|{VALUE}|more"]


def a_double(*others: Resource) -> FhirDouble:
    """A server with the patient of a case, who has an identifier."""
    record = resources_of(case_bundle(TWO_FAILURES))
    identified = [one | MRN if one["resourceType"] == "Patient" else one for one in record]
    return FhirDouble([*identified, *others])


def merged(patient: str, into: str) -> Resource:
    link = {"type": "replaced-by", "other": {"reference": f"Patient/{into}"}}
    return a_patient(patient, **MRN, link=[link])


async def found(server: Handler, named: str = NAMED) -> str:
    identifier = read_identifier(named)
    assert identifier is not None
    return await find_patient_id(client_of(server), identifier)


# --- who is found ---------------------------------------------------------------------------------


@pytest.mark.parametrize("text", WRONG)
def test_an_identifier_has_a_system_and_a_value(text: str) -> None:
    assert read_identifier(text) is None
    assert read_identifier(NAMED) == PatientIdentifier(SYSTEM, VALUE)


async def test_the_one_patient_with_the_identifier_is_found() -> None:
    other = a_patient("other", identifier=[{"system": SYSTEM, "value": "18"}])
    assert await found(a_double(other)) == PATIENT


async def test_an_address_of_a_system_has_several_spellings() -> None:
    bundle = a_bundle([a_patient("ann", **MRN)], kind="searchset")

    def answer(request: httpx.Request) -> httpx.Response:
        whole = request.url.path.endswith("/Patient")
        stated = {"resourceType": "CapabilityStatement", "fhirVersion": "4.0.1"}
        if request.url.path.endswith("/metadata"):
            return fhir_response(stated)
        return fhir_response(bundle if whole else a_patient("ann", **MRN))

    assert await found(answer, f"https://hospital.example/mrn/|{VALUE}") == "ann"
    with pytest.raises(ServerMisread):
        await found(answer, f"{SYSTEM}|{VALUE.lower()}")


async def test_without_a_patient_nobody_is_found() -> None:
    with pytest.raises(NoSuchPatient):
        await found(FhirDouble([a_patient("ann")]))


async def test_two_patients_with_one_identifier_are_not_guessed_between() -> None:
    with pytest.raises(NotAssessable, match="2 patients"):
        await found(a_double(a_patient("other", **MRN)))


async def test_who_was_merged_is_found_under_the_id_that_stands() -> None:
    assert await found(a_double(merged("former", PATIENT))) == PATIENT
    assert await found(FhirDouble([merged("former", "ann"), a_patient("ann")])) == "ann"
    with pytest.raises(NoSuchPatient):
        await found(FhirDouble([merged("former", "gone")]))


@pytest.mark.parametrize(
    "entry",
    [
        a_patient("stranger"),
        a_patient("stranger", identifier=CANARY),
        {"resourceType": "Practitioner", "id": "x", **MRN},
        {"resourceType": "OperationOutcome", "issue": [{"severity": "warning", "code": "incomplete"}]},
        {"resourceType": "OperationOutcome", "issue": [{"severity": "warning", "code": "suppressed"}]},
    ],
)
async def test_an_answer_that_may_name_another_or_miss_one_is_not_taken(entry: Resource) -> None:
    entries = [{"resource": one} for one in (a_patient("ann", **MRN), entry)]
    bundle = {"resourceType": "Bundle", "type": "searchset", "entry": entries}
    with pytest.raises(ServerMisread) as refused:
        await found(lambda _: fhir_response(bundle))
    assert CANARY not in str(refused.value)


async def test_a_remark_of_the_server_is_no_fault() -> None:
    double = a_double()
    remark = {
        "resourceType": "OperationOutcome",
        "issue": [{"severity": "information", "code": "informational"}],
    }

    def remarking(request: httpx.Request) -> httpx.Response:
        answered = double(request)
        if not request.url.path.endswith("/Patient"):
            return answered
        bundle = json.loads(answered.content)
        return fhir_response(bundle | {"entry": [*bundle["entry"], {"resource": remark}]})

    assert await found(remarking) == PATIENT


# --- the commands ---------------------------------------------------------------------------------


@pytest.fixture
def server() -> Iterator[str]:
    with double_in_memory(a_double()) as base:
        yield base


@pytest.mark.parametrize("command", ["assess", "explain", "plan", "diff", "propose"])
def test_a_command_takes_an_identifier_in_place_of_an_id(server: str, command: str) -> None:
    by_id, by_identifier = (
        run_command(command, patient, "--as-of", AS_OF.isoformat(), TRD_FHIR_BASE_URL=server, TRD_WRITE="off")
        for patient in (f"Patient/{PATIENT}", f"identifier={NAMED}")
    )
    assert (by_id.returncode, by_id.stderr) == (0, "")
    assert by_identifier == by_id


@pytest.mark.parametrize("command", ["assess", "explain", "plan", "diff", "propose"])
@pytest.mark.parametrize(
    ("named", "code"), [(f"{SYSTEM}|{CANARY}-18", InputError.exit_code), (CANARY, 2), (f"|{CANARY}", 2)]
)
def test_whom_a_command_does_not_find_is_not_repeated(
    server: str, command: str, named: str, code: int
) -> None:
    ran = run_command(command, f"identifier={named}", TRD_FHIR_BASE_URL=server)
    assert ran.returncode == code
    assert ran.stderr
    assert CANARY not in ran.stdout + ran.stderr


@pytest.mark.parametrize(
    ("command", "said"),
    [("check", "read"), ("written", "1 plan, 1 assessment"), ("withdraw --yes", "1 of 1 draft withdrawn")],
)
def test_an_option_takes_an_identifier_in_place_of_an_id(server: str, command: str, said: str) -> None:
    run_command("propose", f"Patient/{PATIENT}", "--as-of", AS_OF.isoformat(), TRD_FHIR_BASE_URL=server)
    arguments = [*command.split(), "--patient"]

    found, lost, wrong = (
        run_command(*arguments, f"identifier={named}", TRD_FHIR_BASE_URL=server)
        for named in (NAMED, f"{SYSTEM}|{CANARY}-18", CANARY)
    )

    assert (found.returncode, found.stderr) == (0, "")
    assert said in found.stdout
    assert "no patient of the FHIR server has it" in lost.stdout + lost.stderr
    assert (lost.returncode, wrong.returncode) == (1 if command == "check" else InputError.exit_code, 2)
    for ran in (found, lost, wrong):
        assert CANARY not in ran.stdout + ran.stderr


# --- the operations -------------------------------------------------------------------------------


def asked(identifier: str = NAMED) -> Resource:
    parameters = [
        {"name": "identifier", "valueString": identifier},
        {"name": "asOf", "valueDate": AS_OF.isoformat()},
    ]
    return {"resourceType": "Parameters", "parameter": parameters}


async def test_an_operation_takes_an_identifier_in_the_address_or_the_body() -> None:
    named = DAY | {"identifier": NAMED}
    async with serving(a_double()) as site:
        by_id = await fhir_of(await site.get(f"/fhir/Patient/{PATIENT}/{ASSESS[14:]}", params=DAY))
        answers = [
            await site.get(ASSESS, params=named),
            await site.post(ASSESS, params=named),
            await site.post(ASSESS, json=asked()),
        ]
        assert [await fhir_of(answer) for answer in answers] == [by_id] * 3
        for answer in (await site.post(PROPOSE, params=named), await site.post(PROPOSE, json=asked())):
            assert values_of(await fhir_of(answer))["assessment"] == values_of(by_id)["assessment"]


@pytest.mark.parametrize(
    ("identifier", "status", "code"),
    [
        (f"{SYSTEM}|{CANARY}-18", 404, "not-found"),
        (f"{SYSTEM}|{CANARY}-two", 422, "processing"),
        *((wrong, 400, "invalid") for wrong in WRONG),
    ],
)
async def test_whom_an_operation_does_not_find_is_not_repeated(
    identifier: str, status: int, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    shared = {"identifier": [{"system": SYSTEM, "value": f"{CANARY}-two"}]}
    async with serving(a_double(a_patient("one", **shared), a_patient("two", **shared))) as site:
        for path in (ASSESS, PROPOSE):
            for given in ({"params": {"identifier": identifier}}, {"json": asked(identifier)}):
                arguments: Any = given
                issue = await issue_of(await site.post(path, **arguments), status)
                assert issue["code"] == code
                assert CANARY not in issue["diagnostics"]
    assert CANARY not in caplog.text


async def test_an_identifier_is_not_taken_beside_another_way_to_say_who() -> None:
    both = asked()
    both["parameter"].append({"name": "bundle", "resource": case_bundle(TWO_FAILURES)})
    named = {"identifier": NAMED}
    async with serving(a_double()) as site:
        for answer, said in (
            (await site.get(f"/fhir/Patient/{PATIENT}/{ASSESS[14:]}", params=named), "the address names"),
            (await site.post(f"/fhir/Patient/{PATIENT}/{PROPOSE[14:]}", params=named), "the address names"),
            (await site.post(ASSESS, json=both), "exclude each other"),
            (await site.post(ASSESS, params=named, data=case_bytes(TWO_FAILURES)), "exclude each other"),
            (await site.post(f"/fhir/{ASSESS[14:]}", params=named), "taken at Patient/"),
            (await site.post(ASSESS), "expected an identifier or a Bundle"),
            (await site.get(ASSESS), "expected an identifier or a Bundle"),
            (await site.post(PROPOSE), "not given"),
            (await site.get(f"{ASSESS}?identifier=a|b&identifier=a|c"), "more than once"),
        ):
            assert said in (await issue_of(answer, 400))["diagnostics"]


async def test_an_operation_by_identifier_asks_for_the_token_as_the_others_do() -> None:
    token = "an-api-token-of-tests"  # noqa: S105 - known to the tests only
    async with serving(a_double(), api_token=token) as site:
        for method, path in (("GET", ASSESS), ("POST", ASSESS), ("POST", PROPOSE)):
            assert (await site.request(method, path, params={"identifier": NAMED})).status == 401
