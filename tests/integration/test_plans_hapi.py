"""The contract of plans and Tasks, on a real HAPI FHIR server.

With `HAPI_URL` set, that server is used; every test loads records of its own.
"""

import pytest

from tests.contract_plans import PlansContract

ONE_OF_EACH_ACTION = [
    "the onset is corrected",
    "another entry of the depression",
    "from suicidality to treatment resistance",
    "criteria that ask for three trials",
]
"""No new version, an update of what the plan refers to, an update of its protocol, and a revocation."""


@pytest.fixture
def server(shared_hapi: str) -> str:
    return shared_hapi


class TestPlansOnHapi(PlansContract):
    """Every row of the table of reconciliation, with one example where a row has several.

    sekmet-fhir and servers in memory run every example.
    """

    @pytest.mark.parametrize("edit", ["a note", "a goal"])
    async def test_our_draft_that_a_person_edited(self, server: str, edit: str) -> None:
        await super().test_our_draft_that_a_person_edited(server, edit)

    @pytest.mark.parametrize("status", ["entered-in-error"])
    async def test_our_plan_that_a_person_ended(self, server: str, status: str) -> None:
        await super().test_our_plan_that_a_person_ended(server, status)

    @pytest.mark.parametrize("shift", ONE_OF_EACH_ACTION)
    async def test_an_untouched_draft_follows_and_an_edited_one_stays(self, server: str, shift: str) -> None:
        await super().test_an_untouched_draft_follows_and_an_edited_one_stays(server, shift)
