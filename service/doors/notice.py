"""What the doors for notifications share: what a notification asks for, and how it is stored and answered.

What is told is a hint: whose record to review is taken from it, and the record is read again.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from aiohttp import web

from service import clock
from service.cause import Cause
from service.doors.exchange import fhir_response
from service.doors.outcome import to_bundle_response, to_information_outcome
from service.doors.ports import METRICS, Queue, Task
from service.doors.storing import store
from service.fhir.kinds import NOTICED_KINDS, WRITTEN_KINDS
from service.fhir.sources import UNDECODABLE, Source, find_owner, read_notified
from service.gather.changes import sweep_from
from service.telemetry.metrics import HookEvent


@dataclass(slots=True)
class Notice:
    """What a notification asks for: references only, each once, in the order they came."""

    patients: dict[str, None] = field(default_factory=dict)
    deleted: dict[str, None] = field(default_factory=dict)
    to_read: dict[str, None] = field(default_factory=dict)
    gaps: dict[str, None] = field(default_factory=dict)
    sweep: bool = False
    kinds: Counter[HookEvent] = field(default_factory=Counter)
    interaction: str | None = None
    entries: int = 0

    @property
    def tasks(self) -> list[tuple[Task, str]]:
        """What is to be found out before a patient is known, but for the sweep."""
        return [
            *(("deleted", reference) for reference in self.deleted),
            *(("changed", reference) for reference in self.to_read),
            *(("gap", gap) for gap in self.gaps),
        ]

    def to_answer(self) -> dict[str, Any]:
        """What the sender is told once all of it is stored."""
        useful = self.patients or self.tasks or self.sweep
        text = "stored for review" if useful else "nothing in it to review"
        if self.interaction is None:
            return to_information_outcome(text)
        return to_bundle_response(self.interaction, self.entries, text)

    def changed(self, patient_id: str) -> None:
        """A patient's record changed."""
        self.patients[patient_id] = None
        self.kinds[HookEvent.CHANGED] += 1

    def something_changed(self) -> None:
        """Something changed; what it was has to be searched for."""
        self.sweep = True
        self.kinds[HookEvent.SWEEP] += 1

    def named_one(self, kind: str, identity: str) -> None:
        """A resource changed of which only the name is known; whose it is has to be read."""
        if kind == "Patient":
            self.changed(identity)
        elif kind in NOTICED_KINDS:
            self.to_read[f"{kind}/{identity}"] = None
            self.kinds[HookEvent.NAMED] += 1
        else:
            self.not_used(kind)

    def deleted_one(self, kind: str, identity: str) -> None:
        """A resource was deleted; whose it was is in its history."""
        if kind in NOTICED_KINDS:
            self.deleted[f"{kind}/{identity}"] = None
            self.kinds[HookEvent.DELETED] += 1
        else:
            self.not_used(kind)

    def missed(self, gap: str) -> None:
        """Events did not come; they have to be asked for."""
        self.gaps[gap] = None
        self.kinds[HookEvent.GAP] += 1

    def not_used(self, kind: str) -> None:
        """A resource that says nothing about a patient's record."""
        self.kinds[HookEvent.OWN_WRITE if kind in WRITTEN_KINDS else HookEvent.NOT_USED] += 1

    def take_changed(self, source: Source) -> None:
        """Take a changed resource: whose record it belongs to, and no more."""
        kind = source.head.resource_type
        if kind not in NOTICED_KINDS:
            self.not_used(kind or "")
            return
        try:
            owner = read_notified(source)
        except UNDECODABLE:
            self.kinds[HookEvent.UNREADABLE] += 1
            return
        if owner.is_ours:
            self.kinds[HookEvent.OWN_WRITE] += 1
            return
        patient_id = find_owner(source, owner)
        if patient_id is not None:
            self.changed(patient_id)
        else:
            self.kinds[HookEvent.NO_PATIENT] += 1


def now() -> datetime:
    """The time, as the queue keeps it."""
    return datetime.fromisoformat(clock.now_iso())


async def answer_once_stored(request: web.Request, notice: Notice, storing: Awaitable[None]) -> web.Response:
    """Store what a notification asks for, then answer; 503 where it cannot be stored in time."""
    await store(request, storing)
    for kind, times in notice.kinds.items():
        request.app[METRICS].count_hook_event(kind, times)
    return fhir_response(notice.to_answer())


async def enqueue(queue: Queue, notice: Notice, cause: Cause, since: datetime) -> None:
    """Hand over to the queue what a notification asks for; a sweep is from a little before an instant."""
    tasks = notice.tasks
    if notice.sweep:
        tasks.append(("sweep", sweep_from(since)))
    if notice.patients:
        await queue.accept(tuple(notice.patients), cause)
    # Side by side: the queue stores what it is given at one time in one commit.
    await asyncio.gather(*(queue.accept_task(name, reference) for name, reference in tasks))
