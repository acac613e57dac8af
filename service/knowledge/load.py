"""Load `mappings/`: the one path from reviewable lists to the core's `Knowledge`.

Every list is checked on every load against the lock (sha256) and against the others. Any fault refuses the
whole: a service with a wrong list must not start. Faults name the file and the line.
"""

import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import date
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from service.core.catalogue import Catalogue, Listing
from service.core.diagnoses import UNNAMED_DRUG
from service.core.knowledge import (
    DEPRESSION,
    OTHER_ALLERGEN,
    REMISSION,
    SUICIDALITY,
    CodeList,
    Criteria,
    Effect,
    Ingredient,
    Knowledge,
    MedicineMeaning,
    ProcedureWord,
    ResolvedRule,
    SafetyGroup,
    StatedReason,
)
from service.core.phrases import PhraseList, fold
from service.core.records import (
    Adherence,
    Certainty,
    Contents,
    Indication,
    Measure,
    ProcedureKind,
    Role,
    Severity,
    StopReason,
    SuicidalityKind,
)
from service.core.safety import HYPERSENSITIVITY
from service.core.statements import SmallWord, Vocabulary
from service.errors import MappingsError, SettingsError
from service.knowledge.dialects import Dialects, find_doubled, to_dialect
from service.knowledge.doses import build_lexicon, to_unit
from service.knowledge.elements import load_elements
from service.knowledge.lock import check_lock, lists_in, version_of
from service.knowledge.rows import (
    Coded,
    Faults,
    MissingColumn,
    Row,
    code_of_product,
    codes_of,
    never_a_trial,
    of_agent,
    of_esketamine,
    of_ingredient,
    of_product,
    read_rows,
    to_agent,
    to_depression,
    to_ingredient,
)
from service.knowledge.shapes import (
    NAME,
    CriteriaFile,
    DialectFile,
    ProtocolFile,
    ScalesFile,
    Signed,
    StagingFile,
    to_criteria,
    to_limits,
    to_protocol,
    to_scale,
    to_sources,
    to_staging,
)
from service.knowledge.site import NO_SITE_FILES, SiteFiles, read_site_lists, refuse_weakening
from service.knowledge.words import ALONE, WHOLE, SmallWords, Word, found_by, read_words

REGIONS = ("us", "eu")

T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)
S = TypeVar("S", bound=Signed | DialectFile)


def mappings_directory() -> Path:
    """Where the lists are: inside the installed package, or beside it in a checkout."""
    installed = Path(str(resources.files("service"))) / "mappings"
    return installed if installed.is_dir() else installed.parent.parent / "mappings"


def load_knowledge(
    directory: Path, *, criteria: str, region: str, site_directory: Path | None = None
) -> Knowledge:
    """Read and check everything under `directory` and build the knowledge for one criteria set and region.

    `site_directory` holds the site's own lists, whose rows are added. Raises `MappingsError` with every fault
    found, `SettingsError` for a criteria set or region that is not there.
    """
    if region not in REGIONS:
        raise SettingsError(f"TRD_REGION: no region {region!r}; there are: {', '.join(REGIONS)}")
    faults = Faults()
    knowledge = None
    try:
        site = read_site_lists(site_directory, directory, faults) if site_directory else NO_SITE_FILES
        knowledge = _Loader(directory, faults, region, site).load(criteria)
    except MissingColumn as missing:
        faults.add(missing.file, 1, f"has no column {missing.column!r}")
    if faults.found or knowledge is None:
        raise MappingsError(sorted(faults.found))
    return knowledge


def load_dialects(directory: Path, chosen: str | None = None) -> Dialects:
    """The dialects of FHIR servers under `directory`, of which one may be chosen for the server.

    Raises `MappingsError` with every fault found, `SettingsError` for a dialect that is not there.
    """
    faults = Faults()
    files = _Loader(directory, faults, REGIONS[0]).dialects()
    if faults.found:
        raise MappingsError(sorted(faults.found))
    known = {file.id: to_dialect(file) for file in files}
    if chosen is not None and chosen not in known:
        raise SettingsError(
            f"TRD_FHIR_DIALECT: no dialect {chosen!r}; there are: {', '.join(known) or 'none'}"
        )
    return Dialects(tuple(known.values()), known.get(chosen or ""))


class _Loader:
    """Reads one directory of lists, noting every fault."""

    def __init__(self, directory: Path, faults: Faults, region: str, site: SiteFiles = NO_SITE_FILES) -> None:
        self.directory = directory
        self.faults = faults
        self.region = region
        self.site = site
        self.uris: dict[str, str] = {}
        self.hierarchical: frozenset[str] = frozenset()
        self.systems: frozenset[str] = frozenset()
        self.pinned: dict[str, tuple[str, str]] = {}
        self.rows: dict[str, dict[int, Mapping[str, str]]] = {}

    def load(self, criteria_id: str) -> Knowledge | None:
        version = self._check_lock()
        self._load_systems()
        ingredients = self._ingredients()
        depression = self._codes("codes/depression.csv", to_depression)
        not_depression = self._codes("codes/depression_exclude.csv", lambda row: row["reason"])
        self._refuse_overlap(depression, not_depression, "codes/depression_exclude.csv")
        agents = {
            row["name"]: self.faults.meaning(row, to_agent)
            for row in self._rows("codes/augmenting_agents.csv")
        }
        groups = self._safety_groups()
        esketamine_names = list(self._rows("codes/esketamine_names.csv"))
        names, codes = self._medicines(ingredients, esketamine_names)
        small_words = SmallWords(self._rows("codes/small_words.csv"), self.faults)
        stop_codes, stop_words = self._stop_reasons(small_words)
        why_codes, why_words = self._indications(small_words)
        allergy_codes, allergy_words = self._allergies(groups, esketamine_names, small_words)
        condition_words = self._condition_words(groups, esketamine_names, small_words)
        suicidality = self._codes("codes/suicidality.csv", lambda row: SuicidalityKind(row["kind"]))
        conditions = self._codes("safety/conditions.csv", self._group_in(groups))
        no_disorder = self._codes("codes/no_disorder.csv", lambda row: row["display"])
        for disorders in (conditions, depression, not_depression, suicidality):
            self._refuse_overlap(disorders, no_disorder, "codes/no_disorder.csv")
        severities = self._codes("codes/severity.csv", lambda row: Severity(row["severity"]))
        units = list(self._rows("codes/units.csv"))
        lexicon = build_lexicon(units, self._rows("codes/dose_phrases.csv"), names.phrases, self.faults)
        unit_codes = self._code_list([row for row in units if row["code"]], to_unit)
        timings = self._codes("codes/timings.csv", lambda row: float(row["times_a_day"]))
        adherence = self._codes("codes/adherence.csv", lambda row: Adherence(row["kind"]))
        certainty = self._codes("codes/certainty.csv", lambda row: Certainty(row["kind"]))
        antidepressant_words = self._words("codes/antidepressant_words.csv")
        placeholders = self._placeholders()
        observations = self._codes("codes/observations.csv", lambda row: Measure(row["kind"]))
        observation_names = self._whole("codes/observation_words.csv", lambda row: Measure(row["kind"]))
        answers = self._codes("codes/answers.csv", lambda row: float(row["value"]))
        answer_words = self._whole("codes/answer_words.csv", lambda row: float(row["value"]))
        score_items = self._codes("codes/score_items.csv", lambda row: Measure(row["measure"]))
        contents = self._codes("codes/completeness.csv", lambda row: Contents(row["says"]))
        list_contents = self._codes("codes/list_contents.csv", lambda row: row["kind"])
        pressure_units = self._whole(
            "codes/pressure_units.csv", lambda row: float(row["mm_hg"]), column="unit"
        )
        results = self._results()
        procedures = self._codes("codes/procedures.csv", lambda row: ProcedureKind(row["kind"]))
        procedure_names = self._phrases(
            "codes/procedure_words.csv", "phrase", lambda row: ProcedureKind(row["kind"])
        )
        safety_procedures, safety_procedure_words = self._safety_procedures(groups)
        interacting_codes, interacting_names = self._interacting(groups)
        elements = load_elements(self._present(), self._rows, self.faults)
        scales = self._toml("scales.toml", ScalesFile)
        sets = {file.id: to_criteria(file) for file in self._files("criteria", CriteriaFile)}
        protocols = self._files("protocols", ProtocolFile)
        staging = self._toml("staging.toml", StagingFile)
        self.dialects()
        refuse_weakening(self.site, {name: rows.values() for name, rows in self.rows.items()}, self.faults)
        if self.faults.found or staging is None or scales is None:
            return None
        return Knowledge(
            version=version + self.site.suffix,
            region=self.region,
            criteria=_chosen_criteria(sets, criteria_id),
            criteria_sets=sets,
            systems=self.uris,
            classification_systems=self.hierarchical,
            ingredients=ingredients,
            agents={name: agent for name, agent in agents.items() if agent is not None},
            medicine_codes=codes,
            medicine_names=names,
            antidepressant_words=antidepressant_words,
            depression=depression,
            not_depression=not_depression,
            no_disorder=no_disorder,
            suicidality=suicidality,
            safety_conditions=conditions,
            safety_groups=groups,
            condition_words=condition_words,
            allergy_codes=allergy_codes,
            allergy_words=allergy_words,
            stop_codes=stop_codes,
            stop_words=stop_words,
            indication_codes=why_codes,
            indication_words=why_words,
            severities=severities,
            dose_lexicon=lexicon,
            unit_codes=unit_codes,
            timing_codes=timings,
            adherence=adherence,
            certainty=certainty,
            observations=observations,
            observation_names=observation_names,
            answers=answers,
            answer_words=answer_words,
            suicidality_results=results,
            scales={Measure.PHQ_9: to_scale(scales.phq_9), Measure.MADRS: to_scale(scales.madrs)},
            limits=to_limits(scales),
            score_items=score_items,
            contents=contents,
            list_contents=list_contents,
            pressure_units=pressure_units,
            procedures=procedures,
            procedure_names=procedure_names,
            safety_procedures=safety_procedures,
            safety_procedure_words=safety_procedure_words,
            interacting_codes=interacting_codes,
            interacting_names=interacting_names,
            placeholder_dates=placeholders,
            elements=elements,
            protocols=tuple(map(to_protocol, protocols)),
            staging=to_staging(staging),
            catalogue=self._catalogue(protocols),
            site=self.site.lists,
        )

    def dialects(self) -> list[DialectFile]:
        """The dialects of FHIR servers; a name that two of them are recognised by is refused."""
        files = self._files("servers", DialectFile)
        for name, recognised in find_doubled(files):
            self.faults.add(f"servers/{name}.toml", None, f"is recognised by {recognised!r}, as another is")
        return files

    def _catalogue(self, protocols: list[ProtocolFile]) -> Catalogue:
        files = {
            name: Listing(version, day, tuple(self.rows.get(name, {}).values()))
            for name, (version, day) in self.pinned.items()
        }
        return Catalogue(files, {file.id: to_sources(file) for file in protocols})

    # lock ----------------------------------------------------------------------------------------

    def _check_lock(self) -> str:
        """Compare every list with the lock; returns the version of the whole."""
        locked = check_lock(self.directory, lambda name, what: self.faults.add(name, None, what))
        self.pinned = {name: (str(entry["version"]), str(entry["date"])) for name, entry in locked.items()}
        return version_of(self.directory, locked)

    def _present(self) -> dict[str, Path]:
        """Every list that is there, by its path under the directory."""
        return {p.relative_to(self.directory).as_posix(): p for p in lists_in(self.directory)}

    # CSV -----------------------------------------------------------------------------------------

    def _rows(self, name: str) -> Iterator[Row]:
        """The rows of a list, then those that the site adds to it."""
        listed = self.rows.setdefault(name, {})
        for row in read_rows(self.directory / name, name, self.faults):
            listed[row.line] = row.values
            yield row
        yield from self.site.rows.get(name, ())

    def _load_systems(self) -> None:
        rows = list(self._rows("codes/systems.csv"))
        for row in rows:
            if row["uri"] in self.uris:
                self.faults.of(row, "lists a URI twice")
            self.uris[row["uri"]] = row["id"]
        self.systems = frozenset(row["id"] for row in rows)
        self.hierarchical = frozenset(row["id"] for row in rows if row["hierarchical"] == "yes")

    def _codes(self, name: str, read: Callable[[Row], T | None]) -> CodeList[T]:
        """A list of codes; a code listed twice is refused."""
        return self._code_list(list(self._rows(name)), read)

    def _code_list(self, rows: list[Row], read: Callable[[Row], T | None]) -> CodeList[T]:
        exact: dict[tuple[str, str], T] = {}
        patterns: dict[tuple[str, int], list[tuple[re.Pattern[str], T]]] = {}
        seen: set[tuple[str, str]] = set()
        for row in rows:
            system, code = row["system"], row["code"]
            if system not in self.systems:
                self.faults.of(row, f"names a code system that is not in systems.csv: {system!r}")
            if not code:
                self.faults.of(row, "has no code")
            if (system, code) in seen:
                self.faults.of(row, f"lists {system} {code} twice")
            seen.add((system, code))
            meaning = self.faults.meaning(row, read)
            if meaning is None:
                continue
            if "?" in code:
                pattern = re.compile("".join("." if char == "?" else re.escape(char) for char in code))
                patterns.setdefault((system, len(code)), []).append((pattern, meaning))
            else:
                exact[system, code] = meaning
        frozen = {key: tuple(found) for key, found in patterns.items()}
        return CodeList(exact, frozen, self.hierarchical, self.site.lists.codes & exact.keys())

    def _phrases(self, name: str, column: str, read: Callable[[Row], T]) -> PhraseList[T]:
        return self._phrase_list(list(self._rows(name)), column, read)

    def _phrase_list(self, rows: list[Row], column: str, read: Callable[[Row], T | None]) -> PhraseList[T]:
        phrases: dict[str, T] = {}
        for row in rows:
            for phrase in filter(None, map(fold, row[column].split(";"))):
                if phrase in phrases:
                    self.faults.of(row, f"lists {phrase!r} twice")
                meaning = self.faults.meaning(row, read)
                if meaning is not None:
                    phrases[phrase] = meaning
        return PhraseList.of(phrases)

    def _whole(self, name: str, read: Callable[[Row], T], column: str = "phrase") -> dict[str, T]:
        """A list of phrases that match whole texts only."""
        return dict(self._phrase_list(list(self._rows(name)), column, read).phrases)

    def _results(self) -> dict[Measure, SuicidalityKind]:
        name = "codes/suicidality_results.csv"
        found: dict[Measure, SuicidalityKind] = {}
        for row in self._once(name, "measure").values():
            measure = self.faults.meaning(row, lambda row: Measure(row["measure"]))
            kind = self.faults.meaning(row, lambda row: SuicidalityKind(row["kind"]))
            if measure is not None and kind is not None:
                found[measure] = kind
        return found

    def _interacting(self, groups: Mapping[str, SafetyGroup]) -> tuple[CodeList[str], PhraseList[str]]:
        """Interacting medicines by code and by name; an ATC code covers every code below it."""
        rows = list(self._rows("safety/medicines.csv"))
        for row in rows:
            if bool(row["code"]) == bool(row["name"]):
                self.faults.of(row, "has not either a code or a name")
        read = self._group_in(groups)
        codes = self._code_list([row for row in rows if row["code"]], read)
        names = self._phrase_list([row for row in rows if row["name"]], "name", read)
        return replace(codes, hierarchical=frozenset({"atc"})), names

    def _coded_and_spoken(self, name: str) -> tuple[list[Row], list[Row]]:
        """The rows of a list that have a code, and those that have a phrase."""
        rows = list(self._rows(name))
        for row in rows:
            if not row["code"] and not row["phrase"]:
                self.faults.of(row, "has neither a code nor a phrase")
        return [row for row in rows if row["code"]], [row for row in rows if row["phrase"]]

    # words ---------------------------------------------------------------------------------------

    def _words(self, name: str) -> PhraseList[str]:
        """Words that a text contains, or that a word of it ends with."""
        return found_by(self._matched(self._rows(name), "word", lambda row: row["word"]))

    def _matched(
        self, rows: Iterable[Row], column: str, read: Callable[[Row], T | None]
    ) -> Iterator[Word[T]]:
        return read_words(rows, column, read, self.faults)

    def _condition_words(
        self, groups: Mapping[str, SafetyGroup], esketamine: list[Row], small_words: SmallWords
    ) -> Vocabulary:
        named = [
            *self._matched(self._rows("safety/condition_words.csv"), "word", self._group_in(groups)),
            *self._matched(self._rows("codes/suicidality_words.csv"), "word", lambda _: SUICIDALITY),
            *self._matched(self._rows("codes/depression_words.csv"), "word", lambda _: DEPRESSION),
            *self._matched(self._rows("codes/remission_words.csv"), "word", lambda _: REMISSION),
            *self._matched(esketamine, "name", lambda _: HYPERSENSITIVITY),
        ]
        return small_words.vocabulary("conditions", named)

    def _indications(self, small_words: SmallWords) -> tuple[CodeList[Indication], Vocabulary]:
        coded, spoken = self._coded_and_spoken("codes/indications.csv")
        phrases = self._phrase_list(spoken, "phrase", lambda _: DEPRESSION).phrases
        named = ((WHOLE, phrase, topic) for phrase, topic in phrases.items())
        codes = self._code_list(coded, lambda _: Indication.DEPRESSION)
        return codes, small_words.vocabulary("indications", named)

    def _stop_reasons(
        self, small_words: SmallWords
    ) -> tuple[CodeList[StopReason], PhraseList[StatedReason | SmallWord]]:
        coded, spoken = self._coded_and_spoken("codes/stop_reasons.csv")
        codes = self._code_list(coded, lambda row: StopReason(row["kind"]))
        stated = [
            (match, word, StatedReason(reason, alone=match == ALONE))
            for match, word, reason in self._matched(spoken, "phrase", lambda row: StopReason(row["kind"]))
        ]
        small = small_words.of("stop-reasons", (word for _, word, _ in stated))
        words: list[Word[StatedReason | SmallWord]] = [*stated, *small]
        return codes, found_by(words)

    def _placeholders(self) -> frozenset[date]:
        days = (
            self.faults.meaning(row, lambda row: date.fromisoformat(row["date"]))
            for row in self._rows("codes/placeholder_dates.csv")
        )
        return frozenset(day for day in days if day is not None)

    # medicines -----------------------------------------------------------------------------------

    def _ingredients(self) -> dict[str, Ingredient]:
        ingredients: dict[str, Ingredient] = {}
        for row in self._rows("codes/antidepressants.csv"):
            if row["name"] in ingredients:
                self.faults.of(row, f"lists {row['name']!r} twice")
            ingredient = self.faults.meaning(row, to_ingredient)
            if ingredient is not None:
                ingredients[ingredient.name] = ingredient
        for row in self._rows("codes/antidepressants.csv"):
            related = row.optional("related")
            if related is not None and related not in ingredients:
                self.faults.of(row, f"names a related ingredient that is not listed: {related!r}")
        return ingredients

    def _medicines(
        self, ingredients: Mapping[str, Ingredient], esketamine_names: list[Row]
    ) -> tuple[PhraseList[MedicineMeaning], CodeList[MedicineMeaning]]:
        """Every name and every code of a medicine, from all the lists, in one place each."""
        agents = self._once("codes/augmenting_agents.csv", "name")
        antidepressants = list(self._rows("codes/antidepressants.csv"))
        coded = [
            *codes_of(antidepressants, ("rxnorm", "atc", "snomed"), of_ingredient),
            *codes_of(agents.values(), ("rxnorm", "atc"), of_agent),
            *self._products(ingredients, agents),
            *self._agent_products(agents),
        ]
        esketamine = list(self._rows("codes/esketamine.csv"))
        coded.extend((row, row["system"], row["code"], of_esketamine(row)) for row in esketamine)
        named = [
            *((row, row["names"], of_ingredient(row)) for row in antidepressants),
            *((row, row["names"], of_agent(row)) for row in agents.values()),
            *self._names_in_languages(antidepressants),
            *((row, row["name"], never_a_trial(row)) for row in self._rows("codes/not_trial_names.csv")),
        ]
        matched = self._matched(esketamine_names, "name", of_esketamine)
        return self._medicine_names(named, list(matched)), self._medicine_codes(coded)

    def _names_in_languages(self, antidepressants: list[Row]) -> Iterator[tuple[Row, str, MedicineMeaning]]:
        """The names of antidepressants in further languages."""
        known = {row["name"]: of_ingredient(row) for row in antidepressants}
        for row in self._rows("codes/antidepressant_names.csv"):
            if row["ingredient"] not in known:
                self.faults.of(row, f"names an ingredient that is not listed: {row['ingredient']!r}")
            else:
                yield row, row["name"], known[row["ingredient"]]

    def _once(self, name: str, column: str) -> dict[str, Row]:
        """The rows of a list by a column that no two of them may share."""
        rows: dict[str, Row] = {}
        for row in self._rows(name):
            if rows.setdefault(row[column], row) is not row:
                self.faults.of(row, f"lists {row[column]!r} twice")
        return rows

    def _products_in(self, name: str) -> Iterator[Row]:
        """The rows of a list of products, each of which may stand there once."""
        seen = set()
        for row in self._rows(name):
            if (code := code_of_product(row)) in seen:
                self.faults.of(row, f"lists {' '.join(code)} twice")
            seen.add(code)
            yield row

    def _products(self, ingredients: Mapping[str, Ingredient], agents: Mapping[str, Row]) -> Iterator[Coded]:
        for row in self._products_in("codes/antidepressant_products.csv"):
            name = row.optional("ingredient")
            if name is not None and name not in ingredients and name not in agents:
                self.faults.of(row, f"names an ingredient that is not listed: {name!r}")
            if name is None and not row["not_a_trial"]:
                self.faults.of(row, "has neither an ingredient nor a reason why it is no trial")
            product = self.faults.meaning(row, of_product)
            if product is not None:
                if name in agents:
                    product = product._replace(role=Role.AUGMENTING)
                yield row, *code_of_product(row), product

    def _agent_products(self, agents: Mapping[str, Row]) -> Iterator[Coded]:
        for row in self._products_in("codes/augmenting_products.csv"):
            if row["agent"] not in agents:
                self.faults.of(row, f"names an agent that is not listed: {row['agent']!r}")
            yield row, *code_of_product(row), MedicineMeaning(Role.AUGMENTING, row["agent"])

    def _medicine_codes(self, coded: list[Coded]) -> CodeList[MedicineMeaning]:
        """One code may stand in two lists only when both say the same."""
        exact: dict[tuple[str, str], MedicineMeaning] = {}
        for row, system, code, meaning in coded:
            if system not in self.systems:
                self.faults.of(row, f"names a code system that is not in systems.csv: {system!r}")
            known = exact.setdefault((system, code), meaning)
            if known != meaning:
                self.faults.of(row, f"gives {system} {code} a second meaning")
        return CodeList(exact, of_site=self.site.lists.codes & exact.keys())

    def _medicine_names(
        self, named: list[tuple[Row, str, MedicineMeaning]], matched: list[Word[MedicineMeaning]]
    ) -> PhraseList[MedicineMeaning]:
        """Every name of a medicine; the names of esketamine and ketamine are found inside words too."""
        phrases: dict[str, MedicineMeaning] = {}
        for row, names, meaning in named:
            for name in filter(None, map(fold, names.split(";"))):
                if name in phrases and phrases[name] != meaning:
                    self.faults.of(row, f"gives the name {name!r} a second meaning")
                phrases[name] = meaning
        return found_by([*((WHOLE, name, meaning) for name, meaning in phrases.items()), *matched])

    # safety --------------------------------------------------------------------------------------

    def _safety_groups(self) -> dict[str, SafetyGroup]:
        groups: dict[str, SafetyGroup] = {}
        for row in self._rows("safety/groups.csv"):
            if row["id"] in groups:
                self.faults.of(row, f"lists the group {row['id']!r} twice")
            group = self.faults.meaning(row, self._safety_group)
            if group is not None:
                groups[group.id] = group
        return groups

    def _safety_group(self, row: Row) -> SafetyGroup:
        if not re.match(NAME, row["id"]):
            raise ValueError("an id has letters, digits, hyphens and dots, 31 at most")
        effect = row[self.region]
        days = row.optional("within_days")
        return SafetyGroup(
            row["id"],
            row["title"],
            None if effect == "none" else Effect(effect),
            ResolvedRule(row["resolved"]),
            int(days) if days else None,
            row["words_beside_code"] == "yes",
            row[f"{self.region}_section"],
        )

    def _group_in(self, groups: Mapping[str, SafetyGroup]) -> Callable[[Row], str | None]:
        def read(row: Row) -> str | None:
            if row["group"] in groups:
                return row["group"]
            self.faults.of(row, f"names a safety group that is not listed: {row['group']!r}")
            return None

        return read

    def _safety_procedures(
        self, groups: Mapping[str, SafetyGroup]
    ) -> tuple[CodeList[str], PhraseList[ProcedureWord]]:
        """Procedures that tell of a safety group; in ICD-10-PCS, `?` stands for any one character."""
        codes = self._codes("safety/procedures.csv", self._group_in(groups))
        words = self._matched(self._rows("safety/procedure_words.csv"), "word", self._procedure_word(groups))
        return replace(codes, hierarchical=codes.hierarchical | {"icd-10-pcs"}), found_by(words)

    def _procedure_word(self, groups: Mapping[str, SafetyGroup]) -> Callable[[Row], ProcedureWord | None]:
        group_in = self._group_in(groups)

        def read(row: Row) -> ProcedureWord | None:
            beside = frozenset(filter(None, row["beside"].split(";")))
            if beside - groups.keys():
                self.faults.of(row, f"names a safety group that is not listed: {row['beside']!r}")
            group = group_in(row)
            return None if group is None else ProcedureWord(group, beside)

        return read

    def _allergies(
        self, groups: Mapping[str, SafetyGroup], esketamine: list[Row], small_words: SmallWords
    ) -> tuple[CodeList[str], Vocabulary]:
        """Allergies by code and by name. A drug that is not named counts only in a text of nothing else."""
        rows = list(self._rows("safety/allergies.csv"))
        read = self._group_in(groups)
        codes = self._code_list([row for row in rows if row["code"]], read)
        names = self._phrase_list([row for row in rows if row["name"]], "name", read).phrases
        others = self._phrase_list(
            list(self._rows("safety/other_allergens.csv")), "name", lambda _: OTHER_ALLERGEN
        ).phrases
        named = [
            *((ALONE if topic == UNNAMED_DRUG else WHOLE, name, topic) for name, topic in names.items()),
            *((WHOLE, name, topic) for name, topic in others.items()),
            *self._matched(esketamine, "name", lambda _: HYPERSENSITIVITY),
        ]
        return codes, small_words.vocabulary("allergies", named)

    def _refuse_overlap(self, one: CodeList[Any], other: CodeList[Any], name: str) -> None:
        for system, code in sorted(one.exact.keys() & other.exact.keys()):
            self.faults.add(name, None, f"lists {system} {code}, which another list includes")

    # TOML ----------------------------------------------------------------------------------------

    def _toml(self, name: str, model: type[M]) -> M | None:
        path = self.directory / name
        try:
            return model.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            self.faults.add(name, None, "missing")
        except tomllib.TOMLDecodeError as error:
            self.faults.add(name, None, f"is not TOML: {error}")
        except ValidationError as error:
            text = path.read_text(encoding="utf-8")
            for fault in error.errors(include_url=False, include_input=False):
                where = ".".join(str(part) for part in fault["loc"])
                self.faults.add(name, _line_of(text, fault["loc"]), f"{where}: {fault['msg']}")
        return None

    def _files(self, folder: str, model: type[S]) -> list[S]:
        """Every TOML file of a folder, each named after the id it gives itself."""
        found = []
        for path in sorted((self.directory / folder).glob("*.toml")):
            name = f"{folder}/{path.name}"
            read = self._toml(name, model)
            if read is not None and read.id != path.stem:
                self.faults.add(name, None, f"has the id {read.id!r}, not that of its file name")
            if read is not None:
                found.append(read)
        return found


def _chosen_criteria(sets: Mapping[str, Criteria], criteria_id: str) -> Criteria:
    """The criteria set of an id; raises `SettingsError` that names those there are."""
    if criteria_id not in sets:
        known = ", ".join(sorted(sets))
        raise SettingsError(f"TRD_CRITERIA: no criteria set {criteria_id!r}; there are: {known}")
    return sets[criteria_id]


def _line_of(text: str, path: tuple[int | str, ...]) -> int | None:
    """The line of a fault: each key of its path is looked for after the one before it."""
    lines = text.splitlines()
    at = -1
    for key, following in zip(path, (*path[1:], None), strict=True):
        if isinstance(key, int):
            continue
        later = range(at + 1, len(lines))
        tables = [n for n in later if re.match(rf"\s*\[\[{re.escape(key)}\]\]", lines[n])]
        nth = following if isinstance(following, int) else 0
        named = tables[nth:] or [n for n in later if re.match(rf"\s*\[?{re.escape(key)}\b", lines[n])]
        at = named[0] if named else at
    return at + 1 if at >= 0 else None
