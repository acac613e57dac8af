"""Read gathered FHIR R4 resources into core records, each resource on its own.

A resource that cannot be read becomes a value that says at which element, never an error and never
silence. Another patient's record stops the reading: mixing two people is worse than no answer.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import MAXYEAR
from typing import Any

import msgspec

from service.core.dates import Interval, PartialDate, years_after
from service.core.dosing import daily_dose
from service.core.knowledge import Knowledge
from service.core.medicines import identify_medicine
from service.core.records import (
    Allergy,
    ClinicalStatus,
    Coding,
    Concept,
    Depression,
    DepressionState,
    Diagnosis,
    DoubtfulDate,
    Excluded,
    ExclusionReason,
    Exposure,
    ExposureStatus,
    Indication,
    Person,
    PlanOfRecord,
    Record,
    StopReason,
    SuicidalityKind,
    Unreadable,
    Verification,
)
from service.errors import NotAssessable, NotFhir
from service.fhir.dosage import read_steps
from service.fhir.plans import deleted_plan, read_plan
from service.fhir.sources import UNDECODABLE, Gathered, Source, tell_versions
from service.fhir.views import (
    AllergyView,
    CarePlanView,
    ConceptView,
    ConditionView,
    ContainedView,
    DosageView,
    IdentifierView,
    MedicationStatementView,
    MedicationView,
    PatientView,
    PeriodView,
    QuantityView,
    ReferenceView,
)

READ_TYPES = (
    "Patient",
    "Condition",
    "MedicationStatement",
    "Medication",
    "AllergyIntolerance",
    "CarePlan",
)
"""Kinds of resource that are read; every other kind is left alone."""

NOT_YET_READ = (
    "MedicationAdministration",
    "MedicationDispense",
    "MedicationRequest",
    "Observation",
    "Procedure",
)
"""Kinds that would bear on the decision but are not read by this version: never silently "none"."""

_DECODERS: dict[str, msgspec.json.Decoder[Any]] = {
    "Patient": msgspec.json.Decoder(PatientView),
    "Condition": msgspec.json.Decoder(ConditionView),
    "MedicationStatement": msgspec.json.Decoder(MedicationStatementView),
    "Medication": msgspec.json.Decoder(MedicationView),
    "AllergyIntolerance": msgspec.json.Decoder(AllergyView),
    "CarePlan": msgspec.json.Decoder(CarePlanView),
}
_FAULT_PATH = re.compile(r"`\$\.?([^`]*)`")


class _UnreadableElement(Exception):
    """An element of a resource makes the whole of it unreadable."""

    def __init__(self, element: str) -> None:
        super().__init__(element)
        self.element = element


def read_record(gathered: Gathered, knowledge: Knowledge) -> Record:
    """Read everything gathered about one patient.

    Raises `NotAssessable` when there is no Patient, more than one, one merged into another, or a
    record of somebody else; `NotFhir` when the Patient itself cannot be read.
    """
    versions = tell_versions(gathered.sources)
    patients = [source for source in versions.latest if source.head.resource_type == "Patient"]
    patient = _the_patient(patients, gathered)
    reader = _Reader(gathered, patient, knowledge)
    for source in versions.latest:
        reader.take(source)
    for source in versions.superseded:
        if source.head.resource_type in READ_TYPES:
            reader.excluded.append(Excluded(source.reference, ExclusionReason.SUPERSEDED))
    for source in versions.contradictory:
        reader.unreadable.append(Unreadable(source.reference, "id"))
    return reader.record()


def _the_patient(patients: list[Source], gathered: Gathered) -> Source:
    if gathered.patient_id is not None:
        patients = [source for source in patients if source.head.id == gathered.patient_id]
    if not patients:
        message = "no Patient in the record"
        raise NotAssessable(message)
    if len(patients) > 1:
        message = "more than one Patient in the record"
        raise NotAssessable(message)
    return patients[0]


def _decode(source: Source) -> Any:
    """Decode the view of a resource; raises `_UnreadableElement` naming the element at fault."""
    if source.head.modifier_extension:
        raise _UnreadableElement("modifierExtension")
    try:
        return _DECODERS[source.head.resource_type or ""].decode(source.content)
    except msgspec.ValidationError as error:
        found = _FAULT_PATH.search(str(error))
        raise _UnreadableElement(_element_path(found[1] if found else "")) from None
    except UNDECODABLE:
        raise _UnreadableElement("") from None


def _element_path(path: str) -> str:
    """The path without array positions that msgspec could not number."""
    return path.replace("[...]", "").replace(".[", "[")


class _Reader:
    """Reads one patient's resources; what was read so far is in its lists."""

    def __init__(self, gathered: Gathered, patient: Source, knowledge: Knowledge) -> None:
        self.gathered = gathered
        self.knowledge = knowledge
        self.exposures: list[Exposure] = []
        self.diagnoses: list[Diagnosis] = []
        self.allergies: list[Allergy] = []
        self.plans: list[PlanOfRecord] = []
        self.excluded: list[Excluded] = []
        self.unreadable: list[Unreadable] = []
        self.doubtful: list[DoubtfulDate] = []
        self._patient = patient
        self._medications = {
            key: source
            for source in gathered.sources
            if source.head.resource_type == "Medication"
            for key in (f"Medication/{source.head.id}", source.url)
            if key
        }
        try:
            view: PatientView = _decode(patient)
            self._identifiers = {(i.system, i.value) for i in view.identifier if i.value}
            self.person = self._person(view)
        except _UnreadableElement as fault:
            message = f"{patient.reference}: cannot be read at {fault.element or 'its root'}"
            raise NotFhir(message) from None

    def record(self) -> Record:
        return Record(
            person=self.person,
            exposures=tuple(self.exposures),
            diagnoses=tuple(self.diagnoses),
            allergies=tuple(self.allergies),
            plans=(*self.plans, *(deleted_plan(identity) for identity in self.gathered.deleted_plans)),
            excluded=tuple(self.excluded),
            unreadable=tuple(self.unreadable),
            doubtful_dates=tuple(self.doubtful),
            not_read=tuple(sorted({*NOT_YET_READ, *self.gathered.not_read})),
        )

    def take(self, source: Source) -> None:
        """Read one resource, if it is of a kind that is read."""
        read: Callable[[Source], None]
        match source.head.resource_type:
            case "Condition":
                read = self._take_condition
            case "MedicationStatement":
                read = self._take_statement
            case "AllergyIntolerance":
                read = self._take_allergy
            case "CarePlan":
                read = self._take_plan
            case kind if kind is None or not _A_KIND.fullmatch(kind):
                self.unreadable.append(Unreadable(source.reference, "resourceType"))
                return
            case _:
                return
        try:
            read(source)
        except _UnreadableElement as fault:
            self.unreadable.append(Unreadable(source.reference, fault.element))

    # the patient ---------------------------------------------------------------------------------

    def _person(self, view: PatientView) -> Person:
        for link in view.link:
            if link.type == "replaced-by":
                named = link.other is not None and _A_PATIENT.search(link.other.reference or "")
                other = named[0] if named else "another record"
                message = f"{self._patient.reference}: merged into {other}; assess that one"
                raise NotAssessable(message)
        died = self._date(self._patient, "deceasedDateTime", view.deceased_date_time)
        dated = view.deceased_date_time is not None or bool(bytes(view.deceased_date_time_extension))
        stated = view.deceased_boolean is True or dated
        return Person(
            self._patient.reference,
            born=self._date(self._patient, "birthDate", view.birth_date),
            deceased=stated and died is None,
            died=died,
        )

    def _belongs(self, source: Source, subject: ReferenceView, element: str) -> bool:
        """Whether a resource is about our patient. Raises `NotAssessable` for somebody else's.

        `$everything` may return records of others that merely name the patient; they are left out.
        """
        ours = self._is_ours(subject)
        if ours is None:
            raise _UnreadableElement(element)
        if not ours and (not self.gathered.compartment or self._may_be_ours(subject)):
            message = f"{source.reference}: {element} is not {self._patient.reference}"
            raise NotAssessable(message)
        return ours

    def _is_ours(self, subject: ReferenceView) -> bool | None:
        """Whether a reference is to our patient; `None` where it does not say to whom."""
        if subject.reference:
            return self._is_our_address(subject.reference.partition("/_history/")[0])
        if subject.identifier is not None and subject.identifier.value:
            return _key(subject.identifier) in self._identifiers
        return None

    def _may_be_ours(self, subject: ReferenceView) -> bool:
        """Whether somebody else's reference could be ours after all: our id elsewhere, or an identifier."""
        address = (subject.reference or "").partition("/_history/")[0]
        return not address or address.endswith(f"/{self._patient.head.id}")

    def _is_our_address(self, address: str) -> bool:
        """Compare an address with ours: relative, absolute on the same server, or within the Bundle."""
        relative = f"Patient/{self._patient.head.id}"
        absolute = {self._patient.url, f"{self.gathered.base}/{relative}" if self.gathered.base else None}
        if address == relative or address in absolute:
            return True
        known = [url for url in absolute if url and url.startswith(("http://", "https://"))]
        return not known and address.startswith(("http://", "https://")) and address.endswith(f"/{relative}")

    # conditions and allergies --------------------------------------------------------------------

    def _take_condition(self, source: Source) -> None:
        view: ConditionView = _decode(source)
        if not self._belongs(source, view.subject, "subject"):
            return
        verification = self._verification(source, view.verification_status)
        if verification is None:
            return
        onset = self._start(source, "onset", view.onset_date_time, view.onset_period)
        abatement = self._abatement(source, view)
        stated = (view.abatement_age, view.abatement_range, view.abatement_string)
        concept = self._concept(view.code)
        if not concept.label:
            raise _UnreadableElement("code")
        diagnosis = Diagnosis(
            label=concept.label,
            clinical_status=_clinical_status(view.clinical_status),
            verification=verification,
            evidence=(source.reference,),
            onset=onset or self._at_age(view.onset_age),
            abatement=abatement or self._at_age(view.abatement_age),
            abated=any(element is not None for element in stated),
            recorded=self._date(source, "recordedDate", view.recorded_date),
        )
        self.diagnoses.append(self._placed(diagnosis, concept, self._concept(view.severity)))

    def _abatement(self, source: Source, view: ConditionView) -> PartialDate | None:
        period = view.abatement_period
        if period is not None:
            return self._date(source, "abatementPeriod", period.end or period.start)
        return self._date(source, "abatementDateTime", view.abatement_date_time)

    def _placed(self, diagnosis: Diagnosis, concept: Concept, severity: Concept) -> Diagnosis:
        """The diagnosis with every domain that the lists put its codes in."""
        knowledge = self.knowledge
        groups = dict.fromkeys(
            group
            for coding in concept.codings
            if (group := knowledge.safety_conditions.meaning(coding.system, coding.code))
        )
        depression, is_not = _depression(concept, knowledge)
        if depression is not None and depression.severity is None:
            depression = depression._replace(severity=knowledge.severities.first(severity))
        suicidality = _suicidality(concept, knowledge)
        placed = bool(groups) or depression is not None or suicidality is not None or is_not
        complete = any(coding.system in knowledge.classification_systems for coding in concept.codings)
        recognised = placed or complete
        text = "" if recognised else " ".join(concept.phrases).lower()
        if knowledge.suicidality_words.search(text):
            suicidality = SuicidalityKind.IN_WORDS
        suggested = dict.fromkeys(group for word, group in knowledge.safety_words.items() if word in text)
        return replace(
            diagnosis,
            depression=depression,
            suicidality=suicidality,
            safety=tuple(groups),
            safety_in_words=tuple(suggested),
            recognised=recognised,
            suggests_depression=bool(knowledge.depression_words.search(text)),
        )

    def _take_allergy(self, source: Source) -> None:
        view: AllergyView = _decode(source)
        if not self._belongs(source, view.patient, "patient"):
            return
        verification = self._verification(source, view.verification_status)
        if verification is None:
            return
        substances = [reaction.substance for reaction in view.reaction if reaction.substance]
        concepts = [self._concept(concept) for concept in (view.code, *substances) if concept]
        if not any(concept.phrases or _is_known(concept, self.knowledge) for concept in concepts):
            raise _UnreadableElement("code")
        coded = {g for c in concepts if (g := self.knowledge.allergy_codes.first(c))}
        written = {g for c in concepts for p in c.phrases for g in self.knowledge.allergy_names.all_in(p)}
        for group in sorted(coded | written):
            self.allergies.append(
                Allergy(
                    group,
                    _clinical_status(view.clinical_status),
                    verification,
                    by_text=group not in coded,
                    evidence=(source.reference,),
                )
            )

    def _take_plan(self, source: Source) -> None:
        view: CarePlanView = _decode(source)
        if not self._belongs(source, view.subject, "subject"):
            return
        try:
            plan = read_plan(source, view, self.knowledge)
        except UNDECODABLE:  # the digest of a plan takes in more than its view
            raise _UnreadableElement("") from None
        self.plans.extend([plan] if plan else [])

    def _verification(self, source: Source, status: ConceptView | None) -> Verification | None:
        """How sure a record is; `None` when it was withdrawn, which is noted."""
        code = _status_code(status, "verificationStatus")
        match code:
            case "entered-in-error":
                self.excluded.append(Excluded(source.reference, ExclusionReason.ENTERED_IN_ERROR))
                return None
            case "refuted":
                self.excluded.append(Excluded(source.reference, ExclusionReason.REFUTED))
                return None
            case None:
                return Verification.NOT_STATED
            case "confirmed":
                return Verification.CONFIRMED
            case "unconfirmed" | "provisional" | "differential" | "presumed":
                return Verification.UNPROVEN
            case _:
                raise _UnreadableElement("verificationStatus")

    # medicines -----------------------------------------------------------------------------------

    def _take_statement(self, source: Source) -> None:
        view: MedicationStatementView = _decode(source)
        if not self._belongs(source, view.subject, "subject"):
            return
        status = self._exposure_status(source, view.status)
        if status is None:
            return
        concept = self._medicine_concept(view)
        medicine = identify_medicine(concept, self.knowledge)
        period = self._period(source, view)
        asserted = self._date(source, "dateAsserted", view.date_asserted)
        ended = status in {ExposureStatus.ENDED, ExposureStatus.ON_HOLD}
        exposure = Exposure(
            medicine=medicine,
            period=period,
            status=status,
            dose=daily_dose(read_steps(view.dosage), medicine, self.knowledge),
            evidence=(source.reference,),
            asserted=asserted,
            indication=self._indication(view.reason_code),
            stop_reasons=self._stop_reasons(view.status_reason) if ended else frozenset(),
        )
        self.exposures.extend(self._phases(source, exposure, view.dosage))

    def _exposure_status(self, source: Source, status: str | None) -> ExposureStatus | None:
        """Whether the medicine is taken; `None` when the record says that it was not, which is noted."""
        if status in _NOT_TAKEN:
            self.excluded.append(Excluded(source.reference, _NOT_TAKEN[status]))
            return None
        try:
            return _STATUS[status]
        except KeyError:
            raise _UnreadableElement("status") from None

    def _phases(self, source: Source, exposure: Exposure, dosages: list[DosageView]) -> Iterator[Exposure]:
        """One exposure a dosage step, where every step has its own dates; else one for all."""
        bounds = [d.timing.repeat.bounds_period if d.timing and d.timing.repeat else None for d in dosages]
        if len(dosages) < 2 or not all(bound and bound.start for bound in bounds):  # noqa: PLR2004 - steps
            yield exposure
            return
        for dosage, bound in zip(dosages, bounds, strict=True):
            dose = daily_dose(read_steps([dosage]), exposure.medicine, self.knowledge)
            period = self._interval(source, "dosage.timing.repeat.boundsPeriod", bound)
            end = period.end or exposure.period.end
            yield replace(exposure, period=Interval(period.start, end), dose=dose)

    def _medicine_concept(self, view: MedicationStatementView) -> Concept:
        """The medicine by code, contained or by reference; empty where it cannot be resolved."""
        if view.medication_codeable_concept is not None:
            return self._concept(view.medication_codeable_concept)
        reference = view.medication_reference
        if reference is None:
            return Concept()
        target = (reference.reference or "").partition("/_history/")[0]
        if target.startswith("#"):
            return self._concept(_contained(view.contained, target[1:]))
        source = self._medications.get(target) or self._medications.get(_relative(target))
        if source is None:
            return Concept(text=reference.display)
        try:
            medication: MedicationView = _decode(source)
        except _UnreadableElement as fault:
            self.unreadable.append(Unreadable(source.reference, fault.element))
            return Concept(text=reference.display)
        return self._concept(medication.code)

    def _indication(self, reasons: list[ConceptView]) -> Indication:
        """Depression if any reason says so; any other recorded reason is another indication."""
        if not reasons:
            return Indication.NOT_STATED
        for reason in reasons:
            concept = self._concept(reason)
            coded = self.knowledge.indication_codes.first(concept) or self.knowledge.depression.first(concept)
            spoken = any(self.knowledge.indication_phrases.all_in(phrase) for phrase in concept.phrases)
            if coded or spoken:
                return Indication.DEPRESSION
        return Indication.OTHER

    def _stop_reasons(self, reasons: list[ConceptView]) -> frozenset[StopReason]:
        found: set[StopReason] = set()
        for reason in reasons:
            concept = self._concept(reason)
            coded = self.knowledge.stop_codes.first(concept)
            spoken = {r for p in concept.phrases for r in self.knowledge.stop_phrases.all_in(p)}
            negated = any(self._is_negated(phrase) for phrase in concept.phrases)
            known = ({coded} if coded else set()) | spoken
            found |= known if known and not negated else {StopReason.UNCLEAR}
        return frozenset(found)

    def _is_negated(self, phrase: str) -> bool:
        """Whether a stop reason holds a negation beside what the lists know: then it may say the opposite."""
        rest = self.knowledge.stop_phrases.pattern.sub(" ", phrase.lower())
        return _NEGATION.search(rest) is not None

    # elements ------------------------------------------------------------------------------------

    def _concept(self, view: ConceptView | None) -> Concept:
        if view is None:
            return Concept()
        return Concept(tuple(self._coding(c.system, c.code, c.display) for c in view.coding), view.text)

    def _coding(self, uri: str | None, code: str | None, display: str | None) -> Coding:
        """A coding with the short id of its system; ICD codes with the dot that some systems leave out."""
        system = self.knowledge.systems.get(uri or "", uri)
        if code is not None and system in self.knowledge.classification_systems:
            code = code.strip().upper()
            if len(code) > _ICD_CATEGORY and "." not in code:
                code = f"{code[:_ICD_CATEGORY]}.{code[_ICD_CATEGORY:]}"
        return Coding(system, code, display)

    def _date(self, source: Source, element: str, text: str | None) -> PartialDate | None:
        """A date, unless it is missing or one that systems fill in when they do not know."""
        if text is None:
            return None
        try:
            parsed = PartialDate.parse(text)
        except ValueError:
            raise _UnreadableElement(element) from None
        if parsed.earliest == parsed.latest and parsed.earliest in self.knowledge.placeholder_dates:
            self.doubtful.append(DoubtfulDate(source.reference, element, "placeholder"))
            return None
        return parsed

    def _start(
        self, source: Source, element: str, moment: str | None, period: PeriodView | None
    ) -> PartialDate | None:
        if period is not None:
            return self._date(source, f"{element}Period.start", period.start)
        return self._date(source, f"{element}DateTime", moment)

    def _period(self, source: Source, view: MedicationStatementView) -> Interval:
        if view.effective_period is not None:
            return self._interval(source, "effectivePeriod", view.effective_period)
        return Interval(self._date(source, "effectiveDateTime", view.effective_date_time))

    def _interval(self, source: Source, element: str, period: PeriodView | None) -> Interval:
        if period is None:
            return Interval()
        start = self._date(source, f"{element}.start", period.start)
        end = self._date(source, f"{element}.end", period.end)
        if start is not None and end is not None and start.earliest > end.latest:
            self.doubtful.append(DoubtfulDate(source.reference, element, "ends-before-it-starts"))
            return Interval()
        return Interval(start, end)

    def _at_age(self, age: QuantityView | None) -> PartialDate | None:
        """When the patient had an age that is given in years."""
        born = self.person.born
        if age is None or age.value is None or born is None or (age.code or age.unit) not in _YEARS:
            return None
        years = int(age.value)
        if not 0 <= years <= _OLDEST or born.latest.year + years >= MAXYEAR:
            return None
        return PartialDate(years_after(born.earliest, years), years_after(born.latest, years + 1))


_STATUS: dict[str | None, ExposureStatus] = {
    "active": ExposureStatus.ACTIVE,
    "completed": ExposureStatus.ENDED,
    "stopped": ExposureStatus.ENDED,
    "on-hold": ExposureStatus.ON_HOLD,
    "intended": ExposureStatus.INTENDED,
    "unknown": ExposureStatus.UNKNOWN,
    None: ExposureStatus.UNKNOWN,
}
_NOT_TAKEN: dict[str | None, ExclusionReason] = {
    "not-taken": ExclusionReason.NOT_TAKEN,
    "entered-in-error": ExclusionReason.ENTERED_IN_ERROR,
}
_A_KIND = re.compile(r"[A-Z][A-Za-z]{1,63}")
_NEGATION = re.compile(r"\b(?:no|not|never|without|denies|denied)\b|n't\b")
_A_PATIENT = re.compile(r"Patient/[A-Za-z0-9.-]{1,64}(?=$|/_history/)")
_ICD_CATEGORY = 3
_OLDEST = 150
_YEARS = frozenset({"a", "yr", "year", "years"})


def _key(identifier: IdentifierView) -> tuple[str | None, str | None]:
    return (identifier.system, identifier.value)


def _relative(address: str) -> str:
    """The `Type/id` that an absolute address ends with."""
    return "/".join(address.split("/")[-2:])


def _contained(contained: list[ContainedView], identity: str) -> ConceptView | None:
    return next((resource.code for resource in contained if resource.id == identity), None)


def _is_known(concept: Concept, knowledge: Knowledge) -> bool:
    return knowledge.allergy_codes.first(concept) is not None


def _status_code(status: ConceptView | None, element: str) -> str | None:
    """The code of a status; its text where it has no coding."""
    if status is None:
        return None
    codes = {coding.code for coding in status.coding if coding.code}
    if len(codes) > 1:
        raise _UnreadableElement(element)
    return next(iter(codes), None) or (status.text or "").strip().lower() or None


def _clinical_status(status: ConceptView | None) -> ClinicalStatus:
    match _status_code(status, "clinicalStatus"):
        case None:
            return ClinicalStatus.NOT_STATED
        case "active" | "recurrence" | "relapse":
            return ClinicalStatus.ACTIVE
        case "remission":
            return ClinicalStatus.REMISSION
        case "inactive" | "resolved":
            return ClinicalStatus.ENDED
        case _:
            raise _UnreadableElement("clinicalStatus")


def _depression(concept: Concept, knowledge: Knowledge) -> tuple[Depression | None, bool]:
    """What the codings say of a depression, and whether one of them says that it is none.

    Codings that contradict each other leave it unspecified.
    """
    found = [d for c in concept.codings if (d := knowledge.depression.meaning(c.system, c.code))]
    is_not = knowledge.not_depression.first(concept) is not None
    if not found:
        return None, is_not
    psychotic = any(depression.psychotic for depression in found)
    if is_not or len({depression.state for depression in found}) > 1:
        return Depression(DepressionState.UNSPECIFIED, None, psychotic), is_not
    severities = {depression.severity for depression in found} - {None}
    severity = severities.pop() if len(severities) == 1 else None
    return Depression(found[0].state, severity, psychotic), is_not


_MOST_CURRENT_FIRST = (
    SuicidalityKind.BEHAVIOUR,
    SuicidalityKind.IDEATION,
    SuicidalityKind.PASSIVE,
    SuicidalityKind.NON_SUICIDAL,
    SuicidalityKind.HISTORY,
)


def _suicidality(concept: Concept, knowledge: Knowledge) -> SuicidalityKind | None:
    found = {knowledge.suicidality.meaning(c.system, c.code) for c in concept.codings}
    return next((kind for kind in _MOST_CURRENT_FIRST if kind in found), None)
