"""The contract of writing, on a real HAPI FHIR server, and what its validator says of all that is written.

With `HAPI_URL` set, that server is used; every test loads records of its own.
"""

import pytest

from tests.contract_write import (
    TWO_FAILURES,
    WriteContract,
    found_by,
    load_case,
    propose,
    read,
    written_of,
)
from tests.selected import cases_to_write
from tests.servers import load
from tests.support import Resource, a_condition
from tests.validator import faults_of

ONE_OF_EACH_PROTOCOL = [
    TWO_FAILURES,
    "suicidal-thoughts-recorded-thirty-days-ago-propose-the-acute-protocol-alone",
    "a-myocardial-infarction-seven-weeks-ago-is-a-caution-in-the-eu",
]


@pytest.fixture
def server(shared_hapi: str) -> str:
    return shared_hapi


async def test_the_plan_is_found_by_the_date_of_a_session(server: str) -> None:
    patient = load_case(server, TWO_FAILURES)
    await propose(server, patient)
    for day, expected in (("2026-11-30", 1), ("2027-01-05", 1), ("2020-01-01", 0)):
        found = await found_by(server, f"CarePlan?patient={patient}&activity-date={day}")
        assert len(found) == expected, day


class TestWritingOnHapi(WriteContract):
    """The contract over a case of each outcome, and the validator finds no fault in what is written."""

    @pytest.mark.parametrize("name", cases_to_write())
    async def test_a_case_is_written_once(self, server: str, name: str) -> None:
        await super().test_a_case_is_written_once(server, name)

    @pytest.mark.parametrize("name", ONE_OF_EACH_PROTOCOL)
    async def test_a_plan_read_back_is_not_taken_as_edited(self, server: str, name: str) -> None:
        await super().test_a_plan_read_back_is_not_taken_as_edited(server, name)

    async def examine(self, server: str, resources: list[Resource]) -> None:
        for resource in [await read(server, "Device/trd-careplan"), *resources]:
            assert await faults_of(server, resource) == []


async def test_the_validator_finds_no_fault_in_a_revoked_plan_and_its_successor(server: str) -> None:
    patient = load_case(server, TWO_FAILURES)
    await propose(server, patient)
    code = {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "I71.40"}]}
    load(server, [a_condition(f"{patient}-aneurysm", patient, code=code)])
    revoked = await propose(server, patient)
    code = {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "J45.909"}]}
    load(server, [a_condition(f"{patient}-aneurysm", patient, code=code)])
    renewed = await propose(server, patient)

    assert revoked.answer.care_plan.action == "revoke"
    assert renewed.answer.care_plan.action == "create"
    for done in (revoked, renewed):
        for resource in await written_of(server, patient, done):
            assert await faults_of(server, resource) == []


async def test_the_validator_finds_a_fault_where_there_is_one(server: str) -> None:
    assert await faults_of(server, {"resourceType": "CarePlan", "status": "banana"})
