"""One HAPI server for the modules whose tests load records of their own, as it takes half a minute to start.

What counts all that is on a server, or sends notifications, starts one for itself.
"""

from collections.abc import Iterator

import pytest

from tests.servers import running_hapi


@pytest.fixture(scope="session")
def shared_hapi() -> Iterator[str]:
    with running_hapi() as base:
        yield base
