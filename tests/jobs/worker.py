"""A process that works on a queue: `worker.py URL OUTPUT LEASE SECONDS AWAY`.

It accepts each patient id it reads from standard input and answers with it once it is accepted. Of each
review it appends the start and the end to OUTPUT. While the file AWAY exists, the FHIR server is away. It
stops when standard input ends.
"""

import asyncio
import os
import sys
import time
from pathlib import Path

from service.errors import ServerUnreachable
from service.queue.gate import Gate
from service.queue.jobs import JobQueue
from service.queue.tries import Pace
from service.telemetry.logs import configure_logs


async def work(url: str, output: Path, lease: float, seconds: float, away: Path) -> None:
    def note(what: str, patient_id: str) -> None:
        with output.open("a", encoding="utf-8") as lines:
            lines.write(f"{what} {patient_id} {os.getpid()} {time.monotonic()}\n")

    async def probe() -> None:
        if await asyncio.to_thread(away.exists):
            raise ServerUnreachable("the server cannot be reached")

    async def review(patient_id: str, _: str) -> None:
        await probe()
        note("start", patient_id)
        await asyncio.sleep(seconds)
        note("end", patient_id)

    gate = Gate(probe, pace=Pace(longest_probe=1))
    async with JobQueue(url, review, pace=Pace(lease=lease), gate=gate) as queue:
        print("ready", flush=True)  # noqa: T201 - the protocol with the test
        while patient_id := (await asyncio.to_thread(sys.stdin.readline)).strip():
            await queue.accept([patient_id], "test")
            print(patient_id, flush=True)  # noqa: T201


if __name__ == "__main__":
    configure_logs()
    address, written, lease, seconds, away = sys.argv[1:]
    asyncio.run(work(address, Path(written), float(lease), float(seconds), Path(away)))
