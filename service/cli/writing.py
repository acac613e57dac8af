"""Commands that write outcomes to the FHIR server, and those that look at what was written."""

import asyncio
import json
import re
from datetime import date
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from service.cli.root import app
from service.cli.shared import (
    ONE_PATIENT,
    AsOf,
    CriteriaId,
    PatientArgument,
    Wide,
    ask_of_patient,
    ask_plainly,
    ask_server,
    complain,
    confirm,
    find_patient_option,
    open_terminal,
    parse_day,
    prepare_reviewer,
    prepare_writing_reviewer,
    print_answer,
    print_json,
    say,
)
from service.errors import InputError, ServerError
from service.fhir.client import FhirClient
from service.ids import ID
from service.render.terminal import Terminal, count
from service.review import Reviewer
from service.settings import Settings, load_settings

if TYPE_CHECKING:
    from service.commands.withdraw import Withdrawal
    from service.commands.written import Listed, WrittenFilter


_CARE_PLAN = re.compile(rf"CarePlan/{ID}(/_history/{ID})?")
_DIFFERENT = 1


ByPatient = Annotated[
    str | None, typer.Option("--patient", metavar="PATIENT", help=f"Only resources of {ONE_PATIENT}.")
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

    reviewer = prepare_writing_reviewer(as_of, criteria)
    proposal = ask_of_patient(reviewer.settings, patient, partial(propose, reviewer), "PATIENT")
    print_answer(proposal.answer, as_json=as_json)
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
    reviewer = prepare_writing_reviewer(as_of, None, roster)
    found = partial(_to_sweep, reviewer=reviewer, since=parse_day(since, "--since"))
    patient_ids, faults = ask_server(reviewer.settings, found)
    number = len(patient_ids)
    if dry_run:
        _list_patients(patient_ids, as_json=as_json)
        summary, failed = f"{count(number, 'patient')} to review", 0
    else:
        swept = partial(_sweep, reviewer=reviewer, patient_ids=patient_ids, as_json=as_json)
        failed = asyncio.run(ask_plainly(reviewer.settings, swept))  # it prints as it goes
        summary = f"{number - failed} of {count(number, 'patient')} reviewed"
    if not as_json:
        say(summary)
    for fault in faults:
        complain(fault)
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
        say(json.dumps({"patient": patient}) if as_json else patient)


async def _sweep(client: FhirClient, *, reviewer: Reviewer, patient_ids: list[str], as_json: bool) -> int:
    """Review the patients and report each at once; gives the number of failures."""
    from service.commands.sweep import sweep

    failed = 0
    async for one in sweep(reviewer, client, patient_ids):
        if as_json:
            print_json(one)
        else:
            say(str(one))
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

    reviewer = prepare_reviewer(as_of, criteria)
    found = ask_of_patient(reviewer.settings, patient, partial(preview, reviewer), "PATIENT")
    if as_json:
        print_json(found)
    else:
        print_preview(Terminal(), found)


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
    found = ask_server(settings, partial(replay, settings, reference=plan))
    if as_json:
        print_json(found)
    else:
        print_replay(Terminal(), found)
    if not found.same:
        raise typer.Exit(_DIFFERENT)


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
    wanted = _wanted(find_patient_option(settings, patient), decision, version, since, until)
    asked = partial(list_ours, settings=settings, wanted=wanted)
    found = ask_server(settings, asked)
    if not as_json:
        print_written(open_terminal(wide=wide), [listed.written for listed in found])
        return
    for listed in found:
        print_json(listed.written)


def _wanted(
    patient_id: str | None, decision: str | None, version: str | None, since: str | None, until: str | None
) -> "WrittenFilter":
    from service.commands.written import WrittenFilter
    from service.core.decision import DecisionName, ReasonOfDecision

    known = [*(name.value for name in DecisionName), *(reason.value for reason in ReasonOfDecision)]
    if decision is not None and decision not in known:
        raise typer.BadParameter(f"one of {', '.join(known)}", param_hint="--decision")
    return WrittenFilter(
        patient_id, decision, version, parse_day(since, "--since"), parse_day(until, "--until")
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
    wanted = _wanted(find_patient_option(settings, patient), decision, version, since, until)
    drafts, left = ask_server(settings, partial(find_drafts, settings=settings, wanted=wanted))
    listed = [*plan_withdrawals(drafts, reason), *left]
    if listed:
        print_withdrawals(Terminal(), listed)
    if not drafts:
        say("nothing to withdraw")
        return
    if not yes:
        confirm(f"Withdraw {count(len(drafts), 'draft')}?")
    work = partial(_withdraw, settings=settings, drafts=drafts, reason=reason)
    done = asyncio.run(ask_plainly(settings, work))  # it prints as it goes
    withdrawn = sum(one.outcome is WithdrawalOutcome.WITHDRAWN for one in done)
    say(f"{withdrawn} of {count(len(drafts), 'draft')} withdrawn")


async def _withdraw(
    client: FhirClient, *, settings: Settings, drafts: "list[Listed]", reason: str
) -> "list[Withdrawal]":
    """Withdraw the drafts and report each at once, because a later one may fail."""
    from service.commands.withdraw import withdraw

    done = []
    async for one in withdraw(client, settings, drafts, reason):
        say(f"{one.plan}: {one.outcome.value} ({one.why})")
        done.append(one)
    return done
