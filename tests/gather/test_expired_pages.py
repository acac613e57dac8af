"""Servers that keep the pages of a search for a while only: Epic says so by a number, HAPI by 410."""

from dataclasses import replace

import httpx
import pytest

from service.errors import PagesExpired, ServerRefused
from service.fhir.client import FhirClient
from service.gather.everything import gather
from service.knowledge import load_dialects, mappings_directory
from service.queue.tries import Fault, failed_try
from tests.servers.vendors import EPIC, VendorDouble, an_outcome
from tests.support import Resource, a_condition, a_patient, client_of, contents_of, fhir_response, reviewer

BY_NUMBER = fhir_response(an_outcome("processing", "fatal", "4113"), 400)
BY_STATUS = httpx.Response(410)
EACH_WAY = pytest.mark.parametrize("expired", [BY_NUMBER, BY_STATUS], ids=["4113", "410"])
RECORD = [a_patient(), *(a_condition(f"c{number}") for number in range(5))]


class Forgetful(VendorDouble):
    """A server of Epic that has forgotten the third page of Conditions so many times, and changes then."""

    def __init__(self, times: int, expired: httpx.Response, resources: list[Resource] = RECORD) -> None:
        super().__init__(replace(EPIC, page=2, id_length=0), resources)
        self.times, self.expired = times, expired

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.params.get("_offset") == "4" and self.times:
            self.times -= 1
            self.asked.append(request)
            self.resources = [one for one in self.resources if one["id"] != "c0"]
            return self.expired
        return super().__call__(request)

    @property
    def pages_of_conditions(self) -> list[str | None]:
        asked = [request.url for request in self.asked if request.url.path.endswith("/Condition")]
        return [url.params.get("_offset") for url in asked]


def client_at(server: VendorDouble) -> FhirClient:
    return client_of(server, dialects=load_dialects(mappings_directory(), None))


@EACH_WAY
async def test_the_search_is_begun_again_and_nothing_of_before_is_kept(expired: httpx.Response) -> None:
    server = Forgetful(1, expired)

    found = await gather(client_at(server), "ann", reviewer().knowledge)

    conditions = [name for name in contents_of(found) if name.startswith("Condition/")]
    assert sorted(conditions) == [f"Condition/c{number}" for number in (1, 2, 3, 4)]
    assert sum(source.head.resource_type == "Condition" for source in found.sources) == 4
    assert server.pages_of_conditions == [None, "2", "4", None, "2"]


@EACH_WAY
async def test_pages_that_expire_again_end_the_review_which_is_tried_again(expired: httpx.Response) -> None:
    server = Forgetful(2, expired, [*RECORD, a_condition("c5")])

    with pytest.raises(PagesExpired, match=r"Condition, page 3: the server no longer has the pages") as told:
        await gather(client_at(server), "ann", reviewer().knowledge)

    assert ("4113" in str(told.value)) is (expired is BY_NUMBER)
    assert "Miller" not in str(told.value)
    assert failed_try(told.value).fault is Fault.PASSING
    assert server.pages_of_conditions == [None, "2", "4"] * 2


@pytest.mark.parametrize("number", ["59100", "4130"])
async def test_another_refusal_of_a_page_is_not_that(number: str) -> None:
    server = Forgetful(1, fhir_response(an_outcome("processing", "fatal", number), 400))
    client = client_at(server)
    with pytest.raises(ServerRefused, match=number):
        await client.all_pages("Condition", {"patient": "ann"})
    assert server.pages_of_conditions == [None, "2", "4"]
