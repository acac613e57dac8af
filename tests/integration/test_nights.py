"""Nights: events by every door, processes killed at random, a FHIR server that comes and goes, all at once.

`make soak` sends 1,000 events and kills 50 times on each database, CI a tenth of both. On sekmet-fhir, since
the faults are those of processes, of databases and of the network.
"""

import asyncio
import itertools
import json
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.app.engines import AUTHORITIES
from tests.examples import soaked
from tests.running import (
    Notify,
    Service,
    Wire,
    ask_for_review,
    ask_to_propose,
    assert_each_once,
    at_least,
    notify,
    notify_by_message,
    notify_by_topic,
    patients_to_treat,
    until,
)
from tests.servers import load, running_sekmet

pytestmark = pytest.mark.soak

EVENTS, KILLS = soaked(1000), soaked(50)
A_SECOND = 20
_SEED = 20261130
_LONGEST_CUT = 6.0
_QUEUED = (notify, notify_by_topic, notify_by_message)
_EVERY_DOOR = (*_QUEUED, ask_to_propose, ask_for_review)


@pytest.mark.parametrize(
    ("queue", "processes", "doors"), [("sqlite", 1, _EVERY_DOOR), ("postgres", 3, _QUEUED)]
)
async def test_nothing_is_lost_nothing_is_doubled_and_nobody_is_called(
    queue: str, processes: int, doors: tuple[Notify, ...], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Two events of every patient, so that the same one comes twice.

    Those who answer at once write beside the queue. Of two processes that create a plan at once, sekmet-fhir
    refuses neither: the second one puts the first one's back, which makes a version (docs/decisions/0019).
    """
    database = (
        request.getfixturevalue("postgres_queue") if queue == "postgres" else f"sqlite:///{tmp_path}/q.db"
    )
    dice = random.Random(_SEED)  # noqa: S311 - no secret
    records = patients_to_treat("night", EVENTS // 2)
    patients = list(records)
    with running_sekmet() as server:
        load(server, [resource for record in records.values() for resource in record])
        async with AsyncExitStack() as stack:
            wire = await stack.enter_async_context(Wire(urlsplit(server).port or 0))
            settings = {
                "fhir_base_url": f"http://127.0.0.1:{wire.port}/fhir",
                "database_url": database,
                "hl7v2_authorities": json.dumps(AUTHORITIES),
            }
            services = [
                await stack.enter_async_context(Service(tmp_path, **settings)) for _ in range(processes)
            ]
            async with unquiet(wire, dice):
                telling = asyncio.create_task(tell_twice(services, patients, doors, dice))
                for _ in range(KILLS):
                    await asyncio.sleep(dice.uniform(0, 2 * EVENTS / A_SECOND / KILLS))
                    victim = dice.choice(services)
                    victim.kill()
                    await victim.start()
                await telling
            await until(partial(at_least, len(patients), server, patients), seconds=300, every=2)
            for service in services:
                await until(service.is_idle, seconds=120)
            assert await services[0].metric('trd_queue_jobs{state="failed"}') == 0
        await assert_each_once(server, patients)


async def tell_twice(
    services: list[Service], patients: list[str], doors: tuple[Notify, ...], dice: random.Random
) -> None:
    """Tell one process or another of every patient by any door, so many a second, and later once more."""
    events = [*patients, *dice.sample(patients, len(patients))]
    async with httpx.AsyncClient(trust_env=False, timeout=30) as http, asyncio.TaskGroup() as tasks:
        for patient, service in zip(events, itertools.cycle(services)):
            tasks.create_task(dice.choice(doors)(http, service.address, patient))
            await asyncio.sleep(1 / A_SECOND)


@asynccontextmanager
async def unquiet(wire: Wire, dice: random.Random) -> AsyncIterator[None]:
    """Cut the way to the FHIR server now and then while the block runs; it is whole at the end."""

    async def come_and_go() -> None:
        while True:
            await asyncio.sleep(dice.uniform(2, 10))
            await wire.cut()
            try:
                await asyncio.sleep(dice.uniform(0.1, _LONGEST_CUT))
            finally:
                await wire.mend()

    going = asyncio.create_task(come_and_go())
    try:
        yield
    finally:
        going.cancel()
        with suppress(asyncio.CancelledError):
            await going
