"""The commands over plans, on a server without transactions that gives ids of its own."""

from collections.abc import Iterator

import pytest

from tests.contract_commands import CommandsContract
from tests.servers.doubles import running_double


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with running_double(transactions=False, update_create=False) as base:
        yield base


class TestCommandsWithIdsOfTheServer(CommandsContract):
    """Everything of the contract, nothing more."""
