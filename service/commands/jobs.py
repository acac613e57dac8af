"""The command `jobs`: list the jobs of the queue, and put a failed one back."""

from collections.abc import Iterable

from rich.table import Table

from service.queue.jobs import Job, Jobs, State
from service.render.terminal import Terminal


async def list_jobs(database_url: str | None, state: State | None) -> list[Job]:
    """The jobs in a state, the newest first; for `None` those that are not done."""
    async with Jobs(database_url) as queue:
        if state is not None:
            return await queue.jobs(state)
        return [job for job in await queue.jobs() if job.state is not State.DONE]


async def retry_job(database_url: str | None, job_id: str) -> None:
    """Put a failed job back, with all its tries. Raises `InputError` when no failed job has this id."""
    async with Jobs(database_url) as queue:
        await queue.retry(job_id)


# --- for a terminal -------------------------------------------------------------------------------


def print_jobs(console: Terminal, jobs: Iterable[Job]) -> None:
    """Print jobs as a table."""
    table = Table(box=None)
    for heading in ("id", "job", "state", "tries", "since", "reason"):
        table.add_column(heading, overflow="fold")
    for job in jobs:
        table.add_row(
            job.id,
            f"{job.kind} {job.reference}",
            job.state.value,
            str(job.attempts),
            f"{job.created:%Y-%m-%d %H:%M:%S}",
            job.reason or "",
        )
    console.print(table)
