"""Records that are too large to be read: each bound on both sides, and whom it is told."""

from dataclasses import replace

import pytest

from service.cause import Cause
from service.errors import RecordTooLarge
from service.fhir.names import TASK_REASONS
from service.fhir.sources import Gathered
from service.gather import everything, referred
from service.gather.everything import find_former_patients, gather
from service.queue.work import Work
from service.telemetry.metrics import Metrics
from tests.app.serving import issue_of, serving
from tests.fhir.double import FhirDouble
from tests.support import (
    BASE,
    PretendServer,
    Resource,
    a_condition,
    a_patient,
    a_statement,
    client_of,
    reviewer,
    settings,
)

ANN = [a_patient(), a_condition("depression"), a_statement("sertraline")]


async def gathered(records: list[Resource]) -> Gathered:
    return await gather(client_of(PretendServer(records)), "ann", reviewer().knowledge)


async def test_a_record_of_as_many_bytes_as_are_read_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    client = client_of(PretendServer(ANN))
    await client.offered()
    read: list[int] = []
    whole = client._retried

    async def counting(*args: object, **kwargs: object) -> object:
        answer = await whole(*args, **kwargs)  # type: ignore[arg-type]
        read.append(len(answer.body))
        return answer

    monkeypatch.setattr(client, "_retried", counting)
    await gather(client, "ann", reviewer().knowledge)
    monkeypatch.setattr(everything, "LARGEST_RECORD", sum(read))
    await gathered(ANN)
    monkeypatch.setattr(everything, "LARGEST_RECORD", sum(read) - 1)
    with pytest.raises(RecordTooLarge, match="larger than is read of one patient"):
        await gathered(ANN)


async def test_references_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a plan leads to is read one by one."""
    goals = [{"reference": f"Goal/{number}"} for number in range(3)]
    plan = {
        "resourceType": "CarePlan",
        "id": "theirs",
        "status": "active",
        "intent": "plan",
        "subject": {"reference": "Patient/ann"},
    }
    monkeypatch.setattr(referred, "MOST_REFERENCES", 2)
    await gathered([*ANN, plan | {"goal": goals[:2]}])
    server = PretendServer([*ANN, plan | {"goal": goals}])
    with pytest.raises(RecordTooLarge, match="refers to more than 2 resources"):
        await gather(client_of(server), "ann", reviewer().knowledge)
    assert not any(path.startswith("Goal/") for path in server.paths)


def merged(number: int) -> list[Resource]:
    """Patients each of whom replaces the next."""
    names = ["ann", *(f"former-{n}" for n in range(number))]
    following = [*names[1:], None]
    return [
        a_patient(
            name, link=[{"type": "replaces", "other": {"reference": f"Patient/{other}"}}] if other else []
        )
        for name, other in zip(names, following, strict=True)
    ]


@pytest.mark.parametrize(("number", "too_large"), [(3, False), (4, True), (40, True)])
async def test_a_chain_of_merged_patients_is_bounded(
    number: int, too_large: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(everything, "MOST_MERGED", 3)
    client = client_of(PretendServer(merged(number)))
    if not too_large:
        found = await gather(client, "ann", reviewer().knowledge)
        assert len(found.former_ids) == number
        assert find_former_patients(found.sources, "ann", BASE) == found.former_ids
        return
    with pytest.raises(RecordTooLarge, match="patients were merged into this one"):
        await gather(client, "ann", reviewer().knowledge)


# --- who is told ----------------------------------------------------------------------------------


async def test_a_person_is_asked_once_and_the_job_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    server = FhirDouble(ANN)
    work = Work(reviewer(), client_of(server), Metrics())
    monkeypatch.setattr(everything, "LARGEST_RECORD", 100)
    for _ in range(2):
        with pytest.raises(RecordTooLarge):
            await work.review("ann", Cause.REST_HOOK)

    task = server.only("Task")
    assert task["code"]["coding"] == [{"system": TASK_REASONS, "code": "record-too-large"}]
    assert (task["status"], task["for"]) == ("requested", {"reference": "Patient/ann"})
    assert "too large" in task["description"]
    assert server.only("Provenance")["activity"] == {"text": "Not assessed: the record is too large"}

    monkeypatch.setattr(everything, "LARGEST_RECORD", 10**6)
    await work.review("ann", Cause.REST_HOOK)
    assert server.only("Task")["status"] == "cancelled"


async def test_in_shadow_mode_nobody_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(everything, "LARGEST_RECORD", 100)
    server = FhirDouble(ANN)
    by = replace(reviewer(), settings=settings(write="off"))
    with pytest.raises(RecordTooLarge):
        await by.propose(client_of(server), "ann")
    assert server.of_type("Task") == []


async def test_the_door_says_that_it_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(everything, "LARGEST_RECORD", 100)
    async with serving(ANN) as site:
        issue = await issue_of(await site.get("/fhir/Patient/ann/$assess-treatment-resistance"), 422)
    assert "larger than is read of one patient" in issue["diagnostics"]
