"""Is suicidality current, and is every trace of it said aloud."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.dates import PartialDate
from service.core.findings import Answer
from service.core.records import ClinicalStatus, Diagnosis, Record, SuicidalityKind, Verification
from service.core.suicidality import Alert, assess_suicidality, suicidality_alerts
from tests.core.builders import AS_OF, US, codes, condition, day, record, suicidality, unreadable

IDEATION, BEHAVIOUR = SuicidalityKind.IDEATION, SuicidalityKind.BEHAVIOUR
PASSIVE, HISTORY = SuicidalityKind.PASSIVE, SuicidalityKind.HISTORY
SELF_HARM = SuicidalityKind.NON_SUICIDAL
ENDED = ClinicalStatus.ENDED


def answer(of: Record) -> Answer:
    return assess_suicidality(of, US, AS_OF)


def said(*entries: Diagnosis) -> tuple[str, list[str]]:
    found = answer(record(*entries))
    assert bool(found.needed) == (found.finding.value == "indeterminate")
    return (found.finding.value, codes(found.reasons))


CURRENT = ("met", ["current-suicidality"])
NONE = ("not-met", ["no-current-suicidality"])
OLD = ("indeterminate", ["suicidality-not-shown-current"])


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param(suicidality(recorded="2026-11-23"), CURRENT, id="recorded today"),
        pytest.param(suicidality(recorded="2026-10-24"), CURRENT, id="30 days ago"),
        pytest.param(suicidality(recorded="2026-10-23"), OLD, id="31 days ago"),
        pytest.param(suicidality(BEHAVIOUR), CURRENT, id="behaviour"),
        pytest.param(suicidality(recorded=None), OLD, id="undated"),
        pytest.param(
            suicidality(recorded=None, onset=day("2026-11-01")), CURRENT, id="onset within the window"
        ),
        pytest.param(
            suicidality(recorded="2026-11-20", onset=day("2020-01-01")),
            CURRENT,
            id="old onset, recorded again",
        ),
        pytest.param(
            suicidality(recorded="2020-01-01", onset=day("2026-11-20")),
            CURRENT,
            id="recorded long ago, new onset",
        ),
        pytest.param(suicidality(recorded="2026-11"), OLD, id="this month runs past today"),
        pytest.param(suicidality(recorded="2026-10"), OLD, id="last month began before the window"),
        pytest.param(suicidality(recorded="2026-11-24"), OLD, id="recorded tomorrow"),
        pytest.param(
            suicidality(clinical_status=ClinicalStatus.NOT_STATED), CURRENT, id="no clinical status: active"
        ),
        pytest.param(
            suicidality(verification=Verification.NOT_STATED), CURRENT, id="verification not stated"
        ),
        pytest.param(
            suicidality(verification=Verification.UNPROVEN),
            ("indeterminate", ["suicidality-not-confirmed"]),
            id="unproven",
        ),
        pytest.param(suicidality(PASSIVE), ("indeterminate", ["suicidality-passive"]), id="passive"),
        pytest.param(
            suicidality(SuicidalityKind.UNDETERMINED),
            ("indeterminate", ["suicidality-undetermined-intent"]),
            id="a poisoning of undetermined intent",
        ),
        pytest.param(
            suicidality(SuicidalityKind.UNDETERMINED, clinical_status=ENDED),
            NONE,
            id="undetermined intent, resolved",
        ),
        pytest.param(suicidality(HISTORY), NONE, id="history is never current"),
        pytest.param(suicidality(SELF_HARM), NONE, id="self-harm without intent to die"),
        pytest.param(suicidality(clinical_status=ENDED), NONE, id="resolved"),
        pytest.param(suicidality(clinical_status=ClinicalStatus.REMISSION), NONE, id="in remission"),
        pytest.param(suicidality(PASSIVE, clinical_status=ENDED), NONE, id="passive, resolved"),
        pytest.param(
            suicidality(verification=Verification.UNPROVEN, clinical_status=ENDED),
            NONE,
            id="unproven, resolved",
        ),
        pytest.param(suicidality(abatement=day("2026-11-21")), OLD, id="active, but abated: contradictory"),
        pytest.param(condition(), NONE, id="another condition"),
    ],
)
def test_one_condition(given: Diagnosis, expected: tuple[str, list[str]]) -> None:
    assert said(given) == expected


def test_one_current_condition_is_enough() -> None:
    assert said(suicidality(HISTORY, id="h"), suicidality(), suicidality(PASSIVE, id="p")) == CURRENT


def test_every_doubt_is_named() -> None:
    assert said(suicidality(PASSIVE, id="p"), suicidality(recorded=None, id="u")) == (
        "indeterminate",
        ["suicidality-passive", "suicidality-not-shown-current"],
    )


@pytest.mark.parametrize(
    ("of", "expected"),
    [
        pytest.param(record(), NONE, id="nothing on record"),
        pytest.param(
            record(unreadable("Condition")), ("indeterminate", ["unreadable-conditions"]), id="unreadable"
        ),
        pytest.param(record(unreadable("MedicationStatement")), NONE, id="another kind unreadable"),
        pytest.param(record(suicidality(), unreadable("Condition")), CURRENT, id="current whatever else"),
    ],
)
def test_records(of: Record, expected: tuple[str, list[str]]) -> None:
    found = answer(of)
    assert (found.finding.value, codes(found.reasons)) == expected


# alerts ----------------------------------------------------------------------------------------


def alerts(of: Record) -> tuple[Alert, ...]:
    return suicidality_alerts(of, answer(of), US, AS_OF)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param(suicidality(), ["suicidality"], id="current"),
        pytest.param(suicidality(recorded=None), ["suicidality"], id="undated"),
        pytest.param(suicidality(PASSIVE), ["suicidality"], id="passive"),
        pytest.param(suicidality(verification=Verification.UNPROVEN), ["suicidality"], id="unproven"),
        pytest.param(suicidality(SuicidalityKind.UNDETERMINED), ["suicidality"], id="undetermined intent"),
        pytest.param(suicidality(HISTORY), ["suicidality-history"], id="history"),
        pytest.param(suicidality(SELF_HARM), ["suicidality-history"], id="self-harm"),
        pytest.param(suicidality(clinical_status=ENDED), ["suicidality-history"], id="resolved"),
        pytest.param(condition(), [], id="none"),
    ],
)
def test_alert(given: Diagnosis, expected: list[str]) -> None:
    assert [alert.code for alert in alerts(record(given))] == expected


def test_an_unreadable_condition_alone_raises_no_alert() -> None:
    assert alerts(record(unreadable("Condition"))) == ()


def test_current_and_past_are_told_apart() -> None:
    now, past = alerts(record(suicidality(id="now"), suicidality(HISTORY, id="past")))
    assert [[ref.id for ref in alert.evidence] for alert in (now, past)] == [["now"], ["past"]]
    assert "assess the risk now" in now.text


DATES = st.sampled_from([None, "2026-11-20", "2026-11", "2025", "2020-01-01", "2027-01-01"]).map(day)
CONDITIONS = st.builds(
    lambda number, kind, status, verification, recorded, onset: (
        suicidality(
            kind,
            id=f"s{number}",
            clinical_status=status,
            verification=verification,
            onset=onset,
        )
        if recorded is None
        else suicidality(
            kind,
            id=f"s{number}",
            clinical_status=status,
            verification=verification,
            recorded=None,
            onset=recorded,
        )
    ),
    st.integers(0, 9),
    st.sampled_from(SuicidalityKind),
    st.sampled_from(ClinicalStatus),
    st.sampled_from(Verification),
    DATES,
    DATES,
)


@given(st.lists(CONDITIONS, max_size=5), st.booleans())
def test_no_trace_of_suicidality_is_ever_lost(conditions: list[Diagnosis], unread: bool) -> None:
    more = (unreadable("Condition"),) if unread else ()
    told = {ref for alert in alerts(record(*conditions, *more)) for ref in alert.evidence}
    assert told == {ref for given in conditions for ref in given.evidence}


@given(st.lists(CONDITIONS, max_size=5))
def test_evidence_of_a_current_risk_is_in_the_first_alert(conditions: list[Diagnosis]) -> None:
    of = record(*conditions)
    if answer(of).finding.value == "met":
        assert alerts(of)[0].code == "suicidality"


def test_a_window_edge_known_by_month_is_open() -> None:
    assert said(suicidality(recorded=None, onset=PartialDate.parse("2026-10"))) == OLD


def test_nothing_found_is_no_reassurance() -> None:
    (reason,) = answer(record()).reasons

    assert reason.text == "no current suicidality is recorded (this is not an assessment of the risk)"
