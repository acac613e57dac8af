"""Texts and numbers that nobody can have meant: they are read in bounded time, and read as nothing."""

import importlib
import inspect
import math
import pkgutil
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import fields
from functools import partial
from typing import Any

import pytest

import service
from service.core.dates import PartialDate
from service.core.dosing import DoseStep, daily_dose
from service.core.knowledge import CodeList
from service.core.medicines import identify_medicine
from service.core.phrases import PhraseList
from service.core.records import Identified
from tests.core.builders import UNREADABLE_DOSE, US, coded, medicine
from tests.fhir.test_medicine_sources import (
    a_dispense,
    a_request,
    a_statement,
    an_administration,
    read,
    the_exposure,
)
from tests.support import Resource

LONG = 50_000
LENGTHS = (500, 2_000, 8_000, LONG)
NOTICEABLE = 0.05
"""Seconds. What takes less may be held up by anything else that runs on the machine."""
FAR_LONGER = 4
"""How much longer a character may take in a longer text. Where a text is read again from every
place in it, it takes 4 times as long in a text of 4 times the length."""

PARTS = {
    "digits": "1",
    "digits of another script": "٣",
    "spaces": " ",
    "numbers apart": "1 ",
    "numbers with dots": "1.",
    "numbers with dashes": "1-",
    "ranges": "1 to ",
    "amounts": "1 mg ",
    "units": "mg",
    "words of titration": "increas",
    "words of the lists": "not twice daily sertraline ",
    "names run together": "suicidepression",
    "references": "/Patient/a/_history/1",
    "paths": "`$",
}


Reader = Callable[[str], object]


def readers() -> Iterator[tuple[str, Reader]]:
    """What reads texts: every pattern of the service, in each way that its module uses it, and every list."""
    for found in pkgutil.walk_packages(service.__path__, "service."):
        if found.name.endswith("__main__"):
            continue
        module = importlib.import_module(found.name)
        for name, value in vars(module).items():
            if isinstance(value, re.Pattern):
                used = re.findall(rf"\b{name}\.(\w+)\(", inspect.getsource(module))
                yield from ((f"{found.name}.{name}", reader(value, way)) for way in set(used))
    for field in fields(US):
        listed = getattr(US, field.name)
        if isinstance(listed, PhraseList):
            yield field.name, listed.all_in
        elif isinstance(listed, CodeList):
            yield field.name, partial(listed.meaning, next(iter(listed.hierarchical), "icd-10-cm"))


def reader(pattern: re.Pattern[str], way: str) -> Reader:
    if way in {"fullmatch", "match"}:
        return pattern.fullmatch if way == "fullmatch" else pattern.match
    return pattern.findall  # reads on where a search would stop at the first that it finds


def seconds_to_read(text: str, read_text: Reader) -> float:
    """How long it takes to read a text; the best of three where that is noticeable."""
    best = math.inf
    for _ in range(3):
        start = time.process_time()
        read_text(text)
        best = min(best, time.process_time() - start)
        if best < NOTICEABLE:
            break
    return best


def grows_faster_than_its_text(read_text: Reader, part: str, lengths: tuple[int, ...] = LENGTHS) -> bool:
    """Whether reading takes noticeably long, and far longer than in proportion to the text."""
    rates: list[float] = []
    for length in lengths:
        took = seconds_to_read((part * length)[:length], read_text)
        rates.append(took / length)
        if took > NOTICEABLE and rates[-1] > FAR_LONGER * rates[0]:
            return True
    return False


@pytest.mark.parametrize("part", PARTS.values(), ids=PARTS)
def test_every_text_is_read_in_proportion_to_its_length(part: str) -> None:
    assert [name for name, read_text in readers() if grows_faster_than_its_text(read_text, part)] == []


def test_a_pattern_that_reads_a_text_again_and_again_is_found() -> None:
    assert grows_faster_than_its_text(re.compile(r"\s+x").findall, " ", lengths=(500, 8_000))


# what reads texts ------------------------------------------------------------------------------


@pytest.mark.parametrize("part", PARTS.values(), ids=PARTS)
def test_a_long_text_is_no_dose(part: str) -> None:
    text = "take " + (part * LONG)[:LONG]
    assert daily_dose((DoseStep(texts=(text,)),), medicine(), US) == UNREADABLE_DOSE


@pytest.mark.parametrize("part", ["1", "1.", "1 mg "])
def test_a_long_text_beside_a_code_states_another_strength(part: str) -> None:
    named = coded("rxnorm", "312941", text=(part * LONG)[:LONG] + "1 mg")
    found = identify_medicine(named, US)
    assert (found.identified, found.strength_mg) == (Identified.CODED, None)


def test_a_long_code_stands_below_the_one_it_begins_with() -> None:
    meaning = US.depression.meaning("icd-10-cm", "F33.2")
    assert meaning is not None
    assert US.depression.meaning("icd-10-cm", "F33.2" + "0" * LONG) == meaning


# numbers ---------------------------------------------------------------------------------------


HUGE, TINY = 1.7e308, 5e-324


def a_dose(value: float, **timing: Any) -> Resource:
    repeat = {"frequency": 1, "period": 1, "periodUnit": "d"} | timing
    return {"timing": {"repeat": repeat}, "doseAndRate": [{"doseQuantity": {"value": value, "unit": "mg"}}]}


@pytest.mark.parametrize(
    "dosage",
    [
        pytest.param([a_dose(HUGE, frequency=10)], id="beyond every number"),
        pytest.param([a_dose(HUGE)] * 2, id="beyond every number when added up"),
        pytest.param([a_dose(50, period=TINY)], id="without a pause"),
        pytest.param([a_dose(0, period=TINY)], id="nothing, without a pause"),
        pytest.param([a_dose(50, frequency=10**400)], id="more often than a number can say"),
        pytest.param([{"text": "9" * LONG + " mg daily"}], id="a number of thousands of digits"),
        pytest.param([{"text": "9" * 400 + "-50 mg daily"}], id="from beyond every number"),
        pytest.param(
            [{"text": "9" * 400 + "-50 mg"} | {"timing": a_dose(1, frequency=0, frequencyMax=2)["timing"]}],
            id="never, from beyond every number",
        ),
    ],
)
def test_a_dose_that_nobody_can_have_meant_is_unreadable(dosage: list[Resource]) -> None:
    assert the_exposure(a_statement(dosage=dosage)).dose == UNREADABLE_DOSE


def test_doses_of_a_day_that_add_up_to_no_number_are_unreadable() -> None:
    given = [
        an_administration(
            id=f"given-{hour}",
            effectiveDateTime=f"2025-01-01T0{hour}:00:00Z",
            dosage={"dose": {"value": HUGE, "unit": "mg"}},
        )
        for hour in (1, 2)
    ]
    assert the_exposure(*given).dose == UNREADABLE_DOSE


@pytest.mark.parametrize("value", [HUGE, 0, 1])
@pytest.mark.parametrize(
    "dosage",
    [
        pytest.param(a_dose(TINY), id="next to nothing a day"),
        pytest.param(a_dose(HUGE, period=TINY), id="beyond every number"),
        pytest.param(a_dose(0, period=TINY), id="no number at all"),
    ],
)
def test_a_quantity_that_nobody_can_have_meant_lasts_for_an_unknown_time(
    value: float, dosage: Resource
) -> None:
    quantity = {"value": value, "unit": "mg"}
    dispense = a_dispense(daysSupply=None, quantity=quantity, dosageInstruction=[dosage])
    request = a_request(
        status="completed",
        dispenseRequest={"quantity": quantity, "numberOfRepeatsAllowed": 10**300},
        dosageInstruction=[dosage],
    )
    assert ends(dispense) == ends(request) == [None]


def ends(resource: Resource) -> list[PartialDate | None]:
    return [exposure.period.end for exposure in read(resource).exposures]
