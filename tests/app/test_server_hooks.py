"""Rest-hooks: what a server tells becomes references in the queue, before it is answered."""

import asyncio
import gzip
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fhir.resources.R4B.bundle import Bundle
from fhir.resources.R4B.operationoutcome import OperationOutcome
from hypothesis import given
from hypothesis import strategies as st

from service import app as app_module
from service.doors import bodies, storing
from service.doors.rest_hook import read_notification
from service.fhir.kinds import WRITTEN_KINDS
from service.fhir.names import BASE as OURS
from service.ids import is_id
from tests.app.serving import CANARY, SECRET, PretendQueue, Site, fhir_of, issue_of, serving
from tests.examples import tries
from tests.support import Resource, a_bundle, a_condition, a_medication, a_patient, a_statement, an_allergy

HOOK = "/hooks/fhir"
STORED = "stored for review"
NOTHING = "nothing in it to review"


async def hook_counts(site: Site) -> dict[str, int]:
    """How often each kind of event was counted."""
    text = await (await site.get("/metrics")).text()
    prefix = 'trd_hook_events_total{kind="'
    counted = [
        line.removeprefix(prefix).split('"} ') for line in text.splitlines() if line.startswith(prefix)
    ]
    return {kind: int(float(count)) for kind, count in counted if float(count)}


def outcomes_of(answer: Resource) -> list[Resource]:
    """The OperationOutcomes of an answer: itself, or one for each entry of a transaction."""
    if answer["resourceType"] == "Bundle":
        assert answer["type"] in {"transaction-response", "batch-response"}
        return [entry["response"]["outcome"] for entry in answer.get("entry", [])]
    return [answer]


async def told(site: Site, text: str, method: str = "PUT", path: str = HOOK, **request: Any) -> None:
    """Send a notification and check that it was taken as said."""
    issue = await issue_of(await site.request(method, path, **request), 200)
    assert issue == {"severity": "information", "code": "informational", "diagnostics": text}


PATIENTS: dict[str, tuple[Resource, str]] = {
    "a Patient": (a_patient("bea"), "bea"),
    "a Condition": (a_condition("c", "bea"), "bea"),
    "a MedicationStatement": (a_statement("m", "bea"), "bea"),
    "an AllergyIntolerance": (an_allergy("a", "bea"), "bea"),
    "a versioned subject": (a_condition("c", subject={"reference": "Patient/bea/_history/3"}), "bea"),
    "an absolute subject": (a_condition("c", subject={"reference": "http://x/fhir/Patient/bea"}), "bea"),
}


@pytest.mark.parametrize(("resource", "patient"), PATIENTS.values(), ids=PATIENTS)
@pytest.mark.parametrize("method", ["PUT", "POST"])
async def test_a_changed_resource_has_its_patient_reviewed(
    resource: Resource, patient: str, method: str
) -> None:
    queue = PretendQueue()
    async with serving(queue=queue) as site:
        path = f"{HOOK}/{resource['resourceType']}/{resource['id']}"
        for address in (HOOK, path, f"{path}/_history/2"):
            await told(site, STORED, method, address, json=resource)
        assert await hook_counts(site) == {"changed": 3}

    assert queue.accepted == [((patient,), "rest-hook")] * 3
    assert queue.tasks == []


async def test_a_deleted_resource_is_a_task() -> None:
    queue = PretendQueue()
    async with serving(queue=queue) as site:
        await told(site, STORED, "DELETE", f"{HOOK}/Condition/c-1")
        await told(site, STORED, "DELETE", f"{HOOK}/Patient/ann/_history/4")
        await told(site, NOTHING, "DELETE", f"{HOOK}/Encounter/o-1")
        await told(site, NOTHING, "DELETE", f"{HOOK}/CarePlan/p-1")
        assert await hook_counts(site) == {"deleted": 2, "type-not-used": 1, "own-write": 1}

    assert queue.tasks == [("deleted", "Condition/c-1"), ("deleted", "Patient/ann")]
    assert queue.accepted == []


async def test_a_post_without_a_body_is_a_sweep_from_a_little_earlier() -> None:
    queue = PretendQueue()
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    async with serving(queue=queue) as site:
        before = datetime.now(UTC)
        await told(site, STORED, "POST", headers=form)
        await told(site, STORED, "POST", data=b" \n")
        assert await hook_counts(site) == {"sweep": 2}

    assert queue.accepted == []
    for name, since in queue.tasks:
        moment = datetime.fromisoformat(since)
        assert name == "sweep"
        assert timedelta(minutes=9) < before - moment < timedelta(minutes=11)


async def test_an_address_without_a_body_is_enough_for_a_patient() -> None:
    queue = PretendQueue()
    async with serving(queue=queue) as site:
        await told(site, STORED, "PUT", f"{HOOK}/Patient/bea")
        await told(site, STORED, "PUT", f"{HOOK}/Condition/c")
        await told(site, NOTHING, "PUT", f"{HOOK}/Encounter/o")

    assert queue.patients == ["bea"]
    assert [name for name, _ in queue.tasks] == ["sweep"]


async def test_a_bundle_is_taken_entry_by_entry() -> None:
    queue = PretendQueue()
    bundle = {
        "resourceType": "Bundle",
        "type": "history",
        "entry": [
            {"resource": a_patient("bea"), "request": {"method": "PUT", "url": "Patient/bea"}},
            {"resource": a_condition("c", "carl")},
            {"resource": a_statement("m", "bea")},
            {"request": {"method": "DELETE", "url": "http://x/fhir/AllergyIntolerance/a-1"}},
            {"request": {"method": "DELETE", "url": "AllergyIntolerance/a-1/_history/2"}},
            {"request": {"method": "DELETE", "url": "AllergyIntolerance?identifier=1"}},
            {"fullUrl": "http://x/fhir/Patient/dora"},
            {"request": {"method": "POST", "url": "Condition"}, "fullUrl": "http://x/fhir/Condition/c-2"},
            {"fullUrl": "urn:uuid:1"},
            {"resource": {"resourceType": "CarePlan", "id": "p", "subject": {"reference": "Patient/eve"}}},
            {"resource": {"resourceType": "Parameters"}},
            {"resource": [CANARY]},
            {"resource": {"resourceType": "Condition", "subject": CANARY}},
            CANARY,
        ],
    }
    async with serving(queue=queue) as site:
        for method in ("PUT", "POST"):
            await told(site, STORED, method, json=bundle)
        counts = await hook_counts(site)

    assert queue.accepted == [(("bea", "carl", "dora"), "rest-hook")] * 2
    assert [task for task in queue.tasks if task[0] == "deleted"] == [
        ("deleted", "AllergyIntolerance/a-1")
    ] * 2
    assert [name for name, _ in queue.tasks].count("sweep") == 2
    assert counts == {
        "changed": 8,
        "deleted": 4,
        "sweep": 2,
        "own-write": 2,
        "no-patient": 2,
        "type-not-used": 2,
        "unreadable": 8,
    }


@pytest.mark.parametrize("kind", ["transaction", "batch"])
async def test_a_transaction_is_answered_as_one(kind: str) -> None:
    queue = PretendQueue()
    bundle = a_bundle([a_condition("c", "bea"), a_medication("m")], kind=kind)
    async with serving(queue=queue) as site:
        response = await fhir_of(await site.post(HOOK, json=bundle))
        empty = await fhir_of(await site.post(HOOK, json=a_bundle([], kind=kind)))

    assert queue.patients == ["bea"]
    assert (response["type"], empty["type"]) == (f"{kind}-response", f"{kind}-response")
    Bundle.model_validate(response)
    assert [entry["response"]["status"] for entry in response["entry"]] == ["200 OK", "200 OK"]
    assert response["entry"][0]["response"]["outcome"]["issue"][0]["diagnostics"] == STORED
    assert "entry" not in empty  # FHIR knows no empty lists


@pytest.mark.parametrize("kind", sorted(WRITTEN_KINDS))
async def test_news_of_our_own_writes_starts_nothing(kind: str) -> None:
    queue = PretendQueue()
    resource = {"resourceType": kind, "id": "x", "subject": {"reference": "Patient/ann"}}
    async with serving(queue=queue) as site:
        await told(site, NOTHING, "PUT", f"{HOOK}/{kind}/x", json=resource)
        assert await hook_counts(site) == {"own-write": 1}

    assert queue.empty


@pytest.mark.parametrize(
    "mark",
    [
        {"meta": {"tag": [{"system": "http://other"}, {"system": f"{OURS}/tag"}]}},
        {"identifier": [{"system": f"{OURS}/identifier/x", "value": "1"}]},
    ],
)
async def test_what_carries_our_mark_starts_nothing(mark: Resource) -> None:
    queue = PretendQueue()
    async with serving(queue=queue) as site:
        await told(site, NOTHING, json=a_condition("c", **mark))
        assert await hook_counts(site) == {"own-write": 1}

    assert queue.empty


NO_PATIENT: dict[str, tuple[Resource, str]] = {
    "a Medication": (a_medication("m"), "no-patient"),
    "a Patient without an id": ({"resourceType": "Patient"}, "no-patient"),
    "a Patient whose id would climb": ({"resourceType": "Patient", "id": ".."}, "no-patient"),
    "a subject by identifier only": (
        a_condition("c", subject={"identifier": {"value": CANARY}}),
        "no-patient",
    ),
    "a subject that is a Group": (a_condition("c", subject={"reference": "Group/g"}), "no-patient"),
    "a subject by urn": (a_condition("c", subject={"reference": "urn:uuid:1"}), "no-patient"),
    "a subject with a search": (
        a_condition("c", subject={"reference": f"Patient?name={CANARY}"}),
        "no-patient",
    ),
    "a broken subject": (a_condition("c", subject=CANARY), "unreadable"),
    "a kind that is not read": ({"resourceType": "Encounter", "id": "o"}, "type-not-used"),
    "a Bundle of nothing": (a_bundle([]), ""),
}


@pytest.mark.parametrize(("resource", "kind"), NO_PATIENT.values(), ids=NO_PATIENT)
async def test_a_resource_without_a_patient_is_taken_and_counted(resource: Resource, kind: str) -> None:
    queue = PretendQueue()
    async with serving(queue=queue) as site:
        await told(site, NOTHING, json=resource)
        assert await hook_counts(site) == ({kind: 1} if kind else {})

    assert queue.empty


# --- what is refused ------------------------------------------------------------------------------

BAD = {
    "no JSON": CANARY.encode(),
    "XML": b"<Patient/>",
    "a list": b"[]",
    "a number": b"1",
    "half a resource": b'{"resourceType": "Patient", "id": "Canarybird"',
    "no resourceType": b'{"id": "Canarybird"}',
    "a broken Bundle": b'{"resourceType": "Bundle", "entry": "Canarybird"}',
    "no text": b"\xff\xfe\x00",
    "deeply nested": b'{"resourceType": "Patient", "x": ' + b"[" * 5000,
}


@pytest.mark.parametrize("body", BAD.values(), ids=BAD)
async def test_what_is_no_resource_is_refused_and_not_repeated(body: bytes) -> None:
    queue = PretendQueue()
    async with serving(queue=queue) as site:
        for method in ("PUT", "POST"):
            issue = await issue_of(await site.request(method, HOOK, data=body), 400)
            assert issue["severity"] == "error"
            assert CANARY not in issue["diagnostics"]

    assert queue.empty


async def test_a_body_that_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app_module, "LARGEST_BODY", 1000)
    small = json.dumps(a_patient()).encode()
    large = json.dumps(a_patient(name=[{"text": CANARY * 1000}])).encode()
    queue = PretendQueue()

    async def in_pieces() -> Any:
        yield large[:600]
        yield large[600:]

    async with serving(queue=queue) as site:
        await told(site, STORED, data=small)
        packed = {"Content-Encoding": "gzip"}
        for body, headers in ((large, {}), (in_pieces(), {}), (gzip.compress(large * 1000), packed)):
            answer = await site.put(HOOK, data=body, headers=headers)
            assert (await issue_of(answer, 413))["code"] == "too-long"
        await told(site, STORED, data=gzip.compress(small), headers=packed)

    assert queue.patients == ["ann", "ann"]


async def test_a_body_that_cannot_be_unpacked() -> None:
    async with serving() as site:
        answer = await site.put(HOOK, data=b"no gzip", headers={"Content-Encoding": "gzip"})
        assert (await issue_of(answer, 400))["diagnostics"] == "the body cannot be unpacked"


async def test_a_body_that_takes_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "READ_SECONDS", 0.05)

    async def slowly() -> Any:
        yield b"{"
        await asyncio.sleep(0.5)
        yield b"}"

    async with serving() as site:
        assert (await issue_of(await site.put(HOOK, data=slowly()), 408))["code"] == "timeout"


async def test_methods_that_a_hook_does_not_have() -> None:
    async with serving() as site:
        for method, path in (("GET", HOOK), ("DELETE", HOOK), ("PATCH", f"{HOOK}/Patient/ann")):
            assert (await issue_of(await site.request(method, path), 405))["code"] == "not-supported"
        for path in (
            f"{HOOK}/patient/ann",
            f"{HOOK}/Patient",
            f"{HOOK}/Patient/a/b",
            f"{HOOK}/Patient/a%20b",
        ):
            assert (await issue_of(await site.put(path, json={}), 404))["code"] == "not-found"


# --- what cannot be stored ------------------------------------------------------------------------

NOTICES: list[tuple[str, str, Resource | None]] = [
    ("PUT", HOOK, a_patient()),
    ("DELETE", f"{HOOK}/Condition/c", None),
    ("POST", HOOK, None),
]


@pytest.mark.parametrize(("method", "path", "body"), NOTICES)
async def test_what_cannot_be_stored_is_to_be_sent_again(
    method: str, path: str, body: Resource | None
) -> None:
    queue = PretendQueue(fault=OSError(CANARY))
    async with serving(queue=queue) as site:
        data = json.dumps(body) if body else None
        answer = await site.request(method, path, data=data)
        issue = await issue_of(answer, 503)
        assert (issue["code"], answer.headers["Retry-After"]) == ("transient", "5")
        assert CANARY not in issue["diagnostics"]
        queue.fault = None
        assert await hook_counts(site) == {"not-stored": 1}


async def test_a_queue_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    class Hanging(PretendQueue):
        async def accept_task(self, *_: object) -> None:
            await asyncio.sleep(60)

    monkeypatch.setattr(storing, "STORE_SECONDS", 0.05)
    async with serving(queue=Hanging()) as site:
        await issue_of(await site.post(HOOK), 503)


async def test_nothing_is_answered_before_it_is_stored() -> None:
    storing, stored = asyncio.Event(), asyncio.Event()

    class Slow(PretendQueue):
        async def accept(self, *_: object) -> None:
            storing.set()
            await stored.wait()

    async with serving(queue=Slow()) as site, asyncio.TaskGroup() as tasks:
        answer = tasks.create_task(site.put(HOOK, json=a_patient()))
        await storing.wait()
        await asyncio.sleep(0.05)
        assert not answer.done()
        stored.set()
        assert (await answer).status == 200


# --- anything at all ------------------------------------------------------------------------------

WORDS = st.sampled_from(
    [
        "resourceType", "Bundle", "Patient", "Condition", "MedicationStatement", "CarePlan", "entry",
        "resource", "request", "method", "DELETE", "url", "fullUrl", "subject", "patient", "reference", "id",
        "meta", "tag",
        "identifier", "system", "Patient/ann", "Condition/c/_history/1", "Patient/..", OURS,
    ]
)  # fmt: skip
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | WORDS | st.text(max_size=8)
JSON = st.recursive(
    LEAVES,
    lambda part: st.lists(part, max_size=4) | st.dictionaries(WORDS | st.text(max_size=4), part, max_size=5),
    max_leaves=25,
)
RESOURCES = st.builds(
    lambda kind, parts: parts | {"resourceType": kind}, WORDS, st.dictionaries(WORDS, JSON, max_size=6)
)
BUNDLES = st.builds(
    lambda entries, kind: {"resourceType": "Bundle", "entry": entries, "type": kind},
    st.lists(JSON | st.fixed_dictionaries({"resource": RESOURCES | JSON}), max_size=4) | JSON,
    st.sampled_from(["transaction", "batch", "history", None]) | JSON,
)
BODIES = st.binary(max_size=200) | st.builds(
    lambda value: json.dumps(value).encode(), JSON | RESOURCES | BUNDLES
)


@pytest.mark.soak
def test_whatever_is_sent_gets_a_proper_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app_module, "LARGEST_BODY", 2000)
    queue = PretendQueue()
    site: Site

    @tries(1000)
    @given(
        body=BODIES | st.just(b"x" * 3000),
        method=st.sampled_from(["PUT", "POST"]),
        path=st.sampled_from([HOOK, f"{HOOK}/Condition/c", f"{HOOK}/Patient/ann/_history/1"]),
        secret=st.sampled_from([SECRET, SECRET, SECRET, "", "else"]),
    )
    def send(body: bytes, method: str, path: str, secret: str) -> None:
        async def exchanged() -> None:
            answer = await site.request(method, path, data=body, headers={"X-Hook-Secret": secret})
            assert answer.status in ({200, 400, 413} if secret == SECRET else {401, 429})
            for outcome in outcomes_of(await fhir_of(answer, answer.status)):
                OperationOutcome.model_validate(outcome)

        runner.run(exchanged())

    with asyncio.Runner() as runner:
        running = serving(queue=queue, hook_secret=SECRET)
        site = runner.run(running.__aenter__())
        try:
            send()
        finally:
            runner.run(running.__aexit__(None, None, None))
    assert all(map(is_id, queue.patients))


@given(resources=st.lists(st.sampled_from([a_patient("a"), a_condition("c", "b"), a_statement("m", "a")])))
def test_a_patient_is_named_once_whatever_the_number_of_changes(resources: list[Resource]) -> None:
    told = read_notification(json.dumps(a_bundle(resources)).encode())

    expected = {r["subject"]["reference"][8:] if "subject" in r else r["id"] for r in resources}
    assert set(told.patients) == expected
    assert sum(told.kinds.values()) == len(resources)
