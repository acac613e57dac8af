"""Which domains of the assessment a condition or an allergy falls in, by its codes, else by its words.

What a text leaves unclear is taken as present: a person then looks. Only a text that is understood as a whole
can say that something is absent.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple

from service.core.knowledge import (
    DEPRESSION,
    OTHER_ALLERGEN,
    REMISSION,
    SUICIDALITY,
    Effect,
    Knowledge,
    ResolvedRule,
)
from service.core.phrases import fold
from service.core.records import (
    ClinicalStatus,
    Coding,
    Concept,
    Depression,
    DepressionState,
    Diagnosis,
    SuicidalityKind,
)
from service.core.statements import Sense, Vocabulary, read_statement, strongest

UNNAMED_DRUG = "unnamed-drug-allergy"

_MAY_BE_PRESENT = frozenset({Sense.PRESENT, Sense.UNCLEAR})


def place_diagnosis(
    diagnosis: Diagnosis, concept: Concept, severity: Concept, knowledge: Knowledge
) -> Diagnosis:
    """The diagnosis with every domain that the lists put its codes in.

    Words place what the codes leave open. Beside a code that is known only those are heard that name
    suicidality, a contraindication or a group that asks for it: "severe without psychotic features" is no
    psychosis. Beside a code that only the site's own lists know all of them are heard, as without them.
    """
    groups = dict.fromkeys(
        group
        for coding in concept.codings
        if (group := knowledge.safety_conditions.meaning(coding.system, coding.code))
    )
    depression, is_not = _depression(concept, knowledge)
    if depression is not None and depression.severity is None:
        depression = depression._replace(severity=knowledge.severities.first(severity))
    suicidality = _suicidality(concept, knowledge)
    placed = bool(groups) or depression is not None or suicidality is not None or is_not
    complete = any(coding.system in knowledge.classification_systems for coding in concept.codings)
    recognised = placed or complete
    ours = recognised and not _is_of_site_alone(concept, knowledge)
    texts = filter(None, (concept.text,)) if ours else concept.phrases
    said = _senses(texts, knowledge.condition_words)
    suggested = tuple(g for g in said if g not in groups and _is_suggested(g, said[g], knowledge))
    if ours:
        suggested = tuple(g for g in suggested if _counts_beside_code(g, knowledge))
    if _is_said_to_be_over(depression, concept, knowledge):
        diagnosis = _contradicted(diagnosis)
    return replace(
        diagnosis,
        depression=depression,
        suicidality=suicidality or _SUICIDALITY_IN_WORDS.get(said.get(SUICIDALITY)),
        safety=tuple(groups),
        safety_in_words=suggested,
        recognised=recognised,
        suggests_depression=not recognised and said.get(DEPRESSION) in _MAY_BE_PRESENT,
    )


def _is_of_site_alone(concept: Concept, knowledge: Knowledge) -> bool:
    """Whether what is known of a condition is known by the site's own lists alone."""
    site = knowledge.site
    if not any(map(site.has, concept.codings)):
        return False
    return not any(_is_listed(coding, knowledge) for coding in concept.codings if not site.has(coding))


def _is_listed(coding: Coding, knowledge: Knowledge) -> bool:
    lists = (
        knowledge.safety_conditions,
        knowledge.depression,
        knowledge.not_depression,
        knowledge.suicidality,
    )
    system, code = coding.system, coding.code
    listed = any(codes.meaning(system, code) is not None for codes in lists)
    return listed or system in knowledge.classification_systems


def _contradicted(diagnosis: Diagnosis) -> Diagnosis:
    """The diagnosis as active and over; without a status it is active, and never over by words alone."""
    stated = diagnosis.clinical_status is not ClinicalStatus.NOT_STATED
    status = diagnosis.clinical_status if stated else ClinicalStatus.ACTIVE
    return replace(diagnosis, clinical_status=status, abated=True)


def _is_said_to_be_over(depression: Depression | None, concept: Concept, knowledge: Knowledge) -> bool:
    """Whether words beside the code of an MDD contradict it: a remission, or a depression that is past."""
    if depression is None or depression.state is not DepressionState.MDD:
        return False
    said = _senses(concept.phrases, knowledge.condition_words)
    return said.get(REMISSION) in _MAY_BE_PRESENT or said.get(DEPRESSION) in {Sense.PAST, Sense.ABSENT}


_SUICIDALITY_IN_WORDS: Mapping[Sense | None, SuicidalityKind] = {
    Sense.PRESENT: SuicidalityKind.IN_WORDS,
    Sense.UNCLEAR: SuicidalityKind.IN_WORDS,
    Sense.PAST: SuicidalityKind.HISTORY,
}


def is_no_disorder(
    placed: Diagnosis, concept: Concept, categories: Iterable[Concept], knowledge: Knowledge
) -> bool:
    """Whether a condition that no list of disorders places is plainly none, such as employment or a visit.

    Its category says so, or all of its codes do; never where a word of it was found to matter, or where it
    is called a disorder.
    """
    suspected = placed.safety_in_words or placed.suicidality is not None or placed.suggests_depression
    if placed.recognised or suspected or any(fold(p).endswith(_DISORDER) for p in concept.phrases):
        return False
    codings = [coding for coding in concept.codings if coding.code]
    listed = [knowledge.no_disorder.meaning(coding.system, coding.code) for coding in codings]
    return (bool(listed) and all(listed)) or any(knowledge.no_disorder.first(c) for c in categories)


_DISORDER = "(disorder)"
"""How SNOMED CT ends the fully specified name of a disorder."""


def _senses(texts: Iterable[str], vocabulary: Vocabulary) -> dict[str, Sense]:
    """The strongest sense in which any of the texts names each topic."""
    return strongest(said for text in texts for said in read_statement(text, vocabulary).senses.items())


def _is_suggested(topic: str, sense: Sense, knowledge: Knowledge) -> bool:
    """Whether words suggest a safety group. What is over counts where the group asks for resolved records."""
    group = knowledge.safety_groups.get(topic)
    if group is None or sense is Sense.ABSENT:
        return False
    return sense is not Sense.PAST or group.resolved is not ResolvedRule.IGNORE


def place_sign(sign: Diagnosis, concept: Concept, knowledge: Knowledge) -> Diagnosis:
    """What a flag or a finding says of suicidality and safety; a depression it never establishes."""
    placed = place_diagnosis(sign, concept, Concept(), knowledge)
    return replace(placed, depression=None, suggests_depression=False, recognised=True)


def place_procedure(sign: Diagnosis, concept: Concept, knowledge: Knowledge) -> Diagnosis:
    """What a procedure tells of safety: the groups of its codes, and those that its words suggest."""
    codes = knowledge.safety_procedures
    coded = tuple(dict.fromkeys(g for c in concept.codings if (g := codes.meaning(c.system, c.code))))
    said = dict.fromkeys(g for phrase in concept.phrases for g in _said_of_procedure(phrase, knowledge))
    return replace(sign, safety=coded, safety_in_words=tuple(g for g in said if g not in coded))


def _said_of_procedure(phrase: str, knowledge: Knowledge) -> Iterator[str]:
    """The groups of the words of a procedure; "clipping" counts only in a text that names an aneurysm."""
    words = knowledge.safety_procedure_words.all_in(phrase)
    senses = read_statement(phrase, knowledge.condition_words).senses if words else {}
    named = {topic for topic, sense in senses.items() if sense is not Sense.ABSENT}
    return (word.group for word in words if not word.beside or word.beside & named)


def find_suicidality(finding: Concept, knowledge: Knowledge) -> SuicidalityKind | None:
    """The suicidality that a finding names, by its codes, else by its words."""
    coded = _suicidality(finding, knowledge)
    if coded is not None:
        return coded
    return _SUICIDALITY_IN_WORDS.get(_senses(finding.phrases, knowledge.condition_words).get(SUICIDALITY))


def denies_suicidality(answer: Concept, knowledge: Knowledge) -> bool:
    """Whether the words of an answer say, as a whole, that there is none."""
    return _senses(answer.phrases, knowledge.condition_words).get(SUICIDALITY) is Sense.ABSENT


class PlacedAllergy(NamedTuple):
    """The safety groups of an allergy, each with whether only words say so.

    `known` where a list knows what it is to, or the text says that there is none.
    """

    groups: tuple[tuple[str, bool], ...]
    known: bool


def is_named(concepts: tuple[Concept, ...], knowledge: Knowledge) -> bool:
    """Whether an allergy says to what: in any words, or by a code that the list knows."""
    return any(c.phrases or knowledge.allergy_codes.first(c) is not None for c in concepts)


def place_allergy(concepts: tuple[Concept, ...], knowledge: Knowledge) -> PlacedAllergy:
    """The safety groups that an allergy falls in; one to a drug that is not named may be to ketamine."""
    codes = knowledge.allergy_codes
    coded = {g for c in concepts for one in c.codings if (g := codes.meaning(one.system, one.code))}
    statements = [read_statement(p, knowledge.allergy_words) for c in concepts for p in c.phrases]
    said = strongest(pair for statement in statements for pair in statement.senses.items())
    written = {topic for topic, sense in said.items() if sense is not Sense.ABSENT}
    unnamed = all(
        statement.understood and statement.senses.keys() <= {UNNAMED_DRUG} for statement in statements
    )
    groups = (coded | written) - {OTHER_ALLERGEN} - (set() if unnamed else {UNNAMED_DRUG})
    denied = any(s.understood and s.denies for s in statements) and not written
    return PlacedAllergy(
        tuple((group, group not in coded) for group in sorted(groups)),
        known=bool(groups) or denied or said.get(OTHER_ALLERGEN, Sense.UNCLEAR) is not Sense.UNCLEAR,
    )


def _counts_beside_code(group_id: str, knowledge: Knowledge) -> bool:
    group = knowledge.safety_groups[group_id]
    return group.effect is Effect.EXCLUDES or group.words_beside_code


def _depression(concept: Concept, knowledge: Knowledge) -> tuple[Depression | None, bool]:
    """What the codings say of a depression, and whether one of them says that it is none.

    Codings that contradict each other leave it unspecified.
    """
    found = [d for c in concept.codings if (d := knowledge.depression.meaning(c.system, c.code))]
    is_not = knowledge.not_depression.first(concept) is not None
    if not found:
        return None, is_not
    psychotic = any(depression.psychotic for depression in found)
    if is_not or len({depression.state for depression in found}) > 1:
        return Depression(DepressionState.UNSPECIFIED, None, psychotic), is_not
    severities = {depression.severity for depression in found} - {None}
    severity = severities.pop() if len(severities) == 1 else None
    return Depression(found[0].state, severity, psychotic), is_not


_MOST_CURRENT_FIRST = (
    SuicidalityKind.BEHAVIOUR,
    SuicidalityKind.IDEATION,
    SuicidalityKind.PASSIVE,
    SuicidalityKind.UNDETERMINED,
    SuicidalityKind.NON_SUICIDAL,
    SuicidalityKind.HISTORY,
)


def _suicidality(concept: Concept, knowledge: Knowledge) -> SuicidalityKind | None:
    found = {knowledge.suicidality.meaning(c.system, c.code) for c in concept.codings}
    return next((kind for kind in _MOST_CURRENT_FIRST if kind in found), None)
