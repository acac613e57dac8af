"""Read what a record says of medicines: stated, prescribed, dispensed or administered.

Each kind of resource has its own way to say when, how much and whether; all of them become exposures, each
with the grade of evidence it is.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta

import msgspec

from service.core.dates import Interval, PartialDate
from service.core.dose_words import ITEM
from service.core.dosing import Amount, daily_dose, supplied_dose, units_a_day
from service.core.elements import Bearing, How
from service.core.exposures import Administration, add_up_days
from service.core.medicines import identify_medicine, identify_product
from service.core.reasons import read_indication, read_stop_reasons
from service.core.records import (
    Adherence,
    Concept,
    Dose,
    DoseBasis,
    Excluded,
    ExclusionReason,
    Exposure,
    ExposureStatus,
    Grade,
    Identified,
    Indication,
    Medicine,
    Role,
    StopReason,
    Unreadable,
    VersionedReference,
)
from service.fhir.loose import Resource
from service.fhir.references import Reference, read_reference
from service.fhir.sources import UNDECODABLE, Gathered, Source
from service.fhir.views import (
    AdministrationView,
    ConceptView,
    DispenseRequestView,
    DispenseView,
    DosageView,
    ExtensionView,
    MedicineOnlyView,
    MedicineView,
    QuantityView,
    ReferenceView,
    RepeatView,
    RequestView,
    StatementView,
    View,
)
from service.read.dosage import read_administered, read_amount, read_steps
from service.read.elements import Elements, UnreadableElement, decode
from service.read.opened import Openings, take_openings
from service.read.products import ABSENT, IDENTITY, ProductReader

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


_MEDICINE = msgspec.json.Decoder(MedicineOnlyView)
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
        self.open_elements: list[Unreadable] = []
        self._exposures: list[Exposure] = []
        self._administrations: list[Administration] = []
        self._elements = elements
        self._knowledge = elements.knowledge
        self._belongs = belongs
        self._products = ProductReader(elements, self._resolve)
        self._by_address = {key: source for source in gathered.sources for key in _addresses(source)}
        self._base = gathered.base

    @property
    def unreadable(self) -> list[Unreadable]:
        """The Medications that could not be read, or not be relied on."""
        return self._products.unreadable

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
        opened = take_openings(source, self._knowledge)
        period = (
            self._elements.interval(source, "effectivePeriod", view.effective_period)
            if view.effective_period is not None
            else Interval(self._elements.date(source, "effectiveDateTime", view.effective_date_time))
        )
        medicine = self._identified(view, opened)
        exposure = Exposure(
            medicine,
            period,
            status,
            self._dose(view, view.dosage, medicine, opened),
            (source.reference,),
            asserted=self._elements.date(source, "dateAsserted", view.date_asserted),
            indication=self._indication(view, opened),
            stop_reasons=self._stop_reasons(view.status_reason, status, opened),
            names=self._named(*view.based_on, *view.part_of, *view.derived_from),
        )
        phases = self._phases(source, view, exposure, view.dosage, opened)
        self._exposures.extend(_with_open_period(phase, opened) for phase in phases)
        self._name(opened, medicine)

    def take_request(self, source: Source) -> None:
        """A MedicationRequest: what was meant to be taken, or what is reported to have been."""
        view: RequestView = decode(source, _REQUEST)
        status = self._status(source, view, _REQUEST_STATUS)
        if status is None:
            return
        if view.do_not_perform is True:
            self.excluded.append(Excluded(source.reference, ExclusionReason.NOT_TAKEN))
            return
        reported = view.reported_boolean is True or view.reported_reference is not None
        if view.intent in _NO_ORDER and not reported:
            status = ExposureStatus.INTENDED
        opened = take_openings(source, self._knowledge)
        medicine = self._identified(view, opened)
        period = self._prescribed_period(source, view)
        authored = self._elements.date(source, "authoredOn", view.authored_on)
        reasons = [view.status_reason] if view.status_reason else []
        stop_reasons = self._stop_reasons(reasons, status, opened)
        supply_end = None
        cut_short = status is ExposureStatus.ENDED and view.status != _USED_UP and not reported
        if cut_short and period.start is not None and period.end is not None:
            supply_end = None if stop_reasons else period.end
            earliest = min(period.start.earliest, period.end.earliest)
            period = Interval(period.start, PartialDate(earliest, period.end.latest))
        exposure = Exposure(
            medicine,
            period,
            status,
            self._dose(view, view.dosage_instruction, medicine, opened),
            (source.reference,),
            asserted=authored if status is ExposureStatus.ACTIVE else None,
            indication=self._indication(view, opened),
            stop_reasons=stop_reasons,
            grade=Grade.STATED if reported else Grade.PRESCRIBED,
            names=self._named(*view.based_on),
            refills=_repeats_allowed(view.dispense_request) > 0,
            supply_end=supply_end,
        )
        phases = self._phases(source, view, exposure, view.dosage_instruction, opened)
        self._exposures.extend(_with_open_period(phase, opened) for phase in phases)
        self._name(opened, medicine)

    def take_dispense(self, source: Source) -> None:
        """A MedicationDispense: what was handed over, for so many days."""
        view: DispenseView = decode(source, _DISPENSE)
        status = self._status(source, view, _DISPENSE_STATUS)
        if status is None:
            return
        opened = take_openings(source, self._knowledge)
        medicine = self._identified(view, opened)
        handed_over = self._elements.date(source, "whenHandedOver", view.when_handed_over)
        start = handed_over or self._elements.date(source, "whenPrepared", view.when_prepared)
        days = _days(view.days_supply) or self._days_of(view.quantity, view.dosage_instruction)
        dose = self._dose(view, view.dosage_instruction, medicine, opened)
        if dose.basis is DoseBasis.NOT_DOCUMENTED and days is not None:
            dose = supplied_dose(self._supply(view.quantity), days, medicine)
        period = _supplied(start, days)
        reason = view.status_reason_codeable_concept
        dispensed = Exposure(
            medicine,
            period,
            status,
            dose,
            (source.reference,),
            indication=self._indication(view, opened),
            stop_reasons=self._stop_reasons([reason] if reason else [], status, opened),
            grade=Grade.DISPENSED,
            names=self._named(*view.authorizing_prescription, *view.part_of),
            bounds=self._bounds(source, view.dosage_instruction, period),
        )
        self._exposures.append(_with_open_period(dispensed, opened))
        self._name(opened, medicine)

    def take_administration(self, source: Source) -> None:
        """A MedicationAdministration: what was given, and when.

        A dose that is held was not taken; one of esketamine shows all the same that it was ordered.
        """
        view: AdministrationView = decode(source, _ADMINISTRATION)
        status = self._status(source, view, _ADMINISTRATION_STATUS)
        if status is None:
            return
        opened = take_openings(source, self._knowledge)
        medicine = self._identified(view, opened)
        if status is ExposureStatus.INTENDED and medicine.role is not Role.ESKETAMINE:
            self.excluded.append(Excluded(source.reference, ExclusionReason.NOT_TAKEN))
            return
        period = self._elements.interval(source, "effectivePeriod", view.effective_period)
        moment = view.effective_date_time or (view.effective_period.start if view.effective_period else None)
        if view.effective_period is None:
            given = self._elements.date(source, "effectiveDateTime", view.effective_date_time)
            period = Interval(given, given)
        once = 1 / medicine.unit_days
        steps = read_administered(view.dosage, (once, once), self._elements)
        exposure = Exposure(
            medicine,
            _lasting(period, medicine.unit_days),
            status,
            self._as_taken(view, daily_dose(steps, medicine, self._knowledge, _rendered(view)), opened),
            (source.reference,),
            indication=self._indication(view, opened),
            grade=Grade.ADMINISTERED,
            names=self._named(*([view.request] if view.request else []), *view.part_of),
        )
        self._administrations.append(Administration(_with_open_period(exposure, opened), moment))
        self._name(opened, medicine)

    def take_visit(self, source: Source, concept: Concept, when: Interval, *, done: bool) -> None:
        """A Procedure by which a medicine is given, such as a billed visit, is an exposure to it."""
        given = Exposure(
            identify_medicine(concept, self._knowledge),
            when,
            ExposureStatus.ENDED if done else ExposureStatus.UNKNOWN,
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
        medicine = self._identified(view, Openings(source.reference))
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
        if self._adherence(view) == {Adherence.NOT_TAKEN}:
            self.excluded.append(Excluded(source.reference, ExclusionReason.NOT_TAKEN))
            return None
        if view.status in _NOT_TAKEN:
            self.excluded.append(Excluded(source.reference, _NOT_TAKEN[view.status]))
            return None
        try:
            return known[view.status]
        except KeyError:
            raise UnreadableElement("status") from None

    def _name(self, opened: Openings, medicine: Medicine) -> None:
        """Name what left a fact open, of a medicine that bears on the assessment."""
        if medicine.role is not Role.OTHER or medicine.identified not in _OF_NO_BEARING:
            self.open_elements.extend(opened.named)

    def _identified(self, view: MedicineOnlyView, opened: Openings) -> Medicine:
        product = self._products.read(view)
        medicine = identify_product(product, self._knowledge)
        unsaid = medicine.identified is Identified.UNRESOLVED
        doubt = opened.that_open(Bearing.MEDICINE, unsaid=unsaid)
        if doubt is None or unsaid:
            return medicine
        return identify_product(product._replace(doubtful=doubt.element), self._knowledge)

    def identify(self, resource: Resource) -> Medicine:
        """The medicine that a part of a record names, such as an activity of a plan.

        Raises `UnreadableElement` where it is malformed.
        """
        try:
            view = _MEDICINE.decode(msgspec.json.encode(resource))
        except UNDECODABLE:
            raise UnreadableElement("") from None
        return identify_product(self._products.read(view), self._knowledge)

    def resolve(self, reference: ReferenceView) -> Source | None:
        """The resource that a reference leads to; `None` where it is elsewhere."""
        return self._resolve(reference)

    def _dose(
        self, view: MedicineView, dosages: list[DosageView], medicine: Medicine, opened: Openings
    ) -> Dose:
        steps = read_steps(dosages, self._elements)
        return self._as_taken(view, daily_dose(steps, medicine, self._knowledge, _rendered(view)), opened)

    def _as_taken(self, view: MedicineView, dose: Dose, opened: Openings) -> Dose:
        """The dose, unless an element leaves it open or the medicine was taken in another way."""
        as_said = self._adherence(view) <= {Adherence.AS_DIRECTED, Adherence.UNKNOWN}
        unsaid = dose.basis is DoseBasis.NOT_DOCUMENTED
        return (
            dose
            if as_said and not opened.that_open(Bearing.DOSE, unsaid=unsaid)
            else Dose(DoseBasis.UNREADABLE)
        )

    def _adherence(self, view: MedicineView) -> set[Adherence]:
        """How the medicine was taken, by the extension of US Core and by that for the element of R5.

        What no list knows says that it was taken in some way that is not understood.
        """
        told = (self._elements.concept(concept) for one in view.extension for concept in _adherence_in(one))
        return {self._knowledge.adherence.first(concept) or Adherence.OTHERWISE for concept in told}

    def _supply(self, quantity: QuantityView | None) -> Amount | None:
        """The amount of a supply; a bare number counts units."""
        amount = read_amount(quantity, self._elements)
        bare = quantity is not None and not (quantity.unit or quantity.code)
        return amount._replace(unit=ITEM) if amount is not None and bare else amount

    def _phases(
        self,
        source: Source,
        view: MedicineView,
        exposure: Exposure,
        dosages: list[DosageView],
        opened: Openings,
    ) -> Iterator[Exposure]:
        """One exposure for the dosages of each period, where every one has its own; else one for all."""
        bounds = [d.timing.repeat.bounds_period if d.timing and d.timing.repeat else None for d in dosages]
        phases: dict[tuple[str | None, str | None], list[DosageView]] = {}
        for dosage, bound in zip(dosages, bounds, strict=True):
            if bound is not None and bound.start:
                phases.setdefault((bound.start, bound.end), []).append(dosage)
        if len(phases) < 2 or not all(bound and bound.start for bound in bounds):  # noqa: PLR2004 - phases
            yield replace(exposure, bounds=self._bounds(source, dosages, exposure.period))
            return
        for phase in phases.values():
            period = self._bounds(source, phase, Interval()) or Interval()
            period = Interval(period.start, period.end or exposure.period.end)
            dose = self._dose(view, phase, exposure.medicine, opened)
            counted = self._bounds(source, phase, period)
            yield replace(exposure, period=period, dose=dose, bounds=counted, supply_end=None)

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

    def _indication(self, view: MedicineView, opened: Openings) -> Indication:
        """What it was given for; a reason that nobody knows is not stated, one withheld is unclear."""
        reasons = [concept for reason in view.reason_code for concept in self._stated(reason)]
        reasons += [self._reason(one, view.contained) for one in view.reason_reference]
        indication = read_indication(reasons, self._knowledge)
        unsaid = indication is Indication.NOT_STATED
        doubtful = opened.that_open(Bearing.REASON, unsaid=unsaid)
        return Indication.UNCLEAR if doubtful and indication is not Indication.OTHER else indication

    def _stated(self, reason: ConceptView) -> Iterator[Concept]:
        """A reason as far as one is stated; of one that is withheld nothing more is known."""
        concept = self._elements.concept(reason)
        absent = [coding for coding in concept.codings if coding.system in ABSENT]
        if absent and len(absent) == len(concept.codings):
            known = self._knowledge.elements.absences
            if any(known.get(coding.code or "") is not How.NOT_KNOWN for coding in absent):
                yield Concept()
        elif concept.label:
            yield concept

    def _reason(self, reference: ReferenceView, contained: list[msgspec.Raw]) -> Concept:
        """What a condition or finding given as the reason is; empty where it cannot be told."""
        source = self._resolve(reference)
        inside = next((one for one in contained if _is_at(one, reference)), None)
        found = Concept()
        try:
            if source is not None:
                found = self._elements.concept(decode(source, _REASON).code)
            elif inside is not None:
                found = self._elements.concept(_REASON.decode(inside).code)
        except (UnreadableElement, *UNDECODABLE):
            pass
        return found if found.label else Concept(text=reference.display)

    def _stop_reasons(
        self, reasons: list[ConceptView], status: ExposureStatus, opened: Openings
    ) -> frozenset[StopReason]:
        if status not in {ExposureStatus.ENDED, ExposureStatus.ON_HOLD}:
            return frozenset()
        stated = [concept for reason in reasons for concept in self._stated(reason)]
        found = read_stop_reasons(stated, self._knowledge)
        doubtful = opened.that_open(Bearing.STOP_REASON, unsaid=not found)
        return found | {StopReason.UNCLEAR} if doubtful else found

    # when ----------------------------------------------------------------------------------------

    def _prescribed_period(self, source: Source, view: RequestView) -> Interval:
        """When a prescription was meant to be taken: its bounds, else its validity, else its supply."""
        dispensing = view.dispense_request or DispenseRequestView()
        if dispensing.modifier_extension:
            return Interval()
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
        fills = _repeats_allowed(dispensing) + 1
        return _supplied(authored, days * fills if days and days * fills <= _LONGEST_SUPPLY else None)

    def _bounds(self, source: Source, dosages: list[DosageView], period: Interval) -> Interval | None:
        """The days that the dosages of a period are limited to; `None` where one of them has no limit."""
        limits = [self._limit(source, dosage, period.start) for dosage in dosages]
        known = [limit for limit in limits if limit is not None]
        if not known or len(known) < len(limits):
            return None
        starts = [limit.start for limit in known if limit.start is not None]
        ends = [limit.end for limit in known if limit.end is not None]
        if len(starts) < len(known):
            return Interval()
        return Interval(min(starts), max(ends) if len(ends) == len(known) else None)

    def _limit(self, source: Source, dosage: DosageView, start: PartialDate | None) -> Interval | None:
        """The days that one dosage is limited to, by its bounds, its duration and the number of its doses."""
        repeat = dosage.timing.repeat if dosage.timing else None
        if repeat is None:
            return None
        limits = [_supplied(start, days) if days else Interval() for days in self._lengths(repeat, dosage)]
        if repeat.bounds_period is not None:
            element = "dosage.timing.repeat.boundsPeriod"
            limits.append(self._elements.interval(source, element, repeat.bounds_period))
        if not limits:
            return None
        if Interval() in limits:
            return Interval()
        starts = [limit.start for limit in limits if limit.start is not None]
        ends = [limit.end for limit in limits if limit.end is not None]
        return Interval(max(starts, default=None), min(ends, default=None))

    def _lengths(self, repeat: RepeatView, dosage: DosageView) -> Iterator[int | None]:
        """The fewest days of each limit of a repeat rule; `None` where one cannot be understood."""
        if repeat.bounds_duration is not None:
            yield _days(repeat.bounds_duration)
        if repeat.bounds_range is not None:
            yield _days(repeat.bounds_range.low)
        if repeat.duration is not None and repeat.duration_unit not in _SHORTER_THAN_A_DAY:
            yield _days(QuantityView(value=repeat.duration, code=repeat.duration_unit))
        if repeat.count is not None:
            (step,) = read_steps([dosage], self._elements)
            yield _days_of_doses(repeat.count, step.times_a_day[1] if step.times_a_day else 0.0)

    def _days_of(self, quantity: QuantityView | None, dosages: list[DosageView]) -> int | None:
        """How long a quantity lasts, where the instructions say how many units a day."""
        steps = read_steps(dosages, self._elements)
        amount = self._supply(quantity)
        a_day = units_a_day(steps, amount)
        if amount is None or not a_day:
            return None
        days = amount.high / a_day
        return math.floor(days) if 1 <= days < _LONGEST_SUPPLY + 1 else None


def _repeats_allowed(dispensing: DispenseRequestView | None) -> int:
    """How often a prescription may be filled again; never, where a modifier leaves open what it says."""
    if dispensing is None or dispensing.modifier_extension:
        return 0
    return max(dispensing.number_of_repeats_allowed or 0, 0)


def _days(duration: QuantityView | None) -> int | None:
    """The whole days of a Duration; `None` where it has none, or not in a known unit."""
    if duration is None or duration.value is None or duration.comparator is not None:
        return None
    days = duration.value * _DAYS_IN.get((duration.code or duration.unit or "d").lower(), 0)
    return math.floor(days) if 1 <= days <= _LONGEST_SUPPLY else None


def _days_of_doses(count: int, a_day: float) -> int | None:
    """The fewest days that so many doses last; `None` where nothing says how many are taken a day."""
    if count <= 1:
        return 1
    known = 0 < a_day < math.inf and count <= _LONGEST_SUPPLY * a_day
    return math.ceil(count / a_day) if known else None


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


def _is_at(contained: msgspec.Raw, reference: ReferenceView) -> bool:
    """Whether a contained resource is the one that a reference inside its container leads to."""
    try:
        return f"#{IDENTITY.decode(contained).id}" == reference.reference
    except UNDECODABLE:
        return False


def _rendered(view: MedicineView) -> str | None:
    """One text for all dosages: an element of R5, in R4 one of several extensions of that name."""
    extensions = (e.value_markdown or e.value_string for e in view.extension if _is_called(e, _RENDERED))
    return view.rendered_dosage_instruction or next((text for text in extensions if text), None)


def _adherence_in(extension: ExtensionView) -> Iterator[ConceptView]:
    """The concepts of an extension that says whether the medicine was taken as directed."""
    if _is_called(extension, _ADHERENCE):
        inside = [one.value_codeable_concept for one in extension.extension if one.url in _ADHERENCE_CODES]
        yield from (concept for concept in (extension.value_codeable_concept, *inside) if concept is not None)


def _is_called(extension: ExtensionView, name: str) -> bool:
    """Whether the last part of an extension's address is a name, whoever defines it."""
    return (extension.url or "").lower().endswith(name)


def _with_open_period(exposure: Exposure, opened: Openings) -> Exposure:
    """The exposure, whose days nobody knows where an element leaves them open.

    One of a dosage leaves open how long it held; any other, when the medicine was taken.
    """
    unsaid = exposure.period.start is None or exposure.period.end is None
    open_period = opened.that_open(Bearing.PERIOD, unsaid=unsaid)
    if open_period is None:
        return exposure
    if open_period.element.startswith("dosage") or open_period.only_if_unsaid:
        return replace(exposure, bounds=Interval())
    return replace(exposure, period=Interval(), bounds=None)


_RENDERED = "rendereddosageinstruction"
_ADHERENCE = "adherence"
_ADHERENCE_CODES = frozenset({"medicationAdherence", "code"})
_SHORTER_THAN_A_DAY = frozenset({"s", "min", "h"})
_OF_NO_BEARING = frozenset({Identified.CODED, Identified.OTHER, Identified.UNLISTED})
"""Medicines so identified, and neither antidepressant nor agent, are no trial: their dose decides nothing."""
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
_USED_UP = "completed"
"""All that a request implies has taken place: https://hl7.org/fhir/R4/valueset-medicationrequest-status.html."""
_ADMINISTRATION_STATUS: dict[str | None, ExposureStatus] = {
    "in-progress": ExposureStatus.ENDED,
    "completed": ExposureStatus.ENDED,
    "stopped": ExposureStatus.ENDED,
    "on-hold": ExposureStatus.INTENDED,
    "unknown": ExposureStatus.UNKNOWN,
    None: ExposureStatus.UNKNOWN,
}
