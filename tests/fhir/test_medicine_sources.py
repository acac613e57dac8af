"""What is read of the four kinds of record of a medicine."""

import json
from typing import Any

import pytest

from service.core.dates import PartialDate
from service.core.records import (
    DoseBasis,
    ExclusionReason,
    Exposure,
    ExposureStatus,
    Grade,
    Indication,
    Record,
    StopReason,
)
from service.gather.files import read_bundle
from tests.support import RXNORM, Resource, a_bundle, a_condition, a_patient, reviewer

TABLET = {"system": RXNORM, "code": "312941", "display": "sertraline 50 MG Oral Tablet"}
DAILY = {"repeat": {"frequency": 1, "period": 1, "periodUnit": "d"}}
ONE_TABLET = {"timing": DAILY, "doseAndRate": [{"doseQuantity": {"value": 1, "unit": "tablet"}}]}
MG_50 = {"timing": DAILY, "doseAndRate": [{"doseQuantity": {"value": 50, "unit": "mg"}}]}


def a_record(kind: str, **elements: Any) -> Resource:
    """A record of sertraline 50 mg tablets, for ann."""
    return {
        "resourceType": kind,
        "id": kind.lower(),
        "subject": {"reference": "Patient/ann"},
        "medicationCodeableConcept": {"coding": [TABLET]},
        **elements,
    }


def a_request(**elements: Any) -> Resource:
    usual = {"status": "active", "intent": "order", "authoredOn": "2025-01-01"}
    return a_record("MedicationRequest", **(usual | elements))


def a_dispense(**elements: Any) -> Resource:
    usual: Resource = {
        "status": "completed",
        "whenHandedOver": "2025-01-01",
        "daysSupply": {"value": 30, "unit": "days"},
    }
    return a_record("MedicationDispense", **(usual | elements))


def an_administration(**elements: Any) -> Resource:
    usual: Resource = {
        "status": "completed",
        "effectiveDateTime": "2025-01-01T08:00:00Z",
        "dosage": {"dose": {"value": 1, "unit": "tablet"}},
    }
    return a_record("MedicationAdministration", **(usual | elements))


def a_statement(**elements: Any) -> Resource:
    usual: Resource = {"status": "completed", "effectivePeriod": {"start": "2025-01-01", "end": "2025-03-31"}}
    return a_record("MedicationStatement", **(usual | elements))


def read(*resources: Resource) -> Record:
    content = json.dumps(a_bundle([a_patient(), *resources])).encode()
    return reviewer().review(read_bundle(content)).record


def the_exposure(*resources: Resource) -> Exposure:
    record = read(*resources)
    assert (record.unreadable, record.excluded) == ((), ())
    (exposure,) = record.exposures
    return exposure


def days(exposure: Exposure) -> tuple[str | None, str | None]:
    start, end = exposure.period.start, exposure.period.end
    for one in (start, end):
        assert one is None or one.earliest == one.latest
    return (
        start.earliest.isoformat() if start else None,
        end.earliest.isoformat() if end else None,
    )


# what each kind is evidence of -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("resource", "grade"),
    [
        (a_statement(), Grade.STATED),
        (a_request(), Grade.PRESCRIBED),
        (a_request(reportedBoolean=True), Grade.STATED),
        (a_request(reportedReference={"reference": "Patient/ann"}), Grade.STATED),
        (a_request(reportedBoolean=False), Grade.PRESCRIBED),
        (a_dispense(), Grade.DISPENSED),
        (an_administration(), Grade.ADMINISTERED),
    ],
)
def test_grade(resource: Resource, grade: Grade) -> None:
    assert the_exposure(resource).grade is grade


@pytest.mark.parametrize(
    ("resource", "reason"),
    [
        (a_request(status="cancelled"), ExclusionReason.NOT_TAKEN),
        (a_request(doNotPerform=True), ExclusionReason.NOT_TAKEN),
        (a_request(status="entered-in-error"), ExclusionReason.ENTERED_IN_ERROR),
        (a_dispense(status="declined"), ExclusionReason.NOT_TAKEN),
        (a_dispense(status="cancelled"), ExclusionReason.NOT_TAKEN),
        (an_administration(status="not-done"), ExclusionReason.NOT_TAKEN),
        (an_administration(status="entered-in-error"), ExclusionReason.ENTERED_IN_ERROR),
    ],
)
def test_what_was_not_taken_is_set_aside_and_said(resource: Resource, reason: ExclusionReason) -> None:
    record = read(resource)
    assert record.exposures == ()
    assert [(e.evidence.id, e.reason) for e in record.excluded] == [(resource["id"], reason)]


@pytest.mark.parametrize(
    ("resource", "status"),
    [
        (a_request(), ExposureStatus.ACTIVE),
        (a_request(status="completed"), ExposureStatus.ENDED),
        (a_request(status="stopped"), ExposureStatus.ENDED),
        (a_request(status="on-hold"), ExposureStatus.ON_HOLD),
        (a_request(status="unknown"), ExposureStatus.UNKNOWN),
        (a_request(status="draft"), ExposureStatus.INTENDED),
        (a_request(intent="plan"), ExposureStatus.INTENDED),
        (a_request(intent="proposal"), ExposureStatus.INTENDED),
        (a_request(intent="option"), ExposureStatus.INTENDED),
        (a_request(intent="instance-order"), ExposureStatus.ACTIVE),
        (a_dispense(status="preparation"), ExposureStatus.INTENDED),
        (a_dispense(status="in-progress"), ExposureStatus.INTENDED),
        (a_dispense(status="unknown"), ExposureStatus.UNKNOWN),
        (an_administration(status="in-progress"), ExposureStatus.ENDED),
        (an_administration(status="stopped"), ExposureStatus.ENDED),
    ],
)
def test_status(resource: Resource, status: ExposureStatus) -> None:
    assert the_exposure(resource).status is status


@pytest.mark.parametrize(
    "resource", [a_request(), a_dispense(), an_administration(), a_statement()], ids=lambda r: r["id"]
)
def test_a_status_that_fhir_does_not_know_makes_it_unreadable(resource: Resource) -> None:
    record = read({**resource, "status": "nonsense"})
    assert [(u.evidence.id, u.element) for u in record.unreadable] == [(resource["id"], "status")]


@pytest.mark.parametrize(
    "resource", [a_request(), a_dispense(), an_administration(), a_statement()], ids=lambda r: r["id"]
)
def test_a_record_that_does_not_say_whose_it_is_is_unreadable(resource: Resource) -> None:
    record = read({key: value for key, value in resource.items() if key != "subject"})
    assert [u.element for u in record.unreadable] == ["subject"]


# when ------------------------------------------------------------------------------------------

SUPPLY_30 = {"value": 30, "unit": "days", "system": "http://unitsofmeasure.org", "code": "d"}
BOUNDED = {"timing": {"repeat": {"boundsPeriod": {"start": "2025-02-01", "end": "2025-02-28"}}}}
TEN_WEEKS = {"timing": {"repeat": {"boundsDuration": {"value": 10, "code": "wk"}}}}
VALID = {"start": "2025-01-05", "end": "2025-07-04"}


@pytest.mark.parametrize(
    ("elements", "expected"),
    [
        pytest.param({}, ("2025-01-01", None), id="nothing said"),
        pytest.param(
            {"dosageInstruction": [BOUNDED], "dispenseRequest": {"validityPeriod": VALID}},
            ("2025-02-01", "2025-02-28"),
            id="bounds first",
        ),
        pytest.param({"dosageInstruction": [TEN_WEEKS]}, ("2025-01-01", "2025-03-11"), id="bounded length"),
        pytest.param(
            {"dispenseRequest": {"validityPeriod": VALID, "expectedSupplyDuration": SUPPLY_30}},
            ("2025-01-05", "2025-07-04"),
            id="then validity",
        ),
        pytest.param(
            {"dispenseRequest": {"expectedSupplyDuration": SUPPLY_30, "numberOfRepeatsAllowed": 2}},
            ("2025-01-01", "2025-03-31"),
            id="then the supply and its repeats",
        ),
        pytest.param(
            {"dispenseRequest": {"expectedSupplyDuration": {"value": 3, "unit": "months"}}},
            ("2025-01-01", "2025-03-31"),
            id="a month of supply is 30 days",
        ),
        pytest.param(
            {
                "dispenseRequest": {"quantity": {"value": 60}, "numberOfRepeatsAllowed": 1},
                "dosageInstruction": [ONE_TABLET],
            },
            ("2025-01-01", "2025-04-30"),
            id="then the quantity",
        ),
        pytest.param(
            {"dispenseRequest": {"expectedSupplyDuration": {"value": 3, "unit": "moons"}}},
            ("2025-01-01", None),
            id="a unit that nobody knows",
        ),
        pytest.param(
            {"dispenseRequest": {"expectedSupplyDuration": {"value": 1e9, "unit": "days"}}},
            ("2025-01-01", None),
            id="longer than anybody can mean",
        ),
        pytest.param(
            {"dispenseRequest": {"expectedSupplyDuration": SUPPLY_30, "numberOfRepeatsAllowed": 9**9}},
            ("2025-01-01", None),
            id="repeated more often than anybody can mean",
        ),
    ],
)
def test_when_a_prescription_was_meant_to_be_taken(
    elements: Resource, expected: tuple[str, str | None]
) -> None:
    assert days(the_exposure(a_request(**elements))) == expected


def test_a_reported_medicine_that_was_stopped_ended_when_it_says() -> None:
    stopped = a_request(status="stopped", reportedBoolean=True, dosageInstruction=[BOUNDED])
    assert days(the_exposure(stopped)) == ("2025-02-01", "2025-02-28")


def test_a_prescription_that_was_stopped_ended_some_day_of_its_supply() -> None:
    stopped = a_request(status="stopped", dispenseRequest={"expectedSupplyDuration": SUPPLY_30})
    period = the_exposure(stopped).period
    assert period.end is not None
    assert (period.end.earliest.isoformat(), period.end.latest.isoformat()) == ("2025-01-01", "2025-01-30")


@pytest.mark.parametrize(
    ("elements", "refills"),
    [
        pytest.param({}, False, id="nothing said"),
        pytest.param({"dispenseRequest": {"numberOfRepeatsAllowed": 0}}, False, id="none"),
        pytest.param({"dispenseRequest": {"numberOfRepeatsAllowed": 1}}, True, id="one"),
        pytest.param({"dispenseRequest": {"numberOfRepeatsAllowed": -1}}, False, id="fewer than none"),
        pytest.param(
            {"dispenseRequest": {"numberOfRepeatsAllowed": 1, "modifierExtension": [{"url": "http://x"}]}},
            False,
            id="changed by a modifier",
        ),
    ],
)
def test_whether_a_prescription_has_refills(elements: Resource, refills: bool) -> None:
    assert the_exposure(a_request(**elements)).refills is refills


@pytest.mark.parametrize(
    ("elements", "supply_end"),
    [
        pytest.param({"status": "completed"}, None, id="used up, so its supply is its end"),
        pytest.param({"status": "stopped"}, "2025-01-30", id="stopped"),
        pytest.param(
            {"status": "stopped", "statusReason": {"text": "Cost"}}, None, id="stopped for a reason"
        ),
        pytest.param({"status": "active"}, None, id="active, so its supply is its end"),
        pytest.param({"status": "completed", "reportedBoolean": True}, None, id="reported"),
    ],
)
def test_the_supply_of_a_prescription_that_ended_some_day(elements: Resource, supply_end: str | None) -> None:
    found = the_exposure(a_request(dispenseRequest={"expectedSupplyDuration": SUPPLY_30}, **elements))
    assert (found.supply_end.latest.isoformat() if found.supply_end else None) == supply_end


@pytest.mark.parametrize(
    ("elements", "expected"),
    [
        pytest.param({}, ("2025-01-01", "2025-01-30"), id="days supply, both days counted"),
        pytest.param(
            {"whenHandedOver": None, "whenPrepared": "2025-01-03"},
            ("2025-01-03", "2025-02-01"),
            id="prepared",
        ),
        pytest.param({"whenHandedOver": None}, (None, None), id="no date"),
        pytest.param({"daysSupply": None}, ("2025-01-01", None), id="no supply"),
        pytest.param(
            {"daysSupply": None, "quantity": {"value": 28}, "dosageInstruction": [ONE_TABLET]},
            ("2025-01-01", "2025-01-28"),
            id="by quantity",
        ),
        pytest.param(
            {"daysSupply": None, "quantity": {"value": 28, "unit": "mL"}, "dosageInstruction": [ONE_TABLET]},
            ("2025-01-01", None),
            id="a quantity in other units",
        ),
        pytest.param(
            {"daysSupply": None, "quantity": {"value": 28}, "dosageInstruction": [{"text": "as needed"}]},
            ("2025-01-01", None),
            id="as needed",
        ),
    ],
)
def test_how_long_a_supply_lasts(elements: Resource, expected: tuple[str | None, str | None]) -> None:
    assert days(the_exposure(a_dispense(**elements))) == expected


@pytest.mark.parametrize(
    ("elements", "expected"),
    [
        ({}, ("2025-01-01", "2025-01-01")),
        (
            {"effectiveDateTime": None, "effectivePeriod": {"start": "2025-01-01", "end": "2025-01-02"}},
            ("2025-01-01", "2025-01-02"),
        ),
        ({"effectiveDateTime": None}, (None, None)),
    ],
)
def test_when_a_medicine_was_given(elements: Resource, expected: tuple[str | None, str | None]) -> None:
    assert days(the_exposure(an_administration(**elements))) == expected


def test_a_weekly_capsule_lasts_a_week() -> None:
    weekly = {"system": RXNORM, "code": "313995", "display": "fluoxetine 90 MG Delayed Release Oral Capsule"}
    given = an_administration(
        medicationCodeableConcept={"coding": [weekly]}, dosage={"dose": {"value": 1, "unit": "capsule"}}
    )
    exposure = the_exposure(given)
    assert days(exposure) == ("2025-01-01", "2025-01-07")
    assert exposure.dose.low_mg == pytest.approx(90 / 7, abs=0.001)


def test_a_day_known_by_its_month_only_is_some_day_of_it() -> None:
    month = PartialDate.parse("2025-01")
    period = the_exposure(an_administration(effectiveDateTime="2025-01")).period
    assert (period.start, period.end) == (month, month)


# how much --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("resource", "mg"),
    [
        pytest.param(a_request(dosageInstruction=[MG_50]), 50, id="prescribed"),
        pytest.param(a_dispense(dosageInstruction=[ONE_TABLET]), 50, id="dispensed by instruction"),
        pytest.param(a_dispense(quantity={"value": 60}), 100, id="dispensed by quantity and days"),
        pytest.param(a_dispense(quantity={"value": 30, "unit": "TAB"}), 50, id="quantity in tablets"),
        pytest.param(a_dispense(quantity={"value": 30, "code": "{tbl}"}), 50, id="a unit in braces"),
        pytest.param(a_dispense(), None, id="dispensed, nothing said"),
        pytest.param(a_dispense(quantity={"value": 60, "unit": "mL"}), None, id="quantity in other units"),
        pytest.param(an_administration(), 50, id="one tablet given"),
        pytest.param(an_administration(dosage={"dose": {"value": 25, "unit": "mg"}}), 25, id="given in mg"),
        pytest.param(an_administration(dosage=None), None, id="given, nothing said"),
    ],
)
def test_dose(resource: Resource, mg: float | None) -> None:
    dose = the_exposure(resource).dose
    assert (dose.low_mg, dose.high_mg) == (mg, mg)
    assert (dose.basis is DoseBasis.DOCUMENTED) == (mg is not None)


def test_a_given_dose_in_words_is_read_or_left_open() -> None:
    said = the_exposure(an_administration(dosage={"text": "50 mg"}))
    assert said.dose.low_mg == 50
    unclear = the_exposure(an_administration(dosage={"text": "the usual"}))
    assert unclear.dose.basis is DoseBasis.UNREADABLE


# links and reasons -----------------------------------------------------------------------------

RX = ("MedicationRequest", "rx")
TO_RX = {"reference": "MedicationRequest/rx"}


@pytest.mark.parametrize(
    "resource",
    [
        a_statement(basedOn=[TO_RX]),
        a_statement(derivedFrom=[{"reference": "https://ehr.example/fhir/MedicationRequest/rx"}]),
        a_statement(partOf=[{"reference": "MedicationRequest/rx/_history/3"}]),
        a_dispense(authorizingPrescription=[TO_RX]),
        a_dispense(partOf=[TO_RX]),
        an_administration(request=TO_RX),
        an_administration(partOf=[TO_RX]),
        a_request(basedOn=[TO_RX]),
    ],
)
def test_a_record_names_what_it_is_about(resource: Resource) -> None:
    assert the_exposure(resource).names == {RX}


def test_a_link_within_a_bundle_is_followed() -> None:
    address = "urn:uuid:7d3a0f0e-5a5c-4d0f-9a53-6a2f0f5c1a11"
    bundle = a_bundle([a_patient(), a_request(id="rx"), a_statement(basedOn=[{"reference": address}])])
    bundle["entry"][1]["fullUrl"] = address
    record = reviewer().review(read_bundle(json.dumps(bundle).encode())).record
    (statement,) = [e for e in record.exposures if e.grade is Grade.STATED]
    assert statement.names == {RX}


def test_one_treatment_told_four_times_counts_once() -> None:
    rx = a_request(id="rx", dispenseRequest={"expectedSupplyDuration": {"value": 180, "unit": "days"}})
    mdd = a_condition("mdd", onsetDateTime="2024-06-01")
    statement = a_statement(id="st", basedOn=[TO_RX])
    fills = [
        a_dispense(id=f"fill{n}", whenHandedOver=f"2025-0{n}-01", authorizingPrescription=[TO_RX])
        for n in (1, 2, 3)
    ]
    content = json.dumps(a_bundle([a_patient(), mdd, rx, statement, *fills])).encode()
    (trial,) = reviewer().review(read_bundle(content)).answer.trials
    assert len(trial.courses) == 1
    assert (trial.courses[0].days.min, trial.courses[0].days.max) == (90, 90)
    assert len(trial.evidence) == 5


PAIN = {"resourceType": "Condition", "id": "pain", "code": {"text": "chronic pain"}}
UNKNOWN = {
    "url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason",
    "valueCode": "unknown",
}


@pytest.mark.parametrize(
    ("resource", "indication"),
    [
        (a_statement(), Indication.NOT_STATED),
        (a_statement(reasonReference=[{"reference": "Condition/mdd"}]), Indication.DEPRESSION),
        (a_request(reasonReference=[{"reference": "Condition/mdd"}]), Indication.DEPRESSION),
        (a_statement(reasonReference=[{"reference": "Condition/pain"}]), Indication.OTHER),
        (
            a_statement(reasonReference=[{"reference": "Condition/gone", "display": "depression"}]),
            Indication.DEPRESSION,
        ),
        (a_statement(reasonReference=[{"reference": "Condition/gone"}]), Indication.UNCLEAR),
        (a_statement(reasonReference=[{"reference": "Observation/x"}]), Indication.UNCLEAR),
        (a_statement(reasonReference=[{"reference": "Observation/pain"}]), Indication.OTHER),
        (a_statement(reasonReference=[{"reference": "#pain"}], contained=[PAIN]), Indication.OTHER),
        (a_statement(reasonReference=[{"reference": "#gone"}]), Indication.UNCLEAR),
        (
            a_statement(reasonReference=[{"reference": "#gone", "display": "MDD"}]),
            Indication.DEPRESSION,
        ),
        (a_statement(reasonCode=[{"extension": [UNKNOWN]}]), Indication.NOT_STATED),
        (a_statement(reasonCode=[{"text": "Depressionen"}]), Indication.DEPRESSION),
        (an_administration(reasonCode=[{"text": "insomnia"}]), Indication.OTHER),
    ],
)
def test_what_a_medicine_was_given_for(resource: Resource, indication: Indication) -> None:
    pain = a_condition("pain", code={"text": "chronic pain"})
    measured = {**PAIN, "resourceType": "Observation", "subject": pain["subject"], "status": "final"}
    (exposure,) = read(a_condition("mdd"), pain, measured, resource).exposures
    assert exposure.indication is indication


def test_a_reason_that_cannot_be_read_is_unclear() -> None:
    broken = {**a_condition("mdd"), "code": 7}
    (exposure,) = read(broken, a_statement(reasonReference=[{"reference": "Condition/mdd"}])).exposures
    assert exposure.indication is Indication.UNCLEAR


@pytest.mark.parametrize(
    "resource",
    [
        a_request(status="stopped", statusReason={"text": "ineffective"}),
        a_dispense(status="stopped", statusReasonCodeableConcept={"text": "ineffective"}),
        a_statement(statusReason=[{"text": "ineffective"}]),
    ],
)
def test_why_it_was_stopped(resource: Resource) -> None:
    assert the_exposure(resource).stop_reasons == {StopReason.INEFFECTIVE}


def test_why_a_running_prescription_is_as_it_is_is_no_reason_to_stop() -> None:
    assert not the_exposure(a_request(statusReason={"text": "ineffective"})).stop_reasons


def test_only_a_running_prescription_is_dated_by_when_it_was_written() -> None:
    assert the_exposure(a_request()).asserted == PartialDate.parse("2025-01-01")
    assert the_exposure(a_request(status="stopped")).asserted is None
