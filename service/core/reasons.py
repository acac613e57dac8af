"""Why a medicine was given, and why it was stopped."""

import re
from collections.abc import Iterable

from service.core.knowledge import Knowledge
from service.core.records import Concept, Indication, StopReason

_NEGATION = re.compile(r"\b(?:no|not|never|without|denies|denied)\b|n't\b")


def read_indication(reasons: Iterable[Concept], knowledge: Knowledge) -> Indication:
    """Depression if any reason says so; any other recorded reason is another indication.

    A reason that says nothing, such as a reference that leads nowhere, is one that cannot be told.
    """
    reasons = tuple(reasons)
    if not reasons:
        return Indication.NOT_STATED
    for concept in reasons:
        coded = knowledge.indication_codes.first(concept) or knowledge.depression.first(concept)
        if coded or any(knowledge.indication_phrases.all_in(phrase) for phrase in concept.phrases):
            return Indication.DEPRESSION
    return Indication.OTHER if any(concept.label for concept in reasons) else Indication.UNCLEAR


def read_stop_reasons(reasons: Iterable[Concept], knowledge: Knowledge) -> frozenset[StopReason]:
    """What the reasons for stopping say, all of them together."""
    return frozenset(known for reason in reasons for known in _stop_reason(reason, knowledge))


def _stop_reason(reason: Concept, knowledge: Knowledge) -> set[StopReason]:
    """What a reason for stopping says. A negation beside what the lists know may say the opposite."""
    coded = knowledge.stop_codes.first(reason)
    spoken = {r for p in reason.phrases for r in knowledge.stop_phrases.all_in(p)}
    known = ({coded} if coded else set()) | spoken
    negated = any(_is_negated(phrase, knowledge) for phrase in reason.phrases)
    return known if known and not negated else {StopReason.UNCLEAR}


def _is_negated(phrase: str, knowledge: Knowledge) -> bool:
    return _NEGATION.search(knowledge.stop_phrases.without(phrase)) is not None
