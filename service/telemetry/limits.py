"""How often something may happen within a minute."""

import time
from collections import Counter
from collections.abc import Callable, Hashable

_MINUTE = 60.0


class PerMinute:
    """Counts what happens, each kind by itself, in minutes that follow each other."""

    def __init__(self, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._clock = clock
        self._ends = 0.0
        self._counts: Counter[Hashable] = Counter()
        self._beyond: Counter[Hashable] = Counter()

    def allows(self, kind: Hashable) -> bool:
        """Count one more; whether it is still among those that may happen in this minute."""
        now = self._clock()
        if now >= self._ends:
            self._ends = now + _MINUTE
            self._beyond.update({one: n - self._most for one, n in self._counts.items() if n > self._most})
            self._counts.clear()
        self._counts[kind] += 1
        return self._counts[kind] <= self._most

    def take_beyond(self, kind: Hashable) -> int:
        """How many more there were in the minutes before, told once."""
        return self._beyond.pop(kind, 0)
