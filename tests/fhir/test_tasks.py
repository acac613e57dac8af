"""Tasks for a person in FHIR: as they are written, read back, taken up by people, and closed."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from service.apply.held import check_task_owner
from service.apply.tasks import asked_in, find_tasks, read_task, render_step
from service.core.records import VersionedReference
from service.core.tasks import TaskAction, TaskOfRecord, TaskReason, TaskStep, WantedTask
from service.errors import ServerMisread, SettingsError
from service.fhir.models import validated
from service.fhir.r5.models import validated_r5
from service.fhir.r5.records import resource_in_r4
from service.fhir.release import Release
from service.review import Reviewer
from tests.fhir.double import FhirDouble
from tests.fhir.test_write import a_resistant_record, an_aneurysm, plan_reference, propose
from tests.support import AS_OF, Resource, a_bundle, a_condition, client_of, fhir_response, settings

NOW, LATER = "2026-11-23T10:00:00+00:00", "2026-11-24T10:00:00+00:00"
PLAN = VersionedReference("CarePlan", "plan", "1")
WANTED = WantedTask(TaskReason.SAFETY, "Pregnancy is on record.", "pregnancy", PLAN)
OWNER = "CareTeam/clinic"
ICD = "http://hl7.org/fhir/sid/icd-10-cm"
BIPOLAR = {"coding": [{"system": ICD, "code": "F31.30"}]}


def new_task(wanted: WantedTask = WANTED, owner: str | None = OWNER) -> Resource:
    return render_step(TaskStep(TaskAction.CREATE, wanted), "ann", (), owner=owner, now=NOW)


def stepped(action: TaskAction, task: Resource, wanted: WantedTask | None = None) -> Resource:
    return render_step(TaskStep(action, wanted, read_task(task)), "ann", [task], owner=OWNER, now=LATER)


def test_a_task_asks_and_orders_nothing() -> None:
    task = validated(new_task())
    assert (task["status"], task["intent"], task["priority"]) == ("requested", "proposal", "urgent")
    assert task["code"]["coding"][0]["code"] == "safety"
    assert task["description"] == "Pregnancy is on record."
    assert task["focus"] == {"reference": "CarePlan/plan"}
    assert task["for"] == {"reference": "Patient/ann"}
    assert task["requester"] == {"reference": "Device/trd-careplan"}
    assert task["owner"] == {"reference": OWNER}
    assert task["authoredOn"] == NOW
    assert "owner" not in validated(new_task(owner=None))
    assert "focus" not in validated(new_task(WantedTask(TaskReason.SAFETY, "Look", "x")))


def test_it_is_read_back_as_it_was_raised() -> None:
    task = new_task()
    reference = VersionedReference("Task", task["id"], None)
    assert read_task(task) == TaskOfRecord(reference, "safety", "pregnancy", is_open=True, edited=False)
    again = resource_in_r4(validated_r5(task))
    assert read_task(again) == read_task(task)


def test_each_reason_has_a_task_of_its_own() -> None:
    tasks = [new_task(WantedTask(reason, "Look", "x")) for reason in TaskReason]
    assert len({task["id"] for task in tasks}) == len(TaskReason)
    assert len({task["code"]["text"] for task in tasks}) == len(TaskReason)
    assert {task["priority"] for task in tasks} == {"urgent", "routine"}


BY_PEOPLE: dict[str, Resource] = {
    "took it up": {"status": "in-progress"},
    "ended it": {"status": "completed"},
    "gave it to another": {"owner": {"reference": "Practitioner/other"}},
    "wrote a note": {"note": [{"text": "I called her"}]},
    "set a date": {"restriction": {"period": {"end": "2026-12-01"}}},
}


@pytest.mark.parametrize("did", BY_PEOPLE)
def test_what_a_person_did_shows(did: str) -> None:
    assert read_task(new_task() | BY_PEOPLE[did]).edited


@pytest.mark.parametrize(
    "element",
    [
        {"meta": {"versionId": "7", "tag": [{"code": "x"}]}},
        {"text": {"div": "<div/>"}},
        {"lastModified": LATER},
    ],
    ids=lambda element: next(iter(element)),
)
def test_what_a_server_adds_is_no_edit(element: Resource) -> None:
    assert not read_task(new_task() | element).edited


@pytest.mark.parametrize("release", Release)
def test_a_closed_task_says_why_and_is_no_edit(release: Release) -> None:
    closed = stepped(TaskAction.CLOSE, new_task())
    task = validated(closed) if release is Release.R4 else resource_in_r4(validated_r5(closed))
    assert task["status"] == "cancelled"
    assert "The reason no longer applies" in task["statusReason"]["text"]
    assert (task["authoredOn"], task["lastModified"]) == (NOW, LATER)
    assert (read_task(task).is_open, read_task(task).edited) == (False, False)


def test_an_update_keeps_what_others_added() -> None:
    theirs = {"url": "http://example.org/queue", "valueCode": "blue"}
    task = new_task() | {"extension": [theirs, *new_task()["extension"]]}
    updated = stepped(TaskAction.UPDATE, task, WantedTask(TaskReason.SAFETY, "Psychosis", "psychosis", PLAN))
    assert updated["description"] == "Psychosis"
    assert theirs in updated["extension"]
    assert (read_task(updated).grounds, read_task(updated).edited) == ("psychosis", False)
    assert updated["id"] == task["id"]


def test_a_task_raised_again_is_another_one() -> None:
    first = stepped(TaskAction.CLOSE, new_task())
    again = render_step(TaskStep(TaskAction.CREATE, WANTED), "ann", [first], owner=OWNER, now=LATER)
    assert again["id"] != first["id"]


def test_a_new_task_takes_no_id_that_is_taken() -> None:
    """Of three, the first was deleted, and the second is about something else now."""
    zero, one, two = (stepped(TaskAction.CLOSE, new_task()), {}, {})
    one = render_step(TaskStep(TaskAction.CREATE, WANTED), "ann", [zero], owner=None, now=NOW)
    two = render_step(TaskStep(TaskAction.CREATE, WANTED), "ann", [zero, one], owner=None, now=NOW)
    renamed = one | {"code": {"text": "Something else"}}
    new = render_step(TaskStep(TaskAction.CREATE, WANTED), "ann", [renamed, two], owner=None, now=NOW)
    assert new["id"] == zero["id"]
    assert len({zero["id"], one["id"], two["id"]}) == 3


ODD: dict[str, Resource] = {
    "code a list": {"code": [{"text": "x"}]},
    "coding a text": {"code": {"coding": "x"}},
    "a coding that is none": {"code": {"coding": ["x", {"system": 7}]}},
    "meta a text": {"meta": "x"},
    "extensions a text": {"extension": "x"},
    "an extension that is none": {"extension": ["x"]},
    "no code": {"code": None},
}


@pytest.mark.parametrize("odd", ODD)
def test_what_others_made_of_a_task_is_an_edit_and_no_fault(odd: str) -> None:
    task = new_task() | ODD[odd]
    assert read_task(task).edited or odd == "meta a text"
    stepped(TaskAction.CLOSE, task)


@pytest.mark.parametrize(
    "guidance",
    [
        None,
        {},
        {"contained": [{}]},
        {"contained": "x"},
        {"contained": ["x", {"parameter": "x"}, {"parameter": ["x"]}]},
        {"contained": [{"parameter": [{"name": "task"}]}]},
        {"contained": [{"parameter": [{"name": "task", "part": ["x", {"name": ["y"]}]}]}]},
    ],
)
def test_an_assessment_that_raised_nothing(guidance: Resource | None) -> None:
    assert ("safety", "pregnancy") not in asked_in(guidance)


# --- on a server ----------------------------------------------------------------------------------


@pytest.fixture
def server() -> FhirDouble:
    return FhirDouble([*a_resistant_record(), a_condition("bipolar", code=BIPOLAR)])


def open_tasks(server: FhirDouble) -> list[str]:
    tasks = [task for task in server.of_type("Task") if read_task(task).is_open]
    return sorted(task["code"]["coding"][0]["code"] for task in tasks)


async def test_a_review_asks_a_person_once(server: FhirDouble) -> None:
    done = await propose(server)
    assert open_tasks(server) == ["safety"]
    assert [task.reason for task in done.answer.tasks] == ["safety"]
    task = server.only("Task")
    assert "Bipolar" in task["description"]
    written = [str(reference) for reference in done.written]
    assert f"Task/{task['id']}/_history/1" in written
    targets = [target["reference"] for target in server.only("Provenance")["target"]]
    assert f"Task/{task['id']}/_history/1" in targets
    for days in (0, 1, 9):
        assert (await propose(server, days=days)).written == ()


async def test_where_nothing_is_new_tasks_are_not_even_looked_for(server: FhirDouble) -> None:
    await propose(server)
    server.paths.clear()
    await propose(server)
    assert "Task" not in server.paths


TAKEN: dict[str, Callable[[FhirDouble, str], Any]] = {
    "ended": lambda server, task: server.change(task, status="completed"),
    "rejected": lambda server, task: server.change(task, status="rejected"),
    "deleted": lambda server, task: server.delete(task),
}


@pytest.mark.parametrize("taken", TAKEN)
async def test_what_a_person_has_ended_is_not_asked_again(server: FhirDouble, taken: str) -> None:
    await propose(server)
    TAKEN[taken](server, f"Task/{server.only('Task')['id']}")
    server.put(a_condition("cold", code={"text": "A cold"}))
    for days in (0, 1, 2):
        await propose(server, days=days)
    assert open_tasks(server) == []

    server.put(a_condition("psychosis", code={"coding": [{"system": ICD, "code": "F20.9"}]}))
    await propose(server)
    assert open_tasks(server) == ["safety"]


async def test_a_task_is_closed_when_its_reason_is_gone_and_raised_anew_when_it_is_back(
    server: FhirDouble,
) -> None:
    for _ in range(2):
        await propose(server)
        assert open_tasks(server) == ["safety"]
        server.change("Condition/bipolar", verificationStatus={"coding": [{"code": "entered-in-error"}]})
        await propose(server)
        assert open_tasks(server) == []
        server.put(a_condition("bipolar", code=BIPOLAR))
    assert [task["status"] for task in server.of_type("Task")] == ["cancelled", "cancelled"]


async def test_a_task_that_was_deleted_is_raised_anew_when_its_reason_is_back(server: FhirDouble) -> None:
    await propose(server)
    server.delete(f"Task/{server.only('Task')['id']}")
    server.change("Condition/bipolar", verificationStatus={"coding": [{"code": "entered-in-error"}]})
    await propose(server)
    server.put(a_condition("bipolar", code=BIPOLAR))
    await propose(server)
    assert open_tasks(server) == ["safety"]
    assert (await propose(server)).written == ()


async def test_a_revoked_draft_is_told_until_there_is_another() -> None:
    server = FhirDouble(a_resistant_record())
    await propose(server)
    plan = plan_reference(server)
    server.put(an_aneurysm())
    await propose(server)
    assert open_tasks(server) == ["draft-revoked"]
    task = server.only("Task")
    assert task["focus"] == {"reference": plan}
    assert "Aneurysmal vascular disease" in task["description"]
    server.change("Condition/aneurysm", verificationStatus={"coding": [{"code": "entered-in-error"}]})
    await propose(server)
    assert open_tasks(server) == []


async def test_tasks_of_other_patients_are_none_of_ours(server: FhirDouble) -> None:
    """A server may not heed the patient asked for."""
    theirs = new_task() | {"for": {"reference": "Patient/bob"}, "id": "theirs"}
    server.put(theirs)

    def heedless(request: httpx.Request) -> httpx.Response:
        return server(
            httpx.Request(request.method, request.url.copy_remove_param("patient"), content=request.content)
        )

    assert await find_tasks(client_of(heedless), "ann") == []
    assert [task["id"] for task in await find_tasks(client_of(heedless))] == ["theirs"]


async def test_an_error_among_tasks_is_no_list_of_tasks(server: FhirDouble) -> None:
    error = {
        "resourceType": "OperationOutcome",
        "id": "e",
        "issue": [{"severity": "error", "code": "timeout"}],
    }

    def failing(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/Task"):
            return fhir_response(a_bundle([error], kind="searchset"))
        return server(request)

    with pytest.raises(ServerMisread, match="GET Task"):
        await find_tasks(client_of(failing), "ann")


async def test_whom_tasks_are_for_is_a_setting(server: FhirDouble) -> None:
    by = Reviewer.prepare(settings(task_owner=OWNER), AS_OF)
    server.put({"resourceType": "CareTeam", "id": "clinic"})
    await propose(server, by=by)
    assert server.only("Task")["owner"] == {"reference": OWNER}


async def test_an_owner_whom_the_server_does_not_know_stops_the_start(server: FhirDouble) -> None:
    nobody = settings(task_owner="Practitioner/nobody")
    with pytest.raises(SettingsError, match="TRD_TASK_OWNER: the FHIR server does not have this resource"):
        await check_task_owner(client_of(server), nobody)
    server.put({"resourceType": "Practitioner", "id": "nobody"})
    await check_task_owner(client_of(server), nobody)
    await check_task_owner(client_of(server), settings())


async def test_without_a_sign_of_depression_nobody_is_asked() -> None:
    server = FhirDouble([a_resistant_record()[0]])
    done = await propose(server)
    assert (done.written, done.answer.tasks, server.of_type("Task")) == ((), [], [])
