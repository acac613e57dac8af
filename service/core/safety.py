"""Safety: what excludes a proposal, what a person must review first, and what the plan must warn of."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import assert_never

from service.core.dates import days_before
from service.core.depression import is_ended
from service.core.findings import Finding
from service.core.knowledge import Effect, Knowledge, Limits, Protocol, ResolvedRule, SafetyGroup
from service.core.records import (
    Allergy,
    Bound,
    ClinicalStatus,
    Diagnosis,
    Exposure,
    Identified,
    Measure,
    Observation,
    PlanStatus,
    Record,
    Role,
    Verification,
    VersionedReference,
)

PRIOR_ESKETAMINE = "prior-esketamine"
PLAN_IN_WORDS = "esketamine-plan-in-words"
PSYCHOSIS = "psychosis"
HYPERSENSITIVITY = "hypersensitivity"
UNREADABLE = "unreadable-safety-record"
BLOOD_PRESSURE = "blood-pressure"
PREGNANCY = "pregnancy"
NO_ORAL_ANTIDEPRESSANT = "no-oral-antidepressant"

INACTIVE_PATIENT = "inactive-patient-record"

SAFETY_RECORDS = frozenset({"Patient", "Condition", "AllergyIntolerance", "CarePlan"})
"""Kinds of record that may document what excludes a proposal or calls for a review."""
_STRENGTH = (Effect.CAUTION, Effect.REVIEW, Effect.EXCLUDES)


@dataclass(frozen=True, slots=True)
class SafetyFinding:
    """A safety group found on the record: its effect here, how sure, and the label section behind it."""

    id: str
    title: str
    effect: Effect
    finding: Finding
    section: str
    evidence: tuple[VersionedReference, ...]


def assess_safety(
    record: Record,
    exposures: tuple[Exposure, ...],
    knowledge: Knowledge,
    as_of: date,
    of_course: frozenset[VersionedReference] = frozenset(),
) -> tuple[SafetyFinding, ...]:
    """Every safety group found, one finding each, the strongest effect first.

    `of_course` is what belongs to a treatment under way: esketamine in it is no earlier esketamine.

    `exposures` are those of the record with their ends settled, none folded into another: a medicine
    interacts while it is taken, and a running prescription shows that as well as the fill that it led to.
    """
    groups = knowledge.safety_groups
    return merge_findings(
        (
            *_of_conditions_and_allergies(record, knowledge, as_of),
            *_of_esketamine(record, groups, of_course),
            *_of_medicines(exposures, groups, as_of),
            *_of_results(record, knowledge, as_of),
            *_of_unreadable(record, groups),
            *_of_patient(record, groups),
        )
    )


def merge_findings(findings: Iterable[SafetyFinding]) -> tuple[SafetyFinding, ...]:
    """One finding a group, the strongest effect first."""
    found: dict[str, list[SafetyFinding]] = {}
    for finding in findings:
        found.setdefault(finding.id, []).append(finding)
    merged = (_merged(same) if len(same) > 1 else same[0] for same in found.values())
    return tuple(sorted(merged, key=lambda f: (-_STRENGTH.index(f.effect), f.id)))


def _of_conditions_and_allergies(
    record: Record, knowledge: Knowledge, as_of: date
) -> Iterator[SafetyFinding]:
    groups, limits = knowledge.safety_groups, knowledge.limits
    for diagnosis in (*record.diagnoses, *record.signs):
        psychotic = diagnosis.depression is not None and diagnosis.depression.psychotic
        for group_id in dict.fromkeys((*diagnosis.safety, *([PSYCHOSIS] if psychotic else []))):
            yield from _of_diagnosis(groups[group_id], diagnosis, limits, as_of)
        for group_id in diagnosis.safety_in_words:
            yield from _of_words(groups[group_id], diagnosis, limits, as_of)
    for allergy in record.allergies:
        yield from _of_allergy(groups[allergy.group], allergy)


def _of_esketamine(
    record: Record, groups: Mapping[str, SafetyGroup], of_course: frozenset[VersionedReference]
) -> Iterator[SafetyFinding]:
    """Any esketamine or ketamine: taken, ordered or planned, or given by a plan of somebody else."""
    past = {PlanStatus.COMPLETED, PlanStatus.ON_HOLD, PlanStatus.UNKNOWN}
    others = (plan for plan in record.plans if not plan.ours and plan.status in past)
    plans = [plan.evidence for plan in others if plan.evidence not in of_course]
    if plans:
        yield from _finding(groups[PRIOR_ESKETAMINE], Effect.REVIEW, Finding.INDETERMINATE, plans)
    if record.plans_in_words:
        found = record.plans_in_words
        yield from _finding(groups[PLAN_IN_WORDS], Effect.REVIEW, Finding.INDETERMINATE, found)
    esketamine = (e for e in record.exposures if e.medicine.role is Role.ESKETAMINE)
    given = [e for e in esketamine if not of_course.issuperset(e.evidence)]
    if given:
        sure = any(e.medicine.identified is Identified.CODED for e in given)
        finding = Finding.MET if sure else Finding.INDETERMINATE
        evidence = (ref for exposure in given for ref in exposure.evidence)
        yield from _finding(groups[PRIOR_ESKETAMINE], Effect.REVIEW, finding, evidence)


def _of_medicines(
    exposures: tuple[Exposure, ...], groups: Mapping[str, SafetyGroup], as_of: date
) -> Iterator[SafetyFinding]:
    """Medicines that interact and may be taken now; one known by its words only is not certain."""
    for exposure in exposures:
        end = exposure.period.end
        if end is not None and end.latest < as_of:
            continue
        for group_id in (*exposure.medicine.interacts, *exposure.medicine.interacts_in_words):
            group = groups[group_id]
            sure = group_id in exposure.medicine.interacts and exposure.period.ongoing
            if group.effect is not None:
                finding = Finding.MET if sure else Finding.INDETERMINATE
                yield from _finding(group, group.effect, finding, exposure.evidence)


def _of_results(record: Record, knowledge: Knowledge, as_of: date) -> Iterator[SafetyFinding]:
    """A latest blood pressure that is high, and a recorded pregnancy that may not be over yet."""
    groups, limits = knowledge.safety_groups, knowledge.limits
    for measure, limit in ((Measure.SYSTOLIC, limits.systolic), (Measure.DIASTOLIC, limits.diastolic)):
        for result in _latest(record, measure, as_of):
            exceeds = _exceeds(result, limit)
            if exceeds is not Finding.NOT_MET:
                sure = exceeds is Finding.MET
                yield from _of_result(groups[BLOOD_PRESSURE], result if sure else result._replace(value=None))
    since = days_before(as_of, limits.pregnancy_days)
    for result in _latest(record, Measure.PREGNANCY_STATUS, as_of):
        recent = result.when is None or result.when.latest >= since
        if recent and result.value != 0:
            yield from _of_result(groups[PREGNANCY], result, since)


def _exceeds(result: Observation, limit: float) -> Finding:
    """Whether a pressure lies above a limit; not met where nobody can tell how high it is."""
    if result.value is None:
        return Finding.NOT_MET
    match result.bound:
        case None:
            return Finding.MET if result.value > limit else Finding.NOT_MET
        case Bound.ABOVE:
            return Finding.MET if result.value >= limit else Finding.INDETERMINATE
        case Bound.AT_LEAST:
            return Finding.MET if result.value > limit else Finding.INDETERMINATE
        case Bound.BELOW | Bound.AT_MOST:
            return Finding.NOT_MET if result.value <= limit else Finding.INDETERMINATE
        case _:
            assert_never(result.bound)


def _latest(record: Record, measure: Measure, as_of: date) -> tuple[Observation, ...]:
    """The results that may be the last of their kind; one without a date may always be.

    Only a final result with a value outdates another.
    """
    found = [r for r in record.observations if r.measure is measure]
    found = [r for r in found if r.when is None or r.when.earliest <= as_of]
    dates = [r.when.earliest for r in found if r.when is not None and r.settled and r.value is not None]
    last = max(dates, default=date.min)
    return tuple(r for r in found if r.when is None or r.when.latest >= last)


def _of_result(group: SafetyGroup, result: Observation, since: date = date.min) -> Iterator[SafetyFinding]:
    dated = result.when is not None and result.when.earliest >= since
    sure = dated and result.settled and result.value is not None and result.value > 0
    if group.effect is not None:
        finding = Finding.MET if sure else Finding.INDETERMINATE
        yield from _finding(group, group.effect, finding, result.evidence)


def _of_unreadable(record: Record, groups: Mapping[str, SafetyGroup]) -> Iterator[SafetyFinding]:
    """What cannot be read, or what the server withholds: the patient stands for records nobody can name."""
    unreadable = [
        u.evidence
        for u in record.unreadable
        if u.evidence.type in SAFETY_RECORDS or u.element == "resourceType"
    ]
    if SAFETY_RECORDS.intersection(record.refused):
        unreadable.append(record.person.evidence)
    if unreadable:
        yield from _finding(groups[UNREADABLE], Effect.REVIEW, Finding.INDETERMINATE, unreadable)


def _of_patient(record: Record, groups: Mapping[str, SafetyGroup]) -> Iterator[SafetyFinding]:
    """A record that is no longer in use: another one may be the one that is kept up."""
    if not record.person.in_use:
        yield from _finding(groups[INACTIVE_PATIENT], Effect.REVIEW, Finding.MET, [record.person.evidence])


def missing_oral_antidepressant(
    patient: VersionedReference, protocol: Protocol, knowledge: Knowledge
) -> tuple[SafetyFinding, ...]:
    """The caution that the oral antidepressant which the protocol requires is not on record as taken now.

    It names the classes that the protocol requires: another antidepressant may well be taken.
    """
    group = knowledge.safety_groups[NO_ORAL_ANTIDEPRESSANT]
    if group.effect is None:
        return ()
    classes = "" if protocol.any_antidepressant else f": {' or '.join(protocol.oral_antidepressant)}"
    found = _finding(group, group.effect, Finding.INDETERMINATE, (patient,))
    return tuple(replace(one, title=f"{one.title}{classes}") for one in found)


def _of_diagnosis(
    group: SafetyGroup, diagnosis: Diagnosis, limits: Limits, as_of: date
) -> Iterator[SafetyFinding]:
    """What a condition means: its group's effect, softened where it is unproven, over or long past."""
    effect = group.effect
    if effect is None or (group.id == PREGNANCY and _is_past_term(diagnosis, limits, as_of)):
        return
    finding = Finding.MET
    if group.within_days is not None:
        effect, finding = _of_recent(group, effect, diagnosis, as_of)
    elif is_ended(diagnosis, as_of) is Finding.MET:
        if group.resolved is ResolvedRule.IGNORE:
            return
        if group.resolved is ResolvedRule.REVIEW and effect is Effect.EXCLUDES:
            effect, finding = Effect.REVIEW, Finding.INDETERMINATE
    if diagnosis.verification is Verification.UNPROVEN:
        effect, finding = _at_most_review(effect), Finding.INDETERMINATE
    yield from _finding(group, effect, finding, diagnosis.evidence)


def _is_past_term(diagnosis: Diagnosis, limits: Limits, as_of: date) -> bool:
    """Whether every day that an entry of a pregnancy may mean lies further back than a pregnancy lasts."""
    days = (diagnosis.onset, diagnosis.recorded, diagnosis.abatement)
    latest = max((day.latest for day in days if day is not None), default=None)
    return latest is not None and latest < days_before(as_of, limits.pregnancy_days)


def _of_words(
    group: SafetyGroup, diagnosis: Diagnosis, limits: Limits, as_of: date
) -> Iterator[SafetyFinding]:
    """What a condition means that only words place in a group: at most a review, and never certain."""
    for found in _of_diagnosis(group, diagnosis, limits, as_of):
        yield replace(found, effect=_at_most_review(found.effect), finding=Finding.INDETERMINATE)


def _of_recent(
    group: SafetyGroup, effect: Effect, diagnosis: Diagnosis, as_of: date
) -> tuple[Effect, Finding]:
    """An event that matters for some days: within them its effect, after them a caution.

    An event without an onset was over by the day it was recorded.
    """
    since = days_before(as_of, group.within_days or 0)
    when = diagnosis.onset
    if when is None and diagnosis.recorded is not None and diagnosis.recorded.latest < since:
        return Effect.CAUTION, Finding.MET
    if when is None or when.earliest < since <= when.latest:
        return _at_most_review(effect), Finding.INDETERMINATE
    return (effect, Finding.MET) if when.earliest >= since else (Effect.CAUTION, Finding.MET)


def _of_allergy(group: SafetyGroup, allergy: Allergy) -> Iterator[SafetyFinding]:
    if group.effect is None:
        return
    over = allergy.clinical_status is ClinicalStatus.ENDED
    if allergy.by_text or over or allergy.verification is Verification.UNPROVEN:
        effect = _at_most_review(group.effect)
        yield from _finding(group, effect, Finding.INDETERMINATE, allergy.evidence)
    else:
        yield from _finding(group, group.effect, Finding.MET, allergy.evidence)


def _at_most_review(effect: Effect) -> Effect:
    return Effect.REVIEW if effect is Effect.EXCLUDES else effect


def _finding(
    group: SafetyGroup, effect: Effect, finding: Finding, evidence: Iterable[VersionedReference]
) -> Iterator[SafetyFinding]:
    refs = tuple(sorted(set(evidence), key=str))
    yield SafetyFinding(group.id, group.title, effect, finding, group.section, refs)


def _merged(same: list[SafetyFinding]) -> SafetyFinding:
    """The findings of one group: the strongest effect, the surest finding of it, all the evidence."""
    first = max(same, key=lambda f: (_STRENGTH.index(f.effect), f.finding is Finding.MET))
    evidence = tuple(sorted({ref for finding in same for ref in finding.evidence}, key=str))
    return replace(first, evidence=evidence)
