"""CDS Hooks: what is asked, what is read for it, and how what cannot be answered is refused."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.doors import cds_hooks, storing
from service.doors.cds_requests import MOST_FEEDBACK, read_call
from service.errors import QueueError, ServerUnreachable
from service.feedback import Feedback
from service.fhir.client import FhirClient, open_clients_of_callers
from service.fhir.kinds import SEARCHED_KINDS
from service.fhir.sources import Gathered
from service.gather.searches import observation_codes
from service.gather.supplied import key_of
from service.render.cards import Hook
from service.review import Review, Reviewer
from service.workers import LARGE, Pool, Workers
from tests.app.hooks import (
    EXCLUDED,
    INSTANCE,
    PROPOSED,
    a_call,
    an_order,
    call,
    cards_of,
    of_case,
    prefetch_of,
    searchset,
)
from tests.app.serving import CANARY, PretendQueue, Site, issue_of, on_server, serving, unreachable
from tests.examples import tries
from tests.support import (
    BASE,
    RXNORM,
    PretendServer,
    Resource,
    a_condition,
    a_medication,
    a_patient,
    answer_of,
    case_answer,
    case_bundle,
    case_bytes,
    case_reviewer,
    cases_of_servers,
    client_of,
    each_of,
    resources_of,
    reviewer,
    settings,
    with_two_trials,
)

HOOKS = ["patient-view", "encounter-start", "order-select", "order-sign"]
VIEW = "/cds-services/esketamine-patient-view"
LISTED = "https://ehr.example/r4"


# --- discovery ------------------------------------------------------------------------------------


async def test_the_services_are_listed_with_all_that_a_review_reads() -> None:
    async with serving() as site:
        answer = await site.get("/cds-services")
        listed = (await answer.json())["services"]

    assert [service["hook"] for service in listed] == HOOKS
    assert [service["id"] for service in listed] == [f"esketamine-{hook}" for hook in HOOKS]
    for service in listed:
        assert service["title"]
        assert service["description"]
        assert set(service["prefetch"]) == {"patient", *map(key_of, SEARCHED_KINDS)}
        assert service["prefetch"]["patient"] == "Patient/{{context.patientId}}"
        assert service["prefetch"]["condition"] == "Condition?patient={{context.patientId}}&_count=200"
        codes = ",".join(observation_codes(reviewer().knowledge))
        assert f"&code={codes}&" in service["prefetch"]["observation"]


# --- what is read ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Recording(Reviewer):
    """Always on one day; keeps the answers to what it reviews, in order."""

    answers: list[str] = field(default_factory=list)

    async def review_of(self, client: FhirClient, gathered: Gathered, patient_id: str) -> Review:
        return self._noted(await Reviewer.review_of(self, client, gathered, patient_id))

    async def review_beside(self, gathered: Gathered) -> Review:
        return self._noted(await Reviewer.review_beside(self, gathered))

    def on(self, as_of: object) -> Reviewer:
        del as_of
        return self

    def _noted(self, review: Review) -> Review:
        self.answers.append(answer_of(review))
        return review


def recording(by: Reviewer | None = None) -> Recording:
    by = by or reviewer()
    return Recording(by.settings, by.knowledge, by.calendar, by.as_of, by.workers)


@each_of([name for name in cases_of_servers() if b'"Task"' not in case_bytes(name)])
async def test_every_way_gives_the_bytes_that_the_command_prints(name: str) -> None:
    """Byte for byte, whether the record comes along, in part or whole, or is read."""
    asked, by = of_case(name), recording(case_reviewer(name))
    part = {key: value for key, value in asked["prefetch"].items() if key not in {"patient", "condition"}}
    said = []
    async with serving(on_server(case_bundle(name)), by=by) as site:
        for prefetch in (asked["prefetch"], part, {}):
            assert (await call(site, asked | {"prefetch": prefetch})).status == 200
            said.append(by.answers[-1])

    assert said == [case_answer(name)] * 3


@pytest.mark.parametrize("name", [PROPOSED, EXCLUDED])
async def test_a_record_that_comes_along_whole_is_enough(name: str) -> None:
    """Nothing is asked of anybody, though the server that the caller names is not one that may be read."""
    by, server = recording(case_reviewer(name)), on_server(case_bundle(name))
    async with serving(server, by=by) as site:
        assert (await call(site, of_case(name, fhirServer=LISTED))).status == 200

    assert by.answers == [case_answer(name)]
    assert server.asked == []


async def test_a_large_record_is_decided_in_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cds_hooks, "ANSWER_SECONDS", 120.0)  # a busy machine is slow to start a process
    more = [a_condition(f"more-{n}", "propose-two", onsetDateTime="2001") for n in range(300)]
    resources = [*resources_of(case_bundle(PROPOSED)), *more]
    asked = a_call("order-sign", "propose-two", prefetch_of(resources), an_order(), fhirServer=LISTED)
    assert len(json.dumps(asked)) > LARGE
    async with Pool(1, reviewer()) as pool:
        by = recording(replace(reviewer(), workers=Workers(pool)))
        async with serving(by=by) as site:
            (card,) = await cards_of(site, asked)

    assert card["suggestions"]
    assert len(by.answers) == 1
    assert json.loads(by.answers[0])["decision"] == "propose"


ANN = with_two_trials()


def without(*keys: str, **replaced: Any) -> dict[str, Any]:
    """A prefetch of the record of Ann without these keys, or with other values for some."""
    return {key: value for key, value in (prefetch_of(ANN) | replaced).items() if key not in keys}


UNHAD: dict[str, Any] = {
    "left out": without("condition"),
    "no patient": without(patient=None),
    "an error": without(condition={"resourceType": "OperationOutcome", "issue": [{"severity": "error"}]}),
    "an error among the results": without(
        condition=searchset(
            [{"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "timeout"}]}]
        )
    ),
    "one page of several": without(
        condition=searchset([], link=[{"relation": "next", "url": "https://evil.example/next"}])
    ),
    "fewer than there are": without(condition=searchset([], total=1)),
    "a warning in place of an answer": without(
        condition={
            "resourceType": "OperationOutcome",
            "issue": [{"severity": "warning", "code": "not-found"}],
        }
    ),
    "the searches of somebody else": {"patientToGreet": a_patient()},
    "nothing": {},
    "a patient who is withheld": without(
        patient={"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "security"}]}
    ),
}


@pytest.mark.parametrize("prefetch", UNHAD.values(), ids=UNHAD)
async def test_what_does_not_come_along_is_read_from_our_server(prefetch: dict[str, Any]) -> None:
    server = PretendServer(ANN)
    by = recording()
    async with serving(server, by=by) as site:
        assert (await call(site, a_call("patient-view", "ann", prefetch))).status == 200

    assert json.loads(by.answers[-1])["reason"] == "trd"
    assert server.asked
    assert {request.url.host for request in server.asked} == {"fhir.test"}


@pytest.mark.parametrize("prefetch", UNHAD.values(), ids=UNHAD)
async def test_what_cannot_be_had_is_said_and_never_an_empty_list(prefetch: dict[str, Any]) -> None:
    server = PretendServer(ANN)
    async with serving(server) as site:
        answer = await call(site, a_call("patient-view", "ann", prefetch, fhirServer=LISTED))
        issue = await issue_of(answer, 412)
    async with serving(unreachable) as site:
        away = await issue_of(await call(site, a_call("patient-view", "ann", prefetch)), 412)

    assert issue["code"] == away["code"] == "incomplete"
    assert "fhirServer" in issue["diagnostics"]
    assert CANARY not in away["diagnostics"]
    assert server.asked == []


async def test_what_is_withheld_is_a_review_and_not_none() -> None:
    withheld = {"resourceType": "OperationOutcome", "issue": [{"severity": "warning", "code": "suppressed"}]}
    async with serving() as site:
        asked = a_call(
            "patient-view", "ann", without(condition=searchset([ANN[1], withheld])), fhirServer=LISTED
        )
        (card,) = await cards_of(site, asked)

    assert card["indicator"] == "warning"
    assert "suggestions" not in card


async def test_null_says_that_there_is_nothing() -> None:
    server = PretendServer([])
    async with serving(server) as site:
        asked = a_call("patient-view", "ann", {**dict.fromkeys(prefetch_of(ANN)), "patient": a_patient()})
        assert await cards_of(site, asked) == []

    assert server.asked == []


async def test_a_record_of_another_patient_refuses_the_answer() -> None:
    prefetch = without(condition=searchset([*ANN[1:2], a_condition("foreign", "bob")]))
    async with serving() as site:
        issue = await issue_of(await call(site, a_call("patient-view", "ann", prefetch)), 422)
        another = await issue_of(
            await call(site, a_call("patient-view", "bob", without(), fhirServer=LISTED)), 422
        )

    assert "one patient" in issue["diagnostics"]
    assert "no Patient" in another["diagnostics"]


async def test_an_answer_has_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cds_hooks, "ANSWER_SECONDS", 0.05)

    async def never(*_: object) -> Review:
        await asyncio.sleep(5)
        raise AssertionError

    monkeypatch.setattr(Recording, "review_beside", never)
    async with serving(by=recording()) as site:
        issue = await issue_of(await call(site, of_case(PROPOSED)), 412)

    assert "within 0.05 seconds" in issue["diagnostics"]


# --- servers that the caller names -----------------------------------------------------------------


@asynccontextmanager
async def lending(site: Site, server: PretendServer) -> AsyncIterator[None]:
    """The service of a site may read a server at another address."""
    app = site.app
    assert app is not None
    app._state[cds_hooks.LENT] = {LISTED: client_of(server, base=LISTED, attempts=1)}
    yield


LENT = {"access_token": "lent-to-read", "token_type": "Bearer", "expires_in": 300, "scope": "user/*.read"}


async def test_the_token_is_shown_to_the_listed_server_and_to_no_other() -> None:
    own, theirs = PretendServer([]), PretendServer(ANN)
    asked = a_call(
        "patient-view", "ann", without("condition"), fhirServer=f"{LISTED}/", fhirAuthorization=LENT
    )
    async with serving(own) as site, lending(site, theirs):
        (card,) = await cards_of(site, asked)
        again = await cards_of(site, asked)

    assert card["suggestions"]
    assert again == [card]
    assert own.asked == []
    shown = [(request.url.path, request.headers.get("Authorization")) for request in theirs.asked]
    assert shown == [("/r4/metadata", None), *[("/r4/Condition", "Bearer lent-to-read")] * 2]


async def test_a_server_that_is_not_listed_is_not_asked() -> None:
    own, theirs = PretendServer(ANN), PretendServer(ANN)
    asked = a_call(
        "patient-view", "ann", without("condition"), fhirServer="https://evil.example", fhirAuthorization=LENT
    )
    async with serving(own) as site, lending(site, theirs):
        issue = await issue_of(await call(site, asked), 412)

    assert "fhirServer is not one" in issue["diagnostics"]
    assert own.asked == theirs.asked == []


async def test_the_listed_servers_have_clients_without_credentials() -> None:
    listed = "http://127.0.0.1:9/r4, http://127.0.0.1:9/other/"
    values = {"fhir_base_url": BASE, "cds_fhir_servers": listed, "fhir_auth": "basic", "fhir_user": "u"}
    async with open_clients_of_callers(settings(**values, fhir_password="p"), seconds=1) as clients:  # noqa: S106
        assert list(clients) == [BASE, "http://127.0.0.1:9/r4", "http://127.0.0.1:9/other"]
        with pytest.raises(ServerUnreachable):
            await clients["http://127.0.0.1:9/r4"].acting_with("lent").get("Patient/ann")


def test_a_call_shows_nothing_of_itself() -> None:
    body = json.dumps(a_call("patient-view", CANARY, {}, fhirServer=LISTED, fhirAuthorization=LENT)).encode()
    asked = read_call(Hook.PATIENT_VIEW, body)

    assert asked.token == LENT["access_token"]
    assert repr(asked) == "HookCall()"


# --- draft orders ----------------------------------------------------------------------------------

CONTAINED = {"resourceType": "Medication", "id": "m", "code": {"text": "Spravato 28 mg nasal spray"}}
OF_ESKETAMINE = {
    "by its code": an_order(),
    "by its words": an_order(medicationCodeableConcept={"text": "Spravato 56 mg nasal spray"}),
    "by a Medication inside": an_order(
        contained=[CONTAINED], medicationReference={"reference": "#m"}, medicationCodeableConcept=None
    ),
    "by a Medication elsewhere": an_order(
        medicationReference={"reference": "Medication/esketamine"}, medicationCodeableConcept=None
    ),
    "by a display": an_order(
        medicationReference={"display": "Esketamine nasal spray"}, medicationCodeableConcept=None
    ),
    "by a code beside other words": an_order(
        medicationCodeableConcept={"coding": [{"system": RXNORM, "code": "2119365", "display": "sertraline"}]}
    ),
}
ELSEWHERE = {**a_medication("esketamine"), "code": {"text": "esketamine"}}


@pytest.mark.parametrize("hook", ["order-select", "order-sign"])
@pytest.mark.parametrize("draft", OF_ESKETAMINE.values(), ids=OF_ESKETAMINE)
async def test_an_order_of_esketamine_is_recognised(draft: Resource, hook: str) -> None:
    draft = {key: value for key, value in draft.items() if value is not None}
    server = PretendServer([*resources_of(case_bundle(EXCLUDED)), ELSEWHERE])
    async with serving(server) as site:
        (card,) = await cards_of(site, of_case(EXCLUDED, hook, draft))

    assert card["indicator"] == "critical"
    assert "MedicationRequest/order-1" in card["detail"]


OTHERS = {
    "of another medicine": an_order(medicationCodeableConcept={"text": "Amoxicillin 500 mg tablet"}),
    "of ketamine": an_order(medicationCodeableConcept={"text": "Ketamine 50 mg/mL injection"}),
    "that forbids it": an_order(doNotPerform=True),
    **{
        f"that is {status}": an_order(status=status)
        for status in ("cancelled", "entered-in-error", "stopped")
    },
    "that is no prescription": {"resourceType": "ServiceRequest", "id": "mri", "code": {"text": "MRI"}},
}


@pytest.mark.parametrize("draft", OTHERS.values(), ids=OTHERS)
async def test_about_another_order_nothing_is_said_and_nothing_is_read(draft: Resource) -> None:
    server = PretendServer([])
    async with serving(server) as site:
        for hook in ("order-select", "order-sign"):
            assert await cards_of(site, a_call(hook, "ann", None, draft)) == []

    assert server.asked == []


async def test_of_several_drafts_the_selected_ones_count() -> None:
    other = an_order(id="order-2", medicationCodeableConcept={"text": "Amoxicillin"})
    asked = of_case(EXCLUDED, "order-select", an_order(), other)
    async with serving() as site:
        asked["context"]["selections"] = ["MedicationRequest/order-2"]
        assert await cards_of(site, asked) == []
        asked["context"]["selections"] = ["MedicationRequest/order-1"]
        assert len(await cards_of(site, asked)) == 1


SELECTIONS = {
    "none": [],
    "by an id alone": ["order-1"],
    "by an address": [f"{LISTED}/MedicationRequest/order-1"],
    "of one that did not come": ["MedicationRequest/order-2", "MedicationRequest/order-3"],
}


@pytest.mark.parametrize("selections", SELECTIONS.values(), ids=SELECTIONS)
async def test_a_selection_that_is_not_among_the_drafts_hides_none_of_them(selections: list[str]) -> None:
    other = an_order(id="order-2", medicationCodeableConcept={"text": "Amoxicillin"})
    asked = of_case(EXCLUDED, "order-select", an_order(), other)
    asked["context"]["selections"] = selections
    async with serving() as site:
        (card,) = await cards_of(site, asked)

    assert card["indicator"] == "critical"


async def test_a_draft_without_an_id_is_an_order() -> None:
    draft = {key: value for key, value in an_order().items() if key != "id"}
    async with serving() as site:
        (card,) = await cards_of(site, of_case(EXCLUDED, "order-sign", draft))

    assert card["detail"].startswith("**Order:** esketamine (MedicationRequest)")


@pytest.mark.parametrize("subject", ["Patient/else", f"{LISTED}/Patient/else", "Patient/else/_history/2"])
async def test_an_order_of_another_patient_is_refused(subject: str) -> None:
    draft = an_order(subject={"reference": subject})
    async with serving() as site:
        issue = await issue_of(await call(site, of_case(EXCLUDED, "order-sign", draft)), 422)

    assert issue["diagnostics"].startswith("context.draftOrders: an order of another patient")


@pytest.mark.parametrize("subject", [{}, {"reference": "urn:uuid:1"}, {"identifier": {"value": "17"}}])
async def test_an_order_that_does_not_name_its_patient_is_of_the_one_whose_chart_is_open(
    subject: Resource,
) -> None:
    async with serving() as site:
        (card,) = await cards_of(site, of_case(EXCLUDED, "order-sign", an_order(subject=subject)))

    assert card["indicator"] == "critical"


@pytest.mark.parametrize("hook", ["order-select", "order-sign"])
async def test_orders_that_do_not_come_are_no_empty_list(hook: str) -> None:
    """As in requests of the time before 1.0, whose orders stand under other names."""
    asked = of_case(EXCLUDED, hook)
    async with serving() as site:
        assert await cards_of(site, asked) == []
        del asked["context"]["draftOrders"]
        issue = await issue_of(await call(site, asked), 400)

    assert issue["diagnostics"] == "context.draftOrders: missing"


@pytest.mark.parametrize("medicine", [{"reference": "Medication/gone"}, None])
async def test_an_order_whose_medicine_cannot_be_had_is_not_passed_over(medicine: Resource | None) -> None:
    draft = {k: v for k, v in an_order(medicationReference=medicine).items() if v is not None}
    del draft["medicationCodeableConcept"]
    async with serving(on_server(case_bundle(EXCLUDED))) as site:
        issue = await issue_of(await call(site, of_case(EXCLUDED, "order-sign", draft)), 412)

    assert issue["diagnostics"] == "context.draftOrders: a MedicationRequest does not say its medicine"


# --- what is refused ---------------------------------------------------------------------------------

GOOD = of_case(PROPOSED)
MALFORMED: dict[str, tuple[Any, str]] = {
    "no object": ([], "the body cannot be read"),
    "no hook": ({**GOOD, "hook": None}, "at hook"),
    "another hook": ({**GOOD, "hook": "order-sign"}, "hook: not patient-view"),
    "no instance": ({k: v for k, v in GOOD.items() if k != "hookInstance"}, "hookInstance is missing"),
    "an instance that is no UUID": ({**GOOD, "hookInstance": CANARY}, "hookInstance: not a UUID"),
    "no context": ({k: v for k, v in GOOD.items() if k != "context"}, "context is missing"),
    "no patient": ({**GOOD, "context": {"userId": "Practitioner/1"}}, "patientId is missing at context"),
    "a patient that is no id": ({**GOOD, "context": {"patientId": f"{CANARY}/.."}}, "context.patientId"),
    "a token and no server": ({**GOOD, "fhirAuthorization": LENT}, "fhirServer: not given"),
    "a token that is none": (
        {**GOOD, "fhirServer": LISTED, "fhirAuthorization": {"access_token": f"{CANARY}\r\nX: y"}},
        "fhirAuthorization.access_token",
    ),
    "a server that is no address": (
        {**GOOD, "fhirServer": f"file:///{CANARY}"},
        "fhirServer: not an address",
    ),
    "a server with a user": ({**GOOD, "fhirServer": f"https://{CANARY}@ehr.example"}, "fhirServer"),
    "a prefetch that is no object": ({**GOOD, "prefetch": [CANARY]}, "at prefetch"),
    "a value that is no resource": ({**GOOD, "prefetch": {"patient": CANARY}}, "prefetch.patient"),
    "a Bundle that is none": (
        {**GOOD, "prefetch": {"condition": {"resourceType": "Bundle", "entry": CANARY}}},
        "prefetch.condition",
    ),
    "an entry without a resource": (
        {**GOOD, "prefetch": {"condition": {"resourceType": "Bundle", "entry": [{"fullUrl": CANARY}]}}},
        "prefetch.condition",
    ),
}


@pytest.mark.parametrize(("asked", "why"), MALFORMED.values(), ids=MALFORMED)
async def test_a_malformed_request_is_refused_by_its_element(asked: Any, why: str) -> None:
    async with serving() as site:
        issue = await issue_of(await site.post(VIEW, json=asked), 400)

    assert issue["code"] == "invalid"
    assert why in issue["diagnostics"]
    assert CANARY not in issue["diagnostics"]


DRAFTS: dict[str, Any] = {
    "no Bundle": CANARY,
    "an entry that is no resource": {"resourceType": "Bundle", "entry": [{"resource": CANARY}]},
    "a medicine that is none": {
        "resourceType": "Bundle",
        "entry": [{"resource": {"resourceType": "MedicationRequest", "medicationCodeableConcept": CANARY}}],
    },
}


@pytest.mark.parametrize("drafts", DRAFTS.values(), ids=DRAFTS)
async def test_malformed_orders_are_refused(drafts: Any) -> None:
    asked = of_case(PROPOSED, "order-sign")
    asked["context"]["draftOrders"] = drafts
    async with serving() as site:
        issue = await issue_of(await call(site, asked), 400)

    assert "draftOrders" in issue["diagnostics"]
    assert CANARY not in issue["diagnostics"]


async def test_what_is_no_json_and_what_is_no_service() -> None:
    async with serving() as site:
        assert (await issue_of(await site.post(VIEW, data=b"{"), 400))["code"] == "structure"
        for path in ("else", "esketamine-else", "patient-view", "else/feedback"):
            answer = await site.post(f"/cds-services/{path}", json=GOOD)
            assert (await issue_of(answer, 404))["code"] == "not-found"
        assert (await site.get(VIEW)).status == 405


async def test_what_a_later_release_adds_is_left_alone() -> None:
    """Such as `hookVersion` of the ballot of 3.0, and extensions."""
    later = {
        "hookVersion": "1.0",
        "extension": {"com.example.timestamp": "2017-11-27T22:13:25Z"},
        "else": [1],
    }
    context = {**GOOD["context"], "encounterId": "89284", "else": {}}
    async with serving() as site:
        expected = await cards_of(site, GOOD)
        assert await cards_of(site, {**GOOD, **later, "context": context}) == expected


# --- whatever is sent ---------------------------------------------------------------------------------

_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
_WHOLE: Resource = of_case(EXCLUDED, "order-sign", an_order(), fhirServer=LISTED, fhirAuthorization=LENT)
_FEEDBACK: Resource = {
    "feedback": [
        {
            "card": INSTANCE,
            "outcome": "overridden",
            "overrideReason": {"reason": {"code": "known-and-addressed"}, "userComment": CANARY},
            "outcomeTimestamp": "2026-11-23T10:00:00Z",
        }
    ]
}


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inner:
        yield from _places(one, (*path, key))


def _changed(whole: Resource, path: tuple[Any, ...], value: Any) -> Resource:
    copy: Resource = json.loads(json.dumps(whole))
    place: Any = copy
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return copy


@st.composite
def _bodies(draw: st.DrawFn, whole: Resource) -> bytes:
    """A request with one to three of its values replaced, or bytes at random."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.binary(max_size=40))
    body = whole
    for _ in range(draw(st.integers(1, 3))):
        body = _changed(body, draw(st.sampled_from([*_places(body)])), draw(_VALUES))
    return json.dumps(body).encode()


@pytest.mark.soak
@tries(100)
@given(bodies=st.lists(_bodies(_WHOLE), min_size=10, max_size=10))
def test_no_request_breaks_the_service(bodies: list[bytes]) -> None:
    asyncio.run(_send("/cds-services/esketamine-order-sign", bodies))


@pytest.mark.soak
@tries(100)
@given(bodies=st.lists(_bodies(_FEEDBACK), min_size=10, max_size=10))
def test_no_feedback_breaks_the_service(bodies: list[bytes]) -> None:
    asyncio.run(_send(f"{VIEW}/feedback", bodies))


async def _send(path: str, bodies: list[bytes]) -> None:
    async with serving() as site:
        for body in bodies:
            answer = await site.post(path, data=body, headers={"Content-Type": "application/json"})
            said = await answer.json(content_type=None)
            assert answer.status in {200, 400, 412, 422}, (answer.status, said)
            assert "cards" in said or said == {} or said["resourceType"] == "OperationOutcome"


# --- feedback -----------------------------------------------------------------------------------------


async def test_feedback_is_kept_once_without_what_anybody_wrote() -> None:
    queue = PretendQueue()
    foreign = json.loads(json.dumps(_FEEDBACK).replace("known-and-addressed", CANARY).replace("d157", "d158"))
    accepted = {"card": INSTANCE.replace("d157", "d159"), "outcome": "accepted"}
    plain = {"feedback": [{**accepted, "outcomeTimestamp": "2026-11-23T11:00:00+01:00"}]}
    async with serving(queue=queue) as site:
        for told in (_FEEDBACK, _FEEDBACK, foreign, plain):
            answer = await site.post(f"{VIEW}/feedback", json=told)
            assert (answer.status, await answer.json()) == (200, {})
        counted = await (await site.get("/metrics")).text()

    assert [(one.hook, one.outcome, one.reason) for one in queue.feedback] == [
        ("patient-view", "overridden", "known-and-addressed"),
        ("patient-view", "overridden", "other"),
        ("patient-view", "accepted", None),
    ]
    assert 'trd_cds_feedback_total{outcome="overridden"} 2.0' in counted
    assert CANARY not in repr(queue.feedback)


@pytest.mark.parametrize(
    ("told", "why"),
    [
        ({}, "feedback is missing"),
        ({"feedback": [{**_FEEDBACK["feedback"][0], "card": CANARY}]}, "feedback.card"),
        ({"feedback": [{**_FEEDBACK["feedback"][0], "outcome": CANARY}]}, "outcome"),
        ({"feedback": [{**_FEEDBACK["feedback"][0], "outcomeTimestamp": CANARY}]}, "outcomeTimestamp"),
        ({"feedback": _FEEDBACK["feedback"] * (MOST_FEEDBACK + 1)}, "more than"),
    ],
)
async def test_malformed_feedback_is_refused(told: Resource, why: str) -> None:
    queue = PretendQueue()
    async with serving(queue=queue) as site:
        issue = await issue_of(await site.post(f"{VIEW}/feedback", json=told), 400)

    assert why in issue["diagnostics"]
    assert CANARY not in issue["diagnostics"]
    assert queue.feedback == []


async def test_feedback_that_cannot_be_stored_is_to_be_sent_again() -> None:
    async with serving(queue=PretendQueue(fault=QueueError("the database failed"))) as site:
        answer = await site.post(f"{VIEW}/feedback", json=_FEEDBACK)
        assert (await issue_of(answer, 503))["code"] == "transient"

    assert answer.headers["Retry-After"]


async def test_a_queue_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    class Hanging(PretendQueue):
        async def keep_feedback(self, _: object) -> Sequence[Feedback]:
            await asyncio.sleep(60)
            return ()

    monkeypatch.setattr(storing, "STORE_SECONDS", 0.05)
    async with serving(queue=Hanging()) as site:
        await issue_of(await site.post(f"{VIEW}/feedback", json=_FEEDBACK), 503)


async def test_an_instant_without_an_offset_is_in_utc() -> None:
    """Wherever this machine is; the specification writes all of them in UTC."""
    queue = PretendQueue()
    told = json.loads(json.dumps(_FEEDBACK).replace("10:00:00Z", "10:00:00"))
    async with serving(queue=queue) as site:
        assert (await site.post(f"{VIEW}/feedback", json=told)).status == 200

    assert queue.feedback[0].at == datetime(2026, 11, 23, 10, tzinfo=UTC)
