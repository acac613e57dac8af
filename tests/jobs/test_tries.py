"""How long a job is tried, by what failed."""

from dataclasses import astuple, replace

import pytest

from service.errors import (
    NotAssessable,
    ServerMisread,
    ServerRefused,
    ServerUnreachable,
    ServerUnsupported,
    SettingsError,
)
from service.queue.tries import Fault, Pace, Task, failed_try, next_try

PACE = Pace()
HOURS = 3600.0
TASK = Task("patient", "1", "test")


def fault_of(error: Exception) -> Fault:
    return failed_try(error).fault


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_server_that_is_overloaded_is_away(status: int) -> None:
    assert fault_of(ServerRefused("GET Patient/1", status)) is Fault.AWAY


@pytest.mark.parametrize("status", [401, 408, 409, 412, 423, 425, 500, 507])
def test_a_refusal_that_may_pass(status: int) -> None:
    assert fault_of(ServerRefused("GET Patient/1", status)) is Fault.PASSING


@pytest.mark.parametrize("status", [400, 403, 404, 405, 410, 413, 422, 501])
def test_a_refusal_that_will_not_change(status: int) -> None:
    assert fault_of(ServerRefused("GET Patient/1", status)) is Fault.LASTING


def test_other_faults() -> None:
    assert fault_of(ServerUnreachable("no answer")) is Fault.AWAY
    assert fault_of(ServerMisread("not FHIR JSON")) is Fault.UNFORESEEN
    assert fault_of(KeyError("x")) is Fault.UNFORESEEN
    assert fault_of(ServerUnsupported("R6")) is Fault.LASTING
    assert fault_of(NotAssessable("no patient")) is Fault.LASTING
    assert fault_of(SettingsError("TRD_REGION")) is Fault.LASTING


def test_the_short_reason_names_nobody() -> None:
    refused = failed_try(ServerRefused("GET /fhir/Patient/17: the server answered 503", 503, 90))
    assert (refused.told, refused.retry_after) == ("ServerRefused 503", 90)
    assert refused.reason == "ServerRefused: GET /fhir/Patient/17: the server answered 503"
    assert failed_try(NotAssessable("Patient/17 is merged into Patient/18")).told == "NotAssessable"
    assert failed_try(KeyError("Canarybird")).told == "KeyError"


@pytest.mark.parametrize("error", [ServerUnreachable("no answer"), ServerRefused("GET", 500)])
def test_what_passes_is_tried_for_48_hours_from_the_first_try(error: Exception) -> None:
    failed = failed_try(error)
    again = next_try(TASK, failed, PACE, now=1000.0)
    assert again == (replace(TASK, attempt=2, first_try=1000.0), 2.0)
    often = replace(TASK, attempt=600, first_try=1000.0)
    assert next_try(often, failed, PACE, now=1000 + 48 * HOURS - 1) == (replace(often, attempt=601), 300.0)
    assert next_try(often, failed, PACE, now=1000 + 48 * HOURS) is None


def test_what_nobody_foresaw_is_tried_five_times_however_long_an_outage_was() -> None:
    failed = failed_try(KeyError("x"))
    task = replace(TASK, attempt=40, first_try=1000.0, faults=3)
    again = next_try(task, failed, PACE, now=1000 + 100 * HOURS)
    assert again == (replace(task, attempt=41, faults=4), 300.0)
    assert next_try(again[0], failed, PACE, now=1000 + 100 * HOURS) is None


def test_what_is_faulty_fails_at_once() -> None:
    assert next_try(TASK, failed_try(NotAssessable("no patient")), PACE, now=0.0) is None


def test_waits_grow_up_to_a_limit() -> None:
    assert [PACE.wait(attempt) for attempt in range(1, 11)] == [2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    assert [PACE.probe_wait(failures) for failures in range(1, 7)] == [2, 4, 8, 16, 30, 30]
    assert PACE.wait(100_000) == 300


def test_a_server_is_left_alone_as_long_as_it_asks_up_to_a_day() -> None:
    assert PACE.wait(1, 7200.0) == 7200
    assert PACE.wait(9, 7.0) == 300
    assert PACE.probe_wait(1, float("inf")) == 24 * HOURS


def test_a_job_is_stored_as_it_was_until_it_fails() -> None:
    assert TASK.arguments == ("patient", "1", "test", 1)
    failed = replace(TASK, attempt=2, first_try=5.0, faults=1)
    assert failed.arguments == ("patient", "1", "test", 2, 5.0, 1) == astuple(failed)
    assert Task(*failed.arguments) == failed  # type: ignore[arg-type]
    assert Task(*TASK.arguments) == TASK  # type: ignore[arg-type]
