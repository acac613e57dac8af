"""Documents say what is so: generated files are fresh, links lead somewhere, commands run."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from service.knowledge import load_knowledge, mappings_directory
from service.render.answer import answer_schema
from service.settings import Settings
from tests.docs.cases_page import cases_page
from tests.docs.plan_pages import FOLDER, plan_pages
from tests.support import reviewer

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    page for page in ROOT.rglob("*.md") if not {".venv", "target", ".git"} & set(page.relative_to(ROOT).parts)
)
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_schema_is_fresh() -> None:
    knowledge = load_knowledge(mappings_directory(), criteria="seed", region="us")

    written = json.loads((ROOT / "docs" / "assessment.schema.json").read_bytes())

    assert written == answer_schema(knowledge), "run `make docs`"


def test_the_cases_page_is_fresh() -> None:
    assert (ROOT / "docs" / "cases.md").read_text(encoding="utf-8") == cases_page(), "run `make docs`"


@pytest.mark.parametrize(("name", "content"), plan_pages().items())
def test_the_plan_of_every_protocol_is_fresh(name: str, content: str) -> None:
    assert (FOLDER / name).read_text(encoding="utf-8") == content, "run `make docs`"
    assert reviewer().knowledge.version not in content


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    targets = [target for target in re.findall(r"\]\(([^)#]+)", text) if "://" not in target]

    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_every_setting_is_documented_with_its_meaning() -> None:
    rows = dict(re.findall(r"^\| `(TRD_\w+)` \| [^|]*\| ([^|]+?) \|$", README, re.MULTILINE))

    assert rows == {f"TRD_{name.upper()}": field.description for name, field in Settings.model_fields.items()}


def _commands() -> list[str]:
    """The commands of README's shell blocks that need neither a server nor another test run."""
    blocks = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    return [line for line in lines if line.startswith(".venv/bin/trd-careplan") and "Patient/" not in line]


@pytest.mark.parametrize("command", _commands())
def test_documented_commands_run(command: str) -> None:
    program, *arguments = shlex.split(command)
    assert program == ".venv/bin/trd-careplan"

    ran = subprocess.run(
        [sys.executable, "-m", "service", *arguments], cwd=ROOT, capture_output=True, check=False
    )

    assert (ran.returncode, ran.stderr) == (0, b"")
    assert ran.stdout


def test_every_make_target_is_real() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    named = set(re.findall(r"`?make (\w+)`?", README))

    assert named
    assert {target for target in named if not re.search(rf"^{target}:", makefile, re.MULTILINE)} == set()
