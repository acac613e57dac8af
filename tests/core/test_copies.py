"""Copies and prescriptions fold as they would if every record were set beside every other."""

from dataclasses import replace

from hypothesis import given

from service.core.copies import distinct_exposures
from service.core.dates import Interval, PartialDate
from service.core.exposures import trial_key
from service.core.records import (
    DoseBasis,
    Exposure,
    ExposureStatus,
    Grade,
    Indication,
    reference_order,
)
from tests.core.strategies import told_again
from tests.examples import tries


def folded_one_by_one(exposures: tuple[Exposure, ...]) -> tuple[Exposure, ...]:
    """What `distinct_exposures` means, in the plainest way to say it: every record beside every other."""
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
            exposure.grade,
        )
        first = folded.get(key)
        if first is None:
            folded[key] = exposure
        else:
            folded[key] = replace(
                first,
                evidence=(*first.evidence, *exposure.evidence),
                names=first.names | exposure.names,
                asserted=_later(first.asserted, exposure.asserted),
            )
    return _without_told_prescriptions(tuple(folded.values()))


def _without_told_prescriptions(exposures: tuple[Exposure, ...]) -> tuple[Exposure, ...]:
    kept = list(exposures)
    prescribed = [exposure for exposure in exposures if exposure.grade is Grade.PRESCRIBED]
    for prescription in sorted(prescribed, key=lambda e: reference_order(e.evidence)):
        current = next(e for e in kept if set(e.evidence) >= set(prescription.evidence))
        telling = [other for other in kept if other is not current and _tells_of(other, current)]
        if current.grade is Grade.PRESCRIBED and telling:
            kept = [_lent(e, current) if e in telling else e for e in kept if e is not current]
    return tuple(kept)


def _tells_of(other: Exposure, prescription: Exposure) -> bool:
    """Whether a record speaks of the same tablets as a prescription."""
    if trial_key(other) != trial_key(prescription):
        return False
    own = {(ref.type, ref.id) for ref in prescription.evidence}
    return bool(other.names & own) or (other.grade is Grade.STATED and _may_overlap(other, prescription))


def _may_overlap(one: Exposure, other: Exposure) -> bool:
    def begins_by_the_end_of(first: Interval, second: Interval) -> bool:
        return first.start is None or second.end is None or first.start.earliest <= second.end.latest

    return begins_by_the_end_of(one.period, other.period) and begins_by_the_end_of(other.period, one.period)


def _lent(exposure: Exposure, prescription: Exposure) -> Exposure:
    """The record with what its prescription knows and it does not."""
    undocumented = exposure.dose.basis is DoseBasis.NOT_DOCUMENTED
    unexplained = exposure.status is ExposureStatus.ENDED and not exposure.stop_reasons
    not_stated = exposure.indication is Indication.NOT_STATED
    return replace(
        exposure,
        dose=prescription.dose if undocumented else exposure.dose,
        stop_reasons=prescription.stop_reasons if unexplained else exposure.stop_reasons,
        indication=prescription.indication if not_stated else exposure.indication,
        evidence=(*exposure.evidence, *prescription.evidence),
        names=exposure.names | prescription.names,
    )


def _later(first: PartialDate | None, second: PartialDate | None) -> PartialDate | None:
    """The later assertion; an unknown one says least."""
    return max(first, second) if first is not None and second is not None else None


def rests_once(exposures: tuple[Exposure, ...]) -> list[Exposure]:
    """Exposures with each record that they rest on named once, where it was first."""
    return [replace(one, evidence=tuple(dict.fromkeys(one.evidence))) for one in exposures]


@tries(300)
@given(told_again())
def test_records_fold_as_they_do_one_by_one(exposures: tuple[Exposure, ...]) -> None:
    assert rests_once(distinct_exposures(exposures)) == rests_once(folded_one_by_one(exposures))
