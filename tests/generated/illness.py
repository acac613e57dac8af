"""A depression over the years: what was noted, how it scored, what was taken. Plain facts, then as FHIR.

The facts are what happened, to the day. A record that is not exact writes some of the days as a month or a
year, so that what happened is one of the ways to read it.
"""

from collections.abc import Iterator
from datetime import date, timedelta
from random import Random
from typing import Any, NamedTuple, TypeVar

from tests.generated.made import ICD_10_CM, LOINC, PATIENT_ID, status_of
from tests.support import AS_OF, RXNORM, Resource

MODERATE_OR_SEVERE = ("moderate", "severe")
_MDD = {"F33.0": "mild", "F33.1": "moderate", "F33.2": "severe", "F33.9": None}
_REMISSION = "F33.42"
_ASSERTED = "http://hl7.org/fhir/StructureDefinition/condition-assertedDate"
_SEVERITY = {"mild": "255604002", "moderate": "6736007", "severe": "24484000"}


class Noted(NamedTuple):
    """A Condition: one entry of the problem list, or the diagnosis of a visit."""

    code: str
    at_visit: bool = False
    clinical: str = "active"
    onset: date | None = None
    recorded: date | None = None
    asserted: date | None = None
    abated: date | None = None
    graded: str | None = None
    """The severity that stands beside the code."""

    @property
    def in_remission(self) -> bool:
        """Whether it says that the depression was in remission."""
        return self.clinical == "remission" or (self.code == _REMISSION and self.clinical == "active")

    @property
    def severity(self) -> str | None:
        """How severe it says the depression is."""
        return _MDD.get(self.code) or self.graded

    @property
    def active(self) -> bool:
        """Whether it says that a major depression goes on."""
        return self.code in _MDD and self.clinical == "active"


class Scored(NamedTuple):
    """The total of a symptom scale."""

    scale: str
    value: int
    day: date


class Taken(NamedTuple):
    """An antidepressant or an augmenting agent; the last day is that of assessment while it is taken."""

    name: str
    start: date
    last: date
    mg: float | None
    ineffective: bool = False
    ordered: bool = False

    @property
    def ongoing(self) -> bool:
        """Whether it is still taken."""
        return self.last == AS_OF

    @property
    def augments(self) -> bool:
        """Whether it is an agent at a dose that augments."""
        return self.name in _AGENTS and self.mg is not None and self.mg >= _AGENTS[self.name].mg

    @property
    def is_antidepressant(self) -> bool:
        """Whether it is a trial of its own."""
        return self.name in _ANTIDEPRESSANTS


class Illness(NamedTuple):
    """What happened."""

    noted: tuple[Noted, ...] = ()
    scored: tuple[Scored, ...] = ()
    taken: tuple[Taken, ...] = ()
    suicidal: date | None = None
    exact: bool = True
    """Whether every day is on record as a day."""

    @property
    def resources(self) -> list[Resource]:
        """What is on record of it."""
        found = [*map(self._condition, self.noted), *map(self._observation, self.scored)]
        found += [resource for one in self.taken for resource in self._medicine(one)]
        if self.suicidal is not None:
            code = {"coding": [{"system": ICD_10_CM, "code": "R45.851"}]}
            when = {"recordedDate": self.suicidal.isoformat()}
            found.append(_resource("Condition", code=code, **when, **_clinical("active")))
        return [{**resource, "id": f"ill-{number}"} for number, resource in enumerate(found)]

    def without_one(self) -> Iterator["Illness"]:
        """The same without one of its facts."""
        yield from (self._replace(noted=_but(self.noted, one)) for one in self.noted)
        yield from (self._replace(scored=_but(self.scored, one)) for one in self.scored)
        yield from (self._replace(taken=_but(self.taken, one)) for one in self.taken)

    def _day(self, day: date | None) -> str | None:
        """A day as it is on record: of one that is not exact, some are a month and few a year."""
        if day is None:
            return None
        width = (
            10 if self.exact else 4 if day.toordinal() % 31 == 0 else 7 if day.toordinal() % 4 == 0 else 10
        )
        return day.isoformat()[:width]

    def _condition(self, one: Noted) -> Resource:
        category = "encounter-diagnosis" if one.at_visit else "problem-list-item"
        resource = _resource(
            "Condition",
            code={"coding": [{"system": ICD_10_CM, "code": one.code}]},
            category=[{"coding": [{"code": category}]}],
            onsetDateTime=self._day(one.onset),
            recordedDate=self._day(one.recorded),
            abatementDateTime=self._day(one.abated),
            **_clinical(one.clinical),
        )
        if one.asserted is not None:
            resource["extension"] = [{"url": _ASSERTED, "valueDateTime": self._day(one.asserted)}]
        if one.graded is not None:
            coding = {"system": "http://snomed.info/sct", "code": _SEVERITY[one.graded]}
            resource["severity"] = {"coding": [coding]}
        return resource

    def _observation(self, one: Scored) -> Resource:
        phq = {"coding": [{"system": LOINC, "code": "44261-6"}]}
        return _resource(
            "Observation",
            status="final",
            code=phq if one.scale == "phq-9" else {"text": "MADRS total score"},
            valueInteger=one.value,
            effectiveDateTime=self._day(one.day),
        )

    def _medicine(self, one: Taken) -> Iterator[Resource]:
        rxnorm = (_ANTIDEPRESSANTS | _AGENTS)[one.name].rxnorm
        what = {"medicationCodeableConcept": {"coding": [{"system": RXNORM, "code": rxnorm}]}}
        why = {"text": "Ineffective"} if one.ineffective else None
        dosage = [_once_a_day(one.mg)] if one.mg is not None else None
        if not one.ordered:
            yield _resource(
                "MedicationStatement",
                status="active" if one.ongoing else "stopped",
                statusReason=[why] if why else None,
                effectivePeriod=_given(
                    start=self._day(one.start), end=None if one.ongoing else self._day(one.last)
                ),
                dateAsserted=AS_OF.isoformat() if one.ongoing else None,
                dosage=dosage,
                **what,
            )
            return
        days = [one.start + timedelta(days=n) for n in range(0, (one.last - one.start).days + 1, _MONTH)]
        for day in days:
            ends = why is not None and day == days[-1]
            yield _resource(
                "MedicationRequest",
                status="stopped" if ends else "completed",
                statusReason=why if ends else None,
                intent="order",
                authoredOn=day.isoformat(),
                dispenseRequest={"expectedSupplyDuration": {"value": _MONTH, "unit": "d", "code": "d"}},
                dosageInstruction=dosage,
                **what,
            )


_Fact = TypeVar("_Fact", Noted, Scored, Taken)


def _but(facts: tuple[_Fact, ...], gone: _Fact) -> tuple[_Fact, ...]:
    return tuple(fact for fact in facts if fact is not gone)


def _given(**elements: Any) -> Resource:
    return {name: value for name, value in elements.items() if value is not None}


def _resource(kind: str, **elements: Any) -> Resource:
    head = {"resourceType": kind, "meta": {"versionId": "1"}}
    return {**head, "subject": {"reference": f"Patient/{PATIENT_ID}"}, **_given(**elements)}


def _clinical(status: str) -> Resource:
    return status_of("clinicalStatus", status, "condition-clinical")


def _once_a_day(mg: float) -> Resource:
    return {
        "timing": {"repeat": {"frequency": 1, "period": 1, "periodUnit": "d"}},
        "doseAndRate": [{"doseQuantity": {"value": mg, "unit": "mg", "code": "mg"}}],
    }


# at random -------------------------------------------------------------------------------------


class _Medicine(NamedTuple):
    rxnorm: str
    mg: float
    """The daily dose that is enough, by every criteria set."""


_MONTH = 30
_RESISTANT = 0.4
_ANTIDEPRESSANTS = {
    "sertraline": _Medicine("36437", 50),
    "escitalopram": _Medicine("321988", 10),
    "venlafaxine": _Medicine("39786", 150),
    "duloxetine": _Medicine("72625", 60),
    "mirtazapine": _Medicine("15996", 15),
    "bupropion": _Medicine("42347", 300),
}
_AGENTS = {
    "aripiprazole": _Medicine("89013", 2),
    "quetiapine": _Medicine("51272", 150),
    "lithium": _Medicine("6448", 600),
}
_RANGES = {
    "phq-9": {"ill": (10, 27), "between": (5, 9), "well": (0, 4)},
    "madrs": {"ill": (20, 60), "between": (13, 19), "well": (0, 12)},
}


def random_illness(rng: Random) -> Illness:
    """A depression of some years, mostly treated again and again."""
    began = _ago(rng.randrange(250, 900))
    found = Illness(
        (*_problems(rng, began), *_visits(rng, began)),
        _scores(rng, began),
        _medicines(rng, began),
        suicidal=_ago(rng.randrange(45)) if rng.random() < 0.1 else None,
        exact=rng.random() < 0.6,
    )
    return _resistant(rng, found) if rng.random() < _RESISTANT else found


def _resistant(rng: Random, of: Illness) -> Illness:
    """The same, where most medicines of the last year and a half were enough and did not help."""
    day, taken = _ago(rng.randrange(350, 550)), []
    for name in rng.sample(sorted(_ANTIDEPRESSANTS), 3):
        last = day + timedelta(days=rng.randrange(55, 120))
        mg = _ANTIDEPRESSANTS[name].mg if rng.random() < 0.9 else None
        taken.append(Taken(name, day, min(last, AS_OF), mg, ineffective=rng.random() < 0.9 and last < AS_OF))
        day = last + timedelta(days=rng.randrange(1, 30))
    listed = Noted("F33.2", onset=taken[0].start - timedelta(days=rng.randrange(30)))
    visits = (one for one in of.noted if one.at_visit and one.active)
    ill = (
        score for score in of.scored if score.value >= _RANGES[score.scale]["ill"][0] or rng.random() < 0.2
    )
    return of._replace(noted=(listed, *visits), scored=tuple(ill), taken=tuple(taken))


def _ago(days: int) -> date:
    return AS_OF - timedelta(days=max(days, 0))


def _until_now(day: date, days: int) -> date:
    return min(day + timedelta(days=days), AS_OF)


def _since(rng: Random, began: date) -> date:
    return _ago(rng.randrange((AS_OF - began).days + 1))


def _problems(rng: Random, began: date) -> Iterator[Noted]:
    """What stands on the problem list: mostly a depression that nobody closed."""
    for _ in range(rng.choice((0, *[1] * 8, 2))):
        code = rng.choice(("F33.1", "F33.1", "F33.2", "F33.2", "F33.0", "F33.9"))
        yield Noted(
            code,
            onset=began if rng.random() < 0.7 else None,
            recorded=_until_now(began, rng.randrange(120)) if rng.random() < 0.6 else None,
            asserted=_since(rng, began) if rng.random() < 0.3 else None,
            graded=rng.choice((None, *_SEVERITY)) if code == "F33.9" else None,
        )
    if rng.random() < 0.12:
        when = _since(rng, began)
        yield rng.choice(
            (
                Noted(_REMISSION, recorded=when),
                Noted("F33.1", clinical="remission", onset=began, recorded=began, abated=when),
                Noted("F33.1", clinical="resolved", onset=began, abated=when),
            )
        )


def _visits(rng: Random, began: date) -> Iterator[Noted]:
    for _ in range(rng.choice((0, 0, 0, 0, 1, 3))):
        when = _since(rng, began)
        code = rng.choice((*["F33.1", "F33.2", "F33.9"] * 3, _REMISSION))
        ended = rng.random() < 0.3 and code != _REMISSION
        yield Noted(
            code,
            at_visit=True,
            clinical="resolved" if ended else "active",
            onset=when,
            recorded=when if rng.random() < 0.5 else None,
            abated=when if ended else None,
        )


def _scores(rng: Random, began: date) -> tuple[Scored, ...]:
    """Scores every few weeks or months; who is well, or ill, mostly stays so."""
    scale = rng.choice(("phq-9", "phq-9", "madrs"))
    state, day, found = "ill", began - timedelta(days=rng.randrange(-30, 60)), []
    while rng.random() < 0.93 and day <= AS_OF:
        lowest, highest = _RANGES[scale][state]
        found.append(Scored(scale, rng.randint(lowest, highest), day))
        state = rng.choice(("ill", "ill", "between", "well")) if rng.random() < 0.3 else state
        scale = rng.choice(("phq-9", "madrs")) if rng.random() < 0.1 else scale
        day += timedelta(days=rng.choice((rng.randrange(1, 40), rng.randrange(20, 90), 28, 56, 100)))
    return tuple(found) if rng.random() < 0.5 else ()


def _medicines(rng: Random, began: date) -> tuple[Taken, ...]:
    """One antidepressant after another, some with an agent added."""
    found: list[Taken] = []
    day = began + timedelta(days=rng.randrange(-10, 60))
    for name in rng.sample(sorted(_ANTIDEPRESSANTS), rng.choice((1, 2, 3, 3, 4, 4, 4))):
        ordered = rng.random() < 0.2
        days = (
            _MONTH * rng.randint(1, 7)
            if ordered
            else rng.choice((rng.randrange(20, 220), *[rng.randrange(50, 160)] * 3, 41, 42, 56))
        )
        last = day + timedelta(days=days - 1)
        if day >= AS_OF or (last >= AS_OF and ordered):
            break
        found.append(
            Taken(
                name, day, min(last, AS_OF), _dose(rng, _ANTIDEPRESSANTS[name]), rng.random() < 0.6, ordered
            )
        )
        if last >= AS_OF:
            found[-1] = found[-1]._replace(ineffective=False)
            break
        day = last + timedelta(days=rng.choice((1, 1, rng.randrange(-20, 60), rng.randrange(80, 130))))
    if rng.random() < 0.35 and found:
        beside, name = rng.choice(found), rng.choice(sorted(_AGENTS))
        start = beside.start + timedelta(days=rng.randrange((beside.last - beside.start).days))
        found.append(Taken(name, start, _until_now(start, rng.randrange(20, 120)), _dose(rng, _AGENTS[name])))
    return tuple(found)


def _dose(rng: Random, medicine: _Medicine) -> float | None:
    return rng.choice((*[medicine.mg] * 4, medicine.mg * 2, medicine.mg / 2, None))
