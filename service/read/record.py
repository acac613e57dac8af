"""Read gathered FHIR R4 resources into core records, each resource on its own.

A resource that cannot be read becomes a value that says at which element, never an error and never
silence. Another patient's record stops the reading: mixing two people is worse than no answer.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import MAXYEAR, UTC, date, tzinfo

import msgspec

from service.core.dates import PartialDate, years_after
from service.core.diagnoses import is_named, is_no_disorder, place_allergy, place_diagnosis
from service.core.elements import Bearing, How
from service.core.knowledge import Knowledge
from service.core.medicines import identify_medicine
from service.core.phrases import fold
from service.core.records import (
    MEDICINE_RECORDS,
    Allergy,
    BenefitReview,
    ClinicalStatus,
    Contents,
    Diagnosis,
    Excluded,
    ExclusionReason,
    Observation,
    Person,
    Procedure,
    Record,
    Role,
    Unplaced,
    Unreadable,
    Verification,
    VersionedReference,
)
from service.core.results import bears_on_assessment, procedure_kind
from service.errors import NotAssessable, NotFhir
from service.fhir.kinds import BEAR_BY_CODE, READ_KINDS
from service.fhir.loose import part, text
from service.fhir.references import Reference, read_reference
from service.fhir.sources import UNDECODABLE, Gathered, Source, separate_versions
from service.fhir.views import (
    AllergyView,
    CarePlanView,
    ConceptView,
    ConditionView,
    IdentifierView,
    LinkView,
    NamedMedicineView,
    PatientView,
    PeriodView,
    QuantityView,
    ReferenceView,
)
from service.ids import plain_system
from service.read.care_plans import PlanReader, deleted_plan
from service.read.certainty import apply_certainty, read_certainty
from service.read.completeness import ContentsReader, decode_composition, decode_list, gives_contents
from service.read.elements import Elements, UnreadableElement, decode, decode_view, read_status
from service.read.medicines import MedicineReader
from service.read.open_facts import OpenFacts, find_open_facts
from service.read.questionnaires import (
    asks_what_bears,
    codes_by_questionnaire,
    decode_response,
    questions_of,
    read_answer_traces,
    read_response,
)
from service.read.results import (
    WITHDRAWN,
    Results,
    codes_of,
    decode_observation,
    decode_procedure,
    is_done,
    read_observation,
    read_performed_or_unknown,
    read_procedure,
    read_traces,
)
from service.read.signs import FindingReader, decode_flag, read_flag, read_repair
from service.read.tasks import is_our_task, read_benefit_review

_PATIENT = msgspec.json.Decoder(PatientView)
_ASSERTED = "http://hl7.org/fhir/StructureDefinition/condition-assertedDate"
"""https://hl7.org/fhir/R4/extension-condition-asserteddate.html."""
_OF_VISIT, _OF_PROBLEM_LIST = "encounter diagnosis", "problem list item"
"""Condition.category, by its codes or in words: https://hl7.org/fhir/R4/valueset-condition-category.html."""

_CONDITION = msgspec.json.Decoder(ConditionView)
_ALLERGY = msgspec.json.Decoder(AllergyView)
_PLAN = msgspec.json.Decoder(CarePlanView)
_NAMED_MEDICINE = msgspec.json.Decoder(NamedMedicineView)


def read_record(gathered: Gathered, knowledge: Knowledge, zone: tzinfo = UTC) -> Record:
    """Read everything gathered about one patient; `zone` is the site's, in which a day ends.

    Raises `NotAssessable` when there is no Patient, more than one, one merged into another, or a
    record of somebody else; `NotFhir` when the Patient itself cannot be read.
    """
    versions = separate_versions(gathered.sources)
    patients = [source for source in versions.latest if source.head.resource_type == "Patient"]
    patient = _the_patient(patients, gathered)
    reader = _Reader(gathered, patient, Elements(knowledge, zone))
    for source in versions.latest:
        reader.take(source)
    for source in versions.superseded:
        if source.head.resource_type in READ_KINDS:
            reader.excluded.append(Excluded(source.reference, ExclusionReason.SUPERSEDED))
    for source in versions.contradictory:
        reader.unreadable.append(Unreadable(source.reference, "id"))
    return reader.record()


def _the_patient(patients: list[Source], gathered: Gathered) -> Source:
    if gathered.patient_id is not None:
        patients = [source for source in patients if source.head.id == gathered.patient_id]
    if not patients:
        message = "no Patient in the record; add the Patient that it is about"
        raise NotAssessable(message)
    if len(patients) > 1:
        message = "more than one Patient in the record; assess one patient at a time"
        raise NotAssessable(message)
    return patients[0]


class _Reader:
    """Reads one patient's resources; what was read so far is in its lists."""

    def __init__(self, gathered: Gathered, patient: Source, elements: Elements) -> None:
        self.gathered = gathered
        self.knowledge = elements.knowledge
        self.elements = elements
        self.medicines = MedicineReader(gathered, self.elements, self._belongs)
        self.contents = ContentsReader(self.elements)
        self.findings = FindingReader(self.elements)
        self.signs: list[Diagnosis] = []
        self.diagnoses: list[Diagnosis] = []
        self.allergies: list[Allergy] = []
        self.unplaced: list[Unplaced] = []
        self.observations: list[Observation] = []
        self.procedures: list[Procedure] = []
        self.plans = PlanReader(self.elements, self.medicines)
        self.benefit_reviews: list[BenefitReview] = []
        self.ours: list[VersionedReference] = []
        self.former: list[VersionedReference] = []
        self.excluded: list[Excluded] = []
        self.unreadable: list[Unreadable] = []
        self.open_elements: list[Unreadable] = []
        self._patient = patient
        self._takers: dict[str | None, Callable[[Source], None]] = {
            "Condition": self._take_condition,
            "MedicationStatement": self._of_medicine(self.medicines.take_statement),
            "MedicationRequest": self._of_medicine(self.medicines.take_request),
            "MedicationDispense": self._of_medicine(self.medicines.take_dispense),
            "MedicationAdministration": self._of_medicine(self.medicines.take_administration),
            "AllergyIntolerance": self._take_allergy,
            "Observation": self._take_observation,
            "Procedure": self._take_procedure,
            "CarePlan": self._take_plan,
            "Patient": self._take_patient,
            "QuestionnaireResponse": self._take_response,
            "Flag": self._take_flag,
            "List": self._take_list,
            "Composition": self._take_composition,
            "Task": self._take_task,
        }
        self._codes_by_questionnaire = codes_by_questionnaire(gathered.sources, elements)
        self.unread_records: list[str] = []
        self.of_site: list[VersionedReference] = []
        try:
            view: PatientView = decode_view(patient, _PATIENT)
            self._identifiers = {_key(i) for i in view.identifier if i.value}
            self.person = self._person(view)
        except UnreadableElement as fault:
            message = f"{patient.reference}: cannot be read at {fault.element or 'its root'}"
            raise NotFhir(message) from None

    def record(self) -> Record:
        told = self.contents.told
        withheld = told[Contents.WITHHELD]
        record = Record(
            person=self.person,
            exposures=self.medicines.exposures,
            diagnoses=tuple(self.diagnoses),
            allergies=tuple(self.allergies),
            unplaced=tuple(self.unplaced),
            observations=tuple(self.observations),
            procedures=tuple(self.procedures),
            plans=(
                *self.plans.plans,
                *(deleted_plan(*known) for known in self.gathered.deleted_plans.items()),
            ),
            plans_in_words=tuple(self.plans.in_words),
            benefit_reviews=tuple(self.benefit_reviews),
            excluded=(*self.excluded, *self.medicines.excluded),
            unreadable=(*self.unreadable, *self.medicines.unreadable, *self.plans.unreadable),
            open_elements=(*self.open_elements, *self.medicines.open_elements),
            doubtful_dates=tuple(dict.fromkeys(self.elements.doubtful)),
            signs=tuple(self.signs),
            not_read=tuple(sorted({*self.gathered.not_read, *told[Contents.NO_INFORMATION], *withheld})),
            refused=tuple(sorted({*self.gathered.refused, *withheld})),
            none_known=tuple(sorted(told[Contents.NONE_KNOWN])),
            unread_records=tuple(dict.fromkeys((*self.unread_records, *self.plans.not_there))),
            of_site=tuple(self.of_site),
            follows_course=self.gathered.follows_course,
        )
        return replace(record, read=self._read(record))

    def _read(self, record: Record) -> tuple[VersionedReference, ...]:
        """Every version read of this patient: that nothing is found rests on all of them.

        Not the observations and procedures that no list here knows: a patient may have thousands.
        """
        found = {
            record.person.evidence,
            *self.former,
            *self.ours,
            *self.medicines.medications,
            *(reference for one in record.observations for reference in one.evidence),
            *(reference for one in record.signs for reference in one.evidence),
            *(reference for one in record.procedures for reference in one.evidence),
            *(one.evidence for one in record.excluded),
            *(one.evidence for one in record.unreadable),
        }
        named = {reference for reference in found if reference.type in READ_KINDS}
        return tuple(sorted({*named, *(review.evidence for review in record.benefit_reviews)}, key=str))

    def take(self, source: Source) -> None:
        """Read one resource, if it is of a kind that is read; one with a code of the site's own is noted."""
        self.elements.of_site.clear()
        self._take(source)
        if self.elements.of_site:
            self.of_site.append(source.reference)

    def _take(self, source: Source) -> None:
        kind = source.head.resource_type
        if kind is None or not _A_KIND.fullmatch(kind):
            self.unreadable.append(Unreadable(source.reference, "resourceType"))
            return
        try:
            self._takers.get(kind, _leave)(source)
        except UnreadableElement as fault:
            self.unreadable.append(Unreadable(source.reference, fault.element))
            if kind in MEDICINE_RECORDS:
                self.medicines.take_trace(source)

    # the patient ---------------------------------------------------------------------------------

    def _take_patient(self, source: Source) -> None:
        """Note a Patient that was merged into ours: it names those that were merged into it before."""
        if source.head.id in self.gathered.former_ids:
            self.former.append(source.reference)
            view: PatientView = decode_view(source, _PATIENT)
            self._name_unread(link for link in view.link if link.type != "replaced-by")

    def _person(self, view: PatientView) -> Person:
        for link in view.link:
            if link.type == "replaced-by":
                named = read_reference(link.other.reference if link.other else None)
                other = named.name if named.kind == "Patient" else "another record"
                message = f"{self._patient.reference}: merged into {other}; assess that one"
                raise NotAssessable(message)
        self._name_unread(view.link)
        facts = find_open_facts(self._patient, self.knowledge)
        self._take_openings(facts)
        died = self.elements.event(self._patient, "deceasedDateTime", view.deceased_date_time)
        if facts.leaves_open(Bearing.DEATH, "deceasedDateTime"):
            died = None
        dated = view.deceased_date_time is not None or bool(bytes(view.deceased_date_time_extension))
        stated = view.deceased_boolean is True or dated
        born = self.elements.date(self._patient, "birthDate", view.birth_date)
        return Person(
            self._patient.reference,
            born=None if facts.leaves_open(Bearing.AGE) else born,
            deceased=stated and died is None,
            died=died,
            in_use=view.active is not False,
        )

    def _take_openings(self, facts: OpenFacts) -> None:
        """Name what the Patient leaves open.

        A label says that parts are not shown, and does not make the patient another. An unknown day of birth
        is asked for, and an unknown day of death is a death. Raises `UnreadableElement` for what may turn the
        whole round.
        """
        for one in facts.elements:
            if one.how is How.WITHHELD and one.bears_on is Bearing.RECORD:
                self.unread_records.append(self._patient.reference.name)
            elif one.bears_on is Bearing.RECORD and one.how is How.NOT_READ:
                raise UnreadableElement(one.element)
            elif one.bears_on is not Bearing.AGE and not one.element.startswith("deceasedDateTime"):
                self.unreadable.append(Unreadable(self._patient.reference, one.element))

    def _name_unread(self, links: Iterable[LinkView]) -> None:
        """Name the records of the same person that did not come along."""
        here = {s.head.id for s in self.gathered.sources if s.head.resource_type == "Patient"}
        for link in links:
            other = read_reference(link.other.reference if link.other else None)
            read = {*self.gathered.former_ids, self._patient.head.id} & here
            if other.id_of("Patient") not in read:
                self.unread_records.append(other.name or "Patient")

    def _belongs(self, source: Source, subject: ReferenceView, element: str) -> bool:
        """Whether a resource is about our patient. Raises `NotAssessable` for somebody else's.

        `$everything` may return records of others that merely name the patient; they are left out.
        """
        ours = self._is_ours(subject)
        if ours is None:
            raise UnreadableElement(element)
        if not ours and (not self.gathered.compartment or self._may_be_ours(subject)):
            message = (
                f"{source.reference}: {element} is not {self._patient.reference}; a record is of one patient"
            )
            raise NotAssessable(message)
        if ours and source.head.resource_type not in BEAR_BY_CODE:
            self.ours.append(source.reference)
        return ours

    def _is_ours(self, subject: ReferenceView) -> bool | None:
        """Whether a reference is to our patient; `None` where it does not say to whom."""
        if subject.reference:
            return self._leads_to_us(read_reference(subject.reference))
        if subject.identifier is not None and subject.identifier.value:
            return _key(subject.identifier) in self._identifiers
        return None

    def _may_be_ours(self, subject: ReferenceView) -> bool:
        """Whether somebody else's reference could be ours after all: our id elsewhere, or an identifier."""
        return not subject.reference or read_reference(subject.reference).id == self._patient.head.id

    def _leads_to_us(self, reference: Reference) -> bool | None:
        """Whether it is to our patient: relative, absolute on the same server, or within the Bundle.

        `None` where it does not say which patient it leads to.
        """
        url = self._patient.url
        if url and reference.address == read_reference(url).address:
            return True
        if reference.kind:
            ours = reference.id_of("Patient") in {self._patient.head.id, *self.gathered.former_ids} - {None}
            return ours and (reference.is_on(self.gathered.base) or self._is_on_some_server(reference))
        return None if self.gathered.compartment else False

    def _is_on_some_server(self, reference: Reference) -> bool:
        """Whether an address is absolute, and nothing says on which server our record is."""
        known = (self._patient.url or "", self.gathered.base or "")
        return not any(map(_is_absolute, known)) and _is_absolute(reference.base)

    # conditions and allergies --------------------------------------------------------------------

    def _take_condition(self, source: Source) -> None:
        view: ConditionView = decode_view(source, _CONDITION)
        if not self._belongs(source, view.subject, "subject"):
            return
        facts = self._readable(source, Bearing.DIAGNOSIS)
        told = self._verification(source, view.verification_status, facts)
        if told is None:
            return
        marks = read_certainty(view.code, self.elements)
        marked = apply_certainty(marks, _clinical_status(view.clinical_status, facts), told)
        if marked is None:
            self.excluded.append(Excluded(source.reference, ExclusionReason.REFUTED))
            return
        concept = self.elements.concept(view.code)
        if not concept.label or facts.leaves_open(Bearing.DIAGNOSIS):
            raise UnreadableElement("code")
        if self.contents.take_concept("Condition", concept):
            return
        recorded = self.elements.event(source, "recordedDate", view.recorded_date)
        diagnosis = Diagnosis(
            label=concept.label,
            clinical_status=marked[0],
            verification=marked[1],
            evidence=(source.reference,),
            onset=self._onset(source, view, facts),
            recorded=None if facts.leaves_open(Bearing.PERIOD, "recordedDate") else recorded,
            asserted=self._asserted(source, view),
            at_visit=_is_of_visit(view.category, self.elements),
        )
        diagnosis = self._with_abatement(source, diagnosis, view, facts)
        severity = self.elements.concept(view.severity)
        placed = place_diagnosis(diagnosis, concept, severity, self.knowledge)
        categories = tuple(self.elements.concept(category) for category in view.category)
        if is_no_disorder(placed, concept, categories, self.knowledge):
            placed = replace(placed, recognised=True)
        if placed.depression is not None and facts.leaves_open(Bearing.SEVERITY):
            placed = replace(placed, depression=placed.depression._replace(severity=None))
        self.diagnoses.append(placed)

    def _onset(self, source: Source, view: ConditionView, facts: OpenFacts) -> PartialDate | None:
        onset = self._start(source, "onset", view.onset_date_time, view.onset_period)
        return None if facts.leaves_open(Bearing.PERIOD, "onset") else onset or self._at_age(view.onset_age)

    def _asserted(self, source: Source, view: ConditionView) -> PartialDate | None:
        """When somebody said that the disorder is there, by the extension for it."""
        told = (one.value_date_time for one in view.extension if one.url == _ASSERTED)
        return self.elements.event(source, "extension", next(filter(None, told), None))

    def _with_abatement(
        self, source: Source, diagnosis: Diagnosis, view: ConditionView, facts: OpenFacts
    ) -> Diagnosis:
        """The diagnosis with its end, which may be stated without a day that can be read."""
        period = view.abatement_period
        if period is not None:
            day = self.elements.event(source, "abatementPeriod", period.end or period.start)
        else:
            day = self.elements.event(source, "abatementDateTime", view.abatement_date_time)
        if facts.leaves_open(Bearing.PERIOD, "abatement"):
            return replace(diagnosis, abated=True)
        stated = (view.abatement_age, view.abatement_range, view.abatement_string)
        abated = any(element is not None for element in stated)
        return replace(diagnosis, abatement=day or self._at_age(view.abatement_age), abated=abated)

    def _readable(self, source: Source, *facts: Bearing) -> OpenFacts:
        """What a resource leaves open; raises `UnreadableElement` where that is these facts or the whole."""
        found = find_open_facts(source, self.knowledge)
        found.refuse(*_OF_THE_WHOLE, *facts)
        return found

    def _take_allergy(self, source: Source) -> None:
        view: AllergyView = decode_view(source, _ALLERGY)
        if not self._belongs(source, view.patient, "patient"):
            return
        facts = self._readable(source, Bearing.SUBSTANCE)
        verification = self._verification(source, view.verification_status, facts)
        if verification is None:
            return
        substances = [reaction.substance for reaction in view.reaction if reaction.substance]
        concepts = tuple(self.elements.concept(concept) for concept in (view.code, *substances) if concept)
        if any(self.contents.take_concept("AllergyIntolerance", concept) for concept in concepts):
            return
        if not is_named(concepts, self.knowledge) or facts.leaves_open(Bearing.SUBSTANCE, "code"):
            raise UnreadableElement("code")
        placed = place_allergy(concepts, self.knowledge)
        if not placed.known:
            label = next((concept.label for concept in concepts if concept.phrases), "")
            self.unplaced.append(Unplaced(label, source.reference))
        for group, by_text in placed.groups:
            self.allergies.append(
                Allergy(
                    group,
                    _clinical_status(view.clinical_status, facts),
                    verification,
                    by_text=by_text,
                    evidence=(source.reference,),
                )
            )

    def _of_medicine(self, take: Callable[[Source], None]) -> Callable[[Source], None]:
        """A reader of medicines that leaves out records which stand for none: "no known medications"."""

        def take_unless_none(source: Source) -> None:
            view: NamedMedicineView = decode_view(source, _NAMED_MEDICINE)
            concept = self.elements.concept(view.medication_codeable_concept)
            if self.knowledge.contents.first(concept) is None or view.status == "entered-in-error":
                take(source)
            elif self._belongs(source, view.subject, "subject"):
                self._readable(source)
                self.contents.take_concept(source.head.resource_type or "", concept)

        return take_unless_none

    # results, answers and flags ------------------------------------------------------------------

    def _take_observation(self, source: Source) -> None:
        view = decode_observation(source)
        bears = bears_on_assessment(codes_of(view, self.elements), self.knowledge)
        bears = bears or any(self.findings.read(view, None, source.reference))
        if not bears and not view.subject.reference:
            return
        ours = self._belongs(source, view.subject, "subject")
        if not ours or not bears or self._is_withdrawn(source, view.status):
            return
        try:
            facts = self._readable(source)
            results = read_observation(source, view, facts, self.elements)
        except UnreadableElement:
            self.observations.extend(read_traces(source, view, self.elements))
            self.signs.extend(self.findings.read(view, None, source.reference))
            raise
        self._keep(source, results)
        self.signs.extend(self.findings.read(view, results.when, source.reference))
        self._name_unknown(source, facts, Bearing.RESULT, Bearing.PERIOD)

    def _keep(self, source: Source, results: Results) -> None:
        self.observations.extend(results.found)
        self.open_elements.extend(Unreadable(source.reference, element) for element in results.unread)

    def _take_response(self, source: Source) -> None:
        view = decode_response(source)
        questions = questions_of(view, self._codes_by_questionnaire)
        self.elements.of_site += filter(
            self.knowledge.site.has, (coding for one in questions for coding in one.concept.codings)
        )
        bears = asks_what_bears(questions, self.elements)
        if not bears and not view.subject.reference:
            return
        ours = self._belongs(source, view.subject, "subject")
        if not ours or not bears or self._is_withdrawn(source, view.status):
            return
        try:
            facts = self._readable(source)
            results = read_response(source, view, questions, facts, self.elements)
        except UnreadableElement:
            self.observations.extend(read_answer_traces(source, questions, self.elements))
            raise
        self._keep(source, results)
        self._name_unknown(source, facts, Bearing.PERIOD)

    def _take_flag(self, source: Source) -> None:
        view = decode_flag(source)
        if not self._belongs(source, view.subject, "subject") or self._is_withdrawn(source, view.status):
            return
        facts = self._readable(source, Bearing.DIAGNOSIS)
        sign, allergies = read_flag(source, view, facts, self.elements)
        self.signs.extend([sign] if sign else [])
        self.allergies.extend(allergies)

    # what is said of whole kinds -----------------------------------------------------------------

    def _take_list(self, source: Source) -> None:
        view = decode_list(source)
        if gives_contents(view) and self._belongs(source, view.subject, "subject"):
            self._readable(source, Bearing.COMPLETENESS)
            self.contents.take_list(view)
            self.ours.append(source.reference)

    def _take_composition(self, source: Source) -> None:
        view = decode_composition(source)
        if view.subject == ReferenceView() or self._belongs(source, view.subject, "subject"):
            self.contents.take_composition(view)

    # procedures and plans ------------------------------------------------------------------------

    def _take_procedure(self, source: Source) -> None:
        view = decode_procedure(source)
        if not self._belongs(source, view.subject, "subject"):
            return
        concept = self.elements.concept(view.code)
        gives_esketamine = identify_medicine(concept, self.knowledge).role is Role.ESKETAMINE
        kind = procedure_kind(concept, self.knowledge)
        repair = read_repair(concept, done=is_done(view), evidence=source.reference, elements=self.elements)
        bears = gives_esketamine or kind is not None or repair is not None
        if not bears or self._is_withdrawn(source, view.status):
            return
        if gives_esketamine:  # first: these count even where the rest cannot be read
            when = read_performed_or_unknown(source, view, self.elements)
            self.medicines.take_visit(source, concept, when, done=is_done(view))
        self.signs.extend([repair] if repair else [])
        facts = self._readable(source, Bearing.PROCEDURE)
        if kind is not None:
            self.procedures.append(read_procedure(source, view, kind, facts, self.elements))
        self._name_unknown(source, facts, Bearing.MEDICINE, Bearing.PERIOD)

    def _name_unknown(self, source: Source, facts: OpenFacts, *unknown: Bearing) -> None:
        """Name the elements that leave something unknown in a record that is otherwise read."""
        named = dict.fromkeys(
            one.element for one in facts.elements if one.bears_on in unknown and one.how is not How.NOT_KNOWN
        )
        self.open_elements.extend(Unreadable(source.reference, element) for element in named)

    def _is_withdrawn(self, source: Source, status: str | None) -> bool:
        """Whether a resource says that it is not so, or did not take place, which is noted."""
        if status not in WITHDRAWN:
            return False
        error = status == "entered-in-error"
        reason = ExclusionReason.ENTERED_IN_ERROR if error else ExclusionReason.NOT_DONE
        self.excluded.append(Excluded(source.reference, reason))
        return True

    def _take_plan(self, source: Source) -> None:
        view: CarePlanView = decode(source, _PLAN)
        if not self._belongs(source, view.subject, "subject"):
            return
        self.plans.take(source)

    def _take_task(self, source: Source) -> None:
        """A Task of ours; those of others tell nothing here."""
        try:
            task = msgspec.json.decode(source.content)
        except UNDECODABLE:
            return
        review = read_benefit_review(task, source.reference) if is_our_task(task) else None
        subject = ReferenceView(reference=text(part(task.get("for")).get("reference")))
        if review is not None and self._belongs(source, subject, "for"):
            self.benefit_reviews.append(review)

    def _verification(
        self, source: Source, status: ConceptView | None, facts: OpenFacts
    ) -> Verification | None:
        """How sure a record is; `None` when it was withdrawn, which is noted."""
        if facts.leaves_open(Bearing.VERIFICATION):
            return Verification.UNPROVEN
        if status is None:
            return Verification.NOT_STATED
        told = read_status(status, "verificationStatus", _VERIFICATIONS)
        if isinstance(told, ExclusionReason):
            self.excluded.append(Excluded(source.reference, told))
            return None
        return told

    # elements ------------------------------------------------------------------------------------

    def _start(
        self, source: Source, element: str, moment: str | None, period: PeriodView | None
    ) -> PartialDate | None:
        if period is not None:
            return self.elements.event(source, f"{element}Period.start", period.start)
        return self.elements.event(source, f"{element}DateTime", moment)

    def _at_age(self, age: QuantityView | None) -> PartialDate | None:
        """When the patient had an age that is given in years, or was younger or older than that."""
        born = self.person.born
        if age is None or age.value is None or born is None or (age.code or age.unit) not in _YEARS:
            return None
        years = int(age.value)
        if not 0 <= years <= _OLDEST or born.latest.year + years >= MAXYEAR:
            return None
        at_age = PartialDate(years_after(born.earliest, years), years_after(born.latest, years + 1))
        match age.comparator:
            case None:
                return at_age
            case "<" | "<=":
                return PartialDate(born.earliest, at_age.latest)
            case ">" | ">=":
                return PartialDate(at_age.earliest, date.max)
            case _:
                return None


_A_KIND = re.compile(r"[A-Z][A-Za-z]{1,63}")
_OF_THE_WHOLE = (Bearing.RECORD, Bearing.SUBJECT, Bearing.STATUS, Bearing.VERIFICATION)
"""Facts without which nothing else that a record says can be relied on."""
_OLDEST = 150
_YEARS = frozenset({"a", "yr", "year", "years"})


def _leave(_: Source) -> None:
    """A kind of resource that has no bearing here."""


def _is_absolute(address: str) -> bool:
    return address.startswith(("http://", "https://"))


def _key(identifier: IdentifierView) -> tuple[str, str | None]:
    return (plain_system(identifier.system or ""), identifier.value)


def _is_of_visit(categories: list[ConceptView], elements: Elements) -> bool:
    """Whether a condition is the diagnosis of a visit, and stands on no problem list."""
    concepts = [elements.concept(category) for category in categories]
    codes = (coding.code for concept in concepts for coding in concept.codings if coding.code)
    phrases = (phrase for concept in concepts for phrase in concept.phrases)
    names = {fold(name).replace("-", " ") for name in (*codes, *phrases)}
    return _OF_VISIT in names and _OF_PROBLEM_LIST not in names


def _clinical_status(status: ConceptView | None, facts: OpenFacts) -> ClinicalStatus:
    if facts.leaves_open(Bearing.STATUS):
        return ClinicalStatus.UNKNOWN
    if status is None:
        return ClinicalStatus.NOT_STATED
    return read_status(status, "clinicalStatus", _CLINICAL_STATUSES)


_CLINICAL_STATUSES = {
    "active": ClinicalStatus.ACTIVE,
    "recurrence": ClinicalStatus.ACTIVE,
    "relapse": ClinicalStatus.ACTIVE,
    "remission": ClinicalStatus.REMISSION,
    "inactive": ClinicalStatus.ENDED,
    "resolved": ClinicalStatus.ENDED,
    "unknown": ClinicalStatus.UNKNOWN,
    "": ClinicalStatus.NOT_STATED,
}
"""By https://hl7.org/fhir/R4/valueset-condition-clinical.html; `unknown` is a code of R5."""
_VERIFICATIONS: dict[str, Verification | ExclusionReason] = {
    "entered-in-error": ExclusionReason.ENTERED_IN_ERROR,
    "refuted": ExclusionReason.REFUTED,
    "confirmed": Verification.CONFIRMED,
    "unconfirmed": Verification.UNPROVEN,
    "provisional": Verification.UNPROVEN,
    "differential": Verification.UNPROVEN,
    "presumed": Verification.UNPROVEN,
    "": Verification.NOT_STATED,
}
"""By https://hl7.org/fhir/R4/valueset-condition-ver-status.html; `presumed` is a code of R5."""
