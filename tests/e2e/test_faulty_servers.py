"""The command on servers that fail: one clear line, exit code 4, and nothing of what the server said."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.support import run_command

NAME = "Marigold Testperson"


@contextmanager
def answering(status: int, kind: str, body: bytes, *, late: threading.Event | None = None) -> Iterator[str]:
    """A server on loopback that answers every request the same; `late` holds the answers back."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if late is not None:
                late.wait(30)
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: Any) -> None:
            """A client that hangs up early is no news; its traceback would stand in the command's output."""

    with Server(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/fhir"
        finally:
            if late is not None:
                late.set()
            server.shutdown()
            thread.join()


def fault_at(base: str, **settings: str) -> str:
    """The one line that the command ends with."""
    done = run_command(
        "assess", "Patient/ann", "--json", TRD_FHIR_BASE_URL=base, TRD_FHIR_ATTEMPTS="1", **settings
    )
    assert done.returncode == 4, done.stderr
    assert done.stdout == ""
    assert not any(word in done.stderr for word in [*NAME.split(), "Traceback"])
    (line,) = done.stderr.splitlines()
    told = re.fullmatch(r"trd-careplan: GET (?:/fhir/)?metadata: (.+)", line)
    assert told is not None, line
    return told[1]


def test_a_server_that_is_down() -> None:
    with answering(200, "application/fhir+json", b"{}") as base:
        pass
    assert "cannot be reached" in fault_at(base)


def test_a_server_that_is_slow() -> None:
    with answering(200, "application/fhir+json", b"{}", late=threading.Event()) as base:
        said = fault_at(base, TRD_FHIR_TIMEOUT="0.3")
    place = base.removeprefix("http://").partition("/")[0]
    assert said == f"the server at {place} gave no answer within 0.3 seconds"


NOBODY = "no FHIR server answers at this address"


@pytest.mark.parametrize(
    ("status", "told"),
    [(401, "the server answered 401"), (404, f"{NOBODY} (404)"), (410, f"{NOBODY} (410)")],
)
def test_a_server_that_refuses(status: int, told: str) -> None:
    body = f'{{"resourceType":"OperationOutcome","issue":[{{"diagnostics":"{NAME}"}}]}}'.encode()
    with answering(status, "application/fhir+json", body) as base:
        assert fault_at(base) == told


def test_a_server_that_shows_a_web_page() -> None:
    with answering(200, "text/html; charset=utf-8", f"<h1>{NAME}</h1>".encode()) as base:
        assert fault_at(base) == "the answer is text/html, not FHIR JSON"


@pytest.mark.parametrize("body", [NAME, f'{{"text":"{NAME}'])
def test_a_server_that_speaks_no_fhir(body: str) -> None:
    with answering(200, "application/fhir+json", body.encode()) as base:
        fault = run_command("assess", "Patient/ann", TRD_FHIR_BASE_URL=base)
    assert fault.returncode == 4
    assert fault.stderr.startswith("trd-careplan: GET metadata: ")
    assert not any(word in fault.stderr for word in NAME.split())
