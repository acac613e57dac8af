"""How much of a medicine was taken a day, as far as its dosage instructions say."""

import math
import re
from typing import NamedTuple

from service.core.knowledge import Knowledge
from service.core.records import Dose, DoseBasis, Medicine

NOT_DOCUMENTED = Dose(DoseBasis.NOT_DOCUMENTED)
UNREADABLE = Dose(DoseBasis.UNREADABLE)

_MILLIGRAMS_PER = {"mg": 1.0, "g": 1000.0, "ug": 0.001, "mcg": 0.001}
_COUNTED = frozenset(
    {"1", "tablet", "tablets", "tab", "tabs", "tbl"}
    | {"capsule", "capsules", "cap", "caps", "patch", "patches"}
)
_NUMBER = r"\d++(?:[.,]\d++)?+"
"""A number, taken whole: nothing in it is read twice, so that the time grows with the text and no faster."""
_AMOUNT = re.compile(
    rf"(?<!\d)(?P<low>{_NUMBER})(?:\s*+(?:-|to)\s*+(?P<high>{_NUMBER}))?+\s*+"
    r"(?P<unit>mg|mcg|g|ml|tablets?|tabs?|capsules?|caps?|patch(?:es)?)\b",
    re.IGNORECASE,
)
_MORE_TO_IT = re.compile(r"\d|\b(?:and|then|half|increas\w*|reduc\w*|taper\w*|titrat\w*)\b", re.IGNORECASE)
_AS_NEEDED = re.compile(r"\b(?:prn|as needed|when needed|as required)\b", re.IGNORECASE)


class Amount(NamedTuple):
    """How much is taken at one time; `unit` in lower case, as recorded."""

    low: float
    high: float
    unit: str


class DoseStep(NamedTuple):
    """One dosage instruction.

    `times_a_day` is a range (0.14 for once a week), `None` where no timing is given.
    """

    amount: Amount | None = None
    times_a_day: tuple[float, float] | None = None
    as_needed: bool = False
    text: str | None = None
    unclear: bool = False
    """Whether a timing is given that cannot be understood."""


def daily_dose(steps: tuple[DoseStep, ...], medicine: Medicine, knowledge: Knowledge) -> Dose:
    """The daily dose in mg that dosage instructions amount to.

    Several instructions may be taken together or one after the other; the range allows for both.
    Text is read only where the structured dose is incomplete; text that cannot be read makes the
    dose unreadable, which no criteria set may assume away.
    """
    if not steps:
        return NOT_DOCUMENTED
    doses = [_step_dose(step, medicine, knowledge) for step in steps]
    for basis in (DoseBasis.UNREADABLE, DoseBasis.NOT_DOCUMENTED):
        if any(dose.basis is basis for dose in doses):
            return Dose(basis)
    lows = [dose.low_mg for dose in doses if dose.low_mg is not None]
    highs = [dose.high_mg for dose in doses if dose.high_mg is not None]
    return documented(min(lows), sum(highs))


def documented(low: float, high: float) -> Dose:
    """A dose in mg; unreadable where it is beyond every number."""
    return Dose(DoseBasis.DOCUMENTED, low, high) if high < math.inf else UNREADABLE


def supplied_dose(amount: Amount | None, days: int, medicine: Medicine) -> Dose:
    """The daily dose in mg that a quantity of the coded product amounts to over the days it was for."""
    if amount is None:
        return NOT_DOCUMENTED
    unit = amount.unit or "1"
    return _dose(amount._replace(unit=unit), (1 / days, 1 / days), medicine, as_needed=False)


def units_a_day(steps: tuple[DoseStep, ...], amount: Amount | None) -> float | None:
    """How many units of a quantity are taken a day at most; `None` where the steps do not say so."""
    if amount is None or len(steps) != 1:
        return None
    (step,) = steps
    if step.amount is None or step.times_a_day is None or step.as_needed:
        return None
    alike = step.amount.unit == amount.unit or {step.amount.unit, amount.unit or "1"} <= _COUNTED
    return step.amount.high * step.times_a_day[1] if alike else None


def _step_dose(step: DoseStep, medicine: Medicine, knowledge: Knowledge) -> Dose:
    structured = _structured_dose(step, medicine)
    if structured.basis is not DoseBasis.NOT_DOCUMENTED or not step.text:
        return structured
    return _text_dose(step, medicine, knowledge)


def _structured_dose(step: DoseStep, medicine: Medicine) -> Dose:
    if step.amount is None or step.times_a_day is None:
        return UNREADABLE if step.unclear and not step.text else NOT_DOCUMENTED
    return _dose(step.amount, step.times_a_day, medicine, as_needed=step.as_needed)


def _text_dose(step: DoseStep, medicine: Medicine, knowledge: Knowledge) -> Dose:
    """Read "50 mg daily" or "1 tablet twice a day"; one amount and one frequency, else unreadable."""
    text = step.text or ""
    amounts = list(_AMOUNT.finditer(text))
    times = set(knowledge.dose_frequencies.all_in(text))
    times_a_day = step.times_a_day or ((min(times), max(times)) if len(times) == 1 else None)
    amount = step.amount or (_written_amount(amounts[0]) if len(amounts) == 1 else None)
    rest = knowledge.dose_frequencies.without(_AMOUNT.sub(" ", text))
    if amount is None or times_a_day is None or _MORE_TO_IT.search(rest):
        return UNREADABLE
    as_needed = step.as_needed or _AS_NEEDED.search(text) is not None
    dose = _dose(amount, times_a_day, medicine, as_needed=as_needed)
    return UNREADABLE if dose.basis is DoseBasis.NOT_DOCUMENTED else dose


def _written_amount(match: re.Match[str]) -> Amount:
    low = float(match["low"].replace(",", "."))
    high = float(match["high"].replace(",", ".")) if match["high"] else low
    return Amount(low, high, match["unit"].lower())


def _dose(amount: Amount, times_a_day: tuple[float, float], medicine: Medicine, *, as_needed: bool) -> Dose:
    per_unit = _milligrams_per_unit(amount.unit, medicine)
    if per_unit is None:
        return NOT_DOCUMENTED
    low = 0.0 if as_needed else amount.low * per_unit * times_a_day[0]
    high = amount.high * per_unit * times_a_day[1]
    if not 0 < high < math.inf or not low <= high:
        return UNREADABLE
    return Dose(DoseBasis.DOCUMENTED, round(low, 3), round(high, 3))


def _milligrams_per_unit(unit: str, medicine: Medicine) -> float | None:
    """Milligrams in one unit of what is taken; tablets need the strength of the coded product."""
    if unit in _MILLIGRAMS_PER:
        return _MILLIGRAMS_PER[unit]
    counted = unit in _COUNTED and medicine.unit in {"tablet", "capsule", "patch"}
    poured = unit == "ml" and medicine.unit == "mL"
    return medicine.strength_mg if counted or poured else None
