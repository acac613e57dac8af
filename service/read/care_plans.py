"""Read CarePlans into plans of record: whose they are, where they stand, whether a person touched them.

Somebody's esketamine plan is known by what its activities give, by code or by name; where only other words of
it name esketamine, a person must look at it. Nothing of a plan is passed over: its words are looked for in
every element, and what cannot be read, or is not there, is named.
"""

import html
import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import msgspec

from service.core.elements import Bearing
from service.core.medicines import identify_medicine, names_esketamine
from service.core.records import (
    Identified,
    Medicine,
    PlannedSession,
    PlanOfRecord,
    PlanStatus,
    Role,
    Unreadable,
    VersionedReference,
)
from service.core.words import name_decision
from service.fhir.loose import Resource, part, parts, text
from service.fhir.names import (
    CONTENT_DIGEST,
    GROUNDS,
    PLAN_IDENTIFIER,
    WITHDRAWN,
    extension_value,
    identifiers_of,
    is_edited,
    protocol_of,
)
from service.fhir.r5.plans import UNTOLD
from service.fhir.references import read_reference
from service.fhir.sources import UNDECODABLE, Source
from service.fhir.views import ConceptView, ReferenceView
from service.read.agenda import read_agenda, read_day
from service.read.elements import Elements, UnreadableElement
from service.read.medicines import MedicineReader
from service.read.openings import find_opened

_NEVER_FOLLOWED = frozenset({PlanStatus.REVOKED, PlanStatus.ENTERED_IN_ERROR})
_OF_WHAT_IS_GIVEN = frozenset({Bearing.RECORD, Bearing.STATUS, Bearing.MEDICINE})
_NO_WORDS = frozenset({"id", "reference", "resourceType", "system", "url", "versionId"})
"""Elements whose text names another thing than what the plan is about."""
BENEFIT_REVIEW, MAINTENANCE_REVIEW = "benefit-review", "maintenance-review"
_TAG = re.compile(r"<[^<>]*+>")
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")
_BRACKETS = str.maketrans("<>", "  ")


class PlanReader:
    """Reads one patient's care plans; what was read so far is in its lists.

    `in_words` are plans of others in which only words name esketamine. `not_there` names what plans lead to
    and what was not gathered.
    """

    def __init__(self, elements: Elements, medicines: MedicineReader) -> None:
        self.plans: list[PlanOfRecord] = []
        self.in_words: list[VersionedReference] = []
        self.unreadable: list[Unreadable] = []
        self.not_there: list[str] = []
        self._elements = elements
        self._medicines = medicines

    def take(self, source: Source) -> None:
        """A care plan of the patient. Raises `UnreadableElement`."""
        try:
            content: Resource = msgspec.json.decode(source.content)
            if identifiers_of(content, PLAN_IDENTIFIER):
                self._take_ours(source, content)
            else:
                self._take_anothers(source, content)
        except UNDECODABLE:  # more is read than the view of a plan
            raise UnreadableElement("") from None

    def _take_ours(self, source: Source, content: Resource) -> None:
        """A plan of ours; one that a person changed is left whatever it says."""
        plan = plan_of_record(source.reference, content)
        self.plans.append(plan)
        if not plan.edited:
            self._name_openings(source, content, passed_over={Bearing.DOSE})

    def _take_anothers(self, source: Source, content: Resource) -> None:
        """A plan of somebody else, if it is about esketamine; and what leaves open whether it is."""
        status = _status(text(content.get("status")))
        asked = self._asked(content)
        given = any(self._gives_esketamine(activity) for activity in asked)
        if given:
            self.plans.append(plan_of_record(source.reference, content))
        if status in _NEVER_FOLLOWED:
            return
        plan = _without_what_is_forbidden(content, asked)
        if not given and self._names_esketamine(plan, *self._followed(content, asked)):
            self.in_words.append(source.reference)
        # When a plan about something else gives what it gives decides nothing.
        passed_over = {Bearing.DOSE} if given else {Bearing.DOSE, Bearing.PERIOD}
        self._name_openings(source, plan, passed_over)
        for activity in asked:
            self._name_what_is_not_there(source, activity)

    # what a plan leads to ------------------------------------------------------------------------

    def _asked(self, content: Resource) -> "list[_GivenActivity]":
        """The activities of a plan that say what is to be done, not what is not to be done."""
        activities = [self._activity(part(one), content) for one in parts(content.get("activity"))]
        return [one for one in activities if not (_is_forbidden(one.detail) or _is_forbidden(one.request))]

    def _activity(self, given: Resource, plan: Resource) -> "_GivenActivity":
        request = self._led_to(given.get("reference"), plan)
        return _GivenActivity(given, part(given.get("detail")), request, parts(plan.get("contained")))

    def _led_to(self, link: Any, plan: Resource) -> Resource:
        """The resource that a reference of a plan leads to; empty where it is not there."""
        inside = read_reference(text(part(link).get("reference"))).fragment
        if inside is not None:
            found = (one for one in parts(plan.get("contained")) if part(one).get("id") == inside)
            return part(next(found, None))
        source = self._medicines.resolve(_as_reference(link))
        return {} if source is None else part(msgspec.json.decode(source.content))

    def _followed(self, content: Resource, asked: "Iterable[_GivenActivity]") -> Iterator[Resource]:
        """The resources beside a plan that say what it is about: requests, products and goals."""
        goals = [*parts(content.get("goal"))]
        for activity in asked:
            yield activity.request
            yield self._led_to(activity.detail.get("productReference"), content)
            goals += parts(activity.detail.get("goal"))
        for goal in goals:
            yield self._led_to(goal, content)

    # what it gives -------------------------------------------------------------------------------

    def _gives_esketamine(self, activity: "_GivenActivity") -> bool:
        """Whether an activity gives esketamine, by what it is called or by its product."""
        detail, request = activity.detail, activity.request
        code = part(request.get("code"))
        concepts = (
            detail.get("code"),
            detail.get("productCodeableConcept"),
            code.get("concept", code),  # a ServiceRequest of R5 has a CodeableReference
            request.get("medicationCodeableConcept"),
        )
        return any(self._is_esketamine(concept) for concept in concepts) or any(
            medicine.role is Role.ESKETAMINE for medicine in self._products(activity)
        )

    def _products(self, activity: "_GivenActivity") -> Iterator[Medicine]:
        """The medicines that an activity, or the request behind it, refers to."""
        request = activity.request
        contained = request.get("contained") or activity.contained
        for link, beside in (
            (activity.detail.get("productReference"), activity.contained),
            (request.get("medicationReference"), contained),
        ):
            if link is not None:
                yield self._medicines.identify({"medicationReference": link, "contained": beside})

    def _is_esketamine(self, concept: Any) -> bool:
        try:
            view = msgspec.convert(concept, ConceptView | None)
        except msgspec.ValidationError:
            return False
        named = self._elements.concept(view)
        return identify_medicine(named, self._elements.knowledge).role is Role.ESKETAMINE

    # what it says --------------------------------------------------------------------------------

    def _names_esketamine(self, *resources: Resource) -> bool:
        """Whether any element of a plan, or of what it leads to, names esketamine in words or by a code."""
        texts, concepts = _said_in(resources)
        words = " | ".join(reading for said in texts for reading in _readings(said))
        return names_esketamine(words, self._elements.knowledge) or any(map(self._is_esketamine, concepts))

    # what leaves it open -------------------------------------------------------------------------

    def _name_openings(self, source: Source, plan: Resource, passed_over: set[Bearing]) -> None:
        """Name the elements that leave a plan unclear; its words are looked for in every element."""
        opened = [
            one.element
            for one in find_opened("CarePlan", _as_told(plan), self._elements.knowledge)
            if one.bears_on not in passed_over
            and not one.only_if_unsaid
            and not one.element.startswith("contained.")
        ]
        for inside in parts(plan.get("contained")):
            found = find_opened(
                text(part(inside).get("resourceType")), part(inside), self._elements.knowledge
            )
            opened += [
                f"contained.{one.element}"
                for one in found
                if one.bears_on in _OF_WHAT_IS_GIVEN and not one.only_if_unsaid
            ]
        self.unreadable += [Unreadable(source.reference, element) for element in dict.fromkeys(opened)]

    def _name_what_is_not_there(self, source: Source, activity: "_GivenActivity") -> None:
        """Name what an activity leads to and what is not there: a medicine leaves open what is given."""
        if any(one.identified is Identified.UNRESOLVED for one in self._products(activity)):
            self.unreadable.append(Unreadable(source.reference, "activity.detail.productReference"))
        link = part(activity.given.get("reference"))
        if not link or activity.request or text(link.get("display")):
            return
        named = read_reference(text(link.get("reference")))
        if named.fragment is not None or named.kind == "MedicationRequest":
            self.unreadable.append(Unreadable(source.reference, "activity.reference"))
        else:
            self.not_there.append(named.name or source.reference.name)


class _GivenActivity(NamedTuple):
    """An activity of a plan: as given, its detail, the request that it refers to, what the plan contains."""

    given: Resource
    detail: Resource
    request: Resource
    contained: list[Any]


def _is_forbidden(request: Resource) -> bool:
    """Whether a request is not to be done, or was never made."""
    return request.get("doNotPerform") is True or (
        "resourceType" in request and request.get("status") == "entered-in-error"
    )


def _without_what_is_forbidden(plan: Resource, asked: Iterable[_GivenActivity]) -> Resource:
    contained = [one for one in parts(plan.get("contained")) if not _is_forbidden(part(one))]
    return {**plan, "activity": [one.given for one in asked], "contained": contained}


def _as_told(plan: Resource) -> Resource:
    """A plan without what the translation from R5 keeps of a request; its words are read with the others."""
    activities = [part(one) for one in parts(plan.get("activity"))]
    told = [
        {**one, "detail": {name: value for name, value in one["detail"].items() if name != UNTOLD}}
        if UNTOLD in part(one.get("detail"))
        else one
        for one in activities
    ]
    return {**plan, "activity": told}


def _as_reference(link: Any) -> ReferenceView:
    try:
        return msgspec.convert(link or {}, ReferenceView)
    except msgspec.ValidationError:
        return ReferenceView()


def _said_in(resources: Iterable[Resource]) -> tuple[list[str], list[Any]]:
    """Every text in resources, wherever it stands, and everything that is coded."""
    texts: list[str] = []
    concepts: list[Any] = []
    left: list[Any] = list(resources)
    while left:
        value = left.pop()
        if isinstance(value, str):
            texts.append(value)
        elif isinstance(value, list):
            left.extend(value)
        elif isinstance(value, dict):
            if "coding" in value:
                concepts.append(value)
            elif "code" in value and "system" in value:
                concepts.append({"coding": [value]})
            left.extend(
                one for name, one in value.items() if not (name in _NO_WORDS and isinstance(one, str))
            )
    return texts, concepts


def _readings(said: str) -> Iterator[str]:
    """A text as it may be meant: a narrative with and without its tags, an address with its words apart."""
    plain = html.unescape(said)
    yield _HUMP.sub(" ", plain.translate(_BRACKETS))
    yield plain
    if "<" in plain:
        yield _TAG.sub("", plain)


def plan_of_record(evidence: VersionedReference, content: Resource) -> PlanOfRecord:
    """A CarePlan about esketamine as the core sees it; ours where it carries an identifier of ours."""
    identity = next(iter(identifiers_of(content, PLAN_IDENTIFIER)), None)
    ours = identity is not None
    agenda = read_agenda(content)
    done = {activity.title for activity in agenda.activities if activity.status == "completed"}
    return PlanOfRecord(
        evidence=evidence,
        status=_status(text(content.get("status"))),
        ours=ours,
        edited=ours and is_edited(content),
        identity=identity,
        content=extension_value(content, CONTENT_DIGEST),
        protocol=protocol_of(map(text, parts(content.get("instantiatesCanonical")))),
        sessions=agenda.session_days,
        withdrawn=extension_value(content, WITHDRAWN),
        replaces=_named_plan(content, "replaces"),
        planned=tuple(
            PlannedSession(entry.activity.number, entry.day, entry.activity.status, evidence)
            for entry in agenda.entries
            if entry.activity.session
        ),
        starts=read_day(part(content.get("period")).get("start")),
        based_on=_named_plan(content, "basedOn"),
        benefit_reviewed=name_decision(BENEFIT_REVIEW) in done,
        maintenance_reviewed=name_decision(MAINTENANCE_REVIEW) in done,
        created=read_day(content.get("created")),
        grounds=extension_value(content, GROUNDS) if ours else None,
    )


def deleted_plan(plan_id: str, goes_on_from: str | None) -> PlanOfRecord:
    """A plan of ours that was deleted; only its id is known, and what it went on from if it is on record."""
    evidence = VersionedReference("CarePlan", plan_id)
    return PlanOfRecord(evidence, PlanStatus.DELETED, ours=True, edited=True, grounds=goes_on_from)


def _named_plan(content: Resource, element: str) -> str | None:
    """The id of the plan that a plan replaces, or is based on."""
    named = [read_reference(text(part(one).get("reference"))) for one in parts(content.get(element))]
    return named[0].id_of("CarePlan") if named else None


def _status(status: str) -> PlanStatus:
    """The status; what FHIR has no code for is unknown, "deleted" among it."""
    known = {code.value: code for code in PlanStatus if code is not PlanStatus.DELETED}
    return known.get(status, PlanStatus.UNKNOWN)
