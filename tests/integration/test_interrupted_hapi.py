"""Outcomes that are interrupted, on a real HAPI FHIR server behind a proxy that breaks down.

With `HAPI_URL` set, that server is used; every test loads records of its own.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import pytest

from tests.contract_interrupted import DISTURBANCES, InterruptedContract
from tests.servers import proxied


class _OnHapi(InterruptedContract):
    """The contract on HAPI as it seems to be with certain traits, over one story.

    Servers in memory run every story.
    """

    traits: ClassVar[dict[str, Any]] = {}
    hapi: str

    @pytest.fixture(autouse=True)
    def _behind(self, shared_hapi: str) -> None:
        self.hapi = shared_hapi

    @contextmanager
    def a_server(self) -> Iterator[str]:
        with proxied(self.hapi, **self.traits) as base:
            yield base

    @pytest.mark.parametrize("disturbance", DISTURBANCES)
    @pytest.mark.parametrize("story", ["an update"])
    async def test_the_next_review_makes_it_whole(self, story: str, disturbance: str) -> None:
        await super().test_the_next_review_makes_it_whole(story, disturbance)


class TestTransactionsOnHapi(_OnHapi):
    """In one transaction."""


class TestSingleRequestsOnHapi(_OnHapi):
    """One by one, under ids of ours."""

    traits: ClassVar = {"transactions": False}

    @pytest.mark.parametrize("disturbance", DISTURBANCES)
    @pytest.mark.parametrize("story", ["one with a Task"])
    async def test_the_next_review_makes_it_whole(self, story: str, disturbance: str) -> None:
        await super().test_the_next_review_makes_it_whole(story, disturbance)


class TestSingleRequestsWithIdsOfHapi(_OnHapi):
    """One by one, under ids that the server gives."""

    traits: ClassVar = {"transactions": False, "update_create": False}
