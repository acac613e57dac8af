"""Which medicine a record names, for how long its dosage holds, what for, and what of it is left open."""

from datetime import date
from typing import Any

import pytest

from service.core.courses import dose_is_assumed
from service.core.dates import Interval, PartialDate
from service.core.exposures import settle_interval
from service.core.records import (
    DoseBasis,
    Excluded,
    ExclusionReason,
    Exposure,
    ExposureStatus,
    Grade,
    Identified,
    Indication,
    Role,
    StopReason,
    Unreadable,
    VersionedReference,
)
from tests.core.builders import AS_OF, SEED, US
from tests.fhir.test_medicine_sources import (
    DAILY,
    MG_50,
    ONE_TABLET,
    a_dispense,
    a_request,
    a_statement,
    an_administration,
    read,
    the_exposure,
)
from tests.support import RXNORM, Resource, a_condition

SERTRALINE: Resource = {"coding": [{"system": RXNORM, "code": "36437"}]}
ESKETAMINE: Resource = {"coding": [{"system": RXNORM, "code": "2119365"}]}
UNKNOWN: Resource = {"coding": [{"system": "http://fhir.de/CodeSystem/ifa/pzn", "code": "00000001"}]}
ABSENT = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"
MODIFIER = [{"url": "http://example.org/placebo", "valueBoolean": True}]


def strength(mg: float, of: Resource | None = None) -> Resource:
    return {"numerator": {"value": mg, "unit": "mg"}, "denominator": of or {"value": 1, "unit": "tablet"}}


def ingredient(concept: Resource, **more: Any) -> Resource:
    return {"itemCodeableConcept": concept, **more}


def with_medication(medication: Resource, *, contained: bool, **elements: Any) -> list[Resource]:
    """A statement about a Medication, inside it or beside it."""
    resource = {"resourceType": "Medication", "id": "m", **medication}
    statement = a_statement(**elements)
    del statement["medicationCodeableConcept"]
    if contained:
        return [statement | {"contained": [resource], "medicationReference": {"reference": "#m"}}]
    return [statement | {"medicationReference": {"reference": "Medication/m"}}, resource]


# which medicine --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("uri", "code"),
    [
        ("http://www.whocc.no/atc", "N06AB06"),
        ("https://www.whocc.no/atc", "N06AB06"),
        ("http://www.whocc.no/atc/", "N06AB06"),
        ("HTTP://WWW.WHOCC.NO/ATC", "N06AB06"),
        ("http://www.whocc.no/atc|2024", "N06AB06"),
        ("http://fhir.de/CodeSystem/bfarm/atc", "N06AB06"),
        ("http://fhir.de/CodeSystem/dimdi/atc", "N06AB06"),
        ("https://fhir.de/CodeSystem/bfarm/atc|2023", "N06AB06"),
        ("https://smt.esante.gouv.fr/terminologie-atc", "N06AB06"),
        ("urn:oid:2.16.840.1.113883.6.73", "N06AB06"),
        ("URN:OID:2.16.840.1.113883.6.73", "N06AB06"),
        ("2.16.840.1.113883.6.88", "36437"),
        ("http://purl.bioontology.org/ontology/RXNORM", "36437"),
        ("https://www.nlm.nih.gov/research/umls/rxnorm/", "36437"),
        ("http://snomed.info/sct/731000124108/version/20260301", "372594008"),
    ],
)
def test_every_spelling_of_the_address_of_a_code_system(uri: str, code: str) -> None:
    medicine = the_exposure(
        a_statement(medicationCodeableConcept={"coding": [{"system": uri, "code": code}]})
    ).medicine
    assert (medicine.identified, medicine.ingredient) == (Identified.CODED, "sertraline")


@pytest.mark.parametrize("contained", [True, False])
@pytest.mark.parametrize(
    ("medication", "identified", "role", "name"),
    [
        pytest.param({"code": SERTRALINE}, "coded", "antidepressant", "sertraline", id="code"),
        pytest.param(
            {"ingredient": [ingredient(SERTRALINE)]}, "coded", "antidepressant", "sertraline", id="ingredient"
        ),
        pytest.param(
            {"code": UNKNOWN, "ingredient": [ingredient(ESKETAMINE)]},
            "coded",
            "esketamine",
            "esketamine",
            id="ingredient of an unknown product",
        ),
        pytest.param(
            {"code": {"text": "Brandname"}, "ingredient": [ingredient(SERTRALINE)]},
            "coded",
            "antidepressant",
            "sertraline",
            id="ingredient of a product that no list names",
        ),
        pytest.param(
            {
                "code": UNKNOWN,
                "ingredient": [ingredient({"text": "Sertralinum"}), ingredient({"text": "esketamine"})],
            },
            "text-only",
            "esketamine",
            "esketamine",
            id="ingredient in words",
        ),
        pytest.param(
            {"code": UNKNOWN, "ingredient": [ingredient(UNKNOWN)]}, "unresolved", "other", None, id="unknown"
        ),
        pytest.param(
            {"code": UNKNOWN, "ingredient": [ingredient({"text": "ramipril"})]},
            "unlisted",
            "other",
            None,
            id="other",
        ),
        pytest.param(
            {"code": SERTRALINE, "ingredient": [ingredient(ESKETAMINE)]},
            "code-display-conflict",
            "esketamine",
            None,
            id="code and ingredient contradict",
        ),
        pytest.param(
            {
                "ingredient": [
                    ingredient(SERTRALINE),
                    ingredient({"coding": [{"system": RXNORM, "code": "4493"}]}),
                ]
            },
            "code-display-conflict",
            "antidepressant",
            None,
            id="two antidepressants",
        ),
        pytest.param(
            {"code": SERTRALINE, "ingredient": [ingredient(ESKETAMINE, isActive=False)]},
            "coded",
            "antidepressant",
            "sertraline",
            id="an ingredient that does not act",
        ),
        pytest.param(
            {
                "ingredient": [
                    ingredient({"coding": [{"system": RXNORM, "code": "6448"}]}),
                    ingredient(SERTRALINE),
                ]
            },
            "coded",
            "antidepressant",
            "sertraline",
            id="an antidepressant beside an agent",
        ),
        pytest.param(
            {"code": SERTRALINE, "modifierExtension": MODIFIER},
            "unresolved",
            "antidepressant",
            None,
            id="modifier",
        ),
        pytest.param(
            {"code": ESKETAMINE, "status": "entered-in-error"}, "unresolved", "esketamine", None, id="error"
        ),
        pytest.param(
            {"code": SERTRALINE, "status": "inactive"}, "coded", "antidepressant", "sertraline", id="inactive"
        ),
        pytest.param(
            {"ingredient": [ingredient(SERTRALINE, modifierExtension=MODIFIER)]},
            "unresolved",
            "antidepressant",
            None,
            id="modifier of an ingredient",
        ),
        pytest.param(
            {"code": {"coding": [{"system": ABSENT.replace("StructureDefinition", "x"), "code": "masked"}]}},
            "unresolved",
            "other",
            None,
            id="a code that nobody knows",
        ),
        pytest.param(
            {
                "code": {
                    "coding": [
                        {
                            "system": "http://terminology.hl7.org/CodeSystem/data-absent-reason",
                            "code": "masked",
                            "display": "Masked",
                        }
                    ]
                }
            },
            "unresolved",
            "other",
            None,
            id="withheld",
        ),
    ],
)
def test_a_medicine_by_its_code_and_its_ingredients(
    medication: Resource, identified: str, role: str, name: str | None, *, contained: bool
) -> None:
    (exposure,) = read(*with_medication(medication, contained=contained)).exposures
    medicine = exposure.medicine
    assert (medicine.identified.value, medicine.role.value, medicine.ingredient) == (identified, role, name)


def test_an_ingredient_may_be_a_medication_or_a_substance_of_its_own() -> None:
    inner = {"resourceType": "Medication", "id": "in", "code": SERTRALINE}
    outer = {"ingredient": [{"itemReference": {"reference": "Medication/in"}, "strength": strength(25)}]}
    (exposure,) = read(*with_medication(outer, contained=False), inner).exposures
    assert (exposure.medicine.ingredient, exposure.medicine.strength_mg) == ("sertraline", 25.0)


def test_medications_that_lead_to_each_other_come_to_an_end() -> None:
    loop = {"ingredient": [{"itemReference": {"reference": "Medication/m", "display": "sertraline"}}]}
    (exposure,) = read(*with_medication(loop, contained=False)).exposures
    assert exposure.medicine.identified is Identified.TEXT_ONLY


# strengths -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("medication", "dose"),
    [
        ({"ingredient": [ingredient(SERTRALINE, strength=strength(25))]}, 25),
        ({"code": SERTRALINE, "ingredient": [ingredient(SERTRALINE, strength=strength(25))]}, 25),
        (
            {"ingredient": [ingredient(SERTRALINE, strength=strength(50, {"value": 2, "unit": "Tablette"}))]},
            25,
        ),
        ({"ingredient": [ingredient(SERTRALINE, strength=strength(25, {"value": 1}))]}, 25),
        ({"ingredient": [ingredient(SERTRALINE, strength=strength(25, {"value": 1, "unit": "zz"}))]}, None),
        ({"ingredient": [ingredient(SERTRALINE, strength={"denominator": {"value": 1}})]}, None),
        ({"code": SERTRALINE | {"text": "Sertraline 25 mg tablets"}}, 25),
        ({"code": SERTRALINE | {"text": "Sertraline 25 mg daily"}}, None),
        (
            {
                "code": SERTRALINE | {"text": "Sertraline 25 mg tablets"},
                "ingredient": [ingredient(SERTRALINE, strength=strength(50))],
            },
            None,
        ),
    ],
)
def test_tablets_times_the_strength_that_is_stated(medication: Resource, dose: float | None) -> None:
    (exposure,) = read(*with_medication(medication, contained=True, dosage=[ONE_TABLET])).exposures
    assert exposure.dose.low_mg == dose
    assert (exposure.dose.basis is DoseBasis.UNREADABLE) == (dose is None)


@pytest.mark.parametrize(
    ("medication", "assumed"),
    [
        ({"code": SERTRALINE}, True),
        ({"code": SERTRALINE | {"text": "Sertraline 50 mg"}}, True),
        ({"code": SERTRALINE | {"text": "Sertraline 25 mg"}}, False),
        ({"code": SERTRALINE | {"text": "Zoloft 25"}}, False),
        (
            {
                "code": {
                    "coding": [
                        {"system": RXNORM, "code": "312941", "display": "sertraline 25 MG Oral Tablet"}
                    ]
                }
            },
            False,
        ),
        ({"code": SERTRALINE, "ingredient": [ingredient(SERTRALINE, strength=strength(25))]}, False),
        ({"code": SERTRALINE, "ingredient": [ingredient(SERTRALINE, strength=strength(50))]}, True),
        ({"code": SERTRALINE, "ingredient": [ingredient(SERTRALINE, strength={})]}, False),
    ],
)
def test_no_dose_is_assumed_where_a_strength_below_the_minimum_is_stated(
    medication: Resource, *, assumed: bool
) -> None:
    (exposure,) = read(*with_medication(medication, contained=False)).exposures
    assert exposure.dose.basis is DoseBasis.NOT_DOCUMENTED
    assert dose_is_assumed(exposure, US.ingredients["sertraline"], SEED) is assumed


# for how long ----------------------------------------------------------------------------------


def bounded(repeat: Resource, **elements: Any) -> Exposure:
    dosage = {**MG_50, "timing": {"repeat": DAILY["repeat"] | repeat}}
    return the_exposure(a_statement(dosage=[dosage], **elements))


def settled(exposure: Exposure) -> Interval:
    return settle_interval(exposure, AS_OF, SEED)


@pytest.mark.parametrize(
    ("repeat", "shortest"),
    [
        ({}, 90),
        ({"boundsPeriod": {"start": "2025-01-01", "end": "2025-01-28"}}, 28),
        ({"boundsPeriod": {"start": "2025-03-01"}}, 31),
        ({"boundsDuration": {"value": 2, "code": "wk"}}, 14),
        ({"boundsDuration": {"value": 2, "unit": "fortnights"}}, 1),
        ({"boundsDuration": {"value": 2, "code": "wk", "comparator": "<"}}, 1),
        ({"boundsRange": {"low": {"value": 4, "code": "wk"}, "high": {"value": 6, "code": "wk"}}}, 28),
        ({"boundsRange": {"high": {"value": 6, "code": "wk"}}}, 1),
        ({"boundsDuration": {"value": 2, "code": "a"}}, 90),
        ({"count": 1}, 1),
        ({"count": 10}, 10),
        ({"count": 10, "countMax": 20}, 10),
        ({"duration": 3, "durationUnit": "wk"}, 21),
        ({"duration": 30, "durationUnit": "min"}, 90),
    ],
)
def test_what_limits_a_dosage_shortens_the_time_that_is_certain(repeat: Resource, shortest: int) -> None:
    period = settled(bounded(repeat))
    assert period.start is not None
    assert period.end is not None
    assert (period.end.earliest - period.start.latest).days + 1 == shortest
    assert (period.end.latest - period.start.earliest).days + 1 == 90


def test_a_limit_that_is_over_leaves_open_whether_an_active_medicine_goes_on() -> None:
    exposure = bounded(
        {"boundsDuration": {"value": 4, "code": "wk"}},
        status="active",
        effectivePeriod={"start": "2026-01-01"},
    )
    period = settled(exposure)
    assert not period.ongoing
    assert period.end == PartialDate(date(2026, 1, 28), AS_OF)


def test_doses_of_one_day_in_two_phases_add_up_within_each() -> None:
    def part(start: str, end: str, when: str, mg: float) -> Resource:
        repeat = {"when": [when], "boundsPeriod": {"start": start, "end": end}}
        return {"timing": {"repeat": repeat}, "doseAndRate": [{"doseQuantity": {"value": mg, "unit": "mg"}}]}

    first, second = ("2025-01-01", "2025-01-14"), ("2025-01-15", "2025-03-31")
    dosages = [
        part(*first, "MORN", 25),
        part(*first, "EVE", 0),
        part(*second, "MORN", 25),
        part(*second, "EVE", 50),
    ]
    phases = read(a_statement(dosage=dosages)).exposures
    assert [exposure.dose.low_mg for exposure in phases] == [25.0, 75.0]


# whether and what for --------------------------------------------------------------------------


def adherence(code: str) -> list[Resource]:
    concept = {"coding": [{"system": "http://snomed.info/sct", "code": code}]}
    url = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-medication-adherence"
    return [{"url": url, "extension": [{"url": "medicationAdherence", "valueCodeableConcept": concept}]}]


@pytest.mark.parametrize("make", [a_statement, a_request])
def test_what_is_not_taken_is_set_aside(make: Any) -> None:
    record = read(make(extension=adherence("715036001")))
    assert record.exposures == ()
    assert [one.reason for one in record.excluded] == [ExclusionReason.NOT_TAKEN]


@pytest.mark.parametrize(
    ("code", "basis"),
    [("1156699004", "documented"), ("702565001", "unreadable"), ("0", "unreadable")],
)
def test_what_is_taken_in_another_way_has_a_dose_that_nobody_knows(code: str, basis: str) -> None:
    exposure = the_exposure(a_statement(extension=adherence(code), dosage=[MG_50]))
    assert exposure.dose.basis.value == basis


def test_what_was_held_was_not_given() -> None:
    record = read(an_administration(status="on-hold"))
    reference = VersionedReference("MedicationAdministration", "medicationadministration", None)
    assert record.exposures == ()
    assert record.excluded == (Excluded(reference, ExclusionReason.NOT_TAKEN),)


def test_a_held_dose_of_esketamine_shows_that_it_was_ordered() -> None:
    exposure = the_exposure(an_administration(status="on-hold", medicationCodeableConcept=ESKETAMINE))
    assert (exposure.medicine.role, exposure.status) == (Role.ESKETAMINE, ExposureStatus.INTENDED)


@pytest.mark.parametrize(
    ("status", "last"),
    [("completed", "2025-03-01"), ("stopped", "2025-01-01")],
)
def test_an_order_that_was_used_up_lasted_for_its_supply(status: str, last: str) -> None:
    """Thirty days and one repeat; one that was stopped may have ended on any day before."""
    supply = {"expectedSupplyDuration": {"value": 30, "code": "d"}, "numberOfRepeatsAllowed": 1}
    order = a_request(status=status, authoredOn="2025-01-01", dispenseRequest=supply)
    end = the_exposure(order).period.end
    assert end is not None
    assert (end.earliest.isoformat(), end.latest.isoformat()) == (last, "2025-03-01")


@pytest.mark.parametrize("intent", ["plan", "proposal", "option", "order"])
def test_a_reported_request_is_stated_whatever_its_intent(intent: str) -> None:
    exposure = the_exposure(a_request(intent=intent, status="completed", reportedBoolean=True))
    assert (exposure.grade, exposure.status) == (Grade.STATED, ExposureStatus.ENDED)


@pytest.mark.parametrize(
    ("elements", "indication"),
    [
        ({"reasonCode": [{"extension": [{"url": ABSENT, "valueCode": "unknown"}]}]}, Indication.NOT_STATED),
        ({"reasonCode": [{"extension": [{"url": ABSENT, "valueCode": "masked"}]}]}, Indication.UNCLEAR),
        (
            {
                "reasonCode": [
                    {
                        "coding": [
                            {
                                "system": "http://terminology.hl7.org/CodeSystem/data-absent-reason",
                                "code": "unknown",
                                "display": "Unknown",
                            }
                        ]
                    }
                ]
            },
            Indication.NOT_STATED,
        ),
        (
            {
                "reasonCode": [
                    {
                        "coding": [
                            {"system": "http://terminology.hl7.org/CodeSystem/v3-NullFlavor", "code": "MSK"}
                        ]
                    }
                ]
            },
            Indication.UNCLEAR,
        ),
        (
            {
                "contained": [a_condition("c") | {"code": {"text": "pain"}}],
                "reasonReference": [{"reference": "#c"}],
            },
            Indication.OTHER,
        ),
        ({"contained": [a_condition("c")], "reasonReference": [{"reference": "#c"}]}, Indication.DEPRESSION),
        ({"reasonReference": [{"reference": "#gone"}]}, Indication.UNCLEAR),
        ({"reasonReference": [{"reference": "Observation/gone", "display": "pain"}]}, Indication.OTHER),
    ],
)
def test_what_it_was_given_for(elements: Resource, indication: Indication) -> None:
    (exposure,) = read(a_statement(**elements)).exposures
    assert exposure.indication is indication


# what is left open -----------------------------------------------------------------------------

STATEMENT = VersionedReference("MedicationStatement", "medicationstatement", None)


@pytest.mark.parametrize(
    ("elements", "element"),
    [
        ({"dosage": [MG_50 | {"modifierExtension": MODIFIER}]}, "dosage.modifierExtension"),
        ({"note": [{"text": "25 mg a day"}]}, "note"),
        ({"dosage": [MG_50 | {"unheardOf": 1}]}, "dosage.unheardOf"),
    ],
)
def test_an_element_that_leaves_the_dose_open_is_named(elements: Resource, element: str) -> None:
    record = read(a_statement(**elements))
    (exposure,) = record.exposures
    assert exposure.dose.basis is DoseBasis.UNREADABLE
    assert record.open_elements == (Unreadable(STATEMENT, element),)


def test_a_note_beside_a_dose_leaves_nothing_open() -> None:
    record = read(a_statement(dosage=[MG_50], note=[{"text": "feels better"}]))
    assert record.open_elements == ()
    assert record.exposures[0].dose.low_mg == 50


def test_what_a_medicine_of_no_bearing_leaves_open_is_not_named() -> None:
    record = read(a_statement(medicationCodeableConcept={"text": "ramipril"}, note=[{"text": "5 mg a day"}]))
    assert record.open_elements == ()


def test_a_withheld_part_may_be_the_dose_and_the_reason() -> None:
    label = {"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "REDACTED"}
    record = read(a_statement(meta={"security": [label]}))
    (exposure,) = record.exposures
    assert (exposure.dose.basis, exposure.indication) == (DoseBasis.UNREADABLE, Indication.UNCLEAR)
    assert record.open_elements == (Unreadable(STATEMENT, "meta.security"),)


def test_an_unknown_element_at_the_top_leaves_the_whole_record_open() -> None:
    record = read(a_statement(unheardOf=True))
    assert record.exposures == ()
    assert record.unreadable == (Unreadable(STATEMENT, "unheardOf"),)


def test_an_open_period_is_certain_of_no_days() -> None:
    extension = [{"url": "http://hl7.org/fhir/StructureDefinition/timing-dayOfMonth", "valueInteger": 1}]
    timing = {"repeat": DAILY["repeat"] | {"extension": extension}}
    exposure = the_exposure(a_statement(dosage=[MG_50 | {"timing": timing}]))
    assert exposure.dose.basis is DoseBasis.UNREADABLE
    whole = read(
        a_request(dispenseRequest={"modifierExtension": MODIFIER, "validityPeriod": {"start": "2025-01-01"}})
    )
    assert whole.exposures[0].period == Interval()


def test_a_reason_to_stop_that_leads_elsewhere_is_unclear() -> None:
    record = read(a_dispense(status="stopped", statusReasonReference={"reference": "DetectedIssue/d"}))
    assert record.exposures[0].stop_reasons == {StopReason.UNCLEAR}


def test_esketamine_with_a_modifier_is_not_lost() -> None:
    record = read(a_statement(medicationCodeableConcept=ESKETAMINE, modifierExtension=MODIFIER))
    assert [exposure.medicine.role for exposure in record.exposures] == [Role.ESKETAMINE]
