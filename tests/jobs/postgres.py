"""A private PostgreSQL for the tests: a new cluster in a temporary folder, on a free loopback port.

`TEST_POSTGRES_URL` names a server to use instead; each test then works in a database of its own there.
"""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

import psycopg
from sqlalchemy.engine import make_url

SERVER_VARIABLE: Final = "TEST_POSTGRES_URL"
_PROGRAMS: Final = Path("/usr/lib/postgresql/15/bin")
_OWNER: Final = "postgres"
_LOOPBACK: Final = "127.0.0.1"
_WAIT_SECONDS: Final = 30.0


def missing() -> str | None:
    """Name what is missing to run a PostgreSQL here, or return None."""
    if os.environ.get(SERVER_VARIABLE):
        return None
    if not (_PROGRAMS / "postgres").exists():
        return f"{_PROGRAMS / 'postgres'} is not installed and {SERVER_VARIABLE} is not set"
    if os.geteuid() == 0 and shutil.which("runuser") is None:
        return (
            f"runuser is not installed (PostgreSQL does not start as root) and {SERVER_VARIABLE} is not set"
        )
    return None


@contextmanager
def running_postgres() -> Iterator[str]:
    """Yield the URL of a server's maintenance database; stop the server afterwards, by its process id."""
    given = os.environ.get(SERVER_VARIABLE)
    if given:
        yield given
        return
    with tempfile.TemporaryDirectory(prefix="trd-postgres-") as folder:
        home = Path(folder)
        if os.geteuid() == 0:
            shutil.chown(home, _OWNER)
        data = home / "data"
        _run(["initdb", "--auth=trust", "--username=postgres", "--no-sync", f"--pgdata={data}"], home)
        with closing(socket.socket()) as probe:
            probe.bind((_LOOPBACK, 0))
            port = probe.getsockname()[1]
        options = ["-c", f"listen_addresses={_LOOPBACK}", "-c", f"port={port}", "-k", str(home)]
        with (home / "server.log").open("wb") as log:
            server = subprocess.Popen(
                _as_owner(["postgres", "-D", str(data), *options]),
                cwd=home,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        url = f"postgresql://postgres@{_LOOPBACK}:{port}/postgres"
        try:
            _wait_until_ready(server, url, home / "server.log")
            yield url
        finally:
            _stop(server, data)


@contextmanager
def new_database(server_url: str, name: str, template: str = "template1") -> Iterator[str]:
    """Yield the URL of a new database on the server, a copy of `template`, dropped afterwards."""
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    try:
        yield make_url(server_url).set(database=name).render_as_string(hide_password=False)
    finally:
        with psycopg.connect(server_url, autocommit=True) as connection:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def dump_text(url: str) -> str:
    """Return every row of every table of the database as text, as a dump would hold them."""
    with psycopg.connect(url) as connection:
        tables = connection.execute(
            "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables "
            "WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
        ).fetchall()
        rows = [
            row[0]
            for (table,) in tables
            for row in connection.execute(f"SELECT t::text FROM {table} t").fetchall()  # noqa: S608 - quoted by format
        ]
    return "\n".join(rows)


def _as_owner(command: Sequence[str]) -> list[str]:
    program = [str(_PROGRAMS / command[0]), *command[1:]]
    return ["runuser", "-u", _OWNER, "--", *program] if os.geteuid() == 0 else program


def _run(command: Sequence[str], folder: Path) -> None:
    subprocess.run(_as_owner(command), cwd=folder, check=True, capture_output=True)


def _wait_until_ready(server: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + _WAIT_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        try:
            psycopg.connect(url, connect_timeout=2).close()
        except psycopg.OperationalError:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError(f"PostgreSQL did not start:\n{log.read_text(errors='replace')[-2000:]}")


def _stop(server: subprocess.Popen[bytes], data: Path) -> None:
    """Ask the server's own process (not runuser, its parent) for a fast shutdown."""
    pid_file = data / "postmaster.pid"
    if pid_file.exists():
        os.kill(int(pid_file.read_text().split()[0]), 2)
    else:
        server.terminate()
    server.wait(timeout=_WAIT_SECONDS)
