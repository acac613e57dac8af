"""Clinical knowledge as the core uses it: plain data, loaded and checked elsewhere.

Nothing here knows where a value comes from on disk; `service.knowledge` reads `mappings/`, keeps the
source of every value there, and refuses to build a `Knowledge` from a faulty list.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from enum import StrEnum
from functools import lru_cache
from typing import Annotated, Generic, NamedTuple, TypeVar

from pydantic import Field

from service.core.catalogue import Catalogue
from service.core.dose_words import Lexicon, Unit
from service.core.elements import ElementTables
from service.core.phrases import PhraseList
from service.core.records import (
    Adherence,
    Certainty,
    Coding,
    Concept,
    Contents,
    Depression,
    Indication,
    Measure,
    ProcedureKind,
    Role,
    Severity,
    StopReason,
    SuicidalityKind,
)
from service.core.statements import SmallWord, Vocabulary

Meaning = TypeVar("Meaning")


@dataclass(frozen=True, slots=True)
class CodeList(Generic[Meaning]):
    """Codes and what they mean. A hierarchical system also matches every code below a listed one.

    `exact` maps (system, code). `patterns` maps (system, length) to the rows of that length
    whose code has `?` for any one character. The most specific row wins. `of_site` are the keys of `exact`
    that the site's own lists add.
    """

    exact: Mapping[tuple[str, str], Meaning]
    patterns: Mapping[tuple[str, int], tuple[tuple[re.Pattern[str], Meaning], ...]] = field(
        default_factory=dict
    )
    hierarchical: frozenset[str] = frozenset()
    of_site: frozenset[tuple[str, str]] = frozenset()
    longest: int = field(init=False)
    """The characters of the longest code listed: no longer one need be looked for."""

    def __post_init__(self) -> None:
        """Find the longest code."""
        lengths = (*(len(code) for _, code in self.exact), *(length for _, length in self.patterns))
        object.__setattr__(self, "longest", max(lengths, default=0))

    def meaning(self, system: str | None, code: str | None) -> Meaning | None:
        """What the list says of a code; `None` where it says nothing."""
        if system is None or not code:
            return None
        if system not in self.hierarchical:
            return self.exact.get((system, code))
        for length in range(min(len(code), self.longest), 0, -1):
            prefix = code[:length]
            found = self.exact.get((system, prefix))
            if found is not None:
                return found
            for pattern, meaning in self.patterns.get((system, length), ()):
                if pattern.fullmatch(prefix):
                    return meaning
        return None

    def first(self, concept: Concept) -> Meaning | None:
        """What the list says of the first coding that it knows; a code of the site's own lists comes last."""
        found = self.first_of_ours(concept)
        return self._first_in(concept.codings) if found is None and self.of_site else found

    def first_of_ours(self, concept: Concept) -> Meaning | None:
        """What the list says of the first coding that it knows without the site's own lists."""
        return self._first_in(c for c in concept.codings if (c.system, c.code) not in self.of_site)

    def _first_in(self, codings: Iterable[Coding]) -> Meaning | None:
        found = (self.meaning(coding.system, coding.code) for coding in codings)
        return next((meaning for meaning in found if meaning is not None), None)


class Ingredient(NamedTuple):
    """An antidepressant or augmenting ingredient. Doses are minimum effective doses in mg a day."""

    name: str
    drug_class: str
    rxnorm: str | None
    minimum_mg: float | None
    strict_minimum_mg: float | None
    not_a_trial: str | None
    related: str | None


class MedicineMeaning(NamedTuple):
    """What a medicine code or name stands for.

    `label_mg` are the strengths that the product's own name states, to compare a record's words with.
    """

    role: Role
    ingredient: str | None
    strength_mg: float | None = None
    unit: str | None = None
    unit_days: int = 1
    not_a_trial: str | None = None
    label_mg: frozenset[float] = frozenset()


class StatedReason(NamedTuple):
    """A reason for stopping in words; `alone` where the words mean other things beside another reason."""

    reason: StopReason
    alone: bool


SUICIDALITY = "suicidality"
DEPRESSION = "depression"
REMISSION = "remission"
OTHER_ALLERGEN = "other-allergen"
"""Topics of the word lists that are no safety groups."""


class Effect(StrEnum):
    """What a safety finding does to a proposal."""

    EXCLUDES = "excludes"
    REVIEW = "review"
    CAUTION = "caution"


class ResolvedRule(StrEnum):
    """What a safety condition does once it is resolved."""

    EXCLUDES = "excludes"
    REVIEW = "review"
    IGNORE = "ignore"


class SafetyGroup(NamedTuple):
    """A safety group and its effect in the configured region, with the label section behind it.

    `within_days` limits the effect to recent events; an older one is a caution. `words_beside_code`: its
    words count beside a code that means something else, as those of a contraindication always do.
    """

    id: str
    title: str
    effect: Effect | None
    resolved: ResolvedRule
    within_days: int | None
    words_beside_code: bool
    section: str


class ProcedureWord(NamedTuple):
    """What a word of a procedure says: the safety group, and the groups of which the text must name one too.

    An empty `beside` is a word that says all by itself, such as EVAR.
    """

    group: str
    beside: frozenset[str]


class UndocumentedDose(StrEnum):
    """What a criteria set makes of a dose that no record states."""

    ASSUME = "assume"
    INDETERMINATE = "indeterminate"


class InferredFailure(StrEnum):
    """Ways to infer from a record that a trial failed, where nobody wrote it down."""

    ENDED_WHILE_ACTIVE = "ended-while-active"
    SWITCHED_OR_AUGMENTED = "switched-or-augmented"


class DoseTable(StrEnum):
    """Which table of minimum doses is asked for."""

    LENIENT = "lenient"
    STRICT = "strict"


class RelatedPairs(StrEnum):
    """Whether two closely related medicines, such as citalopram and escitalopram, count as two trials."""

    DISTINCT = "distinct"
    MERGED = "merged"


class TrdSeverity(StrEnum):
    """How severe the episode must be for treatment resistance."""

    ANY = "any"
    MODERATE_OR_SEVERE = "moderate-or-severe"


class PrescribedOnly(StrEnum):
    """What a criteria set makes of a medicine that only a prescription shows."""

    POSSIBLY = "possibly"
    TAKEN_WHERE_RENEWED = "taken-where-renewed"
    AS_TAKEN = "as-taken"


@dataclass(frozen=True, slots=True)
class Criteria:
    """A criteria set: the parameters by which treatment resistance is judged.

    `required_trials` failed trials, of at least `required_classes` different classes; lengths in days or
    years as named. Every field but the first two is a parameter of the files of `mappings/criteria/`, under
    this name and within these bounds; `service.knowledge` checks the files by this declaration.
    """

    id: str
    version: str
    required_trials: Annotated[int, Field(ge=1)]
    required_classes: Annotated[int, Field(ge=1)]
    minimum_days: Annotated[int, Field(ge=1)]
    grace_days: Annotated[int, Field(ge=0)]
    look_back_years: Annotated[int, Field(ge=1)]
    switch_days: Annotated[int, Field(ge=0)]
    stale_days: Annotated[int, Field(ge=1)]
    suicidality_days: Annotated[int, Field(ge=1)]
    undocumented_dose: UndocumentedDose
    doses: DoseTable
    counted_inferences: frozenset[InferredFailure]
    related_pairs: RelatedPairs
    prescribed_only: PrescribedOnly
    current_evidence_days: Annotated[int, Field(ge=1)]
    """How long ago a sign of depression may lie that shows it in the present."""
    episode_gap_days: Annotated[int, Field(ge=1)]
    """The most days between two signs of depression that are one episode."""
    remission_days: Annotated[int, Field(ge=1)]
    """The fewest days between two scores in remission that end an episode."""
    trd_severity: TrdSeverity
    score_days: Annotated[int, Field(ge=1)]
    """How long a symptom score speaks for the present."""
    response_fall: Annotated[float, Field(gt=0, le=1)]
    """The share by which a score falls in a response."""
    failure_fall: Annotated[float, Field(gt=0, le=1)]
    """A fall by less than this share is a failure; by a share between the two it is neither."""

    def minimum_mg(self, ingredient: Ingredient) -> float | None:
        """The minimum daily dose that this set asks of an ingredient."""
        if self.doses is DoseTable.STRICT and ingredient.strict_minimum_mg is not None:
            return ingredient.strict_minimum_mg
        return ingredient.minimum_mg


class Phase(NamedTuple):
    """A run of weeks with the same rhythm of sessions."""

    name: str
    first_week: int
    last_week: int
    sessions_a_week: int
    min_days_between: int
    dose_options_mg: tuple[int, ...]
    first_dose_mg: tuple[int, ...]
    """Dose options of the very first session; empty where they are those of the phase."""

    @property
    def sessions(self) -> int:
        """How many sessions it has."""
        return (self.last_week - self.first_week + 1) * self.sessions_a_week


class DecisionPoint(NamedTuple):
    """A point after a week of the protocol at which a clinician decides how to go on."""

    code: str
    after_week: int
    text: str


class Repeat(NamedTuple):
    """A rhythm without dates: `frequency` times in `period` to `period_max` units of time (UCUM)."""

    frequency: int
    period: int
    period_max: int
    unit: str


class CareSetting(StrEnum):
    """Where treatment is given; programmes of risk management ask for other things of each."""

    OUTPATIENT = "outpatient"
    INPATIENT = "inpatient"


class Visit(NamedTuple):
    """What every visit takes: before the session, during it, after it."""

    before: tuple[str, ...]
    during: tuple[str, ...]
    after: tuple[str, ...]


class SettingTask(NamedTuple):
    """What is asked of a care setting (`None`: of every), for the `first-session` or `each-session`."""

    setting: CareSetting | None
    when: str
    text: str


class ResponseRules(NamedTuple):
    """How scores are read under treatment: days before session 1 and before today, shares of a fall."""

    baseline_days: int
    latest_days: int
    response_fall: float
    partial_fall: float


class MissedRules(NamedTuple):
    """After how many days without a session a planned one is missed, and treatment has lapsed.

    A session up to `early_days` before the first planned day is of the treatment. A record up to
    `ticked_days` from a session that the plan calls completed is that session. A completed plan is looked
    at every day until `followed_days` after its end.
    """

    after_days: int
    lapse_days: int
    early_days: int
    ticked_days: int
    followed_days: int


class NextCode(StrEnum):
    """What comes next under treatment."""

    ON_TRACK = "on-track"
    CONTINUE = "continue"
    BENEFIT_REVIEW = "benefit-review"
    MAINTAIN = "maintain"
    STEP_BACK = "step-back"
    LAPSE = "lapse"
    TREATMENT_SAFETY = "treatment-safety"
    ACUTE_REVIEW = "acute-review"
    ON_HOLD = "on-hold"


class RuleBasis(StrEnum):
    """Whether a rule stands in the label, was a trial's, or is this service's own."""

    LABEL = "label"
    TRIAL = "trial"
    HOUSE = "house"


class TreatmentRule(NamedTuple):
    """A rule in words, and what it rests on."""

    text: str
    basis: RuleBasis
    source: str


class NextRule(NamedTuple):
    """What comes next, in words, and what that rests on."""

    code: NextCode
    text: str
    basis: RuleBasis
    source: str


@dataclass(frozen=True, slots=True)
class Protocol:
    """A dosing protocol of a label."""

    id: str
    version: str
    title: str
    product: Coding
    region: str
    pathway: str
    min_age: int
    max_age: int | None
    phases: tuple[Phase, ...]
    decision_points: tuple[DecisionPoint, ...]
    visit: Visit
    tasks_by_setting: tuple[SettingTask, ...]
    oral_antidepressant: tuple[str, ...]
    """Classes of which the protocol wants one alongside (`any` for every class); empty for none."""
    then: str
    then_repeat: Repeat | None
    form_days: int | None
    """Within how many days of a session the monitoring form of the programme is due; `None` for no form."""
    response: ResponseRules
    block_weeks: int
    """How many weeks of maintenance are planned at a time."""
    by_response: TreatmentRule
    """How often sessions are in maintenance, by the response."""
    duration: TreatmentRule | None
    """How long maintenance goes on at least; `None` where the label does not say."""
    no_response: TreatmentRule | None
    """What comes next without a response in maintenance; `None` in a protocol that has none."""
    missed: MissedRules
    next_rules: tuple[NextRule, ...]

    def next_rule(self, code: NextCode) -> NextRule:
        """What comes next, and what that rests on."""
        return next(rule for rule in self.next_rules if rule.code is code)

    @property
    def induction_sessions(self) -> int:
        """How many sessions the first phase has."""
        return self.phases[0].sessions

    @property
    def dated_sessions(self) -> int:
        """How many sessions its phases have together."""
        return sum(phase.sessions for phase in self.phases)

    @property
    def doses_mg(self) -> frozenset[int]:
        """The doses that the label has for a session."""
        return frozenset(dose for p in self.phases for dose in (*p.dose_options_mg, *p.first_dose_mg))

    @property
    def any_antidepressant(self) -> bool:
        """Whether an oral antidepressant of any class is what the protocol wants alongside."""
        return "any" in self.oral_antidepressant

    def preparation(self, setting: CareSetting) -> tuple[str, ...]:
        """What must be done before the first session in a care setting."""
        return self._asked(setting, "first-session")

    def visit_in(self, setting: CareSetting) -> Visit:
        """What every visit takes in a care setting."""
        more = self._asked(setting, "each-session")
        return self.visit._replace(after=(*self.visit.after, *more))

    def _asked(self, setting: CareSetting, when: str) -> tuple[str, ...]:
        asked = (task for task in self.tasks_by_setting if task.when == when)
        return tuple(task.text for task in asked if task.setting in {None, setting})


class Scale(NamedTuple):
    """A symptom scale: its range, from which score on it shows symptoms, up to which it shows remission.

    `worse_by` is the rise above the lowest score under treatment that shows a worsening.
    """

    lowest: float
    highest: float
    symptomatic_from: float
    remission_up_to: float
    worse_by: float


class Limits(NamedTuple):
    """Blood pressures in mm Hg above which it is high; days that a recorded pregnancy status stands for."""

    systolic: float
    diastolic: float
    pregnancy_days: int


class Band(NamedTuple):
    """A score for a value that is at most `up_to`; `None` is without limit."""

    up_to: float | None
    score: float


@dataclass(frozen=True, slots=True)
class Staging:
    """The published scales that grade how treatment-resistant a depression is."""

    msm_duration_months: tuple[Band, ...]
    msm_severity: Mapping[str, float]
    msm_failed: tuple[Band, ...]
    msm_augmentation: float
    msm_ect: float
    mgh_per_failure: float
    mgh_optimisation: float
    mgh_augmentation: float
    mgh_ect: float
    thase_rush_classes: Mapping[str, int]
    thase_rush_ect: int


@dataclass(frozen=True, slots=True)
class SiteLists:
    """What the site's own lists add: their version, the code systems and the codes that no list of ours has.

    They may add and never weaken: what our lists say of a record stands beside what these say of it.
    """

    version: str
    systems: frozenset[str]
    codes: frozenset[tuple[str, str]]
    rows: Mapping[str, int]
    """How many rows each file adds."""

    def has(self, coding: Coding) -> bool:
        """Whether a code is one that only these lists know."""
        return (coding.system, coding.code) in self.codes


NO_SITE_LISTS = SiteLists("", frozenset(), frozenset(), {})


@dataclass(frozen=True, eq=False)
class Knowledge:
    """Everything under `mappings/`, for one criteria set and region.

    Compared and hashed by identity, so that what follows from it alone can be remembered.
    """

    version: str
    region: str
    criteria: Criteria
    criteria_sets: Mapping[str, Criteria]
    """Every criteria set by its id; `criteria` is one of them."""
    systems: Mapping[str, str]
    classification_systems: frozenset[str]
    """Condition code systems whose lists here are complete: a code not listed is none of them."""
    ingredients: Mapping[str, Ingredient]
    agents: Mapping[str, Ingredient]
    """Augmenting agents; none of them is ever a trial."""
    medicine_codes: CodeList[MedicineMeaning]
    medicine_names: PhraseList[MedicineMeaning]
    antidepressant_words: PhraseList[str]
    depression: CodeList[Depression]
    not_depression: CodeList[str]
    no_disorder: CodeList[str]
    """Codes and categories of entries that are plainly no disorder, with what they stand for."""
    suicidality: CodeList[SuicidalityKind]
    safety_conditions: CodeList[str]
    safety_groups: Mapping[str, SafetyGroup]
    condition_words: Vocabulary
    """Words of conditions; their topics are safety groups, `SUICIDALITY`, `DEPRESSION` and `REMISSION`."""
    allergy_codes: CodeList[str]
    allergy_words: Vocabulary
    """Words of allergies; their topics are safety groups, and `OTHER_ALLERGEN`."""
    stop_codes: CodeList[StopReason]
    stop_words: PhraseList[StatedReason | SmallWord]
    indication_codes: CodeList[Indication]
    indication_words: Vocabulary
    """Words of reasons to give a medicine; their topic is `DEPRESSION`."""
    severities: CodeList[Severity]
    dose_lexicon: Lexicon
    unit_codes: CodeList[Unit]
    timing_codes: CodeList[float]
    """How often a day each code of a timing stands for."""
    adherence: CodeList[Adherence]
    certainty: CodeList[Certainty]
    observations: CodeList[Measure]
    score_items: CodeList[Measure]
    """The questions whose answers add up to a score."""
    observation_names: Mapping[str, Measure]
    """Whole names, folded, of observations without a known code."""
    answers: CodeList[float]
    answer_words: Mapping[str, float]
    suicidality_results: Mapping[Measure, SuicidalityKind]
    """What a positive result of an instrument says of suicidality."""
    scales: Mapping[Measure, Scale]
    limits: Limits
    contents: CodeList[Contents]
    """Codes that stand for all records of a kind: none known, nothing known, or withheld."""
    list_contents: CodeList[str]
    """The kind of resource that a list or a section of a document is about."""
    pressure_units: Mapping[str, float]
    """mm Hg in one unit of pressure, by its folded name."""
    procedures: CodeList[ProcedureKind]
    procedure_names: PhraseList[ProcedureKind]
    safety_procedures: CodeList[str]
    safety_procedure_words: PhraseList[ProcedureWord]
    interacting_codes: CodeList[str]
    interacting_names: PhraseList[str]
    placeholder_dates: frozenset[date]
    elements: ElementTables
    protocols: tuple[Protocol, ...]
    staging: Staging
    catalogue: Catalogue
    """The same lists row by row, with their sources; for publishing, not for deciding. Not the site's own."""
    site: SiteLists = NO_SITE_LISTS

    def under(self, criteria_id: str) -> "Knowledge":
        """The same under the criteria set with this id, which must be there."""
        return self if criteria_id == self.criteria.id else _under(self, criteria_id)

    def ingredient(self, name: str | None) -> Ingredient | None:
        """The ingredient of that name."""
        return self.ingredients.get(name) if name else None


@lru_cache(maxsize=16)
def _under(knowledge: Knowledge, criteria_id: str) -> Knowledge:
    """One for each criteria set, since what is remembered of a knowledge goes by its identity."""
    return replace(knowledge, criteria=knowledge.criteria_sets[criteria_id])
