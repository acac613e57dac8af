"""The table that `check` prints for every double; `python -m tests.commands.checking` writes them anew."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx

from service.commands.check import check_server, print_check
from service.commands.check_findings import CheckReport
from service.commands.keys import KeyStep, change_keys
from service.fhir.auth import Algorithm
from service.render.terminal import Terminal
from service.settings import Settings
from tests.contract_write import TWO_FAILURES
from tests.fhir.authorizing import Authorizing
from tests.fhir.double import FhirDouble
from tests.fhir.test_auth import a_client, public_of, smart
from tests.lists import knowledge_of
from tests.servers.vendors import VENDORS, VendorDouble
from tests.support import BASE, Handler, case_bundle, client_of, resources_of, settings

FOLDER = Path(__file__).with_name("check")
HOW_TO_RENEW = "read it, then run `python -m tests.commands.checking`"
NOW = datetime(2026, 11, 23, 9, 0, 30, tzinfo=UTC)


def a_double(**traits: Any) -> FhirDouble:
    return FhirDouble(resources_of(case_bundle(TWO_FAILURES)), **traits)


def dated(server: Handler, seconds: float = 0) -> Handler:
    """A server whose clock is so many seconds behind ours."""

    def answer(request: httpx.Request) -> httpx.Response:
        answered = server(request)
        answered.headers["Date"] = (NOW - timedelta(seconds=seconds)).strftime("%a, %d %b %Y %H:%M:%S GMT")
        return answered

    return answer


async def checked(
    server: Handler,
    chosen: Settings | None = None,
    *,
    patient_id: str | None = None,
    seconds: float = 0.012,
) -> CheckReport:
    chosen = chosen or settings(fhir_base_url=BASE)
    ticks = count()
    return await check_server(
        client_of(server, attempts=1),
        a_client(server, chosen),
        chosen,
        knowledge_of(),
        patient=patient_id,
        now=lambda: NOW,
        timer=lambda: next(ticks) * seconds,
    )


def printed(report: CheckReport) -> str:
    console = Terminal(width=80)
    with console.capture() as captured:
        print_check(console, report)
    return "".join(f"{line.rstrip()}\n" for line in captured.get().splitlines())


# --- a table for each server ----------------------------------------------------------------------


async def _table_of(server: Handler, **chosen: Any) -> str:
    return printed(await checked(dated(server, seconds=2), settings(fhir_base_url=BASE, **chosen)))


async def _table_of_vendor(name: str) -> str:
    vendor = VENDORS[name]
    double = VendorDouble(vendor, resources_of(case_bundle(TWO_FAILURES)))
    return await _table_of(double, fhir_dialect=name if vendor.chosen else None)


async def _table_with_smart() -> str:
    """A server that grants what is read, and nothing of what is written but CarePlan."""
    with TemporaryDirectory() as folder:
        key = Path(folder, "keys.json")
        change_keys(key, KeyStep.NEW, Algorithm.ES384)
        grants = "system/*.rs system/CarePlan.cruds"
        server = Authorizing(a_double(), keys=public_of(key), grants=grants)
        return printed(await checked(dated(server, seconds=2), smart(key)))


TABLES: dict[str, Callable[[], Awaitable[str]]] = {
    "hapi": lambda: _table_of(a_double()),
    "r5": lambda: _table_of(a_double(fhir_version="5.0.0")),
    "smart": _table_with_smart,
    **{name: partial(_table_of_vendor, name) for name in VENDORS},
    "athenahealth-without-dialect": lambda: _table_of(
        VendorDouble(VENDORS["athenahealth"], resources_of(case_bundle(TWO_FAILURES)))
    ),
}
"""The table of each double, by the name of its file."""


def file_of(name: str) -> Path:
    """Where the table of a double is kept."""
    return FOLDER / f"{name}.txt"


async def _write_all() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name, table in TABLES.items():
        file_of(name).write_text(await table(), encoding="utf-8")


if __name__ == "__main__":
    asyncio.run(_write_all())
