"""What would settle a decision: facts that the core itself, given them, decides by."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given

from service.core import settling
from service.core.decision import Decision, NeedsInformation, settles_of
from service.core.knowledge import Criteria, Knowledge
from service.core.records import (
    ClinicalStatus,
    DepressionState,
    Diagnosis,
    Exposure,
    Grade,
    Identified,
    Indication,
    Measure,
    Medicine,
    Record,
    Severity,
    StopReason,
    SuicidalityKind,
    Verification,
)
from service.core.settling import with_settling_facts
from service.core.words import state_decision, summarise
from tests.core.builders import (
    AS_OF,
    DOCUMENTED_FAILURES_ONLY,
    DOSE_MUST_BE_DOCUMENTED,
    EU,
    NOT_DOCUMENTED,
    US,
    WEEKDAYS,
    acute,
    condition,
    decided,
    depression,
    exposure,
    medicine,
    person,
    record,
    ref,
    resistant,
    result,
    safety_condition,
    suicidality,
    unnamed,
    unreadable,
    with_criteria,
)
from tests.core.settled import assert_honest
from tests.core.strategies import CRITERIA, records
from tests.examples import tries

INEFFECTIVE = frozenset({StopReason.INEFFECTIVE})


def settled(of: Record, knowledge: Knowledge = US, *, days: int = 0) -> Decision:
    """The decision with what would settle it."""
    as_of = AS_OF + timedelta(days=days)
    return with_settling_facts(decided(of, knowledge=knowledge, as_of=as_of), of, WEEKDAYS)


def sets(of: Record, knowledge: Knowledge = US) -> list[tuple[str, ...]]:
    """The sets of facts, each with the decision that it leads to as its last word."""
    return [
        (*(fact.text for fact in one.facts), one.leads_to.value) for one in settles_of(settled(of, knowledge))
    ]


# Honest and minimal -----------------------------------------------------------------------------------


@tries(60, suppress_health_check=[HealthCheck.too_slow])
@given(records(), CRITERIA)
def test_what_is_said_to_settle_it_does_and_no_part_of_it(of: Record, criteria: Criteria) -> None:
    decision = settled(of, with_criteria(criteria))
    found = settles_of(decision)

    assert_honest(decision, of)
    sizes = [len(one.facts) for one in found]
    assert sizes == sorted(sizes)
    assert len(found) <= 3
    assert all(1 <= size <= 3 for size in sizes)
    assert len({one.facts for one in found}) == len(found)


@tries(30, suppress_health_check=[HealthCheck.too_slow])
@given(records())
def test_the_order_of_entries_never_changes_what_would_settle_it(of: Record) -> None:
    turned = replace(of, exposures=of.exposures[::-1], diagnoses=of.diagnoses[::-1])

    assert settled(turned) == settled(of)


# Which facts are open ---------------------------------------------------------------------------------


DEPRESSED = depression(recorded="2026-10-01")
FAILED = (
    exposure("sertraline", start="2026-01-01", end="2026-03-31", stop_reasons=INEFFECTIVE),
    exposure("venlafaxine", start="2026-04-10", end="2026-08-31", mg=150, stop_reasons=INEFFECTIVE),
)


UNNAMED = 'the medicine recorded as "medicine not named"'
ONE_MORE = "an adequate trial of another antidepressant that did not help"
TWO_MORE = "adequate trials of two further antidepressants that did not help"


def one_failure(*more: Exposure | Diagnosis, **changes: Any) -> Record:
    return record(DEPRESSED, FAILED[0], *more, **changes)


RUNNING = exposure("venlafaxine", start="2025-05-01", mg=150, stop_reasons=frozenset())
PRESCRIBED = exposure(
    "escitalopram", start="2025-05-01", end="2025-07-31", grade=Grade.PRESCRIBED, stop_reasons=INEFFECTIVE
)


def tried(what: str | Medicine = "venlafaxine", **changes: Any) -> Exposure:
    """A second trial that did not help, but for what is changed."""
    known: dict[str, Any] = {
        "start": "2025-10-01",
        "end": "2025-12-31",
        "mg": 150,
        "stop_reasons": INEFFECTIVE,
    }
    return exposure(what, **(known | changes))


@pytest.mark.parametrize(
    ("of", "expected"),
    [
        (
            one_failure(RUNNING),
            [("a PHQ-9 today of 10 or more", "propose"), ("a PHQ-9 today of 4 or less", "decline")],
        ),
        (
            one_failure(PRESCRIBED),
            [("that escitalopram was dispensed", "propose"), ("that escitalopram was not taken", "decline")],
        ),
        (
            one_failure(replace(PRESCRIBED, period=exposure(start="2025-05", end="2025-07-31").period)),
            [
                ("that escitalopram was dispensed", "propose"),
                ("that escitalopram was not taken", "decline"),
            ],
        ),
        (
            one_failure(tried(start="2025-11")),
            [
                ("that venlafaxine was taken for at least 6 weeks in this episode", "propose"),
                ("that venlafaxine was taken for less than 6 weeks in this episode", "decline"),
            ],
        ),
        (
            one_failure(tried(mg=(37.5, 150))),
            [
                ("that venlafaxine was taken at 75 mg or more per day", "propose"),
                ("that venlafaxine was taken at less than 75 mg per day", "decline"),
            ],
        ),
        (
            one_failure(tried(stop_reasons=frozenset({StopReason.UNCLEAR}))),
            [
                ("that venlafaxine was stopped because it did not help", "propose"),
                ("that venlafaxine was stopped because the depression had improved", "decline"),
            ],
        ),
        (
            one_failure(tried(indication=Indication.OTHER)),
            [("that venlafaxine was given for depression", "propose")],
        ),
        (
            one_failure(tried(unnamed())),
            [
                (
                    f"that {UNNAMED} was another antidepressant, at an adequate dose",
                    "propose",
                ),
                (f"that {UNNAMED} was no antidepressant", "decline"),
            ],
        ),
    ],
)
def test_an_open_trial(of: Record, expected: list[tuple[str, ...]]) -> None:
    assert sets(of) == expected
    assert_honest(settled(of), of)


def test_a_score_must_show_that_half_of_the_last_one_is_left() -> None:
    """A PHQ-9 of 24 before a medicine: 12 is a response to it, 13 is none."""
    of = one_failure(replace(RUNNING, period=exposure(start="2026-09-01").period))
    of = replace(of, observations=(result(Measure.PHQ_9, 24, "2026-08-31"),))

    assert sets(of)[0] == ("a PHQ-9 today of 13 or more", "propose")
    assert_honest(settled(of), of)


def test_several_facts_may_be_needed_together() -> None:
    assert sets(record(DEPRESSED, RUNNING, PRESCRIBED)) == [
        ("a PHQ-9 today of 4 or less", "decline"),
        ("that escitalopram was not taken", "decline"),
        ("a PHQ-9 today of 10 or more", "that escitalopram was dispensed", "propose"),
    ]


def test_what_needs_more_than_three_facts_is_not_shown() -> None:
    undocumented = [
        tried(name, mg=NOT_DOCUMENTED, stop_reasons=frozenset({StopReason.UNCLEAR}))
        for name in ("venlafaxine", "bupropion")
    ]
    strict = with_criteria(DOSE_MUST_BE_DOCUMENTED)

    assert all(leads_to == "decline" for *_, leads_to in sets(record(DEPRESSED, *undocumented), strict))


def test_what_is_documented_is_not_asked() -> None:
    """The dose of a trial that counts only for its name, and the outcome of one that has a stop reason."""
    of = one_failure(tried(mg=NOT_DOCUMENTED, indication=Indication.UNCLEAR))

    assert sets(of, with_criteria(DOSE_MUST_BE_DOCUMENTED)) == [
        ("that venlafaxine was taken at less than 75 mg per day", "decline"),
        (
            "that venlafaxine was given for depression",
            "that venlafaxine was taken at 75 mg or more per day",
            "propose",
        ),
    ]


def test_a_medicine_by_name_only_is_told_apart_from_a_coded_one() -> None:
    unclear = frozenset({StopReason.UNCLEAR})
    by_name = medicine("venlafaxine", identified=Identified.TEXT_ONLY)
    of = one_failure(tried(stop_reasons=unclear), tried(by_name, start="2026-05-01", end="2026-07-31"))

    assert sets(of)[:2] == [
        ("that venlafaxine was stopped because it did not help", "propose"),
        ("that venlafaxine (recorded by name only) is confirmed as the medicine taken", "propose"),
    ]
    assert_honest(settled(of), of)


def test_an_inferred_failure_that_does_not_count_asks_why_it_was_stopped() -> None:
    of = one_failure(tried(stop_reasons=frozenset()))

    assert sets(of, with_criteria(DOCUMENTED_FAILURES_ONLY)) == [
        ("that venlafaxine was stopped because it did not help", "propose"),
        ("that venlafaxine was stopped because the depression had improved", "decline"),
    ]


CONFIRMED = ("that major depression is confirmed as present now", "propose")
OVER = ("that the depression is over", "decline")


@pytest.mark.parametrize(
    "doubtful",
    [
        depression(DepressionState.UNSPECIFIED),
        depression(DepressionState.PARTIAL_REMISSION),
        depression(verification=Verification.UNPROVEN),
        depression(clinical_status=ClinicalStatus.UNKNOWN),
        condition(suggests_depression=True),
    ],
)
def test_a_depression_in_doubt(doubtful: Diagnosis) -> None:
    of = record(doubtful, *FAILED)

    assert {CONFIRMED, OVER} <= set(sets(of))
    assert_honest(settled(of), of)


def test_no_condition_on_record() -> None:
    assert sets(record(*FAILED)) == [CONFIRMED, OVER]


PASSIVE = suicidality(SuicidalityKind.PASSIVE)
SUICIDAL = "that suicidal ideation with intent, or behaviour, is present now"


@pytest.mark.parametrize(
    ("severity", "expected"),
    [
        (
            Severity.MODERATE,
            [(SUICIDAL, "propose"), ("that no suicidal ideation or behaviour is present now", "decline")],
        ),
        (
            None,
            [
                ("that the depression is mild", "decline"),
                ("that no suicidal ideation or behaviour is present now", "decline"),
                ("that the depression is moderate or severe", SUICIDAL, "propose"),
            ],
        ),
    ],
)
def test_acute_suicidality(severity: Severity | None, expected: list[tuple[str, ...]]) -> None:
    of = record(depression(severity=severity), PASSIVE, exposure(start="2026-11-01"))

    assert sets(of) == expected
    assert_honest(settled(of), of)


def test_a_result_that_may_show_suicidality() -> None:
    of = record(DEPRESSED, exposure(start="2026-11-01"), result(Measure.PHQ_9_ITEM_9, 1))

    assert ("that no suicidal ideation or behaviour is present now", "decline") in sets(of)


@pytest.mark.parametrize(
    ("born", "expected"),
    [
        (None, ["18 or more", "under 18"]),
        ("2008", ["18 or more", "under 18"]),
    ],
)
def test_an_age_in_doubt(born: str | None, expected: list[str]) -> None:
    of = resistant(person=person(born))

    assert [text for text, _ in sets(of)] == [f"a date of birth that shows an age {_of(a)}" for a in expected]
    assert_honest(settled(of), of)


def _of(age: str) -> str:
    return age if age.startswith("under") else f"of {age}"


def test_an_age_for_which_there_is_a_protocol() -> None:
    """Acute suicidality in the EU: the protocol ends with 64, and from 65 on a person must look."""
    of = acute(person=person(None))

    assert sets(of, EU) == [
        ("a date of birth that shows an age of 18 to 64", "propose"),
        ("a date of birth that shows an age under 18", "decline"),
    ]
    assert_honest(settled(of, EU), of)


def test_either_side_of_an_age_that_a_protocol_ends_with() -> None:
    of = resistant(person=person("1961"))

    assert sets(of, EU) == [("the exact date of birth", "propose")]


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        ("2025-12-30", ["before sertraline was started", "after sertraline was stopped"]),
        ("2025-12-31", ["before sertraline was started"]),
    ],
)
def test_an_onset_that_leaves_open_whether_a_trial_lies_in_the_episode(end: str, expected: list[str]) -> None:
    open_trial = exposure(start="2025-10-01", end=end, stop_reasons=frozenset({StopReason.UNCLEAR}))
    of = record(depression(onset="2025", recorded="2026-10-01"), open_trial, FAILED[1])

    onsets = {text for one in sets(of) for text in one if "began" in text}
    assert onsets == {f"that this depression began {when}" for when in expected}
    assert_honest(settled(of), of)


@pytest.mark.parametrize(
    ("of", "expected"),
    [
        (
            record(DEPRESSED),
            [
                (
                    f"that the medication history shows {TWO_MORE}",
                    "propose",
                ),
                ("that the medication history shows no antidepressant", "decline"),
            ],
        ),
        (
            one_failure(unreadable=(unreadable("MedicationStatement"),)),
            [
                (
                    f"that a medicine record that could not be read shows {ONE_MORE}",
                    "propose",
                ),
                ("that a medicine record that could not be read shows no antidepressant", "decline"),
            ],
        ),
        (
            one_failure(refused=("MedicationRequest",)),
            [
                (
                    f"that a medicine record that the server does not provide shows {ONE_MORE}",
                    "propose",
                ),
                (
                    "that a medicine record that the server does not provide shows no antidepressant",
                    "decline",
                ),
            ],
        ),
    ],
)
def test_medicines_that_are_not_seen(of: Record, expected: list[tuple[str, ...]]) -> None:
    assert sets(of) == expected
    assert_honest(settled(of), of)


# Reviews, and decisions that leave nothing open -------------------------------------------------------


UNREAD = "that the records that could not be read or were not provided hold nothing against this treatment"


@pytest.mark.parametrize(
    "withheld", [{"unreadable": (unreadable("Condition"),)}, {"refused": ("Condition",)}]
)
def test_a_review_of_what_could_not_be_read(withheld: dict[str, Any]) -> None:
    of = resistant(**withheld)

    assert sets(of) == [(UNREAD, "propose")]
    assert_honest(settled(of), of)


def test_a_review_of_a_finding_is_not_settled_by_a_fact() -> None:
    finding = safety_condition("bipolar")

    assert sets(resistant(finding)) == []
    assert sets(resistant(finding, unreadable("Condition"))) == []


@pytest.mark.parametrize("of", [resistant(), resistant(safety_condition("aneurysm")), record()])
def test_a_decision_that_leaves_nothing_open_costs_nothing_more(of: Record) -> None:
    decision = decided(of, as_of=AS_OF)
    if not isinstance(decision, NeedsInformation):
        assert with_settling_facts(decision, of, WEEKDAYS) is decision


# Words, days and cost ---------------------------------------------------------------------------------


def test_it_is_said_with_the_decision() -> None:
    said = state_decision(settled(record(DEPRESSED, RUNNING, PRESCRIBED)))

    assert said.endswith(
        "A PHQ-9 today of 4 or less would rule a proposal out. "
        "That escitalopram was not taken would rule a proposal out. "
        "A PHQ-9 today of 10 or more, and that escitalopram was dispensed, would lead to a proposal."
    )


@pytest.mark.parametrize(
    "of",
    [
        one_failure(RUNNING),
        one_failure(PRESCRIBED),
        record(DEPRESSED),
        record(depression(onset="2026", recorded="2026-10-01"), *FAILED),
        resistant(person=person(None)),
        resistant(unreadable("Condition")),
    ],
)
@pytest.mark.parametrize("days", [1, 2, 30])
def test_the_day_alone_changes_nothing_that_is_said(of: Record, days: int) -> None:
    assert summarise(settled(of, days=days)) == summarise(settled(of))


def many(number: int) -> Record:
    """Prescriptions of three medicines, of which nobody knows whether any was taken."""
    names = ("sertraline", "venlafaxine", "bupropion")
    return record(
        depression(onset="2020-01-01"),
        *(
            replace(
                PRESCRIBED,
                medicine=exposure(names[n % 3]).medicine,
                period=exposure(
                    start=(AS_OF - timedelta(days=60 + 2 * n)).isoformat(),
                    end=(AS_OF - timedelta(days=32 + 2 * n)).isoformat(),
                ).period,
                evidence=(ref(f"{n:05}", "MedicationRequest"),),
                stop_reasons=frozenset(),
            )
            for n in range(number)
        ),
    )


@pytest.mark.parametrize(("exposures", "most"), [(30, 120), (200, 24), (1000, 12)])
def test_a_longer_record_is_decided_on_again_fewer_times(
    monkeypatch: pytest.MonkeyPatch, exposures: int, most: int
) -> None:
    of = many(exposures)
    decision = decided(of)
    assert isinstance(decision, NeedsInformation)
    answers = iter([decided(resistant())])
    tried_again: list[Record] = []

    def no_set_of_them_does(changed: Record, *_: object) -> Decision:
        """All facts together lead to a proposal."""
        tried_again.append(changed)
        return next(answers, decision)

    monkeypatch.setattr(settling, "decide", no_set_of_them_does)

    assert settles_of(with_settling_facts(decision, of, WEEKDAYS)) == ()
    assert 1 < len(tried_again) <= most
