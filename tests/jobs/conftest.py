"""Each test has a queue's database of its own, on SQLite and on PostgreSQL."""

import asyncio
import itertools
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from service.queue.jobs import Jobs
from tests.jobs.postgres import missing, new_database, running_postgres

_TEMPLATE = "trd_template"
_LONGEST_SECONDS = 0.05


class _Hurried:
    """The module `time` for DBOS, which looks once a second whether all that it runs has ended."""

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)

    def sleep(self, seconds: float) -> None:
        time.sleep(min(seconds, _LONGEST_SECONDS))


@pytest.fixture(autouse=True)
def _dbos_ends_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for waiting in ("dbos._dbos", "dbos._sys_db"):
        monkeypatch.setattr(f"{waiting}.time", _Hurried())


_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """A server with a database that holds the queue's empty tables, to copy from."""
    why = missing()
    if why:
        pytest.skip(f"PostgreSQL: {why}")
    with running_postgres() as server, new_database(server, _TEMPLATE) as template:
        asyncio.run(_create_tables(template))
        yield server


@pytest.fixture
def postgres_database(postgres_server: str) -> Iterator[str]:
    with new_database(postgres_server, f"trd_test_{next(_numbers)}", template=_TEMPLATE) as url:
        yield url


@pytest.fixture
def sqlite_database(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'queue.sqlite'}"


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.matrix)])
def database(request: pytest.FixtureRequest) -> str:
    url: str = request.getfixturevalue(f"{request.param}_database")
    return url


async def _create_tables(url: str) -> None:
    async with Jobs(url):
        pass
