"""Read FHIR Dosage into dose steps: https://hl7.org/fhir/R4/dosage.html and datatypes.html#timing."""

from service.core.dosing import Amount, DoseStep
from service.fhir.views import DosageView, QuantityView, RepeatView, TimingView

_DAYS_IN = {"h": 1 / 24, "d": 1.0, "wk": 7.0, "mo": 30.4375, "a": 365.25}
_TIMES_A_DAY = {"QD": 1, "BID": 2, "TID": 3, "QID": 4, "AM": 1, "PM": 1, "QOD": 0.5, "BED": 1, "WK": 1 / 7}
"""FHIR's GTSAbbreviation codes: http://hl7.org/fhir/R4/valueset-timing-abbreviation.html"""


def read_steps(dosages: list[DosageView]) -> tuple[DoseStep, ...]:
    """Read dosage instructions, one step each."""
    return tuple(_step(dosage) for dosage in dosages)


def read_amount(quantity: QuantityView | None) -> Amount | None:
    """Read a Quantity; `None` where it has no value."""
    if quantity is None or quantity.value is None:
        return None
    return Amount(quantity.value, quantity.value, _unit(quantity))


def _step(dosage: DosageView) -> DoseStep:
    timing = dosage.timing
    amount = _amount(dosage)
    times = _times_a_day(timing) if timing else None
    said = timing.code.text if timing and timing.code and amount else None
    return DoseStep(
        amount=amount,
        times_a_day=times,
        as_needed=dosage.as_needed_boolean is True or dosage.as_needed_codeable_concept is not None,
        text=dosage.text or said,
        unclear=timing is not None and times is None and _says_how_often(timing),
    )


def _says_how_often(timing: TimingView) -> bool:
    """Whether a timing means to say how often; bounds alone do not."""
    repeat = timing.repeat
    rule = repeat is not None and (
        repeat.frequency is not None or repeat.period is not None or bool(repeat.when or repeat.day_of_week)
    )
    return rule or (timing.code is not None and bool(timing.code.coding))


def _amount(dosage: DosageView) -> Amount | None:
    """The amount taken at one time; the range over all that are given."""
    found: list[Amount] = []
    for given in dosage.dose_and_rate:
        quantity, between = given.dose_quantity, given.dose_range
        one = read_amount(quantity)
        if one is not None:
            found.append(one)
        elif between is not None and between.high is not None and between.high.value is not None:
            low = between.low.value if between.low and between.low.value is not None else 0.0
            found.append(Amount(low, between.high.value, _unit(between.high)))
    if not found or len({amount.unit for amount in found}) > 1:
        return None
    return Amount(min(a.low for a in found), max(a.high for a in found), found[0].unit)


def _unit(quantity: QuantityView) -> str:
    """The unit in lower case; a UCUM annotation such as {tablet} without its braces."""
    return (quantity.code or quantity.unit or "").strip().strip("{}").lower()


def _times_a_day(timing: TimingView) -> tuple[float, float] | None:
    """How often a day: from the repeat rule, else from the timing code."""
    repeat = timing.repeat
    if repeat is not None:
        times = _repeats_a_day(repeat)
        if times is not None:
            return times
    codes = [c.code for c in timing.code.coding if c.code] if timing.code else []
    known = [_TIMES_A_DAY[code] for code in codes if code in _TIMES_A_DAY]
    return (known[0], known[0]) if len(known) == 1 else None


def _repeats_a_day(repeat: RepeatView) -> tuple[float, float] | None:
    if repeat.period is None or repeat.period_unit is None:
        return (float(len(repeat.when)),) * 2 if repeat.when and not repeat.day_of_week else None
    days = _DAYS_IN.get(repeat.period_unit)
    if days is None or repeat.period <= 0:
        return None
    frequency = repeat.frequency if repeat.frequency is not None else max(len(repeat.when), 1)
    share = 1.0
    if repeat.day_of_week:
        if repeat.period_unit != "d" or repeat.period != 1:
            return None
        share = len(set(repeat.day_of_week)) / 7
    longest = max(repeat.period_max or repeat.period, repeat.period)
    most = max(repeat.frequency_max or frequency, frequency)
    try:
        return (frequency / (longest * days) * share, most / (repeat.period * days) * share)
    except (OverflowError, ZeroDivisionError):  # numbers that nobody can have meant
        return None
