"""The sessions that continue a treatment: how many, when, and from which number on."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import date, timedelta
from itertools import pairwise

import pytest

from service.core.decision import Decision, Propose, chain_of, goes_on_from, treatment_of, wanted_plan
from service.core.plans import PlanAction, Reconciliation, reconcile
from service.core.records import Measure, PlanOfRecord, PlanStatus
from service.core.schedule import Schedule
from tests.core.builders import (
    SESSION_DAYS,
    WEEKDAYS,
    Entry,
    a_plan,
    decided,
    given,
    resistant,
    result,
    safety_condition,
)

FIRST, EIGHTH, LAST = SESSION_DAYS[0], SESSION_DAYS[7], SESSION_DAYS[11]
REVIEWED = a_plan(benefit_reviewed=True)


def later(days: int, since: date = LAST) -> date:
    return since + timedelta(days=days)


def sessions(days: Iterable[date] = SESSION_DAYS) -> list[Entry]:
    return [given(when) for when in days]


def phq(value: float, when: date) -> Entry:
    return result(Measure.PHQ_9, value, when.isoformat())


BASELINE = phq(20, FIRST)


def continued(*entries: Entry, as_of: date, plans: tuple[PlanOfRecord, ...] = (REVIEWED,)) -> Decision:
    return decided(resistant(*entries, plans=plans), as_of=as_of)


def numbered(decision: Decision) -> dict[int, date]:
    assert isinstance(decision, Propose), decision
    assert decision.reason.value == "continuation"
    assert isinstance(decision.schedule, Schedule)
    return {session.number: session.date for session in decision.schedule.sessions}


def distances(decision: Decision) -> list[int]:
    return [(other - one).days for one, other in pairwise(numbered(decision).values())]


# the response decides how often ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("score", "numbers", "apart"),
    [
        pytest.param(4, [13, 14], [14], id="remission: every two weeks"),
        pytest.param(10, [13, 14, 15, 16], [7, 7, 7], id="response: weekly"),
        pytest.param(15, [13, 14, 15, 16], [7, 7, 7], id="partial response, reviewed: weekly"),
        pytest.param(None, [13, 14, 15, 16], [7, 7, 7], id="no score: as before"),
    ],
)
def test_a_block_of_four_weeks_by_the_response(
    score: float | None, numbers: list[int], apart: list[int]
) -> None:
    today = later(3)
    scores = () if score is None else (phq(score, today),)
    decision = continued(*sessions(), BASELINE, *scores, as_of=today)
    assert list(numbered(decision)) == numbers
    assert distances(decision) == apart
    assert min(numbered(decision).values()) >= today + timedelta(days=WEEKDAYS.lead_days)


def test_without_a_score_the_rhythm_before_goes_on() -> None:
    block = a_plan((later(14), later(28)), first=13, id="block", based_on="plan")
    plans = (replace(REVIEWED, status=PlanStatus.COMPLETED), block)
    decision = continued(*sessions((*SESSION_DAYS, later(14), later(28))), as_of=later(30), plans=plans)
    assert list(numbered(decision)) == [15, 16]
    assert distances(decision) == [14]


def test_the_weekly_sessions_of_the_protocol_come_first() -> None:
    """Ten of twelve were given, and no day is left: two more, a week apart."""
    plan = replace(a_plan(SESSION_DAYS[:10]), benefit_reviewed=True)
    today = SESSION_DAYS[9] + timedelta(days=1)
    decision = continued(*sessions(SESSION_DAYS[:10]), BASELINE, phq(4, today), as_of=today, plans=(plan,))
    assert list(numbered(decision)) == [11, 12]
    assert distances(decision) == [7]


def test_it_begins_after_the_last_planned_day() -> None:
    """The twelfth session is still planned, for tomorrow."""
    today = later(-1)
    decision = continued(*sessions(SESSION_DAYS[:11]), BASELINE, phq(4, today), as_of=today)
    assert numbered(decision) == {13: later(14), 14: later(28)}


def test_missed_sessions_of_the_induction_are_given_twice_a_week() -> None:
    plan = a_plan(SESSION_DAYS[:8])
    today = EIGHTH + timedelta(days=4)
    decision = continued(*sessions(SESSION_DAYS[:6]), as_of=today, plans=(plan,))
    assert list(numbered(decision)) == [7, 8]
    assert distances(decision) == [4]


@pytest.mark.parametrize(
    ("before", "apart", "count"),
    [
        pytest.param((7, 14, 21, 28), 3.5, 8, id="weekly: twice a week"),
        pytest.param((14, 28), 7, 4, id="every two weeks: weekly"),
    ],
)
def test_a_worsening_in_maintenance_steps_back(before: tuple[int, ...], apart: float, count: int) -> None:
    """The draft holds the days to come as well, and names the plan that it is to replace."""
    days = tuple(later(one) for one in before)
    block = a_plan(days, first=13, id="block", based_on="plan")
    today = days[0] + timedelta(days=1)
    given_so_far = sessions((*SESSION_DAYS, days[0]))
    scores = (BASELINE, phq(4, LAST), phq(14, today))
    decision = continued(*given_so_far, *scores, as_of=today, plans=(REVIEWED, block))
    assert isinstance(decision, Propose)
    assert list(numbered(decision)) == list(range(14, 14 + count))
    found = distances(decision)
    assert sum(found) / len(found) == pytest.approx(apart, abs=0.6)
    assert decision.continuation is not None
    assert decision.continuation.replaces == block


def stepped_back(begins: int, *, replaces: str | None = "block") -> tuple[PlanOfRecord, ...]:
    """A block, and the plan for which a clinician ended it."""
    block = a_plan((later(14), later(28)), PlanStatus.REVOKED, first=13, id="block", based_on="plan")
    days = tuple(later(begins + 7 * week) for week in range(4))
    back = a_plan(days, first=13, id="back", based_on="block")
    return REVIEWED, block, replace(back, replaces=replaces)


@pytest.mark.parametrize(
    ("replaces", "code"),
    [
        pytest.param("block", "on-track", id="the worsening is answered"),
        pytest.param(None, "step-back", id="the plan goes on as before"),
    ],
)
def test_a_worsening_is_answered_once(replaces: str | None, code: str) -> None:
    scores = (BASELINE, phq(4, LAST), phq(14, later(4)))
    plans = stepped_back(13, replaces=replaces)
    decision = continued(*sessions(), *scores, as_of=later(7), plans=plans)
    treatment = treatment_of(decision)
    assert treatment is not None
    assert treatment.next.code.value == code


@pytest.mark.parametrize("begins", [13, 14, 15])
def test_a_plan_comes_after_the_one_that_it_is_based_on(begins: int) -> None:
    """A step back may begin before the block that it replaces."""
    plans = stepped_back(begins)
    decision = continued(*sessions(), BASELINE, phq(4, later(7)), as_of=later(7), plans=plans)
    assert chain_of(decision) == plans


def test_a_new_finding_stops_it() -> None:
    pregnant = safety_condition("pregnancy")
    decision = continued(*sessions(), BASELINE, phq(4, later(3)), pregnant, as_of=later(3))
    assert decision.reason.value == "in-treatment"
    assert wanted_plan(decision).value == "no-plan"


# beside the plans on record --------------------------------------------------------------------

DRAFT = a_plan(
    (later(14), later(28)),
    PlanStatus.DRAFT,
    first=13,
    id="draft",
    based_on="plan",
    edited=False,
    identity="draft",
)


def reconciled(*more: PlanOfRecord, score: float | None = 4) -> Reconciliation:
    today = later(3)
    scores = () if score is None else (phq(score, today),)
    plans = (REVIEWED, *more)
    decision = continued(*sessions(), BASELINE, *scores, as_of=today, plans=plans)
    return reconcile(wanted_plan(decision), plans, "grounds", chain_of(decision))


@pytest.mark.parametrize(
    ("more", "action"),
    [
        pytest.param((), PlanAction.CREATE, id="none on record"),
        pytest.param((DRAFT,), PlanAction.UPDATE, id="untouched"),
        pytest.param((replace(DRAFT, edited=True),), PlanAction.LEAVE, id="edited"),
        pytest.param(
            (replace(DRAFT, edited=True, status=PlanStatus.REVOKED),),
            PlanAction.LEAVE,
            id="ended by a person",
        ),
        pytest.param((replace(DRAFT, status=PlanStatus.REVOKED),), PlanAction.CREATE, id="revoked by us"),
        pytest.param(
            (replace(DRAFT, edited=True, based_on=None, status=PlanStatus.DELETED),),
            PlanAction.LEAVE,
            id="deleted",
        ),
        pytest.param(
            (replace(DRAFT, withdrawn="grounds", status=PlanStatus.REVOKED),),
            PlanAction.LEAVE,
            id="withdrawn",
        ),
    ],
)
def test_a_draft_that_continues_stands_beside_the_active_plan(
    more: tuple[PlanOfRecord, ...], action: PlanAction
) -> None:
    found = reconciled(*more)
    assert found.action is action
    assert found.plan != REVIEWED
    assert found.superfluous == ()


def test_a_draft_that_is_no_longer_needed_is_revoked() -> None:
    active = a_plan((later(14), later(28)), first=13, id="block", based_on="plan")
    draft = replace(DRAFT, based_on="block")
    today = later(3)
    decision = continued(*sessions(), BASELINE, phq(4, today), as_of=today, plans=(REVIEWED, active, draft))
    assert decision.reason.value == "in-treatment"
    found = reconcile(wanted_plan(decision), (REVIEWED, active, draft), None, chain_of(decision))
    assert (found.action, found.plan) == (PlanAction.REVOKE, draft)


def test_an_untouched_draft_keeps_its_days() -> None:
    today = later(3)
    for days in (0, 1, 5):
        scores = (BASELINE, phq(4, today))
        decision = continued(
            *sessions(), *scores, as_of=today + timedelta(days=days), plans=(REVIEWED, DRAFT)
        )
        assert tuple(numbered(decision).values()) == DRAFT.sessions


def test_a_draft_of_a_lost_race_beside_the_treatment_is_superfluous() -> None:
    stray = a_plan(SESSION_DAYS, PlanStatus.DRAFT, id="stray", edited=False, identity="stray")
    assert reconciled(stray).superfluous == (stray,)


ON_RECORD = (*sessions(), BASELINE, phq(4, LAST))


@pytest.mark.parametrize(
    ("news", "days", "action"),
    [
        pytest.param((), 4, PlanAction.LEAVE, id="nothing new"),
        pytest.param((), 20, PlanAction.LEAVE, id="only the score has grown old"),
        pytest.param((phq(3, later(4)),), 4, PlanAction.LEAVE, id="another score, the same response"),
        pytest.param((phq(8, later(4)),), 4, PlanAction.CREATE, id="another response"),
        pytest.param((given(later(4)),), 4, PlanAction.CREATE, id="a session more"),
    ],
)
@pytest.mark.parametrize("status", [PlanStatus.REVOKED, PlanStatus.COMPLETED, PlanStatus.DELETED])
def test_a_block_that_a_person_ended_comes_back_only_with_something_new(
    news: tuple[Entry, ...], days: int, action: PlanAction, status: PlanStatus
) -> None:
    then = continued(*ON_RECORD, as_of=later(3))
    ended = replace(DRAFT, edited=True, status=status, grounds=goes_on_from(then))
    plans = (REVIEWED, ended)
    now = continued(*ON_RECORD, *news, as_of=later(days), plans=plans)
    found = reconcile(wanted_plan(now), plans, None, chain_of(now), goes_on_from(now))
    assert found.action is action


def test_a_block_of_which_nobody_knows_what_it_went_on_from_stays_ended() -> None:
    plans = (REVIEWED, replace(DRAFT, edited=True, status=PlanStatus.REVOKED))
    now = continued(*ON_RECORD, given(later(4)), as_of=later(4), plans=plans)
    found = reconcile(wanted_plan(now), plans, None, chain_of(now), goes_on_from(now))
    assert found.action is PlanAction.LEAVE
