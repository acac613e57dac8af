"""What the modules share: one HAPI server of each release, one PostgreSQL, and the fixtures over them.

A HAPI server takes half a minute to start, so all modules and all workers of xdist use the same one. A test
that counts everything on a server, or that is notified by it, starts a server of its own.
"""

import fcntl
import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from pathlib import Path

import httpx
import pytest
from hypothesis import settings

from service.fhir.client import FhirClient
from service.fhir.release import Release
from service.fhir.views import CapabilityView
from service.render.device import render_device
from tests.jobs.postgres import missing, new_database, running_postgres
from tests.servers import BRIEFLY, running_hapi

_numbers = itertools.count(1)

# A tenth of the rounds of each race, as in CI; `--hypothesis-profile=soak` runs them all.
settings.load_profile("full")


@pytest.fixture(scope="session")
def shared_hapi(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    start = partial(_knowing_us, partial(running_hapi, options=BRIEFLY))
    with shared(_folder_of_all_workers(tmp_path_factory), "r4", start) as base, asked_once(base):
        yield base


@pytest.fixture(scope="session")
def shared_hapi_r5(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    start = partial(running_hapi, release="r5", options=BRIEFLY)
    with shared(_folder_of_all_workers(tmp_path_factory), "r5", start) as base, asked_once(base):
        yield base


@contextmanager
def _knowing_us(start: Callable[[], AbstractContextManager[str]]) -> Iterator[str]:
    """A server that knows our Device. HAPI answers 500 where two transactions create it at one moment."""
    with start() as base:
        device = render_device()
        httpx.put(f"{base}/Device/{device['id']}", json=device, timeout=60).raise_for_status()
        yield base


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    why = missing()
    if why:
        pytest.skip(f"PostgreSQL: {why}")
    with running_postgres() as url:
        yield url


@pytest.fixture
def postgres_queue(postgres: str) -> Iterator[str]:
    """An empty database for the queue of one test."""
    with new_database(postgres, f"trd_integration_{os.getpid()}_{next(_numbers)}") as url:
        yield url


# --- what a server says of itself -----------------------------------------------------------------


@contextmanager
def asked_once(base: str) -> Iterator[None]:
    """Let the clients of a server share its CapabilityStatement, the answer that takes HAPI longest."""
    ask = FhirClient._statement
    addresses = {base, base.replace("127.0.0.1", "localhost")}
    stated: list[tuple[CapabilityView, Release]] = []

    async def statement(client: FhirClient) -> tuple[CapabilityView, Release]:
        if client.base in addresses and client._stated is None:
            stated[:] = stated or [await ask(client)]
            (client._stated,) = stated
        return await ask(client)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FhirClient, "_statement", statement)
        yield


# --- one server for all workers -------------------------------------------------------------------


def _folder_of_all_workers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of this run. Each worker of xdist has a folder of its own in it."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@contextmanager
def shared(folder: Path, name: str, start: Callable[[], AbstractContextManager[str]]) -> Iterator[str]:
    """One server for every process that shares the folder; yields its base URL.

    The first process that asks starts the server, and stops it when the last one has finished with it.
    """
    address, users = folder / f"{name}.address", folder / f"{name}.users"
    starting = partial(_locked, folder / f"{name}.starting")
    with ExitStack() as stack:
        with starting():
            if address.exists():
                base = address.read_text(encoding="utf-8")
            else:
                base = stack.enter_context(start())
                stack.enter_context(_withdrawn_at_the_end(address, users, starting))
                address.write_text(base, encoding="utf-8")
            stack.enter_context(_locked(users, fcntl.LOCK_SH))
        yield base


@contextmanager
def _withdrawn_at_the_end(
    address: Path, users: Path, starting: Callable[[], AbstractContextManager[None]]
) -> Iterator[None]:
    """Let nobody find the server after the block, and wait until those who found it have finished."""
    try:
        yield
    finally:
        with starting():
            address.unlink()
        with _locked(users):
            pass


@contextmanager
def _locked(path: Path, kind: int = fcntl.LOCK_EX) -> Iterator[None]:
    with path.open("a") as file:
        fcntl.flock(file, kind)
        yield
