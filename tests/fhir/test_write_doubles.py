"""The contract of writing, on servers in memory: in each way of writing, and on servers of each manner."""

from collections.abc import Iterator
from typing import Any, ClassVar

import pytest

from tests.contract_write import WriteContractOfFewCases
from tests.servers import double_in_memory


class _OnADouble(WriteContractOfFewCases):
    """The contract on a server of certain traits."""

    traits: ClassVar[dict[str, Any]] = {}

    @pytest.fixture(scope="class")
    @classmethod
    def server(cls) -> Iterator[str]:
        with double_in_memory(**cls.traits) as base:
            yield base


class TestTransactions(_OnADouble):
    """In one transaction."""


@pytest.mark.matrix
class TestTransactionsStoredInTheServersWay(_OnADouble):
    """In one transaction, where what is read back looks different."""

    traits: ClassVar = {"reformats": True}


@pytest.mark.matrix
class TestTransactionsThatGuardNoCreation(_OnADouble):
    """In one transaction, where a creation is refused when it is to be guarded."""

    traits: ClassVar = {"guards_creation": False}


@pytest.mark.matrix
class TestSingleRequests(_OnADouble):
    """One by one, under ids of ours."""

    traits: ClassVar = {"transactions": False}


@pytest.mark.matrix
class TestSingleRequestsThatGuardNoCreation(_OnADouble):
    """One by one, where a creation is refused when it is to be guarded."""

    traits: ClassVar = {"transactions": False, "guards_creation": False}


@pytest.mark.matrix
class TestSingleRequestsWithIdsOfTheServer(_OnADouble):
    """One by one, under ids that the server gives."""

    traits: ClassVar = {"transactions": False, "update_create": False}


class TestSingleRequestsWithIdsOfTheServerStoredInItsWay(_OnADouble):
    """The same, where what is read back looks different."""

    traits: ClassVar = {"transactions": False, "update_create": False, "reformats": True}
