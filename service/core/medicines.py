"""Which medicine a record names, and how sure that is.

A code in `mappings/` settles it, unless the words beside it name another medicine. Words alone map a
medicine for display, never for a count.
"""

from dataclasses import replace
from functools import lru_cache

from service.core.dose_text import says_how_often, strengths_in
from service.core.dose_words import UnitKind
from service.core.knowledge import Knowledge, MedicineMeaning
from service.core.records import (
    Concept,
    Identified,
    Medicine,
    Product,
    Role,
    Strength,
)

_UNITS = {UnitKind.ITEM: "item", UnitKind.VOLUME: "mL"}


def identify_product(product: Product, knowledge: Knowledge) -> Medicine:
    """Say which medicine a record is about, by what it is called and by its ingredients."""
    medicine = identify_medicine(product.concept, knowledge)
    if product.ingredients:
        named = tuple(
            (identify_medicine(one.concept, knowledge), one.strength) for one in product.ingredients
        )
        medicine = _with_ingredients(medicine, named)
    if product.doubtful is not None:
        medicine = replace(medicine, identified=Identified.UNRESOLVED, ingredient=None, strength_mg=None)
    return medicine


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
    medicine = _with_written_strength(_identify(concept, knowledge), concept, knowledge)
    if not coded and not named:
        unlisted = medicine.identified is Identified.OTHER and not _is_in_known_system(concept, knowledge)
        return replace(medicine, identified=Identified.UNLISTED) if unlisted else medicine
    return replace(medicine, interacts=tuple(sorted(coded)), interacts_in_words=tuple(sorted(named)))


def names_esketamine(text: str, knowledge: Knowledge) -> bool:
    """Whether a text names esketamine or ketamine, whatever else it says."""
    return any(meaning.role is Role.ESKETAMINE for meaning in knowledge.medicine_names.all_in(text))


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
    known = set(knowledge.systems.values()) - knowledge.site.systems
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
    if len(ingredients) > 1 or (names and not ingredients & names) or _hides_esketamine(best, named):
        conflicting = {meaning.role for meaning in (*coded, *named)}
        role = Role.ANTIDEPRESSANT if Role.ANTIDEPRESSANT in conflicting else best.role
        if Role.ESKETAMINE in conflicting:
            role = Role.ESKETAMINE
        return Medicine(concept.label, Identified.CONFLICT, role)
    written = next((m for m in named if m.not_a_trial), None)
    return Medicine(
        concept.label or best.ingredient or "",
        Identified.CODED,
        best.role,
        ingredient=best.ingredient,
        strength_mg=best.strength_mg,
        unit=best.unit,
        unit_days=best.unit_days,
        not_a_trial=best.not_a_trial or (written.not_a_trial if written else None),
    )


def _hides_esketamine(coded: MedicineMeaning, named: tuple[MedicineMeaning, ...]) -> bool:
    """Whether the words of a medicine that is coded as another name esketamine or ketamine as well."""
    return coded.role is not Role.ESKETAMINE and any(one.role is Role.ESKETAMINE for one in named)


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


def _with_written_strength(medicine: Medicine, concept: Concept, knowledge: Knowledge) -> Medicine:
    """The medicine with the strength that its words state, beside that of its code.

    Words that state another strength than the code leave it open; an instruction states none of a product.
    Where several are stated, as of a combination, which one it is stays open.
    """
    phrases = dict.fromkeys(concept.phrases)
    stated = {strength for phrase in phrases for strength in strengths_in(phrase, knowledge)}
    if not stated:
        return replace(medicine, lowest_mg=medicine.strength_mg)
    lowest = min(mg for mg, _ in stated)
    if medicine.strength_mg is not None:
        label = _label_strengths(concept, medicine, knowledge)
        if label & {mg for mg, _ in stated}:
            return replace(medicine, lowest_mg=medicine.strength_mg)
        return replace(medicine, strength_mg=None, lowest_mg=min(lowest, medicine.strength_mg))
    ((mg, kind), *others) = stated
    if others or medicine.unit is not None or any(says_how_often(phrase, knowledge) for phrase in phrases):
        return replace(medicine, lowest_mg=lowest)
    return replace(medicine, strength_mg=mg, unit=_UNITS[kind], lowest_mg=lowest)


def _label_strengths(concept: Concept, medicine: Medicine, knowledge: Knowledge) -> frozenset[float]:
    """The strengths that the name of the coded product states; that of its ingredient where it has none."""
    labels = [meaning.label_mg for meaning in _coded_meanings(concept, knowledge) if meaning.label_mg]
    own = frozenset() if medicine.strength_mg is None else frozenset({medicine.strength_mg})
    return own.union(*labels)


# --- ingredients ----------------------------------------------------------------------------------

_Part = tuple[Medicine, Strength | None]


def _with_ingredients(medicine: Medicine, parts: tuple[_Part, ...]) -> Medicine:
    """The medicine as its ingredients and its own name or code together say it."""
    groups = {group for one, _ in parts for group in one.interacts} | set(medicine.interacts)
    words = (
        {group for one, _ in parts for group in one.interacts_in_words} | set(medicine.interacts_in_words)
    ) - groups
    told = replace(
        _of_parts(medicine, parts), interacts=tuple(sorted(groups)), interacts_in_words=tuple(sorted(words))
    )
    label = (
        medicine.label
        if medicine.identified is not Identified.UNRESOLVED
        else " / ".join(p.label for p, _ in parts)
    )
    return replace(told, label=label or told.label)


def _of_parts(medicine: Medicine, parts: tuple[_Part, ...]) -> Medicine:
    telling = [part for part in parts if part[0].role in {Role.ESKETAMINE, Role.ANTIDEPRESSANT}]
    if _contradicts(medicine, telling):
        roles = {medicine.role, *(one.role for one, _ in telling)}
        role = Role.ESKETAMINE if Role.ESKETAMINE in roles else Role.ANTIDEPRESSANT
        return Medicine(medicine.label, Identified.CONFLICT, role, lowest_mg=medicine.lowest_mg)
    chosen = next(iter(telling), None) or next((p for p in parts if p[0].role is Role.AUGMENTING), None)
    if chosen is not None:
        return _joined(medicine, *chosen)
    if medicine.identified is not Identified.UNRESOLVED:
        return medicine
    unsure = (Identified.UNRESOLVED, Identified.LOOKS_LIKE_ANTIDEPRESSANT)
    return next((one for one, _ in parts if one.identified in unsure), parts[0][0])


def _contradicts(medicine: Medicine, telling: list[_Part]) -> bool:
    """Whether the name and the ingredients, or two ingredients, are of different medicines."""
    if medicine.identified is Identified.CONFLICT or any(
        one.identified is Identified.CONFLICT for one, _ in telling
    ):
        return True
    named = {one.ingredient for one, _ in telling}
    own = {medicine.ingredient} if medicine.role in {Role.ESKETAMINE, Role.ANTIDEPRESSANT} else set()
    return len(named | own) > 1 if telling else False


def _joined(medicine: Medicine, part: Medicine, strength: Strength | None) -> Medicine:
    """The medicine with the ingredient that a part of it is, and the strength of that part."""
    coded = (
        Identified.CODED if Identified.CODED in {medicine.identified, part.identified} else part.identified
    )
    best = medicine if medicine.identified is Identified.CODED and medicine.ingredient else part
    told = replace(
        best, identified=coded, label=medicine.label, lowest_mg=_lowest(medicine.lowest_mg, part.lowest_mg)
    )
    if strength is None:
        return told
    known = strength.milligrams if strength.unit is not None else 0.0
    told = replace(told, lowest_mg=_lowest(told.lowest_mg, known))
    if strength.unit is None or (told.strength_mg is not None and told.strength_mg != known):
        return replace(told, strength_mg=None)
    return told if told.strength_mg is not None else replace(told, strength_mg=known, unit=strength.unit)


def _lowest(*strengths: float | None) -> float | None:
    return min((strength for strength in strengths if strength is not None), default=None)
