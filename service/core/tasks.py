"""Tasks for a person: one open Task per reason, closed when the reason no longer applies.

On the same grounds a person is asked once: not again when the Task was ended or deleted.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from service.core.decision import Decision, NeedsInformation, NeedsReview, Propose, treatment_of
from service.core.knowledge import Effect, NextCode
from service.core.plans import PlanAction, Reconciliation, open_after, revoked_by_us
from service.core.records import OPEN_PLAN, PlanOfRecord, VersionedReference
from service.core.treatment.follow import DueWhat, Treatment
from service.core.words import join_items, state_decision, state_response


class TaskReason(StrEnum):
    """Why a person is asked."""

    SAFETY = "safety"
    DRAFT_REVOKED = "draft-revoked"
    DRAFT_STALE = "draft-stale"
    SEVERAL_PLANS = "several-plans"
    TREATMENT_SAFETY = "treatment-safety"
    BENEFIT_REVIEW = "benefit-review"
    LAPSE = "lapse"
    RECORD_TOO_LARGE = "record-too-large"


@dataclass(frozen=True, slots=True)
class WantedTask:
    """What a person is to look at, and the plan that it is about, if there is one.

    `grounds` is what the reason rests on, without days: on the same grounds nobody is asked a second time.
    """

    reason: TaskReason
    text: str
    grounds: str
    plan: VersionedReference | None = None


@dataclass(frozen=True, slots=True)
class TaskOfRecord:
    """A Task of this service on record; `edited` when somebody took it up, ended it or changed it since."""

    evidence: VersionedReference
    reason: str
    grounds: str
    is_open: bool
    edited: bool


class TaskAction(StrEnum):
    """What is done with a Task."""

    CREATE = "create"
    UPDATE = "update"
    CLOSE = "close"


@dataclass(frozen=True, slots=True)
class TaskStep:
    """One step. `wanted` is the content that the Task is to have, `task` the one on record, if any."""

    action: TaskAction
    wanted: WantedTask | None = None
    task: TaskOfRecord | None = None


def wanted_tasks(
    decision: Decision, found: Reconciliation, plans: Iterable[PlanOfRecord]
) -> tuple[WantedTask, ...]:
    """What a person must look at, given the decision and what is done with the plans on record.

    At most one per reason.
    """
    plans = tuple(plans)
    open_plans = open_after(found, plans)
    treatment = treatment_of(decision)
    return (
        *(_under_treatment(treatment) if treatment else _safety(decision, open_plans)),
        *_revoked(decision, found, plans, open_plans),
        *_stale(decision, found, open_plans),
        *_several(open_plans),
    )


def ask_to_end(decision: Decision, drafts: Iterable[VersionedReference]) -> WantedTask:
    """A person is to end drafts of ours that the FHIR server does not let this service revoke."""
    drafts = sorted(drafts)
    names = join_items(f"CarePlan/{draft.id}" for draft in drafts)
    asked = f"The FHIR server refuses the revocation of {names}. A clinician must end it."
    text = f"{asked} {state_decision(decision)}"
    return WantedTask(TaskReason.SAFETY, text, f"{names} not revoked", drafts[0])


def too_large_to_read() -> WantedTask:
    """Nothing was decided, because the record has more than is read of one patient."""
    text = (
        "The record of this patient is too large for this service, so it was not assessed. A clinician must "
        "assess it, and an open esketamine plan is not followed meanwhile."
    )
    return WantedTask(TaskReason.RECORD_TOO_LARGE, text, "not read")


def _safety(decision: Decision, open_plans: list[PlanOfRecord]) -> Iterator[WantedTask]:
    """A review was decided, or a plan that stays open meets what would keep a new one from being proposed."""
    found = decision.assessment
    serious = [finding for finding in found.safety if finding.effect is not Effect.CAUTION]
    plan = open_plans[0].evidence if open_plans else None
    if isinstance(decision, NeedsReview):
        grounds = [finding.id for finding in serious] or [warning.code.value for warning in found.warnings]
        yield WantedTask(TaskReason.SAFETY, state_decision(decision), join_items(sorted(grounds)), plan)
    elif serious and plan is not None:
        titles = join_items(finding.title for finding in serious)
        text = f"An esketamine plan is open. A clinician must review these findings: {titles}."
        yield WantedTask(TaskReason.SAFETY, text, join_items(sorted(finding.id for finding in serious)), plan)


def _under_treatment(treatment: Treatment) -> Iterator[WantedTask]:
    """What a clinician must look at in a treatment: new findings, the benefit after induction, a lapse."""
    course, plan = treatment.course, treatment.course.plans[-1].evidence
    if treatment.new_findings:
        titles = join_items(finding.title for finding in treatment.new_findings)
        text = f"New in the treatment with esketamine: {titles}. Review it before the next session."
        grounds = join_items(sorted(finding.id for finding in treatment.new_findings))
        yield WantedTask(TaskReason.TREATMENT_SAFETY, text, grounds, plan)
    if any(due.what is DueWhat.BENEFIT_REVIEW for due in treatment.due):
        rule = course.protocol.next_rule(NextCode.BENEFIT_REVIEW)
        text = f"{rule.text} {state_response(treatment.response)}"
        grounds = course.maintenance_question if course.reviewed else course.induction_question
        yield WantedTask(TaskReason.BENEFIT_REVIEW, text, grounds, plan)
    if treatment.next.code is NextCode.LAPSE:
        grounds = f"CarePlan/{plan.id} since {course.last_taken or course.begun}"
        yield WantedTask(TaskReason.LAPSE, treatment.next.text, grounds, plan)


def _revoked(
    decision: Decision,
    found: Reconciliation,
    plans: tuple[PlanOfRecord, ...],
    open_plans: list[PlanOfRecord],
) -> Iterator[WantedTask]:
    """A draft that nobody had touched was revoked, and no other of ours took its place or was ended since."""
    followed = {plan.replaces for plan in plans if plan.ours}
    news = (plan for plan in plans if revoked_by_us(plan) and plan.withdrawn is None)
    revoked = [plan.evidence for plan in news if plan.evidence.id not in followed]
    if found.action is PlanAction.REVOKE and found.plan is not None:
        revoked += [plan.evidence for plan in (*found.superfluous, found.plan)]
    ended = any(plan.ours and plan.edited and plan.status not in OPEN_PLAN for plan in plans)
    if not revoked or ended or isinstance(decision, Propose) or any(plan.ours for plan in open_plans):
        return
    text = f"A draft plan that nobody had edited was revoked. {state_decision(decision)}"
    grounds = join_items(sorted(f"CarePlan/{plan.id}" for plan in revoked))
    yield WantedTask(TaskReason.DRAFT_REVOKED, text, grounds, revoked[-1])


def _stale(decision: Decision, found: Reconciliation, open_plans: list[PlanOfRecord]) -> Iterator[WantedTask]:
    """The one plan that is open, an untouched draft, stays although the decision does not bear it out."""
    draft = found.plan
    if found.action is not PlanAction.LEAVE or draft is None or not draft.is_untouched_draft:
        return
    if isinstance(decision, NeedsReview) or len(open_plans) > 1:
        return
    missing = {missing.what for missing in decision.assessment.missing}
    grounds = join_items(sorted(missing)) if isinstance(decision, NeedsInformation) else found.why
    text = f"A draft plan is kept unchanged: {found.why}. {state_decision(decision)}"
    yield WantedTask(TaskReason.DRAFT_STALE, text, grounds, draft.evidence)


def _several(open_plans: list[PlanOfRecord]) -> Iterator[WantedTask]:
    """More than one open esketamine plan, one of them ours; one and what continues it are one."""
    continued = {plan.based_on for plan in open_plans}
    open_plans = [plan for plan in open_plans if plan.evidence.id not in continued]
    if len(open_plans) > 1 and any(plan.ours for plan in open_plans):
        names = join_items(f"CarePlan/{plan.evidence.id}" for plan in open_plans)
        text = f"Several esketamine plans are open. A clinician must decide which one to keep: {names}."
        yield WantedTask(TaskReason.SEVERAL_PLANS, text, names, open_plans[0].evidence)


def reconcile_tasks(
    wanted: Iterable[WantedTask],
    on_record: Iterable[TaskOfRecord],
    asked: frozenset[tuple[str, str]] = frozenset(),
) -> tuple[TaskStep, ...]:
    """Set what is wanted against our Tasks on record.

    `asked` are the reasons, each with its grounds, that the assessment on record has raised: so a Task that
    somebody deleted is known. What a person took up or ended is left to that person.
    """
    tasks = sorted(on_record, key=lambda task: task.evidence.id)
    by_reason = {one.reason: one for one in wanted}
    steps: list[TaskStep] = []
    for reason, one in by_reason.items():
        steps += _raise(one, [task for task in tasks if task.reason == reason], asked)
    gone = [task for task in tasks if task.is_open and not task.edited and task.reason not in by_reason]
    return (*steps, *(TaskStep(TaskAction.CLOSE, task=task) for task in gone))


def _raise(
    wanted: WantedTask, tasks: list[TaskOfRecord], asked: frozenset[tuple[str, str]]
) -> Iterator[TaskStep]:
    """Keep one open Task with the wanted content, unless a person ended one on the same grounds.

    One that a person took up on other grounds stays beside it.
    """
    said = [task for task in tasks if task.is_open and task.grounds == wanted.grounds]
    untouched = [task for task in tasks if task.is_open and not task.edited]
    keep = said[:1] or untouched[:1]
    yield from (TaskStep(TaskAction.CLOSE, task=task) for task in untouched if task not in keep)
    if keep and not said:
        yield TaskStep(TaskAction.UPDATE, wanted, keep[0])
    ended = any(task.edited and task.grounds == wanted.grounds for task in tasks)
    if not keep and not ended and (wanted.reason, wanted.grounds) not in asked:
        yield TaskStep(TaskAction.CREATE, wanted)
