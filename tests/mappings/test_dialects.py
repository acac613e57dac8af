"""The dialects of FHIR servers under `mappings/servers/`, and how one is chosen."""

import tomllib
from pathlib import Path

import pytest

from service.errors import MappingsError, SettingsError
from service.fhir.kinds import READ_KINDS
from service.knowledge import load_dialects, mappings_directory
from service.knowledge.dialects import PLAIN
from tests.mappings.test_faults import copied_to, edit, faults
from tests.servers.vendors import VENDORS
from tests.support import BASE, ROOT, run_command

SERVERS = mappings_directory() / "servers"
DOCS = ROOT / "docs"
NAMES = sorted(path.stem for path in SERVERS.glob("*.toml"))


@pytest.mark.parametrize(
    ("software", "publisher", "dialect"),
    [
        ("Epic", None, "epic"),
        (None, "Oracle Health", "oracle-millennium"),
        ("Interoperability Services: US Core STU6 FHIR R4", None, "meditech"),
        (None, "Medical Information Technology, Inc", "meditech"),
        ("HAPI FHIR Server", None, "plain"),
        ("epic", "Epic", "plain"),
        (None, None, "plain"),
    ],
)
def test_a_dialect_is_recognised_by_what_a_server_says_of_itself(
    software: str | None, publisher: str | None, dialect: str
) -> None:
    assert load_dialects(mappings_directory()).of(software, publisher).id == dialect


@pytest.mark.parametrize("name", NAMES)
def test_a_dialect_that_is_chosen_goes_before_what_a_server_says(name: str) -> None:
    assert load_dialects(mappings_directory(), name).of("Epic", "Oracle Health").id == name


def test_a_dialect_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(
        SettingsError, match="TRD_FHIR_DIALECT: no dialect 'cerner'; there are: athenahealth, epic"
    ):
        load_dialects(mappings_directory(), "cerner")


def test_a_command_ends_with_2_for_a_dialect_that_is_not_there() -> None:
    ran = run_command("assess", "Patient/ann", TRD_FHIR_BASE_URL=BASE, TRD_FHIR_DIALECT="cerner")
    assert (ran.returncode, "no dialect 'cerner'" in ran.stderr) == (2, True)


def test_a_directory_without_dialects_knows_the_plain_one(tmp_path: Path) -> None:
    assert load_dialects(tmp_path).of("Epic", None) is PLAIN
    with pytest.raises(SettingsError, match="there are: none"):
        load_dialects(tmp_path, "epic")


@pytest.mark.parametrize("name", NAMES)
def test_a_dialect_speaks_of_kinds_that_are_read(name: str) -> None:
    told = tomllib.loads((SERVERS / f"{name}.toml").read_text(encoding="utf-8"))
    searched = [one["kind"] for one in told.get("search", [])]
    assert {*searched, *told["lacks"]["kinds"]} <= {*READ_KINDS}
    assert len(searched) == len(set(searched))
    assert not {*searched} & {*told["lacks"]["kinds"]}


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ('kind = "CarePlan"', 'kind = "care plan"', "search.0.kind"),
        ('withheld = ["4130"', 'withheld = ["all"', "issues.withheld.0"),
        ('id = "epic"', 'id = "other"', "has the id 'other'"),
        ("as_of = ", "asof = ", "as_of: Field required"),
    ],
)
def test_a_fault_in_a_dialect_refuses_the_whole(tmp_path: Path, old: str, new: str, fault: str) -> None:
    lists = copied_to(tmp_path)
    edit(lists / "servers" / "epic.toml", old, new)
    found = faults(lists)
    assert any(one.startswith("servers/epic.toml") and fault in one for one in found), found
    with pytest.raises(MappingsError):
        load_dialects(lists)


def test_two_dialects_are_not_recognised_by_one_name(tmp_path: Path) -> None:
    lists = copied_to(tmp_path)
    edit(lists / "servers" / "oracle-millennium.toml", '"Oracle Health"]', '"Epic"]')
    assert any("is recognised by 'Epic', as another is" in one for one in faults(lists))


@pytest.mark.parametrize("name", NAMES)
def test_the_page_of_a_dialect_names_what_stays_unscreened_and_is_linked(name: str) -> None:
    told = tomllib.loads((SERVERS / f"{name}.toml").read_text(encoding="utf-8"))
    page = (DOCS / "servers" / f"{name}.md").read_text(encoding="utf-8")
    unscreened = page.partition("## What stays unscreened")[2].partition("##")[0]
    partial = {one["kind"] for one in told.get("search", []) if one.get("partial")}
    assert [kind for kind in {*told["lacks"]["kinds"], *partial} if kind not in unscreened] == []
    for linking in ("servers.md", "connecting.md"):
        assert f"(servers/{name}.md)" in (DOCS / linking).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", NAMES)
def test_the_double_of_a_dialect_lacks_what_the_dialect_lacks(name: str) -> None:
    told = tomllib.loads((SERVERS / f"{name}.toml").read_text(encoding="utf-8"))
    assert {*told["lacks"]["kinds"]}.isdisjoint(VENDORS[name].kinds)
