"""A plan as a page that prints on one sheet: as it was proposed or, once it is active, with what happened.

A treatment of half a year prints on two, with the headings of its tables on both.
"""

from collections.abc import Iterable, Iterator
from datetime import date
from html import escape

from service.core.dates import say_date
from service.core.treatment.course import TAKEN, SessionState
from service.read.agenda import Activity
from service.read.label import PatientLabel
from service.render.chart import draw_scores
from service.render.course import ScoreSeries, ShownDate, ShownPlan, state_of
from service.render.markup import clean_narrative
from service.render.progress import say_activity, say_weekday

_STYLE = """
@page { size: A4; margin: 14mm }
@page { @bottom-right { content: counter(page) " / " counter(pages); font-size: 8pt } }
body { font: 9pt/1.25 sans-serif; color: #111; max-width: 182mm; margin: 0 auto; padding: 4mm }
h2 { font-size: 14pt; margin: 0 0 2mm } h3 { font-size: 10.5pt; margin: 2.5mm 0 .5mm }
h2, h3 { break-after: avoid }
p { margin: 1mm 0; overflow-wrap: anywhere } ul { margin: .5mm 0; padding-left: 5mm }
table { border-collapse: collapse; width: 100%; margin: 1mm 0 }
th, td { border-bottom: .2mm solid #999; padding: .4mm 2mm; text-align: left; vertical-align: top }
td:nth-child(2) { white-space: nowrap }
thead { display: table-header-group } thead th { border-bottom: .4mm solid #111 } tr { break-inside: avoid }
.head { color: #555; font-size: 8.5pt }
.patient { border: .4mm solid #111; padding: 1mm 2mm }
.dates { font-size: 8pt }
.scores { display: flex; gap: 4mm; align-items: flex-start }
.scores > div { flex: 3; break-inside: avoid } .scores > table { flex: 2; font-size: 8pt }
svg { width: 100%; display: block }
@media print { body { padding: 0 } }
"""
_FOLLOWED = frozenset({"active", "on-hold", "completed"})
"""The status of a plan that people follow or followed: what happened counts, not what was proposed."""
_STATUS = {"active": "This plan is active.", "on-hold": "This plan is on hold."}


def to_page(shown: ShownPlan) -> str:
    """The page: a plan that is only proposed in its own words, any other with what became of its dates."""
    plan = shown.plan
    if shown.treatment is not None or plan.status in _FOLLOWED or not plan.narrative:
        body = _course(shown)
    else:
        body = clean_narrative(plan.narrative)
    day = f" Day of assessment: {escape(say_weekday(shown.as_of))}." if shown.as_of else ""
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(plan.title)}</title>'
        f"<style>{_STYLE}</style></head><body>\n"
        f"{_patient(shown.label)}"
        f'<p class="head">{escape(shown.where)}. Status of this plan: {escape(plan.status)}.{day}</p>\n'
        f"{body}\n</body></html>\n"
    )


def _patient(label: PatientLabel | None) -> str:
    if label is None:
        return ""
    name, born, identifier = (escape(said or "not on record") for said in label)
    return f'<p class="patient"><b>Patient: {name}</b>. Born: {born}. Identifier: {identifier}.</p>\n'


def _course(shown: ShownPlan) -> str:
    """What happened so far, what comes next, and the dates of the plan with what became of them."""
    status = _STATUS.get(shown.plan.status, "")
    parts = [
        f"<h2>{escape(shown.plan.title)}</h2>",
        f"<p><b>{status}</b></p>" if status else "",
        *(f"<p><b>{escape(concern)}</b></p>" for concern in shown.concerns),
        *(f"<p><b>{heading}:</b> {escape(said)}</p>" for heading, said in shown.progress),
        _scores(shown) if shown.treatment is not None else "",
        "<h3>Sessions</h3>",
        _dates_table(shown.dates),
        _next_session(shown),
        *_undated(shown.plan.undated),
        "<p>This is decision support; a clinician decides.</p>" if shown.treatment is not None else "",
    ]
    return "\n".join(filter(None, parts))


def _dates_table(dates: Iterable[ShownDate]) -> str:
    headings = ("Session", "Planned", "What", "What happened", "Dose given")
    return f'<div class="dates">{_table(headings, map(_cells, dates))}</div>'


def _cells(shown: ShownDate) -> tuple[str, ...]:
    """The cells of a date; a step that is no session, and a missed session, stand out."""
    title, said = escape(shown.title), escape(shown.said)
    return (
        "" if shown.number is None else str(shown.number),
        say_weekday(shown.planned) if shown.planned else "",
        title if shown.session else f"<b>{title}</b>",
        f"<b>{said}</b>" if shown.state is SessionState.MISSED else said,
        "" if shown.dose_mg is None else f"{shown.dose_mg:g} mg",
    )


def _next_session(shown: ShownPlan) -> str:
    """What the plan says of the next session that is planned."""
    today = shown.as_of or date.min
    ahead = (s for s in shown.dates if s.session and s.state is SessionState.PLANNED and not s.proposed)
    following = next((s for s in ahead if s.day is not None and s.day >= today and s.description), None)
    if following is None or following.day is None:
        return ""
    heading = escape(f"{following.title}, {say_weekday(following.day)}")
    return f"<h3>Next: {heading}</h3><p>{escape(following.description)}</p>"


def _undated(activities: Iterable[Activity]) -> Iterator[str]:
    """The activities without a day; those of one title share a paragraph."""
    by_title: dict[str, list[str]] = {}
    for activity in activities:
        became = say_activity(activity, state_of(activity))
        said = f"{activity.description} ({became})" if became else activity.description
        by_title.setdefault(activity.title, []).append(said)
    for title, texts in by_title.items():
        yield f"<p><b>{escape(title)}:</b> {escape(' '.join(texts))}</p>"


def _scores(shown: ShownPlan) -> str:
    """A chart per instrument, and beside them every score in a table."""
    if not shown.series:
        return "<p>No symptom score is on record from shortly before treatment or since.</p>"
    given = [s.day for s in shown.dates if s.session and s.state in TAKEN and s.day is not None]
    days = [score.when.earliest for series in shown.series for score in series.scores]
    first = min([*days, *given])
    last = max([*days, *given, *([shown.as_of] if shown.as_of else [])])
    charts = "".join(draw_scores(series, first, last, given) for series in shown.series)
    return (
        f'<h3>Scores</h3><div class="scores"><div>{charts}<p class="head">The ticks on the time line are the '
        f"sessions given.</p></div>{_score_table(shown.series)}</div>"
    )


def _score_table(every: tuple[ScoreSeries, ...]) -> str:
    scores = sorted(
        (score.when, series.instrument, score.value) for series in every for score in series.scores
    )
    rows = ((escape(say_date(when)), escape(name), f"{value:g}") for when, name, value in scores)
    return _table(("Date", "Score", "Value"), rows)


def _table(headings: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table of cells that are HTML already."""
    head = "".join(f'<th scope="col">{heading}</th>' for heading in headings)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
