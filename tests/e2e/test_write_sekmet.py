"""The contract of writing, on sekmet-fhir."""

from collections.abc import Iterator

import pytest

from tests.contract_write import WriteContract
from tests.servers import running_sekmet

pytestmark = pytest.mark.matrix


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with running_sekmet() as base:
        yield base


class TestWritingOnSekmet(WriteContract):
    """It knows no condition that an unconditional PUT could fail on."""
