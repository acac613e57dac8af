"""What would settle it: the smallest sets of open facts that would change the decision.

The core tries them itself: it decides again on the record as each set of values would have it. Nothing is
shown that it would not really decide so.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import chain, combinations, product

from service.core.decision import (
    Decision,
    DecisionName,
    NeedsInformation,
    NeedsReview,
    Settling,
    decide,
    name_of,
)
from service.core.questions import Change, Question, Value, open_questions, unread_records
from service.core.records import Record
from service.core.schedule import Calendar

_MOST_SETS = 3
_MOST_FACTS = 3
_MOST_TRIES = 60
_FEWEST_TRIES = 6
_MOST_EXPOSURES = 2400
"""How many exposures are judged again in all: on a long record fewer sets are tried."""


_SETTLED = frozenset({DecisionName.PROPOSE, DecisionName.DECLINE})


def with_settling_facts(decision: Decision, record: Record, calendar: Calendar) -> Decision:
    """The decision, with what would settle it where it leaves something open."""
    match decision:
        case NeedsInformation():
            questions = open_questions(decision.assessment)
        case NeedsReview():
            questions = unread_records(decision.assessment)
        case _:
            return decision
    found = [
        settling
        for leads_to in (DecisionName.PROPOSE, DecisionName.DECLINE)
        for settling in _find_sets(questions, leads_to, _Tries.of(decision, record, calendar))
    ]
    return replace(decision, settles=tuple(sorted(found[:_MOST_SETS], key=lambda one: len(one.facts))))


@dataclass(slots=True)
class _Tries:
    """Decides again on a changed record, as often as a record of its length allows."""

    decision: NeedsInformation | NeedsReview
    record: Record
    calendar: Calendar
    left: int

    @classmethod
    def of(cls, decision: NeedsInformation | NeedsReview, record: Record, calendar: Calendar) -> "_Tries":
        """As many tries as there may be for one way to change the decision."""
        affordable = _MOST_EXPOSURES // max(len(record.exposures), 1)
        return cls(decision, record, calendar, max(_FEWEST_TRIES, min(_MOST_TRIES, affordable)))

    def outcome(self, values: Iterable[Value]) -> DecisionName | None:
        """The decision on every record that the values may stand for; `None` where those differ."""
        first: DecisionName | None = None
        for changes in product(*(value.changes for value in values)):
            decided = self.decide(changes)
            if decided is None or first not in {None, decided}:
                return None
            first = decided
        return first

    def decide(self, changes: Iterable[Change]) -> DecisionName | None:
        """The decision on the record with these changes; `None` once no tries are left."""
        if self.left == 0:
            return None
        self.left -= 1
        found = self.decision.assessment
        return name_of(decide(changed(self.record, changes), found.knowledge, self.calendar, found.as_of))


def changed(record: Record, changes: Iterable[Change]) -> Record:
    """The record after changes, one upon the other."""
    for change in changes:
        record = change(record)
    return record


def _find_sets(questions: tuple[Question, ...], leads_to: DecisionName, tries: _Tries) -> list[Settling]:
    """The sets of facts in favour of a decision that lead to one, the smallest first; none holds another.

    Where not even all of the facts together lead to it, no set is looked for.
    """
    asked = [some for q in questions if (some := [v for v in q if leads_to in v.favours])]
    if tries.decide([some[-1].changes[-1] for some in asked]) is not leads_to:
        return []
    settled: dict[frozenset[int], Settling] = {}
    sizes = range(1, min(_MOST_FACTS, len(asked)) + 1)
    for places in chain.from_iterable(combinations(range(len(asked)), size) for size in sizes):
        if any(known.issubset(places) for known in settled):
            continue
        for values in product(*(asked[place] for place in places)):
            outcome = tries.outcome(values)
            if outcome in _SETTLED:
                settled[frozenset(places)] = Settling(tuple(value.fact for value in values), outcome)
                break
        if len(settled) == _MOST_SETS:
            break
    return list(settled.values())
