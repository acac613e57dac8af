"""What the demo puts on a FHIR server that others use: under names of its own, and removed in the end."""

import asyncio
import json
import re
import secrets
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from service.demo.sandbox import delete, load
from service.errors import ServerRefused, TrdError
from service.fhir.client import FhirClient
from service.fhir.kinds import KINDS, WATCHED_KINDS
from service.fhir.loose import Resource
from service.fhir.names import BASE, DEVICE_ID
from service.render.guidance import guidance_id

DEMO: Final = f"{BASE}/CodeSystem/demo"
"""System of the tag by which a patient of the demo is known, whichever run of it put her there."""
DEMO_IDENTIFIER: Final = f"{BASE}/identifier/demo"
_TAG: Final = {"system": DEMO, "code": "synthetic"}
_ID: Final = r"[A-Za-z0-9\-.]+"
_WITH_PROVENANCE: Final = ("CarePlan", "GuidanceResponse", "Task")


class PatientTaken(TrdError):
    """A patient of the server has the id of one of the demo, which would overwrite her."""

    exit_code = 2


@dataclass(slots=True)
class DemoVisit:
    """One run of the demo on a server: what its ids begin with, and the patients it brought.

    A run on a server of its own has no `name`, and leaves nothing to be removed.
    """

    name: str = ""
    patient_ids: list[str] = field(default_factory=list)
    _had_device: bool = True

    @property
    def is_guest(self) -> bool:
        """Whether others use the server as well."""
        return bool(self.name)

    def own(self, identity: str) -> str:
        """An id of this run for one of the demo."""
        return f"{self.name}-{identity}" if self.name else identity

    def rename(self, bundle: Resource) -> Resource:
        """A record under ids of this run, its patient marked as one of the demo."""
        ids = {entry["resource"]["id"] for entry in bundle["entry"]}
        renamed: Resource = _renamed(bundle, {one: self.own(one) for one in ids})
        for entry in renamed["entry"]:
            entry.pop("fullUrl", None)
            mark(entry["resource"])
        return renamed

    async def bring(self, client: FhirClient, patient_id: str, record: Any) -> None:
        """Load a record. A run that is told to stop meanwhile loads it first, so that it is removed."""
        self.patient_ids.append(patient_id)
        loading = asyncio.create_task(asyncio.to_thread(load, client.base, record))
        try:
            await asyncio.shield(loading)
        except asyncio.CancelledError:
            await asyncio.wait({loading})
            raise

    async def arrive(self, client: FhirClient) -> None:
        """Note what is on the server that the demo writes too."""
        self._had_device = await client.find(f"Device/{DEVICE_ID}") is not None

    async def unsubscribe(self, client: FhirClient) -> None:
        """Remove the Subscriptions of this run, whose service is about to end."""
        if self.is_guest:
            names = [f"Subscription/{self.own('trd-careplan')}-{kind.lower()}" for kind in WATCHED_KINDS]
            await asyncio.to_thread(delete, client.base, names)

    async def leave(self, client: FhirClient) -> list[str]:
        """Remove the patients of this run and all that names them; gives what the server did not let go."""
        if not self.is_guest or not self.patient_ids:
            return []
        written = [one async for one in _resources_of(client, self.patient_ids)]
        patients = [f"Patient/{one}" for one in self.patient_ids]
        device = [] if self._had_device else [f"Device/{DEVICE_ID}"]
        left = await asyncio.to_thread(delete, client.base, [*written, *patients, *device])
        return [one for one in left if one not in device]


def visit_somebody() -> DemoVisit:
    """A run on a server of somebody else, under a name that no other run has."""
    return DemoVisit(f"demo-{secrets.token_hex(3)}")


def mark(resource: Resource) -> None:
    """Mark a patient as one of the demo, with an identifier of its own alone."""
    if resource["resourceType"] == "Patient":
        resource["meta"] = resource.get("meta", {}) | {"tag": [_TAG]}
        resource["identifier"] = [{"system": DEMO_IDENTIFIER, "value": resource["id"]}]


def _renamed(value: Any, ids: dict[str, str]) -> Any:
    if isinstance(value, list):
        return [_renamed(part, ids) for part in value]
    if not isinstance(value, dict):
        return value
    renamed = {key: _renamed(part, ids) for key, part in value.items()}
    if "resourceType" in renamed and renamed.get("id") in ids:
        renamed["id"] = ids[renamed["id"]]
    if isinstance(renamed.get("reference"), str):
        renamed["reference"] = re.sub(
            rf"(?<=/)({_ID})(?=$|/_history)", lambda found: ids.get(found[1], found[1]), renamed["reference"]
        )
    return renamed


async def holds_others(client: FhirClient) -> bool:
    """Whether the server holds a patient who is none of the demo."""
    async for page in client.pages("Patient", {"_count": "100"}):
        for entry in page.entry:
            found = json.loads(bytes(entry.resource))
            if found.get("resourceType") == "Patient" and not is_marked(found):
                return True
    return False


def is_marked(patient: Resource) -> bool:
    """Whether a patient is one of the demo."""
    return any(tag.get("system") == DEMO for tag in patient.get("meta", {}).get("tag", []))


async def check_free(client: FhirClient, patient_ids: Iterable[str]) -> None:
    """Raise `PatientTaken` where somebody else's patient has one of these ids."""
    for one in patient_ids:
        known = await client.find(f"Patient/{one}")
        if known is not None and not is_marked(known):
            raise PatientTaken(f"Patient/{one} is there and none of the demo; it is not overwritten")


async def _resources_of(client: FhirClient, patient_ids: Iterable[str]) -> AsyncIterator[str]:
    """All that names the patients, the Provenances first, in an order in which it can be deleted."""
    offered = await client.offered()
    named = ",".join(f"Patient/{one}" for one in patient_ids)
    found = [f"GuidanceResponse/{guidance_id(one)}" for one in patient_ids]
    for kind in reversed(KINDS):
        if kind.patient is not None and kind.name in offered:
            found += [one async for one in _search(client, kind.name, patient=named)]
    targets = [one for one in found if one.partition("/")[0] in _WITH_PROVENANCE]
    for first in range(0, len(targets), 20):
        batch = ",".join(targets[first : first + 20])
        async for one in _search(client, "Provenance", target=batch):
            yield one
    for one in found:
        yield one


async def _search(client: FhirClient, kind: str, **params: str) -> AsyncIterator[str]:
    try:
        async for page in client.pages(kind, {**params, "_count": "100"}):
            for entry in page.entry:
                found = json.loads(bytes(entry.resource))
                if found.get("resourceType") == kind:
                    yield f"{kind}/{found['id']}"
    except ServerRefused:
        return
