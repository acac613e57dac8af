"""When an exposure ended, and which records are copies of one another."""

from dataclasses import replace
from datetime import date

import pytest

from service.core.copies import distinct_exposures
from service.core.dates import Interval, PartialDate
from service.core.exposures import settle_interval, trial_key
from service.core.records import Exposure, ExposureStatus, Identified, Indication, StopReason
from tests.core.builders import AS_OF, SEED, day, exposure, medicine, ref, settled, some_day, unnamed

TODAY = PartialDate.on(AS_OF)
ACTIVE, ENDED = ExposureStatus.ACTIVE, ExposureStatus.ENDED


def ends(given: Exposure) -> Interval:
    return settle_interval(given, AS_OF, SEED)


def between(first: str, last: str) -> PartialDate:
    return PartialDate(date.fromisoformat(first), date.fromisoformat(last))


@pytest.mark.parametrize(
    ("given", "end", "ongoing"),
    [
        pytest.param(exposure(), TODAY, True, id="active, no end: ongoing"),
        pytest.param(
            exposure(asserted=day("2025-11-23")), TODAY, True, id="active, asserted a year ago: ongoing"
        ),
        pytest.param(
            exposure(asserted=day("2025-11-22")),
            between("2025-11-22", "2026-11-23"),
            False,
            id="active, asserted more than a year ago: ended since",
        ),
        pytest.param(
            exposure(asserted=day("2025")),
            between("2025-01-01", "2026-11-23"),
            False,
            id="active, asserted perhaps more than a year ago: perhaps ended since",
        ),
        pytest.param(exposure(asserted=day("2027-01-01")), TODAY, True, id="active, asserted later: ongoing"),
        pytest.param(exposure(asserted=day("2026")), TODAY, True, id="active, asserted this year: ongoing"),
        pytest.param(
            exposure(end="2025-03-31", status=ACTIVE), some_day("2025-03-31"), False, id="active, with an end"
        ),
        pytest.param(exposure(end="2026-11-23"), TODAY, False, id="ended today"),
        pytest.param(exposure(end="2026-11-24", status=ACTIVE), TODAY, True, id="end tomorrow: ongoing"),
        pytest.param(
            exposure(end="2026-11-24", status=ENDED), TODAY, True, id="ended, but tomorrow: ongoing"
        ),
        pytest.param(
            exposure(end="2026"), between("2026-01-01", "2026-11-23"), False, id="end this year: by today"
        ),
        pytest.param(exposure(end="2025-03"), some_day("2025-03"), False, id="end known by month"),
        pytest.param(
            exposure(status=ENDED),
            between("2025-01-01", "2026-11-23"),
            False,
            id="ended, no end: between start and today",
        ),
        pytest.param(
            exposure(status=ENDED, asserted=day("2025-03-31")),
            between("2025-01-01", "2025-03-31"),
            False,
            id="ended, no end: between start and assertion",
        ),
        pytest.param(
            exposure(status=ENDED, asserted=day("2025-03")),
            between("2025-01-01", "2025-03-31"),
            False,
            id="ended, no end: the latest day of the assertion",
        ),
        pytest.param(
            exposure(status=ENDED, asserted=day("2027-03-31")),
            between("2025-01-01", "2026-11-23"),
            False,
            id="ended, asserted later: today bounds it",
        ),
        pytest.param(
            exposure(status=ENDED, asserted=day("2026")),
            between("2025-01-01", "2026-11-23"),
            False,
            id="ended, asserted this year: today bounds it",
        ),
        pytest.param(
            exposure(start="2025", status=ENDED, asserted=day("2024-06-01")),
            some_day("2025"),
            False,
            id="ended, asserted before the start: no later than the start may be",
        ),
        pytest.param(
            exposure(status=ExposureStatus.ON_HOLD),
            between("2025-01-01", "2026-11-23"),
            False,
            id="on hold is not active",
        ),
        pytest.param(
            exposure(status=ExposureStatus.UNKNOWN),
            between("2025-01-01", "2026-11-23"),
            False,
            id="unknown is not active",
        ),
        pytest.param(exposure(start=None, status=ENDED), None, False, id="ended, no dates: end unknown"),
        pytest.param(exposure(start=None), TODAY, True, id="active, no dates: ongoing"),
        pytest.param(exposure(start=None, end="2025-03"), some_day("2025-03"), False, id="end alone"),
    ],
)
def test_end(given: Exposure, end: PartialDate | None, ongoing: bool) -> None:
    found = ends(given)
    assert (found.end, found.ongoing) == (end, ongoing)


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        pytest.param("2025-01-01", some_day("2025-01-01"), id="known"),
        pytest.param("2026", between("2026-01-01", "2026-11-23"), id="this year: by today"),
        pytest.param(None, None, id="unknown"),
    ],
)
def test_start(start: str | None, expected: PartialDate | None) -> None:
    assert ends(exposure(start=start)).start == expected


# copies ----------------------------------------------------------------------------------------


def copies(*exposures: Exposure) -> list[list[str]]:
    return [[reference.id for reference in found.evidence] for found in distinct_exposures(exposures)]


ONE = exposure(end="2025-03-31", id="a")


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(replace(ONE, evidence=(ref("b"),)), id="same in everything"),
        pytest.param(exposure(end="2025-03-31", id="b", asserted=day("2025-04-01")), id="asserted again"),
        pytest.param(
            exposure(medicine("sertraline", label="Zoloft"), end="2025-03-31", id="b"), id="called otherwise"
        ),
    ],
)
def test_a_copy_is_folded_and_its_evidence_kept(other: Exposure) -> None:
    assert copies(ONE, other) == [["a", "b"]]
    assert copies(other, ONE) == [["a", "b"]]


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(exposure("fluoxetine", end="2025-03-31", id="b"), id="another medicine"),
        pytest.param(exposure(end="2025-03-31", id="b", mg=50), id="another dose"),
        pytest.param(exposure(end="2025-03-30", id="b"), id="another period"),
        pytest.param(
            exposure(medicine(strength_mg=25.0, unit="tablet"), end="2025-03-31", id="b"),
            id="another product",
        ),
        pytest.param(
            exposure(end="2025-03-31", id="b", stop_reasons=frozenset({StopReason.OTHER})),
            id="another outcome",
        ),
        pytest.param(exposure(end="2025-03-31", id="b", indication=Indication.OTHER), id="another reason"),
        pytest.param(exposure(end="2025-03-31", id="b", status=ACTIVE), id="another status"),
        pytest.param(
            exposure(medicine(identified=Identified.TEXT_ONLY), end="2025-03-31", id="b"),
            id="known by text only",
        ),
    ],
)
def test_what_differs_is_kept_apart(other: Exposure) -> None:
    assert copies(ONE, other) == [["a"], ["b"]]


def test_the_later_assertion_of_copies_stands() -> None:
    early, late = (replace(ONE, asserted=day(text)) for text in ("2025-04-01", "2025-06-01"))
    (found,) = distinct_exposures((late, early))
    assert found.asserted == day("2025-06-01")


def test_copies_are_told_by_settled_periods() -> None:
    """Two open records, the end of both bounded by today, are one."""
    assert len(settled(exposure(id="a"), exposure(id="b", end="2027-01-01", status=ACTIVE))) == 1


@pytest.mark.parametrize(
    ("given", "key"),
    [
        pytest.param(medicine("sertraline"), ("sertraline", ""), id="coded"),
        pytest.param(
            medicine("sertraline", identified=Identified.TEXT_ONLY), ("sertraline", "text-only"), id="by text"
        ),
        pytest.param(
            medicine("bupropion", not_a_trial="smoking-cessation"),
            ("bupropion", "smoking-cessation"),
            id="never",
        ),
        pytest.param(unnamed(label="Some Pill"), ("some pill", "unresolved"), id="unresolved"),
    ],
)
def test_words_alone_never_join_a_coded_trial(given: object, key: tuple[str, str]) -> None:
    assert trial_key(exposure(given)) == key  # type: ignore[arg-type]
