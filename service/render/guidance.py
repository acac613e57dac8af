"""Render the record of an assessment: one GuidanceResponse per patient.

https://hl7.org/fhir/R4/guidanceresponse.html
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import date
from enum import StrEnum
from types import MappingProxyType

from service.core.decision import (
    Decision,
    Fact,
    FactKind,
    NeedsInformation,
    Propose,
    Settling,
    settles_of,
    treatment_of,
)
from service.core.knowledge import Knowledge
from service.core.records import Measure
from service.core.safety import SafetyFinding
from service.core.schedule import Unschedulable
from service.core.tasks import WantedTask
from service.core.treatment.course import SessionState
from service.core.treatment.follow import Due, DueWhat, Treatment
from service.core.treatment.response import InstrumentResponse, Response
from service.core.trials import Trial
from service.core.words import describe_trial, summarise
from service.fhir.loose import Resource, part, parts
from service.fhir.names import (
    ASSESSMENT_IDENTIFIER,
    ASSESSMENT_MODULE,
    CONTENT_DIGEST,
    DEVICE_ID,
    GROUNDS,
    content_digest,
    derived_id,
    extension_value,
)
from service.publish.canonical import uris_of

TASK = "task"
"""Name of the output that holds a Task for a person."""
PLAN_OF = "plan-of"
"""Name of the output that states who wrote the resulting plan."""
MISSING_PLAN = "missing-plan"
"""Name of the output that holds a plan that is no longer listed: it may have been deleted."""
_OUTDATED = (
    "This assessment may be out of date: the record has since become too large for this service. A clinician "
    "must assess the patient."
)
_NEEDED_FROM = {
    "two-adequate-trials-without-relief": "MedicationStatement",
    "adult": "Patient",
}
_TOLD_BY = {
    FactKind.SCORE: "Observation",
    FactKind.CONDITION: "Condition",
    FactKind.MEDICINE: "MedicationStatement",
    FactKind.DISPENSING: "MedicationDispense",
    FactKind.PATIENT: "Patient",
}


class Whose(StrEnum):
    """Who made a plan."""

    OURS = "this-service"
    ANOTHERS = "another"


def render_guidance(  # noqa: PLR0913 - each is said in the record of an assessment
    decision: Decision,
    plan_id: str | None,
    left: str | None = None,
    *,
    tasks: Iterable[WantedTask] = (),
    missing_plans: Mapping[str, str | None] = MappingProxyType({}),
    goes_on_from: str | None = None,
    whose: Whose = Whose.OURS,
) -> Resource:
    """The record of the assessment: one GuidanceResponse per patient, with each criterion in its output.

    `left` is why the plan on record stays as it is, where it does; `tasks` is what a person is asked;
    `missing_plans` are plans of ours, by id, that an earlier assessment ended in and that are no longer
    listed, each with what it went on from; `goes_on_from` is that of the resulting plan; `whose` states who
    wrote that.
    """
    found = decision.assessment
    guidance: Resource = {
        "resourceType": "GuidanceResponse",
        "id": guidance_id(found.patient.id),
        "identifier": [{"system": ASSESSMENT_IDENTIFIER, "value": guidance_id(found.patient.id)}],
        "contained": [_output(decision, tasks, missing_plans)],
        "moduleUri": ASSESSMENT_MODULE,
        "status": "data-required" if isinstance(decision, NeedsInformation) else "success",
        "subject": {"reference": f"Patient/{found.patient.id}"},
        "occurrenceDateTime": found.as_of.isoformat(),
        "performer": {"reference": f"Device/{DEVICE_ID}"},
        "note": [{"text": _assessment_in_words(decision, left)}],
        "outputParameters": {"reference": "#output"},
    }
    if isinstance(decision, NeedsInformation):
        guidance["dataRequirement"] = _data_required(decision)
    if plan_id is not None:
        guidance["result"] = {"reference": f"CarePlan/{plan_id}"}
        plan_of = {"name": PLAN_OF, "valueCode": whose.value}
        guidance["contained"][0]["parameter"].append(_with_grounds(plan_of, goes_on_from))
    return sign_guidance(guidance)


def _data_required(decision: NeedsInformation) -> list[Resource]:
    """The kinds of record that a fact is missing from, then those that would settle the decision."""
    found = decision.assessment
    facts = (fact for settling in decision.settles for fact in settling.facts)
    needed = [{"type": _NEEDED_FROM.get(missing.would_decide, "Condition")} for missing in found.missing]
    needed += [_required_for(fact, found.knowledge) for fact in facts]
    return [one for place, one in enumerate(needed) if one not in needed[:place]]


def _required_for(fact: Fact, knowledge: Knowledge) -> Resource:
    if fact.kind is not FactKind.SCORE:
        return {"type": _TOLD_BY[fact.kind]}
    uris = uris_of(knowledge)
    codes = [
        {"system": uris[system], "code": code}
        for (system, code), measure in sorted(knowledge.observations.exact.items())
        if measure is Measure.PHQ_9
    ]
    return {"type": _TOLD_BY[fact.kind], "codeFilter": [{"path": "code", "code": codes}]}


def sign_guidance(guidance: Resource) -> Resource:
    """The assessment with a digest of its content, by which a change of content is recognised."""
    digest = {"url": CONTENT_DIGEST, "valueString": content_digest(guidance)}
    return {**guidance, "extension": [digest]}


def is_outdated(guidance: Resource) -> bool:
    """Whether an assessment on record was marked as out of date."""
    return extension_value(guidance, CONTENT_DIGEST) is None


def render_outdated(guidance: Resource) -> Resource:
    """The assessment on record, marked as out of date because the record cannot be read any more.

    Without a digest of its content, it is written anew by the next assessment, even one that says the same.
    """
    others = [one for one in parts(guidance.get("extension")) if part(one).get("url") != CONTENT_DIGEST]
    kept = {key: value for key, value in guidance.items() if key != "extension"}
    if others:
        kept["extension"] = others
    return {**kept, "note": [*parts(guidance.get("note")), {"text": _OUTDATED}]}


def guidance_id(patient_id: str) -> str:
    """The id of the one GuidanceResponse of a patient."""
    return derived_id("GuidanceResponse", patient_id)


def _assessment_in_words(decision: Decision, left: str | None) -> str:
    """The summary, without a schedule that stands in no plan: its dates would move on every day."""
    if isinstance(decision, Propose) and isinstance(decision.schedule, Unschedulable):
        why = "the clinic's calendar does not have enough open days for the sessions of the protocol"
        decision = replace(decision, schedule=Unschedulable(why))
    return summarise(decision, left)


def _with_grounds(parameter: Resource, goes_on_from: str | None) -> Resource:
    """An output about a plan, with what the plan goes on from."""
    if goes_on_from is None:
        return parameter
    return {"extension": [{"url": GROUNDS, "valueString": goes_on_from}], **parameter}


def _output(
    decision: Decision, tasks: Iterable[WantedTask], missing_plans: Mapping[str, str | None]
) -> Resource:
    found = decision.assessment
    parameters: list[Resource] = [
        {"name": "decision-reason", "valueCode": decision.reason.value},
        {"name": "criteria", "valueString": found.knowledge.criteria.id},
        {"name": "knowledge-version", "valueString": found.knowledge.version},
    ]
    parameters += [
        {
            "name": pathway.id,
            "part": [
                {"name": criterion.id, "valueCode": criterion.answer.finding.value}
                for criterion in pathway.criteria
            ],
        }
        for pathway in found.pathways
    ]
    parameters += [_trial(trial, found.as_of) for trial in found.trials]
    parameters += [_safety(finding) for finding in found.safety]
    parameters += [{"name": "alert", "valueString": alert.text} for alert in found.alerts]
    parameters += [
        {"name": "missing", "valueString": f"{missing.what} (decides {missing.would_decide})"}
        for missing in found.missing
    ]
    treatment = treatment_of(decision)
    if treatment is not None:
        parameters.append(_treatment(treatment))
    parameters += [_settling(settling) for settling in settles_of(decision)]
    parameters += [_task(task) for task in tasks]
    parameters += [
        _with_grounds({"name": MISSING_PLAN, "valueString": plan_id}, goes_on_from)
        for plan_id, goes_on_from in missing_plans.items()
    ]
    return {"resourceType": "Parameters", "id": "output", "parameter": parameters}


def _treatment(treatment: Treatment) -> Resource:
    """The treatment without its week, which would change with time alone; it follows from `begun`."""
    course, following = treatment.course, treatment.next
    states = [session.state for session in course.sessions]
    begun = course.begun if course.taken else None
    sessions = {
        "given": len(course.taken),
        "missed": states.count(SessionState.MISSED),
        "planned": states.count(SessionState.PLANNED),
    }
    return {
        "name": "treatment",
        "part": [
            *([{"name": "begun", "valueDate": begun.isoformat()}] if begun else []),
            {"name": "phase", "valueCode": treatment.phase},
            {
                "name": "sessions",
                "part": [{"name": state, "valueInteger": count} for state, count in sessions.items()],
            },
            _response(treatment.response),
            *(_due(due) for due in treatment.due if due.what is not DueWhat.REMS_FORM),
            {
                "name": "next",
                "part": [
                    {"name": "code", "valueCode": following.code.value},
                    {"name": "text", "valueString": following.text},
                    {"name": "basis", "valueCode": following.basis.value},
                    {"name": "source", "valueString": following.source},
                ],
            },
        ],
    }


def _response(response: Response) -> Resource:
    """The response by the instrument that decides, with what each of them says."""
    each = [{"name": "instruments", "part": _instrument(one)} for one in response.instruments]
    decisive = response.decisive
    said = _instrument(decisive) if decisive else [{"name": "finding", "valueCode": response.finding.value}]
    return {"name": "response", "part": [*said, *each]}


def _instrument(one: InstrumentResponse) -> list[Resource]:
    scores = {
        "baseline": one.baseline and one.baseline.value,
        "latest": one.latest and one.latest.value,
        "change": one.change,
    }
    return [
        {"name": "instrument", "valueCode": one.instrument.value},
        *({"name": name, "valueDecimal": value} for name, value in scores.items() if value is not None),
        {"name": "finding", "valueCode": one.finding.value},
    ]


def _due(due: Due) -> Resource:
    """What is due; by when moves on with the sessions that pass, and is told when somebody asks."""
    return {"name": "due", "part": [{"name": "what", "valueCode": due.what.value}]}


def _settling(settling: Settling) -> Resource:
    return {
        "name": "settles",
        "part": [
            *({"name": "fact", "valueString": fact.text} for fact in settling.facts),
            {"name": "leads-to", "valueCode": settling.leads_to.value},
        ],
    }


def _task(task: WantedTask) -> Resource:
    return {
        "name": TASK,
        "part": [
            {"name": "reason", "valueCode": task.reason.value},
            {"name": "grounds", "valueString": task.grounds},
        ],
    }


def _trial(trial: Trial, as_of: date) -> Resource:
    return {
        "name": "trial",
        "part": [
            {"name": "medicine", "valueString": trial.name},
            {"name": "adequacy", "valueCode": trial.adequacy.finding.value},
            {"name": "outcome", "valueCode": trial.outcome.finding.value},
            {"name": "counts", "valueCode": trial.counts.value},
            {"name": "in-words", "valueString": describe_trial(trial, as_of)},
        ],
    }


def _safety(finding: SafetyFinding) -> Resource:
    return {
        "name": "safety",
        "part": [
            {"name": "id", "valueCode": finding.id},
            {"name": "effect", "valueCode": finding.effect.value},
            {"name": "finding", "valueCode": finding.finding.value},
            {"name": "label-section", "valueString": finding.section},
        ],
    }
