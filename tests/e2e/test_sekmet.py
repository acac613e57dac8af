"""The cases read from sekmet-fhir, both ways, give the answers that their files give."""

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest

from service.core.records import Identified
from service.errors import NotAssessable, ServerRefused
from service.gather.files import read_bundle
from service.review import Reviewer
from tests.servers import load, running_sekmet
from tests.support import (
    Resource,
    a_bundle,
    a_condition,
    a_long_record,
    a_patient,
    a_statement,
    answer_of,
    case_bundle,
    case_reviewer,
    cases_of_servers,
    patient_id_of,
    resources_of,
    reviewed_at,
    reviewer,
    run_command,
)

TWO_FAILURES = "two-documented-failures-propose-treatment"
NOT_OFFERED = frozenset({"QuestionnaireResponse", "List"})
"""Kinds that are read, and that sekmet-fhir does not know; only the first is a screening of its own."""
BOTH_WAYS = pytest.mark.parametrize("searches", [False, True], ids=["everything", "searches"])


LONG = a_long_record("long", statements=250, conditions=250)
DANGLING = [
    a_patient("dangling"),
    a_condition("dangling-mdd", "dangling"),
    a_statement("dangling-statement", "dangling", medication="Medication/nowhere"),
]
MERGED = [
    a_patient("merged", active=False, link=[{"other": {"reference": "Patient/kept"}, "type": "replaced-by"}]),
    a_patient("kept"),
]


@pytest.fixture(scope="session")
def sekmet() -> Iterator[str]:
    """The server with the records of this module on it."""
    with running_sekmet() as base:
        for record in (LONG, DANGLING, MERGED, case_bundle(TWO_FAILURES)):
            load(base, record)
        yield base


@pytest.fixture(scope="session")
def cases(sekmet: str) -> str:
    """The server with every case on it, each loaded once: sekmet-fhir counts every write as a version."""
    for name in cases_of_servers():
        if name != TWO_FAILURES:
            load(sekmet, [r for r in resources_of(case_bundle(name)) if r["resourceType"] not in NOT_OFFERED])
    return sekmet


def versioned(resources: list[Resource]) -> list[Resource]:
    """The resources as a server gives them back after the first write."""
    return [{**resource, "meta": {"versionId": "1"}} for resource in resources]


def answer_from_file(resources: list[Resource], by: Reviewer | None = None) -> str:
    """The answer on what the server can show of the resources."""
    shown = [resource for resource in resources if resource["resourceType"] not in NOT_OFFERED]
    gathered = read_bundle(json.dumps(a_bundle(shown)).encode())
    return answer_of((by or reviewer()).review(replace(gathered, not_read=("QuestionnaireResponse",))))


@pytest.mark.matrix
@BOTH_WAYS
@pytest.mark.parametrize("name", cases_of_servers())
async def test_the_server_gives_the_answer_of_the_file(cases: str, name: str, searches: bool) -> None:
    patient = patient_id_of(case_bundle(name))
    review = await reviewed_at(cases, patient, searches=searches, by=case_reviewer(name))
    assert review.gathered.compartment is not searches
    assert answer_of(review) == answer_from_file(resources_of(case_bundle(name)), case_reviewer(name))


@BOTH_WAYS
async def test_a_long_record_is_complete(sekmet: str, searches: bool) -> None:
    review = await reviewed_at(sekmet, "long", searches=searches)
    assert len(review.record.exposures) == 250
    assert len(review.record.diagnoses) == 250
    assert answer_of(review) == answer_from_file(versioned(LONG))


@BOTH_WAYS
async def test_a_medicine_that_is_gone_stays_unresolved(sekmet: str, searches: bool) -> None:
    review = await reviewed_at(sekmet, "dangling", searches=searches)

    (exposure,) = review.record.exposures
    assert exposure.medicine.identified is Identified.UNRESOLVED
    assert answer_of(review) == answer_from_file(versioned(DANGLING))


@BOTH_WAYS
async def test_a_merged_patient_names_the_other(sekmet: str, searches: bool) -> None:
    with pytest.raises(NotAssessable, match=r"^Patient/merged/_history/1: merged into Patient/kept"):
        await reviewed_at(sekmet, "merged", searches=searches)


@BOTH_WAYS
async def test_an_unknown_patient_is_refused(sekmet: str, searches: bool) -> None:
    with pytest.raises(ServerRefused) as caught:
        await reviewed_at(sekmet, "nobody", searches=searches)
    assert caught.value.status == 404


# --- the command ----------------------------------------------------------------------------------


def test_the_command_assesses_a_patient_of_the_server(sekmet: str) -> None:
    patient = patient_id_of(case_bundle(TWO_FAILURES))

    done = run_command(
        "assess", f"Patient/{patient}", "--as-of", "2026-11-23", "--json", TRD_FHIR_BASE_URL=sekmet
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == answer_from_file(resources_of(case_bundle(TWO_FAILURES))) + "\n"


def test_the_command_reports_a_patient_of_the_server_in_words(sekmet: str) -> None:
    patient = patient_id_of(case_bundle(TWO_FAILURES))
    done = run_command("assess", f"Patient/{patient}", TRD_FHIR_BASE_URL=sekmet)
    assert (done.returncode, done.stderr) == (0, "")
    assert "sertraline" in done.stdout


def test_the_command_fails_for_an_unknown_patient(sekmet: str) -> None:
    done = run_command("assess", "Patient/nobody", TRD_FHIR_BASE_URL=sekmet)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == "trd-careplan: Patient/nobody: the FHIR server has no such patient\n"
