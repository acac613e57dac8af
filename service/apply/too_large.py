"""Ask a person to look at a patient whose record is too large to be read: one Task, without an assessment."""

from service.apply.send import Write, store
from service.apply.tasks import find_tasks, read_task, render_step
from service.cause import Cause
from service.core.tasks import reconcile_tasks, too_large_to_read
from service.fhir.client import FhirClient
from service.render.provenance import render_unread


async def ask_to_look(
    client: FhirClient, patient_id: str, *, owner: str | None, cause: Cause, recorded: str
) -> None:
    """Write the Task, unless a person was asked already. Raises `ServerRefused` as `write_back` does."""
    wanted = too_large_to_read()
    tasks = await find_tasks(client, patient_id)
    known = [task for task in map(read_task, tasks) if task.reason == wanted.reason]
    writes = [
        Write.new(render_step(step, patient_id, tasks, owner=owner, now=recorded))
        for step in reconcile_tasks([wanted], known)
    ]
    if writes and "Task" in (await client.target()).takes:
        await store(
            client, writes, lambda targets: render_unread(targets, cause, recorded), recorded=recorded
        )
