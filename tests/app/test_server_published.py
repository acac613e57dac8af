"""The definitions as they are served: read, searched, and named by the CapabilityStatement."""

from pathlib import Path

import pytest
from fhir.resources.R4B.bundle import Bundle

from service.commands.keys import KeyStep, change_keys
from service.fhir.auth import Algorithm
from service.fhir.kinds import PUBLISHED_KINDS
from service.fhir.names import PLAN_DEFINITION
from service.publish.published import publish
from tests.app.serving import TOKEN, fhir_of, issue_of, serving
from tests.support import case_names, case_review, reviewer

PUBLISHED = publish(reviewer().knowledge)


async def test_every_protocol_resolves_by_the_canonical_that_care_plans_name() -> None:
    plans = [p for name in case_names() if (p := case_review(name).intent.plan) is not None]
    named = {one for plan in plans for one in plan.get("instantiatesCanonical", [])}
    named |= {f"{PLAN_DEFINITION}/{p.id}|{p.version}" for p in reviewer().knowledge.protocols}
    async with serving() as site:
        for canonical in named:
            url, version = canonical.split("|")
            answer = await site.get("/fhir/PlanDefinition", params={"url": url, "version": version})
            (entry,) = (await fhir_of(answer))["entry"]
            assert (entry["resource"]["url"], entry["resource"]["version"]) == (url, version)
            assert entry["search"] == {"mode": "match"}


@pytest.mark.parametrize("kind", PUBLISHED_KINDS)
async def test_a_kind_is_listed_whole_and_each_can_be_read_where_the_list_says(kind: str) -> None:
    async with serving(public_url="https://trd.example") as site:
        found = await fhir_of(await site.get(f"/fhir/{kind}"))
        Bundle.model_validate(found)
        assert found["total"] == len(found["entry"]) == len(PUBLISHED.of_kind(kind))
        for entry in found["entry"]:
            path = entry["fullUrl"].removeprefix("https://trd.example")
            assert path == f"/fhir/{kind}/{entry['resource']['id']}"
            assert await fhir_of(await site.get(path)) == entry["resource"]


async def test_a_search_that_finds_nothing_is_an_empty_set() -> None:
    url = f"{PLAN_DEFINITION}/us-trd"
    async with serving() as site:
        for params in ({"url": "https://elsewhere.example"}, {"url": url, "version": "0"}):
            answer = await site.get("/fhir/PlanDefinition", params=params)
            found = await fhir_of(answer)
            Bundle.model_validate(found)
            assert (found["type"], found["total"], "entry" in found) == ("searchset", 0, False)
            assert found["link"][0]["url"].endswith(f"/fhir/PlanDefinition?{answer.url.raw_query_string}")


async def test_a_search_takes_alternatives_and_repeated_conditions() -> None:
    one, other = f"{PLAN_DEFINITION}/us-trd", f"{PLAN_DEFINITION}/eu-trd"
    async with serving() as site:
        both = await fhir_of(await site.get("/fhir/PlanDefinition", params={"url": f"{one},{other}"}))
        none = await fhir_of(await site.get("/fhir/PlanDefinition", params=[("url", one), ("url", other)]))
    assert {entry["resource"]["id"] for entry in both["entry"]} == {"us-trd", "eu-trd"}
    assert none["total"] == 0


async def test_an_unknown_parameter_is_not_overlooked() -> None:
    async with serving() as site:
        for params in ({"uri": "x"}, {"url:below": "x"}, {"_count": "1"}):
            issue = await issue_of(await site.get("/fhir/ValueSet", params=params), 400)
            assert issue["diagnostics"] == "an unknown parameter in the address; known are url and version"


async def test_what_is_not_there_and_what_cannot_be_done() -> None:
    async with serving() as site:
        for path in ("/fhir/ValueSet/else", "/fhir/Library", "/fhir/ValueSet/antidepressants/$expand"):
            assert (await issue_of(await site.get(path), 404))["code"] == "not-found"
        for path in ("/fhir/ValueSet", "/fhir/ValueSet/antidepressants"):
            assert (await issue_of(await site.put(path, json={}), 405))["code"] == "not-supported"
            assert (await site.get(path, params={"_format": "xml"})).status == 406
            assert (await site.get(path, params={"_format": "json", "_pretty": "true"})).status == 200


async def test_no_token_is_asked_for() -> None:
    async with serving(api_token=TOKEN, host="0.0.0.0", hook_secret=TOKEN) as site:  # noqa: S104
        assert (await site.get("/fhir/PlanDefinition/us-trd")).status == 200


async def test_the_capability_statement_names_all_of_it() -> None:
    async with serving() as site:
        statement = await fhir_of(await site.get("/fhir/metadata"))
    offered = {resource["type"]: resource for resource in statement["rest"][0]["resource"]}
    for kind in PUBLISHED_KINDS:
        assert {one["code"] for one in offered[kind]["interaction"]} == {"read", "search-type"}
        assert {one["name"]: one["type"] for one in offered[kind]["searchParam"]} == {
            "url": "uri",
            "version": "token",
        }


async def test_the_public_keys_are_at_their_address(tmp_path: Path) -> None:
    public = change_keys(tmp_path / "keys.json", KeyStep.NEW, Algorithm.ES384)
    async with serving(fhir_key=tmp_path / "keys.json") as site:
        answer = await site.get("/.well-known/jwks.json")
        assert (answer.status, await answer.json()) == (200, public)
        both = change_keys(tmp_path / "keys.json", KeyStep.NEXT, Algorithm.RS384)
        assert await (await site.get("/.well-known/jwks.json")).json() == both
    async with serving() as site:
        assert (await site.get("/.well-known/jwks.json")).status == 404
