"""Settings: what is refused, and that no value is repeated in a message."""

from datetime import time
from pathlib import Path

import pytest

from service.errors import SettingsError
from service.settings import load_settings

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
