"""A site's own lists in the running service: in its workers, its health, its log, `check` and `replay`."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from service.commands.check import check_server
from service.commands.mappings import lock_site_lists
from service.commands.replay import replay
from service.errors import MappingsError, SettingsError
from service.knowledge import LOCK, mappings_directory
from service.review import Reviewer
from service.workers import LARGE, Pool, Workers
from tests.app.serving import on_server, serving
from tests.fhir.double import FhirDouble
from tests.fhir.test_write import plan_reference, propose
from tests.mappings.test_site_lists import PRODUCTS, SERTRALINE, a_record, coded
from tests.sites import PHARMACY, SIGNED, write_site
from tests.support import (
    AS_OF,
    Resource,
    a_bundle,
    a_condition,
    client_of,
    reviewer,
    settings,
)

RECORD = a_record(coded(PHARMACY, "4711"))


@pytest.fixture(scope="module")
def by(tmp_path_factory: pytest.TempPathFactory) -> Reviewer:
    site = write_site(tmp_path_factory.mktemp("site"), {PRODUCTS: [SERTRALINE]})
    return Reviewer.prepare(settings(site_mappings=site), AS_OF)


def large() -> Resource:
    more = (a_condition(f"more-{n}", onsetDateTime="2001") for n in range(300))
    bundle = a_bundle([*RECORD, *more])
    assert len(json.dumps(bundle)) > LARGE
    return bundle


async def test_a_worker_reads_by_the_lists_of_the_site(by: Reviewer) -> None:
    """One start of a process, as it takes a second."""
    bundle = large()
    path = "/fhir/$assess-treatment-resistance?asOf=2026-11-23"
    async with serving(on_server(bundle), by=by) as site:
        here = await (await site.post(path, json=bundle)).read()
    async with Pool(1, by) as pool:
        beside = replace(by, workers=Workers(pool))
        async with serving(on_server(bundle), by=beside) as site:
            there = await (await site.post(path, json=bundle)).read()
    assert there == here
    assert by.knowledge.version.encode() in here
    assert b"MedicationStatement/local" in here


async def test_health_names_the_lists_of_the_site(by: Reviewer) -> None:
    async with serving(by=by) as site:
        answer = await (await site.get("/health/ready")).json()
    assert answer["knowledge_version"] == f"{reviewer().knowledge.version}+site.{by.knowledge.site.version}"


async def test_the_check_names_the_lists_of_the_site(by: Reviewer) -> None:
    client = client_of(FhirDouble(RECORD))
    report = await check_server(client, client, by.settings, by.knowledge)
    found = {finding.name: finding.found for finding in report.findings}
    assert found["site lists"] == f"{by.knowledge.site.version}; 5 rows"


async def test_a_replay_needs_the_same_lists_of_the_site(by: Reviewer) -> None:
    server = FhirDouble(RECORD)
    await propose(server, by=by)
    again = await replay(by.settings, client_of(server), plan_reference(server))
    assert (again.same, again.why) == (True, [])

    without = await replay(settings(), client_of(server), plan_reference(server))
    then, now = by.knowledge.version, reviewer().knowledge.version
    assert not without.same
    assert f"the knowledge differs: {then} then, {now} now" in without.why


def lock(site: Path) -> str:
    return lock_site_lists(site, mappings_directory(), "seed", signed=SIGNED, today=AS_OF)


def test_faulty_lists_are_not_pinned(tmp_path: Path) -> None:
    write_site(tmp_path, {PRODUCTS: [SERTRALINE]})
    pinned = (tmp_path / LOCK).read_bytes()
    with (tmp_path / PRODUCTS).open("a", encoding="utf-8") as file:
        file.write("rxnorm,36437,sertraline,sertraline,,,,,test\n")

    with pytest.raises(
        MappingsError, match=r"site lists: codes/antidepressant_products\.csv:3: gives a meaning"
    ):
        lock(tmp_path)
    assert (tmp_path / LOCK).read_bytes() == pinned

    (tmp_path / LOCK).unlink()
    with pytest.raises(MappingsError):
        lock(tmp_path)
    assert not (tmp_path / LOCK).exists()


def test_a_directory_that_is_not_there_is_not_pinned(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="--site: the directory is not there"):
        lock(tmp_path / "nowhere")
