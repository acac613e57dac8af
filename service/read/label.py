"""Whose a printed sheet is: the name, the birth date and the identifier of a patient, as the record has them.

They go onto a page for people, and nowhere else.
"""

from typing import NamedTuple

from service.core.dates import PartialDate, say_date
from service.fhir.loose import Resource, part, parts, text

_NAME_USES = ("official", "usual", "")
_FORMER_USE = "old"
_RECORD_NUMBER = "MR"


class PatientLabel(NamedTuple):
    """Whose a sheet is; each part is empty where the record does not state it."""

    name: str
    born: str
    identifier: str


def read_label(patient: Resource) -> PatientLabel:
    """Read a Patient, however malformed it is."""
    return PatientLabel(
        name=_name(patient), born=_born(text(patient.get("birthDate"))), identifier=_identifier(patient)
    )


def _name(patient: Resource) -> str:
    """The official name, else the usual one, else one without a use, else any."""
    said = [(text(part(one).get("use")), _name_in_words(part(one))) for one in parts(patient.get("name"))]
    ranked = [(_NAME_USES.index(use) if use in _NAME_USES else len(_NAME_USES), name) for use, name in said]
    return min((one for one in ranked if one[1]), key=lambda one: one[0], default=(0, ""))[1]


def _name_in_words(name: Resource) -> str:
    given = [text(one) for one in parts(name.get("given"))]
    return _one_line(text(name.get("text")) or " ".join([*given, text(name.get("family"))]))


def _born(birth_date: str) -> str:
    try:
        return say_date(PartialDate.parse(birth_date))
    except ValueError:
        return _one_line(birth_date)


def _identifier(patient: Resource) -> str:
    """The medical record number, else the first identifier that is still in use."""
    stated = [part(one) for one in parts(patient.get("identifier"))]
    valid = [one for one in stated if text(one.get("value")) and one.get("use") != _FORMER_USE]
    numbers = [one for one in valid if _RECORD_NUMBER in _type_codes(one)]
    return next((_identifier_in_words(one) for one in numbers or valid), "")


def _type_codes(identifier: Resource) -> list[str]:
    return [text(part(one).get("code")) for one in parts(part(identifier.get("type")).get("coding"))]


def _identifier_in_words(identifier: Resource) -> str:
    """The value, and what kind of number it is, or else the system that gave it."""
    kind = part(identifier.get("type"))
    displays = [text(part(one).get("display")) for one in parts(kind.get("coding"))]
    named = (text(kind.get("text")), *displays, text(identifier.get("system")))
    said = next(filter(None, named), "")
    return _one_line(f"{text(identifier['value'])} ({said})" if said else text(identifier["value"]))


def _one_line(said: str) -> str:
    return " ".join(said.split())
