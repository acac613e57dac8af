"""What is written is FHIR R4: its models, its value sets, its invariants, and what it must say to people."""

import json
import re
import tomllib
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import replace
from datetime import date, datetime, timedelta
from functools import cache
from itertools import pairwise
from typing import Any, NamedTuple
from xml.etree import ElementTree as ET

import pytest
from fhir.resources import get_fhir_model_class

from service import __version__
from service.cause import Cause
from service.core.assessment import ACUTE
from service.core.decision import Propose, ReasonOfDecision
from service.core.knowledge import Effect
from service.core.plans import PlanAction
from service.core.records import VersionedReference
from service.core.schedule import Schedule
from service.fhir.kinds import READ_KINDS
from service.fhir.models import validated
from service.fhir.names import (
    CAUSES,
    CONTENT_DIGEST,
    EDIT_DIGEST,
    content_digest,
    edit_digest,
    extension_value,
)
from service.fhir.r5.written import render_in_r5
from service.gather.files import read_bundle
from service.render.care_plan import render_plan, render_revoked
from service.render.device import render_device
from service.render.guidance import render_guidance
from service.render.provenance import Occasion, render_provenance
from service.review import Review
from tests.support import (
    AS_OF,
    CASES,
    FEW,
    Resource,
    a_bundle,
    a_condition,
    a_patient,
    a_statement,
    case_bundle,
    case_bytes,
    case_names,
    case_reviewer,
    each_case,
    resources_of,
    reviewer,
)

BORN = {"under 65": "1981-04-12", "65 and over": "1955-04-12"}
PROTOCOLS = {"us-trd", "us-mdsi", "eu-trd", "eu-trd-65plus", "eu-emergency"}
XHTML = "{http://www.w3.org/1999/xhtml}"


# --- everything that is rendered ------------------------------------------------------------------


def expected_of(name: str) -> dict[str, Any]:
    return tomllib.loads((CASES / name / "expected.toml").read_text(encoding="utf-8"))


def reviewed(bundle: Resource, *, region: str = "us", days: int = 0) -> Review:
    by = reviewer(AS_OF + timedelta(days=days), region=region)
    return by.review(read_bundle(json.dumps(bundle).encode()))


def born(bundle: Resource, day: str) -> Resource:
    for resource in resources_of(bundle):
        if resource["resourceType"] == "Patient":
            resource["birthDate"] = day
    return bundle


class Key(NamedTuple):
    """Which proposal: a case, read in a region, at an age."""

    name: str
    region: str
    age: str


def _keys() -> Iterator[Key]:
    for name in case_names():
        expected = expected_of(name)
        first = expected["reason"] in {"trd", "acute-suicidality"} and "criteria_id" not in expected
        for region in ("us", "eu"):
            for age in BORN if first else ():
                no_protocol = (expected["reason"], region, age) == ("acute-suicidality", "eu", "65 and over")
                if not no_protocol and region in expected.get("regions", ("us", "eu")):
                    yield Key(name, region, age)


KEYS = list(_keys())
"""Every proposal of the cases, in both regions and on both sides of 65; one of them has no protocol."""
FIRST = Key("two-documented-failures-propose-treatment", "us", "under 65")
ALERTED = FIRST._replace(name="an-old-note-of-suicidal-thoughts-alerts-and-decides-nothing")


@cache
def review_of(key: Key) -> Review:
    return reviewed(born(case_bundle(key.name), BORN[key.age]), region=key.region)


def proposal_of(key: Key) -> Propose:
    decision = review_of(key).decision
    assert isinstance(decision, Propose)
    return decision


def schedule_of(decision: Propose) -> Schedule:
    assert isinstance(decision.schedule, Schedule)
    return decision.schedule


def plan_of(decision: Propose, identity: str = "identity") -> Resource:
    return render_plan(decision, schedule_of(decision), identity, None)


TARGET = VersionedReference("CarePlan", "plan", "1")
OLD = "old"


def occasion_of(review: Review) -> Occasion:
    calendar = reviewer().calendar
    return Occasion("2026-11-23T10:00:00.000+00:00", Cause.REST_HOOK, review.record, calendar)


@cache
def rendered(key: Key) -> tuple[Resource, ...]:
    """Everything that is written for a proposal."""
    decision = proposal_of(key)
    plan = plan_of(decision)
    return (
        plan,
        render_plan(decision, schedule_of(decision), "identity", OLD),
        render_revoked(plan, "the draft is no longer supported"),
        render_guidance(decision, plan["id"]),
        render_guidance(decision, None, "a person edited the draft"),
        render_provenance(decision, [TARGET], occasion_of(review_of(key))),
        render_device(),
    )


@cache
def assessments_on_record() -> tuple[Resource, ...]:
    """What is written of every case without its plan, whatever the decision."""
    reviews = [
        case_reviewer(name).review(read_bundle(json.dumps(case_bundle(name)).encode()))
        for name in case_names()
    ]
    guidances = [render_guidance(review.decision, None) for review in reviews]
    provenances = [render_provenance(r.decision, [TARGET], occasion_of(r)) for r in reviews]
    return (*guidances, *provenances)


def _param(key: Key | None) -> Any:
    """What is tried: a key, or `None` for the assessments; in `make test` those of few cases."""
    few = key is None or key.name in FEW
    return pytest.param(key, id="-".join(key or ["assessments"]), marks=[] if few else pytest.mark.matrix)


@pytest.fixture(params=map(_param, KEYS))
def proposal(request: pytest.FixtureRequest) -> Propose:
    return proposal_of(request.param)


@pytest.fixture(params=map(_param, [*KEYS, None]))
def resources(request: pytest.FixtureRequest) -> tuple[Resource, ...]:
    return rendered(request.param) if request.param else assessments_on_record()


@pytest.fixture
def plan() -> Resource:
    return plan_of(proposal_of(ALERTED))


def values_at(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every value of a resource with the path of the elements that lead to it."""
    yield path, value
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from values_at(inner, f"{path}.{key}" if path else key)
    if isinstance(value, list):
        for inner in value:
            yield from values_at(inner, path)


def test_every_protocol_is_reached() -> None:
    assert {proposal_of(key).protocol.id for key in KEYS} == PROTOCOLS


# --- the rules of FHIR ----------------------------------------------------------------------------

REQUEST_STATUS = {"draft", "active", "on-hold", "revoked", "completed", "entered-in-error", "unknown"}
VALUE_SETS = {
    "CarePlan.status": REQUEST_STATUS,
    "CarePlan.intent": {"proposal", "plan", "order", "option"},
    "CarePlan.text.status": {"generated", "extensions", "additional", "empty"},
    "CarePlan.activity.detail.kind": {
        "Appointment",
        "CommunicationRequest",
        "DeviceRequest",
        "MedicationRequest",
        "NutritionOrder",
        "Task",
        "ServiceRequest",
        "VisionPrescription",
    },
    "CarePlan.activity.detail.status": {
        "not-started",
        "scheduled",
        "in-progress",
        "on-hold",
        "completed",
        "cancelled",
        "stopped",
        "unknown",
        "entered-in-error",
    },
    "CarePlan.activity.detail.scheduledTiming.repeat.periodUnit": {"s", "min", "h", "d", "wk", "mo", "a"},
    "GuidanceResponse.status": {
        "success",
        "data-requested",
        "data-required",
        "in-progress",
        "failure",
        "entered-in-error",
    },
    "GuidanceResponse.dataRequirement.type": {
        "Patient",
        "Condition",
        "MedicationStatement",
        "MedicationDispense",
        "Observation",
        "AllergyIntolerance",
    },
    "Provenance.entity.role": {"derivation", "revision", "quotation", "source", "removal"},
    "Device.status": {"active", "inactive", "entered-in-error", "unknown"},
    "Device.deviceName.type": {
        "udi-label-name",
        "user-friendly-name",
        "patient-reported-name",
        "manufacturer-name",
        "model-name",
        "other",
    },
}
"""The codes of R4's required bindings at the elements that are written."""
EXTENSIBLE = {
    "CarePlan.category.coding.code": {"assess-plan"},
    "Provenance.agent.type.coding.code": {"assembler"},
}


def test_the_models_of_r4_accept_it(resources: tuple[Resource, ...]) -> None:
    for resource in resources:
        assert validated(resource) is resource


def test_the_model_of_r5_accepts_an_assessment_of_a_treatment() -> None:
    named = "a-session-missed-in-week-2-is-named"
    guidance = render_in_r5(assessments_on_record()[case_names().index(named)])
    assert guidance["contained"][0]["resourceType"] == "Parameters"
    for resource in (guidance, *guidance["contained"]):
        get_fhir_model_class(resource["resourceType"])(**resource)


def test_its_codes_are_in_the_value_sets(resources: tuple[Resource, ...]) -> None:
    for resource in resources:
        for path, value in values_at(resource, resource["resourceType"]):
            allowed = (VALUE_SETS | EXTENSIBLE).get(path)
            if allowed is not None:
                assert value in allowed, path


def test_every_value_set_is_tried() -> None:
    everything = [*assessments_on_record(), *(r for key in KEYS for r in rendered(key))]
    seen = {path for r in everything for path, _ in values_at(r, r["resourceType"])}
    assert set(VALUE_SETS) | set(EXTENSIBLE) <= seen


def test_nothing_in_it_is_empty(resources: tuple[Resource, ...]) -> None:
    for resource in resources:
        for path, value in values_at(resource):
            assert value not in ("", [], {}, None), path
            if isinstance(value, str):
                assert value == value.strip(), path


def test_its_id_is_a_fhir_id(resources: tuple[Resource, ...]) -> None:
    for resource in resources:
        assert re.fullmatch(r"[A-Za-z0-9\-.]{1,64}", resource["id"])


def test_its_references_are_well_formed_and_contained_ones_resolve(resources: tuple[Resource, ...]) -> None:
    """ref-1, dom-2 to dom-5."""
    for resource in resources:
        contained = resource.get("contained", [])
        ids = {inner["id"] for inner in contained}
        found = {value for path, value in values_at(resource) if path.endswith("reference")}
        local = {reference[1:] for reference in found if reference.startswith("#")}
        assert local == ids
        for reference in found:
            assert re.fullmatch(r"#output|[A-Z][A-Za-z]+/[A-Za-z0-9\-.]{1,64}(/_history/[^/]+)?", reference)
        for inner in contained:
            assert "contained" not in inner
            assert not {"versionId", "lastUpdated", "security"} & set(inner.get("meta", {}))


def test_periods_and_dates(resources: tuple[Resource, ...]) -> None:
    """per-1, and dates as R4 writes them."""
    for resource in resources:
        for path, value in values_at(resource):
            if path.endswith(("period", "Period")) and isinstance(value, dict):
                assert value["start"] <= value["end"]
            if path.endswith(("event", "created", "DateTime", ".start", ".end")) and isinstance(value, str):
                assert date.fromisoformat(value).isoformat() == value


def test_timings(resources: tuple[Resource, ...]) -> None:
    """tim-1 to tim-10, of which only a rhythm in weeks is used."""
    for resource in resources:
        for path, value in values_at(resource):
            if path.endswith("scheduledTiming"):
                assert len(value) == 1, "either events or a rhythm"
            if path.endswith("scheduledTiming.repeat"):
                assert set(value) == {"frequency", "period", "periodMax", "periodUnit"}
                assert 0 < value["period"] <= value["periodMax"]
                assert value["frequency"] > 0


def test_activities_have_a_detail_and_no_reference(proposal: Propose) -> None:
    """cpl-3."""
    for activity in plan_of(proposal)["activity"]:
        assert set(activity) == {"detail"}


# --- the narrative --------------------------------------------------------------------------------

TAGS = {"div", "h2", "h3", "p", "b", "ul", "li", "table", "thead", "tbody", "tr", "th", "td"}
LANGUAGE = {"lang", "{http://www.w3.org/XML/1998/namespace}lang"}


def narrative_of(plan: Resource) -> ET.Element:
    return ET.fromstring(plan["text"]["div"])  # noqa: S314 - written by the code under test


def text_of(plan: Resource) -> str:
    return "".join(narrative_of(plan).itertext())


def test_the_narrative_is_plain_xhtml(resources: tuple[Resource, ...]) -> None:
    """txt-1 and txt-2."""
    for resource in resources:
        if "text" not in resource:
            continue
        root = narrative_of(resource)
        assert root.tag == f"{XHTML}div"
        assert {element.tag.removeprefix(XHTML) for element in root.iter()} <= TAGS
        assert set(root.attrib) == LANGUAGE
        assert all(set(element.attrib) <= {"colspan"} for element in root.iter() if element is not root)
        assert text_of(resource).strip()


def test_the_narrative_says_every_date_and_dose(proposal: Propose) -> None:
    schedule = schedule_of(proposal)
    root = narrative_of(plan_of(proposal))
    rows = [["".join(cell.itertext()) for cell in row] for row in root.iterfind(f".//{XHTML}tbody/{XHTML}tr")]
    assert [row for row in rows if row[0]] == [
        [str(s.number), long_day(s.date), s.phase, " or ".join(f"{mg} mg" for mg in s.dose_options_mg)]
        for s in schedule.sessions
    ]
    assert [row[1:] for row in rows if not row[0]] == [
        [long_day(point.date), f"{point.code.replace('-', ' ').capitalize()}. {point.text}"]
        for point in schedule.decision_points
    ]
    dates = [datetime.strptime(row[1], "%a %d %b %Y").date() for row in rows]  # noqa: DTZ007 - a day
    assert dates == sorted(dates), "decisions stand between the sessions, in order of time"
    said = text_of(plan_of(proposal))
    visit = schedule.visit
    for words in (schedule.then, *schedule.preparation, *visit.before, *visit.during, *visit.after):
        assert words in said


def long_day(day: date) -> str:
    return f"{day:%a} {day.day} {day:%b %Y}"


def test_cautions_come_before_the_sessions(proposal: Propose) -> None:
    plan = plan_of(proposal)
    headings = [one.text for one in narrative_of(plan).iter(f"{XHTML}h3")]
    cautious = len(plan.get("note", [])) > len(proposal.assessment.alerts)
    shown = [one for one in headings if one in {"Cautions", "Sessions"}]
    assert shown == (["Cautions", "Sessions"] if cautious else ["Sessions"])


def test_a_plan_for_acute_suicidality_says_what_it_rests_on(proposal: Propose) -> None:
    assessment = proposal.assessment
    reasons = [reason.text for c in assessment.pathway(ACUTE).criteria for reason in c.answer.reasons]
    said = text_of(plan_of(proposal))
    acute = proposal.reason is ReasonOfDecision.ACUTE_SUICIDALITY
    assert reasons
    assert all((f"{text[:1].upper()}{text[1:]}." in said) == acute for text in reasons)


def test_every_caution_stands_in_the_notes_and_the_narrative(proposal: Propose) -> None:
    plan = plan_of(proposal)
    notes = [note["text"] for note in plan.get("note", [])]
    assert {alert.text for alert in proposal.assessment.alerts} <= set(notes)
    cautions = [f.title for f in proposal.assessment.safety if f.effect is Effect.CAUTION]
    assert all(any(title in note for note in notes) for title in cautions)
    assert len(notes) >= len(proposal.assessment.alerts) + len(cautions)
    assert all(note in text_of(plan) for note in notes)


def test_a_revoked_plan_says_so_first(plan: Resource) -> None:
    root = narrative_of(render_revoked(plan, "the draft is no longer supported & <gone>"))
    first = next(iter(root))
    assert "".join(first.itertext()) == (
        "Revoked by the service that proposed it. the draft is no longer supported & <gone>"
    )


def test_a_plan_without_a_narrative_can_be_revoked(plan: Resource) -> None:
    del plan["text"]
    revoked = validated(render_revoked(plan, "why"))
    assert "Revoked by the service that proposed it. why" in revoked["text"]["div"]


HOSTILE = "<script>alert('1')</script> & <b onclick=\"x()\">antidepressant"


def test_words_of_the_record_are_escaped() -> None:
    record = [
        a_patient(),
        a_condition("depression"),
        a_statement("sertraline"),
        a_statement(
            "venlafaxine",
            medicationCodeableConcept={
                "coding": [
                    {"system": "http://www.nlm.nih.gov/research/umls/rxnorm"}
                    | {"code": "39786", "display": "venlafaxine"}
                ]
            },
            effectivePeriod={"start": "2025-10-05", "end": "2026-01-31"},
        ),
        a_statement("hostile", medicationCodeableConcept={"text": HOSTILE}),
    ]
    decision = reviewed(a_bundle(record)).decision
    assert isinstance(decision, Propose)

    plan = plan_of(decision)

    assert "alert('1')" in text_of(plan), "the words are there, as words"
    tags = {element.tag.removeprefix(XHTML) for element in narrative_of(plan).iter()}
    assert tags <= TAGS
    assert "<script" not in plan["text"]["div"].lower()
    assert 'onclick="' not in plan["text"]["div"]
    assert validated(plan)


# --- the schedule ---------------------------------------------------------------------------------


def sessions_of(plan: Resource) -> list[Resource]:
    details = [activity["detail"] for activity in plan["activity"]]
    return [d for d in details if d.get("kind") == "MedicationRequest"]


def test_there_is_one_activity_a_session_on_its_date(proposal: Propose) -> None:
    plan, schedule = plan_of(proposal), schedule_of(proposal)
    sessions = sessions_of(plan)
    assert len(sessions) == len(schedule.sessions) == (12 if proposal.reason == "trd" else 8)
    for detail, session in zip(sessions, schedule.sessions, strict=True):
        assert detail["scheduledTiming"] == {"event": [session.date.isoformat()]}
        assert detail["productCodeableConcept"]["coding"][0]["code"] == "2119365"
        assert f"session {session.number} of {len(sessions)} ({session.phase})" in detail["code"]["text"]
        for mg in session.dose_options_mg:
            assert f"{mg} mg" in detail["description"]
        visit = schedule.visit
        for task in (*visit.before, *visit.during, *visit.after):
            assert task in detail["description"]


def test_a_quantity_only_where_one_dose_is_fixed(proposal: Propose) -> None:
    sessions = sessions_of(plan_of(proposal))
    for detail, session in zip(sessions, schedule_of(proposal).sessions, strict=True):
        assert "dailyAmount" not in detail
        fixed = session.dose_options_mg if len(session.dose_options_mg) == 1 else ()
        unit = {"unit": "mg", "system": "http://unitsofmeasure.org", "code": "mg"}
        assert detail.get("quantity") == next((unit | {"value": mg} for mg in fixed), None)
    assert ["quantity" in detail for detail in sessions] == [True] + [False] * (len(sessions) - 1)


def test_dates_never_go_back_and_lie_within_the_period(proposal: Propose) -> None:
    plan = plan_of(proposal)
    timings = [a["detail"]["scheduledTiming"] for a in plan["activity"] if "scheduledTiming" in a["detail"]]
    dates = [event for timing in timings for event in timing.get("event", [])]
    assert all(one <= other for one, other in pairwise(dates))
    assert plan["period"] == {"start": dates[0], "end": dates[-1]}


def test_what_comes_before_and_after(proposal: Propose) -> None:
    details = [activity["detail"] for activity in plan_of(proposal)["activity"]]
    protocol = proposal.protocol
    titles = [detail["code"]["text"] for detail in details]
    preparation = [d["description"] for d in details if d["code"]["text"] == "Before the first session"]
    assert preparation == [f"{text}." for text in schedule_of(proposal).preparation]
    assert preparation
    assert titles.count("Benefit review") == 1
    assert titles[-1] == "After the last dated session"
    assert details[-1]["description"] == protocol.then
    assert ("scheduledTiming" in details[-1]) == (protocol.then_repeat is not None)
    assert all(detail["status"] == "not-started" for detail in details)


def test_sessions_after_the_benefit_review_hang_on_it(proposal: Propose) -> None:
    for detail in sessions_of(plan_of(proposal)):
        hangs = "Only if the benefit review supports continued treatment" in detail["description"]
        assert hangs == ("(maintenance)" in detail["code"]["text"])


def test_it_is_a_draft_proposal_about_the_depression(proposal: Propose) -> None:
    plan, protocol = plan_of(proposal), proposal.protocol
    assert (plan["status"], plan["intent"], plan["created"]) == ("draft", "proposal", "2026-11-23")
    assert plan["instantiatesCanonical"][0].endswith(f"/PlanDefinition/{protocol.id}|{protocol.version}")
    assert plan["title"] == protocol.title
    (anchor,) = plan["addresses"]
    assert anchor["reference"] == f"Condition/{proposal.assessment.anchors[0].id}"
    assert plan["category"][0]["coding"][0]["system"] == (
        "http://hl7.org/fhir/us/core/CodeSystem/careplan-category"
    )


US_CORE_CATEGORY = ("http://hl7.org/fhir/us/core/CodeSystem/careplan-category", "assess-plan")


def test_it_is_a_us_core_care_plan(proposal: Propose) -> None:
    """https://hl7.org/fhir/us/core/STU7/StructureDefinition-us-core-careplan.html: what must be present.

    The profile is in no package that can be had here, so its rules are written out.
    """
    plan = plan_of(proposal)
    assert plan["text"]["status"] in {"generated", "additional"}
    assert plan["text"]["div"]
    assert (plan["status"], plan["intent"]) == ("draft", "proposal")
    codes = [(c["system"], c["code"]) for one in plan["category"] for c in one.get("coding", [])]
    assert codes.count(US_CORE_CATEGORY) == 1
    assert plan["subject"]["reference"].startswith("Patient/")


# --- the assessment on record ---------------------------------------------------------------------


@pytest.mark.parametrize("name", case_names())
def test_the_assessment_on_record_has_every_criterion(name: str) -> None:
    guidance = assessments_on_record()[case_names().index(name)]
    expected = expected_of(name)
    (output,) = guidance["contained"]
    parameters = {p["name"]: p for p in output["parameter"]}
    assert parameters["decision-reason"]["valueCode"] == expected["reason"]
    parts = [part for pathway in expected["pathways"] for part in parameters[pathway]["part"]]
    assert {part["name"]: part["valueCode"] for part in parts} == expected["criteria"]
    required = expected["decision"] == "needs-information"
    assert guidance["status"] == ("data-required" if required else "success")
    assert ("dataRequirement" in guidance) == required
    assert [one["counts"] for one in _parts(output, "trial")] == [
        trial["counts"] for trial in expected.get("trial", [])
    ]
    assert sorted(one["id"] for one in _parts(output, "safety")) == sorted(expected["safety"])


@pytest.mark.parametrize("name", [name for name in case_names() if "treatment" in expected_of(name)])
def test_the_assessment_on_record_has_the_treatment(name: str) -> None:
    treatment, expected = _treatment_of(case_bundle(name)), expected_of(name)["treatment"]
    assert "week" not in treatment, "it would change with time alone"
    assert treatment["phase"] == [expected["phase"]]
    (sessions,) = treatment["sessions"]
    assert (sessions["given"], sessions["missed"]) == ([expected["given"]], [expected["missed"]])
    assert treatment["response"][0]["finding"] == [expected["response"]]
    assert treatment["next"][0]["code"] == [expected["next"]]
    due = [what for one in treatment.get("due", []) for what in one["what"]]
    assert due == [one.split()[0] for one in expected["due"] if not one.startswith("rems-form")]


def test_without_a_treatment_there_is_none_on_record() -> None:
    (output,) = render_guidance(proposal_of(FIRST), None)["contained"]
    assert "treatment" not in {one["name"] for one in output["parameter"]}


def test_a_treatment_on_record_says_when_it_began_once_a_session_was_given() -> None:
    name = "a-phq-9-from-21-to-6-at-the-end-of-induction-asks-for-the-benefit-review"
    bundle = case_bundle(name)
    assert _treatment_of(bundle)["begun"] == ["2026-10-26"]
    one = {"instrument": ["phq-9"], "baseline": [21], "latest": [6], "change": [-15], "finding": ["response"]}
    assert _treatment_of(bundle)["response"] == [one | {"instruments": [one]}]

    kept = [one for one in bundle["entry"] if one["resource"]["resourceType"] == "CarePlan"]
    others = [one for one in bundle["entry"] if "edication" not in one["resource"]["resourceType"]]
    assert kept, "the plan is still active"
    assert "begun" not in _treatment_of({**bundle, "entry": others})


def _treatment_of(bundle: Resource) -> dict[str, Any]:
    (output,) = render_guidance(reviewed(bundle).decision, None)["contained"]
    return _values(next(one for one in output["parameter"] if one["name"] == "treatment"))


def _values(parameter: Resource) -> dict[str, Any]:
    """The parts of a parameter by name, each with every value of that name."""
    found: dict[str, list[Any]] = {}
    for part in parameter["part"]:
        value = _values(part) if "part" in part else next(v for k, v in part.items() if k != "name")
        found.setdefault(part["name"], []).append(value)
    return found


@pytest.mark.parametrize(
    ("name", "required", "facts"),
    [
        (
            "a-running-medicine-without-a-score-is-no-failure-yet",
            [
                {"type": "MedicationStatement"},
                {
                    "type": "Observation",
                    "codeFilter": [
                        {"path": "code", "code": [{"system": "http://loinc.org", "code": "44261-6"}]}
                    ],
                },
            ],
            ["a PHQ-9 today of 10 or more", "a PHQ-9 today of 4 or less"],
        ),
        (
            "a-prescription-alone-is-only-possible",
            [{"type": "MedicationStatement"}, {"type": "MedicationDispense"}],
            ["that escitalopram was dispensed for at least 6 weeks", "that escitalopram was not taken"],
        ),
        ("without-a-birth-date-the-age-is-asked-for", [{"type": "Patient"}], None),
    ],
)
def test_the_assessment_on_record_asks_for_what_would_settle_it(
    name: str, required: list[Resource], facts: list[str] | None
) -> None:
    guidance = assessments_on_record()[case_names().index(name)]
    assert guidance["dataRequirement"] == required
    (output,) = guidance["contained"]
    found = _parts(output, "settles")
    assert facts is None or [one["fact"] for one in found] == facts
    assert [one["leads-to"] for one in found] == ["propose", "decline"]


def _parts(output: Resource, name: str) -> list[dict[str, str]]:
    """The parts of the parameters of that name, as plain values."""
    found = [parameter["part"] for parameter in output["parameter"] if parameter["name"] == name]
    return [{p["name"]: p.get("valueCode") or p["valueString"] for p in parts} for parts in found]


# --- digests --------------------------------------------------------------------------------------


def test_a_plan_carries_the_digests_of_what_it_says(resources: tuple[Resource, ...]) -> None:
    for resource in resources:
        if resource["resourceType"] == "CarePlan":
            assert extension_value(resource, EDIT_DIGEST) == edit_digest(resource)
            assert extension_value(resource, CONTENT_DIGEST) == content_digest(resource)


@pytest.mark.parametrize("days", [1, 2, 7])
def test_the_day_of_assessment_alone_changes_no_content(days: int) -> None:
    bundle = case_bundle("two-documented-failures-propose-treatment")
    today = reviewed(bundle)
    assert today.intent.plan is not None
    bundle["entry"].append({"resource": today.intent.plan | {"meta": {"versionId": "1"}}})

    later = reviewed(bundle, days=days)

    assert later.intent.action is PlanAction.NONE
    assert isinstance(today.decision, Propose)
    assert isinstance(later.decision, Propose)
    again = render_plan(later.decision, schedule_of(later.decision), "identity", None)
    first = render_plan(today.decision, schedule_of(today.decision), "identity", None)
    assert again["created"] != first["created"]
    assert extension_value(again, CONTENT_DIGEST) == extension_value(first, CONTENT_DIGEST)
    guidances = [render_guidance(review.decision, "plan") for review in (today, later)]
    assert guidances[0]["occurrenceDateTime"] != guidances[1]["occurrenceDateTime"]
    assert len({extension_value(guidance, CONTENT_DIGEST) for guidance in guidances}) == 1


def test_what_is_decided_changes_the_content(plan: Resource) -> None:
    decision = proposal_of(FIRST)
    others = [
        proposal_of(FIRST._replace(region="eu")),
        proposal_of(FIRST._replace(region="eu", age="65 and over")),
        proposal_of(FIRST._replace(name="strengths-taken-together-add-up")),
    ]
    later = replace(
        schedule_of(decision),
        sessions=tuple(replace(s, date=s.date + timedelta(days=7)) for s in schedule_of(decision).sessions),
    )
    plans = [plan, *(plan_of(other) for other in others)]
    plans.append(render_plan(decision, later, "identity", None))
    assert len({extension_value(p, CONTENT_DIGEST) for p in plans}) == 5


def test_the_same_decision_gives_the_same_bytes(proposal: Propose) -> None:
    assert json.dumps(plan_of(proposal)) == json.dumps(plan_of(proposal))


def reversed_keys(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: reversed_keys(inner) for key, inner in reversed(value.items())}
    return [reversed_keys(item) for item in value] if isinstance(value, list) else value


def with_ids(value: Any) -> Any:
    """The value as a server returns it that gives every element an id."""
    if isinstance(value, dict):
        return {"id": "e1"} | {key: with_ids(inner) for key, inner in value.items()}
    return [with_ids(item) for item in value] if isinstance(value, list) else value


def detail(plan: Resource, number: int = 1) -> Resource:
    """The detail of a session; the first activity is what comes before them."""
    found: Resource = sessions_of(plan)[number - 1]
    return found


A_SERVER: dict[str, Callable[[Resource], Resource]] = {
    "other order of keys": reversed_keys,
    "other order of activities": lambda p: p | {"activity": p["activity"][::-1]},
    "meta": lambda p: p | {"meta": {"versionId": "7", "source": "#x", "tag": [{"code": "t"}]}},
    "narrative": lambda p: p | {"text": {"status": "additional", "div": "<div>x</div>"}},
    "no narrative": lambda p: {k: v for k, v in p.items() if k != "text"},
    "created": lambda p: p | {"created": "2026-11-24"},
    "ids of elements": lambda p: p | {"activity": with_ids(p["activity"]), "period": with_ids(p["period"])},
    "decimals": lambda p: json.loads(json.dumps(p).replace('"value": 56', '"value": 56.0')),
    "empty parts": lambda p: p | {"goal": [], "careTeam": None, "note": [*p["note"], {}]},
    "extensions of others": lambda p: p | {"extension": [*p["extension"], {"url": "http://example.org/x"}]},
}


@pytest.mark.parametrize("what", A_SERVER)
def test_what_a_server_rewrites_is_no_edit(plan: Resource, what: str) -> None:
    before = edit_digest(plan)
    changed = A_SERVER[what](deepcopy(plan))
    assert json.dumps(changed) != json.dumps(plan)
    assert edit_digest(changed) == before


@pytest.mark.parametrize("what", ["other order of keys", "meta", "narrative", "created", "decimals"])
def test_what_a_server_rewrites_is_no_other_content(plan: Resource, what: str) -> None:
    assert content_digest(A_SERVER[what](deepcopy(plan))) == content_digest(plan)


def ticked(plan: Resource) -> None:
    detail(plan)["status"] = "completed"


def moved(plan: Resource) -> None:
    detail(plan, 3)["scheduledTiming"]["event"] = ["2026-12-10"]


def swapped(plan: Resource) -> None:
    one, other = detail(plan, 2), detail(plan, 3)
    one["scheduledTiming"], other["scheduledTiming"] = other["scheduledTiming"], one["scheduledTiming"]


def dosed(plan: Resource) -> None:
    detail(plan, 2)["quantity"] = {"value": 84, "unit": "mg"}


def other_dose(plan: Resource) -> None:
    detail(plan)["quantity"]["value"] = 28


def performed_by(plan: Resource) -> None:
    detail(plan)["performer"] = [{"reference": "Practitioner/1"}]


def with_progress(plan: Resource) -> None:
    plan["activity"][1]["progress"] = [{"text": "Tolerated well"}]


def fewer_sessions(plan: Resource) -> None:
    del plan["activity"][3]


def fewer_notes(plan: Resource) -> None:
    del plan["note"][0]


def on(key: str, value: object) -> Callable[[Resource], None]:
    def edit(plan: Resource) -> None:
        plan[key] = value

    return edit


A_PERSON: dict[str, Callable[[Resource], None]] = {
    "activated": on("status", "active"),
    "made it an order": on("intent", "order"),
    "renamed it": on("title", "Esketamine, adapted"),
    "reworded it": on("description", "As discussed"),
    "moved the period": on("period", {"start": "2026-12-07", "end": "2027-02-01"}),
    "addressed something else": on("addresses", [{"reference": "Condition/other"}]),
    "set a goal": on("goal", [{"reference": "Goal/1"}]),
    "named a team": on("careTeam", [{"reference": "CareTeam/1"}]),
    "wrote a note": on("note", [{"text": "Ask her first"}]),
    "took a note away": fewer_notes,
    "ticked a session off": ticked,
    "moved a session": moved,
    "swapped two sessions": swapped,
    "fixed a dose": dosed,
    "changed a dose": other_dose,
    "named who gives it": performed_by,
    "wrote how it went": with_progress,
    "took a session away": fewer_sessions,
}


@pytest.mark.parametrize("what", A_PERSON)
def test_what_a_person_changes_is_an_edit(plan: Resource, what: str) -> None:
    before = edit_digest(plan)
    A_PERSON[what](plan)
    assert edit_digest(plan) != before
    assert validated(plan)


# --- where it comes from --------------------------------------------------------------------------


def provenance_of(name: str, **changes: Any) -> Resource:
    review = case_reviewer(name).review(read_bundle(case_bytes(name)))
    occasion = replace(occasion_of(review), **changes)
    return render_provenance(review.decision, [TARGET], occasion)


def made_with(provenance: Resource) -> dict[str, str]:
    (extension,) = provenance["extension"]
    return {part["url"]: part["valueString"] for part in extension["extension"]}


def test_provenance_says_with_what_a_plan_was_made() -> None:
    found = made_with(provenance_of(FIRST.name))
    knowledge = reviewer().knowledge
    assert found | {"clinic": ""} == {
        "software": __version__,
        "knowledge": knowledge.version,
        "criteria": "seed|2.0.0",
        "region": "us",
        "clinic": "",
        "decision": "trd",
        "grounds": found["grounds"],
    }
    assert found["clinic"].startswith("mon,tue,wed,thu,fri; lead 7 days; outpatient; closing days ")


@pytest.mark.parametrize("cause", Cause)
def test_provenance_says_what_brought_it_about_and_nothing_else_depends_on_that(cause: Cause) -> None:
    provenance = provenance_of(FIRST.name, cause=cause)
    (reason,) = provenance["reason"]
    assert reason["coding"] == [{"system": CAUSES, "code": cause.value}]
    assert reason["text"]
    other = provenance_of(FIRST.name, cause=Cause.OTHER)
    assert {k: v for k, v in provenance.items() if k != "reason"} == {
        k: v for k, v in other.items() if k != "reason"
    }


def test_an_unknown_name_of_a_cause_is_told_as_not_stated() -> None:
    assert Cause.named("rest-hook") is Cause.REST_HOOK
    assert Cause.named("a door of a later version") is Cause.OTHER


@each_case
def test_every_record_that_was_read_is_named_as_a_source(name: str) -> None:
    """Also those that say nothing, are set aside or cannot be read: what is not found rests on them."""
    named = {entity["what"]["display"] for entity in provenance_of(name)["entity"]}
    gathered = read_bundle(case_bytes(name))
    read = {*READ_KINDS, "Task"}
    there = {str(source.reference) for source in gathered.sources if source.head.resource_type in read}
    bears = {s for s in there if not s.startswith(("Observation/", "Procedure/"))}
    assert bears <= named <= there


def test_what_was_not_looked_at_is_said() -> None:
    review = reviewer().review(
        replace(
            read_bundle(case_bytes(FIRST.name)), not_read=("Observation", "Procedure"), refused=("Procedure",)
        )
    )
    provenance = render_provenance(review.decision, [TARGET], occasion_of(review))
    parts = provenance["extension"][0]["extension"][-3:]
    assert [(part["url"], part["valueString"]) for part in parts] == [
        ("not-read", "Observation"),
        ("not-read", "Procedure"),
        ("refused", "Procedure"),
    ]


def test_the_provenance_of_thirty_records_is_small() -> None:
    record = [
        a_patient(),
        *(a_condition(f"c{n}") for n in range(14)),
        *(a_statement(f"m{n}") for n in range(15)),
    ]
    review = reviewed(a_bundle(record))
    provenance = render_provenance(review.decision, [TARGET], occasion_of(review))
    assert len(provenance["entity"]) == 30
    assert len(json.dumps(provenance)) < 10_000
