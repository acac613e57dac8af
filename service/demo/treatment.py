"""The patient under treatment of the demo: people treat her for some weeks, and every week is reviewed."""

from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from service.core.decision import DecisionName
from service.core.tasks import TaskReason
from service.core.treatment.course import SessionState
from service.core.words import name_decision
from service.fhir.client import FhirClient
from service.fhir.loose import Resource
from service.read.agenda import Agenda, read_agenda
from service.render.answer import AssessmentAnswer
from service.render.progress import describe_treatment, say_weekday

_BENEFIT_REVIEW = name_decision(TaskReason.BENEFIT_REVIEW)


@dataclass(frozen=True, slots=True)
class TreatmentStory:
    """What people do in `weeks` weeks until today, and what must come of it.

    Session number `missed` does not take place. `scores` are of the PHQ-9, by the number of the week, and
    `dose_mg` is what is given at every session. In the end the scores show a `response`, and people activated
    at least a number of `plans`, one after the other. `similar` is a case to look at without a server.
    """

    case: str
    patient: str
    weeks: int
    missed: int
    dose_mg: int
    scores: Mapping[str, int]
    response: str
    plans: int
    similar: str


@dataclass(frozen=True, slots=True)
class PassedWeek:
    """A week of the story: its last day, what people did in it, and what a review on that day said.

    `before` is the answer a week earlier, and `draft` is the plan that is on record as a draft.
    """

    day: date
    done: tuple[str, ...]
    answer: AssessmentAnswer
    before: AssessmentAnswer | None
    draft: Agenda | None


@dataclass(slots=True)
class TreatedPatient:
    """A patient whom people treat as a story tells it, week by week, through the FHIR server."""

    client: FhirClient
    patient_id: str
    story: TreatmentStory
    today: date
    weeks: list[PassedWeek] = field(default_factory=list)
    plans: list[str] = field(default_factory=list)
    _planned: dict[date, int | None] = field(default_factory=dict)

    @property
    def day(self) -> date:
        """The last day of the week that people live in; the first review is on that of week 0."""
        return self.today - timedelta(weeks=self.story.weeks - len(self.weeks))

    async def live(self) -> tuple[str, ...]:
        """Have people do what they do in a week; returns that in words."""
        done = [await self._activate(), *[said async for said in self._treat()]]
        done += [await self._review_the_benefit(), await self._measure()]
        return tuple(filter(None, done))

    async def pass_week(self, done: tuple[str, ...], answer: AssessmentAnswer) -> None:
        """Let a week end with the answer of its last day."""
        reference = answer.care_plan.reference
        draft = None
        if answer.decision is DecisionName.PROPOSE and reference is not None and reference not in self.plans:
            draft = read_agenda(await self._plan(reference))
        before = self.weeks[-1].answer if self.weeks else None
        self.weeks.append(PassedWeek(self.day, done, answer, before, draft))

    async def _activate(self) -> str:
        draft = self.weeks[-1].draft if self.weeks else None
        if draft is None:
            return ""
        await self.client.put(await self._plan(draft.plan) | {"status": "active"})
        self.plans.append(draft.plan)
        self._planned |= {e.day: e.activity.number for e in draft.entries if e.activity.session}
        return "a clinician activates the draft"

    async def _treat(self) -> AsyncIterator[str]:
        """Give the sessions that are planned for the week, but for the one that is missed."""
        for day, number in sorted(self._planned.items()):
            if day > self.day:
                break
            del self._planned[day]
            if number == self.story.missed:
                yield f"session {number}: did not come"
            else:
                await self._give(day)
                yield f"session {number}: given {day:%a}"

    async def _give(self, day: date) -> None:
        await self._record(
            "MedicationAdministration",
            f"session-{day}",
            status="completed",
            medicationCodeableConcept=_coded("http://www.nlm.nih.gov/research/umls/rxnorm", "2119365"),
            effectiveDateTime=day.isoformat(),
            dosage={"dose": {"value": self.story.dose_mg, "unit": "mg"} | _MG},
        )

    async def _review_the_benefit(self) -> str:
        """Complete the activity of the first plan, once the service has asked for it."""
        if not self.weeks or TaskReason.BENEFIT_REVIEW not in _asked(self.weeks[-1].answer):
            return ""
        plan = await self._plan(self.plans[0])
        for activity in plan["activity"]:
            if activity["detail"]["code"]["text"] == _BENEFIT_REVIEW:
                activity["detail"]["status"] = "completed"
        await self.client.put(plan)
        return "the benefit is reviewed"

    async def _measure(self) -> str:
        score = self.story.scores.get(str(len(self.weeks)))
        if score is None:
            return ""
        await self._record(
            "Observation",
            f"phq-9-{self.day}",
            status="final",
            code=_coded("http://loinc.org", "44261-6"),
            effectiveDateTime=self.day.isoformat(),
            valueInteger=score,
        )
        return f"PHQ-9: {score}"

    async def _record(self, kind: str, name: str, **elements: Any) -> None:
        subject = {"reference": f"Patient/{self.patient_id}"}
        identity = f"{self.patient_id}-{name}"
        await self.client.put({"resourceType": kind, "id": identity, "subject": subject, **elements})

    async def _plan(self, reference: str) -> Resource:
        plan = await self.client.find(reference)
        assert plan is not None  # noqa: S101 - it was just written
        return plan


_MG = {"system": "http://unitsofmeasure.org", "code": "mg"}


def _coded(system: str, code: str) -> Resource:
    return {"coding": [{"system": system, "code": code}]}


def _asked(answer: AssessmentAnswer | None) -> set[TaskReason]:
    return {task.reason for task in answer.tasks} if answer else set()


def tell_answer(week: PassedWeek) -> Iterator[str]:
    """What the service said at the end of a week, and what it asked for or drafted since the week before."""
    answer, told = week.answer, dict(describe_treatment(week.answer))
    if answer.treatment is not None:
        yield answer.treatment.next.text
    if any(said.startswith("PHQ-9") for said in week.done) and "Response" in told:
        yield told["Response"]
    if _missed(answer) > _missed(week.before):
        yield f"Missed: {told['Missed']}"
    if TaskReason.BENEFIT_REVIEW in _asked(answer) - _asked(week.before):
        yield "Task: the benefit review is asked for."
    if week.draft is not None:
        days = week.draft.session_days
        until = (
            f"s, {say_weekday(days[0])} to {say_weekday(days[-1])}"
            if days[1:]
            else f", {say_weekday(days[0])}"
        )
        yield f"Draft: {len(days)} session{until}"


def _missed(answer: AssessmentAnswer | None) -> int:
    sessions = answer.treatment.sessions if answer and answer.treatment else []
    return sum(session.state is SessionState.MISSED for session in sessions)


def find_faults(patient: TreatedPatient) -> list[str]:
    """What of the course is not as the story says, whatever the weekdays and holidays of its weeks."""
    story, answer = patient.story, patient.weeks[-1].answer
    treatment = answer.treatment
    found = {
        "sessions missed": _missed(answer),
        "response": treatment.response.finding.value if treatment else None,
        "draft on record": patient.weeks[-1].draft is not None,
    }
    proposed = answer.decision is DecisionName.PROPOSE
    expected = {"sessions missed": 1, "response": story.response, "draft on record": proposed}
    faults = [
        f"{name} {found[name]}, expected {expected[name]}" for name in found if found[name] != expected[name]
    ]
    if len(patient.plans) < story.plans:
        faults.append(f"{len(patient.plans)} plans activated, expected {story.plans}")
    return [f"{patient.patient_id}: {fault}" for fault in faults]
