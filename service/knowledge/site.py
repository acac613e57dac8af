"""The site's own lists (`TRD_SITE_MAPPINGS`): further rows of codes, which add to ours and never weaken them.

A site knows codes that no public list has: of its pharmacy, its laboratory, its problem list. It may say what
they mean, in lists of the same names and columns as ours. It may not say anything of a code that ours know,
nor of words, nor of codes by which something is silent (docs/decisions/0031).
"""

import csv
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from service.core.knowledge import NO_SITE_LISTS, SiteLists
from service.ids import plain_system
from service.knowledge.lock import LOCK, SITE_ID, check_lock, lists_in, read_site_id, version_of
from service.knowledge.rows import Faults, Row, code_of_product, read_rows

SYSTEMS = "codes/systems.csv"
SCORE_ITEMS = "codes/score_items.csv"
SHARED_SYSTEMS = frozenset({"cpt", "hcpcs", "loinc", "ndc", "rxnorm", "snomed"})
"""Systems of ours that a site may add codes of: those of which our lists are known to hold only some codes.

Of the others (ICD, ATC) they hold all that matter, so that a code that is not listed is none of them; or the
codes say that something is absent or withheld.
"""
_SYSTEM_ID = re.compile(SITE_ID)
_CODE = re.compile(r"[^\s,|$\\?]+( [^\s,|$\\?]+)*")
"""A code as FHIR writes it, without the characters that part codes in a search."""
_STANDARD = re.compile(
    r"https?://([a-z0-9.-]+\.)?hl7\.org(/|$)|urn:oid:2\.16\.840\.1\.113883\.(4\.642|5|12|18)(\.|$)"
    r"|urn:trd-careplan(:|$)"
)
"""Addresses of FHIR, of HL7 and of this service: what the codes there mean is not for a site to say."""


class Extendable(NamedTuple):
    """What a site may add to a list: columns that stay empty, and the only values that a column may have."""

    empty: tuple[str, ...] = ()
    only: Mapping[str, frozenset[str]] = {}


EXTENDABLE: Mapping[str, Extendable] = {
    SYSTEMS: Extendable(only={"hierarchical": frozenset({"no"})}),
    "codes/antidepressant_products.csv": Extendable(),
    "codes/augmenting_products.csv": Extendable(),
    "codes/depression.csv": Extendable(),
    "codes/depression_exclude.csv": Extendable(),
    "codes/esketamine.csv": Extendable(only={"agent": frozenset({"esketamine", "ketamine"})}),
    "codes/indications.csv": Extendable(empty=("phrase", "language")),
    "codes/observations.csv": Extendable(),
    "codes/procedures.csv": Extendable(),
    SCORE_ITEMS: Extendable(),
    "codes/stop_reasons.csv": Extendable(empty=("phrase", "match", "language")),
    "codes/suicidality.csv": Extendable(only={"kind": frozenset({"behaviour", "ideation", "passive"})}),
    "safety/allergies.csv": Extendable(empty=("name", "language")),
    "safety/conditions.csv": Extendable(),
    "safety/medicines.csv": Extendable(empty=("name", "language")),
    "safety/procedures.csv": Extendable(),
}
"""The lists that a site may extend. All others are ours alone."""

_LABEL = "site lists: "
"""Before the name of a file in faults, since ours have the same names."""


@dataclass(frozen=True, slots=True)
class SiteFiles:
    """The site's own lists as they were read: the rows of each file, and what the core is told of them."""

    lists: SiteLists = NO_SITE_LISTS
    rows: Mapping[str, tuple[Row, ...]] = field(default_factory=dict)

    @property
    def suffix(self) -> str:
        """What the version of the knowledge ends with, so that it changes with these lists."""
        return f"+site.{self.lists.version}" if self.lists.version else ""


NO_SITE_FILES = SiteFiles()


def read_site_lists(directory: Path, ours: Path, faults: Faults) -> SiteFiles:
    """Read the site's own lists, and note each file that is unknown, not pinned, or has other columns."""
    if not directory.is_dir():
        faults.add("TRD_SITE_MAPPINGS", None, "is not a directory")
        return NO_SITE_FILES
    locked = check_lock(directory, lambda name, what: faults.add(_LABEL + name, None, what))
    identity = read_site_id(directory / LOCK)
    if locked and identity is None:
        faults.add(_LABEL + LOCK, None, "does not state the id of the site")
    for name in (name for name, entry in locked.items() if not entry.get("reviewer")):
        faults.add(_LABEL + LOCK, None, f"does not state who reviewed {name}")
    rows = {}
    for path in lists_in(directory):
        name = path.relative_to(directory).as_posix()
        if name not in EXTENDABLE:
            faults.add(_LABEL + name, None, "is not a list that a site may extend")
        elif _has_columns(path, ours / name, _LABEL + name, faults):
            rows[name] = tuple(read_rows(path, _LABEL + name, faults))
    version = f"{identity or 'unnamed'}.{version_of(directory, locked)}"
    return SiteFiles(
        SiteLists(
            version,
            frozenset(row["id"] for row in rows.get(SYSTEMS, ())),
            frozenset(code_of_product(row) for _, row in _coded(rows)),
            {name: len(found) for name, found in rows.items()},
        ),
        rows,
    )


def _has_columns(path: Path, ours: Path, label: str, faults: Faults) -> bool:
    """Whether a list has the columns of ours; a product has its code system beside its code."""
    wanted, found = _header(ours), _header(path)
    if "rxnorm" in wanted:
        wanted = ["system", "code", *(column for column in wanted if column != "rxnorm")]
    for column in [one for one in found if one not in wanted or found.count(one) > 1]:
        faults.add(label, 1, f"has a column that is not known here: {column!r}")
    for column in [one for one in wanted if one not in found]:
        faults.add(label, 1, f"has no column {column!r}")
    return sorted(wanted) == sorted(found)


def _header(path: Path) -> list[str]:
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        return next(csv.reader(file), [])


def _coded(rows: Mapping[str, tuple[Row, ...]]) -> Iterator[tuple[str, Row]]:
    return ((name, row) for name, found in rows.items() if name != SYSTEMS for row in found)


OurRows = Mapping[str, Collection[Mapping[str, str]]]


# --- what weakens ---------------------------------------------------------------------------------


def refuse_weakening(site: SiteFiles, ours: OurRows, faults: Faults) -> None:
    """Note each row of the site's that could change what our lists say. `ours` are our rows by file.

    A code or an address that any list of ours has is refused, with the same meaning too: it needs no row.
    """
    known = _codes_in(ours) if site.rows else {}
    for row in site.rows.get(SYSTEMS, ()):
        _check_system(row, ours.get(SYSTEMS, ()), faults)
    for name, row in _coded(site.rows):
        _check_code(row, site.lists.systems, known, faults)
        _check_values(row, EXTENDABLE[name], faults)
    for row in site.rows.get(SYSTEMS, ()):
        _check_values(row, EXTENDABLE[SYSTEMS], faults)
    _check_items(site.rows.get(SCORE_ITEMS, ()), ours.get(SCORE_ITEMS, ()), faults)


def _codes_in(ours: OurRows) -> dict[tuple[str, str], str]:
    """Every code of our lists, and the list that it is in."""
    return {code: name for name, rows in ours.items() for values in rows for code in _codes_of(values)}


def _codes_of(values: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    yield values.get("system", ""), values.get("code", "")
    yield from ((system, values[system]) for system in ("rxnorm", "atc", "snomed") if system in values)


def _check_system(row: Row, ours: Collection[Mapping[str, str]], faults: Faults) -> None:
    address = plain_system(row["uri"])
    known = {plain_system(values["uri"]) for values in ours}
    if not _SYSTEM_ID.fullmatch(row["id"]):
        faults.of(row, "has an id that is not of small letters, digits and hyphens, 31 at most")
    if row["id"] in {values["id"] for values in ours}:
        faults.of(row, f"has the id of a code system that is known here: {row['id']!r}")
    oid = f"urn:oid:{address}"
    if {address, oid} & known or any(address.startswith(f"{one}/") for one in known):
        faults.of(row, f"has the address of a code system that is known here: {row['uri']!r}")
    elif not address or _STANDARD.match(address) or _STANDARD.match(oid):
        faults.of(row, f"has an address that is not of a site's own code system: {row['uri']!r}")


def _check_code(
    row: Row, systems: frozenset[str], known: Mapping[tuple[str, str], str], faults: Faults
) -> None:
    system, code = code_of_product(row)
    if system not in systems | SHARED_SYSTEMS:
        faults.of(
            row,
            f"adds a code of {system!r}; a site may add codes of its own systems and of "
            f"{', '.join(sorted(SHARED_SYSTEMS))}",
        )
    elif (system, code) in known:
        faults.of(row, f"gives a meaning to {system} {code}, which {known[system, code]} has")
    elif not _CODE.fullmatch(code):
        faults.of(row, f"has no code that can be searched for: {code!r}")


def _check_values(row: Row, extension: Extendable, faults: Faults) -> None:
    for column in (one for one in extension.empty if row[one]):
        faults.of(row, f"has a value in {column!r}; a site adds codes, no words")
    for column, allowed in extension.only.items():
        if row[column] not in allowed:
            named = ", ".join(sorted(allowed))
            faults.of(row, f"has a value in {column!r} that a site may not add; it may add {named}")


def _check_items(rows: tuple[Row, ...], ours: Collection[Mapping[str, str]], faults: Faults) -> None:
    """The questions of a score in a code system are all of them, or their sum would be too low."""
    known = [(values["measure"], values["system"]) for values in ours]
    listed: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        listed.setdefault((row["measure"], row["system"]), []).append(row)
    for (measure, system), found in listed.items():
        wanted = next((known.count(one) for one in known if one[0] == measure), 0)
        if (measure, system) in known:
            faults.of(found[0], f"adds a question of {measure} in {system}, which has all of them")
        elif len(found) != wanted:
            faults.of(found[-1], f"{measure} has {wanted} questions, and {system} lists {len(found)}")
