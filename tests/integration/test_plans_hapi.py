"""The contract of plans and Tasks, on a real HAPI FHIR server.

With `HAPI_URL` set, that server is used; every test loads records of its own.
"""

import pytest

from tests.contract_plans import PlansContract


@pytest.fixture
def server(shared_hapi: str) -> str:
    return shared_hapi


class TestPlansOnHapi(PlansContract):
    """Everything of the contract, nothing more."""
