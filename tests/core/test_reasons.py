"""Why a medicine was given and why it was stopped, by codes and words."""

import pytest

from service.core.reasons import read_indication, read_stop_reasons
from service.core.records import Coding, Concept, Indication, StopReason
from tests.core.builders import US


def stopped(*texts: str) -> frozenset[StopReason]:
    return read_stop_reasons((Concept(text=text) for text in texts), US)


@pytest.mark.parametrize(
    ("reasons", "indication"),
    [
        ((), Indication.NOT_STATED),
        ((Concept((Coding("icd-10-cm", "F33.1", None),)),), Indication.DEPRESSION),
        ((Concept(text="Major depressive disorder"),), Indication.DEPRESSION),
        ((Concept(text="Neuropathic pain"),), Indication.OTHER),
        ((Concept(text="Neuropathic pain"), Concept(text="depression")), Indication.DEPRESSION),
    ],
)
def test_depression_among_the_reasons_is_the_indication(
    reasons: tuple[Concept, ...], indication: Indication
) -> None:
    assert read_indication(reasons, US) is indication


@pytest.mark.parametrize(
    ("texts", "reasons"),
    [
        ((), set()),
        (("lack of efficacy",), {StopReason.INEFFECTIVE}),
        (("lack of efficacy", "nausea"), {StopReason.INEFFECTIVE, StopReason.INTOLERANCE}),
        (("no nausea",), {StopReason.UNCLEAR}),
        (("something else",), {StopReason.UNCLEAR}),
    ],
)
def test_each_reason_for_stopping_is_read(texts: tuple[str, ...], reasons: set[StopReason]) -> None:
    assert stopped(*texts) == reasons


def test_a_code_for_stopping_counts_without_words() -> None:
    system, code = next(key for key, kind in US.stop_codes.exact.items() if kind is StopReason.INEFFECTIVE)
    assert read_stop_reasons([Concept((Coding(system, code, None),))], US) == {StopReason.INEFFECTIVE}
