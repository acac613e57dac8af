"""What this service relies on in a FHIR server that it writes to, which a pretended one must do as well.

Each server's tests derive from `ServerContract` and give its address by a fixture `server`. The server is one
that takes ids of ours and guards the creation of a resource as HAPI does.
"""

import uuid
from typing import Any

import httpx
import pytest

from tests.contract_write import ask, found_by, read, versions
from tests.in_r5 import load
from tests.support import Resource, a_bundle, a_condition, a_patient

SYSTEM = "http://fhir.test/identifiers"
NEVER_STORED = 'W/"0"'
NOWHERE = "CarePlan/nowhere-to-be-found"


def new_id() -> str:
    return f"test-{uuid.uuid4()}"


async def put(server: str, resource: Resource, **conditions: str) -> httpx.Response:
    path = f"{resource['resourceType']}/{resource['id']}"
    return await ask(server, path, method="PUT", body=resource, **conditions)


async def post(server: str, resource: Resource, **conditions: str) -> httpx.Response:
    return await ask(server, resource["resourceType"], method="POST", body=resource, **conditions)


async def transact(server: str, *resources: Resource) -> httpx.Response:
    bundle = a_bundle(resources, kind="transaction")
    for entry in bundle["entry"]:
        one = entry["resource"]
        entry["request"] = {"method": "PUT", "url": f"{one['resourceType']}/{one['id']}"}
    return await ask(server, "", method="POST", body=bundle)


def a_plan(patient: str, **elements: object) -> Resource:
    return {
        "resourceType": "CarePlan",
        "id": new_id(),
        "status": "draft",
        "intent": "proposal",
        "subject": {"reference": f"Patient/{patient}"},
        **elements,
    }


def a_provenance(target: str, agent: str) -> Resource:
    return {
        "resourceType": "Provenance",
        "id": new_id(),
        "target": [{"reference": target, "display": target}],
        "recorded": "2026-11-23T08:00:00Z",
        "agent": [{"who": {"reference": agent}}],
    }


def a_task(patient: str, focus: str) -> Resource:
    return {
        "resourceType": "Task",
        "id": new_id(),
        "status": "requested",
        "intent": "proposal",
        "for": {"reference": f"Patient/{patient}"},
        "focus": {"reference": focus},
    }


def referring(resource: Resource) -> str:
    return f"{resource['resourceType']}/{resource['id']}"


class ServerContract:
    """The tests of a server; a class that derives from this one gives the fixture `server`."""

    @pytest.fixture
    def patient(self, server: str) -> str:
        identity = new_id()
        load(server, [a_patient(identity)])
        return identity

    async def test_a_creation_is_guarded(self, server: str, patient: str) -> None:
        plan = a_plan(patient)

        first = await put(server, plan, if_match=NEVER_STORED)
        again = await put(server, plan | {"title": "Another"}, if_match=NEVER_STORED)

        assert (first.status_code, first.headers["ETag"]) == (201, 'W/"1"')
        assert again.status_code == 409
        assert await versions(server, referring(plan)) == ["1"]

    async def test_what_was_deleted_is_not_created_by_mistake(self, server: str, patient: str) -> None:
        plan = a_plan(patient)
        await put(server, plan)
        assert (await ask(server, referring(plan), method="DELETE")).is_success

        assert (await ask(server, referring(plan))).status_code == 410
        assert (await put(server, plan, if_match=NEVER_STORED)).status_code == 409
        assert (await put(server, plan, if_match='W/"1"')).status_code == 409

    async def test_an_update_follows_the_version_that_was_read(self, server: str, patient: str) -> None:
        plan = a_plan(patient)
        await put(server, plan)

        changed = await put(server, plan | {"title": "Changed"}, if_match='W/"1"')
        stale = await put(server, plan | {"title": "Lost"}, if_match='W/"1"')

        assert (changed.status_code, changed.headers["ETag"]) == (200, 'W/"2"')
        assert stale.status_code == 409
        assert (await read(server, referring(plan)))["title"] == "Changed"
        assert (await ask(server, referring(plan))).headers["ETag"] == 'W/"2"'

    async def test_what_is_put_again_unchanged_makes_no_version(self, server: str, patient: str) -> None:
        plan = a_plan(patient, category=[{"text": "first"}, {"text": "second"}])
        await put(server, plan)

        sent = await put(server, plan)
        as_stored = await put(server, await read(server, referring(plan)), if_match='W/"1"')

        assert [answer.headers["ETag"] for answer in (sent, as_stored)] == ['W/"1"', 'W/"1"']
        assert await versions(server, referring(plan)) == ["1"]

    async def test_a_condition_keeps_a_second_one_from_being_created(self, server: str, patient: str) -> None:
        value = new_id()
        plan = a_plan(patient, identifier=[{"system": SYSTEM, "value": value}])
        unless = f"identifier={SYSTEM}|{value}"

        first = await post(server, plan, if_none_exist=unless)
        second = await post(server, plan | {"title": "Another"}, if_none_exist=unless)

        identity = first.json()["id"]
        assert identity != plan["id"]
        assert (first.status_code, first.headers["ETag"]) == (201, 'W/"1"')
        assert first.headers["Location"] == f"{server}/CarePlan/{identity}/_history/1"
        assert (second.status_code, second.json()["id"]) == (200, identity)
        assert await versions(server, f"CarePlan/{identity}") == ["1"]
        assert (await post(server, plan)).status_code == 201
        assert (await post(server, plan, if_none_exist=unless)).status_code == 412

    async def test_a_reference_to_nowhere_is_refused(self, server: str, patient: str) -> None:
        refused: list[Resource] = [
            a_provenance(NOWHERE, f"Patient/{patient}"),
            a_provenance(f"Patient/{patient}", "Device/nowhere-to-be-found"),
            a_task(patient, NOWHERE),
            a_plan(patient, replaces=[{"reference": NOWHERE}]),
            a_plan("nowhere-to-be-found"),
        ]
        for resource in refused:
            assert (await put(server, resource)).status_code == 400
            assert (await post(server, resource)).status_code == 400
            assert (await ask(server, referring(resource))).status_code == 404

    async def test_a_reference_to_what_was_deleted_is_refused(self, server: str, patient: str) -> None:
        plan = a_plan(patient)
        await put(server, plan)
        await ask(server, referring(plan), method="DELETE")
        assert (await put(server, a_task(patient, referring(plan)))).status_code == 400

    async def test_a_reference_inside_the_resource_is_none_to_the_server(
        self, server: str, patient: str
    ) -> None:
        inside = {"resourceType": "Condition", "id": "why", "subject": {"reference": f"Patient/{patient}"}}
        plan = a_plan(patient, contained=[inside], addresses=[{"reference": "#why"}])
        assert (await put(server, plan)).status_code == 201

    async def test_a_transaction_finds_its_own_whatever_the_order(self, server: str, patient: str) -> None:
        plan = a_plan(patient)
        task = a_task(patient, referring(plan))

        answer = await transact(server, task, plan)

        assert answer.status_code == 200, answer.text
        assert [entry["response"]["status"][:3] for entry in answer.json()["entry"]] == ["201", "201"]
        assert (await read(server, referring(task)))["focus"]["reference"] == referring(plan)

    @pytest.mark.parametrize("fault", ["a reference to nowhere", "a person was faster"])
    async def test_a_transaction_is_taken_or_refused_as_a_whole(
        self, server: str, patient: str, fault: str
    ) -> None:
        plan, there = a_plan(patient), a_plan(patient)
        await put(server, there)
        bad = a_task(patient, NOWHERE) if fault == "a reference to nowhere" else there
        bundle = a_bundle([plan, bad], kind="transaction")
        for entry, condition in zip(bundle["entry"], [{}, {"ifMatch": NEVER_STORED}], strict=True):
            url = referring(entry["resource"])
            entry["request"] = {"method": "PUT", "url": url} | (condition if bad is there else {})

        answer = await ask(server, "", method="POST", body=bundle)

        assert answer.status_code == (409 if bad is there else 400)
        assert (await ask(server, referring(plan))).status_code == 404

    async def test_the_history_of_a_resource_has_the_newest_first(self, server: str, patient: str) -> None:
        plan = a_plan(patient)
        for title in ("first", "second"):
            await put(server, plan | {"title": title})
        await ask(server, referring(plan), method="DELETE")

        entries = (await read(server, f"{referring(plan)}/_history"))["entry"]

        assert [entry.get("resource", {}).get("title") for entry in entries] == [None, "second", "first"]
        assert entries[0]["request"]["method"] == "DELETE"
        assert (await read(server, f"{referring(plan)}/_history/1"))["title"] == "first"
        assert (await ask(server, f"{referring(plan)}/_history/9")).status_code == 404

    async def test_searches_show_what_was_asked_for(self, server: str, patient: str) -> None:
        value = new_id()
        named: dict[str, Any] = {"identifier": [{"system": SYSTEM, "value": value}]}
        plan, other = a_plan(patient, **named), a_plan(patient)
        task = a_task(patient, referring(plan)) | named
        sources = [a_provenance(referring(one), f"Patient/{patient}") for one in (plan, other)]
        for resource in (plan, other, task, *sources):
            assert (await put(server, resource)).is_success

        searches = {
            f"CarePlan?patient={patient}": [plan, other],
            f"CarePlan?subject=Patient/{patient}": [plan, other],
            f"CarePlan?patient={patient}&identifier={SYSTEM}%7C": [plan],
            f"CarePlan?identifier={SYSTEM}%7C{value}": [plan],
            f"CarePlan?identifier={value}": [plan],
            f"CarePlan?identifier=http://fhir.test/others%7C{value}": [],
            f"CarePlan?_id={other['id']}": [other],
            f"Task?patient={patient}&identifier={SYSTEM}%7C": [task],
            f"Provenance?target={referring(plan)}": sources[:1],
            f"Provenance?target={referring(plan)},{referring(other)}": sources,
            f"Provenance?agent=Patient/{patient}": sources,
        }
        for search, expected in searches.items():
            found = {one["id"] for one in await found_by(server, search)}
            assert found == {one["id"] for one in expected}, search

    async def test_a_long_search_comes_in_pages_of_the_size_asked_for(
        self, server: str, patient: str
    ) -> None:
        load(server, [a_condition(f"{patient}-{number}", patient) for number in range(3)])
        first = await read(server, f"Condition?patient={patient}&_count=2")
        (following,) = [link["url"] for link in first["link"] if link["relation"] == "next"]
        assert following.startswith(server)
        second = await read(server, following.removeprefix(f"{server}").lstrip("/"))
        ids = [entry["resource"]["id"] for page in (first, second) for entry in page["entry"]]
        assert sorted(ids) == [f"{patient}-{number}" for number in range(3)]
