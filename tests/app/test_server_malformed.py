"""What is no proper HTTP, over a socket: a plain refusal that says nothing of what serves it."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from service import __version__
from service.app import build_app, listening
from tests.app.serving import CANARY, PretendQueue, pretending
from tests.support import PretendServer, client_of, reviewer, settings

PLAIN = "400 Bad Request\n"
MALFORMED = {
    "no request line": f"{CANARY}\r\n\r\n",
    "a method that is none": f"{CANARY} /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "another protocol": "\x16\x03\x01\x02\x00\x01",
    "a version that is none": f"GET /health/live HTTP/{CANARY}\r\nHost: localhost\r\n\r\n",
    "a header without a colon": f"GET /health/live HTTP/1.1\r\n{CANARY}\r\n\r\n",
    "a header with a character that none has": f"GET /health/live HTTP/1.1\r\n({CANARY}): 1\r\n\r\n",
    "a header that is too long": f"GET /health/live HTTP/1.1\r\nA: {CANARY * 2000}\r\n\r\n",
    "a length that is none": f"POST /hooks/fhir HTTP/1.1\r\nContent-Length: {CANARY}\r\n\r\n",
    "two lengths": "POST /hooks/fhir HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
}


@pytest.fixture
async def port() -> AsyncIterator[int]:
    chosen = settings(port=0)
    app = build_app(chosen, pretending(reviewer()), client_of(PretendServer([])), PretendQueue())
    async with listening(app, chosen) as address:
        yield int(address.rpartition(":")[2])


async def answer_to(port: int, said: str) -> tuple[str, dict[str, str], str]:
    """The status line, the headers and the body of the answer to these bytes, after which it hangs up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(said.encode("latin-1"))
    head, _, body = (await asyncio.wait_for(reader.read(), 5)).decode().partition("\r\n\r\n")
    status, *lines = head.split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    writer.close()
    return status, headers, body


@pytest.mark.parametrize("said", MALFORMED.values(), ids=MALFORMED)
async def test_what_is_no_http_gets_a_plain_refusal(port: int, said: str) -> None:
    status, headers, body = await answer_to(port, said)

    assert status.split(" ", 1)[1] == "400 Bad Request"
    assert body == PLAIN
    assert headers["content-type"] == "text/plain; charset=utf-8"
    assert headers["server"] == f"trd-careplan/{__version__}"


_REST = "HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
OTHERS = {
    "a chunk that is none": (
        "400",
        f"POST /hooks/fhir {_REST}Transfer-Encoding: chunked\r\n\r\n{CANARY}\r\n",
    ),
    "an expectation that is none": ("417", f"GET /health/live {_REST}Expect: {CANARY}\r\n\r\n"),
    "a path that is none": ("404", f"GET /%ff%00 {_REST}\r\n"),
    "a proper request": ("200", f"GET /health/live {_REST}\r\n"),
}


@pytest.mark.parametrize(("code", "said"), OTHERS.values(), ids=OTHERS)
async def test_no_answer_names_the_library_or_repeats_what_was_sent(port: int, code: str, said: str) -> None:
    status, headers, body = await answer_to(port, said)

    assert status.split()[1] == code
    assert headers["server"] == f"trd-careplan/{__version__}"
    for leak in ("aiohttp", "python", CANARY.lower()):
        assert leak not in f"{status}{headers}{body}".lower()
