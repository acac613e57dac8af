"""What holds on every FHIR server for reading, as on the doubles of the vendors: nothing is silent.

Each server's tests derive from `ReadingContract` and give its address by a fixture `server`.
"""

import json
from typing import NamedTuple

import httpx
import pytest

from service.commands.check_findings import CheckReport
from service.fhir.kinds import SCREENED_KINDS
from service.gather.files import read_bundle
from service.render.answer import AssessmentAnswer
from tests.contract_write import renamed_case
from tests.servers import load
from tests.support import (
    FEW,
    Resource,
    a_bundle,
    case_reviewer,
    patient_id_of,
    resources_of,
    reviewed_at,
    run_command,
)

BY_SEARCH = "orders-renewed-every-month-count-under-the-criteria-for-orders"
PLANNED = "an-active-esketamine-plan-is-left-alone"
SYSTEM = "http://hospital.example/mrn"
BOTH_WAYS = pytest.mark.parametrize("searches", [False, True], ids=["everything", "searches"])


class Held(NamedTuple):
    """A record on a server: whose it is, what the server shows of it, and the kinds it does not offer."""

    patient: str
    shown: list[Resource]
    not_offered: set[str]

    @property
    def identifier(self) -> str:
        return f"identifier={SYSTEM}|{self.patient}"


def holding(server: str, name: str) -> Held:
    """Load what a server can hold of a case, under ids of its own; its patient gets an identifier."""
    bundle = renamed_case(name)
    patient = patient_id_of(bundle)
    offered = kinds_at(server)
    shown = [
        one | {"identifier": [{"system": SYSTEM, "value": patient}]} if one["id"] == patient else one
        for one in resources_of(bundle)
        if one["resourceType"] in offered
    ]
    load(server, shown)
    return Held(patient, shown, {*SCREENED_KINDS} - offered)


def kinds_at(server: str) -> set[str]:
    """The kinds of resource that a server offers."""
    statement = httpx.get(f"{server}/metadata", timeout=60, trust_env=False).raise_for_status().json()
    return {one["type"] for one in statement["rest"][0]["resource"]}


def told(answer: AssessmentAnswer) -> str:
    """All that an answer says but what was not screened."""
    return answer.model_copy(update={"not_screened": [], "summary": ""}).model_dump_json()


class ReadingContract:
    """The tests of a server; a class that derives from this one gives the fixture `server`."""

    @BOTH_WAYS
    @pytest.mark.parametrize("name", [*FEW, BY_SEARCH])
    async def test_the_decision_is_that_on_a_file_of_what_is_shown(
        self, server: str, name: str, searches: bool
    ) -> None:
        held, by = holding(server, name), case_reviewer(name)
        file = by.review(read_bundle(json.dumps(a_bundle(held.shown)).encode())).answer

        answer = (await reviewed_at(server, held.patient, searches=searches, by=by)).answer

        assert (answer.decision, answer.reason) == (file.decision, file.reason)
        assert told(answer) == told(file)
        assert {*answer.not_screened} == {*file.not_screened} | held.not_offered

    @BOTH_WAYS
    async def test_a_plan_of_esketamine_is_found(self, server: str, searches: bool) -> None:
        held = holding(server, PLANNED)
        review = await reviewed_at(server, held.patient, searches=searches, by=case_reviewer(PLANNED))
        assert review.answer.care_plan.reference is not None

    async def test_what_check_says_of_a_server_is_what_a_review_lists(self, server: str) -> None:
        held = holding(server, BY_SEARCH)
        ran = run_command("check", "--json", "--patient", held.identifier, TRD_FHIR_BASE_URL=server)
        report = CheckReport.model_validate_json(ran.stdout)
        answer = (await reviewed_at(server, held.patient, by=case_reviewer(BY_SEARCH))).answer
        (unscreened,) = [one.found for one in report.findings if one.name == "unscreened"]
        assert (ran.returncode, report.ready) == (0, True)
        assert {kind for kind in SCREENED_KINDS if kind in unscreened.split(";")[0].split(", ")} == {
            *SCREENED_KINDS
        } & {*answer.not_screened}

    def test_a_command_ends_with_the_code_of_its_documentation(self, server: str) -> None:
        held = holding(server, BY_SEARCH)
        at = {"TRD_FHIR_BASE_URL": server}
        codes = [
            run_command("assess", patient, **at).returncode
            for patient in (
                f"Patient/{held.patient}",
                held.identifier,
                "Patient/nobody",
                f"identifier={SYSTEM}|0",
            )
        ]
        assert codes == [0, 0, 3, 3]
