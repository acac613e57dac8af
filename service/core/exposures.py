"""Exposures before they are joined: when each ended, what a day of givings amounts to, whose trial it is."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import date
from typing import NamedTuple

from service.core.dates import Interval, PartialDate, days_before
from service.core.dosing import documented
from service.core.knowledge import Criteria
from service.core.records import (
    Dose,
    DoseBasis,
    Exposure,
    ExposureStatus,
    Identified,
    reference_order,
)


def settle_interval(exposure: Exposure, as_of: date, criteria: Criteria) -> Interval:
    """Settle when an exposure ended, where the record leaves it open, and which days of it are certain."""
    settled = _settled_end(exposure, as_of, criteria)
    return settled if exposure.bounds is None else _within_bounds(settled, exposure.bounds)


def _within_bounds(period: Interval, bounds: Interval) -> Interval:
    """A period whose dosage is bounded: it may have lasted throughout; certain are the bounds only."""
    start, end = period.start, period.end
    if start is None or end is None:
        return period
    first = start.latest if bounds.start is None else max(start.latest, bounds.start.latest)
    last = start.earliest if bounds == Interval() else end.earliest
    if bounds.end is not None:
        last = min(last, bounds.end.earliest)
    goes_on = period.ongoing and last >= end.earliest
    return Interval(
        PartialDate(start.earliest, first), PartialDate(min(last, end.latest), end.latest), ongoing=goes_on
    )


def _settled_end(exposure: Exposure, as_of: date, criteria: Criteria) -> Interval:
    """When an exposure ended, as far as its record says.

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


class Administration(NamedTuple):
    """One giving of a medicine: the dose of `exposure` is what was given then.

    `moment` tells the givings of a day apart, where it has a time.
    """

    exposure: Exposure
    moment: str | None


def add_up_days(administrations: Iterable[Administration]) -> tuple[Exposure, ...]:
    """One exposure for what was given of a medicine on one day, its doses added up.

    The same dose at the same moment is one giving told twice. Without a time of day, equal doses may be one
    giving or several.
    """
    days: dict[tuple[object, ...], list[Administration]] = {}
    for one in administrations:
        given = one.exposure
        key = (given.medicine, given.period, given.status, given.indication)
        days.setdefault(key, []).append(one)
    return tuple(_day_of(same_day) for same_day in days.values())


def _day_of(administrations: list[Administration]) -> Exposure:
    ordered = sorted(administrations, key=lambda one: reference_order(one.exposure.evidence))
    first = ordered[0].exposure
    doses = {(one.moment, one.exposure.dose) for one in ordered}
    timed = [dose for moment, dose in doses if moment and "T" in moment]
    untimed = [one.exposure.dose for one in ordered if not (one.moment and "T" in one.moment)]
    return replace(
        first,
        dose=_sum_of((*timed, *set(untimed)), (*timed, *untimed)),
        evidence=tuple(ref for one in ordered for ref in one.exposure.evidence),
        names=frozenset(name for one in ordered for name in one.exposure.names),
    )


def _sum_of(lowest: tuple[Dose, ...], highest: tuple[Dose, ...]) -> Dose:
    """Doses added up, as few and as many as they may be; as poorly documented as the poorest of them."""
    for basis in (DoseBasis.UNREADABLE, DoseBasis.NOT_DOCUMENTED):
        if any(dose.basis is basis for dose in highest):
            return Dose(basis)
    return documented(
        sum(dose.low_mg or 0.0 for dose in lowest), sum(dose.high_mg or 0.0 for dose in highest)
    )


def trial_key(exposure: Exposure) -> tuple[str, str]:
    """Trials are told apart by ingredient; words alone or a conflict never join a coded trial."""
    medicine = exposure.medicine
    sure = medicine.identified is Identified.CODED
    kind = "" if sure else medicine.identified.value
    return (medicine.ingredient or medicine.label.lower(), medicine.not_a_trial or kind)
