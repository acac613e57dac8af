"""Commands that connect and run the service: `check`, `serve`, `subscribe`, `keys`, `jobs` and others."""

import asyncio
import json
import shutil
import signal
import sys
from collections.abc import Coroutine
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from service.cli.root import app
from service.cli.shared import (
    ONE_PATIENT,
    Wide,
    ask_server,
    complain,
    confirm,
    open_terminal,
    print_json,
    read_patient_option,
    say,
    wait_with_sign_of_life,
)
from service.errors import ServerMisread
from service.fhir.auth import Algorithm
from service.knowledge.configured import load_lists
from service.render.terminal import Terminal, count
from service.settings import load_settings

_UNFIT = 1
_TOLD_TO_STOP = 143


@app.command("check")
def check_command(
    *,
    patient: Annotated[
        str | None,
        typer.Option("--patient", metavar="PATIENT", help=f"Ask for the records of {ONE_PATIENT}."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Check the connection to the FHIR server, and what it offers. Exits 1 if that is not enough."""
    from service.commands.check import check, print_check

    named = None if patient is None else read_patient_option(patient)
    settings = load_settings()
    report = asyncio.run(wait_with_sign_of_life(check(settings, load_lists(settings), named)))
    if as_json:
        print_json(report)
    else:
        print_check(Terminal(), report)
    if not report.ready:
        raise typer.Exit(_UNFIT)


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
    asked = partial(subscribe_to_changes, settings=settings, knowledge=load_lists(settings))
    subscribed = ask_server(settings, asked)
    for found in subscribed:
        say(f"{found.reference}: {found.done}, {found.status}")
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
        say(f"{retry}: the job is queued again")
        return
    if retry_all:
        say(f"{count(asyncio.run(retry_jobs(database_url, reason)), 'job')} queued again")
        return
    if drop is not None or drop_all:
        _drop(database_url, drop, reason)
        return
    wanted = None if state is JobState.OPEN else State(state.value)
    listed = asyncio.run(list_jobs(database_url, wanted, reason))
    if as_json:
        sys.stdout.writelines(f"{job_as_json(job)}\n" for job in listed)
    elif not listed:
        say("No job of the queue is open." if state is JobState.OPEN and not reason else "No such job.")
    else:
        print_jobs(open_terminal(wide=wide), listed)


def _drop(database_url: str | None, job_id: str | None, reason: str | None) -> None:
    """Forget one failed job, or those of a reason: all of them are never dropped at once."""
    from service.commands.jobs import drop_job, drop_jobs

    if job_id is not None:
        asyncio.run(drop_job(database_url, job_id))
        say(f"{job_id}: the job is forgotten")
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
        say(f"{count(asyncio.run(load_patients(settings)), 'patient')} loaded")
        return
    address = str(settings.fhir_base_url) if settings.fhir_base_url else None
    if address is not None and not yes and asyncio.run(is_of_others(settings)):
        complain(f"{address} holds patients who are none of the demo")
        confirm("Run the demo there?")
    width = shutil.get_terminal_size((100, 0)).columns
    asyncio.run(until_told(run_demo(Terminal(width=width), settings, fhir=address, keep=keep)))


def _is_interrupted() -> bool:
    """Whether Ctrl-C ends the whole command; the runner then cancels the task that it runs."""
    running = asyncio.current_task()
    return running is not None and running.cancelling() > 0


async def until_told(work: Coroutine[Any, Any, None]) -> None:
    """Do something until it is done, or SIGTERM tells to stop: it then cleans up as after Ctrl-C."""
    task = asyncio.ensure_future(work)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        await task
    except asyncio.CancelledError:
        if _is_interrupted():
            raise
        raise typer.Exit(_TOLD_TO_STOP) from None
