"""What makes the databases of the container sandbox, on PostgreSQL: broken off anywhere, it is mended."""

import importlib.util
import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import psycopg
import pytest
import yaml
from psycopg.sql import SQL, Identifier
from sqlalchemy.engine import make_url

pytestmark = pytest.mark.matrix  # databases are made one by one, and in other tests they are copies
ROOT = Path(__file__).parents[2]
HAPI, TRD = (f"{name}_{os.getpid()}" for name in ("hapi", "trd"))


class BrokenOff(Exception):
    """What ends a run between two statements."""


@pytest.fixture
def server(postgres_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[psycopg.Connection]:
    url = make_url(postgres_server)
    given = {"PGHOST": url.host, "PGPORT": url.port, "PGUSER": url.username}
    for variable, value in given.items():
        monkeypatch.setenv(variable, str(value))
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        yield connection
        for kind, name in itertools.product(("DATABASE", "ROLE"), (HAPI, TRD)):
            connection.execute(SQL("DROP {} IF EXISTS {}").format(SQL(kind), Identifier(name)))


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script, with names of this test's own."""
    spec = importlib.util.spec_from_file_location("databases", ROOT / "docker" / "databases.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "_NAMES", (HAPI, TRD))
    return module


@pytest.fixture
def passwords(tmp_path: Path, server: psycopg.Connection) -> Path:
    (tmp_path / "postgres_password").write_text(server.info.password or "unused")
    for name in (HAPI, TRD):
        (tmp_path / f"{name}_password").write_text(f"{name}'s \\ password")
    return tmp_path


def test_a_run_that_broke_off_anywhere_is_mended_by_the_next(
    server: psycopg.Connection, script: ModuleType, passwords: Path
) -> None:
    for statements in itertools.count(1):
        assert not _is_healthy(server)
        try:
            _run_for(statements, script, passwords)
            break
        except BrokenOff:
            continue

    assert statements > 8, "each database takes four statements at least"
    assert _is_healthy(server)
    for owner, other in ((HAPI, TRD), (TRD, HAPI)):
        may = SQL("SELECT has_database_privilege(%s, %s, 'CONNECT, CREATE'), pg_get_userbyid(datdba) = %s ")
        owned = server.execute(may + SQL("FROM pg_database WHERE datname = %s"), [owner, owner, owner, owner])
        assert owned.fetchone() == (True, True)
        shut = server.execute("SELECT has_database_privilege(%s, %s, 'CONNECT')", [owner, other])
        assert shut.fetchone() == (False,)


def test_another_password_is_the_one_that_counts(
    server: psycopg.Connection, script: ModuleType, passwords: Path
) -> None:
    script.main(passwords)
    before = _stored_password(server)
    (passwords / f"{TRD}_password").write_text("another")

    script.main(passwords)

    assert _stored_password(server) != before


def test_an_empty_password_makes_no_role(
    server: psycopg.Connection, script: ModuleType, passwords: Path
) -> None:
    (passwords / f"{TRD}_password").write_text("")

    with pytest.raises(SystemExit, match=f"{TRD}_password is empty"):
        script.main(passwords)

    roles = server.execute("SELECT count(*) FROM pg_roles WHERE rolname = ANY(%s)", [[HAPI, TRD]])
    assert roles.fetchone() == (0,)


def _run_for(statements: int, script: ModuleType, passwords: Path) -> None:
    """Run the script, and break it off before this statement."""
    numbers = itertools.count(1)
    execute = psycopg.Connection.execute

    def breaking(connection: Any, *arguments: Any) -> Any:
        if next(numbers) == statements:
            raise BrokenOff
        return execute(connection, *arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(psycopg.Connection, "execute", breaking)
        script.main(passwords)


def _is_healthy(server: psycopg.Connection) -> bool:
    """What the health check of the Compose file says, for the names of this test."""
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    option = compose["services"]["postgres"]["healthcheck"]["test"][-1]
    query = option.removeprefix("--command=").replace("'hapi', 'trd'", f"'{HAPI}', '{TRD}'")
    try:
        server.execute(query)
    except psycopg.errors.DivisionByZero:
        return False
    return True


def _stored_password(server: psycopg.Connection) -> object:
    return server.execute("SELECT rolpassword FROM pg_authid WHERE rolname = %s", [TRD]).fetchone()
