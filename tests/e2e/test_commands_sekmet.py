"""The commands over plans, on sekmet-fhir."""

from collections.abc import Iterator

import pytest

from tests.contract_commands import CommandsContract
from tests.servers import running_sekmet

pytestmark = pytest.mark.matrix


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with running_sekmet() as base:
        yield base


class TestCommandsOnSekmet(CommandsContract):
    """Everything of the contract, nothing more."""
