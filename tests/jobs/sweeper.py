"""A process that sweeps: `sweeper.py URL OUTPUT MODE`.

It sweeps a server of its own, on which one record changed since the watermark. Of each search for changes it
appends the kind to OUTPUT. MODE is where it is killed: `found`, before it stores whom it found; `stored`,
before it advances the watermark; `never` works on the queue until standard input ends.
"""

import asyncio
import os
import signal
import sys
from datetime import timedelta
from pathlib import Path

import httpx

from service.cause import Cause
from service.queue.jobs import JobQueue, Jobs
from service.queue.sweeps import ALL_KINDS, CHANGES, Sweep
from service.queue.tries import Pace
from service.queue.watermarks import Watermark
from service.telemetry.logs import configure_logs
from service.telemetry.metrics import Metrics
from tests.jobs.test_sweeps import EVERY, START, Site
from tests.support import a_condition, a_patient, client_of, reviewer


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class Dying(Jobs):
    """A queue whose process is killed before it stores an event, or before it advances a watermark."""

    def __init__(self, url: str, mode: str) -> None:
        super().__init__(url)
        self._mode = mode

    async def accept(self, patient_ids: object, cause: str) -> None:
        if self._mode == "found":
            kill()
        await super().accept(patient_ids, cause)  # type: ignore[arg-type]

    async def advance(self, server: str, kind: str, watermark: Watermark) -> None:
        if kind == "Condition" and self._mode == "stored":
            kill()
        await super().advance(server, kind, watermark)


def a_sweep(output: Path) -> Sweep:
    site = Site(a_patient("ann"))
    site.clock = START + EVERY
    site.put(a_condition("anns", "ann"))

    def noted(request: httpx.Request) -> httpx.Response:
        if "_lastUpdated" in request.url.params:
            with output.open("a", encoding="utf-8") as lines:
                lines.write(f"{request.url.path}\n")
        return site(request)

    now = START + EVERY + timedelta(minutes=1)
    return Sweep(
        client=client_of(noted),
        knowledge=reviewer().knowledge,
        metrics=Metrics(),
        every=EVERY,
        now=lambda: now,
    )


async def die(url: str, output: Path, mode: str) -> None:
    async with Dying(url, mode) as queue:
        await a_sweep(output).run(queue)


async def work(url: str, output: Path) -> None:
    sweep = a_sweep(output)

    async def review(_: str, __: str) -> None:
        """Nothing is reviewed here."""

    async def run(_: str, __: str) -> None:
        await sweep.run(queue)

    pace = Pace(polling=0.05, lease=1)
    async with JobQueue(url, review, tasks={CHANGES: run}, pace=pace) as queue:
        print("ready", flush=True)  # noqa: T201 - the protocol with the test
        while (await asyncio.to_thread(sys.stdin.readline)).strip():
            await queue.accept_task(CHANGES, ALL_KINDS, Cause.SWEEP)
            print("asked", flush=True)  # noqa: T201


if __name__ == "__main__":
    configure_logs()
    address, written, mode = sys.argv[1:]
    asyncio.run(work(address, Path(written)) if mode == "never" else die(address, Path(written), mode))
