"""From an assessment to a decision: the first row of the decision table that applies."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum
from typing import NamedTuple, assert_never

from service.core.assessment import ACUTE, ADULT_YEARS, TRD, Assessment, Missing, assess, possible_age
from service.core.findings import Finding, Reason, ReasonCode
from service.core.knowledge import Effect, Knowledge, Protocol
from service.core.plans import WantedPlan, dates_of_continuation, dates_to_keep
from service.core.records import PlanOfRecord, Record
from service.core.safety import merge_findings, missing_oral_antidepressant
from service.core.schedule import Calendar, Schedule, Unschedulable, plan_sessions
from service.core.treatment.continuation import Continuation, continue_treatment
from service.core.treatment.follow import Treatment, follow_treatment
from service.core.trials import Trial


class ReasonOfDecision(StrEnum):
    """Which row of the decision table applied."""

    DECEASED = "deceased"
    MINOR = "minor"
    CONTRAINDICATED = "contraindicated"
    IN_TREATMENT = "in-treatment"
    NOT_INDICATED = "not-indicated"
    SAFETY_REVIEW = "safety-review"
    MISSING_INFORMATION = "missing-information"
    TRD = "trd"
    ACUTE_SUICIDALITY = "acute-suicidality"
    CONTINUATION = "continuation"


class DecisionName(StrEnum):
    """The four decisions."""

    PROPOSE = "propose"
    DECLINE = "decline"
    NEEDS_INFORMATION = "needs-information"
    NEEDS_REVIEW = "needs-review"


class FactKind(StrEnum):
    """What kind of record tells a fact."""

    SCORE = "score"
    CONDITION = "condition"
    MEDICINE = "medicine"
    DISPENSING = "dispensing"
    PATIENT = "patient"


class Fact(NamedTuple):
    """A fact that the record leaves open, with a value that it may have, as a clinician would say it."""

    text: str
    kind: FactKind


class Settling(NamedTuple):
    """Open facts that together would change the decision, and the decision that they would lead to."""

    facts: tuple[Fact, ...]
    leads_to: DecisionName


@dataclass(frozen=True, slots=True)
class Propose:
    """A plan is proposed for a clinician to decide on: a first one, or one that continues a treatment."""

    assessment: Assessment
    reason: ReasonOfDecision
    protocol: Protocol
    schedule: Schedule | Unschedulable
    treatment: Treatment | None = None
    continuation: Continuation | None = None


@dataclass(frozen=True, slots=True)
class Decline:
    """No plan: it is excluded, not indicated, or already under way, with the treatment if there is one."""

    assessment: Assessment
    reason: ReasonOfDecision
    treatment: Treatment | None = None


@dataclass(frozen=True, slots=True)
class NeedsReview:
    """A person must look at what was found before anything is proposed."""

    assessment: Assessment
    reason: ReasonOfDecision = ReasonOfDecision.SAFETY_REVIEW
    settles: tuple[Settling, ...] = ()


@dataclass(frozen=True, slots=True)
class NeedsInformation:
    """The record leaves the question open; the assessment names what is missing."""

    assessment: Assessment
    reason: ReasonOfDecision = ReasonOfDecision.MISSING_INFORMATION
    settles: tuple[Settling, ...] = ()
    """What would settle it, the smallest sets of facts first."""


Decision = Propose | Decline | NeedsReview | NeedsInformation


def name_of(decision: Decision) -> DecisionName:
    """The name of a decision."""
    match decision:
        case Propose():
            return DecisionName.PROPOSE
        case Decline():
            return DecisionName.DECLINE
        case NeedsInformation():
            return DecisionName.NEEDS_INFORMATION
        case NeedsReview():
            return DecisionName.NEEDS_REVIEW
        case _:
            assert_never(decision)


def treatment_of(decision: Decision) -> Treatment | None:
    """The treatment that the patient is under, if any."""
    return decision.treatment if isinstance(decision, Decline | Propose) else None


def chain_of(decision: Decision) -> tuple[PlanOfRecord, ...]:
    """The plans of the treatment that the patient is under, in order of time."""
    treatment = treatment_of(decision)
    return treatment.course.plans if treatment else ()


def settles_of(decision: Decision) -> tuple[Settling, ...]:
    """What would settle a decision that leaves something open; nothing for the others."""
    return decision.settles if isinstance(decision, NeedsInformation | NeedsReview) else ()


def decide(record: Record, knowledge: Knowledge, calendar: Calendar, as_of: date) -> Decision:
    """Assess a record and take the first row of the decision table that applies.

    The same record, knowledge, calendar and day give the same decision, whatever the order of the
    record's entries.
    """
    assessment = assess(record, knowledge, as_of)
    trd, acute = assessment.pathway(TRD).finding, assessment.pathway(ACUTE).finding
    early = _refusal(record, assessment, trd, acute)
    treatment = follow_treatment(record, assessment, calendar)
    to_review = any(finding.effect is Effect.REVIEW for finding in assessment.safety)
    if early is ReasonOfDecision.IN_TREATMENT and treatment is not None:
        return _continue(record, assessment, treatment, calendar)
    if early is ReasonOfDecision.IN_TREATMENT and to_review:
        return NeedsReview(assessment)  # nobody follows the course, so what came up in it is looked at here
    if early is not None:
        return Decline(assessment, early, treatment)
    if to_review:
        return NeedsReview(assessment)
    if Finding.MET not in {trd, acute} or assessment.age is None or assessment.age[0] < ADULT_YEARS:
        return NeedsInformation(assessment)
    pathway = TRD if trd is Finding.MET else ACUTE
    return _propose(record, assessment, pathway, calendar)


def _refusal(record: Record, assessment: Assessment, trd: Finding, acute: Finding) -> ReasonOfDecision | None:
    """Rows 1 to 4: why there is certainly no plan."""
    age, person = assessment.age, record.person
    if person.deceased or (person.died is not None and person.died.earliest <= assessment.as_of):
        return ReasonOfDecision.DECEASED
    if age is not None and age[1] < ADULT_YEARS:
        return ReasonOfDecision.MINOR
    if any(f.effect is Effect.EXCLUDES and f.finding is Finding.MET for f in assessment.safety):
        return ReasonOfDecision.CONTRAINDICATED
    if assessment.course is not None:
        return ReasonOfDecision.IN_TREATMENT
    if trd is Finding.NOT_MET and acute is Finding.NOT_MET:
        return ReasonOfDecision.NOT_INDICATED
    return None


def _continue(
    record: Record, assessment: Assessment, treatment: Treatment, calendar: Calendar
) -> Propose | Decline:
    """Row 3: the sessions that continue a treatment, where there are any to propose."""
    last = treatment.course.plans[-1]
    kept = dates_of_continuation(record.plans, last.evidence.id, assessment.as_of)
    found = continue_treatment(treatment, calendar, kept)
    if found is None:
        return Decline(assessment, ReasonOfDecision.IN_TREATMENT, treatment)
    reason, protocol = ReasonOfDecision.CONTINUATION, treatment.course.protocol
    return Propose(assessment, reason, protocol, found.schedule, treatment, found)


def _propose(record: Record, assessment: Assessment, pathway: str, calendar: Calendar) -> Decision:
    knowledge = assessment.knowledge
    options = tuple(_options(record, assessment, pathway, calendar))
    chosen = next((option for option in options if option.fits), None)
    if chosen is None and any(option.age_is_uncertain for option in options):
        missing = Missing("the date of birth", "protocol")
        return NeedsInformation(replace(assessment, missing=(*assessment.missing, missing)))
    if chosen is None:
        text = f"no {knowledge.region} protocol covers this pathway at the patient's age at the first session"
        warning = Reason(ReasonCode.NO_PROTOCOL, text, (assessment.patient,))
        return NeedsReview(replace(assessment, warnings=(*assessment.warnings, warning)))
    protocol = chosen.protocol
    if not _takes_what_it_requires(protocol, assessment.trials):
        missing_one = missing_oral_antidepressant(assessment.patient, protocol, knowledge)
        assessment = replace(assessment, safety=merge_findings((*assessment.safety, *missing_one)))
    reason = ReasonOfDecision.TRD if pathway == TRD else ReasonOfDecision.ACUTE_SUICIDALITY
    return Propose(assessment, reason, protocol, chosen.schedule)


class _Option(NamedTuple):
    """A protocol on its own days, and the ages that the patient may have at its first session."""

    protocol: Protocol
    schedule: Schedule | Unschedulable
    age: tuple[int, int] | None

    @property
    def fits(self) -> bool:
        """Whether the protocol is for every age that the patient may have."""
        limit = self.protocol.max_age
        return (
            self.age is not None
            and self.protocol.min_age <= self.age[0]
            and (limit is None or self.age[1] <= limit)
        )

    @property
    def age_is_uncertain(self) -> bool:
        """Whether the date of birth leaves more than one age open."""
        return self.age is not None and self.age[0] != self.age[1]


def _options(record: Record, assessment: Assessment, pathway: str, calendar: Calendar) -> Iterator[_Option]:
    """The region's protocols for the pathway; first those on the dates that a draft of them keeps.

    The age of a protocol without room in the calendar is that of the day of assessment.
    """
    knowledge, as_of = assessment.knowledge, assessment.as_of
    protocols = [p for p in knowledge.protocols if (p.region, p.pathway) == (knowledge.region, pathway)]
    kept = [(p, dates_to_keep(record.plans, (p.id, p.version), as_of)) for p in protocols]
    anew: list[tuple[Protocol, tuple[date, ...]]] = [(protocol, ()) for protocol in protocols]
    for protocol, keep in (*((p, dates) for p, dates in kept if dates), *anew):
        schedule = plan_sessions(protocol, calendar, as_of, keep=keep)
        first = schedule.sessions[0].date if isinstance(schedule, Schedule) else as_of
        yield _Option(protocol, schedule, possible_age(record.person, first))


def _takes_what_it_requires(protocol: Protocol, trials: tuple[Trial, ...]) -> bool:
    """Whether an oral antidepressant that the protocol requires is taken now; it may require none."""
    classes = protocol.oral_antidepressant
    return not classes or any(
        trial.ongoing
        and trial.ingredient is not None
        and trial.ingredient.not_a_trial is None
        and (protocol.any_antidepressant or trial.ingredient.drug_class in classes)
        for trial in trials
    )


def grounds_of(decision: Decision) -> tuple[str, ...]:
    """What a proposal rests on: conclusions and the versions they were drawn by; no dates, no records.

    A proposal on the same grounds is the same proposal, whenever it is made. Empty for other decisions.
    """
    if not isinstance(decision, Propose):
        return ()
    found, protocol = decision.assessment, decision.protocol
    criteria = found.knowledge.criteria
    return (
        decision.reason.value,
        *filter(None, (goes_on_from(decision),)),
        f"{protocol.id} {protocol.version}",
        f"{criteria.id} {criteria.version}",
        *sorted(f"trial {trial.name} {trial.counts.value}" for trial in found.trials),
        *sorted(f"safety {one.id} {one.effect.value} {one.finding.value}" for one in found.safety),
        *sorted(f"alert {alert.code}" for alert in found.alerts),
    )


def goes_on_from(decision: Decision) -> str | None:
    """What a continuation goes on from: a plan and a session, the sessions so far, the last known response.

    Without a change of these it is the same block of sessions. `None` for other decisions.
    """
    if not isinstance(decision, Propose) or decision.treatment is None or decision.continuation is None:
        return None
    course, block = decision.treatment.course, decision.continuation
    return (
        f"CarePlan/{block.based_on.evidence.id} session {block.first}; "
        f"{len(course.taken) + len(course.ahead)} sessions given or planned; "
        f"response {decision.treatment.last_known.value}"
    )


def wanted_plan(decision: Decision) -> WantedPlan:
    """What a decision asks of the care plan."""
    match decision:
        case Propose(schedule=Schedule()):
            return WantedPlan.PLAN
        case Decline():
            return WantedPlan.NO_PLAN
        case Propose() | NeedsReview() | NeedsInformation():
            return WantedPlan.UNDECIDED
        case _:
            assert_never(decision)
