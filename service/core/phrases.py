"""Words of a record as they are compared with the lists: one spelling, found in linear time."""

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

Meaning = TypeVar("Meaning")

WORD = re.compile(r"[^\W_]+")
_JOINED = re.compile(r"(?<=[^\W_])[-_](?=[^\W_])")


class _Signs(dict[int, str]):
    """What each character is compared as; worked out once for each character that is met.

    Unicode takes most accented letters apart; those that it leaves whole are spelled out here.
    """

    def __missing__(self, code: int) -> str:
        sign = chr(code)
        self[code] = _BY_CATEGORY.get(unicodedata.category(sign), sign)
        return self[code]


_BY_CATEGORY = {
    **dict.fromkeys(("Mn", "Me", "Cf"), ""),
    **dict.fromkeys(("Zs", "Zl", "Zp", "Cc"), " "),
    "Pd": "-",
}
_SIGNS = _Signs(
    str.maketrans(
        {
            "ø": "o",
            "æ": "ae",
            "œ": "oe",
            "ł": "l",
            "đ": "d",
            "ð": "d",
            "þ": "th",
            "\N{LATIN SMALL LETTER DOTLESS I}": "i",
        }
    )
)
_SIGNS.update(str.maketrans(dict.fromkeys("\u2019\u2018\u02bc`", "'")))


def fold(text: str) -> str:
    """Text as it is compared: without case, accents, and the ways to write a hyphen, quote or space.

    Unicode compatibility decomposition (NFKD) and case folding, without marks and invisible characters.
    A hyphen inside a word is a space: "side-effect" is "side effect".
    https://www.unicode.org/reports/tr15/, https://www.unicode.org/versions/latest/core-spec/chapter-3/.
    """
    if text.isascii():
        spelled = text.lower()
    else:
        spelled = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
        spelled = spelled.translate(_SIGNS)
    return " ".join(_JOINED.sub(" ", spelled).split())


def words_of(folded: str) -> Iterator[str]:
    """The words of a folded text, without what stands between them."""
    return (word[0] for word in WORD.finditer(folded))


class Found(NamedTuple, Generic[Meaning]):
    """A listed phrase in a folded text: where it begins and ends, and what it means."""

    start: int
    end: int
    meaning: Meaning


@dataclass(frozen=True, slots=True)
class PhraseList(Generic[Meaning]):
    """Phrases and what they mean. At each place the longest one is found, and none twice.

    `phrases` are found as whole words; `parts` anywhere, inside a word too, as compounds and scripts without
    spaces ask for; `endings` at the end of a word. All are folded.
    """

    phrases: Mapping[str, Meaning]
    parts: Mapping[str, Meaning]
    endings: Mapping[str, Meaning]
    _by_first_word: Mapping[str, tuple[str, ...]]
    _by_beginning: Mapping[str, tuple[str, ...]]
    """The parts by their first characters, as many as the shortest part has."""

    @classmethod
    def of(
        cls,
        phrases: Mapping[str, Meaning],
        parts: Mapping[str, Meaning] | None = None,
        endings: Mapping[str, Meaning] | None = None,
    ) -> "PhraseList[Meaning]":
        """Build a list of folded phrases, each of which begins with a letter or a digit."""
        parts = parts or {}
        shortest = min(map(len, parts), default=0)
        return cls(
            phrases,
            parts,
            endings or {},
            _longest_first(phrases, lambda phrase: next(words_of(phrase))),
            _longest_first(parts, lambda part: part[:shortest]),
        )

    def find(self, folded: str) -> tuple[Found[Meaning], ...]:
        """Every phrase in a folded text, in order; of two that overlap the first, then the longest."""
        found = sorted(
            (*self._whole_words(folded), *self._within_words(folded)), key=lambda one: (one[0], -one[1])
        )
        kept: list[Found[Meaning]] = []
        for one in found:
            if not kept or one.start >= kept[-1].end:
                kept.append(one)
        return tuple(kept)

    def all_in(self, text: str) -> tuple[Meaning, ...]:
        """The meaning of every phrase found in a text."""
        return tuple(found.meaning for found in self.find(fold(text)))

    def without(self, text: str) -> str:
        """The folded text with every phrase taken out."""
        folded = fold(text)
        return " ".join(_gaps(folded, self.find(folded)))

    def _whole_words(self, folded: str) -> Iterator[Found[Meaning]]:
        for word in WORD.finditer(folded):
            start = word.start()
            for phrase in self._by_first_word.get(word[0], ()):
                end = start + len(phrase)
                inside = phrase[-1].isalnum() and folded[end : end + 1].isalnum()
                if not inside and folded.startswith(phrase, start):
                    yield Found(start, end, self.phrases[phrase])
                    break

    def _within_words(self, folded: str) -> Iterator[Found[Meaning]]:
        length = len(next(iter(self._by_beginning), ""))
        for start in range(len(folded) - length + 1) if length else ():
            for part in self._by_beginning.get(folded[start : start + length], ()):
                if folded.startswith(part, start):
                    yield Found(start, start + len(part), self.parts[part])
                    break
        if not self.endings:
            return
        any_ending = tuple(self.endings)
        for word in WORD.finditer(folded):
            if not word[0].endswith(any_ending):
                continue
            for ending, meaning in self.endings.items():
                if word[0].endswith(ending):
                    yield Found(word.end() - len(ending), word.end(), meaning)


def _longest_first(phrases: Iterable[str], key: Callable[[str], str]) -> dict[str, tuple[str, ...]]:
    """Phrases by a key, the longest of each first."""
    found: dict[str, list[str]] = {}
    for phrase in sorted(phrases, key=len, reverse=True):
        found.setdefault(key(phrase), []).append(phrase)
    return {first: tuple(same) for first, same in found.items()}


def _gaps(folded: str, found: Iterable[Found[Meaning]]) -> Iterator[str]:
    """What stands before, between and after the phrases found."""
    at = 0
    for one in found:
        yield folded[at : one.start]
        at = one.end
    yield folded[at:]
