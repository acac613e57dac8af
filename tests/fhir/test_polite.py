"""A server is asked at a pace, waited for when it is overloaded, and followed to no other place."""

import asyncio

import httpx
import pytest

from service.errors import NotAssessable, ServerMisread, ServerRefused
from service.fhir.client import FhirClient, Stored, open_client
from service.fhir.rate import RequestRate
from service.gather.everything import gather
from service.knowledge import load_dialects, mappings_directory
from tests.servers.vendors import VENDORS, Vendor, VendorDouble, an_outcome
from tests.support import (
    BASE,
    Handler,
    Resource,
    a_condition,
    a_patient,
    client_of,
    fhir_response,
    reviewer,
    settings,
)

ANN = [a_patient(), a_condition("depression")]
STATEMENT: Resource = {"resourceType": "CapabilityStatement", "fhirVersion": "4.0.1"}
KNOWN = load_dialects(mappings_directory())
THROTTLED = {
    "HealthLake": httpx.Response(400, json={"__type": "ThrottlingException", "message": "Rate exceeded"}),
    "an outcome": fhir_response(an_outcome("throttled"), 400),
    "an outcome beside 403": fhir_response(an_outcome("throttled"), 403),
}


def asked_and_answered(*answers: httpx.Response) -> tuple[Handler, list[httpx.Request]]:
    asked: list[httpx.Request] = []
    following = iter(answers)

    def handler(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return next(following)

    return handler, asked


# --- overload -------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", THROTTLED)
async def test_an_overloaded_server_is_asked_again_whatever_its_words(how: str, waits: list[float]) -> None:
    handler, asked = asked_and_answered(THROTTLED[how], fhir_response(ANN[0]))
    await client_of(handler, dialects=KNOWN).get("Patient/ann")
    assert (len(asked), len([one for one in waits if one])) == (2, 1)


@pytest.mark.usefixtures("waits")
@pytest.mark.parametrize("how", THROTTLED)
async def test_a_server_that_stays_overloaded_is_away_and_its_words_are_told(how: str) -> None:
    answer = THROTTLED[how]
    with pytest.raises(ServerRefused) as caught:
        await client_of(lambda _: answer, dialects=KNOWN).get("Patient/ann")
    assert (caught.value.away, caught.value.passing, caught.value.status) == (True, True, 429)
    assert str(caught.value).endswith(f"the server answered {answer.status_code} (throttled)")


@pytest.mark.usefixtures("waits")
@pytest.mark.parametrize("vendor", VENDORS.values(), ids=list(VENDORS))
async def test_the_overload_of_a_vendor_passes_or_fails_the_review_as_away(vendor: Vendor) -> None:
    double = VendorDouble(vendor, ANN)
    chosen = vendor.dialect if vendor.chosen else None
    dialects = load_dialects(mappings_directory(), chosen)
    identity = str(double.resources[0]["id"])
    double.throttles = 2
    await gather(client_of(double, dialects=dialects), identity, reviewer().knowledge)
    double.throttles = 1000
    with pytest.raises(ServerRefused) as caught:
        await gather(client_of(double, dialects=dialects), identity, reviewer().knowledge)
    assert caught.value.away


async def test_what_is_written_is_not_sent_again_to_an_overloaded_server() -> None:
    handler, asked = asked_and_answered(
        fhir_response(STATEMENT),
        THROTTLED["HealthLake"],
    )
    with pytest.raises(ServerRefused) as caught:
        await client_of(handler, dialects=KNOWN).create(a_condition("depression"))
    assert (caught.value.away, [one.method for one in asked]) == (True, ["GET", "POST"])


async def test_an_empty_answer_to_a_creation_is_no_fault_whatever_its_type() -> None:
    where = {"Location": f"{BASE}/Condition/7/_history/1", "Content-Type": "text/html"}
    handler, asked = asked_and_answered(fhir_response(STATEMENT), httpx.Response(201, headers=where))
    assert await client_of(handler).create(a_condition("depression")) == Stored("7", "1", created=True)
    assert [one.method for one in asked] == ["GET", "POST"]


async def test_a_page_in_answer_to_a_creation_is_a_fault() -> None:
    page = httpx.Response(201, headers={"Content-Type": "text/html"}, content=b"<p>Sign in</p>")
    handler, _ = asked_and_answered(fhir_response(STATEMENT), page)
    with pytest.raises(ServerMisread, match="the answer is text/html, not FHIR JSON"):
        await client_of(handler).create(a_condition("depression"))


# --- pace -----------------------------------------------------------------------------------------


class Clock:
    """A clock that only moves when somebody sleeps."""

    def __init__(self) -> None:
        self.time = 100.0
        self.slept: list[float] = []

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


async def test_requests_begin_at_the_pace_that_is_set() -> None:
    clock = Clock()
    rate = RequestRate(4, now=clock.now, sleep=clock.sleep)
    for _ in range(4):
        await rate.turn()
    assert clock.slept == [0.25, 0.5, 0.75]
    clock.time += 10
    await rate.turn()
    assert len(clock.slept) == 3


async def test_without_a_rate_nobody_waits() -> None:
    clock = Clock()
    rate = RequestRate(None, now=clock.now, sleep=clock.sleep)
    await asyncio.gather(*(rate.turn() for _ in range(100)))
    assert clock.slept == []


async def test_every_request_of_a_client_keeps_the_pace() -> None:
    clock = Clock()
    http = httpx.AsyncClient(transport=httpx.MockTransport(VendorDouble(VENDORS["epic"], ANN)))
    rate = RequestRate(10, now=clock.now, sleep=clock.sleep)
    client = FhirClient(BASE, http, seconds=5, attempts=1, connections=4, rate=rate)
    await client.capability()
    await client.get("Condition/depression".ljust(len("Condition/") + 88, "x"))
    await client.probe()
    assert clock.slept == pytest.approx([0.1, 0.2])


async def test_the_rate_of_the_settings_is_kept() -> None:
    async with open_client(settings(fhir_base_url=BASE, fhir_rate=2)) as client:
        assert client._rate._between == 0.5


# --- redirects ------------------------------------------------------------------------------------


def to(address: str, status: int = 302) -> httpx.Response:
    return httpx.Response(status, headers={"Location": address})


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("address", [f"{BASE}/v4/Patient/ann", "/r4/v4/Patient/ann", "../v4/Patient/ann"])
async def test_a_redirect_on_the_same_origin_is_followed(address: str, status: int) -> None:
    handler, asked = asked_and_answered(to(address, status), fhir_response(ANN[0]))
    await client_of(handler).get("Patient/ann")
    assert asked[1].url.path.endswith("/v4/Patient/ann")
    assert asked[1].headers["Accept"] == "application/fhir+json"


@pytest.mark.parametrize(
    "address",
    ["http://elsewhere.test/r4/Patient/ann", "https://fhir.test/r4/Patient/ann", "//elsewhere.test/"],
)
async def test_a_redirect_to_elsewhere_is_not_followed(address: str) -> None:
    handler, asked = asked_and_answered(to(address))
    with pytest.raises(ServerRefused, match="answered 302"):
        await client_of(handler).get("Patient/ann")
    assert len(asked) == 1


async def test_redirects_that_do_not_end_are_left() -> None:
    with pytest.raises(ServerMisread, match="redirects do not end"):
        await client_of(lambda _: to("/r4/Patient/ann")).get("Patient/ann")


@pytest.mark.parametrize("status", [302, 307, 308])
async def test_what_is_written_is_not_redirected(status: int) -> None:
    handler, asked = asked_and_answered(fhir_response(STATEMENT), to("/r4/elsewhere", status))
    with pytest.raises(ServerRefused, match=f"answered {status}"):
        await client_of(handler).create(a_condition("depression"))
    assert [one.method for one in asked] == ["GET", "POST"]


async def test_a_patient_who_is_answered_as_another_one_is_not_assessed() -> None:
    double = VendorDouble(VENDORS["oracle-millennium"], [a_patient("anna")])

    def answer(request: httpx.Request) -> httpx.Response:
        merged = request.url.path.endswith("/Patient/ann")
        return to("/r4/Patient/anna") if merged else double(request)

    with pytest.raises(NotAssessable, match="Patient/ann: merged into Patient/anna"):
        await gather(client_of(answer), "ann", reviewer().knowledge)
