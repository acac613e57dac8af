"""Is major depression there now, how severe is it, and since when."""

from typing import Any

import pytest

from service.core.depression import assess_depression, is_ended
from service.core.findings import Finding
from service.core.records import (
    ClinicalStatus,
    DepressionState,
    Diagnosis,
    Record,
    Severity,
    Verification,
)
from service.core.scores import Symptoms
from tests.core.builders import (
    AS_OF,
    codes,
    condition,
    day,
    depression,
    record,
    unreadable,
)

MDD, PARTIAL = DepressionState.MDD, DepressionState.PARTIAL_REMISSION
FULL, UNSPECIFIED = DepressionState.REMISSION, DepressionState.UNSPECIFIED
ACTIVE, REMISSION = ClinicalStatus.ACTIVE, ClinicalStatus.REMISSION
ENDED, NOT_STATED = ClinicalStatus.ENDED, ClinicalStatus.NOT_STATED
CONFIRMED, UNPROVEN = Verification.CONFIRMED, Verification.UNPROVEN
MET, NOT_MET, OPEN = Finding.MET, Finding.NOT_MET, Finding.INDETERMINATE


NO_SCORES = Symptoms()


def current(*entries: Diagnosis, of: Record | None = None) -> tuple[str, list[str]]:
    answer = assess_depression(of or record(*entries), NO_SCORES, AS_OF).current
    assert bool(answer.needed) == (answer.finding is OPEN)
    return (answer.finding.value, codes(answer.reasons))


# over or not -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "abatement", "abated", "expected"),
    [
        pytest.param(ACTIVE, None, False, NOT_MET, id="active"),
        pytest.param(ACTIVE, "2025-01-01", False, OPEN, id="active, but abated: a contradiction"),
        pytest.param(ACTIVE, "2026-11-24", False, NOT_MET, id="active, to abate tomorrow"),
        pytest.param(ACTIVE, "2026", False, OPEN, id="active, abated perhaps already this year"),
        pytest.param(ACTIVE, None, True, OPEN, id="active, abated at some time"),
        pytest.param(NOT_STATED, None, False, NOT_MET, id="no status, no abatement: active"),
        pytest.param(NOT_STATED, "2026-11-23", False, MET, id="no status, abated today"),
        pytest.param(NOT_STATED, "2026-11-24", False, NOT_MET, id="no status, to abate tomorrow"),
        pytest.param(NOT_STATED, "2026", False, OPEN, id="no status, abated perhaps already this year"),
        pytest.param(NOT_STATED, "2025", False, MET, id="no status, abated last year"),
        pytest.param(NOT_STATED, None, True, MET, id="no status, abated at some time"),
        pytest.param(ENDED, None, False, MET, id="resolved or inactive"),
        pytest.param(REMISSION, None, False, MET, id="in remission"),
        pytest.param(ENDED, "2027-01-01", False, MET, id="the status decides first"),
    ],
)
def test_is_ended(status: ClinicalStatus, abatement: str | None, abated: bool, expected: Finding) -> None:
    given = condition(clinical_status=status, abatement=day(abatement), abated=abated)
    assert is_ended(given, AS_OF) is expected


# every state, status and verification ----------------------------------------------------------

ACTIVE_MDD = ("met", ["active-mdd"])
OVER = ("not-met", ["no-active-mdd"])
REMITTED = ("not-met", ["in-remission"])


@pytest.mark.parametrize(
    ("state", "status", "verification", "expected"),
    [
        (MDD, ACTIVE, CONFIRMED, ACTIVE_MDD),
        (MDD, ACTIVE, Verification.NOT_STATED, ACTIVE_MDD),
        (MDD, ACTIVE, UNPROVEN, ("indeterminate", ["mdd-not-confirmed"])),
        (MDD, NOT_STATED, CONFIRMED, ACTIVE_MDD),
        (MDD, NOT_STATED, UNPROVEN, ("indeterminate", ["mdd-not-confirmed"])),
        (MDD, ENDED, CONFIRMED, OVER),
        (MDD, ENDED, UNPROVEN, OVER),
        (MDD, REMISSION, CONFIRMED, REMITTED),
        (MDD, REMISSION, UNPROVEN, OVER),
        (PARTIAL, ACTIVE, CONFIRMED, ("indeterminate", ["partial-remission"])),
        (PARTIAL, ACTIVE, UNPROVEN, ("indeterminate", ["partial-remission"])),
        (PARTIAL, NOT_STATED, CONFIRMED, ("indeterminate", ["partial-remission"])),
        (PARTIAL, ENDED, CONFIRMED, OVER),
        (PARTIAL, REMISSION, CONFIRMED, REMITTED),
        (FULL, ACTIVE, CONFIRMED, REMITTED),
        (FULL, NOT_STATED, Verification.NOT_STATED, REMITTED),
        (FULL, REMISSION, CONFIRMED, REMITTED),
        (FULL, ENDED, CONFIRMED, OVER),
        (FULL, ACTIVE, UNPROVEN, ("indeterminate", ["mdd-not-confirmed"])),
        (UNSPECIFIED, ACTIVE, CONFIRMED, ("indeterminate", ["depression-unspecified"])),
        (UNSPECIFIED, NOT_STATED, UNPROVEN, ("indeterminate", ["depression-unspecified"])),
        (UNSPECIFIED, ENDED, CONFIRMED, OVER),
        (UNSPECIFIED, REMISSION, CONFIRMED, OVER),
    ],
    ids=lambda value: (
        value.value if isinstance(value, (DepressionState, ClinicalStatus, Verification)) else ""
    ),
)
def test_one_depression(
    state: DepressionState,
    status: ClinicalStatus,
    verification: Verification,
    expected: tuple[str, list[str]],
) -> None:
    assert current(depression(state, clinical_status=status, verification=verification)) == expected


def test_active_beside_an_abatement_is_a_contradiction() -> None:
    assert current(depression(abatement=day("2026-01-01"))) == ("indeterminate", ["status-contradictory"])


@pytest.mark.parametrize(
    ("of", "expected"),
    [
        pytest.param(record(), ("indeterminate", ["no-conditions-on-record"]), id="no condition at all"),
        pytest.param(record(condition()), ("not-met", ["no-active-mdd"]), id="other conditions only"),
        pytest.param(
            record(condition(suggests_depression=True, recognised=False)),
            ("indeterminate", ["depression-by-text-only"]),
            id="depression in words only",
        ),
        pytest.param(
            record(unreadable("Condition")), ("indeterminate", ["unreadable-conditions"]), id="one unreadable"
        ),
        pytest.param(
            record(condition(), unreadable("Condition")),
            ("indeterminate", ["unreadable-conditions"]),
            id="one unreadable among others",
        ),
        pytest.param(
            record(unreadable("AllergyIntolerance")),
            ("indeterminate", ["no-conditions-on-record"]),
            id="another kind unreadable",
        ),
        pytest.param(
            record(depression(), unreadable("Condition")),
            ACTIVE_MDD,
            id="an active MDD is established anyway",
        ),
        pytest.param(
            record(depression(), condition(id="t", suggests_depression=True)),
            ACTIVE_MDD,
            id="words add nothing",
        ),
        pytest.param(
            record(depression(), depression(UNSPECIFIED, id="u")), ACTIVE_MDD, id="unspecified beside MDD"
        ),
        pytest.param(
            record(depression(FULL), depression(UNSPECIFIED, id="u")),
            ("indeterminate", ["depression-unspecified"]),
            id="unspecified beside a remission",
        ),
        pytest.param(
            record(depression(verification=UNPROVEN), condition(id="t", suggests_depression=True)),
            ("indeterminate", ["mdd-not-confirmed", "depression-by-text-only"]),
            id="every doubt is named",
        ),
    ],
)
def test_records(of: Record, expected: tuple[str, list[str]]) -> None:
    assert current(of=of) == expected


# remission beside an active MDD ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("active", "remission", "expected"),
    [
        pytest.param("2025-06-01", "2025-01-01", ACTIVE_MDD, id="before: a relapse"),
        pytest.param("2025-06-01", "2025-09-01", REMITTED, id="after"),
        pytest.param("2025-06-01", None, ("indeterminate", ["status-contradictory"]), id="undated remission"),
        pytest.param(None, "2025-06-01", ("indeterminate", ["status-contradictory"]), id="undated MDD"),
        pytest.param("2025-06-01", "2025", ("indeterminate", ["status-contradictory"]), id="same year"),
        pytest.param("2025-06", "2025-05", ACTIVE_MDD, id="the month before"),
        pytest.param("2025-06", "2025-07", REMITTED, id="the month after"),
        pytest.param(
            "2025-06-01",
            "2025-06-01",
            ("indeterminate", ["status-contradictory"]),
            id="the same day: not which last",
        ),
    ],
)
@pytest.mark.parametrize("coded", [True, False], ids=["remission by code", "remission by status"])
def test_a_remission_contradicts_unless_it_came_before(
    active: str | None, remission: str | None, expected: tuple[str, list[str]], coded: bool
) -> None:
    state, status = (FULL, ACTIVE) if coded else (MDD, REMISSION)
    entries = (
        depression(id="active", onset=None, recorded=active),
        depression(state, id="remission", onset=None, recorded=remission, clinical_status=status),
    )
    assert current(*entries) == expected
    assert current(*entries[::-1]) == expected


def test_the_onset_dates_what_was_never_recorded() -> None:
    entries = (depression(id="a", onset="2025-06-01"), depression(FULL, id="r", onset="2025-01-01"))
    assert current(*entries) == ACTIVE_MDD


def test_a_partial_remission_after_the_mdd_leaves_it_open() -> None:
    """Design section 4: partial remission leaves current depression indeterminate."""
    entries = (
        depression(id="a", onset=None, recorded="2025-01-01"),
        depression(PARTIAL, id="p", onset=None, recorded="2026-06-01"),
    )
    assert current(*entries)[0] == "indeterminate"


def test_a_remission_between_two_relapses_came_before_the_last() -> None:
    entries = (
        depression(id="a", onset=None, recorded="2024-01-01"),
        depression(id="b", onset=None, recorded="2025-06-01"),
        depression(FULL, id="r", onset=None, recorded="2025-01-01"),
    )
    assert current(*entries) == ACTIVE_MDD


def test_which_relapse_was_last_may_be_unknown() -> None:
    """The MDD of 2025 may have been recorded after the remission, or before it."""
    entries = (
        depression(id="a", onset=None, recorded="2025"),
        depression(id="b", onset=None, recorded="2025-03-01"),
        depression(FULL, id="r", onset=None, recorded="2025-06-01"),
    )
    assert current(*entries) == ("indeterminate", ["status-contradictory"])


def test_one_undated_mdd_leaves_it_open() -> None:
    entries = (
        depression(id="a", onset=None),
        depression(id="b", onset=None, recorded="2025-06-01"),
        depression(FULL, id="r", onset=None, recorded="2025-01-01"),
    )
    assert current(*entries) == ("indeterminate", ["status-contradictory"])


# severity --------------------------------------------------------------------------------------

MILD, MODERATE, SEVERE = Severity.MILD, Severity.MODERATE, Severity.SEVERE


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        pytest.param([depression(severity=MODERATE)], ("met", "moderate-or-severe"), id="moderate"),
        pytest.param([depression(severity=SEVERE)], ("met", "moderate-or-severe"), id="severe"),
        pytest.param([depression(severity=MILD)], ("not-met", "mild"), id="mild"),
        pytest.param([depression(severity=None)], ("indeterminate", "severity-not-stated"), id="not stated"),
        pytest.param(
            [depression(severity=MILD), depression(severity=SEVERE, id="b")],
            ("met", "moderate-or-severe"),
            id="the worst decides",
        ),
        pytest.param(
            [
                depression(severity=SEVERE, recorded="2025-06-01"),
                depression(severity=MILD, recorded="2026-11-16", at_visit=True, id="b"),
            ],
            ("indeterminate", "severity-not-stated"),
            id="mild after it was severe",
        ),
        pytest.param(
            [
                depression(severity=SEVERE, recorded="2026-11-16"),
                depression(severity=MILD, recorded="2026-11-16", at_visit=True, id="b"),
            ],
            ("met", "moderate-or-severe"),
            id="mild and severe on one day",
        ),
        pytest.param(
            [
                depression(severity=SEVERE, onset=None, recorded=None),
                depression(severity=MILD, recorded="2026-11-16", at_visit=True, id="b"),
            ],
            ("met", "moderate-or-severe"),
            id="mild, and nobody knows since when it was severe",
        ),
        pytest.param(
            [depression(severity=MILD), depression(severity=None, id="b")],
            ("indeterminate", "severity-not-stated"),
            id="mild, and one not stated",
        ),
        pytest.param(
            [depression(severity=SEVERE, clinical_status=ENDED)], ("not-met", "no-active-mdd"), id="over"
        ),
        pytest.param(
            [depression(UNSPECIFIED, severity=SEVERE)],
            ("indeterminate", "severity-not-stated"),
            id="of what is not known to be MDD",
        ),
        pytest.param([condition()], ("not-met", "no-active-mdd"), id="no depression"),
        pytest.param([], ("indeterminate", "severity-not-stated"), id="nothing on record"),
    ],
)
def test_severity(entries: list[Diagnosis], expected: tuple[str, str]) -> None:
    answer = assess_depression(record(*entries), NO_SCORES, AS_OF).moderate_or_severe
    assert (answer.finding.value, answer.reasons[0].code.value) == expected
    assert bool(answer.needed) == (answer.finding is OPEN)


# a later record that it is over ----------------------------------------------------------------


def over(**changes: Any) -> Diagnosis:
    return depression(id="over", clinical_status=ENDED, **changes)


@pytest.mark.parametrize(
    ("ended", "expected"),
    [
        pytest.param({"recorded": "2025-06-02"}, "indeterminate", id="recorded a day later"),
        pytest.param({"recorded": "2025-06-01"}, "met", id="recorded that day"),
        pytest.param({"recorded": "2025-05-31"}, "met", id="recorded before"),
        pytest.param({"recorded": "2025"}, "indeterminate", id="recorded perhaps later"),
        pytest.param({"abatement": day("2026-10-01")}, "indeterminate", id="ended later"),
        pytest.param(
            {"abatement": day("2016-01-01"), "recorded": "2026-01-01"},
            "met",
            id="entered later",
        ),
        pytest.param({"onset": "2025-07-01"}, "indeterminate", id="began later, and is over"),
        pytest.param({"onset": None}, "met", id="undated"),
        pytest.param(
            {"recorded": "2025-06-02", "verification": UNPROVEN}, "met", id="recorded later, not confirmed"
        ),
    ],
)
def test_a_later_record_that_the_depression_is_over_leaves_it_open(
    ended: dict[str, Any], expected: str
) -> None:
    active = depression(onset="2025-06-01", recorded="2025-06-01")
    finding, reasons = current(active, over(**ended))
    assert finding == expected
    assert reasons == (["status-contradictory"] if expected == "indeterminate" else ["active-mdd"])


def test_a_depression_recorded_as_active_after_one_that_is_over_is_there() -> None:
    assert current(depression(recorded="2026-02-01"), over(recorded="2026-01-01"))[0] == "met"


# what is said of all conditions ----------------------------------------------------------------


def test_no_known_problems_is_no_depression_and_no_information_is_open() -> None:
    assert current(of=record(none_known=("Condition",))) == ("not-met", ["no-active-mdd"])
    assert current(of=record(not_read=("Condition",))) == ("indeterminate", ["no-conditions-on-record"])
    other = condition(label="Hypertension")
    assert current(of=record(other, not_read=("Condition",))) == (
        "indeterminate",
        ["no-conditions-on-record"],
    )
    assert current(of=record(depression(), not_read=("Condition",)))[0] == "met"
