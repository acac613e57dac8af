"""Givings of a medicine, added up by the day."""

from dataclasses import replace

from service.core.exposures import Administration, add_up_days
from service.core.records import Dose, DoseBasis, Exposure, Grade
from tests.core.builders import NOT_DOCUMENTED, UNREADABLE_DOSE, exposure, ref, trials


def given(identity: str, moment: str | None, mg: float | Dose = 25) -> Administration:
    day = (moment or "2025-01-01")[:10]
    built = exposure(start=day, end=day, mg=mg)
    return Administration(
        replace(built, grade=Grade.ADMINISTERED, evidence=(ref(identity, "MedicationAdministration"),)),
        moment,
    )


def the_day(*givings: Administration) -> Exposure:
    (day,) = add_up_days(givings)
    return day


def test_two_givings_of_a_day_add_up() -> None:
    day = the_day(given("a", "2025-01-01T08:00:00Z"), given("b", "2025-01-01T20:00:00Z"))
    assert (day.dose.low_mg, day.dose.high_mg) == (50, 50)
    assert [reference.id for reference in day.evidence] == ["a", "b"]


def test_one_giving_told_twice_is_one() -> None:
    day = the_day(given("a", "2025-01-01T08:00:00Z"), given("b", "2025-01-01T08:00:00Z"))
    assert (day.dose.low_mg, day.dose.high_mg) == (25, 25)


def test_without_a_time_equal_givings_may_be_one_or_two() -> None:
    day = the_day(given("a", "2025-01-01"), given("b", "2025-01-01"))
    assert (day.dose.low_mg, day.dose.high_mg) == (25, 50)


def test_without_a_time_different_doses_are_two_givings() -> None:
    day = the_day(given("a", "2025-01-01"), given("b", "2025-01-01", 50))
    assert (day.dose.low_mg, day.dose.high_mg) == (75, 75)


def test_a_giving_without_a_dose_leaves_the_day_open() -> None:
    assert the_day(given("a", None, NOT_DOCUMENTED), given("b", None)).dose.basis is DoseBasis.NOT_DOCUMENTED
    assert (
        the_day(given("a", None, UNREADABLE_DOSE), given("b", None, NOT_DOCUMENTED)).dose == UNREADABLE_DOSE
    )


def test_days_stay_apart_and_make_one_course() -> None:
    week = add_up_days(given(f"d{n}", f"2025-01-{n:02}T08:00:00Z", 50) for n in range(1, 8))
    assert len(week) == 7
    (found,) = trials(*week)
    assert [course.days for course in found.courses] == [(7, 7)]
    assert found.grade is Grade.ADMINISTERED


def test_the_order_of_givings_does_not_matter() -> None:
    givings = [given("b", "2025-01-01", 50), given("a", "2025-01-01"), given("c", "2025-01-01T08:00:00Z")]
    assert add_up_days(givings) == add_up_days(reversed(givings))
