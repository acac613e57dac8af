"""Dosages at random, in every way to state a dose, with the daily dose known by construction."""

from collections.abc import Callable
from random import Random
from typing import NamedTuple

from tests.support import Resource

UCUM = "http://unitsofmeasure.org"
SNOMED = "http://snomed.info/sct"
EDQM = "http://standardterms.edqm.eu"


class Stated(NamedTuple):
    """The dosages of a record and what they come to: mg a day, at least and at most."""

    dosages: list[Resource]
    low: float
    high: float


MILLIGRAMS: tuple[tuple[Resource, float], ...] = (
    ({"unit": "mg", "system": UCUM, "code": "mg"}, 1),
    ({"unit": "mg"}, 1),
    ({"code": "mg"}, 1),
    ({"unit": "MG"}, 1),
    ({"unit": "milligram"}, 1),
    ({"unit": "Milligrams"}, 1),
    ({"unit": "Milligramm", "system": UCUM, "code": "mg"}, 1),
    ({"unit": "mg", "system": SNOMED, "code": "258684004"}, 1),
    ({"system": "urn:oid:2.16.840.1.113883.6.96", "code": "258684004"}, 1),
    ({"unit": "g", "system": UCUM, "code": "g"}, 0.001),
    ({"unit": "ug"}, 1000),
    ({"unit": "mcg"}, 1000),
    ({"unit": "\u00b5g", "system": UCUM, "code": "ug"}, 1000),
)
"""Units of mass, and how many of each are one mg."""

TABLETS: tuple[Resource, ...] = (
    {"unit": "tablet"},
    {"unit": "Tablet(s)"},
    {"unit": "TABLETS"},
    {"unit": "tab."},
    {"unit": "Tablette(n)"},
    {"unit": "Filmtablette"},
    {"unit": "comprim\u00e9"},
    {"unit": "comprimidos"},
    {"unit": "capsule"},
    {"unit": "Kapseln"},
    {"unit": "St\u00fcck"},
    {"unit": "{tbl}", "system": UCUM, "code": "{tbl}"},
    {"unit": "tablet", "system": UCUM, "code": "{tablet}"},
    {"unit": "1", "system": UCUM, "code": "1"},
    {"unit": "Tablet", "system": EDQM, "code": "15054000"},
    {"system": f"{EDQM}/", "code": "10219000"},
    {"unit": "Filmtablette", "system": "urn:oid:0.4.0.127.0.16.1.1.2.1", "code": "10221000"},
    {"system": SNOMED, "code": "732936001"},
    {"unit": "tablet", "system": "https://snomed.info/sct", "code": "428673006"},
    {"unit": "Tablet dose form", "system": SNOMED, "code": "385055001"},
)

_GTS = "http://terminology.hl7.org/CodeSystem/v3-GTSAbbreviation"
_CODED = {1: ("QD", "229797004"), 2: ("BID", "229799001"), 3: ("TID", "229798009")}
_WHEN = ("MORN", "NOON", "EVE")
_HOURS = ("08:00:00", "13:00:00", "20:00:00")


def _rhythms(times: int) -> list[Resource]:
    """Every way to say so many times a day."""
    gts, snomed = _CODED[times]
    return [
        {"repeat": {"frequency": times, "period": 1, "periodUnit": "d"}},
        {"repeat": {"frequency": 1, "period": 24 // times, "periodUnit": "h"}},
        {"repeat": {"frequency": times * 7, "period": 1, "periodUnit": "wk"}},
        {"repeat": {"when": list(_WHEN[:times])}},
        {"repeat": {"timeOfDay": list(_HOURS[:times])}},
        {"repeat": {"frequency": times, "period": 1, "periodUnit": "d", "when": list(_WHEN[:times])}},
        {"code": {"coding": [{"system": _GTS, "code": gts}]}},
        {"code": {"coding": [{"system": SNOMED, "code": snomed}]}},
        {"code": {"coding": [{"system": "urn:local", "code": "x7"}], "text": f"{times} times a day"}},
        {"code": {"text": ("once daily", "twice daily", "three times daily")[times - 1]}},
    ]


def _quantity(value: float, unit: Resource) -> Resource:
    return {"value": round(value, 6), **unit}


def structured(rng: Random, mg: float, times: int) -> Stated:
    """An amount with its unit, and how often."""
    unit, per_mg = rng.choice(MILLIGRAMS)
    dose: Resource = {"doseQuantity": _quantity(mg * per_mg, unit)}
    if rng.random() < 0.2:
        dose = {"doseRange": {"low": _quantity(mg * per_mg, unit), "high": _quantity(mg * per_mg, unit)}}
    return Stated([{"timing": rng.choice(_rhythms(times)), "doseAndRate": [dose]}], mg * times, mg * times)


def at_a_rate(rng: Random, mg: float, times: int) -> Stated:
    """An amount in a time."""
    rate: Resource = rng.choice(
        [
            {"rateQuantity": {"value": mg * times, "unit": "mg/d"}},
            {"rateQuantity": {"value": mg * times, "unit": "mg per day"}},
            {"doseQuantity": {"value": mg * times, "unit": "mg/d", "system": UCUM, "code": "mg/d"}},
            {
                "rateRatio": {
                    "numerator": {"value": mg * times, "unit": "mg"},
                    "denominator": {"value": 24, "code": "h"},
                }
            },
            {
                "rateRange": {
                    "low": {"value": mg * times, "unit": "mg/d"},
                    "high": {"value": mg * times, "unit": "mg/d"},
                }
            },
        ]
    )
    return Stated([{"doseAndRate": [rate]}], mg * times, mg * times)


def apart(rng: Random, mg: float, times: int) -> Stated:
    """One instruction for each time of the day, and one for a time at which nothing is taken."""
    element, moments = rng.choice([("when", _WHEN), ("timeOfDay", _HOURS)])
    dosages: list[Resource] = [
        {
            "timing": {"repeat": {"frequency": 1, "period": 1, "periodUnit": "d", element: [moment]}},
            "doseAndRate": [{"doseQuantity": {"value": mg if n < times else 0, "unit": "mg"}}],
        }
        for n, moment in enumerate(moments)
    ]
    rng.shuffle(dosages)
    return Stated(dosages, mg * times, mg * times)


_TEXTS: tuple[Callable[[str, int], str], ...] = (
    lambda mg, n: f"{mg} mg {('once daily', 'twice daily', 'three times a day')[n - 1]}",
    lambda mg, n: f"Take {mg}mg PO {('qd', 'bid', 'tid')[n - 1]}",
    lambda mg, n: f"Take {mg} milligrams by mouth {n} times a day",
    lambda mg, n: f"{mg} mg every {24 // n} hours",
    lambda mg, n: f"{mg} mg q{24 // n}h",
    lambda mg, n: f"{n} x {mg} mg daily",
    lambda mg, n: f"{n}x t\u00e4glich {mg.replace('.', ',')} mg",
    lambda mg, n: f"{mg} mg {n} fois par jour",
    lambda mg, n: f"{mg} mg {n} veces al d\u00eda",
    lambda mg, n: f"{n} maal daags {mg} mg",
    lambda mg, n: (
        f"Take 1 tablet ({mg} mg total) by mouth {('daily', 'twice daily', 'three times daily')[n - 1]}"
    ),
    lambda mg, n: f"{mg}-{mg if n > 1 else 0}-{mg if n > 2 else 0} mg",
    lambda mg, n: f"{mg} mg {('in the morning', 'morning and evening', 'morning, noon and night')[n - 1]}",
)


def in_words(rng: Random, mg: float, times: int) -> Stated:
    """An instruction to the pharmacy or to the patient, in one of five languages."""
    element = rng.choice(["text", "text", "patientInstruction"])
    return Stated([{element: rng.choice(_TEXTS)(f"{mg:g}", times)}], mg * times, mg * times)


def in_words_and_timing(rng: Random, mg: float, times: int) -> Stated:
    """An amount in words beside a structured rhythm, or the other way round."""
    rhythm = rng.choice(_rhythms(times))
    if rng.random() < 0.5:
        return Stated([{"text": f"{mg:g} mg", "timing": rhythm}], mg * times, mg * times)
    words = ("once daily", "twice daily", "three times daily")[times - 1]
    amount = [{"doseQuantity": {"value": mg, "unit": "mg"}}]
    return Stated([{"text": words, "doseAndRate": amount}], mg * times, mg * times)


WAYS = (structured, at_a_rate, apart, in_words, in_words_and_timing)
"""Ways to state a dose of `mg` at `times` of the day."""


def in_tablets(rng: Random, count: float, times: int, strength: float) -> Stated:
    """A number of tablets of a known strength."""
    a_day = count * times * strength
    if rng.random() < 0.3:
        text = rng.choice(
            [
                f"{count:g}-{count if times > 1 else 0:g}-{count if times > 2 else 0:g}",
                f"Take {count:g} tablets by mouth {times} times a day",
                f"Take {count:g} tablets ({count * strength:g} mg total) {times} times daily",
                f"{times}x t\u00e4glich {count:g} Tabletten".replace(".", ","),
            ]
        )
        return Stated([{"text": text}], a_day, a_day)
    dose = {"doseQuantity": _quantity(count, rng.choice(TABLETS))}
    return Stated([{"timing": rng.choice(_rhythms(times)), "doseAndRate": [dose]}], a_day, a_day)


NOISE: tuple[Resource, ...] = (
    {"route": {"text": "oral"}},
    {"site": {"text": "mouth"}},
    {"method": {"text": "swallow"}},
    {"additionalInstruction": [{"text": "with food"}]},
    {"additionalInstruction": [{"text": "may cause drowsiness"}]},
    {"additionalInstruction": [{"text": "take half in the first week"}]},
    {"patientInstruction": "ask your doctor"},
    {"patientInstruction": "reduce when better"},
    {"text": "as discussed"},
    {"text": "see the chart of 3 May"},
    {"asNeededBoolean": True},
    {"asNeededCodeableConcept": {"text": "low mood"}},
    {
        "maxDosePerPeriod": {
            "numerator": {"value": 10, "unit": "mg"},
            "denominator": {"value": 1, "code": "d"},
        }
    },
    {"maxDosePerAdministration": {"value": 1, "unit": "puff"}},
    {"maxDosePerLifetime": {"value": 4000, "unit": "mg"}},
    {"modifierExtension": [{"url": "urn:not-followed", "valueBoolean": True}]},
    {"sequence": 1},
)
"""What else a dosage may say. None of it makes the dose more than it is."""
