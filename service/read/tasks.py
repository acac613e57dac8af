"""Read our Tasks that a person completed: https://hl7.org/fhir/R4/task.html.

Only a review of the benefit tells of the treatment. Any other Task of ours says that somebody looked, and not
what came of it.
"""

from service.core.records import BenefitReview, VersionedReference
from service.core.tasks import TaskReason
from service.fhir.loose import Resource, part, parts, text
from service.fhir.names import GROUNDS, TASK_IDENTIFIER, TASK_REASONS, extension_value, identifiers_of
from service.fhir.references import read_reference
from service.read.agenda import read_day


def is_our_task(task: Resource) -> bool:
    """Whether this service wrote a Task."""
    return bool(identifiers_of(task, TASK_IDENTIFIER))


def reason_of_task(task: Resource) -> str:
    """Why a Task of ours was raised; empty where it does not say."""
    codings = map(part, parts(part(task.get("code")).get("coding")))
    reasons = (text(coding.get("code")) for coding in codings if coding.get("system") == TASK_REASONS)
    return next(reasons, "")


def read_benefit_review(task: Resource, evidence: VersionedReference) -> BenefitReview | None:
    """The review of the benefit that a Task of ours asked for; `None` where nobody completed one.

    This service only ever cancels a Task, so that a completed one is a person's.
    """
    if reason_of_task(task) != TaskReason.BENEFIT_REVIEW or task.get("status") != "completed":
        return None
    ended = text(part(task.get("executionPeriod")).get("end")) or text(task.get("lastModified"))
    return BenefitReview(
        plan=read_reference(text(part(task.get("focus")).get("reference"))).id_of("CarePlan"),
        question=extension_value(task, GROUNDS) or "",
        when=read_day(ended),
        evidence=evidence,
    )
