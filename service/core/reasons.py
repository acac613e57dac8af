"""Why a medicine was given, and why it was stopped.

A reason in words counts only when all of it is understood: "refractory nausea" is no lack of effect.
"""

from collections.abc import Iterable

from service.core.knowledge import DEPRESSION, Knowledge, StatedReason
from service.core.records import Concept, Indication, StopReason
from service.core.results import measure_of
from service.core.statements import JOINING, NEGATIONS, Mark, Sense, read_statement, tokens_of

_BETWEEN_REASONS = frozenset({Mark.BREAK, *JOINING})


def read_indication(reasons: Iterable[Concept], knowledge: Knowledge) -> Indication:
    """Depression if any reason says so; else one that may be it, or any other that is recorded."""
    found = {_indication(reason, knowledge) for reason in reasons}
    order = (Indication.DEPRESSION, Indication.UNCLEAR, Indication.OTHER)
    return next((one for one in order if one in found), Indication.NOT_STATED)


def _indication(reason: Concept, knowledge: Knowledge) -> Indication:
    """What one reason says; a recorded reason that cannot be told is unclear.

    A score of a depression scale as the reason is depression as well.
    """
    coded = knowledge.indication_codes.first(reason) or knowledge.depression.first(reason)
    if coded or measure_of(reason, knowledge) in knowledge.scales:
        return Indication.DEPRESSION
    if not reason.label:
        return Indication.UNCLEAR
    statements = (read_statement(phrase, knowledge.indication_words) for phrase in reason.phrases)
    said = {statement.senses.get(DEPRESSION, Sense.ABSENT) for statement in statements}
    if Sense.PRESENT in said:
        return Indication.DEPRESSION
    return Indication.OTHER if said <= {Sense.ABSENT} else Indication.UNCLEAR


def read_stop_reasons(reasons: Iterable[Concept], knowledge: Knowledge) -> frozenset[StopReason]:
    """What the reasons for stopping say, all of them together."""
    return frozenset(known for reason in reasons for known in _stop_reason(reason, knowledge))


def _stop_reason(reason: Concept, knowledge: Knowledge) -> set[StopReason]:
    """What a reason for stopping says. Words that are not understood make it unclear.

    Beside a code that is known they do so only where they may say the opposite, or something else.
    """
    coded = knowledge.stop_codes.first(reason)
    known = {coded} if coded else set()
    for phrase in reason.phrases:
        found = tokens_of(phrase, knowledge.stop_words)
        tokens = tuple(found)
        spoken = {token.reason for token in tokens if isinstance(token, StatedReason)}
        if _is_understood(tokens):
            known |= spoken
        elif coded is None or spoken - {coded} or not NEGATIONS.isdisjoint(tokens):
            return {StopReason.UNCLEAR}
    return known or {StopReason.UNCLEAR}


def _is_understood(tokens: tuple[object, ...]) -> bool:
    """Whether a text says why in listed words only, without a negation, and each reason apart."""
    if Mark.UNKNOWN in tokens or not NEGATIONS.isdisjoint(tokens):
        return False
    last: StatedReason | None = None
    apart = True
    kinds = {token.reason for token in tokens if isinstance(token, StatedReason)}
    for token in tokens:
        if token in _BETWEEN_REASONS:
            apart = True
        if isinstance(token, StatedReason):
            if token.alone and len(kinds) > 1:
                return False
            if last is not None and last.reason is not token.reason and not apart:
                return False
            last, apart = token, False
    return True
