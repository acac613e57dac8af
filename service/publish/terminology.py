"""The code lists as FHIR: a ValueSet for each meaning that a list gives to codes, and maps between codes.

https://hl7.org/fhir/R4/valueset.html. Codes are listed, so that any server can expand them. That a code of a
hierarchical system also stands for those below it is said in words, as few servers hold ICD. Rows that are no
codes (`T36.??2`, the chapter `O`) are filters, which a server needs the code system to expand.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from service.core.catalogue import Listing
from service.core.knowledge import Knowledge
from service.core.records import Role, StopReason
from service.publish.canonical import Edition, Resource, address_of, define, licences_of, uris_of

_COMMENT = "http://hl7.org/fhir/StructureDefinition/valueset-concept-comments"
_RULES = "http://hl7.org/fhir/StructureDefinition/valueset-rules-text"
_ORDINAL = "http://hl7.org/fhir/StructureDefinition/ordinalValue"
_SHORTEST_CODE = 3
"""The categories of ICD have three characters; what is shorter is a chapter."""
_REVIEW = "Not yet signed off by a clinician. Each code names its source."
_STOP_REASONS = "codes/stop_reasons.csv"
_ANSWERS = "codes/answers.csv"
_GROUPS = "safety/groups.csv"
_NOT_SAID = frozenset(
    {"system", "code", "display", "phrase", "words", "name", "names", "rxnorm", "atc", "snomed"}
)
"""Columns that a comment leaves out: codes and displays stand in the concept, names are for matching text."""

Row = Mapping[str, str]


class _List(NamedTuple):
    """A list with a column for codes. `by` is the column of meanings; each meaning has a ValueSet."""

    file: str
    stem: str
    by: str | None
    title: str
    about: str


_LISTS = (
    _List(
        "codes/depression.csv",
        "depression",
        "state",
        "Depression: {}",
        "Diagnoses by what they say of major depression: {}.",
    ),
    _List(
        "codes/depression_exclude.csv",
        "depression-excluded",
        None,
        "Not major depression",
        "Diagnoses that resemble major depression and never establish it.",
    ),
    _List(
        "codes/no_disorder.csv",
        "no-disorder",
        None,
        "No disorder",
        "Codes and categories of Conditions that are plainly no disorder, such as employment or a visit.",
    ),
    _List(
        "codes/suicidality.csv",
        "suicidality",
        "kind",
        "Suicidality: {}",
        "Conditions that speak of suicidality: {}. Only ideation and behaviour can be current.",
    ),
    _List(
        "codes/severity.csv", "severity", "severity", "Severity: {}", "Coded severity of a depression: {}."
    ),
    _List(
        "codes/observations.csv", "observation", "kind", "Observation: {}", "Observations that measure {}."
    ),
    _List(
        _ANSWERS,
        "answers",
        None,
        "Coded answers",
        "Answers and the number that each stands for, its ordinal value; yes is 1, no is 0.",
    ),
    _List("codes/procedures.csv", "procedure", "kind", "Procedure: {}", "Procedures of the kind {}."),
    _List(
        _STOP_REASONS,
        "stop-reasons",
        None,
        "Reasons to stop a medicine",
        "Coded reasons why a medicine was stopped. What each means is in the ConceptMap of this name.",
    ),
    _List(
        "codes/indications.csv",
        "indication-depression",
        None,
        "Given for depression",
        "Coded reasons for a medicine that are depression.",
    ),
    _List(
        "codes/units.csv",
        "unit",
        "kind",
        "Units of a dose: {}",
        "Units of a dose of the kind {}, with its size.",
    ),
    _List(
        "codes/timings.csv",
        "timings",
        None,
        "Coded timings",
        "Timings of a dosage and how often a day each stands for.",
    ),
    _List(
        "codes/adherence.csv",
        "adherence",
        "kind",
        "Adherence: {}",
        "Whether a medicine was taken as its record has it: {}.",
    ),
    _List(
        "codes/certainty.csv",
        "certainty",
        "kind",
        "Certainty of a diagnosis: {}",
        "Marks beside the code of a diagnosis: {}.",
    ),
    _List(
        "codes/score_items.csv",
        "score-item",
        "measure",
        "Items of an instrument: {}",
        "The items of {}, whose answers add up to its score.",
    ),
    _List(
        "codes/completeness.csv",
        "completeness",
        "says",
        "What a record says of itself: {}",
        "Entries that stand for no single finding and say of a whole kind of record: {}.",
    ),
    _List(
        "codes/list_contents.csv",
        "list-contents",
        "kind",
        "Lists of records: {}",
        "Lists and sections that hold records of the kind {}.",
    ),
    _List("safety/conditions.csv", "safety", "group", "{}", "Conditions. {}"),
    _List("safety/procedures.csv", "safety-procedure", "group", "{}: procedures", "Procedures. {}"),
    _List("safety/allergies.csv", "allergy", "group", "{}: allergies", "Allergies. {}"),
    _List("safety/medicines.csv", "medicine", "group", "{}: medicines", "Medicines. {}"),
)
_MEDICINES = {
    "antidepressants": ("Antidepressants", "Ingredients and products that can be an antidepressant trial."),
    "antidepressants-never-a-trial": (
        "Antidepressants that are never a trial",
        "Ingredients and products that look like an antidepressant trial and are none, with the reason.",
    ),
    "augmenting-agents": ("Augmenting agents", "Medicines added to an antidepressant; never a trial."),
    "esketamine": ("Esketamine", "Esketamine by code."),
    "ketamine": ("Ketamine", "Ketamine, other than esketamine, by code."),
}
_MEDICINE_FILES = {
    "codes/antidepressants.csv": ("rxnorm", "atc", "snomed"),
    "codes/antidepressant_products.csv": ("rxnorm",),
    "codes/augmenting_agents.csv": ("rxnorm", "atc"),
    "codes/augmenting_products.csv": ("rxnorm",),
    "codes/esketamine.csv": (),
}
"""The lists of medicines, and the code systems that have a column of their own."""
_KINDS_OF_REASON = {
    StopReason.INEFFECTIVE: "It did not help.",
    StopReason.INTOLERANCE: "It was not tolerated.",
    StopReason.REMISSION: "It was no longer needed.",
    StopReason.OTHER: "Any other reason; never a failure.",
}


class _Code(NamedTuple):
    """A code of a list, and the row that it comes from."""

    system: str
    code: str
    display: str
    row: Row


@dataclass(frozen=True, slots=True)
class _Set:
    """A ValueSet to be. `others` are the codes of the same list with another meaning."""

    identity: str
    title: str
    about: str
    codes: list[_Code]
    listings: tuple[Listing, ...]
    others: list[_Code]
    hierarchical: frozenset[str]


def value_sets(knowledge: Knowledge) -> Iterator[Resource]:
    """Every code of every list, in a ValueSet for each meaning."""
    for listed in _LISTS:
        for found in _sets_of(knowledge, listed):
            yield _value_set(knowledge, found, ordinal=listed.file == _ANSWERS)
    for found in _sets_of_medicines(knowledge):
        yield _value_set(knowledge, found)


def code_systems(knowledge: Knowledge) -> Iterator[Resource]:
    """The one code system of our own, which a map leads to."""
    listing = knowledge.catalogue.files[_STOP_REASONS]
    about = "What a recorded reason to stop a medicine means for the judgement of a trial."
    concepts = [
        {"code": kind.value, "display": kind.value.capitalize(), "definition": definition}
        for kind, definition in _KINDS_OF_REASON.items()
    ]
    system = _define("CodeSystem", "stop-reason", "Why a medicine was stopped", about, (listing,))
    yield system | {
        "caseSensitive": True,
        "content": "complete",
        "count": len(concepts),
        "concept": concepts,
    }


def concept_maps(knowledge: Knowledge) -> Iterator[Resource]:
    """Products to their ingredients, and reasons to stop to what they mean."""
    yield _product_map(knowledge)
    yield _stop_reason_map(knowledge)


# --- which codes stand together ---------------------------------------------------------------------


def _sets_of(knowledge: Knowledge, listed: _List) -> Iterator[_Set]:
    listing = knowledge.catalogue.files[listed.file]
    groups = knowledge.catalogue.files[_GROUPS]
    safety = {_cell(row, "id"): row for row in groups.rows} if listed.by == "group" else {}
    own = {
        "safety/medicines.csv": knowledge.interacting_codes.hierarchical,
        "safety/procedures.csv": knowledge.safety_procedures.hierarchical,
    }
    hierarchical = own.get(listed.file, knowledge.classification_systems)
    found: dict[str, list[_Code]] = {}
    for row in listing.rows:
        if _cell(row, "code"):
            found.setdefault(_cell(row, listed.by) if listed.by else "", []).append(_coded(row))
    for meaning, codes in found.items():
        named = about = meaning
        if safety:
            named, about = _cell(safety[meaning], "title"), _effects(safety[meaning])
        yield _Set(
            "-".join(filter(None, (listed.stem, meaning))),
            listed.title.format(named),
            listed.about.format(about),
            codes,
            (listing, groups) if safety else (listing,),
            [code for other, more in found.items() if other != meaning for code in more],
            hierarchical,
        )


def _effects(group: Row) -> str:
    """What a safety group does in each region, and by which section of its label."""
    effects = ", ".join(
        f"{region.upper()} {_cell(group, region)} (label section {_cell(group, f'{region}_section')})"
        for region in ("us", "eu")
    )
    days = _cell(group, "within_days")
    within = f" An event counts for {days} days, then it is a caution." if days else ""
    return (
        f"{_cell(group, 'title')}. Effect: {effects}; resolved: {_cell(group, 'resolved')}.{within} "
        f"Source of the effect: {_cell(group, 'source')}."
    )


def _sets_of_medicines(knowledge: Knowledge) -> Iterator[_Set]:
    """The medicines by the part that they play for the service."""
    files = knowledge.catalogue.files
    found: dict[str, list[_Code]] = {name: [] for name in _MEDICINES}
    for file, systems in _MEDICINE_FILES.items():
        for row in files[file].rows:
            for code in _coded_medicine(row, systems):
                found[_part_of(knowledge, code)].append(code)
    listings = tuple(files[file] for file in _MEDICINE_FILES)
    for name, (title, about) in _MEDICINES.items():
        if found[name]:
            yield _Set(name, title, about, found[name], listings, [], frozenset())


def _part_of(knowledge: Knowledge, code: _Code) -> str:
    meaning = knowledge.medicine_codes.exact[code.system, code.code]
    ingredient = knowledge.ingredient(meaning.ingredient)
    match meaning.role:
        case Role.ESKETAMINE:
            return "esketamine" if meaning.ingredient == "esketamine" else "ketamine"
        case Role.AUGMENTING:
            return "augmenting-agents"
        case _:
            never = meaning.not_a_trial or ingredient is None or ingredient.not_a_trial
            return "antidepressants-never-a-trial" if never else "antidepressants"


def _coded(row: Row) -> _Code:
    return _Code(_cell(row, "system"), _cell(row, "code"), _cell(row, "display"), row)


def _coded_medicine(row: Row, systems: tuple[str, ...]) -> Iterator[_Code]:
    """The codes of a medicine. Its name here is no display of SNOMED CT, which has its own."""
    if not systems:
        yield _coded(row)
    for system in systems:
        if _cell(row, system):
            name = "" if system == "snomed" else _cell(row, "display") or _cell(row, "name")
            yield _Code(system, _cell(row, system), name, row)


def _is_pattern(code: _Code, hierarchical: frozenset[str]) -> bool:
    return code.system in hierarchical and ("?" in code.code or len(code.code) < _SHORTEST_CODE)


# --- ValueSets ------------------------------------------------------------------------------------


def _value_set(knowledge: Knowledge, found: _Set, *, ordinal: bool = False) -> Resource:
    rules = _rules(found)
    about = " ".join(filter(None, (found.about, rules, _REVIEW)))
    resource = _define("ValueSet", found.identity, found.title, about, found.listings)
    if rules:
        resource["extension"] = [{"url": _RULES, "valueMarkdown": rules}]
    uris = uris_of(knowledge)
    systems = [system for system in uris if any(code.system == system for code in found.codes)]
    include: list[Resource] = []
    exclude: list[Resource] = []
    for system in systems:
        codes = [code for code in found.codes if code.system == system]
        patterns = [code for code in codes if _is_pattern(code, found.hierarchical)]
        listed = [code for code in codes if not _is_pattern(code, found.hierarchical)]
        if listed:
            include.append({"system": uris[system], "concept": _concepts(listed, ordinal=ordinal)})
        include += _filters(uris[system], patterns)
        exclude += _filters(uris[system], _narrower(found.others, patterns))
    compose = {"include": include} | ({"exclude": exclude} if exclude else {})
    return resource | {"copyright": licences_of(systems), "compose": compose}


def _rules(found: _Set) -> str:
    """In words, what a list of codes cannot say."""
    systems = sorted({code.system for code in found.codes} & found.hierarchical)
    if not systems:
        return ""
    names = " and ".join(system.upper() for system in systems)
    below = (
        f"A code of {names} also stands for every code below it (those that begin with it), unless a more "
        "specific code of the same list says otherwise."
    )
    by_source: dict[str, list[str]] = {}
    for listed in found.codes:
        if _is_pattern(listed, found.hierarchical):
            by_source.setdefault(_cell(listed.row, "source"), []).append(listed.code)
    ranges = "; ".join(f"{', '.join(shapes)} ({source})" for source, shapes in by_source.items())
    return f"{below} Filters stand for whole ranges, ? for any one character: {ranges}." if ranges else below


def _narrower(others: list[_Code], patterns: list[_Code]) -> list[_Code]:
    """The rows of another meaning that are more specific than a pattern, and so win over it."""
    return [
        other
        for other in others
        if any(other.system == p.system and other.code.startswith(p.code) for p in patterns)
    ]


def _filters(uri: str, patterns: list[_Code]) -> list[Resource]:
    """One filter for all the patterns of a system, and for every code below what they match."""
    if not patterns:
        return []
    shapes = "|".join(re.escape(pattern.code).replace(r"\?", ".") for pattern in patterns)
    return [{"system": uri, "filter": [{"property": "code", "op": "regex", "value": f"({shapes}).*"}]}]


def _concepts(codes: list[_Code], *, ordinal: bool) -> list[Resource]:
    """The codes, each once, with all that their rows say of them."""
    rows: dict[str, list[_Code]] = {}
    for code in codes:
        rows.setdefault(code.code, []).append(code)
    concepts = []
    for listed, same in rows.items():
        said = " / ".join(dict.fromkeys(_said_of(one.row) for one in same))
        extension: list[Resource] = [{"url": _COMMENT, "valueString": said}]
        if ordinal:
            extension.append({"url": _ORDINAL, "valueDecimal": float(_cell(same[0].row, "value"))})
        display = next((one.display for one in same if one.display), None)
        concepts.append({"extension": extension, "code": listed} | ({"display": display} if display else {}))
    return concepts


def _said_of(row: Row) -> str:
    """Every column of a row beside codes and names, the source last."""
    said = [
        f"{column.replace('_', ' ')}: {value.strip()}"
        for column, value in row.items()
        if column not in _NOT_SAID and value.strip()
    ]
    return "; ".join(sorted(said, key=lambda one: one.startswith("source:")))


# --- ConceptMaps ----------------------------------------------------------------------------------


def _product_map(knowledge: Knowledge) -> Resource:
    """RxNorm products to the RxNorm ingredient that the service counts them as."""
    files = knowledge.catalogue.files
    ingredients = [*files["codes/antidepressants.csv"].rows, *files["codes/augmenting_agents.csv"].rows]
    codes = {_cell(row, "name"): _cell(row, "rxnorm") for row in ingredients}
    elements = [
        *_elements(files["codes/antidepressant_products.csv"], "ingredient", codes),
        *_elements(files["codes/augmenting_products.csv"], "agent", codes),
    ]
    listings = tuple(files[file] for file in _MEDICINE_FILES)
    about = (
        "RxNorm products and the ingredient that each is counted as. A product of an ingredient for which no "
        "RxNorm code is known is unmatched, and named."
    )
    uri = uris_of(knowledge)["rxnorm"]
    resource = _define("ConceptMap", "product-ingredient", "Products and their ingredients", about, listings)
    return resource | {
        "copyright": licences_of(["rxnorm"]),
        "group": [{"source": uri, "target": uri, "element": elements}],
    }


def _elements(listing: Listing, column: str, codes: Mapping[str, str]) -> Iterator[Resource]:
    for row in listing.rows:
        name = _cell(row, column)
        target: Resource = {"equivalence": "unmatched"}
        if codes.get(name):
            target = {"code": codes[name], "display": name, "equivalence": "wider"}
        element = {"code": _cell(row, "rxnorm"), "display": _cell(row, "display")}
        yield element | {"target": [target | {"comment": _said_of(row)}]}


def _stop_reason_map(knowledge: Knowledge) -> Resource:
    listing = knowledge.catalogue.files[_STOP_REASONS]
    uris = uris_of(knowledge)
    by_system: dict[str, list[Resource]] = {}
    for row in listing.rows:
        if _cell(row, "code"):
            kind = _cell(row, "kind")
            target = {"code": kind, "display": kind.capitalize(), "equivalence": "wider"}
            element = {"code": _cell(row, "code"), "target": [target | {"comment": _said_of(row)}]}
            by_system.setdefault(_cell(row, "system"), []).append(element)
    about = "Coded reasons why a medicine was stopped, and what each means for the judgement of a trial."
    resource = _define("ConceptMap", "stop-reasons", "Reasons to stop a medicine", about, (listing,))
    return resource | {
        "copyright": licences_of(by_system),
        "group": [
            {"source": uris[system], "target": address_of("CodeSystem", "stop-reason"), "element": elements}
            for system, elements in by_system.items()
        ],
    }


# --- what they share ------------------------------------------------------------------------------


def _define(kind: str, identity: str, title: str, about: str, listings: tuple[Listing, ...]) -> Resource:
    """A definition made of lists: their versions joined, and the day on which the last of them changed."""
    version = ".".join(listing.version for listing in listings)
    date = max(listing.date for listing in listings)
    return define(kind, identity, title, about, Edition(version, date))


def _cell(row: Row, column: str) -> str:
    return row.get(column, "").strip()
