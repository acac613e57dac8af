"""Every condition code of the public quality-measure sets lands where a clinician puts it.

`fixtures/codes/condition_domains_expected.csv` holds the 4,226 distinct codes of 4,392 rows of the eCQM value
sets, each with the domain that it belongs to, judged by its meaning and not by the set that it is in: those
sets have errors, and the tests at the end name them. A code in two lists has both domains, joined by `+`;
`refused` is a code that no list may take, with the reason.
"""

import csv
from collections import defaultdict
from pathlib import Path

import pytest

from service.core.records import DepressionState
from service.knowledge import mappings_directory
from tests.core.builders import EU, US

EXPECTED = Path(__file__).parents[2] / "fixtures" / "codes" / "condition_domains_expected.csv"
REFUSED = "refused"
STATES = {
    DepressionState.MDD: "mdd",
    DepressionState.PARTIAL_REMISSION: "partial-remission",
    DepressionState.REMISSION: "remission",
    DepressionState.UNSPECIFIED: "unspecified-depression",
}
CM, WHO, SNOMED = "icd-10-cm", "icd-10", "snomed"


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


ROWS = rows_of(EXPECTED)
BY_DOMAIN: dict[str, list[dict[str, str]]] = defaultdict(list)
for _row in ROWS:
    BY_DOMAIN[_row["expected"]].append(_row)
KINDS = {
    (row["system"], row["code"]): row["kind"]
    for row in rows_of(mappings_directory() / "codes/observations.csv")
}
FINDINGS = {("snomed", "77386006")}
"""Codes of conditions that observations have as well, where they mean the same."""


def domain(system: str, code: str) -> str:
    """Every domain that the lists put a code in."""
    depression = US.depression.meaning(system, code)
    suicidality = US.suicidality.meaning(system, code)
    domains = [
        STATES[depression.state] if depression else None,
        "psychosis" if depression and depression.psychotic else None,
        "not-depression" if US.not_depression.meaning(system, code) else None,
        f"suicidality-{suicidality.value}" if suicidality else None,
        US.safety_conditions.meaning(system, code),
        None if (system, code) in FINDINGS else KINDS.get((system, code)),
    ]
    return "+".join(filter(None, domains)) or REFUSED


def test_the_facts_are_whole() -> None:
    codes = [(row["system"], row["code"]) for row in ROWS]
    assert len(codes) == len(set(codes)) == 4226
    assert [row for row in ROWS if not row["reason"]] == []


def test_every_safety_domain_is_a_group_in_both_regions() -> None:
    named = {part for found in BY_DOMAIN for part in found.split("+")}
    others = {
        *STATES.values(),
        "not-depression",
        "suicidality-behaviour",
        "phq-9",
        "pregnancy-status",
        REFUSED,
    }
    for knowledge in (US, EU):
        assert named - others <= knowledge.safety_groups.keys()


@pytest.mark.parametrize("expected", sorted(BY_DOMAIN))
def test_every_code_lands_where_it_belongs(expected: str) -> None:
    found = {(row["system"], row["code"]): domain(row["system"], row["code"]) for row in BY_DOMAIN[expected]}
    assert {code: where for code, where in found.items() if where != expected} == {}


# known errors of the public sets ---------------------------------------------------------------


def test_the_set_of_active_major_depression_holds_a_bipolar_code() -> None:
    assert domain(SNOMED, "67002003") == "not-depression+bipolar"


def test_the_set_of_remission_holds_an_active_code() -> None:
    assert domain(SNOMED, "36923009") == "mdd"


@pytest.mark.parametrize("code", ["F31.30", "F31.31", "F31.32", "F31.4", "F31.5", "F31.75", "F31.76"])
def test_the_broad_set_holds_bipolar_depression(code: str) -> None:
    assert domain(CM, code) == "not-depression+bipolar"


@pytest.mark.parametrize("code", ["F32.81", "F32.89", "F34.1", "F43.21", "F53.0"])
def test_the_broad_set_holds_look_alikes(code: str) -> None:
    assert domain(CM, code) == "not-depression"


def test_the_broad_set_holds_depression_that_nobody_calls_major() -> None:
    assert domain(CM, "F32.A") == "unspecified-depression"


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("F32.4", "partial-remission"),
        ("F33.41", "partial-remission"),
        ("F32.5", "remission"),
        ("F33.40", "remission"),
        ("F33.42", "remission"),
    ],
)
def test_cms128_counts_partial_remission_as_active_and_leaves_full_remission_out(
    code: str, expected: str
) -> None:
    assert domain(CM, code) == expected


@pytest.mark.parametrize(
    ("code", "in_the_us", "elsewhere"),
    [
        ("F32.4", "partial-remission", "unspecified-depression"),
        ("F32.5", "remission", "unspecified-depression"),
        ("F32.8", REFUSED, "unspecified-depression"),
        ("F32.9", "mdd", "mdd"),
        ("F32.A", "unspecified-depression", "unspecified-depression"),
        ("F33.4", "remission", "remission"),
        ("F33.41", "partial-remission", "remission"),
        ("F33.8", "mdd", "unspecified-depression"),
    ],
)
def test_the_american_and_the_international_icd_10_disagree(
    code: str, in_the_us: str, elsewhere: str
) -> None:
    assert (domain(CM, code), domain(WHO, code)) == (in_the_us, elsewhere)


@pytest.mark.parametrize(
    ("system", "code", "expected"),
    [
        (CM, "I71.00", "aneurysm-other"),
        (SNOMED, "308546005", "aneurysm-other"),
        (CM, "D18.02", "aneurysm-other"),
        (CM, "I27.20", "cardiac-other"),
        (SNOMED, "34742003", "severe-liver-disease"),
        (SNOMED, "68267002", "raised-intracranial-pressure"),
        (SNOMED, "398254007", "pregnancy"),
        (SNOMED, "32574007", "coronary-disease"),
        (SNOMED, "38368003", "psychosis"),
        (SNOMED, "10811161000119107", "mdd+pregnancy"),
        (SNOMED, "90755006", REFUSED),
        (SNOMED, "50983008", REFUSED),
        (CM, "F60.3", REFUSED),
    ],
)
def test_a_code_is_judged_by_its_meaning_not_by_its_set(system: str, code: str, expected: str) -> None:
    assert domain(system, code) == expected
