"""Rosters: whom a Group or a file lists, and what is said of each entry that cannot be used."""

from datetime import date
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.cause import Cause
from service.errors import RosterFaulty, ServerRefused, SettingsError
from service.fhir.rate import RequestRate
from service.gather.roster import Member, list_file, read_roster
from service.queue.jobs import JobQueue, State
from service.queue.tries import Pace
from service.queue.work import ALL_MEMBERS, ROSTER, Work
from service.review import Reviewer
from service.settings import load_settings
from service.telemetry.metrics import Metrics
from tests.commands.test_commands_cli import AS_OF as AS_OF_OPTION
from tests.commands.test_commands_cli import Run, run, server
from tests.fhir.double import FhirDouble
from tests.jobs.test_jobs import until, until_idle
from tests.support import AS_OF, BASE, Resource, a_patient, client_of, settings

__all__ = ["run", "server"]

MRN = "urn:oid:1.2.3"


def a_group(*members: Resource, name: str = "g", **elements: object) -> Resource:
    group = {"resourceType": "Group", "id": name, "type": "person", "actual": True, "member": list(members)}
    return {**group, **elements}


def a_member(reference: str, **elements: object) -> Resource:
    return {"entity": {"reference": reference}, **elements}


def identified(patient: str, value: str, **elements: object) -> Resource:
    return a_patient(patient, identifier=[{"system": MRN, "value": value}], **elements)


async def listed(roster: str, *resources: Resource, as_of: date = AS_OF) -> tuple[list[str], list[str]]:
    """The patients of a roster, and what is said of the rest of it."""
    return await listed_on(FhirDouble(resources), roster, as_of=as_of)


async def listed_on(site: Any, roster: str, *, as_of: date = AS_OF) -> tuple[list[str], list[str]]:
    patients: set[str] = set()
    faults: list[str] = []
    async for found in read_roster(client_of(site, attempts=1), roster, as_of):
        patients |= found.patients
        faults += map(str, found.faults)
    return sorted(patients), faults


# --- a Group --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("member", "expected"),
    [
        (a_member("Patient/ann"), ["ann"]),
        (a_member(f"{BASE}/Patient/ann"), ["ann"]),
        (a_member("Patient/ann/_history/3"), ["ann"]),
        (a_member("Patient/ann", inactive=False), ["ann"]),
        (a_member("Patient/ann", inactive=True), []),
        (a_member("Patient/ann", period={"start": "2020"}), ["ann"]),
        (a_member("Patient/ann", period={"end": AS_OF.isoformat()}), ["ann"]),
        (a_member("Patient/ann", period={"end": "2019-12"}), []),
        (a_member("Patient/ann", period={"start": "2999-01-01"}), []),
        (a_member("Patient/ann", period={"end": "some day"}), ["ann"]),
        ({"entity": {"type": "Patient", "identifier": {"system": MRN, "value": "7"}}}, ["ann"]),
        ({"entity": {"identifier": {"system": MRN, "value": "7"}}}, ["ann"]),
    ],
)
async def test_who_is_an_active_member_is_listed(member: Resource, expected: list[str]) -> None:
    assert await listed("Group/g", a_group(member), identified("ann", "7")) == (expected, [])


@pytest.mark.parametrize(
    ("member", "why"),
    [
        (a_member("Practitioner/p"), "not a patient"),
        (a_member("Device/d"), "not a patient"),
        (a_member("#p"), "contained in the Group"),
        (a_member("http://other.example/fhir/Patient/ann"), "on another server"),
        (a_member("urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0"), "not a patient"),
        (a_member("Patient/nobody"), "no such patient"),
        ({"entity": {"type": "Device", "identifier": {"system": MRN, "value": "7"}}}, "not a patient"),
        ({"entity": {"identifier": {"system": MRN, "value": "8"}}}, "no patient of the FHIR server has it"),
        ({"entity": {"identifier": {"value": "7"}}}, "names no patient"),
        ({"entity": {"display": "Ann Miller"}}, "names no patient"),
        ({"entity": "Patient/ann"}, "names no patient"),
        ({}, "names no patient"),
    ],
)
async def test_a_member_that_cannot_be_reviewed_is_named_by_its_number(member: Resource, why: str) -> None:
    group = a_group(a_member("Patient/bob"), member)
    patients, faults = await listed("Group/g", group, identified("ann", "7"), a_patient("bob"))
    assert patients == ["bob"]
    (fault,) = faults
    assert fault.startswith("Group/g, member 2: ")
    assert why in fault
    assert "Ann" not in fault


@pytest.mark.parametrize("members", [None, [], "Patient/ann", [None, 7]])
async def test_a_group_of_an_odd_shape_lists_nobody(members: object) -> None:
    patients, faults = await listed("Group/g", a_group(member=members), a_patient("ann"))
    assert patients == []
    assert len(faults) == (2 if members == [None, 7] else 0)


@pytest.mark.parametrize(
    ("group", "why"),
    [
        (a_group(actual=False), "describes patients"),
        (a_group(membership="definitional"), "describes patients"),
        (a_group(active=False), "is not active"),
        (a_group(name="another"), "is not on the FHIR server"),
    ],
)
async def test_a_group_that_lists_nobody_is_an_error(group: Resource, why: str) -> None:
    with pytest.raises(RosterFaulty, match=f"Group/g {why}"):
        await listed("Group/g", group)


@pytest.mark.parametrize(
    ("status", "error"), [(403, RosterFaulty), (400, RosterFaulty), (503, ServerRefused)]
)
async def test_a_group_that_cannot_be_read_is_an_error_or_tried_again(
    status: int, error: type[Exception]
) -> None:
    with pytest.raises(error):
        await listed_on(lambda _: httpx.Response(status), "Group/g")


async def test_a_group_that_shows_fewer_members_than_it_has_says_so() -> None:
    group = a_group(a_member("Patient/ann"), quantity=3)
    assert await listed("Group/g", group, a_patient("ann")) == (["ann"], ["Group/g: it shows 1 of 3 members"])


async def test_groups_in_a_group_are_followed_once_each() -> None:
    groups = [
        a_group(a_member("Patient/ann"), a_member("Group/h"), a_member("Group/gone")),
        a_group(a_member("Patient/bob"), a_member("Group/g"), a_member("Group/h"), name="h"),
    ]
    patients, faults = await listed("Group/g", *groups, a_patient("ann"), a_patient("bob"))
    assert patients == ["ann", "bob"]
    assert faults == ["Group/gone: roster: Group/gone is not on the FHIR server"]


async def test_who_was_merged_is_followed_to_the_record_that_stands() -> None:
    link = [{"type": "replaced-by", "other": {"reference": "Patient/bob"}}]
    group = a_group(a_member("Patient/ann"), a_member("Patient/bob"))
    assert await listed("Group/g", group, a_patient("ann", link=link), a_patient("bob")) == (["bob"], [])


async def test_a_large_group_comes_in_parts_and_says_how_far_it_is() -> None:
    names = [f"p{number}" for number in range(1250)]
    site = FhirDouble([a_group(*(a_member(f"Patient/{name}") for name in names)), *map(a_patient, names)])
    parts = [part async for part in read_roster(client_of(site), "Group/g", AS_OF)]
    assert [part.read for part in parts] == [0, *range(100, 1201, 100), 1250]
    assert {part.of for part in parts} == {1250}
    assert sum(len(part.patients) for part in parts) == 1250


async def test_it_asks_no_faster_than_it_may() -> None:
    naps: list[float] = []

    async def sleep(seconds: float) -> None:
        naps.append(seconds)

    names = [f"p{number}" for number in range(30)]
    site = FhirDouble([a_group(*(a_member(f"Patient/{name}") for name in names)), *map(a_patient, names)])
    client = client_of(site)
    client._rate = RequestRate(10, now=lambda: 0.0, sleep=sleep)
    assert [part.read async for part in read_roster(client, "Group/g", AS_OF)][-1] == 30
    assert max(naps) == pytest.approx(3.1, abs=0.2)


# --- a file ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        b"ann\nbob\n",
        b"ann\r\nbob",
        b"ann\rbob\r",
        b"\n\n  Patient/ann  \n\n\tbob\n",
        b"# who is treated\nann # since May\n#bob\nbob\n",
        b"\xef\xbb\xbfann\nbob\n",
        "ann\r\nbob\r\n".encode("utf-16"),
        b"\xfe\xff" + "ann\nbob".encode("utf-16-be"),
        b"ann\nann\nPatient/ann\nbob\n",
        b"identifier=urn:oid:1.2.3|7\nbob\n",
        b"identifier= urn:oid:1.2.3 | 7 # ann\nbob\nann",
    ],
)
async def test_a_file_has_a_patient_on_each_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "roster.txt"
    path.write_bytes(content)
    assert await listed(str(path), identified("ann", "7"), a_patient("bob")) == (["ann", "bob"], [])


@pytest.mark.parametrize(
    "line",
    [
        b"ann,bob",
        b'"ann"',
        b"Ann Miller",
        b"Group/g",
        b"..",
        b"identifier=7",
        b"identifier=urn:oid:1.2.3|",
        b"identifier=urn:oid:1.2.3|8",
        b"identifier=urn:oid:1.2.3|7|8",
        b"nobody",
        "j\u00f6rg".encode("latin-1"),
        "j\u00f6rg".encode(),
        b"\x00\x01",
        b"x" * 300,
    ],
)
async def test_a_line_that_is_not_understood_is_named_by_its_number(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "roster.txt"
    path.write_bytes(b"# remark\n" + line + b"\nbob\n")
    patients, faults = await listed(str(path), identified("ann", "7"), a_patient("bob"))
    assert patients == ["bob"]
    (fault,) = faults
    assert fault.startswith("line 2: ")
    assert line.decode("utf-8", "replace") not in fault


def test_a_remark_needs_a_space_before_it() -> None:
    """A system of identifiers may have the sign in its address."""
    (member,) = list_file(b"identifier=http://mrn.example/#a|7 # remark")
    assert isinstance(member, Member)
    assert member.patient == ("http://mrn.example/#a", "7")


@given(st.binary(max_size=300))
def test_any_file_is_read_to_its_end(content: bytes) -> None:
    listed = list_file(content + b"\nann")
    assert all(one.place.startswith("line ") for one in listed)


def test_ten_thousand_lines_are_read() -> None:
    content = "\n".join(f"p{number} # remark" for number in range(10_000)).encode()
    assert len(list_file(content)) == 10_000


async def test_a_file_that_is_gone_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RosterFaulty, match="the file cannot be read"):
        await listed(str(tmp_path / "gone.txt"))


# --- the review of the roster ---------------------------------------------------------------------


async def test_the_roster_is_queued_with_its_cause_and_a_fault_fails_the_job_in_the_end(
    tmp_path: Path,
) -> None:
    roster = tmp_path / "roster.txt"
    roster.write_text("ann\nAnn Miller\nbob\n", encoding="utf-8")
    chosen = settings(roster=str(roster))
    work = Work(
        Reviewer.prepare(chosen, AS_OF), client_of(FhirDouble(map(a_patient, ["ann", "bob"]))), Metrics()
    )
    seen: list[tuple[str, str]] = []

    async def review(patient_id: str, cause: str) -> None:
        seen.append((patient_id, cause))

    url = f"sqlite:///{tmp_path / 'queue.sqlite'}"
    tasks = {ROSTER: work.review_roster, "daily": work.review_daily}
    async with JobQueue(url, review, tasks=tasks, pace=Pace(polling=0.05)) as queue:
        work.queue = queue
        await queue.accept_task("daily", AS_OF.isoformat(), Cause.DAILY)
        await until(lambda: len(seen) == 2)
        await until_idle(queue)
        (failed,) = await queue.jobs(State.FAILED)
        assert sorted(seen) == [("ann", "roster"), ("bob", "roster")]
        assert (failed.kind, failed.reference) == (ROSTER, ALL_MEMBERS)
        assert "line 2: not the id of a patient" in str(failed.reason)
        assert 'trd_roster_members{state="faulty"} 1.0' in work.metrics.exposition().decode()

        roster.write_text("ann\n", encoding="utf-8")
        await queue.accept_task(ROSTER, ALL_MEMBERS, Cause.ROSTER)
        await until_idle(queue)
        assert await queue.jobs(State.FAILED) == [], "one without a fault ends it"


# --- the command ----------------------------------------------------------------------------------


def test_the_command_reviews_the_roster_beside_those_with_a_plan(
    server: FhirDouble, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.put(a_patient("carl"))
    roster = tmp_path / "roster.txt"
    roster.write_text("carl\nCarl Miller\nann\n", encoding="utf-8")

    ran = run("sweep", *AS_OF_OPTION, "--roster", str(roster))

    assert ran.code == 3
    assert ran.err == "trd-careplan: line 2: not the id of a patient\n"
    assert [line.partition(":")[0] for line in ran.out.splitlines()] == [
        "Patient/ann",
        "Patient/carl",
        "2 of 2 patients reviewed",
    ]
    monkeypatch.setenv("TRD_ROSTER", str(roster))
    assert run("sweep", "--dry-run").out == "Patient/ann\nPatient/carl\n2 patients to review\n"
    assert run("sweep", "--since", "2026-11-22", "--roster", str(roster)).code == SettingsError.exit_code


def test_a_roster_that_cannot_be_read_does_not_stop_those_with_a_plan(run: Run) -> None:
    ran = run("sweep", *AS_OF_OPTION, "--roster", "Group/gone")
    assert (ran.code, ran.err) == (3, "trd-careplan: roster: Group/gone is not on the FHIR server\n")
    assert ran.out.startswith("Patient/ann: ")


@pytest.mark.parametrize("roster", ["Group/", "Group/a/b", "/nowhere/roster.txt", "Patient/ann"])
def test_a_roster_that_is_none_stops_the_start(monkeypatch: pytest.MonkeyPatch, roster: str) -> None:
    monkeypatch.setenv("TRD_ROSTER", roster)
    with pytest.raises(SettingsError, match=r"TRD_ROSTER: .*neither Group/<id> nor a file"):
        load_settings()
