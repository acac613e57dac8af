"""The summary: the decision, what it rests on, and what a clinician has to do next."""

import pytest

from service.core.knowledge import Knowledge
from service.core.records import ClinicalStatus, ExposureStatus, PlanOfRecord, PlanStatus, Record
from service.core.schedule import Calendar
from service.core.words import summarise, trial_sentence
from tests.core.builders import (
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
    trial,
)

IN_TREATMENT = PlanOfRecord(ref("plan", "CarePlan"), PlanStatus.ACTIVE, ours=False, edited=False)


@pytest.mark.parametrize(
    ("of", "words"),
    [
        pytest.param(resistant(), "meets the criteria for treatment-resistant depression", id="trd"),
        pytest.param(resistant(), "12 supervised sessions from 2026-11-30 to 2027-01-19", id="its dates"),
        pytest.param(resistant(), "2 of 2 required adequate trials failed.", id="its count"),
        pytest.param(acute(), "major depression with acute suicidality", id="acute"),
        pytest.param(resistant(person=person(deceased=True)), "the patient has died", id="deceased"),
        pytest.param(resistant(person=person("2015-01-01")), "under 18", id="minor"),
        pytest.param(resistant(plans=(IN_TREATMENT,)), "already active", id="in treatment"),
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
            "1 of 2 required adequate trials failed, 1 more may have.",
            id="one more may have",
        ),
        pytest.param(
            resistant(condition(recognised=False, id="odd")), "Not screened: Condition/odd", id="not screened"
        ),
        pytest.param(record(depression(onset=None)), "Note: no onset of the depression", id="warning"),
    ],
)
def test_summary(of: Record, words: str) -> None:
    summary = summarise(decided(of))
    assert words in summary
    assert summary.endswith("This is decision support; a clinician decides.")


def test_a_plan_without_dates_says_why() -> None:
    summary = summarise(decided(resistant(), calendar=Calendar(frozenset(), frozenset(), 7)))
    assert "No plan is drafted: no start within 28 days" in summary


@pytest.mark.parametrize("knowledge", [US, EU], ids=["us", "eu"])
def test_without_a_protocol_the_summary_says_so(knowledge: Knowledge) -> None:
    summary = summarise(decided(acute(person=person("1940-01-01")), knowledge=knowledge))
    assert ("no eu protocol covers this pathway" in summary) == (knowledge is EU)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        pytest.param(
            exposure(end="2025-03-31"),
            "Sertraline 100 mg, 2025-01-01 to 2025-03-31: it ended while the depression stayed active, "
            "and no other reason is recorded (inferred); counts.",
            id="counts",
        ),
        pytest.param(
            exposure(start="2025-01", mg=(50, 100)),
            "Sertraline 50-100 mg, since 2025-01-01/2025-01-31: still taken, and no current symptom score "
            "on record; may count.",
            id="ongoing",
        ),
        pytest.param(
            exposure(start=None, status=ExposureStatus.ENDED, mg=NOT_DOCUMENTED),
            "Sertraline, an unknown date to an unknown date: whether and when it ended is not certain; "
            "may count.",
            id="dates unknown",
        ),
    ],
)
def test_a_trial_in_one_sentence(given: object, sentence: str) -> None:
    assert trial_sentence(trial(given)) == sentence  # type: ignore[arg-type]
