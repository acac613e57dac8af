"""Tasks for a person, rendered and read back: https://hl7.org/fhir/R4/task.html.

A Task is a request to look at something, never an order: `intent=proposal`, `status=requested`.
"""

from collections.abc import Iterable
from dataclasses import replace
from itertools import count
from typing import Any

import msgspec

from service.apply.standing import outputs_of
from service.apply.stored import as_signed
from service.core.records import VersionedReference
from service.core.tasks import TaskAction, TaskOfRecord, TaskReason, TaskStep, WantedTask
from service.errors import ServerMisread
from service.fhir.client import FhirClient
from service.fhir.loose import Resource, part, parts, text
from service.fhir.names import (
    DEVICE_ID,
    EDIT_DIGEST,
    GROUNDS,
    TASK_IDENTIFIER,
    TASK_REASONS,
    derived_id,
    edit_digest,
    extension_value,
    identifiers_of,
    is_edited,
)
from service.fhir.sources import UNDECODABLE, Gathered, read_subject, reports_error, take_resource
from service.read.tasks import is_our_task, reason_of_task
from service.render.guidance import TASK

_PAGE_SIZE = "100"
_OPEN = frozenset({"draft", "requested", "received", "accepted", "ready", "in-progress", "on-hold"})
_TITLES = {
    TaskReason.SAFETY: "Review the safety of esketamine for this patient",
    TaskReason.DRAFT_REVOKED: "A draft esketamine plan was revoked",
    TaskReason.DRAFT_STALE: "A draft esketamine plan needs a decision",
    TaskReason.SEVERAL_PLANS: "Several esketamine plans are open",
    TaskReason.TREATMENT_SAFETY: "Review a new finding in a patient under treatment with esketamine",
    TaskReason.BENEFIT_REVIEW: "Evaluate the benefit of treatment with esketamine",
    TaskReason.LAPSE: "Treatment with esketamine has lapsed: decide how to go on",
    TaskReason.RECORD_TOO_LARGE: "A record is too large to be assessed for esketamine",
}
_URGENT = frozenset({TaskReason.SAFETY, TaskReason.TREATMENT_SAFETY})
_OBJECT = msgspec.json.Decoder(dict[str, Any])


async def find_tasks(client: FhirClient, patient_id: str | None = None) -> list[Resource]:
    """Our Tasks on the server, of one patient or of all, open or ended, as R4 JSON."""
    if "Task" not in (await client.target()).takes:
        return []
    params = {"identifier": f"{TASK_IDENTIFIER}|", "_count": _PAGE_SIZE}
    if patient_id is not None:
        params["patient"] = patient_id
    found: list[Resource] = []
    for page in await client.all_pages("Task", params):
        tasks = (task for entry in page.entry if (task := _ours(entry.resource)))
        found += [await as_signed(client, task) for task in tasks if _is_about(task, patient_id)]
    return found


async def with_our_tasks(client: FhirClient, gathered: Gathered) -> Gathered:
    """A record with our Tasks about its patient: a person may have answered what was asked."""
    tasks = await find_tasks(client, gathered.patient_id)
    sources = (take_resource(msgspec.json.encode(task), f"{client.base}/Task/{task['id']}") for task in tasks)
    return replace(gathered, sources=(*gathered.sources, *sources))


def _ours(content: msgspec.Raw) -> Resource | None:
    """A Task of ours; an error of the server among them means that there may be more."""
    try:
        task = _OBJECT.decode(content)
    except UNDECODABLE:
        return None
    if task.get("resourceType") == "OperationOutcome" and reports_error(content):
        raise ServerMisread("GET Task: the answer contains an error of the server, so Tasks may be missing")
    is_ours = task.get("resourceType") == "Task" and isinstance(task.get("id"), str)
    return task if is_ours and is_our_task(task) else None


def _is_about(task: Resource, patient_id: str | None) -> bool:
    """Whether a Task is about a patient: a server may ignore the search parameter."""
    return patient_id is None or read_subject(task).id_of("Patient") == patient_id


def read_task(task: Resource) -> TaskOfRecord:
    """One of our Tasks as the core sees it."""
    return TaskOfRecord(
        evidence=VersionedReference("Task", task["id"], part(task.get("meta")).get("versionId")),
        reason=reason_of_task(task),
        grounds=extension_value(task, GROUNDS) or "",
        is_open=task.get("status") in _OPEN,
        edited=is_edited(task),
    )


def asked_in(guidance: Resource | None) -> frozenset[tuple[str, str]]:
    """The reasons, each with its grounds, that an assessment on record has raised."""
    asked = set()
    for parameter in outputs_of(guidance, TASK):
        said = {text(one.get("name")): one for one in map(part, parts(parameter.get("part")))}
        reason, grounds = part(said.get("reason")), part(said.get("grounds"))
        asked.add((text(reason.get("valueCode")), text(grounds.get("valueString"))))
    return frozenset(asked)


def render_step(
    step: TaskStep, patient_id: str, on_record: Iterable[Resource], *, owner: str | None, now: str
) -> Resource:
    """The Task as a step leaves it. `owner` is whom it is for, `now` the instant of writing."""
    tasks = {task["id"]: task for task in on_record}
    match step:
        case TaskStep(TaskAction.CREATE, WantedTask() as wanted):
            taken = {name for task in tasks.values() for name in identifiers_of(task, TASK_IDENTIFIER)}
            numbers = (derived_id("Task", patient_id, wanted.reason.value, str(n)) for n in count())
            identity = next(name for name in numbers if name not in taken)
            return _signed(_new_task(wanted, patient_id, identity, owner, now), wanted.grounds)
        case TaskStep(TaskAction.UPDATE, WantedTask() as wanted, TaskOfRecord() as known):
            task = {**tasks[known.evidence.id], **_said(wanted), "lastModified": now}
            return _signed(task, wanted.grounds)
        case TaskStep(task=TaskOfRecord() as known):
            why = {"text": "The reason no longer applies. The service that created this Task closed it."}
            closed = {"status": "cancelled", "statusReason": why, "lastModified": now}
            return _signed({**tasks[known.evidence.id], **closed}, known.grounds)
        case _:  # pragma: no cover - no such step is made
            raise AssertionError(step)


def _new_task(wanted: WantedTask, patient_id: str, identity: str, owner: str | None, now: str) -> Resource:
    task: Resource = {
        "resourceType": "Task",
        "id": identity,
        "identifier": [{"system": TASK_IDENTIFIER, "value": identity}],
        "status": "requested",
        "intent": "proposal",
        "priority": "urgent" if wanted.reason in _URGENT else "routine",
        "code": {
            "coding": [{"system": TASK_REASONS, "code": wanted.reason.value}],
            "text": _TITLES[wanted.reason],
        },
        "for": {"reference": f"Patient/{patient_id}"},
        "authoredOn": now,
        "lastModified": now,
        "requester": {"reference": f"Device/{DEVICE_ID}"},
        **_said(wanted),
    }
    return task if owner is None else {**task, "owner": {"reference": owner}}


def _said(wanted: WantedTask) -> Resource:
    said: Resource = {"description": wanted.text}
    return said if wanted.plan is None else {**said, "focus": {"reference": f"CarePlan/{wanted.plan.id}"}}


def _signed(task: Resource, grounds: str) -> Resource:
    """The Task with its grounds and a digest of what a person could change; extensions of others stay."""
    signatures = {GROUNDS: grounds, EDIT_DIGEST: edit_digest(task)}
    others = [one for one in parts(task.get("extension")) if part(one).get("url") not in signatures]
    ours = [{"url": url, "valueString": value} for url, value in signatures.items()]
    return {**task, "extension": [*others, *ours]}
