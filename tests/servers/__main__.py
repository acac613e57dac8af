"""A FHIR server on loopback with the patients of `fixtures/cases`, to try the command on.

python -m tests.servers hapi 8090      # or: hapi-r5, sekmet
"""

import argparse
import json
import signal
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

from tests.in_r5 import load

from . import LoadRefusedError, running_hapi, running_sekmet

_CASES = Path(__file__).resolve().parents[2] / "fixtures" / "cases"


_START: dict[str, Callable[..., AbstractContextManager[str]]] = {
    "hapi": running_hapi,
    "hapi-r5": partial(running_hapi, release="r5"),
    "sekmet": running_sekmet,
}


def main() -> None:
    """Start the server, load the patients, say what to try, and wait to be stopped."""
    parser = argparse.ArgumentParser(prog="python -m tests.servers")
    parser.add_argument("server", choices=list(_START))
    parser.add_argument("port", type=int)
    chosen = parser.parse_args()
    with _START[chosen.server](port=chosen.port) as base:
        loaded = sum(_load(base, bundle) for bundle in sorted(_CASES.glob("*/bundle.json")))
        sys.stdout.write(
            f"{chosen.server} with {loaded} patients; stop it with Ctrl-C. Try:\n"
            f"  export TRD_FHIR_BASE_URL={base}\n"
            "  .venv/bin/trd-careplan assess Patient/propose-two --as-of 2026-11-23\n"
        )
        sys.stdout.flush()
        signal.sigwait({signal.SIGINT, signal.SIGTERM})


def _load(base: str, bundle: Path) -> int:
    """Load one patient; what is no collection, or what this server refuses, is said."""
    try:
        load(base, json.loads(bundle.read_bytes()))
    except (LoadRefusedError, ValueError) as error:
        sys.stdout.write(f"not loaded: {bundle.parent.name} ({str(error)[:120]})\n")
        return 0
    return 1


if __name__ == "__main__":
    main()
