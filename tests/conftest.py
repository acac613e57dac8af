"""What every test shares: no setting of the machine leaks in, and in CI nothing is skipped in silence."""

import asyncio
import os
import ssl
from functools import cache
from pathlib import Path

import pytest
from hypothesis import settings

from tests.examples import QUICK
from tests.lists import load_once

os.environ["TZ"] = "Pacific/Auckland"  # far from UTC, so that a naive use of the local day shows


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("TRD_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Every wait between two tries, in seconds; none of them takes any time."""
    slept: list[float] = []
    sleep = asyncio.sleep

    async def at_once(seconds: float) -> None:
        slept.append(seconds)
        await sleep(0)

    monkeypatch.setattr(asyncio, "sleep", at_once)
    return slept


def pytest_configure(config: pytest.Config) -> None:
    """Load once what takes longer than most tests: our lists, and the certificates of an HTTP client."""
    patch = pytest.MonkeyPatch()
    for user in ("service.review", "service.cli"):
        patch.setattr(f"{user}.load_knowledge", load_once)
    patch.setattr(ssl, "create_default_context", cache(ssl.create_default_context))
    config.add_cleanup(patch.undo)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """In CI a skipped test is a failure: the machine there is to have all that the tests need."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = reporter.stats.get("skipped") if reporter is not None else None
    if reporter is not None and skipped and os.environ.get("CI") and session.exitstatus == pytest.ExitCode.OK:
        reporter.write_line(f"CI skips nothing, but {len(skipped)} tests were skipped", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


settings.load_profile(QUICK)
