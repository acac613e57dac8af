"""Random records: clinically shaped, with partial dates, doubtful codes and contradictions."""

from dataclasses import replace
from datetime import date, timedelta

from hypothesis import strategies as st

from service.core.dates import Interval, PartialDate
from service.core.knowledge import Criteria
from service.core.records import (
    Allergy,
    ClinicalStatus,
    DepressionState,
    Diagnosis,
    Dose,
    DoseBasis,
    Exposure,
    ExposureStatus,
    Grade,
    Identified,
    Indication,
    Measure,
    Observation,
    Person,
    Record,
    Severity,
    StopReason,
    SuicidalityKind,
    Unreadable,
    Verification,
)
from tests.core.builders import (
    AS_OF,
    DOCUMENTED_FAILURES_ONLY,
    DOSE_MUST_BE_DOCUMENTED,
    NOT_DOCUMENTED,
    SEED,
    STRICT_DOSES,
    UNREADABLE_DOSE,
    US,
    allergy,
    condition,
    depression,
    exposure,
    medicine,
    person,
    record,
    ref,
    safety_condition,
    suicidality,
    unreadable,
)

BEGAN = date(2024, 1, 1)
SPAN = (AS_OF - BEGAN).days
ANTIDEPRESSANTS = ("sertraline", "fluoxetine", "venlafaxine", "bupropion", "mirtazapine", "gepirone")
AGENTS = ("lithium", "aripiprazole")

CRITERIA: st.SearchStrategy[Criteria] = st.sampled_from(
    [SEED, DOSE_MUST_BE_DOCUMENTED, STRICT_DOSES, DOCUMENTED_FAILURES_ONLY]
)


def _known(of: date, width: str) -> PartialDate:
    """A day as a record may write it: to the day, the month or the year, never after `AS_OF`."""
    text = of.isoformat()
    cut = {"day": 10, "month": 7, "year": 4}[width]
    return PartialDate.parse(text[:cut]).at_most(AS_OF)


WIDTHS = st.sampled_from(["day", "day", "day", "month", "year"])
DAYS = st.integers(0, SPAN).map(lambda n: BEGAN + timedelta(days=n))
PARTIAL_DATES = st.builds(_known, DAYS, WIDTHS)
MAYBE_DATES = st.none() | PARTIAL_DATES

DOSES = st.one_of(
    st.sampled_from([25.0, 50.0, 75.0, 150.0, 300.0]).map(lambda mg: Dose(DoseBasis.DOCUMENTED, mg, mg)),
    st.just(Dose(DoseBasis.DOCUMENTED, 25.0, 300.0)),
    st.just(NOT_DOCUMENTED),
    st.just(UNREADABLE_DOSE),
)
STOP_REASONS = st.sampled_from([frozenset[StopReason](), *(frozenset({r}) for r in StopReason)])


@st.composite
def periods(draw: st.DrawFn, *, partial: bool = True, ended: bool = False) -> Interval:
    """A start, and an end that is not before it, or none."""
    first = draw(DAYS)
    last = min(first + timedelta(days=draw(st.integers(0, 250))), AS_OF)
    widths = WIDTHS if partial else st.just("day")
    start, end = _known(first, draw(widths)), _known(last, draw(widths))
    return Interval(start, end if ended or draw(st.booleans()) else None)


@st.composite
def exposures(
    draw: st.DrawFn, *, names: tuple[str, ...] = (*ANTIDEPRESSANTS, *AGENTS), partial: bool = True
) -> Exposure:
    period = draw(periods(partial=partial))
    status = ExposureStatus.ENDED if period.end else draw(st.sampled_from(ExposureStatus))
    identified = draw(st.sampled_from([Identified.CODED] * 4 + [Identified.TEXT_ONLY]))
    reasons = draw(STOP_REASONS) if status is ExposureStatus.ENDED else frozenset[StopReason]()
    return replace(
        exposure(medicine(draw(st.sampled_from(names)), identified=identified)),
        period=period,
        status=status,
        dose=draw(DOSES),
        asserted=draw(MAYBE_DATES),
        indication=draw(st.sampled_from([Indication.NOT_STATED] * 3 + list(Indication))),
        stop_reasons=reasons,
    )


def depressions() -> st.SearchStrategy[Diagnosis]:
    return st.builds(
        lambda state, severity, psychotic, status, verification, dates, at_visit: replace(
            depression(state, severity, psychotic=psychotic, onset=None),
            clinical_status=status,
            verification=verification,
            at_visit=at_visit,
            **dates,
        ),
        st.sampled_from([DepressionState.MDD] * 4 + list(DepressionState)),
        st.sampled_from([Severity.MODERATE, None, *Severity]),
        st.sampled_from([False, False, False, True]),
        st.sampled_from([ClinicalStatus.ACTIVE] * 4 + list(ClinicalStatus)),
        st.sampled_from([Verification.CONFIRMED] * 4 + list(Verification)),
        st.fixed_dictionaries(
            {
                "recorded": MAYBE_DATES,
                "onset": MAYBE_DATES,
                "asserted": MAYBE_DATES,
                "abatement": st.sampled_from([None] * 5) | MAYBE_DATES,
            }
        ),
        st.sampled_from([False, False, True]),
    )


def scores() -> st.SearchStrategy[Observation]:
    """Scores of both scales: in remission, symptomatic or between."""
    return st.builds(
        lambda scored, when: Observation(scored[0], scored[1], when, True, (ref("score", "Observation"),)),
        st.sampled_from(
            [
                *((Measure.PHQ_9, value) for value in (0, 4, 4, 7, 10, 14, 24)),
                *((Measure.MADRS, value) for value in (12, 16, 30)),
            ]
        ),
        PARTIAL_DATES,
    )


def suicidal() -> st.SearchStrategy[Diagnosis]:
    return st.builds(
        lambda kind, status, recorded: replace(
            suicidality(kind, None), clinical_status=status, recorded=recorded
        ),
        st.sampled_from(SuicidalityKind),
        st.sampled_from([ClinicalStatus.ACTIVE, *ClinicalStatus]),
        MAYBE_DATES | st.just(PartialDate.on(AS_OF - timedelta(days=3))),
    )


def safety_conditions() -> st.SearchStrategy[Diagnosis]:
    return st.builds(
        lambda group, status, verification, onset: safety_condition(
            group, clinical_status=status, verification=verification, onset=onset
        ),
        st.sampled_from(sorted(US.safety_groups)),
        st.sampled_from(ClinicalStatus),
        st.sampled_from(Verification),
        MAYBE_DATES,
    )


def allergies() -> st.SearchStrategy[Allergy]:
    return st.builds(
        lambda by_text, verification: allergy(by_text=by_text, verification=verification),
        st.booleans(),
        st.sampled_from(Verification),
    )


PEOPLE: st.SearchStrategy[Person] = st.one_of(
    st.just(person()),
    st.just(person()),
    st.sampled_from(["1940", "1980-05", "2008", "2008-11-24", "2015-01-01", None]).map(person),
    st.builds(lambda died: person(died=died), PARTIAL_DATES),
    st.just(person(deceased=True)),
)

Entry = Exposure | Diagnosis | Allergy | Unreadable | Observation


def numbered(entries: list[Entry], who: Person) -> Record:
    """A record in which every entry has an id of its own."""
    return record(*(_numbered(entry, number) for number, entry in enumerate(entries)), person=who)


def _numbered(entry: Entry, number: int) -> Entry:
    if isinstance(entry, Unreadable):
        return Unreadable(entry.evidence._replace(id=f"e{number}"), entry.element)
    if isinstance(entry, Observation):
        return entry._replace(evidence=(entry.evidence[0]._replace(id=f"e{number}"),))
    return replace(entry, evidence=(entry.evidence[0]._replace(id=f"e{number}"),))


MEDICINES = st.lists(exposures(), max_size=5)
RESISTANT: list[Entry] = [
    depression(),
    exposure("sertraline", start="2025-01-01", end="2025-03-31"),
    exposure("venlafaxine", start="2025-04-10", end="2025-08-31", mg=150),
]
KINDS_UNREADABLE = ("Condition", "AllergyIntolerance", "MedicationStatement", "Medication")


@st.composite
def records(draw: st.DrawFn) -> Record:
    """Any record; half of them start from one that meets treatment resistance."""
    entries: list[Entry] = []
    if draw(st.booleans()):
        entries += RESISTANT
    entries += draw(MEDICINES)
    entries += draw(st.lists(depressions(), max_size=3))
    entries += draw(st.just([]) | st.lists(scores(), max_size=5))
    entries += draw(st.lists(suicidal(), max_size=2))
    entries += draw(st.just([]) | st.lists(safety_conditions(), max_size=2))
    entries += draw(st.just([]) | st.lists(allergies(), max_size=1))
    entries += draw(st.just([]) | st.lists(st.sampled_from(KINDS_UNREADABLE).map(unreadable), max_size=1))
    entries += draw(st.just([]) | st.just([condition(suggests_depression=True, recognised=False)]))
    return numbered(entries, draw(PEOPLE))


@st.composite
def clear_records(draw: st.DrawFn) -> Record:
    """Records of depression and its scores, and one exposure an ingredient, so that a trial is one course."""
    taken = draw(st.lists(exposures(), max_size=4, unique_by=lambda e: e.medicine.ingredient))
    entries: list[Entry] = [*taken, *draw(st.lists(depressions(), min_size=1, max_size=3))]
    entries += draw(st.just([]) | st.lists(scores(), max_size=4))
    entries += draw(st.lists(suicidal(), max_size=1))
    return numbered(entries, person())


def another(entry: Exposure, identity: str) -> Exposure:
    return replace(entry, evidence=(ref(identity),))


FEW_DAYS = st.sampled_from(
    ["2025-01-05", "2025-01", "2025-02-01", "2025-02-20", "2025-03", "2025", "2025-04-01"]
)
FEW_PERIODS = st.builds(Interval, *(st.none() | FEW_DAYS.map(PartialDate.parse),) * 2)
FEW_DOSES = st.sampled_from(
    [NOT_DOCUMENTED, NOT_DOCUMENTED, UNREADABLE_DOSE, Dose(DoseBasis.DOCUMENTED, 50.0, 50.0)]
)
REQUESTS = st.integers(0, 7).map(lambda number: f"rx{number}")


@st.composite
def _told_again(draw: st.DrawFn, number: int) -> list[Exposure]:
    """One record of one of two medicines, which may name prescriptions; a prescription may have steps."""
    grade = draw(st.sampled_from([Grade.PRESCRIBED] * 4 + [Grade.STATED] * 2 + [Grade.DISPENSED]))
    kind = "MedicationRequest" if grade is Grade.PRESCRIBED else "MedicationStatement"
    identity = draw(REQUESTS) if grade is Grade.PRESCRIBED else f"other{number}"
    what = medicine("sertraline" if draw(st.integers(0, 4)) else "fluoxetine")
    named = frozenset(("MedicationRequest", name) for name in draw(st.sets(REQUESTS, max_size=3)))
    steps = draw(st.sampled_from([1, 1, 1, 2, 3]))
    return [
        replace(
            exposure(what),
            period=draw(FEW_PERIODS),
            status=draw(st.sampled_from([ExposureStatus.ENDED, ExposureStatus.ENDED, ExposureStatus.ACTIVE])),
            dose=draw(FEW_DOSES),
            evidence=(ref(identity, kind),),
            asserted=draw(MAYBE_DATES),
            indication=draw(st.sampled_from(Indication)),
            stop_reasons=draw(
                st.sampled_from([frozenset[StopReason]()] * 2 + [frozenset({StopReason.OTHER})])
            ),
            grade=grade,
            names=named if draw(st.booleans()) else frozenset(),
        )
        for _ in range(steps)
    ]


@st.composite
def told_again(draw: st.DrawFn) -> tuple[Exposure, ...]:
    """Records that may tell of the same tablets.

    Undated ones, copies, prescriptions in steps that share their evidence, prescriptions that name one
    another in chains and circles, and records of any grade that name them.
    """
    records = [one for number in range(draw(st.integers(1, 9))) for one in draw(_told_again(number))]
    again = draw(st.lists(st.sampled_from(records), max_size=3))
    copied = [replace(one, evidence=(ref(f"again{n}", one.evidence[0].type),)) for n, one in enumerate(again)]
    return tuple(draw(st.permutations([*records, *copied])))
