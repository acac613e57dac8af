"""Current depression where symptom scores tell: they contradict it or are shown, and never establish it."""

from itertools import permutations
from typing import Any

import pytest

from service.core.depression import assess_depression
from service.core.episode import find_episode, find_history
from service.core.findings import Answer, Finding
from service.core.records import (
    ClinicalStatus,
    DepressionState,
    Diagnosis,
    Measure,
    Observation,
    Verification,
)
from service.core.scores import current_symptoms, read_scores
from tests.core.builders import (
    AS_OF,
    SEED,
    TWO_FAILURES,
    US,
    assessed,
    codes,
    condition,
    decided,
    depression,
    record,
    result,
    unreadable,
)

PARTIAL, FULL = DepressionState.PARTIAL_REMISSION, DepressionState.REMISSION
UNSPECIFIED, ENDED = DepressionState.UNSPECIFIED, ClinicalStatus.ENDED
UNPROVEN = Verification.UNPROVEN
SCORE = "a current symptom score (PHQ-9 or MADRS)"
STATUS = "whether a major depressive episode is present now"


def phq(value: float, when: str = "2026-11-10", **changes: Any) -> Observation:
    return result(Measure.PHQ_9, value, when, **changes)


def answer(*entries: Diagnosis | Observation) -> Answer:
    of = record(*entries)
    symptoms = current_symptoms(read_scores(of, US, AS_OF), SEED, AS_OF)
    return assess_depression(of, symptoms, AS_OF).current


def said(*entries: Diagnosis | Observation) -> tuple[str, list[str]]:
    found = answer(*entries)
    assert bool(found.needed) == (found.finding is Finding.INDETERMINATE)
    return (found.finding.value, codes(found.reasons))


REMITTED = ("not-met", ["score-in-remission"])
ACTIVE = ("met", ["active-mdd"])
SYMPTOMATIC = ("met", ["active-mdd", "score-symptomatic"])
OPEN = ("indeterminate", ["scores-contradictory"])


# an active MDD ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("results", "expected"),
    [
        pytest.param([], ACTIVE, id="no score"),
        pytest.param([phq(3)], REMITTED, id="remission contradicts it"),
        pytest.param([phq(15)], SYMPTOMATIC, id="symptoms are shown"),
        pytest.param([phq(7)], ACTIVE, id="between decides nothing"),
        pytest.param([phq(3, "2026-09-24")], REMITTED, id="remission 60 days ago"),
        pytest.param([phq(3, "2026-09-23")], ACTIVE, id="remission 61 days ago"),
        pytest.param([phq(3, "2026-11-24")], ACTIVE, id="remission tomorrow"),
        pytest.param([phq(3, settled=False)], ACTIVE, id="remission, preliminary"),
        pytest.param([phq(3)._replace(when=None)], ACTIVE, id="remission, undated"),
        pytest.param([phq(3, "2026-10-01"), phq(15)], SYMPTOMATIC, id="symptoms after remission"),
        pytest.param([phq(15, "2026-10-01"), phq(3)], REMITTED, id="remission after symptoms"),
        pytest.param([phq(3), result(Measure.MADRS, 30)], OPEN, id="scales that disagree"),
        pytest.param([phq(3, "2026-09")], OPEN, id="remission, perhaps recent"),
        pytest.param([phq(15, "2026-09")], ACTIVE, id="symptoms, perhaps recent"),
    ],
)
def test_a_score_of_the_present_beside_an_active_mdd(
    results: list[Observation], expected: tuple[str, list[str]]
) -> None:
    assert said(depression(), *results) == expected


def test_a_remission_names_the_score_and_a_contradiction_both_records() -> None:
    (remitted,) = answer(depression(), phq(3)).reasons
    assert (remitted.text, [r.id for r in remitted.evidence]) == (
        "PHQ-9 3 is in the range of remission",
        ["phq-9-2026-11-10"],
    )
    open_ = answer(depression(), phq(3), result(Measure.MADRS, 30))
    assert open_.needed == (SCORE, STATUS)
    assert {r.id for r in open_.reasons[0].evidence} == {
        "depression",
        "phq-9-2026-11-10",
        "madrs-2026-11-10",
    }


@pytest.mark.parametrize(
    ("recorded", "when", "expected"),
    [
        pytest.param("2026-11-11", "2026-11-10", OPEN, id="recorded after the score: a relapse"),
        pytest.param("2026-11-10", "2026-11-10", REMITTED, id="recorded the same day"),
        pytest.param("2026-11-09", "2026-11-10", REMITTED, id="recorded before the score"),
        pytest.param("2026-11", "2026-10-31", OPEN, id="recorded the month after the score"),
        pytest.param("2026-11", "2026-11-10", REMITTED, id="recorded the same month"),
        pytest.param(None, "2026-11-10", REMITTED, id="nobody knows since when"),
    ],
)
@pytest.mark.parametrize("dated_by", ["recorded", "onset"])
def test_a_remission_from_before_the_relapse_leaves_it_open(
    recorded: str | None, when: str, expected: tuple[str, list[str]], dated_by: str
) -> None:
    dates: dict[str, Any] = {"onset": None, "recorded": None} | {dated_by: recorded}
    assert said(depression(**dates), phq(3, when)) == expected


def test_one_remission_since_the_relapse_is_enough() -> None:
    relapse = depression(onset="2026-11-05")
    assert said(relapse, phq(3, "2026-11-01"), phq(4, "2026-11-10")) == REMITTED


def test_the_latest_of_several_active_depressions_is_the_relapse() -> None:
    older, newer = depression(id="a"), depression(id="b", onset="2026-11-15")
    for entries in permutations((older, newer)):
        assert said(*entries, phq(3)) == OPEN


# no active MDD: scores are shown where it is open, and establish nothing -----------------------


@pytest.mark.parametrize(
    ("given", "why"),
    [
        pytest.param(depression(PARTIAL), "partial-remission", id="partial remission"),
        pytest.param(depression(verification=UNPROVEN), "mdd-not-confirmed", id="unproven"),
        pytest.param(depression(UNSPECIFIED), "depression-unspecified", id="F32.A"),
        pytest.param(
            condition(suggests_depression=True, recognised=False), "depression-by-text-only", id="words only"
        ),
    ],
)
@pytest.mark.parametrize(
    ("results", "shown"),
    [
        ([], []),
        ([phq(3)], ["score-in-remission"]),
        ([phq(15)], ["score-symptomatic"]),
        ([phq(3), result(Measure.MADRS, 30)], ["scores-contradictory"]),
        ([phq(7)], []),
    ],
    ids=["none", "remission", "symptoms", "both", "between"],
)
def test_what_is_open_stays_open_and_the_score_is_shown(
    given: Diagnosis, why: str, results: list[Observation], shown: list[str]
) -> None:
    assert said(given, *results) == ("indeterminate", [why, *shown])


def test_a_partial_remission_after_an_active_mdd_stays_open_whatever_the_score() -> None:
    entries = (
        depression(id="a", onset=None, recorded="2025-01-01"),
        depression(PARTIAL, id="p", onset=None, recorded="2026-06-01"),
    )
    for value, shown in ((3, "score-in-remission"), (15, "score-symptomatic")):
        assert said(*entries, phq(value)) == ("indeterminate", ["partial-remission", shown])


def test_without_any_condition_a_score_establishes_nothing() -> None:
    assert said(phq(27)) == ("indeterminate", ["no-conditions-on-record", "score-symptomatic"])


@pytest.mark.parametrize(
    ("given", "why"),
    [
        pytest.param(depression(clinical_status=ENDED), "no-active-mdd", id="resolved"),
        pytest.param(depression(FULL), "in-remission", id="coded remission"),
        pytest.param(condition(), "no-active-mdd", id="another condition"),
    ],
)
@pytest.mark.parametrize("value", [3, 15, 27])
def test_what_is_not_met_stays_not_met(given: Diagnosis, why: str, value: float) -> None:
    assert said(given, phq(value)) == ("not-met", [why])


# what follows from it --------------------------------------------------------------------------


def test_the_episode_is_no_longer_active_once_a_score_shows_remission() -> None:
    active = {}
    for value in (3, 15):
        of = record(depression(), phq(value))
        scores = read_scores(of, US, AS_OF)
        found = assess_depression(of, current_symptoms(scores, SEED, AS_OF), AS_OF)
        assert found.anchors == of.diagnoses
        history = find_history(of, scores, (), SEED, AS_OF)
        active[value] = find_episode(found, history, SEED, AS_OF)[0].active
    assert active == {3: Finding.NOT_MET, 15: Finding.MET}


@pytest.mark.parametrize(
    ("results", "expected"),
    [
        pytest.param([], ("Propose", "trd"), id="no score"),
        pytest.param([phq(15)], ("Propose", "trd"), id="symptoms"),
        pytest.param([phq(3)], ("Decline", "not-indicated"), id="remission"),
        pytest.param(
            [phq(3), result(Measure.MADRS, 30)], ("NeedsInformation", "missing-information"), id="undecided"
        ),
    ],
)
def test_a_remission_by_score_is_not_treated_again(
    results: list[Observation], expected: tuple[str, str]
) -> None:
    decision = decided(record(depression(), *TWO_FAILURES, *results))
    assert (type(decision).__name__, decision.reason.value) == expected


def test_an_undecided_score_is_asked_for() -> None:
    found = assessed(record(depression(), phq(3, "2026-09")))
    assert (SCORE, "current-depression") in found.missing


def test_a_score_shows_even_where_a_condition_cannot_be_read() -> None:
    of = record(depression(verification=UNPROVEN), unreadable("Condition"), phq(15))
    current = assess_depression(of, current_symptoms(read_scores(of, US, AS_OF), SEED, AS_OF), AS_OF).current
    assert codes(current.reasons) == ["mdd-not-confirmed", "unreadable-conditions", "score-symptomatic"]
