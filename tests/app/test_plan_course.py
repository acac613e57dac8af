"""A plan under treatment for people: what happened, on the terminal, as iCalendar, on a page."""

import io
import json
import re
from dataclasses import replace
from datetime import UTC, date, datetime
from html.parser import HTMLParser
from typing import Any

import pytest
from icalendar import Calendar

from service.commands.plan import choose_plan
from service.commands.report import print_report
from service.gather.files import read_bundle
from service.render.calendar import print_plan, to_ics
from service.render.course import ShownPlan
from service.render.page import to_page
from service.render.terminal import Terminal
from service.review import Review
from tests.app.test_plan_calendar import a_plan
from tests.docs.plan_pages import FOLDER
from tests.support import RXNORM, case_bundle, resources_of, reviewer

NOW = datetime(2027, 1, 12, 12, tzinfo=UTC)
DAY = date(2027, 1, 12)
GIVEN = ("2026-11-30", "2026-12-03", "2026-12-08")
"""Sessions 1 and 2 on their days, session 3 a day late."""
PHQ_9 = {"coding": [{"system": "http://loinc.org", "code": "44261-6"}]}
MADRS = {"text": "MADRS total score"}
Sessions = list[dict[str, Any]]


def sessions_of(plan: dict[str, Any]) -> Sessions:
    """The details of the dated sessions of a plan, in order."""
    details = [activity["detail"] for activity in plan["activity"]]
    return [d for d in details if d.get("kind") and d.get("scheduledTiming", {}).get("event")]


def active_plan(**elements: Any) -> dict[str, Any]:
    return a_plan(FOLDER / "us-trd.json") | {
        "id": "own",
        "status": "active",
        "meta": {"versionId": "3"},
        "subject": {"reference": "Patient/propose-two"},
        **elements,
    }


def administration(day: str, dose: float = 84) -> dict[str, Any]:
    return {
        "resourceType": "MedicationAdministration",
        "id": f"given-{day}",
        "meta": {"versionId": "1"},
        "status": "completed",
        "medicationCodeableConcept": {"coding": [{"system": RXNORM, "code": "2119365"}]},
        "subject": {"reference": "Patient/propose-two"},
        "effectiveDateTime": day,
        "dosage": {"dose": {"value": dose, "system": "http://unitsofmeasure.org", "code": "mg"}},
    }


def score(of: dict[str, Any], day: str, value: int) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": f"score-{'text' in of}-{day}",
        "meta": {"versionId": "1"},
        "status": "final",
        "code": of,
        "subject": {"reference": "Patient/propose-two"},
        "effectiveDateTime": day,
        "valueInteger": value,
    }


def reviewed(
    *resources: dict[str, Any],
    plan: dict[str, Any] | None = None,
    as_of: date = DAY,
    **patient: Any,
) -> Review:
    """The review of a patient with an active plan, these resources, and these elements of the Patient."""
    bundle = case_bundle("two-documented-failures-propose-treatment")
    person = next(one for one in resources_of(bundle) if one["resourceType"] == "Patient")
    for element, value in patient.items():
        person.pop(element, None)
        person.update({element: value} if value else {})
    bundle["entry"] += [{"resource": one} for one in (plan or active_plan(), *resources)]
    return reviewer(as_of).review(read_bundle(json.dumps(bundle).encode()))


def followed(*resources: dict[str, Any], **others: Any) -> ShownPlan:
    found = choose_plan(reviewed(*resources, **others))
    assert found is not None
    return found


def printed(shown: ShownPlan) -> str:
    out = io.StringIO()
    print_plan(Terminal(file=out, width=200), shown)
    return out.getvalue()


def events_of(shown: ShownPlan) -> dict[str, Any]:
    """The events of the calendar file by UID."""
    return {str(event["uid"]): event for event in Calendar.from_ical(to_ics(shown, NOW)).walk("VEVENT")}


def row_of(page: str, title: str) -> list[str]:
    """The cells of the row that a page has for a date."""
    row = next(one for one in page.split("<tr>") if title in one)
    return re.findall(r"<td>(.*?)</td>", row)


class Markup(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}


def session(number: int, phase: str = "induction") -> str:
    return f"Esketamine session {number} of 12 ({phase})"


def uid(number: int) -> str:
    return f"CarePlan-own-esketamine-session-{number}-of-12-induction-1@trd-careplan"


# --- what happened --------------------------------------------------------------------------------


def test_every_session_says_what_became_of_it() -> None:
    plan = active_plan()
    sessions_of(plan)[4]["status"] = "cancelled"
    sessions_of(plan)[5]["status"] = "on-hold"
    shown = followed(*map(administration, GIVEN), plan=plan, as_of=date(2026, 12, 14))
    assert [(s.number, s.said) for s in shown.dates if s.session][:8] == [
        (1, "given"),
        (2, "given"),
        (3, "given, Tue 8 Dec 2026"),
        (4, "missed"),
        (5, "cancelled"),
        (6, "on hold"),
        (7, "planned"),
        (8, "planned"),
    ]


def test_a_session_is_missed_when_more_than_two_days_passed() -> None:
    for day, said in ((12, "planned"), (13, "missed")):
        shown = followed(*map(administration, GIVEN), as_of=date(2026, 12, day))
        assert shown.dates[3].said == said


def test_the_terminal_says_what_happened_and_what_comes_next() -> None:
    shown = followed(*map(administration, GIVEN), as_of=date(2026, 12, 14))
    said = printed(shown)
    assert "CarePlan/own/_history/3 on record, active" in said
    assert "week 3, induction: 3 given, 1 missed, 8 planned" in said
    assert "session 4, Thu 10 Dec 2026" in said
    assert "house rule: dates of an active plan are never changed by this service" in said
    assert "REMS monitoring form by Tue 15 Dec 2026" in said
    assert "✓3" in said
    assert "✗4" in said
    assert "#5" in said


def test_the_calendar_file_cancels_what_is_not_to_be_and_moves_what_was_given() -> None:
    before = events_of(followed(as_of=date(2026, 11, 29)))
    plan = active_plan()
    sessions_of(plan)[4]["status"] = "cancelled"
    sessions_of(plan)[5]["status"] = "on-hold"
    after = events_of(followed(*map(administration, GIVEN), plan=plan, as_of=date(2026, 12, 14)))
    assert after.keys() == before.keys()
    assert {str(event["status"]) for event in before.values()} == {"CONFIRMED"}
    assert [(str(after[uid(n)]["summary"]), str(after[uid(n)]["status"])) for n in range(1, 8)] == [
        (f"{session(1)}: given", "CONFIRMED"),
        (f"{session(2)}: given", "CONFIRMED"),
        (f"{session(3)}: given, Tue 8 Dec 2026", "CONFIRMED"),
        (f"{session(4)}: missed", "CONFIRMED"),
        (f"{session(5)}: cancelled", "CANCELLED"),
        (f"{session(6)}: on hold", "CANCELLED"),
        (session(7), "CONFIRMED"),
    ]
    assert before[uid(3)]["dtstart"].dt == date(2026, 12, 7)
    assert after[uid(3)]["dtstart"].dt == date(2026, 12, 8)
    assert "Planned for Mon 7 Dec 2026." in str(after[uid(3)]["description"])


def test_the_calendar_file_of_a_course_names_no_patient_score_or_dose() -> None:
    shown = followed(
        administration("2026-11-30", 56.5),
        score(PHQ_9, "2026-11-27", 23),
        name=[{"text": "Secret Name"}],
        identifier=[{"value": "SECRET-1"}],
        as_of=date(2026, 12, 1),
    )
    content = to_ics(shown, NOW).decode()
    for word in ("Secret", "SECRET", "1981", "propose-two", "56.5", "PHQ"):
        assert word not in content
    assert "56.5 mg" in to_page(shown)


def test_a_session_on_no_planned_day_is_shown() -> None:
    plan = active_plan()
    for detail in sessions_of(plan)[1:]:
        detail["status"] = "cancelled"
    shown = followed(*map(administration, GIVEN[:2]), plan=plan, as_of=date(2026, 12, 4))
    assert row_of(to_page(shown), "not planned") == [
        "",
        "",
        "Esketamine session",
        "given, not planned, Thu 3 Dec 2026",
        "84 mg",
    ]
    event = events_of(shown)["CarePlan-own-not-planned-2026-12-03@trd-careplan"]
    assert event["dtstart"].dt == date(2026, 12, 3)


def test_a_session_of_which_only_the_month_is_known_stays_on_its_planned_day() -> None:
    shown = followed(administration("2026-12"), as_of=date(2027, 1, 4))
    given = [s for s in shown.dates if "given" in s.said]
    assert [(s.said, s.day == s.planned) for s in given] == [("given, day not known", True)]


def test_a_session_on_no_day_at_all_is_on_the_page_and_in_no_calendar() -> None:
    theirs = active_plan(activity=[{"detail": {**sessions_of(active_plan())[0], "scheduledTiming": {}}}])
    shown = followed(administration("2026-12"), plan=theirs, as_of=date(2027, 1, 4))
    assert "given, not planned, day not known" in to_page(shown)
    assert "given, not planned, day not known" in printed(shown)
    assert events_of(shown) == {}


def test_a_step_that_is_completed_is_done() -> None:
    plan = active_plan()
    review = next(a for a in plan["activity"] if a["detail"]["code"]["text"] == "Benefit review")
    assert row_of(to_page(followed(plan=plan)), "<b>Benefit review</b>")[3] == ""
    review["detail"]["status"] = "completed"
    plan["activity"][0]["detail"]["status"] = "completed"
    page = to_page(followed(plan=plan))
    assert row_of(page, "<b>Benefit review</b>")[3] == "done"
    assert "allows esketamine alone or with one. (done) Check" in page


def test_the_plans_of_a_chain_are_shown_together() -> None:
    first = active_plan(id="first", status="completed")
    sessions_of(first)[0]["status"] = "completed"
    second = active_plan(id="second", basedOn=[{"reference": "CarePlan/first"}])
    for number, detail in enumerate(sessions_of(second), start=13):
        detail["code"] = {"text": f"Esketamine session {number} (maintenance)"}
        detail["scheduledTiming"] = {"event": [date(2027, 2, number - 10).isoformat()]}
    second["period"] = {"start": "2027-01-26"}
    shown = followed(first, plan=second, as_of=date(2027, 1, 27))
    assert shown.where == "CarePlan/second/_history/3 on record"
    assert [s.number for s in shown.dates if s.session] == list(range(1, 25))
    assert {event.partition("-esk")[0] for event in events_of(shown) if "-esk" in event} == {
        "CarePlan-first",
        "CarePlan-second",
    }


def test_a_date_that_a_later_plan_took_over_is_cancelled() -> None:
    first = active_plan(id="first", status="completed")
    shown = followed(first, plan=active_plan(id="second", basedOn=[{"reference": "CarePlan/first"}]))
    assert shown.treatment is not None
    left = [s for s in shown.treatment.sessions if not s.evidence[0].startswith("CarePlan/first/")]
    shown = replace(shown, treatment=shown.treatment.model_copy(update={"sessions": left}))
    said = {(s.plan.plan, s.said) for s in shown.dates if s.number == 12}
    assert said == {("CarePlan/first", "cancelled"), ("CarePlan/second", "planned")}
    assert [s.said for s in shown.dates if s.number == 12][-1] == "planned"


# --- a draft that continues the treatment ---------------------------------------------------------

WEEK_9 = date(2027, 1, 26)


def all_given() -> list[dict[str, Any]]:
    """Every session of the plan on its day, and a remission."""
    days = [detail["scheduledTiming"]["event"][0] for detail in sessions_of(active_plan())]
    scores = (score(PHQ_9, "2026-11-27", 21), score(PHQ_9, "2027-01-25", 3))
    return [*map(administration, days), *scores]


def on_its_way(**edits: Any) -> dict[str, Any]:
    """The draft that continues the plan, as it is stored, with what a person changed in it."""
    draft = reviewed(*all_given(), as_of=WEEK_9).intent.plan
    assert draft is not None
    return draft | {"meta": {"versionId": "1"}, **edits}


def proposed_in(shown: ShownPlan) -> list[tuple[int | None, date | None]]:
    return [(one.number, one.day) for one in shown.dates if one.session and one.proposed]


def test_the_draft_that_continues_a_treatment_is_proposed_after_the_course() -> None:
    before = followed(*all_given(), as_of=WEEK_9)
    stored = followed(*all_given(), on_its_way(), as_of=WEEK_9)
    assert [number for number, _ in proposed_in(before)] == [13, 14]
    assert proposed_in(stored) == proposed_in(before)
    for shown, where in ((before, "not on record yet"), (stored, "on record")):
        assert shown.plan.status == "active"
        assert [s.number for s in shown.dates if s.session] == list(range(1, 15))
        assert "2 sessions, " in dict(shown.progress)["Proposed"]
        assert where in dict(shown.progress)["Proposed"]
        assert "least frequent" in dict(shown.progress)["Next"]


def test_proposed_dates_are_told_from_planned_ones_everywhere() -> None:
    shown = followed(*all_given(), on_its_way(), as_of=WEEK_9)
    titles = [one.title for one in shown.dates if one.proposed and one.session]
    page = to_page(shown)
    assert "This plan is active." in page
    assert [row_of(page, title)[3] for title in titles] == ["proposed", "proposed"]
    assert "<h3>Next:" not in page
    assert "?13" in printed(shown)
    events = {str(event["summary"]): str(event["status"]) for event in events_of(shown).values()}
    assert {events[f"{title}: proposed"] for title in titles} == {"TENTATIVE"}


def test_what_a_person_cancelled_in_the_draft_is_not_proposed() -> None:
    draft = on_its_way()
    sessions_of(draft)[0]["status"] = "cancelled"
    shown = followed(*all_given(), draft, as_of=WEEK_9)
    assert [number for number, _ in proposed_in(shown)] == [14]
    assert "cancelled" in [one.said for one in shown.dates]


def test_a_draft_that_would_be_revoked_is_not_proposed() -> None:
    shown = followed(*all_given(), on_its_way(), as_of=WEEK_9, deceasedBoolean=True)
    assert proposed_in(shown) == []
    assert "Proposed" not in dict(shown.progress)


@pytest.mark.parametrize("status", ["revoked", "completed"])
def test_a_draft_that_a_person_ended_is_not_proposed(status: str) -> None:
    ended = on_its_way(status=status, note=[{"text": "Not yet."}])
    assert proposed_in(followed(*all_given(), ended, as_of=WEEK_9)) == []


def test_a_step_back_says_which_plan_it_takes_the_place_of() -> None:
    plan = active_plan()
    for activity in plan["activity"]:
        if activity["detail"]["code"]["text"] == "Benefit review":
            activity["detail"]["status"] = "completed"
    days = [detail["scheduledTiming"]["event"][0] for detail in sessions_of(plan)][:10]
    scores = [
        score(PHQ_9, day, value) for day, value in (("2026-11-27", 21), ("2026-12-24", 3), (days[-1], 14))
    ]
    last = date.fromisoformat(days[-1])
    shown = followed(*map(administration, days), *scores, plan=plan, as_of=last)
    assert "in place of the dates left in CarePlan/own" in dict(shown.progress)["Proposed"]


# --- the page -------------------------------------------------------------------------------------


def test_the_page_of_an_active_plan_says_so_and_is_no_draft() -> None:
    page = to_page(followed(*map(administration, GIVEN), as_of=date(2026, 12, 14)))
    assert "This plan is active." in page
    assert "Draft" not in page
    assert "Day of assessment: Mon 14 Dec 2026." in page
    assert row_of(page, session(3)) == [
        "3",
        "Mon 7 Dec 2026",
        session(3),
        "given, Tue 8 Dec 2026",
        "84 mg",
    ]
    assert row_of(page, session(4))[3] == "<b>missed</b>"
    assert f"Next: {session(5)}, Mon 14 Dec 2026" in page
    assert "with pulse oximetry" in page


def test_the_page_names_the_patient_and_nothing_else_does() -> None:
    of_patient: dict[str, Any] = {
        "name": [{"family": "Ampère", "given": ["Test"]}],
        "identifier": [{"value": "00123", "type": {"coding": [{"code": "MR"}], "text": "MRN"}}],
    }
    review = reviewed(administration(GIVEN[0]), **of_patient)
    shown = choose_plan(review)
    assert shown is not None
    page = to_page(shown)
    assert "Patient: Test Ampère</b>. Born: 12 Apr 1981. Identifier: 00123 (MRN)." in page
    assert "Ampère" not in page[: page.index("<body>")]
    for elsewhere in (printed(shown), to_ics(shown, NOW).decode(), review.answer.model_dump_json()):
        assert not {word for word in ("Ampère", "00123", "12 Apr 1981") if word in elsewhere}


def test_a_patient_without_name_birth_date_and_identifier() -> None:
    page = to_page(followed(name=None, birthDate=None, identifier=None))
    assert "Patient: not on record</b>. Born: not on record. Identifier: not on record." in page


HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'&"


def test_what_others_wrote_is_escaped() -> None:
    plan = active_plan(title=HOSTILE)
    for activity in plan["activity"]:
        activity["detail"]["code"] = {"text": f"session 1 {HOSTILE}"}
        activity["detail"]["description"] = HOSTILE
    of_patient: dict[str, Any] = {
        "name": [{"text": HOSTILE}],
        "identifier": [{"value": HOSTILE, "system": HOSTILE}],
    }
    page = to_page(followed(administration(GIVEN[0]), plan=plan, **of_patient))
    markup = Markup(page)
    assert not {"script", "img"} & set(markup.tags)
    assert "onerror" not in markup.attributes
    assert page.count("&lt;script&gt;") > len(plan["activity"])


NARRATIVES = [
    ("<div><script>alert(1)</script>Text</div>", "<div>Text</div>"),
    ("<div><style>p { color: red }</style>Text</div>", "<div>Text</div>"),
    ('<div onclick="x()" style="x">Text</div>', "<div>Text</div>"),
    ('<p>See <a href="http://elsewhere.example">this</a></p>', "<p>See this</p>"),
    ('<p><img src="http://elsewhere.example/x.png"/>A</p>', "<p>A</p>"),
    ("<p>1 &lt; 2 &amp; <br/>3</p>", "<p>1 &lt; 2 &amp; <br>3</p>"),
    ("</body></html><iframe src=x></iframe>A", "A"),
    ("<!-- --><?x ?><!DOCTYPE x>A", "A"),
    ('<table><tr><td colspan="2">A</td></tr></table>', '<tr><td colspan="2">A</td></tr></tbody></table>'),
    ("<script>alert(1)", ""),
]


@pytest.mark.parametrize(("narrative", "kept"), NARRATIVES)
def test_a_narrative_keeps_its_text_and_nothing_that_acts(narrative: str, kept: str) -> None:
    plan = active_plan(status="draft", text={"div": narrative})
    assert kept in to_page(followed(plan=plan))
    assert not {"script", "a", "img", "iframe"} & set(Markup(to_page(followed(plan=plan))).tags)


def test_a_contraindication_stands_where_the_page_would_say_what_comes_next() -> None:
    page = to_page(followed(administration(GIVEN[0]), deceasedBoolean=True))
    assert "No esketamine plan is proposed. Reason: the patient has died." in page
    assert "The plan goes on as it stands." not in page
    assert "<b>Next:</b>" not in page


@pytest.mark.parametrize("status", ["completed", "revoked"])
def test_a_plan_that_ended_shows_what_became_of_it(status: str) -> None:
    plan = active_plan(status=status)
    sessions_of(plan)[0]["status"] = "completed"
    shown = followed(plan=plan)
    assert shown.dates[0].said == "given"
    assert str(events_of(shown)[uid(1)]["status"]) == "CONFIRMED"
    assert ("Draft" in to_page(shown)) is (status == "revoked")


# --- scores ---------------------------------------------------------------------------------------


def chart_titles(page: str) -> list[tuple[str, str]]:
    return re.findall(r'<svg [^>]*role="img" aria-labelledby="(\S+)"[^>]*><title id="\1">(.*?)</title>', page)


def test_the_chart_says_in_words_and_in_a_table_what_it_shows() -> None:
    scores = [score(PHQ_9, day, value) for day, value in (("2026-11-27", 21), ("2026-12-28", 9))]
    page = to_page(followed(*map(administration, GIVEN), *scores))
    said = "PHQ-9 scores: 21 on 27 Nov 2026, 9 on 28 Dec 2026"
    assert chart_titles(page) == [("chart-phq-9", said)]
    assert page.count("<circle") == 2
    assert "remission: 4 or less" in page
    assert row_of(page, "<td>28 Dec 2026</td>") == ["28 Dec 2026", "PHQ-9", "9"]


def test_each_instrument_has_a_chart_of_its_own() -> None:
    scores = [score(PHQ_9, "2026-11-27", 21), score(MADRS, "2026-11-27", 34), score(MADRS, "2027-01-11", 30)]
    shown = followed(*map(administration, GIVEN), *scores)
    assert [label for label, _ in chart_titles(to_page(shown))] == ["chart-phq-9", "chart-madrs"]
    assert "MADRS: 34 before treatment, 30 now (-4), no response" in printed(shown)
    assert "PHQ-9: 21 before treatment, no recent score, response not known" in printed(shown)
    assert "MADRS decides" in printed(shown)


def test_a_chart_with_one_score() -> None:
    page = to_page(
        followed(score(PHQ_9, "2026-11-30", 21), administration(GIVEN[0]), as_of=date(2026, 11, 30))
    )
    assert page.count("<circle") == 1
    assert ">21</text>" in page
    assert "PHQ-9: 21 before treatment, no recent score, response not known" in page


def test_without_a_score_the_page_says_so() -> None:
    page = to_page(followed(administration(GIVEN[0])))
    assert "<svg" not in page
    assert "No symptom score is on record from shortly before treatment or since." in page
    assert "symptom score" in page[page.index("<b>Due:</b>") :]


def test_scores_from_long_before_treatment_are_not_of_the_course() -> None:
    early = score(PHQ_9, "2026-10-01", 25)
    assert "<svg" not in to_page(followed(administration(GIVEN[0]), early))


# --- the report -----------------------------------------------------------------------------------


def report_of(review: Review) -> str:
    out = io.StringIO()
    print_report(Terminal(file=out, width=200), review.answer)
    return out.getvalue()


def test_the_report_has_a_section_on_treatment() -> None:
    scores = [score(PHQ_9, "2026-11-27", 21), score(PHQ_9, "2026-12-10", 18)]
    said = report_of(reviewed(*map(administration, GIVEN), *scores, as_of=date(2026, 12, 14)))
    section = said[said.index("\nTreatment") : said.index("Pathway trd")]
    assert "Course: week 3, induction: 3 given, 1 missed, 8 planned" in section
    assert "Missed: session 4, Thu 10 Dec 2026" in section
    assert "Response: PHQ-9: 21 before treatment, 18 now (-3), no response" in section
    assert "Next: The plan goes on as it stands. (house rule: " in section
    assert "Due: REMS monitoring form by Tue 15 Dec 2026" in section


def test_before_the_first_session_the_report_says_so() -> None:
    assert "Course: before session 1: 0 given, 12 planned" in report_of(reviewed(as_of=date(2026, 11, 24)))


def test_the_report_names_a_rule_of_the_label_as_such() -> None:
    days = ("2026-11-30", "2026-12-03", "2026-12-07", "2026-12-10", "2026-12-14", "2026-12-17", "2026-12-21")
    said = report_of(reviewed(*map(administration, (*days, "2026-12-24")), as_of=date(2026, 12, 26)))
    assert (
        "Evaluate the benefit of the induction before treatment goes on. (label rule: SPRAVATO US PI" in said
    )
    assert "benefit review by Tue 29 Dec 2026" in said


def test_the_report_on_a_patient_who_died_says_nothing_of_what_comes_next() -> None:
    said = report_of(reviewed(administration(GIVEN[0]), deceasedBoolean=True))
    assert "Course: week 7" in said
    assert "Next:" not in said


def test_a_patient_who_is_not_treated_has_no_such_section() -> None:
    bundle = case_bundle("two-documented-failures-propose-treatment")
    assert "\nTreatment\n" not in report_of(reviewer().review(read_bundle(json.dumps(bundle).encode())))
