"""The release of FHIR that a server speaks is what it says, and chooses how it is read and written to."""

import json
import sys
from collections.abc import AsyncIterator
from copy import deepcopy
from datetime import timedelta

import pytest

from service.commands.publish import publish_to_server
from service.commands.replay import replay
from service.commands.withdraw import WithdrawalOutcome, sort_out, withdraw
from service.commands.written import WrittenFilter, find_written
from service.core.plans import PlanAction
from service.core.records import PlanStatus
from service.doors.outcome import IssueType, failure_of
from service.errors import ServerRefused, ServerUnsupported
from service.fhir.client import FhirClient
from service.fhir.r5.plans import plan_in_r4
from service.fhir.release import Release, release_of
from service.gather.everything import gather
from service.render.guidance import guidance_id
from service.review import Proposal
from tests.fhir.double import FhirDouble
from tests.in_r5 import in_r5
from tests.support import (
    AS_OF,
    Resource,
    a_condition,
    a_medication,
    a_patient,
    case_answer,
    case_bundle,
    case_reviewer,
    client_of,
    each_case_of_servers,
    patient_id_of,
    resources_of,
    reviewer,
    settings,
)

TWO_FAILURES = "two-documented-failures-propose-treatment"
PATIENT = "propose-two"
GUIDANCE = f"GuidanceResponse/{guidance_id(PATIENT)}"

# --- the client -----------------------------------------------------------------------------------

STATEMENT = {
    "resourceType": "MedicationStatement",
    "id": "it",
    "status": "recorded",
    "subject": {"reference": "Patient/ann"},
    "medication": {"reference": {"reference": "Medication/m"}},
    "adherence": {"code": {"coding": [{"code": "taking"}]}},
}
PROVENANCE = {
    "resourceType": "Provenance",
    "id": "it",
    "target": [{"reference": "Patient/ann"}],
    "recorded": "2026-11-23T10:00:00Z",
    "reason": [{"text": "because"}],
    "agent": [{"who": {"reference": "#device"}}],
    "contained": [
        {
            "resourceType": "Device",
            "id": "device",
            "deviceName": [{"name": "it", "type": "user-friendly-name"}],
            "type": {"text": "Software"},
        }
    ],
}


async def resources_in(client: FhirClient, path: str) -> AsyncIterator[Resource]:
    async for page in client.pages(path, {}):
        for entry in page.entry:
            yield json.loads(bytes(entry.resource))


async def handed_out(client: FhirClient) -> dict[str, Resource | None]:
    """One resource in each way that the client reads."""
    path = "MedicationStatement/it"
    name = ("http://example.org", "it")
    return {
        "get": json.loads(await client.get(path)),
        "get_if_there": json.loads(await client.get_if_there(path) or b"null"),
        "find": await client.find(path),
        "find_by": await client.find_by("MedicationStatement", *name),
        "pages": await anext(resources_in(client, "MedicationStatement")),
        "history": await anext(resources_in(client, f"{path}/_history")),
    }


@pytest.mark.parametrize("way", ["get", "get_if_there", "find", "find_by", "pages", "history"])
@pytest.mark.parametrize("version", ["4.0.1", "5.0.0"])
async def test_whatever_is_handed_out_is_r4(version: str, way: str) -> None:
    identifier = [{"system": "http://example.org", "value": "it"}]
    r5 = STATEMENT | {"identifier": identifier}
    server = FhirDouble([r5], version)
    found = (await handed_out(client_of(server)))[way]
    assert found is not None
    if version == "4.0.1":
        assert found["medication"] == STATEMENT["medication"]
    else:
        assert (found["status"], found["medicationReference"]) == ("active", {"reference": "Medication/m"})


async def test_a_kind_that_the_releases_agree_on_is_read_without_asking_for_the_release() -> None:
    server = FhirDouble([a_condition("it")], "5.0.0")
    assert json.loads(await client_of(server).get("Condition/it"))["id"] == "it"
    assert not any(path.endswith("metadata") for path in server.paths)


@pytest.mark.parametrize("way", ["put", "create", "transact"])
async def test_whatever_is_written_is_in_the_release_of_the_server(way: str) -> None:
    server = FhirDouble([a_patient()], "5.0.0")
    client = client_of(server)
    match way:
        case "put":
            await client.put(PROVENANCE)
        case "create":
            await client.create({key: value for key, value in PROVENANCE.items() if key != "id"})
        case _:
            request = {"method": "PUT", "url": "Provenance/it"}
            await client.transact([{"resource": PROVENANCE, "request": request}])
    stored = server.only("Provenance")
    assert stored["authorization"] == [{"concept": {"text": "because"}}]
    (device,) = stored["contained"]
    assert (device["name"], device["type"]) == (
        [{"value": "it", "type": "user-friendly-name"}],
        [{"text": "Software"}],
    )
    read = await client.find(f"Provenance/{stored['id']}")
    assert read is not None
    assert (read["reason"], read["contained"]) == (PROVENANCE["reason"], PROVENANCE["contained"])


async def test_an_earlier_version_is_put_back_as_it_was() -> None:
    """Not by way of R4, which does not say all that R5 says."""
    before = STATEMENT | {"relatedClinicalInformation": [{"reference": "Observation/1"}]}
    others = [a_patient(), a_medication("m"), {"resourceType": "Observation", "id": "1"}]
    server = FhirDouble([*others, before, STATEMENT | {"status": "draft"}], "5.0.0")
    client = client_of(server)

    latest, earlier = await client.last_versions("MedicationStatement/it", 2)
    await client.put_back("MedicationStatement/it", earlier, only_over="2")

    assert json.loads(latest)["status"] == "draft"
    restored = server.read("MedicationStatement/it")
    assert {k: v for k, v in restored.items() if k != "meta"} == before
    with pytest.raises(ServerRefused):
        await client.put_back("MedicationStatement/it", earlier, only_over="2")


# --- the choice -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "release"),
    [
        ("4.0.1", Release.R4),
        ("4.0", Release.R4),
        ("4.3.0", Release.R4),
        ("5.0.0", Release.R5),
        ("5.0.0-ballot", Release.R5),
    ],
)
def test_the_release_is_chosen_by_the_version(version: str, release: Release) -> None:
    assert release_of(version) is release


@pytest.mark.parametrize("version", ["3.0.2", "1.0.2", "4.1.0", "4.6.0", "6.0.0", "50.0.0", "5"])
def test_any_other_version_is_refused_by_name(version: str) -> None:
    with pytest.raises(ServerUnsupported, match=rf"FHIR {version};.* 4\.0, 4\.3 and 5\.0"):
        release_of(version)


@pytest.mark.parametrize("version", [None, "", "R5", "Mrs. Miller", "5.0; x"])
def test_what_is_no_version_is_not_repeated(version: str | None) -> None:
    with pytest.raises(ServerUnsupported, match=r"^GET metadata: the server does not say its FHIR version;"):
        release_of(version)


@pytest.mark.parametrize("version", ["3.0.2", None])
async def test_a_server_of_another_release_is_not_read(version: str | None) -> None:
    server = FhirDouble(resources_of(case_bundle(TWO_FAILURES)), version)
    with pytest.raises(ServerUnsupported) as caught:
        await gather(client_of(server), PATIENT, reviewer().knowledge)
    assert server.paths == ["metadata"]
    assert failure_of(caught.value)[:2] == (502, IssueType.NOT_SUPPORTED)


async def test_a_server_of_r4b_is_one_of_r4() -> None:
    r4, r4b = (FhirDouble(resources_of(case_bundle(TWO_FAILURES)), v) for v in ("4.0.1", "4.3.0"))
    await propose(r4)
    await propose(r4b)
    assert bodies(r4) == bodies(r4b)


def bodies(server: FhirDouble) -> list[Resource]:
    entries = [entry["resource"] for bundle in server.posted for entry in bundle["entry"]]
    return [{k: v for k, v in resource.items() if k != "recorded"} for resource in entries]


async def test_nothing_of_r5_is_loaded_for_a_server_of_r4(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "service.fhir.r5", raising=False)
    await propose(FhirDouble(resources_of(case_bundle(TWO_FAILURES))))
    assert "service.fhir.r5" not in sys.modules


# --- reading and writing --------------------------------------------------------------------------


@pytest.fixture
def server() -> FhirDouble:
    return a_server_of_r5(TWO_FAILURES)


def a_server_of_r5(name: str) -> FhirDouble:
    return FhirDouble((in_r5(r) for r in resources_of(case_bundle(name))), "5.0.0")


async def propose(server: FhirDouble, *, days: int = 0) -> Proposal:
    return await reviewer().on(AS_OF + timedelta(days=days)).propose(client_of(server), PATIENT)


@each_case_of_servers
async def test_a_case_in_r5_is_answered_as_in_r4(name: str) -> None:
    client = client_of(a_server_of_r5(name))
    review = await case_reviewer(name).review_patient(client, patient_id_of(case_bundle(name)))
    answer, expected = (json.loads(text) for text in (review.answer.model_dump_json(), case_answer(name)))
    # a server gives each resource a first version; the files have versions of their own
    assert unversioned(answer) == unversioned(expected)


def unversioned(value: object) -> object:
    if isinstance(value, dict):
        return {key: unversioned(part) for key, part in value.items()}
    if isinstance(value, list):
        return [unversioned(part) for part in value]
    return value.partition("/_history/")[0] if isinstance(value, str) else value


async def test_what_is_written_is_r5(server: FhirDouble) -> None:
    done = await propose(server)

    assert [reference.type for reference in done.written] == [
        "Device",
        "CarePlan",
        "GuidanceResponse",
        "Provenance",
    ]
    plan, guidance, device = (server.only(kind) for kind in ("CarePlan", "GuidanceResponse", "Device"))
    assert all("detail" not in activity for activity in plan["activity"])
    assert plan["custodian"] == {"reference": "Device/trd-careplan"}
    assert "author" not in plan
    assert guidance["result"] == [{"reference": f"CarePlan/{plan['id']}"}]
    assert device["name"] == [{"value": "trd-careplan", "type": "user-friendly-name"}]
    assert device["type"] == [{"text": "Clinical decision support software"}]
    assert "deviceName" not in device


async def test_a_second_run_writes_nothing(server: FhirDouble) -> None:
    await propose(server)
    again = await propose(server, days=2)
    assert again.written == ()
    assert again.answer.care_plan.action == PlanAction.NONE
    assert len(server.posted) == 1


async def test_a_plan_that_no_search_lists_is_found_by_its_id(server: FhirDouble) -> None:
    await propose(server)
    server.unlisted.add(f"CarePlan/{server.only('CarePlan')['id']}")
    again = await propose(server)
    assert again.written == ()
    (plan,) = again.review.record.plans
    assert plan.is_untouched_draft
    assert len(plan.sessions) == 12


async def test_a_changed_record_updates_revokes_and_proposes_anew(server: FhirDouble) -> None:
    await propose(server)
    old = server.only("CarePlan")["id"]
    code = {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "I71.40"}]}
    server.put(a_condition("aneurysm", PATIENT, code=code))

    revoked = await propose(server)

    assert revoked.answer.care_plan.action == PlanAction.REVOKE
    plan = server.read(f"CarePlan/{old}")
    assert plan["status"] == "revoked"
    assert len(plan["contained"]) == len(plan["activity"])
    assert "result" not in server.read(GUIDANCE)
    assert (await propose(server, days=2)).written == ()
    (on_record,) = (await propose(server, days=2)).review.record.plans
    assert (on_record.status, on_record.edited) == (PlanStatus.REVOKED, False)

    server.delete("Condition/aneurysm")
    renewed = await propose(server)
    assert renewed.answer.care_plan.action == PlanAction.CREATE
    (new,) = (p for p in server.of_type("CarePlan") if p["id"] != old)
    assert new["replaces"] == [{"reference": f"CarePlan/{old}"}]


async def test_an_edit_in_r5_stands(server: FhirDouble) -> None:
    await propose(server)
    (plan,) = server.of_type("CarePlan")
    contained = deepcopy(plan["contained"])
    session = next(one for one in contained if one["resourceType"] == "MedicationRequest")
    session["dosageInstruction"][0]["timing"] = {"event": ["2026-12-01"]}
    server.change(f"CarePlan/{plan['id']}", contained=contained)

    done = await propose(server)

    assert done.answer.care_plan.action == PlanAction.LEAVE
    (on_record,) = done.review.record.plans
    assert on_record.edited
    assert on_record.sessions[0].isoformat() == "2026-12-01"
    assert "CarePlan" not in {reference.type for reference in done.written}


async def test_the_commands_over_plans_know_r5(server: FhirDouble) -> None:
    await propose(server)
    client, plan = client_of(server), f"CarePlan/{server.only('CarePlan')['id']}"

    again = await replay(settings(), client, plan)
    assert (again.same, again.why, again.gone) == (True, [], [])
    assert again.cause == "other"

    found = [one async for one in find_written(client, WrittenFilter(patient=PATIENT), "UTC")]
    assert [(one.written.kind, one.written.edited) for one in found] == [
        ("plan", False),
        ("assessment", False),
    ]
    assert [one.written.cause for one in found] == ["other"] * 2
    drafts, left = sort_out(found)
    done = [one async for one in withdraw(client, settings(), drafts, "She moved away")]
    assert ([one.outcome for one in done], left) == ([WithdrawalOutcome.WITHDRAWN], [])
    assert server.read(plan)["status"] == "revoked"
    assert server.of_type("Provenance")[-1]["authorization"][0]["concept"]["text"] == "She moved away"
    (withdrawn,) = (await propose(server)).review.record.plans
    assert not withdrawn.edited


async def test_definitions_of_r4_are_not_loaded_into_a_server_of_r5(server: FhirDouble) -> None:
    with pytest.raises(ServerUnsupported, match="definitions"):
        await publish_to_server(client_of(server), settings(), reviewer().knowledge)
    assert server.posted == []


async def test_the_plan_in_r5_is_the_plan_in_r4(server: FhirDouble) -> None:
    r4 = FhirDouble(resources_of(case_bundle(TWO_FAILURES)))
    await propose(server)
    await propose(r4)
    assert plan_in_r4(server.only("CarePlan")) == r4.only("CarePlan")
