"""The plan for people: on the terminal, as iCalendar, as a page."""

import io
import json
from datetime import UTC, date, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from icalendar import Calendar

from service.read.agenda import Agenda, read_agenda
from service.render.calendar import print_plan, to_ics
from service.render.course import ShownPlan
from service.render.page import to_page
from service.render.terminal import Terminal
from tests.docs.plan_pages import FOLDER
from tests.support import CASES, case_bundle, run_command

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
PLANS = sorted(FOLDER.glob("*.json"))
CASE = str(CASES / "two-documented-failures-propose-treatment" / "bundle.json")


def a_plan(path: Path = PLANS[0]) -> dict[str, Any]:
    plan: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return plan


@pytest.fixture(params=PLANS, ids=lambda path: path.stem)
def agenda(request: pytest.FixtureRequest) -> Agenda:
    return read_agenda(a_plan(request.param))


def events_of(content: bytes) -> list[Any]:
    return list(Calendar.from_ical(content).walk("VEVENT"))


def shown(agenda: Agenda, where: str = "on record") -> ShownPlan:
    return ShownPlan(agenda, where)


def printed(agenda: Agenda, width: int = 100) -> str:
    out = io.StringIO()
    print_plan(Terminal(file=out, width=width), ShownPlan(agenda, "on record"))
    return out.getvalue()


def test_the_terminal_shows_every_date_and_what_it_is_for(agenda: Agenda) -> None:
    said = printed(agenda)
    for entry in agenda.entries:
        assert f"{entry.day}" in said
        assert entry.activity.title in said
    for activity in agenda.undated:
        assert activity.title in said
        assert activity.description.split()[-1] in said
    assert all(f"#{number}" in said for number in range(1, len(agenda.session_days) + 1))


def test_the_calendar_file_has_one_event_a_date(agenda: Agenda) -> None:
    events = events_of(to_ics(shown(agenda), NOW))
    assert [(event["dtstart"].dt, str(event["summary"])) for event in events] == [
        (entry.day, entry.activity.title) for entry in agenda.entries
    ]
    assert len({str(event["uid"]) for event in events}) == len(events)
    for event in events:
        assert (event["dtend"].dt - event["dtstart"].dt).days == 1
        assert event["dtstamp"].dt == NOW
        assert str(event["status"]) == "TENTATIVE"
        assert agenda.plan in str(event["description"])


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ("draft", "TENTATIVE"),
        ("active", "CONFIRMED"),
        ("completed", "CONFIRMED"),
        ("revoked", "CANCELLED"),
        ("entered-in-error", "CANCELLED"),
        ("nonsense", "TENTATIVE"),
    ],
)
def test_the_status_of_the_dates_is_that_of_the_plan(status: str, said: str) -> None:
    events = events_of(to_ics(shown(read_agenda(a_plan() | {"status": status})), NOW))
    assert {str(event["status"]) for event in events} == {said}


def test_the_same_plan_gives_the_same_uids_whenever_it_is_written(agenda: Agenda) -> None:
    def uids(content: bytes) -> list[str]:
        return [str(event["uid"]) for event in events_of(content)]

    assert uids(to_ics(shown(agenda), NOW)) == uids(to_ics(shown(agenda), NOW.replace(year=2027)))


def test_the_calendar_file_names_no_patient() -> None:
    plan = a_plan()
    patient = plan["subject"]["reference"].removeprefix("Patient/")
    assert patient.encode() not in to_ics(shown(read_agenda(plan)), NOW)


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        assert not {name for name, _ in attrs} & {"href", "src", "onclick"}


def test_the_page_holds_the_narrative_and_asks_for_nothing_from_elsewhere(agenda: Agenda) -> None:
    page = to_page(shown(agenda, "CarePlan/1 on record"))
    tags = Tags()
    tags.feed(page)
    assert not {"script", "link", "img", "iframe"} & set(tags.seen)
    assert agenda.narrative in page
    assert "CarePlan/1 on record" in page


def test_a_plan_of_others_without_a_narrative_still_makes_a_page() -> None:
    event = {"event": ["2026-12-01"]}
    plan = {
        "id": "theirs",
        "status": "active",
        "activity": [
            {"detail": {"code": {"coding": [{"display": "Session <1>"}]}, "scheduledTiming": event}},
            {"reference": {"reference": "Task/1"}},
            {"detail": {"scheduledTiming": {"event": ["soon", "2026-12"]}, "status": "completed"}},
        ],
    }
    agenda = read_agenda(plan)
    assert [(entry.day, entry.activity.title) for entry in agenda.entries] == [
        (date(2026, 12, 1), "Session <1>")
    ]
    assert len(agenda.undated) == 2
    assert "Session &lt;1&gt;" in to_page(shown(agenda))
    assert "Session <1>" in printed(agenda)


MALFORMED: list[dict[str, Any]] = [
    {"activity": "x", "text": "x", "title": ["x"], "status": 1, "id": None},
    {"activity": [None, "x", {"detail": "x"}, {"detail": {"code": "x", "scheduledTiming": "x"}}]},
    {
        "activity": [
            {"detail": {"code": {"coding": ["x", {"display": 1}]}, "scheduledTiming": {"event": "x"}}}
        ]
    },
    {"activity": [{"detail": {"productCodeableConcept": {}, "scheduledTiming": {"event": [None, 1]}}}]},
]


@pytest.mark.parametrize("plan", MALFORMED)
def test_a_malformed_plan_is_read_as_far_as_it_goes(plan: dict[str, Any]) -> None:
    agenda = read_agenda(plan)
    assert agenda.entries == ()
    assert {activity.title for activity in agenda.activities} <= {"Activity"}
    assert printed(agenda)


def test_an_empty_plan_is_no_fault() -> None:
    agenda = read_agenda({})
    assert (agenda.plan, agenda.title, agenda.status) == ("CarePlan/unidentified", "Care plan", "unknown")
    assert printed(agenda)
    assert events_of(to_ics(shown(agenda), NOW)) == []


# --- the command ----------------------------------------------------------------------------------


def test_the_command_shows_what_would_be_proposed() -> None:
    ran = run_command("plan", CASE, "--as-of", "2026-11-23")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "would be" in ran.stdout
    assert "Esketamine session 12 of 12 (maintenance)" in ran.stdout


def test_the_steps_under_one_heading_are_printed_together() -> None:
    assert run_command("plan", CASE, "--as-of", "2026-11-23").stdout.count("Before the first session") == 1


def test_the_command_writes_files_and_nothing_else(tmp_path: Path) -> None:
    ics, html = tmp_path / "plan.ics", tmp_path / "plan.html"
    ran = run_command("plan", CASE, "--as-of", "2026-11-23", "--ics", str(ics), "--html", str(html))
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, f"{ics} written\n{html} written\n", "")
    assert len(events_of(ics.read_bytes())) == 14
    assert "Draft, proposed by decision support" in html.read_text(encoding="utf-8")


def test_the_plan_of_record_comes_first(tmp_path: Path) -> None:
    bundle = case_bundle("two-documented-failures-propose-treatment")
    patient = next(e["resource"] for e in bundle["entry"] if e["resource"]["resourceType"] == "Patient")
    own = a_plan() | {"id": "own", "status": "active", "meta": {"versionId": "3"}}
    own["subject"] = {"reference": f"Patient/{patient['id']}"}
    bundle["entry"].append({"resource": own})
    file = tmp_path / "bundle.json"
    file.write_text(json.dumps(bundle), encoding="utf-8")
    ran = run_command("plan", str(file), "--as-of", "2026-11-23", COLUMNS="300")
    assert "CarePlan/own/_history/3 on record, active" in ran.stdout


def test_without_a_plan_the_command_says_why() -> None:
    case = str(CASES / "a-deceased-patient-is-declined" / "bundle.json")
    ran = run_command("plan", case, "--as-of", "2026-11-23")
    assert ran.returncode == 0
    assert ran.stdout.startswith("Patient/deceased: no esketamine plan: decline (deceased). ")
