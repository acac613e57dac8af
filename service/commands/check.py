"""The command `check`: what this service can do with the configured FHIR server, before it is connected.

Every finding says what was found, and what to do where it is not as it should be. Nothing is written, and
nothing of a record is shown.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from http import HTTPStatus
from urllib.parse import urlsplit

from rich.text import Text

from service import clock
from service.apply.held import Held, find_general_hold
from service.commands.check_findings import CheckFinding, CheckReport, CheckState, failed, ok, said, warning
from service.commands.check_reading import find_reading
from service.core.knowledge import Knowledge
from service.core.plans import WriteTier
from service.errors import (
    NoServerThere,
    NotAuthorized,
    ServerError,
    ServerRefused,
    ServerUnreachable,
)
from service.fhir.client import FhirClient, open_client
from service.fhir.kinds import READ_KINDS, WATCHED_KINDS, WRITTEN_KINDS
from service.fhir.release import Release
from service.fhir.scopes import lacking_to_read, lacking_to_write, names_kinds, needed_scopes
from service.fhir.target import Target
from service.fhir.views import CapabilityView
from service.gather.changes import find_swept_kinds
from service.gather.identified import PatientName
from service.gather.subscriptions import FAILED_STATUSES
from service.knowledge.dialects import PLAIN
from service.render.terminal import Indented, Terminal
from service.settings import Settings

_CLOCKS_APART_SECONDS = 60
_LONGEST_APART_SECONDS = 240
"""A signed statement is good for minutes (service/fhir/auth.py)."""
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


async def check(settings: Settings, knowledge: Knowledge, patient: PatientName | None) -> CheckReport:
    """Check the configured server; every request is sent once.

    Raises `SettingsError` where no server is configured, or what it is to be shown is not there.
    """
    once = settings.model_copy(update={"fhir_attempts": 1})
    unknown = once.model_copy(update={"fhir_auth": "none"})
    async with open_client(once) as client, open_client(unknown) as stranger:
        return await check_server(stranger, client, once, knowledge, patient=patient)


async def check_server(  # noqa: PLR0913 - who asks, for whom, and the two clocks
    stranger: FhirClient,
    client: FhirClient,
    settings: Settings,
    knowledge: Knowledge,
    *,
    patient: PatientName | None = None,
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
            findings += await find_reading(client, settings, knowledge, patient=patient, timer=timer)
            findings += [await find_tier(client, settings), await find_triggers(client, settings)]
    if site := knowledge.site.version:
        findings.append(ok("site lists", f"{site}; {sum(knowledge.site.rows.values())} rows"))
    return CheckReport(server=_address_of(client.base), ready=not _has_failed(findings), findings=findings)


def _has_failed(findings: Sequence[CheckFinding]) -> bool:
    return any(finding.state is CheckState.FAILED for finding in findings)


def _address_of(base: str) -> str:
    """An address without the password that may be in it."""
    parts = urlsplit(base)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


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
            return [ok("address", address), _untrusted(error.fault)]
        to_do = (
            "Check TRD_FHIR_BASE_URL, and that the server can be reached from here (name, firewall, proxy)."
        )
        return [failed("address", f"{address}: {said(error)}", to_do)]
    except ServerError:
        pass
    return [ok("address", address), _find_encryption(stranger.base, settings)]


def _untrusted(fault: str) -> CheckFinding:
    return failed(
        "TLS",
        f"no secure connection is made ({fault})",
        "Set TRD_FHIR_CA to the certificate of the authority that signed the server's; look whether that is "
        "for this name and has not ended. Where the server asks for a certificate, set TRD_FHIR_CERT.",
    )


def _find_encryption(base: str, settings: Settings) -> CheckFinding:
    parts = urlsplit(base)
    if parts.scheme == "https":
        shown = ", and one of ours is shown" if settings.fhir_cert else ""
        return ok("TLS", f"the server's certificate is trusted{shown}")
    if parts.hostname in _LOOPBACK:
        return ok("TLS", "not encrypted, on this machine only")
    return warning("TLS", "not encrypted: everybody on the way can read records", "Use an https address.")


def find_clock(shown: datetime | None, now: datetime, settings: Settings) -> CheckFinding:
    """How far the server's clock is from ours, by the `Date` of an answer."""
    if shown is None:
        return warning("clock", "the server does not show its time", "Compare the clocks by hand.")
    apart = round((now - shown).total_seconds())
    way = "ahead of" if apart > 0 else "behind"
    found = f"ours is {abs(apart)} s {way} the server's" if apart else "the same as the server's"
    if abs(apart) <= _CLOCKS_APART_SECONDS:
        return ok("clock", found)
    to_do = "Set both clocks by a time server. A signed statement is good for minutes only."
    too_far = settings.fhir_auth == "smart" and abs(apart) > _LONGEST_APART_SECONDS
    return failed("clock", found, to_do) if too_far else warning("clock", found, to_do)


# --- who we are to the server ---------------------------------------------------------------------


async def find_access(client: FhirClient, settings: Settings) -> list[CheckFinding]:
    """Whether the server takes our credentials, and whether it speaks FHIR to us."""
    error: ServerError | None = None
    capability: CapabilityView | None = None
    try:
        release, capability = (await client.release()).name, await client.capability()
    except ServerError as fault:
        error = fault
    findings = _find_credentials(client, settings, capability, error)
    if _has_failed(findings):
        return findings
    if error is None:
        return [*findings, ok("FHIR", f"the server speaks {release}"), await _find_dialect(client, settings)]
    to_do = "Check TRD_FHIR_BASE_URL: below it, /metadata must answer with a CapabilityStatement of R4 or R5."
    return [*findings, failed("FHIR", said(error), to_do)]


async def _find_dialect(client: FhirClient, settings: Settings) -> CheckFinding:
    """Whether more is known of such servers than their statement says."""
    dialect = await client.dialect()
    if settings.fhir_dialect is not None:
        return ok("dialect", f"{dialect.id}, as TRD_FHIR_DIALECT says")
    if dialect is PLAIN:
        return ok("dialect", "none is recognised; the server is asked as its statement says")
    return ok("dialect", f"{dialect.id}, by what the server says of itself")


def _find_credentials(
    client: FhirClient, settings: Settings, capability: CapabilityView | None, error: ServerError | None
) -> list[CheckFinding]:
    """The token, or what stands for it; `capability` or `error` is what came of the first request with it."""
    way, granted = settings.fhir_auth, client.granted_scopes
    trouble = _trouble_with_credentials(way, granted, error)
    if trouble is not None:
        return [failed("token", *trouble)]
    if granted is not None:
        return [ok("token", "granted"), _find_scopes(granted, settings, capability)]
    if way == "none":
        return [ok("token", "no credentials are sent (TRD_FHIR_AUTH is none)")]
    return [ok("token", f"sent as {way}; the searches below show whether it is taken")]


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


def _find_scopes(granted: str, settings: Settings, capability: CapabilityView | None) -> CheckFinding:
    """Whether the scopes of the token hold for all that is read on this server, and written where it is."""
    if not names_kinds(granted):
        return ok("scopes", "those granted name no kinds; the searches below show what they allow")
    needed = needed_scopes(capability)
    if settings.writes:
        lacking = {"read": lacking_to_read(granted, needed), "write": lacking_to_write(granted, needed)}
    else:
        of_patient = {kind: letters for kind, letters in needed.items() if kind in READ_KINDS}
        lacking = {"read": lacking_to_read(granted, of_patient)}
    if not any(lacking.values()):
        return ok("scopes", f"granted for all that is {'read and written' if settings.writes else 'read'}")
    listed = "; ".join(f"to {what} {', '.join(kinds)}" for what, kinds in lacking.items() if kinds)
    return warning("scopes", f"not granted, or not for all: {listed}", "Have the client given these scopes.")


# --- what is written, and when --------------------------------------------------------------------


async def find_tier(client: FhirClient, settings: Settings) -> CheckFinding:
    """How an outcome would be written, and why that way."""
    try:
        target = await client.target()
    except ServerError as error:
        return failed("tier", said(error), "Mend it on the server: how it is written to cannot be told.")
    found = f"{target.tier.value}: {_why(target)}"
    if not settings.writes:
        return ok("tier", f"{found}. Nothing is written while TRD_WRITE is off")
    if target.tier is WriteTier.RETURN_ONLY:
        to_do = "Have it take CarePlan (create and update), or use the answers as they are returned."
        return warning("tier", found, to_do)
    if target.tier.is_below_care_plan:
        return await _find_documents(client, settings, found)
    left_out = [kind for kind in WRITTEN_KINDS if kind not in target.takes]
    if left_out:
        found = f"{found}. It does not take {', '.join(left_out)}"
        return warning("tier", found, "See what is then left out (docs/servers.md).")
    return ok("tier", found)


async def _find_documents(client: FhirClient, settings: Settings, found: str) -> CheckFinding:
    """What to do where the server takes no CarePlan."""
    to_do = "See what is then left out: assessments, Tasks and the course of treatment (docs/servers.md)."
    if await find_general_hold(client, settings) is Held.NO_AUTHOR:
        to_do = "Set TRD_DOCUMENT_AUTHOR to the Practitioner in whose name documents are written."
    return warning("tier", found, to_do)


def _why(target: Target) -> str:
    match target.tier:
        case WriteTier.TRANSACTION:
            return "the server takes all of an outcome at once"
        case WriteTier.SINGLE_REQUESTS if target.names_ids:
            return "the server offers no transactions, so one resource is written after the other"
        case WriteTier.SINGLE_REQUESTS:
            return "the server gives ids of its own, so one resource is written after the other"
        case WriteTier.DOCUMENT:
            return "the server takes no CarePlan, so a proposal is written as a DocumentReference"
        case WriteTier.COMMUNICATION:
            return "the server takes neither CarePlan nor documents, so a proposal is sent as a Communication"
        case WriteTier.RETURN_ONLY:
            return "the server does not say that it takes CarePlan (create and update)"


async def find_triggers(client: FhirClient, settings: Settings) -> CheckFinding:
    """What can start a review by itself."""
    daily = await _by_the_clock(client, settings)
    way = await _way_of_subscriptions(client, settings)
    if way is None:
        found = (
            f"{f'only {daily}' if daily else 'none'}: the server offers no Subscription that can be set up"
        )
        return warning("triggers", found, "See which way fits the server (docs/triggers.md).")
    beside = f", {daily}" if daily else ""
    if settings.public_url is None:
        to_do = "Set TRD_PUBLIC_URL to the address at which the server reaches this service."
        return warning("triggers", f"Subscriptions once TRD_PUBLIC_URL is set{beside}", to_do)
    failed = await _failed_subscriptions(client)
    if failed:
        to_do = "Run trd-careplan subscribe, then trd-careplan sweep --since the day of the last review."
        return warning("triggers", f"Subscriptions that deliver nothing: {', '.join(failed)}{beside}", to_do)
    return ok("triggers", f"Subscriptions ({way}), by trd-careplan subscribe{beside}")


async def _way_of_subscriptions(client: FhirClient, settings: Settings) -> str | None:
    """How the server would notify; `None` where no Subscription can be set up."""
    offered = await client.offered()
    if "Subscription" not in offered or not offered["Subscription"].takes("create", "update"):
        return None
    if settings.topics:
        return "topics of TRD_TOPICS"
    if await client.release() is Release.R4:
        return "rest-hook"
    return "topics" if "SubscriptionTopic" in offered else None


async def _failed_subscriptions(client: FhirClient) -> list[str]:
    """Our Subscriptions by which the server delivers nothing, as far as it shows them."""
    failed = []
    for kind in WATCHED_KINDS:
        with suppress(ServerError):
            found = await client.find(f"Subscription/trd-careplan-{kind.lower()}")
            if found is not None and found.get("status") in FAILED_STATUSES:
                failed.append(kind)
    return failed


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
    widths = [max(len(finding.name) for finding in report.findings) + 2, max(map(len, CheckState)) + 2]
    for finding in report.findings:
        told = Text(finding.found)
        if finding.to_do:
            told.append(f"\n→ {finding.to_do}", "italic")
        state = Text(finding.state.value.ljust(widths[1]), _STYLES[finding.state])
        console.print(Indented(told, sum(widths), state.append(finding.name, "default")))
    console.print()
    console.print(_conclusion(report))


_STYLES = {CheckState.OK: "green", CheckState.WARNING: "yellow", CheckState.FAILED: "bold red"}


def _conclusion(report: CheckReport) -> Text:
    warnings = sum(finding.state is CheckState.WARNING for finding in report.findings)
    beside = f" Warnings: {warnings}." if warnings else ""
    if report.ready:
        return Text(f"The service can assess the records of this server.{beside}", "green")
    return Text(f"The service cannot do its work with this server yet.{beside}", "bold red")
