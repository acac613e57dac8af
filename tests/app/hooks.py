"""Requests of CDS Hooks as an EHR sends them."""

from collections.abc import Iterable
from typing import Any

from aiohttp import ClientResponse

from service.gather.supplied import SUPPLIED_KINDS, key_of
from tests.app.serving import Site
from tests.support import RXNORM, Resource, case_bundle, patient_id_of, resources_of

INSTANCE = "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea"
PROPOSED = "two-documented-failures-propose-treatment"
EXCLUDED = "an-allergy-to-ketamine-excludes"
ESKETAMINE: Resource = {"coding": [{"system": RXNORM, "code": "2119365", "display": "esketamine"}]}


def searchset(resources: Iterable[Resource], **elements: object) -> Resource:
    """What a search found."""
    found = [{"resource": resource} for resource in resources]
    return {"resourceType": "Bundle", "type": "searchset", "total": len(found), "entry": found, **elements}


def prefetch_of(resources: list[Resource]) -> dict[str, Any]:
    """The whole record of a patient, as the templates ask for it."""
    by_kind = {kind: [r for r in resources if r["resourceType"] == kind] for kind in SUPPLIED_KINDS}
    searched = {key_of(kind): searchset(found) for kind, found in by_kind.items() if kind != "Patient"}
    return {"patient": next(iter(by_kind["Patient"]), None), **searched}


def an_order(**elements: object) -> Resource:
    """A draft order of esketamine, unless said otherwise; a call says whose it is."""
    return {
        "resourceType": "MedicationRequest",
        "id": "order-1",
        "status": "draft",
        "intent": "order",
        "medicationCodeableConcept": ESKETAMINE,
        **elements,
    }


def a_call(
    hook: str, patient: str, prefetch: dict[str, Any] | None, *drafts: Resource, **elements: object
) -> Resource:
    """A request to the service of a hook."""
    context: Resource = {"userId": "Practitioner/example", "patientId": patient}
    if hook.startswith("order-"):
        context["draftOrders"] = {
            "resourceType": "Bundle",
            "type": "collection",
            "entry": [{"resource": _for(patient, draft)} for draft in drafts],
        }
    if hook == "order-select":
        context["selections"] = [f"{draft['resourceType']}/{draft['id']}" for draft in drafts]
    asked = {"hook": hook, "hookInstance": INSTANCE, "context": context, **elements}
    return asked if prefetch is None else {**asked, "prefetch": prefetch}


def _for(patient: str, draft: Resource) -> Resource:
    if draft["resourceType"] != "MedicationRequest":
        return draft
    return {"subject": {"reference": f"Patient/{patient}"}, **draft}


def of_case(name: str, hook: str = "patient-view", *drafts: Resource, **elements: object) -> Resource:
    """A request about a case, all of whose record comes along."""
    bundle = case_bundle(name)
    return a_call(hook, patient_id_of(bundle), prefetch_of(resources_of(bundle)), *drafts, **elements)


async def call(site: Site, asked: Resource, **options: Any) -> ClientResponse:
    """Call the service of the hook of a request."""
    return await site.post(f"/cds-services/esketamine-{asked['hook']}", json=asked, **options)


async def cards_of(site: Site, asked: Resource) -> list[Resource]:
    """The cards of an answer, each checked to be what the specification says of one."""
    answer = await call(site, asked)
    assert answer.status == 200, await answer.text()
    assert answer.content_type == "application/json"
    said: Resource = await answer.json()
    assert set(said) == {"cards"}
    for card in said["cards"]:
        assert 0 < len(card["summary"]) < 140
        assert card["indicator"] in {"info", "warning", "critical"}
        assert card["source"]["label"]
        assert None not in card.values()
        assert [] not in card.values()
    cards: list[Resource] = said["cards"]
    return cards
