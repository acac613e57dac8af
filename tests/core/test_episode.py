"""When this episode began, and whether the depression shows in the present."""

from datetime import date
from typing import Any

import pytest

from service.core.courses import Episode
from service.core.dates import PartialDate
from service.core.depression import assess_depression
from service.core.episode import find_episode, find_history, find_remissions
from service.core.findings import Finding, Reason
from service.core.records import (
    ClinicalStatus,
    DepressionState,
    Diagnosis,
    Measure,
    Observation,
    Verification,
)
from service.core.scores import Symptoms, read_scores
from tests.core.builders import (
    AS_OF,
    INEFFECTIVE,
    SEED,
    US,
    Entry,
    assessed,
    codes,
    day,
    depression,
    exposure,
    record,
    ref,
    result,
    some_day,
    suicidality,
)


def episode_of(*entries: Entry, as_of: date = AS_OF) -> tuple[Episode, tuple[Reason, ...]]:
    of = record(*entries)
    history = find_history(of, read_scores(of, US, as_of), (), SEED, as_of)
    return find_episode(assess_depression(of, Symptoms(), as_of), history, SEED, as_of)


# the episode -----------------------------------------------------------------------------------


def starts(*entries: Diagnosis, as_of: date = AS_OF) -> tuple[PartialDate, bool]:
    found, warnings = episode_of(*entries, as_of=as_of)
    assert codes(warnings) == (["episode-start-assumed"] if found.assumed else [])
    return (found.start, found.assumed)


LOOK_BACK = (some_day("2021-11-23"), True)


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        pytest.param([depression(onset="2024-05-01")], (some_day("2024-05-01"), False), id="onset"),
        pytest.param([depression(onset="2024")], (some_day("2024"), False), id="onset by year"),
        pytest.param(
            [depression(onset="2024-05-01"), depression(onset="2025-05-02", id="b")],
            (some_day("2025-05-02"), False),
            id="the latest",
        ),
        pytest.param(
            [depression(onset="2022"), depression(onset="2025", id="b"), depression(onset="2025", id="c")],
            (some_day("2025"), False),
            id="the latest of partial onsets",
        ),
        pytest.param(
            [depression(onset="2024-05-01"), depression(onset=None, id="b")],
            (some_day("2024-05-01"), False),
            id="the latest known",
        ),
        pytest.param(
            [depression(onset="2025", recorded="2025-06-10")],
            (PartialDate(date(2025, 1, 1), date(2025, 6, 10)), False),
            id="recorded bounds the onset",
        ),
        pytest.param(
            [depression(onset="2026")],
            (PartialDate(date(2026, 1, 1), AS_OF), False),
            id="this year: by today",
        ),
        pytest.param([depression(onset=None, recorded="2025-06-10")], LOOK_BACK, id="recorded is no onset"),
        pytest.param([depression(onset="2027-01-01")], LOOK_BACK, id="an onset in the future is none"),
        pytest.param([depression(onset=None)], LOOK_BACK, id="no onset"),
        pytest.param([], LOOK_BACK, id="no depression"),
        pytest.param(
            [
                depression(onset="2024-05-01"),
                depression(onset="2025-01-01", id="b", clinical_status=ClinicalStatus.ENDED),
            ],
            (some_day("2024-05-01"), False),
            id="a depression that is over does not count",
        ),
        pytest.param(
            [depression(DepressionState.UNSPECIFIED, onset="2024-05-01")],
            LOOK_BACK,
            id="nor an unspecified one",
        ),
    ],
)
def test_episode(entries: list[Diagnosis], expected: tuple[PartialDate, bool]) -> None:
    assert starts(*entries) == expected


def test_the_look_back_of_a_leap_day() -> None:
    assert starts(as_of=date(2028, 2, 29)) == (some_day("2023-02-28"), True)


def test_the_warning_names_the_depression_without_an_onset() -> None:
    found, (warning,) = episode_of(depression(onset=None))
    assert warning.evidence == (ref("depression", "Condition"),)
    assert "5 years" in warning.text
    assert found.active is Finding.MET


# a run of signs --------------------------------------------------------------------------------


def phq(value: float, when: str) -> Observation:
    return result(Measure.PHQ_9, value, when)


def visit(when: str, **changes: Any) -> Diagnosis:
    """The diagnosis of a visit, which nobody ever closes."""
    given: dict[str, Any] = {"id": f"visit-{when}", "onset": when, "asserted": None, "at_visit": True}
    return depression(**given | changes)


def over(when: str, **changes: Any) -> Diagnosis:
    """A depression that is recorded as in remission."""
    given: dict[str, Any] = {"id": f"over-{when}", "onset": None, "recorded": when, "asserted": None}
    return depression(DepressionState.REMISSION, **given | changes)


LISTED = depression(onset="2025-06-01", asserted=None)


def between(first: str, last: str) -> PartialDate:
    return PartialDate(some_day(first).earliest, some_day(last).latest)


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        pytest.param([LISTED, phq(18, "2024-06-01")], between("2024-06-01", "2025-06-01"), id="365 days"),
        pytest.param([LISTED, phq(18, "2024-05-31")], some_day("2025-06-01"), id="366 days"),
        pytest.param([LISTED, phq(9, "2024-12-01")], some_day("2025-06-01"), id="no symptoms, no sign"),
        pytest.param([LISTED, phq(18, "2024-05")], some_day("2025-06-01"), id="a month, too long ago"),
        pytest.param(
            [LISTED, phq(18, "2024-06-10"), phq(18, "2023-08-01"), phq(18, "2022-01-01")],
            between("2023-08-01", "2025-06-01"),
            id="from sign to sign",
        ),
        pytest.param(
            [
                LISTED,
                *(phq(18, f"{year}-{month}-01") for year in range(2019, 2025) for month in ("01", "07")),
            ],
            between("2021-11-23", "2025-06-01"),
            id="never further back than the look-back",
        ),
        pytest.param(
            [LISTED, phq(18, "2024-06-10"), over("2025-01-01")],
            some_day("2025-06-01"),
            id="remission between",
        ),
        pytest.param(
            [LISTED, phq(18, "2024-06-10"), phq(3, "2024-09-01"), phq(3, "2024-10-27")],
            some_day("2025-06-01"),
            id="remission scores 56 days apart between",
        ),
        pytest.param(
            [LISTED, phq(18, "2024-06-10"), phq(3, "2024-09-01"), phq(3, "2024-10-26")],
            between("2024-06-10", "2025-06-01"),
            id="remission scores 55 days apart between",
        ),
        pytest.param(
            [LISTED, phq(18, "2024-06-10"), phq(3, "2024-08-01"), phq(5, "2024-09-01"), phq(3, "2024-12-01")],
            between("2024-06-10", "2025-06-01"),
            id="a score above remission between the two",
        ),
        pytest.param(
            [LISTED, over("2025-08-01", id="again"), phq(18, "2025-10-01")],
            some_day("2025-10-01"),
            id="a new episode after a remission",
        ),
        pytest.param(
            [
                LISTED,
                phq(3, "2025-08-01"),
                phq(3, "2025-10-01"),
                phq(18, "2026-02-01"),
                phq(18, "2026-04-01"),
            ],
            some_day("2026-02-01"),
            id="with the first sign after it",
        ),
        pytest.param([visit("2024-06-01")], some_day("2024-06-01"), id="a visit alone"),
        pytest.param(
            [visit("2026-06-01"), visit("2025-07-01"), visit("2023-07-01")],
            some_day("2025-07-01"),
            id="visits that follow each other within a year",
        ),
        pytest.param(
            [visit("2026-06-01"), visit("2025-06-01")], some_day("2025-06-01"), id="visits 365 days apart"
        ),
        pytest.param(
            [visit("2026-06-01"), visit("2025-05-31")], some_day("2026-06-01"), id="visits 366 days apart"
        ),
        pytest.param(
            [visit("2026-06-01"), visit("2025-07", onset="2025-07")],
            some_day("2025-07"),
            id="a visit of some day of a month",
        ),
        pytest.param(
            [depression(onset="2025-06", asserted=None), phq(18, "2025-01")],
            between("2025-01", "2025-06"),
            id="months",
        ),
        pytest.param(
            [LISTED, phq(18, "2024-12-01"), over("2024-12-01")],
            some_day("2025-06-01"),
            id="remission on the day of the sign",
        ),
        pytest.param(
            [LISTED, phq(18, "2024-12-01"), over("2025-06-01")],
            some_day("2025-06-01"),
            id="remission on the day of the onset",
        ),
        pytest.param(
            [LISTED, over("2025-06-01"), phq(18, "2025-10-01")],
            some_day("2025-10-01"),
            id="a new episode after a remission on the day of the onset",
        ),
        pytest.param(
            [depression(onset="2025", asserted=None), over("2025-08-01"), phq(18, "2025-10-01")],
            some_day("2025-10-01"),
            id="a new episode after an onset that may be later than the remission",
        ),
        pytest.param(
            [LISTED, over("2025-08-01"), phq(18, "2025-10")],
            some_day("2025-10"),
            id="a new episode since some day of a month",
        ),
        pytest.param(
            [LISTED, over("2025-08-01"), phq(18, "2025-10"), phq(18, "2025-10-20")],
            between("2025-10-01", "2025-10-20"),
            id="a new episode by a day of that month at the latest",
        ),
        pytest.param(
            [LISTED, phq(3, "2025-08"), phq(3, "2025-10-10"), phq(18, "2025-12-01")],
            between("2025-06-01", "2025-12-01"),
            id="a new episode after what may be a remission",
        ),
        pytest.param(
            [depression(onset="2024-01-01", asserted=None), visit("2026-06-01")],
            some_day("2024-01-01"),
            id="a visit is no onset beside the problem list",
        ),
        pytest.param(
            [depression(onset=None, recorded="2026-02-01"), visit("2026-06-01")],
            some_day("2026-02-01"),
            id="nor does an entry without an onset end the run",
        ),
    ],
)
def test_signs_that_follow_each_other_are_one_episode(entries: list[Entry], expected: PartialDate) -> None:
    assert episode_of(*entries)[0].start == expected


@pytest.mark.parametrize(
    ("results", "expected"),
    [
        pytest.param([phq(3, "2025-01-01"), phq(3, "2025-02-26")], True, id="56 days"),
        pytest.param([phq(3, "2025-01-01"), phq(3, "2025-02-25")], None, id="55 days"),
        pytest.param([phq(3, "2025-01"), phq(3, "2025-03-28")], True, id="56 days or more"),
        pytest.param([phq(3, "2025-01"), phq(3, "2025-03-27")], False, id="perhaps 55"),
        pytest.param([phq(3, "2025-01-31"), phq(3, "2025-03")], False, id="perhaps 29"),
        pytest.param([phq(3, "2025-01-31"), phq(3, "2025-03"), phq(3, "2025-04-30")], True, id="one between"),
        pytest.param(
            [phq(3, "2025-01-01"), phq(9, "2025-02"), phq(3, "2025-04-01")], False, id="a month above it"
        ),
        pytest.param(
            [phq(3, "2025-01-10"), phq(9, "2025-01"), phq(3, "2025-04-01")],
            False,
            id="a month above it, perhaps before",
        ),
        pytest.param(
            [phq(3, "2025-01-10"), phq(9, "2025-04"), phq(3, "2025-04-10")],
            False,
            id="a month above it, perhaps after",
        ),
        pytest.param(
            [phq(3, "2025-01-10"), phq(9, "2025-05"), phq(3, "2025-04-10")], True, id="a month after"
        ),
    ],
)
def test_scores_show_a_remission_that_dates_may_leave_open(
    results: list[Observation], expected: bool | None
) -> None:
    of = record(*(one._replace(evidence=(ref(f"r{n}", "Observation"),)) for n, one in enumerate(results)))
    found = find_remissions(of, read_scores(of, US, AS_OF), SEED, AS_OF)
    assert [one.certain for one in found] == ([] if expected is None else [expected])


ENDED: dict[str, Any] = {"clinical_status": ClinicalStatus.ENDED, "abatement": day("2025-03-01")}


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        pytest.param(depression(**ENDED), ["2025-03-01"], id="ended on the problem list"),
        pytest.param(depression(**ENDED | {"abatement": None}), [], id="ended nobody knows when"),
        pytest.param(depression(**ENDED, verification=Verification.UNPROVEN), [], id="in doubt"),
        pytest.param(visit("2025-02-01", **ENDED), [], id="the diagnosis of a visit, closed"),
        pytest.param(depression(), [], id="active"),
        pytest.param(over("2025-03-01"), ["2025-03-01"], id="coded"),
        pytest.param(over("2026-11-24"), [], id="coded tomorrow"),
        pytest.param(over("2026-11-23"), ["2026-11-23"], id="coded today"),
    ],
)
def test_conditions_show_a_remission(entry: Diagnosis, expected: list[str]) -> None:
    found = find_remissions(record(entry), (), SEED, AS_OF)
    assert [one.when for one in found] == [some_day(when) for when in expected]


def test_a_start_left_open_is_said_and_leaves_the_trials_between_open() -> None:
    before = exposure(start="2024-07-01", end="2025-01-31", stop_reasons=INEFFECTIVE)
    found = assessed(record(depression(onset="2025-06-01"), before))
    assert found.episode.start == between("2024-07-01", "2025-06-01")
    assert codes(found.warnings) == ["episode-start-open"]
    assert "since 1 Jul 2024" in found.warnings[0].text
    (trial,) = found.trials
    assert codes(trial.adequacy.reasons) == ["episode-uncertain"]
    assert trial.needed == ("when the current episode of depression began",)


def test_a_visit_whose_diagnosis_was_closed_still_shows_the_depression_of_that_day() -> None:
    closed = visit("2024-12-01", clinical_status=ClinicalStatus.ENDED, abatement=day("2024-12-01"))
    assert episode_of(LISTED, closed)[0].start == between("2024-12-01", "2025-06-01")


@pytest.mark.parametrize(
    ("ended", "expected"),
    [
        pytest.param(day("2026-06-01"), ("met", "sign-of-depression"), id="with the visit"),
        pytest.param(None, ("met", "sign-of-depression"), id="without a day"),
        pytest.param(day("2026-06-02"), ("indeterminate", "status-contradictory"), id="the day after"),
    ],
)
def test_the_diagnosis_of_a_visit_is_closed_with_it(
    ended: PartialDate | None, expected: tuple[str, str]
) -> None:
    closed = visit("2026-06-01", clinical_status=ClinicalStatus.ENDED, abatement=ended)
    assert present(OLD, closed) == expected


# the depression of now -------------------------------------------------------------------------


def present(*entries: Entry) -> tuple[str, str]:
    answer = assessed(record(*entries)).pathways[0].criteria[0].answer
    return (answer.finding.value, answer.reasons[-1].code.value)


SHOWN = ("met", "sign-of-depression")
UNSHOWN = ("indeterminate", "no-recent-sign-of-depression")
NOT_SINCE = ("indeterminate", "no-sign-since-remission")
OLD = depression(onset="2022-01-01", asserted=None)


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        pytest.param([OLD], UNSHOWN, id="a problem list alone"),
        pytest.param([depression(onset="2025-11-23", asserted=None)], SHOWN, id="begun 365 days ago"),
        pytest.param([depression(onset="2025-11-22", asserted=None)], UNSHOWN, id="begun 366 days ago"),
        pytest.param([depression(onset="2025", asserted=None)], UNSHOWN, id="begun perhaps too long ago"),
        pytest.param(
            [depression(onset=None, recorded="2025-11-23", asserted=None)], SHOWN, id="recorded 365 days ago"
        ),
        pytest.param([depression(onset=None, asserted=day("2025-11-23"))], SHOWN, id="asserted 365 days ago"),
        pytest.param(
            [depression(onset=None, asserted=day("2025-11-22"))], UNSHOWN, id="asserted 366 days ago"
        ),
        pytest.param([OLD, visit("2025-11-23")], SHOWN, id="coded at a visit 365 days ago"),
        pytest.param([OLD, visit("2025-11-22")], UNSHOWN, id="coded at a visit 366 days ago"),
        pytest.param(
            [OLD, visit("2026-06-01", verification=Verification.UNPROVEN)], UNSHOWN, id="a visit in doubt"
        ),
        pytest.param([OLD, phq(10, "2025-11-23")], SHOWN, id="a score with symptoms 365 days ago"),
        pytest.param([OLD, phq(10, "2025-11-22")], UNSHOWN, id="a score with symptoms 366 days ago"),
        pytest.param([OLD, phq(9, "2026-11-01")], UNSHOWN, id="a score between"),
        pytest.param([OLD, visit("2026-11-23")], SHOWN, id="coded at a visit today"),
        pytest.param([OLD, visit("2026-11-24")], UNSHOWN, id="coded at a visit that is yet to be"),
        pytest.param(
            [OLD, exposure(start="2025-01-01", end="2025-11-23", stop_reasons=INEFFECTIVE)],
            SHOWN,
            id="stopped for lack of effect 365 days ago",
        ),
        pytest.param(
            [OLD, exposure(start="2025-01-01", end="2025-11-22", stop_reasons=INEFFECTIVE)],
            UNSHOWN,
            id="stopped for lack of effect 366 days ago",
        ),
        pytest.param([OLD, exposure(start="2025-01-01", end="2026-01-31")], UNSHOWN, id="an end alone"),
        pytest.param(
            [OLD, exposure(start="2025-01-01", end="2025-11-20"), exposure("fluoxetine", start="2025-11-23")],
            SHOWN,
            id="replaced 365 days ago",
        ),
        pytest.param(
            [OLD, exposure(start="2025-01-01", end="2025-11-20"), exposure("fluoxetine", start="2025-11-22")],
            UNSHOWN,
            id="replaced 366 days ago",
        ),
        pytest.param([OLD, exposure(start="2026-01-01")], UNSHOWN, id="a medicine still taken is no sign"),
        pytest.param(
            [OLD, suicidality(recorded="2026-10-24")], ("met", "active-mdd"), id="suicidality of now"
        ),
        pytest.param([OLD, suicidality(recorded="2026-10-23")], UNSHOWN, id="suicidality of 31 days ago"),
        pytest.param(
            [OLD, phq(18, "2026-03-01"), phq(3, "2026-05-01"), phq(3, "2026-06-26")],
            NOT_SINCE,
            id="remission scores 56 days apart since",
        ),
        pytest.param(
            [OLD, phq(18, "2026-03-01"), phq(3, "2026-05-01"), phq(3, "2026-06-25")],
            SHOWN,
            id="remission scores 55 days apart since",
        ),
        pytest.param(
            [OLD, phq(3, "2026-03-01"), phq(3, "2026-06-26"), phq(18, "2026-06-27")],
            SHOWN,
            id="symptoms the day after a remission",
        ),
        pytest.param(
            [OLD, phq(18, "2026-06-20"), phq(3, "2026-03-01"), phq(3, "2026-06")],
            NOT_SINCE,
            id="a remission that may be later",
        ),
        pytest.param(
            [OLD, visit("2026-06", onset="2026-06"), phq(3, "2026-03-01"), phq(3, "2026-06-10")],
            NOT_SINCE,
            id="a sign that may be earlier",
        ),
    ],
)
def test_a_problem_list_alone_does_not_show_that_the_depression_is_present(
    entries: list[Entry], expected: tuple[str, str]
) -> None:
    assert present(*entries) == expected


def test_the_sign_is_named_and_a_score_is_asked_for_without_one() -> None:
    shown = assessed(record(OLD, phq(18, "2026-06-01"), exposure(start="2026-01-01")))
    reason = shown.pathways[0].criteria[0].answer.reasons[-1]
    assert reason.text == "last sign of it: PHQ-9 18 (1 Jun 2026)"
    assert [r.type for r in reason.evidence] == ["Observation"]
    asked = [one.what for one in assessed(record(OLD)).missing if one.would_decide == "current-depression"]
    assert asked == ["a current symptom score (PHQ-9 or MADRS)"]
