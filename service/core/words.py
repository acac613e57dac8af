"""The assessment in plain words."""

from collections.abc import Iterable
from datetime import date
from typing import assert_never

from service.core.assessment import Assessment
from service.core.counting import FailedTrials
from service.core.dates import PartialDate
from service.core.decision import Decision, Decline, NeedsInformation, NeedsReview, Propose, ReasonOfDecision
from service.core.findings import Finding, Reason, ReasonCode
from service.core.knowledge import Effect
from service.core.records import Grade
from service.core.schedule import Schedule
from service.core.trials import Counts, Trial

_WHY_DECLINED = {
    ReasonOfDecision.DECEASED: "the patient has died",
    ReasonOfDecision.MINOR: "the patient is under 18",
    ReasonOfDecision.IN_TREATMENT: "an esketamine plan is already active",
}


def summarise(decision: Decision) -> str:
    """One paragraph: alerts first, then the decision, what it rests on, and what is left to a clinician."""
    found = decision.assessment
    alerts = [f"Alert: {alert.text}" for alert in found.alerts]
    sentences = [*alerts, headline(decision), *_trial_sentences(found)]
    if found.warnings:
        sentences.extend(f"Note: {warning.text}." for warning in found.warnings)
    if found.not_screened:
        sentences.append(f"Not screened: {', '.join(found.not_screened)}.")
    sentences.append("This is decision support; a clinician decides.")
    return " ".join(sentences)


def headline(decision: Decision) -> str:
    """The decision in a sentence or two."""
    found = decision.assessment
    match decision:
        case Propose():
            title = (
                "treatment-resistant depression"
                if decision.reason is ReasonOfDecision.TRD
                else ("major depression with acute suicidality")
            )
            return f"The record meets the criteria for {title}. {_schedule_sentence(decision)}"
        case Decline():
            return f"No esketamine plan is proposed: {_why_declined(decision)}."
        case NeedsReview():
            why = [f.title for f in found.safety if f.effect is Effect.REVIEW]
            why = why or [warning.text for warning in found.warnings]
            return f"A clinician must review the record before any plan is proposed: {listed(why)}."
        case NeedsInformation():
            what = list(dict.fromkeys(missing.what for missing in found.missing))
            return f"The record does not decide the question. Missing: {listed(what)}."
        case _:
            assert_never(decision)


def _schedule_sentence(decision: Propose) -> str:
    if not isinstance(decision.schedule, Schedule):
        return f"No plan is drafted: {decision.schedule.why}."
    sessions = decision.schedule.sessions
    first, last = _day(sessions[0].date), _day(sessions[-1].date)
    return f"A draft plan of {len(sessions)} supervised sessions from {first} to {last} is proposed."


def _why_declined(decision: Decline) -> str:
    found = decision.assessment
    if decision.reason in _WHY_DECLINED:
        return _WHY_DECLINED[decision.reason]
    if decision.reason is ReasonOfDecision.CONTRAINDICATED:
        return listed([f"{f.title} (label section {f.section})" for f in found.safety if _excludes(f.effect)])
    reasons = [
        reason.text
        for pathway in found.pathways
        for criterion in pathway.criteria
        if criterion.answer.finding is Finding.NOT_MET
        for reason in criterion.answer.reasons
    ]
    return listed(list(dict.fromkeys(reasons)))


def _excludes(effect: Effect) -> bool:
    return effect is Effect.EXCLUDES


def _trial_sentences(found: Assessment) -> list[str]:
    """How many trials count, then a sentence for each trial."""
    if not found.trials:
        return []
    return [_count_sentence(found.failed_trials), *(trial_sentence(t, found.as_of) for t in found.trials)]


def _count_sentence(failed: FailedTrials) -> str:
    number = _NUMBERS.get(failed.definite, str(failed.definite))
    trials = "trial has" if failed.definite == 1 else "trials have"
    classes = f" of {failed.required_classes} classes" if failed.required_classes > 1 else ""
    required = f"{_NUMBERS.get(failed.required, failed.required)}{classes} are required"
    possible = _NUMBERS.get(failed.possible, str(failed.possible)).lower()
    maybe = f", and {possible} more may have" if failed.possible else ""
    return f"{number} adequate {trials} failed in this episode{maybe}; {required.lower()}."


_NUMBERS = {0: "No", 1: "One", 2: "Two", 3: "Three", 4: "Four", 5: "Five", 6: "Six", 7: "Seven", 8: "Eight"}


def trial_sentence(trial: Trial, as_of: date) -> str:
    """One sentence on a trial: what, how much, when, what came of it and whether it counts.

    Of a trial that may still go on it names no number of days, which would be another one tomorrow.
    """
    is_open = trial.ongoing or (trial.end is not None and trial.end.latest >= as_of)
    who = trial.name[:1].upper() + trial.name[1:]
    if trial.ingredient is not None:
        who += f" ({_CLASSES.get(trial.ingredient.drug_class, trial.ingredient.drug_class)})"
    head = ", ".join(filter(None, (who, _dose(trial), _when(trial, is_open=is_open), _how_known(trial))))
    outcome = "; ".join(reason.text for reason in trial.outcome.reasons)
    if trial.outcome.basis is not None:
        outcome += f" ({trial.outcome.basis.value})"
    others = [
        _said(reason, is_open=is_open)
        for reason in trial.counts_reasons
        if reason not in trial.outcome.reasons
    ]
    parts = (
        (*others, outcome)
        if trial.counts is Counts.NO
        else (*_length(trial, is_open=is_open), outcome, *others)
    )
    said = dict.fromkeys(parts)
    verdict = {Counts.YES: "counts", Counts.NO: "does not count", Counts.POSSIBLY: "may count"}[trial.counts]
    return f"{head}: {'; '.join(said)}: {verdict}."


_CLASSES = {"ATYPICAL": "atypical antidepressant", "OTHER": "antidepressant"}


def _dose(trial: Trial) -> str:
    dose = trial.daily_dose_mg
    if dose is None:
        return "dose not documented"
    return f"{dose[0]:g} mg a day" if dose[0] == dose[1] else f"{dose[0]:g} to {dose[1]:g} mg a day"


def _how_known(trial: Trial) -> str:
    """How it is known, where that is more or less than somebody's word."""
    return "" if trial.grade is Grade.STATED else trial.grade.value


def _length(trial: Trial, *, is_open: bool) -> list[str]:
    """The adequate days of a trial that is adequate, else what leaves that open."""
    if is_open or trial.adequacy.finding is not Finding.MET:
        return [_said(reason, is_open=is_open) for reason in trial.adequacy.reasons]
    shortest, longest = trial.adequate_days
    days = f"{shortest}" if shortest == longest else f"{shortest} to {longest}"
    assumed = any(reason.code is ReasonCode.DOSE_ASSUMED for reason in trial.adequacy.reasons)
    return [f"{days} days at an adequate dose{' (assumed)' if assumed else ''}"]


def _said(reason: Reason, *, is_open: bool) -> str:
    return _WITHOUT_DAYS.get(reason.code, reason.text) if is_open else reason.text


_WITHOUT_DAYS = {
    ReasonCode.ADEQUATE: "long enough at an adequate dose",
    ReasonCode.TOO_SHORT: "not yet taken for long enough",
    ReasonCode.DOSE_TOO_LOW: "not yet long enough at or above the minimum dose",
    ReasonCode.DURATION_UNCERTAIN: "the dates leave open whether it lasted long enough",
}


def _when(trial: Trial, *, is_open: bool) -> str:
    since = spoken(trial.start) if trial.start else "an unknown date"
    if trial.ongoing:
        return f"since {since}"
    if trial.end is None:
        return f"{since} to an unknown date"
    if is_open:
        return f"{since} to some day from {_day(trial.end.earliest)} on"
    return f"{since} to {spoken(trial.end)}"


WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def spoken(when: PartialDate) -> str:
    """A date for a reader, no more exact than it is known: "6 Jan 2025", "Jan 2025", "2025"."""
    first, last = when.earliest, when.latest
    if first == last:
        return _day(first)
    if when == PartialDate.parse(f"{first.year:04}"):
        return f"{first.year}"
    if when == PartialDate.parse(f"{first.year:04}-{first.month:02}"):
        return f"{_MONTHS[first.month - 1]} {first.year}"
    return f"some day from {_day(first)} until {_day(last)}"


def _day(day: date) -> str:
    return f"{day.day} {_MONTHS[day.month - 1]} {day.year}"


def listed(items: Iterable[str]) -> str:
    """Items in one line."""
    items = list(items)
    return "; ".join(items) if items else "nothing named"
