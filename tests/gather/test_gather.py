import asyncio
from collections.abc import Callable
from urllib.parse import quote

import httpx
import pytest

from service.errors import (
    NotAssessable,
    PagesExpired,
    ServerError,
    ServerMisread,
    ServerRefused,
    ServerUnreachable,
)
from service.fhir.client import FhirClient
from service.fhir.kinds import EVERYTHING_KINDS, READ_KINDS
from service.fhir.names import PLAN_IDENTIFIER
from service.fhir.sources import Gathered
from service.gather.everything import gather
from service.gather.searches import observation_codes
from tests.support import (
    BASE,
    PretendServer,
    Resource,
    a_bundle,
    a_condition,
    a_long_record,
    a_medication,
    a_patient,
    a_statement,
    an_allergy,
    answer_of,
    client_of,
    contents_of,
    fhir_response,
    reviewer,
)

ANN = [
    a_patient(),
    a_condition("depression"),
    a_statement("sertraline"),
    a_statement("venlafaxine", medication="Medication/capsule"),
    a_medication("capsule"),
    an_allergy("penicillin"),
]
BOB = [a_patient("bob"), a_condition("bobs", "bob"), a_statement("bobs", "bob"), an_allergy("bobs", "bob")]
SEARCHED = set(READ_KINDS) - {"Patient", "Medication"}
CODES = quote(",".join(observation_codes(reviewer().knowledge)), safe="")
ALL_OF_ANN = {
    "Patient/ann",
    "Condition/depression",
    "MedicationStatement/sertraline",
    "MedicationStatement/venlafaxine",
    "Medication/capsule",
    "AllergyIntolerance/penicillin",
}


async def gathered_from(server: PretendServer, patient: str = "ann") -> Gathered:
    return await gather(client_of(server), patient, reviewer().knowledge)


def answer_from(gathered: Gathered) -> str:
    return answer_of(reviewer().review(gathered))


# --- which requests -------------------------------------------------------------------------------


async def test_a_server_with_everything_is_asked_for_it_and_for_the_observations_that_matter() -> None:
    server = PretendServer([*ANN, *BOB])

    gathered = await gathered_from(server)

    assert contents_of(gathered) == ALL_OF_ANN
    kinds = "%2C".join(EVERYTHING_KINDS)
    assert server.paths[:2] == ["metadata", f"Patient/ann/$everything?_type={kinds}&_count=200"]
    assert server.paths[2:] == [f"Observation?patient=ann&_count=200&code={CODES}"]
    assert gathered.compartment
    assert gathered.not_read == ()


async def test_a_server_without_everything_is_searched() -> None:
    server = PretendServer([*ANN, *BOB], everything=False)

    gathered = await gathered_from(server)

    assert contents_of(gathered) == ALL_OF_ANN
    more = {
        "MedicationStatement": "&_include=MedicationStatement%3Amedication",
        "Observation": f"&code={CODES}",
    }
    assert set(server.paths[1:]) == {"Patient/ann"} | {
        f"{kind}?patient=ann&_count=200{more.get(kind, '')}" for kind in SEARCHED
    }
    assert len(server.paths) == len(SEARCHED) + 2
    assert not gathered.compartment
    assert gathered.not_read == ()


async def test_the_searches_run_side_by_side() -> None:
    server = PretendServer(ANN, everything=False)
    waiting = 0
    together = asyncio.Event()

    async def answer(request: httpx.Request) -> httpx.Response:
        nonlocal waiting
        if not request.url.path.endswith("metadata"):
            waiting += 1
            if waiting == len(SEARCHED) + 1:
                together.set()
            await together.wait()
        return server(request)

    http = httpx.AsyncClient(transport=httpx.MockTransport(answer))
    client = FhirClient(BASE, http, seconds=5, attempts=1, connections=len(SEARCHED) + 1)
    assert contents_of(await gather(client, "ann", reviewer().knowledge)) == ALL_OF_ANN


async def test_without_an_include_each_medicine_is_read_once() -> None:
    twice = [*ANN, a_statement("again", medication="Medication/capsule")]
    server = PretendServer(twice, everything=False, includes=False)

    gathered = await gathered_from(server)

    assert contents_of(gathered) == {*ALL_OF_ANN, "MedicationStatement/again"}
    assert server.paths.count("Medication/capsule") == 1


@pytest.mark.parametrize(
    "reference", ["Medication/capsule", f"{BASE}/Medication/capsule", "Medication/capsule/_history/3"]
)
async def test_a_medicine_that_did_not_come_along_is_read(reference: str) -> None:
    server = PretendServer(
        [a_patient(), a_statement("one", medication=reference), a_medication("capsule")],
        everything=False,
        includes=False,
    )
    gathered = await gathered_from(server)
    assert "Medication/capsule" in contents_of(gathered)
    (exposure,) = reviewer().review(gathered).record.exposures
    assert "venlafaxine" in repr(exposure.medicine)


@pytest.mark.parametrize(
    "reference",
    [
        "#inside",
        "http://elsewhere.example/fhir/Medication/capsule",
        "urn:uuid:7d3a0f0e-5a5c-4d0f-9a53-6a2f0f5c1a11",
        "Substance/capsule",
        "Medication/",
        "Medication/../Patient/bob",
        "Medication/capsule?_format=xml",
        "Medication/a b",
        f"Medication/{'a' * 257}",
        "",
    ],
)
async def test_a_medicine_that_is_not_on_this_server_is_not_asked_for(reference: str) -> None:
    server = PretendServer([a_patient(), a_statement("one", medication=reference)])
    gathered = await gathered_from(server)
    assert len(server.asked) == 3
    assert len(reviewer().review(gathered).record.exposures) == 1


@pytest.mark.parametrize("everything", [True, False])
async def test_an_observation_that_a_medicine_was_given_for_is_read(everything: bool) -> None:
    subject = {"reference": "Patient/ann"}
    pain = {"resourceType": "Observation", "id": "pain", "subject": subject, "code": {"text": "Pain"}}
    reasons = [{"reference": f"Observation/{identity}"} for identity in ("pain", "gone")]
    given = a_statement("one") | {"reasonReference": reasons}
    server = PretendServer([a_patient(), given, pain], everything=everything)

    gathered = await gathered_from(server)

    assert "Observation/pain" in contents_of(gathered)
    (exposure,) = reviewer().review(gathered).record.exposures
    assert exposure.indication.value == "unclear"


async def test_a_medicine_of_another_server_is_not_ours_of_the_same_id() -> None:
    elsewhere = a_statement("one", medication="http://elsewhere.example/fhir/Medication/capsule")
    review = reviewer().review(await gathered_from(PretendServer([*ANN, elsewhere])))
    medicines = {e.evidence[0].id: repr(e.medicine) for e in review.record.exposures}
    assert "venlafaxine" in medicines["venlafaxine"]
    assert "venlafaxine" not in medicines["one"]


@pytest.mark.parametrize("reference", ["#ann", "urn:uuid:1", "Patient/a n n", "patient/ann", "ann"])
async def test_a_subject_that_names_nobody_makes_a_record_unreadable(reference: str) -> None:
    odd = a_condition("odd") | {"subject": {"reference": reference}}
    server = everything_answers(a_bundle([*ANN, odd], kind="searchset"))
    (unreadable,) = reviewer().review(await gathered_from(server)).record.unreadable
    assert (str(unreadable.evidence), unreadable.element) == ("Condition/odd", "subject")


async def test_the_patients_that_are_not_asked_for_stay_out() -> None:
    server = PretendServer([*ANN, *BOB], everything=False)
    assert contents_of(await gathered_from(server, "bob")) == {
        "Patient/bob",
        "Condition/bobs",
        "MedicationStatement/bobs",
        "AllergyIntolerance/bobs",
    }


@pytest.mark.parametrize("everything", [True, False])
async def test_a_kind_that_the_server_does_not_offer_is_said_to_be_unread(everything: bool) -> None:
    offered = set(READ_KINDS) - {"AllergyIntolerance"}
    record = [r for r in ANN if r["resourceType"] != "AllergyIntolerance"]

    gathered = await gathered_from(PretendServer(record, everything=everything, offered=offered))

    assert gathered.not_read == ("AllergyIntolerance",)
    assert "AllergyIntolerance" in reviewer().review(gathered).record.not_read


async def test_both_ways_give_the_same_answer() -> None:
    by_everything = await gathered_from(PretendServer([*ANN, *BOB]))
    by_searches = await gathered_from(PretendServer([*ANN, *BOB], everything=False))
    one_by_one = await gathered_from(PretendServer([*ANN, *BOB], everything=False, includes=False))

    assert answer_from(by_everything) == answer_from(by_searches) == answer_from(one_by_one)
    assert "venlafaxine" in answer_from(by_everything)


# --- what plans lead to ---------------------------------------------------------------------------


def a_plan(*activities: Resource, **elements: object) -> Resource:
    """A plan of somebody else."""
    about = {"status": "active", "intent": "plan", "subject": {"reference": "Patient/ann"}}
    return {"resourceType": "CarePlan", "id": "plan", **about, "activity": list(activities), **elements}


def to(reference: str) -> Resource:
    return {"reference": {"reference": reference}}


A_SERVICE: Resource = {"resourceType": "ServiceRequest", "id": "s", "subject": {"reference": "Patient/ann"}}
A_GOAL: Resource = {"resourceType": "Goal", "id": "g", "subject": {"reference": "Patient/ann"}}
LED_TO = {
    "an order": (a_plan(to("ServiceRequest/s")), "ServiceRequest/s"),
    "an order of this server": (a_plan(to(f"{BASE}/ServiceRequest/s/_history/1")), "ServiceRequest/s"),
    "a product": (
        a_plan({"detail": {"productReference": {"reference": "Medication/capsule"}}}),
        "Medication/capsule",
    ),
    "a goal": (a_plan(goal=[{"reference": "Goal/g"}]), "Goal/g"),
    "a goal of an activity": (a_plan({"detail": {"goal": [{"reference": "Goal/g"}]}}), "Goal/g"),
}


@pytest.mark.parametrize("everything", [True, False])
@pytest.mark.parametrize("what", LED_TO)
async def test_what_a_plan_leads_to_is_read(what: str, everything: bool) -> None:
    plan, name = LED_TO[what]
    held = [a_patient(), plan, A_SERVICE, A_GOAL]
    elsewhere = [] if everything else [a_medication("capsule")]
    gone = {} if elsewhere else {"Medication/capsule": lambda _: fhir_response(a_medication("capsule"))}
    server = PretendServer([*held, *elsewhere], everything=everything, includes=False, answers=gone)
    assert name in contents_of(await gathered_from(server))
    assert server.paths.count(name) <= 1


@pytest.mark.parametrize(
    "plan",
    [
        a_plan(to("ServiceRequest/s"), status="revoked"),
        a_plan(to("ServiceRequest/s"), status="entered-in-error"),
        a_plan(to("ServiceRequest/s"), identifier=[{"system": PLAN_IDENTIFIER, "value": "1"}]),
        a_plan(to("MedicationRequest/m")),
        a_plan(to("http://elsewhere.test/ServiceRequest/s")),
        a_plan(to("#s"), {"reference": {"display": "Physiotherapy"}}, {}),
        a_plan(activity="none"),
    ],
    ids=[
        "revoked",
        "entered in error",
        "ours",
        "found by the patient",
        "on another server",
        "inside",
        "malformed",
    ],
)
async def test_what_says_nothing_more_of_a_plan_is_not_read(plan: Resource) -> None:
    server = PretendServer([a_patient(), plan, A_SERVICE])
    await gathered_from(server)
    assert len(server.asked) == 3


@pytest.mark.parametrize("status", [400, 403, 404, 405, 410, 501])
async def test_what_a_plan_leads_to_and_is_not_shown_is_named(status: int) -> None:
    answers = {"ServiceRequest/s": lambda _: httpx.Response(status)}
    gathered = await gathered_from(
        PretendServer([a_patient(), a_plan(to("ServiceRequest/s"))], answers=answers)
    )
    assert reviewer().review(gathered).answer.not_screened == ["ServiceRequest/s"]


@pytest.mark.usefixtures("waits")
@pytest.mark.parametrize("status", [401, 500, 503])
async def test_what_a_plan_leads_to_and_cannot_be_asked_for_fails_the_whole(status: int) -> None:
    answers = {"ServiceRequest/s": lambda _: httpx.Response(status)}
    with pytest.raises(ServerRefused, match=f"answered {status}"):
        await gathered_from(PretendServer([a_patient(), a_plan(to("ServiceRequest/s"))], answers=answers))


# --- pages ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("everything", [True, False])
@pytest.mark.parametrize("page", [1, 7, 50, 1000])
async def test_a_long_record_is_complete_whatever_the_pages(everything: bool, page: int) -> None:
    record = a_long_record("ann", statements=60, conditions=20)
    gathered = await gathered_from(PretendServer([*record, *BOB], everything=everything, page=page))
    assert contents_of(gathered) == {f"{r['resourceType']}/{r['id']}" for r in record}
    assert len(gathered.sources) == len(record)


async def test_what_comes_again_on_later_pages_is_taken_once() -> None:
    first = a_bundle(
        ANN[:3], kind="searchset", link=[{"relation": "next", "url": f"{BASE}/Patient/ann/$everything?p=2"}]
    )
    second = a_bundle(ANN[1:], kind="searchset")

    def answer(request: httpx.Request) -> httpx.Response:
        return fhir_response(second if "p" in request.url.params else first)

    gathered = await gathered_from(PretendServer([], answers={"Patient/ann/$everything": answer}))

    assert len(gathered.sources) == len(ANN)
    assert contents_of(gathered) == ALL_OF_ANN
    assert not reviewer().review(gathered).record.unreadable


@pytest.mark.parametrize("everything", [True, False])
@pytest.mark.parametrize(
    ("broken", "kind"),
    [
        (lambda: httpx.Response(500), ServerRefused),
        (lambda: httpx.Response(404), ServerRefused),
        (lambda: httpx.Response(410), PagesExpired),
        (lambda: fhir_response(b'{"resourceType":"Bundle","entry":['), ServerMisread),
    ],
    ids=["500", "404", "410", "cut off"],
)
@pytest.mark.usefixtures("waits")
async def test_a_page_that_cannot_be_read_leaves_no_record_at_all(
    everything: bool, broken: Callable[[], httpx.Response], kind: type[ServerError]
) -> None:
    record = a_long_record("ann", statements=40, conditions=2)
    server = PretendServer(record, everything=everything, page=10)

    def answer(request: httpx.Request) -> httpx.Response:
        return broken() if request.url.params.get("_offset") == "20" else server(request)

    with pytest.raises(kind):
        await gather(client_of(answer), "ann", reviewer().knowledge)


# --- answers that are not complete ----------------------------------------------------------------


def everything_answers(bundle: Resource) -> PretendServer:
    return PretendServer([], answers={"Patient/ann/$everything": lambda _: fhir_response(bundle)})


@pytest.mark.parametrize("total", [7, 1000])
async def test_fewer_resources_than_the_total_are_not_a_record(total: int) -> None:
    with pytest.raises(ServerMisread, match=rf"6 of {total} resources"):
        await gathered_from(everything_answers(a_bundle(ANN, total=total)))


@pytest.mark.parametrize("total", [None, 0, 4, 6])
async def test_as_many_resources_as_the_total_or_more_are_a_record(total: int | None) -> None:
    gathered = await gathered_from(everything_answers(a_bundle(ANN, total=total)))
    assert contents_of(gathered) == ALL_OF_ANN


async def test_a_total_of_everything_may_count_what_is_included() -> None:
    bundle = a_bundle(ANN, total=len(ANN))
    bundle["entry"][-2]["search"] = {"mode": "include"}
    assert contents_of(await gathered_from(everything_answers(bundle))) == ALL_OF_ANN


def with_outcome(severity: str) -> Resource:
    bundle = a_bundle(ANN)
    issue = {"severity": severity, "code": "processing", "diagnostics": "Marigold Testperson"}
    outcome = {"resourceType": "OperationOutcome", "issue": [issue]}
    bundle["entry"].append({"resource": outcome, "search": {"mode": "outcome"}})
    return bundle


@pytest.mark.parametrize("severity", ["error", "fatal"])
async def test_an_error_among_the_results_means_that_they_are_not_complete(severity: str) -> None:
    with pytest.raises(ServerMisread, match="reports an error") as caught:
        await gathered_from(everything_answers(with_outcome(severity)))
    assert "Marigold" not in str(caught.value)


@pytest.mark.parametrize("severity", ["warning", "information"])
async def test_a_warning_among_the_results_is_no_fault(severity: str) -> None:
    assert contents_of(await gathered_from(everything_answers(with_outcome(severity)))) == ALL_OF_ANN


async def test_an_outcome_that_cannot_be_read_is_a_fault() -> None:
    bundle = a_bundle(ANN)
    bundle["entry"].append({"resource": {"resourceType": "OperationOutcome", "issue": "Marigold"}})
    with pytest.raises(ServerMisread, match="reports an error of the server"):
        await gathered_from(everything_answers(bundle))


@pytest.mark.parametrize("entry", [{}, {"fullUrl": f"{BASE}/Condition/withheld"}])
async def test_an_entry_without_a_resource_is_a_fault(entry: Resource) -> None:
    bundle = a_bundle(ANN)
    bundle["entry"].append(entry)
    with pytest.raises(ServerMisread, match="an entry has no resource"):
        await gathered_from(everything_answers(bundle))


@pytest.mark.parametrize("resource", [None, "Marigold", 7, ["Marigold"]])
async def test_an_entry_that_is_no_resource_is_a_fault(resource: object) -> None:
    bundle = a_bundle(ANN)
    bundle["entry"].append({"resource": resource})
    with pytest.raises(ServerMisread, match="not a FHIR resource") as caught:
        await gathered_from(everything_answers(bundle))
    assert "Marigold" not in str(caught.value)


async def test_a_resource_of_a_broken_kind_is_kept_to_be_reported() -> None:
    bundle = a_bundle(ANN)
    bundle["entry"].append({"resource": {"resourceType": 7, "id": "odd"}})
    gathered = await gathered_from(everything_answers(bundle))
    (unreadable,) = reviewer().review(gathered).record.unreadable
    assert unreadable.element == "resourceType"


async def test_kinds_that_were_not_asked_for_are_left_alone() -> None:
    bundle = a_bundle([*ANN, {"resourceType": "Practitioner", "id": "dr"}])
    assert contents_of(await gathered_from(everything_answers(bundle))) == ALL_OF_ANN


# --- the patient ----------------------------------------------------------------------------------


async def test_everything_without_the_patient_is_no_such_patient() -> None:
    with pytest.raises(ServerRefused, match="no such Patient") as caught:
        await gathered_from(PretendServer(BOB))
    assert caught.value.status == 404


@pytest.mark.parametrize("everything", [True, False])
@pytest.mark.parametrize("status", [401, 403, 404, 410])
async def test_a_patient_that_is_refused_is_refused_with_the_status(everything: bool, status: int) -> None:
    path = "Patient/ann/$everything" if everything else "Patient/ann"
    server = PretendServer(ANN, everything=everything, answers={path: lambda _: httpx.Response(status)})
    with pytest.raises(ServerRefused, match=f"the server answered {status}") as caught:
        await gathered_from(server)
    assert caught.value.status == status
    assert "GET /r4/Patient/ann" in str(caught.value)


@pytest.mark.parametrize("status", [400, 401, 404, 500])
async def test_a_search_that_is_refused_fails_the_whole(status: int) -> None:
    answers = {"Condition": lambda _: httpx.Response(status)}
    server = PretendServer(ANN, everything=False, answers=answers)
    with pytest.raises(ServerRefused, match=f"Condition: the server answered {status}"):
        await gather(client_of(server, attempts=1), "ann", reviewer().knowledge)


@pytest.mark.parametrize("kind", sorted(SEARCHED))
async def test_a_kind_that_the_server_does_not_show_is_said_to_be_unread(kind: str) -> None:
    server = PretendServer(ANN, everything=False, answers={kind: lambda _: httpx.Response(403)})
    gathered = await gathered_from(server)
    assert (gathered.not_read, gathered.refused) == ((kind,), (kind,))
    assert reviewer().review(gathered).answer.not_screened == [kind]


async def test_observations_that_are_not_shown_do_not_hide_everything_else() -> None:
    server = PretendServer(ANN, answers={"Observation": lambda _: httpx.Response(403)})
    gathered = await gathered_from(server)
    assert contents_of(gathered) == ALL_OF_ANN
    assert gathered.not_read == ("Observation",)


async def test_a_patient_who_is_not_shown_is_not_assessed() -> None:
    server = PretendServer(ANN, everything=False, answers={"Patient/ann": lambda _: httpx.Response(403)})
    with pytest.raises(ServerRefused, match="answered 403"):
        await gathered_from(server)


async def test_when_several_searches_fail_one_fault_is_told() -> None:
    def down(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    answers = dict.fromkeys(["Patient/ann", "Condition", "MedicationStatement"], down)
    server = PretendServer(ANN, everything=False, answers=answers)
    with pytest.raises(ServerUnreachable):
        await gather(client_of(server, attempts=1), "ann", reviewer().knowledge)


async def test_a_server_that_does_not_say_what_it_can_do_is_not_read() -> None:
    server = PretendServer(ANN, answers={"metadata": lambda _: httpx.Response(404)})
    with pytest.raises(ServerUnreachable, match="GET metadata"):
        await gathered_from(server)
    assert len(server.asked) == 1


async def test_everything_may_name_other_patients_whose_records_are_left_out() -> None:
    linked = a_patient("bob", link=[{"other": {"reference": "Patient/ann"}, "type": "seealso"}])
    bundle = a_bundle([linked, *BOB[1:], *ANN])

    gathered = await gathered_from(everything_answers(bundle))

    assert answer_from(gathered) == answer_from(await gathered_from(PretendServer(ANN)))
    assert "bob" not in answer_from(gathered)


@pytest.mark.parametrize("stranger", BOB[1:], ids=lambda r: r["resourceType"])
async def test_a_search_that_returns_somebody_elses_record_stops_the_review(stranger: Resource) -> None:
    kind = stranger["resourceType"]
    mixed = a_bundle([r for r in ANN if r["resourceType"] == kind] + [stranger])
    server = PretendServer(ANN, everything=False, answers={kind: lambda _: fhir_response(mixed)})
    gathered = await gathered_from(server)
    with pytest.raises(NotAssessable, match=f"{kind}/bobs"):
        reviewer().review(gathered)


@pytest.mark.parametrize("everything", [True, False])
async def test_a_merged_patient_names_the_other(everything: bool) -> None:
    merged = a_patient(link=[{"other": {"reference": "Patient/anna"}, "type": "replaced-by"}])
    gathered = await gathered_from(PretendServer([merged, a_patient("anna")], everything=everything))
    with pytest.raises(NotAssessable, match="merged into Patient/anna"):
        reviewer().review(gathered)


def replaces(*others: str) -> list[Resource]:
    return [{"other": {"reference": other}, "type": "replaces"} for other in others]


MERGED = [
    a_patient(link=replaces("Patient/anna")),
    a_condition("depression"),
    a_patient("anna", link=[{"other": {"reference": "Patient/ann"}, "type": "replaced-by"}]),
    a_statement("annas", "anna"),
    a_condition("annas-aneurysm", "anna", code={"text": "Aortic aneurysm"}),
]


@pytest.mark.parametrize("everything", [True, False])
async def test_what_stands_under_a_patient_merged_into_this_one_is_this_ones(everything: bool) -> None:
    gathered = await gathered_from(PretendServer(MERGED, everything=everything))
    assert gathered.former_ids == ("anna",)
    record = reviewer().review(gathered).record
    assert [str(exposure.evidence[0]) for exposure in record.exposures] == ["MedicationStatement/annas"]
    assert {str(d.evidence[0]) for d in record.diagnoses} == {
        "Condition/depression",
        "Condition/annas-aneurysm",
    }


@pytest.mark.parametrize("status", [404, 410])
@pytest.mark.parametrize("everything", [True, False])
async def test_what_stands_under_a_merged_patient_who_is_gone_is_searched_for(
    status: int, everything: bool
) -> None:
    gone = dict.fromkeys(("Patient/anna", "Patient/anna/$everything"), lambda _: httpx.Response(status))
    server = PretendServer([*MERGED[:2], *MERGED[3:]], everything=everything, answers=gone)
    gathered = await gathered_from(server)
    assert gathered.former_ids == ("anna",)
    assert contents_of(gathered) == {
        "Patient/ann",
        "Condition/depression",
        "MedicationStatement/annas",
        "Condition/annas-aneurysm",
    }


@pytest.mark.parametrize("status", [400, 404, 410])
async def test_a_server_that_knows_no_such_patient_in_a_search_either_is_no_fault(status: int) -> None:
    server = PretendServer(
        [*MERGED[:2], *MERGED[3:]],
        answers={"Patient/anna/$everything": lambda _: httpx.Response(404)},
    )

    def answer(request: httpx.Request) -> httpx.Response:
        anna = request.url.params.get("patient") == "anna"
        return httpx.Response(status) if anna else server(request)

    gathered = await gather(client_of(answer), "ann", reviewer().knowledge)
    assert contents_of(gathered) == {"Patient/ann", "Condition/depression"}
    assert gathered.former_ids == ("anna",)


@pytest.mark.usefixtures("waits")
async def test_a_search_that_fails_for_a_merged_patient_fails_the_whole() -> None:
    server = PretendServer(MERGED[:2])

    def answer(request: httpx.Request) -> httpx.Response:
        anna = request.url.params.get("patient") == "anna"
        return httpx.Response(500) if anna else server(request)

    with pytest.raises(ServerRefused, match="answered 500"):
        await gather(client_of(answer), "ann", reviewer().knowledge)


@pytest.mark.usefixtures("waits")
async def test_a_merged_patient_who_is_withheld_fails_the_whole() -> None:
    withheld = {"Patient/anna/$everything": lambda _: httpx.Response(403)}
    with pytest.raises(ServerRefused, match="Patient/anna"):
        await gathered_from(PretendServer(MERGED, answers=withheld))


@pytest.mark.parametrize(
    ("links", "former"),
    [
        pytest.param(replaces("Patient/anna", "Patient/ann"), ("anna",), id="itself"),
        pytest.param(replaces(f"{BASE}/Patient/anna/_history/2"), ("anna",), id="an address of this server"),
        pytest.param(replaces("http://elsewhere.test/Patient/anna"), (), id="another server"),
        pytest.param(replaces("Patient/../metadata"), (), id="no id"),
        pytest.param([{"other": {"reference": "Patient/anna"}, "type": "seealso"}], (), id="another link"),
        pytest.param([{"type": "replaces"}], (), id="nobody"),
    ],
)
async def test_only_patients_that_were_merged_are_read_as_well(
    links: list[Resource], former: tuple[str, ...]
) -> None:
    ann, anna = a_patient(link=links), a_patient("anna", link=replaces("Patient/ann"))
    assert (await gathered_from(PretendServer([ann, anna]))).former_ids == former


async def test_merged_again_and_again() -> None:
    patients = [a_patient(f"p{n}", link=replaces(f"Patient/p{n + 1}")) for n in range(4)]
    server = PretendServer([*patients, a_patient("p4"), a_statement("oldest", "p4")])
    gathered = await gathered_from(server, "p0")
    assert gathered.former_ids == ("p1", "p2", "p3", "p4")
    assert "MedicationStatement/oldest" in contents_of(gathered)


# --- medicines by reference -----------------------------------------------------------------------


@pytest.mark.parametrize("status", [404, 410])
@pytest.mark.parametrize("everything", [True, False])
async def test_a_medicine_that_is_gone_stays_unresolved(status: int, everything: bool) -> None:
    record = [r for r in ANN if r["resourceType"] != "Medication"]
    answers = {"Medication/capsule": lambda _: httpx.Response(status)}
    server = PretendServer(record, everything=everything, answers=answers)

    gathered = await gathered_from(server)

    assert "Medication/capsule" in server.paths
    assert contents_of(gathered) == ALL_OF_ANN - {"Medication/capsule"}
    record_read = reviewer().review(gathered).record
    assert {str(exposure.evidence[0]) for exposure in record_read.exposures} == {
        "MedicationStatement/sertraline",
        "MedicationStatement/venlafaxine",
    }


@pytest.mark.parametrize("status", [401, 403, 500])
@pytest.mark.usefixtures("waits")
async def test_a_medicine_that_is_withheld_fails_the_whole(status: int) -> None:
    record = [r for r in ANN if r["resourceType"] != "Medication"]
    answers = {"Medication/capsule": lambda _: httpx.Response(status)}
    with pytest.raises(ServerRefused, match="GET /r4/Medication/capsule"):
        await gathered_from(PretendServer(record, answers=answers))
