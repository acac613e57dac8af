"""Whether the FHIR server can be worked with, as the jobs and the probes found it. It reads no clock."""

from dataclasses import dataclass, replace

from service.queue.tries import Pace


@dataclass(frozen=True, slots=True)
class Availability:
    """The server is there, or it is away and is asked next at `probe_at`; `why` says how it was found away.

    `failures` counts, in a row, what found it away. A probe that is answered ends the pause but not the row:
    a server may answer a probe and be too busy for work, and then the next pause is longer. A job that is
    done ends the row.
    """

    away: bool = False
    probe_at: float = 0.0
    failures: int = 0
    why: str = ""

    def failed(self, now: float, why: str, asked: float | None, pace: Pace) -> "Availability":
        """A job found the server away. In a pause that adds nothing but a longer rest that it asks for."""
        if self.away:
            return replace(self, probe_at=max(self.probe_at, now + pace.rest(asked)))
        return self._away(now, why, asked, pace)

    def probed_in_vain(self, now: float, why: str, asked: float | None, pace: Pace) -> "Availability":
        """The server did not answer a probe."""
        return self._away(now, why, asked, pace)

    def answered(self) -> "Availability":
        """The server answered a probe."""
        return Availability(failures=self.failures)

    def worked(self) -> "Availability":
        """A job was done; whether a pause ends is for its probe to say."""
        return replace(self, failures=0) if not self.away else self

    def _away(self, now: float, why: str, asked: float | None, pace: Pace) -> "Availability":
        failures = self.failures + 1
        return Availability(
            away=True, probe_at=now + pace.probe_wait(failures, asked), failures=failures, why=why
        )
