"""The contract of plans and Tasks, on a real HAPI FHIR server.

With `HAPI_URL` set, that server is used; every test loads records of its own.
"""

import pytest

from tests.contract_plans import PlansContractInBrief


@pytest.fixture
def server(shared_hapi: str) -> str:
    return shared_hapi


class TestPlansOnHapi(PlansContractInBrief):
    """Every row of the table of reconciliation."""
