"""Writes `docs/demo.svg`: the whole output of a run of the demo, on a terminal of 100 columns.

`make pictures` runs it. No test compares the picture with a run of its own, as it has the dates of its day;
`test_the_picture_of_the_demo_shows_what_the_demo_prints` looks at its words.
"""

import asyncio
import io
from pathlib import Path

from service.demo.run import run_demo
from service.render.terminal import Terminal
from service.settings import Settings

PICTURE = Path(__file__).parents[2] / "docs" / "demo.svg"
_COLUMNS = 100


def main() -> None:
    """Run the demo on a server of its own, and draw what it printed."""
    console = Terminal(file=io.StringIO(), record=True, width=_COLUMNS, force_terminal=True)
    asyncio.run(run_demo(console, Settings(), fhir=None, keep=False))
    PICTURE.write_text(console.export_svg(title="make demo"), encoding="utf-8")


if __name__ == "__main__":
    main()
