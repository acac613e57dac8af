"""What is read of observations and procedures."""

import json
from datetime import date
from typing import Any

import pytest

from service.core.dates import Interval, PartialDate
from service.core.records import (
    Bound,
    ExclusionReason,
    Measure,
    Observation,
    Procedure,
    ProcedureKind,
    Record,
)
from service.errors import NotAssessable
from service.gather.files import read_bundle
from service.review import Review
from tests.support import Resource, a_bundle, a_condition, a_patient, reviewer

LOINC, SNOMED = "http://loinc.org", "http://snomed.info/sct"
CPT, PCS = "http://www.ama-assn.org/go/cpt", "http://www.cms.gov/Medicare/Coding/ICD10"
ICD_9 = "urn:oid:2.16.840.1.113883.6.104"
YES_NO = "http://terminology.hl7.org/CodeSystem/v2-0136"

PHQ_9, MADRS_WORDS = "44261-6", "MADRS total score"
ITEM_9, INTENT, LIFETIME, RISK = "44260-8", "93249-1", "93267-3", "93374-7"
PRESSURE, SYSTOLIC, DIASTOLIC, PREGNANCY = "85354-9", "8480-6", "8462-4", "82810-3"
POTASSIUM = "2823-3"


def loinc(code: str, display: str | None = None) -> Resource:
    return {"coding": [{"system": LOINC, "code": code, **({"display": display} if display else {})}]}


def an_observation(code: str | Resource = PHQ_9, identity: str = "result", **elements: Any) -> Resource:
    """A final result of November 2026, without a value."""
    named = loinc(code) if isinstance(code, str) else code
    return {
        "resourceType": "Observation",
        "id": identity,
        "status": "final",
        "subject": {"reference": "Patient/ann"},
        "code": named,
        "effectiveDateTime": "2026-11-10T09:30:00Z",
    } | elements


def a_procedure(**elements: Any) -> Resource:
    """Electroconvulsive therapy in March 2026."""
    return {
        "resourceType": "Procedure",
        "id": "treatment",
        "status": "completed",
        "subject": {"reference": "Patient/ann"},
        "code": {"coding": [{"system": SNOMED, "code": "23835007"}]},
        "performedDateTime": "2026-03-01",
    } | elements


def review(*resources: Resource) -> Review:
    content = json.dumps(a_bundle([a_patient(), *resources])).encode()
    return reviewer().review(read_bundle(content))


def read(*resources: Resource) -> Record:
    return review(*resources).record


def results(*resources: Resource) -> list[Observation]:
    record = read(*resources)
    assert (record.unreadable, record.excluded, record.doubtful_dates) == ((), (), ())
    return list(record.observations)


def values(*resources: Resource) -> list[tuple[str, float | None]]:
    return [(found.measure.value, found.value) for found in results(*resources)]


def value(code: str | Resource, **elements: Any) -> float | None:
    """The value of the one result that is read."""
    ((_, found),) = values(an_observation(code, **elements))
    return found


def coded(system: str, code: str, display: str | None = None, text: str | None = None) -> Resource:
    coding = {"system": system, "code": code, "display": display}
    return {"coding": [{k: v for k, v in coding.items() if v}], **({"text": text} if text else {})}


# which observation it is -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "measure"),
    [
        (loinc(PHQ_9), Measure.PHQ_9),
        (loinc(ITEM_9, "Thoughts that you would be better off dead"), Measure.PHQ_9_ITEM_9),
        (loinc(INTENT), Measure.C_SSRS_4),
        (loinc(RISK), Measure.C_SSRS_RISK),
        (loinc(SYSTOLIC), Measure.SYSTOLIC),
        (loinc(PREGNANCY), Measure.PREGNANCY_STATUS),
        ({"text": MADRS_WORDS}, Measure.MADRS),
        ({"text": "  MADRS Total Score "}, Measure.MADRS),
        ({"coding": [{"display": "Montgomery-Åsberg Depression Rating Scale"}]}, Measure.MADRS),
        ({"coding": [{"system": "urn:lab", "code": "1", "display": "PHQ-9 score"}]}, Measure.PHQ_9),
        ({"coding": [{"system": "urn:lab", "code": "1"}, {"system": LOINC, "code": PHQ_9}]}, Measure.PHQ_9),
        ({"text": "Wish to be dead"}, Measure.C_SSRS_1),
        (coded(LOINC, PHQ_9, text="PHQ-9 item 9"), Measure.PHQ_9),
    ],
    ids=lambda given: given.value if isinstance(given, Measure) else "",
)
def test_an_observation_is_known_by_its_code_else_by_its_whole_name(code: Resource, measure: Measure) -> None:
    assert [found.measure for found in results(an_observation(code, valueInteger=1))] == [measure]


@pytest.mark.parametrize(
    "code",
    [
        loinc(POTASSIUM, "Potassium"),
        {"coding": [{"system": "urn:lab", "code": PHQ_9}]},
        {"coding": [{"code": PHQ_9}]},
        {"text": "PHQ-9 total score, by telephone"},
        {"text": "old MADRS"},
        {"text": "PHQ-2 score"},
        {"text": ""},
        {},
        None,
    ],
)
def test_an_observation_of_no_interest_is_passed_over_silently(code: Resource | None) -> None:
    given = an_observation(valueQuantity={"value": 27})
    given = {**given, "code": code} if code is not None else {k: v for k, v in given.items() if k != "code"}
    assert results(given) == []


@pytest.mark.parametrize(
    "elements",
    [
        pytest.param({"status": "nonsense"}, id="a status nobody knows"),
        pytest.param({"status": "entered-in-error"}, id="withdrawn"),
        pytest.param({"effectiveDateTime": "yesterday"}, id="a date that cannot be read"),
        pytest.param({"subject": None}, id="nobody's"),
        pytest.param({"subject": {"identifier": {"value": "7"}}}, id="somebody's by identifier"),
    ],
)
def test_what_is_odd_about_an_observation_of_no_interest_is_no_matter(elements: Resource) -> None:
    given = an_observation(POTASSIUM, valueQuantity={"value": 4.1}, **elements)
    assert results({k: v for k, v in given.items() if v is not None}) == []


# values ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("elements", "expected"),
    [
        ({"valueQuantity": {"value": 15, "unit": "{score}"}}, 15),
        ({"valueQuantity": {"value": 15.5}}, 15.5),
        ({"valueQuantity": {"value": -0.0}}, 0),
        ({"valueQuantity": {"value": 1e308}}, 1e308),
        ({"valueQuantity": {}}, None),
        ({"valueInteger": 15}, 15),
        ({"valueInteger": 0}, 0),
        ({"valueInteger": -1}, -1),
        ({"valueInteger": 2**31 - 1}, 2**31 - 1),
        ({"valueInteger": 2**31}, None),
        ({"valueInteger": int("9" * 400)}, None),
        ({"valueString": "15"}, 15),
        ({"valueString": " 15.5 "}, 15.5),
        ({"valueString": "-1"}, -1),
        ({"valueString": "15/27"}, None),
        ({"valueString": "NaN"}, None),
        ({"valueString": "Infinity"}, None),
        ({"valueString": "1e3"}, None),
        ({"valueString": "\N{ARABIC-INDIC DIGIT FIVE}"}, None),
        ({"valueString": "123456"}, None),
        ({"valueString": ""}, None),
        ({"valueCodeableConcept": {"text": "15"}}, 15),
        ({"valueCodeableConcept": {"coding": [{"display": "15"}], "text": "15"}}, 15),
        ({"valueCodeableConcept": {"coding": [{"display": "15"}], "text": "3"}}, None),
        ({"valueCodeableConcept": {}}, None),
        ({"dataAbsentReason": {"text": "declined"}}, None),
        ({}, None),
    ],
    ids=lambda given: json.dumps(given)[:60] if isinstance(given, dict) else "",
)
def test_the_value_of_a_score_is_a_number(elements: Resource, expected: float | None) -> None:
    for code in (PHQ_9, {"text": MADRS_WORDS}):
        assert value(code, **elements) == expected


MM_HG = {"value": 150, "unit": "mmHg"}


@pytest.mark.parametrize(
    ("quantity", "expected", "bound"),
    [
        ({"value": 150}, 150, None),
        (MM_HG, 150, None),
        ({"value": 150, "unit": "Millimeter of Mercury"}, 150, None),
        ({"value": 150, "system": "http://unitsofmeasure.org", "code": "mm[Hg]"}, 150, None),
        ({"value": 22, "unit": "kPa", "code": "kPa"}, 165.01, None),
        ({"value": 200, "code": "cm[H2O]"}, 147.11, None),
        ({**MM_HG, "comparator": ">"}, 150, Bound.ABOVE),
        ({**MM_HG, "comparator": ">="}, 150, Bound.AT_LEAST),
        ({**MM_HG, "comparator": "<"}, 150, Bound.BELOW),
        ({**MM_HG, "comparator": "<="}, 150, Bound.AT_MOST),
    ],
)
def test_a_pressure_is_in_mm_hg_and_may_lie_beyond_its_number(
    quantity: Resource, expected: float, bound: Bound | None
) -> None:
    (found,) = results(an_observation(SYSTOLIC, valueQuantity=quantity))
    assert found.value == pytest.approx(expected, abs=0.01)
    assert found.bound is bound


@pytest.mark.parametrize(
    ("code", "quantity", "element"),
    [
        (SYSTOLIC, {"value": 150, "unit": "furlong"}, "valueQuantity.unit"),
        (SYSTOLIC, {**MM_HG, "comparator": "ad"}, "valueQuantity.comparator"),
        (PHQ_9, {"value": 4, "comparator": "<"}, "valueQuantity.comparator"),
        (ITEM_9, {"value": 0, "comparator": ">"}, "valueQuantity.comparator"),
    ],
)
def test_a_number_that_is_not_the_value_leaves_it_unknown_and_is_named(
    code: str, quantity: Resource, element: str
) -> None:
    record = read(an_observation(code, valueQuantity=quantity))
    assert [found.value for found in record.observations] == [None]
    assert [u.element for u in record.open_elements] == [element]


@pytest.mark.parametrize(
    ("element", "stated"),
    [
        ("valueRange", {"low": {"value": 10}}),
        ("valueRatio", {"numerator": {"value": 10}}),
        ("valueDateTime", "2026-11-10"),
        ("valueTime", "09:30:00"),
    ],
)
def test_a_result_in_a_form_that_is_not_read_is_unknown_and_named(element: str, stated: Any) -> None:
    for code in (PHQ_9, SYSTOLIC, ITEM_9):
        record = read(an_observation(code, **{element: stated}))
        assert [found.value for found in record.observations] == [None]
        assert [(u.evidence.type, u.element) for u in record.open_elements] == [("Observation", element)]


def test_a_component_in_a_form_that_is_not_read_leaves_the_others_as_they_are() -> None:
    parts = [
        {"code": loinc(SYSTOLIC), "valueRange": {"low": {"value": 150}}},
        {"code": loinc("8462-4"), "valueQuantity": {"value": 95}},
    ]
    record = read(an_observation("85354-9", component=parts))
    assert [(o.measure, o.value) for o in record.observations] == [
        (Measure.SYSTOLIC, None),
        (Measure.DIASTOLIC, 95),
    ]
    assert [u.element for u in record.open_elements] == ["component.valueRange"]


@pytest.mark.parametrize(
    "elements",
    [
        {"valueBoolean": True},
        {"valueBoolean": False},
        {"valueString": "positive"},
        {"valueString": "none"},
        {"valueCodeableConcept": {"text": "moderate"}},
        {"valueCodeableConcept": coded(LOINC, "LA33-6", "Yes")},
        {"valueCodeableConcept": coded(LOINC, "LA6568-5", "Not at all")},
    ],
)
def test_an_answer_in_place_of_a_score_is_not_a_low_score(elements: Resource) -> None:
    """ "Moderate" on the PHQ-9 is no score of 1, which would be remission."""
    assert value(PHQ_9, **elements) is None
    of = review(a_condition("mdd", recordedDate="2026-02-16"), an_observation(PHQ_9, **elements))
    assert of.answer.pathways[0].criteria[0].finding.value == "met"


@pytest.mark.parametrize("code", [ITEM_9, INTENT, LIFETIME, RISK, PREGNANCY])
@pytest.mark.parametrize(
    ("elements", "expected"),
    [
        ({"valueBoolean": True}, 1),
        ({"valueBoolean": False}, 0),
        ({"valueInteger": 1}, 1),
        ({"valueQuantity": {"value": 0}}, 0),
        ({"valueString": "Yes"}, 1),
        ({"valueString": " no "}, 0),
        ({"valueString": "Yes, with a plan"}, None),
        ({"valueString": "2"}, 2),
        ({"valueCodeableConcept": coded(LOINC, "LA33-6")}, 1),
        ({"valueCodeableConcept": coded(LOINC, "LA32-8", "No")}, 0),
        ({"valueCodeableConcept": coded(SNOMED, "373066001", "Yes (qualifier value)")}, 1),
        ({"valueCodeableConcept": coded(SNOMED, "373067005")}, 0),
        ({"valueCodeableConcept": coded(YES_NO, "Y")}, 1),
        ({"valueCodeableConcept": coded(YES_NO, "N", "No", "no")}, 0),
        ({"valueCodeableConcept": coded("urn:lab", "7", "yes")}, 1),
        ({"valueCodeableConcept": coded("urn:lab", "7", text="High risk")}, 1),
        ({"valueCodeableConcept": coded("urn:lab", "LA33-6")}, None),
        ({"valueCodeableConcept": coded(LOINC, "LA4489-6", "Unknown")}, None),
        ({"valueCodeableConcept": {"text": "maybe"}}, None),
    ],
    ids=lambda given: json.dumps(given)[:80] if isinstance(given, dict) else "",
)
def test_an_answer_is_read_by_its_code_or_its_words(
    code: str, elements: Resource, expected: float | None
) -> None:
    assert value(code, **elements) == expected


@pytest.mark.parametrize(
    "concept",
    [
        pytest.param(coded(LOINC, "LA32-8", "Yes"), id="the code no, the display yes"),
        pytest.param(coded(LOINC, "LA32-8", "No", "yes"), id="the code no, the text yes"),
        pytest.param(coded(LOINC, "LA33-6", text="No"), id="the code yes, the text no"),
        pytest.param(
            {"coding": [{"system": LOINC, "code": "LA32-8"}, {"system": SNOMED, "code": "373066001"}]},
            id="two codes",
        ),
    ],
)
def test_a_code_and_words_that_differ_tell_nothing_and_are_told(concept: Resource) -> None:
    assert value(INTENT, valueCodeableConcept=concept) is None
    answer = review(an_observation(INTENT, valueCodeableConcept=concept)).answer
    assert [alert.code for alert in answer.alerts] == ["suicidality"]


@pytest.mark.parametrize(
    ("code", "display", "expected"),
    [
        ("LA6568-5", "Not at all", 0),
        ("LA6569-3", "Several days", 1),
        ("LA6570-1", "More than half the days", 2),
        ("LA6571-9", "Nearly every day", 3),
    ],
)
def test_the_grades_of_the_ninth_item(code: str, display: str, expected: float) -> None:
    for concept in (
        coded(LOINC, code),
        coded(LOINC, code, display, display.upper()),
        coded(LOINC, code, display, str(expected)),
        {"text": display},
    ):
        assert value(ITEM_9, valueCodeableConcept=concept) == expected


@pytest.mark.parametrize(
    ("concept", "expected"),
    [
        (coded(SNOMED, "77386006", "Patient currently pregnant"), 1),
        (coded(SNOMED, "60001007", "Not pregnant"), 0),
        (coded(LOINC, "LA15173-0"), 1),
        (coded(LOINC, "LA26683-5"), 0),
        ({"text": "Pregnant"}, 1),
    ],
)
def test_the_answers_on_pregnancy(concept: Resource, expected: float) -> None:
    assert value(PREGNANCY, valueCodeableConcept=concept) == expected


# components ------------------------------------------------------------------------------------


def component(code: str | Resource, **elements: Any) -> Resource:
    return {"code": loinc(code) if isinstance(code, str) else code, **elements}


def mm_hg(number: float) -> Resource:
    return {"valueQuantity": {"value": number, "unit": "mm[Hg]"}}


def test_a_blood_pressure_is_read_by_its_components() -> None:
    panel = an_observation(
        PRESSURE, component=[component(SYSTOLIC, **mm_hg(150)), component(DIASTOLIC, **mm_hg(95))]
    )
    assert values(panel) == [("systolic", 150), ("diastolic", 95)]
    high, low = results(panel)
    assert high.evidence == low.evidence
    assert high.when == low.when == PartialDate.on(date(2026, 11, 10))


def test_components_are_read_under_a_code_that_nobody_knows() -> None:
    panel = an_observation({"text": "vital signs"}, component=[component(SYSTOLIC, **mm_hg(150))])
    assert values(panel) == [("systolic", 150)]


def test_a_phq_9_panel_is_read_by_its_ninth_item_and_its_total() -> None:
    panel = an_observation(
        "44249-1",
        component=[
            component("44250-9", valueInteger=2),
            component(ITEM_9, valueCodeableConcept=coded(LOINC, "LA6569-3", "Several days")),
            component(PHQ_9, valueQuantity={"value": 15}),
        ],
    )
    assert values(panel) == [("phq-9-item-9", 1), ("phq-9", 15)]


def test_a_total_with_its_items_is_read_with_both() -> None:
    total = an_observation(valueInteger=15, component=[component(ITEM_9, valueInteger=1)])
    assert values(total) == [("phq-9", 15), ("phq-9-item-9", 1)]


@pytest.mark.parametrize("code", ["44249-1", PRESSURE, PHQ_9])
def test_a_panel_without_a_value_of_its_own_is_none_itself(code: str) -> None:
    panel = an_observation(code, component=[component(POTASSIUM, valueInteger=4)])
    assert values(panel) == []


def test_a_question_on_suicidality_is_never_dropped_for_its_components() -> None:
    asked = an_observation(INTENT, component=[component({"text": "frequency"}, valueInteger=3)])
    assert values(asked) == [("c-ssrs-4", None)]


def test_a_component_without_a_value_cannot_be_told() -> None:
    panel = an_observation(
        {"text": "C-SSRS"}, component=[component(INTENT, dataAbsentReason={"text": "not asked"})]
    )
    assert values(panel) == [("c-ssrs-4", None)]


def test_members_of_a_panel_are_read_as_what_they_are_and_not_through_it() -> None:
    panel = an_observation("44249-1", "panel", hasMember=[{"reference": "Observation/total"}])
    total = an_observation(PHQ_9, "total", valueInteger=15)
    assert values(panel, total) == [("phq-9-panel", None), ("phq-9", 15)]
    assert values(panel) == [("phq-9-panel", None)]


# status ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "settled"),
    [
        ("final", True),
        ("amended", True),
        ("corrected", True),
        ("registered", False),
        ("preliminary", False),
        ("unknown", False),
        (None, False),
    ],
)
def test_status(status: str | None, settled: bool) -> None:
    (found,) = results(an_observation(valueInteger=15, status=status))
    assert found.settled is settled


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ("entered-in-error", ExclusionReason.ENTERED_IN_ERROR),
        ("cancelled", ExclusionReason.NOT_DONE),
    ],
)
@pytest.mark.parametrize("code", [PHQ_9, INTENT, PRESSURE])
def test_a_withdrawn_result_is_set_aside_and_said(status: str, reason: ExclusionReason, code: str) -> None:
    record = read(an_observation(code, valueInteger=1, status=status))
    assert (record.observations, record.unreadable) == ((), ())
    assert [(str(e.evidence), e.reason) for e in record.excluded] == [("Observation/result", reason)]


# when ------------------------------------------------------------------------------------------

NOVEMBER_10 = PartialDate.parse("2026-11-10")


@pytest.mark.parametrize(
    ("elements", "expected"),
    [
        ({"effectiveDateTime": "2026-11-10"}, NOVEMBER_10),
        ({"effectiveDateTime": "2026-11-09T23:30:00-05:00"}, NOVEMBER_10),
        ({"effectiveDateTime": "2026-11-10T23:59:60Z"}, NOVEMBER_10),
        ({"effectiveDateTime": "2026-11-10T23:30:00"}, NOVEMBER_10),
        ({"effectiveDateTime": "2026-11"}, PartialDate.parse("2026-11")),
        ({"effectiveDateTime": "2026"}, PartialDate.parse("2026")),
        ({"effectiveInstant": "2026-11-10T09:30:00.000Z"}, NOVEMBER_10),
        ({"effectivePeriod": {"start": "2026-10-27", "end": "2026-11-10"}}, NOVEMBER_10),
        ({"effectivePeriod": {"end": "2026-11-10"}}, NOVEMBER_10),
        ({"effectivePeriod": {"end": "2026-11"}}, PartialDate.parse("2026-11")),
        ({"effectivePeriod": {"start": "2026-11-10"}}, PartialDate(date(2026, 11, 10), date.max)),
        ({"effectivePeriod": {}}, None),
        ({"issued": "2026-11-10T09:30:00Z"}, None),
        ({}, None),
    ],
)
def test_when_a_result_was_complete(elements: Resource, expected: PartialDate | None) -> None:
    undated = an_observation(valueInteger=15)
    del undated["effectiveDateTime"]
    (found,) = results({**undated, **elements})
    assert found.when == expected


def test_a_time_that_is_not_read_leaves_the_day_of_a_result_unknown_and_is_named() -> None:
    undated = an_observation(valueInteger=15)
    del undated["effectiveDateTime"]
    record = read({**undated, "effectiveTiming": {"event": ["2026-11-10"]}})
    assert [(o.value, o.when) for o in record.observations] == [(15, None)]
    assert [u.element for u in record.open_elements] == ["effectiveTiming"]


def test_a_result_of_a_period_without_an_end_may_be_recent() -> None:
    given = an_observation(INTENT, valueBoolean=True)
    del given["effectiveDateTime"]
    answer = review({**given, "effectivePeriod": {"start": "2026-01-01"}}).answer
    assert [alert.code for alert in answer.alerts] == ["suicidality"]


@pytest.mark.parametrize(
    ("elements", "element", "reason"),
    [
        ({"effectiveDateTime": "1900-01-01"}, "effectiveDateTime", "placeholder"),
        ({"effectiveDateTime": "1970-01-01T00:00:00Z"}, "effectiveDateTime", "placeholder"),
        ({"effectiveInstant": "1970-01-01T00:00:00Z"}, "effectiveInstant", "placeholder"),
        (
            {"effectivePeriod": {"start": "2026-11-12", "end": "2026-11-10"}},
            "effectivePeriod",
            "ends-before-it-starts",
        ),
    ],
)
def test_a_date_that_cannot_be_meant_is_set_aside_and_never_its_result(
    elements: Resource, element: str, reason: str
) -> None:
    undated = an_observation(INTENT, valueBoolean=True)
    del undated["effectiveDateTime"]
    found = review({**undated, **elements})
    assert [(o.value, o.when) for o in found.record.observations] == [(1, None)]
    assert [(d.element, d.reason) for d in found.record.doubtful_dates] == [(element, reason)]
    assert [alert.code for alert in found.answer.alerts] == ["suicidality"]


# what cannot be read ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("elements", "element"),
    [
        ({"status": "nonsense"}, "status"),
        ({"status": 7}, "status"),
        ({"effectiveDateTime": "yesterday"}, "effectiveDateTime"),
        ({"effectiveDateTime": "2026-02-30"}, "effectiveDateTime"),
        ({"effectiveDateTime": 20261110}, "effectiveDateTime"),
        ({"effectiveInstant": "now"}, "effectiveInstant"),
        ({"effectivePeriod": {"end": "soon"}}, "effectivePeriod.end"),
        ({"effectivePeriod": "2026"}, "effectivePeriod"),
        ({"code": 7}, "code"),
        ({"code": {"coding": [{"code": 7}]}}, "code.coding[0].code"),
        ({"valueQuantity": {"value": "15"}}, "valueQuantity.value"),
        ({"valueInteger": 15.5}, "valueInteger"),
        ({"valueBoolean": "true"}, "valueBoolean"),
        ({"valueString": 15}, "valueString"),
        ({"valueCodeableConcept": "yes"}, "valueCodeableConcept"),
        ({"component": {}}, "component"),
        ({"component": [{"valueInteger": "1"}]}, "component[0].valueInteger"),
        ({"modifierExtension": [{"url": "urn:not"}]}, "modifierExtension"),
        ({"subject": {}}, "subject"),
        ({"subject": None}, "subject"),
    ],
    ids=lambda given: json.dumps(given)[:50] if isinstance(given, dict) else given,
)
def test_a_malformed_result_is_unreadable_at_its_element(elements: Resource, element: str) -> None:
    given = an_observation(PHQ_9) | elements
    record = read({k: v for k, v in given.items() if v is not None})
    assert record.observations == ()
    assert [(str(u.evidence), u.element) for u in record.unreadable] == [("Observation/result", element)]


def test_a_malformed_result_hides_no_other() -> None:
    good = an_observation(INTENT, "good", valueBoolean=True)
    record = read(an_observation(PHQ_9, valueInteger="15"), good)
    assert [o.evidence[0].id for o in record.observations] == ["good"]
    assert [u.evidence.id for u in record.unreadable] == ["result"]


def test_a_number_that_no_computer_can_hold_is_unreadable() -> None:
    content = json.dumps(a_bundle([a_patient(), an_observation(valueQuantity={"value": 7777})]))
    record = reviewer().review(read_bundle(content.replace("7777", "1e999").encode())).record
    assert [u.element for u in record.unreadable] == ["valueQuantity.value"]


@pytest.mark.parametrize(
    ("elements", "element", "alerts"),
    [
        ({"valueInteger": "1"}, "valueInteger", []),
        ({"valueBoolean": True, "status": "nonsense"}, "status", ["suicidality"]),
        ({"valueBoolean": True, "effectiveDateTime": "2026-11-31"}, "effectiveDateTime", ["suicidality"]),
        ({"status": "nonsense"}, "status", ["suicidality"]),
        ({"valueBoolean": False, "status": "nonsense"}, "status", []),
    ],
)
def test_an_answer_on_suicidality_that_cannot_be_read_whole_is_open_and_told(
    elements: Resource, element: str, alerts: list[str]
) -> None:
    answer = review(a_condition("mdd"), an_observation(INTENT, **elements)).answer
    (acute,) = [pathway for pathway in answer.pathways if pathway.id == "acute-suicidality"]
    assert acute.finding.value == "indeterminate"
    assert [e.element for e in answer.excluded_records] == [element]
    assert [alert.code for alert in answer.alerts] == alerts


@pytest.mark.parametrize("code", [PHQ_9, POTASSIUM])
def test_a_result_of_somebody_else_stops_the_reading(code: str) -> None:
    with pytest.raises(NotAssessable, match="Observation/result: subject is not Patient/ann"):
        read(an_observation(code, valueInteger=1, subject={"reference": "Patient/bob"}))


@pytest.mark.parametrize(
    "reference", ["Patient/ann", "Patient/ann/_history/2", "http://fhir.test/r4/Patient/ann"]
)
def test_a_result_is_ours_by_any_address_of_the_patient(reference: str) -> None:
    assert results(an_observation(valueInteger=15, subject={"reference": reference}))


def test_the_later_version_of_a_result_is_read() -> None:
    first = an_observation(valueInteger=15, meta={"versionId": "1"})
    second = an_observation(valueInteger=3, meta={"versionId": "2"})
    record = read(first, second)
    assert [(str(o.evidence[0]), o.value) for o in record.observations] == [
        ("Observation/result/_history/2", 3)
    ]
    assert [e.reason for e in record.excluded] == [ExclusionReason.SUPERSEDED]


# procedures ------------------------------------------------------------------------------------


def procedures(*resources: Resource) -> list[Procedure]:
    record = read(*resources)
    assert (record.unreadable, record.excluded, record.exposures) == ((), (), ())
    return list(record.procedures)


@pytest.mark.parametrize(
    ("element", "stated"),
    [("performedString", "in spring"), ("performedAge", {"value": 44, "unit": "years"})],
)
def test_a_time_of_a_procedure_that_is_not_read_is_unknown_and_named(element: str, stated: Any) -> None:
    undated = a_procedure()
    del undated["performedDateTime"]
    record = read({**undated, element: stated})
    assert [p.period for p in record.procedures] == [Interval()]
    assert [u.element for u in record.open_elements] == [element]


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (coded(SNOMED, "23835007"), ProcedureKind.ECT),
        (coded(CPT, "90870"), ProcedureKind.ECT),
        (coded(PCS, "GZB2ZZZ"), ProcedureKind.ECT),
        (coded(ICD_9, "94.27"), ProcedureKind.ECT),
        (coded(CPT, "90867"), ProcedureKind.TMS),
        (coded(PCS, "00HE0MZ"), ProcedureKind.VNS),
        ({"text": "Electroconvulsive therapy, bilateral"}, ProcedureKind.ECT),
        ({"text": "ECT #4"}, ProcedureKind.ECT),
        ({"coding": [{"display": "rTMS left prefrontal"}]}, ProcedureKind.TMS),
        ({"text": "vagus nerve stimulator put in"}, ProcedureKind.VNS),
        (coded(CPT, "90870", text="rTMS"), ProcedureKind.ECT),
    ],
)
def test_a_procedure_is_known_by_its_code_else_by_its_words(code: Resource, kind: ProcedureKind) -> None:
    (found,) = procedures(a_procedure(code=code))
    assert (found.kind, str(found.evidence[0])) == (kind, "Procedure/treatment")


@pytest.mark.parametrize(
    "elements",
    [
        {"code": coded(SNOMED, "80146002", "Appendectomy")},
        {"code": {"text": "Resection of an ectopic focus"}},
        {"code": {"text": "insect bite dressed"}},
        {"code": {}},
        {"code": coded("urn:lab", "90870")},
        {"code": {"text": "Appendectomy"}, "status": "nonsense"},
        {"code": {"text": "Appendectomy"}, "status": "entered-in-error"},
        {"code": {"text": "Appendectomy"}, "performedDateTime": "yesterday"},
    ],
)
def test_another_procedure_is_passed_over_silently(elements: Resource) -> None:
    assert procedures(a_procedure(**elements)) == []


EVAR = coded(CPT, "34701", "Endovascular repair of infrarenal aorta")
REPAIR = "vascular-repair"


@pytest.mark.parametrize(
    ("elements", "findings"),
    [
        ({}, [(REPAIR, "met")]),
        ({"status": "in-progress"}, [(REPAIR, "met")]),
        ({"status": "stopped"}, [(REPAIR, "met")]),
        ({"status": "preparation"}, [(REPAIR, "indeterminate")]),
        ({"status": "unknown"}, [(REPAIR, "indeterminate")]),
        ({"performedDateTime": "1998"}, [(REPAIR, "met")]),
        ({"code": {"text": "EVAR"}}, [(REPAIR, "indeterminate")]),
        ({"code": coded(CPT, "34713")}, []),
    ],
)
def test_a_repair_on_record_is_reviewed(elements: Resource, findings: list[tuple[str, str]]) -> None:
    reviewed = review(a_procedure(**{"code": EVAR} | elements))
    assert [(f.id, f.finding.value) for f in reviewed.answer.safety] == findings
    assert (reviewed.record.procedures, reviewed.record.unreadable) == ((), ())
    assert {str(e) for sign in reviewed.record.signs for e in sign.evidence} <= {
        str(e) for e in reviewed.record.read
    }


@pytest.mark.parametrize("status", ["entered-in-error", "not-done"])
def test_a_repair_that_was_not_done_is_set_aside(status: str) -> None:
    reviewed = review(a_procedure(code=EVAR, status=status))
    assert reviewed.answer.safety == []
    assert [str(e.evidence) for e in reviewed.record.excluded] == ["Procedure/treatment"]


def test_a_repair_counts_even_where_the_rest_cannot_be_read() -> None:
    odd = a_procedure(code=EVAR, modifierExtension=[{"url": "http://example.org/odd", "valueCode": "odd"}])
    reviewed = review(odd)
    assert [f.id for f in reviewed.answer.safety] == [REPAIR]
    assert [str(u.evidence) for u in reviewed.record.unreadable] == ["Procedure/treatment"]


@pytest.mark.parametrize(
    ("elements", "expected"),
    [
        ({"performedDateTime": "2026-03-01"}, ("2026-03-01", "2026-03-01")),
        ({"performedDateTime": "2026-03"}, ("2026-03", "2026-03")),
        ({"performedPeriod": {"start": "2026-03-01", "end": "2026-04-01"}}, ("2026-03-01", "2026-04-01")),
        ({"performedPeriod": {"start": "2026-03-01"}}, ("2026-03-01", None)),
        ({"performedPeriod": {"end": "2026-03"}}, (None, "2026-03")),
        ({}, (None, None)),
    ],
)
def test_when_a_procedure_was_performed(elements: Resource, expected: tuple[str | None, str | None]) -> None:
    undated = a_procedure()
    del undated["performedDateTime"]
    (found,) = procedures({**undated, **elements})
    start, end = (PartialDate.parse(text) if text else None for text in expected)
    assert found.period == Interval(start, end)


@pytest.mark.parametrize(
    ("status", "done"),
    [
        ("completed", True),
        ("in-progress", True),
        ("stopped", True),
        ("preparation", False),
        ("on-hold", False),
        ("unknown", False),
        (None, False),
    ],
)
def test_whether_a_procedure_took_place(status: str | None, done: bool) -> None:
    (found,) = procedures(a_procedure(status=status))
    assert found.done is done


@pytest.mark.parametrize(
    ("status", "reason"),
    [("not-done", ExclusionReason.NOT_DONE), ("entered-in-error", ExclusionReason.ENTERED_IN_ERROR)],
)
def test_a_procedure_that_did_not_take_place_is_set_aside_and_said(
    status: str, reason: ExclusionReason
) -> None:
    record = read(a_procedure(status=status))
    assert (record.procedures, record.unreadable) == ((), ())
    assert [(e.evidence.id, e.reason) for e in record.excluded] == [("treatment", reason)]


@pytest.mark.parametrize(
    ("elements", "element"),
    [
        ({"status": "nonsense"}, "status"),
        ({"performedDateTime": "yesterday"}, "performedDateTime"),
        ({"performedPeriod": {"start": "2026-13"}}, "performedPeriod.start"),
        ({"performedPeriod": []}, "performedPeriod"),
        ({"code": "ECT"}, "code"),
        ({"subject": None}, "subject"),
        ({"modifierExtension": [{"url": "urn:not"}]}, "modifierExtension"),
    ],
)
def test_a_malformed_procedure_is_unreadable_at_its_element(elements: Resource, element: str) -> None:
    given = a_procedure(**elements)
    record = read({k: v for k, v in given.items() if v is not None})
    assert record.procedures == ()
    assert [(str(u.evidence), u.element) for u in record.unreadable] == [("Procedure/treatment", element)]


@pytest.mark.parametrize(
    ("elements", "element", "reason"),
    [
        ({"performedDateTime": "1900-01-01"}, "performedDateTime", "placeholder"),
        (
            {"performedPeriod": {"start": "2026-03-02", "end": "2026-03-01"}},
            "performedPeriod",
            "ends-before-it-starts",
        ),
    ],
)
def test_a_date_of_a_procedure_that_cannot_be_meant_is_set_aside(
    elements: Resource, element: str, reason: str
) -> None:
    record = read(a_procedure(**elements))
    assert [p.period for p in record.procedures] == [Interval()]
    assert [(d.element, d.reason) for d in record.doubtful_dates] == [(element, reason)]


def test_a_procedure_of_somebody_else_stops_the_reading() -> None:
    with pytest.raises(NotAssessable, match="Procedure/treatment: subject is not Patient/ann"):
        read(a_procedure(subject={"reference": "Patient/bob"}))


def test_what_was_read_is_shown_in_the_answer() -> None:
    answer = review(an_observation(valueInteger=15), a_procedure()).answer
    assert [(s.scale, s.value, s.reading, s.evidence) for s in answer.scores] == [
        ("phq-9", 15, "symptomatic", ["Observation/result"])
    ]
    assert [(p.kind, p.done, p.evidence) for p in answer.procedures] == [
        ("ect", True, ["Procedure/treatment"])
    ]
