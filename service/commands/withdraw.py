"""Withdraw drafts: revoke by hand what this service wrote and nobody touched, and nothing else."""

from collections.abc import AsyncIterator, Iterable, Sequence
from enum import StrEnum
from typing import NamedTuple

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from service import clock
from service.apply.origins import Origin
from service.apply.send import CONFLICTS, Write, store
from service.commands.written import Listed
from service.core.plans import UNKNOWN_GROUNDS, WriteTier
from service.core.records import VersionedReference
from service.errors import ServerRefused, ServerUnsupported
from service.fhir.client import FhirClient
from service.render.care_plan import render_withdrawn
from service.render.provenance import render_withdrawal


class Outcome(StrEnum):
    """What became of a plan."""

    WITHDRAWN = "withdrawn"
    LEFT = "left"


class Withdrawal(NamedTuple):
    """A plan, what became of it, and why."""

    plan: str
    patient: str
    outcome: Outcome
    why: str


def sort_out(found: Iterable[Listed]) -> tuple[list[Listed], list[Withdrawal]]:
    """The plans that may be withdrawn, and those that are left with the reason."""
    drafts: list[Listed] = []
    left: list[Withdrawal] = []
    for listed in found:
        written = listed.written
        if written.kind != "plan":
            continue
        why = _why_left(listed)
        if why is None:
            drafts.append(listed)
        else:
            left.append(Withdrawal(written.resource, written.patient, Outcome.LEFT, why))
    return drafts, left


def _why_left(listed: Listed) -> str | None:
    """Why a plan is left as it is; `None` for a draft of ours that nobody touched."""
    written = listed.written
    if written.status != "draft":
        return f"it is {written.status}"
    if written.edited:
        return "a person edited it"
    if "/_history/" not in written.resource:
        return "the server states no version, so that an edit could be lost"
    return None


async def withdraw(client: FhirClient, drafts: Sequence[Listed], reason: str) -> AsyncIterator[Withdrawal]:
    """Revoke drafts one by one, each only in the version that was looked at.

    One that somebody changed meanwhile is left. Any other failure of the server ends it and is raised; what
    was withdrawn until then stays withdrawn, and a second run goes on.
    """
    if (await client.target()).tier is WriteTier.RETURN_ONLY:
        raise ServerUnsupported("the FHIR server takes no CarePlan, so that none can be revoked")
    for listed in drafts:
        name, patient = listed.written.resource, listed.written.patient
        try:
            await _withdraw(client, listed, reason)
        except ServerRefused as refused:
            if refused.status not in CONFLICTS:
                raise
            yield Withdrawal(name, patient, Outcome.LEFT, "somebody changed it meanwhile")
        else:
            yield Withdrawal(name, patient, Outcome.WITHDRAWN, reason)


async def _withdraw(client: FhirClient, listed: Listed, reason: str) -> None:
    plan = VersionedReference("CarePlan", listed.content["id"], listed.content["meta"]["versionId"])
    revoked = render_withdrawn(listed.content, reason, _grounds(listed.origin, str(plan)))
    recorded = clock.now_iso()
    await store(
        client,
        [Write.over(plan.version, revoked)],
        lambda targets: render_withdrawal(plan, targets[0], reason, recorded),
    )


def _grounds(origin: Origin | None, version: str) -> str:
    """What this very version of the plan rests on."""
    known = origin.grounds if origin is not None and version in origin.targets else None
    return known or UNKNOWN_GROUNDS


def print_withdrawals(console: Console, rows: Iterable[Withdrawal]) -> None:
    """Print what becomes of each plan, and why."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for heading in ("plan", "patient", "", "why"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        colour = "yellow" if row.outcome is Outcome.WITHDRAWN else "dim"
        table.add_row(row.plan, row.patient, row.outcome.value, escape(row.why), style=colour)
    console.print(table)
