"""Whatever lists a site has: what excluded, asked for a review or raised an alert does so with them too."""

import json
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.knowledge import Effect
from service.errors import TrdError
from service.gather.files import read_bundle
from service.knowledge.site import EXTENDABLE
from service.review import Review, Reviewer
from tests.examples import tries
from tests.generated.patients import bundle_of, random_patient
from tests.lists import knowledge_of
from tests.sites import columns_of, site_reviewer
from tests.soak import SEED, dice
from tests.support import RXNORM, Resource, a_condition, a_statement, reviewer, with_two_trials

EVERYTHING = "https://northfield.example/everything"
PATIENTS = 500
_LEFT_OUT = {"codes/systems.csv", "codes/score_items.csv"}
_STRENGTH = (None, Effect.CAUTION, Effect.REVIEW, Effect.EXCLUDES)
_CODED = ("code", "medicationCodeableConcept", "statusReason", "reasonCode", "valueCodeableConcept")


def any_rows() -> dict[str, list[list[str]]]:
    """For each list a code of the site's own with each meaning that the list knows, as far as a site may."""
    number = iter(range(10_000))
    return {
        name: [_row(name, values, str(next(number))) for values in _meanings(name)]
        for name in sorted(EXTENDABLE.keys() - _LEFT_OUT)
    }


def _meanings(name: str) -> list[dict[str, str]]:
    silent = {"system", "code", "display", "source", "rxnorm", *EXTENDABLE[name].empty}
    found: dict[tuple[str, ...], dict[str, str]] = {}
    for row in knowledge_of().catalogue.files[name].rows:
        allowed = all(row[column] in values for column, values in EXTENDABLE[name].only.items())
        if allowed and (row.get("code") or row.get("rxnorm")):
            found.setdefault(tuple(row[c] for c in sorted(row) if c not in silent), dict(row))
    return list(found.values())


def _row(name: str, values: dict[str, str], code: str) -> list[str]:
    own = {**values, **dict.fromkeys(EXTENDABLE[name].empty, ""), "system": "everything", "code": code}
    return [own.get(column, "") for column in columns_of(name)]


ROWS = any_rows()
CODES = sorted(row[columns_of(name).index("code")] for name, rows in ROWS.items() for row in rows)


@pytest.fixture(scope="module")
def with_site(tmp_path_factory: pytest.TempPathFactory) -> Reviewer:
    systems = [("everything", EVERYTHING, "no", "test")]
    return site_reviewer(tmp_path_factory.mktemp("site"), ROWS, systems=systems)


def places_of(resource: object) -> Iterator[dict[str, Any]]:
    """Every concept of a resource that a code may stand in."""
    if isinstance(resource, dict):
        for name, value in resource.items():
            for one in value if isinstance(value, list) else [value]:
                if name in _CODED and isinstance(one, dict):
                    yield one
                yield from places_of(one)


def coded_by_site(resources: list[Resource], codes: st.DataObject) -> list[Resource]:
    """The resources, some of whose concepts have a code of the site's own before all others."""
    resources = deepcopy(resources)
    for place in (place for one in resources for place in places_of(one)):
        chosen = codes.draw(st.none() | st.sampled_from(CODES))
        if chosen is not None and isinstance(place.get("coding", []), list):
            place["coding"] = [{"system": EVERYTHING, "code": chosen}, *place.get("coding", [])]
    return resources


def reviewed(resources: list[Resource], by: Reviewer) -> Review | None:
    try:
        return by.review(read_bundle(json.dumps(bundle_of(resources)).encode()))
    except TrdError:
        return None


@tries(100)
@given(st.integers(0, PATIENTS), st.data())
def test_no_rows_of_a_site_weaken_a_safety_finding(
    with_site: Reviewer, number: int, codes: st.DataObject
) -> None:
    resources = coded_by_site(random_patient(dice(SEED, number)).resources, codes)
    before, after = reviewed(resources, reviewer()), reviewed(resources, with_site)
    if before is None or after is None:
        assert before is after
        return
    was, now = before.decision.assessment, after.decision.assessment
    effects = {finding.id: finding.effect for finding in now.safety}
    for finding in was.safety:
        assert _STRENGTH.index(effects.get(finding.id)) >= _STRENGTH.index(finding.effect), finding.id
    assert {alert.code for alert in now.alerts} >= {alert.code for alert in was.alerts} - {_CHOICE}


_CHOICE = "acute-protocol-alternative"
"""Names an alternative where both pathways are met, and warns of nothing."""


def test_the_rows_are_of_every_list_and_every_group() -> None:
    assert all(ROWS.values())
    assert {row[0] for row in ROWS["safety/conditions.csv"]} > {"aneurysm", "psychosis"}


def of_site(name: str, **meaning: str) -> Resource:
    """A coding of the site's own with this meaning in a list."""
    columns = columns_of(name)
    found = next(
        row for row in ROWS[name] if all(row[columns.index(column)] == m for column, m in meaning.items())
    )
    return {"system": EVERYTHING, "code": found[columns.index("code")]}


DEPRESSION = of_site("codes/depression.csv", state="mdd")
SERTRALINE = of_site("codes/antidepressant_products.csv", ingredient="sertraline", not_a_trial="")
PHQ_9 = of_site("codes/observations.csv", kind="phq-9")
NAMED = {
    "a disorder in words beside a local code of depression": a_condition(
        "it", code={"coding": [DEPRESSION], "text": "Bipolar disorder"}
    ),
    "ketamine in words beside a local code of another medicine": a_statement(
        "it", medicationCodeableConcept={"coding": [SERTRALINE], "text": "sertraline, ketamine"}
    ),
    "esketamine by code behind a local code of another medicine": a_statement(
        "it", medicationCodeableConcept={"coding": [SERTRALINE, {"system": RXNORM, "code": "2119365"}]}
    ),
    "a finding in words beside a local code of a score": {
        "resourceType": "Observation",
        "id": "it",
        "status": "final",
        "code": {"coding": [PHQ_9], "text": "Suicidal ideation"},
        "subject": {"reference": "Patient/ann"},
        "effectiveDateTime": "2026-11-20",
        "valueBoolean": True,
    },
    "an answer of another instrument behind a local code of a score": {
        "resourceType": "Observation",
        "id": "it",
        "status": "final",
        "code": {"coding": [PHQ_9, {"system": "http://loinc.org", "code": "93267-3"}]},
        "subject": {"reference": "Patient/ann"},
        "effectiveDateTime": "2026-11-20",
        "valueBoolean": True,
    },
}


@pytest.mark.parametrize("record", NAMED.values(), ids=NAMED.keys())
def test_a_code_of_the_site_hides_nothing(record: Resource, with_site: Reviewer) -> None:
    resources = [*with_two_trials(), record]
    before, after = reviewed(resources, reviewer()), reviewed(resources, with_site)
    assert before is not None
    assert after is not None
    was, now = before.decision.assessment, after.decision.assessment
    found = {one.id for one in was.safety} | {one.code for one in was.alerts}
    assert found
    assert found <= {one.id for one in now.safety} | {one.code for one in now.alerts}
