"""The safety page names only tests that exist; a hazard says what shows its control, or that nothing does."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGE = (DOCS / "clinical-safety.md").read_text(encoding="utf-8")
LINKS = re.findall(r"\[([^\]]+)\]\((\.\./tests/[^)#]+\.py)\)", PAGE)
HAZARDS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.splitlines()
    if re.match(r"\| \d+ \|", line)
]
NOTHING = "**no test yet**"


@pytest.mark.parametrize(("name", "path"), sorted(set(LINKS)))
def test_every_test_named_exists(name: str, path: str) -> None:
    text = (DOCS / path).read_text(encoding="utf-8")

    assert re.search(rf"\bdef {re.escape(name)}\(", text), f"{path} has no {name}"


def test_hazards_are_numbered_and_whole() -> None:
    assert [int(hazard[0]) for hazard in HAZARDS] == list(range(1, len(HAZARDS) + 1))
    assert {len(hazard) for hazard in HAZARDS} == {6}
    assert all(all(hazard) for hazard in HAZARDS)


@pytest.mark.parametrize("hazard", HAZARDS, ids=lambda hazard: hazard[1])
def test_a_hazard_is_controlled_somewhere_and_shown_by_a_test_or_said_not_to_be(hazard: list[str]) -> None:
    control, shown = hazard[3], hazard[4]

    assert re.search(r"\]\(\.\./(service|mappings)/", control)
    assert re.search(r"\]\(\.\./tests/", shown) or NOTHING in shown


def test_open_points_that_are_referred_to_are_there() -> None:
    listed = re.findall(r"^(\d+)\. ", PAGE.partition("\n## Open points\n")[2], re.MULTILINE)
    told = re.findall(r"\(#open-points\) (\d+)(?: and (\d+))?", PAGE)

    assert told
    assert {number for numbers in told for number in numbers if number} <= set(listed)
