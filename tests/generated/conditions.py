"""Conditions and allergies at random: safety groups, suicidality, depression, and what cannot be read."""

from enum import Enum
from random import Random
from typing import NamedTuple

from tests.generated.made import (
    ANYTHING,
    BOTH,
    HARMLESS,
    ICD_10_CM,
    MODIFIER,
    RECENT,
    WITHHOLDS,
    Made,
    Meaning,
    When,
    changed_to,
    concept_of,
    resource_of,
    rows_by,
    some_time,
    status_of,
    without,
)
from tests.safety_tables import GROUPS, REGIONS, Effect, effect_of, resolved_effect_of, table
from tests.support import Resource

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
        return status_of("clinicalStatus", self.clinical, kind) | status_of(
            "verificationStatus", self.verification, proof
        )


def _standing(rng: Random) -> Standing:
    return Standing(rng.choice(_CLINICAL), rng.choice(_VERIFICATION))


def _condition(
    rng: Random, identity: str, code: Resource, standing: Standing, dates: Resource | None = None
) -> Resource:
    return resource_of(rng, "Condition", identity, code=code, **standing.elements(), **(dates or {}))


_CONDITIONS = rows_by("safety/conditions.csv")
_CONDITION_GROUPS = sorted(_CONDITIONS)


def safety_condition(rng: Random, identity: str) -> Made:
    """A condition of a safety group, in any standing and of any age."""
    group = rng.choice(_CONDITION_GROUPS)
    standing, when = _standing(rng), some_time(rng)
    resource = _condition(
        rng, identity, concept_of(rng, rng.choice(_CONDITIONS[group])), standing, when.elements
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


def _meaning(effects: dict[str, Claim]) -> Meaning:
    def where(claim: Claim) -> frozenset[str]:
        return frozenset(region for region, found in effects.items() if found is claim)

    return Meaning(where(Claim.EXCLUDES), where(Claim.WITHHOLDS), where(Claim.HARMLESS))


def _effect(group: str, region: str, standing: Standing, when: When) -> Claim:
    if GROUPS[group]["within_days"] and effect_of(group, region) >= Effect.REVIEW:
        return _effect_of_event(group, region, standing, when)
    if group == "pregnancy" and when.elements and (when.days_ago is None or when.days_ago >= RECENT):
        return Claim.OPEN
    effect = effect_of(group, region) if standing.active else resolved_effect_of(group, region)
    return _CLAIMS[effect if standing.proven else min(effect, Effect.REVIEW)]


def _effect_of_event(group: str, region: str, standing: Standing, when: When) -> Claim:
    """An event that matters for six weeks: only its own day tells how long ago it was."""
    if when.days_ago is None:
        return Claim.WITHHOLDS if not when.elements and standing.active else Claim.OPEN
    if when.days_ago >= RECENT:
        return Claim.OPEN
    excludes = effect_of(group, region) is Effect.EXCLUDES and standing.active and standing.proven
    return Claim.EXCLUDES if excludes else Claim.WITHHOLDS


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
    resource = _condition(rng, identity, concept_of(rng, row), standing, some_time(rng).elements)
    psychotic = row.get("psychotic") == "yes" and standing.active and not standing.removed
    return Made(resource, WITHHOLDS if psychotic else ANYTHING)


def unrelated_condition(rng: Random, identity: str) -> Made:
    """A condition that is none of this service's business."""
    code: Resource = rng.choice([{"text": "Hay fever"}, {"coding": [{"system": ICD_10_CM, "code": "J30.1"}]}])
    return Made(_condition(rng, identity, code, _standing(rng), some_time(rng).elements), HARMLESS)


_SUICIDALITY = rows_by("codes/suicidality.csv", "kind")
_KINDS = sorted(_SUICIDALITY)


def suicidal_condition(rng: Random, identity: str) -> Made:
    """A condition that tells of suicidality, by any code or in words only."""
    standing = _standing(rng)
    code = concept_of(rng, rng.choice(_SUICIDALITY[rng.choice(_KINDS)]))
    if rng.random() < 0.1:
        code = {"text": rng.choice(["Suicidal since Monday", "parasuicide 1999", "Self-harm"])}
    resource = _condition(rng, identity, code, standing, some_time(rng).elements)
    return Made(resource, HARMLESS._replace(suicidal=not standing.removed))


UNGRADED = "F33.9"


def depression(rng: Random, identity: str) -> Made:
    """A major depression that is active."""
    standing = Standing(rng.choice(["active", "recurrence"]), rng.choice(_PROVEN))
    code = {"coding": [{"system": ICD_10_CM, "code": rng.choice(["F33.1", "F33.2", "F32.2", UNGRADED])}]}
    return Made(_condition(rng, identity, code, standing, {"onsetDateTime": "2025-01-02"}), HARMLESS)


# allergies -------------------------------------------------------------------------------------

_ALLERGIES = [*table("safety/allergies.csv"), *table("codes/esketamine_names.csv")]
_ALLERGY_SYSTEMS = ("allergyintolerance-clinical", "allergyintolerance-verification")


def ketamine_allergy(rng: Random, identity: str) -> Made:
    """An allergy to ketamine or esketamine: by its code it excludes, by its name a person decides.

    A drug that nobody names may be ketamine.
    """
    row = rng.choice(_ALLERGIES)
    standing = Standing(
        rng.choice(["active", "active", None, "inactive", "resolved"]),
        rng.choice(["confirmed", None, "unconfirmed", *_REMOVED]),
    )
    coded = bool(row.get("code"))
    unnamed = row.get("group", "hypersensitivity") != "hypersensitivity"
    said = row["name"].upper() if unnamed else f"{row['name'].title()} (nasal)"
    what = concept_of(rng, row) if coded else {"text": said}
    named: Resource = {"code": what}
    if rng.random() < 0.1:
        named = {"code": {"text": "Drug allergy"}, "reaction": [{"substance": what}]}
    resource = resource_of(
        rng, "AllergyIntolerance", identity, **named, **standing.elements(*_ALLERGY_SYSTEMS)
    )
    if standing.removed:
        return Made(resource, HARMLESS)
    certain = coded and not unnamed and standing.active and standing.proven
    return Made(resource, Meaning(excludes=BOTH) if certain else WITHHOLDS)


def other_allergy(rng: Random, identity: str) -> Made:
    """An allergy to something else."""
    return Made(resource_of(rng, "AllergyIntolerance", identity, code={"text": "Penicillin"}), HARMLESS)


# what cannot be read ---------------------------------------------------------------------------

_MASKED = {"extension": [{"url": "http://example.org/masked", "valueCode": "masked"}]}
_BREAKS = [
    without("code"),
    changed_to(code="I71.4"),
    changed_to(code=[{"text": "Aneurysm"}]),
    changed_to(code={"coding": {"code": "I71.4"}}),
    changed_to(code=_MASKED),
    changed_to(code=None),
    changed_to(modifierExtension=MODIFIER),
    without("resourceType"),
    changed_to(resourceType="condition"),
]
_CONDITION_BREAKS = [
    *_BREAKS,
    changed_to(clinicalStatus="active"),
    changed_to(clinicalStatus={"coding": [{"code": "ACTIVE!"}]}),
    changed_to(verificationStatus={"coding": [{"code": "confirmed"}, {"code": "refuted"}]}),
    changed_to(onsetDateTime="last spring"),
    changed_to(onsetDateTime="2021-13-45"),
    changed_to(onsetDateTime=20210101),
]


def broken_record(rng: Random, identity: str) -> Made:
    """A condition or an allergy that cannot be read: what it hides may be a contraindication."""
    if rng.random() < 0.5:
        standing = Standing("active", "confirmed")
        resource = _condition(rng, identity, {"text": "Hay fever"}, standing, {"onsetDateTime": "2021"})
        rng.choice(_CONDITION_BREAKS)(resource)
    else:
        resource = resource_of(rng, "AllergyIntolerance", identity, code={"text": "Penicillin"})
        rng.choice(_BREAKS)(resource)
    return Made(resource, WITHHOLDS)
