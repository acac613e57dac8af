"""Dosage instructions as people write them: read when every word is understood, and never guessed."""

import time

import pytest

from service.core.dose_text import strengths_in
from service.core.dose_words import UnitKind
from service.core.dosing import DoseStep, daily_dose
from service.core.records import Dose, DoseBasis, Medicine
from tests.core.builders import UNREADABLE_DOSE, US, medicine

INGREDIENT = medicine("sertraline")
TABLET = medicine("sertraline", strength_mg=50.0, unit="tablet")
UNREADABLE = None


def dose_of(text: str, of: Medicine) -> Dose:
    return daily_dose((DoseStep(texts=(text,)),), of, US)


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("Take 1 tablet (100 mg total) by mouth daily", 100, 100),
        ("Take 2 capsules (40 mg) by mouth every morning", 40, 80),
        ("Take 2 tablets (50 mg each) by mouth daily", 100, 100),
        ("one 50 mg tablet daily", 50, 50),
        ("50 mg tablet, take 2 daily", 100, 100),
        ("Sertraline 50 mg: take 2 tablets daily", 50, 100),
        ("Sertraline 100 mg 1-0-0", 100, 100),
        ("50 mg PO qd", 50, 50),
        ("50 mg po qhs", 50, 50),
        ("50 mg t.i.d.", 150, 150),
        ("25 mg/d", 25, 25),
        ("25 mg per day", 25, 25),
        ("50 mg every 12 hours", 100, 100),
        ("50 mg q8h", 150, 150),
        ("50 mg every 6-8 hours", 150, 200),
        ("50 mg 2x daily", 100, 100),
        ("2 x 50 mg daily", 100, 100),
        ("50 mg 2-3 times a day", 100, 150),
        ("50 mg once weekly", 7.143, 7.143),
        ("50 mg in the morning and 100 mg at night", 150, 150),
        ("in the morning 50 mg, in the evening 100 mg", 150, 150),
        ("50 mg in the morning and at bedtime", 100, 100),
        ("50 mg morning, noon and night", 150, 150),
        ("50 mg in the evening at bedtime", 50, 100),
        ("50 mg twice daily, morning and evening", 100, 100),
        ("50-0-50 mg", 100, 100),
        ("50 mg t\u00e4glich", 50, 50),
        ("2x t\u00e4glich 37,5 mg", 75, 75),
        ("zweimal t\u00e4glich 50 mg", 100, 100),
        ("alle 12 Stunden 50 mg", 100, 100),
        ("50 mg par jour", 50, 50),
        ("50 mg 2 fois par jour", 100, 100),
        ("50 mg cada 12 horas", 100, 100),
        ("50 mg dos veces al d\u00eda", 100, 100),
        ("50 mg 2 maal daags", 100, 100),
        ("50 milligrams daily", 50, 50),
        ("25000 \u00b5g daily", 25, 25),
        ("50 mg daily prn", 0, 50),
        ("50 mg (50 mg) daily", UNREADABLE, None),
        ("50 mg daily for 2 weeks", UNREADABLE, None),
        ("50 mg daily unless drowsy", UNREADABLE, None),
        ("50 mg on Mondays", UNREADABLE, None),
        ("50 mg twice daily in the morning", UNREADABLE, None),
        ("up to 50 mg daily", UNREADABLE, None),
        ("fluoxetine 50 mg daily", UNREADABLE, None),
        ("1,000 mg daily", UNREADABLE, None),
        ("1.000 mg daily", UNREADABLE, None),
        ("0.125 g daily", 125, 125),
        (".5 g daily", 500, 500),
        ("mg.5 daily", UNREADABLE, None),
        ("100-50 mg daily", UNREADABLE, None),
        ("50/100 mg daily", UNREADABLE, None),
        ("1-0-1-0-1", UNREADABLE, None),
        ("50 mg " + "and water " * 60 + "daily", UNREADABLE, None),
    ],
)
def test_in_milligrams(text: str, low: float | None, high: float | None) -> None:
    wanted = UNREADABLE_DOSE if low is None else Dose(DoseBasis.DOCUMENTED, low, high)
    assert dose_of(text, INGREDIENT) == wanted


@pytest.mark.parametrize(
    ("text", "low"),
    [
        ("Take one tablet by mouth twice a day", 100),
        ("1 tab po qhs", 50),
        ("take 1 daily", 50),
        ("half a tablet daily", 25),
        ("\u00bd tablet daily", 25),
        ("1\u00bd tablets daily", 75),
        ("1 1/2 tablets daily", 75),
        ("0.5 tablet daily", 25),
        ("one and a half tablets daily", 75),
        ("1-0-1-0", 100),
        ("1 - 0 - 1", 100),
        ("\u00bd-0-0", 25),
        ("1\u20130\u20131 Tabletten", 100),
        ("Morgens und abends je 1 Tablette", 100),
        ("1 Tablette(n) t\u00e4glich", 50),
        ("1 comprim\u00e9 le matin", 50),
        ("1 comprimido por la ma\u00f1ana", 50),
        ("1 tablet 's avonds", 50),
        ("Sertraline 50 mg: take 2 tablets daily", 100),
        ("2 tablets (50 mg) daily", 100),
        ("2 tablets (100 mg) daily", 100),
        ("2 tablets (25 mg) daily", None),
        ("Take 1 tablet (100 mg total) by mouth daily", None),
        ("5 mL daily", None),
        ("1 tablet and a half daily", None),
        ("1-1/2 tablets daily", None),
    ],
)
def test_in_tablets_of_a_known_strength(text: str, low: float | None) -> None:
    wanted = UNREADABLE_DOSE if low is None else Dose(DoseBasis.DOCUMENTED, low, low)
    assert dose_of(text, TABLET) == wanted


@pytest.mark.parametrize(
    ("name", "strengths"),
    [
        ("Sertralin 25 mg Filmtabletten", {(25.0, "item")}),
        ("sertraline 0.025 g", {(25.0, "item")}),
        ("sertraline 20 MG/ML Oral Solution", {(20.0, "volume")}),
        ("sertraline 100 mg/5 mL", {(20.0, "volume")}),
        ("olanzapine 6 MG / fluoxetine 25 MG Oral Capsule", {(6.0, "item"), (25.0, "item")}),
        ("24 HR venlafaxine 75 MG Extended Release Oral Capsule", {(75.0, "item")}),
        ("Zoloft 50", {(50.0, "item")}),
        ("24 HR venlafaxine", set()),
        ("sertraline", set()),
    ],
)
def test_the_strengths_that_a_name_states(name: str, strengths: set[tuple[float, str]]) -> None:
    assert {(mg, kind.value) for mg, kind in strengths_in(name, US)} == strengths
    assert {kind for _, kind in strengths_in(name, US)} <= {UnitKind.ITEM, UnitKind.VOLUME}


@pytest.mark.parametrize(
    "piece", ["1 ", "1-0-", "1/2 ", "mg ", "50 mg daily and ", "(", "\u00bd", "0" * 40, "x"]
)
def test_the_time_for_a_text_does_not_grow_faster_than_the_text(piece: str) -> None:
    """A text beyond any instruction is not read at all; one just short of that is read at once."""
    for length in (400, 100_000):
        text = (piece * length)[:length]
        started = time.process_time()
        assert dose_of(text, TABLET) == UNREADABLE_DOSE
        assert time.process_time() - started < 0.5
