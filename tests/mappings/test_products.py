"""Every product of the public antidepressant value sets means what a pharmacist expects of it."""

import csv
from typing import NamedTuple

import pytest

from service.core.medicines import identify_medicine
from service.core.records import Identified, Role
from tests.core.builders import US, coded
from tests.support import ROOT


class Product(NamedTuple):
    rxnorm: str
    display: str
    ingredient: str
    role: Role
    strength_mg: float | None
    unit_days: int
    refused: str | None


def product(row: dict[str, str]) -> Product:
    return Product(
        row["rxnorm"],
        row["display"],
        row["ingredient"],
        Role(row["role"]),
        float(row["strength_mg"]) if row["strength_mg"] else None,
        int(row["unit_days"]),
        row["refused"] or None,
    )


def products() -> list[Product]:
    path = ROOT / "fixtures" / "codes" / "antidepressant_products_expected.csv"
    with path.open(encoding="utf-8", newline="") as file:
        return [product(row) for row in csv.DictReader(file)]


PRODUCTS = products()


def test_the_value_sets_have_230_products() -> None:
    assert len({expected.rxnorm for expected in PRODUCTS}) == len(PRODUCTS) == 230


@pytest.mark.parametrize("expected", PRODUCTS, ids=lambda expected: expected.rxnorm)
def test_a_product_is_its_ingredient_or_says_why_it_is_no_trial(expected: Product) -> None:
    found = identify_medicine(coded("rxnorm", expected.rxnorm, expected.display), US)
    assert found.identified is Identified.CODED
    assert (found.ingredient, found.role) == (expected.ingredient, expected.role)
    assert (found.strength_mg, found.unit_days) == (expected.strength_mg, expected.unit_days)
    assert found.not_a_trial == expected.refused
