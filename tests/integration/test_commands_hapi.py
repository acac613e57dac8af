"""The commands over plans, on a real HAPI FHIR server.

With `HAPI_URL` set, that server is used; every test loads records of its own.
"""

import pytest

from tests.contract_commands import CommandsContract, command, planned
from tests.contract_write import found_by, read
from tests.validator import faults_of


@pytest.fixture
def server(shared_hapi: str) -> str:
    return shared_hapi


class TestCommandsOnHapi(CommandsContract):
    """Everything of the contract."""


async def test_the_validator_finds_no_fault_in_what_a_withdrawal_writes(server: str) -> None:
    patient, plan = await planned(server)
    command(server, "withdraw", "--patient", patient, "--reason", "wrong <dose> list", "--yes")
    written = [await read(server, plan), *await found_by(server, f"Provenance?target={plan}")]
    assert len(written) == 3
    for resource in written:
        assert await faults_of(server, resource) == []
