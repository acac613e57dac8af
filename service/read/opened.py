"""What one record of a medicine leaves open, fact by fact, and the naming of the elements that do so."""

import msgspec

from service.core.elements import Bearing, How
from service.core.knowledge import Knowledge
from service.core.records import Unreadable, VersionedReference
from service.fhir.sources import UNDECODABLE, Source
from service.read.elements import UnreadableElement
from service.read.openings import Opened, find_opened

_OF_THE_WHOLE = frozenset({Bearing.RECORD, Bearing.STATUS, Bearing.SUBJECT})


class Openings:
    """The elements of a record that leave something open; those that did are in `named`.

    An element that only says that nobody knows a value leaves nothing open: nothing is said.
    """

    def __init__(self, evidence: VersionedReference, found: tuple[Opened, ...] = ()) -> None:
        self.named: dict[Unreadable, None] = {}
        self._evidence = evidence
        self._found = tuple(one for one in found if one.how is not How.NOT_KNOWN)

    def that_open(self, fact: Bearing, *, unsaid: bool) -> Opened | None:
        """The element that leaves a fact open, which is named; `unsaid`: no element that is read states it.

        Where parts of the record were left out, what it does not say may be among them.
        """
        for one in self._found:
            withheld = _is_incomplete(one)
            bears = one.bears_on is fact and (unsaid or not one.only_if_unsaid)
            if bears or (withheld and unsaid):
                self.named[Unreadable(self._evidence, one.element)] = None
                return one._replace(only_if_unsaid=True) if withheld else one
        return None


def take_openings(source: Source, knowledge: Knowledge) -> Openings:
    """Find what a record leaves open.

    Raises `UnreadableElement` where that is whose record it is, whether it is so, or all of it.
    """
    kind = source.head.resource_type or ""
    try:
        found = find_opened(kind, msgspec.json.decode(source.content), knowledge)
    except UNDECODABLE:
        raise UnreadableElement("") from None
    for one in found:
        if one.bears_on in _OF_THE_WHOLE and not (
            one.how is How.NOT_KNOWN or one.only_if_unsaid or _is_incomplete(one)
        ):
            raise UnreadableElement(one.element)
    return Openings(source.reference, found)


def _is_incomplete(one: Opened) -> bool:
    """Whether an element says that parts of the record were left out, of which the rest still holds."""
    return one.bears_on is Bearing.RECORD and one.how is How.WITHHELD
