"""Facts that the lists must hold, whoever edits them."""

import csv
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.core.diagnoses import place_allergy
from service.core.knowledge import CodeList, Effect, InferredFailure, Knowledge, TrdSeverity
from service.core.medicines import identify_medicine
from service.core.phrases import PhraseList
from service.core.reasons import read_stop_reasons
from service.core.records import Concept, Depression, DepressionState, Role, Severity, SuicidalityKind
from service.gather.files import read_bundle
from service.knowledge import lists_in, load_knowledge, mappings_directory
from service.read.record import read_record
from tests.core.builders import EU, US, coded

LISTS = mappings_directory()


def rows(name: str) -> Iterator[dict[str, str]]:
    with (LISTS / name).open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


# medicines -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "ingredient"),
    [
        ("4493", "fluoxetine"),
        ("36437", "sertraline"),
        ("2556", "citalopram"),
        ("321988", "escitalopram"),
        ("39786", "venlafaxine"),
        ("42347", "bupropion"),
        ("15996", "mirtazapine"),
        ("72625", "duloxetine"),
    ],
)
def test_ingredient_code(code: str, ingredient: str) -> None:
    meaning = US.medicine_codes.meaning("rxnorm", code)
    assert meaning is not None
    assert (meaning.role, meaning.ingredient, meaning.not_a_trial) == (Role.ANTIDEPRESSANT, ingredient, None)


@pytest.mark.parametrize(
    ("ingredient", "minimum", "strict"),
    [
        ("citalopram", 20, None),
        ("escitalopram", 10, None),
        ("fluoxetine", 20, None),
        ("fluvoxamine", 100, None),
        ("sertraline", 50, None),
        ("venlafaxine", 75, 150),
        ("bupropion", 150, 300),
        ("duloxetine", 60, None),
        ("mirtazapine", 15, None),
        ("amitriptyline", 150, None),
        ("nortriptyline", 75, None),
        ("phenelzine", 45, None),
        ("selegiline", 6, None),
        ("gepirone", None, None),
    ],
)
def test_minimum_dose(ingredient: str, minimum: float | None, strict: float | None) -> None:
    found = US.ingredients[ingredient]
    assert (found.minimum_mg, found.strict_minimum_mg) == (minimum, strict)


def test_a_strict_minimum_is_never_below_the_lenient_one() -> None:
    for ingredient in US.ingredients.values():
        if ingredient.strict_minimum_mg is not None:
            assert ingredient.minimum_mg is not None
            assert ingredient.strict_minimum_mg > ingredient.minimum_mg


@pytest.mark.parametrize("code", ["2119365", "2119389", "2119390", "2119391", "6130"])
def test_esketamine_and_ketamine_are_no_trial(code: str) -> None:
    meaning = US.medicine_codes.meaning("rxnorm", code)
    assert meaning is not None
    assert meaning.role is Role.ESKETAMINE


@pytest.mark.parametrize(
    "ingredient",
    ["5-hydroxytryptophan", "brexanolone", "hypericum", "tryptophan", "zuranolone", "esketamine", "ketamine"],
)
def test_never_a_prior_trial(ingredient: str) -> None:
    assert US.ingredients[ingredient].not_a_trial


def test_bupropion_for_smoking_is_never_a_trial() -> None:
    found = identify_medicine(coded("rxnorm", "1801289"), US)
    assert (found.ingredient, found.not_a_trial) == ("bupropion", "smoking-cessation")


def test_oral_selegiline_is_not_the_patch() -> None:
    assert US.medicine_codes.meaning("rxnorm", "9639") is None
    assert US.medicine_codes.meaning("atc", "N04BD01") is None


def test_every_product_has_an_ingredient_or_says_why_not() -> None:
    for row in rows("codes/antidepressant_products.csv"):
        assert row["ingredient"] or row["not_a_trial"], row["rxnorm"]
        found = identify_medicine(coded("rxnorm", row["rxnorm"]), US)
        assert found.ingredient == (row["ingredient"] or None)
        assert found.identified.value == "coded"


def test_every_product_agrees_with_its_own_words() -> None:
    """The display of a product never contradicts its code or its strength."""
    for name in (
        "codes/antidepressant_products.csv",
        "codes/augmenting_products.csv",
        "codes/esketamine.csv",
    ):
        for row in rows(name):
            system, code = row.get("system", "rxnorm"), row.get("rxnorm") or row["code"]
            alone = identify_medicine(coded(system, code), US)
            named = identify_medicine(coded(system, code, row["display"]), US)
            assert (named.identified, named.role) == (alone.identified, alone.role), row
            assert named.ingredient == alone.ingredient, row
            assert alone.strength_mg in {None, named.strength_mg}, row


def test_a_strength_is_that_of_a_unit_and_only_a_pack_of_several_has_none() -> None:
    for row in rows("codes/antidepressant_products.csv"):
        assert row["unit"] in {"", "tablet", "capsule", "patch", "mL", "pack"}, row["rxnorm"]
        assert bool(row["strength_mg"]) == (row["unit"] not in {"", "pack"}), row["rxnorm"]


def test_related_ingredients_name_each_other() -> None:
    for name, ingredient in US.ingredients.items():
        if ingredient.related and not ingredient.related.startswith("bupropion"):
            assert US.ingredients[ingredient.related].related == name


# depression ------------------------------------------------------------------------------------

CM, WHO, SNOMED = "icd-10-cm", "icd-10", "snomed"
MDD, PARTIAL = DepressionState.MDD, DepressionState.PARTIAL_REMISSION
FULL, UNSPECIFIED = DepressionState.REMISSION, DepressionState.UNSPECIFIED


@pytest.mark.parametrize(
    ("system", "code", "expected"),
    [
        (CM, "F32.1", Depression(MDD, Severity.MODERATE, psychotic=False)),
        (CM, "F33.3", Depression(MDD, Severity.SEVERE, psychotic=True)),
        (CM, "F32.4", Depression(PARTIAL, None, psychotic=False)),
        (CM, "F33.41", Depression(PARTIAL, None, psychotic=False)),
        (CM, "F33.4", Depression(FULL, None, psychotic=False)),
        (CM, "F33.42", Depression(FULL, None, psychotic=False)),
        (CM, "F32.5", Depression(FULL, None, psychotic=False)),
        (CM, "F32.A", Depression(UNSPECIFIED, None, psychotic=False)),
        (CM, "F32.9", Depression(MDD, None, psychotic=False)),
        (WHO, "F32.9", Depression(MDD, None, psychotic=False)),
        (WHO, "F33.9", Depression(MDD, None, psychotic=False)),
        (WHO, "F33.4", Depression(FULL, None, psychotic=False)),
        (WHO, "F32.2", Depression(MDD, Severity.SEVERE, psychotic=False)),
        (WHO, "F32", Depression(UNSPECIFIED, None, psychotic=False)),
        (SNOMED, "370143000", Depression(MDD, None, psychotic=False)),
        (SNOMED, "35489007", Depression(UNSPECIFIED, None, psychotic=False)),
        (CM, "F32", None),
        (CM, "F34.1", None),
        (CM, "F43.21", None),
        (CM, "F53.0", None),
        (WHO, "F32.A", Depression(UNSPECIFIED, None, psychotic=False)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_depression(system: str, code: str, expected: Depression | None) -> None:
    assert US.depression.meaning(system, code) == expected


@pytest.mark.parametrize(
    ("system", "code"),
    [(CM, "F34.1"), (CM, "F43.21"), (CM, "F53.0"), (CM, "F32.81"), (CM, "F32.89"), (SNOMED, "78667006")],
)
def test_look_alikes_are_no_major_depression(system: str, code: str) -> None:
    assert US.not_depression.meaning(system, code) is not None
    assert US.depression.meaning(system, code) is None


def test_severe_bipolar_ii_depression_is_bipolar() -> None:
    assert US.depression.meaning(SNOMED, "67002003") is None
    assert US.not_depression.meaning(SNOMED, "67002003") == "bipolar"
    assert US.safety_conditions.meaning(SNOMED, "67002003") == "bipolar"


def test_every_bipolar_look_alike_is_reviewed_for_safety() -> None:
    for row in rows("codes/depression_exclude.csv"):
        if row["reason"] == "bipolar":
            assert US.safety_conditions.meaning(row["system"], row["code"]) == "bipolar", row


def test_no_code_is_both_depression_and_not() -> None:
    for row in rows("codes/depression_exclude.csv"):
        assert US.depression.meaning(row["system"], row["code"]) is None, row


# suicidality -----------------------------------------------------------------------------------

IDEATION, BEHAVIOUR = SuicidalityKind.IDEATION, SuicidalityKind.BEHAVIOUR
HISTORY, SELF_HARM = SuicidalityKind.HISTORY, SuicidalityKind.NON_SUICIDAL
UNDETERMINED = SuicidalityKind.UNDETERMINED


@pytest.mark.parametrize(
    ("system", "code", "expected"),
    [
        (CM, "R45.851", IDEATION),
        (CM, "T39.012A", BEHAVIOUR),
        (CM, "T39.012D", BEHAVIOUR),
        (CM, "T39.012S", HISTORY),
        (CM, "T39.011A", None),
        (CM, "T14.91XA", BEHAVIOUR),
        (CM, "T14.91XS", HISTORY),
        (CM, "T14.90XA", None),
        (CM, "T71.162A", BEHAVIOUR),
        (CM, "T71.162S", HISTORY),
        (CM, "T71.161A", None),
        (CM, "X78.0XXA", BEHAVIOUR),
        (CM, "X78.0XXS", HISTORY),
        (CM, "Z91.51", HISTORY),
        (CM, "Z91.52", SELF_HARM),
        (CM, "R45.88", SELF_HARM),
        (WHO, "X60", BEHAVIOUR),
        (WHO, "X84.9", BEHAVIOUR),
        (WHO, "X85", None),
        (WHO, "Y87.0", HISTORY),
        (SNOMED, "6471006", IDEATION),
        (SNOMED, "82313006", BEHAVIOUR),
        (SNOMED, "161474000", HISTORY),
        # intentional self-poisoning
        (SNOMED, "59274003", BEHAVIOUR),
        (SNOMED, "274228002", BEHAVIOUR),
        # undetermined intent: only 4 as the sixth character, and the Y codes from Y10 to Y34
        (SNOMED, "269735005", UNDETERMINED),
        (SNOMED, "363293009", UNDETERMINED),
        (CM, "T39.014A", UNDETERMINED),
        (CM, "T39.014D", UNDETERMINED),
        (CM, "T39.014S", HISTORY),
        (CM, "T39.013A", None),
        (CM, "T39.015A", None),
        (CM, "T36.94XA", UNDETERMINED),
        (CM, "T36.94XS", HISTORY),
        (CM, "T36.93XA", None),
        (CM, "T50.A14A", UNDETERMINED),
        (CM, "T65.94XA", UNDETERMINED),
        (CM, "T58.04XA", UNDETERMINED),
        (CM, "T71.164A", UNDETERMINED),
        (CM, "T71.164S", HISTORY),
        (CM, "T35.4", None),
        (CM, "T66.XXXA", None),
        (CM, "Y21.0XXA", UNDETERMINED),
        (CM, "Y21.0XXS", HISTORY),
        (CM, "Y33.XXXA", UNDETERMINED),
        (CM, "Y20", None),
        (CM, "Y35.009A", None),
        (WHO, "Y10", UNDETERMINED),
        (WHO, "Y34.9", UNDETERMINED),
        (WHO, "Y09", None),
        (WHO, "Y35", None),
        (WHO, "Y87.1", None),
        (WHO, "Y87.2", HISTORY),
        ("icd-9-cm", "E980.0", UNDETERMINED),
        ("icd-9-cm", "E988.9", UNDETERMINED),
        ("icd-9-cm", "E989", HISTORY),
        ("icd-9-cm", "E979", None),
        ("icd-9-cm", "E990", None),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_suicidality(system: str, code: str, expected: SuicidalityKind | None) -> None:
    assert US.suicidality.meaning(system, code) == expected


# safety ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("system", "code", "group"),
    [
        (CM, "I71.4", "aneurysm"),
        (CM, "I71.43", "aneurysm"),
        (CM, "I71.40", "aneurysm"),
        (CM, "I71.1", "aneurysm"),
        (WHO, "I71.4", "aneurysm"),
        (CM, "I71.00", "aneurysm-other"),
        (CM, "I61.9", "intracerebral-haemorrhage"),
        (CM, "I69.154", "intracerebral-haemorrhage"),
        (WHO, "I69.1", "intracerebral-haemorrhage"),
        (CM, "I69.354", "stroke-history"),
        (CM, "F31.81", "bipolar"),
        (CM, "F10.20", "substance-use-disorder"),
        (CM, "O09.90", "pregnancy"),
        (CM, "F17.210", None),
        (WHO, "F17.2", None),
        (CM, "Z87.891", None),
        (CM, "F32.1", None),
        (SNOMED, "67362008", "aneurysm"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_safety_condition(system: str, code: str, group: str | None) -> None:
    assert US.safety_conditions.meaning(system, code) == group


EVENT, OTHER, BLEED = (
    "recent-cardiovascular-event",
    "aneurysm-other",
    "intracranial-haemorrhage-other",
)
AVM, HHT = "arteriovenous-malformation", "haemorrhagic-telangiectasia"
ICD_9 = "icd-9-cm"


@pytest.mark.parametrize(
    ("system", "code", "group"),
    [
        # acute coronary events, and what stands beside them
        (CM, "I20.0", EVENT),
        (CM, "I20.1", "coronary-disease"),
        (CM, "I20.9", "coronary-disease"),
        (CM, "I23.7", EVENT),
        (CM, "I24.0", EVENT),
        (CM, "I24.1", "coronary-disease"),
        (CM, "I24.81", EVENT),
        (CM, "I24.9", EVENT),
        (CM, "I25.10", "coronary-disease"),
        (CM, "I25.110", EVENT),
        (CM, "I25.111", "coronary-disease"),
        (CM, "I25.119", "coronary-disease"),
        (CM, "I25.700", EVENT),
        (CM, "I25.790", EVENT),
        (CM, "I25.798", "coronary-disease"),
        (CM, "I25.2", "coronary-disease"),
        (CM, "I46.9", EVENT),
        (WHO, "I46.9", EVENT),
        (CM, "I77.810", "aneurysm-other"),
        (WHO, "I20.0", EVENT),
        (WHO, "I20.8", "coronary-disease"),
        (WHO, "I24.9", EVENT),
        (WHO, "I25.2", "coronary-disease"),
        (WHO, "I25.20", EVENT),
        (WHO, "I25.21", "coronary-disease"),
        (ICD_9, "411.1", EVENT),
        (ICD_9, "411.0", "coronary-disease"),
        (ICD_9, "412", "coronary-disease"),
        (SNOMED, "394659003", EVENT),
        (SNOMED, "4557003", EVENT),
        # strokes, and their sequelae and history
        (CM, "I63.9", "stroke"),
        (CM, "G45.9", "stroke"),
        (WHO, "I64", "stroke"),
        (CM, "I65.2", None),
        (CM, "G46", None),
        (CM, "Z86.73", "stroke-history"),
        (WHO, "I69.4", "stroke-history"),
        (CM, "I69.00", BLEED),
        (ICD_9, "434.91", "stroke"),
        (ICD_9, "437.9", None),
        (ICD_9, "438.2", "stroke-history"),
        # malformations of pulmonary and other vessels
        (CM, "Q25.72", AVM),
        (CM, "Q25.71", None),
        (CM, "Q25.79", OTHER),
        (CM, "Q25.6", None),
        (WHO, "Q25.7", OTHER),
        (WHO, "Q25.6", None),
        (CM, "I28.0", OTHER),
        (CM, "I28.8", None),
        (CM, "I77.0", None),
        (CM, "Q28.1", OTHER),
        (CM, "Q28.8", OTHER),
        (CM, "Q28.9", None),
        (WHO, "Q28.8", OTHER),
        (ICD_9, "747.32", AVM),
        (ICD_9, "747.31", None),
        (ICD_9, "417.0", OTHER),
        (ICD_9, "417.8", None),
        # hereditary haemorrhagic telangiectasia
        (CM, "I78.0", HHT),
        (CM, "I78.1", None),
        (WHO, "I78.0", HHT),
        (ICD_9, "448.0", HHT),
        (ICD_9, "448.1", None),
        (SNOMED, "21877004", HHT),
        # bleeding in the skull after an injury, and other injuries
        (CM, "S06.4X0A", BLEED),
        (CM, "S06.5X9D", BLEED),
        (CM, "S06.6XAS", BLEED),
        (CM, "S06.0X0A", None),
        (CM, "S06.311A", None),
        (CM, "S06.2X0A", None),
        (CM, "S06.890A", None),
        (CM, "S06.9X0A", None),
        (WHO, "S06.4", BLEED),
        (WHO, "S06.6", BLEED),
        (WHO, "S06.33", BLEED),
        (WHO, "S06.3", None),
        (WHO, "S06.8", BLEED),
        (WHO, "S06.9", None),
        (ICD_9, "852.21", BLEED),
        (ICD_9, "851.0", None),
        (ICD_9, "854.0", None),
        (ICD_9, "800.26", BLEED),
        (ICD_9, "800.16", None),
        (ICD_9, "804.8", BLEED),
        (ICD_9, "804.9", None),
        (ICD_9, "802.2", None),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_code_next_to_a_group_is_not_in_it(system: str, code: str, group: str | None) -> None:
    assert US.safety_conditions.meaning(system, code) == group


REPAIR = "vascular-repair"


@pytest.mark.parametrize(
    ("system", "code", "group"),
    [
        ("cpt", "34701", REPAIR),
        ("cpt", "34712", None),
        ("cpt", "34713", None),
        ("cpt", "35081", REPAIR),
        ("cpt", "35184", None),
        ("cpt", "61700", REPAIR),
        ("cpt", "61711", None),
        ("cpt", "61624", REPAIR),
        ("cpt", "61623", None),
        ("cpt", "61645", None),
        ("cpt", "37242", REPAIR),
        ("cpt", "37241", None),
        ("cpt", "37243", None),
        ("cpt", "76706", None),
        ("icd-10-pcs", "04V03DZ", REPAIR),
        ("icd-10-pcs", "03VG0CZ", REPAIR),
        ("icd-10-pcs", "03VH3DZ", None),
        ("icd-10-pcs", "04V13DZ", None),
        ("icd-10-pcs", "02LR3DZ", REPAIR),
        ("icd-10-pcs", "02LR3DT", None),
        ("icd-10-pcs", "04V0", None),
        ("icd-9-cm", "39.51", REPAIR),
        ("icd-9-cm", "39.53", None),
        ("icd-9-cm", "39.74", None),
        (SNOMED, "444588006", REPAIR),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_safety_procedure(system: str, code: str, group: str | None) -> None:
    assert US.safety_procedures.meaning(system, code) == group


CONTRAINDICATIONS = {
    "aneurysm",
    "arteriovenous-malformation",
    "intracerebral-haemorrhage",
    "hypersensitivity",
}


def test_what_excludes_is_what_the_labels_contraindicate() -> None:
    excluding = [{g.id for g in k.safety_groups.values() if g.effect is Effect.EXCLUDES} for k in (US, EU)]
    assert excluding == [CONTRAINDICATIONS, CONTRAINDICATIONS | {"recent-cardiovascular-event"}]


def test_every_group_of_a_contraindication_has_rows_in_every_code_system() -> None:
    systems = {(row["group"], row["system"]) for row in rows("safety/conditions.csv")}
    for group in CONTRAINDICATIONS - {"hypersensitivity"}:
        assert {(group, system) for system in (CM, WHO, SNOMED)} <= systems


def test_an_allergy_is_known_by_code_and_by_name() -> None:
    assert US.allergy_codes.meaning("rxnorm", "2119365") == "hypersensitivity"
    assert place_allergy((Concept(text="allergic to Ketamine"),), US).groups == (("hypersensitivity", True),)
    assert place_allergy((Concept(text="penicillin"),), US).groups == ()


# hierarchy, patterns and phrases ---------------------------------------------------------------


def test_a_code_below_a_listed_one_means_the_same_and_the_nearest_wins() -> None:
    found: CodeList[str] = CodeList({("icd", "I71"): "far", ("icd", "I71.4"): "near"}, {}, frozenset({"icd"}))
    assert [found.meaning("icd", code) for code in ("I71", "I71.0", "I71.4", "I71.43", "I7", "")] == [
        *("far", "far", "near", "near"),
        *(None, None),
    ]
    assert found.meaning(None, "I71") is None
    assert found.meaning("icd", None) is None


def test_codes_of_other_systems_match_exactly() -> None:
    found: CodeList[str] = CodeList({("snomed", "1234"): "known"})
    assert (found.meaning("snomed", "12345"), found.meaning("snomed", "123")) == (None, None)


def test_the_first_coding_that_is_known_speaks() -> None:
    assert US.depression.first(coded("icd-10-cm", "F32.1")) is not None
    assert US.depression.first(coded("urn:other", "F32.1")) is None


def test_the_longest_phrase_wins_and_words_are_whole() -> None:
    found = PhraseList.of({"effective": 1, "not effective": 2})
    assert found.all_in("It was NOT EFFECTIVE, then effective") == (2, 1)
    assert found.all_in("ineffective") == ()
    assert PhraseList.of({}).all_in("anything") == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("did not help", ["ineffective"]),
        ("no side effects", ["other"]),
        ("side effects", ["intolerance"]),
        ("in remission", ["remission"]),
        ("partial remission", ["unclear"]),
        ("too expensive", ["other"]),
    ],
)
def test_stop_phrases(text: str, expected: list[str]) -> None:
    assert [reason.value for reason in read_stop_reasons([Concept(text=text)], US)] == expected


# systems, protocols, criteria ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("uri", "system"),
    [
        ("http://www.nlm.nih.gov/research/umls/rxnorm", "rxnorm"),
        ("http://snomed.info/sct", "snomed"),
        ("http://hl7.org/fhir/sid/icd-10-cm", "icd-10-cm"),
        ("http://hl7.org/fhir/sid/icd-10", "icd-10"),
        ("urn:oid:2.16.840.1.113883.6.90", "icd-10-cm"),
    ],
)
def test_code_system(uri: str, system: str) -> None:
    assert US.systems[uri] == system


def test_icd_is_hierarchical_and_snomed_is_not() -> None:
    assert US.classification_systems == {"icd-10-cm", "icd-10", "icd-9-cm"}


@pytest.mark.parametrize(
    ("protocol", "sessions"),
    [
        ("us-trd", [8, 4]),
        ("eu-trd", [8, 4]),
        ("eu-trd-65plus", [8, 4]),
        ("us-mdsi", [8]),
        ("eu-emergency", [8]),
    ],
)
def test_sessions_of_a_protocol(protocol: str, sessions: list[int]) -> None:
    found = next(p for p in US.protocols if p.id == protocol)
    assert [(p.last_week - p.first_week + 1) * p.sessions_a_week for p in found.phases] == sessions
    assert [p.name for p in found.phases] == ["induction", "maintenance"][: len(sessions)]
    assert all({*p.dose_options_mg, *p.first_dose_mg} <= {28, 56, 84} for p in found.phases)


def test_there_are_five_protocols_and_every_adult_has_one_for_resistance() -> None:
    assert len(US.protocols) == 5
    for region in ("us", "eu"):
        for age in range(18, 111):
            fit = [
                p.id
                for p in US.protocols
                if (p.region, p.pathway) == (region, "trd") and p.min_age <= age <= (p.max_age or age)
            ]
            assert len(fit) == 1, (region, age)


def test_the_seed_criteria_are_those_of_the_owner() -> None:
    seed = US.criteria
    assert (seed.id, seed.required_trials, seed.minimum_days, seed.grace_days) == ("seed", 2, 42, 30)
    assert seed.undocumented_dose.value == "assume"


@pytest.mark.parametrize("path", sorted((LISTS / "criteria").glob("*.toml")), ids=lambda path: path.stem)
@pytest.mark.parametrize("region", ["us", "eu"])
def test_every_criteria_set_loads_in_every_region(path: Path, region: str) -> None:
    found: Knowledge = load_knowledge(LISTS, criteria=path.stem, region=region)
    assert (found.criteria.id, found.region) == (path.stem, region)


@pytest.mark.parametrize("path", sorted((LISTS / "criteria").glob("*.toml")), ids=lambda path: path.stem)
def test_no_set_takes_an_end_alone_for_a_failure(path: Path) -> None:
    counted = load_knowledge(LISTS, criteria=path.stem, region="us").criteria.counted_inferences
    assert InferredFailure.ENDED_WHILE_ACTIVE not in counted


def test_only_the_european_label_asks_for_a_severity() -> None:
    sets = {path.stem for path in (LISTS / "criteria").glob("*.toml")}
    asking = {
        name
        for name in sets
        if load_knowledge(LISTS, criteria=name, region="eu").criteria.trd_severity is not TrdSeverity.ANY
    }
    assert asking == {"ema"}


def test_every_list_is_locked_with_its_source() -> None:
    locked = tomllib.loads((LISTS / "lock.toml").read_text(encoding="utf-8"))["list"]
    assert {entry["file"] for entry in locked} == {p.relative_to(LISTS).as_posix() for p in lists_in(LISTS)}
    assert all(entry["source"] and entry["version"] and entry["date"] for entry in locked)


def test_every_criteria_set_and_protocol_is_locked_under_the_version_that_it_states() -> None:
    locked = tomllib.loads((LISTS / "lock.toml").read_text(encoding="utf-8"))["list"]
    stated = {
        path.relative_to(LISTS).as_posix(): tomllib.loads(path.read_text(encoding="utf-8"))["version"]
        for folder in ("criteria", "protocols")
        for path in (LISTS / folder).glob("*.toml")
    }
    assert {e["file"]: e["stated_version"] for e in locked if "stated_version" in e} == stated


def test_every_code_row_names_a_source() -> None:
    for path in LISTS.rglob("*.csv"):
        for row in rows(path.relative_to(LISTS).as_posix()):
            assert row["source"].strip(), (path.name, row)


# languages -------------------------------------------------------------------------------------

FIVE = {"en", "de", "fr", "es", "nl"}
TWELVE = FIVE | {"it", "pt", "da", "sv", "no", "fi", "pl"}
SCRIPTS = {
    "ru",
    "uk",
    "el",
    "ar",
    "fa",
    "ur",
    "he",
    "zh",
    "ja",
    "ko",
    "th",
    "hi",
    "mr",
    "bn",
    "ta",
    "te",
    "ka",
    "hy",
}
LANGUAGES = {
    "codes/small_words.csv": FIVE,
    "codes/stop_reasons.csv": FIVE,
    "codes/dose_phrases.csv": FIVE,
    "codes/suicidality_words.csv": TWELVE,
    "codes/depression_words.csv": TWELVE,
    "codes/remission_words.csv": TWELVE,
    "codes/indications.csv": TWELVE,
    "safety/condition_words.csv": TWELVE,
    "codes/esketamine_names.csv": TWELVE | SCRIPTS,
    "codes/antidepressant_names.csv": TWELVE - {"en"},
    "codes/antidepressant_words.csv": TWELVE,
    "codes/not_trial_names.csv": TWELVE - {"fr", "nl"},
    "safety/procedure_words.csv": FIVE,
    "safety/allergies.csv": FIVE,
    "safety/other_allergens.csv": FIVE,
    "safety/medicines.csv": {"en", "de"},
    "codes/procedure_words.csv": {"en", "de"},
    "codes/observation_words.csv": {"en"},
    "codes/answer_words.csv": {"en"},
}
"""The languages that each list of words claims, as `docs/how-it-decides.md` says them."""


@pytest.mark.parametrize("name", LANGUAGES)
def test_a_list_of_words_covers_the_languages_that_it_claims(name: str) -> None:
    found = {language for row in rows(name) for language in row["language"].split(";")}
    assert found - {"", "mul"} == LANGUAGES[name]


@pytest.mark.parametrize("name", LANGUAGES)
def test_every_row_of_words_names_its_languages_and_no_row_of_a_code_does(name: str) -> None:
    for row in rows(name):
        assert bool(row["language"]) is not bool(row.get("code")), row


@pytest.mark.parametrize("group", sorted(CONTRAINDICATIONS - {"hypersensitivity"}))
def test_every_contraindication_has_words_in_twelve_languages(group: str) -> None:
    found = (row["language"] for row in rows("safety/condition_words.csv") if row["group"] == group)
    assert {language for languages in found for language in languages.split(";")} == TWELVE


# what reading does with codes ------------------------------------------------------------------


@pytest.mark.parametrize("code", ["I714", "i71.4", " I71.4 ", "I7143"])
def test_an_icd_code_is_read_with_or_without_its_dot(code: str) -> None:
    bundle = (
        '{"resourceType": "Bundle", "type": "collection", "entry": ['
        '{"resource": {"resourceType": "Patient", "id": "1"}},'
        '{"resource": {"resourceType": "Condition", "id": "c", "subject": {"reference": "Patient/1"},'
        f'"code": {{"coding": [{{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "{code}"}}]}}}}}}]}}'
    )
    (found,) = read_record(read_bundle(bundle.encode()), US).diagnoses
    assert found.safety == ("aneurysm",)
