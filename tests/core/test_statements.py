"""What a text says of the things it names, clause by clause, and only where all of it is understood."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.phrases import PhraseList
from service.core.statements import Named, Sense, SmallWord, Vocabulary, read_statement

WORDS: Vocabulary = PhraseList.of(
    {
        "suicidal": Named("suicidality"),
        "suicidal ideation": Named("suicidality"),
        "psychosis": Named("psychosis"),
        "si": Named("suicidality", alone=True),
        "plan": SmallWord.NAMES_NOTHING,
        "no": SmallWord.NEGATES,
        "denied": SmallWord.NEGATES,
        "without": SmallWord.NEGATES_NEXT,
        "history of": SmallWord.PAST,
        "or": SmallWord.JOINS,
        "patient": SmallWord.FILLER,
        "with": SmallWord.FILLER,
    },
    {"suizid": Named("suicidality")},
)
PRESENT, UNCLEAR, PAST, ABSENT = Sense.PRESENT, Sense.UNCLEAR, Sense.PAST, Sense.ABSENT


def said(text: str) -> tuple[Sense | None, Sense | None]:
    senses = read_statement(text, WORDS).senses
    return senses.get("suicidality"), senses.get("psychosis")


@pytest.mark.parametrize(
    ("text", "suicidality", "psychosis"),
    [
        ("Suicidal", PRESENT, None),
        ("no suicidal ideation", ABSENT, None),
        ("suicidal ideation: no", ABSENT, None),
        ("Suicidal ideation denied", ABSENT, None),
        ("Patient denied suicidal ideation", ABSENT, None),
        ("without suicidal ideation.", ABSENT, None),
        ("suicidal, no psychosis", PRESENT, ABSENT),
        ("suicidal without psychosis", PRESENT, ABSENT),
        ("no psychosis or suicidal ideation", ABSENT, ABSENT),
        ("no psychosis/suicidal ideation", ABSENT, ABSENT),
        ("no psychosis, suicidal ideation", PRESENT, ABSENT),
        ("no psychosis suicidal ideation", UNCLEAR, UNCLEAR),
        ("suicidal ideation denied psychosis", UNCLEAR, UNCLEAR),
        ("no suicidal ideation denied", UNCLEAR, None),
        ("suicidal ideation without", UNCLEAR, None),
        ("suicidal ideation without plan", PRESENT, None),
        ("suicidal ideation no plan", UNCLEAR, None),
        ("suicidal ideation plan denied", UNCLEAR, None),
        ("no suicidal ideation, plan", ABSENT, None),
        ("no suicidal ideation or plan", ABSENT, None),
        ("no suicidal ideation - psychosis", ABSENT, PRESENT),
        ("no suicidal ideation?", UNCLEAR, None),
        ("no suicidal ideation yesterday", UNCLEAR, None),
        ("no suicidal ideation 2", UNCLEAR, None),
        ("suicidal tendencies", UNCLEAR, None),
        ("history of suicidal ideation", PAST, None),
        ("suicidal ideation history of", PAST, None),
        ("suicidal history of psychosis", PRESENT, PAST),
        ("no history of suicidal ideation", ABSENT, None),
        ("history of suicidal ideation, suicidal", PRESENT, None),
        ("SI with plan", PRESENT, None),
        ("no SI", ABSENT, None),
        ("SI joint", None, None),
        ("Suizid", PRESENT, None),
        ("no Suizid", ABSENT, None),
        ("Suizidprävention", UNCLEAR, None),
        ("no Suizidprävention", UNCLEAR, None),
        ("hay fever", None, None),
        ("", None, None),
    ],
)
def test_what_a_text_says(text: str, suicidality: Sense | None, psychosis: Sense | None) -> None:
    assert said(text) == (suicidality, psychosis)


@pytest.mark.parametrize(
    ("text", "understood", "denies"),
    [
        ("no suicidal ideation", True, True),
        ("patient", True, False),
        ("no hay fever", False, False),
        ("suicidal 2", False, False),
        ("", True, False),
    ],
)
def test_whether_a_text_is_understood_and_denies_anything(text: str, understood: bool, denies: bool) -> None:
    statement = read_statement(text, WORDS)
    assert (statement.understood, statement.denies) == (understood, denies)


@given(
    st.lists(st.sampled_from(["no", "denied", "without", "or", ",", "suicidal", "psychosis", "plan"])),
    st.sampled_from(["yesterday", "not", "mother", "%", "7"]),
    st.data(),
)
def test_one_word_more_never_makes_anything_absent(words: list[str], more: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(words)))
    text = " ".join([*words[:at], more, *words[at:]])
    assert ABSENT not in said(text)
    assert {topic for topic in ("suicidal", "psychosis") if topic in words} == {
        {"suicidality": "suicidal", "psychosis": "psychosis"}[topic]
        for topic in read_statement(text, WORDS).senses
    }
