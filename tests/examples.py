"""How many examples Hypothesis tries: all of them in `make test-all`, a fifth in `make test`."""

from typing import Any

from hypothesis import settings

ALL = 100
"""Of a test that names no number, with the profile `full`."""
FEWEST = 10

settings.register_profile("full", deadline=None, max_examples=ALL)
settings.register_profile("quick", deadline=None, max_examples=ALL // 5)


def tries(number: int, **others: Any) -> settings:
    """So many examples with the profile `full`, and fewer in proportion with another."""
    assert settings.default is not None
    return settings(max_examples=max(FEWEST, number * settings.default.max_examples // ALL), **others)
