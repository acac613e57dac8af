"""Narrow views of FHIR R4 resources: the elements this service uses, and nothing else.

Decoding a view checks the shape of those elements only, so that an odd element elsewhere never hides a
record. A full model of every resource would cost sixty times as much (docs/decisions/0002).
"""

import msgspec

from service.fhir.names import BASE


class View(msgspec.Struct, rename="camel"):
    """A FHIR element; its JSON names are the camel case of the attribute names."""


class Meta(View):
    version_id: str | None = None
    last_updated: str | None = None


class CodingView(View):
    system: str | None = None
    code: str | None = None
    display: str | None = None
    extension: list["ExtensionView"] = []


class ConceptView(View):
    coding: list[CodingView] = []
    text: str | None = None
    extension: list["ExtensionView"] = []


class ExtensionView(View):
    """An extension, with those of its values that are read."""

    url: str | None = None
    extension: list["ExtensionView"] = []
    value_code: str | None = None
    value_codeable_concept: ConceptView | None = None
    value_coding: CodingView | None = None
    value_date_time: str | None = None
    value_markdown: str | None = None
    value_string: str | None = None


class IdentifierView(View):
    system: str | None = None
    value: str | None = None


class ReferenceView(View):
    reference: str | None = None
    type: str | None = None
    identifier: IdentifierView | None = None
    display: str | None = None


class OwnerView(View):
    """Whose record a resource is."""

    subject: ReferenceView | None = None
    patient: ReferenceView | None = None
    for_: ReferenceView | None = msgspec.field(name="for", default=None)


class TagsView(View):
    tag: list[CodingView] = []


class NotifiedView(OwnerView):
    """Whose record a resource belongs to, and whether we wrote it."""

    meta: TagsView | None = None
    identifier: list[IdentifierView] = []

    @property
    def is_ours(self) -> bool:
        """Whether a tag or an identifier is one of ours."""
        named = [*(self.meta.tag if self.meta else ()), *self.identifier]
        return any((one.system or "").startswith(f"{BASE}/") for one in named)


class PeriodView(View):
    start: str | None = None
    end: str | None = None


class QuantityView(View):
    value: float | None = None
    comparator: str | None = None
    unit: str | None = None
    system: str | None = None
    code: str | None = None


class RangeView(View):
    low: QuantityView | None = None
    high: QuantityView | None = None


class RatioView(View):
    numerator: QuantityView | None = None
    denominator: QuantityView | None = None


class RepeatView(View):
    count: int | None = None
    count_max: int | None = None
    duration: float | None = None
    duration_max: float | None = None
    duration_unit: str | None = None
    frequency: int | None = None
    frequency_max: int | None = None
    period: float | None = None
    period_max: float | None = None
    period_unit: str | None = None
    day_of_week: list[str] = []
    when: list[str] = []
    time_of_day: list[str] = []
    bounds_period: PeriodView | None = None
    bounds_duration: QuantityView | None = None
    bounds_range: RangeView | None = None


class TimingView(View):
    event: list[str] = []
    repeat: RepeatView | None = None
    code: ConceptView | None = None
    modifier_extension: list[msgspec.Raw] = []


class DoseAndRateView(View):
    dose_quantity: QuantityView | None = None
    dose_range: RangeView | None = None
    rate_quantity: QuantityView | None = None
    rate_range: RangeView | None = None
    rate_ratio: RatioView | None = None
    modifier_extension: list[msgspec.Raw] = []


class DosageView(View):
    sequence: int | None = None
    text: str | None = None
    additional_instruction: list[ConceptView] = []
    patient_instruction: str | None = None
    timing: TimingView | None = None
    as_needed_boolean: bool | None = None
    as_needed_codeable_concept: ConceptView | None = None
    dose_and_rate: list[DoseAndRateView] = []
    max_dose_per_period: RatioView | list[RatioView] | None = None
    max_dose_per_administration: QuantityView | None = None
    max_dose_per_lifetime: QuantityView | None = None
    modifier_extension: list[msgspec.Raw] = []


class KindView(View):
    resource_type: str | None = None


class Head(View):
    """What every resource says of itself."""

    resource_type: str | None = None
    id: str | None = None
    meta: Meta = msgspec.field(default_factory=Meta)
    modifier_extension: list[msgspec.Raw] = []
    implicit_rules: str | None = None
    """A modifier element of every resource: rules that may turn its meaning round."""


class IngredientView(View):
    item_codeable_concept: ConceptView | None = None
    item_reference: ReferenceView | None = None
    is_active: bool | None = None
    strength: RatioView | None = None
    modifier_extension: list[msgspec.Raw] = []


class MedicationView(View):
    """A Medication, or a Substance that is an ingredient of one."""

    code: ConceptView | None = None
    status: str | None = None
    ingredient: list[IngredientView] = []
    modifier_extension: list[msgspec.Raw] = []
    implicit_rules: str | None = None


class LinkView(View):
    other: ReferenceView | None = None
    type: str | None = None


class PatientView(View):
    active: bool | None = None
    identifier: list[IdentifierView] = []
    birth_date: str | None = None
    deceased_boolean: bool | None = None
    deceased_date_time: str | None = None
    deceased_date_time_extension: msgspec.Raw = msgspec.field(
        name="_deceasedDateTime", default_factory=msgspec.Raw
    )
    link: list[LinkView] = []


class MedicineOnlyView(View):
    """Which medicine a record is about, whatever else it says."""

    medication_codeable_concept: ConceptView | None = None
    medication_reference: ReferenceView | None = None
    contained: list[msgspec.Raw] = []


class MedicineView(MedicineOnlyView):
    """What every record of a medicine says: whose, which and what for."""

    subject: ReferenceView = msgspec.field(default_factory=ReferenceView)
    status: str | None = None
    reason_code: list[ConceptView] = []
    reason_reference: list[ReferenceView] = []
    part_of: list[ReferenceView] = []
    extension: list[ExtensionView] = []
    rendered_dosage_instruction: str | None = None
    """An element of R5, which R4 has as an extension."""


class NamedMedicineView(View):
    """A record of a medicine, as far as to say whether it names one at all."""

    subject: ReferenceView = msgspec.field(default_factory=ReferenceView)
    status: str | None = None
    medication_codeable_concept: ConceptView | None = None


class StatementView(MedicineView):
    status_reason: list[ConceptView] = []
    effective_date_time: str | None = None
    effective_period: PeriodView | None = None
    date_asserted: str | None = None
    based_on: list[ReferenceView] = []
    derived_from: list[ReferenceView] = []
    dosage: list[DosageView] = []


class DispenseRequestView(View):
    validity_period: PeriodView | None = None
    number_of_repeats_allowed: int | None = None
    quantity: QuantityView | None = None
    expected_supply_duration: QuantityView | None = None
    modifier_extension: list[msgspec.Raw] = []


class RequestView(MedicineView):
    intent: str | None = None
    status_reason: ConceptView | None = None
    do_not_perform: bool | None = None
    reported_boolean: bool | None = None
    reported_reference: ReferenceView | None = None
    authored_on: str | None = None
    based_on: list[ReferenceView] = []
    dosage_instruction: list[DosageView] = []
    dispense_request: DispenseRequestView | None = None


class DispenseView(MedicineView):
    status_reason_codeable_concept: ConceptView | None = None
    authorizing_prescription: list[ReferenceView] = []
    quantity: QuantityView | None = None
    days_supply: QuantityView | None = None
    when_prepared: str | None = None
    when_handed_over: str | None = None
    dosage_instruction: list[DosageView] = []


class AdministeredView(View):
    text: str | None = None
    dose: QuantityView | None = None
    rate_quantity: QuantityView | None = None
    rate_ratio: RatioView | None = None
    modifier_extension: list[msgspec.Raw] = []


class AdministrationView(MedicineView):
    effective_date_time: str | None = None
    effective_period: PeriodView | None = None
    request: ReferenceView | None = None
    dosage: AdministeredView | None = None


class ConditionView(View):
    subject: ReferenceView
    category: list[ConceptView] = msgspec.field(default_factory=list)
    clinical_status: ConceptView | None = None
    verification_status: ConceptView | None = None
    severity: ConceptView | None = None
    code: ConceptView | None = None
    onset_date_time: str | None = None
    onset_age: QuantityView | None = None
    onset_period: PeriodView | None = None
    onset_range: RangeView | None = None
    onset_string: str | None = None
    abatement_date_time: str | None = None
    abatement_age: QuantityView | None = None
    abatement_period: PeriodView | None = None
    abatement_range: RangeView | None = None
    abatement_string: str | None = None
    recorded_date: str | None = None
    extension: list[ExtensionView] = msgspec.field(default_factory=list)


class ResultView(View):
    """The value of an Observation, or of one of its components."""

    code: ConceptView | None = None
    value_quantity: QuantityView | None = None
    value_integer: int | None = None
    value_boolean: bool | None = None
    value_string: str | None = None
    value_codeable_concept: ConceptView | None = None
    data_absent_reason: ConceptView | None = None


class ObservationView(ResultView):
    subject: ReferenceView = msgspec.field(default_factory=ReferenceView)
    status: str | None = None
    effective_date_time: str | None = None
    effective_instant: str | None = None
    effective_period: PeriodView | None = None
    component: list[ResultView] = []


class AnswerView(View):
    """One answer to a question of a questionnaire, and the questions that follow from it."""

    value_boolean: bool | None = None
    value_decimal: float | None = None
    value_integer: int | None = None
    value_string: str | None = None
    value_coding: CodingView | None = None
    value_quantity: QuantityView | None = None
    item: list["QuestionView"] = []


class QuestionView(View):
    """A question of a questionnaire, or a group of them."""

    link_id: str | None = None
    definition: str | None = None
    text: str | None = None
    answer: list[AnswerView] = []
    item: list["QuestionView"] = []


class QuestionnaireResponseView(View):
    subject: ReferenceView = msgspec.field(default_factory=ReferenceView)
    questionnaire: str | None = None
    status: str | None = None
    authored: str | None = None
    item: list[QuestionView] = []


class AskedView(View):
    """A question of a Questionnaire: its code, and the questions in it."""

    link_id: str | None = None
    code: list[CodingView] = []
    item: list["AskedView"] = []


class QuestionnaireView(View):
    url: str | None = None
    item: list[AskedView] = []


class FlagView(View):
    subject: ReferenceView = msgspec.field(default_factory=ReferenceView)
    status: str | None = None
    code: ConceptView | None = None
    period: PeriodView | None = None


class ListView(View):
    subject: ReferenceView = msgspec.field(default_factory=ReferenceView)
    status: str | None = None
    mode: str | None = None
    code: ConceptView | None = None
    entry: list[msgspec.Raw] = []
    empty_reason: ConceptView | None = None


class SectionView(View):
    """A section of a document, and the sections in it."""

    code: ConceptView | None = None
    entry: list[msgspec.Raw] = []
    empty_reason: ConceptView | None = None
    section: list["SectionView"] = []


class CompositionView(View):
    """The table of contents of a document."""

    subject: ReferenceView = msgspec.field(default_factory=ReferenceView)
    status: str | None = None
    section: list[SectionView] = []


class ProcedureView(View):
    subject: ReferenceView = msgspec.field(default_factory=ReferenceView)
    status: str | None = None
    code: ConceptView | None = None
    performed_date_time: str | None = None
    performed_period: PeriodView | None = None


class AllergyView(View):
    patient: ReferenceView
    clinical_status: ConceptView | None = None
    verification_status: ConceptView | None = None
    code: ConceptView | None = None
    reaction: list["ReactionView"] = []


class ReactionView(View):
    substance: ConceptView | None = None


class ActivityDetailView(View):
    code: ConceptView | None = None
    product_codeable_concept: ConceptView | None = None
    product_reference: ReferenceView | None = None
    do_not_perform: bool | None = None


class ActivityView(View):
    reference: ReferenceView | None = None
    detail: ActivityDetailView | None = None


class CarePlanView(View):
    subject: ReferenceView
    status: str | None = None
    identifier: list[IdentifierView] = []
    title: str | None = None
    description: str | None = None
    activity: list[ActivityView] = []
    contained: list[msgspec.Raw] = []


class SearchView(View):
    mode: str | None = None


class EntryRequestView(View):
    method: str | None = None
    url: str | None = None


class EntryResponseView(View):
    status: str | None = None
    outcome: msgspec.Raw = msgspec.Raw()

    @property
    def failed(self) -> bool:
        """Whether it is no success; a status that is missing says nothing."""
        return self.status is not None and not self.status.strip().startswith("2")


class EntryView(View):
    full_url: str | None = None
    resource: msgspec.Raw = msgspec.Raw()
    search: SearchView | None = None
    request: EntryRequestView | None = None
    response: EntryResponseView | None = None


class BundleLinkView(View):
    relation: str | None = None
    url: str | None = None


class BundleView(View):
    resource_type: str | None = None
    type: str | None = None
    total: int | None = None
    link: list[BundleLinkView] = []
    entry: list[EntryView] = []

    @property
    def next(self) -> str | None:
        """The address of the next page; empty where there is one but its address is missing."""
        return next((link.url or "" for link in self.link if link.relation == "next"), None)


class ResponseView(View):
    status: str | None = None
    location: str | None = None
    etag: str | None = None


class ResponseEntryView(View):
    response: ResponseView = msgspec.field(default_factory=ResponseView)


class TransactionResponseView(View):
    entry: list[ResponseEntryView] = []


class IssueView(View):
    severity: str | None = None
    code: str | None = None
    details: ConceptView | None = None


class OutcomeView(View):
    issue: list[IssueView] = []


class InteractionView(View):
    code: str | None = None


class SearchParameterView(View):
    name: str | None = None


class ResourceCapability(View):
    type: str | None = None
    interaction: list[InteractionView] = []
    update_create: bool | None = None
    search_include: list[str] = []
    search_param: list[SearchParameterView] = []
    operation: list["OperationCapability"] = []

    @property
    def can_be_searched(self) -> bool:
        """Whether a search is among the interactions; a server need not list any."""
        return not self.interaction or any(one.code == "search-type" for one in self.interaction)

    @property
    def shows_history(self) -> bool:
        """Whether the history of all resources of the kind is among the interactions."""
        return any(one.code == "history-type" for one in self.interaction)

    def has_operation(self, name: str) -> bool:
        """Whether an operation, by its name without `$`, is among those offered."""
        return any((one.name or "").removeprefix("$") == name for one in self.operation)

    def takes(self, *interactions: str) -> bool:
        """Whether all of these interactions are offered."""
        return {*interactions} <= {one.code for one in self.interaction}


class OperationCapability(View):
    name: str | None = None


class RestCapability(View):
    mode: str | None = None
    interaction: list[InteractionView] = []
    resource: list[ResourceCapability] = []
    search_param: list[SearchParameterView] = []


class SoftwareView(View):
    name: str | None = None


class CapabilityView(View):
    resource_type: str | None = None
    fhir_version: str | None = None
    publisher: str | None = None
    software: SoftwareView | None = None
    rest: list[RestCapability] = []

    @property
    def resources(self) -> dict[str | None, ResourceCapability]:
        """What the server says it can do, by kind of resource."""
        return {resource.type: resource for rest in self.rest for resource in rest.resource}

    def may_search(self, kind: str, common: str) -> bool:
        """Whether a kind can be searched by a parameter of all kinds, as `_id`, as far as is stated.

        A statement without any parameter of all kinds says nothing of them.
        """
        offered = self.resources.get(kind)
        if offered is None or not offered.can_be_searched:
            return False
        listed = [*offered.search_param, *(one for rest in self.rest for one in rest.search_param)]
        names = {one.name for one in listed if one.name and one.name.startswith("_")}
        return not names or common in names
