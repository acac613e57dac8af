"""Everything concluded from one record, with the evidence for each conclusion."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date
from typing import NamedTuple

from service.core.copies import distinct_exposures
from service.core.counting import FailedTrials, count_failed, enough_failed, flag_related
from service.core.courses import Episode
from service.core.depression import DepressionFindings, assess_depression, is_ended
from service.core.episode import find_episode, find_history, shown_now
from service.core.exposures import settle_interval
from service.core.findings import Answer, Finding, Reason, ReasonCode, all_met
from service.core.knowledge import Criteria, Knowledge, TrdSeverity, UndocumentedDose
from service.core.phrases import fold
from service.core.records import (
    MEDICINE_RECORDS,
    Diagnosis,
    DoubtfulDate,
    Excluded,
    ExclusionReason,
    Exposure,
    ExposureStatus,
    Identified,
    Observation,
    Person,
    Procedure,
    Record,
    Unreadable,
    VersionedReference,
    age_in_years,
    reference_order,
)
from service.core.safety import SafetyFinding, assess_safety
from service.core.scores import Score, current_symptoms, read_scores
from service.core.staging import StagingScores, stage
from service.core.suicidality import Alert, assess_suicidality, suicidality_alerts
from service.core.treatment.course import TreatmentCourse, find_course, flag_unusual_sessions
from service.core.trials import Counts, Trial, find_trials, signs_of_treatment

ADULT_YEARS = 18
"""Esketamine is for adults only: US label 8.4, EU SmPC 4.2."""

TRD = "trd"
ACUTE = "acute-suicidality"


class Criterion(NamedTuple):
    """One criterion of a pathway and the answer to it."""

    id: str
    answer: Answer


class Pathway(NamedTuple):
    """An indication of the label: met when each of its criteria is."""

    id: str
    criteria: tuple[Criterion, ...]

    @property
    def finding(self) -> Finding:
        """The pathway's own answer."""
        return all_met(criterion.answer.finding for criterion in self.criteria)


class Missing(NamedTuple):
    """A fact that the record lacks, and which question it would decide."""

    what: str
    would_decide: str


@dataclass(frozen=True, slots=True)
class Assessment:
    """Everything concluded from one record, with the evidence for each conclusion."""

    patient: VersionedReference
    as_of: date
    knowledge: Knowledge
    age: tuple[int, int] | None
    pathways: tuple[Pathway, ...]
    anchors: tuple[VersionedReference, ...]
    """The active major depressions that the episode is dated by, the latest first."""
    episode: Episode
    trials: tuple[Trial, ...]
    failed_trials: FailedTrials
    staging: StagingScores
    scores: tuple[Score, ...]
    procedures: tuple[Procedure, ...]
    safety: tuple[SafetyFinding, ...]
    course: TreatmentCourse | None
    """The treatment that the patient is under."""
    alerts: tuple[Alert, ...]
    missing: tuple[Missing, ...]
    warnings: tuple[Reason, ...]
    excluded: tuple[Excluded, ...]
    unreadable: tuple[Unreadable, ...]
    open_elements: tuple[Unreadable, ...]
    doubtful_dates: tuple[DoubtfulDate, ...]
    not_screened: tuple[str, ...]
    of_site: tuple[VersionedReference, ...] = ()
    """The records that were read by the site's own lists."""

    def pathway(self, pathway_id: str) -> Pathway:
        """The pathway of that id."""
        return next(pathway for pathway in self.pathways if pathway.id == pathway_id)


def assess(record: Record, knowledge: Knowledge, as_of: date) -> Assessment:
    """Draw every conclusion from a record, without deciding."""
    judging = _without_assumption(knowledge) if _hides_a_dose(record) else knowledge
    criteria = judging.criteria
    record = in_stable_order(record)
    taken, set_aside = _set_aside(record.exposures, as_of)
    settled = tuple(_settled(exposure, as_of, criteria) for exposure in taken)
    exposures = distinct_exposures(settled)
    scores = read_scores(record, knowledge, as_of)
    suicidality = assess_suicidality(record, knowledge, as_of)
    depression = assess_depression(record, current_symptoms(scores, criteria, as_of), as_of)
    treated = signs_of_treatment(exposures, scores, judging, as_of) if depression.anchors else ()
    history = find_history(record, scores, treated, criteria, as_of)
    current = shown_now(depression.current, history, suicidality, criteria, as_of)
    depression = replace(depression, current=current)
    episode, warnings = find_episode(depression, history, criteria, as_of)
    trials = find_trials(exposures, scores, episode, judging)
    failed = count_failed(trials, criteria)
    pathways = _pathways(depression, enough_failed(record, trials, criteria), suicidality, criteria)
    course = find_course(record, knowledge, as_of)
    followed = course if record.follows_course else None
    safety = assess_safety(record, settled, knowledge, as_of, followed.evidence if followed else frozenset())
    age = possible_age(record.person, as_of)
    return Assessment(
        patient=record.person.evidence,
        as_of=as_of,
        knowledge=knowledge,
        age=age,
        pathways=pathways,
        anchors=_anchors(depression),
        episode=episode,
        trials=trials,
        failed_trials=failed,
        staging=stage(trials, replace(record, exposures=exposures), depression, episode, knowledge),
        scores=scores,
        procedures=record.procedures,
        safety=safety,
        course=course,
        alerts=(*suicidality_alerts(record, suicidality, knowledge, as_of), *_pathway_alerts(pathways)),
        missing=_missing(age, pathways, trials),
        warnings=(*warnings, *flag_related(trials, criteria), *flag_unusual_sessions(followed)),
        excluded=tuple(sorted((*record.excluded, *set_aside), key=str)),
        unreadable=record.unreadable,
        open_elements=record.open_elements,
        doubtful_dates=record.doubtful_dates,
        not_screened=_not_screened(record, as_of),
        of_site=tuple(sorted(record.of_site, key=str)),
    )


def _hides_a_dose(record: Record) -> bool:
    """Whether a record of a medicine cannot be read: it may state the dose that another leaves out."""
    return any(one.evidence.type in MEDICINE_RECORDS for one in record.unreadable)


def _without_assumption(knowledge: Knowledge) -> Knowledge:
    """The knowledge with criteria that take no undocumented dose as adequate."""
    return replace(
        knowledge, criteria=replace(knowledge.criteria, undocumented_dose=UndocumentedDose.INDETERMINATE)
    )


def shows_depression(found: Assessment) -> bool:
    """Whether the record has any sign of depression; without one no assessment is recorded on the server.

    That no condition or no medicine is on record leaves criteria open, but is no sign of depression.
    """
    signs = {
        reason.code
        for pathway in found.pathways
        for criterion in pathway.criteria
        if criterion.id in _SHOWING_DEPRESSION
        for reason in criterion.answer.reasons
    }
    return bool(found.trials or found.anchors or found.alerts or signs - _NO_SIGN)


_SHOWING_DEPRESSION = frozenset({"current-depression", "current-suicidality"})
_NO_SIGN = frozenset({ReasonCode.NO_CONDITIONS, ReasonCode.NO_MDD, ReasonCode.NO_SUICIDALITY})


def in_stable_order(record: Record) -> Record:
    """The record with its entries ordered by what they are, so that their order never matters."""
    return replace(
        record,
        exposures=tuple(sorted(record.exposures, key=lambda e: reference_order(e.evidence))),
        diagnoses=tuple(sorted(record.diagnoses, key=lambda d: reference_order(d.evidence))),
        signs=tuple(sorted(record.signs, key=lambda d: (reference_order(d.evidence), d.label))),
        unplaced=tuple(sorted(record.unplaced, key=str)),
        allergies=tuple(sorted(record.allergies, key=lambda a: reference_order(a.evidence))),
        observations=tuple(sorted(record.observations, key=_observation_order)),
        procedures=tuple(sorted(record.procedures, key=lambda p: reference_order(p.evidence))),
        plans=tuple(sorted(record.plans, key=lambda p: reference_order((p.evidence,)))),
        unreadable=tuple(sorted(record.unreadable, key=str)),
        open_elements=tuple(sorted(record.open_elements, key=str)),
        doubtful_dates=tuple(sorted(record.doubtful_dates, key=str)),
    )


def _observation_order(result: Observation) -> tuple[object, ...]:
    return (reference_order(result.evidence), result.measure, str(result.value), str(result.when))


def _settled(exposure: Exposure, as_of: date, criteria: Criteria) -> Exposure:
    """The exposure with its end settled; nearly all are over, and leave nothing to settle."""
    start, end = exposure.period.start, exposure.period.end
    over = end is not None and end.latest <= as_of and not exposure.period.ongoing and exposure.bounds is None
    if over and (start is None or start.latest <= as_of):
        return exposure
    return replace(exposure, period=settle_interval(exposure, as_of, criteria))


def _set_aside(
    exposures: tuple[Exposure, ...], as_of: date
) -> tuple[tuple[Exposure, ...], tuple[Excluded, ...]]:
    """Leave out medicines that are only intended or that start after the day of assessment."""
    taken: list[Exposure] = []
    excluded: list[Excluded] = []
    for exposure in exposures:
        start = exposure.period.start
        later = start is not None and start.earliest > as_of
        if exposure.status is ExposureStatus.INTENDED or later:
            reason = ExclusionReason.STARTS_LATER if later else ExclusionReason.INTENDED
            excluded.extend(Excluded(ref, reason) for ref in exposure.evidence)
        else:
            taken.append(exposure)
    return tuple(taken), tuple(excluded)


def possible_age(person: Person, day: date) -> tuple[int, int] | None:
    """Youngest and oldest possible age in years on a day; `None` when no birth date can be meant."""
    if person.born is None or person.born.earliest > day:
        return None
    youngest = age_in_years(min(person.born.latest, day), day)
    return (youngest, age_in_years(person.born.earliest, day))


def _anchors(depression: DepressionFindings) -> tuple[VersionedReference, ...]:
    """The conditions behind the episode, by onset from the latest; those without one last."""

    def order(diagnosis: Diagnosis) -> tuple[int, tuple[tuple[str, str, str], ...]]:
        begun = diagnosis.onset.earliest.toordinal() if diagnosis.onset else 0
        return (-begun, reference_order(diagnosis.evidence))

    return tuple(ref for d in sorted(depression.anchors, key=order) for ref in d.evidence)


def _pathways(
    depression: DepressionFindings, trials: Answer, suicidality: Answer, criteria: Criteria
) -> tuple[Pathway, ...]:
    current = Criterion("current-depression", depression.current)
    severe = Criterion("moderate-or-severe", depression.moderate_or_severe)
    graded = (severe,) if criteria.trd_severity is TrdSeverity.MODERATE_OR_SEVERE else ()
    return (
        Pathway(TRD, (current, *graded, Criterion("two-adequate-trials-without-relief", trials))),
        Pathway(ACUTE, (current, severe, Criterion("current-suicidality", suicidality))),
    )


def _pathway_alerts(pathways: tuple[Pathway, ...]) -> tuple[Alert, ...]:
    """When both pathways are met, name the acute protocol as the alternative."""
    if any(pathway.finding is not Finding.MET for pathway in pathways):
        return ()
    evidence = {ref for c in pathways[1].criteria for r in c.answer.reasons for ref in r.evidence}
    text = (
        "The criteria for acute suicidality are also met. The acute protocol (twice a week for four weeks) "
        "is an alternative to the proposed one."
    )
    return (Alert("acute-protocol-alternative", text, tuple(sorted(evidence, key=str))),)


def _missing(
    age: tuple[int, int] | None, pathways: tuple[Pathway, ...], trials: tuple[Trial, ...]
) -> tuple[Missing, ...]:
    """What the record lacks, and the question each fact would decide."""
    missing = [
        Missing(what, criterion.id)
        for pathway in pathways
        for criterion in pathway.criteria
        if criterion.answer.finding is Finding.INDETERMINATE
        for what in criterion.answer.needed
    ]
    missing.extend(
        Missing(f"for {trial.name}, {what}", "two-adequate-trials-without-relief")
        for trial in trials
        if trial.counts is Counts.POSSIBLY
        for what in trial.needed
    )
    if age is None or age[0] < ADULT_YEARS <= age[1]:
        missing.append(Missing("the date of birth", "adult"))
    return tuple(dict.fromkeys(missing))


def _not_screened(record: Record, as_of: date) -> tuple[str, ...]:
    """What nothing can be said about: kinds and records that were not read, then entries that no list knows.

    Entries have the names that a person knows them by: conditions, those that are over last, then medicines
    and allergies.
    """
    unplaced = [d for d in record.diagnoses if not d.recognised]
    present = (d for d in unplaced if is_ended(d, as_of) is not Finding.MET)
    over = (d for d in unplaced if is_ended(d, as_of) is Finding.MET)
    unlisted = (e for e in record.exposures if e.medicine.identified is Identified.UNLISTED)
    entries = (
        *_named((d.label, d.evidence) for d in present),
        *_named((d.label, d.evidence) for d in over),
        *(f"{name} (medicine)" for name in _named((e.medicine.label, e.evidence) for e in unlisted)),
        *(f"{name} (allergy)" for name in _named((a.label, (a.evidence,)) for a in record.unplaced)),
    )
    return (*record.not_read, *sorted(record.unread_records), *_each_once(entries))


def _named(entries: Iterable[tuple[str, tuple[VersionedReference, ...]]]) -> list[str]:
    """Entries by their labels, in alphabetical order; one without a label by its reference."""
    labels = (" ".join(label.split()) or evidence[0].name for label, evidence in entries)
    return sorted(labels, key=lambda label: (fold(label), label))


def _each_once(labels: Iterable[str]) -> tuple[str, ...]:
    """The labels without those that differ from an earlier one only in spelling."""
    first: dict[str, str] = {}
    for label in labels:
        first.setdefault(fold(label), label)
    return tuple(first.values())
