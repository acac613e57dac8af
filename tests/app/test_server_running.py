"""Running the service: health, metrics, logs, and that nothing of a record gets into any of them."""

import asyncio
import io
import json
import logging
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import pytest
import structlog
from yarl import URL

from service import __version__
from service.app import build_app, listening
from service.doors import health, parameters
from service.doors.outcome import failure_of
from service.errors import InputError, MappingsError, ServerUnreachable, TrdError
from service.queue.work import Work
from service.request_id import current_request_id
from service.telemetry import logs
from service.telemetry.logs import Event, configure_logs, log_error, log_info, place_of
from service.telemetry.metrics import Metrics
from tests.app.serving import (
    CANARY,
    PretendQueue,
    Site,
    fhir_of,
    issue_of,
    on_server,
    pretending,
    serving,
    unreachable,
)
from tests.fhir.double import FhirDouble
from tests.support import (
    PretendServer,
    Resource,
    a_condition,
    a_patient,
    a_statement,
    case_bundle,
    client_of,
    fhir_response,
    resources_of,
    reviewer,
    settings,
)

CASE = case_bundle("two-documented-failures-propose-treatment")
ASSESS = "/fhir/Patient/propose-two/$assess-treatment-resistance"
PROPOSE = "/fhir/Patient/propose-two/$propose-care-plan"


class Lines(io.StringIO):
    """What was logged."""

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.getvalue().splitlines()]

    def of(self, event: Event) -> list[dict[str, Any]]:
        return [line for line in self.events if line["event"] == event.value]


@pytest.fixture
def lines() -> Iterator[Lines]:
    """The log of this process, as it would be written."""
    handlers, level = logging.root.handlers[:], logging.root.level
    stream = Lines()
    configure_logs(stream)
    yield stream
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)
    structlog.reset_defaults()


async def metric_lines(site: Site, name: str) -> list[str]:
    text = await (await site.get("/metrics")).text()
    return [line for line in text.splitlines() if line.startswith(name)]


# --- health ---------------------------------------------------------------------------------------


async def test_alive_whatever_is_missing() -> None:
    async with serving(unreachable, queue=PretendQueue(fault=OSError())) as site:
        answer = await site.get("/health/live")
        assert (answer.status, await answer.json()) == (200, {"status": "ok"})


async def test_ready_when_every_part_is() -> None:
    async with serving() as site:
        answer = await site.get("/health/ready")
        assert answer.status == 200
        assert await answer.json() == {
            "status": "ok",
            "parts": {"fhir_server": "ok", "queue": "ok", "knowledge": "ok"},
            "tier": "return-only",
            "queue_paused": None,
            "knowledge_version": reviewer().knowledge.version,
        }


UNREADY: dict[str, tuple[Any, PretendQueue, dict[str, str]]] = {
    "no server": (unreachable, PretendQueue(), {"fhir_server": "failed", "queue": "ok"}),
    "a server that fails": (
        lambda _: httpx.Response(500, text=CANARY),
        PretendQueue(),
        {"fhir_server": "failed", "queue": "ok"},
    ),
    "a queue that is ill": ((), PretendQueue(well=False), {"fhir_server": "ok", "queue": "failed"}),
    "a queue that breaks": (
        (),
        PretendQueue(fault=OSError(CANARY)),
        {"fhir_server": "ok", "queue": "failed"},
    ),
}


@pytest.mark.parametrize(("server", "queue", "parts"), UNREADY.values(), ids=UNREADY)
async def test_not_ready_names_the_part(
    server: Any, queue: PretendQueue, parts: dict[str, str], lines: Lines
) -> None:
    async with serving(server, queue=queue) as site:
        answer = await site.get("/health/ready")
        body = await answer.json()

    assert (answer.status, body["status"]) == (503, "failed")
    assert body["parts"] == parts | {"knowledge": "ok"}
    assert CANARY not in json.dumps(body) + lines.getvalue()
    assert lines.of(Event.REQUEST)[-1]["status"] == 503


async def test_a_part_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    class Hanging(PretendQueue):
        async def healthy(self) -> bool:
            await asyncio.sleep(60)
            return True

    async def hanging(_: httpx.Request) -> httpx.Response:
        await asyncio.sleep(60)
        return httpx.Response(200)

    monkeypatch.setattr(health, "_PART_SECONDS", 0.05)
    client = client_of(PretendServer([]))
    client._http = httpx.AsyncClient(transport=httpx.MockTransport(hanging))
    app = build_app(settings(), reviewer(), client, Hanging())
    async with aiohttp.test_utils.TestClient(aiohttp.test_utils.TestServer(app)) as site:
        answer = await site.get("/health/ready")
        assert (await answer.json())["parts"] == {
            "fhir_server": "failed",
            "queue": "failed",
            "knowledge": "ok",
        }


async def test_a_queue_that_waits_for_the_server_says_why() -> None:
    async with serving(unreachable, queue=PretendQueue(paused="ServerUnreachable")) as site:
        answer = await site.get("/health/ready")
        assert (answer.status, (await answer.json())["queue_paused"]) == (503, "ServerUnreachable")
        assert await metric_lines(site, "trd_queue_paused") == ["trd_queue_paused 1.0"]
    async with serving() as site:
        assert await metric_lines(site, "trd_queue_paused") == ["trd_queue_paused 0.0"]


async def test_probes_do_not_burden_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    server = PretendServer([])
    async with serving(server) as site:
        await asyncio.gather(*(site.get("/health/ready") for _ in range(10)))
        assert server.paths == ["metadata"]
        monkeypatch.setattr(health, "_REMEMBERED_SECONDS", 0.0)
        await site.get("/health/ready")
        assert server.paths == ["metadata"] * 2


# --- metrics --------------------------------------------------------------------------------------


async def test_what_was_done_is_counted() -> None:
    async with serving(on_server(CASE)) as site:
        await site.get(ASSESS)
        await site.post(PROPOSE)
        await site.get("/fhir/Patient/nobody/$assess-treatment-resistance")
        await site.get(f"/{CANARY}")
        requests = await metric_lines(site, "trd_requests_total")
        decisions = await metric_lines(site, "trd_decisions_total")
        seconds = await metric_lines(site, "trd_review_seconds_count")
        queued = await metric_lines(site, "trd_queue_jobs")

    assert 'trd_requests_total{door="assess",status="200"} 1.0' in requests
    assert 'trd_requests_total{door="assess",status="404"} 1.0' in requests
    assert 'trd_requests_total{door="propose",status="200"} 1.0' in requests
    assert 'trd_requests_total{door="unknown",status="404"} 1.0' in requests
    assert decisions == ['trd_decisions_total{decision="propose",reason="trd"} 2.0']
    assert seconds == ["trd_review_seconds_count 2.0"]
    assert 'trd_queue_jobs{state="failed"} 2.0' in queued


async def test_metrics_are_given_when_the_queue_is_down() -> None:
    queue = PretendQueue()
    async with serving(queue=queue) as site:
        assert len(await metric_lines(site, "trd_queue_jobs{")) == 3
        queue.fault = OSError(CANARY)
        assert await metric_lines(site, "trd_queue_jobs{") == []
        assert await metric_lines(site, "trd_requests_total")


async def test_metrics_handed_in_are_the_ones_shown() -> None:
    shared = Metrics()
    shared.count_decision("decline", "minor", 0.2)
    app = build_app(settings(), reviewer(), client_of(PretendServer([])), PretendQueue(), shared)
    async with aiohttp.test_utils.TestClient(aiohttp.test_utils.TestServer(app)) as site:
        assert await metric_lines(site, "trd_decisions_total") == [
            'trd_decisions_total{decision="decline",reason="minor"} 1.0'
        ]


async def test_what_is_held_back_is_told_and_counted_without_the_patient(lines: Lines) -> None:
    by = replace(reviewer(), settings=settings(patients_allowed="somebody-else"))
    held = 'trd_reviews_held_total{why="patient-not-allowed"} 1.0'
    async with serving(on_server(CASE), by=by) as site:
        answer = await fhir_of(await site.post(PROPOSE))
        assert await metric_lines(site, "trd_reviews_held_total") == [held]
    shared = Metrics()
    await Work(by, client_of(on_server(CASE)), shared).review("propose-two", "sweep")

    assert held in shared.exposition().decode()
    assert "not among TRD_PATIENTS_ALLOWED" in json.dumps(answer)
    (request,), (reviewed,) = lines.of(Event.REQUEST)[:1], lines.of(Event.REVIEWED)
    assert request["held"] == reviewed["held"] == "patient-not-allowed"
    assert (request["written"], reviewed["written"]) == (0, 0)
    assert "propose-two" not in lines.getvalue()


@pytest.mark.parametrize(("told", "kept"), [("rest-hook", "rest-hook"), ("a later door", "other")])
async def test_what_caused_a_job_stands_in_the_provenance(told: str, kept: str) -> None:
    server = FhirDouble(resources_of(CASE))
    await Work(reviewer(), client_of(server), Metrics()).review("propose-two", told)
    (reason,) = server.only("Provenance")["reason"]
    assert reason["coding"][0]["code"] == kept


# --- logs -----------------------------------------------------------------------------------------


async def test_a_request_leaves_one_line(lines: Lines) -> None:
    async with serving(on_server(CASE)) as site:
        answer = await site.post(PROPOSE, headers={"X-Request-Id": "abc-1.2_3"})
        assert answer.headers["X-Request-Id"] == "abc-1.2_3"
        for path in ("/health/live", "/health/ready", "/metrics"):
            await site.get(path)

    (line,) = lines.of(Event.REQUEST)
    assert line.pop("timestamp").endswith("Z")
    assert line.pop("seconds") >= 0
    assert line == {
        "event": "request",
        "level": "info",
        "request_id": "abc-1.2_3",
        "door": "propose",
        "method": "POST",
        "status": 200,
        "decision": "propose",
        "reason": "trd",
        "written": 2,
    }
    (started,), (stopped,) = lines.of(Event.STARTED), lines.of(Event.STOPPED)
    assert started["version"] == stopped["version"] == __version__
    assert started["knowledge"] == reviewer().knowledge.version


async def test_every_request_to_the_server_has_the_id_of_the_request_that_asked(lines: Lines) -> None:
    server = on_server(CASE)
    async with serving(server) as site:
        for name in ("first", "second"):
            await site.get(ASSESS, headers={"X-Request-Id": name})

    told = [request.headers["X-Request-Id"] for request in server.asked]
    assert set(told) == {"first", "second"} == {line["request_id"] for line in lines.of(Event.REQUEST)}
    assert told == sorted(told)


async def test_a_command_has_one_id() -> None:
    server = on_server(CASE)
    await reviewer().review_patient(client_of(server), "propose-two")
    (told,) = {request.headers["X-Request-Id"] for request in server.asked}
    assert told == current_request_id()


async def test_a_refusal_is_logged_by_its_kind(lines: Lines) -> None:
    async with serving(unreachable) as site:
        await site.get(ASSESS)

    (line,) = lines.of(Event.REQUEST)
    assert (line["level"], line["status"], line["error"]) == ("warning", 504, "ServerUnreachable")


@pytest.mark.parametrize("given", ["", "x" * 65, "a b", "Ünïcode", '"}{'])
async def test_a_request_id_that_is_none_is_replaced(given: str) -> None:
    async with serving() as site:
        answer = await site.get("/health/live", headers={"X-Request-Id": given})
        assert len(answer.headers["X-Request-Id"]) == 32


async def test_a_method_that_no_door_knows_is_not_repeated(lines: Lines) -> None:
    async with serving() as site:
        await issue_of(await site.request("PROPFIND", "/fhir/metadata"), 405)

    assert lines.of(Event.REQUEST)[0]["method"] == "other"


def test_work_goes_on_when_no_log_can_be_written(tmp_path: Path) -> None:
    gone = (tmp_path / "log").open("w")
    gone.close()
    full = open("/dev/full", "w")  # noqa: SIM115, PTH123
    for stream in (gone, full):
        configure_logs(stream)
        for _ in range(1000):
            log_info(Event.STARTED, version="x" * 100)
    with suppress(OSError):
        full.close()


def test_only_what_is_listed_is_logged(lines: Lines) -> None:
    log_info(Event.REQUEST, status=200, patient=CANARY)

    assert CANARY not in lines.getvalue()
    assert lines.events[0]["status"] == 200


def test_a_library_is_heard_without_its_words(lines: Lines) -> None:
    logging.getLogger("some.library").warning("about %s", CANARY)
    logging.getLogger("some.library").info("about %s", CANARY)
    try:
        int(CANARY)
    except ValueError:
        logging.getLogger("some.library").exception(f"about {CANARY}")  # noqa: G004 - as libraries do

    assert CANARY not in lines.getvalue()
    first, second = lines.events
    assert (first["event"], first["level"], first["logger"]) == ("library-message", "warning", "some.library")
    assert (second["level"], second["error"]) == ("error", "ValueError")
    assert second["place"].startswith("test_server_running.py:")


def test_an_error_that_was_never_raised_has_no_place(lines: Lines) -> None:
    assert place_of(ValueError()) == "unknown"
    log_error(Event.UNEXPECTED, ValueError(CANARY))
    assert CANARY not in lines.getvalue()


def test_logs_go_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    handlers, level = logging.root.handlers[:], logging.root.level
    try:
        logs.configure_logs()
        log_info(Event.STARTED)
    finally:
        logging.root.handlers[:] = handlers
        logging.root.setLevel(level)
        structlog.reset_defaults()
    captured = capsys.readouterr()
    assert json.loads(captured.err)["event"] == "service-started"
    assert captured.out == ""


# --- errors ---------------------------------------------------------------------------------------


async def test_an_unexpected_error_says_where_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, lines: Lines
) -> None:
    def explode(*_: object) -> None:
        raise RuntimeError(CANARY)

    monkeypatch.setattr(parameters, "to_parameters", explode)
    async with serving(on_server(CASE)) as site:
        issue = await issue_of(await site.get(ASSESS), 500)

    assert issue == {"severity": "error", "code": "exception", "diagnostics": "internal error"}
    (line,) = lines.of(Event.UNEXPECTED)
    assert (line["error"], line["level"], line["door"]) == ("RuntimeError", "error", "assess")
    assert line["place"].startswith("test_server_running.py:")
    assert CANARY not in lines.getvalue()


def test_an_error_of_the_set_up_tells_a_caller_nothing() -> None:
    assert failure_of(MappingsError([CANARY])) == failure_of(TrdError(CANARY))
    assert failure_of(TrdError(CANARY)).status == 500


@pytest.mark.parametrize(
    "path", ["/", "/fhir", "/fhir/Patient", "/hooks", "/fhir/Patient/../$propose-care-plan"]
)
async def test_a_path_that_leads_nowhere(path: str) -> None:
    async with serving() as site:
        assert (await issue_of(await site.post(path), 404))["code"] == "not-found"


@pytest.mark.parametrize("identity", [".", "..", "a%2Fb", "a%20b", "x" * 257, "%5Bx%5D"])
async def test_an_id_that_could_leave_its_place_is_none(identity: str) -> None:
    server = PretendServer([])
    async with serving(server) as site:
        raw = f"http://{site.host}:{site.port}/fhir/Patient/{identity}/$propose-care-plan"
        url = URL(raw, encoded=True)
        async with aiohttp.ClientSession() as session, session.post(url) as answer:
            assert answer.status == 404
    assert server.asked == []


# --- the canary -----------------------------------------------------------------------------------


def marked(resource: Resource) -> Resource:
    """A resource that is full of what must not get out."""
    return resource | {
        "text": {"status": "generated", "div": f"<div>{CANARY}</div>"},
        "note": [{"text": CANARY}],
        "identifier": [{"system": "http://x", "value": CANARY}],
        "meta": {"tag": [{"system": CANARY, "code": CANARY}]},
    }


RECORD = [
    marked(a_patient(name=[{"family": CANARY}], birthDate="1981-04-12")),
    marked(a_condition("c", onsetDateTime=CANARY)),
    marked(a_statement("m", dosage=[{"text": CANARY}], effectivePeriod=CANARY)),
    marked({"resourceType": "AllergyIntolerance", "id": "a", "patient": {"reference": "Patient/ann"}}),
]


async def test_nothing_of_a_record_gets_out(lines: Lines) -> None:
    queue = PretendQueue()
    heard: list[str] = []
    bundle = {"resourceType": "Bundle", "entry": [{"resource": resource} for resource in RECORD]}
    stranger = marked(a_condition("c", CANARY))
    broken = marked(a_patient(birthDate=CANARY))

    def failing(_: httpx.Request) -> httpx.Response:
        return fhir_response({"resourceType": "OperationOutcome", "issue": [{"diagnostics": CANARY}]}, 500)

    for server in (
        PretendServer(RECORD),
        PretendServer([broken]),
        PretendServer([a_patient(), stranger]),
        failing,
    ):
        async with serving(server, queue=queue) as site:
            for resource in (*RECORD, stranger, broken, bundle):
                answer = await site.put("/hooks/fhir", json=resource)
                heard += [await answer.text(), str(answer.headers)]
            for name in ("$assess-treatment-resistance", "$propose-care-plan"):
                answer = await site.post(f"/fhir/Patient/ann/{name}")
                text = await answer.text()
                heard += [text if answer.status != 200 else "", str(answer.headers)]
            for record in (bundle, {**bundle, "entry": [{"resource": r} for r in (broken, stranger)]}):
                answer = await site.post("/fhir/$assess-treatment-resistance", json=record)
                heard += [await answer.text() if answer.status != 200 else "", str(answer.headers)]
            heard += [await (await site.get(path)).text() for path in ("/metrics", "/health/ready")]

    references = {f"Patient/{patient}" for patient in queue.patients} - {f"Patient/{CANARY}"}
    assert references == {"Patient/ann"}
    assert CANARY not in lines.getvalue()
    assert "ann" not in [word for line in lines.events for word in map(str, line.values())]
    assert not [text for text in heard if CANARY in text]


async def test_no_line_names_a_patient(lines: Lines) -> None:
    async with serving(on_server(CASE)) as site:
        await site.get(ASSESS)
        await site.post(PROPOSE)
        await site.put("/hooks/fhir/Patient/propose-two", json=a_patient("propose-two"))
        await site.get("/fhir/Patient/propose-two/else")
        shown = await (await site.get("/metrics")).text()

    assert len(lines.of(Event.REQUEST)) == 4
    assert "propose-two" not in lines.getvalue() + shown


# --- serving --------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_it_listens_where_it_should_and_stops(host: str, lines: Lines) -> None:
    chosen = settings(host=host, port=0)
    app = build_app(chosen, pretending(reviewer()), client_of(PretendServer([])), PretendQueue())
    async with (
        listening(app, chosen) as address,
        aiohttp.ClientSession() as session,
        session.get(f"{address}/health/live") as answer,
    ):
        assert answer.status == 200
        assert answer.headers["Server"] == f"trd-careplan/{__version__}"
    assert [line["event"] for line in lines.events] == ["service-started", "service-stopped"]
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientConnectionError):
            await session.get(f"{address}/health/live")


async def test_requests_under_way_end_before_it_stops() -> None:
    entered, leave = asyncio.Event(), asyncio.Event()

    class Slow(PretendQueue):
        async def accept_task(self, *_: object) -> None:
            entered.set()
            await leave.wait()

    chosen = settings(port=0)
    app = build_app(chosen, pretending(reviewer()), client_of(PretendServer([])), Slow())
    async with aiohttp.ClientSession() as session:
        async with listening(app, chosen) as address:
            answer = asyncio.create_task(session.post(f"{address}/hooks/fhir"))
            await entered.wait()
            asyncio.get_running_loop().call_later(0.1, leave.set)
        assert (await answer).status == 200


async def test_a_patient_is_not_there_only_where_a_server_is() -> None:
    there = client_of(PretendServer([]))
    with pytest.raises(InputError, match="no such Patient"):
        await Work(reviewer(), there, Metrics()).review("nobody", "rest-hook")
    behind_a_proxy = client_of(lambda _: httpx.Response(404))
    behind_a_proxy._stated = await there.capability(), await there.release()
    with pytest.raises(ServerUnreachable, match="no FHIR server answers"):
        await Work(reviewer(), behind_a_proxy, Metrics()).review("nobody", "rest-hook")
