"""A record twice as long is about twice the work, from the record to the decision."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta

import pytest

from service.core.records import Exposure, Grade, Identified, Measure
from tests.core.builders import (
    AS_OF,
    Entry,
    decided,
    depression,
    exposure,
    medicine,
    record,
    ref,
    result,
    safety_condition,
    settled,
    unnamed,
)
from tests.core.steps import steps_of

pytestmark = pytest.mark.no_cover

SHORT = 60
DOUBLE = 2.5
"""What twice the records may cost: sorting grows a little faster than what it sorts."""


def day(number: int) -> str:
    return (AS_OF - timedelta(days=number)).isoformat()


def taken(number: int, first: str | None, last: str | None, grade: Grade, *names: int) -> Exposure:
    """One of many records of one medicine, with a dose of its own."""
    kind = "MedicationRequest" if grade is Grade.PRESCRIBED else "MedicationStatement"
    return replace(
        exposure(start=first, end=last, mg=25 + number),
        evidence=(ref(f"{number:05}", kind),),
        grade=grade,
        names=frozenset(("MedicationRequest", f"{name:05}") for name in names),
    )


def prescription(number: int) -> Exposure:
    return taken(number, day(30 + number), day(number), Grade.PRESCRIBED)


def renewal(number: int) -> Exposure:
    return replace(prescription(number), names=frozenset({("MedicationRequest", f"{number - 1:05}")}))


def renewed_later(number: int) -> Exposure:
    return replace(prescription(number), names=frozenset({("MedicationRequest", f"{number + 1:05}")}))


def statement_beside_prescription(number: int) -> Exposure:
    """Every other one is a prescription; each statement is of the days of one of them."""
    first = 40 * (number // 2)
    grade = Grade.STATED if number % 2 else Grade.PRESCRIBED
    return taken(number, day(first + 20), day(first), grade)


def fill(number: int) -> Exposure:
    if not number:
        return taken(0, day(900), day(0), Grade.PRESCRIBED)
    return taken(number, day(3 * number + 29), day(3 * number), Grade.DISPENSED, 0)


def day_on_the_ward(number: int) -> Exposure:
    return taken(number, day(number), day(number), Grade.ADMINISTERED)


def one_of_many_grades(number: int) -> Exposure:
    grade = (Grade.STATED, Grade.DISPENSED, Grade.ADMINISTERED)[number % 3]
    return taken(number, day(5 * number + 9), day(5 * number), grade)


def course(number: int) -> Exposure:
    since = date(1900, 1, 1) + timedelta(days=60 * number)
    return taken(number, since.isoformat(), (since + timedelta(days=20)).isoformat(), Grade.STATED)


def added_again(number: int) -> Exposure:
    """Courses of an antidepressant and of what is added to it, in turns."""
    one = course(number)
    return one if number % 2 else replace(one, medicine=medicine("lithium"))


def unknown_medicine(number: int) -> Exposure:
    looks = Identified.LOOKS_LIKE_ANTIDEPRESSANT
    return replace(course(number), medicine=unnamed(looks, f"pill {number}"))


def score_beside_course(number: int) -> Entry:
    since = date(1900, 1, 1) + timedelta(days=60 * number)
    return course(number) if number % 2 else result(Measure.PHQ_9, 15, since.isoformat(), id=f"{number}")


def contraindication(number: int) -> Entry:
    return safety_condition("aneurysm", id=f"{number}")


def pressure(number: int) -> Entry:
    return result(Measure.SYSTOLIC, 150, day(900 - number), id=f"{number:05}")


@pytest.mark.parametrize(
    "entry",
    [
        prescription,
        renewal,
        renewed_later,
        statement_beside_prescription,
        fill,
        day_on_the_ward,
        one_of_many_grades,
        course,
        added_again,
        unknown_medicine,
        score_beside_course,
        contraindication,
        pressure,
    ],
)
def test_twice_the_records_are_about_twice_the_work(entry: Callable[[int], Entry]) -> None:
    short, long = (record(depression(), *map(entry, range(size))) for size in (SHORT, 2 * SHORT))
    decided(short)  # what is remembered from one decision to the next is there for both

    assert steps_of(lambda: decided(long)) <= DOUBLE * steps_of(lambda: decided(short))


def undated(number: int) -> Exposure:
    return taken(number, None, None, Grade.STATED if number % 2 else Grade.PRESCRIBED)


def test_the_work_grows_with_how_often_prescriptions_are_lent() -> None:
    """Statements and prescriptions without dates: each may tell of each, and their evidence says so."""
    short, long = (record(depression(), *map(undated, range(size))) for size in (SHORT, 2 * SHORT))

    assert steps_of(lambda: decided(long)) <= 4 * steps_of(lambda: decided(short))


def test_renewals_of_one_prescription_name_each_record_once() -> None:
    """Each of them tells of each before it; to copy what they rest on would double it with every one."""
    renewals = (taken(number, day(30 + number), day(number), Grade.PRESCRIBED, 0) for number in range(1, 60))
    (left,) = settled(prescription(0), *renewals)

    assert sorted(reference.id for reference in left.evidence) == [f"{number:05}" for number in range(60)]
