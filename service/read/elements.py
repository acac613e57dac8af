"""The elements that every kind of resource shares: concepts, codings, dates, periods, statuses."""

import re
from typing import Any

import msgspec

from service.core.dates import Interval, PartialDate
from service.core.knowledge import Knowledge
from service.core.records import Coding, Concept, DoubtfulDate
from service.fhir.references import plain_system
from service.fhir.sources import UNDECODABLE, Source
from service.fhir.views import ConceptView, PeriodView

_FAULT_PATH = re.compile(r"`\$\.?([^`]*)`")
_ICD_CATEGORY = 3
_E_CATEGORY = 4
"""ICD-9-CM's external causes have their dot one place later: E950.0."""
_SNOMED = "http://snomed.info/sct"
"""Its editions and versions are addresses below it: http://snomed.info/sct/731000124108/version/20260301."""


class UnreadableElement(Exception):
    """An element of a resource makes the whole of it unreadable."""

    def __init__(self, element: str) -> None:
        super().__init__(element)
        self.element = element


def decode(source: Source, decoder: msgspec.json.Decoder[Any]) -> Any:
    """Decode the view of a resource; raises `UnreadableElement` naming the element at fault."""
    if source.head.modifier_extension:
        raise UnreadableElement("modifierExtension")
    if source.head.implicit_rules is not None:
        raise UnreadableElement("implicitRules")
    try:
        return decoder.decode(source.content)
    except msgspec.ValidationError as error:
        found = _FAULT_PATH.search(str(error))
        raise UnreadableElement(_element_path(found[1] if found else "")) from None
    except UNDECODABLE:
        raise UnreadableElement("") from None


def _element_path(path: str) -> str:
    """The path without array positions that msgspec could not number."""
    return path.replace("[...]", "").replace(".[", "[")


def status_code(status: ConceptView | None, element: str) -> str | None:
    """The code of a status; its text where it has no coding."""
    if status is None:
        return None
    codes = {coding.code for coding in status.coding if coding.code}
    if len(codes) > 1:
        raise UnreadableElement(element)
    return next(iter(codes), None) or (status.text or "").strip().lower() or None


class Elements:
    """Reads elements, and keeps the dates that cannot be meant in `doubtful`."""

    def __init__(self, knowledge: Knowledge) -> None:
        self.knowledge = knowledge
        self.doubtful: list[DoubtfulDate] = []
        self._systems = {plain_system(uri): system for uri, system in knowledge.systems.items()}

    def concept(self, view: ConceptView | None) -> Concept:
        """A CodeableConcept; empty where there is none."""
        if view is None:
            return Concept()
        return Concept(tuple(self._coding(c.system, c.code, c.display) for c in view.coding), view.text)

    def _coding(self, uri: str | None, code: str | None, display: str | None) -> Coding:
        """A coding with the short id of its system; ICD codes with the dot that some systems leave out."""
        system = self.system(uri)
        if code is not None and system in self.knowledge.classification_systems:
            code = code.strip().upper()
            category = _E_CATEGORY if system == "icd-9-cm" and code.startswith("E") else _ICD_CATEGORY
            if len(code) > category and "." not in code:
                code = f"{code[:category]}.{code[category:]}"
        return Coding(system, code, display)

    def system(self, uri: str | None) -> str | None:
        """The short id of a code system, by whatever spelling of its address; the address where it has none.

        A bare object identifier is one, as HL7 v2 and CDA write it.
        """
        known = self.knowledge.systems
        if uri is None or uri in known:
            return known.get(uri or "")
        address = plain_system(uri)
        if address.startswith(f"{_SNOMED}/"):
            address = _SNOMED
        return self._systems.get(address) or self._systems.get(f"urn:oid:{address}", uri)

    def date(self, source: Source, element: str, text: str | None) -> PartialDate | None:
        """A date, unless it is missing or one that systems fill in when they do not know."""
        if text is None:
            return None
        try:
            parsed = PartialDate.parse(text)
        except ValueError:
            raise UnreadableElement(element) from None
        if parsed.earliest == parsed.latest and parsed.earliest in self.knowledge.placeholder_dates:
            self.doubtful.append(DoubtfulDate(source.reference, element, "placeholder"))
            return None
        return parsed

    def interval(self, source: Source, element: str, period: PeriodView | None) -> Interval:
        """A Period; unknown at both ends where it ends before it starts."""
        if period is None:
            return Interval()
        start = self.date(source, f"{element}.start", period.start)
        end = self.date(source, f"{element}.end", period.end)
        if start is not None and end is not None and start.earliest > end.latest:
            self.doubtful.append(DoubtfulDate(source.reference, element, "ends-before-it-starts"))
            return Interval()
        return Interval(start, end)
