"""The decision table: the first row that applies, and nothing else."""

from dataclasses import replace
from datetime import date, timedelta

import pytest

from service.core.decision import (
    Decision,
    Decline,
    NeedsInformation,
    NeedsReview,
    Propose,
    ReasonOfDecision,
)
from service.core.knowledge import Knowledge
from service.core.records import (
    Allergy,
    ClinicalStatus,
    DepressionState,
    Diagnosis,
    ExposureStatus,
    Person,
    PlanOfRecord,
    PlanStatus,
    Record,
    Severity,
    Unreadable,
    Verification,
)
from service.core.schedule import Calendar, Schedule, Unschedulable
from tests.core.builders import (
    AS_OF,
    EU,
    SESSION_DAYS,
    US,
    a_plan,
    acute,
    allergy,
    codes,
    day,
    decided,
    depression,
    exposure,
    given,
    person,
    record,
    ref,
    resistant,
    safety_condition,
    suicidality,
    unreadable,
)

KINDS = {
    Propose: "propose",
    Decline: "decline",
    NeedsReview: "needs-review",
    NeedsInformation: "needs-information",
}


def told(decision: Decision) -> tuple[str, str]:
    return (KINDS[type(decision)], decision.reason.value)


def active_plan(status: PlanStatus = PlanStatus.ACTIVE) -> PlanOfRecord:
    return PlanOfRecord(ref("plan", "CarePlan"), status, ours=False, edited=False)


DEAD = person(deceased=True)
CHILD = person("2010-01-01")
AGELESS = person(None)
EVERY_DAY = Calendar(frozenset(range(7)), frozenset(), 7)
NEVER_OPEN = Calendar(frozenset(), frozenset(), 7)
EU_TRD_VERSION = next(p.version for p in EU.protocols if p.id == "eu-trd")
EXCLUDING = safety_condition("aneurysm")
REVIEWED = safety_condition("bipolar")
OVER = depression(clinical_status=ClinicalStatus.ENDED)
IN_TREATMENT = (active_plan(),)
OPEN = depression(DepressionState.UNSPECIFIED)

DECEASED, MINOR = ("decline", "deceased"), ("decline", "minor")
CONTRAINDICATED, TREATED = ("decline", "contraindicated"), ("decline", "in-treatment")
NOT_INDICATED, REVIEW = ("decline", "not-indicated"), ("needs-review", "safety-review")
MISSING = ("needs-information", "missing-information")
TRD, ACUTE = ("propose", "trd"), ("propose", "acute-suicidality")


@pytest.mark.parametrize(
    ("of", "expected"),
    [
        # row 1
        pytest.param(resistant(person=DEAD), DECEASED, id="deceased"),
        pytest.param(
            resistant(EXCLUDING, person=replace(CHILD, deceased=True)), DECEASED, id="deceased child"
        ),
        pytest.param(record(person=DEAD), DECEASED, id="deceased, nothing on record"),
        pytest.param(resistant(person=CHILD), MINOR, id="under 18"),
        pytest.param(resistant(EXCLUDING, person=CHILD), MINOR, id="under 18, contraindicated"),
        pytest.param(record(OPEN, REVIEWED, person=CHILD), MINOR, id="under 18, in doubt and to be reviewed"),
        # row 2
        pytest.param(resistant(EXCLUDING), CONTRAINDICATED, id="contraindicated"),
        pytest.param(
            resistant(EXCLUDING, REVIEWED), CONTRAINDICATED, id="contraindicated, to be reviewed too"
        ),
        pytest.param(
            resistant(EXCLUDING, plans=IN_TREATMENT), CONTRAINDICATED, id="contraindicated while in treatment"
        ),
        pytest.param(record(OVER, EXCLUDING), CONTRAINDICATED, id="contraindicated and not indicated"),
        pytest.param(
            resistant(EXCLUDING, person=AGELESS), CONTRAINDICATED, id="contraindicated, age unknown"
        ),
        pytest.param(resistant(allergy()), CONTRAINDICATED, id="allergic to ketamine"),
        # row 3
        pytest.param(resistant(plans=IN_TREATMENT), TREATED, id="in treatment"),
        pytest.param(
            resistant(exposure("esketamine", start="2026-10-01"), plans=IN_TREATMENT),
            TREATED,
            id="in treatment, and so on esketamine",
        ),
        pytest.param(record(OVER, plans=IN_TREATMENT), TREATED, id="in treatment, no longer indicated"),
        pytest.param(resistant(REVIEWED, plans=IN_TREATMENT), TREATED, id="in treatment, to be reviewed"),
        pytest.param(resistant(plans=(active_plan(PlanStatus.DRAFT),)), TRD, id="a draft is no treatment"),
        pytest.param(resistant(plans=(active_plan(PlanStatus.REVOKED),)), TRD, id="nor a revoked plan"),
        # row 4
        pytest.param(record(OVER, *resistant().exposures), NOT_INDICATED, id="no depression now"),
        pytest.param(record(depression(), exposure(end="2025-01-31")), NOT_INDICATED, id="too few trials"),
        pytest.param(record(OVER, REVIEWED), NOT_INDICATED, id="not indicated, so nothing to review"),
        pytest.param(record(OVER, person=AGELESS), NOT_INDICATED, id="not indicated, whatever the age"),
        # row 5
        pytest.param(resistant(REVIEWED), REVIEW, id="to be reviewed"),
        pytest.param(resistant(REVIEWED, person=AGELESS), REVIEW, id="to be reviewed, age unknown"),
        pytest.param(record(OPEN, REVIEWED), REVIEW, id="to be reviewed before facts are asked for"),
        pytest.param(resistant(exposure("esketamine", start="2020-01-01")), REVIEW, id="esketamine before"),
        pytest.param(
            resistant(exposure("esketamine", start="2027-01-01", status=ExposureStatus.INTENDED)),
            REVIEW,
            id="esketamine intended",
        ),
        pytest.param(resistant(unreadable("Condition")), REVIEW, id="a condition cannot be read"),
        pytest.param(resistant(unreadable("AllergyIntolerance")), REVIEW, id="an allergy cannot be read"),
        pytest.param(
            resistant(safety_condition("aneurysm", verification=Verification.UNPROVEN)),
            REVIEW,
            id="an unconfirmed contraindication",
        ),
        pytest.param(resistant(safety_condition("hypertension")), TRD, id="a caution is for the plan"),
        # row 6
        pytest.param(record(), MISSING, id="an empty record"),
        pytest.param(record(depression()), MISSING, id="no medicine on record"),
        pytest.param(record(OPEN, *resistant().exposures), MISSING, id="depression in doubt"),
        pytest.param(resistant(person=AGELESS), MISSING, id="age unknown"),
        pytest.param(resistant(person=person("2008")), MISSING, id="perhaps 18 already"),
        pytest.param(
            record(depression(), exposure(end="2025-03-31"), unreadable("MedicationStatement")),
            MISSING,
            id="a medicine cannot be read",
        ),
        pytest.param(
            record(depression(severity=None), suicidality(), exposure(end="2025-01-31")),
            MISSING,
            id="acutely suicidal, severity unknown",
        ),
        # rows 7 and 8
        pytest.param(resistant(), TRD, id="treatment-resistant"),
        pytest.param(resistant(suicidality()), TRD, id="both pathways"),
        pytest.param(resistant(suicidality(recorded=None)), TRD, id="suicidality in doubt"),
        pytest.param(resistant(unreadable("MedicationStatement")), TRD, id="enough trials whatever else"),
        pytest.param(acute(), ACUTE, id="acutely suicidal"),
        pytest.param(
            record(depression(severity=Severity.MILD), suicidality(), exposure(end="2025-01-31")),
            NOT_INDICATED,
            id="mild depression with suicidality",
        ),
    ],
)
def test_row(of: Record, expected: tuple[str, str]) -> None:
    assert told(decided(of)) == expected


# rows against each other: the lower number wins ------------------------------------------------

ROWS: dict[str, tuple[Diagnosis | Allergy | Unreadable, ...]] = {
    "contraindicated": (EXCLUDING,),
    "review": (REVIEWED,),
}


@pytest.mark.parametrize(
    ("people", "plans", "entries", "expected"),
    [
        ("deceased", True, ("contraindicated", "review"), DECEASED),
        ("child", True, ("contraindicated", "review"), MINOR),
        ("adult", True, ("contraindicated", "review"), CONTRAINDICATED),
        ("adult", True, ("review",), TREATED),
        ("adult", False, ("review",), REVIEW),
        ("ageless", False, ("review",), REVIEW),
        ("ageless", False, (), MISSING),
        ("adult", False, (), TRD),
    ],
)
def test_the_first_row_that_applies_decides(
    people: str, plans: bool, entries: tuple[str, ...], expected: tuple[str, str]
) -> None:
    who = {"deceased": DEAD, "child": CHILD, "adult": person(), "ageless": AGELESS}[people]
    more = [entry for name in entries for entry in ROWS[name]]
    of = resistant(suicidality(), *more, person=who, plans=IN_TREATMENT if plans else ())
    assert told(decided(of)) == expected


# age -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("born", "as_of", "expected"),
    [
        pytest.param("2008-11-23", AS_OF, TRD, id="18 today"),
        pytest.param("2008-11-24", AS_OF, MINOR, id="18 tomorrow"),
        pytest.param("2008-11", AS_OF, MISSING, id="18 this month, perhaps already"),
        pytest.param("2008-12", AS_OF, MINOR, id="18 next month"),
        pytest.param("2008-10", AS_OF, TRD, id="18 last month"),
        pytest.param("2008", AS_OF, MISSING, id="18 this year"),
        pytest.param("2007", AS_OF, TRD, id="18 last year"),
        pytest.param("2009", AS_OF, MINOR, id="18 next year"),
        pytest.param("2008-02-29", date(2026, 2, 28), MINOR, id="born on 29 February, a day before 1 March"),
        pytest.param("2008-02-29", date(2026, 3, 1), TRD, id="born on 29 February, 18 on 1 March"),
        pytest.param("2027-01-01", AS_OF, MISSING, id="born in the future: unknown"),
        pytest.param("2026", AS_OF, MINOR, id="born this year"),
        pytest.param(None, AS_OF, MISSING, id="no birth date"),
    ],
)
def test_age(born: str | None, as_of: date, expected: tuple[str, str]) -> None:
    onset = depression(onset="2024-01-01")
    of = record(onset, *resistant().exposures, person=person(born))
    assert told(decided(of, as_of=as_of)) == expected


def test_an_unknown_age_is_named_as_missing() -> None:
    decision = decided(resistant(person=AGELESS))
    assert ("the date of birth", "adult") in decision.assessment.missing


# death -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("died", "expected"),
    [
        pytest.param("2026-11-23", DECEASED, id="today"),
        pytest.param("2026-11-24", TRD, id="after the day of assessment"),
        pytest.param("2020", DECEASED, id="by year"),
        pytest.param("2026", DECEASED, id="this year: no plan is made for the dead"),
        pytest.param("2026-11", DECEASED, id="this month"),
        pytest.param("2027", TRD, id="in a year after the day of assessment"),
    ],
)
def test_death(died: str, expected: tuple[str, str]) -> None:
    assert told(decided(resistant(person=person(died=day(died))))) == expected


# protocols -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("knowledge", "of", "born", "protocol"),
    [
        pytest.param(US, resistant(), "1980-01-01", "us-trd", id="US, treatment-resistant"),
        pytest.param(US, resistant(), "1940-01-01", "us-trd", id="US, 86 years"),
        pytest.param(US, acute(), "1980-01-01", "us-mdsi", id="US, acute"),
        pytest.param(US, acute(), "1940-01-01", "us-mdsi", id="US, acute, 86 years"),
        pytest.param(EU, resistant(), "1961-12-01", "eu-trd", id="EU, 65 the day after session 1"),
        pytest.param(EU, resistant(), "1961-11-30", "eu-trd-65plus", id="EU, 65 on the day of session 1"),
        pytest.param(EU, resistant(), "1961-11-23", "eu-trd-65plus", id="EU, 65 today"),
        pytest.param(EU, resistant(), "2008-11-23", "eu-trd", id="EU, 18 today"),
        pytest.param(EU, acute(), "1961-12-01", "eu-emergency", id="EU, emergency under 65 at session 1"),
        pytest.param(EU, resistant(suicidality()), "1961-11-23", "eu-trd-65plus", id="EU, both, 65 today"),
    ],
)
def test_the_region_the_pathway_and_the_age_choose_the_protocol(
    knowledge: Knowledge, of: Record, born: str, protocol: str
) -> None:
    decision = decided(replace(of, person=person(born)), knowledge=knowledge)
    assert isinstance(decision, Propose)
    assert decision.protocol.id == protocol
    assert isinstance(decision.schedule, Schedule)
    assert decision.schedule.protocol == decision.protocol


def test_the_first_session_of_these_tests_is_a_week_after_the_assessment() -> None:
    decision = decided(resistant())
    assert isinstance(decision, Propose)
    assert isinstance(decision.schedule, Schedule)
    assert decision.schedule.sessions[0].date == date(2026, 11, 30)


@pytest.mark.parametrize("born", ["1961-11-23", "1961-11-30"], ids=["65 today", "65 at session 1"])
def test_without_a_protocol_a_clinician_decides(born: str) -> None:
    decision = decided(replace(acute(), person=person(born)), knowledge=EU)
    assert told(decision) == REVIEW
    assert "no-protocol" in codes(decision.assessment.warnings)


def test_where_the_protocol_hangs_on_the_birth_date_it_is_asked_for() -> None:
    decision = decided(replace(acute(), person=person("1961")), knowledge=EU)
    assert told(decision)[0] == "needs-information"
    assert ("the date of birth", "protocol") in decision.assessment.missing


@pytest.mark.parametrize(
    ("as_of", "protocol"),
    [
        pytest.param(date(2026, 10, 24), "eu-trd", id="under 65 at session 1, whatever the day of birth"),
        pytest.param(date(2026, 10, 25), None, id="65 at session 1 if born early in the month"),
        pytest.param(date(2026, 11, 22), None, id="under 65 at session 1 if born at the end of the month"),
        pytest.param(date(2026, 11, 23), "eu-trd-65plus", id="65 at session 1, whatever the day of birth"),
    ],
)
def test_a_birth_date_without_a_day_is_asked_for_only_where_it_decides(
    as_of: date, protocol: str | None
) -> None:
    decision = decided(resistant(person=person("1961-11")), knowledge=EU, as_of=as_of, calendar=EVERY_DAY)
    assert (decision.protocol.id if isinstance(decision, Propose) else None) == protocol
    asked = ("the date of birth", "protocol") in decision.assessment.missing
    assert asked == (protocol is None)


def test_between_two_protocols_by_age_there_is_no_proposal() -> None:
    decision = decided(resistant(person=person("1961")), knowledge=EU)
    assert not isinstance(decision, Propose)


def test_without_room_in_the_calendar_the_age_today_chooses() -> None:
    decision = decided(resistant(person=person("1961-11-24")), knowledge=EU, calendar=NEVER_OPEN)
    assert isinstance(decision, Propose)
    assert isinstance(decision.schedule, Unschedulable)
    assert decision.protocol.id == "eu-trd"


def test_both_pathways_met_names_the_acute_protocol_as_the_alternative() -> None:
    found = decided(resistant(suicidality())).assessment
    assert [alert.code for alert in found.alerts] == ["suicidality", "acute-protocol-alternative"]
    assert "acute-protocol-alternative" not in [a.code for a in decided(acute()).assessment.alerts]


def test_a_calendar_without_room_is_a_proposal_with_a_reason() -> None:
    decision = decided(resistant(), calendar=NEVER_OPEN)
    assert isinstance(decision, Propose)
    assert isinstance(decision.schedule, Unschedulable)


def draft_of(decision: Decision) -> PlanOfRecord:
    """The draft that nobody touched of what was proposed."""
    assert isinstance(decision, Propose)
    return PlanOfRecord(
        ref("draft", "CarePlan"),
        PlanStatus.DRAFT,
        ours=True,
        edited=False,
        protocol=(decision.protocol.id, decision.protocol.version),
        sessions=days_of(decision),
    )


def days_of(decision: Decision) -> tuple[date, ...]:
    assert isinstance(decision, Propose)
    assert isinstance(decision.schedule, Schedule)
    return tuple(session.date for session in decision.schedule.sessions)


def test_an_untouched_draft_that_lies_ahead_keeps_its_dates() -> None:
    draft = draft_of(decided(resistant(), as_of=date(2026, 11, 20)))
    assert days_of(decided(resistant(plans=(draft,)))) == draft.sessions


def test_a_draft_keeps_its_protocol_while_its_first_session_is_before_the_birthday() -> None:
    of = resistant(person=person("1961-11-28"))
    draft = draft_of(decided(of, knowledge=EU, as_of=date(2026, 11, 20)))
    assert (draft.protocol, draft.sessions[0]) == (("eu-trd", EU_TRD_VERSION), date(2026, 11, 27))
    again = decided(replace(of, plans=(draft,)), knowledge=EU)
    assert isinstance(again, Propose)
    assert (again.protocol.id, days_of(again)) == ("eu-trd", draft.sessions)
    passed = decided(replace(of, plans=(draft,)), knowledge=EU, as_of=date(2026, 11, 28))
    assert isinstance(passed, Propose)
    assert passed.protocol.id == "eu-trd-65plus"


def test_a_draft_of_the_wrong_age_is_dated_anew() -> None:
    """A birth date was corrected: the draft of the protocol under 65 no longer fits on its own days."""
    draft = draft_of(decided(resistant(), knowledge=EU))
    corrected = decided(resistant(person=person("1961-11-30"), plans=(draft,)), knowledge=EU)
    assert isinstance(corrected, Propose)
    assert corrected.protocol.id == "eu-trd-65plus"


def test_every_reason_is_reached() -> None:
    reached = {
        row[1]
        for row in (DECEASED, MINOR, CONTRAINDICATED, TREATED, NOT_INDICATED, REVIEW, MISSING, TRD, ACUTE)
    }
    treated = resistant(*map(given, SESSION_DAYS), plans=(a_plan(benefit_reviewed=True),))
    continued = decided(treated, as_of=SESSION_DAYS[-1] + timedelta(days=3))
    assert reached | {continued.reason.value} == {reason.value for reason in ReasonOfDecision}


@pytest.mark.parametrize("who", [DEAD, CHILD, AGELESS, person()], ids=["dead", "child", "ageless", "adult"])
def test_suicidality_alerts_whatever_the_decision(who: Person) -> None:
    found = decided(resistant(suicidality(), person=who)).assessment
    assert found.alerts[0].code == "suicidality"
