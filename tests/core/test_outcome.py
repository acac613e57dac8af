"""What came of a trial: what the record documents, else what follows from it."""

from typing import Any

import pytest

from service.core.courses import Episode
from service.core.findings import Finding
from service.core.outcome import Outcome
from service.core.records import Exposure, ExposureStatus, Grade, Identified, Indication, StopReason
from service.core.trials import Counts
from tests.core.builders import (
    NOT_DOCUMENTED,
    UNREADABLE_DOSE,
    codes,
    day,
    episode,
    exposure,
    medicine,
    trial,
)

INEFFECTIVE, INTOLERANCE = StopReason.INEFFECTIVE, StopReason.INTOLERANCE
REMISSION, OTHER, UNCLEAR = StopReason.REMISSION, StopReason.OTHER, StopReason.UNCLEAR


def outcome(*exposures: Exposure, during: Episode | None = None) -> Outcome:
    return trial(*exposures, during=during).outcome


def said(*exposures: Exposure, during: Episode | None = None) -> tuple[str, str | None, list[str]]:
    found = outcome(*exposures, during=during)
    return (found.finding.value, found.basis.value if found.basis else None, codes(found.reasons))


def stopped(
    *reasons: StopReason, start: str = "2025-01-01", end: str = "2025-03-31", **more: Any
) -> Exposure:
    return exposure(start=start, end=end, stop_reasons=frozenset(reasons), **more)


DOCUMENTED, INFERRED = "documented", "inferred"


@pytest.mark.parametrize(
    ("reasons", "expected"),
    [
        pytest.param([INEFFECTIVE], ("failed", DOCUMENTED, ["stopped-ineffective"]), id="ineffective"),
        pytest.param([REMISSION], ("responded", DOCUMENTED, ["stopped-in-remission"]), id="remission"),
        pytest.param([INTOLERANCE], ("not-tolerated", DOCUMENTED, ["stopped-intolerance"]), id="intolerance"),
        pytest.param([OTHER], ("unknown", None, ["stopped-other-reason"]), id="another reason"),
        pytest.param([UNCLEAR], ("unknown", None, ["stop-reason-unclear"]), id="a reason no table knows"),
        pytest.param(
            [INEFFECTIVE, INTOLERANCE],
            ("failed", DOCUMENTED, ["stopped-ineffective"]),
            id="did not help, nor agree",
        ),
        pytest.param(
            [INEFFECTIVE, OTHER], ("failed", DOCUMENTED, ["stopped-ineffective"]), id="did not help, and cost"
        ),
        pytest.param(
            [INTOLERANCE, OTHER],
            ("not-tolerated", DOCUMENTED, ["stopped-intolerance"]),
            id="not tolerated, and cost",
        ),
        pytest.param(
            [INEFFECTIVE, REMISSION],
            ("unknown", None, ["stop-reason-unclear"]),
            id="failed and helped: unclear",
        ),
        pytest.param(
            [INEFFECTIVE, UNCLEAR], ("unknown", None, ["stop-reason-unclear"]), id="one that cannot be read"
        ),
    ],
)
def test_a_recorded_reason_decides(
    reasons: list[StopReason], expected: tuple[str, str | None, list[str]]
) -> None:
    assert said(stopped(*reasons)) == expected


def test_a_recorded_reason_outweighs_a_switch_and_an_augmentation() -> None:
    switch = exposure("fluoxetine", start="2025-04-01", end="2025-09-30")
    agent = exposure("lithium", start="2025-02-01", mg=600)
    assert said(stopped(OTHER), switch, agent)[0] == "unknown"


def test_the_last_record_of_a_course_says_why_it_ended() -> None:
    raised = stopped(OTHER, end="2025-01-31", mg=25)
    assert said(raised, stopped(INEFFECTIVE, start="2025-02-01"))[0] == "failed"
    assert (
        said(stopped(INEFFECTIVE, end="2025-01-31", mg=25), stopped(OTHER, start="2025-02-01"))[0]
        == "unknown"
    )


def test_of_records_that_may_be_last_each_may_say_why() -> None:
    perhaps_last = stopped(UNCLEAR, end="2025-03", id="a")
    assert said(perhaps_last, stopped(INEFFECTIVE, end="2025-03-15", id="b"))[0] == "unknown"


@pytest.mark.parametrize("reason", [INTOLERANCE, OTHER])
def test_records_that_may_be_last_and_differ_say_nothing(reason: StopReason) -> None:
    """Read either way, one of them was last; only if both failed is the trial a failure."""
    perhaps_last = stopped(reason, end="2025-03", id="a")
    assert said(perhaps_last, stopped(INEFFECTIVE, end="2025-03-15", id="b"))[0] == "unknown"


def test_without_any_end_every_record_may_be_last() -> None:
    first = stopped(INEFFECTIVE, end="2025-02-28", id="a")
    unknown = exposure(start=None, status=ExposureStatus.ENDED, id="b")
    assert said(first, unknown)[0] == "failed"


# switch and augmentation -----------------------------------------------------------------------

MINE = exposure("sertraline", start="2025-01-01", end="2025-03-31")
QUIET = episode(active=Finding.INDETERMINATE)  # nothing follows from the end alone


def after_the_end(other: Exposure) -> list[str]:
    return said(MINE, other, during=QUIET)[2]


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(exposure("fluoxetine", start="2025-04-01", end="2025-09-30"), id="the day after"),
        pytest.param(exposure("fluoxetine", start="2025-03-01", end="2025-09-30"), id="cross-taper"),
        pytest.param(exposure("fluoxetine", start="2025-07-07", end="2025-09-30"), id="98 days later"),
        pytest.param(exposure("fluoxetine", start="2025-04-01"), id="still taken"),
        pytest.param(
            exposure("fluoxetine", start="2025-04", end="2025-09-30"), id="start known by month, in time"
        ),
        pytest.param(
            exposure("fluoxetine", start="2025-04-01", end="2025-09-30", indication=Indication.DEPRESSION),
            id="for depression",
        ),
    ],
)
def test_another_antidepressant_replaced_it(other: Exposure) -> None:
    assert said(MINE, other, during=QUIET) == ("failed", INFERRED, ["switched"])
    assert "fluoxetine" in outcome(MINE, other, during=QUIET).reasons[0].text
    assert outcome(MINE, other, during=QUIET).inference == "switched-or-augmented"


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(exposure("fluoxetine", start="2025-07-08", end="2025-09-30"), id="99 days later"),
        pytest.param(exposure("fluoxetine", start="2025-07", end="2025-09-30"), id="perhaps too late"),
        pytest.param(exposure("fluoxetine", start="2025-02-01", end="2025-03-31"), id="ended the same day"),
        pytest.param(exposure("fluoxetine", start="2025-01-01", end="2025-09-30"), id="started the same day"),
        pytest.param(exposure("fluoxetine", start="2024-12-01", end="2025-09-30"), id="was there before"),
        pytest.param(exposure("fluoxetine", start="2025", end="2025-09-30"), id="perhaps there before"),
        pytest.param(exposure("fluoxetine", start=None, end="2025-09-30"), id="start unknown"),
        pytest.param(
            exposure("fluoxetine", start="2025-04-01", end="2025-09-30", indication=Indication.OTHER),
            id="for another reason",
        ),
        pytest.param(
            exposure(medicine("fluoxetine", identified=Identified.TEXT_ONLY), start="2025-04-01"),
            id="by text only",
        ),
        pytest.param(exposure("hypericum", start="2025-04-01", end="2025-09-30"), id="never a trial"),
        pytest.param(exposure("esketamine", start="2025-04-01", end="2025-09-30"), id="esketamine"),
        pytest.param(
            exposure("sertraline", start="2025-06-01", end="2025-06-10"), id="the same medicine again"
        ),
        pytest.param(exposure("lithium", start="2025-04-01", end="2025-09-30"), id="an agent after the end"),
    ],
)
def test_another_medicine_did_not_certainly_replace_it(other: Exposure) -> None:
    assert after_the_end(other) == ["no-outcome"]


@pytest.mark.parametrize(
    ("mine", "agent", "expected"),
    [
        pytest.param(
            MINE, exposure("lithium", start="2025-03-31", mg=600), "augmented", id="on the last day"
        ),
        pytest.param(
            MINE,
            exposure("lithium", start="2025-02", end="2025-09-30", mg=600),
            "augmented",
            id="by month",
        ),
        pytest.param(
            exposure(), exposure("lithium", start="2025-06-01", mg=600), "augmented", id="while it goes on"
        ),
        pytest.param(
            exposure(),
            exposure("lithium", start="2025-06-01", indication=Indication.OTHER),
            "ongoing",
            id="agent for another reason",
        ),
        pytest.param(
            exposure(), exposure("lithium", start="2024-06-01"), "ongoing", id="agent there before it"
        ),
        pytest.param(
            exposure(),
            exposure(medicine("lithium", identified=Identified.TEXT_ONLY), start="2025-06-01"),
            "ongoing",
            id="agent by text only",
        ),
        pytest.param(
            exposure(), exposure("fluoxetine", start="2025-06-01"), "ongoing", id="a second antidepressant"
        ),
    ],
)
def test_augmentation(mine: Exposure, agent: Exposure, expected: str) -> None:
    assert said(mine, agent, during=QUIET)[2] == [expected]


def quetiapine(mg: Any, start: str = "2025-02-01", end: str | None = None, **more: Any) -> Exposure:
    return exposure("quetiapine", start=start, end=end, mg=mg, **more)


UNKNOWN, AUGMENTED, NOT_AUGMENTED = ["perhaps-augmented", "no-outcome"], ["augmented"], ["no-outcome"]


@pytest.mark.parametrize(
    ("agents", "expected"),
    [
        pytest.param([quetiapine(150)], AUGMENTED, id="the minimum"),
        pytest.param([quetiapine(149)], NOT_AUGMENTED, id="below the minimum"),
        pytest.param([quetiapine(25)], NOT_AUGMENTED, id="for sleep, though nobody says so"),
        pytest.param([quetiapine((100, 200))], UNKNOWN, id="perhaps enough"),
        pytest.param([quetiapine(NOT_DOCUMENTED)], UNKNOWN, id="not documented"),
        pytest.param([quetiapine(UNREADABLE_DOSE)], UNKNOWN, id="not readable"),
        pytest.param([quetiapine(NOT_DOCUMENTED, "2025-04-01")], NOT_AUGMENTED, id="after it ended"),
        pytest.param([quetiapine(NOT_DOCUMENTED, "2024-12-31")], NOT_AUGMENTED, id="there before it"),
        pytest.param(
            [quetiapine(NOT_DOCUMENTED, indication=Indication.OTHER)], NOT_AUGMENTED, id="for something else"
        ),
        pytest.param(
            [quetiapine(50, end="2025-02-28"), quetiapine(150, "2025-03-01")], AUGMENTED, id="raised in time"
        ),
        pytest.param(
            [quetiapine(50, end="2025-03-31"), quetiapine(150, "2025-04-01")],
            NOT_AUGMENTED,
            id="raised after it ended",
        ),
        pytest.param(
            [quetiapine(50, id="a"), quetiapine(100, id="b")], AUGMENTED, id="strengths that add up"
        ),
        pytest.param([quetiapine(150, grade=Grade.PRESCRIBED)], AUGMENTED, id="prescribed"),
        pytest.param(
            [exposure("liothyronine", start="2025-02-01", mg=0.025)], AUGMENTED, id="25 micrograms of T3"
        ),
        pytest.param(
            [exposure("liothyronine", start="2025-02-01", mg=0.0125)], NOT_AUGMENTED, id="12.5 micrograms"
        ),
    ],
)
def test_an_agent_augments_from_its_minimum_dose(agents: list[Exposure], expected: list[str]) -> None:
    assert said(MINE, *agents, during=QUIET)[2] == expected


def test_an_agent_whose_dose_is_not_documented_makes_a_failure_possible() -> None:
    """Whatever the criteria set assumes of the doses of antidepressants."""
    found = trial(exposure(), quetiapine(NOT_DOCUMENTED))
    assert (found.counts, found.outcome.finding) == (Counts.POSSIBLY, "unknown")
    assert "quetiapine was added" in found.outcome.reasons[0].text
    assert "the daily dose of the agent that was added" in found.needed


def test_an_agent_whose_dose_is_not_documented_takes_no_failure_away() -> None:
    switch = exposure("fluoxetine", start="2025-04-01", end="2025-09-30")
    assert said(MINE, quetiapine(NOT_DOCUMENTED), switch, during=QUIET)[2] == ["switched"]
    assert said(stopped(INEFFECTIVE), quetiapine(NOT_DOCUMENTED))[2] == ["stopped-ineffective"]


def test_a_refill_of_an_older_medicine_is_neither_a_switch_nor_an_augmentation() -> None:
    """Monthly records of what was taken all along start nothing new."""
    months = [("2024-11-01", "2025-01-31"), ("2025-02-01", "2025-04-30"), ("2025-05-01", "2025-07-31")]
    for name in ("fluoxetine", "lithium"):
        refills = [exposure(name, start=start, end=end) for start, end in months]
        assert said(MINE, *refills, during=QUIET)[2] == ["no-outcome"]


# neither ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mine", "during", "expected"),
    [
        pytest.param(MINE, episode(), ("failed", INFERRED, ["ended-while-active"]), id="depression active"),
        pytest.param(MINE, QUIET, ("unknown", None, ["no-outcome"]), id="depression perhaps active"),
        pytest.param(
            MINE,
            episode(active=Finding.NOT_MET),
            ("unknown", None, ["no-outcome"]),
            id="depression not active",
        ),
        pytest.param(
            MINE,
            episode("2025-02-01"),
            ("failed", INFERRED, ["ended-while-active"]),
            id="ended in the episode",
        ),
        pytest.param(
            MINE,
            episode("2025-03"),
            ("failed", INFERRED, ["ended-while-active"]),
            id="ended on the latest start",
        ),
        pytest.param(
            MINE, episode("2025"), ("unknown", None, ["no-outcome"]), id="perhaps ended before the episode"
        ),
        pytest.param(exposure(), episode(), ("unknown", None, ["ongoing"]), id="ongoing is no failure"),
        pytest.param(
            exposure(end="2026-11-24"), episode(), ("unknown", None, ["ongoing"]), id="ends tomorrow: ongoing"
        ),
        pytest.param(
            exposure(asserted=day("2025-06-01")),
            episode(),
            ("unknown", None, ["end-uncertain"]),
            id="active, but asserted long ago",
        ),
        pytest.param(
            exposure(end="2025-06-01", status=ExposureStatus.ACTIVE),
            episode(),
            ("failed", INFERRED, ["ended-while-active"]),
            id="active, with an end in the past",
        ),
        pytest.param(
            exposure(end="2026-11-23", status=ExposureStatus.ACTIVE),
            episode(),
            ("unknown", None, ["end-uncertain"]),
            id="active, ends today",
        ),
        pytest.param(
            exposure(end="2026", status=ExposureStatus.ACTIVE),
            episode(),
            ("unknown", None, ["end-uncertain"]),
            id="active, ends some time this year",
        ),
        pytest.param(
            exposure(start=None, status=ExposureStatus.ENDED),
            episode(),
            ("unknown", None, ["end-uncertain"]),
            id="ended, no dates at all",
        ),
        pytest.param(
            exposure(status=ExposureStatus.ENDED),
            episode(),
            ("failed", INFERRED, ["ended-while-active"]),
            id="ended at an unknown time since it began",
        ),
    ],
)
def test_without_a_reason(
    mine: Exposure, during: Episode, expected: tuple[str, str | None, list[str]]
) -> None:
    assert said(mine, during=during) == expected
