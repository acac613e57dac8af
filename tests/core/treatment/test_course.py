"""The sessions of a treatment: which were given, missed, held or cancelled, and what belongs to it at all."""

from dataclasses import replace
from datetime import date, timedelta

import pytest

from service.core.dates import Interval, PartialDate
from service.core.records import (
    Dose,
    DoseBasis,
    Exposure,
    ExposureStatus,
    Grade,
    PlanOfRecord,
    PlanStatus,
)
from service.core.safety import PRIOR_ESKETAMINE
from service.core.treatment.course import TreatmentCourse, find_course, flag_unusual_sessions
from tests.core.builders import (
    AS_OF,
    EU,
    NOT_DOCUMENTED,
    SESSION_DAYS,
    US,
    a_plan,
    assessed,
    codes,
    day,
    exposure,
    given,
    record,
    ref,
    resistant,
)

FIRST, SECOND, THIRD = SESSION_DAYS[:3]
DRAFT, ACTIVE, ON_HOLD = PlanStatus.DRAFT, PlanStatus.ACTIVE, PlanStatus.ON_HOLD
COMPLETED, REVOKED = PlanStatus.COMPLETED, PlanStatus.REVOKED
ALL_GIVEN = [given(when) for when in SESSION_DAYS]


def may_be_none(
    *entries: Exposure, plans: tuple[PlanOfRecord, ...] = (a_plan(),), as_of: date = AS_OF
) -> TreatmentCourse | None:
    return find_course(record(*entries, plans=plans), US, as_of)


def course(
    *entries: Exposure, plans: tuple[PlanOfRecord, ...] = (a_plan(),), as_of: date = AS_OF
) -> TreatmentCourse:
    found = may_be_none(*entries, plans=plans, as_of=as_of)
    assert found is not None
    return found


def shown(of: TreatmentCourse) -> list[tuple[int | None, str, str | None]]:
    """Each session: its number, its state, and the day on which it was given."""
    return [
        (s.number, s.state.value, None if s.given is None else s.given.earliest.isoformat())
        for s in of.sessions
    ]


def states(of: TreatmentCourse) -> list[str]:
    return [session.state.value for session in of.sessions]


def earlier_esketamine(*entries: Exposure, plans: tuple[PlanOfRecord, ...] = (a_plan(),)) -> bool:
    """Whether it is a finding of safety that esketamine was given before."""
    return PRIOR_ESKETAMINE in {f.id for f in assessed(resistant(*entries, plans=plans)).safety}


# --- under treatment ------------------------------------------------------------------------------


@pytest.mark.parametrize("status", PlanStatus)
def test_a_plan_that_is_active_or_on_hold_is_a_treatment(status: PlanStatus) -> None:
    assert (may_be_none(plans=(a_plan(status=status),)) is not None) == (status in {ACTIVE, ON_HOLD})


def test_a_plan_completed_after_all_its_sessions_goes_on() -> None:
    done = (a_plan(status=COMPLETED),)
    assert states(course(*ALL_GIVEN, plans=done)) == ["given"] * 12
    assert may_be_none(*ALL_GIVEN[:-1], plans=done) is None


def test_a_session_that_the_completed_plan_ticked_counts_as_the_others() -> None:
    ticked = (a_plan(status=COMPLETED, states={12: "completed"}),)
    assert may_be_none(*ALL_GIVEN[:-1], plans=ticked) is not None
    cancelled = (a_plan(status=COMPLETED, states={12: "cancelled"}),)
    assert may_be_none(*ALL_GIVEN[:-1], plans=cancelled) is None


def test_a_completed_plan_of_another_or_without_sessions_is_over() -> None:
    assert may_be_none(*ALL_GIVEN, plans=(a_plan(status=COMPLETED, ours=False),)) is None
    assert may_be_none(plans=(a_plan((), COMPLETED),)) is None


def test_a_person_ends_a_treatment_by_ending_the_plan_that_continued_it() -> None:
    done = a_plan(status=COMPLETED)
    later = a_plan([AS_OF], REVOKED, id="later", based_on="plan")
    assert may_be_none(*ALL_GIVEN, plans=(done, later)) is None
    assert may_be_none(*ALL_GIVEN, plans=(done, replace(later, edited=False))) is not None
    assert may_be_none(*ALL_GIVEN, plans=(done, replace(later, based_on=None))) is not None


def test_an_active_plan_outranks_a_completed_one() -> None:
    old = a_plan([date(2025, 9, 1)], COMPLETED, id="old")
    assert [p.evidence.id for p in course(plans=(old, a_plan())).plans] == ["plan"]


# --- what belongs to it ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entry", "earlier"),
    [
        pytest.param(given(FIRST), False, id="given on the first day"),
        pytest.param(given(FIRST - timedelta(days=1)), True, id="given the day before"),
        pytest.param(given("2026-12-24"), False, id="given after the last planned day"),
        pytest.param(given("2026-08"), False, id="given in the month in which it began"),
        pytest.param(given("2026-07"), True, id="given in the month before"),
        pytest.param(given(FIRST, what="ketamine"), True, id="ketamine is never the course"),
        pytest.param(exposure("esketamine", start="2026-09-01"), False, id="stated since then"),
        pytest.param(exposure("esketamine", start="2026-08-01"), True, id="stated before"),
        pytest.param(
            exposure("esketamine", start="2026-08-20", grade=Grade.PRESCRIBED), False, id="ordered before it"
        ),
        pytest.param(
            exposure("esketamine", start="2026-08-01", end="2026-08-31", grade=Grade.PRESCRIBED),
            False,
            id="ordered before it, until its first day",
        ),
        pytest.param(
            exposure("esketamine", start="2026-08-01", end="2026-08-30", grade=Grade.PRESCRIBED),
            True,
            id="an order that had ended",
        ),
        pytest.param(
            exposure("esketamine", start="2026-09-01", grade=Grade.DISPENSED), False, id="dispensed for it"
        ),
        pytest.param(given(SECOND, status=ExposureStatus.INTENDED), False, id="a dose that was held"),
        pytest.param(
            exposure("esketamine", start=None, grade=Grade.ADMINISTERED), True, id="given on a day unknown"
        ),
    ],
)
def test_esketamine_since_the_start_is_the_course_and_no_earlier_esketamine(
    entry: Exposure, earlier: bool
) -> None:
    assert earlier_esketamine(entry) == earlier
    assert (entry.evidence[0] in course(entry).evidence) != earlier


def test_without_a_plan_under_way_all_of_it_is_earlier() -> None:
    assert earlier_esketamine(given(FIRST), plans=(a_plan(status=DRAFT),))


def test_the_treatment_begins_with_its_plan() -> None:
    before = FIRST - timedelta(days=4)
    assert earlier_esketamine(given(before))
    assert not earlier_esketamine(given(before), plans=(a_plan(starts=before),))


# --- given ----------------------------------------------------------------------------------------


def test_a_session_is_given_on_the_nearest_planned_day() -> None:
    late = given(SECOND + timedelta(days=1))
    found = course(given(FIRST), late, as_of=date(2026, 9, 5))
    assert shown(found)[:3] == [
        (1, "given", "2026-08-31"),
        (2, "given", "2026-09-04"),
        (3, "planned", None),
    ]


def test_between_two_planned_days_the_earlier_one_is_taken() -> None:
    found = course(given("2026-09-05"), plans=(a_plan([SECOND, THIRD]),))
    assert shown(found)[0] == (2 - 1, "given", "2026-09-05")


def test_a_planned_day_is_taken_once() -> None:
    found = course(given(FIRST), given("2026-09-01"), plans=(a_plan([FIRST, SECOND]),))
    assert shown(found) == [(1, "given", "2026-08-31"), (2, "given", "2026-09-01")]


def test_a_session_without_a_planned_day_left_is_unplanned() -> None:
    found = course(given(FIRST), given(SECOND), plans=(a_plan([FIRST]),))
    assert shown(found) == [(1, "given", "2026-08-31"), (None, "unplanned", "2026-09-03")]
    assert [session.planned for session in found.taken] == [FIRST, None]


def test_records_of_one_day_are_one_session_and_their_doses_add_up() -> None:
    found = course(given(FIRST, 28, id="a"), given(FIRST, 56, id="b"), plans=(a_plan([FIRST]),))
    (session,) = found.sessions
    assert session.dose_mg == 84
    assert {str(one) for one in session.evidence} >= {
        "MedicationAdministration/a/_history/1",
        "MedicationAdministration/b/_history/1",
    }


def test_the_better_record_of_a_day_speaks_for_the_dose() -> None:
    stated = exposure("esketamine", start=str(FIRST), end=str(FIRST), mg=56)
    assert course(stated).taken[0].dose_mg == 56
    assert course(stated, given(FIRST, 84)).taken[0].dose_mg == 84


def test_what_was_billed_is_a_session_and_says_nothing_of_its_dose() -> None:
    billed = given(FIRST, NOT_DOCUMENTED, evidence=(ref("bill", "Procedure"),))
    assert [(s.number, s.dose_mg) for s in course(billed).taken] == [(1, None)]
    assert [(s.number, s.dose_mg) for s in course(billed, given(FIRST, 56)).taken] == [(1, 56)]


@pytest.mark.parametrize("dose", [NOT_DOCUMENTED, Dose(DoseBasis.DOCUMENTED, 56, 84)])
def test_a_dose_that_is_not_told_is_left_open(dose: Dose) -> None:
    assert course(given(FIRST, 28), given(FIRST, dose, id="other")).taken[0].dose_mg is None


def test_a_statement_of_several_days_is_no_session() -> None:
    assert not course(exposure("esketamine", start=str(FIRST), end=str(SECOND))).taken
    assert course(exposure("esketamine", start=str(FIRST), end=str(FIRST))).taken


@pytest.mark.parametrize("status", [s for s in ExposureStatus if s is not ExposureStatus.ENDED])
def test_what_was_not_given_is_no_session(status: ExposureStatus) -> None:
    assert not course(given(FIRST, status=status)).taken


def test_orders_and_dispenses_are_no_sessions() -> None:
    orders = [given(FIRST, grade=grade) for grade in (Grade.PRESCRIBED, Grade.DISPENSED)]
    assert not course(*orders).taken


def test_a_session_after_the_day_of_assessment_is_not_given_yet() -> None:
    assert not course(given(SECOND), as_of=FIRST).taken


# --- ticked off in the plan -----------------------------------------------------------------------


def test_a_session_that_the_plan_calls_completed_was_given_on_its_day() -> None:
    found = course(plans=(a_plan(states={1: "completed"}),))
    assert shown(found)[0] == (1, "given", "2026-08-31")


def test_a_ticked_session_takes_the_day_of_the_record_that_matches_it() -> None:
    found = course(given("2026-09-01"), plans=(a_plan(states={1: "completed"}),))
    assert shown(found)[:2] == [(1, "given", "2026-09-01"), (2, "missed", None)]


def test_a_session_ticked_before_its_day_is_still_planned() -> None:
    plans = (a_plan(states={2: "completed"}),)
    assert shown(course(plans=plans, as_of=SECOND - timedelta(days=1)))[1] == (2, "planned", None)
    assert shown(course(plans=plans, as_of=SECOND))[1] == (2, "given", "2026-09-03")


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("cancelled", "cancelled"),
        ("stopped", "cancelled"),
        ("entered-in-error", "cancelled"),
        ("on-hold", "held"),
        ("scheduled", "missed"),
        ("unknown", "missed"),
    ],
)
def test_a_cancelled_or_held_session_is_neither_given_nor_missed(status: str, state: str) -> None:
    found = course(plans=(a_plan(states={2: status}),))
    assert states(found)[:3] == ["missed", state, "missed"]


def test_a_session_is_never_given_in_place_of_a_cancelled_one() -> None:
    found = course(given(SECOND), plans=(a_plan([FIRST, SECOND], states={2: "cancelled"}),))
    assert {s.number: s.state.value for s in found.sessions} == {1: "given", 2: "cancelled"}


# --- missed ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("days", "state"), [(0, "planned"), (2, "planned"), (3, "missed")])
def test_a_planned_day_is_missed_when_more_than_two_days_passed(days: int, state: str) -> None:
    found = course(plans=(a_plan([FIRST]),), as_of=FIRST + timedelta(days=days))
    assert states(found) == [state]


def test_nothing_is_missed_in_a_plan_on_hold() -> None:
    held = course(given(FIRST), plans=(a_plan([FIRST, SECOND, AS_OF], ON_HOLD),))
    assert states(held) == ["given", "held", "held"]
    assert held.held
    assert not held.ahead


# --- days that are open ---------------------------------------------------------------------------


def test_a_session_known_by_its_month_is_given_and_its_day_is_open() -> None:
    (session,) = course(given("2026-09"), plans=(a_plan([SECOND], starts=FIRST),)).sessions
    assert session.state.value == "given"
    assert session.given == PartialDate.parse("2026-09")


def test_sessions_known_by_their_day_are_matched_first() -> None:
    month, exact = given("2026-09"), given(SECOND)
    found = course(month, exact, plans=(a_plan([SECOND, THIRD], starts=FIRST),))
    assert {s.number: s.given for s in found.sessions} == {1: day("2026-09-03"), 2: day("2026-09")}


def test_two_sessions_of_one_month_are_two() -> None:
    assert len(course(given("2026-09", id="a"), given("2026-09", id="b")).taken) == 2


def test_an_open_day_lies_within_the_treatment() -> None:
    early = course(given("2026-08"), as_of=FIRST)
    assert early.begun == early.last_taken == FIRST
    late = course(given("2026-09"), as_of=SECOND)
    assert late.last_taken == SECOND


# --- chains ---------------------------------------------------------------------------------------


def test_a_chain_is_followed_back_from_its_last_plan() -> None:
    first = a_plan(status=COMPLETED)
    second = a_plan([AS_OF], id="second", based_on="plan", first=13)
    unrelated = a_plan([date(2025, 1, 6)], REVOKED, id="unrelated")
    found = course(*ALL_GIVEN, plans=(second, unrelated, first))
    assert [plan.evidence.id for plan in found.plans] == ["plan", "second"]
    assert [session.number for session in found.sessions] == list(range(1, 14))


def test_a_plan_that_is_based_on_itself_is_followed_once() -> None:
    assert len(course(plans=(a_plan(based_on="plan"),)).plans) == 1


def test_dates_of_an_older_plan_end_where_an_active_continuation_begins() -> None:
    older = a_plan([FIRST, THIRD, SESSION_DAYS[4]])
    later = a_plan([THIRD, SESSION_DAYS[5]], id="later", based_on="plan", first=4)
    found = course(plans=(older, later), as_of=FIRST)
    assert [(s.number, s.planned) for s in found.sessions] == [(1, FIRST), (4, THIRD), (5, SESSION_DAYS[5])]
    draft = replace(later, status=DRAFT)
    assert [s.number for s in course(plans=(older, draft), as_of=FIRST).sessions] == [1, 2, 3]


def test_what_the_older_plan_calls_completed_stays() -> None:
    older = a_plan([FIRST, SESSION_DAYS[3]], states={2: "completed"})
    later = a_plan([THIRD], id="later", based_on="plan", first=3)
    assert (2, "given", "2026-09-10") in shown(course(plans=(older, later)))


# --- protocol -------------------------------------------------------------------------------------


def test_the_protocol_is_the_one_that_the_last_plan_states() -> None:
    assert course(plans=(a_plan(protocol=("us-mdsi", "1.3.0")),)).protocol.id == "us-mdsi"


@pytest.mark.parametrize("stated", [None, ("of-another-clinic", "1")])
def test_a_plan_without_a_protocol_of_ours_is_read_by_that_of_the_region(
    stated: tuple[str, str] | None,
) -> None:
    plans = (a_plan(ours=False, protocol=stated),)
    assert course(plans=plans).protocol.id == "us-trd"
    found = find_course(record(plans=plans), EU, AS_OF)
    assert found is not None
    assert (found.protocol.region, found.protocol.pathway) == ("eu", "trd")


# --- another's plan -------------------------------------------------------------------------------


def test_anothers_plan_with_readable_dates_is_followed() -> None:
    theirs = a_plan(ours=False, protocol=None)
    assert states(course(given(FIRST), plans=(theirs,), as_of=SECOND))[:2] == ["given", "planned"]


def test_of_anothers_plan_without_readable_dates_the_sessions_given_are_shown() -> None:
    theirs = a_plan((), ours=False, starts=FIRST)
    found = course(given(FIRST), given(SECOND), plans=(theirs,))
    assert states(found) == ["unplanned", "unplanned"]
    assert not found.is_dated


# --- what is named --------------------------------------------------------------------------------


@pytest.mark.parametrize(("days", "named"), [(1, True), (2, False)])
def test_sessions_a_day_apart_are_named(days: int, named: bool) -> None:
    found = assessed(record(given(FIRST), given(FIRST + timedelta(days=days)), plans=(a_plan(),)))
    assert ("sessions-too-close" in codes(found.warnings)) == named


def test_a_day_that_is_open_is_not_called_too_close() -> None:
    assert not flag_unusual_sessions(course(given(FIRST), given("2026-09")))


@pytest.mark.parametrize(
    ("mg", "named"), [(56, False), (84, False), (28, True), (112, True), (NOT_DOCUMENTED, False)]
)
def test_a_dose_that_is_no_label_dose_is_named(mg: float | Dose, named: bool) -> None:
    found = assessed(record(given(FIRST, mg), plans=(a_plan(),)))
    assert ("dose-not-on-label" in codes(found.warnings)) == named


def test_at_sixty_five_the_european_label_has_a_lower_dose() -> None:
    plans = (a_plan(protocol=("eu-trd-65plus", "1.3.0")),)
    assert not flag_unusual_sessions(find_course(record(given(FIRST, 28), plans=plans), EU, AS_OF))


def test_without_a_treatment_nothing_is_named() -> None:
    assert not flag_unusual_sessions(None)


def test_a_period_of_a_visit_that_ends_on_another_day_is_one_session() -> None:
    night = replace(given(FIRST), period=Interval(day("2026-08-31"), day("2026-09-01")))
    assert [s.given for s in course(night).taken] == [day("2026-08-31")]


@pytest.mark.parametrize(
    ("days_before", "created", "of_course"),
    [
        pytest.param(2, 10, True, id="moved to two days earlier"),
        pytest.param(7, 10, True, id="the earliest day"),
        pytest.param(8, 10, False, id="a day too early"),
        pytest.param(2, 2, True, id="on the day on which the plan was made"),
        pytest.param(3, 2, False, id="before there was a plan"),
        pytest.param(1, None, False, id="nobody knows since when there is a plan"),
    ],
)
def test_a_session_shortly_before_the_first_planned_day_is_session_1_moved(
    days_before: int, created: int | None, of_course: bool
) -> None:
    made = None if created is None else FIRST - timedelta(days=created)
    early = given(FIRST - timedelta(days=days_before))
    plan = a_plan(created=made)
    assert bool(course(early, plans=(plan,)).taken) == of_course
    assert earlier_esketamine(early, plans=(plan,)) != of_course
    if of_course:
        assert shown(course(early, plans=(plan,)))[0][:2] == (1, "given")
