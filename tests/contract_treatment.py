"""What holds on every FHIR server for a treatment that goes on: its commands, and the courses of a clinic.

Each server's tests derive from `TreatmentContract` and give its address by a fixture `server`.
"""

from datetime import timedelta

import pytest

from service.fhir.client import FhirClient
from tests.contract_commands import an_aneurysm, answered, command, listed, refuted
from tests.contract_plans import WEEKS_LATER, continued, treated
from tests.contract_write import TWO_FAILURES, change, found_by, load_case, propose, read, versions
from tests.course_faults import faults
from tests.generated.clinic import DAYS, Clinic, sessions_of
from tests.in_r5 import load
from tests.support import AS_OF, client_at

THAT_DAY = ("--as-of", (AS_OF + timedelta(days=WEEKS_LATER)).isoformat())
_QUIET = 14
"""Days after which time alone is a reason for a review."""


class TreatmentContract:
    """The tests of a server; a class that derives from this one gives the fixture `server`."""

    async def test_a_diff_shows_the_draft_that_a_review_then_makes(self, server: str) -> None:
        patient = load_case(server, TWO_FAILURES)
        await treated(server, patient)

        found = answered(server, "diff", f"Patient/{patient}", *THAT_DAY)

        assert (found["action"], found["before"]) == ("create", None)
        assert len(await found_by(server, f"CarePlan?patient={patient}")) == 1
        shown = [session["after"] for session in found["changes"]["sessions"]]
        done = await propose(server, patient, days=WEEKS_LATER)
        plan = await read(server, done.answer.care_plan.reference or "")
        assert shown == [session.day.isoformat() for session in sessions_of(plan)]
        assert answered(server, "diff", f"Patient/{patient}", *THAT_DAY)["action"] == "none"

    async def test_every_version_of_a_continuation_is_decided_the_same_again(self, server: str) -> None:
        patient = load_case(server, TWO_FAILURES)
        block = (await continued(server, patient))["block"]
        load(server, [an_aneurysm(patient)])
        assert (await propose(server, patient, days=WEEKS_LATER)).answer.care_plan.action == "revoke"
        assert await versions(server, block) == ["1", "2"]

        replayed = [answered(server, "replay", f"{block}/_history/{version}") for version in (1, 2)]

        assert [found["why"] for found in replayed] == [[], []]
        assert [found["then"]["decision"] for found in replayed] == ["continuation", "contraindicated"]

    async def test_the_provenance_of_a_continuation_names_the_versions_of_its_plans(
        self, server: str
    ) -> None:
        patient = load_case(server, TWO_FAILURES)
        plans = await continued(server, patient)
        (provenance,) = [
            one
            for one in await found_by(server, f"Provenance?target={plans['block']}")
            if "criteria set" in one["activity"]["text"]
        ]
        named = {entity["what"]["display"] for entity in provenance["entity"]}
        assert f"{plans['plan']}/_history/2" in named

    async def test_the_next_block_of_an_activated_continuation_is_decided_the_same_again(
        self, server: str
    ) -> None:
        patient = load_case(server, TWO_FAILURES)
        plans = await continued(server, patient)
        block = await read(server, plans["block"])
        done = [{"detail": {**one["detail"], "status": "completed"}} for one in block["activity"]]
        await change(server, plans["block"], status="active", activity=done)
        later = await propose(server, patient, days=WEEKS_LATER + 35)
        following = later.answer.care_plan.reference or ""
        assert (later.answer.reason, later.answer.care_plan.action) == ("continuation", "create")
        assert (await read(server, following))["basedOn"][0]["reference"] == plans["block"]
        found = answered(server, "replay", following)
        assert found["why"] == []

    async def test_withdrawing_takes_the_continuation_and_leaves_the_active_plan(self, server: str) -> None:
        patient = load_case(server, TWO_FAILURES)
        plans = await continued(server, patient)

        out = command(server, "withdraw", "--patient", patient, "--yes")

        assert out.endswith("1 of 1 draft withdrawn\n")
        assert (await read(server, plans["block"]))["status"] == "revoked"
        assert await versions(server, plans["plan"]) == ["1", "2"]
        again = await propose(server, patient, days=WEEKS_LATER)
        assert (again.answer.care_plan.action, again.answer.reason) == ("leave", "continuation")

    async def test_written_lists_a_continuation_with_its_decision(self, server: str) -> None:
        patient = load_case(server, TWO_FAILURES)
        plans = await continued(server, patient)
        by_name = {
            one.written.resource.partition("/_history")[0]: one.written
            for one in await listed(server, patient)
        }
        line = by_name[plans["block"]]
        assert (line.kind, line.reason, line.status) == ("plan", "continuation", "draft")

    async def test_a_continuation_that_was_revoked_in_error_comes_back(self, server: str) -> None:
        patient = load_case(server, TWO_FAILURES)
        plans = await continued(server, patient)
        load(server, [an_aneurysm(patient)])
        await propose(server, patient, days=WEEKS_LATER)
        load(server, [refuted(an_aneurysm(patient))])
        again = await propose(server, patient, days=WEEKS_LATER)
        assert again.answer.care_plan.action == "create"
        new = await read(server, again.answer.care_plan.reference or "")
        assert [one["reference"] for one in new["basedOn"]] == [plans["plan"]]


async def check_course(clinic: Clinic, client: FhirClient) -> None:
    """Live through half a year, and look after each review whether all is well."""
    last = AS_OF
    for day in (AS_OF + timedelta(days=n) for n in range(DAYS)):
        if not await clinic.live(day) and day not in {AS_OF, last + timedelta(days=_QUIET)}:
            continue
        last = day
        done = await clinic.reviewer.propose(client, clinic.patient)
        if done.written:
            clinic.diary.append(f"{day}   {done.answer.decision.value}/{done.answer.care_plan.action.value}")
            await clinic.look()
        found = list(faults(clinic))
        assert found == [], "\n".join([*clinic.diary, *found])


class CoursesContract:
    """Some courses of the simulated clinic through a server; whoever derives gives the fixture `server`."""

    @pytest.mark.parametrize("seed", range(3))
    async def test_a_course_of_half_a_year(self, server: str, seed: int) -> None:
        clinic = Clinic(server, seed)
        async with client_at(server) as client:
            await check_course(clinic, client)
        assert len(clinic.given) > 1
