"""The page on the architecture draws the column of the import contracts, and names code that exists."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

from service.core.decision import Propose
from service.core.records import Exposure
from tests.support import case_review

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
NAMED_CODE = re.findall(r"\[`(\w+)`\]\((\.\./service/[\w/]+\.py)\)", PAGE)


def test_the_column_is_that_of_the_contracts() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (column,) = [c["layers"] for c in project["tool"]["importlinter"]["contracts"] if c["type"] == "layers"]
    (drawn,) = re.findall(r"```text\n(service\.__main__\n.*?)```", PAGE, re.DOTALL)

    assert drawn.splitlines() == column


def test_every_folder_of_the_service_is_introduced() -> None:
    folders = {path.parent.name for path in (ROOT / "service").glob("*/__init__.py")}

    assert {name for name in folders if f"(../service/{name})" not in PAGE} == set()


@pytest.mark.parametrize(("name", "path"), sorted(set(NAMED_CODE)))
def test_the_code_that_is_named_is_defined_where_the_page_says(name: str, path: str) -> None:
    tree = ast.parse((ROOT / "docs" / path).read_text(encoding="utf-8"))
    defined = {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    }

    assert name in defined


def test_the_statement_becomes_what_the_page_says() -> None:
    decision = case_review("two-documented-failures-propose-treatment").decision
    assert isinstance(decision, Propose)
    trial = next(trial for trial in decision.assessment.trials if trial.name == "sertraline")
    (exposure,) = trial.courses[0].exposures
    assert isinstance(exposure, Exposure)

    start, end = exposure.period.start, exposure.period.end
    assert start is not None
    assert end is not None

    said = (
        f"sertraline, {start.earliest} to {end.latest}, {exposure.dose.low_mg:g} mg, "
        f"{exposure.status.value}, {', '.join(exposure.stop_reasons)}, grade *{exposure.grade.value}*"
    )
    assert said in PAGE
    assert f"one course of {trial.adequate_days[0]} days" in PAGE
    assert f"It counts *{trial.counts.value}*" in PAGE
