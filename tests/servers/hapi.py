"""HAPI FHIR, the Java server under `tests/integration/hapi`, as one of R4 or of R5."""

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal

from service.demo.sandbox.processes import MissingToolError, ServerStartError, free_port, last_lines, running

_PROJECT: Final = Path(__file__).resolve().parents[1] / "integration" / "hapi"
_JAR: Final = _PROJECT / "target" / "hapi-sandbox.jar"
_START_SECONDS: Final = 240.0
"""Half a minute on an idle machine; a busy one takes several times as long."""
BRIEFLY: Final = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
"""Options of Java for a server that runs for minutes; it takes a third less processor time with them."""
Release = Literal["r4", "r5"]
_URLS: Final[dict[Release, str]] = {"r4": "HAPI_URL", "r5": "HAPI_R5_URL"}


@contextmanager
def running_hapi(
    jar: Path | None = None,
    *,
    port: int | None = None,
    release: Release = "r4",
    options: Sequence[str] = (),
) -> Iterator[str]:
    """Run an empty HAPI FHIR server and yield its base URL, `http://127.0.0.1:PORT/fhir`.

    Without `jar`, the server at `HAPI_URL` (R5: `HAPI_R5_URL`) is used when that variable is set (it is
    neither emptied nor stopped), else `hapi_jar()` is started, on `port` or a free one, with these `options`
    of Java. Raises `MissingToolError` or `ServerStartError`.
    """
    url = os.environ.get(_URLS[release])
    if jar is None and url:
        yield url.rstrip("/")
        return
    jar = jar or hapi_jar()
    java = _tool("java", needed_for="to run the HAPI server; install a JDK 17")
    port = port or free_port()
    base = f"http://127.0.0.1:{port}/fhir"
    with tempfile.TemporaryDirectory(prefix="hapi-") as name:
        folder = Path(name)
        command = [
            java,
            "-Xmx2g",
            *options,
            f"-Djava.io.tmpdir={folder}",
            "-jar",
            str(jar.resolve()),
            f"--server.port={port}",
            "--server.address=127.0.0.1",
            f"--sandbox.fhir-release={release}",
        ]
        ready_url = f"{base}/metadata"
        with running(command, folder=folder, ready_url=ready_url, time_limit=_START_SECONDS):
            yield base


def hapi_jar() -> Path:
    """Return the server's jar, built first when it is missing or older than its sources.

    `HAPI_JAR` names a prebuilt jar instead. Raises `MissingToolError` when there is no such file,
    JDK or Maven, and `ServerStartError` when the build fails.
    """
    if prebuilt := os.environ.get("HAPI_JAR"):
        return _existing(Path(prebuilt))
    with (_PROJECT / "pom.xml").open("rb") as project:
        fcntl.flock(project, fcntl.LOCK_EX)  # two workers of xdist may want servers at once
        if _is_stale():
            _build()
    return _JAR


def _existing(jar: Path) -> Path:
    if not jar.is_file():
        message = f"HAPI_JAR names {jar}, which is not a file"
        raise MissingToolError(message)
    return jar


def _is_stale() -> bool:
    if not _JAR.is_file():
        return True
    sources = (path for path in (_PROJECT / "src").rglob("*") if path.is_file())
    newest = max(path.stat().st_mtime for path in (_PROJECT / "pom.xml", *sources))
    return _JAR.stat().st_mtime < newest


def _build() -> None:
    needed_for = "to build the HAPI server; install JDK 17 and Maven 3.8, or set HAPI_JAR"
    _tool("javac", needed_for=needed_for)
    maven = _tool("mvn", needed_for=needed_for)
    result = subprocess.run(
        [maven, "-B", "-q", "package"],
        cwd=_PROJECT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if result.returncode != 0:
        message = f"mvn package failed in {_PROJECT}:\n{last_lines(result.stdout)}"
        raise ServerStartError(message)
    # Maven leaves an unchanged jar's time alone; without this it would look stale for ever.
    _JAR.touch()


def _tool(name: str, *, needed_for: str) -> str:
    path = shutil.which(name)
    if path is None:
        message = f"{name} is not on the PATH; it is needed {needed_for}"
        raise MissingToolError(message)
    return path
