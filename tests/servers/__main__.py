"""A FHIR server on loopback with the patients of `fixtures/cases`, to try the command on.

python -m tests.servers hapi 8090      # or: hapi-r5, sekmet
"""

import argparse
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from pathlib import Path

from service.demo.sandbox.processes import PortTakenError, check_port
from tests.in_r5 import load

from . import LoadRefusedError, MissingToolError, ServerStartError, running_hapi, running_sekmet
from .hapi import hapi_jar

_CASES = Path(__file__).resolve().parents[2] / "fixtures" / "cases"
_USED_INSTEAD = ("HAPI_URL", "HAPI_R5_URL")
"""Variables by which tests use a server that runs already; this one is always its own."""
_SECONDS_BETWEEN = 10.0
_PATIENTS_BETWEEN = 25

_START: dict[str, Callable[..., AbstractContextManager[str]]] = {
    "hapi": running_hapi,
    "hapi-r5": partial(running_hapi, release="r5"),
    "sekmet": running_sekmet,
}


def main() -> None:
    """Start the server, load the patients, say what to try, and wait to be stopped; each step is told."""
    parser = argparse.ArgumentParser(prog="python -m tests.servers")
    parser.add_argument("server", choices=list(_START))
    parser.add_argument("port", type=int)
    chosen = parser.parse_args()
    for told in (signal.SIGTERM, signal.SIGINT):
        signal.signal(told, _end)
    for name in _USED_INSTEAD:
        os.environ.pop(name, None)
    try:
        check_port(chosen.port)
        _serve(chosen.server, chosen.port)
    except (PortTakenError, MissingToolError, ServerStartError) as error:
        sys.exit(f"sandbox: {error}")


def _end(number: int, _: object) -> None:
    """Leave what runs by the ways that stop its servers."""
    raise SystemExit(128 + number)


def _serve(server: str, port: int) -> None:
    if server != "sekmet":
        with _telling("building HAPI FHIR, which takes some minutes the first time"):
            hapi_jar()
    with ExitStack() as stack:
        with _telling(f"starting {server} on port {port}, which takes up to a minute"):
            base = stack.enter_context(_START[server](port=port))
        bundles = sorted(_CASES.glob("*/bundle.json"))
        loaded = 0
        for number, bundle in enumerate(bundles, start=1):
            loaded += _load(base, bundle)
            if number % _PATIENTS_BETWEEN == 0 or number == len(bundles):
                _tell(f"loading patients: {number} of {len(bundles)}")
        _tell(
            f"{server} with {loaded} patients; stop it with Ctrl-C. Try, in a second terminal:\n"
            f"  export TRD_FHIR_BASE_URL='{base}'\n"
            "  .venv/bin/trd-careplan assess Patient/propose-two --as-of 2026-11-23"
        )
        while True:
            signal.pause()


@contextmanager
def _telling(step: str) -> Iterator[None]:
    """Say that a step goes on, until it is done."""
    started, done = time.monotonic(), threading.Event()

    def tell_on() -> None:
        while not done.wait(_SECONDS_BETWEEN):
            _tell(f"{step}: {time.monotonic() - started:.0f} s")

    _tell(f"{step} ...")
    telling = threading.Thread(target=tell_on, daemon=True)
    telling.start()
    try:
        yield
    finally:
        done.set()
        telling.join()


def _tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _load(base: str, bundle: Path) -> int:
    """Load one patient; what is no collection, or what this server refuses, is said."""
    try:
        load(base, json.loads(bundle.read_bytes()))
    except (LoadRefusedError, ValueError) as error:
        _tell(f"not loaded: {bundle.parent.name} ({str(error)[:120]})")
        return 0
    return 1


if __name__ == "__main__":
    main()
