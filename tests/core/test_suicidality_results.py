"""Suicidality by instruments: is it current, and is every trace of it said aloud."""

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.dates import PartialDate
from service.core.findings import Answer
from service.core.records import Diagnosis, Measure, Observation, Record, SuicidalityKind
from service.core.suicidality import Alert, assess_suicidality, suicidality_alerts
from tests.core.builders import (
    AS_OF,
    US,
    assessed,
    codes,
    criterion,
    day,
    decided,
    depression,
    record,
    result,
    suicidality,
    unreadable,
)

PASSIVE, HISTORY = SuicidalityKind.PASSIVE, SuicidalityKind.HISTORY
INSTRUMENTS = tuple(US.suicidality_results)
IDEATION = (Measure.C_SSRS_4, Measure.C_SSRS_5)
LIFETIME = (Measure.C_SSRS_6,)
UNCERTAIN = tuple(m for m in INSTRUMENTS if m not in (*IDEATION, *LIFETIME))
"""Wishes to be dead, thoughts without intent, behaviour within three months, a level of risk."""


def answer(of: Record) -> Answer:
    return assess_suicidality(of, US, AS_OF)


def alerts(of: Record) -> tuple[Alert, ...]:
    return suicidality_alerts(of, answer(of), US, AS_OF)


def said(*entries: Observation | Diagnosis) -> tuple[str, list[str], list[str]]:
    """The finding, its reasons, and the alerts."""
    of = record(*entries)
    found = answer(of)
    assert bool(found.needed) == (found.finding.value == "indeterminate")
    return (found.finding.value, codes(found.reasons), [alert.code for alert in alerts(of)])


CURRENT = ("met", ["current-suicidality"], ["suicidality"])
OPEN = ("indeterminate", ["suicidality-not-shown-current"], ["suicidality"])
PASSIVE_NOW = ("indeterminate", ["suicidality-passive"], ["suicidality"])
PAST = ("not-met", ["no-current-suicidality"], ["suicidality-history"])
NONE: tuple[str, list[str], list[str]] = ("not-met", ["no-current-suicidality"], [])


def test_every_instrument_is_one_of_these() -> None:
    known = {m for m in Measure if m.value.startswith("c-ssrs")} | {Measure.PHQ_9_ITEM_9}
    assert set(INSTRUMENTS) == known
    assert set(IDEATION) | set(LIFETIME) | set(UNCERTAIN) == known


# the answer ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("measure", "expected"),
    [
        *((measure, CURRENT) for measure in IDEATION),
        *((measure, PAST) for measure in LIFETIME),
        *((measure, PASSIVE_NOW) for measure in UNCERTAIN),
    ],
)
def test_a_yes_within_thirty_days(measure: Measure, expected: tuple[str, list[str], list[str]]) -> None:
    assert said(result(measure, 1)) == expected


@pytest.mark.parametrize("measure", INSTRUMENTS)
@pytest.mark.parametrize("when", ["2026-11-10", "2020-01-01", None])
def test_a_no_says_nothing_whenever_it_was(measure: Measure, when: str | None) -> None:
    assert said(result(measure, 0, when)) == NONE
    assert said(result(measure, 0, when, settled=False)) == NONE


@pytest.mark.parametrize("measure", [*IDEATION, *UNCERTAIN])
@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"value": None}, id="a value that cannot be told"),
        pytest.param({"value": -1.0}, id="a value below the scale"),
        pytest.param({"value": math.nan}, id="no number"),
        pytest.param({"when": None}, id="undated"),
        pytest.param({"settled": False}, id="preliminary"),
        pytest.param({"when": day("2026-10")}, id="perhaps longer ago"),
        pytest.param({"when": day("2026")}, id="known by year"),
        pytest.param({"when": day("2026-11")}, id="this month runs past today"),
    ],
)
def test_what_is_not_certain_is_open_and_told(measure: Measure, changes: dict[str, Any]) -> None:
    assert said(result(measure, 1)._replace(**changes)) == OPEN


@pytest.mark.parametrize("measure", LIFETIME)
@pytest.mark.parametrize(
    "changes",
    [{}, {"value": None}, {"value": -1.0}, {"when": None}, {"settled": False}, {"when": day("2020")}],
)
def test_behaviour_at_any_time_of_life_is_a_history(measure: Measure, changes: dict[str, Any]) -> None:
    assert said(result(measure, 1)._replace(**changes)) == PAST


@pytest.mark.parametrize("measure", IDEATION)
@pytest.mark.parametrize("value", [2, 5, 99, 0.5, 1e308])
def test_only_yes_is_an_answer_to_a_question_of_intent(measure: Measure, value: float) -> None:
    assert said(result(measure, value)) == OPEN


@pytest.mark.parametrize("value", [1, 2, 3])
def test_every_grade_of_the_ninth_item_is_passive(value: float) -> None:
    assert said(result(Measure.PHQ_9_ITEM_9, value)) == PASSIVE_NOW


@pytest.mark.parametrize("measure", [*IDEATION, *UNCERTAIN])
@pytest.mark.parametrize(
    ("when", "recent"),
    [
        ("2026-11-23", True),
        ("2026-10-24", True),
        ("2026-10-23", False),
        ("2026-09", False),
        ("2025", False),
        ("2020-01-01", False),
    ],
)
def test_a_result_counts_for_thirty_days_and_is_a_history_after_that(
    measure: Measure, when: str, recent: bool
) -> None:
    now = CURRENT if measure in IDEATION else PASSIVE_NOW
    assert said(result(measure, 1, when)) == (now if recent else PAST)
    assert said(result(measure, None, when)) == (OPEN if recent else PAST)
    assert said(result(measure, 1, when, settled=False)) == (OPEN if recent else PAST)


@pytest.mark.parametrize("measure", INSTRUMENTS)
@pytest.mark.parametrize("when", ["2026-11-24", "2026-12", "2027"])
def test_a_result_of_after_the_day_of_assessment_is_ignored(measure: Measure, when: str) -> None:
    assert said(result(measure, 1, when)) == NONE


@pytest.mark.parametrize(
    "other",
    [
        result(Measure.PHQ_9, 27),
        result(Measure.PHQ_9_PANEL, 27),
        result(Measure.MADRS, 60),
        result(Measure.SYSTOLIC, 200),
        result(Measure.PREGNANCY_STATUS, 1),
    ],
    ids=lambda r: r.measure.value,
)
def test_another_result_says_nothing_of_suicidality(other: Observation) -> None:
    assert said(other) == NONE


def test_a_later_no_does_not_take_back_a_yes() -> None:
    yes, no = result(Measure.C_SSRS_4, 1, "2026-11-01"), result(Measure.C_SSRS_4, 0, "2026-11-20")
    assert said(yes, no) == CURRENT


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        pytest.param(
            (result(Measure.C_SSRS_5, 1), suicidality(HISTORY)),
            ("met", ["current-suicidality"], ["suicidality", "suicidality-history"]),
            id="now by an instrument, and a history",
        ),
        pytest.param(
            (result(Measure.C_SSRS_1, 1), suicidality()),
            ("met", ["current-suicidality"], ["suicidality", "suicidality-history"]),
            id="now by a condition, and a wish to be dead",
        ),
        pytest.param(
            (result(Measure.C_SSRS_5, 1), suicidality()),
            ("met", ["current-suicidality"] * 2, ["suicidality"]),
            id="now by both",
        ),
        pytest.param(
            (result(Measure.C_SSRS_5, 1, "2026-01-01"), suicidality(PASSIVE)),
            ("indeterminate", ["suicidality-passive"], ["suicidality", "suicidality-history"]),
            id="passive now, and a result of long ago",
        ),
        pytest.param(
            (result(Measure.C_SSRS_5, 0), suicidality()), CURRENT, id="a no does not take back a condition"
        ),
        pytest.param(
            (result(Measure.C_SSRS_1, 1), result(Measure.C_SSRS_4, None)),
            ("indeterminate", ["suicidality-passive", "suicidality-not-shown-current"], ["suicidality"]),
            id="every doubt is named",
        ),
    ],
)
def test_instruments_beside_conditions(
    entries: tuple[Observation | Diagnosis, ...], expected: tuple[str, list[str], list[str]]
) -> None:
    assert said(*entries) == expected


# what is not shown or cannot be read -----------------------------------------------------------


@pytest.mark.parametrize("kind", ["Condition", "Observation"])
def test_what_cannot_be_read_or_is_not_shown_leaves_it_open(kind: str) -> None:
    for of, code in (
        (record(unreadable(kind)), "unreadable-conditions"),
        (record(refused=(kind,)), "conditions-not-shown"),
    ):
        found = answer(of)
        assert (found.finding.value, codes(found.reasons)) == ("indeterminate", [code])
        assert found.needed
        assert alerts(of) == ()


@pytest.mark.parametrize("kind", ["Procedure", "MedicationStatement", "AllergyIntolerance"])
def test_another_kind_that_cannot_be_read_tells_nothing_of_it(kind: str) -> None:
    for of in (record(unreadable(kind)), record(refused=(kind,)), record(not_read=("Observation",))):
        assert answer(of).finding.value == "not-met"


def test_a_yes_is_current_whatever_cannot_be_read() -> None:
    of = record(result(Measure.C_SSRS_4, 1), unreadable("Observation"), refused=("Condition",))
    assert answer(of).finding.value == "met"


# alerts ----------------------------------------------------------------------------------------


def test_the_alert_of_a_yes_names_the_result_and_asks_to_assess_the_risk() -> None:
    (alert,) = alerts(record(result(Measure.C_SSRS_5, 1, id="screen")))
    assert [str(ref) for ref in alert.evidence] == ["Observation/screen/_history/1"]
    assert "assess the risk now, in person" in alert.text


def test_one_resource_with_several_answers_is_told_once() -> None:
    panel = [
        result(measure, 1, id="panel") for measure in (Measure.C_SSRS_1, Measure.C_SSRS_5, Measure.C_SSRS_6)
    ]
    (alert,) = alerts(record(*panel))
    assert (alert.code, [ref.id for ref in alert.evidence]) == ("suicidality", ["panel"])


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({}, id="indicated"),
        pytest.param({"diagnoses": ()}, id="no depression on record"),
        pytest.param({"observations": (result(Measure.PHQ_9, 2),)}, id="in remission by a score"),
    ],
)
def test_the_alert_is_raised_whatever_the_decision(changes: dict[str, Any]) -> None:
    of = replace(record(depression()), **changes)
    yes = result(Measure.C_SSRS_5, 1)
    decision = decided(replace(of, observations=(*of.observations, yes)))
    assert "suicidality" in [alert.code for alert in decision.assessment.alerts]


def test_current_suicidality_by_an_instrument_proposes_the_acute_protocol() -> None:
    decision = decided(record(depression(), result(Measure.C_SSRS_4, 1)))
    assert (type(decision).__name__, decision.reason.value) == ("Propose", "acute-suicidality")


@pytest.mark.parametrize("measure", [*UNCERTAIN, *LIFETIME])
def test_no_other_instrument_proposes_anything(measure: Measure) -> None:
    decision = decided(record(depression(), result(measure, 1)))
    assert type(decision).__name__ in {"NeedsInformation", "Decline"}
    assert decision.assessment.alerts


def test_a_passive_answer_is_named_as_missing() -> None:
    found = assessed(record(depression(), result(Measure.PHQ_9_ITEM_9, 1)))
    assert criterion(found, "current-suicidality").finding.value == "indeterminate"
    assert "current-suicidality" in [missing.would_decide for missing in found.missing]


RESULTS = st.lists(
    st.builds(
        lambda number, measure, value, when, settled: result(measure, value, when, id=f"r{number}")._replace(
            settled=settled
        ),
        st.integers(0, 9),
        st.sampled_from(Measure),
        st.sampled_from([None, -1.0, 0.0, 1.0, 2.0, 3.0, 99.0, math.nan, math.inf]),
        st.sampled_from([None, "2026-11-20", "2026-11", "2026-10", "2025", "2020-01-01"]),
        st.booleans(),
    ),
    max_size=5,
)
CONDITIONS = st.lists(
    st.builds(
        lambda number, kind: suicidality(kind, id=f"c{number}"),
        st.integers(0, 9),
        st.sampled_from(SuicidalityKind),
    ),
    max_size=2,
)


@given(RESULTS, CONDITIONS, st.booleans())
def test_no_trace_of_suicidality_is_ever_lost(
    results: list[Observation], conditions: list[Diagnosis], unread: bool
) -> None:
    more = (unreadable("Observation"),) if unread else ()
    told = {ref for alert in alerts(record(*results, *conditions, *more)) for ref in alert.evidence}
    positive = {r.evidence[0] for r in results if r.measure in INSTRUMENTS and r.value != 0}
    assert told == positive | {d.evidence[0] for d in conditions}


@given(RESULTS, st.data())
def test_a_date_known_more_exactly_never_turns_met_into_not_met_or_back(
    results: list[Observation], data: st.DataObject
) -> None:
    exact = []
    for one in results:
        if one.when is None:
            exact.append(one)
            continue
        first = data.draw(st.dates(one.when.earliest, one.when.latest))
        exact.append(one._replace(when=PartialDate(first, data.draw(st.dates(first, one.when.latest)))))
    findings = {answer(record(*some)).finding.value for some in (results, exact)}
    assert findings != {"met", "not-met"}
