"""What a resource leaves open of the facts that it bears on, and what that means for its reader."""

import msgspec

from service.core.elements import Bearing, How
from service.core.knowledge import Knowledge
from service.fhir.sources import UNDECODABLE, Source
from service.read.elements import UnreadableElement
from service.read.openings import Opened, find_opened


def find_open_facts(source: Source, knowledge: Knowledge) -> "OpenFacts":
    """What a resource in R4 says beyond what is read of it; raises `UnreadableElement`."""
    try:
        content = msgspec.json.decode(source.content)
    except UNDECODABLE:
        raise UnreadableElement("") from None
    return OpenFacts(find_opened(source.head.resource_type or "", content, knowledge))


class OpenFacts:
    """The facts that a resource leaves open, each with the element that does so.

    What opens only where a fact is unsaid is not among them: every reader here takes a fact that nothing
    states as unknown.
    """

    def __init__(self, opened: tuple[Opened, ...]) -> None:
        self.elements = tuple(one for one in opened if not one.only_if_unsaid)

    def refuse(self, *facts: Bearing) -> None:
        """Raise `UnreadableElement` where something of these facts is stated and not read.

        What is withheld, of whatever fact, is never taken as missing.
        """
        for one in self.elements:
            if one.how is How.WITHHELD or (one.bears_on in facts and one.how is not How.NOT_KNOWN):
                raise UnreadableElement(one.element)

    def leaves_open(self, fact: Bearing, element: str = "") -> bool:
        """Whether a fact is unknown, by an element whose path begins like this."""
        return any(one.bears_on is fact and one.element.startswith(element) for one in self.elements)
