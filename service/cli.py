"""The command `trd-careplan`.

Exit codes: 0 assessed, whatever the decision; 1 `replay` differs, or `check` failed; 2 wrong usage or set-up;
3 unreadable input; 4 the FHIR server failed.
"""

import asyncio
import json
import re
import shutil
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from datetime import date
from enum import StrEnum
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from pydantic import BaseModel
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from stamina.instrumentation import set_on_retry_hooks
from typer.core import TyperGroup

from service import __version__, clock
from service.commands.assess import read_input, review_each
from service.commands.cohort import Cohort
from service.commands.output import describe_system_fault, drop_output, write_file
from service.commands.report import print_report, print_stages
from service.core.knowledge import Knowledge
from service.errors import (
    InputError,
    MappingsError,
    NoSuchPatient,
    ServerError,
    ServerMisread,
    ServerRefused,
    SetupError,
    TrdError,
)
from service.fhir.auth import Algorithm
from service.fhir.client import FhirClient, open_client
from service.gather.files import NamedRecord, is_ndjson, read_bundle, read_ndjson
from service.gather.identified import PatientName, find_named, read_identifier
from service.ids import ID, is_id
from service.knowledge import Signature, load_knowledge, mappings_directory
from service.render.answer import AssessmentAnswer, answer_schema
from service.render.terminal import ENDLESS, Terminal, count, plain, print_escaped, printable_json
from service.review import Review, Reviewer
from service.settings import Settings, load_settings

if TYPE_CHECKING:
    from service.commands.withdraw import Withdrawal
    from service.commands.written import Listed, WrittenFilter


class Commands(TyperGroup):
    """The commands; what they print is handed on before one of them counts as done."""

    def invoke(self, ctx: Any) -> object:
        """Run a command. One whose reader has left, such as `head`, has done its work."""
        try:
            try:
                return super().invoke(ctx)
            finally:
                sys.stdout.flush()
        except BrokenPipeError:
            drop_output()
            raise typer.Exit(0) from None
        except OSError:
            drop_output()
            raise


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
mappings_app = typer.Typer(help="The clinical lists under `mappings/`.", no_args_is_help=True)
app.add_typer(mappings_app, name="mappings")


def _print_version(*, asked: bool) -> None:
    if asked:
        typer.echo(f"trd-careplan {__version__}")
        raise typer.Exit


@app.callback()
def _start(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Assess treatment-resistant depression from a FHIR record. Decision support: a clinician decides."""


_PATIENT = re.compile(rf"Patient/{ID}")
_BY_IDENTIFIER = "identifier="
_CARE_PLAN = re.compile(rf"CarePlan/{ID}(/_history/{ID})?")
_GONE = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.GONE})
_UNEXPECTED = 1
_TOLD_TO_STOP = 143
_PATIENCE_SECONDS = 2.0
"""How long a command may take without showing that it goes on."""
_DIFFERENT = 1
_UNFIT = 1

Source = Annotated[
    str,
    typer.Argument(
        help="A Bundle or NDJSON file, `-` for standard input, or a patient of the configured server: "
        "`Patient/<id>` or `identifier=SYSTEM|VALUE`."
    ),
]
PatientArgument = Annotated[
    str, typer.Argument(help="`Patient/<id>` or `identifier=SYSTEM|VALUE` of the configured server.")
]
_ONE = "this patient: an id, `Patient/<id>` or `identifier=SYSTEM|VALUE`"
AsOf = Annotated[
    str | None, typer.Option("--as-of", metavar="DATE", help="Assess as of this day (default: today).")
]
Csv = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Write a table with a row per patient as well.")
]
Wide = Annotated[bool, typer.Option("--wide", help="Wrap nothing: each row on one line.")]
CriteriaId = Annotated[
    str | None, typer.Option("--criteria", metavar="ID", help="The criteria set to apply.")
]


def _day(text: str | None, settings: Settings) -> date:
    return _parse_day(text, "--as-of") or clock.today(settings.timezone)


def _parse_day(text: str | None, option: str) -> date | None:
    try:
        return None if text is None else date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter("not a date of the form YYYY-MM-DD", param_hint=option) from None


@app.command()
def assess(  # noqa: PLR0913 - each is an option of the command
    source: Source,
    *,
    as_of: AsOf = None,
    criteria: CriteriaId = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per patient.")] = False,
    csv: Csv = None,
    wide: Wide = False,
) -> None:
    """Assess a patient record and print the decision. Reads only."""
    reviewer = _reviewer(as_of, criteria)
    _show_each(reviewer, source, lambda one: _print(one.answer, as_json=as_json, wide=wide), csv)


def _show_each(
    reviewer: Reviewer,
    source: str,
    show: Callable[[Review], None],
    csv: Path | None,
    *,
    one: str | None = None,
) -> None:
    """Review and show the patient of a source, or each patient of an NDJSON file with a summary of all.

    `one` are options that take a single patient.
    """
    cohort = Cohort()
    content = b"" if _is_on_server(source) else read_input(source)
    if is_ndjson(content) and one is not None:
        raise typer.BadParameter("for one patient, and the file may hold several", param_hint=one)
    if is_ndjson(content):
        for where, review in review_each(reviewer, _with_progress(list(read_ndjson(content)))):
            if isinstance(review, InputError):
                cohort.unusable += 1
                _complain(f"{where}: {review}")
            else:
                show(review)
                cohort.answers.append(review.answer)
        for line in cohort.summarise():
            _complain(line)
    else:
        review = reviewer.review(read_bundle(content)) if content else _review_on_server(reviewer, source)
        show(review)
        cohort.answers.append(review.answer)
    if csv is not None:
        _complain(f"{write_file(csv, cohort.as_csv())} written")
    if cohort.unusable:
        raise typer.Exit(InputError.exit_code)


def _reviewer(as_of: str | None, criteria: str | None, roster: str | None = None) -> Reviewer:
    settings = load_settings(criteria=criteria, roster=roster)
    return Reviewer.prepare(settings, _day(as_of, settings))


def _reviewer_of_the_past(as_of: str | None, criteria: str | None, roster: str | None = None) -> Reviewer:
    """A reviewer whose outcomes may be written: nobody knows the record of a day to come."""
    reviewer = _reviewer(as_of, criteria, roster)
    if reviewer.as_of > clock.today(reviewer.settings.timezone):
        raise typer.BadParameter("the day is in the future; nothing is written for it", param_hint="--as-of")
    return reviewer


def _with_progress(records: list[NamedRecord]) -> Iterator[NamedRecord]:
    """The records one by one, with a progress bar on a terminal when the output is redirected."""
    if not sys.stderr.isatty() or sys.stdout.isatty():
        yield from records
        return
    # Otherwise what is printed meanwhile would go to standard error as well.
    with Progress(console=Terminal(stderr=True), redirect_stdout=False, redirect_stderr=False) as progress:
        yield from progress.track(records, description="assessing")


@app.command()
def explain(
    source: Source,
    *,
    as_of: AsOf = None,
    criteria: CriteriaId = None,
    csv: Csv = None,
    wide: Wide = False,
) -> None:
    """Print every stage of an assessment: gathered, read, trials, findings, decision."""
    _show_each(_reviewer(as_of, criteria), source, partial(print_stages, _terminal(wide=wide)), csv)


def _review_on_server(reviewer: Reviewer, source: str) -> Review:
    return _of_patient(reviewer.settings, source, reviewer.review_patient, "SOURCE")


def _is_on_server(source: str) -> bool:
    return bool(_PATIENT.fullmatch(source)) or source.startswith(_BY_IDENTIFIER)


def _say(text: str) -> None:
    typer.echo(plain(text))


def _print_json(said: BaseModel) -> None:
    sys.stdout.write(printable_json(said.model_dump_json()) + "\n")


def _print(answer: AssessmentAnswer, *, as_json: bool, wide: bool = False) -> None:
    if as_json:
        _print_json(answer)
    else:
        print_report(_terminal(wide=wide), answer)


def _terminal(*, wide: bool) -> Terminal:
    return Terminal(width=ENDLESS) if wide else Terminal()


@app.command("plan")
def show_plan(  # noqa: PLR0913 - each is an option of the command
    source: Source,
    *,
    as_of: AsOf = None,
    criteria: CriteriaId = None,
    ics: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the dates as iCalendar.")] = None,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a printable HTML page.")] = None,
    csv: Csv = None,
    wide: Wide = False,
) -> None:
    """Show the esketamine plan on record with what happened so far, else the one that would be proposed."""
    from service.commands.plan import choose_plan, write_plan
    from service.render.calendar import print_plan

    console = _terminal(wide=wide)
    to_files = ics is not None or html is not None

    def show(review: Review) -> None:
        shown, answer = choose_plan(review), review.answer
        if shown is None:
            said = f"{answer.decision} ({answer.reason}). {answer.summary}"
            console.print(f"{answer.patient}: no esketamine plan: {said}")
        elif to_files:
            for path in write_plan(shown, ics=ics, html=html, now=clock.now()):
                _say(f"{path} written")
        else:
            console.print(answer.patient)
            print_plan(console, shown)

    _show_each(_reviewer(as_of, criteria), source, show, csv, one="--ics, --html" if to_files else None)


@app.command("propose")
def propose_command(
    patient: PatientArgument,
    *,
    as_of: AsOf = None,
    criteria: CriteriaId = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Assess a patient and write the outcome to the FHIR server (unless `TRD_WRITE` is off)."""
    from service.commands.propose import propose, say_done

    reviewer = _reviewer_of_the_past(as_of, criteria)
    proposal = _of_patient(reviewer.settings, patient, partial(propose, reviewer), "PATIENT")
    _print(proposal.answer, as_json=as_json)
    if not as_json:
        plan = proposal.answer.care_plan
        Terminal().print(say_done(plan.action, plan.why, map(str, proposal.written)))


@app.command("sweep")
def sweep_command(
    *,
    as_of: AsOf = None,
    since: Annotated[
        str | None,
        typer.Option("--since", metavar="DAY", help="Instead, those whose records changed since this day."),
    ] = None,
    roster: Annotated[
        str | None,
        typer.Option(
            "--roster",
            metavar="ROSTER",
            help="Beside them, those of a roster: `Group/<id>`, or a file with one patient per line "
            "(default: TRD_ROSTER).",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only list the patients who would be reviewed.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per patient.")] = False,
) -> None:
    """Review every patient with a plan, as the daily review does, and write the outcomes."""
    if since is not None and roster is not None:
        raise typer.BadParameter("not together with --since", param_hint="--roster")
    reviewer = _reviewer_of_the_past(as_of, None, roster)
    found = partial(_to_sweep, reviewer=reviewer, since=_parse_day(since, "--since"))
    patient_ids, faults = _with_client(reviewer.settings, found)
    number = len(patient_ids)
    if dry_run:
        _list_patients(patient_ids, as_json=as_json)
        summary, failed = f"{count(number, 'patient')} to review", 0
    else:
        swept = partial(_sweep, reviewer=reviewer, patient_ids=patient_ids, as_json=as_json)
        failed = asyncio.run(_connected(reviewer.settings, swept))  # it prints as it goes
        summary = f"{number - failed} of {count(number, 'patient')} reviewed"
    if not as_json:
        _say(summary)
    for fault in faults:
        _complain(fault)
    if failed:
        raise ServerError(f"{failed} of {count(number, 'review')} failed")
    if faults:
        raise typer.Exit(InputError.exit_code)


async def _to_sweep(
    client: FhirClient, *, reviewer: Reviewer, since: date | None
) -> tuple[list[str], list[str]]:
    """The patients to review, and what cannot be used of the roster."""
    from service.commands.sweep import find_patients_of_daily, find_patients_since

    if since is None:
        return await find_patients_of_daily(reviewer, client)
    return await find_patients_since(reviewer, client, since), []


def _list_patients(patient_ids: list[str], *, as_json: bool) -> None:
    for patient_id in patient_ids:
        patient = f"Patient/{patient_id}"
        _say(json.dumps({"patient": patient}) if as_json else patient)


async def _sweep(client: FhirClient, *, reviewer: Reviewer, patient_ids: list[str], as_json: bool) -> int:
    """Review the patients and report each at once; gives the number of failures."""
    from service.commands.sweep import sweep

    failed = 0
    async for one in sweep(reviewer, client, patient_ids):
        if as_json:
            _print_json(one)
        else:
            _say(str(one))
        failed += one.error is not None
    return failed


@app.command("diff")
def show_changes(
    patient: PatientArgument,
    *,
    as_of: AsOf = None,
    criteria: CriteriaId = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Preview what a review would change on the plan of record. Reads only."""
    from service.commands.diff import preview, print_preview

    reviewer = _reviewer(as_of, criteria)
    found = _of_patient(reviewer.settings, patient, partial(preview, reviewer), "PATIENT")
    if as_json:
        _print_json(found)
    else:
        print_preview(Terminal(), found)


@app.command("check")
def check_command(
    *,
    patient: Annotated[
        str | None, typer.Option("--patient", metavar="PATIENT", help=f"Ask for the records of {_ONE}.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Check the connection to the FHIR server, and what it offers. Exits 1 if that is not enough."""
    from service.commands.check import check, print_check

    named = None if patient is None else _read_patient_option(patient)
    settings = load_settings()
    report = asyncio.run(_with_sign_of_life(check(settings, _knowledge(settings), named)))
    if as_json:
        _print_json(report)
    else:
        print_check(Terminal(), report)
    if not report.ready:
        raise typer.Exit(_UNFIT)


@app.command("replay")
def decide_again(
    plan: Annotated[str, typer.Argument(help="`CarePlan/<id>`, or `CarePlan/<id>/_history/<version>`.")],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Repeat the decision on the versions that a plan is based on. Exits 0 for the same result, else 1."""
    from service.commands.replay import print_replay, replay

    if not _CARE_PLAN.fullmatch(plan):
        raise typer.BadParameter("not of the form CarePlan/<id>[/_history/<version>]", param_hint="PLAN")
    settings = load_settings()
    found = _with_client(settings, partial(replay, settings, reference=plan))
    if as_json:
        _print_json(found)
    else:
        print_replay(Terminal(), found)
    if not found.same:
        raise typer.Exit(_DIFFERENT)


ByPatient = Annotated[
    str | None, typer.Option("--patient", metavar="PATIENT", help=f"Only resources of {_ONE}.")
]
ByDecision = Annotated[
    str | None,
    typer.Option("--decision", metavar="D", help="Only with this decision or this reason for a decision."),
]
ByVersion = Annotated[
    str | None,
    typer.Option(
        "--version",
        metavar="V",
        help="Only written with this version of the knowledge, software or criteria.",
    ),
]
Since = Annotated[
    str | None, typer.Option("--since", metavar="DAY", help="Only written on this day or later.")
]
Until = Annotated[
    str | None, typer.Option("--until", metavar="DAY", help="Only written on this day or earlier.")
]


@app.command("written")
def list_written(  # noqa: PLR0913 - each is an option of the command
    *,
    patient: ByPatient = None,
    decision: ByDecision = None,
    version: ByVersion = None,
    since: Since = None,
    until: Until = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per resource.")] = False,
    wide: Wide = False,
) -> None:
    """List what this service wrote to the FHIR server: plans, assessments and Tasks, or documents."""
    from service.commands.documents import list_ours
    from service.commands.written import print_written

    settings = load_settings()
    wanted = _wanted(_find_option(settings, patient), decision, version, since, until)
    asked = partial(list_ours, settings=settings, wanted=wanted)
    found = _with_client(settings, asked)
    if not as_json:
        print_written(_terminal(wide=wide), [listed.written for listed in found])
        return
    for listed in found:
        _print_json(listed.written)


def _wanted(
    patient_id: str | None, decision: str | None, version: str | None, since: str | None, until: str | None
) -> "WrittenFilter":
    from service.commands.written import WrittenFilter
    from service.core.decision import DecisionName, ReasonOfDecision

    known = [*(name.value for name in DecisionName), *(reason.value for reason in ReasonOfDecision)]
    if decision is not None and decision not in known:
        raise typer.BadParameter(f"one of {', '.join(known)}", param_hint="--decision")
    return WrittenFilter(
        patient_id, decision, version, _parse_day(since, "--since"), _parse_day(until, "--until")
    )


@app.command("withdraw")
def withdraw_drafts(  # noqa: PLR0913 - each is an option of the command
    *,
    patient: ByPatient = None,
    decision: ByDecision = None,
    version: ByVersion = None,
    since: Since = None,
    until: Until = None,
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="The reason, recorded on the plan.")
    ] = "no reason given",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
) -> None:
    """Revoke unedited drafts of this service. Report each plan that is left, with the reason."""
    from service.commands.withdraw import WithdrawalOutcome, find_drafts, plan_withdrawals, print_withdrawals

    settings = load_settings()
    wanted = _wanted(_find_option(settings, patient), decision, version, since, until)
    drafts, left = _with_client(settings, partial(find_drafts, settings=settings, wanted=wanted))
    listed = [*plan_withdrawals(drafts, reason), *left]
    if listed:
        print_withdrawals(Terminal(), listed)
    if not drafts:
        _say("nothing to withdraw")
        return
    if not yes:
        _confirm(f"Withdraw {count(len(drafts), 'draft')}?")
    work = partial(_withdraw, settings=settings, drafts=drafts, reason=reason)
    done = asyncio.run(_connected(settings, work))  # it prints as it goes
    withdrawn = sum(one.outcome is WithdrawalOutcome.WITHDRAWN for one in done)
    _say(f"{withdrawn} of {count(len(drafts), 'draft')} withdrawn")


async def _withdraw(
    client: FhirClient, *, settings: Settings, drafts: "list[Listed]", reason: str
) -> "list[Withdrawal]":
    """Withdraw the drafts and report each at once, because a later one may fail."""
    from service.commands.withdraw import withdraw

    done = []
    async for one in withdraw(client, settings, drafts, reason):
        _say(f"{one.plan}: {one.outcome.value} ({one.why})")
        done.append(one)
    return done


def _confirm(question: str) -> None:
    """Ask for confirmation; without a terminal, `--yes` is required."""
    if not sys.stdin.isatty():
        raise typer.BadParameter(
            "there is no terminal to ask for confirmation; use --yes", param_hint="--yes"
        )
    if not typer.confirm(question):
        raise typer.Exit(0)


Found = TypeVar("Found")


def _with_client(settings: Settings, ask: Callable[[FhirClient], Awaitable[Found]]) -> Found:
    """Ask something of the configured FHIR server."""
    return asyncio.run(_with_sign_of_life(_connected(settings, ask)))


async def _connected(settings: Settings, ask: Callable[[FhirClient], Awaitable[Found]]) -> Found:
    async with open_client(settings) as client:
        return await ask(client)


async def _with_sign_of_life(work: Awaitable[Found]) -> Found:
    """Wait for a FHIR server; when that takes long, a terminal shows that it goes on."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait({task}, timeout=_PATIENCE_SECONDS)
        if task.done() or not sys.stderr.isatty():
            return await task
        columns = SpinnerColumn(), TextColumn("asking the FHIR server"), TimeElapsedColumn()
        console = Terminal(stderr=True)
        with Progress(*columns, console=console, redirect_stdout=False, redirect_stderr=False) as progress:
            progress.add_task("")
            return await task
    finally:
        task.cancel()


def _of_patient(
    settings: Settings, named: str, ask: Callable[[FhirClient, str], Awaitable[Found]], argument: str
) -> Found:
    """Ask something about a patient of the configured FHIR server, who is named by id or by identifier."""
    patient = _read_patient(named, argument)

    async def asked(client: FhirClient) -> Found:
        patient_id = await find_named(client, patient)
        try:
            return await ask(client, patient_id)
        except ServerRefused as refused:
            if refused.status not in _GONE or await client.find(f"Patient/{patient_id}") is not None:
                raise
            typed = named if _PATIENT.fullmatch(named) else "identifier"
            raise NoSuchPatient(f"{typed}: the FHIR server has no such patient") from None

    return _with_client(settings, asked)


def _read_patient(named: str, argument: str) -> PatientName:
    """Who is named by `Patient/<id>` or `identifier=SYSTEM|VALUE`, which no message repeats."""
    if _PATIENT.fullmatch(named):
        return named.removeprefix("Patient/")
    identifier = read_identifier(named.removeprefix(_BY_IDENTIFIER))
    if identifier is None or not named.startswith(_BY_IDENTIFIER):
        form = "not of the form Patient/<id> or identifier=SYSTEM|VALUE"
        raise typer.BadParameter(form, param_hint=argument)
    return identifier


def _find_option(settings: Settings, named: str | None) -> str | None:
    """The id of the patient whom an option names, if it names one."""
    if named is None:
        return None
    return _with_client(settings, partial(find_named, patient=_read_patient_option(named)))


def _read_patient_option(named: str) -> PatientName:
    """Who is named by an option, which takes an id alone as well."""
    return named if is_id(named) else _read_patient(named, "--patient")


@app.command()
def serve() -> None:
    """Run the service: operations, rest-hooks, health and metrics; stops gracefully on SIGTERM."""
    from service.server import serve_forever

    asyncio.run(serve_forever(load_settings()))


@app.command("subscribe")
def subscribe_command() -> None:
    """Create or repair the Subscriptions through which the FHIR server notifies this service."""
    from service.commands.subscribe import find_address, subscribe_to_changes

    settings = load_settings()
    find_address(settings)
    asked = partial(subscribe_to_changes, settings=settings, knowledge=_knowledge(settings))
    subscribed = _with_client(settings, asked)
    for found in subscribed:
        _say(f"{found.reference}: {found.done}, {found.status}")
    if any(found.status not in {"active", "skipped"} for found in subscribed):
        raise ServerMisread(
            "the FHIR server did not activate every Subscription; check that it can reach TRD_PUBLIC_URL"
        )


@app.command("keys")
def keys_command(
    file: Annotated[Path, typer.Argument(help="The file of key pairs that `TRD_FHIR_KEY` names.")],
    *,
    algorithm: Annotated[
        Algorithm, typer.Option("--alg", help="What a new key signs with.")
    ] = Algorithm.ES384,
    add_next: Annotated[bool, typer.Option("--next", help="Add the key that is to sign next.")] = False,
    rotate: Annotated[bool, typer.Option("--rotate", help="Sign with the next key from now on.")] = False,
    show: Annotated[bool, typer.Option("--show", help="Change nothing.")] = False,
) -> None:
    """Make the key pair of this client (SMART Backend Services), and print the public half to register."""
    from service.commands.keys import KeyStep, change_keys

    chosen = [s for s, on in ((KeyStep.NEXT, add_next), (KeyStep.ROTATE, rotate), (KeyStep.SHOW, show)) if on]
    if len(chosen) > 1:
        raise typer.BadParameter("one of --next, --rotate and --show")
    public = change_keys(file, chosen[0] if chosen else KeyStep.NEW, algorithm)
    typer.echo(json.dumps(public, indent=2))


class JobState(StrEnum):
    """Which jobs to list; `open` means not done yet."""

    OPEN = "open"
    WAITING = "waiting"
    RUNNING = "running"
    FAILED = "failed"
    DONE = "done"


@app.command("jobs")
def jobs_command(  # noqa: PLR0913 - each is an option of the command
    *,
    state: Annotated[JobState, typer.Option(help="Only jobs in this state.")] = JobState.OPEN,
    retry: Annotated[str | None, typer.Option(metavar="ID", help="Queue this failed job again.")] = None,
    retry_all: Annotated[bool, typer.Option("--retry-all", help="Queue all failed jobs again.")] = False,
    drop: Annotated[str | None, typer.Option(metavar="ID", help="Forget this failed job.")] = None,
    drop_all: Annotated[
        bool, typer.Option("--drop-all", help="Forget the failed jobs of a reason (--reason).")
    ] = False,
    reason: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Only jobs that failed for a reason with this text.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per job.")] = False,
    wide: Wide = False,
) -> None:
    """List the jobs of the queue, queue failed jobs again, or forget them."""
    from service.commands.jobs import job_as_json, list_jobs, print_jobs, retry_job, retry_jobs
    from service.queue.jobs import State

    database_url = load_settings().database_url
    if retry is not None:
        asyncio.run(retry_job(database_url, retry))
        _say(f"{retry}: the job is queued again")
        return
    if retry_all:
        _say(f"{count(asyncio.run(retry_jobs(database_url, reason)), 'job')} queued again")
        return
    if drop is not None or drop_all:
        _drop(database_url, drop, reason)
        return
    wanted = None if state is JobState.OPEN else State(state.value)
    listed = asyncio.run(list_jobs(database_url, wanted, reason))
    if as_json:
        sys.stdout.writelines(f"{job_as_json(job)}\n" for job in listed)
    elif not listed:
        _say("No job of the queue is open." if state is JobState.OPEN and not reason else "No such job.")
    else:
        print_jobs(_terminal(wide=wide), listed)


def _drop(database_url: str | None, job_id: str | None, reason: str | None) -> None:
    """Forget one failed job, or those of a reason: all of them are never dropped at once."""
    from service.commands.jobs import drop_job, drop_jobs

    if job_id is not None:
        asyncio.run(drop_job(database_url, job_id))
        _say(f"{job_id}: the job is forgotten")
    elif reason:
        typer.echo(f"jobs forgotten: {asyncio.run(drop_jobs(database_url, reason))}")
    else:
        raise typer.BadParameter("--drop-all needs --reason")


@app.command("feedback")
def feedback_command(
    *, as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per line.")] = False
) -> None:
    """Count what became of cards of CDS Hooks: accepted, or overridden and why."""
    from service.commands.feedback import count_as_json, count_feedback, print_feedback

    counts = asyncio.run(count_feedback(load_settings().database_url))
    if as_json:
        sys.stdout.writelines(f"{count_as_json(count)}\n" for count in counts)
    else:
        print_feedback(Terminal(), counts)


@app.command()
def demo(
    *,
    fhir: Annotated[str | None, typer.Option(help="Use this FHIR server, not an embedded one.")] = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep running afterwards and print requests to try.")
    ] = False,
    load_only: Annotated[bool, typer.Option("--load-only", help="Only load the patients.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before others' server is used.")] = False,
) -> None:
    """Run a demo: a FHIR server notifies the service of synthetic patients, and care plans appear."""
    from service.demo.run import is_of_others, load_patients, run_demo

    settings = load_settings(fhir_base_url=fhir)
    if load_only:
        _say(f"{count(asyncio.run(load_patients(settings)), 'patient')} loaded")
        return
    address = str(settings.fhir_base_url) if settings.fhir_base_url else None
    if address is not None and not yes and asyncio.run(is_of_others(settings)):
        _complain(f"{address} holds patients who are none of the demo")
        _confirm("Run the demo there?")
    width = shutil.get_terminal_size((100, 0)).columns
    asyncio.run(_until_told(run_demo(Terminal(width=width), settings, fhir=address, keep=keep)))


async def _until_told(work: Coroutine[Any, Any, None]) -> None:
    """Do something until it is done, or SIGTERM tells to stop: it then cleans up as after Ctrl-C."""
    task = asyncio.ensure_future(work)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        await task
    except asyncio.CancelledError:
        raise typer.Exit(_TOLD_TO_STOP) from None


@app.command("publish")
def publish_command(
    *,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Write one file per definition.")] = None,
    to_server: Annotated[bool, typer.Option("--to-server", help="Load them into the FHIR server.")] = False,
) -> None:
    """Publish the clinical lists as FHIR definitions: as a transaction, as files or on the FHIR server."""
    from service.commands.publish import (
        check_placed,
        publish_to_server,
        render_bundle,
        report_published,
        write_files,
    )

    if out is not None and to_server:
        raise typer.BadParameter("cannot be combined with --to-server", param_hint="--out")
    settings = load_settings()
    knowledge = _knowledge(settings)
    if to_server:
        asked = partial(publish_to_server, settings=settings, knowledge=knowledge)
        compared = _with_client(settings, asked)
        _say("\n".join(report_published(compared, settings)))
        check_placed(compared)
    elif out is not None:
        _say(f"{count(write_files(knowledge, out), 'definition')} written to {out}")
    else:
        sys.stdout.write(printable_json(render_bundle(knowledge)))


@app.command()
def schema() -> None:
    """Print the JSON Schema of the output of `assess --json`."""
    _say(json.dumps(answer_schema(_knowledge(load_settings())), indent=2))


def _knowledge(settings: Settings) -> Knowledge:
    return load_knowledge(
        _directory(None),
        criteria=settings.criteria,
        region=settings.region,
        site_directory=settings.site_mappings,
    )


Directory = Annotated[Path | None, typer.Argument(help="Directory of the lists (default: the packaged one).")]


Site = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Directory of the site's own lists (`TRD_SITE_MAPPINGS`).")
]


@mappings_app.command("check")
def check_mappings(directory: Directory = None, *, site: Site = None) -> None:
    """Check every list, the site's own as well, and report each fault with its file and line."""
    from service.commands.mappings import check_lists

    settings = load_settings()
    _say(check_lists(_directory(directory), settings.criteria, site or settings.site_mappings))


@mappings_app.command("lock")
def lock_mappings(
    directory: Directory = None,
    *,
    site: Site = None,
    site_id: Annotated[
        str | None, typer.Option("--id", help="Id of the site, which becomes part of the version.")
    ] = None,
    reviewer: Annotated[
        str | None, typer.Option(help="Who reviewed the site's lists that are new or changed.")
    ] = None,
) -> None:
    """Record the digests of all lists, or of all the site's own lists, after a reviewed change."""
    from service.commands.mappings import lock_lists, lock_site_lists

    settings = load_settings()
    today = clock.today("UTC")
    chosen = site or (settings.site_mappings if directory is None else None)
    if chosen is None:
        _say(lock_lists(_directory(directory), today))
        return
    signed = Signature(site_id, reviewer)
    _say(lock_site_lists(chosen, _directory(directory), settings.criteria, signed=signed, today=today))


def _directory(given: Path | None) -> Path:
    return given or load_settings().mappings or mappings_directory()


def _complain(message: str) -> None:
    for line in plain(message).splitlines():
        sys.stderr.write(f"trd-careplan: {line}\n")


def main() -> None:
    """Run the command; each error is one clear message without traceback or patient data."""
    set_on_retry_hooks([])  # its own would write a line a retry, where one clear message is wanted
    print_escaped()
    try:
        app()
    except TrdError as error:
        _complain(_text(error))
        sys.exit(error.exit_code)
    except OSError as error:
        _complain(describe_system_fault(error))
        sys.exit(SetupError.exit_code)
    except Exception as error:  # noqa: BLE001 - the last resort: a traceback could carry patient data
        _complain(f"internal error ({_where(error)}); please report it")
        sys.exit(_UNEXPECTED)


def _text(error: TrdError) -> str:
    return f"mappings: {error}" if isinstance(error, MappingsError) else str(error)


def _where(error: Exception) -> str:
    """The kind of an unexpected error and its place in the code, without its text."""
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    place = f"{Path(last.tb_frame.f_code.co_filename).name}:{last.tb_lineno}" if last else "unknown place"
    return f"{type(error).__name__} at {place}"
