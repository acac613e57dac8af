"""What a person is asked to look at, and what becomes of a Task that is on record."""

from dataclasses import replace
from itertools import product

import pytest

from service.core.decision import Decision, Propose, ReasonOfDecision, wanted_plan
from service.core.plans import reconcile
from service.core.records import PlanOfRecord, PlanStatus, Record, VersionedReference
from service.core.schedule import Unschedulable
from service.core.settling import with_settling_facts
from service.core.tasks import (
    TaskAction,
    TaskOfRecord,
    TaskReason,
    TaskStep,
    WantedTask,
    reconcile_tasks,
    wanted_tasks,
)
from tests.core.builders import (
    AS_OF,
    US,
    WEEKDAYS,
    assessed,
    decided,
    depression,
    record,
    ref,
    resistant,
    safety_condition,
)
from tests.core.test_plans import plan

ACTIVE, COMPLETED, REVOKED = PlanStatus.ACTIVE, PlanStatus.COMPLETED, PlanStatus.REVOKED
DRAFT, EDITED, ACTIVATED = plan(), plan(edited=True), plan(ACTIVE, edited=True)
THEIRS = plan(ACTIVE, ours=False, identity="theirs")
COPY = replace(DRAFT, evidence=ref("copy", "CarePlan"))


def asked(decision: Decision, *plans: PlanOfRecord) -> dict[str, WantedTask]:
    """What is asked, by its reason; no reason comes twice."""
    wanted = wanted_tasks(decision, reconcile(wanted_plan(decision), plans), plans)
    assert len({task.reason for task in wanted}) == len(wanted)
    assert all(task.text and task.grounds for task in wanted)
    return {task.reason.value: task for task in wanted}


def about(found: Record, *plans: PlanOfRecord) -> set[str]:
    return set(asked(decided(replace(found, plans=plans)), *plans))


PROPOSED = resistant()
EXCLUDED = resistant(safety_condition("aneurysm"))
UNDECIDED = record(depression())
TO_REVIEW = resistant(safety_condition("bipolar"))


@pytest.mark.parametrize(
    ("plans", "on_propose", "on_decline", "on_missing", "on_review"),
    [
        pytest.param((), "", "", "", "safety", id="none"),
        pytest.param((DRAFT,), "", "draft-revoked", "draft-stale", "safety", id="ours, draft, unedited"),
        pytest.param((EDITED,), "", "safety", "", "safety", id="ours, edited"),
        pytest.param((ACTIVATED,), "", "treatment-safety", "", "treatment-safety", id="ours, active"),
        pytest.param(
            (plan(REVOKED),),
            "",
            "draft-revoked",
            "draft-revoked",
            "draft-revoked safety",
            id="ours, revoked by us",
        ),
        pytest.param((plan(REVOKED, edited=True),), "", "", "", "safety", id="ours, revoked by a person"),
        pytest.param((plan(COMPLETED, edited=True),), "", "", "", "safety", id="ours, completed"),
        pytest.param((plan(PlanStatus.DELETED, edited=True),), "", "", "", "safety", id="ours, deleted"),
        pytest.param((THEIRS,), "", "treatment-safety", "", "treatment-safety", id="another's, active"),
        pytest.param((plan(ours=False),), "", "safety", "", "safety", id="another's, draft"),
        pytest.param((plan(REVOKED, ours=False),), "", "", "", "safety", id="another's, revoked"),
        pytest.param(
            (DRAFT, COPY),
            "several-plans",
            "draft-revoked",
            "several-plans",
            "safety several-plans",
            id="a copy made by hand",
        ),
        pytest.param(
            (EDITED, THEIRS),
            "several-plans",
            "treatment-safety several-plans",
            "several-plans",
            "treatment-safety several-plans",
            id="ours, edited, beside another's",
        ),
        pytest.param(
            (DRAFT, THEIRS),
            "draft-revoked",
            "draft-revoked treatment-safety",
            "draft-revoked",
            "draft-revoked treatment-safety",
            id="ours beside another's at work",
        ),
    ],
)
def test_what_is_asked(
    plans: tuple[PlanOfRecord, ...], on_propose: str, on_decline: str, on_missing: str, on_review: str
) -> None:
    found = [about(given, *plans) for given in (PROPOSED, EXCLUDED, UNDECIDED, TO_REVIEW)]
    assert found == [set(said.split()) for said in (on_propose, on_decline, on_missing, on_review)]


def test_a_plan_at_work_that_meets_a_review_finding_is_told() -> None:
    decision = decided(replace(TO_REVIEW, plans=(ACTIVATED,)))
    assert decision.reason is ReasonOfDecision.IN_TREATMENT
    task = asked(decision, ACTIVATED)["treatment-safety"]
    assert task.plan == ACTIVATED.evidence
    assert task.grounds == "bipolar"
    assert "Bipolar" in task.text


def test_a_stale_draft_says_what_would_settle_it() -> None:
    decision = with_settling_facts(decided(UNDECIDED), UNDECIDED, WEEKDAYS)
    without = asked(decided(UNDECIDED), DRAFT)["draft-stale"]
    task = asked(decision, DRAFT)["draft-stale"]
    assert "would lead to a proposal." in task.text
    assert task.grounds == without.grounds


def test_a_draft_that_the_calendar_no_longer_holds_is_stale() -> None:
    unscheduled = Propose(
        assessed(PROPOSED), ReasonOfDecision.TRD, US.protocols[0], Unschedulable("the clinic is closed")
    )
    assert set(asked(unscheduled)) == set()
    assert set(asked(unscheduled, DRAFT)) == {"draft-stale"}


def test_a_revoked_draft_that_another_followed_is_no_news() -> None:
    old = plan(REVOKED, identity="old")
    successor = replace(plan(COMPLETED, edited=True, identity="new"), replaces="old")
    assert about(EXCLUDED, old, successor) == set()
    assert about(EXCLUDED, old, replace(successor, status=REVOKED, edited=False)) == {"draft-revoked"}


def test_a_revoked_draft_is_no_news_once_a_person_has_ended_one() -> None:
    assert about(EXCLUDED, plan(REVOKED, identity="surplus"), plan(COMPLETED, edited=True)) == set()


def test_a_withdrawn_draft_is_no_news() -> None:
    withdrawn = replace(plan(REVOKED), withdrawn="grounds")
    assert about(UNDECIDED, withdrawn) == set()


def test_what_a_task_rests_on_has_no_day_in_it() -> None:
    for found, plans in product((EXCLUDED, UNDECIDED, TO_REVIEW), ((), (DRAFT,), (ACTIVATED,))):
        today, later = (
            decided(replace(found, plans=plans), as_of=day) for day in (AS_OF, AS_OF.replace(day=28))
        )
        before, after = asked(today, *plans), asked(later, *plans)
        assert {r: t.grounds for r, t in before.items()} == {r: t.grounds for r, t in after.items()}


# --- Tasks on record ------------------------------------------------------------------------------

WANTED = WantedTask(TaskReason.SAFETY, "Look at this", "pregnancy")


def on_record(identity: str = "task", *, grounds: str = "pregnancy", state: str = "open") -> TaskOfRecord:
    """A safety Task: open, taken up or ended by a person, or closed by us."""
    return TaskOfRecord(
        VersionedReference("Task", identity, "1"),
        TaskReason.SAFETY,
        grounds,
        is_open=state in {"open", "taken up"},
        edited=state in {"taken up", "ended"},
    )


def steps(*tasks: TaskOfRecord, wanted: tuple[WantedTask, ...] = (WANTED,), asked: str = "") -> list[str]:
    raised = frozenset({(TaskReason.SAFETY.value, asked)} if asked else ())
    found = reconcile_tasks(wanted, tasks, raised)
    return [f"{step.action} {step.task.evidence.id if step.task else ''}".strip() for step in found]


@pytest.mark.parametrize(
    ("tasks", "asked", "expected"),
    [
        pytest.param([], "", ["create"], id="none yet"),
        pytest.param([], "pregnancy", [], id="deleted by a person"),
        pytest.param([], "psychosis", ["create"], id="another was deleted"),
        pytest.param([on_record()], "", [], id="open"),
        pytest.param([on_record(grounds="psychosis")], "", ["update task"], id="open, on other grounds"),
        pytest.param([on_record(state="taken up")], "", [], id="taken up"),
        pytest.param(
            [on_record(state="taken up", grounds="psychosis")], "", ["create"], id="another is taken up"
        ),
        pytest.param([on_record(state="ended")], "", [], id="ended by a person"),
        pytest.param([on_record(state="ended", grounds="psychosis")], "", ["create"], id="another was ended"),
        pytest.param([on_record(state="closed")], "", ["create"], id="closed by us, and the reason is back"),
        pytest.param([on_record("a"), on_record("b")], "", ["close b"], id="open twice"),
        pytest.param(
            [on_record("a", state="taken up"), on_record("b")],
            "",
            ["close b"],
            id="taken up, and open beside it",
        ),
    ],
)
def test_one_task_says_what_is_wanted(tasks: list[TaskOfRecord], asked: str, expected: list[str]) -> None:
    assert steps(*tasks, asked=asked) == expected
    assert steps(*tasks[::-1], asked=asked) == expected


@pytest.mark.parametrize(
    ("state", "expected"),
    [("open", ["close task"]), ("taken up", []), ("ended", []), ("closed", [])],
)
def test_a_task_whose_reason_is_gone_is_closed_unless_a_person_has_it(
    state: str, expected: list[str]
) -> None:
    assert steps(on_record(state=state), wanted=()) == expected


def test_carrying_the_steps_out_leaves_nothing_to_do() -> None:
    """Whatever is on record: then at most one Task of ours is open, and a person has theirs as it was."""
    states = ("open", "taken up", "ended", "closed")
    kinds = [(state, grounds) for state in states for grounds in ("pregnancy", "psychosis")]
    for several in product(kinds, repeat=3):
        tasks = [on_record(f"t{n}", state=state, grounds=g) for n, (state, g) in enumerate(several)]
        after = _carried_out(reconcile_tasks([WANTED], tasks), tasks)
        assert reconcile_tasks([WANTED], after) == ()
        untouched = [task for task in after if task.is_open and not task.edited]
        assert len(untouched) <= 1
        assert all(task in after for task in tasks if task.edited)


def _carried_out(found: tuple[TaskStep, ...], tasks: list[TaskOfRecord]) -> list[TaskOfRecord]:
    after = {task.evidence: task for task in tasks}
    for step in found:
        match step:
            case TaskStep(TaskAction.CREATE, WantedTask() as wanted):
                new = replace(on_record("new"), grounds=wanted.grounds)
                after[new.evidence] = new
            case TaskStep(TaskAction.UPDATE, WantedTask() as wanted, TaskOfRecord() as task):
                after[task.evidence] = replace(task, grounds=wanted.grounds)
            case TaskStep(TaskAction.CLOSE, task=TaskOfRecord() as task):
                after[task.evidence] = replace(task, is_open=False)
    return list(after.values())
