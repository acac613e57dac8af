"""The daily review by hand: who is reviewed, what is printed, and that a failure does not stop the rest."""

import json

import httpx
import pytest

from service.errors import SettingsError
from service.fhir.names import PLAN_IDENTIFIER
from tests.commands.test_commands_cli import AS_OF, Run, run, server
from tests.fhir.double import FhirDouble
from tests.fhir.test_write import a_third_failure, plan_reference
from tests.support import Resource, a_condition, a_patient

__all__ = ["run", "server"]


def two_who_were_merged_into_each_other() -> list[Resource]:
    """Neither record can be assessed; Bob has a plan."""
    plan = {
        "resourceType": "CarePlan",
        "id": "bobs",
        "identifier": [{"system": PLAN_IDENTIFIER, "value": "bobs"}],
        "status": "active",
        "intent": "plan",
        "subject": {"reference": "Patient/bob"},
    }
    links = {one: {"type": "replaced-by", "other": {"reference": f"Patient/{one}"}} for one in ("bob", "zoe")}
    return [a_patient("bob", link=[links["zoe"]]), a_patient("zoe", link=[links["bob"]]), plan]


def test_every_patient_with_a_plan_is_reviewed(server: FhirDouble, run: Run) -> None:
    server.put(a_patient("carl"))
    server.put(a_condition("carls", "carl"))
    server.put(a_third_failure())

    ran = run("sweep", *AS_OF)

    assert (ran.code, ran.err) == (0, "")
    ann, summary = ran.out.splitlines()
    assert ann.startswith("Patient/ann: propose (trd). Care plan updated: ")
    assert f"Written: {plan_reference(server)}/_history/2" in ann
    assert summary == "1 of 1 patient reviewed"
    assert len(server.posted) == 2
    assert server.of_type("Provenance")[-1]["reason"][0]["coding"][0]["code"] == "cli"
    assert "Written: nothing" in run("sweep", *AS_OF).out


def test_json_is_one_object_a_patient(run: Run) -> None:
    (line,) = run("sweep", *AS_OF, "--json").out.splitlines()

    found = json.loads(line)
    assert (found["patient"], found["decision"], found["reason"]) == ("Patient/ann", "propose", "trd")
    assert (found["care_plan"], found["written"], found["error"]) == ("none", [], None)


def test_a_dry_run_lists_and_reviews_nobody(server: FhirDouble, run: Run) -> None:
    server.put(a_third_failure())

    assert run("sweep", "--dry-run").out == "Patient/ann\n1 patient to review\n"
    assert run("sweep", "--dry-run", "--json").out == '{"patient": "Patient/ann"}\n'
    assert len(server.posted) == 1


def test_those_whose_records_changed_since_a_day_are_reviewed_with_a_plan_or_without(
    server: FhirDouble, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What makes up for notifications that were lost."""
    asked = set()
    answer = FhirDouble.__call__

    def noted(double: FhirDouble, request: httpx.Request) -> httpx.Response:
        asked.add(request.url.params.get("_lastUpdated"))
        return answer(double, request)

    monkeypatch.setattr(FhirDouble, "__call__", noted)
    server.put(a_patient("carl"))
    server.put(a_condition("carls", "carl"))

    listed = run("sweep", "--since", "2026-11-22", "--dry-run").out.splitlines()
    assert listed == ["Patient/ann", "Patient/carl", "2 patients to review"]
    assert "ge2026-11-22T00:00:00+00:00" in asked
    assert "Patient/carl: needs-information" in run("sweep", *AS_OF, "--since", "2026-11-22").out
    assert run("sweep", "--dry-run").out == "Patient/ann\n1 patient to review\n"
    assert run("sweep", "--since", "tomorrow").code == SettingsError.exit_code


def test_a_failure_does_not_stop_the_rest(server: FhirDouble, run: Run) -> None:
    for resource in two_who_were_merged_into_each_other():
        server.put(resource)

    ran = run("sweep", *AS_OF)
    lines = [json.loads(line) for line in run("sweep", *AS_OF, "--json").out.splitlines()]

    assert (ran.code, ran.err) == (4, "trd-careplan: 1 of 2 reviews failed\n")
    ann, bob, summary = ran.out.splitlines()
    assert ann.startswith("Patient/ann: propose (trd)")
    assert bob.startswith("Patient/bob: failed: Patient/bob")
    assert summary == "1 of 2 patients reviewed"
    assert [one["error"] is None for one in lines] == [True, False]


def test_in_shadow_mode_nothing_is_written(
    server: FhirDouble, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRD_WRITE", "off")
    server.put(a_third_failure())

    assert "(not written: TRD_WRITE is off). Written: nothing" in run("sweep", *AS_OF).out
    assert len(server.posted) == 1


def test_an_owner_of_tasks_who_is_not_there_stops_it(
    server: FhirDouble, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRD_TASK_OWNER", "Practitioner/nobody")

    assert run("sweep", *AS_OF).code == SettingsError.exit_code
    assert len(server.posted) == 1
