"""Withdraw drafts: revoke by hand what this service wrote and nobody touched, and nothing else."""

from collections.abc import AsyncIterator, Iterable
from enum import StrEnum
from typing import NamedTuple

from service.apply.by_hand import withdraw_draft, withdraw_filed
from service.apply.held import check_withdrawable
from service.apply.origins import Origin
from service.apply.send import CONFLICTS
from service.commands.documents import list_ours, why_not_withdrawn
from service.commands.written import Listed, WrittenFilter
from service.core.plans import UNKNOWN_GROUNDS, why_kept
from service.core.records import VersionedReference
from service.errors import ServerRefused
from service.fhir.client import FhirClient
from service.fhir.loose import Resource
from service.fhir.references import read_reference
from service.read.care_plans import plan_of_record
from service.render.terminal import Rows, Terminal
from service.settings import Settings


class WithdrawalOutcome(StrEnum):
    """What became of a plan."""

    ASKED = "to be withdrawn"
    WITHDRAWN = "withdrawn"
    LEFT = "left"


class Withdrawal(NamedTuple):
    """A plan, what became of it, and why."""

    plan: str
    patient: str
    outcome: WithdrawalOutcome
    why: str


async def find_drafts(
    client: FhirClient, settings: Settings, wanted: WrittenFilter
) -> tuple[list[Listed], list[Withdrawal]]:
    """The plans asked for that may be withdrawn, and those that are left with the reason.

    Raises as `check_withdrawable` does.
    """
    await check_withdrawable(client, settings)
    return sort_out(await list_ours(client, settings, wanted))


def sort_out(found: Iterable[Listed]) -> tuple[list[Listed], list[Withdrawal]]:
    """The plans that may be withdrawn, and those that are left with the reason."""
    drafts: list[Listed] = []
    left: list[Withdrawal] = []
    for listed in found:
        written = listed.written
        if written.kind not in {"plan", "document"}:
            continue
        why = _why_left(listed)
        if why is None:
            drafts.append(listed)
        else:
            left.append(Withdrawal(written.resource, written.patient, WithdrawalOutcome.LEFT, why))
    return drafts, left


def _why_left(listed: Listed) -> str | None:
    if listed.document is not None:
        return why_not_withdrawn(listed.document)
    return why_kept(plan_of_record(_evidence_of(listed.content), listed.content))


def _evidence_of(plan: Resource) -> VersionedReference:
    return VersionedReference("CarePlan", plan["id"], plan.get("meta", {}).get("versionId"))


def plan_withdrawals(drafts: Iterable[Listed], reason: str) -> list[Withdrawal]:
    """The withdrawals that are about to be made."""
    return [
        Withdrawal(draft.written.resource, draft.written.patient, WithdrawalOutcome.ASKED, reason)
        for draft in drafts
    ]


async def withdraw(
    client: FhirClient, settings: Settings, drafts: Iterable[Listed], reason: str
) -> AsyncIterator[Withdrawal]:
    """Revoke drafts one by one, each only in the version that was looked at.

    One that somebody changed meanwhile is left. Any other failure of the server ends it and is raised; what
    was withdrawn until then stays withdrawn, and a second run goes on.
    """
    for listed in drafts:
        name, patient = listed.written.resource, listed.written.patient
        try:
            await _withdraw_one(client, settings, listed, reason)
        except ServerRefused as refused:
            if refused.status not in CONFLICTS:
                raise
            yield Withdrawal(
                name, patient, WithdrawalOutcome.LEFT, "somebody has changed the plan since it was listed"
            )
        else:
            yield Withdrawal(name, patient, WithdrawalOutcome.WITHDRAWN, reason)


async def _withdraw_one(client: FhirClient, settings: Settings, listed: Listed, reason: str) -> None:
    written, known = listed.written, listed.document
    if known is not None:
        patient_id = read_reference(written.patient).id_of("Patient") or ""
        await withdraw_filed(client, settings, patient_id, known, reason=reason)
        return
    grounds = _grounds(listed.origin, written.resource)
    await withdraw_draft(client, settings, listed.content, reason=reason, grounds=grounds)


def _grounds(origin: Origin | None, version: str) -> str:
    """What this very version of the plan rests on."""
    known = origin.grounds if origin is not None and version in origin.targets else None
    return known or UNKNOWN_GROUNDS


def print_withdrawals(console: Terminal, rows: Iterable[Withdrawal]) -> None:
    """Print what becomes of each plan, and why."""
    shown = Rows("plan", "patient", "", "why")
    for row in rows:
        colour = "dim" if row.outcome is WithdrawalOutcome.LEFT else "yellow"
        shown.add(row.plan, row.patient, row.outcome.value, row.why, style=colour)
    console.print(shown)
