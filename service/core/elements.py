"""What is done with each element of a record: it is used, it opens what it bears on, or it is silent.

What a reader does not look at must never count as not said. So every element of every type that is read has
a rule here, loaded from `mappings/elements`, and the readers ask the rules what a record says beyond what
they read.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class ElementUse(StrEnum):
    """What is done with an element that is present."""

    USED = "used"
    """It is read."""
    OPENS = "opens"
    """It is not read, and makes what it bears on unreadable."""
    SILENT = "silent"
    """It is not read, and changes nothing; the table gives the reason."""


class Bearing(StrEnum):
    """The fact that an element bears on."""

    RECORD = "record"
    """The whole of the record."""
    SUBJECT = "subject"
    IDENTITY = "identity"
    """Which patient, or which plan, a record is about, and which other records are of the same one."""
    AGE = "age"
    DEATH = "death"
    STATUS = "status"
    """Whether it is so: present, taken, given, standing."""
    VERIFICATION = "verification"
    SEVERITY = "severity"
    DIAGNOSIS = "diagnosis"
    SUBSTANCE = "substance"
    """What an allergy is to."""
    MEDICINE = "medicine"
    DOSE = "dose"
    """How much, how often, and the strength of a product."""
    PERIOD = "period"
    """When, and for how long."""
    REASON = "reason"
    """What a medicine is taken for."""
    STOP_REASON = "stop-reason"
    EVIDENCE = "evidence"
    """How it is known: reported, ordered, and which records are about the same taking."""
    RESULT = "result"
    PROCEDURE = "procedure"
    PLAN = "plan"
    COMPLETENESS = "completeness"
    """Whether what is on record is all there is."""
    ELEMENT = "element"
    """What the element bears on of which this is a part; for types that stand in many places."""
    NOTHING = "nothing"
    """Nothing that is decided here; of silent elements only."""


class How(StrEnum):
    """In what way an element leaves open what it bears on."""

    NOT_READ = "not-read"
    """It states something that is not read."""
    NOT_DEFINED = "not-defined"
    """No release of FHIR that is read here has such an element there."""
    WITHHELD = "withheld"
    """The record says that the value is not shown."""
    NOT_KNOWN = "not-known"
    """The record says that nobody knows the value, or that there is none."""


class ElementRule(NamedTuple):
    """The rule of an element, or of an extension.

    `parts` is the type of what it consists of; `None` for a value without parts, and for one whose parts have
    rules beside it. `#item` is the element of that name in the same type. `only_if_unsaid`: it opens only
    where no element that is used states the fact.
    """

    treatment: ElementUse
    bears_on: Bearing
    parts: str | None = None
    only_if_unsaid: bool = False


@dataclass(frozen=True, eq=False)
class ElementTables:
    """The rules of all elements that are read, by type and by path within the type.

    A name that only R5 has, and that is read under another one, opens what it bears on: where it is met, it
    was not translated. `absence_extensions` say why a value is missing, and `absences` what each of their
    codes means. `labels` are the codes that say that parts of a record were left out.
    """

    types: Mapping[str, Mapping[str, ElementRule]]
    extensions: Mapping[str, ElementRule]
    absence_extensions: frozenset[str]
    absences: Mapping[str, How]
    labels: frozenset[str]
