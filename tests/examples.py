"""How much is tried: of examples of Hypothesis, of generated patients, of rounds.

The profile of Hypothesis says it: `quick` in `make test`, `full` in `make matrix`, `soak` in `make soak`.
"""

from typing import Any

from hypothesis import settings

QUICK = "quick"
_FULL = 100
_SOAK = 1000
_FEWEST = 10

settings.register_profile(QUICK, deadline=None, max_examples=_FULL // 5)
settings.register_profile("full", deadline=None, max_examples=_FULL)
settings.register_profile("soak", deadline=None, max_examples=_SOAK)


def tries(number: int, **others: Any) -> settings:
    """So many examples in `make matrix`, a fifth of them in `make test`."""
    return settings(max_examples=max(_FEWEST, number * settings().max_examples // _FULL), **others)


def soaked(number: int) -> int:
    """So many patients or rounds in `make soak`, a tenth of them in `make matrix`."""
    return number * settings().max_examples // _SOAK
