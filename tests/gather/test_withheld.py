"""What is withheld is never none: each way to withhold, in each kind of record, by file and by server."""

import json
from collections.abc import Callable

import httpx
import pytest

from service.errors import NotAssessable, ServerMisread
from service.fhir.kinds import SCREENED_KINDS
from service.fhir.sources import Gathered
from service.gather.everything import gather
from service.gather.files import read_bundle
from service.review import Review
from tests.support import (
    AS_OF,
    PretendServer,
    Resource,
    a_bundle,
    a_condition,
    a_patient,
    client_of,
    fhir_response,
    reviewer,
    with_two_trials,
)

LOINC = "http://loinc.org"
ABSENT = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
NULL_FLAVOR = "http://terminology.hl7.org/CodeSystem/v3-NullFlavor"
LABELS = "http://terminology.hl7.org/CodeSystem/v3-ObservationValue"
EXTENSION = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"
EMPTY = "http://terminology.hl7.org/CodeSystem/list-empty-reason"

PROPOSED = with_two_trials()
OURS = {"reference": "Patient/ann"}
FINDING = {"code": {"coding": [{"system": LOINC, "code": "44261-6"}]}, "effectiveDateTime": "2026-11-10"}
CARRIERS: dict[str, Resource] = {
    "Condition": {"subject": OURS, "code": {"text": "Hypertension"}},
    "AllergyIntolerance": {"patient": OURS, "code": {"text": "Penicillin"}},
    "Observation": {"subject": OURS, "status": "final", "valueInteger": 12, **FINDING},
    "Procedure": {
        "subject": OURS,
        "status": "completed",
        "code": {"coding": [{"system": "http://snomed.info/sct", "code": "23835007"}]},
        "performedDateTime": "2026-03-01",
    },
    "Flag": {"subject": OURS, "status": "active", "code": {"text": "Risk of falls"}},
    "QuestionnaireResponse": {
        "subject": OURS,
        "status": "completed",
        "authored": "2026-11-10",
        "item": [{"linkId": "/44261-6", "answer": [{"valueInteger": 12}]}],
    },
}
"""A record of each kind that changes no proposal; results and procedures are listed by their code."""
SAFETY = {"Condition", "AllergyIntolerance"}
DATED = {
    "Observation": "effectiveDateTime",
    "Procedure": "performedDateTime",
    "QuestionnaireResponse": "authored",
}

Hide = Callable[[Resource], Resource]


def by_code(system: str, code: str, display: str | None = None) -> Hide:
    coding = {"system": system, "code": code} | ({"display": display} if display else {})
    return lambda whole: {**whole, "code": {"coding": [coding]}}


def by_extension(whole: Resource) -> Resource:
    return {**whole, "code": {"extension": [{"url": EXTENSION, "valueCode": "masked"}]}}


def by_label(place: str, code: str) -> Hide:
    return lambda whole: {**whole, "meta": {place: [{"system": LABELS, "code": code}]}}


def by_date(whole: Resource) -> Resource:
    element = DATED[whole["resourceType"]]
    dated = {name: value for name, value in whole.items() if name != element}
    return {**dated, f"_{element}": {"extension": [{"url": EXTENSION, "valueCode": "masked"}]}}


OF_THE_CODE: dict[str, Hide] = {
    "masked": by_code(ABSENT, "masked"),
    "masked, with words": by_code(ABSENT, "masked", "Masked"),
    "not permitted": by_code(ABSENT, "not-permitted"),
    "masked in HL7 v3": by_code(NULL_FLAVOR, "MSK"),
    "masked by an extension": by_extension,
}
OF_THE_WHOLE: dict[str, Hide] = {
    "redacted": by_label("security", "REDACTED"),
    "masked label": by_label("security", "MASKED"),
    "subsetted": by_label("tag", "SUBSETTED"),
}
HIDDEN = [
    *(
        (kind, name, hide)
        for kind in ("Condition", "AllergyIntolerance", "Flag")
        for name, hide in OF_THE_CODE.items()
    ),
    *((kind, name, hide) for kind in CARRIERS for name, hide in OF_THE_WHOLE.items()),
    *((kind, "its day masked", by_date) for kind in DATED),
]


def file_of(resources: list[Resource]) -> Gathered:
    return read_bundle(json.dumps(a_bundle(resources)).encode())


async def ways_of(resources: list[Resource]) -> dict[str, Review]:
    """The reviews of a record from a file, from a server with `$everything`, and from one with searches."""
    knowledge = reviewer().knowledge
    gathered = {"file": file_of(resources)}
    for name, everything in (("everything", True), ("searches", False)):
        server = PretendServer(resources, everything=everything)
        gathered[name] = await gather(client_of(server), "ann", knowledge)
    return {name: reviewer().review(one) for name, one in gathered.items()}


async def test_the_record_without_more_is_a_proposal() -> None:
    for kind, whole in CARRIERS.items():
        found = await ways_of([*PROPOSED, {"resourceType": kind, "id": "more", **whole}])
        assert {review.answer.decision.value for review in found.values()} == {"propose"}, kind


@pytest.mark.parametrize(
    ("kind", "hide"),
    [pytest.param(kind, hide, id=f"{kind}, {name}") for kind, name, hide in HIDDEN],
)
async def test_what_is_withheld_is_named_and_never_none(kind: str, hide: Hide) -> None:
    hidden = hide({"resourceType": kind, "id": "hidden", **CARRIERS[kind]})
    for way, review in (await ways_of([*PROPOSED, hidden])).items():
        named = [one.evidence for one in review.answer.excluded_records]
        assert named == [f"{kind}/hidden"], way
        safety = {finding.id: finding.effect.value for finding in review.answer.safety}
        assert safety == ({"unreadable-safety-record": "review"} if kind in SAFETY else {}), way
        assert (review.answer.decision.value == "needs-review") is (kind in SAFETY), way


@pytest.mark.parametrize(
    ("place", "code"), [("security", "REDACTED"), ("security", "MASKED"), ("tag", "SUBSETTED")]
)
async def test_a_patient_who_is_not_shown_in_full_is_named_and_assessed(place: str, code: str) -> None:
    labelled = by_label(place, code)(PROPOSED[0])
    for way, review in (await ways_of([labelled, *PROPOSED[1:]])).items():
        assert review.answer.not_screened == ["Patient/ann"], way
        assert review.answer.decision.value == "propose", way


@pytest.mark.parametrize(
    ("element", "decision"),
    [("active", "needs-review"), ("deceasedBoolean", "needs-review"), ("birthDate", "needs-information")],
)
async def test_a_fact_of_the_patient_that_is_withheld_is_never_taken_as_unsaid(
    element: str, decision: str
) -> None:
    bare = {name: value for name, value in PROPOSED[0].items() if name != element}
    masked = {**bare, f"_{element}": {"extension": [{"url": EXTENSION, "valueCode": "masked"}]}}
    for way, review in (await ways_of([masked, *PROPOSED[1:]])).items():
        assert review.answer.decision.value == decision, way


# --- outcomes among results -----------------------------------------------------------------------

WITHHOLDING = ("suppressed", "security", "forbidden")
FALLING_SHORT = (
    "incomplete",
    "too-costly",
    "timeout",
    "throttled",
    "transient",
    "lock-error",
    "exception",
    "login",
)
HARMLESS = ("informational", "not-found", "business-rule", "not-supported", "processing", "code-invalid")
SEVERITIES = ("warning", "information", "error", "fatal")


def an_outcome(code: str, severity: str = "warning") -> Resource:
    return {"resourceType": "OperationOutcome", "issue": [{"severity": severity, "code": code}]}


def with_outcome(resources: list[Resource], outcome: Resource) -> Resource:
    bundle = a_bundle(resources, kind="searchset")
    bundle["entry"].append({"resource": outcome, "search": {"mode": "outcome"}})
    return bundle


async def everything_with(outcome: Resource) -> Gathered:
    answers = {"Patient/ann/$everything": lambda _: fhir_response(with_outcome(PROPOSED, outcome))}
    return await gather(client_of(PretendServer(PROPOSED, answers=answers)), "ann", reviewer().knowledge)


async def a_search_with(outcome: Resource, kind: str) -> Gathered:
    found = [one for one in PROPOSED if one["resourceType"] == kind]
    answers = {kind: lambda _: fhir_response(with_outcome(found, outcome))}
    server = PretendServer(PROPOSED, everything=False, answers=answers)
    return await gather(client_of(server), "ann", reviewer().knowledge)


def a_file_with(outcome: Resource) -> Gathered:
    return read_bundle(json.dumps(with_outcome(PROPOSED, outcome)).encode())


@pytest.mark.parametrize("severity", SEVERITIES)
@pytest.mark.parametrize("code", WITHHOLDING)
async def test_results_that_are_withheld_are_reviewed_and_not_asked_for_again(
    code: str, severity: str
) -> None:
    outcome = an_outcome(code, severity)
    for gathered in (a_file_with(outcome), await everything_with(outcome)):
        answer = reviewer().review(gathered).answer
        assert (answer.decision.value, answer.not_screened) == ("needs-review", sorted(SCREENED_KINDS))
    for kind, decision in (
        ("Condition", "needs-review"),
        ("AllergyIntolerance", "needs-review"),
        ("Procedure", "propose"),
    ):
        answer = reviewer().review(await a_search_with(outcome, kind)).answer
        assert (answer.decision.value, answer.not_screened) == (decision, [kind])


@pytest.mark.parametrize("severity", SEVERITIES)
@pytest.mark.parametrize("code", FALLING_SHORT)
async def test_results_that_are_not_complete_are_no_record(code: str, severity: str) -> None:
    outcome = an_outcome(code, severity)
    with pytest.raises(NotAssessable, match="incomplete"):
        a_file_with(outcome)
    with pytest.raises(ServerMisread, match="incomplete"):
        await everything_with(outcome)
    with pytest.raises(ServerMisread, match="incomplete"):
        await a_search_with(outcome, "AllergyIntolerance")


@pytest.mark.parametrize("severity", ["warning", "information"])
@pytest.mark.parametrize("code", HARMLESS)
async def test_what_a_server_remarks_beside_complete_results_changes_nothing(
    code: str, severity: str
) -> None:
    outcome = an_outcome(code, severity)
    for gathered in (
        a_file_with(outcome),
        await everything_with(outcome),
        await a_search_with(outcome, "Condition"),
    ):
        answer = reviewer().review(gathered).answer
        assert (answer.decision.value, answer.not_screened) == ("propose", [])


async def test_an_outcome_that_both_withholds_and_falls_short_falls_short() -> None:
    both = an_outcome("suppressed")
    both["issue"] += an_outcome("timeout")["issue"]
    with pytest.raises(NotAssessable):
        a_file_with(both)


# --- Bundles that are a part of a record, or more than one state of it ----------------------------


def refused(bundle: Resource, match: str) -> None:
    with pytest.raises(NotAssessable, match=match):
        read_bundle(json.dumps(bundle).encode())


@pytest.mark.parametrize(
    "status", ["403 Forbidden", "404", "500 Internal Server Error", "304 Not Modified", "banana"]
)
@pytest.mark.parametrize("kind", ["batch-response", "transaction-response"])
def test_a_request_of_a_batch_that_failed_leaves_the_record_incomplete(kind: str, status: str) -> None:
    bundle = a_bundle(PROPOSED, kind=kind)
    bundle["entry"].append({"response": {"status": status}})
    refused(bundle, "a request that failed")


def test_the_searches_of_a_batch_are_read_with_what_they_say_of_themselves() -> None:
    answered = [
        {"resource": a_bundle([one], kind="searchset"), "response": {"status": "200 OK"}} for one in PROPOSED
    ]
    batch = {"resourceType": "Bundle", "type": "batch-response", "entry": answered}
    assert reviewer().review(read_bundle(json.dumps(batch).encode())).answer.decision.value == "propose"
    answered[0]["response"] = {"status": "200", "outcome": an_outcome("suppressed")}
    assert reviewer().review(read_bundle(json.dumps(batch).encode())).answer.decision.value == "needs-review"
    answered[0]["response"] = {"status": "200", "outcome": an_outcome("incomplete")}
    refused(batch, "error of the server")
    answered[0] = {
        "resource": {**a_bundle(PROPOSED[:1]), "link": [{"relation": "next", "url": "http://x.test"}]}
    }
    refused(batch, "one page of several")


def test_an_allergy_in_a_bundle_within_the_bundle_is_read() -> None:
    code = {
        "coding": [{"system": "http://www.nlm.nih.gov/research/umls/rxnorm", "code": "6130"}],
        "text": "ketamine",
    }
    allergy = {"resourceType": "AllergyIntolerance", "id": "ketamine", "patient": OURS, "code": code}
    bundle = a_bundle(PROPOSED)
    bundle["entry"].append({"resource": a_bundle([allergy], kind="searchset")})
    answer = reviewer().review(read_bundle(json.dumps(bundle).encode())).answer
    assert (answer.decision.value, answer.reason.value) == ("decline", "contraindicated")


def test_bundles_nested_without_end_are_refused() -> None:
    bundle = a_bundle(PROPOSED)
    for _ in range(9):
        bundle = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": bundle}]}
    refused(bundle, "Bundles within Bundles")


async def test_a_server_that_answers_a_search_with_bundles_fails_the_review() -> None:
    answers = {
        "Condition": lambda _: fhir_response(
            {**a_bundle([]), "entry": [{"resource": a_bundle(PROPOSED[:1])}]}
        )
    }
    server = PretendServer(PROPOSED, everything=False, answers=answers)
    with pytest.raises(ServerMisread, match="an entry is itself a Bundle"):
        await gather(client_of(server), "ann", reviewer().knowledge)


@pytest.mark.parametrize("kind", ["history", "collection", "transaction"])
def test_a_history_with_what_was_deleted_is_refused(kind: str) -> None:
    bundle = a_bundle(PROPOSED, kind=kind)
    bundle["entry"].append({"request": {"method": "DELETE", "url": "MedicationStatement/sertraline"}})
    refused(bundle, "a history")


def test_a_history_in_which_nothing_was_deleted_is_refused_as_well() -> None:
    refused(a_bundle(PROPOSED, kind="history"), "a history")


# --- what is said of whole kinds ------------------------------------------------------------------

SECTIONS = {
    "AllergyIntolerance": {"coding": [{"system": LOINC, "code": "48765-2"}]},
    "Condition": {"coding": [{"system": LOINC, "code": "11450-4"}]},
    "MedicationStatement": {"coding": [{"system": LOINC, "code": "10160-0"}]},
}
REASONS = ("nilknown", "notasked", "unavailable", "notstarted", "closed", "withheld")


def an_empty_list(kind: str, reason: Resource, **elements: object) -> Resource:
    whole = {"resourceType": "List", "id": "list", "status": "current", "mode": "snapshot", "subject": OURS}
    return {**whole, "code": SECTIONS[kind], "emptyReason": reason, **elements}


def an_empty_section(kind: str, reason: Resource) -> Resource:
    inner = {"code": SECTIONS[kind], "emptyReason": reason}
    section = [{"title": "Summary", "section": [inner]}]
    return {
        "resourceType": "Composition",
        "id": "summary",
        "status": "final",
        "subject": OURS,
        "section": section,
    }


@pytest.mark.parametrize("kind", SECTIONS)
@pytest.mark.parametrize("code", REASONS)
async def test_an_empty_list_says_why_it_is_empty(code: str, kind: str) -> None:
    for reason in (
        {"coding": [{"system": EMPTY, "code": code}]},
        {"coding": [{"code": code}]},
        {"text": code.title()},
    ):
        listed = [*PROPOSED, an_empty_list(kind, reason)]
        answers = [review.answer for review in (await ways_of(listed)).values()]
        answers.append(reviewer().review(file_of([*PROPOSED, an_empty_section(kind, reason)])).answer)
        unscreened = [] if code == "nilknown" else [kind]
        assert [answer.not_screened for answer in answers] == [unscreened] * len(answers)
        reviewed = code == "withheld" and kind in SAFETY
        decision = "needs-review" if reviewed else "propose"
        assert {answer.decision.value for answer in answers} == {decision}


@pytest.mark.parametrize(
    "elements",
    [
        {"status": "retired"},
        {"status": "entered-in-error"},
        {"mode": "changes"},
        {"entry": [{"item": {"reference": "Condition/depression"}}]},
        {"code": {"text": "Shopping"}, "emptyReason": {"text": "notasked"}},
    ],
)
def test_a_list_that_is_not_the_whole_of_a_kind_says_nothing(elements: Resource) -> None:
    reason = {"coding": [{"system": EMPTY, "code": "withheld"}]}
    listed = an_empty_list("AllergyIntolerance", reason, **elements)
    answer = reviewer().review(file_of([*PROPOSED, listed])).answer
    assert (answer.decision.value, answer.not_screened) == ("propose", [])


def test_a_withheld_list_of_no_known_kind_may_be_of_any() -> None:
    listed = an_empty_list("Condition", {"text": "withheld"}, code={"text": "Sensitive"})
    answer = reviewer().review(file_of([*PROPOSED, listed])).answer
    assert (answer.decision.value, answer.not_screened) == ("needs-review", sorted(SCREENED_KINDS))


IPS = "http://hl7.org/fhir/uv/ips/CodeSystem/absent-unknown-uv-ips"


def stands_for(kind: str, code: str) -> Resource:
    concept = {"coding": [{"system": IPS, "code": code}]}
    subject = "patient" if kind == "AllergyIntolerance" else "subject"
    whole: Resource = {"resourceType": kind, "id": "none", subject: OURS}
    if kind.startswith("Medication"):
        return {**whole, "status": "active", "medicationCodeableConcept": concept}
    return {**whole, "code": concept}


@pytest.mark.parametrize(
    ("kind", "code", "without", "decision"),
    [
        ("Condition", "no-problem-info", "Condition", "needs-information"),
        ("Condition", "no-known-problems", "Condition", "decline"),
        ("MedicationStatement", "no-medication-info", "MedicationStatement", "needs-information"),
        ("MedicationStatement", "no-known-medications", "MedicationStatement", "decline"),
        ("MedicationRequest", "no-known-medications", "MedicationStatement", "decline"),
        ("AllergyIntolerance", "no-allergy-info", "AllergyIntolerance", "propose"),
        ("AllergyIntolerance", "no-known-allergies", "AllergyIntolerance", "propose"),
        ("AllergyIntolerance", "no-known-medication-allergies", "AllergyIntolerance", "propose"),
    ],
)
async def test_a_record_may_stand_for_none_or_for_no_information(
    kind: str, code: str, without: str, decision: str
) -> None:
    rest = [one for one in PROPOSED if one["resourceType"] != without]
    for way, review in (await ways_of([*rest, stands_for(kind, code)])).items():
        assert review.answer.decision.value == decision, way
        assert review.answer.not_screened == ([kind] if code.endswith("info") else []), way
        assert review.record.unreadable == (), way


async def test_no_information_beside_other_conditions_is_still_missing_information() -> None:
    rest = [one for one in PROPOSED if one["resourceType"] != "Condition"]
    other = a_condition(
        "other", code={"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "I10"}]}
    )
    for way, review in (await ways_of([*rest, other, stands_for("Condition", "no-problem-info")])).items():
        assert review.answer.decision.value == "needs-information", way


def test_a_statement_of_none_that_was_an_error_says_nothing() -> None:
    rest = [one for one in PROPOSED if one["resourceType"] != "MedicationStatement"]
    wrong = {**stands_for("MedicationStatement", "no-known-medications"), "status": "entered-in-error"}
    assert reviewer().review(file_of([*rest, wrong])).answer.decision.value == "needs-information"


# --- other records of the same person -------------------------------------------------------------


@pytest.mark.parametrize(
    ("link", "named"),
    [
        ({"type": "seealso", "other": {"reference": "Patient/other"}}, "Patient/other"),
        ({"type": "refer", "other": {"reference": "Patient/other"}}, "Patient/other"),
        ({"type": "replaces", "other": {"reference": "Patient/former"}}, "Patient/former"),
        ({"type": "seealso", "other": {"identifier": {"value": "12345"}}}, "Patient"),
        ({"type": "seealso"}, "Patient"),
        ({"other": {"reference": "Patient/other"}}, "Patient/other"),
        ({"type": "banana", "other": {"reference": "Patient/other"}}, "Patient/other"),
        ({"type": "refer", "other": {"reference": "RelatedPerson/mother"}}, "RelatedPerson/mother"),
    ],
)
async def test_another_record_of_the_same_person_is_named(link: Resource, named: str) -> None:
    linked = {**PROPOSED[0], "link": [link]}
    server = PretendServer([linked, *PROPOSED[1:]])
    gone = {f"{named}/$everything": lambda _: httpx.Response(404)}
    server.answers |= gone
    for gathered in (
        file_of([linked, *PROPOSED[1:]]),
        await gather(client_of(server), "ann", reviewer().knowledge),
    ):
        answer = reviewer().review(gathered).answer
        assert (answer.decision.value, answer.not_screened) == ("propose", [named])


async def test_a_former_patient_who_was_read_is_not_named() -> None:
    former = a_patient("former", link=[{"type": "replaced-by", "other": {"reference": "Patient/ann"}}])
    linked = {**PROPOSED[0], "link": [{"type": "replaces", "other": {"reference": "Patient/former"}}]}
    gathered = await gather(
        client_of(PretendServer([linked, former, *PROPOSED[1:]])), "ann", reviewer().knowledge
    )
    assert reviewer().review(gathered).answer.not_screened == []


async def test_a_former_patient_names_those_that_were_merged_into_it() -> None:
    links = [
        {"type": "replaced-by", "other": {"reference": "Patient/ann"}},
        {"type": "refer", "other": {"reference": "Patient/third"}},
    ]
    linked = {**PROPOSED[0], "link": [{"type": "replaces", "other": {"reference": "Patient/former"}}]}
    server = PretendServer([linked, a_patient("former", link=links), *PROPOSED[1:]])
    gathered = await gather(client_of(server), "ann", reviewer().knowledge)
    assert reviewer().review(gathered).answer.not_screened == ["Patient/third"]


@pytest.mark.parametrize(
    ("zone", "moment", "decision"),
    [
        ("America/New_York", "2026-11-24T00:10:00Z", "decline"),
        ("UTC", "2026-11-24T00:10:00Z", "propose"),
        ("UTC", "2026-11-24T05:00:00+13:00", "decline"),
        ("Pacific/Auckland", "2026-11-23T12:00:00Z", "propose"),
        ("America/New_York", "2026-11-24", "propose"),
    ],
)
def test_a_death_is_on_the_day_that_it_was_at_the_site(zone: str, moment: str, decision: str) -> None:
    died = {**PROPOSED[0], "deceasedDateTime": moment}
    review = reviewer(AS_OF, "seed", "us", zone).review(file_of([died, *PROPOSED[1:]]))
    assert review.answer.decision.value == decision
