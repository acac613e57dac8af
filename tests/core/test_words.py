"""The summary: the decision, what it rests on, and what a clinician has to do next."""

from dataclasses import replace

import pytest

from service.core.knowledge import Knowledge
from service.core.records import ClinicalStatus, ExposureStatus, Grade, PlanOfRecord, PlanStatus, Record
from service.core.schedule import Calendar
from service.core.words import describe_trial, list_not_screened, summarise
from service.fhir.kinds import SCREENED_KINDS
from tests.core.builders import (
    AS_OF,
    EU,
    NOT_DOCUMENTED,
    US,
    acute,
    condition,
    decided,
    depression,
    exposure,
    person,
    record,
    ref,
    resistant,
    safety_condition,
    some_day,
    trial,
)

IN_TREATMENT = PlanOfRecord(ref("plan", "CarePlan"), PlanStatus.ACTIVE, ours=False, edited=False)


@pytest.mark.parametrize(
    ("of", "words"),
    [
        pytest.param(resistant(), "meets the criteria for treatment-resistant depression", id="trd"),
        pytest.param(resistant(), "12 supervised sessions from 30 Nov 2026 to 19 Jan 2027", id="its dates"),
        pytest.param(
            resistant(), "Two adequate trials failed in this episode; two are required.", id="its count"
        ),
        pytest.param(acute(), "major depression with acute suicidality", id="acute"),
        pytest.param(resistant(person=person(deceased=True)), "the patient has died", id="deceased"),
        pytest.param(resistant(person=person("2015-01-01")), "under 18", id="minor"),
        pytest.param(resistant(plans=(IN_TREATMENT,)), "Under treatment with esketamine", id="in treatment"),
        pytest.param(
            resistant(safety_condition("aneurysm")),
            "Aneurysmal vascular disease (label section 4)",
            id="contraindicated",
        ),
        pytest.param(
            record(depression(clinical_status=ClinicalStatus.ENDED), *resistant().exposures),
            "no active major depression is on record",
            id="not indicated",
        ),
        pytest.param(resistant(safety_condition("bipolar")), "Bipolar disorder or mania", id="review"),
        pytest.param(record(depression()), "Missing: the medication history", id="missing"),
        pytest.param(
            record(depression(), exposure(end="2025-03-31"), exposure("fluoxetine", start="2025-06-01")),
            "One adequate trial failed in this episode; two are required. One more may have failed.",
            id="one more may have",
        ),
        pytest.param(
            record(depression(), exposure(end="2025-03-31")),
            "No adequate trials failed in this episode; two are required. One may have failed.",
            id="one may have, and none has",
        ),
        pytest.param(
            resistant(condition(recognised=False, label="Bruxism"), not_read=("AllergyIntolerance",)),
            "Not screened: allergies; Bruxism.",
            id="not screened",
        ),
        pytest.param(record(depression(onset=None)), "Note: no onset date of the depression", id="warning"),
    ],
)
def test_summary(of: Record, words: str) -> None:
    summary = summarise(decided(of))
    assert words in summary
    assert summary.endswith("This is decision support; a clinician decides.")


def test_ten_at_most_are_named_of_what_was_not_screened() -> None:
    names = [f"Disorder {number}" for number in range(12)]
    assert list_not_screened(names[:10]) == "; ".join(names[:10])
    assert list_not_screened(names[:11]) == "; ".join(names[:10]) + "; and 1 more"
    assert list_not_screened(names) == "; ".join(names[:10]) + "; and 2 more"


def test_a_kind_of_record_is_named_in_words() -> None:
    named = [list_not_screened([kind]) for kind in SCREENED_KINDS]
    assert not set(named) & set(SCREENED_KINDS)
    assert len(set(named)) == len(named)


def test_a_plan_without_dates_says_why() -> None:
    summary = summarise(decided(resistant(), calendar=Calendar(frozenset(), frozenset(), 7)))
    assert "No plan is drafted: no start within 28 days" in summary


def test_no_plan_is_announced_beside_one_that_stays() -> None:
    decision = decided(resistant())
    why = "No plan is drafted: the plan on record is kept unchanged (a person edited the draft)."
    assert "A draft plan of 12 supervised sessions" in summarise(decision)
    assert why in summarise(decision, "a person edited the draft")
    assert "is proposed" not in summarise(decision, "a person edited the draft")


@pytest.mark.parametrize("of", [record(), acute(person=person("2015-01-01"))], ids=["open", "declined"])
def test_a_decision_against_a_plan_reads_the_same_beside_one_that_stays(of: Record) -> None:
    assert summarise(decided(of), "a person edited the draft") == summarise(decided(of))


@pytest.mark.parametrize("knowledge", [US, EU], ids=["us", "eu"])
def test_without_a_protocol_the_summary_says_so(knowledge: Knowledge) -> None:
    summary = summarise(decided(acute(person=person("1940-01-01")), knowledge=knowledge))
    assert ("no eu protocol covers this pathway" in summary) == (knowledge is EU)


ENDED = "treatment ended while the depression remained active, and no other reason is recorded (inferred)"


@pytest.mark.parametrize(
    ("given", "sentences"),
    [
        pytest.param(
            exposure(end="2025-03-31"),
            "Sertraline (SSRI), 100 mg per day, 1 Jan 2025 to 31 Mar 2025: 90 days at an adequate dose; "
            f"{ENDED}; an end alone does not show that it failed. This trial may count as failed.",
            id="counts",
        ),
        pytest.param(
            exposure(start="2025-01", mg=(50, 100)),
            "Sertraline (SSRI), 50 to 100 mg per day, since Jan 2025: long enough at an adequate dose; "
            "still taken, with no current symptom score on record. This trial may count as failed.",
            id="ongoing",
        ),
        pytest.param(
            exposure(start="2025", end="2025-03-31", mg=20),
            "Sertraline (SSRI), 20 mg per day, 2025 to 31 Mar 2025: 0 days at or above the minimum dose "
            f"(required 42); {ENDED}. This trial does not count as failed.",
            id="too low",
        ),
        pytest.param(
            exposure("mirtazapine", start=None, status=ExposureStatus.ENDED, mg=NOT_DOCUMENTED),
            "Mirtazapine (atypical antidepressant), dose not documented, dates unknown: "
            "dose not documented and assumed adequate, as the criteria set specifies; "
            "0 to 1058 days of treatment; the dates do not show whether it lasted long enough; "
            "the record does not show for certain whether or when treatment ended. "
            "This trial may count as failed.",
            id="dates unknown",
        ),
        pytest.param(
            exposure(start=None),
            "Sertraline (SSRI), 100 mg per day, ongoing since an unknown date: "
            "the dates do not show whether it lasted long enough; "
            "still taken, with no current symptom score on record. This trial may count as failed.",
            id="start unknown, ongoing",
        ),
        pytest.param(
            exposure(start="2025-01-01", asserted=some_day("2025-03-31")),
            "Sertraline (SSRI), 100 mg per day, 1 Jan 2025 to 31 Mar 2025 or later: long enough at an "
            "adequate dose; the record does not show for certain whether or when treatment ended. "
            "This trial may count as failed.",
            id="may go on",
        ),
        pytest.param(
            replace(exposure(end="2025-03-31"), grade=Grade.DISPENSED),
            "Sertraline (SSRI), 100 mg per day, 1 Jan 2025 to 31 Mar 2025, dispensed: 90 days at an adequate "
            f"dose; {ENDED}; an end alone does not show that it failed. This trial may count as failed.",
            id="dispensed",
        ),
    ],
)
def test_a_trial_in_two_sentences(given: object, sentences: str) -> None:
    assert describe_trial(trial(given), AS_OF) == sentences  # type: ignore[arg-type]
