"""The course of a depression against a slow, plain reference, through the whole pipeline."""

from datetime import date
from random import Random
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.assessment import Assessment
from service.core.decision import Decision
from service.core.findings import ReasonCode
from service.core.knowledge import InferredFailure
from service.core.trials import Trial
from service.gather.files import read_bundle
from tests import by_days
from tests.by_days import rules_of
from tests.examples import tries
from tests.generated.illness import Illness, Noted, Scored, Taken, random_illness
from tests.generated.patients import bundle_of
from tests.soak import CRITERIA
from tests.support import AS_OF, reviewer

pytestmark = pytest.mark.no_cover

PERSON = {"resourceType": "Patient", "id": "p", "birthDate": "1981-04-12"}
DICE = st.integers(0, 2**32).map(Random)
ILLNESSES = DICE.map(lambda dice: random_illness(dice)._replace(exact=True))


def decided(of: Illness, criteria: str) -> Decision:
    bundle = read_bundle(orjson.dumps(bundle_of([PERSON, *of.resources])))
    return reviewer(criteria=criteria).review(bundle).decision


def assessed(of: Illness, criteria: str) -> Assessment:
    return decided(of, criteria).assessment


def is_plain(of: Illness, criteria: str) -> bool:
    """Whether one medicine at most followed each, and none is known by prescriptions only."""
    rules = rules_of(criteria)
    return not any(one.ordered or len(list(by_days.follow(one, of, rules))) > 1 for one in of.taken)


PLAIN = st.tuples(ILLNESSES, st.sampled_from(CRITERIA)).filter(lambda drawn: is_plain(*drawn))


@pytest.mark.soak
@tries(150)
@given(PLAIN)
def test_the_depression_shows_now_as_by_days(drawn: tuple[Illness, str]) -> None:
    of, criteria = drawn
    answer = assessed(of, criteria).pathways[0].criteria[0].answer
    said = {reason.code for reason in answer.reasons}
    shown = by_days.shows_now(of, rules_of(criteria))
    if ReasonCode.SIGN_OF_DEPRESSION in said:
        assert shown
    elif said & {ReasonCode.NO_RECENT_SIGN, ReasonCode.NO_SIGN_SINCE_REMISSION}:
        assert not shown


@pytest.mark.soak
@tries(150)
@given(PLAIN)
def test_the_episode_begins_as_by_days(drawn: tuple[Illness, str]) -> None:
    of, criteria = drawn
    found = assessed(of, criteria).episode
    begun = None if found.assumed else (found.start.earliest, found.start.latest)
    assert begun == by_days.episode(of, rules_of(criteria))


@pytest.mark.soak
@tries(150)
@given(PLAIN)
def test_a_medicine_came_to_what_it_came_to_by_days(drawn: tuple[Illness, str]) -> None:
    of, criteria = drawn
    trials = {trial.name: trial for trial in assessed(of, criteria).trials}
    for one in of.taken:
        if one.is_antidepressant:
            assert came_to(trials[one.name]) == by_hand(one, of, criteria)


def came_to(trial: Trial) -> str:
    """The outcome; what only follows from its end while the depression went on is as good as unknown."""
    ended = trial.outcome.inference is InferredFailure.ENDED_WHILE_ACTIVE
    return "unknown" if ended else trial.outcome.finding.value


def by_hand(one: Taken, of: Illness, criteria: str) -> str:
    rules = rules_of(criteria)
    if by_days.failed(one, of, rules):
        return "failed"
    return (
        "responded" if by_days.measured(one, of, rules) == "responded" and not one.ineffective else "unknown"
    )


# that it would notice --------------------------------------------------------------------------


FAILED = (
    Taken("sertraline", date(2025, 1, 10), date(2025, 4, 10), 50, ineffective=True),
    Taken("venlafaxine", date(2025, 4, 20), date(2026, 1, 31), 150, ineffective=True),
)
TOLD = Illness((Noted("F33.1", onset=date(2025, 1, 2)),), (), FAILED)
WELL = (Scored("phq-9", 3, date(2026, 2, 1)), Scored("phq-9", 4, date(2026, 3, 29)))
SOON = WELL[1]._replace(day=date(2026, 3, 28))


def changed(**first: Any) -> Illness:
    """The story with another first medicine."""
    return TOLD._replace(taken=(FAILED[0]._replace(**first), FAILED[1]))


def scored(value: int, day: date) -> Illness:
    """The story with a score of 20 before the first medicine, and another."""
    before = Scored("phq-9", 20, date(2025, 1, 10))
    return TOLD._replace(scored=(before, Scored("phq-9", value, day)))


HELPED = "sertraline counts, and it helped"
UNKNOWN = "sertraline counts, and rests on a dose that nobody stated and nothing else that is documented"


@pytest.mark.parametrize(
    ("happened", "faults"),
    [
        pytest.param(TOLD, [], id="what is on record"),
        pytest.param(TOLD._replace(scored=(WELL[0], SOON)), [], id="remission scores 55 days apart"),
        pytest.param(TOLD._replace(noted=()), ["a plan without a depression that is active"], id="none"),
        pytest.param(changed(mg=49), ["sertraline counts, too low a dose"], id="too low a dose"),
        pytest.param(changed(last=date(2025, 2, 19)), ["sertraline counts, too short a time"], id="41 days"),
        pytest.param(changed(ordered=True), ["sertraline counts, prescribed only"], id="prescribed only"),
        pytest.param(changed(mg=None), [], id="one assumption"),
        pytest.param(changed(ineffective=False), [], id="another"),
        pytest.param(changed(mg=None, ineffective=False), [UNKNOWN], id="two"),
        pytest.param(scored(11, date(2025, 2, 1)), [], id="nearly halved"),
        pytest.param(scored(10, date(2025, 2, 1)), [HELPED], id="halved"),
        pytest.param(scored(4, date(2025, 4, 10)), [HELPED], id="remission on the last day"),
        pytest.param(scored(4, date(2025, 4, 11)), [], id="remission the day after"),
        pytest.param(
            TOLD._replace(noted=(*TOLD.noted, Noted("F33.42", recorded=date(2025, 4, 10)))),
            ["a plan, and sertraline counts, which was taken before a remission"],
            id="a remission since",
        ),
    ],
)
def test_a_plan_is_no_right_one_for_every_story(happened: Illness, faults: list[str]) -> None:
    assert list(by_days.faults_of(happened, decided(TOLD, "seed"), "seed")) == faults


def test_a_plan_needs_a_depression_that_shows_now() -> None:
    faults = list(by_days.faults_of(TOLD._replace(scored=WELL), decided(TOLD, "seed"), "seed"))
    assert "a plan, and nothing shows the depression now" in faults
    suicidal = TOLD._replace(scored=WELL, suicidal=AS_OF)
    assert faults[1:] == list(by_days.faults_of(suicidal, decided(TOLD, "seed"), "seed"))


def test_an_end_alone_is_no_failure() -> None:
    last = TOLD._replace(taken=(FAILED[0], FAILED[1]._replace(ineffective=False)))
    faults = list(by_days.faults_of(last, decided(TOLD, "seed"), "seed"))
    assert "venlafaxine counts, and its end alone says that it failed" in faults


def test_the_european_set_needs_a_severity() -> None:
    mild = TOLD._replace(noted=(TOLD.noted[0]._replace(code="F33.0"),))
    plan = decided(TOLD, "ema")
    assert list(by_days.faults_of(TOLD, plan, "ema")) == []
    assert list(by_days.faults_of(mild, plan, "ema")) == [
        "a plan, and no depression is known to be moderate or severe"
    ]
