"""The daily dose in mg, from structured instructions first and from text where they are incomplete."""

from typing import Any

import pytest

from service.core.dosing import Amount, DoseStep, daily_dose
from service.core.records import Dose, DoseBasis, Medicine
from tests.core.builders import NOT_DOCUMENTED, UNREADABLE_DOSE, US, medicine

INGREDIENT = medicine("sertraline")
TABLET = medicine("sertraline", strength_mg=50.0, unit="tablet")
CAPSULE = medicine("fluoxetine", strength_mg=20.0, unit="capsule")
WEEKLY = medicine("fluoxetine", strength_mg=90.0, unit="capsule", unit_days=7)
PATCH = medicine("selegiline", strength_mg=6.0, unit="patch")
SYRUP = medicine("sertraline", strength_mg=20.0, unit="mL")
DAILY = (1.0, 1.0)


def mg(low: float, high: float | None = None) -> Dose:
    return Dose(DoseBasis.DOCUMENTED, low, low if high is None else high)


def amount_of(amount: float | tuple[float, float], unit: str = "mg") -> Amount:
    low, high = amount if isinstance(amount, tuple) else (amount, amount)
    return Amount(low, high, US.dose_lexicon.unit(unit))


def step(
    amount: float | tuple[float, float] | None = None,
    unit: str = "mg",
    times: tuple[float, float] | None = None,
    text: str | None = None,
    **more: Any,
) -> DoseStep:
    given = None if amount is None else amount_of(amount, unit)
    return DoseStep(given, times, texts=() if text is None else (text,), **more)


@pytest.mark.parametrize(
    ("given", "of", "expected"),
    [
        pytest.param(step(100, times=DAILY), INGREDIENT, mg(100), id="mg once a day"),
        pytest.param(step(50, times=(2, 2)), INGREDIENT, mg(100), id="mg twice a day"),
        pytest.param(step(0.1, "g", DAILY), INGREDIENT, mg(100), id="grams"),
        pytest.param(step(25000, "ug", DAILY), INGREDIENT, mg(25), id="micrograms"),
        pytest.param(step(25000, "mcg", DAILY), INGREDIENT, mg(25), id="micrograms, common spelling"),
        pytest.param(step((50, 100), times=DAILY), INGREDIENT, mg(50, 100), id="range of amounts"),
        pytest.param(step(50, times=(1, 2)), INGREDIENT, mg(50, 100), id="range of times"),
        pytest.param(step((50, 100), times=(1, 2)), INGREDIENT, mg(50, 200), id="both ranges"),
        pytest.param(
            step(100, times=DAILY, as_needed=True), INGREDIENT, mg(0, 100), id="as needed may be none"
        ),
        pytest.param(step(2, "tablet", DAILY), TABLET, mg(100), id="tablets times strength"),
        pytest.param(step(2, "tbl", DAILY), TABLET, mg(100), id="an abbreviation"),
        pytest.param(step(0.5, "tablet", DAILY), TABLET, mg(25), id="half a tablet"),
        pytest.param(step(1, "capsule", DAILY), CAPSULE, mg(20), id="capsules"),
        pytest.param(step(1, "patch", DAILY), PATCH, mg(6), id="a patch a day"),
        pytest.param(step(5, "ml", DAILY), SYRUP, mg(100), id="millilitres times concentration"),
        pytest.param(
            step(1, "capsule", (1 / 7, 1 / 7)), WEEKLY, mg(12.857), id="a weekly capsule is divided by 7"
        ),
        pytest.param(step(2, "tablet", DAILY), INGREDIENT, UNREADABLE_DOSE, id="tablets of unknown strength"),
        pytest.param(step(5, "ml", DAILY), TABLET, UNREADABLE_DOSE, id="millilitres of a tablet"),
        pytest.param(step(1, "tablet", DAILY), SYRUP, UNREADABLE_DOSE, id="a tablet of a syrup"),
        pytest.param(step(1, "drop", DAILY), SYRUP, UNREADABLE_DOSE, id="unit not known"),
        pytest.param(step(100), INGREDIENT, UNREADABLE_DOSE, id="an amount without a time"),
        pytest.param(step(times=DAILY), INGREDIENT, NOT_DOCUMENTED, id="a time without an amount"),
        pytest.param(step(), INGREDIENT, NOT_DOCUMENTED, id="nothing at all"),
        pytest.param(step(0, times=DAILY), INGREDIENT, UNREADABLE_DOSE, id="zero is no dose"),
        pytest.param(step(-50, times=DAILY), INGREDIENT, UNREADABLE_DOSE, id="less than nothing"),
        pytest.param(step((100, 50), times=DAILY), INGREDIENT, UNREADABLE_DOSE, id="a range upside down"),
    ],
)
def test_structured(given: DoseStep, of: Medicine, expected: Dose) -> None:
    assert daily_dose((given,), of, US) == expected


@pytest.mark.parametrize(
    ("text", "of", "expected"),
    [
        pytest.param("50 mg daily", INGREDIENT, mg(50), id="daily"),
        pytest.param("Take 50mg PO QD", INGREDIENT, mg(50), id="abbreviations"),
        pytest.param("50 mg twice daily", INGREDIENT, mg(100), id="twice"),
        pytest.param("50 mg b.i.d.", INGREDIENT, mg(100), id="with dots"),
        pytest.param("25 mg three times a day", INGREDIENT, mg(75), id="three times"),
        pytest.param("50 mg 2 times a day", INGREDIENT, mg(100), id="a number in the frequency"),
        pytest.param("50 mg at bedtime", INGREDIENT, mg(50), id="bedtime"),
        pytest.param("100 mg every other day", INGREDIENT, mg(50), id="every other day"),
        pytest.param("90 mg once weekly", INGREDIENT, mg(12.857), id="weekly"),
        pytest.param("50-100 mg daily", INGREDIENT, mg(50, 100), id="range with a dash"),
        pytest.param("50 to 100 mg daily", INGREDIENT, mg(50, 100), id="range in words"),
        pytest.param("37,5 mg daily", INGREDIENT, mg(37.5), id="decimal comma"),
        pytest.param("37.5 mg daily", INGREDIENT, mg(37.5), id="decimal point"),
        pytest.param("50 mg daily as needed", INGREDIENT, mg(0, 50), id="as needed"),
        pytest.param("50 mg daily PRN", INGREDIENT, mg(0, 50), id="prn"),
        pytest.param("2 tablets daily", TABLET, mg(100), id="tablets"),
        pytest.param("1 patch daily", PATCH, mg(6), id="patch"),
        pytest.param("5 mL twice a day", SYRUP, mg(200), id="millilitres"),
        pytest.param("2 tablets daily", INGREDIENT, UNREADABLE_DOSE, id="tablets of unknown strength"),
        pytest.param("take as directed", INGREDIENT, UNREADABLE_DOSE, id="no dose in it"),
        pytest.param("50 mg", INGREDIENT, UNREADABLE_DOSE, id="no frequency"),
        pytest.param("daily", INGREDIENT, UNREADABLE_DOSE, id="no amount"),
        pytest.param("50 mg daily, then 100 mg daily", INGREDIENT, UNREADABLE_DOSE, id="two amounts"),
        pytest.param("50 mg daily or twice daily", INGREDIENT, UNREADABLE_DOSE, id="two frequencies"),
        pytest.param("50 mg daily for 2 weeks", INGREDIENT, UNREADABLE_DOSE, id="another number"),
        pytest.param("50 mg daily, increasing slowly", INGREDIENT, UNREADABLE_DOSE, id="titration in words"),
        pytest.param("50 mg daily and half at night", INGREDIENT, UNREADABLE_DOSE, id="and half"),
        pytest.param("fifty mg daily", INGREDIENT, UNREADABLE_DOSE, id="a number in words"),
        pytest.param("0 mg daily", INGREDIENT, UNREADABLE_DOSE, id="zero"),
    ],
)
def test_text(text: str, of: Medicine, expected: Dose) -> None:
    assert daily_dose((step(text=text),), of, US) == expected


@pytest.mark.parametrize(
    ("given", "of", "expected"),
    [
        pytest.param(
            step(100, times=DAILY, text="nonsense"), INGREDIENT, mg(100), id="structure comes first"
        ),
        pytest.param(step(100, text="twice a day"), INGREDIENT, mg(200), id="amount coded, times in text"),
        pytest.param(step(times=(2, 2), text="50 mg"), INGREDIENT, mg(100), id="times coded, amount in text"),
        pytest.param(
            step(2, "tablet", DAILY, text="50 mg daily"),
            INGREDIENT,
            UNREADABLE_DOSE,
            id="whether the text means a tablet or the day is not guessed",
        ),
        pytest.param(step(times=(2, 2), text=""), INGREDIENT, NOT_DOCUMENTED, id="empty text is no text"),
        pytest.param(
            step(text="50 mg daily", as_needed=True), INGREDIENT, mg(0, 50), id="as needed beside the text"
        ),
    ],
)
def test_text_fills_what_the_structure_leaves_out(given: DoseStep, of: Medicine, expected: Dose) -> None:
    assert daily_dose((given,), of, US) == expected


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        pytest.param((), NOT_DOCUMENTED, id="no instruction"),
        pytest.param(
            (step(50, times=DAILY), step(100, times=DAILY)), mg(50, 150), id="together or one after the other"
        ),
        pytest.param((step(50, times=DAILY), step()), UNREADABLE_DOSE, id="one says nothing"),
        pytest.param((step(50, times=DAILY), step(text="?")), UNREADABLE_DOSE, id="one cannot be read"),
        pytest.param((step(), step(text="?")), UNREADABLE_DOSE, id="unreadable is worse than silent"),
    ],
)
def test_several_steps(steps: tuple[DoseStep, ...], expected: Dose) -> None:
    assert daily_dose(steps, INGREDIENT, US) == expected


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        pytest.param(
            (
                step(50, times=DAILY, moments=frozenset({"MORN"})),
                step(0, times=DAILY, moments=frozenset({"NOON"})),
                step(50, times=DAILY, moments=frozenset({"EVE"})),
            ),
            mg(100),
            id="at other times of one day, and nothing at noon",
        ),
        pytest.param(
            (
                step(50, times=DAILY, moments=frozenset({"MORN"})),
                step(100, times=DAILY, moments=frozenset({"MORN"})),
            ),
            mg(50, 150),
            id="at the same time of the day",
        ),
        pytest.param(
            (step(50, times=DAILY, sequence=1), step(100, times=DAILY, sequence=1)), mg(150), id="one number"
        ),
        pytest.param(
            (step(50, times=DAILY, sequence=1), step(100, times=DAILY, sequence=2)),
            mg(50, 150),
            id="one after the other",
        ),
        pytest.param(
            (step(0, times=DAILY), step(0, times=DAILY)), UNREADABLE_DOSE, id="nothing at all times"
        ),
    ],
)
def test_instructions_of_one_day_add_up(steps: tuple[DoseStep, ...], expected: Dose) -> None:
    assert daily_dose(steps, INGREDIENT, US) == expected


@pytest.mark.parametrize(
    ("given", "of", "expected"),
    [
        pytest.param(step(a_day=amount_of(25)), INGREDIENT, mg(25), id="an amount a day"),
        pytest.param(step(a_day=amount_of(25), times=DAILY), INGREDIENT, mg(25), id="once a day"),
        pytest.param(
            step(a_day=amount_of(25), times=(2, 2)), INGREDIENT, UNREADABLE_DOSE, id="a day, twice a day?"
        ),
        pytest.param(
            step(50, times=(2, 2), a_day=amount_of(100)), INGREDIENT, mg(100), id="an amount and a rate agree"
        ),
        pytest.param(
            step(50, times=(2, 2), a_day=amount_of(25)), INGREDIENT, UNREADABLE_DOSE, id="they do not"
        ),
        pytest.param(
            step(a_day=amount_of(1, "tablet")), INGREDIENT, UNREADABLE_DOSE, id="tablets a day, no strength"
        ),
        pytest.param(
            step(100, times=DAILY, most_a_day=amount_of(50)), INGREDIENT, mg(50), id="no more than that a day"
        ),
        pytest.param(
            step((50, 100), times=DAILY, most_a_day=amount_of(75)),
            INGREDIENT,
            mg(50, 75),
            id="cut at the top",
        ),
        pytest.param(
            step(100, times=(2, 2), most_at_once=amount_of(50)), INGREDIENT, mg(100), id="no more at a time"
        ),
        pytest.param(
            step(100, times=DAILY, most_a_day=amount_of(1, "tablet")),
            INGREDIENT,
            UNREADABLE_DOSE,
            id="a limit that is not understood",
        ),
        pytest.param(step(most_a_day=amount_of(200)), INGREDIENT, UNREADABLE_DOSE, id="a limit alone"),
        pytest.param(step(unclear=True), INGREDIENT, UNREADABLE_DOSE, id="something unclear"),
        pytest.param(step(timing_unclear=True), INGREDIENT, UNREADABLE_DOSE, id="an unclear timing"),
        pytest.param(
            step(50, timing_unclear=True, text="50 mg daily"),
            INGREDIENT,
            mg(50),
            id="words explain an unclear timing",
        ),
        pytest.param(step(asides=("with food",)), INGREDIENT, NOT_DOCUMENTED, id="an aside on food"),
        pytest.param(step(asides=("take half",)), INGREDIENT, UNREADABLE_DOSE, id="an aside on the amount"),
        pytest.param(
            step(100, times=DAILY, asides=("may cause drowsiness",)), INGREDIENT, mg(100), id="a warning"
        ),
        pytest.param(
            step(100, times=DAILY, asides=("increase after 2 weeks",)),
            INGREDIENT,
            UNREADABLE_DOSE,
            id="an aside on a change",
        ),
        pytest.param(
            step(asides=("Take 25 mg by mouth once daily",)), INGREDIENT, mg(25), id="the dose in an aside"
        ),
    ],
)
def test_what_bears_on_the_dose(given: DoseStep, of: Medicine, expected: Dose) -> None:
    assert daily_dose((given,), of, US) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("100 mg daily", mg(100), id="the same"),
        pytest.param("50 mg twice daily", mg(100), id="the same a day"),
        pytest.param("Take 2 tablets by mouth daily", mg(100), id="in tablets"),
        pytest.param("for low mood, as discussed", mg(100), id="no amount"),
        pytest.param("in the morning", mg(100), id="when"),
        pytest.param("100 mg daily as needed", mg(0, 100), id="as needed"),
        pytest.param("25 mg", UNREADABLE_DOSE, id="another amount"),
        pytest.param("25 mg daily", UNREADABLE_DOSE, id="another dose"),
        pytest.param("twice daily", UNREADABLE_DOSE, id="another frequency"),
        pytest.param("100 mg daily for 2 weeks, later 50 mg", UNREADABLE_DOSE, id="another amount later"),
        pytest.param("taper as discussed", UNREADABLE_DOSE, id="a change"),
    ],
)
def test_a_text_beside_a_structured_dose_must_not_contradict_it(text: str, expected: Dose) -> None:
    assert daily_dose((step(100, times=DAILY, text=text),), INGREDIENT, US) == expected


@pytest.mark.parametrize(
    ("steps", "rendered", "expected"),
    [
        pytest.param((), "50 mg daily", mg(50), id="alone"),
        pytest.param((), "see chart", UNREADABLE_DOSE, id="alone and not understood"),
        pytest.param((step(50, times=DAILY),), "50 mg once daily", mg(50), id="as the structure says"),
        pytest.param((step(50, times=DAILY),), "see chart", mg(50), id="nothing more than the structure"),
        pytest.param((step(50, times=DAILY),), "25 mg once daily", UNREADABLE_DOSE, id="another dose"),
        pytest.param((step(text="?"),), "50 mg daily", UNREADABLE_DOSE, id="beside what is not understood"),
        pytest.param((), " ", NOT_DOCUMENTED, id="empty"),
    ],
)
def test_one_text_for_all_instructions(steps: tuple[DoseStep, ...], rendered: str, expected: Dose) -> None:
    assert daily_dose(steps, INGREDIENT, US, rendered) == expected
