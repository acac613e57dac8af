"""What every test shares: no setting of the machine leaks in, and in CI nothing is skipped in silence."""

import os
import ssl
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from hypothesis import settings

os.environ["TZ"] = "Pacific/Auckland"  # far from UTC, so that a naive use of the local day shows


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("TRD_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session", autouse=True)
def _certificates_are_loaded_once() -> Iterator[None]:
    """Loading those of the machine takes longer than most tests, and each HTTP client loads them anew."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ssl, "create_default_context", cache(ssl.create_default_context))
        yield


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """In CI a skipped test is a failure: the machine there is to have all that the tests need."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = reporter.stats.get("skipped") if reporter is not None else None
    if reporter is not None and skipped and os.environ.get("CI") and session.exitstatus == pytest.ExitCode.OK:
        reporter.write_line(f"CI skips nothing, but {len(skipped)} tests were skipped", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
