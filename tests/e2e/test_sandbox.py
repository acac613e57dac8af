"""`make sandbox`: it tells what it does, uses no port of another, and leaves no server behind."""

import subprocess
import sys
from pathlib import Path
from subprocess import DEVNULL, PIPE

import httpx
import pytest

from service.demo.sandbox.processes import free_port
from tests.servers import running_double

SANDBOX = [sys.executable, "-m", "tests.servers"]
ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("server", ["hapi", "sekmet"])
def test_a_port_that_is_held_is_refused_and_said_to_be(server: str) -> None:
    with running_double() as base:
        port = base.rpartition(":")[2].partition("/")[0]
        held = subprocess.run([*SANDBOX, server, port], cwd=ROOT, capture_output=True, text=True, check=False)

    assert held.returncode == 1
    assert held.stderr.startswith(f"sandbox: port {port} is held by a")
    assert held.stderr.endswith("; choose another port\n")


@pytest.mark.parametrize("when", ["starting", "loading"])
def test_told_to_stop_it_ends_its_server(when: str) -> None:
    """It starts a real server, which takes seconds: on the way, and while the patients are loaded."""
    port = free_port()
    with subprocess.Popen(
        [*SANDBOX, "sekmet", str(port)], cwd=ROOT, stdout=PIPE, stdin=DEVNULL, text=True
    ) as sandbox:
        assert sandbox.stdout is not None
        while not sandbox.stdout.readline().startswith(when):
            pass
        sandbox.terminate()

    assert sandbox.returncode == 128 + 15
    with pytest.raises(httpx.TransportError):
        httpx.get(f"http://127.0.0.1:{port}/fhir/metadata", trust_env=False)
