"""A terminal: what others wrote is shown on it as text, and neither read as markup nor obeyed.

Everything that a command prints goes through here: a `Terminal` for what is laid out, `plain` for a line, and
`printable_json` for JSON.
"""

import re
from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

_OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""The control characters C0 and C1 but for tabs and line ends, the controls of direction, and surrogates.

Every escape sequence begins with one of them: https://www.unicode.org/reports/tr9/, ECMA-48.
"""


class Terminal(Console):
    """A console that knows no markup in strings: styles are given with `rich.text.Text` alone."""

    def __init__(self, **options: Any) -> None:
        """Print to standard output; `options` are those of a console."""
        super().__init__(markup=False, emoji=False, **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Render a part of the output, without what a terminal would obey."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=plain(segment.text))


def plain(text: str) -> str:
    """A text without what a terminal would obey."""
    return _OBEYED.sub("", text)


def printable_json(text: str) -> str:
    """The same JSON, in which what a terminal would obey is escaped; outside of strings there is none."""
    return _OBEYED.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
