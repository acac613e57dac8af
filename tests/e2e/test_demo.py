"""The demo as a new user runs it: its own server, its own service, and every patient as expected."""

import subprocess
import sys
from pathlib import Path

import pytest

from service.demo import run as demo
from service.demo.run import DemoFailed, demo_patients, run_demo
from service.render.terminal import Terminal
from service.settings import load_settings


def test_the_demo_shows_every_patient_and_ends_well() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "service", "demo"], capture_output=True, text=True, check=False, timeout=150
    )

    assert (ran.returncode, ran.stderr) == (0, "")
    assert "All 11 patients as expected" in ran.stdout
    for shown in ("propose (trd)", "propose (acute-suicidality)", "decline (contraindicated)", "12. "):
        assert shown in ran.stdout


async def test_a_wrong_outcome_fails_the_demo(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    real = demo_patients

    def one_wrong(today: object) -> list[demo.DemoPatient]:
        first = real(today)[0]  # type: ignore[arg-type] # passed on as it came
        return [demo.DemoPatient(first.name, first.patient_id, first.bundle, "decline", "contraindicated")]

    monkeypatch.setattr(demo, "demo_patients", one_wrong)
    monkeypatch.setattr(demo, "_LIMIT_SECONDS", 8.0)
    with (tmp_path / "out.txt").open("w") as out, pytest.raises(DemoFailed, match="expected contraindicated"):
        await run_demo(Terminal(file=out), load_settings(), fhir=None, keep=False)
