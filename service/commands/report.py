"""The assessment for a terminal: alerts first, then the decision, the trials on a time line, every reason."""

from collections.abc import Iterator, Sequence
from dataclasses import fields, is_dataclass
from datetime import date
from enum import Enum
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from service.core.dates import PartialDate
from service.core.knowledge import Knowledge
from service.core.records import VersionedReference
from service.core.schedule import order_by_date
from service.core.words import list_not_screened, state_settling
from service.render.answer import (
    AssessmentAnswer,
    CriterionOut,
    DateRange,
    Days,
    DecisionPointOut,
    SafetyOut,
    ScheduleOut,
    TrialOut,
)
from service.render.progress import describe_treatment
from service.render.terminal import Indented, Terminal, Unwrapped
from service.review import Review

_MARK = {"met": ("✓ met", "green"), "not-met": ("✗ not met", "red"), "indeterminate": ("? open", "yellow")}
_COUNTS = {"yes": ("counts", "green"), "no": ("does not count", "dim"), "possibly": ("may count", "yellow")}
_BAR = {"yes": "green", "no": "bright_black", "possibly": "yellow"}
_EFFECT = {"excludes": "red", "review": "yellow", "caution": "cyan"}
_TITLE = {
    "propose": ("green", "PROPOSE"),
    "decline": ("red", "DECLINE"),
    "needs-information": ("yellow", "NEEDS INFORMATION"),
    "needs-review": ("yellow", "NEEDS REVIEW"),
}
_MARGIN = 13
"""Columns of what is found of a criterion, before what it says."""
_TIME_LINE = 40
_WIDE = 126
"""Columns of a terminal in which the time line has room beside the verdicts."""


def print_report(console: Terminal, answer: AssessmentAnswer) -> None:
    """Print an assessment for a reader."""
    for part in _parts(answer, with_time_line=console.width >= _WIDE):
        console.print(part)
        console.print()


def _parts(answer: AssessmentAnswer, *, with_time_line: bool) -> Iterator[RenderableType]:
    if answer.alerts:
        alerts = [Text.assemble((a.text, "bold"), *_refs(a.evidence)) for a in answer.alerts]
        yield Group(Text("ALERT", "bold red"), *(Indented(alert, 2) for alert in alerts))
    yield _headline(answer)
    yield from _treatment(answer)
    yield _criteria(answer)
    if answer.trials:
        yield _trials(answer, with_time_line=with_time_line)
    if answer.missing:
        missing = [_with_note(one.what, f"decides {one.would_decide}") for one in answer.missing]
        yield _section("What is missing", missing)
    if answer.settles:
        settling = [state_settling(one.facts, one.leads_to) for one in answer.settles]
        yield _section("What would settle it", settling)
    if answer.safety:
        yield _section("Safety", [_safety_line(finding) for finding in answer.safety])
    if answer.tasks:
        tasks = [_with_note(task.text, task.reason) for task in answer.tasks]
        yield _section("Tasks for a person", tasks)
    if answer.schedule is not None:
        yield _schedule(answer.schedule)
    if answer.scores or answer.procedures:
        yield _section("Scores and procedures", list(_measured(answer)))
    yield _section("Staging", [_staging(answer)])
    notes = list(_notes(answer))
    if notes:
        yield _section("Set aside or not screened", notes)
    yield Text("This is decision support; a clinician decides.", style="dim italic")


def _headline(answer: AssessmentAnswer) -> Group:
    colour, title = _TITLE[answer.decision.value]
    criteria = f"criteria {answer.criteria.id} {answer.criteria.version}"
    decided = (title, f"bold {colour}"), f" ({answer.reason.value})   {answer.patient}   as of {answer.as_of}"
    versions = f"{criteria}, knowledge {answer.knowledge_version}", "dim"
    return Group(Text.assemble(*decided), Text.assemble(versions), "", Indented(answer.summary, 2))


def _treatment(answer: AssessmentAnswer) -> Iterator[Group]:
    rows = [f"{heading}: {said}" for heading, said in describe_treatment(answer)]
    if rows:
        yield _section("Treatment", rows)


def _section(title: str, rows: Sequence[str | Text]) -> Group:
    return Group(Text(title, "bold"), *(Indented(row, 2) for row in rows))


def _with_note(said: str, note: str) -> Text:
    return Text.assemble(said, "  ", (note, "dim"))


def _criteria(answer: AssessmentAnswer) -> Group:
    parts: list[RenderableType] = []
    for pathway in answer.pathways:
        parts.append(Text.assemble((f"Pathway {pathway.id}", "bold"), " ", _MARK[pathway.finding.value]))
        parts.extend(part for criterion in pathway.criteria for part in _criterion(criterion))
    return Group(*parts)


def _criterion(criterion: CriterionOut) -> Iterator[Indented]:
    lead = Text.assemble("  ", _MARK[criterion.finding.value])
    yield Indented(Text(criterion.id, "bold"), _MARGIN, lead)
    for reason in criterion.reasons:
        yield Indented(Text.assemble(reason.text, *_refs(reason.evidence)), _MARGIN)


def _refs(evidence: list[str]) -> Iterator[tuple[str, str]]:
    """References, each on a line of its own, so that it can be copied."""
    yield from ((f"\n  {reference}", "dim") for reference in evidence)


def _trials(answer: AssessmentAnswer, *, with_time_line: bool) -> Group:
    """The trials, each with a bar on a time line that runs to the day of assessment, where there is room."""
    starts = [trial.start.earliest for trial in answer.trials if trial.start.earliest]
    first = min(starts, default=answer.as_of)
    table = Table(box=None, padding=(0, 1), header_style="dim")
    time_line = (f"{first} to {answer.as_of}",) if with_time_line else ()
    for heading in ("", *time_line, "", "adequate days", "outcome", ""):
        table.add_column(heading, min_width=_TIME_LINE if heading in time_line else None)
    for trial in answer.trials:
        basis = f" ({trial.outcome.basis.value})" if trial.outcome.basis else ""
        table.add_row(
            trial.ingredient.name,
            *((_bar(trial, first, answer.as_of),) if with_time_line else ()),
            _dose(trial),
            _days(trial.adequate_days),
            f"{trial.outcome.finding.value}{basis}",
            Text(*_COUNTS[trial.counts.value]),
        )
    failed = answer.failed_trials
    head = Text.assemble(
        ("Trials", "bold"),
        f"  {failed.definite} failed of {failed.required} required  ",
        (f"({failed.inferred} of them inferred, {failed.possible} more possible)", "dim"),
    )
    reasons = (Indented(reason, 2) for reason in _trial_reasons(answer))
    return Group(head, Padding(table, (0, 0, 0, 1)), *reasons)


def _trial_reasons(answer: AssessmentAnswer) -> Iterator[Text]:
    for trial in answer.trials:
        reasons = [*trial.adequacy.reasons, *trial.outcome.reasons, *trial.counts_reasons]
        texts = "; ".join(dict.fromkeys(reason.text for reason in reasons))
        yield Text.assemble(f"{trial.ingredient.name}: {texts}", *_refs(trial.evidence), style="dim")


def _bar(trial: TrialOut, first: date, last: date) -> Text:
    """A bar per trial: full where it certainly ran, light where it may have run."""
    span = max((last - first).days, 1)
    bar = Text()
    cells = [
        _cell(trial, date.fromordinal(first.toordinal() + span * i // (_TIME_LINE - 1)))
        for i in range(_TIME_LINE)
    ]
    for cell in cells:
        bar.append(cell, style=_BAR[trial.counts.value])
    if not set(cells) & {"█", "▒"}:
        bar = Text("▏".rjust(1).ljust(_TIME_LINE), style=_BAR[trial.counts.value])
    return bar


def _cell(trial: TrialOut, day: date) -> str:
    possible = False
    for course in trial.courses:
        start, end = course.start, course.end
        latest_end = date.max if end.ongoing else end.latest or date.max
        if (start.earliest or date.min) <= day <= latest_end:
            possible = True
            earliest_end = date.max if end.ongoing else end.earliest
            if start.latest and start.latest <= day and earliest_end and day <= earliest_end:
                return "█"
    return "▒" if possible else "·"


def _dose(trial: TrialOut) -> str:
    dose = trial.daily_dose_mg
    if dose is None:
        return "dose not documented"
    return f"{dose.min:g} mg" if dose.min == dose.max else f"{dose.min:g}-{dose.max:g} mg"


def _days(days: Days) -> str:
    return str(days.min) if days.min == days.max else f"{days.min} to {days.max}"


def _safety_line(finding: SafetyOut) -> Text:
    sure = "" if finding.finding.value == "met" else " (not certain)"
    return Text.assemble(
        (finding.effect.value, _EFFECT[finding.effect.value]),
        f" {finding.title}",
        (f"{sure}  label section {finding.label_section}", "dim"),
        *_refs(finding.evidence),
    )


def _schedule(schedule: ScheduleOut) -> Group:
    table = Table(box=None, padding=(0, 1), header_style="dim")
    for heading in ("#", "date", "phase", "dose options"):
        table.add_column(heading, no_wrap=True)
    for one in order_by_date(schedule.decision_points, schedule.sessions):
        if isinstance(one, DecisionPointOut):
            table.add_row("", _long_date(one.date), Text(one.code, "bold"), "")
        else:
            doses = " or ".join(f"{dose} mg" for dose in one.dose_options_mg)
            table.add_row(str(one.number), _long_date(one.date), one.phase, doses)
    protocol = schedule.protocol
    head = Text.assemble(
        ("Proposed schedule", "bold"), "  ", (f"protocol {protocol.id} {protocol.version}", "dim")
    )
    return Group(head, Padding(table, (0, 0, 0, 1)), Indented(schedule.then, 2))


def _long_date(day: date) -> str:
    return f"{day:%a} {day.isoformat()}"


def _staging(answer: AssessmentAnswer) -> Text:
    names = {"msm": "Maudsley", "mgh_s": "MGH-S", "thase_rush": "Thase-Rush"}
    parts = []
    for field, name in names.items():
        score = getattr(answer.staging, field)
        value = f"{score.min:g}" if score.min == score.max else f"{score.min:g} to {score.max:g}"
        unknown = f" (unknown: {', '.join(score.unknown)})" if score.unknown else ""
        parts.append(Text.assemble(f"{name} {value}", (unknown, "dim")))
    return Text("   ").join(parts)


def _measured(answer: AssessmentAnswer) -> Iterator[Text]:
    for score in answer.scores:
        said = f"{score.scale.value.upper()} {score.value:g}, {_range(score.date)}: {score.reading}"
        yield Text.assemble(said, *_refs(score.evidence))
    for procedure in answer.procedures:
        sure = "" if procedure.done else " (not certain that it took place)"
        said = f"{procedure.kind.value.upper()}, {_range(procedure.start)}"
        yield Text.assemble(said, (sure, "dim"), *_refs(procedure.evidence))


def _range(when: DateRange) -> str:
    if when.earliest is None:
        return "undated"
    return f"{when.earliest}" if when.earliest == when.latest else f"{when.earliest} to {when.latest}"


def _notes(answer: AssessmentAnswer) -> Iterator[str | Text]:
    for warning in answer.warnings:
        yield Text(warning.text, "yellow")
    if answer.site_lists is not None:
        of_site = answer.site_lists
        yield f"read by the site's own lists ({of_site.version}): {', '.join(of_site.evidence)}"
    for record in answer.excluded_records:
        at = f" at {record.element}" if record.element else ""
        yield f"{record.evidence}: {record.reason.value}{at}"
    for doubtful in answer.doubtful_dates:
        yield f"{doubtful.evidence}: {doubtful.element} set aside ({doubtful.reason})"
    if answer.not_screened:
        yield f"not screened: {list_not_screened(answer.not_screened)}"


# --- explain --------------------------------------------------------------------------------------


_STAGE_LINE = 78
_READ = (
    "exposures",
    "diagnoses",
    "allergies",
    "observations",
    "procedures",
    "plans",
    "excluded",
    "unreadable",
    "open_elements",
    "doubtful_dates",
)


def print_stages(console: Terminal, review: Review) -> None:
    """Print what each stage of the pipeline handed to the next."""
    _print_stage(console, "1 gathered")
    for source in review.gathered.sources:
        console.print(_with_note(str(source.reference), f"{len(bytes(source.content))} bytes"))
    _print_stage(console, "2 read")
    record = review.record
    _print_tree(console, "person", record.person)
    for name in _READ:
        for item in getattr(record, name):
            _print_tree(console, name, item)
    assessment = review.decision.assessment
    _print_stage(console, "3 trials")
    _print_tree(console, "episode", assessment.episode)
    for trial in assessment.trials:
        _print_tree(console, trial.name, trial, _COUNTS[trial.counts.value])
    _print_stage(console, "4 findings")
    for pathway in assessment.pathways:
        _print_tree(console, pathway.id, pathway, _MARK[pathway.finding.value])
    for finding in assessment.safety:
        _print_tree(console, "safety", finding)
    _print_stage(console, "5 decision")
    print_report(console, review.answer)


def _print_stage(console: Terminal, title: str) -> None:
    console.print(Text(f"{title} ".ljust(_STAGE_LINE, "─"), "green"))


def _print_tree(console: Terminal, label: str, value: Any, mark: tuple[str, str] = ("", "")) -> None:
    console.print(Unwrapped(_tree(label, value, mark)))


def _tree(label: str, value: Any, mark: tuple[str, str] = ("", "")) -> Tree:
    """A value of the core as a tree, with empty parts left out."""
    tree = Tree(Text.assemble((label, "bold"), " ", mark))
    for name, part in _parts_of(value):
        if part is None or part in ((), frozenset()) or isinstance(part, Knowledge):
            continue
        if isinstance(part, tuple) and not hasattr(part, "_fields"):
            branch = tree.add(name)
            for item in part:
                branch.add(_tree(type(item).__name__, item) if _has_parts(item) else _plain(item))
        elif _has_parts(part) and not hasattr(part, "version"):
            tree.add(_tree(name, part))
        else:
            tree.add(f"{name}: {_plain(part)}")
    return tree


def _has_parts(value: Any) -> bool:
    return (is_dataclass(value) or hasattr(value, "_fields")) and not _is_plain(value)


def _is_plain(value: Any) -> bool:
    return isinstance(value, PartialDate | VersionedReference)


def _parts_of(value: Any) -> Iterator[tuple[str, Any]]:
    names = getattr(value, "_fields", None) or [field.name for field in fields(value)]
    for name in names:
        yield name, getattr(value, name)


def _plain(value: Any) -> str:
    if isinstance(value, Enum):
        return str(value.value)
    if hasattr(value, "earliest"):
        return str(value.earliest) if value.earliest == value.latest else f"{value.earliest}..{value.latest}"
    if isinstance(value, frozenset):
        return ", ".join(sorted(_plain(item) for item in value))
    match value:
        case (date() as first, date() as last):
            return f"{first} to {last}"
        case tuple():
            return ", ".join(_plain(item) for item in value) or "none"
        case _:
            return str(value)
