"""The contract of plans and Tasks, on servers in memory that take no transactions."""

from collections.abc import Iterator
from typing import Any, ClassVar

import pytest

from tests.contract_plans import (
    NEWS,
    WEEKS_LATER,
    PlansContract,
    PlansContractInBrief,
    action_of,
    cell,
    check,
    copied,
    drafted_twice,
    with_a_continuation_revoked,
)
from tests.contract_write import propose, read
from tests.in_r5 import load
from tests.servers import double_in_memory

pytestmark = pytest.mark.no_cover


class _OnADouble(PlansContract):
    """The contract on a server of certain traits."""

    traits: ClassVar[dict[str, Any]] = {}

    @pytest.fixture
    def server(self) -> Iterator[str]:
        with double_in_memory(**self.traits) as base:
            yield base


@pytest.mark.matrix
class TestSingleRequests(_OnADouble):
    """One by one, under ids of ours."""

    traits: ClassVar = {"transactions": False}


class TestSingleRequestsWithIdsOfTheServerInBrief(PlansContractInBrief):
    """The same server as the next, without every example."""

    @pytest.fixture
    def server(self) -> Iterator[str]:
        with double_in_memory(transactions=False, update_create=False) as base:
            yield base


@pytest.mark.matrix
class TestSingleRequestsWithIdsOfTheServer(_OnADouble):
    """One by one, under ids that the server gives."""

    traits: ClassVar = {"transactions": False, "update_create": False}


@pytest.mark.matrix
class TestAServerThatDropsElements(_OnADouble):
    """One that stores plans without the elements that it does not know.

    A draft that this service did not store there itself is not known to be untouched: there is no note of
    what the server left out of it.
    """

    traits: ClassVar = {"drops": {"CarePlan": ("supportingInfo", "category", "extension")}}

    @pytest.mark.parametrize("news", NEWS)
    async def test_a_continuation_that_a_person_revoked_comes_back_only_with_something_new(
        self, server: str, news: str
    ) -> None:
        """It stays ended: what it went on from was left out of it."""
        patient, plans = await with_a_continuation_revoked(server)
        load(server, NEWS[news](patient, await read(server, plans["plan"])))
        assert action_of(await propose(server, patient, days=WEEKS_LATER + 2)) == "propose/leave"

    async def test_our_draft_and_a_copy_made_by_hand(self, server: str) -> None:
        await check(
            server,
            copied,
            cell("propose/leave", "several-plans", plan="draft/1", copy="draft/1"),
            cell("decline/revoke", "safety", plan="revoked/2", copy="draft/1"),
            cell("needs-information/leave", "several-plans", plan="draft/1", copy="draft/1"),
            cell("needs-review/leave", "safety", "several-plans", plan="draft/1", copy="draft/1"),
        )

    async def test_two_drafts_of_ours_after_a_lost_race(self, server: str) -> None:
        await check(
            server,
            drafted_twice,
            cell("propose/leave", first="draft/1", second="revoked/2"),
            cell("decline/revoke", "safety", first="draft/1", second="revoked/2"),
            cell("needs-information/leave", first="draft/1", second="revoked/2"),
            cell("needs-review/leave", "safety", first="draft/1", second="revoked/2"),
        )
