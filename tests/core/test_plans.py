"""What is done with a care plan, given the decision and what is on record."""

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest

from service.core.decision import (
    Decision,
    Decline,
    NeedsReview,
    Propose,
    ReasonOfDecision,
    grounds_of,
    wanted_plan,
)
from service.core.plans import UNKNOWN_GROUNDS, PlanAction, WantedPlan, dates_to_keep, open_after, reconcile
from service.core.records import OPEN_PLAN, PlanOfRecord, PlanStatus
from service.core.schedule import Schedule, Unschedulable
from tests.core.builders import AS_OF, US, acute, assessed, decided, depression, record, ref, resistant

DRAFT, ACTIVE, REVOKED, DELETED = (
    PlanStatus.DRAFT,
    PlanStatus.ACTIVE,
    PlanStatus.REVOKED,
    PlanStatus.DELETED,
)
PROTOCOL = ("us-trd", "1.3.0")
AHEAD = (date(2026, 11, 30), date(2026, 12, 3))


def plan(
    status: PlanStatus = DRAFT,
    *,
    ours: bool = True,
    edited: bool = False,
    sessions: tuple[date, ...] = AHEAD,
    identity: str = "plan",
) -> PlanOfRecord:
    return PlanOfRecord(ref(identity, "CarePlan"), status, ours, edited, protocol=PROTOCOL, sessions=sessions)


@pytest.mark.parametrize(
    ("plans", "on_plan", "on_no_plan", "on_undecided"),
    [
        pytest.param([], "create", "none", "none", id="none"),
        pytest.param([plan()], "update", "revoke", "leave", id="ours, draft, unedited"),
        pytest.param([plan(edited=True)], "leave", "leave", "leave", id="ours, draft, edited"),
        pytest.param([plan(ACTIVE)], "leave", "leave", "leave", id="ours, active"),
        pytest.param([plan(PlanStatus.ON_HOLD)], "leave", "leave", "leave", id="ours, on hold"),
        pytest.param([plan(PlanStatus.UNKNOWN)], "leave", "leave", "leave", id="ours, unknown"),
        pytest.param([plan(REVOKED)], "create", "none", "none", id="ours, revoked by us"),
        pytest.param([plan(REVOKED, edited=True)], "leave", "none", "none", id="ours, revoked by a person"),
        pytest.param([plan(DELETED)], "leave", "none", "none", id="ours, deleted"),
        pytest.param(
            [plan(REVOKED, edited=True, ours=False)], "create", "none", "none", id="another's, gone"
        ),
        pytest.param(
            [plan(REVOKED), plan(identity="second")], "update", "revoke", "leave", id="a successor's draft"
        ),
        pytest.param(
            [plan(REVOKED), plan(ACTIVE, identity="second", edited=True)],
            *("leave", "leave", "leave"),
            id="a successor at work",
        ),
        pytest.param(
            [plan(REVOKED), plan(REVOKED, identity="second")], "create", "none", "none", id="two we revoked"
        ),
        pytest.param(
            [plan(), plan(PlanStatus.COMPLETED, ours=False, identity="other")],
            *("update", "revoke", "leave"),
            id="ours beside another's that ended",
        ),
        pytest.param(
            [plan(edited=True), plan(identity="second")],
            *("leave", "revoke", "leave"),
            id="an edited draft beside an untouched one",
        ),
        pytest.param([plan(PlanStatus.COMPLETED)], "leave", "none", "none", id="ours, completed"),
        pytest.param([plan(DRAFT, ours=False)], "leave", "leave", "leave", id="another's draft"),
        pytest.param([plan(ACTIVE, ours=False)], "leave", "leave", "leave", id="another's, active"),
        pytest.param([plan(REVOKED, ours=False)], "create", "none", "none", id="another's, revoked"),
        pytest.param(
            [plan(), plan(ACTIVE, ours=False, identity="other")],
            "leave",
            "revoke",
            "leave",
            id="ours beside another's",
        ),
        pytest.param([plan(), plan(identity="second")], "leave", "revoke", "leave", id="two drafts of ours"),
        pytest.param(
            [plan(REVOKED), plan(DELETED, identity="second")], "leave", "none", "none", id="one was deleted"
        ),
    ],
)
def test_reconcile(plans: list[PlanOfRecord], on_plan: str, on_no_plan: str, on_undecided: str) -> None:
    asked = (WantedPlan.PLAN, WantedPlan.NO_PLAN, WantedPlan.UNDECIDED)
    for given in (plans, plans[::-1]):
        found = [reconcile(wanted, given) for wanted in asked]
        assert [r.action.value for r in found] == [on_plan, on_no_plan, on_undecided]
        assert all(r.why for r in found)


@pytest.mark.parametrize("wanted", WantedPlan)
@pytest.mark.parametrize("status", PlanStatus)
@pytest.mark.parametrize("edited", [True, False], ids=["edited", "unedited"])
@pytest.mark.parametrize("ours", [True, False], ids=["ours", "another's"])
def test_only_our_untouched_draft_is_ever_changed(
    wanted: WantedPlan, status: PlanStatus, edited: bool, ours: bool
) -> None:
    found = reconcile(wanted, [plan(status, ours=ours, edited=edited)])
    if found.action in {PlanAction.UPDATE, PlanAction.REVOKE}:
        assert (ours, edited, status) == (True, False, DRAFT)
    if found.action is PlanAction.CREATE:
        assert status not in OPEN_PLAN


def test_a_plan_that_we_revoked_is_replaced() -> None:
    old = plan(REVOKED)
    assert reconcile(WantedPlan.PLAN, [old]).replaces == old.evidence.id


@pytest.mark.parametrize(
    ("plans", "expected"),
    [
        pytest.param([plan()], AHEAD, id="a draft ahead"),
        pytest.param([plan(sessions=(AS_OF, *AHEAD))], (AS_OF, *AHEAD), id="a draft from today"),
        pytest.param([plan(sessions=(date(2026, 11, 22), *AHEAD))], (), id="a draft that has begun"),
        pytest.param([plan(sessions=())], (), id="a draft without dates"),
        pytest.param([plan(edited=True)], (), id="an edited draft"),
        pytest.param([plan(ours=False)], (), id="another's draft"),
        pytest.param([plan(ACTIVE)], (), id="an active plan"),
        pytest.param([], (), id="no plan"),
    ],
)
def test_dates_to_keep(plans: list[PlanOfRecord], expected: tuple[date, ...]) -> None:
    assert dates_to_keep(plans, PROTOCOL, AS_OF) == expected
    assert dates_to_keep(plans, ("us-trd", "0.9"), AS_OF) == ()


def test_what_a_decision_asks_of_the_plan() -> None:
    assert wanted_plan(decided(resistant())) is WantedPlan.PLAN
    assert wanted_plan(decided(acute())) is WantedPlan.PLAN
    assert wanted_plan(decided(record(depression()))) is WantedPlan.UNDECIDED
    assert wanted_plan(decided(resistant(depression(psychotic=True, id="p")))) is WantedPlan.UNDECIDED
    assert wanted_plan(decided(resistant(plans=(plan(ACTIVE),)))) is WantedPlan.NO_PLAN
    unscheduled = Propose(
        assessed(resistant()), ReasonOfDecision.TRD, US.protocols[0], Unschedulable("the clinic is closed")
    )
    assert wanted_plan(unscheduled) is WantedPlan.UNDECIDED


@pytest.mark.parametrize("wanted", WantedPlan)
@pytest.mark.parametrize("status", PlanStatus)
@pytest.mark.parametrize("ours", [True, False], ids=["ours", "another's"])
def test_a_plan_that_stays_is_pointed_to_with_the_reason(
    wanted: WantedPlan, status: PlanStatus, ours: bool
) -> None:
    """Whatever is left, changed or revoked is named; whatever is created follows nothing that is open."""
    on_record = plan(status, ours=ours, edited=ours)
    found = reconcile(wanted, [on_record])
    assert (found.plan == on_record) == (found.action is PlanAction.LEAVE)
    if status in OPEN_PLAN:
        assert found.action is PlanAction.LEAVE
        assert status.value in found.why or "a person edited" in found.why


def test_what_is_replaced_is_the_last_of_a_chain() -> None:
    last, first = replace(plan(REVOKED, identity="a"), replaces="z"), plan(REVOKED, identity="z")
    assert reconcile(WantedPlan.PLAN, [first, last]).replaces == "a"


def test_a_draft_keeps_what_it_replaces() -> None:
    draft = replace(plan(identity="draft"), replaces="old")
    older, later = plan(REVOKED, identity="older"), plan(REVOKED, identity="later")
    assert reconcile(WantedPlan.PLAN, [draft, older, later]).replaces == "old"
    assert reconcile(WantedPlan.PLAN, [replace(draft, replaces=None), older]).replaces is None


def test_of_several_drafts_of_different_identity_one_stays() -> None:
    """A lost race leaves them; a copy made by hand has the identity of the other."""
    first, second, third = (replace(plan(identity=name), identity=name) for name in ("a", "b", "c"))
    for wanted, action in (
        (WantedPlan.PLAN, "update"),
        (WantedPlan.NO_PLAN, "revoke"),
        (WantedPlan.UNDECIDED, "leave"),
    ):
        found = reconcile(wanted, [third, first, second])
        assert (found.action.value, found.plan, found.superfluous) == (action, first, (second, third))
        left = [first] if wanted is not WantedPlan.NO_PLAN else []
        assert open_after(found, [third, first, second]) == left
    copy = replace(second, identity="a")
    assert reconcile(WantedPlan.PLAN, [first, copy]).superfluous == ()
    assert reconcile(WantedPlan.NO_PLAN, [first, copy]).superfluous == (copy,)


@pytest.mark.parametrize("wanted", [WantedPlan.PLAN, WantedPlan.UNDECIDED])
def test_a_draft_that_a_lost_race_left_beside_a_plan_in_hand_goes(wanted: WantedPlan) -> None:
    in_hand = replace(plan(edited=True, identity="hand"), identity="a")
    draft, copy = replace(plan(identity="late"), identity="b"), replace(plan(identity="copy"), identity="a")
    theirs = plan(ACTIVE, ours=False, identity="theirs")
    found = reconcile(wanted, [in_hand, draft, copy])
    assert (found.action, found.plan, found.superfluous) == (PlanAction.LEAVE, in_hand, (draft,))
    assert reconcile(wanted, [theirs, draft]).superfluous == ()


# --- withdrawn by hand ----------------------------------------------------------------------------

GROUNDS = "what it rests on"


@pytest.mark.parametrize(
    ("withdrawn", "action"),
    [
        pytest.param(GROUNDS, "leave", id="on the same grounds"),
        pytest.param(UNKNOWN_GROUNDS, "leave", id="on grounds that nobody knows"),
        pytest.param("other grounds", "create", id="on other grounds"),
        pytest.param(None, "create", id="revoked by a review"),
    ],
)
def test_a_withdrawn_proposal_is_made_again_on_other_grounds_only(withdrawn: str | None, action: str) -> None:
    later = replace(plan(REVOKED, identity="later"), withdrawn="yet other grounds")
    plans = [replace(plan(REVOKED), withdrawn=withdrawn), later]
    assert reconcile(WantedPlan.PLAN, plans, GROUNDS).action == action
    assert reconcile(WantedPlan.NO_PLAN, plans, GROUNDS).action == "none"
    assert reconcile(WantedPlan.UNDECIDED, plans, GROUNDS).action == "none"


def test_the_grounds_are_conclusions_without_days_and_records() -> None:
    first = grounds_of(decided(resistant()))
    assert first == grounds_of(decided(resistant(), as_of=AS_OF + timedelta(days=20)))
    assert first == grounds_of(decided(resistant(plans=(plan(REVOKED),))))
    assert not any("2026" in part for part in first)
    assert first != grounds_of(decided(acute()))
    assert grounds_of(decided(record())) == ()


# --- plans in the decision ------------------------------------------------------------------------


def sessions_of(decision: Decision) -> tuple[date, ...]:
    assert isinstance(decision, Propose)
    assert isinstance(decision.schedule, Schedule)
    return tuple(session.date for session in decision.schedule.sessions)


def drafted(**changes: Any) -> PlanOfRecord:
    """The draft that was proposed on the day of the cases."""
    return replace(plan(sessions=sessions_of(decided(resistant()))), **changes)


@pytest.mark.parametrize("ours", [True, False], ids=["ours", "another's"])
def test_an_active_plan_means_treatment_is_under_way(ours: bool) -> None:
    decision = decided(resistant(plans=(plan(ACTIVE, ours=ours, edited=ours),)))
    assert isinstance(decision, Decline)
    assert decision.reason is ReasonOfDecision.IN_TREATMENT


PERHAPS_GIVEN = {PlanStatus.COMPLETED, PlanStatus.UNKNOWN}
UNDER_WAY = {ACTIVE, PlanStatus.ON_HOLD}


@pytest.mark.parametrize("status", [s for s in PlanStatus if s not in UNDER_WAY | PERHAPS_GIVEN])
def test_a_plan_that_is_not_active_is_no_treatment_under_way(status: PlanStatus) -> None:
    assert isinstance(decided(resistant(plans=(plan(status, ours=False),))), Propose)


@pytest.mark.parametrize("status", sorted(PERHAPS_GIVEN))
def test_esketamine_that_the_plan_of_another_may_have_given_is_reviewed(status: PlanStatus) -> None:
    decision = decided(resistant(plans=(plan(status, ours=False),)))
    assert isinstance(decision, NeedsReview)
    assert [finding.id for finding in decision.assessment.safety] == ["prior-esketamine"]


@pytest.mark.parametrize("days", [1, 2, 6, 7])
def test_a_draft_ahead_keeps_its_dates(days: int) -> None:
    draft = drafted()
    later = decided(resistant(plans=(draft,)), as_of=AS_OF + timedelta(days=days))
    assert sessions_of(later) == draft.sessions
    assert sessions_of(decided(resistant(), as_of=AS_OF + timedelta(days=days))) != draft.sessions


@pytest.mark.parametrize(
    ("draft", "days"),
    [
        pytest.param(drafted(), 8, id="the draft has begun"),
        pytest.param(drafted(), 150, id="the draft is over"),
        pytest.param(drafted(edited=True), 2, id="a person edited it"),
        pytest.param(drafted(ours=False), 2, id="it is another's"),
        pytest.param(drafted(sessions=AHEAD), 2, id="it has too few dates"),
        pytest.param(replace(drafted(), protocol=("us-trd", "0.9")), 2, id="its protocol is an older one"),
    ],
)
def test_otherwise_the_dates_are_new(draft: PlanOfRecord, days: int) -> None:
    as_of = AS_OF + timedelta(days=days)
    later = sessions_of(decided(resistant(plans=(draft,)), as_of=as_of))
    assert later == sessions_of(decided(resistant(), as_of=as_of))
    assert later[0] >= as_of + timedelta(days=7)
