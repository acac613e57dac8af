"""Exact limits, and what each conclusion rests on: faults that mutation testing found unnoticed."""

from dataclasses import replace
from typing import Any

import pytest

from service.core.copies import distinct_exposures
from service.core.dose_words import ITEM, MILLIGRAM, Unit, UnitKind
from service.core.dosing import Amount, DoseStep, daily_dose, supplied_dose, units_a_day
from service.core.exposures import Administration, add_up_days
from service.core.findings import Finding, ReasonCode
from service.core.records import Dose, DoseBasis, Exposure, Grade, Identified
from service.core.trials import Trial
from tests.core.builders import (
    DOSE_MUST_BE_DOCUMENTED,
    NOT_DOCUMENTED,
    UNREADABLE_DOSE,
    US,
    exposure,
    medicine,
    ref,
    settled,
    trial,
    unnamed,
)


def graded(grade: Grade, start: str, end: str, **changes: Any) -> Exposure:
    built = exposure(start=start, end=end, **changes)
    return replace(built, grade=grade, evidence=(ref(f"{grade.value}-{start}"),))


# durations and doses on the limit --------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "end", "finding"),
    [
        pytest.param("2025-01-01", "2025-02-11", Finding.MET, id="42 days"),
        pytest.param("2025-01-01", "2025-02-10", Finding.NOT_MET, id="41 days"),
        pytest.param("2025-01-01", "2025-02", Finding.INDETERMINATE, id="32 to 59 days"),
        pytest.param("2025-01", "2025-02-11", Finding.INDETERMINATE, id="12 to 42 days"),
        pytest.param("2025-01", "2025-02-10", Finding.NOT_MET, id="11 to 41 days"),
        pytest.param("2025-01", "2025-03-13", Finding.MET, id="42 to 72 days"),
    ],
)
def test_six_weeks_on_the_day(start: str, end: str, finding: Finding) -> None:
    assert trial(exposure(start=start, end=end)).adequacy.finding is finding


@pytest.mark.parametrize(("mg", "finding"), [(50, Finding.MET), (49.9, Finding.NOT_MET)])
def test_the_minimum_dose_is_enough(mg: float, finding: Finding) -> None:
    found = trial(exposure(end="2025-03-31", mg=mg)).adequacy
    assert found.finding is finding
    assert ReasonCode.BELOW_MINIMUM not in {r.code for r in found.reasons} or mg < 50


def test_a_range_that_reaches_below_the_minimum_is_said_to() -> None:
    codes = {r.code for r in trial(exposure(end="2025-03-31", mg=(49, 60))).adequacy.reasons}
    assert ReasonCode.BELOW_MINIMUM in codes
    on_it = {r.code for r in trial(exposure(end="2025-03-31", mg=(50, 60))).adequacy.reasons}
    assert ReasonCode.BELOW_MINIMUM not in on_it


@pytest.mark.parametrize(
    "given",
    [
        pytest.param(exposure(end="2025-03-31"), id="adequate"),
        pytest.param(exposure(end="2025-01-10"), id="too short"),
        pytest.param(exposure(end="2025-03-31", mg=10), id="too low"),
        pytest.param(exposure(end="2025"), id="duration uncertain"),
        pytest.param(exposure(end="2025-03-31", mg=NOT_DOCUMENTED), id="assumed"),
        pytest.param(exposure(end="2025-03-31", mg=UNREADABLE_DOSE), id="unreadable"),
        pytest.param(exposure("gepirone", end="2025-03-31"), id="no minimum known"),
        pytest.param(exposure(unnamed(Identified.UNRESOLVED), end="2025-03-31"), id="not known"),
        pytest.param(graded(Grade.PRESCRIBED, "2025-01-01", "2025-03-31"), id="prescribed"),
    ],
)
def test_every_reason_of_adequacy_rests_on_the_record(given: Exposure) -> None:
    found: Trial = trial(given)
    assert found.adequacy.reasons
    assert {reason.evidence for reason in found.adequacy.reasons} == {given.evidence}


# who speaks for a day --------------------------------------------------------------------------


def test_a_silent_fill_leaves_the_word_to_a_statement_that_says_how_much() -> None:
    stated = exposure(end="2025-03-31", mg=100)
    silent = graded(Grade.DISPENSED, "2025-01-01", "2025-03-31", mg=NOT_DOCUMENTED)
    assert trial(stated, silent, criteria=DOSE_MUST_BE_DOCUMENTED).adequate_days == (90, 90)


def test_a_fill_that_may_have_been_less_leaves_the_days_open() -> None:
    stated = exposure(end="2025-03-31", mg=100)
    perhaps = graded(Grade.DISPENSED, "2025", "2025-03-31", mg=(25, 100))
    assert trial(stated, perhaps).adequate_days == (0, 90)


@pytest.mark.parametrize(("begins", "days"), [("2025-03-31", (31, 31)), ("2025-04-01", (30, 120))])
def test_a_statement_that_begins_on_the_last_day_of_a_prescription_speaks_for_it(
    begins: str, days: tuple[int, int]
) -> None:
    prescribed = graded(Grade.PRESCRIBED, "2025-01-01", "2025-03-31")
    assert trial(exposure(start=begins, end="2025-04-30"), prescribed).adequate_days == days


def test_a_prescription_behind_one_that_was_folded_is_folded_too() -> None:
    first = graded(Grade.PRESCRIBED, "2025-01-01", "2025-02-28")
    renewed = replace(
        graded(Grade.PRESCRIBED, "2025-06-01", "2025-08-31"),
        names=frozenset({(first.evidence[0].type, first.evidence[0].id)}),
    )
    stated = exposure(start="2025-06-01", end="2025-08-31")
    (left,) = distinct_exposures(settled(first, renewed, stated))
    assert len(left.evidence) == 3


def test_givings_of_a_day_name_what_any_of_them_names() -> None:
    prescribed = graded(Grade.PRESCRIBED, "2025-01-01", "2025-06-30")
    one = graded(Grade.ADMINISTERED, "2025-01-01", "2025-01-01", mg=25)
    named = frozenset({(prescribed.evidence[0].type, prescribed.evidence[0].id)})
    (day,) = add_up_days(
        [
            Administration(one, "2025-01-01T08:00:00Z"),
            Administration(replace(one, names=named, evidence=(ref("b"),)), "2025-01-01T20:00:00Z"),
        ]
    )
    assert day.names == named
    assert len(distinct_exposures(settled(day, prescribed))) == 1


# doses -----------------------------------------------------------------------------------------

TABLET = medicine(strength_mg=50.0, unit="tablet")
GRAM = Unit(UnitKind.MASS, 1000.0)
MILLILITRE = Unit(UnitKind.VOLUME, 1.0)


@pytest.mark.parametrize(
    ("amount", "days", "low"),
    [
        (Amount(30, 30, ITEM), 30, 50),
        (Amount(60, 60, ITEM), 30, 100),
        (Amount(15, 15, ITEM), 30, 25),
        (Amount(1500, 1500, MILLIGRAM), 30, 50),
    ],
)
def test_what_a_supply_amounts_to_a_day(amount: Amount, days: int, low: float) -> None:
    assert supplied_dose(amount, days, TABLET) == Dose(DoseBasis.DOCUMENTED, low, low)


def test_a_supply_in_other_units_says_nothing_of_the_dose() -> None:
    assert supplied_dose(None, 30, TABLET) == NOT_DOCUMENTED
    assert supplied_dose(Amount(30, 30, MILLILITRE), 30, TABLET) == NOT_DOCUMENTED
    assert supplied_dose(Amount(30, 30, ITEM), 30, medicine()) == NOT_DOCUMENTED


STEP = DoseStep(Amount(1, 2, ITEM), (1.0, 2.0))


@pytest.mark.parametrize(
    ("steps", "amount", "a_day"),
    [
        pytest.param((STEP,), Amount(30, 30, ITEM), 4, id="the most that may be taken"),
        pytest.param((STEP,), Amount(30, 30, None), None, id="a unit that is not understood"),
        pytest.param((STEP,), Amount(30, 30, MILLILITRE), None, id="another measure"),
        pytest.param((STEP,), None, None, id="no quantity"),
        pytest.param((STEP, STEP), Amount(30, 30, ITEM), None, id="two steps"),
        pytest.param((), Amount(30, 30, ITEM), None, id="no step"),
        pytest.param((STEP._replace(as_needed=True),), Amount(30, 30, ITEM), None, id="as needed"),
        pytest.param((STEP._replace(times_a_day=None),), Amount(30, 30, ITEM), None, id="no timing"),
        pytest.param((STEP._replace(amount=None),), Amount(30, 30, ITEM), None, id="no amount"),
    ],
)
def test_units_taken_a_day(steps: tuple[DoseStep, ...], amount: Amount | None, a_day: float | None) -> None:
    assert units_a_day(steps, amount) == a_day


@pytest.mark.parametrize(
    ("step", "basis"),
    [
        pytest.param(
            DoseStep(Amount(50, 50, MILLIGRAM), unclear=True), DoseBasis.UNREADABLE, id="odd timing"
        ),
        pytest.param(DoseStep(Amount(50, 50, MILLIGRAM)), DoseBasis.UNREADABLE, id="no timing"),
        pytest.param(DoseStep(Amount(0.5, 0.5, MILLIGRAM), (1, 1)), DoseBasis.DOCUMENTED, id="a small dose"),
        pytest.param(
            DoseStep(Amount(1e308, 1e308, GRAM), (10, 10)), DoseBasis.UNREADABLE, id="beyond all number"
        ),
    ],
)
def test_a_step_that_cannot_be_understood_is_not_the_same_as_none(step: DoseStep, basis: DoseBasis) -> None:
    assert daily_dose((step,), medicine(), US).basis is basis
