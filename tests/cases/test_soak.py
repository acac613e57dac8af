"""The safety property over the first of the generated patients, and that it would notice."""

import subprocess
import sys
from collections import Counter
from random import Random

import orjson
import pytest

from service.core.decision import Propose, ReasonOfDecision
from service.gather.files import read_bundle
from service.review import Review
from tests import soak
from tests.examples import soaked
from tests.generated.made import BOTH, HARMLESS, WITHHOLDS, Made, Meaning
from tests.generated.patients import Age, Patient, bundle_of, random_patient
from tests.soak import SEED, Tally, Verdict, Violation, dice, judge, reviewer_of, run
from tests.support import ROOT, RXNORM, Resource

pytestmark = pytest.mark.no_cover

PATIENTS = soaked(2000)
"""In `make matrix` a tenth of them; `python -m tests.soak` judges as many as one likes."""


@pytest.mark.soak
def test_the_property_holds_for_the_first_patients() -> None:
    tally = run(SEED, range(PATIENTS))
    assert tally.violation is None, str(tally.violation)
    assert tally.decisions.total() == PATIENTS
    assert tally.decisions["trd"] > PATIENTS / 5


@pytest.mark.matrix
def test_the_patients_are_decided_in_every_way() -> None:
    never = {*(reason.value for reason in ReasonOfDecision), "not assessed"}
    never.remove("continuation")  # no generated patient has a plan of ours
    for number in range(3000):
        never -= run(SEED, range(number, number + 1)).decisions.keys()
        if not never:
            break
    assert never == set()


def test_a_patient_is_the_same_every_time() -> None:
    assert random_patient(dice(SEED, 7)) == random_patient(dice(SEED, 7))
    assert run(SEED, range(40)) == run(SEED, range(40))


# that it would notice --------------------------------------------------------------------------


def a_resistant(*made: Made, **changes: object) -> Patient:
    """The first generated patient for whom a plan is proposed, with this on record and nothing else."""
    patients = (random_patient(dice(SEED, number)) for number in range(60))
    found = next(p for p in patients if p.resistance and p.age is Age.ADULT and not p.dead)
    return found._replace(made=made)._replace(**changes)  # type: ignore[arg-type]


def verdict_on(patient: Patient) -> Verdict:
    return judge(patient, reviewer_of(0), Random(0))  # noqa: S311 - no secret


def condition(**elements: object) -> Resource:
    subject = {"reference": "Patient/p"}
    return {
        "resourceType": "Condition",
        "id": "it",
        "code": {"text": "Hay fever"},
        "subject": subject,
    } | elements


def hay_fever(meaning: Meaning, subject: str = "Patient/p") -> Made:
    return Made(condition(subject={"reference": subject}), meaning)


BIPOLAR = Made(condition(code={"text": "Bipolar"}), HARMLESS)
UNSEEN = {
    "a contraindication": (
        a_resistant(hay_fever(Meaning(excludes=BOTH))),
        "trd where contraindicated is due Condition/it",
    ),
    "a review finding": (a_resistant(hay_fever(WITHHOLDS)), "a plan in spite of Condition/it"),
    "suicidality": (
        a_resistant(hay_fever(HARMLESS._replace(suicidal=True))),
        "no alert tells of Condition/it",
    ),
    "somebody else": (
        a_resistant(hay_fever(Meaning(another=True))),
        "assessed with a record of somebody else in it",
    ),
    "a death": (a_resistant(dead=True), "trd where deceased is due "),
    "a minor": (a_resistant(age=Age.MINOR), "trd where minor is due "),
    "an unknown age": (a_resistant(age=Age.UNKNOWN), "a plan although the age is unknown"),
    "too much caution": (a_resistant(BIPOLAR), "safety-review although nothing stands against a plan"),
    "no assessment": (
        a_resistant(hay_fever(HARMLESS, "Patient/q")),
        "not assessed, but all of it is the patient's",
    ),
}


def test_without_anything_a_plan_is_proposed() -> None:
    assert verdict_on(a_resistant()) == Verdict("trd", ())


@pytest.mark.parametrize(("patient", "fault"), UNSEEN.values(), ids=UNSEEN)
def test_what_the_service_would_not_see_is_noticed(patient: Patient, fault: str) -> None:
    assert verdict_on(patient).faults == (fault,)


def test_what_breaks_off_is_noticed() -> None:
    broken = a_resistant()._replace(person={"resourceType": "Patient", "id": "p", "birthDate": "soon"})
    assert verdict_on(broken).decision == "broke off"


def test_a_violation_is_cut_down_and_tells_how_to_see_it_again(monkeypatch: pytest.MonkeyPatch) -> None:
    unseen = hay_fever(WITHHOLDS)
    noise = tuple(Made(condition(id=f"n{n}"), HARMLESS) for n in range(4))
    monkeypatch.setattr(soak, "random_patient", lambda _: a_resistant(*noise[:2], unseen, *noise[2:]))

    violation = run(SEED, range(3, 9)).violation

    assert violation is not None
    assert violation.patient.made == (unseen,)
    assert violation.patient.resistance, "without it no plan would be proposed"
    text = str(violation)
    assert f"--seed {SEED} --first 3 --patients 1" in text
    assert "Hay fever" in text


# the command -----------------------------------------------------------------------------------


def test_the_command_judges_patients_and_succeeds() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.soak", "--patients", "10"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "10 patients" in done.stdout


def test_the_command_fails_on_a_violation(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    violation = Violation(SEED, 5, ("a plan in spite of Condition/it",), a_resistant(hay_fever(WITHHOLDS)))
    monkeypatch.setattr(soak, "_in_parallel", lambda *_: Tally(Counter({"trd": 1}), violation))
    monkeypatch.setattr(sys, "argv", ["soak"])

    assert soak.main() == 1
    assert "a plan in spite of Condition/it" in capsys.readouterr().out


# faults that it found, or that building it showed ---------------------------------------------

ESKETAMINE = {"coding": [{"system": RXNORM, "code": "2119365", "display": "esketamine"}]}
MINE = {"id": "it", "subject": {"reference": "Patient/p"}}
OBSERVED = {"resourceType": "Observation", "status": "final", "effectiveDateTime": "in spring", **MINE}


def loinc(code: str) -> Resource:
    return {"coding": [{"system": "http://loinc.org", "code": code}]}


def e_code(code: str) -> Resource:
    return condition(code={"coding": [{"system": "http://hl7.org/fhir/sid/icd-9-cm", "code": code}]})


UNTOLD = {
    "an E code that has no dot": e_code("E956"),
    "an E code whose dot was left out": e_code("E9500"),
    "a C-SSRS answer of a day that cannot be read": OBSERVED
    | {"code": loinc("93249-1"), "valueBoolean": True},
}
PROPOSED = {
    "esketamine of a day that cannot be read": {
        "resourceType": "MedicationStatement",
        "status": "completed",
        "medicationCodeableConcept": ESKETAMINE,
        "effectivePeriod": {"start": "in spring"},
        **MINE,
    },
    "a pregnancy status of a day that cannot be read": OBSERVED
    | {"code": loinc("82810-3"), "valueCodeableConcept": {"text": "Pregnant"}},
    "an active plan that refers to its product": {
        "resourceType": "CarePlan",
        "status": "active",
        "intent": "plan",
        "contained": [{"resourceType": "Medication", "id": "m", "code": ESKETAMINE}],
        "activity": [{"detail": {"status": "in-progress", "productReference": {"reference": "#m"}}}],
        **MINE,
    },
}


@pytest.mark.parametrize("resource", UNTOLD.values(), ids=UNTOLD)
def test_suicidality_is_told_however_it_is_written(resource: Resource) -> None:
    assert reviewed(resource).decision.assessment.alerts


@pytest.mark.parametrize("resource", PROPOSED.values(), ids=PROPOSED)
def test_no_plan_is_proposed_however_the_reason_is_written(resource: Resource) -> None:
    assert not isinstance(reviewed(resource).decision, Propose)


def reviewed(resource: Resource) -> Review:
    patient = a_resistant(Made(resource, HARMLESS))
    return reviewer_of(0).review(read_bundle(orjson.dumps(bundle_of(patient.resources))))
