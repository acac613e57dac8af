"""Load `mappings/elements`: what is done with every element of every type that is read."""

from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from service.core.elements import Bearing, ElementRule, ElementTables, ElementUse, How
from service.knowledge.rows import Faults, Row

FOLDER = "elements"
_EXTENSIONS = f"{FOLDER}/extensions.csv"
_ABSENCES = f"{FOLDER}/absences.csv"
_LABELS = f"{FOLDER}/labels.csv"
_BASES = ("Resource", "DomainResource", "Element", "BackboneElement")
"""Types whose elements every other type has."""
_WITHOUT_TABLE = frozenset({"Extension", "Narrative", "Resource"})
"""Types of parts without a table: extensions have a list, narratives a status, resources their own types."""

Rows = Callable[[str], Iterable[Row]]
T = TypeVar("T")


def load_elements(files: Iterable[str], rows: Rows, faults: Faults) -> ElementTables:
    """The rules of all elements; `files` are all lists by their path under `mappings/`."""
    names = [name for name in files if name.startswith(f"{FOLDER}/")]
    tables = {_type_of(name): list(rows(name)) for name in names if _type_of(name)[:1].isupper()}
    for missing in sorted(set(_BASES) - tables.keys()):
        faults.add(f"{FOLDER}/{missing}.csv", None, "missing")
    types = {name: _rules(table, faults) for name, table in tables.items()}
    for table in tables.values():
        _check_parts(table, types, faults)
    extensions = list(rows(_EXTENSIONS))
    return ElementTables(
        types=types,
        extensions=_once(extensions, "url", _rule, faults),
        absence_extensions=frozenset(row["url"] for row in extensions if _tells_of_absence(row, faults)),
        absences=_once(rows(_ABSENCES), "code", _how, faults),
        labels=frozenset(_once(rows(_LABELS), "code", _why, faults)),
    )


def _type_of(file: str) -> str:
    """The type that a list is about; in lower case for the lists that are about no type."""
    return file.removeprefix(f"{FOLDER}/").removesuffix(".csv")


def _once(rows: Iterable[Row], column: str, read: Callable[[Row, Faults], T], faults: Faults) -> dict[str, T]:
    """What each row says, by a column that no two rows may share."""
    found: dict[str, T] = {}
    for row in rows:
        if row[column] in found:
            faults.of(row, f"lists {row[column]!r} twice")
        try:
            found[row[column]] = read(row, faults)
        except (ValueError, KeyError) as error:
            faults.of(row, f"has a value that is not allowed ({error})")
    return found


# a type --------------------------------------------------------------------------------------------


def _rules(table: list[Row], faults: Faults) -> dict[str, ElementRule]:
    """The rules of a type by the name under which an element is read, and by the name of R5.

    What is used is read under its R4 name, into which records of R5 are translated first: under the name
    that only R5 has it is not read.
    """
    rules = _once((row for row in table if row["element"]), "element", _element_rule, faults)
    later: dict[str, ElementRule] = {}
    for row in table:
        if not row["element"] and not row["r5"]:
            faults.of(row, "names no element")
        if row["r5"] in rules:
            faults.of(row, f"lists {row['r5']!r} twice")
        elif row["r5"]:
            rule = rules.get(row["element"]) or _once([row], "r5", _element_rule, faults).get(row["r5"])
            if rule is not None and later.setdefault(row["r5"], _untranslated(rule)) != _untranslated(rule):
                faults.of(row, f"gives {row['r5']!r} a second rule")
    return rules | later


def _untranslated(rule: ElementRule) -> ElementRule:
    if rule.treatment is ElementUse.USED:
        return ElementRule(ElementUse.OPENS, rule.bears_on)
    return rule._replace(parts=None)


def _element_rule(row: Row, faults: Faults) -> ElementRule:
    """The rule of an element of a type."""
    rule = _rule(row, faults)._replace(parts=row.optional("parts"))
    if row["modifier"] not in {"yes", "no"}:
        faults.of(row, f"has a modifier that is neither yes nor no: {row['modifier']!r}")
    if row["modifier"] == "yes" and rule.treatment is ElementUse.SILENT:
        faults.of(row, "is a modifier element and silent")
    return rule


def _check_parts(table: list[Row], types: Mapping[str, Mapping[str, ElementRule]], faults: Faults) -> None:
    """Parts are of a type that has a table, and have rules of their own only where their whole is used."""
    for row in table:
        rules = types[_type_of(row.file)]
        parts = row["parts"]
        known = parts in types or parts in _WITHOUT_TABLE or parts.removeprefix("#") in rules
        if parts and not known:
            faults.of(row, f"has parts of a type that is not listed: {parts!r}")
        whole, dot, _ = row["element"].rpartition(".")
        if dot and (whole not in rules or rules[whole].treatment is not ElementUse.USED):
            faults.of(row, f"is a part of {whole!r}, which is not used")


# what types and the other lists share --------------------------------------------------------------


def _rule(row: Row, faults: Faults) -> ElementRule:
    """The rule of an element or an extension."""
    rule = ElementRule(
        ElementUse(row["treatment"]),
        Bearing(row["bears_on"]),
        only_if_unsaid={"": False, "unsaid": True}[row["when"]],
    )
    _why(row, faults)
    if (rule.treatment is ElementUse.SILENT) is not (rule.bears_on is Bearing.NOTHING):
        faults.of(row, f"has the treatment {row['treatment']!r} and bears on {row['bears_on']!r}")
    if rule.only_if_unsaid and rule.treatment is not ElementUse.OPENS:
        faults.of(row, f"has the treatment {row['treatment']!r} and a condition; only what opens has one")
    return rule


def _why(row: Row, faults: Faults) -> None:
    if not row["why"]:
        faults.of(row, "does not say why")


def _tells_of_absence(row: Row, faults: Faults) -> bool:
    if row["kind"] not in {"absence", "fact"}:
        faults.of(row, f"has a kind that is not known: {row['kind']!r}")
    return row["kind"] == "absence"


def _how(row: Row, faults: Faults) -> How:
    _why(row, faults)
    return How(row["how"])
