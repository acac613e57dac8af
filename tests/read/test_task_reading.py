"""Our Tasks as the record tells of them: only a review of the benefit that a person completed counts."""

import json
from datetime import date
from typing import Any

import pytest

from service.core.records import BenefitReview, Record
from service.errors import NotAssessable
from service.fhir.names import GROUNDS, TASK_IDENTIFIER, TASK_REASONS
from service.gather.files import read_bundle
from service.read.record import read_record
from tests.core.builders import US
from tests.support import Resource, a_bundle, a_patient


def a_task(**elements: Any) -> Resource:
    return {
        "resourceType": "Task",
        "id": "asked",
        "meta": {"versionId": "2"},
        "extension": [{"url": GROUNDS, "valueString": "CarePlan/plan after 8 sessions"}],
        "identifier": [{"system": TASK_IDENTIFIER, "value": "asked"}],
        "status": "completed",
        "intent": "proposal",
        "code": {"coding": [{"system": TASK_REASONS, "code": "benefit-review"}]},
        "focus": {"reference": "CarePlan/plan"},
        "for": {"reference": "Patient/ann"},
        "lastModified": "2026-11-20T10:00:00Z",
        **elements,
    }


def read_with(task: Resource) -> Record:
    return read_record(read_bundle(json.dumps(a_bundle([a_patient(), task])).encode()), US)


def reviews(task: Resource) -> tuple[BenefitReview, ...]:
    return read_with(task).benefit_reviews


def test_a_review_of_the_benefit_that_a_person_completed_is_read() -> None:
    (review,) = reviews(a_task())
    assert (review.plan, review.question) == ("plan", "CarePlan/plan after 8 sessions")
    assert (review.when, str(review.evidence)) == (date(2026, 11, 20), "Task/asked/_history/2")


def test_its_day_is_the_end_of_the_work_where_that_is_stated() -> None:
    (review,) = reviews(a_task(executionPeriod={"end": "2026-11-19"}))
    assert review.when == date(2026, 11, 19)


@pytest.mark.parametrize("status", ["requested", "in-progress", "cancelled", "rejected", "failed", None])
def test_one_that_nobody_completed_is_none(status: str | None) -> None:
    assert reviews(a_task(status=status)) == ()


@pytest.mark.parametrize("reason", ["lapse", "treatment-safety"])
def test_other_tasks_tell_nothing_of_the_treatment(reason: str) -> None:
    assert reviews(a_task(code={"coding": [{"system": TASK_REASONS, "code": reason}]})) == ()


def test_the_tasks_of_others_are_left_alone() -> None:
    assert reviews(a_task(identifier=[], **{"for": {"reference": "Patient/bob"}})) == ()


def test_what_was_read_names_it() -> None:
    assert "Task/asked/_history/2" in map(str, read_with(a_task()).read)


def test_one_about_somebody_else_stops_the_reading() -> None:
    with pytest.raises(NotAssessable):
        reviews(a_task(**{"for": {"reference": "Patient/bob"}}))
