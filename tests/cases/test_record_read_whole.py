"""What a record says beyond what is read of it: no valid element more makes a decision more permissive.

A silent element changes nothing; one that opens is named, or the decision rests on something else; and what
is added to a record that leads to no plan leads to none.
"""

import json
from collections.abc import Iterator
from datetime import UTC
from functools import cache
from random import Random
from typing import NamedTuple

import msgspec
import pytest

from service.core.decision import Propose, decide
from service.core.elements import ElementUse
from service.errors import InputError
from service.fhir.sources import Gathered
from service.gather.files import read_bundle
from service.read.openings import find_opened
from service.read.record import read_record
from service.render.answer import AssessmentAnswer
from service.review import Reviewer
from tests.elements_met import elements_met
from tests.examples import soaked
from tests.generated.elements import Addition, with_one_more
from tests.support import AS_OF, CASES, Resource, reviewer

pytestmark = pytest.mark.no_cover

SEED = 20261129
IN_EVERY_RUN = 200
SHARES = 20
PATIENT = "Patient/propose-two"


def a(kind: str, **elements: object) -> Resource:
    whose = "patient" if kind == "AllergyIntolerance" else "subject"
    return {"resourceType": kind, "id": f"a-{kind.lower()}", whose: {"reference": PATIENT}} | elements


BESIDE = (
    a("AllergyIntolerance", code={"text": "penicillin"}),
    a(
        "Observation",
        status="final",
        code={"coding": [{"system": "http://loinc.org", "code": "44261-6"}]},
        effectiveDateTime=AS_OF.isoformat(),
        valueInteger=18,
    ),
    a(
        "MedicationDispense",
        status="completed",
        medicationCodeableConcept={
            "coding": [{"system": "http://www.nlm.nih.gov/research/umls/rxnorm", "code": "36437"}]
        },
        whenHandedOver="2025-07-01",
        daysSupply={"value": 92, "unit": "d"},
        quantity={"value": 92, "unit": "tablet"},
    ),
    a("CarePlan", status="active", intent="plan", title="Physiotherapy"),
)
"""Records that change nothing about the proposal, each of a kind that the case itself does not have."""


def resources_of_case(name: str) -> list[Resource]:
    bundle = json.loads((CASES / name / "bundle.json").read_bytes())
    return [entry["resource"] for entry in bundle["entry"]]


PROPOSED = [*resources_of_case("two-documented-failures-propose-treatment"), *BESIDE]
NOT_PROPOSED = {
    "contraindicated": [*PROPOSED, a("Condition", id="it", code={"text": "cerebral aneurysm"})],
    "too low a dose": json.loads(json.dumps(PROPOSED).replace('"value": 100', '"value": 25')),
    "entered in error": json.loads(json.dumps(PROPOSED).replace('"stopped"', '"entered-in-error"')),
}
"""Records of which each leads to no plan, whatever is added to it beside what is read."""


@cache
def by() -> Reviewer:
    """Who reviews the records."""
    return reviewer()


def answer_on(resources: list[Resource]) -> AssessmentAnswer | None:
    """The answer on a record; `None` where it cannot be assessed, which is said with the reason."""
    try:
        return by().review(gathered(resources)).answer
    except InputError:
        return None


@cache
def proposed() -> AssessmentAnswer | None:
    """The answer on the record to which elements are added."""
    return answer_on(PROPOSED)


def gathered(resources: list[Resource]) -> Gathered:
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": r} for r in resources]}
    return read_bundle(msgspec.json.encode(bundle))


def is_proposed(resources: list[Resource]) -> bool:
    """Whether a plan is proposed on a record."""
    try:
        record = read_record(gathered(resources), by().knowledge, UTC)
    except InputError:
        return False
    return isinstance(decide(record, by().knowledge, by().calendar, by().as_of), Propose)


class Added(NamedTuple):
    """A record with one element more: the element, what the tables do with it, and the records."""

    addition: Addition
    treatment: ElementUse
    resources: list[Resource]

    def __str__(self) -> str:
        """The element with what it is filled with."""
        return f"{self.treatment} {self.addition.path}: {json.dumps(self.addition.resource)}"


def added_to(resources: list[Resource], number: int) -> Added | None:
    """A record with one element more; `None` where every element is there already."""
    rng = Random(f"{SEED}-{number}")  # noqa: S311 - no secret
    at = rng.randrange(len(resources))
    addition = with_one_more(resources[at], rng)
    if not addition.path:
        return None
    changed = [*resources[:at], addition.resource, *resources[at + 1 :]]
    return Added(addition, treatment_of(addition), changed)


def treatment_of(addition: Addition) -> ElementUse:
    """What the tables do with an element: as the whole in which it lies, where they do not look into that."""
    met = dict(elements_met(addition.resource, by().knowledge.elements))
    path = addition.path
    while path not in met:
        path = path.rpartition(".")[0]
    treatment = met[path]
    assert treatment is not None, addition.path
    return treatment if path == addition.path or treatment is not ElementUse.USED else ElementUse.SILENT


def faults_of(number: int) -> Iterator[str]:
    """What does not hold of an element that is added to the records."""
    added = added_to(PROPOSED, number)
    if added is None:
        return
    changed = answer_on(added.resources) != proposed()
    if added.treatment is ElementUse.SILENT and changed:
        yield f"it changes the answer: {added}"
    if opens_something(added) and not changed:
        yield f"nobody would know of it: {added}"
    for name, resources in NOT_PROPOSED.items():
        more = added_to(resources, number)
        if more is None or more.treatment is ElementUse.USED:
            continue
        if is_proposed(more.resources):
            yield f"a plan, although {name}: {more}"


def opens_something(added: Added) -> bool:
    """Whether the element leaves a fact open whatever else is said, by the walk that the readers ask."""
    resource = added.addition.resource
    found = find_opened(resource["resourceType"], resource, by().knowledge)
    return added.treatment is ElementUse.OPENS and any(
        one.element == added.addition.path and not one.only_if_unsaid for one in found
    )


def test_one_element_more_is_used_or_named_or_silent_for_a_reason() -> None:
    assert [fault for number in range(IN_EVERY_RUN) for fault in faults_of(number)] == []


@pytest.mark.matrix
@pytest.mark.soak
@pytest.mark.parametrize("share", range(SHARES))
def test_so_is_one_of_many(share: int) -> None:
    """The elements are shared out, so that processes that test side by side end at the same time."""
    numbers = range(share, soaked(100_000), SHARES)
    assert [fault for number in numbers for fault in faults_of(number)] == []
