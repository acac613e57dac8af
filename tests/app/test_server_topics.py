"""Notifications by topics: what a server tells becomes references in the queue, whatever its release."""

import asyncio
import hmac
import json
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import pytest
from fhir.resources.R4B.bundle import Bundle
from fhir.resources.R4B.operationoutcome import OperationOutcome
from hypothesis import given
from hypothesis import strategies as st

from service import app as app_module
from service.doors import trust
from service.doors.trust import MOST_GUESSES
from service.fhir.notifications import Heard, read_gap
from service.gather.subscriptions import hook_key
from service.ids import is_id
from tests.app.serving import CANARY, SECRET, PretendQueue, Site, fhir_of, issue_of, serving
from tests.app.test_server_hooks import BUNDLES, JSON, hook_counts
from tests.examples import tries
from tests.notified import RELEASES, SUBSCRIPTION, entry, event, named, notification
from tests.support import BASE, Resource, a_bundle, a_condition, a_medication, a_patient

TOPICS = "/hooks/topics"
ADDRESSES = [TOPICS, "/hooks/fhir"]
KEY = sha256(SUBSCRIPTION.encode()).hexdigest()
AN_HOUR_AGO = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)

of_every_release = pytest.mark.parametrize("release", RELEASES)
at_every_hook = pytest.mark.parametrize("address", ADDRESSES)


def heard(number: int, name: str | None = SUBSCRIPTION) -> dict[str, Heard]:
    """A queue's knowledge of the Subscription of the tests."""
    return {KEY: Heard(name, number, AN_HOUR_AGO.isoformat(timespec="milliseconds"))}


async def taken(site: Site, bundle: Resource, address: str = TOPICS, **request: Any) -> str:
    """Send a notification; what was answered once it was taken, which HAPI takes as a Bundle only."""
    answer = await fhir_of(await site.post(address, json=bundle, **request))
    Bundle.model_validate(answer)
    assert answer["type"] == "transaction-response"
    assert len(answer["entry"]) == len(bundle["entry"])
    (issue,) = answer["entry"][0]["response"]["outcome"]["issue"]
    text: str = issue["diagnostics"]
    return text


def sweeps(queue: PretendQueue) -> list[datetime]:
    return [datetime.fromisoformat(since) for name, since in queue.tasks if name == "sweep"]


# --- the payloads ---------------------------------------------------------------------------------


@of_every_release
@at_every_hook
async def test_an_event_that_names_a_resource_has_it_read(release: str, address: str) -> None:
    queue = PretendQueue()
    bundle = notification(release, event(1, "Condition/c"), total=1, entries=(named("Condition/c"),))
    async with serving(queue=queue) as site:
        assert await taken(site, bundle, address) == "stored for review"
        assert await hook_counts(site) == {"named": 1}

    assert (queue.accepted, queue.tasks) == ([], [("changed", "Condition/c")])


@of_every_release
@at_every_hook
async def test_an_event_that_names_a_patient_is_a_review(release: str, address: str) -> None:
    queue = PretendQueue()
    bundle = notification(release, event(1, f"{BASE}/Patient/bea"), total=1)
    async with serving(queue=queue) as site:
        assert await taken(site, bundle, address) == "stored for review"

    assert (queue.accepted, queue.tasks) == ([(("bea",), "topic")], [])


@of_every_release
@at_every_hook
async def test_an_event_with_its_resource_is_a_review_of_its_patient(release: str, address: str) -> None:
    queue = PretendQueue()
    bundle = notification(
        release,
        event(1, f"{BASE}/Condition/c"),
        total=1,
        entries=(entry(a_condition("c", "bea")), entry(a_patient("carl"), "GET")),
    )
    bundle["entry"][1]["fullUrl"] = f"{BASE}/Condition/c"
    async with serving(queue=queue) as site:
        assert await taken(site, bundle, address) == "stored for review"

    assert (queue.patients, queue.tasks) == (["bea"], [])


@of_every_release
@at_every_hook
async def test_an_event_that_names_nothing_is_a_sweep_since_the_last_that_was_heard(
    release: str, address: str
) -> None:
    queue = PretendQueue(heard=heard(4))
    async with serving(queue=queue) as site:
        assert await taken(site, notification(release, event(5), total=5), address) == "stored for review"

    (since,) = sweeps(queue)
    assert timedelta(minutes=10) <= AN_HOUR_AGO - since < timedelta(minutes=11)
    assert queue.accepted == []
    assert queue.heard[KEY].number == 5


async def test_many_events_that_name_nothing_are_one_sweep_a_minute() -> None:
    queue = PretendQueue(heard=heard(0))
    async with serving(queue=queue) as site:
        for _ in range(5):
            await taken(site, notification("R5", event()))
    assert len(set(sweeps(queue))) <= 3  # the first since an hour ago, the others since now


async def test_a_bundle_of_hapi_that_is_typed_as_a_transaction() -> None:
    queue = PretendQueue()
    bundle = notification("R5", event(1, "Condition/c"), total=1, entries=(named("Condition/c"),))
    async with serving(queue=queue) as site:
        for address in ADDRESSES:
            await taken(site, bundle | {"type": "transaction"}, address)
    assert queue.tasks == [("changed", "Condition/c")] * 2


@of_every_release
async def test_a_notification_that_comes_in_a_message(release: str) -> None:
    queue = PretendQueue()
    inner = notification(release, event(1, "Condition/c"), total=1)
    header = {"resourceType": "MessageHeader", "eventCoding": {"code": "subscription-notification"}}
    entries = [{"resource": header}, {"resource": inner}]
    message = {"resourceType": "Bundle", "type": "message", "entry": entries}
    async with serving(queue=queue) as site:
        for address in ADDRESSES:
            answer = await site.post(address, json=message)
            assert (await fhir_of(answer))["type"] == "transaction-response"
    assert queue.tasks == [("changed", "Condition/c")] * 2


async def test_a_deletion_is_traced_by_its_history() -> None:
    queue = PretendQueue()
    deleted = named("Condition/c", "DELETE")
    async with serving(queue=queue) as site:
        await taken(site, notification("R5", event(1, "Condition/c"), total=1, entries=(deleted,)))
    assert queue.tasks == [("deleted", "Condition/c")]


async def test_what_is_of_no_patient_or_our_own_starts_nothing() -> None:
    queue = PretendQueue()
    foci = [event(1, "Encounter/e"), event(2, "CarePlan/p"), event(3, "http://other/fhir/Encounter/e")]
    full = notification("R5", event(4, "Medication/m"), entries=(entry(a_medication("m")),))
    async with serving(queue=queue) as site:
        assert await taken(site, notification("R5", *foci)) == "nothing in it to review"
        assert await taken(site, full) == "nothing in it to review"
        assert await hook_counts(site) == {"type-not-used": 2, "own-write": 1, "no-patient": 1}
    assert queue.empty


async def test_an_entry_that_cannot_be_read_is_searched_for() -> None:
    queue = PretendQueue()
    async with serving(queue=queue) as site:
        bundle = notification("R5", event(1), total=1)
        bundle["entry"].append(CANARY)
        await taken(site, bundle)
    assert len(sweeps(queue)) == 1


@of_every_release
async def test_a_status_that_says_nothing_is_a_sweep(release: str) -> None:
    """Some servers leave the status of R4 empty: what happened is not known, so it is searched for."""
    queue = PretendQueue()
    bundle = notification(release)
    bundle["entry"][0]["resource"].pop("parameter", None)
    async with serving(queue=queue) as site:
        await taken(site, bundle)
    assert len(sweeps(queue)) == 1


# --- what is no event -----------------------------------------------------------------------------


@of_every_release
@at_every_hook
@pytest.mark.parametrize("kind", ["handshake", "heartbeat", "query-status"])
async def test_what_is_no_event_is_answered_and_starts_nothing(release: str, address: str, kind: str) -> None:
    queue = PretendQueue()
    status = "requested" if kind == "handshake" else "active"
    async with serving(queue=queue) as site:
        await taken(site, notification(release, kind=kind, total=0, status=status), address)
        counted = "handshake" if kind == "handshake" else "heartbeat"
        assert await hook_counts(site) == {counted: 1}
    assert queue.empty
    assert queue.heard[KEY].number == 0


@of_every_release
async def test_queried_events_are_taken_and_change_no_count(release: str) -> None:
    queue = PretendQueue(heard=heard(4))
    queried = notification(release, event(2, "Condition/c"), kind="query-event", total=9)
    async with serving(queue=queue) as site:
        await taken(site, queried)
    assert queue.tasks == [("changed", "Condition/c")]
    assert queue.heard == heard(4)


@pytest.mark.parametrize("status", ["error", "off"])
async def test_a_subscription_in_error_is_made_up_for(status: str) -> None:
    queue = PretendQueue(heard=heard(4))
    async with serving(queue=queue) as site:
        await taken(site, notification("R5", kind="heartbeat", total=4, status=status))
        assert (await hook_counts(site))["subscription-failed"] == 1
    assert len(sweeps(queue)) == 1


# --- gaps -----------------------------------------------------------------------------------------


async def gaps_after(queue: PretendQueue, *bundles: Resource) -> list[tuple[int, int]]:
    """The gaps that were queued."""
    async with serving(queue=queue) as site:
        for bundle in bundles:
            await taken(site, bundle)
    found = [read_gap(text) for name, text in queue.tasks if name == "gap"]
    assert {gap.subscription for gap in found} <= {SUBSCRIPTION}
    return [(gap.first, gap.last) for gap in found]


def one(number: int, **others: Any) -> Resource:
    return notification("R5", event(number, "Condition/c"), total=number, **others)


@of_every_release
async def test_events_that_did_not_come_are_a_gap(release: str) -> None:
    queue = PretendQueue(heard=heard(4))
    bundle = notification(release, event(8, "Condition/c"), total=8)
    assert await gaps_after(queue, bundle) == [(5, 7)]
    assert queue.heard[KEY].number == 8


async def test_a_heartbeat_shows_a_gap() -> None:
    beat = notification("R5", kind="heartbeat", total=6)
    assert await gaps_after(PretendQueue(heard=heard(4)), beat) == [(5, 6)]


async def test_a_gap_is_queued_once() -> None:
    assert await gaps_after(PretendQueue(heard=heard(4)), one(8), one(8), one(9), one(10)) == [(5, 7)]


async def test_duplicates_and_late_events_are_taken_and_are_no_gap() -> None:
    queue = PretendQueue(heard=heard(4))
    late = notification("R5", event(3, "Condition/late"), total=4)
    assert await gaps_after(queue, late, one(5), one(5)) == []
    assert [reference for name, reference in queue.tasks if name == "changed"] == [
        "Condition/late",
        "Condition/c",
        "Condition/c",
    ]


async def test_several_events_at_once_are_no_gap() -> None:
    together = notification("R5", event(5, "Condition/c"), event(6, "Condition/d"), total=6)
    assert await gaps_after(PretendQueue(heard=heard(4)), together) == []


async def test_events_before_the_first_that_was_heard_are_searched_for() -> None:
    queue = PretendQueue()
    assert await gaps_after(queue, one(7)) == []
    (since,) = sweeps(queue)
    assert timedelta(days=1) < datetime.now(UTC) - since < timedelta(days=1, minutes=12)


async def test_numbers_that_count_within_a_bundle_are_no_gap() -> None:
    """As athenahealth counts: from 1 in each Bundle, whether the total goes on or not."""
    counted = [
        notification("R4", event(1, "Condition/c"), event(2, "Condition/d"), total=total)
        for total in (6, 8, 10)
    ]
    assert await gaps_after(PretendQueue(heard=heard(4)), *counted) == []
    without_total = notification("R4", event(1, "Condition/c"), event(2, "Condition/d"))
    assert await gaps_after(PretendQueue(heard=heard(2)), without_total, without_total) == []
    lost = notification("R4", event(1, "Condition/c"), total=7)
    assert await gaps_after(PretendQueue(heard=heard(4)), lost) == [(5, 6)]


async def test_a_subscription_that_begins_anew_is_counted_anew() -> None:
    queue = PretendQueue(heard=heard(9))
    begun = notification("R5", kind="handshake", total=0)
    assert await gaps_after(queue, begun, one(1), one(3)) == [(2, 2)]
    assert await gaps_after(PretendQueue(heard=heard(9)), one(1), one(3)) == [(2, 2)]


async def test_a_gap_of_a_subscription_that_cannot_be_asked_for_is_a_sweep() -> None:
    elsewhere = "http://other/fhir/Subscription/trd"
    key = sha256(elsewhere.encode()).hexdigest()
    queue = PretendQueue(heard={key: heard(4, None)[KEY]})
    assert await gaps_after(queue, one(8, subscription=elsewhere)) == []
    assert len(sweeps(queue)) == 1


async def test_without_a_subscription_nothing_is_counted() -> None:
    queue = PretendQueue()
    assert await gaps_after(queue, one(8, subscription=None)) == []
    assert queue.heard == {}
    assert queue.tasks == [("changed", "Condition/c")]


async def test_numbers_that_are_none_are_left_alone() -> None:
    strange = ["-1", "1.5", "", "ten", "9" * 40, "٣"]
    told = [
        notification("R5", {"eventNumber": number, "focus": {"reference": "Condition/c"}})
        for number in strange
    ]
    assert await gaps_after(PretendQueue(heard=heard(4)), *told) == []


# --- what is refused, and what cannot be stored ---------------------------------------------------


@at_every_hook
async def test_a_resource_of_another_server_is_refused(address: str) -> None:
    queue = PretendQueue()
    bundles = [
        notification("R5", event(1, "http://other/fhir/Condition/c")),
        notification("R5", event(1, "http://other/fhir/Patient/ann")),
        notification("R5", event(1), entries=(named("http://other/fhir/Condition/c", "DELETE"),)),
    ]
    async with serving(queue=queue) as site:
        for bundle in bundles:
            issue = await issue_of(await site.post(address, json=bundle), 422)
            assert "other/" not in issue["diagnostics"]
    assert queue.empty
    assert queue.heard == {}


MALFORMED: dict[str, tuple[bytes, list[str]]] = {
    "nothing": (b" \n", [TOPICS]),
    "no JSON": (CANARY.encode(), ADDRESSES),
    "a resource": (json.dumps(a_patient()).encode(), [TOPICS]),
    "another Bundle": (json.dumps(a_bundle([a_patient()])).encode(), [TOPICS]),
    "an empty Bundle": (b'{"resourceType": "Bundle", "type": "subscription-notification"}', ADDRESSES),
    "a Bundle that cannot be read": (b'{"resourceType": "Bundle", "entry": "Canarybird"}', ADDRESSES),
    "no status": (
        json.dumps(a_bundle([a_patient()], kind="subscription-notification")).encode(),
        ADDRESSES,
    ),
    "a status that cannot be read": (
        json.dumps(
            {
                "resourceType": "Bundle",
                "entry": [{"resource": {"resourceType": "SubscriptionStatus", "notificationEvent": CANARY}}],
            }
        ).encode(),
        ADDRESSES,
    ),
    "an entry that names nothing": (
        json.dumps(notification("R5", event(1), entries=({"request": {"method": "PUT"}},))).encode(),
        ADDRESSES,
    ),
}


@pytest.mark.parametrize(("body", "addresses"), MALFORMED.values(), ids=MALFORMED)
async def test_what_is_malformed_is_refused_and_not_repeated(body: bytes, addresses: list[str]) -> None:
    queue = PretendQueue()
    async with serving(queue=queue) as site:
        for address in addresses:
            issue = await issue_of(await site.post(address, data=body), 400)
            assert issue["severity"] == "error"
            assert CANARY not in issue["diagnostics"]
    assert queue.empty


@at_every_hook
async def test_what_cannot_be_stored_is_to_be_sent_again(address: str) -> None:
    queue = PretendQueue(fault=OSError(CANARY))
    async with serving(queue=queue) as site:
        answer = await site.post(address, json=one(1))
        issue = await issue_of(answer, 503)
        assert (issue["code"], answer.headers["Retry-After"]) == ("transient", "5")
        queue.fault = None
        assert await hook_counts(site) == {"not-stored": 1}


async def test_a_number_is_kept_only_once_what_it_asks_for_is_stored() -> None:
    class Forgetful(PretendQueue):
        async def accept_task(self, *_: object) -> None:
            raise OSError

    queue = Forgetful(heard=heard(4))
    async with serving(queue=queue) as site:
        await issue_of(await site.post(TOPICS, json=one(8)), 503)
    assert queue.heard == heard(4)


async def test_nothing_is_asked_of_the_server_before_the_answer() -> None:
    def refuse(_: object) -> Any:
        raise AssertionError("a request was made")

    async with serving(refuse) as site:
        await taken(site, notification("R5", event(5, "Condition/c"), event(9, "Patient/ann"), total=9))


# --- who may come in ------------------------------------------------------------------------------


def signed(body: bytes, secret: str = SECRET) -> dict[str, str]:
    return {"X-Hub-Signature": f"sha256={hmac.new(secret.encode(), body, sha256).hexdigest()}"}


@at_every_hook
async def test_a_body_that_was_signed_with_the_hook_secret_comes_in(address: str) -> None:
    queue = PretendQueue()
    body = json.dumps(one(1)).encode()
    async with serving(queue=queue, hook_secret=SECRET) as site:
        for headers in (signed(body), {"X-Hub-Signature": signed(body)["X-Hub-Signature"].upper()}):
            assert (await site.post(address, data=body, headers=headers)).status == 200
        marked = b"\xef\xbb\xbf" + body
        assert (await site.post(address, data=marked, headers=signed(marked))).status == 200
    assert len(queue.tasks) == 3


@at_every_hook
async def test_a_wrong_signature_stays_out(address: str) -> None:
    queue = PretendQueue()
    body = json.dumps(one(1)).encode()
    right = signed(body)["X-Hub-Signature"]
    wrong: list[dict[str, str]] = [
        {},
        signed(body + b" "),
        signed(body, "another-secret-of-tests"),
        {"X-Hub-Signature": right.removeprefix("sha256=")},
        {"X-Hub-Signature": right.replace("sha256", "sha1")},
        {"X-Hub-Signature": right[:-1]},
        {"X-Hub-Signature": "ünïcödé"},
    ]
    async with serving(queue=queue, hook_secret=SECRET) as site:
        for headers in wrong:
            assert (await issue_of(await site.post(address, data=body, headers=headers), 401))[
                "code"
            ] == "login"
    assert queue.empty


async def test_a_secret_comes_in_its_header_as_a_bearer_token_or_as_the_key_of_the_address() -> None:
    queue = PretendQueue()
    key = hook_key(SECRET.encode())
    ways: list[tuple[str, dict[str, str]]] = [
        (TOPICS, {"X-Hook-Secret": SECRET}),
        (TOPICS, {"Authorization": f"Bearer {SECRET}"}),
        (f"{TOPICS}/{key}", {}),
    ]
    async with serving(queue=queue, hook_secret=SECRET) as site:
        for address, headers in ways:
            assert (await site.post(address, json=one(1), headers=headers)).status == 200
        for wrong in (f"{TOPICS}/{'0' * 64}", f"{TOPICS}/{hook_key(b'another-secret-of-tests')}"):
            await issue_of(await site.post(wrong, json=one(1)), 401)
    assert len(queue.tasks) == 3
    assert SECRET not in key


async def test_guesses_are_limited() -> None:
    body = json.dumps(one(1)).encode()
    async with serving(hook_secret=SECRET) as site:
        statuses = [
            (await site.post(TOPICS, data=body, headers=signed(body, f"guess-{n}"))).status
            for n in range(MOST_GUESSES + 2)
        ]
    assert statuses == [401] * MOST_GUESSES + [429] * 2


async def test_a_signed_body_has_a_bound_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trust, "_LARGEST_SIGNED", 100)
    body = json.dumps(one(1)).encode()
    async with serving(hook_secret=SECRET) as site:
        await issue_of(await site.post(TOPICS, data=body, headers=signed(body)), 413)
        assert (await site.post(TOPICS, data=body, headers={"X-Hook-Secret": SECRET})).status == 200


# --- anything at all ------------------------------------------------------------------------------

PARTS = st.sampled_from(
    [
        "Condition/c", "Patient/ann", f"{BASE}/Condition/c", "http://other/fhir/Condition/c", "urn:uuid:1",
        SUBSCRIPTION, "1", "7", "-3", "handshake", "heartbeat", "event-notification", "query-event", "error",
        "active",
    ]
)  # fmt: skip
ANY = JSON | PARTS
EVENTS = st.fixed_dictionaries(
    {}, optional={"eventNumber": ANY, "focus": st.fixed_dictionaries({"reference": ANY}) | ANY}
)
STATUSES = st.fixed_dictionaries(
    {"resourceType": st.sampled_from(["SubscriptionStatus", "Parameters"])},
    optional={
        "type": ANY,
        "status": ANY,
        "eventsSinceSubscriptionStart": ANY | st.integers(0, 20),
        "notificationEvent": st.lists(EVENTS, max_size=3) | ANY,
        "subscription": st.fixed_dictionaries({"reference": ANY}) | ANY,
        "parameter": st.lists(st.dictionaries(st.sampled_from(["name", "valueCode", "part"]), ANY)) | ANY,
    },
)
ENTRIES = st.lists(
    ANY
    | st.fixed_dictionaries(
        {},
        optional={
            "fullUrl": ANY,
            "resource": ANY,
            "request": st.fixed_dictionaries({"url": ANY, "method": ANY}),
        },
    ),
    max_size=3,
)
NOTIFICATIONS = st.builds(
    lambda kind, status, entries: {
        "resourceType": "Bundle",
        "type": kind,
        "entry": [{"resource": status}, *entries],
    },
    st.sampled_from(["subscription-notification", "history", "transaction", "message"]),
    STATUSES,
    ENTRIES,
)
BODIES = st.binary(max_size=100) | st.builds(
    lambda value: json.dumps(value).encode(), NOTIFICATIONS | BUNDLES | JSON
)


@pytest.mark.soak
def test_whatever_is_sent_gets_a_proper_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app_module, "LARGEST_BODY", 20_000)
    queue = PretendQueue()
    site: Site

    @tries(1000)
    @given(body=BODIES, address=st.sampled_from(ADDRESSES))
    def send(body: bytes, address: str) -> None:
        async def exchanged() -> None:
            answer = await site.post(address, data=body)
            assert answer.status in {200, 400, 413, 422}
            found = await fhir_of(answer, answer.status)
            if found["resourceType"] == "OperationOutcome":
                OperationOutcome.model_validate(found)
            else:
                Bundle.model_validate(found)

        runner.run(exchanged())

    with asyncio.Runner() as runner:
        running = serving(queue=queue)
        site = runner.run(running.__aenter__())
        try:
            send()
        finally:
            runner.run(running.__aexit__(None, None, None))
    assert all(map(is_id, queue.patients))
