"""The answer as JSON: the contract that other systems build on (docs/assessment.schema.json).

Fields may be added, never renamed. Keys are always present; lists may be empty.
"""

from collections.abc import Iterable
from datetime import date
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from service.core.assessment import Assessment, Criterion, Pathway
from service.core.courses import Course
from service.core.dates import PartialDate
from service.core.decision import (
    Decision,
    DecisionName,
    Propose,
    ReasonOfDecision,
    name_of,
    settles_of,
    treatment_of,
)
from service.core.findings import Answer as CoreAnswer
from service.core.findings import Finding, Reason, ReasonCode
from service.core.knowledge import Effect, Knowledge, NextCode, RuleBasis, TreatmentRule
from service.core.outcome import Basis, OutcomeFinding
from service.core.plans import PlanAction, WriteTier
from service.core.records import ExclusionReason, Grade, Measure, ProcedureKind, VersionedReference
from service.core.safety import SafetyFinding
from service.core.schedule import Schedule
from service.core.scores import Score
from service.core.staging import Range
from service.core.tasks import TaskReason, WantedTask
from service.core.treatment.course import SessionState
from service.core.treatment.follow import DueWhat, Treatment
from service.core.treatment.response import InstrumentResponse, ResponseFinding
from service.core.trials import Counts, Trial
from service.core.words import summarise


class _AnswerPart(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


Evidence = list[str]
"""Versioned references, such as `MedicationStatement/1/_history/3`."""


class Versioned(_AnswerPart):
    """A criteria set or protocol by id and version."""

    id: str
    version: str


class ReasonOut(_AnswerPart):
    """Why, in a code and in words, with the records it rests on."""

    code: ReasonCode
    text: str
    evidence: Evidence


class CriterionOut(_AnswerPart):
    """One criterion; `needed` lists the facts that would settle an indeterminate one."""

    id: Literal[
        "current-depression",
        "two-adequate-trials-without-relief",
        "moderate-or-severe",
        "current-suicidality",
    ]
    finding: Finding
    reasons: list[ReasonOut]
    needed: list[str]


class PathwayOut(_AnswerPart):
    """An indication and its criteria."""

    id: Literal["trd", "acute-suicidality"]
    finding: Finding
    criteria: list[CriterionOut]


class DateRange(_AnswerPart):
    """A date as the interval of days it may be; both `null` where it is unknown."""

    earliest: date | None
    latest: date | None


class EndRange(DateRange):
    """An end; `ongoing` when the medicine is still taken."""

    ongoing: bool


class IngredientOut(_AnswerPart):
    """A medicine; `rxnorm` is `null` for one without a sure ingredient code."""

    rxnorm: str | None
    name: str


class Days(_AnswerPart):
    """A number of days between two bounds."""

    min: int
    max: int


class DoseOut(_AnswerPart):
    """Documented daily doses in mg, lowest and highest."""

    min: float
    max: float


class CourseOut(_AnswerPart):
    """Records of one medicine without a gap longer than the grace period. Days count in the episode."""

    start: DateRange
    end: EndRange
    days: Days
    adequate_days: Days
    evidence: Evidence


class AdequacyOut(_AnswerPart):
    """Whether dose and duration were adequate."""

    finding: Finding
    reasons: list[ReasonOut]


class OutcomeOut(_AnswerPart):
    """The outcome of a trial; `basis` states whether it is documented or inferred."""

    finding: OutcomeFinding
    basis: Basis | None
    reasons: list[ReasonOut]


class TrialOut(_AnswerPart):
    """One medicine tried; `grade` is the best evidence that it was taken."""

    ingredient: IngredientOut
    start: DateRange
    end: EndRange
    courses: list[CourseOut]
    adequate_days: Days
    daily_dose_mg: DoseOut | None
    in_episode: bool
    grade: Grade
    adequacy: AdequacyOut
    outcome: OutcomeOut
    counts: Counts
    counts_reasons: list[ReasonOut]
    evidence: Evidence


class FailedTrialsOut(_AnswerPart):
    """How many trials failed, of how many classes.

    `definite` includes the inferred ones that the criteria set counts.
    """

    definite: int
    inferred: int
    possible: int
    required: int
    classes: int
    required_classes: int


class RangeOut(_AnswerPart):
    """A score between two bounds; `unknown` names the items that leave it open."""

    min: float
    max: float
    unknown: list[str]


class StagingOut(_AnswerPart):
    """Three published scales."""

    msm: RangeOut
    mgh_s: RangeOut
    thase_rush: RangeOut


class ScoreOut(_AnswerPart):
    """A symptom score that was used, and its reading on the scale."""

    scale: Measure
    value: float
    date: DateRange
    reading: Literal["symptomatic", "remission", "between"]
    evidence: Evidence


class ProcedureOut(_AnswerPart):
    """A treatment of depression that is no medicine; `done` is false where that is left open."""

    kind: ProcedureKind
    start: DateRange
    done: bool
    evidence: Evidence


class SafetyOut(_AnswerPart):
    """A safety finding; `id` is a row of `mappings/safety/groups.csv`."""

    id: str
    title: str
    effect: Effect
    finding: Literal[Finding.MET, Finding.INDETERMINATE]
    label_section: str
    evidence: Evidence


class AlertOut(_AnswerPart):
    """To be seen first, whatever the decision."""

    code: Literal["suicidality", "suicidality-history", "acute-protocol-alternative"]
    text: str
    evidence: Evidence


class MissingOut(_AnswerPart):
    """A fact that the record lacks, and what it would decide."""

    what: str
    would_decide: str


class SettlingOut(_AnswerPart):
    """The facts that together would change the decision, and the decision that they would lead to."""

    facts: list[str] = Field(
        description="What would have to be so, as a clinician would say it", min_length=1
    )
    leads_to: Literal[DecisionName.PROPOSE, DecisionName.DECLINE]


class ExcludedOut(_AnswerPart):
    """A record that took no part, and why; `element` for one that could not be read."""

    evidence: str
    reason: ExclusionReason
    element: str | None = None


class DoubtfulDateOut(_AnswerPart):
    """A date that was set aside because it cannot be meant."""

    evidence: str
    element: str
    reason: Literal["placeholder", "ends-before-it-starts"]


class SessionOut(_AnswerPart):
    """One treatment session."""

    number: int
    phase: str
    date: date
    dose_options_mg: list[int]


class DecisionPointOut(_AnswerPart):
    """A day on which a clinician decides how to go on."""

    code: Literal["benefit-review", "maintenance-review"]
    date: date
    text: str


class VisitOut(_AnswerPart):
    """What every visit takes."""

    before: list[str]
    during: list[str]
    after: list[str]


class ScheduleOut(_AnswerPart):
    """The dated sessions, and the rule after the last of them."""

    pathway: Literal["trd", "acute-suicidality"]
    protocol: Versioned
    sessions: list[SessionOut]
    decision_points: list[DecisionPointOut]
    then: str
    preparation: list[str] = Field(description="What must be done before the first session")
    visit: VisitOut


class CarePlanOut(_AnswerPart):
    """What is (or would be) done with the CarePlan, or with the document that stands in its place.

    `tier` is how the FHIR server was written to, or would be; `null` where a record is only assessed.
    """

    action: PlanAction
    reference: str | None
    why: str
    tier: WriteTier | None = None

    @property
    def left(self) -> str | None:
        """Why the plan on record stays as it is; `None` where it does not, or where there is none."""
        return self.why if self.action is PlanAction.LEAVE else None


class TaskOut(_AnswerPart):
    """What a person is (or would be) asked to look at."""

    reason: TaskReason
    text: str


class EpisodeOut(_AnswerPart):
    """The current episode; `assumed` when its start is the criteria set's look-back."""

    start: DateRange
    assumed: bool


class TreatmentSessionOut(_AnswerPart):
    """A session of a treatment; `given` is null where it was not given, or its day is open."""

    number: int | None
    planned: date | None
    given: date | None
    dose_mg: float | None
    state: SessionState
    evidence: Evidence


class InstrumentOut(_AnswerPart):
    """What one instrument says of a treatment; `change` is the latest score less the one before treatment."""

    instrument: Measure | None
    baseline: float | None
    latest: float | None
    change: float | None
    finding: ResponseFinding


class ResponseOut(InstrumentOut):
    """The response to a treatment, by the instrument that decides, with what each of them says."""

    instruments: list[InstrumentOut]


class DueOut(_AnswerPart):
    """What is due under treatment, and by when at the latest; null where no day is known."""

    what: DueWhat
    by: date | None


class NextOut(_AnswerPart):
    """What comes next under treatment; `basis` tells rules of the label, of a trial and of this service."""

    code: NextCode
    text: str
    basis: RuleBasis
    source: str


class RuleOut(_AnswerPart):
    """A rule of the treatment, and what it rests on."""

    text: str
    basis: RuleBasis
    source: str


class TreatmentOut(_AnswerPart):
    """The treatment that the patient is under. Its week counts from session 1; 0 before it.

    `frequency` is how often sessions are in maintenance, where that comes next; else null. `duration` is how
    long maintenance goes on at least; null before it, or where the label does not say.
    """

    plans: list[str]
    week: int
    phase: Literal["induction", "maintenance"]
    sessions: list[TreatmentSessionOut]
    response: ResponseOut
    due: list[DueOut]
    next: NextOut
    frequency: RuleOut | None
    duration: RuleOut | None


class SiteListsOut(_AnswerPart):
    """The version of the site's own lists, and the records that have a code which only these lists know."""

    version: str
    evidence: Evidence


class AssessmentAnswer(_AnswerPart):
    """A treatment-resistance assessment and the decision drawn from it."""

    model_config = ConfigDict(title="trd-careplan assessment")

    decision: DecisionName
    reason: ReasonOfDecision
    as_of: date
    criteria: Versioned
    knowledge_version: str
    site_lists: SiteListsOut | None = Field(
        description="The site's own lists, where a record was read by them; else null"
    )
    patient: str
    pathways: list[PathwayOut]
    episode: EpisodeOut
    trials: list[TrialOut]
    failed_trials: FailedTrialsOut
    staging: StagingOut
    scores: list[ScoreOut]
    procedures: list[ProcedureOut]
    safety: list[SafetyOut]
    alerts: list[AlertOut]
    missing: list[MissingOut]
    treatment: TreatmentOut | None
    settles: list[SettlingOut] = Field(
        description="What would settle it: at most three sets of facts, the smallest first"
    )
    warnings: list[ReasonOut]
    excluded_records: list[ExcludedOut]
    doubtful_dates: list[DoubtfulDateOut]
    not_screened: list[str] = Field(
        description="What nothing can be said about: kinds of record, records, and the names of conditions "
        "(those that are over last), medicines and allergies that no list knows"
    )
    summary: str
    schedule: ScheduleOut | None
    care_plan: CarePlanOut
    tasks: list[TaskOut] = Field(description="At most one per reason")


def answer_schema(knowledge: Knowledge) -> dict[str, Any]:
    """The JSON Schema of the answer, with the safety ids of `mappings/` as an enumeration."""
    schema = AssessmentAnswer.model_json_schema(mode="serialization")
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["$defs"]["SafetyOut"]["properties"]["id"]["enum"] = sorted(knowledge.safety_groups)
    return schema


def _site_lists(found: Assessment) -> SiteListsOut | None:
    if not found.of_site:
        return None
    return SiteListsOut(version=found.knowledge.site.version, evidence=_refs(found.of_site))


def _treatment(treatment: Treatment) -> TreatmentOut:
    course = treatment.course
    return TreatmentOut(
        plans=[str(plan.evidence) for plan in course.plans],
        week=treatment.week,
        phase=treatment.phase,
        sessions=[
            TreatmentSessionOut(
                number=session.number,
                planned=session.planned,
                given=session.given.earliest if session.given and session.given.is_exact else None,
                dose_mg=session.dose_mg,
                state=session.state,
                evidence=_refs(session.evidence),
            )
            for session in course.sessions
        ],
        response=ResponseOut(
            **_instrument(treatment.response.decisive),
            instruments=[InstrumentOut(**_instrument(one)) for one in treatment.response.instruments],
        ),
        due=[DueOut(what=due.what, by=due.by) for due in treatment.due],
        next=NextOut(**treatment.next._asdict()),
        frequency=_rule(treatment.frequency),
        duration=_rule(treatment.duration),
    )


def _rule(rule: TreatmentRule | None) -> RuleOut | None:
    return None if rule is None else RuleOut(**rule._asdict())


def _instrument(one: InstrumentResponse | None) -> dict[str, Any]:
    if one is None:
        nothing = dict.fromkeys(("instrument", "baseline", "latest", "change"))
        return {**nothing, "finding": ResponseFinding.UNKNOWN}
    return {
        "instrument": one.instrument,
        "baseline": one.baseline.value if one.baseline else None,
        "latest": one.latest.value if one.latest else None,
        "change": one.change,
        "finding": one.finding,
    }


def to_answer(decision: Decision, care_plan: CarePlanOut, tasks: Iterable[WantedTask]) -> AssessmentAnswer:
    """Put a decision and what comes of it into the shape of the contract."""
    found = decision.assessment
    criteria = found.knowledge.criteria
    unreadable = [
        ExcludedOut(evidence=str(one.evidence), reason=reason, element=one.element or None)
        for reason, fault in (
            (ExclusionReason.UNREADABLE, found.unreadable),
            (ExclusionReason.PARTLY_UNREADABLE, found.open_elements),
        )
        for one in fault
    ]
    set_aside = [ExcludedOut(evidence=str(e.evidence), reason=e.reason) for e in found.excluded]
    return AssessmentAnswer(
        decision=name_of(decision),
        reason=decision.reason,
        as_of=found.as_of,
        criteria=Versioned(id=criteria.id, version=criteria.version),
        knowledge_version=found.knowledge.version,
        site_lists=_site_lists(found),
        patient=f"Patient/{found.patient.id}",
        pathways=[_pathway(pathway) for pathway in found.pathways],
        episode=EpisodeOut(start=_date_range(found.episode.start), assumed=found.episode.assumed),
        trials=[_trial(trial) for trial in found.trials],
        failed_trials=FailedTrialsOut(**found.failed_trials._asdict()),
        staging=_staging(found),
        scores=[_score(score) for score in found.scores],
        procedures=[
            ProcedureOut(
                kind=p.kind, start=_date_range(p.period.start), done=p.done, evidence=_refs(p.evidence)
            )
            for p in found.procedures
        ],
        safety=[_safety(finding) for finding in found.safety],
        alerts=[AlertOut(code=a.code, text=a.text, evidence=_refs(a.evidence)) for a in found.alerts],
        missing=[MissingOut(**missing._asdict()) for missing in found.missing],
        treatment=_treatment(treatment) if (treatment := treatment_of(decision)) else None,
        settles=[
            SettlingOut(facts=[fact.text for fact in one.facts], leads_to=one.leads_to)
            for one in settles_of(decision)
        ],
        warnings=_reasons(found.warnings),
        excluded_records=[*set_aside, *unreadable],
        doubtful_dates=[
            DoubtfulDateOut(evidence=str(d.evidence), element=d.element, reason=d.reason)
            for d in found.doubtful_dates
        ],
        not_screened=list(found.not_screened),
        summary=summarise(decision, care_plan.left),
        schedule=_schedule(decision),
        care_plan=care_plan,
        tasks=[TaskOut(reason=task.reason, text=task.text) for task in tasks],
    )


def _refs(evidence: tuple[VersionedReference, ...]) -> Evidence:
    return [str(reference) for reference in evidence]


def _reasons(reasons: tuple[Reason, ...]) -> list[ReasonOut]:
    return [ReasonOut(code=r.code, text=r.text, evidence=_refs(r.evidence)) for r in reasons]


def _pathway(pathway: Pathway) -> PathwayOut:
    return PathwayOut(
        id=pathway.id, finding=pathway.finding, criteria=[_criterion(c) for c in pathway.criteria]
    )


def _criterion(criterion: Criterion) -> CriterionOut:
    answer = criterion.answer
    return CriterionOut(
        id=criterion.id,
        finding=answer.finding,
        reasons=_reasons(answer.reasons),
        needed=list(answer.needed),
    )


def _date_range(when: PartialDate | None) -> DateRange:
    return DateRange(earliest=when.earliest if when else None, latest=when.latest if when else None)


def _end_range(when: PartialDate | None, *, ongoing: bool) -> EndRange:
    known = when if not ongoing else None
    return EndRange(
        earliest=known.earliest if known else None, latest=known.latest if known else None, ongoing=ongoing
    )


def _days(days: tuple[int, int]) -> Days:
    return Days(min=days[0], max=days[1])


def _trial(trial: Trial) -> TrialOut:
    dose = trial.daily_dose_mg
    return TrialOut(
        ingredient=IngredientOut(
            rxnorm=trial.ingredient.rxnorm if trial.ingredient else None, name=trial.name
        ),
        start=_date_range(trial.start),
        end=_end_range(trial.end, ongoing=trial.ongoing),
        courses=[_course(course) for course in trial.courses],
        adequate_days=_days(trial.adequate_days),
        daily_dose_mg=DoseOut(min=dose[0], max=dose[1]) if dose else None,
        in_episode=trial.in_episode,
        grade=trial.grade,
        adequacy=_adequacy(trial.adequacy),
        outcome=OutcomeOut(
            finding=trial.outcome.finding, basis=trial.outcome.basis, reasons=_reasons(trial.outcome.reasons)
        ),
        counts=trial.counts,
        counts_reasons=_reasons(trial.counts_reasons),
        evidence=_refs(trial.evidence),
    )


def _course(course: Course) -> CourseOut:
    interval = course.interval
    evidence = sorted({str(ref) for exposure in course.exposures for ref in exposure.evidence})
    return CourseOut(
        start=_date_range(interval.start),
        end=_end_range(interval.end, ongoing=interval.ongoing),
        days=_days(course.days),
        adequate_days=_days(course.adequate_days),
        evidence=evidence,
    )


def _adequacy(answer: CoreAnswer) -> AdequacyOut:
    return AdequacyOut(finding=answer.finding, reasons=_reasons(answer.reasons))


def _staging(found: Assessment) -> StagingOut:
    scores = found.staging
    return StagingOut(
        msm=_range(scores.msm), mgh_s=_range(scores.mgh_s), thase_rush=_range(scores.thase_rush)
    )


def _range(score: Range) -> RangeOut:
    return RangeOut(min=score.low, max=score.high, unknown=list(score.unknown))


def _score(score: Score) -> ScoreOut:
    reading: Literal["symptomatic", "remission", "between"] = "between"
    if score.symptomatic or score.in_remission:
        reading = "symptomatic" if score.symptomatic else "remission"
    return ScoreOut(
        scale=score.scale,
        value=score.value,
        date=_date_range(score.when),
        reading=reading,
        evidence=_refs(score.evidence),
    )


def _safety(finding: SafetyFinding) -> SafetyOut:
    return SafetyOut(
        id=finding.id,
        title=finding.title,
        effect=finding.effect,
        finding=finding.finding,
        label_section=finding.section,
        evidence=_refs(finding.evidence),
    )


def _schedule(decision: Decision) -> ScheduleOut | None:
    if not isinstance(decision, Propose) or not isinstance(decision.schedule, Schedule):
        return None
    schedule = decision.schedule
    return ScheduleOut(
        pathway=schedule.protocol.pathway,
        protocol=Versioned(id=schedule.protocol.id, version=schedule.protocol.version),
        sessions=[
            SessionOut(number=s.number, phase=s.phase, date=s.date, dose_options_mg=list(s.dose_options_mg))
            for s in schedule.sessions
        ],
        decision_points=[
            DecisionPointOut(code=p.code, date=p.date, text=p.text) for p in schedule.decision_points
        ],
        then=schedule.then,
        preparation=list(schedule.preparation),
        visit=VisitOut(
            before=list(schedule.visit.before),
            during=list(schedule.visit.during),
            after=list(schedule.visit.after),
        ),
    )
