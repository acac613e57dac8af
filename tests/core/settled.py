"""Whether what is said to settle a decision really does: the values are applied, and the core decides."""

from collections.abc import Iterator
from itertools import combinations, product

from service.core.decision import Decision, DecisionName, NeedsReview, name_of, settles_of
from service.core.questions import Value, open_questions, unread_records
from service.core.records import Record
from service.core.settling import changed
from tests.core.builders import decided

SETTLED = {DecisionName.PROPOSE, DecisionName.DECLINE}


def assert_honest(decision: Decision, of: Record) -> None:
    """Every set leads where it says, whatever its values stand for, and no part of it leads anywhere."""
    for one in settles_of(decision):
        values = _values(decision, tuple(fact.text for fact in one.facts))
        assert _outcomes(decision, of, values) == {one.leads_to}
        for part in _proper_parts(values):
            outcomes = _outcomes(decision, of, part)
            assert len(outcomes) > 1 or not outcomes & SETTLED


def _values(decision: Decision, texts: tuple[str, ...]) -> tuple[Value, ...]:
    asked = unread_records if isinstance(decision, NeedsReview) else open_questions
    values = [value for question in asked(decision.assessment) for value in question]
    return tuple(value for value in values if value.fact.text in texts)


def _outcomes(decision: Decision, of: Record, values: tuple[Value, ...]) -> set[DecisionName]:
    found = decision.assessment
    return {
        name_of(decided(changed(of, changes), knowledge=found.knowledge, as_of=found.as_of))
        for changes in product(*(value.changes for value in values))
    }


def _proper_parts(values: tuple[Value, ...]) -> Iterator[tuple[Value, ...]]:
    for size in range(1, len(values)):
        yield from combinations(values, size)
