"""The safety tables as a test reads them: by itself, so that it does not believe the service."""

import csv
from enum import IntEnum

from service.knowledge import mappings_directory


class Effect(IntEnum):
    """What a finding does, the weakest first."""

    NONE = 0
    CAUTION = 1
    REVIEW = 2
    EXCLUDES = 3


def table(name: str) -> list[dict[str, str]]:
    """The rows of a list of `mappings/`."""
    with (mappings_directory() / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


REGIONS = ("us", "eu")
ADDRESSES = {row["id"]: row["uri"] for row in reversed(table("codes/systems.csv"))}
"""The first address of every code system."""
GROUPS = {row["id"]: row for row in table("safety/groups.csv")}


def effect_of(group: str, region: str) -> Effect:
    """What an active record of a group does."""
    return Effect[GROUPS[group][region].upper()]


def resolved_effect_of(group: str, region: str) -> Effect:
    """What a resolved one does: never more than an active one."""
    stated = GROUPS[group]["resolved"]
    return min(effect_of(group, region), Effect.NONE if stated == "ignore" else Effect[stated.upper()])


def coding(row: dict[str, str]) -> dict[str, str]:
    """The code of a row as a FHIR Coding; a wildcard stands for any character."""
    return {"system": ADDRESSES[row["system"]], "code": row["code"].replace("?", "0")}
