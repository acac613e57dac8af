"""The command `check`: what this service can do with the configured FHIR server, before it is connected.

Every finding says what was found, and what to do where it is not as it should be. Nothing is written, and
nothing of a record is shown.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from http import HTTPStatus
from statistics import median
from typing import NamedTuple
from urllib.parse import urlsplit

from rich.table import Table
from rich.text import Text

from service import clock
from service.commands.compare import PrintedPart
from service.core.knowledge import Knowledge
from service.core.plans import WriteTier
from service.core.records import MEDICINE_RECORDS
from service.errors import (
    NoServerThere,
    NotAuthorized,
    NotFhir,
    NotJson,
    ServerError,
    ServerRefused,
    ServerUnreachable,
)
from service.fhir.client import FhirClient, open_client
from service.fhir.kinds import EVERYTHING_KINDS, READ_KINDS, SCREENED_KINDS, SEARCHED_KINDS, WRITTEN_KINDS
from service.fhir.outcomes import Completeness, is_outcome, read_completeness
from service.fhir.release import Release
from service.fhir.scopes import lacking_to_read, lacking_to_write, names_kinds
from service.fhir.sources import take_resource
from service.fhir.target import Target
from service.fhir.views import BundleView, ResourceCapability
from service.gather.changes import find_swept_kinds
from service.gather.searches import search_parameters
from service.render.terminal import Terminal
from service.settings import Settings

_NOBODY = "trd-careplan-check"
"""An id that no server has."""
_NOT_THERE = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.GONE})
_UNKNOWN_PATIENT = _NOT_THERE | {HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY}
"""How a server may answer a search for the records of a patient that it does not have."""
_CLOCKS_APART_SECONDS = 60
_LONGEST_APART_SECONDS = 240
"""A signed statement is good for minutes (service/fhir/auth.py)."""
_SLOW_PART = 1 / 3
"""The part of the time allowed for an answer beyond which the slowest one is too near to it."""
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class CheckState(StrEnum):
    """How good a finding is; what failed keeps this service from its work."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


class CheckFinding(PrintedPart):
    """One thing that was checked: what was found, and what to do about it, if anything."""

    name: str
    state: CheckState
    found: str
    to_do: str | None = None


class CheckReport(PrintedPart):
    """What was found of a server; `ready` is whether this service can do its work with it."""

    server: str
    ready: bool
    findings: list[CheckFinding]


def _ok(name: str, found: str) -> CheckFinding:
    return CheckFinding(name=name, state=CheckState.OK, found=found)


def _warning(name: str, found: str, to_do: str) -> CheckFinding:
    return CheckFinding(name=name, state=CheckState.WARNING, found=found, to_do=to_do)


def _failed(name: str, found: str, to_do: str) -> CheckFinding:
    return CheckFinding(name=name, state=CheckState.FAILED, found=found, to_do=to_do)


async def check(settings: Settings, knowledge: Knowledge, patient_id: str | None) -> CheckReport:
    """Check the configured server; every request is sent once.

    Raises `SettingsError` where no server is configured, or what it is to be shown is not there.
    """
    once = settings.model_copy(update={"fhir_attempts": 1})
    unknown = once.model_copy(update={"fhir_auth": "none"})
    async with open_client(once) as client, open_client(unknown) as stranger:
        return await check_server(stranger, client, once, knowledge, patient_id=patient_id)


async def check_server(  # noqa: PLR0913 - who asks, for whom, and the two clocks
    stranger: FhirClient,
    client: FhirClient,
    settings: Settings,
    knowledge: Knowledge,
    *,
    patient_id: str | None = None,
    now: Callable[[], datetime] = clock.now,
    timer: Callable[[], float] = time.monotonic,
) -> CheckReport:
    """Check a server. `stranger` shows it no credentials, `client` those of the settings.

    What a finding stands in the way of is not asked.
    """
    findings = await find_connection(stranger, settings)
    if not _has_failed(findings):
        findings.append(find_clock(stranger.server_time, now(), settings))
        access = await find_access(client, settings)
        findings += access
        if not _has_failed(access):
            asker = _Asker(client, await client.offered(), knowledge, patient_id)
            findings += await find_readable(asker, settings, timer)
            findings += [await find_tier(client, settings), await find_triggers(client, settings)]
    if site := knowledge.site.version:
        findings.append(_ok("site lists", f"{site}; {sum(knowledge.site.rows.values())} rows"))
    return CheckReport(server=_address_of(client.base), ready=not _has_failed(findings), findings=findings)


def _has_failed(findings: Sequence[CheckFinding]) -> bool:
    return any(finding.state is CheckState.FAILED for finding in findings)


def _address_of(base: str) -> str:
    """An address without the password that may be in it."""
    parts = urlsplit(base)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _said(error: ServerError) -> str:
    """An error without the request that it is about, which may name a patient."""
    request, _, said = str(error).partition(": ")
    return said or request


# --- the way to the server ------------------------------------------------------------------------


async def find_connection(stranger: FhirClient, settings: Settings) -> list[CheckFinding]:
    """Whether anything answers at the address, and whether nobody else can listen; any answer will do."""
    address = _address_of(stranger.base)
    try:
        await stranger.probe()
    except NoServerThere:
        pass
    except ServerUnreachable as error:
        if "Certificate" in error.fault or "SSL" in error.fault:
            return [_ok("address", address), _untrusted(error.fault)]
        to_do = (
            "Check TRD_FHIR_BASE_URL, and that the server can be reached from here (name, firewall, proxy)."
        )
        return [_failed("address", f"{address}: {_said(error)}", to_do)]
    except ServerError:
        pass
    return [_ok("address", address), _find_encryption(stranger.base, settings)]


def _untrusted(fault: str) -> CheckFinding:
    return _failed(
        "TLS",
        f"no secure connection is made ({fault})",
        "Set TRD_FHIR_CA to the certificate of the authority that signed the server's; look whether that is "
        "for this name and has not ended. Where the server asks for a certificate, set TRD_FHIR_CERT.",
    )


def _find_encryption(base: str, settings: Settings) -> CheckFinding:
    parts = urlsplit(base)
    if parts.scheme == "https":
        shown = ", and one of ours is shown" if settings.fhir_cert else ""
        return _ok("TLS", f"the server's certificate is trusted{shown}")
    if parts.hostname in _LOOPBACK:
        return _ok("TLS", "not encrypted, on this machine only")
    return _warning("TLS", "not encrypted: everybody on the way can read records", "Use an https address.")


def find_clock(shown: datetime | None, now: datetime, settings: Settings) -> CheckFinding:
    """How far the server's clock is from ours, by the `Date` of an answer."""
    if shown is None:
        return _warning("clock", "the server does not show its time", "Compare the clocks by hand.")
    apart = round((now - shown).total_seconds())
    way = "ahead of" if apart > 0 else "behind"
    found = f"ours is {abs(apart)} s {way} the server's" if apart else "the same as the server's"
    if abs(apart) <= _CLOCKS_APART_SECONDS:
        return _ok("clock", found)
    to_do = "Set both clocks by a time server. A signed statement is good for minutes only."
    too_far = settings.fhir_auth == "smart" and abs(apart) > _LONGEST_APART_SECONDS
    return _failed("clock", found, to_do) if too_far else _warning("clock", found, to_do)


# --- who we are to the server ---------------------------------------------------------------------


async def find_access(client: FhirClient, settings: Settings) -> list[CheckFinding]:
    """Whether the server takes our credentials, and whether it speaks FHIR to us."""
    error: ServerError | None = None
    try:
        release = (await client.release()).name
    except ServerError as fault:
        error = fault
    findings = _find_credentials(client, settings, error)
    if _has_failed(findings):
        return findings
    if error is None:
        return [*findings, _ok("FHIR", f"the server speaks {release}")]
    to_do = "Check TRD_FHIR_BASE_URL: below it, /metadata must answer with a CapabilityStatement of R4 or R5."
    return [*findings, _failed("FHIR", _said(error), to_do)]


def _find_credentials(
    client: FhirClient, settings: Settings, error: ServerError | None
) -> list[CheckFinding]:
    """The token, or what stands for it; `error` is what came of the first request with it."""
    way, granted = settings.fhir_auth, client.granted_scopes
    trouble = _trouble_with_credentials(way, granted, error)
    if trouble is not None:
        return [_failed("token", *trouble)]
    if granted is not None:
        return [_ok("token", "granted"), _find_scopes(granted, settings)]
    if way == "none":
        return [_ok("token", "no credentials are sent (TRD_FHIR_AUTH is none)")]
    return [_ok("token", f"sent as {way}; the searches below show whether it is taken")]


def _trouble_with_credentials(
    way: str, granted: str | None, error: ServerError | None
) -> tuple[str, str] | None:
    """What is wrong with the credentials, and what to do; `None` where nothing is known to be."""
    if isinstance(error, NotAuthorized) or (error is not None and way in _WITH_TOKEN and granted is None):
        return str(error), _TO_DO_ABOUT[way]
    if not isinstance(error, ServerRefused) or error.status != HTTPStatus.UNAUTHORIZED:
        return None
    if way == "none":
        return "the server asks for credentials, and none are sent", _TO_DO_ABOUT[way]
    return f"the server does not take what is sent as {way} (401)", _TO_DO_ABOUT[way]


_WITH_TOKEN = frozenset({"smart", "client-secret"})
_TO_DO_ABOUT = {
    "none": "Set TRD_FHIR_AUTH (docs/connecting.md).",
    "smart": "Check TRD_FHIR_CLIENT_ID, that the public half of TRD_FHIR_KEY is registered, TRD_FHIR_SCOPES, "
    "TRD_FHIR_TOKEN_URL and both clocks.",
    "client-secret": "Check TRD_FHIR_CLIENT_ID, TRD_FHIR_CLIENT_SECRET, TRD_FHIR_SCOPES and "
    "TRD_FHIR_TOKEN_URL.",
    "bearer": "Check TRD_FHIR_TOKEN_FILE, and whatever keeps it fresh.",
    "basic": "Check TRD_FHIR_USER and TRD_FHIR_PASSWORD.",
}


def _find_scopes(granted: str, settings: Settings) -> CheckFinding:
    """Whether the scopes of the token hold for all that is read, and written where it is."""
    if not names_kinds(granted):
        return _ok("scopes", "those granted name no kinds; the searches below show what they allow")
    lacking = {"read": lacking_to_read(granted)}
    if settings.writes:
        lacking["write"] = lacking_to_write(granted)
    if not any(lacking.values()):
        return _ok("scopes", f"granted for all that is {'read and written' if settings.writes else 'read'}")
    listed = "; ".join(f"to {what} {', '.join(kinds)}" for what, kinds in lacking.items() if kinds)
    return _warning("scopes", f"not granted, or not for all: {listed}", "Have the client given these scopes.")


# --- what can be read -----------------------------------------------------------------------------


class _KindAsked(NamedTuple):
    """What came of asking for one kind of resource; `unscreened` where it is left out of every review."""

    kind: str
    finding: CheckFinding
    unscreened: bool = False


@dataclass(frozen=True, slots=True)
class _Asker:
    """Asks a server for one kind after the other, as a review does; without a patient, for nobody."""

    client: FhirClient
    offered: Mapping[str | None, ResourceCapability]
    knowledge: Knowledge
    patient_id: str | None

    @property
    def offers_everything(self) -> bool:
        patient = self.offered.get("Patient")
        return patient is not None and any(one.name == "everything" for one in patient.operation)

    async def ask(self, kind: str) -> _KindAsked:
        """Ask for one kind: a search where a review searches, else one resource by its id."""
        if kind not in self.offered:
            to_do = "Ask the server's operator for it; until then it is left out."
            return _KindAsked(kind, _warning(kind, "the server does not offer it", to_do), unscreened=True)
        try:
            return await (self._search(kind) if kind in SEARCHED_KINDS else self._read(kind))
        except ServerRefused as refused:
            return self._refused(kind, refused)
        except ServerError as error:
            return self._failed(kind, _said(error))

    async def _read(self, kind: str) -> _KindAsked:
        if kind != "Patient" or self.patient_id is None:
            await self.client.get(f"{kind}/{_NOBODY}")
        elif self.offers_everything:
            path, params = f"Patient/{self.patient_id}/$everything", {"_type": "Patient", "_count": "1"}
            await self._first_page(path, params)
        else:
            await self.client.get(f"Patient/{self.patient_id}")
        return _KindAsked(kind, _ok(kind, "read"))

    async def _search(self, kind: str) -> _KindAsked:
        patient_id = self.patient_id or _NOBODY
        params = search_parameters(kind, self.offered[kind], patient_id, self.knowledge)
        match _completeness(await self._first_page(kind, params | {"_count": "1"})):
            case Completeness.COMPLETE:
                return _KindAsked(kind, _ok(kind, "searched"))
            case Completeness.WITHHELD:
                to_do = "Have this client given the right to all of them."
                return _KindAsked(kind, _warning(kind, "the server withholds some", to_do), unscreened=True)
            case Completeness.INCOMPLETE:
                return self._failed(kind, "the answer reports an error of the server")

    async def _first_page(self, path: str, params: dict[str, str]) -> BundleView:
        async for page in self.client.pages(path, params):
            return page
        raise AssertionError  # pragma: no cover - there is a first page, or an error

    def _refused(self, kind: str, refused: ServerRefused) -> _KindAsked:
        searched, known = kind in SEARCHED_KINDS, self.patient_id is not None
        if searched and refused.status == HTTPStatus.FORBIDDEN:
            to_do = "Have this client given the right to it; until then it is left out."
            return _KindAsked(kind, _warning(kind, "the server refuses it (403)", to_do), unscreened=True)
        if searched and refused.status in _UNKNOWN_PATIENT and not known:
            found = f"{_said(refused)}, perhaps because it has no such patient"
            return _KindAsked(kind, _warning(kind, found, "Check again with --patient and a test patient."))
        if refused.status in _NOT_THERE and kind == "Patient" and known:
            return _KindAsked(
                kind, _failed(kind, "the server has no such patient", "Name another by --patient.")
            )
        if refused.status in _NOT_THERE and not searched:
            return _KindAsked(kind, _ok(kind, "may be read"))
        return self._failed(kind, _said(refused))

    def _failed(self, kind: str, found: str) -> _KindAsked:
        """What a review stops at; a search that `$everything` stands for is made in few of them."""
        if self.offers_everything and kind in EVERYTHING_KINDS and kind != "Patient":
            to_do = "Mend it on the server: it is searched for after patients were merged."
            return _KindAsked(kind, _warning(kind, f"{found}; it comes by $everything", to_do))
        return _KindAsked(kind, _failed(kind, found, "Mend it on the server: every review stops at this."))


def _completeness(page: BundleView) -> Completeness:
    told = {_told_by(bytes(entry.resource)) for entry in page.entry}
    return next((one for one in _WORST_FIRST if one in told), Completeness.COMPLETE)


_WORST_FIRST = (Completeness.INCOMPLETE, Completeness.WITHHELD)


def _told_by(content: bytes) -> Completeness:
    try:
        source = take_resource(content)
    except (NotJson, NotFhir):
        return Completeness.INCOMPLETE
    return read_completeness(content) if is_outcome(source) else Completeness.COMPLETE


async def find_readable(asker: _Asker, settings: Settings, timer: Callable[[], float]) -> list[CheckFinding]:
    """Whether each kind can be read, whether that is enough, and how long the server takes."""
    asked, seconds = [], []
    for kind in READ_KINDS:
        started = timer()
        asked.append(await asker.ask(kind))
        seconds.append(timer() - started)
    unscreened = [one.kind for one in asked if one.unscreened]
    return [
        *(one.finding for one in asked),
        *_find_needed(unscreened),
        _find_unscreened([kind for kind in unscreened if kind in SCREENED_KINDS]),
        _find_latency(seconds, settings),
    ]


def _find_needed(unscreened: list[str]) -> list[CheckFinding]:
    """What no decision is possible without."""
    return [
        _failed("record", f"it is read without {what}, so that nothing can be proposed", _TO_DO_ABOUT_KINDS)
        for what, kinds in _NEEDED.items()
        if kinds <= {*unscreened}
    ]


_NEEDED = {
    "the patient": {"Patient"},
    "conditions": {"Condition"},
    "any record of a medicine": MEDICINE_RECORDS - {"Medication"},
}
_TO_DO_ABOUT_KINDS = "Have this client given the right to these kinds, where the server has them."


def _find_unscreened(kinds: list[str]) -> CheckFinding:
    if not kinds:
        return _ok("unscreened", "nothing: every kind that is screened can be read")
    found = f"{', '.join(kinds)}; every answer and every plan says so"
    return _warning("unscreened", found, "Decide whether that is enough (docs/troubleshooting.md).")


def _find_latency(seconds: list[float], settings: Settings) -> CheckFinding:
    slowest = max(seconds)
    found = f"{median(seconds) * 1000:.0f} ms for a request, {slowest * 1000:.0f} ms for the slowest"
    if slowest <= settings.fhir_timeout * _SLOW_PART:
        return _ok("latency", found)
    to_do = f"Raise TRD_FHIR_TIMEOUT ({settings.fhir_timeout:g} s), or find out why the server is slow."
    return _warning("latency", found, to_do)


# --- what is written, and when --------------------------------------------------------------------


async def find_tier(client: FhirClient, settings: Settings) -> CheckFinding:
    """How an outcome would be written, and why that way."""
    try:
        target = await client.target()
    except ServerError as error:
        return _failed("tier", _said(error), "Mend it on the server: how it is written to cannot be told.")
    found = f"{target.tier.value}: {_why(target)}"
    if not settings.writes:
        return _ok("tier", f"{found}. Nothing is written while TRD_WRITE is off")
    if target.tier is WriteTier.RETURN_ONLY:
        to_do = "Have it take CarePlan (create and update), or use the answers as they are returned."
        return _warning("tier", found, to_do)
    left_out = [kind for kind in WRITTEN_KINDS if kind not in target.takes]
    if left_out:
        found = f"{found}. It does not take {', '.join(left_out)}"
        return _warning("tier", found, "See what is then left out (docs/servers.md).")
    return _ok("tier", found)


def _why(target: Target) -> str:
    match target.tier:
        case WriteTier.TRANSACTION:
            return "the server takes all of an outcome at once"
        case WriteTier.SINGLE_REQUESTS if target.names_ids:
            return "the server offers no transactions, so one resource is written after the other"
        case WriteTier.SINGLE_REQUESTS:
            return "the server gives ids of its own, so one resource is written after the other"
        case WriteTier.RETURN_ONLY:
            return "the server does not say that it takes CarePlan (create and update)"


async def find_triggers(client: FhirClient, settings: Settings) -> CheckFinding:
    """What can start a review by itself."""
    daily = await _by_the_clock(client, settings)
    subscription = (await client.offered()).get("Subscription")
    codes = {one.code for one in subscription.interaction} if subscription else set()
    if await client.release() is not Release.R4 or not codes >= {"create", "update"}:
        found = f"{f'only {daily}' if daily else 'none'}: the server offers no Subscription of R4"
        to_do = "See which way fits the server (docs/triggers.md)."
        return _warning("triggers", found, to_do)
    beside = f", {daily}" if daily else ""
    if settings.public_url is None:
        to_do = "Set TRD_PUBLIC_URL to the address at which the server reaches this service."
        return _warning("triggers", f"Subscriptions once TRD_PUBLIC_URL is set{beside}", to_do)
    return _ok("triggers", f"Subscriptions (rest-hook), by trd-careplan subscribe{beside}")


async def _by_the_clock(client: FhirClient, settings: Settings) -> str | None:
    """What is reviewed without being told: what changed, where that can be asked for, and who is listed."""
    kinds = await find_swept_kinds(client)
    ways = []
    if settings.daily_time:
        listed = " with the roster" if settings.roster else ""
        ways.append(f"the daily review ({settings.daily_at}){listed}")
    if settings.sweep_interval and kinds.swept:
        without = f", without {', '.join(kinds.left_out)}" if kinds.left_out else ""
        ways.append(f"a sweep for changes every {settings.sweep_every} minutes{without}")
    return " and ".join(ways) or None


# --- for a terminal -------------------------------------------------------------------------------


def print_check(console: Terminal, report: CheckReport) -> None:
    """Print the findings for a reader, each with what to do."""
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    for _ in ("state", "name"):
        table.add_column(no_wrap=True)
    table.add_column()
    for finding in report.findings:
        said = Text(finding.found)
        if finding.to_do:
            said.append(f"\n→ {finding.to_do}", "italic")
        table.add_row(Text(finding.state.value, _STYLES[finding.state]), finding.name, said)
    console.print(table)
    console.print()
    console.print(_conclusion(report))


_STYLES = {CheckState.OK: "green", CheckState.WARNING: "yellow", CheckState.FAILED: "bold red"}


def _conclusion(report: CheckReport) -> Text:
    warnings = sum(finding.state is CheckState.WARNING for finding in report.findings)
    beside = f" Warnings: {warnings}." if warnings else ""
    if report.ready:
        return Text(f"The service can assess the records of this server.{beside}", "green")
    return Text(f"The service cannot do its work with this server yet.{beside}", "bold red")
