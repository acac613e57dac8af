"""What the FHIR server in memory does as HAPI does, on a real HAPI FHIR server, and behind a proxy.

With `HAPI_URL` set, that server is used; every test loads records of its own.
"""

from collections.abc import Iterator

import pytest

from tests.contract_server import ServerContract
from tests.servers import proxied


class TestHapi(ServerContract):
    """Everything of the contract, nothing more."""

    @pytest.fixture
    def server(self, shared_hapi: str) -> str:
        return shared_hapi


class TestHapiBehindAProxy(ServerContract):
    """A proxy that holds nothing back."""

    @pytest.fixture(scope="class")
    @classmethod
    def server(cls, shared_hapi: str) -> Iterator[str]:
        with proxied(shared_hapi) as base:
            yield base
