"""The safety property over many generated patients: `python -m tests.soak --patients 100000 [--seed N]`.

Never a plan for anybody who has a contraindication of the region, is or may be under 18, is dead, or has a
finding that a person must look at; none without a depression that shows now, or that rests on a medicine
which helped; every trace of suicidality is told; the order of a record changes nothing; nothing breaks off.
What is said to settle a decision does. And a plan where nothing stands against it, so that caution alone
never passes. What is right is known from how a patient was made (`tests.generated`), and by a second, plain
reading of the rules (`tests.by_days`).
"""

import argparse
import gc
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from pprint import pformat
from random import Random
from typing import NamedTuple
from zoneinfo import ZoneInfo

import orjson
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from service.apply.intent import intend
from service.core.decision import Propose, ReasonOfDecision, decide
from service.errors import NotAssessable
from service.gather.files import read_bundle
from service.knowledge import mappings_directory
from service.read.record import read_record
from service.review import Review, Reviewer
from tests.by_days import faults_of, rules_of
from tests.core.settled import assert_honest
from tests.generated.made import Made
from tests.generated.patients import Age, Patient, bundle_of, is_graded, random_patient
from tests.safety_tables import REGIONS
from tests.support import Resource, reviewer

SEED = 20261123
CRITERIA = sorted(path.stem for path in (mappings_directory() / "criteria").glob("*.toml"))
SETTINGS = [(criteria, region) for criteria in CRITERIA for region in REGIONS]
"""Patients take turns through every criteria set and region."""


def dice(seed: int, number: int) -> Random:
    """All that is random about a patient."""
    return Random(f"{seed}-{number}")  # noqa: S311 - no secret


class Violation(NamedTuple):
    """A patient of whom something does not hold, without all that is not needed to see it."""

    seed: int
    number: int
    faults: tuple[str, ...]
    patient: Patient

    def __str__(self) -> str:
        """What does not hold, how to see it again, and the record."""
        criteria, region = SETTINGS[self.number % len(SETTINGS)]
        return "\n".join(
            [
                f"Patient {self.number} of seed {self.seed}, criteria {criteria}, region {region}:",
                *(f"- {fault}" for fault in self.faults),
                f"Again: python -m tests.soak --seed {self.seed} --first {self.number} --patients 1",
                pformat(self.patient._asdict(), width=110, sort_dicts=False),
            ]
        )


class Tally(NamedTuple):
    """How many patients were decided how, and the first violation."""

    decisions: Counter[str]
    violation: Violation | None = None


# one patient -----------------------------------------------------------------------------------


class Verdict(NamedTuple):
    """The decision on a patient, and what does not hold of it: nothing, when all is well."""

    decision: str
    faults: tuple[str, ...]


def judge(patient: Patient, by: Reviewer, order: Random) -> Verdict:
    """Review a patient twice, the second time in another order."""
    resources = patient.resources
    another = any(made.meaning.another for made in patient.made)
    settling = order.random() < _SETTLED
    try:
        review = _reviewed(resources, by, settling=settling)
        order.shuffle(resources)
        again = _reviewed(resources, by, settling=settling)
    except NotAssessable:
        return Verdict("not assessed", () if another else ("not assessed, but all of it is the patient's",))
    except Exception as error:  # noqa: BLE001 - whatever breaks off is what is looked for
        return Verdict("broke off", (f"{type(error).__name__}: {error}",))
    faults = tuple(_wrong_with(review, patient, by))
    if another:
        faults += ("assessed with a record of somebody else in it",)
    if (again.decision, again.intent) != (review.decision, review.intent):
        faults += ("another order of the record gives another answer",)
    return Verdict(review.decision.reason.value, faults)


_SETTLED = 0.1
"""The share of patients of whom it is asked as well what would settle the decision, which takes long."""


def _reviewed(resources: list[Resource], by: Reviewer, *, settling: bool) -> Review:
    gathered = read_bundle(orjson.dumps(bundle_of(resources)))
    if settling:
        return by.review(gathered)
    record = read_record(gathered, by.knowledge, ZoneInfo(by.settings.timezone))
    decision = decide(record, by.knowledge, by.calendar, by.as_of)
    return Review(gathered, record, decision, intend(decision, record.plans, gathered))


def _wrong_with(review: Review, patient: Patient, by: Reviewer) -> Iterator[str]:
    reason, region = review.decision.reason, by.settings.region
    if patient.illness is not None:
        yield from faults_of(patient.illness, review.decision, by.settings.criteria)
        if not _is_honest(review):
            yield "what is said to settle the decision does not"
    excluding = [made for made in patient.made if region in made.meaning.excludes]
    withholding = [made for made in patient.made if region in made.meaning.withholds]
    due = _due(patient, excluding)
    if due is not None and reason is not due:
        yield f"{reason.value} where {due.value} is due {_names(excluding)}"
    if isinstance(review.decision, Propose):
        if withholding:
            yield f"a plan in spite of {_names(withholding)}"
        if patient.age is Age.UNKNOWN:
            yield "a plan although the age is unknown"
    elif due is None and _is_plain(patient, by):
        yield f"{reason.value} although nothing stands against a plan"
    told = {(ref.type, ref.id) for alert in review.decision.assessment.alerts for ref in alert.evidence}
    untold = [made for made in patient.made if made.meaning.suicidal and _name(made) not in told]
    if untold:
        yield f"no alert tells of {_names(untold)}"


def _due(patient: Patient, excluding: list[Made]) -> ReasonOfDecision | None:
    """The reason that no other comes before, where there is one."""
    if patient.dead:
        return ReasonOfDecision.DECEASED
    if patient.age is Age.MINOR:
        return ReasonOfDecision.MINOR
    return ReasonOfDecision.CONTRAINDICATED if excluding else None


def _is_plain(patient: Patient, by: Reviewer) -> bool:
    harmless = all(by.settings.region in made.meaning.harmless for made in patient.made)
    graded = rules_of(by.settings.criteria)["trd_severity"] == "any" or is_graded(patient.resistance)
    return harmless and bool(patient.resistance) and graded and patient.age is Age.ADULT


def _is_honest(review: Review) -> bool:
    try:
        assert_honest(review.decision, review.record)
    except AssertionError:
        return False
    return True


def _name(made: Made) -> tuple[str | None, str]:
    return (made.resource.get("resourceType"), made.resource["id"])


def _names(made: list[Made]) -> str:
    return ", ".join(f"{kind}/{identity}" for kind, identity in map(_name, made))


# many of them ----------------------------------------------------------------------------------


def reviewer_of(number: int) -> Reviewer:
    """Who reviews a patient."""
    criteria, region = SETTINGS[number % len(SETTINGS)]
    return reviewer(criteria=criteria, region=region)


def run(seed: int, numbers: range) -> Tally:
    """Judge these patients up to the first of whom something does not hold."""
    decisions: Counter[str] = Counter()
    for number in numbers:
        order = dice(seed, number)
        patient = random_patient(order)
        verdict = judge(patient, reviewer_of(number), order)
        decisions[verdict.decision] += 1
        if verdict.faults:
            return Tally(decisions, _smallest(Violation(seed, number, verdict.faults, patient)))
    return Tally(decisions)


def _smallest(violation: Violation) -> Violation:
    """The violation without the resources that it does without; it need not be the same one then."""

    def less(patient: Patient) -> Violation | None:
        order = dice(violation.seed, violation.number)
        faults = judge(patient, reviewer_of(violation.number), order).faults
        return violation._replace(faults=faults, patient=patient) if faults else None

    violation = less(violation.patient._replace(resistance=())) or violation
    for made in violation.patient.made:
        others = tuple(other for other in violation.patient.made if other is not made)
        violation = less(violation.patient._replace(made=others)) or violation
    while (illness := violation.patient.illness) is not None:
        fewer = (less(violation.patient._replace(illness=one)) for one in illness.without_one())
        smaller = next(filter(None, fewer), None)
        if smaller is None:
            break
        violation = smaller
    return violation


CHUNK = 500


def main() -> int:
    """Judge as many patients as asked for, on every processor; 1 when something does not hold."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--patients", type=int, default=100_000, help="how many (%(default)s)")
    parser.add_argument("--seed", type=int, default=SEED, help="where chance begins (%(default)s)")
    parser.add_argument("--first", type=int, default=0, help="the number of the first one (%(default)s)")
    arguments = parser.parse_args()
    console = Console()
    began = time.monotonic()
    numbers = range(arguments.first, arguments.first + arguments.patients)
    tally = _in_parallel(arguments.seed, numbers, console)
    judged = tally.decisions.total()
    for decision, count in tally.decisions.most_common():
        console.print(f"{count:>9,} {decision}", highlight=False)
    console.print(f"{judged:>9,} patients, {judged / (time.monotonic() - began):,.0f} a second")
    if tally.violation is None:
        return 0
    console.print(str(tally.violation), markup=False, highlight=False, soft_wrap=True)
    return 1


def _in_parallel(seed: int, numbers: range, console: Console) -> Tally:
    columns = (TextColumn("patients"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    decisions: Counter[str] = Counter()
    chunks = [numbers[start : start + CHUNK] for start in range(0, len(numbers), CHUNK)]
    workers = min(os.cpu_count() or 1, len(chunks))
    with (
        Progress(*columns, console=console) as progress,
        ProcessPoolExecutor(workers, initializer=_prepare) as pool,
    ):
        task = progress.add_task("", total=len(numbers))
        for future in as_completed([pool.submit(run, seed, chunk) for chunk in chunks]):
            tally = future.result()
            decisions += tally.decisions
            progress.update(task, advance=tally.decisions.total())
            if tally.violation is not None:
                pool.shutdown(cancel_futures=True)
                return Tally(decisions, tally.violation)
    return Tally(decisions)


def _prepare() -> None:
    """Load all knowledge once, and keep the collector of garbage from looking through it again and again."""
    for number in range(len(SETTINGS)):
        reviewer_of(number)
    gc.freeze()
    gc.set_threshold(50_000)


if __name__ == "__main__":
    sys.exit(main())
