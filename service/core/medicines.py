"""Which medicine a record names, and how sure that is.

A code in `mappings/` settles it, unless the words beside it name another medicine. Words alone map a
medicine for display, never for a count.
"""

import re
from dataclasses import replace
from functools import lru_cache

from service.core.knowledge import Knowledge, MedicineMeaning
from service.core.records import Concept, Identified, Medicine, Role

_MILLIGRAMS = re.compile(r"(?<!\d)(\d++(?:\.\d++)?+)\s*+mg\b", re.IGNORECASE)


@lru_cache(maxsize=4096)
def identify_medicine(concept: Concept, knowledge: Knowledge) -> Medicine:
    """Say which medicine a concept names. Records name the same products again and again: it is remembered.

    Two codes, or a code and its words, that name different medicines are a conflict. A medicine
    without a known code is looked for by name; one that cannot be told at all, or whose words look
    like an antidepressant, might be a trial and is kept as such. Whatever it is, the safety groups that
    its codes or words place it in are kept with it.
    """
    known = knowledge.interacting_codes
    coded = {group for c in concept.codings if (group := known.meaning(c.system, c.code))}
    named = {g for p in concept.phrases for g in knowledge.interacting_names.all_in(p)} - coded
    medicine = _identify(concept, knowledge)
    if not coded and not named:
        unlisted = medicine.identified is Identified.OTHER and not _is_in_known_system(concept, knowledge)
        return replace(medicine, identified=Identified.UNLISTED) if unlisted else medicine
    return replace(medicine, interacts=tuple(sorted(coded)), interacts_in_words=tuple(sorted(named)))


def _identify(concept: Concept, knowledge: Knowledge) -> Medicine:
    coded = _coded_meanings(concept, knowledge)
    named = _named_meanings(concept, knowledge)
    if coded:
        return _coded_medicine(concept, coded, named)
    if named:
        return _named_medicine(concept, named)
    label = concept.label
    text = " ".join(concept.phrases)
    if not text:
        return Medicine(label or "medicine not named", Identified.UNRESOLVED, Role.OTHER)
    if knowledge.antidepressant_words.all_in(text):
        return Medicine(label, Identified.LOOKS_LIKE_ANTIDEPRESSANT, Role.OTHER)
    return Medicine(label, Identified.OTHER, Role.OTHER)


def _is_in_known_system(concept: Concept, knowledge: Knowledge) -> bool:
    known = set(knowledge.systems.values())
    return any(coding.code and coding.system in known for coding in concept.codings)


def _coded_meanings(concept: Concept, knowledge: Knowledge) -> tuple[MedicineMeaning, ...]:
    found = (knowledge.medicine_codes.meaning(c.system, c.code) for c in concept.codings)
    return tuple(meaning for meaning in found if meaning is not None)


def _named_meanings(concept: Concept, knowledge: Knowledge) -> tuple[MedicineMeaning, ...]:
    found: list[MedicineMeaning] = []
    for phrase in concept.phrases:
        found.extend(knowledge.medicine_names.all_in(phrase))
    return tuple(dict.fromkeys(found))


def _coded_medicine(
    concept: Concept, coded: tuple[MedicineMeaning, ...], named: tuple[MedicineMeaning, ...]
) -> Medicine:
    """A coded medicine; the code of a product says more than that of an ingredient."""
    best = max(coded, key=lambda meaning: (meaning.not_a_trial is not None, meaning.unit is not None))
    ingredients = {_identity(meaning) for meaning in coded}
    names = {_identity(meaning) for meaning in named if meaning.ingredient is not None}
    if len(ingredients) > 1 or (names and not ingredients & names):
        conflicting = {meaning.role for meaning in (*coded, *named)}
        role = Role.ANTIDEPRESSANT if Role.ANTIDEPRESSANT in conflicting else best.role
        if Role.ESKETAMINE in conflicting:
            role = Role.ESKETAMINE
        return Medicine(concept.label, Identified.CONFLICT, role)
    written = next((m for m in named if m.not_a_trial), None)
    strength = None if _strength_disagrees(concept, best) else best.strength_mg
    return Medicine(
        concept.label or best.ingredient or "",
        Identified.CODED,
        best.role,
        ingredient=best.ingredient,
        strength_mg=strength,
        unit=best.unit,
        unit_days=best.unit_days,
        not_a_trial=best.not_a_trial or (written.not_a_trial if written else None),
    )


def _named_medicine(concept: Concept, named: tuple[MedicineMeaning, ...]) -> Medicine:
    by_role = {meaning.role: meaning for meaning in reversed(named)}
    antidepressants = {m.ingredient for m in named if m.role is Role.ANTIDEPRESSANT}
    if Role.ESKETAMINE not in by_role and len(antidepressants - {None}) > 1:
        return Medicine(concept.label, Identified.CONFLICT, Role.ANTIDEPRESSANT)
    order = (Role.ESKETAMINE, Role.ANTIDEPRESSANT, Role.AUGMENTING, Role.OTHER)
    meaning = next(by_role[role] for role in order if role in by_role)
    never = next((m.not_a_trial for m in named if m.not_a_trial), None)
    return Medicine(concept.label, Identified.TEXT_ONLY, meaning.role, meaning.ingredient, not_a_trial=never)


def _identity(meaning: MedicineMeaning) -> str:
    return meaning.ingredient or meaning.role.value


def _strength_disagrees(concept: Concept, meaning: MedicineMeaning) -> bool:
    """Whether the words state a strength that the coded product does not have."""
    if not meaning.label_mg:
        return False
    written = {mg for phrase in concept.phrases for mg in strengths_in(phrase)}
    return bool(written) and not written & meaning.label_mg


def strengths_in(text: str) -> frozenset[float]:
    """The strengths in mg that a text states, such as the name of a product."""
    return frozenset(float(mg) for mg in _MILLIGRAMS.findall(text))
