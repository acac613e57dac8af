"""The shares of open answers that the page of the rules states are those of the generated records."""

import re

import pytest

from tests.shares import KINDS, share_of
from tests.soak import CRITERIA
from tests.support import ROOT

PAGE = (ROOT / "docs" / "how-it-decides.md").read_text(encoding="utf-8")
STATED = {
    match[1]: tuple(int(share) / 100 for share in re.findall(r"(\d+) %", match[2]))
    for match in re.finditer(r"^\| `([\w-]+)` \|((?: \d+ % \|)+)$", PAGE, re.MULTILINE)
}
PATIENTS = 20
"""Enough to see that a rule changed, few enough for every day."""
NEAR = 0.2
"""The share of so few patients differs from that of the page by chance."""


def test_every_criteria_set_has_its_shares() -> None:
    assert list(STATED) == CRITERIA
    assert all(len(shares) == len(KINDS) for shares in STATED.values())


@pytest.mark.parametrize("criteria", CRITERIA)
def test_the_shares_are_near_what_the_page_states(criteria: str) -> None:
    found = tuple(share_of(criteria, kind, PATIENTS) for kind in KINDS)
    assert found == pytest.approx(STATED[criteria], abs=NEAR)


def test_the_set_for_orders_asks_for_less_where_there_are_only_orders() -> None:
    kind = "prescriptions only"
    assert share_of("ehr-orders", kind, PATIENTS) < share_of("fda", kind, PATIENTS)
