"""Read what a record says of all that it holds of a kind: none known, no information, or withheld.

A list or a section of a document that is empty gives the reason, and records of some kinds are codes for
none. https://hl7.org/fhir/R4/list.html#empty and the International Patient Summary, Absent and Unknown Data.
"""

from collections.abc import Iterator

import msgspec

from service.core.knowledge import Knowledge
from service.core.records import Coding, Concept, Contents
from service.fhir.kinds import SCREENED_KINDS
from service.fhir.sources import Source
from service.fhir.views import CompositionView, ConceptView, ListView, SectionView
from service.read.elements import Elements, decode_view

_LIST = msgspec.json.Decoder(ListView)
_COMPOSITION = msgspec.json.Decoder(CompositionView)
_REASONS = "list-empty-reason"
_STANDING = frozenset({"current", None})


def decode_list(source: Source) -> ListView:
    """The view of a List; raises `UnreadableElement`."""
    view: ListView = decode_view(source, _LIST)
    return view


def decode_composition(source: Source) -> CompositionView:
    """The view of a Composition; raises `UnreadableElement`."""
    view: CompositionView = decode_view(source, _COMPOSITION)
    return view


def gives_contents(view: ListView) -> bool:
    """Whether a List says of a kind of record why there is none. One of changes never is the whole."""
    whole = view.status in _STANDING and view.mode != "changes"
    return whole and view.empty_reason is not None and not view.entry


class ContentsReader:
    """Reads what is said of whole kinds; what was read so far is in `told`."""

    def __init__(self, elements: Elements) -> None:
        self.told: dict[Contents, set[str]] = {contents: set() for contents in Contents}
        self._elements = elements
        self._knowledge: Knowledge = elements.knowledge

    def take_concept(self, kind: str, concept: Concept) -> bool:
        """Whether a record is none of its kind, and says how much is known of that kind."""
        contents = self._knowledge.contents.first(concept)
        if contents is None:
            return False
        self.told[contents].add(kind)
        return True

    def take_list(self, view: ListView) -> None:
        """An empty List and its reason."""
        self._take(view.code, view.empty_reason)

    def take_composition(self, view: CompositionView) -> None:
        """The empty sections of a document and their reasons."""
        if view.status == "entered-in-error":
            return
        for section in _sections(view.section):
            if section.empty_reason is not None and not section.entry:
                self._take(section.code, section.empty_reason)

    def _take(self, code: ConceptView | None, reason: ConceptView | None) -> None:
        """Keep a reason. One that is not known is no information; where no kind is named, it may be any."""
        kind = self._knowledge.list_contents.first(self._elements.concept(code))
        contents = self._contents(self._elements.concept(reason))
        if kind is not None:
            self.told[contents].add(kind)
        elif contents is Contents.WITHHELD:
            self.told[contents].update(SCREENED_KINDS)

    def _contents(self, reason: Concept) -> Contents:
        """What a reason means, by its code, else by a code without a system or a text that is one."""
        bare = [coding.code for coding in reason.codings if not coding.system]
        written = (Coding(_REASONS, (text or "").strip().lower(), None) for text in (*bare, reason.text))
        found = self._knowledge.contents.first(Concept((*reason.codings, *written)))
        return found or Contents.NO_INFORMATION


def _sections(sections: list[SectionView]) -> Iterator[SectionView]:
    """Every section, those within others included."""
    for section in sections:
        yield section
        yield from _sections(section.section)
