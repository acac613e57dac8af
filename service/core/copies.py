"""Which records tell of the same tablets: copies of one record, and prescriptions beside better records.

A prescription says what was meant to be taken. Where another record of the medicine names it, or a statement
of the medicine may overlap it, that record says what came of it; the prescription lends it what it leaves out
(dose, reason to give, reason to stop) and adds no days of its own.

The work grows with the records and with how many of them each prescription is lent to.
"""

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import date
from heapq import heappop, heappush

from service.core.dates import Interval
from service.core.exposures import trial_key
from service.core.records import (
    Dose,
    DoseBasis,
    Exposure,
    ExposureStatus,
    Grade,
    Indication,
    StopReason,
    VersionedReference,
    reference_order,
)


def distinct_exposures(exposures: tuple[Exposure, ...]) -> tuple[Exposure, ...]:
    """Fold what tells of the same tablets: copies first, then prescriptions.

    The same product, dose, period and outcome is one exposure under any ids.
    """
    copies: dict[tuple[object, ...], list[Exposure]] = {}
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
            exposure.grade,
            exposure.supply_end,
            exposure.medicine.lowest_mg if exposure.dose.basis is DoseBasis.NOT_DOCUMENTED else None,
        )
        copies.setdefault(key, []).append(exposure)
    return _without_told_prescriptions(tuple(_one_of(same) for same in copies.values()))


def _one_of(same: list[Exposure]) -> Exposure:
    """One exposure for copies of it, asserted when the last of them was; an unknown assertion says least."""
    if len(same) == 1:
        return same[0]
    asserted = [copy.asserted for copy in same if copy.asserted is not None]
    return replace(
        same[0],
        evidence=tuple(ref for copy in same for ref in copy.evidence),
        names=frozenset(name for copy in same for name in copy.names),
        asserted=max(asserted) if len(asserted) == len(same) else None,
        refills=any(copy.refills for copy in same),
    )


def _without_told_prescriptions(exposures: tuple[Exposure, ...]) -> tuple[Exposure, ...]:
    """Fold each prescription, one after another, into every record that tells of it."""
    prescribed = [exposure for exposure in exposures if exposure.grade is Grade.PRESCRIBED]
    if not prescribed:
        return exposures
    folding = _Folding(exposures)
    for prescription in sorted(prescribed, key=lambda e: reference_order(e.evidence)):
        folding.take(frozenset(prescription.evidence))
    return tuple(kept.as_told() for kept in folding.kept if not kept.mark)


@dataclass(slots=True, eq=False)
class _Naming:
    """The records that name a prescription, or any of several that were folded one into another."""

    records: "set[_Kept]" = field(default_factory=set)


@dataclass(slots=True, eq=False)
class _Kept:
    """A record that is kept so far, with what prescriptions lent it."""

    place: int
    exposure: Exposure
    dose: Dose
    stop_reasons: frozenset[StopReason]
    indication: Indication
    lenders: "list[_Kept]" = field(default_factory=list)
    """The prescriptions that were folded into it, in their order."""
    mark: int = 0
    """A bit of its own, once it was folded itself."""
    marks: int = 0
    """The bits of all that was folded into it, at any remove, and its own."""
    named_by: set[_Naming] = field(default_factory=set)
    """Of a prescription: who names it, or what was folded into it."""
    names: set[_Naming] = field(default_factory=set)
    """The prescriptions that it names, itself or through what was folded into it."""
    awaited: set[VersionedReference] = field(default_factory=set)
    """Those references of its evidence by which a prescription has yet to be taken."""

    @classmethod
    def of(cls, place: int, exposure: Exposure) -> "_Kept":
        """A record as it came."""
        return cls(place, exposure, exposure.dose, exposure.stop_reasons, exposure.indication)

    @property
    def is_prescription(self) -> bool:
        """Whether it says no more than what was meant to be taken."""
        return self.exposure.grade is Grade.PRESCRIBED

    def borrow(self, prescription: "_Kept") -> None:
        """Take over what a prescription knows and this record does not."""
        if self.dose.basis is DoseBasis.NOT_DOCUMENTED:
            self.dose = prescription.dose
        if self.exposure.status is ExposureStatus.ENDED and not self.stop_reasons:
            self.stop_reasons = prescription.stop_reasons
        if self.indication is Indication.NOT_STATED:
            self.indication = prescription.indication
        self.lenders.append(prescription)
        self.marks |= prescription.marks

    def as_told(self) -> Exposure:
        """The exposure with what it was lent; each record that it rests on is named once."""
        if not self.lenders:
            return self.exposure
        told = [one.exposure for one in self._with_folded()]
        return replace(
            self.exposure,
            dose=self.dose,
            stop_reasons=self.stop_reasons,
            indication=self.indication,
            evidence=tuple(dict.fromkeys(ref for exposure in told for ref in exposure.evidence)),
            names=frozenset(name for exposure in told for name in exposure.names),
        )

    def _with_folded(self) -> "Iterator[_Kept]":
        """This record and what was folded into it: each prescription before those it had taken in itself."""
        yield self
        seen = 0
        ahead = self.lenders[::-1]
        while ahead:
            one = ahead.pop()
            unseen = one.marks & ~seen
            if unseen:
                yield one
                seen |= one.mark
            if unseen & ~one.mark:
                ahead.extend(reversed(one.lenders))


class _Folding:
    """Folds prescriptions into what tells of them, one after another; `kept` is what there is so far."""

    def __init__(self, exposures: tuple[Exposure, ...]) -> None:
        self.kept = [_Kept.of(place, exposure) for place, exposure in enumerate(exposures)]
        self._folded = 0
        prescriptions = [one for one in self.kept if one.is_prescription]
        self._waiting = Counter(ref for one in prescriptions for ref in set(one.exposure.evidence))
        self._bearers: dict[VersionedReference, list[int]] = defaultdict(list)
        for one in self.kept:
            one.awaited = {ref for ref in one.exposure.evidence if ref in self._waiting}
            for ref in one.awaited:
                self._bearers[ref].append(one.place)
        _link_names(self.kept, prescriptions)
        stated: dict[tuple[str, str], list[_Kept]] = defaultdict(list)
        for one in self.kept:
            if one.exposure.grade is Grade.STATED:
                stated[trial_key(one.exposure)].append(one)
        self._stated = {key: _Statements(statements) for key, statements in stated.items()}

    def take(self, evidence: frozenset[VersionedReference]) -> None:
        """Fold what became of the prescription with that evidence, if anything tells of it."""
        bearer = self._bearer_of(evidence)
        self._waiting.subtract(evidence)
        if bearer.is_prescription and (telling := self._telling_of(bearer)):
            self._fold(bearer, telling)

    def _bearer_of(self, evidence: frozenset[VersionedReference]) -> _Kept:
        """The first record kept that rests on all this evidence.

        It is the prescription itself, or one that it was folded into. The steps of one prescription share
        their evidence: the first of them stands for all.
        """
        places = self._bearers[next(iter(evidence))]
        while self.kept[places[0]].mark:
            heappop(places)
        if len(evidence) == 1:
            return self.kept[places[0]]
        found = (self.kept[place] for place in sorted(places))
        return next(one for one in found if not one.mark and evidence <= one.awaited)

    def _telling_of(self, prescription: _Kept) -> set[_Kept]:
        """The other records that speak of the same tablets: they name it, or are statements of that time."""
        telling = {one for naming in prescription.named_by for one in naming.records}
        statements = self._stated.get(trial_key(prescription.exposure))
        if statements is not None:
            telling.update(statements.overlapping(prescription.exposure.period))
        telling.discard(prescription)
        return telling

    def _fold(self, prescription: _Kept, telling: set[_Kept]) -> None:
        """Lend a prescription to all that tell of it, which then stand for it, and keep it no longer.

        They rest on its evidence and name what it named.
        """
        prescription.mark = 1 << self._folded
        prescription.marks |= prescription.mark
        self._folded += 1
        naming = _as_one(prescription.named_by)
        for one in naming.records:
            one.named_by.add(naming)
        for one in telling:
            one.borrow(prescription)
            one.names |= prescription.names
        for named in prescription.names:
            named.records |= telling
            named.records.discard(prescription)
        awaited = {ref for ref in prescription.awaited if self._waiting[ref]}
        for one in telling if awaited else ():
            for ref in awaited - one.awaited:
                one.awaited.add(ref)
                heappush(self._bearers[ref], one.place)


def _link_names(kept: list[_Kept], prescriptions: list[_Kept]) -> None:
    """Find for every prescription the records of its medicine that name it."""
    by_name: dict[tuple[tuple[str, str], str, str], list[_Naming]] = defaultdict(list)
    for one in prescriptions:
        naming = _Naming()
        one.named_by.add(naming)
        for kind, identity in {(ref.type, ref.id) for ref in one.exposure.evidence}:
            by_name[trial_key(one.exposure), kind, identity].append(naming)
    for one in kept:
        if one.exposure.names:
            key = trial_key(one.exposure)
            one.names = {n for name in one.exposure.names for n in by_name.get((key, *name), ())}
            for naming in one.names:
                naming.records.add(one)


def _as_one(namings: set[_Naming]) -> _Naming:
    """Join namings: whoever names one of these prescriptions now speaks of them all."""
    widest = max(namings, key=lambda naming: len(naming.records))
    for naming in namings - {widest}:
        for one in naming.records:
            one.names.discard(naming)
            one.names.add(widest)
            if naming in one.named_by:
                one.named_by.discard(naming)
                one.named_by.add(widest)
        widest.records |= naming.records
    return widest


class _Statements:
    """The statements of one medicine, by their days."""

    def __init__(self, statements: list[_Kept]) -> None:
        self._statements = sorted(statements, key=lambda one: _days_of(one.exposure.period))
        days = [_days_of(one.exposure.period) for one in self._statements]
        self._first_days = [first for first, _ in days]
        # The last days, above them the later of each two, and so on up: node n stands for 2n and 2n + 1.
        self._last_days = [date.min] * len(days) + [last for _, last in days]
        for node in range(len(days) - 1, 0, -1):
            self._last_days[node] = max(self._last_days[2 * node], self._last_days[2 * node + 1])

    def overlapping(self, period: Interval) -> Iterator[_Kept]:
        """The statements that may share a day with a period."""
        first, last = _days_of(period)
        size = len(self._statements)
        ahead = list(_nodes_up_to(bisect_right(self._first_days, last), size))
        while ahead:
            node = ahead.pop()
            if self._last_days[node] < first:
                continue
            if node < size:
                ahead += (2 * node, 2 * node + 1)
            else:
                yield self._statements[node - size]


def _nodes_up_to(count: int, size: int) -> Iterator[int]:
    """The fewest nodes that stand for the first so many of the leaves of a tree with `size` leaves."""
    left, right = size, size + count
    while left < right:
        if left % 2:
            yield left
            left += 1
        if right % 2:
            right -= 1
            yield right
        left, right = left // 2, right // 2


def _days_of(period: Interval) -> tuple[date, date]:
    """The first and the last day that a period may have; without an end, or a start, any day."""
    first = date.min if period.start is None else period.start.earliest
    last = date.max if period.end is None else period.end.latest
    return first, last
