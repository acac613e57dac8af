"""The index lists every decision with its date and status; the changelog begins with this version."""

import re
from pathlib import Path

import pytest

from service import __version__

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "decisions"
DECISIONS = sorted(FOLDER.glob("[0-9]*.md"))
ROWS = re.findall(
    r"^\| (\d+) \| \[(.+)\]\((\d{4}-[\w-]+\.md)\) \| (\S+) \| (.+) \|$",
    (FOLDER / "README.md").read_text(encoding="utf-8"),
    re.MULTILINE,
)


def test_the_index_lists_every_decision_in_order() -> None:
    assert [file for _, _, file, _, _ in ROWS] == [path.name for path in DECISIONS]
    numbers = [int(number) for number, *_ in ROWS]
    assert numbers == sorted({*numbers}), "in order, and none of them twice"


@pytest.mark.parametrize("path", DECISIONS, ids=lambda path: path.stem)
def test_a_decision_says_when_why_what_and_what_follows(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    title, _, dated, *_ = text.splitlines()
    number, _ = path.stem.split("-", 1)

    assert re.fullmatch(r"\d{4}-\d\d-\d\d, (accepted|replaced by \[).*", dated)
    day, status = dated.split(", ", 1)
    assert (str(int(number)), title.removeprefix("# "), path.name, day, status) in ROWS
    assert [part for part in ("**Why.**", "**Decision.**", "**Consequence.**") if part not in text] == []


def test_the_changelog_begins_with_this_version() -> None:
    versions = re.findall(
        r"^## (\d+\.\d+\.\d+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE
    )

    assert versions[0] == __version__
    assert versions == sorted(versions, reverse=True)
