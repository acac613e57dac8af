"""The command `jobs`: list the jobs of the queue, put failed ones back or drop them. It makes no queue."""

import json
from collections.abc import Iterable
from dataclasses import asdict

from service.errors import InputError
from service.queue.jobs import Job, Jobs, State
from service.render.terminal import Rows, Terminal


async def list_jobs(database_url: str | None, state: State | None, reason: str | None = None) -> list[Job]:
    """The jobs in a state, the newest first; for `None` those that are not done.

    With a reason, only those that failed for one that has this text.
    """
    if not Jobs.is_there(database_url):
        return []
    states = tuple(set(State) - {State.DONE}) if state is None else (state,)
    async with Jobs(database_url) as queue:
        listed = await queue.jobs(*states)
    return [job for job in listed if reason is None or job.failed_with(reason)]


async def retry_job(database_url: str | None, job_id: str) -> None:
    """Put a failed job back, with all its tries. Raises `InputError` when no failed job has this id."""
    async with _queue_with(database_url, job_id) as queue:
        await queue.retry(job_id)


async def retry_jobs(database_url: str | None, reason: str | None = None) -> int:
    """Put all failed jobs back, or those that failed for a reason that has this text; returns how many."""
    if not Jobs.is_there(database_url):
        return 0
    async with Jobs(database_url) as queue:
        return await queue.retry_all(reason or "")


async def drop_job(database_url: str | None, job_id: str) -> None:
    """Forget a failed job. Raises `InputError` when no failed job has this id."""
    async with _queue_with(database_url, job_id) as queue:
        await queue.drop(job_id)


async def drop_jobs(database_url: str | None, reason: str) -> int:
    """Forget the jobs that failed for a reason that has this text; returns how many."""
    if not Jobs.is_there(database_url):
        return 0
    async with Jobs(database_url) as queue:
        return await queue.drop_all(reason)


def _queue_with(database_url: str | None, job_id: str) -> Jobs:
    """The queue in which a job is; raises `InputError` where there is none."""
    if not Jobs.is_there(database_url):
        raise InputError(f"{job_id}: no failed job has this id")
    return Jobs(database_url)


def job_as_json(job: Job) -> str:
    """A job as one JSON object; its times are written as ISO 8601 has them."""
    times = {"created": job.created.isoformat(), "finished": job.finished and job.finished.isoformat()}
    return json.dumps(asdict(job) | times | {"reference": job.shown})


# --- for a terminal -------------------------------------------------------------------------------


def print_jobs(console: Terminal, jobs: Iterable[Job]) -> None:
    """Print jobs, a row each."""
    rows = Rows("id", "job", "state", "tries", "since", "reason")
    for job in jobs:
        rows.add(
            job.id,
            f"{job.kind} {job.shown}",
            job.state.value,
            str(job.attempts),
            f"{job.created:%Y-%m-%d %H:%M:%S}",
            job.reason or "",
        )
    console.print(rows)
