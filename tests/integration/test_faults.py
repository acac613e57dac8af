"""The service through faults: killed in the middle, two at work at once, and a FHIR server that goes away.

On sekmet-fhir, since HAPI would add nothing: the faults are those of the service's process, of its database
and of the network, and a FHIR server that starts in two seconds shows them as well. It lies here since it
takes minutes and the programs of PostgreSQL.
"""

import asyncio
import itertools
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.running import (
    Notify,
    Service,
    Wire,
    assert_each_once,
    at_least,
    notify,
    notify_by_topic,
    notifying,
    patients_to_treat,
    planned,
    until,
)
from tests.servers import load, running_sekmet

pytestmark = pytest.mark.soak
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with running_sekmet() as base:
        yield base


@pytest.fixture
def sqlite_queue(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'queue.sqlite'}"


def loaded(server: str, number: int) -> list[str]:
    """Patients of this test alone, on the server."""
    records = patients_to_treat(f"fault-{next(_numbers)}", number)
    load(server, [resource for record in records.values() for resource in record])
    return list(records)


@pytest.mark.parametrize("queue", ["sqlite", "postgres"])
async def test_killed_in_the_middle_every_confirmed_event_is_done_once(
    server: str, tmp_path: Path, queue: str, request: pytest.FixtureRequest
) -> None:
    database: str = request.getfixturevalue(f"{queue}_queue")
    await assert_killed_twice_each_is_done_once(server, tmp_path, database, number=100, kills_at=(33, 66))


async def test_killed_in_the_middle_every_resource_that_was_named_is_read(
    server: str, tmp_path: Path, sqlite_queue: str
) -> None:
    """Between the answer to a notification by a topic and the reading of what it names."""
    await assert_killed_twice_each_is_done_once(
        server, tmp_path, sqlite_queue, number=30, kills_at=(8, 16), by=notify_by_topic
    )


async def assert_killed_twice_each_is_done_once(  # noqa: PLR0913 - what is told, how, and when it is killed
    server: str, folder: Path, database: str, *, number: int, kills_at: tuple[int, int], by: Notify = notify
) -> None:
    """Tell of so many patients, kill the service once so many have plans, and see each done once."""
    patients = loaded(server, number)
    lost = []
    async with Service(folder, fhir_base_url=server, database_url=database) as service:
        async with notifying(service.address, patients, a_second=25, by=by) as confirmed:
            for part in kills_at:
                await until(partial(at_least, part, server, patients), seconds=60, every=0.1)
                service.kill()
                lost.append(len(confirmed.keys() - await planned(server)))
                await service.start()
        await until(lambda: at_least(number, server, patients), seconds=60)
        await until(service.is_idle, seconds=60)
        assert await service.metric('trd_queue_jobs{state="failed"}') == 0

    assert sum(lost) > 0, "no event was confirmed and not yet done when the service was killed"
    await assert_each_once(server, patients)


async def test_two_processes_share_the_work(server: str, tmp_path: Path, postgres_queue: str) -> None:
    patients = loaded(server, 60)
    settings = {"fhir_base_url": server, "database_url": postgres_queue}
    async with Service(tmp_path, **settings) as first, Service(tmp_path, **settings) as second:
        async with notifying(first.address, patients, a_second=50):
            pass
        await until(lambda: at_least(60, server, patients), seconds=60)
        await until(first.is_idle, seconds=60)
        assert (await first.stop(), await second.stop()) == (0, 0)

    # Each takes jobs ahead, so the halves are not even; that both do some is the point.
    assert min(first.reviews, second.reviews) >= 1
    assert first.reviews + second.reviews == 60
    await assert_each_once(server, patients)


async def test_a_fhir_server_that_goes_away_for_twenty_seconds(
    server: str, tmp_path: Path, sqlite_queue: str
) -> None:
    patients = loaded(server, 60)
    async with Wire(urlsplit(server).port or 0) as wire:
        through = f"http://127.0.0.1:{wire.port}/fhir"
        async with Service(tmp_path, fhir_base_url=through, database_url=sqlite_queue) as service:
            async with notifying(service.address, patients, a_second=15) as confirmed:
                await until(lambda: at_least(20, server, patients), seconds=60, every=0.1)
                await wire.cut()
                before = len(await planned(server) & set(patients))
                await asyncio.sleep(20)
                meanwhile = len(await planned(server) & set(patients))
                assert len(confirmed) == 60, "events are confirmed although the server is away"
                await wire.mend()
            await until(lambda: at_least(60, server, patients), seconds=60)
            await until(service.is_idle, seconds=60)
            assert await service.metric('trd_queue_jobs{state="failed"}') == 0

    assert before < 60
    assert meanwhile <= before + 8, "only what was under way may end while the server is away"
    await assert_each_once(server, patients)
