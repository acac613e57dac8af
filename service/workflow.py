"""Gather, decide: the one way from a patient to a decision, whichever door asks."""

from dataclasses import dataclass
from datetime import date

from service.clinic import clinic_calendar
from service.core.decision import Decision, decide
from service.core.knowledge import Knowledge
from service.core.records import Record
from service.core.schedule import Calendar
from service.fhir.client import FhirClient
from service.fhir.gather import gather
from service.fhir.read import read_record
from service.fhir.sources import Gathered
from service.knowledge import load_knowledge, mappings_directory
from service.settings import Settings


@dataclass(frozen=True, slots=True)
class Review:
    """One patient reviewed, stage by stage: what was gathered, what was read, what was decided."""

    gathered: Gathered
    record: Record
    decision: Decision


@dataclass(frozen=True, slots=True)
class Reviewer:
    """What every review needs beside the patient. `as_of` is the day the answer speaks of."""

    knowledge: Knowledge
    calendar: Calendar
    as_of: date

    @classmethod
    def prepare(cls, settings: Settings, as_of: date) -> "Reviewer":
        """Load the knowledge; raises `SetupError` when it is faulty."""
        directory = settings.mappings or mappings_directory()
        knowledge = load_knowledge(directory, criteria=settings.criteria, region=settings.region)
        return cls(knowledge, clinic_calendar(settings, as_of), as_of)

    def review(self, gathered: Gathered) -> Review:
        """Read a gathered record and decide."""
        record = read_record(gathered, self.knowledge)
        decision = decide(record, self.knowledge, self.calendar, self.as_of)
        return Review(gathered, record, decision)

    async def review_patient(self, client: FhirClient, patient_id: str) -> Review:
        """Gather a patient's record from the FHIR server and review it. Reads only."""
        return self.review(await gather(client, patient_id))
