"""Outcomes that are interrupted, on servers in memory, in each way of writing."""

import asyncio
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import httpx
import pytest

from tests.contract_interrupted import (
    InterruptedContract,
    InterruptedContractInBrief,
    InterruptedContractOfFewStories,
    age_device,
    assert_explained,
    assert_sound,
    told,
)
from tests.contract_write import LOOPBACK
from tests.fhir.front import Front
from tests.running import Service, notify, patients_to_treat, reason_of, until
from tests.servers import front_at, load, running_double

pytestmark = pytest.mark.no_cover

WRITES = ["PUT Device", "PUT CarePlan", "PUT GuidanceResponse", "PUT Provenance"]
"""A first proposal, where there are no transactions."""
_HELD_SECONDS = 0.3


class _OnADouble(InterruptedContract):
    """The contract on servers of certain traits, each of which is empty at first."""

    traits: ClassVar[dict[str, Any]] = {}

    @contextmanager
    def a_server(self) -> Iterator[str]:
        with running_double(**self.traits) as base:
            yield base


@pytest.mark.matrix
class TestTransactions(_OnADouble, InterruptedContractOfFewStories):
    """In one transaction."""


@pytest.mark.matrix
class TestSingleRequests(_OnADouble):
    """One by one, under ids of ours."""

    traits: ClassVar = {"transactions": False}


class TestSingleRequestsInBrief(_OnADouble, InterruptedContractInBrief):
    """The same server as the next, with one story."""

    traits: ClassVar = {"transactions": False, "guards_creation": False}


@pytest.mark.matrix
class TestSingleRequestsThatGuardNoCreation(_OnADouble, InterruptedContractOfFewStories):
    """One by one, where a creation is refused when it is to be guarded."""

    traits: ClassVar = {"transactions": False, "guards_creation": False}


@pytest.mark.matrix
class TestSingleRequestsWithIdsOfTheServer(_OnADouble):
    """One by one, under ids that the server gives, where what is read back looks different."""

    traits: ClassVar = {"transactions": False, "update_create": False, "reformats": True}


# --- the process itself ---------------------------------------------------------------------------


@pytest.mark.matrix
@pytest.mark.soak
async def test_killed_between_two_writes_the_accepted_event_is_done_after_the_restart(tmp_path: Path) -> None:
    with running_double(transactions=False) as server:
        front = front_at(server)
        async with (
            Service(tmp_path, fhir_base_url=server) as service,
            httpx.AsyncClient(trust_env=False, timeout=30, verify=LOOPBACK) as http,
        ):
            undisturbed = a_patient_on(server)
            await notify(http, service.address, undisturbed)
            await until(lambda: reason_of(server, undisturbed), seconds=60)
            await until(service.is_idle, seconds=60)
            expected = await told(server, undisturbed)
            for number in (2, 3):
                await age_device(server)
                patient = a_patient_on(server)
                front.holds_after = number
                await notify(http, service.address, patient)
                await until(partial(is_waiting, front), seconds=60)
                service.kill()
                assert [one.partition("/")[0] for one in front.taken] == WRITES[:number]
                front.holds_after = None
                await assert_sound(server, patient)
                await service.start()
                await until(service.is_idle, seconds=60)
                assert await told(server, patient) == expected
                await assert_explained(server, patient)
            assert await service.metric('trd_queue_jobs{state="failed"}') == 0


def a_patient_on(server: str) -> str:
    """A patient of the server who is to be treated."""
    ((patient, record),) = patients_to_treat(uuid.uuid4().hex[:8], 1).items()
    load(server, record)
    return patient


async def is_waiting(front: Front) -> bool:
    """Whether a request has been waiting for a while."""
    if front.is_holding:
        await asyncio.sleep(_HELD_SECONDS)
    return front.is_holding
