"""The words and signs of a dosage instruction, each with its meaning.

Instructions are short and have few words, so that a list can hold them. What the list does not hold is kept
as not understood: whoever reads an instruction decides what that means, and must not overlook it.
"""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from service.core.phrases import fold


class UnitKind(StrEnum):
    """What a unit of a dose measures."""

    MASS = "mass"
    VOLUME = "volume"
    ITEM = "item"


class Unit(NamedTuple):
    """A unit of a dose. `size` is in mg for a mass, in mL for a volume; an item is one tablet or the like."""

    kind: UnitKind
    size: float


MILLIGRAM = Unit(UnitKind.MASS, 1.0)
ITEM = Unit(UnitKind.ITEM, 1.0)


class Sign(StrEnum):
    """What a word of a dosage instruction is; the value is one letter, and a sentence a string of them.

    `ITEM` is a tablet or the like, `MOMENT` a time of the day, `RATE` how often a day, `COUNT` how often,
    `CHANGE` a word that says that the dose does not stay as it is, `NAME` the name of a medicine.
    """

    NUMBER = "n"
    MASS = "m"
    VOLUME = "v"
    ITEM = "i"
    RATE = "r"
    COUNT = "c"
    TIMES = "x"
    EVERY = "e"
    UNIT_OF_TIME = "d"
    MOMENT = "w"
    AS_NEEDED = "p"
    EACH = "h"
    TOTAL = "l"
    TO = "t"
    OR = "o"
    AND = "a"
    DASH = "-"
    CHANGE = "!"
    NAME = "N"
    FILLER = " "
    UNKNOWN = "?"


class Term(NamedTuple):
    """A word or sign with its meaning: a number, a rate, days, or a size in mg or mL.

    `word` is the time of the day that a moment names, the ingredient that a name is of, or what is not
    understood.
    """

    sign: Sign
    value: float = 1.0
    word: str = ""


UNKNOWN = Term(Sign.UNKNOWN)

_TOKEN = re.compile(r"[0-9]+(?:[.,][0-9]+)*|[.,][0-9]+|[^\W\d_]+|\S")
_NUMBER = re.compile(r"(?P<whole>[0-9]{1,6})(?:[.,](?P<part>[0-9]{1,3}))?")
_PLURAL = re.compile(r"(?<=[^\W\d_])\([^\W\d_]{1,2}\)")
"""The ending of a plural in brackets: tablet(s), Tablette(n)."""
_SAYS_NOTHING = frozenset(".,;:()[]{}'\"*\u2019")
LONGEST_TEXT = 400
"""Characters of an instruction that are read; nothing that is longer is one dose."""
_THOUSANDS = 3
_MOST_WHOLE = 9


@dataclass(frozen=True, slots=True)
class Lexicon:
    """Every listed phrase of a dosage instruction, by its words; the longest one is found at each place."""

    terms: Mapping[tuple[str, ...], Term]
    longest: int

    @classmethod
    def of(cls, terms: Mapping[tuple[str, ...], Term]) -> "Lexicon":
        """Build a lexicon from phrases, each as its words."""
        return cls(terms, max(map(len, terms), default=0))

    def read(self, text: str) -> tuple[Term, ...]:
        """The meaning of each word and sign, without those that say nothing; numbers with their fractions."""
        if len(text) > LONGEST_TEXT:
            return (UNKNOWN,)
        words = split_words(text)
        found: list[Term] = []
        at = 0
        while at < len(words):
            term, length = self._longest_at(words, at)
            at += length
            if term.sign is not Sign.FILLER:
                found.append(term)
        return tuple(_with_fractions(found))

    def unit(self, text: str) -> Unit | None:
        """The unit that a text names, with nothing beside it; `None` where it names none that is listed."""
        found = self.read(text)
        return unit_of(found[0]) if len(found) == 1 else None

    def _longest_at(self, words: tuple[str, ...], at: int) -> tuple[Term, int]:
        for length in range(min(self.longest, len(words) - at), 0, -1):
            term = self.terms.get(words[at : at + length])
            if term is not None:
                return term, length
        return _sign_of(words[at]), 1


def unit_of(term: Term) -> Unit | None:
    """The unit that a term stands for."""
    kind = _UNITS.get(term.sign)
    return Unit(kind, term.value) if kind else None


SIGN_OF_UNIT = {UnitKind.MASS: Sign.MASS, UnitKind.VOLUME: Sign.VOLUME, UnitKind.ITEM: Sign.ITEM}
_UNITS = {**{sign: kind for kind, sign in SIGN_OF_UNIT.items()}, Sign.EACH: UnitKind.ITEM}


def split_words(text: str) -> tuple[str, ...]:
    """The words, numbers and signs of a text, folded, without punctuation that says nothing."""
    spelled = _PLURAL.sub("", unicodedata.normalize("NFKC", _spell_fractions(text)))
    return tuple(
        _whole_number(match, spelled) if match[0][0] in ".," and len(match[0]) > 1 else fold(match[0])
        for match in _TOKEN.finditer(spelled)
        if match[0] not in _SAYS_NOTHING
    )


def _whole_number(match: re.Match[str], text: str) -> str:
    """A number without its leading zero; behind a word it is none that can be read."""
    alone = match.start() == 0 or text[match.start() - 1].isspace() or text[match.start() - 1] == "("
    return f"0{match[0]}" if alone else "?"


def _spell_fractions(text: str) -> str:
    """Write the signs for a half, a quarter and the like as numbers."""
    if text.isascii():
        return text
    return "".join(
        f" {unicodedata.normalize('NFKD', sign).replace(chr(0x2044), '/')} "
        if unicodedata.decomposition(sign).startswith("<fraction>")
        else sign
        for sign in text
    )


def _sign_of(word: str) -> Term:
    """A number, a hyphen or a slash; anything else is not understood.

    A comma or point before three digits may set off thousands as well as decimals: such a number is not read.
    """
    if word == "-":
        return Term(Sign.DASH)
    match = _NUMBER.fullmatch(word)
    if match is None:
        return Term(Sign.UNKNOWN, word=word)
    part = match["part"]
    if part is not None and len(part) == _THOUSANDS and match["whole"] != "0":
        return UNKNOWN
    return Term(Sign.NUMBER, float(word.replace(",", ".")))


def _with_fractions(terms: list[Term]) -> list[Term]:
    """Numbers with a fraction behind them added up: `1/2` is a half, `1 1/2` one and a half."""
    found: list[Term] = []
    at = 0
    while at < len(terms):
        fraction = _fraction_at(terms, at)
        if fraction is None:
            found.append(terms[at])
            at += 1
            continue
        whole = found[-1].value if found and found[-1].sign is Sign.NUMBER else 0.0
        if whole and whole.is_integer() and whole <= _MOST_WHOLE:
            found.pop()
            fraction += whole
        found.append(Term(Sign.NUMBER, fraction))
        at += 3
    return found


def _fraction_at(terms: list[Term], at: int) -> float | None:
    three = terms[at : at + 3]
    if [term.sign for term in three] != [Sign.NUMBER, Sign.UNKNOWN, Sign.NUMBER] or three[1].word != "/":
        return None
    upper, lower = three[0].value, three[2].value
    return upper / lower if lower in {2, 3, 4} and upper in {1, 2, 3} and upper < lower else None
