"""The assessment in plain words."""

from typing import assert_never

from service.core.assessment import Assessment
from service.core.decision import Decision, Decline, NeedsInformation, NeedsReview, Propose, ReasonOfDecision
from service.core.findings import Finding
from service.core.knowledge import Effect
from service.core.outcome import Basis
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
    sentences = [*alerts, _headline(decision), *_trial_sentences(found)]
    if found.warnings:
        sentences.extend(f"Note: {warning.text}." for warning in found.warnings)
    if found.not_screened:
        sentences.append(f"Not screened: {', '.join(found.not_screened)}.")
    sentences.append("This is decision support; a clinician decides.")
    return " ".join(sentences)


def _headline(decision: Decision) -> str:
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
            return f"A clinician must review the record before any plan is proposed: {_list(why)}."
        case NeedsInformation():
            what = list(dict.fromkeys(missing.what for missing in found.missing))
            return f"The record does not decide the question. Missing: {_list(what)}."
        case _:
            assert_never(decision)


def _schedule_sentence(decision: Propose) -> str:
    if not isinstance(decision.schedule, Schedule):
        return f"No plan is drafted: {decision.schedule.why}."
    sessions = decision.schedule.sessions
    first, last = sessions[0].date.isoformat(), sessions[-1].date.isoformat()
    return f"A draft plan of {len(sessions)} supervised sessions from {first} to {last} is proposed."


def _why_declined(decision: Decline) -> str:
    found = decision.assessment
    if decision.reason in _WHY_DECLINED:
        return _WHY_DECLINED[decision.reason]
    if decision.reason is ReasonOfDecision.CONTRAINDICATED:
        return _list([f"{f.title} (label section {f.section})" for f in found.safety if _excludes(f.effect)])
    reasons = [
        reason.text
        for pathway in found.pathways
        for criterion in pathway.criteria
        if criterion.answer.finding is Finding.NOT_MET
        for reason in criterion.answer.reasons
    ]
    return _list(list(dict.fromkeys(reasons)))


def _excludes(effect: Effect) -> bool:
    return effect is Effect.EXCLUDES


def _trial_sentences(found: Assessment) -> list[str]:
    """How many trials count, then a sentence for each trial of the episode."""
    failed = found.failed_trials
    if not found.trials:
        return []
    count = f"{failed.definite} of {failed.required} required adequate trials failed"
    if failed.possible:
        count += f", {failed.possible} more may have"
    return [f"{count}.", *(f"{trial_sentence(trial)}" for trial in found.trials)]


def trial_sentence(trial: Trial) -> str:
    """One sentence on a trial: what, when, how much, what came of it and whether it counts."""
    dose = trial.daily_dose_mg
    mg = (
        "" if dose is None else (f" {dose[0]:g} mg" if dose[0] == dose[1] else f" {dose[0]:g}-{dose[1]:g} mg")
    )
    reasons = (*trial.outcome.reasons, *trial.counts_reasons)
    words = list(dict.fromkeys(reason.text for reason in reasons))
    inferred = " (inferred)" if trial.outcome.basis is Basis.INFERRED else ""
    verdict = {Counts.YES: "counts", Counts.NO: "does not count", Counts.POSSIBLY: "may count"}[trial.counts]
    return f"{trial.name.capitalize()}{mg}, {_when(trial)}: {'; '.join(words)}{inferred}; {verdict}."


def _when(trial: Trial) -> str:
    start = trial.start
    since = _day(start.earliest.isoformat(), start.latest.isoformat()) if start else "an unknown date"
    if trial.ongoing:
        return f"since {since}"
    end = trial.end
    until = _day(end.earliest.isoformat(), end.latest.isoformat()) if end else "an unknown date"
    return f"{since} to {until}"


def _day(earliest: str, latest: str) -> str:
    return earliest if earliest == latest else f"{earliest}/{latest}"


def _list(items: list[str]) -> str:
    return "; ".join(items) if items else "nothing named"
