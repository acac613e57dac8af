"""What is open in an assessment, as questions: each value is a fact, and what it would change of the record.

Only what the assessment itself leaves open is asked, from its public conclusions. Whether a value decides
anything is for `core.settling` to try.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import date, timedelta
from typing import NamedTuple

from service.core.assessment import ADULT_YEARS, Assessment
from service.core.courses import Course
from service.core.dates import Interval, PartialDate, years_before
from service.core.decision import DecisionName, Fact, FactKind
from service.core.findings import Answer, Finding, ReasonCode
from service.core.knowledge import Effect, Ingredient
from service.core.outcome import Basis, OutcomeFinding
from service.core.records import (
    MEDICINE_RECORDS,
    ClinicalStatus,
    Depression,
    DepressionState,
    Diagnosis,
    Dose,
    DoseBasis,
    Exposure,
    ExposureStatus,
    Grade,
    Identified,
    Indication,
    Measure,
    Medicine,
    Observation,
    Record,
    Role,
    Severity,
    StopReason,
    SuicidalityKind,
    Verification,
    VersionedReference,
)
from service.core.safety import SAFETY_RECORDS, UNREADABLE
from service.core.suicidality import TELLING_RECORDS
from service.core.trials import Counts, Trial
from service.core.words import spell_number

Change = Callable[[Record], Record]
Evidence = frozenset[VersionedReference]

_SUPPOSED = (VersionedReference("Supposition", "1"),)
_WEEK = 7


class Value(NamedTuple):
    """A possible answer to an open question, and the decision that it speaks for.

    `changes` are records that it may stand for, such as the lowest and the highest score of a range; the one
    that speaks most clearly comes last.
    """

    fact: Fact
    favours: frozenset[DecisionName]
    changes: tuple[Change, ...]


Question = tuple[Value, ...]
"""The possible values of one open fact; of those for one decision, the one that claims least comes first."""

_FOR = frozenset({DecisionName.PROPOSE})
_AGAINST = frozenset({DecisionName.DECLINE})


def open_questions(found: Assessment) -> tuple[Question, ...]:
    """The open facts of an assessment that needs information; their changes apply in this order."""
    questions = (
        _score(found),
        _depression(found),
        _severity(found),
        _onset(found),
        _suicidality(found),
        *(question for trial in _open_trials(found) for question in _of_trial(trial, found)),
        _other_medicines(found),
        _age(found),
    )
    return tuple(question for question in questions if question)


def unread_records(found: Assessment) -> tuple[Question, ...]:
    """The one question behind a review of nothing but records that could not be read or were not provided."""
    review = [finding for finding in found.safety if finding.effect is Effect.REVIEW]
    if [finding.id for finding in review] != [UNREADABLE]:
        return ()
    cited = frozenset(review[0].evidence)

    def bear_on_nothing(record: Record) -> Record:
        return replace(
            record,
            unreadable=tuple(one for one in record.unreadable if one.evidence not in cited),
            refused=tuple(kind for kind in record.refused if kind not in SAFETY_RECORDS),
        )

    text = "that the records that could not be read or were not provided hold nothing against this treatment"
    fact = Fact(text, FactKind.CONDITION)
    return ((Value(fact, _FOR | _AGAINST, (bear_on_nothing,)),),)


# The patient ------------------------------------------------------------------------------------------


def _age(found: Assessment) -> Question:
    """The age: any of an adult, else a band of ages that a protocol is for."""
    if not any(missing.would_decide in {"adult", "protocol"} for missing in found.missing):
        return ()
    known = found.age or (0, None)
    here = [protocol for protocol in found.knowledge.protocols if protocol.region == found.knowledge.region]
    after = {protocol.max_age + 1 for protocol in here if protocol.max_age is not None}
    cuts = sorted({ADULT_YEARS, *after, *(protocol.min_age for protocol in here)})
    adult = [age for age in cuts if age >= ADULT_YEARS]
    bands = [
        (low, later - 1 if later else None) for low, later in zip(adult, [*adult[1:], None], strict=True)
    ]
    spans = dict.fromkeys([(ADULT_YEARS, None), *reversed(bands)])
    possible = [(low, high) for low, high in spans if _overlaps(known, low, high)]
    values = [_aged(found, known, low, high, [*adult, *(age - 1 for age in adult)]) for low, high in possible]
    if known[0] < ADULT_YEARS:
        text = f"a date of birth that shows an age under {ADULT_YEARS}"
        values.append(Value(Fact(text, FactKind.PATIENT), _AGAINST, (_born(found, ADULT_YEARS - 1),)))
    return tuple(values)


Ages = tuple[int, int | None]


def _overlaps(known: Ages, low: int, high: int | None) -> bool:
    return (known[1] is None or low <= known[1]) and (high is None or high >= known[0])


def _aged(found: Assessment, known: Ages, low: int, high: int | None, ends: list[int]) -> Value:
    """An age between two bounds, tried at every age at which a protocol begins or ends; the lowest last."""
    first = max(low, known[0])
    last = min((age for age in (high, known[1]) if age is not None), default=max(first, *ends))
    ages = sorted({first, last, *(age for age in ends if first <= age <= last)}, reverse=True)
    span = f"{low} or more" if high is None else f"{low} to {high}"
    told = f"a date of birth that shows an age of {span}"
    if known[0] >= ADULT_YEARS and (low, high) == (ADULT_YEARS, None):
        told = "the exact date of birth"
    fact = Fact(told, FactKind.PATIENT)
    return Value(fact, _FOR, tuple(_born(found, age) for age in ages))


def _born(found: Assessment, age: int) -> Change:
    born = PartialDate.on(years_before(found.as_of, age))
    return lambda record: replace(record, person=replace(record.person, born=born))


# Depression -------------------------------------------------------------------------------------------


def _score(found: Assessment) -> Question:
    """A PHQ-9 of today, where the present or the outcome of a running medicine is open."""
    awaited = any(t.ongoing and t.outcome.finding is OutcomeFinding.UNKNOWN for t in _open_trials(found))
    scale = found.knowledge.scales.get(Measure.PHQ_9)
    if scale is None or not (awaited or _is_open(found, "current-depression")):
        return ()
    before = [score.value for score in found.scores if score.scale is Measure.PHQ_9]
    no_response = math.floor(max(before, default=0) * (1 - found.knowledge.criteria.failure_fall)) + 1
    lowest = [scale.symptomatic_from]
    lowest += [no_response] if scale.symptomatic_from < no_response <= scale.highest else []
    symptomatic = [
        Value(
            Fact(f"a PHQ-9 today of {low:g} or more", FactKind.SCORE),
            _FOR,
            (_scored(found, low), _scored(found, scale.highest)),
        )
        for low in lowest
    ]
    remission = Value(
        Fact(f"a PHQ-9 today of {scale.remission_up_to:g} or less", FactKind.SCORE),
        _AGAINST,
        (_scored(found, scale.remission_up_to), _scored(found, scale.lowest)),
    )
    return (*symptomatic, remission)


def _scored(found: Assessment, value: float) -> Change:
    today = PartialDate.on(found.as_of)
    score = Observation(Measure.PHQ_9, value, today, settled=True, evidence=_SUPPOSED)
    return lambda record: replace(record, observations=(*record.observations, score))


def _depression(found: Assessment) -> Question:
    """Whether a major depressive episode is present now."""
    if not _is_open(found, "current-depression"):
        return ()
    cited = _cited(found, "current-depression")
    today = PartialDate.on(found.as_of)
    return (
        Value(
            Fact("that major depression is confirmed as present now", FactKind.CONDITION),
            _FOR,
            (lambda record: _with_depression(record, cited, lambda d: _present(d, today)),),
        ),
        Value(
            Fact("that the depression is over", FactKind.CONDITION),
            _AGAINST,
            (lambda record: _with_depression(record, cited, lambda d: _over(d, today)),),
        ),
    )


def _with_depression(record: Record, cited: Evidence, say: Callable[[Diagnosis], Diagnosis]) -> Record:
    """The record in which the conditions in question, or one that it lacks, say that of the depression."""
    told = any(_is_depression(d) and cited.intersection(d.evidence) for d in record.diagnoses)
    supposed = () if told else (say(_SOME_DEPRESSION),)
    return replace(
        record,
        diagnoses=(
            *(
                say(d) if _is_depression(d) and cited.intersection(d.evidence) else d
                for d in record.diagnoses
            ),
            *supposed,
        ),
        not_read=tuple(kind for kind in record.not_read if kind != "Condition"),
    )


def _is_depression(diagnosis: Diagnosis) -> bool:
    return diagnosis.depression is not None or diagnosis.suggests_depression


_SOME_DEPRESSION = Diagnosis(
    "depression",
    ClinicalStatus.NOT_STATED,
    Verification.CONFIRMED,
    _SUPPOSED,
    depression=Depression(DepressionState.MDD, None, psychotic=False),
)


def _present(diagnosis: Diagnosis, today: PartialDate) -> Diagnosis:
    known = diagnosis.depression or Depression(DepressionState.MDD, None, psychotic=False)
    return replace(
        diagnosis,
        depression=known._replace(state=DepressionState.MDD),
        clinical_status=ClinicalStatus.ACTIVE,
        verification=Verification.CONFIRMED,
        suggests_depression=False,
        abatement=None,
        abated=False,
        recorded=today,
    )


def _over(diagnosis: Diagnosis, today: PartialDate) -> Diagnosis:
    return replace(
        diagnosis,
        clinical_status=ClinicalStatus.ENDED,
        suggests_depression=False,
        abatement=today,
        abated=True,
    )


def _severity(found: Assessment) -> Question:
    if not _is_open(found, "moderate-or-severe"):
        return ()
    return (
        _graded("that the depression is moderate or severe", _FOR, Severity.MODERATE, Severity.SEVERE),
        _graded("that the depression is mild", _AGAINST, Severity.MILD),
    )


def _graded(text: str, favours: frozenset[DecisionName], *severities: Severity) -> Value:
    def as_(severity: Severity) -> Change:
        return lambda record: replace(
            record, diagnoses=tuple(_of_severity(d, severity) for d in record.diagnoses)
        )

    return Value(Fact(text, FactKind.CONDITION), favours, tuple(map(as_, severities)))


def _of_severity(diagnosis: Diagnosis, severity: Severity) -> Diagnosis:
    known = diagnosis.depression
    if known is None:
        return diagnosis
    return replace(diagnosis, depression=known._replace(severity=severity))


def _onset(found: Assessment) -> Question:
    """When the episode began, where that leaves open whether a trial was long enough in it."""
    began = found.episode.start
    inside = [
        trial
        for trial in _open_trials(found)
        if trial.adequacy.finding is Finding.INDETERMINATE
        and trial.start is not None
        and began.earliest <= trial.start.earliest < began.latest
    ]
    if not inside or found.episode.assumed:
        return ()
    anchors = frozenset(found.anchors)

    def on(day: date) -> Change:
        onset = PartialDate.on(day)
        return lambda record: replace(
            record,
            diagnoses=tuple(
                replace(d, onset=onset) if anchors.intersection(d.evidence) else d for d in record.diagnoses
            ),
        )

    before = f"that this depression began before {_named(inside[0])} was started"
    values = [Value(Fact(before, FactKind.CONDITION), _FOR, (on(began.earliest),))]
    ends = [trial.end.latest for trial in inside if trial.end is not None]
    if len(ends) == len(inside) and max(ends) < began.latest:
        after = f"that this depression began after {_named(inside[-1])} was stopped"
        values.append(Value(Fact(after, FactKind.CONDITION), _AGAINST, (on(began.latest),)))
    return tuple(values)


def _suicidality(found: Assessment) -> Question:
    if not _is_open(found, "current-suicidality"):
        return ()
    cited = _cited(found, "current-suicidality")
    today = PartialDate.on(found.as_of)
    ideation = Diagnosis(
        "suicidality",
        ClinicalStatus.ACTIVE,
        Verification.CONFIRMED,
        _SUPPOSED,
        suicidality=SuicidalityKind.IDEATION,
        recorded=today,
    )

    def without(record: Record) -> Record:
        quiet = TELLING_RECORDS - SAFETY_RECORDS
        return replace(
            record,
            diagnoses=tuple(map(_free, record.diagnoses)),
            signs=tuple(map(_free, record.signs)),
            observations=tuple(
                o._replace(value=0.0) if cited.intersection(o.evidence) else o for o in record.observations
            ),
            unreadable=tuple(u for u in record.unreadable if u.evidence.type not in quiet),
            refused=tuple(kind for kind in record.refused if kind not in quiet),
        )

    def _free(diagnosis: Diagnosis) -> Diagnosis:
        asked = diagnosis.suicidality is not None and cited.intersection(diagnosis.evidence)
        return replace(diagnosis, suicidality=None) if asked else diagnosis

    return (
        Value(
            Fact("that suicidal ideation with intent, or behaviour, is present now", FactKind.CONDITION),
            _FOR,
            (lambda record: replace(record, signs=(*record.signs, ideation)),),
        ),
        Value(
            Fact("that no suicidal ideation or behaviour is present now", FactKind.CONDITION),
            _AGAINST,
            (without,),
        ),
    )


# Trials -----------------------------------------------------------------------------------------------


def _open_trials(found: Assessment) -> tuple[Trial, ...]:
    return tuple(trial for trial in found.trials if trial.counts is Counts.POSSIBLY)


def _of_trial(trial: Trial, found: Assessment) -> Iterator[Question]:
    """What is open about one trial: which medicine, what for, taken or not, how long, how much, and then.

    A failure that rests on an assumed dose as well as on an inferred outcome leaves both open.
    """
    course = _telling_course(trial)
    cited = frozenset(course.evidence)
    counts = {reason.code for reason in trial.counts_reasons}
    minimum = found.knowledge.criteria.minimum_mg(trial.ingredient) if trial.ingredient else None
    is_open = trial.adequacy.finding is Finding.INDETERMINATE
    dose_assumed = any(reason.code is ReasonCode.DOSE_ASSUMED for reason in trial.adequacy.reasons)
    inferred = trial.outcome.basis is Basis.INFERRED
    if trial.ingredient is None:
        yield _identity(trial, cited, found)
    if ReasonCode.TEXT_ONLY in counts:
        yield _confirmed(trial, cited)
    if counts & {ReasonCode.OTHER_INDICATION, ReasonCode.INDICATION_UNCLEAR}:
        yield _indication(trial, cited)
    if is_open and any(exposure.grade is Grade.PRESCRIBED for exposure in course.exposures):
        yield _taken(trial, course, found)
    elif is_open and any(map(_is_inexact, course.exposures)):
        yield _duration(trial, course, found)
    if minimum is not None and (is_open or (dose_assumed and inferred)):
        yield _dose(trial, cited, minimum)
    if not course.interval.ongoing and (
        trial.outcome.finding is OutcomeFinding.UNKNOWN
        or ReasonCode.INFERENCE_NOT_COUNTED in counts
        or (dose_assumed and inferred)
    ):
        yield _outcome(trial, cited)


def _telling_course(trial: Trial) -> Course:
    """The course that speaks for the trial: the reasons for its adequacy rest on it."""
    cited = {ref for reason in trial.adequacy.reasons for ref in reason.evidence}
    return next((c for c in trial.courses if cited.intersection(c.evidence)), trial.courses[-1])


def _changed(cited: Evidence, change: Callable[[Exposure], Exposure]) -> Change:
    """The record in which that is said of the exposures in question."""
    return lambda record: replace(
        record,
        exposures=tuple(change(e) if cited.intersection(e.evidence) else e for e in record.exposures),
    )


def _untaken(cited: Evidence) -> Change:
    return lambda record: replace(
        record,
        exposures=tuple(e for e in record.exposures if not cited.intersection(e.evidence)),
        none_known=(*record.none_known, *sorted(MEDICINE_RECORDS)),
    )


def _about(trial: Trial, text: str, favours: frozenset[DecisionName], change: Change) -> Value:
    return Value(Fact(f"that {_named(trial)} {text}", FactKind.MEDICINE), favours, (change,))


def _named(trial: Trial) -> str:
    """The medicine of a trial, told apart from a coded one of the same name."""
    if trial.ingredient is None:
        return f'the medicine recorded as "{trial.name}"'
    by_name = any(reason.code is ReasonCode.TEXT_ONLY for reason in trial.counts_reasons)
    return f"{trial.name} (recorded by name only)" if by_name else trial.name


def _identity(trial: Trial, cited: Evidence, found: Assessment) -> Question:
    """Which medicine it was: an antidepressant not yet tried, or none."""
    none = Medicine(trial.name, Identified.OTHER, Role.OTHER)
    against = _about(
        trial, "was no antidepressant", _AGAINST, _changed(cited, lambda e: replace(e, medicine=none))
    )
    new = _untried(found)[:1]
    if not new:
        return (against,)
    medicine, dose = _as_medicine(new[0]), _at_minimum(new[0], found)

    def another(exposure: Exposure) -> Exposure:
        return replace(exposure, medicine=medicine, dose=dose)

    text = "was another antidepressant, at an adequate dose"
    return (_about(trial, text, _FOR, _changed(cited, another)), against)


def _confirmed(trial: Trial, cited: Evidence) -> Question:
    def coded(exposure: Exposure) -> Exposure:
        return replace(exposure, medicine=replace(exposure.medicine, identified=Identified.CODED))

    return (_about(trial, "is confirmed as the medicine taken", _FOR, _changed(cited, coded)),)


def _indication(trial: Trial, cited: Evidence) -> Question:
    def for_depression(exposure: Exposure) -> Exposure:
        return replace(exposure, indication=Indication.DEPRESSION)

    return (_about(trial, "was given for depression", _FOR, _changed(cited, for_depression)),)


def _taken(trial: Trial, course: Course, found: Assessment) -> Question:
    """Whether what was prescribed was dispensed, for the minimum time where the dates leave that open."""
    cited = frozenset(course.evidence)

    def dispensed(exposure: Exposure) -> Exposure:
        prescribed = exposure.grade is Grade.PRESCRIBED
        return replace(exposure, grade=Grade.DISPENSED) if prescribed else exposure

    shown = _changed(cited, dispensed)
    values = [_about(trial, "was dispensed", _FOR, shown)]
    if any(map(_is_inexact, course.exposures)):
        long = _lasted(course, lambda period: _longest(period, found.knowledge.criteria.minimum_days))
        text = f"was dispensed for at least {_minimum(found)}"
        values.append(_about(trial, text, _FOR, lambda record: long(shown(record))))
    values.append(_about(trial, "was not taken", _AGAINST, _untaken(cited)))
    return tuple(v._replace(fact=v.fact._replace(kind=FactKind.DISPENSING)) for v in values)


def _is_unsure(exposure: Exposure, minimum: float) -> bool:
    """Whether a dose is not known to lie on one side of the minimum."""
    low, high = exposure.dose.low_mg, exposure.dose.high_mg
    return low is None or high is None or low < minimum <= high


def _dose(trial: Trial, cited: Evidence, minimum: float) -> Question:
    def dosed(milligrams: float) -> Change:
        dose = Dose(DoseBasis.DOCUMENTED, milligrams, milligrams)
        return _changed(cited, lambda e: replace(e, dose=dose) if _is_unsure(e, minimum) else e)

    return (
        _about(trial, f"was taken at {minimum:g} mg or more per day", _FOR, dosed(minimum)),
        _about(trial, f"was taken at less than {minimum:g} mg per day", _AGAINST, dosed(0.0)),
    )


def _is_inexact(exposure: Exposure) -> bool:
    start, end = exposure.period.start, exposure.period.end
    if start is None or end is None or exposure.bounds is not None:
        return True
    return start.earliest < start.latest or end.earliest < end.latest


def _duration(trial: Trial, course: Course, found: Assessment) -> Question:
    """How long it was taken: as long, or as short, as its records allow."""
    days, length = found.knowledge.criteria.minimum_days, _minimum(found)
    return (
        _about(
            trial,
            f"was taken for at least {length} in this episode",
            _FOR,
            _lasted(course, lambda period: _longest(period, days)),
        ),
        _about(
            trial,
            f"was taken for less than {length} in this episode",
            _AGAINST,
            _lasted(course, _shortest),
        ),
    )


def _minimum(found: Assessment) -> str:
    days = found.knowledge.criteria.minimum_days
    return f"{days // _WEEK} weeks" if days % _WEEK == 0 else f"{days} days"


def _lasted(course: Course, exact: Callable[[Interval], Interval]) -> Change:
    """The record in which the exposures of a course have exact dates."""
    settled = {ref: exposure.period for exposure in course.exposures for ref in exposure.evidence}

    def dated(exposure: Exposure) -> Exposure:
        known = settled.get(exposure.evidence[0], exposure.period)
        return replace(exposure, period=exact(known), status=_status(exposure, known), bounds=None)

    return _changed(frozenset(course.evidence), dated)


def _status(exposure: Exposure, period: Interval) -> ExposureStatus:
    """An exact end is the end, unless the medicine is still taken."""
    return exposure.status if period.ongoing else ExposureStatus.ENDED


def _longest(period: Interval, days: int) -> Interval:
    if period.end is None:
        return period
    last = period.end.latest
    first = period.start.earliest if period.start else last - timedelta(days=min(days, last.toordinal()) - 1)
    return _exactly(first, last, period)


def _shortest(period: Interval) -> Interval:
    if period.end is None:
        return period
    last = period.end.earliest
    first = min(period.start.latest, last) if period.start else last
    return _exactly(first, last, period)


def _exactly(first: date, last: date, period: Interval) -> Interval:
    end = None if period.ongoing else PartialDate.on(last)
    return Interval(PartialDate.on(first), end, ongoing=period.ongoing)


def _outcome(trial: Trial, cited: Evidence) -> Question:
    def stopped(reason: StopReason) -> Change:
        return _changed(cited, lambda e: replace(e, stop_reasons=frozenset({reason})))

    return (
        _about(trial, "was stopped because it did not help", _FOR, stopped(StopReason.INEFFECTIVE)),
        _about(
            trial, "was stopped because the depression had improved", _AGAINST, stopped(StopReason.REMISSION)
        ),
    )


# Medicines that are not on record ---------------------------------------------------------------------


def _other_medicines(found: Assessment) -> Question:
    """What medicine records would show that are missing, unreadable or not provided."""
    reasons = {
        reason.code
        for pathway in found.pathways
        for criterion in pathway.criteria
        if criterion.answer.finding is Finding.INDETERMINATE
        for reason in criterion.answer.reasons
    }
    where = [text for code, text in _UNSEEN_MEDICINES.items() if code in reasons]
    if not where:
        return ()
    failed = found.failed_trials
    short = max(failed.required - failed.definite, failed.required_classes - failed.classes, 1)
    new = _untried(found)[:short]
    supposed = tuple(_failure(ingredient, found) for ingredient in new)

    def shown(exposures: tuple[Exposure, ...]) -> Change:
        return lambda record: replace(
            record,
            exposures=(*record.exposures, *exposures),
            unreadable=tuple(u for u in record.unreadable if u.evidence.type not in MEDICINE_RECORDS),
            refused=tuple(kind for kind in record.refused if kind not in MEDICINE_RECORDS),
            none_known=(*record.none_known, *sorted(MEDICINE_RECORDS)),
        )

    unseen = " or ".join(where)
    none = Value(Fact(f"that {unseen} shows no antidepressant", FactKind.MEDICINE), _AGAINST, (shown(()),))
    if len(new) < short:
        return (none,)
    more = (
        "an adequate trial of another antidepressant"
        if short == 1
        else f"adequate trials of {spell_number(short)} further antidepressants"
    )
    text = f"that {unseen} shows {more} that did not help"
    return (Value(Fact(text, FactKind.MEDICINE), _FOR, (shown(supposed),)), none)


_UNSEEN_MEDICINES = {
    ReasonCode.NO_MEDICINES: "the medication history",
    ReasonCode.UNREADABLE_MEDICINES: "a medicine record that could not be read",
    ReasonCode.HIDDEN_MEDICINES: "a medicine record that the server does not provide",
}


def _untried(found: Assessment) -> list[Ingredient]:
    """Antidepressants that could be further trials, of a new class before the others."""
    tried = {trial.name for trial in found.trials}
    tried |= {
        trial.ingredient.related for trial in found.trials if trial.ingredient and trial.ingredient.related
    }
    classes = {trial.ingredient.drug_class for trial in found.trials if trial.ingredient}
    candidates = sorted(found.knowledge.ingredients.values(), key=lambda i: (i.drug_class in classes, i.name))
    new: dict[str, Ingredient] = {}
    for ingredient in candidates:
        fits = ingredient.not_a_trial is None and found.knowledge.criteria.minimum_mg(ingredient)
        if fits and ingredient.name not in tried:
            new.setdefault(ingredient.drug_class, ingredient)
    return list(new.values())


def _as_medicine(ingredient: Ingredient) -> Medicine:
    return Medicine(ingredient.name, Identified.CODED, Role.ANTIDEPRESSANT, ingredient=ingredient.name)


def _at_minimum(ingredient: Ingredient, found: Assessment) -> Dose:
    minimum = found.knowledge.criteria.minimum_mg(ingredient)
    return Dose(DoseBasis.DOCUMENTED, minimum, minimum)


def _failure(ingredient: Ingredient, found: Assessment) -> Exposure:
    """An adequate trial at the beginning of the episode that did not help."""
    first = found.episode.start.latest
    last = min(first + timedelta(days=found.knowledge.criteria.minimum_days - 1), found.as_of)
    return Exposure(
        _as_medicine(ingredient),
        Interval(PartialDate.on(min(first, last)), PartialDate.on(last)),
        ExposureStatus.ENDED,
        _at_minimum(ingredient, found),
        _SUPPOSED,
        stop_reasons=frozenset({StopReason.INEFFECTIVE}),
    )


# What is open -----------------------------------------------------------------------------------------


def _is_open(found: Assessment, criterion_id: str) -> bool:
    return any(answer.finding is Finding.INDETERMINATE for answer in _answers(found, criterion_id))


def _cited(found: Assessment, criterion_id: str) -> Evidence:
    """The records that the reasons for a criterion's answer rest on."""
    answers = _answers(found, criterion_id)
    return frozenset(ref for answer in answers for reason in answer.reasons for ref in reason.evidence)


def _answers(found: Assessment, criterion_id: str) -> Iterable[Answer]:
    return (c.answer for pathway in found.pathways for c in pathway.criteria if c.id == criterion_id)
