"""The elements that every kind of resource shares: concepts, codings, dates, periods, statuses."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, tzinfo
from typing import Any, TypeVar

import msgspec

from service.core.dates import Interval, PartialDate
from service.core.knowledge import Knowledge
from service.core.records import Coding, Concept, DoubtfulDate
from service.fhir.sources import UNDECODABLE, Source
from service.fhir.views import ConceptView, PeriodView
from service.ids import plain_system

Meaning = TypeVar("Meaning")

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
    """Decode the view of a resource that nothing turns round; raises `UnreadableElement`."""
    if source.head.modifier_extension:
        raise UnreadableElement("modifierExtension")
    if source.head.implicit_rules is not None:
        raise UnreadableElement("implicitRules")
    return decode_view(source, decoder)


def decode_view(source: Source, decoder: msgspec.json.Decoder[Any]) -> Any:
    """Decode the view of a resource; raises `UnreadableElement` naming the element at fault."""
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


def read_status(status: ConceptView, element: str, known: Mapping[str, Meaning]) -> Meaning:
    """What a status means, by its coding in the code system that FHIR binds it to, else by any other.

    The other codings of one with a bound coding are its translations. Without a coding its text counts; an
    empty one means what `known` says of an empty code. Raises `UnreadableElement` for a code that is not
    known, and where codings of the bound system disagree.
    """
    coded = [coding for coding in status.coding if coding.code]
    bound = [coding for coding in coded if plain_system(coding.system or "") in _STATUS_SYSTEMS[element]]
    bare = [coding for coding in coded if not coding.system]
    codes = [coding.code or "" for coding in bound or bare or coded]
    codes = codes or [(status.text or "").strip().lower()]
    if not known.keys() >= set(codes):
        raise UnreadableElement(element)
    meanings = {known[code] for code in codes}
    if len(meanings) > 1:
        raise UnreadableElement(element)
    return meanings.pop()


_STATUS_SYSTEMS = {
    element: frozenset(
        f"{base}/{kind}-{name}"
        for base in ("http://terminology.hl7.org/codesystem", "http://hl7.org/fhir")
        for kind in ("condition", "allergyintolerance")
        for name in names
    )
    for element, names in (
        ("clinicalStatus", ("clinical", "clinical-status")),
        ("verificationStatus", ("ver-status", "verification", "verification-status")),
    )
}
"""The code systems that FHIR binds statuses to, those of STU3 among them, as `plain_system` spells them.

https://terminology.hl7.org/CodeSystem-condition-clinical.html and its like.
"""


_ReadDate = Callable[[Source, str, str | None], PartialDate | None]


class Elements:
    """Reads elements, and keeps the dates that cannot be meant in `doubtful`.

    `of_site` are the codings read so far that only the site's own lists know.
    """

    def __init__(self, knowledge: Knowledge, zone: tzinfo = UTC) -> None:
        self.knowledge = knowledge
        self.zone = zone
        self.doubtful: list[DoubtfulDate] = []
        self.of_site: list[Coding] = []
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
        coding = Coding(system, code, display)
        if self.knowledge.site.has(coding):
            self.of_site.append(coding)
        return coding

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

    def event(self, source: Source, element: str, text: str | None) -> PartialDate | None:
        """When something happened: the day that it was at the site, whatever day its own zone writes.

        So what happened by the end of a day at the site has happened on that day, and not after it. Lengths
        of courses are counted by `date`, in the days as they are written.
        """
        written = self.date(source, element, text)
        return None if written is None or text is None else written.at_site(text, self.zone)

    def event_period(self, source: Source, element: str, period: PeriodView | None) -> Interval:
        """The period of an event; unknown at both ends where it ends before it starts."""
        return self._interval(source, element, period, self.event)

    def interval(self, source: Source, element: str, period: PeriodView | None) -> Interval:
        """A Period in days as they are written; unknown at both ends where it ends before it starts."""
        return self._interval(source, element, period, self.date)

    def _interval(self, source: Source, element: str, period: PeriodView | None, read: _ReadDate) -> Interval:
        if period is None:
            return Interval()
        start = read(source, f"{element}.start", period.start)
        end = read(source, f"{element}.end", period.end)
        if start is not None and end is not None and start.earliest > end.latest:
            self.doubtful.append(DoubtfulDate(source.reference, element, "ends-before-it-starts"))
            return Interval()
        return Interval(start, end)
