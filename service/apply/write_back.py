"""How an intent is put into effect: the plans, Tasks, assessment and Provenance that are stored together.

`send` holds how they reach the FHIR server.
"""

from collections.abc import Iterable, Iterator

from service.apply.intent import Changes, Conclusion, find_changes, leave_open
from service.apply.origins import origins_of
from service.apply.revocation import store_outcome
from service.apply.send import Write
from service.apply.tasks import render_step
from service.core.decision import Propose
from service.core.plans import PlanAction, WriteTier, revoked_by_us
from service.core.records import VersionedReference
from service.core.tasks import TaskStep
from service.errors import NotRevoked
from service.fhir.client import FhirClient
from service.render.provenance import Occasion, render_provenance


async def write_back(
    client: FhirClient, conclusion: Conclusion, occasion: Occasion
) -> tuple[VersionedReference, ...]:
    """Write what changed; returns the versions written, none when nothing changed.

    Raises `ServerRefused` with 409 or 412 when somebody was faster: read again and decide again. Raises
    `NotRevoked` where the server refuses the revocation of a draft, once a Task asks a person to end it.
    """
    try:
        return await _write(client, conclusion, occasion)
    except NotRevoked as refused:
        await write_back(client, leave_open(conclusion, refused.plans), occasion)
        raise


async def _write(
    client: FhirClient, conclusion: Conclusion, occasion: Occasion
) -> tuple[VersionedReference, ...]:
    changes = await find_changes(client, conclusion)
    tasks = [_task(step, changes, conclusion, occasion) for step in changes.steps]
    guidance = [changes.guidance] if changes.guidance else []
    writes = [*conclusion.intent.plans_written, *tasks, *guidance]
    unexplained = await _unexplained(client, conclusion, occasion, writes)
    if not writes and not unexplained:
        return ()
    return await store_outcome(
        client,
        writes,
        lambda written: render_provenance(conclusion.decision, [*unexplained, *written], occasion),
        recorded=occasion.recorded,
    )


def _task(step: TaskStep, changes: Changes, conclusion: Conclusion, occasion: Occasion) -> Write:
    patient, owner = conclusion.decision.assessment.patient.id, occasion.task_owner
    task = render_step(step, patient, changes.on_record, owner=owner, now=occasion.recorded)
    return Write.new(task) if step.task is None else Write.over(step.task.evidence.version, task)


async def _unexplained(
    client: FhirClient, conclusion: Conclusion, occasion: Occasion, writes: Iterable[Write]
) -> list[VersionedReference]:
    """Versions of ours that stand as this decision has them, without the Provenance that says so.

    They are left behind where requests are sent one by one and something came between two of them.
    """
    target = await client.target()
    if target.tier is not WriteTier.SINGLE_REQUESTS or "Provenance" not in target.takes:
        return []
    rewritten = {write.reference for write in writes}
    standing = [one for one in _standing(conclusion, occasion) if f"{one.type}/{one.id}" not in rewritten]
    if not standing:
        return []
    origins = await origins_of(client, ",".join(f"{one.type}/{one.id}" for one in standing))
    explained = {version for origin in origins for version in origin.targets}
    return [one for one in standing if str(one) not in explained]


def _standing(conclusion: Conclusion, occasion: Occasion) -> Iterator[VersionedReference]:
    """What a review that wrote the same before would have left: a draft or revoked plans, the assessment."""
    intent, known = conclusion.intent, conclusion.assessment
    if isinstance(conclusion.decision, Propose):
        if intent.action is PlanAction.NONE and intent.before is not None:
            yield intent.before.evidence
    else:
        ended = (plan for plan in occasion.record.plans if revoked_by_us(plan) and plan.withdrawn is None)
        yield from (plan.evidence for plan in ended)
    if known is not None:
        yield VersionedReference("GuidanceResponse", known["id"], conclusion.assessment_version)
