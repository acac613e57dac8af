"""Read draft orders, which are no part of the record yet: which of them are orders of esketamine."""

from collections.abc import Iterable

import msgspec

from service.core.knowledge import Knowledge
from service.core.records import Medicine, Role
from service.core.treatment.course import ESKETAMINE
from service.fhir.loose import Resource
from service.fhir.sources import Gathered, Source
from service.fhir.views import ReferenceView
from service.read.elements import Elements
from service.read.medicines import MedicineReader


def find_esketamine_orders(
    drafts: Iterable[Source], gathered: Gathered, knowledge: Knowledge
) -> tuple[tuple[Source, str], ...]:
    """The draft prescriptions of esketamine, each with what it calls it.

    A Medication that a draft refers to may be inside it, among the drafts, or in the record. A code that says
    esketamine beside words that say otherwise is taken for it. Raises `UnreadableElement` for a prescription
    whose medicine cannot be read.
    """
    drafts = tuple(drafts)
    known = Gathered((*gathered.sources, *drafts), gathered.patient_id, gathered.base)
    reader = MedicineReader(known, Elements(knowledge), _of_anybody)
    found = []
    for draft in drafts:
        content: Resource = msgspec.json.decode(draft.content)
        if draft.head.resource_type != "MedicationRequest" or content.get("doNotPerform") is True:
            continue
        medicine = reader.identify(content)
        if _is_esketamine(medicine):
            found.append((draft, medicine.label))
    return tuple(found)


def _is_esketamine(medicine: Medicine) -> bool:
    """Whether it is esketamine, or may be; ketamine is another medicine."""
    return medicine.role is Role.ESKETAMINE and medicine.ingredient in {ESKETAMINE, None}


def _of_anybody(_: Source, __: ReferenceView, ___: str) -> bool:
    """Drafts are taken for those of the patient whose chart is open."""
    return True
