"""Whose record changed: from a sweep, and from the history of a deleted resource."""

from typing import Any

import httpx
import pytest

from service.errors import ServerRefused
from service.fhir.client import FhirClient
from service.fhir.kinds import WATCHED_KINDS
from service.gather.changes import find_patients_changed_since, find_patients_of_deleted
from tests.support import reviewer

KIND = {"Content-Type": "application/fhir+json"}


def bundle(*resources: dict[str, Any]) -> httpx.Response:
    entries = [{"resource": resource} for resource in resources]
    return httpx.Response(200, json={"resourceType": "Bundle", "entry": entries}, headers=KIND)


def about(patient: str, kind: str = "Condition") -> dict[str, Any]:
    return {"resourceType": kind, "id": "x", "subject": {"reference": f"Patient/{patient}"}}


async def since(client: FhirClient, instant: str) -> set[str]:
    return await find_patients_changed_since(client, instant, reviewer().knowledge)


def offering(*kinds: str) -> httpx.Response:
    rest = [{"mode": "server", "resource": [{"type": kind} for kind in kinds]}]
    statement = {"resourceType": "CapabilityStatement", "fhirVersion": "4.0.1", "rest": rest}
    return httpx.Response(200, json=statement, headers=KIND)


async def ask(handler: Any, question: Any, argument: str) -> set[str]:
    async with httpx.AsyncClient(transport=httpx.MockTransport(handler)) as http:
        client = FhirClient("http://ehr/fhir", http, seconds=5, attempts=1, connections=2)
        found: set[str] = await question(client, argument)
        return found


async def test_a_sweep_asks_for_every_kind_since_the_instant() -> None:
    asked: list[tuple[str, str]] = []

    def server(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/fhir/metadata":
            return offering(*WATCHED_KINDS, "Organization")
        asked.append((request.url.path, request.url.params["_lastUpdated"]))
        match request.url.path:
            case "/fhir/Patient":
                return bundle({"resourceType": "Patient", "id": "a"})
            case "/fhir/Condition":
                return bundle(about("a"), about("b"), {"resourceType": "Condition", "id": "nobody's"})
            case "/fhir/AllergyIntolerance":
                allergy = {"resourceType": "AllergyIntolerance", "patient": {"reference": "Patient/c"}}
                return bundle(allergy)
            case _:
                return bundle()

    assert await ask(server, since, "2026-11-23T10:00:00+00:00") == {"a", "b", "c"}
    assert {since for _, since in asked} == {"ge2026-11-23T10:00:00+00:00"}
    assert [path for path, _ in asked] == [f"/fhir/{kind}" for kind in WATCHED_KINDS]


async def test_a_sweep_passes_over_what_the_server_does_not_offer_and_other_observations() -> None:
    asked: list[httpx.URL] = []

    def server(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/fhir/metadata":
            return offering("Observation")
        asked.append(request.url)
        return bundle()

    assert await ask(server, since, "2026-11-23T10:00:00+00:00") == set()
    (url,) = asked
    assert "http://loinc.org|44249-1" in url.params["code"].split(",")


async def test_a_deleted_resource_is_traced_by_its_history_to_everyone_it_was_about() -> None:
    def server(request: httpx.Request) -> httpx.Response:
        assert request.url.path == "/fhir/Condition/7/_history"
        deleted = {"request": {"method": "DELETE", "url": "Condition/7"}}
        entries = [deleted, {"resource": about("b")}, {"resource": about("a")}]
        return httpx.Response(200, json={"resourceType": "Bundle", "entry": entries}, headers=KIND)

    assert await ask(server, find_patients_of_deleted, "Condition/7") == {"a", "b"}


@pytest.mark.parametrize("status", [404, 410])
async def test_a_history_that_is_gone_names_nobody(status: int) -> None:
    def server(_: httpx.Request) -> httpx.Response:
        return httpx.Response(status, json={}, headers=KIND)

    assert await ask(server, find_patients_of_deleted, "Condition/7") == set()


async def test_a_history_that_is_refused_is_a_failure_to_try_again() -> None:
    def server(_: httpx.Request) -> httpx.Response:
        return httpx.Response(403, json={}, headers=KIND)

    with pytest.raises(ServerRefused):
        await ask(server, find_patients_of_deleted, "Condition/7")
