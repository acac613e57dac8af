"""Read a dosage instruction as people write it: "Take 1 tablet (100 mg total) by mouth daily", "1-0-1-0".

An instruction is read only when every word of it is understood. Its words are turned into a string of signs,
one letter a word (`core.dose_words`), and the sentences that are understood are short patterns over such
strings. Every pattern here reads a string once, so that the time grows with its length and no faster.
"""

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from service.core.dose_words import LONGEST_TEXT, Sign, Term, Unit, UnitKind, unit_of
from service.core.knowledge import Knowledge
from service.core.records import Medicine

Range = tuple[float, float]


class Quantity(NamedTuple):
    """How much is taken at one time: so many tablets or other items, mg (`mass`) or mL, as far as it is said.

    `each` says that the mass is that of one tablet, `False` that it is that of all, `None` neither.
    """

    items: Range | None = None
    mass: Range | None = None
    volume: Range | None = None
    each: bool | None = None


class Sig(NamedTuple):
    """What an instruction says: quantities, each with how often a day; `None` where it does not say so."""

    parts: tuple[tuple[Quantity, Range | None], ...] = ()
    times: Range | None = None
    as_needed: bool = False


class Mentions(NamedTuple):
    """What an instruction speaks of, whether or not it is understood."""

    masses: tuple[Range, ...]
    items: tuple[Range, ...]
    amounts: bool
    """Whether it speaks of amounts, numbers or times at all."""
    changes: bool


class _DoseEvent(NamedTuple):
    """A piece of an instruction: a quantity, how often, a time of the day."""

    sign: str
    values: Range = (1.0, 1.0)
    word: str = ""


_SCHEME = r"(?P<scheme>n-n-n(?:-n)?[imv]?)(?!-)"
_OFTEN = r"(?P<often>(?:n(?:[-to]n)?x|c)r)"
_EVERY = r"(?P<every>en(?:[-to]n)?d)"
_TIMES = r"(?P<times>nxn[imv]?)"
_AMOUNT = r"(?P<amount>n(?:[-to]n)?(?:x(?=[imv]))?[imv]?)(?!-)"
_PLAIN = r"(?P<plain>[rcwphlai])"
_PIECES = re.compile(f"{_SCHEME}|{_OFTEN}|{_EVERY}|{_TIMES}|{_AMOUNT}|{_PLAIN}")
"""The pieces of a sentence: "1-0-1", "twice daily", "every 12 hours", "2 x 1", "50 mg", and single words."""

_PART = r"(?:BMF|MFB|MFI|MF?S|S|D|MI|MF|Ml?|I(?:M[hl]?)?|V(?:M[hl]?)?|B)"
_HOW_OFTEN = r"[rwcpa]*"
_ONE = re.compile(rf"{_HOW_OFTEN}(?P<part>{_PART}){_HOW_OFTEN}")
_NONE = re.compile(_HOW_OFTEN)
_PARTS_THEN_MOMENTS = re.compile(rf"(?:{_PART}a?wa?){{2,4}}[rp]*")
_MOMENTS_THEN_PARTS = re.compile(rf"(?:wa?{_PART}a?){{2,4}}[rp]*")
_A_PART = re.compile(_PART)


def read_sig(text: str, medicine: Medicine, knowledge: Knowledge) -> Sig | None:
    """Read an instruction; `None` where a word is not understood, or where it can be meant in two ways."""
    events = tuple(_events(_terms(text, medicine, knowledge)))
    signs = "".join(event.sign for event in events)
    as_needed = "p" in signs
    if _NONE.fullmatch(signs):
        times = _how_often(events)
        return None if times is None and "r" in signs else Sig((), times, as_needed)
    single = _ONE.fullmatch(signs)
    if single is not None:
        return _one_part(events, single.span("part"), as_needed=as_needed)
    if _PARTS_THEN_MOMENTS.fullmatch(signs) or _MOMENTS_THEN_PARTS.fullmatch(signs):
        return _several_parts(events, signs, as_needed=as_needed)
    return None


def read_mentions(text: str, knowledge: Knowledge) -> Mentions:
    """What an instruction speaks of, in which not every word is understood."""
    terms = knowledge.dose_lexicon.read(text)
    events = tuple(_events(terms))
    return Mentions(
        masses=tuple(event.values for event in events if event.sign == "M"),
        items=tuple(event.values for event in events if event.sign == "I"),
        amounts=any(term.sign in _OF_AMOUNTS for term in terms),
        changes=any(term.sign is Sign.CHANGE for term in terms),
    )


_OF_AMOUNTS = frozenset(
    {Sign.NUMBER, Sign.MASS, Sign.VOLUME, Sign.RATE, Sign.COUNT, Sign.MOMENT, Sign.CHANGE}
)


def strengths_in(text: str, knowledge: Knowledge) -> tuple[tuple[float, UnitKind], ...]:
    """The strengths in mg that the name of a product states, each of one item or one mL.

    Without a unit a number may be a strength, unless it counts hours or other units. What is too long for a
    name may state any.
    """
    if len(text) > LONGEST_TEXT:
        return ((0.0, UnitKind.ITEM),)
    terms = knowledge.dose_lexicon.read(text)
    signs = "".join(term.sign for term in terms)
    found = []
    for match in _STRENGTH.finditer(signs):
        mg = terms[match.start()].value * terms[match.start() + 1].value
        if match["per"] is None:
            found.append((mg, UnitKind.ITEM))
        elif terms[match.start() + 2].word == "/":
            amount = terms[match.start("of")].value if match["of"] else 1.0
            volume = amount * terms[match.end() - 1].value
            found.append((mg / volume if volume else 0.0, UnitKind.VOLUME))
    if found:
        return tuple(found)
    return tuple((terms[match.start()].value, UnitKind.ITEM) for match in _BARE.finditer(signs))


def says_how_often(text: str, knowledge: Knowledge) -> bool:
    """Whether the name of a product says how often it is taken, so that it is an instruction."""
    signs = {term.sign for term in knowledge.dose_lexicon.read(text)}
    return bool(signs & {Sign.RATE, Sign.MOMENT, Sign.EVERY, Sign.COUNT})


_STRENGTH = re.compile(r"nm(?P<per>\?(?P<of>n)?v)?")
_BARE = re.compile(r"n(?![a-z])")


def _terms(text: str, medicine: Medicine, knowledge: Knowledge) -> tuple[Term, ...]:
    """The words of an instruction without the name of its own medicine; that of another one stays."""
    own = medicine.ingredient
    terms = knowledge.dose_lexicon.read(text)
    return tuple(term for term in terms if term.sign is not Sign.NAME or not own or term.word != own)


# --- pieces ---------------------------------------------------------------------------------------


def _events(terms: tuple[Term, ...]) -> Iterator[_DoseEvent]:
    """The pieces of a sentence in order; a word outside them is an event of its own that no sentence has."""
    signs = "".join(term.sign for term in terms)
    at = 0
    while at < len(signs):
        match = _PIECES.match(signs, at)
        if match is None:
            yield _DoseEvent("?")
            at += 1
            continue
        yield _event(match, terms[match.start() : match.end()])
        at = match.end()


def _event(match: re.Match[str], terms: tuple[Term, ...]) -> _DoseEvent:
    numbers = [term.value for term in terms if term.sign is Sign.NUMBER]
    match match.lastgroup:
        case "scheme":
            return _scheme(numbers, terms[-1])
        case "often":
            return _often(numbers, terms)
        case "every":
            days = [number * terms[-1].value for number in numbers]
            return _DoseEvent("r", (1 / max(days), 1 / min(days))) if min(days) > 0 else _DoseEvent("?")
        case "times":
            product = numbers[0] * numbers[1]
            return _amount([product], terms[-1])
        case "amount":
            return _amount(numbers, terms[-1])
        case _:
            (term,) = terms
            sign = "F" if term.sign is Sign.ITEM else term.sign.value
            return _DoseEvent(sign, (term.value, term.value), term.word)


def _scheme(numbers: list[float], last: Term) -> _DoseEvent:
    """The German way to write the doses of a day: morning, noon, evening, night."""
    if last.sign is Sign.MASS:
        return _DoseEvent("D", (sum(numbers) * last.value,) * 2)
    return _DoseEvent("S", (sum(numbers),) * 2) if last.sign is not Sign.VOLUME else _DoseEvent("?")


def _often(numbers: list[float], terms: tuple[Term, ...]) -> _DoseEvent:
    """So many times in a day or week: "3 times a day", "once weekly"."""
    rate = terms[-1].value
    counts = numbers or [terms[0].value]
    return _DoseEvent("r", (min(counts) * rate, max(counts) * rate)) if rate <= 1 else _DoseEvent("?")


def _amount(numbers: list[float], last: Term) -> _DoseEvent:
    """An amount with its unit; without one it counts tablets, where the medicine has a strength."""
    unit = unit_of(last) or Unit(UnitKind.ITEM, 1.0)
    low, high = numbers[0] * unit.size, numbers[-1] * unit.size
    if low > high:
        return _DoseEvent("?")
    bare = last.sign is Sign.NUMBER
    return _DoseEvent("B" if bare else last.sign.value.upper(), (low, high))


# --- sentences ------------------------------------------------------------------------------------


def _one_part(events: tuple[_DoseEvent, ...], span: tuple[int, int], *, as_needed: bool) -> Sig | None:
    quantity, a_day = _quantity(events[span[0] : span[1]])
    rest = (*events[: span[0]], *events[span[1] :])
    times = _how_often(rest)
    if times is None and any(event.sign in "rwc" for event in rest):
        return None
    if a_day:
        if times not in {None, (1.0, 1.0)}:
            return None
        times = (1.0, 1.0)
    return Sig(((quantity, times),), times, as_needed)


def _several_parts(events: tuple[_DoseEvent, ...], signs: str, *, as_needed: bool) -> Sig | None:
    """Amounts at different times of the day, which add up: "50 mg in the morning and 100 mg at night"."""
    moments = [event.word for event in events if event.sign == "w"]
    rates = {event.values for event in events if event.sign == "r"}
    if len(set(moments)) < len(moments) or rates - {(1.0, 1.0)}:
        return None
    quantities = [_quantity(events[match.start() : match.end()]) for match in _A_PART.finditer(signs)]
    if any(a_day for _, a_day in quantities):
        return None
    return Sig(tuple((quantity, (1.0, 1.0)) for quantity, _ in quantities), (1.0, 1.0), as_needed)


def _quantity(events: tuple[_DoseEvent, ...]) -> tuple[Quantity, bool]:
    """The quantity of a part, and whether it is that of a whole day."""
    by_sign = {event.sign: event.values for event in events}
    signs = "".join(event.sign for event in events)
    mass = by_sign.get("M") or by_sign.get("D")
    items = by_sign.get("I") or by_sign.get("B") or by_sign.get("S")
    each: bool | None = None
    if "h" in signs or "F" in signs or (mass and "S" in signs):
        each = True
    elif "l" in signs:
        each = False
    if signs == "MF":
        items, each = (1.0, 1.0), True
    return Quantity(items, mass, by_sign.get("V"), each), bool(set("SD") & set(signs))


def _how_often(events: Iterable[_DoseEvent]) -> Range | None:
    """How often a day, by rates and by times of the day; `None` where they do not agree or say nothing."""
    events = tuple(events)
    rates = {event.values for event in events if event.sign == "r"}
    counts = {event.values[0] for event in events if event.sign == "c"}
    moments = {event.word for event in events if event.sign == "w"}
    apart = any(event.sign == "a" for event in events)
    if len(rates) > 1 or (counts and counts != {float(max(len(moments), 1))}):
        return None
    if not moments:
        return next(iter(rates), None)
    at_moments = (float(len(moments)) if apart else 1.0, float(len(moments)))
    (rate,) = rates or {(1.0, 1.0)}
    if len(moments) == 1:
        return rate if rate[1] <= 1 else None
    if rate == (1.0, 1.0):
        return at_moments
    return rate if rate == (at_moments[1],) * 2 else None
