"""A treatment that goes on, and courses of the simulated clinic, on real HAPI FHIR servers."""

import pytest

from tests.contract_treatment import CoursesContract, TreatmentContract


class TestTreatmentOnHapi(TreatmentContract, CoursesContract):
    """Everything of the contracts, on R4."""

    @pytest.fixture
    def server(self, shared_hapi: str) -> str:
        return shared_hapi


class TestTreatmentOnHapiR5(TreatmentContract):
    """The commands over a treatment, on R5."""

    @pytest.fixture
    def server(self, shared_hapi_r5: str) -> str:
        return shared_hapi_r5
