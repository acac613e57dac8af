"""Commands that read a record and show what follows from it: `assess`, `explain`, `plan`."""

import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress

from service import clock
from service.cli.root import app
from service.cli.shared import (
    AsOf,
    CriteriaId,
    Wide,
    ask_of_patient,
    complain,
    is_on_server,
    open_terminal,
    prepare_reviewer,
    print_answer,
    say,
)
from service.commands.assess import read_input, review_each
from service.commands.cohort import Cohort
from service.commands.output import open_for_writing, write_file
from service.commands.report import print_stages
from service.errors import InputError
from service.gather.files import NamedRecord, is_ndjson, read_bundle, read_ndjson
from service.render.terminal import Terminal
from service.review import Review, Reviewer

Source = Annotated[
    str,
    typer.Argument(
        help="A Bundle or NDJSON file, `-` for standard input, or a patient of the configured server: "
        "`Patient/<id>` or `identifier=SYSTEM|VALUE`."
    ),
]
Csv = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Write a table with a row per patient as well.")
]


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
    reviewer = prepare_reviewer(as_of, criteria)
    _show_each(reviewer, source, lambda one: print_answer(one.answer, as_json=as_json, wide=wide), csv)


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
    _show_each(
        prepare_reviewer(as_of, criteria), source, partial(print_stages, open_terminal(wide=wide)), csv
    )


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

    console = open_terminal(wide=wide)
    to_files = ics is not None or html is not None

    def show(review: Review) -> None:
        shown, answer = choose_plan(review), review.answer
        if shown is None:
            said = f"{answer.decision} ({answer.reason}). {answer.summary}"
            console.print(f"{answer.patient}: no esketamine plan: {said}")
        elif to_files:
            for path in write_plan(shown, ics=ics, html=html, now=clock.now()):
                say(f"{path} written")
        else:
            console.print(answer.patient)
            print_plan(console, shown)

    _show_each(
        prepare_reviewer(as_of, criteria), source, show, csv, one="--ics, --html" if to_files else None
    )


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
    content = b"" if is_on_server(source) else read_input(source)
    if is_ndjson(content) and one is not None:
        raise typer.BadParameter("for one patient, and the file may hold several", param_hint=one)
    if csv is not None:
        open_for_writing(csv)
    if is_ndjson(content):
        for where, review in review_each(reviewer, _with_progress(list(read_ndjson(content)))):
            if isinstance(review, InputError):
                cohort.unusable += 1
                complain(f"{where}: {review}")
            else:
                show(review)
                cohort.answers.append(review.answer)
        for line in cohort.summarise():
            complain(line)
    else:
        review = reviewer.review(read_bundle(content)) if content else _review_on_server(reviewer, source)
        show(review)
        cohort.answers.append(review.answer)
    if csv is not None:
        complain(f"{write_file(csv, cohort.as_csv())} written")
    if cohort.unusable:
        raise typer.Exit(InputError.exit_code)


def _with_progress(records: list[NamedRecord]) -> Iterator[NamedRecord]:
    """The records one by one, with a progress bar on a terminal when the output is redirected."""
    if not sys.stderr.isatty() or sys.stdout.isatty():
        yield from records
        return
    # Otherwise what is printed meanwhile would go to standard error as well.
    with Progress(console=Terminal(stderr=True), redirect_stdout=False, redirect_stderr=False) as progress:
        yield from progress.track(records, description="assessing")


def _review_on_server(reviewer: Reviewer, source: str) -> Review:
    return ask_of_patient(reviewer.settings, source, reviewer.review_patient, "SOURCE")
