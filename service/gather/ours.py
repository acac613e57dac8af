"""Find what this service wrote on a FHIR server, and the patients who are to be followed because of it."""

from collections.abc import AsyncIterator, Iterable
from datetime import date

import msgspec

from service.core.dates import PartialDate, days_before
from service.core.knowledge import Knowledge
from service.core.plans import WriteTier
from service.errors import ServerMisread, ServerRefused
from service.fhir.client import FhirClient
from service.fhir.loose import Resource, part, parts, text
from service.fhir.names import ASSESSMENT_MODULE, PLAN_IDENTIFIER
from service.fhir.references import read_reference
from service.fhir.sources import UNDECODABLE, read_subject, reports_error
from service.fhir.views import IdentifierView, View
from service.gather.searches import PAGE_SIZE, side_by_side

_OVER = frozenset({"revoked", "entered-in-error"})
"""Plans that nobody is treated by; by a completed one, treatment may go on."""


class _Owned(View):
    """By what a resource shows that it is ours."""

    resource_type: str | None = None
    identifier: list[IdentifierView] = msgspec.field(default_factory=list)
    module_uri: str | None = None

    @property
    def is_ours(self) -> bool:
        named = any(identifier.system == PLAN_IDENTIFIER for identifier in self.identifier)
        return named or self.module_uri == ASSESSMENT_MODULE


_OWNED = msgspec.json.Decoder(_Owned)


async def find_our_plans(client: FhirClient, **params: str) -> AsyncIterator[Resource]:
    """Our care plans, by the system of their identifier, as R4 JSON.

    None where the server takes no CarePlan and refuses to be searched for those of ours.
    """
    try:
        async for plan in _find_ours(client, "CarePlan", {"identifier": f"{PLAN_IDENTIFIER}|", **params}):
            yield plan
    except ServerRefused as refused:
        if refused.passing or (await client.target()).tier is not WriteTier.RETURN_ONLY:
            raise


async def find_our_assessments(client: FhirClient, **params: str) -> AsyncIterator[Resource]:
    """Our assessments, by a search that shows those of others as well; none where the server keeps none.

    R4 cannot search a GuidanceResponse by its module or performer, and not every server by its patient.
    """
    if "GuidanceResponse" in (await client.target()).takes:
        async for assessment in _find_ours(client, "GuidanceResponse", params):
            yield assessment


async def _find_ours(client: FhirClient, kind: str, params: dict[str, str]) -> AsyncIterator[Resource]:
    """Our resources of a search; an error among its results means that some may be missing."""
    async for page in client.pages(kind, {"_count": PAGE_SIZE, **params}):
        for entry in page.entry:
            try:
                view = _OWNED.decode(entry.resource)
            except UNDECODABLE:
                continue
            if view.resource_type == kind and view.is_ours:
                yield msgspec.json.decode(entry.resource)
            elif view.resource_type == "OperationOutcome" and reports_error(entry.resource):
                raise ServerMisread(
                    f"GET {kind}: the answer contains an error of the server, so resources may be missing"
                )


async def find_patients_to_follow(client: FhirClient, knowledge: Knowledge, as_of: date) -> list[str]:
    """Ids of the patients with a plan of ours that is not over, or an assessment that ended in such a plan.

    A completed plan is over once it ended so long ago that its treatment has lapsed for months.
    The assessments tell of the plans of others as well. Who was merged into another patient is followed under
    that one's id; who is no longer on the server is left out.
    """
    plans = [plan async for plan in find_our_plans(client)]
    days = max(protocol.missed.followed_days for protocol in knowledge.protocols)
    over = {plan.get("id") for plan in plans if _is_over(plan, days_before(as_of, days))}
    followed = [plan for plan in plans if plan.get("id") not in over]
    followed += [one async for one in find_our_assessments(client) if _result_of(one) not in {None, *over}]
    subjects = {read_subject(resource) for resource in followed}
    named = {subject.id for subject in subjects if subject.kind == "Patient" and subject.is_on(client.base)}
    return await find_standing_ids(client, named)


async def find_standing_ids(client: FhirClient, patient_ids: Iterable[str]) -> list[str]:
    """The ids that patients are kept under today, each once; who is no longer on the server is left out."""
    standing = await side_by_side(*(standing_id(client, patient_id) for patient_id in sorted(patient_ids)))
    return sorted({patient_id for patient_id in standing if patient_id is not None})


def _is_over(plan: Resource, earliest: date) -> bool:
    """Whether nobody is treated by a plan any more, or it was completed and ended before a day."""
    if plan.get("status") != "completed":
        return plan.get("status") in _OVER
    try:
        return PartialDate.parse(text(part(plan.get("period")).get("end"))).latest < earliest
    except ValueError:
        return False


def _result_of(assessment: Resource) -> str | None:
    """The id of the plan that an assessment ended in."""
    return read_reference(text(part(assessment.get("result")).get("reference"))).id_of("CarePlan")


async def standing_id(client: FhirClient, patient_id: str) -> str | None:
    """The id that a patient is kept under today; `None` where there is no such patient any more.

    Where a Patient cannot be read, or two are each merged into the other, it is left to the review to say so.
    """
    current, passed = patient_id, set[str]()
    while current not in passed:
        passed.add(current)
        try:
            patient = await client.find(f"Patient/{current}")
        except (ServerRefused, ServerMisread):
            return current
        if patient is None:
            return None
        current = _replaced_by(patient, client.base) or current
    return current


def _replaced_by(patient: Resource, base: str) -> str | None:
    links = [link for link in map(part, parts(patient.get("link"))) if link.get("type") == "replaced-by"]
    named = (read_reference(text(part(link.get("other")).get("reference"))) for link in links)
    return next((one.id for one in named if one.kind == "Patient" and one.is_on(base)), None)
