"""Half a year of treatment in a simulated clinic, through the whole pipeline, on days when something happens.

What must hold after each review is worked out here from what stands on the server, and not by the core.
"""

import asyncio
from collections.abc import Iterator
from datetime import date, timedelta
from itertools import pairwise

import pytest

from service.fhir.client import FhirClient
from tests.contract_plans import WEEKS_LATER, treated
from tests.contract_write import PARALLEL, TWO_FAILURES, found_by, load_case
from tests.fhir.double import FhirDouble
from tests.generated.clinic import DAYS, INDUCTION, Clinic, continues, sessions_of, steps_back
from tests.servers import double_in_memory
from tests.support import AS_OF, Resource, client_at, client_of, reviewer

_QUIET = 14
"""Days after which time alone is a reason for a review."""
SEEDS = [seed if seed < 5 else pytest.param(seed, marks=pytest.mark.matrix) for seed in range(16)]


@pytest.mark.parametrize("seed", SEEDS)
async def test_a_course_of_half_a_year(seed: int) -> None:
    double = FhirDouble([])
    with double_in_memory(double) as server:
        await check_course(Clinic(server, seed), client_of(double, base=double.base))


async def check_course(clinic: Clinic, client: FhirClient) -> None:
    """Live through half a year, and look after each review whether all is well."""
    last = AS_OF
    for day in (AS_OF + timedelta(days=n) for n in range(DAYS)):
        if not await clinic.live(day) and day not in {AS_OF, last + timedelta(days=_QUIET)}:
            continue
        last = day
        done = await clinic.reviewer.propose(client, clinic.patient)
        if done.written:
            clinic.diary.append(f"{day}   {done.answer.decision.value}/{done.answer.care_plan.action.value}")
            await clinic.look()
        assert list(faults(clinic)) == [], "\n".join(clinic.diary)


@pytest.fixture
def server() -> Iterator[str]:
    with double_in_memory() as base:
        yield base


async def test_many_reviews_at_once_make_one_continuation(server: str) -> None:
    patient = load_case(server, TWO_FAILURES)
    await treated(server, patient)
    by = reviewer().on(AS_OF + timedelta(days=WEEKS_LATER))

    async with client_at(server, fhir_connections=PARALLEL) as client:
        done = await asyncio.gather(*(by.propose(client, patient) for _ in range(PARALLEL)))

    (plan,) = [one for one in await found_by(server, f"CarePlan?patient={patient}") if continues(one)]
    assert {one.answer.care_plan.reference for one in done} == {f"CarePlan/{plan['id']}"}
    assert (plan["status"], plan["meta"]["versionId"]) == ("draft", "1")
    assert {one.answer.care_plan.action.value for one in done} <= {"create", "none"}


# what must hold -------------------------------------------------------------------------------------


def faults(clinic: Clinic) -> Iterator[str]:
    """What is wrong with the plans as they stand."""
    yield from _lost_edits(clinic)
    if len(clinic.drafts) > 1:
        yield "more than one open draft"
    for plan in clinic.drafts:
        if continues(plan) and plan["id"] not in clinic.hands:
            yield from _faults_of(plan, clinic)


def _lost_edits(clinic: Clinic) -> Iterator[str]:
    for identity, left in clinic.hands.items():
        if clinic.plans.get(identity) != left:
            yield f"{identity} is not as a person left it"


def _faults_of(plan: Resource, clinic: Clinic) -> Iterator[str]:
    """What is wrong with a draft that continues a treatment and that nobody touched."""
    if clinic.found:
        yield f"a proposal in spite of {', '.join(clinic.found)}"
    if clinic.on_hold:
        yield "a proposal although the plan is on hold"
    if "(maintenance)" in str(plan["activity"]) and not (clinic.reviewed or _is_shown(clinic)):
        yield "maintenance without a benefit review or a score that shows response"
    proposed = [session.day for session in sessions_of(plan)]
    yield from (f"closed on {day}" for day in proposed if not clinic.is_open(day))
    ended = [one["reference"].partition("/")[2] for one in plan.get("replaces", [])]
    kept = clinic.still_planned(without=ended)
    if set(kept) & set(proposed):
        yield "a day is planned twice"
    yield from _faults_of_days(clinic, sorted({*clinic.given, *kept, *proposed}), twice_from(plan, clinic))


def twice_from(plan: Resource, clinic: Clinic) -> set[date]:
    """The days of sessions at the previous, more frequent schedule."""
    more_often = [one for one in (plan, *clinic.plans.values()) if steps_back(one)]
    return {session.day for one in more_often for session in sessions_of(one)}


def _faults_of_days(clinic: Clinic, days: list[date], more_often: set[date]) -> Iterator[str]:
    """Sessions too close, or too many in a week from the first on: the label's, and the house's distances."""
    for number, (one, other) in enumerate(pairwise(days), 2):
        least = 5 if number > INDUCTION and other not in more_often else 2
        if (other - one).days < least:
            yield f"{one} and {other} are {(other - one).days} days apart, session {number}"
    begun = min(session.day for plan in clinic.plans.values() for session in sessions_of(plan))
    weeks = [(day - begun).days // 7 for day in days]
    for number, week in enumerate(weeks):
        most = 1 if number >= INDUCTION and days[number] not in more_often else 2
        if weeks[: number + 1].count(week) > most and not (most == 1 and weeks[INDUCTION - 1] == week):
            yield f"more than {most} sessions in week {week + 1}"


def _is_shown(clinic: Clinic) -> bool:
    """Whether a PHQ-9 of the last 14 days shows response or remission."""
    first, today, scores = (
        min(clinic.given, default=clinic.today),
        clinic.today,
        sorted(clinic.scores.items()),
    )
    baselines = [score for day, score in scores if 0 <= (first - day).days <= 14]
    latest = [score for day, score in scores if day > first and (today - day).days <= 14]
    if not latest:
        return False
    return latest[-1] < 5 or (baselines != [] and latest[-1] <= baselines[-1] / 2)
