"""A site's own lists for tests: written, pinned, and judged by."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from service.knowledge import Signature, mappings_directory, write_site_lock
from service.review import Reviewer
from tests.support import AS_OF, settings

PHARMACY = "https://northfield.example/pharmacy"
PROBLEMS = "https://northfield.example/problems"
SYSTEMS = (
    ("pharmacy", PHARMACY, "no", "test"),
    ("problems", PROBLEMS, "no", "test"),
    ("pzn", "http://fhir.de/CodeSystem/ifa/pzn", "no", "test"),
    ("dmd", "https://dmd.nhs.uk", "no", "test"),
)
SIGNED = Signature("northfield", "A. Pharmacist")

Lists = Mapping[str, Sequence[Sequence[str]]]


def columns_of(name: str) -> list[str]:
    """The columns of a list of a site: ours, and the code system beside the code of a product."""
    with (mappings_directory() / name).open(encoding="utf-8", newline="") as file:
        columns = next(csv.reader(file))
    return ["system", "code", *columns[1:]] if columns[0] == "rxnorm" else columns


def write_site(directory: Path, lists: Lists, *, systems: Sequence[Sequence[str]] = SYSTEMS) -> Path:
    """Write and pin a site's own lists; gives their directory."""
    for name, rows in {"codes/systems.csv": systems, **lists}.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([columns_of(name), *rows])
    write_site_lock(directory, SIGNED, AS_OF)
    return directory


def site_reviewer(directory: Path, lists: Lists, *, systems: Sequence[Sequence[str]] = SYSTEMS) -> Reviewer:
    """A reviewer with a site's own lists."""
    site = write_site(directory, lists, systems=systems)
    return Reviewer.prepare(settings(site_mappings=site), AS_OF)
