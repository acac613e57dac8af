"""The CPU of one assessment, from the bytes of a Bundle to the decision, and to the whole answer."""

import time
from collections.abc import Callable
from statistics import median
from typing import Final

import orjson

from benchmarks.figures import Figure
from benchmarks.patients import AS_OF, patient_of_30_records
from service.core.decision import Decision
from service.core.decision import decide as decide_on
from service.gather.files import read_bundle
from service.read.record import read_record
from service.review import Reviewer
from service.settings import Settings

LIMIT_MS: Final = 1.0

_ROUNDS: Final = 40
_CALLS: Final = 50
_CALLS_OF_YARDSTICK: Final = 500
_WARM_UP: Final = 300

Work = Callable[[], object]


def measure() -> list[Figure]:
    """Read and decide, and the whole review with its JSON answer, each as a ratio to `orjson.loads`."""
    content = patient_of_30_records()
    reviewer = Reviewer.prepare(Settings.model_construct(), AS_OF)

    def decide() -> Decision:
        record = read_record(read_bundle(content), reviewer.knowledge)
        return decide_on(record, reviewer.knowledge, reviewer.calendar, reviewer.as_of)

    def answer() -> str:
        return reviewer.review(read_bundle(content)).answer.model_dump_json()

    decided = type(decide()).__name__
    decide_ms, decide_ratio = _compare(decide, lambda: orjson.loads(content))
    answer_ms, answer_ratio = _compare(answer, lambda: orjson.loads(content))
    what = f"read and decide, 30 records ({decided})"
    yardstick = "orjson.loads of the same bytes"
    return [
        Figure(
            what, decide_ms, "ms CPU", yardstick, decide_ratio, f"{LIMIT_MS:g} ms CPU", decide_ms <= LIMIT_MS
        ),
        Figure(
            "the whole review, to its JSON answer", answer_ms, "ms CPU", yardstick, answer_ratio, "-", None
        ),
    ]


def _compare(work: Work, yardstick: Work) -> tuple[float, float]:
    """Milliseconds of CPU for one call of `work`, and their ratio to the yardstick's; medians of rounds.

    The two take turns within each round, so that whatever slows the machine for a while slows both.
    """
    for _ in range(_WARM_UP):
        work()
        yardstick()
    rounds = [(_cpu(work, _CALLS), _cpu(yardstick, _CALLS_OF_YARDSTICK)) for _ in range(_ROUNDS)]
    return median(mine for mine, _ in rounds) * 1000, median(mine / its for mine, its in rounds)


def _cpu(work: Work, calls: int) -> float:
    """Seconds of CPU for one call."""
    start = time.process_time()
    for _ in range(calls):
        work()
    return (time.process_time() - start) / calls
