"""Our days on an antidepressant are those of the eCQM CMS128, patient by patient."""

import csv
import json
from datetime import date, timedelta
from itertools import groupby
from typing import NamedTuple

import pytest

from service.core.dates import total_days, union, within
from service.core.records import Depression, DepressionState, Role, Severity
from service.gather.files import read_bundle
from service.read.record import read_record
from tests.core.builders import US
from tests.support import ROOT, RXNORM, Resource, a_bundle, a_condition, a_patient, a_statement

ACUTE, CONTINUATION = 114, 231
"""Days after the index that the measure's two windows reach, the last included."""


class Fill(NamedTuple):
    rxnorm: str
    start: date
    days: int


class Expected(NamedTuple):
    name: str
    snomed: str
    onset: str
    numerators: tuple[bool, bool]
    covered: tuple[int, int]


class DispensedTo(NamedTuple):
    expected: Expected
    fills: tuple[Fill, ...]


def patients() -> list[DispensedTo]:
    path = ROOT / "fixtures" / "cms128" / "dispenses.csv"
    with path.open(encoding="utf-8", newline="") as file:
        rows = [(expected_of(row), fill_of(row)) for row in csv.DictReader(file)]
    grouped = groupby(rows, key=lambda row: row[0])
    return [DispensedTo(expected, tuple(fill for _, fill in of)) for expected, of in grouped]


def expected_of(row: dict[str, str]) -> Expected:
    return Expected(
        row["patient"],
        row["condition_snomed"],
        row["onset"],
        (row["numerator_1"] == "1", row["numerator_2"] == "1"),
        (int(row["covered_115"]), int(row["covered_232"])),
    )


def fill_of(row: dict[str, str]) -> Fill:
    return Fill(row["rxnorm"], date.fromisoformat(row["start"]), int(row["days_supply"]))


def a_dispense(number: int, fill: Fill) -> Resource:
    """A dispense as the test patients have it: handed over at a moment, in `days`, which is no UCUM code."""
    return {
        "resourceType": "MedicationDispense",
        "id": f"fill-{number}",
        "status": "completed",
        "medicationCodeableConcept": {"coding": [{"system": RXNORM, "code": fill.rxnorm}]},
        "subject": {"reference": "Patient/ann"},
        "daysSupply": {"value": fill.days, "system": "http://unitsofmeasure.org", "code": "days"},
        "whenHandedOver": f"{fill.start}T01:00:00.000Z",
    }


def the_same_stated(number: int, fill: Fill) -> Resource:
    """A statement that covers the days of a fill."""
    end = fill.start + timedelta(days=fill.days - 1)
    return a_statement(
        f"fill-{number}",
        status="completed",
        medicationCodeableConcept={"coding": [{"system": RXNORM, "code": fill.rxnorm}]},
        effectivePeriod={"start": str(fill.start), "end": str(end)},
    )


def a_depression(expected: Expected) -> Resource:
    code = {"coding": [{"system": "http://snomed.info/sct", "code": expected.snomed}]}
    return a_condition("depression", code=code, onsetDateTime=f"{expected.onset}T01:00:00.000Z")


def bundle_of(expected: Expected, medicines: list[Resource]) -> bytes:
    return json.dumps(a_bundle([a_patient(), a_depression(expected), *medicines])).encode()


def covered_days(bundle: bytes, *, after_index: int = ACUTE) -> int:
    """Days on an antidepressant from the first one's first day to `after_index` days later."""
    exposures = read_record(read_bundle(bundle), US).exposures
    taken = [e.period.certain for e in exposures if e.medicine.role is Role.ANTIDEPRESSANT]
    spans = union([span for span in taken if span is not None])
    if not spans:
        return 0
    index = spans[0][0]
    return total_days(within(spans, (index, index + timedelta(days=after_index))))


def assert_measured_alike(expected: Expected, bundle: bytes) -> None:
    acute = covered_days(bundle, after_index=ACUTE)
    continuation = covered_days(bundle, after_index=CONTINUATION)
    assert (acute, continuation) == expected.covered
    assert (acute >= 84, continuation >= 180) == expected.numerators


PATIENTS = patients()
each_patient = pytest.mark.parametrize("patient", PATIENTS, ids=lambda patient: patient.expected.name)


def test_every_patient_is_there() -> None:
    assert len({patient.expected.name for patient in PATIENTS}) == len(PATIENTS) == 21


@each_patient
def test_days_of_dispenses_are_those_of_the_measure(patient: DispensedTo) -> None:
    fills = [a_dispense(number, fill) for number, fill in enumerate(patient.fills)]
    assert_measured_alike(patient.expected, bundle_of(patient.expected, fills))


@each_patient
def test_days_of_statements_are_those_of_the_measure(patient: DispensedTo) -> None:
    stated = [the_same_stated(number, fill) for number, fill in enumerate(patient.fills)]
    assert_measured_alike(patient.expected, bundle_of(patient.expected, stated))


def test_the_depression_of_the_measure_is_a_major_depression() -> None:
    (code,) = {patient.expected.snomed for patient in PATIENTS}
    found = US.depression.meaning("snomed", code)
    assert found == Depression(DepressionState.MDD, Severity.SEVERE, psychotic=True)
