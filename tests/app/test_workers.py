"""Worker processes: what they answer, what becomes of one that dies, and when too much waits."""

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from benchmarks.liveness import waits
from service.errors import NotJson, WorkerLost, WorkersBusy
from service.gather.files import read_bundle
from service.review import Reviewer
from service.workers import LARGE, Pool, Workers, pack, unpack
from tests.app.serving import PretendQueue, fhir_of, issue_of, on_server, serving
from tests.support import (
    Resource,
    a_bundle,
    a_condition,
    answer_of,
    case_bundle,
    case_bytes,
    case_reviewer,
    client_of,
    each_case,
    resources_of,
    reviewer,
)

CASE = "two-documented-failures-propose-treatment"
ASSESS = "/fhir/$assess-treatment-resistance?asOf=2026-11-23"
PATIENT = "/fhir/Patient/propose-two/$assess-treatment-resistance?asOf=2026-11-23"
NOTHING = Pool[Reviewer](1, reviewer())
"""A pool that is never asked: nothing is started."""


def large(*, conditions: int = 300) -> Resource:
    """A record that is read in a worker."""
    more = (a_condition(f"more-{n}", "propose-two", onsetDateTime="2001") for n in range(conditions))
    bundle = a_bundle([*resources_of(case_bundle(CASE)), *more])
    assert len(json.dumps(bundle)) > LARGE
    return bundle


@asynccontextmanager
async def working(*, most_pending: int | None = None) -> AsyncIterator[Reviewer]:
    """A reviewer with one worker process."""
    async with Pool(1, reviewer()) as pool:
        yield replace(reviewer(), workers=Workers(pool, most_pending))


def process_of(_: Reviewer) -> int:
    return os.getpid()


def end_the_process(_: Reviewer) -> None:
    os._exit(9)


def wait_for(_: Reviewer, seconds: float) -> None:
    time.sleep(seconds)


# --- what is answered -----------------------------------------------------------------------------


@each_case
def test_a_review_crosses_between_processes_unchanged(name: str) -> None:
    by = case_reviewer(name)
    here = by.review(read_bundle(case_bytes(name)))
    packed = pack((here.record, here.decision, here.intent), by.knowledge)
    there = replace(
        here, **dict(zip(("record", "decision", "intent"), unpack(packed, by.knowledge), strict=True))
    )

    assert there == here
    assert answer_of(there) == answer_of(here)
    assert there.decision.assessment.knowledge is by.knowledge
    assert len(packed) < LARGE


async def test_a_worker_answers_with_the_same_bytes() -> None:
    """One start of a process serves all of this, as it takes a second."""
    bundle = large()
    async with serving(on_server(bundle), by=reviewer()) as site:
        told = await (await site.post(ASSESS, json=bundle)).read()
        read = await (await site.get(PATIENT)).read()

    async with working() as by, serving(on_server(bundle), queue=(queue := PretendQueue()), by=by) as site:
        assert await (await site.post(ASSESS, json=bundle)).read() == told
        assert await (await site.get(PATIENT)).read() == read
        broken = await site.post(ASSESS, data=b"x" * LARGE)
        assert (await issue_of(broken, 400))["diagnostics"] == "not a JSON object"
        refused = await site.post(PATIENT, json=bundle)
        assert "a record is not taken here" in (await issue_of(refused, 400))["diagnostics"]
        await fhir_of(await site.put("/hooks/fhir", json=bundle))
        assert queue.patients == ["propose-two"]

        assert by.workers is not None
        worker = await by.workers.run(process_of)
        assert worker != os.getpid() == await by.run(LARGE - 1, process_of)
        assert await by.run(LARGE, process_of) == worker


async def test_small_work_starts_no_process() -> None:
    async with working() as by, serving(on_server(case_bundle(CASE)), by=by) as site:
        await fhir_of(await site.post(ASSESS, data=case_bytes(CASE)))
        assert by.workers is not None
        assert by.workers.pool._executor is None


# --- what goes wrong ------------------------------------------------------------------------------


@pytest.mark.matrix
async def test_a_worker_that_dies_is_replaced() -> None:
    """What it was doing is told as lost, with 503 at the door, and the next work is done."""
    async with working() as by, serving(by=by) as site:
        assert by.workers is not None
        first = await by.workers.run(process_of)
        posted = asyncio.create_task(site.post(ASSESS, json=large(conditions=2500)))
        await asyncio.sleep(0.3)
        os.kill(first, signal.SIGKILL)
        answer = await posted
        assert (await issue_of(answer, 503))["code"] == "transient"
        assert answer.headers["Retry-After"] == "5"

        assert await by.workers.run(process_of) != first
        with pytest.raises(WorkerLost):
            await by.workers.run(end_the_process)
        await fhir_of(await site.post(ASSESS, json=large()))


async def test_beyond_the_cap_the_doors_refuse_and_jobs_wait() -> None:
    bundle, pool = large(), NOTHING
    by = replace(reviewer(), workers=Workers(pool, 2))
    async with serving(on_server(bundle), by=by) as site:
        pool.pending = 2
        for answer in (
            await site.post(ASSESS, json=bundle),
            await site.get(PATIENT),
            await site.put("/hooks/fhir", json=bundle),
        ):
            assert (await issue_of(answer, 503))["code"] == "transient"
            assert answer.headers["Retry-After"] == "5"
        await fhir_of(await site.post(ASSESS, data=case_bytes(CASE)))
    with pytest.raises(WorkersBusy):
        await by.review_patient(client_of(on_server(bundle)), "propose-two")
    pool.pending = 0


@pytest.mark.matrix
async def test_work_below_the_cap_is_done_and_work_without_one_waits() -> None:
    async with working(most_pending=2) as by:
        assert by.workers is not None
        doors, jobs = by.workers, Workers(by.workers.pool)
        waiting = [asyncio.create_task(doors.run(wait_for, 0.01)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(WorkersBusy):
            await doors.run(wait_for, 0.01)
        await jobs.run(wait_for, 0.01)
        await asyncio.gather(*waiting)
        with pytest.raises(NotJson):
            await doors.run(_fail)
        assert doors.pool.pending == 0


def _fail(_: Reviewer) -> None:
    raise NotJson("not a JSON object")


# --- the event loop -------------------------------------------------------------------------------


@pytest.mark.matrix
async def test_others_are_answered_while_large_bundles_are_posted() -> None:
    """The limit is 50 ms on a quiet machine (benchmarks/liveness.py); it was 3.4 seconds in the loop."""
    waited = await waits(5)

    assert waited["/health/live"] < 1000, waited
