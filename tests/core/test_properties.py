"""What holds for every record, tried on random ones."""

import random
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given
from hypothesis import strategies as st

from service.core.assessment import Assessment
from service.core.counting import FailedTrials
from service.core.dates import Interval, PartialDate
from service.core.decision import Decline, Propose
from service.core.depression import assess_depression
from service.core.episode import find_remissions, known_onset
from service.core.findings import Finding
from service.core.knowledge import Criteria, Effect
from service.core.records import (
    Diagnosis,
    Exposure,
    ExposureStatus,
    Grade,
    Indication,
    Measure,
    Observation,
    Record,
    StopReason,
    Verification,
    age_in_years,
)
from service.core.scores import Symptoms, read_scores
from service.core.words import summarise
from tests.core.builders import (
    AS_OF,
    DOSE_MUST_BE_DOCUMENTED,
    SEED,
    TAKEN_WHERE_RENEWED,
    US,
    allergy,
    assessed,
    decided,
    exposure,
    medicine,
    person,
    result,
    safety_condition,
    unreadable,
    with_criteria,
)
from tests.core.strategies import CRITERIA, PARTIAL_DATES, another, clear_records, exposures, records
from tests.examples import tries

pytestmark = [pytest.mark.soak, pytest.mark.no_cover]
quick = tries(60, suppress_health_check=[HealthCheck.too_slow])


def counted(of: Record, criteria: Criteria = SEED) -> FailedTrials:
    return assessed(of, knowledge=with_criteria(criteria)).failed_trials


def verdicts(of: Record, criteria: Criteria) -> list[tuple[object, ...]]:
    """What is concluded of each trial, apart from the records that it rests on."""
    return [
        (trial.name, trial.counts, trial.adequacy.finding, trial.adequate_days, trial.outcome.inference)
        for trial in assessed(of, knowledge=with_criteria(criteria)).trials
    ]


def findings(found: Assessment) -> dict[str, Finding]:
    return {c.id: c.answer.finding for pathway in found.pathways for c in pathway.criteria}


def with_exposures(of: Record, *more: Exposure) -> Record:
    return replace(of, exposures=(*of.exposures, *more))


# order and copies ------------------------------------------------------------------------------


@quick
@given(records(), st.integers(0, 999))
def test_the_order_of_entries_never_changes_the_answer(of: Record, seed: int) -> None:
    def shuffled(entries: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(random.Random(seed).sample(entries, len(entries)))  # noqa: S311 - no secret

    turned = replace(
        of,
        exposures=shuffled(of.exposures),
        diagnoses=shuffled(of.diagnoses),
        observations=shuffled(of.observations),
        allergies=shuffled(of.allergies),
        unreadable=shuffled(of.unreadable),
    )
    one, other = decided(of), decided(turned)
    assert one == other
    assert summarise(one) == summarise(other)


@quick
@given(records().filter(lambda of: of.exposures), CRITERIA, st.data())
def test_a_copy_of_a_record_never_changes_the_counts(
    of: Record, criteria: Criteria, data: st.DataObject
) -> None:
    copied = data.draw(st.sampled_from(of.exposures))
    again = with_exposures(of, another(copied, "copy"))
    assert counted(again, criteria) == counted(of, criteria)


@st.composite
def of_orders(draw: st.DrawFn) -> Record:
    """A record with an order or more, in which every medicine is ordered, some of them with refills."""
    of = draw(records().filter(lambda of: of.exposures))
    orders = [replace(e, grade=Grade.PRESCRIBED, refills=draw(st.booleans())) for e in of.exposures]
    return replace(of, exposures=tuple(orders))


@quick
@given(of_orders(), st.data())
def test_a_copy_of_an_order_is_no_second_order(of: Record, data: st.DataObject) -> None:
    copied = data.draw(st.sampled_from(of.exposures))
    again = with_exposures(of, another(copied, "copy"))
    assert counted(again, TAKEN_WHERE_RENEWED) == counted(of, TAKEN_WHERE_RENEWED)


@quick
@given(of_orders())
def test_the_premise_about_orders_never_takes_a_failure_away(of: Record) -> None:
    with_premise = counted(of, TAKEN_WHERE_RENEWED)
    assert with_premise.definite >= counted(of, DOSE_MUST_BE_DOCUMENTED).definite


@quick
@given(records().filter(lambda of: of.diagnoses), st.data())
def test_a_copy_of_a_condition_never_changes_the_findings(of: Record, data: st.DataObject) -> None:
    copied = data.draw(st.sampled_from(of.diagnoses))
    again = replace(copied, evidence=(copied.evidence[0]._replace(id="copy"),))
    more = replace(of, diagnoses=(*of.diagnoses, again))
    assert findings(assessed(more)) == findings(assessed(of))


@st.composite
def splits(draw: st.DrawFn) -> tuple[Record, Record]:
    """A record, and the same with one exposure told as two adjacent ones.

    Beside it runs a trial that the second part could be mistaken to have replaced or augmented.
    """
    of = with_exposures(draw(clear_records()), exposure("paroxetine", start="2025-01-01", end="2025-09-30"))
    whole = draw(exposures(names=("duloxetine", "quetiapine"), partial=False))
    whole = replace(
        whole, medicine=medicine(str(whole.medicine.ingredient)), indication=Indication.NOT_STATED
    )
    start, end = whole.period.start, whole.period.end
    assert start is not None
    last = end.latest if end else AS_OF
    assume(start.latest < last)
    assume(end is not None or whole.status is ExposureStatus.ACTIVE)
    assume(whole.asserted is None or end is not None)
    cut = start.latest + timedelta(days=draw(st.integers(0, (last - start.latest).days - 1)))
    first = replace(
        another(whole, "first"),
        period=Interval(start, PartialDate.on(cut)),
        status=ExposureStatus.ENDED,
        stop_reasons=frozenset(),
    )
    second = replace(another(whole, "second"), period=Interval(PartialDate.on(cut + timedelta(days=1)), end))
    return with_exposures(of, another(whole, "whole")), with_exposures(of, first, second)


@quick
@given(splits(), CRITERIA)
def test_one_exposure_told_as_two_adjacent_ones_counts_the_same(
    told: tuple[Record, Record], criteria: Criteria
) -> None:
    whole, parts = told
    assert counted(parts, criteria) == counted(whole, criteria)
    assert verdicts(parts, criteria) == verdicts(whole, criteria)


# more and less evidence ------------------------------------------------------------------------

FAILURE = exposure(
    "duloxetine",
    start="2025-01-01",
    end="2025-04-30",
    stop_reasons=frozenset({StopReason.INEFFECTIVE}),
    id="failure",
)


@quick
@given(records(), CRITERIA)
def test_a_documented_failure_more_never_lowers_the_count(of: Record, criteria: Criteria) -> None:
    assert counted(with_exposures(of, FAILURE), criteria).definite >= counted(of, criteria).definite


@quick
@given(records().filter(lambda of: of.exposures), CRITERIA, st.data())
def test_a_trial_less_never_raises_the_count(of: Record, criteria: Criteria, data: st.DataObject) -> None:
    gone = data.draw(st.sampled_from(of.exposures)).medicine.ingredient
    fewer = replace(of, exposures=tuple(e for e in of.exposures if e.medicine.ingredient != gone))
    assert counted(fewer, criteria).definite <= counted(of, criteria).definite


@quick
@given(records())
def test_every_open_answer_names_what_would_settle_it(of: Record) -> None:
    found = assessed(of)
    for pathway in found.pathways:
        for criterion in pathway.criteria:
            assert criterion.answer.reasons
            assert bool(criterion.answer.needed) == (criterion.answer.finding is Finding.INDETERMINATE)
    for trial in found.trials:
        assert trial.adequacy.reasons
        assert trial.outcome.reasons
        shortest, longest = trial.adequate_days
        assert 0 <= shortest <= longest


# narrowing a date ------------------------------------------------------------------------------


def narrowings(given: PartialDate, data: st.DataObject) -> PartialDate:
    earliest = data.draw(st.dates(given.earliest, given.latest))
    return PartialDate(earliest, data.draw(st.dates(earliest, given.latest)))


def partial_dates(entry: Exposure | Diagnosis | Observation) -> dict[str, PartialDate]:
    match entry:
        case Exposure():
            dates = {"start": entry.period.start, "end": entry.period.end, "asserted": entry.asserted}
        case Observation():
            dates = {"when": entry.when}
        case Diagnosis():
            names = ("onset", "recorded", "asserted", "abatement")
            dates = {name: getattr(entry, name) for name in names}
    return {name: d for name, d in dates.items() if d is not None and d.earliest < d.latest}


def narrowed(of: Record, data: st.DataObject) -> Record:
    """The record with one partial date known more exactly, and no date set against another."""
    entries: list[Exposure | Diagnosis | Observation] = [*of.exposures, *of.diagnoses, *of.observations]
    entries = [entry for entry in entries if partial_dates(entry)]
    assume(entries)
    entry = data.draw(st.sampled_from(entries))
    name, known = data.draw(st.sampled_from(sorted(partial_dates(entry).items())))
    narrow = narrowings(known, data)
    if isinstance(entry, Observation):
        seen = entry._replace(when=narrow)
        return replace(of, observations=tuple(seen if o is entry else o for o in of.observations))
    if isinstance(entry, Diagnosis):
        better = replace(entry, **{name: narrow})  # type: ignore[arg-type]
        return replace(of, diagnoses=tuple(better if d is entry else d for d in of.diagnoses))
    if name == "asserted":
        changed = replace(entry, asserted=narrow)
    else:
        changed = replace(entry, period=replace(entry.period, **{name: narrow}))  # type: ignore[arg-type]
    start, end = changed.period.start, changed.period.end
    assume(start is None or end is None or start.earliest <= end.latest)
    return replace(of, exposures=tuple(changed if e is entry else e for e in of.exposures))


DECIDED = {Finding.MET: Finding.NOT_MET, Finding.NOT_MET: Finding.MET}


@tries(120, suppress_health_check=list(HealthCheck))
@given(clear_records(), CRITERIA, st.data())
def test_a_date_known_more_exactly_never_contradicts_a_decided_criterion(
    of: Record, criteria: Criteria, data: st.DataObject
) -> None:
    knowledge = with_criteria(criteria)
    before = findings(assessed(of, knowledge=knowledge))
    after = findings(assessed(narrowed(of, data), knowledge=knowledge))
    for criterion, finding in before.items():
        assert after[criterion] is not DECIDED.get(finding), criterion


# depression now --------------------------------------------------------------------------------


def with_score(of: Record, value: float, when: PartialDate) -> Record:
    return replace(
        of, observations=(*of.observations, result(Measure.PHQ_9, value, None)._replace(when=when))
    )


def current(of: Record) -> Finding:
    return findings(assessed(of))["current-depression"]


TODAY = PartialDate.on(AS_OF)
SURENESS = [Finding.NOT_MET, Finding.INDETERMINATE, Finding.MET]


@quick
@given(records())
def test_symptoms_of_today_never_make_the_depression_less_sure(of: Record) -> None:
    earlier = tuple(one for one in of.observations if one.when and one.when.latest < AS_OF)
    of = replace(of, observations=earlier)
    assert SURENESS.index(current(with_score(of, 15, TODAY))) >= SURENESS.index(current(of))


@quick
@given(records())
def test_a_remission_of_today_is_no_current_depression(of: Record) -> None:
    assert current(with_score(of, 2, TODAY)) is not Finding.MET


@quick
@given(records(), PARTIAL_DATES)
def test_a_sign_more_never_hides_the_depression_of_now(of: Record, when: PartialDate) -> None:
    """A symptomatic score from before the window of the present is a sign, and no more than that."""
    assume(when.latest < AS_OF - timedelta(days=SEED.score_days))
    if current(of) is Finding.MET:
        assert current(with_score(of, 15, when)) is Finding.MET


# the episode -----------------------------------------------------------------------------------


@quick
@given(records(), CRITERIA)
def test_the_episode_begins_by_the_latest_onset_where_no_remission_came_between(
    of: Record, criteria: Criteria
) -> None:
    found = assessed(of, knowledge=with_criteria(criteria)).episode
    assert found.start.earliest <= found.start.latest <= AS_OF
    if find_remissions(of, read_scores(of, US, AS_OF), criteria, AS_OF):
        return
    anchors = assess_depression(of, Symptoms(), AS_OF).anchors
    onsets = [known_onset(one) for one in anchors if not one.at_visit]
    known = [onset.latest for onset in onsets if onset is not None and onset.earliest <= AS_OF]
    if known:
        assert found.start.latest <= max(known)


@quick
@given(records(), PARTIAL_DATES)
def test_a_sign_more_never_makes_the_episode_begin_later(of: Record, when: PartialDate) -> None:
    """Unless a remission came before it: then it begins another.

    Where only visits have an onset, a sign long after the last one begins another as well.
    """
    before = assessed(of).episode
    anchors = assess_depression(of, Symptoms(), AS_OF).anchors
    onsets = [known_onset(one) for one in anchors if not one.at_visit]
    assume(any(onset is not None and onset.earliest <= AS_OF for onset in onsets))
    more = with_score(of, 15, when)
    assume(not before.assumed and not find_remissions(more, read_scores(more, US, AS_OF), SEED, AS_OF))
    assume(not find_remissions(of, read_scores(of, US, AS_OF), SEED, AS_OF))
    after = assessed(more).episode
    assert after.start.earliest <= before.start.earliest
    assert after.start.latest <= before.start.latest


# never a proposal ------------------------------------------------------------------------------


@quick
@given(records(), CRITERIA)
def test_a_proposal_is_only_for_a_living_adult_without_anything_to_review(
    of: Record, criteria: Criteria
) -> None:
    decision = decided(of, knowledge=with_criteria(criteria))
    if not isinstance(decision, Propose):
        return
    who = of.person
    assert not who.deceased
    assert who.died is None or who.died.earliest > AS_OF
    assert who.born is not None
    assert age_in_years(who.born.latest, AS_OF) >= 18
    assert all(f.effect is Effect.CAUTION for f in decision.assessment.safety)
    assert not {u.evidence.type for u in of.unreadable} & {"Condition", "AllergyIntolerance"}
    assert not any(d.depression and d.depression.psychotic for d in of.diagnoses)
    assert decision.assessment.pathway(decision.reason.value).finding is Finding.MET


@quick
@given(
    records(), st.sampled_from([safety_condition("aneurysm"), safety_condition("intracerebral-haemorrhage")])
)
def test_a_confirmed_contraindication_is_always_declined(of: Record, excluding: Diagnosis) -> None:
    decision = decided(replace(of, diagnoses=(*of.diagnoses, excluding)))
    assert isinstance(decision, Decline)
    assert decision.reason.value in {"deceased", "minor", "contraindicated"}


@quick
@given(records())
def test_nothing_that_hides_a_contraindication_is_proposed(of: Record) -> None:
    hidden = [
        replace(of, unreadable=(*of.unreadable, unreadable("Condition"))),
        replace(of, unreadable=(*of.unreadable, unreadable("AllergyIntolerance"))),
        replace(of, allergies=(*of.allergies, allergy(by_text=True))),
        replace(
            of, diagnoses=(*of.diagnoses, safety_condition("aneurysm", verification=Verification.UNPROVEN))
        ),
        with_exposures(of, exposure("esketamine", start="2020-01-01", end="2020-02-01")),
    ]
    assert not any(isinstance(decided(one), Propose) for one in hidden)


@quick
@given(records(), st.dates(date(2008, 11, 24), AS_OF))
def test_under_18_is_never_proposed(of: Record, born: date) -> None:
    assert isinstance(decided(replace(of, person=person(born.isoformat()))), Decline)


@quick
@given(records())
def test_every_suicidality_on_record_is_told(of: Record) -> None:
    told = {ref for alert in decided(of).assessment.alerts for ref in alert.evidence}
    assert told >= {ref for d in of.diagnoses if d.suicidality is not None for ref in d.evidence}


@quick
@given(records())
def test_the_same_record_gives_the_same_decision(of: Record) -> None:
    assert decided(of) == decided(of)
