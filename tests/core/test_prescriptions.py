"""What a prescription adds to a record, and what it lends to better evidence."""

from dataclasses import replace
from typing import Any

import pytest

from service.core.copies import distinct_exposures
from service.core.findings import Finding, ReasonCode
from service.core.knowledge import PrescribedOnly
from service.core.records import Exposure, Grade, Indication, StopReason
from service.core.trials import Counts
from tests.core.builders import NOT_DOCUMENTED, SEED, UNREADABLE_DOSE, exposure, ref, settled, trial

AS_TAKEN = replace(SEED, prescribed_only=PrescribedOnly.AS_TAKEN)


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
