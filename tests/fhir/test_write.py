"""Writing back, against a server in memory: one transaction, once, and never over what a person did."""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import httpx
import pytest

from service import __version__
from service.cause import Cause
from service.errors import NotAssessable, ServerMisread, ServerRefused
from service.fhir.names import PLAN_IDENTIFIER
from service.render.guidance import guidance_id
from service.review import Proposal, Reviewer
from tests.fhir.double import FhirDouble
from tests.support import (
    AS_OF,
    RXNORM,
    Resource,
    a_condition,
    a_patient,
    a_statement,
    client_of,
    fhir_response,
    reviewer,
    settings,
)

ICD = "http://hl7.org/fhir/sid/icd-10-cm"
VENLAFAXINE = {"coding": [{"system": RXNORM, "code": "39786", "display": "venlafaxine"}]}
MIRTAZAPINE = {"coding": [{"system": RXNORM, "code": "15996", "display": "mirtazapine"}]}
GUIDANCE = f"GuidanceResponse/{guidance_id('ann')}"


def a_resistant_record() -> list[Resource]:
    """Two antidepressants failed in this episode."""
    second = {"start": "2025-10-05", "end": "2026-01-31"}
    return [
        a_patient(),
        a_condition("depression"),
        a_statement("sertraline"),
        a_statement("venlafaxine", medicationCodeableConcept=VENLAFAXINE, effectivePeriod=second),
    ]


def an_aneurysm() -> Resource:
    return a_condition("aneurysm", code={"coding": [{"system": ICD, "code": "I71.40"}]})


def a_third_failure() -> Resource:
    period = {"start": "2026-02-10", "end": "2026-06-30"}
    return a_statement("mirtazapine", medicationCodeableConcept=MIRTAZAPINE, effectivePeriod=period)


def a_plan_of_somebody_else(status: str = "active", **elements: object) -> Resource:
    product = {"coding": [{"system": RXNORM, "code": "2119365", "display": "esketamine"}]}
    return {
        "resourceType": "CarePlan",
        "id": "theirs",
        "status": status,
        "intent": "plan",
        "subject": {"reference": "Patient/ann"},
        "activity": [{"detail": {"status": "in-progress", "productCodeableConcept": product}}],
        **elements,
    }


@pytest.fixture
def server() -> FhirDouble:
    return FhirDouble(a_resistant_record())


async def propose(server: FhirDouble, *, days: int = 0, by: Reviewer | None = None) -> Proposal:
    reviewing = (by or reviewer()).on(AS_OF + timedelta(days=days))
    return await reviewing.propose(client_of(server), "ann")


def plan_reference(server: FhirDouble) -> str:
    return f"CarePlan/{server.only('CarePlan')['id']}"


def requests_of(bundle: Resource) -> dict[str, Resource]:
    """The requests of a transaction by the type that they write."""
    return {entry["resource"]["resourceType"]: entry["request"] for entry in bundle["entry"]}


# --- the first time -------------------------------------------------------------------------------


async def test_a_first_proposal_is_one_transaction(server: FhirDouble) -> None:
    done = await propose(server)

    (sent,) = server.posted
    assert (sent["resourceType"], sent["type"]) == ("Bundle", "transaction")
    kinds = [entry["resource"]["resourceType"] for entry in sent["entry"]]
    assert kinds == ["Device", "CarePlan", "GuidanceResponse", "Provenance"]
    for entry in sent["entry"]:
        resource = entry["resource"]
        url = f"{resource['resourceType']}/{resource['id']}"
        claimed = resource["resourceType"] in {"CarePlan", "GuidanceResponse"}
        condition = {"ifMatch": 'W/"0"'} if claimed else {}
        assert entry["request"] == {"method": "PUT", "url": url, **condition}
        assert entry["fullUrl"].startswith("urn:uuid:")
    assert len({entry["fullUrl"] for entry in sent["entry"]}) == 4
    plan = server.only("CarePlan")
    assert [str(reference) for reference in done.written] == [
        "Device/trd-careplan/_history/1",
        f"CarePlan/{plan['id']}/_history/1",
        f"{GUIDANCE}/_history/1",
        f"Provenance/{server.only('Provenance')['id']}/_history/1",
    ]
    assert done.answer.care_plan.action == "create"
    assert done.answer.care_plan.reference == f"CarePlan/{plan['id']}"


async def test_what_is_written_refers_to_each_other(server: FhirDouble) -> None:
    await propose(server)

    plan, guidance = server.only("CarePlan"), server.only("GuidanceResponse")
    provenance, device = server.only("Provenance"), server.only("Device")
    author = {"reference": "Device/trd-careplan"}
    assert device["version"] == [{"value": __version__}]
    assert plan["author"] == guidance["performer"] == provenance["agent"][0]["who"] == author
    assert plan["addresses"] == [{"reference": "Condition/depression"}]
    assert [i["system"] for i in plan["identifier"]] == [PLAN_IDENTIFIER]
    assert guidance["result"] == {"reference": f"CarePlan/{plan['id']}"}
    targets = [target["reference"] for target in provenance["target"]]
    assert targets == [f"CarePlan/{plan['id']}/_history/1", f"{GUIDANCE}/_history/1"]
    sources = [entity["what"]["identifier"]["value"] for entity in provenance["entity"]]
    assert sources == [
        "Condition/depression/_history/1",
        "MedicationStatement/sertraline/_history/1",
        "MedicationStatement/venlafaxine/_history/1",
        "Patient/ann/_history/1",
    ]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+\+00:00", provenance["recorded"])


async def test_the_cause_is_told_and_decides_nothing(server: FhirDouble) -> None:
    await reviewer().propose(client_of(server), "ann", cause=Cause.SWEEP)
    assert server.only("Provenance")["reason"][0]["coding"][0]["code"] == "sweep"

    for cause in Cause:
        assert (await reviewer().propose(client_of(server), "ann", cause=cause)).written == ()


async def test_ids_say_nothing_of_the_patient(server: FhirDouble) -> None:
    await propose(server)
    for kind in ("CarePlan", "GuidanceResponse", "Provenance"):
        assert re.fullmatch(r"trd-[0-9a-f]{40}", server.only(kind)["id"])


# --- again ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("days", [0, 1, 2, 7])
async def test_a_second_run_posts_nothing(server: FhirDouble, days: int) -> None:
    await propose(server)
    plan = plan_reference(server)

    again = await propose(server, days=days)

    assert len(server.posted) == 1
    assert again.written == ()
    assert again.answer.care_plan.action == "none"
    assert again.answer.care_plan.reference == plan


async def test_a_draft_that_has_come_and_gone_gets_new_dates(server: FhirDouble) -> None:
    await propose(server)
    before = server.only("CarePlan")

    done = await propose(server, days=8)

    after = server.only("CarePlan")
    assert done.answer.care_plan.action == "update"
    assert (before["period"]["start"], after["period"]["start"]) == ("2026-11-30", "2026-12-08")
    assert after["created"] == before["created"] == "2026-11-23"
    assert after["id"] == before["id"]


async def test_a_changed_record_updates_the_draft_that_was_read(server: FhirDouble) -> None:
    await propose(server)
    plan = plan_reference(server)
    server.put(a_third_failure())

    done = await propose(server)

    requests = requests_of(server.posted[1])
    assert set(requests) == {"CarePlan", "GuidanceResponse", "Provenance"}
    assert requests["CarePlan"] == {"method": "PUT", "url": plan, "ifMatch": 'W/"1"'}
    assert requests["GuidanceResponse"] == {"method": "PUT", "url": GUIDANCE, "ifMatch": 'W/"1"'}
    assert "ifMatch" not in requests["Provenance"]
    assert done.answer.care_plan.action == "update"
    assert "Mirtazapine" in server.only("CarePlan")["description"]
    assert len(server.of_type("Provenance")) == 2
    targets = [t["reference"] for t in server.posted[1]["entry"][-1]["resource"]["target"]]
    assert targets == [f"{plan}/_history/2", f"{GUIDANCE}/_history/2"]
    assert (await propose(server, days=2)).written == ()


async def test_versions_that_are_no_numbers_are_matched_as_they_are(server: FhirDouble) -> None:
    server.name_version = "v{}".format
    await propose(server)
    plan = plan_reference(server)
    server.put(a_third_failure())

    await propose(server)

    assert requests_of(server.posted[1])["CarePlan"]["ifMatch"] == 'W/"v1"'
    targets = [t["reference"] for t in server.posted[1]["entry"][-1]["resource"]["target"]]
    assert targets == [plan, GUIDANCE]
    assert (await propose(server)).written == ()


async def test_a_new_release_writes_its_device_with_the_next_change(server: FhirDouble) -> None:
    await propose(server)
    server.change("Device/trd-careplan", version=[{"value": "0.0.0"}])
    assert (await propose(server)).written == ()
    server.put(a_third_failure())
    await propose(server)
    assert set(requests_of(server.posted[1])) == {"Device", "CarePlan", "GuidanceResponse", "Provenance"}


# --- a plan that is no longer supported -----------------------------------------------------------


async def test_a_contraindication_revokes_the_draft(server: FhirDouble) -> None:
    await propose(server)
    plan = plan_reference(server)
    server.put(an_aneurysm())

    done = await propose(server)

    revoked = server.read(plan)
    assert requests_of(server.posted[1])["CarePlan"]["ifMatch"] == 'W/"1"'
    assert (done.answer.care_plan.action, done.answer.care_plan.reference) == ("revoke", plan)
    assert revoked["status"] == "revoked"
    assert revoked["note"][-1]["text"].startswith("Revoked by the service that proposed it. No esketamine")
    assert "Aneurysmal vascular disease" in revoked["description"]
    assert "Revoked by the service" in revoked["text"]["div"]
    assert revoked["activity"] == server.versions[plan][0]["activity"]  # type: ignore[index]
    assert (await propose(server, days=3)).written == ()
    assert (await propose(server)).answer.care_plan.action == "none"


async def test_extensions_of_others_survive_a_revocation(server: FhirDouble) -> None:
    await propose(server)
    plan = plan_reference(server)
    theirs = {"url": "http://example.org/priority", "valueCode": "high"}
    server.change(plan, extension=[theirs, *server.read(plan)["extension"]])
    server.put(an_aneurysm())

    await propose(server)

    extensions = server.read(plan)["extension"]
    assert theirs in extensions
    assert len(extensions) == 3


async def test_a_patient_eligible_again_gets_a_new_plan_that_replaces_the_old(server: FhirDouble) -> None:
    await propose(server)
    old = plan_reference(server)
    server.put(an_aneurysm())
    await propose(server)
    server.change("Condition/aneurysm", verificationStatus={"coding": [{"code": "entered-in-error"}]})

    done = await propose(server)

    new = done.answer.care_plan.reference
    assert done.answer.care_plan.action == "create"
    assert new is not None
    assert new != old
    assert server.read(new)["replaces"] == [{"reference": old}]
    assert (server.read(new)["status"], server.read(old)["status"]) == ("draft", "revoked")
    again = await propose(server, days=2)
    assert again.written == ()
    assert again.answer.care_plan.reference == new


async def test_a_plan_replaced_twice_stays_as_it_is(server: FhirDouble) -> None:
    for _ in range(3):
        await propose(server)
        server.put(an_aneurysm())
        await propose(server)
        server.change("Condition/aneurysm", verificationStatus={"coding": [{"code": "entered-in-error"}]})
    await propose(server)

    assert (await propose(server, days=2)).written == ()
    assert sorted(plan["status"] for plan in server.of_type("CarePlan")) == ["draft"] + 3 * ["revoked"]


async def test_a_question_that_reopens_leaves_the_draft(server: FhirDouble) -> None:
    await propose(server)
    plan = plan_reference(server)
    server.change(
        "MedicationStatement/venlafaxine", effectivePeriod={"start": "2025-10", "end": "2025-11-20"}
    )

    done = await propose(server)

    assert (done.answer.decision, done.answer.care_plan.action) == ("needs-information", "leave")
    assert len(server.versions[plan]) == 1
    guidance = server.read(GUIDANCE)
    assert guidance["status"] == "data-required"
    assert {"type": "MedicationStatement"} in guidance["dataRequirement"]
    assert (await propose(server, days=2)).written == ()


# --- what people did ------------------------------------------------------------------------------

WHAT_PEOPLE_DO: dict[str, Callable[[FhirDouble, str], object]] = {
    "activated it": lambda server, plan: server.change(plan, status="active"),
    "put it on hold": lambda server, plan: server.change(plan, status="on-hold"),
    "completed it": lambda server, plan: server.change(plan, status="completed"),
    "revoked it": lambda server, plan: server.change(plan, status="revoked"),
    "wrote a note": lambda server, plan: server.change(plan, note=[{"text": "Ask her first"}]),
    "deleted it": lambda server, plan: server.delete(plan),
    "made their own draft": lambda server, _: server.put(a_plan_of_somebody_else("draft")),
}


@pytest.mark.parametrize("did", WHAT_PEOPLE_DO)
async def test_what_a_person_did_stands(server: FhirDouble, did: str) -> None:
    await propose(server)
    plan = plan_reference(server)
    WHAT_PEOPLE_DO[did](server, plan)
    before = {reference: len(history) for reference, history in server.versions.items()}

    done = await propose(server)

    assert done.answer.care_plan.action == "leave"
    after = {r: len(h) for r, h in server.versions.items() if r.startswith("CarePlan/")}
    assert after == {r: n for r, n in before.items() if r.startswith("CarePlan/")}
    assert len(server.versions[GUIDANCE]) == 2, "the assessment says why the plan is left"
    for days in (0, 1, 2, 9, *([] if did == "activated it" else [30])):
        assert (await propose(server, days=days)).written == (), f"{days} days later"


async def test_an_assessment_says_that_sessions_of_an_active_plan_were_missed(server: FhirDouble) -> None:
    await propose(server)
    server.change(plan_reference(server), status="active")
    await propose(server)

    done = await propose(server, days=30)

    assert {reference.type for reference in done.written} == {"GuidanceResponse", "Provenance"}
    assert "6 missed" in done.answer.summary
    assert (await propose(server, days=30)).written == ()


async def test_an_assessment_of_a_treatment_is_written_when_something_happens_not_with_time(
    server: FhirDouble,
) -> None:
    await propose(server)
    server.change(plan_reference(server), status="active")
    server.put(a_session_given("2026-11-30"))
    first = await propose(server, days=7)
    assert {reference.type for reference in first.written} == {"GuidanceResponse", "Provenance"}
    assert _counted(server) == {"given": 1, "missed": 0, "planned": 11}

    assert (await propose(server, days=8)).written == ()
    server.put(a_session_given("2026-12-03"))
    assert GUIDANCE in {f"{one.type}/{one.id}" for one in (await propose(server, days=10)).written}
    assert _counted(server) == {"given": 2, "missed": 0, "planned": 10}


async def test_another_week_of_treatment_alone_writes_nothing(server: FhirDouble) -> None:
    await propose(server)
    server.change(plan_reference(server), status="active")
    server.put(a_session_given("2026-11-30"))
    sunday = await propose(server, days=13)
    monday = await propose(server, days=14)

    weeks = [one.answer.treatment.week for one in (sunday, monday) if one.answer.treatment]
    assert weeks == [1, 2]
    assert monday.written == ()


def a_session_given(day: str) -> Resource:
    return {
        "resourceType": "MedicationAdministration",
        "id": f"session-{day}",
        "status": "completed",
        "subject": {"reference": "Patient/ann"},
        "medicationCodeableConcept": {"coding": [{"system": RXNORM, "code": "2119365"}]},
        "effectiveDateTime": day,
    }


def _counted(server: FhirDouble) -> dict[str, int]:
    """How many sessions the assessment on record counts in each state."""
    (output,) = server.read(GUIDANCE)["contained"]
    (treatment,) = (one["part"] for one in output["parameter"] if one["name"] == "treatment")
    (sessions,) = (one["part"] for one in treatment if one["name"] == "sessions")
    return {one["name"]: one["valueInteger"] for one in sessions}


async def test_our_draft_goes_when_somebody_has_begun_treatment(server: FhirDouble) -> None:
    await propose(server)
    plan = plan_reference(server)
    server.put(a_plan_of_somebody_else())

    done = await propose(server)

    assert (done.answer.reason.value, done.answer.care_plan.action) == ("in-treatment", "revoke")
    assert server.read(plan)["status"] == "revoked"
    assert server.read(GUIDANCE)["result"] == {"reference": "CarePlan/theirs"}
    assert (await propose(server, days=2)).written == ()


async def test_a_plan_of_somebody_else_that_was_deleted_is_not_ours(server: FhirDouble) -> None:
    server.put(a_plan_of_somebody_else("draft"))
    await propose(server)
    assert server.read(GUIDANCE)["result"] == {"reference": "CarePlan/theirs"}
    server.delete("CarePlan/theirs")
    assert (await propose(server)).answer.care_plan.action == "create"
    assert (await propose(server)).written == ()


async def test_a_plan_that_has_come_to_be_about_somebody_else_is_not_this_patients(
    server: FhirDouble,
) -> None:
    await propose(server)
    plan = plan_reference(server)
    server.put(a_patient("bob"))
    server.change(plan, subject={"reference": "Patient/bob"})
    server.change("Condition/depression", id="depression")
    with pytest.raises(ServerRefused):
        await propose(server)
    assert server.read(plan)["subject"] == {"reference": "Patient/bob"}


async def test_a_deleted_plan_stays_known_through_other_decisions(server: FhirDouble) -> None:
    await propose(server)
    server.delete(plan_reference(server))
    server.put(an_aneurysm())
    await propose(server)
    server.change("Condition/aneurysm", verificationStatus={"coding": [{"code": "entered-in-error"}]})
    server.change("Condition/depression", verificationStatus={"coding": [{"code": "entered-in-error"}]})
    server.put(a_condition("another"))
    for days in (0, 1, 2):
        assert (await propose(server, days=days)).answer.care_plan.action == "leave"


async def test_a_plan_after_one_that_was_deleted_has_an_identity_of_its_own(server: FhirDouble) -> None:
    for _ in range(2):
        await propose(server)
        server.put(an_aneurysm())
        await propose(server)
        server.change("Condition/aneurysm", verificationStatus={"coding": [{"code": "entered-in-error"}]})
    first, second = (f"CarePlan/{one['id']}" for one in server.of_type("CarePlan"))
    server.versions.pop(first)
    done = await propose(server)
    assert done.answer.care_plan.action == "create"
    assert done.answer.care_plan.reference not in {None, second}


async def test_what_others_added_survives_an_update(server: FhirDouble) -> None:
    await propose(server)
    plan = plan_reference(server)
    theirs = {"url": "http://example.org/priority", "valueCode": "high"}
    label = {"security": [{"code": "R"}], "tag": [{"code": "clinic"}]}
    known = server.read(plan)
    server.change(plan, extension=[theirs, *known["extension"]], meta=known["meta"] | label)
    server.put(a_third_failure())

    assert (await propose(server)).answer.care_plan.action == "update"

    updated = server.read(plan)
    assert theirs in updated["extension"]
    assert len(updated["extension"]) == 3
    assert label.items() <= updated["meta"].items()
    assert (await propose(server)).written == ()


ODD_ASSESSMENTS: dict[str, Resource] = {
    "a result that is a list": {"result": [{"reference": "CarePlan/x"}]},
    "a result that is a text": {"result": "CarePlan/x"},
    "a result elsewhere": {"result": {"reference": "http://elsewhere.test/Task/5"}},
    "outputs that are none": {
        "contained": ["x", {"parameter": "x"}, {"parameter": ["x", {"name": "plan-of"}]}]
    },
}


@pytest.mark.parametrize("odd", ODD_ASSESSMENTS)
async def test_an_odd_assessment_on_record_is_written_anew(server: FhirDouble, odd: str) -> None:
    server.put(
        {
            "resourceType": "GuidanceResponse",
            "id": guidance_id("ann"),
            "status": "success",
            **ODD_ASSESSMENTS[odd],
        }
    )
    done = await propose(server)
    assert done.answer.care_plan.action == "create"
    assert server.read(GUIDANCE)["result"] == {"reference": plan_reference(server)}


@pytest.mark.parametrize("text", [{"status": "empty"}, {"div": 7}, "x", None])
async def test_a_draft_whose_narrative_was_taken_is_revoked_all_the_same(
    server: FhirDouble, text: object
) -> None:
    await propose(server)
    plan = plan_reference(server)
    server.change(plan, text=text)
    server.put(an_aneurysm())
    done = await propose(server)
    assert done.answer.care_plan.action == "revoke"
    assert server.read(plan)["status"] == "revoked"


async def test_a_deleted_assessment_is_recorded_anew(server: FhirDouble) -> None:
    await propose(server)
    server.delete(GUIDANCE)

    done = await propose(server)

    assert [reference.type for reference in done.written] == ["GuidanceResponse", "Provenance"]
    assert server.read(GUIDANCE)["result"] == {"reference": plan_reference(server)}
    assert server.of_type("Provenance")[-1]["target"][0]["reference"] == GUIDANCE
    assert (await propose(server)).written == ()


async def test_a_deleted_plan_is_not_referred_to(server: FhirDouble) -> None:
    await propose(server)
    server.delete(plan_reference(server))

    done = await propose(server)

    assert done.answer.care_plan.why == "a person deleted the plan"
    assert "result" not in server.read(GUIDANCE)
    assert "a person deleted the plan" in server.read(GUIDANCE)["note"][0]["text"]


async def test_an_assessment_left_to_people_promises_no_schedule(server: FhirDouble) -> None:
    await propose(server)
    assert "30 Nov 2026" in server.read(GUIDANCE)["note"][0]["text"]
    server.change(plan_reference(server), note=[{"text": "Ask her first"}])

    await propose(server)

    text = server.read(GUIDANCE)["note"][0]["text"]
    assert "a person edited the draft" in text
    assert "30 Nov 2026" not in text


async def test_the_draft_of_a_patient_merged_into_another_goes_with_the_record(server: FhirDouble) -> None:
    await propose(server)
    plan = plan_reference(server)
    server.put(a_patient("anna", link=[{"other": {"reference": "Patient/ann"}, "type": "replaces"}]))
    server.change("Patient/ann", link=[{"other": {"reference": "Patient/anna"}, "type": "replaced-by"}])

    with pytest.raises(NotAssessable, match="merged into Patient/anna"):
        await propose(server)
    done = await reviewer().propose(client_of(server), "anna")

    assert (done.answer.care_plan.action, done.answer.care_plan.reference) == ("update", plan)
    assert server.only("CarePlan")["subject"] == {"reference": "Patient/anna"}
    assert (await reviewer().propose(client_of(server), "anna")).written == ()


async def test_an_edited_plan_of_a_patient_merged_into_another_is_left(server: FhirDouble) -> None:
    await propose(server)
    server.change(plan_reference(server), note=[{"text": "Ask her first"}])
    server.put(a_patient("anna", link=[{"other": {"reference": "Patient/ann"}, "type": "replaces"}]))

    done = await reviewer().propose(client_of(server), "anna")

    assert done.answer.care_plan.action == "leave"
    assert server.only("CarePlan")["subject"] == {"reference": "Patient/ann"}


# --- what is not written --------------------------------------------------------------------------


async def test_shadow_mode_posts_nothing_and_says_what_it_would(server: FhirDouble) -> None:
    shadow = replace(reviewer(), settings=settings(write="off"))

    done = await propose(server, by=shadow)

    assert server.posted == []
    assert done.written == ()
    assert done.answer.decision == "propose"
    assert (done.answer.care_plan.action, done.answer.care_plan.reference) == ("create", None)
    assert done.answer.care_plan.why.endswith("(not written: TRD_WRITE is off)")
    assert done.held == "write-off"
    assert (await propose(server, by=shadow)).answer == done.answer


async def test_of_other_patients_than_those_allowed_nothing_is_written(server: FhirDouble) -> None:
    one_other = replace(reviewer(), settings=settings(patients_allowed="bob"))
    done = await propose(server, by=one_other)

    assert (server.posted, done.written, done.held) == ([], (), "patient-not-allowed")
    assert (done.answer.decision, done.answer.care_plan.action) == ("propose", "create")
    assert "not among TRD_PATIENTS_ALLOWED" in done.answer.care_plan.why
    assert done.review.answer.care_plan.why in done.answer.care_plan.why

    both = replace(reviewer(), settings=settings(patients_allowed="bob,ann"))
    done = await propose(server, by=both)
    assert len(server.posted) == 1
    assert (done.held, done.answer.care_plan.action) == (None, "create")


NO_SIGN: dict[str, list[Resource]] = {
    "nothing at all": [],
    "diabetes": [a_condition("diabetes", code={"coding": [{"system": ICD, "code": "E11.9"}]})],
    "metformin": [
        a_statement(
            "metformin",
            medicationCodeableConcept={
                "coding": [{"system": RXNORM, "code": "6809", "display": "metformin"}]
            },
        )
    ],
    "an unreadable medicine": [
        a_condition("diabetes", code={"coding": [{"system": ICD, "code": "E11.9"}]}),
        a_statement("broken", status="banana"),
    ],
}


@pytest.mark.parametrize("signs", NO_SIGN)
async def test_a_record_without_a_sign_of_depression_is_left_without_a_trace(signs: str) -> None:
    server = FhirDouble([a_patient(), *NO_SIGN[signs]])
    done = await propose(server)
    assert server.posted == []
    assert done.written == ()


@pytest.mark.parametrize(
    "sign",
    [
        pytest.param(a_condition("depression"), id="a depression"),
        pytest.param(a_statement("sertraline"), id="an antidepressant"),
        pytest.param(
            a_condition("note", code={"coding": [{"system": ICD, "code": "R45.851"}]}), id="suicidal thoughts"
        ),
        pytest.param(a_condition("broken", clinicalStatus="active"), id="an unreadable condition"),
    ],
)
async def test_a_sign_of_depression_is_worth_an_assessment_on_record(sign: Resource) -> None:
    server = FhirDouble([a_patient(), sign])
    await propose(server)
    assert {"Device", "GuidanceResponse", "Provenance"} <= set(requests_of(server.posted[0]))
    assert (await propose(server, days=1)).written == ()


async def test_a_clinic_without_room_writes_no_plan(server: FhirDouble) -> None:
    mondays_only = Reviewer.prepare(settings(clinic_days="mon"), AS_OF)

    done = await propose(server, by=mondays_only)

    assert (done.answer.decision, done.answer.schedule) == ("propose", None)
    assert set(requests_of(server.posted[0])) == {"Device", "GuidanceResponse", "Provenance"}
    for days in (1, 2, 10):
        assert (await propose(server, by=mondays_only, days=days)).written == ()


UNREADABLE_PLANS: dict[str, Resource] = {
    "a modifier": a_plan_of_somebody_else(
        modifierExtension=[{"url": "http://example.org/x", "valueBoolean": True}]
    ),
    "activities that are no list": a_plan_of_somebody_else(activity={"detail": {}}),
}


@pytest.mark.parametrize("fault", UNREADABLE_PLANS)
async def test_a_care_plan_that_cannot_be_read_stops_a_new_one(server: FhirDouble, fault: str) -> None:
    server.put(UNREADABLE_PLANS[fault])

    done = await propose(server)

    assert [plan["id"] for plan in server.of_type("CarePlan")] == ["theirs"]
    assert (done.answer.decision.value, done.answer.care_plan.action) == ("needs-review", "none")
    assert (await propose(server, days=1)).written == ()


# --- what searches do not show --------------------------------------------------------------------


async def test_a_plan_that_the_search_does_not_show_is_not_created_twice(server: FhirDouble) -> None:
    await propose(server)
    plan = plan_reference(server)
    server.unlisted = {plan}

    again = await propose(server, days=1)

    assert len(server.posted) == 1
    assert again.answer.care_plan.reference == plan
    assert server.paths.count(plan) == 3, "once before it was there, once as stored, once to find it"


async def test_an_edited_plan_that_the_search_does_not_show_is_left(server: FhirDouble) -> None:
    await propose(server)
    plan = plan_reference(server)
    server.change(plan, status="active")
    server.unlisted = {plan}

    again = await propose(server)

    assert again.answer.care_plan.action == "leave"
    assert len(server.versions[plan]) == 2


async def test_a_plan_that_is_no_fhir_is_a_fault_of_the_server(server: FhirDouble) -> None:
    await propose(server)
    plan = plan_reference(server)
    server.unlisted = {plan}

    def broken(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith(plan):
            return fhir_response(b"[]")
        return server(request)

    with pytest.raises(ServerMisread, match="CarePlan/"):
        await reviewer().propose(client_of(broken), "ann")


# --- races and faults -----------------------------------------------------------------------------


@pytest.mark.parametrize("status", [409, 412])
async def test_a_lost_race_is_read_and_decided_again(server: FhirDouble, status: int) -> None:
    await propose(server)
    server.put(a_third_failure())
    server.posted, server.paths, server.refusals = [], [], 4 * [status]

    done = await propose(server)

    assert len(server.posted) == 5
    assert server.paths.count("Patient/ann/$everything") == 5
    assert done.answer.care_plan.action == "update"
    assert len(server.versions[plan_reference(server)]) == 2


@pytest.mark.parametrize("status", [409, 412])
async def test_five_lost_races_are_enough(server: FhirDouble, status: int) -> None:
    await propose(server)
    server.put(a_third_failure())
    server.posted, server.refusals = [], 5 * [status]

    with pytest.raises(ServerRefused) as caught:
        await propose(server)

    assert caught.value.status == status
    assert len(server.posted) == 5
    assert len(server.versions[plan_reference(server)]) == 1


async def test_a_token_that_allows_no_transaction_writes_kind_by_kind(server: FhirDouble) -> None:
    server.refusals = [403]
    done = await propose(server)
    assert (done.answer.care_plan.action, done.answer.care_plan.tier) == ("create", "single-requests")
    assert server.only("CarePlan")["status"] == "draft"


@pytest.mark.parametrize("status", [400, 422])
async def test_any_other_refusal_is_not_repeated(server: FhirDouble, status: int) -> None:
    server.refusals = [status]
    with pytest.raises(ServerRefused):
        await propose(server)
    assert len(server.posted) == 1


async def test_a_person_who_is_faster_wins(server: FhirDouble) -> None:
    await propose(server)
    plan = plan_reference(server)
    server.put(a_third_failure())
    server.meanwhile = lambda: server.change(plan, status="active")

    done = await propose(server)

    assert (done.answer.reason, done.answer.care_plan.action) == ("in-treatment", "leave")
    assert server.read(plan)["status"] == "active"
    assert len(server.versions[plan]) == 2


MALFORMED: dict[str, Callable[[Resource], httpx.Response]] = {
    "no entries": lambda _: fhir_response({"resourceType": "Bundle", "type": "transaction-response"}),
    "an entry too few": lambda sent: fhir_response(
        {"resourceType": "Bundle", "entry": [{"response": {"etag": 'W/"1"'}}] * (len(sent["entry"]) - 1)}
    ),
    "an outcome": lambda _: fhir_response({"resourceType": "OperationOutcome", "issue": []}),
    "a list": lambda _: fhir_response(b"[]"),
    "entries of another shape": lambda _: fhir_response({"entry": ["x"]}),
    "no text at all": lambda _: fhir_response(b"\xff\xfe"),
    "a page for people": lambda _: httpx.Response(200, headers={"Content-Type": "text/html"}, content=b"<p>"),
}


@pytest.mark.parametrize("answer", MALFORMED)
async def test_a_malformed_answer_to_a_transaction_is_a_fault(server: FhirDouble, answer: str) -> None:
    server.answer = MALFORMED[answer]
    with pytest.raises(ServerMisread):
        await propose(server)
    assert len(server.posted) == 1

    server.answer = None
    assert (await propose(server)).written == (), "what was written is found on the next run"


async def test_etags_without_quotes_or_at_all_are_understood(server: FhirDouble) -> None:
    etags = iter(['"1"', 'W/"1"', "1", None])

    def answered(sent: Resource) -> httpx.Response:
        entries = [
            {"response": {"status": "201"} | ({"etag": etag} if etag else {})}
            for etag, _ in zip(etags, sent["entry"], strict=True)
        ]
        return fhir_response({"resourceType": "Bundle", "entry": entries})

    server.answer = answered
    done = await propose(server)
    assert [reference.version for reference in done.written] == ["1", "1", "1", None]


@pytest.mark.parametrize("content", [b"[]", b"\xff", b"{"], ids=["a list", "no text", "half"])
async def test_an_assessment_on_record_that_is_no_fhir_is_a_fault(server: FhirDouble, content: bytes) -> None:
    def broken(request: httpx.Request) -> httpx.Response:
        return fhir_response(content) if request.url.path.endswith(GUIDANCE) else server(request)

    with pytest.raises(ServerMisread, match="GuidanceResponse/"):
        await reviewer().propose(client_of(broken), "ann")
    assert server.posted == []


async def test_an_assessment_without_a_version_is_written_over(server: FhirDouble) -> None:
    await propose(server)
    server.put(a_third_failure())

    def unversioned(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith(GUIDANCE):
            return fhir_response({"resourceType": "GuidanceResponse", "id": guidance_id("ann")})
        return server(request)

    await reviewer().propose(client_of(unversioned), "ann")

    assert "ifMatch" not in requests_of(server.posted[1])["GuidanceResponse"]


@pytest.mark.parametrize("kind", ["CarePlan", "GuidanceResponse", "Device"])
async def test_a_refusal_while_looking_is_raised(server: FhirDouble, kind: str) -> None:
    def refusing(request: httpx.Request) -> httpx.Response:
        return httpx.Response(403) if f"/{kind}/" in request.url.path else server(request)

    with pytest.raises(ServerRefused, match=kind):
        await reviewer().propose(client_of(refusing), "ann")
    assert server.posted == []
