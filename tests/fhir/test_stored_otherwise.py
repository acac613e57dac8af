"""A server that stores plans otherwise than they were sent is no person, and a person is no such server."""

import itertools
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest

from service.commands.withdraw import sort_out
from service.commands.written import WrittenFilter, list_written
from service.core.plans import PlanAction
from service.review import Proposal
from tests.fhir.double import FhirDouble
from tests.servers.described import read_server
from tests.support import AS_OF, Resource, a_condition, client_of, reviewer

DROPPED = "elements-of-a-plan-are-dropped"
TIERS: dict[str, dict[str, Any]] = {
    "all at once": {},
    "all at once, guarding no creation": {"guards_creation": False},
    "one by one": {"transactions": False},
    "one by one, with ids of the server": {"transactions": False, "update_create": False},
}
WAYS: dict[str, tuple[str, ...]] = {
    "activities": ("activity",),
    "our extensions": ("extension",),
    "most of it": ("activity", "extension", "note", "category", "period", "supportingInfo"),
}
KETAMINE: Resource = {
    "resourceType": "AllergyIntolerance",
    "id": "ketamine",
    "patient": {"reference": "Patient/ann"},
    "code": {"coding": [{"system": "http://www.nlm.nih.gov/research/umls/rxnorm", "code": "6130"}]},
}


def a_server(tier: str = "all at once", *dropped: str, **traits: Any) -> FhirDouble:
    """A server with a record that a plan is proposed for, which drops elements of plans."""
    described = read_server(DROPPED)
    drops = {"CarePlan": dropped or described.traits["drops"]["CarePlan"]}
    return FhirDouble(described.resources, **{"drops": drops, **TIERS[tier], **traits})


async def propose(server: FhirDouble, days: int = 0) -> Proposal:
    return await reviewer(AS_OF + timedelta(days=days)).propose(client_of(server), "ann")


async def actions(server: FhirDouble, number: int) -> list[str]:
    """What so many reviews do with the plan, one after the other."""
    return [(await propose(server)).answer.care_plan.action.value for _ in range(number)]


@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize("way", WAYS)
async def test_a_draft_that_a_server_stored_without_some_of_it_is_untouched(tier: str, way: str) -> None:
    server = a_server(tier, *WAYS[way])
    assert await actions(server, 3) == ["create", "none", "none"]
    stored = server.only("CarePlan")
    assert not stored.keys() & set(WAYS[way])

    server.put(KETAMINE)

    assert await actions(server, 2) == ["revoke", "none"]
    assert server.only("CarePlan")["status"] == "revoked"


@pytest.mark.parametrize("tier", TIERS)
async def test_it_follows_the_record_and_comes_back(tier: str) -> None:
    server = a_server(tier)
    await propose(server)
    server.put(
        a_condition("bipolar", clinicalStatus={"coding": [{"code": "resolved"}]}, code={"text": "Flu"})
    )
    server.put(a_condition("depression", onsetDateTime="2025-06-15"))
    second = a_condition("second-depression", onsetDateTime="2025-06-20")
    server.put(second)
    assert await actions(server, 2) == ["update", "none"]

    server.put(KETAMINE)
    assert await actions(server, 1) == ["revoke"]
    server.delete("AllergyIntolerance/ketamine")
    assert await actions(server, 2) == ["create", "none"]
    assert sorted(plan["status"] for plan in server.of_type("CarePlan")) == ["draft", "revoked"]


EDITS: dict[str, Callable[[Resource], Resource]] = {
    "a note": lambda _: {"note": [{"text": "She prefers mornings."}]},
    "another title": lambda _: {"title": "As agreed"},
    "an activity": lambda _: {"activity": [{"detail": {"status": "completed", "description": "Session 1"}}]},
    "activated": lambda _: {"status": "active"},
    "revoked": lambda _: {"status": "revoked"},
    "a goal": lambda _: {"goal": [{"display": "To sleep"}]},
}


EACH_EDIT = [
    pytest.param(tier, way, edit, marks=() if number % 6 == 0 else pytest.mark.matrix)
    for number, (edit, way, tier) in enumerate(itertools.product(EDITS, WAYS, TIERS))
]
"""Each edit in each way on each tier; in `make test` a sixth of them."""


@pytest.mark.parametrize(("tier", "way", "edit"), EACH_EDIT)
async def test_what_a_person_changes_there_stays(tier: str, way: str, edit: str) -> None:
    server = a_server(tier, *WAYS[way])
    await propose(server)
    plan = server.only("CarePlan")
    server.change(f"CarePlan/{plan['id']}", **EDITS[edit](plan))
    edited = server.only("CarePlan")

    for resource in (a_condition("depression", onsetDateTime="2025-06-15"), KETAMINE):
        server.put(resource)
        await propose(server)
        await propose(server, days=2)

    assert server.only("CarePlan") == edited


@pytest.mark.parametrize("tier", TIERS)
async def test_a_change_between_writing_and_reading_back_is_a_persons(tier: str) -> None:
    server = a_server(tier)

    def at_once_edited(request: httpx.Request) -> httpx.Response:
        """A person adds a note as soon as the plan is there, before it is read back."""
        for plan in server.of_type("CarePlan"):
            if plan["meta"]["versionId"] == "1":
                server.change(f"CarePlan/{plan['id']}", note=[{"text": "She prefers mornings."}])
        return server(request)

    await reviewer().propose(client_of(at_once_edited), "ann")
    assert not any("entity" not in one for one in server.of_type("Provenance"))

    server.put(KETAMINE)
    assert (await propose(server)).answer.care_plan.action is not PlanAction.REVOKE
    assert server.only("CarePlan")["status"] == "draft"


async def test_a_version_that_does_not_count_is_told_by_its_content() -> None:
    """One name for every version: only the digest says whether a person changed it."""
    server = a_server()
    server.name_version = lambda _: "1"
    await propose(server)
    assert (await propose(server)).answer.care_plan.action is PlanAction.NONE

    server.change(f"CarePlan/{server.only('CarePlan')['id']}", note=[{"text": "She prefers mornings."}])
    server.put(KETAMINE)
    assert (await propose(server)).answer.care_plan.action is not PlanAction.REVOKE
    assert server.only("CarePlan")["status"] == "draft"


async def test_a_version_that_a_program_stored_anew_is_still_untouched() -> None:
    server = a_server()
    await propose(server)
    tagged = {"tag": [{"system": "urn:x", "code": "indexed"}]}
    server.change(f"CarePlan/{server.only('CarePlan')['id']}", meta=tagged)
    assert await actions(server, 1) == ["none"]
    server.put(KETAMINE)
    assert await actions(server, 1) == ["revoke"]


async def test_where_nothing_is_noted_the_draft_is_left() -> None:
    kinds = {"Device", "CarePlan", "Task", "GuidanceResponse"}
    server = a_server("all at once", takes=kinds)
    await propose(server)
    server.put(KETAMINE)
    assert (await propose(server)).answer.care_plan.action is PlanAction.LEAVE
    assert server.only("CarePlan")["status"] == "draft"


async def test_a_server_that_stores_what_is_sent_is_noted_nothing_of() -> None:
    server = a_server(drops={})
    await propose(server)
    assert len(server.of_type("Provenance")) == 1


@pytest.mark.parametrize("tier", TIERS)
async def test_a_task_that_is_stored_otherwise_is_closed_when_its_reason_is_gone(tier: str) -> None:
    server = a_server(tier, drops={"Task": ("description",)})
    await propose(server)
    server.put(KETAMINE)
    await propose(server)
    assert [task["status"] for task in server.of_type("Task")] == ["requested"]
    server.delete("AllergyIntolerance/ketamine")
    await propose(server)
    assert [task["status"] for task in server.of_type("Task")] == ["cancelled"]


@pytest.mark.parametrize("tier", TIERS)
async def test_such_a_draft_is_listed_as_unedited_and_may_be_withdrawn(tier: str) -> None:
    server = a_server(tier)
    await propose(server)
    client = client_of(server)
    listed = await list_written(client, WrittenFilter(), "UTC")
    assert [one.written.edited for one in listed if one.written.kind == "plan"] == [False]
    drafts, left = sort_out(listed)
    assert (len(drafts), left) == (1, [])

    server.change(f"CarePlan/{server.only('CarePlan')['id']}", note=[{"text": "As agreed"}])
    drafts, left = sort_out(await list_written(client, WrittenFilter(), "UTC"))
    assert (drafts, [one.why for one in left]) == ([], ["a person edited the draft"])


async def test_what_is_noted_says_nothing_of_the_patient() -> None:
    server = a_server()
    await propose(server)
    (stored,) = [one for one in server.of_type("Provenance") if "entity" not in one]
    assert set(stored) == {
        "resourceType",
        "id",
        "meta",
        "extension",
        "target",
        "recorded",
        "activity",
        "agent",
    }
