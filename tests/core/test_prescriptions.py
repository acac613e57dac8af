"""What a prescription adds to a record, and what it lends to better evidence."""

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from service.core.copies import distinct_exposures
from service.core.dates import Interval, PartialDate
from service.core.findings import Finding, ReasonCode
from service.core.knowledge import Criteria, PrescribedOnly
from service.core.records import Exposure, Grade, Indication, StopReason
from service.core.trials import Counts
from service.core.words import describe_trial
from tests.core.builders import (
    AS_OF,
    NOT_DOCUMENTED,
    SEED,
    UNREADABLE_DOSE,
    day,
    exposure,
    ref,
    settled,
    trial,
)

AS_TAKEN = replace(SEED, prescribed_only=PrescribedOnly.AS_TAKEN)
RENEWED = replace(SEED, prescribed_only=PrescribedOnly.TAKEN_WHERE_RENEWED)


WHY: dict[str, Any] = {
    "stop_reasons": frozenset({StopReason.INEFFECTIVE}),
    "indication": Indication.DEPRESSION,
}


def prescription(id: str = "rx", **changes: Any) -> Exposure:  # noqa: A002 - as the builder has it
    built = exposure(start="2025-01-01", end="2025-06-30", **changes)
    return replace(built, grade=Grade.PRESCRIBED, evidence=(ref(id, "MedicationRequest"),))


def dispense(start: str, end: str, *, on: str | None = "rx", **changes: Any) -> Exposure:
    built = exposure(start=start, end=end, **changes)
    names = frozenset({("MedicationRequest", on)}) if on else frozenset()
    return replace(
        built, grade=Grade.DISPENSED, names=names, evidence=(ref(f"fill-{start}", "MedicationDispense"),)
    )


def test_a_prescription_alone_may_count() -> None:
    found = trial(prescription())
    assert (found.counts, found.adequacy.finding) == (Counts.POSSIBLY, Finding.INDETERMINATE)
    assert found.adequate_days == (0, 181)
    assert [reason.code for reason in found.adequacy.reasons] == [ReasonCode.PRESCRIBED_ONLY]
    assert "whether the patient took the prescribed medicine" in found.needed
    assert found.grade is Grade.PRESCRIBED


def test_a_criteria_set_may_take_a_prescription_as_taken() -> None:
    found = trial(prescription(), criteria=AS_TAKEN)
    assert (found.adequacy.finding, found.adequate_days) == (Finding.MET, (181, 181))


def test_a_prescription_too_short_is_no_trial_even_if_taken() -> None:
    short = replace(prescription(), period=exposure(end="2025-01-20").period)
    assert trial(short).counts is Counts.NO


def test_a_prescription_that_a_fill_names_adds_no_days() -> None:
    found = trial(prescription(), dispense("2025-01-02", "2025-01-31"))
    assert found.adequate_days == (30, 30)
    assert {str(r) for r in found.evidence} == {
        "MedicationRequest/rx/_history/1",
        "MedicationDispense/fill-2025-01-02/_history/1",
    }


def test_a_prescription_that_nothing_names_stays_possible_beside_a_fill() -> None:
    found = trial(prescription(), dispense("2025-01-02", "2025-01-31", on=None))
    assert found.adequate_days == (30, 181)
    assert found.counts is Counts.POSSIBLY


@pytest.mark.parametrize(
    ("start", "end", "days"),
    [("2025-05-01", "2025-05-31", (31, 31)), ("2025-08-01", "2025-09-15", (46, 181))],
    ids=["overlapping", "later"],
)
def test_a_statement_speaks_for_the_prescription_that_it_overlaps(
    start: str, end: str, days: tuple[int, int]
) -> None:
    assert trial(exposure(start=start, end=end), prescription()).adequate_days == days


def test_another_medicine_never_speaks_for_a_prescription() -> None:
    other = replace(exposure("fluoxetine", end="2025-06-30"), names=frozenset({("MedicationRequest", "rx")}))
    assert trial(prescription(), other).adequate_days == (0, 181)


def test_a_prescription_lends_what_a_fill_leaves_out() -> None:
    (lent,) = distinct_exposures(
        settled(dispense("2025-01-02", "2025-03-31", mg=NOT_DOCUMENTED), prescription(mg=75, **WHY))
    )
    assert lent.dose.low_mg == 75
    assert lent.stop_reasons == {StopReason.INEFFECTIVE}
    assert lent.indication is Indication.DEPRESSION


def test_a_fill_keeps_what_it_says_itself() -> None:
    own: dict[str, Any] = {"stop_reasons": frozenset({StopReason.OTHER}), "indication": Indication.OTHER}
    (kept,) = distinct_exposures(
        settled(dispense("2025-01-02", "2025-03-31", mg=50, **own), prescription(mg=75, **WHY))
    )
    assert (kept.dose.low_mg, kept.stop_reasons, kept.indication) == (50, *own.values())


def test_a_chain_of_prescriptions_folds_into_the_fill_at_its_end() -> None:
    first, second = prescription("first"), prescription("second")
    second = replace(second, names=frozenset({("MedicationRequest", "first")}), dose=NOT_DOCUMENTED)
    fill = dispense("2025-01-02", "2025-03-31", on="second", mg=NOT_DOCUMENTED)
    (left,) = distinct_exposures(settled(fill, second, first))
    assert left.dose.low_mg == 100
    assert {reference.id for reference in left.evidence} == {"first", "second", "fill-2025-01-02"}


def test_prescriptions_that_name_each_other_are_one() -> None:
    first, second = prescription("first"), prescription("second", mg=50)
    first = replace(first, names=frozenset({("MedicationRequest", "second")}))
    second = replace(second, names=frozenset({("MedicationRequest", "first")}))
    assert len(distinct_exposures(settled(first, second))) == 1


def test_doses_of_a_fill_and_a_statement_of_one_day_never_add() -> None:
    half: dict[str, Any] = {"mg": 25}
    assert trial(
        exposure(end="2025-03-31", **half), dispense("2025-01-01", "2025-03-31", **half)
    ).adequate_days == (0, 0)


def test_the_best_grade_that_says_how_much_speaks_for_a_day() -> None:
    stated = exposure(end="2025-03-31", mg=100)
    low = dispense("2025-01-01", "2025-03-31", mg=25)
    silent = dispense("2025-01-01", "2025-03-31", mg=NOT_DOCUMENTED)
    assert trial(stated, low).adequate_days == (0, 0)
    assert trial(stated, silent).adequate_days == (90, 90)


@pytest.mark.parametrize("mg", [100, NOT_DOCUMENTED], ids=["stated", "not stated"])
def test_a_dose_that_could_not_be_read_is_not_unsaid(mg: Any) -> None:
    """What the fill says may be less than what was stated, and is no dose to be assumed."""
    open_dose = dispense("2025-01-01", "2025-03-31", mg=UNREADABLE_DOSE)
    found = trial(exposure(end="2025-03-31", mg=mg), open_dose)
    assert (found.counts, found.adequate_days) == (Counts.POSSIBLY, (0, 90))


def test_a_supply_that_has_just_run_out_may_be_followed_by_the_next() -> None:
    over, running_out = dispense("2026-06-01", "2026-08-31"), dispense("2026-08-01", "2026-11-01")
    assert [r.code for r in trial(over).outcome.reasons] == [ReasonCode.ENDED_WHILE_ACTIVE]
    assert [r.code for r in trial(running_out).outcome.reasons] == [ReasonCode.END_UNCERTAIN]


def test_a_prescription_beside_fills_says_nothing_of_the_end() -> None:
    stopped = frozenset({StopReason.INEFFECTIVE})
    fill = dispense("2025-01-01", "2025-03-31", on=None, stop_reasons=stopped)
    assert [r.code for r in trial(fill, prescription()).outcome.reasons] == [ReasonCode.STOPPED_INEFFECTIVE]


# prescriptions taken as used where they were renewed -----------------------------------------------


def order(
    start: str,
    end: str,
    *,
    id: str = "rx",  # noqa: A002 - as the builder has it
    what: str = "sertraline",
    **changes: Any,
) -> Exposure:
    """A prescription of what did not help."""
    return replace(
        exposure(what, start=start, end=end, **{**WHY, **changes}),
        grade=Grade.PRESCRIBED,
        evidence=(ref(id, "MedicationRequest"),),
    )


FIRST = order("2025-01-01", "2025-03-01")  # sixty days


def days_shown(*orders: Exposure, criteria: Criteria = RENEWED) -> tuple[Counts, int]:
    """Whether the trial counts, and the days of it that are certain."""
    found = trial(*orders, criteria=criteria)
    return found.counts, found.adequate_days[0]


@pytest.mark.parametrize(
    ("first", "expected"),
    [
        pytest.param(FIRST, (Counts.POSSIBLY, 0), id="a single one"),
        pytest.param(replace(FIRST, refills=True), (Counts.YES, 60), id="with refills"),
        pytest.param(replace(FIRST, refills=True, dose=NOT_DOCUMENTED), (Counts.POSSIBLY, 0), id="no dose"),
        pytest.param(
            replace(FIRST, refills=True, indication=Indication.OTHER), (Counts.POSSIBLY, 60), id="for pain"
        ),
    ],
)
def test_refills_show_use(first: Exposure, expected: tuple[Counts, int]) -> None:
    assert days_shown(first) == expected


@pytest.mark.parametrize("criteria", [RENEWED, AS_TAKEN], ids=lambda c: c.prescribed_only)
def test_a_dose_is_never_assumed_beside_the_premise(criteria: Criteria) -> None:
    """`SEED` assumes a dose that nobody documented; it may not rest on two such steps."""
    silent = replace(FIRST, refills=True, dose=NOT_DOCUMENTED)
    assert trial(silent, criteria=criteria).counts is Counts.POSSIBLY
    assert trial(replace(silent, grade=Grade.DISPENSED), criteria=criteria).counts is Counts.YES


@pytest.mark.parametrize("criteria", [RENEWED, AS_TAKEN], ids=lambda c: c.prescribed_only)
def test_a_trial_that_rests_on_the_premise_is_labelled(criteria: Criteria) -> None:
    found = trial(replace(FIRST, refills=True), criteria=criteria)
    assert [reason.code for reason in found.counts_reasons] == [ReasonCode.PRESCRIBED_TAKEN_AS_USED]
    assert "its prescriptions count as taken, as the criteria set specifies" in describe_trial(found, AS_OF)


def test_a_trial_that_does_not_rest_on_the_premise_is_not_labelled() -> None:
    for one in (FIRST, replace(FIRST, grade=Grade.DISPENSED)):
        codes = {reason.code for reason in trial(one, criteria=RENEWED).counts_reasons}
        assert ReasonCode.PRESCRIBED_TAKEN_AS_USED not in codes


@pytest.mark.parametrize(
    ("second", "expected"),
    [
        pytest.param(order("2025-04-01", "2025-04-10", id="b"), (Counts.YES, 60), id="after thirty days"),
        pytest.param(order("2025-04-02", "2025-04-11", id="b"), (Counts.POSSIBLY, 0), id="thirty-one days"),
        pytest.param(order("2025-03-02", "2025-03-11", id="b"), (Counts.YES, 60), id="the day after"),
        pytest.param(order("2025-02-01", "2025-03-11", id="b"), (Counts.YES, 60), id="during it"),
        pytest.param(order("2025-01-02", "2025-03-11", id="b"), (Counts.YES, 60), id="a day after it began"),
        pytest.param(order("2025-01-01", "2025-03-11", id="b"), (Counts.POSSIBLY, 0), id="begun together"),
        pytest.param(order("2025-01-01", "2025-03-01", id="b"), (Counts.POSSIBLY, 0), id="a copy"),
        pytest.param(order("2025-03", "2025-05-11", id="b"), (Counts.YES, 60), id="in March, in time"),
        pytest.param(order("2025", "2025-05-11", id="b"), (Counts.POSSIBLY, 0), id="perhaps too late"),
        pytest.param(order("2025-02-01", "2025-03-11"), (Counts.POSSIBLY, 0), id="a step of the same order"),
        pytest.param(
            order("2025-03-02", "2025-03-11", id="b", indication=Indication.OTHER),
            (Counts.POSSIBLY, 0),
            id="for pain",
        ),
        pytest.param(
            order("2025-03-02", "2025-03-11", id="b", what="fluoxetine"), (Counts.POSSIBLY, 0), id="another"
        ),
    ],
)
def test_a_second_order_within_the_grace_period_shows_use(
    second: Exposure, expected: tuple[Counts, int]
) -> None:
    assert days_shown(FIRST, second) == expected


@pytest.mark.parametrize(
    ("second", "expected"),
    [
        pytest.param("2025-01-20", (Counts.POSSIBLY, 0), id="perhaps begun together"),
        pytest.param("2025-02-01", (Counts.YES, 44), id="begun later for certain"),
        pytest.param("2025-02", (Counts.YES, 44), id="begun some day of the next month"),
    ],
)
def test_an_order_of_some_day_of_a_month_is_renewed_after_that_month(
    second: str, expected: tuple[Counts, int]
) -> None:
    assert days_shown(order("2025-01", "2025-03-15"), order(second, "2025-03-15", id="b")) == expected


def test_the_last_of_a_row_shows_nothing_of_itself() -> None:
    """Twice thirty days, the second not renewed: thirty days are certain, sixty possible."""
    first, second = order("2025-01-01", "2025-01-30"), order("2025-01-31", "2025-03-01", id="b")
    third = order("2025-03-02", "2025-03-31", id="c")
    assert trial(first, second, criteria=RENEWED).adequate_days == (30, 60)
    assert trial(first, second, third, criteria=RENEWED).adequate_days == (60, 90)


ENDED_SOME_TIME: dict[str, Any] = {
    "period": Interval(day("2025-01-01"), PartialDate(date(2025, 1, 1), date(2025, 3, 1))),
    "supply_end": day("2025-03-01"),
}


@pytest.mark.parametrize(
    ("changes", "second", "certain"),
    [
        pytest.param({}, order("2025-03-02", "2025-03-31", id="b"), 60, id="renewed when it was used up"),
        pytest.param({}, order("2025-04-01", "2025-04-30", id="b"), 60, id="renewed after thirty days"),
        pytest.param({}, order("2025-04-02", "2025-04-30", id="b"), 0, id="renewed after thirty-one"),
        pytest.param({}, order("2025-02-01", "2025-03-31", id="b"), 31, id="renewed before"),
        pytest.param({}, order("2025-02", "2025-03-31", id="b"), 31, id="renewed some day of a month"),
        pytest.param({"refills": True}, None, 1, id="not renewed"),
        pytest.param(
            {"supply_end": None}, order("2025-03-02", "2025-03-31", id="b"), 0, id="a reason to stop is given"
        ),
        pytest.param(
            {"bounds": Interval(day("2025-01-01"), day("2025-01-20"))},
            order("2025-03-02", "2025-03-31", id="b"),
            20,
            id="the dosage is limited",
        ),
        pytest.param(
            {"bounds": Interval()},
            order("2025-03-02", "2025-03-31", id="b"),
            1,
            id="limited nobody knows how",
        ),
    ],
)
def test_an_order_that_ended_some_day_was_used_until_it_was_renewed(
    changes: dict[str, Any], second: Exposure | None, certain: int
) -> None:
    ended = replace(FIRST, **{**ENDED_SOME_TIME, **changes})
    assert trial(*filter(None, (ended, second)), criteria=RENEWED).adequate_days[0] == certain


def test_copies_of_an_order_have_refills_where_one_of_them_has() -> None:
    (one,) = distinct_exposures(settled(FIRST, replace(FIRST, refills=True, evidence=(ref("b"),))))
    assert one.refills
