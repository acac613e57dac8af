"""What holds on every FHIR server that is written to: plans stand there once, and people's changes stand.

Each server's tests derive from `WriteContract` and give its address by a fixture `server`.
"""

import asyncio
import json
import ssl
import tomllib
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest

from service.core.assessment import shows_depression
from service.core.dates import PartialDate, say_date
from service.fhir.names import CONTENT_DIGEST, content_digest, edit_digest, extension_value
from service.render.guidance import guidance_id
from service.review import Proposal, Reviewer
from tests.in_r5 import as_read, as_sent, load
from tests.support import (
    CASES,
    FEW,
    IN_MEMORY,
    Resource,
    a_condition,
    case_bundle,
    case_reviewer,
    cases_of_every_server,
    client_at,
    patient_id_of,
    resources_of,
    reviewer,
)


def expected_of(name: str) -> dict[str, Any]:
    return tomllib.loads((CASES / name / "expected.toml").read_text(encoding="utf-8"))


TWO_FAILURES = "two-documented-failures-propose-treatment"
OTHERWISE_TOMORROW = {
    "a-myocardial-infarction-seven-weeks-ago-is-a-caution-in-the-eu",
    "a-myocardial-infarction-three-weeks-ago-excludes-in-the-eu",
    "a-myocardial-infarction-three-weeks-ago-is-a-caution-in-the-us",
    "a-patient-who-turns-eighteen-tomorrow-is-a-minor-whatever-else-is-wrong",
    "a-remission-score-of-sixty-days-ago-contradicts-the-problem-list",
    "a-thyroid-hormone-is-a-caution-in-the-eu",
    "one-high-score-on-a-running-medicine-is-enough",
    "suicidal-thoughts-recorded-thirty-days-ago-propose-the-acute-protocol-alone",
}
"""Cases that are about this very day."""
PROPOSED = [
    name for name in cases_of_every_server() if expected_of(name)["reason"] in {"trd", "acute-suicidality"}
]
_BESIDE = {"Device", "Task"}
"""What is written beside the outcome itself, where there is a need for it."""
PARALLEL = 20
_SECONDS = 90
"""HAPI's first validation loads its terminology, which takes half a minute."""
LOOPBACK = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""No certificates: loading those of the machine takes longer than most requests to a server on loopback."""


# --- records --------------------------------------------------------------------------------------


def load_case(server: str, name: str) -> str:
    """Load a case under ids of its own, so that no test sees another's; returns the id of its patient."""
    renamed = renamed_case(name)
    load(server, renamed)
    return patient_id_of(renamed)


def renamed_case(name: str) -> Resource:
    """The bundle of a case under ids of its own."""
    bundle = case_bundle(name)
    tag = uuid.uuid4().hex[:8]
    ids = {f"{r['resourceType']}/{r['id']}": f"{tag}-{r['id']}"[:64] for r in resources_of(bundle)}
    for resource in resources_of(bundle):
        resource["id"] = ids[f"{resource['resourceType']}/{resource['id']}"]
    renamed: Resource = json.loads(json.dumps(bundle), object_hook=lambda value: _renamed(value, ids))
    return renamed


def _renamed(value: Resource, ids: dict[str, str]) -> Resource:
    """An element with its references, and the addresses of entries, under the new ids."""
    for key in ("reference", "fullUrl"):
        before, slash, after = str(value.get(key, "")).rpartition("/")
        kind = before.rpartition("/")[2]
        if slash and f"{kind}/{after}" in ids:
            value[key] = f"{before}/{ids[f'{kind}/{after}']}"
    return value


async def propose(server: str, patient: str, *, days: int = 0, by: Reviewer | None = None) -> Proposal:
    by = by or reviewer()
    async with client_at(server) as client:
        return await by.on(by.as_of + timedelta(days=days)).propose(client, patient)


# --- what stands on the server --------------------------------------------------------------------


async def ask(
    server: str, path: str, *, method: str = "GET", body: Resource | None = None, **conditions: str
) -> httpx.Response:
    """The answer to a request; `conditions` are headers, as `if_match`."""
    headers = {"Cache-Control": "no-cache", "Content-Type": "application/fhir+json"}
    headers |= {name.replace("_", "-"): value for name, value in conditions.items()}
    way = IN_MEMORY.get(server)
    async with httpx.AsyncClient(trust_env=False, timeout=_SECONDS, verify=LOOPBACK, transport=way) as http:
        return await http.request(method, f"{server}/{path}".rstrip("/"), json=body, headers=headers)


async def read(server: str, reference: str) -> Resource:
    answer = await ask(server, reference)
    assert answer.status_code == 200, answer.text
    return as_read(server, answer.json())


async def found_by(server: str, search: str) -> list[Resource]:
    return [as_read(server, entry["resource"]) for entry in (await read(server, search)).get("entry", [])]


async def versions(server: str, reference: str) -> list[str]:
    """The versions in the history of a resource, the first one first."""
    history = await found_by(server, f"{reference}/_history?_count=50")
    return [resource["meta"]["versionId"] for resource in reversed(history)]


async def change(server: str, reference: str, **elements: object) -> None:
    """A person changes elements of a resource."""
    changed = await read(server, reference) | elements
    answer = await ask(server, reference, method="PUT", body=as_sent(server, changed))
    assert answer.is_success, answer.text


async def written_of(server: str, patient: str, done: Proposal) -> list[Resource]:
    """Everything that a proposal wrote, as it stands; checked to be what is found about the patient."""
    resources = [await read(server, f"{ref.type}/{ref.id}") for ref in done.written]
    for kind in ("CarePlan", "GuidanceResponse"):
        ours = [r for r in resources if r["resourceType"] == kind]
        assert all(r["subject"]["reference"] == f"Patient/{patient}" for r in ours)
    return resources


async def guidance_of(server: str, patient: str) -> Resource:
    """The assessment on record of a patient: under the id that we give it, else the one that is found."""
    ours = f"GuidanceResponse/{guidance_id(patient)}"
    if (await ask(server, ours)).is_success:
        return await read(server, ours)
    (guidance,) = await found_by(server, f"GuidanceResponse?patient={patient}")
    return guidance


async def writers_of(server: str, resources: list[Resource]) -> set[str]:
    """The names of the Devices that are said to have written resources."""
    agents = {agent["who"]["reference"] for one in resources for agent in one.get("agent", [])}
    return {(await read(server, agent))["deviceName"][0]["name"] for agent in agents}


def session_dates(plan: Resource) -> list[str]:
    """The days of the sessions, in order of time; a server may keep activities in another order."""
    timings = [a["detail"].get("scheduledTiming", {}) for a in plan["activity"] if "kind" in a["detail"]]
    return sorted(event for timing in timings for event in timing["event"])


# --- edits of a person ----------------------------------------------------------------------------


def _activated(_: Resource) -> Resource:
    return {"status": "active"}


def _noted(plan: Resource) -> Resource:
    return {"note": [*plan.get("note", []), {"text": "She prefers mornings."}]}


def _moved(plan: Resource) -> Resource:
    activity = plan["activity"]
    session = next(a for a in activity if "kind" in a["detail"])
    session["detail"]["scheduledTiming"] = {"event": ["2026-12-01"]}
    return {"activity": activity}


def _ticked(plan: Resource) -> Resource:
    activity = plan["activity"]
    next(a for a in activity if "kind" in a["detail"])["detail"]["status"] = "completed"
    return {"activity": activity}


EDITS: dict[str, Callable[[Resource], dict[str, Any]]] = {
    "activated": _activated,
    "noted": _noted,
    "moved": _moved,
    "ticked": _ticked,
}


class WriteContract:
    """The tests of a server; a class that derives from this one gives the fixture `server`.

    `refuses_a_lost_race` is whether the server tells apart two who create the same resource at once; one
    that does not makes several versions, which then say the same.
    """

    refuses_a_lost_race = True

    async def examine(self, server: str, resources: list[Resource]) -> None:
        """What else a server can say of all that was written about a case."""

    @pytest.mark.parametrize("name", cases_of_every_server())
    async def test_a_case_is_written_once(self, server: str, name: str) -> None:
        patient = load_case(server, name)
        by = case_reviewer(name)

        done = await propose(server, patient, by=by)

        resources = await written_of(server, patient, done)
        await self.examine(server, resources)
        kinds = [one["resourceType"] for one in resources if one["resourceType"] not in _BESIDE]
        decision = done.answer.decision.value
        assert kinds == [
            *(["CarePlan"] if decision == "propose" else []),
            *(
                ["GuidanceResponse", "Provenance"]
                if shows_depression(done.review.decision.assessment)
                else []
            ),
        ]
        assert await writers_of(server, resources) == ({"trd-careplan"} if "Provenance" in kinds else set())
        later = 0 if name in OTHERWISE_TOMORROW else 2
        again = await propose(server, patient, by=by, days=later)
        assert again.written == ()
        for reference in done.written:
            if reference.type != "Device":
                assert await versions(server, f"{reference.type}/{reference.id}") == ["1"]

    @pytest.mark.parametrize("name", PROPOSED)
    async def test_a_plan_read_back_is_not_taken_as_edited(self, server: str, name: str) -> None:
        patient = load_case(server, name)
        done = await propose(server, patient, by=case_reviewer(name))
        assert done.review.intent.plan is not None
        async with client_at(server) as client:
            review = await case_reviewer(name).review_patient(client, patient)
        (plan,) = review.record.plans
        assert plan.is_untouched_draft
        assert plan.content == extension_value(done.review.intent.plan, CONTENT_DIGEST)
        stored = await read(server, f"CarePlan/{plan.evidence.id}")
        assert edit_digest(stored) == edit_digest(done.review.intent.plan)
        assert sorted(day.isoformat() for day in plan.sessions) == session_dates(stored)

    async def test_the_plan_stands_there_with_its_dates(self, server: str) -> None:
        patient = load_case(server, TWO_FAILURES)
        done = await propose(server, patient)
        (plan,) = await found_by(server, f"CarePlan?patient={patient}")
        assert f"CarePlan/{plan['id']}" == done.answer.care_plan.reference
        assert done.answer.schedule is not None
        assert session_dates(plan) == [s.date.isoformat() for s in done.answer.schedule.sessions]
        assert len(session_dates(plan)) == 12
        days = [PartialDate.parse(day) for day in session_dates(plan)]
        assert all(say_date(day) in plan["text"]["div"] for day in days)
        guidance = await guidance_of(server, patient)
        assert guidance["result"]["reference"] == f"CarePlan/{plan['id']}"

    @pytest.mark.parametrize("edit", EDITS)
    async def test_an_edit_of_a_person_stands(self, server: str, edit: str) -> None:
        patient = load_case(server, TWO_FAILURES)
        plan = (await propose(server, patient)).answer.care_plan.reference
        assert plan is not None
        await change(server, plan, **EDITS[edit](await read(server, plan)))
        edited = await read(server, plan)

        done = await propose(server, patient)

        assert done.answer.care_plan.action == "leave"
        assert await versions(server, plan) == ["1", "2"]
        assert await read(server, plan) == edited
        assert (await propose(server, patient, days=2)).written == ()

    async def test_a_changed_record_revokes_and_proposes_anew(self, server: str) -> None:
        patient = load_case(server, TWO_FAILURES)
        old = (await propose(server, patient)).answer.care_plan.reference
        assert old is not None
        code = {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "I71.40"}]}
        aneurysm = a_condition(f"{patient}-aneurysm", patient, code=code)
        load(server, [aneurysm])

        revoked = await propose(server, patient)

        assert (revoked.answer.care_plan.action, revoked.answer.care_plan.reference) == ("revoke", old)
        assert (await read(server, old))["status"] == "revoked"
        assert "Revoked by the service" in (await read(server, old))["text"]["div"]
        assert (await propose(server, patient, days=2)).written == ()
        refuted = {"coding": [{"system": _VERIFICATION, "code": "entered-in-error"}]}
        without_status = {k: v for k, v in aneurysm.items() if k != "clinicalStatus"}
        load(server, [without_status | {"verificationStatus": refuted}])
        new = (await propose(server, patient)).answer.care_plan.reference
        assert new is not None
        assert [one["reference"] for one in (await read(server, new))["replaces"]] == [old]
        assert (await propose(server, patient, days=2)).written == ()
        assert await versions(server, old) == ["1", "2"]
        assert await versions(server, new) == ["1"]

    async def test_many_at_once_make_one_plan_of_one_version(self, server: str) -> None:
        patient = load_case(server, TWO_FAILURES)

        async with client_at(server, fhir_connections=PARALLEL) as client:
            done = await asyncio.gather(*(reviewer().propose(client, patient) for _ in range(PARALLEL)))

        (plan,) = await found_by(server, f"CarePlan?patient={patient}")
        assert {one.answer.care_plan.reference for one in done} == {f"CarePlan/{plan['id']}"}
        guidance = await guidance_of(server, patient)
        for reference in (f"CarePlan/{plan['id']}", f"GuidanceResponse/{guidance['id']}"):
            history = await found_by(server, f"{reference}/_history?_count=50")
            assert len({content_digest(version) for version in history}) == 1
            if self.refuses_a_lost_race:
                assert [version["meta"]["versionId"] for version in history] == ["1"]
        for one in done:
            assert one.answer.care_plan.action in {"create", "none"}
        assert (await propose(server, patient)).written == ()

    async def test_many_patients_at_once_have_one_plan_each(self, server: str) -> None:
        patients = [load_case(server, TWO_FAILURES) for _ in range(PARALLEL)]

        async with client_at(server, fhir_connections=PARALLEL) as client:
            done = await asyncio.gather(*(reviewer().propose(client, patient) for patient in patients))

        plans = [one.answer.care_plan.reference for one in done]
        assert len(set(plans)) == PARALLEL
        for plan in plans:
            assert await versions(server, plan or "") == ["1"]


class WriteContractOfFewCases(WriteContract):
    """The contract over fewer cases, for one more way in which a server is written to."""

    @pytest.mark.parametrize("name", FEW)
    async def test_a_case_is_written_once(self, server: str, name: str) -> None:
        await super().test_a_case_is_written_once(server, name)

    @pytest.mark.parametrize("name", [name for name in FEW if name in PROPOSED])
    async def test_a_plan_read_back_is_not_taken_as_edited(self, server: str, name: str) -> None:
        await super().test_a_plan_read_back_is_not_taken_as_edited(server, name)


_VERIFICATION = "http://terminology.hl7.org/CodeSystem/condition-ver-status"
