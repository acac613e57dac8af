"""How long an EHR waits for cards where the whole record comes along: the median, and 95 of 100.

The service is a process of its own, and so is its FHIR server, which is asked for nothing but what this
service wrote there.
"""

import asyncio
import statistics
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any, Final

import aiohttp

from benchmarks.figures import Figure
from service.gather.supplied import SUPPLIED_KINDS, key_of
from tests.running import Service
from tests.servers.doubles import running_double
from tests.support import case_bundle, patient_id_of, resources_of

LIMIT: Final = 500.0
"""Milliseconds: https://cds-hooks.hl7.org/2.0/ asks for an answer within them."""
_CALLS: Final = 200
_WARM_UP: Final = 20
_PROPOSED: Final = "two-documented-failures-propose-treatment"
_EXCLUDED: Final = "an-allergy-to-ketamine-excludes"
_ORDER: Final = {
    "resourceType": "MedicationRequest",
    "id": "order",
    "status": "draft",
    "intent": "order",
    "medicationCodeableConcept": {"text": "Spravato 56 mg"},
}


def measure() -> list[Figure]:
    """The median and the 95th percentile for a proposal and for an order, as ratios to the limit."""
    waited = asyncio.run(waits())
    return [
        _figure(f"{what}, {name}", 1000 * statistics.quantiles(times, n=100)[percent - 1])
        for what, times in waited.items()
        for name, percent in (("median", 50), ("95th percentile", 95))
    ]


def _figure(what: str, milliseconds: float) -> Figure:
    ratio = milliseconds / LIMIT
    return Figure(what, milliseconds, "ms", f"{LIMIT:g} ms", ratio, "1", milliseconds <= LIMIT)


async def waits(calls: int = _CALLS) -> dict[str, list[float]]:
    """The seconds of each call, by what was asked."""
    asked = {
        "cards with a proposal": _request("patient-view", _PROPOSED),
        "a card on an order": _request("order-sign", _EXCLUDED),
    }
    with running_double() as server, tempfile.TemporaryDirectory() as folder:
        async with (
            Service(Path(folder), fhir_base_url=server) as service,
            aiohttp.ClientSession(service.address) as http,
        ):
            return {what: await _times(http, request, calls) for what, request in asked.items()}


async def _times(http: aiohttp.ClientSession, request: dict[str, Any], calls: int) -> list[float]:
    times = []
    for _ in range(_WARM_UP + calls):
        called = {**request, "hookInstance": str(uuid.uuid4())}
        began = time.perf_counter()
        async with http.post(f"/cds-services/esketamine-{request['hook']}", json=called) as answer:
            answer.raise_for_status()
            cards = (await answer.json())["cards"]
        times.append(time.perf_counter() - began)
        if len(cards) != 1:
            raise ValueError("not one card")
    return times[_WARM_UP:]


def _request(hook: str, case: str) -> dict[str, Any]:
    bundle = case_bundle(case)
    resources = resources_of(bundle)
    prefetch: dict[str, Any] = {
        key_of(kind): {
            "resourceType": "Bundle",
            "type": "searchset",
            "entry": [{"resource": one} for one in resources if one["resourceType"] == kind],
        }
        for kind in SUPPLIED_KINDS
    }
    drafts = {"resourceType": "Bundle", "entry": [{"resource": _ORDER}]}
    context = {"userId": "Practitioner/1", "patientId": patient_id_of(bundle), "draftOrders": drafts}
    return {"hook": hook, "context": context, "prefetch": prefetch}
