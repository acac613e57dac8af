"""Exposures before they are joined: when each ended, and which are copies of one another."""

from dataclasses import replace
from datetime import date

from service.core.dates import Interval, PartialDate, days_before
from service.core.knowledge import Criteria
from service.core.records import Exposure, ExposureStatus, Identified, reference_order


def settle_interval(exposure: Exposure, as_of: date, criteria: Criteria) -> Interval:
    """Settle when an exposure ended, where the record leaves it open.

    Active and without an end: ongoing, unless asserted too long ago; then it ended some time since.
    Not active and without an end: it ended between its start and the day it was asserted. An end
    after `as_of` has not happened yet.
    """
    start, end = exposure.period.start, exposure.period.end
    today = PartialDate.on(as_of)
    if start is not None:
        start = start.at_most(as_of)
    if end is not None and end.earliest > as_of:
        return Interval(start, today, ongoing=True)
    if end is not None:
        return Interval(start, end.at_most(as_of))
    asserted = exposure.asserted
    if asserted is not None and asserted.earliest > as_of:
        asserted = None
    if exposure.status is ExposureStatus.ACTIVE:
        if asserted is None or asserted.earliest >= days_before(as_of, criteria.stale_days):
            return Interval(start, today, ongoing=True)
        return Interval(start, PartialDate(min(asserted.earliest, as_of), as_of))
    last = as_of if asserted is None else min(asserted.latest, as_of)
    if start is None:
        return Interval(None, None)
    return Interval(start, PartialDate(start.earliest, max(last, start.latest)))


def distinct_exposures(exposures: tuple[Exposure, ...]) -> tuple[Exposure, ...]:
    """Fold copies: the same product, dose, period and outcome is one exposure under any ids."""
    folded: dict[tuple[object, ...], Exposure] = {}
    for exposure in sorted(exposures, key=lambda e: reference_order(e.evidence)):
        key = (
            exposure.medicine.ingredient or exposure.medicine.label.lower(),
            exposure.medicine.identified,
            exposure.medicine.strength_mg,
            exposure.medicine.not_a_trial,
            exposure.period,
            exposure.dose,
            exposure.status,
            exposure.stop_reasons,
            exposure.indication,
        )
        first = folded.get(key)
        if first is None:
            folded[key] = exposure
        else:
            folded[key] = replace(
                first,
                evidence=(*first.evidence, *exposure.evidence),
                asserted=_later(first.asserted, exposure.asserted),
            )
    return tuple(folded.values())


def _later(first: PartialDate | None, second: PartialDate | None) -> PartialDate | None:
    """The later assertion; an unknown one says least."""
    return max(first, second) if first is not None and second is not None else None


def trial_key(exposure: Exposure) -> tuple[str, str]:
    """Trials are told apart by ingredient; words alone or a conflict never join a coded trial."""
    medicine = exposure.medicine
    sure = medicine.identified is Identified.CODED
    kind = "" if sure else medicine.identified.value
    return (medicine.ingredient or medicine.label.lower(), medicine.not_a_trial or kind)
