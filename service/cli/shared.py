"""What several commands share: their options, how they ask the FHIR server, and how they print."""

import asyncio
import re
import sys
from collections.abc import Awaitable, Callable
from datetime import date
from functools import partial
from http import HTTPStatus
from typing import Annotated, TypeVar

import typer
from pydantic import BaseModel
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from service import clock
from service.commands.report import print_report
from service.errors import NoSuchPatient, ServerRefused
from service.fhir.client import FhirClient, open_client
from service.gather.identified import PatientName, find_named, read_identifier
from service.ids import ID, is_id
from service.render.answer import AssessmentAnswer
from service.render.terminal import ENDLESS, Terminal, plain, printable_json
from service.review import Reviewer
from service.settings import Settings, load_settings

_PATIENT = re.compile(rf"Patient/{ID}")
_BY_IDENTIFIER = "identifier="
_GONE = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.GONE})
_PATIENCE_SECONDS = 2.0
"""How long a command may take without showing that it goes on."""


ONE_PATIENT = "this patient: an id, `Patient/<id>` or `identifier=SYSTEM|VALUE`"


AsOf = Annotated[
    str | None, typer.Option("--as-of", metavar="DATE", help="Assess as of this day (default: today).")
]
CriteriaId = Annotated[
    str | None, typer.Option("--criteria", metavar="ID", help="The criteria set to apply.")
]
Wide = Annotated[bool, typer.Option("--wide", help="Wrap nothing: each row on one line.")]
PatientArgument = Annotated[
    str, typer.Argument(help="`Patient/<id>` or `identifier=SYSTEM|VALUE` of the configured server.")
]


Found = TypeVar("Found")


def find_day(text: str | None, settings: Settings) -> date:
    """The day to assess as of: as given, else today at the site."""
    return parse_day(text, "--as-of") or clock.today(settings.timezone)


def parse_day(text: str | None, option: str) -> date | None:
    """The day that an option names, if it names one."""
    try:
        return None if text is None else date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter("not a date of the form YYYY-MM-DD", param_hint=option) from None


def prepare_reviewer(as_of: str | None, criteria: str | None, roster: str | None = None) -> Reviewer:
    """A reviewer with the lists and options of this command."""
    settings = load_settings(criteria=criteria, roster=roster)
    return Reviewer.prepare(settings, find_day(as_of, settings))


def prepare_writing_reviewer(as_of: str | None, criteria: str | None, roster: str | None = None) -> Reviewer:
    """A reviewer whose outcomes may be written: nobody knows the record of a day to come."""
    reviewer = prepare_reviewer(as_of, criteria, roster)
    if reviewer.as_of > clock.today(reviewer.settings.timezone):
        raise typer.BadParameter("the day is in the future; nothing is written for it", param_hint="--as-of")
    return reviewer


def say(text: str) -> None:
    """Print a line that no terminal obeys."""
    typer.echo(plain(text))


def complain(message: str) -> None:
    """Print to standard error, each line with the name of the command."""
    for line in plain(message).splitlines():
        sys.stderr.write(f"trd-careplan: {line}\n")


def print_json(said: BaseModel) -> None:
    """Print one JSON object."""
    sys.stdout.write(printable_json(said.model_dump_json()) + "\n")


def print_answer(answer: AssessmentAnswer, *, as_json: bool, wide: bool = False) -> None:
    """Print an answer, as JSON or as a report."""
    if as_json:
        print_json(answer)
    else:
        print_report(open_terminal(wide=wide), answer)


def open_terminal(*, wide: bool) -> Terminal:
    """Where to print: the terminal, or lines without an end where nothing is to be wrapped."""
    return Terminal(width=ENDLESS) if wide else Terminal()


def confirm(question: str) -> None:
    """Ask for confirmation; without a terminal, `--yes` is required."""
    if not sys.stdin.isatty():
        raise typer.BadParameter(
            "there is no terminal to ask for confirmation; use --yes", param_hint="--yes"
        )
    if not typer.confirm(question):
        raise typer.Exit(0)


def ask_server(settings: Settings, ask: Callable[[FhirClient], Awaitable[Found]]) -> Found:
    """Ask something of the configured FHIR server."""
    return asyncio.run(wait_with_sign_of_life(ask_plainly(settings, ask)))


async def ask_plainly(settings: Settings, ask: Callable[[FhirClient], Awaitable[Found]]) -> Found:
    """Ask something of the configured FHIR server, and show nothing meanwhile."""
    async with open_client(settings) as client:
        return await ask(client)


async def wait_with_sign_of_life(work: Awaitable[Found]) -> Found:
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


def ask_of_patient(
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

    return ask_server(settings, asked)


def is_on_server(source: str) -> bool:
    """Whether a source is a patient of the configured server."""
    return bool(_PATIENT.fullmatch(source)) or source.startswith(_BY_IDENTIFIER)


def _read_patient(named: str, argument: str) -> PatientName:
    """Who is named by `Patient/<id>` or `identifier=SYSTEM|VALUE`, which no message repeats."""
    if _PATIENT.fullmatch(named):
        return named.removeprefix("Patient/")
    identifier = read_identifier(named.removeprefix(_BY_IDENTIFIER))
    if identifier is None or not named.startswith(_BY_IDENTIFIER):
        form = "not of the form Patient/<id> or identifier=SYSTEM|VALUE"
        raise typer.BadParameter(form, param_hint=argument)
    return identifier


def find_patient_option(settings: Settings, named: str | None) -> str | None:
    """The id of the patient whom an option names, if it names one."""
    if named is None:
        return None
    return ask_server(settings, partial(find_named, patient=read_patient_option(named)))


def read_patient_option(named: str) -> PatientName:
    """Who is named by an option, which takes an id alone as well."""
    return named if is_id(named) else _read_patient(named, "--patient")
