"""The contract of plans and Tasks, on servers in memory that take no transactions."""

from collections.abc import Iterator
from typing import Any, ClassVar

import pytest

from tests.contract_plans import PlansContract
from tests.servers import running_double


class _OnADouble(PlansContract):
    """The contract on a server of certain traits."""

    traits: ClassVar[dict[str, Any]] = {}

    @pytest.fixture
    def server(self) -> Iterator[str]:
        with running_double(**self.traits) as base:
            yield base


@pytest.mark.matrix
class TestSingleRequests(_OnADouble):
    """One by one, under ids of ours."""

    traits: ClassVar = {"transactions": False}


class TestSingleRequestsWithIdsOfTheServer(_OnADouble):
    """One by one, under ids that the server gives."""

    traits: ClassVar = {"transactions": False, "update_create": False}
