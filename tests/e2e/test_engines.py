"""An integration engine before the service as users run it: what was acknowledged is done, come what may."""

import asyncio
import contextlib
import gc
import json
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from random import Random

import httpx
import pytest

from service.doors.acknowledgement import acknowledge
from service.doors.messages import read_message
from service.errors import NotHl7
from tests.app.engines import AUTHORITIES, DOOR, ER7, SYSTEM, a_message
from tests.app.serving import serving
from tests.examples import soaked
from tests.running import Service, assert_each_once, at_least, number_of, patients_to_treat, until
from tests.servers import load, running_sekmet
from tests.support import run_command

pytestmark = [pytest.mark.matrix, pytest.mark.soak]
"""A service of its own takes seconds, and so does a thousand messages."""

NUMBER = 40


@pytest.fixture
def server() -> Iterator[str]:
    with running_sekmet() as base:
        yield base


async def sent_until_acknowledged(http: httpx.AsyncClient, address: str, number: str) -> None:
    """Send a message as an engine does: the same one, until it is acknowledged, and once more after that."""
    message = a_message("ORU^R01^ORU_R01", f"PID|1||{number}^^^HOSP^MR", control_id=f"C-{number}").encode()
    acknowledged = 0
    while acknowledged < 2:
        with contextlib.suppress(httpx.TransportError):
            answer = await http.post(f"{address}{DOOR}", content=message, headers={"Content-Type": ER7})
            assert answer.status_code in {200, 503}
            acknowledged += f"\rMSA|AA|C-{number}\r" in answer.text
        await asyncio.sleep(0.05)


async def test_killed_in_the_middle_every_acknowledged_message_is_done_once(
    server: str, tmp_path: Path
) -> None:
    records = patients_to_treat("engine", NUMBER)
    load(server, [resource for record in records.values() for resource in record])
    numbers = {patient: number_of(patient) for patient in records}
    settings = {"fhir_base_url": server, "hl7v2_authorities": json.dumps(AUTHORITIES)}
    async with (
        Service(tmp_path, **settings) as service,
        httpx.AsyncClient(trust_env=False, timeout=30) as http,
    ):
        engine = asyncio.gather(
            *(sent_until_acknowledged(http, service.address, number) for number in numbers.values())
        )
        await until(lambda: at_least(3, server, list(numbers)), seconds=60, every=0.05)
        service.kill()
        await service.start()
        await engine
        service.kill()
        assert not await at_least(NUMBER, server, list(numbers)), "acknowledged, and not done yet"
        await service.start()
        await until(lambda: at_least(NUMBER, server, list(numbers)), seconds=120)
        await until(service.is_idle, seconds=60)
        assert await service.metric('trd_queue_jobs{state="failed"}') == 0
        patient, number = next(iter(numbers.items()))
        asked = {"identifier": f"{SYSTEM}|{number}"}
        answered = (await http.post(f"{service.address}/reviews", json=asked)).text
        printed = run_command("assess", f"Patient/{patient}", "--json", **service.environment).stdout
        listed = run_command("jobs", "--state", "done", "--json", **service.environment).stdout
        assert await service.stop() == 0

    assert answered == printed.removesuffix("\n")
    await assert_each_once(server, numbers)
    assert '"kind": "identified"' in listed
    for text in (service.log, listed):
        assert "MRN" not in text


PIECES = [
    "MSH",
    "PID",
    "MRG",
    "|",
    "^",
    "~",
    "\\",
    "&",
    "\r",
    "HOSP",
    "17",
    "\\X",
    "\\.sp9\\",
    "\u00e4",
    "\x00",
]
HEADS = [
    "",
    "MSH",
    "MSH|^~\\&|",
    a_message("ADT^A08", "PID|1||"),
    a_message("ADT^A40", "PID|||17^^^HOSP", "MRG|"),
]


BY_CHANCE = Random(19)  # noqa: S311 - the same messages each time


def odd_messages(number: int) -> Iterator[bytes]:
    for _ in range(number):
        pieces = BY_CHANCE.choices(PIECES, k=BY_CHANCE.randrange(60))
        yield f"{BY_CHANCE.choice(HEADS)}{''.join(pieces)}".encode()


async def test_odd_messages_are_answered() -> None:
    async with serving(hl7v2_authorities=AUTHORITIES) as site:
        for body in odd_messages(soaked(10_000)):
            answer = await site.post(DOOR, data=body, headers={"Content-Type": ER7})
            assert answer.status in {200, 400}


def test_odd_messages_leave_nothing_behind() -> None:
    def read(number: int) -> int:
        for body in odd_messages(number):
            with contextlib.suppress(NotHl7):
                message = read_message(body, None, AUTHORITIES)
                acknowledge(message.header, message.fault, "20261123080000+0000")
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        before = read(300)
        after = read(soaked(10_000))
    finally:
        tracemalloc.stop()

    assert after - before < 50_000, "bytes that they left"
