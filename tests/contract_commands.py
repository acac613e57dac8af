"""What holds on every FHIR server for the commands over plans: diff, replay, written, withdraw, going live.

Each server's tests derive from `CommandsContract` and give its address by a fixture `server`.
"""

import json
from typing import Any

import pytest

from service.commands import written
from service.commands.withdraw import WithdrawalOutcome, sort_out, withdraw
from service.commands.written import Listed, WrittenFilter, find_written
from service.render.guidance import guidance_id
from tests.contract_write import TWO_FAILURES, ask, change, found_by, load_case, propose, read, versions
from tests.in_r5 import load
from tests.support import RXNORM, Resource, a_condition, a_statement, client_at, run_command, settings

_VERIFICATION = "http://terminology.hl7.org/CodeSystem/condition-ver-status"
AS_OF = ("--as-of", "2026-11-23")


def command(server: str, *arguments: str, code: int = 0, **environment: str) -> str:
    """What a command prints, checked to end as expected and to complain of nothing."""
    ran = run_command(*arguments, TRD_FHIR_BASE_URL=server, COLUMNS="250", **environment)
    assert (ran.returncode, ran.stderr) == (code, ""), ran.stdout
    return ran.stdout


def answered(server: str, *arguments: str, code: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(command(server, *arguments, "--json", code=code))
    return found


async def planned(server: str) -> tuple[str, str]:
    """A patient with a draft of ours, and its reference."""
    patient = load_case(server, TWO_FAILURES)
    reference = (await propose(server, patient)).answer.care_plan.reference
    assert reference is not None
    return patient, reference


def a_third_failure(patient: str) -> Resource:
    return a_statement(
        f"{patient}-mirtazapine",
        patient,
        medicationCodeableConcept={"coding": [{"system": RXNORM, "code": "15996", "display": "mirtazapine"}]},
        effectivePeriod={"start": "2026-02-10", "end": "2026-06-30"},
    )


def an_aneurysm(patient: str, **elements: object) -> Resource:
    code = {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "I71.40"}]}
    return a_condition(f"{patient}-aneurysm", patient, code=code, **elements)


def refuted(condition: Resource) -> Resource:
    status = {"coding": [{"system": _VERIFICATION, "code": "entered-in-error"}]}
    return {k: v for k, v in condition.items() if k != "clinicalStatus"} | {"verificationStatus": status}


async def listed(server: str, patient: str | None) -> list[Listed]:
    async with client_at(server) as client:
        return [one async for one in find_written(client, WrittenFilter(patient=patient), "UTC")]


class CommandsContract:
    """The tests of a server; a class that derives from this one gives the fixture `server`."""

    async def test_a_diff_shows_what_the_review_then_does_and_writes_nothing(self, server: str) -> None:
        patient, plan = await planned(server)
        load(server, [a_third_failure(patient)])

        found = answered(server, "diff", f"Patient/{patient}", *AS_OF)

        assert (found["action"], found["before"]) == ("update", f"{plan}/_history/1")
        assert found["versions_before"]["criteria"] == "seed 2.0.0"
        assert {session["change"] for session in found["changes"]["sessions"]} == {"kept"}
        fields = {one["field"]: one for one in found["changes"]["fields"]}
        assert set(fields) == {"description"}
        assert await versions(server, plan) == ["1"]
        assert "UPDATE" in command(server, "diff", f"Patient/{patient}", *AS_OF)
        done = await propose(server, patient)
        assert done.answer.care_plan.action == "update"
        assert (await read(server, plan))["description"] == fields["description"]["after"]
        after = answered(server, "diff", f"Patient/{patient}", *AS_OF)
        assert (after["action"], after["changes"]) == ("none", None)

    async def test_every_version_of_a_plan_is_decided_the_same_again(self, server: str) -> None:
        patient, plan = await planned(server)
        load(server, [a_third_failure(patient)])
        await propose(server, patient, days=2)
        load(server, [an_aneurysm(patient)])
        await propose(server, patient, days=3)
        load(server, [refuted(an_aneurysm(patient))])
        new = (await propose(server, patient, days=4)).answer.care_plan.reference
        assert await versions(server, plan) == ["1", "2", "3"]

        replayed = {
            name: answered(server, "replay", name)
            for name in (*(f"{plan}/_history/{version}" for version in (1, 2, 3)), str(new))
        }

        assert {name: found["why"] for name, found in replayed.items()} == {name: [] for name in replayed}
        assert [found["then"]["decision"] for found in replayed.values()] == [
            *["trd", "trd"],
            *["contraindicated", "trd"],
        ]
        assert "same decision" in command(server, "replay", plan)

    async def test_a_deleted_record_is_read_in_the_version_of_that_day(self, server: str) -> None:
        patient, plan = await planned(server)
        statement = (await found_by(server, f"MedicationStatement?patient={patient}"))[0]["id"]
        assert (await ask(server, f"MedicationStatement/{statement}", method="DELETE")).is_success
        assert answered(server, "replay", plan)["same"] is True

    async def test_what_cannot_be_decided_again_says_why(self, server: str) -> None:
        _, plan = await planned(server)
        await change(server, plan, note=[{"text": "She prefers mornings."}])

        edited = answered(server, "replay", plan, code=1)
        missing = answered(server, "replay", "CarePlan/nowhere", code=1)
        first = f"{plan}/_history/1"
        elsewhere = json.loads(command(server, "replay", first, "--json", code=1, TRD_LEAD_DAYS="14"))

        assert "no Provenance of this service names this version" in edited["why"][0]
        assert missing["why"] == ["the server does not have this version of the plan"]
        assert elsewhere["why"][0] == "the content of the plan differs"
        assert {session["change"] for session in elsewhere["changes"]["sessions"]} == {"moved"}

    async def test_written_lists_a_patient(self, server: str) -> None:
        patient = load_case(server, TWO_FAILURES)
        command(server, "propose", f"Patient/{patient}", *AS_OF)

        lines = [
            json.loads(line)
            for line in command(server, "written", "--patient", patient, "--json").splitlines()
        ]

        assert [(one["kind"], one["decision"], one["criteria"], one["cause"]) for one in lines] == [
            ("plan", "propose", "seed 2.0.0", "cli"),
            ("assessment", "propose", "seed 2.0.0", "cli"),
        ]
        assert all(one["patient"] == f"Patient/{patient}" and one["day"] for one in lines)
        assert command(server, "written", "--patient", patient, "--decision", "decline", "--json") == ""
        assert patient in command(server, "written", "--version", lines[0]["knowledge"])
        assert "0 plans" in command(server, "written", "--patient", patient, "--since", "2999-01-01")

    async def test_a_sweep_finds_who_has_a_plan_that_is_not_over(self, server: str) -> None:
        (active, plan), (ended, _) = await planned(server), await planned(server)
        await change(server, plan, status="active")
        command(server, "withdraw", "--patient", ended, "--yes")

        found = command(server, "sweep", "--dry-run").splitlines()

        assert f"Patient/{active}" in found
        assert f"Patient/{ended}" not in found
        assert found[-1] == f"{len(found) - 1} patients to review"

    async def test_written_reads_every_page(self, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
        patients = {(await planned(server))[0] for _ in range(3)}
        monkeypatch.setattr(written, "_PAGE_SIZE", "2")
        everything = [one.written for one in await listed(server, None)]
        for kind in ("plan", "assessment"):
            found = [one.patient.removeprefix("Patient/") for one in everything if one.kind == kind]
            assert patients <= set(found)
        assert len({one.resource for one in everything}) == len(everything)

    async def test_withdrawing_takes_drafts_and_leaves_what_people_did(self, server: str) -> None:
        patient, plan = await planned(server)
        edited_patient, edited = await planned(server)
        await change(server, edited, status="active")

        out = command(server, "withdraw", "--patient", patient, "--reason", "wrong <dose> list", "--yes")
        left = command(server, "withdraw", "--patient", edited_patient, "--yes")

        assert out.endswith("1 of 1 draft withdrawn\n")
        assert left.endswith("nothing to withdraw\n")
        assert "the plan is active" in left
        revoked = await read(server, plan)
        assert revoked["status"] == "revoked"
        assert "wrong <dose> list" in revoked["description"]
        assert await versions(server, edited) == ["1", "2"]
        assert answered(server, "replay", plan, code=1)["cause"] == "withdrawal"
        (line,) = [one for one in await listed(server, patient) if one.written.kind == "plan"]
        assert (line.written.status, line.written.edited, line.written.cause) == (
            "revoked",
            False,
            "withdrawal",
        )

    async def test_a_withdrawn_proposal_comes_back_only_with_other_conclusions(self, server: str) -> None:
        patient, plan = await planned(server)
        command(server, "withdraw", "--patient", patient, "--yes")
        for days in (0, 2):
            assert (await propose(server, patient, days=days)).answer.care_plan.action == "leave"
        assert (await propose(server, patient, days=3)).written == ()
        load(server, [a_third_failure(patient)])
        new = (await propose(server, patient, days=3)).answer.care_plan
        replaced = (await read(server, new.reference or ""))["replaces"]
        assert [one["reference"] for one in replaced] == [plan]

    async def test_a_person_who_edits_after_the_list_was_read_wins(self, server: str) -> None:
        patient, plan = await planned(server)
        drafts, _ = sort_out(await listed(server, patient))
        await change(server, plan, status="active")
        async with client_at(server) as client:
            (done,) = [one async for one in withdraw(client, settings(), drafts, "too late")]
        assert (done.outcome, done.why) == (
            WithdrawalOutcome.LEFT,
            "somebody has changed the plan since it was listed",
        )
        assert (await read(server, plan))["status"] == "active"
        assert await versions(server, plan) == ["1", "2"]

    async def test_going_live_writes_for_the_patients_allowed_only(self, server: str) -> None:
        allowed, other = load_case(server, TWO_FAILURES), load_case(server, TWO_FAILURES)
        said = []
        for patient in (allowed, other):
            arguments = ("propose", f"Patient/{patient}", *AS_OF, "--json")
            printed = command(server, *arguments, TRD_PATIENTS_ALLOWED=f"{allowed},x")
            said.append(json.loads(printed)["care_plan"])
        assert [one["action"] for one in said] == ["create", "create"]
        assert "not among TRD_PATIENTS_ALLOWED" in said[1]["why"]
        assert len(await found_by(server, f"CarePlan?patient={allowed}")) == 1
        assert await found_by(server, f"CarePlan?patient={other}") == []
        assert (await ask(server, f"GuidanceResponse/{guidance_id(other)}")).status_code == 404
