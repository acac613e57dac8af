"""The contract of plans and Tasks, on sekmet-fhir."""

from collections.abc import Iterator

import pytest

from tests.contract_plans import PlansContract
from tests.servers import running_sekmet

pytestmark = pytest.mark.matrix


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with running_sekmet() as base:
        yield base


class TestPlansOnSekmet(PlansContract):
    """Everything of the contract, nothing more."""
