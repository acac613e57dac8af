"""The assessment as sentences for a clinician."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date
from typing import assert_never

from service.core.assessment import Assessment
from service.core.counting import FailedTrials
from service.core.dates import PartialDate, say_date
from service.core.decision import (
    Decision,
    DecisionName,
    Decline,
    NeedsInformation,
    NeedsReview,
    Propose,
    ReasonOfDecision,
)
from service.core.findings import Finding, Reason, ReasonCode
from service.core.knowledge import Effect
from service.core.records import Grade, Measure
from service.core.schedule import Schedule, Unschedulable
from service.core.treatment.course import SessionState
from service.core.treatment.follow import Treatment
from service.core.treatment.response import Response, ResponseFinding
from service.core.trials import Counts, Trial

_WHY_DECLINED = {
    ReasonOfDecision.DECEASED: "the patient has died",
    ReasonOfDecision.MINOR: "the patient is under 18",
    ReasonOfDecision.IN_TREATMENT: "an esketamine care plan is under way, which is not followed here",
}


def summarise(decision: Decision, left: str | None = None) -> str:
    """One paragraph: the alerts, the decision, the trials behind it, and what a clinician has to consider.

    `left` is why the plan on record stays as it is, where it does: then no plan is announced beside it.
    """
    found = decision.assessment
    decision = beside_plan(decision, left)
    alerts = [f"Alert: {alert.text}" for alert in found.alerts]
    sentences = [*alerts, state_decision(decision), *_trial_sentences(found)]
    if found.warnings:
        sentences.extend(f"Note: {warning.text}." for warning in found.warnings)
    if found.of_site:
        sentences.append(name_site_lists(found))
    if found.not_screened:
        sentences.append(f"Not screened: {list_not_screened(found.not_screened)}.")
    sentences.append("This is decision support; a clinician decides.")
    return " ".join(sentences)


def beside_plan(decision: Decision, left: str | None) -> Decision:
    """The decision where the plan on record stays as it is, and why: then no other one is drafted."""
    if left is None or not isinstance(decision, Propose) or not isinstance(decision.schedule, Schedule):
        return decision
    return replace(decision, schedule=Unschedulable(f"the plan on record is kept unchanged ({left})"))


def name_site_lists(found: Assessment) -> str:
    """A sentence that names the site's own lists and the records that were read by them."""
    names = _list_some([evidence.name for evidence in found.of_site])
    return f"The site's own lists ({found.knowledge.site.version}) were used to read {names}."


def state_decision(decision: Decision) -> str:
    """The decision in two sentences, then what would settle it where it leaves something open."""
    found = decision.assessment
    match decision:
        case Propose(treatment=Treatment() as treatment):
            return f"{state_treatment(treatment)} {_schedule_sentence(decision)}"
        case Propose():
            title = (
                "treatment-resistant depression"
                if decision.reason is ReasonOfDecision.TRD
                else ("major depression with acute suicidality")
            )
            return f"The record meets the criteria for {title}. {_schedule_sentence(decision)}"
        case Decline(treatment=Treatment() as treatment):
            goes_on = decision.reason is ReasonOfDecision.IN_TREATMENT
            then = _state_next(treatment) if goes_on else _state_reasons(why_declined(decision))
            return f"{_state_course(treatment)} {then}"
        case Decline():
            return f"No esketamine plan is proposed. {_state_reasons(why_declined(decision))}"
        case NeedsReview():
            why = [f.title for f in found.safety if f.effect is Effect.REVIEW]
            why = why or [warning.text for warning in found.warnings]
            stated = f"A clinician must review the record before a plan is proposed. {_state_reasons(why)}"
            return " ".join([stated, *_settling_sentences(decision)])
        case NeedsInformation():
            what = list(dict.fromkeys(missing.what for missing in found.missing))
            stated = f"The record does not hold enough information to decide. Missing: {join_items(what)}."
            return " ".join([stated, *_settling_sentences(decision)])
        case _:
            assert_never(decision)


def _settling_sentences(decision: NeedsInformation | NeedsReview) -> list[str]:
    return [state_settling((fact.text for fact in one.facts), one.leads_to) for one in decision.settles]


def state_settling(facts: Iterable[str], leads_to: DecisionName) -> str:
    """Facts that would settle a decision: "A PHQ-9 today of 10 or more would lead to a proposal."."""
    *others, last = facts
    joined = f"{', '.join(others)}, and {last}," if others else last
    would = "lead to a proposal" if leads_to is DecisionName.PROPOSE else "rule a proposal out"
    return f"{joined[:1].upper()}{joined[1:]} would {would}."


def _schedule_sentence(decision: Propose) -> str:
    if not isinstance(decision.schedule, Schedule):
        return f"No plan is drafted: {decision.schedule.why}."
    sessions = decision.schedule.sessions
    first, last = say_date(PartialDate.on(sessions[0].date)), say_date(PartialDate.on(sessions[-1].date))
    return f"A draft plan of {len(sessions)} supervised sessions from {first} to {last} is proposed."


def _state_reasons(reasons: list[str]) -> str:
    return f"Reason{'s' if len(reasons) > 1 else ''}: {join_items(reasons)}."


def why_declined(decision: Decline) -> list[str]:
    """What speaks against a proposal, in the words of the findings."""
    found = decision.assessment
    if decision.reason in _WHY_DECLINED:
        return [_WHY_DECLINED[decision.reason]]
    if decision.reason is ReasonOfDecision.CONTRAINDICATED:
        return [f"{f.title} (label section {f.section})" for f in found.safety if _excludes(f.effect)]
    reasons = [
        reason.text
        for pathway in found.pathways
        for criterion in pathway.criteria
        if criterion.answer.finding is Finding.NOT_MET
        for reason in criterion.answer.reasons
    ]
    return list(dict.fromkeys(reasons))


def _excludes(effect: Effect) -> bool:
    return effect is Effect.EXCLUDES


def _trial_sentences(found: Assessment) -> list[str]:
    """How many trials failed, then the sentences on each trial."""
    if not found.trials:
        return []
    return [_count_trials(found.failed_trials), *(describe_trial(t, found.as_of) for t in found.trials)]


def _count_trials(failed: FailedTrials) -> str:
    """How many trials failed and how many are required, in one or two sentences."""
    definite = spell_number(failed.definite).capitalize()
    trials = "trial" if failed.definite == 1 else "trials"
    required = f"{spell_number(failed.required)} {'is' if failed.required == 1 else 'are'} required"
    if failed.required_classes > 1:
        required += f", of at least {spell_number(failed.required_classes)} classes"
    counted = f"{definite} adequate {trials} failed in this episode; {required}."
    if not failed.possible:
        return counted
    more = " more" if failed.definite else ""
    return f"{counted} {spell_number(failed.possible).capitalize()}{more} may have failed."


def spell_number(number: int) -> str:
    """A small number in words."""
    return _NUMBERS.get(number, str(number))


_NUMBERS = {0: "no", 1: "one", 2: "two", 3: "three", 4: "four", 5: "five", 6: "six", 7: "seven", 8: "eight"}


def describe_trial(trial: Trial, as_of: date) -> str:
    """A trial in two sentences: medicine, dose, dates and outcome, then whether it counts.

    For a trial that may still be ongoing, no number of days is named, because it would change every day.
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
        _word_reason(reason, is_open=is_open)
        for reason in trial.counts_reasons
        if reason not in trial.outcome.reasons
    ]
    parts = (
        (*others, outcome)
        if trial.counts is Counts.NO
        else (*_length(trial, is_open=is_open), outcome, *others)
    )
    return f"{head}: {'; '.join(dict.fromkeys(parts))}. {_VERDICTS[trial.counts]}"


_VERDICTS = {
    Counts.YES: "This trial counts as failed.",
    Counts.NO: "This trial does not count as failed.",
    Counts.POSSIBLY: "This trial may count as failed.",
}


_CLASSES = {
    "ATYPICAL": "atypical antidepressant",
    "OTHER": "antidepressant",
    "SEROTONIN-MODULATOR": "serotonin modulator",
}


def _dose(trial: Trial) -> str:
    dose = trial.daily_dose_mg
    if dose is None:
        return "dose not documented"
    return f"{dose[0]:g} mg per day" if dose[0] == dose[1] else f"{dose[0]:g} to {dose[1]:g} mg per day"


def _how_known(trial: Trial) -> str:
    """The kind of evidence that it was taken, unless that is an ordinary statement."""
    return "" if trial.grade is Grade.STATED else trial.grade.value


def _length(trial: Trial, *, is_open: bool) -> list[str]:
    """How long an adequate trial lasted, or what leaves open whether it is adequate."""
    if is_open or trial.adequacy.finding is not Finding.MET:
        return [_word_reason(reason, is_open=is_open) for reason in trial.adequacy.reasons]
    shortest, longest = trial.adequate_days
    days = f"{shortest}" if shortest == longest else f"{shortest} to {longest}"
    assumed = any(reason.code is ReasonCode.DOSE_ASSUMED for reason in trial.adequacy.reasons)
    return [f"{days} days at an adequate dose{' (assumed)' if assumed else ''}"]


def _word_reason(reason: Reason, *, is_open: bool) -> str:
    return _WITHOUT_DAYS.get(reason.code, reason.text) if is_open else reason.text


_WITHOUT_DAYS = {
    ReasonCode.ADEQUATE: "long enough at an adequate dose",
    ReasonCode.TOO_SHORT: "not yet taken long enough",
    ReasonCode.DOSE_TOO_LOW: "not yet taken long enough at or above the minimum dose",
    ReasonCode.DURATION_UNCERTAIN: "the dates do not show whether it lasted long enough",
}


def _when(trial: Trial, *, is_open: bool) -> str:
    if trial.ongoing:
        return f"since {say_date(trial.start)}" if trial.start else "ongoing since an unknown date"
    if trial.start is None and trial.end is None:
        return "dates unknown"
    start = say_date(trial.start) if trial.start else "unknown start date"
    if trial.end is None:
        return f"{start} to unknown end date"
    if is_open:
        return f"{start} to {say_date(PartialDate.on(trial.end.earliest))} or later"
    return f"{start} to {say_date(trial.end)}"


WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


_MOST_NAMED = 10
_KINDS = {
    "AllergyIntolerance": "allergies",
    "CarePlan": "care plans",
    "Condition": "conditions",
    "Flag": "flags",
    "MedicationAdministration": "medicines given by staff",
    "MedicationDispense": "medicines handed out by a pharmacy",
    "MedicationRequest": "prescriptions",
    "MedicationStatement": "medication statements",
    "Observation": "observations",
    "Procedure": "procedures",
    "QuestionnaireResponse": "answers to questionnaires",
}


def list_not_screened(names: Sequence[str]) -> str:
    """What was not screened, in one line: ten names at most, and how many more there are."""
    return _list_some([_KINDS.get(name, name) for name in names])


def _list_some(names: Sequence[str]) -> str:
    named = join_items(names[:_MOST_NAMED])
    more = len(names) - _MOST_NAMED
    return f"{named}; and {more} more" if more > 0 else named


def join_items(items: Iterable[str]) -> str:
    """Items in one line."""
    items = list(items)
    return "; ".join(items) if items else "not specified"


def name_decision(code: str) -> str:
    """The code of a decision point as a heading, such as "Benefit review"."""
    return code.replace("-", " ").capitalize()


def state_response(response: Response) -> str:
    """The response to a treatment in a sentence, with the scores of the instrument that decides."""
    one = response.decisive
    if one is None:
        return "No symptom score is on record."
    before = one.baseline.value if one.baseline else None
    latest = one.latest.value if one.latest else None
    return f"{say_response(one.instrument, before, latest, one.finding)}."


def say_response(
    instrument: Measure, baseline: float | None, latest: float | None, finding: ResponseFinding
) -> str:
    """What one instrument says, such as "PHQ-9: 21 before treatment, 9 now (-12), response"."""
    before = "no score before treatment" if baseline is None else f"{baseline:g} before treatment"
    now = "no recent score" if latest is None else f"{latest:g} now"
    change = "" if baseline is None or latest is None else f" ({latest - baseline:+g})"
    return f"{instrument.value.upper()}: {before}, {now}{change}, {_RESPONSES.get(finding, finding.value)}"


_RESPONSES = {
    ResponseFinding.PARTIAL: "partial response",
    ResponseFinding.NONE: "no response",
    ResponseFinding.UNKNOWN: "response not known",
}


def state_treatment(treatment: Treatment) -> str:
    """A treatment in two sentences: what was given, and what comes next."""
    return f"{_state_course(treatment)} {_state_next(treatment)}"


def _state_next(treatment: Treatment) -> str:
    duration = treatment.duration
    return f"{treatment.next.text} {duration.text}" if duration else treatment.next.text


def _state_course(treatment: Treatment) -> str:
    course = treatment.course
    given = f"{len(course.taken)} sessions given" if len(course.taken) != 1 else "1 session given"
    missed = sum(session.state is SessionState.MISSED for session in course.sessions)
    left_out = f", {missed} missed" if missed else ""
    return f"Under treatment with esketamine: {given}{left_out}."
