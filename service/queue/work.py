"""What the queue's jobs do: review a patient, or find out which patients to review."""

import time
from dataclasses import dataclass, field, replace
from datetime import datetime
from http import HTTPStatus
from typing import Final

from service import clock
from service.apply.followed import find_followed
from service.cause import Cause
from service.errors import InputError, NoSuchPatient, ServerRefused
from service.fhir.client import FhirClient
from service.fhir.notifications import read_gap
from service.gather.changes import (
    find_deleted_since,
    find_patients_changed_since,
    find_patients_of_changed,
    find_patients_of_deleted,
    sweep_from,
)
from service.gather.identified import find_identified_patients
from service.gather.missed import find_condition, find_missed_events
from service.gather.roster import EntryFault, fault_of, read_roster
from service.queue.jobs import Handler, Jobs
from service.queue.sweeps import Sweep
from service.review import Reviewer
from service.telemetry.logs import Event, log_info, log_warning
from service.telemetry.metrics import HookEvent, Metrics

ROSTER: Final = "roster"
ALL_MEMBERS: Final = "all"
"""The task in the queue by which the roster is reviewed, and its one reference."""


@dataclass(slots=True)
class Work:
    """What the queue's jobs do: review a patient, or find out which patients to review."""

    reviewer: Reviewer
    client: FhirClient
    metrics: Metrics
    queue: Jobs | None = None
    _sweep: Sweep | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        """The periodic sweep remembers what it has logged."""
        every = self.reviewer.settings.sweep_interval
        if every is not None:
            self._sweep = Sweep(
                client=self.client, knowledge=self.reviewer.knowledge, metrics=self.metrics, every=every
            )

    @property
    def tasks(self) -> dict[str, Handler]:
        """What is done for each kind of job that does not name a patient."""
        return {
            "sweep": self.sweep,
            "deleted": self.find_deleted,
            "changed": self.find_changed,
            "deletions": self.find_deletions,
            "gap": self.close_gap,
            "identified": self.find_identified,
            "merged": self.find_merged,
        }

    async def review(self, patient_id: str, cause: str) -> None:
        """Review a patient as of today and write the outcome back. A deleted patient needs no review."""
        started = time.monotonic()
        today = clock.today(self.reviewer.settings.timezone)
        try:
            proposal = await self.reviewer.on(today).propose(
                self.client, patient_id, cause=Cause.named(cause)
            )
        except ServerRefused as refused:
            if refused.status == HTTPStatus.GONE:
                return
            if refused.status == HTTPStatus.NOT_FOUND:
                await self.client.refresh_capability()  # raises where no FHIR server answers at all
                raise InputError(str(refused)) from None
            raise
        answer = proposal.answer
        seconds = time.monotonic() - started
        self.metrics.count_decision(answer.decision.value, answer.reason.value, seconds)
        self.metrics.count_outcome(proposal.held, answer.care_plan.tier)
        log_info(
            Event.REVIEWED,
            decision=answer.decision.value,
            reason=answer.reason.value,
            care_plan=answer.care_plan.action.value,
            seconds=round(seconds, 3),
            **proposal.log_fields,
        )

    async def sweep(self, since: str, _: str) -> None:
        """Have every patient reviewed whose record changed since an instant."""
        instant = datetime.fromisoformat(since)
        await self._accept(
            await find_patients_changed_since(self.client, instant, self.reviewer.knowledge), Cause.SWEEP
        )

    async def sweep_changes(self, _reference: str, _: str) -> None:
        """Have every patient reviewed whose record changed since the last such sweep."""
        if self._sweep is not None and self.queue is not None:
            await self._sweep.run(self.queue)

    async def find_deleted(self, reference: str, _: str) -> None:
        """Have the patient reviewed whom a deleted resource was about."""
        await self._accept(await find_patients_of_deleted(self.client, reference), Cause.DELETED)

    async def find_changed(self, reference: str, _: str) -> None:
        """Have the patient reviewed whom a resource is about that was named as changed."""
        await self._accept(await find_patients_of_changed(self.client, reference), Cause.TOPIC)

    async def find_deletions(self, since: str, _: str) -> None:
        """Have the patients reviewed whom the resources were about that were deleted since an instant."""
        for reference in sorted(await find_deleted_since(self.client, since)):
            await self._ask("deleted", reference)

    async def close_gap(self, text: str, _: str) -> None:
        """Take in events of a Subscription that did not come: by asking for them, else by a sweep."""
        gap = read_gap(text)
        events = await find_missed_events(self.client, gap)
        if events is None:
            await self.search_since(gap.since)
        for reference in events or ():
            await self._ask("changed", reference)

    async def search_since(self, instant: str) -> None:
        """Search for all that changed or was deleted since an instant."""
        await self._ask("sweep", instant)
        await self._ask("deletions", instant)

    async def find_identified(self, reference: str, _: str) -> None:
        """Have the patient reviewed whom identifiers name. Raises `NoSuchPatient` where none has them."""
        patient_ids = await find_identified_patients(self.client, reference)
        if not patient_ids:
            raise NoSuchPatient("no patient of the FHIR server has the identifier that a message named")
        await self._accept(patient_ids, Cause.HL7V2)

    async def find_merged(self, reference: str, _: str) -> None:
        """The same for one whose record was merged into another: it may be gone."""
        await self._accept(await find_identified_patients(self.client, reference), Cause.HL7V2)

    async def review_daily(self, _day: str, _: str) -> None:
        """Have every patient reviewed whom time alone may concern, and the roster; look after Subscriptions.

        Once a day is enough.
        """
        if self.queue is not None and self.reviewer.settings.roster is not None:
            await self.queue.accept_task(ROSTER, ALL_MEMBERS, Cause.ROSTER)
        today = clock.today(self.reviewer.settings.timezone)
        settings, knowledge = self.reviewer.settings, self.reviewer.knowledge
        followed = await find_followed(self.client, settings, knowledge, today)
        await self._accept(set(followed), Cause.DAILY)
        await self.look_after_subscriptions()

    async def look_after_subscriptions(self) -> None:
        """Search for what silent or faulty Subscriptions may not have told, and say which are faulty."""
        if self.queue is None:
            return
        for key, heard in (await self.queue.all_heard()).items():
            found = await find_condition(self.client, heard, clock.now())
            if found.failed:
                log_warning(Event.SUBSCRIPTION_FAILED, reason=found.status)
                self.metrics.count_hook_event(HookEvent.SUBSCRIPTION_FAILED)
            if found.may_have_missed:
                await self.search_since(sweep_from(datetime.fromisoformat(heard.at)))
                await self.queue.keep_heard(key, replace(heard, at=clock.now_iso()))
            if found.gone:
                await self.queue.forget_heard(key)

    async def _ask(self, task: str, reference: str) -> None:
        if self.queue is not None:
            await self.queue.accept_task(task, reference)

    async def review_roster(self, _reference: str, _: str) -> None:
        """Have every patient of the roster reviewed, part by part; each part is stored before the next.

        Raises `RosterFaulty` in the end, where an entry cannot be used: the job is then listed as failed
        until a later one finds no fault.
        """
        roster, today = self.reviewer.settings.roster, clock.today(self.reviewer.settings.timezone)
        faults: list[EntryFault] = []
        if roster is None:
            return
        async for found in read_roster(self.client, roster, today):
            await self._accept(set(found.patients), Cause.ROSTER)
            faults += found.faults
            for fault in found.faults:
                log_warning(Event.ROSTER_FAULT, member=fault.place, reason=fault.why)
            log_info(Event.ROSTER_READ, read=found.read, of=found.of)
            self.metrics.set_roster(looked_up=found.read, waiting=found.of - found.read, faulty=len(faults))
        if faults:
            raise fault_of(faults)

    async def _accept(self, patient_ids: set[str], cause: Cause) -> None:
        if self.queue is not None and patient_ids:
            await self.queue.accept(sorted(patient_ids), cause)
