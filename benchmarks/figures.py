"""What a benchmark reports."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple


class Figure(NamedTuple):
    """One measured figure beside its yardstick. `within` is `None` where no limit is stated."""

    what: str
    measured: float
    unit: str
    yardstick: str
    ratio: float
    limit: str
    within: bool | None


_HEADINGS = ("what", "measured", "ratio", "to", "limit", "within")


def table(figures: Sequence[Figure]) -> str:
    """The figures as lines of text, one each, in columns."""
    rows = [_HEADINGS, *(_row(figure) for figure in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
    return "\n".join(_line(row, widths) for row in rows)


def _row(figure: Figure) -> tuple[str, ...]:
    verdict = {True: "yes", False: "no", None: "-"}[figure.within]
    measured = f"{figure.measured:.3g} {figure.unit}"
    return (figure.what, measured, f"{figure.ratio:.2f}", figure.yardstick, figure.limit, verdict)


def _line(cells: Iterable[str], widths: Iterable[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()
