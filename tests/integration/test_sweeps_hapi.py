"""The periodic sweep on a real HAPI server that notifies nobody."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from service import clock
from service.gather.changes import Window, find_changed, find_swept_kinds
from service.queue.jobs import Jobs, State
from service.queue.sweeps import OVERLAP, Sweep
from service.telemetry.metrics import Metrics
from tests.running import Service, at_least, patients_to_treat, until
from tests.servers import BRIEFLY, load, running_hapi
from tests.support import a_condition, a_patient, client_at, reviewer

MINUTE = timedelta(minutes=1)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with running_hapi(options=BRIEFLY) as base:
        yield base


async def test_a_change_that_nobody_tells_of_is_found_by_the_periodic_sweep(
    server: str, tmp_path: Path
) -> None:
    """The shortest interval that can be set is a minute, and this test takes as long."""
    ((patient, record),) = patients_to_treat("swept", 1).items()
    async with Service(tmp_path, fhir_base_url=server, sweep_every=1) as service:
        await until(service.is_idle, seconds=30)
        load(server, record)
        await until(lambda: at_least(1, server, [patient]), seconds=120, every=1)
        assert await service.metric('trd_hook_events_total{kind="changed"}') == 0
        assert await service.metric('trd_sweep_watermark_seconds{kind="Condition"}') > 0


async def test_a_kind_is_searched_for_the_changes_of_a_window(server: str) -> None:
    load(server, [a_patient("in-time"), a_condition("in-times", "in-time")])
    async with client_at(server) as client:
        assert "Condition" in (await find_swept_kinds(client)).swept
        now = clock.now().replace(microsecond=0)
        found = {
            name: (await find_changed(client, "Condition", window, reviewer().knowledge)).patients
            for name, window in {
                "around": Window(now - MINUTE, now + MINUTE),
                "open": Window(now - MINUTE),
                "before": Window(now - 3 * OVERLAP, now - 2 * OVERLAP),
                "after": Window(now + MINUTE),
            }.items()
        }
    assert {name for name, patients in found.items() if "in-time" in patients} == {"around", "open"}


async def test_a_restart_after_a_while_finds_what_changed_meanwhile(server: str, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'queue.sqlite'}"

    async def swept(now: datetime) -> list[str]:
        async with Jobs(url) as queue, client_at(server) as client:
            knowledge = reviewer().knowledge
            sweep = Sweep(
                client=client, knowledge=knowledge, metrics=Metrics(), every=MINUTE, now=lambda: now
            )
            await sweep.run(queue)
            return [job.reference for job in await queue.jobs(State.WAITING)]

    began = clock.now()
    await swept(began)
    load(server, [a_patient("meanwhile"), a_condition("meanwhiles", "meanwhile")])
    assert "meanwhile" in await swept(began + timedelta(days=3))
