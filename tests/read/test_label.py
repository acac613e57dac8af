"""Whose a printed sheet is."""

from typing import Any

import pytest

from service.read.label import PatientLabel, read_label

MR = {"coding": [{"code": "MR", "display": "Medical record number"}]}


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ([{"family": "Ampere", "given": ["Test", "B."]}], "Test B. Ampere"),
        ([{"text": "Dr Test Ampere", "family": "Ampere"}], "Dr Test Ampere"),
        (
            [{"use": "old", "text": "Old"}, {"text": "Plain"}, {"use": "official", "text": "Official"}],
            "Official",
        ),
        ([{"use": "nickname", "text": "Nick"}, {"use": "usual", "text": "Usual"}], "Usual"),
        ([{"use": "old", "text": "Old"}], "Old"),
        ([{"use": "official"}, {"use": "usual", "text": "Usual"}], "Usual"),
        ([{"text": "Two\n lines"}], "Two lines"),
        ([], ""),
    ],
)
def test_the_name(names: list[dict[str, Any]], said: str) -> None:
    assert read_label({"name": names}).name == said


@pytest.mark.parametrize(
    ("identifiers", "said"),
    [
        ([{"value": "1", "system": "urn:ssn"}, {"value": "2", "type": MR}], "2 (Medical record number)"),
        ([{"value": "2", "type": {**MR, "text": "MRN"}}], "2 (MRN)"),
        ([{"value": "0", "use": "old", "type": MR}, {"value": "1", "system": "urn:x"}], "1 (urn:x)"),
        ([{"value": "1"}], "1"),
        ([{"system": "urn:x"}], ""),
        ([], ""),
    ],
)
def test_the_identifier(identifiers: list[dict[str, Any]], said: str) -> None:
    assert read_label({"identifier": identifiers}).identifier == said


@pytest.mark.parametrize(
    ("born", "said"), [("1981-04-12", "12 Apr 1981"), ("1981-04", "Apr 1981"), ("soon", "soon"), (None, "")]
)
def test_the_birth_date_is_no_more_exact_than_it_is_known(born: str | None, said: str) -> None:
    assert read_label({"birthDate": born}).born == said


@pytest.mark.parametrize(
    "patient",
    [
        {"name": "x", "identifier": "x", "birthDate": 1},
        {"name": [None, "x", {"given": "x", "family": 1}], "identifier": [None, {"value": 1}]},
        {"identifier": [{"value": "", "type": "x"}, {"type": {"coding": [None]}}]},
    ],
)
def test_a_malformed_patient_has_no_label(patient: dict[str, Any]) -> None:
    assert read_label(patient) == PatientLabel("", "", "")
