"""What the doors are given, and what they are called."""

from asyncio import BaseProtocol
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any, Literal, NamedTuple, Protocol

from aiohttp import web

from service.feedback import Feedback
from service.fhir.client import FhirClient
from service.fhir.notifications import Heard
from service.publish.published import Published
from service.review import Reviewer
from service.settings import Settings
from service.telemetry.limits import PerMinute
from service.telemetry.metrics import Metrics

Task = Literal["sweep", "deleted", "changed", "gap", "identified", "merged"]
"""`sweep` refers to an instant: all that changed since is to be reviewed. `deleted` and `changed` refer to
`Type/id`, `gap` to events of a Subscription (`service.fhir.notifications.Gap`). `identified` refers to a
patient by identifiers, `merged` to one whose record was merged into another."""

HOOK_KEY = "key"
"""The part of an address that is compared with the key of the hooks."""


class Queue(Protocol):
    """The durable queue, as the doors see it. It holds references only."""

    async def accept(self, patient_ids: Iterable[str], cause: str) -> None:
        """Return once a review of each patient is durably stored; raise when that cannot be done."""

    async def accept_task(self, name: Task, reference: str) -> None:
        """Return once a task is durably stored; raise when that cannot be done."""

    async def keep_feedback(self, told: Sequence[Feedback]) -> Sequence[Feedback]:
        """Return once what became of cards is durably stored: that which was not known before."""

    async def last_heard(self, key: str) -> Heard | None:
        """What was last heard of a Subscription; `None` where nothing was."""

    async def keep_heard(self, key: str, heard: Heard) -> None:
        """Keep what was heard of a Subscription, durably; its number never falls."""

    async def forget_heard(self, key: str) -> None:
        """Forget what was heard of a Subscription, as it counts anew."""

    async def counts(self) -> Mapping[str, int]:
        """How many jobs are waiting, running and failed."""

    async def healthy(self) -> bool:
        """Whether it can store and do its jobs."""

    @property
    def paused(self) -> str | None:
        """Why it waits for the FHIR server, without naming a patient; `None` where it does not."""


class Door(StrEnum):
    """Every way in, by the name it has in logs and metrics."""

    ASSESS = "assess"
    ASSESS_BUNDLE = "assess-bundle"
    PROPOSE = "propose"
    METADATA = "metadata"
    DEFINITION = "definition"
    KEYS = "keys"
    REVIEWS = "reviews"
    REST_HOOK = "rest-hook"
    CDS_SERVICES = "cds-services"
    CDS_HOOK = "cds-hook"
    CDS_FEEDBACK = "cds-feedback"
    CDS_PREFLIGHT = "cds-preflight"
    TOPICS = "topics"
    HL7V2 = "hl7v2"
    LIVE = "health-live"
    READY = "health-ready"
    METRICS = "metrics"
    UNKNOWN = "unknown"


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Route(NamedTuple):
    """A method and a path that lead through a door."""

    door: Door
    method: str
    path: str
    handler: Handler


SETTINGS = web.AppKey("settings", Settings)
REVIEWER = web.AppKey("reviewer", Reviewer)
CLIENT = web.AppKey("client", FhirClient)
PUBLISHED = web.AppKey("published", Published)
QUEUE: web.AppKey[Queue] = web.AppKey("queue")
METRICS = web.AppKey("metrics", Metrics)
GUESSES = web.AppKey("guesses", PerMinute)
AT_WORK: web.AppKey[set[BaseProtocol]] = web.AppKey("at_work")
"""The connections whose requests are being answered."""
DOORS = web.AppKey("doors", dict[web.AbstractRoute, Door])

TOLD: web.RequestKey[dict[str, Any]] = web.RequestKey("told")
"""What a door wants its log line to say beside the usual."""


def door_of(request: web.Request) -> Door:
    """The door that a request came through; `UNKNOWN` where the router found none."""
    return request.app[DOORS].get(request.match_info.route, Door.UNKNOWN)
