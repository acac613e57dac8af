"""What the service bears of others: silent connections, guesses, lines of log, and a loop that is held."""

import asyncio
import gzip
import io
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress

import pytest
import structlog
from aiohttp import web
from yarl import URL

from service import app as service_app
from service.app import build_app, listening
from service.doors import bodies, connections
from service.doors.trust import MOST_GUESSES
from service.errors import SettingsError
from service.settings import load_settings
from service.telemetry.lag import watch_lag
from service.telemetry.limits import PerMinute
from service.telemetry.logs import MOST_LINES, Event, configure_logs, log_info
from tests.app.serving import SECRET, TOKEN, PretendQueue, issue_of, serving
from tests.support import PretendServer, a_patient, client_of, reviewer, settings

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]
HALF = b"GET /health/live HTTP/1.1\r\nHost: local"
LIVE = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"


# --- connections ----------------------------------------------------------------------------------


@asynccontextmanager
async def at_an_address() -> AsyncIterator[URL]:
    app = build_app(settings(), reviewer(), client_of(PretendServer([])), PretendQueue())
    async with listening(app, settings(port=0)) as address:
        yield URL(address)


async def opened(address: URL, content: bytes = b"") -> Connection:
    reader, writer = await asyncio.open_connection(address.host, address.port)
    writer.write(content)
    return reader, writer


async def is_answered(address: URL) -> bool:
    reader, writer = await opened(address, LIVE)
    async with asyncio.timeout(5):
        status = await reader.readline()
    writer.close()
    return status.startswith(b"HTTP/1.1 200")


async def ended(connection: Connection) -> bool:
    reader, writer = connection
    try:
        async with asyncio.timeout(5):
            gone = await reader.read() == b""
    except ConnectionResetError:
        gone = True
    writer.close()
    return gone


@pytest.mark.parametrize("content", [b"", HALF])
async def test_a_connection_that_sends_no_whole_request_is_closed(
    content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service_app, "IDLE_SECONDS", 0.1)
    async with at_an_address() as address:
        assert await ended(await opened(address, content))


async def test_a_head_that_comes_in_time_is_answered() -> None:
    async with at_an_address() as address:
        reader, writer = await opened(address, LIVE[:20])
        await asyncio.sleep(0.05)
        writer.write(LIVE[20:])
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        writer.close()


async def test_three_hundred_half_sent_heads_keep_nobody_else_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The oldest of them give way; the service stays within its bound, and closes no more than it must."""
    monkeypatch.setattr(connections, "MOST_CONNECTIONS", 100)
    async with at_an_address() as address:
        half = [await opened(address, HALF) for _ in range(300)]
        assert await is_answered(address)
        given_way = await asyncio.gather(*(ended(one) for one in half[:200]))
        assert all(given_way)
        assert not any(reader.at_eof() for reader, _ in half[220:])
        for _, writer in half:
            writer.close()


async def test_a_connection_that_is_answered_does_not_give_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MOST_CONNECTIONS", 2)
    begun = (
        b"PUT /hooks/fhir/Patient/ann HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n"
        b"Content-Type: application/fhir+json\r\n\r\n"
    )
    async with at_an_address() as address:
        busy = [await opened(address, begun) for _ in range(2)]
        await asyncio.sleep(0.05)
        assert await ended(await opened(address, HALF))
        for reader, writer in busy:
            writer.write(b"  ")
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")
            writer.close()


LARGE_ANSWER = 32 * 1024 * 1024
"""More than the system keeps for both ends of a connection."""


@pytest.mark.parametrize("seconds", [0.1, 30.0])
async def test_who_does_not_take_an_answer_is_cut_off(
    seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With 0.1 seconds the client comes too late, with 30 it gets all."""
    monkeypatch.setattr(connections, "SEND_SECONDS", seconds)
    app = build_app(settings(), reviewer(), client_of(PretendServer([])), PretendQueue())

    async def large(_: web.Request) -> web.Response:
        return web.Response(body=bytes(LARGE_ANSWER))

    app.router.add_get("/large", large)
    async with listening(app, settings(port=0)) as address:
        reader, writer = await opened(URL(address), LIVE.replace(b"/health/live", b"/large"))
        await reader.readline()
        await asyncio.sleep(0.3)
        writer.write(LIVE.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        received = 0
        with suppress(ConnectionError):
            while piece := await reader.read(2**20):
                received += len(piece)
        assert (received > LARGE_ANSWER) is (seconds > 1)
        writer.close()


# --- bodies ---------------------------------------------------------------------------------------


def put(size: int, *, chunked: bool = False) -> bytes:
    """The head of a notification with so many bytes, and with `chunked` the head of its first piece."""
    how = f"Transfer-Encoding: chunked\r\n\r\n{size:x}" if chunked else f"Content-Length: {size}\r\n"
    return f"PUT /hooks/fhir HTTP/1.1\r\nHost: localhost\r\n{how}\r\n".encode()


@pytest.mark.parametrize("chunked", [False, True])
async def test_beyond_the_bytes_that_are_held_at_once_bodies_are_refused(
    chunked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "MOST_BYTES", 100_000)
    end = b"\r\n0\r\n\r\n" if chunked else b""
    async with at_an_address() as address:
        begun = [await opened(address, put(50_000, chunked=chunked) + b" " * 49_000) for _ in range(2)]
        await asyncio.sleep(0.1)
        reader, writer = await opened(address, put(3_000) + b" " * 3_000)
        async with asyncio.timeout(5):
            refused = await reader.read()
        head, _, body = refused.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 503")
        assert b"Retry-After: 5" in head
        assert json.loads(body)["issue"][0]["code"] == "transient"
        writer.close()
        assert await is_answered(address)

        for one, sender in begun:
            sender.write(b" " * 1_000 + end)
            assert (await one.readline()).startswith(b"HTTP/1.1 200")
            sender.close()
        reader, writer = await opened(address, put(100_000) + b" " * 100_000)
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        writer.close()


async def test_a_body_counts_as_what_it_is_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "MOST_BYTES", 100_000)
    packed = {"Content-Encoding": "gzip"}
    async with serving() as site:
        answer = await site.put("/hooks/fhir", data=gzip.compress(b" " * 100_001), headers=packed)
        assert (await issue_of(answer, 503))["code"] == "transient"
        for _ in range(2):
            answer = await site.put("/hooks/fhir", data=gzip.compress(b" " * 100_000), headers=packed)
            assert answer.status == 200


async def test_a_client_that_goes_away_leaves_nothing_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "MOST_BYTES", 100_000)
    async with at_an_address() as address:
        _, writer = await opened(address, put(90_000) + b" " * 80_000)
        await asyncio.sleep(0.1)
        writer.close()
        await writer.wait_closed()
        await asyncio.sleep(0.05)
        reader, writer = await opened(address, put(90_000) + b" " * 90_000)
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        writer.close()


# --- the loop -------------------------------------------------------------------------------------


async def test_a_loop_that_is_held_is_seen_in_the_metrics() -> None:
    seen: list[float] = []
    watch = asyncio.create_task(watch_lag(seen.append, every=0.01))
    await asyncio.sleep(0.005)
    time.sleep(0.2)  # noqa: ASYNC251 - this is what is to be seen
    await asyncio.sleep(0.02)
    watch.cancel()

    assert max(seen) > 0.15


async def test_the_lag_is_a_metric() -> None:
    async with serving() as site:
        assert "trd_event_loop_lag_seconds_count" in await (await site.get("/metrics")).text()


# --- secrets and guesses --------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["TRD_API_TOKEN", "TRD_HOOK_SECRET"])
def test_a_short_secret_stops_the_start(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "x" * 15)
    with pytest.raises(SettingsError) as refused:
        load_settings()
    assert str(refused.value) == f"{name}: shorter than 16 characters"
    for allowed in ("x" * 16, ""):
        monkeypatch.setenv(name, allowed)
        load_settings()


async def test_who_guesses_is_told_to_wait_and_the_right_secret_always_passes() -> None:
    async with serving(hook_secret=SECRET, api_token=TOKEN) as site:
        for number in range(MOST_GUESSES):
            guess = {"X-Hook-Secret": f"{SECRET}{number}"}
            await issue_of(await site.put("/hooks/fhir", headers=guess), 401)
        answer = await site.put("/hooks/fhir", headers={"X-Hook-Secret": "another guess"})
        assert (await issue_of(answer, 429))["code"] == "throttled"
        assert answer.headers["Retry-After"] == "60"
        right = {"X-Hook-Secret": SECRET}
        assert (await site.put("/hooks/fhir", headers=right, json=a_patient())).status == 200


def test_a_minute_ends_and_what_was_beyond_is_told_once() -> None:
    now = [0.0]
    limit = PerMinute(2, lambda: now[0])
    assert [limit.allows("a") for _ in range(4)] == [True, True, False, False]
    assert limit.allows("b")
    assert limit.take_beyond("a") == 0
    now[0] = 59.9
    assert not limit.allows("a")
    now[0] = 60.0
    assert limit.allows("a")
    assert [limit.take_beyond("a") for _ in range(2)] == [3, 0]


# --- logs -----------------------------------------------------------------------------------------


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    written = io.StringIO()
    configure_logs(written)
    yield written
    structlog.reset_defaults()


def lines_of(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_refusals_of_one_kind_are_logged_so_often_a_minute(
    stream: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr("service.telemetry.logs.PerMinute", lambda most: PerMinute(most, lambda: now[0]))
    configure_logs(stream)
    for _ in range(MOST_LINES + 7):
        log_info(Event.REQUEST, status=401, door="assess")
        log_info(Event.REQUEST, status=200, door="assess")
    log_info(Event.REQUEST, status=404, door="assess")
    now[0] = 60.0
    for _ in range(2):
        log_info(Event.REQUEST, status=401, door="assess")

    lines = lines_of(stream)
    refused = [line.get("left_out") for line in lines if line["status"] == 401]
    assert refused == [None] * MOST_LINES + [7, None]
    assert sum(line["status"] == 200 for line in lines) == MOST_LINES + 7
    assert sum(line["status"] == 404 for line in lines) == 1
