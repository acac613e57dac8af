"""The queue pauses while the FHIR server is away, and goes on when it is back."""

import asyncio
import contextlib
from collections.abc import Callable

import pytest

from service.errors import NotFhir, ServerMisread, ServerRefused, ServerUnreachable
from service.queue.availability import Availability
from service.queue.claims import Claims
from service.queue.gate import Gate
from service.queue.tries import Pace, Task, failed_try

PACE = Pace()
AWAY = failed_try(ServerUnreachable("no answer"))


class Clock:
    """A clock that goes on only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        await asyncio.sleep(0)


class Probe:
    """Counts when it is sent; the server is away until an instant."""

    def __init__(self, clock: Clock, back_at: float, fault: Callable[[], Exception]) -> None:
        self.clock, self.back_at, self.fault = clock, back_at, fault
        self.sent: list[float] = []

    async def __call__(self) -> None:
        self.sent.append(self.clock.now)
        if self.clock.now < self.back_at:
            raise self.fault()


# --- the state ------------------------------------------------------------------------------------


def test_the_server_is_away_from_the_first_failure_to_the_first_answer() -> None:
    there = Availability()
    away = there.failed(10.0, "ServerUnreachable", None, PACE)
    assert (there.away, away.away, away.probe_at, away.why) == (False, True, 12.0, "ServerUnreachable")
    assert not away.answered().away


def test_failures_in_a_pause_change_nothing_but_a_longer_rest() -> None:
    away = Availability().failed(10.0, "a", None, PACE)
    assert away.failed(11.9, "b", None, PACE) == away
    assert away.failed(11.0, "b", 1.0, PACE) == away
    assert away.failed(11.0, "b", 1.1, PACE).probe_at == pytest.approx(12.1)
    assert away.worked() == away


def test_probes_in_vain_grow_apart_to_half_a_minute() -> None:
    state, instants = Availability().failed(0.0, "a", None, PACE), []
    for _ in range(6):
        instants.append(state.probe_at)
        state = state.probed_in_vain(state.probe_at, "a", None, PACE)
    assert instants == [2, 6, 14, 30, 60, 90]
    assert state.probed_in_vain(120.0, "a", 3600.0, PACE).probe_at == 120 + 3600


def test_a_server_that_answers_probes_only_is_given_longer_pauses_until_a_job_is_done() -> None:
    again = Availability().failed(0.0, "a", None, PACE).answered().failed(2.0, "a", None, PACE)
    assert again.probe_at == 6
    assert again.answered().worked().failed(10.0, "a", None, PACE).probe_at == 12


# --- the gate -------------------------------------------------------------------------------------


async def test_jobs_wait_until_a_probe_is_answered_then_all_go_on() -> None:
    clock = Clock()
    probe = Probe(clock, 75.0, lambda: ServerUnreachable("no answer"))
    gate = Gate(probe, clock=clock, sleep=clock.sleep)
    for _ in range(8):
        gate.failed(AWAY)
    assert gate.paused == "ServerUnreachable"
    await asyncio.gather(*(gate.passed() for _ in range(40)))
    assert gate.paused is None
    assert probe.sent == [2, 6, 14, 30, 60, 90]


async def test_a_long_rest_that_the_server_asks_for_is_kept() -> None:
    clock = Clock()
    probe = Probe(clock, 0.0, lambda: ServerUnreachable("no answer"))
    gate = Gate(probe, clock=clock, sleep=clock.sleep)
    gate.failed(failed_try(ServerRefused("GET Patient/1", 503, 7200)))
    await gate.passed()
    assert probe.sent == [7200]


@pytest.mark.parametrize("error", [ServerMisread("x"), ServerRefused("x", 500), NotFhir("x"), KeyError("x")])
async def test_only_a_server_that_is_away_closes_the_gate(error: Exception) -> None:
    gate = Gate()
    gate.failed(failed_try(error))
    assert gate.paused is None
    await gate.passed()


@pytest.mark.parametrize("error", [ServerRefused("GET metadata", 404), ValueError("x")])
async def test_any_other_fault_of_a_probe_is_an_answer(error: Exception) -> None:
    clock = Clock()
    probe = Probe(clock, 1000.0, lambda: error)
    gate = Gate(probe, clock=clock, sleep=clock.sleep)
    gate.failed(AWAY)
    await gate.passed()
    assert probe.sent == [2]


async def test_a_gate_that_is_closed_for_good_asks_no_more() -> None:
    gate = Gate(pace=Pace(first_wait=3600))
    gate.failed(AWAY)
    waiting = asyncio.create_task(gate.passed())
    await gate.close()
    await gate.close()
    assert not waiting.done()
    waiting.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await waiting


# --- events that rely on a job that has not begun ---------------------------------------------------

TASK = Task("patient", "1", "test")


def test_an_event_relies_on_a_job_until_it_begins() -> None:
    claims = Claims()
    assert not claims.covers(TASK)
    claims.take("a", TASK.key)
    assert claims.covers(TASK)
    claims.begin(TASK.key)
    assert not claims.covers(TASK)
    claims.leave("a", TASK.key)
    assert claims.take_orphans() == []


def test_an_event_whose_job_never_began_is_handed_out_once() -> None:
    claims = Claims()
    claims.take("a", TASK.key)
    assert claims.covers(TASK)
    assert claims.take_orphans() == []
    claims.leave("a", TASK.key)
    assert not claims.holds("a")
    assert claims.take_orphans() == [TASK]
    assert claims.take_orphans() == []
    claims.give_back([TASK])
    assert claims.take_orphans() == [TASK]


def test_a_job_that_is_taken_twice_is_held_until_it_is_left_twice() -> None:
    claims = Claims()
    claims.take("a", TASK.key)
    claims.take("a", TASK.key)
    claims.leave("a", TASK.key)
    assert claims.holds("a")
    claims.leave("a", TASK.key)
    assert not claims.holds("a")
