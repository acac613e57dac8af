"""Read FHIR Dosage into dose steps: https://hl7.org/fhir/R4/dosage.html and datatypes.html#timing.

What stands in a dosage and cannot be understood is kept as such: the step is unclear, never silent.
"""

from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from service.core.dose_text import Range, read_sig
from service.core.dose_words import Unit, UnitKind
from service.core.dosing import Amount, DoseStep
from service.core.knowledge import Knowledge
from service.core.records import Identified, Medicine, Role
from service.fhir.views import (
    AdministeredView,
    CodingView,
    ConceptView,
    DosageView,
    DoseAndRateView,
    QuantityView,
    RangeView,
    RatioView,
    RepeatView,
    TimingView,
)
from service.read.elements import Elements

_DAYS_IN = {"s": 1 / 86400, "min": 1 / 1440, "h": 1 / 24, "d": 1.0, "wk": 7.0, "mo": 30.4375, "a": 365.25}
_HOURS_A_DAY = 24
_UNCLEAR_TIMES = (0.0, 0.0)
_SLACK = 1.001
"""Rates such as one in seven are rounded."""
_ANY_MEDICINE = Medicine("", Identified.OTHER, Role.OTHER)


class _UnreadableDose(Exception):
    """An element of a dosage states something that cannot be understood."""


class _Amounts(NamedTuple):
    """The amounts that a dosage states: at one time, and in a day."""

    at_once: Amount | None = None
    a_day: Amount | None = None


def read_steps(dosages: Iterable[DosageView], elements: Elements) -> tuple[DoseStep, ...]:
    """Read dosage instructions, one step each."""
    return tuple(_step(dosage, elements) for dosage in dosages)


def read_administered(
    dosage: AdministeredView | None, once: Range, elements: Elements
) -> tuple[DoseStep, ...]:
    """Read what was given at one time; a rate alone does not say how much."""
    if dosage is None:
        return ()
    amount = read_amount(dosage.dose, elements)
    states_no_amount = dosage.dose is not None and amount is None
    rate_alone = amount is None and (dosage.rate_quantity is not None or dosage.rate_ratio is not None)
    unclear = bool(dosage.modifier_extension) or states_no_amount or rate_alone
    return (DoseStep(amount, once, texts=_given(dosage.text), unclear=unclear),)


def read_amount(quantity: QuantityView | None, elements: Elements) -> Amount | None:
    """Read a Quantity; `None` where it has no value, or where its value is a bound."""
    if quantity is None or quantity.value is None or quantity.comparator is not None:
        return None
    return Amount(quantity.value, quantity.value, read_unit(quantity, elements))


def read_unit(quantity: QuantityView, elements: Elements) -> Unit | None:
    """The unit of a Quantity by its code and its words; `None` where they are not known or disagree.

    A unit that nobody wrote is not known. UCUM's unity says no more than that something is counted.
    """
    return _unit(elements.system(quantity.system), quantity.code, quantity.unit, elements.knowledge)


@lru_cache(maxsize=1024)
def _unit(system: str | None, code: str | None, words: str | None, knowledge: Knowledge) -> Unit | None:
    listed, lexicon = knowledge.unit_codes, knowledge.dose_lexicon
    coded = (
        listed.meaning(system, code) or listed.meaning("ucum", code) or (lexicon.unit(code) if code else None)
    )
    found = {unit for unit in (coded, lexicon.unit(words) if words else None) if unit is not None}
    return found.pop() if len(found) == 1 else None


def _step(dosage: DosageView, elements: Elements) -> DoseStep:
    timing = dosage.timing
    asides = tuple(
        text
        for concept in dosage.additional_instruction
        for text in (concept.text, *(coding.display for coding in concept.coding))
        if text
    )
    step = DoseStep(
        as_needed=dosage.as_needed_boolean is True or dosage.as_needed_codeable_concept is not None,
        texts=_given(dosage.text),
        asides=(*_given(dosage.patient_instruction), *asides),
        moments=_moments(timing.repeat) if timing and timing.repeat else frozenset(),
        sequence=dosage.sequence,
    )
    if dosage.modifier_extension or (timing and timing.modifier_extension):
        return step._replace(unclear=True)
    try:
        amounts = _amounts(dosage, elements)
        limits = _limits(dosage, elements)
    except _UnreadableDose:
        return step._replace(unclear=True)
    step = step._replace(
        amount=amounts.at_once, a_day=amounts.a_day, most_a_day=limits.a_day, most_at_once=limits.at_once
    )
    return _timed(step, timing, elements) if timing else step


def _given(text: str | None) -> tuple[str, ...]:
    return (text,) if text and text.strip() else ()


# --- how much -------------------------------------------------------------------------------------


def _amounts(dosage: DosageView, elements: Elements) -> _Amounts:
    """The amounts taken at one time and a day; the range over all that are given of each."""
    found = [_amounts_of(given, elements) for given in dosage.dose_and_rate]
    return _Amounts(
        _range_of([one.at_once for one in found if one.at_once is not None]),
        _range_of([one.a_day for one in found if one.a_day is not None]),
    )


def _range_of(amounts: list[Amount]) -> Amount | None:
    if not amounts:
        return None
    if len({amount.unit for amount in amounts}) > 1:
        raise _UnreadableDose
    return Amount(min(a.low for a in amounts), max(a.high for a in amounts), amounts[0].unit)


def _amounts_of(given: DoseAndRateView, elements: Elements) -> _Amounts:
    if given.modifier_extension:
        raise _UnreadableDose
    rates = [
        *([_stated(given.rate_quantity, elements)] if given.rate_quantity else []),
        *([_between(given.rate_range, elements)] if given.rate_range else []),
        *([_Amounts(a_day=_a_day(given.rate_ratio, elements))] if given.rate_ratio else []),
    ]
    if any(rate.a_day is None for rate in rates):
        raise _UnreadableDose
    doses = [
        *([_stated(given.dose_quantity, elements)] if given.dose_quantity else []),
        *([_between(given.dose_range, elements)] if given.dose_range else []),
    ]
    return _Amounts(
        _range_of([dose.at_once for dose in doses if dose.at_once is not None]),
        _range_of([one.a_day for one in (*doses, *rates) if one.a_day is not None]),
    )


def _stated(quantity: QuantityView, elements: Elements) -> _Amounts:
    """A Quantity that states an amount, of one time or, by its unit, of a day: "25 mg/d"."""
    if quantity.value is None or quantity.comparator is not None:
        raise _UnreadableDose
    for text in (quantity.unit, quantity.code):
        a_day = _unit_a_day(text, elements.knowledge) if text else None
        if a_day is not None:
            amount = quantity.value * a_day[0]
            return _Amounts(a_day=Amount(amount, amount, a_day[1]))
    return _Amounts(at_once=Amount(quantity.value, quantity.value, read_unit(quantity, elements)))


@lru_cache(maxsize=1024)
def _unit_a_day(text: str, knowledge: Knowledge) -> tuple[float, Unit] | None:
    """How many of what unit a day, where the words of a unit are of one over time: "mg/d", "mg per day"."""
    sig = read_sig(f"1 {text}", _ANY_MEDICINE, knowledge)
    if sig is None or len(sig.parts) != 1 or sig.times is None or sig.times[0] != sig.times[1]:
        return None
    quantity = sig.parts[0][0]
    kinds = (
        (quantity.mass, UnitKind.MASS),
        (quantity.volume, UnitKind.VOLUME),
        (quantity.items, UnitKind.ITEM),
    )
    return next(((sig.times[0], Unit(kind, amount[0])) for amount, kind in kinds if amount is not None), None)


def _between(both: RangeView, elements: Elements) -> _Amounts:
    """A Range; one without an upper end states no amount that can be relied on."""
    if both.high is None:
        raise _UnreadableDose
    high = _stated(both.high, elements)
    low = _stated(both.low, elements) if both.low is not None else None
    if low is None:
        return _Amounts(*(amount and amount._replace(low=0.0) for amount in high))
    return _Amounts(*(_span(a, b) for a, b in zip(low, high, strict=True)))


def _span(low: Amount | None, high: Amount | None) -> Amount | None:
    if low is None and high is None:
        return None
    if low is None or high is None or low.unit != high.unit:
        raise _UnreadableDose
    return Amount(low.low, high.high, high.unit)


def _a_day(ratio: RatioView | None, elements: Elements) -> Amount | None:
    """A Ratio of an amount over time, as what it is in a day."""
    if ratio is None or ratio.numerator is None:
        raise _UnreadableDose
    amount, over = _stated(ratio.numerator, elements), ratio.denominator
    if over is None or over.value is None or over.comparator is not None or over.value <= 0:
        raise _UnreadableDose
    days = _days_in(over)
    if amount.at_once is None or days is None:
        raise _UnreadableDose
    per_day = 1 / (over.value * days)
    return Amount(amount.at_once.low * per_day, amount.at_once.high * per_day, amount.at_once.unit)


def _days_in(over: QuantityView) -> float | None:
    """Days in the unit of a duration, by its UCUM code or its words."""
    text = (over.code or over.unit or "").strip()
    return _DAYS_IN.get(text, _DAYS_IN_WORDS.get(text.lower()))


_DAYS_IN_WORDS = {
    **dict.fromkeys(("hour", "hours", "hr"), 1 / _HOURS_A_DAY),
    **dict.fromkeys(("day", "days"), 1.0),
    **dict.fromkeys(("week", "weeks"), 7.0),
    **dict.fromkeys(("month", "months"), 30.4375),
    **dict.fromkeys(("year", "years"), 365.25),
}


def _limits(dosage: DosageView, elements: Elements) -> _Amounts:
    """The most that may be taken at one time and in a day; a most in a lifetime leaves the dose open."""
    if dosage.max_dose_per_lifetime is not None:
        raise _UnreadableDose
    periods = dosage.max_dose_per_period
    ratios = periods if isinstance(periods, list) else [periods] if periods is not None else []
    a_day = [_a_day(ratio, elements) for ratio in ratios]
    at_once = dosage.max_dose_per_administration
    most = _stated(at_once, elements).at_once if at_once is not None else None
    if at_once is not None and most is None:
        raise _UnreadableDose
    return _Amounts(most, _range_of([one for one in a_day if one is not None]))


# --- how often ------------------------------------------------------------------------------------


def _timed(step: DoseStep, timing: TimingView, elements: Elements) -> DoseStep:
    """The step with how often a day, by the repeat rule and by the code of its timing and its words."""
    if timing.event:
        return step._replace(unclear=True)
    ruled = _repeats_a_day(timing.repeat) if timing.repeat else None
    codes = [coding for coding in timing.code.coding if coding.code] if timing.code else []
    stated = [*([ruled] if ruled else []), *_coded_times(codes, elements)]
    texts = []
    for text in _words_of(timing.code):
        sig = read_sig(text, _ANY_MEDICINE, elements.knowledge)
        if sig is not None and sig.times is not None and not sig.parts:
            stated.append(sig.times)
        else:
            texts.append(text)
    known = [times for times in stated if times != _UNCLEAR_TIMES]
    if not known:
        unclear = bool(stated or codes or texts)
        return step._replace(timing_unclear=unclear, texts=(*step.texts, *texts))
    if max(low for low, _ in known) > min(high for _, high in known) * _SLACK:
        return step._replace(unclear=True)
    return step._replace(times_a_day=known[0], asides=(*step.asides, *texts))


def _words_of(concept: ConceptView | None) -> tuple[str, ...]:
    """The words of a coded timing: its text, else what its codes are called."""
    if concept is None:
        return ()
    return _given(concept.text) or tuple(coding.display for coding in concept.coding if coding.display)


def _coded_times(codes: list[CodingView], elements: Elements) -> list[Range]:
    """How often a day the codes of a timing are, as far as a list knows them."""
    listed = elements.knowledge.timing_codes
    found = (
        listed.meaning(elements.system(c.system), c.code) or _abbreviated(c.code, elements) for c in codes
    )
    return [(times, times) for times in found if times is not None]


def _abbreviated(code: str | None, elements: Elements) -> float | None:
    """How often a day a code is that is one of the abbreviations that everybody uses, in whatever system."""
    return elements.knowledge.timing_codes.meaning("gts-abbreviation", code)


def _moments(repeat: RepeatView) -> frozenset[str]:
    """The times of the day that a rule names."""
    return frozenset({*repeat.when, *repeat.time_of_day})


def _repeats_a_day(repeat: RepeatView) -> Range | None:
    """How often a day a rule repeats; `None` where it does not say so, (0, 0) where that is unclear."""
    moments = float(len(_moments(repeat)))
    days = len(set(repeat.day_of_week))
    if repeat.period is None or repeat.period_unit is None:
        return _without_period(repeat, moments, days)
    period = _DAYS_IN.get(repeat.period_unit)
    if period is None or repeat.period <= 0:
        return _UNCLEAR_TIMES
    share = _share_of_days(repeat, days)
    if share is None:
        return _UNCLEAR_TIMES
    longest = max(repeat.period_max or repeat.period, repeat.period)
    try:
        least, most = _frequencies(repeat, moments)
        return (least / (longest * period) * share, most / (repeat.period * period) * share)
    except (OverflowError, ZeroDivisionError):  # numbers that nobody can have meant
        return _UNCLEAR_TIMES


def _without_period(repeat: RepeatView, moments: float, days: int) -> Range | None:
    """How often a rule without a period repeats: at its times of the day, on its days of the week."""
    states = repeat.frequency is not None or repeat.frequency_max is not None or repeat.period is not None
    if not moments:
        return _UNCLEAR_TIMES if states or days or repeat.count is not None else None
    share = days / 7 if days else 1.0
    try:
        least, most = _frequencies(repeat, moments)
    except OverflowError:
        return _UNCLEAR_TIMES
    return (least * share, most * share)


def _frequencies(repeat: RepeatView, moments: float) -> Range:
    """How often in a period. A frequency beside more times of the day may mean each of them, or all."""
    stated = [float(n) for n in (repeat.frequency, repeat.frequency_max) if n is not None]
    if not stated:
        return (max(moments, 1.0),) * 2
    return (min(stated), max(*stated, moments))


def _share_of_days(repeat: RepeatView, days: int) -> float | None:
    """The share of days on which it is taken; `None` where days of the week do not fit the period."""
    if not days:
        return 1.0
    if repeat.period_unit == "d" and repeat.period == 1:
        return days / 7
    weekly = (
        repeat.period_unit == "wk"
        and repeat.period == 1
        and repeat.frequency == days
        and not _moments(repeat)
    )
    return 1.0 if weekly else None
