"""Does a trial count: yes, no or possibly, each with its reason and what would settle it."""

import pytest

from service.core.findings import Finding
from service.core.knowledge import Criteria
from service.core.records import Exposure, ExposureStatus, Identified, Indication, Role, StopReason
from service.core.trials import Trial
from tests.core.builders import (
    DOCUMENTED_FAILURES_ONLY,
    NOT_DOCUMENTED,
    SEED,
    episode,
    exposure,
    medicine,
    some_day,
    trial,
    trials,
    unnamed,
)

FAILED = frozenset({StopReason.INEFFECTIVE})


def counts(found: Trial) -> tuple[str, list[str]]:
    return (found.counts.value, [reason.code.value for reason in found.counts_reasons])


@pytest.mark.parametrize(
    ("given", "criteria", "expected"),
    [
        pytest.param(
            exposure(end="2025-03-31", stop_reasons=FAILED), SEED, ("yes", []), id="documented failure"
        ),
        pytest.param(
            exposure(end="2025-03-31"), SEED, ("possibly", ["inference-not-counted"]), id="an end alone"
        ),
        pytest.param(
            exposure(end="2025-03-31", mg=NOT_DOCUMENTED, stop_reasons=FAILED),
            SEED,
            ("yes", []),
            id="dose assumed",
        ),
        pytest.param(
            exposure(end="2025-03-31", stop_reasons=FAILED),
            DOCUMENTED_FAILURES_ONLY,
            ("yes", []),
            id="documented failure under stricter criteria",
        ),
        pytest.param(
            exposure(end="2025-03-31"),
            DOCUMENTED_FAILURES_ONLY,
            ("possibly", ["inference-not-counted"]),
            id="inferred failure under stricter criteria",
        ),
        pytest.param(exposure(end="2025-02-10"), SEED, ("no", ["too-short"]), id="too short"),
        pytest.param(exposure(end="2025-03-31", mg=25), SEED, ("no", ["dose-too-low"]), id="dose too low"),
        pytest.param(
            exposure("hypericum", end="2025-03-31"), SEED, ("no", ["never-a-trial"]), id="supplement"
        ),
        pytest.param(
            exposure(medicine("bupropion", not_a_trial="smoking-cessation"), end="2025-03-31", mg=300),
            SEED,
            ("no", ["never-a-trial"]),
            id="bupropion for smoking",
        ),
        pytest.param(
            exposure(start="2023-01-01", end="2023-12-31"),
            SEED,
            ("no", ["outside-episode"]),
            id="before the episode",
        ),
        pytest.param(
            exposure(end="2025-03-31", stop_reasons=frozenset({StopReason.REMISSION})),
            SEED,
            ("no", ["stopped-in-remission"]),
            id="it had helped",
        ),
        pytest.param(
            exposure(end="2025-03-31", stop_reasons=frozenset({StopReason.INTOLERANCE})),
            SEED,
            ("no", ["stopped-intolerance"]),
            id="not tolerated, even after the minimum weeks",
        ),
        pytest.param(
            exposure(end="2025-03-31", stop_reasons=frozenset({StopReason.OTHER})),
            SEED,
            ("no", ["stopped-other-reason"]),
            id="cost, wish, pregnancy",
        ),
        pytest.param(
            exposure(end="2025-03-31", stop_reasons=frozenset({StopReason.UNCLEAR})),
            SEED,
            ("possibly", ["stop-reason-unclear"]),
            id="reason cannot be read",
        ),
        pytest.param(exposure(), SEED, ("possibly", ["ongoing"]), id="ongoing without a score"),
        pytest.param(exposure(start="2026-11-01"), SEED, ("no", ["too-short"]), id="ongoing, too short yet"),
        pytest.param(
            exposure(medicine(identified=Identified.TEXT_ONLY), end="2025-03-31", stop_reasons=FAILED),
            SEED,
            ("possibly", ["text-only"]),
            id="known by name only",
        ),
        pytest.param(
            exposure(unnamed(Identified.CONFLICT), end="2025-03-31", stop_reasons=FAILED),
            SEED,
            ("possibly", ["code-display-conflict"]),
            id="code and display disagree",
        ),
        pytest.param(
            exposure(
                unnamed(Identified.LOOKS_LIKE_ANTIDEPRESSANT, "an SSRI"),
                end="2025-03-31",
                stop_reasons=FAILED,
            ),
            SEED,
            ("possibly", ["looks-like-antidepressant"]),
            id="words look like an antidepressant",
        ),
        pytest.param(
            exposure(unnamed(), end="2025-03-31", stop_reasons=FAILED),
            SEED,
            ("possibly", ["unresolved"]),
            id="medicine not told",
        ),
        pytest.param(
            exposure(unnamed(), end="2025-01-31"), SEED, ("no", ["too-short"]), id="not told, too short"
        ),
        pytest.param(
            exposure(end="2025-03-31", indication=Indication.OTHER, stop_reasons=FAILED),
            SEED,
            ("possibly", ["other-indication"]),
            id="full dose, another reason recorded",
        ),
        pytest.param(
            exposure(end="2025-03-31", indication=Indication.OTHER, mg=NOT_DOCUMENTED, stop_reasons=FAILED),
            SEED,
            ("possibly", ["other-indication"]),
            id="no dose, another reason recorded",
        ),
        pytest.param(
            exposure(end="2025-03-31", mg=(25, 50), stop_reasons=FAILED),
            SEED,
            ("possibly", []),
            id="dose open",
        ),
        pytest.param(
            exposure(start="2025-01", end="2025-02-20", stop_reasons=FAILED),
            SEED,
            ("possibly", []),
            id="dates open",
        ),
    ],
)
def test_counts(given: Exposure, criteria: Criteria, expected: tuple[str, list[str]]) -> None:
    found = (
        trial(given, criteria=criteria)
        if given.medicine.role is Role.ANTIDEPRESSANT
        else trials(given, criteria=criteria)[0]
    )
    assert counts(found) == expected
    assert bool(found.needed) == (found.counts.value == "possibly")


@pytest.mark.parametrize(
    ("given", "criteria", "needed"),
    [
        pytest.param(exposure(), SEED, "a current symptom score (PHQ-9 or MADRS)", id="ongoing"),
        pytest.param(
            exposure(end="2025-03-31", stop_reasons=frozenset({StopReason.UNCLEAR})),
            SEED,
            "the reason for stopping",
            id="reason unclear",
        ),
        pytest.param(
            exposure(end="2025-03-31"), DOCUMENTED_FAILURES_ONLY, "the reason for stopping", id="inferred"
        ),
        pytest.param(
            exposure(medicine(identified=Identified.TEXT_ONLY), end="2025-03-31"),
            SEED,
            "a code for the medicine",
            id="by name",
        ),
        pytest.param(exposure(unnamed(), end="2025-03-31"), SEED, "which medicine it was", id="not told"),
        pytest.param(
            exposure(end="2025-03-31", indication=Indication.OTHER),
            SEED,
            "whether it was also given for depression",
            id="another reason",
        ),
        pytest.param(
            exposure(start="2025-01", end="2025-02-20"), SEED, "the exact start and end dates", id="dates"
        ),
    ],
)
def test_what_would_settle_it_is_named(given: Exposure, criteria: Criteria, needed: str) -> None:
    assert needed in trials(given, criteria=criteria)[0].needed


@pytest.mark.parametrize(
    "given",
    [
        pytest.param(exposure("lithium", end="2025-03-31"), id="augmenting agent"),
        pytest.param(exposure("esketamine", end="2025-03-31"), id="esketamine"),
        pytest.param(
            exposure(medicine("ramipril", role=Role.OTHER), end="2025-03-31"), id="another medicine"
        ),
    ],
)
def test_what_is_no_trial_at_all(given: Exposure) -> None:
    assert trials(given) == ()


def test_one_ingredient_is_one_trial_with_its_courses() -> None:
    found = trial(exposure(end="2025-03-31"), exposure(start="2025-09-01", end="2025-10-31"))
    assert [(c.days, c.adequate_days) for c in found.courses] == [((90, 90), (90, 90)), ((61, 61), (61, 61))]
    assert (found.start, found.end) == (some_day("2025-01-01"), some_day("2025-10-31"))
    assert found.adequate_days == (90, 90)


def test_two_short_courses_are_never_summed() -> None:
    found = trial(exposure(end="2025-01-31"), exposure(start="2025-09-01", end="2025-09-30"))
    assert counts(found) == ("no", ["too-short"])


def test_each_medicine_of_a_combination_is_judged_alone() -> None:
    given = exposure(end="2025-03-31", stop_reasons=FAILED)
    found = trials(given, exposure("mirtazapine", end="2025-03-31", mg=7.5))
    assert {t.name: t.counts.value for t in found} == {"sertraline": "yes", "mirtazapine": "no"}


def test_trials_come_in_order_of_time() -> None:
    found = trials(
        exposure("fluoxetine", start="2025-06-01", end="2025-06-30"),
        exposure("citalopram", start=None, end="2025-06-30"),
        exposure("sertraline", start="2025-01", end="2025-06-30"),
        exposure("duloxetine", start="2025-01-01", end="2025-06-30"),
    )
    assert [t.name for t in found] == ["citalopram", "duloxetine", "sertraline", "fluoxetine"]


def test_words_and_code_for_one_medicine_are_two_trials() -> None:
    by_name = exposure(medicine(identified=Identified.TEXT_ONLY), start="2025-06-01", end="2025-08-31")
    found = trials(exposure(end="2025-03-31", stop_reasons=FAILED), by_name)
    assert [t.counts.value for t in found] == ["yes", "possibly"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param([exposure(end="2025-03-31", mg=50)], (50, 50), id="one dose"),
        pytest.param(
            [exposure(end="2025-01-31", mg=25), exposure(start="2025-02-01", end="2025-03-31", mg=(50, 100))],
            (25, 100),
            id="lowest to highest",
        ),
        pytest.param([exposure(end="2025-03-31", mg=NOT_DOCUMENTED)], None, id="not documented"),
    ],
)
def test_the_daily_dose_is_what_is_documented(
    given: list[Exposure], expected: tuple[float, float] | None
) -> None:
    assert trial(*given).daily_dose_mg == expected


def test_in_the_episode() -> None:
    assert trial(exposure(end="2025-03-31")).in_episode
    assert not trial(exposure(start="2023-01-01", end="2023-12-31")).in_episode
    assert trial(exposure(start="2023-01-01", end="2023-12-31"), during=episode("2023")).in_episode


def test_ongoing_is_said_even_where_no_end_is_known() -> None:
    found = trial(exposure(), exposure(start=None, status=ExposureStatus.ENDED))
    assert found.ongoing
    assert (found.start, found.end) == (None, None)


def test_taken_before_a_depression_that_is_over_is_outside() -> None:
    during = episode("2025-06-01", active=Finding.NOT_MET)
    assert counts(trial(exposure(end="2025-03-31"), during=during)) == ("no", ["outside-episode"])


def test_an_adequate_course_that_failed_is_not_hidden_by_a_longer_one() -> None:
    """Taken six weeks without effect, then again for longer and stopped for its cost."""
    failed = exposure(end="2025-02-28", stop_reasons=FAILED)
    again = exposure(start="2025-09-01", end="2025-12-31", stop_reasons=frozenset({StopReason.OTHER}))
    assert trial(failed, again).counts.value == "yes"
