"""Start a server as a child process, wait until it answers, and always stop it."""

import errno
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import httpx

_LOOPBACK: Final = "127.0.0.1"
_POLL_SECONDS: Final = 0.1
_STOP_SECONDS: Final = 15.0
_LOG_TAIL_LINES: Final = 60


class MissingToolError(RuntimeError):
    """A program or package that a server needs is not installed; the message says which."""


class PortTakenError(RuntimeError):
    """The port that a server is to listen on cannot be used; the message says what has it."""


class ServerStartError(RuntimeError):
    """A server could not be built, or ended or stayed silent instead of getting ready.

    The message ends with the last lines of its output.
    """


def free_port() -> int:
    """Return a loopback port that was free just now.

    Another program could take it before the server does; the server then ends at once and
    `running` reports it.
    """
    with socket.socket() as probe:
        probe.bind((_LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def check_port(port: int) -> None:
    """Raise `PortTakenError` where another program has a port, with what it is."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_LOOPBACK, port))
        except OverflowError:
            raise PortTakenError(f"port {port} cannot be used (ports are 0 to 65535)") from None
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise PortTakenError(f"port {port} cannot be used ({error.strerror})") from None
            raise PortTakenError(f"port {port} is held by {_identify(port)}; choose another port") from None


def _identify(port: int) -> str:
    """What listens on a port, as far as it says."""
    url = f"http://{_LOOPBACK}:{port}/fhir/metadata"
    try:
        answer = httpx.get(url, trust_env=False, timeout=5.0)
        name = answer.json()["software"]["name"]
    except httpx.HTTPError:
        return "another program"
    except (ValueError, KeyError, TypeError):
        return f"another program ({answer.headers.get('server', 'an HTTP server')})"
    return f"a FHIR server ({name})"


@contextmanager
def running(command: Sequence[str], *, folder: Path, ready_url: str, time_limit: float) -> Iterator[None]:
    """Run `command` in `folder` from the moment `ready_url` answers 200 to the end of the block.

    Its output goes to `server.log` in `folder`. `time_limit` is in seconds. Raises
    `ServerStartError` when the process ends early or the time is up; the process is stopped, by
    its id, however the block ends.
    """
    log = folder / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - the callers' own fixed commands, no shell
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        failure = _wait_until_ready(process, ready_url=ready_url, time_limit=time_limit)
        if failure:
            text = log.read_text(encoding="utf-8", errors="replace")
            message = f"{command!r} {failure}; its output ends:\n{last_lines(text)}"
            raise ServerStartError(message)
        yield
    finally:
        _stop(process)


def last_lines(text: str) -> str:
    """Return the end of a program's output, enough to see why it failed."""
    return "\n".join(text.splitlines()[-_LOG_TAIL_LINES:])


def _wait_until_ready(process: subprocess.Popen[bytes], *, ready_url: str, time_limit: float) -> str | None:
    """Return None once the server answers, or what went wrong."""
    deadline = time.monotonic() + time_limit
    # Proxy settings of the environment must not catch requests to loopback.
    with httpx.Client(trust_env=False, timeout=5.0) as client:
        while time.monotonic() < deadline:
            # First the process: a 200 could come from a stranger that took the port.
            if process.poll() is not None:
                return f"ended with code {process.returncode}"
            if _answers(client, ready_url):
                return None
            time.sleep(_POLL_SECONDS)
    return f"did not answer 200 at {ready_url} within {time_limit:g} s"


def _answers(client: httpx.Client, url: str) -> bool:
    try:
        return client.get(url).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(timeout=_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
