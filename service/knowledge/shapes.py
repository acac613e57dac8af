"""Shapes of the TOML files under `mappings/`, and what they become in the core."""

from datetime import date
from typing import Annotated, Any, Generic, Literal, TypeVar, get_type_hints

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, create_model

from service.core.catalogue import ProtocolSources
from service.core.knowledge import (
    Band,
    CareSetting,
    Criteria,
    DecisionPoint,
    Limits,
    MissedRules,
    NextCode,
    NextRule,
    Phase,
    Protocol,
    Repeat,
    ResponseRules,
    RuleBasis,
    Scale,
    SettingTask,
    Staging,
    TreatmentRule,
    Visit,
)
from service.core.records import Coding

T = TypeVar("T")


class Strict(BaseModel):
    """A table that may hold no key beside those named here."""

    model_config = ConfigDict(extra="forbid", frozen=True)


_Source = Annotated[str, Field(min_length=1)]
NAME = r"^[A-Za-z0-9\-.]{1,31}$"
"""What becomes part of an id in FHIR; two of these and a hyphen are as long as an id may be."""
_Name = Annotated[str, Field(pattern=NAME)]


class Sourced(Strict, Generic[T]):
    """A value with the source that it comes from."""

    value: T
    source: _Source


def _shape_parameters() -> type[Strict]:
    """A table with the parameters of a criteria set as the core declares them, each with its source."""
    declared = get_type_hints(Criteria, include_extras=True)
    shapes: dict[str, Any] = {
        name: (Sourced.__class_getitem__(shape), ...)
        for name, shape in declared.items()
        if name not in {"id", "version"}
    }
    return create_model("Parameters", __base__=Strict, **shapes)


_PARAMETERS = _shape_parameters()


def _check_parameters(table: object) -> Strict:
    parameters = _PARAMETERS.model_validate(table)
    values = _values_of(parameters)
    if values["failure_fall"] > values["response_fall"]:
        message = "failure_fall is more than response_fall: a score would be both"
        raise ValueError(message)
    return parameters


def _values_of(parameters: Strict) -> dict[str, Any]:
    """The values of sourced parameters by name."""
    return {name: sourced.value for name, sourced in parameters}


class Signed(Strict):
    """What every criteria set and protocol says of itself."""

    id: _Name
    version: str
    status: Literal["draft", "active", "retired"]
    title: str
    source: _Source
    reviewer: str


class CriteriaFile(Signed):
    """A file of `criteria/`."""

    parameters: Annotated[Strict, BeforeValidator(_check_parameters)]


class PhaseFile(Strict):
    """A phase of a protocol: weeks (first, last), rhythm and dose options in mg."""

    name: _Name
    weeks: tuple[int, int]
    sessions_a_week: Annotated[int, Field(ge=1, le=7)]
    min_days_between: Annotated[int, Field(ge=1)]
    dose_options_mg: Annotated[list[int], Field(min_length=1)]
    first_dose_mg: list[int] = []
    source: _Source


class DecisionPointFile(Strict):
    """A point at which a clinician decides, after a week of the protocol."""

    code: Literal["benefit-review", "maintenance-review"]
    after_week: Annotated[int, Field(ge=1)]
    text: str
    source: _Source


class VisitFile(Strict):
    """What every visit takes: before the session, during it, after it."""

    before: Annotated[list[str], Field(min_length=1)]
    during: Annotated[list[str], Field(min_length=1)]
    after: Annotated[list[str], Field(min_length=1)]
    source: _Source


class TaskFile(Strict):
    """What a programme asks of a care setting, before the first session or with each."""

    setting: CareSetting | Literal["any"]
    when: Literal["first-session", "each-session"]
    text: str
    within_days: Annotated[int, Field(ge=1)] | None = None
    source: _Source


class ProductFile(Strict):
    """The medicine of a protocol."""

    system: Literal["rxnorm"]
    code: str
    display: str
    source: _Source


class OralFile(Strict):
    """The classes of oral antidepressants of which one is taken alongside; `any` for every class."""

    classes: Annotated[list[str], Field(min_length=1)]
    source: _Source


class RepeatFile(Strict):
    """A rhythm without dates: so often in a period, or in at most the longer one."""

    frequency: Annotated[int, Field(ge=1)]
    period: Annotated[int, Field(ge=1)]
    period_max: Annotated[int, Field(ge=1)]
    unit: Literal["d", "wk", "mo"]


class ThenFile(Strict):
    """The rule after the last dated session."""

    text: str
    source: _Source
    repeat: RepeatFile | None = None


class RuleFile(Strict):
    """A rule in words, and what it rests on."""

    text: str
    basis: RuleBasis
    source: _Source


class ResponseFile(Strict):
    """How scores are read under treatment: days, and shares by which a score falls."""

    baseline_days: Sourced[Annotated[int, Field(ge=0)]]
    latest_days: Sourced[Annotated[int, Field(ge=1)]]
    response_fall: Sourced[Annotated[float, Field(gt=0, le=1)]]
    partial_fall: Sourced[Annotated[float, Field(gt=0, le=1)]]


class MaintenanceFile(Strict):
    """How many weeks of maintenance are planned at a time, and the rules by which it goes on."""

    block_weeks: Sourced[Annotated[int, Field(ge=2, multiple_of=2)]]
    by_response: RuleFile
    duration: RuleFile | None = None
    no_response: RuleFile | None = None


class MissedFile(Strict):
    """Days: until a session is missed and a treatment has lapsed, and the others of `MissedRules`."""

    after_days: Sourced[Annotated[int, Field(ge=0)]]
    lapse_days: Sourced[Annotated[int, Field(ge=1)]]
    early_days: Sourced[Annotated[int, Field(ge=0)]]
    ticked_days: Sourced[Annotated[int, Field(ge=0)]]
    followed_days: Sourced[Annotated[int, Field(ge=1)]]


class NextFile(RuleFile):
    """What comes next in a situation, and what that rests on."""

    code: NextCode


class ProtocolFile(Signed):
    """A file of `protocols/`; ages in years."""

    region: Literal["us", "eu"]
    pathway: Literal["trd", "acute-suicidality"]
    min_age: Annotated[int, Field(ge=18)]
    max_age: int | None = None
    product: ProductFile
    oral_antidepressant: OralFile | None = None
    phase: Annotated[list[PhaseFile], Field(min_length=1)]
    decision_point: list[DecisionPointFile]
    visit: VisitFile
    task: list[TaskFile] = []
    then: ThenFile
    response: ResponseFile
    maintenance: MaintenanceFile
    missed: MissedFile
    next: Annotated[list[NextFile], Field(min_length=1)]


class ScaleFile(Strict):
    """A symptom scale of `scales.toml`."""

    lowest: Sourced[float]
    highest: Sourced[float]
    symptomatic_from: Sourced[float]
    remission_up_to: Sourced[float]
    worse_by: Sourced[Annotated[float, Field(gt=0)]]


class BloodPressureFile(Strict):
    """The limits of `scales.toml` above which a blood pressure is high, in mm Hg."""

    systolic_above: Sourced[Annotated[float, Field(gt=0)]]
    diastolic_above: Sourced[Annotated[float, Field(gt=0)]]


class PregnancyFile(Strict):
    """How long a recorded pregnancy status stands."""

    days: Sourced[Annotated[int, Field(ge=1)]]


class ScalesFile(Strict):
    """The file `scales.toml`."""

    phq_9: Annotated[ScaleFile, Field(alias="phq-9")]
    madrs: ScaleFile
    blood_pressure: Annotated[BloodPressureFile, Field(alias="blood-pressure")]
    pregnancy: PregnancyFile


class BandFile(Strict):
    """A score for values up to a limit."""

    up_to: float | None = None
    score: float


class MsmFile(Strict):
    """The Maudsley Staging Method."""

    source: _Source
    duration_months: list[BandFile]
    severity: dict[Literal["subsyndromal", "mild", "moderate", "severe", "psychotic"], float]
    failed: list[BandFile]
    augmentation: float
    ect: float


class MghFile(Strict):
    """The Massachusetts General Hospital staging."""

    source: _Source
    per_failure: float
    optimisation: float
    augmentation: float
    ect: float


class ThaseRushFile(Strict):
    """The stages of Thase and Rush."""

    source: _Source
    classes: dict[str, int]
    ect: int


class StagingFile(Strict):
    """The file `staging.toml`."""

    msm: MsmFile
    mgh_s: MghFile
    thase_rush: ThaseRushFile


def to_bands(bands: list[BandFile]) -> tuple[Band, ...]:
    """Bands as the core uses them."""
    return tuple(Band(band.up_to, band.score) for band in bands)


def _rule(file: RuleFile | None) -> TreatmentRule | None:
    return None if file is None else TreatmentRule(**file.model_dump())


def to_protocol(file: ProtocolFile) -> Protocol:
    """A protocol as the core uses it."""
    return Protocol(
        id=file.id,
        version=file.version,
        region=file.region,
        pathway=file.pathway,
        min_age=file.min_age,
        max_age=file.max_age,
        phases=tuple(
            Phase(
                phase.name,
                phase.weeks[0],
                phase.weeks[1],
                phase.sessions_a_week,
                phase.min_days_between,
                tuple(phase.dose_options_mg),
                tuple(phase.first_dose_mg),
            )
            for phase in file.phase
        ),
        decision_points=tuple(
            DecisionPoint(point.code, point.after_week, point.text) for point in file.decision_point
        ),
        visit=Visit(tuple(file.visit.before), tuple(file.visit.during), tuple(file.visit.after)),
        tasks_by_setting=tuple(
            SettingTask(None if task.setting == "any" else task.setting, task.when, task.text)
            for task in file.task
        ),
        oral_antidepressant=tuple(file.oral_antidepressant.classes) if file.oral_antidepressant else (),
        then=file.then.text,
        then_repeat=Repeat(**file.then.repeat.model_dump()) if file.then.repeat else None,
        form_days=next((task.within_days for task in file.task if task.within_days), None),
        response=ResponseRules(**_values_of(file.response)),
        block_weeks=file.maintenance.block_weeks.value,
        by_response=TreatmentRule(**file.maintenance.by_response.model_dump()),
        duration=_rule(file.maintenance.duration),
        no_response=_rule(file.maintenance.no_response),
        missed=MissedRules(**_values_of(file.missed)),
        next_rules=tuple(NextRule(one.code, one.text, one.basis, one.source) for one in file.next),
        title=file.title,
        product=Coding(file.product.system, file.product.code, file.product.display),
    )


def to_sources(file: ProtocolFile) -> ProtocolSources:
    """Where the values of a protocol come from."""
    return ProtocolSources(
        status=file.status,
        reviewer=file.reviewer,
        protocol=file.source,
        product=file.product.source,
        oral_antidepressant=file.oral_antidepressant.source if file.oral_antidepressant else None,
        phases=tuple(phase.source for phase in file.phase),
        decision_points=tuple(point.source for point in file.decision_point),
        visit=file.visit.source,
        tasks=tuple(task.source for task in file.task),
        then=file.then.source,
    )


_Kind = Annotated[str, Field(pattern=r"^[A-Z][A-Za-z]+$")]
_Status = Annotated[int, Field(ge=400, le=599)]
_ErrorNumbers = list[Annotated[str, Field(pattern=r"^[0-9]{4,5}$")]]


class RecognisedFile(Strict):
    """What the CapabilityStatement of such a server says: `software.name` or `publisher`."""

    software: list[_Source] = []
    publishers: list[_Source] = []
    source: _Source


class RequiredSearchFile(Strict):
    """How a kind of resource is searched for where a search by the patient alone is refused.

    Each table of `parameters` is a search of its own, and all of them together are the answer. `partial` says
    that they do not show all that there may be.
    """

    kind: _Kind
    parameters: Annotated[list[dict[str, _Source]], Field(min_length=1)]
    partial: bool = False
    source: _Source


class LackedFile(Strict):
    """Kinds of resource that such a server does not show."""

    kinds: list[_Kind]
    source: _Source


class IssuesFile(Strict):
    """Error numbers of the vendor: results are withheld, not complete, or no longer there."""

    withheld: _ErrorNumbers = []
    incomplete: _ErrorNumbers = []
    expired: _ErrorNumbers = []
    source: _Source


class OverloadFile(Strict):
    """An answer that asks to be left alone for a while: its status, and a word of its body."""

    status: _Status
    word: _Source
    source: _Source


class DocumentFile(Strict):
    """What a document must be like where the server takes no CarePlan.

    `authors` are the kinds of resource that may have written it; any where there are none. `new` and
    `changed` are the `docStatus` of a document and of a later version of it.
    """

    authors: list[_Kind] = []
    new: Literal["preliminary", "final", "amended"]
    changed: Literal["preliminary", "final", "amended"]
    source: _Source


class ChangesFile(Strict):
    """Whether all patients of such a server can be searched for what changed (`_lastUpdated`)."""

    searched: bool
    source: _Source


class DialectFile(Strict):
    """A file of `servers/`."""

    id: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,31}$")]
    title: _Source
    as_of: date
    source: _Source
    notes: list[_Source] = []
    recognised: RecognisedFile
    lacks: LackedFile
    changes: ChangesFile | None = None
    issues: IssuesFile | None = None
    search: list[RequiredSearchFile] = []
    overload: list[OverloadFile] = []
    document: DocumentFile | None = None


def to_criteria(file: CriteriaFile) -> Criteria:
    """A criteria set as the core uses it."""
    return Criteria(id=file.id, version=file.version, **_values_of(file.parameters))


def to_scale(file: ScaleFile) -> Scale:
    """A symptom scale as the core uses it."""
    return Scale(
        file.lowest.value,
        file.highest.value,
        file.symptomatic_from.value,
        file.remission_up_to.value,
        file.worse_by.value,
    )


def to_limits(file: ScalesFile) -> Limits:
    """The limits of `scales.toml` as the core uses them."""
    pressure = file.blood_pressure
    return Limits(pressure.systolic_above.value, pressure.diastolic_above.value, file.pregnancy.days.value)


def to_staging(file: StagingFile) -> Staging:
    """The staging scales as the core uses them."""
    msm, mgh, rush = file.msm, file.mgh_s, file.thase_rush
    return Staging(
        msm_duration_months=to_bands(msm.duration_months),
        msm_severity={str(name): score for name, score in msm.severity.items()},
        msm_failed=to_bands(msm.failed),
        msm_augmentation=msm.augmentation,
        msm_ect=msm.ect,
        mgh_per_failure=mgh.per_failure,
        mgh_optimisation=mgh.optimisation,
        mgh_augmentation=mgh.augmentation,
        mgh_ect=mgh.ect,
        thase_rush_classes=rush.classes,
        thase_rush_ect=rush.ect,
    )
