"""Every server of `fixtures/servers` that only reads: what comes of a review of the patient that it holds."""

from typing import Any

import pytest

from service import errors
from tests.servers.described import Described, DescribedServer, described_servers, read_server
from tests.support import client_of, reviewer

PATIENT = "ann"


async def outcome_of(server: DescribedServer) -> dict[str, Any]:
    """What comes of a review: the decision and what was not screened, or the fault."""
    try:
        review = await reviewer().review_patient(client_of(server), PATIENT)
    except errors.ServerError as error:
        return {"error": type(error).__name__}
    answer = review.answer
    return {
        "decision": answer.decision.value,
        "reason": answer.reason.value,
        "not_screened": answer.not_screened,
    }


@pytest.mark.parametrize("name", described_servers())
async def test_a_described_server_is_read(name: str) -> None:
    server = read_server(name)
    assert await outcome_of(DescribedServer(server)) == server.expected


def with_traits(name: str, **traits: object) -> DescribedServer:
    """A server of `fixtures/servers` with other traits."""
    server = read_server(name)
    return DescribedServer(Described(server.resources, {**server.traits, **traits}, server.expected))


PROPOSED = {"decision": "propose", "reason": "trd", "not_screened": []}


@pytest.mark.parametrize("next_link", ["a path", "a query", "beside the page", "an address"])
@pytest.mark.parametrize("page", [1, 2])
async def test_links_are_followed_however_they_are_written(next_link: str, page: int) -> None:
    server = with_traits("links-to-the-next-page-are-relative", next=next_link, page=page)
    assert await outcome_of(server) == PROPOSED


@pytest.mark.parametrize("total", [0, 1, 3, 1000, "all entries"])
@pytest.mark.parametrize("include", [True, False])
async def test_totals_of_any_kind_are_passed_over_where_the_pages_end(total: object, include: bool) -> None:
    server = with_traits("totals-count-what-is-included", total=total, include=include)
    assert await outcome_of(server) == PROPOSED


@pytest.mark.parametrize("most", [10, 50, 100, 200, 1000])
async def test_a_server_with_a_largest_page_is_read(most: int) -> None:
    assert await outcome_of(with_traits("totals-are-estimates", most=most, total=None)) == PROPOSED


@pytest.mark.parametrize("status", ["active", "draft", "on-hold", "unknown"])
async def test_a_plan_whose_product_is_gone_is_unclear(status: str) -> None:
    server = read_server("a-plan-of-another-refers-to-its-product")
    kept = [one for one in server.resources if one["id"] != "nasal-spray"]
    plan = next(one for one in kept if one["resourceType"] == "CarePlan")
    plan["status"] = status
    found = await outcome_of(DescribedServer(Described(kept, {}, {})))
    assert found["decision"] == "needs-review"


@pytest.mark.parametrize("kind", ["ServiceRequest", "RequestGroup", "Appointment"])
async def test_what_a_plan_orders_is_read_where_it_stands(kind: str) -> None:
    server = read_server("a-plan-of-another-refers-to-its-product")
    plan = next(one for one in server.resources if one["resourceType"] == "CarePlan")
    plan["activity"] = [{"reference": {"reference": f"{kind}/order"}}]
    order = {"resourceType": kind, "id": "order", "status": "active", "note": [{"text": "Spravato"}]}

    ordered = await outcome_of(DescribedServer(Described([*server.resources, order], {}, {})))
    assert (ordered["decision"], ordered["not_screened"]) == ("needs-review", [])
    gone = await outcome_of(DescribedServer(server))
    assert (gone["decision"], gone["not_screened"]) == ("propose", [f"{kind}/order"])
