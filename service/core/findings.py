"""Answers with reasons: met, not met, or indeterminate and what would settle it."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from service.core.records import VersionedReference


class Finding(StrEnum):
    """A three-valued answer. Indeterminate is an answer, not an error."""

    MET = "met"
    NOT_MET = "not-met"
    INDETERMINATE = "indeterminate"


class ReasonCode(StrEnum):
    """Every reason that an answer of this service can give."""

    # adequacy of a trial
    ADEQUATE = "adequate"
    TOO_SHORT = "too-short"
    DOSE_TOO_LOW = "dose-too-low"
    DURATION_UNCERTAIN = "duration-uncertain"
    EPISODE_UNCERTAIN = "episode-uncertain"
    DOSE_ASSUMED = "dose-assumed"
    DOSE_NOT_DOCUMENTED = "dose-not-documented"
    DOSE_UNREADABLE = "dose-unreadable"
    BELOW_MINIMUM = "below-minimum-dose"
    NO_MINIMUM_DOSE = "no-minimum-dose-known"
    PRESCRIBED_ONLY = "prescribed-only"
    PRESCRIBED_TAKEN_AS_USED = "prescribed-taken-as-used"
    # outcome of a trial
    SCORE_SHOWS_FAILURE = "score-shows-failure"
    SCORE_SHOWS_RESPONSE = "score-shows-response"
    SCORE_SHOWS_PARTIAL_RESPONSE = "score-shows-partial-response"
    SCORE_DISAGREES = "score-disagrees"
    SCORE_SHOWS_RELAPSE = "score-shows-relapse"
    STOPPED_INEFFECTIVE = "stopped-ineffective"
    STOPPED_IN_REMISSION = "stopped-in-remission"
    STOPPED_INTOLERANCE = "stopped-intolerance"
    STOPPED_OTHER = "stopped-other-reason"
    STOP_REASON_UNCLEAR = "stop-reason-unclear"
    SWITCHED = "switched"
    AUGMENTED = "augmented"
    PERHAPS_AUGMENTED = "perhaps-augmented"
    ENDED_WHILE_ACTIVE = "ended-while-active"
    ONGOING = "ongoing"
    END_UNCERTAIN = "end-uncertain"
    NO_OUTCOME = "no-outcome"
    # whether a trial counts
    NEVER_A_TRIAL = "never-a-trial"
    OUTSIDE_EPISODE = "outside-episode"
    OTHER_INDICATION = "other-indication"
    INDICATION_UNCLEAR = "indication-unclear"
    INFERENCE_NOT_COUNTED = "inference-not-counted"
    TWO_ASSUMPTIONS = "two-assumptions"
    TEXT_ONLY = "text-only"
    CODE_DISPLAY_CONFLICT = "code-display-conflict"
    LOOKS_LIKE_ANTIDEPRESSANT = "looks-like-antidepressant"
    UNRESOLVED = "unresolved"
    ON_HOLD = "on-hold"
    STATUS_UNKNOWN = "status-unknown"
    # two adequate trials
    ENOUGH_TRIALS = "enough-failed-trials"
    TOO_FEW_TRIALS = "too-few-failed-trials"
    TOO_FEW_CLASSES = "too-few-classes"
    RELATED_PAIR = "related-pair"
    TRIALS_UNDECIDED = "failed-trials-undecided"
    NO_MEDICINES = "no-medicines-on-record"
    UNREADABLE_MEDICINES = "unreadable-medicines"
    HIDDEN_MEDICINES = "medicines-not-shown"
    # depression
    ACTIVE_MDD = "active-mdd"
    NO_MDD = "no-active-mdd"
    NO_CONDITIONS = "no-conditions-on-record"
    IN_REMISSION = "in-remission"
    PARTIAL_REMISSION = "partial-remission"
    UNSPECIFIED_DEPRESSION = "depression-unspecified"
    UNPROVEN_MDD = "mdd-not-confirmed"
    SCORE_IN_REMISSION = "score-in-remission"
    SCORE_SYMPTOMATIC = "score-symptomatic"
    SCORES_CONTRADICTORY = "scores-contradictory"
    STATUS_CONTRADICTORY = "status-contradictory"
    DEPRESSION_BY_TEXT = "depression-by-text-only"
    UNREADABLE_CONDITIONS = "unreadable-conditions"
    HIDDEN_CONDITIONS = "conditions-not-shown"
    EPISODE_ASSUMED = "episode-start-assumed"
    EPISODE_START_OPEN = "episode-start-open"
    SIGN_OF_DEPRESSION = "sign-of-depression"
    NO_RECENT_SIGN = "no-recent-sign-of-depression"
    NO_SIGN_SINCE_REMISSION = "no-sign-since-remission"
    SEVERITY_ENOUGH = "moderate-or-severe"
    SEVERITY_MILD = "mild"
    SEVERITY_UNKNOWN = "severity-not-stated"
    NO_PROTOCOL = "no-protocol"
    # course of treatment
    SESSIONS_TOO_CLOSE = "sessions-too-close"
    DOSE_NOT_ON_LABEL = "dose-not-on-label"
    # suicidality
    CURRENT_SUICIDALITY = "current-suicidality"
    NO_SUICIDALITY = "no-current-suicidality"
    SUICIDALITY_NOT_CURRENT = "suicidality-not-shown-current"
    SUICIDALITY_PASSIVE = "suicidality-passive"
    SUICIDALITY_UNDETERMINED = "suicidality-undetermined-intent"
    SUICIDALITY_IN_WORDS = "suicidality-in-words-only"
    SUICIDALITY_UNPROVEN = "suicidality-not-confirmed"


class Reason(NamedTuple):
    """Why an answer is what it is, in words, with the records it rests on."""

    code: ReasonCode
    text: str
    evidence: tuple[VersionedReference, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """A finding with its reasons and, where it is indeterminate, what would settle it."""

    finding: Finding
    reasons: tuple[Reason, ...] = ()
    needed: tuple[str, ...] = ()


def all_met(findings: Iterable[Finding]) -> Finding:
    """Whether every one is met: one not met decides, else one indeterminate leaves it open."""
    found = set(findings)
    for worst in (Finding.NOT_MET, Finding.INDETERMINATE):
        if worst in found:
            return worst
    return Finding.MET
