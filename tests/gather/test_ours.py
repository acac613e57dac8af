"""Who is followed from day to day: by our plans, by our assessments, and under which id."""

from collections.abc import Iterable
from datetime import timedelta

import httpx
import pytest

from service.errors import ServerMisread, ServerRefused
from service.fhir.names import ASSESSMENT_MODULE, PLAN_IDENTIFIER
from service.gather.ours import find_patients_to_follow
from tests.core.builders import US
from tests.fhir.double import FhirDouble
from tests.support import AS_OF, BASE, Handler, Resource, a_patient, client_of, fhir_response


def a_plan(patient: str, status: str = "active", **elements: object) -> Resource:
    return {
        "resourceType": "CarePlan",
        "id": f"plan-{patient.rpartition('/')[2]}",
        "identifier": [{"system": PLAN_IDENTIFIER, "value": patient}],
        "status": status,
        "subject": {"reference": patient if "/" in patient else f"Patient/{patient}"},
        **elements,
    }


def an_assessment(patient: str, **elements: object) -> Resource:
    return {
        "resourceType": "GuidanceResponse",
        "id": f"assessment-{patient}",
        "moduleUri": ASSESSMENT_MODULE,
        "subject": {"reference": f"Patient/{patient}"},
        **elements,
    }


def merged(patient: str, into: str) -> Resource:
    link = {"type": "replaced-by", "other": {"reference": into if "/" in into else f"Patient/{into}"}}
    return a_patient(patient, link=[link])


async def found(server: Handler) -> list[str]:
    return await find_patients_to_follow(client_of(server), US, AS_OF)


async def followed(resources: Iterable[Resource]) -> list[str]:
    return await found(FhirDouble(resources))


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        *((status, ["ann"]) for status in ("draft", "active", "on-hold", "unknown", "completed")),
        *((status, []) for status in ("revoked", "entered-in-error")),
    ],
)
async def test_our_plans_are_followed_until_they_are_revoked(status: str, expected: list[str]) -> None:
    assert await followed([a_patient(), a_plan("ann", status)]) == expected


@pytest.mark.parametrize(
    ("period", "expected"),
    [
        ({"end": (AS_OF - timedelta(days=210)).isoformat()}, ["ann"]),
        ({"end": (AS_OF - timedelta(days=211)).isoformat()}, []),
        ({"end": "2025"}, []),
        ({"end": "soon"}, ["ann"]),
        ({}, ["ann"]),
    ],
)
async def test_a_completed_plan_is_followed_until_its_treatment_has_lapsed_for_half_a_year(
    period: dict[str, str], expected: list[str]
) -> None:
    plan = a_plan("ann", "completed", period=period)
    ended = an_assessment("ann", result={"reference": f"CarePlan/{plan['id']}"})

    assert await followed([a_patient(), plan, ended]) == expected
    assert await followed([a_patient(), {**plan, "status": "active"}]) == ["ann"]


async def test_the_plan_of_another_is_known_by_our_assessment() -> None:
    theirs = a_plan("ann", identifier=[{"system": "urn:clinic", "value": "7"}])
    ended = an_assessment("ann", result={"reference": f"CarePlan/{theirs['id']}"})

    assert await followed([a_patient(), theirs]) == []
    assert await followed([a_patient(), theirs, ended]) == ["ann"]


async def test_an_assessment_that_ended_in_a_plan_of_ours_that_is_over_names_nobody() -> None:
    over = a_plan("ann", "revoked")
    ended = an_assessment("ann", result={"reference": f"CarePlan/{over['id']}"})

    assert await followed([a_patient(), over, ended]) == []


async def test_an_assessment_without_a_plan_or_of_another_service_names_nobody() -> None:
    of_another = an_assessment("bob", moduleUri="urn:another", result={"reference": "CarePlan/x"})

    assert await followed([a_patient(), a_patient("bob"), an_assessment("ann"), of_another]) == []


async def test_every_page_is_read() -> None:
    patients = [f"patient-{number}" for number in range(5)]
    server = FhirDouble([one for patient in patients for one in (a_patient(patient), a_plan(patient))])
    server.page = 2

    assert await found(server) == patients


async def test_references_to_this_server_are_followed_and_those_to_others_are_not() -> None:
    plans = [a_plan(f"{BASE}/Patient/ann"), a_plan("http://elsewhere/Patient/bob"), a_plan("Group/cohort")]

    assert await followed([a_patient(), a_patient("bob"), *plans]) == ["ann"]


async def test_who_was_merged_is_followed_once_under_the_new_id() -> None:
    patients = [a_patient("new"), merged("middle", "new"), merged("old", f"{BASE}/Patient/middle")]

    assert await followed([*patients, a_plan("old"), a_plan("new")]) == ["new"]
    assert await followed([merged("old", "http://elsewhere/Patient/new"), a_plan("old")]) == ["old"]


async def test_who_is_gone_is_left_out_and_a_merge_in_a_ring_is_left_to_the_review() -> None:
    assert await followed([a_plan("gone")]) == []
    assert await followed([merged("a", "b"), merged("b", "a"), a_plan("a")]) == ["a"]


async def test_a_patient_who_cannot_be_read_does_not_hide_the_others() -> None:
    double = FhirDouble([a_patient(), a_plan("ann"), a_patient("bob"), a_plan("bob")])

    def server(request: httpx.Request) -> httpx.Response:
        refused = request.url.path.endswith("/Patient/bob")
        return httpx.Response(403) if refused else double(request)

    assert await found(server) == ["ann", "bob"]


async def test_a_server_without_assessments_is_asked_for_plans_only() -> None:
    server = FhirDouble([a_patient(), a_plan("ann")], takes=["CarePlan"])

    assert await found(server) == ["ann"]
    assert "GuidanceResponse" not in server.paths


async def test_a_list_with_an_error_in_it_is_none() -> None:
    double = FhirDouble([])
    outcome = {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "exception"}]}

    def server(request: httpx.Request) -> httpx.Response:
        if not request.url.path.endswith("/CarePlan"):
            return double(request)
        return fhir_response(
            {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": outcome}]}
        )

    with pytest.raises(ServerMisread, match="resources may be missing"):
        await found(server)


@pytest.mark.parametrize(
    ("takes", "status", "stops"), [([], 400, False), ([], 403, False), ([], 503, True), (None, 400, True)]
)
async def test_a_server_that_takes_no_plan_and_refuses_to_look_for_one_has_none_of_ours(
    takes: list[str] | None, status: int, *, stops: bool
) -> None:
    """As Epic does, which asks for a category: else the daily review would fail every day."""
    double = FhirDouble([], takes=takes)

    def server(request: httpx.Request) -> httpx.Response:
        refused = request.url.path.endswith("/CarePlan") and "identifier" in request.url.params
        return httpx.Response(status) if refused else double(request)

    finding = find_patients_to_follow(client_of(server, attempts=1), US, AS_OF)
    if stops:
        with pytest.raises(ServerRefused):
            await finding
    else:
        assert await finding == []
