"""Settings: environment variables with the prefix `TRD_`, also from a `.env` file. Read nowhere else."""

import os
import re
from datetime import date, time
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from dotenv import dotenv_values
from pydantic import AnyHttpUrl, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from service.errors import SettingsError
from service.ids import ID, is_id

PREFIX = "TRD_"
ENV_FILE = ".env"
_OWNER = re.compile(rf"(Practitioner|PractitionerRole|Organization|CareTeam)/{ID}")
_TIME = re.compile(r"([01]\d|2[0-3]):[0-5]\d")
_OFF = "off"
_SHORTEST_SECRET = 16
_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class Settings(BaseSettings):
    """Every setting, with its default. An unknown `TRD_` variable or a bad value stops the start."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_file=ENV_FILE, extra="ignore", frozen=True)

    fhir_base_url: AnyHttpUrl | None = Field(None, description="Base address of the FHIR server")
    fhir_timeout: Annotated[float, Field(gt=0)] = Field(
        30, description="Seconds to wait for one answer of the FHIR server"
    )
    fhir_attempts: Annotated[int, Field(ge=1, le=10)] = Field(
        4, description="How often a request is tried before it fails"
    )
    fhir_connections: Annotated[int, Field(ge=1, le=100)] = Field(
        8, description="Largest number of requests to the FHIR server at the same time"
    )
    timezone: str = Field("UTC", description="Time zone of the site; determines what day it is")
    criteria: str = Field("seed", description="Criteria set, a file of `mappings/criteria/`")
    region: Literal["us", "eu"] = Field(
        "us", description="Drug label that applies; selects protocols and safety effects"
    )
    clinic_days: Annotated[tuple[str, ...], NoDecode] = Field(
        ("mon", "tue", "wed", "thu", "fri"), description="Weekdays on which sessions are given"
    )
    care_setting: Literal["outpatient", "inpatient"] = Field(
        "outpatient", description="Where sessions are given; selects the REMS tasks that apply"
    )
    country: str | None = Field(
        None, description="Country (ISO 3166) whose public holidays close the clinic; by default the region's"
    )
    subdivision: str | None = Field(None, description="State or province (ISO 3166-2) of `TRD_COUNTRY`")
    closed_days: Annotated[tuple[date, ...], NoDecode] = Field(
        (), description="Further days on which no session is given, as YYYY-MM-DD"
    )
    lead_days: Annotated[int, Field(ge=0, le=365)] = Field(
        7, description="Days from the assessment to the earliest first session"
    )
    mappings: Path | None = Field(
        None, description="Directory of the clinical lists, if not the packaged one"
    )
    host: str = Field("127.0.0.1", description="Address the service listens on")
    port: Annotated[int, Field(ge=0, le=65535)] = Field(8080, description="Port the service listens on")
    database_url: str | None = Field(None, description="Database of the queue; an SQLite file by default")
    write: Literal["on", "off"] = Field("on", description="`off` is shadow mode: the service writes nothing")
    patients_allowed: Annotated[frozenset[str], NoDecode] = Field(
        frozenset(),
        repr=False,
        description="The only patients for whom outcomes are written while you go live: ids separated by "
        "commas, or a file with one id per line",
    )
    daily_at: str = Field(
        "05:00",
        description="Time of the daily review at the site, as HH:MM; `off` for no daily review",
    )
    task_owner: str | None = Field(
        None,
        description="Owner of the Tasks that the service raises: `Practitioner/<id>`, "
        "`PractitionerRole/<id>`, `Organization/<id>` or `CareTeam/<id>`",
    )
    hook_secret: SecretStr | None = Field(None, description="Secret that notifications must present")
    api_token: SecretStr | None = Field(
        None, description="Bearer token that callers of operations must present"
    )
    workers: Annotated[int | None, Field(ge=1, le=32)] = Field(
        None,
        description="Processes that read large records; by default one less than there are processors, at "
        "most 2",
    )
    public_url: AnyHttpUrl | None = Field(
        None, description="Address under which other systems reach the service"
    )

    @field_validator("clinic_days", mode="before")
    @classmethod
    def _split_days(cls, value: object) -> object:
        """Read "mon,wed,fri"."""
        if isinstance(value, str):
            return tuple(day.strip().lower()[:3] for day in value.split(",") if day.strip())
        return value

    @field_validator("clinic_days")
    @classmethod
    def _known_days(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value or set(value) - set(_WEEKDAYS):
            raise ValueError(f"weekdays of {', '.join(_WEEKDAYS)}, at least one")
        return value

    @field_validator("closed_days", mode="before")
    @classmethod
    def _split_closed_days(cls, value: object) -> object:
        """Read "2026-12-24,2026-12-31"."""
        if isinstance(value, str):
            return tuple(day.strip() for day in value.split(",") if day.strip())
        return value

    @field_validator("patients_allowed", mode="before")
    @classmethod
    def _read_patients(cls, value: object) -> object:
        """Read "17,18", or a file with an id a line, where `#` begins a remark. `Patient/17` is 17."""
        if not isinstance(value, str):
            return value
        if not value.strip():
            return frozenset()
        names = _lines_of(Path(value.strip())) if Path(value.strip()).is_file() else value.split(",")
        found = frozenset(name.strip().removeprefix("Patient/") for name in names if name.strip())
        if not found or not all(map(is_id, found)):
            raise ValueError("neither ids of patients, separated by commas, nor a file with one a line")
        return found

    @field_validator("hook_secret", "api_token")
    @classmethod
    def _long_enough(cls, value: SecretStr | None) -> SecretStr | None:
        """An empty secret is none."""
        if value is not None and 0 < len(value.get_secret_value()) < _SHORTEST_SECRET:
            raise ValueError(f"shorter than {_SHORTEST_SECRET} characters")
        return value

    @field_validator("country", "subdivision")
    @classmethod
    def _in_capitals(cls, value: str | None) -> str | None:
        return value.strip().upper() or None if value is not None else None

    @field_validator("task_owner")
    @classmethod
    def _known_owner(cls, value: str | None) -> str | None:
        if value is None or not value.strip():
            return None
        if not _OWNER.fullmatch(value.strip()):
            raise ValueError(
                "not Practitioner/<id>, PractitionerRole/<id>, Organization/<id> or CareTeam/<id>"
            )
        return value.strip()

    @field_validator("daily_at")
    @classmethod
    def _known_time(cls, value: str) -> str:
        if value != _OFF and not _TIME.fullmatch(value):
            raise ValueError("neither a time of the day, as HH:MM, nor off")
        return value

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError):
            raise ValueError("not a time zone of the IANA database") from None
        return value

    @property
    def writes(self) -> bool:
        """Whether anything may be written to the FHIR server; otherwise the service is in shadow mode."""
        return self.write == "on"

    def allows(self, patient_id: str) -> bool:
        """Whether the list of patients, if there is one, lets this patient be written for."""
        return not self.patients_allowed or patient_id in self.patients_allowed

    @property
    def daily_time(self) -> time | None:
        """When the daily review is due at the site; `None` for never."""
        return None if self.daily_at == _OFF else time.fromisoformat(self.daily_at)

    @property
    def weekdays(self) -> frozenset[int]:
        """Clinic days as numbers, Monday is 0."""
        return frozenset(_WEEKDAYS.index(day) for day in self.clinic_days)


def _lines_of(path: Path) -> list[str]:
    try:
        return [line.partition("#")[0] for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError):
        raise ValueError("the file cannot be read") from None


def load_settings(**overrides: object) -> Settings:
    """Read the settings; `overrides` are those given on the command line.

    Raises `SettingsError` that names each variable at fault and why. Values are never repeated.
    """
    known = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    given = {*os.environ, *dotenv_values(ENV_FILE)}
    unknown = sorted(name for name in given if name.startswith(PREFIX) and name not in known)
    if unknown:
        raise SettingsError(f"unknown setting: {', '.join(unknown)}")
    try:
        chosen: dict[str, Any] = {name: value for name, value in overrides.items() if value is not None}
        return Settings(**chosen)
    except ValidationError as error:
        faults = error.errors(include_input=False, include_url=False, include_context=False)
        lines = [f"{_variable(fault['loc'])}: {fault['msg']}" for fault in faults]
        raise SettingsError("\n".join(lines)) from None


def _variable(path: tuple[int | str, ...]) -> str:
    name = str(path[0]) if path else "settings"
    name = name.removeprefix(PREFIX.lower())
    return f"{PREFIX}{name.upper()}"
