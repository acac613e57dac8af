"""What becomes of plans and Tasks on every FHIR server, whatever is on record and whatever people did.

Each server's tests derive from `PlansContract` and give its address by a fixture `server`. A row of the table
of reconciliation is a test; it walks the columns, each with a patient of its own: what the record says next.
`docs/plan-of-record.md` links every test.
"""

import asyncio
import re
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from service.core.decision import Propose
from service.core.schedule import Schedule
from service.errors import NotAssessable
from service.fhir.names import TASK_IDENTIFIER, TASK_REASONS, plan_identity
from service.knowledge import mappings_directory, write_lock
from service.render.care_plan import render_plan
from service.review import Proposal, Reviewer
from tests.contract_commands import AS_OF as AS_OF_THAT_DAY
from tests.contract_commands import a_third_failure, an_aneurysm, answered, refuted
from tests.contract_write import (
    EDITS,
    PARALLEL,
    TWO_FAILURES,
    ask,
    change,
    found_by,
    load_case,
    propose,
    read,
    versions,
)
from tests.in_r5 import load
from tests.support import (
    AS_OF,
    RXNORM,
    Resource,
    a_condition,
    a_patient,
    a_statement,
    client_at,
    reviewer,
    settings,
)

ACUTE_ALONE = "suicidal-thoughts-recorded-thirty-days-ago-propose-the-acute-protocol-alone"
_ICD = "http://hl7.org/fhir/sid/icd-10-cm"
_ENDED = {"completed", "cancelled", "rejected", "failed", "entered-in-error"}
_XHTML = "http://www.w3.org/1999/xhtml"


# --- what the record says -------------------------------------------------------------------------


class Says(StrEnum):
    """The decision that the record leads to where no plan has a say in it: a column."""

    PROPOSE = "propose"
    DECLINE = "decline"
    INFORMATION = "needs-information"
    REVIEW = "needs-review"


def say(server: str, patient: str, says: Says) -> None:
    """Have the record of the two failures say something."""
    added = {
        Says.PROPOSE: [],
        Says.DECLINE: [an_aneurysm(patient)],
        Says.INFORMATION: [venlafaxine(patient, start="2025-10", end="2025-11-20")],
        Says.REVIEW: [bipolar(patient)],
    }
    load(server, added[says])


def bipolar(patient: str) -> Resource:
    return _finding(patient, "bipolar", "F31.9")


def pregnant(patient: str) -> Resource:
    return _finding(patient, "pregnancy", "Z33.1") | {"onsetDateTime": "2026-10-01"}


def _finding(patient: str, name: str, code: str) -> Resource:
    return a_condition(f"{patient}-{name}", patient, code={"coding": [{"system": _ICD, "code": code}]})


def venlafaxine(patient: str, *, start: str = "2025-10-15", end: str = "2026-01-31") -> Resource:
    """The second failure; with dates known by month alone it may have been too short."""
    code = {"coding": [{"system": RXNORM, "code": "39786", "display": "venlafaxine"}]}
    return a_statement(
        f"{patient}-venlafaxine",
        patient,
        medicationCodeableConcept=code,
        effectivePeriod={"start": start, "end": end},
    )


def a_plan_of_another(patient: str, status: str) -> Resource:
    product = {"coding": [{"system": RXNORM, "code": "2119365", "display": "esketamine"}]}
    return {
        "resourceType": "CarePlan",
        "id": f"{patient}-theirs",
        "status": status,
        "intent": "plan",
        "subject": {"reference": f"Patient/{patient}"},
        "activity": [{"detail": {"status": "in-progress", "productCodeableConcept": product}}],
    }


# --- what stands on the server --------------------------------------------------------------------

Plans = dict[str, str]
"""The plans on record by a name for the test, each with its reference."""
SetUp = Callable[[str, str], Awaitable[Plans]]
"""Brings a patient of a server to where a row begins."""


@dataclass(frozen=True)
class Cell:
    """What came of a review: `decision/action`, every plan as `status/version`, reasons of open Tasks.

    `again` is what was written by the reviews after it, on the same day and two days later.
    """

    done: str
    plans: dict[str, str]
    tasks: list[str]
    again: list[str]


def cell(done: str, *tasks: str, **plans: str) -> Cell:
    """What is expected: nothing is written again."""
    return Cell(done, plans, list(tasks), [])


async def check(server: str, set_up: SetUp, *expected: Cell) -> None:
    """Walk a row: what the record says next is each column, in order."""
    seen = await side_by_side(*(_walk(server, set_up, says) for says in Says))
    agree(dict(zip(Says, seen, strict=True)), dict(zip(Says, expected, strict=True)))


def agree(seen: Mapping[str, Cell], expected: Mapping[str, Cell]) -> None:
    """All cells are as expected; else it is told which are not."""
    faults = [f"{name}: {seen[name]}\n    not {one}" for name, one in expected.items() if seen[name] != one]
    assert not faults, "\n".join(faults)


async def side_by_side(*work: Coroutine[Any, Any, Cell]) -> list[Cell]:
    """Do all of it at once; a fault of one is raised when the others are done."""
    done = await asyncio.gather(*work, return_exceptions=True)
    for one in done:
        if isinstance(one, BaseException):
            raise one
    return [one for one in done if isinstance(one, Cell)]


async def _walk(server: str, set_up: SetUp, says: Says) -> Cell:
    patient = load_case(server, TWO_FAILURES)
    plans = await set_up(server, patient)
    say(server, patient, says)
    return await what_comes_of_it(server, patient, plans)


async def what_comes_of_it(server: str, patient: str, plans: Plans, by: Reviewer | None = None) -> Cell:
    """Review a patient three times and tell what the first did and the others added."""
    by = by or reviewer()
    async with client_at(server) as client:
        done = await by.propose(client, patient)
        seen = await plans_of(server, patient, plans)
        tasks = await asked_of_people(server, patient)
        days = (by.as_of, by.as_of + timedelta(days=2))
        again = [await by.on(day).propose(client, patient) for day in days]
    written = [str(one) for run in again for one in run.written]
    return Cell(action_of(done), seen, tasks, written)


def action_of(done: Proposal) -> str:
    return f"{done.answer.decision.value}/{done.answer.care_plan.action.value}"


async def plans_of(server: str, patient: str, known: Plans) -> dict[str, str]:
    """Every plan of a patient; one that the test does not know is `new`, one that is not found is deleted."""
    found = {f"CarePlan/{one['id']}": one for one in await found_by(server, f"CarePlan?patient={patient}")}
    names = dict.fromkeys(found, "new") | {reference: name for name, reference in known.items()}
    assert len(set(names.values())) == len(names), "more than one new plan"
    for reference in names.keys() - found.keys():
        assert (await ask(server, reference)).status_code == HTTPStatus.GONE
    return {name: _state_of(found.get(reference), names) for reference, name in names.items()}


def _state_of(plan: Resource | None, names: dict[str, str]) -> str:
    if plan is None:
        return "deleted"
    replaced = "".join(f" replaces {names[one['reference']]}" for one in plan.get("replaces", []))
    return f"{plan['status']}/{plan['meta']['versionId']}{replaced}"


async def tasks_of(server: str, patient: str) -> list[Resource]:
    return await found_by(server, f"Task?patient={patient}&identifier={TASK_IDENTIFIER}%7C")


def reason_of(task: Resource) -> str:
    (coding,) = task["code"]["coding"]
    assert coding["system"] == TASK_REASONS
    return str(coding["code"])


async def asked_of_people(server: str, patient: str) -> list[str]:
    """The reasons of the open Tasks; the same one twice is two Tasks."""
    found = await tasks_of(server, patient)
    return sorted(reason_of(task) for task in found if task["status"] not in _ENDED)


async def only_task(server: str, patient: str) -> Resource:
    (task,) = await tasks_of(server, patient)
    return task


def as_it_stands(task: Resource) -> tuple[str, str]:
    return task["status"], task["meta"]["versionId"]


# --- where rows begin -----------------------------------------------------------------------------


async def drafted(server: str, patient: str) -> Plans:
    """A draft of ours that nobody touched."""
    reference = (await propose(server, patient)).answer.care_plan.reference
    assert reference is not None
    return {"plan": reference}


async def drafted_before_a_second_entry(server: str, patient: str) -> Plans:
    """A draft of ours that no longer names every entry of the depression."""
    plans = await drafted(server, patient)
    load(server, [_a_depression(patient, "a-second-mdd")])
    return plans


def changed(edit: Callable[[Resource], dict[str, Any]]) -> SetUp:
    """A draft of ours that a person changed."""

    async def set_up(server: str, patient: str) -> Plans:
        plans = await drafted(server, patient)
        await change(server, plans["plan"], **edit(await read(server, plans["plan"])))
        return plans

    return set_up


async def given_a_goal(server: str, patient: str) -> Plans:
    """A draft of ours to which a person added a goal."""
    plans = await drafted(server, patient)
    goal: Resource = {"resourceType": "Goal", "id": f"{patient}-goal", "lifecycleStatus": "proposed"}
    goal |= {"subject": {"reference": f"Patient/{patient}"}, "description": {"text": "To sleep"}}
    load(server, [goal])
    await change(server, plans["plan"], goal=[{"reference": f"Goal/{patient}-goal"}])
    return plans


WAYS_TO_EDIT: dict[str, SetUp] = {
    "a note": changed(EDITS["noted"]),
    "a session moved": changed(EDITS["moved"]),
    "a session ticked off": changed(EDITS["ticked"]),
    "a goal": given_a_goal,
    "another title": changed(lambda _: {"title": "Esketamine, as agreed"}),
    "another description": changed(lambda _: {"description": "As agreed with her."}),
}


async def deleted(server: str, patient: str) -> Plans:
    plans = await drafted(server, patient)
    await delete(server, plans["plan"], patient)
    return plans


async def delete(server: str, reference: str, patient: str) -> None:
    """A person deletes a resource, after no more of what refers to it than the server asks for."""
    answer = await ask(server, reference, method="DELETE")
    for search in (f"Provenance?target={reference}", f"GuidanceResponse?patient={patient}"):
        if answer.status_code != HTTPStatus.CONFLICT:
            break
        for one in await found_by(server, search):
            await delete(server, f"{one['resourceType']}/{one['id']}", patient)
        answer = await ask(server, reference, method="DELETE")
    assert answer.is_success, answer.text


WEEKS_LATER = 60
"""Days until the twelve sessions of a plan are over."""


async def treated(server: str, patient: str) -> Plans:
    """An active plan of ours with every session and the review ticked off, and a remission at its end."""
    plans = await drafted(server, patient)
    plan = await read(server, plans["plan"])
    done = [{"detail": {**one["detail"], "status": "completed"}} for one in plan["activity"]]
    await change(server, plans["plan"], status="active", activity=done)
    load(server, [_phq_9(patient, 3, AS_OF + timedelta(days=WEEKS_LATER - 2))])
    return plans


async def treated_and_not_reviewed(server: str, patient: str) -> Plans:
    """The same, with neither a review of the benefit nor a score."""
    plans = await drafted(server, patient)
    plan = await read(server, plans["plan"])
    activity = [
        {"detail": {**one["detail"], "status": "completed"}} if _is_session(one) else one
        for one in plan["activity"]
    ]
    await change(server, plans["plan"], status="active", activity=activity)
    return plans


def _is_session(activity: Resource) -> bool:
    return "event" in activity["detail"].get("scheduledTiming", {}) and "kind" in activity["detail"]


def _phq_9(patient: str, value: int, when: date) -> Resource:
    return {
        "resourceType": "Observation",
        "id": f"{patient}-phq-9",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "44261-6"}]},
        "subject": {"reference": f"Patient/{patient}"},
        "effectiveDateTime": when.isoformat(),
        "valueInteger": value,
    }


async def continued(server: str, patient: str) -> Plans:
    """A treatment, and the draft of ours that continues it."""
    plans = await treated(server, patient)
    done = await propose(server, patient, days=WEEKS_LATER)
    assert done.answer.reason.value == "continuation"
    reference = done.answer.care_plan.reference
    assert reference is not None
    return {**plans, "block": reference}


def _a_session(patient: str, day: str) -> Resource:
    return {
        "resourceType": "MedicationAdministration",
        "id": f"{patient}-session-{day}",
        "status": "completed",
        "medicationCodeableConcept": {
            "coding": [{"system": "http://www.nlm.nih.gov/research/umls/rxnorm", "code": "2119365"}]
        },
        "subject": {"reference": f"Patient/{patient}"},
        "effectiveDateTime": day,
    }


def _a_further_session(patient: str, plan: Resource) -> list[Resource]:
    """Every session of the plan on its day, and one more."""
    planned = [one["detail"]["scheduledTiming"]["event"][0] for one in plan["activity"] if _is_session(one)]
    further = (AS_OF + timedelta(days=WEEKS_LATER + 1)).isoformat()
    return [_a_session(patient, day) for day in (*planned, further)]


def _a_worsening(patient: str, _: Resource) -> list[Resource]:
    worse = _phq_9(patient, 15, AS_OF + timedelta(days=WEEKS_LATER + 1))
    return [worse | {"id": f"{patient}-phq-9-later"}]


NEWS = {"a session": _a_further_session, "another response": _a_worsening}
"""What a treatment may go on from anew."""


async def with_a_continuation_revoked(server: str) -> tuple[str, Plans]:
    """A patient under treatment, and the plans, of which a person revoked the draft that continues it."""
    patient = load_case(server, TWO_FAILURES)
    plans = await continued(server, patient)
    await change(server, plans["block"], status="revoked", note=[{"text": "Not yet."}])
    return patient, plans


async def revoked_by_us(server: str, patient: str) -> Plans:
    """A draft that a contraindication ended, which turned out to be an error."""
    plans = await drafted(server, patient)
    load(server, [an_aneurysm(patient)])
    await propose(server, patient)
    load(server, [refuted(an_aneurysm(patient))])
    return plans


def of_another(status: str) -> SetUp:
    async def set_up(server: str, patient: str) -> Plans:
        return _with_one_of_another({}, server, patient, status)

    return set_up


def drafted_beside_another(status: str) -> SetUp:
    async def set_up(server: str, patient: str) -> Plans:
        return _with_one_of_another(await drafted(server, patient), server, patient, status)

    return set_up


def _with_one_of_another(plans: Plans, server: str, patient: str, status: str) -> Plans:
    load(server, [a_plan_of_another(patient, status)])
    return {**plans, "theirs": f"CarePlan/{patient}-theirs"}


async def copied(server: str, patient: str) -> Plans:
    """A person made a copy of our draft: the same identifier, another id."""
    plans = await drafted(server, patient)
    return {**plans, "copy": await _posted(server, await read(server, plans["plan"]))}


async def drafted_twice(server: str, patient: str) -> Plans:
    """Two drafts of ours of another identity each, as a lost race leaves them; in the order of their ids."""
    done = await propose(server, patient)
    decision, reference = done.review.decision, done.answer.care_plan.reference
    assert isinstance(decision, Propose)
    assert isinstance(decision.schedule, Schedule)
    assert reference is not None
    identity = plan_identity(patient, "another-depression", "trd", 0)
    other = render_plan(decision, decision.schedule, identity, None)
    named = {element: other[element] for element in ("identifier", "extension")}
    first, second = sorted([reference, await _posted(server, await read(server, reference) | named)])
    return {"first": first, "second": second}


async def _posted(server: str, plan: Resource) -> str:
    body = {key: value for key, value in plan.items() if key not in {"id", "meta"}}
    answer = await ask(server, "CarePlan", method="POST", body=body)
    assert answer.status_code == HTTPStatus.CREATED, answer.text
    return re.sub(r".*(CarePlan/[^/]+).*", r"\1", answer.headers["Location"])


async def nothing(_server: str, _patient: str) -> Plans:
    return {}


def _link(kind: str, patient: str) -> Resource:
    return {"other": {"reference": f"Patient/{patient}"}, "type": kind}


# --- what a plan follows --------------------------------------------------------------------------


@cache
def reviewer_of(name: str, old: str, new: str) -> Reviewer:
    """A reviewer by lists of which one was changed."""
    with tempfile.TemporaryDirectory() as folder:
        lists = Path(folder) / "mappings"
        shutil.copytree(mappings_directory(), lists)
        text = (lists / name).read_text(encoding="utf-8")
        assert old in text
        (lists / name).write_text(text.replace(old, new, 1), encoding="utf-8")
        write_lock(lists, AS_OF)
        return Reviewer.prepare(settings(mappings=lists), AS_OF)


@dataclass(frozen=True)
class Shift:
    """Something that a plan hangs on changes. `done` is what a review then does with an untouched draft.

    The record is `case` with `before` until it changes by `load`; `by` reviews it before that, `then` after.
    """

    done: str
    load: Callable[[str], list[Resource]] = lambda _: []
    case: str = TWO_FAILURES
    before: Callable[[str], list[Resource]] = lambda _: []
    by: Callable[[], Reviewer] = reviewer
    then: Callable[[], Reviewer] | None = None
    tasks: tuple[str, ...] = ()


def _in_europe() -> Reviewer:
    return reviewer(region="eu")


def _a_depression(patient: str, name: str = "mdd", **elements: object) -> Resource:
    return a_condition(f"{patient}-{name}", patient, **elements)


def _another_depression(patient: str) -> list[Resource]:
    """The entry of the depression was an error; another one stands in its place."""
    return [refuted(_a_depression(patient)), _a_depression(patient, "a-second-mdd")]


def _born(day: str) -> Callable[[str], list[Resource]]:
    return lambda patient: [a_patient(patient, birthDate=day)]


def _suicidal_last_week(patient: str) -> list[Resource]:
    thoughts = _finding(patient, "suicidal", "R45.851")
    return [{**thoughts, "onsetDateTime": "2026-11-16"}]


def _two_failures(patient: str) -> list[Resource]:
    """In an episode that began long before the suicidal thoughts."""
    onset = _a_depression(patient)
    return [onset, a_statement(f"{patient}-sertraline", patient), venlafaxine(patient)]


SHIFTS: dict[str, Shift] = {
    "the onset is corrected": Shift(
        "propose/none", lambda patient: [_a_depression(patient, onsetDateTime="2025-06-15")]
    ),
    "another entry of the depression": Shift("propose/update", _another_depression),
    "a second entry of the depression": Shift(
        "propose/update", lambda patient: [_a_depression(patient, "a-second-mdd")]
    ),
    "from suicidality to treatment resistance": Shift(
        "propose/update", _two_failures, case=ACUTE_ALONE, before=_suicidal_last_week
    ),
    "another region": Shift("propose/update", then=_in_europe),
    "65 the day after session 1 in the EU, and a day passes": Shift(
        "propose/none",
        before=_born("1961-12-01"),
        by=_in_europe,
        then=lambda: _in_europe().on(AS_OF.replace(day=24)),
    ),
    "65 the day after session 1 in the EU, and session 1 passes": Shift(
        "propose/update",
        before=_born("1961-12-01"),
        by=_in_europe,
        then=lambda: _in_europe().on(AS_OF.replace(month=12, day=1)),
    ),
    "65 by a corrected birth date in the EU": Shift(
        "propose/update", _born("1950-01-01"), by=_in_europe, then=_in_europe
    ),
    "the criteria of the FDA": Shift("propose/update", then=lambda: reviewer(criteria="fda")),
    "criteria that ask for three trials": Shift(
        "decline/revoke",
        then=lambda: reviewer(criteria="payer-three-trials"),
        tasks=("draft-revoked",),
    ),
    "another version of the protocol": Shift(
        "propose/update",
        then=lambda: reviewer_of("protocols/us-trd.toml", 'version = "1.4.0"', 'version = "9.0.0"'),
    ),
    "another version of the knowledge": Shift(
        "propose/update", then=lambda: reviewer_of("codes/severity.csv", "HITSP", "the HITSP")
    ),
    "the clinic is closed on a day of the plan": Shift(
        "propose/update", then=lambda: Reviewer.prepare(settings(closed_days="2026-11-30"), AS_OF)
    ),
}


async def _after(server: str, shift: Shift, edit: dict[str, Any]) -> Cell:
    """What comes of a draft, changed by a person or not, when something shifts."""
    patient = load_case(server, shift.case)
    load(server, shift.before(patient))
    reference = (await propose(server, patient, by=shift.by())).answer.care_plan.reference
    assert reference is not None
    if edit:
        await change(server, reference, **edit)
    load(server, shift.load(patient))
    return await what_comes_of_it(server, patient, {"plan": reference}, (shift.then or shift.by)())


def _stored_otherwise(plan: Resource) -> Resource:
    """The plan as another program stores it: what it says is the same."""
    activities = [{"id": f"a{number}", **one} for number, one in enumerate(reversed(plan["activity"]))]
    tag = {"system": "http://example.org/tags", "code": "seen"}
    div = f'<div xmlns="{_XHTML}"><p>Twelve sessions of esketamine.</p></div>'
    return {
        "text": {"status": "generated", "div": div},
        "activity": activities,
        "meta": {**plan["meta"], "tag": [tag]},
    }


# --- what is asked of people ----------------------------------------------------------------------


@dataclass(frozen=True)
class Ground:
    """Why a person is asked, beside a draft of ours, and what takes the reason away."""

    load: Callable[[str], Resource]
    undo: Callable[[str], Resource]


GROUNDS = {
    "safety": Ground(bipolar, lambda patient: refuted(bipolar(patient))),
    "draft-revoked": Ground(an_aneurysm, lambda patient: refuted(an_aneurysm(patient))),
    "draft-stale": Ground(
        lambda patient: venlafaxine(patient, start="2025-10", end="2025-11-20"), venlafaxine
    ),
    "several-plans": Ground(
        lambda patient: a_plan_of_another(patient, "draft"),
        lambda patient: a_plan_of_another(patient, "entered-in-error"),
    ),
}


async def asked(server: str, reason: str = "safety", *, by: Reviewer | None = None) -> tuple[str, Resource]:
    """A patient with a draft of ours and a Task, and that Task."""
    patient = load_case(server, TWO_FAILURES)
    await drafted(server, patient)
    load(server, [GROUNDS[reason].load(patient)])
    await propose(server, patient, by=by)
    task = await only_task(server, patient)
    assert (reason_of(task), task["status"]) == (reason, "requested")
    return patient, task


async def _complete(server: str, task: Resource, _: str) -> None:
    await change(server, f"Task/{task['id']}", status="completed")


async def _delete_task(server: str, task: Resource, patient: str) -> None:
    await delete(server, f"Task/{task['id']}", patient)


TO_END_A_TASK = {"completed": _complete, "deleted": _delete_task}
TO_TAKE_UP_A_TASK: dict[str, Callable[[str], dict[str, object]]] = {
    "in progress": lambda _: {"status": "in-progress"},
    "somebody's": lambda patient: {"owner": {"reference": f"Practitioner/{patient}-doctor"}},
}


def a_doctor(patient: str) -> Resource:
    return {"resourceType": "Practitioner", "id": f"{patient}-doctor", "active": True}


class PlansContract:
    """The tests of a server; a class that derives from this one gives the fixture `server`."""

    # the table of reconciliation: the columns are propose, decline, needs information, needs review

    async def test_without_a_plan(self, server: str) -> None:
        await check(
            server,
            nothing,
            cell("propose/create", new="draft/1"),
            cell("decline/none"),
            cell("needs-information/none"),
            cell("needs-review/none", "safety"),
        )

    async def test_our_draft_that_nobody_touched(self, server: str) -> None:
        await check(
            server,
            drafted,
            cell("propose/none", plan="draft/1"),
            cell("decline/revoke", "draft-revoked", plan="revoked/2"),
            cell("needs-information/leave", "draft-stale", plan="draft/1"),
            cell("needs-review/leave", "safety", plan="draft/1"),
        )

    async def test_our_draft_when_the_record_changed(self, server: str) -> None:
        await check(
            server,
            drafted_before_a_second_entry,
            cell("propose/update", plan="draft/2"),
            cell("decline/revoke", "draft-revoked", plan="revoked/2"),
            cell("needs-information/leave", "draft-stale", plan="draft/1"),
            cell("needs-review/leave", "safety", plan="draft/1"),
        )

    @pytest.mark.parametrize("edit", WAYS_TO_EDIT)
    async def test_our_draft_that_a_person_edited(self, server: str, edit: str) -> None:
        await check(
            server,
            WAYS_TO_EDIT[edit],
            cell("propose/leave", plan="draft/2"),
            cell("decline/leave", "safety", plan="draft/2"),
            cell("needs-information/leave", plan="draft/2"),
            cell("needs-review/leave", "safety", plan="draft/2"),
        )

    async def test_our_plan_on_hold(self, server: str) -> None:
        await check(
            server,
            changed(lambda _: {"status": "on-hold"}),
            cell("decline/leave", plan="on-hold/2"),
            cell("decline/leave", "treatment-safety", plan="on-hold/2"),
            cell("decline/leave", plan="on-hold/2"),
            cell("decline/leave", "treatment-safety", plan="on-hold/2"),
        )

    async def test_our_plan_that_was_activated(self, server: str) -> None:
        await check(
            server,
            changed(EDITS["activated"]),
            cell("decline/leave", plan="active/2"),
            cell("decline/leave", "treatment-safety", plan="active/2"),
            cell("decline/leave", plan="active/2"),
            cell("decline/leave", "treatment-safety", plan="active/2"),
        )

    async def test_a_treatment_goes_on_by_a_draft_of_its_own(self, server: str) -> None:
        patient = load_case(server, TWO_FAILURES)
        plans = await continued(server, patient)
        block = await read(server, plans["block"])
        assert block["basedOn"] == [{"reference": plans["plan"]}]
        assert await plans_of(server, patient, plans) == {"plan": "active/2", "block": "draft/1"}
        assert await asked_of_people(server, patient) == []
        for days in (0, 1, 3):
            assert (await propose(server, patient, days=WEEKS_LATER + days)).written == ()

    async def test_a_draft_that_continues_a_treatment_is_revoked_when_something_is_found(
        self, server: str
    ) -> None:
        patient = load_case(server, TWO_FAILURES)
        plans = await continued(server, patient)
        load(server, [pregnant(patient) | {"onsetDateTime": "2027-01-10"}])
        assert action_of(await propose(server, patient, days=WEEKS_LATER)) == "decline/revoke"
        assert await plans_of(server, patient, plans) == {"plan": "active/2", "block": "revoked/2"}
        assert await asked_of_people(server, patient) == ["treatment-safety"]

    @pytest.mark.parametrize("status", ["draft", "revoked", "completed"])
    async def test_a_continuation_that_a_person_has_in_hand_or_ended_stays(
        self, server: str, status: str
    ) -> None:
        patient = load_case(server, TWO_FAILURES)
        plans = await continued(server, patient)
        await change(server, plans["block"], status=status, note=[{"text": "Not yet."}])
        assert action_of(await propose(server, patient, days=WEEKS_LATER + 1)) == "propose/leave"
        assert await plans_of(server, patient, plans) == {"plan": "active/2", "block": f"{status}/2"}

    async def test_a_continuation_that_a_person_deleted_stays_away(self, server: str) -> None:
        patient = load_case(server, TWO_FAILURES)
        plans = await continued(server, patient)
        await delete(server, plans["block"], patient)
        assert action_of(await propose(server, patient, days=WEEKS_LATER + 1)) == "propose/leave"
        assert await plans_of(server, patient, plans) == {"plan": "active/2", "block": "deleted"}

    @pytest.mark.parametrize("news", NEWS)
    async def test_a_continuation_that_a_person_revoked_comes_back_only_with_something_new(
        self, server: str, news: str
    ) -> None:
        patient, plans = await with_a_continuation_revoked(server)
        assert action_of(await propose(server, patient, days=WEEKS_LATER + 1)) == "propose/leave"
        load(server, NEWS[news](patient, await read(server, plans["plan"])))
        assert action_of(await propose(server, patient, days=WEEKS_LATER + 2)) == "propose/create"
        assert (await propose(server, patient, days=WEEKS_LATER + 2)).written == ()
        seen = await plans_of(server, patient, plans)
        assert {name: seen[name].split()[0] for name in seen} == {
            "plan": "active/2",
            "block": "revoked/2",
            "new": "draft/1",
        }

    @pytest.mark.parametrize("news", NEWS)
    async def test_a_continuation_that_a_person_deleted_comes_back_only_with_something_new(
        self, server: str, news: str
    ) -> None:
        patient = load_case(server, TWO_FAILURES)
        plans = await continued(server, patient)
        await delete(server, plans["block"], patient)
        for _ in range(2):
            assert action_of(await propose(server, patient, days=WEEKS_LATER + 1)) == "propose/leave"
        load(server, NEWS[news](patient, await read(server, plans["plan"])))
        assert action_of(await propose(server, patient, days=WEEKS_LATER + 2)) == "propose/create"
        assert (await propose(server, patient, days=WEEKS_LATER + 2)).written == ()

    async def test_a_task_that_a_person_completed_is_the_review_of_the_benefit(self, server: str) -> None:
        patient = load_case(server, TWO_FAILURES)
        await treated_and_not_reviewed(server, patient)
        assert action_of(await propose(server, patient, days=WEEKS_LATER)) == "decline/leave"
        task = await only_task(server, patient)
        assert reason_of(task) == "benefit-review"
        await _complete(server, task, patient)
        done = await propose(server, patient, days=WEEKS_LATER + 1)
        assert (action_of(done), done.answer.reason.value) == ("propose/create", "continuation")
        assert (await propose(server, patient, days=WEEKS_LATER + 1)).written == ()
        assert await asked_of_people(server, patient) == []

    async def test_a_task_that_a_person_cancelled_is_no_review(self, server: str) -> None:
        patient = load_case(server, TWO_FAILURES)
        await treated_and_not_reviewed(server, patient)
        await propose(server, patient, days=WEEKS_LATER)
        task = await only_task(server, patient)
        await change(server, f"Task/{task['id']}", status="cancelled")
        assert action_of(await propose(server, patient, days=WEEKS_LATER + 1)) == "decline/leave"

    async def test_an_activated_continuation_is_the_treatment(self, server: str) -> None:
        patient = load_case(server, TWO_FAILURES)
        plans = await continued(server, patient)
        await change(server, plans["block"], status="active")
        done = await propose(server, patient, days=WEEKS_LATER + 1)
        assert action_of(done) == "decline/leave"
        assert done.answer.treatment is not None
        assert [name.split("/_history")[0] for name in done.answer.treatment.plans] == list(plans.values())
        assert done.answer.treatment.next.code.value == "on-track"

    @pytest.mark.parametrize("status", ["revoked", "completed", "entered-in-error"])
    async def test_our_plan_that_a_person_ended(self, server: str, status: str) -> None:
        await check(
            server,
            changed(lambda _: {"status": status}),
            cell("propose/leave", plan=f"{status}/2"),
            cell("decline/none", plan=f"{status}/2"),
            cell("needs-information/none", plan=f"{status}/2"),
            cell("needs-review/none", "safety", plan=f"{status}/2"),
        )

    async def test_our_plan_that_a_person_deleted(self, server: str) -> None:
        await check(
            server,
            deleted,
            cell("propose/leave", plan="deleted"),
            cell("decline/none", plan="deleted"),
            cell("needs-information/none", plan="deleted"),
            cell("needs-review/none", "safety", plan="deleted"),
        )

    async def test_a_deleted_plan_stays_away_whatever_entry_tells_of_the_depression(
        self, server: str
    ) -> None:
        patient = load_case(server, TWO_FAILURES)
        plans = await deleted(server, patient)
        await propose(server, patient)
        load(server, _another_depression(patient))
        await propose(server, patient)

        seen = await what_comes_of_it(server, patient, plans)

        agree({"deleted": seen}, {"deleted": cell("propose/leave", plan="deleted")})

    async def test_our_plan_that_we_revoked(self, server: str) -> None:
        await check(
            server,
            revoked_by_us,
            cell("propose/create", plan="revoked/2", new="draft/1 replaces plan"),
            cell("decline/none", "draft-revoked", plan="revoked/2"),
            cell("needs-information/none", "draft-revoked", plan="revoked/2"),
            cell("needs-review/none", "draft-revoked", "safety", plan="revoked/2"),
        )

    async def test_a_draft_of_another(self, server: str) -> None:
        await check(
            server,
            of_another("draft"),
            cell("propose/leave", theirs="draft/1"),
            cell("decline/leave", "safety", theirs="draft/1"),
            cell("needs-information/leave", theirs="draft/1"),
            cell("needs-review/leave", "safety", theirs="draft/1"),
        )

    async def test_an_active_plan_of_another(self, server: str) -> None:
        await check(
            server,
            of_another("active"),
            cell("decline/leave", theirs="active/1"),
            cell("decline/leave", "treatment-safety", theirs="active/1"),
            cell("decline/leave", theirs="active/1"),
            cell("decline/leave", "treatment-safety", theirs="active/1"),
        )

    async def test_a_revoked_plan_of_another(self, server: str) -> None:
        await check(
            server,
            of_another("revoked"),
            cell("propose/create", theirs="revoked/1", new="draft/1"),
            cell("decline/none", theirs="revoked/1"),
            cell("needs-information/none", theirs="revoked/1"),
            cell("needs-review/none", "safety", theirs="revoked/1"),
        )

    async def test_a_completed_plan_of_another(self, server: str) -> None:
        await check(
            server,
            of_another("completed"),
            cell("needs-review/none", "safety", theirs="completed/1"),
            cell("decline/none", theirs="completed/1"),
            cell("needs-review/none", "safety", theirs="completed/1"),
            cell("needs-review/none", "safety", theirs="completed/1"),
        )

    async def test_our_draft_beside_a_draft_of_another(self, server: str) -> None:
        await check(
            server,
            drafted_beside_another("draft"),
            cell("propose/leave", "several-plans", plan="draft/1", theirs="draft/1"),
            cell("decline/revoke", "draft-revoked", "safety", plan="revoked/2", theirs="draft/1"),
            cell("needs-information/leave", "several-plans", plan="draft/1", theirs="draft/1"),
            cell("needs-review/leave", "safety", "several-plans", plan="draft/1", theirs="draft/1"),
        )

    async def test_our_draft_beside_an_active_plan_of_another(self, server: str) -> None:
        await check(
            server,
            drafted_beside_another("active"),
            cell("decline/revoke", "draft-revoked", plan="revoked/2", theirs="active/1"),
            cell("decline/revoke", "draft-revoked", "treatment-safety", plan="revoked/2", theirs="active/1"),
            cell("decline/revoke", "draft-revoked", plan="revoked/2", theirs="active/1"),
            cell("decline/revoke", "draft-revoked", "treatment-safety", plan="revoked/2", theirs="active/1"),
        )

    async def test_our_draft_and_a_copy_made_by_hand(self, server: str) -> None:
        await check(
            server,
            copied,
            cell("propose/leave", "several-plans", plan="draft/1", copy="draft/1"),
            cell("decline/revoke", "draft-revoked", plan="revoked/2", copy="revoked/2"),
            cell("needs-information/leave", "several-plans", plan="draft/1", copy="draft/1"),
            cell("needs-review/leave", "safety", "several-plans", plan="draft/1", copy="draft/1"),
        )

    async def test_two_drafts_of_ours_after_a_lost_race(self, server: str) -> None:
        await check(
            server,
            drafted_twice,
            cell("propose/none", first="draft/1", second="revoked/2"),
            cell("decline/revoke", "draft-revoked", first="revoked/2", second="revoked/2"),
            cell("needs-information/leave", "draft-stale", first="draft/1", second="revoked/2"),
            cell("needs-review/leave", "safety", first="draft/1", second="revoked/2"),
        )

    async def test_a_patient_who_was_merged_into_another(self, server: str) -> None:
        patient = load_case(server, TWO_FAILURES)
        plans = await drafted(server, patient)
        load(server, [a_patient(f"{patient}-kept")])
        link = _link("replaced-by", f"{patient}-kept")
        load(server, [a_patient(patient, active=False, link=[link]), bipolar(patient)])

        with pytest.raises(NotAssessable, match=f"merged into Patient/{patient}-kept"):
            await propose(server, patient)

        assert await plans_of(server, patient, plans) == {"plan": "draft/1"}
        assert await tasks_of(server, patient) == []

    async def test_a_patient_into_whom_another_was_merged(self, server: str) -> None:
        patient, former = load_case(server, TWO_FAILURES), load_case(server, TWO_FAILURES)
        plans = await drafted(server, former)
        load(server, [a_patient(patient, link=[_link("replaces", former)])])
        load(server, [a_patient(former, active=False, link=[_link("replaced-by", patient)])])

        seen = await what_comes_of_it(server, patient, plans)

        agree({"kept": seen}, {"kept": cell("propose/update", plan="draft/2")})
        assert (await read(server, plans["plan"]))["subject"]["reference"] == f"Patient/{patient}"

    # what a plan hangs on

    @pytest.mark.parametrize("shift", SHIFTS)
    async def test_an_untouched_draft_follows_and_an_edited_one_stays(self, server: str, shift: str) -> None:
        given = SHIFTS[shift]
        note = {"note": [{"text": "She prefers mornings."}]}
        untouched, edited = await side_by_side(_after(server, given, {}), _after(server, given, note))

        decision, _, action = given.done.partition("/")
        state = {"update": "draft/2", "revoke": "revoked/2", "none": "draft/1"}[action]
        expected = cell(given.done, *given.tasks, plan=state)
        left = cell(f"{decision}/leave", plan="draft/2")
        agree({"untouched": untouched, "edited": edited}, {"untouched": expected, "edited": left})

    async def test_a_program_that_stores_it_otherwise_is_no_person(self, server: str) -> None:
        patient = load_case(server, TWO_FAILURES)
        plan = (await drafted(server, patient))["plan"]
        await change(server, plan, **_stored_otherwise(await read(server, plan)))

        assert action_of(await propose(server, patient)) == "propose/none"
        load(server, [a_third_failure(patient)])
        assert action_of(await propose(server, patient)) == "propose/update"
        assert await versions(server, plan) == ["1", "2", "3"]

    # Tasks

    async def test_a_task_says_what_to_look_at(self, server: str) -> None:
        patient, task = await asked(server)

        (plan,) = await found_by(server, f"CarePlan?patient={patient}")
        assert (task["intent"], task["status"], task["priority"]) == ("proposal", "requested", "urgent")
        assert task["for"]["reference"] == f"Patient/{patient}"
        assert task["focus"]["reference"] == f"CarePlan/{plan['id']}"
        device = await read(server, task["requester"]["reference"])
        assert device["deviceName"][0]["name"] == "trd-careplan"
        assert task["code"]["text"] == "Review the safety of esketamine for this patient"
        assert "Bipolar disorder" in task["description"]
        assert "owner" not in task

    async def test_a_task_without_a_plan_is_about_the_patient(self, server: str) -> None:
        patient = load_case(server, TWO_FAILURES)
        say(server, patient, Says.REVIEW)
        await propose(server, patient)
        task = await only_task(server, patient)
        assert "focus" not in task
        assert task["for"]["reference"] == f"Patient/{patient}"

    async def test_a_task_is_for_the_owner_that_is_set(self, server: str) -> None:
        load(server, [a_doctor("house")])
        owner = "Practitioner/house-doctor"
        _, task = await asked(server, by=Reviewer.prepare(settings(task_owner=owner), AS_OF))
        assert task["owner"]["reference"] == owner

    async def test_a_calendar_that_cannot_hold_the_plan_leaves_a_stale_draft(self, server: str) -> None:
        patient = load_case(server, TWO_FAILURES)
        plans = await drafted(server, patient)
        mondays = Reviewer.prepare(settings(clinic_days="mon"), AS_OF)

        seen = await what_comes_of_it(server, patient, plans, mondays)

        agree({"mondays": seen}, {"mondays": cell("propose/leave", "draft-stale", plan="draft/1")})

    async def test_many_reviews_ask_once(self, server: str) -> None:
        patient = load_case(server, TWO_FAILURES)
        await drafted(server, patient)
        say(server, patient, Says.REVIEW)

        async with client_at(server, fhir_connections=PARALLEL) as client:
            await asyncio.gather(*(reviewer().propose(client, patient) for _ in range(PARALLEL)))
        await propose(server, patient, days=1)

        assert as_it_stands(await only_task(server, patient)) == ("requested", "1")

    @pytest.mark.parametrize("reason", GROUNDS)
    async def test_a_task_is_closed_when_its_reason_is_gone(self, server: str, reason: str) -> None:
        patient, task = await asked(server, reason)
        load(server, [GROUNDS[reason].undo(patient)])

        await propose(server, patient)

        closed = await read(server, f"Task/{task['id']}")
        assert as_it_stands(closed) == ("cancelled", "2")
        assert (
            closed["statusReason"]["text"]
            == "The reason no longer applies. The service that created this Task closed it."
        )
        assert await asked_of_people(server, patient) == []
        assert (await propose(server, patient, days=2)).written == ()

    async def test_a_reason_that_comes_back_is_asked_about_anew(self, server: str) -> None:
        patient, task = await asked(server)
        for condition in (refuted(bipolar(patient)), bipolar(patient)):
            load(server, [condition])
            await propose(server, patient)

        assert (await read(server, f"Task/{task['id']}"))["status"] == "cancelled"
        assert await asked_of_people(server, patient) == ["safety"]

    @pytest.mark.parametrize("end", TO_END_A_TASK)
    async def test_a_task_that_a_person_ended_is_not_raised_again(self, server: str, end: str) -> None:
        patient, task = await asked(server)
        await TO_END_A_TASK[end](server, task, patient)

        for days in (0, 1, 2):
            await propose(server, patient, days=days)
        load(server, [a_third_failure(patient)])
        await propose(server, patient, days=3)

        assert await asked_of_people(server, patient) == []

    @pytest.mark.parametrize("end", TO_END_A_TASK)
    async def test_another_finding_is_asked_about_anew(self, server: str, end: str) -> None:
        patient, task = await asked(server)
        await TO_END_A_TASK[end](server, task, patient)
        load(server, [pregnant(patient)])

        await propose(server, patient)

        (anew,) = [one for one in await tasks_of(server, patient) if one["status"] == "requested"]
        assert "Pregnancy" in anew["description"]
        assert (await propose(server, patient, days=2)).written == ()

    async def test_an_open_task_comes_to_say_more(self, server: str) -> None:
        patient, _ = await asked(server)
        load(server, [pregnant(patient)])
        await propose(server, patient)
        task = await only_task(server, patient)
        assert as_it_stands(task) == ("requested", "2")
        assert "Pregnancy" in task["description"]

    @pytest.mark.parametrize("way", TO_TAKE_UP_A_TASK)
    async def test_a_task_that_a_person_took_up_is_left(self, server: str, way: str) -> None:
        patient, task = await asked(server)
        load(server, [a_doctor(patient)])
        await change(server, f"Task/{task['id']}", **TO_TAKE_UP_A_TASK[way](patient))

        await propose(server, patient, days=1)
        load(server, [refuted(bipolar(patient))])
        await propose(server, patient, days=1)

        assert (await only_task(server, patient))["meta"]["versionId"] == "2"

    async def test_another_finding_is_asked_about_beside_a_task_taken_up(self, server: str) -> None:
        patient, task = await asked(server)
        await change(server, f"Task/{task['id']}", status="in-progress")
        load(server, [pregnant(patient)])

        await propose(server, patient)

        assert as_it_stands(await read(server, f"Task/{task['id']}")) == ("in-progress", "2")
        assert await asked_of_people(server, patient) == ["safety", "safety"]

    # said before it is done

    @pytest.mark.parametrize("says", Says)
    async def test_a_diff_announces_what_is_then_done(self, server: str, says: Says) -> None:
        patient = load_case(server, TWO_FAILURES)
        plans = await drafted(server, patient)
        say(server, patient, says)

        told = answered(server, "diff", f"Patient/{patient}", *AS_OF_THAT_DAY)

        assert await plans_of(server, patient, plans) == {"plan": "draft/1"}
        assert await tasks_of(server, patient) == []
        assert f"{told['decision']}/{told['action']}" == action_of(await propose(server, patient))
        assert [one["reason"] for one in told["tasks"]] == await asked_of_people(server, patient)


ONE_OF_EACH_ACTION = [
    "the onset is corrected",
    "another entry of the depression",
    "from suicidality to treatment resistance",
    "criteria that ask for three trials",
]
"""No new version, an update of what the plan refers to, an update of its protocol, and a revocation."""


class PlansContractInBrief(PlansContract):
    """The contract with one example where a row has several, for `make test` and slow servers."""

    @pytest.mark.parametrize("edit", ["a note", "a goal"])
    async def test_our_draft_that_a_person_edited(self, server: str, edit: str) -> None:
        await super().test_our_draft_that_a_person_edited(server, edit)

    @pytest.mark.parametrize("status", ["entered-in-error"])
    async def test_our_plan_that_a_person_ended(self, server: str, status: str) -> None:
        await super().test_our_plan_that_a_person_ended(server, status)

    @pytest.mark.parametrize("shift", ONE_OF_EACH_ACTION)
    async def test_an_untouched_draft_follows_and_an_edited_one_stays(self, server: str, shift: str) -> None:
        await super().test_an_untouched_draft_follows_and_an_edited_one_stays(server, shift)
