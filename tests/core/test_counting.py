"""How many trials failed, of how many classes, and related medicines counted as one or two."""

from dataclasses import replace

import pytest

from service.core.assessment import Assessment
from service.core.findings import Answer, Finding
from service.core.knowledge import Criteria, RelatedPairs
from service.core.records import Exposure, Identified
from tests.core.builders import (
    INEFFECTIVE,
    SEED,
    assessed,
    codes,
    criterion,
    depression,
    exposure,
    medicine,
    record,
    unnamed,
    with_criteria,
)

TWO_CLASSES = replace(SEED, required_classes=2)
MERGED = replace(SEED, related_pairs=RelatedPairs.MERGED)


def first(name: str) -> Exposure:
    return exposure(name, start="2025-01-01", end="2025-03-31", mg=300, stop_reasons=INEFFECTIVE)


def second(name: str) -> Exposure:
    return exposure(name, start="2025-05-01", end="2025-07-31", mg=300, stop_reasons=INEFFECTIVE)


def running(name: str) -> Exposure:
    return exposure(name, start="2025-09-01", mg=300)


def found(*exposures: Exposure, criteria: Criteria) -> Assessment:
    return assessed(record(depression(), *exposures), knowledge=with_criteria(criteria))


def trials_answer(assessment: Assessment) -> Answer:
    return assessment.pathways[0].criteria[1].answer


@pytest.mark.parametrize(
    ("exposures", "finding", "code"),
    [
        pytest.param(
            (first("sertraline"), second("paroxetine")), Finding.NOT_MET, "too-few-classes", id="one class"
        ),
        pytest.param(
            (first("sertraline"), second("venlafaxine")), Finding.MET, "enough-failed-trials", id="two"
        ),
        pytest.param(
            (first("sertraline"), second("paroxetine"), running("venlafaxine")),
            Finding.INDETERMINATE,
            "failed-trials-undecided",
            id="a second class may have failed",
        ),
        pytest.param(
            (first("sertraline"), second("paroxetine"), running("citalopram")),
            Finding.NOT_MET,
            "too-few-classes",
            id="only one class, whatever failed",
        ),
        pytest.param(
            (
                first("sertraline"),
                second("paroxetine"),
                exposure(unnamed(Identified.UNRESOLVED), start="2025-09-01"),
            ),
            Finding.INDETERMINATE,
            "failed-trials-undecided",
            id="a medicine that cannot be told may be of any class",
        ),
    ],
)
def test_a_criteria_set_may_ask_for_classes(
    exposures: tuple[Exposure, ...], finding: Finding, code: str
) -> None:
    answer = trials_answer(found(*exposures, criteria=TWO_CLASSES))
    assert (answer.finding, [reason.code.value for reason in answer.reasons]) == (finding, [code])
    assert bool(answer.needed) == (finding is Finding.INDETERMINATE)


def test_the_classes_are_reported() -> None:
    failed = found(first("sertraline"), second("paroxetine"), criteria=TWO_CLASSES).failed_trials
    assert (failed.definite, failed.classes, failed.required_classes) == (2, 1, 2)
    (reason,) = trials_answer(found(first("sertraline"), second("paroxetine"), criteria=TWO_CLASSES)).reasons
    assert reason.text == "2 trials failed, but of only 1 class; 2 classes are required"


@pytest.mark.parametrize(
    ("one", "other"), [("citalopram", "escitalopram"), ("venlafaxine", "desvenlafaxine")]
)
def test_a_related_pair_counts_twice_and_is_flagged_or_counts_once(one: str, other: str) -> None:
    two = found(first(one), second(other), criteria=SEED)
    assert two.failed_trials.definite == 2
    assert [w.code.value for w in two.warnings] == ["related-pair"]
    assert {reference.id for reference in two.warnings[0].evidence} == {
        e.evidence[0].id for e in (first(one), second(other))
    }
    merged = found(first(one), second(other), criteria=MERGED)
    assert (merged.failed_trials.definite, merged.warnings) == (1, ())
    assert trials_answer(merged).finding is Finding.NOT_MET


def test_medicines_that_are_not_related_are_not_flagged() -> None:
    assert found(first("citalopram"), second("sertraline"), criteria=SEED).warnings == ()


def test_a_merged_pair_of_which_one_may_have_failed_counts_once() -> None:
    failed = found(first("citalopram"), running("escitalopram"), criteria=MERGED).failed_trials
    assert (failed.definite, failed.possible) == (1, 0)


def test_a_medicine_by_words_is_no_second_trial_beside_its_code() -> None:
    words = replace(second("sertraline"), medicine=medicine("sertraline", identified=Identified.TEXT_ONLY))
    failed = found(first("sertraline"), words, criteria=SEED).failed_trials
    assert (failed.definite, failed.possible) == (1, 0)


def test_a_pair_is_inferred_only_where_none_of_it_is_documented() -> None:
    one, other = first("citalopram"), second("escitalopram")
    switched = replace(one, stop_reasons=frozenset())
    assert found(switched, other, criteria=MERGED).failed_trials[:2] == (1, 0)
    begun = exposure("escitalopram", start="2025-05-01", mg=300)
    assert found(switched, begun, criteria=MERGED).failed_trials[:2] == (1, 1)


@pytest.mark.parametrize("kind", ["MedicationRequest", "MedicationDispense", "MedicationAdministration"])
def test_a_kind_of_medicine_record_that_is_not_shown_leaves_too_few_trials_open(kind: str) -> None:
    of = record(depression(), first("sertraline"), refused=(kind,), not_read=(kind,))
    answer = criterion(assessed(of), "two-adequate-trials-without-relief")
    assert answer.finding is Finding.INDETERMINATE
    assert "medicines-not-shown" in codes(answer.reasons)

    enough = record(
        depression(), first("sertraline"), second("venlafaxine"), refused=(kind,), not_read=(kind,)
    )
    assert criterion(assessed(enough), "two-adequate-trials-without-relief").finding is Finding.MET
