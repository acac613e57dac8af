"""The decision table, whole: every combination of what its rows ask for, and the first row that applies.

`ROWS` restates the table of the design. What a combination should lead to is read off it, never computed
by the core, so that a row added, dropped or moved in the core fails here.
"""

from collections.abc import Callable
from itertools import combinations, product
from typing import NamedTuple

import pytest

from service.core.decision import Decision, Decline, NeedsInformation, NeedsReview, Propose
from service.core.findings import Finding
from service.core.knowledge import Knowledge
from service.core.records import PlanOfRecord, PlanStatus, Record, StopReason
from service.knowledge import mappings_directory
from tests.core.builders import (
    Entry,
    decided,
    depression,
    exposure,
    person,
    record,
    ref,
    safety_condition,
    suicidality,
)
from tests.lists import knowledge_of

pytestmark = pytest.mark.no_cover

MET, NOT_MET, OPEN = Finding.MET, Finding.NOT_MET, Finding.INDETERMINATE
ADULT, CHILD, AGELESS = "1980-05-05", "2008-11-24", None


class State(NamedTuple):
    """What the rows of the table ask for; the defaults are those of an adult without anything on record."""

    deceased: bool = False
    born: str | None = ADULT
    contraindicated: bool = False
    treated: bool = False
    trd: Finding = NOT_MET
    acute: Finding = NOT_MET
    review: bool = False

    @property
    def pathways(self) -> set[Finding]:
        return {self.trd, self.acute}

    @property
    def features(self) -> int:
        """How much is on record."""
        return sum(mine != default for mine, default in zip(self, State(), strict=True))


class Row(NamedTuple):
    name: str
    applies: Callable[[State], bool]
    decision: type[Decision]
    reason: str

    def __str__(self) -> str:
        return self.name


ROWS = (
    Row("1 deceased", lambda of: of.deceased, Decline, "deceased"),
    Row("1 minor", lambda of: of.born == CHILD, Decline, "minor"),
    Row("2 contraindicated", lambda of: of.contraindicated, Decline, "contraindicated"),
    Row("3 in treatment", lambda of: of.treated, Decline, "in-treatment"),
    Row("4 both pathways not met", lambda of: of.pathways == {NOT_MET}, Decline, "not-indicated"),
    Row("5 to be reviewed", lambda of: of.review, NeedsReview, "safety-review"),
    Row(
        "6 no pathway met and one open",
        lambda of: MET not in of.pathways and OPEN in of.pathways,
        NeedsInformation,
        "missing-information",
    ),
    Row("6 age unknown", lambda of: of.born is AGELESS, NeedsInformation, "missing-information"),
    Row("7 resistance met", lambda of: of.trd is MET, Propose, "trd"),
    Row(
        "8 acute suicidality alone met",
        lambda of: of.acute is MET and of.trd is not MET,
        Propose,
        "acute-suicidality",
    ),
)
NEVER_TOGETHER = {
    ("1 minor", "6 age unknown"),
    ("4 both pathways not met", "6 no pathway met and one open"),
    ("4 both pathways not met", "7 resistance met"),
    ("4 both pathways not met", "8 acute suicidality alone met"),
    ("6 no pathway met and one open", "7 resistance met"),
    ("6 no pathway met and one open", "8 acute suicidality alone met"),
    ("7 resistance met", "8 acute suicidality alone met"),
}
"""Rows that exclude each other by what they ask for."""

YES_NO, FINDINGS = (False, True), (NOT_MET, OPEN, MET)
STATES = [
    State(*choice)
    for choice in product(YES_NO, (ADULT, CHILD, AGELESS), YES_NO, YES_NO, FINDINGS, FINDINGS, YES_NO)
]


def first_row(of: State) -> Row:
    return next(row for row in ROWS if row.applies(of))


# records ---------------------------------------------------------------------------------------

FAILED = frozenset({StopReason.INEFFECTIVE})
TRIALS: dict[Finding, tuple[Entry, ...]] = {
    MET: (
        exposure("sertraline", start="2025-01-01", end="2025-03-31", stop_reasons=FAILED),
        exposure("venlafaxine", start="2025-04-10", end="2025-08-31", mg=225, stop_reasons=FAILED),
        exposure("mirtazapine", start="2025-09-10", end="2026-01-31", mg=30, stop_reasons=FAILED),
    ),
    OPEN: (
        exposure("sertraline", start="2026-01-01"),
        exposure("venlafaxine", start="2026-01-01", mg=225),
        exposure("mirtazapine", start="2026-01-01", mg=30),
    ),
    NOT_MET: (exposure("sertraline", start="2026-11-01"),),
}
SUICIDALITY: dict[Finding, tuple[Entry, ...]] = {
    MET: (suicidality(),),
    OPEN: (suicidality(recorded=None),),
    NOT_MET: (),
}
ACTIVE_PLAN = PlanOfRecord(ref("plan", "CarePlan"), PlanStatus.ACTIVE, ours=False, edited=False)


def record_of(state: State) -> Record:
    """A record with just what a state says, whatever the criteria set and the region."""
    return record(
        depression(),
        *TRIALS[state.trd],
        *SUICIDALITY[state.acute],
        *([safety_condition("aneurysm")] if state.contraindicated else []),
        *([safety_condition("bipolar")] if state.review else []),
        person=person(state.born, deceased=state.deceased),
        plans=(ACTIVE_PLAN,) if state.treated else (),
    )


def assert_decided(state: State, row: Row, knowledge: Knowledge) -> None:
    decision = decided(record_of(state), knowledge=knowledge)
    assert {p.id: p.finding for p in decision.assessment.pathways} == {
        "trd": state.trd,
        "acute-suicidality": state.acute,
    }, state
    assert (type(decision), decision.reason.value) == (row.decision, row.reason), state


CRITERIA = sorted(path.stem for path in (mappings_directory() / "criteria").glob("*.toml"))
everywhere = pytest.mark.parametrize(
    "knowledge",
    [
        pytest.param((criteria, region), id=f"{criteria}-{region}")
        for criteria in CRITERIA
        for region in ("us", "eu")
    ],
)


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_every_row_decides_a_record_that_has_little_else(row: Row) -> None:
    alone = min((of for of in STATES if first_row(of) is row), key=lambda of: of.features)
    assert_decided(alone, row, knowledge_of("seed", "us"))


@pytest.mark.parametrize(("earlier", "later"), [*combinations(ROWS, 2)], ids=str)
def test_of_two_rows_that_apply_the_earlier_decides(earlier: Row, later: Row) -> None:
    both = [of for of in STATES if first_row(of) is earlier and later.applies(of)]
    assert bool(both) == ((earlier.name, later.name) not in NEVER_TOGETHER)
    for state in sorted(both, key=lambda of: of.features)[:1]:
        assert_decided(state, earlier, knowledge_of("seed", "us"))


@pytest.mark.parametrize(
    "knowledge",
    [
        pytest.param(
            (criteria, region), id=f"{criteria}-{region}", marks=() if region == "us" else pytest.mark.matrix
        )
        for criteria in CRITERIA
        for region in ("us", "eu")
    ],
)
def test_every_combination_is_decided_by_the_first_row_that_applies(knowledge: tuple[str, str]) -> None:
    found = knowledge_of(*knowledge)
    for state in STATES:
        assert_decided(state, first_row(state), found)
