"""Writes `docs/elements.md`: what is done with every element of a record, from `mappings/elements`.

`make docs` runs it; a test compares the page with what it would write now.
"""

import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import PurePath

from service.core.knowledge import Knowledge
from service.fhir.kinds import READ_KINDS
from service.fhir.r5.records import resource_in_r4
from tests.elements_met import elements_met
from tests.support import ROOT, reviewer

EXAMPLES = sorted((ROOT / "fixtures" / "spec").glob("R[45]/*.json"))
_EVERY = ("Resource", "DomainResource", "Element", "BackboneElement")
_LISTS = ("extensions", "absences", "labels")
_FOLDER = "../mappings/elements"

_HEAD = """# What is done with every element

Every element of every type that is read is **used**, or it **opens** what it bears on, or it is **silent**
with a reason. An element that opens and is present makes the fact it bears on unreadable, and is named; it
never counts as not said. Where the table says *where unsaid*, it does so only while no element that is used
states the fact. **Bold** elements are modifier elements of FHIR; none is silent. What lies in an element
that is silent, or opens, goes with it.

An element that no release of FHIR defines opens the element in which it stands, and at the top the whole
record. So does one that only R5 has, met in a record of R4. A contained resource counts where a reference
that is used leads to it. A value that is missing for a recorded reason is
[told by the reason](#missing-values-and-labels).

This page is written from [the tables](../mappings/elements) by `make docs`.
"""

Rows = tuple[Mapping[str, str], ...]


def elements_page() -> str:
    """The page, in Markdown."""
    knowledge = reviewer().knowledge
    tables = _tables(knowledge)
    others = sorted(tables.keys() - {*READ_KINDS, *_EVERY, *_LISTS})
    lines = [_HEAD]
    for kind in (*READ_KINDS, *others):
        lines += [f"## {kind}\n", *_of_type(kind, tables[kind])]
    lines += ["## Every resource and every element\n"]
    for kind in _EVERY:
        lines += _of_type(kind, tables[kind])
    lines += ["## Extensions\n", *_of_extensions(tables["extensions"])]
    lines += ["## Missing values and labels\n", *_of_reasons(tables["absences"], tables["labels"])]
    lines += ["## The examples of the specification\n", *_of_examples(knowledge)]
    return "\n".join(lines)


def _tables(knowledge: Knowledge) -> dict[str, Rows]:
    files = knowledge.catalogue.files.items()
    return {PurePath(name).stem: listing.rows for name, listing in files if name.startswith("elements/")}


def _of_type(kind: str, rows: Rows) -> Iterator[str]:
    """What is done with the elements of a type."""
    used = [row for row in rows if row["treatment"] == "used"]
    bearings = dict.fromkeys(row["bears_on"] for row in used)
    told = ("; ".join(_used(bearing, used) for bearing in bearings)) or "nothing"
    yield f"[{kind}.csv]({_FOLDER}/{kind}.csv). Used: {told}.\n"
    opens = [row for row in rows if row["treatment"] == "opens"]
    if opens:
        yield from ("| opens | what it bears on | why |", "|---|---|---|")
        yield from (f"| {_name(row)} | {_bearing(row)} | {row['why']} |" for row in opens)
        yield ""
    reasons: dict[str, list[str]] = {}
    for row in rows:
        if row["treatment"] == "silent":
            reasons.setdefault(row["why"], []).append(_name(row))
    if reasons:
        yield from ("| silent | why |", "|---|---|")
        yield from (f"| {', '.join(names)} | {why} |" for why, names in reasons.items())
        yield ""


def _used(bearing: str, rows: list[Mapping[str, str]]) -> str:
    names = ", ".join(_name(row) for row in rows if row["bears_on"] == bearing)
    return f"{'what its place bears on' if bearing == 'element' else bearing} ({names})"


def _name(row: Mapping[str, str]) -> str:
    """The element, and what R5 calls it."""
    read, later = row["element"], row["r5"]
    name = f"`{read or later}`"
    name = f"**{name}**" if row["modifier"] == "yes" else name
    if read and later:
        return f"{name} (R5 `{later}`)"
    return name if read and row["source"] != "FHIR R5" else f"{name} (R5)"


def _bearing(row: Mapping[str, str]) -> str:
    bearing = "what its place bears on" if row["bears_on"] == "element" else row["bears_on"]
    return f"{bearing}, where unsaid" if row["when"] else bearing


def _of_extensions(rows: Rows) -> Iterator[str]:
    yield f"[extensions.csv]({_FOLDER}/extensions.csv). FHIR lets a reader ignore every other extension.\n"
    yield from ("| extension | treatment | what it bears on | why |", "|---|---|---|---|")
    for row in rows:
        name = row["url"].rpartition("/")[2]
        yield f"| `{name}` | {row['treatment']} | {_bearing(row)} | {row['why']} |"
    yield ""


def _of_reasons(absences: Rows, labels: Rows) -> Iterator[str]:
    yield f"[absences.csv]({_FOLDER}/absences.csv), [labels.csv]({_FOLDER}/labels.csv).\n"
    yield from ("| a value is | by the codes |", "|---|---|")
    for how in dict.fromkeys(row["how"] for row in absences):
        codes = ", ".join(f"`{row['code']}`" for row in absences if row["how"] == how)
        yield f"| {how} | {codes} |"
    named = ", ".join(f"`{row['code']}`" for row in labels)
    yield f"\nA record with one of these security labels or tags is withheld in part: {named}.\n"


def _of_examples(knowledge: Knowledge) -> Iterator[str]:
    """How the elements of the specification's examples are treated: https://hl7.org/fhir/R4/ and R5."""
    counts: dict[str, Counter[str]] = {}
    for path in EXAMPLES:
        resource = json.loads(path.read_bytes())
        if path.parent.name == "R5":
            resource = resource_in_r4(resource)
        count = counts.setdefault(f"{resource['resourceType']} ({path.parent.name})", Counter())
        count["examples"] += 1
        count.update(found or "unknown" for _, found in elements_met(resource, knowledge.elements))
    columns = ("examples", "used", "opens", "silent", "unknown")
    yield (
        "Elements met in the examples of R4 and R5, by what is done with them. Unknown is what an activity of"
        " an R5 plan says beyond the places that R4 has for it; it opens the plan.\n"
    )
    yield from (f"| kind | {' | '.join(columns)} |", "|---|---|---|---|---|---|")
    yield from (
        f"| {kind} | {' | '.join(str(count[column]) for column in columns)} |"
        for kind, count in sorted(counts.items())
    )
    yield ""


if __name__ == "__main__":
    sys.stdout.write(elements_page())
