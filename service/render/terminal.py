"""A terminal: what others wrote is shown on it as text, and neither read as markup nor obeyed.

Everything that a command prints goes through here: a `Terminal` for what is laid out, `plain` for a line, and
`printable_json` for JSON. A word is never broken, so that a reference can be copied: one that does not fit
stands out beyond the edge. What is not shown on a terminal is not wrapped at all, so that each row is a line.
"""

import codecs
import re
import shutil
import sys
from collections.abc import Iterable, Iterator
from typing import Any

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

_OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""The control characters C0 and C1 but for tabs and line ends, the controls of direction, and surrogates.

Every escape sequence begins with one of them: https://www.unicode.org/reports/tr9/, ECMA-48.
"""
_WORD = re.compile(r"(\S+)\s*")
ENDLESS = 10_000
"""Columns in which nothing is wrapped."""
_MARKS = str.maketrans("✓✗•→█▒·▏─", "+x*>#=.|-")
"""What is drawn, as characters that every terminal has."""


class Terminal(Console):
    """A console that knows no markup in strings: styles are given with `rich.text.Text` alone."""

    def __init__(self, **options: Any) -> None:
        """Print to standard output; `options` are those of a console.

        Without a `width`, it is that of the terminal or of `COLUMNS`, and without end for a file or a pipe.
        """
        width = shutil.get_terminal_size((ENDLESS, 0)).columns
        super().__init__(**{"width": width, "markup": False, "emoji": False, **options})

    def print(self, *objects: Any, **options: Any) -> None:
        """Print, and let a word that is longer than a line stand out."""
        whole = [Indented(one, 0) if isinstance(one, str | Text) else one for one in objects]
        super().print(*whole, **{"crop": False, **options})

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Render a part of the output, without what a terminal would obey or spaces at line ends."""
        for segment in _without_trailing(super().render(renderable, options)):
            yield segment if segment.control else segment._replace(text=self._show(segment.text))

    def on_broken_pipe(self) -> None:
        """Leave it to the command that nobody reads on."""
        raise  # noqa: PLE0704 - it is called while the error is handled

    def _show(self, text: str) -> str:
        return plain(text) if self.encoding.startswith("utf") else plain(text).translate(_MARKS)


def _without_trailing(segments: Iterable[Segment]) -> Iterator[Segment]:
    """The segments, without spaces at the ends of lines."""
    line: list[Segment] = []
    for segment in segments:
        if segment.text.startswith("\n"):
            while line and not line[-1].control and not line[-1].text.strip(" "):
                line.pop()
            if line and not line[-1].control:
                line[-1] = line[-1]._replace(text=line[-1].text.rstrip(" "))
            yield from line
            yield segment
            line.clear()
        else:
            line.append(segment)
    yield from line


class Indented:
    """A text that is set in by some columns, with a lead in the margin of its first line."""

    def __init__(self, text: str | Text, by: int, lead: str | Text = "") -> None:
        self._text = Text(text) if isinstance(text, str) else text
        self._by = by
        self._lead = Text(lead) if isinstance(lead, str) else lead

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        """The lines of the text, none of which breaks a word."""
        width = max(options.max_width - self._by, 1)
        margin = self._lead.copy()
        margin.pad_right(max(self._by - margin.cell_len, 0))
        for line in self._text.split("\n", allow_blank=True):
            for part in _wrap(line, width):
                yield Text.assemble(margin, part, overflow="ignore", no_wrap=True)
                margin = Text(" " * self._by)


def _wrap(line: Text, width: int) -> Iterator[Text]:
    """A line in parts of a width, cut between words only; its own indent stays with the first word."""
    line.expand_tabs()
    indent = len(line.plain) - len(line.plain.lstrip(" "))
    cuts, start = [], 0
    for word in _WORD.finditer(line.plain):
        if word.start() > max(start, indent) and cell_len(line.plain[start : word.end(1)]) > width:
            start = word.start()
            cuts.append(start)
    for part in line.divide(cuts):
        part.rstrip()
        yield part


class Unwrapped:
    """Something that is shown as wide as it is."""

    def __init__(self, renderable: RenderableType) -> None:
        self._renderable = renderable

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        """Its parts, whatever the width of the terminal."""
        yield from console.render(self._renderable, options.update(width=ENDLESS))


class Rows:
    """Rows under headings: as columns where all of it fits, else each row as a block of lines."""

    def __init__(self, *headings: str) -> None:
        self._headings = headings
        self._rows: list[tuple[tuple[Text, ...], str]] = []

    def add(self, *cells: str | Text, style: str = "") -> None:
        """Add a row with a cell for each heading."""
        texts = tuple(Text(cell) if isinstance(cell, str) else cell for cell in cells)
        self._rows.append((texts, style))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        """The columns or the blocks."""
        table = self._table()
        needed = console.measure(table, options=options.update(width=ENDLESS)).maximum
        if needed <= options.max_width:
            yield table
        else:
            yield from self._blocks()

    def _table(self) -> Table:
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
        for heading in self._headings:
            table.add_column(heading, no_wrap=True)
        for cells, style in self._rows:
            table.add_row(*cells, style=style)
        return table

    def _blocks(self) -> Iterator[RenderableType]:
        indent = max(map(len, self._headings)) + 4
        for (first, *others), style in self._rows:
            yield Text(first.plain, style or "bold", overflow="ignore")
            for heading, cell in zip(self._headings[1:], others, strict=True):
                if cell.plain.strip():
                    yield Indented(cell, indent, Text(f"  {heading}", "dim"))


def count(number: int, noun: str) -> str:
    """A number of things, in words that fit it."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def plain(text: str) -> str:
    """A text without what a terminal would obey."""
    return _OBEYED.sub("", text)


def printable_json(text: str) -> str:
    """The same JSON, in which what a terminal would obey is escaped; outside of strings there is none."""
    return _OBEYED.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def print_escaped() -> None:
    """Have standard output print the escape of JSON for a character that its encoding lacks."""
    codecs.register_error("escaped", _escape)
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="escaped")


def _escape(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    units = error.object[error.start : error.end].encode("utf-16-be", "surrogatepass")
    escaped = (f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))
    return "".join(escaped), error.end
