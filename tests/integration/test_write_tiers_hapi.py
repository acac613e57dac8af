"""The contract of writing, on a real HAPI FHIR server that seems to take no transactions.

With `HAPI_URL` set, that server is used; every test loads records of its own.
"""

from collections.abc import Iterator

import pytest

from tests.contract_write import TWO_FAILURES, WriteContract
from tests.servers import proxied

WRITTEN = [TWO_FAILURES, "a-recorded-pregnancy-status-needs-review"]
"""A case with a CarePlan, and one with a Task."""


class _OfTwoCases(WriteContract):
    """The contract over two cases and one edit: how requests are sent is the same for the others."""

    @pytest.mark.parametrize("name", WRITTEN)
    async def test_a_case_is_written_once(self, server: str, name: str) -> None:
        await super().test_a_case_is_written_once(server, name)

    @pytest.mark.parametrize("name", [TWO_FAILURES])
    async def test_a_plan_read_back_is_not_taken_as_edited(self, server: str, name: str) -> None:
        await super().test_a_plan_read_back_is_not_taken_as_edited(server, name)

    @pytest.mark.parametrize("edit", ["noted"])
    async def test_an_edit_of_a_person_stands(self, server: str, edit: str) -> None:
        await super().test_an_edit_of_a_person_stands(server, edit)


class TestSingleRequestsOnHapi(_OfTwoCases):
    """One by one, under ids of ours."""

    @pytest.fixture(scope="class")
    @classmethod
    def server(cls, shared_hapi: str) -> Iterator[str]:
        with proxied(shared_hapi, transactions=False) as base:
            yield base


class TestSingleRequestsWithIdsOfHapi(_OfTwoCases):
    """One by one, under ids that the server gives."""

    @pytest.fixture(scope="class")
    @classmethod
    def server(cls, shared_hapi: str) -> Iterator[str]:
        with proxied(shared_hapi, transactions=False, update_create=False) as base:
            yield base
