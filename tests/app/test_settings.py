"""Settings: what is refused, and that no value is repeated in a message."""

import asyncio
import io
import json
from datetime import time
from pathlib import Path

import pytest

from service.errors import SettingsError, SetupError
from service.queue.database import open_database
from service.server import serving
from service.settings import Settings, load_settings
from service.telemetry.logs import configure_logs
from tests.servers.doubles import running_double
from tests.support import settings

BAD = {
    "TRD_TYPO": ("x", "unknown setting: TRD_TYPO"),
    "TRD_PORT": ("eighty", "TRD_PORT: "),
    "TRD_LEAD_DAYS": ("-1", "TRD_LEAD_DAYS: "),
    "TRD_REGION": ("mars", "TRD_REGION: "),
    "TRD_TIMEZONE": ("Mars/Olympus", "TRD_TIMEZONE: "),
    "TRD_CLINIC_DAYS": ("mon,someday", "TRD_CLINIC_DAYS: "),
    "TRD_FHIR_BASE_URL": ("not-an-address", "TRD_FHIR_BASE_URL: "),
    "TRD_DAILY_AT": ("24:00", "TRD_DAILY_AT: "),
    "TRD_WRITE": ("maybe", "TRD_WRITE: "),
    "TRD_PATIENTS_ALLOWED": ("17,Anna Canary", "TRD_PATIENTS_ALLOWED: "),
}


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("name", BAD)
def test_a_bad_value_names_the_variable_and_not_the_value(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    value, message = BAD[name]
    monkeypatch.setenv(name, value)

    with pytest.raises(SettingsError) as refused:
        load_settings()

    assert message in str(refused.value)
    assert value == "x" or value not in str(refused.value).removeprefix(name)


def test_an_unknown_name_in_the_env_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("TRD_TYPO=1\n")

    with pytest.raises(SettingsError, match="TRD_TYPO"):
        load_settings()


def test_other_names_in_the_env_file_are_none_of_our_business(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("POSTGRES_PASSWORD=x\nTRD_PORT=9000\n")

    assert load_settings().port == 9000


def test_clinic_days_are_read_as_people_write_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRD_CLINIC_DAYS", "Monday, Wed ,fri")

    assert load_settings().weekdays == {0, 2, 4}


@pytest.mark.parametrize(
    ("written", "expected"), [("00:00", time(0)), ("05:00", time(5)), ("23:59", time(23, 59)), ("off", None)]
)
def test_the_daily_review_has_a_time_or_is_off(
    written: str, expected: time | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRD_DAILY_AT", written)

    assert load_settings().daily_time == expected


@pytest.mark.parametrize("written", ["5:00", "05:60", "05:00:00", "never", ""])
def test_what_is_no_time_of_the_day_stops_the_start(written: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRD_DAILY_AT", written)

    with pytest.raises(SettingsError, match="TRD_DAILY_AT: "):
        load_settings()


def test_a_secret_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRD_API_TOKEN", "do-not-show-this")

    assert "do-not-show" not in repr(load_settings())


LONG = "a_b." * 22


@pytest.mark.parametrize("given", [f"17, Patient/b-2, {LONG}", "patients.txt"], ids=["a list", "a file"])
def test_patients_that_may_be_written_for(
    given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "patients.txt").write_text(f"17  # the first\n\nPatient/b-2\n{LONG}\n", encoding="utf-8")
    monkeypatch.setenv("TRD_PATIENTS_ALLOWED", given)

    found = load_settings()

    assert found.patients_allowed == {"17", "b-2", LONG}
    assert (found.allows("17"), found.allows("18")) == (True, False)
    assert "b-2" not in repr(found)


@pytest.mark.parametrize("given", [None, "", " "])
def test_without_a_list_of_patients_everyone_is_written_for(
    given: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if given is not None:
        monkeypatch.setenv("TRD_PATIENTS_ALLOWED", given)

    assert load_settings().allows("anyone")


@pytest.mark.parametrize("content", [b"", b"# nobody yet\n", b"\xff\xfe", b"Anna Canary\n"])
def test_a_file_of_patients_that_names_none_is_refused(
    content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "patients.txt").write_bytes(content)
    monkeypatch.setenv("TRD_PATIENTS_ALLOWED", "patients.txt")

    with pytest.raises(SettingsError, match="TRD_PATIENTS_ALLOWED"):
        load_settings()


def test_authorities_are_systems_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings().hl7v2_authorities == {}
    monkeypatch.setenv("TRD_HL7V2_AUTHORITIES", "")
    assert load_settings().hl7v2_authorities == {}
    monkeypatch.setenv("TRD_HL7V2_AUTHORITIES", '{"HOSP": "urn:oid:1.2.3", "": "http://x.example/mrn"}')
    assert load_settings().hl7v2_authorities == {"HOSP": "urn:oid:1.2.3", "": "http://x.example/mrn"}


@pytest.mark.parametrize(
    "given", ["HOSP", "[]", '"x"', '{"HOSP": 1}', '{"HOSP": ""}', '{"HOSP": "1.2.3"}', '{"HOSP": "urn:a|b"}']
)
def test_authorities_that_are_none_stop_the_start(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRD_HL7V2_AUTHORITIES", given)
    with pytest.raises(SettingsError, match="TRD_HL7V2_AUTHORITIES: "):
        load_settings()


SECRETS = (
    "TRD_API_TOKEN",
    "TRD_HOOK_SECRET",
    "TRD_FHIR_CLIENT_SECRET",
    "TRD_FHIR_PASSWORD",
    "TRD_FHIR_HEADERS",
)


@pytest.mark.parametrize("variable", SECRETS)
def test_a_secret_may_be_in_a_file(variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, value = tmp_path / "secret", '{"X-Key": "0123456789abcdef"}'
    path.write_text(f"{value}\n", encoding="utf-8")
    monkeypatch.setenv(f"{variable}_FILE", str(path))
    found = getattr(load_settings(), variable.removeprefix("TRD_").lower())
    assert found.get_secret_value() == value
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError, match=f"{variable}: set here and in {variable}_FILE"):
        load_settings()
    monkeypatch.delenv(variable)
    monkeypatch.setenv(f"{variable}_FILE", str(tmp_path / "nowhere"))
    with pytest.raises(SettingsError, match=f"{variable}_FILE: the file cannot be read"):
        load_settings()


@pytest.mark.parametrize(
    "written", ["X-Key: a", "[]", '{"X Key": "a"}', '{"X-Key": 3}', '{"X-Key": "a\\nb"}']
)
def test_what_are_no_headers_stops_the_start(written: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRD_FHIR_HEADERS", written)
    with pytest.raises(SettingsError, match="TRD_FHIR_HEADERS") as told:
        load_settings()
    assert written not in str(told.value)


def test_credentials_in_the_address_stop_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRD_FHIR_BASE_URL", "https://ann:secret@fhir.example/r4")
    with pytest.raises(SettingsError, match=r"TRD_FHIR_BASE_URL: .*TRD_FHIR_AUTH=basic") as told:
        load_settings()
    assert "secret" not in str(told.value)


BAD_VALUES: dict[str, tuple[str, ...]] = {
    "fhir_base_url": (
        "fhir.example",
        "ftp://fhir.example/r4",
        "https://a:b@fhir.example",
        "https://x.example?a=b",
    ),
    "fhir_timeout": ("0", "-1", "inf", "nan", "soon"),
    "fhir_attempts": ("0", "11", "1.5", "many"),
    "fhir_connections": ("0", "101", "many"),
    "fhir_rate": ("0", "-1", "inf", "nan", "fast"),
    "fhir_dialect": ("klingon",),
    "fhir_auth": ("password", "SMART"),
    "fhir_headers": ("X-Key: a", "[]"),
    "fhir_token_url": ("token.example", "https://a:b@token.example/token", "https://token.example/token#x"),
    "fhir_ca": ("/nowhere/ca.pem",),
    "fhir_cert": ("/nowhere/cert.pem",),
    "timezone": ("Mars/Olympus", "CEST+", ""),
    "criteria": ("best", "../seed", ""),
    "region": ("mars", "US"),
    "clinic_days": ("montag", "mon,someday", "monday-friday", "mo,tu", "1,2", "mon;tue", "", ","),
    "care_setting": ("home",),
    "country": ("Atlantis", "XX"),
    "subdivision": ("XX",),
    "closed_days": ("24.12.2026", "2026-02-30", "christmas"),
    "lead_days": ("-1", "366", "a week"),
    "mappings": ("/nowhere",),
    "host": ("no such host",),
    "port": ("-1", "65536", "eighty"),
    "database_url": ("mysql://x/y", "queue.sqlite"),
    "write": ("maybe", "true"),
    "site_mappings": ("/nowhere",),
    "sweep_every": ("0", "1441", "hourly", "1.5"),
    "hl7v2_authorities": ("HOSP=urn:x", "[]", '{"HOSP": 3}', '{"HOSP": "urn:x|y"}'),
    "document_author": ("Patient/1", "ann", "Practitioner/.."),
    "cds_clients": ("https://ehr.example", "[]", '{"https://ehr.example": 3}'),
    "cds_fhir_servers": ("ehr.example", "https://a:b@ehr.example"),
    "topics": ("visits", "https://a.example/topic,visits"),
    "roster": ("/nowhere/roster.txt", "Group/..", "Patient/1"),
    "patients_allowed": ("17,Anna Canary", "patients.txt", "/nowhere/patients.txt"),
    "daily_at": ("24:00", "5", "noon"),
    "task_owner": ("Patient/1", "ann", "Practitioner/.."),
    "hook_secret": ("short", "\u00e4" * 20, " 0123456789abcdef", "0123456789\n0123456789"),
    "api_token": ("short", "\u00e4" * 20, "0123456789abcdef "),
    "workers": ("0", "33", "many"),
    "public_url": ("trd.example", "ftp://trd.example", "https://a:b@trd.example"),
}
ANY_VALUE = {
    "fhir_client_id": "the token server decides",
    "fhir_client_secret": "the token server decides",
    "fhir_scopes": "the token server decides",
    "fhir_user": "the FHIR server decides",
    "fhir_password": "the FHIR server decides",
    "fhir_key": "read where TRD_FHIR_AUTH asks for it; `keys` makes it",
    "fhir_token_file": "it may be put there at any time",
}


def test_each_setting_has_bad_values_or_a_reason_why_any_is_good() -> None:
    assert {*BAD_VALUES, *ANY_VALUE} == set(Settings.model_fields)
    assert not {*BAD_VALUES} & {*ANY_VALUE}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in BAD_VALUES.items() for value in values]
)
async def test_every_bad_value_stops_the_start_with_its_name_and_a_reason(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fine = {"TRD_FHIR_BASE_URL": "http://127.0.0.1:1/fhir", "TRD_PORT": "0", "TRD_DAILY_AT": "off"}
    secrets = {"TRD_API_TOKEN": "0123456789abcdef", "TRD_HOOK_SECRET": "0123456789abcdef"}
    variable = f"TRD_{name.upper()}"
    for other, good in {**fine, **secrets, variable: value}.items():
        monkeypatch.setenv(other, good)

    with pytest.raises(SetupError) as refused:
        async with serving(load_settings()):
            pass

    (line,) = str(refused.value).splitlines()
    assert variable in line.partition(": ")[0]
    assert len(line.partition(": ")[2]) > 10
    assert "Value error" not in line


async def test_the_log_at_the_start_names_what_the_service_works_with() -> None:
    out = io.StringIO()
    configure_logs(out)
    with running_double() as base:
        chosen = settings(fhir_base_url=base, port=0, daily_at="05:00", write="off")
        async with serving(chosen):
            while "service-connected" not in out.getvalue():  # noqa: ASYNC110 - a log has no event
                await asyncio.sleep(0.01)

    (line,) = [json.loads(one) for one in out.getvalue().splitlines() if "service-connected" in one]
    assert line["server"] == base
    assert line["queue"] == "sqlite:///trd-careplan.sqlite"
    assert (line["mode"], line["tier"]) == ("shadow", "transaction")
    assert line["triggers"] == "operations, notifications, daily review at 05:00 UTC, sweep every 60 minutes"


def test_the_queue_is_named_without_credentials() -> None:
    name = open_database("postgresql://ann:secret@db.example:5433/trd?password=other").name

    assert name == "postgresql://db.example:5433/trd"
