"""Read draft orders, which are no part of the record yet: which of them are orders of esketamine."""

from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from service.core.knowledge import Knowledge
from service.core.records import Identified, Medicine, Role
from service.core.treatment.course import ESKETAMINE
from service.fhir.loose import Resource
from service.fhir.sources import Gathered, Source
from service.fhir.views import ReferenceView
from service.read.elements import Elements
from service.read.medicines import MedicineReader


class Draft(NamedTuple):
    """A draft prescription and its medicine."""

    source: Source
    medicine: Medicine

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

    Raises `UnreadableElement` for a prescription whose medicine is malformed.
    """
    drafts = tuple(drafts)
    reader = MedicineReader(Gathered((*others, *drafts)), Elements(knowledge), _of_anybody)
    found = ((draft, _content(draft)) for draft in drafts if draft.head.resource_type == "MedicationRequest")
    return tuple(
        Draft(draft, reader.identify(content))
        for draft, content in found
        if content.get("doNotPerform") is not True
    )


def _content(draft: Source) -> Resource:
    content: Resource = msgspec.json.decode(draft.content)
    return content


def _of_anybody(_: Source, __: ReferenceView, ___: str) -> bool:
    """Drafts are taken for those of the patient whose chart is open."""
    return True
