"""Which medicine a record names: a code settles it, unless the words beside it name another."""

import pytest

from service.core.medicines import identify_medicine
from service.core.records import Coding, Concept, Identified, Role
from tests.core.builders import US, coded


def ident(concept: Concept) -> tuple[str, str, str | None]:
    found = identify_medicine(concept, US)
    return (found.identified.value, found.role.value, found.ingredient)


@pytest.mark.parametrize(
    ("concept", "expected"),
    [
        pytest.param(coded("rxnorm", "4493"), ("coded", "antidepressant", "fluoxetine"), id="RxNorm"),
        pytest.param(coded("atc", "N06AB06"), ("coded", "antidepressant", "sertraline"), id="ATC"),
        pytest.param(coded("snomed", "372767007"), ("coded", "antidepressant", "fluoxetine"), id="SNOMED"),
        pytest.param(
            coded("rxnorm", "4493", "Prozac"), ("coded", "antidepressant", "fluoxetine"), id="brand agrees"
        ),
        pytest.param(
            coded("rxnorm", "4493", text="FLUOXETINE 20 mg"),
            ("coded", "antidepressant", "fluoxetine"),
            id="text agrees",
        ),
        pytest.param(
            coded("rxnorm", "4493", "something unheard of"),
            ("coded", "antidepressant", "fluoxetine"),
            id="words that name nothing do not contradict",
        ),
        pytest.param(
            coded("rxnorm", "4493", "sertraline 50 MG"),
            ("code-display-conflict", "antidepressant", None),
            id="display names another antidepressant",
        ),
        pytest.param(
            coded("rxnorm", "4493", text="sertraline"),
            ("code-display-conflict", "antidepressant", None),
            id="text names another antidepressant",
        ),
        pytest.param(
            coded("rxnorm", "4493", "lithium"),
            ("code-display-conflict", "antidepressant", None),
            id="display names an augmenting agent",
        ),
        pytest.param(
            coded("rxnorm", "6448", "sertraline"),
            ("code-display-conflict", "antidepressant", None),
            id="agent's code, antidepressant's name",
        ),
        pytest.param(
            coded("rxnorm", "36437", "Spravato"),
            ("code-display-conflict", "esketamine", None),
            id="conflict with esketamine still counts for safety",
        ),
        pytest.param(
            coded("rxnorm", "2119365"), ("coded", "esketamine", "esketamine"), id="esketamine is no trial"
        ),
        pytest.param(coded("rxnorm", "6130"), ("coded", "esketamine", "ketamine"), id="ketamine"),
        pytest.param(coded("rxnorm", "6448"), ("coded", "augmenting", "lithium"), id="augmenting agent"),
        pytest.param(
            coded("rxnorm", "349545"), ("coded", "augmenting", "aripiprazole"), id="augmenting product"
        ),
        pytest.param(
            coded("urn:other", "4493", "sertraline"),
            ("text-only", "antidepressant", "sertraline"),
            id="a code in an unknown system is no code",
        ),
        pytest.param(
            coded("urn:other", "4493"), ("unresolved", "other", None), id="a code without words says nothing"
        ),
        pytest.param(
            Concept(text="Zoloft 50"), ("text-only", "antidepressant", "sertraline"), id="brand by text"
        ),
        pytest.param(
            Concept(text="SERTRALINE"), ("text-only", "antidepressant", "sertraline"), id="upper case"
        ),
        pytest.param(
            Concept(text="Spravato"), ("text-only", "esketamine", "esketamine"), id="spravato by text"
        ),
        pytest.param(Concept(text="lithium"), ("text-only", "augmenting", "lithium"), id="lithium by text"),
        pytest.param(
            Concept(text="sertraline or fluoxetine"),
            ("code-display-conflict", "antidepressant", None),
            id="text names two antidepressants",
        ),
        pytest.param(
            Concept(text="sertraline + lithium"),
            ("text-only", "antidepressant", "sertraline"),
            id="an antidepressant beside an agent",
        ),
        pytest.param(
            Concept(text="esketamine beside sertraline and fluoxetine"),
            ("text-only", "esketamine", "esketamine"),
            id="esketamine in text outranks all",
        ),
        pytest.param(
            Concept(text="sertralinex"), ("unlisted", "other", None), id="a name matches whole words only"
        ),
        pytest.param(Concept(text="an SSRI"), ("looks-like-antidepressant", "other", None), id="class name"),
        pytest.param(
            Concept(text="Zeroxetine"), ("looks-like-antidepressant", "other", None), id="name ending"
        ),
        pytest.param(Concept(text="ramipril"), ("unlisted", "other", None), id="some other medicine"),
        pytest.param(
            coded("rxnorm", "35296", "ramipril"), ("other", "other", None), id="some other medicine by code"
        ),
        pytest.param(
            coded("urn:x", "1", "ramipril"), ("unlisted", "other", None), id="by a code of nobody's system"
        ),
        pytest.param(Concept(text="lorazepam"), ("other", "other", None), id="one known to interact"),
        pytest.param(Concept(), ("unresolved", "other", None), id="nothing"),
        pytest.param(Concept(text=""), ("unresolved", "other", None), id="empty text"),
    ],
)
def test_medicine(concept: Concept, expected: tuple[str, str, str | None]) -> None:
    assert ident(concept) == expected


def test_two_codes_of_one_medicine_agree_and_the_product_says_more() -> None:
    both = Concept((Coding("atc", "N06AB03", None), Coding("rxnorm", "313989", None)), None)
    product = identify_medicine(coded("rxnorm", "310384"), US)
    again = identify_medicine(
        Concept((Coding("atc", "N06AB03", None), Coding("rxnorm", "310384", None)), None), US
    )
    assert product.unit is not None
    assert (again.strength_mg, again.unit) == (product.strength_mg, product.unit)
    assert identify_medicine(both, US).ingredient == "fluoxetine"


def test_two_codes_of_different_medicines_are_a_conflict() -> None:
    concept = Concept((Coding("rxnorm", "4493", None), Coding("rxnorm", "36437", None)), None)
    assert ident(concept) == ("code-display-conflict", "antidepressant", None)


@pytest.mark.parametrize(
    ("display", "strength"),
    [
        pytest.param(None, 50.0, id="no words"),
        pytest.param("sertraline 50 MG Oral Tablet", 50.0, id="same strength"),
        pytest.param("sertraline", 50.0, id="no strength in the words"),
        pytest.param("sertraline 100 mg tablets", None, id="another strength: the dose is not documented"),
        pytest.param("sertraline 0.5 mg", None, id="a decimal"),
    ],
)
def test_words_with_another_strength_leave_the_strength_open(
    display: str | None, strength: float | None
) -> None:
    found = identify_medicine(coded("rxnorm", "312941", display), US)
    assert (found.identified, found.ingredient) == (Identified.CODED, "sertraline")
    assert found.strength_mg == strength


@pytest.mark.parametrize(
    ("concept", "why"),
    [
        pytest.param(coded("rxnorm", "1801289"), "smoking-cessation", id="product code of Zyban"),
        pytest.param(coded("rxnorm", "42347", "Zyban"), "smoking-cessation", id="brand beside a code"),
        pytest.param(Concept(text="Zyban"), "smoking-cessation", id="brand alone"),
        pytest.param(
            Concept(text="Zyban (bupropion)"), "smoking-cessation", id="brand and ingredient in words"
        ),
        pytest.param(coded("rxnorm", "258326"), "supplement", id="St John's wort"),
        pytest.param(coded("rxnorm", "2121777"), "postpartum-course", id="brexanolone"),
        pytest.param(coded("rxnorm", "42347", "bupropion"), None, id="bupropion itself"),
    ],
)
def test_what_is_never_a_trial_says_why(concept: Concept, why: str | None) -> None:
    found = identify_medicine(concept, US)
    assert (found.role, found.not_a_trial) == (Role.ANTIDEPRESSANT, why)


def test_a_label_is_what_a_person_recognises() -> None:
    assert identify_medicine(coded("rxnorm", "4493", "Prozac"), US).label == "Prozac"
    assert (
        identify_medicine(coded("rxnorm", "4493", "Prozac", text="the green one"), US).label
        == "the green one"
    )
    assert identify_medicine(coded("rxnorm", "4493"), US).label == "4493"
    assert identify_medicine(Concept(), US).label == "medicine not named"
