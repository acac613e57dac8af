"""Conditions and allergies are placed by their codes, else by their words."""

from dataclasses import replace

import pytest

from service.core.diagnoses import (
    is_named,
    is_no_disorder,
    place_allergy,
    place_diagnosis,
    place_procedure,
)
from service.core.records import (
    ClinicalStatus,
    Coding,
    Concept,
    DepressionState,
    Diagnosis,
    Severity,
    SuicidalityKind,
    Verification,
)
from tests.core.builders import US, ref

NOTHING = Concept()
MODERATE = Concept((Coding("snomed", "6736007", None),))


def coded(*codes: str, text: str | None = None) -> Concept:
    return Concept(tuple(Coding("icd-10-cm", code, None) for code in codes), text)


def placed(concept: Concept, severity: Concept = NOTHING) -> Diagnosis:
    bare = Diagnosis(concept.label, ClinicalStatus.ACTIVE, Verification.CONFIRMED, (ref("it", "Condition"),))
    return place_diagnosis(bare, concept, severity, US)


def test_a_code_places_a_depression_and_its_severity() -> None:
    found = placed(coded("F33.2")).depression
    assert found is not None
    assert (found.state, found.severity) == (DepressionState.MDD, Severity.SEVERE)


def test_the_element_severity_fills_in_what_the_code_leaves_open() -> None:
    found = placed(coded("F33.9"), MODERATE).depression
    assert found is not None
    assert found.severity is Severity.MODERATE


@pytest.mark.parametrize("codes", [("F33.1", "F33.42"), ("F33.1", "F34.1")])
def test_codes_that_contradict_each_other_leave_the_depression_unspecified(codes: tuple[str, str]) -> None:
    found = placed(coded(*codes)).depression
    assert found is not None
    assert (found.state, found.severity) == (DepressionState.UNSPECIFIED, None)


def test_the_most_current_kind_of_suicidality_stands() -> None:
    assert placed(coded("Z91.51", "R45.851")).suicidality is SuicidalityKind.IDEATION


def test_a_safety_group_is_placed_once_by_several_codes() -> None:
    assert placed(coded("I71.4", "I71.2")).safety == ("aneurysm",)


def test_words_place_what_no_code_does() -> None:
    found = placed(Concept(text="Cerebral aneurysm, depression"))
    assert (found.safety_in_words, found.suggests_depression, found.recognised) == (
        ("aneurysm",),
        True,
        False,
    )


def test_beside_a_known_code_only_words_of_a_contraindication_count() -> None:
    found = placed(coded("R93.0", text="aneurysm? bipolar?"))
    assert (found.safety_in_words, found.recognised) == (("aneurysm",), True)


SEVERE, MILDER = ("severe-liver-disease",), ("liver-disease",)


@pytest.mark.parametrize(
    ("text", "groups"),
    [
        ("Child-Pugh C", SEVERE),
        ("Child-Pugh C (10)", SEVERE),
        ("Child Pugh class C", SEVERE),
        ("Child-Pugh: C", SEVERE),
        ("Child-Pugh (C)", SEVERE),
        ("Child-Pugh score 11", SEVERE),
        ("Child-Pugh B/C", SEVERE),
        ("Child's class C", SEVERE),
        ("CTP class C", SEVERE),
        ("Child-Pugh-Stadium C", SEVERE),
        ("Child-Pugh classe C", SEVERE),
        ("Child-Pugh clase C", SEVERE),
        ("Child-Pugh klasse C", SEVERE),
        ("Cirrhosis, Child C", SEVERE),
        ("Cirrhosis, Child B", MILDER),
        ("Child-Pugh B", MILDER),
        ("Child Pugh class B (8)", MILDER),
        ("Child-Pugh C10", SEVERE),
        ("Child-Pugh A5", MILDER),
        ("Child-Pugh A", MILDER),
        ("Child-Pugh A/B", MILDER),
        ("Child-Pugh 9", MILDER),
        ("Child-Pugh score 4", ()),
        ("Child-Pugh score 16", ()),
        ("Child-Pugh B cirrhosis", MILDER),
        ("Cirrhosis", MILDER),
        ("Leberzirrhose Child B", MILDER),
    ],
)
def test_the_child_pugh_class_in_words_tells_how_severe_a_liver_disease_is(
    text: str, groups: tuple[str, ...]
) -> None:
    assert placed(Concept(text=text)).safety_in_words == groups


@pytest.mark.parametrize(
    "text",
    [
        "Child-Pugh C cirrhosis",
        "Cirrhosis of liver, Child-Pugh C",
        "Leberzirrhose Child C",
        "Cirrose, Child C cirrose",
    ],
)
def test_class_c_speaks_beside_the_word_cirrhosis(text: str) -> None:
    assert set(placed(Concept(text=text)).safety_in_words) >= set(SEVERE)


@pytest.mark.parametrize("text", ["Child psychiatry", "Adult child c/o pain", "Child of C. Pugh"])
def test_other_words_are_no_child_pugh_class(text: str) -> None:
    assert placed(Concept(text=text)).safety_in_words == ()


@pytest.mark.parametrize("code", ["K74.60", "K70.30", "K76.9"])
def test_class_c_in_words_counts_beside_the_code_of_a_liver_disease(code: str) -> None:
    assert placed(coded(code, text="Cirrhosis, Child-Pugh C")).safety_in_words == SEVERE
    assert placed(coded(code, text="Cirrhosis, Child-Pugh B")).safety_in_words == ()


# procedures ------------------------------------------------------------------------------------


def repaired(concept: Concept) -> tuple[tuple[str, ...], tuple[str, ...]]:
    bare = Diagnosis(
        concept.label, ClinicalStatus.NOT_STATED, Verification.NOT_STATED, (ref("it", "Procedure"),)
    )
    placed = place_procedure(bare, concept, US)
    return placed.safety, placed.safety_in_words


REPAIR = ("vascular-repair",)


@pytest.mark.parametrize(
    ("concept", "expected"),
    [
        (Concept((Coding("cpt", "34701", None),)), (REPAIR, ())),
        (Concept((Coding("cpt", "34701", "EVAR"),), "EVAR"), (REPAIR, ())),
        (Concept((Coding("local", "1", None), Coding("cpt", "34701", None))), (REPAIR, ())),
        (Concept(text="EVAR 2019"), ((), REPAIR)),
        (Concept(text="Repair of abdominal aortic aneurysm"), ((), REPAIR)),
        (Concept(text="AAA repair"), ((), REPAIR)),
        (Concept(text="Craniotomy and clipping of MCA aneurysm"), ((), REPAIR)),
        (Concept(text="Coiling of cerebral aneurysm"), ((), REPAIR)),
        (Concept(text="Embolisation of cerebral AVM"), ((), REPAIR)),
        (Concept(text="Aneurysmaausschaltung"), ((), REPAIR)),
        (Concept(text="Cure d'anévrisme de l'aorte abdominale"), ((), REPAIR)),
        (Concept(text="Ultrasound screening for abdominal aortic aneurysm"), ((), ())),
        (Concept(text="CT angiography, no aneurysm"), ((), ())),
        (Concept(text="Inguinal hernia repair"), ((), ())),
        (Concept(text="Coronary stent"), ((), ())),
        (Concept(text="Embolization of uterine fibroids"), ((), ())),
        (Concept((Coding("cpt", "76706", "Screening ultrasound for AAA"),)), ((), ())),
        (Concept(), ((), ())),
    ],
)
def test_a_procedure_tells_of_a_repair_by_its_code_else_by_its_words(
    concept: Concept, expected: tuple[tuple[str, ...], tuple[str, ...]]
) -> None:
    assert repaired(concept) == expected


@pytest.mark.parametrize(
    ("concept", "groups"),
    [
        (Concept((Coding("rxnorm", "6130", None),)), (("hypersensitivity", False),)),
        (Concept(text="Ketamine"), (("hypersensitivity", True),)),
        (Concept((Coding("rxnorm", "6130", "Ketamine"),)), (("hypersensitivity", False),)),
        (Concept(text="Peanut"), ()),
    ],
)
def test_an_allergy_is_placed_by_its_code_else_by_its_words(
    concept: Concept, groups: tuple[tuple[str, bool], ...]
) -> None:
    assert place_allergy((concept,), US).groups == groups


@pytest.mark.parametrize(
    ("concept", "named"),
    [
        (Concept(), False),
        (Concept((Coding("rxnorm", "1", None),)), False),
        (Concept((Coding("rxnorm", "6130", None),)), True),
        (Concept(text="Peanut"), True),
    ],
)
def test_an_allergy_is_named_by_words_or_by_a_known_code(concept: Concept, *, named: bool) -> None:
    assert is_named((concept,), US) is named


EMPLOYED = Coding("snomed", "160903007", "Full-time employment (finding)")
UNLISTED = Coding("snomed", "1", "Itching (finding)")
LOCAL = Coding("http://example.org/local", "W1", "Works full time")
SOCIAL = Concept((Coding("us-core-category", "sdoh", None),))
PROBLEM = Concept((Coding("condition-category", "problem-list-item", None),))


@pytest.mark.parametrize(
    ("concept", "categories", "no_disorder"),
    [
        pytest.param(Concept((EMPLOYED,)), (), True, id="a listed code"),
        pytest.param(Concept((EMPLOYED,), "Works for the city"), (PROBLEM,), True, id="in other words"),
        pytest.param(Concept((EMPLOYED, LOCAL)), (), False, id="beside a code that nobody knows"),
        pytest.param(Concept((UNLISTED,)), (), False, id="a finding that is not listed"),
        pytest.param(Concept((UNLISTED,)), (PROBLEM, SOCIAL), True, id="of a social category"),
        pytest.param(Concept(text="Works full time"), (SOCIAL,), True, id="words of a social category"),
        pytest.param(Concept(text="Works full time"), (), False, id="words alone"),
        pytest.param(Concept((EMPLOYED._replace(display=None),)), (), True, id="a listed code alone"),
        pytest.param(
            Concept((EMPLOYED._replace(display="Hay fever (Disorder)"),)), (), False, id="called a disorder"
        ),
        pytest.param(
            Concept((UNLISTED._replace(display="Hay fever (disorder)"),)),
            (SOCIAL,),
            False,
            id="a disorder of a social category",
        ),
    ],
)
def test_what_is_plainly_no_disorder(
    concept: Concept, categories: tuple[Concept, ...], *, no_disorder: bool
) -> None:
    assert is_no_disorder(placed(concept), concept, categories, US) is no_disorder


@pytest.mark.parametrize("text", ["Cerebral aneurysm", "suicidal thoughts", "depression", "? aneurysm"])
def test_words_that_matter_make_it_no_social_entry(text: str) -> None:
    for concept in (Concept((EMPLOYED,), text), Concept((EMPLOYED._replace(display=text),))):
        assert not is_no_disorder(placed(concept), concept, (SOCIAL,), US)


def test_a_condition_that_a_list_places_is_never_a_social_entry() -> None:
    assert not is_no_disorder(placed(coded("I71.4")), coded("I71.4"), (SOCIAL,), US)


@pytest.mark.parametrize(
    ("code", "text", "over"),
    [
        ("F33.2", "Recurrent major depression, in full remission (HCC)", True),
        ("F33.9", "Depression in Vollremission", True),
        ("F33.2", "History of major depression", True),
        ("F33.2", "No depression", True),
        ("F33.2", "Major depressive disorder, recurrent severe without psychotic features", False),
        ("F33.2", "Recurrent MDD, history of suicide attempt", False),
        ("F33.2", None, False),
        ("F33.41", "Major depressive disorder, recurrent, in partial remission", False),
    ],
)
def test_words_beside_the_code_of_a_depression_may_say_that_it_is_over(
    code: str, text: str | None, over: bool
) -> None:
    concept = coded(code, text=text)
    assert placed(concept).abated is over


def test_words_alone_end_no_depression_and_no_suicidality_beside_it() -> None:
    concept = coded("F33.2", text="MDD in remission with suicidal ideation")
    bare = replace(placed(concept), clinical_status=ClinicalStatus.NOT_STATED, abated=False)

    found = place_diagnosis(bare, concept, NOTHING, US)

    assert (found.clinical_status, found.abated) == (ClinicalStatus.ACTIVE, True)
    assert found.suicidality is SuicidalityKind.IN_WORDS
