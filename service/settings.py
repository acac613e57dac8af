"""Settings: environment variables with the prefix `TRD_`, also from a `.env` file. Read nowhere else."""

import io
import json
import os
import re
from collections.abc import Mapping
from datetime import date, time, timedelta
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_args
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from dotenv import dotenv_values
from dotenv.parser import parse_stream
from pydantic import AnyHttpUrl, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from service.errors import SettingsError
from service.ids import ID, is_id

PREFIX = "TRD_"
ENV_FILE = ".env"
DEFAULT_DATABASE_URL: Final = "sqlite:///trd-careplan.sqlite"
_AUTHOR = re.compile(rf"(Practitioner|PractitionerRole|Organization|Device)/{ID}")
_OWNER = re.compile(rf"(Practitioner|PractitionerRole|Organization|CareTeam)/{ID}")
_TIME = re.compile(r"([01]\d|2[0-3]):[0-5]\d")
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_MINUTES = re.compile(r"[1-9]\d{0,3}")
_LONGEST_INTERVAL = 1440
_GROUP = re.compile(rf"Group/{ID}")
_SYSTEM = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^\s|,$\\]{1,200}")
_OFF = "off"
_SHORTEST_SECRET = 16
_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_FULL_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_FILE_NAME = re.compile(r".*\.[a-z]{2,5}")


class Settings(BaseSettings):
    """Every setting, with its default. An unknown `TRD_` variable or a bad value stops the start."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_file=ENV_FILE, extra="ignore", frozen=True)

    fhir_base_url: AnyHttpUrl | None = Field(None, description="Base address of the FHIR server")
    fhir_timeout: Annotated[float, Field(gt=0, le=3600)] = Field(
        30, description="Seconds to wait for one answer of the FHIR server"
    )
    fhir_attempts: Annotated[int, Field(ge=1, le=10)] = Field(
        4, description="How often a request is tried before it fails"
    )
    fhir_connections: Annotated[int, Field(ge=1, le=100)] = Field(
        8, description="Largest number of requests to the FHIR server at the same time"
    )
    fhir_rate: Annotated[float, Field(gt=0, le=1000)] | None = Field(
        None, description="Largest number of requests to the FHIR server a second, if it is to be limited"
    )
    fhir_dialect: str | None = Field(
        None,
        description="Dialect of the FHIR server, a file of `mappings/servers/`, if not the one it is "
        "recognised by",
    )
    fhir_auth: Literal["none", "smart", "client-secret", "bearer", "basic"] = Field(
        "none", description="How the service shows the FHIR server who it is"
    )
    fhir_client_id: str | None = Field(
        None, description="Name of this client, for `smart` and `client-secret`"
    )
    fhir_key: Path | None = Field(
        None, description="File with the private key for `smart`: JSON Web Key, a set of them, or PEM"
    )
    fhir_client_secret: SecretStr | None = Field(
        None, description="Secret of this client, for `client-secret`"
    )
    fhir_token_url: AnyHttpUrl | None = Field(
        None, description="Address of the token server, where the FHIR server does not state it"
    )
    fhir_scopes: str | None = Field(
        None, description="Scopes to ask for, if not those of what is read and written"
    )
    fhir_token_file: Path | None = Field(
        None, description="File with the token for `bearer`; it may be replaced at any time"
    )
    fhir_user: str | None = Field(None, description="User name for `basic`")
    fhir_password: SecretStr | None = Field(None, description="Password for `basic`")
    fhir_headers: SecretStr | None = Field(
        None, description='Further headers for the FHIR server, as `{"name": "value"}`'
    )
    fhir_ca: Path | None = Field(
        None, description="File with the certificates to trust, if not those of the system (PEM)"
    )
    fhir_cert: Path | None = Field(
        None, description="File with the certificate of this client and its private key (PEM)"
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
    site_mappings: Path | None = Field(
        None, description="Directory of the site's own lists, whose codes are added to the clinical lists"
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
    sweep_every: str = Field(
        "60",
        description="Minutes from one search for changed records to the next, 1 to 1440; `off` for none",
    )
    roster: str | None = Field(
        None,
        repr=False,
        description="Whom to review daily beside those with a plan: `Group/<id>` of the FHIR server, or a "
        "file with one patient per line",
    )
    task_owner: str | None = Field(
        None,
        description="Owner of the Tasks that the service raises: `Practitioner/<id>`, "
        "`PractitionerRole/<id>`, `Organization/<id>` or `CareTeam/<id>`",
    )
    document_author: str | None = Field(
        None,
        description="Author of the documents on a server that takes no CarePlan: `Practitioner/<id>`, "
        "`PractitionerRole/<id>`, `Organization/<id>` or `Device/<id>`; by default the service itself",
    )
    hl7v2_authorities: Annotated[Mapping[str, str], NoDecode] = Field(
        {},
        description="Systems of identifiers by the assigning authority that HL7 v2 messages name, as "
        '`{"authority": "system"}`',
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

    cds_clients: Annotated[dict[str, str], NoDecode] = Field(
        {},
        description="Who may call CDS Hooks: the issuers of tokens, each with the address of its keys, as "
        '`{"issuer": "address"}`',
    )
    cds_fhir_servers: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="FHIR servers that a caller of CDS Hooks may have the service read, beside "
        "`TRD_FHIR_BASE_URL`; addresses separated by commas",
    )

    topics: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Canonical addresses of the topics to subscribe to, in place of those of this service"
    )

    @field_validator("topics", mode="before")
    @classmethod
    def _split_topics(cls, value: object) -> object:
        """Read addresses that are separated by commas."""
        if isinstance(value, str):
            return tuple(topic.strip() for topic in value.split(",") if topic.strip())
        return value

    @field_validator("topics")
    @classmethod
    def _absolute_topics(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not all(topic.startswith(("http://", "https://", "urn:")) for topic in value):
            raise ValueError("absolute addresses, separated by commas")
        return value

    @field_validator("clinic_days", mode="before")
    @classmethod
    def _split_days(cls, value: object) -> object:
        """Read "mon,wed,fri"."""
        if isinstance(value, str):
            days = (day.strip().lower() for day in value.split(",") if day.strip())
            return tuple(day[:3] if _is_weekday(day) else day for day in days)
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

    @field_validator("cds_clients", mode="before")
    @classmethod
    def _read_clients(cls, value: object) -> object:
        """Read a JSON object of texts."""
        if not isinstance(value, str) or not value.strip():
            return value or {}
        try:
            found = json.loads(value)
        except ValueError:
            found = None
        if not isinstance(found, dict) or not all(isinstance(one, str) for one in found.values()):
            raise ValueError('not issuers with the addresses of their keys, as {"issuer": "address"}')
        return found

    @field_validator("cds_fhir_servers", mode="before")
    @classmethod
    def _split_servers(cls, value: object) -> object:
        """Read "https://ehr.example.org/r4,https://other.example.org/fhir"."""
        if isinstance(value, str):
            return tuple(one.strip().rstrip("/") for one in value.split(",") if one.strip())
        return value

    @field_validator("cds_fhir_servers")
    @classmethod
    def _proper_servers(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not all(map(is_web_address, value)):
            raise ValueError("not addresses that start with http:// or https://, without a user")
        return value

    @field_validator("patients_allowed", mode="before")
    @classmethod
    def _read_patients(cls, value: object) -> object:
        """Read "17,18", or a file with an id a line, where `#` begins a remark. `Patient/17` is 17."""
        if not isinstance(value, str):
            return value
        if not value.strip():
            return frozenset()
        path = Path(value.strip())
        if _FILE_NAME.fullmatch(value.strip()) and not path.is_file():
            raise ValueError("there is no such file")
        names = _lines_of(path) if path.is_file() else value.split(",")
        found = frozenset(name.strip().removeprefix("Patient/") for name in names if name.strip())
        if not found or not all(map(is_id, found)):
            raise ValueError("neither ids of patients, separated by commas, nor a file with one a line")
        return found

    @field_validator("hl7v2_authorities", mode="before")
    @classmethod
    def _read_authorities(cls, value: object) -> object:
        """Read a JSON object; a system may not hold what ends it in a search."""
        found = _json_object(value.strip() or "{}") if isinstance(value, str) else value
        if not isinstance(found, Mapping) or not all(map(_is_system, found.values())):
            raise ValueError('not systems of identifiers, as {"authority": "system"}')
        return dict(found)

    @field_validator("hook_secret", "api_token")
    @classmethod
    def _long_enough(cls, value: SecretStr | None) -> SecretStr | None:
        """An empty secret is none. It has to fit in a header as it is."""
        secret = "" if value is None else value.get_secret_value()
        if 0 < len(secret) < _SHORTEST_SECRET:
            raise ValueError(f"shorter than {_SHORTEST_SECRET} characters")
        if not (secret.isascii() and secret.isprintable() and secret == secret.strip()):
            raise ValueError("not only letters, digits and signs of ASCII, without spaces at the ends")
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

    @field_validator("document_author")
    @classmethod
    def _known_author(cls, value: str | None) -> str | None:
        if value is None or not value.strip():
            return None
        if not _AUTHOR.fullmatch(value.strip()):
            raise ValueError("not Practitioner/<id>, PractitionerRole/<id>, Organization/<id> or Device/<id>")
        return value.strip()

    @field_validator("daily_at")
    @classmethod
    def _known_time(cls, value: str) -> str:
        if value != _OFF and not _TIME.fullmatch(value):
            raise ValueError("neither a time of the day, as HH:MM, nor off")
        return value

    @field_validator("mappings")
    @classmethod
    def _known_directory(cls, value: Path | None) -> Path | None:
        if value is not None and not value.is_dir():
            raise ValueError("there is no such directory")
        return value

    @field_validator("sweep_every")
    @classmethod
    def _known_interval(cls, value: str) -> str:
        if value != _OFF and not (_MINUTES.fullmatch(value) and int(value) <= _LONGEST_INTERVAL):
            raise ValueError("neither minutes, 1 to 1440, nor off")
        return value

    @field_validator("roster")
    @classmethod
    def _known_roster(cls, value: str | None) -> str | None:
        if value is None or not value.strip():
            return None
        if not is_roster(value.strip()):
            raise ValueError("neither Group/<id> nor a file")
        return value.strip()

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError):
            raise ValueError("not a time zone of the IANA database") from None
        return value

    @field_validator("fhir_base_url", "fhir_token_url", "public_url")
    @classmethod
    def _bare_address(cls, value: AnyHttpUrl | None) -> AnyHttpUrl | None:
        if value is not None and (value.username or value.password):
            raise ValueError("no user and password in the address: set TRD_FHIR_AUTH=basic")
        if value is not None and (value.query is not None or value.fragment is not None):
            raise ValueError("an address without ? and #")
        return value

    @field_validator("fhir_headers")
    @classmethod
    def _proper_headers(cls, value: SecretStr | None) -> SecretStr | None:
        """Refuse what is no JSON object of texts that fit in a header."""
        if value is not None:
            _headers_in(value)
        return value

    @property
    def headers(self) -> dict[str, str]:
        """The further headers for the FHIR server."""
        return {} if self.fhir_headers is None else _headers_in(self.fhir_headers)

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
    def sweep_interval(self) -> timedelta | None:
        """How often the server is searched for changed records; `None` for never."""
        return None if self.sweep_every == _OFF else timedelta(minutes=int(self.sweep_every))

    @property
    def weekdays(self) -> frozenset[int]:
        """Clinic days as numbers, Monday is 0."""
        return frozenset(_WEEKDAYS.index(day) for day in self.clinic_days)


def _is_weekday(written: str) -> bool:
    """Whether a day is written out, or cut after three letters or later."""
    return len(written) >= len("mon") and any(day.startswith(written) for day in _FULL_WEEKDAYS)


def is_web_address(text: str) -> bool:
    """Whether a text is an address of the web that names no user."""
    try:
        url = urlsplit(text)
        return url.scheme in {"http", "https"} and bool(url.hostname) and "@" not in url.netloc
    except ValueError:
        return False


def is_roster(text: str) -> bool:
    """Whether a text names a roster: `Group/<id>`, or a file that is there."""
    return bool(_GROUP.fullmatch(text)) or Path(text).is_file()


def _json_object(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _is_system(value: object) -> bool:
    return isinstance(value, str) and _SYSTEM.fullmatch(value) is not None


def _headers_in(value: SecretStr) -> dict[str, str]:
    found = _json_object(value.get_secret_value())
    if not isinstance(found, dict) or not all(map(_is_header, found.items())):
        raise ValueError('not headers, as {"name": "value"}')
    return found


def _is_header(item: tuple[object, object]) -> bool:
    name, value = item
    proper = isinstance(name, str) and isinstance(value, str) and _HEADER.fullmatch(name)
    return bool(proper) and str(value).isascii() and str(value).isprintable()


def _lines_of(path: Path) -> list[str]:
    try:
        return [line.partition("#")[0] for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError):
        raise ValueError("the file cannot be read") from None


def load_settings(**overrides: object) -> Settings:
    """Read the settings; `overrides` are those given on the command line.

    A secret may be in a file, which the variable with `_FILE` behind its name names. Raises `SettingsError`
    that names each variable at fault and why. Values are never repeated.
    """
    given = {**_read_env_file(), **os.environ}
    unknown = sorted(name for name in given if name.startswith(PREFIX) and name not in _KNOWN)
    if unknown:
        raise SettingsError(f"unknown setting: {', '.join(unknown)}")
    try:
        chosen: dict[str, Any] = {name: value for name, value in overrides.items() if value is not None}
        return Settings(**{**_secrets_in_files(given), **chosen})
    except ValidationError as error:
        faults = error.errors(include_input=False, include_url=False, include_context=False)
        lines = [
            f"{_variable(fault['loc'])}: {fault['msg'].removeprefix('Value error, ')}" for fault in faults
        ]
        raise SettingsError("\n".join(lines)) from None


def _read_env_file() -> dict[str, str | None]:
    """What the `.env` file sets, if there is one; raises `SettingsError` where it cannot be read."""
    try:
        text = Path(ENV_FILE).read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise SettingsError(f"{ENV_FILE}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{ENV_FILE}: cannot be read (it is not UTF-8)") from None
    for line in parse_stream(io.StringIO(text)):
        without_value = (line.key or "").startswith(PREFIX) and line.value is None
        if line.error or without_value:
            content = line.original.string
            blank = content[: len(content) - len(content.lstrip())].count("\n")
            number = line.original.line + blank
            raise SettingsError(f"{ENV_FILE}: line {number} is not of the form NAME=VALUE")
    return dotenv_values(stream=io.StringIO(text))


_SECRETS = frozenset(
    name
    for name, field in Settings.model_fields.items()
    if SecretStr in (field.annotation, *get_args(field.annotation))
)
_KNOWN = frozenset(f"{PREFIX}{name.upper()}" for name in Settings.model_fields) | {
    f"{PREFIX}{name.upper()}_FILE" for name in _SECRETS
}


def _secrets_in_files(given: Mapping[str, str | None]) -> dict[str, str]:
    found = {}
    for name in sorted(_SECRETS):
        variable = f"{PREFIX}{name.upper()}"
        path = given.get(f"{variable}_FILE")
        if not path:
            continue
        if given.get(variable):
            raise SettingsError(f"{variable}: set here and in {variable}_FILE")
        try:
            found[name] = Path(path).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError):
            raise SettingsError(f"{variable}_FILE: the file cannot be read") from None
    return found


def _variable(path: tuple[int | str, ...]) -> str:
    name = str(path[0]) if path else "settings"
    name = name.removeprefix(PREFIX.lower())
    return f"{PREFIX}{name.upper()}"
