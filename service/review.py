"""Gather, decide, apply: the one way from a patient to a decision and back, whichever door asks."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date
from typing import TypeVar
from zoneinfo import ZoneInfo

import msgspec

from service import clock
from service.apply.documents import Filing, find_document, open_filing
from service.apply.held import Held, find_hold
from service.apply.intent import Conclusion, Intent, intend
from service.apply.merged import find_former_documents, superfluous, take_over
from service.apply.proposals import DocumentIntent, intend_document, write_document
from service.apply.send import CONFLICTS
from service.apply.standing import find_assessment, find_unlisted_plan, plans_named_in
from service.apply.stored import with_signed_plans
from service.apply.tasks import with_our_tasks
from service.apply.too_large import ask_to_look
from service.apply.turns import turn_of
from service.apply.write_back import write_back
from service.cause import Cause
from service.clinic import clinic_calendar
from service.core.decision import Decision, decide, treatment_of
from service.core.documents import DocumentOfRecord
from service.core.knowledge import Knowledge
from service.core.plans import PlanAction
from service.core.proposed import dates_proposed_on, with_dates
from service.core.records import Record, VersionedReference
from service.core.schedule import Calendar
from service.core.settling import with_settling_facts
from service.errors import RecordTooLarge, ServerMisread, ServerRefused
from service.fhir.client import FhirClient
from service.fhir.loose import Resource
from service.fhir.sources import Gathered
from service.gather.everything import gather
from service.knowledge.configured import load_lists
from service.read.label import read_label
from service.read.record import read_record
from service.render.answer import AssessmentAnswer, CarePlanOut, to_answer
from service.render.provenance import Occasion
from service.settings import Settings
from service.workers import LARGE, Workers, pack, unpack

Done = TypeVar("Done")

_TRIES = 5


@dataclass(frozen=True, slots=True)
class Review:
    """One patient reviewed, stage by stage: gathered, read, decided, and what it means for the care plan."""

    gathered: Gathered
    record: Record
    decision: Decision
    intent: Intent

    @property
    def conclusion(self) -> Conclusion:
        """The decision and what it means for the care plan, without an assessment on record."""
        return Conclusion(self.decision, self.intent, None, self.record.plans)

    @property
    def plan_before(self) -> Resource | None:
        """The plan of record that the decision concerns, as the server gave it."""
        known = self.intent.before
        source = next((s for s in self.gathered.sources if known and s.reference == known.evidence), None)
        content: Resource | None = msgspec.json.decode(source.content) if source else None
        return content

    @property
    def answer(self) -> AssessmentAnswer:
        """The answer of the contract; its care plan part states what would be written."""
        known = self.intent.before
        reference = f"CarePlan/{known.evidence.id}" if known else None
        out = CarePlanOut(action=self.intent.action, reference=reference, why=self.intent.why)
        return to_answer(self.decision, out, self.intent.tasks)


@dataclass(frozen=True, slots=True)
class Proposal:
    """A review and what was done with it; `answer.care_plan` states what was written or would be written.

    `written` are the versions of every resource written, empty when nothing changed. `held` is why nothing
    could be written.
    """

    review: Review
    answer: AssessmentAnswer
    written: tuple[VersionedReference, ...]
    held: Held | None = None

    @property
    def log_fields(self) -> dict[str, object]:
        """The fields of its log line."""
        said = {"tier": self.answer.care_plan.tier, "held": self.held}
        return {"written": len(self.written), **{name: one.value for name, one in said.items() if one}}


@dataclass(frozen=True, slots=True)
class Reviewer:
    """What every review needs beside the patient. `as_of` is the day the answer speaks of.

    With `workers`, large records are read and decided in other processes.
    """

    settings: Settings
    knowledge: Knowledge
    calendar: Calendar
    as_of: date
    workers: Workers["Reviewer"] | None = None

    @classmethod
    def prepare(cls, settings: Settings, as_of: date) -> "Reviewer":
        """Load the knowledge; raises `SetupError` when it is faulty."""
        return cls(settings, load_lists(settings), clinic_calendar(settings, as_of), as_of)

    def on(self, as_of: date) -> "Reviewer":
        """The same reviewer on another day."""
        if as_of == self.as_of:
            return self
        return replace(self, as_of=as_of, calendar=clinic_calendar(self.settings, as_of))

    def under(self, criteria_id: str) -> "Reviewer":
        """The same reviewer under another criteria set, whose id must be known."""
        knowledge = self.knowledge.under(criteria_id)
        return self if knowledge is self.knowledge else replace(self, knowledge=knowledge)

    def review(self, gathered: Gathered) -> Review:
        """Read a gathered record, decide, and work out what that means for the care plan."""
        record = read_record(gathered, self.knowledge, ZoneInfo(self.settings.timezone))
        decided = decide(record, self.knowledge, self.calendar, self.as_of)
        decision = with_settling_facts(decided, record, self.calendar)
        return Review(gathered, record, decision, intend(decision, record.plans, gathered))

    async def run(self, size: int, work: Callable[..., Done], *args: object) -> Done:
        """Call `work(reviewer, *args)`: in a worker process where so many bytes take long.

        The reviewer of a worker is of any day, and under the criteria set of the settings. Raises what the
        work raises, and `WorkerError`.
        """
        if self.workers is None or size < LARGE:
            return work(self, *args)
        return await self.workers.run(work, *args)

    async def review_beside(self, gathered: Gathered) -> Review:
        """Review as `review` does; a large record in a worker process."""
        if self.workers is None or (size := gathered.size) < LARGE:
            return self.review(gathered)
        packed = await self.run(size, _review_packed, gathered, self.as_of, self.knowledge.criteria.id)
        return Review(gathered, *await asyncio.to_thread(unpack, packed, self.knowledge))

    async def review_patient(self, client: FhirClient, patient_id: str) -> Review:
        """Gather a patient's record from the FHIR server and review it. Reads only."""
        return await self.review_of(client, await gather(client, patient_id, self.knowledge), patient_id)

    async def review_of(self, client: FhirClient, gathered: Gathered, patient_id: str) -> Review:
        """Review a record of this server, together with what else of ours stands there. Reads only."""
        review = await self._reviewed(client, gathered)
        if review.intent.new_plan_id is None or (await client.target()).tier.is_below_care_plan:
            return review
        return await self._with_unlisted_plans(client, review, await find_assessment(client, patient_id))

    async def _reviewed(self, client: FhirClient, gathered: Gathered) -> Review:
        """The review of what is gathered; under treatment, together with our Tasks."""
        gathered = await with_signed_plans(client, gathered)
        review = await self.review_beside(gathered)
        if treatment_of(review.decision) is None:
            return review
        return await self.review_beside(await with_our_tasks(client, gathered))

    async def _with_unlisted_plans(
        self, client: FhirClient, review: Review, assessment: Resource | None
    ) -> Review:
        """The review on the record together with plans that are known by their id alone."""
        for _ in range(_TRIES):
            new_plan_id = review.intent.new_plan_id
            if new_plan_id is None:
                return review
            plan_ids = {new_plan_id: None, **plans_named_in(assessment)}
            found = await find_unlisted_plan(client, plan_ids, review.gathered)
            if found is None:
                return review
            review = await self.review_beside(await with_signed_plans(client, found))
        raise ServerMisread("GET CarePlan: plans that no search lists were found by id again and again")

    async def propose(self, client: FhirClient, patient_id: str, *, cause: Cause = Cause.OTHER) -> Proposal:
        """Review a patient and write the outcome back, unless something holds it back.

        `cause` is recorded with what is written and never decides whether anything is written.
        Safe to repeat: a second run on an unchanged record writes nothing. A lost race is decided again on
        what is then on record. Raises `InputError` where the record cannot be assessed and `ServerError`
        where the server failed; both may be tried again later.
        """
        # Not every server refuses the second of two who create one id; within this process there is none.
        async with turn_of(client, patient_id):
            done = await self._propose(client, patient_id, cause)
            created = done.review.intent.action is PlanAction.CREATE and done.written
            target = await client.target()
            if not created or target.loses_no_race or target.tier.is_below_care_plan:
                return done
            # Somebody else may have created one of another identity: then one of the two is revoked.
            again = await self._propose(client, patient_id, cause)
            return replace(again, written=(*done.written, *again.written)) if again.written else done

    async def _propose(self, client: FhirClient, patient_id: str, cause: Cause) -> Proposal:
        for attempt in range(1, _TRIES + 1):
            held = await find_hold(client, self.settings, patient_id)
            if held is not None:
                review = await self.review_patient(client, patient_id)
                return Proposal(review, await _held_back(client, review, held), (), held)
            below = (await client.target()).tier.is_below_care_plan
            try:
                return await (self._review_and_file if below else self._review_and_write)(
                    client, patient_id, cause
                )
            except ServerRefused as refused:
                if refused.status not in CONFLICTS or attempt == _TRIES:
                    client.doubt_capability()
                    raise
        raise AssertionError  # pragma: no cover - the last try returns or raises

    async def _review_and_write(self, client: FhirClient, patient_id: str, cause: Cause) -> Proposal:
        """One try. The assessment on record is read first: who writes another after that is noticed."""
        assessment = await find_assessment(client, patient_id)
        owner = self.settings.task_owner
        try:
            reviewed = await self._reviewed(client, await gather(client, patient_id, self.knowledge))
        except RecordTooLarge:
            now = clock.now_iso()
            await ask_to_look(client, patient_id, assessment, owner=owner, cause=cause, recorded=now)
            raise
        review = await self._with_unlisted_plans(client, reviewed, assessment)
        occasion = Occasion(clock.now_iso(), cause, review.record, self.calendar, owner)
        conclusion = Conclusion(review.decision, review.intent, assessment, review.record.plans)
        written = await write_back(client, conclusion, occasion)
        return Proposal(review, await _after_writing(client, review, written), written)

    async def _review_and_file(self, client: FhirClient, patient_id: str, cause: Cause) -> Proposal:
        """One try where the server takes no CarePlan: the proposal is written as a document."""
        async with open_filing(client, self.settings) as filing:
            review, intended = await self.review_for_document(filing, patient_id)
            occasion = Occasion(clock.now_iso(), cause, review.record, self.calendar)
            label = read_label(review.gathered.content_of(review.record.person.evidence))
            written = await write_document(filing, intended, review.conclusion, occasion, label)
        reference = intended.reference(written[0] if written and intended.step.writes else None)
        step = {"action": intended.step.action, "why": intended.step.why}
        answer = await _with_care_plan(client, review.answer, reference=reference, **step)
        return Proposal(review, answer, written)

    async def review_for_document(self, filing: Filing, patient_id: str) -> tuple[Review, DocumentIntent]:
        """A review on the dates of the document that stands, and what becomes of that.

        Writes nothing to the server.
        """
        known = await find_document(filing, patient_id)
        review = await self.review_patient(filing.client, patient_id)
        former_ids = review.gathered.former_ids
        if known is None and await take_over(filing, patient_id, former_ids):
            return await self.review_for_document(filing, patient_id)
        formers = await find_former_documents(filing, former_ids)
        # One that may not be changed stands for the patient as well: nothing takes its place.
        known = known or next(iter(formers.values()), None)
        kept = await asyncio.to_thread(self._on_dates_of, known, review)
        counted_from = known.proposed_on if known and kept is not review else self.as_of
        intended = intend_document(kept.conclusion, known, proposed_on=counted_from)
        return kept, replace(intended, superfluous=superfluous(formers))

    def _on_dates_of(self, known: DocumentOfRecord | None, review: Review) -> Review:
        """The review on the dates that an untouched document proposes, where they still lie ahead."""
        if known is None or not known.proposes or known.proposed_on is None:
            return review
        calendar = clinic_calendar(self.settings, known.proposed_on)
        dates = dates_proposed_on(review.decision, calendar, known.proposed_on)
        if not dates:
            return review
        record = with_dates(review.record, review.decision, dates)
        decided = decide(record, self.knowledge, self.calendar, self.as_of)
        decision = with_settling_facts(decided, record, self.calendar)
        plans = review.record.plans
        return replace(review, decision=decision, intent=intend(decision, plans, review.gathered))


def _review_packed(reviewer: Reviewer, gathered: Gathered, as_of: date, criteria_id: str) -> bytes:
    """A review without what it was made of, as it crosses from a worker process."""
    reviewer = reviewer.on(as_of).under(criteria_id)
    review = reviewer.review(gathered)
    return pack((review.record, review.decision, review.intent), reviewer.knowledge)


async def _held_back(client: FhirClient, review: Review, held: Held) -> AssessmentAnswer:
    """The answer, with the statement that its outcome was not written."""
    answer = review.answer
    why = f"{answer.care_plan.why} (not written: {held.why})"
    return await _with_care_plan(client, answer, why=why)


async def _after_writing(
    client: FhirClient, review: Review, written: tuple[VersionedReference, ...]
) -> AssessmentAnswer:
    """The answer, with the reference of the plan that now stands: under the id that the server gave it."""
    plan_id = review.intent.plan_id
    if review.intent.plan is not None:
        plan_id = next((reference.id for reference in written if reference.type == "CarePlan"), plan_id)
    return await _with_care_plan(client, review.answer, reference=f"CarePlan/{plan_id}" if plan_id else None)


async def _with_care_plan(client: FhirClient, answer: AssessmentAnswer, **update: object) -> AssessmentAnswer:
    update["tier"] = (await client.target()).tier
    return answer.model_copy(update={"care_plan": answer.care_plan.model_copy(update=update)})
