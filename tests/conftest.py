"""What every test shares: no setting of the machine leaks in, and what takes long is done once."""

import asyncio
import gc
import os
import ssl
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from hypothesis import settings

from tests.examples import QUICK
from tests.lists import load_once
from tests.skips import pytest_sessionfinish

__all__ = ["pytest_sessionfinish"]

os.environ["TZ"] = "Pacific/Auckland"  # far from UTC, so that a naive use of the local day shows


@pytest.fixture(scope="session")
def empty_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where tests run: no `.env` is read from the checkout, and nothing is written into it."""
    return tmp_path_factory.mktemp("empty")


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch, empty_folder: Path) -> Iterator[None]:
    for name in [name for name in os.environ if name.startswith("TRD_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(empty_folder)
    yield
    assert list(empty_folder.iterdir()) == [], "the test wrote into the folder that it ran in"


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
    """Load once what takes longer than most tests: our lists, and the certificates of an HTTP client.

    The collector waits until the tests are collected: nothing of them is garbage.
    """
    gc.disable()
    patch = pytest.MonkeyPatch()
    patch.setattr("service.knowledge.configured.load_knowledge", load_once)
    patch.setattr(ssl, "create_default_context", cache(ssl.create_default_context))
    config.add_cleanup(patch.undo)


settings.load_profile(QUICK)


def pytest_collection_finish() -> None:
    """Spare the collector the tests themselves, which live to the end: it took a tenth of the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 100)
    gc.enable()
