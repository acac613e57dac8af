"""What of ours stands on a server beside the plans: the assessment of a patient, and our Device.

By the id that we gave it; by its identifier where the server gives ids of its own. As R4 JSON.
"""

from service.fhir.client import FhirClient
from service.fhir.loose import part, parts
from service.fhir.names import ASSESSMENT_IDENTIFIER, DEVICE_ID, DEVICE_IDENTIFIER
from service.render.care_plan import Resource, guidance_id


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
