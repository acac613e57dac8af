"""A process that works on a queue: `worker.py URL OUTPUT LEASE SECONDS`.

It accepts each patient id it reads from standard input and answers with it once it is accepted. Of each
review it appends the start and the end to OUTPUT. It stops when standard input ends.
"""

import asyncio
import os
import sys
import time
from pathlib import Path

from service.queue.jobs import JobQueue
from service.queue.tries import Pace


async def work(url: str, output: Path, lease: float, seconds: float) -> None:
    def note(what: str, patient_id: str) -> None:
        with output.open("a", encoding="utf-8") as lines:
            lines.write(f"{what} {patient_id} {os.getpid()} {time.monotonic()}\n")

    async def review(patient_id: str, _: str) -> None:
        note("start", patient_id)
        await asyncio.sleep(seconds)
        note("end", patient_id)

    async with JobQueue(url, review, pace=Pace(lease=lease)) as queue:
        print("ready", flush=True)  # noqa: T201 - the protocol with the test
        while patient_id := (await asyncio.to_thread(sys.stdin.readline)).strip():
            await queue.accept([patient_id], "test")
            print(patient_id, flush=True)  # noqa: T201


if __name__ == "__main__":
    asyncio.run(work(sys.argv[1], Path(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4])))
