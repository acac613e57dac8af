import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest

from service import __version__
from service.errors import (
    PagesExpired,
    ServerError,
    ServerMisread,
    ServerRefused,
    ServerUnreachable,
    SettingsError,
)
from service.fhir import client as client_module
from service.fhir.client import FhirClient, open_client
from service.fhir.release import Release
from service.fhir.views import BundleView
from tests.support import (
    BASE,
    Handler,
    Resource,
    a_bundle,
    a_condition,
    a_patient,
    client_of,
    fhir_response,
    settings,
)

NAME = "Marigold Testperson"
"""What the pretend servers know and no message may repeat."""
FHIR_JSON = {"Content-Type": "application/fhir+json"}


def always(response: Callable[[], httpx.Response]) -> tuple[Handler, list[httpx.Request]]:
    """A handler that always answers the same, and what it was asked."""
    asked: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return response()

    return handler, asked


async def message_of(client: FhirClient, kind: type[ServerError]) -> str:
    """The message of the fault that a read ends in: it names the request and nothing of the answer."""
    with pytest.raises(kind) as caught:
        await client.get("Condition?patient=ann")
    assert type(caught.value) is kind
    message = str(caught.value)
    assert "GET /r4/Condition" in message
    assert not any(word in message for word in NAME.split())
    return message


async def all_pages(client: FhirClient) -> list[BundleView]:
    return [page async for page in client.pages("Condition", {"patient": "ann"})]


# --- refusals and retries -------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 307, 400, 401, 403, 404, 410, 412, 418, 501])
async def test_a_status_that_will_not_change_is_asked_for_once(status: int, waits: list[float]) -> None:
    handler, asked = always(lambda: httpx.Response(status, json={"text": NAME}, headers=FHIR_JSON))

    message = await message_of(client_of(handler), ServerRefused)

    assert message.endswith(str(status))
    assert len(asked) == 1
    assert not waits


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
async def test_a_status_that_may_pass_is_tried_again_and_then_refused(
    status: int, waits: list[float]
) -> None:
    handler, asked = always(lambda: httpx.Response(status, json={"text": NAME}, headers=FHIR_JSON))

    with pytest.raises(ServerRefused) as caught:
        await client_of(handler, attempts=3).get("Condition")

    assert caught.value.status == status
    assert len(asked) == 3
    assert len(waits) == 2
    assert all(0 < wait <= 5 for wait in waits)


async def test_a_server_that_recovers_is_read(waits: list[float]) -> None:
    answers = iter([httpx.Response(500), httpx.Response(503), fhir_response(a_patient())])
    assert b"ann" in await client_of(lambda _: next(answers)).get("Patient/ann")
    assert len(waits) == 2


@pytest.mark.parametrize("status", [429, 503])
async def test_retry_after_in_seconds_is_waited_for(status: int, waits: list[float]) -> None:
    answers = iter([httpx.Response(status, headers={"Retry-After": "7"}), fhir_response(a_patient())])
    await client_of(lambda _: next(answers)).get("Patient/ann")
    assert waits == [7]


@pytest.mark.parametrize("status", [429, 503])
async def test_retry_after_as_a_date_is_waited_for(status: int, waits: list[float]) -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    answers = iter([httpx.Response(status, headers={"Retry-After": date}), fhir_response(a_patient())])
    await client_of(lambda _: next(answers)).get("Patient/ann")
    assert waits == [pytest.approx(30, abs=5)]


async def test_a_date_that_has_passed_is_no_wait(waits: list[float]) -> None:
    headers = {"Retry-After": "Mon, 23 Nov 2020 10:00:00 GMT"}
    answers = iter([httpx.Response(503, headers=headers), fhir_response(a_patient())])
    await client_of(lambda _: next(answers)).get("Patient/ann")
    assert waits == [0]


@pytest.mark.parametrize(
    "value",
    ["61", "9" * 400, format_datetime(datetime.now(UTC) + timedelta(days=1), usegmt=True)],
    ids=["a second too long", "absurd", "tomorrow"],
)
async def test_a_server_that_wants_to_rest_for_longer_than_a_minute_is_given_up(
    value: str, waits: list[float]
) -> None:
    handler, asked = always(lambda: httpx.Response(503, headers={"Retry-After": value}))
    await message_of(client_of(handler), ServerRefused)
    assert len(asked) == 1
    assert not waits


@pytest.mark.parametrize(("headers", "asked"), [({"Retry-After": "3600"}, 3600), ({}, None)])
@pytest.mark.usefixtures("waits")
async def test_who_is_given_up_is_told_how_long_the_server_wants_to_rest(
    headers: dict[str, str], asked: float | None
) -> None:
    handler, _ = always(lambda: httpx.Response(503, headers=headers))
    with pytest.raises(ServerRefused) as caught:
        await client_of(handler).get("Condition")
    assert caught.value.retry_after == asked


async def test_a_probe_is_one_request(waits: list[float]) -> None:
    handler, asked = always(lambda: httpx.Response(503))
    await client_of(lambda _: fhir_response({"resourceType": "CapabilityStatement"})).probe()
    with pytest.raises(ServerRefused):
        await client_of(handler).probe()
    assert [request.url.path.rpartition("/")[2] for request in asked] == ["metadata"]
    assert not waits


@pytest.mark.parametrize("value", ["", "soon", "-1", "1.5", "²", "Mon, 01 Jan 99999999999 00:00:00 GMT"])
async def test_a_retry_after_that_says_nothing_leaves_the_usual_wait(value: str, waits: list[float]) -> None:
    headers = [(b"Retry-After", value.encode())]
    answers = iter([httpx.Response(503, headers=headers), fhir_response(a_patient())])
    await client_of(lambda _: next(answers)).get("Patient/ann")
    assert len(waits) == 1
    assert 0 < waits[0] <= 5


# --- no answer ------------------------------------------------------------------------------------


async def test_a_refused_connection_is_tried_again_and_then_named(waits: list[float]) -> None:
    asked = 0

    def handler(request: httpx.Request) -> httpx.Response:
        nonlocal asked
        asked += 1
        raise httpx.ConnectError(NAME, request=request)

    message = await message_of(client_of(handler, attempts=4), ServerUnreachable)

    assert "cannot be reached" in message
    assert asked == 4
    assert len(waits) == 3


async def test_a_server_that_never_answers_is_given_up_in_time(waits: list[float]) -> None:
    async def silent(_: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError

    http = httpx.AsyncClient(transport=httpx.MockTransport(silent))
    client = FhirClient(BASE, http, seconds=0.02, attempts=2, connections=1)

    assert "no answer within 0.02 seconds" in await message_of(client, ServerUnreachable)
    assert len(waits) == 1


async def test_a_server_that_drips_is_given_up_in_time() -> None:
    async def drip() -> AsyncIterator[bytes]:
        while True:
            yield b" "
            await asyncio.sleep(0.005)

    handler, _ = always(lambda: httpx.Response(200, headers=FHIR_JSON, content=drip()))
    await message_of(client_of(handler, seconds=0.03, attempts=1), ServerUnreachable)


Reply = tuple[bytes, type[ServerError]]

REPLIES: dict[str, Reply] = {
    "hangs up at once": (b"", ServerUnreachable),
    "hangs up in the middle": (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/fhir+json\r\nContent-Length: 100\r\n\r\n{",
        ServerUnreachable,
    ),
    "speaks no HTTP": (f"{NAME}\r\n\r\n".encode(), ServerMisread),
    "breaks its own chunks": (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/fhir+json\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
        ServerMisread,
    ),
    "compresses badly": (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\n\r\nabc",
        ServerMisread,
    ),
}


@pytest.mark.parametrize(("reply", "kind"), REPLIES.values(), ids=REPLIES)
async def test_a_server_that_breaks_the_protocol(reply: bytes, kind: type[ServerError]) -> None:
    async with listening(reply) as base, open_client(settings(fhir_base_url=base, fhir_attempts=1)) as client:
        await message_of(client, kind)


async def test_a_port_where_nobody_listens_is_a_server_that_cannot_be_reached() -> None:
    async with listening(b"") as base:
        pass
    async with open_client(settings(fhir_base_url=base, fhir_attempts=1)) as client:
        message = await message_of(client, ServerUnreachable)
    assert "ClientConnectorError" in message


@contextlib.asynccontextmanager
async def listening(reply: bytes) -> AsyncIterator[str]:
    """A real socket on loopback that answers every request with the same bytes and hangs up."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(reply)
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/r4"


async def test_without_an_address_there_is_no_client() -> None:
    with pytest.raises(SettingsError, match="TRD_FHIR_BASE_URL"):
        async with open_client(settings()):
            pass


# --- answers that are not FHIR --------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["text/html", "text/html; charset=utf-8", "application/fhir+xml", None])
async def test_an_answer_of_another_kind_is_not_read(kind: str | None) -> None:
    headers = {"Content-Type": kind} if kind else {}
    handler, asked = always(lambda: httpx.Response(200, headers=headers, content=f"<p>{NAME}</p>".encode()))

    message = await message_of(client_of(handler), ServerMisread)

    assert (kind or "no stated type").partition(";")[0] in message
    assert len(asked) == 1


NOT_A_BUNDLE = {
    "nothing": b"",
    "no JSON": NAME.encode(),
    "cut off": f'{{"resourceType":"Bundle","entry":[{{"resource":{{"text":"{NAME}'.encode(),
    "bytes": b'{"resourceType":"Bundle","type":"\xff\xfe"}',
    "a list": f'["{NAME}"]'.encode(),
    "a text": f'"{NAME}"'.encode(),
    "null": b"null",
    "another resource": f'{{"resourceType":"OperationOutcome","text":"{NAME}"}}'.encode(),
    "no resource": b"{}",
    "entries that are no list": f'{{"resourceType":"Bundle","entry":"{NAME}"}}'.encode(),
    "an entry that is no object": f'{{"resourceType":"Bundle","entry":["{NAME}"]}}'.encode(),
    "a total that is no number": f'{{"resourceType":"Bundle","total":"{NAME}"}}'.encode(),
    "nested without end": b'{"resourceType":"Bundle","meta":' + b'{"a":' * 100_000,
}


@pytest.mark.parametrize("body", NOT_A_BUNDLE.values(), ids=NOT_A_BUNDLE)
async def test_a_page_that_is_no_bundle_fails_the_search(body: bytes) -> None:
    with pytest.raises(ServerMisread) as caught:
        await all_pages(client_of(lambda _: fhir_response(body)))
    assert str(caught.value).startswith("GET Condition: ")
    assert not any(word in str(caught.value) for word in NAME.split())


@pytest.mark.parametrize("body", [b"{}", b"[]", b'{"resourceType":"Bundle"}', b'{"resourceType":1}', b"{"])
async def test_a_server_must_say_what_it_can_do(body: bytes) -> None:
    with pytest.raises(ServerMisread, match=r"^GET metadata: "):
        await client_of(lambda _: fhir_response(body)).capability()


async def test_an_answer_without_end_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "_LARGEST_ANSWER", 100_000)
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 10_000
            yield b" " * 10_000

    handler, asked = always(lambda: httpx.Response(200, headers=FHIR_JSON, content=endless()))
    assert "larger than" in await message_of(client_of(handler), ServerMisread)
    assert sent == 110_000
    assert len(asked) == 1


async def test_an_answer_as_large_as_allowed_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "_LARGEST_ANSWER", 100)
    assert len(await client_of(lambda _: fhir_response(b" " * 100)).get("x")) == 100


# --- what is sent ---------------------------------------------------------------------------------


async def test_every_request_asks_for_fresh_fhir_json() -> None:
    handler, asked = always(lambda: fhir_response(a_bundle([])))
    await client_of(handler, base=f"{BASE}/").get("Condition?patient=ann&_count=200")

    (request,) = asked
    assert request.method == "GET"
    assert str(request.url) == f"{BASE}/Condition?patient=ann&_count=200"
    assert request.headers["Accept"] == "application/fhir+json"
    assert request.headers["Cache-Control"] == "no-cache"
    assert request.headers["User-Agent"] == f"trd-careplan/{__version__}"


async def test_later_pages_too_ask_for_fresh_fhir_json() -> None:
    asked: list[httpx.Request] = []
    await all_pages(client_of(book(2, asked)))
    assert [request.headers["Cache-Control"] for request in asked] == ["no-cache", "no-cache"]


async def test_redirects_are_not_followed() -> None:
    handler, asked = always(lambda: httpx.Response(302, headers={"Location": "http://evil.example/"}))
    await message_of(client_of(handler), ServerRefused)
    assert [request.url.host for request in asked] == ["fhir.test"]


@pytest.mark.parametrize("connections", [1, 3])
async def test_no_more_requests_than_allowed_are_under_way(connections: int) -> None:
    now, most = 0, 0

    async def handler(_: httpx.Request) -> httpx.Response:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.002)
        now -= 1
        return fhir_response(a_patient())

    http = httpx.AsyncClient(transport=httpx.MockTransport(handler))
    client = FhirClient(BASE, http, seconds=5, attempts=1, connections=connections)
    await asyncio.gather(*(client.get(f"Patient/{number}") for number in range(12)))
    assert most == connections


async def test_waiting_for_a_turn_is_not_waiting_for_the_server() -> None:
    async def handler(_: httpx.Request) -> httpx.Response:
        await asyncio.sleep(0.05)
        return fhir_response(a_patient())

    http = httpx.AsyncClient(transport=httpx.MockTransport(handler))
    client = FhirClient(BASE, http, seconds=0.7, attempts=1, connections=1)
    await asyncio.gather(*(client.get(f"Patient/{number}") for number in range(15)))


async def test_the_capability_statement_is_read_once() -> None:
    handler, asked = always(
        lambda: fhir_response({"resourceType": "CapabilityStatement", "fhirVersion": "4.0.1"})
    )
    client = client_of(handler)
    assert await client.capability() == await client.capability()
    assert await client.release() is Release.R4
    assert len(asked) == 1


# --- pages ----------------------------------------------------------------------------------------


def book(
    pages: int, asked: list[httpx.Request] | None = None, odd: dict[int, httpx.Response] | None = None
) -> Handler:
    """A search of several pages of one Condition each; `odd` replaces pages by number, from 1."""

    def handler(request: httpx.Request) -> httpx.Response:
        if asked is not None:
            asked.append(request)
        number = int(request.url.params.get("page", 1))
        if odd and number in odd:
            return odd[number]
        return fhir_response(page_to(f"{BASE}?page={number + 1}" if number < pages else None))

    return handler


def page_to(address: object) -> Resource:
    link = [{"relation": "self", "url": f"{BASE}/Condition"}]
    return a_bundle(
        [], kind="searchset", link=[*link, {"relation": "next", "url": address}][: 1 + bool(address)]
    )


async def test_every_page_is_read() -> None:
    asked: list[httpx.Request] = []
    assert len(await all_pages(client_of(book(7, asked)))) == 7
    assert [request.url.params.get("page") for request in asked] == [None, "2", "3", "4", "5", "6", "7"]


BROKEN_PAGES: dict[str, tuple[httpx.Response, type[ServerError]]] = {
    "500": (httpx.Response(500, headers=FHIR_JSON), ServerRefused),
    "401": (httpx.Response(401), ServerRefused),
    "410": (httpx.Response(410), PagesExpired),
    "HTML": (httpx.Response(200, headers={"Content-Type": "text/html"}), ServerMisread),
    "cut off": (fhir_response(b'{"resourceType":"Bundle","entry":[{"resour'), ServerMisread),
    "another resource": (fhir_response(a_patient()), ServerMisread),
}


@pytest.mark.parametrize(("broken", "kind"), BROKEN_PAGES.values(), ids=BROKEN_PAGES)
@pytest.mark.usefixtures("waits")
async def test_a_page_that_cannot_be_read_fails_the_whole_search(
    broken: httpx.Response, kind: type[ServerError]
) -> None:
    with pytest.raises(kind, match=r"^GET "):
        await all_pages(client_of(book(5, odd={3: broken})))


async def test_a_connection_that_breaks_between_pages_fails_the_whole_search(waits: list[float]) -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        if request.url.params.get("page") == "3":
            raise httpx.ReadError(NAME, request=request)
        return book(5)(request)

    with pytest.raises(ServerUnreachable):
        await all_pages(client_of(handler))
    assert waits


ELSEWHERE = [
    "http://evil.example/r4?page=2",
    "http://fhir.test:8080/r4?page=2",
    "https://fhir.test/r4?page=2",
    "http://fhir.test.evil.example/r4?page=2",
    "http://fhir.test@evil.example/r4?page=2",
    "//evil.example/r4?page=2",
    "ftp://fhir.test/r4?page=2",
    "file:///etc/passwd",
    "http://[bad",
    "http://fhir.test:99999/r4",
    "http://fhir.test/\x00",
]


@pytest.mark.parametrize("address", ELSEWHERE)
async def test_a_next_page_on_another_server_is_refused(address: str) -> None:
    asked: list[httpx.Request] = []
    odd = {1: fhir_response(page_to(address))}
    with pytest.raises(ServerMisread, match="GET Condition: the next page is on another server"):
        await all_pages(client_of(book(3, asked, odd)))
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("address", "followed"),
    [
        (f"{BASE}?page=2", f"{BASE}?page=2"),
        ("http://fhir.test:80/r4?page=2", f"{BASE}?page=2"),
        ("http://FHIR.test/other/path?page=2", "http://fhir.test/other/path?page=2"),
        ("//fhir.test/r4?page=2", f"{BASE}?page=2"),
        ("/r4?page=2", f"{BASE}?page=2"),
        ("?page=2", f"{BASE}/Condition?page=2"),
        ("Condition?page=2", f"{BASE}/Condition?page=2"),
        ("../r4?page=2", f"{BASE}?page=2"),
    ],
)
async def test_a_next_page_on_the_same_server_is_followed(address: str, followed: str) -> None:
    asked: list[httpx.Request] = []
    assert len(await all_pages(client_of(book(3, asked, {1: fhir_response(page_to(address))})))) == 3
    assert str(asked[1].url) == followed


async def test_a_relative_address_is_read_from_the_page_that_it_stands_on() -> None:
    asked: list[httpx.Request] = []
    odd = {1: fhir_response(page_to("/pages/a?page=2")), 2: fhir_response(page_to("b?page=3"))}
    await all_pages(client_of(book(3, asked, odd)))
    assert [request.url.path for request in asked[1:]] == ["/pages/a", "/pages/b"]


@pytest.mark.parametrize("address", ["http://", " ", "#next"])
async def test_a_next_link_that_leads_nowhere_is_no_last_page(address: str) -> None:
    with pytest.raises(ServerMisread, match="pages do not end"):
        await all_pages(client_of(lambda _: fhir_response(page_to(address))))


async def test_a_next_link_without_an_address_is_no_last_page() -> None:
    bundle = a_bundle([], link=[{"relation": "next"}])
    with pytest.raises(ServerMisread):
        await all_pages(client_of(book(3, odd={1: fhir_response(bundle)})))


# --- pages and totals -----------------------------------------------------------------------------


def counted(number: int, total: int | None, *, following: bool = False) -> httpx.Response:
    """A page with so many resources, which says that there are so many in all."""
    link = [{"relation": "next", "url": f"{BASE}?page=2"}] if following else []
    found = [a_condition(f"c-{one}") for one in range(number)]
    return fhir_response(a_bundle(found, kind="searchset", link=link, total=total))


async def found_in(*pages: httpx.Response, count: str | None = "3") -> int:
    """How many resources a search finds that asks for `count` of them to a page."""
    answers = iter(pages)
    params = {"patient": "ann"} | ({} if count is None else {"_count": count})
    found = [page async for page in client_of(lambda _: next(answers)).pages("Condition", params)]
    return sum(len(page.entry) for page in found)


@pytest.mark.parametrize("total", [None, 0, 1, 3])
async def test_a_full_page_with_no_more_in_the_total_is_the_last(total: int | None) -> None:
    assert await found_in(counted(3, total)) == 3


@pytest.mark.parametrize("number", [3, 4])
async def test_a_full_page_without_a_next_one_is_cut_off_where_the_total_is_larger(number: int) -> None:
    with pytest.raises(ServerMisread, match=f"{number} of 7 resources, so it is incomplete"):
        await found_in(counted(number, 7))


async def test_pages_that_stop_before_the_total_are_cut_off() -> None:
    with pytest.raises(ServerMisread, match="4 of 7 resources"):
        await found_in(counted(2, 7, following=True), counted(2, 7), count=None)


@pytest.mark.parametrize("total", [3, 1000])
async def test_a_total_beyond_a_page_with_room_to_spare_is_an_estimate(total: int) -> None:
    assert await found_in(counted(2, total)) == 2
    assert await found_in(counted(3, total, following=True), counted(2, total)) == 5
    assert await found_in(counted(0, total)) == 0


class Limited:
    """A server that refuses to be asked for more than `most` to a page; `asked` is each size asked for."""

    def __init__(self, most: int | None, status: int = 400) -> None:
        self.most = most
        self.status = status
        self.asked: list[str | None] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        count = request.url.params.get("_count")
        self.asked.append(count)
        refused = count is not None and (self.most is None or int(count) > self.most)
        return httpx.Response(self.status) if refused else counted(1, None)


@pytest.mark.parametrize("status", [400, 422])
@pytest.mark.parametrize(
    ("most", "asked"), [(1000, ["200"]), (100, ["200", "50"]), (20, ["200", "50", None])]
)
async def test_a_server_with_smaller_pages_is_asked_for_fewer(
    status: int, most: int, asked: list[str | None]
) -> None:
    server = Limited(most, status)
    found = [page async for page in client_of(server).pages("Condition", {"_count": "200"})]
    assert (len(found), server.asked) == (1, asked)


@pytest.mark.parametrize("status", [401, 403, 404])
async def test_what_is_refused_for_another_reason_is_not_asked_for_again(status: int) -> None:
    server = Limited(None, status)
    with pytest.raises(ServerRefused, match=f"answered {status}"):
        [page async for page in client_of(server).pages("Condition", {"_count": "200"})]
    assert server.asked == ["200"]


async def test_a_search_that_is_refused_whatever_its_pages_tells_of_the_first_refusal() -> None:
    handler, asked = always(lambda: httpx.Response(400))
    with pytest.raises(ServerRefused, match="GET /r4/Condition: the server answered 400"):
        [page async for page in client_of(handler).pages("Condition", {"_count": "200"})]
    assert len(asked) == 3


async def test_a_page_of_fewer_that_is_full_may_be_cut_off_too() -> None:
    answers = iter([httpx.Response(400), counted(50, 70)])
    with pytest.raises(ServerMisread, match="50 of 70 resources"):
        [page async for page in client_of(lambda _: next(answers)).pages("Condition", {"_count": "200"})]


async def test_a_byte_order_mark_before_an_answer_is_passed_over() -> None:
    marked = b"\xef\xbb\xbf" + json.dumps(a_bundle([a_condition("c")])).encode()
    assert [len(page.entry) for page in await all_pages(client_of(lambda _: fhir_response(marked)))] == [1]


# --- pages that do not end ------------------------------------------------------------------------


@pytest.mark.parametrize("back_to", [1, 2, 3])
async def test_pages_that_go_round_in_a_circle_are_left(back_to: int) -> None:
    asked: list[httpx.Request] = []
    odd = {3: fhir_response(page_to(f"{BASE}?page={back_to}"))}
    with pytest.raises(ServerMisread, match="do not end"):
        await all_pages(client_of(book(3, asked, odd)))
    assert len(asked) < 8


async def test_pages_that_never_end_are_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "_MOST_PAGES", 20)
    asked: list[httpx.Request] = []
    with pytest.raises(ServerMisread, match="do not end"):
        await all_pages(client_of(book(1_000_000, asked)))
    assert len(asked) == 21


@pytest.mark.parametrize("status", [404, 410])
async def test_where_there_is_no_statement_there_is_no_server(status: int) -> None:
    """A proxy answers so while the server behind it starts, and so does a server at another address."""
    client = client_of(lambda _: httpx.Response(status))
    for ask in (client.probe, client.release):
        with pytest.raises(ServerUnreachable, match=f"no FHIR server answers at this address .{status}."):
            await ask()
