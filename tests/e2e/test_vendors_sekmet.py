"""The contract of reading, on sekmet-fhir."""

from collections.abc import Iterator

import pytest

from tests.contract_reading import ReadingContract
from tests.servers import running_sekmet

pytestmark = pytest.mark.matrix


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with running_sekmet() as base:
        yield base


class TestReadingOnSekmet(ReadingContract):
    """Everything of the contract, nothing more."""
