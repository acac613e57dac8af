"""A simulated clinic: half a year of one patient's treatment, as people might go about it.

A seed decides who activates a draft and when, which sessions are given and how that is recorded, the scores,
the benefit review, what is found, and what people do with the plans. People keep to the label themselves, so
that whatever breaks it was proposed.
"""

from collections.abc import Iterable
from copy import deepcopy
from dataclasses import replace
from datetime import date, timedelta
from random import Random
from typing import NamedTuple

import holidays

from service.review import Reviewer
from tests.contract_commands import an_aneurysm, refuted
from tests.contract_plans import bipolar, delete, pregnant, tasks_of
from tests.contract_write import TWO_FAILURES, ask, change, found_by, load_case
from tests.in_r5 import as_read, as_sent, load
from tests.support import AS_OF, RXNORM, Resource, settings

DAYS = 26 * 7
INDUCTION = 8
"""Sessions given until the induction is complete."""
_FINDINGS = {"aneurysm": an_aneurysm, "bipolar": bipolar, "pregnancy": pregnant}
_COURSES = {
    "remits": (21, 15, 9, 4, 3),
    "responds": (22, 17, 12, 9, 8),
    "partly": (20, 18, 15, 13, 13),
    "does not": (21, 21, 20, 20, 19),
    "relapses": (20, 12, 4, 12, 17, 5),
    "relapses late": (22, 9, 4, 3, 14, 9, 4),
}
"""Scores of the PHQ-9 of a patient, one for every four weeks; the last stays."""
_LAPSE = 28
"""Days without a session after which people decide anew."""


class Planned(NamedTuple):
    """A session of a plan, with the place of its activity."""

    place: int
    day: date
    status: str


def sessions_of(plan: Resource) -> list[Planned]:
    """The sessions that a plan dates, in order of time."""
    found = [
        Planned(
            place, date.fromisoformat(one["detail"]["scheduledTiming"]["event"][0]), one["detail"]["status"]
        )
        for place, one in enumerate(plan["activity"])
        if "kind" in one["detail"]
    ]
    return sorted(found, key=lambda session: session.day)


def continues(plan: Resource) -> bool:
    return bool(plan.get("basedOn"))


def steps_back(plan: Resource) -> bool:
    """Whether a plan continues one that is to be ended for it."""
    return continues(plan) and bool(plan.get("replaces"))


class Clinic:
    """One patient of a server, and all that people did. `hands` are plans as a person left them."""

    def __init__(self, server: str, seed: int) -> None:
        self.server, self.seed = server, seed
        self.dice = Random(seed)  # noqa: S311 - no secret
        self.patient = load_case(server, TWO_FAILURES)
        self.today = AS_OF
        self.plans: dict[str, Resource] = {}
        self.hands: dict[str, Resource] = {}
        self.given: list[date] = []
        self.scores: dict[date, int] = {}
        self.found: dict[str, Resource] = {}
        self.reviewed = False
        self.diary: list[str] = []
        self._trend = _COURSES[self.dice.choice(sorted(_COURSES))]
        self._late = False
        away = AS_OF + timedelta(days=self.dice.randrange(30, DAYS))
        self._away = {away + timedelta(days=day) for day in range(self.dice.randrange(1, 11))}
        self._holidays = holidays.country_holidays("US", years=range(AS_OF.year, AS_OF.year + 2))
        closed = ",".join(day.isoformat() for day in sorted(self._away))
        self._reviewer = Reviewer.prepare(settings(closed_days=closed), AS_OF)

    @property
    def reviewer(self) -> Reviewer:
        """A reviewer of today; the calendar reaches further than the course."""
        return replace(self._reviewer, as_of=self.today)

    def is_open(self, day: date) -> bool:
        return day.weekday() < 5 and day not in self._away and day not in self._holidays

    # what stands ----------------------------------------------------------------------------------

    @property
    def drafts(self) -> list[Resource]:
        return [plan for plan in self.plans.values() if plan["status"] == "draft"]

    @property
    def chain(self) -> list[Resource]:
        """The plans that people follow, the first one first."""
        followed = [plan for plan in self.plans.values() if plan["status"] in {"active", "on-hold"}]
        return sorted(followed, key=lambda plan: sessions_of(plan)[0].day)

    @property
    def on_hold(self) -> bool:
        return self.chain[-1:] != [] and self.chain[-1]["status"] == "on-hold"

    def still_planned(self, without: Iterable[str] = ()) -> dict[date, tuple[Resource, Planned]]:
        """The sessions still to come of the plans that people follow, each until a later plan begins."""
        open_days: dict[date, tuple[Resource, Planned]] = {}
        until = date.max
        for plan in reversed([one for one in self.chain if one["id"] not in without]):
            sessions = sessions_of(plan)
            for one in sessions:
                taken = one.status != "not-started" or one.day in self.given
                if self.today <= one.day < until and plan["status"] == "active" and not taken:
                    open_days[one.day] = plan, one
            until = min(until, sessions[0].day)
        return open_days

    async def look(self) -> None:
        """See the plans as they stand."""
        found = await found_by(self.server, f"CarePlan?patient={self.patient}")
        self.plans = {plan["id"]: plan for plan in found}

    # what people do -------------------------------------------------------------------------------

    async def live(self, day: date) -> bool:
        """Have a day pass; whether anything happened."""
        self.today = day
        before = len(self.diary)
        await self._look_at_drafts()
        await self._treat()
        await self._look_at_the_plan()
        self._measure()
        self._find()
        return len(self.diary) > before

    def _happens(self, chance: float) -> bool:
        return self.dice.random() < chance

    def _note(self, what: str) -> None:
        self.diary.append(f"{self.today} {what}")

    async def _change(self, plan: Resource, what: str, **elements: object) -> None:
        """A person changes a plan."""
        changed = deepcopy(plan) | elements
        reference = f"CarePlan/{plan['id']}"
        answer = await ask(self.server, reference, method="PUT", body=as_sent(self.server, changed))
        assert answer.is_success, answer.text
        self.plans[plan["id"]] = self.hands[plan["id"]] = as_read(self.server, answer.json())
        self._note(f"{what} {plan['id'][-6:]}")

    async def _look_at_drafts(self) -> None:
        for plan in self.drafts:
            if self._happens(0.3) and not self.found:
                await self._activate(plan)
            elif self._happens(0.05):
                await self._change(plan, "notes on", note=[{"text": f"Agreed on {self.today}."}])
            elif self._happens(0.05):
                await self._move_the_last(plan)
            elif continues(plan) and self._happens(0.02):
                await self._change(plan, "ends", status="revoked")
            elif continues(plan) and self._happens(0.02):
                await delete(self.server, f"CarePlan/{plan['id']}", self.patient)
                self.hands.pop(plan["id"], None)
                self._note(f"deletes {plan['id'][-6:]}")
                await self.look()

    async def _activate(self, plan: Resource) -> None:
        await self._change(plan, "activates", status="active")
        if not continues(plan):
            return
        before = self.plans.get(plan["basedOn"][0]["reference"].partition("/")[2])
        if before is None:
            return
        if steps_back(plan):
            await self._change(before, "replaces", status="revoked")
        elif not [one for one in sessions_of(before) if one.day >= self.today] and self._happens(0.5):
            await self._change(before, "completes", status="completed")

    async def _move_the_last(self, plan: Resource) -> None:
        """The last session takes place on the next open day: further from the one before it."""
        activity = deepcopy(plan["activity"])
        last = sessions_of(plan)[-1]
        day = next(d for n in range(1, 30) if self.is_open(d := last.day + timedelta(days=n)))
        activity[last.place]["detail"]["scheduledTiming"]["event"] = [day.isoformat()]
        await self._change(plan, "moves a session of", activity=activity)

    async def _treat(self) -> None:
        late, self._late = self._late, False
        due = self.still_planned().get(self.today)
        if due is None:
            if self._may_be_added() and (late or (self._has_lapsed() and self._happens(0.1))):
                self._record()
            return
        if self.found or not self.is_open(self.today) or self._happens(0.08):
            self._note("misses a session")
        elif self._happens(0.06):
            self._late = True
        elif self._happens(0.35):
            plan, session = due
            activity = deepcopy(plan["activity"])
            activity[session.place]["detail"]["status"] = "completed"
            self.given.append(self.today)
            await self._change(plan, "ticks a session of", activity=activity)
            if self._happens(0.3):
                self._record()
        else:
            self._record()

    def _has_lapsed(self) -> bool:
        return self.given != [] and (self.today - self.given[-1]).days > _LAPSE

    def _may_be_added(self) -> bool:
        """Whether a session today keeps far enough from the next, and is not the first."""
        least = 2 if len(self.given) < INDUCTION else 6
        near = [day for day in self.still_planned() if (day - self.today).days < least]
        return self.is_open(self.today) and self.given != [] and not near and not self.found

    def _record(self) -> None:
        dose = {"value": 56, "unit": "mg", "system": "http://unitsofmeasure.org", "code": "mg"}
        code = {"coding": [{"system": RXNORM, "code": "2119365", "display": "esketamine"}]}
        administration = {
            "resourceType": "MedicationAdministration",
            "id": f"{self.patient}-{self.today}",
            "status": "completed",
            "medicationCodeableConcept": code,
            "effectiveDateTime": self.today.isoformat(),
            "dosage": {"dose": dose},
        }
        self._load("gives a session", administration)
        if self.today not in self.given:
            self.given.append(self.today)

    def _load(self, what: str, resource: Resource) -> None:
        load(self.server, [{"subject": {"reference": f"Patient/{self.patient}"}, **resource}])
        self._note(what)

    async def _look_at_the_plan(self) -> None:
        if not self.chain:
            return
        plan = self.chain[-1]
        if self.on_hold and self._happens(0.12):
            await self._change(plan, "resumes", status="active")
        elif not self.on_hold and self._happens(0.006):
            await self._change(plan, "holds", status="on-hold")
        elif len(self.given) >= INDUCTION and not self.reviewed and self._happens(0.12):
            await self._review_the_benefit()

    async def _review_the_benefit(self) -> None:
        """By its activity in the first plan; some end the Task that asks for it as well."""
        plan = self.chain[0]
        activity = deepcopy(plan["activity"])
        for one in activity:
            if one["detail"]["code"]["text"] == "Benefit review":
                one["detail"]["status"] = "completed"
                self.reviewed = True
        if not self.reviewed:
            return
        await self._change(plan, "ticks the benefit review of", activity=activity)
        for task in await tasks_of(self.server, self.patient):
            asked = task["code"]["coding"][0]["code"] == "benefit-review" and task["status"] == "requested"
            if asked and self._happens(0.5):
                await change(self.server, f"Task/{task['id']}", status="completed")

    def _measure(self) -> None:
        if not self._happens(0.08 if self.given else 0.2):
            return
        since = self.given[0] if self.given else self.today
        month = min((self.today - since).days // 28, len(self._trend) - 1)
        score = max(0, self._trend[month] + self.dice.choice((-1, 0, 0, 1)))
        self.scores[self.today] = score
        observation = {
            "resourceType": "Observation",
            "id": f"{self.patient}-phq-9-{self.today}",
            "status": "final",
            "code": {"coding": [{"system": "http://loinc.org", "code": "44261-6"}]},
            "effectiveDateTime": self.today.isoformat(),
            "valueInteger": score,
        }
        self._load(f"PHQ-9 {score}", observation)

    def _find(self) -> None:
        """Something is found once the treatment began, and turns out to be an error some weeks later."""
        if self.found and self._happens(0.07):
            for name, finding in self.found.items():
                self._load(f"no {name} after all", refuted(finding))
            self.found = {}
        elif not self.found and len(self.given) > 1 and self._happens(0.005):
            name = self.dice.choice(sorted(_FINDINGS))
            day = {"onsetDateTime": self.today.isoformat(), "recordedDate": self.today.isoformat()}
            self.found[name] = _FINDINGS[name](self.patient) | day
            self._load(f"finds {name}", self.found[name])
