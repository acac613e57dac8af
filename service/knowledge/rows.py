"""Rows of the CSV lists under `mappings/`, what they mean, and what is wrong with them."""

import csv
import io
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from service.core.knowledge import (
    Ingredient,
    MedicineMeaning,
)
from service.core.records import (
    Depression,
    DepressionState,
    Role,
    Severity,
)

T = TypeVar("T")

_MILLIGRAMS = re.compile(r"(?<!\d)(\d++(?:\.\d++)?+)\s*+mg\b", re.IGNORECASE)


class MissingColumn(Exception):
    """A list has no column of that name."""

    def __init__(self, file: str, column: str) -> None:
        super().__init__(f"{file}: {column}")
        self.file = file
        self.column = column


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a CSV list; `line` counts from 1 with the header. No value has white space around it."""

    file: str
    line: int
    values: Mapping[str, str]

    def __getitem__(self, column: str) -> str:
        """The value of a column."""
        try:
            return self.values[column]
        except KeyError:
            raise MissingColumn(self.file, column) from None

    def optional(self, column: str) -> str | None:
        """The value of a column, `None` where it is empty."""
        return self[column] or None


Coded = tuple[Row, str, str, MedicineMeaning]
"""A row, and a code of it with its system and meaning."""


@dataclass
class Faults:
    """Collects what is wrong, so that one run names everything."""

    found: list[str] = field(default_factory=list)

    def add(self, file: str, line: int | None, what: str) -> None:
        """Note a fault of a file, and of its line where there is one."""
        self.found.append(f"{file}{f':{line}' if line else ''}: {what}")

    def of(self, row: Row, what: str) -> None:
        """Note a fault of a row."""
        self.add(row.file, row.line, what)

    def meaning(self, row: Row, read: Callable[[Row], T]) -> T | None:
        """The meaning of a row; a value that no enumeration knows is a fault of its line."""
        try:
            return read(row)
        except (ValueError, KeyError) as error:
            self.of(row, f"has a value that is not allowed ({error})")
            return None


def read_rows(path: Path, name: str, faults: Faults) -> Iterator[Row]:
    """The rows of a CSV list that are whole and have a source; `name` is the list's name in faults."""
    if not path.exists():
        faults.add(name, None, "missing")
        return
    try:
        text = path.read_bytes().decode("utf-8")
    except UnicodeDecodeError:
        faults.add(name, None, "is not UTF-8")
        return
    reader = csv.reader(io.StringIO(text, newline=""))
    header = next(reader, [])
    for fields in filter(None, reader):
        row = Row(name, reader.line_num, dict(zip(header, map(str.strip, fields), strict=False)))
        if len(fields) != len(header):
            faults.of(row, "has not as many fields as the header")
        elif not row["source"]:
            faults.of(row, "has no source")
        else:
            yield row


def to_ingredient(row: Row) -> Ingredient:
    """An ingredient of `codes/antidepressants.csv`."""
    return Ingredient(
        row["name"],
        row["class"],
        row.optional("rxnorm"),
        _number(row, "min_daily_mg"),
        _number(row, "strict_min_daily_mg"),
        row.optional("not_a_trial"),
        row.optional("related"),
    )


def to_agent(row: Row) -> Ingredient:
    """An augmenting agent of `codes/augmenting_agents.csv`."""
    return Ingredient(
        row["name"],
        "AUGMENTING",
        row.optional("rxnorm"),
        _number(row, "min_daily_mg"),
        None,
        "augmenting",
        None,
    )


def codes_of(
    rows: Iterable[Row], systems: tuple[str, ...], read: Callable[[Row], MedicineMeaning]
) -> Iterator[Coded]:
    """The codes of rows that have a column a system."""
    for row in rows:
        for system in systems:
            if row[system]:
                yield row, system, row[system], read(row)


def of_ingredient(row: Row) -> MedicineMeaning:
    """What the codes and names of an antidepressant stand for."""
    never = row.optional("not_a_trial")
    if never in {"index-therapy", "ketamine"}:
        return MedicineMeaning(Role.ESKETAMINE, row["name"])
    return MedicineMeaning(Role.ANTIDEPRESSANT, row["name"], not_a_trial=never)


def of_agent(row: Row) -> MedicineMeaning:
    """What the codes and names of an augmenting agent stand for."""
    return MedicineMeaning(Role.AUGMENTING, row["name"])


def of_esketamine(row: Row) -> MedicineMeaning:
    """What the codes and names of esketamine and ketamine stand for."""
    return MedicineMeaning(Role.ESKETAMINE, row["agent"])


def never_a_trial(row: Row) -> MedicineMeaning:
    """What a name stands for that is never an antidepressant trial."""
    return MedicineMeaning(Role.ANTIDEPRESSANT, None, not_a_trial=row["reason"])


def of_product(row: Row) -> MedicineMeaning:
    """What the code of an RxNorm product stands for."""
    name = row.optional("ingredient")
    return MedicineMeaning(
        Role.ANTIDEPRESSANT if name else Role.OTHER,
        name,
        strength_mg=_number(row, "strength_mg"),
        unit=row.optional("unit"),
        unit_days=_days(row["dose_days"] or "1"),
        not_a_trial=row.optional("not_a_trial"),
        label_mg=frozenset(float(mg) for mg in _MILLIGRAMS.findall(row["display"])),
    )


def code_of_product(row: Row) -> tuple[str, str]:
    """The code of a product with its system: our products are of RxNorm, those of a site of any system."""
    ours = row.values.get("rxnorm")
    return (row["system"], row["code"]) if ours is None else ("rxnorm", ours)


def to_depression(row: Row) -> Depression:
    """What a code of `codes/depression.csv` says."""
    severity = row.optional("severity")
    return Depression(
        DepressionState(row["state"]),
        Severity(severity) if severity else None,
        {"yes": True, "no": False}[row["psychotic"]],
    )


def _days(value: str) -> int:
    if (days := int(value)) < 1:
        raise ValueError("dose_days is one or more")
    return days


def _number(row: Row, column: str) -> float | None:
    value = row.optional(column)
    number = float(value) if value else None
    if number is not None and not 0 < number < math.inf:
        raise ValueError(f"{column} is more than nothing, and a number")
    return number
