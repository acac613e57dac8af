"""Subscriptions by topics are created, left alone or repaired, to our topics or to those of the server."""

import json
from collections.abc import Iterable
from typing import Any

import httpx
import pytest
from fhir.resources.R4B.subscription import Subscription as R4Subscription
from fhir.resources.subscription import Subscription
from fhir.resources.subscriptiontopic import SubscriptionTopic

from service.commands.subscribe import subscribe_to_changes
from service.errors import ServerUnsupported
from service.fhir.client import FhirClient
from service.fhir.kinds import WATCHED_KINDS
from service.gather.subscriptions import Subscribed, hook_key
from service.gather.topic_subscriptions import render_backported
from tests.support import Resource, fhir_response, reviewer, settings

KNOWLEDGE = reviewer().knowledge
SECRET = "a-hook-secret-of-tests"  # noqa: S105 - known to the tests only
HOOKS = "http://trd.example/hooks"
BY_CODE = {"Observation", "MedicationAdministration"}


class TopicServer:
    """Keeps what is put, and activates a Subscription at once."""

    def __init__(
        self,
        *,
        takes_topics: bool = True,
        topics: Iterable[Resource] = (),
        version: str = "5.0.0",
        offered: Iterable[str] = WATCHED_KINDS,
    ) -> None:
        self.takes_topics = takes_topics
        self.topics = list(topics)
        self.version = version
        self.offered = tuple(offered)
        self.held: dict[str, dict[str, Any]] = {}
        self.puts: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/fhir/")
        if request.method == "PUT":
            self.puts.append(path)
            self.held[path] = json.loads(request.content)
            if self.held[path]["resourceType"] == "Subscription":
                self.held[path]["status"] = "active"
            return fhir_response(self.held[path], 201)
        if path == "metadata":
            return fhir_response(self._capability())
        if path == "SubscriptionTopic":
            return fhir_response(
                {"resourceType": "Bundle", "entry": [{"resource": one} for one in self.topics]}
            )
        return fhir_response(self.held[path]) if path in self.held else fhir_response({}, 404)

    def _capability(self) -> Resource:
        kinds: list[Resource] = [{"type": kind} for kind in self.offered]
        codes = ["search-type", "create", "update"] if self.takes_topics else ["search-type"]
        kinds.append({"type": "SubscriptionTopic", "interaction": [{"code": code} for code in codes]})
        rest = [{"mode": "server", "resource": kinds}]
        return {"resourceType": "CapabilityStatement", "fhirVersion": self.version, "rest": rest}

    @property
    def subscriptions(self) -> dict[str, Resource]:
        return {path: one for path, one in self.held.items() if one["resourceType"] == "Subscription"}

    async def subscribe(self, secret: str | None = SECRET, **values: object) -> list[Subscribed]:
        chosen = settings(public_url="http://trd.example/", hook_secret=secret, **values)
        async with httpx.AsyncClient(transport=httpx.MockTransport(self)) as http:
            client = FhirClient("http://ehr/fhir", http, seconds=5, attempts=1, connections=2)
            return await subscribe_to_changes(client, chosen, KNOWLEDGE)


def a_topic(kind: str, **elements: Any) -> Resource:
    trigger = {"resource": kind, "supportedInteraction": ["create", "update"]}
    topic = {"resourceType": "SubscriptionTopic", "url": f"http://ehr/topic/{kind}", "status": "active"}
    return topic | {"resourceTrigger": [trigger]} | elements


async def test_one_topic_and_one_active_subscription_a_kind() -> None:
    server = TopicServer()

    done = await server.subscribe()

    assert [(one.done, one.status) for one in done] == [("created", "active")] * len(WATCHED_KINDS)
    for kind in WATCHED_KINDS:
        topic = server.held[f"SubscriptionTopic/trd-careplan-{kind.lower()}"]
        subscription = server.held[f"Subscription/trd-careplan-{kind.lower()}"]
        SubscriptionTopic.model_validate(topic)
        Subscription.model_validate(subscription)
        assert [one["resource"] for one in topic["resourceTrigger"]] == [kind]
        assert (subscription["topic"], subscription["content"]) == (topic["url"], "id-only")
        assert subscription["endpoint"] == f"{HOOKS}/topics/{hook_key(SECRET.encode())}"
        assert subscription["parameter"] == [{"name": "X-Hook-Secret", "value": SECRET}]
        assert subscription["heartbeatPeriod"] == 3600
        assert ("filterBy" in subscription) == (kind in BY_CODE)


async def test_without_a_secret_none_is_written() -> None:
    server = TopicServer()
    await server.subscribe(None)
    assert {one["endpoint"] for one in server.subscriptions.values()} == {f"{HOOKS}/topics"}
    assert not any("parameter" in one for one in server.subscriptions.values())


async def test_a_second_run_changes_nothing() -> None:
    server = TopicServer()
    await server.subscribe()
    server.puts.clear()
    assert {one.done for one in await server.subscribe()} == {"unchanged"}
    assert server.puts == []


@pytest.mark.parametrize(
    "fault", [{"status": "error"}, {"topic": "http://else"}, {"content": "empty"}, {"parameter": []}], ids=str
)
async def test_a_subscription_that_differs_is_repaired(fault: dict[str, Any]) -> None:
    server = TopicServer()
    await server.subscribe()
    server.held["Subscription/trd-careplan-condition"] |= fault
    server.puts.clear()
    assert [one.done for one in await server.subscribe()].count("repaired") == 1
    assert server.puts == ["Subscription/trd-careplan-condition"]


@pytest.mark.parametrize("fault", [{"status": "retired"}, {"resourceTrigger": []}], ids=str)
async def test_a_topic_that_differs_is_repaired(fault: dict[str, Any]) -> None:
    server = TopicServer()
    await server.subscribe()
    server.held["SubscriptionTopic/trd-careplan-condition"] |= fault
    server.puts.clear()
    await server.subscribe()
    assert server.puts == ["SubscriptionTopic/trd-careplan-condition"]


async def test_where_the_server_takes_no_topics_its_own_are_used() -> None:
    limited = [{"resource": "Flag", "queryCriteria": {"current": "status=active"}}]
    can_filter = [{"resource": "Observation", "filterParameter": "code"}]
    topics = [
        a_topic("Flag", resourceTrigger=limited),
        a_topic("Procedure", status="retired"),
        a_topic("Patient", resourceTrigger=[{"resource": "Patient", "supportedInteraction": ["create"]}]),
        a_topic("Condition"),
        a_topic("Observation", canFilterBy=can_filter),
        a_topic("MedicationAdministration"),
    ]
    server = TopicServer(takes_topics=False, topics=topics)

    done = {one.reference.rpartition("-")[2]: one.status for one in await server.subscribe()}

    assert {kind for kind, status in done.items() if status == "active"} == {
        "condition",
        "observation",
        "medicationadministration",
    }
    assert set(done.values()) == {"active", "skipped"}
    assert server.held["Subscription/trd-careplan-condition"]["topic"] == "http://ehr/topic/Condition"
    assert "filterBy" in server.held["Subscription/trd-careplan-observation"]
    assert "filterBy" not in server.held["Subscription/trd-careplan-medicationadministration"]


async def test_a_server_without_any_topic_is_reported() -> None:
    with pytest.raises(ServerUnsupported, match="TRD_TOPICS"):
        await TopicServer(takes_topics=False).subscribe()


@pytest.mark.parametrize("version", ["4.0.1", "4.3.0", "5.0.0"])
async def test_the_topics_of_the_settings_are_subscribed_to(version: str) -> None:
    server = TopicServer(version=version, takes_topics=False)
    topics = "http://ehr/topic/a, http://ehr/topic/b"

    await server.subscribe(topics=topics)
    server.puts.clear()
    assert {one.done for one in await server.subscribe(topics=topics)} == {"unchanged"}

    assert server.puts == []
    element = "topic" if version == "5.0.0" else "criteria"
    assert [one[element] for one in server.subscriptions.values()] == [
        "http://ehr/topic/a",
        "http://ehr/topic/b",
    ]


async def test_on_r4_without_topics_in_the_settings_it_is_by_criteria() -> None:
    server = TopicServer(version="4.0.1")
    await server.subscribe()
    assert {one["channel"]["endpoint"] for one in server.subscriptions.values()} == {f"{HOOKS}/fhir"}


def test_a_backported_subscription_has_its_topic_as_criteria() -> None:
    rendered = render_backported("1", "http://ehr/topic/a", f"{HOOKS}/topics", SECRET)
    R4Subscription.model_validate({name: value for name, value in rendered.items() if name != "id"})
    assert rendered["criteria"] == "http://ehr/topic/a"
    assert rendered["channel"]["header"] == [f"X-Hook-Secret: {SECRET}"]
    assert rendered["channel"]["_payload"]["extension"][0]["valueCode"] == "id-only"
