"""How often each criteria set asks for more: `python -m tests.shares --patients 500 [--seed N]`.

Decides generated records by every set and prints the share of *needs-information*, as the table of
`docs/how-it-decides.md` has it: of records of all kinds (`tests.generated.patients`), and of records that
hold prescriptions only (`tests.generated.orders`). It shows how the sets differ, and nothing of real records.
"""

import argparse
import sys
from collections.abc import Callable
from datetime import UTC
from functools import cache
from random import Random

import orjson

from service.core.decision import NeedsInformation, decide
from service.errors import NotAssessable
from service.gather.files import read_bundle
from service.read.record import read_record
from tests.generated.orders import patient_of_orders
from tests.generated.patients import bundle_of, random_patient
from tests.soak import CRITERIA, SEED, dice
from tests.support import Resource, reviewer

KINDS: dict[str, Callable[[Random], list[Resource]]] = {
    "all kinds": lambda rng: random_patient(rng).resources,
    "prescriptions only": patient_of_orders,
}


def share_of(criteria: str, kind: str, patients: int, seed: int = SEED) -> float:
    """The share of the first so many patients of a kind of whom a set asks for more."""
    by = reviewer(criteria=criteria)
    asked = assessed = 0
    for bundle in _bundles(kind, patients, seed):
        try:
            record = read_record(read_bundle(bundle), by.knowledge, UTC)
        except NotAssessable:
            continue
        assessed += 1
        decision = decide(record, by.knowledge, by.calendar, by.as_of)
        asked += isinstance(decision, NeedsInformation)
    return asked / assessed


@cache
def _bundles(kind: str, patients: int, seed: int) -> list[bytes]:
    """The records of a kind: the same ones for every set."""
    return [orjson.dumps(bundle_of(KINDS[kind](dice(seed, number)))) for number in range(patients)]


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.shares", description=__doc__)
    parser.add_argument("--patients", type=int, default=500, help="how many of each kind (%(default)s)")
    parser.add_argument("--seed", type=int, default=SEED, help="where chance begins (%(default)s)")
    arguments = parser.parse_args()
    lines = [f"| set | {' | '.join(KINDS)} |", f"|---|{'---|' * len(KINDS)}"]
    for criteria in CRITERIA:
        shares = [share_of(criteria, kind, arguments.patients, arguments.seed) for kind in KINDS]
        lines.append(f"| `{criteria}` | {' | '.join(f'{100 * share:.0f} %' for share in shares)} |")
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
