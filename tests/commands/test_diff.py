"""What a review would change is shown field by field, and nothing is written."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from datetime import date, timedelta

import pytest

from service.commands.compare import Change, PlanChanges, compare_plans
from service.commands.diff import Preview, preview, print_preview
from service.render.terminal import Terminal
from service.review import Reviewer
from tests.fhir.double import FhirDouble
from tests.fhir.test_write import (
    a_plan_of_somebody_else,
    a_resistant_record,
    a_third_failure,
    an_aneurysm,
    plan_reference,
    propose,
)
from tests.support import AS_OF, Resource, a_patient, client_of, reviewer, settings


@pytest.fixture
def server() -> FhirDouble:
    return FhirDouble(a_resistant_record())


async def previewed(server: FhirDouble, *, days: int = 0, by: Reviewer | None = None) -> Preview:
    before = len(server.posted)
    found = await preview((by or reviewer()).on(AS_OF + timedelta(days=days)), client_of(server), "ann")
    assert len(server.posted) == before
    return found


def changes_of(found: Preview) -> PlanChanges:
    assert found.changes is not None
    return found.changes


def printed(found: Preview) -> str:
    console = Terminal(width=200, record=True, quiet=False)
    with console.capture() as captured:
        print_preview(console, found)
    return captured.get()


async def test_without_a_plan_everything_is_added(server: FhirDouble) -> None:
    found = await previewed(server)

    assert (found.action, found.before, found.versions_before) == ("create", None, None)
    changes = changes_of(found)
    assert [(s.number, s.change, s.before) for s in changes.sessions] == [
        (number, Change.ADDED, None) for number in range(1, 13)
    ]
    assert changes.sessions[0].after == date(2026, 11, 30)
    assert {step.change for step in changes.steps} == {Change.ADDED}
    assert {change.field: change.after for change in changes.fields}["status"] == "draft"
    assert "CREATE" in printed(found)


async def test_what_is_shown_is_what_the_review_then_does(server: FhirDouble) -> None:
    await propose(server)
    before = server.only("CarePlan")
    server.put(a_third_failure())

    found = await previewed(server, days=9)
    done = await (reviewer().on(AS_OF + timedelta(days=9))).propose(client_of(server), "ann")

    assert (found.action, found.why) == (done.answer.care_plan.action, done.answer.care_plan.why)
    assert found.changes == compare_plans(before, server.only("CarePlan"))
    assert found.before == f"{plan_reference(server)}/_history/1"


async def test_a_draft_that_moves_shows_both_dates_and_the_words_that_change(server: FhirDouble) -> None:
    await propose(server)
    server.put(a_third_failure())

    found = await previewed(server, days=9)

    changes = changes_of(found)
    assert {session.change for session in changes.sessions} == {Change.MOVED}
    assert not any(session.reworded for session in changes.sessions)
    assert (changes.sessions[0].before, changes.sessions[0].after) == (date(2026, 11, 30), date(2026, 12, 9))
    description = {change.field: change for change in changes.fields}["description"]
    assert "Two adequate" in (description.before or "")
    assert "Mirtazapine" in (description.after or "")
    assert {step.title: step.change for step in changes.steps}["Benefit review"] is Change.CHANGED
    assert "Mirtazapine" in printed(found)
    assert "moved" in printed(found)


async def test_the_versions_then_and_now_are_told(server: FhirDouble) -> None:
    await propose(server)
    by = reviewer(criteria="fda")

    found = await previewed(server, by=by)

    assert found.versions_before is not None
    assert (found.versions_before.criteria, found.versions_after.criteria) == (
        "seed 2.0.0",
        f"fda {by.knowledge.criteria.version}",
    )
    assert found.versions_before.knowledge == found.versions_after.knowledge
    assert found.versions_before.protocol == "us-trd 1.3.0"
    assert found.versions_before.software


async def test_versions_that_are_not_on_record_are_left_open(server: FhirDouble) -> None:
    await propose(server)
    server.delete(f"Provenance/{server.only('Provenance')['id']}")

    found = await previewed(server)

    assert found.versions_before is not None
    assert (found.versions_before.criteria, found.versions_before.knowledge) == (None, None)


async def test_a_revocation_keeps_the_sessions_and_gives_the_reason(server: FhirDouble) -> None:
    await propose(server)
    server.put(an_aneurysm())

    found = await previewed(server)

    changes = changes_of(found)
    assert (found.action, found.reason) == ("revoke", "contraindicated")
    assert {session.change for session in changes.sessions} == {Change.KEPT}
    status = {change.field: (change.before, change.after) for change in changes.fields}["status"]
    assert status == ("draft", "revoked")
    assert [note.change for note in changes.notes][-1] is Change.ADDED
    assert "Aneurysmal" in changes.notes[-1].text


STAYS: dict[str, Callable[[FhirDouble], object]] = {
    "none": lambda _: None,
    "leave": lambda server: server.change(plan_reference(server), note=[{"text": "Ask her first"}]),
}


@pytest.mark.parametrize("action", STAYS)
async def test_a_plan_that_stays_shows_no_changes(server: FhirDouble, action: str) -> None:
    await propose(server)
    STAYS[action](server)

    found = await previewed(server)

    assert (found.action, found.changes) == (action, None)
    assert "stays unchanged" in printed(found)


async def test_a_plan_of_somebody_else_is_named(server: FhirDouble) -> None:
    server.put(a_plan_of_somebody_else("draft"))

    found = await previewed(server)

    assert (found.action, found.before) == ("leave", "CarePlan/theirs/_history/1")
    assert found.versions_before is not None
    assert found.versions_before.protocol is None


async def test_nothing_at_all_shows_nothing() -> None:
    found = await previewed(FhirDouble([a_patient()]))
    assert (found.action, found.before, found.changes) == ("none", None, None)


async def test_that_nothing_would_be_written_is_said(server: FhirDouble) -> None:
    by = replace(reviewer(), settings=settings(patients_allowed="bob"))
    found = await previewed(server, by=by)
    assert found.held == "patient-not-allowed"
    assert "Nothing would be written" in printed(found)


# --- one plan against another ---------------------------------------------------------------------


@pytest.fixture
async def plan(server: FhirDouble) -> Resource:
    await propose(server)
    return server.only("CarePlan")


def nothing_changed(changes: PlanChanges) -> bool:
    parts = (changes.sessions, changes.steps, changes.notes)
    kept = all(part.change is Change.KEPT for some in parts for part in some)
    return kept and not changes.fields and not any(session.reworded for session in changes.sessions)


def test_a_plan_says_the_same_as_itself(plan: Resource) -> None:
    turned = deepcopy(plan)
    turned["activity"].reverse()
    assert nothing_changed(compare_plans(plan, turned))


def _without_the_last_sessions(plan: Resource) -> None:
    sessions = [a for a in plan["activity"] if "session 1" in a["detail"]["code"]["text"]]
    plan["activity"] = [a for a in plan["activity"] if a not in sessions]


def _with_another_dose(plan: Resource) -> None:
    (first,) = [a for a in plan["activity"] if "session 1 of" in a["detail"]["code"]["text"]]
    first["detail"]["quantity"]["value"] = 28


def _with_a_step_less(plan: Resource) -> None:
    plan["activity"] = [a for a in plan["activity"] if a["detail"]["code"]["text"] != "Benefit review"]


DIFFERENCES: dict[str, tuple[Callable[[Resource], object], Callable[[PlanChanges], object], object]] = {
    "sessions less": (
        _without_the_last_sessions,
        lambda c: [s.number for s in c.sessions if s.change is Change.REMOVED],
        [1, 10, 11, 12],
    ),
    "another dose": (
        _with_another_dose,
        lambda c: [(s.number, s.change) for s in c.sessions if s.reworded],
        [(1, Change.CHANGED)],
    ),
    "a step less": (
        _with_a_step_less,
        lambda c: [s.title for s in c.steps if s.change is Change.REMOVED],
        ["Benefit review"],
    ),
    "another title": (
        lambda plan: plan.update(title="Other"),
        lambda c: [(f.field, f.after) for f in c.fields],
        [("title", "Other")],
    ),
    "another protocol": (
        lambda plan: plan.update(instantiatesCanonical=["http://x/PlanDefinition/y|2"]),
        lambda c: [(f.field, f.before, f.after) for f in c.fields],
        [("protocol", "us-trd 1.3.0", None)],
    ),
    "a note": (
        lambda plan: plan.update(note=[{"text": "Ask her first"}]),
        lambda c: [n.text for n in c.notes if n.change is Change.ADDED],
        ["Ask her first"],
    ),
}


@pytest.mark.parametrize("name", DIFFERENCES)
def test_each_difference_is_told_as_what_it_is(plan: Resource, name: str) -> None:
    make, told, expected = DIFFERENCES[name]
    after = deepcopy(plan)
    make(after)
    changes = compare_plans(plan, after)
    assert told(changes) == expected
    assert not nothing_changed(changes)


def test_sessions_without_a_number_go_by_their_dates_and_odd_dates_are_left_out(plan: Resource) -> None:
    details = [a["detail"] for a in plan["activity"] if "kind" in a["detail"]]
    for detail in details:
        detail["code"]["text"] = "Visit"
    details[0]["scheduledTiming"]["event"] = ["2026-99"]
    assert [s.number for s in compare_plans(None, plan).sessions] == list(range(1, 13))
