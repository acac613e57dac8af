"""A server behind a proxy that holds some of it back: nothing but what is let in gets through."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from tests.contract_server import a_plan, post, put, referring, transact
from tests.contract_write import ask, read
from tests.fhir.double import FhirDouble
from tests.servers import front_at, load, proxied, serving_double
from tests.support import Resource, a_condition, a_patient

KINDS = ("CarePlan", "Condition")


@contextmanager
def behind(**traits: Any) -> Iterator[tuple[FhirDouble, str]]:
    """A server with one patient, and the address of the proxy before it."""
    double = FhirDouble([])
    with serving_double(double) as base, proxied(base, **traits) as server:
        load(server, [a_patient()])
        yield double, server


async def offered(server: str) -> tuple[Resource, dict[str, Resource]]:
    (rest,) = (await read(server, "metadata"))["rest"]
    return rest, {one["type"]: one for one in rest["resource"] if one["type"] in KINDS}


async def test_without_transactions() -> None:
    with behind(transactions=False) as (double, server):
        rest, _ = await offered(server)
        assert "interaction" not in rest
        assert (await transact(server, a_plan("ann"))).status_code == 405
        assert (double.posted, front_at(server).taken) == ([], [])
        plan = a_plan("ann")
        assert (await put(server, plan)).status_code == 201
        assert front_at(server).taken == double.taken == [f"PUT {referring(plan)}"]


async def test_kinds_that_it_does_not_take() -> None:
    with behind(takes=["Condition"]) as (double, server):
        _, kinds = await offered(server)
        assert {"code": "update"} in kinds["Condition"]["interaction"]
        assert {"code": "update"} not in kinds["CarePlan"]["interaction"]
        for answer in (
            await put(server, a_plan("ann")),
            await post(server, a_plan("ann")),
            await transact(server, a_condition("why"), a_plan("ann")),
        ):
            assert answer.status_code == 405
        assert double.taken == []
        assert (await put(server, a_condition("why"))).status_code == 201


async def test_ids_of_the_server() -> None:
    with behind(update_create=False) as (double, server):
        _, kinds = await offered(server)
        assert kinds["CarePlan"]["updateCreate"] is False
        assert (await put(server, a_plan("ann"))).status_code == 405
        assert (await transact(server, a_plan("ann"))).status_code == 405
        created = await post(server, a_plan("ann"))
        assert created.headers["Location"] == f"{server}/CarePlan/1001/_history/1"
        assert (await put(server, created.json() | {"title": "New"}, if_match='W/"1"')).status_code == 200
        assert len(double.versions["CarePlan/1001"]) == 2


async def test_addresses_lead_through_the_proxy() -> None:
    with behind() as (double, server):
        double.page = 1
        load(server, [a_condition("one"), a_condition("two")])
        page = await read(server, "Condition?patient=ann")
        assert page["entry"][0]["fullUrl"] == f"{server}/Condition/one"
        assert page["link"][0]["url"].startswith(f"{server}/Condition?")
        absolute = a_plan("ann", addresses=[{"reference": f"{server}/Condition/one"}])
        assert (await put(server, absolute)).status_code == 201
        assert double.read(referring(absolute))["addresses"] == [
            {"reference": f"{double.base}/Condition/one"}
        ]


async def test_faults() -> None:
    with behind() as (double, server):
        front_at(server).crash_after = 1
        front_at(server).loses_answer_to = 1
        plan = a_plan("ann")
        with pytest.raises(httpx.TransportError):
            await put(server, plan)
        with pytest.raises(httpx.TransportError):
            await ask(server, referring(plan))
        assert double.read(referring(plan))["status"] == "draft"
        front_at(server).crash_after = None
        assert (await ask(server, referring(plan))).status_code == 200
