"""Symptom scores as a small line chart: SVG without colour, script or anything from elsewhere."""

from collections.abc import Iterable
from datetime import date
from html import escape

from service.core.dates import PartialDate, say_date
from service.render.course import ScoreSeries

_WIDTH, _HEIGHT = 380, 104
_LEFT, _RIGHT, _TOP, _BOTTOM = 24, 12, 20, 16
_INSET = 10
"""Between the axis of scores and the first day."""


def draw_scores(series: ScoreSeries, first: date, last: date, given: Iterable[date]) -> str:
    """The scores of one instrument over time, with a tick per session given and the limit of remission.

    Its title gives the scores in words to readers who do not see it.
    """
    label = f"chart-{series.instrument.lower()}"
    points = [(_x(s.when.earliest, first, last), _y(s.value, series), f"{s.value:g}") for s in series.scores]
    right, floor, limit = _WIDTH - _RIGHT, _y(0, series), _y(series.remission_up_to, series)
    lines = [_line(_LEFT, _TOP, _LEFT, floor), _line(_LEFT, floor, right, floor)]
    lines += [_line(x, floor, x, floor + 4) for day in given for x in (_x(day, first, last),)]
    course = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in points)
    texts = [_text(x, y - 5, said, "middle") for x, y, said in points]
    texts += [
        _text(0, 8, series.instrument, "start"),
        _text(_LEFT - 4, _TOP + 6, f"{series.highest:g}", "end"),
        _text(_LEFT - 4, floor, "0", "end"),
        _text(_LEFT + 4, limit - 3, f"remission: {series.remission_up_to:g} or less", "start"),
        _text(_LEFT, _HEIGHT - 2, _say(first), "start"),
        _text(right, _HEIGHT - 2, _say(last), "end"),
    ]
    parts = [
        f'<title id="{label}">{escape(_in_words(series))}</title>',
        f'<g fill="none" stroke="#111">{"".join(lines)}',
        f'<g stroke-dasharray="3 3">{_line(_LEFT, limit, right, limit)}</g>',
        f'<polyline points="{course}"/></g>',
        *(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5"/>' for x, y, _ in points),
        f'<g font-family="sans-serif" font-size="9">{"".join(texts)}</g>',
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-labelledby="{label}" '
        f'viewBox="0 0 {_WIDTH} {_HEIGHT}">{"".join(parts)}</svg>'
    )


def _in_words(series: ScoreSeries) -> str:
    scores = ", ".join(f"{score.value:g} on {say_date(score.when)}" for score in series.scores)
    return f"{series.instrument} scores: {scores}"


def _x(day: date, first: date, last: date) -> float:
    span = max((last - first).days, 1)
    return _LEFT + _INSET + (_WIDTH - _LEFT - _INSET - _RIGHT) * (day - first).days / span


def _y(value: float, series: ScoreSeries) -> float:
    return _HEIGHT - _BOTTOM - (_HEIGHT - _BOTTOM - _TOP) * value / series.highest


def _line(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _text(x: float, y: float, said: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(said)}</text>'


def _say(day: date) -> str:
    return say_date(PartialDate.on(day))
