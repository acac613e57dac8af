"""Read what a record says of medicines: stated, prescribed, dispensed or administered.

Each kind of resource has its own way to say when, how much and whether; all of them become exposures, each
with the grade of evidence it is.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import timedelta

import msgspec

from service.core.dates import Interval, PartialDate
from service.core.dosing import DoseStep, daily_dose, supplied_dose, units_a_day
from service.core.exposures import Administration, add_up_days
from service.core.medicines import identify_medicine
from service.core.reasons import read_indication, read_stop_reasons
from service.core.records import (
    MEDICINE_RECORDS,
    Concept,
    Dose,
    DoseBasis,
    Excluded,
    ExclusionReason,
    Exposure,
    ExposureStatus,
    Grade,
    Indication,
    Medicine,
    Role,
    StopReason,
    Unreadable,
    VersionedReference,
)
from service.fhir.references import Reference, read_reference
from service.fhir.sources import UNDECODABLE, Gathered, Source
from service.fhir.views import (
    AdministrationView,
    ConceptView,
    ContainedView,
    DispenseRequestView,
    DispenseView,
    DosageView,
    MedicationView,
    MedicineOnlyView,
    MedicineView,
    QuantityView,
    ReferenceView,
    RequestView,
    StatementView,
    View,
)
from service.read.dosage import read_amount, read_steps
from service.read.elements import Elements, UnreadableElement, decode

_DAYS_IN = {
    **dict.fromkeys(("d", "day", "days"), 1),
    **dict.fromkeys(("wk", "week", "weeks"), 7),
    **dict.fromkeys(("mo", "month", "months"), 30),
    **dict.fromkeys(("a", "year", "years"), 365),
}
"""Days in a unit of supply; a month of supply is 30 days, as the eCQM duration library has it."""

_LONGEST_SUPPLY = 3650


class _ReasonView(View):
    """What a resource that is given as a reason is about."""

    code: ConceptView | None = None


_REASONS = frozenset({"Condition", "Observation"})
"""Kinds of record that a medicine may be given for."""

_MEDICINE = msgspec.json.Decoder(MedicineOnlyView)
_MEDICATION = msgspec.json.Decoder(MedicationView)
_REASON = msgspec.json.Decoder(_ReasonView)
_STATEMENT = msgspec.json.Decoder(StatementView)
_REQUEST = msgspec.json.Decoder(RequestView)
_DISPENSE = msgspec.json.Decoder(DispenseView)
_ADMINISTRATION = msgspec.json.Decoder(AdministrationView)

Belongs = Callable[[Source, ReferenceView, str], bool]


class MedicineReader:
    """Reads one patient's medicines; what was read so far is in its lists."""

    def __init__(self, gathered: Gathered, elements: Elements, belongs: Belongs) -> None:
        self.excluded: list[Excluded] = []
        self.unreadable: list[Unreadable] = []
        self._exposures: list[Exposure] = []
        self._administrations: list[Administration] = []
        self._elements = elements
        self._knowledge = elements.knowledge
        self._belongs = belongs
        self._by_address = {
            key: source
            for source in gathered.sources
            if source.head.resource_type in MEDICINE_RECORDS | _REASONS
            for key in _addresses(source)
        }
        self._base = gathered.base

    @property
    def exposures(self) -> tuple[Exposure, ...]:
        """Every exposure read, with the administrations of a day added up."""
        return (*self._exposures, *add_up_days(self._administrations))

    @property
    def medications(self) -> tuple[VersionedReference, ...]:
        """The Medications that records of this patient refer to, or may."""
        sources = {source.reference: None for source in self._by_address.values()}
        return tuple(reference for reference in sources if reference.type == "Medication")

    # the four kinds ------------------------------------------------------------------------------

    def take_statement(self, source: Source) -> None:
        """A MedicationStatement: what somebody says is, was or will be taken."""
        view: StatementView = decode(source, _STATEMENT)
        status = self._status(source, view, _STATEMENT_STATUS)
        if status is None:
            return
        period = (
            self._elements.interval(source, "effectivePeriod", view.effective_period)
            if view.effective_period is not None
            else Interval(self._elements.date(source, "effectiveDateTime", view.effective_date_time))
        )
        medicine = self._identified(view)
        exposure = Exposure(
            medicine,
            period,
            status,
            self._dose(view.dosage, medicine),
            (source.reference,),
            asserted=self._elements.date(source, "dateAsserted", view.date_asserted),
            indication=self._indication(view),
            stop_reasons=self._stop_reasons(view.status_reason, status),
            names=self._named(*view.based_on, *view.part_of, *view.derived_from),
        )
        self._exposures.extend(self._phases(source, exposure, view.dosage))

    def take_request(self, source: Source) -> None:
        """A MedicationRequest: what was meant to be taken, or what is reported to have been."""
        view: RequestView = decode(source, _REQUEST)
        status = self._status(source, view, _REQUEST_STATUS)
        if status is None:
            return
        if view.do_not_perform is True:
            self.excluded.append(Excluded(source.reference, ExclusionReason.NOT_TAKEN))
            return
        if view.intent in _NO_ORDER:
            status = ExposureStatus.INTENDED
        reported = view.reported_boolean is True or view.reported_reference is not None
        medicine = self._identified(view)
        period = self._prescribed_period(source, view)
        cut_short = status is ExposureStatus.ENDED and not reported
        if cut_short and period.start is not None and period.end is not None:
            earliest = min(period.start.earliest, period.end.earliest)
            period = Interval(period.start, PartialDate(earliest, period.end.latest))
        authored = self._elements.date(source, "authoredOn", view.authored_on)
        reasons = [view.status_reason] if view.status_reason else []
        exposure = Exposure(
            medicine,
            period,
            status,
            self._dose(view.dosage_instruction, medicine),
            (source.reference,),
            asserted=authored if status is ExposureStatus.ACTIVE else None,
            indication=self._indication(view),
            stop_reasons=self._stop_reasons(reasons, status),
            grade=Grade.STATED if reported else Grade.PRESCRIBED,
            names=self._named(*view.based_on),
        )
        self._exposures.extend(self._phases(source, exposure, view.dosage_instruction))

    def take_dispense(self, source: Source) -> None:
        """A MedicationDispense: what was handed over, for so many days."""
        view: DispenseView = decode(source, _DISPENSE)
        status = self._status(source, view, _DISPENSE_STATUS)
        if status is None:
            return
        medicine = self._identified(view)
        handed_over = self._elements.date(source, "whenHandedOver", view.when_handed_over)
        start = handed_over or self._elements.date(source, "whenPrepared", view.when_prepared)
        days = _days(view.days_supply) or self._days_of(view.quantity, view.dosage_instruction)
        dose = self._dose(view.dosage_instruction, medicine)
        if dose.basis is DoseBasis.NOT_DOCUMENTED and days is not None:
            dose = supplied_dose(read_amount(view.quantity), days, medicine)
        reason = view.status_reason_codeable_concept
        dispensed = Exposure(
            medicine,
            _supplied(start, days),
            status,
            dose,
            (source.reference,),
            indication=self._indication(view),
            stop_reasons=self._stop_reasons([reason] if reason else [], status),
            grade=Grade.DISPENSED,
            names=self._named(*view.authorizing_prescription, *view.part_of),
        )
        self._exposures.append(dispensed)

    def take_administration(self, source: Source) -> None:
        """A MedicationAdministration: what was given, and when."""
        view: AdministrationView = decode(source, _ADMINISTRATION)
        status = self._status(source, view, _ADMINISTRATION_STATUS)
        if status is None:
            return
        medicine = self._identified(view)
        period = self._elements.interval(source, "effectivePeriod", view.effective_period)
        moment = view.effective_date_time or (view.effective_period.start if view.effective_period else None)
        if view.effective_period is None:
            given = self._elements.date(source, "effectiveDateTime", view.effective_date_time)
            period = Interval(given, given)
        steps: tuple[DoseStep, ...] = ()
        if view.dosage is not None:
            once = (1 / medicine.unit_days,) * 2
            steps = (DoseStep(read_amount(view.dosage.dose), once, text=view.dosage.text),)
        exposure = Exposure(
            medicine,
            _lasting(period, medicine.unit_days),
            status,
            daily_dose(steps, medicine, self._knowledge),
            (source.reference,),
            indication=self._indication(view),
            grade=Grade.ADMINISTERED,
            names=self._named(*([view.request] if view.request else []), *view.part_of),
        )
        self._administrations.append(Administration(exposure, moment))

    def take_visit(self, source: Source, concept: Concept) -> None:
        """A Procedure by which a medicine is given, such as a billed visit, is an exposure to it."""
        given = Exposure(
            identify_medicine(concept, self._knowledge),
            Interval(),
            ExposureStatus.ENDED,
            Dose(DoseBasis.NOT_DOCUMENTED),
            (source.reference,),
            grade=Grade.ADMINISTERED,
        )
        self._exposures.append(given)

    def take_trace(self, source: Source) -> None:
        """Esketamine in a record that cannot be read in full: nothing is known but that it is there."""
        try:
            view = _MEDICINE.decode(source.content)
        except UNDECODABLE:
            return
        medicine = self._identified(view)
        if medicine.role is Role.ESKETAMINE:
            unknown = Dose(DoseBasis.NOT_DOCUMENTED)
            trace = Exposure(medicine, Interval(), ExposureStatus.UNKNOWN, unknown, (source.reference,))
            self._exposures.append(trace)

    # what they share -----------------------------------------------------------------------------

    def _status(
        self, source: Source, view: MedicineView, known: dict[str | None, ExposureStatus]
    ) -> ExposureStatus | None:
        """Whether it is taken; `None` for another's, or where it says that it was not, which is noted."""
        if not self._belongs(source, view.subject, "subject"):
            return None
        if view.status in _NOT_TAKEN:
            self.excluded.append(Excluded(source.reference, _NOT_TAKEN[view.status]))
            return None
        try:
            return known[view.status]
        except KeyError:
            raise UnreadableElement("status") from None

    def _identified(self, view: MedicineOnlyView) -> Medicine:
        return identify_medicine(self._medicine(view), self._knowledge)

    def _dose(self, dosages: list[DosageView], medicine: Medicine) -> Dose:
        return daily_dose(read_steps(dosages), medicine, self._knowledge)

    def _phases(self, source: Source, exposure: Exposure, dosages: list[DosageView]) -> Iterator[Exposure]:
        """One exposure a dosage step, where every step has its own dates; else one for all."""
        bounds = [d.timing.repeat.bounds_period if d.timing and d.timing.repeat else None for d in dosages]
        if len(dosages) < 2 or not all(bound and bound.start for bound in bounds):  # noqa: PLR2004 - steps
            yield exposure
            return
        for dosage, bound in zip(dosages, bounds, strict=True):
            period = self._elements.interval(source, "dosage.timing.repeat.boundsPeriod", bound)
            end = period.end or exposure.period.end
            dose = self._dose([dosage], exposure.medicine)
            yield replace(exposure, period=Interval(period.start, end), dose=dose)

    def _medicine(self, view: MedicineOnlyView) -> Concept:
        """The medicine by code, contained or by reference; empty where it cannot be resolved."""
        if view.medication_codeable_concept is not None:
            return self._elements.concept(view.medication_codeable_concept)
        reference = view.medication_reference
        if reference is None:
            return Concept()
        inside = read_reference(reference.reference).fragment
        if inside is not None:
            return self._elements.concept(_contained(view.contained, inside))
        source = self._resolve(reference)
        if source is None:
            return Concept(text=reference.display)
        try:
            medication: MedicationView = decode(source, _MEDICATION)
        except UnreadableElement as fault:
            self.unreadable.append(Unreadable(source.reference, fault.element))
            return Concept(text=reference.display)
        return self._elements.concept(medication.code)

    def medication(self, reference: ReferenceView, contained: list[ContainedView]) -> Concept:
        """The medicine that a reference leads to; empty where it cannot be told."""
        return self._medicine(MedicineOnlyView(medication_reference=reference, contained=contained))

    def _resolve(self, reference: ReferenceView) -> Source | None:
        """The resource that a reference leads to; `None` where it is elsewhere."""
        target = read_reference(reference.reference)
        found = self._by_address.get(target.address)
        return found or (self._by_address.get(target.name or "") if self._is_here(target) else None)

    def _is_here(self, reference: Reference) -> bool:
        """Whether it may be on our server, which a file does not say."""
        return self._base is None or reference.is_on(self._base)

    def _named(self, *references: ReferenceView) -> frozenset[tuple[str, str]]:
        """The records that references lead to, by type and id."""
        found = set()
        for reference in references:
            source, target = self._resolve(reference), read_reference(reference.reference)
            if source is not None:
                found.add((source.reference.type, source.reference.id))
            elif target.kind and self._is_here(target):
                found.add((target.kind, target.id))
        return frozenset(found)

    def _indication(self, view: MedicineView) -> Indication:
        """What the medicine was given for. A reason without a code or a word states none."""
        coded = (self._elements.concept(reason) for reason in view.reason_code)
        reasons = [reason for reason in coded if reason != Concept()]
        reasons += [self._reason(reference, view.contained) for reference in view.reason_reference]
        return read_indication(reasons, self._knowledge)

    def _reason(self, reference: ReferenceView, contained: list[ContainedView]) -> Concept:
        """What a condition or an observation given as the reason is; empty where it cannot be told."""
        told = Concept(text=reference.display)
        inside = read_reference(reference.reference).fragment
        if inside is not None:
            found = self._elements.concept(_contained(contained, inside))
            return found if found.label else told
        source = self._resolve(reference)
        if source is None or source.head.resource_type not in _REASONS:
            return told
        try:
            return self._elements.concept(decode(source, _REASON).code)
        except UnreadableElement:
            return told

    def _stop_reasons(self, reasons: list[ConceptView], status: ExposureStatus) -> frozenset[StopReason]:
        if status not in {ExposureStatus.ENDED, ExposureStatus.ON_HOLD}:
            return frozenset()
        return read_stop_reasons(map(self._elements.concept, reasons), self._knowledge)

    # when ----------------------------------------------------------------------------------------

    def _prescribed_period(self, source: Source, view: RequestView) -> Interval:
        """When a prescription was meant to be taken: its bounds, else its validity, else its supply."""
        dispensing = view.dispense_request or DispenseRequestView()
        authored = self._elements.date(source, "authoredOn", view.authored_on)
        repeats = [d.timing.repeat for d in view.dosage_instruction if d.timing and d.timing.repeat]
        bounds = [repeat.bounds_period for repeat in repeats if repeat.bounds_period]
        if len(bounds) == 1:
            return self._elements.interval(source, "dosageInstruction.timing.repeat.boundsPeriod", bounds[0])
        lengths = [days for repeat in repeats if (days := _days(repeat.bounds_duration)) is not None]
        if len(lengths) == 1:
            return _supplied(authored, lengths[0])
        if dispensing.validity_period is not None:
            return self._elements.interval(
                source, "dispenseRequest.validityPeriod", dispensing.validity_period
            )
        days = _days(dispensing.expected_supply_duration)
        days = days or self._days_of(dispensing.quantity, view.dosage_instruction)
        fills = max(dispensing.number_of_repeats_allowed or 0, 0) + 1
        return _supplied(authored, days * fills if days and days * fills <= _LONGEST_SUPPLY else None)

    def _days_of(self, quantity: QuantityView | None, dosages: list[DosageView]) -> int | None:
        """How long a quantity lasts, where the instructions say how many units a day."""
        steps = read_steps(dosages)
        amount = read_amount(quantity)
        a_day = units_a_day(steps, amount)
        if amount is None or not a_day:
            return None
        days = amount.high / a_day
        return math.floor(days) if 1 <= days < _LONGEST_SUPPLY + 1 else None


def _days(duration: QuantityView | None) -> int | None:
    """The whole days of a Duration; `None` where it has none, or not in a known unit."""
    if duration is None or duration.value is None:
        return None
    days = duration.value * _DAYS_IN.get((duration.code or duration.unit or "d").lower(), 0)
    return math.floor(days) if 1 <= days <= _LONGEST_SUPPLY else None


def _supplied(start: PartialDate | None, days: int | None) -> Interval:
    """The days that a supply lasts from its start; the end is unknown where that is not known."""
    if start is None or days is None:
        return Interval(start)
    more = timedelta(days=days - 1)
    try:
        return Interval(start, PartialDate(start.earliest + more, start.latest + more))
    except OverflowError:
        return Interval(start)


def _lasting(period: Interval, days: int) -> Interval:
    """The period of an administration that lasts some days, such as a weekly capsule."""
    return period if period.start is None or days == 1 else _supplied(period.start, days)


def _addresses(source: Source) -> Iterator[str]:
    """What references to a resource say: its type and id, and the address that it came under."""
    if source.head.id is not None:
        yield f"{source.head.resource_type}/{source.head.id}"
    if source.url:
        yield read_reference(source.url).address


def _contained(contained: Iterable[ContainedView], identity: str) -> ConceptView | None:
    return next((resource.code for resource in contained if resource.id == identity), None)


_NO_ORDER = {"proposal", "plan", "option"}
_NOT_TAKEN: dict[str | None, ExclusionReason] = {
    "not-taken": ExclusionReason.NOT_TAKEN,
    "not-done": ExclusionReason.NOT_TAKEN,
    "cancelled": ExclusionReason.NOT_TAKEN,
    "declined": ExclusionReason.NOT_TAKEN,
    "entered-in-error": ExclusionReason.ENTERED_IN_ERROR,
}
_STATEMENT_STATUS: dict[str | None, ExposureStatus] = {
    "active": ExposureStatus.ACTIVE,
    "completed": ExposureStatus.ENDED,
    "stopped": ExposureStatus.ENDED,
    "on-hold": ExposureStatus.ON_HOLD,
    "intended": ExposureStatus.INTENDED,
    "unknown": ExposureStatus.UNKNOWN,
    None: ExposureStatus.UNKNOWN,
}
_REQUEST_STATUS: dict[str | None, ExposureStatus] = {
    **_STATEMENT_STATUS,
    "draft": ExposureStatus.INTENDED,
}
_DISPENSE_STATUS: dict[str | None, ExposureStatus] = {
    "preparation": ExposureStatus.INTENDED,
    "in-progress": ExposureStatus.INTENDED,
    "on-hold": ExposureStatus.INTENDED,
    "completed": ExposureStatus.ENDED,
    "stopped": ExposureStatus.ENDED,
    "unknown": ExposureStatus.UNKNOWN,
    None: ExposureStatus.UNKNOWN,
}
_ADMINISTRATION_STATUS: dict[str | None, ExposureStatus] = {
    "in-progress": ExposureStatus.ENDED,
    "completed": ExposureStatus.ENDED,
    "stopped": ExposureStatus.ENDED,
    "on-hold": ExposureStatus.ENDED,
    "unknown": ExposureStatus.UNKNOWN,
    None: ExposureStatus.UNKNOWN,
}
