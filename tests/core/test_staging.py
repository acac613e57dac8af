"""Published staging scales, as ranges where the record leaves an item open."""

from dataclasses import replace

import pytest

from service.core.courses import Episode
from service.core.depression import assess_depression
from service.core.findings import Finding
from service.core.records import Diagnosis, Exposure, Procedure, Severity, StopReason
from service.core.scores import Symptoms
from service.core.staging import Range, StagingScores, stage
from tests.core.builders import (
    AS_OF,
    NOT_DOCUMENTED,
    US,
    depression,
    episode,
    exposure,
    record,
    settled,
    trials,
    unnamed,
)

FAILED = frozenset({StopReason.INEFFECTIVE})
DOSES = {"venlafaxine": 150, "amitriptyline": 150, "phenelzine": 45, "sertraline": 100, "fluoxetine": 20}


def failed(name: str, start: str = "2025-01-01", end: str = "2025-03-31") -> Exposure:
    return exposure(name, start=start, end=end, mg=DOSES.get(name, 200), stop_reasons=FAILED)


def staged(
    *exposures: Exposure,
    during: Episode | None = None,
    of: Diagnosis | None = None,
    procedures: tuple[Procedure, ...] = (),
    not_read: tuple[str, ...] = ("Procedure",),
) -> StagingScores:
    during = during or episode("2025-01-01")
    found = assess_depression(record(of or depression()), Symptoms(), AS_OF)
    given = replace(record(*procedures, not_read=not_read), exposures=settled(*exposures))
    return stage(trials(*exposures, during=during), given, found, during, US)


@pytest.mark.parametrize(
    ("exposures", "msm"),
    [
        pytest.param([], (5, 6), id="none failed"),
        pytest.param([failed("sertraline")], (6, 7), id="one or two"),
        pytest.param(
            [failed("sertraline"), failed("fluoxetine"), failed("venlafaxine")], (7, 8), id="three or four"
        ),
    ],
)
def test_maudsley_counts_failures(exposures: list[Exposure], msm: tuple[float, float]) -> None:
    """23 months (2), moderate (3), failures in bands; electroconvulsive therapy is open."""
    assert staged(*exposures).msm == Range(*msm, ("electroconvulsive therapy",))


@pytest.mark.parametrize(
    ("start", "score"),
    [
        pytest.param("2026-01-01", (1, 1), id="within a year"),
        pytest.param("2025-01-01", (2, 2), id="within two years"),
        pytest.param("2024-01-01", (3, 3), id="longer"),
        pytest.param("2025", (1, 2), id="known by year"),
        pytest.param("2024", (2, 3), id="known by year, around two years"),
    ],
)
def test_maudsley_duration(start: str, score: tuple[float, float]) -> None:
    msm = staged(during=episode(start)).msm
    assert (msm.low, msm.high) == (score[0] + 3, score[1] + 3 + 1)


def test_maudsley_duration_of_an_assumed_episode_is_open() -> None:
    msm = staged(during=episode("2021-11-23", assumed=True)).msm
    assert msm == Range(4, 7, ("duration of the episode", "electroconvulsive therapy"))


@pytest.mark.parametrize(
    ("given", "low", "high"),
    [
        pytest.param(depression(severity=Severity.MILD), 2, 2, id="mild"),
        pytest.param(depression(severity=Severity.MODERATE), 3, 3, id="moderate"),
        pytest.param(depression(severity=Severity.SEVERE), 4, 4, id="severe"),
        pytest.param(depression(severity=Severity.SEVERE, psychotic=True), 5, 5, id="psychotic"),
        pytest.param(depression(severity=None), 1, 5, id="not stated"),
    ],
)
def test_maudsley_severity(given: Diagnosis, low: float, high: float) -> None:
    msm = staged(of=given).msm
    assert (msm.low, msm.high) == (2 + low, 2 + high + 1)
    assert ("severity" in msm.unknown) == (low != high)


def test_the_published_range_of_maudsley_is_kept() -> None:
    many = [failed(name) for name in US.ingredients if US.ingredients[name].minimum_mg]
    worst = staged(
        *many,
        exposure("lithium", mg=900),
        during=episode("2020-01-01"),
        of=depression(severity=Severity.SEVERE, psychotic=True),
    )
    assert worst.msm.high == 15


@pytest.mark.parametrize(
    ("exposures", "low", "high"),
    [
        pytest.param([], 0, 3, id="none"),
        pytest.param([failed("sertraline")], 1, 4.5, id="one"),
        pytest.param([failed("sertraline"), failed("fluoxetine")], 2, 6, id="two"),
        pytest.param(
            [failed("sertraline"), exposure("lithium", start="2025-02-01", mg=900)], 1.5, 5, id="augmented"
        ),
        pytest.param([exposure("sertraline")], 0, 4.5, id="one that may have failed"),
    ],
)
def test_massachusetts_general(exposures: list[Exposure], low: float, high: float) -> None:
    found = staged(*exposures).mgh_s
    assert (found.low, found.high) == (low, high)


@pytest.mark.parametrize(
    ("agent", "augmented"),
    [
        pytest.param(exposure("lithium", start="2025-03-31", mg=900), True, id="on the last day"),
        pytest.param(exposure("lithium", start="2025-04-01", mg=900), False, id="the day after"),
        pytest.param(
            exposure("lithium", start="2024-12-01", end="2025-01-01", mg=900), True, id="on the first day"
        ),
        pytest.param(exposure("lithium", start="2025", end="2025-12-31", mg=900), False, id="not certainly"),
        pytest.param(exposure("fluoxetine", start="2025-02-01"), False, id="an antidepressant is no agent"),
    ],
)
def test_augmented_is_what_certainly_ran_beside_it(agent: Exposure, augmented: bool) -> None:
    alone, beside = staged(failed("sertraline")), staged(failed("sertraline"), agent)
    point = beside.mgh_s.low - alone.mgh_s.low
    assert (point == 0.5) == augmented


@pytest.mark.parametrize(
    ("agent", "points"),
    [
        pytest.param(exposure("quetiapine", start="2025-02-01", mg=150), (0.5, 0.5), id="the minimum"),
        pytest.param(exposure("quetiapine", start="2025-02-01", mg=25), (0, 0), id="for sleep"),
        pytest.param(
            exposure("quetiapine", start="2025-02-01", mg=NOT_DOCUMENTED), (0, 0.5), id="not documented"
        ),
        pytest.param(
            exposure("quetiapine", start="2025-04-01", mg=NOT_DOCUMENTED), (0, 0), id="after it ended"
        ),
        pytest.param(
            exposure("quetiapine", start="2025", end="2025-12-31", mg=150), (0, 0.5), id="perhaps in time"
        ),
    ],
)
def test_an_agent_augments_from_its_minimum_dose(agent: Exposure, points: tuple[float, float]) -> None:
    alone, beside = staged(failed("sertraline")).mgh_s, staged(failed("sertraline"), agent).mgh_s
    assert (beside.low - alone.low, beside.high - alone.high) == points
    assert ("augmentation" in beside.unknown) == (points[0] < points[1])


def test_an_agent_beside_a_trial_before_the_episode_is_no_augmentation() -> None:
    earlier = failed("sertraline", "2024-01-01", "2024-03-31")
    agent = exposure("lithium", start="2024-02-01", end="2024-03-31", mg=900)
    assert staged(earlier, agent).mgh_s.low == 0


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        pytest.param([], (0, 0), id="0: none"),
        pytest.param(["sertraline"], (1, 1), id="I: one"),
        pytest.param(["sertraline", "fluoxetine"], (1, 1), id="I: two of one class"),
        pytest.param(["sertraline", "venlafaxine"], (2, 2), id="II: two classes"),
        pytest.param(["amitriptyline", "sertraline"], (3, 3), id="III: a tricyclic too"),
        pytest.param(["sertraline", "phenelzine"], (2, 2), id="II: an MAOI without a tricyclic"),
        pytest.param(["sertraline", "amitriptyline", "phenelzine"], (4, 5), id="IV: V with ECT"),
    ],
)
def test_thase_rush(names: list[str], expected: tuple[float, float]) -> None:
    found = staged(*(failed(name) for name in names)).thase_rush
    assert (found.low, found.high) == expected


def test_what_may_have_failed_opens_every_scale() -> None:
    scores = staged(failed("sertraline"), exposure("venlafaxine", mg=150))
    assert all("which trials failed" in scale.unknown for scale in scores)
    assert (scores.thase_rush.low, scores.thase_rush.high) == (1, 2)


def test_a_medicine_that_cannot_be_told_is_a_class_of_its_own() -> None:
    scores = staged(failed("sertraline"), exposure(unnamed(), end="2025-03-31"))
    assert (scores.thase_rush.low, scores.thase_rush.high) == (1, 2)


def test_low_never_exceeds_high() -> None:
    for during in (episode("2025"), episode("2020-01-01", active=Finding.INDETERMINATE)):
        for scale in staged(failed("sertraline"), exposure("venlafaxine", start="2024"), during=during):
            assert scale.low <= scale.high
