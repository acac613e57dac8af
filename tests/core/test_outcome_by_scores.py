"""What came of a trial where symptom scores tell: beside a stop reason, an inference, or alone."""

from typing import Any

import pytest

from service.core.counting import count_failed
from service.core.findings import Finding
from service.core.knowledge import Criteria
from service.core.records import Exposure, Indication, Measure, Observation, StopReason
from service.core.trials import Counts, Trial
from tests.core.builders import (
    SEED,
    assessed,
    codes,
    criterion,
    depression,
    episode,
    exposure,
    record,
    result,
    trial,
    trials,
)
from tests.lists import knowledge_of

PAYER = knowledge_of("payer-two-classes").criteria
BASE, LATE, RECENT = "2024-12-20", "2025-03-20", "2026-11-10"

FAILED, RESPONDED, UNKNOWN = "failed", "responded", "unknown"
DOCUMENTED, INFERRED = "documented", "inferred"
Said = tuple[str, str | None, list[str], Counts]


def phq(value: float, when: str = LATE, **changes: Any) -> Observation:
    return result(Measure.PHQ_9, value, when, **changes)


def taken(*reasons: StopReason, **changes: Any) -> Exposure:
    """Thirteen weeks of sertraline."""
    ended: dict[str, Any] = {
        "start": "2025-01-01",
        "end": "2025-03-31",
        "stop_reasons": frozenset(reasons),
    }
    return exposure(**(ended | changes))


def said(found: Trial) -> Said:
    basis = found.outcome.basis.value if found.outcome.basis else None
    return (found.outcome.finding.value, basis, codes(found.outcome.reasons), found.counts)


def judged(
    *exposures: Exposure, results: tuple[Observation, ...] = (), criteria: Criteria = SEED, **more: Any
) -> Said:
    return said(trial(*exposures, results=results, criteria=criteria, **more))


HELPED, DID_NOT, LEFT_OPEN = (phq(3),), (phq(15),), (phq(3, id="a"), phq(15, id="b"))
BY_SCORE_HELPED: Said = (RESPONDED, DOCUMENTED, ["score-shows-response"], Counts.NO)
BY_SCORE_FAILED: Said = (FAILED, DOCUMENTED, ["score-shows-failure"], Counts.YES)
CONTRADICTION: Said = (UNKNOWN, None, ["score-disagrees"], Counts.POSSIBLY)


# beside a recorded reason ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reason", "alone"),
    [
        (StopReason.INTOLERANCE, ("not-tolerated", DOCUMENTED, ["stopped-intolerance"], Counts.NO)),
        (StopReason.OTHER, (UNKNOWN, None, ["stopped-other-reason"], Counts.NO)),
        (StopReason.UNCLEAR, (UNKNOWN, None, ["stop-reason-unclear"], Counts.POSSIBLY)),
    ],
)
@pytest.mark.parametrize("results", [(), HELPED, DID_NOT, LEFT_OPEN], ids=["none", "3", "15", "3 and 15"])
def test_a_reason_that_is_not_about_the_effect_stays_what_it_is(
    reason: StopReason, alone: Said, results: tuple[Observation, ...]
) -> None:
    """Intolerance and cost are never a failure, whatever the score was by then."""
    assert judged(taken(reason), results=results) == alone


@pytest.mark.parametrize(
    ("reason", "results", "expected"),
    [
        pytest.param(StopReason.INEFFECTIVE, HELPED, CONTRADICTION, id="ineffective, and in remission"),
        pytest.param(
            StopReason.INEFFECTIVE,
            (phq(24, BASE), phq(12)),
            CONTRADICTION,
            id="ineffective, and the score halved",
        ),
        pytest.param(StopReason.REMISSION, DID_NOT, CONTRADICTION, id="remission, and symptoms"),
        pytest.param(
            StopReason.REMISSION,
            (phq(20, BASE), phq(11)),
            CONTRADICTION,
            id="remission, and the score did not halve",
        ),
        pytest.param(
            StopReason.INEFFECTIVE,
            DID_NOT,
            (FAILED, DOCUMENTED, ["stopped-ineffective"], Counts.YES),
            id="ineffective, and symptoms",
        ),
        pytest.param(
            StopReason.REMISSION,
            HELPED,
            (RESPONDED, DOCUMENTED, ["stopped-in-remission"], Counts.NO),
            id="remission twice",
        ),
        pytest.param(
            StopReason.INEFFECTIVE,
            LEFT_OPEN,
            (FAILED, DOCUMENTED, ["stopped-ineffective"], Counts.YES),
            id="ineffective, and scores that say nothing",
        ),
        pytest.param(
            StopReason.INEFFECTIVE,
            (phq(3, "2025-04-01"),),
            (FAILED, DOCUMENTED, ["stopped-ineffective"], Counts.YES),
            id="ineffective, and in remission on the next",
        ),
    ],
)
def test_a_reason_about_the_effect_is_set_against_the_score(
    reason: StopReason, results: tuple[Observation, ...], expected: Said
) -> None:
    assert judged(taken(reason), results=results) == expected


def test_a_contradiction_names_both_records() -> None:
    (reason,) = trial(taken(StopReason.INEFFECTIVE, id="stopped"), results=HELPED).outcome.reasons
    assert {str(ref) for ref in reason.evidence} == {
        "MedicationStatement/stopped/_history/1",
        f"Observation/phq-9-{LATE}/_history/1",
    }


def test_a_partial_response_contradicts_no_reason() -> None:
    results = (phq(20, BASE), phq(14))
    for reason, finding in ((StopReason.INEFFECTIVE, FAILED), (StopReason.REMISSION, RESPONDED)):
        found = judged(taken(reason, mg=200), results=results, criteria=PAYER)
        assert found[:2] == (finding, DOCUMENTED)


# beside what could be inferred -----------------------------------------------------------------

SWITCH = exposure("fluoxetine", start="2025-04-01", end="2025-09-30", mg=20)
AGENT = exposure("lithium", start="2025-03-01", mg=900)


@pytest.mark.parametrize(
    ("more", "alone", "counts"),
    [
        pytest.param([], ["ended-while-active"], Counts.POSSIBLY, id="ended while active"),
        pytest.param([SWITCH], ["switched"], Counts.YES, id="switched"),
        pytest.param([AGENT], ["augmented"], Counts.YES, id="augmented"),
    ],
)
def test_a_score_outweighs_what_only_follows(more: list[Exposure], alone: list[str], counts: Counts) -> None:
    assert judged(taken(), *more) == (FAILED, INFERRED, alone, counts)
    assert judged(taken(), *more, results=DID_NOT) == BY_SCORE_FAILED
    assert judged(taken(), *more, results=HELPED) == BY_SCORE_HELPED
    assert judged(taken(), *more, results=LEFT_OPEN) == CONTRADICTION


def test_a_failure_by_score_counts_where_only_documented_ones_do() -> None:
    ema = knowledge_of("ema", "eu").criteria
    assert judged(taken(), criteria=ema)[3] is Counts.POSSIBLY
    assert judged(taken(), results=DID_NOT, criteria=ema) == BY_SCORE_FAILED


def test_a_partial_response_may_count_and_is_named() -> None:
    expected = (UNKNOWN, None, ["score-shows-partial-response"], Counts.POSSIBLY)
    partial = (phq(20, BASE), phq(14))
    assert judged(taken(mg=200), results=partial, criteria=PAYER) == expected
    assert judged(taken(), results=partial) == BY_SCORE_FAILED


def test_a_score_between_changes_nothing() -> None:
    assert judged(taken(), results=(phq(7),)) == judged(taken())


@pytest.mark.parametrize("when", ["2024-12-31", "2025-01-01"])
def test_a_remission_before_the_first_dose_changes_nothing(when: str) -> None:
    assert judged(taken(), results=(phq(3, when),)) == judged(taken())


@pytest.mark.parametrize("when", ["2025-01-02", "2025-02-10", "2025-03-31"])
def test_a_remission_at_any_time_on_it_is_a_response(when: str) -> None:
    assert judged(taken(), results=(phq(3, when),)) == BY_SCORE_HELPED


@pytest.mark.parametrize("when", ["2025-04-01", RECENT])
def test_after_a_later_remission_nobody_knows_why_it_ended(when: str) -> None:
    """Without a score it ended while the depression was active; one above remission changes nothing."""
    assert judged(taken()) == (FAILED, INFERRED, ["ended-while-active"], Counts.POSSIBLY)
    assert judged(taken(), results=(phq(5, when),)) == judged(taken())
    assert judged(taken(), results=(phq(4, when),)) == (
        UNKNOWN,
        None,
        ["score-in-remission"],
        Counts.POSSIBLY,
    )


def test_symptoms_that_come_back_on_it_are_flagged_and_are_no_failed_trial() -> None:
    results = (phq(3, "2025-02-01"), phq(18, "2025-03-30"))
    assert judged(taken(), results=results) == (
        RESPONDED,
        DOCUMENTED,
        ["score-shows-response", "score-shows-relapse"],
        Counts.NO,
    )
    assert judged(taken(StopReason.INEFFECTIVE), results=results) == CONTRADICTION


# what the score does not change ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "during", "reason"),
    [
        pytest.param(taken(mg=25), episode(), "dose-too-low", id="below the minimum dose"),
        pytest.param(taken(end="2025-02-11"), episode("2025-01-10"), "too-short", id="too short"),
        pytest.param(taken(), episode("2025-04-01"), "outside-episode", id="before the episode"),
    ],
)
def test_a_trial_that_was_not_adequate_never_counts_by_its_score(
    given: Exposure, during: Any, reason: str
) -> None:
    found = trial(given, during=during, results=(phq(15, "2025-02-11"),))
    assert found.outcome.finding.value == FAILED
    assert (found.counts, codes(found.counts_reasons)) == (Counts.NO, [reason])


def test_a_trial_for_another_reason_stays_possible() -> None:
    found = trial(taken(indication=Indication.OTHER), results=DID_NOT)
    assert (found.counts, codes(found.counts_reasons)) == (Counts.POSSIBLY, ["other-indication"])


def test_antidepressants_taken_together_share_the_score() -> None:
    both = (taken(), exposure("bupropion", start="2025-01-01", end="2025-03-31", mg=300))
    assert [said(found) for found in trials(*both, results=DID_NOT)] == [BY_SCORE_FAILED] * 2
    assert [said(found) for found in trials(*both, results=HELPED)] == [BY_SCORE_HELPED] * 2


def test_a_medicine_that_helped_when_last_taken_is_no_failure() -> None:
    twice = (taken(), taken(start="2025-06-01", end="2025-08-31"))
    assert judged(*twice, results=(phq(15), phq(3, "2025-08-20"))) == BY_SCORE_HELPED
    assert judged(*twice, results=(phq(3), phq(15, "2025-08-20"))) == BY_SCORE_FAILED


# while it is still taken -----------------------------------------------------------------------

STILL = exposure("sertraline", start="2026-01-01")
ONGOING: Said = (UNKNOWN, None, ["ongoing"], Counts.POSSIBLY)


@pytest.mark.parametrize(
    ("results", "expected"),
    [
        pytest.param((), ONGOING, id="no score"),
        pytest.param((phq(15, RECENT),), BY_SCORE_FAILED, id="symptoms now"),
        pytest.param((phq(15, "2026-09-24"),), BY_SCORE_FAILED, id="symptoms 60 days ago"),
        pytest.param((phq(15, "2026-09-23"),), ONGOING, id="symptoms 61 days ago"),
        pytest.param((phq(3, RECENT),), BY_SCORE_HELPED, id="remission now"),
        pytest.param((phq(3, "2026-06-01"),), BY_SCORE_HELPED, id="remission long ago"),
        pytest.param(
            (phq(15, "2026-06-01"), result(Measure.MADRS, 15, RECENT)),
            ONGOING,
            id="symptoms long ago, and a score of another scale now",
        ),
        pytest.param(
            (phq(13, "2025-12-20"), phq(7, RECENT)),
            (UNKNOWN, None, ["score-shows-partial-response"], Counts.POSSIBLY),
            id="a small fall to a score that shows no symptoms",
        ),
        pytest.param((phq(7, RECENT),), ONGOING, id="between now"),
    ],
)
def test_an_ongoing_medicine_is_a_failure_only_by_a_current_score(
    results: tuple[Observation, ...], expected: Said
) -> None:
    assert judged(STILL, results=results) == expected


def test_an_ongoing_medicine_that_may_have_helped_names_the_score_as_missing() -> None:
    found = trial(STILL, results=(phq(15, "2026-06-01"),))
    assert found.needed == ("a current symptom score (PHQ-9 or MADRS)",)


@pytest.mark.parametrize(
    ("results", "expected"),
    [
        pytest.param((), (FAILED, INFERRED, ["augmented"], Counts.YES), id="no score"),
        pytest.param(
            (phq(15, "2026-06-01"),), (FAILED, INFERRED, ["augmented"], Counts.YES), id="an old one"
        ),
        pytest.param((phq(3, RECENT),), BY_SCORE_HELPED, id="remission since"),
        pytest.param((phq(15, RECENT),), BY_SCORE_FAILED, id="symptoms still"),
        pytest.param((phq(3, "2026-09"),), BY_SCORE_HELPED, id="remission some weeks ago"),
    ],
)
def test_an_ongoing_medicine_that_was_augmented(results: tuple[Observation, ...], expected: Said) -> None:
    agent = exposure("lithium", start="2026-03-01", mg=900)
    assert judged(STILL, agent, results=results) == expected


# the count -------------------------------------------------------------------------------------

TWO = (
    taken(),
    exposure("venlafaxine", start="2025-04-10", end="2025-08-31", mg=150),
    exposure("mirtazapine", start="2025-09-05", end="2025-09-20", mg=30),
)
"""Each was replaced by the next, and the last was not taken for long."""
SECOND = "2025-08-20"


@pytest.mark.parametrize(
    ("results", "definite", "inferred", "possible", "finding"),
    [
        pytest.param((), 2, 2, 0, Finding.MET, id="both inferred"),
        pytest.param((phq(15),), 2, 1, 0, Finding.MET, id="one documented"),
        pytest.param((phq(15), phq(15, SECOND)), 2, 0, 0, Finding.MET, id="both documented"),
        pytest.param((phq(3),), 1, 1, 0, Finding.NOT_MET, id="one helped"),
        pytest.param((phq(3), phq(3, SECOND)), 0, 0, 0, Finding.NOT_MET, id="both helped"),
        pytest.param(LEFT_OPEN, 1, 1, 1, Finding.INDETERMINATE, id="one left open"),
        pytest.param(
            (phq(24, BASE), phq(12), phq(15, SECOND)), 1, 0, 0, Finding.NOT_MET, id="halved, and symptoms"
        ),
    ],
)
def test_scores_change_the_count_of_failed_trials(
    results: tuple[Observation, ...], definite: int, inferred: int, possible: int, finding: Finding
) -> None:
    counted = count_failed(trials(*TWO, results=results), SEED)
    assert (counted.definite, counted.inferred, counted.possible) == (definite, inferred, possible)
    found = assessed(record(depression(), *TWO, *results))
    assert criterion(found, "two-adequate-trials-without-relief").finding is finding
    assert found.failed_trials == counted
