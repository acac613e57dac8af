"""What a Subscription did not tell: events that are asked for, deletions, and whether it still works."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from service.errors import NotFhir, ServerMisread, ServerRefused
from service.fhir.kinds import WATCHED_KINDS
from service.fhir.names import BASE as OURS
from service.fhir.notifications import Gap, Heard, read_gap
from service.gather.changes import find_deleted_since, find_patients_of_changed
from service.gather.missed import find_condition, find_missed_events
from service.gather.subscriptions import HEARTBEAT_EXTENSION
from tests.notified import RELEASES, SUBSCRIPTION, event, notification
from tests.support import BASE, PretendServer, Resource, a_bundle, a_condition, client_of, fhir_response

GAP = Gap(SUBSCRIPTION, 5, 7, "2026-11-23T10:00:00+00:00")
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def offering(*operations: str, history: bool = True) -> Callable[[httpx.Request], httpx.Response]:
    """A CapabilityStatement with the operations of Subscription, and with the history of kinds."""
    interactions = [{"code": "history-type"}] if history else [{"code": "read"}]
    kinds: list[Resource] = [{"type": kind, "interaction": interactions} for kind in WATCHED_KINDS]
    kinds.append({"type": "Subscription", "operation": [{"name": name} for name in operations]})
    rest = [{"mode": "server", "resource": kinds}]
    return lambda _: fhir_response(
        {"resourceType": "CapabilityStatement", "fhirVersion": "4.0.1", "rest": rest}
    )


def answering(content: Any, status: int = 200) -> Callable[[httpx.Request], httpx.Response]:
    return lambda _: fhir_response(content, status)


def server(*operations: str, **answers: Any) -> PretendServer:
    return PretendServer([], answers={"metadata": offering(*operations), **answers})


# --- events that are asked for --------------------------------------------------------------------


def events_of(told: Resource, status: int = 200) -> PretendServer:
    return server("events", **{f"{SUBSCRIPTION}/$events": answering(told, status)})


@pytest.mark.parametrize("release", RELEASES)
async def test_the_events_of_a_gap_are_asked_for(release: str) -> None:
    foci = ["Condition/a", f"{BASE}/Patient/b", "Encounter/c"]
    told = notification(
        release, *(event(n, focus) for n, focus in enumerate(foci, 5)), kind="query-event", total=9
    )
    pretend = events_of(told)
    assert await find_missed_events(client_of(pretend), GAP) == ["Condition/a", "Patient/b"]
    assert pretend.paths[-1] == f"{SUBSCRIPTION}/$events?eventsSinceNumber=5&eventsUntilNumber=7"


NOT_SAID: dict[str, PretendServer] = {
    "no such operation": server("status"),
    "fewer events": events_of(notification("R5", event(5, "Condition/a"), kind="query-event")),
    "events without a focus": events_of(notification("R5", event(5), event(6), event(7))),
    "another resource": events_of(a_bundle([a_condition("c")])),
    "a status that cannot be read": events_of(
        {"resourceType": "Bundle", "type": "subscription-notification"}
    ),
    "refused": events_of({}, 400),
    "no such Subscription": events_of({}, 404),
}


@pytest.mark.parametrize("pretend", NOT_SAID.values(), ids=NOT_SAID)
async def test_where_the_server_cannot_say_which_events_they_were_nothing_is_known(
    pretend: PretendServer,
) -> None:
    assert await find_missed_events(client_of(pretend), GAP) is None


async def test_events_that_cannot_be_asked_for_now_are_asked_for_again() -> None:
    with pytest.raises(ServerRefused):
        await find_missed_events(client_of(events_of({}, 503), attempts=1), GAP)


def test_a_gap_is_kept_as_a_reference() -> None:
    assert read_gap(GAP.text) == GAP
    for text in ("", "Condition/c/1-2/now", "Subscription/x/1-b/now", "Subscription/x"):
        with pytest.raises(NotFhir):
            read_gap(text)


# --- a resource that is named ---------------------------------------------------------------------


async def patients_of(*resources: Resource, **answers: Any) -> set[str]:
    pretend = PretendServer(resources, answers=answers)
    return await find_patients_of_changed(client_of(pretend, attempts=1), "Condition/c")


async def test_a_resource_that_is_named_is_read_for_its_patient() -> None:
    assert await patients_of(a_condition("c", "bea")) == {"bea"}
    assert await patients_of(a_condition("c", subject={"reference": "Group/g"})) == set()
    tagged = {"tag": [{"system": f"{OURS}/tag"}]}
    assert await patients_of(a_condition("c", meta=tagged)) == set()


async def test_a_resource_that_is_gone_is_looked_up_in_its_history() -> None:
    history = a_bundle([a_condition("c", "bea")], kind="history")
    for gone in (404, 410):
        answers = {"Condition/c": answering({}, gone), "Condition/c/_history": answering(history)}
        assert await patients_of(**answers) == {"bea"}


async def test_a_resource_that_is_refused_or_cannot_be_read_is_a_failure() -> None:
    with pytest.raises(ServerRefused):
        await patients_of(**{"Condition/c": answering({}, 403)})
    with pytest.raises(ServerMisread):
        await patients_of(a_condition("c", subject="nobody"))


# --- deletions ------------------------------------------------------------------------------------


async def test_deletions_are_found_in_the_history_of_every_kind() -> None:
    deleted = {"request": {"method": "DELETE", "url": "Condition/gone"}}
    by_address = {"request": {"method": "DELETE"}, "fullUrl": f"{BASE}/Condition/other"}
    history = {"resourceType": "Bundle", "entry": [{"resource": a_condition("c")}, deleted, by_address]}
    nothing = {f"{kind}/_history": answering(a_bundle([])) for kind in WATCHED_KINDS}
    pretend = server(**nothing | {"Condition/_history": answering(history)})
    assert await find_deleted_since(client_of(pretend), GAP.since) == {"Condition/gone", "Condition/other"}
    assert {one.url.params["_since"] for one in pretend.asked[1:]} == {GAP.since}


async def test_a_history_that_is_not_offered_is_not_asked_for() -> None:
    pretend = PretendServer([], answers={"metadata": offering(history=False)})
    assert await find_deleted_since(client_of(pretend), GAP.since) == set()
    assert len(pretend.asked) == 1


# --- whether it still works -----------------------------------------------------------------------


def a_subscription(**elements: Any) -> Resource:
    return {"resourceType": "Subscription", "id": "trd", "status": "active", **elements}


async def condition_of(subscription: Resource, hours: float, **answers: Any) -> tuple[str, bool, bool]:
    operations = ["status"] if answers else []
    pretend = server(*operations, **{SUBSCRIPTION: answering(subscription), **answers})
    heard = Heard(SUBSCRIPTION, 4, (NOW - timedelta(hours=hours)).isoformat())
    found = await find_condition(client_of(pretend), heard, NOW)
    return found.status, found.failed, found.may_have_missed


R5_BEAT: Resource = {"heartbeatPeriod": 3600}
R4_BEAT: Resource = {
    "channel": {"extension": [{"url": HEARTBEAT_EXTENSION, "valueUnsignedInt": 3600}]},
}


@pytest.mark.parametrize("beat", [R5_BEAT, R4_BEAT], ids=["R5", "R4"])
async def test_a_subscription_that_is_silent_for_longer_than_its_heartbeat_may_have_missed_something(
    beat: Resource,
) -> None:
    assert await condition_of(a_subscription(**beat), hours=1.9) == ("active", False, False)
    assert await condition_of(a_subscription(**beat), hours=2.1) == ("active", False, True)
    assert await condition_of(a_subscription(), hours=1000) == ("active", False, False)


@pytest.mark.parametrize("status", ["error", "off", "entered-in-error"])
async def test_a_subscription_by_which_nothing_is_delivered_has_failed(status: str) -> None:
    assert await condition_of(a_subscription(status=status), hours=0) == (status, True, True)


async def test_a_silent_subscription_is_asked_for_its_status() -> None:
    told = notification("R5", kind="query-status", status="error")
    asked = {f"{SUBSCRIPTION}/$status": answering(told)}
    assert await condition_of(a_subscription(**R5_BEAT), hours=3, **asked) == ("error", True, True)
    refused = {f"{SUBSCRIPTION}/$status": answering({}, 400)}
    assert await condition_of(a_subscription(**R5_BEAT), hours=3, **refused) == ("active", False, True)


async def test_a_subscription_that_is_gone_has_failed() -> None:
    heard = Heard(SUBSCRIPTION, 4, NOW.isoformat())
    found = await find_condition(client_of(server(**{SUBSCRIPTION: answering({}, 410)})), heard, NOW)
    assert (found.status, found.failed) == ("gone", True)


async def test_a_subscription_that_cannot_be_looked_at_is_left_alone() -> None:
    elsewhere = await find_condition(client_of(server()), Heard(None, 4, NOW.isoformat()), NOW)
    forbidden = server(**{SUBSCRIPTION: answering({}, 403)})
    refused = await find_condition(client_of(forbidden), Heard(SUBSCRIPTION, 4, NOW.isoformat()), NOW)
    assert (elsewhere.may_have_missed, refused.may_have_missed) == (False, False)
