"""The page that compares criteria is fresh, and states of every definition what it says of every history."""

from collections import Counter
from typing import Any

import pytest

from service.knowledge import mappings_directory
from tests.docs.compared_page import COMPARED, READINGS, SETS, compared_page, record_of

DEFINITIONS = [definition["name"] for definition in COMPARED["definition"]]
PAGE = mappings_directory().parent / "docs" / "criteria-compared.md"


def _title(history: dict[str, Any]) -> str:
    return str(history["title"])


def test_the_page_is_fresh() -> None:
    assert PAGE.read_text(encoding="utf-8") == compared_page(), "run `make docs`"


def test_every_criteria_set_is_compared() -> None:
    assert sorted(SETS) == sorted(path.stem for path in mappings_directory().glob("criteria/*.toml"))


def test_there_are_twenty_histories_and_each_has_its_own_record() -> None:
    records = [record_of(history) for history in COMPARED["history"]]

    assert len(records) == 20
    assert [one for one in records if records.count(one) > 1] == []


@pytest.mark.parametrize("history", COMPARED["history"], ids=_title)
def test_every_definition_is_read_once(history: dict[str, Any]) -> None:
    read = Counter(name for key in READINGS for name in history[key])

    assert read == Counter(DEFINITIONS)


@pytest.mark.parametrize("definition", COMPARED["definition"], ids=lambda one: str(one["name"]))
def test_every_definition_states_every_parameter_and_its_source(definition: dict[str, Any]) -> None:
    assert all(definition.values())
