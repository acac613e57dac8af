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
    Identified,
    Indication,
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
        lambda state, severity, psychotic, status, verification, recorded, onset, abatement: replace(
            depression(state, severity, psychotic=psychotic, onset=None),
            clinical_status=status,
            verification=verification,
            recorded=recorded,
            onset=onset,
            abatement=abatement,
        ),
        st.sampled_from([DepressionState.MDD] * 4 + list(DepressionState)),
        st.sampled_from([Severity.MODERATE, None, *Severity]),
        st.sampled_from([False, False, False, True]),
        st.sampled_from([ClinicalStatus.ACTIVE] * 4 + list(ClinicalStatus)),
        st.sampled_from([Verification.CONFIRMED] * 4 + list(Verification)),
        MAYBE_DATES,
        MAYBE_DATES,
        st.sampled_from([None] * 5) | MAYBE_DATES,
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

Entry = Exposure | Diagnosis | Allergy | Unreadable


def numbered(entries: list[Entry], who: Person) -> Record:
    """A record in which every entry has an id of its own."""
    return record(*(_numbered(entry, number) for number, entry in enumerate(entries)), person=who)


def _numbered(entry: Entry, number: int) -> Entry:
    if isinstance(entry, Unreadable):
        return Unreadable(entry.evidence._replace(id=f"e{number}"), entry.element)
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
    entries += draw(st.lists(suicidal(), max_size=2))
    entries += draw(st.just([]) | st.lists(safety_conditions(), max_size=2))
    entries += draw(st.just([]) | st.lists(allergies(), max_size=1))
    entries += draw(st.just([]) | st.lists(st.sampled_from(KINDS_UNREADABLE).map(unreadable), max_size=1))
    entries += draw(st.just([]) | st.just([condition(suggests_depression=True, recognised=False)]))
    return numbered(entries, draw(PEOPLE))


@st.composite
def clear_records(draw: st.DrawFn) -> Record:
    """Records of depression and of one exposure an ingredient, so that a trial is one course."""
    taken = draw(st.lists(exposures(), max_size=4, unique_by=lambda e: e.medicine.ingredient))
    entries: list[Entry] = [*taken, *draw(st.lists(depressions(), min_size=1, max_size=3))]
    entries += draw(st.lists(suicidal(), max_size=1))
    return numbered(entries, person())


def another(entry: Exposure, identity: str) -> Exposure:
    return replace(entry, evidence=(ref(identity),))
