"""Each recipe names files and names in them that exist; every route is in the table of doors."""

import pkgutil
import re
from dataclasses import fields
from importlib import import_module
from pathlib import Path

import pytest
from aiohttp import web

from service import doors
from service.doors.ports import Route
from service.fhir.kinds import KINDS, READ_KINDS, WATCHED_KINDS, WRITTEN_KINDS, Kind

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
RECIPES = dict(re.findall(r"^### (Add .+?)\n(.*?)(?=^##|\Z)", GUIDE, re.MULTILINE | re.DOTALL))
SERVERS = (ROOT / "docs" / "servers.md").read_text(encoding="utf-8")
SERVICE = (ROOT / "docs" / "service.md").read_text(encoding="utf-8")
ROUTES: list[Route] = [
    route
    for module in pkgutil.iter_modules(doors.__path__)
    for route in getattr(import_module(f"service.doors.{module.name}"), "ROUTES", ())
]
IN_A_COMMAND = re.compile(r"`(?:make|trd-careplan) [^`]+`")


def test_the_recipes_are_those_that_people_need() -> None:
    assert list(RECIPES) == [
        "Add a contraindication",
        "Add a criteria parameter",
        "Add a kind of resource",
        "Add a door",
        "Add a dialect of a FHIR server",
        "Add a protocol phase",
    ]


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_names_files_and_what_is_in_them(recipe: str) -> None:
    rows = [line for line in RECIPES[recipe].splitlines() if line.startswith("| [")]
    assert len(rows) >= 5

    for row in rows:
        files, what = (cell.strip() for cell in row.strip("|").split(" | ", 1))
        paths = [ROOT / target for target in re.findall(r"\]\(([^)]+)\)", files)]
        known = "\n".join(text for path in paths for text in _texts(path))
        names = re.findall(r"`([^`]+)`", IN_A_COMMAND.sub("", what))
        assert paths
        assert [name for name in names if name not in known] == [], row


def _texts(path: Path) -> list[str]:
    """The text of a file; of a folder, the names and texts of its files."""
    if path.is_file():
        return [path.read_text(encoding="utf-8")]
    files = [file for file in path.rglob("*") if file.suffix in {".py", ".toml", ".csv", ".json"}]
    return [text for file in files for text in (file.name, file.read_text(encoding="utf-8"))]


def test_a_phase_has_the_keys_that_are_named() -> None:
    keys = re.findall(r"`(\w+)`", RECIPES["Add a protocol phase"].partition("A phase in")[2])
    text = (ROOT / "mappings" / "protocols" / "us-trd.toml").read_text(encoding="utf-8")

    assert len(keys) == 7
    assert [key for key in keys if f"\n{key} = " not in text] == []


def test_every_route_is_in_the_table_of_doors_and_no_other() -> None:
    table = SERVICE.partition("\n## Doors\n")[2].partition("\n### ")[0]
    cells = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    told = {path for cell in cells for path in re.findall(r"/[\w<>$/.-]+", cell)}

    assert told == {_as_told(route.path) for route in ROUTES}


def _as_told(path: str) -> str:
    """A path as the page writes it: `<id>` for an id of any form."""
    canonical = web.UrlDispatcher().add_resource(path).canonical
    return (
        canonical.replace("{", "<").replace("}", ">").replace("<type>", "<Type>").replace("<kind>", "<Type>")
    )


def test_the_recipe_of_a_kind_names_every_column_of_the_table() -> None:
    (row,) = [
        line for line in RECIPES["Add a kind of resource"].splitlines() if "](service/fhir/kinds.py)" in line
    ]

    assert {field.name for field in fields(Kind)} == set(re.findall(r"`([a-z_0-9]+)`", row))


def test_the_page_on_servers_lists_every_kind_that_is_read_and_written() -> None:
    assert sorted(_first_cells("What it reads")) == sorted(READ_KINDS)
    assert sorted(_first_cells("What it writes")) == sorted(WRITTEN_KINDS)


def test_the_page_on_the_service_lists_every_kind_that_is_subscribed_to() -> None:
    sentence = SERVICE.partition("one Subscription for each of these kinds")[2].partition("Two kinds")[0]
    names = {kind.name for kind in KINDS}

    assert {word for word in re.findall(r"[A-Z]\w+", sentence) if word in names} == set(WATCHED_KINDS)


def _first_cells(title: str) -> list[str]:
    """The kinds in the first column of the first table of a section."""
    section = SERVERS.partition(f"\n## {title}\n")[2]
    table = section[section.index("\n|") + 1 :].partition("\n\n")[0].splitlines()[2:]
    return [kind for line in table for kind in line.split("|")[1].strip().split(", ")]
