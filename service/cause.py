"""What brought a review about, by the names that the queue, the logs and Provenance keep."""

from enum import StrEnum


class Cause(StrEnum):
    """The doors of this service, and what else leads to writing. It never decides whether that happens."""

    OPERATION = "operation"
    REVIEWS = "reviews"
    REST_HOOK = "rest-hook"
    TOPIC = "topic"
    HL7V2 = "hl7v2"
    SWEEP = "sweep"
    DELETED = "deleted"
    DAILY = "daily"
    ROSTER = "roster"
    RETRY = "retry"
    COMMAND = "cli"
    WITHDRAWAL = "withdrawal"
    OTHER = "other"

    @classmethod
    def named(cls, name: str) -> "Cause":
        """The cause of a name that the queue kept; `OTHER` for one that this version does not know."""
        return cls(name) if name in set(cls) else cls.OTHER
