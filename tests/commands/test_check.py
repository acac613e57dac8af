"""What `check` says of a server: each finding with what to do, and the exit code."""

import inspect
import json
import ssl
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme

from service.commands.check import check, check_server
from service.commands.check_findings import CheckReport, CheckState
from service.commands.keys import KeyStep, change_keys
from service.fhir.auth import Algorithm
from service.fhir.kinds import READ_KINDS, SCREENED_KINDS, WRITTEN_KINDS
from tests.commands.checking import FOLDER, HOW_TO_RENEW, TABLES, a_double, checked, dated, file_of, printed
from tests.contract_write import TWO_FAILURES
from tests.fhir.authorizing import Authorizing
from tests.fhir.double import FhirDouble
from tests.fhir.test_auth import SECRET, a_client, public_of, smart, with_secret
from tests.fhir.test_tls import serving
from tests.lists import knowledge_of
from tests.servers.doubles import running_double
from tests.servers.vendors import EPIC, MEDITECH, ORACLE, VENDORS, Vendor, VendorDouble, remarking
from tests.support import (
    BASE,
    Handler,
    Resource,
    a_bundle,
    case_bundle,
    client_of,
    fhir_response,
    patient_id_of,
    resources_of,
    reviewer,
    run_command,
    settings,
)

PATIENT = patient_id_of(case_bundle(TWO_FAILURES))


def a_record() -> list[Resource]:
    return resources_of(case_bundle(TWO_FAILURES))


Change = Callable[[Resource], None]


def saying(server: Handler, **answers: httpx.Response) -> Handler:
    """A server that answers otherwise to what ends with a name."""

    def answer(request: httpx.Request) -> httpx.Response:
        name = request.url.path.rpartition("/")[2].lstrip("$")
        return answers[name] if name in answers else server(request)

    return answer


def stating(server: FhirDouble, change: Change) -> Handler:
    """A server with another CapabilityStatement."""
    statement = json.loads(server(httpx.Request("GET", f"{BASE}/metadata")).content)
    change(statement["rest"][0])
    return saying(server, metadata=fhir_response(statement))


def without(*kinds: str) -> Change:
    def change(rest: Resource) -> None:
        rest["resource"] = [one for one in rest["resource"] if one["type"] not in kinds]

    return change


def without_everything(rest: Resource) -> None:
    for one in rest["resource"]:
        one.pop("operation", None)


def with_subscriptions(rest: Resource) -> None:
    rest["resource"].append({"type": "Subscription", "interaction": [{"code": "create"}, {"code": "update"}]})


def with_topics(rest: Resource) -> None:
    with_subscriptions(rest)
    rest["resource"].append({"type": "SubscriptionTopic"})


def state_of(report: CheckReport, name: str) -> CheckState | None:
    return next((one.state for one in report.findings if one.name == name), None)


def found(report: CheckReport, name: str) -> str:
    (finding,) = [one for one in report.findings if one.name == name]
    assert (finding.to_do is None) == (finding.state is CheckState.OK)
    return finding.found


def failed(report: CheckReport) -> list[str]:
    return [one.name for one in report.findings if one.state is CheckState.FAILED]


# --- the table, the object and the exit code ------------------------------------------------------


@pytest.mark.parametrize("name", TABLES)
async def test_the_table_of_a_server_is_the_one_on_file(name: str) -> None:
    assert await TABLES[name]() == file_of(name).read_text(encoding="utf-8"), HOW_TO_RENEW


def test_every_table_on_file_is_of_a_server() -> None:
    assert {path.stem for path in FOLDER.glob("*.txt")} == {*TABLES}
    assert {*VENDORS} < {*TABLES}


def test_the_command_prints_a_table_or_one_object_and_writes_nothing() -> None:
    with running_double() as base:
        ran = run_command("check", TRD_FHIR_BASE_URL=base, COLUMNS="80")
        as_json = run_command("check", "--json", TRD_FHIR_BASE_URL=base)

    assert (ran.returncode, ran.stderr) == (0, "")
    assert "The service can assess the records of this server." in ran.stdout
    report = CheckReport.model_validate_json(as_json.stdout)
    assert (as_json.returncode, report.ready, report.server) == (0, True, base)
    assert {one.name for one in report.findings} >= {"address", "TLS", "clock", "token", *READ_KINDS}


async def test_nothing_is_written() -> None:
    server = a_double()
    await checked(server, patient_id=PATIENT)
    assert (server.posted, server.taken) == ([], [])


async def test_one_search_a_kind_is_for_one_resource_of_one_patient() -> None:
    asked: list[httpx.URL] = []
    server = a_double()

    def noting(request: httpx.Request) -> httpx.Response:
        asked.append(request.url)
        return server(request)

    await checked(noting, patient_id=PATIENT)

    searches = [url for url in asked if "patient" in url.params]
    assert len({url.path for url in searches}) == len(searches) == len(READ_KINDS) - 2
    assert {(url.params["_count"], url.params["patient"]) for url in searches} == {("1", PATIENT)}


@pytest.mark.parametrize("patient_id", [None, PATIENT])
async def test_nothing_of_a_patient_is_shown(patient_id: str | None) -> None:
    server = saying(a_double(), Flag=httpx.Response(418), everything=httpx.Response(500))
    report = await checked(server, patient_id=patient_id)
    told = report.model_dump_json() + printed(report)
    for hidden in (PATIENT, "1981", "sertraline", "Patient/"):
        assert hidden not in told


def test_a_patient_of_no_possible_id_is_wrong_usage() -> None:
    assert run_command("check", "--patient", "a b", TRD_FHIR_BASE_URL=BASE).returncode == 2


def test_without_an_address_nothing_is_checked() -> None:
    ran = run_command("check")
    assert (ran.returncode, "TRD_FHIR_BASE_URL" in ran.stderr) == (2, True)


# --- the way to the server ------------------------------------------------------------------------


def test_a_server_that_is_down_ends_the_check() -> None:
    ran = run_command("check", "--json", TRD_FHIR_BASE_URL="http://127.0.0.1:9/fhir")
    report = CheckReport.model_validate_json(ran.stdout)
    assert (ran.returncode, [one.name for one in report.findings]) == (1, ["address"])
    assert "cannot be reached" in found(report, "address")


async def test_a_wrong_path_is_told_from_a_wrong_host() -> None:
    report = await checked(lambda _: httpx.Response(404))
    assert (state_of(report, "address"), failed(report)) == (CheckState.OK, ["FHIR"])
    assert found(report, "FHIR") == "no FHIR server answers at this address (404)"


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(200, headers={"Content-Type": "text/html"}, content=b"<html>"),
        fhir_response({"resourceType": "Patient"}),
        fhir_response({"resourceType": "CapabilityStatement", "fhirVersion": "3.0.2"}),
    ],
)
async def test_what_is_no_fhir_server_of_r4_or_r5_is_none(answer: httpx.Response) -> None:
    assert failed(await checked(lambda _: answer)) == ["FHIR"]


async def test_an_unknown_authority_is_a_matter_of_tls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssl, "create_default_context", inspect.unwrap(ssl.create_default_context))
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    async with serving(authority) as base:
        unknown = await check(settings(fhir_base_url=base), knowledge_of(), None)
        known = await check(settings(fhir_base_url=base, fhir_ca=tmp_path / "ca.pem"), knowledge_of(), None)
    assert (state_of(unknown, "address"), failed(unknown)) == (CheckState.OK, ["TLS"])
    assert "Certificate" in found(unknown, "TLS")
    assert state_of(known, "TLS") is CheckState.OK


@pytest.mark.parametrize(
    ("base", "state"),
    [
        ("http://localhost:8090/fhir", CheckState.OK),
        ("http://fhir.hospital.example/fhir", CheckState.WARNING),
        ("https://fhir.hospital.example/fhir", CheckState.OK),
    ],
)
async def test_an_address_that_is_not_encrypted_is_fine_on_this_machine_alone(
    base: str, state: CheckState
) -> None:
    chosen = settings(fhir_base_url=base)
    client = client_of(lambda _: httpx.Response(404), base=base)
    report = await check_server(client, client, chosen, knowledge_of())
    assert state_of(report, "TLS") is state


async def test_a_password_in_the_address_is_not_shown() -> None:
    client = client_of(lambda _: httpx.Response(404), base="https://user:secret@fhir.example/r4")
    report = await check_server(client, client, settings(), knowledge_of())
    assert report.server == "https://fhir.example/r4"
    assert "secret" not in report.model_dump_json()


@pytest.mark.parametrize(
    ("seconds", "way", "state"),
    [
        (60, "none", CheckState.OK),
        (-60, "none", CheckState.OK),
        (61, "none", CheckState.WARNING),
        (-61, "smart", CheckState.WARNING),
        (241, "none", CheckState.WARNING),
        (240, "smart", CheckState.WARNING),
        (241, "smart", CheckState.FAILED),
        (-241, "smart", CheckState.FAILED),
    ],
)
async def test_clocks_may_differ_by_a_minute(
    seconds: float, way: str, state: CheckState, tmp_path: Path
) -> None:
    change_keys(tmp_path / "keys.json", KeyStep.NEW, Algorithm.ES384)
    chosen = smart(tmp_path / "keys.json", fhir_auth=way)
    report = await checked(dated(a_double(), seconds), chosen)
    assert state_of(report, "clock") is state
    assert report.ready is (state is not CheckState.FAILED and way == "none")


async def test_a_server_that_does_not_show_its_time_is_said_not_to() -> None:
    report = await checked(a_double())
    assert (state_of(report, "clock"), report.ready) == (CheckState.WARNING, True)


# --- who we are to the server ---------------------------------------------------------------------


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "keys.json"
    change_keys(path, KeyStep.NEW, Algorithm.ES384)
    return path


async def test_a_token_with_what_was_asked_for_is_enough(key: Path) -> None:
    report = await checked(Authorizing(a_double(), keys=public_of(key)), smart(key))
    assert (found(report, "token"), report.ready) == ("granted", True)
    assert found(report, "scopes") == "granted for all that is read and written"


@pytest.mark.parametrize(
    ("granted", "state", "lacking"),
    [
        ("system/*.cruds", CheckState.OK, ""),
        ("system/*.*", CheckState.OK, ""),
        ("system/*.read system/*.write", CheckState.OK, ""),
        ("api://fhir/.default", CheckState.OK, "name no kinds"),
        ("system/*.rs", CheckState.WARNING, f"to write {', '.join(WRITTEN_KINDS)}"),
        ("system/*.cud system/Patient.rs", CheckState.WARNING, "to read Condition"),
        (
            "system/*.cu " + " ".join(f"system/{kind}.rs" for kind in READ_KINDS if kind != "Observation")
            + " system/Observation.rs?category=laboratory",
            CheckState.WARNING,
            "to read Observation",
        ),
    ],
)  # fmt: skip
async def test_scopes_are_held_against_what_is_needed(
    key: Path, granted: str, state: CheckState, lacking: str
) -> None:
    server = Authorizing(a_double(), keys=public_of(key), grants=granted)
    report = await checked(server, smart(key))
    assert state_of(report, "scopes") is state
    assert lacking in found(report, "scopes")


@pytest.mark.parametrize(
    ("vendor", "grants", "lacking"),
    [
        (EPIC, "system/*.rs", "to write DocumentReference"),
        (EPIC, "system/*.rs system/DocumentReference.cu", ""),
        (ORACLE, "system/*.read system/DocumentReference.write", "to write Provenance"),
        (MEDITECH, "system/*.rs system/Communication.c", ""),
    ],
    ids=lambda one: one.dialect if isinstance(one, Vendor) else "",
)
async def test_scopes_are_held_against_the_tier(key: Path, vendor: Vendor, grants: str, lacking: str) -> None:
    """Nobody is told to ask for what the server does not take."""
    server = Authorizing(VendorDouble(vendor, a_record()), keys=public_of(key), grants=grants)
    report = await checked(server, smart(key))
    said = found(report, "scopes")
    assert said.rpartition(": ")[2] == (lacking or said)
    assert "document" in found(report, "tier") or "communication" in found(report, "tier")


async def test_without_writing_scopes_to_read_are_enough(key: Path) -> None:
    server = Authorizing(a_double(), keys=public_of(key), grants="system/*.rs")
    report = await checked(server, smart(key, write="off"))
    assert state_of(report, "scopes") is CheckState.OK
    assert "TRD_WRITE is off" in found(report, "tier")


async def test_a_refused_token_ends_the_check_and_says_so(key: Path, tmp_path: Path) -> None:
    change_keys(tmp_path / "other.json", KeyStep.NEW, Algorithm.ES384)
    server = Authorizing(a_double(), keys=public_of(tmp_path / "other.json"))
    report = await checked(server, smart(key))
    assert (failed(report), state_of(report, "TLS")) == (["token"], CheckState.WARNING)
    assert "invalid_client" in found(report, "token")


async def test_a_wrong_secret_is_refused_and_not_repeated() -> None:
    server = Authorizing(a_double(), secret=("our-client", "another-secret-of-theirs"))
    report = await checked(server, with_secret())
    assert failed(report) == ["token"]
    assert SECRET not in report.model_dump_json()


async def test_a_token_server_that_is_away_is_told_from_the_server(key: Path) -> None:
    def away(request: httpx.Request) -> httpx.Response:
        if "login" in request.url.host:
            raise httpx.ConnectError("away", request=request)
        return Authorizing(a_double())(request)

    report = await checked(away, smart(key))
    assert (state_of(report, "address"), failed(report)) == (CheckState.OK, ["token"])
    assert "the token server cannot be reached" in found(report, "token")


@pytest.mark.parametrize("way", ["none", "bearer", "basic"])
async def test_credentials_that_the_server_does_not_take_are_named(way: str, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("a-token")
    others = {"fhir_token_file": tmp_path / "token", "fhir_user": "us", "fhir_password": SECRET}
    chosen = settings(fhir_base_url=BASE, fhir_auth=way, **others)
    refused = await checked(lambda _: httpx.Response(401), chosen)
    taken = await checked(a_double(), chosen)
    assert failed(refused) == ["token"]
    assert (state_of(taken, "token"), taken.ready) == (CheckState.OK, True)


async def test_a_token_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    chosen = settings(fhir_base_url=BASE, fhir_auth="bearer", fhir_token_file=tmp_path / "nowhere")
    report = await checked(a_double(), chosen)
    assert (failed(report), "token" in found(report, "token")) == (["token"], True)


# --- what can be read -----------------------------------------------------------------------------


async def test_kinds_that_the_server_lacks_stay_unscreened() -> None:
    report = await checked(stating(a_double(), without("Flag", "List", "QuestionnaireResponse")))
    assert (report.ready, state_of(report, "Flag")) == (True, CheckState.WARNING)
    assert found(report, "unscreened").startswith("QuestionnaireResponse, Flag;")


@pytest.mark.parametrize("vendor", VENDORS.values(), ids=list(VENDORS))
@pytest.mark.parametrize("named", [True, False], ids=["with a patient", "for nobody"])
@pytest.mark.parametrize("known", [True, False], ids=["dialect", "no dialect"])
async def test_what_is_said_to_stay_unscreened_is_what_a_review_lists(
    vendor: Vendor, named: bool, known: bool
) -> None:
    says = vendor.says if known else {}
    double = VendorDouble(replace(vendor, says=says), resources_of(case_bundle(TWO_FAILURES)))
    patient = patient_id_of(a_bundle(double.resources))
    chosen = settings(fhir_base_url=BASE, fhir_dialect=vendor.dialect if known and vendor.chosen else None)

    report = await checked(double, chosen, patient_id=patient if named else None)
    review = await reviewer().review_patient(a_client(double, chosen), patient)

    told = {kind for kind in SCREENED_KINDS if kind in found(report, "unscreened").split(";")[0].split(", ")}
    assert told == {*SCREENED_KINDS} & {*review.answer.not_screened}


@pytest.mark.parametrize("status", [405, 501])
async def test_a_search_that_nobody_may_make_leaves_the_kind_out_as_in_a_review(status: int) -> None:
    server = saying(stating(a_double(), without_everything), Flag=httpx.Response(status))
    report = await checked(server)
    assert (report.ready, state_of(report, "Flag")) == (True, CheckState.WARNING)
    assert "Flag" in found(report, "unscreened")


async def test_what_a_dialect_says_is_withheld_stays_unscreened() -> None:
    vendor = remarking(EPIC, "processing", "warning", "59204")
    report = await checked(VendorDouble(vendor, resources_of(case_bundle(TWO_FAILURES))))
    assert found(report, "Condition") == "the server withholds some"
    assert report.ready is False


async def test_a_kind_that_is_refused_stays_unscreened() -> None:
    report = await checked(saying(a_double(), AllergyIntolerance=httpx.Response(403)))
    assert (report.ready, state_of(report, "AllergyIntolerance")) == (True, CheckState.WARNING)
    assert "AllergyIntolerance" in found(report, "unscreened")


@pytest.mark.parametrize(
    ("kinds", "enough"),
    [
        (("Condition",), False),
        (("Patient",), False),
        (("MedicationStatement", "MedicationDispense", "MedicationAdministration"), True),
        (
            ("MedicationStatement", "MedicationDispense", "MedicationAdministration", "MedicationRequest"),
            False,
        ),
    ],
)
async def test_without_conditions_or_any_medicines_there_is_nothing_to_assess(
    kinds: tuple[str, ...], enough: bool
) -> None:
    report = await checked(stating(a_double(), without(*kinds)))
    assert (report.ready, failed(report)) == (enough, [] if enough else ["record"])


async def test_a_search_that_fails_stops_every_review() -> None:
    server = saying(stating(a_double(), without_everything), Condition=httpx.Response(418))
    report = await checked(server)
    assert (failed(report), found(report, "Condition")) == (["Condition"], "the server answered 418")
    assert state_of(report, "tier") is CheckState.OK


async def test_a_search_that_everything_stands_for_is_a_warning() -> None:
    report = await checked(saying(a_double(), Condition=httpx.Response(418)))
    assert (report.ready, state_of(report, "Condition")) == (True, CheckState.WARNING)
    assert failed(await checked(saying(a_double(), Observation=httpx.Response(418)))) == ["Observation"]


@pytest.mark.parametrize("status", [400, 404, 410, 422])
async def test_a_search_for_nobody_that_is_refused_asks_for_a_patient(status: int) -> None:
    server = saying(stating(a_double(), without_everything), Condition=httpx.Response(status))
    unsure = await checked(server)
    assert (unsure.ready, state_of(unsure, "Condition")) == (True, CheckState.WARNING)
    assert failed(await checked(server, patient_id=PATIENT)) == ["Condition"]


@pytest.mark.parametrize("offered", [True, False])
async def test_a_patient_who_is_named_is_read(offered: bool) -> None:
    server = a_double() if offered else stating(a_double(), without_everything)
    assert found(await checked(server, patient_id=PATIENT), "Patient") == "read"
    if not offered:
        assert failed(await checked(server, patient_id="nowhere")) == ["Patient"]


@pytest.mark.parametrize(
    ("code", "state"), [("suppressed", CheckState.WARNING), ("timeout", CheckState.FAILED)]
)
async def test_an_answer_that_says_that_it_is_not_whole_is_not_taken_for_it(
    code: str, state: CheckState
) -> None:
    outcome = {"resourceType": "OperationOutcome", "issue": [{"severity": "warning", "code": code}]}
    bundle = {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": outcome}]}
    report = await checked(saying(a_double(), Observation=fhir_response(bundle)))
    assert state_of(report, "Observation") is state
    assert ("Observation" in found(report, "unscreened")) is (state is CheckState.WARNING)


@pytest.mark.parametrize(("seconds", "state"), [(10, CheckState.OK), (10.1, CheckState.WARNING)])
async def test_a_server_that_is_slow_is_said_to_be(seconds: float, state: CheckState) -> None:
    report = await checked(a_double(), settings(fhir_base_url=BASE, fhir_timeout=30), seconds=seconds)
    assert state_of(report, "latency") is state


# --- what is written, and when --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("traits", "tier", "state"),
    [
        ({}, "transaction: the server takes all", CheckState.OK),
        ({"transactions": False}, "single-requests: the server offers no transactions", CheckState.OK),
        ({"update_create": False}, "single-requests: the server gives ids of its own", CheckState.OK),
        ({"takes": ["Patient"]}, "return-only: the server does not say", CheckState.WARNING),
        ({"takes": ["CarePlan"]}, "It does not take Device, Task, GuidanceResponse", CheckState.WARNING),
    ],
)
async def test_the_tier_comes_with_its_reason(traits: dict[str, Any], tier: str, state: CheckState) -> None:
    report = await checked(a_double(**traits))
    assert (report.ready, state_of(report, "tier")) == (True, state)
    assert tier in found(report, "tier")


async def test_what_starts_a_review_is_said() -> None:
    server = stating(a_double(), with_subscriptions)
    reached = settings(fhir_base_url=BASE, public_url="https://service.example")
    off = settings(fhir_base_url=BASE, daily_at="off", sweep_every="off")
    assert found(await checked(server, reached), "triggers").startswith("Subscriptions (rest-hook)")
    assert "TRD_PUBLIC_URL" in found(await checked(server), "triggers")
    by_the_clock = "only the daily review (05:00) and a sweep for changes every 60 minutes: "
    assert found(await checked(a_double(), reached), "triggers").startswith(by_the_clock)
    assert found(await checked(a_double(), off), "triggers").startswith("none: ")
    in_r5 = stating(a_double(fhir_version="5.0.0"), with_subscriptions)
    assert state_of(await checked(in_r5, reached), "triggers") is CheckState.WARNING
    topics = reached.model_copy(update={"topics": ("http://ehr/topic/a",)})
    assert found(await checked(in_r5, topics), "triggers").startswith("Subscriptions (topics of TRD_TOPICS)")
    in_topics = stating(a_double(fhir_version="5.0.0"), with_topics)
    assert found(await checked(in_topics, reached), "triggers").startswith("Subscriptions (topics)")


async def test_a_subscription_that_delivers_nothing_is_named() -> None:
    server = a_double()
    failed = {"resourceType": "Subscription", "id": "trd-careplan-condition", "status": "error"}
    server.put(failed)
    report = await checked(
        stating(server, with_subscriptions),
        settings(fhir_base_url=BASE, public_url="https://service.example"),
    )
    assert state_of(report, "triggers") is CheckState.WARNING
    assert "deliver nothing: Condition" in found(report, "triggers")


@pytest.mark.parametrize("listed", [True, False])
async def test_where_changes_cannot_be_searched_for_no_sweep_is_promised(
    tmp_path: Path, *, listed: bool
) -> None:
    """The statement shows search parameters of all kinds, and not the one for changes."""

    def without_changes(rest: Resource) -> None:
        for kind in rest["resource"]:
            kind["searchParam"] = [{"name": "_id"}]

    roster = tmp_path / "roster.txt"
    roster.write_text("ann\n", encoding="utf-8")
    chosen = settings(fhir_base_url=BASE, roster=str(roster) if listed else None)
    said = found(await checked(stating(a_double(), without_changes), chosen), "triggers")
    assert said.startswith(f"only the daily review (05:00){' with the roster' if listed else ''}: ")
