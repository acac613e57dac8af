"""The command `propose`: assess a patient and write the outcome to the FHIR server."""

from collections.abc import Iterable

from service.apply.held import check_task_owner
from service.cause import Cause
from service.core.plans import PlanAction
from service.fhir.client import FhirClient
from service.review import Proposal, Reviewer


async def propose(reviewer: Reviewer, client: FhirClient, patient_id: str) -> Proposal:
    """Review a patient and write the outcome back, unless something holds it back.

    Raises `SettingsError` where the server has no resource to address Tasks to.
    """
    await check_task_owner(client, reviewer.settings)
    return await reviewer.propose(client, patient_id, cause=Cause.COMMAND)


_WITHOUT_WRITING = {PlanAction.LEAVE: "left as it is", PlanAction.NONE: "none"}
_BY_WRITING = {PlanAction.CREATE: "created", PlanAction.UPDATE: "updated", PlanAction.REVOKE: "revoked"}


def say_done(action: PlanAction, why: str, written: Iterable[str]) -> str:
    """What was done with the care plan, why, and which versions of resources were written."""
    versions = ", ".join(written)
    done = {**_WITHOUT_WRITING, **_BY_WRITING} if versions else _WITHOUT_WRITING
    return f"Care plan {done.get(action, 'not written')}: {why}. Written: {versions or 'nothing'}"
