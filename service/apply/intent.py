"""What is to be done: a decision set against what is on record, so that only what changed is written.

The same decision on the same record gives the same ids, so that repeating is harmless, and content that is
already there is not written again. `write_back` puts it into effect.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from itertools import count

from service.apply.send import Write
from service.apply.standing import plans_named_in
from service.apply.tasks import asked_in, find_tasks, read_task
from service.core.assessment import shows_depression
from service.core.decision import Decision, Propose, chain_of, goes_on_from, grounds_of, wanted_plan
from service.core.plans import PlanAction, Reconciliation, WantedPlan, open_after, reconcile
from service.core.records import PlanOfRecord, PlanStatus
from service.core.schedule import Schedule
from service.core.tasks import TaskReason, TaskStep, WantedTask, ask_to_end, reconcile_tasks, wanted_tasks
from service.core.words import summarise
from service.fhir.client import FhirClient
from service.fhir.loose import Resource, part, parts
from service.fhir.names import (
    CONTENT_DIGEST,
    GROUNDS,
    content_digest,
    extension_value,
    grounds_digest,
    plan_identity,
)
from service.fhir.sources import Gathered
from service.render.care_plan import render_plan, render_revoked
from service.render.guidance import Whose, render_guidance

_ANSWERED_BY_REVOKING = frozenset({TaskReason.SAFETY, TaskReason.DRAFT_REVOKED})
"""Reasons of Tasks that say otherwise than the one about a draft that cannot be revoked."""
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
    def new_plan_id(self) -> str | None:
        """The id that a plan would be created under; `None` where none is created."""
        return self.plan_id if self.action is PlanAction.CREATE else None

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
    chain = chain_of(decision)
    grounds, block = grounds_digest(grounds_of(decision)), goes_on_from(decision)
    found = reconcile(wanted_plan(decision), plans, grounds, chain, block)
    tasks = wanted_tasks(decision, found, plans) if shows_depression(decision.assessment) else ()
    stays = found.plan.evidence.id if found.plan else ""
    why = summarise(decision) if found.action is PlanAction.REVOKE else f"CarePlan/{stays} is kept instead."
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


def _beside(found: Reconciliation, plans: Iterable[PlanOfRecord]) -> Reconciliation | None:
    """The reconciliation after our drafts are revoked, where another author's plan stays open."""
    left = open_after(found, plans)
    return reconcile(WantedPlan.NO_PLAN, left) if left else None


def _revoked(plan: PlanOfRecord, why: str, gathered: Gathered) -> Write:
    revoked = render_revoked(gathered.content_of(plan.evidence), why)
    return Write.over(plan.evidence.version, revoked)


def _intend_plan(
    decision: Decision, found: Reconciliation, plans: tuple[PlanOfRecord, ...], gathered: Gathered
) -> Intent:
    """A new plan or an update of our draft; nothing where the draft already has the same content."""
    assert isinstance(decision, Propose)  # noqa: S101 - only a proposal wants a plan
    assert isinstance(decision.schedule, Schedule)  # noqa: S101 - and only one that could be scheduled
    assessment = decision.assessment
    before = found.plan
    taken = {plan.identity for plan in plans}
    about = (assessment.patient.id, *_subject(decision))
    generations = count(sum(plan.ours for plan in plans))
    identities = (plan_identity(*about, generation) for generation in generations)
    identity = next(identity for identity in identities if identity not in taken)
    if before is None:
        plan = render_plan(decision, decision.schedule, identity, found.replaces)
        return Intent(found.action, found.why, plan)
    plan = render_plan(decision, decision.schedule, before.identity or identity, found.replaces)
    known = gathered.content_of(before.evidence)
    plan |= {"id": before.evidence.id, "created": known.get("created", plan["created"])}
    same_block = extension_value(plan, GROUNDS) == before.grounds
    if same_block and extension_value(plan, CONTENT_DIGEST) == before.content:
        return Intent(PlanAction.NONE, "the draft on record is up to date", before=before)
    return Intent(found.action, found.why, _with_what_others_added(plan, known), before)


def _subject(decision: Propose) -> tuple[str, str]:
    """What a plan is about: the depression and the pathway, or the plan that it continues and from where."""
    continued = decision.continuation
    if continued is not None:
        return (continued.based_on.evidence.id, f"session {continued.first}")
    return (decision.assessment.anchors[0].id, decision.reason.value)


def _with_what_others_added(plan: Resource, known: Resource) -> Resource:
    """Our draft anew, with the extensions, labels and tags that it has come to carry."""
    ours = {extension["url"] for extension in plan["extension"]}
    others = [one for one in parts(known.get("extension")) if part(one).get("url") not in ours]
    kept = {key: value for key, value in part(known.get("meta")).items() if key in _KEPT_OF_META}
    return {**plan, "extension": [*others, *plan["extension"]], **({"meta": kept} if kept else {})}


@dataclass(frozen=True, slots=True)
class Conclusion:
    """A decision, what it means for the care plan, and our assessment as it stood before that."""

    decision: Decision
    intent: Intent
    assessment: Resource | None
    plans: tuple[PlanOfRecord, ...]

    @property
    def missing_plans(self) -> dict[str, str | None]:
        """Plans that the assessment on record names and that are not there: they may have been deleted.

        Each with what it went on from, where that is known.
        """
        there = {plan.evidence.id for plan in self.plans if plan.status is not PlanStatus.DELETED}
        named = plans_named_in(self.assessment)
        return {plan_id: named[plan_id] for plan_id in sorted(named.keys() - there)}

    @property
    def assessment_version(self) -> str | None:
        """The version of the assessment on record."""
        version: str | None = (self.assessment or {}).get("meta", {}).get("versionId")
        return version


def leave_open(conclusion: Conclusion, plans: Collection[str]) -> Conclusion:
    """The conclusion where the FHIR server refuses the revocation of our drafts: a person is to end them."""
    intent, decision = conclusion.intent, conclusion.decision
    left = [plan.evidence for plan in conclusion.plans if f"CarePlan/{plan.evidence.id}" in plans]
    others = (task for task in intent.tasks if task.reason not in _ANSWERED_BY_REVOKING)
    revoked = tuple(write for write in intent.revoked if write.reference not in plans)
    if intent.action is PlanAction.REVOKE and intent.before is not None and intent.before.evidence in left:
        why = "the FHIR server refuses the revocation of the draft; a clinician must end it"
        intent = Intent(PlanAction.LEAVE, why, before=intent.before)
    tasks = (ask_to_end(decision, left), *others)
    return replace(conclusion, intent=replace(intent, revoked=revoked, tasks=tasks))


@dataclass(frozen=True, slots=True)
class Changes:
    """What is to be written beside the plans: Tasks and the assessment, where their content changed.

    `steps` are what becomes of Tasks, `on_record` our Tasks as far as they had to be read.
    """

    guidance: Write | None = None
    steps: tuple[TaskStep, ...] = ()
    on_record: tuple[Resource, ...] = ()


async def find_changes(client: FhirClient, conclusion: Conclusion) -> Changes:
    """Set the assessment and the Tasks against those on record. Reads only.

    Where the assessment on record has the same content, its Tasks were written as well.
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
    """The assessment to be recorded; `None` where the one on record has the same content."""
    intent, known = conclusion.intent, conclusion.assessment
    left = intent.why if intent.action is PlanAction.LEAVE else None
    result, about = intent.plan_id, intent.before
    if intent.action is PlanAction.REVOKE:
        stays = intent.beside
        about = stays.plan if stays else None
        result, left = (about.evidence.id, stays.why) if stays and about else (None, None)
    rewritten = intent.plan is not None and intent.action is not PlanAction.REVOKE
    guidance = render_guidance(
        conclusion.decision,
        result,
        left,
        tasks=tasks,
        missing_plans=conclusion.missing_plans,
        goes_on_from=goes_on_from(conclusion.decision) if rewritten else about.grounds if about else None,
        whose=Whose.OURS if about is None or about.ours else Whose.ANOTHERS,
    )
    if known is None:
        return Write.new(guidance)
    if extension_value(known, CONTENT_DIGEST) == content_digest(guidance):
        return None
    return Write.over(conclusion.assessment_version, guidance | {"id": known["id"]})
