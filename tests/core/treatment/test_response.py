"""The response to a treatment, by the scores before session 1 and under treatment."""

from datetime import date, timedelta

import pytest

from service.core.records import Measure, Observation
from service.core.scores import read_scores
from service.core.treatment.response import Response, ResponseFinding, read_response
from tests.core.builders import US, record, result

PHQ_9, MADRS = Measure.PHQ_9, Measure.MADRS
BEGUN, TODAY = date(2026, 8, 31), date(2026, 9, 28)
RULES = US.protocols[0].response


def days_before(day: date, days: int) -> str:
    return (day - timedelta(days=days)).isoformat()


def score(value: float, when: str, measure: Measure = PHQ_9) -> Observation:
    return result(measure, value, when)


def responded(*results: Observation) -> Response:
    scores = read_scores(record(*results), US, TODAY)
    return read_response(scores, BEGUN, RULES, US, TODAY)


def course_of(*values: float, measure: Measure = PHQ_9) -> str:
    """The finding of a score before treatment, and of others under it, a week apart, the last today."""
    before, *under = values
    dates = [days_before(TODAY, 7 * weeks) for weeks in reversed(range(len(under)))]
    pairs = zip(under, dates, strict=True)
    return responded(
        score(before, days_before(BEGUN, 1), measure), *(score(value, when, measure) for value, when in pairs)
    ).finding.value


# --- which scores count ---------------------------------------------------------------------------


@pytest.mark.parametrize(("days", "counts"), [(0, True), (1, True), (14, True), (15, False), (-1, False)])
def test_the_baseline_is_of_the_day_of_session_1_or_of_the_fourteen_days_before(
    days: int, counts: bool
) -> None:
    found = responded(score(20, days_before(BEGUN, days)), score(9, str(TODAY)))
    (one,) = found.instruments
    assert (one.baseline is not None) == counts
    assert found.finding is (ResponseFinding.RESPONSE if counts else ResponseFinding.UNKNOWN)


def test_the_last_score_before_session_1_is_the_baseline() -> None:
    found = responded(
        score(24, days_before(BEGUN, 10)), score(20, days_before(BEGUN, 2)), score(12, str(TODAY))
    )
    assert found.decisive is not None
    assert found.decisive.baseline is not None
    assert found.decisive.baseline.value == 20
    assert found.decisive.change == -8


@pytest.mark.parametrize(("days", "counts"), [(0, True), (14, True), (15, False)])
def test_the_latest_score_is_of_the_last_fourteen_days(days: int, counts: bool) -> None:
    found = responded(score(20, str(BEGUN)), score(9, days_before(TODAY, days)))
    assert found.finding is (ResponseFinding.RESPONSE if counts else ResponseFinding.UNKNOWN)
    assert (found.instruments[0].change is None) != counts


def test_a_score_of_the_day_of_session_1_is_none_under_treatment() -> None:
    scores = read_scores(record(score(3, str(BEGUN))), US, BEGUN)
    assert read_response(scores, BEGUN, RULES, US, BEGUN).finding is ResponseFinding.UNKNOWN


def test_a_score_known_by_its_month_is_not_told_before_from_after() -> None:
    assert responded(score(20, "2026-08"), score(9, str(TODAY))).finding is ResponseFinding.UNKNOWN


# --- the findings ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("measure", "values", "finding"),
    [
        pytest.param(PHQ_9, (21, 4), "remission", id="PHQ-9 below 5"),
        pytest.param(PHQ_9, (21, 5), "response", id="PHQ-9 of 5"),
        pytest.param(MADRS, (32, 12), "remission", id="MADRS up to 12"),
        pytest.param(MADRS, (32, 13), "response", id="MADRS of 13"),
        pytest.param(PHQ_9, (20, 10), "response", id="fallen by half"),
        pytest.param(PHQ_9, (20, 11), "partial", id="fallen by less than half"),
        pytest.param(PHQ_9, (20, 15), "partial", id="fallen by a quarter"),
        pytest.param(PHQ_9, (20, 16), "none", id="fallen by less than a quarter"),
        pytest.param(PHQ_9, (16, 20), "none", id="risen above the score before treatment"),
        pytest.param(PHQ_9, (21, 6, 10), "response", id="4 above the lowest"),
        pytest.param(PHQ_9, (21, 6, 11), "worse", id="5 above the lowest"),
        pytest.param(MADRS, (40, 14, 19), "response", id="MADRS 5 above the lowest"),
        pytest.param(MADRS, (40, 14, 20), "worse", id="MADRS 6 above the lowest"),
        pytest.param(PHQ_9, (21, 6, 8, 11), "worse", id="above the lowest and not the last"),
        pytest.param(PHQ_9, (21, 9, 15, 9), "response", id="worse for a while"),
        pytest.param(PHQ_9, (21, 4, 8), "response", id="out of remission, without symptoms"),
        pytest.param(PHQ_9, (27, 0, 4), "remission", id="risen within remission"),
        pytest.param(MADRS, (40, 12, 17), "response", id="MADRS out of remission"),
        pytest.param(MADRS, (40, 2, 8), "worse", id="worse outranks remission"),
    ],
)
def test_what_the_scores_say(measure: Measure, values: tuple[float, ...], finding: str) -> None:
    assert course_of(*values, measure=measure) == finding


@pytest.mark.parametrize(("latest", "finding"), [(9, "worse"), (10, "worse"), (8, "response")])
def test_back_at_ten_after_remission_is_worse(latest: float, finding: str) -> None:
    """From a remission score of 4 both rules of worsening meet: 9 is 5 points above it, 10 has symptoms."""
    assert course_of(21, 4, latest) == finding


def test_symptoms_without_an_earlier_remission_are_not_worse_by_themselves() -> None:
    assert course_of(21, 8, 10) == "response"


def test_a_remission_before_session_1_is_none_under_treatment() -> None:
    remitted = score(3, days_before(BEGUN, 10))
    found = responded(remitted, score(20, days_before(BEGUN, 1)), score(14, str(TODAY)))
    assert found.finding is ResponseFinding.PARTIAL


def test_an_old_score_under_treatment_still_shows_the_worsening() -> None:
    lowest = score(6, days_before(TODAY, 25))
    assert responded(score(21, str(BEGUN)), lowest, score(11, str(TODAY))).finding is ResponseFinding.WORSE


def test_remission_and_worsening_need_no_baseline() -> None:
    assert responded(score(4, str(TODAY))).finding is ResponseFinding.REMISSION
    low, high = score(6, days_before(TODAY, 7)), score(11, str(TODAY))
    assert responded(low, high).finding is ResponseFinding.WORSE
    assert responded(score(6, str(TODAY))).finding is ResponseFinding.UNKNOWN


def test_from_a_baseline_of_nothing_there_is_nothing_to_fall() -> None:
    assert responded(score(0, str(BEGUN)), score(8, str(TODAY))).finding is ResponseFinding.UNKNOWN


# --- instruments ----------------------------------------------------------------------------------


def test_without_a_score_the_response_is_unknown() -> None:
    assert responded() == Response(ResponseFinding.UNKNOWN, None, ())


def test_where_instruments_disagree_the_less_favourable_decides_and_both_are_shown() -> None:
    found = responded(
        score(20, str(BEGUN)),
        score(4, str(TODAY)),
        score(30, str(BEGUN), MADRS),
        score(20, str(TODAY), MADRS),
    )
    assert found.finding is ResponseFinding.PARTIAL
    assert found.decisive is not None
    assert found.decisive.instrument is MADRS
    assert {one.instrument.value: one.finding.value for one in found.instruments} == {
        "phq-9": "remission",
        "madrs": "partial",
    }


def test_an_instrument_that_is_known_decides_beside_one_that_is_not() -> None:
    found = responded(score(20, str(BEGUN)), score(4, str(TODAY)), score(30, str(BEGUN), MADRS))
    assert found.finding is ResponseFinding.REMISSION
    assert len(found.instruments) == 2


def test_one_instrument_is_never_set_against_another() -> None:
    assert responded(score(40, str(BEGUN), MADRS), score(8, str(TODAY))).finding is ResponseFinding.UNKNOWN
