"""What was written is listed with how it came about; drafts are withdrawn, and nothing else is touched."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from typing import Any

import httpx
import pytest

from service import __version__
from service.cause import Cause
from service.commands.replay import replay
from service.commands.withdraw import (
    Withdrawal,
    WithdrawalOutcome,
    find_drafts,
    print_withdrawals,
    sort_out,
    withdraw,
)
from service.commands.written import Listed, Written, WrittenFilter, find_written, print_written
from service.errors import NotRevoked, ServerMisread, ServerRefused, ServerUnsupported, SettingsError
from service.fhir.models import validated
from service.fhir.names import WITHDRAWN, extension_value
from service.render.terminal import Terminal
from tests.fhir.double import FhirDouble
from tests.fhir.test_write import (
    GUIDANCE,
    a_plan_of_somebody_else,
    a_resistant_record,
    a_third_failure,
    an_aneurysm,
    plan_reference,
    propose,
    requests_of,
)
from tests.support import (
    case_bundle,
    client_of,
    fhir_response,
    patient_id_of,
    resources_of,
    reviewer,
    settings,
)

OTHER = "an-allergy-to-ketamine-excludes"


@pytest.fixture
async def server() -> FhirDouble:
    """Ann has a draft; of another patient only the assessment was written."""
    server = FhirDouble([*a_resistant_record(), *resources_of(case_bundle(OTHER))])
    await reviewer().propose(client_of(server), "ann", cause=Cause.REST_HOOK)
    await reviewer().propose(client_of(server), patient_id_of(case_bundle(OTHER)), cause=Cause.SWEEP)
    return server


async def listed(
    server: Callable[[httpx.Request], httpx.Response], timezone: str = "UTC", **wanted: Any
) -> list[Listed]:
    return [one async for one in find_written(client_of(server), WrittenFilter(**wanted), timezone)]


async def found(server: Callable[[httpx.Request], httpx.Response], **wanted: Any) -> list[Written]:
    return [one.written for one in await listed(server, **wanted)]


def kinds(written: list[Written]) -> list[tuple[str, str]]:
    return sorted((one.kind, one.patient) for one in written)


OTHERS = f"Patient/{patient_id_of(case_bundle(OTHER))}"
EVERYTHING = [("assessment", OTHERS), ("assessment", "Patient/ann"), ("plan", "Patient/ann")]


async def test_everything_is_listed_with_how_it_came_about(server: FhirDouble) -> None:
    written = await found(server)

    assert kinds(written) == sorted(EVERYTHING)
    (plan,) = [one for one in written if one.kind == "plan"]
    assert plan == Written(
        resource=f"{plan_reference(server)}/_history/1",
        kind="plan",
        patient="Patient/ann",
        status="draft",
        edited=False,
        day=plan.day,
        decision="propose",
        reason="trd",
        criteria="seed 2.0.0",
        knowledge=reviewer().knowledge.version,
        software=__version__,
        cause="rest-hook",
    )
    assert plan.day is not None
    (excluded,) = [one for one in written if one.patient == OTHERS]
    assert (excluded.decision, excluded.reason, excluded.cause) == ("decline", "contraindicated", "sweep")


FILTERS: dict[str, tuple[dict[str, object], list[tuple[str, str]]]] = {
    "a patient": ({"patient": "ann"}, EVERYTHING[1:]),
    "nobody": ({"patient": "nobody"}, []),
    "a decision": ({"decision": "decline"}, EVERYTHING[:1]),
    "a reason": ({"decision": "trd"}, EVERYTHING[1:]),
    "another decision": ({"decision": "needs-review"}, []),
    "the software": ({"version": __version__}, EVERYTHING),
    "the knowledge": ({"version": reviewer().knowledge.version}, EVERYTHING),
    "the criteria": ({"version": "seed 2.0.0"}, EVERYTHING),
    "another version": ({"version": "0.0.0"}, []),
    "from a day on": ({"since": date(2020, 1, 1)}, EVERYTHING),
    "from a later day on": ({"since": date(2999, 1, 1)}, []),
    "up to a day": ({"until": date(2999, 1, 1)}, EVERYTHING),
    "up to an earlier day": ({"until": date(2020, 1, 1)}, []),
    "both": ({"patient": "ann", "decision": "decline"}, []),
}


@pytest.mark.parametrize("name", FILTERS)
async def test_only_what_is_asked_for_is_listed(server: FhirDouble, name: str) -> None:
    wanted, expected = FILTERS[name]
    assert kinds(await found(server, **wanted)) == sorted(expected)


async def test_tasks_are_listed_and_what_people_did_with_them(server: FhirDouble) -> None:
    server.put(an_aneurysm())
    await propose(server)
    (task,) = [one for one in await found(server, patient="ann") if one.kind == "task"]
    assert (task.patient, task.status, task.edited) == ("Patient/ann", "requested", False)
    assert (task.decision, task.reason) == ("decline", "contraindicated")
    server.change(task.resource.partition("/_history/")[0], status="in-progress")
    everything = await found(server)
    (task,) = [one for one in everything if one.kind == "task"]
    assert (task.status, task.edited) == ("in-progress", True)
    console = Terminal(record=True, width=200)
    print_written(console, everything)
    assert "1 plan, 2 assessments, 1 task" in console.export_text()


async def test_every_page_is_read(server: FhirDouble) -> None:
    server.page = 1
    assert kinds(await found(server)) == sorted(EVERYTHING)


async def test_where_no_plan_can_be_written_none_is_said_to_be_withdrawn(server: FhirDouble) -> None:
    drafts, _ = sort_out(await listed(server))
    server.takes = frozenset({"GuidanceResponse"})
    with pytest.raises(ServerUnsupported, match="does not accept CarePlan"):
        await find_drafts(client_of(server), settings(), WrittenFilter())
    with pytest.raises(ServerUnsupported, match="does not accept CarePlan"):
        _ = [one async for one in withdraw(client_of(server), settings(), drafts, "too early")]


async def test_in_shadow_mode_nothing_is_withdrawn(server: FhirDouble) -> None:
    drafts, _ = sort_out(await listed(server))
    before = len(server.posted)
    with pytest.raises(SettingsError, match="TRD_WRITE is off"):
        await find_drafts(client_of(server), settings(write="off"), WrittenFilter())
    with pytest.raises(SettingsError, match="TRD_WRITE is off"):
        _ = [one async for one in withdraw(client_of(server), settings(write="off"), drafts, "too early")]
    assert len(server.posted) == before


async def test_a_patient_can_be_taken_off_the_list_before_the_draft_is_withdrawn(server: FhirDouble) -> None:
    by = settings(patients_allowed="bob")
    drafts, _ = await find_drafts(client_of(server), by, WrittenFilter())
    (done,) = [one async for one in withdraw(client_of(server), by, drafts, "not one of ours")]
    assert done.outcome is WithdrawalOutcome.WITHDRAWN
    assert server.read(plan_reference(server))["status"] == "revoked"


async def test_what_others_wrote_is_none_of_it(server: FhirDouble) -> None:
    server.put(a_plan_of_somebody_else())
    other = {"resourceType": "GuidanceResponse", "id": "g", "moduleUri": "http://x/y", "status": "success"}
    server.put(other)
    server.put({"resourceType": "GuidanceResponse", "id": "odd", "moduleUri": ["one", "two"]})

    def everything(request: httpx.Request) -> httpx.Response:
        """A server that overlooks what is asked for."""
        return server(httpx.Request("GET", request.url.copy_remove_param("identifier")))

    assert kinds(await found(everything)) == sorted(EVERYTHING)


async def test_assessments_are_found_where_the_server_keeps_them_without_saying_so(
    server: FhirDouble,
) -> None:
    def saying_less(request: httpx.Request) -> httpx.Response:
        answer = server(request)
        if not request.url.path.endswith("/metadata"):
            return answer
        statement = answer.json()
        (rest,) = statement["rest"]
        rest["resource"] = [kind for kind in rest["resource"] if kind["type"] != "GuidanceResponse"]
        return fhir_response(statement)

    assert kinds(await found(saying_less)) == sorted(EVERYTHING)


async def test_an_edited_plan_says_so_and_keeps_what_we_last_wrote(server: FhirDouble) -> None:
    server.change(plan_reference(server), note=[{"text": "Ask her first"}])
    (plan,) = [one for one in await found(server) if one.kind == "plan"]
    assert (plan.edited, plan.resource[-2:], plan.reason, plan.cause) == (True, "/2", "trd", "rest-hook")


async def test_without_provenance_it_is_listed_with_what_it_says_itself(server: FhirDouble) -> None:
    for provenance in server.of_type("Provenance"):
        server.delete(f"Provenance/{provenance['id']}")
    server.versions[GUIDANCE][0]["meta"]["lastUpdated"] = "2026-11-23T23:30:00-05:00"  # type: ignore[index]

    ours = {one.kind: one for one in await found(server, patient="ann")}

    assert (ours["plan"].reason, ours["plan"].day, ours["plan"].software) == (None, None, None)
    assert ours["assessment"].reason == "trd"
    assert ours["assessment"].knowledge == reviewer().knowledge.version
    assert ours["assessment"].day == date(2026, 11, 24), "the day at the site"
    assert await found(server, since=date(2026, 11, 25)) == []


async def test_the_day_is_that_of_the_site(server: FhirDouble) -> None:
    provenance = server.of_type("Provenance")[0]
    server.versions[f"Provenance/{provenance['id']}"][0]["recorded"] = (  # type: ignore[index]
        "2026-11-23T11:30:00.000+00:00"
    )
    days = {
        zone: {one.written.day for one in await listed(server, zone, patient="ann")}
        for zone in ("UTC", "Pacific/Auckland")
    }
    assert days == {"UTC": {date(2026, 11, 23)}, "Pacific/Auckland": {date(2026, 11, 24)}}


async def test_a_list_with_an_error_in_it_is_not_complete(server: FhirDouble) -> None:
    def faulty(request: httpx.Request) -> httpx.Response:
        if not request.url.path.endswith("/CarePlan"):
            return server(request)
        outcome = {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "timeout"}]}
        entries = [{"resource": outcome, "search": {"mode": "outcome"}}]
        return fhir_response({"resourceType": "Bundle", "type": "searchset", "entry": entries})

    with pytest.raises(ServerMisread, match="GET CarePlan"):
        await found(faulty)


def printed(show: Callable[[Terminal], None]) -> str:
    console = Terminal(width=250)
    with console.capture() as captured:
        show(console)
    return captured.get()


async def test_a_status_in_brackets_is_printed_as_it_is(server: FhirDouble) -> None:
    server.change(plan_reference(server), status="[/red]")
    written = await found(server)
    assert "[/red]" in printed(lambda console: print_written(console, written))


async def test_the_table_shows_all_of_it(server: FhirDouble) -> None:
    written = await found(server)
    text = printed(lambda console: print_written(console, written))
    for one in written:
        assert one.resource in text
    assert "1 plan, 2 assessments" in text


# --- withdrawing ----------------------------------------------------------------------------------


async def withdrawn(server: FhirDouble, reason: str = "a wrong dose list") -> list[Withdrawal]:
    client = client_of(server)
    drafts, left = sort_out(await listed(server))
    return [one async for one in withdraw(client, settings(), drafts, reason)] + left


async def test_a_draft_is_revoked_with_the_reason_and_its_provenance(server: FhirDouble) -> None:
    reference = plan_reference(server)
    before = len(server.posted)

    (done,) = await withdrawn(server, "wrong <dose> list")

    assert done == Withdrawal(
        f"{reference}/_history/1", "Patient/ann", WithdrawalOutcome.WITHDRAWN, "wrong <dose> list"
    )
    (sent,) = server.posted[before:]
    assert requests_of(sent)["CarePlan"]["ifMatch"] == 'W/"1"'
    plan, provenance = [entry["resource"] for entry in sent["entry"]]
    assert plan["status"] == "revoked"
    assert plan["note"][-1]["text"].endswith("Withdrawn by hand: wrong <dose> list")
    assert "wrong &lt;dose&gt; list" in plan["text"]["div"]
    assert provenance["target"][0]["reference"] == f"{reference}/_history/2"
    assert provenance["reason"][0]["text"] == "wrong <dose> list"
    assert provenance["entity"][0]["what"]["display"] == f"{reference}/_history/1"
    for resource in (plan, provenance):
        validated(resource)
    assert printed(lambda console: print_withdrawals(console, [done])).count("withdrawn") == 1


async def test_a_withdrawn_plan_is_listed_as_such_and_withdrawn_once(server: FhirDouble) -> None:
    await withdrawn(server)
    (plan,) = [one for one in await found(server) if one.kind == "plan"]
    assert (plan.status, plan.edited, plan.cause, plan.decision) == ("revoked", False, "withdrawal", None)
    (again,) = await withdrawn(server)
    assert (again.outcome, again.why) == (
        WithdrawalOutcome.LEFT,
        "the plan is revoked; only a clinician may change it",
    )


LEFT: dict[str, tuple[dict[str, object], str]] = {
    "active": ({"status": "active"}, "the plan is active; only a clinician may change it"),
    "a note": ({"note": [{"text": "Ask her first"}]}, "a person edited the draft"),
}


@pytest.mark.parametrize("what", LEFT)
async def test_what_a_person_did_is_left_and_it_is_said_why(server: FhirDouble, what: str) -> None:
    elements, why = LEFT[what]
    server.change(plan_reference(server), **elements)
    before = len(server.posted)
    assert [(one.outcome, one.why) for one in await withdrawn(server)] == [(WithdrawalOutcome.LEFT, why)]
    assert len(server.posted) == before


async def test_a_plan_without_a_version_is_left(server: FhirDouble) -> None:
    del server.versions[plan_reference(server)][0]["meta"]["versionId"]  # type: ignore[index]
    (left,) = await withdrawn(server)
    assert (
        left.why == "the server states no version of the draft, so an edit by a person could be overwritten"
    )


@pytest.mark.parametrize("status", [409, 412])
async def test_a_person_who_is_faster_wins(server: FhirDouble, status: int) -> None:
    server.refusals = [status]
    (done,) = await withdrawn(server)
    assert (done.outcome, done.why) == (
        WithdrawalOutcome.LEFT,
        "somebody has changed the plan since it was listed",
    )

    server.meanwhile = lambda: server.change(plan_reference(server), status="active")
    (done,) = await withdrawn(server)
    assert done.outcome is WithdrawalOutcome.LEFT
    assert server.only("CarePlan")["status"] == "active"


async def test_any_other_refusal_is_raised(server: FhirDouble) -> None:
    server.refusals = [503] * 3
    with pytest.raises(ServerRefused):
        await withdrawn(server)
    server.refusals = [403] * 4
    with pytest.raises(NotRevoked):
        await withdrawn(server)
    assert server.only("CarePlan")["status"] == "draft"


# --- what comes after -----------------------------------------------------------------------------


@pytest.mark.parametrize("days", [0, 1, 30])
async def test_a_withdrawn_proposal_is_not_made_again_on_the_same_grounds(
    server: FhirDouble, days: int
) -> None:
    await withdrawn(server)

    done = await propose(server, days=days)

    assert done.answer.care_plan.action == "leave"
    assert (
        done.answer.care_plan.why
        == "the proposal was withdrawn, and the record supports no different proposal"
    )
    assert len(server.of_type("CarePlan")) == 1
    assert "withdrawn" in server.read(GUIDANCE)["note"][0]["text"]
    for later in (0, 2, 30):
        assert (await propose(server, days=days + later)).written == ()


async def test_another_conclusion_is_proposed_and_replaces_it(server: FhirDouble) -> None:
    await withdrawn(server)
    old = plan_reference(server)
    server.put(a_third_failure())

    done = await propose(server)

    assert done.answer.care_plan.action == "create"
    assert server.read(done.answer.care_plan.reference or "")["replaces"] == [{"reference": old}]
    assert extension_value(server.read(done.answer.care_plan.reference or ""), WITHDRAWN) is None
    assert (await propose(server, days=2)).written == ()


async def test_another_version_of_the_criteria_proposes_anew(server: FhirDouble) -> None:
    await withdrawn(server)
    knowledge = reviewer().knowledge
    criteria = replace(knowledge.criteria, version="3.0.0")
    by = replace(reviewer(), knowledge=replace(knowledge, criteria=criteria))
    done = await propose(server, by=by)
    assert done.answer.care_plan.action == "create"


async def test_withdrawn_stays_withdrawn_after_a_time_in_which_nothing_was_proposed(
    server: FhirDouble,
) -> None:
    await withdrawn(server)
    server.put(an_aneurysm())
    assert (await propose(server)).answer.care_plan.action == "none"
    server.change("Condition/aneurysm", verificationStatus={"coding": [{"code": "entered-in-error"}]})
    assert (await propose(server)).answer.care_plan.action == "leave"


async def test_a_withdrawn_plan_of_unknown_grounds_is_never_proposed_again(server: FhirDouble) -> None:
    for provenance in server.of_type("Provenance"):
        server.delete(f"Provenance/{provenance['id']}")
    await withdrawn(server)
    server.put(a_third_failure())
    assert (await propose(server)).answer.care_plan.action == "leave"


async def test_no_decision_stands_behind_a_withdrawal(server: FhirDouble) -> None:
    await withdrawn(server)
    again = await replay(settings(), client_of(server), plan_reference(server))
    assert again.why == ["the plan was withdrawn by hand, so this version is not the result of a decision"]
    first = await replay(settings(), client_of(server), f"{plan_reference(server)}/_history/1")
    assert first.same
