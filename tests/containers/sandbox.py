"""The sandbox of the Compose file, on the container engine of this machine.

It is started from a copy of the checkout whose files only their owner may read, with CRLF at the end of each
line: what an unlucky umask and an unlucky editor leave. The variables of the Compose file (`PYTHON_IMAGE`,
`POSTGRES_IMAGE`, `HAPI_IMAGE`) choose the images, and `COMPOSE_FILE` can lay another file over it.
"""

import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx

from tests.support import Resource

ROOT: Final = Path(__file__).parents[2]
_ENGINES: Final = ("docker", "podman")
_START_SECONDS: Final = 1800
"""For the build, and for the 15 minutes that HAPI may take."""
_COMMAND_SECONDS: Final = 300


def find_engine() -> str | None:
    """The first engine that answers and has Compose; none where there is none."""
    return next((engine for engine in _ENGINES if _answers(engine)), None)


def _answers(engine: str) -> bool:
    return shutil.which(engine) is not None and all(
        subprocess.run([engine, *asked], capture_output=True, check=False).returncode == 0
        for asked in (["info"], ["compose", "version"])
    )


def _free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True, slots=True)
class Sandbox:
    """One project of Compose, with an image and ports of its own."""

    engine: str
    checkout: Path
    project: str = field(default_factory=lambda: f"trd-test-{os.getpid()}")
    hapi_port: int = field(default_factory=_free_port)
    service_port: int = field(default_factory=_free_port)

    @property
    def image(self) -> str:
        """The image that this sandbox builds and runs."""
        return f"{self.project}:latest"

    @property
    def hapi(self) -> str:
        """The base of the FHIR server, as seen from outside."""
        return f"http://127.0.0.1:{self.hapi_port}/fhir"

    @property
    def service(self) -> str:
        """The address of the service, as seen from outside."""
        return f"http://127.0.0.1:{self.service_port}"

    def run(self, *arguments: str, given: bytes = b"", seconds: float = _COMMAND_SECONDS) -> str:
        """What a command of the engine prints. Raises `AssertionError` with all of it where it fails."""
        ran = self.tried(*arguments, given=given, seconds=seconds)
        assert ran.returncode == 0, f"{arguments}: {ran.stdout.decode()}{ran.stderr.decode()}"
        return ran.stdout.decode()

    def tried(
        self, *arguments: str, given: bytes = b"", seconds: float = _COMMAND_SECONDS
    ) -> subprocess.CompletedProcess[bytes]:
        """The outcome of a command of the engine, whatever it is."""
        return subprocess.run(
            [self.engine, *arguments],
            cwd=self.checkout,
            env={
                **os.environ,
                "CAREPLAN_IMAGE": self.image,
                "HAPI_PORT": str(self.hapi_port),
                "SERVICE_PORT": str(self.service_port),
            },
            input=given,
            capture_output=True,
            check=False,
            timeout=seconds,
        )

    def compose(self, *arguments: str, seconds: float = _COMMAND_SECONDS) -> str:
        """What a command of Compose prints."""
        return self.run("compose", "--project-name", self.project, *arguments, seconds=seconds)

    def inside(self, name: str, *command: str) -> str:
        """What a command prints in the container of a service."""
        return self.compose("exec", "-T", name, *command)

    def state(self, name: str) -> dict[str, Any]:
        """All that the engine says of the container of a service."""
        identity = self.compose("ps", "--all", "--quiet", name).strip()
        (found,) = json.loads(self.run("inspect", identity))
        return dict(found)

    def found(self, search: str) -> list[Resource]:
        """What a search on the FHIR server finds now, of one page."""
        answer = httpx.get(f"{self.hapi}/{search}", headers={"Cache-Control": "no-cache"}, timeout=60)
        return [entry["resource"] for entry in answer.raise_for_status().json().get("entry", [])]


@contextmanager
def built_sandbox(engine: str) -> Iterator[Sandbox]:
    """A sandbox that is built and does not run; no container, volume or image of it is left at the end."""
    with tempfile.TemporaryDirectory(prefix="trd-sandbox-") as folder:
        _copy_checkout(Path(folder))
        sandbox = Sandbox(engine, Path(folder))
        sandbox.compose("build", seconds=_START_SECONDS)
        try:
            yield sandbox
        finally:
            sandbox.compose("down", "--volumes", "--timeout", "5")
            sandbox.run("image", "rm", sandbox.image)


def start(sandbox: Sandbox) -> None:
    """Start what does not run, as a user does, and wait until the last container has ended well."""
    sandbox.compose("up", "--detach", seconds=_START_SECONDS)
    until(lambda: sandbox.state("loader")["State"]["Status"] == "exited", seconds=_COMMAND_SECONDS)
    assert sandbox.state("loader")["State"]["ExitCode"] == 0, sandbox.compose("logs", "loader")


def until(holds: Callable[[], object], *, seconds: float) -> None:
    """Wait until something holds. Raises `AssertionError` where it does not come to hold."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(1)


def _copy_checkout(folder: Path) -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            _copy_unluckily(ROOT / name, folder / name)
    for directory in [folder, *(path for path in folder.rglob("*") if path.is_dir())]:
        directory.chmod(0o700)


def _copy_unluckily(source: Path, target: Path) -> None:
    content = source.read_bytes()
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content if b"\0" in content else content.replace(b"\n", b"\r\n"))
    target.chmod(0o600)
