"""A creation that comes late, on servers in memory, in each way of writing."""

from collections.abc import Iterator
from typing import Any, ClassVar

import pytest

from tests.contract_late import Addresses, LateContract
from tests.servers import running_double

pytestmark = pytest.mark.no_cover


class _OnADouble(LateContract):
    """The contract on a server of certain traits."""

    traits: ClassVar[dict[str, Any]] = {}

    @pytest.fixture(scope="class")
    @classmethod
    def addresses(cls) -> Iterator[Addresses]:
        with running_double(**cls.traits) as base:
            yield Addresses(base.replace("127.0.0.1", "localhost"), base)


class TestTransactions(_OnADouble):
    """In one transaction."""


@pytest.mark.matrix
class TestTransactionsThatGuardNoCreation(_OnADouble):
    """In one transaction, where a creation is refused when it is to be guarded."""

    guards_creation = False

    traits: ClassVar = {"guards_creation": False}


@pytest.mark.matrix
class TestSingleRequests(_OnADouble):
    """One by one, under ids of ours."""

    traits: ClassVar = {"transactions": False}


@pytest.mark.matrix
class TestSingleRequestsThatGuardNoCreation(_OnADouble):
    """One by one, where a creation is refused when it is to be guarded."""

    guards_creation = False

    traits: ClassVar = {"transactions": False, "guards_creation": False}


class TestSingleRequestsWithIdsOfTheServer(_OnADouble):
    """One by one, under ids that the server gives."""

    traits: ClassVar = {"transactions": False, "update_create": False}
