"""Whose record changed: from a sweep, and from the history of a deleted resource."""

from datetime import datetime
from typing import Any

import httpx
import pytest

from service.errors import NotSwept, ServerMisread, ServerRefused, TooManyPages
from service.fhir.client import FhirClient
from service.fhir.kinds import WATCHED_KINDS
from service.gather.changes import find_patients_changed_since, find_patients_of_deleted, find_swept_kinds
from service.knowledge import load_dialects, mappings_directory
from tests.support import reviewer

KIND = {"Content-Type": "application/fhir+json"}
STORED = {"lastUpdated": "2026-11-23T10:00:01Z"}
AT = "2026-11-23T10:00:00+00:00"


def bundle(*resources: dict[str, Any]) -> httpx.Response:
    entries = [{"resource": resource} for resource in resources]
    return httpx.Response(200, json={"resourceType": "Bundle", "entry": entries}, headers=KIND)


def about(patient: str, kind: str = "Condition") -> dict[str, Any]:
    return {"resourceType": kind, "id": "x", "meta": STORED, "subject": {"reference": f"Patient/{patient}"}}


async def since(client: FhirClient, instant: str) -> set[str]:
    return await find_patients_changed_since(client, datetime.fromisoformat(instant), reviewer().knowledge)


def offering(*kinds: str) -> httpx.Response:
    rest = [{"mode": "server", "resource": [{"type": kind} for kind in kinds]}]
    statement = {"resourceType": "CapabilityStatement", "fhirVersion": "4.0.1", "rest": rest}
    return httpx.Response(200, json=statement, headers=KIND)


async def ask(handler: Any, question: Any, argument: str) -> set[str]:
    async with httpx.AsyncClient(transport=httpx.MockTransport(handler)) as http:
        client = FhirClient("http://ehr/fhir", http, seconds=5, attempts=1, connections=2)
        found: set[str] = await question(client, argument)
        return found


async def test_a_sweep_asks_for_every_kind_since_the_instant() -> None:
    asked: list[tuple[str, str]] = []

    def server(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/fhir/metadata":
            return offering(*WATCHED_KINDS, "Organization")
        asked.append((request.url.path, request.url.params["_lastUpdated"]))
        match request.url.path:
            case "/fhir/Patient":
                return bundle({"resourceType": "Patient", "id": "a", "meta": STORED})
            case "/fhir/Condition":
                return bundle(
                    about("a"), about("b"), {"resourceType": "Condition", "id": "nobody's", "meta": STORED}
                )
            case "/fhir/AllergyIntolerance":
                return bundle(
                    {
                        "resourceType": "AllergyIntolerance",
                        "patient": {"reference": "Patient/c"},
                        "meta": STORED,
                    }
                )
            case _:
                return bundle()

    assert await ask(server, since, "2026-11-23T10:00:00+00:00") == {"a", "b", "c"}
    assert {since for _, since in asked} == {"ge2026-11-23T10:00:00+00:00"}
    assert [path for path, _ in asked] == [f"/fhir/{kind}" for kind in WATCHED_KINDS]


async def test_a_sweep_passes_over_what_the_server_does_not_offer_and_other_observations() -> None:
    asked: list[httpx.URL] = []

    def server(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/fhir/metadata":
            return offering("Observation")
        asked.append(request.url)
        return bundle()

    assert await ask(server, since, "2026-11-23T10:00:00+00:00") == set()
    (url,) = asked
    assert "http://loinc.org|44249-1" in url.params["code"].split(",")


async def test_a_deleted_resource_is_traced_by_its_history_to_everyone_it_was_about() -> None:
    def server(request: httpx.Request) -> httpx.Response:
        assert request.url.path == "/fhir/Condition/7/_history"
        deleted = {"request": {"method": "DELETE", "url": "Condition/7"}}
        entries = [deleted, {"resource": about("b")}, {"resource": about("a")}]
        return httpx.Response(200, json={"resourceType": "Bundle", "entry": entries}, headers=KIND)

    assert await ask(server, find_patients_of_deleted, "Condition/7") == {"a", "b"}


@pytest.mark.parametrize("status", [404, 410])
async def test_a_history_that_is_gone_names_nobody(status: int) -> None:
    def server(_: httpx.Request) -> httpx.Response:
        return httpx.Response(status, json={}, headers=KIND)

    assert await ask(server, find_patients_of_deleted, "Condition/7") == set()


async def test_a_history_that_is_refused_is_a_failure_to_try_again() -> None:
    def server(_: httpx.Request) -> httpx.Response:
        return httpx.Response(403, json={}, headers=KIND)

    with pytest.raises(ServerRefused):
        await ask(server, find_patients_of_deleted, "Condition/7")


# --- servers that do not search by the last change ------------------------------------------------


def answering(*resources: dict[str, Any], heeds: bool = True) -> Any:
    """A server of Conditions; one that does not heed `_lastUpdated` shows them whatever is asked."""

    def server(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/fhir/metadata":
            return offering("Condition")
        asked = request.url.params["_lastUpdated"]
        return bundle() if heeds and asked == "ge2999-01-01" else bundle(*resources)

    return server


def undated(patient: str) -> dict[str, Any]:
    return {name: value for name, value in about(patient).items() if name != "meta"}


@pytest.mark.parametrize(
    "server",
    [
        answering(about("a"), about("b") | {"meta": {"lastUpdated": "2026-11-23T09:59:58Z"}}, heeds=False),
        answering(undated("a"), heeds=False),
        answering(about("a"), undated("b"), heeds=False),
        answering(about("a") | {"meta": {"lastUpdated": "yesterday"}}, heeds=False),
        answering(about("a") | {"meta": {"lastUpdated": 7}}, heeds=False),
    ],
)
async def test_a_server_that_overlooks_the_time_is_noticed(server: Any) -> None:
    """Else every patient would count as changed, at every sweep."""
    with pytest.raises(NotSwept, match="overlooks _lastUpdated"):
        await ask(server, since, AT)


async def test_resources_that_do_not_say_when_they_changed_are_taken_where_the_server_heeds_the_time() -> (
    None
):
    assert await ask(answering(undated("a"), about("b")), since, AT) == {"a", "b"}


async def test_a_change_in_the_second_that_was_asked_for_is_no_older_one() -> None:
    """A server may keep whole seconds, or cut what it shows to them."""
    rounded = about("a") | {"meta": {"lastUpdated": "2026-11-23T09:59:59.500Z"}}
    assert await ask(answering(rounded, heeds=False), since, AT) == {"a"}


async def test_an_answer_that_reports_an_error_is_not_the_changes() -> None:
    issue = {"severity": "error", "code": "incomplete"}
    outcome = {"resourceType": "OperationOutcome", "issue": [issue]}
    with pytest.raises(ServerMisread, match="reports an error"):
        await ask(answering(about("a"), outcome), since, AT)


def stating(*parameters: str, everywhere: tuple[str, ...] = (), software: str = "") -> Any:
    """A server that states search parameters of Condition, and of all kinds."""
    kind = {"type": "Condition", "searchParam": [{"name": name} for name in parameters]}
    rest = {"mode": "server", "resource": [kind], "searchParam": [{"name": name} for name in everywhere]}
    statement = {"resourceType": "CapabilityStatement", "fhirVersion": "4.0.1", "rest": [rest]}

    def server(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={**statement, "software": {"name": software}}, headers=KIND)

    return server


@pytest.mark.parametrize(
    ("server", "swept"),
    [
        (stating("patient", "_id", "_lastUpdated"), True),
        (stating("patient", "_id"), False),
        (stating("patient", "_id", everywhere=("_lastUpdated",)), True),
        (stating("patient", everywhere=("_id", "_count")), False),
        (stating("patient"), True),
        (stating(), True),
        (stating("_lastUpdated", software="Epic"), False),
    ],
)
async def test_what_is_swept_is_what_the_statement_and_the_dialect_say(server: Any, swept: bool) -> None:
    """A statement without any parameter of all kinds says nothing of them, so the search is tried."""
    dialects = load_dialects(mappings_directory())
    async with httpx.AsyncClient(transport=httpx.MockTransport(server)) as http:
        client = FhirClient("http://ehr/fhir", http, seconds=5, attempts=1, connections=2, dialects=dialects)
        kinds = await find_swept_kinds(client)
    assert kinds == ((("Condition",), ()) if swept else ((), ("Condition",)))


async def test_where_changes_cannot_be_searched_for_nothing_is_found_rather_than_missed() -> None:
    with pytest.raises(NotSwept, match="Condition: the FHIR server cannot be searched"):
        await ask(stating("patient", "_id"), since, AT)


# --- too many pages -------------------------------------------------------------------------------


def crowded(moments: list[str], asked: list[list[str]]) -> Any:
    """A server that shows one Condition on each page, each changed at one of these moments."""

    def server(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/fhir/metadata":
            return offering("Condition")
        wanted = request.url.params.get_list("_lastUpdated")
        page = int(request.url.params.get("page", "0"))
        if page == 0:
            asked.append(wanted)
        shown = [moment for moment in moments if _is_in(moment, wanted)]
        if not shown:
            return bundle()
        found = about(f"p{moments.index(shown[page])}") | {"meta": {"lastUpdated": shown[page]}}
        body = {"resourceType": "Bundle", "entry": [{"resource": found}]}
        if page + 1 < len(shown):
            address = request.url.copy_set_param("page", str(page + 1))
            body["link"] = [{"relation": "next", "url": str(address)}]
        return httpx.Response(200, json=body, headers=KIND)

    return server


def _is_in(moment: str, wanted: list[str]) -> bool:
    at = datetime.fromisoformat(moment)
    bounds = {bound[:2]: datetime.fromisoformat(bound[2:]) for bound in wanted}
    return at >= bounds["ge"] and ("lt" not in bounds or at < bounds["lt"])


async def test_a_search_with_too_many_pages_is_split_until_each_part_has_few(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("service.fhir.client._MOST_PAGES", 3)
    monkeypatch.setattr(
        "service.gather.changes.clock.now", lambda: datetime.fromisoformat("2026-11-23T12:00:00+00:00")
    )
    moments = [f"2026-11-23T{hour}:{minute:02}:00Z" for hour in (10, 11) for minute in range(0, 60, 5)]
    moments += ["2026-11-23T12:30:00Z"]
    asked: list[list[str]] = []

    found = await ask(crowded(moments, asked), since, AT)

    assert found == {f"p{number}" for number in range(len(moments))}
    assert len(asked[-1]) == 1, "the last part stays open"
    assert len(asked) < 40


async def test_a_moment_with_too_many_changes_fails_and_is_not_cut_short(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("service.fhir.client._MOST_PAGES", 3)
    moments = [f"2026-11-23T10:00:00.{number:03}Z" for number in range(9)]
    asked: list[list[str]] = []
    with pytest.raises(TooManyPages):
        await ask(crowded(moments, asked), since, AT)
    assert len(asked) < 40
