"""Half a year of treatment in a simulated clinic, through the whole pipeline, on days when something happens.

What must hold after each review is worked out by `tests.course_faults` from what stands on the server.
"""

import asyncio
from collections.abc import Iterator
from datetime import timedelta

import pytest

from tests.contract_plans import WEEKS_LATER, treated
from tests.contract_treatment import TreatmentContract, check_course
from tests.contract_write import PARALLEL, TWO_FAILURES, found_by, load_case
from tests.fhir.double import FhirDouble
from tests.generated.clinic import Clinic, continues
from tests.servers import double_in_memory
from tests.support import AS_OF, client_at, client_of, reviewer

pytestmark = pytest.mark.no_cover

SEEDS = [seed if seed < 2 else pytest.param(seed, marks=pytest.mark.matrix) for seed in range(100)]


@pytest.mark.parametrize("seed", SEEDS)
async def test_a_course_of_half_a_year(seed: int) -> None:
    double = FhirDouble([])
    with double_in_memory(double) as server:
        await check_course(Clinic(server, seed), client_of(double, base=double.base))


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


class TestTreatment(TreatmentContract):
    """The contract, on a server in memory."""
