"""Facts about the lists of procedures, observations, scales and interacting medicines."""

import csv
import tomllib
from collections import Counter
from collections.abc import Iterator

import pytest

from service.core.knowledge import Effect
from service.core.phrases import PhraseList
from service.knowledge import mappings_directory
from tests.core.builders import EU, US

LISTS = mappings_directory()
INTERACTING = {"cns-depressant", "psychostimulant", "maoi", "thyroid-hormone", "other-pressor"}
KINDS = {
    "procedures": {"ect", "tms", "vns"},
    "observations": {
        *("phq-9", "phq-9-panel", "phq-9-item-9", "madrs"),
        *("c-ssrs-1", "c-ssrs-2", "c-ssrs-3", "c-ssrs-4", "c-ssrs-5", "c-ssrs-6", "c-ssrs-6b", "c-ssrs-risk"),
        *("blood-pressure", "systolic", "diastolic", "pregnancy-status"),
    },
}


def rows(name: str) -> Iterator[dict[str, str]]:
    with (LISTS / name).open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


MEDICINES = list(rows("safety/medicines.csv"))
CODES = {(row["system"], row["code"]): row["group"] for row in MEDICINES if row["code"]}
NAMES = PhraseList.of({row["name"]: row["group"] for row in MEDICINES if row["name"]})


def atc_group(code: str) -> str | None:
    """The group of an ATC code: that of the longest listed code that it begins with."""
    listed = (CODES.get(("atc", code[:length])) for length in range(len(code), 0, -1))
    return next((group for group in listed if group), None)


# codes of procedures, observations and answers -------------------------------------------------


@pytest.mark.parametrize(
    ("name", "words"), [("procedures", "procedure_words"), ("observations", "observation_words")]
)
def test_every_kind_is_known_and_has_a_row(name: str, words: str) -> None:
    coded = {row["kind"] for row in rows(f"codes/{name}.csv")}
    spoken = {row["kind"] for row in rows(f"codes/{words}.csv")}
    assert coded | spoken == KINDS[name]


@pytest.mark.parametrize(
    "name",
    [
        *("codes/procedures.csv", "codes/observations.csv", "codes/answers.csv"),
        *("safety/medicines.csv", "safety/procedures.csv"),
    ],
)
def test_a_code_stands_once_in_a_list_under_a_known_system(name: str) -> None:
    codes = Counter((row["system"], row["code"]) for row in rows(name) if row["code"])
    assert [code for code, times in codes.items() if times > 1] == []
    assert {system for system, _ in codes} <= set(US.systems.values())


@pytest.mark.parametrize("name", ["codes/procedure_words.csv", "codes/observation_words.csv"])
def test_a_phrase_is_lower_case_and_stands_once(name: str) -> None:
    phrases = [row["phrase"] for row in rows(name)]
    assert phrases == [phrase.strip().lower() for phrase in phrases]
    assert len(phrases) == len(set(phrases))


def test_madrs_has_no_code_and_is_known_by_its_words() -> None:
    assert "madrs" not in {row["kind"] for row in rows("codes/observations.csv")}
    phrases = {row["phrase"] for row in rows("codes/observation_words.csv") if row["kind"] == "madrs"}
    assert {"madrs total score", "montgomery-asberg depression rating scale"} <= phrases


def test_a_bare_phq_9_is_no_score() -> None:
    assert not {"phq-9", "phq9"} & {row["phrase"] for row in rows("codes/observation_words.csv")}


def test_the_score_for_adolescents_is_not_read() -> None:
    assert "89204-2" not in {row["code"] for row in rows("codes/observations.csv")}


def test_what_a_coded_answer_stands_for() -> None:
    values = {row["code"]: row["value"] for row in rows("codes/answers.csv")}
    assert [values[code] for code in ("LA6568-5", "LA6569-3", "LA6570-1", "LA6571-9")] == ["0", "1", "2", "3"]
    assert (values["LA33-6"], values["LA32-8"], values["373066001"], values["373067005"]) == (
        "1",
        "0",
        "1",
        "0",
    )


# check digits ----------------------------------------------------------------------------------

# Dihedral group of order 10 and its permutation: https://en.wikipedia.org/wiki/Verhoeff_algorithm
_TURN = [
    *([0, 1, 2, 3, 4, 5, 6, 7, 8, 9], [1, 2, 3, 4, 0, 6, 7, 8, 9, 5], [2, 3, 4, 0, 1, 7, 8, 9, 5, 6]),
    *([3, 4, 0, 1, 2, 8, 9, 5, 6, 7], [4, 0, 1, 2, 3, 9, 5, 6, 7, 8], [5, 9, 8, 7, 6, 0, 4, 3, 2, 1]),
    *([6, 5, 9, 8, 7, 1, 0, 4, 3, 2], [7, 6, 5, 9, 8, 2, 1, 0, 4, 3], [8, 7, 6, 5, 9, 3, 2, 1, 0, 4]),
    [9, 8, 7, 6, 5, 4, 3, 2, 1, 0],
]
_SHIFT = [1, 5, 7, 6, 2, 8, 3, 0, 9, 4]


def snomed_is_well_formed(code: str) -> bool:
    check = 0
    for place, char in enumerate(reversed(code)):
        digit = int(char)
        for _ in range(place % 8):
            digit = _SHIFT[digit]
        check = _TURN[check][digit]
    return check == 0


def loinc_is_well_formed(code: str) -> bool:
    number, check = code.split("-")
    doubled = (int(char) * (2 - place % 2) for place, char in enumerate(reversed(number)))
    return -sum(value // 10 + value % 10 for value in doubled) % 10 == int(check)


def test_check_digits_find_a_slip() -> None:
    assert (snomed_is_well_formed("370143000"), snomed_is_well_formed("370143001")) == (True, False)
    assert (loinc_is_well_formed("44261-6"), loinc_is_well_formed("44261-7")) == (True, False)


def test_every_snomed_code_has_its_check_digit() -> None:
    codes = {
        code
        for path in LISTS.rglob("*.csv")
        for row in rows(path.relative_to(LISTS).as_posix())
        if (code := row.get("snomed") or (row["code"] if row.get("system") == "snomed" else ""))
    }
    assert len(codes) > 1000
    assert sorted(code for code in codes if not snomed_is_well_formed(code)) == []


def test_every_loinc_code_has_its_check_digit() -> None:
    lists = ("observations", "score_items", "list_contents")
    listed = [row for name in lists for row in rows(f"codes/{name}.csv")]
    codes = [row["code"] for row in listed if row["system"] == "loinc"]
    assert [code for code in codes if not loinc_is_well_formed(code)] == []


# scales ----------------------------------------------------------------------------------------


def test_scales_are_those_of_their_authors() -> None:
    scales = tomllib.loads((LISTS / "scales.toml").read_text(encoding="utf-8"))
    assert {
        table: {key: found["value"] for key, found in keys.items()} for table, keys in scales.items()
    } == {
        "phq-9": {"lowest": 0, "highest": 27, "symptomatic_from": 10, "remission_up_to": 4, "worse_by": 5},
        "madrs": {"lowest": 0, "highest": 60, "symptomatic_from": 20, "remission_up_to": 12, "worse_by": 6},
        "blood-pressure": {"systolic_above": 140, "diastolic_above": 90},
        "pregnancy": {"days": 294},
    }
    assert all(found["source"] for keys in scales.values() for found in keys.values())


# interacting medicines -------------------------------------------------------------------------


def test_every_interacting_medicine_has_a_group_that_cautions() -> None:
    assert {row["group"] for row in MEDICINES} == INTERACTING
    for group in INTERACTING:
        assert EU.safety_groups[group].effect is Effect.CAUTION
        assert US.safety_groups[group].effect in {Effect.CAUTION, None}


def test_only_the_european_label_names_thyroid_hormones() -> None:
    effects = [k.safety_groups["thyroid-hormone"].effect for k in (US, EU)]
    assert effects == [None, Effect.CAUTION]


def test_a_row_of_a_medicine_is_a_code_or_a_name() -> None:
    for row in MEDICINES:
        assert bool(row["code"]) != bool(row["name"]), row
        assert bool(row["code"]) == bool(row["system"]) == bool(row["display"]), row
    names = [row["name"] for row in MEDICINES if row["name"]]
    assert names == [name.strip().lower() for name in names]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("code", "group"),
    [
        ("N05BA06", "cns-depressant"),
        ("N05CF02", "cns-depressant"),
        ("N02AA05", "cns-depressant"),
        ("N06BA04", "psychostimulant"),
        ("N06AF04", "maoi"),
        ("N06AG02", "maoi"),
        ("N04BD01", "maoi"),
        ("H03AA01", "thyroid-hormone"),
        ("N05BE01", None),
        ("N05AN01", None),
        ("N03AX09", None),
        ("N06AB06", None),
        ("N06AX27", None),
        ("N01AX14", None),
    ],
)
def test_group_of_an_atc_code(code: str, group: str | None) -> None:
    assert atc_group(code) == group


@pytest.mark.parametrize(
    ("words", "groups"),
    [
        ("Lorazepam 1 MG Oral Tablet", ("cns-depressant",)),
        ("ADDERALL XR", ("psychostimulant",)),
        ("selegiline patch", ("maoi",)),
        ("amphetamine aspartate", ("psychostimulant",)),
        ("sertraline", ()),
        ("quetiapine", ()),
        ("lamotrigine", ()),
        ("lisinopril", ()),
    ],
)
def test_groups_of_words(words: str, groups: tuple[str, ...]) -> None:
    assert NAMES.all_in(words) == groups


def test_no_antidepressant_interacts_but_a_monoamine_oxidase_inhibitor() -> None:
    for row in rows("codes/antidepressants.csv"):
        expected = "maoi" if row["class"] == "MAOI" else None
        assert CODES.get(("rxnorm", row["rxnorm"])) == (expected if row["rxnorm"] else None), row["name"]
        assert atc_group(row["atc"]) == (expected if row["atc"] else None), row["name"]


def test_a_monoamine_oxidase_inhibitor_interacts_by_any_route() -> None:
    for row in rows("codes/antidepressant_products.csv"):
        ingredient = US.ingredient(row["ingredient"])
        drug_class = ingredient.drug_class if ingredient else None
        assert (CODES.get(("rxnorm", row["rxnorm"])) == "maoi") == (drug_class == "MAOI"), row["display"]


def test_no_augmenting_agent_interacts_but_a_thyroid_hormone() -> None:
    for row in rows("codes/augmenting_agents.csv"):
        found = {CODES.get(("rxnorm", row["rxnorm"])), atc_group(row["atc"]), *NAMES.all_in(row["name"])}
        assert found - {None} == ({"thyroid-hormone"} if row["name"] == "liothyronine" else set()), row[
            "name"
        ]
    for row in rows("codes/augmenting_products.csv"):
        assert ("rxnorm", row["rxnorm"]) not in CODES, row["display"]


def test_every_product_goes_by_a_listed_name_too() -> None:
    """A product whose code is missing from a record is still known by the words of its display.

    Not so low-dose doxepin: the name alone is an antidepressant's.
    """
    for row in MEDICINES:
        if row["system"] == "rxnorm" and "doxepin" not in row["display"]:
            assert row["group"] in NAMES.all_in(row["display"]), row["display"]
