"""How often a job is tried: what failed decides whether, and how long, it goes on."""

import traceback
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import Enum, auto
from pathlib import Path
from typing import Final

from service.errors import (
    NoSuchPatient,
    ServerError,
    ServerMisread,
    ServerRefused,
    TrdError,
    WorkerLost,
    WorkersBusy,
)

_REASON_LENGTH: Final = 300


@dataclass(frozen=True, slots=True)
class Pace:
    """How a process works on the queue. All waits are in seconds.

    A job that the FHIR server fails is tried again for `patience` from its first try; one whose fault nobody
    foresaw has `attempts` with that fault. Waits begin with `first_wait` and grow `factor` times, up to
    `longest_wait`, for the probes of a server that is away up to `longest_probe`; a server may ask for more
    (`Retry-After`), up to `longest_rest`. At the end of work running jobs have `grace` to finish. The jobs of
    a process that is gone are taken over after one to two `lease`. Idle, the queue is asked for work every
    `polling`. Done jobs are forgotten after `keep_done`, what became of cards after `keep_feedback`.
    """

    workers: int = 8
    patience: timedelta = timedelta(hours=48)
    attempts: int = 5
    first_wait: float = 2.0
    factor: float = 2.0
    longest_wait: float = 300.0
    longest_probe: float = 30.0
    longest_rest: float = 86_400.0
    grace: float = 20.0
    lease: float = 10.0
    polling: float = 0.2
    keep_done: timedelta = timedelta(days=1)
    keep_feedback: timedelta = timedelta(days=730)

    def wait(self, attempt: int, asked: float | None = None) -> float:
        """Wait so long after this try, the first being 1; longer where the server asked for it."""
        return max(self._grown(attempt, self.longest_wait), self.rest(asked))

    def probe_wait(self, failures: int, asked: float | None = None) -> float:
        """Wait so long after so many failures in a row before a server that is away is asked again."""
        return max(self._grown(failures, self.longest_probe), self.rest(asked))

    def _grown(self, times: int, longest: float) -> float:
        wait = self.first_wait
        for _ in range(times - 1):
            if wait >= longest:
                break
            wait *= self.factor
        return min(wait, longest)

    def rest(self, asked: float | None) -> float:
        """Leave the server alone as long as it asks, within reason."""
        return min(asked or 0.0, self.longest_rest)


@dataclass(frozen=True, slots=True)
class Task:
    """A job as it is stored. `first_try` is when it was tried first, in seconds since 1970, once it failed.

    `faults` counts the tries that ended with a fault nobody foresaw.
    """

    kind: str
    reference: str
    cause: str
    attempt: int = 1
    first_try: float | None = None
    faults: int = 0

    @property
    def key(self) -> str:
        """What at most one job runs of, and at most one waits."""
        return f"{self.kind}:{self.reference}"

    @property
    def arguments(self) -> tuple[str | float | None, ...]:
        """What the database keeps; a job that was not tried is written as versions before 0.2 read it."""
        fresh = (self.kind, self.reference, self.cause, self.attempt)
        return fresh if self.first_try is None else (*fresh, self.first_try, self.faults)


class Fault(Enum):
    """What a try ended with."""

    AWAY = auto()
    """The FHIR server is away or overloaded: no job fares better."""
    PASSING = auto()
    """The server failed this request and may answer the same one later."""
    UNFORESEEN = auto()
    """An answer that is not FHIR, an error of the program, or a patient whom the server does not know: it may
    pass, and more likely stays."""
    LASTING = auto()
    """The record, the request or the setup is faulty, and will be at every further try."""


@dataclass(frozen=True, slots=True)
class FailedTry:
    """How a try failed. `reason` holds no content but may name a patient's id; `told` names nobody."""

    fault: Fault
    reason: str
    told: str
    retry_after: float | None = None


def failed_try(error: Exception) -> FailedTry:
    """Say why in words that hold no content: our own messages never do, those of others may."""
    name = type(error).__name__
    if isinstance(error, TrdError):
        told = f"{name} {error.status}" if isinstance(error, ServerRefused) else name
        asked = error.retry_after if isinstance(error, ServerError | NoSuchPatient) else None
        return FailedTry(_fault_of(error), f"{name}: {error}"[:_REASON_LENGTH], told, asked)
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return FailedTry(Fault.UNFORESEEN, f"{name}{where}", f"{name}{where}")


def _fault_of(error: TrdError) -> Fault:
    match error:
        case ServerError(away=True):
            return Fault.AWAY
        case ServerError(passing=True) | WorkersBusy():
            return Fault.PASSING
        case ServerMisread() | WorkerLost() | NoSuchPatient():
            return Fault.UNFORESEEN
        case _:
            return Fault.LASTING


def next_try(task: Task, failed: FailedTry, pace: Pace, now: float) -> tuple[Task, float] | None:
    """The job to store in place of one that failed, and its wait; `None` where it failed for good."""
    first = now if task.first_try is None else task.first_try
    faults = task.faults + (failed.fault is Fault.UNFORESEEN)
    match failed.fault:
        case Fault.AWAY | Fault.PASSING:
            goes_on = now - first < pace.patience.total_seconds()
        case Fault.UNFORESEEN:
            goes_on = faults < pace.attempts
        case Fault.LASTING:
            goes_on = False
    if not goes_on:
        return None
    again = replace(task, attempt=task.attempt + 1, first_try=first, faults=faults)
    return again, pace.wait(task.attempt, failed.retry_after)
