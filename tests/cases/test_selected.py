"""The cases selected for slow servers leave out nothing that any case has."""

import tomllib

from tests.selected import cases_that_hapi_stores, cases_to_read, cases_to_write
from tests.support import CASES, case_bundle, resources_of

A_QUARTER = len(cases_that_hapi_stores()) / 4


def elements_of(names: list[str]) -> set[tuple[str, str]]:
    resources = [resource for name in names for resource in resources_of(case_bundle(name))]
    return {(resource["resourceType"], element) for resource in resources for element in resource}


def statuses_of(names: list[str]) -> set[tuple[str, str | None]]:
    resources = [resource for name in names for resource in resources_of(case_bundle(name))]
    return {(resource["resourceType"], resource.get("status")) for resource in resources}


def outcomes_of(names: list[str]) -> set[tuple[str, str]]:
    texts = [(CASES / name / "expected.toml").read_text(encoding="utf-8") for name in names]
    expected = [tomllib.loads(text) for text in texts]
    return {
        (element, str(one[element]))
        for one in expected
        for element in ("reason", "region", "criteria_id")
        if element in one
    }


def test_every_element_and_every_status_of_a_record_is_read() -> None:
    assert elements_of(cases_to_read()) == elements_of(cases_that_hapi_stores())
    assert statuses_of(cases_to_read()) == statuses_of(cases_that_hapi_stores())


def test_every_reason_region_and_criteria_set_is_written() -> None:
    assert outcomes_of(cases_to_write()) == outcomes_of(cases_that_hapi_stores())


def test_few_cases_are_selected() -> None:
    assert len(cases_to_read()) < A_QUARTER
    assert len(cases_to_write()) < A_QUARTER
