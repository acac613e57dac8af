"""The depression itself: what conditions and the scores of the present say of it, and how severe it is."""

from dataclasses import dataclass, replace
from datetime import date
from typing import assert_never

from service.core.dates import PartialDate
from service.core.findings import Answer, Finding, Reason, ReasonCode
from service.core.records import (
    ClinicalStatus,
    DepressionState,
    Diagnosis,
    Record,
    Severity,
    Verification,
    VersionedReference,
)
from service.core.scores import Score, Symptoms

CURRENT_SCORE = "a current symptom score (PHQ-9 or MADRS)"
_STATUS = "whether a major depressive episode is present now"


@dataclass(frozen=True, slots=True)
class DepressionFindings:
    """Current depression, its severity, and the MDD that the episode is anchored in."""

    current: Answer
    moderate_or_severe: Answer
    anchors: tuple[Diagnosis, ...]


def is_ended(diagnosis: Diagnosis, as_of: date) -> Finding:
    """Whether a condition is over. Its clinical status decides, then its abatement.

    An active status beside an abatement in the past is a contradiction: indeterminate.
    """
    abated_on = diagnosis.abatement
    abated = diagnosis.abated if abated_on is None else abated_on.latest <= as_of
    maybe_abated = abated or (abated_on is not None and abated_on.earliest <= as_of)
    match diagnosis.clinical_status:
        case ClinicalStatus.ENDED | ClinicalStatus.REMISSION:
            return Finding.MET
        case ClinicalStatus.ACTIVE:
            return Finding.INDETERMINATE if maybe_abated else Finding.NOT_MET
        case ClinicalStatus.UNKNOWN:
            return Finding.MET if abated else Finding.INDETERMINATE
        case ClinicalStatus.NOT_STATED:
            if abated:
                return Finding.MET
            return Finding.INDETERMINATE if maybe_abated else Finding.NOT_MET
        case _:
            assert_never(diagnosis.clinical_status)


def assess_depression(record: Record, symptoms: Symptoms, as_of: date) -> DepressionFindings:
    """Judge current depression and its severity from the conditions on record and the latest scores.

    A condition establishes it; scores never do, but a remission that they show contradicts it.
    """
    depressions = tuple(d for d in record.diagnoses if d.depression is not None)
    active = tuple(d for d in depressions if _establishes(d, as_of))
    current = _with_scores(_current(record, depressions, active, as_of), active, symptoms)
    return DepressionFindings(current, _severity(active, current), active)


def _establishes(diagnosis: Diagnosis, as_of: date) -> bool:
    """Whether a condition by itself establishes a current major depressive episode."""
    return (
        diagnosis.depression is not None
        and diagnosis.depression.state is DepressionState.MDD
        and diagnosis.verification is not Verification.UNPROVEN
        and is_ended(diagnosis, as_of) is Finding.NOT_MET
    )


def _current(
    record: Record, depressions: tuple[Diagnosis, ...], active: tuple[Diagnosis, ...], as_of: date
) -> Answer:
    if active:
        return _contradicted(depressions, active, as_of) or Answer(
            Finding.MET,
            (Reason(ReasonCode.ACTIVE_MDD, "active major depression is on record", _refs(active)),),
        )
    doubts = tuple(doubt for d in depressions if (doubt := _doubt(d, as_of)) is not None)
    by_text = tuple(d for d in record.diagnoses if d.suggests_depression)
    if by_text:
        text = "a condition names depression in text, without a code for the type"
        doubts = (*doubts, Reason(ReasonCode.DEPRESSION_BY_TEXT, text, _refs(by_text)))
    unreadable = tuple(u.evidence for u in record.unreadable if u.evidence.type == "Condition")
    if unreadable:
        text = "a condition on record could not be read"
        doubts = (*doubts, Reason(ReasonCode.UNREADABLE_CONDITIONS, text, unreadable))
    if "Condition" in record.refused:
        text = "the server does not provide the conditions on record"
        doubts = (*doubts, Reason(ReasonCode.HIDDEN_CONDITIONS, text))
    elif not record.diagnoses and not unreadable and "Condition" not in record.none_known:
        text = "no condition is on record"
        doubts = (Reason(ReasonCode.NO_CONDITIONS, text),)
    elif "Condition" in record.not_read:
        text = "the record says that there is no information about conditions"
        doubts = (*doubts, Reason(ReasonCode.NO_CONDITIONS, text))
    if doubts:
        return Answer(Finding.INDETERMINATE, doubts, (_STATUS,))
    remitted = tuple(d for d in depressions if is_in_remission(d))
    if remitted:
        text = "the depression is recorded as in remission"
        return Answer(Finding.NOT_MET, (Reason(ReasonCode.IN_REMISSION, text, _refs(remitted)),))
    text = "no active major depression is on record"
    return Answer(Finding.NOT_MET, (Reason(ReasonCode.NO_MDD, text, _refs(depressions)),))


def _with_scores(current: Answer, active: tuple[Diagnosis, ...], symptoms: Symptoms) -> Answer:
    """The answer of the conditions, set against the scores of the present."""
    remission, undecided = _scores(symptoms.in_remission), _scores(symptoms.undecided)
    if current.finding is not Finding.MET:
        reasons = (*current.reasons, *_shown(symptoms))
        return replace(current, reasons=reasons) if current.finding is Finding.INDETERMINATE else current
    if undecided:
        text = "the latest symptom scores do not show whether the depression is in remission"
        reason = Reason(ReasonCode.SCORES_CONTRADICTORY, text, (*_refs(active), *undecided))
        return Answer(Finding.INDETERMINATE, (reason,), (CURRENT_SCORE, _STATUS))
    if not remission:
        return replace(current, reasons=(*current.reasons, *_shown(symptoms)))
    relapse = _last_relapse(active)
    if relapse is not None and all(s.when.latest < relapse.earliest for s in symptoms.in_remission):
        text = "a symptom score was in remission shortly before the depression was recorded as active"
        reason = Reason(ReasonCode.SCORES_CONTRADICTORY, text, (*_refs(active), *remission))
        return Answer(Finding.INDETERMINATE, (reason,), (CURRENT_SCORE, _STATUS))
    return Answer(Finding.NOT_MET, _shown(symptoms))


def _shown(symptoms: Symptoms) -> tuple[Reason, ...]:
    """What the scores of the present show, as reasons."""
    shown = (
        (ReasonCode.SCORE_SYMPTOMATIC, "shows symptoms now", symptoms.symptomatic),
        (ReasonCode.SCORE_IN_REMISSION, "is in the range of remission", symptoms.in_remission),
        (ReasonCode.SCORES_CONTRADICTORY, "disagree with one another", symptoms.undecided),
    )
    return tuple(
        Reason(code, f"{', '.join(map(str, scores))} {text}", _scores(scores))
        for code, text, scores in shown
        if scores
    )


def _scores(scores: tuple[Score, ...]) -> tuple[VersionedReference, ...]:
    return tuple(ref for score in scores for ref in score.evidence)


def _doubt(diagnosis: Diagnosis, as_of: date) -> Reason | None:
    """Why a depression on record neither establishes a current episode nor is over."""
    if diagnosis.depression is None or is_in_remission(diagnosis):
        return None
    ended = is_ended(diagnosis, as_of)
    if ended is Finding.MET:
        return None
    evidence = diagnosis.evidence
    if diagnosis.depression.state is DepressionState.PARTIAL_REMISSION:
        text = "the depression is recorded as in partial remission"
        return Reason(ReasonCode.PARTIAL_REMISSION, text, evidence)
    if diagnosis.depression.state is DepressionState.UNSPECIFIED:
        text = "the record does not specify that the depression is major depression"
        return Reason(ReasonCode.UNSPECIFIED_DEPRESSION, text, evidence)
    if diagnosis.verification is Verification.UNPROVEN:
        return Reason(ReasonCode.UNPROVEN_MDD, "the major depression is not confirmed", evidence)
    if diagnosis.clinical_status is ClinicalStatus.UNKNOWN:
        code, text = (
            ReasonCode.STATUS_UNKNOWN,
            "the record states that it is unknown whether the depression is still present",
        )
    else:
        code = ReasonCode.STATUS_CONTRADICTORY
        text = "the record states both that the depression is active and that it has ended"
    return Reason(code, text, evidence)


def _ended_after_its_visit(diagnosis: Diagnosis) -> bool:
    """Whether the diagnosis of a visit has an end that may be later than the day of the visit."""
    began, ended = diagnosis.onset or diagnosis.recorded, diagnosis.abatement
    return ended is not None and (began is None or ended.latest > began.earliest)


def is_in_remission(diagnosis: Diagnosis) -> bool:
    """Whether a depression is coded or marked as in (full) remission, and that is not refuted."""
    if diagnosis.depression is None or diagnosis.verification is Verification.UNPROVEN:
        return False
    if diagnosis.clinical_status is ClinicalStatus.REMISSION:
        return diagnosis.depression.state is not DepressionState.UNSPECIFIED
    remission = diagnosis.depression.state is DepressionState.REMISSION
    return remission and diagnosis.clinical_status is not ClinicalStatus.ENDED


def _contradicted(
    depressions: tuple[Diagnosis, ...], active: tuple[Diagnosis, ...], as_of: date
) -> Answer | None:
    """A remission on record contradicts an active MDD, unless it came before that MDD began.

    A partial remission that may have come after it leaves the question open, and so does a later record of a
    depression that is over: the active one may just never have been closed.
    """
    remissions = tuple(d for d in depressions if is_in_remission(d))
    relapse = _last_relapse(active)
    later = tuple(d for d in remissions if _came_after(d, relapse))
    undecided = tuple(d for d in remissions if not _came_before(d, relapse))
    if later:
        text = "the depression was recorded as in remission after it was recorded as active"
        return Answer(Finding.NOT_MET, (Reason(ReasonCode.IN_REMISSION, text, _refs(later)),))
    if undecided:
        text = "the record states both active depression and remission, but not which came last"
        evidence = _refs((*active, *undecided))
        reason = Reason(ReasonCode.STATUS_CONTRADICTORY, text, evidence)
        return Answer(Finding.INDETERMINATE, (reason,), (CURRENT_SCORE, _STATUS))
    partial = tuple(d for d in depressions if _in_partial_remission(d) and not _came_before(d, relapse))
    if partial:
        text = "a partial remission is on record that does not predate the active depression"
        reason = Reason(ReasonCode.PARTIAL_REMISSION, text, _refs((*active, *partial)))
        return Answer(Finding.INDETERMINATE, (reason,), (_STATUS,))
    over = tuple(d for d in depressions if _ended_after(d, relapse, as_of))
    if over:
        text = "a later record of the depression says that it is over"
        reason = Reason(ReasonCode.STATUS_CONTRADICTORY, text, _refs((*active, *over)))
        return Answer(Finding.INDETERMINATE, (reason,), (CURRENT_SCORE, _STATUS))
    return None


def _ended_after(diagnosis: Diagnosis, relapse: PartialDate | None, as_of: date) -> bool:
    """Whether a depression that is over may have ended, or been recorded, after the active one began.

    The diagnosis of a visit is closed with the visit, which says nothing of the depression.
    """
    if diagnosis.at_visit and not _ended_after_its_visit(diagnosis):
        return False
    if diagnosis.verification is Verification.UNPROVEN or is_ended(diagnosis, as_of) is not Finding.MET:
        return False
    ended = diagnosis.abatement or diagnosis.recorded or diagnosis.onset
    return relapse is not None and ended is not None and ended.latest > relapse.earliest


def _in_partial_remission(diagnosis: Diagnosis) -> bool:
    """Whether a depression is coded as in partial remission, and that is neither over nor unproven."""
    return (
        diagnosis.depression is not None
        and diagnosis.depression.state is DepressionState.PARTIAL_REMISSION
        and diagnosis.verification is not Verification.UNPROVEN
        and diagnosis.clinical_status not in {ClinicalStatus.ENDED, ClinicalStatus.REMISSION}
    )


def _last_relapse(active: tuple[Diagnosis, ...]) -> PartialDate | None:
    """When the latest of the active depressions began; `None` where one of them is undated."""
    began = [since for d in active if (since := _known_since(d)) is not None]
    if len(began) < len(active):
        return None
    return PartialDate(max(since.earliest for since in began), max(since.latest for since in began))


def _came_after(remission: Diagnosis, relapse: PartialDate | None) -> bool:
    since = _known_since(remission)
    return since is not None and relapse is not None and since.earliest > relapse.latest


def _came_before(remission: Diagnosis, relapse: PartialDate | None) -> bool:
    since = _known_since(remission)
    return since is not None and relapse is not None and since.latest < relapse.earliest


def _known_since(diagnosis: Diagnosis) -> PartialDate | None:
    """When a condition was written down, else when it began."""
    return diagnosis.recorded or diagnosis.onset


def _severity(active: tuple[Diagnosis, ...], current: Answer) -> Answer:
    """Moderate or severe on any active MDD; unstated severity, or a later mild one, leaves it open."""
    stated = {d.depression.severity for d in active if d.depression is not None}
    evidence = _refs(active)
    needed = ("how severe the depression is now",)
    if _has_eased(active):
        text = "the depression was recorded as moderate or severe, and later as mild"
        return Answer(Finding.INDETERMINATE, (Reason(ReasonCode.SEVERITY_UNKNOWN, text, evidence),), needed)
    for severity in (Severity.SEVERE, Severity.MODERATE):
        if severity in stated:
            text = f"the active depression is recorded as {severity.value}"
            return Answer(Finding.MET, (Reason(ReasonCode.SEVERITY_ENOUGH, text, evidence),))
    if stated == {Severity.MILD}:
        text = "the active depression is recorded as mild"
        return Answer(Finding.NOT_MET, (Reason(ReasonCode.SEVERITY_MILD, text, evidence),))
    if not active and current.finding is Finding.NOT_MET:
        text = "there is no active major depression to grade"
        return Answer(Finding.NOT_MET, (Reason(ReasonCode.NO_MDD, text),))
    text = "the record does not state how severe the depression is"
    return Answer(Finding.INDETERMINATE, (Reason(ReasonCode.SEVERITY_UNKNOWN, text, evidence),), needed)


def _has_eased(active: tuple[Diagnosis, ...]) -> bool:
    """Whether the MDD was recorded as mild after all that was recorded as moderate or severe."""
    worse = _graded(active, Severity.MODERATE, Severity.SEVERE)
    last = _last_relapse(worse) if worse else None
    return any(_came_after(mild, last) for mild in _graded(active, Severity.MILD))


def _graded(active: tuple[Diagnosis, ...], *severities: Severity) -> tuple[Diagnosis, ...]:
    return tuple(d for d in active if d.depression is not None and d.depression.severity in severities)


def _refs(diagnoses: tuple[Diagnosis, ...]) -> tuple[VersionedReference, ...]:
    return tuple(ref for diagnosis in diagnoses for ref in diagnosis.evidence)
