"""The rules' page says what the criteria sets say; the glossary is in order."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGE = (DOCS / "how-it-decides.md").read_text(encoding="utf-8")
SETS = sorted((ROOT / "mappings" / "criteria").glob("*.toml"))
ROWS = {
    cells[0].partition("`")[2].partition("`")[0]: cells[1:]
    for line in PAGE.splitlines()
    if line.startswith("| [`")
    for cells in [[cell.strip() for cell in line.strip("|").split("|")]]
}


def test_every_criteria_set_has_a_row() -> None:
    assert set(ROWS) == {path.stem for path in SETS}


@pytest.mark.parametrize("path", SETS, ids=lambda path: path.stem)
def test_a_row_says_what_the_set_says(path: Path) -> None:
    parameters = tomllib.loads(path.read_text(encoding="utf-8"))["parameters"]
    said = {name: parameter["value"] for name, parameter in parameters.items()}

    assert ROWS[path.stem] == [
        str(said["required_trials"]),
        str(said["required_classes"]),
        str(said["minimum_days"]),
        said["undocumented_dose"],
        said["doses"],
        ", ".join(said["counted_inferences"]) or "none",
        said["related_pairs"],
        said["prescribed_only"],
        f"{said['failure_fall']:.0%}".replace("%", " %"),
        f"{said['look_back_years']} years",
        said["trd_severity"],
    ]


def test_what_all_sets_share_is_what_the_page_says() -> None:
    shared = {
        tuple(
            parameters[name]["value"]
            for name in ("current_evidence_days", "episode_gap_days", "remission_days")
        )
        for path in SETS
        for parameters in [tomllib.loads(path.read_text(encoding="utf-8"))["parameters"]]
    }
    assert shared == {(365, 365, 56)}


def test_the_glossary_is_in_order_and_says_each_word_once() -> None:
    lines = (DOCS / "glossary.md").read_text(encoding="utf-8").splitlines()
    words = [match[1] for line in lines if (match := re.match(r"- \*\*(.+?)\*\*: \S", line))]

    assert len(words) == sum(line.startswith("- ") for line in lines)
    assert [word.casefold() for word in words] == sorted({word.casefold() for word in words})
