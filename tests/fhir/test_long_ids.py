"""Ids longer than FHIR allows, and with underscores, as servers in use give them, all the way through."""

import json
from http import HTTPStatus
from typing import Any

import pytest

from service.commands.replay import replay
from service.commands.written import WrittenFilter, find_written
from service.fhir.references import read_reference
from tests.fhir.double import FhirDouble
from tests.fhir.double import Write as Sent
from tests.support import (
    Resource,
    case_bundle,
    client_of,
    contents_of,
    patient_id_of,
    resources_of,
    reviewer,
    settings,
)

CASE = "medicines-inside-the-statement-or-referenced-are-read"
PROPOSED = "two-documented-failures-propose-treatment"
LONG = "_of-an.identifier~longer-than-sixty-four-characters-as-they-are-met-in-hospitals"
WAYS: dict[str, dict[str, Any]] = {
    "together": {},
    "one by one": {"transactions": False},
    "under ids of the server": {"transactions": False, "update_create": False},
    "together in R5": {"fhir_version": "5.0.0"},
}


class LongIds(FhirDouble):
    """A server that gives long ids."""

    def _create(self, write: Sent) -> Any:
        written = super()._create(write)
        if written.status != HTTPStatus.CREATED:
            return written
        assert written.resource is not None
        del self.versions[f"{write.resource['resourceType']}/{written.resource['id']}"]
        return self._keep(written.resource | {"id": f"{written.resource['id']}{LONG}"})


def lengthened(bundle: Resource) -> list[Resource]:
    """The resources of a case with long ids, and references to them."""
    resources = resources_of(bundle)
    text = json.dumps(resources)
    for one in resources:
        name = f"{one['resourceType']}/{one['id']}"
        text = text.replace(f'"{name}"', f'"{name}{LONG}"').replace(
            f'"id": "{one["id"]}"', f'"id": "{one["id"]}{LONG}"'
        )
    return json.loads(text)  # type: ignore[no-any-return]


@pytest.mark.parametrize("name", [CASE, PROPOSED])
async def test_a_record_with_long_ids_is_answered_as_any(name: str) -> None:
    bundle = case_bundle(name)
    short = await reviewer().review_patient(
        client_of(FhirDouble(resources_of(bundle))), patient_id_of(bundle)
    )
    long = await reviewer().review_patient(
        client_of(FhirDouble(lengthened(bundle))), f"{patient_id_of(bundle)}{LONG}"
    )
    assert contents_of(long.gathered) == {f"{name}{LONG}" for name in contents_of(short.gathered)}
    assert long.answer.decision == short.answer.decision
    assert [one.ingredient for one in long.answer.trials] == [one.ingredient for one in short.answer.trials]


@pytest.mark.parametrize("way", WAYS)
async def test_a_patient_with_a_long_id_is_written_for_once(way: str) -> None:
    bundle = case_bundle(PROPOSED)
    patient = f"{patient_id_of(bundle)}{LONG}"
    server = LongIds(lengthened(bundle), **WAYS[way])
    client = client_of(server)

    first = await reviewer().propose(client, patient)
    again = await reviewer().propose(client, patient)

    assert first.answer.care_plan.action == "create"
    assert again.written == ()
    plan = server.only("CarePlan")
    assert read_reference(first.answer.care_plan.reference).id_of("CarePlan") == plan["id"]
    assert plan["id"].endswith(LONG) == (WAYS[way].get("update_create") is False)
    assert plan["subject"] == {"reference": f"Patient/{patient}"}


@pytest.mark.parametrize("way", WAYS)
async def test_a_plan_with_a_long_id_is_changed_listed_and_replayed(way: str) -> None:
    bundle = case_bundle(PROPOSED)
    patient = f"{patient_id_of(bundle)}{LONG}"
    server = LongIds(lengthened(bundle), **WAYS[way])
    client = client_of(server)
    await reviewer().propose(client, patient)
    condition = server.of_type("Condition")[0]
    aneurysm = {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "I71.40"}]}
    server.put(condition | {"id": f"aneurysm{LONG}", "code": aneurysm})

    replayed = await replay(settings(), client, f"CarePlan/{server.only('CarePlan')['id']}")
    revoked = await reviewer().propose(client, patient)
    listed = [one async for one in find_written(client, WrittenFilter(patient=patient), "UTC")]

    assert (replayed.same, replayed.why) == (True, [])
    assert (revoked.answer.care_plan.action, server.only("CarePlan")["status"]) == ("revoke", "revoked")
    assert {one.written.kind for one in listed} >= {"plan", "assessment"}
    assert all(one.origin is not None for one in listed if one.written.kind == "plan")
