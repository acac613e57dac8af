"""How much of a medicine was taken a day, as far as its dosage instructions say.

A dose is *not documented* only where nothing states an amount. What states one and cannot be understood, or
contradicts what else is stated, makes the dose *unreadable*, which no criteria set may assume away.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

from service.core.dose_text import Mentions, Quantity, Range, Sig, read_mentions, read_sig
from service.core.dose_words import ITEM, MILLIGRAM, Unit, UnitKind
from service.core.knowledge import Knowledge
from service.core.records import Dose, DoseBasis, Medicine

NOT_DOCUMENTED = Dose(DoseBasis.NOT_DOCUMENTED)
UNREADABLE = Dose(DoseBasis.UNREADABLE)

_COUNTED = frozenset({"tablet", "capsule", "patch", "item"})
_MILLILITRE = Unit(UnitKind.VOLUME, 1.0)
_SLACK = 1.001
"""Rates such as one in seven are rounded."""


class Amount(NamedTuple):
    """How much is taken, as a range; `unit` is `None` where it is not understood."""

    low: float
    high: float
    unit: Unit | None


class DoseStep(NamedTuple):
    """One dosage instruction.

    `amount` is taken at one time, `a_day` in a day. `times_a_day` is a range (0.14 for once a week), `None`
    where no timing is given or where it cannot be understood (`timing_unclear`).
    """

    amount: Amount | None = None
    times_a_day: Range | None = None
    as_needed: bool = False
    texts: tuple[str, ...] = ()
    asides: tuple[str, ...] = ()
    """Instructions that may speak of the dose, and mostly do not: "take with food"."""
    a_day: Amount | None = None
    most_a_day: Amount | None = None
    most_at_once: Amount | None = None
    timing_unclear: bool = False
    unclear: bool = False
    """Whether it says something of the dose that cannot be understood."""
    moments: frozenset[str] = frozenset()
    sequence: int | None = None


def daily_dose(
    steps: tuple[DoseStep, ...], medicine: Medicine, knowledge: Knowledge, rendered: str | None = None
) -> Dose:
    """The daily dose in mg that dosage instructions amount to.

    Instructions for different times of one day add up. Others may be taken together or one after the other;
    the range allows for both. `rendered` is one text for all of them.
    """
    dose = _combined(steps, [_step_dose(step, medicine, knowledge) for step in steps])
    if rendered is None or not rendered.strip():
        return dose
    if dose.basis is DoseBasis.NOT_DOCUMENTED:
        return _step_dose(DoseStep(texts=(rendered,)), medicine, knowledge)
    if dose.low_mg is None or dose.high_mg is None:
        return dose
    whole = DoseStep(a_day=Amount(dose.low_mg, dose.high_mg, MILLIGRAM), texts=(rendered,))
    return dose if _step_dose(whole, medicine, knowledge).basis is DoseBasis.DOCUMENTED else UNREADABLE


def _combined(steps: tuple[DoseStep, ...], doses: list[Dose]) -> Dose:
    if all(dose.basis is DoseBasis.NOT_DOCUMENTED for dose in doses):
        return NOT_DOCUMENTED
    lows = [dose.low_mg for dose in doses if dose.low_mg is not None]
    highs = [dose.high_mg for dose in doses if dose.high_mg is not None]
    if len(lows) < len(doses) or not 0 < sum(highs) < math.inf:
        return UNREADABLE
    low = sum(lows) if _add_up(steps) else min(lows)
    return documented(round(low, 3), round(sum(highs), 3))


def documented(low: float, high: float) -> Dose:
    """A dose in mg; unreadable where it is beyond every number."""
    return Dose(DoseBasis.DOCUMENTED, low, high) if high < math.inf else UNREADABLE


def _add_up(steps: tuple[DoseStep, ...]) -> bool:
    """Whether instructions are parts of one day: at different times of it, or of one sequence number.

    https://hl7.org/fhir/R4/dosage-definitions.html#Dosage.sequence: of one number are taken together, of
    different numbers one after the other.
    """
    sequences = {step.sequence for step in steps}
    if len(sequences - {None}) > 1:
        return False
    if len(steps) > 1 and None not in sequences:
        return True
    moments = [moment for step in steps for moment in step.moments]
    return all(step.moments for step in steps) and len(set(moments)) == len(moments)


def supplied_dose(amount: Amount | None, days: int, medicine: Medicine) -> Dose:
    """The daily dose in mg that a quantity of the coded product amounts to over the days it was for."""
    per_unit = _milligrams_per(amount.unit, medicine) if amount else None
    if amount is None or per_unit is None:
        return NOT_DOCUMENTED
    low, high = amount.low * per_unit / days, amount.high * per_unit / days
    return Dose(DoseBasis.DOCUMENTED, round(low, 3), round(high, 3)) if 0 < low <= high else UNREADABLE


def units_a_day(steps: tuple[DoseStep, ...], amount: Amount | None) -> float | None:
    """How many units of a quantity are taken a day at most; `None` where the steps do not say so."""
    if amount is None or amount.unit is None or len(steps) != 1:
        return None
    (step,) = steps
    taken, times = step.amount, step.times_a_day
    if taken is None or taken.unit is None or times is None or step.as_needed or step.unclear:
        return None
    alike = taken.unit.kind is amount.unit.kind
    return taken.high * taken.unit.size / amount.unit.size * times[1] if alike else None


# --- one instruction ------------------------------------------------------------------------------


class _Said(NamedTuple):
    """What one statement says: mg at one time, the number of tablets or mL, how often a day, mg a day."""

    mg: Range | None = None
    number: Range | None = None
    times: Range | None = None
    a_day: Range | None = None
    as_needed: bool = False

    @property
    def daily(self) -> Range | None:
        """The mg of a day, where the statement alone says so."""
        return _product(self.mg, self.times) or self.a_day


class _Unclear(Exception):
    """What an instruction says of the dose contradicts itself, or is not enough for a dose."""


def _step_dose(step: DoseStep, medicine: Medicine, knowledge: Knowledge) -> Dose:
    texts = [text for text in step.texts if text.strip()]
    texts += [text for text in step.asides if read_mentions(text, knowledge).amounts]
    if not (texts or step.unclear or _states(step)):
        return NOT_DOCUMENTED
    try:
        return _limited(_all_said(step, texts, medicine, knowledge), step, medicine)
    except _Unclear:
        return UNREADABLE


def _states(step: DoseStep) -> bool:
    """Whether an instruction states anything of an amount, or a timing that is not understood."""
    amounts = (step.amount, step.a_day, step.most_a_day, step.most_at_once)
    return any(amount is not None for amount in amounts) or step.timing_unclear


def _all_said(step: DoseStep, texts: list[str], medicine: Medicine, knowledge: Knowledge) -> _Said:
    """What the elements and the texts of an instruction say together."""
    if step.unclear:
        raise _Unclear
    structured = _structured(step, medicine)
    sigs = [read_sig(text, medicine, knowledge) for text in texts]
    for text, sig in zip(texts, sigs, strict=True):
        if sig is None:
            _refuse_others(read_mentions(text, knowledge), step, structured, medicine)
    return _agreed(structured, [_said(sig, medicine) for sig in sigs if sig is not None], medicine)


def _structured(step: DoseStep, medicine: Medicine) -> _Said:
    """What the structured elements say; what can be no dose, or contradicts itself, is unclear."""
    for amount in (step.amount, step.a_day):
        if amount is not None and not 0 <= amount.low <= amount.high < math.inf:
            raise _Unclear
    mg, a_day = _milligrams(step.amount, medicine), _milligrams(step.a_day, medicine)
    if step.a_day is not None and a_day is None:
        raise _Unclear
    if a_day and step.amount is None and step.times_a_day not in {None, (1.0, 1.0)}:
        raise _Unclear
    alone = _product(mg, step.times_a_day)
    if alone and a_day and not _overlap(alone, a_day):
        raise _Unclear
    count = None if step.amount is None or mg else (step.amount.low, step.amount.high)
    return _Said(mg, count, step.times_a_day, a_day, step.as_needed)


def _said(sig: Sig, medicine: Medicine) -> _Said:
    """What a text says in mg, with the number of tablets or mL."""
    amounts = [_milligrams_of(quantity, medicine) for quantity, _ in sig.parts]
    if len(amounts) > 1:
        known = [amount for amount in amounts if amount is not None]
        if len(known) < len(amounts):
            raise _Unclear
        total = (sum(low for low, _ in known), sum(high for _, high in known))
        return _Said(a_day=total, as_needed=sig.as_needed)
    count = sig.parts[0][0].items or sig.parts[0][0].volume if sig.parts else None
    return _Said(amounts[0] if amounts else None, count, sig.times, as_needed=sig.as_needed)


def _milligrams_of(quantity: Quantity, medicine: Medicine) -> Range | None:
    """The mg of a quantity; `None` where only the number of tablets or mL is known.

    A strength beside the number of tablets is that of one or of all of them; where neither the text nor the
    product says which, it may be either.
    """
    of_items = _times(quantity.items, _milligrams_per(ITEM, medicine))
    by_strength = of_items or _times(quantity.volume, _milligrams_per(_MILLILITRE, medicine))
    if quantity.mass is None:
        return by_strength
    each, total = _product(quantity.items, quantity.mass), quantity.mass
    readings = (
        [total] if each is None or quantity.each is False else [each] if quantity.each else [total, each]
    )
    possible = [one for one in readings if by_strength is None or _overlap(by_strength, one)]
    if not possible:
        raise _Unclear
    return _hull(possible)


def _agreed(structured: _Said, texts: list[_Said], medicine: Medicine) -> _Said:
    """One statement from several; unclear where they disagree, or do not say together how much a day."""
    said = [structured, *texts]
    whole = [one.daily for one in said if one.daily]
    if structured.daily is None and _would_be_guessed(said):
        raise _Unclear
    if whole:
        for text in texts:
            _refuse_misfit(text, structured, whole, medicine)
        a_day = structured.daily or _hull(_overlapping(whole))
    else:
        a_day = _product(
            _hull(_overlapping([one.mg for one in said if one.mg])),
            _hull(_overlapping([one.times for one in said if one.times])),
        )
    _overlapping([one.number for one in said if one.number])
    return _Said(a_day=a_day, as_needed=any(one.as_needed for one in said))


def _would_be_guessed(said: list[_Said]) -> bool:
    """Whether nothing says if the mg of one statement are of a tablet or of all tablets of another."""
    numbers = [one.number for one in said if one.number and not one.mg]
    joined = any(one.number and one.mg for one in said)
    return not joined and any(one.mg or one.a_day for one in said) and any(n != (1.0, 1.0) for n in numbers)


def _refuse_misfit(text: _Said, structured: _Said, whole: list[Range], medicine: Medicine) -> None:
    """Refuse a text whose dose, amount or frequency is another one than what else is stated."""
    if text.daily:
        _overlapping(whole)
        return
    if text.mg and not any(_overlap(text.mg, one) for one in _amounts_of(structured, whole, medicine)):
        raise _Unclear
    if text.times and structured.times:
        _overlapping([text.times, structured.times])


def _refuse_others(mentions: Mentions, step: DoseStep, structured: _Said, medicine: Medicine) -> None:
    """Refuse a text that is not understood in full: beside no dose, or where it speaks of another one.

    Beside a structured dose it may say what it likes, as long as it speaks of no other amount and no change.
    """
    daily = structured.daily
    if daily is None or mentions.changes:
        raise _Unclear
    known = _amounts_of(structured, [daily], medicine)
    if any(not any(_overlap(mass, one) for one in known) for mass in mentions.masses):
        raise _Unclear
    amount = step.amount
    if amount is not None and amount.unit is not None and amount.unit.kind is UnitKind.ITEM:
        for count in mentions.items:
            _overlapping([count, (amount.low, amount.high)])


def _amounts_of(structured: _Said, whole: list[Range], medicine: Medicine) -> list[Range]:
    """The amounts in mg that a text may rightly speak of: at one time, in a day, in one tablet."""
    strength = medicine.strength_mg
    return [
        *([structured.mg] if structured.mg else []),
        *whole,
        *([(strength, strength)] if strength else []),
    ]


def _limited(said: _Said, step: DoseStep, medicine: Medicine) -> Dose:
    """The dose, no more than the most that may be taken."""
    if said.a_day is None:
        raise _Unclear
    low, high = said.a_day
    for limit in _limits(step, medicine):
        low, high = min(low, limit), min(high, limit)
    low = 0.0 if said.as_needed else low
    if high >= math.inf:
        raise _Unclear
    return Dose(DoseBasis.DOCUMENTED, round(low, 3), round(high, 3))


def _limits(step: DoseStep, medicine: Medicine) -> Iterator[float]:
    """The most mg a day, by what may be taken in a day and at one time."""
    if step.most_a_day is not None:
        yield _highest(_milligrams(step.most_a_day, medicine))
    if step.most_at_once is not None:
        yield _highest(_product(_milligrams(step.most_at_once, medicine), step.times_a_day))


def _highest(amount: Range | None) -> float:
    if amount is None:
        raise _Unclear
    return amount[1]


# --- amounts --------------------------------------------------------------------------------------


def _milligrams(amount: Amount | None, medicine: Medicine) -> Range | None:
    per_unit = _milligrams_per(amount.unit, medicine) if amount else None
    return None if amount is None else _times((amount.low, amount.high), per_unit)


def _milligrams_per(unit: Unit | None, medicine: Medicine) -> float | None:
    """Milligrams in one unit of what is taken; tablets need the strength of the product."""
    if unit is None:
        return None
    if unit.kind is UnitKind.MASS:
        return unit.size
    fits = medicine.unit in _COUNTED if unit.kind is UnitKind.ITEM else medicine.unit == "mL"
    return medicine.strength_mg * unit.size if fits and medicine.strength_mg else None


def _times(amount: Range | None, factor: float | None) -> Range | None:
    return None if amount is None or factor is None else (amount[0] * factor, amount[1] * factor)


def _product(one: Range | None, other: Range | None) -> Range | None:
    return None if one is None or other is None else (one[0] * other[0], one[1] * other[1])


def _hull(ranges: list[Range]) -> Range | None:
    return (min(low for low, _ in ranges), max(high for _, high in ranges)) if ranges else None


def _overlap(one: Range, other: Range) -> bool:
    return one[0] <= other[1] * _SLACK and other[0] <= one[1] * _SLACK


def _overlapping(ranges: list[Range]) -> list[Range]:
    """The ranges, which must all have an amount in common."""
    if ranges and max(low for low, _ in ranges) > min(high for _, high in ranges) * _SLACK:
        raise _Unclear
    return ranges
