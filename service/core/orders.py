"""Prescriptions: which of them show, as the criteria set sees it, that the medicine was taken.

A set may take prescriptions as used where the patient came back for more: the prescription has refills, or a
later one of the same medicine begins during it or within the grace period after it. The last one of a row
shows nothing without refills. That is the premise of the set, and no evidence.
"""

from bisect import bisect_right
from collections import defaultdict
from dataclasses import replace
from datetime import date, timedelta
from typing import assert_never

from service.core.dates import Interval, PartialDate
from service.core.knowledge import Criteria, PrescribedOnly
from service.core.records import Exposure, Grade


def as_taken(exposures: tuple[Exposure, ...], criteria: Criteria) -> tuple[Exposure | None, ...]:
    """Each exposure to a medicine as it was taken; `None` where nothing shows that it was.

    A prescription that ended nobody knows when was used at least until it was renewed.
    """
    match criteria.prescribed_only:
        case PrescribedOnly.AS_TAKEN:
            return exposures
        case PrescribedOnly.POSSIBLY:
            return tuple(None if one.grade is Grade.PRESCRIBED else one for one in exposures)
        case PrescribedOnly.TAKEN_WHERE_RENEWED:
            renewals = _Renewals(exposures, criteria.grace_days)
            return tuple(renewals.as_used(one) if one.grade is Grade.PRESCRIBED else one for one in exposures)
        case _:
            assert_never(criteria.prescribed_only)


def is_taken_by_premise(exposure: Exposure, criteria: Criteria) -> bool:
    """Whether an exposure counts as taken, if it does, only because the criteria set says so."""
    return exposure.grade is Grade.PRESCRIBED and criteria.prescribed_only is not PrescribedOnly.POSSIBLY


class _Renewals:
    """The prescriptions of one medicine that may renew another, by the first day that they may begin on."""

    def __init__(self, exposures: tuple[Exposure, ...], grace_days: int) -> None:
        self._grace = timedelta(days=grace_days + 1)
        begun: dict[PartialDate, list[Exposure]] = defaultdict(list)
        for one in exposures:
            renews = one.grade is Grade.PRESCRIBED and not one.indication.may_be_another
            if renews and one.period.start is not None:
                begun[one.period.start].append(one)
        self._begun = sorted(begun.items(), key=lambda item: (item[0].earliest, item[0].latest))
        self._days = [start.earliest for start, _ in self._begun]

    def as_used(self, order: Exposure) -> Exposure | None:
        """The prescription as it was used; `None` where neither refills nor a later one show that it was."""
        renewed = self._renewed_on(order)
        if renewed is not None:
            return replace(order, period=_used_until(order, renewed - timedelta(days=1)))
        return order if order.refills else None

    def _renewed_on(self, order: Exposure) -> date | None:
        """The first day on which another prescription may have taken over from this one, in time for certain.

        The steps of one prescription share its evidence; none of them renews another.
        """
        start, end = order.period.start, order.supply_end or order.period.end
        if start is None or end is None:
            return None
        last = _later(end.earliest, self._grace)
        own = set(order.evidence)
        for place in range(bisect_right(self._days, start.latest), bisect_right(self._days, last)):
            begins, orders = self._begun[place]
            if begins.latest <= last and any(own.isdisjoint(other.evidence) for other in orders):
                return begins.earliest
        return None


def _used_until(order: Exposure, day: date) -> Interval:
    """The period of a prescription that was used until a day, as far as its supply and its dosage reach."""
    end, supplied = order.period.end, order.supply_end
    if end is None or supplied is None or order.bounds == Interval():
        return order.period
    limits = [day, supplied.earliest, end.latest]
    if order.bounds is not None and order.bounds.end is not None:
        limits.append(order.bounds.end.earliest)
    return replace(order.period, end=PartialDate(max(end.earliest, min(limits)), end.latest))


def _later(day: date, by: timedelta) -> date:
    return day + by if day <= date.max - by else date.max
