"""Give PostgreSQL the databases of HAPI and of the service, each with a role that has access to no other.

Repeating it is safe: it makes what is missing and sets the passwords anew, so it mends a start that broke
off. libpq's variables name the server and its administrator (PGHOST, PGUSER). The passwords are files of the
folder that is given.
"""  # noqa: INP001 - a script

import os
import sys
from pathlib import Path

import psycopg
import stamina
from psycopg.sql import SQL, Composed, Identifier, Literal
from stamina.instrumentation import set_on_retry_hooks

_NAMES = ("hapi", "trd")
_SERVER_MAY_TAKE_SECONDS = 300.0


def main(folder: Path) -> None:
    """Make both databases. Raises `psycopg.OperationalError` where the server does not let us in."""
    passwords = {name: _read_password(folder, name) for name in _NAMES}
    with _connect(_read_password(folder, "postgres")) as server:
        for name, password in passwords.items():
            _make(server, name, password)
            print(f"database {name} is ready")  # noqa: T201 - what `docker compose logs` shows


def _read_password(folder: Path, name: str) -> str:
    password = (folder / f"{name}_password").read_text(encoding="ascii")
    if not password:
        sys.exit(f"{name}_password is empty; remove the volumes of the secrets")
    return password


def _connect(password: str) -> psycopg.Connection:
    """Wait for a server that is starting, and connect; each statement then counts by itself."""
    for attempt in stamina.retry_context(
        on=psycopg.OperationalError, attempts=None, timeout=_SERVER_MAY_TAKE_SECONDS, wait_max=2.0
    ):
        with attempt:
            return psycopg.connect(
                host=os.environ["PGHOST"],
                dbname="postgres",
                password=password,
                autocommit=True,
                connect_timeout=5,
            )
    raise AssertionError


def _make(server: psycopg.Connection, name: str, password: str) -> None:
    owner = Identifier(name)
    if not _exists(server, SQL("pg_roles WHERE rolname = {}").format(name)):
        server.execute(SQL("CREATE ROLE {}").format(owner))
    server.execute(SQL("ALTER ROLE {} LOGIN PASSWORD {}").format(owner, Literal(password)))
    if not _exists(server, SQL("pg_database WHERE datname = {}").format(name)):
        server.execute(SQL("CREATE DATABASE {} OWNER {}").format(owner, owner))
    server.execute(SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(owner))


def _exists(server: psycopg.Connection, row: Composed) -> bool:
    return server.execute(SQL("SELECT FROM {}").format(row)).fetchone() is not None


if __name__ == "__main__":
    set_on_retry_hooks(())
    try:
        main(Path(*sys.argv[1:]))
    except (OSError, psycopg.OperationalError) as error:
        sys.exit(f"PostgreSQL cannot be used: {error}\nSee docs/docker.md, 'When it does not start'.")
