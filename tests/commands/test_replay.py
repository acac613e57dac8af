"""Deciding again on what a plan was decided on: the same comes of it, or it is said what differs."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import httpx
import pytest

from service.commands.replay import Replay, print_replay, replay
from service.errors import ServerMisread, ServerRefused
from service.fhir.names import MADE_WITH
from service.render.terminal import Terminal
from tests.contract_write import PROPOSED
from tests.fhir.double import FhirDouble
from tests.fhir.test_write import (
    a_resistant_record,
    a_third_failure,
    an_aneurysm,
    plan_reference,
    propose,
)
from tests.support import (
    Resource,
    case_bundle,
    case_reviewer,
    client_of,
    each_of,
    fhir_response,
    patient_id_of,
    resources_of,
    settings,
)


@pytest.fixture
async def server() -> FhirDouble:
    server = FhirDouble(a_resistant_record())
    await propose(server)
    return server


async def replayed(server: FhirDouble, version: int | None = None, **values: object) -> Replay:
    reference = plan_reference(server)
    name = reference if version is None else f"{reference}/_history/{version}"
    before = len(server.posted)
    found = await replay(settings(**values), client_of(server), name)
    assert len(server.posted) == before
    return found


def printed(found: Replay) -> str:
    console = Terminal(width=200)
    with console.capture() as captured:
        print_replay(console, found)
    return captured.get()


async def test_a_first_plan_is_decided_the_same_again(server: FhirDouble) -> None:
    found = await replayed(server)

    assert (found.same, found.why, found.gone, found.changes) == (True, [], [], None)
    assert found.plan == f"{plan_reference(server)}/_history/1"
    assert found.then == found.now
    assert found.read == 4
    assert "same decision" in printed(found)


@each_of(PROPOSED)
async def test_every_proposal_is_decided_the_same_again(name: str) -> None:
    server = FhirDouble(resources_of(case_bundle(name)))
    by = case_reviewer(name)
    done = await by.propose(client_of(server), patient_id_of(case_bundle(name)))
    found = await replay(by.settings, client_of(server), done.answer.care_plan.reference or "")
    assert (found.same, found.why) == (True, [])


async def test_every_version_is_decided_on_what_was_read_then(server: FhirDouble) -> None:
    """Updated with its dates kept, then revoked: each version on the record of its day."""
    server.put(a_third_failure())
    await propose(server, days=3)
    server.put(an_aneurysm())
    await propose(server, days=4)

    for version in (1, 2, 3):
        found = await replayed(server, version)
        assert (found.same, found.why) == (True, []), version
    assert (await replayed(server)).plan.endswith("/_history/3")
    then = (await replayed(server)).then
    assert then is not None
    assert then.decision == "contraindicated"


async def test_a_plan_that_replaces_another_is_decided_the_same_again(server: FhirDouble) -> None:
    server.put(an_aneurysm())
    await propose(server)
    server.change("Condition/aneurysm", verificationStatus={"coding": [{"code": "entered-in-error"}]})
    done = await propose(server)
    found = await replay(settings(), client_of(server), done.answer.care_plan.reference or "")
    assert (found.same, found.why) == (True, [])


async def test_versions_that_are_gone_are_named(server: FhirDouble) -> None:
    del server.versions["MedicationStatement/sertraline"]
    found = await replayed(server)
    assert (found.same, found.gone) == (False, ["MedicationStatement/sertraline/_history/1"])
    assert found.why == ["the server no longer has 1 of 4 versions that were read"]
    assert "MedicationStatement/sertraline/_history/1" in printed(found)


async def test_a_deleted_record_is_still_read_in_the_version_of_that_day(server: FhirDouble) -> None:
    server.delete("MedicationStatement/sertraline")
    assert (await replayed(server)).same


async def test_a_version_of_a_person_has_no_decision_behind_it(server: FhirDouble) -> None:
    server.change(plan_reference(server), note=[{"text": "Ask her first"}])
    found = await replayed(server)
    assert not found.same
    assert "no Provenance of this service names" in found.why[0]
    assert (await replayed(server, 1)).same


async def test_a_plan_that_is_not_there(server: FhirDouble) -> None:
    found = await replay(settings(), client_of(server), "CarePlan/none")
    assert (found.same, found.why) == (False, ["the server does not have this version of the plan"])
    assert "CarePlan/none: the decision cannot be repeated\n" in printed(found)


async def test_another_clinic_gives_other_dates_and_is_named(server: FhirDouble) -> None:
    found = await replayed(server, lead_days=14)

    assert found.why[0] == "the content of the plan differs"
    assert found.why[1].startswith("the clinic differs: ")
    assert found.changes is not None
    assert {session.change for session in found.changes.sessions} == {"moved"}
    assert "moved" in printed(found)


def stored(server: FhirDouble, reference: str) -> Resource:
    found = server.versions[reference][0]
    assert found is not None
    return found


def changed_part(server: FhirDouble, name: str, value: str | None) -> None:
    """Change what Provenance says that the plan was made with."""
    provenance = stored(server, f"Provenance/{server.only('Provenance')['id']}")
    (made_with,) = [e for e in provenance["extension"] if e["url"] == MADE_WITH]
    parts = [part for part in made_with["extension"] if part["url"] != name]
    made_with["extension"] = [*parts, *([{"url": name, "valueString": value}] if value else [])]


async def test_other_knowledge_is_named_even_where_the_same_comes_of_it(server: FhirDouble) -> None:
    changed_part(server, "knowledge", "2025-01-01.abc")
    found = await replayed(server)
    assert not found.same
    assert found.now is not None
    assert found.why == [f"the knowledge differs: 2025-01-01.abc then, {found.now.knowledge} now"]
    assert found.changes is None


async def test_a_criteria_set_that_is_no_more_is_named(server: FhirDouble) -> None:
    changed_part(server, "criteria", "older|0.9")
    assert (await replayed(server)).why == ["the current lists do not contain the criteria set older 0.9"]


@pytest.mark.parametrize("part", ["criteria", "knowledge"])
async def test_without_the_versions_it_was_made_with_it_cannot_be_decided(
    server: FhirDouble, part: str
) -> None:
    changed_part(server, part, None)
    found = await replayed(server)
    assert found.why == ["its Provenance does not state the knowledge and criteria of the decision"]


async def test_the_criteria_set_and_region_of_that_day_are_used(server: FhirDouble) -> None:
    assert (await replayed(server, criteria="fda", region="eu")).same


TAMPERED: dict[str, tuple[str, dict[str, Any], str]] = {
    "another decision": (
        "Condition/depression",
        {"code": {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "E11.9"}]}},
        "the decision differs: trd then, not-indicated now",
    ),
    "another plan": (
        "MedicationStatement/venlafaxine",
        {"effectivePeriod": {"start": "2025-10-05", "end": "2026-02-28"}},
        "the content of the plan differs",
    ),
    "another patient": (
        "MedicationStatement/venlafaxine",
        {"subject": {"reference": "Patient/bob"}},
        "the versions that were read can no longer be assessed: ",
    ),
}


@pytest.mark.parametrize("what", TAMPERED)
async def test_a_version_that_says_something_else_today_is_noticed(server: FhirDouble, what: str) -> None:
    reference, elements, message = TAMPERED[what]
    stored(server, reference).update(deepcopy(elements))
    found = await replayed(server)
    assert not found.same
    assert found.why[0].startswith(message)
    assert printed(found)


async def test_a_decision_that_would_write_no_plan_says_so(server: FhirDouble) -> None:
    stored(server, "MedicationStatement/venlafaxine")["status"] = "entered-in-error"
    found = await replayed(server)
    assert found.why[-1] == "no plan would be written: no plan is proposed"


BROKEN: dict[str, Callable[[Resource], object]] = {
    "of somebody else": lambda p: p.update(agent=[{"who": {"reference": "Practitioner/1"}}]),
    "without agents": lambda p: p.pop("agent"),
    "that is no FHIR": lambda p: p.update(entity="all of it"),
}


@pytest.mark.parametrize("what", BROKEN)
async def test_a_provenance_that_is_not_ours_says_nothing(server: FhirDouble, what: str) -> None:
    provenance = stored(server, f"Provenance/{server.only('Provenance')['id']}")

    def answered(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/Provenance"):
            BROKEN[what](provenance)
            page = {"resourceType": "Bundle", "entry": [{"resource": provenance}]}
            return httpx.Response(200, json=page, headers={"Content-Type": "application/fhir+json"})
        return server(request)

    found = await replay(settings(), client_of(answered), plan_reference(server))
    assert "no Provenance of this service names" in found.why[0]


async def test_versions_are_found_where_a_server_keeps_them_in_the_display_only(server: FhirDouble) -> None:
    provenance = stored(server, f"Provenance/{server.only('Provenance')['id']}")
    for target in provenance["target"]:
        target["reference"] = target["reference"].partition("/_history/")[0]
    assert (await replayed(server)).same


@pytest.mark.parametrize(
    ("name", "gone"),
    [
        ("Condition/depression", "Condition/depression"),
        ("http://elsewhere.test/Condition/depression/_history/1", "a source without a proper name"),
        ("../admin/_history/1", "a source without a proper name"),
    ],
)
async def test_only_versions_on_this_server_are_read(server: FhirDouble, name: str, gone: str) -> None:
    provenance = stored(server, f"Provenance/{server.only('Provenance')['id']}")
    provenance["entity"][0]["what"]["identifier"]["value"] = name
    assert (await replayed(server)).gone == [gone]
    assert not any("elsewhere" in path or "admin" in path for path in server.paths)


async def test_a_server_that_fails_is_a_fault(server: FhirDouble) -> None:
    def refusing(request: httpx.Request) -> httpx.Response:
        return httpx.Response(403) if "MedicationStatement" in request.url.path else server(request)

    with pytest.raises(ServerRefused):
        await replay(settings(), client_of(refusing), plan_reference(server))


async def test_a_version_that_is_no_fhir_is_a_fault_of_the_server(server: FhirDouble) -> None:
    def broken(request: httpx.Request) -> httpx.Response:
        if "/_history/" in request.url.path and "Medication" in request.url.path:
            return fhir_response(b"[]")
        return server(request)

    with pytest.raises(ServerMisread, match="GET MedicationStatement/"):
        await replay(settings(), client_of(broken), plan_reference(server))


async def test_a_server_without_provenance_has_nothing_to_go_by(server: FhirDouble) -> None:
    def less(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/Provenance"):
            return httpx.Response(404)
        answer = server(request)
        if request.url.path.endswith("/metadata"):
            kinds = [k for k in answer.json()["rest"][0]["resource"] if k["type"] != "Provenance"]
            capability = {
                "resourceType": "CapabilityStatement",
                "fhirVersion": "4.0.1",
                "rest": [{"resource": kinds}],
            }
            return httpx.Response(200, json=capability, headers={"Content-Type": "application/fhir+json"})
        return answer

    found = await replay(settings(), client_of(less), plan_reference(server))
    assert "no Provenance of this service names" in found.why[0]
