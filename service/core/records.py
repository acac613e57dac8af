"""What a patient's record says, in clinical terms and with its evidence.

These types are what reading produces and what deciding takes. They know no FHIR spelling.
"""

from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import NamedTuple

from service.core.dates import Interval, PartialDate


class VersionedReference(NamedTuple):
    """The exact version of a resource that a conclusion rests on."""

    type: str
    id: str
    version: str | None = None

    @property
    def name(self) -> str:
        """The resource as a relative FHIR reference, whatever its version."""
        return f"{self.type}/{self.id}"

    def __str__(self) -> str:
        """Write it as a relative FHIR reference, with the version where it is known."""
        return f"{self.name}/_history/{self.version}" if self.version else self.name


class Coding(NamedTuple):
    """A code in a code system; `system` is the id used in `mappings/codes/systems.csv`."""

    system: str | None
    code: str | None
    display: str | None


@dataclass(frozen=True, slots=True)
class Concept:
    """What a record calls something: its codings and its free text."""

    codings: tuple[Coding, ...] = ()
    text: str | None = None

    @property
    def label(self) -> str:
        """The words a person would recognise it by; empty where there are none."""
        named = (coding.display for coding in self.codings if coding.display)
        coded = (coding.code for coding in self.codings if coding.code)
        return self.text or next(named, None) or next(coded, "")

    @property
    def phrases(self) -> tuple[str, ...]:
        """Every piece of text that describes it."""
        displays = tuple(coding.display for coding in self.codings if coding.display)
        return (*displays, self.text) if self.text else displays


class Identified(StrEnum):
    """How sure it is which medicine a record names.

    `OTHER` is a medicine that the lists know, or whose code system they know; `UNLISTED` is one in words
    alone, or in an unknown code system, that no list knows.
    """

    CODED = "coded"
    TEXT_ONLY = "text-only"
    CONFLICT = "code-display-conflict"
    LOOKS_LIKE_ANTIDEPRESSANT = "looks-like-antidepressant"
    UNRESOLVED = "unresolved"
    UNLISTED = "unlisted"
    OTHER = "other"


class Role(StrEnum):
    """What part a medicine plays in this assessment."""

    ANTIDEPRESSANT = "antidepressant"
    AUGMENTING = "augmenting"
    ESKETAMINE = "esketamine"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Medicine:
    """Which medicine a record names, as far as `mappings/` can tell.

    `ingredient` is the name used in `mappings/`, `None` for a medicine that is not in them.
    `strength_mg` is the amount in one `unit` of the coded product and `unit_days` the days one unit
    lasts. `not_a_trial` says why it can never be an antidepressant trial.
    """

    label: str
    identified: Identified
    role: Role
    ingredient: str | None = None
    strength_mg: float | None = None
    unit: str | None = None
    unit_days: int = 1
    not_a_trial: str | None = None
    lowest_mg: float | None = None
    """The lowest strength that code, ingredients or words state; 0 where one is not understood."""
    interacts: tuple[str, ...] = ()
    """Ids of the safety groups that its code places it in."""
    interacts_in_words: tuple[str, ...] = ()
    """Ids of those that only its words suggest."""


class Strength(NamedTuple):
    """The mg of an ingredient in one item or mL of a product; `unit` is `None` where it is not understood."""

    milligrams: float
    unit: str | None


class ActiveIngredient(NamedTuple):
    """An ingredient that a record names of a product."""

    concept: Concept
    strength: Strength | None = None


class Product(NamedTuple):
    """What a record says of the medicine that it is about.

    `doubtful` names the element that leaves open whether it is that medicine at all.
    """

    concept: Concept = Concept()
    ingredients: tuple[ActiveIngredient, ...] = ()
    doubtful: str | None = None


class DoseBasis(StrEnum):
    """Whether a record says how much was taken."""

    DOCUMENTED = "documented"
    NOT_DOCUMENTED = "not-documented"
    UNREADABLE = "unreadable"


class Dose(NamedTuple):
    """A daily dose in mg, as the range the record allows; both `None` unless documented."""

    basis: DoseBasis
    low_mg: float | None = None
    high_mg: float | None = None


class ExposureStatus(StrEnum):
    """Whether the record says that the medicine is being taken."""

    ACTIVE = "active"
    ENDED = "ended"
    ON_HOLD = "on-hold"
    INTENDED = "intended"
    UNKNOWN = "unknown"


class StopReason(StrEnum):
    """Why a medicine was stopped; `UNCLEAR` is a recorded reason that no table knows."""

    INEFFECTIVE = "ineffective"
    INTOLERANCE = "intolerance"
    REMISSION = "remission"
    OTHER = "other"
    UNCLEAR = "unclear"


class Indication(StrEnum):
    """What a medicine was given for; `UNCLEAR` is a recorded reason that cannot be told."""

    DEPRESSION = "depression"
    OTHER = "other"
    UNCLEAR = "unclear"
    NOT_STATED = "not-stated"

    @property
    def may_be_another(self) -> bool:
        """Whether a reason is recorded that is, or may be, another than depression."""
        return self in {Indication.OTHER, Indication.UNCLEAR}


class Adherence(StrEnum):
    """Whether a medicine was taken as its record has it; `OTHERWISE` is in some other way."""

    AS_DIRECTED = "as-directed"
    OTHERWISE = "otherwise"
    NOT_TAKEN = "not-taken"
    UNKNOWN = "unknown"


class Certainty(StrEnum):
    """What a mark beside the code of a diagnosis says of it; `PAST` is a state after it."""

    CONFIRMED = "confirmed"
    SUSPECTED = "suspected"
    EXCLUDED = "excluded"
    PAST = "past"


class Grade(StrEnum):
    """What a record of a medicine rests on; the best evidence that it was taken comes first."""

    ADMINISTERED = "administered"
    DISPENSED = "dispensed"
    STATED = "stated"
    PRESCRIBED = "prescribed"


GRADES = tuple(Grade)
"""The grades, the best first."""


@dataclass(frozen=True, slots=True)
class Exposure:
    """One record of a medicine, as it came; ends are settled in `core.exposures`.

    `names` are the records that it says it is about, such as the prescription it was dispensed on.
    `bounds` are the days that its dosage is limited to, inside a longer period; no other days are certain.
    Of a prescription, `refills` says whether it may be filled more than once; `supply_end` is when its supply
    ends if it is used up, where the prescription ended on an unknown day before that.
    """

    medicine: Medicine
    period: Interval
    status: ExposureStatus
    dose: Dose
    evidence: tuple[VersionedReference, ...]
    asserted: PartialDate | None = None
    indication: Indication = Indication.NOT_STATED
    stop_reasons: frozenset[StopReason] = frozenset()
    grade: Grade = Grade.STATED
    names: frozenset[tuple[str, str]] = frozenset()
    bounds: Interval | None = None
    refills: bool = False
    supply_end: PartialDate | None = None


class ClinicalStatus(StrEnum):
    """Whether a condition is present; relapse and recurrence are `ACTIVE`.

    `UNKNOWN` is a record that says that it is not known, `NOT_STATED` one that says nothing.
    """

    ACTIVE = "active"
    REMISSION = "remission"
    ENDED = "ended"
    UNKNOWN = "unknown"
    NOT_STATED = "not-stated"


class Verification(StrEnum):
    """How sure the record is; `UNPROVEN` is unconfirmed, provisional or differential."""

    CONFIRMED = "confirmed"
    UNPROVEN = "unproven"
    NOT_STATED = "not-stated"


class DepressionState(StrEnum):
    """What a coded depression says of its present state."""

    MDD = "mdd"
    PARTIAL_REMISSION = "partial-remission"
    REMISSION = "remission"
    UNSPECIFIED = "unspecified"


class Severity(StrEnum):
    """Severity of a depressive episode."""

    MILD = "mild"
    MODERATE = "moderate"
    SEVERE = "severe"


class Depression(NamedTuple):
    """What a code list says of a depression."""

    state: DepressionState
    severity: Severity | None
    psychotic: bool


class SuicidalityKind(StrEnum):
    """What a suicidality code stands for; only ideation and behaviour can be current."""

    IDEATION = "ideation"
    BEHAVIOUR = "behaviour"
    PASSIVE = "passive"
    UNDETERMINED = "undetermined-intent"
    HISTORY = "history"
    IN_WORDS = "in-words-only"
    NON_SUICIDAL = "non-suicidal-self-harm"


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """A condition on the record and every domain of this assessment that it falls in.

    `safety` holds ids of `mappings/safety/groups.csv`, `safety_in_words` those that only its words
    suggest. `recognised` is false for a condition that no list here can place: it was not screened.
    `suggests_depression` marks one that only its words place.
    """

    label: str
    clinical_status: ClinicalStatus
    verification: Verification
    evidence: tuple[VersionedReference, ...]
    depression: Depression | None = None
    suicidality: SuicidalityKind | None = None
    safety: tuple[str, ...] = ()
    safety_in_words: tuple[str, ...] = ()
    recognised: bool = True
    suggests_depression: bool = False
    onset: PartialDate | None = None
    abatement: PartialDate | None = None
    abated: bool = False
    recorded: PartialDate | None = None
    asserted: PartialDate | None = None
    at_visit: bool = False
    """Whether it is the diagnosis of a visit: it shows the condition on that day, and never its beginning."""


@dataclass(frozen=True, slots=True)
class Allergy:
    """An allergy that falls in a safety group; `by_text` when only its words say so."""

    group: str
    clinical_status: ClinicalStatus
    verification: Verification
    by_text: bool
    evidence: tuple[VersionedReference, ...]


class Unplaced(NamedTuple):
    """An allergy that no list knows, under the words that its record has for it."""

    label: str
    evidence: VersionedReference


class Measure(StrEnum):
    """What an observation measures, as `mappings/codes/observations.csv` calls it."""

    PHQ_9 = "phq-9"
    PHQ_9_PANEL = "phq-9-panel"
    PHQ_9_ITEM_9 = "phq-9-item-9"
    MADRS = "madrs"
    C_SSRS_1 = "c-ssrs-1"
    C_SSRS_2 = "c-ssrs-2"
    C_SSRS_3 = "c-ssrs-3"
    C_SSRS_4 = "c-ssrs-4"
    C_SSRS_5 = "c-ssrs-5"
    C_SSRS_6 = "c-ssrs-6"
    C_SSRS_6B = "c-ssrs-6b"
    C_SSRS_RISK = "c-ssrs-risk"
    BLOOD_PRESSURE = "blood-pressure"
    SYSTOLIC = "systolic"
    DIASTOLIC = "diastolic"
    PREGNANCY_STATUS = "pregnancy-status"


class Bound(StrEnum):
    """On which side of the number that was measured the true value lies."""

    BELOW = "below"
    AT_MOST = "at-most"
    AT_LEAST = "at-least"
    ABOVE = "above"


class Observation(NamedTuple):
    """One result: a score, mm Hg, or 1 and 0 for yes and no.

    `value` is `None` where it cannot be told; `settled` is false for a preliminary result. A pressure with a
    `bound` lies on that side of its value.
    """

    measure: Measure
    value: float | None
    when: PartialDate | None
    settled: bool
    evidence: tuple[VersionedReference, ...]
    bound: Bound | None = None


class ProcedureKind(StrEnum):
    """A treatment of depression that is no medicine."""

    ECT = "ect"
    TMS = "tms"
    VNS = "vns"


class Procedure(NamedTuple):
    """One procedure; `done` is false where the record leaves open whether it took place."""

    kind: ProcedureKind
    period: Interval
    done: bool
    evidence: tuple[VersionedReference, ...]


class Contents(StrEnum):
    """What a record says of all that it holds of a kind, where it holds none of it."""

    NONE_KNOWN = "none-known"
    NO_INFORMATION = "no-information"
    WITHHELD = "withheld"


class Excluded(NamedTuple):
    """A record that was read and set aside, and why (a code of `ExclusionReason`)."""

    evidence: VersionedReference
    reason: "ExclusionReason"


class ExclusionReason(StrEnum):
    """Why a record takes no part in the assessment, or only a part of what it says."""

    ENTERED_IN_ERROR = "entered-in-error"
    REFUTED = "refuted"
    NOT_TAKEN = "not-taken"
    NOT_DONE = "not-done"
    INTENDED = "intended"
    STARTS_LATER = "starts-after-as-of"
    SUPERSEDED = "superseded-version"
    UNREADABLE = "unreadable"
    PARTLY_UNREADABLE = "partly-unreadable"


class Unreadable(NamedTuple):
    """A resource that could not be read in full: which one and at which element, never its content."""

    evidence: VersionedReference
    element: str


class DoubtfulDate(NamedTuple):
    """A date on a record that was set aside because it cannot be meant."""

    evidence: VersionedReference
    element: str
    reason: str


class PlanStatus(StrEnum):
    """Where a plan stands; `DELETED` is one that was removed from the server."""

    DRAFT = "draft"
    ACTIVE = "active"
    ON_HOLD = "on-hold"
    REVOKED = "revoked"
    COMPLETED = "completed"
    ENTERED_IN_ERROR = "entered-in-error"
    UNKNOWN = "unknown"
    DELETED = "deleted"


OPEN_PLAN = frozenset({PlanStatus.DRAFT, PlanStatus.ACTIVE, PlanStatus.ON_HOLD, PlanStatus.UNKNOWN})
"""A plan that people may be working with."""


class PlannedSession(NamedTuple):
    """A session of a plan: its number where the plan gives one, its day, and the status of its activity."""

    number: int | None
    day: date
    status: str
    plan: VersionedReference


class BenefitReview(NamedTuple):
    """A review of the benefit that a person completed when this service asked for it.

    `plan` is the id of the plan that it is about, `question` are the grounds on which it was asked for.
    """

    plan: str | None
    question: str
    when: date | None
    evidence: VersionedReference


@dataclass(frozen=True, slots=True)
class PlanOfRecord:
    """An esketamine plan on record.

    `ours` when this service wrote it, under the identity `identity`; `edited` when somebody changed it
    since. `content` is the digest of what was written. `protocol` is its id and version. `withdrawn` is set
    on a plan that was withdrawn by hand: the grounds of its proposal, as a digest. `grounds` is what a plan
    that continues a treatment went on from, as far as that is known.
    """

    evidence: VersionedReference
    status: PlanStatus
    ours: bool
    edited: bool
    identity: str | None = None
    content: str | None = None
    protocol: tuple[str, str] | None = None
    sessions: tuple[date, ...] = ()
    withdrawn: str | None = None
    replaces: str | None = None
    """The id of the plan that it says it replaces."""
    planned: tuple[PlannedSession, ...] = ()
    starts: date | None = None
    """The first day of its period."""
    based_on: str | None = None
    """The id of the plan that it continues."""
    benefit_reviewed: bool = False
    """Whether it says that the benefit of the treatment was reviewed."""
    maintenance_reviewed: bool = False
    """Whether it says that its maintenance was reviewed."""
    created: date | None = None
    grounds: str | None = None

    @property
    def begins(self) -> date | None:
        """Its first day: of its period or of its sessions, whichever is earlier."""
        days = [day for day in (self.starts, *self.sessions[:1]) if day is not None]
        return min(days, default=None)

    @property
    def is_untouched_draft(self) -> bool:
        """Whether this service may still change it."""
        return self.ours and not self.edited and self.status is PlanStatus.DRAFT


@dataclass(frozen=True, slots=True)
class Person:
    """The patient, as far as the assessment needs to know them."""

    evidence: VersionedReference
    born: PartialDate | None = None
    deceased: bool = False
    died: PartialDate | None = None
    in_use: bool = True
    """Whether the record of the patient is still kept up, as far as it says."""


@dataclass(frozen=True, slots=True)
class Record:
    """Everything read about one patient."""

    person: Person
    exposures: tuple[Exposure, ...] = ()
    diagnoses: tuple[Diagnosis, ...] = ()
    signs: tuple[Diagnosis, ...] = ()
    """Disorders that flags, observations and procedures report.

    They count for safety and suicidality, and never show that a depression is present.
    """
    allergies: tuple[Allergy, ...] = ()
    unplaced: tuple[Unplaced, ...] = ()
    """Allergies that no list knows, so that nothing can be said of them."""
    observations: tuple[Observation, ...] = ()
    procedures: tuple[Procedure, ...] = ()
    plans: tuple[PlanOfRecord, ...] = ()
    plans_in_words: tuple[VersionedReference, ...] = ()
    """Care plans of others in which only words name esketamine, but those revoked or entered in error."""
    benefit_reviews: tuple[BenefitReview, ...] = ()
    excluded: tuple[Excluded, ...] = ()
    unreadable: tuple[Unreadable, ...] = ()
    open_elements: tuple[Unreadable, ...] = ()
    """Elements of records that are read, which leave open a fact of theirs, such as the dose."""
    doubtful_dates: tuple[DoubtfulDate, ...] = ()
    not_read: tuple[str, ...] = field(default=())
    """Kinds of resource that were not looked at, so that nothing can be said of them."""
    refused: tuple[str, ...] = field(default=())
    """Those of them that there may be more of: the server holds them and does not show them."""
    unread_records: tuple[str, ...] = ()
    """Records that are known to be there and were not read in full, such as others of the same person."""
    none_known: tuple[str, ...] = ()
    """Kinds of resource of which the record says that there are none."""
    read: tuple[VersionedReference, ...] = ()
    """Every version that was read and could bear on a conclusion, also by saying nothing of what is asked."""
    of_site: tuple[VersionedReference, ...] = ()
    """The versions with a code that only the site's own lists know."""
    follows_course: bool = True
    """Whether a treatment under way is followed; it is not where nobody could activate a plan of ours."""


MEDICINE_RECORDS = frozenset(
    {
        "MedicationAdministration",
        "MedicationDispense",
        "MedicationRequest",
        "MedicationStatement",
        "Medication",
    }
)
"""Kinds of record that tell of medicines."""


def reference_order(evidence: tuple[VersionedReference, ...]) -> tuple[tuple[str, str, str], ...]:
    """A stable order for records: by what they are, not by where they stood."""
    return tuple((ref.type, ref.id, ref.version or "") for ref in evidence)


def age_in_years(born: date, day: date) -> int:
    """Completed years of life on a day."""
    return day.year - born.year - ((day.month, day.day) < (born.month, born.day))
