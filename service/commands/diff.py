"""What a review would change on the plan of record, field by field, before it does it. Reads only."""

from datetime import date

from rich.text import Text

from service import __version__
from service.apply.documents import open_filing
from service.apply.held import Held, find_hold
from service.apply.intent import Conclusion, find_changes
from service.apply.origins import Origin, origin_of, origins_of
from service.apply.standing import find_assessment
from service.commands.compare import (
    PlanChanges,
    PrintedPart,
    compare_plans,
    print_changes,
    protocol_in_words,
)
from service.core.decision import DecisionName, ReasonOfDecision
from service.core.plans import PlanAction, WriteTier
from service.core.tasks import TaskAction, TaskStep
from service.fhir.client import FhirClient
from service.fhir.loose import Resource
from service.render.terminal import Rows, Terminal
from service.review import Review, Reviewer


class PlanVersions(PrintedPart):
    """By what a plan was made; `null` where that is not on record."""

    protocol: str | None
    criteria: str | None
    knowledge: str | None
    software: str | None


class TaskChange(PrintedPart):
    """What would become of a Task; `task` is `null` for a new one."""

    action: TaskAction
    reason: str
    text: str | None
    task: str | None


class Preview(PrintedPart):
    """What a review would do to the plan of record, and why.

    `held` says why nothing would be written, `tier` how it would be. `before` is the version of record it is
    about. `changes` is `null` where the plan stays as it is; `revoked` are further drafts that would go.
    """

    patient: str
    as_of: date
    decision: DecisionName
    reason: ReasonOfDecision
    action: PlanAction
    why: str
    held: Held | None
    tier: WriteTier
    before: str | None
    versions_before: PlanVersions | None
    versions_after: PlanVersions
    changes: PlanChanges | None
    revoked: list[str]
    tasks: list[TaskChange]


async def preview(reviewer: Reviewer, client: FhirClient, patient_id: str) -> Preview:
    """Review a patient, and set what would be written against what is on record. Writes nothing."""
    tier = (await client.target()).tier
    if tier.is_below_care_plan:
        return await _preview_document(reviewer, client, patient_id)
    assessment = await find_assessment(client, patient_id)
    review = await reviewer.review_patient(client, patient_id)
    conclusion = Conclusion(review.decision, review.intent, assessment, review.record.plans)
    steps = (await find_changes(client, conclusion)).steps
    answer, intent = review.answer, review.intent
    before = review.plan_before
    origin = None
    if intent.before is not None:
        origins = await origins_of(client, f"CarePlan/{intent.before.evidence.id}")
        origin = origin_of(origins, str(intent.before.evidence)) or next(reversed(origins), None)
    return Preview(
        patient=answer.patient,
        as_of=answer.as_of,
        decision=answer.decision,
        reason=answer.reason,
        action=intent.action,
        why=intent.why,
        held=await find_hold(client, reviewer.settings, patient_id),
        tier=tier,
        before=str(intent.before.evidence) if intent.before else None,
        versions_before=_versions_of(before, origin) if before else None,
        versions_after=_versions_now(review, before),
        changes=compare_plans(before, intent.plan) if intent.plan else None,
        revoked=[write.reference for write in intent.revoked],
        tasks=[_task(step) for step in steps],
    )


async def _preview_document(reviewer: Reviewer, client: FhirClient, patient_id: str) -> Preview:
    """The same of the document that stands in place of a plan; what it says cannot be set against a plan."""
    async with open_filing(client, reviewer.settings) as filing:
        review, intended = await reviewer.review_for_document(filing, patient_id)
    answer, known = review.answer, intended.known
    return Preview(
        patient=answer.patient,
        as_of=answer.as_of,
        decision=answer.decision,
        reason=answer.reason,
        action=intended.step.action,
        why=intended.step.why,
        held=await find_hold(client, reviewer.settings, patient_id),
        tier=(await client.target()).tier,
        before=str(known.evidence) if known else None,
        versions_before=None,
        versions_after=_versions_now(review, None),
        changes=None,
        revoked=[],
        tasks=[],
    )


def _task(step: TaskStep) -> TaskChange:
    reason = step.wanted.reason.value if step.wanted else step.task.reason if step.task else ""
    return TaskChange(
        action=step.action,
        reason=reason,
        text=step.wanted.text if step.wanted else None,
        task=str(step.task.evidence) if step.task else None,
    )


def _versions_of(plan: Resource, origin: Origin | None) -> PlanVersions:
    return PlanVersions(
        protocol=protocol_in_words(plan),
        criteria=" ".join(origin.criteria) if origin and origin.criteria else None,
        knowledge=origin.knowledge if origin else None,
        software=origin.software if origin else None,
    )


def _versions_now(review: Review, before: Resource | None) -> PlanVersions:
    knowledge = review.decision.assessment.knowledge
    return PlanVersions(
        protocol=protocol_in_words(review.intent.plan or before or {}),
        criteria=f"{knowledge.criteria.id} {knowledge.criteria.version}",
        knowledge=knowledge.version,
        software=__version__,
    )


# --- for a terminal -------------------------------------------------------------------------------


def print_preview(console: Terminal, found: Preview) -> None:
    """Print what a review would change for a reader."""
    decided = f"decision {found.decision.value} ({found.reason.value})"
    said = Text.assemble(
        (found.action.value.upper(), "bold"),
        f"   {found.patient}   as of {found.as_of}   {decided}\n\n{found.why}",
    )
    if found.held is not None:
        said.append(f"\nNothing would be written: {found.held.value}", "yellow")
    if found.before is not None:
        said.append(f"\non record: {found.before}", "dim")
    console.print(said)
    console.print()
    console.print(_versions_table(found))
    if found.changes is None:
        console.print(_without_changes(found))
    else:
        print_changes(console, found.changes)
    for reference in found.revoked:
        console.print(f"revoked as well: {reference}", style="red")
    for task in found.tasks:
        step = (f"Task {task.action.value} ({task.reason})", "yellow")
        console.print(Text.assemble(step, f" {task.text or ''}"))


def _without_changes(found: Preview) -> str:
    """What becomes of the plan, or of the document in its place, where no fields are compared."""
    what = "document" if found.tier.is_below_care_plan else "plan"
    if found.action in _WRITE_A_DOCUMENT and found.held is None:
        return _WRITE_A_DOCUMENT[found.action]
    return (
        f"No {what} would be written." if found.before is None else f"The {what} on record stays unchanged."
    )


_WRITE_A_DOCUMENT = {
    PlanAction.CREATE: "A document with the page of the plan would be written.",
    PlanAction.UPDATE: "The document would be replaced by the page of the plan as it is now.",
    PlanAction.REVOKE: "The document would be replaced by a page that says why its proposal no longer holds.",
}
"""Of a plan, the fields that change are shown instead."""


def _versions_table(found: Preview) -> Rows:
    table = Rows("", "on record", "now")
    before = found.versions_before
    for name in PlanVersions.model_fields:
        old, new = getattr(before, name, None), getattr(found.versions_after, name)
        table.add(name, old or "-", new or "-", style="" if old == new else "yellow")
    return table
