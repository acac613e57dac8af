"""What holds where somebody comes late: a creation that was decided on arrives when a plan stands already.

Each server's tests derive from `LateContract` and give two addresses of it by a fixture `addresses`, so that
neither of two reviewers waits for the other.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

import httpx
import pytest

from service.fhir.client import FhirClient
from service.fhir.names import PLAN_IDENTIFIER, identifiers_of
from service.review import Proposal
from tests.contract_interrupted import OPEN
from tests.contract_write import (
    EDITS,
    LOOPBACK,
    TWO_FAILURES,
    change,
    found_by,
    guidance_of,
    load_case,
    propose,
    read,
    versions,
)
from tests.servers import load
from tests.support import Resource, reviewer

_VERIFICATION = "http://terminology.hl7.org/CodeSystem/condition-ver-status"
_SECONDS = 60


class Addresses(NamedTuple):
    """Two of one server."""

    ours: str
    theirs: str


class HeldBack(httpx.AsyncHTTPTransport):
    """A way to a server on which whatever is written waits until it may go."""

    def __init__(self) -> None:
        super().__init__(verify=LOOPBACK)
        self.arrived = asyncio.Event()
        self.may_go = asyncio.Event()

    async def is_reached_by(self, proposal: asyncio.Task[Proposal]) -> None:
        """Wait until a proposal wants to write; raises what it fails with before that."""
        arrival = asyncio.create_task(self.arrived.wait())
        await asyncio.wait({arrival, proposal}, return_when=asyncio.FIRST_COMPLETED)
        if not arrival.done():
            arrival.cancel()
            raise AssertionError(f"nothing is written: {proposal.result()}")

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.method != "GET":
            self.arrived.set()
            await self.may_go.wait()
        return await super().handle_async_request(request)


class Late(NamedTuple):
    """A proposal whose writing waits until it may go."""

    proposal: asyncio.Task[Proposal]
    may_go: asyncio.Event

    async def arrive(self) -> Proposal:
        self.may_go.set()
        return await self.proposal


@asynccontextmanager
async def late_proposal(server: str, patient: str, *, after: str | None = None) -> AsyncIterator[Late]:
    """A proposal of somebody who has read the record; `after` is a patient for whom they proposed before."""
    way = HeldBack()
    async with httpx.AsyncClient(transport=way) as http:
        client = FhirClient(server, http, seconds=_SECONDS, attempts=1, connections=4)
        if after is not None:
            way.may_go.set()
            await reviewer().propose(client, after)
            way.may_go.clear()
            way.arrived.clear()
        late = Late(asyncio.create_task(reviewer().propose(client, patient)), way.may_go)
        try:
            await way.is_reached_by(late.proposal)
            yield late
        finally:
            late.proposal.cancel()
            await asyncio.gather(late.proposal, return_exceptions=True)


async def plans_of(server: str, patient: str) -> list[Resource]:
    return await found_by(server, f"CarePlan?patient={patient}")


async def open_plans(server: str, patient: str) -> list[Resource]:
    """The plans of ours that are open."""
    plans = await plans_of(server, patient)
    return [one for one in plans if one["status"] in OPEN and identifiers_of(one, PLAN_IDENTIFIER)]


def refuted(condition: Resource) -> Resource:
    """A condition that was entered in error."""
    kept = {key: value for key, value in condition.items() if key not in {"clinicalStatus", "meta"}}
    return kept | {"verificationStatus": {"coding": [{"system": _VERIFICATION, "code": "entered-in-error"}]}}


async def replace_depression(server: str, patient: str) -> None:
    """The depression on record is another Condition now."""
    (one,) = await found_by(server, f"Condition?patient={patient}")
    other = {key: value for key, value in one.items() if key != "meta"} | {"id": f"{one['id']}-anew"}
    load(server, [other, refuted(one)])


def without_meta(resource: Resource) -> Resource:
    return {key: value for key, value in resource.items() if key != "meta"}


class LateContract:
    """The tests of a server; a class that derives from this one gives the fixture `addresses`.

    `guards_creation` is whether the server keeps a new resource from being stored over one that is there. Of
    one that does not, who has learnt that puts back what was there.
    """

    guards_creation = True

    @pytest.mark.parametrize("knows_the_server", [False, True], ids=["a new process", "one at work"])
    @pytest.mark.parametrize("edit", EDITS)
    async def test_it_does_not_overwrite(
        self, addresses: Addresses, edit: str, knows_the_server: bool
    ) -> None:
        server = addresses.theirs
        patient = load_case(server, TWO_FAILURES)
        other = load_case(server, TWO_FAILURES) if knows_the_server else None
        async with late_proposal(addresses.ours, patient, after=other) as late:
            plan = (await propose(server, patient)).answer.care_plan.reference
            assert plan is not None
            await change(server, plan, **EDITS[edit](await read(server, plan)))
            edited = await read(server, plan)
            done = await late.arrive()

        put_back = knows_the_server and not self.guards_creation
        assert without_meta(await read(server, plan)) == without_meta(edited)
        assert await versions(server, plan) == (["1", "2", "3", "4"] if put_back else ["1", "2"])
        assert done.answer.care_plan.action == "leave"
        assert [f"CarePlan/{one['id']}" for one in await plans_of(server, patient)] == [plan]
        guidance = await guidance_of(server, patient)
        assert guidance["result"]["reference"] == plan
        assert (await propose(server, patient)).written == ()

    async def test_for_another_depression_it_leaves_one_open_plan(self, addresses: Addresses) -> None:
        server = addresses.theirs
        patient = load_case(server, TWO_FAILURES)
        async with late_proposal(addresses.ours, patient) as late:
            await replace_depression(server, patient)
            await propose(server, patient)
            await late.arrive()
        (plan,) = await open_plans(server, patient)
        assert plan["addresses"][0]["reference"].endswith("-anew")
        assert plan["addresses"][0]["reference"].endswith("-anew")
        assert (await propose(server, patient)).written == ()

    async def test_for_another_depression_it_does_not_stay_beside_an_edited_plan(
        self, addresses: Addresses
    ) -> None:
        server = addresses.theirs
        patient = load_case(server, TWO_FAILURES)
        async with late_proposal(addresses.ours, patient) as late:
            await replace_depression(server, patient)
            plan = (await propose(server, patient)).answer.care_plan.reference
            assert plan is not None
            await change(server, plan, **EDITS["noted"](await read(server, plan)))
            edited = await read(server, plan)
            await late.arrive()
        assert await open_plans(server, patient) == [edited]
