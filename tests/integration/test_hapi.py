"""The cases read from a real HAPI FHIR server, both ways, give the answers that their files give.

With `HAPI_URL` set, that server is used; it should hold no other version of these records.
"""

import asyncio
import json
import uuid
from collections.abc import Callable

import httpx
import pytest

from service.core.records import Identified
from service.errors import (
    NotAssessable,
    PagesExpired,
    ServerError,
    ServerMisread,
    ServerRefused,
    ServerUnreachable,
)
from service.fhir.client import FhirClient
from service.gather.everything import gather
from service.gather.files import read_bundle
from tests.selected import cases_to_read
from tests.servers import LoadRefusedError, load
from tests.support import (
    Resource,
    a_bundle,
    a_condition,
    a_long_record,
    a_patient,
    a_statement,
    answer_of,
    case_answer,
    case_bundle,
    case_bytes,
    case_reviewer,
    client_at,
    patient_id_of,
    resources_of,
    reviewed_at,
    reviewer,
    run_command,
    without_everything,
)

BOTH_WAYS = pytest.mark.parametrize("searches", [False, True], ids=["everything", "searches"])

LONG = a_long_record("long", statements=450, conditions=250)
"""Three pages of 200 and more by every way: HAPI gives no more than 200 a page."""
LINKED = [
    a_patient("linked"),
    a_patient("linked-other"),
    a_statement("linked-own", "linked"),
    a_statement("linked-others", "linked-other", informationSource={"reference": "Patient/linked"}),
]
"""`$everything` of the first patient brings a statement of the second that names the first as its source."""
MERGED = [
    a_patient("kept"),
    a_patient("merged", active=False, link=[{"other": {"reference": "Patient/kept"}, "type": "replaced-by"}]),
]
UNRESOLVED: dict[str, Resource] = {
    "contained": {"reference": "#nowhere"},
    "identifier": {"identifier": {"system": "http://fhir.test/medicines", "value": "7"}},
    "display": {"display": "a white tablet"},
}
"""References to a medicine that lead nowhere and that HAPI takes; one to a missing resource it refuses."""


@pytest.fixture(scope="module")
def hapi(shared_hapi: str) -> str:
    for record in (LONG, LINKED, MERGED):
        load(shared_hapi, record)
    for name in cases_to_read():
        load(shared_hapi, case_bundle(name))
    return shared_hapi


def answer_from_file(resources: list[Resource]) -> str:
    """The answer to the resources in a file, as first versions, which is what the server made of them."""
    versioned = [{**resource, "meta": {"versionId": "1"}} for resource in resources]
    return answer_of(reviewer().review(read_bundle(json.dumps(a_bundle(versioned)).encode())))


def new_id() -> str:
    """An id that no earlier run has used, for records that a test changes."""
    return f"test-{uuid.uuid4()}"


def put(base: str, resource: Resource) -> None:
    url = f"{base}/{resource['resourceType']}/{resource['id']}"
    httpx.put(url, json=resource, trust_env=False, timeout=30).raise_for_status()


# --- the same answer ------------------------------------------------------------------------------


@BOTH_WAYS
@pytest.mark.parametrize("name", cases_to_read())
async def test_the_server_gives_the_answer_of_the_file(
    hapi: str, name: str, searches: bool, request: pytest.FixtureRequest
) -> None:
    if b'"List"' in case_bytes(name) and not searches:
        left_out = pytest.mark.xfail(strict=True, reason="HAPI's $everything of R4 leaves Lists out")
        request.node.add_marker(left_out)
    patient = patient_id_of(case_bundle(name))
    review = await reviewed_at(hapi, patient, searches=searches, by=case_reviewer(name))
    assert review.gathered.compartment is not searches
    assert answer_of(review) == case_answer(name)


@BOTH_WAYS
async def test_a_long_record_is_complete(hapi: str, searches: bool) -> None:
    review = await reviewed_at(hapi, "long", searches=searches)
    assert len(review.record.exposures) == 450
    assert len(review.record.diagnoses) == 250
    assert review.record.unreadable == ()
    assert answer_of(review) == answer_from_file(LONG)


@BOTH_WAYS
@pytest.mark.parametrize("kind", UNRESOLVED)
async def test_a_medicine_that_leads_nowhere_stays_unresolved(hapi: str, kind: str, searches: bool) -> None:
    patient = new_id()
    statement = a_statement(f"{patient}-s", patient, medication="Medication/nowhere")
    record = [a_patient(patient), {**statement, "medicationReference": UNRESOLVED[kind]}]
    load(hapi, record)

    review = await reviewed_at(hapi, patient, searches=searches)

    (exposure,) = review.record.exposures
    assert exposure.medicine.identified is not Identified.CODED
    assert answer_of(review) == answer_from_file(record)


def test_a_medicine_that_is_not_there_is_refused_by_the_server(hapi: str) -> None:
    patient = new_id()
    record = [a_patient(patient), a_statement(f"{patient}-s", patient, medication="Medication/nowhere")]
    with pytest.raises(LoadRefusedError, match="HAPI-1094"):
        load(hapi, record)


# --- traps of this server -------------------------------------------------------------------------


@BOTH_WAYS
async def test_what_was_just_written_is_seen(hapi: str, searches: bool) -> None:
    """HAPI answers a repeated search from a cache for a minute, unless it is told not to."""
    patient = new_id()
    load(hapi, [a_patient(patient), a_statement(f"{patient}-1", patient)])
    assert len((await reviewed_at(hapi, patient, searches=searches)).record.exposures) == 1
    assert statements_of(hapi, patient) == 1

    put(hapi, a_statement(f"{patient}-2", patient))

    assert statements_of(hapi, patient) == 1, "the cache that this test is about is off"
    assert len((await reviewed_at(hapi, patient, searches=searches)).record.exposures) == 2


def statements_of(base: str, patient: str) -> int:
    """How many statements a client counts that does not know of the cache."""
    search = httpx.get(
        f"{base}/MedicationStatement", params={"patient": patient}, trust_env=False, timeout=30
    )
    return len(search.json().get("entry", []))


async def test_everything_brings_what_is_somebody_elses_and_it_is_left_out(hapi: str) -> None:
    review = await reviewed_at(hapi, "linked")
    assert "linked-others" in {source.head.id for source in review.gathered.sources}
    assert [str(e.evidence[0]) for e in review.record.exposures] == [
        "MedicationStatement/linked-own/_history/1"
    ]
    assert answer_of(review) == answer_of(await reviewed_at(hapi, "linked", searches=True))


async def test_a_new_version_is_the_one_that_is_read(hapi: str) -> None:
    patient = new_id()
    condition = a_condition(f"{patient}-mdd", patient)
    load(hapi, [a_patient(patient), condition])
    put(hapi, {**condition, "onsetDateTime": "2024-01-01"})

    (diagnosis,) = (await reviewed_at(hapi, patient)).record.diagnoses

    assert str(diagnosis.evidence[0]) == f"Condition/{patient}-mdd/_history/2"
    assert str(diagnosis.onset and diagnosis.onset.earliest) == "2024-01-01"


# --- pages that fail ------------------------------------------------------------------------------


class BreakingAtPage(httpx.AsyncBaseTransport):
    """The way to a real server, on which the third page of every search breaks."""

    def __init__(self, breaks: Callable[[httpx.Response], httpx.Response]) -> None:
        self._breaks = breaks
        self._way = httpx.AsyncHTTPTransport()
        self._later_pages: dict[str, int] = {}
        self.broken = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await self._way.handle_async_request(request)
        search = request.url.params.get("_getpages")
        if search is None:
            return response
        await response.aread()
        self._later_pages[search] = self._later_pages.get(search, 1) + 1
        if self._later_pages[search] != 3:
            return response
        self.broken += 1
        return self._breaks(response)

    async def aclose(self) -> None:
        await self._way.aclose()


def cut_off(response: httpx.Response) -> httpx.Response:
    headers = {"Content-Type": "application/fhir+json"}
    return httpx.Response(200, headers=headers, content=response.content[: len(response.content) // 2])


def hang_up(_: httpx.Response) -> httpx.Response:
    raise httpx.ReadError("connection reset")


FAULTS: dict[str, tuple[Callable[[httpx.Response], httpx.Response], type[ServerError]]] = {
    "cut off": (cut_off, ServerMisread),
    "hangs up": (hang_up, ServerUnreachable),
    "500": (lambda _: httpx.Response(500), ServerRefused),
    "expired": (lambda _: httpx.Response(410), PagesExpired),
    "a web page": (lambda _: httpx.Response(200, headers={"Content-Type": "text/html"}), ServerMisread),
}


@BOTH_WAYS
@pytest.mark.parametrize(("breaks", "kind"), FAULTS.values(), ids=FAULTS)
async def test_a_page_that_fails_in_the_middle_leaves_no_record(
    hapi: str, breaks: Callable[[httpx.Response], httpx.Response], kind: type[ServerError], searches: bool
) -> None:
    way = BreakingAtPage(breaks)
    async with httpx.AsyncClient(transport=way) as http:
        client = FhirClient(hapi, http, seconds=30, attempts=1, connections=4)
        if searches:
            client._stated = without_everything(await client.capability()), await client.release()
        with pytest.raises(kind) as caught:
            await gather(client, "long", reviewer().knowledge)
    assert type(caught.value) is kind
    assert way.broken == (2 if kind is PagesExpired else 1), "what expired is begun again once"


async def test_a_page_that_fails_once_is_read_again(hapi: str) -> None:
    way = BreakingAtPage(lambda _: httpx.Response(503, headers={"Retry-After": "0"}))
    async with httpx.AsyncClient(transport=way) as http:
        client = FhirClient(hapi, http, seconds=30, attempts=2, connections=4)
        review = reviewer().review(await gather(client, "long", reviewer().knowledge))
    assert way.broken == 1
    assert answer_of(review) == answer_from_file(LONG)


# --- patients that cannot be assessed -------------------------------------------------------------


@BOTH_WAYS
async def test_a_merged_patient_names_the_other(hapi: str, searches: bool) -> None:
    with pytest.raises(NotAssessable, match=r"^Patient/merged/_history/1: merged into Patient/kept"):
        await reviewed_at(hapi, "merged", searches=searches)


@BOTH_WAYS
async def test_an_unknown_patient_is_refused(hapi: str, searches: bool) -> None:
    with pytest.raises(ServerRefused) as caught:
        await reviewed_at(hapi, "nobody", searches=searches)
    assert caught.value.status == 404


@BOTH_WAYS
async def test_a_deleted_patient_is_refused(hapi: str, searches: bool) -> None:
    patient = deleted_patient(hapi)
    with pytest.raises(ServerRefused) as caught:
        await reviewed_at(hapi, patient, searches=searches)
    assert caught.value.status == 410


def deleted_patient(base: str) -> str:
    patient = new_id()
    load(base, [a_patient(patient)])
    httpx.delete(f"{base}/Patient/{patient}", trust_env=False, timeout=30).raise_for_status()
    return patient


# --- the command ----------------------------------------------------------------------------------


def test_the_command_assesses_a_patient_of_the_server(hapi: str) -> None:
    name = cases_to_read()[0]
    patient = patient_id_of(case_bundle(name))
    done = run_command(
        "assess", f"Patient/{patient}", "--as-of", "2026-11-23", "--json", TRD_FHIR_BASE_URL=hapi
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == case_answer(name) + "\n"


@pytest.mark.parametrize("patient_of", [lambda _: "nobody", deleted_patient], ids=["unknown", "deleted"])
def test_the_command_fails_for_a_patient_who_is_not_there(
    hapi: str, patient_of: Callable[[str], str]
) -> None:
    patient = patient_of(hapi)
    done = run_command("assess", f"Patient/{patient}", TRD_FHIR_BASE_URL=hapi)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == f"trd-careplan: Patient/{patient}: the FHIR server has no such patient\n"


def test_the_command_does_not_assess_a_merged_patient(hapi: str) -> None:
    done = run_command("assess", "Patient/merged", TRD_FHIR_BASE_URL=hapi)
    assert (done.returncode, done.stdout) == (3, "")
    assert "merged into Patient/kept" in done.stderr


# --- the whole store ------------------------------------------------------------------------------


async def test_patients_read_at_once_do_not_mix(hapi: str) -> None:
    names = cases_to_read()[:12]
    async with client_at(hapi) as client:
        gathered = await asyncio.gather(
            *(gather(client, patient_id_of(case_bundle(name)), reviewer().knowledge) for name in names)
        )
    for name, record in zip(names, gathered, strict=True):
        shown = [r for r in resources_of(case_bundle(name)) if r["resourceType"] not in {"List", "Task"}]
        expected = {f"{r['resourceType']}/{r['id']}" for r in shown}
        assert {f"{s.head.resource_type}/{s.head.id}" for s in record.sources} == expected
