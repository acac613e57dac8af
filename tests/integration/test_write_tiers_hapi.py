"""The contract of writing, on a real HAPI FHIR server that seems to take no transactions.

With `HAPI_URL` set, that server is used; every test loads records of its own.
"""

from collections.abc import Iterator

import pytest

from tests.contract_write import WriteContractOfFewCases
from tests.servers import proxied


class TestSingleRequestsOnHapi(WriteContractOfFewCases):
    """One by one, under ids of ours."""

    @pytest.fixture(scope="class")
    @classmethod
    def server(cls, shared_hapi: str) -> Iterator[str]:
        with proxied(shared_hapi, transactions=False) as base:
            yield base


class TestSingleRequestsWithIdsOfHapi(WriteContractOfFewCases):
    """One by one, under ids that the server gives."""

    @pytest.fixture(scope="class")
    @classmethod
    def server(cls, shared_hapi: str) -> Iterator[str]:
        with proxied(shared_hapi, transactions=False, update_create=False) as base:
            yield base
