"""One contract for the servers of every vendor: the decision on what is shown, and nothing silent."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from unittest.mock import patch

import pytest
from httpx_aiohttp import HttpxAiohttpClient

from service.errors import ServerMisread, ServerRefused
from service.fhir.client import FhirClient
from service.fhir.kinds import SCREENED_KINDS
from service.gather.changes import find_swept_kinds
from service.gather.everything import gather
from service.gather.files import read_bundle
from service.knowledge import load_dialects, mappings_directory
from service.render.answer import AssessmentAnswer
from service.review import Review, Reviewer
from tests.servers.vendors import EPIC, VENDORS, Vendor, VendorDouble, an_outcome, remarking, with_category
from tests.support import (
    BASE,
    InMemory,
    PretendServer,
    Resource,
    a_bundle,
    a_condition,
    a_patient,
    case_bundle,
    case_reviewer,
    client_of,
    each_case_of_servers,
    fhir_response,
    patient_id_of,
    resources_of,
    reviewer,
    run_command,
)

BY_SEARCH = "orders-renewed-every-month-count-under-the-criteria-for-orders"
PLANNED = "an-active-esketamine-plan-is-left-alone"
CATEGORY = {"epic": "736271009", "oracle-millennium": "assess-plan"}
"""In which category the servers of a vendor show plans of care."""
PARTIAL = {"epic": {"CarePlan"}}
"""The kinds of which the servers of a vendor may hold more than is found."""


def holding(vendor: Vendor, case: str) -> VendorDouble:
    """A server of a vendor that holds the record of a case."""
    category = CATEGORY.get(vendor.dialect, "assess-plan")
    return VendorDouble(vendor, with_category(resources_of(case_bundle(case)), category))


def client_at_vendor(double: VendorDouble) -> FhirClient:
    chosen = double.vendor.dialect if double.vendor.chosen else None
    return client_of(double, dialects=load_dialects(mappings_directory(), chosen))


def patient_of(double: VendorDouble) -> str:
    return patient_id_of(a_bundle(double.resources))


async def reviewed(double: VendorDouble, by: Reviewer) -> Review:
    return await by.review_patient(client_at_vendor(double), patient_of(double))


def told(answer: AssessmentAnswer) -> str:
    """All that an answer says but what was not screened."""
    return answer.model_copy(update={"not_screened": [], "summary": ""}).model_dump_json()


@pytest.mark.parametrize("vendor", VENDORS.values(), ids=list(VENDORS))
async def test_where_a_vendor_cannot_be_searched_for_changes_it_takes_a_roster(vendor: Vendor) -> None:
    """Of those that are known here, HealthLake alone can, as far as its documentation goes."""
    kinds = await find_swept_kinds(client_at_vendor(holding(vendor, PLANNED)))
    assert bool(kinds.swept) is (vendor.dialect == "healthlake")
    assert bool(kinds.left_out) is (vendor.dialect != "healthlake")


@pytest.mark.parametrize("vendor", VENDORS.values(), ids=list(VENDORS))
class TestVendors:
    """What holds for the servers of every vendor."""

    @each_case_of_servers
    async def test_the_decision_is_that_on_a_file_of_what_is_shown(self, vendor: Vendor, name: str) -> None:
        double, by = holding(vendor, name), case_reviewer(name)
        on_file = read_bundle(json.dumps(a_bundle(double.shown)).encode())
        file = by.review(replace(on_file, follows_course=vendor.writing is None)).answer

        answer = (await reviewed(double, by)).answer

        assert (answer.decision, answer.reason) == (file.decision, file.reason)
        assert told(answer) == told(file)
        unread = {*SCREENED_KINDS} & (vendor.unscreened | PARTIAL.get(vendor.dialect, set()))
        assert {*answer.not_screened} == {*file.not_screened} | unread

    async def test_a_plan_of_esketamine_is_found(self, vendor: Vendor) -> None:
        double = holding(vendor, PLANNED)
        answer = (await reviewed(double, case_reviewer(PLANNED))).answer
        if vendor.searches("CarePlan"):
            assert answer.care_plan.reference is not None
        else:
            assert "CarePlan" in answer.not_screened

    async def test_a_treatment_is_proposed_from_orders_alone(self, vendor: Vendor) -> None:
        answer = (await reviewed(holding(vendor, BY_SEARCH), case_reviewer(BY_SEARCH))).answer
        assert answer.decision.value == "propose"

    async def test_without_its_dialect_nothing_is_silent(self, vendor: Vendor) -> None:
        double = holding(vendor, BY_SEARCH)
        answer = (await case_reviewer(BY_SEARCH).review_patient(client_of(double), patient_of(double))).answer
        refused = {kind for kind, offered in vendor.kinds.items() if offered.required}
        assert {*answer.not_screened} == {*SCREENED_KINDS} & (vendor.unscreened | refused)

    async def test_the_dialect_is_known_or_nothing_depends_on_it(self, vendor: Vendor) -> None:
        dialect = await client_at_vendor(holding(vendor, BY_SEARCH)).dialect()
        assert dialect.id == vendor.dialect or not (dialect.searches or dialect.withheld)

    def test_a_command_ends_with_the_code_of_its_documentation(self, vendor: Vendor) -> None:
        double = holding(vendor, BY_SEARCH)
        with met_in_memory(double) as environment:
            found = run_command("assess", f"Patient/{patient_of(double)}", **environment)
            missing = run_command("assess", "Patient/nobody", **environment)
        assert (found.returncode, missing.returncode) == (0, 3), found.stderr
        assert "Miller" not in missing.stderr

    async def test_a_refusal_is_named_by_its_number_and_not_by_its_words(self, vendor: Vendor) -> None:
        double = holding(vendor, BY_SEARCH)
        double.answers = {
            "Condition": lambda _: fhir_response(an_outcome("processing", "fatal", "59187"), 409)
        }
        with pytest.raises(ServerRefused) as refused:
            await client_at_vendor(double).all_pages("Condition", {"patient": patient_of(double)})
        assert str(refused.value) == "GET /r4/Condition: the server answered 409 (processing, 59187)"


@contextmanager
def met_in_memory(double: VendorDouble) -> Iterator[dict[str, str]]:
    """Have every client that is opened meet a double; yields the settings of it."""
    met = partial(HttpxAiohttpClient, mounts={"http://fhir.test": InMemory(double)})
    chosen = {"TRD_FHIR_DIALECT": double.vendor.dialect} if double.vendor.chosen else {}
    with patch("service.fhir.client.HttpxAiohttpClient", met):
        yield {"TRD_FHIR_BASE_URL": BASE, **chosen}


@pytest.mark.parametrize("number", ["4130", "4131", "4134", "59204"])
async def test_what_epic_withholds_by_a_number_is_a_review(number: str) -> None:
    vendor = remarking(EPIC, "processing", "warning", number)
    answer = (await reviewed(holding(vendor, BY_SEARCH), case_reviewer(BY_SEARCH))).answer
    assert answer.decision.value == "needs-review"
    assert "Condition" in answer.not_screened


async def test_what_epic_does_not_complete_is_tried_again_later() -> None:
    vendor = remarking(EPIC, "processing", "warning", "4135")
    with pytest.raises(ServerMisread, match="may be incomplete"):
        await reviewed(holding(vendor, BY_SEARCH), case_reviewer(BY_SEARCH))


# --- pages that change while they are read --------------------------------------------------------


def stored(at: str | None, text: str) -> Resource:
    meta = {"lastUpdated": at} if at else {}
    return a_condition("depression", meta=meta, code={"text": text})


@pytest.mark.parametrize(
    ("first", "second", "kept"),
    [
        ("2026-11-20T08:00:00Z", "2026-11-20T08:00:01Z", ["second"]),
        ("2026-11-20T10:00:00+02:00", "2026-11-20T07:59:59.5Z", ["first"]),
        ("2026-11-20T08:00:00Z", "2026-11-20T10:00:00+02:00", ["first", "second"]),
        ("2026-11-20T08:00:00Z", None, ["first", "second"]),
        ("2026-11-20T08:00:00Z", "2026-11-20T09:00:00", ["first", "second"]),
        ("2026-11-20T08:00:00Z", "yesterday", ["first", "second"]),
    ],
)
async def test_a_resource_on_two_pages_is_read_as_it_was_stored_last(
    first: str, second: str | None, kept: list[str]
) -> None:
    twice = [stored(first, "first"), stored(second, "second")]
    server = PretendServer([a_patient(), *twice], everything=False, page=1)
    found = await gather(client_of(server), "ann", reviewer().knowledge)
    texts = [json.loads(bytes(s.content))["code"]["text"] for s in found.sources[1:]]
    assert texts == kept
