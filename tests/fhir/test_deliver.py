"""Definitions on their way to a FHIR server: compared first, written only where they differ."""

import json
from collections.abc import Iterable
from http import HTTPStatus
from pathlib import Path

import httpx
import pytest

from service.commands.publish import (
    check_placed,
    publish_to_server,
    render_bundle,
    report_published,
    write_files,
)
from service.errors import ServerMisread, ServerRefused
from service.fhir.kinds import PUBLISHED_KINDS
from service.publish.deliver import Compared, Standing, compare, deliver
from service.publish.published import publish
from service.settings import Settings
from tests.support import Resource, a_bundle, client_of, fhir_response, reviewer, settings

KNOWLEDGE = reviewer().knowledge
ALL = publish(KNOWLEDGE).resources
PLAN = next(r for r in ALL if r["id"] == "us-trd")
OPERATION = next(r for r in ALL if r["id"] == "propose-care-plan")


class Server:
    """A FHIR server in memory that keeps what it is sent; `unread` are kinds that it only finds."""

    def __init__(self, *, offered: Iterable[str] = PUBLISHED_KINDS, unread: Iterable[str] = ()) -> None:
        self.offered = tuple(offered)
        self.unread = frozenset(unread)
        self.stored: dict[str, Resource] = {}
        self.written: list[str] = []
        self.refusing: str | None = None
        self.found: bytes | None = None

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/r4/")
        kind, _, identity = path.partition("/")
        if path == "metadata":
            rest = [{"mode": "server", "resource": [{"type": kind} for kind in self.offered]}]
            return fhir_response(
                {"resourceType": "CapabilityStatement", "fhirVersion": "4.0.1", "rest": rest}
            )
        if request.method == "PUT":
            return self._put(path, json.loads(request.content))
        if not identity:
            found = self.stored.get(f"{kind}/{request.url.params['_id']}")
            return fhir_response(self.found or a_bundle([found] if found else [], kind="searchset"))
        if path in self.stored and kind not in self.unread:
            return fhir_response(self.stored[path])
        return httpx.Response(HTTPStatus.NOT_FOUND)

    def _put(self, path: str, resource: Resource) -> httpx.Response:
        assert path == f"{resource['resourceType']}/{resource['id']}"
        if path == self.refusing:
            return httpx.Response(HTTPStatus.UNPROCESSABLE_ENTITY)
        self.written.append(path)
        self.stored[path] = resource | {"meta": {"versionId": "1"}, "text": {"status": "empty"}}
        return fhir_response(resource, HTTPStatus.CREATED)


async def load(server: Server, resources: Iterable[Resource] = ALL) -> list[Compared]:
    client = client_of(server, attempts=1)
    compared = await compare(client, resources)
    await deliver(client, compared)
    return compared


async def test_all_is_written_once_and_in_order() -> None:
    server = Server()
    names = [f"{r['resourceType']}/{r['id']}" for r in ALL]

    first = await load(server)
    assert {one.standing for one in first} == {Standing.MISSING}
    assert server.written == names == [one.reference for one in first]

    second = await load(server)
    assert {one.standing for one in second} == {Standing.SAME}
    assert server.written == names


async def test_only_what_differs_is_written_anew() -> None:
    server = Server()
    await load(server)
    server.written.clear()
    server.stored["PlanDefinition/us-trd"] |= {"status": "active"}

    compared = await load(server)

    assert server.written == ["PlanDefinition/us-trd"]
    assert [c.reference for c in compared if c.standing is Standing.DIFFERENT] == server.written
    assert server.stored["PlanDefinition/us-trd"]["status"] == "draft"


async def test_what_is_somebody_elses_is_left() -> None:
    server = Server()
    theirs = {"resourceType": "PlanDefinition", "id": "us-trd", "url": "https://other.example/us-trd"}
    server.stored["PlanDefinition/us-trd"] = theirs

    compared = await load(server, [PLAN])

    assert [one.standing for one in compared] == [Standing.TAKEN]
    assert (server.written, server.stored["PlanDefinition/us-trd"]) == ([], theirs)


async def test_what_a_server_only_finds_is_not_written_twice() -> None:
    """HAPI reads only the OperationDefinitions that it makes itself."""
    server = Server(unread=["OperationDefinition"])
    await load(server, [OPERATION])

    assert [one.standing for one in await load(server, [OPERATION])] == [Standing.SAME]
    assert server.written == ["OperationDefinition/propose-care-plan"]


async def test_a_kind_that_the_server_does_not_keep_is_passed_over() -> None:
    server = Server(offered=["PlanDefinition"])

    compared = await load(server)

    assert {one.standing for one in compared if one.resource["resourceType"] != "PlanDefinition"} == {
        Standing.NOT_OFFERED
    }
    assert len(server.written) == len(KNOWLEDGE.protocols)


async def test_a_refusal_stops_it_and_is_named() -> None:
    server = Server()
    server.refusing = "PlanDefinition/us-trd"
    with pytest.raises(ServerRefused, match="PUT /r4/PlanDefinition/us-trd: the server answered 422"):
        await load(server, [PLAN])


async def test_a_search_that_cannot_be_read_is_no_absence() -> None:
    server = Server()
    server.found = b'{"resourceType": "Bundle", "entry": [{"resource": "Canarybird"}]}'
    with pytest.raises(ServerMisread, match="not the FHIR JSON expected"):
        await load(server, [PLAN])
    server.found = json.dumps(a_bundle([OPERATION], kind="searchset")).encode()
    assert [one.standing for one in await load(server, [PLAN])] == [Standing.MISSING]


# --- the command ----------------------------------------------------------------------------------


async def published(server: Server, by: Settings) -> list[str]:
    """What the command reports."""
    compared = await publish_to_server(client_of(server, attempts=1), by, KNOWLEDGE)
    return report_published(compared, by)


async def test_the_command_says_what_it_wrote() -> None:
    server = Server()
    lines = await published(server, settings())
    assert lines[-1] == f"{len(ALL)} definitions, {len(ALL)} written"
    assert "PlanDefinition/us-trd: written, it was missing" in lines

    assert await published(server, settings()) == [f"{len(ALL)} definitions, 0 written"]
    assert len(server.written) == len(ALL)


async def test_in_shadow_mode_nothing_is_written() -> None:
    server = Server()
    lines = await published(server, settings(write="off"))

    assert server.written == []
    assert f"{len(ALL)} to write (TRD_WRITE is off)" in lines[-1]


async def test_an_id_that_is_taken_is_an_error_after_all_others() -> None:
    server = Server()
    server.stored["PlanDefinition/us-trd"] = {"resourceType": "PlanDefinition", "id": "us-trd"}

    compared = await publish_to_server(client_of(server, attempts=1), settings(), KNOWLEDGE)

    with pytest.raises(ServerMisread, match="uses the same id"):
        check_placed(compared)
    check_placed(one for one in compared if one.reference != "PlanDefinition/us-trd")
    lines = report_published(compared, settings())
    assert "PlanDefinition/us-trd: taken: another definition has this id" in lines
    assert len(server.written) == len(ALL) - 1


def test_the_command_prints_one_transaction() -> None:
    bundle = json.loads(render_bundle(KNOWLEDGE))
    assert tuple(entry["resource"] for entry in bundle["entry"]) == ALL


def test_the_command_writes_one_file_per_definition(tmp_path: Path) -> None:
    number = write_files(KNOWLEDGE, tmp_path / "new" / "folder")

    files = sorted((tmp_path / "new" / "folder").iterdir())
    assert len(files) == number == len(ALL)
    assert json.loads((tmp_path / "new" / "folder" / "PlanDefinition-us-trd.json").read_bytes()) == PLAN
