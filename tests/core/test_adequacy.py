"""Adequate: at the minimum dose for the minimum time, and an answer that says what it rests on."""

import pytest

from service.core.adequacy import judge_adequacy
from service.core.courses import Episode, join_courses
from service.core.findings import Answer
from service.core.knowledge import Criteria
from service.core.records import Exposure
from tests.core.builders import (
    DOSE_MUST_BE_DOCUMENTED,
    NOT_DOCUMENTED,
    SEED,
    STRICT_DOSES,
    UNREADABLE_DOSE,
    US,
    codes,
    episode,
    exposure,
    medicine,
    settled,
    unnamed,
)

DATES = "the exact start and end dates"
DOSE = "the daily dose and the date from which it was taken"


def judged(*exposures: Exposure, criteria: Criteria = SEED, during: Episode | None = None) -> Answer:
    ingredient = US.ingredient(exposures[0].medicine.ingredient)
    (course,) = join_courses(settled(*exposures), ingredient, during or episode(), criteria)
    return judge_adequacy(course, ingredient, criteria)


@pytest.mark.parametrize(
    ("exposures", "criteria", "finding", "reasons", "needed"),
    [
        pytest.param([exposure(end="2025-02-11")], SEED, "met", ["adequate"], (), id="six weeks"),
        pytest.param([exposure(end="2025-02-10")], SEED, "not-met", ["too-short"], (), id="a day short"),
        pytest.param(
            [exposure(end="2025-02-10", mg=NOT_DOCUMENTED)],
            SEED,
            "not-met",
            ["too-short", "dose-assumed"],
            (),
            id="too short, whatever the dose",
        ),
        pytest.param(
            [exposure(end="2025-03-31", mg=25)],
            SEED,
            "not-met",
            ["dose-too-low", "below-minimum-dose"],
            (),
            id="below the minimum",
        ),
        pytest.param(
            [exposure(end="2025-03-31", mg=NOT_DOCUMENTED)],
            SEED,
            "met",
            ["adequate", "dose-assumed"],
            (),
            id="an assumption is said",
        ),
        pytest.param(
            [exposure(end="2025-03-31", mg=NOT_DOCUMENTED)],
            DOSE_MUST_BE_DOCUMENTED,
            "indeterminate",
            ["dose-not-documented"],
            (DOSE,),
            id="not documented",
        ),
        pytest.param(
            [exposure(end="2025-03-31", mg=UNREADABLE_DOSE)],
            SEED,
            "indeterminate",
            ["dose-unreadable"],
            (DOSE,),
            id="unreadable",
        ),
        pytest.param(
            [exposure(medicine(strength_mg=25.0, unit="tablet"), end="2025-03-31", mg=NOT_DOCUMENTED)],
            SEED,
            "indeterminate",
            ["dose-not-documented"],
            (DOSE,),
            id="coded strength too low to assume",
        ),
        pytest.param(
            [exposure(end="2025-03-31", mg=(25, 50))],
            SEED,
            "indeterminate",
            ["below-minimum-dose"],
            (DOSE,),
            id="a range that spans the minimum",
        ),
        pytest.param(
            [exposure("gepirone", end="2025-03-31", mg=40)],
            SEED,
            "indeterminate",
            ["no-minimum-dose-known"],
            (DOSE,),
            id="no minimum known",
        ),
        pytest.param(
            [exposure("gepirone", end="2025-01-31", mg=40)],
            SEED,
            "not-met",
            ["too-short", "no-minimum-dose-known"],
            (),
            id="no minimum known, and too short",
        ),
        pytest.param(
            [exposure(start="2025-01", end="2025-02-20")],
            SEED,
            "indeterminate",
            ["duration-uncertain"],
            (DATES,),
            id="dates leave it open",
        ),
        pytest.param(
            [exposure(start="2025-01", end="2025-02-20", mg=UNREADABLE_DOSE)],
            SEED,
            "indeterminate",
            ["dose-unreadable", "duration-uncertain"],
            (DATES, DOSE),
            id="dates and dose leave it open",
        ),
        pytest.param(
            [exposure(end="2025-01-31", mg=25), exposure(start="2025-02-01", end="2025-03-31", mg=50)],
            SEED,
            "met",
            ["adequate", "below-minimum-dose"],
            (),
            id="titration, long enough at the dose",
        ),
        pytest.param(
            [exposure("venlafaxine", end="2025-03-31", mg=75)],
            STRICT_DOSES,
            "not-met",
            ["dose-too-low", "below-minimum-dose"],
            (),
            id="strict doses",
        ),
    ],
)
def test_adequacy(
    exposures: list[Exposure], criteria: Criteria, finding: str, reasons: list[str], needed: tuple[str, ...]
) -> None:
    answer = judged(*exposures, criteria=criteria)
    assert (answer.finding.value, codes(answer.reasons), answer.needed) == (finding, reasons, needed)


def test_days_are_said_as_a_range_where_they_are_one() -> None:
    assert "42 days at an adequate dose (required 42)" in judged(exposure(end="2025-02-11")).reasons[0].text
    assert "60 to 90 days" in judged(exposure(start="2025-01", end="2025-03-31")).reasons[0].text


def test_a_reason_names_only_the_records_it_is_about() -> None:
    low = exposure(end="2025-01-31", mg=25, id="low")
    answer = judged(low, exposure(start="2025-02-01", end="2025-03-31", id="enough"))
    assert [ref.id for ref in answer.reasons[0].evidence] == ["enough", "low"]
    assert [ref.id for ref in answer.reasons[1].evidence] == ["low"]


def test_a_medicine_that_cannot_be_told_is_open_with_a_reason() -> None:
    answer = judged(exposure(unnamed(), end="2025-03-31"))
    assert answer.finding.value == "indeterminate"
    assert answer.reasons


def test_days_outside_the_episode_do_not_make_it_adequate() -> None:
    answer = judged(exposure(end="2025-03-31"), during=episode("2025-02-20"))
    assert (answer.finding.value, codes(answer.reasons)) == ("not-met", ["too-short"])
