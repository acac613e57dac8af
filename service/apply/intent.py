"""What a decision writes back: set against what is on record, and only where something changed.

The same decision on the same record writes the same ids, so that repeating is harmless, and content that is
already there is not written again. How it is sent is told in `send`.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from http import HTTPStatus
from itertools import count

from service.apply.origins import origins_of
from service.apply.send import Write, store
from service.apply.standing import outputs_of
from service.apply.tasks import asked_in, find_tasks, read_task, render_step
from service.core.decision import Decision, Propose, grounds_of, wanted_plan
from service.core.plans import (
    PlanAction,
    Reconciliation,
    Wanted,
    WriteTier,
    open_after,
    reconcile,
    revoked_by_us,
)
from service.core.records import PlanOfRecord, PlanStatus, VersionedReference
from service.core.schedule import Schedule
from service.core.tasks import TaskStep, WantedTask, reconcile_tasks, wanted_tasks
from service.core.words import summarise
from service.errors import NotFhir, NotJson, ServerMisread, ServerRefused
from service.fhir.client import FhirClient
from service.fhir.loose import part, parts, text
from service.fhir.names import (
    CONTENT_DIGEST,
    content_digest,
    extension_value,
    grounds_digest,
    plan_identity,
)
from service.fhir.r5.records import in_r4
from service.fhir.sources import Gathered, owner_of, take_resource
from service.render.care_plan import (
    MISSING_PLAN,
    PLAN_OF,
    Occasion,
    Resource,
    Whose,
    render_guidance,
    render_plan,
    render_provenance,
    render_revoked,
    shows_depression,
)

_KEPT_OF_META = frozenset({"profile", "security", "tag"})


@dataclass(frozen=True, slots=True)
class Intent:
    """What is to be done with the care plan: the action, why, and the plan as it would stand.

    `plan` is `None` where nothing is written; `before` is the plan of record it concerns. `beside` is the
    plan that stays, and why, where ours is revoked. `revoked` are further drafts of ours, as they would
    stand. `tasks` is what a person is asked.
    """

    action: PlanAction
    why: str
    plan: Resource | None = None
    before: PlanOfRecord | None = None
    beside: Reconciliation | None = None
    revoked: tuple[Write, ...] = ()
    tasks: tuple[WantedTask, ...] = ()

    @property
    def plan_id(self) -> str | None:
        """The id of the plan that the decision ends in, if there is one that stands."""
        if self.plan is not None:
            return str(self.plan["id"])
        if self.before is None or self.before.status is PlanStatus.DELETED:
            return None
        return self.before.evidence.id

    @property
    def plans_written(self) -> list[Write]:
        """The plans that are written, each over the version that was read."""
        if self.plan is None:
            return [*self.revoked]
        known = self.before
        plan = Write.new(self.plan) if known is None else Write.over(known.evidence.version, self.plan)
        return [plan, *self.revoked]


def intend(decision: Decision, plans: tuple[PlanOfRecord, ...], gathered: Gathered) -> Intent:
    """Set a decision against the plans on record."""
    found = _guarded(reconcile(wanted_plan(decision), plans, grounds_digest(grounds_of(decision))))
    tasks = wanted_tasks(decision, found, plans) if shows_depression(decision.assessment) else ()
    stays = found.plan.evidence.id if found.plan else ""
    why = summarise(decision) if found.action is PlanAction.REVOKE else f"CarePlan/{stays} stays instead."
    revoked = tuple(_revoked(draft, why, gathered) for draft in found.superfluous)
    match found.action:
        case PlanAction.CREATE | PlanAction.UPDATE:
            intent = _intend_plan(decision, found, plans, gathered)
        case PlanAction.REVOKE if found.plan is not None:
            plan = _revoked(found.plan, why, gathered).resource
            intent = Intent(found.action, found.why, plan, found.plan, _beside(found, plans))
        case _:
            intent = Intent(found.action, found.why, before=found.plan)
    return replace(intent, revoked=revoked, tasks=tasks)


def _guarded(found: Reconciliation) -> Reconciliation:
    """A draft without a version is left: a person's edit could be lost under what we write."""
    changed = [*([found.plan] if found.plan else []), *found.superfluous]
    changes = found.action in {PlanAction.UPDATE, PlanAction.REVOKE} or found.superfluous
    if not changes or all(plan.evidence.version for plan in changed):
        return found
    why = "the server states no version of the draft, so that an edit could be lost"
    return Reconciliation(PlanAction.LEAVE, why, found.plan)


def _beside(found: Reconciliation, plans: Iterable[PlanOfRecord]) -> Reconciliation | None:
    """What a review would say once our drafts are revoked, where a plan of somebody else stays open."""
    left = open_after(found, plans)
    return reconcile(Wanted.NO_PLAN, left) if left else None


def _revoked(plan: PlanOfRecord, why: str, gathered: Gathered) -> Write:
    revoked = render_revoked(gathered.content_of(plan.evidence), why)
    return Write.over(plan.evidence.version, revoked)


def _intend_plan(
    decision: Decision, found: Reconciliation, plans: tuple[PlanOfRecord, ...], gathered: Gathered
) -> Intent:
    """A new plan, or our draft anew; nothing where it already says the same."""
    assert isinstance(decision, Propose)  # noqa: S101 - only a proposal wants a plan
    assert isinstance(decision.schedule, Schedule)  # noqa: S101 - and only one that could be scheduled
    assessment = decision.assessment
    before = found.plan
    taken = {plan.identity for plan in plans}
    about = (assessment.patient.id, assessment.anchors[0].id, decision.reason.value)
    generations = count(sum(plan.ours for plan in plans))
    identities = (plan_identity(*about, generation) for generation in generations)
    identity = next(identity for identity in identities if identity not in taken)
    if before is None:
        plan = render_plan(decision, decision.schedule, identity, found.replaces)
        return Intent(found.action, found.why, plan)
    plan = render_plan(decision, decision.schedule, before.identity or identity, found.replaces)
    known = gathered.content_of(before.evidence)
    plan |= {"id": before.evidence.id, "created": known.get("created", plan["created"])}
    if extension_value(plan, CONTENT_DIGEST) == before.content:
        return Intent(PlanAction.NONE, "the draft on record says the same", before=before)
    return Intent(found.action, found.why, _with_what_others_added(plan, known), before)


def _with_what_others_added(plan: Resource, known: Resource) -> Resource:
    """Our draft anew, with the extensions, labels and tags that it has come to carry."""
    ours = {extension["url"] for extension in plan["extension"]}
    others = [one for one in parts(known.get("extension")) if part(one).get("url") not in ours]
    kept = {key: value for key, value in part(known.get("meta")).items() if key in _KEPT_OF_META}
    return {**plan, "extension": [*others, *plan["extension"]], **({"meta": kept} if kept else {})}


async def find_unlisted_plan(
    client: FhirClient, intent: Intent, gathered: Gathered, assessment: Resource | None
) -> Gathered | None:
    """Look by id before a plan is created. Searches may lag, and show nothing that was deleted.

    Looked for is the plan under the id that the new one would have, and those that the `assessment` on
    record tells of. Returns the record with a plan found, or `None` when there is none.
    """
    if intent.action is not PlanAction.CREATE or intent.plan_id is None:
        return None
    known = {source.head.id for source in gathered.sources if source.head.resource_type == "CarePlan"}
    for plan_id in dict.fromkeys((intent.plan_id, *plans_named_in(assessment))):
        if plan_id not in known | {*gathered.deleted_plans}:
            found = await _with_plan(client, plan_id, gathered)
            if found is not None:
                return found
    return None


def plans_named_in(assessment: Resource | None) -> list[str]:
    """Ids of the plans of ours that an assessment on record tells of: its result, and those gone missing."""
    whose = [output.get("valueCode") for output in outputs_of(assessment, PLAN_OF)]
    address = text(part((assessment or {}).get("result")).get("reference")).partition("CarePlan/")[2]
    missing = [text(output.get("valueString")) for output in outputs_of(assessment, MISSING_PLAN)]
    named = [address.partition("/")[0]] if Whose.ANOTHERS.value not in whose else []
    return [plan_id for plan_id in (*named, *missing) if plan_id]


async def _with_plan(client: FhirClient, plan_id: str, gathered: Gathered) -> Gathered | None:
    path = f"CarePlan/{plan_id}"
    try:
        source = take_resource(await client.get(path))
        if owner_of(source) not in {gathered.patient_id, *gathered.former_ids}:
            return None
        return gathered.with_source(in_r4(await client.release(), source))
    except (NotJson, NotFhir):
        raise ServerMisread(f"GET {path}: the answer is not a FHIR resource") from None
    except ServerRefused as refused:
        if refused.status == HTTPStatus.NOT_FOUND:
            return None
        if refused.status == HTTPStatus.GONE:
            return gathered.with_deleted_plan(plan_id)
        raise


@dataclass(frozen=True, slots=True)
class Conclusion:
    """A decision, what it means for the care plan, and our assessment as it stood before that."""

    decision: Decision
    intent: Intent
    assessment: Resource | None
    plans: tuple[PlanOfRecord, ...]

    @property
    def missing_plans(self) -> list[str]:
        """Plans that the assessment on record tells of and that are not there: deleted, perhaps."""
        there = {plan.evidence.id for plan in self.plans if plan.status is not PlanStatus.DELETED}
        return sorted(set(plans_named_in(self.assessment)) - there)

    @property
    def assessment_version(self) -> str | None:
        """The version of the assessment on record."""
        version: str | None = (self.assessment or {}).get("meta", {}).get("versionId")
        return version


@dataclass(frozen=True, slots=True)
class Changes:
    """What is to be written beside the plans: Tasks and the assessment, where they say something new.

    `steps` are what becomes of Tasks, `on_record` our Tasks as far as they had to be read.
    """

    guidance: Write | None = None
    steps: tuple[TaskStep, ...] = ()
    on_record: tuple[Resource, ...] = ()


async def find_changes(client: FhirClient, conclusion: Conclusion) -> Changes:
    """Set the assessment and the Tasks against those on record. Reads only.

    Where the assessment on record says the same already, the Tasks were seen to as well.
    """
    decision = conclusion.decision
    if not shows_depression(decision.assessment):
        return Changes()
    takes = (await client.target()).takes
    tasks = conclusion.intent.tasks if "Task" in takes else ()
    guidance = _guidance(conclusion, tasks)
    if guidance is None:
        return Changes()
    on_record = await find_tasks(client, decision.assessment.patient.id)
    steps = reconcile_tasks(tasks, map(read_task, on_record), asked_in(conclusion.assessment))
    return Changes(guidance if guidance.kind in takes else None, steps, tuple(on_record))


def _guidance(conclusion: Conclusion, tasks: tuple[WantedTask, ...]) -> Write | None:
    """The assessment to be recorded; `None` where the one on record says the same."""
    intent, known = conclusion.intent, conclusion.assessment
    left = intent.why if intent.action is PlanAction.LEAVE else None
    result, about = intent.plan_id, intent.before
    if intent.action is PlanAction.REVOKE:
        stays = intent.beside
        about = stays.plan if stays else None
        result, left = (about.evidence.id, stays.why) if stays and about else (None, None)
    guidance = render_guidance(
        conclusion.decision,
        result,
        left,
        tasks=tasks,
        missing_plans=conclusion.missing_plans,
        whose=Whose.OURS if about is None or about.ours else Whose.ANOTHERS,
    )
    if known is None:
        return Write.new(guidance)
    if extension_value(known, CONTENT_DIGEST) == content_digest(guidance):
        return None
    return Write.over(conclusion.assessment_version, guidance | {"id": known["id"]})


async def write_back(
    client: FhirClient, conclusion: Conclusion, occasion: Occasion
) -> tuple[VersionedReference, ...]:
    """Write what changed; returns the versions written, none when nothing changed.

    Raises `ServerRefused` with 409 or 412 when somebody was faster: read again and decide again.
    """
    changes = await find_changes(client, conclusion)
    tasks = [_task(step, changes, conclusion, occasion) for step in changes.steps]
    guidance = [changes.guidance] if changes.guidance else []
    writes = [*conclusion.intent.plans_written, *tasks, *guidance]
    unexplained = await _unexplained(client, conclusion, occasion, writes)
    if not writes and not unexplained:
        return ()
    return await store(
        client,
        writes,
        lambda written: render_provenance(conclusion.decision, [*unexplained, *written], occasion),
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
