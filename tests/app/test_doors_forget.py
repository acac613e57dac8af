"""Whatever comes through a door, nothing of it stays in memory once it is answered."""

import gc
import json
import tracemalloc
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

import pytest

from service.feedback import Feedback
from service.fhir.notifications import Heard
from tests.app.engines import AUTHORITIES, ER7, a_message
from tests.app.hooks import EXCLUDED, PROPOSED, an_order, of_case
from tests.app.serving import PretendQueue, Site, on_server, serving
from tests.examples import soaked
from tests.notified import event, named, notification
from tests.support import a_bundle, a_patient, case_bundle, patient_id_of

pytestmark = [pytest.mark.matrix, pytest.mark.soak]
"""Each door is asked hundreds of times."""

JSON = "application/json"
NUMBERS = count()
REQUESTS = soaked(2000)
MOST_BYTES = 50_000 + 100 * REQUESTS
"""Caches that fill, and handles of timers; a request, its body or its answer would be far more each."""
PATIENT = patient_id_of(case_bundle(PROPOSED))
CARD = "4e0a3a1e-3283-4575-ab82-{:012}"


class Forgetting(PretendQueue):
    """A queue that keeps nothing, so that what is kept is kept by a door."""

    async def accept(self, *_: object) -> None:
        pass

    async def accept_task(self, *_: object) -> None:
        pass

    async def keep_feedback(self, told: Sequence[Feedback]) -> Sequence[Feedback]:
        return told

    async def keep_heard(self, key: str, heard: Heard) -> None:
        pass


def told_by_topic() -> Any:
    focus = f"Condition/c-{next(NUMBERS)}"
    subscription = f"Subscription/s-{next(NUMBERS)}"
    return notification("R5", event(1, focus), total=9, subscription=subscription, entries=(named(focus),))


def became_of_card() -> Any:
    card, at = CARD.format(next(NUMBERS)), "2026-11-23T10:00:00Z"
    return {"feedback": [{"card": card, "outcome": "accepted", "outcomeTimestamp": at}]}


def message() -> bytes:
    return a_message("ADT^A08", f"PID|1||{next(NUMBERS)}^^^HOSP^MR").encode()


def in_json(make: Callable[[], Any]) -> Callable[[], bytes]:
    return lambda: json.dumps(make()).encode()


DOORS: dict[str, tuple[str, Callable[[], bytes]]] = {
    "/hl7v2": (ER7, message),
    "/hooks/fhir": (JSON, in_json(lambda: a_bundle([a_patient(f"p-{next(NUMBERS)}")]))),
    "/hooks/topics": (JSON, in_json(told_by_topic)),
    "/reviews": (JSON, in_json(lambda: {"patient": PATIENT, "asOf": "2026-11-23"})),
    "/fhir/$assess-treatment-resistance": (JSON, in_json(lambda: case_bundle(PROPOSED))),
    "/cds-services/esketamine-order-sign": (
        JSON,
        in_json(lambda: of_case(EXCLUDED, "order-sign", an_order())),
    ),
    "/cds-services/esketamine-order-sign/feedback": (JSON, in_json(became_of_card)),
}


@pytest.mark.parametrize("door", DOORS)
async def test_nothing_stays_in_memory(door: str) -> None:
    """Half of what comes is cut short."""
    content_type, make = DOORS[door]
    server = on_server(case_bundle(PROPOSED))

    async def held_after(number: int, site: Site) -> int:
        for _ in range(number // 2):
            body = make()
            for content in (body, body[: len(body) // 2]):
                answer = await site.post(door, data=content, headers={"Content-Type": content_type})
                assert answer.status < 500
        site._responses.clear()
        server.asked.clear()
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    async with serving(server, queue=Forgetting(), hl7v2_authorities=AUTHORITIES) as site:
        tracemalloc.start()
        try:
            before = await held_after(100, site)
            after = await held_after(REQUESTS, site)
        finally:
            tracemalloc.stop()

    assert after - before < MOST_BYTES, "bytes that stayed"
