"""The definitions on a real HAPI FHIR server: valid, loaded, found, and not written twice.

With `HAPI_URL` set, that server is used.
"""

from collections import Counter

import pytest

from service.fhir.kinds import PUBLISHED_KINDS
from service.fhir.names import PLAN_DEFINITION
from service.publish.deliver import Standing, compare, deliver
from service.publish.published import publish, transaction
from tests.contract_write import ask, found_by
from tests.support import Resource, client_at, reviewer
from tests.validator import faults_of, one_of_each_shape

KNOWLEDGE = reviewer().knowledge
ALL = publish(KNOWLEDGE).resources


@pytest.fixture
def server(shared_hapi: str) -> str:
    return shared_hapi


async def versions_on(server: str) -> Counter[str]:
    """How often each definition of ours was written."""
    found: list[Resource] = []
    for kind in PUBLISHED_KINDS:
        ids = ",".join(r["id"] for r in ALL if r["resourceType"] == kind)
        found += await found_by(server, f"{kind}?_id={ids}&_elements=url&_count=200")
    return Counter({f"{r['resourceType']}/{r['id']}": int(r["meta"]["versionId"]) for r in found})


async def test_all_are_loaded_and_a_second_load_writes_nothing(server: str) -> None:
    async with client_at(server) as client:
        await deliver(client, await compare(client, ALL))
        once = await versions_on(server)
        again = await compare(client, ALL)
        await deliver(client, again)

    assert {one.standing for one in again} == {Standing.SAME}
    assert once == await versions_on(server)
    assert set(once) == {f"{r['resourceType']}/{r['id']}" for r in ALL}


async def test_the_transaction_is_taken_and_changes_nothing_that_is_there(server: str) -> None:
    async with client_at(server) as client:
        await deliver(client, await compare(client, ALL))
    before = await versions_on(server)

    answer = await ask(server, "", method="POST", body=transaction(publish(KNOWLEDGE)))

    assert answer.status_code == 200, answer.text
    assert await versions_on(server) == before


async def test_what_a_care_plan_instantiates_is_found(server: str) -> None:
    async with client_at(server) as client:
        await deliver(client, await compare(client, ALL))
    for protocol in KNOWLEDGE.protocols:
        query = f"PlanDefinition?url={PLAN_DEFINITION}/{protocol.id}"
        for search in (query, f"{query}&version={protocol.version}"):
            (found,) = await found_by(server, search)
            assert found["id"] == protocol.id
        assert await found_by(server, f"{query}&version=0") == []


@pytest.mark.parametrize("kind", PUBLISHED_KINDS)
async def test_the_validator_finds_no_fault(server: str, kind: str) -> None:
    for resource in one_of_each_shape(publish(KNOWLEDGE).of_kind(kind)):
        assert await faults_of(server, resource) == [], resource["id"]
