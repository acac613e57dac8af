"""What comes next under treatment, row by row in the order of docs/treatment.md, and what is due."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest

from service.core.decision import Decision, Decline, ReasonOfDecision, treatment_of, wanted_plan
from service.core.knowledge import CareSetting, Knowledge, NextCode, RuleBasis
from service.core.plans import reconcile
from service.core.records import BenefitReview, ClinicalStatus, Measure, PlanOfRecord, PlanStatus
from service.core.schedule import Calendar
from service.core.tasks import WantedTask, wanted_tasks
from service.core.treatment.follow import Treatment
from service.core.words import state_decision
from tests.core.builders import (
    EU,
    SESSION_DAYS,
    US,
    WEEKDAYS,
    Entry,
    a_plan,
    allergy,
    day,
    decided,
    given,
    person,
    ref,
    resistant,
    result,
    safety_condition,
    suicidality,
    unreadable,
)

FIRST, EIGHTH, NINTH, LAST = SESSION_DAYS[0], SESSION_DAYS[7], SESSION_DAYS[8], SESSION_DAYS[11]
ACUTE_PLAN = a_plan(SESSION_DAYS[:8], protocol=("us-mdsi", "1.3.0"))
INPATIENTS = replace(WEEKDAYS, setting=CareSetting.INPATIENT)


def after(when: date, days: int = 1) -> date:
    return when + timedelta(days=days)


def first(sessions: int) -> list[Entry]:
    """The first sessions of the plan, each given on its day."""
    return [given(when) for when in SESSION_DAYS[:sessions]]


def scores(*values: float, last: date) -> list[Entry]:
    """A PHQ-9 of 20 before treatment, and those under it: two weeks apart, the last on a day."""
    dates = [last - timedelta(days=14 * back) for back in reversed(range(len(values)))]
    under = [
        result(Measure.PHQ_9, value, when.isoformat()) for value, when in zip(values, dates, strict=True)
    ]
    return [result(Measure.PHQ_9, 20, FIRST.isoformat()), *under]


def decision_of(
    *entries: Entry,
    as_of: date,
    plans: tuple[PlanOfRecord, ...] = (a_plan(),),
    calendar: Calendar = WEEKDAYS,
    knowledge: Knowledge = US,
    **record: Any,
) -> Decision:
    of = resistant(*entries, plans=plans, **record)
    return decided(of, as_of=as_of, calendar=calendar, knowledge=knowledge)


def followed(*entries: Entry, as_of: date, **how: Any) -> Treatment:
    treatment = treatment_of(decision_of(*entries, as_of=as_of, **how))
    assert treatment is not None
    return treatment


def next_of(*entries: Entry, as_of: date, **how: Any) -> str:
    return followed(*entries, as_of=as_of, **how).next.code.value


def due(of: Treatment) -> list[tuple[str, date | None]]:
    return [(one.what.value, one.by) for one in of.due]


def asked(decision: Decision, plans: Iterable[PlanOfRecord] = (a_plan(),)) -> dict[str, WantedTask]:
    plans = tuple(plans)
    wanted = wanted_tasks(decision, reconcile(wanted_plan(decision), plans), plans)
    return {task.reason.value: task for task in wanted}


REVIEWED = (a_plan(benefit_reviewed=True),)
"""The plan, with a review of the benefit on record."""


AFTER_INDUCTION, IN_MAINTENANCE = "CarePlan/plan after 8 sessions", "CarePlan/plan in maintenance"


def answered(
    question: str = AFTER_INDUCTION, *, about: str | None = "plan", when: date | None = EIGHTH
) -> dict[str, Any]:
    """A record with a review of the benefit that a person completed when it was asked for."""
    return {"benefit_reviews": (BenefitReview(about, question, when, ref("asked", "Task")),)}


# --- where it stands ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("day", "week"),
    [(FIRST - timedelta(days=1), 0), (FIRST, 1), (after(FIRST, 6), 1), (after(FIRST, 7), 2)],
)
def test_the_week_counts_from_session_1(day: date, week: int) -> None:
    assert followed(given(FIRST), as_of=day).week == week


def test_the_week_counts_from_the_day_on_which_session_1_was_given() -> None:
    assert followed(given(after(FIRST, 2)), as_of=after(FIRST, 8)).week == 1


def test_the_phase_goes_by_sessions_and_not_by_dates() -> None:
    late = after(LAST)
    assert followed(*first(7), as_of=late).phase == "induction"
    assert followed(*first(8), as_of=late).phase == "maintenance"


def test_the_decision_names_the_treatment_and_nothing_is_proposed() -> None:
    decision = decision_of(given(FIRST), as_of=after(FIRST))
    assert isinstance(decision, Decline)
    assert decision.reason is ReasonOfDecision.IN_TREATMENT
    assert not asked(decision)


@pytest.mark.parametrize(
    ("changes", "entries", "reason"),
    [
        ({"person": person(deceased=True)}, [], "deceased"),
        ({}, [safety_condition("aneurysm")], "contraindicated"),
    ],
)
def test_the_treatment_is_shown_whatever_the_decision(
    changes: dict[str, Any], entries: list[Entry], reason: str
) -> None:
    decision = decision_of(given(FIRST), *entries, as_of=after(FIRST), **changes)
    assert isinstance(decision, Decline)
    assert decision.reason.value == reason
    assert decision.treatment is not None


# --- what comes next, in order --------------------------------------------------------------------


def test_row_1_a_new_finding_goes_before_everything() -> None:
    bipolar = safety_condition("bipolar")
    for of in (followed(bipolar, *first(3), as_of=after(LAST, 60)), followed(bipolar, as_of=after(FIRST))):
        assert of.next.code is NextCode.TREATMENT_SAFETY
        assert [finding.id for finding in of.new_findings] == ["bipolar"]


@pytest.mark.parametrize(("sessions", "days", "code"), [(7, 27, "on-track"), (7, 28, "acute-review")])
def test_row_2_the_acute_pathway_is_over_after_four_weeks(sessions: int, days: int, code: str) -> None:
    plan = replace(ACUTE_PLAN, planned=(*ACUTE_PLAN.planned, *a_plan([LAST], first=9).planned))
    assert next_of(*first(sessions), as_of=after(FIRST, days), plans=(plan,)) == code


def test_row_2_the_acute_pathway_is_over_with_its_sessions() -> None:
    early = [given(after(FIRST, days)) for days in range(0, 16, 2)]
    assert next_of(*early, as_of=after(FIRST, 16), plans=(ACUTE_PLAN,)) == "acute-review"
    assert next_of(*early[1:], as_of=after(FIRST, 16), plans=(ACUTE_PLAN,)) != "acute-review"


def test_row_2_goes_before_a_lapse() -> None:
    assert next_of(*first(2), as_of=after(LAST, 60), plans=(ACUTE_PLAN,)) == "acute-review"


@pytest.mark.parametrize(("days", "lapsed"), [(28, False), (29, True)])
def test_row_3_a_lapse_is_more_than_twenty_eight_days(days: int, lapsed: bool) -> None:
    assert (next_of(*first(3), as_of=after(SESSION_DAYS[2], days)) == "lapse") == lapsed


@pytest.mark.parametrize(("days", "lapsed"), [(28, False), (29, True)])
def test_row_3_a_treatment_that_nobody_began_lapses_from_its_first_planned_day(
    days: int, lapsed: bool
) -> None:
    assert (next_of(as_of=after(FIRST, days)) == "lapse") == lapsed


def test_row_3_goes_before_the_benefit_review() -> None:
    assert next_of(*first(8), as_of=after(EIGHTH, 28)) == "benefit-review"
    assert next_of(*first(8), as_of=after(EIGHTH, 29)) == "lapse"


@pytest.mark.parametrize(
    ("under", "finding", "code"),
    [
        ([], "unknown", "benefit-review"),
        ([18], "none", "benefit-review"),
        ([13], "partial", "benefit-review"),
        ([6, 12], "worse", "benefit-review"),
        ([9], "response", "on-track"),
        ([3], "remission", "on-track"),
    ],
)
def test_row_4_after_induction_the_benefit_is_reviewed_unless_the_scores_show_it(
    under: list[float], finding: str, code: str
) -> None:
    entries = [*first(8), *scores(*under, last=EIGHTH)]
    of = followed(*entries, as_of=after(EIGHTH))
    assert (of.response.finding.value, of.next.code.value) == (finding, code)


def test_row_4_is_settled_by_a_review_on_record() -> None:
    entries = [*first(8), *scores(13, last=EIGHTH)]
    assert next_of(*entries, as_of=after(EIGHTH), plans=REVIEWED) == "on-track"
    assert next_of(*entries[1:], as_of=after(EIGHTH)) == "on-track"  # seven sessions: still induction


@pytest.mark.parametrize(("lead", "code"), [(7, "continue"), (6, "on-track")])
def test_row_5_sessions_that_lie_ahead_for_longer_than_the_lead_time(lead: int, code: str) -> None:
    plan = a_plan(SESSION_DAYS[:3])
    day = SESSION_DAYS[2] - timedelta(days=7)
    assert next_of(given(FIRST), as_of=day, plans=(plan,), calendar=replace(WEEKDAYS, lead_days=lead)) == code


def test_row_5_missed_sessions_are_named_and_nothing_is_dated_anew() -> None:
    of = followed(given(FIRST), as_of=after(SESSION_DAYS[2], 3))
    assert of.next.code is NextCode.ON_TRACK
    assert [s.state.value for s in of.course.sessions[:3]] == ["given", "missed", "missed"]


def test_row_5_does_not_hold_for_a_worsening_in_maintenance() -> None:
    entries = [*first(9), *scores(6, 12, last=NINTH)]
    assert next_of(*entries, as_of=after(NINTH), plans=REVIEWED) == "step-back"
    in_induction = [*first(5), *scores(6, 12, last=SESSION_DAYS[4])]
    assert next_of(*in_induction, as_of=after(SESSION_DAYS[4])) == "on-track"


def test_row_6_a_plan_on_hold_waits() -> None:
    held = (a_plan(status=PlanStatus.ON_HOLD),)
    assert next_of(*first(3), as_of=after(SESSION_DAYS[2]), plans=held) == "on-hold"
    assert next_of(*first(3), as_of=after(SESSION_DAYS[2])) == "on-track"


def test_row_7_an_induction_without_sessions_ahead_is_continued() -> None:
    entries = [*first(7), *scores(9, last=EIGHTH)]
    plans = (a_plan(SESSION_DAYS[:8]),)
    assert next_of(*entries, as_of=after(EIGHTH, 4), plans=plans) == "continue"
    assert next_of(*first(8), *entries[7:], as_of=after(EIGHTH, 4), plans=plans) == "maintain"


def test_row_8_a_worsening_in_maintenance_steps_back() -> None:
    entries = [*first(12), *scores(6, 12, last=LAST)]
    assert next_of(*entries, as_of=after(LAST), plans=REVIEWED) == "step-back"
    assert next_of(*first(12), *scores(6, 10, last=LAST), as_of=after(LAST), plans=REVIEWED) == "maintain"


def test_row_9_the_weekly_sessions_that_remain_go_before_a_further_review() -> None:
    plans = (a_plan(SESSION_DAYS[:11], benefit_reviewed=True),)
    entries = scores(18, last=SESSION_DAYS[10])
    assert next_of(*first(11), *entries, as_of=after(SESSION_DAYS[10]), plans=plans) == "maintain"


def test_row_10_without_a_response_after_a_review_the_benefit_is_reviewed_again() -> None:
    entries = [*first(12), *scores(18, last=LAST)]
    of = followed(*entries, as_of=after(LAST), plans=REVIEWED)
    assert of.next.code is NextCode.BENEFIT_REVIEW
    assert ("benefit-review", None) in due(of)


@pytest.mark.parametrize(
    ("under", "finding"), [([3], "remission"), ([9], "response"), ([13], "partial"), ([], "unknown")]
)
def test_row_11_maintenance_goes_on(under: list[float], finding: str) -> None:
    of = followed(*first(12), *scores(*under, last=LAST), as_of=after(LAST), plans=REVIEWED)
    assert (of.response.finding.value, of.next.code.value) == (finding, "maintain")


@pytest.mark.parametrize("under", [[6, 12], [18]])
def test_a_plan_that_cannot_be_followed_by_its_days_is_never_continued(under: list[float]) -> None:
    theirs = a_plan((), ours=False, starts=FIRST)
    reviewed = replace(theirs, benefit_reviewed=True)
    assert next_of(*first(3), as_of=after(LAST, -30), plans=(theirs,)) == "on-track"
    entries = [*first(12), *scores(*under, last=LAST)]
    assert next_of(*entries, as_of=after(LAST), plans=(theirs,)) == "benefit-review"
    assert next_of(*entries, as_of=after(LAST), plans=(reviewed,)) in {"benefit-review", "on-track"}


@pytest.mark.parametrize("knowledge", [US, EU], ids=["us", "eu"])
def test_every_protocol_says_what_comes_next_and_what_that_rests_on(knowledge: Knowledge) -> None:
    acute = {NextCode.MAINTAIN, NextCode.STEP_BACK}
    for protocol in knowledge.protocols:
        wanted = set(NextCode) - (acute if protocol.pathway == "acute-suicidality" else set())
        wanted -= set() if protocol.pathway == "acute-suicidality" else {NextCode.ACUTE_REVIEW}
        rules = [protocol.next_rule(code) for code in wanted]
        assert all(rule.text and rule.source for rule in rules)
        assert {rule.basis for rule in rules} <= set(RuleBasis)


# --- findings that are new ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entry", "new"),
    [
        pytest.param(safety_condition("bipolar", recorded=None), True, id="undated"),
        pytest.param("2026-08-31", False, id="recorded on the day of session 1"),
        pytest.param("2026-09-01", True, id="recorded the day after"),
        pytest.param("2026", True, id="recorded some day of the year"),
    ],
)
def test_a_finding_is_new_when_it_is_dated_after_session_1_or_undated(entry: Entry | str, new: bool) -> None:
    found = safety_condition("bipolar", recorded=day(entry)) if isinstance(entry, str) else entry
    assert bool(followed(given(FIRST), found, as_of=after(FIRST, 3)).new_findings) == new


def test_a_finding_of_before_is_not_new_by_a_second_entry() -> None:
    before = safety_condition("bipolar", id="before", recorded=day("2020-01-01"))
    later = safety_condition("bipolar", id="later", recorded=day("2026-09-02"))
    assert not followed(given(FIRST), before, later, as_of=after(FIRST, 3)).new_findings


@pytest.mark.parametrize("days", [-1, 0, 3])
def test_until_session_1_is_given_every_finding_is_new(days: int) -> None:
    bipolar = safety_condition("bipolar", recorded=day("2020-01-01"))
    of = followed(bipolar, as_of=after(FIRST, days))
    assert of.next.code is NextCode.TREATMENT_SAFETY
    assert followed(bipolar, given(FIRST), as_of=after(FIRST, 3)).next.code is NextCode.ON_TRACK


def test_what_was_only_a_caution_before_may_become_a_new_finding() -> None:
    old = safety_condition("stroke", id="old", onset=day("2024-01-01"), recorded=day("2024-01-01"))
    new = safety_condition("stroke", id="new", onset=day("2026-09-01"), recorded=day("2026-09-01"))
    plans = (a_plan(protocol=("eu-trd", "1.3.0")),)
    of = followed(given(FIRST), old, new, as_of=after(FIRST, 3), plans=plans, knowledge=EU)
    assert [finding.id for finding in of.new_findings] == ["stroke"]
    assert not followed(given(FIRST), old, as_of=after(FIRST, 3), plans=plans, knowledge=EU).new_findings


def test_an_allergy_and_a_record_that_cannot_be_read_have_no_day_and_may_be_new() -> None:
    for entry in (allergy(by_text=True), unreadable("Condition")):
        assert followed(given(FIRST), entry, as_of=after(FIRST, 3)).new_findings


def test_earlier_esketamine_is_known_when_treatment_begins() -> None:
    of = followed(given("2025-01-15"), given(FIRST), as_of=after(FIRST, 3))
    assert not of.new_findings


def test_ketamine_under_treatment_is_a_new_finding() -> None:
    of = followed(given(FIRST), given("2026-09-02", what="ketamine"), as_of=after(FIRST, 3))
    assert [finding.id for finding in of.new_findings] == ["prior-esketamine"]


def test_a_pregnancy_test_under_treatment_is_a_new_finding() -> None:
    positive = result(Measure.PREGNANCY_STATUS, 1, "2026-09-02")
    assert [f.id for f in followed(given(FIRST), positive, as_of=after(FIRST, 3)).new_findings] == [
        "pregnancy"
    ]
    known = result(Measure.PREGNANCY_STATUS, 1, "2026-08-20")
    assert not followed(given(FIRST), known, as_of=after(FIRST, 3)).new_findings


def test_a_condition_that_is_over_is_no_finding() -> None:
    ended = safety_condition("pregnancy", clinical_status=ClinicalStatus.ENDED)
    assert not followed(given(FIRST), ended, as_of=after(FIRST, 3)).new_findings


# --- what is due ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("days", "stands"), [(0, True), (7, True), (8, False)])
def test_a_monitoring_form_is_due_until_seven_days_after_the_session(days: int, stands: bool) -> None:
    of = followed(given(FIRST), as_of=after(FIRST, days))
    assert (("rems-form", after(FIRST, 7)) in due(of)) == stands


def test_the_form_is_for_outpatients_in_the_us() -> None:
    when = after(FIRST)
    for how in (
        {"calendar": INPATIENTS},
        {"knowledge": EU, "plans": (a_plan(protocol=("eu-trd", "1.3.0")),)},
    ):
        assert "rems-form" not in dict(due(followed(given(FIRST), as_of=when, **how)))
    assert "rems-form" in dict(due(followed(given(FIRST), as_of=when)))


def test_each_session_has_a_form_of_its_own() -> None:
    of = followed(*first(3), as_of=SESSION_DAYS[2])
    assert [by for what, by in due(of) if what == "rems-form"] == [after(day, 7) for day in SESSION_DAYS[:3]]


def test_a_benefit_review_is_due_from_the_end_of_induction_until_it_is_on_record() -> None:
    helped = scores(4, last=EIGHTH)
    assert "benefit-review" not in dict(due(followed(*first(7), *helped, as_of=after(EIGHTH))))
    assert ("benefit-review", NINTH) in due(followed(*first(8), *helped, as_of=after(EIGHTH)))
    reviewed = followed(*first(8), *helped, as_of=after(EIGHTH), plans=REVIEWED)
    assert "benefit-review" not in dict(due(reviewed))


def test_a_benefit_review_without_a_session_ahead_has_no_day() -> None:
    assert ("benefit-review", None) in due(followed(*first(12), as_of=after(LAST)))


def test_after_four_weeks_of_the_acute_pathway_a_benefit_review_is_due() -> None:
    of = followed(*first(6), as_of=after(FIRST, 28), plans=(ACUTE_PLAN,))
    assert of.next.code is NextCode.ACUTE_REVIEW
    assert "benefit-review" in dict(due(of))
    reviewed = replace(ACUTE_PLAN, benefit_reviewed=True)
    assert "benefit-review" not in dict(due(followed(*first(6), as_of=after(FIRST, 28), plans=(reviewed,))))


@pytest.mark.parametrize(
    ("review", "settled"),
    [
        pytest.param(answered(), True, id="about the plan"),
        pytest.param(answered(IN_MAINTENANCE), True, id="asked for later"),
        pytest.param(answered(when=None), True, id="on an unknown day"),
        pytest.param(answered(when=after(EIGHTH)), True, id="today"),
        pytest.param(answered(when=after(EIGHTH, 2)), False, id="tomorrow"),
        pytest.param(answered(about="other"), False, id="about another plan"),
        pytest.param(answered(about=None), False, id="about no plan"),
    ],
)
def test_a_review_that_was_asked_for_and_completed_is_a_review_on_record(
    review: dict[str, Any], settled: bool
) -> None:
    of = followed(*first(8), *scores(13, last=EIGHTH), as_of=after(EIGHTH), **review)
    assert of.next.code is (NextCode.ON_TRACK if settled else NextCode.BENEFIT_REVIEW)
    assert ("benefit-review" not in dict(due(of))) == settled


def test_a_review_about_an_earlier_plan_of_the_treatment_counts() -> None:
    block = a_plan([after(LAST, 14)], first=13, id="block", based_on="plan")
    assert followed(*first(12), as_of=after(LAST), plans=(a_plan(), block), **answered()).course.reviewed


def test_maintenance_is_to_be_reviewed_by_the_end_of_its_block() -> None:
    block = a_plan([after(LAST, 14), after(LAST, 28)], first=13, id="block", based_on="plan")
    of = followed(*first(12), as_of=after(LAST), plans=(*REVIEWED, block))
    assert ("maintenance-review", after(LAST, 28)) in due(of)
    assert "maintenance-review" not in dict(due(followed(*first(7), as_of=after(EIGHTH))))
    assert ("maintenance-review", LAST) in due(followed(*first(8), as_of=after(EIGHTH)))


@pytest.mark.parametrize(
    ("plan", "review", "settled"),
    [
        pytest.param(a_plan(benefit_reviewed=True), {}, False, id="the benefit after induction"),
        pytest.param(a_plan(maintenance_reviewed=True), {}, True, id="an activity of the plan"),
        pytest.param(a_plan(), answered(), False, id="asked for after induction"),
        pytest.param(a_plan(), answered(IN_MAINTENANCE), True, id="asked for in maintenance"),
    ],
)
def test_the_maintenance_of_a_block_is_reviewed_once(
    plan: PlanOfRecord, review: dict[str, Any], settled: bool
) -> None:
    of = followed(*first(12), as_of=after(LAST), plans=(plan,), **review)
    assert ("maintenance-review" not in dict(due(of))) == settled


def test_the_review_of_an_earlier_block_is_none_of_the_next() -> None:
    block = a_plan([after(LAST, 14)], first=13, id="block", based_on="plan")
    plans = (a_plan(maintenance_reviewed=True), block)
    assert "maintenance-review" in dict(due(followed(*first(12), as_of=after(LAST), plans=plans)))


def test_the_acute_pathway_has_no_maintenance_to_review() -> None:
    of = followed(*first(8), as_of=after(EIGHTH), plans=(ACUTE_PLAN,))
    assert "maintenance-review" not in dict(due(of))


def test_without_a_response_in_maintenance_the_benefit_is_asked_about_anew() -> None:
    entries = (*first(12), *scores(19, last=LAST))
    of = decision_of(*entries, as_of=after(LAST, 7), plans=REVIEWED)
    assert asked(of, REVIEWED)["benefit-review"].grounds == IN_MAINTENANCE
    of = decision_of(*entries, as_of=after(LAST, 7), plans=REVIEWED, **answered(IN_MAINTENANCE))
    assert not asked(of, REVIEWED)
    assert treatment_of(of).next.code is NextCode.BENEFIT_REVIEW  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("protocol", "sessions", "told"),
    [("eu-trd", 7, False), ("eu-trd", 8, True), ("eu-trd-65plus", 8, True), ("us-trd", 8, False)],
)
def test_the_european_label_says_how_long_maintenance_goes_on_at_least(
    protocol: str, sessions: int, told: bool
) -> None:
    how: dict[str, Any] = {"knowledge": US if protocol.startswith("us") else EU, "as_of": after(EIGHTH)}
    plans = (a_plan(protocol=(protocol, "1.3.0")),)
    of = decision_of(*first(sessions), *scores(4, last=EIGHTH), plans=plans, **how)
    treatment = treatment_of(of)
    assert treatment is not None
    assert (treatment.duration is not None) == told
    assert ("at least six months" in state_decision(of)) == told
    assert treatment.next.code is NextCode.ON_TRACK
    assert treatment.duration is None or treatment.duration.basis is RuleBasis.LABEL


def test_a_score_is_due_while_the_response_is_unknown() -> None:
    assert "score" in dict(due(followed(given(FIRST), as_of=after(FIRST))))
    assert "score" not in dict(
        due(followed(given(FIRST), *scores(18, last=after(FIRST)), as_of=after(FIRST)))
    )
    assert "score" not in dict(due(followed(as_of=FIRST)))


# --- Tasks ----------------------------------------------------------------------------------------


def test_a_new_finding_is_asked_about_in_place_of_every_finding() -> None:
    known = safety_condition("psychosis", recorded=day("2020-01-01"))
    new = safety_condition("pregnancy", recorded=day("2026-09-01"))
    wanted = asked(decision_of(given(FIRST), known, new, as_of=after(FIRST, 3)))
    assert set(wanted) == {"treatment-safety"}
    assert wanted["treatment-safety"].grounds == "pregnancy"


def test_a_finding_known_before_session_1_raises_no_task() -> None:
    known = safety_condition("psychosis", recorded=day("2020-01-01"))
    assert not asked(decision_of(given(FIRST), known, as_of=after(FIRST, 3)))


def test_a_contraindication_that_is_new_is_asked_about_too() -> None:
    decision = decision_of(given(FIRST), safety_condition("aneurysm"), as_of=after(FIRST, 3))
    assert asked(decision)["treatment-safety"].grounds == "aneurysm"


def test_the_benefit_review_is_asked_for_with_the_scores_whatever_comes_next() -> None:
    of = decision_of(*first(8), *scores(9, last=EIGHTH), as_of=after(EIGHTH))
    text = asked(of)["benefit-review"].text
    assert "PHQ-9: 20 before treatment, 9 now (-11), response." in text
    assert set(asked(decision_of(*first(8), as_of=after(EIGHTH, 29)))) == {"benefit-review", "lapse"}


def test_a_lapse_is_asked_about_once() -> None:
    days = (after(FIRST, 29), after(FIRST, 35))
    grounds = {asked(decision_of(given(FIRST), as_of=day))["lapse"].grounds for day in days}
    assert grounds == {"CarePlan/plan since 2026-08-31"}


def test_an_alert_of_suicidality_stands_under_treatment() -> None:
    decision = decision_of(given(FIRST), suicidality(recorded="2026-09-02"), as_of=after(FIRST, 3))
    assert [alert.code for alert in decision.assessment.alerts]
    assert isinstance(decision, Decline)
