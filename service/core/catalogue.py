"""The lists as they were reviewed: every row with its source, to be published for others to read.

Nothing here is used to decide. What decides is `Knowledge`, read from the same rows in the same pass.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Listing:
    """A file under `mappings/`: the version and day that the lock gives it, and its rows by column."""

    version: str
    date: str
    rows: tuple[Mapping[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class ProtocolSources:
    """Where the values of a protocol come from, and how far its review is.

    `phases`, `decision_points` and `tasks` are in the order of the protocol.
    """

    status: str
    reviewer: str
    protocol: str
    product: str
    oral_antidepressant: str | None
    phases: tuple[str, ...]
    decision_points: tuple[str, ...]
    visit: str
    tasks: tuple[str, ...]
    then: str


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Every file by its path under `mappings/`, and the sources of every protocol by its id."""

    files: Mapping[str, Listing]
    protocols: Mapping[str, ProtocolSources]
