"""Random patients in FHIR, each resource with what it was made to mean.

Hostile on purpose: odd statuses and dates, codes and words, broken resources, contradictions. The meaning
comes from how a resource was made and from the tables under `mappings/`, never from the service. Where the
rules leave a reading open, a resource claims nothing.
"""

from collections import defaultdict
from collections.abc import Callable
from datetime import timedelta
from enum import Enum
from random import Random
from typing import Any, NamedTuple

from tests.safety_tables import (
    GROUPS,
    REGIONS,
    Effect,
    coding,
    effect_of,
    resolved_effect_of,
    table,
)
from tests.support import AS_OF, BASE, RXNORM, Resource

BOTH = frozenset(REGIONS)
NOWHERE = frozenset[str]()


class Meaning(NamedTuple):
    """What a resource must lead to, by region where they differ."""

    excludes: frozenset[str] = NOWHERE
    """Where it is a contraindication that nothing takes back."""
    withholds: frozenset[str] = NOWHERE
    """Where no plan may be proposed as long as it stands."""
    harmless: frozenset[str] = NOWHERE
    """Where it is no reason against a plan."""
    suicidal: bool = False
    """Whether an alert has to name it."""
    another: bool = False
    """Whether it is somebody else's, so that nothing may be concluded at all."""


HARMLESS = Meaning(harmless=BOTH)
WITHHOLDS = Meaning(withholds=BOTH)
ANYTHING = Meaning()


class Made(NamedTuple):
    """A resource, and what it was made to mean."""

    resource: Resource
    meaning: Meaning


class Age(Enum):
    """Whether a birth date tells that somebody is 18."""

    ADULT = "adult"
    MINOR = "minor"
    UNKNOWN = "unknown"


class Patient(NamedTuple):
    """A patient, and what is on record."""

    person: Resource
    age: Age
    dead: bool
    resistance: tuple[Made, ...]
    """A depression that is active, and three antidepressants that failed in it; empty when not resistant."""
    made: tuple[Made, ...]
    """Whatever else is on record."""

    @property
    def resources(self) -> list[Resource]:
        """The record, the patient first."""
        return [self.person, *(made.resource for made in (*self.resistance, *self.made))]


def bundle_of(resources: list[Resource]) -> Resource:
    """A Bundle of resources, some of which may have no type or no id."""
    return {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [{"fullUrl": _address(resource), "resource": resource} for resource in resources],
    }


def _address(resource: Resource) -> str:
    return f"{BASE}/{resource.get('resourceType', 'Basic')}/{resource['id']}"


# days ------------------------------------------------------------------------------------------

PAST = [(AS_OF - timedelta(days=days)).isoformat() for days in range(2500)]
"""The days up to the day of assessment, the latest first."""
RECENT = 43
"""So many days lie at most six weeks back."""
LONG_AGO = 60


class When(NamedTuple):
    """The dates of a condition; `days_ago` where its onset is a day of the past."""

    elements: Resource
    days_ago: int | None = None


def _when(rng: Random) -> When:
    if rng.random() < 0.5:
        days = rng.randrange(RECENT) if rng.random() < 0.5 else rng.randrange(LONG_AGO, 2000)
        stamp = rng.choice(["", "T23:59:59+13:00", "T00:00:00Z"])
        return When({"onsetDateTime": PAST[days] + stamp}, days)
    return When(rng.choice(_ODD_DATES))


_ODD_DATES: list[Resource] = [
    {},
    {},
    {"onsetDateTime": "2026"},
    {"onsetDateTime": "2026-11"},
    {"onsetDateTime": "1900-01-01"},
    {"onsetDateTime": "2031-05-05"},
    {"onsetString": "in her thirties"},
    {"onsetAge": {"value": 31, "unit": "a", "system": "http://unitsofmeasure.org", "code": "a"}},
    {"onsetPeriod": {"start": "2020-03", "end": "2020-05"}},
    {"onsetRange": {"low": {"value": 20}, "high": {"value": 30}}},
    {"recordedDate": "2026-11-20"},
    {"_onsetDateTime": {"extension": [{"url": "http://example.org/unknown", "valueCode": "unknown"}]}},
]


# resources -------------------------------------------------------------------------------------

PATIENT_ID = "p"
_SUBJECTS: list[Resource] = [
    {"reference": f"Patient/{PATIENT_ID}"},
    {"reference": f"Patient/{PATIENT_ID}"},
    {"reference": f"Patient/{PATIENT_ID}", "display": "the patient"},
    {"reference": f"{BASE}/Patient/{PATIENT_ID}", "type": "Patient"},
]
_TERMINOLOGY = "http://terminology.hl7.org/CodeSystem"
LOINC = "http://loinc.org"
ICD_10_CM = "http://hl7.org/fhir/sid/icd-10-cm"


def _resource(rng: Random, kind: str, identity: str, **elements: Any) -> Resource:
    owner = "patient" if kind == "AllergyIntolerance" else "subject"
    head = {"resourceType": kind, "id": identity, "meta": {"versionId": str(rng.randrange(1, 12))}}
    return {**head, owner: rng.choice(_SUBJECTS), **elements}


def _status(name: str, code: str | None, system: str) -> Resource:
    return {} if code is None else {name: {"coding": [{"system": f"{_TERMINOLOGY}/{system}", "code": code}]}}


def _concept(rng: Random, row: dict[str, str], *, local: bool = True) -> Resource:
    """The code of a row, sometimes behind a local one; the words are those of the row, or none."""
    found = coding(row)
    if row.get("display") and rng.random() < 0.5:
        found["display"] = row["display"]
    codings = [found]
    if local and rng.random() < 0.2:
        codings.insert(0, {"system": "urn:oid:1.2.3.4", "code": "L-1"})
    return {"coding": codings}


def _by_group(
    name: str, key: str = "group", *, but: Callable[[dict[str, str]], bool] = lambda _row: False
) -> dict[str, list[dict[str, str]]]:
    found: dict[str, list[dict[str, str]]] = defaultdict(list)
    for row in table(name):
        if not but(row):
            found[row[key]].append(row)
    return dict(found)


def _is_e_code(row: dict[str, str]) -> bool:
    """Whether it is an E code of ICD-9-CM; `test_soak.py` says what is wrong with them."""
    return row["system"] == "icd-9-cm" and row["code"].startswith("E")


# conditions ------------------------------------------------------------------------------------

_ACTIVE = ("active", "recurrence", "relapse", None)
_ENDED = ("resolved", "inactive", "remission")
_PROVEN = ("confirmed", None)
_UNPROVEN = ("unconfirmed", "provisional", "differential")
_REMOVED = ("refuted", "entered-in-error")
_CLINICAL = (*_ACTIVE, "active", "active", *_ENDED)
_VERIFICATION = (*_PROVEN, "confirmed", *_UNPROVEN, *_REMOVED)


class Standing(NamedTuple):
    """How a condition or an allergy is said to stand."""

    clinical: str | None
    verification: str | None

    @property
    def removed(self) -> bool:
        return self.verification in _REMOVED

    @property
    def active(self) -> bool:
        return self.clinical in _ACTIVE

    @property
    def proven(self) -> bool:
        return self.verification in _PROVEN

    def elements(self, kind: str = "condition-clinical", proof: str = "condition-ver-status") -> Resource:
        return _status("clinicalStatus", self.clinical, kind) | _status(
            "verificationStatus", self.verification, proof
        )


def _standing(rng: Random) -> Standing:
    return Standing(rng.choice(_CLINICAL), rng.choice(_VERIFICATION))


def _condition(
    rng: Random, identity: str, code: Resource, standing: Standing, dates: Resource | None = None
) -> Resource:
    return _resource(rng, "Condition", identity, code=code, **standing.elements(), **(dates or {}))


_CONDITIONS = _by_group("safety/conditions.csv")
_CONDITION_GROUPS = sorted(_CONDITIONS)


def safety_condition(rng: Random, identity: str) -> Made:
    """A condition of a safety group, in any standing and of any age."""
    group = rng.choice(_CONDITION_GROUPS)
    standing, when = _standing(rng), _when(rng)
    resource = _condition(
        rng, identity, _concept(rng, rng.choice(_CONDITIONS[group])), standing, when.elements
    )
    if standing.removed:
        return Made(resource, HARMLESS)
    effects = {region: _effect(group, region, standing, when) for region in REGIONS}
    return Made(resource, _meaning(effects))


class Claim(Enum):
    """What is known of an effect."""

    EXCLUDES = "excludes"
    WITHHOLDS = "withholds"
    HARMLESS = "harmless"
    OPEN = "open"


_CLAIMS = {
    Effect.EXCLUDES: Claim.EXCLUDES,
    Effect.REVIEW: Claim.WITHHOLDS,
    Effect.CAUTION: Claim.HARMLESS,
    Effect.NONE: Claim.HARMLESS,
}


def _meaning(effects: dict[str, Claim], **more: bool) -> Meaning:
    def where(claim: Claim) -> frozenset[str]:
        return frozenset(region for region, found in effects.items() if found is claim)

    return Meaning(where(Claim.EXCLUDES), where(Claim.WITHHOLDS), where(Claim.HARMLESS), **more)


def _effect(group: str, region: str, standing: Standing, when: When) -> Claim:
    effect = effect_of(group, region)
    if GROUPS[group]["within_days"] and effect is Effect.EXCLUDES:
        return _effect_of_event(standing, when)
    if not standing.active:
        # What is said to have ended and is unproven besides has no reading that is laid down.
        settled = _CLAIMS[resolved_effect_of(group, region)]
        return settled if standing.proven or settled is Claim.HARMLESS else Claim.WITHHOLDS
    return _CLAIMS[effect if standing.proven else min(effect, Effect.REVIEW)]


def _effect_of_event(standing: Standing, when: When) -> Claim:
    """An event that excludes for six weeks: only its own day tells how long ago it was."""
    if when.days_ago is None:
        return Claim.WITHHOLDS if not when.elements and standing.active else Claim.OPEN
    if when.days_ago >= RECENT:
        return Claim.OPEN
    return Claim.EXCLUDES if standing.active and standing.proven else Claim.WITHHOLDS


_WORDS = table("safety/condition_words.csv")


def written_condition(rng: Random, identity: str) -> Made:
    """A condition of a safety group that only words tell, by a code nobody knows or none."""
    row = rng.choice(_WORDS)
    standing = _standing(rng)
    text = rng.choice(["{}", "Suspected {}", "{}, see letter"]).format(row["word"].upper())
    code: Resource = {"text": text}
    if rng.random() < 0.3:
        code = {"coding": [{"system": "urn:oid:1.2.3.4", "code": "L-2", "display": text}]}
    resource = _condition(rng, identity, code, standing)
    if standing.removed:
        return Made(resource, HARMLESS)
    claims = {
        region: Claim.WITHHOLDS
        if standing.active and effect_of(row["group"], region) >= Effect.REVIEW
        else Claim.OPEN
        for region in REGIONS
    }
    return Made(resource, _meaning(claims))


_DEPRESSIONS = table("codes/depression.csv") + table("codes/depression_exclude.csv")


def any_depression(rng: Random, identity: str) -> Made:
    """Another depression, or what only looks like one; with psychotic features a person decides."""
    row = rng.choice(_DEPRESSIONS)
    standing = _standing(rng)
    resource = _condition(rng, identity, _concept(rng, row), standing, _when(rng).elements)
    psychotic = row.get("psychotic") == "yes" and standing.active and not standing.removed
    return Made(resource, WITHHOLDS if psychotic else ANYTHING)


def unrelated_condition(rng: Random, identity: str) -> Made:
    """A condition that is none of this service's business."""
    code: Resource = rng.choice([{"text": "Hay fever"}, {"coding": [{"system": ICD_10_CM, "code": "J30.1"}]}])
    return Made(_condition(rng, identity, code, _standing(rng), _when(rng).elements), HARMLESS)


# broken resources ------------------------------------------------------------------------------


def _without(name: str) -> Callable[[Resource], None]:
    return lambda resource: resource.pop(name, None)


def _with(**elements: Any) -> Callable[[Resource], None]:
    return lambda resource: resource.update(elements)


_MODIFIER = [{"url": "http://example.org/not", "valueBoolean": True}]
_MASKED = {"extension": [{"url": "http://example.org/masked", "valueCode": "masked"}]}
_BREAKS = [
    _without("code"),
    _with(code="I71.4"),
    _with(code=[{"text": "Aneurysm"}]),
    _with(code={"coding": {"code": "I71.4"}}),
    _with(code=_MASKED),
    _with(code=None),
    _with(modifierExtension=_MODIFIER),
    _without("resourceType"),
    _with(resourceType="condition"),
]
_CONDITION_BREAKS = [
    *_BREAKS,
    _with(clinicalStatus="active"),
    _with(clinicalStatus={"coding": [{"code": "ACTIVE!"}]}),
    _with(verificationStatus={"coding": [{"code": "confirmed"}, {"code": "refuted"}]}),
    _with(onsetDateTime="last spring"),
    _with(onsetDateTime="2021-13-45"),
    _with(onsetDateTime=20210101),
]


def broken_record(rng: Random, identity: str) -> Made:
    """A condition or an allergy that cannot be read: what it hides may be a contraindication."""
    if rng.random() < 0.5:
        standing = Standing("active", "confirmed")
        resource = _condition(rng, identity, {"text": "Hay fever"}, standing, {"onsetDateTime": "2021"})
        rng.choice(_CONDITION_BREAKS)(resource)
    else:
        resource = _resource(rng, "AllergyIntolerance", identity, code={"text": "Penicillin"})
        rng.choice(_BREAKS)(resource)
    return Made(resource, WITHHOLDS)


def broken_medicine(rng: Random, identity: str) -> Made:
    """A medicine that cannot be read: the failures that are known stand."""
    resource = _statement(rng, identity, {"text": "something"})
    rng.choice(
        [
            _with(status=7),
            _with(effectivePeriod={"start": "once"}),
            _with(dosage="daily"),
            _with(modifierExtension=_MODIFIER),
            _without("medicationCodeableConcept"),
        ]
    )(resource)
    return Made(resource, HARMLESS)


# allergies -------------------------------------------------------------------------------------

_ALLERGIES = table("safety/allergies.csv")
_ALLERGY_SYSTEMS = ("allergyintolerance-clinical", "allergyintolerance-verification")


def ketamine_allergy(rng: Random, identity: str) -> Made:
    """An allergy to ketamine or esketamine: by its code it excludes, by its name a person decides."""
    row = rng.choice(_ALLERGIES)
    standing = Standing(
        rng.choice(["active", "active", None, "inactive", "resolved"]),
        rng.choice(["confirmed", None, "unconfirmed", *_REMOVED]),
    )
    what = _concept(rng, row) if row["code"] else {"text": f"{row['name'].title()} (nasal)"}
    named: Resource = {"code": what}
    if rng.random() < 0.1:
        named = {"code": {"text": "Drug allergy"}, "reaction": [{"substance": what}]}
    resource = _resource(rng, "AllergyIntolerance", identity, **named, **standing.elements(*_ALLERGY_SYSTEMS))
    if standing.removed:
        return Made(resource, HARMLESS)
    certain = row["code"] and standing.active and standing.proven
    return Made(resource, Meaning(excludes=BOTH) if certain else WITHHOLDS)


def other_allergy(rng: Random, identity: str) -> Made:
    """An allergy to something else."""
    return Made(_resource(rng, "AllergyIntolerance", identity, code={"text": "Penicillin"}), HARMLESS)


# suicidality -----------------------------------------------------------------------------------

_SUICIDALITY = _by_group("codes/suicidality.csv", "kind", but=_is_e_code)
_KINDS = sorted(_SUICIDALITY)
_RESULTS = [
    row for row in table("codes/observations.csv") if row["kind"].startswith(("c-ssrs", "phq-9-item"))
]
_RESULT_WORDS = [
    row for row in table("codes/observation_words.csv") if row["kind"] in {row["kind"] for row in _RESULTS}
]
_YES: list[Resource] = [
    {"valueCodeableConcept": {"coding": [{"system": LOINC, "code": "LA33-6", "display": "Yes"}]}},
    {"valueCodeableConcept": {"text": "Yes"}},
    {"valueBoolean": True},
    {"valueString": "yes"},
]
_NO: list[Resource] = [
    {"valueCodeableConcept": {"coding": [{"system": LOINC, "code": "LA32-8", "display": "No"}]}},
    {"valueBoolean": False},
    {"valueString": "no"},
]
_OFTEN: list[Resource] = [
    {"valueCodeableConcept": {"coding": [{"system": LOINC, "code": "LA6569-3"}]}},
    {"valueCodeableConcept": {"coding": [{"system": LOINC, "code": "LA6571-9"}]}},
    {"valueInteger": 2},
    {"valueQuantity": {"value": 1}},
]
_NEVER: list[Resource] = [
    {"valueCodeableConcept": {"coding": [{"system": LOINC, "code": "LA6568-5"}]}},
    {"valueInteger": 0},
]
_RISK: list[Resource] = [{"valueCodeableConcept": {"text": text}} for text in ("High risk", "Low risk")]
_NO_RISK: list[Resource] = [{"valueCodeableConcept": {"text": "No risk"}}]
_ANSWERS = {"phq-9-item-9": (_OFTEN, _NEVER), "c-ssrs-risk": (_RISK, _NO_RISK)}


def suicidal_condition(rng: Random, identity: str) -> Made:
    """A condition that tells of suicidality, by any code or in words only."""
    standing = _standing(rng)
    code = _concept(rng, rng.choice(_SUICIDALITY[rng.choice(_KINDS)]))
    if rng.random() < 0.1:
        code = {"text": rng.choice(["Suicidal since Monday", "parasuicide 1999", "Self-harm"])}
    resource = _condition(rng, identity, code, standing, _when(rng).elements)
    return Made(resource, HARMLESS._replace(suicidal=not standing.removed))


def suicidal_answer(rng: Random, identity: str) -> Made:
    """An answer of any age to the C-SSRS or to item 9 of the PHQ-9; only a positive one tells of it."""
    row = rng.choice(_RESULT_WORDS if rng.random() < 0.1 else _RESULTS)
    yes, no = _ANSWERS.get(row["kind"], (_YES, _NO))
    positive = rng.random() < 0.7
    status = rng.choice(["final", "final", "amended", "corrected", "preliminary", "entered-in-error"])
    answer = rng.choice(yes if positive else no)
    if row["kind"] == "phq-9-item-9" and rng.random() < 0.3:
        part = {"code": _measured(row), **answer}
        resource = _observation(rng, identity, _loinc("44249-1"), status, component=[part])
    else:
        resource = _observation(rng, identity, _measured(row), status, **answer)
    return Made(resource, HARMLESS._replace(suicidal=positive and status != "entered-in-error"))


# observations ----------------------------------------------------------------------------------


def _loinc(code: str) -> Resource:
    return {"coding": [{"system": LOINC, "code": code}]}


def _measured(row: dict[str, str]) -> Resource:
    return {"coding": [coding(row)]} if "code" in row else {"text": row["phrase"].capitalize()}


def _observation(rng: Random, identity: str, code: Resource, status: str, **value: Any) -> Resource:
    when: Resource = rng.choice(
        [
            {"effectiveDateTime": PAST[rng.randrange(45)]},
            {"effectiveDateTime": PAST[rng.randrange(45)] + "T08:30:00-05:00"},
            {"effectiveDateTime": PAST[rng.randrange(45, 2000)]},
            {"effectivePeriod": {"start": PAST[rng.randrange(45)]}},
            {"effectiveInstant": PAST[rng.randrange(45)] + "T08:30:00.123Z"},
            {"effectiveDateTime": "2026-11"},
            {"effectiveDateTime": "2025"},
            {"issued": PAST[3] + "T08:30:00Z"},
            {},
        ]
    )
    return _resource(rng, "Observation", identity, status=status, code=code, **when, **value)


def score(rng: Random, identity: str) -> Made:
    """A PHQ-9 score: it may prove a response or a remission."""
    total = rng.choice([*range(28), 27, 99, -1, 12.5])
    value: Resource = rng.choice([{"valueInteger": total}, {"valueQuantity": {"value": total}}])
    return Made(_observation(rng, identity, _loinc("44261-6"), "final", **value), ANYTHING)


def pressure(rng: Random, identity: str) -> Made:
    """A blood pressure: a caution at most."""
    parts = [
        {"code": _loinc(code), "valueQuantity": {"value": value}}
        for code, value in (("8480-6", rng.randrange(90, 200)), ("8462-4", rng.randrange(50, 120)))
    ]
    return Made(_observation(rng, identity, _loinc("85354-9"), "final", component=parts), HARMLESS)


def pregnancy(rng: Random, identity: str) -> Made:
    """A pregnancy status of the last months."""
    snomed = "http://snomed.info/sct"
    code = rng.choice(["77386006", "60001007"])
    answer = {"valueCodeableConcept": {"coding": [{"system": snomed, "code": code}]}}
    resource = _observation(rng, identity, _loinc("82810-3"), "final", **answer)
    for name in [name for name in resource if name.startswith(("effective", "issued"))]:
        del resource[name]
    resource["effectiveDateTime"] = PAST[rng.randrange(200)]
    return Made(resource, WITHHOLDS if code == "77386006" else HARMLESS)


# medicines -------------------------------------------------------------------------------------


def _statement(
    rng: Random, identity: str, concept: Resource, status: str = "active", **elements: Any
) -> Resource:
    return _resource(
        rng, "MedicationStatement", identity, status=status, medicationCodeableConcept=concept, **elements
    )


def _request(
    rng: Random, identity: str, concept: Resource, status: str = "active", **elements: Any
) -> Resource:
    return _resource(
        rng,
        "MedicationRequest",
        identity,
        status=status,
        intent="order",
        medicationCodeableConcept=concept,
        authoredOn=PAST[rng.randrange(900)],
        **elements,
    )


def _dispense(
    rng: Random, identity: str, concept: Resource, status: str = "completed", **elements: Any
) -> Resource:
    return _resource(
        rng,
        "MedicationDispense",
        identity,
        status=status,
        medicationCodeableConcept=concept,
        whenHandedOver=PAST[rng.randrange(900)] + "T10:00:00Z",
        daysSupply={"value": 30, "unit": "d"},
        **elements,
    )


def _administration(
    rng: Random, identity: str, concept: Resource, status: str = "completed", **elements: Any
) -> Resource:
    return _resource(
        rng,
        "MedicationAdministration",
        identity,
        status=status,
        medicationCodeableConcept=concept,
        effectiveDateTime=PAST[rng.randrange(900)],
        **elements,
    )


_FORMS: tuple[tuple[Callable[..., Resource], tuple[str, ...], tuple[str, ...]], ...] = (
    (
        _statement,
        ("active", "completed", "stopped", "on-hold", "intended", "unknown"),
        ("not-taken", "entered-in-error"),
    ),
    (
        _request,
        ("active", "completed", "stopped", "on-hold"),
        ("cancelled", "draft", "unknown", "entered-in-error"),
    ),
    (
        _dispense,
        ("completed", "in-progress", "on-hold", "stopped"),
        ("cancelled", "declined", "preparation", "unknown", "entered-in-error"),
    ),
    (
        _administration,
        ("completed", "in-progress", "stopped", "on-hold"),
        ("not-done", "unknown", "entered-in-error"),
    ),
)
"""How a medicine is told, the statuses that say that it was taken or is meant to be, and the others."""

_PERIODS: list[Resource] = [
    {"effectivePeriod": {"start": "2025-02-03", "end": "2025-06-30"}},
    {"effectivePeriod": {"start": "2026-02"}},
    {"effectivePeriod": {"start": "1900-01-01"}},
    {"effectivePeriod": {"end": "2025"}},
    {"effectivePeriod": {"start": "2026-06-01", "end": "2025-06-01"}},
    {"effectivePeriod": {"start": "2027-01-01"}},
    {"effectiveDateTime": "2025-04"},
    {},
]
_DOSAGES: list[Resource] = [
    {"dosage": [{"text": "50 mg once daily"}]},
    {"dosage": [{"text": "as discussed"}]},
    {"dosage": [{"doseAndRate": [{"doseQuantity": {"value": 1, "unit": "tablet"}}]}]},
    {"dosage": [{"timing": {"repeat": {"frequency": 2, "period": 1, "periodUnit": "d"}}}]},
    {"dosage": []},
    {},
]
_ANTIDEPRESSANTS = [row for row in table("codes/antidepressants.csv") if row["class"] != "NMDA"]
_PRODUCTS = table("codes/antidepressant_products.csv")
_INTERACTING = table("safety/medicines.csv")
_AGENTS = table("codes/augmenting_agents.csv")
_ESKETAMINE = table("codes/esketamine.csv")
_ESKETAMINE_NAMES = [row["name"] for row in table("codes/esketamine_names.csv")]


def antidepressant(rng: Random, identity: str) -> Made:
    """Another antidepressant in any form: it may change what became of the others."""
    if rng.random() < 0.5:
        row = rng.choice(_PRODUCTS)
        concept: Resource = {"coding": [{"system": RXNORM, "code": row["rxnorm"], "display": row["display"]}]}
    else:
        names = rng.choice(_ANTIDEPRESSANTS)["names"].split(";")
        concept = {"text": f"{rng.choice(names).title()} 100 mg"}
    return Made(_in_any_form(rng, identity, concept), ANYTHING)


def _in_any_form(rng: Random, identity: str, concept: Resource) -> Resource:
    form, usual, odd = rng.choice(_FORMS)
    elements: Resource = {}
    if form is _statement:
        elements = rng.choice(_PERIODS) | rng.choice(_DOSAGES)
    return form(rng, identity, concept, rng.choice(usual + odd), **elements)


def interacting_medicine(rng: Random, identity: str) -> Made:
    """A medicine that calls for caution at most, or that augments."""
    row = rng.choice(_AGENTS if rng.random() < 0.2 else _INTERACTING)
    concept = _concept(rng, row) if row.get("code") else {"text": row["name"]}
    return Made(_in_any_form(rng, identity, concept), HARMLESS)


def esketamine(rng: Random, identity: str) -> Made:
    """Esketamine or ketamine, told in any form: never a second induction without a person."""
    row = rng.choice(_ESKETAMINE)
    if row["system"] == "hcpcs":
        return _billed_visit(rng, identity, row)
    concept = _concept(rng, row)
    if rng.random() < 0.3:
        concept = {"text": f"{rng.choice(_ESKETAMINE_NAMES).upper()} 28 mg"}
    form, usual, odd = rng.choice(_FORMS)
    status = rng.choice(usual + usual + odd)
    resource = form(rng, identity, concept, status)
    if rng.random() < 0.2:
        resource["contained"] = [{"resourceType": "Medication", "id": "m", "code": concept}]
        resource["medicationReference"] = {"reference": "#m"}
        del resource["medicationCodeableConcept"]
    return Made(resource, WITHHOLDS if status in usual else ANYTHING)


def _billed_visit(rng: Random, identity: str, row: dict[str, str]) -> Made:
    status = rng.choice(["completed", "in-progress", "entered-in-error", "not-done"])
    when = {"performedDateTime": PAST[rng.randrange(900)]}
    resource = _resource(rng, "Procedure", identity, status=status, code=_concept(rng, row), **when)
    return Made(resource, WITHHOLDS if status in {"completed", "in-progress"} else ANYTHING)


_PROCEDURES = table("codes/procedures.csv")


def procedure(rng: Random, identity: str) -> Made:
    """Another treatment of depression: staged, and no reason against a plan."""
    status = rng.choice(["completed", "in-progress", "not-done", "unknown", "preparation"])
    when: Resource = rng.choice([{"performedDateTime": "2026-03"}, {"performedString": "in spring"}, {}])
    code = _concept(rng, rng.choice(_PROCEDURES))
    return Made(_resource(rng, "Procedure", identity, status=status, code=code, **when), HARMLESS)


def active_plan(rng: Random, identity: str) -> Made:
    """A plan with esketamine that is under way."""
    product = {"coding": [{"system": RXNORM, "code": "2119365"}]}
    detail = {"kind": "MedicationRequest", "productCodeableConcept": product, "status": "in-progress"}
    resource = _resource(
        rng, "CarePlan", identity, status="active", intent="plan", activity=[{"detail": detail}]
    )
    return Made(resource, WITHHOLDS)


def broken_plan(rng: Random, identity: str) -> Made:
    """A plan under way that cannot be read: it may be one with esketamine."""
    resource = active_plan(rng, identity).resource
    broken: Resource = rng.choice([{"activity": "x"}, {"status": 7}, {"modifierExtension": _MODIFIER}])
    return Made(resource | broken, WITHHOLDS)


def other_resource(rng: Random, identity: str) -> Made:
    """A resource that is none of this service's business."""
    kind = rng.choice(["Encounter", "QuestionnaireResponse", "Basic", "DocumentReference", "Immunization"])
    return Made(_resource(rng, kind, identity, status="completed", code={"text": "Aneurysm"}), HARMLESS)


def of_another(rng: Random, identity: str) -> Made:
    """A resource of somebody else."""
    made = rng.choice([unrelated_condition, other_allergy, pressure])(rng, identity)
    owner = "patient" if "patient" in made.resource else "subject"
    return Made({**made.resource, owner: {"reference": "Patient/q"}}, Meaning(another=True))


# patients --------------------------------------------------------------------------------------

_BORN = (
    *[("1981-04-12", Age.ADULT)] * 6,
    ("1950", Age.ADULT),
    ("2007", Age.ADULT),
    ("2008-10", Age.ADULT),
    ("2008-11-23", Age.ADULT),
    ("2008-11-24", Age.MINOR),
    ("2008-12", Age.MINOR),
    ("2009", Age.MINOR),
    ("2008", Age.UNKNOWN),
    ("2008-11", Age.UNKNOWN),
    ("1900-01-01", Age.UNKNOWN),
    ("2030-01-01", Age.UNKNOWN),
    (None, Age.UNKNOWN),
)
_ALIVE: tuple[Resource, ...] = ({}, {"deceasedBoolean": False}, {"deceasedDateTime": "2031-01-01"})
_DEAD: tuple[Resource, ...] = (
    {"deceasedBoolean": True},
    {"deceasedDateTime": "2020"},
    {"deceasedDateTime": "2026-11-23"},
    {"deceasedDateTime": "2026-10-30T03:00:00Z"},
    {"_deceasedDateTime": {"extension": [{"url": "http://example.org/unknown", "valueCode": "unknown"}]}},
)
_HOSTILE, _RESISTANT = 0.6, 0.8
"""The shares of patients with something against a plan, and of those with something for it."""

Make = Callable[[Random, str], Made]
_NOISE: tuple[Make, ...] = (
    unrelated_condition,
    other_allergy,
    other_resource,
    interacting_medicine,
    pressure,
    procedure,
    broken_medicine,
    suicidal_condition,
    suicidal_answer,
)
_HAZARDS: tuple[Make, ...] = (
    *[safety_condition] * 6,
    *[ketamine_allergy] * 2,
    *[esketamine] * 2,
    *[suicidal_condition] * 2,
    *[suicidal_answer] * 2,
    *[antidepressant] * 2,
    written_condition,
    any_depression,
    broken_record,
    score,
)
_RARE: tuple[Make, ...] = (active_plan, broken_plan, of_another)
_FAILED = (
    ("36437", 100, "2025-01-10", "2025-04-10"),
    ("39786", 225, "2025-04-20", "2025-08-31"),
    ("15996", 30, "2025-09-10", "2026-01-31"),
)


def depression(rng: Random, identity: str) -> Made:
    """A major depression that is active."""
    standing = Standing(rng.choice(["active", "recurrence"]), rng.choice(_PROVEN))
    code = {"coding": [{"system": ICD_10_CM, "code": rng.choice(["F33.1", "F33.2", "F32.2", "F33.9"])}]}
    return Made(_condition(rng, identity, code, standing, {"onsetDateTime": "2025-01-02"}), HARMLESS)


def _resistance(rng: Random) -> tuple[Made, ...]:
    taken = [
        _statement(
            rng,
            f"failed-{rxnorm}",
            {"coding": [{"system": RXNORM, "code": rxnorm}]},
            "stopped",
            statusReason=[{"text": "Ineffective"}],
            effectivePeriod={"start": start, "end": end},
            dosage=[
                {
                    "timing": {"repeat": {"frequency": 1, "period": 1, "periodUnit": "d"}},
                    "doseAndRate": [{"doseQuantity": {"value": mg, "unit": "mg", "code": "mg"}}],
                }
            ],
        )
        for rxnorm, mg, start, end in _FAILED
    ]
    return (depression(rng, "depression"), *(Made(resource, HARMLESS) for resource in taken))


def random_patient(rng: Random) -> Patient:
    """A patient: most are resistant to treatment, more than half have something against a plan."""
    hostile = rng.random() < _HOSTILE
    born, age = rng.choice(_BORN)
    dead = hostile and rng.random() < 0.05
    person: Resource = {"resourceType": "Patient", "id": PATIENT_ID, "meta": {"versionId": "1"}}
    person |= rng.choice(_DEAD if dead else _ALIVE)
    if born is not None:
        person["birthDate"] = born
    makes = rng.choices(_NOISE, k=rng.randrange(4))
    if hostile:
        makes += rng.choices(_HAZARDS, k=rng.randrange(1, 5))
        makes += rng.choices(_RARE) if rng.random() < 0.03 else []
    if rng.random() < 0.1:
        makes.append(pregnancy)
    resistance = _resistance(rng) if rng.random() < _RESISTANT else ()
    if not resistance and rng.random() < 0.7:
        makes.append(depression)
    made = tuple(make(rng, f"r{number}") for number, make in enumerate(makes))
    return Patient(person, age, dead, resistance, made)
