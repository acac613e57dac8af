"""The plan of record: which plans are on record, and what may be done with them.

A draft that this service wrote and nobody touched may be changed by it. Anything else is left alone.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum
from typing import assert_never

from service.core.records import OPEN_PLAN, PlanOfRecord, PlanStatus


class PlanAction(StrEnum):
    """What is done with the care plan."""

    CREATE = "create"
    UPDATE = "update"
    NONE = "none"
    REVOKE = "revoke"
    LEAVE = "leave"


class WriteTier(StrEnum):
    """How a FHIR server lets an outcome be written.

    As resources, all at once or one after the other; below CarePlan, the proposal alone as a document or as a
    Communication; or not at all.
    """

    TRANSACTION = "transaction"
    SINGLE_REQUESTS = "single-requests"
    DOCUMENT = "document"
    COMMUNICATION = "communication"
    RETURN_ONLY = "return-only"

    @property
    def is_below_care_plan(self) -> bool:
        """Whether a proposal is written as a page, since the server takes no CarePlan."""
        return self in {WriteTier.DOCUMENT, WriteTier.COMMUNICATION}


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """What to do, with which plan, and why. `replaces` is the id of a plan that we revoked earlier.

    `superfluous` are further drafts of ours, to be revoked with it: never two open plans.
    """

    action: PlanAction
    why: str
    plan: PlanOfRecord | None = None
    replaces: str | None = None
    superfluous: tuple[PlanOfRecord, ...] = ()


class WantedPlan(StrEnum):
    """What the decision asks for."""

    PLAN = "plan"
    NO_PLAN = "no-plan"
    UNDECIDED = "undecided"


UNKNOWN_GROUNDS = "unknown"
"""The grounds of a withdrawn plan whose grounds are not on record."""


def reconcile(
    wanted: WantedPlan,
    plans: Iterable[PlanOfRecord],
    grounds: str | None = None,
    chain: Iterable[PlanOfRecord] = (),
    block: str | None = None,
) -> Reconciliation:
    """Set what the decision asks for against the plans on record.

    `grounds` is what the proposal rests on: one that was withdrawn by hand is not made again on the same.
    `chain` are the plans of a treatment under way: they stay as they are, and a draft based on the last of
    them may stand beside them. `block` is what that draft goes on from: one that a person ended or deleted is
    not made again on the same.
    Never two open plans; never a change to what a person touched, activated, deleted or revoked, and none to
    a draft whose version is not known.
    """
    chain = tuple(chain)
    if chain and (wanted is WantedPlan.PLAN or any(_continues(plan, chain) for plan in plans)):
        found = _reconcile_continuation(wanted, tuple(plans), chain, grounds, block)
    else:
        found = _reconcile(wanted, plans, grounds)
    rewritten = found.plan if found.action in {PlanAction.UPDATE, PlanAction.REVOKE} else None
    changed = filter(None, (rewritten, *found.superfluous))
    kept = next(filter(None, map(why_kept, changed)), None)
    return found if kept is None else Reconciliation(PlanAction.LEAVE, kept, found.plan)


def why_kept(plan: PlanOfRecord) -> str | None:
    """Why this service may not change a plan; `None` for a draft of its own that nobody touched.

    Without a version, a change could overwrite the edit of a person.
    """
    if not plan.is_untouched_draft:
        return _why_left(plan)
    if plan.evidence.version is None:
        return "the server states no version of the draft, so an edit by a person could be overwritten"
    return None


def _reconcile(
    wanted: WantedPlan, plans: Iterable[PlanOfRecord], grounds: str | None, block: str | None = None
) -> Reconciliation:
    known = sorted(plans, key=lambda plan: (plan.evidence.type, plan.evidence.id))
    open_plans = [plan for plan in known if plan.status in OPEN_PLAN]
    drafts = [plan for plan in open_plans if plan.is_untouched_draft]
    if wanted is WantedPlan.NO_PLAN and drafts:
        return _with_drafts(wanted, drafts)
    if len(open_plans) > len(drafts):
        plan = next(plan for plan in open_plans if not plan.is_untouched_draft)
        return Reconciliation(PlanAction.LEAVE, _why_left(plan), plan, superfluous=_beside_ours(open_plans))
    if len({plan.identity for plan in drafts}) < len(drafts):
        why = "the record holds a copy of the draft; a clinician must decide which one to keep"
        return Reconciliation(PlanAction.LEAVE, why, drafts[0])
    if drafts:
        return _with_drafts(wanted, drafts)
    return _without_open_plan(wanted, [plan for plan in known if plan.ours], grounds, block)


def _continues(plan: PlanOfRecord, chain: tuple[PlanOfRecord, ...]) -> bool:
    """Whether a plan of ours continues the last of a treatment; of a deleted one only the id is known."""
    known = plan.based_on == chain[-1].evidence.id or plan.status is PlanStatus.DELETED
    return plan.ours and known and plan not in chain


def _reconcile_continuation(
    wanted: WantedPlan,
    plans: tuple[PlanOfRecord, ...],
    chain: tuple[PlanOfRecord, ...],
    grounds: str | None,
    block: str | None,
) -> Reconciliation:
    """Under treatment: what becomes of the draft that continues it; other drafts are superfluous."""
    others = tuple(plan for plan in plans if plan not in chain)
    following = [plan for plan in others if _continues(plan, chain)]
    found = _reconcile(wanted, following, grounds, block)
    stray = tuple(p for p in others if p.is_untouched_draft and p not in following)
    if found.action is PlanAction.NONE:
        found = replace(found, plan=chain[-1])
    if found.action is PlanAction.CREATE and not following:
        found = replace(found, why="the treatment goes on, and there was no plan for that")
    return replace(found, superfluous=(*found.superfluous, *stray))


def _beside_ours(open_plans: list[PlanOfRecord]) -> tuple[PlanOfRecord, ...]:
    """Untouched drafts beside a plan of ours that a person has in hand: a lost race left them.

    One of the same identity is a copy that somebody made, and a person decides about it.
    """
    in_hand = {plan.identity for plan in open_plans if plan.ours and not plan.is_untouched_draft}
    drafts = (plan for plan in open_plans if plan.is_untouched_draft and plan.identity not in in_hand)
    return tuple(drafts) if in_hand else ()


def open_after(found: Reconciliation, plans: Iterable[PlanOfRecord]) -> list[PlanOfRecord]:
    """The plans that were open before and stay so when a reconciliation is carried out, in a stable order."""
    ended = {plan.evidence for plan in found.superfluous}
    if found.action is PlanAction.REVOKE and found.plan is not None:
        ended.add(found.plan.evidence)
    left = (plan for plan in plans if plan.status in OPEN_PLAN and plan.evidence not in ended)
    return sorted(left, key=lambda plan: plan.evidence.id)


def _with_drafts(wanted: WantedPlan, drafts: list[PlanOfRecord]) -> Reconciliation:
    """Drafts that nobody touched: the first is the one meant, and any other came of a lost race."""
    draft, others = drafts[0], tuple(drafts[1:])
    match wanted:
        case WantedPlan.PLAN:
            why = "the draft no longer matches the record"
            return Reconciliation(PlanAction.UPDATE, why, draft, draft.replaces, others)
        case WantedPlan.NO_PLAN:
            why = "the draft is no longer supported by the record"
            return Reconciliation(PlanAction.REVOKE, why, draft, superfluous=others)
        case WantedPlan.UNDECIDED:
            why = "the record no longer supports a decision; a clinician must decide about the draft"
            return Reconciliation(PlanAction.LEAVE, why, draft, superfluous=others)
        case _:
            assert_never(wanted)


def _without_open_plan(
    wanted: WantedPlan, ours: list[PlanOfRecord], grounds: str | None, block: str | None
) -> Reconciliation:
    """No open plan: propose one, unless a person ended ours, or it was withdrawn and nothing is new.

    A block of a treatment that a person ended stays so until there is something new to go on from.
    """
    if wanted is not WantedPlan.PLAN:
        return Reconciliation(PlanAction.NONE, "no plan is proposed")
    ended = [p for p in ours if not revoked_by_us(p) and (block is None or p.grounds in {None, block})]
    if ended:
        return Reconciliation(PlanAction.LEAVE, _why_left(ended[0]), ended[0])
    withdrawn = [plan for plan in ours if plan.withdrawn in {grounds, UNKNOWN_GROUNDS} - {None}]
    if withdrawn:
        why = "the proposal was withdrawn, and the record supports no different proposal"
        return Reconciliation(PlanAction.LEAVE, why, withdrawn[0])
    if ours:
        why = "the record supports a plan again"
        return Reconciliation(PlanAction.CREATE, why, replaces=_latest_revoked(ours))
    return Reconciliation(PlanAction.CREATE, "the record supports a plan, and there was none")


def _latest_revoked(plans: list[PlanOfRecord]) -> str | None:
    """The id of the plan that a new one replaces: one that no other replaces yet."""
    followed = {plan.replaces for plan in plans}
    open_ended = (plan.evidence.id for plan in reversed(plans) if revoked_by_us(plan))
    return next((identity for identity in open_ended if identity not in followed), None)


def revoked_by_us(plan: PlanOfRecord) -> bool:
    """Whether this service revoked a plan; one that a person revoked carries an edit."""
    return plan.ours and plan.status is PlanStatus.REVOKED and not plan.edited


def _why_left(plan: PlanOfRecord) -> str:
    if not plan.ours:
        return f"another esketamine plan is on record ({plan.status.value})"
    if plan.status is PlanStatus.DELETED:
        return "a person deleted the plan"
    if plan.status is PlanStatus.DRAFT:
        return "a person edited the draft"
    return f"the plan is {plan.status.value}; only a clinician may change it"


def dates_of_continuation(plans: Iterable[PlanOfRecord], based_on: str, as_of: date) -> tuple[date, ...]:
    """The dates of an untouched draft that continues a plan and still lies ahead; else none."""
    return _dates_ahead((plan for plan in plans if plan.based_on == based_on), as_of)


def dates_to_keep(plans: Iterable[PlanOfRecord], protocol: tuple[str, str], as_of: date) -> tuple[date, ...]:
    """The dates of an untouched draft of the same protocol that still lies ahead; else none."""
    return _dates_ahead((plan for plan in plans if plan.protocol == protocol), as_of)


def _dates_ahead(plans: Iterable[PlanOfRecord], as_of: date) -> tuple[date, ...]:
    drafts = (plan.sessions for plan in plans if plan.is_untouched_draft and plan.sessions)
    return next((sessions for sessions in drafts if sessions[0] >= as_of), ())
