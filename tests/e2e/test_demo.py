"""The demo as a new user runs it: its own server, its own service, and every patient as expected."""

import io
import os
import re
import shlex
import subprocess
import sys
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from subprocess import DEVNULL, PIPE
from typing import Any

import httpx
import pytest

from service.demo import run as demo
from service.demo.order import Card, find_order_faults
from service.demo.run import DemoFailed, demo_patients, record_of, run_demo, show_weeks, treatment_story
from service.demo.sandbox import load, running_sekmet
from service.demo.treatment import TreatedPatient, find_faults
from service.render.terminal import Terminal
from service.review import Reviewer
from service.settings import load_settings
from tests.fhir.double import FhirDouble
from tests.support import client_of, run_command, settings

README = Path(__file__).parents[2] / "README.md"


def test_the_demo_shows_every_patient_and_ends_well() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "service", "demo"],
        capture_output=True,
        text=True,
        check=False,
        timeout=150,
        env={**os.environ, "COLUMNS": "120"},
    )

    assert (ran.returncode, ran.stderr) == (0, "")
    assert "All 11 patients as expected" in ran.stdout
    assert "The treatment went as expected" in ran.stdout
    assert "An order of esketamine is signed  Patient/" in ran.stdout
    assert "Esketamine is contraindicated: Hypersensitivity" in ran.stdout
    for did in (
        "a clinician activates",
        "session 10: did not",
        "the benefit is",
        "PHQ-9: 3",
    ):
        assert did in ran.stdout
    for said in ("decline (in-treatment)", "propose (continuation)", "Missed: session 10", "remission"):
        assert said in ran.stdout
    for shown in ("propose (trd)", "propose (acute-suicidality)", "decline (contraindicated)", "12. "):
        assert shown in ran.stdout


@pytest.mark.parametrize("cards", [[], [{"indicator": "info", "detail": "AllergyIntolerance/1"}]])
def test_an_order_that_no_critical_card_answers_fails_the_demo(cards: list[Card]) -> None:
    assert find_order_faults(cards) == [
        "the order of esketamine was not answered by a critical card with its evidence"
    ]


@pytest.mark.parametrize("columns", [80, 100])
async def test_the_weeks_are_shown_as_the_readme_shows_them(columns: int, tmp_path: Path) -> None:
    """It lives every week, which takes seconds; a story that ends otherwise is told on the same patient."""
    patient = await treated_until(date(2026, 11, 30))
    with (tmp_path / "out.txt").open("w+") as out:
        show_weeks(Terminal(file=out, width=columns), patient)
        out.seek(0)
        shown = [line.rstrip() for line in out]

    sample = re.findall(r"```text\n(week .*?)```", README.read_text(encoding="utf-8"), re.DOTALL)[0]
    assert [line for line in sample.splitlines() if line not in shown] == []
    assert find_faults(patient) == []
    patient.story = replace(patient.story, response="worse", plans=99)
    assert find_faults(patient) == [
        "under-treatment: response remission, expected worse",
        f"under-treatment: {len(patient.plans)} plans activated, expected 99",
    ]


@pytest.mark.matrix
@pytest.mark.parametrize("weeks_on", range(0, 52, 4))
async def test_the_treatment_goes_as_expected_on_any_day(weeks_on: int) -> None:
    """Holidays and weekdays move its sessions; every date tried is another weekday."""
    patient = await treated_until(date(2026, 1, 1) + timedelta(weeks=weeks_on, days=weeks_on // 4))

    assert find_faults(patient) == []


async def treated_until(today: date) -> TreatedPatient:
    """The patient under treatment of the demo, on a server in memory."""
    story = treatment_story()
    client, reviewer = client_of(FhirDouble([])), Reviewer.prepare(settings(), today)
    patient = TreatedPatient(client, story.patient, story, today)
    for one in record_of(patient):
        await client.put(one)
    for _ in range(story.weeks + 1):
        done = await patient.live()
        proposal = await reviewer.on(patient.day).propose(client, story.patient)
        await patient.pass_week(done, proposal.answer)
    return patient


async def test_a_wrong_outcome_fails_the_demo(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    real = demo_patients

    def one_wrong(today: object) -> list[demo.DemoPatient]:
        first = real(today)[0]  # type: ignore[arg-type] # passed on as it came
        return [demo.DemoPatient(first.name, first.patient_id, first.bundle, "decline", "contraindicated")]

    monkeypatch.setattr(demo, "demo_patients", one_wrong)
    monkeypatch.setattr(demo, "_LIMIT_SECONDS", 3.0)
    with (tmp_path / "out.txt").open("w") as out, pytest.raises(DemoFailed, match="expected contraindicated"):
        await run_demo(Terminal(file=out), load_settings(), fhir=None, keep=False)


@pytest.mark.parametrize("treated", [None, "Patient/under-treatment"])
@pytest.mark.parametrize("address", [None, "http://127.0.0.1:9/a b"])
def test_what_the_demo_suggests_can_be_pasted(treated: str | None, address: str | None) -> None:
    """Each is one line however narrow the terminal, and a shell reads in it what was meant."""
    out = io.StringIO()
    base = "http://127.0.0.1:9/fhir;x"
    demo._invite(Terminal(file=out, width=40), base, address, treated)

    lines = [line for line in out.getvalue().splitlines() if line.startswith("  ")]
    words = [shlex.split(line, comments=False) for line in lines]
    assert len(lines) == (4 if treated else 2) + (4 if address else 0)
    assert {Path(first).name for first, *_ in words} <= {"export", "curl", "trd-careplan"}
    if treated:
        assert words[0] == ["export", f"TRD_FHIR_BASE_URL={base}"]
    else:
        case = words[1]
        assert run_command(*case[1:]).returncode == 0
    for name, *rest in words:
        assert name != "curl" or (len(rest) == 1 and rest[0].startswith("http://127.0.0.1:9/"))


KINDS = (
    "Patient",
    "Subscription",
    "CarePlan",
    "Provenance",
    "GuidanceResponse",
    "Task",
    "Condition",
    "Device",
)


def everything_on(base: str) -> dict[str, Any]:
    """All resources of a server by reference, without what it notes itself, as that it reached nobody."""
    found = {}
    with httpx.Client(trust_env=False, timeout=30) as http:
        for kind in KINDS:
            bundle = http.get(f"{base}/{kind}", params={"_count": 500}).json()
            for entry in bundle.get("entry", []):
                resource = entry["resource"]
                found[f"{kind}/{resource['id']}"] = {**resource, "meta": None, "status": None, "error": None}
    return found


@pytest.mark.matrix
def test_on_a_server_of_others_the_demo_asks_and_leaves_everything_as_it_was() -> None:
    """It runs the whole demo once on a server, and once until it is told to stop, which takes its time."""
    with running_sekmet() as base:
        stranger = {"resourceType": "Patient", "id": "propose-two", "active": True}
        theirs = {
            "resourceType": "Subscription",
            "id": "trd-careplan-condition",
            "status": "active",
            "reason": "a service that runs",
            "criteria": "Condition?",
            "channel": {"type": "rest-hook", "endpoint": "http://127.0.0.1:1/hooks/fhir"},
        }
        load(base, [stranger, theirs])
        before = everything_on(base)
        command = [sys.executable, "-m", "service", "demo", "--fhir", base]

        asked = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=60, stdin=DEVNULL
        )
        assert asked.returncode == 2
        assert "none of the demo" in asked.stderr
        assert everything_on(base) == before

        ran = subprocess.run(
            [*command, "--yes"], capture_output=True, text=True, check=False, timeout=300, stdin=DEVNULL
        )
        assert (ran.returncode, ran.stderr) == (0, "")
        assert "The treatment went as expected" in ran.stdout
        assert "The demo removed its patients and plans." in ran.stdout
        assert everything_on(base) == before

        with subprocess.Popen([*command, "--yes"], stdout=PIPE, text=True, stdin=DEVNULL) as told:
            assert told.stdout is not None
            while not told.stdout.readline().startswith("loaded"):
                pass
            told.terminate()
            rest = told.stdout.read()
        assert told.returncode == 143
        assert "The demo removed its patients and plans." in rest
        assert everything_on(base) == before

        loaded = run_command("demo", "--load-only", "--fhir", base)
        assert loaded.returncode == 2
        assert "Patient/propose-two is there and none of the demo" in loaded.stderr
        assert everything_on(base) == before
