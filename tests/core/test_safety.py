"""Safety: what excludes, what a person must review first, and what the plan must warn of."""

from dataclasses import replace

import pytest

from service.core.knowledge import Effect, Knowledge, ResolvedRule, SafetyGroup
from service.core.records import (
    Allergy,
    ClinicalStatus,
    DepressionState,
    Diagnosis,
    ExposureStatus,
    Identified,
    Record,
    Role,
    Verification,
)
from service.core.safety import SafetyFinding, assess_safety
from tests.core.builders import (
    AS_OF,
    EU,
    US,
    allergy,
    condition,
    day,
    depression,
    exposure,
    medicine,
    record,
    safety_condition,
    settled,
    unreadable,
)

ACTIVE, ENDED = ClinicalStatus.ACTIVE, ClinicalStatus.ENDED
CONFIRMED, UNPROVEN = Verification.CONFIRMED, Verification.UNPROVEN
STRENGTH = [Effect.CAUTION, Effect.REVIEW, Effect.EXCLUDES]
EFFECTIVE = tuple(group for group in US.safety_groups.values() if group.effect is not None)
"""The groups that have an effect in the US; the label there says nothing of some that the SmPC names."""


def safety_of(of: Record, knowledge: Knowledge = US) -> tuple[SafetyFinding, ...]:
    return assess_safety(of, settled(*of.exposures), knowledge, AS_OF)


def found(of: Record, knowledge: Knowledge = US) -> list[tuple[str, str, str]]:
    return [(f.id, f.effect.value, f.finding.value) for f in safety_of(of, knowledge)]


def one(given: Diagnosis | Allergy, knowledge: Knowledge = US) -> tuple[str, str] | None:
    """Effect and finding of a single entry; `None` where it raises nothing."""
    findings = found(record(given), knowledge)
    return findings[0][1:] if findings else None


EXCLUDES, REVIEW, CAUTION = ("excludes", "met"), ("review", "met"), ("caution", "met")
REVIEW_OPEN, CAUTION_OPEN = ("review", "indeterminate"), ("caution", "indeterminate")


@pytest.mark.parametrize(
    ("group", "status", "verification", "expected"),
    [
        # excludes, and a review once resolved
        ("aneurysm", ACTIVE, CONFIRMED, EXCLUDES),
        ("aneurysm", ACTIVE, Verification.NOT_STATED, EXCLUDES),
        ("aneurysm", ClinicalStatus.NOT_STATED, CONFIRMED, EXCLUDES),
        ("aneurysm", ACTIVE, UNPROVEN, REVIEW_OPEN),
        ("aneurysm", ENDED, CONFIRMED, REVIEW_OPEN),
        ("aneurysm", ClinicalStatus.REMISSION, CONFIRMED, REVIEW_OPEN),
        ("aneurysm", ENDED, UNPROVEN, REVIEW_OPEN),
        # excludes even once resolved
        ("intracerebral-haemorrhage", ACTIVE, CONFIRMED, EXCLUDES),
        ("intracerebral-haemorrhage", ENDED, CONFIRMED, EXCLUDES),
        ("intracerebral-haemorrhage", ENDED, UNPROVEN, REVIEW_OPEN),
        # review, resolved or not
        ("bipolar", ACTIVE, CONFIRMED, REVIEW),
        ("bipolar", ENDED, CONFIRMED, REVIEW),
        ("bipolar", ACTIVE, UNPROVEN, REVIEW_OPEN),
        ("substance-use-disorder", ClinicalStatus.REMISSION, CONFIRMED, REVIEW),
        # review, and nothing once resolved
        ("pregnancy", ACTIVE, CONFIRMED, REVIEW),
        ("pregnancy", ENDED, CONFIRMED, None),
        ("pregnancy", ACTIVE, UNPROVEN, REVIEW_OPEN),
        # caution
        ("hypertension", ACTIVE, CONFIRMED, CAUTION),
        ("hypertension", ENDED, CONFIRMED, None),
        ("hypertension", ACTIVE, UNPROVEN, CAUTION_OPEN),
    ],
    ids=lambda value: getattr(value, "value", value) if isinstance(value, str) else "",
)
def test_condition(
    group: str, status: ClinicalStatus, verification: Verification, expected: tuple[str, str] | None
) -> None:
    given = safety_condition(group, clinical_status=status, verification=verification)
    assert one(given) == expected


def test_a_contradictory_status_counts_as_present() -> None:
    assert one(safety_condition("aneurysm", abatement=day("2025-01-01"))) == EXCLUDES


def test_a_condition_that_is_over_by_its_abatement() -> None:
    given = safety_condition(
        "aneurysm", clinical_status=ClinicalStatus.NOT_STATED, abatement=day("2025-01-01")
    )
    assert one(given) == REVIEW_OPEN


@pytest.mark.parametrize("group", EFFECTIVE, ids=lambda group: group.id)
@pytest.mark.parametrize("verification", Verification)
def test_a_resolved_condition_never_does_more_than_an_active_one(
    group: SafetyGroup, verification: Verification
) -> None:
    active, resolved = (
        one(safety_condition(group.id, clinical_status=status, verification=verification))
        for status in (ACTIVE, ENDED)
    )
    assert active is not None
    assert resolved is None or STRENGTH.index(Effect(resolved[0])) <= STRENGTH.index(Effect(active[0]))


@pytest.mark.parametrize("group", EFFECTIVE, ids=lambda group: group.id)
def test_a_group_has_its_effect_while_present(group: SafetyGroup) -> None:
    assert group.effect is not None
    given = safety_condition(group.id, onset=day("2026-11-01"))
    assert one(given) == (group.effect.value, "met")


@pytest.mark.parametrize("group", EFFECTIVE, ids=lambda group: group.id)
def test_only_a_confirmed_contraindication_excludes(group: SafetyGroup) -> None:
    given = safety_condition(group.id, verification=UNPROVEN, onset=day("2026-11-01"))
    found_here = one(given)
    assert found_here is not None
    assert found_here[0] != "excludes"


@pytest.mark.parametrize("group", EFFECTIVE, ids=lambda group: group.id)
def test_what_is_over_excludes_only_where_the_label_names_a_history(group: SafetyGroup) -> None:
    excluded = one(safety_condition(group.id, clinical_status=ENDED)) == EXCLUDES
    assert excluded == (group.effect is Effect.EXCLUDES and group.resolved is ResolvedRule.EXCLUDES)


# within days -----------------------------------------------------------------------------------

EVENT = "recent-cardiovascular-event"


@pytest.mark.parametrize(
    ("onset", "status", "us", "eu"),
    [
        pytest.param("2026-10-12", ACTIVE, CAUTION, EXCLUDES, id="42 days ago"),
        pytest.param("2026-10-11", ACTIVE, CAUTION, CAUTION, id="43 days ago"),
        pytest.param("2026-10-12", ENDED, CAUTION, EXCLUDES, id="resolved, but recent"),
        pytest.param("2020-01-01", ENDED, CAUTION, CAUTION, id="resolved long ago"),
        pytest.param("2026-10", ACTIVE, CAUTION_OPEN, REVIEW_OPEN, id="perhaps within six weeks"),
        pytest.param("2026", ENDED, CAUTION_OPEN, REVIEW_OPEN, id="known by year"),
        pytest.param("2025", ACTIVE, CAUTION, CAUTION, id="last year"),
        pytest.param("2026-11", ACTIVE, CAUTION, EXCLUDES, id="this month"),
        pytest.param(None, ACTIVE, CAUTION_OPEN, REVIEW_OPEN, id="undated"),
    ],
)
def test_a_recent_event(
    onset: str | None, status: ClinicalStatus, us: tuple[str, str], eu: tuple[str, str]
) -> None:
    given = safety_condition(EVENT, onset=day(onset), clinical_status=status)
    assert (one(given, US), one(given, EU)) == (us, eu)


@pytest.mark.parametrize(
    ("onset", "status", "us", "eu"),
    [
        pytest.param("2026-10-12", ACTIVE, CAUTION, REVIEW, id="42 days ago"),
        pytest.param("2026-10-11", ACTIVE, CAUTION, CAUTION, id="43 days ago"),
        pytest.param("2026-10-12", ENDED, CAUTION, REVIEW, id="resolved, but recent"),
        pytest.param("2010", ACTIVE, CAUTION, CAUTION, id="long ago"),
        pytest.param("2026-10", ACTIVE, CAUTION_OPEN, REVIEW_OPEN, id="perhaps within six weeks"),
        pytest.param(None, ACTIVE, CAUTION_OPEN, REVIEW_OPEN, id="undated"),
    ],
)
def test_a_recent_stroke_is_reviewed_in_the_eu(
    onset: str | None, status: ClinicalStatus, us: tuple[str, str], eu: tuple[str, str]
) -> None:
    given = safety_condition("stroke", onset=day(onset), clinical_status=status)
    assert (one(given, US), one(given, EU)) == (us, eu)


def test_sequelae_or_a_history_of_a_stroke_are_never_recent() -> None:
    given = safety_condition("stroke-history", onset=day("2026-11-20"))
    assert (one(given, US), one(given, EU)) == (CAUTION, CAUTION)


@pytest.mark.parametrize(
    ("onset", "expected"),
    [
        pytest.param("2026-10-12", REVIEW_OPEN, id="42 days ago"),
        pytest.param("2026-10-11", CAUTION_OPEN, id="43 days ago"),
        pytest.param(None, REVIEW_OPEN, id="undated"),
    ],
)
def test_an_event_in_words_is_as_old_as_its_date(onset: str | None, expected: tuple[str, str]) -> None:
    assert one(condition(safety_in_words=(EVENT,), onset=day(onset)), EU) == expected


# pregnancy -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dates", "expected"),
    [
        pytest.param({"onset": "2026-02-02"}, REVIEW, id="294 days ago"),
        pytest.param({"onset": "2026-02-01"}, None, id="295 days ago"),
        pytest.param({"recorded": "2026-02-02"}, REVIEW, id="recorded 294 days ago"),
        pytest.param({"recorded": "2026-02-01"}, None, id="recorded 295 days ago"),
        pytest.param({"onset": "2026-02"}, REVIEW, id="a month that ends within them"),
        pytest.param({"onset": "2026-01"}, None, id="a month that ends before them"),
        pytest.param({"onset": "2026"}, REVIEW, id="this year"),
        pytest.param({"onset": "2025"}, None, id="last year"),
        pytest.param({}, REVIEW, id="undated"),
        pytest.param({"onset": "2025-01-01", "recorded": "2026-11-01"}, REVIEW, id="recorded anew"),
        pytest.param({"onset": "2026-02-01", "abatement": "2026-12-01"}, REVIEW, id="to end later"),
        pytest.param({"onset": "2024-01-01", "abatement": "2024-09-01"}, None, id="ended, but active"),
    ],
)
def test_an_entry_of_a_pregnancy_counts_for_as_long_as_one_lasts(
    dates: dict[str, str], expected: tuple[str, str] | None
) -> None:
    given = safety_condition("pregnancy", **{name: day(when) for name, when in dates.items()})
    assert one(given) == expected


def test_an_old_entry_of_another_group_still_counts() -> None:
    assert one(safety_condition("breastfeeding", onset=day("2020-01-01"))) == REVIEW


def test_an_unproven_recent_event_is_reviewed() -> None:
    assert one(safety_condition(EVENT, onset=day("2026-11-01"), verification=UNPROVEN), EU) == REVIEW_OPEN


@pytest.mark.parametrize(
    ("group", "us", "eu"),
    [
        pytest.param("raised-intracranial-pressure", CAUTION, REVIEW, id="raised intracranial pressure"),
        pytest.param("aneurysm", EXCLUDES, EXCLUDES, id="aneurysm"),
        pytest.param("hypertension", CAUTION, CAUTION, id="hypertension"),
    ],
)
def test_effects_differ_by_region(group: str, us: tuple[str, str], eu: tuple[str, str]) -> None:
    given = safety_condition(group)
    assert (one(given, US), one(given, EU)) == (us, eu)


def test_the_label_section_is_that_of_the_region() -> None:
    of = record(safety_condition("aneurysm"))
    assert [safety_of(of, k)[0].section for k in (US, EU)] == ["4", "4.3"]


def test_a_group_without_effect_in_a_region_raises_nothing() -> None:
    groups = dict(US.safety_groups)
    groups["aneurysm"] = groups["aneurysm"]._replace(effect=None)
    groups["hypersensitivity"] = groups["hypersensitivity"]._replace(effect=None)
    knowledge = _with_groups(groups)
    assert found(record(safety_condition("aneurysm"), allergy()), knowledge) == []


def _with_groups(groups: dict[str, SafetyGroup]) -> Knowledge:
    return replace(US, safety_groups=groups)


# allergies -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param(allergy(), EXCLUDES, id="confirmed"),
        pytest.param(allergy(verification=Verification.NOT_STATED), EXCLUDES, id="verification not stated"),
        pytest.param(allergy(clinical_status=ClinicalStatus.NOT_STATED), EXCLUDES, id="status not stated"),
        pytest.param(allergy(verification=UNPROVEN), REVIEW_OPEN, id="unproven"),
        pytest.param(allergy(clinical_status=ENDED), REVIEW_OPEN, id="resolved"),
        pytest.param(allergy(by_text=True), REVIEW_OPEN, id="by text alone"),
        pytest.param(allergy("anaesthetic-allergy"), REVIEW, id="agent not named"),
        pytest.param(
            allergy("anaesthetic-allergy", by_text=True), REVIEW_OPEN, id="agent not named, by text"
        ),
    ],
)
def test_allergy(given: Allergy, expected: tuple[str, str]) -> None:
    assert one(given) == expected


# psychosis, earlier esketamine, what cannot be read --------------------------------------------


def test_psychotic_features_of_the_depression_are_reviewed() -> None:
    assert found(record(depression(psychotic=True))) == [("psychosis", *REVIEW)]


def test_a_depression_without_them_is_no_safety_finding() -> None:
    assert found(record(depression())) == []


def test_psychosis_twice_on_one_condition_is_one_finding() -> None:
    given = depression(DepressionState.MDD, psychotic=True, safety=("psychosis",))
    assert found(record(given)) == [("psychosis", *REVIEW)]


@pytest.mark.parametrize("status", ExposureStatus)
def test_any_esketamine_on_record_is_reviewed(status: ExposureStatus) -> None:
    assert found(record(exposure("esketamine", status=status))) == [("prior-esketamine", *REVIEW)]


def test_esketamine_that_starts_later_is_reviewed_too() -> None:
    assert found(record(exposure("esketamine", start="2027-01-01"))) == [("prior-esketamine", *REVIEW)]


@pytest.mark.parametrize(
    ("identified", "expected"),
    [
        (Identified.CODED, REVIEW),
        (Identified.TEXT_ONLY, REVIEW_OPEN),
        (Identified.CONFLICT, REVIEW_OPEN),
    ],
)
def test_esketamine_by_words_or_in_conflict_is_reviewed(
    identified: Identified, expected: tuple[str, str]
) -> None:
    given = exposure(medicine("esketamine", identified=identified, role=Role.ESKETAMINE))
    assert found(record(given)) == [("prior-esketamine", *expected)]


def test_ketamine_counts_as_esketamine() -> None:
    findings = safety_of(record(exposure("ketamine"), exposure("esketamine")))
    assert [(f.id, len(f.evidence)) for f in findings] == [("prior-esketamine", 2)]


@pytest.mark.parametrize("kind", ["Condition", "AllergyIntolerance"])
def test_what_cannot_be_read_cannot_rule_out(kind: str) -> None:
    assert found(record(unreadable(kind))) == [("unreadable-safety-record", *REVIEW_OPEN)]


@pytest.mark.parametrize("kind", ["MedicationStatement", "Medication"])
def test_an_unreadable_medicine_is_no_safety_finding(kind: str) -> None:
    assert found(record(unreadable(kind))) == []


# merging and order -----------------------------------------------------------------------------


def merged(*entries: Diagnosis) -> SafetyFinding:
    (finding,) = safety_of(record(*entries))
    return finding


def test_two_findings_of_a_group_are_one_the_stronger_with_all_evidence() -> None:
    sure = safety_condition("aneurysm", id="sure")
    unsure = safety_condition("aneurysm", id="unsure", verification=UNPROVEN)
    for entries in ((sure, unsure), (unsure, sure)):
        finding = merged(*entries)
        assert (finding.effect.value, finding.finding.value) == EXCLUDES
        assert [ref.id for ref in finding.evidence] == ["sure", "unsure"]


def test_of_equal_effects_the_surer_stands() -> None:
    sure = safety_condition("bipolar", id="sure")
    unsure = safety_condition("bipolar", id="unsure", verification=UNPROVEN)
    for entries in ((sure, unsure), (unsure, sure)):
        assert merged(*entries).finding.value == "met"


def test_the_strongest_effect_comes_first() -> None:
    of = record(
        safety_condition("hypertension"),
        safety_condition("bipolar"),
        safety_condition("aneurysm"),
        safety_condition("psychosis"),
    )
    assert [finding[0] for finding in found(of)] == ["aneurysm", "bipolar", "psychosis", "hypertension"]


def test_one_condition_may_fall_in_several_groups() -> None:
    given = safety_condition("aneurysm", safety=("aneurysm", "stroke"))
    assert [finding[:2] for finding in found(record(given))] == [
        ("aneurysm", "excludes"),
        ("stroke", "caution"),
    ]
