"""A FHIR server with SMART Backend Services that is not ours: sekmet-fhir, which checks tokens and scopes."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from service.commands.keys import KeyStep, change_keys
from service.demo.sandbox.sekmet import running_sekmet
from service.errors import NotAuthorized, ServerRefused
from service.fhir.auth import Algorithm
from service.fhir.client import open_client
from service.settings import Settings
from tests.contract_write import TWO_FAILURES
from tests.support import case_bundle, patient_id_of, resources_of, reviewer, settings

pytestmark = pytest.mark.matrix

LOADER = ("loader", "only-loads-the-records")
PATIENT = patient_id_of(case_bundle(TWO_FAILURES))


class Guarded(NamedTuple):
    """A server that asks for a token, with a key for each algorithm that it knows."""

    base: str
    keys: dict[Algorithm, Path]


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    folder = tmp_path_factory.mktemp("keys")
    keys = {algorithm: folder / f"{algorithm}.json" for algorithm in Algorithm}
    clients = [
        {
            "client_id": algorithm.value,
            "jwks": change_keys(path, KeyStep.NEW, algorithm),
            "scopes": "system/*.*",
        }
        for algorithm, path in keys.items()
    ]
    auth = {"types": ["smart", "basic"], "users": dict([LOADER]), "smart_clients": clients}
    with running_sekmet(server_auth=auth) as base:
        with httpx.Client(auth=LOADER, trust_env=False) as http:
            for resource in resources_of(case_bundle(TWO_FAILURES)):
                http.put(
                    f"{base}/{resource['resourceType']}/{resource['id']}", json=resource
                ).raise_for_status()
        yield Guarded(base, keys)


def smart(guarded: Guarded, algorithm: Algorithm, **others: object) -> Settings:
    key = guarded.keys[algorithm]
    of_auth = {"fhir_auth": "smart", "fhir_client_id": algorithm.value, "fhir_key": key}
    return settings(fhir_base_url=guarded.base, **(of_auth | others))


@pytest.mark.parametrize("algorithm", list(Algorithm))
async def test_a_patient_is_reviewed_and_written(guarded: Guarded, algorithm: Algorithm) -> None:
    async with open_client(smart(guarded, algorithm)) as client:
        done = await reviewer().propose(client, PATIENT)
    assert done.answer.reason == "trd"
    if done.written:
        assert done.answer.care_plan.tier == "single-requests", "no scope of ours is about the whole server"


async def test_without_a_token_nothing_is_read(guarded: Guarded) -> None:
    async with open_client(settings(fhir_base_url=guarded.base)) as client:
        with pytest.raises(ServerRefused, match="401"):
            await client.get(f"Patient/{PATIENT}")


async def test_a_key_that_is_not_known_gets_no_token(guarded: Guarded, tmp_path: Path) -> None:
    change_keys(tmp_path / "other.json", KeyStep.NEW, Algorithm.ES384)
    async with open_client(smart(guarded, Algorithm.ES384, fhir_key=tmp_path / "other.json")) as client:
        with pytest.raises(NotAuthorized, match="the token server refused this client"):
            await client.get(f"Patient/{PATIENT}")


async def test_a_scope_that_was_not_asked_for_is_not_had(guarded: Guarded) -> None:
    async with open_client(smart(guarded, Algorithm.RS384, fhir_scopes="system/Patient.read")) as client:
        await client.get(f"Patient/{PATIENT}")
        with pytest.raises(ServerRefused, match="403"):
            await client.get("Condition?patient=x")
