"""The web service as its tests run it: in this process, with a pretend FHIR server and a queue in memory."""

import json
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import httpx
from aiohttp import ClientResponse
from aiohttp.test_utils import TestClient, TestServer
from aiohttp.web import Application, Request

from service.app import build_app
from service.cause import Cause
from service.core.records import VersionedReference
from service.doors.ports import Task
from service.feedback import Feedback
from service.fhir.client import FhirClient
from service.fhir.notifications import Heard
from service.review import Proposal, Reviewer
from tests.support import Handler, PretendServer, Resource, client_of, resources_of, reviewer, settings

CANARY = "Canarybird"
"""Stands for anything that a record says of a patient."""
TOKEN = "an-api-token-of-tests"  # noqa: S105 - known to the tests only
SECRET = "a-hook-secret-of-tests"  # noqa: S105 - the same
WRITTEN = (VersionedReference("CarePlan", "plan-1", "1"), VersionedReference("GuidanceResponse", "g-1", "1"))

Site = TestClient[Request, Application]


@dataclass
class PretendQueue:
    """A queue in memory that keeps what it was handed; `fault` makes it fail."""

    accepted: list[tuple[tuple[str, ...], str]] = field(default_factory=list)
    tasks: list[tuple[Task, str]] = field(default_factory=list)
    feedback: list[Feedback] = field(default_factory=list)
    heard: dict[str, Heard] = field(default_factory=dict)
    fault: Exception | None = None
    well: bool = True
    paused: str | None = None

    async def accept(self, patient_ids: Iterable[str], cause: str) -> None:
        self._fail()
        self.accepted.append((tuple(patient_ids), cause))

    async def accept_task(self, name: Task, reference: str) -> None:
        self._fail()
        self.tasks.append((name, reference))

    async def keep_feedback(self, told: Sequence[Feedback]) -> Sequence[Feedback]:
        self._fail()
        new = [one for one in told if one not in self.feedback]
        self.feedback += new
        return new

    async def last_heard(self, key: str) -> Heard | None:
        self._fail()
        return self.heard.get(key)

    async def keep_heard(self, key: str, heard: Heard) -> None:
        self._fail()
        known = self.heard.get(key, heard)
        self.heard[key] = replace(heard, number=max(known.number, heard.number))

    async def forget_heard(self, key: str) -> None:
        self._fail()
        del self.heard[key]

    async def counts(self) -> Mapping[str, int]:
        self._fail()
        return {"waiting": len(self.accepted), "running": 0, "failed": 2}

    async def healthy(self) -> bool:
        self._fail()
        return self.well

    @property
    def patients(self) -> list[str]:
        return [patient for accepted, _ in self.accepted for patient in accepted]

    @property
    def empty(self) -> bool:
        return not self.accepted and not self.tasks

    def _fail(self) -> None:
        if self.fault is not None:
            raise self.fault


@dataclass(frozen=True, slots=True)
class PretendReviewer(Reviewer):
    """Reviews as the real one does; what it would write is only told."""

    async def propose(self, client: FhirClient, patient_id: str, *, cause: Cause = Cause.OTHER) -> Proposal:
        assert cause in {Cause.OPERATION, Cause.REVIEWS}
        review = await self.review_patient(client, patient_id)
        return Proposal(review, review.answer, WRITTEN)


def pretending(real: Reviewer) -> PretendReviewer:
    return PretendReviewer(real.settings, real.knowledge, real.calendar, real.as_of)


@asynccontextmanager
async def serving(
    records: Handler | Iterable[Resource] = (),
    *,
    queue: PretendQueue | None = None,
    by: Reviewer | None = None,
    **values: object,
) -> AsyncIterator[Site]:
    """The service on loopback, reading from a pretend FHIR server; `values` are settings."""
    handler = records if callable(records) else PretendServer(records)
    app = build_app(
        settings(**values),
        by or pretending(reviewer()),
        client_of(handler, attempts=1),
        queue or PretendQueue(),
    )
    async with TestClient(TestServer(app)) as site:
        yield site


async def fhir_of(response: ClientResponse, status: int = 200) -> Resource:
    """The FHIR resource that was answered, checked to be one."""
    body = await response.read()
    assert response.status == status, body
    assert response.content_type == "application/fhir+json"
    assert response.headers["X-Request-Id"]
    resource: Resource = json.loads(body)
    assert resource["resourceType"]
    return resource


async def issue_of(response: ClientResponse, status: int) -> dict[str, Any]:
    """The one issue of the OperationOutcome that was answered."""
    outcome = await fhir_of(response, status)
    assert outcome["resourceType"] == "OperationOutcome"
    (issue,) = outcome["issue"]
    assert isinstance(issue, dict)
    assert set(issue) == {"severity", "code", "diagnostics"}
    return issue


def values_of(parameters: Resource) -> dict[str, Any]:
    """The values of the answer's parameters by name; of several of one name, the last."""
    assert parameters["resourceType"] == "Parameters"
    return {
        one["name"]: next(v for k, v in one.items() if k.startswith("value"))
        for one in parameters["parameter"]
    }


def on_server(bundle: Resource) -> PretendServer:
    """A pretend FHIR server that holds the record of a Bundle."""
    return PretendServer(resources_of(bundle))


def unreachable(_: httpx.Request) -> httpx.Response:
    """A server that is not there."""
    raise httpx.ConnectError(CANARY)
