"""Write that a draft of ours was withdrawn by hand: the revoked plan and its Provenance."""

from service.apply.revocation import store_outcome
from service.apply.send import Write
from service.core.records import VersionedReference
from service.fhir.client import FhirClient
from service.fhir.loose import Resource
from service.render.care_plan import render_withdrawn
from service.render.provenance import render_withdrawal


async def write_withdrawal(
    client: FhirClient, plan: Resource, *, reason: str, grounds: str, recorded: str
) -> None:
    """Revoke a draft, only over the version that was looked at.

    Raises `ServerRefused` with 409 or 412 when somebody was faster, and `NotRevoked` as `store_outcome` does.
    """
    evidence = VersionedReference("CarePlan", plan["id"], plan["meta"]["versionId"])
    revoked = render_withdrawn(plan, reason, grounds)
    await store_outcome(
        client,
        [Write.over(evidence.version, revoked)],
        lambda targets: render_withdrawal(evidence, targets[0], reason, recorded),
        recorded=recorded,
    )
