"""The contract of reading, on a real HAPI FHIR server.

With `HAPI_URL` set, that server is used; every test loads records of its own.
"""

import pytest

from tests.contract_reading import ReadingContract


class TestReadingOnHapi(ReadingContract):
    """Everything of the contract."""

    @pytest.fixture
    def server(self, shared_hapi: str) -> str:
        return shared_hapi
