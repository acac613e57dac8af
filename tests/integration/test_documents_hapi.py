"""A proposal as a document, on a real HAPI FHIR server that seems to take nothing but documents."""

from base64 import b64decode
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from httpx_aiohttp import HttpxAiohttpClient

from service.fhir.client import FhirClient
from service.review import Proposal
from tests.contract_interrupted import an_aneurysm, no_aneurysm
from tests.contract_write import LOOPBACK, TWO_FAILURES, change, found_by, load_case
from tests.servers import load, proxied
from tests.support import Resource, reviewer, settings


@pytest.fixture(scope="module")
def server(shared_hapi: str) -> Iterator[str]:
    with proxied(shared_hapi, transactions=False, takes={"DocumentReference"}) as base:
        yield base


async def propose(server: str, patient: str, folder: Path) -> Proposal:
    by = replace(reviewer(), settings=settings(database_url=f"sqlite:///{folder}/queue.sqlite"))
    async with HttpxAiohttpClient(verify=LOOPBACK) as http:
        client = FhirClient(server, http, seconds=30, attempts=1, connections=4)
        return await by.propose(client, patient)


async def documents(server: str, patient: str) -> list[Resource]:
    return await found_by(server, f"DocumentReference?patient={patient}&type=18776-5")


async def version_of(server: str, patient: str) -> str:
    (document,) = await documents(server, patient)
    return str(document["meta"]["versionId"])


async def test_a_document_is_written_once_superseded_and_left_to_a_person(
    server: str, tmp_path: Path
) -> None:
    patient = load_case(server, TWO_FAILURES)
    done = await propose(server, patient, tmp_path)
    (document,) = await documents(server, patient)
    reference = f"DocumentReference/{document['id']}"
    assert (done.answer.care_plan.tier, done.answer.care_plan.reference) == ("document", reference)
    assert b"<h3>Sessions</h3>" in b64decode(document["content"][0]["attachment"]["data"])
    assert (await propose(server, patient, tmp_path)).written == ()

    (tmp_path / "queue.sqlite").unlink()
    assert (await propose(server, patient, tmp_path)).answer.care_plan.action == "none"
    assert await version_of(server, patient) == "1"

    load(server, an_aneurysm(patient))
    await propose(server, patient, tmp_path)
    (document,) = await documents(server, patient)
    assert document["status"] == "superseded"
    load(server, no_aneurysm(patient))
    await propose(server, patient, tmp_path)
    assert await version_of(server, patient) == "3"

    await change(server, reference, docStatus="final")
    load(server, an_aneurysm(patient))
    left = await propose(server, patient, tmp_path)
    assert (left.written, left.answer.care_plan.action) == ((), "leave")
    assert await version_of(server, patient) == "4"
