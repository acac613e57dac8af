"""Read draft orders, which are no part of the record yet: which of them are orders of esketamine."""

from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from service.core.knowledge import Knowledge
from service.core.records import Identified, Medicine, Role
from service.core.treatment.course import ESKETAMINE
from service.fhir.loose import Resource, part, text
from service.fhir.references import read_reference
from service.fhir.sources import Gathered, Source
from service.fhir.views import ReferenceView
from service.read.elements import Elements
from service.read.medicines import MedicineReader

_NOT_GIVEN = frozenset({"cancelled", "entered-in-error", "stopped"})
"""Statuses (http://hl7.org/fhir/CodeSystem/medicationrequest-status) of what is signed so that it ends."""


class Draft(NamedTuple):
    """A draft prescription and its medicine; `patient_id` is `None` where it does not name a Patient."""

    source: Source
    medicine: Medicine
    patient_id: str | None

    @property
    def is_unresolved(self) -> bool:
        """Whether it says nothing of its medicine, such as where that is elsewhere."""
        return self.medicine.identified is Identified.UNRESOLVED

    @property
    def is_of_esketamine(self) -> bool:
        """Whether it is of esketamine, or may be, as where code and words differ; ketamine is another."""
        return self.medicine.role is Role.ESKETAMINE and self.medicine.ingredient in {ESKETAMINE, None}


def read_drafts(
    drafts: Iterable[Source], others: Iterable[Source], knowledge: Knowledge
) -> tuple[Draft, ...]:
    """The draft prescriptions, each with its medicine, which may be among the drafts or among the others.

    What is not to be given, or is to end, is left out.

    Raises `UnreadableElement` for a prescription whose medicine is malformed.
    """
    drafts = tuple(drafts)
    reader = MedicineReader(Gathered((*others, *drafts)), Elements(knowledge), _of_anybody)
    found = ((draft, _content(draft)) for draft in drafts if draft.head.resource_type == "MedicationRequest")
    return tuple(
        Draft(draft, reader.identify(content), _patient_of(content))
        for draft, content in found
        if content.get("doNotPerform") is not True and text(content.get("status")) not in _NOT_GIVEN
    )


def _content(draft: Source) -> Resource:
    content: Resource = msgspec.json.decode(draft.content)
    return content


def _patient_of(content: Resource) -> str | None:
    subject = read_reference(text(part(content.get("subject")).get("reference")))
    return subject.id if subject.kind == "Patient" else None


def _of_anybody(_: Source, __: ReferenceView, ___: str) -> bool:
    """A Medication belongs to no patient."""
    return True
