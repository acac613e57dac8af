"""Everything concluded from one record: the criteria, what is missing, and what was set aside."""

from typing import Any

import pytest

from service.core.findings import Finding, all_met
from service.core.records import (
    ClinicalStatus,
    Concept,
    Diagnosis,
    DoubtfulDate,
    ExposureStatus,
    Identified,
    Record,
    Role,
    Unplaced,
    VersionedReference,
)
from tests.core.builders import (
    DOCUMENTED_FAILURES_ONLY,
    INEFFECTIVE,
    NOT_DOCUMENTED,
    TWO_FAILURES,
    UNREADABLE_DOSE,
    acute,
    assessed,
    coded,
    codes,
    condition,
    criterion,
    day,
    depression,
    exposure,
    medicine,
    person,
    record,
    ref,
    resistant,
    unnamed,
    unreadable,
    with_criteria,
)

TRIALS = "two-adequate-trials-without-relief"
ONE_FAILED = exposure(end="2025-03-31", stop_reasons=INEFFECTIVE)


def two_trials(of: Record) -> tuple[str, list[str]]:
    answer = criterion(assessed(of), TRIALS)
    assert bool(answer.needed) == (answer.finding is Finding.INDETERMINATE)
    return (answer.finding.value, codes(answer.reasons))


@pytest.mark.parametrize(
    ("of", "expected"),
    [
        pytest.param(resistant(), ("met", ["enough-failed-trials"]), id="two failed"),
        pytest.param(
            record(depression(), ONE_FAILED), ("not-met", ["too-few-failed-trials"]), id="one failed"
        ),
        pytest.param(
            record(depression(), ONE_FAILED, exposure("fluoxetine", start="2025-06-01")),
            ("indeterminate", ["failed-trials-undecided"]),
            id="one failed, one may have",
        ),
        pytest.param(
            record(depression(), exposure("fluoxetine", start="2025-06-01")),
            ("not-met", ["too-few-failed-trials"]),
            id="one may have: never two",
        ),
        pytest.param(
            record(depression(), exposure(unnamed(), end="2025-03-31")),
            ("indeterminate", ["failed-trials-undecided"]),
            id="one medicine that cannot be told: the record may hold more",
        ),
        pytest.param(
            record(depression(), exposure(unnamed(), end="2025-01-31")),
            ("not-met", ["too-few-failed-trials"]),
            id="one that cannot be told, and too short for a trial",
        ),
        pytest.param(
            record(depression(), exposure(unnamed(Identified.OTHER, "ramipril"), end="2025-03-31")),
            ("not-met", ["too-few-failed-trials"]),
            id="another medicine",
        ),
        pytest.param(
            record(depression()), ("indeterminate", ["no-medicines-on-record"]), id="no medicine at all"
        ),
        pytest.param(
            record(depression(), unreadable("MedicationStatement")),
            ("indeterminate", ["unreadable-medicines"]),
            id="one unreadable",
        ),
        pytest.param(
            record(depression(), ONE_FAILED, unreadable("Medication")),
            ("indeterminate", ["unreadable-medicines"]),
            id="an unreadable Medication",
        ),
        pytest.param(
            record(depression(), ONE_FAILED, unreadable("Condition")),
            ("not-met", ["too-few-failed-trials"]),
            id="another kind unreadable",
        ),
        pytest.param(
            resistant(unreadable("MedicationStatement")),
            ("met", ["enough-failed-trials"]),
            id="met whatever else",
        ),
    ],
)
def test_counting(of: Record, expected: tuple[str, list[str]]) -> None:
    assert two_trials(of) == expected


def test_the_count_tells_inferred_failures_apart() -> None:
    assert assessed(resistant()).failed_trials[:4] == (2, 1, 0, 2)
    strict = assessed(resistant(), knowledge=with_criteria(DOCUMENTED_FAILURES_ONLY))
    assert strict.failed_trials[:4] == (1, 0, 1, 2)
    assert criterion(strict, TRIALS).finding is Finding.INDETERMINATE


def test_what_would_settle_the_count_is_named_with_the_medicine() -> None:
    found = assessed(record(depression(), ONE_FAILED, exposure("fluoxetine", start="2025-06-01")))
    wanted = "for fluoxetine, a current symptom score (PHQ-9 or MADRS)"
    assert wanted in criterion(found, TRIALS).needed
    assert [m.would_decide for m in found.missing if m.what == wanted] == [TRIALS]


def test_missing_facts_are_named_once() -> None:
    found = assessed(record())
    assert len(found.missing) == len(set(found.missing))
    assert {m.would_decide for m in found.missing} >= {"current-depression", TRIALS}


def test_a_medicine_that_is_only_intended_is_set_aside() -> None:
    planned = exposure("fluoxetine", status=ExposureStatus.INTENDED, id="planned")
    later = exposure("fluoxetine", start="2026-11-24", id="later")
    found = assessed(resistant(planned, later))
    assert [(str(e.evidence), e.reason.value) for e in found.excluded] == [
        ("MedicationStatement/later/_history/1", "starts-after-as-of"),
        ("MedicationStatement/planned/_history/1", "intended"),
    ]
    assert [t.name for t in found.trials] == ["sertraline", "venlafaxine"]


def test_a_start_that_may_lie_ahead_is_kept() -> None:
    assert assessed(record(depression(), exposure(start="2026-11"))).excluded == ()


def test_what_was_not_looked_at_is_said() -> None:
    unplaced = condition(label="Bruxism", recognised=False)
    found = assessed(resistant(unplaced, not_read=("Observation", "Procedure"), unread_records=("Task/t",)))
    assert found.not_screened == ("Observation", "Procedure", "Task/t", "Bruxism")


def unplaced(label: str, **changes: Any) -> Diagnosis:
    return condition(id=label, label=label, recognised=False, **changes)


def test_what_no_list_knows_is_named_in_order() -> None:
    """Conditions, those that are over last, then medicines and allergies, each in alphabetical order."""
    found = assessed(
        resistant(
            unplaced("Acne", clinical_status=ClinicalStatus.ENDED),
            unplaced("Boil", clinical_status=ClinicalStatus.NOT_STATED, abatement=day("2026-11-23")),
            unplaced("zoster"),
            unplaced("Warts", clinical_status=ClinicalStatus.NOT_STATED, abatement=day("2026-11-24")),
            unplaced("Vertigo", clinical_status=ClinicalStatus.UNKNOWN),
            exposure(unnamed(Identified.UNLISTED, "Zorbix")),
            unplaced=(
                Unplaced("Zorbix", ref("z", "AllergyIntolerance")),
                Unplaced("Nuts", ref("n", "AllergyIntolerance")),
            ),
        )
    )
    assert found.not_screened == (
        "Vertigo",
        "Warts",
        "zoster",
        "Acne",
        "Boil",
        "Zorbix (medicine)",
        "Nuts (allergy)",
        "Zorbix (allergy)",
    )


def test_what_no_list_knows_is_named_once() -> None:
    entries = (
        unplaced("Bruxism", clinical_status=ClinicalStatus.ENDED),
        unplaced("Sjögren  syndrome"),
        unplaced("bruxism"),
        unplaced("SJOGREN SYNDROME"),
    )
    forwards, backwards = (
        assessed(resistant(*some)).not_screened for some in (entries, tuple(reversed(entries)))
    )
    assert forwards == backwards == ("bruxism", "SJOGREN SYNDROME")


def test_what_has_no_words_is_named_by_its_reference_whatever_its_version() -> None:
    found = assessed(
        resistant(
            unplaced("", evidence=(VersionedReference("Condition", "odd", "7"),)),
            unplaced=(Unplaced(" ", VersionedReference("AllergyIntolerance", "odd", "8")),),
        )
    )
    assert found.not_screened == ("Condition/odd", "AllergyIntolerance/odd (allergy)")


def test_what_could_not_be_read_is_carried_through() -> None:
    doubt = DoubtfulDate(ref("x"), "effectivePeriod.start", "placeholder")
    found = assessed(resistant(unreadable("MedicationStatement"), doubtful_dates=(doubt,)))
    assert [u.element for u in found.unreadable] == ["code"]
    assert found.doubtful_dates == (doubt,)


def test_the_pathways_and_their_criteria() -> None:
    found = assessed(acute())
    assert {p.id: [c.id for c in p.criteria] for p in found.pathways} == {
        "trd": ["current-depression", TRIALS],
        "acute-suicidality": ["current-depression", "moderate-or-severe", "current-suicidality"],
    }
    assert found.pathway("acute-suicidality").finding is Finding.MET
    assert found.pathway("trd").finding is Finding.NOT_MET


def test_the_anchors_come_latest_first_and_undated_last() -> None:
    entries = (
        depression(id="undated", onset=None),
        depression(id="early", onset="2024-01-01"),
        depression(id="late", onset="2025-01-01"),
    )
    found = assessed(record(*entries))
    assert [anchor.id for anchor in found.anchors] == ["late", "early", "undated"]


def test_an_assumed_episode_is_warned_of() -> None:
    assert codes(assessed(record(depression(onset=None))).warnings) == ["episode-start-assumed"]
    assert assessed(resistant()).warnings == ()


@pytest.mark.parametrize(
    ("born", "age"),
    [
        pytest.param("1980-11-23", (46, 46), id="birthday today"),
        pytest.param("1980-11-24", (45, 45), id="birthday tomorrow"),
        pytest.param("1980", (45, 46), id="known by year"),
        pytest.param("2026", (0, 0), id="born this year"),
        pytest.param("2027", None, id="not born yet"),
        pytest.param(None, None, id="unknown"),
    ],
)
def test_age(born: str | None, age: tuple[int, int] | None) -> None:
    assert assessed(record(person=person(born))).age == age


M, N, OPEN = Finding.MET, Finding.NOT_MET, Finding.INDETERMINATE


@pytest.mark.parametrize(
    ("findings", "expected"),
    [([M, M], M), ([M, OPEN], OPEN), ([OPEN, N], N), ([M, N], N), ([OPEN, OPEN], OPEN), ([], M)],
)
def test_all_met(findings: list[Finding], expected: Finding) -> None:
    assert all_met(findings) is expected


def test_an_unreadable_dose_never_counts_for_sure() -> None:
    doubtful = exposure("fluoxetine", start="2025-05-01", end="2025-09-30", mg=UNREADABLE_DOSE)
    assert two_trials(record(depression(), ONE_FAILED, doubtful))[0] == "indeterminate"


@pytest.mark.parametrize("kind", ["MedicationStatement", "MedicationDispense"])
def test_no_dose_is_assumed_beside_a_record_of_a_medicine_that_cannot_be_read(kind: str) -> None:
    """The record that cannot be read may state the dose that the other leaves out."""
    without = exposure(
        "fluoxetine", start="2025-05-01", end="2025-09-30", mg=NOT_DOCUMENTED, stop_reasons=INEFFECTIVE
    )
    assert two_trials(record(depression(), ONE_FAILED, without))[0] == "met"
    beside = record(depression(), ONE_FAILED, without, unreadable(kind))
    assert two_trials(beside)[0] == "indeterminate"


def test_an_augmenting_agent_is_never_a_trial() -> None:
    found = assessed(resistant(exposure(medicine("lithium", role=Role.AUGMENTING), mg=900)))
    assert [t.name for t in found.trials] == [e.medicine.ingredient for e in TWO_FAILURES]


# the words a person recognises -----------------------------------------------------------------


def test_a_reference_is_written_with_its_version_where_it_has_one() -> None:
    assert str(VersionedReference("Condition", "a", "3")) == "Condition/a/_history/3"
    assert str(VersionedReference("Condition", "a")) == "Condition/a"


@pytest.mark.parametrize(
    ("concept", "label", "phrases"),
    [
        pytest.param(
            coded("icd-10", "F33", "Depression", text="Low"), "Low", ("Depression", "Low"), id="text first"
        ),
        pytest.param(
            coded("icd-10", "F33", "Depression"), "Depression", ("Depression",), id="then a display"
        ),
        pytest.param(coded("icd-10", "F33"), "F33", (), id="then a code"),
        pytest.param(Concept(), "", (), id="nothing"),
    ],
)
def test_label(concept: Concept, label: str, phrases: tuple[str, ...]) -> None:
    assert (concept.label, concept.phrases) == (label, phrases)
