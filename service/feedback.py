"""What became of a card that was shown, as its reader told it: nothing of it says anything of a patient."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal


@dataclass(frozen=True, slots=True)
class Feedback:
    """One card: of which hook, whether it was accepted or overridden and for which reason of ours, and when.

    `reason` is `other` for one that is not ours, and `None` where none was given.
    """

    card: str
    hook: str
    outcome: Literal["accepted", "overridden"]
    reason: str | None
    at: datetime
