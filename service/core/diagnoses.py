"""Which domains of the assessment a condition or an allergy falls in, by its codes, else by its words."""

from dataclasses import replace

from service.core.knowledge import Effect, Knowledge
from service.core.records import Concept, Depression, DepressionState, Diagnosis, SuicidalityKind


def place_diagnosis(
    diagnosis: Diagnosis, concept: Concept, severity: Concept, knowledge: Knowledge
) -> Diagnosis:
    """The diagnosis with every domain that the lists put its codes in.

    Words place what the codes leave open. Beside a code that is known only those are heard that name
    suicidality or a contraindication: "severe without psychotic features" is no psychosis.
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
    text = "" if recognised else " ".join(concept.phrases)
    said = (concept.text or "") if recognised else text
    if suicidality is None and knowledge.suicidality_words.all_in(said):
        suicidality = SuicidalityKind.IN_WORDS
    suggested = dict.fromkeys(knowledge.safety_words.all_in(said))
    if recognised:
        suggested = {g: None for g in suggested if g not in groups and _excludes(g, knowledge)}
    return replace(
        diagnosis,
        depression=depression,
        suicidality=suicidality,
        safety=tuple(groups),
        safety_in_words=tuple(suggested),
        recognised=recognised,
        suggests_depression=bool(knowledge.depression_words.all_in(text)),
    )


def is_named(concepts: tuple[Concept, ...], knowledge: Knowledge) -> bool:
    """Whether an allergy says to what: in any words, or by a code that the list knows."""
    return any(c.phrases or knowledge.allergy_codes.first(c) is not None for c in concepts)


def place_allergy(concepts: tuple[Concept, ...], knowledge: Knowledge) -> tuple[tuple[str, bool], ...]:
    """The safety groups that an allergy falls in, each with whether only its words say so."""
    coded = {g for c in concepts if (g := knowledge.allergy_codes.first(c))}
    written = {g for c in concepts for p in c.phrases for g in knowledge.allergy_names.all_in(p)}
    return tuple((group, group not in coded) for group in sorted(coded | written))


def _excludes(group: str, knowledge: Knowledge) -> bool:
    return knowledge.safety_groups[group].effect is Effect.EXCLUDES


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
    SuicidalityKind.NON_SUICIDAL,
    SuicidalityKind.HISTORY,
)


def _suicidality(concept: Concept, knowledge: Knowledge) -> SuicidalityKind | None:
    found = {knowledge.suicidality.meaning(c.system, c.code) for c in concept.codings}
    return next((kind for kind in _MOST_CURRENT_FIRST if kind in found), None)
