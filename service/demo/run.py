"""The demo: a FHIR server, this service and synthetic patients, from notification to CarePlan, checked."""

import asyncio
import json
import os
import re
import shlex
import sys
import tempfile
import time
import tomllib
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import date, timedelta
from importlib import resources
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from service import clock
from service.core.decision import DecisionName
from service.core.plans import PlanAction
from service.demo.guest import DemoVisit, check_free, holds_others, mark, visit_somebody
from service.demo.order import find_order_faults, show_cards, sign_order
from service.demo.sandbox import call_hook, running_sekmet
from service.demo.treatment import PassedWeek, TreatedPatient, TreatmentStory, find_faults, tell_answer
from service.errors import TrdError
from service.fhir.client import FhirClient, open_client
from service.gather.subscriptions import NAME, subscribe
from service.read.agenda import read_agenda
from service.render.guidance import guidance_id, render_guidance
from service.render.terminal import Terminal, Unwrapped
from service.review import Review, Reviewer
from service.server import serving
from service.settings import Settings
from service.telemetry.logs import configure_logs

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}(?=$|T)")
_LIMIT_SECONDS = 90.0
_POLL_SECONDS = 0.1
_STORY = 80
"""Columns of the story, on however wide a terminal."""


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


def treatment_story() -> TreatmentStory:
    """The story of the patient under treatment in `fixtures/demo.toml`."""
    told = tomllib.loads((fixtures_directory() / "demo.toml").read_text(encoding="utf-8"))
    return TreatmentStory(**told["treatment"])


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


async def run_demo(console: Terminal, settings: Settings, *, fhir: str | None, keep: bool) -> None:
    """Run the demo and show what came of each patient. Raises `DemoFailed` on a wrong outcome.

    `fhir` is the address of a FHIR server to use instead of an embedded one: there the demo writes for its
    own patients alone and removes them in the end, however it ends. With `keep`, everything stays up until it
    is interrupted, and the patients stay there for good.
    """
    visit = visit_somebody() if fhir else DemoVisit()
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="trd-careplan-demo-"))
        configure_logs(stack.enter_context((Path(folder) / "service.log").open("w", encoding="utf-8")))
        if fhir is None:
            console.print("starting      a FHIR server, which takes some seconds")
        base = fhir or stack.enter_context(running_sekmet())
        console.print(f"FHIR server   {base}")
        chosen = _settings_of(settings, base, Path(folder), visit)
        reviewer = Reviewer.prepare(chosen, clock.today(chosen.timezone))
        async with open_client(chosen) as client, _visiting(console, client, visit, keep=keep):
            story = treatment_story()
            weeks = f"{story.weeks} weeks, each reviewed as of its last day"
            console.print(f"treatment     Patient/{visit.own(story.patient)}: {weeks}")
            treated = await _treat_until_today(client, reviewer, visit)
            async with serving(chosen) as address, _subscribed(console, address, client, reviewer, visit):
                await _watch(console, reviewer.as_of, client, visit)
                await _order(console, reviewer.as_of, address, visit)
                await _watch_treatment(console, reviewer, treated)
                record = f"Patient/{treated.patient_id}" if keep else None
                _invite(console, base, address if keep else None, record)
                if keep:
                    await asyncio.Event().wait()


def _settings_of(settings: Settings, base: str, folder: Path, visit: DemoVisit) -> Settings:
    """The settings of the demo's service. On a server of others it writes for its own patients alone."""
    own = frozenset(visit.own(one) for one in (*_patient_ids(), treatment_story().patient))
    update = {
        "fhir_base_url": base,
        "port": 0,
        "database_url": f"sqlite:///{folder}/queue.sqlite",
        "daily_at": "off",
        "sweep_every": "off",
        "roster": None,
        "patients_allowed": own if visit.is_guest else settings.patients_allowed,
    }
    return settings.model_copy(update=update)


def _patient_ids() -> list[str]:
    return [patient.patient_id for patient in demo_patients(date(2026, 1, 1))]


@asynccontextmanager
async def _visiting(
    console: Terminal, client: FhirClient, visit: DemoVisit, *, keep: bool
) -> AsyncIterator[None]:
    """Remove in the end what the demo put on a server that others use; with `keep`, only say what stays."""
    await visit.arrive(client)
    try:
        yield
    finally:
        if visit.is_guest and keep:
            console.print(f"The patients stay on the server; their ids begin with {visit.name}.")
        elif visit.is_guest:
            left = await visit.leave(client)
            said = f"not removed: {', '.join(left)}" if left else "The demo removed its patients and plans."
            console.print(said, style="red" if left else "")


async def _treat_until_today(client: FhirClient, reviewer: Reviewer, visit: DemoVisit) -> TreatedPatient:
    """A patient treated until a week ago, reviewed each week as of its last day; nobody is notified yet."""
    story, today = treatment_story(), reviewer.as_of
    patient = TreatedPatient(client, visit.own(story.patient), story, today)
    record = record_of(patient)
    for resource in record:
        mark(resource)
    await visit.bring(client, patient.patient_id, record)
    for _ in range(story.weeks):
        done = await patient.live()
        proposal = await reviewer.on(patient.day).propose(client, patient.patient_id)
        await patient.pass_week(done, proposal.answer)
    return patient


def record_of(patient: TreatedPatient) -> list[dict[str, Any]]:
    """What is on record of the patient under treatment before the first review of the story."""
    case = _patient(fixtures_directory() / "cases" / patient.story.case, patient.day)
    bundle = json.loads(json.dumps(case.bundle).replace(case.patient_id, patient.patient_id))
    return [entry["resource"] for entry in bundle["entry"]]


@asynccontextmanager
async def _subscribed(
    console: Terminal, address: str, client: FhirClient, reviewer: Reviewer, visit: DemoVisit
) -> AsyncIterator[None]:
    """Have the server notify the demo's service, by Subscriptions of its own."""
    console.print(f"service       {address}")
    given = reviewer.settings.hook_secret
    secret = given.get_secret_value() if given else None
    endpoint, name = f"{address}/hooks/fhir", visit.own(NAME)
    try:
        for one in await subscribe(client, endpoint, secret, reviewer.knowledge, name=name):
            console.print(f"subscription  {one.reference} {one.done}, {one.status}")
        yield
    finally:
        await visit.unsubscribe(client)


async def _watch(console: Terminal, today: date, client: FhirClient, visit: DemoVisit) -> None:
    """Load the patients, wait for what the server's own notifications bring about, and check it."""
    patients = [_visitor(patient, visit) for patient in demo_patients(today)]
    started = time.monotonic()
    console.print(f"loading       {len(patients)} patients")
    for patient in patients:
        await visit.bring(client, patient.patient_id, patient.bundle)
    console.print("loaded        all of them; the rest is up to the server's notifications\n")
    wrong = []
    for patient in patients:
        outcome = await _await_outcome(client, patient, started + _LIMIT_SECONDS)
        _show(console, patient, outcome)
        wrong += _faults(patient, outcome)
    seconds = time.monotonic() - started
    if wrong:
        raise DemoFailed("\n".join(wrong))
    said = f"All {len(patients)} patients as expected, {seconds:.1f} s after loading began."
    console.print(said, style="green")


def _visitor(patient: DemoPatient, visit: DemoVisit) -> DemoPatient:
    return replace(patient, patient_id=visit.own(patient.patient_id), bundle=visit.rename(patient.bundle))


async def _order(console: Terminal, today: date, address: str, visit: DemoVisit) -> None:
    """Sign an order of esketamine for a patient with a contraindication; check and show what is answered."""
    told = tomllib.loads((fixtures_directory() / "demo.toml").read_text(encoding="utf-8"))
    patient = _patient(fixtures_directory() / "cases" / told["ordered"], today)
    patient_id = visit.own(patient.patient_id)
    cards = await asyncio.to_thread(call_hook, address, sign_order(patient_id))
    show_cards(console, patient_id, cards)
    if wrong := find_order_faults(cards):
        raise DemoFailed("\n".join(wrong))


async def _watch_treatment(console: Terminal, reviewer: Reviewer, patient: TreatedPatient) -> None:
    """Have the last week end today, wait until the running service has reviewed it, and check and show it."""
    done = await patient.live()
    deadline = time.monotonic() + _LIMIT_SECONDS
    while True:
        review = await reviewer.review_patient(patient.client, patient.patient_id)
        if await _is_on_record(patient.client, review) or time.monotonic() > deadline:
            break
        await asyncio.sleep(_POLL_SECONDS)
    await patient.pass_week(done, review.answer)
    show_weeks(console, patient)
    wrong = find_faults(patient)
    if not await _is_on_record(patient.client, review):
        wrong.append(f"{patient.patient_id}: the service did not review what was recorded today")
    if wrong:
        raise DemoFailed("\n".join(wrong))
    console.print("The treatment went as expected.", style="green")


async def _is_on_record(client: FhirClient, review: Review) -> bool:
    """Whether the assessment on record says what a review says now, of the treatment and of its draft."""
    guidance = await client.find(f"GuidanceResponse/{guidance_id(review.record.person.evidence.id)}")
    if guidance is None or review.intent.action in {PlanAction.CREATE, PlanAction.UPDATE}:
        return False
    return _treatment_in(guidance) == _treatment_in(render_guidance(review.decision, None))


def _treatment_in(guidance: dict[str, Any]) -> list[dict[str, Any]]:
    return [one for one in guidance["contained"][0]["parameter"] if one["name"] == "treatment"]


def show_weeks(console: Terminal, patient: TreatedPatient) -> None:
    """A row for each week: its number and last day, what people did, and what the service said."""
    head = "A treatment, week by week", "bold"
    console.print(Text.assemble("\n", head, f"  Patient/{patient.patient_id}\n"))
    table = Table(
        box=SIMPLE_HEAD, width=min(console.width, _STORY), padding=(0, 1), pad_edge=False, show_edge=False
    )
    table.add_column("week", justify="right")
    table.add_column("reviewed", no_wrap=True)
    table.add_column("what people did", ratio=2)
    table.add_column("what the service said", ratio=3)
    for week in patient.weeks:
        table.add_row(*_row(week, patient.today))
    console.print(table)
    console.print()


def _row(week: PassedWeek, today: date) -> tuple[str, Text, str, Text]:
    answer = week.answer
    day = Text("today", "bold") if week.day == today else Text(week.day.isoformat())
    colour = "green" if answer.decision is DecisionName.PROPOSE else "cyan"
    decided = Text.assemble((answer.decision.value, f"bold {colour}"), f" ({answer.reason.value})")
    said = Text("\n").join([decided, *map(Text, tell_answer(week))])
    number = str(answer.treatment.week) if answer.treatment else ""
    return number, day, "\n".join(week.done), said


async def load_patients(settings: Settings) -> int:
    """Load the patients of the demo on the configured server and no more; returns how many.

    Raises `PatientTaken` where that would overwrite a patient who is none of the demo.
    """
    patients, visit = demo_patients(clock.today(settings.timezone)), DemoVisit()
    async with open_client(settings) as client:
        await check_free(client, [patient.patient_id for patient in patients])
        for patient in patients:
            await visit.bring(client, patient.patient_id, visit.rename(patient.bundle))
    return len(patients)


async def is_of_others(settings: Settings) -> bool:
    """Whether the configured server holds patients who are none of the demo."""
    async with open_client(settings) as client:
        return await holds_others(client)


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


def _show(console: Terminal, patient: DemoPatient, outcome: DemoOutcome) -> None:
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


def _invite(console: Terminal, base: str, address: str | None, treated: str | None) -> None:
    """Commands to look closer, each on a line of its own that can be copied.

    `address` is that of the service where it stays up; `treated` is the patient under treatment where her
    record stays.
    """
    command = shlex.quote(sys.argv[0]) if Path(sys.argv[0]).name == "trd-careplan" else "trd-careplan"
    lines = [f"{command} demo --keep", f"{command} plan {_similar_case()}"]
    if treated is not None:
        plan = f"{command} plan {treated}"
        lines = [f"export TRD_FHIR_BASE_URL={shlex.quote(base)}", plan]
        lines += [f"{plan} --html plan.html", f"{command} explain {treated}"]
    if address is not None:
        lines += [
            f"curl '{base}/CarePlan?subject={treated}'",
            f"curl '{address}/fhir/{treated}/$assess-treatment-resistance'",
            f"curl '{address}/health/ready'",
            f"curl '{address}/metrics'",
        ]
    console.print(f"\n{'Still up; stop with Ctrl-C. ' if address else ''}To look closer:")
    for line in lines:
        console.print(Unwrapped(Text(f"  {line}")))


def _similar_case() -> str:
    """A case in the course of a treatment as a source with its day, for where no server stays up."""
    case = fixtures_directory() / "cases" / treatment_story().similar
    as_of = tomllib.loads((case / "expected.toml").read_text(encoding="utf-8"))["as_of"]
    return f"{shlex.quote(os.path.relpath(case / 'bundle.json'))} --as-of {as_of}"
