"""A fault in any list refuses the whole, and names the file and the line."""

import csv
import io
import shutil
import tomllib
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import NamedTuple, cast

import pytest

from service.core.knowledge import Knowledge
from service.errors import MappingsError, SettingsError
from service.knowledge import lists_in, load_knowledge, mappings_directory, write_lock

TODAY = date(2026, 11, 23)


def copied_to(folder: Path) -> Path:
    """A copy of the lists to spoil."""
    copy = folder / "mappings"
    shutil.copytree(mappings_directory(), copy)
    return copy


@pytest.fixture
def lists(tmp_path: Path) -> Path:
    return copied_to(tmp_path)


def load(lists: Path, *, criteria: str = "seed", region: str = "us") -> Knowledge:
    return load_knowledge(lists, criteria=criteria, region=region)


def faults(lists: Path, *, relock: bool = True, region: str = "us") -> list[str]:
    """What the loader finds once a lock knows the changed files."""
    if relock:
        (lists / "lock.toml").unlink()
        write_lock(lists, TODAY)
    with pytest.raises(MappingsError) as refused:
        load(lists, region=region)
    assert str(refused.value) == "\n".join(refused.value.faults)
    return refused.value.faults


def append(path: Path, *values: str) -> int:
    """Add a line to a CSV list; returns its number."""
    text = path.read_text(encoding="utf-8")
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(values)
    path.write_text(text.rstrip("\n") + "\n" + line.getvalue(), encoding="utf-8")
    return len(path.read_text(encoding="utf-8").splitlines())


def edit(path: Path, old: str, new: str) -> int:
    """Change the first line that holds a text; returns its number."""
    lines = path.read_text(encoding="utf-8").splitlines()
    number = next(n for n, line in enumerate(lines) if old in line)
    lines[number] = lines[number].replace(old, new, 1)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return number + 1


def test_the_lists_as_they_are_load(lists: Path) -> None:
    assert load(lists).version == load(mappings_directory()).version


# rows of CSV lists -----------------------------------------------------------------------------

ROWS = [
    pytest.param(
        "codes/depression.csv",
        ("icd-10-cm", "F32.0", "mdd", "mild", "no", "again", "test"),
        "lists icd-10-cm F32.0 twice",
        id="code twice in a list",
    ),
    pytest.param(
        "codes/depression.csv",
        ("icd-9000", "F32.0", "mdd", "mild", "no", "odd", "test"),
        "names a code system that is not in systems.csv: 'icd-9000'",
        id="unknown code system",
    ),
    pytest.param(
        "codes/depression.csv", ("snomed", "", "mdd", "", "no", "odd", "test"), "has no code", id="no code"
    ),
    pytest.param(
        "codes/depression.csv",
        ("snomed", "1", "sad", "", "no", "odd", "test"),
        "has a value that is not allowed ('sad' is not a valid DepressionState)",
        id="unknown state",
    ),
    pytest.param(
        "codes/depression.csv",
        ("snomed", "1", "mdd", "awful", "no", "odd", "test"),
        "'awful' is not a valid Severity",
        id="unknown severity",
    ),
    pytest.param(
        "codes/depression.csv",
        ("snomed", "1", "mdd", "", "perhaps", "odd", "test"),
        "has a value that is not allowed ('perhaps')",
        id="psychotic neither yes nor no",
    ),
    pytest.param(
        "codes/depression.csv", ("snomed", "1", "mdd", "", "no", "odd", ""), "has no source", id="no source"
    ),
    pytest.param(
        "codes/depression.csv",
        ("snomed", "1", "mdd", "", "no", "odd"),
        "has not as many fields as the header",
        id="a field too few",
    ),
    pytest.param(
        "codes/depression.csv",
        ("snomed", "1", "mdd", "", "no", "odd", "test", "more"),
        "has not as many fields as the header",
        id="a field too many",
    ),
    pytest.param(
        "codes/suicidality.csv",
        ("snomed", "1", "somehow", "odd", "test"),
        "'somehow' is not a valid SuicidalityKind",
        id="unknown kind of suicidality",
    ),
    pytest.param(
        "codes/severity.csv",
        ("snomed", "1", "grave", "test"),
        "'grave' is not a valid Severity",
        id="severity list",
    ),
    pytest.param(
        "codes/antidepressant_products.csv",
        ("1", "odd 1 MG", "oddtriptyline", "1", "tablet", "1", "", "test"),
        "names an ingredient that is not listed: 'oddtriptyline'",
        id="product of an unknown ingredient",
    ),
    pytest.param(
        "codes/antidepressant_products.csv",
        ("2", "odd 1 MG", "", "1", "tablet", "1", "", "test"),
        "has neither an ingredient nor a reason why it is no trial",
        id="product without ingredient or reason",
    ),
    pytest.param(
        "codes/antidepressant_products.csv",
        ("3", "odd", "sertraline", "much", "tablet", "1", "", "test"),
        "has a value that is not allowed (could not convert string to float: 'much')",
        id="strength that is no number",
    ),
    pytest.param(
        "codes/antidepressant_products.csv",
        ("4493", "odd", "sertraline", "1", "tablet", "1", "", "test"),
        "gives rxnorm 4493 a second meaning",
        id="code of another medicine",
    ),
    pytest.param(
        "codes/antidepressants.csv",
        ("sertraline", "SSRI", "", "", "", "", "", "", "", "", "test"),
        "lists 'sertraline' twice",
        id="ingredient twice",
    ),
    pytest.param(
        "codes/antidepressants.csv",
        ("oddpramine", "TCA", "", "", "", "oddpramine", "much", "", "", "", "test"),
        "has a value that is not allowed (could not convert string to float: 'much')",
        id="minimum dose that is no number",
    ),
    pytest.param(
        "codes/antidepressants.csv",
        ("oddpramine", "TCA", "", "", "", "zoloft", "1", "", "", "", "test"),
        "gives the name 'zoloft' a second meaning",
        id="name of another medicine",
    ),
    pytest.param(
        "codes/antidepressants.csv",
        ("oddpramine", "TCA", "36437", "", "", "oddpramine", "1", "", "", "", "test"),
        "gives rxnorm 36437 a second meaning",
        id="ingredient code of another medicine",
    ),
    pytest.param(
        "codes/antidepressants.csv",
        ("oddpramine", "TCA", "", "", "", "oddpramine", "1", "", "", "nothing", "test"),
        "names a related ingredient that is not listed: 'nothing'",
        id="unknown related ingredient",
    ),
    pytest.param(
        "codes/augmenting_products.csv",
        ("1", "odd", "oddazine", "test"),
        "names an agent that is not listed: 'oddazine'",
        id="product of an unknown agent",
    ),
    pytest.param(
        "codes/stop_reasons.csv",
        ("sometimes", "", "", "odd phrase", "word", "en", "test"),
        "'sometimes' is not a valid StopReason",
        id="unknown stop reason",
    ),
    pytest.param(
        "codes/stop_reasons.csv",
        ("other", "", "", "", "", "", "test"),
        "has neither a code nor a phrase",
        id="stop reason without code or phrase",
    ),
    pytest.param(
        "codes/stop_reasons.csv",
        ("other", "", "", "Did-not help", "word", "en", "test"),
        "lists 'did not help' twice",
        id="phrase twice",
    ),
    pytest.param(
        "codes/indications.csv",
        ("", "", "dépression", "fr", "test"),
        "lists 'depression' twice",
        id="indication twice",
    ),
    pytest.param(
        "codes/dose_phrases.csv",
        ("rate", "often", "whenever", "en", "test"),
        "has a value that is not allowed (could not convert string to float: 'often')",
        id="frequency that is no number",
    ),
    pytest.param(
        "codes/dose_phrases.csv",
        ("sometimes", "", "whenever", "en", "test"),
        "has a value that is not allowed ('sometimes')",
        id="dose phrase of an unknown kind",
    ),
    pytest.param(
        "codes/dose_phrases.csv",
        ("moment", "dusk", "at dusk", "en", "test"),
        "has a value that is not allowed ('dusk' is no time of the day)",
        id="unknown time of the day",
    ),
    pytest.param(
        "codes/dose_phrases.csv",
        ("rate", "7", "twice daily", "en", "test"),
        "gives 'twice daily' a second meaning",
        id="dose phrase with two meanings",
    ),
    pytest.param(
        "codes/units.csv",
        ("mass", "0", "", "", "oddgram", "test"),
        "has a value that is not allowed (the size of a unit is more than nothing)",
        id="unit of no size",
    ),
    pytest.param(
        "codes/units.csv",
        ("item", "1", "ucum", "mg", "", "test"),
        "lists ucum mg twice",
        id="unit twice",
    ),
    pytest.param(
        "codes/timings.csv",
        ("snomed", "1", "often", "test"),
        "has a value that is not allowed (could not convert string to float: 'often')",
        id="timing that is no number",
    ),
    pytest.param(
        "codes/adherence.csv",
        ("mostly", "snomed", "1", "test"),
        "'mostly' is not a valid Adherence",
        id="unknown adherence",
    ),
    pytest.param(
        "codes/antidepressant_words.csv",
        ("odd", "begins", "en", "test"),
        "has a match that is not known: 'begins'",
        id="unknown way to match",
    ),
    pytest.param(
        "codes/suicidality_words.csv",
        ("+si", "word", "en", "test"),
        "does not begin with a letter or a digit: '+si'",
        id="word that begins with a sign",
    ),
    pytest.param(
        "codes/small_words.csv",
        ("odd", "maybe", "", "en", "test"),
        "'maybe' is not a valid SmallWord",
        id="unknown small word",
    ),
    pytest.param(
        "codes/small_words.csv",
        ("odd", "filler", "letters", "en", "test"),
        "names a kind of text that is not known: 'letters'",
        id="small word of an unknown kind of text",
    ),
    pytest.param(
        "codes/small_words.csv",
        ("without", "filler", "conditions", "en", "test"),
        "lists 'without' twice",
        id="small word twice",
    ),
    pytest.param(
        "codes/small_words.csv",
        ("aneurysm", "filler", "conditions", "en", "test"),
        "lists 'aneurysm', which another list of conditions has",
        id="small word that names something",
    ),
    pytest.param(
        "codes/antidepressant_names.csv",
        ("oddoxetine", "oddoxetina", "es", "test"),
        "names an ingredient that is not listed: 'oddoxetine'",
        id="name of an unknown ingredient",
    ),
    pytest.param(
        "codes/placeholder_dates.csv",
        ("1900-13-01", "odd", "test"),
        "has a value that is not allowed (month must be in 1..12",
        id="placeholder that is no date",
    ),
    pytest.param(
        "codes/systems.csv",
        ("odd", "http://snomed.info/sct", "no", "test"),
        "lists a URI twice",
        id="URI of two systems",
    ),
    pytest.param(
        "safety/conditions.csv",
        ("oddness", "snomed", "1", "odd", "test"),
        "names a safety group that is not listed: 'oddness'",
        id="condition of an unknown safety group",
    ),
    pytest.param(
        "safety/conditions.csv",
        ("aneurysm", "snomed", "67362008", "odd", "test"),
        "lists snomed 67362008 twice",
        id="condition twice",
    ),
    pytest.param(
        "safety/allergies.csv",
        ("oddness", "snomed", "1", "", "", "test"),
        "names a safety group that is not listed: 'oddness'",
        id="allergy of an unknown safety group",
    ),
    pytest.param(
        "safety/procedures.csv",
        ("typo", "cpt", "00000", "test", "test"),
        "names a safety group that is not listed: 'typo'",
        id="procedure of an unknown group",
    ),
    pytest.param(
        "safety/procedure_words.csv",
        ("typo", "mend", "word", "", "en", "test"),
        "names a safety group that is not listed: 'typo'",
        id="word of a procedure of an unknown group",
    ),
    pytest.param(
        "safety/procedure_words.csv",
        ("vascular-repair", "patch", "word", "aneurysm;typo", "en", "test"),
        "names a safety group that is not listed: 'aneurysm;typo'",
        id="word of a procedure beside an unknown group",
    ),
    pytest.param(
        "safety/groups.csv",
        ("aneurysm", "odd", "review", "review", "review", "", "", "4", "4.3", "test"),
        "lists the group 'aneurysm' twice",
        id="safety group twice",
    ),
    pytest.param(
        "safety/groups.csv",
        ("odd", "odd", "forbids", "review", "review", "", "", "4", "4.3", "test"),
        "'forbids' is not a valid Effect",
        id="unknown effect",
    ),
    pytest.param(
        "safety/groups.csv",
        ("odd", "odd", "review", "review", "forgets", "", "", "4", "4.3", "test"),
        "'forgets' is not a valid ResolvedRule",
        id="unknown rule for a resolved record",
    ),
    pytest.param(
        "safety/groups.csv",
        ("odd", "odd", "review", "review", "review", "soon", "", "4", "4.3", "test"),
        "invalid literal for int() with base 10: 'soon'",
        id="days that are no number",
    ),
    pytest.param(
        "safety/groups.csv",
        ("my group", "odd", "review", "review", "review", "", "", "4", "4.3", "test"),
        "an id has letters, digits, hyphens and dots",
        id="a group whose id could not be published",
    ),
    pytest.param(
        "elements/Flag.csv",
        ("odd", "", "silent", "nothing", "yes", "", "", "It is odd.", "test"),
        "is a modifier element and silent",
        id="a modifier element that is silent",
    ),
]


class Refused(NamedTuple):
    """The line of each faulty row, and every fault that was found."""

    lines: dict[tuple[str, tuple[str, ...]], int]
    faults: list[str]


@pytest.fixture(scope="module")
def refused(tmp_path_factory: pytest.TempPathFactory) -> Refused:
    """All of the rows at once: one run names every fault."""
    lists = copied_to(tmp_path_factory.mktemp("faulty"))
    rows = [(str(row.values[0]), cast("tuple[str, ...]", row.values[1])) for row in ROWS]
    return Refused({(name, values): append(lists / name, *values) for name, values in rows}, faults(lists))


@pytest.mark.parametrize(("name", "values", "what"), ROWS)
def test_a_faulty_row_is_refused_with_its_line(
    refused: Refused, name: str, values: tuple[str, ...], what: str
) -> None:
    line = refused.lines[name, values]
    assert any(fault.startswith(f"{name}:{line}: ") and what in fault for fault in refused.faults)


def test_an_effect_of_the_other_region_is_checked_there(lists: Path) -> None:
    row = ("odd", "odd", "none", "forbids", "review", "", "", "4", "4.3", "test")
    line = append(lists / "safety/groups.csv", *row)
    assert faults(lists, region="eu")[0].startswith(f"safety/groups.csv:{line}: ")


def test_a_group_without_effect_in_a_region_is_no_fault(lists: Path) -> None:
    append(lists / "safety/groups.csv", "odd", "odd", "none", "review", "review", "", "", "", "4.3", "test")
    write_lock(lists, TODAY)
    assert load(lists).safety_groups["odd"].effect is None


def test_a_code_that_includes_and_excludes_is_refused(lists: Path) -> None:
    append(lists / "codes/depression_exclude.csv", "icd-10-cm", "F32.0", "other", "odd", "test")
    (fault,) = faults(lists)
    assert fault == "codes/depression_exclude.csv: lists icd-10-cm F32.0, which another list includes"


def test_one_code_in_two_lists_with_one_meaning_is_no_fault(lists: Path) -> None:
    """Esketamine stands among the antidepressants and in its own list."""
    found = load(lists)
    assert found.medicine_codes.meaning("rxnorm", "2119365") is not None


def test_every_fault_is_found_in_one_run(lists: Path) -> None:
    for name in ("codes/depression.csv", "codes/antidepressants.csv", "safety/conditions.csv"):
        append(lists / name, "x")
    edit(lists / "criteria/seed.toml", "value = 42", "value = 0")
    (lists / "codes/severity.csv").unlink()
    found = {fault.split(":")[0] for fault in faults(lists)}
    assert found >= {
        "codes/depression.csv",
        "codes/antidepressants.csv",
        "safety/conditions.csv",
        "criteria/seed.toml",
        "codes/severity.csv",
    }


# reported, not mended yet ----------------------------------------------------------------------

SILENT = [
    pytest.param(
        "codes/antidepressant_products.csv",
        ("312941", "sertraline 50 MG Oral Tablet", "sertraline", "50", "tablet", "1", "", "test"),
        id="product twice with one meaning",
    ),
    pytest.param(
        "codes/augmenting_agents.csv",
        ("lithium", "1", "N00AA00", "oddlithium", "600", "test"),
        id="agent twice",
    ),
    pytest.param(
        "safety/allergies.csv",
        ("unnamed-drug-allergy", "", "", "narkose", "de", "test"),
        id="allergy name twice",
    ),
]


@pytest.mark.parametrize(("name", "values"), SILENT)
def test_a_duplicate_is_never_silent(lists: Path, name: str, values: tuple[str, ...]) -> None:
    append(lists / name, *values)
    assert faults(lists)


def without_column(path: Path) -> None:
    edit(path, "source", "origin")


def not_utf8(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\xff\xfe\n")


@pytest.mark.parametrize("spoil", [without_column, not_utf8], ids=["no source column", "not UTF-8"])
@pytest.mark.parametrize("name", ["codes/depression.csv", "codes/stop_reasons.csv"])
def test_a_file_that_cannot_be_read_is_a_fault(lists: Path, name: str, spoil: Callable[[Path], None]) -> None:
    spoil(lists / name)
    assert faults(lists)[0].startswith(name)


def test_an_unknown_region_is_a_setting_at_fault(lists: Path) -> None:
    with pytest.raises(SettingsError):
        load(lists, region="mars")


# TOML ------------------------------------------------------------------------------------------

TOML = [
    pytest.param(
        "criteria/seed.toml", "value = 42", "value = 0", "parameters.minimum_days.value", id="zero days"
    ),
    pytest.param(
        "criteria/seed.toml",
        "value = 42",
        'value = "six weeks"',
        "parameters.minimum_days.value",
        id="no number",
    ),
    pytest.param(
        "criteria/seed.toml",
        'value = "assume"',
        'value = "guess"',
        "parameters.undocumented_dose.value",
        id="unknown rule for the dose",
    ),
    pytest.param(
        "criteria/seed.toml",
        'value = "lenient"',
        'value = "lax"',
        "parameters.doses.value",
        id="unknown table of doses",
    ),
    pytest.param(
        "criteria/seed.toml",
        '"switched-or-augmented"',
        '"ended-somehow"',
        "parameters.counted_inferences.value.0",
        id="unknown inference",
    ),
    pytest.param(
        "criteria/seed.toml",
        "grace_days",
        "grace_weeks",
        "parameters.grace_days: Field required",
        id="a parameter gone",
    ),
    pytest.param(
        "criteria/seed.toml",
        'status = "draft"',
        'status = "ready"',
        "status: Input should be 'draft', 'active' or 'retired'",
        id="unknown status",
    ),
    pytest.param(
        "criteria/seed.toml",
        'reviewer = "awaiting clinical review"',
        'approver = "nobody"',
        "approver: Extra inputs are not permitted",
        id="unknown key",
    ),
    pytest.param(
        "protocols/us-trd.toml",
        "dose_options_mg = [56, 84]",
        "dose_options_mg = []",
        "phase.0.dose_options_mg",
        id="no dose options",
    ),
    pytest.param(
        "protocols/us-trd.toml",
        "sessions_a_week = 2",
        "sessions_a_week = 8",
        "phase.0.sessions_a_week",
        id="8 a week",
    ),
    pytest.param(
        "protocols/us-trd.toml",
        "min_days_between = 2",
        "min_days_between = 0",
        "min_days_between",
        id="no day apart",
    ),
    pytest.param("protocols/us-trd.toml", 'region = "us"', 'region = "mars"', "region", id="unknown region"),
    pytest.param("protocols/us-trd.toml", "min_age = 18", "min_age = 12", "min_age", id="for minors"),
    pytest.param(
        "protocols/us-trd.toml", '"induction"', '"first phase"', "phase.0.name", id="name of a phase"
    ),
    pytest.param(
        "protocols/us-trd.toml",
        'code = "benefit-review"',
        'code = "party"',
        "decision_point.0.code",
        id="unknown point",
    ),
    pytest.param("staging.toml", "ect = 1", "ect = true_north", "is not TOML", id="not TOML"),
    pytest.param(
        "staging.toml", "psychotic = 5", "psychotic = 5, gloomy = 6", "gloomy", id="unknown severity"
    ),
]


@pytest.mark.parametrize(("name", "old", "new", "what"), TOML)
def test_a_faulty_value_is_refused_with_its_line(
    lists: Path, name: str, old: str, new: str, what: str
) -> None:
    line = edit(lists / name, old, new)
    found = faults(lists)
    assert all(fault.startswith(f"{name}:") for fault in found)
    assert any(what in fault for fault in found), found
    named = [int(part) for fault in found for part in fault.split(":")[1:2] if part.isdigit()]
    missing = any("Field required" in fault for fault in found)
    assert not named or line in named or missing


def test_the_line_of_bad_toml_is_in_the_message(lists: Path) -> None:
    line = edit(lists / "protocols/us-trd.toml", "min_age = 18", "min_age = = 18")
    assert f"line {line}" in faults(lists)[0]


@pytest.mark.parametrize(
    ("name", "what"),
    [
        pytest.param("criteria/seed.toml", "has the id 'other', not that of its file name", id="criteria"),
        pytest.param("protocols/us-trd.toml", "has the id 'other', not that of its file name", id="protocol"),
    ],
)
def test_a_file_is_named_after_its_id(lists: Path, name: str, what: str) -> None:
    edit(lists / name, f'id = "{Path(name).stem}"', 'id = "other"')
    assert f"{name}: {what}" in faults(lists)


def test_a_staging_file_that_is_missing(lists: Path) -> None:
    (lists / "staging.toml").unlink()
    assert faults(lists) == ["staging.toml: missing"]


def test_an_unknown_criteria_set_names_those_there_are(lists: Path) -> None:
    with pytest.raises(SettingsError, match=r"TRD_CRITERIA: no criteria set 'none'; there are: .*seed"):
        load(lists, criteria="none")


def test_a_faulty_list_comes_before_an_unknown_criteria_set(lists: Path) -> None:
    append(lists / "codes/depression.csv", "x")
    with pytest.raises(MappingsError):
        load(lists, criteria="none")


# the lock --------------------------------------------------------------------------------------


def test_a_changed_list_differs_from_the_lock(lists: Path) -> None:
    edit(lists / "codes/depression.csv", "F32.0", "F32.00")
    assert "codes/depression.csv: differs from its sha256 in the lock" in faults(lists, relock=False)


def test_a_list_that_is_not_in_the_lock(lists: Path) -> None:
    (lists / "codes/new.csv").write_text("system,code\n", encoding="utf-8")
    assert faults(lists, relock=False) == ["codes/new.csv: not in the lock"]


def test_a_list_that_is_missing(lists: Path) -> None:
    (lists / "codes/severity.csv").unlink()
    assert faults(lists, relock=False) == [
        "codes/severity.csv: in the lock, but missing",
        "codes/severity.csv: missing",
    ]


def test_without_a_lock_nothing_loads(lists: Path) -> None:
    (lists / "lock.toml").unlink()
    assert faults(lists, relock=False) == ["lock.toml: missing; every list must be pinned"]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("[[list", id="not TOML"),
        pytest.param('[[list]]\nsha256 = "x"\n', id="an entry without a file"),
        pytest.param('[[list]]\nfile = "x"\ndate = "2026-11-23"\n', id="an entry without a version"),
        pytest.param('[[list]]\nfile = "x"\nversion = "1"\ndate = "soon"\n', id="a date that is none"),
    ],
)
def test_a_lock_that_cannot_be_read(lists: Path, text: str) -> None:
    (lists / "lock.toml").write_text(text, encoding="utf-8")
    (fault,) = faults(lists, relock=False)
    assert fault.startswith("lock.toml: cannot be read")


def entries(lists: Path) -> dict[str, dict[str, str]]:
    text = (lists / "lock.toml").read_text(encoding="utf-8")
    return {entry["file"]: entry for entry in tomllib.loads(text)["list"]}


def test_a_new_lock_of_unchanged_lists_is_the_same(lists: Path) -> None:
    before = (lists / "lock.toml").read_text(encoding="utf-8")
    assert write_lock(lists, date(2030, 1, 1)) == before


def test_a_changed_list_gets_the_next_version_and_the_day(lists: Path) -> None:
    before = entries(lists)
    append(lists / "codes/severity.csv", "snomed", "1", "mild", "test")
    write_lock(lists, date(2030, 1, 1))
    after = entries(lists)
    name = "codes/severity.csv"
    assert after[name]["version"] == str(int(before[name]["version"]) + 1)
    assert after[name]["date"] == "2030-01-01"
    assert after[name]["source"] == before[name]["source"]
    assert after[name]["sha256"] != before[name]["sha256"]
    assert {n: e for n, e in after.items() if n != name} == {n: e for n, e in before.items() if n != name}


SETS = ["protocols/us-trd.toml", "protocols/eu-emergency.toml", "criteria/seed.toml"]


@pytest.mark.parametrize("name", SETS)
def test_a_set_that_changed_under_the_same_version_is_not_pinned(lists: Path, name: str) -> None:
    locked = (lists / "lock.toml").read_text(encoding="utf-8")
    version = entries(lists)[name]["stated_version"]
    edit(lists / name, "awaiting clinical review", "a committee")
    with pytest.raises(MappingsError) as refused:
        write_lock(lists, TODAY)
    assert refused.value.faults == [f"{name}: changed, but still states version {version}; raise its version"]
    assert (lists / "lock.toml").read_text(encoding="utf-8") == locked


@pytest.mark.parametrize("name", SETS)
def test_a_set_that_changed_under_a_new_version_is_pinned(lists: Path, name: str) -> None:
    edit(lists / name, "awaiting clinical review", "a committee")
    edit(lists / name, f'version = "{entries(lists)[name]["stated_version"]}"', 'version = "9.0.0"')
    write_lock(lists, TODAY)
    assert entries(lists)[name]["stated_version"] == "9.0.0"
    load(lists)


def test_a_source_in_the_lock_is_kept(lists: Path) -> None:
    first = next(iter(entries(lists)))
    edit(lists / "lock.toml", "named in each row or value of the file", "a committee")
    append(lists / first, "odd")
    write_lock(lists, TODAY)
    assert entries(lists)[first]["source"] == "a committee"


def test_a_first_lock_starts_at_version_one(lists: Path) -> None:
    (lists / "lock.toml").unlink()
    write_lock(lists, date(2030, 1, 1))
    assert {(e["version"], e["date"]) for e in entries(lists).values()} == {("1", "2030-01-01")}
    assert set(entries(lists)) == {p.relative_to(lists).as_posix() for p in lists_in(lists)}
    load(lists)


def test_the_knowledge_version_changes_with_any_list(lists: Path) -> None:
    before = load(lists).version
    append(lists / "codes/severity.csv", "snomed", "1", "mild", "test")
    write_lock(lists, date(2030, 1, 1))
    assert load(lists).version != before
    assert load(lists).version.startswith("2030-01-01.")
