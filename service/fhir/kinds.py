"""What this service does with each kind of resource: one row a kind, from which every list of kinds follows.

A further kind to read is one row, a reader in `service.read.record`, and the lists in `mappings/` that it is
read by; its spelling in R5 is in `service.fhir.r5`.
"""

from dataclasses import dataclass
from typing import Literal

from service.core.records import MEDICINE_RECORDS

PatientElement = Literal["subject", "patient", "for"]
ListedAs = Literal["plan", "assessment", "task", "document"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of resource, and what is done with it.

    `patient` is the element that names its patient; a kind without one is a Patient, or nobody's. `by_code`
    says that only those with a code of the lists are asked for; `bears_by_code` that only those with such a
    code say anything here, and others are no evidence. `tells_of_others` says that it only reports how much
    there is of other kinds, so that without it nothing is unscreened. The changes of a `watched` kind can
    change a decision: they are subscribed to and swept for; of one `watched_by_medicine` only those that name
    the medicine of the treatment by its code. One that `stands_in` is written in place of a CarePlan, where a
    server takes none. A new resource of a `claimed` kind is never stored over one that is there. `listed_as`
    is its name in `trd-careplan written`. A kind that is `outside_everything_in_r5` may be about several
    subjects there, and HAPI's `$everything` leaves it out.
    `differs_in_r5` says that R5 spells elements that are read or written here in another way.
    """

    name: str
    patient: PatientElement | None = None
    read: bool = False
    by_code: bool = False
    bears_by_code: bool = False
    tells_of_others: bool = False
    outside_everything_in_r5: bool = False
    watched: bool = False
    watched_by_medicine: bool = False
    written: bool = False
    stands_in: bool = False
    claimed: bool = False
    listed_as: ListedAs | None = None
    published: bool = False
    differs_in_r5: bool = False

    @property
    def searched(self) -> bool:
        """Whether it is searched for by its patient, where there is no `$everything`."""
        return self.read and self.patient is not None

    @property
    def names_medicine(self) -> bool:
        """Whether a record of this kind may leave its medicine to a Medication."""
        return self.searched and self.name in MEDICINE_RECORDS


KINDS = (
    Kind(name="Patient", read=True, watched=True),
    Kind(name="Condition", patient="subject", read=True, watched=True),
    Kind(name="MedicationStatement", patient="subject", read=True, watched=True, differs_in_r5=True),
    Kind(name="MedicationRequest", patient="subject", read=True, watched=True, differs_in_r5=True),
    Kind(name="MedicationDispense", patient="subject", read=True, watched=True, differs_in_r5=True),
    # A ward gives medicines all day; the next other change of the record takes the others in.
    Kind(
        name="MedicationAdministration",
        patient="subject",
        read=True,
        watched=True,
        watched_by_medicine=True,
        differs_in_r5=True,
    ),
    Kind(name="Medication", read=True, differs_in_r5=True),
    Kind(name="AllergyIntolerance", patient="patient", read=True, watched=True),
    Kind(name="Observation", patient="subject", read=True, by_code=True, bears_by_code=True, watched=True),
    Kind(
        name="Procedure", patient="subject", read=True, bears_by_code=True, watched=True, differs_in_r5=True
    ),
    Kind(name="QuestionnaireResponse", patient="subject", read=True, bears_by_code=True, watched=True),
    Kind(name="Flag", patient="subject", read=True, watched=True),
    Kind(
        name="List",
        patient="subject",
        read=True,
        bears_by_code=True,
        tells_of_others=True,
        outside_everything_in_r5=True,
        differs_in_r5=True,
    ),
    # What is written comes in an order in which none refers to a later one. It is not watched: news of it
    # would make this service answer itself.
    Kind(name="Device", written=True, differs_in_r5=True),
    Kind(
        name="CarePlan",
        patient="subject",
        read=True,
        written=True,
        claimed=True,
        listed_as="plan",
        differs_in_r5=True,
    ),
    Kind(name="Task", patient="for", written=True, claimed=True, listed_as="task", differs_in_r5=True),
    Kind(
        name="GuidanceResponse",
        patient="subject",
        written=True,
        claimed=True,
        listed_as="assessment",
        differs_in_r5=True,
    ),
    Kind(name="Provenance", written=True, differs_in_r5=True),
    # What stands in place of a CarePlan, where a server takes none.
    Kind(name="DocumentReference", patient="subject", stands_in=True, listed_as="document"),
    Kind(name="Communication", patient="subject", stands_in=True, listed_as="document"),
    # Definitions come in an order in which none names a later one.
    Kind(name="CodeSystem", published=True),
    Kind(name="ValueSet", published=True),
    Kind(name="ConceptMap", published=True),
    Kind(name="OperationDefinition", published=True),
    Kind(name="ActivityDefinition", published=True),
    Kind(name="PlanDefinition", published=True),
)

READ_KINDS = tuple(kind.name for kind in KINDS if kind.read)
"""Kinds that are read; every other kind is left alone."""
EVERYTHING_KINDS = tuple(kind.name for kind in KINDS if kind.read and not kind.by_code)
"""Kinds asked for by `$everything`, which cannot choose by codes."""
SEARCHED_KINDS = tuple(kind.name for kind in KINDS if kind.searched)
SCREENED_KINDS = tuple(kind.name for kind in KINDS if kind.searched and not kind.tells_of_others)
"""Kinds without which something is not screened."""
OUTSIDE_EVERYTHING_IN_R5 = tuple(kind.name for kind in KINDS if kind.outside_everything_in_r5)
SEARCHED_BY_CODE = tuple(kind.name for kind in KINDS if kind.searched and kind.by_code)
NAME_A_MEDICINE = frozenset(kind.name for kind in KINDS if kind.names_medicine)
BEAR_BY_CODE = frozenset(kind.name for kind in KINDS if kind.bears_by_code)
WATCHED_KINDS = tuple(kind.name for kind in KINDS if kind.watched)
WATCHED_BY_MEDICINE = frozenset(kind.name for kind in KINDS if kind.watched_by_medicine)
NOTICED_KINDS = frozenset(kind.name for kind in KINDS if kind.read and not kind.written)
"""Kinds whose notifications are taken up; watched or not, a server may send them."""
WRITTEN_KINDS = tuple(kind.name for kind in KINDS if kind.written)
STAND_IN_KINDS = tuple(kind.name for kind in KINDS if kind.stands_in)
"""Kinds that are written in place of a CarePlan."""
CLAIMED_KINDS = frozenset(kind.name for kind in KINDS if kind.claimed)
PUBLISHED_KINDS = tuple(kind.name for kind in KINDS if kind.published)
LISTED_AS = {kind.name: kind.listed_as for kind in KINDS if kind.listed_as}
DIFFER_IN_R5 = frozenset(kind.name for kind in KINDS if kind.differs_in_r5)
PATIENT_ELEMENTS = {kind.name: kind.patient for kind in KINDS if kind.patient}
