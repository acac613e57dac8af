"""One patient is written to once at a time, within this process."""

import asyncio
from weakref import WeakValueDictionary

from service.fhir.client import FhirClient

_turns: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()


def turn_of(client: FhirClient, patient_id: str) -> asyncio.Lock:
    """The lock by which one patient is written to once at a time; it goes when nobody holds it."""
    return _turns.setdefault((client.base, patient_id), asyncio.Lock())
