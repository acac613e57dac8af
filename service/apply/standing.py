"""What of ours stands on a server: the assessment of a patient, plans that no search lists, and our Device.

By the id that we gave it; by its identifier where the server gives ids of its own. As R4 JSON.
"""

from collections.abc import Mapping
from http import HTTPStatus

from service.errors import NotFhir, NotJson, ServerMisread, ServerRefused
from service.fhir.client import FhirClient
from service.fhir.loose import Resource, part, parts, text
from service.fhir.names import (
    ASSESSMENT_IDENTIFIER,
    DEVICE_ID,
    DEVICE_IDENTIFIER,
    GROUNDS,
    extension_value,
)
from service.fhir.references import read_reference
from service.fhir.sources import Gathered, read_owner, take_resource
from service.ids import is_id
from service.render.guidance import MISSING_PLAN, PLAN_OF, Whose, guidance_id


async def find_assessment(client: FhirClient, patient_id: str) -> Resource | None:
    """The GuidanceResponse of a patient; `None` where there is none, or the server keeps none."""
    return await _find(client, "GuidanceResponse", guidance_id(patient_id), ASSESSMENT_IDENTIFIER)


async def find_device(client: FhirClient) -> Resource | None:
    """The Device that stands for this software; `None` where there is none, or the server keeps none."""
    return await _find(client, "Device", DEVICE_ID, DEVICE_IDENTIFIER)


def outputs_of(assessment: Resource | None, name: str) -> list[Resource]:
    """The output parameters of a name of an assessment on record, however others may have left it."""
    contained = map(part, parts((assessment or {}).get("contained")))
    outputs = (part(one) for resource in contained for one in parts(resource.get("parameter")))
    return [output for output in outputs if output.get("name") == name]


async def find_unlisted_plan(
    client: FhirClient, plan_ids: Mapping[str, str | None], gathered: Gathered
) -> Gathered | None:
    """Look for plans by id before a plan is created: searches may lag, and show nothing that was deleted.

    Each id comes with what the plan goes on from, where that is known. Returns the record with the first plan
    that it does not hold yet, or `None` when there is none.
    """
    known = {source.head.id for source in gathered.sources if source.head.resource_type == "CarePlan"}
    for plan_id, goes_on_from in plan_ids.items():
        if plan_id not in known | gathered.deleted_plans.keys():
            found = await _with_plan(client, plan_id, goes_on_from, gathered)
            if found is not None:
                return found
    return None


def plans_named_in(assessment: Resource | None) -> dict[str, str | None]:
    """Ids of our plans that an assessment on record names: its result, and plans that went missing.

    Each with what the plan goes on from, where the assessment says so.
    """
    result = read_reference(text(part((assessment or {}).get("result")).get("reference"))).id_of("CarePlan")
    whose = outputs_of(assessment, PLAN_OF)
    anothers = any(output.get("valueCode") == Whose.ANOTHERS.value for output in whose)
    named = [] if anothers else [(result, output) for output in whose or [{}]]
    named += [(text(output.get("valueString")), output) for output in outputs_of(assessment, MISSING_PLAN)]
    return {
        plan_id: extension_value(output, GROUNDS) for plan_id, output in named if plan_id and is_id(plan_id)
    }


async def _with_plan(
    client: FhirClient, plan_id: str, goes_on_from: str | None, gathered: Gathered
) -> Gathered | None:
    path = f"CarePlan/{plan_id}"
    try:
        source = take_resource(await client.get(path))
        if read_owner(source) not in {gathered.patient_id, *gathered.former_ids}:
            return None
        return gathered.with_source(source)
    except (NotJson, NotFhir):
        raise ServerMisread(f"GET {path}: the answer is not a FHIR resource") from None
    except ServerRefused as refused:
        if refused.status == HTTPStatus.NOT_FOUND:
            return None
        if refused.status == HTTPStatus.GONE:
            return gathered.with_deleted_plan(plan_id, goes_on_from)
        raise


async def device_id(client: FhirClient) -> str | None:
    """The id of our Device on the server; `None` where it is not there."""
    if (await client.target()).names_ids:
        return DEVICE_ID
    found = await find_device(client)
    return None if found is None else str(found["id"])


async def _find(client: FhirClient, kind: str, identity: str, system: str) -> Resource | None:
    target = await client.target()
    if kind not in target.takes:
        return None
    if target.names_ids:
        return await client.find(f"{kind}/{identity}")
    return await client.find_by(kind, system, identity)
