"""Ask a person to look at a patient whose record is too large to be read: one Task, without an assessment.

An assessment on record is marked as out of date: so its readers know, and the next review that can read the
record writes it anew and closes the Task.
"""

from service.apply.send import Write, store
from service.apply.tasks import find_tasks, read_task, render_step
from service.cause import Cause
from service.core.tasks import reconcile_tasks, too_large_to_read
from service.fhir.client import FhirClient
from service.fhir.loose import Resource, part
from service.render.guidance import is_outdated, render_outdated
from service.render.provenance import render_unread


async def ask_to_look(  # noqa: PLR0913 - what is known of the patient, and what brought it about
    client: FhirClient,
    patient_id: str,
    assessment: Resource | None,
    *,
    owner: str | None,
    cause: Cause,
    recorded: str,
) -> None:
    """Write the Task, unless a person was asked already, and mark the assessment on record.

    Raises `ServerRefused` as `write_back` does.
    """
    writes = await _tasks(client, patient_id, owner, recorded)
    if assessment is not None and not is_outdated(assessment):
        outdated = render_outdated(assessment)
        # Others may have added what our models refuse: then the Task is written without the mark.
        if await client.accepts(outdated):
            writes.append(Write.over(part(assessment.get("meta")).get("versionId"), outdated))
    if writes:
        await store(
            client, writes, lambda targets: render_unread(targets, cause, recorded), recorded=recorded
        )


async def _tasks(client: FhirClient, patient_id: str, owner: str | None, recorded: str) -> list[Write]:
    if "Task" not in (await client.target()).takes:
        return []
    wanted = too_large_to_read()
    tasks = await find_tasks(client, patient_id)
    known = [task for task in map(read_task, tasks) if task.reason == wanted.reason]
    return [
        Write.new(render_step(step, patient_id, tasks, owner=owner, now=recorded))
        for step in reconcile_tasks([wanted], known)
    ]
