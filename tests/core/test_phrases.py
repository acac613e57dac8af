"""Words are compared without case, accents and ways to write a sign, and found in linear time."""

# ruff: noqa: RUF001 - texts in other scripts

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.phrases import PhraseList, fold


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("  No\tEffect\n at all ", "no effect at all"),
        ("Kétamine", "ketamine"),
        ("KE\u0301TAMINE", "ketamine"),
        ("Suizidalität", "suizidalitat"),
        ("Großhirn", "grosshirn"),
        ("TĘTNIAK ŁĄCZĄCY", "tetniak laczacy"),
        ("hjerneblødning", "hjerneblodning"),
        ("hæmoragisk", "haemoragisk"),
        ("Cœur", "coeur"),
        ("İlaç ılık", "ilac ilik"),
        ("Side\u2011effects", "side effects"),
        ("lack_of_effect", "lack of effect"),
        ("no effect - improved", "no effect - improved"),
        ("patient\u2019s wish", "patient's wish"),
        ("keta\u00admi\u200bne", "ketamine"),
        ("\uff2b\uff45\uff54\uff41mine", "ketamine"),
        ("ｹﾀﾐﾝ", "ケタミン"),
        ("ЭСКЕТАМИН", "эскетамин"),
        ("no\u00a0benefit", "no benefit"),
    ],
)
def test_text_is_folded(text: str, folded: str) -> None:
    assert fold(text) == folded
    assert PhraseList.of({folded: 1}).all_in(text) == (1,)


@given(st.text())
def test_what_is_folded_stays_as_it_is(text: str) -> None:
    assert fold(fold(text)) == fold(text)


def test_a_part_is_found_inside_a_word_and_an_ending_at_its_end() -> None:
    found = PhraseList.of({"ketamine": "word"}, {"ketamin": "part"}, {"oxetin": "ending"})
    assert found.all_in("Ketamine") == ("word",)
    assert found.all_in("Ketaminallergie") == ("part",)
    assert found.all_in("Fluoxetin, fluoxetine") == ("ending",)


def test_scripts_without_spaces_are_searched_inside_the_run() -> None:
    assert PhraseList.of({}, {"氯胺酮": 1}).all_in("对氯胺酮过敏") == (1,)


def test_of_two_that_overlap_the_first_and_then_the_longest_is_found() -> None:
    found = PhraseList.of({"no effect": 1, "effect on sleep": 2, "no effect on": 3})
    assert found.all_in("no effect on sleep") == (3,)


def test_what_is_found_is_taken_out() -> None:
    assert PhraseList.of({"no effect": 1}).without("No  effect, NAUSEA").split() == [",", "nausea"]


def test_a_text_takes_as_long_as_it_is_long() -> None:
    phrases = PhraseList.of({"a " * 30 + "b": 1, "a": 2}, {"aab": 3}, {"ba": 4})

    def seconds_once(text: str) -> float:
        start = time.process_time()
        phrases.all_in(text)
        return time.process_time() - start

    def seconds_for(text: str) -> float:
        """The least of three, since Python may collect garbage meanwhile."""
        return min(seconds_once(text) for _ in range(3))

    for part in ("a ", "a", "é", "-"):
        short, long = seconds_for(part * 2_500), seconds_for(part * 40_000)
        assert long < 16 * short * 4, "quadratic would be 256 times as long"
