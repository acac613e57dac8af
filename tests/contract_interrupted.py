"""What holds on every FHIR server that fails within an outcome: half of it is sound, and is made whole.

Each server's tests derive from `InterruptedContract` and say how one of its servers is come by.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Any, NamedTuple

import pytest
from httpx_aiohttp import HttpxAiohttpClient

from service.errors import ServerError
from service.fhir.client import FhirClient
from service.fhir.names import DEVICE_IDENTIFIER
from service.review import Proposal
from tests.contract_write import LOOPBACK, TWO_FAILURES, ask, change, found_by, load_case, written_of
from tests.fhir.front import Front
from tests.servers import front_at, load
from tests.support import AS_OF, RXNORM, Resource, a_condition, a_statement, reviewer

NEEDS_REVIEW = "a-recorded-pregnancy-status-needs-review"
OPEN = {"draft", "active", "on-hold", "unknown"}
_OURS = ("CarePlan", "GuidanceResponse", "Task")
_DIFFERS = (
    "id",
    "identifier",
    "meta",
    "extension",
    "created",
    "occurrenceDateTime",
    "authoredOn",
    "lastModified",
)
"""What differs between two patients of the same story: names, digests of names, instants."""
_DEVICES = f"Device?identifier={DEVICE_IDENTIFIER}%7C"
_ICD = "http://hl7.org/fhir/sid/icd-10-cm"
_VERIFICATION = "http://terminology.hl7.org/CodeSystem/condition-ver-status"


# --- what happens to a patient --------------------------------------------------------------------

Change = Callable[[str], list[Resource]]


def nothing(_: str) -> list[Resource]:
    return []


def a_third_failure(patient: str) -> list[Resource]:
    """What makes a review update the draft."""
    period = {"start": "2026-02-10", "end": "2026-06-30"}
    mirtazapine = {"coding": [{"system": RXNORM, "code": "15996", "display": "mirtazapine"}]}
    identity = f"{patient}-mirtazapine"
    return [a_statement(identity, patient, medicationCodeableConcept=mirtazapine, effectivePeriod=period)]


def an_aneurysm(patient: str) -> list[Resource]:
    """What makes a review revoke the draft."""
    code = {"coding": [{"system": _ICD, "code": "I71.40"}]}
    return [a_condition(f"{patient}-aneurysm", patient, code=code)]


def no_aneurysm(patient: str) -> list[Resource]:
    """It was entered in error."""
    (aneurysm,) = an_aneurysm(patient)
    del aneurysm["clinicalStatus"]
    refuted = {"coding": [{"system": _VERIFICATION, "code": "entered-in-error"}]}
    return [aneurysm | {"verificationStatus": refuted}]


class Story(NamedTuple):
    """A record and what changes in it; a review follows each change, and the last one is disturbed."""

    case: str
    changes: tuple[Change, ...]


STORIES = {
    "a first proposal": Story(TWO_FAILURES, (nothing,)),
    "one with a Task": Story(NEEDS_REVIEW, (nothing,)),
    "an update": Story(TWO_FAILURES, (nothing, a_third_failure)),
    "a revocation": Story(TWO_FAILURES, (nothing, an_aneurysm)),
    "a new plan after a revocation": Story(TWO_FAILURES, (nothing, an_aneurysm, no_aneurysm)),
}

FEW = ["one with a Task", "an update"]


async def begin(server: str, story: Story) -> str:
    """A patient whose record calls for the last review of a story; gives the id."""
    patient = load_case(server, story.case)
    *before, last = story.changes
    for one in before:
        load(server, one(patient))
        await review(server, patient)
    load(server, last(patient))
    await age_device(server)
    return patient


async def age_device(server: str) -> None:
    """Have our Device say another release, so that it is written with the next outcome."""
    for device in await found_by(server, _DEVICES):
        await change(server, f"Device/{device['id']}", version=[{"value": "0.0.0"}])
    front_at(server).taken.clear()


async def review(server: str, patient: str, *, days: int = 0) -> Proposal:
    """A review by a process that knows nothing of the server yet, and that tries once."""
    async with HttpxAiohttpClient(verify=LOOPBACK) as http:
        client = FhirClient(server, http, seconds=30, attempts=1, connections=4)
        return await reviewer().on(AS_OF + timedelta(days=days)).propose(client, patient)


async def goes_through(server: str, patient: str) -> bool:
    try:
        await review(server, patient)
    except ServerError:
        return False
    return True


# --- disturbances ---------------------------------------------------------------------------------


def _cut(front: Front, number: int) -> None:
    front.crash_after = number


def _unanswered(front: Front, number: int) -> None:
    front.loses_answer_to = number + 1


DISTURBANCES: dict[str, Callable[[Front, int], None]] = {
    "cut after so many writes": _cut,
    "the next one is done and its answer lost": _unanswered,
}
"""What may happen after so many writes. A PUT whose answer is lost is sent again by the transport itself."""


def mend(front: Front) -> None:
    front.crash_after = None
    front.loses_answer_to = None


# --- what stands on the server --------------------------------------------------------------------


async def ours_of(server: str, patient: str) -> list[Resource]:
    """What we wrote about a patient, without the Provenance of it."""
    return [one for kind in _OURS for one in await found_by(server, f"{kind}?patient={patient}")]


def reference_of(resource: Resource) -> str:
    return f"{resource['resourceType']}/{resource['id']}"


async def provenances_of(server: str, resources: list[Resource]) -> list[Resource]:
    """Every Provenance of resources, once each."""
    found = [one for r in resources for one in await found_by(server, f"Provenance?target={reference_of(r)}")]
    return list({one["id"]: one for one in found}.values())


async def told(server: str, patient: str) -> list[Resource]:
    """All that stands about a patient, as of any patient of the same story."""
    ours = await ours_of(server, patient)
    names = {reference_of(one): f"{one['resourceType']}/{one['status']}" for one in ours}
    assert len(set(names.values())) == len(names)
    return sorted((_told(one, names, patient) for one in ours), key=json.dumps)


def _told(resource: Resource, names: dict[str, str], patient: str) -> Resource:
    content = {key: value for key, value in resource.items() if key not in _DIFFERS}
    text = json.dumps(content | {"version": resource["meta"]["versionId"]}, sort_keys=True)
    for reference, name in names.items():
        text = re.sub(rf"{re.escape(reference)}(?![\w.-])", name, text)
    said: Resource = json.loads(text.replace(patient[:8], "tag"))
    return said


def references_in(value: Any) -> Iterator[str]:
    """Every reference inside a value."""
    if isinstance(value, list):
        for one in value:
            yield from references_in(one)
    elif isinstance(value, dict):
        if isinstance(value.get("reference"), str):
            yield value["reference"]
        yield from references_in(list(value.values()))


async def leading_nowhere(server: str, resources: list[Resource]) -> set[str]:
    """The references of resources behind which there is nothing."""
    nowhere, named = set(), set()
    for resource in resources:
        inside = {f"#{one['id']}" for one in resource.get("contained", [])}
        references = set(references_in(resource))
        nowhere |= {one for one in references if one.startswith("#")} - inside
        named |= {one for one in references if not one.startswith("#")}
    return nowhere | {one for one in named if not (await ask(server, one)).is_success}


async def assert_sound(server: str, patient: str) -> None:
    """No reference leads nowhere, and at most one plan is open."""
    ours = await ours_of(server, patient)
    everything = [*ours, *await provenances_of(server, ours)]
    everything += await found_by(server, _DEVICES)
    assert await leading_nowhere(server, everything) == set()
    assert len([one for one in ours if one["resourceType"] == "CarePlan" and one["status"] in OPEN]) <= 1


async def assert_explained(server: str, patient: str) -> None:
    """One Provenance names each version that stands."""
    ours = [one for one in await ours_of(server, patient) if one["resourceType"] != "Task"]
    targets = [target for one in await provenances_of(server, ours) for target in one["target"]]
    named = Counter(target.get("display", target["reference"]) for target in targets)
    standing = [f"{reference_of(one)}/_history/{one['meta']['versionId']}" for one in ours]
    assert {version: named[version] for version in standing} == dict.fromkeys(standing, 1)
    assert max(named.values()) == 1


async def assert_made_whole(server: str, patient: str, undisturbed: list[Resource]) -> None:
    """What an interrupted review left is sound; after the next one all is as if nothing had happened."""
    await assert_sound(server, patient)
    await review(server, patient)
    assert await told(server, patient) == undisturbed
    await assert_sound(server, patient)
    await assert_explained(server, patient)
    assert (await review(server, patient, days=2)).written == ()


# --- the contract ---------------------------------------------------------------------------------


class InterruptedContract:
    """The tests of a server; a class that derives from this one says how one is come by."""

    def a_server(self) -> AbstractContextManager[str]:
        """A server with a `Front`, with or without our Device."""
        raise NotImplementedError

    @pytest.mark.parametrize("disturbance", DISTURBANCES)
    @pytest.mark.parametrize("story", STORIES)
    async def test_the_next_review_makes_it_whole(self, story: str, disturbance: str) -> None:
        """After any number of writes."""
        with self.a_server() as server:
            patient = await begin(server, STORIES[story])
            done = await review(server, patient)
            await written_of(server, patient, done)
            await assert_sound(server, patient)
            await assert_explained(server, patient)
            undisturbed, writes = await told(server, patient), len(front_at(server).taken)
        for number in range(writes):
            with self.a_server() as server:
                patient = await begin(server, STORIES[story])
                DISTURBANCES[disturbance](front_at(server), number)
                through = await goes_through(server, patient)
                assert not (through and front_at(server).is_cut)
                mend(front_at(server))
                await assert_made_whole(server, patient, undisturbed)


class InterruptedContractOfFewStories(InterruptedContract):
    """The contract over fewer stories, for one more way in which a server is written to."""

    @pytest.mark.parametrize("disturbance", DISTURBANCES)
    @pytest.mark.parametrize("story", FEW)
    async def test_the_next_review_makes_it_whole(self, story: str, disturbance: str) -> None:
        await super().test_the_next_review_makes_it_whole(story, disturbance)


class InterruptedContractInBrief(InterruptedContract):
    """The contract over one story, for `make test`."""

    @pytest.mark.parametrize("disturbance", DISTURBANCES)
    @pytest.mark.parametrize("story", FEW[:1])
    async def test_the_next_review_makes_it_whole(self, story: str, disturbance: str) -> None:
        await super().test_the_next_review_makes_it_whole(story, disturbance)
