"""Run the benchmarks and print their figures: `python -m benchmarks [--json]`."""

import argparse
import json
import sys

from benchmarks import cds_hooks, events, from_hapi, liveness, long_records, read_and_decide
from benchmarks.figures import Figure, table
from tests.servers import LoadRefusedError, MissingToolError, ServerStartError


def main() -> int:
    """Measure everything that can be. 0 whatever the figures are; 1 when the HAPI server failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    arguments = parser.parse_args()
    figures = [*read_and_decide.measure(), *long_records.measure(), *liveness.measure(), *cds_hooks.measure()]
    failed = False
    try:
        figures += from_hapi.measure()
        figures += events.measure()
    except MissingToolError as error:
        _note(f"on HAPI skipped: {error}")
    except (ServerStartError, LoadRefusedError) as error:
        _note(f"on HAPI failed: {error}")
        failed = True
    _show(figures, as_json=arguments.json)
    return int(failed)


def _show(figures: list[Figure], *, as_json: bool) -> None:
    print(json.dumps([figure._asdict() for figure in figures], indent=2) if as_json else table(figures))


def _note(text: str) -> None:
    print(f"benchmarks: {text}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
