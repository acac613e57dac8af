"""The demo: a FHIR server, this service and synthetic patients, from notification to CarePlan, checked."""

import asyncio
import json
import re
import tempfile
import time
import tomllib
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date, timedelta
from importlib import resources
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from service import clock
from service.demo.sandbox import load, running_sekmet
from service.errors import TrdError
from service.fhir.client import FhirClient, open_client
from service.gather.subscriptions import subscribe
from service.read.agenda import read_agenda
from service.render.guidance import guidance_id
from service.review import Reviewer
from service.server import serving
from service.settings import Settings
from service.telemetry.logs import configure_logs

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}(?=$|T)")
_LIMIT_SECONDS = 90.0
_POLL_SECONDS = 0.3


class DemoFailed(TrdError):
    """What the server holds in the end is not what the patients call for."""


@dataclass(frozen=True, slots=True)
class DemoPatient:
    """A synthetic patient, with dates moved so that the case is as of today, and what must come of it."""

    name: str
    patient_id: str
    bundle: dict[str, Any]
    decision: str
    reason: str


@dataclass(frozen=True, slots=True)
class DemoOutcome:
    """What stands on the FHIR server for a patient: the reason on the GuidanceResponse, and the CarePlan."""

    reason: str | None
    summary: str
    plan: dict[str, Any] | None


def demo_patients(today: date) -> list[DemoPatient]:
    """The patients named in `fixtures/demo.toml`, as of today."""
    folder = fixtures_directory()
    names = tomllib.loads((folder / "demo.toml").read_text(encoding="utf-8"))["cases"]
    return [_patient(folder / "cases" / name, today) for name in names]


def fixtures_directory() -> Path:
    """Where the synthetic patients are: inside the installed package, or beside it in a checkout."""
    installed = Path(str(resources.files("service"))) / "fixtures"
    return installed if installed.is_dir() else installed.parent.parent / "fixtures"


def _patient(case: Path, today: date) -> DemoPatient:
    expected = tomllib.loads((case / "expected.toml").read_text(encoding="utf-8"))
    bundle = _moved(json.loads((case / "bundle.json").read_bytes()), today - expected["as_of"])
    patient_id = next(
        entry["resource"]["id"] for entry in bundle["entry"] if entry["resource"]["resourceType"] == "Patient"
    )
    return DemoPatient(case.name, patient_id, bundle, expected["decision"], expected["reason"])


def _moved(value: Any, by: timedelta) -> Any:
    """A record with every full date moved by some days."""
    if isinstance(value, dict):
        return {key: _moved(part, by) for key, part in value.items()}
    if isinstance(value, list):
        return [_moved(part, by) for part in value]
    if isinstance(value, str) and _DAY.match(value):
        return (date.fromisoformat(value[:10]) + by).isoformat() + value[10:]
    return value


async def run_demo(console: Console, settings: Settings, *, fhir: str | None, keep: bool) -> None:
    """Run the demo and show what came of each patient. Raises `DemoFailed` on a wrong outcome.

    `fhir` is the address of a FHIR server to use instead of an embedded one. With `keep`, everything stays up
    until it is interrupted.
    """
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="trd-careplan-demo-"))
        configure_logs(stack.enter_context((Path(folder) / "service.log").open("w", encoding="utf-8")))
        base = fhir or stack.enter_context(running_sekmet())
        console.print(f"FHIR server   {base}")
        chosen = settings.model_copy(
            update={"fhir_base_url": base, "port": 0, "database_url": f"sqlite:///{folder}/queue.sqlite"}
        )
        async with serving(chosen) as address, open_client(chosen) as client:
            console.print(f"service       {address}")
            await _watch(console, chosen, address, client)
            if keep:
                _invite(console, base, address)
                await asyncio.Event().wait()


async def _watch(console: Console, settings: Settings, address: str, client: FhirClient) -> None:
    """Subscribe, load the patients, wait for what the server's own notifications bring about; check it."""
    secret = settings.hook_secret.get_secret_value() if settings.hook_secret else None
    knowledge = Reviewer.prepare(settings, clock.today(settings.timezone)).knowledge
    for subscription in await subscribe(client, f"{address}/hooks/fhir", secret, knowledge):
        console.print(f"subscription  {subscription.reference} {subscription.done}, {subscription.status}")
    patients = demo_patients(clock.today(settings.timezone))
    started = time.monotonic()
    for patient in patients:
        await asyncio.to_thread(load, client.base, patient.bundle)
    console.print(f"loaded        {len(patients)} patients; the rest is up to the server's notifications\n")
    wrong = []
    for patient in patients:
        outcome = await _await_outcome(client, patient, started + _LIMIT_SECONDS)
        _show(console, patient, outcome)
        wrong += _faults(patient, outcome)
    seconds = time.monotonic() - started
    if wrong:
        raise DemoFailed("\n".join(wrong))
    console.print(f"[green]All {len(patients)} patients as expected, {seconds:.1f} s after loading began.[/]")


async def load_patients(settings: Settings) -> int:
    """Load the patients of the demo on the configured server and no more; returns how many."""
    patients = demo_patients(clock.today(settings.timezone))
    async with open_client(settings) as client:
        for patient in patients:
            await asyncio.to_thread(load, client.base, patient.bundle)
    return len(patients)


async def _await_outcome(client: FhirClient, patient: DemoPatient, deadline: float) -> DemoOutcome:
    """What stands on the server for a patient, once it is what is expected or the time is up."""
    while True:
        outcome = await _outcome(client, patient.patient_id)
        if not _faults(patient, outcome) or time.monotonic() > deadline:
            return outcome
        await asyncio.sleep(_POLL_SECONDS)


async def _outcome(client: FhirClient, patient_id: str) -> DemoOutcome:
    guidance = await client.find(f"GuidanceResponse/{guidance_id(patient_id)}")
    if guidance is None:
        return DemoOutcome(None, "", None)
    parameters = guidance["contained"][0]["parameter"]
    reason = next(p["valueCode"] for p in parameters if p["name"] == "decision-reason")
    result = guidance.get("result", {}).get("reference")
    plan = await client.find(result) if result else None
    return DemoOutcome(reason, guidance["note"][0]["text"], plan)


def _faults(patient: DemoPatient, outcome: DemoOutcome) -> list[str]:
    """What is not as the case says."""
    faults = []
    if outcome.reason != patient.reason:
        faults.append(f"{patient.name}: {outcome.reason or 'not assessed'}, expected {patient.reason}")
    proposed = patient.decision == "propose"
    if proposed != (outcome.plan is not None):
        faults.append(f"{patient.name}: {'no' if proposed else 'a'} CarePlan")
    if outcome.plan is not None:
        expected = 12 if patient.reason == "trd" else 8
        dates = read_agenda(outcome.plan).session_days
        if len(set(dates)) != expected or outcome.plan["status"] != "draft":
            faults.append(f"{patient.name}: {len(dates)} sessions, status {outcome.plan['status']}")
    return faults


def _show(console: Console, patient: DemoPatient, outcome: DemoOutcome) -> None:
    colour = {"propose": "green", "decline": "red"}.get(patient.decision, "yellow")
    head = (patient.decision, f"bold {colour}")
    console.print(Text.assemble(head, f" ({outcome.reason})  Patient/{patient.patient_id}"))
    console.print(Padding(outcome.summary, (0, 0, 0, 2)), style="dim")
    if outcome.plan is not None:
        table = Table.grid(padding=(0, 2))
        session_days = read_agenda(outcome.plan).session_days
        days = [f"{number}. {day}" for number, day in enumerate(session_days, start=1)]
        for first in range(0, len(days), 4):
            table.add_row("  ", *days[first : first + 4])
        console.print(f"  CarePlan/{outcome.plan['id']} ({outcome.plan['status']}, {outcome.plan['intent']})")
        console.print(table)
    console.print()


def _invite(console: Console, base: str, address: str) -> None:
    console.print(f"\nStill up; stop with Ctrl-C. Try:\n  curl {base}/CarePlan?subject=Patient/propose-two")
    console.print(f"  curl '{address}/fhir/Patient/propose-two/$assess-treatment-resistance'")
    console.print(f"  curl {address}/health/ready\n  curl {address}/metrics")
