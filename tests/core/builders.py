"""Records with clinical defaults, built through the core's own types.

`AS_OF` is a Monday. By default a patient is 46, major depression began in 2024 and is moderate, and a
medicine is coded, documented at 100 mg a day and was taken from January 2025.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

from service.core.assessment import Assessment, assess
from service.core.copies import distinct_exposures
from service.core.courses import Episode
from service.core.dates import Interval, PartialDate
from service.core.decision import Decision, decide
from service.core.exposures import settle_interval
from service.core.findings import Answer, Finding, Reason
from service.core.knowledge import Criteria, DoseTable, Knowledge, PrescribedOnly, UndocumentedDose
from service.core.records import (
    Allergy,
    ClinicalStatus,
    Coding,
    Concept,
    Depression,
    DepressionState,
    Diagnosis,
    Dose,
    DoseBasis,
    Exposure,
    ExposureStatus,
    Grade,
    Identified,
    Measure,
    Medicine,
    Observation,
    Person,
    PlannedSession,
    PlanOfRecord,
    PlanStatus,
    Procedure,
    ProcedureKind,
    Record,
    Role,
    Severity,
    StopReason,
    SuicidalityKind,
    Unreadable,
    Verification,
    VersionedReference,
)
from service.core.schedule import Calendar
from service.core.scores import read_scores
from service.core.trials import Trial, find_trials
from tests.lists import knowledge_of

AS_OF = date(2026, 11, 23)
US = knowledge_of()
EU = knowledge_of(region="eu")
SEED = US.criteria
DOSE_MUST_BE_DOCUMENTED = replace(SEED, undocumented_dose=UndocumentedDose.INDETERMINATE)
TAKEN_WHERE_RENEWED = replace(DOSE_MUST_BE_DOCUMENTED, prescribed_only=PrescribedOnly.TAKEN_WHERE_RENEWED)
STRICT_DOSES = replace(SEED, doses=DoseTable.STRICT)
DOCUMENTED_FAILURES_ONLY = replace(SEED, counted_inferences=frozenset())
WEEKDAYS = Calendar(frozenset(range(5)), frozenset(), 7)

NOT_DOCUMENTED = Dose(DoseBasis.NOT_DOCUMENTED)
UNREADABLE_DOSE = Dose(DoseBasis.UNREADABLE)

_ROLES = {
    "aripiprazole": Role.AUGMENTING,
    "liothyronine": Role.AUGMENTING,
    "lithium": Role.AUGMENTING,
    "quetiapine": Role.AUGMENTING,
    "esketamine": Role.ESKETAMINE,
    "ketamine": Role.ESKETAMINE,
}


def with_criteria(criteria: Criteria) -> Knowledge:
    """The US knowledge under another criteria set."""
    return replace(US, criteria=criteria)


def day(text: str | None) -> PartialDate | None:
    """A partial date as a record writes it."""
    return None if text is None else PartialDate.parse(text)


def some_day(text: str) -> PartialDate:
    """A partial date that is there."""
    return PartialDate.parse(text)


def ref(identity: str, kind: str = "MedicationStatement") -> VersionedReference:
    return VersionedReference(kind, identity, "1")


def medicine(name: str = "sertraline", **changes: Any) -> Medicine:
    """A medicine known by its code."""
    ingredient = US.ingredients.get(name)
    role = _ROLES.get(name, Role.ANTIDEPRESSANT)
    never = ingredient.not_a_trial if ingredient and role is Role.ANTIDEPRESSANT else None
    return replace(
        Medicine(name, Identified.CODED, role, ingredient=name, not_a_trial=never),
        **changes,
    )


def unnamed(identified: Identified = Identified.UNRESOLVED, label: str = "medicine not named") -> Medicine:
    """A medicine that cannot be told; a conflict is about an antidepressant."""
    role = Role.ANTIDEPRESSANT if identified is Identified.CONFLICT else Role.OTHER
    return Medicine(label, identified, role)


def exposure(
    what: str | Medicine = "sertraline",
    *,
    start: str | None = "2025-01-01",
    end: str | None = None,
    mg: float | tuple[float, float] | Dose = 100,
    **changes: Any,
) -> Exposure:
    """A statement: ended where it has an end, else active."""
    if isinstance(mg, Dose):
        dose = mg
    else:
        low, high = mg if isinstance(mg, tuple) else (mg, mg)
        dose = Dose(DoseBasis.DOCUMENTED, low, high)
    named = medicine(what) if isinstance(what, str) else what
    identity = f"{named.ingredient or named.label}-{start}-{end}".replace(" ", "-")
    built = Exposure(
        medicine=named,
        period=Interval(day(start), day(end)),
        status=ExposureStatus.ENDED if end else ExposureStatus.ACTIVE,
        dose=dose,
        evidence=(ref(changes.pop("id", identity)),),
    )
    return replace(built, **changes)


def settled(*exposures: Exposure, as_of: date = AS_OF, criteria: Criteria = SEED) -> tuple[Exposure, ...]:
    """Exposures as the trials see them: their ends settled, copies folded."""
    return distinct_exposures(
        tuple(replace(e, period=settle_interval(e, as_of, criteria)) for e in exposures)
    )


def episode(start: str = "2024-01-01", *, active: Finding = Finding.MET, assumed: bool = False) -> Episode:
    return Episode(some_day(start), AS_OF, assumed=assumed, active=active)


def trials(
    *exposures: Exposure,
    criteria: Criteria = SEED,
    during: Episode | None = None,
    results: tuple[Observation, ...] = (),
) -> tuple[Trial, ...]:
    """The trials that the exposures amount to."""
    knowledge = with_criteria(criteria)
    scores = read_scores(record(*results), knowledge, AS_OF)
    taken = settled(*exposures, criteria=criteria)
    return find_trials(taken, scores, during or episode(), knowledge)


def trial(
    *exposures: Exposure,
    criteria: Criteria = SEED,
    during: Episode | None = None,
    results: tuple[Observation, ...] = (),
) -> Trial:
    """The trial of the first exposure's medicine."""
    wanted = exposures[0].medicine
    found = trials(*exposures, criteria=criteria, during=during, results=results)
    return next(t for t in found if t.name in {wanted.ingredient, wanted.label})


def condition(**changes: Any) -> Diagnosis:
    """An active, confirmed condition of no interest."""
    identity = changes.pop("id", "condition")
    return replace(
        Diagnosis(
            label="condition",
            clinical_status=ClinicalStatus.ACTIVE,
            verification=Verification.CONFIRMED,
            evidence=(ref(identity, "Condition"),),
        ),
        **changes,
    )


def depression(
    state: DepressionState = DepressionState.MDD,
    severity: Severity | None = Severity.MODERATE,
    *,
    onset: str | None = "2024-01-01",
    psychotic: bool = False,
    **changes: Any,
) -> Diagnosis:
    """An active, confirmed depression, still asserted in June 2026."""
    stated = changes.pop("recorded", None)
    return condition(
        **{
            "id": "depression",
            "label": "depression",
            "depression": Depression(state, severity, psychotic),
            "onset": day(onset),
            "recorded": day(stated),
            "asserted": day("2026-06-01"),
        }
        | changes
    )


def suicidality(
    kind: SuicidalityKind = SuicidalityKind.IDEATION, recorded: str | None = "2026-11-20", **changes: Any
) -> Diagnosis:
    return condition(**{"id": "suicidality", "suicidality": kind, "recorded": day(recorded)} | changes)


def safety_condition(group: str, **changes: Any) -> Diagnosis:
    return condition(**{"id": group, "safety": (group,)} | changes)


def allergy(group: str = "hypersensitivity", **changes: Any) -> Allergy:
    identity = changes.pop("id", "allergy")
    return replace(
        Allergy(
            group,
            ClinicalStatus.ACTIVE,
            Verification.CONFIRMED,
            by_text=False,
            evidence=(ref(identity, "AllergyIntolerance"),),
        ),
        **changes,
    )


def unreadable(kind: str, element: str = "code") -> Unreadable:
    return Unreadable(ref("unreadable", kind), element)


def person(born: str | None = "1980-05-05", **changes: Any) -> Person:
    return replace(Person(ref("1", "Patient"), born=day(born)), **changes)


INEFFECTIVE = frozenset({StopReason.INEFFECTIVE})
TWO_FAILURES = (
    exposure("sertraline", start="2025-01-01", end="2025-03-31"),
    exposure("venlafaxine", start="2025-04-10", end="2025-08-31", mg=150, stop_reasons=INEFFECTIVE),
)
"""The first was replaced by the second, and that is recorded as ineffective."""


SESSION_DAYS = tuple(
    date(2026, 8, 31) + timedelta(days=days) for days in (0, 3, 7, 10, 14, 17, 21, 24, 28, 35, 42, 49)
)
"""Twelve sessions from Monday, 31 August 2026: twice a week for four weeks, then weekly."""


def a_plan(
    days: Iterable[date] = SESSION_DAYS,
    status: PlanStatus = PlanStatus.ACTIVE,
    *,
    first: int = 1,
    states: Mapping[int, str] | None = None,
    **changes: Any,
) -> PlanOfRecord:
    """A plan of ours that a clinician activated; `states` are those of its activities, by number."""
    evidence = ref(changes.pop("id", "plan"), "CarePlan")
    planned = tuple(
        PlannedSession(number, when, (states or {}).get(number, "scheduled"), evidence)
        for number, when in enumerate(days, first)
    )
    sessions = tuple(session.day for session in planned)
    built = PlanOfRecord(evidence, status, ours=True, edited=True, sessions=sessions, planned=planned)
    return replace(built, **({"protocol": ("us-trd", "1.3.0")} | changes))


def given(when: date | str, mg: float | Dose = 84, what: str = "esketamine", **changes: Any) -> Exposure:
    """An administration."""
    identity = changes.pop("id", f"given-{when}")
    shown = day(str(when))
    built = exposure(what, start=None, mg=mg, evidence=(ref(identity, "MedicationAdministration"),))
    was_given: dict[str, Any] = {
        "period": Interval(shown, shown),
        "status": ExposureStatus.ENDED,
        "grade": Grade.ADMINISTERED,
    }
    return replace(built, **(was_given | changes))


Entry = Exposure | Diagnosis | Allergy | Unreadable | Observation | Procedure


def result(
    measure: Measure, value: float | None, when: str | None = "2026-11-10", **changes: Any
) -> Observation:
    """A final result of an instrument or a measurement."""
    identity = changes.pop("id", f"{measure.value}-{when}")
    return Observation(measure, value, day(when), True, (ref(identity, "Observation"),))._replace(**changes)


def procedure(
    kind: ProcedureKind = ProcedureKind.ECT, start: str | None = "2026-03-01", **changes: Any
) -> Procedure:
    """A procedure that took place."""
    when = day(start)
    built = Procedure(kind, Interval(when, when), True, (ref(changes.pop("id", kind.value), "Procedure"),))
    return built._replace(**changes)


def record(*entries: Entry, **changes: Any) -> Record:
    """A record of one patient with these entries."""
    return replace(
        Record(
            person(),
            exposures=tuple(e for e in entries if isinstance(e, Exposure)),
            diagnoses=tuple(e for e in entries if isinstance(e, Diagnosis)),
            allergies=tuple(e for e in entries if isinstance(e, Allergy)),
            unreadable=tuple(e for e in entries if isinstance(e, Unreadable)),
            observations=tuple(e for e in entries if isinstance(e, Observation)),
            procedures=tuple(e for e in entries if isinstance(e, Procedure)),
        ),
        **changes,
    )


def resistant(*more: Entry, **changes: Any) -> Record:
    """A record that meets treatment resistance, with more entries."""
    return record(depression(), *TWO_FAILURES, *more, **changes)


def acute(*more: Entry, **changes: Any) -> Record:
    """A record that meets acute suicidality alone, with more entries."""
    return record(depression(), suicidality(), exposure(start="2026-11-01"), *more, **changes)


def assessed(of: Record, *, knowledge: Knowledge = US, as_of: date = AS_OF) -> Assessment:
    return assess(of, knowledge, as_of)


def decided(
    of: Record, *, knowledge: Knowledge = US, calendar: Calendar = WEEKDAYS, as_of: date = AS_OF
) -> Decision:
    return decide(of, knowledge, calendar, as_of)


def criterion(found: Assessment, criterion_id: str) -> Answer:
    """The answer to one criterion, whichever pathway asks for it."""
    return next(c.answer for p in found.pathways for c in p.criteria if c.id == criterion_id)


def codes(reasons: Iterable[Reason]) -> list[str]:
    return [reason.code.value for reason in reasons]


def coded(system: str, code: str, display: str | None = None, *, text: str | None = None) -> Concept:
    return Concept((Coding(system, code, display),), text)
