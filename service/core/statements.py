"""What a text says of the things that it names: that they are there, were there, or are not.

A text counts only when all of it is understood. Every word must stand in a list: a thing looked for, a
negation, a word for the past, a joining word or one that changes nothing. One word more and the text is
unclear; who asks decides what an unclear text is worth, and for safety that is never "absent".
"""

from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from itertools import groupby, pairwise
from typing import NamedTuple, TypeVar

from service.core.phrases import WORD, PhraseList, fold, words_of


class SmallWord(Enum):
    """What a word that names nothing does to the things named beside it."""

    NEGATES_NEXT = "negates-next"
    """It denies what follows in the same clause: "no evidence of"."""
    NEGATES = "negates"
    """It denies what stands on its one side in the same clause: "denied"."""
    PAST = "past"
    """It says that what stands beside it was so once: "history of"."""
    JOINS = "joins"
    """It extends a negation to the next thing: "or"."""
    NAMES_NOTHING = "names-nothing"
    """It is a thing like those looked for, and none of them: "plan" beside suicidality."""
    FILLER = "filler"
    """It changes nothing: "patient"."""


class Named(NamedTuple):
    """Something that a text names.

    `alone`: its word means other things too, and so counts only in a text that is understood as a whole.
    """

    topic: str
    alone: bool = False


Vocabulary = PhraseList[Named | SmallWord]
"""The words by which texts of one kind are understood."""


class Sense(Enum):
    """What a text says of a thing, the strongest first."""

    PRESENT = "present"
    UNCLEAR = "unclear"
    PAST = "past"
    ABSENT = "absent"


class Statement(NamedTuple):
    """What a text says, whether all of it is understood, and whether it denies anything."""

    senses: Mapping[str, Sense]
    understood: bool
    denies: bool = False


class Mark(Enum):
    """What in a text is no listed phrase."""

    BREAK = "break"
    """The end of a clause, such as a comma."""
    JOIN = "join"
    """A sign that joins two things, such as a slash or a plus."""
    NUMBER = "number"
    UNKNOWN = "unknown"
    """A word or a sign that no list knows."""


Token = TypeVar("Token")

_Token = Named | SmallWord | Mark
_BREAKS = frozenset(",;.")
_JOINS = frozenset("/&+")
_SILENT = frozenset(" ()[]:'\"-")


def read_statement(text: str, vocabulary: Vocabulary) -> Statement:
    """What a text says of the topics of a vocabulary."""
    found = tokens_of(text, vocabulary)
    tokens = tuple(found)
    if not {Mark.UNKNOWN, Mark.NUMBER}.isdisjoint(tokens):
        named = (token.topic for token in tokens if isinstance(token, Named) and not token.alone)
        return Statement(dict.fromkeys(named, Sense.UNCLEAR), understood=False)
    clauses = (tuple(clause) for breaks, clause in groupby(tokens, lambda t: t is Mark.BREAK) if not breaks)
    senses = strongest(said for clause in clauses for said in _senses(clause))
    return Statement(senses, understood=True, denies=not NEGATIONS.isdisjoint(tokens))


def strongest(said: Iterable[tuple[str, Sense]]) -> dict[str, Sense]:
    """The strongest sense in which each thing is named."""
    order = list(Sense)
    found: dict[str, Sense] = {}
    for topic, sense in said:
        found[topic] = min(found.get(topic, sense), sense, key=order.index)
    return found


def tokens_of(text: str, phrases: PhraseList[Token]) -> Iterator[Token | Mark]:
    """A text as the listed phrases in it, with marks for what stands between them."""
    folded = fold(text)
    at = 0
    for found in phrases.find(folded):
        yield from _marks(folded[at : found.start])
        yield found.meaning
        at = found.end
    yield from _marks(folded[at:])


def _marks(between: str) -> Iterator[Mark]:
    """What stands between two listed phrases."""
    words = tuple(words_of(between))
    if words:
        yield Mark.NUMBER if all(word.isdecimal() for word in words) else Mark.UNKNOWN
    signs = frozenset(WORD.sub("", between))
    if signs & _BREAKS or " - " in between:
        yield Mark.BREAK
    if signs & _JOINS:
        yield Mark.JOIN
    if signs - _BREAKS - _JOINS - _SILENT:
        yield Mark.UNKNOWN


def _senses(clause: tuple[_Token, ...]) -> Iterator[tuple[str, Sense]]:
    """What a clause says of each thing that it names."""
    things = [at for at, token in enumerate(clause) if _is_thing(token)]
    negations = [at for at, token in enumerate(clause) if token in NEGATIONS]
    scope = _scope(clause, things, negations)
    past = _past(clause, things)
    for at in things:
        token = clause[at]
        if not isinstance(token, Named):
            continue
        if scope is None:
            yield token.topic, Sense.UNCLEAR
        elif at in scope:
            yield token.topic, Sense.ABSENT
        else:
            yield token.topic, Sense.PAST if at in past else Sense.PRESENT


NEGATIONS = frozenset({SmallWord.NEGATES, SmallWord.NEGATES_NEXT})
JOINING = frozenset({SmallWord.JOINS, Mark.JOIN})


def _is_thing(token: _Token) -> bool:
    return isinstance(token, Named) or token is SmallWord.NAMES_NOTHING


def _scope(clause: tuple[_Token, ...], things: list[int], negations: list[int]) -> frozenset[int] | None:
    """The things that the negation of a clause denies; `None` where that is not clear.

    Two negations may cancel each other. Several things must be joined, each to the one before.
    """
    if not negations:
        return frozenset()
    if len(negations) > 1:
        return None
    before = [at for at in things if at < negations[0]]
    after = [at for at in things if at > negations[0]]
    if clause[negations[0]] is SmallWord.NEGATES_NEXT:
        denied = after
    elif before and after:
        return None
    else:
        denied = before or after
    joined = all(not JOINING.isdisjoint(clause[one:other]) for one, other in pairwise(denied))
    return frozenset(denied) if denied and joined else None


def _past(clause: tuple[_Token, ...], things: list[int]) -> frozenset[int]:
    """The things that a clause puts into the past: those after the word for it, else those before."""
    marks = [at for at, token in enumerate(clause) if token is SmallWord.PAST]
    if not marks:
        return frozenset()
    after = frozenset(at for at in things if at > marks[0])
    return after or frozenset(things)
