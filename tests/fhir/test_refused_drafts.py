"""A draft of ours whose content our models refuse is revoked all the same, or a person is asked to."""

from http import HTTPStatus
from typing import Any

import httpx
import pytest

from service.commands.withdraw import sort_out, withdraw
from service.commands.written import WrittenFilter, list_written
from service.errors import NotRevoked, ServerRefused
from service.fhir.models import validated
from service.fhir.names import is_edited
from service.review import Proposal
from tests.fhir.double import FhirDouble
from tests.fhir.test_stored_otherwise import KETAMINE, TIERS
from tests.fhir.test_write import a_resistant_record
from tests.support import AS_OF, Handler, Resource, client_of, reviewer, settings

FUTURE = "http://example.org/of-a-later-version"
ODD: dict[str, Resource] = {
    "an extension of a type of a later release": {"extension": [{"url": FUTURE, "valueInteger64": "1"}]},
    "an extension of two values": {
        "extension": [{"url": FUTURE, "valueString": "a", "valueDecimal": 1.5}, {"url": FUTURE}]
    },
    "a contained resource of an unknown kind": {"contained": [{"resourceType": "Later", "id": "later"}]},
    "a language that is none": {"language": ["en"]},
}
DIFFERS = {"status", "note", "extension", "meta"}
"""What a revocation of ours changes, with the version that the server counts."""


async def a_refused_draft(content: Resource, **traits: Any) -> FhirDouble:
    """A server with a draft of ours with content that our models refuse, and a contraindication."""
    server = FhirDouble(a_resistant_record(), **traits)
    await propose(server)
    plan = server.only("CarePlan")
    extension = [*plan["extension"], *content.get("extension", [])]
    server.change(f"CarePlan/{plan['id']}", **{**content, "extension": extension})
    with pytest.raises((ValueError, LookupError, TypeError)):
        validated(server.only("CarePlan"))
    server.put(KETAMINE)
    return server


async def propose(server: Handler) -> Proposal:
    return await reviewer(AS_OF).propose(client_of(server), "ann")


def without(plan: Resource, names: set[str]) -> Resource:
    return {name: part for name, part in plan.items() if name not in names}


@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize("content", ODD.values(), ids=ODD)
async def test_it_is_revoked_and_the_rest_stays_as_it_was(tier: str, content: Resource) -> None:
    server = await a_refused_draft(content, **TIERS[tier])
    before = server.only("CarePlan")

    done = await propose(server)

    after = server.only("CarePlan")
    assert done.answer.care_plan.action.value == "revoke"
    assert after["status"] == "revoked"
    assert without(after, DIFFERS) == without(before, DIFFERS)
    *kept, added = after["note"]
    assert kept == before.get("note", [])
    assert added["text"].startswith("Revoked by the service that proposed it.")
    others = [one for one in before["extension"] if one["url"] == FUTURE]
    assert [one for one in after["extension"] if one["url"] == FUTURE] == others
    assert len(after["extension"]) == len(before["extension"])
    assert not is_edited(after)
    assert str(done.written[0]) == f"CarePlan/{after['id']}/_history/{after['meta']['versionId']}"
    explained = [one["target"][0]["display"] for one in server.of_type("Provenance")]
    assert str(done.written[0]) in explained
    assert (await propose(server)).written == ()


async def test_when_the_contraindication_is_gone_a_new_draft_takes_its_place() -> None:
    server = await a_refused_draft(ODD["an extension of two values"])
    await propose(server)
    server.delete("AllergyIntolerance/ketamine")

    assert (await propose(server)).answer.care_plan.action.value == "create"


async def test_where_the_server_stores_no_extensions_it_is_not_taken_for_a_persons() -> None:
    odd = ODD["a language that is none"]
    server = FhirDouble(a_resistant_record(), drops={"CarePlan": ("extension",)})
    await propose(server)
    server.change(f"CarePlan/{server.only('CarePlan')['id']}", **odd)
    server.put(KETAMINE)

    assert (await propose(server)).answer.care_plan.action.value == "revoke"
    assert (await propose(server)).written == ()
    server.delete("AllergyIntolerance/ketamine")
    assert (await propose(server)).answer.care_plan.action.value == "create"


async def test_a_server_of_r5_gets_back_what_it_had() -> None:
    server = await a_refused_draft(ODD["an extension of two values"], fhir_version="5.0.0")
    before = server.only("CarePlan")

    await propose(server)

    after = server.only("CarePlan")
    assert after["status"] == "revoked"
    assert without(after, DIFFERS) == without(before, DIFFERS)
    assert (await propose(server)).written == ()


async def test_numbers_stay_as_they_are_written() -> None:
    server = await a_refused_draft(ODD["an extension of two values"])
    sent: list[bytes] = []

    def precise(request: httpx.Request) -> httpx.Response:
        if request.method == "PUT":
            sent.append(request.content)
        answer = server(request)
        exact = answer.content.replace(b'"valueDecimal": 1.5', b'"valueDecimal": 1.50')
        exact = exact.replace(b'"valueDecimal":1.5,', b'"valueDecimal":1.50,')
        headers = {name: value for name, value in answer.headers.items() if name != "content-length"}
        return httpx.Response(answer.status_code, content=exact, headers=headers)

    await propose(precise)

    assert b"1.50" in sent[0]
    assert server.only("CarePlan")["status"] == "revoked"


# --- where the server refuses even that -----------------------------------------------------------


class Refusing:
    """A server that refuses one kind of request with a status."""

    def __init__(self, server: FhirDouble, status: int) -> None:
        self.server = server
        self.status = status

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.method == "PUT" and "/CarePlan/" in request.url.path:
            return httpx.Response(self.status)
        return self.server(request)


@pytest.mark.parametrize("tier", ["all at once", "one by one"])
async def test_a_person_is_asked_to_end_it_and_the_review_fails(tier: str) -> None:
    server = await a_refused_draft(ODD["an extension of two values"], **TIERS[tier])
    plan = server.only("CarePlan")
    name = f"CarePlan/{plan['id']}"

    for _ in range(2):
        with pytest.raises(NotRevoked) as failed:
            await propose(Refusing(server, HTTPStatus.UNPROCESSABLE_ENTITY))
        message = f"{name}: the FHIR server refused the revocation; a clinician must end it"
        assert str(failed.value) == message

    assert server.only("CarePlan") == plan
    task = server.only("Task")
    assert [coding["code"] for coding in task["code"]["coding"]] == ["safety"]
    assert (task["status"], task["meta"]["versionId"]) == ("requested", "1")
    assert task["focus"]["reference"].startswith(name)
    assert name in task["description"]
    assert "hypersensitivity" in task["description"].lower()
    assert server.only("GuidanceResponse")["result"]["reference"] == name

    assert (await propose(server)).answer.care_plan.action.value == "revoke"
    reasons = {task["code"]["coding"][0]["code"]: task["status"] for task in server.of_type("Task")}
    assert reasons["safety"] == "cancelled"


@pytest.mark.parametrize("status", [HTTPStatus.NOT_FOUND, HTTPStatus.PRECONDITION_FAILED, 503])
async def test_what_may_pass_is_no_refusal(status: int) -> None:
    server = await a_refused_draft(ODD["an extension of two values"])

    with pytest.raises(ServerRefused) as failed:
        await propose(Refusing(server, status))

    assert failed.value.status == (HTTPStatus.CONFLICT if status == HTTPStatus.NOT_FOUND else status)
    assert server.of_type("Task") == []


# --- by hand --------------------------------------------------------------------------------------


async def withdrawn(server: Handler) -> list[str]:
    client, chosen = client_of(server), settings()
    drafts, _ = sort_out(await list_written(client, WrittenFilter(), chosen.timezone))
    return [one.outcome.value async for one in withdraw(client, chosen, drafts, "a faulty list")]


@pytest.mark.parametrize("content", ODD.values(), ids=ODD)
async def test_it_is_withdrawn_and_not_proposed_again(content: Resource) -> None:
    server = await a_refused_draft(content)
    server.delete("AllergyIntolerance/ketamine")
    before = server.only("CarePlan")

    assert await withdrawn(server) == ["withdrawn"]

    after = server.only("CarePlan")
    assert after["status"] == "revoked"
    assert after["note"][-1]["text"].endswith("Withdrawn by hand: a faulty list")
    assert without(after, DIFFERS) == without(before, DIFFERS)
    assert (await propose(server)).answer.care_plan.action.value == "leave"


async def test_a_withdrawal_that_the_server_refuses_names_the_plan() -> None:
    server = await a_refused_draft(ODD["an extension of two values"])
    name = f"CarePlan/{server.only('CarePlan')['id']}"

    with pytest.raises(NotRevoked, match=name):
        await withdrawn(Refusing(server, HTTPStatus.BAD_REQUEST))
    assert server.only("CarePlan")["status"] == "draft"
