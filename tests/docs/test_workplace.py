"""The files for editors and tools name what is there, and the wheel says that it is typed."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).parents[2]
HOOKS: list[dict[str, Any]] = [
    hook
    for repository in yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"]
    for hook in repository["hooks"]
]
CHECKS = (ROOT / "Makefile").read_text(encoding="utf-8")


@pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: str(hook["id"]))
def test_a_hook_runs_a_command_that_make_check_runs_too(hook: dict[str, Any]) -> None:
    command = hook["entry"].removeprefix(".venv/bin/").removesuffix(" --force-exclude")

    assert hook["language"] == "system"
    assert re.search(rf"^\t@?\$\(BIN\)/{re.escape(command)}", CHECKS, re.MULTILINE)


def test_generated_files_are_there_and_are_marked() -> None:
    lines = (ROOT / ".gitattributes").read_text(encoding="utf-8").splitlines()
    marked = [line.split()[0] for line in lines if line.endswith(" linguist-generated")]

    assert "docs/cases.md" in marked
    assert "docs/plans/**" in marked
    assert [pattern for pattern in marked if not list(ROOT.glob(pattern.replace("/**", "/*")))] == []


def test_every_text_file_ends_its_lines_as_the_editor_is_told_to() -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    names = [name for name in listed.stdout.decode().split("\0") if name]
    names = [name for name in names if not name.startswith("fixtures/") and not name.endswith(".svg")]
    texts = {name: path.read_bytes() for name in names if (path := ROOT / name).is_file()}
    texts = {name: text for name, text in texts.items() if text and b"\0" not in text}

    assert texts
    assert [name for name, text in texts.items() if not text.endswith(b"\n")] == []
    assert [name for name, text in texts.items() if re.search(rb"[ \t\r]$", text, re.MULTILINE)] == []


def test_the_wheel_carries_the_mark_that_the_package_is_typed() -> None:
    files = {file.distribution_path for file in WheelBuilder(str(ROOT)).recurse_included_files()}

    assert "service/py.typed" in files
    assert "service/core/decision.py" in files
