"""What the FHIR server in memory does as HAPI does, on a real HAPI FHIR server, and behind a proxy.

With `HAPI_URL` set, that server is used; every test loads records of its own.
"""

from collections.abc import Iterator

import pytest

from tests.contract_server import ServerContract
from tests.servers import proxied, running_hapi


@pytest.fixture(scope="module")
def hapi() -> Iterator[str]:
    with running_hapi() as base:
        yield base


class TestHapi(ServerContract):
    """Everything of the contract, nothing more."""

    @pytest.fixture
    def server(self, hapi: str) -> str:
        return hapi


class TestHapiBehindAProxy(ServerContract):
    """A proxy that holds nothing back."""

    @pytest.fixture(scope="class")
    @classmethod
    def server(cls, hapi: str) -> Iterator[str]:
        with proxied(hapi) as base:
            yield base
