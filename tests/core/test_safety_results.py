"""Safety by results, medicines and procedures: what a person must review, and what the plan must warn of."""

import json
from dataclasses import replace
from itertools import permutations
from typing import Any

import pytest

from service.core.assessment import Assessment
from service.core.dates import Interval
from service.core.decision import Decision, Propose
from service.core.findings import Finding
from service.core.knowledge import Knowledge
from service.core.medicines import identify_medicine
from service.core.records import (
    Bound,
    Concept,
    Exposure,
    ExposureStatus,
    Grade,
    Measure,
    Observation,
    Procedure,
    ProcedureKind,
    Record,
)
from service.core.staging import StagingScores
from service.gather.files import read_bundle
from tests.core.builders import (
    EU,
    INEFFECTIVE,
    US,
    acute,
    assessed,
    coded,
    day,
    decided,
    depression,
    exposure,
    person,
    procedure,
    record,
    ref,
    resistant,
    result,
    suicidality,
    unreadable,
)
from tests.support import Resource, a_bundle, a_patient, reviewer

MET, OPEN = Finding.MET, Finding.INDETERMINATE


def findings(of: Record, knowledge: Knowledge = US) -> list[tuple[str, str, str]]:
    return [(f.id, f.effect.value, f.finding.value) for f in assessed(of, knowledge=knowledge).safety]


def found(*entries: Observation | Exposure, knowledge: Knowledge = US) -> list[tuple[str, str, str]]:
    return findings(record(*entries), knowledge)


# blood pressure --------------------------------------------------------------------------------

HIGH, HIGH_OPEN = ("blood-pressure", "caution", "met"), ("blood-pressure", "caution", "indeterminate")


def systolic(value: float | None, when: str | None = "2026-11-10", **changes: Any) -> Observation:
    return result(Measure.SYSTOLIC, value, when, **changes)


def diastolic(value: float | None, when: str | None = "2026-11-10", **changes: Any) -> Observation:
    return result(Measure.DIASTOLIC, value, when, **changes)


@pytest.mark.parametrize(
    ("results", "expected"),
    [
        pytest.param([], [], id="none"),
        pytest.param([systolic(140), diastolic(90)], [], id="exactly at both limits"),
        pytest.param([systolic(140.5), diastolic(80)], [HIGH], id="above the upper limit"),
        pytest.param([systolic(120), diastolic(91)], [HIGH], id="above the lower limit"),
        pytest.param([systolic(180), diastolic(110)], [HIGH], id="above both: one finding"),
        pytest.param([systolic(1e308)], [HIGH], id="more than anybody can mean"),
        pytest.param([systolic(-150)], [], id="less than anybody can mean"),
        pytest.param([systolic(None), diastolic(None)], [], id="no value"),
        pytest.param([systolic(160, None)], [HIGH_OPEN], id="undated"),
        pytest.param([systolic(160, settled=False)], [HIGH_OPEN], id="preliminary"),
        pytest.param([systolic(160, "2026-11-24")], [], id="of tomorrow"),
        pytest.param([systolic(160, "2016-01-01")], [HIGH], id="old, but the latest"),
        # the latest only
        pytest.param([systolic(160, "2026-11-01"), systolic(130)], [], id="normal since"),
        pytest.param([systolic(130, "2026-11-01"), systolic(160)], [HIGH], id="high since"),
        pytest.param(
            [diastolic(95, "2026-11-01"), systolic(130)], [HIGH], id="each of the two has its own latest"
        ),
        pytest.param([systolic(160, id="a"), systolic(130, id="b")], [HIGH], id="twice that day"),
        pytest.param(
            [systolic(160, None), systolic(130)], [HIGH_OPEN], id="an undated one may be the latest"
        ),
        pytest.param([systolic(160), systolic(130, None)], [HIGH], id="an undated one outdates nothing"),
        pytest.param(
            [systolic(160, "2026-11-01"), systolic(130, settled=False)], [HIGH], id="nor a preliminary one"
        ),
        pytest.param([systolic(160, "2026-11-01"), systolic(None)], [HIGH], id="nor one without a value"),
        pytest.param(
            [systolic(160, "2026-11-01"), systolic(130, "2026-11-24")], [HIGH], id="nor one to come"
        ),
        # beyond a number
        pytest.param([systolic(140, bound=Bound.ABOVE)], [HIGH], id="above 140"),
        pytest.param([systolic(139, bound=Bound.ABOVE)], [HIGH_OPEN], id="above 139"),
        pytest.param([systolic(140, bound=Bound.AT_LEAST)], [HIGH_OPEN], id="140 at least"),
        pytest.param([systolic(141, bound=Bound.AT_LEAST)], [HIGH], id="141 at least"),
        pytest.param([systolic(140, bound=Bound.AT_MOST)], [], id="140 at most"),
        pytest.param([systolic(141, bound=Bound.BELOW)], [HIGH_OPEN], id="below 141"),
        pytest.param(
            [systolic(160, "2026-11-01"), systolic(140, bound=Bound.BELOW)], [], id="below 140 since"
        ),
        # partial dates
        pytest.param([systolic(160, "2026-10"), systolic(130, "2026-11-01")], [], id="the month before"),
        pytest.param([systolic(160, "2026-11"), systolic(130)], [HIGH], id="some day of this month"),
        pytest.param([systolic(160), systolic(130, "2026-11")], [HIGH], id="not certain which came last"),
    ],
)
def test_a_high_latest_blood_pressure_is_a_caution(
    results: list[Observation], expected: list[tuple[str, str, str]]
) -> None:
    for turned in permutations(results):
        for knowledge in (US, EU):
            assert found(*turned, knowledge=knowledge) == expected


def test_a_high_blood_pressure_is_on_the_plan() -> None:
    decision = decided(resistant(systolic(160, id="bp")))
    assert isinstance(decision, Propose)
    (caution,) = decision.assessment.safety
    assert (caution.section, [str(r) for r in caution.evidence]) == ("5.7", ["Observation/bp/_history/1"])


# pregnancy -------------------------------------------------------------------------------------

PREGNANT, PERHAPS = ("pregnancy", "review", "met"), ("pregnancy", "review", "indeterminate")


def pregnancy(value: float | None, when: str | None = "2026-11-10", **changes: Any) -> Observation:
    return result(Measure.PREGNANCY_STATUS, value, when, **changes)


@pytest.mark.parametrize(
    ("results", "expected"),
    [
        pytest.param([pregnancy(1)], [PREGNANT], id="pregnant"),
        pytest.param([pregnancy(0)], [], id="not pregnant"),
        pytest.param([pregnancy(None)], [PERHAPS], id="cannot be told"),
        pytest.param([pregnancy(-1)], [PERHAPS], id="no such answer"),
        pytest.param([pregnancy(1, None)], [PERHAPS], id="undated"),
        pytest.param([pregnancy(1, settled=False)], [PERHAPS], id="preliminary"),
        pytest.param([pregnancy(1, "2026-11-24")], [], id="of tomorrow"),
        # 294 days
        pytest.param([pregnancy(1, "2026-02-02")], [PREGNANT], id="294 days ago"),
        pytest.param([pregnancy(1, "2026-02-01")], [], id="295 days ago"),
        pytest.param([pregnancy(1, "2026-02")], [PERHAPS], id="perhaps 294 days ago"),
        pytest.param([pregnancy(1, "2026")], [PERHAPS], id="some time this year"),
        pytest.param([pregnancy(1, "2025")], [], id="last year"),
        # the latest only
        pytest.param([pregnancy(1, "2026-05-01"), pregnancy(0)], [], id="no longer"),
        pytest.param([pregnancy(0, "2026-05-01"), pregnancy(1)], [PREGNANT], id="by now"),
        pytest.param([pregnancy(1, id="a"), pregnancy(0, id="b")], [PREGNANT], id="both, the same day"),
        pytest.param([pregnancy(1), pregnancy(0, "2026-11")], [PREGNANT], id="not certain which came last"),
        pytest.param([pregnancy(1), pregnancy(0, None)], [PREGNANT], id="no longer, undated"),
        pytest.param(
            [pregnancy(1, "2026-05-01"), pregnancy(0, settled=False)], [PREGNANT], id="no longer, preliminary"
        ),
        pytest.param([pregnancy(1, "2026-05-01"), pregnancy(None)], [PREGNANT], id="nobody knows by now"),
        pytest.param(
            [pregnancy(1, "2026-05-01"), pregnancy(0, "2026-11-24")], [PREGNANT], id="no longer, tomorrow"
        ),
    ],
)
def test_a_recorded_pregnancy_is_reviewed(
    results: list[Observation], expected: list[tuple[str, str, str]]
) -> None:
    for turned in permutations(results):
        assert found(*turned) == expected


@pytest.mark.parametrize(("value", "decision"), [(1, "NeedsReview"), (None, "NeedsReview"), (0, "Propose")])
def test_a_pregnancy_is_never_passed_over(value: float | None, decision: str) -> None:
    assert type(decided(resistant(pregnancy(value)))).__name__ == decision


# interacting medicines -------------------------------------------------------------------------


def taking(concept: Concept, knowledge: Knowledge = US, **changes: Any) -> Exposure:
    """A medicine as it is read: by its code, else by its words."""
    return exposure(identify_medicine(concept, knowledge), **changes)


def group(*exposures: Exposure, knowledge: Knowledge = US) -> list[tuple[str, str]]:
    """The interacting groups found, each with how sure it is."""
    return [
        (f, finding) for f, effect, finding in found(*exposures, knowledge=knowledge) if effect == "caution"
    ]


PHENELZINE = coded("rxnorm", "8123", "phenelzine")


@pytest.mark.parametrize(
    ("concept", "expected"),
    [
        (coded("rxnorm", "8123", "phenelzine"), ("maoi", "met")),
        (coded("rxnorm", "6901", "methylphenidate"), ("psychostimulant", "met")),
        (coded("rxnorm", "1666831", "fentanyl patch"), ("cns-depressant", "met")),
        (coded("atc", "N05BA12"), ("cns-depressant", "met")),
        (coded("atc", "N05BA"), ("cns-depressant", "met")),
        (coded("atc", "N06BA04"), ("psychostimulant", "met")),
        (coded("atc", "N06AG02"), ("maoi", "met")),
        (Concept(text="Lorazepam 1 mg at night"), ("cns-depressant", "indeterminate")),
        (Concept(text="RITALIN"), ("psychostimulant", "indeterminate")),
        (coded("rxnorm", "0", "Parnate 10 mg"), ("maoi", "indeterminate")),
    ],
    ids=lambda value: value.label if isinstance(value, Concept) else value[0],
)
def test_an_interacting_medicine_that_is_taken_is_a_caution(
    concept: Concept, expected: tuple[str, str]
) -> None:
    assert group(taking(concept)) == [expected]


@pytest.mark.parametrize(
    "concept",
    [
        coded("atc", "N05AX12", "aripiprazole"),
        coded("atc", "N05B"),
        coded("atc", "N06AB06", "sertraline"),
        coded("rxnorm", "N05BA12"),
        Concept(text="paracetamol"),
        Concept(),
    ],
    ids=lambda value: value.label or "nothing",
)
def test_another_medicine_is_none(concept: Concept) -> None:
    assert group(taking(concept)) == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({}, "met", id="still taken"),
        pytest.param({"end": "2027-01-01"}, "met", id="to end next year"),
        pytest.param({"start": None}, "met", id="since nobody knows when"),
        pytest.param({"end": "2026-11-22"}, None, id="ended yesterday"),
        pytest.param({"end": "2026-11-23"}, "indeterminate", id="ends today"),
        pytest.param({"end": "2026-11"}, "indeterminate", id="ended some day this month"),
        pytest.param({"end": "2026-10"}, None, id="ended last month"),
        pytest.param({"status": ExposureStatus.ENDED}, "indeterminate", id="ended nobody knows when"),
        pytest.param(
            {"start": None, "status": ExposureStatus.ENDED}, "indeterminate", id="ended, without any date"
        ),
        pytest.param({"status": ExposureStatus.ON_HOLD}, "indeterminate", id="on hold"),
        pytest.param({"status": ExposureStatus.UNKNOWN}, "indeterminate", id="nobody knows whether"),
        pytest.param({"asserted": day("2025-01-01")}, "indeterminate", id="asserted too long ago"),
        pytest.param({"status": ExposureStatus.INTENDED}, None, id="only intended"),
        pytest.param({"start": "2026-12-01"}, None, id="starts next month"),
    ],
)
def test_a_medicine_interacts_while_it_is_taken(changes: dict[str, Any], expected: str | None) -> None:
    assert group(taking(PHENELZINE, **changes)) == ([("maoi", expected)] if expected else [])


@pytest.mark.parametrize(
    "concept",
    [coded("rxnorm", "10814", "liothyronine"), coded("atc", "H03AA01"), coded("atc", "H03AA02")],
    ids=lambda value: value.label,
)
def test_a_thyroid_hormone_is_a_caution_in_the_eu_only(concept: Concept) -> None:
    assert group(taking(concept, EU), knowledge=EU) == [("thyroid-hormone", "met")]
    assert group(taking(concept)) == []


def test_a_running_prescription_interacts_after_the_fill_it_led_to_has_run_out() -> None:
    concept = coded("rxnorm", "8123", "phenelzine")
    prescription = replace(
        taking(concept, start="2026-09-01"),
        grade=Grade.PRESCRIBED,
        evidence=(ref("rx", "MedicationRequest"),),
    )
    fill = replace(
        taking(concept, start="2026-09-02", end="2026-10-01"),
        grade=Grade.DISPENSED,
        names=frozenset({("MedicationRequest", "rx")}),
        evidence=(ref("fill", "MedicationDispense"),),
    )
    assert group(fill) == []
    assert group(prescription, fill) == [("maoi", "met")]


def test_a_copy_without_its_code_hides_nothing() -> None:
    """Two records of one patch: where one was copied it lost its code."""
    code = taking(coded("rxnorm", "1666831", text="the patch"), id="b")
    words = taking(Concept(text="the patch"), id="a")
    assert group(words) == []
    assert group(words, code) == [("cns-depressant", "met")]


def test_an_maoi_is_both_a_trial_and_an_interaction() -> None:
    of = record(depression(), taking(PHENELZINE, mg=60))
    assert [f[0] for f in findings(of)] == ["maoi"]
    assert [t.name for t in assessed(of).trials] == ["phenelzine"]


# esketamine by a visit -------------------------------------------------------------------------

HCPCS = "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets"
PRIOR = ("prior-esketamine", "review", "met")


def a_visit(**elements: Any) -> Resource:
    """A billed visit with esketamine and two hours of observation."""
    return {
        "resourceType": "Procedure",
        "id": "visit",
        "status": "completed",
        "subject": {"reference": "Patient/ann"},
        "code": {"coding": [{"system": HCPCS, "code": "G2082"}]},
        "performedDateTime": "2026-06-01",
        **elements,
    }


def reviewed(*resources: Resource) -> tuple[Record, list[tuple[str, str, str]]]:
    review = reviewer().review(read_bundle(json.dumps(a_bundle([a_patient(), *resources])).encode()))
    safety = review.decision.assessment.safety
    return review.record, [(f.id, f.effect.value, f.finding.value) for f in safety]


@pytest.mark.parametrize(
    "elements",
    [
        pytest.param({}, id="up to 56 mg"),
        pytest.param({"code": {"coding": [{"system": HCPCS, "code": "G2083"}]}}, id="more than 56 mg"),
        pytest.param({"code": {"coding": [{"system": f"https{HCPCS[4:]}", "code": "G2082"}]}}, id="https"),
        pytest.param({"performedDateTime": None}, id="undated"),
        pytest.param({"performedDateTime": "1900-01-01"}, id="at a date that cannot be meant"),
        pytest.param({"performedDateTime": "last summer"}, id="at a date that cannot be read"),
        pytest.param({"status": "preparation"}, id="in preparation"),
        pytest.param({"status": "in-progress"}, id="in progress"),
        pytest.param({"status": "unknown"}, id="status unknown"),
        pytest.param({"status": None}, id="no status"),
        pytest.param({"status": "nonsense"}, id="a status nobody knows"),
    ],
)
def test_a_billed_visit_shows_that_esketamine_was_given(elements: dict[str, Any]) -> None:
    of, safety = reviewed(a_visit(**elements))
    assert safety == [PRIOR]
    assert [(e.medicine.ingredient, e.grade) for e in of.exposures] == [("esketamine", Grade.ADMINISTERED)]


@pytest.mark.parametrize(
    ("status", "reason"), [("not-done", "not-done"), ("entered-in-error", "entered-in-error")]
)
def test_a_visit_that_did_not_take_place_is_set_aside_and_said(status: str, reason: str) -> None:
    of, safety = reviewed(a_visit(status=status))
    assert (safety, of.exposures) == ([], ())
    assert [(e.evidence.id, e.reason.value) for e in of.excluded] == [("visit", reason)]


def test_ketamine_in_the_words_of_a_procedure_is_reviewed_even_where_the_rest_cannot_be_read() -> None:
    words = a_visit(code={"text": "ECT under ketamine anaesthesia"}, status="nonsense")
    of, safety = reviewed(words)
    assert safety == [("prior-esketamine", "review", "indeterminate")]
    assert [(u.evidence.id, u.element) for u in of.unreadable] == [("visit", "status")]


def test_a_visit_is_no_trial() -> None:
    of, _ = reviewed(a_visit())
    assert assessed(of).trials == ()


# what is withheld ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["Condition", "AllergyIntolerance", "CarePlan"])
def test_what_the_server_withholds_is_reviewed_like_what_cannot_be_read(kind: str) -> None:
    of = resistant(refused=(kind,), not_read=(kind,))
    assert findings(of) == [("unreadable-safety-record", "review", "indeterminate")]
    assert type(decided(of)).__name__ == "NeedsReview"


@pytest.mark.parametrize("kind", ["AllergyIntolerance", "CarePlan"])
def test_what_the_server_does_not_have_is_not_screened_and_said(kind: str) -> None:
    of = resistant(not_read=(kind,))
    assert findings(of) == []
    assert kind in assessed(of).not_screened


# an oral antidepressant alongside --------------------------------------------------------------

MISSING = "no-oral-antidepressant"
SSRI = exposure("sertraline", start="2026-11-01")
SNRI = exposure("venlafaxine", start="2026-11-01", mg=75)
TRICYCLIC = exposure("amitriptyline", start="2026-11-01", mg=75)
SUPPLEMENT = exposure("hypericum", start="2026-11-01", mg=900)


def cautions(decision: Decision) -> list[str]:
    assert isinstance(decision, Propose)
    return [finding.id for finding in decision.assessment.safety]


def suicidal(*more: Exposure) -> Record:
    return record(depression(), suicidality(), exposure(start="2026-01-01", end="2026-01-10"), *more)


@pytest.mark.parametrize(
    ("taken", "missing"),
    [
        pytest.param((), True, id="none now"),
        pytest.param((SSRI,), False, id="an SSRI"),
        pytest.param((SNRI,), False, id="an SNRI"),
        pytest.param((TRICYCLIC,), True, id="a tricyclic"),
        pytest.param((replace(SSRI, status=ExposureStatus.ON_HOLD),), True, id="an SSRI on hold"),
        pytest.param(
            (exposure("escitalopram", start="2026-09-01", end="2026-11-22"),), True, id="until yesterday"
        ),
    ],
)
def test_the_eu_protocol_wants_an_ssri_or_snri_and_the_us_one_none(
    taken: tuple[Exposure, ...], missing: bool
) -> None:
    of = resistant(*taken)
    assert cautions(decided(of)) == []
    assert cautions(decided(of, knowledge=EU)) == ([MISSING] if missing else [])
    older = replace(of, person=person("1950-01-01"))
    assert cautions(decided(older, knowledge=EU)) == ([MISSING] if missing else [])


@pytest.mark.parametrize("knowledge", [US, EU], ids=["us", "eu"])
@pytest.mark.parametrize(
    ("taken", "missing"),
    [
        pytest.param((), True, id="none now"),
        pytest.param((SSRI,), False, id="an SSRI"),
        pytest.param((TRICYCLIC,), False, id="any class will do"),
        pytest.param((SUPPLEMENT,), True, id="a supplement is none"),
        pytest.param(
            (exposure(identify_medicine(Concept(text="some antidepressant"), US), start="2026-11-01"),),
            True,
            id="one that nobody can tell",
        ),
    ],
)
def test_the_acute_protocols_want_any_oral_antidepressant(
    knowledge: Knowledge, taken: tuple[Exposure, ...], missing: bool
) -> None:
    decision = decided(suicidal(*taken), knowledge=knowledge)
    assert cautions(decision) == ([MISSING] if missing else [])


def test_the_missing_antidepressant_is_a_caution_that_names_the_patient() -> None:
    decision = decided(suicidal())
    assert isinstance(decision, Propose)
    (caution,) = decision.assessment.safety
    told = (caution.effect.value, caution.finding.value, [r.type for r in caution.evidence])
    assert told == ("caution", "indeterminate", ["Patient"])


@pytest.mark.parametrize(
    ("of", "named"),
    [
        pytest.param(resistant(TRICYCLIC), ": SSRI or SNRI", id="the classes that are required"),
        pytest.param(suicidal(), "", id="any class"),
    ],
)
def test_the_caution_names_what_the_protocol_requires(of: Record, named: str) -> None:
    decision = decided(of, knowledge=EU)
    assert isinstance(decision, Propose)
    (caution,) = decision.assessment.safety
    assert caution.title == f"{EU.safety_groups[MISSING].title}{named}"


def test_a_caution_never_stands_in_the_way_of_a_proposal() -> None:
    of = acute(systolic(180), taking(PHENELZINE))
    assert cautions(decided(of)) == ["blood-pressure", "maoi"]


# staging by electroconvulsive therapy ----------------------------------------------------------


def staged(*procedures: Procedure, **changes: Any) -> StagingScores:
    of: Assessment = assessed(resistant(*procedures, **changes))
    return of.staging


ECT = "electroconvulsive therapy"
GIVEN, OPEN_STILL, NOT_GIVEN = (1, 1), (0, 1), (0, 0)


def ect(start: str | None = "2026-03-01", end: str | None = None, **changes: Any) -> Procedure:
    period = Interval(day(start), day(end))
    return procedure(ProcedureKind.ECT, None, period=period, **changes)


@pytest.mark.parametrize(
    ("procedures", "expected"),
    [
        pytest.param([], NOT_GIVEN, id="none"),
        pytest.param([procedure()], GIVEN, id="in the episode"),
        pytest.param([procedure(start="2024-01-01")], GIVEN, id="on its first day"),
        pytest.param([procedure(start="2023-12-31")], NOT_GIVEN, id="the day before it"),
        pytest.param([procedure(start="2023")], NOT_GIVEN, id="the year before it"),
        pytest.param([procedure(start="2026-11-23")], GIVEN, id="today"),
        pytest.param([procedure(start="2026-11-24")], NOT_GIVEN, id="tomorrow"),
        pytest.param([procedure(start=None)], OPEN_STILL, id="undated"),
        pytest.param([procedure(done=False)], OPEN_STILL, id="perhaps not done"),
        pytest.param([ect("2023-12-01", "2024-01-01")], OPEN_STILL, id="into the episode"),
        pytest.param([ect("2023-12-01", "2023-12-31")], NOT_GIVEN, id="until the day before it"),
        pytest.param([ect("2023-12-01")], OPEN_STILL, id="from before, its end unknown"),
        pytest.param([ect("2024-02-01", "2024-03-01")], GIVEN, id="a course within it"),
        pytest.param([ect(None, "2024-03-01")], OPEN_STILL, id="its start unknown"),
        pytest.param([ect(None, "2023-03-01")], NOT_GIVEN, id="its start unknown, over before it"),
        pytest.param([procedure(done=False, id="a"), procedure(id="b")], GIVEN, id="one is certain"),
        pytest.param([procedure(ProcedureKind.TMS)], NOT_GIVEN, id="magnetic stimulation"),
        pytest.param([procedure(ProcedureKind.VNS)], NOT_GIVEN, id="nerve stimulation"),
    ],
)
def test_electroconvulsive_therapy_is_staged_by_the_episode(
    procedures: list[Procedure], expected: tuple[int, int]
) -> None:
    """One point of the Maudsley scale, three of MGH-S; the record has no augmentation."""
    without, scores = staged(), staged(*procedures)
    for scale, base, points in ((scores.msm, without.msm, 1), (scores.mgh_s, without.mgh_s, 3)):
        assert (scale.low - base.low, scale.high - base.high) == (expected[0] * points, expected[1] * points)
        assert (ECT in scale.unknown) == (expected == OPEN_STILL)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"not_read": ("Procedure",)}, id="not read"),
        pytest.param({"not_read": ("Procedure",), "refused": ("Procedure",)}, id="withheld"),
        pytest.param({"unreadable": (unreadable("Procedure"),)}, id="unreadable"),
    ],
)
def test_without_the_procedures_electroconvulsive_therapy_is_open(changes: dict[str, Any]) -> None:
    without, scores = staged(), staged(**changes)
    assert (scores.msm.low, scores.msm.high) == (without.msm.low, without.msm.high + 1)
    assert ECT in scores.msm.unknown
    certain = staged(procedure(), **changes)
    assert (certain.msm.low, certain.msm.high) == (without.msm.low + 1, without.msm.high + 1)
    assert ECT not in certain.msm.unknown


def test_an_onset_known_by_year_leaves_a_treatment_of_that_year_open() -> None:
    of = assessed(replace(resistant(procedure(start="2024-03-01")), diagnoses=(depression(onset="2024"),)))
    assert ECT in of.staging.msm.unknown


def test_bilateral_therapy_is_the_last_stage_and_its_side_is_not_read() -> None:
    names = (("sertraline", 100), ("amitriptyline", 150), ("phenelzine", 60))
    taken = [
        exposure(name, start=f"2025-0{n}-01", end=f"2025-0{n + 2}-28", mg=mg, stop_reasons=INEFFECTIVE)
        for n, (name, mg) in enumerate(names, start=1)
    ]
    for procedures, high in (((), 4), ((procedure(),), 5)):
        scale = assessed(record(depression(), *taken, *procedures)).staging.thase_rush
        assert (scale.low, scale.high) == (4, high)
