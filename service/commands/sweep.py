"""The command `sweep`: the daily review by hand."""

from collections.abc import AsyncIterator, Iterable
from datetime import date, datetime, time
from zoneinfo import ZoneInfo

from service.apply.followed import find_followed
from service.apply.held import check_task_owner
from service.cause import Cause
from service.commands.compare import PrintedPart
from service.commands.propose import say_done
from service.core.decision import DecisionName, ReasonOfDecision
from service.core.plans import PlanAction
from service.errors import RosterFaulty, TrdError
from service.fhir.client import FhirClient
from service.gather.changes import find_patients_changed_since
from service.gather.roster import read_roster
from service.review import Reviewer


class Swept(PrintedPart):
    """A patient who was reviewed and what was done, or why the review failed."""

    patient: str
    decision: DecisionName | None = None
    reason: ReasonOfDecision | None = None
    care_plan: PlanAction | None = None
    why: str | None = None
    written: tuple[str, ...] = ()
    error: str | None = None

    def __str__(self) -> str:
        """One line for a terminal."""
        if self.care_plan is None:
            return f"{self.patient}: failed: {self.error}"
        done = say_done(self.care_plan, self.why or "", self.written)
        return f"{self.patient}: {self.decision} ({self.reason}). {done}"


async def find_patients_since(reviewer: Reviewer, client: FhirClient, day: date) -> list[str]:
    """The patients whose records changed since a day at the site. Raises as `find_patients_changed_since`."""
    begins = datetime.combine(day, time(), ZoneInfo(reviewer.settings.timezone))
    return sorted(await find_patients_changed_since(client, begins, reviewer.knowledge))


async def find_patients_of_daily(reviewer: Reviewer, client: FhirClient) -> tuple[list[str], list[str]]:
    """Those whom the daily review is of, with those of the roster; and what cannot be used of the roster."""
    found = set(await find_followed(client, reviewer.settings, reviewer.knowledge, reviewer.as_of))
    faults: list[str] = []
    if reviewer.settings.roster is not None:
        try:
            async for listed in read_roster(client, reviewer.settings.roster, reviewer.as_of):
                found |= listed.patients
                faults += map(str, listed.faults)
        except RosterFaulty as error:
            faults.append(str(error))
    return sorted(found), faults


async def sweep(reviewer: Reviewer, client: FhirClient, patient_ids: Iterable[str]) -> AsyncIterator[Swept]:
    """Review patients one by one and write the outcomes, as `propose` does. A failure does not stop the rest.

    Raises `SettingsError` where the server has no resource to address Tasks to.
    """
    await check_task_owner(client, reviewer.settings)
    for patient_id in patient_ids:
        yield await _review(reviewer, client, patient_id)


async def _review(reviewer: Reviewer, client: FhirClient, patient_id: str) -> Swept:
    patient = f"Patient/{patient_id}"
    try:
        proposal = await reviewer.propose(client, patient_id, cause=Cause.COMMAND)
    except TrdError as error:
        return Swept(patient=patient, error=str(error))
    answer = proposal.answer
    return Swept(
        patient=patient,
        decision=answer.decision,
        reason=answer.reason,
        care_plan=answer.care_plan.action,
        why=answer.care_plan.why,
        written=tuple(map(str, proposal.written)),
    )
