"""The lists that dosage instructions are read with: units, words, coded timings."""

from collections.abc import Iterable, Mapping

from service.core.dose_words import SIGN_OF_UNIT, Lexicon, Sign, Term, Unit, UnitKind, split_words
from service.core.knowledge import MedicineMeaning
from service.knowledge.rows import Faults, Row

_SIGNS = {
    "rate": Sign.RATE,
    "count": Sign.COUNT,
    "times": Sign.TIMES,
    "every": Sign.EVERY,
    "unit-of-time": Sign.UNIT_OF_TIME,
    "moment": Sign.MOMENT,
    "number": Sign.NUMBER,
    "as-needed": Sign.AS_NEEDED,
    "each": Sign.EACH,
    "total": Sign.TOTAL,
    "to": Sign.TO,
    "or": Sign.OR,
    "and": Sign.AND,
    "change": Sign.CHANGE,
    "filler": Sign.FILLER,
}
_MOMENTS = frozenset({"morning", "noon", "evening", "night"})


def to_unit(row: Row) -> Unit:
    """A unit of `codes/units.csv`."""
    size = float(row["size"])
    if size <= 0:
        raise ValueError("the size of a unit is more than nothing")
    return Unit(UnitKind(row["kind"]), size)


def build_lexicon(
    units: Iterable[Row], phrases: Iterable[Row], names: Mapping[str, MedicineMeaning], faults: Faults
) -> Lexicon:
    """Every word of a dosage instruction; what is listed twice with two meanings is a fault."""
    terms: dict[tuple[str, ...], Term] = {}
    listed = (
        *((row, row["words"], _unit_term) for row in units),
        *((row, row["phrases"], _phrase_term) for row in phrases),
    )
    for row, words, read in listed:
        try:
            term = read(row)
        except (ValueError, KeyError) as error:
            faults.of(row, f"has a value that is not allowed ({error})")
            continue
        for phrase in filter(None, map(split_words, words.split(";"))):
            if terms.setdefault(phrase, term) != term:
                faults.of(row, f"gives {' '.join(phrase)!r} a second meaning")
    for name, meaning in names.items():
        terms.setdefault(split_words(name), Term(Sign.NAME, word=meaning.ingredient or ""))
    return Lexicon.of(terms)


def _unit_term(row: Row) -> Term:
    unit = to_unit(row)
    return Term(SIGN_OF_UNIT[unit.kind], unit.size)


def _phrase_term(row: Row) -> Term:
    sign, value = _SIGNS[row["kind"]], row["value"]
    if sign is Sign.MOMENT:
        if value not in _MOMENTS:
            raise ValueError(f"{value!r} is no time of the day")
        return Term(sign, word=value)
    return Term(sign, float(value) if value else 1.0)
