"""The command `propose`: assess a patient and write the outcome to the FHIR server."""

from service.cause import Cause
from service.fhir.client import FhirClient
from service.review import Proposal, Reviewer, check_task_owner


async def propose(reviewer: Reviewer, client: FhirClient, patient_id: str) -> Proposal:
    """Review a patient and write the outcome back, unless something holds it back.

    Raises `SettingsError` where the server has no resource to address Tasks to.
    """
    await check_task_owner(client, reviewer.settings)
    return await reviewer.propose(client, patient_id, cause=Cause.COMMAND)
