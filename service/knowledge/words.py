"""Read the lists of words: how each is found in a text, and which small words a kind of text has."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from service.core.phrases import PhraseList, fold, words_of
from service.core.statements import Named, SmallWord, Vocabulary
from service.knowledge.rows import Faults, Row

T = TypeVar("T")

Word = tuple[str, str, T]
"""The way in which a word is found, the word folded, and its meaning."""

WHOLE, ALONE, CONTAINS, ENDS = "word", "alone", "contains", "ends"
_MATCHES = (WHOLE, ALONE, CONTAINS, ENDS)

USES = ("conditions", "allergies", "indications", "stop-reasons")
"""The kinds of text that have small words."""


def read_words(
    rows: Iterable[Row], column: str, read: Callable[[Row], T | None], faults: Faults
) -> Iterator[Word[T]]:
    """The words of a list whose rows say how each is found. A word stands once, however it is spelled."""
    seen: set[str] = set()
    for row in rows:
        word = fold(row[column])
        if row["match"] not in _MATCHES:
            faults.of(row, f"has a match that is not known: {row['match']!r}")
        elif not any(words_of(word[:1])):
            faults.of(row, f"does not begin with a letter or a digit: {row[column]!r}")
        elif word in seen:
            faults.of(row, f"lists {word!r} twice")
        else:
            seen.add(word)
            meaning = faults.meaning(row, read)
            if meaning is not None:
                yield row["match"], word, meaning


def found_by(words: Iterable[Word[T]]) -> PhraseList[T]:
    """A list of words, each found in its way: as a word of its own, inside one, or at its end."""
    found: dict[str, dict[str, T]] = {match: {} for match in _MATCHES}
    for match, word, meaning in words:
        found[match][word] = meaning
    return PhraseList.of({**found[WHOLE], **found[ALONE]}, found[CONTAINS], found[ENDS])


class SmallWords:
    """The small words of each kind of text; a row without one is for all of them."""

    def __init__(self, rows: Iterable[Row], faults: Faults) -> None:
        self._faults = faults
        self._by_use: dict[str, dict[str, tuple[SmallWord, Row]]] = {use: {} for use in USES}
        for row in rows:
            kind = faults.meaning(row, lambda row: SmallWord(row["kind"]))
            phrase = fold(row["phrase"])
            for use in row["used_in"].split(";") if row["used_in"] else USES:
                if use not in USES:
                    faults.of(row, f"names a kind of text that is not known: {use!r}")
                elif phrase in self._by_use[use]:
                    faults.of(row, f"lists {phrase!r} twice")
                elif kind is not None:
                    self._by_use[use][phrase] = kind, row

    def of(self, use: str, besides: Iterable[str]) -> Iterator[Word[SmallWord]]:
        """The small words of a kind of text; none may stand in the list beside them as well."""
        small = self._by_use[use]
        for word in besides:
            if word in small:
                self._faults.of(small[word][1], f"lists {word!r}, which another list of {use} has")
        return ((WHOLE, phrase, kind) for phrase, (kind, _) in small.items())

    def vocabulary(self, use: str, named: Iterable[Word[str]]) -> Vocabulary:
        """The words by which texts of one kind are understood: the topics they name, and small words."""
        topics = [(match, word, Named(topic, alone=match == ALONE)) for match, word, topic in named]
        words: list[Word[Named | SmallWord]] = [*topics, *self.of(use, (word for _, word, _ in topics))]
        return found_by(words)
