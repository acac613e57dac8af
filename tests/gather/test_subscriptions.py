"""Subscriptions are created, left alone or repaired, and asked for as HAPI understands them."""

import json
from collections.abc import Iterable
from typing import Any

import httpx
import pytest

from service.fhir.client import FhirClient
from service.fhir.kinds import WATCHED_KINDS
from service.gather import subscriptions
from service.gather.subscriptions import render_subscription, subscribe
from tests.support import reviewer

KNOWLEDGE = reviewer().knowledge
BY_CODE = {"Observation", "MedicationAdministration"}
ENDPOINT = "http://127.0.0.1:9/hooks/fhir"


class Server:
    """Keeps Subscriptions and activates each the first time it is read after a write."""

    def __init__(self, settles_as: str = "active", offered: Iterable[str] = WATCHED_KINDS) -> None:
        self.offered = tuple(offered)
        self.held: dict[str, dict[str, Any]] = {}
        self.puts: list[str] = []
        self.settles_as = settles_as

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/fhir/")
        kind = {"Content-Type": "application/fhir+json"}
        if request.method == "PUT":
            self.puts.append(path)
            self.held[path] = json.loads(request.content)
            return httpx.Response(201, json=self.held[path], headers=kind)
        if path == "metadata":
            rest = [{"mode": "server", "resource": [{"type": kind} for kind in self.offered]}]
            statement = {
                "resourceType": "CapabilityStatement",
                "fhirVersion": "4.0.1",
                "rest": rest,
            }
            return httpx.Response(200, json=statement, headers=kind)
        if path not in self.held:
            return httpx.Response(404, json={}, headers=kind)
        if self.held[path]["status"] == "requested":
            self.held[path]["status"] = self.settles_as
        return httpx.Response(200, json=self.held[path], headers=kind)

    async def subscribe(self, secret: str | None = None) -> list[subscriptions.Subscribed]:
        async with httpx.AsyncClient(transport=httpx.MockTransport(self)) as http:
            client = FhirClient("http://ehr/fhir", http, seconds=5, attempts=1, connections=2)
            return await subscribe(client, ENDPOINT, secret, KNOWLEDGE)


async def test_one_active_subscription_a_kind_of_resource() -> None:
    server = Server()

    done = await server.subscribe("s3cret")

    assert [(found.done, found.status) for found in done] == [("created", "active")] * len(WATCHED_KINDS)
    for kind in WATCHED_KINDS:
        held = server.held[f"Subscription/trd-careplan-{kind.lower()}"]
        assert held["criteria"].startswith(f"{kind}?code=" if kind in BY_CODE else kind)
        assert held["channel"]["endpoint"] == ENDPOINT
        assert held["channel"]["header"] == ["X-Hook-Secret: s3cret"]


def test_observations_are_limited_to_those_that_are_read_and_administrations_to_esketamine() -> None:
    criteria = {
        kind: str(render_subscription(kind, ENDPOINT, None, KNOWLEDGE)["criteria"]) for kind in BY_CODE
    }

    codes = criteria["MedicationAdministration"].partition("?code=")[2].split(",")
    assert "http://www.nlm.nih.gov/research/umls/rxnorm|2119365" in codes
    assert "http://www.whocc.no/atc|N06AX27" in codes
    assert not any(code.startswith("http://loinc.org|") for code in codes)
    assert "http://www.nlm.nih.gov/research/umls/rxnorm|6130" not in codes, "ketamine is never the treatment"
    assert "http://loinc.org|44249-1" in criteria["Observation"].partition("?code=")[2].split(",")


async def test_what_the_server_does_not_offer_is_not_subscribed_to() -> None:
    server = Server(offered={"Condition", "Patient"})
    assert len(await server.subscribe()) == 2
    assert set(server.held) == {"Subscription/trd-careplan-condition", "Subscription/trd-careplan-patient"}


async def test_a_second_run_changes_nothing() -> None:
    server = Server()
    await server.subscribe()
    server.puts.clear()

    done = await server.subscribe()

    assert {found.done for found in done} == {"unchanged"}
    assert server.puts == []


@pytest.mark.parametrize(
    "fault",
    [{"status": "off"}, {"status": "error"}, {"criteria": "Observation?"}, {"channel": {"type": "email"}}],
    ids=str,
)
async def test_what_differs_is_repaired(fault: dict[str, Any]) -> None:
    server = Server()
    await server.subscribe()
    server.held["Subscription/trd-careplan-condition"] |= fault
    server.puts.clear()

    done = await server.subscribe()

    assert server.puts == ["Subscription/trd-careplan-condition"]
    assert [found.done for found in done].count("repaired") == 1


async def test_a_new_secret_is_a_repair() -> None:
    server = Server()
    await server.subscribe("old")

    assert {found.done for found in await server.subscribe("new")} == {"repaired"}


async def test_a_server_that_does_not_activate_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscriptions, "_POLL_SECONDS", 0)

    assert {found.status for found in await Server("requested").subscribe()} == {"requested"}
    assert {found.status for found in await Server("error").subscribe()} == {"error"}


def test_deletions_are_asked_for() -> None:
    channel = render_subscription("Condition", ENDPOINT, None, KNOWLEDGE)["channel"]

    assert channel["extension"][0]["valueBoolean"] is True
    assert "header" not in channel
