"""A run of tests in CI fails when a test is skipped, wherever it runs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import ROOT

NO_PLUGINS = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
SKIPPED = """
import pytest

def test_done(): pass

@pytest.mark.skipif(True, reason="not here")
def test_skipped(): pass
"""


def code_of_a_run(folder: Path, tests: str, *options: str, **environment: str) -> int:
    """The exit code of a run of these tests alone."""
    (folder / "conftest.py").write_text("from tests.skips import pytest_sessionfinish\n")
    (folder / "test_some.py").write_text(tests)
    kept = {name: value for name, value in os.environ.items() if name not in {"CI", "PYTEST_ADDOPTS"}}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-c", os.devnull, *options, str(folder)],
        cwd=folder,
        env={**kept, **NO_PLUGINS, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        check=False,
    ).returncode


@pytest.mark.parametrize(
    "options",
    [
        pytest.param((), id="one process"),
        pytest.param(("-p", "xdist.plugin", "-n", "1"), id="workers", marks=pytest.mark.matrix),
    ],
)
def test_a_skipped_test_fails_the_run_in_ci_and_only_there(tmp_path: Path, options: tuple[str, ...]) -> None:
    assert code_of_a_run(tmp_path, SKIPPED, *options, CI="1") == pytest.ExitCode.TESTS_FAILED
    assert code_of_a_run(tmp_path, SKIPPED, *options) == pytest.ExitCode.OK


def test_a_run_without_a_skipped_test_passes_in_ci(tmp_path: Path) -> None:
    assert code_of_a_run(tmp_path, "def test_done(): pass\n", CI="1") == pytest.ExitCode.OK
