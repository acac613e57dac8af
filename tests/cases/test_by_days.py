"""The course of a depression against a slow, plain reference, through the whole pipeline."""

from datetime import date
from random import Random

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.assessment import Assessment
from service.core.findings import ReasonCode
from service.core.knowledge import InferredFailure
from service.core.trials import Trial
from service.gather.files import read_bundle
from tests import by_days
from tests.by_days import rules_of
from tests.examples import tries
from tests.generated.illness import Illness, Taken, random_illness
from tests.generated.patients import bundle_of
from tests.soak import CRITERIA
from tests.support import reviewer

pytestmark = pytest.mark.soak
PERSON = {"resourceType": "Patient", "id": "p", "birthDate": "1981-04-12"}
ILLNESSES = st.integers(0, 2**32).map(lambda seed: random_illness(Random(seed))._replace(exact=True))  # noqa: S311


def assessed(of: Illness, criteria: str) -> Assessment:
    bundle = read_bundle(orjson.dumps(bundle_of([PERSON, *of.resources])))
    return reviewer(criteria=criteria).review(bundle).decision.assessment


def is_plain(of: Illness, criteria: str) -> bool:
    """Whether one medicine at most followed each, and none is known by prescriptions only."""
    rules = rules_of(criteria)
    return not any(one.ordered or len(list(by_days.follow(one, of, rules))) > 1 for one in of.taken)


PLAIN = st.tuples(ILLNESSES, st.sampled_from(CRITERIA)).filter(lambda drawn: is_plain(*drawn))


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


@tries(150)
@given(PLAIN)
def test_the_episode_begins_as_by_days(drawn: tuple[Illness, str]) -> None:
    of, criteria = drawn
    found = assessed(of, criteria).episode
    begun = None if found.assumed else (found.start.earliest, found.start.latest)
    assert begun == by_days.episode(of, rules_of(criteria))


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


def test_what_happened_is_told_day_by_day() -> None:
    """The reference itself, on a story that anybody can follow."""
    of = Illness(taken=(Taken("sertraline", date(2026, 1, 1), date(2026, 3, 1), 50, ineffective=True),))
    rules = rules_of("seed")
    assert by_days.signs(of, rules) == {(date(2026, 3, 1), date(2026, 1, 1))}
    assert by_days.shows_now(of, rules)
    assert by_days.episode(of, rules) is None
