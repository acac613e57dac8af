"""Settings shared by every test: no `TRD_` variable and no `.env` of the machine leaks in."""

import os
from pathlib import Path

import pytest

os.environ["TZ"] = "Pacific/Auckland"  # far from UTC, so that a naive use of the local day shows


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("TRD_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
