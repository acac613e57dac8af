"""The page on the plan of record names only tests that exist, and every test of the contract."""

import re
from pathlib import Path

import pytest

from service.core.tasks import TaskReason

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGE = (DOCS / "plan-of-record.md").read_text(encoding="utf-8")
CONTRACT = (ROOT / "tests" / "contract_plans.py").read_text(encoding="utf-8")
_LINK = re.compile(r"\[(test_\w+)\]\((\.\./tests/[^)#]+\.py)\)")
LINKS = _LINK.findall(PAGE)
OF_THE_CONTRACT = "../tests/contract_plans.py"


def rows_of(title: str) -> list[list[str]]:
    """The rows of the first table of a section, without its head."""
    section = PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    lines = section[section.index("\n|") + 1 :].partition("\n\n")[0].splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


RECONCILIATION = rows_of("What the service does")


@pytest.mark.parametrize(("name", "path"), sorted(set(LINKS)))
def test_every_test_named_exists(name: str, path: str) -> None:
    text = (DOCS / path).read_text(encoding="utf-8")

    assert re.search(rf"\bdef {re.escape(name)}\(", text), f"{path} has no {name}"


def test_every_test_of_the_contract_is_named() -> None:
    named = {name for name, path in LINKS if path == OF_THE_CONTRACT}

    assert set(re.findall(r"\basync def (test_\w+)\(", CONTRACT)) == named


@pytest.mark.parametrize("row", RECONCILIATION, ids=lambda row: row[0])
def test_every_row_names_the_test_that_walks_it(row: list[str]) -> None:
    plan, *cells, test = row

    assert plan
    assert len(cells) == 4
    assert all(cells)
    ((name, path),) = _LINK.findall(test)
    assert path == OF_THE_CONTRACT
    assert re.search(rf"def {name}\(self, server: str[^)]*\) -> None:\n +await check\(", CONTRACT)


def test_every_row_of_the_contract_is_in_the_table() -> None:
    walked = re.findall(r"def (test_\w+)\([^)]*\) -> None:\n +await check\(", CONTRACT)

    assert walked == [_LINK.findall(row[-1])[0][0] for row in RECONCILIATION]


def test_every_reason_of_a_task_is_described() -> None:
    told = [reason for row in rows_of("Tasks") for reason in re.findall(r"`([\w-]+)`", row[0])]

    assert told == list(TaskReason)
