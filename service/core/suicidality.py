"""Suicidality on the record: is it current, and what must a clinician be told whatever the decision."""

from datetime import date
from typing import NamedTuple

from service.core.dates import days_before, say_date
from service.core.depression import is_ended
from service.core.findings import Answer, Finding, Reason, ReasonCode
from service.core.knowledge import Criteria, Knowledge
from service.core.records import (
    Diagnosis,
    Observation,
    Record,
    SuicidalityKind,
    Verification,
    VersionedReference,
)

SUICIDALITY = "suicidality"
SUICIDALITY_HISTORY = "suicidality-history"

TELLING_RECORDS = frozenset({"Condition", "Observation", "QuestionnaireResponse", "Flag"})
"""Kinds of record that may document suicidality."""
_YES = 1
_NEEDED = "whether suicidal ideation or behaviour is present now"


class Alert(NamedTuple):
    """Something a clinician must see first, whatever the decision."""

    code: str
    text: str
    evidence: tuple[VersionedReference, ...]


class _Graded(NamedTuple):
    """What one condition or result says of current suicidality."""

    finding: Finding
    reason: Reason
    evidence: tuple[VersionedReference, ...]


def assess_suicidality(record: Record, knowledge: Knowledge, as_of: date) -> Answer:
    """Whether suicidal ideation or behaviour is current, by conditions and by instruments.

    Recorded or begun within the criteria set's window: met. Older, undated, passive, of undetermined intent
    or unconfirmed, but not over: indeterminate. A history or a sequela is never current, nor is a dated
    result of an instrument after the window.
    """
    criteria = knowledge.criteria
    graded = [_grade(d, criteria, as_of) for d in _diagnosed(record)]
    graded += [_grade_result(r, k, criteria, as_of) for r, k in positive_results(record, knowledge, as_of)]
    current = [reason for finding, reason, _ in graded if finding is Finding.MET]
    open_ = [reason for finding, reason, _ in graded if finding is Finding.INDETERMINATE]
    unreadable = tuple(u.evidence for u in record.unreadable if u.evidence.type in TELLING_RECORDS)
    if current:
        return Answer(Finding.MET, tuple(current))
    if unreadable:
        text = "a record that may document suicidality could not be read"
        open_.append(Reason(ReasonCode.UNREADABLE_CONDITIONS, text, unreadable))
    hidden = [kind for kind in record.refused if kind in TELLING_RECORDS]
    if hidden:
        text = f"the server does not provide records that may document suicidality ({', '.join(hidden)})"
        open_.append(Reason(ReasonCode.HIDDEN_CONDITIONS, text))
    if open_:
        return Answer(Finding.INDETERMINATE, tuple(open_), (_NEEDED,))
    evidence = tuple(ref for _, _, refs in graded for ref in refs)
    text = "no current suicidality is recorded (this is not an assessment of the risk)"
    return Answer(Finding.NOT_MET, (Reason(ReasonCode.NO_SUICIDALITY, text, evidence),))


def _diagnosed(record: Record) -> tuple[Diagnosis, ...]:
    """The conditions, flags and findings on record that document suicidality."""
    return tuple(d for d in (*record.diagnoses, *record.signs) if d.suicidality is not None)


def positive_results(
    record: Record, knowledge: Knowledge, as_of: date
) -> tuple[tuple[Observation, SuicidalityKind], ...]:
    """Results of instruments that say yes, or that cannot be told, with what they say of suicidality."""
    return tuple(
        (result, kind)
        for result in record.observations
        if (kind := knowledge.suicidality_results.get(result.measure)) is not None
        and result.value != 0
        and (result.when is None or result.when.earliest <= as_of)
    )


def _grade_result(result: Observation, kind: SuicidalityKind, criteria: Criteria, as_of: date) -> _Graded:
    """What a positive result says: only ideation with intent, told for certain and recently, is current."""
    evidence = result.evidence
    what = result.measure.value.upper()
    since = days_before(as_of, criteria.suicidality_days)
    when = result.when
    recent = when is not None and since <= when.earliest and when.latest <= as_of
    if kind is SuicidalityKind.HISTORY or (when is not None and when.latest < since):
        text = f"{what} refers to a time before the last {criteria.suicidality_days} days"
        return _Graded(Finding.NOT_MET, Reason(ReasonCode.NO_SUICIDALITY, text, evidence), evidence)
    if when is None or not recent or not result.settled or not _says_yes(result.value, kind):
        text = f"{what} is on record, without a final result from the last {criteria.suicidality_days} days"
        reason = Reason(ReasonCode.SUICIDALITY_NOT_CURRENT, text, evidence)
        return _Graded(Finding.INDETERMINATE, reason, evidence)
    if kind in {SuicidalityKind.IDEATION, SuicidalityKind.BEHAVIOUR}:
        text = f"{what} was positive within the last {criteria.suicidality_days} days ({say_date(when)})"
        return _Graded(Finding.MET, Reason(ReasonCode.CURRENT_SUICIDALITY, text, evidence), evidence)
    text = f"{what} was positive, which does not show intent or recent behaviour"
    return _Graded(Finding.INDETERMINATE, Reason(ReasonCode.SUICIDALITY_PASSIVE, text, evidence), evidence)


def _says_yes(value: float | None, kind: SuicidalityKind) -> bool:
    """Whether a value is a positive answer: yes is 1; only an item of passive thoughts has further grades."""
    if value is None or kind is not SuicidalityKind.PASSIVE:
        return value == _YES
    return value > 0


_NEVER_CERTAIN = {
    SuicidalityKind.PASSIVE: (ReasonCode.SUICIDALITY_PASSIVE, "the recorded thoughts are passive"),
    SuicidalityKind.UNDETERMINED: (
        ReasonCode.SUICIDALITY_UNDETERMINED,
        "a poisoning or an injury of undetermined intent is recorded",
    ),
    SuicidalityKind.IN_WORDS: (
        ReasonCode.SUICIDALITY_IN_WORDS,
        "suicidality is recorded in text only, without a code",
    ),
}


def _grade(diagnosis: Diagnosis, criteria: Criteria, as_of: date) -> _Graded:
    finding, reason = _of_condition(diagnosis, criteria, as_of)
    return _Graded(finding, reason, diagnosis.evidence)


def _of_condition(diagnosis: Diagnosis, criteria: Criteria, as_of: date) -> tuple[Finding, Reason]:
    evidence = diagnosis.evidence
    kind = diagnosis.suicidality
    if kind in {SuicidalityKind.HISTORY, SuicidalityKind.NON_SUICIDAL}:
        text = "a history, or self-harm without intent to die, is not current suicidality"
        return Finding.NOT_MET, Reason(ReasonCode.NO_SUICIDALITY, text, evidence)
    if is_ended(diagnosis, as_of) is Finding.MET:
        text = "the recorded suicidality has ended"
        return Finding.NOT_MET, Reason(ReasonCode.NO_SUICIDALITY, text, evidence)
    if diagnosis.verification is Verification.UNPROVEN:
        text = "the recorded suicidality is not confirmed"
        return Finding.INDETERMINATE, Reason(ReasonCode.SUICIDALITY_UNPROVEN, text, evidence)
    if kind in _NEVER_CERTAIN:
        code, text = _NEVER_CERTAIN[kind]
        return Finding.INDETERMINATE, Reason(code, text, evidence)
    since = days_before(as_of, criteria.suicidality_days)
    dates = [d for d in (diagnosis.onset, diagnosis.recorded) if d is not None]
    recent = [d for d in dates if since <= d.earliest and d.latest <= as_of]
    if recent and _is_sure(diagnosis, as_of):
        text = (
            f"suicidality was recorded or began within the last {criteria.suicidality_days} days "
            f"({say_date(max(recent))})"
        )
        return Finding.MET, Reason(ReasonCode.CURRENT_SUICIDALITY, text, evidence)
    text = f"suicidality is on record, but not dated within the last {criteria.suicidality_days} days"
    return Finding.INDETERMINATE, Reason(ReasonCode.SUICIDALITY_NOT_CURRENT, text, evidence)


def _is_sure(diagnosis: Diagnosis, as_of: date) -> bool:
    return is_ended(diagnosis, as_of) is Finding.NOT_MET


def suicidality_alerts(
    record: Record, current: Answer, knowledge: Knowledge, as_of: date
) -> tuple[Alert, ...]:
    """Alerts for every trace of suicidality, independent of the decision."""
    alerts = []
    present = {
        ref
        for reason in current.reasons
        if current.finding is not Finding.NOT_MET and reason.code is not ReasonCode.UNREADABLE_CONDITIONS
        for ref in reason.evidence
    }
    if present:
        text = (
            "Suicidality is on record: assess the risk now, in person. "
            "A draft plan does not replace this assessment."
        )
        alerts.append(Alert(SUICIDALITY, text, tuple(sorted(present, key=str))))
    told = [d.evidence for d in _diagnosed(record)]
    told += [result.evidence for result, _ in positive_results(record, knowledge, as_of)]
    past = {ref for evidence in told if not present.intersection(evidence) for ref in evidence}
    if past:
        text = "Earlier suicidality or self-harm is on record: consider it when you assess the risk."
        alerts.append(Alert(SUICIDALITY_HISTORY, text, tuple(sorted(past, key=str))))
    return tuple(alerts)
