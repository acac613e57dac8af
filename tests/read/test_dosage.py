"""Dosages as FHIR states them: read in every way, and not documented only where nothing states an amount."""

import json
from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.dosing import daily_dose
from service.core.records import Dose, DoseBasis, Medicine
from service.fhir.views import DosageView
from service.read.dosage import read_steps
from service.read.elements import Elements
from tests.core.builders import NOT_DOCUMENTED, UNREADABLE_DOSE, US, medicine
from tests.generated.dosages import MILLIGRAMS, NOISE, TABLETS, WAYS, Stated, in_tablets
from tests.support import Resource

INGREDIENT = medicine("sertraline")
TABLET = medicine("sertraline", strength_mg=50.0, unit="tablet")
DAILY: Resource = {"repeat": {"frequency": 1, "period": 1, "periodUnit": "d"}}
MG: Resource = {"value": 50, "unit": "mg"}


def dose_of(dosages: list[Resource], of: Medicine = INGREDIENT) -> Dose:
    views = [msgspec.json.decode(json.dumps(dosage), type=DosageView) for dosage in dosages]
    return daily_dose(read_steps(views, Elements(US)), of, US)


def mg(low: float, high: float | None = None) -> Dose:
    return Dose(DoseBasis.DOCUMENTED, low, low if high is None else high)


def amount(dose: Resource, timing: Resource | None = None, **more: object) -> Resource:
    given = {"doseAndRate": [dose], **more}
    return given if timing is None else {**given, "timing": timing}


@pytest.mark.parametrize("number", range(len(MILLIGRAMS)))
def test_every_unit_of_mass(number: int) -> None:
    unit, per_mg = MILLIGRAMS[number]
    quantity = {"value": 25 * per_mg, **unit}
    assert dose_of([amount({"doseQuantity": quantity}, DAILY)]) == mg(25)


@pytest.mark.parametrize("number", range(len(TABLETS)))
def test_every_unit_of_tablets(number: int) -> None:
    quantity = {"value": 0.5, **TABLETS[number]}
    assert dose_of([amount({"doseQuantity": quantity}, DAILY)], TABLET) == mg(25)
    assert dose_of([amount({"doseQuantity": quantity}, DAILY)]) == UNREADABLE_DOSE


@pytest.mark.parametrize(
    ("dosage", "expected"),
    [
        pytest.param({}, NOT_DOCUMENTED, id="nothing"),
        pytest.param({"route": {"text": "oral"}}, NOT_DOCUMENTED, id="no amount"),
        pytest.param({"timing": DAILY}, NOT_DOCUMENTED, id="how often, not how much"),
        pytest.param(amount({"doseQuantity": MG}), UNREADABLE_DOSE, id="how much, not how often"),
        pytest.param(amount({"doseQuantity": {"value": 50}}, DAILY), UNREADABLE_DOSE, id="no unit"),
        pytest.param(
            amount({"doseQuantity": {"value": 50, "unit": "mg", "code": "g"}}, DAILY),
            UNREADABLE_DOSE,
            id="two units",
        ),
        pytest.param(
            amount({"doseQuantity": {"value": 50, "unit": "zz"}}, DAILY), UNREADABLE_DOSE, id="unknown unit"
        ),
        pytest.param(amount({"doseQuantity": {"unit": "mg"}}, DAILY), UNREADABLE_DOSE, id="no value"),
        pytest.param(
            amount({"doseQuantity": {**MG, "comparator": ">="}}, DAILY), UNREADABLE_DOSE, id="a comparator"
        ),
        pytest.param(amount({"doseRange": {"low": MG}}, DAILY), UNREADABLE_DOSE, id="a lower end only"),
        pytest.param(amount({"doseRange": {"high": MG}}, DAILY), mg(0, 50), id="an upper end only"),
        pytest.param(
            amount({"doseRange": {"low": MG, "high": {"value": 1, "unit": "g"}}}, DAILY),
            UNREADABLE_DOSE,
            id="a range in two units",
        ),
        pytest.param(
            {"doseAndRate": [{"doseQuantity": MG}, {"doseQuantity": {"value": 1, "unit": "tablet"}}]}
            | {"timing": DAILY},
            UNREADABLE_DOSE,
            id="two units for one dose",
        ),
        pytest.param(
            {"doseAndRate": [{"doseQuantity": MG}, {"doseQuantity": {"value": 75, "unit": "mg"}}]}
            | {"timing": DAILY},
            mg(50, 75),
            id="two amounts for one dose",
        ),
        pytest.param(amount({"rateQuantity": {"value": 50, "unit": "mg"}}), UNREADABLE_DOSE, id="no time"),
        pytest.param(
            amount({"rateRatio": {"numerator": MG, "denominator": {"value": 1, "unit": "week"}}}),
            mg(7.143),
            id="a week",
        ),
        pytest.param(
            amount({"rateRatio": {"numerator": MG, "denominator": {"value": 1, "unit": "kg"}}}),
            UNREADABLE_DOSE,
            id="over something else",
        ),
        pytest.param(amount({"rateRatio": {"numerator": MG}}), UNREADABLE_DOSE, id="over nothing"),
        pytest.param(
            amount({"doseQuantity": MG}, {"event": ["2025-07-01"]}), UNREADABLE_DOSE, id="dates only"
        ),
        pytest.param(amount({"doseQuantity": MG}, {"repeat": {"count": 1}}), UNREADABLE_DOSE, id="once ever"),
        pytest.param(
            amount({"doseQuantity": MG}, {"repeat": {"frequency": 2}}), UNREADABLE_DOSE, id="no period"
        ),
        pytest.param(
            amount({"doseQuantity": MG}, {"repeat": {"dayOfWeek": ["mon"]}}), UNREADABLE_DOSE, id="weekdays"
        ),
        pytest.param(
            amount({"doseQuantity": MG}, {"repeat": {"dayOfWeek": ["mon"], "when": ["MORN"]}}),
            mg(7.143),
            id="one morning a week",
        ),
        pytest.param(
            amount(
                {"doseQuantity": MG},
                {"repeat": {"frequency": 1, "period": 1, "periodUnit": "d", "when": ["MORN", "EVE"]}},
            ),
            mg(50, 100),
            id="once a day at two times",
        ),
        pytest.param(
            amount({"doseQuantity": MG}, {**DAILY, "code": {"coding": [{"code": "BID"}]}}),
            UNREADABLE_DOSE,
            id="the rule and the code disagree",
        ),
        pytest.param(
            amount({"doseQuantity": MG}, {"code": {"coding": [{"system": "urn:x", "code": "x7"}]}}),
            UNREADABLE_DOSE,
            id="an unknown code",
        ),
        pytest.param(
            amount({"doseQuantity": MG}, {"code": {"coding": [{"code": "BID"}], "text": "50 mg then 75 mg"}}),
            UNREADABLE_DOSE,
            id="words of the timing speak of a change",
        ),
        pytest.param(
            amount({"doseQuantity": MG}, {**DAILY, "modifierExtension": [{}]}),
            UNREADABLE_DOSE,
            id="a modifier in the timing",
        ),
        pytest.param(
            amount({"doseQuantity": MG, "modifierExtension": [{}]}, DAILY),
            UNREADABLE_DOSE,
            id="a modifier beside the amount",
        ),
        pytest.param(
            amount({"doseQuantity": MG}, DAILY, maxDosePerLifetime=MG), UNREADABLE_DOSE, id="a most for life"
        ),
        pytest.param(
            amount(
                {"doseQuantity": MG},
                DAILY,
                maxDosePerPeriod=[
                    {"numerator": {"value": 25, "unit": "mg"}, "denominator": {"value": 1, "code": "d"}}
                ],
            ),
            mg(25),
            id="a most for a day, as R5 has it",
        ),
        pytest.param(
            amount({"doseQuantity": MG}, DAILY, maxDosePerAdministration={"value": 25, "unit": "mg"}),
            mg(25),
            id="a most at a time",
        ),
        pytest.param(
            amount({"doseQuantity": MG}, DAILY, maxDosePerAdministration={"value": 25}),
            UNREADABLE_DOSE,
            id="a most without a unit",
        ),
    ],
)
def test_one_dosage(dosage: Resource, expected: Dose) -> None:
    assert dose_of([dosage]) == expected


_NAMES = (
    *("value", "unit", "code", "frequency", "period", "periodUnit", "when", "repeat", "timing", "text"),
    *("doseAndRate", "doseQuantity", "doseRange", "low", "high", "rateRatio", "numerator", "denominator"),
)
amounts = st.sampled_from([12.5, 25, 37.5, 50, 75, 100, 150, 300])
times_a_day = st.integers(1, 3)
seeds = st.integers(0, 2**32)


@given(st.sampled_from(WAYS), amounts, times_a_day, seeds)
def test_a_dose_stated_in_any_way_is_read(way: object, each: float, times: int, seed: int) -> None:
    assert callable(way)
    stated: Stated = way(Random(seed), each, times)  # noqa: S311 - no secret
    assert dose_of(stated.dosages) == mg(stated.low, stated.high)


@given(st.sampled_from([0.5, 1, 1.5, 2]), times_a_day, seeds)
def test_tablets_are_read_where_their_strength_is_known(count: float, times: int, seed: int) -> None:
    stated = in_tablets(Random(seed), count, times, strength=50)  # noqa: S311 - no secret
    assert dose_of(stated.dosages, TABLET) == mg(stated.low, stated.high)


@given(st.sampled_from(WAYS), amounts, times_a_day, seeds, st.lists(st.sampled_from(NOISE), max_size=4))
def test_whatever_else_it_says_a_stated_dose_is_never_taken_for_none_or_for_more(
    way: object, each: float, times: int, seed: int, noise: list[Resource]
) -> None:
    assert callable(way)
    stated: Stated = way(Random(seed), each, times)  # noqa: S311 - no secret
    dosages = stated.dosages
    for element in noise:
        dosages = [{**element, **dosage} for dosage in dosages]
    dose = dose_of(dosages)
    assert dose.basis is not DoseBasis.NOT_DOCUMENTED
    assert dose.low_mg is None or dose.low_mg <= stated.low


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-2, 60)
        | st.sampled_from(["mg", "d", "BID", "25 mg", "1-0-1", "MORN"]),
        lambda inner: st.dictionaries(
            st.sampled_from(_NAMES),
            inner | st.lists(inner, max_size=2),
            max_size=4,
        ),
        max_leaves=12,
    )
)
def test_no_shape_of_a_dosage_is_an_error(tree: object) -> None:
    """What has the shape of a dosage is read, whatever it says; any other shape is told as such before."""
    try:
        view = msgspec.json.decode(json.dumps(tree), type=DosageView)
    except msgspec.ValidationError:
        return
    dose = daily_dose(read_steps([view], Elements(US)), TABLET, US)
    assert (dose.basis is DoseBasis.DOCUMENTED) == (dose.low_mg is not None)
    assert dose.low_mg is None or dose.high_mg is None or 0 <= dose.low_mg <= dose.high_mg
